/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inbound half of layer.h: an IPsec header is taken off the packets of a burst.  Nothing of
 * a packet is believed before its ICV was right, except what is needed to find the ICV.
 */
#ifndef TDO_ENGINE_LAYER_IN_H
#define TDO_ENGINE_LAYER_IN_H

#include <string.h>

#include "engine/encap.h"
#include "engine/layer.h"
#include "wire/ip.h"
#include "wire/udp.h"

/* What an IPsec header carried. */
struct tdo_content {
	uint8_t *start;
	uint32_t len; /* without padding and trailer */
	uint8_t next; /* protocol number of it */
};

/* ---- layer_in.c ---- */

/* tdo_layer_announcer() when there are destination options in front of the header. */
uint16_t tdo_layer_announcer_behind(const uint8_t *p, const struct tdo_ip_info *ip);

/* Why a packet whose cryptography did not succeed is dropped; the window's lock is held. */
enum tdo_reason tdo_layer_failed_in(
    const struct tdo_sa *sa, struct tdo_replay *window, const struct tdo_op *op, uint64_t seq);

/*
 * Bytes behind a UDP datagram, by its own length, that only hide it: all of them if they are zero,
 * else none, because they are something (RFC 9868).
 */
uint32_t tdo_layer_tfc_of_udp(const struct tdo_content *c);

/* Drops p and counts it with the late ones if it was late. */
void tdo_layer_drop_in(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa,
    const struct tdo_layer *l, enum tdo_reason r, tdo_ns now);

/* ---- what announces the header ---- */

/*
 * The byte that announces what is at l4_off.  Destination options may stand between the place
 * where we would put the header and the place where the peer did (RFC 4303 3.1.1).  0: none.
 */
static inline uint16_t
tdo_layer_announcer(const uint8_t *p, const struct tdo_ip_info *ip)
{
	return ip->esp_off == ip->l4_off ? ip->nh_off : tdo_layer_announcer_behind(p, ip);
}

/* ---- content in the place of the header ---- */

/* The upper layer takes the place of the IPsec header. */
static inline enum tdo_reason
tdo_layer_strip_transport(struct tdo_pkt *p, const struct tdo_content *c, uint16_t nh_off)
{
	uint32_t hdr_len = p->ip.l4_off;
	uint8_t *hdr = c->start - hdr_len;

	tdo_layer_move(hdr, tdo_pkt_data(p), hdr_len);
	p->off = (uint32_t)(hdr - p->buf);
	p->len = hdr_len + c->len;
	/* RFC 4303 2.7: behind UDP there may be what hides its length. */
	if (c->next == TDO_IPPROTO_UDP && c->len >= TDO_UDP_HLEN &&
	    tdo_be16(c->start + TDO_UDP_LEN_OFF) < c->len)
		p->len -= tdo_layer_tfc_of_udp(c);
	tdo_ip_rewrite(hdr, nh_off, c->next, p->len);
	return tdo_ip_parse_again(hdr, p->len, c->next, &p->ip);
}

/*
 * The inner packet takes the place of the whole.  What is behind its end by its own length
 * is traffic-flow confidentiality padding (RFC 4303 2.7).
 */
static inline enum tdo_reason
tdo_layer_strip_tunnel(
    struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_content *c)
{
	uint8_t outer_tos = p->ip.tos;
	uint8_t af = c->next == TDO_IPPROTO_IPIP ? TDO_AF_INET : TDO_AF_INET6;
	struct tdo_ip_info in;

	if (tdo_ip_parse(c->start, c->len, &in) != TDO_REASON_NONE || in.flow.src.af != af)
		return TDO_REASON_IN_INNER;
	p->ip = in;
	p->off = (uint32_t)(c->start - p->buf);
	p->len = in.total_len;
	p->outer_ecn = outer_tos & 3;
	return tdo_tunnel_ecn_out(w, sa, outer_tos, c->start, &p->ip);
}

/*
 * An SA of mode any is a tunnel when it carries an IP packet, as in BSD; unless that packet belongs
 * to an IPComp tunnel inside of it.
 */
static inline bool
tdo_layer_carries_tunnel(const struct tdo_sa *sa, uint8_t next)
{
	if (next != TDO_IPPROTO_IPIP && next != TDO_IPPROTO_IPV6)
		return false;
	return sa->id.mode == TDO_MODE_TUNNEL ||
	       (sa->id.mode == TDO_MODE_ANY && !tdo_sad_carries_bare(sa));
}

