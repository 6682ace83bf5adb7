/* SPDX-License-Identifier: BSD-2-Clause */
/* Places for addresses: each has its own, and the oldest lose theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "base/recent.h"
#include "rng.h"

enum { SIZE = 256 };

static struct tdo_recent t;

static struct tdo_addr
address(uint32_t i)
{
	struct tdo_addr a = {.af = i % 2 ? TDO_AF_INET6 : TDO_AF_INET};

	tdo_put_be32(a.b, i / 2);
	return a;
}

static int
setup(void **state)
{
	void *memory = calloc(1, tdo_recent_memory(SIZE));

	(void)state;
	tdo_recent_init(&t, SIZE, memory);
	return memory == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	free(t.place);
	return 0;
}

static uint32_t
take(uint32_t i, tdo_ns now, bool want_new)
{
	struct tdo_addr a = address(i);
	bool unknown;
	uint32_t place = tdo_recent_take(&t, &a, now, &unknown);

	assert_int_equal(unknown, want_new);
	assert_true(place < SIZE);
	return place;
}

static void
all_that_fit_have_their_own(void **state)
{
	uint32_t place[SIZE];
	bool taken[SIZE] = {false};
	struct tdo_addr a = address(7);

	(void)state;
	assert_int_equal(tdo_recent_find(&t, &a), TDO_RECENT_NONE);
	for (uint32_t i = 0; i < SIZE; i++) {
		place[i] = take(i, 1 + i, true);
		assert_false(taken[place[i]]);
		taken[place[i]] = true;
	}
	for (uint32_t i = 0; i < SIZE; i++) {
		a = address(i);
		assert_int_equal(take(i, 1000, false), place[i]);
		assert_int_equal(tdo_recent_find(&t, &a), place[i]);
	}
}

/* Those in use stay, whatever comes; what was given away is not found any more. */
static void
the_oldest_lose_theirs(void **state)
{
	struct rng r = {11};
	struct tdo_addr a;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		(void)take(i, 1, true);
	for (tdo_ns now = 2; now < 200000; now++) {
		(void)take(1000 + (uint32_t)now, now, true);
		(void)take(rng_below(&r, 2), now, false);
		assert_true(t.n <= SIZE);
	}
	for (uint32_t i = 2; i < 100; i++) {
		a = address(i);
		assert_int_equal(tdo_recent_find(&t, &a), TDO_RECENT_NONE);
	}
}

/* Finding does not count as using. */
static void
looking_keeps_nothing(void **state)
{
	struct tdo_addr a = address(0);

	(void)state;
	(void)take(0, 1, true);
	for (tdo_ns now = 2; now < 2000; now++) {
		(void)tdo_recent_find(&t, &a);
		(void)take((uint32_t)now, now, true);
	}
	assert_int_equal(tdo_recent_find(&t, &a), TDO_RECENT_NONE);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(all_that_fit_have_their_own),
	    T(the_oldest_lose_theirs),
	    T(looking_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
