/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SAD (RFC 4301 4.4.2): two hash tables over the same objects, inbound by destination,
 * protocol and SPI, outbound by protocol and address pair, and a list in order of creation.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/sad.h"

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
		uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);

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

void
tdo_sad_publish(struct tdo_engine *e, struct tdo_sa *sa)
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

	/* Now it is on no stack any more. */
	tdo_sad_grow(ctx);
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

void
tdo_sad_swap(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa)
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
	tdo_engine_changed(e);
	tdo_qsbr_retire(&e->qsbr, &old->retired, let_go);
}

void
tdo_sad_remove(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	/* First the count: whoever finds the SA gone must also find that something went. */
	atomic_fetch_add_explicit(&d->removals, 1, memory_order_release);
	atomic_store_explicit(&sa->state, TDO_SA_DEAD, memory_order_release);
	*(sa->prev ? &sa->prev->next : &d->first) = sa->next;
	*(sa->next ? &sa->next->prev : &d->last) = sa->prev;
	d->n--;
	sa->in_sad = false;
	unlink_mortal(d, sa);
	unlink_reqid(e, sa);
	tdo_htab_remove(&d->by_spi, &sa->by_spi);
	tdo_htab_remove(&d->by_pair, &sa->by_pair);
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

/* ---- walk for deleteall ------------------------------------------------------------- */

static struct tdo_sa *
settle(const struct tdo_sa_key *key, struct tdo_hnode *n, struct tdo_hwalk *walk)
{
	for (; n; n = tdo_htab_next(walk)) {
		struct tdo_sa *sa = of_pair(n);

		if (sa->param.key.satype == key->satype && tdo_addr_equal(&sa->id.src, &key->src) &&
		    tdo_addr_equal(&sa->id.dst, &key->dst))
			return sa;
	}
	return NULL;
}

struct tdo_sa *
tdo_sad_first_of_pair(
    const struct tdo_engine *e, const struct tdo_sa_key *key, struct tdo_hwalk *walk)
{
	uint64_t hash = hash_pair(e, &key->src, &key->dst, tdo_satype_proto(key->satype));

	return settle(key, tdo_htab_first(&e->sad->by_pair, hash, walk), walk);
}

struct tdo_sa *
tdo_sad_next_of_pair(const struct tdo_sa_key *key, struct tdo_hwalk *walk)
{
	return settle(key, tdo_htab_next(walk), walk);
}
