/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reassembler's memory: who has how much of it, and who loses what he has.
 *
 * A source that reaches its share loses its own oldest datagram.  When all is used up, those
 * lose first that have much, then whoever has waited longest: a whole datagram comes within
 * milliseconds, so what waits long is mostly what never will be whole.
 */
#include "base/addr.h"
#include "base/htab.h"
#include "wire/reass.h"

struct tdo_reass_slab {
	struct tdo_reass_slab *next;
	_Alignas(16) uint8_t mem[];
};

/* ---- rings -------------------------------------------------------------------------------- */

static void
append(struct tdo_reass_ring *anchor, struct tdo_reass_ring *x)
{
	x->prev = anchor->prev;
	x->next = anchor;
	anchor->prev->next = x;
	anchor->prev = x;
}

static void
unlink_ring(struct tdo_reass_ring *x)
{
	x->prev->next = x->next;
	x->next->prev = x->prev;
}

/* ---- objects ------------------------------------------------------------------------------ */

static size_t
slab_size(const struct tdo_reass_stock *s)
{
	return sizeof(struct tdo_reass_slab) + s->per_slab * s->size;
}

/* The first member of every object is a pointer, which links the free ones. */
static void
give(struct tdo_reass_stock *s, void *object)
{
	memcpy(object, &s->free, sizeof(s->free));
	s->free = object;
}

static void
grow(struct tdo_reass *r, struct tdo_reass_stock *s)
{
	struct tdo_reass_slab *slab = r->cfg.mem.alloc(r->cfg.mem.ctx, slab_size(s));

	if (slab == NULL)
		return;
	slab->next = s->slabs;
	s->slabs = slab;
	for (unsigned i = s->per_slab; i-- > 0;)
		give(s, slab->mem + i * s->size);
}

/* Its contents are those of the last owner. */
static void *
take(struct tdo_reass *r, struct tdo_reass_stock *s)
{
	void *object;

	if (s->free == NULL)
		grow(r, s);
	object = s->free;
	if (object == NULL)
		return NULL;
	memcpy(&s->free, object, sizeof(s->free));
	return object;
}

static void
release_stock(struct tdo_reass *r, struct tdo_reass_stock *s)
{
	struct tdo_reass_slab *next;

	for (struct tdo_reass_slab *slab = s->slabs; slab; slab = next) {
		next = slab->next;
		r->cfg.mem.free(r->cfg.mem.ctx, slab, slab_size(s));
	}
	s->slabs = NULL;
	s->free = NULL;
}

void
tdo_reass_release(struct tdo_reass *r)
{
	release_stock(r, &r->blocks);
	release_stock(r, &r->datagrams);
	release_stock(r, &r->sources);
}

/* ---- sources ------------------------------------------------------------------------------ */

/* Somebody with an IPv6 network has all of its addresses. */
static struct tdo_addr
source_addr(const struct tdo_addr *a)
{
	return a->af == TDO_AF_INET6 ? tdo_addr_mask(a, 64) : *a;
}

static struct tdo_reass_source *
source_of(struct tdo_reass *r, const struct tdo_reass_key *key)
{
	struct {
		struct tdo_addr addr;
		uint32_t zero;
		uint64_t way;
	} k = {.addr = source_addr(&key->src), .way = key->way};
	unsigned slot = (unsigned)(tdo_siphash(&r->key, &k, sizeof(k)) % TDO_REASS_TABLE);
	struct tdo_reass_source *s;

	for (s = r->by_source[slot]; s; s = s->chain)
		if (s->way == k.way && tdo_addr_equal(&s->addr, &k.addr))
			return s;
	s = take(r, &r->sources);
	if (s == NULL)
		return NULL;
	*s = (struct tdo_reass_source){
	    .chain = r->by_source[slot], .addr = k.addr, .way = k.way, .slot = slot};
	tdo_reass_ring_init(&s->datagrams);
	r->by_source[slot] = s;
	r->nsources++;
	return s;
}

static void
forget_source(struct tdo_reass *r, struct tdo_reass_source *s)
{
	struct tdo_reass_source **at = &r->by_source[s->slot];

	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	if (s->is_heavy)
		unlink_ring(&s->heavy);
	give(&r->sources, s);
	r->nsources--;
}

static void
weigh(struct tdo_reass *r, struct tdo_reass_source *s)
{
	bool heavy = s->blocks > r->max_blocks / TDO_REASS_HEAVY;

	if (heavy && !s->is_heavy)
		append(&r->heavy, &s->heavy);
	else if (!heavy && s->is_heavy)
		unlink_ring(&s->heavy);
	s->is_heavy = heavy;
}

/* ---- datagrams ---------------------------------------------------------------------------- */

static unsigned
slot_of(const struct tdo_reass *r, const struct tdo_reass_key *key)
{
	return (unsigned)(tdo_siphash(&r->key, key, sizeof(*key)) % TDO_REASS_TABLE);
}

struct tdo_reass_datagram *
tdo_reass_find(struct tdo_reass *r, const struct tdo_reass_key *key)
{
	struct tdo_reass_datagram *d = r->by_key[slot_of(r, key)];

	while (d && memcmp(&d->key, key, sizeof(*key)) != 0)
		d = d->chain;
	return d;
}

static void
free_chain(struct tdo_reass *r, struct tdo_reass_block *b)
{
	struct tdo_reass_block *next;

	for (; b; b = next) {
		next = b->more;
		give(&r->blocks, b);
	}
}

