/* SPDX-License-Identifier: BSD-2-Clause */
/* The outbound half of layer.h: an IPsec header is put on the packets of a burst. */
#ifndef TDO_ENGINE_LAYER_OUT_H
#define TDO_ENGINE_LAYER_OUT_H

#include <string.h>

#include "engine/layer.h"
#include "wire/ip.h"
#include "wire/offload.h"

/* What the SA does to one packet, in bytes. */
struct tdo_layer_room {
	uint32_t payload; /* of the packet: all of it in tunnel mode, else what is behind esp_off */
	uint32_t pad;     /* padding behind the payload */
	uint32_t front;   /* in front of the payload */
};

static inline bool
tdo_layer_tunnels(const struct tdo_pkt *p)
{
	return (p->tunnelled >> p->layer & 1) != 0;
}

/* What drivers can authenticate, with the extended number, behind the fixed header of IPv6. */
#define TDO_LAYER_IP6_MAX (TDO_OP_LEN_MAX - TDO_ESN_LEN)

/* The largest packet: RFC 8200 3, the length field of IPv6 does not count the fixed header. */
static inline uint32_t
tdo_layer_max(const struct tdo_format *x, const struct tdo_pkt *p, bool tunnel)
{
	bool v6 = tunnel ? x->outer_len == TDO_IP6_HLEN : p->ip.flow.src.af == TDO_AF_INET6;

	return v6 ? TDO_IP6_HLEN + TDO_LAYER_IP6_MAX : TDO_PKT_MAXLEN;
}

/*
 * The packet as it is about to be put under a header: what the kernel left to do is done, and
 * what stands behind its end is cut off.
 */
static inline enum tdo_reason
tdo_layer_ready(struct tdo_pkt *p, bool tunnel, uint32_t *ret_payload)
{
	uint32_t fixed = tunnel ? 0u : p->ip.esp_off;

	if ((p->flags & TDO_PKT_CSUM_PARTIAL) && !tdo_csum_complete(p))
		return TDO_REASON_SHORT;
	if (p->ip.total_len < fixed || !tdo_pkt_trim(p, p->ip.total_len))
		return TDO_REASON_SHORT;
	*ret_payload = p->len - fixed;
	return TDO_REASON_NONE;
}

/* Bytes in front of the payload. */
static inline uint32_t
tdo_layer_front(const struct tdo_format *x, bool tunnel)
{
	return x->front[tunnel];
}

/*
 * Finds room around the packet.  Nothing is written to it yet except a checksum that was left
 * to do, which belongs to the packet anyhow.
 */
TDO_INLINE enum tdo_reason
tdo_layer_reserve(const struct tdo_format *x, struct tdo_pkt *p, struct tdo_layer_room *ret)
{
	bool tunnel = tdo_layer_tunnels(p);
	uint32_t front = tdo_layer_front(x, tunnel), back;
	enum tdo_reason r;

	if (tunnel && x->outer_len == 0)
		return TDO_REASON_OUT_FAMILY;
	r = tdo_layer_ready(p, tunnel, &ret->payload);
	if (r != TDO_REASON_NONE)
		return r;
	ret->front = front;
	ret->pad = -(ret->payload + x->trailer_len) & (x->align - 1u);
	back = ret->pad + x->trailer_len + x->icv_len;
	if (p->len + front + back > TDO_PKT_MAXLEN &&
	    p->len + front + back > tdo_layer_max(x, p, tunnel))
		return TDO_REASON_NO_ROOM;
	if (front > p->off || back + x->scratch_len > p->cap - p->off - p->len)
		return TDO_REASON_NO_ROOM;
	return TDO_REASON_NONE;
}

/* Drops what cannot be sent; the others stand in the batch then, how many is returned. */
TDO_INLINE unsigned
tdo_layer_select_out(struct tdo_worker *w, const struct tdo_group *g, struct tdo_batch *b,
    const struct tdo_layer *l, struct tdo_layer_room *ret_room, tdo_ns now)
{
	struct tdo_sa *sa = g->sa;
	enum tdo_reason closed = tdo_layer_closed_out(w, sa, l->enable);
	struct tdo_quota quota = tdo_quota_of(sa);
	struct tdo_pkt *const *given = b->given + g->first, **left = b->p + b->n;
	unsigned kept = 0, n = g->n;

	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *p = given[i];
		enum tdo_reason r = closed;

		if (r == TDO_REASON_NONE)
			r = tdo_layer_reserve(&sa->fmt, p, &ret_room[kept]);
		if (r == TDO_REASON_NONE && sa->limited && !tdo_quota_take(&quota, p->len))
			r = TDO_REASON_OUT_SA_EXPIRED;
		if (r == TDO_REASON_NONE)
			left[kept++] = p;
		else
			tdo_worker_drop(w, p, sa, r, now);
	}
	return kept;
}

