/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AH packets (RFC 4302): what is sent, byte by byte; what the other side accepts of it and what
 * becomes of it when somebody changes it on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "fixture.h"
#include "wire/ah.h"
#include "wire/ip.h"

#define A  "10.0.0.1"
#define B  "10.0.0.2"
#define A6 "2001:db8::1"
#define B6 "2001:db8::2"
#define G  "192.0.2.1"
#define H  "192.0.2.2"
#define G6 "2001:db8:f::1"
#define H6 "2001:db8:f::2"

#define AH(i, from, to, m, a)                                                                      \
	.satype = TDO_SATYPE_AH, .src = (from), .dst = (to), .spi = (i), .mode = TDO_MODE_##m,     \
	.auth = (a)

static const struct fx_sa tr4 = {AH(0x1001, A, B, TRANSPORT, "hmac-sha256"), .replay = 64};
static const struct fx_sa tr6 = {AH(0x1002, A6, B6, TRANSPORT, "hmac-sha256"), .replay = 64};
static const struct fx_sa tu4 = {AH(0x1003, G, H, TUNNEL, "hmac-sha1"), .replay = 64};
static const struct fx_sa tu6 = {AH(0x1004, G6, H6, TUNNEL, "hmac-sha512"), .replay = 64};

/* Two hosts with the same SAs and policies for A to B of both families. */
struct pair {
	struct fx out, in;
};

static void
open_end(struct fx *f, const struct fx_sa *sa)
{
	char req[128];

	*f = (struct fx){0};
	fx_open(f, NULL);
	fx_add_sa(f, sa);
	snprintf(req, sizeof(req),
	    sa->mode == TDO_MODE_TUNNEL ? "ah/tunnel/%s-%s/require" : "ah/transport//require",
	    sa->src, sa->dst);
	for (uint8_t dir = TDO_DIR_IN; dir <= TDO_DIR_OUT; dir++) {
		fx_add_sp(f, dir, A, B, TDO_PROTO_ANY, req);
		fx_add_sp(f, dir, A6, B6, TDO_PROTO_ANY, req);
	}
}

static void
open_pair(struct pair *p, const struct fx_sa *sa)
{
	open_end(&p->out, sa);
	open_end(&p->in, sa);
}

static void
close_pair(struct pair *p)
{
	fx_close(&p->out);
	fx_close(&p->in);
}

static struct tdo_pkt *
copy_of(const struct tdo_pkt *p)
{
	struct tdo_pkt *c = fx_pkt_new(0);

	fx_pkt_set(c, tdo_pkt_data(p), p->len);
	return c;
}

/* Sends it; it has to be protected. */
static void
protect(struct fx *f, struct tdo_pkt *p)
{
	tdo_out(f->w, &p, 1, f->now);
	if (p->verdict != TDO_VERDICT_SEND)
		fail_msg("%s", tdo_reason_info(p->reason)->name);
}

