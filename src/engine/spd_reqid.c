/* SPDX-License-Identifier: BSD-2-Clause */
/* Request ids that testudo picks for "unique" requests: never one that is in use (D11). */
#include "base/addr.h"
#include "engine/spd.h"

#define REQID_FIRST   (TDO_REQID_MANUAL_MAX + 1u)
#define REQID_16_LAST 0xffffu
#define REQIDS_16     (REQID_16_LAST - REQID_FIRST + 1)

void
tdo_spd_reqids_init(struct tdo_spd *d)
{
	d->next_reqid = REQID_FIRST;
	d->next_reqid32 = REQID_16_LAST + 1;
}

static bool
is_picked(const struct tdo_req *q)
{
	return q->level == TDO_LEVEL_UNIQUE && q->reqid > TDO_REQID_MANUAL_MAX;
}

/* Numbers that the user may choose: old clients know those of 16 bits, and share them. */
static bool
is_manual(uint32_t reqid)
{
	return (reqid != 0 && reqid <= TDO_REQID_MANUAL_MAX) || reqid > REQID_16_LAST;
}

static bool
reqid_used(const struct tdo_engine *e, uint32_t reqid)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&e->spd->by_reqid, tdo_hash_u32(e, reqid), &w);

	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sp_req *r = TDO_CONTAINER_OF(n, struct tdo_sp_req, by_reqid);

		if (r->sp->param.req[r->index].reqid == reqid)
			return true;
	}
	/* An SA that outlived its policy must not serve another one. */
	return tdo_sad_reqid_used(e, reqid);
}

/* True when a request of sp has this reqid: one that was picked, or is the user's. */
static bool
in_requests(const struct tdo_sp *sp, uint32_t reqid)
{
	for (unsigned i = 0; i < sp->param.nreq; i++)
		if (sp->param.req[i].reqid == reqid)
			return true;
	return false;
}

/* Round the 16-bit numbers first, because old clients know no others. */
static uint32_t
pick_reqid(struct tdo_engine *e, const struct tdo_sp *sp)
{
	struct tdo_spd *d = e->spd;
	uint32_t id;

	for (unsigned try = 0; try < REQIDS_16 && d->nreqids16 < REQIDS_16; try++) {
		id = d->next_reqid;
		d->next_reqid = id == REQID_16_LAST ? REQID_FIRST : id + 1;
		if (!reqid_used(e, id) && !in_requests(sp, id))
			return id;
	}
	do {
		id = d->next_reqid32;
		d->next_reqid32 = id == UINT32_MAX ? REQID_16_LAST + 1 : id + 1;
	} while (reqid_used(e, id) || in_requests(sp, id));
	return id;
}

/* The same SA is asked for, whatever its number is. */
static bool
same_request(const struct tdo_req *a, const struct tdo_req *b)
{
	return a->proto == b->proto && a->mode == b->mode && a->level == b->level &&
	       tdo_addr_equal(&a->src, &b->src) && tdo_addr_equal(&a->dst, &b->dst);
}

void
tdo_spd_pick_reqids(struct tdo_engine *e, struct tdo_sp *sp, const struct tdo_sp *old)
{
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		struct tdo_req *q = &sp->param.req[i];
		const struct tdo_req *o = old && i < old->param.nreq ? &old->param.req[i] : NULL;

		if (q->level != TDO_LEVEL_UNIQUE || is_manual(q->reqid))
			continue;
		/* The SAs of an unchanged request stay usable. */
		if (o && same_request(o, q) && is_picked(o))
			q->reqid = o->reqid;
		else
			q->reqid = pick_reqid(e, sp);
	}
}

void
tdo_spd_index_reqids(struct tdo_engine *e, struct tdo_sp *sp)
{
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		if (!is_picked(&sp->param.req[i]))
			continue;
		tdo_htab_insert(&e->spd->by_reqid, &sp->req[i].by_reqid,
		    tdo_hash_u32(e, sp->param.req[i].reqid));
		e->spd->nreqids16 += sp->param.req[i].reqid <= REQID_16_LAST;
	}
}

void
tdo_spd_unindex_reqids(struct tdo_engine *e, struct tdo_sp *sp)
{
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		if (!is_picked(&sp->param.req[i]))
			continue;
		tdo_htab_remove(&e->spd->by_reqid, &sp->req[i].by_reqid);
		e->spd->nreqids16 -= sp->param.req[i].reqid <= REQID_16_LAST;
	}
}
