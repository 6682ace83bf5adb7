/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compression: streams of another implementation (Python's zlib), hostile ones, and bounds.
 * Output buffers are as large as the bound and not larger, so that a sanitizer sees what is
 * written behind them; the other builds look at the bytes there.
 */
#include <errno.h>
#include <libdeflate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "rng.h"
#include "testudo/comp.h"
#include "vector_reader.h"

enum { BIG = 65535, GUARD = 64, GUARD_BYTE = 0x5a };

static const struct tdo_mem mem = TEST_MEM;
static const struct tdo_comp_alg *deflate;

static struct tdo_comp *
comp_new(void)
{
	struct tdo_comp *c = NULL;

	assert_int_equal(tdo_comp_new(&mem, &c), 0);
	return c;
}

/* Inflates into exactly cap bytes and looks at those behind them. */
static enum tdo_comp_status
inflate(struct tdo_comp *c, const uint8_t *in, size_t len, uint8_t *out, size_t cap, size_t *ret)
{
	uint8_t *buf = malloc(cap + GUARD);
	enum tdo_comp_status s;

	assert_non_null(buf);
	memset(buf, GUARD_BYTE, cap + GUARD);
	*ret = SIZE_MAX;
	s = tdo_comp_inflate(c, deflate, in, len, buf, cap, ret);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(buf[cap + i], GUARD_BYTE);
	if (s == TDO_COMP_OK) {
		assert_true(*ret <= cap);
		memcpy(out, buf, *ret);
	} else {
		assert_true(*ret == SIZE_MAX);
	}
	free(buf);
	return s;
}

/* ---- the table ---------------------------------------------------------------------- */

static void
algorithms_have_their_numbers(void **state)
{
	static const struct {
		const char *name;
		unsigned number;
	} want[] = {{"oui", 1}, {"deflate", 2}, {"lzs", 3}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const struct tdo_comp_alg *a = tdo_comp_alg_at(i);

		assert_string_equal(a->name, want[i].name);
		assert_int_equal(a->pfkey, want[i].number);
		assert_int_equal(a->cpi, want[i].number);
		assert_ptr_equal(tdo_comp_alg(a->pfkey), a);
		assert_ptr_equal(tdo_comp_alg_by_cpi(a->cpi), a);
		assert_ptr_equal(tdo_comp_alg_by_name(a->name), a);
	}
	assert_null(tdo_comp_alg_at(3));
	assert_int_equal(deflate->min_len, 90);
	assert_null(deflate->not_there);
}

static void
what_is_not_there_says_so_and_does_nothing(void **state)
{
	struct tdo_comp *c = comp_new();
	uint8_t in[200] = {0}, out[200];
	size_t n;

	(void)state;
	assert_null(tdo_comp_alg(0));
	assert_null(tdo_comp_alg(4));
	assert_null(tdo_comp_alg_by_cpi(0));
	assert_null(tdo_comp_alg_by_cpi(4));
	assert_null(tdo_comp_alg_by_cpi(0x10002));
	assert_null(tdo_comp_alg_by_name("DEFLATE"));
	assert_null(tdo_comp_alg_by_name(""));
	assert_non_null(strstr(tdo_comp_alg(3)->not_there, "RFC 2395"));
	assert_non_null(strstr(tdo_comp_alg(1)->not_there, "oui"));
	for (unsigned i = 1; i <= 3; i += 2) {
		assert_int_equal(tdo_comp_deflate(c, tdo_comp_alg(i), in, 200, out, 200), 0);
		assert_int_equal(
		    tdo_comp_inflate(c, tdo_comp_alg(i), in, 200, out, 200, &n), TDO_COMP_BAD);
	}
	tdo_comp_free(c);
}

/* ---- memory ------------------------------------------------------------------------- */

static unsigned lib_calls, lib_fail_at;

static void *
lib_alloc(size_t n)
{
	return ++lib_calls == lib_fail_at ? NULL : malloc(n);
}

static void
no_memory_is_reported(void **state)
{
	bool no_memory = true;
	struct tdo_mem none = TEST_MEM_UNLESS(no_memory);
	struct tdo_comp *c = NULL;

	(void)state;
	assert_int_equal(tdo_comp_new(&none, &c), -ENOMEM);
	libdeflate_set_memory_allocator(lib_alloc, free);
	for (lib_fail_at = 1; lib_fail_at <= 2; lib_fail_at++) {
		lib_calls = 0;
		assert_int_equal(tdo_comp_new(&mem, &c), -ENOMEM);
		assert_null(c);
	}
	lib_calls = lib_fail_at = 0;
	assert_int_equal(tdo_comp_new(&mem, &c), 0);
	assert_int_equal(lib_calls, 2);
	tdo_comp_free(c);
	tdo_comp_free(NULL);
	libdeflate_set_memory_allocator(malloc, free);
}

static void
packets_allocate_nothing(void **state)
{
	struct tdo_comp *c;
	uint8_t *in = calloc(1, BIG), *out = malloc(BIG);
	size_t n, m;

	(void)state;
	libdeflate_set_memory_allocator(lib_alloc, free);
	c = comp_new();
	lib_calls = 0;
	n = tdo_comp_deflate(c, deflate, in, BIG, out, BIG);
	assert_true(n > 0);
	assert_int_equal(tdo_comp_inflate(c, deflate, out, n, in, BIG, &m), TDO_COMP_OK);
	assert_int_equal(lib_calls, 0);
	tdo_comp_free(c);
	libdeflate_set_memory_allocator(malloc, free);
	free(in);
	free(out);
}

/* ---- streams of somebody else ------------------------------------------------------- */

struct stream {
	uint8_t in[8192], plain[8192];
	size_t in_len, plain_len;
	bool ok, bad; /* neither: libraries differ */
};

static bool
next(struct vector_reader *r, struct stream *s)
{
	if (!vector_next(r))
		return false;
	s->in_len = vector_hex(r, "stream", s->in, sizeof(s->in));
	s->plain_len = vector_hex(r, "plain", s->plain, sizeof(s->plain));
	s->ok = strcmp(vector_text(r, "result"), "ok") == 0;
	s->bad = strcmp(vector_text(r, "result"), "bad") == 0;
	return true;
}

static void
streams_of_zlib_are_understood(void **state)
{
	struct tdo_comp *c = comp_new();
	struct vector_reader r;
	struct stream s;
	uint8_t out[8192];
	unsigned good = 0, bad = 0;
	size_t n;

	(void)state;
	vector_open(&r, "deflate.txt");
	while (next(&r, &s)) {
		enum tdo_comp_status got = inflate(c, s.in, s.in_len, out, sizeof(out), &n);

		if (!s.ok) {
			assert_int_not_equal(got, TDO_COMP_TOOBIG);
			assert_true(!s.bad || got == TDO_COMP_BAD);
			bad += s.bad;
			continue;
		}
		assert_int_equal(got, TDO_COMP_OK);
		assert_int_equal(n, s.plain_len);
		assert_memory_equal(out, s.plain, n);
		good++;
	}
	vector_close(&r);
	assert_int_equal(good, 81);
	assert_int_equal(bad, 11);
	tdo_comp_free(c);
}

/* D3: every stream that was cut is refused, wherever; nothing waits for more. */
static void
d03_truncated_streams_are_refused(void **state)
{
	struct tdo_comp *c = comp_new();
	struct vector_reader r;
	struct stream s;
	uint8_t out[8192];
	size_t n;

	(void)state;
	vector_open(&r, "deflate.txt");
	while (next(&r, &s))
		for (size_t len = 0; s.ok && len < s.in_len; len++)
			assert_int_equal(inflate(c, s.in, len, out, sizeof(out), &n), TDO_COMP_BAD);
	vector_close(&r);
	tdo_comp_free(c);
}

/* D3, R63: old zlibs wanted an extra byte behind a raw stream, and senders learned to add one. */
static void
d03_bytes_behind_the_end_are_ignored(void **state)
{
	struct tdo_comp *c = comp_new();
	struct vector_reader r;
	struct stream s;
	uint8_t out[8192];
	size_t n;

	(void)state;
	vector_open(&r, "deflate.txt");
	while (next(&r, &s)) {
		for (size_t more = 1; s.ok && more <= 9; more++) {
			memset(s.in + s.in_len, 0xff, more);
			assert_int_equal(
			    inflate(c, s.in, s.in_len + more, out, sizeof(out), &n), TDO_COMP_OK);
			assert_int_equal(n, s.plain_len);
			assert_memory_equal(out, s.plain, n);
		}
	}
	vector_close(&r);
	tdo_comp_free(c);
}

/* ---- bounds ------------------------------------------------------------------------- */

static void
d03_output_stops_at_the_bound(void **state)
{
	struct tdo_comp *c = comp_new();
	struct vector_reader r;
	struct stream s;
	uint8_t out[8192];
	size_t n;

	(void)state;
	vector_open(&r, "deflate.txt");
	while (next(&r, &s)) {
		if (!s.ok)
			continue;
		for (size_t cap = 0; cap < s.plain_len; cap += 1 + cap / 8)
			assert_int_equal(inflate(c, s.in, s.in_len, out, cap, &n), TDO_COMP_TOOBIG);
		assert_int_equal(
		    inflate(c, s.in, s.in_len, out, s.plain_len - (s.plain_len != 0), &n),
		    s.plain_len == 0 ? TDO_COMP_OK : TDO_COMP_TOOBIG);
		assert_int_equal(inflate(c, s.in, s.in_len, out, s.plain_len, &n), TDO_COMP_OK);
		assert_int_equal(n, s.plain_len);
	}
	vector_close(&r);
	tdo_comp_free(c);
}

/* 64 KB that would become 60 MB. */
static void
d03_bomb_costs_the_bound(void **state)
{
	struct tdo_comp *c = comp_new();
	size_t huge = 60u << 20, n;
	uint8_t *zeros = calloc(1, huge), *bomb = malloc(BIG), *out = malloc(BIG);
	size_t len = tdo_comp_deflate(c, deflate, zeros, huge, bomb, BIG);

	(void)state;
	assert_true(len > 0 && len < BIG);
	assert_int_equal(inflate(c, bomb, len, out, BIG, &n), TDO_COMP_TOOBIG);
	assert_int_equal(inflate(c, bomb, len, out, 0, &n), TDO_COMP_TOOBIG);
	free(zeros);
	free(bomb);
	free(out);
	tdo_comp_free(c);
}

static void
compression_stops_at_the_bound(void **state)
{
	struct tdo_comp *c = comp_new();
	struct rng r = rng_seed(7);
	uint8_t in[2000], out[2000 + GUARD];
	size_t whole;

	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)rng_below(&r, 6);
	whole = tdo_comp_deflate(c, deflate, in, sizeof(in), out, sizeof(out));
	assert_true(whole > 0 && whole < sizeof(in));
	for (size_t cap = 0; cap < sizeof(in); cap++) {
		size_t n;

		memset(out + cap, GUARD_BYTE, GUARD);
		n = tdo_comp_deflate(c, deflate, in, sizeof(in), out, cap);
		for (unsigned i = 0; i < GUARD; i++)
			assert_int_equal(out[cap + i], GUARD_BYTE);
		assert_true(n == 0 || n == whole);
		if (cap >= whole + TDO_COMP_SLACK)
			assert_int_equal(n, whole);
	}
	tdo_comp_free(c);
}

