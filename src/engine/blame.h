/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which SA or policy packets were dropped for, by reason, with the last of them.
 *
 * Most SAs never drop anything and pay nothing.  Each worker has a table of its own, in segments:
 * a small one from the start; the control thread adds larger ones when the worker found no place.
 * It is bounded; what finds no place is counted and named no further.
 *
 * The worker claims places and writes them; control reads, and frees the places of what is gone
 * when no worker can have it any more.
 */
#ifndef TDO_ENGINE_BLAME_H
#define TDO_ENGINE_BLAME_H

#include <stdatomic.h>

#include "testudo/engine.h"

#define TDO_BLAME_SEGMENTS 4

struct tdo_blame_segment;
struct tdo_sa;
struct tdo_sp;

/* Of a worker. */
struct tdo_blame_table {
	struct tdo_blame_segment *_Atomic segment[TDO_BLAME_SEGMENTS];
	_Atomic bool full;     /* a drop found no place since control looked */
	_Atomic uint64_t lost; /* drops without a place */
};

/* The first segment: 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_blame_new(struct tdo_engine *e, struct tdo_blame_table *t);
void tdo_blame_free(struct tdo_engine *e, struct tdo_blame_table *t);
/* Worker: a packet of them was dropped; each may be NULL. */
void tdo_blame(struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_sp *sp,
    enum tdo_reason r, const struct tdo_offender *o);
/* Control: adds segments where they are needed. */
void tdo_blame_tick(struct tdo_engine *e);
/* Control: no worker has the SA, or the policy, any more, and it has no successor. */
void tdo_blame_forget_sa(struct tdo_engine *e, const struct tdo_sa *sa);
void tdo_blame_forget_sp(struct tdo_engine *e, const struct tdo_sp *sp);

#endif
