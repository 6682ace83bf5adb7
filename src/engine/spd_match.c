/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The classifier: tuple space search (Srinivasan, Suri, Varghese 1999), updated in place.
 *
 * Policies whose selectors have the same shape (family, prefix lengths, exact or any
 * protocol, kind of port ranges) share a hash table with all exact fields as its key.
 * A lookup probes the shapes in order of the best rank that each contains and stops when no
 * further shape can have a better one.  Ranges are compared in the chain.
 *
 * A second set of shapes hashes addresses only: an opaque flow finds all its candidates
 * there.  docs/decisions/0001 says why this is not a compiled image.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/spd.h"

/* ---- keys --------------------------------------------------------------------------- */

static uint8_t
port_kind(const struct tdo_range *r)
{
	if (r->lo == r->hi)
		return TDO_PORT_EXACT;
	return r->lo == 0 && r->hi == UINT16_MAX ? TDO_PORT_ANY : TDO_PORT_RANGE;
}

static struct tdo_shape_key
shape_key(uint8_t dir, const struct tdo_sel *sel, bool by_addr)
{
	struct tdo_shape_key k = {
	    .dir = dir,
	    .af = sel->src.af,
	    .src_plen = sel->src_plen,
	    .dst_plen = sel->dst_plen,
	    .by_addr = by_addr,
	};

	if (by_addr)
		return k;
	k.proto = sel->proto != TDO_PROTO_ANY;
	k.sport = port_kind(&sel->sport);
	k.dport = port_kind(&sel->dport);
	return k;
}

static uint64_t
hash_key(const struct tdo_engine *e, const struct tdo_shape_key *k)
{
	uint8_t b[8] = {
	    k->dir, k->af, k->src_plen, k->dst_plen, k->by_addr, k->proto, k->sport, k->dport};

	return tdo_siphash(&e->hash_key, b, sizeof(b));
}

static bool
key_equal(const struct tdo_shape_key *a, const struct tdo_shape_key *b)
{
	return a->dir == b->dir && a->af == b->af && a->src_plen == b->src_plen &&
	       a->dst_plen == b->dst_plen && a->by_addr == b->by_addr && a->proto == b->proto &&
	       a->sport == b->sport && a->dport == b->dport;
}

/* The fields that a shape hashes, of a selector or of a flow. */
struct exact {
	struct tdo_addr src, dst;
	uint16_t sport, dport;
	uint32_t proto;
};

static uint64_t
hash_exact(const struct tdo_engine *e, const struct tdo_shape_key *k, struct exact *x)
{
	x->src = tdo_addr_mask(&x->src, k->src_plen);
	x->dst = tdo_addr_mask(&x->dst, k->dst_plen);
	if (!k->proto)
		x->proto = TDO_PROTO_ANY;
	if (k->sport != TDO_PORT_EXACT)
		x->sport = 0;
	if (k->dport != TDO_PORT_EXACT)
		x->dport = 0;
	return tdo_siphash(&e->hash_key, x, sizeof(*x));
}

static uint64_t
hash_sel(const struct tdo_engine *e, const struct tdo_shape_key *k, const struct tdo_sel *s)
{
	struct exact x = {s->src, s->dst, s->sport.lo, s->dport.lo, s->proto};

	return hash_exact(e, k, &x);
}

static uint64_t
hash_flow(const struct tdo_engine *e, const struct tdo_shape_key *k, const struct tdo_flow *f)
{
	struct exact x = {f->src, f->dst, f->sport, f->dport, f->proto};

	return hash_exact(e, k, &x);
}

static struct tdo_sp *
of_shape(struct tdo_hnode *n, bool by_addr)
{
	return by_addr ? TDO_CONTAINER_OF(n, struct tdo_sp, by_addr)
		       : TDO_CONTAINER_OF(n, struct tdo_sp, by_shape);
}

/* ---- lookup (workers) --------------------------------------------------------------- */

static const struct tdo_shapes *
shapes_of(const struct tdo_engine *e, uint8_t dir, uint8_t af, bool by_addr)
{
	return atomic_load_explicit(
	    &e->spd->shapes[tdo_dir_index(dir)][af == TDO_AF_INET6][by_addr], memory_order_acquire);
}

