/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/replay.h"

#include <errno.h>

#define BLOCK_BITS TDO_REPLAY_BLOCK
#define HALF_BITS  TDO_HALF_BITS
/*
 * Without a window the number nearest to the highest one is meant: RFC 4303 3.4.3 leaves it to
 * the receiver how to manage without.
 */
#define SPAN_WITHOUT_WINDOW ((uint32_t)1 << (HALF_BITS - 1))

/*
 * RFC 4303 A3: after TDO_REPLAY_RESYNC wrong ICVs one packet in RESYNC_EVERY is tried with a high
 * half that is larger by up to RESYNC_AHEAD: no packet is computed twice, and a flood of forged
 * ones costs no more than this share of the right ones.
 */
#define RESYNC_EVERY 16u
#define RESYNC_AHEAD 4u

/* RFC 4303 3.4.3: the preferred size; of adaptive windows that are given none. */
#define WINDOW_DEFAULT 64u

_Static_assert(offsetof(struct tdo_replay, high) == 64, "what every packet needs is one line");

/*
 * Blocks of the ring for a window.  RFC 6479 2: one more than those it fills, since it ends
 * anywhere within a block.
 */
static uint32_t
ring_size(uint32_t window)
{
	uint32_t n = 1;

	while (n < (window + BLOCK_BITS - 1) / BLOCK_BITS + 1)
		n *= 2;
	return n;
}

/* A cleared ring; its blocks, or 0. */
static uint32_t
ring_new(const struct tdo_mem *mem, uint32_t window, uint64_t **ret)
{
	uint32_t n = ring_size(window);

	*ret = mem->alloc(mem->ctx, n * sizeof(**ret));
	return *ret ? n : 0;
}

static void
ring_free(const struct tdo_replay *r, const struct tdo_mem *mem, uint64_t *bits, uint32_t nblocks)
{
	if (bits && bits != r->few)
		mem->free(mem->ctx, bits, nblocks * sizeof(*bits));
}

static void
set_edge(struct tdo_replay *r, uint64_t top)
{
	atomic_store_explicit(&r->top, top, memory_order_relaxed);
}

static uint32_t
failed(const struct tdo_replay *r)
{
	return atomic_load_explicit(&r->failed, memory_order_relaxed);
}

static void
set_failed(struct tdo_replay *r, uint32_t n)
{
	atomic_store_explicit(&r->failed, n, memory_order_relaxed);
}

int
tdo_replay_init(struct tdo_replay *r, const struct tdo_mem *mem, uint32_t window, bool adaptive)
{
	if (adaptive && window == 0)
		window = WINDOW_DEFAULT;
	*r = (struct tdo_replay){
	    .lock = ATOMIC_FLAG_INIT,
	    .window = window,
	    .adaptive = adaptive,
	    .span = adaptive ? TDO_REPLAY_MAX
		    : window ? window
			     : SPAN_WITHOUT_WINDOW,
	};
	if (window == 0)
		return 0;
	if (ring_size(window) <= TDO_REPLAY_FEW) {
		r->nblocks = TDO_REPLAY_FEW;
		r->bits = r->few;
		return 0;
	}
	r->nblocks = ring_new(mem, window, &r->bits);
	return r->nblocks ? 0 : -ENOMEM;
}

void
tdo_replay_fini(struct tdo_replay *r, const struct tdo_mem *mem)
{
	ring_free(r, mem, r->bits, r->nblocks);
	r->bits = NULL;
}

struct tdo_replay *
tdo_replay_lock_moved(struct tdo_replay *r)
{
	struct tdo_replay *to = atomic_load_explicit(&r->moved, memory_order_relaxed);

	tdo_replay_unlock(r);
	return tdo_replay_lock(to); /* in the end, the window that is in charge now */
}

/* ---- extended sequence numbers ------------------------------------------------------ */

uint64_t
tdo_esn_infer(uint64_t top, uint64_t window, uint64_t low, unsigned bits)
{
	uint64_t n = (uint64_t)1 << bits, last = n * n - 1;
	uint64_t bottom = top >= window ? top - window + 1 : 0;
	uint64_t ahead = (low - bottom) & (n - 1);

	return ahead <= last - bottom ? bottom + ahead : bottom + ahead - n;
}

uint64_t
tdo_replay_guess(struct tdo_replay *r, uint32_t low)
{
	uint64_t seq;

	r = tdo_replay_lock(r);
	seq = tdo_esn_infer(tdo_replay_edge(r), r->span, low, HALF_BITS);
	if (failed(r) >= TDO_REPLAY_RESYNC && ++r->tries % RESYNC_EVERY == 0) {
		uint64_t more = 1 + r->tries / RESYNC_EVERY % RESYNC_AHEAD;

		if (more <= (UINT64_MAX - seq) >> HALF_BITS)
			seq += more << HALF_BITS;
	}
	tdo_replay_unlock(r);
	return seq;
}

