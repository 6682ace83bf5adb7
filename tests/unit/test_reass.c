/* SPDX-License-Identifier: BSD-2-Clause */
/* Reassembly: what becomes whole, what is refused, and who pays for floods (testudo/reass.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fragment.h"
#include "rng.h"
#include "testudo/reass.h"

enum { STEP = 1480, DATA_MAX = 65536, MAX_BYTES = 1 << 20, MAX_DATAGRAMS = 256, TIMEOUT = 30 };

static struct {
	struct tdo_reass *r;
	struct rng rng;
	size_t allocated, peak;
	bool no_memory;
	unsigned lost[TDO_REASON_COUNT];
	uint8_t data[DATA_MAX];
	uint8_t packet[FRAGMENT_MAX], whole[FRAGMENT_MAX];
	uint8_t *mem;
	struct tdo_pkt out;
	struct tdo_reass_whole from;
	uint64_t way;
	tdo_ns now;
	unsigned late;               /* datagrams whose first fragment ... */
	uint8_t first[FRAGMENT_MAX]; /* ... was this */
	uint32_t first_len;
} t;

static void *
mem_alloc(void *ctx, size_t size)
{
	if (t.no_memory)
		return NULL;
	t.allocated += size;
	if (t.allocated > t.peak)
		t.peak = t.allocated;
	return calloc(1, size);
}

static void
mem_free(void *ctx, void *p, size_t size)
{
	if (p)
		t.allocated -= size;
	free(p);
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	rng_fill(&t.rng, buf, len);
}

static void
lost(void *ctx, enum tdo_reason r, unsigned n)
{
	t.lost[r] += n;
}

static void
late(void *ctx, const struct tdo_reass_datagram *d)
{
	struct tdo_pkt p = {.buf = t.first, .cap = sizeof(t.first)}, small = {.buf = t.first};

	assert_true(tdo_reass_first(d, &p));
	t.first_len = p.len;
	small.cap = p.len - 1;
	assert_false(tdo_reass_first(d, &small));
	assert_true(p.ip.frag && !p.ip.frag_later);
	t.late++;
}

static void
limit(size_t bytes, unsigned datagrams)
{
	tdo_reass_limit(t.r, &(struct tdo_reass_limits){bytes, datagrams, TIMEOUT * TDO_SEC});
}

static int
set_up(void **state)
{
	struct tdo_reass_config cfg = {
	    .mem = {mem_alloc, mem_free, NULL}, .random = random_bytes, .lost = lost, .late = late};

	memset(&t, 0, sizeof(t));
	t.rng.state = 5;
	rng_fill(&t.rng, t.data, sizeof(t.data));
	t.mem = malloc(TDO_HEADROOM + FRAGMENT_MAX);
	t.now = 1000 * TDO_SEC;
	assert_int_equal(tdo_reass_new(&cfg, &t.r), 0);
	limit(MAX_BYTES, MAX_DATAGRAMS);
	return 0;
}

static int
tear_down(void **state)
{
	tdo_reass_free(t.r);
	free(t.mem);
	assert_int_equal(t.allocated, 0);
	return 0;
}

static enum tdo_reass_result
give(const struct fragment *f)
{
	uint32_t len = fragment_make(f, t.packet);

	t.out =
	    (struct tdo_pkt){.buf = t.mem, .cap = TDO_HEADROOM + FRAGMENT_MAX, .off = TDO_HEADROOM};
	return tdo_reass_add(t.r, t.packet, len, t.way, t.now, &t.out, &t.from);
}

/* The i-th of the pieces of step bytes of len. */
static struct fragment
piece(const struct fragment *f, uint32_t len, uint32_t step, unsigned i)
{
	struct fragment x = *f;

	x.data = t.data;
	x.at = i * step;
	x.len = len - x.at < step ? len - x.at : step;
	x.more = x.at + x.len < len;
	return x;
}

static unsigned
pieces(uint32_t len, uint32_t step)
{
	return (len + step - 1) / step;
}

