/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A replay window that grows, and SAs that are replaced, while workers use it: no number is
 * accepted twice.  Meaningful above all with -Db_sanitize=thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "ctl.h"
#include "engine/path.h"

#define WORKERS 2
#define NUMBERS (1u << 19)
#define REACH   (1u << 15) /* how far the numbers are out of order in the end */

static struct ctl c;
static _Atomic uint32_t next; /* which number comes now */
static _Atomic uint8_t accepted[NUMBERS + REACH + 1];
static _Atomic uint64_t twice, once;

static struct tdo_sa_param
param(void)
{
	struct tdo_sa_param p = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);

	p.replay = 32;
	p.adaptive = true;
	return p;
}

static void
arrive(struct tdo_worker *w, uint64_t seq)
{
	struct tdo_addr dst = ctl_addr("192.0.2.2");
	struct tdo_sa *sa = tdo_sad_find_in(c.e, &dst, 1000, 50);
	bool ok = tdo_replay_check(&sa->replay, seq) == TDO_REASON_NONE, grow;
	struct tdo_replay *r = tdo_replay_lock(&sa->replay);

	ok = ok && tdo_replay_accept_locked(r, seq) == TDO_REASON_NONE;
	grow = tdo_replay_wants_locked(r);
	tdo_replay_unlock(r);
	if (grow)
		tdo_sa_ask_to_grow(w, sa);
	if (ok)
		atomic_fetch_add(atomic_fetch_add(&accepted[seq], 1) ? &twice : &once, 1);
}

/* Blocks of numbers come in backward order; the blocks become larger, up to REACH. */
static uint64_t
disordered(uint32_t n)
{
	uint32_t block = 1u << n / (NUMBERS / 16);

	return 1 + (n ^ (block - 1));
}

static void *
work(void *arg)
{
	struct tdo_worker *w = arg;
	uint32_t n;

	tdo_worker_resume(w);
	while ((n = atomic_fetch_add(&next, 1)) < NUMBERS) {
		arrive(w, disordered(n));
		arrive(w, disordered(n > 300 ? n - 300 : n));
		if (n % 64 == 0)
			tdo_worker_quiesce(w);
	}
	tdo_worker_idle(w);
	return NULL;
}

/* The SA that was to grow may have been replaced since: once more, with nobody about. */
static void
grow_at_last(void)
{
	struct tdo_worker *w = tdo_engine_worker(c.e, 0);

	tdo_worker_resume(w);
	arrive(w, NUMBERS + REACH);
	arrive(w, NUMBERS + REACH - 20);
	tdo_worker_idle(w);
	tdo_engine_tick(c.e, c.now);
}

static void
a_growing_window_accepts_nothing_twice(void **state)
{
	struct tdo_sa_param p = param();
	struct tdo_sa_info info;
	pthread_t thread[WORKERS];

	(void)state;
	ctl_open(&c, WORKERS);
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(
		    pthread_create(&thread[i], NULL, work, tdo_engine_worker(c.e, i)), 0);
	for (unsigned round = 0; atomic_load(&next) < NUMBERS; round++) {
		tdo_engine_tick(c.e, c.now);
		if (round % 3 == 0)
			assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	grow_at_last();
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_true(info.window > 32 && info.window <= TDO_REPLAY_MAX);
	assert_true(atomic_load(&twice) == 0);
	assert_true(atomic_load(&once) > NUMBERS / 16);
	/* Deleted while it may still be on the stack. */
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	ctl_close(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_growing_window_accepts_nothing_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
