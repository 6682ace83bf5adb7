/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that outlives the data process. */
#include "daemon/state.h"

#include <errno.h>
#include <string.h>

#include "base/ct.h"

#define STATE_MAGIC   0x7465737475646f31u /* "testudo1" */
#define STATE_VERSION 1u
#define HDR_SIZE      4096u
#define PROBES        32u
#define SLOTS_MAX     (1u << 21)

struct tdo_state_hdr {
	uint64_t magic;
	uint32_t version;
	uint32_t nslots; /* a power of two */
	uint64_t size, half_size;
	struct tdo_hash_key key;
	_Atomic uint32_t active; /* half that counts */
	uint32_t gen;            /* of the last sweep that ended */
	_Atomic uint64_t used[2];
	_Atomic uint32_t taken; /* slots that were ever taken since the last sweep */
	_Atomic uint32_t marks; /* enum tdo_state_mark */
};
_Static_assert(sizeof(struct tdo_state_hdr) <= HDR_SIZE, "header fits");

/* tag 0: empty.  gen: the sweep that last saw it alive; an older one may be taken. */
struct tdo_state_slot {
	_Atomic uint64_t tag;
	_Atomic uint64_t seq;
	_Atomic uint32_t gen;
	_Atomic uint32_t high; /* of the inbound numbers */
	uint32_t pad[10];      /* a cache line each: two workers send on two SAs */
};
_Static_assert(sizeof(struct tdo_state_slot) == 64, "one cache line");

struct record_hdr {
	uint32_t len; /* of what follows */
	uint32_t type;
};

static size_t
record_size(size_t len)
{
	return (sizeof(struct record_hdr) + len + 7) / 8 * 8;
}

/* A quarter of the memory for counters, the rest for two journals. */
static uint32_t
slots_for(size_t size)
{
	uint32_t n = 16;

	while (n < SLOTS_MAX && (size_t)n * 2 * sizeof(struct tdo_state_slot) <= size / 4)
		n *= 2;
	return n;
}

static size_t
half_for(size_t size, uint32_t nslots)
{
	return (size - HDR_SIZE - nslots * sizeof(struct tdo_state_slot)) / 2 / 64 * 64;
}

static void
attach(struct tdo_state *s, uint8_t *base)
{
	s->hdr = (struct tdo_state_hdr *)(void *)base;
	s->slots = (struct tdo_state_slot *)(void *)(base + HDR_SIZE);
	s->half_size = s->hdr->half_size;
	s->half[0] = base + HDR_SIZE + s->hdr->nslots * sizeof(struct tdo_state_slot);
	s->half[1] = s->half[0] + s->half_size;
	s->writing = s->hdr->active;
	s->live_gen = s->hdr->gen;
}

static bool
records_ok(const struct tdo_state *s)
{
	struct tdo_state_record r;
	size_t pos = 0, used = tdo_state_used(s);

	while (pos < used)
		if (!tdo_state_next(s, &pos, &r))
			return false;
	return true;
}

static bool
header_ok(const struct tdo_state_hdr *h, size_t size)
{
	uint32_t nslots = slots_for(size);

	return h->magic == STATE_MAGIC && h->version == STATE_VERSION && h->size == size &&
	       h->nslots == nslots && h->half_size == half_for(size, nslots) && h->active < 2 &&
	       h->used[h->active] <= h->half_size;
}

static bool
is_untouched(const struct tdo_state_hdr *h)
{
	static const uint8_t zero[sizeof(*h)];
	const uint8_t *bytes = (const uint8_t *)h;

	return memcmp(bytes, zero, sizeof(zero)) == 0;
}

static void
make_empty(uint8_t *base, size_t size, const struct tdo_hash_key *key)
{
	struct tdo_state_hdr *h = (struct tdo_state_hdr *)(void *)base;
	uint32_t nslots = slots_for(size);

	/* Untouched shared memory is zero and takes no page; wiping it would take them all. */
	if (!is_untouched(h))
		tdo_wipe(base, size);
	h->version = STATE_VERSION;
	h->nslots = nslots;
	h->size = size;
	h->half_size = half_for(size, nslots);
	h->key = *key;
	h->gen = 1;
	h->magic = STATE_MAGIC;
}

int
tdo_state_open(struct tdo_state *s, void *base, size_t size, bool keep,
    const struct tdo_hash_key *key, enum tdo_state_found *ret)
{
	const struct tdo_state_hdr *h = base;
	enum tdo_state_found found = TDO_STATE_FRESH;

	if (base == NULL || size < TDO_STATE_SIZE_MIN)
		return -EINVAL;
	memset(s, 0, sizeof(*s));
	if (keep && header_ok(h, size)) {
		attach(s, base);
		found = records_ok(s) ? TDO_STATE_KEPT : TDO_STATE_CORRUPT;
	} else if (keep && !is_untouched(h)) {
		found = TDO_STATE_CORRUPT;
	}
	if (found != TDO_STATE_KEPT) {
		make_empty(base, size, key);
		attach(s, base);
	}
	if (found == TDO_STATE_CORRUPT)
		tdo_state_mark(s, TDO_STATE_LOST, true);
	*ret = found;
	return 0;
}

void
tdo_state_mark(struct tdo_state *s, enum tdo_state_mark m, bool set)
{
	s->hdr->marks = set ? s->hdr->marks | m : s->hdr->marks & ~(uint32_t)m;
}

unsigned
tdo_state_marks(const struct tdo_state *s)
{
	return s->hdr->marks;
}

/* ---- sequence counters -------------------------------------------------------------- */

/*
 * What makes two SAs share numbers: under the same key they must never repeat.  Not the
 * addresses: an SA takes its key along when it moves (D44).
 */
