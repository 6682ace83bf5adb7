/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-worker flow cache: what was decided for a flow, and which SA an SPI names.  What is found, as
 * nearly always, is found without a call; the rest is in flow_cache.c.
 *
 * An entry holds borrowed pointers to a policy and to SAs.  They are valid because an entry is used
 * only while the engine's generation is the one under which it was filled: the control thread
 * changes the generation after it unpublished a thing and before it retires it, so a worker that
 * still finds the old generation has not passed a quiescent state since.  A worker looks at it
 * once, before anything else that a burst looks up: so nothing that is older than an entry's
 * version can get into the entry.
 */
#ifndef TDO_ENGINE_FLOW_CACHE_H
#define TDO_ENGINE_FLOW_CACHE_H

#include <string.h>

#include "base/addr.h"
#include "engine/engine.h"

/* What was decided for a flow; constant as long as SAD, SPD and knobs are. */
struct tdo_decision {
	const struct tdo_sp *sp; /* NULL: no policy matches */
	uint8_t verdict;         /* out: enum tdo_verdict */
	uint8_t nsas;            /* as in struct tdo_pkt; in: the history that was checked ... */
	uint8_t tunnelled;
	bool checked;   /* ... if this is set, with this outcome: */
	bool use_no_sa; /* out: PASS because a request of level use found no SA */
	bool uncertain; /* in: see struct tdo_spd_hit */
	uint16_t reason;
	const struct tdo_sa *sas[TDO_HIST_MAX];
};

/* Two cache lines; a packet with one SA reads little of the second. */
struct tdo_flow_entry {
	uint64_t version; /* 0: empty */
	uint8_t src[16], dst[16];
	uint64_t upper;
	struct tdo_decision d;
};

enum { TDO_FLOW_WAYS = 4, TDO_FLOW_GUESS_BITS = 14, TDO_FLOW_SPIS = 1024 };

struct tdo_flow_cache {
	uint64_t version;    /* counts the generations seen: cannot wrap, as theirs could */
	uint32_t generation; /* the last one seen */
	uint32_t victim;     /* way that is replaced next where all four are in use */
	uint32_t sets;       /* a power of two */
	size_t size;         /* of this object */
	uint16_t (*tag)[TDO_FLOW_WAYS]; /* of each set's entries; behind them */
	uint16_t
	    guess[1 << TDO_FLOW_GUESS_BITS]; /* where such a flow was: an index of all entries */
	struct {
		uint64_t version;
		struct tdo_sa *sa;
	} by_spi[TDO_FLOW_SPIS];
	_Alignas(64) struct tdo_flow_entry entry[]; /* set by set */
};

/* To be called before anything is looked up for the packets of a burst. */
static inline void
tdo_flow_cache_begin(struct tdo_worker *w)
{
	struct tdo_flow_cache *c = w->cache;
	uint32_t g = atomic_load_explicit(&w->engine->generation, memory_order_acquire);

	if (g != c->generation) {
		c->generation = g;
		c->version++;
	}
}

/* ---- flows ---------------------------------------------------------------------------- */

/* What is looked for. */
struct tdo_flow_aim {
	uint64_t upper;                /* all of the flow but its addresses, and the direction */
	struct tdo_flow_entry *likely; /* where it may be */
};

/*
 * Aims at the flows of n parsed packets, so that their lookups do not wait for memory one after
 * the other.  To be called when all of them are parsed: addresses that were just stored in
 * parts are slow to load as a whole.
 */
void tdo_flow_cache_aim(struct tdo_worker *w, uint8_t dir, struct tdo_pkt *const *p, unsigned n,
    struct tdo_flow_aim *ret);
/* tdo_flow_cache_find() of what is not where it was looked for. */
bool tdo_flow_cache_search(struct tdo_worker *w, const struct tdo_flow *f,
    const struct tdo_flow_aim *a, struct tdo_decision **ret);
/* Empties the slot of a decision that is for one packet only. */
void tdo_flow_cache_forget(struct tdo_decision *d);

static inline uint64_t
tdo_flow_word(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline bool
tdo_flow_is_at(const struct tdo_flow_entry *e, const struct tdo_flow *f,
    const struct tdo_flow_aim *a, uint64_t version)
{
	uint64_t d;

	/* What differs mostly differs here. */
	if (e->version != version || tdo_flow_word(e->dst) != tdo_flow_word(f->dst.b))
		return false;
	d = e->upper ^ a->upper;
	d |= tdo_flow_word(e->src) ^ tdo_flow_word(f->src.b);
	d |= tdo_flow_word(e->src + 8) ^ tdo_flow_word(f->src.b + 8);
	d |= tdo_flow_word(e->dst + 8) ^ tdo_flow_word(f->dst.b + 8);
	return d == 0;
}

/*
 * The worker's slot for a flow that was aimed at: true when it holds the decision; false: the slot
 * is empty and belongs to the flow as soon as the caller has filled it, before the next lookup.
 */
static inline bool
tdo_flow_cache_find(struct tdo_worker *w, const struct tdo_flow *f, const struct tdo_flow_aim *a,
    struct tdo_decision **ret)
{
	*ret = &a->likely->d;
	return tdo_flow_is_at(a->likely, f, a, w->cache->version) ||
	       tdo_flow_cache_search(w, f, a, ret);
}

/* ---- SAs ------------------------------------------------------------------------------ */

/* tdo_sa_cache_find() of what is not in the table. */
struct tdo_sa *tdo_sa_cache_search(
    struct tdo_worker *w, const struct tdo_addr *dst, uint32_t spi, uint8_t proto);

/* The receiver picks SPIs, often in a row. */
static inline unsigned
tdo_sa_cache_slot(uint32_t spi)
{
	return (spi ^ spi >> 10) % TDO_FLOW_SPIS;
}

static inline bool
tdo_sa_is(const struct tdo_sa *sa, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	return sa->id.spi == spi && sa->id.proto == proto && tdo_addr_equal(&sa->id.dst, dst);
}

/*
 * tdo_sad_find_in() by way of a small table of the worker, which costs no keyed hash.  Who
 * chooses SPIs to collide in it makes himself wait for the SAD, nothing else.
 */
static inline struct tdo_sa *
tdo_sa_cache_find(struct tdo_worker *w, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	const struct tdo_flow_cache *c = w->cache;
	unsigned i = tdo_sa_cache_slot(spi);

	if (c->by_spi[i].version == c->version && tdo_sa_is(c->by_spi[i].sa, dst, spi, proto))
		return c->by_spi[i].sa;
	return tdo_sa_cache_search(w, dst, spi, proto);
}

#endif
