/* SPDX-License-Identifier: BSD-2-Clause */
/* Engine object, clock, own addresses, counters, offenders, random pool, acquires. */
#include <errno.h>

#include "base/addr.h"
#define CTL_WORKERS 2
#include "ctl_case.h"
#include "engine/engine.h"

static uint32_t
generation(void)
{
	return atomic_load(&c.e->generation);
}

/* ---- configuration ---- */

static void
bad_configurations_are_refused(void **state)
{
	struct tdo_engine_config good = c.e->cfg, cfg = good;
	struct tdo_engine *e = NULL;

	(void)state;
	cfg.nworkers = 0;
	assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
	cfg.nworkers = 65;
	assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
	cfg = good;
	cfg.random = NULL;
	assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
	cfg = good;
	cfg.crypto = NULL;
	assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
	cfg = good;
	cfg.mem.alloc = NULL;
	assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
	assert_null(e);
	tdo_engine_free(NULL);
	assert_ptr_equal(tdo_engine_crypto(c.e), c.crypto);
}

/* ---- clock ---- */

static void
wall_clock_is_shown(void **state)
{
	struct tdo_sa_param p = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);
	struct tdo_sa_info i;
	struct tdo_sa *sa;

	(void)state;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	sa = tdo_sad_find_in(c.e, &p.key.dst, 1000, 50);
	tdo_engine_set_wall(c.e, 1800000000, c.now + 10 * TDO_SEC);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &i), 0);
	assert_int_equal(i.current.addtime, 1799999990);
	assert_int_equal(i.current.usetime, 0);
	assert_int_equal(i.last_used, 0);
	atomic_store(&sa->first_use, c.now + TDO_SEC / 2);
	atomic_store(&sa->last_use, c.now + 25 * TDO_SEC);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &i), 0);
	assert_int_equal(i.current.usetime, 1799999990);
	assert_int_equal(i.last_used, 1800000015);
	/* A clock that was set to long ago does not wrap. */
	tdo_engine_set_wall(c.e, 5, c.now + 10 * TDO_SEC);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &i), 0);
	assert_int_equal(i.current.addtime, 0);
	assert_int_equal(i.current.usetime, 1);
}

/* ---- own addresses ---- */

static void
own_addresses_are_known(void **state)
{
	struct tdo_addr a[3] = {
	    ctl_addr("192.0.2.9"), ctl_addr("2001:db8::1"), ctl_addr("10.0.0.1")};
	struct tdo_addr zero = {.af = TDO_AF_INET6, .b = {192, 0, 2, 9}};
	uint32_t g = generation();

	(void)state;
	assert_false(tdo_is_local(c.e, &a[0]));
	assert_int_equal(tdo_engine_set_local(c.e, a, 3), 0);
	assert_int_not_equal(generation(), g);
	for (unsigned i = 0; i < 3; i++)
		assert_true(tdo_is_local(c.e, &a[i]));
	assert_false(tdo_is_local(c.e, &zero));
	assert_int_equal(tdo_engine_set_local(c.e, a, 1), 0);
	assert_true(tdo_is_local(c.e, &a[0]));
	assert_false(tdo_is_local(c.e, &a[1]));
	c.fail_at = c.allocations + 1;
	assert_int_equal(tdo_engine_set_local(c.e, a, 3), -ENOMEM);
	assert_false(tdo_is_local(c.e, &a[1]));
	assert_int_equal(tdo_engine_set_local(c.e, NULL, 0), 0);
	assert_false(tdo_is_local(c.e, &a[0]));
}

/* ---- counters ---- */

static void
counters_are_sums(void **state)
{
	struct tdo_worker *a = tdo_engine_worker(c.e, 0), *b = tdo_engine_worker(c.e, 1);

	(void)state;
	tdo_worker_stat(a, TDO_STAT_ESP_IN, 3);
	tdo_worker_stat(b, TDO_STAT_ESP_IN, 4);
	assert_int_equal(tdo_stat_read(c.e, TDO_STAT_ESP_IN), 7);
	assert_int_equal(tdo_stat_read(c.e, TDO_STAT_ESP_OUT), 0);
	tdo_worker_count_drop(a, TDO_AT_IN, TDO_REASON_GUARD, 5);
	tdo_worker_count_drop(b, TDO_AT_OUT, TDO_REASON_GUARD, 6);
	assert_int_equal(tdo_drops_read(c.e, TDO_REASON_GUARD), 11);
}

