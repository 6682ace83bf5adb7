/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies of a data process that is killed: their order, their numbers, and those that are lost.
 */
#include <errno.h>

#include "engine/spd.h"
#include "journal_case.h"

static struct tdo_sp_info
the_policy(const struct tdo_sp_param *s)
{
	struct tdo_sp_info info;

	assert_int_equal(tdo_sp_find(p.engine, s->dir, &s->sel, &info), 0);
	return info;
}

static void
replaced_objects_are_the_new_ones(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);

	add_sp(&s, TDO_SADB_X_SPDADD);
	s.req[0].level = TDO_LEVEL_USE;
	add_sp(&s, TDO_SADB_X_SPDUPDATE);
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	assert_int_equal(the_policy(&s).param.req[0].level, TDO_LEVEL_USE);
}

static void
expect_ports(uint16_t first, uint16_t second)
{
	struct tdo_sp_snap *snap;
	struct tdo_sp_info info;

	assert_int_equal(tdo_sp_snap_new(p.engine, &snap), 0);
	assert_int_equal(tdo_sp_snap_left(snap), 2);
	assert_true(tdo_sp_snap_next(snap, &info));
	assert_int_equal(info.param.sel.dport.lo, first);
	assert_true(tdo_sp_snap_next(snap, &info));
	assert_int_equal(info.param.sel.dport.lo, second);
	tdo_sp_snap_free(snap);
}

/* The first match counts: an update must not move a policy, also not by a restart (D34). */
static void
updates_keep_the_order(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);

	add_sp(&s, TDO_SADB_X_SPDADD);
	add_sp(&t, TDO_SADB_X_SPDADD);
	add_sp(&s, TDO_SADB_X_SPDUPDATE);
	expect_ports(80, 81);
	restart(START);
	expect_ports(80, 81);
}

/* A process that is killed before it has heard of the update still leaves the policy behind. */
static void
updates_leave_no_gap(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);

	add_sp(&s, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_sp_update(p.engine, &s, p.now, NULL, NULL), 0);
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
}

/* An update gave the policy a lifetime that ends while no process runs. */
static void
updated_lifetime_ends(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);

	add_sp(&s, TDO_SADB_X_SPDADD);
	s.lifetime = 10;
	add_sp(&s, TDO_SADB_X_SPDUPDATE);
	restart(START + 60);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
}

/* A policy that cannot be put back is missed, by later successors too. */
static void
lost_policies_are_known(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);

	add_sp(&s, TDO_SADB_X_SPDADD);
	cover_result = -ENOSPC;
	restart(START);
	cover_result = 0;
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_LOST);
	restart(START);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_LOST);
}

/* ---- numbers that testudo picks ---- */

/* SAs that belong to a policy by a number that testudo picked find it again. */
static void
picked_reqids_stay_together(void **state)
{
	struct tdo_sp_param s = sp(80, TDO_LEVEL_UNIQUE), t = sp(79, TDO_LEVEL_UNIQUE);
	struct tdo_sa_info info;
	struct tdo_sa_param a;
	uint32_t reqid;

	add_sp(&t, TDO_SADB_X_SPDADD);
	add_sp(&s, TDO_SADB_X_SPDADD);
	expect_ports(79, 80);
	reqid = the_policy(&s).param.req[0].reqid;
	assert_true(reqid > TDO_REQID_MANUAL_MAX);
	a = sa(0x1000, reqid);
	add_sa(&a);
	restart(START);
	expect_ports(79, 80);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.reqid, the_policy(&s).param.req[0].reqid);
}

/* A number that a policy had which is gone belongs to another one now. */
static void
a_picked_reqid_is_that_of_its_latest_policy(void **state)
{
	struct tdo_sp_param s = sp(79, TDO_LEVEL_UNIQUE), t = sp(80, TDO_LEVEL_UNIQUE);
	uint32_t reqid = TDO_REQID_MANUAL_MAX + 2;
	struct tdo_sa_info info;
	struct tdo_sa_param a;

	/* As after one round of all numbers. */
	p.engine->spd->next_reqid = reqid;
	add_sp(&s, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_sp_delete(p.engine, s.dir, &s.sel, NULL), 0);
	p.engine->spd->next_reqid = reqid;
	add_sp(&t, TDO_SADB_X_SPDADD);
	assert_int_equal(the_policy(&t).param.req[0].reqid, reqid);
	a = sa(0x1000, reqid);
	add_sa(&a);
	restart(START);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.reqid, the_policy(&t).param.req[0].reqid);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(replaced_objects_are_the_new_ones),
	    T(updates_keep_the_order),
	    T(updates_leave_no_gap),
	    T(updated_lifetime_ends),
	    T(lost_policies_are_known),
	    T(picked_reqids_stay_together),
	    T(a_picked_reqid_is_that_of_its_latest_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
