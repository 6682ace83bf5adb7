/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/htab.h"

#include <errno.h>

#define SIZE_MIN (1u << TDO_HTAB_MIN_BITS)
#define SIZE_TOP (1u << TDO_HTAB_MAX_BITS)
#define SPLITS   2 /* for one insertion: catches up after a round that had to wait */

static uint32_t
size_of(const struct tdo_htab *t)
{
	return atomic_load_explicit(&t->size, memory_order_relaxed);
}

static uintptr_t
load(const _Atomic uintptr_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

/* ---- segments ----------------------------------------------------------------------- */

static size_t
segment_bytes(unsigned i)
{
	return ((size_t)1 << (TDO_HTAB_MIN_BITS + (i ? i - 1 : 0))) * sizeof(_Atomic uintptr_t);
}

static bool
add_segment(struct tdo_htab *t, unsigned i)
{
	if (t->segment[i] == NULL)
		t->segment[i] = t->mem->alloc(t->mem->ctx, segment_bytes(i));
	return t->segment[i] != NULL;
}

int
tdo_htab_init(struct tdo_htab *t, const struct tdo_mem *mem, struct tdo_qsbr *qsbr)
{
	*t = (struct tdo_htab){.mem = mem, .qsbr = qsbr};
	if (!add_segment(t, 0))
		return -ENOMEM;
	atomic_init(&t->size, SIZE_MIN);
	return 0;
}

void
tdo_htab_fini(struct tdo_htab *t)
{
	for (unsigned i = 0; i < sizeof(t->segment) / sizeof(t->segment[0]); i++) {
		if (t->segment[i])
			t->mem->free(
			    t->mem->ctx, (void *)(uintptr_t)t->segment[i], segment_bytes(i));
		t->segment[i] = NULL;
	}
}

/* ---- chains ------------------------------------------------------------------------- */

/*
 * Lets the link or head `at` lead to n, which may be NULL.  The bit of a head stays; a link
 * has none.
 */
static void
lead(_Atomic uintptr_t *at, struct tdo_hnode *n, memory_order order)
{
	if (n)
		n->at = at;
	atomic_store_explicit(at, (uintptr_t)n | (load(at) & 1), order);
}

/* Lets `at` lead to n and from there to next, in one step for readers. */
static void
put(_Atomic uintptr_t *at, struct tdo_hnode *n, struct tdo_hnode *next, unsigned link)
{
	atomic_store_explicit(&n->next[link], (uintptr_t)next, memory_order_relaxed);
	if (next)
		next->at = &n->next[link];
	lead(at, n, memory_order_release);
}

static _Atomic uintptr_t *
head_of(const struct tdo_htab *t, uint64_t hash)
{
	return tdo_htab_head(t, hash, size_of(t));
}

/* ---- growing ------------------------------------------------------------------------ */

/* Chains by another link: what `first` leads to by `from`, as far as it has the bit or not. */
static uintptr_t
divide(struct tdo_hnode *first, unsigned from, uint32_t bit, bool set, _Atomic uintptr_t *head)
{
	_Atomic uintptr_t *at = head;
	uintptr_t result = 0;

	for (struct tdo_hnode *n = first; n; n = tdo_hnode_of(load(&n->next[from]))) {
		if (((n->hash & bit) != 0) != set)
			continue;
		if (at == head)
			result = (uintptr_t)n;
		else
			atomic_store_explicit(at, (uintptr_t)n, memory_order_relaxed);
		n->at = at;
		at = &n->next[from ^ 1];
	}
	if (at != head)
		atomic_store_explicit(at, 0, memory_order_relaxed);
	return result | (from ^ 1);
}

/*
 * Divides one bucket.  Order matters: a reader that finds the divided chain in the old bucket
 * finds the new size too, and so will not take a miss there for an answer.
 */
static void
split(struct tdo_htab *t)
{
	uint32_t size = size_of(t), top = 31u - (uint32_t)__builtin_clz(size);
	/* A size that is a power of two begins a round with its first bucket. */
	_Atomic uintptr_t *old = tdo_htab_head(t, size - (1u << top), size);
	_Atomic uintptr_t *added = tdo_htab_head(t, size, size + 1);
	uintptr_t head = load(old), stays;
	struct tdo_hnode *first = tdo_hnode_of(head);

	stays = divide(first, head & 1, 1u << top, false, old);
	atomic_store_explicit(
	    added, divide(first, head & 1, 1u << top, true, added), memory_order_release);
	atomic_store_explicit(&t->size, size + 1, memory_order_release);
	atomic_store_explicit(old, stays, memory_order_release);
}

/* True when a bucket may be split: at the start of a round only if nobody is in old chains. */
static bool
may_split(struct tdo_htab *t)
{
	uint32_t size = size_of(t);

	if (t->n <= size || size >= SIZE_TOP)
		return false;
	if ((size & (size - 1)) != 0)
		return true;
	if (t->round_end != 0 && !tdo_qsbr_passed(t->qsbr, t->round_end))
		return false;
	t->round_end = 0;
	return add_segment(t, (unsigned)__builtin_ctz(size) - TDO_HTAB_MIN_BITS + 1);
}

static void
grow(struct tdo_htab *t)
{
	for (unsigned i = 0; i < SPLITS && may_split(t); i++) {
		split(t);
		if ((size_of(t) & (size_of(t) - 1)) == 0)
			t->round_end = tdo_qsbr_mark(t->qsbr);
	}
}

/* ---- changes ------------------------------------------------------------------------ */

void
tdo_htab_insert(struct tdo_htab *t, struct tdo_hnode *node, uint64_t hash)
{
	_Atomic uintptr_t *head;
	uintptr_t first;

	grow(t);
	node->hash = hash;
	head = head_of(t, hash);
	first = load(head);
	put(head, node, tdo_hnode_of(first), first & 1);
	t->n++;
}

void
tdo_htab_remove(struct tdo_htab *t, struct tdo_hnode *node)
{
	unsigned link = load(head_of(t, node->hash)) & 1;

	lead(node->at, tdo_hnode_of(load(&node->next[link])), memory_order_release);
	t->n--;
}

void
tdo_htab_replace(struct tdo_htab *t, struct tdo_hnode *old, struct tdo_hnode *node)
{
	unsigned link = load(head_of(t, old->hash)) & 1;

	node->hash = old->hash;
	put(old->at, node, tdo_hnode_of(load(&old->next[link])), link);
}

void
tdo_htab_each(const struct tdo_htab *t, void (*fn)(void *ctx, struct tdo_hnode *node), void *ctx)
{
	for (uint32_t i = 0; i < size_of(t); i++) {
		uintptr_t head = load(tdo_htab_head(t, i, size_of(t)));

		for (struct tdo_hnode *n = tdo_hnode_of(head); n;
		     n = tdo_hnode_of(load(&n->next[head & 1])))
			fn(ctx, n);
	}
}
