/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places for what is known of addresses: as many as there is room for; then those not used for
 * longest are given away.  What is known is the caller's, in an array of its own.
 */
#ifndef TDO_BASE_RECENT_H
#define TDO_BASE_RECENT_H

#include <stddef.h>
#include <string.h>

#include "testudo/types.h"

#define TDO_RECENT_NONE UINT32_MAX

struct tdo_recent_place {
	struct tdo_addr addr;
	uint32_t next; /* of its chain, plus 1 */
	tdo_ns used;
};

struct tdo_recent {
	uint32_t size, n; /* places, and those in use */
	uint32_t hand;    /* where it is looked for one to give away */
	uint32_t *head;   /* first of a chain, plus 1 */
	struct tdo_recent_place *place;
};

/*
 * No secret: in a large table are peers, whose addresses an authenticated one chose; the chains of
 * a small one, where anybody can aim, are never longer than it has places.
 */
static inline uint32_t
tdo_recent_hash(const struct tdo_addr *a)
{
	uint64_t x, y;

	memcpy(&x, a->b, sizeof(x));
	memcpy(&y, a->b + sizeof(x), sizeof(y));
	x = (x ^ a->af) * 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 32 ^ y) * 0xd6e8feb86659fd93u;
	return (uint32_t)(x >> 32 ^ x >> 16);
}

/* Bytes of memory for a table of size places, a power of two. */
size_t tdo_recent_memory(uint32_t size);
/* memory: as many zeroed bytes, aligned for anything; the caller's. */
void tdo_recent_init(struct tdo_recent *t, uint32_t size, void *memory);
/* The place of an address, or TDO_RECENT_NONE.  It is not counted as used by this. */
uint32_t tdo_recent_find(const struct tdo_recent *t, const struct tdo_addr *a);
/*
 * The place of an address, which it is given if it has none: *ret_new, and nothing that is kept
 * there is about it.
 */
uint32_t tdo_recent_take(struct tdo_recent *t, const struct tdo_addr *a, tdo_ns now, bool *ret_new);

#endif
