/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/linger.h"

/* A wait that ended in sleep is longer by the time to wake up, which is what lingering saves. */
#define ASLEEP 2u

/* To give way to nobody takes a microsecond. */
#define NOBODY_THERE ((tdo_ns)10000)

void
tdo_linger_init(struct tdo_linger *l, tdo_ns limit)
{
	*l = (struct tdo_linger){.limit = limit};
}

tdo_ns
tdo_linger_time(struct tdo_linger *l, unsigned work, unsigned packets, tdo_ns now)
{
	/* Many packets at a time need no haste, and others need the processor to make them. */
	l->kind = packets > TDO_LINGER_BULK ? TDO_WORK_NONE : work % TDO_WORK_KINDS;
	if (now < l->crowded_until || l->kind == TDO_WORK_NONE)
		return 0;
	return l->soon[l->kind] ? l->limit : 0;
}

bool
tdo_linger_yielded(struct tdo_linger *l, tdo_ns from, tdo_ns to)
{
	if (to - from <= NOBODY_THERE)
		return true;
	l->crowded_until = to + TDO_LINGER_PAUSE;
	return false;
}

void
tdo_linger_learn(struct tdo_linger *l, tdo_ns waited)
{
	l->soon[l->kind] = waited <= (l->soon[l->kind] ? l->limit : ASLEEP * l->limit);
}