static void
d08_drops_are_counted_and_name_the_last_offender(void **state)
{
	struct tdo_worker *a = tdo_engine_worker(c.e, 0), *b = tdo_engine_worker(c.e, 1);
	struct tdo_sa_param sp = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);
	struct tdo_sp_param pp = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);
	struct tdo_pkt p = {.seq = 77};
	struct tdo_offender o;
	struct tdo_sp_info i;
	struct tdo_sa *sa;

	(void)state;
	tdo_offender_read(c.e, TDO_REASON_IN_ICV, &o);
	assert_int_equal(o.when, 0);
	assert_int_equal(tdo_sa_add(c.e, &sp, c.now, NULL), 0);
	assert_int_equal(tdo_sp_add(c.e, &pp, c.now, NULL, NULL), 0);
	sa = tdo_sad_find_in(c.e, &sp.key.dst, 1000, 50);
	p.ip.flow = ctl_flow("10.0.0.1", "1.1.1.1", 6, 1, 2);
	p.sp = tdo_spd_match(c.e, TDO_DIR_OUT, &p.ip.flow).sp;
	tdo_worker_drop(a, &p, sa, TDO_REASON_IN_ICV, 50);
	assert_int_equal(p.verdict, TDO_VERDICT_DROP);
	assert_int_equal(p.reason, TDO_REASON_IN_ICV);
	tdo_offender_read(c.e, TDO_REASON_IN_ICV, &o);
	assert_int_equal(o.when, 50);
	assert_int_equal(o.spi, 1000);
	assert_int_equal(o.seq, 77);
	assert_int_equal(o.flow.dport, 2);
	p.sp = NULL;
	p.ip.flow.dport = 3;
	tdo_worker_drop(b, &p, NULL, TDO_REASON_IN_ICV, 60);
	tdo_offender_read(c.e, TDO_REASON_IN_ICV, &o);
	assert_int_equal(o.when, 60);
	assert_int_equal(o.spi, 0);
	assert_int_equal(o.flow.dport, 3);
	assert_int_equal(tdo_drops_read(c.e, TDO_REASON_IN_ICV), 2);
	assert_int_equal(tdo_drops_read(c.e, TDO_REASON_IN_CLEAR), 0);
	assert_int_equal(atomic_load(&sa->drops), 1);
	assert_int_equal(tdo_sp_get(c.e, 1, &i), 0);
	assert_int_equal(i.drops, 1);
}

/* ---- random bytes ---- */

static void
random_bytes_are_used_once(void **state)
{
	struct tdo_worker *w = tdo_engine_worker(c.e, 0);
	uint8_t seen[200][16], big[1000] = {0}, zero[16] = {0};

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		tdo_worker_random(w, seen[i], 16);
		assert_memory_not_equal(seen[i], zero, 16);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], 16);
	}
	tdo_worker_random(w, big, sizeof(big));
	assert_memory_not_equal(big + 984, zero, 16);
	tdo_worker_random(w, big, 512);
	assert_memory_equal(w->random.bytes, (uint8_t[512]){0}, 512);
	/* The control thread has a stock of its own. */
	for (unsigned i = 0; i < 200; i++) {
		tdo_engine_random(c.e, seen[i], 16);
		assert_memory_not_equal(seen[i], zero, 16);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], 16);
	}
	assert_memory_equal(w->random.bytes, (uint8_t[512]){0}, 512);
	assert_memory_equal(c.e->random.bytes + c.e->random.left, ((uint8_t[512]){0}),
	    sizeof(c.e->random.bytes) - c.e->random.left);
}

/* random_int: what a worker has in stock is replaced after that time. */
static void
random_bytes_in_stock_are_replaced(void **state)
{
	struct tdo_worker *w = tdo_engine_worker(c.e, 0);
	uint8_t stock[100], got[100];

	(void)state;
	ctl_pass(&c, 1);
	tdo_worker_random(w, got, 12);
	memcpy(stock, w->random.bytes, 100);
	ctl_pass(&c, 58);
	tdo_worker_random(w, got, 12);
	assert_memory_equal(w->random.bytes, stock, 100);
	ctl_pass(&c, 3);
	tdo_worker_random(w, got, 12);
	assert_memory_not_equal(w->random.bytes, stock, 100);
	assert_int_equal(w->random.left, sizeof(w->random.bytes) - 12);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_RANDOM_INT, TDO_AF_INET, 5), 0);
	memcpy(stock, w->random.bytes, 100);
	ctl_pass(&c, 6);
	tdo_worker_random(w, got, 12);
	assert_memory_not_equal(w->random.bytes, stock, 100);
}

/* ---- acquires ---- */

static struct tdo_event ev;

static void
ask(unsigned worker, uint32_t reqid)
{
	static const struct tdo_sp sp = {.id = 5};
	struct tdo_req r = {
	    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_UNIQUE, .reqid = reqid};
	struct tdo_addr src = ctl_addr("192.0.2.1"), dst = ctl_addr("192.0.2.2");
	struct tdo_sa_ask q = {.req = &r, .src = &src, .dst = &dst};
	struct tdo_acquire a = tdo_acquire_of(c.e, &sp, &q, c.now);

	tdo_event_acquire(tdo_engine_worker(c.e, worker), &a);
}

static void
expect_acquire(uint32_t reqid)
{
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_ACQUIRE);
	assert_int_equal(ev.acquire.req.reqid, reqid);
	assert_int_equal(ev.acquire.sp_id, 5);
	assert_int_equal(ev.acquire.dst.b[3], 2);
	assert_int_not_equal(ev.acquire.seq, 0);
}

static void
expect_nothing(void)
{
	assert_false(tdo_engine_next_event(c.e, &ev));
}

