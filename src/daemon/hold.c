/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that wait for an SA. */
#include "daemon/hold.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_PAUSE (5 * TDO_SEC / 1000) /* between two looks, however fast the databases change */
#define LOOK_AGAIN TDO_SEC              /* time passes also when nothing changes */

struct tdo_hold_item {
	TAILQ_ENTRY(tdo_hold_item) in_all, in_sa;
	struct tdo_pkt pkt; /* buf is behind */
	size_t size;        /* of all this */
};

void
tdo_hold_init(struct tdo_hold *h, const struct tdo_hold_ops *ops, void *ctx, _Atomic size_t *total)
{
	memset(h, 0, sizeof(*h));
	h->ops = ops;
	h->ctx = ctx;
	h->total = total;
	TAILQ_INIT(&h->all);
	for (unsigned i = 0; i < TDO_HOLD_BUCKETS; i++)
		TAILQ_INIT(&h->sa[i]);
}

/* ---- the lists ---------------------------------------------------------------------- */

static struct tdo_hold_item *
item_of(struct tdo_pkt *p)
{
	return (struct tdo_hold_item *)((char *)p - offsetof(struct tdo_hold_item, pkt));
}

static bool
same_flow(const struct tdo_flow *a, const struct tdo_flow *b)
{
	return memcmp(&a->src, &b->src, sizeof(a->src)) == 0 &&
	       memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0 && a->proto == b->proto &&
	       a->has_ports == b->has_ports && a->opaque == b->opaque &&
	       (!a->has_ports || (a->sport == b->sport && a->dport == b->dport));
}

/* FNV-1a; who makes collisions makes his own packets slower. */
static unsigned
flow_bucket(const struct tdo_flow *f)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < sizeof(f->src.b); i++)
		h = (((h ^ f->src.b[i]) * 16777619u) ^ f->dst.b[i]) * 16777619u;
	h = (h ^ f->proto) * 16777619u;
	if (f->has_ports)
		h = (((h ^ f->sport) * 16777619u) ^ f->dport) * 16777619u;
	return (h ^ h >> 16) % TDO_HOLD_BUCKETS;
}

static struct tdo_hold_list *
sa_bucket(struct tdo_hold *h, uint64_t waits_for)
{
	return &h->sa[waits_for % TDO_HOLD_BUCKETS];
}

static void
append(struct tdo_hold *h, struct tdo_hold_item *it)
{
	TAILQ_INSERT_TAIL(&h->all, it, in_all);
	TAILQ_INSERT_TAIL(sa_bucket(h, it->pkt.waits_for), it, in_sa);
	h->flow[flow_bucket(&it->pkt.ip.flow)]++;
	h->n++;
}

static void
detach(struct tdo_hold *h, struct tdo_hold_item *it)
{
	TAILQ_REMOVE(&h->all, it, in_all);
	TAILQ_REMOVE(sa_bucket(h, it->pkt.waits_for), it, in_sa);
	h->flow[flow_bucket(&it->pkt.ip.flow)]--;
	h->n--;
}

static void
item_free(struct tdo_hold *h, struct tdo_hold_item *it)
{
	atomic_fetch_sub_explicit(h->total, it->size, memory_order_relaxed);
	free(it);
}

/* The last of its flow that waits, or NULL. */
static const struct tdo_pkt *
predecessor(const struct tdo_hold *h, const struct tdo_pkt *p)
{
	const struct tdo_hold_item *it;

	if (h->flow[flow_bucket(&p->ip.flow)] == 0)
		return NULL;
	TAILQ_FOREACH_REVERSE(it, &h->all, tdo_hold_list, in_all)
	if (same_flow(&it->pkt.ip.flow, &p->ip.flow))
		return &it->pkt;
	return NULL;
}

void
tdo_hold_fini(struct tdo_hold *h)
{
	struct tdo_hold_item *it;

	while ((it = TAILQ_FIRST(&h->all)) != NULL) {
		detach(h, it);
		item_free(h, it);
	}
}

/* ---- room --------------------------------------------------------------------------- */

static void
put_out(struct tdo_hold *h, struct tdo_hold_item *it)
{
	detach(h, it);
	h->ops->full(h->ctx, &it->pkt);
	item_free(h, it);
}

/*
 * RFC 1122 2.3.2.2 wants the latest packet of a destination that is not resolved yet to be
 * kept, and it is the one that the sender still waits for: the oldest makes room.
 */
static void
make_room_for_sa(struct tdo_hold *h, uint64_t waits_for, unsigned max)
{
	struct tdo_hold_item *it = TAILQ_LAST(sa_bucket(h, waits_for), tdo_hold_list), *older;
	unsigned n = 0;

	/* From the newest on: one place must stay free. */
	for (; it != NULL; it = older) {
		older = TAILQ_PREV(it, tdo_hold_list, in_sa);
		if (it->pkt.waits_for == waits_for && ++n >= max)
			put_out(h, it);
	}
}

/* The bytes are shared by all workers; everyone puts out his own packets only. */
static bool
reserve(struct tdo_hold *h, size_t size, size_t max)
{
	for (;;) {
		size_t had = atomic_fetch_add_explicit(h->total, size, memory_order_relaxed);

		if (size <= max && had <= max - size)
			return true;
		atomic_fetch_sub_explicit(h->total, size, memory_order_relaxed);
		if (size > max || TAILQ_EMPTY(&h->all))
			return false;
		put_out(h, TAILQ_FIRST(&h->all)); /* NOLINT: it takes it off the list */
	}
}

