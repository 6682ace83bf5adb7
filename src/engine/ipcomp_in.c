/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound IPComp (RFC 3173 2.1).  Nothing is left for the cryptography of the burst.
 *
 * What comes out may not fit into the buffer of the packet: it is made in a slot of the worker, and
 * the packet keeps that slot if it has to (struct tdo_pkt says so to back ends).
 */
#include <string.h>

#include "engine/ipcomp.h"
#include "engine/layer_in.h"

/* A packet was not compressed, and the tunnel's outer header announces it itself. */
static bool
is_bare(const struct tdo_pkt *p)
{
	return p->ip.flow.proto != TDO_IPPROTO_IPCOMP;
}

/* Bytes in front of the content, and how long the content may be. */
struct frame {
	uint32_t front, max;
	uint16_t nh_off;
};

/*
 * A tunnel's content stands alone, that of transport mode behind the headers of the packet.  The
 * longest content is that of the largest IP packet of the family.
 */
static enum tdo_reason
frame_of(const struct tdo_sa *sa, const struct tdo_pkt *p, uint8_t next, struct frame *ret)
{
	bool v6 = p->ip.flow.src.af == TDO_AF_INET6;

	*ret = (struct frame){.nh_off = tdo_layer_announcer(tdo_pkt_data(p), &p->ip)};
	if (ret->nh_off == 0)
		return TDO_REASON_EXT_HEADER;
	if (tdo_layer_carries_tunnel(sa, next))
		v6 = next == TDO_IPPROTO_IPV6;
	else
		ret->front = p->ip.l4_off;
	ret->max = TDO_PKT_MAXLEN + (v6 ? TDO_IP6_HLEN : 0u) - ret->front;
	return TDO_REASON_NONE;
}

/* The packet's own buffer, or the slot in which the content is: p has front + len bytes there. */
static void
settle(struct tdo_ipcomp_work *x, struct tdo_pkt *p, uint8_t *slot, uint32_t front, uint32_t len)
{
	const uint8_t *content = slot + TDO_HEADROOM + front;

	/* A slot has room for whatever comes out: no packet takes a second one. */
	if (TDO_HEADROOM + front + len + TDO_TAILROOM <= p->cap) {
		memmove(p->buf + TDO_HEADROOM, tdo_pkt_data(p), front);
		memcpy(p->buf + TDO_HEADROOM + front, content, len);
	} else {
		memcpy(slot + TDO_HEADROOM, tdo_pkt_data(p), front);
		p->buf = slot;
		p->cap = TDO_IPCOMP_SLOT;
		x->taken++;
	}
	p->off = TDO_HEADROOM;
	p->len = front + len;
}

static enum tdo_reason
unpack(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_content *ret,
    uint16_t *ret_nh_off)
{
	struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(w);
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t len = p->ip.total_len - p->ip.l4_off;
	uint8_t *slot = tdo_ipcomp_slot(x);
	struct frame f;
	enum tdo_reason r;
	size_t n = 0;

	if (len < TDO_IPCOMP_HLEN)
		return TDO_REASON_SHORT;
	r = frame_of(sa, p, h[TDO_IPCOMP_NH_OFF], &f);
	if (r != TDO_REASON_NONE)
		return r;
	ret->next = h[TDO_IPCOMP_NH_OFF];
	switch (tdo_comp_inflate(x->comp, sa->comp->alg, h + TDO_IPCOMP_HLEN, len - TDO_IPCOMP_HLEN,
	    slot + TDO_HEADROOM + f.front, f.max, &n)) {
	case TDO_COMP_OK:
		break;
	case TDO_COMP_TOOBIG:
		return TDO_REASON_IN_INFLATE_TOO_BIG;
	default:
		return TDO_REASON_IN_INFLATE;
	}
	settle(x, p, slot, f.front, (uint32_t)n);
	ret->start = tdo_pkt_data(p) + f.front;
	ret->len = (uint32_t)n;
	*ret_nh_off = f.nh_off;
	return TDO_REASON_NONE;
}

static enum tdo_reason
take_off(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_quota *quota)
{
	struct tdo_content c = {0};
	uint16_t nh_off = 0;
	enum tdo_reason r;

	if (!tdo_quota_take(quota, p->ip.total_len))
		return TDO_REASON_IN_SA_EXPIRED;
	if (is_bare(p)) {
		c = (struct tdo_content){.start = tdo_pkt_data(p) + p->ip.l4_off,
		    .len = p->ip.total_len - p->ip.l4_off,
		    .next = p->ip.flow.proto};
		tdo_worker_stat(w, TDO_STAT_IPCOMP_IN_BARE, 1);
	} else {
		r = unpack(w, sa, p, &c, &nh_off);
		if (r != TDO_REASON_NONE)
			return r;
	}
	r = tdo_layer_strip(w, sa, p, &c, nh_off);
	/* RFC 3948 3.1.2: what ESP in UDP carried was IPComp, and the upper layer is here. */
	if (r == TDO_REASON_NONE && (p->flags & TDO_PKT_UDP_ENCAP) && p->tunnelled == 0 &&
	    p->nsas > 1 && p->sas[0]->encap)
		tdo_encap_fix_csum(w, p->sas[0], p);
	return r;
}

/*
 * A packet that is dropped goes back to its owner in his own buffer.  The slot that it may have got
 * is free again, if it is the last one.
 */
static void
drop(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_pkt *was,
    enum tdo_reason r, tdo_ns now)
{
	struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(w);

	if (p->buf != was->buf) {
		x->taken--;
		p->buf = was->buf;
		p->cap = was->cap;
		p->off = was->off;
		p->len = was->len;
	}
	tdo_layer_drop_in(w, p, sa, &tdo_ipcomp_layer, r, now);
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	uint64_t all = 0, all_bytes = 0;

	for (unsigned k = 0; k < n; k++) {
		struct tdo_sa *sa = g[k].sa;
		enum tdo_reason closed = tdo_layer_closed_in(w, sa, tdo_ipcomp_layer.enable);
		struct tdo_quota quota = tdo_quota_of(sa);
		uint64_t packets = 0, bytes = 0;

		g[k].at = (uint8_t)b->n;
		g[k].kept = 0;
		for (unsigned i = 0; i < g[k].n; i++) {
			struct tdo_pkt *p = b->given[g[k].first + i];
			struct tdo_pkt was = *p;
			enum tdo_reason r = closed;

			if (!is_bare(p)) {
				all++;
				all_bytes += was.ip.total_len;
			}
			if (r == TDO_REASON_NONE)
				r = take_off(w, sa, p, &quota);
			if (r == TDO_REASON_NONE) {
				packets++;
				bytes += was.ip.total_len;
			} else {
				drop(w, sa, p, &was, r, now);
			}
		}
		tdo_group_used(w, sa, false, packets, bytes, now);
	}
	tdo_worker_stat(w, tdo_ipcomp_layer.in, all);
	tdo_worker_stat(w, tdo_ipcomp_layer.in_bytes, all_bytes);
}

const struct tdo_transform tdo_ipcomp_in = {.begin = begin};