static void
expect_whole(const struct fragment *f, uint32_t len)
{
	struct fragment like = *f;
	uint32_t n;

	like.data = t.data;
	n = fragment_whole(&like, len, t.whole);
	assert_int_equal(t.out.len, n);
	assert_memory_equal(tdo_pkt_data(&t.out), t.whole, n);
	assert_int_equal(t.out.ip.total_len, n);
	assert_false(t.out.ip.frag);
}

/* Gives all pieces, in the order of a random permutation unless sorted; the last makes it whole. */
static void
send(const struct fragment *f, uint32_t len, uint32_t step, bool sorted)
{
	unsigned n = pieces(len, step), order[512];

	assert_true(n <= 512);
	for (unsigned i = 0; i < n; i++) {
		unsigned j = sorted ? i : rng_below(&t.rng, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (unsigned i = 0; i < n; i++) {
		struct fragment x = piece(f, len, step, order[i]);

		assert_int_equal(give(&x), i + 1 < n ? TDO_REASS_WAITS : TDO_REASS_WHOLE);
	}
	assert_int_equal(t.from.fragments, n);
	assert_int_equal(t.from.id, f->v6 ? f->id : f->id & 0xffff);
	expect_whole(f, len);
}

/* What is not said is as everywhere. */
static const struct fragment *
with(struct fragment f)
{
	static struct fragment kept[16];
	static unsigned next;

	f.src = f.src ? f.src : 0x0a000002;
	f.id = f.id ? f.id : f.v6 ? 0x70007 : 7;
	f.proto = f.proto ? f.proto : TDO_IPPROTO_UDP;
	kept[next % 16] = f;
	return &kept[next++ % 16];
}

#define V4(...) with((struct fragment){__VA_ARGS__})
#define V6(...) with((struct fragment){.v6 = true, __VA_ARGS__})

static void
drop(const struct fragment *f, enum tdo_reason why, unsigned n)
{
	struct fragment x = *f;
	unsigned before = t.lost[why];

	x.data = t.data;
	assert_int_equal(give(&x), TDO_REASS_DROPPED);
	if (t.lost[why] != before + n)
		print_error("lost %u for %s\n", t.lost[why] - before, tdo_reason_info(why)->name);
	assert_int_equal(t.lost[why], before + n);
}

static void
waits(const struct fragment *f)
{
	struct fragment x = *f;

	x.data = t.data;
	assert_int_equal(give(&x), TDO_REASS_WAITS);
}

/* ---- whole ---- */

static void
test_whole(void **state)
{
	for (unsigned round = 0; round < 40; round++)
		for (unsigned k = 0; k < 4; k++) {
			const struct fragment *f = k & 1 ? V6(.tos = 2) : V4(.df = k & 2);
			uint32_t step = 64 + 8 * rng_below(&t.rng, 400);

			send(f, step + 1 + rng_below(&t.rng, 6 * step), step, k & 2);
		}
	assert_int_equal(tdo_reass_use(t.r).datagrams, 0);
	assert_int_equal(tdo_reass_use(t.r).bytes, 0);
	assert_int_equal(tdo_reass_use(t.r).sources, 0);
	assert_true(tdo_reass_expire(t.r, t.now) == UINT64_MAX);
	assert_true(t.allocated < 20000);
}

static void
test_largest(void **state)
{
	send(V4(.id = 1), 65515, STEP, false);
	send(V6(.id = 1), 65535, STEP, false);
	send(V4(.id = 1), 65515, 32768, true);
	send(V6(.id = 1), 65535, 32768, true);
	limit(4 << 20, MAX_DATAGRAMS);
	send(V4(.id = 1), 65515, 256, false);
}

/* Options come from the first fragment; IPv6 headers in front of the fragment header stay. */
static void
test_headers(void **state)
{
	struct fragment x;

	send(V6(.options = 16), 4000, STEP, false);
	x = piece(V4(.options = 8), 3000, STEP, 0);
	waits(&x);
	x = piece(V4(.tos = 0), 3000, STEP, 1);
	waits(&x);
	x = piece(V4(.tos = 0), 3000, STEP, 2);
	assert_int_equal(give(&x), TDO_REASS_WHOLE);
	expect_whole(V4(.options = 8), 3000);
	assert_int_equal(t.from.longest, 20 + 8 + STEP);
}

/* RFC 8200 4.5: what the first fragment announces is right; others may announce what they like. */
static void
test_next_header_of_first(void **state)
{
	struct fragment x = piece(V6(.proto = 6), 2000, STEP, 1);

	waits(&x);
	x = piece(V6(.proto = 17), 2000, STEP, 0);
	assert_int_equal(give(&x), TDO_REASS_WHOLE);
	expect_whole(V6(.proto = 17), 2000);
	assert_int_equal(t.out.ip.flow.proto, 17);
}

/* RFC 6946: nothing of another datagram touches an atomic fragment. */
static void
test_atomic(void **state)
{
	struct fragment x = {.v6 = true, .src = 2, .id = 9, .proto = 17, .data = t.data, .len = 80};

	waits(V6(.id = 9, .at = 800, .len = 80));
	assert_int_equal(give(&x), TDO_REASS_NONE);
	assert_int_equal(tdo_reass_use(t.r).datagrams, 1);
	x.v6 = false;
	assert_int_equal(give(&x), TDO_REASS_NONE);
}

static void
test_kept_apart(void **state)
{
	const struct fragment *other[] = {V4(.src = 0x0a000003), V4(.id = 8), V4(.proto = 6),
	    V6(.src = 3), V6(.id = 8), V6(.src = 2)};
	struct fragment x = piece(V4(.tos = 0), 2000, STEP, 0);

	waits(&x);
	x = piece(V6(.tos = 0), 2000, STEP, 0);
	x.id = 7;
	waits(&x);
	for (unsigned i = 0; i < 6; i++) {
		x = piece(other[i], 2000, STEP, 1);
		waits(&x);
	}
	t.way = 1;
	x = piece(V4(.tos = 0), 2000, STEP, 1);
	waits(&x);
	t.way = 0;
	assert_int_equal(give(&x), TDO_REASS_WHOLE);
}

/* ---- refused ---- */

static void
test_overlap(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const struct {
			uint32_t at, len;
			bool more;
		} bad[] = {
		    {800, 800, true},                    /* into the one before */
		    {1600, 808, true},                   /* into the one behind */
		    {1600, 1600, true},                  /* over the one behind */
		    {792, 1616, true},                   /* around one */
		    {0, 2400, true},                     /* all of them */
		    {2400, 1600, true},                  /* beyond the end */
		    {3200, 80, false},                   /* another end */
		    {2392, 8, false}, {2400, 800, true}, /* the last one is the last */
		};

		for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct fragment f = {.v6 = v6, .src = 2, .id = i + 1, .proto = 17};

			f.more = true;
			f.len = 808;
			waits(&f);
			f.at = 2400;
			f.len = 800;
			f.more = false;
			waits(&f);
			f.at = bad[i].at;
			f.len = bad[i].len;
			f.more = bad[i].more;
			drop(&f, TDO_REASON_REASS_OVERLAP, 3);
			/* RFC 5722 4: and those not yet received. */
			f.at = 808;
			f.len = 1592;
			f.more = true;
			drop(&f, TDO_REASON_REASS_SPOILT, 1);
		}
	}
	assert_int_equal(tdo_reass_use(t.r).bytes, 0);
	assert_int_equal(tdo_reass_use(t.r).datagrams, 18);
	/* The identification may come again. */
	t.now += TIMEOUT * TDO_SEC;
	send(V4(.id = 1), 3000, STEP, true);
	assert_int_equal(tdo_reass_use(t.r).datagrams, 0);
}

