/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/recent.h"

#include "base/addr.h"

#define SAMPLE 32u /* places of which the oldest is given away */

size_t
tdo_recent_memory(uint32_t size)
{
	return (size_t)size * (sizeof(struct tdo_recent_place) + sizeof(uint32_t));
}

void
tdo_recent_init(struct tdo_recent *t, uint32_t size, void *memory)
{
	*t = (struct tdo_recent){.size = size, .place = memory};
	t->head = (uint32_t *)(void *)(t->place + size);
}

static uint32_t *
chain(const struct tdo_recent *t, const struct tdo_addr *a)
{
	return &t->head[tdo_recent_hash(a) & (t->size - 1)];
}

static uint32_t
find(const struct tdo_recent *t, uint32_t first, const struct tdo_addr *a)
{
	for (uint32_t i = first; i != 0; i = t->place[i - 1].next)
		if (tdo_addr_equal(&t->place[i - 1].addr, a))
			return i - 1;
	return TDO_RECENT_NONE;
}

uint32_t
tdo_recent_find(const struct tdo_recent *t, const struct tdo_addr *a)
{
	return find(t, *chain(t, a), a);
}

static void
unlink_place(struct tdo_recent *t, uint32_t i)
{
	uint32_t *at = chain(t, &t->place[i].addr);

	while (*at != i + 1)
		at = &t->place[*at - 1].next;
	*at = t->place[i].next;
}

/* A place that nothing uses, else the oldest of the next few. */
static uint32_t
vacate(struct tdo_recent *t)
{
	uint32_t oldest = t->hand;

	if (t->n < t->size)
		return t->n++;
	for (uint32_t k = 0; k < SAMPLE; k++) {
		if (t->place[t->hand].used < t->place[oldest].used)
			oldest = t->hand;
		t->hand = (t->hand + 1) & (t->size - 1);
	}
	unlink_place(t, oldest);
	return oldest;
}

uint32_t
tdo_recent_take(struct tdo_recent *t, const struct tdo_addr *a, tdo_ns now, bool *ret_new)
{
	uint32_t *head = chain(t, a), i = find(t, *head, a);

	*ret_new = i == TDO_RECENT_NONE;
	if (*ret_new) {
		i = vacate(t);
		t->place[i].addr = *a;
		t->place[i].next = *head; /* after vacate(), which may have changed it */
		*head = i + 1;
	}
	t->place[i].used = now;
	return i;
}
