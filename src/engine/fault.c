/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that a peer must refuse, for tests of it: net.inet.ipsec.test_replay and
 * test_integrity.  All is as it is without them but what stands in the packet, so that no number
 * and no IV is used twice under a key, and everything goes on when the setting is taken back.
 */
#include "base/be.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/path.h"
#include "wire/ah.h"
#include "wire/esp.h"
#include "wire/udp.h"

void
tdo_fault_changed(struct tdo_engine *e, enum tdo_knob k)
{
	bool replay = tdo_knob(e, TDO_KNOB_TEST_REPLAY, TDO_AF_INET) != 0;
	bool integrity = tdo_knob(e, TDO_KNOB_TEST_INTEGRITY, TDO_AF_INET) != 0;

	atomic_store_explicit(&e->faulty, replay || integrity, memory_order_relaxed);
	if (tdo_knob(e, k, TDO_AF_INET) == 0)
		return;
	tdo_engine_log(e, TDO_LOG_WARN,
	    "%s is 1: from now on every protected packet is sent with %s, and peers will drop it",
	    tdo_knob_info(k)->name4,
	    k == TDO_KNOB_TEST_REPLAY ? "the sequence number of an old one" : "a wrong ICV");
}

/* RFC 8750, and DES with a derived IV: what stands in the packet is the nonce or the IV. */
static bool
number_is_iv(const struct tdo_sa *sa)
{
	const struct tdo_alg *enc, *auth;

	tdo_sa_algs(&sa->param, &enc, &auth);
	return enc && (enc->implicit_iv || (sa->flags & TDO_SAF_DERIV));
}

/* The number of all packets: that of the first one which was sent so. */
static uint64_t
frozen(struct tdo_sa *sa, uint64_t seq)
{
	uint64_t first = 0;

	if (atomic_compare_exchange_strong_explicit(
		&sa->frozen_seq, &first, seq, memory_order_relaxed, memory_order_relaxed))
		return seq;
	return first;
}

static void
freeze(struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_op *op)
{
	bool ah = sa->id.proto == TDO_IPPROTO_AH;
	uint8_t *hdr = tdo_pkt_data(p) + p->ip.l4_off + sa->fmt.encap_len;
	uint64_t seq = frozen(sa, (uint64_t)op->esn_hi << 32 | p->seq);

	tdo_put_be32(hdr + (ah ? TDO_AH_SEQ_OFF : TDO_ESP_SEQ_OFF), (uint32_t)seq);
	p->seq = (uint32_t)seq;
	op->esn_hi = (uint32_t)(seq >> 32);
}

void
tdo_fault_numbers(
    const struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n)
{
	if (tdo_knob(w->engine, TDO_KNOB_TEST_REPLAY, TDO_AF_INET) == 0)
		return;
	for (unsigned k = 0; k < n; k++) {
		if (!g[k].sa->fmt.numbered || number_is_iv(g[k].sa))
			continue;
		for (unsigned i = g[k].at; i < (unsigned)g[k].at + g[k].kept; i++)
			freeze(g[k].sa, b->p[i], &b->op[i]);
	}
}

/* The UDP checksum in front of ESP is right, or the peer never looks at the ICV. */
static void
mend_udp(struct tdo_pkt *p)
{
	uint8_t *csum = tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_CSUM_OFF;

	if (tdo_be16(csum) == 0)
		return;
	tdo_put_be16(csum, 0);
	tdo_udp_set_csum(p);
}

void
tdo_fault_icvs(
    const struct tdo_worker *w, const struct tdo_batch *b, const struct tdo_group *g, unsigned n)
{
	if (tdo_knob(w->engine, TDO_KNOB_TEST_INTEGRITY, TDO_AF_INET) == 0)
		return;
	for (unsigned k = 0; k < n; k++)
		for (unsigned i = g[k].at; i < (unsigned)g[k].at + g[k].kept; i++) {
			const struct tdo_sa *sa = g[k].sa;
			struct tdo_pkt *p = b->p[i];
			uint8_t *data = tdo_pkt_data(p);

			if (p->verdict == TDO_VERDICT_DROP)
				continue;
			if (sa->id.proto == TDO_IPPROTO_AH)
				data[p->ip.l4_off + sa->fmt.hdr_len - 1u] ^= 0xff;
			else if (sa->fmt.icv_len > 0)
				data[p->len - 1] ^= 0xff;
			if (sa->fmt.encap_len)
				mend_udp(p);
		}
}
