/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SAD (RFC 4301 4.4.2): two hash tables over the same objects, inbound by destination,
 * protocol and SPI, outbound by protocol and address pair, and a list in order of creation.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/ct.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "wire/ip.h"

struct tdo_sad {
	struct tdo_htab by_spi, by_pair;
	struct tdo_htab by_reqid; /* SAs with a reqid from testudo's range */
	/* Counts removals; see tdo_sad_find_out(). */
	_Atomic uint64_t removals;
	/* control thread only */
	struct tdo_sa *first, *last; /* in order of creation */
	struct tdo_sa *mortal;
	uint64_t serial;
	unsigned n;
	bool warned_clear;                       /* encryption without authentication */
	uint8_t warned_enc[32], warned_auth[32]; /* bitmaps by PF_KEY number */
};

/* ---- keys of the tables ------------------------------------------------------------- */

static uint64_t
hash_spi(const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct {
		struct tdo_addr dst;
		uint32_t spi, proto;
	} k = {*dst, spi, proto};

	return tdo_siphash(&e->hash_key, &k, sizeof(k));
}

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

static uint64_t
hash_reqid(const struct tdo_engine *e, uint32_t reqid)
{
	return tdo_siphash(&e->hash_key, &reqid, sizeof(reqid));
}

static struct tdo_sa *
of_spi(struct tdo_hnode *n)
{
	return n ? TDO_CONTAINER_OF(n, struct tdo_sa, by_spi) : NULL;
}

static struct tdo_sa *
of_pair(struct tdo_hnode *n)
{
	return n ? TDO_CONTAINER_OF(n, struct tdo_sa, by_pair) : NULL;
}

static uint8_t
proto_of(uint8_t satype)
{
	return satype == TDO_SATYPE_ESP  ? TDO_IPPROTO_ESP
	       : satype == TDO_SATYPE_AH ? TDO_IPPROTO_AH
					 : TDO_IPPROTO_IPCOMP;
}

/* ---- readers ------------------------------------------------------------------------ */

struct tdo_sa *
tdo_sad_find_in(const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->by_spi, hash_spi(e, dst, spi, proto), &w);
	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sa *sa = of_spi(n);

		if (sa->id.spi == spi && sa->id.proto == proto && tdo_addr_equal(&sa->id.dst, dst))
			return sa;
	}
	return NULL;
}

/* Spec 4.4: may this SA serve the request? */
static bool
suits(const struct tdo_sa *sa, const struct tdo_req *req, const struct tdo_addr *src,
    const struct tdo_addr *dst)
{
	const struct tdo_sa_id *id = &sa->id;

	if (id->proto != req->proto || !tdo_addr_equal(&id->src, src) ||
	    !tdo_addr_equal(&id->dst, dst))
		return false;
	if (id->mode != TDO_MODE_ANY && id->mode != req->mode)
		return false;
	return req->level != TDO_LEVEL_UNIQUE || id->reqid == req->reqid;
}

/* True when a, in state sa, is to be taken rather than b, in state sb (b may be NULL). */
static bool
preferred(const struct tdo_sa *a, uint8_t sa, const struct tdo_sa *b, uint8_t sb, bool oldest)
{
	if (b == NULL)
		return true;
	if (sa != sb)
		return sa == TDO_SA_MATURE;
	return (a->serial < b->serial) == oldest;
}

static struct tdo_sa *
best_in_chain(const struct tdo_engine *e, const struct tdo_req *req, const struct tdo_addr *src,
    const struct tdo_addr *dst, uint64_t hash)
{
	bool oldest = tdo_knob(e, TDO_KNOB_PREFERED_OLDSA, dst->af) != 0;
	struct tdo_sa *best = NULL;
	uint8_t best_state = TDO_SA_DEAD;
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->by_pair, hash, &w);
	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sa *sa = of_pair(n);
		uint8_t state = atomic_load_explicit(&sa->state, memory_order_relaxed);

		if (state != TDO_SA_MATURE && state != TDO_SA_DYING)
			continue;
		if (suits(sa, req, src, dst) && preferred(sa, state, best, best_state, oldest)) {
			best = sa;
			best_state = state;
		}
	}
	return best;
}

