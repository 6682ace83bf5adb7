/* SPDX-License-Identifier: BSD-2-Clause */
/* Drops by SA and policy: counted by reason, with the last packet, for as long as they exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/addr.h"
#include "ctl.h"
#include "engine/engine.h"

#define WORKERS 2

static struct ctl c;

static int
open_engine(void **state)
{
	ctl_open(&c, WORKERS);
	return 0;
}

static int
close_engine(void **state)
{
	ctl_close(&c);
	return 0;
}

/* ---- short forms ---- */

static struct tdo_sa_param
param(uint32_t spi)
{
	return ctl_sa("192.0.2.1", "192.0.2.2", spi, 1);
}

static struct tdo_sa *
find(uint32_t spi)
{
	struct tdo_sa_param p = param(spi);

	return tdo_sad_find_in(c.e, &p.key.dst, spi, 50);
}

static struct tdo_sa *
add(uint32_t spi)
{
	struct tdo_sa_param p = param(spi);

	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	return find(spi);
}

static void
drop(unsigned worker, struct tdo_sa *sa, const struct tdo_sp *sp, enum tdo_reason r, tdo_ns now)
{
	struct tdo_pkt p = {.sp = sp, .seq = (uint32_t)now};

	p.ip.flow = ctl_flow("10.0.0.1", "1.1.1.1", 6, (uint16_t)now, 2);
	tdo_worker_drop(tdo_engine_worker(c.e, worker), &p, sa, r, now);
}

/* Workers have nothing any more, and what was removed is gone. */
static void
settle(void)
{
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned i = 0; i < WORKERS; i++)
			tdo_worker_quiesce(tdo_engine_worker(c.e, i));
		tdo_engine_tick(c.e, c.now);
	}
}

static struct tdo_blame_list
list(bool of_policies)
{
	struct tdo_blame_list l;

	assert_int_equal(tdo_blame_list(c.e, of_policies, &l), 0);
	return l;
}

static size_t
how_many(bool of_policies)
{
	struct tdo_blame_list l = list(of_policies);
	size_t n = l.n;

	tdo_blame_list_free(c.e, &l);
	return n;
}

/* ---- what is known ---- */

static void
drops_of_an_sa_have_reasons_and_the_last_offender(void **state)
{
	struct tdo_sa *a = add(1000), *b = add(1001);
	struct tdo_blame_list l;

	assert_int_equal(how_many(false), 0);
	drop(0, a, NULL, TDO_REASON_IN_ICV, 50);
	drop(1, a, NULL, TDO_REASON_IN_ICV, 70); /* by the other worker, and later */
	drop(0, a, NULL, TDO_REASON_IN_ICV, 60);
	drop(0, a, NULL, TDO_REASON_IN_REPLAY_DUP, 65);
	drop(0, b, NULL, TDO_REASON_IN_ICV, 5);
	drop(0, NULL, NULL, TDO_REASON_IN_NO_SA, 6); /* of none */
	l = list(false);
	assert_int_equal(l.n, 3);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.blame[i - 1].owner < l.blame[i].owner ||
			    (l.blame[i - 1].owner == l.blame[i].owner &&
				l.blame[i - 1].reason < l.blame[i].reason));
	assert_int_equal(l.blame[0].owner, l.blame[1].owner);
	assert_int_not_equal(l.blame[1].owner, l.blame[2].owner);
	assert_false(l.blame[0].is_sp);
	assert_int_equal(l.blame[0].sa.spi, 1000);
	assert_int_equal(l.blame[0].sa.satype, TDO_SATYPE_ESP);
	assert_true(tdo_addr_equal(&l.blame[0].sa.src, &a->id.src));
	assert_true(tdo_addr_equal(&l.blame[0].sa.dst, &a->id.dst));
	for (unsigned i = 0; i < 2; i++) {
		bool icv = l.blame[i].reason == TDO_REASON_IN_ICV;

		assert_true(icv || l.blame[i].reason == TDO_REASON_IN_REPLAY_DUP);
		assert_int_equal(l.blame[i].count, icv ? 3 : 1);
		assert_int_equal(l.blame[i].last.when, icv ? 70 : 65);
		assert_int_equal(l.blame[i].last.flow.sport, icv ? 70 : 65);
		assert_int_equal(l.blame[i].last.spi, 1000);
	}
	assert_int_equal(l.blame[2].sa.spi, 1001);
	tdo_blame_list_free(c.e, &l);
	assert_int_equal(how_many(true), 0);
	assert_int_equal(tdo_blame_lost(c.e), 0);
}