/* ---- noise -------------------------------------------------------------------------- */

static void
d03_junk_does_no_harm(void **state)
{
	struct tdo_comp *c = comp_new();
	struct rng r = rng_seed_new();
	unsigned count[3] = {0};
	uint8_t in[300], *out = malloc(BIG);
	size_t n;

	(void)state;
	for (unsigned i = 0; i < rng_rounds(20000); i++) {
		size_t len = rng_below(&r, sizeof(in));

		rng_fill(&r, in, len);
		if (len > 0 && i % 2)
			in[0] = (uint8_t)((in[0] & 0xf8) | (i / 2 % 3) << 1 | 1);
		count[inflate(c, in, len, out, rng_below(&r, 4000), &n)]++;
	}
	assert_true(count[TDO_COMP_BAD] > 0);
	free(out);
	tdo_comp_free(c);
}

/* Streams with a changed byte give anything, within the bound; the next one is as ever. */
static void
d03_a_bad_stream_leaves_nothing_behind(void **state)
{
	struct tdo_comp *c = comp_new();
	struct rng r = rng_seed_new();
	uint8_t plain[1400], good[1400 + TDO_COMP_SLACK], bad[sizeof(good)], *out = malloc(BIG);
	size_t len, n;

	(void)state;
	for (unsigned i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)("abcdefgh"[rng_below(&r, 8)] + i % 3);
	len = tdo_comp_deflate(c, deflate, plain, sizeof(plain), good, sizeof(good));
	assert_true(len > 0);
	for (unsigned i = 0; i < rng_rounds(3000); i++) {
		memcpy(bad, good, len);
		bad[rng_below(&r, (uint32_t)len)] ^= (uint8_t)(1 + rng_below(&r, 255));
		(void)inflate(c, bad, len, out, rng_below(&r, BIG), &n);
		assert_int_equal(inflate(c, good, len, out, sizeof(plain), &n), TDO_COMP_OK);
		assert_int_equal(n, sizeof(plain));
		assert_memory_equal(out, plain, n);
	}
	free(out);
	tdo_comp_free(c);
}