struct tdo_sa *
tdo_sad_find_out(const struct tdo_engine *e, const struct tdo_req *req, const struct tdo_addr *src,
    const struct tdo_addr *dst)
{
	uint64_t hash = hash_pair(e, src, dst, req->proto), before, after;
	struct tdo_sa *sa;

	/*
	 * A rekey adds an SA and then deletes another.  A walk that began before the addition
	 * and ends after the deletion misses both, and with level "use" the packet would go in
	 * clear: a miss counts only if nothing was removed meanwhile.
	 */
	after = atomic_load_explicit(&e->sad->removals, memory_order_acquire);
	do {
		before = after;
		sa = best_in_chain(e, req, src, dst, hash);
		after = atomic_load_explicit(&e->sad->removals, memory_order_acquire);
	} while (sa == NULL && before != after);
	return sa;
}

/* ---- tables (control thread) -------------------------------------------------------- */

int
tdo_sad_new(struct tdo_engine *e)
{
	struct tdo_sad *d = tdo_engine_alloc(e, sizeof(*d));
	int r;

	if (d == NULL)
		return -ENOMEM;
	e->sad = d;
	r = tdo_htab_init(&d->by_spi, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_pair, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_reqid, &e->cfg.mem, &e->qsbr);
	return r;
}

void
tdo_sad_free(struct tdo_engine *e)
{
	while (e->sad && e->sad->first)
		tdo_sad_remove(e, e->sad->first);
}

void
tdo_sad_fini(struct tdo_engine *e)
{
	struct tdo_sad *d = e->sad;

	if (d == NULL)
		return;
	tdo_htab_fini(&d->by_spi);
	tdo_htab_fini(&d->by_pair);
	tdo_htab_fini(&d->by_reqid);
	tdo_engine_release(e, d, sizeof(*d));
}

static bool
mortal(const struct tdo_sa *sa)
{
	static const struct tdo_lifetime none;

	return atomic_load_explicit(&sa->state, memory_order_relaxed) == TDO_SA_LARVAL ||
	       memcmp(&sa->hard, &none, sizeof(none)) != 0 ||
	       memcmp(&sa->soft, &none, sizeof(none)) != 0;
}

static void
link_mortal(struct tdo_sad *d, struct tdo_sa *sa)
{
	if (!mortal(sa))
		return;
	sa->prev_mortal = NULL;
	sa->next_mortal = d->mortal;
	if (d->mortal)
		d->mortal->prev_mortal = sa;
	d->mortal = sa;
}

static void
unlink_mortal(struct tdo_sad *d, struct tdo_sa *sa)
{
	if (sa->prev_mortal)
		sa->prev_mortal->next_mortal = sa->next_mortal;
	else if (d->mortal == sa)
		d->mortal = sa->next_mortal;
	if (sa->next_mortal)
		sa->next_mortal->prev_mortal = sa->prev_mortal;
}

static void
link_reqid(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->id.reqid > TDO_REQID_MANUAL_MAX)
		tdo_htab_insert(&e->sad->by_reqid, &sa->by_reqid, hash_reqid(e, sa->id.reqid));
}

static void
unlink_reqid(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->id.reqid > TDO_REQID_MANUAL_MAX)
		tdo_htab_remove(&e->sad->by_reqid, &sa->by_reqid);
}

static void
publish(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	sa->serial = ++d->serial;
	sa->in_sad = true;
	sa->prev = d->last;
	if (d->last)
		d->last->next = sa;
	else
		d->first = sa;
	d->last = sa;
	d->n++;
	link_mortal(d, sa);
	link_reqid(e, sa);
	tdo_htab_insert(
	    &d->by_spi, &sa->by_spi, hash_spi(e, &sa->id.dst, sa->id.spi, sa->id.proto));
	tdo_htab_insert(
	    &d->by_pair, &sa->by_pair, hash_pair(e, &sa->id.src, &sa->id.dst, sa->id.proto));
	tdo_engine_changed(e);
}

/* After the grace period. */
static void
let_go(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_sa *sa = TDO_CONTAINER_OF(node, struct tdo_sa, retired);

	(void)ctx;
	/* No worker has the object any more; whoever still refers to it only reads it. */
	sa->replay.moved = NULL;
	tdo_sa_unref(sa);
}

static void
replace_in_list(struct tdo_sad *d, struct tdo_sa *old, struct tdo_sa *sa)
{
	sa->prev = old->prev;
	sa->next = old->next;
	*(sa->prev ? &sa->prev->next : &d->first) = sa;
	*(sa->next ? &sa->next->prev : &d->last) = sa;
}