/*
 * Takes up to n sequence numbers: how many, and the one before the first.  The counter stops
 * at the maximum and never begins again (RFC 4303 3.3.3, RFC 4302 3.3.2, D36).
 */
static inline unsigned
tdo_layer_take_seq(struct tdo_sa *sa, unsigned n, uint64_t *ret_last)
{
	/* Old formats have no numbers that could end. */
	uint64_t max = sa->fmt.numbered && !sa->fmt.esn ? UINT32_MAX : UINT64_MAX;
	uint64_t last = atomic_load_explicit(sa->out_seq, memory_order_relaxed);
	unsigned got;

	do {
		got = n;
		if (last >= max)
			return 0;
		if (max - last < n)
			got = (unsigned)(max - last);
	} while (!atomic_compare_exchange_weak_explicit(
	    sa->out_seq, &last, last + got, memory_order_relaxed, memory_order_relaxed));
	*ret_last = last;
	return got;
}

/*
 * Moves the IP header in front of the new header, of gap bytes, and lets it announce proto
 * (RFC 4303 3.1.1, RFC 4302 3.1.1).
 */
static inline uint8_t
tdo_layer_put_transport(struct tdo_pkt *p, uint8_t proto, uint32_t gap)
{
	uint8_t *hdr = tdo_pkt_data(p);
	uint8_t next = p->ip.esp_nh;

	tdo_layer_move(hdr, hdr + gap, p->ip.esp_off);
	tdo_ip_rewrite(hdr, p->ip.nh_off, proto, p->len);
	p->ip.flow.proto = proto;
	p->ip.flow.has_ports = false;
	p->ip.flow.sport = p->ip.flow.dport = 0;
	p->ip.l4_off = p->ip.esp_off;
	p->ip.esp_nh = proto;
	p->ip.total_len = p->len;
	return next;
}

/* Puts an outer header that announces proto in front; returns what the new header announces. */
static inline uint8_t
tdo_layer_put_tunnel(
    struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint8_t proto, uint32_t front)
{
	bool v4 = p->ip.flow.src.af == TDO_AF_INET;

	tdo_worker_stat(w, TDO_STAT_TUNNEL_OUT, 1);
	tdo_worker_stat(w, TDO_STAT_TUNNEL_OUT_BYTES, p->ip.total_len);
	tdo_tunnel_put(w, sa, p, proto, tdo_pkt_data(p) + front);
	/* Through an IPv6 tunnel an IPv4 packet with DF clear may still be cut by us: outside. */
	if (p->ip.flow.src.af == TDO_AF_INET)
		p->flags = (uint8_t)(p->ip.df ? p->flags | TDO_PKT_DF : p->flags & ~TDO_PKT_DF);
	return v4 ? TDO_IPPROTO_IPIP : TDO_IPPROTO_IPV6;
}

/*
 * Makes p longer by front bytes, which are the SA's header, with a UDP header and an outer header
 * if the packet gets them, and by back bytes behind it.  The room is there
 * (tdo_layer_reserve).  The new header, not written yet, is at l4_off; its next header field is
 * returned.
 */
TDO_INLINE uint8_t
tdo_layer_put(
    struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint32_t front, uint32_t back)
{
	bool tunnel = tdo_layer_tunnels(p);
	uint8_t proto = sa->fmt.encap_len ? TDO_IPPROTO_UDP : sa->id.proto;

	p->off -= front;
	p->len += front + back;
	return tunnel ? tdo_layer_put_tunnel(w, sa, p, proto, front)
		      : tdo_layer_put_transport(p, proto, front);
}

/* ---- layer_out.c: more padding than ESP needs ---- */

