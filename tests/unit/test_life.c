/* SPDX-License-Identifier: BSD-2-Clause */
/* Lifetimes of SAs and policies, and the events they cause. */
#include <errno.h>

#include "base/addr.h"
#include "ctl_case.h"
#include "engine/path.h"

static struct tdo_event ev;

static struct tdo_sa *
add(struct tdo_sa_param p, struct tdo_lifetime soft, struct tdo_lifetime hard)
{
	static const struct tdo_lifetime none;

	p.soft = soft;
	p.hard = hard;
	p.has_soft = memcmp(&soft, &none, sizeof(none)) != 0;
	p.has_hard = memcmp(&hard, &none, sizeof(none)) != 0;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	return tdo_sad_find_in(c.e, &p.key.dst, p.key.spi, 50);
}

static struct tdo_sa_param
sa(void)
{
	return ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);
}

static void
expect_event(enum tdo_event_type type, uint32_t spi)
{
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, type);
	assert_int_equal(ev.sa.param.key.spi, spi);
	assert_memory_equal(ev.sa.param.key.dst.b, ((uint8_t[]){192, 0, 2, 2}), 4);
}

static void
expect_no_event(void)
{
	assert_false(tdo_engine_next_event(c.e, &ev));
}

/* Gone when the age in whole seconds is greater than the lifetime; hard alone (D12). */
static void
hard_time_alone(void **state)
{
	(void)state;
	add(sa(), (struct tdo_lifetime){0}, (struct tdo_lifetime){.addtime = 3});
	ctl_pass(&c, 3);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	expect_no_event();
	ctl_pass(&c, 1);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	assert_int_equal(ev.sa.param.state, TDO_SA_DEAD);
	expect_no_event();
}

/* Soft alone: reported once, SA stays usable. */
static void
soft_time_alone(void **state)
{
	struct tdo_sa *s = add(sa(), (struct tdo_lifetime){.addtime = 1}, (struct tdo_lifetime){0});
	uint32_t generation = atomic_load(&c.e->generation);

	(void)state;
	ctl_pass(&c, 2);
	assert_int_equal(atomic_load(&s->state), TDO_SA_DYING);
	assert_int_not_equal(atomic_load(&c.e->generation), generation);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	assert_int_equal(ev.sa.param.state, TDO_SA_DYING);
	ctl_pass(&c, 100);
	expect_no_event();
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
}

static void
equal_limits_expire_in_one_tick(void **state)
{
	(void)state;
	add(sa(), (struct tdo_lifetime){.addtime = 1}, (struct tdo_lifetime){.addtime = 1});
	ctl_pass(&c, 2);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	expect_no_event();
}

/* The hard limit is of another kind than the soft one. */
static void
d12_hard_time_expires_with_soft_bytes(void **state)
{
	(void)state;
	add(sa(), (struct tdo_lifetime){.bytes = 1000}, (struct tdo_lifetime){.addtime = 2});
	ctl_pass(&c, 3);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	expect_no_event();
}

static void
use_time_counts_from_first_use(void **state)
{
	struct tdo_sa *s =
	    add(sa(), (struct tdo_lifetime){.usetime = 1}, (struct tdo_lifetime){.usetime = 5});

	(void)state;
	ctl_pass(&c, 20);
	expect_no_event();
	tdo_sa_used(s, 1, 100, c.now);
	ctl_pass(&c, 2);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	ctl_pass(&c, 4);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
}

static void
packets_and_bytes_are_limited(void **state)
{
	struct tdo_sa *s = add(sa(), (struct tdo_lifetime){.allocations = 10},
	    (struct tdo_lifetime){.allocations = 20, .bytes = 5000});

	(void)state;
	tdo_sa_used(s, 9, 900, c.now);
	ctl_pass(&c, 1);
	expect_no_event();
	assert_false(tdo_sa_over_hard(s));
	tdo_sa_used(s, 1, 100, c.now);
	ctl_pass(&c, 1);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	assert_int_equal(ev.sa.current.allocations, 10);
	atomic_store(&s->bytes, 4999);
	atomic_store(&s->packets, 19);
	assert_false(tdo_sa_over_hard(s));
	atomic_store(&s->packets, 20);
	assert_true(tdo_sa_over_hard(s));
	atomic_store(&s->packets, 18);
	tdo_sa_used(s, 1, 1, c.now);
	assert_true(tdo_sa_over_hard(s));
	ctl_pass(&c, 1);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	assert_int_equal(ev.sa.current.bytes, 5000);
}