/* Puts sa, of the same name, where old is; readers see one or the other. */
static void
swap(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	replace_in_list(d, old, sa);
	unlink_mortal(d, old);
	link_mortal(d, sa);
	unlink_reqid(e, old);
	link_reqid(e, sa);
	sa->in_sad = true;
	old->in_sad = false;
	tdo_htab_replace(&d->by_spi, &old->by_spi, &sa->by_spi);
	tdo_htab_replace(&d->by_pair, &old->by_pair, &sa->by_pair);
	atomic_fetch_add_explicit(&d->removals, 1, memory_order_release);
	tdo_engine_changed(e);
	tdo_qsbr_retire(&e->qsbr, &old->retired, let_go);
}

void
tdo_sad_remove(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	atomic_store_explicit(&sa->state, TDO_SA_DEAD, memory_order_relaxed);
	*(sa->prev ? &sa->prev->next : &d->first) = sa->next;
	*(sa->next ? &sa->next->prev : &d->last) = sa->prev;
	d->n--;
	sa->in_sad = false;
	unlink_mortal(d, sa);
	unlink_reqid(e, sa);
	tdo_htab_remove(&d->by_spi, &sa->by_spi);
	tdo_htab_remove(&d->by_pair, &sa->by_pair);
	atomic_fetch_add_explicit(&d->removals, 1, memory_order_release);
	tdo_engine_changed(e);
	tdo_qsbr_retire(&e->qsbr, &sa->retired, let_go);
}

struct tdo_sa *
tdo_sad_mortal(const struct tdo_engine *e)
{
	return e->sad->mortal;
}

bool
tdo_sad_reqid_used(const struct tdo_engine *e, uint32_t reqid)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->by_reqid, hash_reqid(e, reqid), &w);
	for (; n; n = tdo_htab_next(&w))
		if (TDO_CONTAINER_OF(n, struct tdo_sa, by_reqid)->id.reqid == reqid)
			return true;
	return false;
}

unsigned
tdo_sad_count(const struct tdo_engine *e)
{
	return e->sad->n;
}

/* ---- operator warnings -------------------------------------------------------------- */

/* Sets bit n of the map; true when it was clear. */
static bool
first_time(uint8_t map[32], uint8_t n)
{
	uint8_t bit = (uint8_t)(1 << (n % 8));
	bool first = (map[n / 8] & bit) == 0;

	map[n / 8] |= bit;
	return first;
}

static void
warn(struct tdo_engine *e, const struct tdo_sa_param *p)
{
	const struct tdo_alg *enc = tdo_alg_enc(p->ealg);
	const struct tdo_alg *auth = p->aalg ? tdo_alg_auth(p->aalg) : NULL;
	struct tdo_sad *d = e->sad;

	if (enc->weak && first_time(d->warned_enc, p->ealg))
		tdo_engine_log(
		    e, TDO_LOG_WARN, "%s is weak (RFC 8221); do not use it for new SAs", enc->name);
	if (auth && auth->weak && first_time(d->warned_auth, p->aalg))
		tdo_engine_log(e, TDO_LOG_WARN, "%s is weak (RFC 8221); do not use it for new SAs",
		    auth->name);
	if (auth == NULL && enc->kind != TDO_ALG_AEAD && !d->warned_clear) {
		d->warned_clear = true;
		/* RFC 4303 1: confidentiality-only service may be attacked actively. */
		tdo_engine_log(e, TDO_LOG_WARN,
		    "ESP without authentication protects neither the packets nor against replay");
	}
}

/* ---- control calls ------------------------------------------------------------------ */

/* The SA of this name, or NULL.  An empty source is not compared. */
static struct tdo_sa *
find(const struct tdo_engine *e, const struct tdo_sa_key *k)
{
	struct tdo_sa *sa = tdo_sad_find_in(e, &k->dst, k->spi, proto_of(k->satype));

	if (sa == NULL || sa->param.key.satype != k->satype)
		return NULL;
	if (k->src.af != TDO_AF_NONE && !tdo_addr_equal(&k->src, &sa->id.src))
		return NULL;
	return sa;
}

/* The counter's home, unless it was inherited. */
static void
settle_seq(struct tdo_engine *e, struct tdo_sa *sa)
{
	_Atomic uint64_t *slot;

	if (e->cfg.seq_slot == NULL || sa->out_seq != &sa->own_seq)
		return;
	slot = e->cfg.seq_slot(e->cfg.seq_ctx, &sa->param);
	if (slot)
		sa->out_seq = slot;
}

