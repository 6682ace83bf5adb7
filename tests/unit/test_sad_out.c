/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outbound index: random changes against a naive selection (spec 4.4), selectors and cpus of
 * SAs, SAs that move, very many of one pair.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/addr.h"
#define CTL_WORKERS 2
#include "ctl_case.h"
#include "engine/engine.h"
#include "engine/sad.h"

#define A "192.0.2.1"
#define B "192.0.2.2"
#define C "192.0.2.3"

/* Nothing waits for the workers. */
static int
setup_idle(void **state)
{
	setup(state);
	for (unsigned i = 0; i < CTL_WORKERS; i++)
		tdo_worker_idle(tdo_engine_worker(c.e, i));
	return 0;
}

static void
add(const struct tdo_sa_param *p)
{
	assert_int_equal(tdo_sa_add(c.e, p, c.now, NULL), 0);
}

static const struct tdo_req transport = {
    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};

/* SPI of the SA for a question from A to dst; 0: none. */
static uint32_t
asked(const struct tdo_req *req, const char *dst, const struct tdo_flow *f, uint8_t pfp, unsigned w)
{
	struct tdo_addr a = ctl_addr(A), b = ctl_addr(dst);
	struct tdo_sa_ask ask = {
	    .req = req, .src = &a, .dst = &b, .flow = f, .pfp = pfp, .worker = w};
	struct tdo_sa *sa = tdo_sad_find_out(c.e, &ask);

	return sa ? sa->id.spi : 0;
}

static uint32_t
out(const struct tdo_req *req)
{
	return asked(req, B, NULL, 0, 0);
}

/* ---- the oracle --------------------------------------------------------------------- */

/* Spec 4.4, by looking at every SA. */
static uint32_t
naive(const struct tdo_sa_ask *q)
{
	bool oldest = tdo_knob_get(c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET) != 0;
	const struct tdo_sa *best = NULL;
	unsigned best_value = 0;

	for (const struct tdo_sa *sa = c.e->sad->first; sa; sa = sa->next) {
		const struct tdo_sa_id *id = &sa->id;
		unsigned cpu = sa->cpu == 0 ? 2 : sa->cpu == q->worker + 1 ? 3 : 1;
		unsigned value = (sa->state == TDO_SA_MATURE ? 10 : 0) + cpu;

		if (sa->state != TDO_SA_MATURE && sa->state != TDO_SA_DYING)
			continue;
		if (!tdo_addr_equal(&id->src, q->src) || !tdo_addr_equal(&id->dst, q->dst) ||
		    id->proto != q->req->proto ||
		    (id->mode != TDO_MODE_ANY && id->mode != q->req->mode) ||
		    (q->req->level == TDO_LEVEL_UNIQUE && id->reqid != q->req->reqid) ||
		    (sa->sel && !tdo_sel_match(sa->sel, q->flow)))
			continue;
		if (best && (value < best_value ||
				(value == best_value && (sa->serial < best->serial) != oldest)))
			continue;
		best = sa;
		best_value = value;
	}
	return best ? best->id.spi : 0;
}

static void
compare(struct rng *r)
{
	struct tdo_flow f = ctl_flow(A, B, 6, (uint16_t)rng_below(r, 3), 80);
	struct tdo_addr a = ctl_addr(A), b = ctl_addr(rng_below(r, 4) ? B : C);
	struct tdo_req req = {.proto = 50,
	    .mode = rng_below(r, 2) ? TDO_MODE_TRANSPORT : TDO_MODE_TUNNEL,
	    .level = rng_below(r, 2) ? TDO_LEVEL_UNIQUE : TDO_LEVEL_USE,
	    .reqid = 1 + rng_below(r, 3)};
	struct tdo_sa_ask ask = {
	    .req = &req, .src = &a, .dst = &b, .flow = &f, .worker = rng_below(r, 2)};
	struct tdo_sa *sa = tdo_sad_find_out(c.e, &ask);

	assert_int_equal(sa ? sa->id.spi : 0, naive(&ask));
}

static struct tdo_sa_param
random_sa(struct rng *r)
{
	struct tdo_sa_param p = ctl_sa(A, rng_below(r, 4) ? B : C, 1000 + rng_below(r, 60), 1);

	p.mode = (uint8_t)rng_below(r, 3);
	p.reqid = rng_below(r, 4);
	p.has_soft = rng_below(r, 2) != 0;
	p.soft.addtime = 1 + rng_below(r, 20);
	p.cpu = rng_below(r, 6) ? 0 : (uint16_t)(1 + rng_below(r, 3));
	p.has_sel = rng_below(r, 8) == 0;
	p.sel.src = p.sel.dst = (struct tdo_addr){.af = TDO_AF_INET};
	p.sel.proto = TDO_PROTO_ANY;
	p.sel.dport = TDO_RANGE_ANY;
	p.sel.sport =
	    (struct tdo_range){(uint16_t)rng_below(r, 2), (uint16_t)(1 + rng_below(r, 2))};
	return p;
}

