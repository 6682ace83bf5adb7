/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/linger.h"

/* A wait that ended in sleep is longer by the time to wake up, which is what lingering saves. */
#define ASLEEP 2u

void
tdo_linger_init(struct tdo_linger *l, tdo_ns limit)
{
	*l = (struct tdo_linger){.limit = limit};
}

tdo_ns
tdo_linger_time(struct tdo_linger *l, unsigned work, unsigned packets)
{
	/* Many packets at a time need no haste, and others need the processor to make them. */
	l->kind = packets > TDO_LINGER_BULK ? TDO_WORK_NONE : work % TDO_WORK_KINDS;
	return l->kind != TDO_WORK_NONE && l->soon[l->kind] ? l->limit : 0;
}

void
tdo_linger_learn(struct tdo_linger *l, tdo_ns waited)
{
	l->soon[l->kind] = waited <= (l->soon[l->kind] ? l->limit : ASLEEP * l->limit);
}