/* An end before what is there already. */
static void
test_end_before_rest(void **state)
{
	waits(V4(.at = 1600, .len = 800, .more = true));
	drop(V4(.at = 800, .len = 80), TDO_REASON_REASS_OVERLAP, 2);
}

static void
test_twice(void **state)
{
	struct fragment x = piece(V6(.tos = 0), 4000, STEP, 1);

	waits(&x);
	drop(&x, TDO_REASON_REASS_TWICE, 1);
	x = piece(V6(.tos = 0), 4000, STEP, 0);
	waits(&x);
	drop(&x, TDO_REASON_REASS_TWICE, 1);
	x = piece(V6(.tos = 0), 4000, STEP, 2);
	assert_int_equal(give(&x), TDO_REASS_WHOLE);
	expect_whole(V6(.tos = 0), 4000);
	/* With other contents it is no duplicate: one of the two is forged. */
	x = piece(V4(.tos = 0), 4000, STEP, 1);
	waits(&x);
	t.data[STEP + 1000] ^= 1;
	drop(&x, TDO_REASON_REASS_OVERLAP, 2);
}

static void
test_lying_lengths(void **state)
{
	drop(V4(.len = 804, .more = true), TDO_REASON_REASS_LENGTH, 1);
	drop(V6(.len = 804, .more = true), TDO_REASON_REASS_LENGTH, 1);
	drop(V4(.at = 800, .more = true), TDO_REASON_REASS_LENGTH, 1);
	drop(V6(.at = 800), TDO_REASON_REASS_LENGTH, 1);
	/* The parser knows that no datagram is so long. */
	drop(V4(.at = 65528, .len = 8), TDO_REASON_IP_HEADER, 1);
	drop(V6(.at = 65528, .len = 8), TDO_REASON_EXT_HEADER, 1);
	drop(V6(.at = 65520, .len = 15, .options = 8), TDO_REASON_REASS_LENGTH, 1);
	assert_int_equal(tdo_reass_use(t.r).datagrams, 0);
	/* Only the header of the first fragment makes it too long. */
	waits(V4(.at = 32768, .len = 32747));
	drop(V4(.len = 32768, .more = true, .options = 8), TDO_REASON_REASS_LENGTH, 2);
	/* What lies spoils the datagram that it belongs to. */
	waits(V4(.id = 3, .len = 800, .more = true));
	drop(V4(.id = 3, .at = 800, .len = 4, .more = true), TDO_REASON_REASS_LENGTH, 2);
	drop(V4(.id = 3, .at = 800, .len = 4), TDO_REASON_REASS_SPOILT, 1);
	/* Shorter than its own length says. */
	t.out.off = 0;
	fragment_make(V4(.len = 800, .more = true, .data = t.data), t.packet);
	assert_int_equal(
	    tdo_reass_add(t.r, t.packet, 700, 0, t.now, &t.out, NULL), TDO_REASS_DROPPED);
	assert_int_equal(t.lost[TDO_REASON_SHORT], 1);
}