/* ---- the window --------------------------------------------------------------------- */

static uint64_t *
block(const struct tdo_replay *r, uint64_t seq)
{
	return &r->bits[(seq / BLOCK_BITS) & (r->nblocks - 1)];
}

static uint64_t
bit(uint64_t seq)
{
	return (uint64_t)1 << (seq % BLOCK_BITS);
}

/* behind: packets between it and the highest one, at least 1. */
static void
count_late(uint64_t bins[TDO_LATE_BINS], uint64_t behind)
{
	unsigned i = 63u - (unsigned)__builtin_clzll(behind);

	bins[i < TDO_LATE_BINS ? i : TDO_LATE_BINS - 1]++;
}

/* RFC 4303 3.4.3; the caller holds the lock. */
static enum tdo_reason
check(const struct tdo_replay *r, uint64_t seq)
{
	/* The first packet of an SA has number 1 (RFC 4303 2.2). */
	if (seq == 0)
		return TDO_REASON_IN_REPLAY_ZERO;
	if (seq > tdo_replay_edge(r))
		return TDO_REASON_NONE;
	if (tdo_replay_edge(r) - seq >= r->window)
		return TDO_REASON_IN_REPLAY_OLD;
	return *block(r, seq) & bit(seq) ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE;
}

/* An authentic packet was late: how large would the window be with as much again to spare? */
static void
measure(struct tdo_replay *r, uint64_t behind)
{
	uint32_t size = WINDOW_DEFAULT;

	if (!r->adaptive || behind < r->window / 2 || behind >= TDO_REPLAY_MAX)
		return;
	while (size < TDO_REPLAY_MAX && size <= 2 * behind)
		size *= 2;
	if (size > r->want)
		r->want = size;
}

/* Moves the right edge to seq: the blocks that come into use are cleared. */
static void
slide(struct tdo_replay *r, uint64_t seq)
{
	uint64_t n = seq / BLOCK_BITS - tdo_replay_edge(r) / BLOCK_BITS;

	if (r->high && (seq ^ tdo_replay_edge(r)) >> HALF_BITS)
		atomic_store_explicit(r->high, (uint32_t)(seq >> HALF_BITS), memory_order_relaxed);

	if (n > r->nblocks)
		n = r->nblocks;
	for (uint64_t i = 0; i < n; i++)
		*block(r, seq - i * BLOCK_BITS) = 0;
	set_edge(r, seq);
}

/* A number that is not above the edge, or was not when that was looked at. */
static enum tdo_reason
check_late(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason = r->window ? check(r, seq) : TDO_REASON_NONE;

	if (reason != TDO_REASON_IN_REPLAY_OLD)
		return reason;
	if (r->adaptive && tdo_replay_edge(r) - seq < r->span)
		return TDO_REASON_NONE;
	count_late(r->late.dropped, tdo_replay_edge(r) - seq);
	return reason;
}

enum tdo_reason
tdo_replay_check_any(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason;

	r = tdo_replay_lock(r);
	reason = check_late(r, seq);
	tdo_replay_unlock(r);
	return reason;
}

/* The window accepts seq: late, or as its new right edge. */
static void
record(struct tdo_replay *r, uint64_t seq)
{
	if (seq < tdo_replay_edge(r)) {
		count_late(r->late.accepted, tdo_replay_edge(r) - seq);
		measure(r, tdo_replay_edge(r) - seq);
	} else if (seq > tdo_replay_edge(r)) {
		slide(r, seq); /* without a window: shown, and its base if it gets one later */
	}
	if (r->window)
		*block(r, seq) |= bit(seq);
}

enum tdo_reason
tdo_replay_accept_any(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason = r->window ? check(r, seq) : TDO_REASON_NONE;

	set_failed(r, 0);
	if (reason == TDO_REASON_NONE) {
		record(r, seq);
	} else if (reason == TDO_REASON_IN_REPLAY_OLD) {
		count_late(r->late.dropped, tdo_replay_edge(r) - seq);
		measure(r, tdo_replay_edge(r) - seq);
	}
	return reason;
}

/*
 * A packet left of the window is taken for one of the next 2^32 (RFC 4303 A2.1), and its ICV is
 * wrong.  Where that would be a leap of more than half of them, it is more likely late.
 */
