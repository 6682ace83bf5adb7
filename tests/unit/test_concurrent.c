/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers look up while the control thread changes everything.  What must hold for every
 * single lookup is arranged so that a lookup which saw half of a change would find
 * something that was never true.  Meaningful above all with -Db_sanitize=thread.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "base/addr.h"
#include "ctl.h"
#include "engine/path.h"

#define WORKERS 2
#define SPARE   200 /* other policies and SAs that come and go */

static struct ctl c;
static _Atomic bool stop;

struct reader {
	pthread_t thread;
	struct tdo_worker *w;
	uint64_t lookups, no_policy, no_sa, wrong;
};

/* ---- readers ---- */

/* It is used, becomes dying and is renewed all the time, with and without selectors: never absent.
 */
static void
use(struct reader *r, const struct tdo_flow *f)
{
	struct tdo_req req = {.proto = 50,
	    .mode = TDO_MODE_TRANSPORT,
	    .level = r->lookups % 2 ? TDO_LEVEL_UNIQUE : TDO_LEVEL_USE,
	    .reqid = 7};
	struct tdo_addr src = ctl_addr("10.1.1.2");
	struct tdo_sa_ask ask = {.req = &req, .src = &src, .dst = &f->dst, .flow = f};
	struct tdo_sa *sa = tdo_sad_find_out(c.e, &ask);

	if (sa == NULL)
		r->no_sa++;
	else
		tdo_sa_used(sa, 1, 100, r->lookups);
}

/* One of the two policies A and B is always there, and one of the SAs 1000 and 1001. */
static void
look(struct reader *r)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80), g = f;
	struct tdo_req req = {.proto = 50, .mode = TDO_MODE_TRANSPORT};
	struct tdo_addr dst = f.dst;
	struct tdo_spd_hit h = tdo_spd_match(c.e, TDO_DIR_OUT, &f);
	struct tdo_sa *sa =
	    tdo_sad_find_out(c.e, &(struct tdo_sa_ask){.req = &req, .src = &f.src, .dst = &f.dst});

	r->lookups++;
	use(r, &f);
	r->no_policy += h.sp == NULL;
	r->no_sa += sa == NULL;
	if (h.sp && h.sp->param.sel.dst_plen != 8 && h.sp->param.sel.dst_plen != 16)
		r->wrong++;
	if (sa && sa->id.spi != 1000 && sa->id.spi != 1001)
		r->wrong++;
	g.opaque = true;
	g.has_ports = false;
	if (tdo_spd_match(c.e, TDO_DIR_OUT, &g).sp == NULL)
		r->wrong++;
	sa = tdo_sad_find_in(c.e, &dst, 1002, 50);
	/* Update replaces this one all the time: it is never absent. */
	if (sa == NULL || sa->id.spi != 1002)
		r->wrong++;
	else
		(void)tdo_replay_accept(&sa->replay, r->lookups);
	if (sa)
		(void)tdo_spd_binds_tunnel(c.e, &sa->id);
}

static void *
reader(void *arg)
{
	struct reader *r = arg;
	struct tdo_pkt p = {.len = 0};

	tdo_worker_resume(r->w);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < 32; i++)
			look(r);
		p.ip.flow = ctl_flow("10.1.1.1", "20.1.1.1", 6, 1, 1);
		p.ip.flow.sport = p.ip.flow.dport = (uint16_t)r->lookups;
		tdo_worker_drop(r->w, &p, NULL, TDO_REASON_GUARD, r->lookups);
		tdo_worker_quiesce(r->w);
		if (r->lookups % 1024 == 0) {
			tdo_worker_idle(r->w);
			tdo_worker_resume(r->w);
		}
	}
	tdo_worker_idle(r->w);
	return NULL;
}

/* ---- writer ---- */

static struct tdo_sp_param
policy(bool a)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "20.0.0.0", a ? 8 : 16);

	p.sel.dst = ctl_addr(a ? "20.0.0.0" : "20.1.0.0");
	return p;
}

static void
add_sa(uint32_t spi)
{
	struct tdo_sa_param p = ctl_sa("10.1.1.1", "20.1.1.1", spi, 1);

	/* Those for inbound lookups and for growth do not suit the request. */
	if (spi >= 1002)
		p.mode = TDO_MODE_TUNNEL;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
}

static void
delete_sa(uint32_t spi)
{
	struct tdo_sa_param p = ctl_sa("10.1.1.1", "20.1.1.1", spi, 1);

	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
}

