/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anti-replay window (RFC 4303 3.4.3) as a ring of 64-bit blocks (RFC 6479), and what is
 * inferred from it: the high half of extended sequence numbers (RFC 4303 appendix A).
 *
 * An adaptive window grows with the reordering that it sees: authentic packets that are late say
 * how large it should be, and the control thread, which may allocate, gives it that size.
 *
 * The cost of a packet does not depend on the size of the window, except of one that jumps: it
 * clears the blocks that it jumps over, at most the ring (16 KB for 65,536 packets), and only
 * packets with a right ICV do.  A spin lock per SA is held for the update, never across crypto;
 * what is looked at before it needs the lock only for packets that are late.
 */
#ifndef TDO_ENGINE_REPLAY_H
#define TDO_ENGINE_REPLAY_H

#include <stdatomic.h>
#include <stddef.h>

#include "testudo/reason.h"
#include "testudo/sa.h"
#include "testudo/types.h"

#define TDO_REPLAY_BLOCK 64u /* numbers in one block of the ring */
#define TDO_REPLAY_FEW   2u  /* blocks of windows of up to 64 packets */

struct tdo_replay {
	/* One cache line: */
	atomic_flag lock;
	bool adaptive;
	uint32_t window;         /* packets; 0 = no check */
	uint32_t nblocks;        /* power of two; the blocks of a window are not all of them */
	_Atomic uint32_t failed; /* ICVs that were wrong since the last right one */
	_Atomic uint64_t top;    /* highest number accepted */
	uint64_t *bits;
	uint64_t few[TDO_REPLAY_FEW];     /* bits points here if they are enough */
	struct tdo_replay *_Atomic moved; /* the window that continues this one, or NULL */
	uint32_t span;                    /* the window from which high halves are inferred */
	uint32_t want;                    /* adaptive: the size that it should have */
	/* Seldom used: */
	_Atomic uint32_t *high; /* the high half of top is kept there; may be NULL */
	uint32_t tries;         /* numbers inferred since `failed` is suspicious */
	struct tdo_late late;
};

/* 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_replay_init(
    struct tdo_replay *r, const struct tdo_mem *mem, uint32_t window, bool adaptive);
void tdo_replay_fini(struct tdo_replay *r, const struct tdo_mem *mem);

/*
 * For a row of packets of one SA: everything named _locked comes between lock and unlock, and
 * takes what lock returned.  The lock costs more than the check.
 */
static inline struct tdo_replay *tdo_replay_lock(struct tdo_replay *r);
static inline void tdo_replay_unlock(struct tdo_replay *r);

/* The number of a packet of which only the low half is sent (RFC 4303 2.2.1). */
static inline uint64_t tdo_replay_number(struct tdo_replay *r, uint32_t low);
/*
 * NONE, or IN_REPLAY_ZERO, _DUP, _OLD.  Nothing but the count of late packets changes: the
 * number is not authentic yet.  NONE also for numbers left of a window that may grow: whether
 * they are authentic is worth knowing.
 */
static inline enum tdo_reason tdo_replay_check(struct tdo_replay *r, uint64_t seq);
/* Checks again and accepts: for packets whose ICV was right. */
static inline enum tdo_reason tdo_replay_accept_locked(struct tdo_replay *r, uint64_t seq);
/* For packets whose ICV was wrong under an inferred number: the reason. */
enum tdo_reason tdo_replay_failed_locked(struct tdo_replay *r, uint64_t seq);

/* True when the window should grow. */
static inline bool
tdo_replay_wants_locked(const struct tdo_replay *r)
{
	return r->want > r->window;
}

/* One packet alone. */
enum tdo_reason tdo_replay_accept(struct tdo_replay *r, uint64_t seq);

/*
 * Lets `to`, which nobody uses yet, continue from where `from` is.  Checks against `from`
 * are answered by `to` from now on, so that no number is accepted by both.
 */
void tdo_replay_move(struct tdo_replay *from, struct tdo_replay *to);
/*
 * The high half of the numbers lives on in *high: the window begins there if an earlier process
 * came that far, and says when it goes on to the next.
 */
