/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-worker flow cache: what was decided for a flow, in sets of four entries.
 *
 * Where the last flow with some bits of its hash was tells which entry to look at first.  If the
 * flow is not there, tags of 16 bits, the four of a set side by side, tell.
 *
 * An entry holds borrowed pointers to a policy and to SAs.  They are valid because an entry is
 * used only while the engine's generation is the one under which it was filled: the control
 * thread changes the generation after it unpublished a thing and before it retires it, so a
 * worker that still finds the old generation has not passed a quiescent state since.  It looks
 * once for the lookups of a burst, within which there is none.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/control.h"
#include "engine/path.h"

/* Powers of two.  net.key.spdcache.maxentries is SETS * WAYS. */
enum { SETS = 1024, WAYS = 4, SPIS = 1024, GUESSES = 4096 };

/* Two cache lines; a packet with one SA reads little of the second. */
struct tdo_flow_entry {
	uint64_t version; /* 0: empty */
	uint8_t src[16], dst[16];
	uint64_t upper;
	struct tdo_decision d;
};

struct tdo_flow_cache {
	uint64_t version;            /* counts the generations seen: cannot wrap, as theirs could */
	uint32_t generation;         /* the last one seen */
	uint32_t victim;             /* way that is replaced next where all four are in use */
	struct tdo_flow_entry *last; /* of the last lookup */
	uint16_t guess[GUESSES];     /* by hash: an index of all entries */
	uint16_t tag[SETS][WAYS];
	struct {
		uint64_t version;
		struct tdo_sa *sa;
	} by_spi[SPIS];
	_Alignas(64) struct tdo_flow_entry entry[SETS][WAYS];
};

int
tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret)
{
	struct tdo_flow_cache *c = tdo_line_alloc(&e->cfg.mem, sizeof(*c));

	_Static_assert(sizeof(struct tdo_flow_entry) % 64 == 0, "whole cache lines");
	if (!c)
		return -ENOMEM;
	c->version = 1;
	c->last = &c->entry[0][0];
	*ret = c;
	return 0;
}

void
tdo_flow_cache_free(struct tdo_engine *e, struct tdo_flow_cache *c)
{
	tdo_line_free(&e->cfg.mem, c, sizeof(*c));
}

