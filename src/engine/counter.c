/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters of the BSDs, added up when somebody asks (control thread). */
#include "testudo/counter.h"

#include <string.h>

#include "engine/engine.h"

static uint64_t
drops(const struct tdo_counter_from *f, const struct tdo_counter_source *s)
{
	uint64_t sum = 0;

	for (unsigned at = 0; at < TDO_AT_COUNT; at++)
		if (s->where >> at & 1)
			sum += tdo_drops_read_at(f->e, (enum tdo_at)at, (enum tdo_reason)s->what);
	return sum + (s->what == TDO_REASON_GUARD ? f->guard_drops : 0);
}

/* Packets of one slot, of all workers. */
static uint64_t
used(const struct tdo_engine *e, unsigned where, unsigned slot)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		for (unsigned out = 0; out < 2; out++)
			if (where & (out ? TDO_WAY_OUT : TDO_WAY_IN))
				sum += atomic_load_explicit(
				    &e->worker[i]->used[out][slot], memory_order_relaxed);
	return sum;
}

static uint64_t
used_by(const struct tdo_engine *e, const struct tdo_counter_source *s, unsigned alg)
{
	switch ((enum tdo_used)s->what) {
	case TDO_USED_BY_ESP:
		return used(e, s->where, TDO_USED_ESP + alg) +
		       used(e, s->where, TDO_USED_ESP + 256 + alg);
	case TDO_USED_BY_ESP_AUTHENTIC:
		return used(e, s->where, TDO_USED_ESP + 256 + alg);
	case TDO_USED_BY_AH:
		return used(e, s->where, TDO_USED_AH + alg);
	case TDO_USED_BY_IPCOMP:
		break;
	}
	return alg < TDO_USED_SLOTS - TDO_USED_IPCOMP ? used(e, s->where, TDO_USED_IPCOMP + alg)
						      : 0;
}

static uint64_t
pfkey(const struct tdo_counter_from *f, unsigned what)
{
	uint64_t v;

	if (f->pfkey == NULL)
		return 0;
	memcpy(&v, (const char *)f->pfkey + what * sizeof(v), sizeof(v));
	return v;
}

/* The number of a source; of one that has slots, that of a slot. */
static uint64_t
value(const struct tdo_counter_from *f, const struct tdo_counter_source *s, unsigned slot)
{
	switch ((enum tdo_source_kind)s->kind) {
	case TDO_SOURCE_STAT:
		return tdo_stat_read(f->e, (enum tdo_stat)s->what);
	case TDO_SOURCE_DROP:
		return drops(f, s);
	case TDO_SOURCE_USED:
		return used_by(f->e, s, slot);
	case TDO_SOURCE_PFKEY:
		break;
	}
	return slot < TDO_PFKEY_TYPES ? pfkey(f, s->what + slot) : 0;
}

/* True when the source is an array of numbers. */
static bool
has_slots(const struct tdo_counter_source *s)
{
	return s->kind == TDO_SOURCE_USED ||
	       (s->kind == TDO_SOURCE_PFKEY &&
		   tdo_counter_info((enum tdo_counter)s->counter)->slots > 1);
}

void
tdo_counter_slots(
    const struct tdo_counter_from *f, enum tdo_counter c, uint64_t ret[TDO_COUNTER_SLOTS])
{
	const struct tdo_counter_source *s;

	memset(ret, 0, TDO_COUNTER_SLOTS * sizeof(ret[0]));
	for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
		for (unsigned slot = 0; s->counter == c && has_slots(s) && slot < TDO_COUNTER_SLOTS;
		     slot++)
			ret[slot] += value(f, s, slot);
}

uint64_t
tdo_counter_read(const struct tdo_counter_from *f, enum tdo_counter c)
{
	const struct tdo_counter_source *s;
	uint64_t sum = 0;

	for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
		for (unsigned slot = 0;
		     s->counter == c && slot < (has_slots(s) ? TDO_COUNTER_SLOTS : 1u); slot++)
			sum += value(f, s, slot);
	return sum;
}
