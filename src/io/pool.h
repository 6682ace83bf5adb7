/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet memory of one worker: an arena that is filled during a round and emptied at its end.
 * Packets stand close together whatever their size, so that a burst of small ones stays in
 * the cache and one of 64 KB needs no special case.
 */
#ifndef TDO_IO_POOL_H
#define TDO_IO_POOL_H

#include "testudo/pkt.h"

/* Bytes that a packet of room bytes takes in a pool. */
#define TDO_POOL_COST(room) ((size_t)(room) + TDO_HEADROOM + TDO_TAILROOM + 64)

struct tdo_pool {
	uint8_t *mem;
	size_t cap, used;
	struct tdo_pkt *pkt;
	unsigned npkt, max;
};

/* A pool of cap bytes and max packets.  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_pool_init(struct tdo_pool *pool, size_t cap, unsigned max);
void tdo_pool_fini(struct tdo_pool *pool);

/* Takes all packets back. */
static inline void
tdo_pool_reset(struct tdo_pool *pool)
{
	pool->used = 0;
	pool->npkt = 0;
}

/*
 * An empty packet with headroom and with room for room bytes and the tailroom behind, or NULL
 * when the pool is exhausted.
 */
struct tdo_pkt *tdo_pool_take(struct tdo_pool *pool, uint32_t room);
/* Gives what the last packet taken does not need (beyond len and tailroom) back. */
void tdo_pool_shrink(struct tdo_pool *pool, struct tdo_pkt *p);
/* Gives the last packet taken back. */
void tdo_pool_drop_last(struct tdo_pool *pool, struct tdo_pkt *p);

#endif
