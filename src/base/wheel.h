/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers for very many objects: a hierarchical wheel (Varghese, Lauck 1987), intrusive, so that
 * setting one cannot fail.  One thread.  What is to be done at one moment is done in steps of
 * the caller's size.
 */
#ifndef TDO_BASE_WHEEL_H
#define TDO_BASE_WHEEL_H

#include "testudo/types.h"

#define TDO_WHEEL_LEVELS 7
#define TDO_WHEEL_SLOTS  64

struct tdo_wheel_node {
	struct tdo_wheel_node *next, *prev; /* a ring with its slot; NULL: not set */
	tdo_ns at;
};

struct tdo_wheel {
	uint64_t cur; /* unit of time that was reached */
	size_t n;
	uint64_t used[TDO_WHEEL_LEVELS]; /* bit: the slot may have nodes */
	struct tdo_wheel_node slot[TDO_WHEEL_LEVELS][TDO_WHEEL_SLOTS];
};

void tdo_wheel_init(struct tdo_wheel *w);
/* Sets a timer; one that is set is set anew. */
void tdo_wheel_set(struct tdo_wheel *w, struct tdo_wheel_node *n, tdo_ns at);
/* Does nothing when it is not set. */
void tdo_wheel_clear(struct tdo_wheel *w, struct tdo_wheel_node *n);
/*
 * The next timer with at <= now, which is cleared by this; NULL when there is none.  Every node
 * that is touched takes one from *budget: when that is 0 there may be more.
 */
struct tdo_wheel_node *tdo_wheel_due(struct tdo_wheel *w, tdo_ns now, unsigned *budget);

#endif
