/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-worker flow cache: what was decided for a flow, in sets of four entries.
 *
 * Tags of 16 bits, the four of a set side by side, tell which entry to look at, so a lookup
 * touches one line of tags and one entry.
 *
 * An entry holds borrowed pointers to a policy and to SAs.  They are valid because an entry is
 * used only while the engine's generation is the one under which it was filled: the control
 * thread changes the generation after it unpublished a thing and before it retires it, so a
 * worker that still finds the old generation has not passed a quiescent state since.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/control.h"
#include "engine/path.h"

/* Powers of two.  net.key.spdcache.maxentries is SETS * WAYS. */
enum { SETS = 1024, WAYS = 4, SPIS = 1024 };

/* Two cache lines; a packet with one SA reads little of the second. */
struct entry {
	uint64_t version; /* 0: empty */
	struct tdo_flow_key key;
	struct tdo_decision d;
};

struct tdo_flow_cache {
	uint64_t version;    /* counts the generations seen: cannot wrap, as theirs could */
	uint32_t generation; /* the last one seen */
	uint32_t victim;     /* way that is replaced next where all four are in use */
	struct entry *last;  /* of the last lookup */
	uint16_t tag[SETS][WAYS];
	struct {
		uint64_t version;
		struct tdo_sa *sa;
	} by_spi[SPIS];
	_Alignas(64) struct entry entry[SETS][WAYS];
};

int
tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret)
{
	struct tdo_flow_cache *c = tdo_line_alloc(&e->cfg.mem, sizeof(*c));

	_Static_assert(sizeof(struct entry) % 64 == 0, "whole cache lines");
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

static struct tdo_flow_key
make_key(uint8_t dir, const struct tdo_flow *f)
{
	struct tdo_flow_key k;
	uint64_t ports = f->has_ports ? (uint64_t)f->sport << 16 | f->dport : 0;

	memcpy(&k.w[0], f->src.b, 16);
	memcpy(&k.w[2], f->dst.b, 16);
	k.w[4] = ports << 32 | (uint64_t)dir << 24 | (uint64_t)f->proto << 16 |
		 (uint64_t)(f->src.af & 0xf) << 2 | (uint64_t)f->has_ports << 1 | f->opaque;
	return k;
}

static bool
key_equal(const struct tdo_flow_key *a, const struct tdo_flow_key *b)
{
	uint64_t d = 0;

	for (unsigned i = 0; i < 5; i++)
		d |= a->w[i] ^ b->w[i];
	return d == 0;
}

/*
 * A keyed multilinear hash, whose products do not wait for each other: the most that an
 * outsider who guessed the key could do is to evict entries.  IPv4 has nothing in the second
 * half of an address.
 */
static uint64_t
hash_of(const struct tdo_hash_key *secret, uint8_t af, const struct tdo_flow_key *k)
{
	uint64_t s = secret->k[0], h = secret->k[1];

	h += (k->w[0] ^ s) * 0x9e3779b97f4a7c15u;
	h += (k->w[2] ^ s) * 0x94d049bb133111ebu;
	h += (k->w[4] ^ s) * 0xff51afd7ed558ccdu;
	if (af == TDO_AF_INET6) {
		h += (k->w[1] ^ s) * 0xbf58476d1ce4e5b9u;
		h += (k->w[3] ^ s) * 0xd6e8feb86659fd93u;
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

/* Which of the four tags of a set is this one, by the lowest bit of each lane of the result. */
static uint64_t
lanes_equal(const struct tdo_flow_cache *c, unsigned set, uint16_t tag)
{
	const uint64_t ones = 0x0001000100010001u;
	uint64_t x;

	_Static_assert(WAYS == 4, "four tags of 16 bits in a word");
	memcpy(&x, c->tag[set], sizeof(x));
	x ^= ones * tag;
	/* A lane is zero where nothing of it is left after folding it onto its lowest bit. */
	x |= x >> 8 & 0x00ff00ff00ff00ffu;
	x |= x >> 4 & 0x000f000f000f000fu;
	x |= x >> 2 & 0x0003000300030003u;
	x |= x >> 1 & ones;
	return ~x & ones;
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
static struct entry *
victim_of(struct tdo_flow_cache *c, unsigned set, uint64_t same_tag)
{
	if (same_tag)
		return &c->entry[set][first_way(same_tag)];
	for (unsigned i = 0; i < WAYS; i++)
		if (c->entry[set][i].version != c->version)
			return &c->entry[set][i];
	return &c->entry[set][c->victim++ % WAYS];
}

/* The entry that has the key, or one that may be overwritten. */
static struct entry *
find_entry(struct tdo_flow_cache *c, const struct tdo_flow_aim *a, bool *ret_hit)
{
	unsigned set = (unsigned)(a->hash % SETS);
	uint64_t same_tag = lanes_equal(c, set, tag_of(a->hash));
	struct entry *e;

	*ret_hit = true;
	for (uint64_t left = same_tag; left; left &= left - 1) {
		e = &c->entry[set][first_way(left)];
		if (e->version == c->version && key_equal(&e->key, &a->key))
			return e;
	}
	*ret_hit = false;
	e = victim_of(c, set, same_tag);
	c->tag[set][e - c->entry[set]] = tag_of(a->hash);
	return e;
}

/* Starts to load the entries that may be the flow's. */
static void
fetch(const struct tdo_flow_cache *c, const struct tdo_flow_aim *a)
{
	unsigned set = (unsigned)(a->hash % SETS);

	uint64_t lanes = lanes_equal(c, set, tag_of(a->hash));

	for (; lanes; lanes &= lanes - 1) {
		const struct entry *e = &c->entry[set][first_way(lanes)];

		__builtin_prefetch(e);
		__builtin_prefetch(e->d.sas);
	}
}

void
tdo_flow_cache_aim(const struct tdo_worker *w, uint8_t dir, struct tdo_pkt *const *p, unsigned n,
    struct tdo_flow_aim *ret)
{
	const struct tdo_flow_cache *c = w->cache;
	unsigned different = 0;

	for (unsigned i = 0; i < n; i++) {
		ret[i].key = make_key(dir, &p[i]->ip.flow);
		/* Packets of a flow come in rows. */
		ret[i].same = i > 0 && key_equal(&ret[i - 1].key, &ret[i].key);
		if (ret[i].same) {
			ret[i].hash = ret[i - 1].hash;
			continue;
		}
		ret[i].hash = hash_of(&w->engine->hash_key, p[i]->ip.flow.src.af, &ret[i].key);
		__builtin_prefetch(c->tag[ret[i].hash % SETS]);
		different++;
	}
	for (unsigned i = 0; different > 1 && i < n; i++)
		if (!ret[i].same)
			fetch(c, &ret[i]);
}

bool
tdo_flow_cache_find(struct tdo_worker *w, const struct tdo_flow_aim *a, struct tdo_decision **ret)
{
	struct tdo_flow_cache *c = w->cache;
	uint64_t version = version_now(w);
	struct entry *e = c->last;
	bool hit = a->same && e->version == version;

	tdo_worker_stat(w, TDO_STAT_SPD_CACHE_LOOKUP, 1);
	if (!hit)
		e = find_entry(c, a, &hit);
	if (!hit) {
		tdo_worker_stat(w, TDO_STAT_SPD_CACHE_MISS, 1);
		e->version = version;
		e->key = a->key;
		e->d = (struct tdo_decision){0};
	}
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
