/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters that are not drop reasons; one list, stat.def. */
#ifndef TESTUDO_STAT_H
#define TESTUDO_STAT_H

#include <stdint.h>

enum tdo_stat {
#define STAT(id, group, name, text) TDO_STAT_##id,
#include "testudo/stat.def"
#undef STAT
	TDO_STAT_COUNT
};

struct tdo_stat_info {
	const char *group, *name, *text;
};

/* The description of a counter; s must be below TDO_STAT_COUNT. */
const struct tdo_stat_info *tdo_stat_info(enum tdo_stat s);

#endif