/* ---- every limit, alone and beside every other, mature and dying (D12, D15) ---- */

enum kind { PACKETS, BYTES, SINCE_CREATION, SINCE_USE, NONE };

static struct tdo_lifetime
limit(enum kind k)
{
	return (struct tdo_lifetime){
	    .allocations = k == PACKETS ? 10 : 0,
	    .bytes = k == BYTES ? 1000 : 0,
	    .addtime = k == SINCE_CREATION ? 5 : 0,
	    .usetime = k == SINCE_USE ? 5 : 0,
	};
}

/* Makes the SA reach the limit, or come near it. */
static void
use_up(struct tdo_sa *s, enum kind k, bool reach)
{
	if (k == PACKETS)
		atomic_store(&s->packets, reach ? 9 : 8);
	else if (k == BYTES)
		atomic_store(&s->bytes, reach ? 999 : 998);
	if (k != SINCE_CREATION)
		tdo_sa_used(s, 1, 1, c.now);
	ctl_pass(&c, k >= SINCE_CREATION && reach ? 6 : 1);
}

static void
d12_hard_limits_expire_beside_any_soft_limit(void **state)
{
	(void)state;
	for (enum kind hard = PACKETS; hard < NONE; hard++)
		for (enum kind soft = PACKETS; soft <= NONE; soft++) {
			struct tdo_sa *s = add(sa(), limit(soft), limit(hard));

			if (hard != SINCE_CREATION)
				use_up(s, hard, false);
			while (tdo_engine_next_event(c.e, &ev))
				assert_int_equal(ev.type, TDO_EVENT_EXPIRE_SOFT);
			use_up(s, hard, true);
			if (soft == hard || soft >= SINCE_CREATION)
				while (tdo_engine_next_event(c.e, &ev) &&
				       ev.type == TDO_EVENT_EXPIRE_SOFT)
					;
			else
				assert_true(tdo_engine_next_event(c.e, &ev));
			assert_int_equal(ev.type, TDO_EVENT_EXPIRE_HARD);
			expect_no_event();
			assert_int_equal(tdo_engine_counts(c.e).sas, 0);
		}
}

static void
d12_hard_limits_expire_when_dying(void **state)
{
	(void)state;
	for (enum kind hard = PACKETS; hard < NONE; hard++)
		for (enum kind soft = PACKETS; soft < SINCE_CREATION; soft++) {
			struct tdo_sa *s;

			if (soft == hard)
				continue;
			s = add(sa(), limit(soft), limit(hard));
			use_up(s, soft, true);
			assert_int_equal(atomic_load(&s->state), TDO_SA_DYING);
			expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
			use_up(s, hard, true);
			expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
			expect_no_event();
			assert_int_equal(tdo_engine_counts(c.e).sas, 0);
		}
}

static void
d12_either_limit_alone_is_accepted(void **state)
{
	struct tdo_sa_param p = sa();

	(void)state;
	p.has_hard = true;
	p.hard.bytes = 1;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	p = sa();
	p.key.spi = 1001;
	p.has_soft = true;
	p.soft.usetime = 1;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
}

/* D13: RFC 2367 3.1.8; D14: also of an SA that was never used, which then stays. */
static void
d13_d14_unused_sas_are_reported_too(void **state)
{
	struct tdo_sa *s =
	    add(sa(), (struct tdo_lifetime){.addtime = 2}, (struct tdo_lifetime){.addtime = 10});

	(void)state;
	ctl_pass(&c, 3);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	assert_int_equal(ev.sa.current.usetime, 0);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	assert_int_equal(atomic_load(&s->state), TDO_SA_DYING);
	ctl_pass(&c, 8);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	expect_no_event();
}