/* The better one of *best and the first match in one shape. */
static const struct tdo_sp *
probe(const struct tdo_engine *e, const struct tdo_shape *s, const struct tdo_flow *f,
    uint64_t version, const struct tdo_sp *best)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	if (!f->has_ports && (s->key.sport != TDO_PORT_ANY || s->key.dport != TDO_PORT_ANY))
		return best;
	n = tdo_htab_first(&s->tab, hash_flow(e, &s->key, f), &w);
	for (; n; n = tdo_htab_next(&w)) {
		const struct tdo_sp *sp = of_shape(n, false);

		if ((best == NULL || sp->rank < best->rank) && tdo_sp_visible(sp, version) &&
		    tdo_sel_match(&sp->param.sel, f))
			best = sp;
	}
	return best;
}

/* Candidates of an opaque flow, by the least rank of each kind. */
struct candidates {
	const struct tdo_sp *first;     /* any */
	const struct tdo_sp *definite;  /* matches whatever is hidden */
	const struct tdo_sp *not_clear; /* does not let pass in clear */
	const struct tdo_sp *protects;
};

static void
least(const struct tdo_sp **p, const struct tdo_sp *sp)
{
	if (*p == NULL || sp->rank < (*p)->rank)
		*p = sp;
}

static void
probe_opaque(const struct tdo_engine *e, const struct tdo_shape *s, const struct tdo_flow *f,
    uint64_t version, struct candidates *c)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&s->tab, hash_flow(e, &s->key, f), &w);
	for (; n; n = tdo_htab_next(&w)) {
		const struct tdo_sp *sp = of_shape(n, true);

		if (!tdo_sp_visible(sp, version) || !tdo_sel_may_match(&sp->param.sel, f))
			continue;
		least(&c->first, sp);
		if (sp->param.type != TDO_POLICY_NONE)
			least(&c->not_clear, sp);
		if (sp->param.type == TDO_POLICY_IPSEC)
			least(&c->protects, sp);
		if (tdo_sel_match(&sp->param.sel, f))
			least(&c->definite, sp);
	}
}

static bool
default_is_clear(const struct tdo_engine *e, const struct tdo_flow *f)
{
	return tdo_knob(e, TDO_KNOB_DEF_POLICY, f->src.af) == 1;
}

/* The rules at struct tdo_spd_hit. */
static struct tdo_spd_hit
judge(const struct tdo_engine *e, const struct tdo_flow *f, const struct candidates *c)
{
	struct tdo_spd_hit hit = {.sp = c->first};
	bool clear;

	if (c->first == c->definite)
		return hit; /* one candidate, a policy or (both NULL) "no policy" */
	clear = c->definite ? c->not_clear == NULL || c->not_clear->rank > c->definite->rank
			    : c->not_clear == NULL && default_is_clear(e, f);
	hit.uncertain = !clear;
	hit.protects =
	    !clear && c->protects && !(c->definite && c->definite->rank < c->protects->rank);
	return hit;
}

static struct tdo_spd_hit
match_opaque(const struct tdo_engine *e, uint8_t dir, const struct tdo_flow *f, uint64_t version)
{
	const struct tdo_shapes *l = shapes_of(e, dir, f->src.af, true);
	struct candidates c = {0};

	for (unsigned i = 0; l && i < l->n; i++) {
		if (c.definite && l->e[i].best > c.definite->rank)
			break;
		probe_opaque(e, l->e[i].shape, f, version, &c);
	}
	return judge(e, f, &c);
}

struct tdo_spd_hit
tdo_spd_match(const struct tdo_engine *e, uint8_t dir, const struct tdo_flow *f)
{
	uint64_t version = atomic_load_explicit(&e->spd->version, memory_order_acquire);
	const struct tdo_shapes *l;
	const struct tdo_sp *best = NULL;

	if (f->opaque)
		return match_opaque(e, dir, f, version);
	l = shapes_of(e, dir, f->src.af, false);
	for (unsigned i = 0; l && i < l->n; i++) {
		if (best && l->e[i].best > best->rank)
			break;
		best = probe(e, l->e[i].shape, f, version, best);
	}
	return (struct tdo_spd_hit){.sp = best};
}

