/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lifetimes of SAs (RFC 4301 4.4.2.1, RFC 2367 2.3.3, 3.1.8): all four kinds, soft and hard,
 * in every state (D12, D15), and both kinds of EXPIRE always (D13, D14).
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

void
tdo_sad_tick(struct tdo_engine *e, tdo_ns now)
{
	struct tdo_sa *next;

	for (struct tdo_sa *sa = tdo_sad_mortal(e); sa; sa = next) {
		next = sa->next_mortal;
		age_one(e, sa, now);
	}
}