static void
d15_use_time_and_packets_are_limits(void **state)
{
	static const enum kind kinds[] = {SINCE_USE, PACKETS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_sa *s = add(sa(), limit(kinds[i]), (struct tdo_lifetime){0});

		ctl_pass(&c, 30);
		expect_no_event();
		use_up(s, kinds[i], true);
		expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
		tdo_sa_flush(c.e, TDO_SATYPE_UNSPEC);
		s = add(sa(), (struct tdo_lifetime){0}, limit(kinds[i]));
		ctl_pass(&c, 30);
		expect_no_event();
		use_up(s, kinds[i], true);
		expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
		expect_no_event();
	}
}

static void
without_limits_nothing_is_over(void **state)
{
	struct tdo_sa *s = add(sa(), (struct tdo_lifetime){0}, (struct tdo_lifetime){0});

	(void)state;
	atomic_store(&s->packets, UINT64_MAX);
	atomic_store(&s->bytes, UINT64_MAX);
	assert_false(tdo_sa_over_hard(s));
	ctl_pass(&c, 1);
	expect_no_event();
}

static void
larval_sas_die_silently(void **state)
{
	struct tdo_sa_param p = sa();
	uint32_t spi;

	(void)state;
	assert_int_equal(tdo_sa_getspi(c.e, &p, 256, 10000, c.now, &spi), 0);
	ctl_pass(&c, 30);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	ctl_pass(&c, 1);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
	expect_no_event();
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_LARVAL_LIFETIME, TDO_AF_INET, 2), 0);
	assert_int_equal(tdo_sa_getspi(c.e, &p, 256, 10000, c.now, &spi), 0);
	ctl_pass(&c, 3);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

/* A changed lifetime of larval SAs counts for those that wait. */
static void
larval_lifetime_may_change(void **state)
{
	struct tdo_sa_param p = sa();
	uint32_t spi;

	(void)state;
	assert_int_equal(tdo_sa_getspi(c.e, &p, 1000, 1000, c.now, &spi), 0);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_LARVAL_LIFETIME, TDO_AF_INET, 60), 0);
	ctl_pass(&c, 50);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_LARVAL_LIFETIME, TDO_AF_INET, 40), 0);
	ctl_pass(&c, 1);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

/* An update may bring limits that are used up already. */
static void
limits_below_the_counters_count_at_once(void **state)
{
	struct tdo_sa_param p = sa();
	struct tdo_sa *s = add(p, (struct tdo_lifetime){0}, (struct tdo_lifetime){0});

	(void)state;
	tdo_sa_used(s, 50, 5000, c.now);
	p.has_hard = true;
	p.hard.allocations = 50;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	ctl_pass(&c, 1);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

/* What expires in one moment is done in several ticks, and the engine says that it has more. */
static void
many_expire_in_steps(void **state)
{
	enum { MANY = 30000 };
	struct tdo_sa_param p = sa();
	unsigned ticks = 0;

	(void)state;
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	for (unsigned i = 0; i < MANY; i++) {
		p.key.spi = 1000 + i;
		add(p, (struct tdo_lifetime){0}, (struct tdo_lifetime){.addtime = 10});
	}
	c.now += 11 * TDO_SEC;
	do {
		unsigned before = tdo_engine_counts(c.e).sas;

		tdo_engine_tick(c.e, c.now);
		assert_true(before - tdo_engine_counts(c.e).sas <= 20000);
		ticks++;
	} while (tdo_engine_busy(c.e));
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
	assert_true(ticks > 1);
	for (unsigned i = 0; i < MANY; i++)
		expect_event(TDO_EVENT_EXPIRE_HARD, 1000 + i);
	expect_no_event();
}

/* An update brings new limits; with them the SA is mature again. */
static void
update_renews(void **state)
{
	struct tdo_sa_param p = sa();

	(void)state;
	add(p, (struct tdo_lifetime){.addtime = 1}, (struct tdo_lifetime){0});
	ctl_pass(&c, 2);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	p.has_hard = true;
	p.hard.addtime = 5;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(
	    atomic_load(&tdo_sad_find_in(c.e, &p.key.dst, 1000, 50)->state), TDO_SA_MATURE);
	/* The age is that of the keys. */
	ctl_pass(&c, 3);
	expect_no_event();
	ctl_pass(&c, 1);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
}

/* New keys are as old as they are, also if the old ones were used long ago. */
static void
use_time_of_new_keys_begins_anew(void **state)
{
	struct tdo_sa_param p = sa(), q = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 2);

	(void)state;
	add(p, (struct tdo_lifetime){0}, (struct tdo_lifetime){.usetime = 100});
	tdo_sa_used(tdo_sad_find_in(c.e, &p.key.dst, 1000, 50), 1, 100, c.now);
	ctl_pass(&c, 50);
	q.key = p.key;
	q.has_hard = true;
	q.hard.usetime = 10;
	assert_int_equal(tdo_sa_update(c.e, &q, c.now, NULL), 0);
	ctl_pass(&c, 20);
	expect_no_event();
	tdo_sa_used(tdo_sad_find_in(c.e, &p.key.dst, 1000, 50), 1, 100, c.now);
	ctl_pass(&c, 10);
	expect_no_event();
	ctl_pass(&c, 1);
	expect_event(TDO_EVENT_EXPIRE_HARD, 1000);
}