struct tdo_spd_hit
tdo_spd_match_naive(const struct tdo_engine *e, uint8_t dir, const struct tdo_flow *f)
{
	struct tdo_spd_hit hit = {0};
	bool all_clear = true, protects = false;

	for (const struct tdo_sp *sp = e->spd->first[tdo_dir_index(dir)]; sp; sp = sp->next) {
		bool definite = tdo_sel_match(&sp->param.sel, f);

		if (!definite && !(f->opaque && tdo_sel_may_match(&sp->param.sel, f)))
			continue;
		if (hit.sp == NULL && definite)
			return (struct tdo_spd_hit){.sp = sp};
		if (hit.sp == NULL)
			hit.sp = sp;
		all_clear = all_clear && sp->param.type == TDO_POLICY_NONE;
		protects = protects || sp->param.type == TDO_POLICY_IPSEC;
		if (definite) {
			hit.uncertain = !all_clear;
			hit.protects = protects;
			return hit;
		}
	}
	hit.uncertain = hit.sp && !(all_clear && default_is_clear(e, f));
	hit.protects = protects;
	return hit;
}

/* ---- lists of shapes (control thread) ----------------------------------------------- */

static size_t
shapes_size(unsigned n)
{
	return sizeof(struct tdo_shapes) + n * sizeof(((struct tdo_shapes *)0)->e[0]);
}

static struct tdo_shapes *_Atomic *
list_of(struct tdo_engine *e, const struct tdo_shape_key *k)
{
	return &e->spd->shapes[tdo_dir_index(k->dir)][k->af == TDO_AF_INET6][k->by_addr];
}

/* Puts a shape in its place among the n entries. */
static void
insert_sorted(struct tdo_shapes *l, struct tdo_shape *s, uint64_t best)
{
	unsigned i = l->n++;

	for (; i > 0 && l->e[i - 1].best > best; i--)
		l->e[i] = l->e[i - 1];
	l->e[i].shape = s;
	l->e[i].best = best;
}

/* A copy of the list without s, with room for it; NULL without memory. */
static struct tdo_shapes *
copy_without(struct tdo_engine *e, const struct tdo_shapes *from, const struct tdo_shape *s)
{
	unsigned n = from ? from->n : 0;
	size_t size = shapes_size(n + 1);
	struct tdo_shapes *l = tdo_engine_alloc(e, size);

	if (l == NULL)
		return NULL;
	l->size = size;
	for (unsigned i = 0; i < n; i++)
		if (from->e[i].shape != s)
			l->e[l->n++] = from->e[i];
	return l;
}

static void
free_list(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_shapes *l = TDO_CONTAINER_OF(node, struct tdo_shapes, retired);

	tdo_engine_release(ctx, l, l->size);
}

static void
publish_list(struct tdo_engine *e, const struct tdo_shape_key *k, struct tdo_shapes *l)
{
	struct tdo_shapes *_Atomic *at = list_of(e, k);
	struct tdo_shapes *old = atomic_load_explicit(at, memory_order_relaxed);

	atomic_store_explicit(at, l, memory_order_release);
	if (old)
		tdo_qsbr_retire(&e->qsbr, &old->retired, free_list);
}

/* ---- shapes (control thread) -------------------------------------------------------- */

static struct tdo_shape *
find_shape(const struct tdo_engine *e, const struct tdo_shape_key *k)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&e->spd->by_key, hash_key(e, k), &w);

	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_shape *s = TDO_CONTAINER_OF(n, struct tdo_shape, by_key);

		if (key_equal(&s->key, k))
			return s;
	}
	return NULL;
}

