/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/soonest.h"

size_t
tdo_soonest_memory(uint32_t size)
{
	return (size_t)size * sizeof(struct tdo_soonest_slot);
}

void
tdo_soonest_init(struct tdo_soonest *s, void *memory)
{
	*s = (struct tdo_soonest){.slot = memory};
}

static void
put(struct tdo_soonest *s, uint32_t at, uint32_t thing)
{
	s->slot[at].heap = thing;
	s->slot[thing].pos = at + 1;
}

static tdo_ns
time_at(const struct tdo_soonest *s, uint32_t at)
{
	return s->slot[s->slot[at].heap].at;
}

/* Brings the thing at a place to where it belongs. */
static void
settle(struct tdo_soonest *s, uint32_t at)
{
	uint32_t thing = s->slot[at].heap, child;
	tdo_ns t = s->slot[thing].at;

	for (; at > 0 && t < time_at(s, (at - 1) / 2); at = (at - 1) / 2)
		put(s, at, s->slot[(at - 1) / 2].heap);
	for (; (child = 2 * at + 1) < s->n; at = child) {
		if (child + 1 < s->n && time_at(s, child + 1) < time_at(s, child))
			child++;
		if (t <= time_at(s, child))
			break;
		put(s, at, s->slot[child].heap);
	}
	put(s, at, thing);
}

static void
take_out(struct tdo_soonest *s, uint32_t i)
{
	uint32_t at = s->slot[i].pos - 1, last = s->slot[--s->n].heap;

	s->slot[i].pos = 0;
	if (last == i)
		return;
	put(s, at, last);
	settle(s, at);
}

void
tdo_soonest_set(struct tdo_soonest *s, uint32_t i, tdo_ns at)
{
	s->slot[i].at = at;
	if (at == 0) {
		if (s->slot[i].pos != 0)
			take_out(s, i);
		return;
	}
	if (s->slot[i].pos == 0)
		put(s, s->n++, i);
	settle(s, s->slot[i].pos - 1);
}

uint32_t
tdo_soonest_first(const struct tdo_soonest *s, tdo_ns *ret_at)
{
	if (s->n == 0)
		return TDO_SOONEST_NONE;
	*ret_at = time_at(s, 0);
	return s->slot[0].heap;
}
