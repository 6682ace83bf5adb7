/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of one worker that wait for an SA (D37, D38): copies, in order of arrival.  The
 * engine decides who waits, for what and for how long (TDO_VERDICT_HOLD); this keeps them,
 * within limits, and has them classified again.  No I/O: what happens to a packet that waits no
 * longer is the caller's.
 *
 * Packets of one flow never overtake each other: one that could go is kept, too, as long as an
 * earlier one of its flow waits.
 */
#ifndef TDO_DAEMON_HOLD_H
#define TDO_DAEMON_HOLD_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "testudo/pkt.h"

#define TDO_HOLD_BUCKETS 256u
#define TDO_HOLD_WAIT_MS 10 /* a worker with waiting packets looks at least so often */

struct tdo_hold_item;
TAILQ_HEAD(tdo_hold_list, tdo_hold_item);

struct tdo_hold_ops {
	void (*classify)(void *ctx, struct tdo_pkt *const *p, unsigned n);
	/* A packet with verdict PASS or PROTECT; its memory stays until flush() has returned. */
	void (*send)(void *ctx, struct tdo_pkt *p);
	void (*flush)(void *ctx);
	/* There is no room for this one any more: it is gone after the call. */
	void (*full)(void *ctx, struct tdo_pkt *p);
};

struct tdo_hold {
	const struct tdo_hold_ops *ops;            /* borrowed */
	void *ctx;                                 /* of ops */
	_Atomic size_t *total;                     /* bytes of all workers; borrowed */
	struct tdo_hold_list all;                  /* oldest first */
	struct tdo_hold_list sa[TDO_HOLD_BUCKETS]; /* the same by what they wait for */
	unsigned flow[TDO_HOLD_BUCKETS];           /* how many, by flow */
	unsigned n;
	uint32_t generation; /* of the engine, when they were looked at last */
	tdo_ns looked;
};

/* How much may wait: packets for the same SA, bytes in all. */
struct tdo_hold_limits {
	unsigned packets;
	size_t bytes;
};

void tdo_hold_init(
    struct tdo_hold *h, const struct tdo_hold_ops *ops, void *ctx, _Atomic size_t *total);
/* Frees what waits. */
void tdo_hold_fini(struct tdo_hold *h);

/*
 * Takes n classified packets: sends those that may go, keeps copies of those that wait, leaves
 * those that are dropped alone.  When one may go whose flow waits, those that wait look first.
 */
void tdo_hold_burst(struct tdo_hold *h, const struct tdo_hold_limits *lim, struct tdo_pkt *const *p,
    unsigned n, uint32_t generation, tdo_ns now);

/* True when it is time to look: the databases changed, or a second has passed. */
bool tdo_hold_due(const struct tdo_hold *h, uint32_t generation, tdo_ns now);
/* Has all that waits classified again. */
void tdo_hold_look(struct tdo_hold *h, uint32_t generation, tdo_ns now);

#endif
