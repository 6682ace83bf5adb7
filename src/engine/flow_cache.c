/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-worker flow cache: what was decided for a flow, direct-mapped.
 *
 * An entry holds borrowed pointers to a policy and to SAs.  They are valid because an entry is
 * used only while the engine's generation is the one under which it was filled: the control
 * thread changes the generation after it unpublished a thing and before it retires it, so a
 * worker that still finds the old generation has not passed a quiescent state since.
 */
#include <errno.h>
#include <string.h>

#include "engine/path.h"

enum { ENTRIES = 1024 };

struct entry {
	uint64_t version; /* 0: empty */
	struct tdo_flow_key key;
	struct tdo_decision d;
};

struct tdo_flow_cache {
	uint64_t version;    /* counts the generations seen: cannot wrap, as theirs could */
	uint32_t generation; /* the last one seen */
	struct entry *last;  /* of the last lookup */
	struct entry entry[ENTRIES];
};

int
tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret)
{
	struct tdo_flow_cache *c = e->cfg.mem.alloc(e->cfg.mem.ctx, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->version = 1;
	c->last = &c->entry[0];
	*ret = c;
	return 0;
}

void
tdo_flow_cache_free(struct tdo_engine *e, struct tdo_flow_cache *c)
{
	if (c)
		e->cfg.mem.free(e->cfg.mem.ctx, c, sizeof(*c));
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
 * A keyed multiplicative hash: in a direct-mapped table the most that an outsider who
 * guessed the key could do is to evict entries.
 */
static unsigned
slot_of(const struct tdo_hash_key *secret, const struct tdo_flow_key *k)
{
	uint64_t h = secret->k[0];

	for (unsigned i = 0; i < 5; i++) {
		h = (h ^ k->w[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return (unsigned)((h ^ secret->k[1]) % ENTRIES);
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

bool
tdo_flow_cache_find(
    struct tdo_worker *w, uint8_t dir, const struct tdo_flow *f, struct tdo_decision **ret)
{
	struct tdo_flow_cache *c = w->cache;
	struct tdo_flow_key key = make_key(dir, f);
	uint64_t version = version_now(w);
	struct entry *e = c->last;
	bool hit;

	tdo_worker_stat(w, TDO_STAT_SPD_CACHE_LOOKUP, 1);
	/* Packets of a flow come in rows. */
	hit = e->version == version && key_equal(&e->key, &key);
	if (!hit) {
		e = &c->entry[slot_of(&w->engine->hash_key, &key)];
		hit = e->version == version && key_equal(&e->key, &key);
	}
	if (!hit) {
		tdo_worker_stat(w, TDO_STAT_SPD_CACHE_MISS, 1);
		e->version = version;
		e->key = key;
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
