/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups of policies of equal priority: a skip list, so that any order of loading is fast. */
#include "engine/spd.h"

/* Levels by a hash of the priority: each one has a quarter of the groups of the one below. */
static unsigned
pick_levels(const struct tdo_engine *e, uint32_t prio)
{
	uint64_t h = tdo_siphash(&e->hash_key, &prio, sizeof(prio));
	unsigned n = 1;

	while (n < TDO_PRIO_LEVELS && (h & 3) == 0) {
		n++;
		h >>= 2;
	}
	return n;
}

/* For every level the pointer that leads past this priority. */
static void
find_links(struct tdo_prios *l, uint32_t prio, struct tdo_prio **link[TDO_PRIO_LEVELS],
    struct tdo_prio **ret_before)
{
	struct tdo_prio **next = l->head, *before = NULL;

	for (unsigned i = TDO_PRIO_LEVELS; i-- > 0;) {
		while (next[i] && next[i]->prio < prio) {
			before = next[i];
			next = before->next;
		}
		link[i] = &next[i];
	}
	*ret_before = before;
}

static size_t
group_size(unsigned levels)
{
	return sizeof(struct tdo_prio) + levels * sizeof(struct tdo_prio *);
}

struct tdo_prio *
tdo_prio_get(struct tdo_engine *e, struct tdo_prios *l, uint32_t prio)
{
	struct tdo_prio **link[TDO_PRIO_LEVELS], *before, *g;
	unsigned levels = pick_levels(e, prio);

	find_links(l, prio, link, &before);
	if (*link[0] && (*link[0])->prio == prio)
		return *link[0];
	g = tdo_engine_alloc(e, group_size(levels));
	if (g == NULL)
		return NULL;
	g->prio = prio;
	g->levels = levels;
	for (unsigned i = 0; i < levels; i++) {
		g->next[i] = *link[i];
		*link[i] = g;
	}
	return g;
}

struct tdo_sp *
tdo_prio_before(struct tdo_prios *l, uint32_t prio)
{
	struct tdo_prio **link[TDO_PRIO_LEVELS], *before;

	find_links(l, prio, link, &before);
	return before ? before->last : NULL;
}

void
tdo_prio_drop(struct tdo_engine *e, struct tdo_prios *l, struct tdo_prio *g)
{
	struct tdo_prio **link[TDO_PRIO_LEVELS], *before;

	if (g->n > 0)
		return;
	find_links(l, g->prio, link, &before);
	for (unsigned i = 0; i < g->levels; i++)
		*link[i] = g->next[i];
	tdo_engine_release(e, g, group_size(g->levels));
}
