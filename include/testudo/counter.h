/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters under the names of the BSDs, as netstat(1) shows them: sums of what testudo counts
 * (reason.def, stat.def, the PF_KEY statistics).  One list, counter.def, says which.
 */
#ifndef TESTUDO_COUNTER_H
#define TESTUDO_COUNTER_H

#include "testudo/engine.h"
#include "testudo/pfkey.h"

/* In the order in which netstat prints them; KAME is for those who know the older names. */
enum tdo_counter_group {
	TDO_COUNTER_GROUP_IPSEC,
	TDO_COUNTER_GROUP_AH,
	TDO_COUNTER_GROUP_ESP,
	TDO_COUNTER_GROUP_IPIP,
	TDO_COUNTER_GROUP_IPCOMP,
	TDO_COUNTER_GROUP_PFKEY,
	TDO_COUNTER_GROUP_KAME,
	TDO_COUNTER_GROUPS
};

enum tdo_counter {
#define COUNTER(id, group, index, name, label)          TDO_COUNTER_##id,
#define HISTOGRAM(id, group, index, slots, name, label) TDO_COUNTER_##id,
#include "testudo/counter.def"
	TDO_COUNTER_COUNT
};

#define TDO_COUNTER_SLOTS 256 /* of the largest histogram */

struct tdo_counter_info {
	uint8_t group; /* enum tdo_counter_group */
	uint16_t index;
	uint16_t slots; /* 1: a number; else a histogram */
	const char *name, *label;
};

/* Places of a reason as bits 1 << enum tdo_at. */
enum {
	TDO_PLACE_IN = 1 << TDO_AT_IN,
	TDO_PLACE_OUT = 1 << TDO_AT_OUT,
	TDO_PLACE_ESP_IN = 1 << TDO_AT_ESP_IN,
	TDO_PLACE_ESP_OUT = 1 << TDO_AT_ESP_OUT,
	TDO_PLACE_ESP_BOTH = TDO_PLACE_ESP_IN | TDO_PLACE_ESP_OUT,
	TDO_PLACE_AH_IN = 1 << TDO_AT_AH_IN,
	TDO_PLACE_AH_OUT = 1 << TDO_AT_AH_OUT,
	TDO_PLACE_AH_BOTH = TDO_PLACE_AH_IN | TDO_PLACE_AH_OUT,
	TDO_PLACE_IPCOMP_IN = 1 << TDO_AT_IPCOMP_IN,
	TDO_PLACE_IPCOMP_OUT = 1 << TDO_AT_IPCOMP_OUT,
	TDO_PLACE_IPCOMP_BOTH = TDO_PLACE_IPCOMP_IN | TDO_PLACE_IPCOMP_OUT,
	TDO_PLACE_LAYERS_IN = TDO_PLACE_ESP_IN | TDO_PLACE_AH_IN | TDO_PLACE_IPCOMP_IN,
	TDO_PLACE_LAYERS_OUT = TDO_PLACE_ESP_OUT | TDO_PLACE_AH_OUT | TDO_PLACE_IPCOMP_OUT,
	TDO_PLACE_ANY_IN = TDO_PLACE_IN | TDO_PLACE_LAYERS_IN,
	TDO_PLACE_ANY_OUT = TDO_PLACE_OUT | TDO_PLACE_LAYERS_OUT,
};

/* Packets by the PF_KEY numbers of their algorithms. */
enum tdo_used { TDO_USED_BY_ESP, TDO_USED_BY_ESP_AUTHENTIC, TDO_USED_BY_AH, TDO_USED_BY_IPCOMP };
enum { TDO_WAY_IN = 1, TDO_WAY_OUT = 2, TDO_WAY_BOTH = 3 };

enum tdo_source_kind {
	TDO_SOURCE_STAT,  /* what: enum tdo_stat */
	TDO_SOURCE_DROP,  /* what: enum tdo_reason, where: TDO_PLACE_... */
	TDO_SOURCE_USED,  /* what: enum tdo_used, where: TDO_WAY_... */
	TDO_SOURCE_PFKEY, /* what: offset in struct tdo_pfkey_stats, in numbers */
};

/* Something that counts into a counter. */
struct tdo_counter_source {
	uint16_t counter; /* enum tdo_counter */
	uint8_t kind;     /* enum tdo_source_kind */
	uint16_t what, where;
};

/* c must be below TDO_COUNTER_COUNT. */
const struct tdo_counter_info *tdo_counter_info(enum tdo_counter c);
/* Sources in no order: i from 0 until NULL. */
const struct tdo_counter_source *tdo_counter_source_at(unsigned i);
/* Why the counter is always 0, or NULL. */
const char *tdo_counter_never(enum tdo_counter c);
/* Why the BSDs count nothing for this reason, or NULL. */
const char *tdo_counter_not_for(enum tdo_reason r);

/* Where the numbers come from. */
struct tdo_counter_from {
	const struct tdo_engine *e;
	const struct tdo_pfkey_stats *pfkey; /* may be NULL */
	uint64_t guard_drops;                /* TDO_REASON_GUARD, where the kernel counts it */
};

/* The sum, of a histogram over all slots. */
uint64_t tdo_counter_read(const struct tdo_counter_from *f, enum tdo_counter c);
/* The slots of a histogram; those that it does not have are 0. */
void tdo_counter_slots(
    const struct tdo_counter_from *f, enum tdo_counter c, uint64_t ret[TDO_COUNTER_SLOTS]);

#endif