static void
drops_because_of_a_policy_are_its_own(void **state)
{
	struct tdo_sp_param pp = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);
	struct tdo_flow f = ctl_flow("10.0.0.1", "1.1.1.1", 6, 1, 2);
	struct tdo_sa *sa = add(1000);
	struct tdo_blame_list l;
	struct tdo_sp_info info;
	const struct tdo_sp *sp;

	assert_int_equal(tdo_sp_add(c.e, &pp, c.now, &info, NULL), 0);
	sp = tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp;
	drop(0, NULL, sp, TDO_REASON_OUT_NO_SA, 9);
	drop(0, sa, sp, TDO_REASON_NO_ROOM, 8); /* of both */
	l = list(true);
	assert_int_equal(l.n, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(l.blame[i].is_sp);
		assert_int_equal(l.blame[i].sp_id, info.id);
		assert_int_equal(l.blame[i].count, 1);
	}
	tdo_blame_list_free(c.e, &l);
	assert_int_equal(how_many(false), 1);
	/* An update is the same policy, with what was dropped before, and after. */
	pp.prio--;
	assert_int_equal(tdo_sp_update(c.e, &pp, c.now, NULL, NULL), 0);
	settle();
	sp = tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp;
	drop(1, NULL, sp, TDO_REASON_OUT_NO_SA, 10);
	l = list(true);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.blame[0].count + l.blame[1].count, 3);
	tdo_blame_list_free(c.e, &l);
	assert_int_equal(tdo_sp_delete_id(c.e, info.id, NULL), 0);
	settle();
	assert_int_equal(how_many(true), 0);
	assert_int_equal(how_many(false), 1);
}

static void
an_update_keeps_them_and_deletion_forgets_them(void **state)
{
	struct tdo_sa_param p = param(1000), other = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 9);
	struct tdo_sa *old = add(1000);
	struct tdo_blame_list l;

	drop(0, old, NULL, TDO_REASON_IN_ICV, 50);
	assert_int_equal(tdo_sa_update(c.e, &other, c.now, NULL), 0);
	drop(0, old, NULL, TDO_REASON_IN_ICV, 51); /* a worker still had it */
	settle();
	drop(1, find(1000), NULL, TDO_REASON_IN_ICV, 52);
	/* It moves (D44): the same SA with another name. */
	p = other;
	p.new_dst = ctl_addr("192.0.2.3");
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	settle();
	drop(1, tdo_sad_find_in(c.e, &p.new_dst, 1000, 50), NULL, TDO_REASON_IN_ICV, 53);
	l = list(false);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.blame[0].count, 4);
	assert_true(tdo_addr_equal(&l.blame[0].sa.dst, &p.new_dst));
	tdo_blame_list_free(c.e, &l);
	p.key.dst = p.new_dst;
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	settle();
	assert_int_equal(how_many(false), 0);
	/* The same name again is another SA. */
	(void)add(1000);
	assert_int_equal(how_many(false), 0);
}

/* The first drop is for the old object, and the new one does not know of it. */
static void
late_drops_for_what_was_updated_are_forgotten_too(void **state)
{
	struct tdo_sa_param other = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 9);
	struct tdo_sa *old = add(1000);

	(void)state;
	assert_int_equal(tdo_sa_update(c.e, &other, c.now, NULL), 0);
	drop(0, old, NULL, TDO_REASON_IN_ICV, 50);
	settle();
	assert_int_equal(how_many(false), 1);
	assert_int_equal(tdo_sa_delete(c.e, &other.key), 0);
	settle();
	assert_int_equal(how_many(false), 0);
}

/* ---- bounds ---- */

#define MANY 30000u /* more than one worker has places for */

/* Every drop is either attributed or counted as lost; places are used again. */
static void
many_sas_find_their_place_or_are_counted(void **state)
{
	struct tdo_blame_list l;
	uint64_t sum = 0, lost;
	size_t before, most;

	for (uint32_t i = 0; i < MANY; i++)
		(void)add(1000 + i);
	before = c.allocated;
	for (uint32_t i = 0; i < MANY; i++) {
		drop(0, find(1000 + i), NULL, TDO_REASON_IN_ICV, 1 + i % 1000);
		if (i % 64 == 63) /* the control thread comes by from time to time */
			settle();
	}
	assert_true(c.allocated - before < 4 << 20);
	l = list(false);
	for (size_t i = 0; i < l.n; i++) {
		assert_true(i == 0 || l.blame[i - 1].owner < l.blame[i].owner);
		sum += l.blame[i].count;
	}
	most = l.n;
	tdo_blame_list_free(c.e, &l);
	lost = tdo_blame_lost(c.e);
	assert_true(most > 12000 && most < MANY);
	assert_int_equal(sum + lost, MANY);
	assert_int_equal(tdo_drops_read(c.e, TDO_REASON_IN_ICV), MANY);
	/* Full: what has a place goes on counting, what has none does not push it out. */
	before = c.allocated;
	for (uint32_t i = 0; i < MANY; i++)
		drop(0, find(1000 + i), NULL, TDO_REASON_IN_ICV, 1);
	settle();
	assert_int_equal(c.allocated, before);
	assert_int_equal(how_many(false), most);
	assert_int_equal(tdo_blame_lost(c.e), 2 * lost);
	assert_int_equal(tdo_sa_flush(c.e, 0), MANY);
	settle();
	assert_int_equal(how_many(false), 0);
	drop(0, add(77777), NULL, TDO_REASON_IN_ICV, 1);
	assert_int_equal(how_many(false), 1);
}