static void
change_all(unsigned round)
{
	struct tdo_sp_param a = policy(round % 2), b = policy(round % 2 == 0);
	struct tdo_sa_param u = ctl_sa("10.1.1.1", "20.1.1.1", 1002, (uint8_t)(round % 3 == 0));

	/* a is there; b comes, then a goes. */
	assert_int_equal(tdo_sp_add(c.e, &b, c.now, NULL, NULL), 0);
	assert_int_equal(tdo_sp_update(c.e, &b, c.now, NULL, NULL), 0);
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_OUT, &a.sel, NULL), 0);
	add_sa(1000 + (round + 1) % 2);
	delete_sa(1000 + round % 2);
	u.mode = TDO_MODE_TUNNEL;
	assert_int_equal(tdo_sa_update(c.e, &u, c.now, NULL), 0);
}

/* Its packets are used up again and again; another one of the set comes and goes. */
static void
renew(unsigned round)
{
	struct tdo_sa_param p = ctl_sa("10.1.1.2", "20.1.1.1", 3000, 1), q = p;
	struct tdo_event ev;

	p.reqid = q.reqid = 7;
	p.has_soft = true;
	p.soft.allocations = 1;
	p.has_sel = round % 3 == 0;
	p.sel.src = p.sel.dst = (struct tdo_addr){.af = TDO_AF_INET};
	p.sel.proto = TDO_PROTO_ANY;
	p.sel.sport = p.sel.dport = TDO_RANGE_ANY;
	q.key.spi = 3001;
	q.cpu = (uint16_t)(round % 4);
	if (round == 0)
		assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	else
		assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	if (round % 5 == 1)
		assert_int_equal(tdo_sa_add(c.e, &q, c.now, NULL), 0);
	tdo_engine_tick(c.e, c.now);
	if (round % 5 == 1)
		assert_int_equal(tdo_sa_delete(c.e, &q.key), 0);
	while (tdo_engine_next_event(c.e, &ev))
		assert_int_equal(ev.type, TDO_EVENT_EXPIRE_SOFT);
}

/* Makes the tables grow and shrink. */
static void
come_and_go(unsigned round)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_IN, "10.0.0.0", 8, "20.0.0.0", 8);
	unsigned i = round % (2 * SPARE);

	p.req[0].mode = TDO_MODE_TUNNEL;
	p.req[0].src = ctl_addr("10.1.1.1");
	p.req[0].dst = ctl_addr("20.1.1.1");
	p.sel.dport = (struct tdo_range){(uint16_t)(i % SPARE), (uint16_t)(i % SPARE)};
	if (i < SPARE) {
		assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
		add_sa(5000 + i);
		return;
	}
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_IN, &p.sel, NULL), 0);
	delete_sa(5000 + i - SPARE);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
write_for(double time)
{
	struct tdo_offender o;
	double end = seconds() + time;

	for (unsigned round = 0; seconds() < end; round++) {
		change_all(round);
		renew(round + 1);
		tdo_offender_read(c.e, TDO_REASON_GUARD, &o);
		assert_int_equal(o.flow.sport, o.flow.dport);
		if (o.when > 1)
			assert_int_equal(o.flow.sport, (uint16_t)o.when);
		if (round % 7 == 0)
			tdo_engine_tick(c.e, c.now);
	}
}

static void
grow_for(double time)
{
	double end = seconds() + time;

	for (unsigned round = 0; seconds() < end; round++)
		come_and_go(round);
}

/* ---- */

static void
lookups_never_see_half_of_a_change(void **state)
{
	static struct reader r[WORKERS];
	struct tdo_sp_param first = policy(false);

	(void)state;
	ctl_open(&c, WORKERS);
	assert_int_equal(tdo_sp_add(c.e, &first, c.now, NULL, NULL), 0);
	add_sa(1000);
	add_sa(1002);
	renew(0);
	for (unsigned i = 0; i < WORKERS; i++) {
		r[i].w = tdo_engine_worker(c.e, i);
		assert_int_equal(pthread_create(&r[i].thread, NULL, reader, &r[i]), 0);
	}
	write_for(0.7);
	grow_for(0.3);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(r[i].thread, NULL), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_true(r[i].lookups > 0);
		assert_int_equal(r[i].no_policy, 0);
		assert_int_equal(r[i].no_sa, 0);
		assert_int_equal(r[i].wrong, 0);
	}
	ctl_close(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lookups_never_see_half_of_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
