/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intrusive chained hash table with one writer and readers that never wait, which grows without
 * pauses: linear hashing (Litwin 1980) with at most two splits for an insertion.
 *
 * A table of size n, 2^k < n <= 2^(k+1), has n buckets; a split divides bucket n - 2^k between
 * itself and a new one behind the last.  Every node has two links.  A bucket uses one of them,
 * which its head says in the lowest bit; a split chains the nodes through the other, so that
 * readers that are still in the old chain walk it undisturbed.  When every bucket was split the
 * next round begins after all readers have left the old chains (qsbr).  A reader that used a
 * size which is out of date may miss a node, sees that the size has changed, and looks again.
 *
 * A failed allocation while growing is harmless: chains stay longer.
 */
#ifndef TDO_BASE_HTAB_H
#define TDO_BASE_HTAB_H

#include <stdatomic.h>

#include "base/qsbr.h"

struct tdo_hnode {
	_Atomic uintptr_t next[2]; /* struct tdo_hnode * */
	_Atomic uintptr_t *at;     /* control: the link, or head, that leads to this node */
	uint64_t hash;
};

/* The object of which ptr is the member. */
#define TDO_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define TDO_HTAB_MIN_BITS 4u /* of the smallest table */
#define TDO_HTAB_MAX_BITS 28u

struct tdo_htab {
	_Atomic uint32_t size; /* buckets in use; a segment is there before it counts */
	/*
	 * Buckets: segment 0 has the first 2^MIN_BITS, segment i as many as all before it.  A
	 * head is a pointer to the first node, plus 1 when the chain uses next[1].
	 */
	_Atomic uintptr_t *segment[TDO_HTAB_MAX_BITS - TDO_HTAB_MIN_BITS + 1];
	/* control thread only */
	const struct tdo_mem *mem;
	struct tdo_qsbr *qsbr;
	size_t n;
	uint64_t round_end; /* epoch of the last split of the round before; 0: over */
};

/* mem and qsbr are borrowed until tdo_htab_fini().  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_htab_init(
    struct tdo_htab *t, const struct tdo_mem *mem, struct tdo_qsbr *qsbr);
/* Frees the buckets, not the nodes; no reader may be left, and retired ones are drained. */
void tdo_htab_fini(struct tdo_htab *t);
/*
 * Control: puts the node in front of its chain.  While readers do not become quiescent the table
 * can only double.
 */
void tdo_htab_insert(struct tdo_htab *t, struct tdo_hnode *node, uint64_t hash);
/* Control: takes the node out.  Readers may stand on it until the next grace period. */
void tdo_htab_remove(struct tdo_htab *t, struct tdo_hnode *node);
/* Control: puts node in the place of old, in one step for readers. */
void tdo_htab_replace(struct tdo_htab *t, struct tdo_hnode *old, struct tdo_hnode *node);
/* Control: calls fn for every node. */
void tdo_htab_each(
    const struct tdo_htab *t, void (*fn)(void *ctx, struct tdo_hnode *node), void *ctx);

/* A walk over the nodes with one hash. */
struct tdo_hwalk {
	struct tdo_hnode *node;
	uint64_t hash;
	unsigned link;
};

static inline struct tdo_hnode *
tdo_hnode_of(uintptr_t p)
{
	return (struct tdo_hnode *)(p & ~(uintptr_t)1); /* NOLINT: the bit is the link in use */
}

/* The head of the bucket of a hash in a table of this size. */
static inline _Atomic uintptr_t *
tdo_htab_head(const struct tdo_htab *t, uint64_t hash, uint32_t size)
{
	uint32_t top = 31u - (uint32_t)__builtin_clz(size - 1); /* 2^top < size <= 2^(top + 1) */
	uint32_t i = (uint32_t)hash & ((2u << top) - 1);

	if (i >= size)
		i -= 1u << top;
	if (i >> TDO_HTAB_MIN_BITS == 0)
		return &t->segment[0][i];
	top = 31u - (uint32_t)__builtin_clz(i);
	return &t->segment[top - TDO_HTAB_MIN_BITS + 1][i - (1u << top)];
}

static inline struct tdo_hnode *
tdo_hwalk_settle(struct tdo_hwalk *w)
{
	while (w->node && w->node->hash != w->hash)
		w->node = tdo_hnode_of(
		    atomic_load_explicit(&w->node->next[w->link], memory_order_acquire));
	return w->node;
}

/* Reader: the first node with this hash, or NULL. */
static inline struct tdo_hnode *
tdo_htab_first(const struct tdo_htab *t, uint64_t hash, struct tdo_hwalk *w)
{
	uint32_t size = atomic_load_explicit(&t->size, memory_order_acquire), used;

	do {
		uintptr_t head =
		    atomic_load_explicit(tdo_htab_head(t, hash, size), memory_order_acquire);

		used = size;
		*w = (struct tdo_hwalk){tdo_hnode_of(head), hash, (unsigned)(head & 1)};
		if (tdo_hwalk_settle(w))
			break;
		size = atomic_load_explicit(&t->size, memory_order_acquire);
	} while (size != used);
	return w->node;
}

/* Reader: the next one, or NULL. */
static inline struct tdo_hnode *
tdo_htab_next(struct tdo_hwalk *w)
{
	w->node = tdo_hnode_of(atomic_load_explicit(&w->node->next[w->link], memory_order_acquire));
	return tdo_hwalk_settle(w);
}

#endif
