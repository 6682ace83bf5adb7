/* SPDX-License-Identifier: BSD-2-Clause */
/* What the data process gives the library: memory and randomness. */
#ifndef TDO_DAEMON_PROVIDE_H
#define TDO_DAEMON_PROVIDE_H

#include "testudo/types.h"

extern const struct tdo_mem tdo_heap; /* zeroed memory of malloc(3); its ctx is not looked at */
/* len bytes of the kernel's randomness; ends the process when there is none.  A tdo_random_fn. */
void tdo_provide_random(void *ctx, void *buf, size_t len);

#endif
