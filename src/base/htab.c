/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/htab.h"

#include <errno.h>

#define BUCKETS_MIN 16u
#define BUCKETS_MAX (1u << 26)

static size_t
buckets_size(uint32_t n)
{
	return sizeof(struct tdo_hbuckets) + n * sizeof(struct tdo_hnode *);
}

static struct tdo_hbuckets *
buckets_new(struct tdo_htab *t, uint32_t n, uint8_t link)
{
	struct tdo_hbuckets *b = t->mem->alloc(t->mem->ctx, buckets_size(n));

	if (b == NULL)
		return NULL;
	b->owner = t;
	b->mask = n - 1;
	b->link = link;
	return b;
}

static struct tdo_hbuckets *
current(const struct tdo_htab *t)
{
	return atomic_load_explicit(&t->cur, memory_order_relaxed);
}

int
tdo_htab_init(struct tdo_htab *t, const struct tdo_mem *mem, struct tdo_qsbr *qsbr)
{
	struct tdo_hbuckets *b;

	*t = (struct tdo_htab){.mem = mem, .qsbr = qsbr};
	b = buckets_new(t, BUCKETS_MIN, 0);
	if (b == NULL)
		return -ENOMEM;
	atomic_init(&t->cur, b);
	return 0;
}

void
tdo_htab_fini(struct tdo_htab *t)
{
	struct tdo_hbuckets *b = current(t);

	if (b)
		t->mem->free(t->mem->ctx, b, buckets_size(b->mask + 1));
	atomic_store_explicit(&t->cur, NULL, memory_order_relaxed);
}

static void
free_old(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_hbuckets *b = TDO_CONTAINER_OF(node, struct tdo_hbuckets, retired);
	struct tdo_htab *t = b->owner;

	(void)ctx;
	t->old = NULL;
	t->mem->free(t->mem->ctx, b, buckets_size(b->mask + 1));
}

/* Lets the link `at` lead to n and from there to next, in one step for readers. */
static void
put(struct tdo_hnode *_Atomic *at, struct tdo_hnode *n, struct tdo_hnode *next, uint8_t link)
{
	atomic_store_explicit(&n->next[link], next, memory_order_relaxed);
	n->at = at;
	if (next)
		next->at = &n->next[link];
	atomic_store_explicit(at, n, memory_order_release);
}

static void
chain(struct tdo_hbuckets *b, struct tdo_hnode *n)
{
	struct tdo_hnode *_Atomic *head = &b->head[n->hash & b->mask];

	put(head, n, atomic_load_explicit(head, memory_order_relaxed), b->link);
}

/* Into at least four times as many buckets, and enough for twice the nodes there are. */
static void
grow(struct tdo_htab *t)
{
	struct tdo_hbuckets *from = current(t), *to;
	uint32_t n = from->mask + 1, want = n * 4;

	if (t->old || n >= BUCKETS_MAX)
		return;
	while (want < BUCKETS_MAX && want < t->n * 2)
		want *= 2;
	to = buckets_new(t, want, from->link ^ 1);
	if (to == NULL)
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct tdo_hnode *h = atomic_load_explicit(&from->head[i], memory_order_relaxed);

		for (; h; h = atomic_load_explicit(&h->next[from->link], memory_order_relaxed))
			chain(to, h);
	}
	atomic_store_explicit(&t->cur, to, memory_order_release);
	t->old = from;
	tdo_qsbr_retire(t->qsbr, &from->retired, free_old);
}

void
tdo_htab_insert(struct tdo_htab *t, struct tdo_hnode *node, uint64_t hash)
{
	if (t->n > current(t)->mask)
		grow(t);
	node->hash = hash;
	chain(current(t), node);
	t->n++;
}

void
tdo_htab_remove(struct tdo_htab *t, struct tdo_hnode *node)
{
	uint8_t link = current(t)->link;
	struct tdo_hnode *next = atomic_load_explicit(&node->next[link], memory_order_relaxed);

	if (next)
		next->at = node->at;
	atomic_store_explicit(node->at, next, memory_order_release);
	t->n--;
}

void
tdo_htab_replace(struct tdo_htab *t, struct tdo_hnode *old, struct tdo_hnode *node)
{
	uint8_t link = current(t)->link;

	node->hash = old->hash;
	put(old->at, node, atomic_load_explicit(&old->next[link], memory_order_relaxed), link);
}

void
tdo_htab_each(const struct tdo_htab *t, void (*fn)(void *ctx, struct tdo_hnode *node), void *ctx)
{
	const struct tdo_hbuckets *b = current(t);

	for (uint32_t i = 0; i <= b->mask; i++) {
		struct tdo_hnode *h = atomic_load_explicit(&b->head[i], memory_order_relaxed);

		for (; h; h = atomic_load_explicit(&h->next[b->link], memory_order_relaxed))
			fn(ctx, h);
	}
}
