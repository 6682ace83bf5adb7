/* SPDX-License-Identifier: BSD-2-Clause */
/* A limit of so many a second, in bursts of up to a quarter of a second's. */
#ifndef TDO_DAEMON_BUCKET_H
#define TDO_DAEMON_BUCKET_H

#include "testudo/types.h"

struct tdo_bucket {
	tdo_ns full_at; /* when it is full again */
};

/* Takes one; false: there is none left.  rate 0: there never is one. */
static inline bool
tdo_bucket_take(struct tdo_bucket *b, uint32_t rate, tdo_ns now)
{
	tdo_ns step, depth;

	if (rate == 0)
		return false;
	step = TDO_SEC / rate > 0 ? TDO_SEC / rate : 1;
	depth = TDO_SEC / 4 > step ? TDO_SEC / 4 : step;
	if (b->full_at < now)
		b->full_at = now;
	if (b->full_at - now + step > depth)
		return false;
	b->full_at += step;
	return true;
}

#endif
