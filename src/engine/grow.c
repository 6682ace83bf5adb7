/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What workers see of an SA and only the control thread may do: replay windows that want to
 * grow, limits that were reached, peers whose NAT has another mapping.  They put the SA on a stack,
 * and the control thread takes the whole stack at each tick and before an SA is let go.
 */
#include "engine/encap.h"
#include "engine/path.h"
#include "engine/sad.h"

static void
push(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sa *first = atomic_load_explicit(&e->growing, memory_order_relaxed);

	if (atomic_exchange_explicit(&sa->grow_asked, true, memory_order_acq_rel))
		return;
	do
		sa->grow_next = first;
	while (!atomic_compare_exchange_weak_explicit(
	    &e->growing, &first, sa, memory_order_release, memory_order_relaxed));
}

void
tdo_sa_ask_to_grow(struct tdo_worker *w, struct tdo_sa *sa)
{
	push(w->engine, sa);
}

void
tdo_sa_alert(struct tdo_sa *sa)
{
	push(sa->engine, sa);
}

void
tdo_sad_grow(struct tdo_engine *e)
{
	struct tdo_sa *sa, *next;

	if (atomic_load_explicit(&e->growing, memory_order_relaxed) == NULL)
		return;
	sa = atomic_exchange_explicit(&e->growing, NULL, memory_order_acquire);
	for (; sa; sa = next) {
		next = sa->grow_next;
		/* What the worker counted before it found that it had asked is seen below. */
		(void)atomic_exchange_explicit(&sa->grow_asked, false, memory_order_acq_rel);
		if (sa->in_sad)
			tdo_wheel_set(&e->sad->timers, &sa->timer, 0);
		tdo_replay_grow(&sa->replay, &e->cfg.mem, 0);
		if (sa->encap && sa->in_sad)
			tdo_encap_look(e, sa);
	}
}
