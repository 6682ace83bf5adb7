/* SPDX-License-Identifier: BSD-2-Clause */
/* A data process is killed: its successor has the same SAs, policies and knobs. */
#define _GNU_SOURCE /* memmem */
#include <errno.h>

#include "journal_case.h"

static void
everything_comes_back(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 7), b = sa(0x1001, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);
	struct tdo_sa_info info;
	struct tdo_wr w;

	a.has_hard = true;
	a.hard.addtime = 1000;
	add_sa(&a);
	add_sa(&b);
	add_sp(&s, TDO_SADB_X_SPDADD);
	add_sp(&t, TDO_SADB_X_SPDADD);
	delete_sa(&b);
	w = begin(TDO_SADB_X_SPDDELETE, 0);
	tdo_sadb_put_sp_param(&w, &t);
	assert_int_equal(request(&w), 0);
	/* A refused request leaves no trace. */
	w = begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&w, &a);
	assert_int_equal(request(&w), EEXIST);
	assert_int_equal(tdo_knob_set(p.engine, TDO_KNOB_DFBIT, TDO_AF_INET, 1), 0);
	tdo_journal_knob(&p.journal, TDO_KNOB_DFBIT, TDO_AF_INET, 1);

	restart(START + 400);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.reqid, 7);
	assert_int_equal(info.param.replay, 64);
	assert_int_equal(info.param.hard.addtime, 600);
	assert_memory_equal(info.param.ekey, ekey, 16);
	assert_memory_equal(info.param.akey, akey, 20);
	assert_int_equal(tdo_knob_get(p.engine, TDO_KNOB_DFBIT, TDO_AF_INET), 1);

	/* The second successor, after the lifetime. */
	restart(START + 2000);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
}

/* Lifetimes are no business of the wall clock: a machine may learn the time late. */
static void
a_jump_of_the_wall_clock_ends_no_lifetime(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct tdo_sa_info info;

	a.has_hard = true;
	a.hard.addtime = a.hard.usetime = s.lifetime = 1000;
	add_sa(&a);
	add_sp(&s, TDO_SADB_X_SPDADD);
	wall_jump = 1000000000;
	restart(START + 10);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.hard.addtime, 990);
	assert_int_equal(info.param.hard.usetime, 1000);
	/* Nor does setting it back prolong one. */
	wall_jump = 0;
	restart(START + 1001);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
}

static void
full_journal_is_known(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);
	size_t size;

	add_sp(&s, TDO_SADB_X_SPDADD);
	size = p.state.half_size;
	p.state.half_size = tdo_state_used(&p.state); /* no further record fits */
	add_sp(&t, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_GAPS);
	/* With room again, compaction writes down what is missing. */
	p.state.half_size = size;
	p.journal.stale = true;
	tdo_journal_tick(&p.journal, p.now + 60 * TDO_SEC);
	assert_int_equal(tdo_state_marks(&p.state), 0);
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 2);
}

static void
flushes_are_replayed_and_keys_are_wiped(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct tdo_wr w;

	add_sa(&a);
	add_sp(&s, TDO_SADB_X_SPDADD);
	flush_sas(0);
	w = begin(TDO_SADB_X_SPDFLUSH, 0);
	assert_int_equal(request(&w), 0);
	p.now += 60 * TDO_SEC;
	tdo_journal_tick(&p.journal, p.now);
	assert_int_equal(tdo_state_used(&p.state), 0);
	assert_null(memmem(region, SIZE, ekey, sizeof(ekey)));
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
}

static void
churn_does_not_fill_it(void **state)
{
	warnings = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		struct tdo_sa_param a = sa(0x1000 + i % 50, 0);

		add_sa(&a);
		delete_sa(&a);
	}
	assert_int_equal(warnings, 0);
	assert_false(p.journal.full);
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(everything_comes_back),
	    T(a_jump_of_the_wall_clock_ends_no_lifetime),
	    T(full_journal_is_known),
	    T(flushes_are_replayed_and_keys_are_wiped),
	    T(churn_does_not_fill_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
