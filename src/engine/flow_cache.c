/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow cache (flow_cache.h): decisions in sets of four entries.
 *
 * Where the last flow with some bits of a cheap hash was tells which entry to look at first.  If
 * the flow is not there, tags of 16 bits of a keyed one, the four of a set side by side, tell.
 */
#include <errno.h>

#include "engine/control.h"
#include "engine/flow_cache.h"

enum {
	WAYS = TDO_FLOW_WAYS,
	FLOWS_MIN = 64,
	FLOWS_MAX = 65536, /* what an index of 16 bits can name */
};

bool
tdo_flow_cache_size_ok(unsigned flows)
{
	return flows == 0 ||
	       (flows >= FLOWS_MIN && flows <= FLOWS_MAX && (flows & (flows - 1)) == 0);
}

int
tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret)
{
	unsigned flows = (unsigned)tdo_knob(e, TDO_KNOB_SPDCACHE_MAXENTRIES, TDO_AF_INET);
	size_t entries = flows * sizeof(struct tdo_flow_entry), size;
	struct tdo_flow_cache *c;

	_Static_assert(sizeof(struct tdo_flow_entry) % 64 == 0, "whole cache lines");
	size = sizeof(*c) + entries + flows * sizeof(c->tag[0][0]);
	c = tdo_line_alloc(&e->cfg.mem, size);
	if (!c)
		return -ENOMEM;
	c->version = 1;
	c->size = size;
	c->sets = flows / WAYS;
	c->tag = (uint16_t(*)[WAYS])(void *)((uint8_t *)c->entry + entries);
	*ret = c;
	return 0;
}

void
tdo_flow_cache_free(struct tdo_engine *e, struct tdo_flow_cache *c)
{
	if (c)
		tdo_line_free(&e->cfg.mem, c, c->size);
}

/* ---- aiming --------------------------------------------------------------------------- */

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

/*
 * Where to look first.  It has no key: who makes flows that look at one place makes them take the
 * way by the tags.  IPv4 has nothing in the second half of an address.
 */
static inline unsigned
guess_of(const struct tdo_flow *f, uint64_t upper)
{
	uint64_t src = tdo_flow_word(f->src.b), dst = tdo_flow_word(f->dst.b), h;

	h = (src ^ (dst << 32 | dst >> 32)) * 0x9e3779b97f4a7c15u + upper * 0xff51afd7ed558ccdu;
	if (f->src.af == TDO_AF_INET6)
		h += tdo_flow_word(f->src.b + 8) * 0xbf58476d1ce4e5b9u +
		     tdo_flow_word(f->dst.b + 8) * 0xd6e8feb86659fd93u;
	return (unsigned)(h >> (64 - TDO_FLOW_GUESS_BITS));
}

void
tdo_flow_cache_aim(struct tdo_worker *w, uint8_t dir, struct tdo_pkt *const *p, unsigned n,
    struct tdo_flow_aim *ret)
{
	struct tdo_flow_cache *c = w->cache;

	tdo_worker_stat(w, TDO_STAT_SPD_CACHE_LOOKUP, n);
	for (unsigned i = 0; i < n; i++) {
		const struct tdo_flow *f = &p[i]->ip.flow;
		uint64_t upper = upper_of(f, dir);
		struct tdo_flow_entry *e = c->entry + c->guess[guess_of(f, upper)];

		__builtin_prefetch(e);
		__builtin_prefetch(e->d.sas);
		ret[i] = (struct tdo_flow_aim){.upper = upper, .likely = e};
	}
}

/* ---- searching ------------------------------------------------------------------------ */

/*
 * A keyed multilinear hash, whose products do not wait for each other: the most that an
 * outsider who guessed the key could do is to evict entries.
 */
static uint64_t
hash_of(const struct tdo_hash_key *secret, const struct tdo_flow *f, uint64_t upper)
{
	uint64_t s = secret->k[0], h = secret->k[1];

	h += (tdo_flow_word(f->src.b) ^ s) * 0x9e3779b97f4a7c15u;
	h += (tdo_flow_word(f->dst.b) ^ s) * 0x94d049bb133111ebu;
	h += (upper ^ s) * 0xff51afd7ed558ccdu;
	h += (tdo_flow_word(f->src.b + 8) ^ s) * 0xbf58476d1ce4e5b9u;
	h += (tdo_flow_word(f->dst.b + 8) ^ s) * 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
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

/* The way of a set's entries e that may be overwritten. */
static unsigned
victim_of(struct tdo_flow_cache *c, const struct tdo_flow_entry *e, uint64_t same_tag)
{
	if (same_tag)
		return first_way(same_tag);
	for (unsigned i = 0; i < WAYS; i++)
		if (e[i].version != c->version)
			return i;
	return c->victim++ % WAYS;
}

/* The flow's entry by its hash; true: it holds the decision, false: it is empty. */
static bool
by_hash(struct tdo_worker *w, const struct tdo_flow *f, const struct tdo_flow_aim *a,
    struct tdo_flow_entry **ret)
{
	struct tdo_flow_cache *c = w->cache;
	uint64_t hash = hash_of(&w->engine->hash_key, f, a->upper);
	unsigned set = (unsigned)hash & (c->sets - 1), way;
	uint64_t same_tag = lanes_equal(c, set, tag_of(hash));
	struct tdo_flow_entry *e = c->entry + (size_t)set * WAYS;

	for (uint64_t left = same_tag; left; left &= left - 1) {
		*ret = e + first_way(left);
		if (tdo_flow_is_at(*ret, f, a, c->version))
			return true;
	}
	way = victim_of(c, e, same_tag);
	c->tag[set][way] = tag_of(hash);
	*ret = e = e + way;
	e->version = c->version;
	memcpy(e->src, f->src.b, sizeof(e->src));
	memcpy(e->dst, f->dst.b, sizeof(e->dst));
	e->upper = a->upper;
	e->d = (struct tdo_decision){0};
	return false;
}

bool
tdo_flow_cache_search(struct tdo_worker *w, const struct tdo_flow *f, const struct tdo_flow_aim *a,
    struct tdo_decision **ret)
{
	struct tdo_flow_cache *c = w->cache;
	struct tdo_flow_entry *e;
	bool hit = by_hash(w, f, a, &e);

	if (!hit)
		tdo_worker_stat(w, TDO_STAT_SPD_CACHE_MISS, 1);
	c->guess[guess_of(f, a->upper)] = (uint16_t)(e - c->entry);
	*ret = &e->d;
	return hit;
}

void
tdo_flow_cache_forget(struct tdo_decision *d)
{
	struct tdo_flow_entry *e =
	    (struct tdo_flow_entry *)((char *)d - offsetof(struct tdo_flow_entry, d));

	e->version = 0;
}

struct tdo_sa *
tdo_sa_cache_search(struct tdo_worker *w, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct tdo_flow_cache *c = w->cache;
	struct tdo_sa *sa = tdo_sad_find_in(w->engine, dst, spi, proto);
	unsigned i = tdo_sa_cache_slot(spi);

	if (sa) {
		c->by_spi[i].version = c->version;
		c->by_spi[i].sa = sa;
	}
	return sa;
}
