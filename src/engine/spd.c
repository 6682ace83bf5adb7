/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SPD (RFC 4301 4.4.1): operations on the ordered lists and on the tables that are
 * derived from them.  An operation first gets all memory, then tells the attachment, then
 * changes everything, which cannot fail.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/spd.h"

int
tdo_spd_new(struct tdo_engine *e)
{
	struct tdo_spd *d = tdo_engine_alloc(e, sizeof(*d));
	int r;

	if (d == NULL)
		return -ENOMEM;
	e->spd = d;
	d->next_id = 1;
	tdo_wheel_init(&d->timers);
	tdo_spd_reqids_init(d);
	r = tdo_htab_init(&d->by_tunnel, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_key, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_id, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_reqid, &e->cfg.mem, &e->qsbr);
	return r;
}

unsigned
tdo_spd_count(const struct tdo_engine *e)
{
	return e->spd->n;
}

/* ---- tunnels that inbound policies ask for ------------------------------------------- */

static uint64_t
hash_tunnel(const struct tdo_engine *e, uint8_t proto, const struct tdo_addr *src,
    const struct tdo_addr *dst)
{
	struct {
		struct tdo_addr src, dst;
		uint32_t proto;
	} k = {*src, *dst, proto};

	return tdo_siphash(&e->hash_key, &k, sizeof(k));
}

static bool
asks_for(const struct tdo_sp_req *r, const struct tdo_sa_id *sa)
{
	const struct tdo_req *q = &r->sp->param.req[r->index];

	return q->proto == sa->proto && tdo_addr_equal(&q->src, &sa->src) &&
	       tdo_addr_equal(&q->dst, &sa->dst) &&
	       (q->level != TDO_LEVEL_UNIQUE || q->reqid == sa->reqid);
}

bool
tdo_spd_binds_tunnel(const struct tdo_engine *e, const struct tdo_sa_id *sa)
{
	uint64_t version = atomic_load_explicit(&e->spd->version, memory_order_acquire);
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->spd->by_tunnel, hash_tunnel(e, sa->proto, &sa->src, &sa->dst), &w);
	for (; n; n = tdo_htab_next(&w)) {
		const struct tdo_sp_req *r = TDO_CONTAINER_OF(n, struct tdo_sp_req, by_tunnel);

		if (tdo_sp_visible(r->sp, version) && asks_for(r, sa))
			return true;
	}
	return false;
}

static bool
in_tunnel_index(const struct tdo_sp *sp, unsigned i)
{
	return sp->param.dir == TDO_DIR_IN && sp->param.req[i].mode == TDO_MODE_TUNNEL;
}

static void
index_tunnels(struct tdo_engine *e, struct tdo_sp *sp)
{
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		const struct tdo_req *q = &sp->param.req[i];

		if (in_tunnel_index(sp, i))
			tdo_htab_insert(&e->spd->by_tunnel, &sp->req[i].by_tunnel,
			    hash_tunnel(e, q->proto, &q->src, &q->dst));
	}
}

/* ---- ids ---------------------------------------------------------------------------- */

static struct tdo_sp *
find_id(const struct tdo_engine *e, uint32_t id)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&e->spd->by_id, tdo_hash_u32(e, id), &w);

	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sp *sp = TDO_CONTAINER_OF(n, struct tdo_sp, by_id);

		if (sp->id == id)
			return sp;
	}
	return NULL;
}

static uint32_t
pick_id(struct tdo_engine *e)
{
	struct tdo_spd *d = e->spd;
	uint32_t id;

	do {
		id = d->next_id;
		d->next_id = id == UINT32_MAX ? 1 : id + 1;
	} while (find_id(e, id));
	return id;
}

/* ---- lists -------------------------------------------------------------------------- */

static void
link_sp(struct tdo_spd *d, struct tdo_sp *sp)
{
	unsigned dir = tdo_dir_index(sp->param.dir);
	struct tdo_sp *after =
	    sp->group->last ? sp->group->last : tdo_prio_before(&d->prios[dir], sp->group->prio);

	sp->prev = after;
	sp->next = after ? after->next : d->first[dir];
	*(after ? &after->next : &d->first[dir]) = sp;
	if (sp->next)
		sp->next->prev = sp;
	sp->group->last = sp;
	sp->group->n++;
	sp->group->order = (uint32_t)sp->rank;
}