void tdo_replay_keep_high(struct tdo_replay *r, _Atomic uint32_t *high);
/*
 * Control thread: gives the window in charge the size that it wants, or size if that is more;
 * what the smaller one could not tell counts as seen.  Without memory it stays as it is.
 */
void tdo_replay_grow(struct tdo_replay *r, const struct tdo_mem *mem, uint32_t size);
uint64_t tdo_replay_top(struct tdo_replay *r);
uint32_t tdo_replay_size(struct tdo_replay *r);
/* Right edge, size and lateness of the window in charge. */
void tdo_replay_info(struct tdo_replay *r, struct tdo_sa_info *ret);

/*
 * RFC 4303 A2.1 for halves of `bits` bits (32, less in tests): the number with this low half
 * that is nearest above the left edge of the window, which ends at top; 1 <= window <= 2^bits.
 * There is no number below 0 and none of more than two halves: then the result is the one
 * number that is left, outside of the interval.
 */
uint64_t tdo_esn_infer(uint64_t top, uint64_t window, uint64_t low, unsigned bits);

/* ---- the common case, without a call: a number that is the highest so far ------------- */

/*
 * RFC 4303 A3: after so many wrong ICVs in a row the peer may have sent 2^32 packets that
 * never came, and numbers are guessed (replay.c).
 */
#define TDO_REPLAY_RESYNC 1024u
#define TDO_HALF_BITS     32u

struct tdo_replay *tdo_replay_lock_moved(struct tdo_replay *r); /* with r's lock held */
uint64_t tdo_replay_guess(struct tdo_replay *r, uint32_t low);
enum tdo_reason tdo_replay_check_any(struct tdo_replay *r, uint64_t seq);
enum tdo_reason tdo_replay_accept_any(struct tdo_replay *r, uint64_t seq);

static inline struct tdo_replay *
tdo_replay_lock(struct tdo_replay *r)
{
	while (atomic_flag_test_and_set_explicit(&r->lock, memory_order_acquire))
		;
	return atomic_load_explicit(&r->moved, memory_order_relaxed) ? tdo_replay_lock_moved(r) : r;
}

static inline void
tdo_replay_unlock(struct tdo_replay *r)
{
	atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

/* The right edge, as good as any a moment ago where the lock is not held. */
static inline uint64_t
tdo_replay_edge(const struct tdo_replay *r)
{
	return atomic_load_explicit(&r->top, memory_order_relaxed);
}

static inline bool
tdo_replay_is_moved(struct tdo_replay *r)
{
	return atomic_load_explicit(&r->moved, memory_order_acquire) != NULL;
}

static inline uint64_t
tdo_replay_number(struct tdo_replay *r, uint32_t low)
{
	if (tdo_replay_is_moved(r) ||
	    atomic_load_explicit(&r->failed, memory_order_relaxed) >= TDO_REPLAY_RESYNC)
		return tdo_replay_guess(r, low);
	return tdo_esn_infer(tdo_replay_edge(r), r->span, low, TDO_HALF_BITS);
}

/* Who is let through because the window was moved just now is stopped when it is to be accepted. */
static inline enum tdo_reason
tdo_replay_check(struct tdo_replay *r, uint64_t seq)
{
	return seq > tdo_replay_edge(r) && !tdo_replay_is_moved(r) ? TDO_REASON_NONE
								   : tdo_replay_check_any(r, seq);
}

static inline enum tdo_reason
tdo_replay_accept_locked(struct tdo_replay *r, uint64_t seq)
{
	uint64_t block = seq / TDO_REPLAY_BLOCK, top = tdo_replay_edge(r);

	if (r->window == 0 || seq <= top || block != top / TDO_REPLAY_BLOCK)
		return tdo_replay_accept_any(r, seq);
	/* Nothing has to be cleared. */
	if (atomic_load_explicit(&r->failed, memory_order_relaxed) != 0)
		atomic_store_explicit(&r->failed, 0, memory_order_relaxed);
	r->bits[block & (r->nblocks - 1)] |= (uint64_t)1 << (seq % TDO_REPLAY_BLOCK);
	atomic_store_explicit(&r->top, seq, memory_order_relaxed);
	return TDO_REASON_NONE;
}

#endif