int
tdo_sa_add(struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err)
{
	struct tdo_sa *sa;
	int r;

	tdo_engine_reclaim(e);
	r = tdo_sa_validate(e, p, ret_err);
	if (r)
		return r;
	if (tdo_sad_find_in(e, &p->key.dst, p->key.spi, proto_of(p->key.satype)))
		return -EEXIST;
	r = tdo_sa_new(e, p, false, now, &sa, ret_err);
	if (r)
		return r;
	settle_seq(e, sa);
	warn(e, p);
	publish(e, sa);
	return 0;
}

/* RFC 2367 3.1.2: an update of lifetimes alone says nothing about algorithms. */
static struct tdo_sa_param
completed(const struct tdo_sa_param *p, const struct tdo_sa *old)
{
	struct tdo_sa_param full = *p;

	if (full.key.src.af == TDO_AF_NONE)
		full.key.src = old->id.src;
	if (p->ealg != 0 || p->aalg != 0)
		return full;
	full.ealg = old->param.ealg;
	full.aalg = old->param.aalg;
	full.ekey = old->param.ekey;
	full.akey = old->param.akey;
	full.ekey_bits = old->param.ekey_bits;
	full.akey_bits = old->param.akey_bits;
	return full;
}

int
tdo_sa_update(
    struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err)
{
	struct tdo_sa *old = find(e, &p->key), *sa;
	struct tdo_sa_param full;
	int r;

	if (old == NULL)
		return -ESRCH;
	full = completed(p, old);
	r = tdo_sa_validate(e, &full, ret_err);
	if (r == 0)
		r = tdo_sa_new(e, &full, false, now, &sa, ret_err);
	if (r)
		return r;
	tdo_sa_inherit(sa, old);
	settle_seq(e, sa);
	warn(e, &full);
	swap(e, old, sa);
	return 0;
}

/* ---- GETSPI ------------------------------------------------------------------------- */

static uint64_t
random64(struct tdo_engine *e)
{
	uint64_t v;

	e->cfg.random(e->cfg.random_ctx, &v, sizeof(v));
	return v;
}

/* A free SPI in [min, max], or 0. */
static uint32_t
pick_spi(struct tdo_engine *e, const struct tdo_sa_key *k, uint32_t min, uint32_t max)
{
	uint32_t tries = (uint32_t)tdo_knob(e, TDO_KNOB_SPI_TRY, k->dst.af);
	uint64_t n = (uint64_t)max - min + 1, at = random64(e) % n;

	for (uint32_t i = 0; i < tries; i++) {
		uint32_t spi = (uint32_t)(min + at);

		if (tdo_sad_find_in(e, &k->dst, spi, proto_of(k->satype)) == NULL)
			return spi;
		/* A small range is searched completely, a large one at random. */
		if (n > tries)
			at = random64(e) % n;
		else if (i + 1 < n)
			at = (at + 1) % n;
		else
			break;
	}
	return 0;
}

/* One SPI is taken as it is; a range is limited by the knobs. */
static bool
spi_range(const struct tdo_engine *e, uint8_t af, uint32_t *min, uint32_t *max)
{
	uint32_t lo = (uint32_t)tdo_knob(e, TDO_KNOB_SPI_MIN, af);
	uint32_t hi = (uint32_t)tdo_knob(e, TDO_KNOB_SPI_MAX, af);

	if (*min == *max)
		return true;
	if (*min < lo)
		*min = lo;
	if (*max > hi)
		*max = hi;
	return *min <= *max;
}

int
tdo_sa_getspi(struct tdo_engine *e, const struct tdo_sa_param *p, uint32_t min, uint32_t max,
    tdo_ns now, uint32_t *ret_spi)
{
	struct tdo_sa_param full = *p;
	struct tdo_sa *sa;
	int r;

	if (p->key.satype == TDO_SATYPE_AH || p->key.satype == TDO_SATYPE_IPCOMP)
		return -EOPNOTSUPP;
	if (p->key.satype != TDO_SATYPE_ESP || p->mode > TDO_MODE_TUNNEL ||
	    tdo_af_len(p->key.src.af) == 0 || p->key.src.af != p->key.dst.af)
		return -EINVAL;
	if (min > max || min < TDO_SPI_MIN)
		return -EINVAL;
	if (!spi_range(e, p->key.dst.af, &min, &max))
		return -ENOENT;
	full.key.spi = pick_spi(e, &p->key, min, max);
	if (full.key.spi == 0)
		return -ENOENT;
	/* A larval SA has neither algorithms nor keys nor lifetimes. */
	full.ealg = full.aalg = 0;
	full.ekey_bits = full.akey_bits = 0;
	full.replay = 0;
	full.has_hard = full.has_soft = false;
	r = tdo_sa_new(e, &full, true, now, &sa, NULL);
	if (r)
		return r;
	tdo_event_answered(e, p->seq);
	publish(e, sa);
	*ret_spi = full.key.spi;
	return 0;
}

