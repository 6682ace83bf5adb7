/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of counter.def. */
#include "testudo/counter.h"

#include <stddef.h>

static const struct tdo_counter_info infos[] = {
#define COUNTER(id, group, index, name, label)                                                     \
	[TDO_COUNTER_##id] = {TDO_COUNTER_GROUP_##group, index, 1, name, label},
#define HISTOGRAM(id, group, index, slots, name, label)                                            \
	[TDO_COUNTER_##id] = {TDO_COUNTER_GROUP_##group, index, slots, name, label},
#include "testudo/counter.def"
};

static const struct tdo_counter_source sources[] = {
#define FROM_STAT(counter, stat) {TDO_COUNTER_##counter, TDO_SOURCE_STAT, TDO_STAT_##stat, 0},
#define FROM_DROP(counter, reason, places)                                                         \
	{TDO_COUNTER_##counter, TDO_SOURCE_DROP, TDO_REASON_##reason, TDO_PLACE_##places},
#define FROM_USED(counter, what, way)                                                              \
	{TDO_COUNTER_##counter, TDO_SOURCE_USED, TDO_USED_BY_##what, TDO_WAY_##way},
#define FROM_PFKEY(counter, member)                                                                \
	{TDO_COUNTER_##counter, TDO_SOURCE_PFKEY,                                                  \
	    offsetof(struct tdo_pfkey_stats, member) / sizeof(uint64_t), 0},
#include "testudo/counter.def"
};

static const char *const never[TDO_COUNTER_COUNT] = {
#define NEVER(counter, why) [TDO_COUNTER_##counter] = (why),
#include "testudo/counter.def"
};

static const char *const not_for[TDO_REASON_COUNT] = {
#define UNCOUNTED(reason, why) [TDO_REASON_##reason] = (why),
#include "testudo/counter.def"
};

const struct tdo_counter_info *
tdo_counter_info(enum tdo_counter c)
{
	return &infos[c];
}

const struct tdo_counter_source *
tdo_counter_source_at(unsigned i)
{
	return i < sizeof(sources) / sizeof(sources[0]) ? &sources[i] : NULL;
}

const char *
tdo_counter_never(enum tdo_counter c)
{
	return never[c];
}

const char *
tdo_counter_not_for(enum tdo_reason r)
{
	return not_for[r];
}
