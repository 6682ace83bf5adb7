/* SPDX-License-Identifier: BSD-2-Clause */
/* The clocks of the system. */
#ifndef TDO_OS_CLOCK_H
#define TDO_OS_CLOCK_H

#include "testudo/types.h"

/* Nanoseconds since boot with time asleep: lifetimes go on while the machine sleeps. */
tdo_ns tdo_clock_now(void);
/* Seconds since 1970. */
uint64_t tdo_clock_wall(void);

#endif
