/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments under policies that only whole datagrams satisfy (RFC 4301 7): they are given back to
 * be put together, and what becomes of the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "fragment.h"
#include "mem.h"
#include "testudo/reass.h"

#define GW4 "esp/tunnel/192.0.2.1-192.0.2.2/require"
#define GW6 "esp/tunnel/2001:db8:9::1-2001:db8:9::2/require"

enum { LEN = 3000, STEP = 1480, PIECES = 3, PORT = 53 };

static struct fx f;
static struct tdo_reass *reass;
static uint8_t payload[LEN];
static struct tdo_pkt *whole;

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	rng_fill(ctx, buf, len);
}

static int
set_up(void **state)
{
	struct tdo_reass_config cfg = {
	    .mem = TEST_MEM, .random = random_bytes, .random_ctx = &f.rng};

	memset(&f, 0, sizeof(f));
	fx_open(&f, NULL);
	assert_int_equal(tdo_reass_new(&cfg, &reass), 0);
	tdo_reass_limit(reass, &(struct tdo_reass_limits){1 << 20, 64, 30 * TDO_SEC});
	tdo_worker_reassembles(f.w, true);
	whole = fx_pkt_new(0);
	rng_fill(&f.rng, payload, LEN);
	tdo_put_be16(payload, 1000);
	tdo_put_be16(payload + 2, PORT);
	tdo_put_be16(payload + 4, LEN);
	return 0;
}

static int
tear_down(void **state)
{
	fx_pkt_free(whole);
	tdo_reass_free(reass);
	fx_close(&f);
	return 0;
}

/* The i-th fragment of a datagram of 10.0.0.2 or 2000::2. */
static struct tdo_pkt *
piece(bool v6, unsigned i)
{
	static uint8_t bytes[FRAGMENT_MAX];
	struct fragment x = {.v6 = v6,
	    .src = v6 ? 2 : 0x0a000002,
	    .id = 5,
	    .proto = TDO_IPPROTO_UDP,
	    .at = i * STEP,
	    .len = i + 1 < PIECES ? STEP : LEN - i * STEP,
	    .more = i + 1 < PIECES,
	    .data = payload};
	struct tdo_pkt *p = fx_pkt_new(0);
	uint32_t n = fragment_make(&x, bytes);

	fx_pkt_set(p, bytes, n);
	return p;
}

/* A policy for UDP from port 1000 to a port, or to all. */
static void
add_policy(bool v6, uint8_t dir, struct tdo_range dport, const char *requests)
{
	fx_add_sp(&f, dir, v6 ? "2000::2" : "10.0.0.2", v6 ? "2000::1" : "10.0.0.1",
	    TDO_IPPROTO_UDP, requests);
	if (dport.lo != 0) {
		struct tdo_sel sel = {.src = fx_addr(v6 ? "2000::2" : "10.0.0.2"),
		    .dst = fx_addr(v6 ? "2000::1" : "10.0.0.1"),
		    .src_plen = v6 ? 128 : 32,
		    .dst_plen = v6 ? 128 : 32,
		    .proto = TDO_IPPROTO_UDP,
		    .sport = TDO_RANGE_ANY,
		    .dport = TDO_RANGE_ANY};
		struct tdo_sp_info info;
		struct tdo_sp_param sp;

		assert_int_equal(tdo_sp_find(f.e, dir, &sel, &info), 0);
		assert_int_equal(tdo_sp_delete(f.e, dir, &sel, NULL), 0);
		sp = info.param;
		sp.sel.dport = dport;
		assert_int_equal(tdo_sp_add(f.e, &sp, f.now, NULL, NULL), 0);
	}
}

#define ONE(port) ((struct tdo_range){port, port})
#define ALL       ((struct tdo_range){0, 65535})

static void
add_sas(void)
{
	fx_add_sa(&f, &(struct fx_sa){.src = "192.0.2.1",
			  .dst = "192.0.2.2",
			  .spi = 0x1000,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "aes-gcm-16"});
	fx_add_sa(&f, &(struct fx_sa){.src = "2001:db8:9::1",
			  .dst = "2001:db8:9::2",
			  .spi = 0x1001,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "aes-gcm-16"});
}

