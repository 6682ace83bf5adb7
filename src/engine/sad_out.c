/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outbound index of the SAD (spec 4.4).
 *
 * Every SA is in a set of its protocol, addresses and mode, and, with a reqid, in a second one
 * of that reqid too.  A set keeps its SAs by state in order of their serials, so that the newest
 * or oldest mature one is at an end, however many there are.  Only sets with SAs that do not
 * suit every packet, by selectors or cpu, are walked.
 *
 * One writer, readers that never wait.
 */
#include <errno.h>

#include "base/addr.h"
#include "engine/encap.h"
#include "engine/sad.h"

/* Steps that an SA which becomes dying goes to keep the order; an order far off is given up. */
#define SORT_MAX 256

enum { BY_PAIR, BY_REQID };

/* ---- keys --------------------------------------------------------------------------- */

static uint64_t
hash_pair(const struct tdo_engine *e, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint8_t proto)
{
	struct {
		struct tdo_addr src, dst;
		uint32_t proto;
	} k = {*src, *dst, proto};

	return tdo_siphash(&e->hash_key, &k, sizeof(k));
}

/* The rest of the key is not chosen by strangers; the keyed hash of the pair hides it anyway. */
static uint64_t
hash_set(uint64_t pair, uint8_t mode, uint32_t reqid)
{
	uint64_t h = pair ^ ((uint64_t)reqid << 8 | mode) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

static struct tdo_sa_set *
of_node(struct tdo_hnode *n)
{
	return n ? TDO_CONTAINER_OF(n, struct tdo_sa_set, node) : NULL;
}

/* What is looked for; reqid 0: all of the pair. */
struct key {
	const struct tdo_addr *src, *dst;
	uint32_t reqid;
	uint8_t proto, mode;
};

static bool
has_key(const struct tdo_sa *sa, const struct key *k)
{
	const struct tdo_sa_id *id = &sa->id;

	return id->proto == k->proto && id->mode == k->mode &&
	       (k->reqid == 0 || id->reqid == k->reqid) && tdo_addr_equal(&id->src, k->src) &&
	       tdo_addr_equal(&id->dst, k->dst);
}

static struct tdo_sa *
load(struct tdo_sa *const _Atomic *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static void
store(struct tdo_sa *_Atomic *p, struct tdo_sa *sa)
{
	atomic_store_explicit(p, sa, memory_order_release);
}

/* ---- lookup (workers) --------------------------------------------------------------- */

/* What has been found so far. */
struct choice {
	struct tdo_sa *sa;
	uint8_t state;
	uint8_t rating; /* 0: unusable; see rate() */
};

enum {
	CPU_OTHER = 1,
	CPU_NONE,
	CPU_SAME,
	RATING_BEST = CPU_SAME + CPU_SAME * TDO_PORTS_SAME,
};

static bool
has_ports(const struct tdo_req *q)
{
	return q->sport != 0 || q->dport != 0;
}

static bool
is_exactly(const struct tdo_range *r, uint16_t v)
{
	return r->lo == v && r->hi == v;
}

/* RFC 4301 4.4.1.1: the selectors of the SA have the packet's own values in these fields. */
static bool
populated(const struct tdo_sel *s, const struct tdo_flow *f, uint8_t pfp)
{
	if ((pfp & TDO_PFP_SRC) &&
	    (s->src_plen != tdo_af_bits(f->src.af) || !tdo_addr_equal(&s->src, &f->src)))
		return false;
	if ((pfp & TDO_PFP_DST) &&
	    (s->dst_plen != tdo_af_bits(f->dst.af) || !tdo_addr_equal(&s->dst, &f->dst)))
		return false;
	if ((pfp & TDO_PFP_PROTO) && s->proto != f->proto)
		return false;
	/* A packet without ports has nothing to populate them with: then they do not count. */
	if (!tdo_flow_shows_ports(f, s->proto))
		return true;
	return (!(pfp & TDO_PFP_SPORT) || is_exactly(&s->sport, f->sport)) &&
	       (!(pfp & TDO_PFP_DPORT) || is_exactly(&s->dport, f->dport));
}

/* What cannot be bettered. */
static uint8_t
best_rating(const struct tdo_sa_ask *a)
{
	return has_ports(a->req) ? RATING_BEST : CPU_SAME + CPU_SAME * TDO_PORTS_NONE;
}

/* First the ports, then the cpu. */
static uint8_t
rate(const struct tdo_sa *sa, const struct tdo_sa_ask *a)
{
	enum tdo_ports_fit fit = tdo_encap_fit(sa, a->req);
	unsigned cpu = CPU_NONE;

	if (sa->sel && a->flow && !tdo_sel_match(sa->sel, a->flow))
		return 0;
	if (a->pfp && a->flow && !(sa->sel && populated(sa->sel, a->flow, a->pfp)))
		return 0;
	/* A peer whose port changed is the one that UNIQUE names all the same. */
	if (fit == TDO_PORTS_OTHER && a->req->level != TDO_LEVEL_UNIQUE)
		return 0;
	if (sa->cpu != 0)
		cpu = sa->cpu == a->worker + 1 ? CPU_SAME : CPU_OTHER;
	return (uint8_t)(CPU_SAME * fit + cpu);
}

static bool
usable(uint8_t state)
{
	return state == TDO_SA_MATURE || state == TDO_SA_DYING;
}

/* A walk over one line of a set, from the preferred end. */
struct walk {
	unsigned by, dying;
	bool oldest;
};

static struct tdo_sa *
step(const struct tdo_sa *sa, const struct walk *w)
{
	const struct tdo_sa_link *l = &sa->out_link[w->by];

	return load(w->oldest ? &l->at[w->dying].next : &l->at[w->dying].prev);
}

/* The best one of a line; all: not only the first one that suits. */
static struct choice
best_of_line(
    const struct tdo_sa_line *l, const struct tdo_sa_ask *a, const struct walk *w, bool all)
{
	struct choice best = {0};
	struct tdo_sa *sa = load(w->oldest ? &l->first : &l->last);
	uint8_t top = best_rating(a);

	for (; sa && best.rating < top; sa = step(sa, w)) {
		uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);
		uint8_t rating = usable(state) ? rate(sa, a) : 0;

		if (rating <= best.rating)
			continue;
		best = (struct choice){sa, state, rating};
		if (!all)
			break;
	}
	return best;
}

static struct choice
best_of_lines(const struct tdo_sa_set *s, const struct tdo_sa_ask *a, bool oldest)
{
	struct walk w = {.by = a->req->level == TDO_LEVEL_UNIQUE, .oldest = oldest};
	bool all = atomic_load_explicit(&s->special, memory_order_acquire) != 0;
	struct choice best = {0};

	if (a->pfp && a->flow && !all)
		return best; /* none has selectors */
	all = all || has_ports(a->req);
	best = best_of_line(&s->line[TDO_SA_MATURE], a, &w, all);
	w.dying = 1;
	return best.sa ? best : best_of_line(&s->line[TDO_SA_DYING], a, &w, all);
}

/* True when a is to be taken rather than b. */
static bool
better(const struct choice *a, const struct choice *b, bool oldest)
{
	if (a->sa == NULL || b->sa == NULL)
		return a->sa != NULL;
	if (a->state != b->state)
		return a->state == TDO_SA_MATURE;
	if (a->rating != b->rating)
		return a->rating > b->rating;
	return (a->sa->serial < b->sa->serial) == oldest;
}

static struct choice
best_of_set(const struct tdo_engine *e, const struct tdo_sa_ask *a, uint64_t pair, uint8_t mode)
{
	bool unique = a->req->level == TDO_LEVEL_UNIQUE;
	bool oldest = tdo_knob(e, TDO_KNOB_PREFERED_OLDSA, a->dst->af) != 0;
	struct key k = {a->src, a->dst, unique ? a->req->reqid : 0, a->req->proto, mode};
	struct choice best = {0};
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->sets, hash_set(pair, mode, k.reqid), &w);
	for (; n; n = tdo_htab_next(&w)) {
		best = best_of_lines(of_node(n), a, oldest);
		if (best.sa && has_key(best.sa, &k))
			break;
		best = (struct choice){0};
	}
	return best;
}

