/* SPDX-License-Identifier: BSD-2-Clause */
/* Workers: quiescent states, random pool, counting of drops with the last offender. */
#include <errno.h>
#include <string.h>

#include "base/ct.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/protocol.h"
#include "wire/ip.h"

_Static_assert(sizeof(struct tdo_offender) % sizeof(uint64_t) == 0, "copied in words");

int
tdo_worker_new(struct tdo_engine *e, unsigned i)
{
	struct tdo_worker *w = tdo_line_alloc(&e->cfg.mem, sizeof(*w));
	int r;

	if (w == NULL)
		return -ENOMEM;
	e->worker[i] = w;
	w->engine = e;
	w->index = i;
	e->cfg.random(e->cfg.random_ctx, &w->ip_id, sizeof(w->ip_id));
	r = tdo_event_ring_new(w);
	if (r == 0)
		r = tdo_flow_cache_new(e, &w->cache);
	if (r == 0)
		r = tdo_ah_saved_new(w);
	if (r == 0)
		r = tdo_blame_new(e, &w->blame);
	/* A worker that never says anything must not lose what it reads: it starts resumed. */
	tdo_qsbr_online(&e->qsbr, i);
	return r;
}

void
tdo_worker_free(struct tdo_worker *w)
{
	struct tdo_engine *e;

	if (w == NULL)
		return;
	e = w->engine;
	tdo_flow_cache_free(e, w->cache);
	tdo_ah_saved_free(w);
	tdo_blame_free(e, &w->blame);
	tdo_event_ring_free(w);
	tdo_ipcomp_work_free(w);
	tdo_wipe(&w->random, sizeof(w->random));
	tdo_line_free(&e->cfg.mem, w, sizeof(*w));
}

struct tdo_worker *
tdo_engine_worker(struct tdo_engine *e, unsigned i)
{
	return e->worker[i];
}

void
tdo_worker_quiesce(struct tdo_worker *w)
{
	tdo_qsbr_quiesce(&w->engine->qsbr, w->index);
}

void
tdo_worker_idle(struct tdo_worker *w)
{
	tdo_qsbr_offline(&w->engine->qsbr, w->index);
}

void
tdo_worker_resume(struct tdo_worker *w)
{
	tdo_qsbr_online(&w->engine->qsbr, w->index);
}

/* ---- random bytes ------------------------------------------------------------------- */

static void
draw(struct tdo_engine *e, struct tdo_random_pool *p, void *buf, size_t n)
{
	uint32_t epoch = atomic_load_explicit(&e->random_epoch, memory_order_relaxed);
	uint8_t *from;

	if (n > sizeof(p->bytes)) {
		e->cfg.random(e->cfg.random_ctx, buf, n);
		return;
	}
	if (n > p->left || epoch != p->epoch) {
		p->epoch = epoch;
		e->cfg.random(e->cfg.random_ctx, p->bytes, sizeof(p->bytes));
		p->left = sizeof(p->bytes);
	}
	/* What was given out does not stay here. */
	p->left -= (unsigned)n;
	from = p->bytes + p->left;
	memcpy(buf, from, n);
	memset(from, 0, n);
}

void
tdo_worker_random(struct tdo_worker *w, void *buf, size_t n)
{
	draw(w->engine, &w->random, buf, n);
}

void
tdo_engine_random(struct tdo_engine *e, void *buf, size_t n)
{
	draw(e, &e->random, buf, n);
}

/* ---- drops -------------------------------------------------------------------------- */

