/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node is at the level of the highest digit (base 64) in which its unit differs from the
 * present one, in the slot of that digit.  When time reaches a slot of a higher level, its nodes
 * go down.
 */
#include "base/wheel.h"

#define UNIT_BITS  26u /* 67 ms */
#define DIGIT_BITS 6u
#define DIGIT_MASK 63u

_Static_assert(UNIT_BITS + TDO_WHEEL_LEVELS * DIGIT_BITS >= 64, "every time has its slot");

void
tdo_wheel_init(struct tdo_wheel *w)
{
	*w = (struct tdo_wheel){0};
	for (unsigned i = 0; i < TDO_WHEEL_LEVELS * TDO_WHEEL_SLOTS; i++) {
		struct tdo_wheel_node *s = &w->slot[i / TDO_WHEEL_SLOTS][i % TDO_WHEEL_SLOTS];

		s->next = s->prev = s;
	}
}

static unsigned
digit(uint64_t unit, unsigned level)
{
	return (unsigned)(unit >> level * DIGIT_BITS) & DIGIT_MASK;
}

/* Behind the others of its slot: timers of one moment are due in the order of setting. */
static void
link_node(struct tdo_wheel *w, struct tdo_wheel_node *n)
{
	uint64_t unit = n->at >> UNIT_BITS;
	struct tdo_wheel_node *s;
	unsigned level, i;

	if (unit < w->cur)
		unit = w->cur;
	level = unit == w->cur ? 0 : (63u - (unsigned)__builtin_clzll(unit ^ w->cur)) / DIGIT_BITS;
	i = digit(unit, level);
	s = &w->slot[level][i];
	w->used[level] |= (uint64_t)1 << i;
	n->next = s;
	n->prev = s->prev;
	n->prev->next = n;
	s->prev = n;
}

static void
unlink_node(struct tdo_wheel_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

void
tdo_wheel_set(struct tdo_wheel *w, struct tdo_wheel_node *n, tdo_ns at)
{
	tdo_wheel_clear(w, n);
	n->at = at;
	link_node(w, n);
	w->n++;
}

void
tdo_wheel_clear(struct tdo_wheel *w, struct tdo_wheel_node *n)
{
	if (n->next == NULL)
		return;
	unlink_node(n);
	w->n--;
}

/* The earliest slot behind the present unit; false when all are empty. */
static bool
next_slot(const struct tdo_wheel *w, unsigned *ret_level, unsigned *ret_slot)
{
	for (unsigned level = 0; level < TDO_WHEEL_LEVELS; level++) {
		uint64_t later = w->used[level] & ~(((uint64_t)2 << digit(w->cur, level)) - 1);

		if (later == 0)
			continue;
		*ret_level = level;
		*ret_slot = (unsigned)__builtin_ctzll(later);
		return true;
	}
	return false;
}

/* Moves the nodes of the slots that time is in down to where they belong; false: not all. */
static bool
descend(struct tdo_wheel *w, unsigned *budget)
{
	for (unsigned level = TDO_WHEEL_LEVELS - 1; level > 0; level--) {
		unsigned i = digit(w->cur, level);
		struct tdo_wheel_node *s = &w->slot[level][i];

		for (; s->next != s; --*budget) {
			struct tdo_wheel_node *n = s->next;

			if (*budget == 0)
				return false;
			unlink_node(n);
			link_node(w, n);
		}
		w->used[level] &= ~((uint64_t)1 << i);
	}
	return true;
}

/* Goes on to the next slot in use, at most to `unit`. */
static void
advance(struct tdo_wheel *w, uint64_t unit)
{
	unsigned level, slot;
	uint64_t to = unit;

	w->used[0] &= ~((uint64_t)1 << digit(w->cur, 0));
	if (next_slot(w, &level, &slot)) {
		unsigned shift = level * DIGIT_BITS;
		uint64_t above = w->cur >> shift >> DIGIT_BITS << DIGIT_BITS;

		to = (above | slot) << shift;
	}
	w->cur = to < unit ? to : unit;
}

/* The first node of the present unit that is due. */
static struct tdo_wheel_node *
due_now(struct tdo_wheel *w, tdo_ns now, unsigned *budget)
{
	struct tdo_wheel_node *s = &w->slot[0][digit(w->cur, 0)], *n;

	for (n = s->next; n != s && *budget > 0; n = n->next) {
		--*budget;
		if (n->at > now)
			continue;
		unlink_node(n);
		w->n--;
		return n;
	}
	return NULL;
}

struct tdo_wheel_node *
tdo_wheel_due(struct tdo_wheel *w, tdo_ns now, unsigned *budget)
{
	uint64_t unit = now >> UNIT_BITS;

	while (*budget > 0 && descend(w, budget) && *budget > 0) {
		struct tdo_wheel_node *n = due_now(w, now, budget);

		if (n || w->cur >= unit)
			return n;
		advance(w, unit);
	}
	return NULL;
}