static void
free_blocks(struct tdo_reass *r, struct tdo_reass_datagram *d)
{
	struct tdo_reass_block *next;

	free_chain(r, d->head);
	for (struct tdo_reass_block *b = d->first; b; b = next) {
		next = b->after;
		free_chain(r, b);
	}
	d->head = d->first = d->last = NULL;
	r->nblocks -= d->blocks;
	d->source->blocks -= d->blocks;
	d->blocks = 0;
	weigh(r, d->source);
}

void
tdo_reass_end(struct tdo_reass *r, struct tdo_reass_datagram *d)
{
	struct tdo_reass_datagram **at = &r->by_key[d->slot];

	free_blocks(r, d);
	while (*at != d)
		at = &(*at)->chain;
	*at = d->chain;
	unlink_ring(&d->age);
	unlink_ring(&d->of_source);
	if (--d->source->n == 0)
		forget_source(r, d->source);
	give(&r->datagrams, d);
	r->ndatagrams--;
}

void
tdo_reass_spoil(struct tdo_reass *r, struct tdo_reass_datagram *d, enum tdo_reason why)
{
	tdo_reass_lost(r, why, d->nfrags);
	free_blocks(r, d);
	d->nfrags = 0;
	d->spoilt = true;
}

/* ---- who loses ---------------------------------------------------------------------------- */

static bool
evict(struct tdo_reass *r, struct tdo_reass_datagram *d)
{
	tdo_reass_lost(r, TDO_REASON_REASS_EVICTED, d->nfrags);
	tdo_reass_end(r, d);
	return true;
}

/* The oldest one of s but keep; false: there is none. */
static bool
evict_of(struct tdo_reass *r, struct tdo_reass_source *s, const struct tdo_reass_datagram *keep)
{
	struct tdo_reass_ring *x = s->datagrams.next;

	if (x == &keep->of_source)
		x = x->next;
	if (x == &s->datagrams)
		return false;
	return evict(r, TDO_CONTAINER_OF(x, struct tdo_reass_datagram, of_source));
}

/* One that is not keep: of somebody with much, else the oldest of all. */
static bool
evict_any(struct tdo_reass *r, const struct tdo_reass_datagram *keep)
{
	struct tdo_reass_ring *x = r->heavy.next;

	for (; x != &r->heavy; x = x->next)
		if (evict_of(r, TDO_CONTAINER_OF(x, struct tdo_reass_source, heavy), keep))
			return true;
	x = r->age.next;
	if (x == &keep->age)
		x = x->next;
	if (x == &r->age)
		return false;
	return evict(r, TDO_CONTAINER_OF(x, struct tdo_reass_datagram, age));
}

enum tdo_reason
tdo_reass_reserve(struct tdo_reass *r, struct tdo_reass_datagram *d, unsigned n)
{
	struct tdo_reass_source *s = d->source;

	while (s->blocks + n > r->max_blocks / TDO_REASS_SHARE)
		if (!evict_of(r, s, d))
			return TDO_REASON_REASS_SHARE;
	while (r->nblocks + n > r->max_blocks)
		if (!evict_any(r, d))
			return TDO_REASON_REASS_SHARE;
	return TDO_REASON_NONE;
}

struct tdo_reass_datagram *
tdo_reass_begin(struct tdo_reass *r, const struct tdo_reass_key *key, tdo_ns now)
{
	struct tdo_reass_source *s = source_of(r, key);
	struct tdo_reass_datagram *d = s ? take(r, &r->datagrams) : NULL;
	unsigned slot = slot_of(r, key);

	if (d == NULL) {
		if (s && s->n == 0)
			forget_source(r, s);
		return NULL;
	}
	*d = (struct tdo_reass_datagram){
	    .chain = r->by_key[slot], .key = *key, .source = s, .when = now, .slot = slot};
	r->by_key[slot] = d;
	append(&r->age, &d->age);
	append(&s->datagrams, &d->of_source);
	s->n++;
	r->ndatagrams++;
	while (s->n > r->lim.datagrams / TDO_REASS_SHARE && evict_of(r, s, d))
		;
	while (r->ndatagrams > r->lim.datagrams && evict_any(r, d))
		;
	return d;
}

/* ---- bytes -------------------------------------------------------------------------------- */

struct tdo_reass_block *
tdo_reass_store(struct tdo_reass *r, struct tdo_reass_datagram *d, const uint8_t *p, uint32_t len)
{
	struct tdo_reass_block *first = NULL, **at = &first;

	for (uint32_t n; len > 0; p += n, len -= n) {
		struct tdo_reass_block *b = take(r, &r->blocks);

		if (b == NULL) {
			free_chain(r, first);
			return NULL;
		}
		n = len < TDO_REASS_ROOM ? len : (uint32_t)TDO_REASS_ROOM;
		b->more = b->after = NULL;
		memcpy(b->data, p, n);
		*at = b;
		at = &b->more;
	}
	for (const struct tdo_reass_block *b = first; b; b = b->more) {
		d->blocks++;
		d->source->blocks++;
		r->nblocks++;
	}
	weigh(r, d->source);
	return first;
}

void
tdo_reass_load(const struct tdo_reass_block *b, uint8_t *p, uint32_t len)
{
	for (uint32_t n; len > 0; p += n, len -= n, b = b->more) {
		n = len < TDO_REASS_ROOM ? len : (uint32_t)TDO_REASS_ROOM;
		memcpy(p, b->data, n);
	}
}
