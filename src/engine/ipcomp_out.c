/* SPDX-License-Identifier: BSD-2-Clause */
/* Outbound IPComp (RFC 3173 2.1, 2.2).  Nothing is left for the cryptography of the burst. */
#include "base/be.h"
#include "engine/ipcomp.h"
#include "engine/layer_out.h"

/* RFC 3173 2.2, "adaptive algorithm": docs/decisions/0008-ipcomp.md. */
enum {
	FAILS = 4,     /* attempts in a row before the first rest */
	REST_MIN = 4,  /* packets that are not tried then */
	DOUBLINGS = 4, /* of the rest, one for each further failure: up to 64 packets */
};

/* Workers that share an SA may disturb each other's counting; that does not matter. */
static uint32_t
get(const _Atomic uint32_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void
set(_Atomic uint32_t *v, uint32_t to)
{
	if (get(v) != to)
		atomic_store_explicit(v, to, memory_order_relaxed);
}

static bool
rests(struct tdo_comp_sa *c)
{
	uint32_t left = get(&c->skip);

	if (left > 0)
		set(&c->skip, left - 1);
	return left > 0;
}

static void
did_not_shrink(struct tdo_comp_sa *c)
{
	uint32_t fails = get(&c->fails) + 1;

	if (fails > FAILS + DOUBLINGS)
		fails = FAILS + DOUBLINGS;
	set(&c->fails, fails);
	if (fails >= FAILS)
		set(&c->skip, (uint32_t)REST_MIN << (fails - FAILS));
}

/*
 * Compresses the payload into the worker's slot.  0: the packet goes as it is, and it is counted
 * why.
 */
static uint32_t
compress(struct tdo_worker *w, struct tdo_comp_sa *c, const uint8_t *payload, uint32_t len)
{
	struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(w);
	size_t n;

	if (len < c->alg->min_len) {
		tdo_worker_stat(w, TDO_STAT_IPCOMP_MINLEN, 1);
		return 0;
	}
	if (rests(c)) {
		tdo_worker_stat(w, TDO_STAT_IPCOMP_SKIPPED, 1);
		return 0;
	}
	n = tdo_comp_deflate(
	    x->comp, c->alg, payload, len, tdo_ipcomp_slot(x), len + TDO_COMP_SLACK);
	if (n != 0 && n + TDO_IPCOMP_HLEN < len) {
		set(&c->fails, 0);
		return (uint32_t)n;
	}
	did_not_shrink(c);
	tdo_worker_stat(w, TDO_STAT_IPCOMP_USELESS, 1);
	return 0;
}

/* The n bytes in the worker's slot take the place of the payload, with the header in front. */
static void
put_compressed(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint32_t n)
{
	bool tunnel = tdo_layer_tunnels(p);
	uint8_t next, *h;

	if (tunnel) {
		p->off -= sa->fmt.outer_len;
		p->len = sa->fmt.outer_len + TDO_IPCOMP_HLEN + n;
		next = tdo_layer_put_tunnel(w, sa, p, TDO_IPPROTO_IPCOMP, sa->fmt.outer_len);
	} else {
		p->len = p->ip.esp_off + TDO_IPCOMP_HLEN + n;
		next = tdo_layer_put_transport(p, TDO_IPPROTO_IPCOMP, 0);
	}
	h = tdo_pkt_data(p) + p->ip.l4_off;
	h[TDO_IPCOMP_NH_OFF] = next;
	h[TDO_IPCOMP_FLAGS_OFF] = 0;
	tdo_put_be16(h + TDO_IPCOMP_CPI_OFF, sa->comp->cpi);
	memcpy(h + TDO_IPCOMP_HLEN, tdo_ipcomp_slot(tdo_ipcomp_work_of(w)), n);
	p->spi = sa->comp->cpi;
	if (p->layer + 1u == p->nsas &&
	    !atomic_load_explicit(&sa->comp->outside, memory_order_relaxed))
		atomic_store_explicit(&sa->comp->outside, true, memory_order_relaxed);
}

/* RFC 3173 2.2: "sent in the original non-compressed form", in a tunnel without IPComp header. */
static void
put_outer_header(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p)
{
	uint8_t proto = p->ip.flow.src.af == TDO_AF_INET ? TDO_IPPROTO_IPIP : TDO_IPPROTO_IPV6;

	p->off -= sa->fmt.outer_len;
	p->len += sa->fmt.outer_len;
	(void)tdo_layer_put_tunnel(w, sa, p, proto, sa->fmt.outer_len);
}

/* What has become of the packets of one SA. */
struct done {
	uint64_t carried, bytes;       /* something of the SA is on them */
	uint64_t packed, packed_bytes; /* with an IPComp header */
};

static enum tdo_reason
apply(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_quota *quota,
    struct done *d)
{
	bool tunnel = tdo_layer_tunnels(p);
	uint32_t payload, n, front = tunnel ? sa->fmt.outer_len : 0u;
	enum tdo_reason r;

	if (tunnel && front == 0)
		return TDO_REASON_OUT_FAMILY;
	r = tdo_layer_ready(p, tunnel, &payload);
	if (r != TDO_REASON_NONE)
		return r;
	if (!tunnel && p->ip.frag)
		return TDO_REASON_NONE; /* RFC 3173 2.1: compression is for whole datagrams */
	if (front > p->off)
		return TDO_REASON_NO_ROOM;
	n = compress(w, sa->comp, tdo_pkt_data(p) + p->len - payload, payload);
	if (n == 0 && !tunnel)
		return TDO_REASON_NONE;
	if (tunnel &&
	    front + (n ? TDO_IPCOMP_HLEN + n : payload) > tdo_layer_max(&sa->fmt, p, tunnel))
		return TDO_REASON_NO_ROOM;
	if (!tdo_quota_take(quota, p->len))
		return TDO_REASON_OUT_SA_EXPIRED;
	if (n != 0) {
		put_compressed(w, sa, p, n);
		d->packed++;
		d->packed_bytes += p->len;
	} else {
		put_outer_header(w, sa, p);
	}
	d->carried++;
	d->bytes += p->len;
	return TDO_REASON_NONE;
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned k = 0; k < n; k++) {
		struct tdo_sa *sa = g[k].sa;
		enum tdo_reason closed = tdo_layer_closed_out(w, sa, tdo_ipcomp_layer.enable);
		struct tdo_quota quota = tdo_quota_of(sa);
		struct done d = {0};

		g[k].at = (uint8_t)b->n;
		g[k].kept = 0;
		for (unsigned i = 0; i < g[k].n; i++) {
			struct tdo_pkt *p = b->given[g[k].first + i];
			enum tdo_reason r = closed;

			if (r == TDO_REASON_NONE)
				r = apply(w, sa, p, &quota, &d);
			if (r != TDO_REASON_NONE)
				tdo_worker_drop(w, p, sa, r, now);
		}
		tdo_group_used(w, sa, true, d.carried, d.bytes, now);
		tdo_worker_stat(w, tdo_ipcomp_layer.out, d.packed);
		tdo_worker_stat(w, tdo_ipcomp_layer.out_bytes, d.packed_bytes);
	}
}

const struct tdo_transform tdo_ipcomp_out = {.begin = begin};
