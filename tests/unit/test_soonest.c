/* SPDX-License-Identifier: BSD-2-Clause */
/* What is due first, against a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/soonest.h"
#include "rng.h"

enum { N = 200 };

static tdo_ns at[N];

static void
check_first(const struct tdo_soonest *s)
{
	tdo_ns least = 0, got = 0;
	uint32_t first = tdo_soonest_first(s, &got), n = 0;

	for (unsigned i = 0; i < N; i++) {
		n += at[i] != 0;
		if (at[i] != 0 && (least == 0 || at[i] < least))
			least = at[i];
	}
	assert_int_equal(s->n, n);
	if (least == 0) {
		assert_int_equal(first, TDO_SOONEST_NONE);
		return;
	}
	assert_int_equal(got, least);
	assert_int_equal(at[first], least);
}

static void
the_first_is_known(void **state)
{
	void *memory = calloc(1, tdo_soonest_memory(N));
	struct tdo_soonest s;
	struct rng r = {5};

	(void)state;
	assert_non_null(memory);
	memset(at, 0, sizeof(at));
	tdo_soonest_init(&s, memory);
	check_first(&s);
	for (unsigned k = 0; k < 50000; k++) {
		uint32_t i = rng_below(&r, N);

		/* Phases in which it fills up, and in which it becomes empty. */
		at[i] =
		    rng_below(&r, 1000) < (k / 5000 % 2 ? 300 : 700) ? 1 + rng_below(&r, 500) : 0;
		tdo_soonest_set(&s, i, at[i]);
		check_first(&s);
	}
	for (uint32_t i = 0; i < N; i++) {
		at[i] = 0;
		tdo_soonest_set(&s, i, 0);
		tdo_soonest_set(&s, i, 0);
		check_first(&s);
	}
	free(memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
