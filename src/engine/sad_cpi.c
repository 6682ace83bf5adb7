/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound SAs of IPComp.  A CPI below 256 names an algorithm (RFC 3173 3.3), so the SA is found by
 * destination and algorithm; those of one destination are told apart by what else is known.
 */
#include "base/addr.h"
#include "engine/ipcomp.h"
#include "engine/sad.h"

static uint64_t
hash_cpi(const struct tdo_engine *e, const struct tdo_addr *dst, const struct tdo_comp_alg *a)
{
	struct {
		struct tdo_addr dst;
		uint32_t alg, proto;
	} k = {*dst, a->pfkey, TDO_IPPROTO_IPCOMP};

	return tdo_siphash(&e->hash_key, &k, sizeof(k));
}

/* ---- readers ------------------------------------------------------------------------ */

/* The first SA from n on with this destination and algorithm, or NULL. */
static struct tdo_sa *
settle(struct tdo_hnode *n, struct tdo_hwalk *w, const struct tdo_addr *dst,
    const struct tdo_comp_alg *a)
{
	for (; n; n = tdo_htab_next(w)) {
		struct tdo_comp_sa *c = TDO_CONTAINER_OF(n, struct tdo_comp_sa, by_cpi);

		if (c->alg == a && tdo_addr_equal(&c->sa->id.dst, dst))
			return c->sa;
	}
	return NULL;
}

static struct tdo_sa *
first(const struct tdo_engine *e, const struct tdo_addr *dst, const struct tdo_comp_alg *a,
    struct tdo_hwalk *w)
{
	return settle(tdo_htab_first(&e->sad->by_cpi, hash_cpi(e, dst, a), w), w, dst, a);
}

/*
 * How well the SA fits a packet, larger is better: it comes from there; a tunnel for an IP packet
 * and transport mode for all else; mature.
 */
static unsigned
fitness(const struct tdo_sa *sa, const struct tdo_addr *src, uint8_t next)
{
	bool ip = next == TDO_IPPROTO_IPIP || next == TDO_IPPROTO_IPV6;
	uint8_t other = ip ? TDO_MODE_TRANSPORT : TDO_MODE_TUNNEL;
	uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);

	return (tdo_addr_equal(&sa->id.src, src) ? 4u : 0) + (sa->id.mode != other ? 2u : 0) +
	       (state == TDO_SA_MATURE ? 1u : 0);
}

struct tdo_sa *
tdo_sad_find_cpi(const struct tdo_engine *e, const struct tdo_flow *f, uint32_t cpi, uint8_t next)
{
	const struct tdo_comp_alg *a;
	struct tdo_sa *best = NULL;
	struct tdo_hwalk w;
	unsigned most = 0;

	if (cpi >= TDO_CPI_NEGOTIATED)
		return tdo_sad_find_in(e, &f->dst, cpi, TDO_IPPROTO_IPCOMP);
	a = tdo_comp_alg_by_cpi(cpi);
	if (a == NULL)
		return NULL;
	for (struct tdo_sa *sa = first(e, &f->dst, a, &w); sa;
	     sa = settle(tdo_htab_next(&w), &w, &f->dst, a)) {
		unsigned fit = fitness(sa, &f->src, next);

		/* Of equal ones the newest, whatever the order of the chain. */
		if (best == NULL || fit > most || (fit == most && sa->serial > best->serial)) {
			best = sa;
			most = fit;
		}
	}
	return best;
}

/* RFC 3173 2.2: the peer of such an SA may leave IPComp out, and what is left is IP in IP. */
static bool
is_tunnel(const struct tdo_engine *e, const struct tdo_sa *sa)
{
	if (!tdo_layer_sa_alive(sa) || sa->id.mode == TDO_MODE_TRANSPORT)
		return false;
	return sa->id.mode == TDO_MODE_TUNNEL || tdo_spd_binds_tunnel(e, &sa->id);
}

struct tdo_sa *
tdo_sad_find_bare(const struct tdo_engine *e, const struct tdo_flow *f)
{
	const struct tdo_comp_alg *a;
	struct tdo_sa *best = NULL;
	struct tdo_hwalk w;

	if (atomic_load_explicit(&e->sad->ncomp, memory_order_relaxed) == 0)
		return NULL;
	for (unsigned i = 0; (a = tdo_comp_alg_at(i)) != NULL; i++)
		for (struct tdo_sa *sa = first(e, &f->dst, a, &w); sa;
		     sa = settle(tdo_htab_next(&w), &w, &f->dst, a))
			if (tdo_addr_equal(&sa->id.src, &f->src) && is_tunnel(e, sa) &&
			    (best == NULL || sa->serial > best->serial))
				best = sa;
	return best;
}

bool
tdo_sad_carries_bare(const struct tdo_sa *sa)
{
	const struct tdo_engine *e = sa->engine;
	struct tdo_flow f = {.src = sa->id.src, .dst = sa->id.dst};

	if (sa->comp || atomic_load_explicit(&e->sad->ncomp, memory_order_relaxed) == 0)
		return false;
	return tdo_sad_find_bare(e, &f) != NULL && !tdo_spd_binds_tunnel(e, &sa->id);
}

/* ---- control thread ----------------------------------------------------------------- */

void
tdo_sad_cpi_join(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->comp == NULL)
		return;
	tdo_htab_insert(
	    &e->sad->by_cpi, &sa->comp->by_cpi, hash_cpi(e, &sa->id.dst, sa->comp->alg));
	atomic_fetch_add_explicit(&e->sad->ncomp, 1, memory_order_relaxed);
}

void
tdo_sad_cpi_leave(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->comp == NULL)
		return;
	tdo_htab_remove(&e->sad->by_cpi, &sa->comp->by_cpi);
	atomic_fetch_sub_explicit(&e->sad->ncomp, 1, memory_order_relaxed);
}
