/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intrusive chained hash table with one writer and readers that never wait.
 *
 * Every node has two links.  A table uses one of them; growing chains all nodes through
 * the other into twice as many buckets and publishes those with one store, so that
 * readers that are still in the old buckets walk undisturbed.  The links change roles
 * again only after all readers have left the old buckets (qsbr).
 *
 * A failed allocation while growing is harmless: chains stay longer.
 */
#ifndef TDO_BASE_HTAB_H
#define TDO_BASE_HTAB_H

#include <stdatomic.h>

#include "base/qsbr.h"

struct tdo_hnode {
	struct tdo_hnode *_Atomic next[2];
	struct tdo_hnode *_Atomic *at; /* control: the link of the current buckets to this node */
	uint64_t hash;
};

/* The object of which ptr is the member. */
#define TDO_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct tdo_hbuckets {
	struct tdo_htab *owner;
	struct tdo_qsbr_node retired;
	uint32_t mask;
	uint8_t link; /* which of the two links these buckets use */
	struct tdo_hnode *_Atomic head[];
};

struct tdo_htab {
	struct tdo_hbuckets *_Atomic cur;
	const struct tdo_mem *mem;
	struct tdo_qsbr *qsbr;
	size_t n;
	struct tdo_hbuckets *old; /* readers may still be in it: no growing until it is freed */
};

/* mem and qsbr are borrowed until tdo_htab_fini().  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_htab_init(
    struct tdo_htab *t, const struct tdo_mem *mem, struct tdo_qsbr *qsbr);
/* Frees the buckets, not the nodes; no reader may be left, and retired ones are drained. */
void tdo_htab_fini(struct tdo_htab *t);
/*
 * Control: puts the node in front of its chain.  For the table to grow during a long series
 * of insertions, tdo_qsbr_poll() must be called now and then.
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
	uint8_t link;
};

static inline struct tdo_hnode *
tdo_hwalk_settle(struct tdo_hwalk *w)
{
	while (w->node && w->node->hash != w->hash)
		w->node = atomic_load_explicit(&w->node->next[w->link], memory_order_acquire);
	return w->node;
}

/* Reader: the first node with this hash, or NULL. */
static inline struct tdo_hnode *
tdo_htab_first(const struct tdo_htab *t, uint64_t hash, struct tdo_hwalk *w)
{
	const struct tdo_hbuckets *b = atomic_load_explicit(&t->cur, memory_order_acquire);

	w->hash = hash;
	w->link = b->link;
	w->node = atomic_load_explicit(&b->head[hash & b->mask], memory_order_acquire);
	return tdo_hwalk_settle(w);
}

/* Reader: the next one, or NULL. */
static inline struct tdo_hnode *
tdo_htab_next(struct tdo_hwalk *w)
{
	w->node = atomic_load_explicit(&w->node->next[w->link], memory_order_acquire);
	return tdo_hwalk_settle(w);
}

#endif