static void
unlink_sp(struct tdo_engine *e, struct tdo_sp *sp)
{
	struct tdo_spd *d = e->spd;
	unsigned dir = tdo_dir_index(sp->param.dir);
	struct tdo_prio *g = sp->group;

	*(sp->prev ? &sp->prev->next : &d->first[dir]) = sp->next;
	if (sp->next)
		sp->next->prev = sp->prev;
	if (g->last == sp)
		g->last = g->n > 1 ? sp->prev : NULL;
	g->n--;
	tdo_prio_drop(e, &d->prios[dir], g);
}

static void
replace_sp(struct tdo_spd *d, struct tdo_sp *old, struct tdo_sp *sp)
{
	sp->prev = old->prev;
	sp->next = old->next;
	*(sp->prev ? &sp->prev->next : &d->first[tdo_dir_index(sp->param.dir)]) = sp;
	if (sp->next)
		sp->next->prev = sp;
	if (sp->group->last == old)
		sp->group->last = sp;
}

/* When it will be over if it is not used any more (spec 4.3). */
static tdo_ns
next_end(const struct tdo_sp *sp)
{
	tdo_ns used = atomic_load_explicit(&sp->last_use, memory_order_relaxed);
	tdo_ns life = tdo_end_of(sp->param.lifetime, sp->created), idle;

	idle = tdo_end_of(sp->param.validtime, used > sp->created ? used : sp->created);
	return life < idle ? life : idle;
}

static void
arm(struct tdo_spd *d, struct tdo_sp *sp)
{
	tdo_ns at = next_end(sp);

	if (at != UINT64_MAX)
		tdo_wheel_set(&d->timers, &sp->timer, at);
}

/* ---- the end of a policy ------------------------------------------------------------ */

static void
let_go(void *ctx, struct tdo_qsbr_node *node)
{
	(void)ctx;
	tdo_sp_unref(TDO_CONTAINER_OF(node, struct tdo_sp, retired));
}

/* No lookup sees it any more; a walk may still pass over it. */
static void
bury(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_engine *e = ctx;
	struct tdo_sp *sp = TDO_CONTAINER_OF(node, struct tdo_sp, retired);

	if (!sp->continued)
		tdo_blame_forget_sp(e, sp);
	tdo_shape_remove(e, sp);
	for (unsigned i = 0; i < sp->param.nreq; i++)
		if (in_tunnel_index(sp, i))
			tdo_htab_remove(&e->spd->by_tunnel, &sp->req[i].by_tunnel);
	tdo_qsbr_retire(&e->qsbr, &sp->retired, let_go);
}

static uint64_t
next_version(const struct tdo_spd *d)
{
	return atomic_load_explicit(&d->version, memory_order_relaxed) + 1;
}

/* What was born and has died by now takes effect. */
static void
publish(struct tdo_engine *e)
{
	atomic_store_explicit(&e->spd->version, next_version(e->spd), memory_order_release);
	tdo_engine_changed(e);
}

static void
kill_sp(struct tdo_engine *e, struct tdo_sp *sp)
{
	atomic_store_explicit(&sp->died, next_version(e->spd), memory_order_relaxed);
	tdo_spd_unindex_reqids(e, sp);
	tdo_wheel_clear(&e->spd->timers, &sp->timer);
}

static void
narrow(struct tdo_engine *e, const struct tdo_sp *sp)
{
	if (e->cfg.cover.narrow)
		e->cfg.cover.narrow(e->cfg.cover.ctx, &sp->param);
}

static void
remove_sp(struct tdo_engine *e, struct tdo_sp *sp)
{
	kill_sp(e, sp);
	tdo_htab_remove(&e->spd->by_id, &sp->by_id);
	unlink_sp(e, sp);
	e->spd->n--;
	publish(e);
	narrow(e, sp);
	tdo_qsbr_retire(&e->qsbr, &sp->retired, bury);
}

/* ---- the beginning of a policy ------------------------------------------------------ */

