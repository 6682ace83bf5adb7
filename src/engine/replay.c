/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/replay.h"

#include <errno.h>

#define BLOCK_BITS 64u

int
tdo_replay_init(struct tdo_replay *r, const struct tdo_mem *mem, uint32_t window)
{
	uint32_t n = 1;

	*r = (struct tdo_replay){.lock = ATOMIC_FLAG_INIT, .window = window};
	if (window == 0)
		return 0;
	/*
	 * RFC 6479 2: the window ends anywhere within a block, so it touches up to
	 * window / 64 + 1 blocks, and the block of the right edge is being filled.
	 */
	while (n < window / BLOCK_BITS + 2)
		n *= 2;
	r->bits = mem->alloc(mem->ctx, n * sizeof(*r->bits));
	if (r->bits == NULL)
		return -ENOMEM;
	r->nblocks = n;
	return 0;
}

void
tdo_replay_fini(struct tdo_replay *r, const struct tdo_mem *mem)
{
	if (r->bits)
		mem->free(mem->ctx, r->bits, r->nblocks * sizeof(*r->bits));
	r->bits = NULL;
}

static void
lock(struct tdo_replay *r)
{
	while (atomic_flag_test_and_set_explicit(&r->lock, memory_order_acquire))
		;
}

static void
unlock(struct tdo_replay *r)
{
	atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

struct tdo_replay *
tdo_replay_lock(struct tdo_replay *r)
{
	lock(r);
	while (r->moved) {
		struct tdo_replay *to = r->moved;

		unlock(r);
		r = to;
		lock(r);
	}
	return r; /* the window that is in charge now */
}

void
tdo_replay_unlock(struct tdo_replay *r)
{
	unlock(r);
}

static uint64_t *
block(struct tdo_replay *r, uint64_t seq)
{
	return &r->bits[(seq / BLOCK_BITS) & (r->nblocks - 1)];
}

static uint64_t
bit(uint64_t seq)
{
	return (uint64_t)1 << (seq % BLOCK_BITS);
}

/* RFC 4303 3.4.3; the caller holds the lock. */
static enum tdo_reason
check(struct tdo_replay *r, uint64_t seq)
{
	/* The first packet of an SA has number 1 (RFC 4303 2.2). */
	if (seq == 0)
		return TDO_REASON_IN_REPLAY_ZERO;
	if (seq > r->top)
		return TDO_REASON_NONE;
	if (r->top - seq >= r->window)
		return TDO_REASON_IN_REPLAY_OLD;
	return *block(r, seq) & bit(seq) ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE;
}

/* Moves the right edge to seq: the blocks that come into use are cleared. */
static void
slide(struct tdo_replay *r, uint64_t seq)
{
	uint64_t n = seq / BLOCK_BITS - r->top / BLOCK_BITS;

	if (n > r->nblocks)
		n = r->nblocks;
	for (uint64_t i = 0; i < n; i++)
		*block(r, seq - i * BLOCK_BITS) = 0;
	r->top = seq;
}

enum tdo_reason
tdo_replay_check_locked(struct tdo_replay *r, uint64_t seq)
{
	return r->window ? check(r, seq) : TDO_REASON_NONE;
}

enum tdo_reason
tdo_replay_accept_locked(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason;

	if (r->window == 0) {
		if (seq > r->top)
			r->top = seq; /* shown, and the base if a window is configured later */
		return TDO_REASON_NONE;
	}
	reason = check(r, seq);
	if (reason != TDO_REASON_NONE)
		return reason;
	if (seq > r->top)
		slide(r, seq);
	*block(r, seq) |= bit(seq);
	return TDO_REASON_NONE;
}

enum tdo_reason
tdo_replay_check(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason;

	r = tdo_replay_lock(r);
	reason = tdo_replay_check_locked(r, seq);
	unlock(r);
	return reason;
}

enum tdo_reason
tdo_replay_accept(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason;

	r = tdo_replay_lock(r);
	reason = tdo_replay_accept_locked(r, seq);
	unlock(r);
	return reason;
}

void
tdo_replay_move(struct tdo_replay *from, struct tdo_replay *to)
{
	from = tdo_replay_lock(from);
	to->top = from->top;
	for (uint64_t i = 0; to->window && i < to->window && i < from->top; i++) {
		uint64_t seq = from->top - i;

		/* What the old window cannot tell counts as seen. */
		if (i >= from->window || (*block(from, seq) & bit(seq)) != 0)
			*block(to, seq) |= bit(seq);
	}
	from->moved = to;
	unlock(from);
}

uint64_t
tdo_replay_top(struct tdo_replay *r)
{
	uint64_t top;

	r = tdo_replay_lock(r);
	top = r->top;
	unlock(r);
	return top;
}