struct tdo_sa *
tdo_sad_find_out(const struct tdo_engine *e, const struct tdo_sa_ask *ask)
{
	bool oldest = tdo_knob(e, TDO_KNOB_PREFERED_OLDSA, ask->dst->af) != 0;
	uint64_t pair = hash_pair(e, ask->src, ask->dst, ask->req->proto), before, after;
	struct choice own, any;

	/*
	 * A rekey adds an SA and then deletes another.  A walk that began before the addition
	 * and ends after the deletion misses both, and with level "use" the packet would go in
	 * clear: a miss counts only if nothing was removed meanwhile.
	 */
	after = atomic_load_explicit(&e->sad->removals, memory_order_acquire);
	do {
		before = after;
		own = best_of_set(e, ask, pair, ask->req->mode);
		any = best_of_set(e, ask, pair, TDO_MODE_ANY);
		if (better(&any, &own, oldest))
			own = any;
		after = atomic_load_explicit(&e->sad->removals, memory_order_acquire);
	} while (own.sa == NULL && before != after);
	return own.sa;
}

static void
peek_line(struct tdo_sa_set *s, unsigned state, const struct key *k,
    void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx)
{
	const struct walk w = {BY_PAIR, state == TDO_SA_DYING, true};

	for (struct tdo_sa *sa = load(&s->line[state].first); sa; sa = step(sa, &w))
		if (has_key(sa, k))
			fn(ctx, sa);
}

