/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet memory of one worker. */
#include "io/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
tdo_pool_init(struct tdo_pool *pool, size_t cap, unsigned max)
{
	memset(pool, 0, sizeof(*pool));
	pool->mem = aligned_alloc(64, (cap + 63) / 64 * 64);
	pool->pkt = calloc(max, sizeof(*pool->pkt));
	if (pool->mem == NULL || pool->pkt == NULL) {
		tdo_pool_fini(pool);
		return -ENOMEM;
	}
	pool->cap = cap;
	pool->max = max;
	return 0;
}

void
tdo_pool_fini(struct tdo_pool *pool)
{
	free(pool->mem);
	free(pool->pkt);
	memset(pool, 0, sizeof(*pool));
}

struct tdo_pkt *
tdo_pool_take(struct tdo_pool *pool, uint32_t room)
{
	size_t need = (size_t)room + TDO_HEADROOM + TDO_TAILROOM;
	struct tdo_pkt *p;

	if (pool->npkt == pool->max || need > pool->cap - pool->used)
		return NULL;
	p = &pool->pkt[pool->npkt++];
	memset(p, 0, sizeof(*p));
	p->buf = pool->mem + pool->used;
	p->cap = (uint32_t)need;
	p->off = TDO_HEADROOM;
	pool->used += need;
	return p;
}

void
tdo_pool_shrink(struct tdo_pool *pool, struct tdo_pkt *p)
{
	size_t start = (size_t)(p->buf - pool->mem);
	size_t end = (start + p->off + p->len + TDO_TAILROOM + 63) / 64 * 64;

	/* A multiple of 64: the next packet starts at a cache line of its own. */
	if (end >= pool->used)
		return;
	p->cap = (uint32_t)(end - start);
	pool->used = end;
}

void
tdo_pool_drop_last(struct tdo_pool *pool, struct tdo_pkt *p)
{
	pool->used = (size_t)(p->buf - pool->mem);
	pool->npkt--;
}
