/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small models, completely: every series of arrivals in small windows against the set of all
 * numbers accepted, and every pair of window position and low half of an extended sequence
 * number, with halves of a few bits, against RFC 4303 A2.1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "engine/replay.h"
#include "mem.h"

static const struct tdo_mem mem = TEST_MEM;

/* ---- windows ---- */

enum { ALPHABET = 8, DEPTH = 6, BLOCKS_MAX = 4 };

struct model {
	struct tdo_replay r;
	uint64_t number[ALPHABET]; /* the numbers that may arrive, in any order and number */
	unsigned path[DEPTH];
	uint64_t played;
};

static enum tdo_reason
expected(const struct model *m, unsigned seen, uint64_t top, uint64_t seq)
{
	if (seq == 0)
		return TDO_REASON_IN_REPLAY_ZERO;
	if (seq <= top && top - seq >= m->r.window)
		return TDO_REASON_IN_REPLAY_OLD;
	for (unsigned i = 0; i < ALPHABET; i++)
		if ((seen >> i & 1) && m->number[i] == seq)
			return TDO_REASON_IN_REPLAY_DUP;
	return TDO_REASON_NONE;
}

static void
fail(const struct model *m, unsigned depth, enum tdo_reason got, enum tdo_reason want)
{
	printf("not ok - window %u:", m->r.window);
	for (unsigned i = 0; i <= depth; i++)
		printf(" %llu", (unsigned long long)m->number[m->path[i]]);
	printf(": %s, expected %s\n", got ? tdo_reason_info(got)->name : "accepted",
	    want ? tdo_reason_info(want)->name : "accepted");
	exit(1);
}

/* Plays every continuation of the path; seen: the numbers accepted on it. */
static void
extend(struct model *m, unsigned depth, unsigned seen, uint64_t top)
{
	uint64_t bits[BLOCKS_MAX];
	uint64_t ring_top = m->r.top;

	memcpy(bits, m->r.bits, m->r.nblocks * sizeof(*bits));
	for (unsigned i = 0; i < ALPHABET; i++) {
		uint64_t seq = m->number[i];
		enum tdo_reason want = expected(m, seen, top, seq), got;
		bool accepted = want == TDO_REASON_NONE;

		m->path[depth] = i;
		got = tdo_replay_check(&m->r, seq);
		if (got == want)
			got = tdo_replay_accept(&m->r, seq);
		if (got != want)
			fail(m, depth, got, want);
		m->played++;
		if (depth + 1 < DEPTH)
			extend(m, depth + 1, accepted ? seen | 1u << i : seen,
			    accepted && seq > top ? seq : top);
		memcpy(m->r.bits, bits, m->r.nblocks * sizeof(*bits));
		m->r.top = ring_top;
	}
}

static uint64_t
all_series(uint32_t window, const uint64_t *offset, uint64_t base)
{
	struct model m = {0};

	if (tdo_replay_init(&m.r, &mem, window, false))
		abort();
	if (m.r.nblocks > BLOCKS_MAX)
		abort();
	for (unsigned i = 0; i < ALPHABET; i++)
		m.number[i] = base + offset[i];
	extend(&m, 0, 0, 0);
	tdo_replay_fini(&m.r, &mem);
	return m.played;
}

static void
windows(void)
{
	/* Neighbours; and numbers around the edges of blocks and of the ring. */
	static const uint64_t dense[ALPHABET] = {0, 1, 2, 3, 4, 5, 6, 9};
	static const uint64_t edges[ALPHABET] = {0, 1, 63, 64, 127, 128, 129, 192};
	static const uint32_t narrow[] = {1, 2, 3, 4, 5, 9}, wide[] = {62, 63, 64, 65, 127, 128};
	static const uint64_t bases[] = {0, 60, ((uint64_t)1 << 32) - 5, UINT64_MAX - 192};
	uint64_t played = 0;

	for (unsigned b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
		for (unsigned i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++)
			played += all_series(narrow[i], dense, bases[b]);
		for (unsigned i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
			played += all_series(wide[i], edges, bases[b]);
	}
	printf("ok 1 - %llu arrivals in small windows\n", (unsigned long long)played);
}

/* ---- extended sequence numbers ---- */

/* RFC 4303 A2.1, as it stands there; -1: the high half would be below 0. */
static int64_t
rfc(uint64_t top, uint64_t window, uint64_t low, unsigned bits)
{
	int64_t n = (int64_t)1 << bits;
	int64_t tl = (int64_t)(top % (uint64_t)n), th = (int64_t)(top / (uint64_t)n);
	int64_t bl = tl - (int64_t)window + 1, seql = (int64_t)low;
	int64_t seqh;

	if (tl >= (int64_t)window - 1)
		seqh = seql >= bl ? th : th + 1;
	else
		seqh = seql >= bl + n ? th - 1 : th;
	return seqh < 0 ? -1 : seqh * n + seql;
}

static void
infer_one(uint64_t top, uint64_t window, uint64_t low, unsigned bits)
{
	uint64_t n = (uint64_t)1 << bits, last = n * n - 1;
	uint64_t got = tdo_esn_infer(top, window, low, bits);
	int64_t want = rfc(top, window, low, bits);
	bool ok = got <= last && got % n == low;

	/* The true number, whenever it is one that the window allows. */
	if (want >= 0 && (uint64_t)want <= last)
		ok = ok && got == (uint64_t)want;
	/* There is none: the number that is left is refused, or is the first that can come. */
	else if (want < 0)
		ok = ok && got == low && got > top;
	else
		ok = ok && got + window <= top;
	if (ok)
		return;
	printf("not ok - top %llu window %llu low %llu of %u bits: %llu, RFC %lld\n",
	    (unsigned long long)top, (unsigned long long)window, (unsigned long long)low, bits,
	    (unsigned long long)got, (long long)want);
	exit(1);
}

/* The number t that is sent is found exactly when it lies in the interval of the window. */
static void
find_one(uint64_t top, uint64_t window, uint64_t t, unsigned bits)
{
	uint64_t n = (uint64_t)1 << bits;
	bool in = t + window > top && t + window <= top + n;

	if (!in || tdo_esn_infer(top, window, t % n, bits) == t)
		return;
	printf("not ok - number %llu is lost at top %llu window %llu of %u bits\n",
	    (unsigned long long)t, (unsigned long long)top, (unsigned long long)window, bits);
	exit(1);
}

static void
inference(void)
{
	uint64_t pairs = 0;

	for (unsigned bits = 2; bits <= 8; bits++) {
		uint64_t n = (uint64_t)1 << bits;
		/* All windows of small halves, the telling ones of large ones. */
		uint64_t step = bits <= 5 ? 1 : n / 2 - 1;

		for (uint64_t w = 1; w <= n; w += step)
			for (uint64_t top = 0; top < n * n; top++) {
				for (uint64_t low = 0; low < n; low++)
					infer_one(top, w, low, bits);
				for (uint64_t t = top < n ? 0 : top - n; t <= top + n && t < n * n;
				     t++)
					find_one(top, w, t, bits);
				pairs += n;
			}
	}
	printf("ok 2 - %llu high halves\n", (unsigned long long)pairs);
}

int
main(void)
{
	printf("1..2\n");
	windows();
	inference();
	return 0;
}