void
tdo_sad_out_peek(const struct tdo_engine *e, const struct tdo_sa_key *key,
    void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx)
{
	uint8_t proto = tdo_satype_proto(key->satype);
	uint64_t pair = hash_pair(e, &key->src, &key->dst, proto);

	for (unsigned mode = TDO_MODE_ANY; mode <= TDO_MODE_TUNNEL; mode++) {
		struct key k = {&key->src, &key->dst, 0, proto, (uint8_t)mode};
		struct tdo_hwalk w;
		struct tdo_hnode *n;

		n = tdo_htab_first(&e->sad->sets, hash_set(pair, (uint8_t)mode, 0), &w);
		for (; n; n = tdo_htab_next(&w)) {
			peek_line(of_node(n), TDO_SA_MATURE, &k, fn, ctx);
			peek_line(of_node(n), TDO_SA_DYING, &k, fn, ctx);
		}
	}
}

/* ---- sets (control thread) ---------------------------------------------------------- */

static struct tdo_sa *
any_member(const struct tdo_sa_set *s)
{
	struct tdo_sa *sa = NULL;

	for (unsigned i = 0; sa == NULL && i <= TDO_SA_DYING; i++)
		sa = load(&s->line[i].first);
	return sa;
}

static struct tdo_sa_set *
find_set(const struct tdo_engine *e, const struct key *k, uint64_t hash)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&e->sad->sets, hash, &w);

	for (; n; n = tdo_htab_next(&w))
		if (has_key(any_member(of_node(n)), k))
			return of_node(n);
	return NULL;
}

static struct key
key_of(const struct tdo_sa *sa, unsigned by)
{
	return (struct key){
	    &sa->id.src, &sa->id.dst, by == BY_REQID ? sa->id.reqid : 0, sa->id.proto, sa->id.mode};
}

static void
free_set(void *ctx, struct tdo_qsbr_node *node)
{
	tdo_engine_release(
	    ctx, TDO_CONTAINER_OF(node, struct tdo_sa_set, retired), sizeof(struct tdo_sa_set));
}

