/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that outlives the data process: sequence counters and a journal.
 *
 * The parent maps it once and every data process inherits it, so a process that was killed
 * leaves its last word here.  Counters are used in place: an increment is in the region when
 * the packet gets its number, so that no successor uses a number, or a counter IV, again.  The
 * journal holds records that rebuild SAD, SPD and knobs; what it means is in journal.h.
 *
 * Control thread only, except for the counters themselves.
 */
#ifndef TDO_DAEMON_STATE_H
#define TDO_DAEMON_STATE_H

#include <stdatomic.h>

#include "base/hash.h"
#include "testudo/sa.h"

struct tdo_state_hdr;
struct tdo_state_slot;

struct tdo_state {
	struct tdo_state_hdr *hdr;
	struct tdo_state_slot *slots;
	uint8_t *half[2];
	size_t half_size;
	unsigned writing;  /* half that appends go to */
	uint32_t no_slot;  /* SAs that got none */
	uint32_t live_gen; /* of the current sweep */
	uint32_t live;     /* slots that it has kept */
	uint32_t fresh;    /* slots that SAs got since it began */
};

enum tdo_state_found {
	TDO_STATE_FRESH,   /* made empty */
	TDO_STATE_KEPT,    /* an earlier process's contents */
	TDO_STATE_CORRUPT, /* they made no sense: made empty */
};

#define TDO_STATE_SIZE_MIN (64 * 1024)

/*
 * Takes the region of size bytes at base (page-aligned).  keep: use what is there.  key: random,
 * used when it is made empty.  -EINVAL when it is too small.
 */
TDO_MUST_CHECK int tdo_state_open(struct tdo_state *s, void *base, size_t size, bool keep,
    const struct tdo_hash_key *key, enum tdo_state_found *ret);

/* What is missing in the region; a successor must know. */
enum tdo_state_mark {
	TDO_STATE_GAPS = 1, /* changes are not in the journal: it was full */
	TDO_STATE_LOST = 2, /* policies or knobs were lost: until they were loaded again */
};

void tdo_state_mark(struct tdo_state *s, enum tdo_state_mark m, bool set);
/* The marks that are set; TDO_STATE_CORRUPT sets LOST. */
unsigned tdo_state_marks(const struct tdo_state *s);

/* ---- sequence counters -------------------------------------------------------------- */

/*
 * The counter of this SA: the same one for the same type, SPI and keys, wherever it goes, also in a
 * later process.  NULL when there is no room; counted in no_slot.
 */
_Atomic uint64_t *tdo_state_seq(struct tdo_state *s, const struct tdo_sa_param *sa);
/* Beside it, if it has one: the high half of the inbound numbers. */
_Atomic uint32_t *tdo_state_high(const struct tdo_state *s, const struct tdo_sa_param *sa);
/*
 * Sweep: begin, then keep for every SA that exists; after end the slots of the others may be taken
 * by new SAs.  They keep their number until then: an SA that is added again goes on counting.  Not
 * to be ended while a worker may still count with an SA that was deleted before keep.
 */
void tdo_state_sweep_begin(struct tdo_state *s);
void tdo_state_sweep_keep(struct tdo_state *s, const struct tdo_sa_param *sa);
void tdo_state_sweep_end(struct tdo_state *s);
/* True when so many slots are taken that a sweep is due. */
bool tdo_state_sweep_due(const struct tdo_state *s);

/* ---- journal ------------------------------------------------------------------------ */

/* Appends a record of two parts (b may be NULL).  0, or -ENOSPC. */
TDO_MUST_CHECK int tdo_state_append(
    struct tdo_state *s, uint32_t type, const void *a, size_t alen, const void *b, size_t blen);
/* Bytes used of the space of one journal. */
size_t tdo_state_used(const struct tdo_state *s);

struct tdo_state_record {
	uint32_t type;
	const uint8_t *p; /* in the region */
	size_t len;
};

/* The record at *pos (start with 0); false at the end. */
bool tdo_state_next(const struct tdo_state *s, size_t *pos, struct tdo_state_record *ret);

/*
 * Compaction: after begin, appends go to a second journal, which replaces the first one at
 * commit; a process that is killed in between leaves the first.  The old one is wiped.
 */
void tdo_state_compact_begin(struct tdo_state *s);
void tdo_state_compact_commit(struct tdo_state *s);
void tdo_state_compact_abort(struct tdo_state *s);

#endif
