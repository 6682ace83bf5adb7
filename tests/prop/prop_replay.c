/* SPDX-License-Identifier: BSD-2-Clause */
/* The replay window against a set of all numbers ever accepted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "engine/replay.h"
#include "mem.h"

#define SPAN 20000u /* numbers in use in one round */

static const struct tdo_mem mem = TEST_MEM;

struct oracle {
	uint64_t base; /* numbers are base + 0 .. SPAN - 1 */
	uint64_t top;
	uint64_t floor; /* numbers up to here count as seen: the window was too small for them */
	uint32_t window;
	bool seen[SPAN];
};

static enum tdo_reason
expected(const struct oracle *o, uint64_t seq)
{
	if (o->window == 0)
		return TDO_REASON_NONE;
	if (seq == 0)
		return TDO_REASON_IN_REPLAY_ZERO;
	if (seq <= o->top && seq + o->window <= o->top)
		return TDO_REASON_IN_REPLAY_OLD;
	return seq <= o->floor || o->seen[seq - o->base] ? TDO_REASON_IN_REPLAY_DUP
							 : TDO_REASON_NONE;
}

static void
fail(const struct oracle *o, uint64_t seq, enum tdo_reason got, enum tdo_reason want)
{
	printf("not ok - window %u top %llu seq %llu: %s, expected %s\n", o->window,
	    (unsigned long long)o->top, (unsigned long long)seq,
	    got ? tdo_reason_info(got)->name : "accepted",
	    want ? tdo_reason_info(want)->name : "accepted");
	exit(1);
}

/* A number near the right edge, sometimes far from it. */
static uint64_t
some_seq(struct rng *rng, const struct oracle *o)
{
	uint64_t at = o->top > o->base ? o->top - o->base : 0;
	uint32_t reach = rng_below(rng, 20) == 0 ? 3000 : 2 + rng_below(rng, 2 * o->window + 100);
	uint64_t seq = at + rng_below(rng, reach);

	seq = seq > reach * 2 / 3 ? seq - reach * 2 / 3 : 0;
	return o->base + (seq < SPAN ? seq : SPAN - 1);
}

static void
step(struct tdo_replay *r, struct oracle *o, uint64_t seq)
{
	enum tdo_reason want = expected(o, seq), got = tdo_replay_check(r, seq);

	/* Left of a window that may grow it is worth checking the ICV. */
	if (got != want && !(r->adaptive && want == TDO_REASON_IN_REPLAY_OLD && got == 0))
		fail(o, seq, got, want);
	got = tdo_replay_accept(r, seq);
	if (got != want)
		fail(o, seq, got, want);
	if (want != TDO_REASON_NONE)
		return;
	o->seen[seq - o->base] = true;
	if (seq > o->top)
		o->top = seq;
	if (tdo_replay_top(r) != o->top)
		fail(o, seq, got, want);
}

/* Half-way the window moves to a new object, as in an update of an SA. */
static void
round_of(struct rng *rng, uint32_t window)
{
	static struct oracle o;
	struct tdo_replay r, next;
	bool moved = false;

	memset(&o, 0, sizeof(o));
	o.window = window;
	/* Below 2^32, around it, and at the start. */
	if (rng_below(rng, 2))
		o.base = rng_next(rng) >> rng_below(rng, 33);
	if (o.base > UINT64_MAX - SPAN)
		o.base = UINT64_MAX - SPAN;
	o.top = 0;
	if (tdo_replay_init(&r, &mem, window, false))
		abort();
	for (unsigned i = 0; i < 4000; i++) {
		if (i == 2000 && rng_below(rng, 2)) {
			if (tdo_replay_init(&next, &mem, window, false))
				abort();
			tdo_replay_move(&r, &next);
			moved = true;
		}
		step(moved && rng_below(rng, 2) ? &next : &r, &o, some_seq(rng, &o));
	}
	if (moved)
		tdo_replay_fini(&next, &mem);
	tdo_replay_fini(&r, &mem);
}

/* The control thread comes by: it may have grown. */
static void
grow(struct tdo_replay *r, struct oracle *o)
{
	uint32_t old = o->window;

	tdo_replay_grow(r, &mem, 0);
	o->window = tdo_replay_size(r);
	if (o->window < old || o->window > TDO_REPLAY_MAX) {
		printf("not ok - window of %u became %u\n", old, o->window);
		exit(1);
	}
	if (o->window > old && o->top > old && o->top - old > o->floor)
		o->floor = o->top - old;
}

/* A window that grows never accepts a number twice, and refuses only what it must. */
static unsigned
adaptive_round(struct rng *rng)
{
	uint32_t window = 1 + rng_below(rng, 200), reach = 1 + rng_below(rng, 5000);
	static struct oracle o;
	struct tdo_replay r;

	memset(&o, 0, sizeof(o));
	o.window = window;
	o.base = rng_next(rng) >> (1 + rng_below(rng, 60));
	if (tdo_replay_init(&r, &mem, window, true))
		abort();
	for (unsigned i = 0; i < 6000; i++) {
		uint64_t at = o.top > o.base ? o.top - o.base + 3 : 1;
		uint32_t back = rng_below(rng, reach);
		uint64_t seq = o.base + (at > back ? at - back : 0);

		if (seq >= o.base + SPAN)
			break;
		step(&r, &o, seq);
		if (rng_below(rng, 200) == 0)
			grow(&r, &o);
	}
	tdo_replay_fini(&r, &mem);
	return o.window > window;
}

int
main(void)
{
	unsigned grown = 0;
	static const uint32_t window[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 2039,
	    2040, 4096, 10000, TDO_REPLAY_MAX};
	unsigned rounds = rng_rounds(3);
	struct rng rng = rng_seed_new();

	printf("1..2\n");
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned j = 0; j < sizeof(window) / sizeof(window[0]); j++)
			round_of(&rng, window[j]);
		for (unsigned j = 0; j < 100; j++)
			round_of(&rng, rng_below(&rng, rng_below(&rng, 4) ? 2041 : 20000));
	}
	printf("ok 1 - window and set agree\n");
	for (unsigned i = 0; i < 50 * rounds; i++)
		grown += adaptive_round(&rng);
	printf("%sok 2 - %u windows grew\n", grown > 0 ? "" : "not ", grown);
	return grown > 0 ? 0 : 1;
}