/* RFC 7112, RFC 1858: the whole upper-layer header, in both families. */
static void
test_tiny_first(void **state)
{
	static const uint8_t proto[] = {6, 17, 1, 58, 132, 33, 136, 51, 4, 41};
	static const uint32_t min[] = {20, 8, 8, 8, 12, 12, 8, 12, 20, 40};

	for (unsigned i = 0; i < sizeof(proto); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct fragment f = {
			    .v6 = v6, .src = 2, .id = 100 + i, .proto = proto[i], .more = true};

			f.len = (min[i] - 1) & ~7u;
			if (f.len > 0)
				drop(&f, TDO_REASON_REASS_TINY, 1);
			f.len = (min[i] + 7) & ~7u;
			waits(&f);
		}
	/* The chain itself goes on in the second fragment. */
	t.data[0] = 17;
	t.data[1] = 1;
	drop(V6(.id = 1, .len = 8, .more = true, .proto = TDO_IPPROTO_DSTOPTS),
	    TDO_REASON_EXT_HEADER, 1);
	drop(V6(.id = 1, .len = 16, .more = true, .proto = TDO_IPPROTO_DSTOPTS),
	    TDO_REASON_REASS_TINY, 1);
	waits(V6(.id = 1, .len = 24, .more = true, .proto = TDO_IPPROTO_DSTOPTS));
}