/* A flow is its two addresses and this; families are told apart by it as well. */
static inline uint64_t
upper_of(const struct tdo_flow *f, uint8_t dir)
{
	uint64_t x, mark = (uint64_t)dir << 4 | (f->src.af & 0xf);

	_Static_assert(offsetof(struct tdo_flow, proto) + sizeof(x) == sizeof(*f), "one word");
	_Static_assert(offsetof(struct tdo_flow, pad) == offsetof(struct tdo_flow, proto) + 3,
	    "the mark takes the place of the padding");
	memcpy(&x, (const char *)f + offsetof(struct tdo_flow, proto), sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return x | mark << 32;
#else
	return x | mark << 24;
#endif
}

static inline uint64_t
word(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline bool
addresses_equal(const uint8_t *src, const uint8_t *dst, const struct tdo_flow *f)
{
	uint64_t d;

	/* What differs mostly differs here. */
	if (word(dst) != word(f->dst.b))
		return false;
	d = word(src) ^ word(f->src.b);
	d |= word(src + 8) ^ word(f->src.b + 8);
	d |= word(dst + 8) ^ word(f->dst.b + 8);
	return d == 0;
}

static inline bool
is_of(const struct tdo_flow_entry *e, const struct tdo_flow_aim *a, uint64_t version)
{
	return e->version == version && e->upper == a->upper &&
	       addresses_equal(e->src, e->dst, a->flow);
}

/*
 * A keyed multilinear hash, whose products do not wait for each other: the most that an
 * outsider who guessed the key could do is to evict entries.  IPv4 has nothing in the second
 * half of an address.
 */
static inline uint64_t
hash_of(const struct tdo_hash_key *secret, const struct tdo_flow *f, uint64_t upper)
{
	uint64_t s = secret->k[0], h = secret->k[1];

	h += (word(f->src.b) ^ s) * 0x9e3779b97f4a7c15u;
	h += (word(f->dst.b) ^ s) * 0x94d049bb133111ebu;
	h += (upper ^ s) * 0xff51afd7ed558ccdu;
	if (f->src.af == TDO_AF_INET6) {
		h += (word(f->src.b + 8) ^ s) * 0xbf58476d1ce4e5b9u;
		h += (word(f->dst.b + 8) ^ s) * 0xd6e8feb86659fd93u;
	}
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

/* The version that belongs to the present generation; read before anything is looked up. */
static uint64_t
version_now(struct tdo_worker *w)
{
	struct tdo_flow_cache *c = w->cache;
	uint32_t g = atomic_load_explicit(&w->engine->generation, memory_order_acquire);

	if (g != c->generation) {
		c->generation = g;
		c->version++;
	}
	return c->version;
}

static uint16_t
tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> 48);
}

/*
 * Which of the four tags of a set is this one, by the highest bit of each lane of the result. Above
 * a lane that is, there may be one said to be that is not: keys are compared anyhow.
 */
static inline uint64_t
lanes_equal(const struct tdo_flow_cache *c, unsigned set, uint16_t tag)
{
	const uint64_t ones = 0x0001000100010001u;
	uint64_t x;

	_Static_assert(WAYS == 4, "four tags of 16 bits in a word");
	memcpy(&x, c->tag[set], sizeof(x));
	x ^= ones * tag;
	return (x - ones) & ~x & ones << 15;
}

/* The way of a lowest bit in a host of this byte order; the order of ways means nothing. */
static unsigned
first_way(uint64_t lanes)
{
	unsigned lane = (unsigned)__builtin_ctzll(lanes) / 16;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	lane = WAYS - 1 - lane;
#endif
	return lane;
}

/* One of the set that may be overwritten. */
static struct tdo_flow_entry *
victim_of(struct tdo_flow_cache *c, unsigned set, uint64_t same_tag)
{
	if (same_tag)
		return &c->entry[set][first_way(same_tag)];
	for (unsigned i = 0; i < WAYS; i++)
		if (c->entry[set][i].version != c->version)
			return &c->entry[set][i];
	return &c->entry[set][c->victim++ % WAYS];
}

/*
 * An entry for a flow that is not where it was looked for, if it is anywhere: a further one with
 * its tag, or one filled by a packet in front of it.
 */
static bool
search(struct tdo_worker *w, const struct tdo_flow_aim *a, struct tdo_flow_entry **ret)
{
	struct tdo_flow_cache *c = w->cache;
	unsigned set = (unsigned)(a->hash % SETS);
	uint64_t same_tag = lanes_equal(c, set, tag_of(a->hash));
	struct tdo_flow_entry *e;

	for (uint64_t left = same_tag; left; left &= left - 1) {
		*ret = &c->entry[set][first_way(left)];
		if (is_of(*ret, a, c->version))
			return true;
	}
	tdo_worker_stat(w, TDO_STAT_SPD_CACHE_MISS, 1);
	w->cache_refilled = true;
	*ret = e = victim_of(c, set, same_tag);
	c->tag[set][e - c->entry[set]] = tag_of(a->hash);
	e->version = c->version;
	memcpy(e->src, a->flow->src.b, sizeof(e->src));
	memcpy(e->dst, a->flow->dst.b, sizeof(e->dst));
	e->upper = a->upper;
	e->d = (struct tdo_decision){0};
	return false;
}

/* Starts to load the entry that may be the flow's. */
static inline struct tdo_flow_entry *
fetch(struct tdo_flow_cache *c, uint64_t hash)
{
	struct tdo_flow_entry *e = &c->entry[0][0] + c->guess[hash % GUESSES];

	__builtin_prefetch(e);
	__builtin_prefetch(e->d.sas);
	return e;
}

void
tdo_flow_cache_aim(struct tdo_worker *w, uint8_t dir, struct tdo_pkt *const *p, unsigned n,
    struct tdo_flow_aim *ret)
{
	struct tdo_flow_cache *c = w->cache;

	(void)version_now(w);
	w->cache_refilled = false;
	tdo_worker_stat(w, TDO_STAT_SPD_CACHE_LOOKUP, n);
	for (unsigned i = 0; i < n; i++) {
		const struct tdo_flow *f = &p[i]->ip.flow;
		struct tdo_flow_aim *a = &ret[i];

		a->flow = f;
		a->upper = upper_of(f, dir);
		/* Packets of a flow come in rows. */
		a->same = i > 0 && a[-1].upper == a->upper &&
			  addresses_equal(a[-1].flow->src.b, a[-1].flow->dst.b, f);
		a->hash = a->same ? a[-1].hash : hash_of(&w->engine->hash_key, f, a->upper);
		a->likely = a->same ? a[-1].likely : fetch(c, a->hash);
	}
	for (struct tdo_flow_aim *a = ret; a < ret + n; a++)
		a->known = a->same                           ? a[-1].known
			   : is_of(a->likely, a, c->version) ? &a->likely->d
							     : NULL;
}

bool
tdo_flow_cache_search(struct tdo_worker *w, const struct tdo_flow_aim *a, struct tdo_decision **ret)
{
	struct tdo_flow_cache *c = w->cache;
	struct tdo_flow_entry *e = a->same ? c->last : a->likely;
	bool hit = a->same ? e->version == c->version : is_of(e, a, c->version);

	if (!hit)
		hit = search(w, a, &e);
	c->guess[a->hash % GUESSES] = (uint16_t)(e - &c->entry[0][0]);
	c->last = e;
	*ret = &e->d;
	return hit;
}

void
tdo_flow_cache_forget(struct tdo_worker *w)
{
	w->cache->last->version = 0;
}

struct tdo_sa *
tdo_sa_cache_find(struct tdo_worker *w, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct tdo_flow_cache *c = w->cache;
	unsigned i = (spi ^ spi >> 10) % SPIS; /* the receiver picks SPIs, often in a row */
	struct tdo_sa *sa = c->by_spi[i].sa;

	if (c->by_spi[i].version == version_now(w) && sa->id.spi == spi && sa->id.proto == proto &&
	    tdo_addr_equal(&sa->id.dst, dst))
		return sa;
	sa = tdo_sad_find_in(w->engine, dst, spi, proto);
	if (sa) {
		c->by_spi[i].version = c->version;
		c->by_spi[i].sa = sa;
	}
	return sa;
}
