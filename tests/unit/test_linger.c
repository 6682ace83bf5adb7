/* SPDX-License-Identifier: BSD-2-Clause */
/* When a worker waits awake, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/linger.h"

#define US    1000u
#define LIMIT (100 * US)

static struct tdo_linger l;
static tdo_ns now;

static int
setup(void **state)
{
	(void)state;
	tdo_linger_init(&l, LIMIT);
	now = TDO_SEC;
	return 0;
}

/* One wait after work, of a length that the next packet decides; returns how long it lingered. */
static tdo_ns
wait_after(unsigned work, unsigned packets, tdo_ns gap)
{
	tdo_ns t = tdo_linger_time(&l, work, packets, now);

	tdo_linger_learn(&l, gap);
	return t < gap ? t : gap;
}

static void
short_waits_are_spent_awake(void **state)
{
	(void)state;
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 80 * US);
}

/* The answer comes soon, the next request does not. */
static void
directions_are_learnt_apart(void **state)
{
	(void)state;
	(void)wait_after(TDO_WORK_OUT, 1, 80 * US);
	(void)wait_after(TDO_WORK_IN, 1, 2000 * US);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 80 * US);
		assert_int_equal(wait_after(TDO_WORK_IN, 1, 2000 * US), 0);
	}
}

static void
a_long_wait_costs_the_limit_once(void **state)
{
	(void)state;
	(void)wait_after(TDO_WORK_IN | TDO_WORK_OUT, 1, 10 * US);
	assert_int_equal(wait_after(TDO_WORK_IN | TDO_WORK_OUT, 1, 5000 * US), LIMIT);
	for (int i = 0; i < 10; i++)
		assert_int_equal(wait_after(TDO_WORK_IN | TDO_WORK_OUT, 1, 5000 * US), 0);
}

/* The time to wake up is part of what was measured: else nothing just below the limit is learnt. */
static void
waits_asleep_may_be_longer(void **state)
{
	(void)state;
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, LIMIT + 50 * US), 0);
	assert_int_equal(tdo_linger_time(&l, TDO_WORK_OUT, 1, now), LIMIT);
	tdo_linger_learn(&l, LIMIT + 50 * US);
	assert_int_equal(tdo_linger_time(&l, TDO_WORK_OUT, 1, now), 0);
}

static void
bulk_traffic_does_not_linger(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_after(TDO_WORK_OUT, TDO_LINGER_BULK + 1, 1), 0);
	(void)wait_after(TDO_WORK_OUT, TDO_LINGER_BULK, 1);
	assert_int_equal(tdo_linger_time(&l, TDO_WORK_OUT, TDO_LINGER_BULK, now), LIMIT);
}

/* A thread that sleeps is woken before one that gives way, so where there are others it sleeps. */
static void
a_crowded_processor_is_left_to_others(void **state)
{
	(void)state;
	(void)wait_after(TDO_WORK_OUT, 1, 80 * US);
	assert_true(tdo_linger_yielded(&l, now, now + 1 * US));
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 80 * US);
	assert_false(tdo_linger_yielded(&l, now, now + 500 * US));
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 0);
	now += TDO_LINGER_PAUSE;
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 0);
	now += 500 * US;
	assert_int_equal(wait_after(TDO_WORK_OUT, 1, 80 * US), 80 * US);
}

static void
nothing_is_done_without_work_or_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_after(TDO_WORK_NONE, 0, 1), 0);
	tdo_linger_init(&l, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_after(TDO_WORK_OUT, 1, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(short_waits_are_spent_awake, setup),
	    cmocka_unit_test_setup(directions_are_learnt_apart, setup),
	    cmocka_unit_test_setup(a_long_wait_costs_the_limit_once, setup),
	    cmocka_unit_test_setup(waits_asleep_may_be_longer, setup),
	    cmocka_unit_test_setup(bulk_traffic_does_not_linger, setup),
	    cmocka_unit_test_setup(a_crowded_processor_is_left_to_others, setup),
	    cmocka_unit_test_setup(nothing_is_done_without_work_or_limit, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