static void
bump(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(
	    c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

void
tdo_worker_reassembles(struct tdo_worker *w, bool yes)
{
	w->reassembles = yes;
}

void
tdo_worker_count(struct tdo_worker *w, enum tdo_stat s, uint64_t n)
{
	tdo_worker_stat(w, s, n);
}

void
tdo_worker_count_drop(struct tdo_worker *w, enum tdo_at at, enum tdo_reason r, uint64_t n)
{
	bump(&w->drops[at][r], n);
}

enum tdo_at
tdo_at_of(uint8_t proto, bool out)
{
	enum tdo_at at = proto == TDO_IPPROTO_ESP      ? TDO_AT_ESP_IN
			 : proto == TDO_IPPROTO_AH     ? TDO_AT_AH_IN
			 : proto == TDO_IPPROTO_IPCOMP ? TDO_AT_IPCOMP_IN
						       : TDO_AT_IN;

	_Static_assert(TDO_AT_OUT == TDO_AT_IN + 1 && TDO_AT_ESP_OUT == TDO_AT_ESP_IN + 1 &&
			   TDO_AT_AH_OUT == TDO_AT_AH_IN + 1 &&
			   TDO_AT_IPCOMP_OUT == TDO_AT_IPCOMP_IN + 1,
	    "pairs");
	return (enum tdo_at)(at + out);
}

/*
 * A seqlock without fences: the words are stored with release, so that a reader that sees
 * one of them also sees the odd generation.
 */
static void
write_offender(struct tdo_offender_slot *s, const struct tdo_offender *o)
{
	uint64_t word[TDO_OFFENDER_WORDS];
	uint32_t gen = atomic_load_explicit(&s->gen, memory_order_relaxed);

	memcpy(word, o, sizeof(word));
	atomic_store_explicit(&s->gen, gen + 1, memory_order_relaxed);
	for (unsigned i = 0; i < TDO_OFFENDER_WORDS; i++)
		atomic_store_explicit(&s->word[i], word[i], memory_order_release);
	atomic_store_explicit(&s->gen, gen + 2, memory_order_release);
}

static bool
try_read_offender(const struct tdo_offender_slot *s, struct tdo_offender *ret)
{
	uint64_t word[TDO_OFFENDER_WORDS];
	uint32_t gen = atomic_load_explicit(&s->gen, memory_order_acquire);

	for (unsigned i = 0; i < TDO_OFFENDER_WORDS; i++)
		word[i] = atomic_load_explicit(&s->word[i], memory_order_acquire);
	if (gen % 2 != 0 || atomic_load_explicit(&s->gen, memory_order_relaxed) != gen)
		return false;
	memcpy(ret, word, sizeof(*ret));
	return true;
}

static void
drop(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa, uint8_t proto, enum tdo_reason r,
    tdo_ns now)
{
	struct tdo_offender o;

	memset(&o, 0, sizeof(o)); /* with its padding: it is copied as words */
	o.when = now ? now : 1;
	o.flow = p->ip.flow;
	tdo_pkt_drop(p, r);
	tdo_worker_count_drop(w, tdo_at_of(proto, w->out), r, 1);
	o.spi = p->spi;
	o.seq = p->seq;
	if (sa) {
		o.spi = sa->id.spi;
		atomic_fetch_add_explicit(&sa->drops, 1, memory_order_relaxed);
	}
	if (p->sp) {
		/* Constant for everybody but for its counters. */
		struct tdo_sp *sp = (struct tdo_sp *)(uintptr_t)p->sp;

		atomic_fetch_add_explicit(&sp->drops, 1, memory_order_relaxed);
	}
	write_offender(&w->offender[r], &o);
	tdo_blame(w, sa, p->sp, r, &o);
}

void
tdo_worker_drop(
    struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa, enum tdo_reason r, tdo_ns now)
{
	drop(w, p, sa, sa ? sa->id.proto : 0, r, now);
}

void
tdo_worker_drop_header(
    struct tdo_worker *w, struct tdo_pkt *p, uint8_t proto, enum tdo_reason r, tdo_ns now)
{
	drop(w, p, NULL, proto, r, now);
}

/* ---- reading (control thread) ------------------------------------------------------- */

uint64_t
tdo_stat_read(const struct tdo_engine *e, enum tdo_stat s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		sum += atomic_load_explicit(&e->worker[i]->stat[s], memory_order_relaxed);
	return sum;
}

uint64_t
tdo_drops_read_at(const struct tdo_engine *e, enum tdo_at at, enum tdo_reason r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		sum += atomic_load_explicit(&e->worker[i]->drops[at][r], memory_order_relaxed);
	return sum;
}

uint64_t
tdo_drops_read(const struct tdo_engine *e, enum tdo_reason r)
{
	uint64_t sum = 0;

	for (unsigned at = 0; at < TDO_AT_COUNT; at++)
		sum += tdo_drops_read_at(e, (enum tdo_at)at, r);
	return sum;
}

void
tdo_offender_read(const struct tdo_engine *e, enum tdo_reason r, struct tdo_offender *ret)
{
	struct tdo_offender o;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < e->cfg.nworkers; i++) {
		/* Under a storm of drops one of the tries succeeds; else an older one serves. */
		for (unsigned try = 0; try < 100; try++) {
			if (!try_read_offender(&e->worker[i]->offender[r], &o))
				continue;
			if (o.when > ret->when)
				*ret = o;
			break;
		}
	}
}
