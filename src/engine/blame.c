/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/blame.h"

#include <errno.h>
#include <string.h>

#include "engine/control.h"

/* One place: written by the worker as a seqlock, see worker.c. */
struct content {
	uint64_t count;
	struct tdo_offender last;
	struct tdo_sa_id sa; /* of a policy: zero */
};

#define WORDS  (sizeof(struct content) / sizeof(uint64_t))
#define BUCKET 8u /* places: their keys are one cache line */

_Static_assert(sizeof(struct content) % sizeof(uint64_t) == 0, "copied in words");

struct place {
	_Atomic uint32_t gen; /* odd while being written */
	_Atomic uint64_t word[WORDS];
};

/* The keys of all places stand together; what they say behind them. */
struct tdo_blame_segment {
	unsigned n; /* places, a multiple of BUCKET and a power of two */
	size_t size;
	struct place *place;
	_Alignas(64) _Atomic uint64_t key[]; /* 0: free */
};

static const unsigned sizes[TDO_BLAME_SEGMENTS] = {64, 512, 4096, 16384};

/* ---- keys --------------------------------------------------------------------------- */

_Static_assert(TDO_REASON_COUNT <= 256, "a reason is one byte of a key");

static uint64_t
owner_of(uint64_t id, bool is_sp)
{
	return id << 1 | is_sp;
}

/* All reasons of an owner are in one bucket of each segment. */
static unsigned
bucket_of(const struct tdo_blame_segment *s, uint64_t owner)
{
	uint64_t h = owner * 0x9e3779b97f4a7c15u;

	return (unsigned)(h >> 40) & (s->n - 1) & ~(BUCKET - 1);
}

/* ---- memory (control) --------------------------------------------------------------- */

static struct tdo_blame_segment *
segment_new(struct tdo_engine *e, unsigned n)
{
	size_t keys = sizeof(struct tdo_blame_segment) + n * sizeof(uint64_t);
	size_t size = keys + n * sizeof(struct place);
	struct tdo_blame_segment *s = tdo_line_alloc(&e->cfg.mem, size);

	if (s == NULL)
		return NULL;
	s->n = n;
	s->size = size;
	s->place = (struct place *)(void *)((char *)s + keys);
	return s;
}

static int
add_segment(struct tdo_engine *e, struct tdo_blame_table *t)
{
	unsigned i = 0;
	struct tdo_blame_segment *s;

	while (i < TDO_BLAME_SEGMENTS &&
	       atomic_load_explicit(&t->segment[i], memory_order_relaxed) != NULL)
		i++;
	if (i == TDO_BLAME_SEGMENTS)
		return 0; /* as large as it may be */
	s = segment_new(e, sizes[i]);
	if (s == NULL)
		return -ENOMEM;
	atomic_store_explicit(&t->segment[i], s, memory_order_release);
	return 0;
}

int
tdo_blame_new(struct tdo_engine *e, struct tdo_blame_table *t)
{
	return add_segment(e, t);
}

void
tdo_blame_free(struct tdo_engine *e, struct tdo_blame_table *t)
{
	for (unsigned i = 0; i < TDO_BLAME_SEGMENTS; i++) {
		struct tdo_blame_segment *s =
		    atomic_load_explicit(&t->segment[i], memory_order_relaxed);

		if (s != NULL)
			tdo_line_free(&e->cfg.mem, s, s->size);
	}
}

void
tdo_blame_tick(struct tdo_engine *e)
{
	for (unsigned i = 0; i < e->cfg.nworkers; i++) {
		struct tdo_blame_table *t = &e->worker[i]->blame;

		/* Without memory it is tried again. */
		if (atomic_load_explicit(&t->full, memory_order_relaxed) && add_segment(e, t) == 0)
			atomic_store_explicit(&t->full, false, memory_order_relaxed);
	}
}

/* ---- workers ------------------------------------------------------------------------ */

static void
write_place(struct place *p, const struct content *c)
{
	uint32_t gen = atomic_load_explicit(&p->gen, memory_order_relaxed);
	uint64_t word[WORDS];

	memcpy(word, c, sizeof(word));
	atomic_store_explicit(&p->gen, gen + 1, memory_order_relaxed);
	for (unsigned i = 0; i < WORDS; i++)
		atomic_store_explicit(&p->word[i], word[i], memory_order_release);
	atomic_store_explicit(&p->gen, gen + 2, memory_order_release);
}

