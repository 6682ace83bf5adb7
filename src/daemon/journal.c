/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: hearing of changes, compaction.  Putting them back is in replay.c. */
#include "daemon/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "daemon/record.h"
#include "wire/pfkey_msg.h"

#define STALE_DELAY (10 * TDO_SEC) /* keys of deleted SAs stay in the journal for so long */
#define STALE_MAX   20000          /* ... unless there are more objects than that */

int
tdo_journal_init(struct tdo_journal *j, struct tdo_state *state, struct tdo_engine *engine,
    tdo_log_fn log, void *log_ctx)
{
	memset(j, 0, sizeof(*j));
	j->state = state;
	j->engine = engine;
	j->log = log;
	j->log_ctx = log_ctx;
	j->buf = malloc(TDO_PFKEY_MSG_MAX);
	return j->buf == NULL ? -ENOMEM : 0;
}

void
tdo_journal_fini(struct tdo_journal *j)
{
	if (j->ear != NULL)
		tdo_pfkey_close(j->ear);
	free(j->buf);
	memset(j, 0, sizeof(*j));
}

static void
note(struct tdo_journal *j, uint32_t type, const void *a, size_t alen, const void *b, size_t blen)
{
	if (j->state == NULL || j->replaying)
		return;
	if (tdo_state_append(j->state, type, a, alen, b, blen) == 0)
		return;
	tdo_state_mark(j->state, TDO_STATE_GAPS, true);
	if (j->full)
		return;
	j->full = true;
	j->log(j->log_ctx, TDO_LOG_WARN,
	    "journal is full: SAs and policies would be incomplete after a restart of the data "
	    "process");
}

/* ---- single objects ----------------------------------------------------------------- */

static void
note_sa(struct tdo_journal *j, const struct tdo_sa_info *sa)
{
	struct tdo_rec_sa r;
	uint8_t keys[2 * TDO_KEY_MAX];
	size_t klen;

	if (sa->param.state == TDO_SA_LARVAL || sa->param.state == TDO_SA_DEAD)
		return;
	klen = tdo_rec_sa_make(sa, &r, keys);
	note(j, TDO_REC_SA, &r, sizeof(r), keys, klen);
	tdo_wipe(keys, sizeof(keys));
}

void
tdo_journal_sa(struct tdo_journal *j, const struct tdo_sa_key *key)
{
	struct tdo_sa_info sa;

	if (tdo_sa_get(j->engine, key, &sa) != 0)
		return;
	j->stale = true;
	note_sa(j, &sa);
	tdo_wipe(&sa, sizeof(sa));
}

static void
note_sa_key(struct tdo_journal *j, uint32_t type, const struct tdo_sa_key *key)
{
	struct tdo_rec_sa_key r = {.satype = key->satype, .spi = key->spi};

	r.src = key->src;
	r.dst = key->dst;
	note(j, type, &r, sizeof(r), NULL, 0);
	j->stale = true;
}

static void
note_sp(struct tdo_journal *j, const struct tdo_sp_info *sp)
{
	struct tdo_rec_sp r;

	tdo_rec_sp_make(sp, &r);
	note(
	    j, TDO_REC_SP, &r, sizeof(r), sp->param.req, sp->param.nreq * sizeof(sp->param.req[0]));
}

void
tdo_journal_sp_gone(struct tdo_journal *j, const struct tdo_sp_param *sp)
{
	struct tdo_rec_sp_key r = {.dir = sp->dir};
	struct tdo_sp_info successor;

	if (j->state == NULL || j->replaying)
		return;
	/*
	 * It was updated.  A record of its end would, after a restart, leave nothing in its
	 * place, or move the successor to the end of its priority (D34).
	 */
	if (tdo_sp_find(j->engine, sp->dir, &sp->sel, &successor) == 0) {
		note_sp(j, &successor);
		return;
	}
	r.sel = sp->sel;
	j->stale = true;
	note(j, TDO_REC_SP_GONE, &r, sizeof(r), NULL, 0);
}

void
tdo_journal_knob(struct tdo_journal *j, enum tdo_knob k, uint8_t af, int32_t v)
{
	struct tdo_rec_knob r = {.knob = (uint32_t)k, .af = af, .value = v};

	note(j, TDO_REC_KNOB, &r, sizeof(r), NULL, 0);
}