static void
random_change(struct rng *r)
{
	struct tdo_sa_param p = random_sa(r), q = random_sa(r);
	uint32_t spi;

	switch (rng_below(r, 16)) {
	case 0:
		ctl_pass(&c, 1);
		break;
	case 1:
		(void)!tdo_knob_set(
		    c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET, (int32_t)rng_below(r, 2));
		break;
	case 2:
		(void)!tdo_sa_getspi(c.e, &p, p.key.spi, p.key.spi, c.now, &spi);
		break;
	case 3:
	case 4:
		(void)!tdo_sa_update(c.e, &p, c.now, NULL);
		break;
	case 5: /* moves to the other address */
		p.new_dst = q.key.dst;
		(void)!tdo_sa_update(c.e, &p, c.now, NULL);
		break;
	case 6:
		if (rng_below(r, 20) == 0)
			(void)tdo_sa_delete_all(c.e, &p.key);
		break;
	case 7:
	case 8:
	case 9:
		(void)tdo_sa_delete(c.e, &p.key);
		break;
	default:
		(void)!tdo_sa_add(c.e, &p, c.now, NULL);
		break;
	}
}

static void
selection_is_that_of_a_walk_over_all(void **state)
{
	struct rng r = {42};

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		random_change(&r);
		for (unsigned j = 0; j < 4; j++)
			compare(&r);
	}
}

/* ---- named cases -------------------------------------------------------------------- */

/* Older SAs stay when a newer one is used, and take over when it goes. */
static void
d18_older_sas_stay_and_take_over(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	for (; p.key.spi < 1005; p.key.spi++)
		add(&p);
	for (uint32_t spi = 1004; spi >= 1000; spi--) {
		assert_int_equal(out(&transport), spi);
		assert_int_equal(tdo_engine_counts(c.e).sas, spi - 999);
		p.key.spi = spi;
		assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	}
	assert_int_equal(out(&transport), 0);
}

static void
d18_oldest_is_used_until_it_goes(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET, 1), 0);
	for (; p.key.spi < 1003; p.key.spi++)
		add(&p);
	for (uint32_t spi = 1000; spi < 1003; spi++) {
		assert_int_equal(out(&transport), spi);
		p.key.spi = spi;
		assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	}
}

static struct tdo_sa_param
with_sel(uint32_t spi, const char *dst, uint8_t dst_plen, uint8_t proto, uint16_t dport)
{
	struct tdo_sa_param p = ctl_sa(A, B, spi, 1);

	p.has_sel = true;
	p.sel = (struct tdo_sel){.src = ctl_addr(A),
	    .dst = ctl_addr(dst),
	    .src_plen = 32,
	    .dst_plen = dst_plen,
	    .proto = proto,
	    .sport = TDO_RANGE_ANY,
	    .dport = dport ? (struct tdo_range){dport, dport} : TDO_RANGE_ANY};
	return p;
}

/* An SA with selectors is used for what matches them only. */
static void
d48_selectors_choose_the_sa(void **state)
{
	struct tdo_flow web = ctl_flow(A, B, 6, 1, 80), dns = ctl_flow(A, B, 17, 1, 53);
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	p = with_sel(1001, B, 32, 6, 80);
	add(&p);
	p = with_sel(1002, B, 32, 17, 0);
	add(&p);
	assert_int_equal(asked(&transport, B, &web, 0, 0), 1001);
	assert_int_equal(asked(&transport, B, &dns, 0, 0), 1002);
	web.dport = 81;
	assert_int_equal(asked(&transport, B, &web, 0, 0), 1000);
	p.key.spi = 1000;
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	assert_int_equal(asked(&transport, B, &web, 0, 0), 0);
}

static void
d48_bad_selectors_are_refused(void **state)
{
	struct tdo_sa_param p = with_sel(1000, B, 33, 6, 80);
	struct tdo_err err;

	(void)state;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EINVAL);
	p = with_sel(1000, "2001:db8::1", 32, 6, 80);
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EINVAL);
	p = with_sel(1000, B, 32, 6, 80);
	p.sel.sport = (struct tdo_range){2, 1};
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EINVAL);
	assert_non_null(strstr(err.text, "port range"));
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