/* Rank and group; an update at the same priority keeps its place (D34). */
static int
place(struct tdo_engine *e, struct tdo_sp *sp, const struct tdo_sp *old)
{
	struct tdo_prios *l = &e->spd->prios[tdo_dir_index(sp->param.dir)];
	uint64_t prio = sp->param.prio;

	if (old && old->param.prio == sp->param.prio) {
		sp->group = old->group;
		sp->rank = old->rank;
		return 0;
	}
	sp->group = tdo_prio_get(e, l, sp->param.prio);
	if (sp->group == NULL)
		return -ENOMEM;
	if (sp->group->order == UINT32_MAX)
		return -ENOSPC;
	sp->rank = prio << 32 | (sp->group->order + 1);
	return 0;
}

struct plan {
	struct tdo_shape_plan shape, ashape;
};

static int
make_plan(struct tdo_engine *e, struct tdo_sp *sp, const struct tdo_sp *old, struct plan *plan)
{
	const struct tdo_cover_ops *c = &e->cfg.cover;
	int r;

	r = place(e, sp, old);
	if (r)
		return r;
	r = tdo_shape_plan(e, sp, false, &plan->shape);
	if (r)
		return r;
	r = tdo_shape_plan(e, sp, true, &plan->ashape);
	if (r == 0 && c->widen) {
		r = c->widen(c->ctx, &sp->param);
		if (r)
			tdo_shape_cancel(e, &plan->ashape);
	}
	if (r)
		tdo_shape_cancel(e, &plan->shape);
	return r;
}

/* Everything that lookups need; nothing is visible before the next version. */
static void
commit(struct tdo_engine *e, struct tdo_sp *sp, struct plan *plan)
{
	sp->born = next_version(e->spd);
	tdo_shape_commit(e, &plan->shape, sp);
	tdo_shape_commit(e, &plan->ashape, sp);
	index_tunnels(e, sp);
	tdo_spd_index_reqids(e, sp);
	arm(e->spd, sp);
}

static void
commit_new(struct tdo_engine *e, struct tdo_sp *sp, struct plan *plan)
{
	sp->id = pick_id(e);
	commit(e, sp, plan);
	link_sp(e->spd, sp);
	tdo_htab_insert(&e->spd->by_id, &sp->by_id, tdo_hash_u32(e, sp->id));
	e->spd->n++;
	publish(e);
}

/* The successor has the id and the readings of the old policy. */
static void
commit_update(struct tdo_engine *e, struct tdo_sp *old, struct tdo_sp *sp, struct plan *plan)
{
	sp->id = old->id;
	old->continued = true;
	sp->successor = true;
	atomic_init(&sp->packets, atomic_load_explicit(&old->packets, memory_order_relaxed));
	atomic_init(&sp->drops, atomic_load_explicit(&old->drops, memory_order_relaxed));
	atomic_init(&sp->last_use, atomic_load_explicit(&old->last_use, memory_order_relaxed));
	commit(e, sp, plan);
	kill_sp(e, old);
	tdo_htab_replace(&e->spd->by_id, &old->by_id, &sp->by_id);
	if (sp->rank == old->rank) {
		replace_sp(e->spd, old, sp);
	} else {
		link_sp(e->spd, sp);
		unlink_sp(e, old);
	}
	publish(e);
	narrow(e, old);
	tdo_qsbr_retire(&e->qsbr, &old->retired, bury);
}

static int
install(struct tdo_engine *e, const struct tdo_sp_param *p, struct tdo_sp *old, tdo_ns now,
    struct tdo_sp_info *ret_info)
{
	struct tdo_sp *sp = tdo_sp_new(e, p, now);
	struct plan plan = {0};
	int r;

	if (sp == NULL)
		return -ENOMEM;
	tdo_spd_pick_reqids(e, sp, old);
	r = make_plan(e, sp, old, &plan);
	if (r) {
		if (sp->group)
			tdo_prio_drop(e, &e->spd->prios[tdo_dir_index(p->dir)], sp->group);
		tdo_sp_unref(sp);
		return r;
	}
	if (old)
		commit_update(e, old, sp, &plan);
	else
		commit_new(e, sp, &plan);
	if (ret_info)
		tdo_sp_fill_info(e, sp, ret_info);
	return 0;
}