static struct tdo_shape *
new_shape(struct tdo_engine *e, const struct tdo_shape_key *k)
{
	struct tdo_shape *s = tdo_engine_alloc(e, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->key = *k;
	s->best = UINT64_MAX;
	if (tdo_htab_init(&s->tab, &e->cfg.mem, &e->qsbr)) {
		tdo_engine_release(e, s, sizeof(*s));
		return NULL;
	}
	return s;
}

static void
free_shape(struct tdo_engine *e, struct tdo_shape *s)
{
	tdo_htab_fini(&s->tab);
	tdo_engine_release(e, s, sizeof(*s));
}

static void
free_retired_shape(void *ctx, struct tdo_qsbr_node *node)
{
	free_shape(ctx, TDO_CONTAINER_OF(node, struct tdo_shape, retired));
}

int
tdo_shape_plan(
    struct tdo_engine *e, const struct tdo_sp *sp, bool by_addr, struct tdo_shape_plan *ret)
{
	struct tdo_shape_key k = shape_key(sp->param.dir, &sp->param.sel, by_addr);
	struct tdo_shape_plan plan = {.shape = find_shape(e, &k)};

	if (plan.shape == NULL) {
		plan.fresh = true;
		plan.shape = new_shape(e, &k);
		if (plan.shape == NULL)
			return -ENOMEM;
	}
	if (sp->rank < plan.shape->best) {
		plan.list = copy_without(
		    e, atomic_load_explicit(list_of(e, &k), memory_order_relaxed), plan.shape);
		if (plan.list == NULL) {
			tdo_shape_cancel(e, &plan);
			return -ENOMEM;
		}
		insert_sorted(plan.list, plan.shape, sp->rank);
	}
	*ret = plan;
	return 0;
}

void
tdo_shape_cancel(struct tdo_engine *e, struct tdo_shape_plan *plan)
{
	if (plan->list)
		tdo_engine_release(e, plan->list, plan->list->size);
	if (plan->fresh)
		free_shape(e, plan->shape);
	*plan = (struct tdo_shape_plan){0};
}

void
tdo_shape_commit(struct tdo_engine *e, struct tdo_shape_plan *plan, struct tdo_sp *sp)
{
	struct tdo_shape *s = plan->shape;
	bool by_addr = s->key.by_addr;

	if (plan->fresh)
		tdo_htab_insert(&e->spd->by_key, &s->by_key, hash_key(e, &s->key));
	if (plan->list) {
		s->best = sp->rank;
		publish_list(e, &s->key, plan->list);
	}
	*(by_addr ? &sp->ashape : &sp->shape) = s;
	s->n++;
	tdo_htab_insert(
	    &s->tab, by_addr ? &sp->by_addr : &sp->by_shape, hash_sel(e, &s->key, &sp->param.sel));
}

static void
drop_shape(struct tdo_engine *e, struct tdo_shape *s)
{
	struct tdo_shapes *l =
	    copy_without(e, atomic_load_explicit(list_of(e, &s->key), memory_order_relaxed), s);

	/* Without memory it stays, empty: it costs a probe. */
	if (l == NULL)
		return;
	tdo_htab_remove(&e->spd->by_key, &s->by_key);
	publish_list(e, &s->key, l);
	tdo_qsbr_retire(&e->qsbr, &s->retired, free_retired_shape);
}

static void
take_least(void *ctx, struct tdo_hnode *n)
{
	struct tdo_shape *s = ctx;
	uint64_t rank = of_shape(n, s->key.by_addr)->rank;

	if (rank < s->best)
		s->best = rank;
}

/* Computes the best rank again, after as many removals as policies are left: O(1) each. */
static void
refresh_best(struct tdo_engine *e, struct tdo_shape *s)
{
	uint64_t before = s->best;
	struct tdo_shapes *l =
	    copy_without(e, atomic_load_explicit(list_of(e, &s->key), memory_order_relaxed), s);

	if (l == NULL)
		return;
	s->removed = 0;
	s->best = UINT64_MAX;
	tdo_htab_each(&s->tab, take_least, s);
	if (s->best == before) {
		tdo_engine_release(e, l, l->size);
		return;
	}
	insert_sorted(l, s, s->best);
	publish_list(e, &s->key, l);
}

static void
remove_from(struct tdo_engine *e, struct tdo_shape *s, struct tdo_hnode *n)
{
	tdo_htab_remove(&s->tab, n);
	s->removed++;
	if (--s->n == 0)
		drop_shape(e, s);
	else if (s->removed > s->n)
		refresh_best(e, s);
}

void
tdo_shape_remove(struct tdo_engine *e, struct tdo_sp *sp)
{
	remove_from(e, sp->shape, &sp->by_shape);
	remove_from(e, sp->ashape, &sp->by_addr);
}

struct tdo_sp *
tdo_shape_find(const struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel)
{
	uint64_t now = atomic_load_explicit(&e->spd->version, memory_order_relaxed);
	struct tdo_shape_key k = shape_key(dir, sel, false);
	const struct tdo_shape *s = find_shape(e, &k);
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	if (s == NULL)
		return NULL;
	n = tdo_htab_first(&s->tab, hash_sel(e, &k, sel), &w);
	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sp *sp = of_shape(n, false);

		if (tdo_sp_visible(sp, now) && tdo_sel_equal(&sp->param.sel, sel))
			return sp;
	}
	return NULL;
}

void
tdo_shapes_fini(struct tdo_engine *e)
{
	for (unsigned i = 0; i < 8; i++) {
		struct tdo_shapes *l = atomic_load_explicit(
		    &e->spd->shapes[i / 4][i / 2 % 2][i % 2], memory_order_relaxed);

		for (unsigned j = 0; l && j < l->n; j++)
			free_shape(e, l->e[j].shape);
		if (l)
			tdo_engine_release(e, l, l->size);
	}
}