/* To random lengths, up to text bytes (esp_randpad). */
void tdo_layer_pad_to(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n, uint32_t text);
/* RFC 4303 2.7: payloads of up to len bytes, as far as packets may be that long. */
void tdo_layer_pad_tfc(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n, uint32_t len);

/* pipe_out.c: tdo_out_inner_mtu() for the SAs that are not applied yet. */
uint32_t tdo_layer_inner_mtu(const struct tdo_pkt *p, uint32_t mtu);

/* What the SA's payloads are padded to; 0: nothing. */
static inline uint32_t
tdo_layer_tfc(const struct tdo_worker *w, const struct tdo_sa *sa)
{
	return sa->fmt.tfc ? sa->tfc
			   : (uint32_t)tdo_knob(w->engine, TDO_KNOB_TFC_PAD, sa->id.dst.af);
}

static inline void
tdo_layer_pad_more(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n)
{
	int32_t text = tdo_knob(w->engine, TDO_KNOB_ESP_RANDPAD, sa->id.dst.af);
	uint32_t tfc = tdo_layer_tfc(w, sa);

	if (tfc > 0)
		tdo_layer_pad_tfc(w, sa, p, room, n, tfc);
	if (text > 0)
		tdo_layer_pad_to(w, sa, p, room, n, (uint32_t)text);
}

/* Writes one packet and its operation; returns how long it is. */
typedef uint32_t (*tdo_layer_build)(struct tdo_worker *w, const struct tdo_sa *sa,
    struct tdo_pkt *p, const struct tdo_layer_room *room, uint64_t seq, struct tdo_op *op);

/* The first half of an outbound transform. */
TDO_INLINE void
tdo_layer_begin_out(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n,
    const struct tdo_layer *l, tdo_layer_build build, tdo_ns now)
{
	struct tdo_layer_room room[TDO_BURST_MAX];

	for (unsigned k = 0; k < n; k++) {
		struct tdo_sa *sa = g[k].sa;
		struct tdo_pkt **p = b->p + b->n;
		struct tdo_op *op = b->op + b->n;
		unsigned kept = tdo_layer_select_out(w, &g[k], b, l, room, now), got = 0;
		uint64_t last = 0, bytes = 0;

		if (l->pads)
			tdo_layer_pad_more(w, sa, p, room, kept);
		if (kept > 0)
			got = tdo_layer_take_seq(sa, kept, &last);
		for (unsigned i = got; i < kept; i++)
			tdo_worker_drop(w, p[i], sa, TDO_REASON_OUT_SEQ_WRAP, now);
		for (unsigned i = 0; i < got; i++)
			/* NOLINTNEXTLINE: no more than tdo_layer_select_out() filled */
			bytes += build(w, sa, p[i], &room[i], last + 1 + i, &op[i]);
		/* Here, while the counters are at hand: the cryptography evicts them. */
		tdo_group_used(w, sa, true, got, bytes, now);
		g[k].at = (uint8_t)b->n;
		g[k].kept = (uint8_t)got;
		b->n += got;
	}
}

/* What is left to do when the cryptography of one packet succeeded. */
typedef void (*tdo_layer_finish)(struct tdo_pkt *p, struct tdo_op *op);

/* One packet whose cryptography failed. */
void tdo_layer_failed_out(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now); /* layer_out.c */

/* The SA that is being put on p; borrowed as constant by the packet's owner only. */
static inline struct tdo_sa *
tdo_layer_sa_out(const struct tdo_pkt *p)
{
	return (struct tdo_sa *)(uintptr_t)p->sas[p->layer];
}

/* The second half, for n groups whose packets stand in a row. */
TDO_INLINE void
tdo_layer_end_out(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n,
    const struct tdo_layer *l, tdo_layer_finish finish, tdo_ns now)
{
	unsigned past = (unsigned)g[n - 1].at + g[n - 1].kept;
	uint64_t packets = 0, bytes = 0;

	for (unsigned i = g[0].at; i < past; i++) {
		struct tdo_pkt *p = b->p[i];

		if (b->op[i].status != TDO_OP_OK) {
			tdo_layer_failed_out(w, p, now);
			continue;
		}
		finish(p, &b->op[i]);
		packets++;
		bytes += p->len;
	}
	tdo_worker_stat(w, l->out, packets);
	tdo_worker_stat(w, l->out_bytes, bytes);
}

#endif