/* ---- control calls ------------------------------------------------------------------ */

static struct tdo_sp *
find_sel(const struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel)
{
	struct tdo_sel normal = tdo_sel_normal(sel);

	return tdo_shape_find(e, dir, &normal);
}

int
tdo_sp_add(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err)
{
	int r;

	tdo_engine_reclaim(e);
	r = tdo_sp_validate(e, p, ret_err);
	if (r == 0)
		r = tdo_check_enabled(e, ret_err);
	if (r)
		return r;
	if (find_sel(e, p->dir, &p->sel))
		return -EEXIST;
	return install(e, p, NULL, now, ret_info);
}

int
tdo_sp_update(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err)
{
	int r;

	tdo_engine_reclaim(e);
	r = tdo_sp_validate(e, p, ret_err);
	if (r == 0)
		r = tdo_check_enabled(e, ret_err);
	if (r)
		return r;
	return install(e, p, find_sel(e, p->dir, &p->sel), now, ret_info);
}

static int
delete_one(struct tdo_engine *e, struct tdo_sp *sp, struct tdo_sp_info *ret_info)
{
	if (sp == NULL)
		return -ENOENT;
	if (ret_info)
		tdo_sp_fill_info(e, sp, ret_info);
	remove_sp(e, sp);
	return 0;
}

int
tdo_sp_delete(
    struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel, struct tdo_sp_info *ret_info)
{
	return delete_one(e, find_sel(e, dir, sel), ret_info);
}

int
tdo_sp_delete_id(struct tdo_engine *e, uint32_t id, struct tdo_sp_info *ret_info)
{
	return delete_one(e, find_id(e, id), ret_info);
}

int
tdo_sp_get(struct tdo_engine *e, uint32_t id, struct tdo_sp_info *ret)
{
	struct tdo_sp *sp = find_id(e, id);

	if (sp == NULL)
		return -ENOENT;
	tdo_sp_fill_info(e, sp, ret);
	return 0;
}

int
tdo_sp_find(struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel, struct tdo_sp_info *ret)
{
	struct tdo_sp *sp = find_sel(e, dir, sel);

	if (sp == NULL)
		return -ENOENT;
	tdo_sp_fill_info(e, sp, ret);
	return 0;
}

unsigned
tdo_sp_flush(struct tdo_engine *e)
{
	unsigned n = e->spd->n;

	for (unsigned dir = 0; dir < 2; dir++)
		while (e->spd->first[dir])
			remove_sp(e, e->spd->first[dir]);
	return n;
}

/* ---- lifetimes ---------------------------------------------------------------------- */

bool
tdo_spd_tick(struct tdo_engine *e, tdo_ns now)
{
	unsigned budget = TDO_TICK_STEPS;
	struct tdo_wheel_node *n;

	while ((n = tdo_wheel_due(&e->spd->timers, now, &budget)) != NULL) {
		struct tdo_sp *sp = TDO_CONTAINER_OF(n, struct tdo_sp, timer);

		/* It was used meanwhile. */
		if (next_end(sp) > now) {
			arm(e->spd, sp);
			continue;
		}
		tdo_event_sp(e, sp);
		remove_sp(e, sp);
	}
	return budget == 0;
}

/* ---- the end ------------------------------------------------------------------------ */

void
tdo_spd_free(struct tdo_engine *e)
{
	if (e->spd == NULL)
		return;
	/* The attachment keeps what it covers: ending the engine must not open anything. */
	e->cfg.cover.narrow = NULL;
	(void)tdo_sp_flush(e);
}

void
tdo_spd_fini(struct tdo_engine *e)
{
	struct tdo_spd *d = e->spd;

	if (d == NULL)
		return;
	tdo_shapes_fini(e);
	tdo_htab_fini(&d->by_tunnel);
	tdo_htab_fini(&d->by_key);
	tdo_htab_fini(&d->by_id);
	tdo_htab_fini(&d->by_reqid);
	tdo_engine_release(e, d, sizeof(*d));
}