/* RFC 3168 5.3. */
static void
test_ecn(void **state)
{
	enum { NOT, ECT1, ECT0, CE, LOST };
	static const uint8_t want[4][4] = {
	    {NOT, NOT, NOT, LOST},
	    {NOT, ECT1, ECT1, CE},
	    {NOT, ECT0, ECT0, CE},
	    {LOST, CE, CE, CE},
	};

	for (unsigned i = 0; i < 32; i++) {
		uint8_t a = i & 3, b = i >> 2 & 3;
		struct fragment f = {.v6 = i >> 4, .src = 2, .id = i, .proto = 17};
		struct fragment x = piece(&f, 2000, STEP, 0);

		x.tos = 0x48 | a;
		waits(&x);
		x = piece(&f, 2000, STEP, 1);
		x.tos = 0x80 | b;
		if (want[a][b] == LOST) {
			drop(&x, TDO_REASON_REASS_ECN, 2);
			continue;
		}
		assert_int_equal(give(&x), TDO_REASS_WHOLE);
		f.tos = 0x48 | want[a][b];
		expect_whole(&f, 2000);
	}
}

static void
test_too_many_fragments(void **state)
{
	limit(8 << 20, MAX_DATAGRAMS);
	for (unsigned i = 0; i < 256; i++)
		waits(V4(.at = 8 * i, .len = 8, .more = true, .proto = 254));
	drop(V4(.at = 8 * 256, .len = 8, .proto = 254), TDO_REASON_REASS_MANY, 257);
}

/* The first fragment is there as it came, with all of its headers. */
static void
test_late_with_first_fragment(void **state)
{
	static const uint32_t len[] = {STEP, 8, 40000};

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned i = 0; i < 12; i++) {
			struct fragment f = {.v6 = v6,
			    .src = 7,
			    .id = 0x10 + i,
			    .proto = TDO_IPPROTO_UDP,
			    .df = i & 1,
			    .options = i & 1 ? 16 : 0,
			    .data = t.data,
			    .more = true,
			    .at = 0,
			    .len = len[i / 4]};
			unsigned before = t.late;
			uint8_t *sent = t.packet;

			if (i & 2) { /* the others came first */
				f.at = 50000;
				f.len = 800;
				assert_int_equal(give(&f), TDO_REASS_WAITS);
				f.at = 0;
				f.len = len[i / 4];
			}
			assert_int_equal(give(&f), TDO_REASS_WAITS);
			t.now += TIMEOUT * TDO_SEC;
			assert_true(tdo_reass_expire(t.r, t.now) == UINT64_MAX);
			assert_int_equal(t.late, before + 1);
			assert_int_equal(t.first_len, fragment_make(&f, sent));
			assert_memory_equal(t.first, sent, t.first_len);
		}
}

/* Without it there is nothing to say, nor about what was spoilt, or took the place of others. */
static void
test_late_without(void **state)
{
	struct fragment f = {.src = 7,
	    .id = 1,
	    .proto = TDO_IPPROTO_UDP,
	    .data = t.data,
	    .more = true,
	    .at = 8,
	    .len = 800};

	assert_int_equal(give(&f), TDO_REASS_WAITS);
	f.id = 2;
	f.at = 0;
	assert_int_equal(give(&f), TDO_REASS_WAITS);
	f.at = 16;
	assert_int_equal(give(&f), TDO_REASS_DROPPED);
	f.at = 0;
	for (f.id = 100; f.id < 100 + MAX_DATAGRAMS; f.id++)
		assert_int_equal(give(&f), TDO_REASS_WAITS);
	assert_true(t.lost[TDO_REASON_REASS_EVICTED] > 0);
	assert_int_equal(t.late, 0);
	t.now += TIMEOUT * TDO_SEC;
	assert_true(tdo_reass_expire(t.r, t.now) == UINT64_MAX);
	assert_int_equal(t.late, MAX_DATAGRAMS / 4);
}