enum tdo_reason
tdo_replay_failed_locked(struct tdo_replay *r, uint64_t seq)
{
	const uint64_t subspace = (uint64_t)1 << HALF_BITS;

	if (failed(r) < UINT32_MAX)
		set_failed(r, failed(r) + 1);
	if (seq < subspace || seq <= tdo_replay_edge(r) || seq - tdo_replay_edge(r) <= subspace / 2)
		return TDO_REASON_IN_ICV;
	if (r->window == 0 || seq - subspace >= tdo_replay_edge(r))
		return TDO_REASON_IN_ICV;
	count_late(r->late.dropped, tdo_replay_edge(r) - (seq - subspace));
	return TDO_REASON_IN_REPLAY_OLD;
}

enum tdo_reason
tdo_replay_accept(struct tdo_replay *r, uint64_t seq)
{
	enum tdo_reason reason;

	r = tdo_replay_lock(r);
	reason = tdo_replay_accept_locked(r, seq);
	tdo_replay_unlock(r);
	return reason;
}

/* ---- control ------------------------------------------------------------------------ */

/*
 * What r knows of the block that seq is in: the bits of numbers that were accepted, and of those
 * of which it cannot tell.
 */
static uint64_t
known(const struct tdo_replay *r, uint64_t seq)
{
	uint64_t first = seq - seq % BLOCK_BITS, gone = tdo_replay_edge(r) - r->window;
	uint64_t map = r->window ? *block(r, seq) : 0;

	if (tdo_replay_edge(r) < r->window || gone < first)
		return map;
	return gone - first >= BLOCK_BITS - 1 ? UINT64_MAX : map | (bit(gone + 1) - 1);
}

/* Fills the ring of `to`, whose right edge is set, with what `from` knows. */
static void
copy_known(const struct tdo_replay *from, struct tdo_replay *to)
{
	for (uint64_t i = 0; i < to->nblocks && i <= tdo_replay_edge(to) / BLOCK_BITS; i++) {
		uint64_t seq = tdo_replay_edge(to) - i * BLOCK_BITS;

		*block(to, seq) = known(from, seq);
	}
}

void
tdo_replay_move(struct tdo_replay *from, struct tdo_replay *to)
{
	from = tdo_replay_lock(from);
	set_edge(to, tdo_replay_edge(from));
	to->late = from->late;
	set_failed(to, failed(from));
	to->high = from->high;
	copy_known(from, to);
	atomic_store_explicit(&from->moved, to, memory_order_release);
	tdo_replay_unlock(from);
}

void
tdo_replay_keep_high(struct tdo_replay *r, _Atomic uint32_t *high)
{
	uint64_t kept = (uint64_t)atomic_load_explicit(high, memory_order_relaxed) << HALF_BITS;

	r = tdo_replay_lock(r);
	r->high = high;
	if (kept > tdo_replay_edge(r))
		slide(r, kept);
	else
		atomic_store_explicit(
		    high, (uint32_t)(tdo_replay_edge(r) >> HALF_BITS), memory_order_relaxed);
	tdo_replay_unlock(r);
}

void
tdo_replay_grow(struct tdo_replay *r, const struct tdo_mem *mem, uint32_t size)
{
	struct tdo_replay next = {0};
	uint64_t *old;
	uint32_t nold;

	r = tdo_replay_lock(r);
	next.window = r->want > size ? r->want : size;
	r->want = 0; /* it will be wanted again when there is no memory now */
	tdo_replay_unlock(r);
	if (next.window <= r->window)
		return;
	next.nblocks = ring_new(mem, next.window, &next.bits);
	if (next.nblocks == 0)
		return;
	r = tdo_replay_lock(r);
	set_edge(&next, tdo_replay_edge(r));
	copy_known(r, &next);
	old = r->bits;
	nold = r->nblocks;
	r->bits = next.bits;
	r->nblocks = next.nblocks;
	r->window = next.window;
	tdo_replay_unlock(r);
	ring_free(r, mem, old, nold);
}

uint64_t
tdo_replay_top(struct tdo_replay *r)
{
	uint64_t top;

	r = tdo_replay_lock(r);
	top = tdo_replay_edge(r);
	tdo_replay_unlock(r);
	return top;
}

uint32_t
tdo_replay_size(struct tdo_replay *r)
{
	uint32_t window;

	r = tdo_replay_lock(r);
	window = r->window;
	tdo_replay_unlock(r);
	return window;
}

void
tdo_replay_info(struct tdo_replay *r, struct tdo_sa_info *ret)
{
	r = tdo_replay_lock(r);
	ret->in_seq = tdo_replay_edge(r);
	ret->window = r->window;
	ret->late = r->late;
	tdo_replay_unlock(r);
}