/* A reason each, for one SA: they all have a place at once or after the next tick. */
static void
one_sa_may_have_every_reason(void **state)
{
	struct tdo_sa *sa = add(1000);

	for (unsigned k = 0; k < 8; k++) {
		for (unsigned r = TDO_REASON_NONE + 1; r < TDO_REASON_NONE + 33; r++)
			drop(0, sa, NULL, (enum tdo_reason)r, 5);
		settle();
	}
	assert_int_equal(how_many(false), 32);
}

static void
run_out(void)
{
	struct tdo_blame_list l;

	for (uint32_t i = 0; i < 80; i++) {
		struct tdo_sa_param p = param(1000 + i);

		if (tdo_sa_add(c.e, &p, c.now, NULL) == 0)
			drop(0, find(1000 + i), NULL, TDO_REASON_IN_ICV, 5);
	}
	tdo_engine_tick(c.e, c.now);
	if (tdo_blame_list(c.e, false, &l) == 0)
		tdo_blame_list_free(c.e, &l);
	else
		assert_null(l.blame);
}

static void
memory_may_run_out(void **state)
{
	assert_true(ctl_fail_each(&c, run_out) > 80);
}

/* ---- threads ---- */

static _Atomic bool stop;
static _Atomic uint64_t dropped;

/* Drops packets of whatever SA it finds; the sport of the offender is its time. */
static void *
dropper(void *arg)
{
	struct tdo_worker *w = arg;

	for (unsigned i = 0; !atomic_load(&stop); i++) {
		struct tdo_sa *sa = find(1000 + i % 100);
		struct tdo_pkt p = {.seq = 1};

		if (sa) {
			p.ip.flow = ctl_flow("10.0.0.1", "1.1.1.1", 6, (uint16_t)i, (uint16_t)i);
			tdo_worker_drop(w, &p, sa, i % 2 ? TDO_REASON_IN_ICV : TDO_REASON_NO_ROOM,
			    1 + (uint16_t)i);
			atomic_fetch_add(&dropped, 1);
		}
		tdo_worker_quiesce(w);
	}
	tdo_worker_idle(w);
	return NULL;
}

static void
lists_are_whole_while_workers_write(void **state)
{
	pthread_t thread[WORKERS];
	struct tdo_blame_list l;
	uint64_t sum = 0;

	atomic_store(&stop, false);
	atomic_store(&dropped, 0);
	for (uint32_t i = 0; i < 100; i++)
		(void)add(1000 + i);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(
		    pthread_create(&thread[i], NULL, dropper, tdo_engine_worker(c.e, i)), 0);
	for (uint32_t round = 0; round < 120 || atomic_load(&dropped) < 1000; round++) {
		struct tdo_sa_param p = param(1000 + round % 50);

		l = list(false);
		for (size_t i = 0; i < l.n; i++) {
			assert_int_equal(l.blame[i].last.flow.sport, l.blame[i].last.flow.dport);
			assert_int_equal(l.blame[i].last.when, l.blame[i].last.flow.sport + 1u);
			assert_int_equal(l.blame[i].last.spi, l.blame[i].sa.spi);
			assert_in_range(l.blame[i].sa.spi, 1000, 1099);
		}
		tdo_blame_list_free(c.e, &l);
		if (round % 3 == 0)
			assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
		else if (round % 3 == 1) {
			assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
			assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
		}
		tdo_engine_tick(c.e, c.now);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	l = list(false);
	for (size_t i = 0; i < l.n; i++)
		sum += l.blame[i].count;
	tdo_blame_list_free(c.e, &l);
	assert_true(sum <= atomic_load(&dropped)); /* those that were deleted are not there */
}

#define T(t) cmocka_unit_test_setup_teardown(t, open_engine, close_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(drops_of_an_sa_have_reasons_and_the_last_offender),
	    T(drops_because_of_a_policy_are_its_own),
	    T(an_update_keeps_them_and_deletion_forgets_them),
	    T(late_drops_for_what_was_updated_are_forgotten_too),
	    T(many_sas_find_their_place_or_are_counted),
	    T(one_sa_may_have_every_reason),
	    T(memory_may_run_out),
	    T(lists_are_whole_while_workers_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
