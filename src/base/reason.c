/* SPDX-License-Identifier: BSD-2-Clause */
#include "testudo/reason.h"

static const struct tdo_reason_info infos[] = {
    [TDO_REASON_NONE] = {"none", "", "not dropped", ""},
#define REASON(id, name, stage, text, remedy) [TDO_REASON_##id] = {name, stage, text, remedy},
#include "testudo/reason.def"
#undef REASON
};

const struct tdo_reason_info *
tdo_reason_info(enum tdo_reason r)
{
	return &infos[r < TDO_REASON_COUNT ? r : TDO_REASON_NONE];
}
