/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP as a witness, for a path whose peer answers no probes (docs/decisions/0013-path-mtu.md).
 *
 * A sender that repeats a full segment and hears nothing is stuck behind a path that swallows large
 * packets, or its receiver is dead: the segments of that one flow are sent smaller, and only if
 * these are acknowledged does anything follow for others.  Meanwhile some large segments of other
 * flows are remembered: if they are acknowledged the path carries them, whatever became of the
 * first one.  In the same way a limit is tried again: one packet may be longer than it.
 *
 * No locks, no clock, no I/O; the memory is part of the path.
 */
#ifndef TDO_DAEMON_WITNESS_H
#define TDO_DAEMON_WITNESS_H

#include "testudo/types.h"

#define TDO_WITNESS_WATCH   (3 * TDO_SEC) /* after something that gives cause to */
#define TDO_WITNESS_PATIENT TDO_SEC       /* before another one's turn comes */
#define TDO_WITNESS_SAMPLES 8

/* A TCP segment that leaves; of a super-packet the first. */
struct tdo_segment {
	uint64_t flow;     /* addresses and ports, as a number: the same for its acknowledgements */
	uint32_t seq, end; /* first byte, and the first behind it */
	uint32_t more;     /* bytes of the same super-packet behind that */
	uint32_t size;     /* of the protected packet, if it is not cut */
};

struct tdo_witness {
	tdo_ns until; /* packets are looked at; 0: they are not */
	bool seeks;   /* a packet that is longer than the limit is wanted */
	/* The largest that was acknowledged of late, and when it was sent. */
	uint32_t passed;
	tdo_ns passed_sent;
	struct {
		struct tdo_segment s; /* size 0: free */
		tdo_ns sent;
	} sample[TDO_WITNESS_SAMPLES];
	/* The stuck flow whose segments are sent smaller: one as it was, and its size now; 0: none.
	 */
	struct tdo_segment trial;
	uint32_t trial_size;
	tdo_ns trial_since, trial_began; /* its trouble, and what is done about it */
	/* The packet that is longer than the limit; size 0: none. */
	struct tdo_segment canary;
};

enum tdo_testimony {
	TDO_TESTIMONY_NONE,
	TDO_TESTIMONY_HELPED, /* small pieces get through where a large packet did not */
	TDO_TESTIMONY_LONGER, /* the longer packet got through ... */
	TDO_TESTIMONY_LOST,   /* ... or was repeated */
};

/* Packets are looked at from now on. */
void tdo_witness_watch(struct tdo_witness *w, tdo_ns now);
/* Ends that. */
void tdo_witness_rest(struct tdo_witness *w);
/* s leaves now, and is not cut; or its flow is that of the trial. */
enum tdo_testimony tdo_witness_sent(struct tdo_witness *w, const struct tdo_segment *s, tdo_ns now);
/* A flow's receiver has everything in front of ack. */
enum tdo_testimony tdo_witness_acked(
    struct tdo_witness *w, uint64_t flow, uint32_t ack, struct tdo_segment *ret);
/* The largest size that is known to pass since then; 0: none. */
uint32_t tdo_witness_passed(const struct tdo_witness *w, tdo_ns since);
/* Only a limit that is too low can tell: a packet s that is longer leaves, if one is wanted. */
bool tdo_witness_longer(struct tdo_witness *w, const struct tdo_segment *s, tdo_ns now);
/*
 * The flow of s, in trouble since then, has its segments cut to this size.  False: the turn of
 * another flow is not over.
 */
bool tdo_witness_try(
    struct tdo_witness *w, const struct tdo_segment *s, uint32_t size, tdo_ns since, tdo_ns now);
/* Nothing follows any more from what becomes of the flow of s. */
void tdo_witness_give_up(struct tdo_witness *w, const struct tdo_segment *s);

#endif
