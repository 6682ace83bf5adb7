/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow cache beside what the ordered list of policies says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/be.h"
#include "engine/engine.h"
#include "fixture.h"
#include "wire/ip.h"

static struct fx f;

static int
close_engine(void **state)
{
	(void)state;
	fx_close(&f);
	return 0;
}

static void
open_with(unsigned flows)
{
	f.flows = flows;
	fx_open(&f, NULL);
}

static int
open_small(void **state)
{
	(void)state;
	open_with(64);
	return 0;
}

static int
open_usual(void **state)
{
	(void)state;
	open_with(0);
	return 0;
}

static void
name(char *buf, size_t len, bool v6, unsigned net, unsigned host)
{
	if (v6)
		snprintf(buf, len, "2001:db8::%x:%x", net, host);
	else
		snprintf(buf, len, "10.1.%u.%u", net, host);
}

/* Flow number i: families and addresses by turns, and ports that repeat among them. */
static struct tdo_pkt *
packet(unsigned i)
{
	bool v6 = i & 1;
	unsigned hlen = v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN;
	char src[48], dst[48];
	struct tdo_pkt *p;
	uint8_t *udp;

	name(src, sizeof(src), v6, i >> 1 & 3, i >> 3 & 7);
	name(dst, sizeof(dst), v6, 100 + (i >> 6 & 7), i >> 1 & 3);
	p = fx_udp(&f.rng, src, dst, 4);
	udp = tdo_pkt_data(p) + hlen;
	tdo_put_be16(udp, (uint16_t)(1000 + (i >> 9)));
	tdo_put_be16(udp + 2, (uint16_t)(1000 + (i >> 9)));
	return p;
}

static uint64_t
misses(void)
{
	return tdo_stat_read(f.e, TDO_STAT_SPD_CACHE_MISS);
}

/* Classifies n packets of flows that begin at first, each after the other in one burst. */
static void
pass(unsigned first, unsigned n)
{
	struct tdo_pkt *p[TDO_BURST_MAX];

	for (unsigned at = 0; at < n; at += TDO_BURST_MAX) {
		for (unsigned i = 0; i < TDO_BURST_MAX; i++)
			p[i] = packet(first + at + i);
		tdo_out_classify(f.w, p, TDO_BURST_MAX, f.now);
		for (unsigned i = 0; i < TDO_BURST_MAX; i++)
			fx_pkt_free(p[i]);
		tdo_worker_quiesce(f.w);
	}
}

/* ---- what is remembered ---- */

static void
flows_are_remembered(void **state)
{
	(void)state;
	pass(0, 2048);
	assert_int_equal(misses(), 2048);
	pass(0, 2048);
	pass(0, 2048);
	assert_int_equal(misses(), 2048);
	/* One change and nothing of it holds any more. */
	fx_add_sp(&f, TDO_DIR_OUT, "10.9.0.1", "10.9.0.2", TDO_PROTO_ANY, "none");
	pass(0, 2048);
	assert_int_equal(misses(), 4096);
}

/* Sixty-four places: what does not fit is looked up again, and the newest are among what is there.
 */
static void
small_caches_forget(void **state)
{
	uint64_t before;

	(void)state;
	pass(0, 1024);
	before = misses();
	assert_int_equal(before, 1024);
	pass(0, 1024);
	assert_true(misses() > before + 900);
	pass(0, TDO_BURST_MAX / 2 * 2);
	before = misses();
	pass(0, TDO_BURST_MAX / 2 * 2);
	assert_true(misses() - before < TDO_BURST_MAX / 2);
}

/* A flow whose first packet is in the same burst as others is looked up once. */
static void
a_burst_of_one_flow_is_one_miss(void **state)
{
	struct tdo_pkt *p[TDO_BURST_MAX];

	(void)state;
	for (unsigned i = 0; i < TDO_BURST_MAX; i++)
		p[i] = packet(i % 3);
	tdo_out_classify(f.w, p, TDO_BURST_MAX, f.now);
	assert_int_equal(misses(), 3);
	for (unsigned i = 0; i < TDO_BURST_MAX; i++)
		fx_pkt_free(p[i]);
}

/* ---- what is decided ---- */

