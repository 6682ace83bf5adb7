/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay windows that want to grow.  Workers see that they do and may not allocate; they put the
 * SA on a stack, and the control thread takes the whole stack at each tick and before an SA is
 * let go.
 */
#include "engine/control.h"
#include "engine/path.h"

void
tdo_sa_ask_to_grow(struct tdo_worker *w, struct tdo_sa *sa)
{
	struct tdo_engine *e = w->engine;
	struct tdo_sa *first = atomic_load_explicit(&e->growing, memory_order_relaxed);

	if (atomic_exchange_explicit(&sa->grow_asked, true, memory_order_acq_rel))
		return;
	do
		sa->grow_next = first;
	while (!atomic_compare_exchange_weak_explicit(
	    &e->growing, &first, sa, memory_order_release, memory_order_relaxed));
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
		atomic_store_explicit(&sa->grow_asked, false, memory_order_release);
		tdo_replay_grow(&sa->replay, &e->cfg.mem, 0);
	}
}
