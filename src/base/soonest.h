/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times of numbered things, and which is due first: a binary heap.  Where the wheel of wheel.h does
 * for very many timers, this one knows when there will be something to do.
 */
#ifndef TDO_BASE_SOONEST_H
#define TDO_BASE_SOONEST_H

#include <stddef.h>

#include "testudo/types.h"

#define TDO_SOONEST_NONE UINT32_MAX

struct tdo_soonest_slot {
	tdo_ns at;     /* of thing i, by its number ... */
	uint32_t heap; /* ... a thing, by place in the heap ... */
	uint32_t pos;  /* ... and the place of thing i, plus 1; 0: it has no time */
};

struct tdo_soonest {
	uint32_t n;
	struct tdo_soonest_slot *slot;
};

/* Bytes of memory for things with the numbers 0 to size - 1. */
size_t tdo_soonest_memory(uint32_t size);
/* memory: as many zeroed bytes, aligned for anything; the caller's. */
void tdo_soonest_init(struct tdo_soonest *s, void *memory);
/* Thing i has this time from now on; 0: none. */
void tdo_soonest_set(struct tdo_soonest *s, uint32_t i, tdo_ns at);
/* The thing whose time comes first, or TDO_SOONEST_NONE. */
uint32_t tdo_soonest_first(const struct tdo_soonest *s, tdo_ns *ret_at);

#endif
