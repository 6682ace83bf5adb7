/* SPDX-License-Identifier: BSD-2-Clause */
/* After a restart of the data process: puts the contents of the journal into the engine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "daemon/journal.h"
#include "daemon/record.h"

/*
 * Reqids that testudo picked for policies are picked anew when the policies are added again; SAs
 * that were negotiated for the old ones must follow.  Only those of 16 bits change: a policy
 * keeps a larger one as if the user had chosen it.
 */
#define REQIDS 0x10000u
#define AHEAD  128 /* records, in which policies are covered together */

/* Settings that refuse SAs; those that exist may be older. */
static const enum tdo_knob late_knobs[] = {TDO_KNOB_WEAK_ALGS, TDO_KNOB_CRYPTO_SUPPORT};
enum { LATE = sizeof(late_knobs) / sizeof(late_knobs[0]) };

struct replay {
	struct tdo_journal *j;
	uint32_t *reqid; /* REQIDS, what each one is now; 0: as it was */
	tdo_ns now;
	unsigned failed;
	int32_t late[LATE]; /* their values, which come last */
};

static uint32_t
mapped(const struct replay *r, uint32_t reqid)
{
	return reqid < REQIDS && r->reqid[reqid] != 0 ? r->reqid[reqid] : reqid;
}

/* The latest policy counts: it may have the number of one that is gone. */
static void
map_reqid(struct replay *r, uint32_t from, uint32_t to)
{
	if (from > TDO_REQID_MANUAL_MAX && from < REQIDS)
		r->reqid[from] = to;
}

static int
replay_sa(struct replay *r, const struct tdo_state_record *rec)
{
	struct tdo_sa_param sa;
	struct tdo_sa_key name;
	bool over;
	int rc;

	if (!tdo_rec_sa_read(rec->p, rec->len, r->now, &sa, &over))
		return -EINVAL;
	/* A later record of the same SA is its newer state; its source may have moved (D44). */
	name = sa.key;
	name.src = (struct tdo_addr){0};
	(void)tdo_sa_delete(r->j->engine, &name);
	if (over) {
		r->j->stale = true;
		return 0;
	}
	sa.reqid = mapped(r, sa.reqid);
	rc = tdo_sa_add(r->j->engine, &sa, r->now, NULL);
	tdo_wipe(&sa, sizeof(sa));
	return rc;
}

static int
replay_sa_key(struct replay *r, const struct tdo_state_record *rec)
{
	struct tdo_rec_sa_key k;
	struct tdo_sa_key key;

	if (rec->len != sizeof(k))
		return -EINVAL;
	memcpy(&k, rec->p, sizeof(k));
	key = (struct tdo_sa_key){.satype = k.satype, .spi = k.spi, .src = k.src, .dst = k.dst};
	if (rec->type == TDO_REC_SA_FLUSH)
		(void)tdo_sa_flush(r->j->engine, key.satype);
	else if (rec->type == TDO_REC_SA_GONE_ALL)
		(void)tdo_sa_delete_all(r->j->engine, &key);
	else
		(void)tdo_sa_delete(r->j->engine, &key);
	return 0;
}

static int
replay_sp(struct replay *r, const struct tdo_state_record *rec)
{
	struct tdo_sp_param sp;
	struct tdo_sp_info info;
	bool over;
	int rc;

	if (!tdo_rec_sp_read(rec->p, rec->len, r->now, &sp, &over))
		return -EINVAL;
	if (over) {
		/* What it replaced is over, too. */
		(void)tdo_sp_delete(r->j->engine, sp.dir, &sp.sel, NULL);
		return 0;
	}
	rc = tdo_sp_update(r->j->engine, &sp, r->now, &info, NULL);
	for (unsigned i = 0; rc == 0 && i < sp.nreq; i++)
		map_reqid(r, sp.req[i].reqid, info.param.req[i].reqid);
	return rc;
}

