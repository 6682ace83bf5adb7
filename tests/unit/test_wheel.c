/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers against a list: each is due exactly once, not early, in steps of a budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/wheel.h"
#include "rng.h"

enum { N = 300 };

static struct tdo_wheel w;
static struct tdo_wheel_node node[N];

static int
setup(void **state)
{
	(void)state;
	memset(node, 0, sizeof(node));
	tdo_wheel_init(&w);
	return 0;
}

static unsigned
set_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N; i++)
		n += node[i].next != NULL;
	return n;
}

/* Everything that is due at now comes, and nothing else. */
static void
take_due(tdo_ns now)
{
	unsigned due = 0, got = 0, budget = 1000000;
	struct tdo_wheel_node *n;

	for (unsigned i = 0; i < N; i++)
		due += node[i].next && node[i].at <= now;
	while ((n = tdo_wheel_due(&w, now, &budget)) != NULL) {
		assert_true(n->at <= now);
		assert_null(n->next);
		got++;
	}
	assert_int_not_equal(budget, 0);
	assert_int_equal(got, due);
	assert_int_equal(w.n, set_count());
}

static void
random_timers_are_due_in_time(void **state)
{
	struct rng r = {3};
	tdo_ns now = rng_next(&r) >> 20;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		struct tdo_wheel_node *n = &node[rng_below(&r, N)];

		switch (rng_below(&r, 4)) {
		case 0:
			tdo_wheel_clear(&w, n);
			break;
		case 1:
			now += rng_next(&r) >> (24 + rng_below(&r, 39));
			take_due(now);
			break;
		default: /* in the past, now, near, very far */
			tdo_wheel_set(&w, n,
			    rng_below(&r, 8) ? now + (rng_next(&r) >> rng_below(&r, 62)) - 5
					     : rng_next(&r));
			break;
		}
	}
	take_due(UINT64_MAX);
	assert_int_equal(w.n, 0);
}

static void
timers_of_one_moment_keep_their_order(void **state)
{
	unsigned budget = 100000;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		tdo_wheel_set(&w, &node[i], 3600 * TDO_SEC);
	assert_null(tdo_wheel_due(&w, 3600 * TDO_SEC - 1, &budget));
	for (unsigned i = 0; i < N; i++)
		assert_ptr_equal(tdo_wheel_due(&w, 3600 * TDO_SEC, &budget), &node[i]);
}

/* However much there is to do, a step costs no more than its budget, and all is done at last. */
static void
work_is_done_in_steps(void **state)
{
	unsigned got = 0, steps = 0, budget;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		tdo_wheel_set(&w, &node[i], 1000 * TDO_SEC + i);
	do {
		budget = 10;
		while (tdo_wheel_due(&w, 2000 * TDO_SEC, &budget) != NULL)
			got++;
		assert_in_range(got, 0, ++steps * 10);
	} while (budget == 0);
	assert_int_equal(got, N);
	assert_true(steps >= N / 10);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(random_timers_are_due_in_time, setup),
	    cmocka_unit_test_setup(timers_of_one_moment_keep_their_order, setup),
	    cmocka_unit_test_setup(work_is_done_in_steps, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