/* With PFP an SA must have been made for exactly this packet's values. */
static void
d45_populated_sas_are_per_flow(void **state)
{
	struct tdo_flow f = ctl_flow(A, B, 6, 1234, 80);
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	p = with_sel(1001, B, 32, 6, 80);
	add(&p);
	p = with_sel(1002, "192.0.2.0", 24, 6, 0);
	add(&p);
	assert_int_equal(asked(&transport, B, &f, 0, 0), 1002);
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_DST, 0), 1001);
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_DST | TDO_PFP_DPORT, 0), 1001);
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_SRC | TDO_PFP_PROTO, 0), 1002);
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_ALL, 0), 0);
	f.dport = 81;
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_DST, 0), 0);
	/* A packet without ports has none to be equal to. */
	f = ctl_flow(A, B, 6, 0, 0);
	f.has_ports = false;
	assert_int_equal(asked(&transport, B, &f, TDO_PFP_PROTO | TDO_PFP_SPORT, 0), 1002);
}

static void
d45_each_worker_prefers_its_cpu(void **state)
{
	struct tdo_flow f = ctl_flow(A, B, 6, 1, 1);
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	p.cpu = 2;
	add(&p);
	assert_int_equal(asked(&transport, B, &f, 0, 0), 1000); /* better than none */
	p = ctl_sa(A, B, 1001, 1);
	add(&p);
	p = ctl_sa(A, B, 1002, 1);
	p.cpu = 7;
	add(&p);
	assert_int_equal(asked(&transport, B, &f, 0, 0), 1001);
	assert_int_equal(asked(&transport, B, &f, 0, 1), 1000);
	assert_int_equal(asked(&transport, B, &f, 0, 6), 1002);
	assert_int_equal(asked(&transport, B, &f, 0, 5), 1001);
}

static void
want(struct tdo_worker *w, const struct tdo_sp *sp, const struct tdo_sa_ask *ask)
{
	struct tdo_acquire a = tdo_acquire_of(c.e, sp, ask, c.now);

	tdo_event_acquire(w, &a);
}

/* The question says what the SA is for, and each flow is asked for. */
static void
d45_acquire_names_the_flow(void **state)
{
	struct tdo_sp sp = {.id = 9, .param = ctl_sp(TDO_DIR_OUT, "192.0.2.0", 24, "0.0.0.0", 0)};
	struct tdo_flow f = ctl_flow(A, B, 6, 1234, 80);
	struct tdo_sa_ask ask = {.req = &sp.param.req[0],
	    .src = &f.src,
	    .dst = &f.dst,
	    .flow = &f,
	    .pfp = TDO_PFP_DST | TDO_PFP_SPORT};
	struct tdo_worker *w = tdo_engine_worker(c.e, 0);
	struct tdo_event ev;

	(void)state;
	want(w, &sp, &ask);
	want(w, &sp, &ask);
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_ACQUIRE);
	assert_true(ev.acquire.has_sel);
	assert_int_equal(ev.acquire.sel.src_plen, 24);
	assert_int_equal(ev.acquire.sel.dst_plen, 32);
	assert_true(tdo_addr_equal(&ev.acquire.sel.dst, &f.dst));
	assert_int_equal(ev.acquire.sel.proto, TDO_PROTO_ANY);
	assert_int_equal(ev.acquire.sel.sport.lo, 1234);
	assert_int_equal(ev.acquire.sel.sport.hi, 1234);
	assert_int_equal(ev.acquire.sel.dport.hi, UINT16_MAX);
	assert_false(tdo_engine_next_event(c.e, &ev)); /* asked already */
	f.sport = 1235;
	want(w, &sp, &ask);
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.acquire.sel.sport.lo, 1235);
	ask.pfp = 0;
	want(w, &sp, &ask);
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_false(ev.acquire.has_sel);
}

/* ---- moving ------------------------------------------------------------------------- */

static struct tdo_sa *
in(const char *dst, uint32_t spi)
{
	struct tdo_addr a = ctl_addr(dst);

	return tdo_sad_find_in(c.e, &a, spi, 50);
}

/* The same keys never see a sequence number, or an IV, again, and no packet is taken twice. */
static void
d44_moved_sa_continues(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_sa *old, *sa;

	(void)state;
	add(&p);
	old = in(B, 1000);
	atomic_store(old->out_seq, 41);
	assert_int_equal(tdo_replay_accept(&old->replay, 9), TDO_REASON_NONE);
	p.new_src = ctl_addr(B);
	p.new_dst = ctl_addr(C);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_null(in(B, 1000));
	sa = in(C, 1000);
	assert_non_null(sa);
	assert_true(tdo_addr_equal(&sa->id.src, &p.new_src));
	assert_ptr_equal(sa->out_seq, old->out_seq);
	assert_int_equal(sa->fmt.iv_base, old->fmt.iv_base);
	assert_int_equal(tdo_replay_accept(&sa->replay, 9), TDO_REASON_IN_REPLAY_DUP);
	assert_int_equal(out(&transport), 0);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	/* It is known by its new name, and can move back. */
	p.new_src = p.new_dst = (struct tdo_addr){0};
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -ESRCH);
	p.new_src = p.key.src;
	p.new_dst = p.key.dst;
	p.key.src = ctl_addr(B);
	p.key.dst = ctl_addr(C);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(out(&transport), 1000);
}

