/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the journal of state.h holds: one record for every change of SAD, SPD and knobs.
 *
 * The journal learns of changes as any PF_KEY client does: a successful change is told to all
 * sockets (RFC 2367 3.1), and the end of an SA to key managers (3.1.8), so a private client of the
 * endpoint hears it, and the engine is asked for the object as it is now.  A restart puts the
 * objects back by the engine's own calls.  Larval SAs, replay windows and the first use of an SA
 * are not kept.
 */
#ifndef TDO_DAEMON_JOURNAL_H
#define TDO_DAEMON_JOURNAL_H

#include "daemon/state.h"
#include "testudo/pfkey.h"

struct tdo_journal {
	struct tdo_state *state;
	struct tdo_engine *engine;
	struct tdo_pfkey_client *ear; /* NULL until listening */
	uint8_t *buf;
	bool replaying;      /* the engine is being filled from the journal: write nothing */
	bool full;           /* changes are missing: said once, a restart would be incomplete */
	bool stale;          /* holds what is gone, with its keys: compact soon */
	bool sweeping;       /* a sweep of the counters waits for the workers */
	uint64_t sweep_mark; /* since then: tdo_engine_mark() */
	tdo_ns compacted;    /* last time */
	size_t compact_used; /* bytes of the journal after it */
	tdo_log_fn log;
	void *log_ctx;
	/*
	 * May be set before listening: an SA was added or changed; NULL: some SAs of this type are
	 * gone.
	 */
	void (*heard)(void *ctx, uint8_t satype, const struct tdo_sa_param *sa);
	void *heard_ctx;
	/* May be set before replaying: policies that will be put back next, NULL after the last. */
	void (*coming)(void *ctx, const struct tdo_sp_param *sp);
	void (*came)(void *ctx); /* those were put back */
	void *coming_ctx;
};

/* 0 or -ENOMEM.  All pointers are borrowed. */
TDO_MUST_CHECK int tdo_journal_init(struct tdo_journal *j, struct tdo_state *state,
    struct tdo_engine *engine, tdo_log_fn log, void *log_ctx);
void tdo_journal_fini(struct tdo_journal *j);

/*
 * Puts what the journal holds into the engine, as of now: the clock of the earlier process goes
 * on.  0, and how many records could not be applied; when policies or knobs are among them, the
 * state is marked.  -ENOMEM.
 */
TDO_MUST_CHECK int tdo_journal_replay(struct tdo_journal *j, tdo_ns now, unsigned *ret_failed);

/* Opens the private client; from now on tdo_journal_hear() has work.  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_journal_listen(struct tdo_journal *j, struct tdo_pfkey *pfkey);
/* Writes down what changed; after every tdo_pfkey_input() and tdo_pfkey_events(). */
void tdo_journal_hear(struct tdo_journal *j, tdo_ns now);
/* A policy was taken out of force (tdo_cover_ops.narrow). */
void tdo_journal_sp_gone(struct tdo_journal *j, const struct tdo_sp_param *sp);
/* An SA changed without a message of PF_KEY. */
void tdo_journal_sa(struct tdo_journal *j, const struct tdo_sa_key *key);
void tdo_journal_knob(struct tdo_journal *j, enum tdo_knob k, uint8_t af, int32_t v);
/* Compaction and the sweep of sequence counters, when they are due. */
void tdo_journal_tick(struct tdo_journal *j, tdo_ns now);

#endif