/* The place with this key, else a free one, else NULL. */
static struct place *
find_place(struct tdo_blame_table *t, uint64_t owner, uint64_t key, _Atomic uint64_t **ret_key)
{
	struct place *empty = NULL;

	for (unsigned i = 0; i < TDO_BLAME_SEGMENTS; i++) {
		struct tdo_blame_segment *s =
		    atomic_load_explicit(&t->segment[i], memory_order_acquire);
		unsigned b;

		if (s == NULL)
			break;
		b = bucket_of(s, owner);
		for (unsigned k = b; k < b + BUCKET; k++) {
			uint64_t v = atomic_load_explicit(&s->key[k], memory_order_acquire);

			if (v == key) {
				*ret_key = NULL;
				return &s->place[k];
			}
			if (v == 0 && empty == NULL) {
				empty = &s->place[k];
				*ret_key = &s->key[k];
			}
		}
	}
	return empty;
}

static void
blame(struct tdo_worker *w, uint64_t owner, const struct tdo_sa *sa, enum tdo_reason r,
    const struct tdo_offender *o)
{
	uint64_t key = owner << 8 | (unsigned)r;
	_Atomic uint64_t *claim = NULL;
	struct place *p = find_place(&w->blame, owner, key, &claim);
	struct content c;

	if (p == NULL) {
		atomic_fetch_add_explicit(&w->blame.lost, 1, memory_order_relaxed);
		atomic_store_explicit(&w->blame.full, true, memory_order_relaxed);
		return;
	}
	memset(&c, 0, sizeof(c)); /* with its padding: it is copied as words */
	c.count =
	    1 + (claim ? 0 : atomic_load_explicit(&p->word[0], memory_order_relaxed)); /* count */
	c.last = *o;
	if (sa)
		c.sa = sa->id;
	write_place(p, &c);
	/* Who sees the key sees what was written. */
	if (claim)
		atomic_store_explicit(claim, key, memory_order_release);
}

_Static_assert(offsetof(struct content, count) == 0, "the count is word 0");

void
tdo_blame(struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_sp *sp, enum tdo_reason r,
    const struct tdo_offender *o)
{
	if (sa)
		blame(w, owner_of(sa->uid, false), sa, r, o);
	if (sp)
		blame(w, owner_of(sp->id, true), NULL, r, o);
}

/* ---- control ------------------------------------------------------------------------ */

static void
forget(struct tdo_engine *e, uint64_t owner)
{
	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		for (unsigned k = 0; k < TDO_BLAME_SEGMENTS; k++) {
			struct tdo_blame_segment *s = atomic_load_explicit(
			    &e->worker[i]->blame.segment[k], memory_order_relaxed);
			unsigned b;

			if (s == NULL)
				break;
			b = bucket_of(s, owner);
			for (unsigned at = b; at < b + BUCKET; at++)
				if (atomic_load_explicit(&s->key[at], memory_order_relaxed) >> 8 ==
				    owner)
					atomic_store_explicit(&s->key[at], 0, memory_order_release);
		}
}

void
tdo_blame_forget_sa(struct tdo_engine *e, const struct tdo_sa *sa)
{
	if (sa->successor || atomic_load_explicit(&sa->drops, memory_order_relaxed) != 0)
		forget(e, owner_of(sa->uid, false));
}

void
tdo_blame_forget_sp(struct tdo_engine *e, const struct tdo_sp *sp)
{
	if (sp->successor || atomic_load_explicit(&sp->drops, memory_order_relaxed) != 0)
		forget(e, owner_of(sp->id, true));
}

static bool
try_read_place(const struct place *p, struct content *ret)
{
	uint32_t gen = atomic_load_explicit(&p->gen, memory_order_acquire);
	uint64_t word[WORDS];

	for (unsigned i = 0; i < WORDS; i++)
		word[i] = atomic_load_explicit(&p->word[i], memory_order_acquire);
	if (gen % 2 != 0 || atomic_load_explicit(&p->gen, memory_order_relaxed) != gen)
		return false;
	memcpy(ret, word, sizeof(*ret));
	return true;
}

/* Under a storm of drops one of the tries succeeds, or the place is left out this time. */
static bool
read_place(const struct place *p, struct content *ret)
{
	for (unsigned try = 0; try < 100; try++)
		if (try_read_place(p, ret))
			return true;
	return false;
}

