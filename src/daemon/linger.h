/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a worker that has nothing to do stays awake before it sleeps.
 *
 * To be woken costs more than to handle a packet, so where the next packet comes within the time
 * of a wake-up, it pays to look for it instead.  What comes next depends on what went before: after
 * a request its answer comes soon, after the answer nothing for long.  So each kind of work has a
 * memory of its own: short waits make the worker linger the next time, a wait that was longer than
 * it would have lingered makes it sleep at once until it has seen a short one again.  Whoever
 * sends nothing sees no use of the processor, and a wait never costs more than the limit.
 */
#ifndef TDO_DAEMON_LINGER_H
#define TDO_DAEMON_LINGER_H

#include "testudo/types.h"

/* Others want the processor: for so long there is no lingering. */
#define TDO_LINGER_PAUSE TDO_SEC

/* What a worker did in its last rounds. */
enum tdo_work { TDO_WORK_NONE = 0, TDO_WORK_OUT = 1, TDO_WORK_IN = 2, TDO_WORK_KINDS = 4 };

#define TDO_LINGER_BULK 16 /* more packets than these in one go: throughput, not latency */

struct tdo_linger {
	tdo_ns limit;              /* 0: always sleep at once */
	bool soon[TDO_WORK_KINDS]; /* after this kind of work the next packet came soon */
	tdo_ns crowded_until;      /* by others that want the processor */
	uint8_t kind;              /* of the present wait */
};

void tdo_linger_init(struct tdo_linger *l, tdo_ns limit);
/*
 * After work (TDO_WORK_OUT, IN or both) with that many packets: how long to look for more before
 * sleeping, 0 to limit.
 */
tdo_ns tdo_linger_time(struct tdo_linger *l, unsigned work, unsigned packets, tdo_ns now);
/*
 * The processor was given to others, from the first time to the second.  When that took longer than
 * to find nobody, there are others: who sleeps is woken before those who only give way, so it is
 * better to sleep.  False: the wait awake is over.
 */
bool tdo_linger_yielded(struct tdo_linger *l, tdo_ns from, tdo_ns to);
/* The wait that began with tdo_linger_time() took so long, with the time to wake up. */
void tdo_linger_learn(struct tdo_linger *l, tdo_ns waited);

#endif
