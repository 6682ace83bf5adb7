/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reclamation by quiescent states: what one control thread has unpublished is freed when
 * every reader has since said that it holds no pointer any more.  C11 atomics only;
 * nothing here waits.
 */
#ifndef TDO_BASE_QSBR_H
#define TDO_BASE_QSBR_H

#include <stdatomic.h>

#include "testudo/types.h"

#define TDO_QSBR_READERS 64
#define TDO_QSBR_OFFLINE UINT64_MAX

struct tdo_qsbr_reader {
	_Alignas(64) _Atomic uint64_t seen; /* epoch, or OFFLINE while it holds nothing */
};

/* Something to free; embedded in the object. */
struct tdo_qsbr_node {
	struct tdo_qsbr_node *next;
	uint64_t epoch;
	void (*free)(void *ctx, struct tdo_qsbr_node *node);
};

struct tdo_qsbr {
	_Atomic uint64_t epoch;
	unsigned nreaders;
	struct tdo_qsbr_node *head, **tail; /* retired, oldest first; control thread only */
	size_t n;                           /* of them */
	struct tdo_qsbr_reader reader[TDO_QSBR_READERS];
};

/* All readers start offline. */
void tdo_qsbr_init(struct tdo_qsbr *q, unsigned nreaders);

/* Orders the stores before it and the loads behind it.  ThreadSanitizer knows no fences. */
static inline void
tdo_qsbr_fence(struct tdo_qsbr *q)
{
#ifdef __SANITIZE_THREAD__
	(void)atomic_fetch_add_explicit(&q->epoch, 0, memory_order_seq_cst);
#else
	(void)q;
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Reader: holds no pointer from before this call. */
static inline void
tdo_qsbr_quiesce(struct tdo_qsbr *q, unsigned i)
{
	uint64_t e = atomic_load_explicit(&q->epoch, memory_order_acquire);

	atomic_store_explicit(&q->reader[i].seen, e, memory_order_release);
}

/* Reader: holds nothing and will read nothing until tdo_qsbr_online(). */
static inline void
tdo_qsbr_offline(struct tdo_qsbr *q, unsigned i)
{
	atomic_store_explicit(&q->reader[i].seen, TDO_QSBR_OFFLINE, memory_order_release);
}

/* Reader: is about to read again.  The store must be visible before any read: seq_cst. */
static inline void
tdo_qsbr_online(struct tdo_qsbr *q, unsigned i)
{
	uint64_t e = atomic_load_explicit(&q->epoch, memory_order_acquire);

	atomic_store_explicit(&q->reader[i].seen, e, memory_order_seq_cst);
	tdo_qsbr_fence(q);
}

/* Control: node is unreachable for new readers; free it later. */
void tdo_qsbr_retire(struct tdo_qsbr *q, struct tdo_qsbr_node *node,
    void (*free)(void *ctx, struct tdo_qsbr_node *node));
/*
 * Control: frees what no reader can hold, at most max things, oldest first; returns how many are
 * left, those that wait for readers included.
 */
size_t tdo_qsbr_poll(struct tdo_qsbr *q, void *ctx, size_t max);
/*
 * Control: a point in time, and whether every reader was quiescent since: for what is not
 * freed but used again.
 */
uint64_t tdo_qsbr_mark(struct tdo_qsbr *q);
bool tdo_qsbr_passed(struct tdo_qsbr *q, uint64_t mark);
/* Control: frees everything; only when no reader runs any more. */
void tdo_qsbr_drain(struct tdo_qsbr *q, void *ctx);

#endif