static void
test_timeout(void **state)
{
	tdo_ns start = t.now;
	struct fragment x = piece(V6(.tos = 0), 4000, STEP, 0);

	waits(&x);
	t.now += 29 * TDO_SEC;
	x = piece(V6(.tos = 0), 4000, STEP, 1);
	waits(&x); /* does not prolong it */
	assert_true(tdo_reass_expire(t.r, t.now) == start + TIMEOUT * TDO_SEC);
	t.now += TDO_SEC;
	assert_true(tdo_reass_expire(t.r, t.now) == UINT64_MAX);
	assert_int_equal(t.lost[TDO_REASON_REASS_TIMEOUT], 2);
	x = piece(V6(.tos = 0), 4000, STEP, 2);
	waits(&x);
	/* A clock that a caller read a little earlier. */
	assert_true(tdo_reass_expire(t.r, t.now - 5) == t.now + TIMEOUT * TDO_SEC);
}

/* ---- floods ---- */

/* What a neighbour has begun before a flood becomes whole behind it. */
static void
begin_neighbour(void)
{
	struct fragment x = piece(V4(.src = 0x0a010101, .id = 77), 20000, STEP, 0);

	waits(&x);
}

static void
end_neighbour(void)
{
	const struct fragment *f = V4(.src = 0x0a010101, .id = 77);
	unsigned n = pieces(20000, STEP);

	for (unsigned i = 1; i < n; i++) {
		struct fragment x = piece(f, 20000, STEP, i);

		assert_int_equal(give(&x), i + 1 < n ? TDO_REASS_WAITS : TDO_REASS_WHOLE);
	}
	expect_whole(f, 20000);
}

static void
flood(const struct fragment *f, unsigned n, unsigned sources)
{
	for (unsigned i = 0; i < n; i++) {
		struct fragment x = *f;

		x.data = t.data;
		x.src += i % sources;
		x.id = i / sources;
		assert_int_equal(give(&x), TDO_REASS_WAITS);
		assert_true(tdo_reass_use(t.r).bytes <= MAX_BYTES);
		assert_true(tdo_reass_use(t.r).datagrams <= MAX_DATAGRAMS);
	}
	assert_true(t.peak < MAX_BYTES + 300000);
}

static void
test_one_source_floods(void **state)
{
	begin_neighbour();
	/* Small ones, many datagrams; long ones, much memory. */
	flood(V4(.at = 8, .len = 8, .more = true), 20000, 1);
	assert_int_equal(t.lost[TDO_REASON_REASS_EVICTED], 20000 - MAX_DATAGRAMS / 4);
	flood(V4(.at = 8, .len = 60000, .more = true), 2000, 1);
	flood(V6(.at = 8, .len = 1400, .more = true), 20000, 1);
	end_neighbour();
}

/* A /64 is one source. */
static void
test_ipv6_network_floods(void **state)
{
	begin_neighbour();
	for (unsigned i = 0; i < 20000; i++) {
		struct fragment x = *V6(.at = 800, .len = 1400, .more = true);
		uint32_t len;

		x.data = t.data;
		len = fragment_make(&x, t.packet);
		tdo_put_be32(t.packet + 16, i * 7919);
		assert_int_equal(
		    tdo_reass_add(t.r, t.packet, len, 0, t.now, &t.out, NULL), TDO_REASS_WAITS);
	}
	assert_int_equal(tdo_reass_use(t.r).sources, 2);
	end_neighbour();
}

/* Several together have more than everything: those with much lose, not those with little. */
static void
test_some_sources_flood(void **state)
{
	begin_neighbour();
	flood(V4(.at = 8, .len = 60000, .more = true), 4000, 7);
	end_neighbour();
}

/* Endless fragments of one datagram. */
static void
test_endless_datagram(void **state)
{
	begin_neighbour();
	for (unsigned round = 0; round < 50; round++)
		for (unsigned i = 0; i < 8000; i++) {
			struct fragment x = *V4(.at = 8 + 8 * i, .len = 8, .more = true);

			x.data = t.data;
			(void)give(&x);
			assert_true(tdo_reass_use(t.r).bytes <= MAX_BYTES);
		}
	assert_int_equal(t.lost[TDO_REASON_REASS_SHARE] + t.lost[TDO_REASON_REASS_SPOILT], 400000);
	end_neighbour();
}

