/* SPDX-License-Identifier: BSD-2-Clause */
#include "testudo/stat.h"

static const struct tdo_stat_info infos[] = {
#define STAT(id, group, name, text) [TDO_STAT_##id] = {group, name, text},
#include "testudo/stat.def"
#undef STAT
};

const struct tdo_stat_info *
tdo_stat_info(enum tdo_stat s)
{
	return &infos[s < TDO_STAT_COUNT ? s : 0];
}
