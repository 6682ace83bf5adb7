/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/qsbr.h"

void
tdo_qsbr_init(struct tdo_qsbr *q, unsigned nreaders)
{
	atomic_init(&q->epoch, 1);
	q->nreaders = nreaders;
	q->head = NULL;
	q->tail = &q->head;
	q->n = 0;
	for (unsigned i = 0; i < TDO_QSBR_READERS; i++)
		atomic_init(&q->reader[i].seen, TDO_QSBR_OFFLINE);
}

void
tdo_qsbr_retire(struct tdo_qsbr *q, struct tdo_qsbr_node *node,
    void (*free)(void *ctx, struct tdo_qsbr_node *node))
{
	/* A reader that has seen the epoch after this one cannot reach the node. */
	node->epoch = atomic_fetch_add_explicit(&q->epoch, 1, memory_order_seq_cst);
	node->free = free;
	node->next = NULL;
	*q->tail = node;
	q->tail = &node->next;
	q->n++;
}

/* The oldest epoch that a reader may still be in. */
static uint64_t
oldest_seen(struct tdo_qsbr *q)
{
	uint64_t oldest = TDO_QSBR_OFFLINE;

	tdo_qsbr_fence(q);
	for (unsigned i = 0; i < q->nreaders; i++) {
		uint64_t e = atomic_load_explicit(&q->reader[i].seen, memory_order_acquire);

		if (e < oldest)
			oldest = e;
	}
	return oldest;
}

static void
pop(struct tdo_qsbr *q, void *ctx)
{
	struct tdo_qsbr_node *n = q->head;

	q->head = n->next;
	if (q->head == NULL)
		q->tail = &q->head;
	q->n--;
	n->free(ctx, n);
}

size_t
tdo_qsbr_poll(struct tdo_qsbr *q, void *ctx, size_t max)
{
	uint64_t oldest = q->head ? oldest_seen(q) : 0;

	for (; max > 0 && q->head && q->head->epoch < oldest; max--)
		pop(q, ctx);
	return q->n;
}

uint64_t
tdo_qsbr_mark(struct tdo_qsbr *q)
{
	return atomic_fetch_add_explicit(&q->epoch, 1, memory_order_seq_cst);
}

bool
tdo_qsbr_passed(struct tdo_qsbr *q, uint64_t mark)
{
	return mark < oldest_seen(q);
}

void
tdo_qsbr_drain(struct tdo_qsbr *q, void *ctx)
{
	while (q->head)
		pop(q, ctx);
}