static struct tdo_hold_item *
copy(struct tdo_hold *h, const struct tdo_pkt *p, size_t max)
{
	size_t cap = (size_t)TDO_HEADROOM + p->len + TDO_TAILROOM;
	size_t size = sizeof(struct tdo_hold_item) + cap;
	struct tdo_hold_item *it;

	if (!reserve(h, size, max))
		return NULL;
	it = malloc(size);
	if (it == NULL) {
		atomic_fetch_sub_explicit(h->total, size, memory_order_relaxed);
		return NULL;
	}
	it->size = size;
	it->pkt = *p;
	it->pkt.buf = (uint8_t *)(it + 1);
	it->pkt.cap = (uint32_t)cap;
	it->pkt.off = TDO_HEADROOM;
	memcpy(tdo_pkt_data(&it->pkt), tdo_pkt_data(p), p->len);
	return it;
}

static bool
may_go(const struct tdo_pkt *p)
{
	return p->verdict == TDO_VERDICT_PASS || p->verdict == TDO_VERDICT_PROTECT;
}

/* Pointers into the databases must not be kept. */
static void
forget_decision(struct tdo_pkt *p)
{
	p->sp = NULL;
	p->nsas = 0;
	p->tunnelled = 0;
}

static void
put(struct tdo_hold *h, const struct tdo_hold_limits *lim, struct tdo_pkt *p)
{
	struct tdo_hold_item *it;

	forget_decision(p);
	make_room_for_sa(h, p->waits_for, lim->packets);
	it = lim->packets > 0 ? copy(h, p, lim->bytes) : NULL;
	if (it == NULL)
		h->ops->full(h->ctx, p);
	else
		append(h, it);
}

/* ---- looking again ------------------------------------------------------------------ */

bool
tdo_hold_due(const struct tdo_hold *h, uint32_t generation, tdo_ns now)
{
	tdo_ns pause = generation != h->generation ? LOOK_PAUSE : LOOK_AGAIN;

	return h->n > 0 && now - h->looked >= pause;
}

/* True when it goes; else it waits on, at the end of the list. */
static bool
go_or_wait(struct tdo_hold *h, struct tdo_pkt *p)
{
	bool goes = may_go(p);

	if (p->verdict == TDO_VERDICT_HOLD || (goes && predecessor(h, p) != NULL)) {
		forget_decision(p);
		append(h, item_of(p));
		return false;
	}
	if (goes)
		h->ops->send(h->ctx, p);
	return true;
}

/* The first packets of a list that is not the queue's any more, in order. */
static void
look_at_some(struct tdo_hold *h, struct tdo_hold_list *old)
{
	struct tdo_pkt *p[TDO_BURST_MAX], *done[TDO_BURST_MAX];
	struct tdo_hold_item *it;
	unsigned n = 0, ndone = 0;

	while (n < TDO_BURST_MAX && (it = TAILQ_FIRST(old)) != NULL) {
		TAILQ_REMOVE(old, it, in_all);
		p[n++] = &it->pkt;
	}
	h->ops->classify(h->ctx, p, n);
	for (unsigned i = 0; i < n; i++)
		if (go_or_wait(h, p[i]))
			done[ndone++] = p[i];
	if (ndone > 0)
		h->ops->flush(h->ctx);
	for (unsigned i = 0; i < ndone; i++)
		item_free(h, item_of(done[i]));
}

void
tdo_hold_look(struct tdo_hold *h, uint32_t generation, tdo_ns now)
{
	struct tdo_hold_list old = TAILQ_HEAD_INITIALIZER(old);
	struct tdo_hold_item *it;

	h->generation = generation;
	h->looked = now;
	/* What is in the queue then has been looked at, and is earlier than what has not. */
	while ((it = TAILQ_FIRST(&h->all)) != NULL) {
		detach(h, it);
		TAILQ_INSERT_TAIL(&old, it, in_all);
	}
	while (!TAILQ_EMPTY(&old))
		look_at_some(h, &old);
}

/* ---- new packets -------------------------------------------------------------------- */

static bool
somebody_overtakes(const struct tdo_hold *h, struct tdo_pkt *const *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (may_go(p[i]) && predecessor(h, p[i]) != NULL)
			return true;
	return false;
}

/* It could go, but an earlier one of its flow waits, and goes first. */
static void
put_behind(struct tdo_hold *h, const struct tdo_hold_limits *lim, struct tdo_pkt *p,
    const struct tdo_pkt *first, tdo_ns now)
{
	p->held = now ? now : 1;
	p->waits_for = first->waits_for;
	if (p->verdict == TDO_VERDICT_PROTECT)
		p->flags |= TDO_PKT_NO_CLEAR;
	put(h, lim, p);
}

void
tdo_hold_burst(struct tdo_hold *h, const struct tdo_hold_limits *lim, struct tdo_pkt *const *p,
    unsigned n, uint32_t generation, tdo_ns now)
{
	if (h->n > 0 && generation != h->generation && somebody_overtakes(h, p, n))
		tdo_hold_look(h, generation, now);
	for (unsigned i = 0; i < n; i++) {
		const struct tdo_pkt *first = may_go(p[i]) ? predecessor(h, p[i]) : NULL;

		if (p[i]->verdict == TDO_VERDICT_HOLD)
			put(h, lim, p[i]);
		else if (first != NULL)
			put_behind(h, lim, p[i], first, now);
		else if (may_go(p[i]))
			h->ops->send(h->ctx, p[i]);
	}
}