/* ---- deleting and reading ----------------------------------------------------------- */

int
tdo_sa_delete(struct tdo_engine *e, const struct tdo_sa_key *key)
{
	struct tdo_sa *sa = find(e, key);

	if (sa == NULL)
		return -ESRCH;
	tdo_sad_remove(e, sa);
	return 0;
}

unsigned
tdo_sa_delete_all(struct tdo_engine *e, const struct tdo_sa_key *key)
{
	uint8_t proto = proto_of(key->satype);
	struct tdo_hwalk w;
	struct tdo_hnode *n;
	unsigned count = 0;

	n = tdo_htab_first(&e->sad->by_pair, hash_pair(e, &key->src, &key->dst, proto), &w);
	while (n) {
		struct tdo_sa *sa = of_pair(n);

		/* The removed node keeps its link: the walk may go on. */
		n = tdo_htab_next(&w);
		if (sa->param.key.satype != key->satype ||
		    !tdo_addr_equal(&sa->id.src, &key->src) ||
		    !tdo_addr_equal(&sa->id.dst, &key->dst))
			continue;
		tdo_sad_remove(e, sa);
		count++;
	}
	return count;
}

unsigned
tdo_sa_flush(struct tdo_engine *e, uint8_t satype)
{
	struct tdo_sa *next;
	unsigned count = 0;

	for (struct tdo_sa *sa = e->sad->first; sa; sa = next) {
		next = sa->next;
		if (satype != TDO_SATYPE_UNSPEC && sa->param.key.satype != satype)
			continue;
		tdo_sad_remove(e, sa);
		count++;
	}
	return count;
}

int
tdo_sa_get(struct tdo_engine *e, const struct tdo_sa_key *key, struct tdo_sa_info *ret)
{
	struct tdo_sa *sa = find(e, key);

	if (sa == NULL)
		return -ESRCH;
	tdo_sa_fill_info(e, sa, ret);
	return 0;
}

/* ---- snapshots ---------------------------------------------------------------------- */

struct tdo_sa_snap {
	struct tdo_engine *engine;
	unsigned n, at;
	size_t size;
	struct tdo_sa *sa[]; /* referenced from at on */
};

static bool
wanted(const struct tdo_sa *sa, uint8_t satype)
{
	return satype == TDO_SATYPE_UNSPEC || sa->param.key.satype == satype;
}

int
tdo_sa_snap_new(struct tdo_engine *e, uint8_t satype, struct tdo_sa_snap **ret)
{
	size_t size = sizeof(struct tdo_sa_snap) + e->sad->n * sizeof(struct tdo_sa *);
	struct tdo_sa_snap *s = tdo_engine_alloc(e, size);

	if (s == NULL)
		return -ENOMEM;
	s->engine = e;
	s->size = size;
	for (struct tdo_sa *sa = e->sad->first; sa; sa = sa->next) {
		if (!wanted(sa, satype))
			continue;
		tdo_sa_ref(sa);
		s->sa[s->n++] = sa;
	}
	*ret = s;
	return 0;
}

unsigned
tdo_sa_snap_left(const struct tdo_sa_snap *s)
{
	return s->n - s->at;
}

bool
tdo_sa_snap_next(struct tdo_sa_snap *s, struct tdo_sa_info *ret)
{
	struct tdo_sa *sa;

	if (s->at == s->n)
		return false;
	sa = s->sa[s->at++];
	tdo_sa_fill_info(s->engine, sa, ret);
	ret->refcnt--; /* the snapshot's own reference */
	tdo_sa_unref(sa);
	return true;
}

void
tdo_sa_snap_free(struct tdo_sa_snap *s)
{
	if (s == NULL)
		return;
	while (s->at < s->n)
		tdo_sa_unref(s->sa[s->at++]);
	tdo_engine_release(s->engine, s, s->size);
}