static int
replay_sp_gone(struct replay *r, const struct tdo_state_record *rec)
{
	struct tdo_rec_sp_key k;

	if (rec->len != sizeof(k))
		return -EINVAL;
	memcpy(&k, rec->p, sizeof(k));
	(void)tdo_sp_delete(r->j->engine, k.dir, &k.sel, NULL);
	return 0;
}

static int
replay_knob(struct replay *r, const struct tdo_state_record *rec)
{
	struct tdo_rec_knob k;

	if (rec->len != sizeof(k))
		return -EINVAL;
	memcpy(&k, rec->p, sizeof(k));
	if (k.knob >= TDO_KNOB_COUNT)
		return -EINVAL;
	for (unsigned i = 0; i < LATE; i++) {
		if (k.knob != late_knobs[i])
			continue;
		r->late[i] = k.value;
		return 0;
	}
	return tdo_knob_set(r->j->engine, (enum tdo_knob)k.knob, k.af, k.value);
}

static int
replay_one(struct replay *r, const struct tdo_state_record *rec)
{
	switch (rec->type) {
	case TDO_REC_SA:
		return replay_sa(r, rec);
	case TDO_REC_SA_GONE:
	case TDO_REC_SA_GONE_ALL:
	case TDO_REC_SA_FLUSH:
		return replay_sa_key(r, rec);
	case TDO_REC_SP:
		return replay_sp(r, rec);
	case TDO_REC_SP_GONE:
		return replay_sp_gone(r, rec);
	case TDO_REC_KNOB:
		return replay_knob(r, rec);
	default:
		return -EINVAL;
	}
}

static bool
is_end(uint32_t type)
{
	return type == TDO_REC_SA_GONE || type == TDO_REC_SA_GONE_ALL || type == TDO_REC_SA_FLUSH ||
	       type == TDO_REC_SP_GONE;
}

/* Says which policies are among the next records. */
static void
look_ahead(const struct replay *r, size_t pos)
{
	const struct tdo_journal *j = r->j;
	struct tdo_state_record rec;
	struct tdo_sp_param sp;
	bool over;

	for (unsigned i = 0; i < AHEAD && tdo_state_next(j->state, &pos, &rec); i++)
		if (rec.type == TDO_REC_SP && tdo_rec_sp_read(rec.p, rec.len, r->now, &sp, &over) &&
		    !over)
			j->coming(j->coming_ctx, &sp);
	j->coming(j->coming_ctx, NULL);
}

static void
replay_all(struct replay *r)
{
	struct tdo_journal *j = r->j;
	struct tdo_state_record rec;
	size_t pos = 0;

	for (unsigned i = 0;; i++) {
		if (j->coming && i % AHEAD == 0) {
			j->came(j->coming_ctx);
			look_ahead(r, pos);
		}
		if (!tdo_state_next(j->state, &pos, &rec))
			break;
		/* Compaction of what is gone, with its keys, is left to us. */
		j->stale |= is_end(rec.type);
		if (replay_one(r, &rec) == 0)
			continue;
		r->failed++;
		/* Without its SA a packet is dropped; without its policy it would go in clear. */
		if (rec.type != TDO_REC_SA)
			tdo_state_mark(j->state, TDO_STATE_LOST, true);
	}
	if (j->coming)
		j->came(j->coming_ctx);
}

int
tdo_journal_replay(struct tdo_journal *j, tdo_ns now, unsigned *ret_failed)
{
	struct replay r = {.j = j, .reqid = calloc(REQIDS, sizeof(*r.reqid)), .now = now};

	if (r.reqid == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < LATE; i++)
		r.late[i] = tdo_knob_get(j->engine, late_knobs[i], TDO_AF_INET);
	j->replaying = true;
	replay_all(&r);
	for (unsigned i = 0; i < LATE; i++)
		if (tdo_knob_set(j->engine, late_knobs[i], TDO_AF_INET, r.late[i]) != 0)
			r.failed++;
	j->replaying = false;
	free(r.reqid);
	*ret_failed = r.failed;
	return 0;
}