static void
every_size_comes_back(void **state)
{
	struct tdo_comp *c = comp_new();
	struct rng r = rng_seed_new();
	uint8_t *in = malloc(BIG), *z = malloc(2 * BIG), *out = malloc(BIG);
	size_t n, m;

	(void)state;
	for (size_t len = 0; len <= BIG; len += 1 + len / 16) {
		uint32_t symbols = 1 + rng_below(&r, 256);

		for (size_t i = 0; i < len; i++)
			in[i] = (uint8_t)rng_below(&r, symbols);
		n = tdo_comp_deflate(c, deflate, in, len, z, 2 * BIG);
		assert_true(n > 0);
		assert_int_equal(inflate(c, z, n, out, len, &m), TDO_COMP_OK);
		assert_int_equal(m, len);
		assert_memory_equal(in, out, len);
	}
	free(in);
	free(z);
	free(out);
	tdo_comp_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(algorithms_have_their_numbers),
	    cmocka_unit_test(what_is_not_there_says_so_and_does_nothing),
	    cmocka_unit_test(no_memory_is_reported),
	    cmocka_unit_test(packets_allocate_nothing),
	    cmocka_unit_test(streams_of_zlib_are_understood),
	    cmocka_unit_test(d03_truncated_streams_are_refused),
	    cmocka_unit_test(d03_bytes_behind_the_end_are_ignored),
	    cmocka_unit_test(d03_output_stops_at_the_bound),
	    cmocka_unit_test(d03_bomb_costs_the_bound),
	    cmocka_unit_test(compression_stops_at_the_bound),
	    cmocka_unit_test(d03_junk_does_no_harm),
	    cmocka_unit_test(d03_a_bad_stream_leaves_nothing_behind),
	    cmocka_unit_test(every_size_comes_back),
	};

	deflate = tdo_comp_alg_by_name("deflate");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