/* Nobody can be told from anybody: the oldest go, new ones become whole. */
static void
test_everybody_floods(void **state)
{
	flood(V4(.src = 0x0b000000, .at = 8, .len = 1400, .more = true), 30000, 30000);
	send(V4(.src = 0x0a010101), 20000, STEP, false);
	flood(V4(.src = 0x0b000000, .at = 8, .len = 1400, .more = true), 30000, 30000);
	t.now += TIMEOUT * TDO_SEC;
	assert_true(tdo_reass_expire(t.r, t.now) == UINT64_MAX);
	assert_int_equal(tdo_reass_use(t.r).sources, 0);
	assert_true(t.allocated < 20000);
}

static void
test_no_memory(void **state)
{
	struct tdo_reass_config cfg = {.mem = {mem_alloc, mem_free, NULL}, .random = random_bytes};
	struct tdo_reass *none = NULL;

	t.no_memory = true;
	assert_int_equal(tdo_reass_new(&cfg, &none), -12);
	assert_null(none);
	drop(V4(.len = 800, .more = true), TDO_REASON_REASS_SHARE, 1);
	assert_int_equal(tdo_reass_use(t.r).datagrams, 0);
	t.no_memory = false;
	/* Enough for one slab of fragments. */
	waits(V4(.len = 800, .more = true));
	t.no_memory = true;
	waits(V4(.id = 8, .len = 60000, .more = true));
	drop(V4(.id = 9, .len = 65000, .more = true), TDO_REASON_REASS_SHARE, 1);
	t.no_memory = false;
	send(V4(.id = 10), 40000, STEP, false);
}

static void
test_switched_off(void **state)
{
	waits(V4(.len = 800, .more = true));
	limit(0, MAX_DATAGRAMS);
	drop(V4(.id = 8, .len = 800, .more = true), TDO_REASON_REASS_SHARE, 1);
	drop(V4(.at = 800, .len = 800, .more = true), TDO_REASON_REASS_SHARE, 2);
	/* A smaller limit than what waits. */
	limit(MAX_BYTES, MAX_DATAGRAMS);
	for (unsigned i = 0; i < 60; i++)
		waits(V4(.src = 1 + i, .len = 8000, .more = true));
	limit(65536, 8);
	waits(V4(.src = 100, .len = 800, .more = true));
	assert_true(tdo_reass_use(t.r).bytes <= 65536);
	assert_true(tdo_reass_use(t.r).datagrams <= 8);
	/* Not even one can be kept. */
	limit(2048, 1);
	drop(V4(.src = 101, .len = 800, .more = true), TDO_REASON_REASS_SHARE, 1);
}

/* Where there is no room for the whole it is lost, not cut. */
static void
test_no_room(void **state)
{
	uint8_t small[2000];
	struct tdo_pkt out = {.buf = small, .cap = sizeof(small), .off = 100};
	struct fragment x = piece(V4(.tos = 0), 3000, STEP, 0);
	uint32_t len;

	waits(&x);
	x = piece(V4(.tos = 0), 3000, STEP, 1);
	waits(&x);
	x = piece(V4(.tos = 0), 3000, STEP, 2);
	len = fragment_make(&x, t.packet);
	assert_int_equal(
	    tdo_reass_add(t.r, t.packet, len, 0, t.now, &out, NULL), TDO_REASS_DROPPED);
	assert_int_equal(t.lost[TDO_REASON_NO_ROOM], 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_whole),
	    T(test_largest),
	    T(test_headers),
	    T(test_next_header_of_first),
	    T(test_atomic),
	    T(test_kept_apart),
	    T(test_overlap),
	    T(test_end_before_rest),
	    T(test_twice),
	    T(test_lying_lengths),
	    T(test_tiny_first),
	    T(test_ecn),
	    T(test_too_many_fragments),
	    T(test_timeout),
	    T(test_late_with_first_fragment),
	    T(test_late_without),
	    T(test_one_source_floods),
	    T(test_ipv6_network_floods),
	    T(test_some_sources_flood),
	    T(test_endless_datagram),
	    T(test_everybody_floods),
	    T(test_no_memory),
	    T(test_switched_off),
	    T(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
