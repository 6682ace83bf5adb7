/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum with each instruction set that the machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pktgen.h"
#include "rng.h"
/* The pieces that it chooses from are nobody else's. */
#include "../src/wire/csum.c"

#define LEN_MAX 65535u

typedef uint64_t sum_fn(uint8_t *dst, const uint8_t *src, size_t len);

static uint8_t src[LEN_MAX + 64], dst[LEN_MAX + 64];

static void
compare(sum_fn *sum, size_t off, size_t len)
{
	uint64_t s;

	memset(dst, 0xee, sizeof(dst));
	s = sum(dst + off, src + off, len);
	assert_memory_equal(dst + off, src + off, len);
	assert_int_equal(dst[off + len], 0xee);
	assert_int_equal(tdo_csum_fold(settle(s)), pktgen_csum(src + off, len));
	assert_int_equal(sum(NULL, src + off, len), s);
}

static void
all_lengths(sum_fn *sum)
{
	struct rng r = {0x51};

	rng_fill(&r, src, sizeof(src));
	for (size_t len = WIDE; len <= 2048; len += WIDE)
		compare(sum, rng_below(&r, 64), len);
	compare(sum, 1, LEN_MAX / WIDE * WIDE);
	/* As large as sums become. */
	memset(src, 0xff, sizeof(src));
	compare(sum, 3, LEN_MAX / WIDE * WIDE);
}

static void
plain(void **state)
{
	(void)state;
	all_lengths(sum_plain);
}

static void
avx2(void **state)
{
	(void)state;
#ifdef FOR
	if (__builtin_cpu_supports("avx2")) {
		all_lengths(sum_avx2);
		return;
	}
#endif
	skip();
}

static void
avx512(void **state)
{
	(void)state;
#ifdef FOR
	if (__builtin_cpu_supports("avx512f")) {
		all_lengths(sum_avx512);
		return;
	}
#endif
	skip();
}

/* Whole steps and what is left of them. */
static void
the_best_of_them(void **state)
{
	struct rng r = {0x52};

	(void)state;
	rng_fill(&r, src, sizeof(src));
	for (size_t len = 0; len < 700; len++) {
		size_t off = rng_below(&r, 64);
		uint32_t sum = rng_below(&r, 0x10000), want;

		memset(dst, 0xee, sizeof(dst));
		/* RFC 1071 2 A: the order of the parts is free. */
		want = (uint32_t)(uint16_t)~pktgen_csum(src + off, len) + sum;
		assert_int_equal(tdo_csum_fold(tdo_csum_copy(sum, dst + off, src + off, len)),
		    tdo_csum_fold(want));
		assert_int_equal(
		    tdo_csum_fold(tdo_csum_add(sum, src + off, len)), tdo_csum_fold(want));
		assert_memory_equal(dst + off, src + off, len);
		assert_int_equal(dst[off + len], 0xee);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),
	    cmocka_unit_test(avx2),
	    cmocka_unit_test(avx512),
	    cmocka_unit_test(the_best_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