static uint8_t
satype_of(uint8_t proto)
{
	return proto == TDO_IPPROTO_ESP      ? TDO_SATYPE_ESP
	       : proto == TDO_IPPROTO_AH     ? TDO_SATYPE_AH
	       : proto == TDO_IPPROTO_IPCOMP ? TDO_SATYPE_IPCOMP
					     : TDO_SATYPE_UNSPEC;
}

static struct tdo_blame
blame_of(uint64_t key, const struct content *c)
{
	return (struct tdo_blame){
	    .owner = key >> 8,
	    .reason = (uint16_t)(key & 0xff),
	    .is_sp = key >> 8 & 1,
	    .sp_id = key >> 8 & 1 ? (uint32_t)(key >> 9) : 0,
	    .sa = {.satype = satype_of(c->sa.proto),
		.spi = c->sa.spi,
		.src = c->sa.src,
		.dst = c->sa.dst},
	    .count = c->count,
	    .last = c->last,
	};
}

/* Those of one segment that are of the kind; how many, written or not. */
static size_t
read_segment(
    const struct tdo_blame_segment *s, bool is_sp, struct tdo_blame *ret, size_t n, size_t max)
{
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t key = atomic_load_explicit(&s->key[i], memory_order_acquire);
		struct content c;

		if (key == 0 || (key >> 8 & 1) != is_sp)
			continue;
		if (n < max) {
			if (!read_place(&s->place[i], &c))
				continue;
			ret[n] = blame_of(key, &c);
		}
		n++;
	}
	return n;
}

static size_t
read_all(const struct tdo_engine *e, bool is_sp, struct tdo_blame *ret, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		for (unsigned k = 0; k < TDO_BLAME_SEGMENTS; k++) {
			const struct tdo_blame_segment *s = atomic_load_explicit(
			    &e->worker[i]->blame.segment[k], memory_order_relaxed);

			if (s != NULL)
				n = read_segment(s, is_sp, ret, n, max);
		}
	return n < max || ret == NULL ? n : max;
}

static int
compare(const struct tdo_blame *x, const struct tdo_blame *y)
{
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->reason < y->reason ? -1 : x->reason > y->reason;
}

/* b[i] goes down in the heap of n until none below it is greater. */
static void
sift(struct tdo_blame *b, size_t i, size_t n)
{
	struct tdo_blame v = b[i];

	for (size_t k; (k = 2 * i + 1) < n; i = k) {
		k += k + 1 < n && compare(&b[k], &b[k + 1]) < 0;
		if (compare(&v, &b[k]) >= 0)
			break;
		b[i] = b[k];
	}
	b[i] = v;
}

/* Heapsort: there is no qsort() in this layer, and nobody can make it slow. */
static void
sort(struct tdo_blame *b, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(b, i, n);
	for (size_t i = n; i-- > 1;) {
		struct tdo_blame v = b[0];

		b[0] = b[i];
		b[i] = v;
		sift(b, 0, i);
	}
}

/* Adds up what several workers have of the same; the list is sorted. */
static size_t
join(struct tdo_blame *b, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct tdo_blame *last = &b[kept - (kept > 0)];

		if (kept == 0 || compare(last, &b[i]) != 0) {
			b[kept++] = b[i];
			continue;
		}
		last->count += b[i].count;
		if (b[i].last.when > last->last.when) {
			last->last = b[i].last;
			last->sa = b[i].sa;
		}
	}
	return kept;
}

int
tdo_blame_list(struct tdo_engine *e, bool of_policies, struct tdo_blame_list *ret)
{
	size_t cap = read_all(e, of_policies, NULL, 0);
	struct tdo_blame *b;
	size_t n;

	*ret = (struct tdo_blame_list){0};
	if (cap == 0)
		return 0;
	b = tdo_engine_alloc(e, cap * sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	n = read_all(e, of_policies, b, cap);
	sort(b, n);
	*ret = (struct tdo_blame_list){.blame = b, .n = join(b, n), .cap = cap};
	return 0;
}

void
tdo_blame_list_free(struct tdo_engine *e, struct tdo_blame_list *l)
{
	if (l->blame)
		tdo_engine_release(e, l->blame, l->cap * sizeof(*l->blame));
	*l = (struct tdo_blame_list){0};
}

uint64_t
tdo_blame_lost(const struct tdo_engine *e)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		sum += atomic_load_explicit(&e->worker[i]->blame.lost, memory_order_relaxed);
	return sum;
}