/*
 * The content takes the place of the IPsec header, which nh_off announced, or, in tunnel mode, of
 * the whole packet.  The packet is parsed again, and the SA is in its history.
 */
static inline enum tdo_reason
tdo_layer_strip(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *p,
    const struct tdo_content *c, uint16_t nh_off)
{
	bool tunnel = tdo_layer_carries_tunnel(sa, c->next);
	enum tdo_reason r;

	if (sa->id.mode == TDO_MODE_TUNNEL && !tunnel)
		return TDO_REASON_IN_MODE;
	r = tunnel ? tdo_layer_strip_tunnel(w, sa, p, c) : tdo_layer_strip_transport(p, c, nh_off);
	if (r != TDO_REASON_NONE)
		return r;
	if (p->encap_len) {
		p->encap_len = 0;
		if (!tunnel && sa->encap)
			tdo_encap_fix_csum(w, sa, p);
	}
	p->tunnelled |= (uint8_t)(tunnel << p->nsas);
	p->sas[p->nsas++] = sa;
	return TDO_REASON_NONE;
}

/* ---- templates ---- */

/* Where header, text and ICV are; lengths are checked against the packet.  Writes nothing to it. */
typedef enum tdo_reason (*tdo_layer_layout)(
    const struct tdo_sa *sa, const struct tdo_pkt *p, struct tdo_op *op);
/* Finds the content of a packet whose ICV was right. */
typedef enum tdo_reason (*tdo_layer_open)(
    const struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_op *op, struct tdo_content *ret);

/* All that can be said of a packet before the cryptography. */
TDO_INLINE enum tdo_reason
tdo_layer_inspect(struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_op *op, uint16_t *ret_nh_off,
    uint64_t *ret_seq, tdo_layer_layout layout)
{
	enum tdo_reason r = layout(sa, p, op);
	uint64_t seq = p->seq = sa->fmt.numbered ? p->seq : 0;

	if (r != TDO_REASON_NONE)
		return r;
	*ret_nh_off = tdo_layer_announcer(tdo_pkt_data(p), &p->ip);
	if (*ret_nh_off == 0)
		return TDO_REASON_EXT_HEADER;
	if (sa->fmt.esn) {
		seq = tdo_replay_number(&sa->replay, p->seq);
		op->esn_hi = (uint32_t)(seq >> 32);
	}
	*ret_seq = seq;
	/* RFC 4303 3.4.3: without authentication a window would only help an attacker. */
	return sa->fmt.authenticated ? tdo_replay_check(&sa->replay, seq) : TDO_REASON_NONE;
}

/*
 * The halves of a transform are compiled twice for the packets of an SA: for n of them, and for
 * one, of which there are many where each packet of a burst has another SA.
 */

/* The first half for one SA; adds to *bytes. */
TDO_INLINE void
tdo_layer_begin_group_in(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n,
    const struct tdo_layer *l, tdo_layer_layout layout, uint64_t *bytes, tdo_ns now)
{
	struct tdo_sa *sa = g->sa;
	enum tdo_reason closed = tdo_layer_closed_in(w, sa, l->enable);
	struct tdo_pkt **p = b->given + g->first;
	unsigned at = b->n;

	g->at = (uint8_t)at;
	for (unsigned i = 0; i < n; i++) {
		enum tdo_reason r = closed;

		*bytes += p[i]->ip.total_len;
		if (r == TDO_REASON_NONE)
			r = tdo_layer_inspect(
			    sa, p[i], &b->op[at], &b->nh_off[at], &b->seq[at], layout);
		if (r == TDO_REASON_NONE)
			b->p[at++] = p[i];
		else
			tdo_layer_drop_in(w, p[i], sa, l, r, now);
	}
	g->kept = (uint8_t)(at - g->at);
	b->n = at;
}

/* The first half of an inbound transform. */
TDO_INLINE void
tdo_layer_begin_in(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n,
    const struct tdo_layer *l, tdo_layer_layout layout, tdo_ns now)
{
	uint64_t packets = 0, bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		packets += g[i].n;
		if (g[i].n == 1)
			tdo_layer_begin_group_in(w, b, &g[i], 1, l, layout, &bytes, now);
		else
			tdo_layer_begin_group_in(w, b, &g[i], g[i].n, l, layout, &bytes, now);
	}
	tdo_worker_stat(w, l->in, packets);
	tdo_worker_stat(w, l->in_bytes, bytes);
}