/* Events survive the deletion of what they are about, and the end of the engine. */
static void
events_wait(void **state)
{
	struct tdo_sa_param p = sa();

	(void)state;
	add(p, (struct tdo_lifetime){.addtime = 1}, (struct tdo_lifetime){0});
	ctl_pass(&c, 2);
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	ctl_pass(&c, 2);
	expect_event(TDO_EVENT_EXPIRE_SOFT, 1000);
	assert_memory_equal(ev.sa.param.ekey, p.ekey, 16);
	add(p, (struct tdo_lifetime){.addtime = 1}, (struct tdo_lifetime){.addtime = 1});
	ctl_pass(&c, 2);
}

/* ---- policies ---- */

static void
policies_have_lifetimes(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);

	(void)state;
	p.lifetime = 3;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	ctl_pass(&c, 3);
	assert_int_equal(tdo_engine_counts(c.e).sps, 1);
	ctl_pass(&c, 1);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
	assert_string_equal(c.cover, "wn");
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_SP_EXPIRE);
	assert_int_equal(ev.sp.id, 1);
	assert_int_equal(ev.sp.param.lifetime, 3);
	expect_no_event();
}

static void
idle_policies_expire(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);
	struct tdo_flow f = ctl_flow("10.0.0.1", "1.1.1.1", 6, 1, 1);
	struct tdo_sp *sp;

	(void)state;
	p.validtime = 3;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	sp = (struct tdo_sp *)(uintptr_t)tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp;
	ctl_pass(&c, 3);
	atomic_store(&sp->last_use, c.now);
	ctl_pass(&c, 3);
	assert_int_equal(tdo_engine_counts(c.e).sps, 1);
	ctl_pass(&c, 1);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_SP_EXPIRE);
}

/* An update with another lifetime: the old one is forgotten. */
static void
update_of_a_policy_renews(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);

	(void)state;
	p.lifetime = 3;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	p.lifetime = 0;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), 0);
	ctl_pass(&c, 10);
	assert_int_equal(tdo_engine_counts(c.e).sps, 1);
	p.lifetime = 3;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), 0);
	ctl_pass(&c, 4);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(hard_time_alone),
	    T(soft_time_alone),
	    T(equal_limits_expire_in_one_tick),
	    T(d12_hard_time_expires_with_soft_bytes),
	    T(use_time_counts_from_first_use),
	    T(packets_and_bytes_are_limited),
	    T(d12_hard_limits_expire_beside_any_soft_limit),
	    T(d12_hard_limits_expire_when_dying),
	    T(d12_either_limit_alone_is_accepted),
	    T(d13_d14_unused_sas_are_reported_too),
	    T(d15_use_time_and_packets_are_limits),
	    T(without_limits_nothing_is_over),
	    T(larval_sas_die_silently),
	    T(larval_lifetime_may_change),
	    T(limits_below_the_counters_count_at_once),
	    T(many_expire_in_steps),
	    T(update_renews),
	    T(use_time_of_new_keys_begins_anew),
	    T(events_wait),
	    T(policies_have_lifetimes),
	    T(idle_policies_expire),
	    T(update_of_a_policy_renews),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
