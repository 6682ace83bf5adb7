/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anti-replay window (RFC 4303 3.4.3) as a ring of 64-bit blocks (RFC 6479).  Cost per
 * packet does not depend on the window size.  A spin lock per SA is held for the check
 * and for the update, never across crypto.
 */
#ifndef TDO_ENGINE_REPLAY_H
#define TDO_ENGINE_REPLAY_H

#include <stdatomic.h>

#include "testudo/reason.h"
#include "testudo/types.h"

struct tdo_replay {
	atomic_flag lock;
	uint32_t window;  /* packets; 0 = no check */
	uint32_t nblocks; /* power of two, > window / 64 */
	uint64_t top;     /* highest number accepted */
	uint64_t *bits;
	struct tdo_replay *moved; /* the window that continues this one, or NULL */
};

/* 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_replay_init(
    struct tdo_replay *r, const struct tdo_mem *mem, uint32_t window);
void tdo_replay_fini(struct tdo_replay *r, const struct tdo_mem *mem);

/* NONE, or IN_REPLAY_ZERO, _DUP, _OLD.  Changes nothing. */
enum tdo_reason tdo_replay_check(struct tdo_replay *r, uint64_t seq);
/* Checks again and accepts: for packets whose ICV was right. */
enum tdo_reason tdo_replay_accept(struct tdo_replay *r, uint64_t seq);
/*
 * The same for a row of packets of one SA: between lock and unlock, on what lock returned.
 * The lock costs more than the check.
 */
struct tdo_replay *tdo_replay_lock(struct tdo_replay *r);
void tdo_replay_unlock(struct tdo_replay *r);
enum tdo_reason tdo_replay_check_locked(struct tdo_replay *r, uint64_t seq);
enum tdo_reason tdo_replay_accept_locked(struct tdo_replay *r, uint64_t seq);

/*
 * Lets `to`, which nobody uses yet, continue from where `from` is.  Checks against `from`
 * are answered by `to` from now on, so that no number is accepted by both.
 */
void tdo_replay_move(struct tdo_replay *from, struct tdo_replay *to);
uint64_t tdo_replay_top(struct tdo_replay *r);

#endif