/* Puts sa into its line behind `after`, or first. */
static void
link_sa(struct tdo_sa_set *s, struct tdo_sa *sa, unsigned by, struct tdo_sa *after)
{
	unsigned d = sa->line == TDO_SA_DYING;
	struct tdo_sa_line *l = &s->line[sa->line];
	struct tdo_sa *next = load(after ? &after->out_link[by].at[d].next : &l->first);

	store(&sa->out_link[by].at[d].prev, after);
	store(&sa->out_link[by].at[d].next, next);
	store(after ? &after->out_link[by].at[d].next : &l->first, sa);
	store(next ? &next->out_link[by].at[d].prev : &l->last, sa);
}

/* Lets the neighbours of old in a line have sa, if not NULL, in its place, or each other. */
static void
relink(struct tdo_sa_line *l, struct tdo_sa *old, struct tdo_sa *sa, unsigned by, unsigned d)
{
	struct tdo_sa *prev = load(&old->out_link[by].at[d].prev);
	struct tdo_sa *next = load(&old->out_link[by].at[d].next);

	if (sa) {
		store(&sa->out_link[by].at[d].prev, prev);
		store(&sa->out_link[by].at[d].next, next);
	}
	store(prev ? &prev->out_link[by].at[d].next : &l->first, sa ? sa : next);
	store(next ? &next->out_link[by].at[d].prev : &l->last, sa ? sa : prev);
}

static bool
is_special(const struct tdo_sa *sa)
{
	return sa->sel != NULL || sa->cpu != 0;
}

static uint64_t
hash_of(const struct tdo_engine *e, const struct tdo_sa *sa, unsigned by)
{
	return hash_set(hash_pair(e, &sa->id.src, &sa->id.dst, sa->id.proto), sa->id.mode,
	    by == BY_REQID ? sa->id.reqid : 0);
}

static bool
reserve(struct tdo_engine *e, struct tdo_sa *sa, unsigned by)
{
	struct key k = key_of(sa, by);
	struct tdo_sa_set *s = find_set(e, &k, hash_of(e, sa, by));

	sa->out_link[by].set = s ? s : tdo_engine_alloc(e, sizeof(*s));
	return sa->out_link[by].set != NULL;
}

int
tdo_sad_out_reserve(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sa_set *s;

	if (!reserve(e, sa, BY_PAIR))
		return -ENOMEM;
	if (sa->id.reqid == 0 || reserve(e, sa, BY_REQID))
		return 0;
	s = sa->out_link[BY_PAIR].set;
	sa->out_link[BY_PAIR].set = NULL;
	if (s->n == 0)
		tdo_engine_release(e, s, sizeof(*s));
	return -ENOMEM;
}

static void
join(struct tdo_engine *e, struct tdo_sa *sa, unsigned by)
{
	struct tdo_sa_set *s = sa->out_link[by].set;

	if (s == NULL)
		return;
	/* Before it can be found, as a set without special ones is not looked through. */
	if (is_special(sa))
		atomic_fetch_add_explicit(&s->special, 1, memory_order_release);
	link_sa(s, sa, by, load(&s->line[sa->line].last));
	if (s->n++ == 0)
		tdo_htab_insert(&e->sad->sets, &s->node, hash_of(e, sa, by));
}

static void
leave(struct tdo_engine *e, struct tdo_sa *sa, unsigned by)
{
	struct tdo_sa_set *s = sa->out_link[by].set;

	if (s == NULL)
		return;
	sa->out_link[by].set = NULL;
	relink(&s->line[sa->line], sa, NULL, by, sa->line == TDO_SA_DYING);
	if (is_special(sa))
		atomic_fetch_sub_explicit(&s->special, 1, memory_order_release);
	if (--s->n > 0)
		return;
	tdo_htab_remove(&e->sad->sets, &s->node);
	tdo_qsbr_retire(&e->qsbr, &s->retired, free_set);
}

void
tdo_sad_out_join(struct tdo_engine *e, struct tdo_sa *sa)
{
	sa->serial = ++e->sad->serial;
	sa->line = atomic_load_explicit(&sa->state, memory_order_relaxed);
	join(e, sa, BY_PAIR);
	join(e, sa, BY_REQID);
}