/* ---- hearing ------------------------------------------------------------------------ */

int
tdo_journal_listen(struct tdo_journal *j, struct tdo_pfkey *pfkey)
{
	static const struct tdo_pfkey_cred cred = {.privileged = true, .pid = 0};
	int r = tdo_pfkey_open(pfkey, &cred, NULL, &j->ear);

	if (r == 0)
		tdo_pfkey_witness(j->ear);
	return r;
}

/* True for an update that moves the SA: *key becomes its new name (D44). */
static bool
moves(const struct tdo_sadb_msg *m, struct tdo_sa_key *key)
{
	struct tdo_sa_param p;

	if (m->base.type != TDO_SADB_UPDATE || tdo_sadb_get_sa_param(m, &p, NULL) != 0 ||
	    (p.new_src.af == TDO_AF_NONE && p.new_dst.af == TDO_AF_NONE))
		return false;
	if (p.new_src.af != TDO_AF_NONE)
		key->src = p.new_src;
	if (p.new_dst.af != TDO_AF_NONE)
		key->dst = p.new_dst;
	tdo_wipe(&p, sizeof(p));
	return true;
}

static void
tell(struct tdo_journal *j, uint8_t satype, const struct tdo_sa_param *sa)
{
	if (j->heard != NULL)
		j->heard(j->heard_ctx, satype, sa);
}

/* An SA was added, changed or removed: what is it now? */
static void
hear_sa(struct tdo_journal *j, const struct tdo_sadb_msg *m)
{
	struct tdo_sa_info sa;
	struct tdo_sa_key key, old;
	bool moved, found = false;

	if (tdo_sadb_get_sa_key(m, &key, NULL) != 0)
		return;
	old = key;
	moved = moves(m, &key);
	if (key.spi == 0)
		note_sa_key(j, TDO_REC_SA_GONE_ALL, &key);
	else if (tdo_sa_get(j->engine, &key, &sa) == 0)
		found = true;
	else
		note_sa_key(j, TDO_REC_SA_GONE, &key);
	if (found) {
		note_sa(j, &sa);
		tell(j, key.satype, &sa.param);
	}
	/* Last: who is killed in between leaves it behind twice rather than not at all. */
	if (moved)
		note_sa_key(j, TDO_REC_SA_GONE, &old);
	if (!found || moved)
		tell(j, key.satype, NULL);
	tdo_wipe(&sa, sizeof(sa));
}

static void
hear_sp(struct tdo_journal *j, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_policy p;
	struct tdo_sp_info sp;

	if (tdo_sadb_get_policy(m, &p) && tdo_sp_get(j->engine, p.id, &sp) == 0)
		note_sp(j, &sp);
}

static void
hear(struct tdo_journal *j, const struct tdo_sadb_msg *m)
{
	struct tdo_sa_key all = {.satype = m->base.satype};

	if (m->base.err != 0)
		return;
	switch (m->base.type) {
	case TDO_SADB_UPDATE:
		j->stale = true;
		hear_sa(j, m);
		break;
	case TDO_SADB_ADD:
	case TDO_SADB_DELETE:
		hear_sa(j, m);
		break;
	case TDO_SADB_EXPIRE:
		if (tdo_sadb_has(m, TDO_SADB_EXT_LIFETIME_HARD))
			hear_sa(j, m);
		break;
	case TDO_SADB_FLUSH:
		note_sa_key(j, TDO_REC_SA_FLUSH, &all);
		tell(j, m->base.satype, NULL);
		break;
	case TDO_SADB_X_SPDUPDATE:
		j->stale = true;
		hear_sp(j, m);
		break;
	case TDO_SADB_X_SPDADD:
	case TDO_SADB_X_SPDSETIDX:
		hear_sp(j, m);
		break;
	default: /* policies that go: tdo_journal_sp_gone() */
		break;
	}
}

