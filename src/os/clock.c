/* SPDX-License-Identifier: BSD-2-Clause */
/* The clocks of the system; both calls are answered by the vDSO, without a system call. */
#include "os/clock.h"

#include <time.h>

tdo_ns
tdo_clock_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (tdo_ns)t.tv_sec * TDO_SEC + (tdo_ns)t.tv_nsec;
}

uint64_t
tdo_clock_wall(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}