static void
d44_source_alone_moves(void **state)
{
	struct tdo_sa_param p = ctl_sa(C, B, 1000, 1);

	(void)state;
	add(&p);
	assert_int_equal(out(&transport), 0);
	p.new_src = ctl_addr(A);
	p.ealg = p.aalg = 0; /* the keys stay */
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(out(&transport), 1000);
	assert_non_null(in(B, 1000));
}

static void
d44_taken_names_are_refused(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1), q = ctl_sa(A, C, 1000, 1);
	struct tdo_sa *old;

	(void)state;
	add(&p);
	add(&q);
	old = in(B, 1000);
	p.new_dst = ctl_addr(C);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -EEXIST);
	p.new_dst = ctl_addr("2001:db8::1"); /* the source is of another family */
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -EINVAL);
	assert_ptr_equal(in(B, 1000), old);
	assert_int_equal(out(&transport), 1000);
	p.new_dst = ctl_addr(B); /* where it is */
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
}

/* ---- very many ---------------------------------------------------------------------- */

enum { MANY = 20000 };

/*
 * Steps of a lookup cannot be counted, but a walk over MANY would take a thousand times as long as
 * one over FEW.  Cold caches cost a part of that, and the machine may be busy with other things.
 */
enum { FEW = 100, LOOKUPS = 2000, SLOWER_MAX = 50 };

static void
add_unique(uint32_t from, uint32_t to)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);

	for (uint32_t i = from; i <= to; i++) {
		p.key.spi = 1000 + i;
		p.reqid = 100000 + i;
		add(&p);
	}
}

/* Processor time of LOOKUPS lookups by reqid, by pair, and by SPI, among n SAs. */
static clock_t
time_among(uint32_t n)
{
	struct tdo_req unique = {
	    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_UNIQUE};
	clock_t start = clock();

	for (uint32_t k = 0; k < LOOKUPS; k++) {
		uint32_t i = 1 + k * 7919 % n;

		unique.reqid = 100000 + i;
		assert_int_equal(out(&unique), 1000 + i);
		assert_int_equal(out(&transport), 1000 + n);
		assert_non_null(in(B, 1000 + i));
	}
	return clock() - start;
}

static void
d35_many_sas_of_one_pair(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);
	clock_t few;

	(void)state;
	add_unique(1, FEW);
	few = time_among(FEW);
	add_unique(FEW + 1, MANY);
	assert_true(time_among(MANY) < SLOWER_MAX * few);
	assert_int_equal(tdo_sa_delete_all(c.e, &p.key), MANY);
	assert_int_equal(out(&transport), 0);
}

static clock_t
time_of(uint32_t spi)
{
	clock_t start = clock();

	for (unsigned k = 0; k < LOOKUPS; k++)
		assert_int_equal(out(&transport), spi);
	return clock() - start;
}

/* Dying ones are not in the way of mature ones, nor the other way round. */
static void
d35_many_dying_sas(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	clock_t alone;

	(void)state;
	add(&p);
	alone = time_of(1000);
	p.has_soft = true;
	p.soft.addtime = 1;
	for (uint32_t i = 1; i <= MANY; i++) {
		p.key.spi = 1000 + i;
		add(&p);
	}
	ctl_pass(&c, 5);
	assert_true(time_of(1000) < SLOWER_MAX * alone);
	p.key.spi = 1000;
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	assert_true(time_of(1000 + MANY) < SLOWER_MAX * alone);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET, 1), 0);
	assert_int_equal(out(&transport), 1001);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup_idle, teardown)
	    T(selection_is_that_of_a_walk_over_all),
	    T(d18_older_sas_stay_and_take_over),
	    T(d18_oldest_is_used_until_it_goes),
	    T(d48_selectors_choose_the_sa),
	    T(d48_bad_selectors_are_refused),
	    T(d45_populated_sas_are_per_flow),
	    T(d45_each_worker_prefers_its_cpu),
	    T(d45_acquire_names_the_flow),
	    T(d44_moved_sa_continues),
	    T(d44_source_alone_moves),
	    T(d44_taken_names_are_refused),
	    T(d35_many_sas_of_one_pair),
	    T(d35_many_dying_sas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