static void
change_policies(void)
{
	static const char *const src[] = {"10.1.0.0/16", "10.1.2.0/24", "10.1.1.3", "2001:db8::/32",
	    "2001:db8::2:0/112", "2001:db8::1:5"};
	static const char *const dst[] = {"0.0.0.0/0", "10.1.101.0/24", "10.1.103.2", "::/0",
	    "2001:db8::65:0/112", "2001:db8::64:1"};
	static bool there[2][6][6]; /* a selector can have one policy */
	unsigned s = rng_below(&f.rng, 6), d = rng_below(&f.rng, 3) + s / 3 * 3;
	bool in = rng_below(&f.rng, 2);

	tdo_worker_idle(f.w);
	if (rng_below(&f.rng, 8) == 0) {
		tdo_sp_flush(f.e);
		memset(there, 0, sizeof(there));
	} else if (!there[in][s][d]) {
		there[in][s][d] = true;
		fx_add_sp(&f, in ? TDO_DIR_IN : TDO_DIR_OUT, src[s], dst[d], TDO_PROTO_ANY,
		    rng_below(&f.rng, 2) ? "none" : "discard");
	}
	tdo_worker_resume(f.w);
}

static void
expect_oracle(const struct tdo_pkt *p, uint8_t dir)
{
	const struct tdo_sp *sp = tdo_spd_match_naive(f.e, dir, &p->ip.flow).sp;
	bool drop = sp && sp->param.type == TDO_POLICY_DISCARD;

	assert_ptr_equal(p->sp, sp);
	assert_int_equal(p->verdict, drop ? TDO_VERDICT_DROP : TDO_VERDICT_PASS);
}

/* Random flows of both directions in bursts of all lengths while policies change. */
static void
decisions_are_those_of_the_list(void **state)
{
	struct tdo_pkt *p[TDO_BURST_MAX];
	uint64_t packets = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = 1 + rng_below(&f.rng, TDO_BURST_MAX);
		unsigned many = rng_below(&f.rng, 2) ? 4096 : 48;
		uint8_t dir = rng_below(&f.rng, 2) ? TDO_DIR_IN : TDO_DIR_OUT;

		if (round % 5 == 0)
			change_policies();
		for (unsigned i = 0; i < n; i++)
			p[i] = packet(rng_below(&f.rng, many));
		if (dir == TDO_DIR_OUT)
			tdo_out_classify(f.w, p, n, f.now);
		else
			tdo_in(f.w, p, n, f.now);
		for (unsigned i = 0; i < n; i++) {
			expect_oracle(p[i], dir);
			fx_pkt_free(p[i]);
		}
		packets += n;
		tdo_worker_quiesce(f.w);
	}
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_SPD_CACHE_LOOKUP), packets);
	assert_true(misses() > packets / 10 && misses() < packets * 9 / 10);
}

/* ---- sizes ---- */

static void
sizes_are_powers_of_two(void **state)
{
	static const unsigned bad[] = {1, 32, 63, 65, 100, 16383, 65535, 131072, UINT32_MAX};
	static const unsigned good[] = {64, 128, 16384, 65536};
	struct tdo_engine_config cfg = f.e->cfg;
	struct tdo_engine *e = NULL;

	(void)state;
	assert_int_equal(tdo_knob(f.e, TDO_KNOB_SPDCACHE_MAXENTRIES, TDO_AF_INET), 16384);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cfg.flows = bad[i];
		assert_int_equal(tdo_engine_new(&cfg, &e), -EINVAL);
		assert_null(e);
	}
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cfg.flows = good[i];
		assert_int_equal(tdo_engine_new(&cfg, &e), 0);
		assert_int_equal(tdo_knob(e, TDO_KNOB_SPDCACHE_MAXENTRIES, TDO_AF_INET), good[i]);
		tdo_engine_free(e);
		e = NULL;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(flows_are_remembered, open_usual, close_engine),
	    cmocka_unit_test_setup_teardown(small_caches_forget, open_small, close_engine),
	    cmocka_unit_test_setup_teardown(
		a_burst_of_one_flow_is_one_miss, open_usual, close_engine),
	    cmocka_unit_test_setup_teardown(
		decisions_are_those_of_the_list, open_small, close_engine),
	    cmocka_unit_test_setup_teardown(sizes_are_powers_of_two, open_usual, close_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
