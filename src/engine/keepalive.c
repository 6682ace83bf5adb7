/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keepalives (RFC 3948 4): a NAT in front of this host forgets a mapping through which nothing was
 * sent for a while, and the peer's packets do not find back.  Whether there is one only key
 * management knows, so every peer that SAs in UDP go to is one to be kept; SAs that go the same
 * way, from and to the same ports, keep it together.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/sad.h"

/* How SAs go to a peer; [0]: from, [1]: to. */
struct way {
	struct tdo_addr addr[2];
	uint16_t port[2];
};

struct tdo_nat_peer {
	struct tdo_hnode node;
	struct way way;
	struct tdo_encap *first; /* the SAs */
	struct tdo_wheel_node timer;
	tdo_ns sent; /* the last keepalive, or when the first SA was made */
	struct tdo_qsbr_node retired;
};

int
tdo_keepalive_new(struct tdo_engine *e)
{
	tdo_wheel_init(&e->udp->timers);
	return tdo_htab_init(&e->udp->peers, &e->cfg.mem, &e->qsbr);
}

void
tdo_keepalive_free(struct tdo_engine *e)
{
	tdo_htab_fini(&e->udp->peers);
}

/* ---- peers -------------------------------------------------------------------------------- */

static struct way
way_of(const struct tdo_sa *sa)
{
	return (struct way){
	    .addr = {sa->id.src, sa->id.dst}, .port = {sa->param.natt.sport, sa->param.natt.dport}};
}

static bool
same_way(const struct way *a, const struct way *b)
{
	return a->port[0] == b->port[0] && a->port[1] == b->port[1] &&
	       tdo_addr_equal(&a->addr[0], &b->addr[0]) && tdo_addr_equal(&a->addr[1], &b->addr[1]);
}

static uint64_t
hash_way(const struct tdo_engine *e, const struct way *w)
{
	return tdo_siphash(&e->hash_key, w, sizeof(*w));
}

_Static_assert(sizeof(struct way) == 2 * sizeof(struct tdo_addr) + 4, "nothing unset is hashed");

static struct tdo_nat_peer *
find_peer(const struct tdo_engine *e, const struct way *way)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&e->udp->peers, hash_way(e, way), &w);

	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_nat_peer *p = TDO_CONTAINER_OF(n, struct tdo_nat_peer, node);

		if (same_way(&p->way, way))
			return p;
	}
	return NULL;
}

/* 0: keepalives are off. */
static tdo_ns
interval_of(const struct tdo_engine *e)
{
	return (tdo_ns)tdo_knob(e, TDO_KNOB_NATT_KEEPALIVE, TDO_AF_INET) * TDO_SEC;
}

static void
arm(struct tdo_engine *e, struct tdo_nat_peer *p, tdo_ns since)
{
	tdo_ns interval = interval_of(e);

	if (interval == 0)
		tdo_wheel_clear(&e->udp->timers, &p->timer);
	else
		tdo_wheel_set(&e->udp->timers, &p->timer, since + interval);
}

static void
link_sa(struct tdo_nat_peer *p, struct tdo_encap *x)
{
	x->peer = p;
	x->peer_prev = NULL;
	x->peer_next = p->first;
	if (p->first)
		p->first->peer_prev = x;
	p->first = x;
}

int
tdo_keepalive_join(struct tdo_engine *e, struct tdo_sa *sa, tdo_ns now)
{
	struct way way = way_of(sa);
	struct tdo_nat_peer *p;

	if (e->cfg.natt.keepalive == NULL)
		return 0;
	p = find_peer(e, &way);
	if (p == NULL) {
		p = tdo_engine_alloc(e, sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		p->way = way;
		p->sent = now;
		tdo_htab_insert(&e->udp->peers, &p->node, hash_way(e, &way));
		arm(e, p, now);
	}
	link_sa(p, sa->encap);
	return 0;
}

static void
free_peer(void *ctx, struct tdo_qsbr_node *node)
{
	tdo_engine_release(
	    ctx, TDO_CONTAINER_OF(node, struct tdo_nat_peer, retired), sizeof(struct tdo_nat_peer));
}

void
tdo_keepalive_leave(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_encap *x = sa->encap;
	struct tdo_nat_peer *p = x->peer;

	if (p == NULL)
		return;
	*(x->peer_prev ? &x->peer_prev->peer_next : &p->first) = x->peer_next;
	if (x->peer_next)
		x->peer_next->peer_prev = x->peer_prev;
	x->peer = NULL;
	if (p->first)
		return;
	tdo_wheel_clear(&e->udp->timers, &p->timer);
	tdo_htab_remove(&e->udp->peers, &p->node);
	tdo_qsbr_retire(&e->qsbr, &p->retired, free_peer);
}

/*
 * Without memory the new way is not kept alive: whoever sends seldom is reached again when he does
 * send, as if the NAT had forgotten him.
 */
void
tdo_keepalive_moved(struct tdo_engine *e, struct tdo_sa *sa)
{
	tdo_ns now = e->last_tick;

	if (sa->encap->peer)
		now = sa->encap->peer->sent;
	tdo_keepalive_leave(e, sa);
	if (tdo_keepalive_join(e, sa, now) != 0)
		tdo_engine_log(e, TDO_LOG_WARN, "no memory to keep the new mapping of a NAT alive");
}

/* ---- time --------------------------------------------------------------------------------- */

/* When something was sent last; false: none of the SAs may send. */
static bool
last_sent(const struct tdo_nat_peer *p, tdo_ns *ret)
{
	tdo_ns last = p->sent;
	bool usable = false;

	for (const struct tdo_encap *x = p->first; x; x = x->peer_next) {
		uint8_t state = atomic_load_explicit(&x->sa->state, memory_order_relaxed);
		tdo_ns used = atomic_load_explicit(&x->sa->last_use, memory_order_relaxed);

		usable |= state == TDO_SA_MATURE || state == TDO_SA_DYING;
		if (used > last)
			last = used;
	}
	*ret = last;
	return usable;
}

static void
keep(struct tdo_engine *e, struct tdo_nat_peer *p, tdo_ns now)
{
	const struct way *w = &p->way;
	tdo_ns last;

	/* What comes to this host is another peer's to keep. */
	if (!last_sent(p, &last) || !tdo_is_local(e, &w->addr[0])) {
		arm(e, p, now);
		return;
	}
	if (last + interval_of(e) <= now) {
		e->cfg.natt.keepalive(
		    e->cfg.natt.ctx, &w->addr[0], &w->addr[1], w->port[0], w->port[1]);
		p->sent = last = now;
	}
	arm(e, p, last);
}

bool
tdo_keepalive_tick(struct tdo_engine *e, tdo_ns now)
{
	unsigned budget = TDO_TICK_STEPS;
	struct tdo_wheel_node *n;

	while ((n = tdo_wheel_due(&e->udp->timers, now, &budget)) != NULL)
		keep(e, TDO_CONTAINER_OF(n, struct tdo_nat_peer, timer), now);
	return budget == 0;
}

static void
arm_again(void *ctx, struct tdo_hnode *node)
{
	struct tdo_nat_peer *p = TDO_CONTAINER_OF(node, struct tdo_nat_peer, node);
	tdo_ns last;

	(void)last_sent(p, &last);
	arm(ctx, p, last);
}

void
tdo_keepalive_changed(struct tdo_engine *e)
{
	tdo_htab_each(&e->udp->peers, arm_again, e);
}
