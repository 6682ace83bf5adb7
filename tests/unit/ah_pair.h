/* SPDX-License-Identifier: BSD-2-Clause */
/* Two hosts with AH between them, for the tests of AH. */
#ifndef TDO_TESTS_AH_PAIR_H
#define TDO_TESTS_AH_PAIR_H

#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "expect.h"
#include "hosts.h"
#include "wire/ah.h"
#include "wire/ip.h"

#define AH(i, from, to, m, a)                                                                      \
	.satype = TDO_SATYPE_AH, .src = (from), .dst = (to), .spi = (i), .mode = TDO_MODE_##m,     \
	.auth = (a)

static const struct fx_sa tr4
    __attribute__((unused)) = {AH(0x1001, A, B, TRANSPORT, "hmac-sha256"), .replay = 64};
static const struct fx_sa tr6
    __attribute__((unused)) = {AH(0x1002, A6, B6, TRANSPORT, "hmac-sha256"), .replay = 64};
static const struct fx_sa tu4
    __attribute__((unused)) = {AH(0x1003, G, H, TUNNEL, "hmac-sha1"), .replay = 64};
static const struct fx_sa tu6
    __attribute__((unused)) = {AH(0x1004, G6, H6, TUNNEL, "hmac-sha512"), .replay = 64};

static const struct fx_sa tu46
    __attribute__((unused)) = {AH(0x1005, G6, H6, TUNNEL, "aes-xcbc-mac"), .replay = 64};
static const struct fx_sa tu64
    __attribute__((unused)) = {AH(0x1006, G, H, TUNNEL, "hmac-sha384"), .replay = 64};
static const struct fx_sa gmac4
    __attribute__((unused)) = {AH(0x1007, A, B, TRANSPORT, "aes-128-gmac"), .replay = 64};
static const struct fx_sa gmac6
    __attribute__((unused)) = {AH(0x1008, A6, B6, TRANSPORT, "aes-256-gmac"), .replay = 64};
static const struct fx_sa old4
    __attribute__((unused)) = {AH(0x1009, A, B, TRANSPORT, "keyed-md5"), .flags = TDO_SAF_OLD};
static const struct fx_sa old6
    __attribute__((unused)) = {AH(0x100a, G6, H6, TUNNEL, "hmac-sha1"), .flags = TDO_SAF_OLD};
static const struct fx_sa esn4 __attribute__((unused)) = {
    AH(0x100b, A, B, TRANSPORT, "hmac-sha256"), .flags = TDO_SAF_ESN, .replay = 64};
static const struct fx_sa gmac_esn6 __attribute__((unused)) = {
    AH(0x100c, G6, H6, TUNNEL, "aes-192-gmac"), .flags = TDO_SAF_ESN, .replay = 64};

/* Two hosts with the same SAs and policies for A to B of both families. */
struct pair {
	struct fx out, in;
};

static inline void
open_pair(struct pair *p, const struct fx_sa *sa)
{
	fx_open_sa(&p->out, sa);
	fx_open_sa(&p->in, sa);
}

static inline void
close_pair(struct pair *p)
{
	fx_close(&p->out);
	fx_close(&p->in);
}

/* Sends it; it has to be protected. */
static inline void
protect(struct fx *f, struct tdo_pkt *p)
{
	tdo_out(f->w, &p, 1, f->now);
	if (p->verdict != TDO_VERDICT_SEND)
		fail_msg("%s", tdo_reason_info(p->reason)->name);
}

/* Receives a copy of it; returns the reason of its drop, and what came out if ret is not NULL. */
static inline enum tdo_reason
receive(struct fx *f, const struct tdo_pkt *p, struct tdo_pkt **ret)
{
	struct tdo_pkt *c = fx_copy(p);
	enum tdo_reason r;

	tdo_in(f->w, &c, 1, f->now);
	r = c->verdict == TDO_VERDICT_DROP ? c->reason : TDO_REASON_NONE;
	assert_int_equal(c->verdict, r == TDO_REASON_NONE ? TDO_VERDICT_PASS : TDO_VERDICT_DROP);
	if (ret)
		*ret = c;
	else
		fx_pkt_free(c);
	return r;
}

static inline void
expect_delivered(struct fx *f, const struct tdo_pkt *sent, const struct tdo_pkt *clear)
{
	struct tdo_pkt *got;
	enum tdo_reason r = receive(f, sent, &got);

	if (r != TDO_REASON_NONE)
		fail_msg("%s", tdo_reason_info(r)->name);
	assert_int_equal(got->len, clear->len);
	assert_memory_equal(tdo_pkt_data(got), tdo_pkt_data(clear), clear->len);
	fx_pkt_free(got);
}

#endif