/* Classifies the pieces, in reverse order: all of them get this verdict. */
static void
classify(bool v6, enum tdo_verdict v, enum tdo_reason r)
{
	for (unsigned i = PIECES; i-- > 0;) {
		struct tdo_pkt *p = piece(v6, i);

		tdo_out_classify(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, v);
		assert_int_equal(p->reason, r);
		fx_pkt_free(p);
	}
}

/* ---- out ---- */

static void
test_out_port_policy(void **state)
{
	add_sas();
	for (unsigned v6 = 0; v6 < 2; v6++) {
		enum tdo_reass_result res = TDO_REASS_NONE;

		add_policy(v6, TDO_DIR_OUT, ONE(PORT), v6 ? GW6 : GW4);
		for (unsigned i = 0; i < PIECES; i++) {
			struct tdo_pkt *p = piece(v6, i);

			tdo_out_classify(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_FRAGMENT);
			whole->off = TDO_HEADROOM;
			res = tdo_reass_add(reass, tdo_pkt_data(p), p->len, 0, f.now, whole, NULL);
			fx_pkt_free(p);
		}
		assert_int_equal(res, TDO_REASS_WHOLE);
		tdo_out(f.w, &whole, 1, f.now);
		assert_int_equal(whole->verdict, TDO_VERDICT_SEND);
		assert_int_equal(whole->ip.flow.proto, TDO_IPPROTO_ESP);
	}
}

/* Who does not reassemble loses what cannot be judged, and the first fragment goes. */
static void
test_out_without(void **state)
{
	add_sas();
	tdo_worker_reassembles(f.w, false);
	add_policy(false, TDO_DIR_OUT, ONE(PORT), GW4);
	for (unsigned i = 0; i < PIECES; i++) {
		struct tdo_pkt *p = piece(false, i);

		tdo_out_classify(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, i ? TDO_VERDICT_DROP : TDO_VERDICT_PROTECT);
		assert_int_equal(p->reason, i ? TDO_REASON_OUT_FRAGMENT : TDO_REASON_NONE);
		fx_pkt_free(p);
	}
}

/* Where the fragments' own fields are enough nothing is put together. */
static void
test_out_any_port(void **state)
{
	add_sas();
	add_policy(false, TDO_DIR_OUT, ALL, GW4);
	add_policy(true, TDO_DIR_OUT, ALL, GW6);
	classify(false, TDO_VERDICT_PROTECT, TDO_REASON_NONE);
	classify(true, TDO_VERDICT_PROTECT, TDO_REASON_NONE);
}

/* Another port's policy makes all fragments uncertain, also where this one's says "none". */
static void
test_out_several_policies(void **state)
{
	add_sas();
	add_policy(false, TDO_DIR_OUT, ONE(1234), "discard");
	add_policy(false, TDO_DIR_OUT, ONE(PORT), "none");
	classify(false, TDO_VERDICT_FRAGMENT, TDO_REASON_NONE);
	classify(true, TDO_VERDICT_PASS, TDO_REASON_NONE);
}

/* RFC 4303 3.3.4: transport mode is for whole datagrams. */
static void
test_out_transport(void **state)
{
	fx_add_sa(&f, &(struct fx_sa){.src = "10.0.0.2",
			  .dst = "10.0.0.1",
			  .spi = 0x1000,
			  .mode = TDO_MODE_TRANSPORT,
			  .enc = "aes-gcm-16"});
	add_policy(false, TDO_DIR_OUT, ALL, "esp/transport//require");
	classify(false, TDO_VERDICT_FRAGMENT, TDO_REASON_NONE);
	tdo_worker_reassembles(f.w, false);
	classify(false, TDO_VERDICT_DROP, TDO_REASON_OUT_FRAGMENT);
}

/* ---- in ---- */

/* A peer without ports in its policy sends the fragments in the tunnel; the result of the last. */
static enum tdo_reass_result
receive(bool v6, const unsigned *order, unsigned n)
{
	enum tdo_reass_result res = TDO_REASS_NONE;

	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *p = piece(v6, order[i]);

		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_FRAGMENT);
		assert_int_equal(p->nsas, 1);
		whole->off = TDO_HEADROOM;
		res = tdo_reass_add(
		    reass, tdo_pkt_data(p), p->len, tdo_in_way(f.w, p), f.now, whole, NULL);
		if (res == TDO_REASS_WHOLE)
			tdo_in_whole(f.w, whole, p, f.now);
		fx_pkt_free(p);
	}
	return res;
}

