/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks that may start on a cache line, out of an allocator that aligns for any type and no
 * more, and are wiped when freed: all of them hold keys or what was computed with keys.
 */
#ifndef TDO_CRYPTO_MEM_H
#define TDO_CRYPTO_MEM_H

#include "base/ct.h"
#include "testudo/types.h"

#define TDO_CACHE_LINE 64
#define TDO_ANY_ALIGN  _Alignof(max_align_t)

struct tdo_block {
	void *base;  /* what the allocator returned */
	size_t size; /* and its size */
};

/*
 * size zeroed bytes, aligned to a power of two from TDO_ANY_ALIGN on, or NULL; *ret_block is for
 * tdo_block_free().
 */
static inline void *
tdo_block_alloc(const struct tdo_mem *mem, size_t size, size_t align, struct tdo_block *ret_block)
{
	size_t total = size + align - TDO_ANY_ALIGN;
	uint8_t *base = mem->alloc(mem->ctx, total);

	if (base == NULL)
		return NULL;
	*ret_block = (struct tdo_block){base, total};
	return base + (-(uintptr_t)base & (align - 1));
}

/* mem and b are copies: the originals may lie in the block itself. */
static inline void
tdo_block_free(struct tdo_mem mem, struct tdo_block b)
{
	if (b.base == NULL)
		return;
	tdo_wipe(b.base, b.size);
	mem.free(mem.ctx, b.base, b.size);
}

#endif
