/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lifetimes of SAs (RFC 4301 4.4.2.1, RFC 2367 2.3.3, 3.1.8): all four kinds, soft and hard,
 * in every state (D12, D15), and both kinds of EXPIRE always (D13, D14).
 *
 * Nobody looks at SAs that have nothing to happen to: each waits on a wheel for the end of its
 * next lifetime in time, and who uses it says when packets, bytes or the first use matter.
 */
#include "engine/sad.h"

/* An entry expires when its age in whole seconds is greater than the lifetime (spec 4.3). */
static bool
too_old(uint64_t limit, tdo_ns since, tdo_ns now)
{
	return limit != 0 && tdo_age(since, now) > limit;
}

static bool
reached(const struct tdo_sa *sa, const struct tdo_lifetime *l, tdo_ns now)
{
	tdo_ns used = atomic_load_explicit(&sa->first_use, memory_order_relaxed);
	uint64_t packets = atomic_load_explicit(&sa->packets, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&sa->bytes, memory_order_relaxed);

	return too_old(l->addtime, sa->created, now) ||
	       (used != 0 && too_old(l->usetime, used, now)) ||
	       (l->allocations != 0 && packets >= l->allocations) ||
	       (l->bytes != 0 && bytes >= l->bytes);
}

static void
soften(struct tdo_engine *e, struct tdo_sa *sa)
{
	sa->soft_sent = true;
	atomic_store_explicit(&sa->state, TDO_SA_DYING, memory_order_relaxed);
	tdo_sad_out_soften(sa);
	tdo_engine_changed(e);
	tdo_event_sa(e, sa, TDO_EVENT_EXPIRE_SOFT);
}

static void
age_one(struct tdo_engine *e, struct tdo_sa *sa, tdo_ns now)
{
	if (atomic_load_explicit(&sa->state, memory_order_relaxed) == TDO_SA_LARVAL) {
		uint64_t limit = (uint64_t)tdo_knob(e, TDO_KNOB_LARVAL_LIFETIME, sa->id.dst.af);

		/* Nobody was told about it, so nobody is told that it is gone. */
		if (too_old(limit, sa->created, now))
			tdo_sad_remove(e, sa);
		return;
	}
	if (!sa->soft_sent && reached(sa, &sa->soft, now))
		soften(e, sa);
	if (reached(sa, &sa->hard, now)) {
		tdo_event_sa(e, sa, TDO_EVENT_EXPIRE_HARD);
		tdo_sad_remove(e, sa);
	}
}

/* ---- waiting ------------------------------------------------------------------------ */

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
limit_or_none(uint64_t limit)
{
	return limit ? limit : UINT64_MAX;
}

static tdo_ns
next_end(const struct tdo_sa *sa, const struct tdo_lifetime *l)
{
	tdo_ns used = atomic_load_explicit(&sa->first_use, memory_order_relaxed);

	return least(
	    tdo_end_of(l->addtime, sa->created), used ? tdo_end_of(l->usetime, used) : UINT64_MAX);
}

static tdo_ns
larval_end(const struct tdo_engine *e, const struct tdo_sa *sa)
{
	return tdo_end_of(
	    (uint64_t)tdo_knob(e, TDO_KNOB_LARVAL_LIFETIME, sa->id.dst.af), sa->created);
}

void
tdo_life_arm(struct tdo_engine *e, struct tdo_sa *sa)
{
	static const struct tdo_lifetime none;
	const struct tdo_lifetime *s = sa->soft_sent ? &none : &sa->soft, *h = &sa->hard;
	bool larval = atomic_load_explicit(&sa->state, memory_order_relaxed) == TDO_SA_LARVAL;
	uint64_t packets = least(limit_or_none(s->allocations), limit_or_none(h->allocations));
	uint64_t bytes = least(limit_or_none(s->bytes), limit_or_none(h->bytes));
	tdo_ns at = larval ? larval_end(e, sa) : least(next_end(sa, s), next_end(sa, h));

	/* They only rise: who counts across a limit finds it, or the one before, and tells. */
	atomic_store_explicit(&sa->alert_packets, packets, memory_order_relaxed);
	atomic_store_explicit(&sa->alert_bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&sa->alert_use, s->usetime || h->usetime, memory_order_relaxed);
	if (atomic_load_explicit(&sa->packets, memory_order_relaxed) >= packets ||
	    atomic_load_explicit(&sa->bytes, memory_order_relaxed) >= bytes)
		at = 0;
	if (at == UINT64_MAX)
		tdo_life_disarm(e, sa);
	else
		tdo_wheel_set(&e->sad->timers, &sa->timer, at);
}

void
tdo_life_disarm(struct tdo_engine *e, struct tdo_sa *sa)
{
	tdo_wheel_clear(&e->sad->timers, &sa->timer);
}

/* Another lifetime of larval SAs counts for those that there are, too. */
void
tdo_sad_larval_changed(struct tdo_engine *e)
{
	for (struct tdo_sa *sa = e->sad->first; sa; sa = sa->next)
		if (atomic_load_explicit(&sa->state, memory_order_relaxed) == TDO_SA_LARVAL)
			tdo_life_arm(e, sa);
}

bool
tdo_sad_tick(struct tdo_engine *e, tdo_ns now)
{
	unsigned budget = TDO_TICK_STEPS;
	struct tdo_wheel_node *n;

	while ((n = tdo_wheel_due(&e->sad->timers, now, &budget)) != NULL) {
		struct tdo_sa *sa = TDO_CONTAINER_OF(n, struct tdo_sa, timer);

		age_one(e, sa, now);
		if (sa->in_sad)
			tdo_life_arm(e, sa);
	}
	return budget == 0;
}