static const unsigned backwards[PIECES] = {2, 1, 0};

static void
test_in_port_policy(void **state)
{
	add_sas();
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint64_t before = tdo_stat_read(f.e, TDO_STAT_IN_DELIVERED);

		add_policy(v6, TDO_DIR_OUT, ALL, v6 ? GW6 : GW4);
		add_policy(v6, TDO_DIR_IN, ONE(PORT), v6 ? GW6 : GW4);
		assert_int_equal(receive(v6, backwards, PIECES), TDO_REASS_WHOLE);
		assert_int_equal(whole->verdict, TDO_VERDICT_PASS);
		assert_int_equal(whole->nsas, 1);
		assert_int_equal(whole->ip.flow.dport, PORT);
		assert_true(tdo_stat_read(f.e, TDO_STAT_IN_DELIVERED) == before + 1);
	}
}

/* The ports are not those of the policy: no fragment gets through, the first one neither. */
static void
test_in_other_port(void **state)
{
	add_sas();
	add_policy(false, TDO_DIR_OUT, ALL, GW4);
	add_policy(false, TDO_DIR_IN, ONE(PORT + 1), GW4);
	assert_int_equal(receive(false, backwards, PIECES), TDO_REASS_WHOLE);
	assert_int_equal(whole->verdict, TDO_VERDICT_DROP);
	assert_int_equal(whole->reason, TDO_REASON_IN_SELECTOR);
}

/* D48: the SA's own selectors have ports. */
static void
set_sa_port(uint16_t port)
{
	struct tdo_sa_key key = {.satype = TDO_SATYPE_ESP,
	    .spi = 0x1000,
	    .src = fx_addr("192.0.2.1"),
	    .dst = fx_addr("192.0.2.2")};
	struct tdo_sa_info info;

	assert_int_equal(tdo_sa_get(f.e, &key, &info), 0);
	info.param.has_sel = true;
	info.param.sel = (struct tdo_sel){.src = fx_addr("10.0.0.2"),
	    .dst = fx_addr("10.0.0.1"),
	    .src_plen = 32,
	    .dst_plen = 32,
	    .proto = TDO_IPPROTO_UDP,
	    .sport = TDO_RANGE_ANY,
	    .dport = {port, port}};
	assert_int_equal(tdo_sa_delete(f.e, &key), 0);
	assert_int_equal(tdo_sa_add(f.e, &info.param, f.now, NULL), 0);
}

static void
d48_fragments_and_selectors_of_the_sa(void **state)
{
	add_sas();
	add_policy(false, TDO_DIR_OUT, ALL, GW4);
	add_policy(false, TDO_DIR_IN, ALL, GW4);
	/* Outbound an SA takes only what its selectors say, a fragment never: it goes unlimited. */
	set_sa_port(PORT);
	for (unsigned good = 0; good < 2; good++) {
		struct tdo_sa_key key = {.satype = TDO_SATYPE_ESP,
		    .spi = 0x1000,
		    .src = fx_addr("192.0.2.1"),
		    .dst = fx_addr("192.0.2.2")};
		struct tdo_pkt *p[PIECES];
		enum tdo_reass_result res = TDO_REASS_NONE;

		assert_int_equal(tdo_sa_delete(f.e, &key), 0);
		fx_add_sa(&f, &(struct fx_sa){.src = "192.0.2.1",
				  .dst = "192.0.2.2",
				  .spi = 0x1000,
				  .mode = TDO_MODE_TUNNEL,
				  .enc = "aes-gcm-16"});
		for (unsigned i = 0; i < PIECES; i++) {
			p[i] = piece(false, i);
			tdo_out(f.w, &p[i], 1, f.now);
			assert_int_equal(p[i]->verdict, TDO_VERDICT_SEND);
		}
		set_sa_port(good ? PORT : PORT + 1);
		for (unsigned i = 0; i < PIECES; i++) {
			tdo_in(f.w, &p[i], 1, f.now);
			assert_int_equal(p[i]->verdict, TDO_VERDICT_FRAGMENT);
			whole->off = TDO_HEADROOM;
			res = tdo_reass_add(reass, tdo_pkt_data(p[i]), p[i]->len,
			    tdo_in_way(f.w, p[i]), f.now, whole, NULL);
			if (res == TDO_REASS_WHOLE)
				tdo_in_whole(f.w, whole, p[i], f.now);
			fx_pkt_free(p[i]);
		}
		assert_int_equal(res, TDO_REASS_WHOLE);
		assert_int_equal(whole->verdict, good ? TDO_VERDICT_PASS : TDO_VERDICT_DROP);
		assert_int_equal(whole->reason, good ? TDO_REASON_NONE : TDO_REASON_IN_SA_SELECTOR);
	}
}