void
tdo_journal_hear(struct tdo_journal *j, tdo_ns now)
{
	struct tdo_sadb_msg m;
	size_t len;

	while (j->ear != NULL && (len = tdo_pfkey_pull(j->ear, j->buf, TDO_PFKEY_MSG_MAX)) > 0) {
		if (tdo_sadb_parse(j->buf, len, &m, NULL) == 0)
			hear(j, &m);
		tdo_wipe(j->buf, len);
	}
	tdo_journal_tick(j, now);
}

/* ---- compaction --------------------------------------------------------------------- */

static int
write_sas(struct tdo_journal *j)
{
	bool sweep = !j->sweeping;
	struct tdo_sa_snap *snap;
	struct tdo_sa_info sa;
	int rc = tdo_sa_snap_new(j->engine, TDO_SATYPE_UNSPEC, &snap);

	if (rc != 0)
		return rc;
	if (sweep)
		tdo_state_sweep_begin(j->state);
	while (tdo_sa_snap_next(snap, &sa)) {
		if (sweep)
			tdo_state_sweep_keep(j->state, &sa.param);
		note_sa(j, &sa);
	}
	if (sweep) {
		j->sweeping = true;
		j->sweep_mark = tdo_engine_mark(j->engine);
	}
	tdo_wipe(&sa, sizeof(sa));
	tdo_sa_snap_free(snap);
	return 0;
}

static int
write_sps(struct tdo_journal *j)
{
	struct tdo_sp_snap *snap;
	struct tdo_sp_info sp;
	int rc = tdo_sp_snap_new(j->engine, &snap);

	if (rc != 0)
		return rc;
	while (tdo_sp_snap_next(snap, &sp))
		note_sp(j, &sp);
	tdo_sp_snap_free(snap);
	return 0;
}

static void
write_knobs(struct tdo_journal *j)
{
	for (int k = 0; k < TDO_KNOB_COUNT; k++) {
		const struct tdo_knob_info *info = tdo_knob_info((enum tdo_knob)k);

		for (unsigned i = 0; i < (info->name6 != NULL ? 2 : 1); i++) {
			uint8_t af = i == 0 ? TDO_AF_INET : TDO_AF_INET6;
			int32_t v = tdo_knob_get(j->engine, (enum tdo_knob)k, af);

			if (v != info->def && !info->read_only)
				tdo_journal_knob(j, (enum tdo_knob)k, af, v);
		}
	}
}

/* Policies first: their reqids decide what the SAs' mean (replay.c). */
static void
compact(struct tdo_journal *j, tdo_ns now)
{
	bool was_full = j->full;

	j->full = false;
	tdo_state_compact_begin(j->state);
	write_knobs(j);
	if (write_sps(j) != 0 || write_sas(j) != 0) {
		tdo_state_compact_abort(j->state);
		j->full = was_full;
	} else {
		tdo_state_compact_commit(j->state);
		tdo_state_mark(j->state, TDO_STATE_GAPS, j->full);
		j->stale = false;
	}
	j->compacted = now;
	j->compact_used = tdo_state_used(j->state);
}

/*
 * Compaction writes everything at once: only when something is to be gained.  Keys of what was
 * deleted must go soon; with large databases they wait until the journal has doubled.
 */
static bool
compaction_due(const struct tdo_journal *j, bool rested)
{
	struct tdo_spd_counts n = tdo_engine_counts(j->engine);
	size_t used = tdo_state_used(j->state);
	bool doubled = used / 2 > j->compact_used;

	if (used > j->state->half_size / 8 * 7 && (rested || doubled))
		return true;
	if (!rested)
		return false;
	return (j->stale && (doubled || n.sas + n.sps <= STALE_MAX)) ||
	       (!j->sweeping && tdo_state_sweep_due(j->state));
}

/*
 * A worker may still number packets with an SA that is deleted: if its counter went to another SA
 * and began anew, a number would be used twice under one key.
 */
static void
finish_sweep(struct tdo_journal *j)
{
	if (!j->sweeping || !tdo_engine_passed(j->engine, j->sweep_mark))
		return;
	tdo_state_sweep_end(j->state);
	j->sweeping = false;
}

void
tdo_journal_tick(struct tdo_journal *j, tdo_ns now)
{
	finish_sweep(j);
	if (compaction_due(j, now - j->compacted >= STALE_DELAY))
		compact(j, now);
}