/* Repeated after blockacq_count further packets ... */
static void
acquires_are_not_repeated_for_every_packet(void **state)
{
	uint32_t seq;

	(void)state;
	ask(0, 1);
	expect_acquire(1);
	seq = ev.acquire.seq;
	for (unsigned i = 0; i < 10; i++)
		ask(i % 2, 1);
	expect_nothing();
	ask(0, 1);
	expect_acquire(1);
	assert_int_not_equal(ev.acquire.seq, seq);
	ask(0, 2);
	expect_acquire(2);
}

/* ... or after blockacq_lifetime. */
static void
acquires_are_repeated_after_a_time(void **state)
{
	(void)state;
	ask(0, 1);
	expect_acquire(1);
	c.now += 20 * TDO_SEC;
	ask(0, 1);
	expect_nothing();
	c.now += TDO_SEC;
	ask(1, 1);
	expect_acquire(1);
	/* Also when nothing was asked meanwhile, and the entry was forgotten. */
	ctl_pass(&c, 30);
	ask(0, 1);
	expect_acquire(1);
}

/* Both limits are settings. */
static void
acquires_are_repeated_as_the_settings_say(void **state)
{
	(void)state;
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_BLOCKACQ_COUNT, TDO_AF_INET, 2), 0);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_BLOCKACQ_LIFETIME, TDO_AF_INET, 3), 0);
	ask(0, 1);
	expect_acquire(1);
	ask(0, 1);
	ask(0, 1);
	expect_nothing();
	ask(0, 1);
	expect_acquire(1);
	c.now += 3 * TDO_SEC;
	ask(0, 1);
	expect_nothing();
	c.now += TDO_SEC;
	ask(0, 1);
	expect_acquire(1);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_BLOCKACQ_COUNT, TDO_AF_INET, 0), 0);
	for (unsigned i = 0; i < 5; i++) {
		ask(0, 1);
		expect_acquire(1);
	}
}

static void
getspi_answers_an_acquire(void **state)
{
	struct tdo_sa_param p = ctl_sa("192.0.2.2", "192.0.2.1", 0, 1);
	uint32_t spi;

	(void)state;
	ask(0, 1);
	expect_acquire(1);
	p.seq = ev.acquire.seq + 1;
	assert_int_equal(tdo_sa_getspi(c.e, &p, 256, 5000, c.now, &spi), 0);
	ask(0, 1);
	expect_nothing();
	/* The right number: somebody is at work, the count and the time begin again. */
	for (unsigned i = 0; i < 8; i++)
		ask(0, 1);
	expect_nothing();
	p.seq = ev.acquire.seq;
	c.now += 20 * TDO_SEC;
	assert_int_equal(tdo_sa_getspi(c.e, &p, 256, 5000, c.now, &spi), 0);
	c.now += 10 * TDO_SEC;
	for (unsigned i = 0; i < 10; i++)
		ask(0, 1);
	expect_nothing();
	ask(0, 1);
	expect_acquire(1);
	/* An error is an answer, too; 0 and numbers that were never given out are none. */
	tdo_acquire_answered(c.e, 0);
	tdo_acquire_answered(c.e, ev.acquire.seq + 1);
	ask(0, 1);
	expect_nothing();
	tdo_acquire_answered(c.e, ev.acquire.seq);
	ask(0, 1);
	expect_acquire(1);
}

/* A flood is bounded, without memory nothing is lost but the question. */
static void
acquires_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		ask(0, i + 1);
	for (unsigned i = 0; i < 64; i++)
		expect_acquire(i + 1);
	expect_nothing();
	c.fail_at = c.allocations + 1;
	ask(0, 5000);
	expect_nothing();
	ask(0, 5000);
	expect_acquire(5000);
	ask(0, 1); /* stays in the ring until the engine goes */
}

/* ---- reclamation ---- */

static void
nothing_is_freed_under_a_worker(void **state)
{
	struct tdo_sa_param p = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);
	size_t before = c.allocated;

	(void)state;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	ctl_pass(&c, 3);
	assert_true(c.allocated > before);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	ctl_pass(&c, 3);
	assert_true(c.allocated > before);
	tdo_worker_idle(tdo_engine_worker(c.e, 1));
	ctl_pass(&c, 1);
	assert_int_equal(c.allocated, before);
	tdo_worker_resume(tdo_engine_worker(c.e, 1));
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	assert_int_equal(tdo_sa_flush(c.e, TDO_SATYPE_UNSPEC), 1);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	ctl_pass(&c, 1);
	assert_true(c.allocated > before);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(bad_configurations_are_refused),
	    T(wall_clock_is_shown),
	    T(own_addresses_are_known),
	    T(counters_are_sums),
	    T(d08_drops_are_counted_and_name_the_last_offender),
	    T(random_bytes_are_used_once),
	    T(random_bytes_in_stock_are_replaced),
	    T(acquires_are_not_repeated_for_every_packet),
	    T(acquires_are_repeated_after_a_time),
	    T(acquires_are_repeated_as_the_settings_say),
	    T(getspi_answers_an_acquire),
	    T(acquires_are_bounded),
	    T(nothing_is_freed_under_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