/* Receives a copy of it; returns the reason of its drop, and what came out if ret is not NULL. */
static enum tdo_reason
receive(struct fx *f, const struct tdo_pkt *p, struct tdo_pkt **ret)
{
	struct tdo_pkt *c = copy_of(p);
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

static void
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

/* ---- format ---- */

static void
transport4_byte_by_byte(void **state)
{
	struct tdo_pkt *p, *clear;
	struct pair t;
	uint8_t *d;

	open_pair(&t, &tr4);
	p = fx_udp(&t.out.rng, A, B, 5);
	tdo_put_be16(tdo_pkt_data(p) + 4, 0x1234);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	clear = copy_of(p);
	protect(&t.out, p);
	d = tdo_pkt_data(p);
	/* 12 bytes, 16 of ICV: a multiple of 4 */
	assert_int_equal(p->len, 20 + 28 + 13);
	assert_int_equal(tdo_be16(d + 2), p->len);
	assert_int_equal(tdo_be16(d + 4), 0x1234);
	assert_int_equal(d[8], 61);
	assert_int_equal(d[9], TDO_IPPROTO_AH);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
	assert_int_equal(d[20], TDO_IPPROTO_UDP);
	assert_int_equal(d[21], 5);
	assert_int_equal(tdo_be16(d + 22), 0);
	assert_int_equal(tdo_be32(d + 24), 0x1001);
	assert_int_equal(tdo_be32(d + 28), 1);
	assert_memory_equal(d + 48, tdo_pkt_data(clear) + 20, 13);
	assert_int_equal(p->spi, 0x1001);
	assert_int_equal(p->seq, 1);
	assert_int_equal(p->ip.l4_off, 20);
	assert_int_equal(p->ip.total_len, p->len);
	expect_delivered(&t.in, p, clear);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	close_pair(&t);
}

/* ---- both ways ---- */

struct shape {
	const struct fx_sa *sa;
	const char *src, *dst; /* of the packet */
	unsigned outer, ah;    /* bytes of the headers in front of AH, and of AH */
};

static const struct fx_sa tu46 = {AH(0x1005, G6, H6, TUNNEL, "aes-xcbc-mac"), .replay = 64};
static const struct fx_sa tu64 = {AH(0x1006, G, H, TUNNEL, "hmac-sha384"), .replay = 64};
static const struct fx_sa gmac4 = {AH(0x1007, A, B, TRANSPORT, "aes-128-gmac"), .replay = 64};
static const struct fx_sa gmac6 = {AH(0x1008, A6, B6, TRANSPORT, "aes-256-gmac"), .replay = 64};
static const struct fx_sa old4 = {AH(0x1009, A, B, TRANSPORT, "keyed-md5"), .flags = TDO_SAF_OLD};
static const struct fx_sa old6 = {AH(0x100a, G6, H6, TUNNEL, "hmac-sha1"), .flags = TDO_SAF_OLD};
static const struct fx_sa esn4 = {
    AH(0x100b, A, B, TRANSPORT, "hmac-sha256"), .flags = TDO_SAF_ESN, .replay = 64};
static const struct fx_sa gmac_esn6 = {
    AH(0x100c, G6, H6, TUNNEL, "aes-192-gmac"), .flags = TDO_SAF_ESN, .replay = 64};

static const struct shape shapes[] = {
    {&tr4, A, B, 20, 28},
    {&tr6, A6, B6, 40, 32}, /* 28, and 4 to a multiple of 8 */
    {&tu4, A, B, 20, 24},
    {&tu6, A6, B6, 40, 48}, /* 44 and 4 */
    {&tu46, A, B, 40, 24},
    {&tu64, A6, B6, 20, 36},
    {&gmac4, A, B, 20, 36},   /* 12, 8 of IV, 16 */
    {&gmac6, A6, B6, 40, 40}, /* RFC 4543, erratum 3643: 36 and 4 */
    {&old4, A, B, 20, 24},    /* 8 and 16 */
    {&old6, A6, B6, 40, 24},
    {&esn4, A, B, 20, 28},
    {&gmac_esn6, A, B, 40, 40},
};

enum { NSHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void
every_shape_there_and_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NSHAPES; i++) {
		const struct shape *s = &shapes[i];
		bool tunnel = s->sa->mode == TDO_MODE_TUNNEL;
		struct pair t;

		open_pair(&t, s->sa);
		for (uint32_t size = 0; size < 300; size++) {
			struct tdo_pkt *p = fx_udp(&t.out.rng, s->src, s->dst, size), *clear;

			/* what has id 0 gets one */
			if (tdo_pkt_data(p)[0] >> 4 == 4) {
				tdo_put_be16(tdo_pkt_data(p) + 4, 7);
				tdo_ip4_set_csum(tdo_pkt_data(p));
			}
			clear = copy_of(p);
			protect(&t.out, p);
			assert_int_equal(p->ip.l4_off, s->outer);
			assert_int_equal(p->len, clear->len + (tunnel ? s->outer : 0) + s->ah);
			assert_int_equal(
			    tdo_ah_len_of(tdo_pkt_data(p)[s->outer + TDO_AH_LEN_OFF]), s->ah);
			expect_delivered(&t.in, p, clear);
			/* Twice is once too many, where there are numbers. */
			assert_int_equal(receive(&t.in, p, NULL),
			    s->sa->replay ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE);
			fx_pkt_free(p);
			fx_pkt_free(clear);
		}
		close_pair(&t);
	}
}

/* ---- changes on the way ---- */

/* What a router may change without anybody's noticing: RFC 4302 3.3.3.1. */
static uint8_t
mutable_bits(const struct shape *s, unsigned at)
{
	static const uint8_t v4[20] = {
	    [1] = 0xff, [6] = 0xc0, [8] = 0xff, [10] = 0xff, [11] = 0xff};
	static const uint8_t v6[40] = {0x0f, 0xff, 0xff, 0xff, [7] = 0xff};

	if (at >= s->outer)
		return 0;
	return s->outer == 20 ? v4[at] : v6[at];
}

/* D25 among others: the padding of the header is authenticated. */
static void
d25_every_bit_is_authenticated_or_mutable(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NSHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct tdo_pkt *p;
		struct pair t;
		unsigned passed = 0;

		open_pair(&t, s->sa);
		p = fx_udp(&t.out.rng, s->src, s->dst, 11);
		protect(&t.out, p);
		for (unsigned bit = 0; bit < p->len * 8; bit++) {
			uint8_t *byte = tdo_pkt_data(p) + bit / 8, mask = (uint8_t)(1u << bit % 8);
			bool mutable = (mutable_bits(s, bit / 8) & mask) != 0;
			struct tdo_addr dst = fx_addr(s->sa->dst);
			const struct tdo_sa *sa =
			    tdo_sad_find_in(t.in.e, &dst, s->sa->spi, TDO_IPPROTO_AH);
			uint64_t top = sa->replay.top;
			struct tdo_pkt *got;
			enum tdo_reason r;

			*byte ^= mask;
			r = receive(&t.in, p, &got);
			/* What does not look like AH any more may pass, but not as AH. */
			if ((r == TDO_REASON_NONE && got->nsas > 0) != mutable)
				fail_msg("shape %u: bit %u of byte %u", i, bit % 8, bit / 8);
			fx_pkt_free(got);
			*byte ^= mask;
			if (mutable) { /* next time it would be a replay */
				fx_delete_sa(&t.in, s->sa);
				fx_add_sa(&t.in, s->sa);
				tdo_worker_quiesce(t.in.w);
				passed++;
			} else {
				assert_int_equal(sa->replay.top, top);
			}
		}
		assert_int_equal(passed, s->outer == 20 ? 34 : 36);
		assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
		fx_pkt_free(p);
		close_pair(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(transport4_byte_by_byte),
	    cmocka_unit_test(every_shape_there_and_back),
	    cmocka_unit_test(d25_every_bit_is_authenticated_or_mutable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