static uint64_t
tag_of(const struct tdo_state *s, const struct tdo_sa_param *sa)
{
	const struct tdo_hash_key *key = &s->hdr->key;
	uint8_t name[1 + 4 + 16] = {sa->key.satype};
	uint64_t e = tdo_siphash(key, sa->ekey, (sa->ekey_bits + 7) / 8);
	uint64_t a = tdo_siphash(key, sa->akey, (sa->akey_bits + 7) / 8), tag;

	memcpy(name + 1, &sa->key.spi, 4);
	memcpy(name + 5, &e, 8);
	memcpy(name + 13, &a, 8);
	tag = tdo_siphash(key, name, sizeof(name));
	return tag != 0 ? tag : 1;
}

static struct tdo_state_slot *
probe(const struct tdo_state *s, uint64_t tag, unsigned i)
{
	return &s->slots[(tag + i) & (s->hdr->nslots - 1)];
}

static struct tdo_state_slot *
find(const struct tdo_state *s, uint64_t tag)
{
	for (unsigned i = 0; i < PROBES; i++)
		if (probe(s, tag, i)->tag == tag)
			return probe(s, tag, i);
	return NULL;
}

static struct tdo_state_slot *
find_room(const struct tdo_state *s, uint64_t tag)
{
	struct tdo_state_slot *old = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		struct tdo_state_slot *p = probe(s, tag, i);

		if (p->tag == 0)
			return p;
		/* A newer one than that is of a sweep that goes on, or was cut off by a kill. */
		if (old == NULL && p->gen < s->hdr->gen)
			old = p;
	}
	return old;
}

_Atomic uint64_t *
tdo_state_seq(struct tdo_state *s, const struct tdo_sa_param *sa)
{
	uint64_t tag = tag_of(s, sa);
	struct tdo_state_slot *p = find(s, tag);

	if (p == NULL) {
		p = find_room(s, tag);
		if (p == NULL) {
			s->no_slot++;
			return NULL;
		}
		/* The tag last: a process killed here leaves an empty slot. */
		p->tag = 0;
		p->seq = 0;
		p->high = 0;
		p->tag = tag;
		s->hdr->taken++;
	}
	s->fresh += p->gen != s->live_gen;
	p->gen = s->live_gen;
	return &p->seq;
}

_Atomic uint32_t *
tdo_state_high(const struct tdo_state *s, const struct tdo_sa_param *sa)
{
	struct tdo_state_slot *p = find(s, tag_of(s, sa));

	return p ? &p->high : NULL;
}

void
tdo_state_sweep_begin(struct tdo_state *s)
{
	s->live_gen = s->hdr->gen + 1;
	s->live = 0;
	s->fresh = 0;
}

void
tdo_state_sweep_keep(struct tdo_state *s, const struct tdo_sa_param *sa)
{
	struct tdo_state_slot *p = find(s, tag_of(s, sa));

	if (p == NULL || p->gen == s->live_gen)
		return;
	p->gen = s->live_gen;
	s->live++;
}

void
tdo_state_sweep_end(struct tdo_state *s)
{
	/* Not by looking at all slots: those that were never used are no memory yet. */
	s->hdr->gen = s->live_gen;
	s->hdr->taken = s->live + s->fresh;
}

bool
tdo_state_sweep_due(const struct tdo_state *s)
{
	uint32_t taken = s->hdr->taken;

	/* Worth it only if some of them are not those that the last one kept. */
	return taken > s->hdr->nslots / 2 && taken - s->live > s->live / 2;
}

/* ---- journal ------------------------------------------------------------------------ */

int
tdo_state_append(
    struct tdo_state *s, uint32_t type, const void *a, size_t alen, const void *b, size_t blen)
{
	uint64_t used = s->hdr->used[s->writing];
	struct record_hdr h;
	uint8_t *p;

	if (alen > UINT32_MAX / 4 || blen > UINT32_MAX / 4 ||
	    record_size(alen + blen) > s->half_size - used)
		return -ENOSPC;
	h = (struct record_hdr){(uint32_t)(alen + blen), type};
	p = s->half[s->writing] + used;
	memcpy(p, &h, sizeof(h));
	if (alen > 0)
		memcpy(p + sizeof(h), a, alen);
	if (blen > 0)
		memcpy(p + sizeof(h) + alen, b, blen);
	/* Published last: a record that is half written does not exist. */
	atomic_store(&s->hdr->used[s->writing], used + record_size(alen + blen));
	return 0;
}

size_t
tdo_state_used(const struct tdo_state *s)
{
	return s->hdr->used[s->hdr->active];
}

bool
tdo_state_next(const struct tdo_state *s, size_t *pos, struct tdo_state_record *ret)
{
	size_t used = tdo_state_used(s);
	const uint8_t *p = s->half[s->hdr->active] + *pos;
	struct record_hdr h;

	if (*pos > used || used - *pos < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	if (h.len > used - *pos - sizeof(h) || record_size(h.len) > used - *pos)
		return false;
	*ret = (struct tdo_state_record){h.type, p + sizeof(h), h.len};
	*pos += record_size(h.len);
	return true;
}

void
tdo_state_compact_begin(struct tdo_state *s)
{
	s->writing = 1 - s->hdr->active;
	s->hdr->used[s->writing] = 0;
}

/* Wipes what a journal used: it holds keys. */
static void
wipe_half(struct tdo_state *s, unsigned i)
{
	tdo_wipe(s->half[i], s->hdr->used[i]);
	s->hdr->used[i] = 0;
}

void
tdo_state_compact_commit(struct tdo_state *s)
{
	atomic_store(&s->hdr->active, s->writing);
	wipe_half(s, 1 - s->writing);
}

void
tdo_state_compact_abort(struct tdo_state *s)
{
	wipe_half(s, s->writing);
	s->writing = s->hdr->active;
}