void
tdo_sad_out_leave(struct tdo_engine *e, struct tdo_sa *sa)
{
	leave(e, sa, BY_PAIR);
	leave(e, sa, BY_REQID);
}

static void
take_place(struct tdo_sa *old, struct tdo_sa *sa, unsigned by)
{
	struct tdo_sa_set *s = old->out_link[by].set;

	if (s == NULL)
		return;
	if (is_special(sa) && !is_special(old))
		atomic_fetch_add_explicit(&s->special, 1, memory_order_release);
	sa->out_link[by].set = s;
	relink(&s->line[old->line], old, sa, by, old->line == TDO_SA_DYING);
	if (is_special(old) && !is_special(sa))
		atomic_fetch_sub_explicit(&s->special, 1, memory_order_release);
	old->out_link[by].set = NULL;
}

bool
tdo_sad_out_replace(struct tdo_sa *old, struct tdo_sa *sa)
{
	const struct tdo_sa_id *a = &old->id, *b = &sa->id;

	if (a->mode != b->mode || a->reqid != b->reqid || !tdo_addr_equal(&a->src, &b->src) ||
	    !tdo_addr_equal(&a->dst, &b->dst) ||
	    old->line != atomic_load_explicit(&sa->state, memory_order_relaxed))
		return false;
	sa->serial = old->serial;
	sa->line = old->line;
	take_place(old, sa, BY_PAIR);
	take_place(old, sa, BY_REQID);
	return true;
}

/* SAs become dying in about the order in which they became mature. */
static void
soften(struct tdo_sa *sa, unsigned by)
{
	struct tdo_sa_set *s = sa->out_link[by].set;
	struct tdo_sa *after;

	if (s == NULL)
		return;
	after = load(&s->line[TDO_SA_DYING].last);
	for (unsigned i = 0; after && after->serial > sa->serial && i < SORT_MAX; i++)
		after = load(&after->out_link[by].at[1].prev);
	link_sa(s, sa, by, after);
	relink(&s->line[TDO_SA_MATURE], sa, NULL, by, 0);
}

void
tdo_sad_out_soften(struct tdo_sa *sa)
{
	sa->line = TDO_SA_DYING;
	soften(sa, BY_PAIR);
	soften(sa, BY_REQID);
}

/* All SAs of the type and address pair of key that have the mode; NULL: there is none. */
static struct tdo_sa_set *
set_of_pair(const struct tdo_engine *e, const struct tdo_sa_key *key, uint8_t mode)
{
	struct key k = {&key->src, &key->dst, 0, tdo_satype_proto(key->satype), mode};

	return find_set(e, &k, hash_set(hash_pair(e, k.src, k.dst, k.proto), mode, 0));
}

struct tdo_sa *
tdo_sad_out_any(const struct tdo_engine *e, const struct tdo_sa_key *key)
{
	for (unsigned mode = TDO_MODE_ANY; mode <= TDO_MODE_TUNNEL; mode++) {
		struct tdo_sa_set *s = set_of_pair(e, key, (uint8_t)mode);

		if (s)
			return any_member(s);
	}
	return NULL;
}

static void
each_member(struct tdo_sa_set *s, void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx)
{
	for (unsigned state = TDO_SA_LARVAL; state <= TDO_SA_DYING; state++) {
		const struct walk w = {BY_PAIR, state == TDO_SA_DYING, true};

		for (struct tdo_sa *sa = load(&s->line[state].first); sa; sa = step(sa, &w))
			fn(ctx, sa);
	}
}

void
tdo_sad_out_each(const struct tdo_engine *e, const struct tdo_sa_key *key,
    void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx)
{
	for (unsigned mode = TDO_MODE_ANY; mode <= TDO_MODE_TUNNEL; mode++) {
		struct tdo_sa_set *s = set_of_pair(e, key, (uint8_t)mode);

		if (s)
			each_member(s, fn, ctx);
	}
}