/* What the window says of a packet that is what the peer sent. */
TDO_INLINE enum tdo_reason
tdo_layer_accept(struct tdo_sa *sa, struct tdo_replay *window, const struct tdo_pkt *p,
    uint64_t seq, bool *ret_late, bool *ret_moved)
{
	uint64_t top = tdo_replay_edge(window);
	enum tdo_reason r = TDO_REASON_NONE;

	if (sa->fmt.authenticated)
		r = tdo_replay_accept_locked(window, seq);
	*ret_late = r == TDO_REASON_NONE && seq < top;
	/* The same without UDP is as good (RFC 7296 2.23), but has no ports. */
	if (sa->fmt.encap_len && r == TDO_REASON_NONE && tdo_replay_edge(window) > top &&
	    p->encap_len)
		*ret_moved |= tdo_encap_saw(sa, p);
	return r;
}

/*
 * After the cryptography: which packets of the group are what the peer sent, were not accepted
 * before, and may still use the SA.  why[i] is for the group's packet i.
 */
TDO_INLINE void
tdo_layer_admit(struct tdo_worker *w, const struct tdo_batch *b, const struct tdo_group *g,
    unsigned n, const struct tdo_layer *l, enum tdo_reason *why)
{
	struct tdo_sa *sa = g->sa;
	struct tdo_pkt *const *p = b->p + g->at;
	const struct tdo_op *op = b->op + g->at;
	const uint64_t *seq = b->seq + g->at;
	struct tdo_quota quota = tdo_quota_of(sa);
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);
	uint64_t all_late = 0;
	bool grow, late, moved = false;

	for (unsigned i = 0; i < n; i++) {
		if (op[i].status != TDO_OP_OK) {
			why[i] = tdo_layer_failed_in(sa, window, &op[i], seq[i]);
			continue;
		}
		why[i] = tdo_layer_accept(sa, window, p[i], seq[i], &late, &moved);
		if (why[i] == TDO_REASON_NONE && sa->limited &&
		    !tdo_quota_take(&quota, p[i]->ip.total_len))
			why[i] = TDO_REASON_IN_SA_EXPIRED;
		all_late += late && why[i] == TDO_REASON_NONE;
	}
	grow = tdo_replay_wants_locked(window);
	tdo_replay_unlock(window);
	if (grow || moved)
		tdo_sa_ask_to_grow(w, sa);
	if (moved)
		tdo_encap_answer(w->engine, sa);
	if (all_late > 0)
		tdo_worker_stat(w, l->late_accepted, all_late);
}

/* The second half for one SA. */
TDO_INLINE void
tdo_layer_end_group_in(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g,
    unsigned n, const struct tdo_layer *l, tdo_layer_open open, tdo_ns now)
{
	enum tdo_reason why[TDO_BURST_MAX];
	struct tdo_sa *sa = g->sa;
	struct tdo_pkt *const *p = b->p + g->at;
	const struct tdo_op *op = b->op + g->at;
	const uint16_t *nh_off = b->nh_off + g->at;
	uint64_t packets = 0, bytes = 0;

	tdo_layer_admit(w, b, g, n, l, why);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_content c;
		enum tdo_reason r = why[i];

		if (r == TDO_REASON_NONE) {
			packets++;
			bytes += p[i]->ip.total_len;
			r = open(sa, p[i], &op[i], &c);
		}
		if (r == TDO_REASON_NONE)
			r = tdo_layer_strip(w, sa, p[i], &c, nh_off[i]);
		if (r != TDO_REASON_NONE)
			tdo_layer_drop_in(w, p[i], sa, l, r, now);
	}
	tdo_group_used(w, sa, false, packets, bytes, now);
}

TDO_INLINE void
tdo_layer_end_in(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n,
    const struct tdo_layer *l, tdo_layer_open open, tdo_ns now)
{
	for (unsigned i = 0; i < n; i++) {
		if (g[i].kept == 1)
			tdo_layer_end_group_in(w, b, &g[i], 1, l, open, now);
		else if (g[i].kept > 0)
			tdo_layer_end_group_in(w, b, &g[i], g[i].kept, l, open, now);
	}
}

#endif
