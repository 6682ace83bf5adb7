/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events wait in the objects that they are about, so that an expiry is never lost for
 * want of memory.
 */
#ifndef TDO_ENGINE_EVENT_H
#define TDO_ENGINE_EVENT_H

#include "testudo/types.h"

/* Embedded in an SA or a policy, which is referenced while it waits. */
struct tdo_event_link {
	struct tdo_event_link *next;
	uint8_t type; /* enum tdo_event_type */
};

struct tdo_engine;
struct tdo_sa;
struct tdo_sp;

/* 0 or -ENOMEM.  Frees what waits, and the workers' rings. */
TDO_MUST_CHECK int tdo_events_new(struct tdo_engine *e);
void tdo_events_free(struct tdo_engine *e);

void tdo_event_sa(struct tdo_engine *e, struct tdo_sa *sa, uint8_t type);
void tdo_event_sp(struct tdo_engine *e, struct tdo_sp *sp);
/* Forgets acquires that are older than blockacq_lifetime. */
void tdo_event_tick(struct tdo_engine *e, tdo_ns now);

#endif