/* What came by another SA does not complete a datagram. */
static void
test_in_other_way(void **state)
{
	static const unsigned first[] = {0}, rest[] = {1, 2};

	add_sas();
	add_policy(false, TDO_DIR_OUT, ALL, GW4);
	add_policy(false, TDO_DIR_IN, ONE(PORT), GW4);
	assert_int_equal(receive(false, first, 1), TDO_REASS_WAITS);
	fx_delete_sa(&f, &(struct fx_sa){.src = "192.0.2.1", .dst = "192.0.2.2", .spi = 0x1000});
	fx_add_sa(&f, &(struct fx_sa){.src = "192.0.2.1",
			  .dst = "192.0.2.2",
			  .spi = 0x1002,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "aes-gcm-16"});
	assert_int_equal(receive(false, rest, 2), TDO_REASS_WAITS);
	assert_int_equal(tdo_reass_use(reass).datagrams, 2);
	assert_int_equal(receive(false, first, 1), TDO_REASS_WHOLE);
	assert_int_equal(whole->verdict, TDO_VERDICT_PASS);
}

/* Without protection nothing is put together: the kernel asks about single packets. */
static void
test_in_clear(void **state)
{
	struct tdo_pkt *p = piece(false, 1);

	add_policy(false, TDO_DIR_IN, ONE(PORT), GW4);
	tdo_in_clear(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_DROP);
	assert_int_equal(p->reason, TDO_REASON_IN_FRAGMENT);
	fx_pkt_free(p);
}

/* ---- before or after protection ---- */

static bool
cuts_first(uint8_t mode, uint16_t frag)
{
	const char *src = mode == TDO_MODE_TUNNEL ? "192.0.2.1" : "10.0.0.2";
	const char *dst = mode == TDO_MODE_TUNNEL ? "192.0.2.2" : "10.0.0.1";
	struct fx_sa sa = {
	    .src = src, .dst = dst, .spi = 0x1000, .mode = mode, .enc = "aes-gcm-16"};
	struct tdo_pkt *p = fx_udp(&f.rng, "10.0.0.2", "10.0.0.1", 1000);
	uint32_t limit;
	bool first;

	if (frag)
		sa.natt = (struct tdo_natt){
		    .type = TDO_NATT_ESPINUDP, .sport = 4500, .dport = 4500, .frag = frag};
	fx_add_sa(&f, &sa);
	tdo_out_classify(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PROTECT);
	first = tdo_out_cuts_first(f.w, p);
	limit = tdo_out_inner_mtu(p, 1500);
	assert_true(frag ? limit == frag : limit > 1400);
	fx_pkt_free(p);
	fx_delete_sa(&f, &sa);
	return first;
}

static void
test_cuts_first(void **state)
{
	add_policy(false, TDO_DIR_OUT, ALL, GW4);
	assert_false(cuts_first(TDO_MODE_TUNNEL, 0));
	assert_true(cuts_first(TDO_MODE_TUNNEL, 552));
	fx_knob(&f, TDO_KNOB_FRAG_FIRST, 1);
	assert_true(cuts_first(TDO_MODE_TUNNEL, 0));
	assert_int_equal(tdo_sp_flush(f.e), 1);
	/* RFC 4303 3.3.4: transport mode protects whole datagrams. */
	add_policy(false, TDO_DIR_OUT, ALL, "esp/transport//require");
	assert_false(cuts_first(TDO_MODE_TRANSPORT, 0));
	assert_false(cuts_first(TDO_MODE_TRANSPORT, 552));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_out_port_policy),
	    T(test_out_without),
	    T(test_out_any_port),
	    T(test_out_several_policies),
	    T(test_out_transport),
	    T(test_in_port_policy),
	    T(test_in_other_port),
	    T(d48_fragments_and_selectors_of_the_sa),
	    T(test_in_other_way),
	    T(test_in_clear),
	    T(test_cuts_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
