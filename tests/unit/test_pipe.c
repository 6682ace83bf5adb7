/* SPDX-License-Identifier: BSD-2-Clause */
/* The pipelines: policy in both directions, bundles, history, cache (RFC 4301 5; spec 7.1, 7.2). */
#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "engine_case.h"
#include "hosts.h"
#include "wire/ip.h"

#define C "10.0.0.3"
#define M "198.51.100.1"
#define N "198.51.100.2"

#define ANY TDO_PROTO_ANY
#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

#define SA(s, d, i, m)                                                                             \
	(&(struct fx_sa){.src = s, .dst = d, .spi = i, .mode = TDO_MODE_##m, .enc = "aes-gcm-16"})

static struct tdo_pkt *
out(const char *src, const char *dst)
{
	return fx_send(&f, src, dst, 30);
}

static void
out_drop(const char *src, const char *dst, enum tdo_reason r)
{
	uint64_t before = tdo_drops_read(f.e, r);

	expect(out(src, dst), TDO_VERDICT_DROP, r);
	assert_true(tdo_drops_read(f.e, r) == before + 1);
}

/* Sends under the outbound policy and takes the packet in again; the caller frees it. */
static struct tdo_pkt *
through(const char *src, const char *dst)
{
	struct tdo_pkt *p = out(src, dst);

	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	tdo_in(f.w, &p, 1, f.now);
	return p;
}

static struct tdo_pkt *
icmp6(uint8_t type)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A6, B6, 16);

	tdo_pkt_data(p)[6] = TDO_IPPROTO_ICMPV6;
	tdo_pkt_data(p)[40] = type;
	return p;
}

/* ---- out ---- */

static void
test_out_no_policy(void **state)
{
	expect(out(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	expect(out(A6, B6), TDO_VERDICT_PASS, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_OUT_PASSED) == 2);
	fx_knob(&f, TDO_KNOB_DEF_POLICY, 0);
	out_drop(A, B, TDO_REASON_OUT_DEFAULT_DISCARD);
	out_drop(A6, B6, TDO_REASON_OUT_DEFAULT_DISCARD);
}

static void
test_out_none_discard(void **state)
{
	fx_knob(&f, TDO_KNOB_DEF_POLICY, 0);
	fx_add_sp(&f, OUT, A, B, ANY, "none");
	fx_add_sp(&f, OUT, A, C, ANY, "discard");
	expect(out(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	out_drop(A, C, TDO_REASON_OUT_POLICY_DISCARD);
}

/* Switched off is no reason to send in clear (spec 5.2). */
static void
test_out_disabled(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//use");
	fx_add_sa(&f, SA(A, B, 0x1000, TRANSPORT));
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 0);
	out_drop(A, B, TDO_REASON_OUT_DISABLED);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 1);
	expect(out(A, B), TDO_VERDICT_SEND, TDO_REASON_NONE);
}

static void
test_out_malformed(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 4);

	p->len -= 1;
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_SHORT);
	p = fx_udp(&f.rng, A, B, 4);
	tdo_pkt_data(p)[0] = 0x55;
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IP_HEADER);
	p = fx_udp(&f.rng, A6, B6, 4);
	tdo_pkt_data(p)[6] = TDO_IPPROTO_DSTOPTS;
	tdo_pkt_data(p)[41] = 200;
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_EXT_HEADER);
}

static void
test_out_no_sa(void **state)
{
	struct tdo_event ev;

	fx_knob(&f, TDO_KNOB_HOLD_PACKETS, 0);
	tdo_engine_set_acquirers(f.e, 1u << TDO_SATYPE_ESP);
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	out_drop(A, B, TDO_REASON_OUT_NO_SA);
	tdo_engine_tick(f.e, f.now);
	assert_true(tdo_engine_next_event(f.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_ACQUIRE);
	assert_true(
	    tdo_addr_equal(&ev.acquire.dst, &(struct tdo_addr){.af = 4, .b = {10, 0, 0, 2}}));
	/* The wrong SA is no SA; the right one helps at once, though the flow is known. */
	fx_add_sa(&f, SA(A, C, 0x1001, TRANSPORT));
	fx_add_sa(&f, SA(A, B, 0x1002, TUNNEL));
	out_drop(A, B, TDO_REASON_OUT_NO_SA);
	fx_add_sa(&f, SA(A, B, 0x1003, TRANSPORT));
	expect(out(A, B), TDO_VERDICT_SEND, TDO_REASON_NONE);
	fx_delete_sa(&f, SA(A, B, 0x1003, TRANSPORT));
	out_drop(A, B, TDO_REASON_OUT_NO_SA);
}

/* Level use: what has no SA is skipped; the deflev knob decides for "default". */
static void
test_out_use(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//use esp/tunnel/" G "-" H "/use");
	fx_add_sp(&f, OUT, A, C, ANY, "esp/transport//default");
	expect(out(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_OUT_USE_NO_SA) == 1);
	fx_add_sa(&f, SA(G, H, 0x1001, TUNNEL));
	p = out(A, B);
	assert_int_equal(p->nsas, 1);
	assert_int_equal(p->sas[0]->id.spi, 0x1001);
	expect(p, TDO_VERDICT_SEND, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_OUT_USE_NO_SA) == 1);
	expect(out(A, C), TDO_VERDICT_PASS, TDO_REASON_NONE);
	fx_knob(&f, TDO_KNOB_ESP_TRANS_DEFLEV, 2);
	out_drop(A, C, TDO_REASON_OUT_NO_SA);
}

/* Innermost first; a request without addresses outside of a tunnel means the tunnel's ends. */
static void
test_out_bundle(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY,
	    "esp/transport//require esp/tunnel/" G "-" H "/require esp/transport//require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	fx_add_sa(&f, SA(G, H, 0x1002, TUNNEL));
	out_drop(A, B, TDO_REASON_OUT_NO_SA);
	fx_add_sa(&f, SA(G, H, 0x1003, TRANSPORT));
	p = out(A, B);
	assert_int_equal(p->nsas, 3);
	assert_int_equal(p->tunnelled, 1 << 1);
	assert_int_equal(p->sas[0]->id.spi, 0x1001);
	assert_int_equal(p->sas[1]->id.spi, 0x1002);
	assert_int_equal(p->sas[2]->id.spi, 0x1003);
	assert_int_equal(tdo_be32(tdo_pkt_data(p) + 20), 0x1003);
	expect(p, TDO_VERDICT_SEND, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_OUT_PROTECTED) == 1);
}

/* Spec 7.1 step 8: addresses that are not the packet's make a tunnel. */
static void
test_out_implied_tunnel(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport/" G "-" H "/require");
	fx_add_sp(&f, IN, A, B, ANY, "esp/transport/" G "-" H "/require");
	fx_add_sa(&f, SA(G, H, 0x1001, ANY));
	p = through(A, B);
	assert_int_equal(p->tunnelled, 1);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
}

/* An SA from any address is good for transport mode, but no tunnel can begin there. */
static void
test_out_no_tunnel_source(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport/0.0.0.0-" H "/require");
	fx_add_sp(&f, OUT, A, H, ANY, "esp/transport/0.0.0.0-" H "/require");
	fx_add_sa(&f, SA("0.0.0.0", H, 0x1001, ANY));
	out_drop(A, B, TDO_REASON_OUT_FAMILY);
	expect(out(A, H), TDO_VERDICT_SEND, TDO_REASON_NONE);
}

static void
test_out_fragments(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, OUT, A, C, ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sp(&f, OUT, B, C, TDO_IPPROTO_UDP, "discard");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	fx_add_sa(&f, SA(G, H, 0x1002, TUNNEL));
	expect(out(A, B), TDO_VERDICT_SEND, TDO_REASON_NONE); /* the flow is known now */
	p = fx_udp(&f.rng, A, B, 16);
	tdo_pkt_data(p)[6] = 0x20; /* first of several */
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_OUT_FRAGMENT);
	p = fx_udp(&f.rng, A, C, 16);
	tdo_pkt_data(p)[7] = 5; /* the last */
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_SEND, TDO_REASON_NONE);
}

/* A later fragment hides its ports: it may or may not be what the policy means. */
static void
test_fragment_uncertain(void **state)
{
	struct tdo_sp_param sp = {.dir = OUT,
	    .type = TDO_POLICY_DISCARD,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = fx_addr(A),
		.dst = fx_addr(B),
		.src_plen = 32,
		.dst_plen = 32,
		.proto = TDO_IPPROTO_UDP,
		.sport = TDO_RANGE_ANY,
		.dport = {53, 53}}};
	struct tdo_pkt *p;

	assert_int_equal(tdo_sp_add(f.e, &sp, f.now, NULL, NULL), 0);
	sp.dir = IN;
	assert_int_equal(tdo_sp_add(f.e, &sp, f.now, NULL, NULL), 0);
	p = fx_udp(&f.rng, A, B, 16);
	tdo_pkt_data(p)[7] = 5;
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_DROP);
	assert_int_equal(p->reason, TDO_REASON_OUT_FRAGMENT);
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_FRAGMENT);
}

static struct tdo_pkt *
icmp6_hops(uint8_t type, uint8_t hop_limit)
{
	struct tdo_pkt *p = icmp6(type);

	tdo_pkt_data(p)[7] = hop_limit;
	return p;
}

/* What a router forwarded, or will, is neither: nothing may pass in its disguise. */
static void
test_nd_only_on_link(void **state)
{
	static const uint8_t type[] = {130, 131, 132, 133, 134, 135, 136, 137, 143};
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A6, B6, ANY, "discard");
	fx_add_sp(&f, IN, A6, B6, ANY, "discard");
	for (unsigned i = 0; i < sizeof(type); i++) {
		bool nd = type[i] >= 133 && type[i] <= 137;

		p = icmp6_hops(type[i], nd ? 254 : 2);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_DROP);
		p->flags |= TDO_PKT_FORWARDED;
		tdo_in_clear(f.w, &p, 1, f.now);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_POLICY_DISCARD);
	}
}

/* ND and MLD work before any SA can exist; other ICMPv6 is as everything else. */
static void
test_nd_exempt(void **state)
{
	static const uint8_t exempt[] = {130, 131, 132, 133, 134, 135, 136, 137, 143};
	static const uint8_t others[] = {1, 2, 128, 129, 138, 142, 144};
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A6, B6, ANY, "discard");
	fx_add_sp(&f, IN, A6, B6, ANY, "discard");
	for (unsigned i = 0; i < sizeof(exempt); i++) {
		p = icmp6_hops(exempt[i], exempt[i] >= 133 && exempt[i] <= 137 ? 255 : 1);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		tdo_in_clear(f.w, &p, 1, f.now);
		expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
	}
	for (unsigned i = 0; i < sizeof(others); i++) {
		p = icmp6(others[i]);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_DROP);
		tdo_in_clear(f.w, &p, 1, f.now);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_POLICY_DISCARD);
	}
}

/* R47: the tunnel's own packets match its selector, but must not be wrapped again. */
static void
test_out_endpoint_loop(void **state)
{
	struct tdo_pkt *p, *q = fx_pkt_new(0);

	fx_add_sp(&f, OUT, "0.0.0.0/0", "0.0.0.0/0", ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sa(&f, SA(G, H, 0x1001, TUNNEL));
	p = out(A, B);
	fx_pkt_set(q, tdo_pkt_data(p), p->len);
	tdo_out(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_OUT_ENDPOINT_LOOP);
	/* ESP of somebody else between the same hosts is traffic like any other. */
	tdo_put_be32(tdo_pkt_data(q) + 20, 0x7777);
	tdo_out(f.w, &q, 1, f.now);
	expect(q, TDO_VERDICT_SEND, TDO_REASON_NONE);
	/* Of other hosts, or too short to have an SPI. */
	q = fx_udp(&f.rng, A, B, 8);
	tdo_pkt_data(q)[9] = TDO_IPPROTO_ESP;
	tdo_out(f.w, &q, 1, f.now);
	expect(q, TDO_VERDICT_SEND, TDO_REASON_NONE);
	q = fx_udp(&f.rng, G, H, 0);
	tdo_pkt_data(q)[9] = TDO_IPPROTO_ESP;
	tdo_pkt_data(q)[3] = 27;
	tdo_ip4_set_csum(tdo_pkt_data(q));
	tdo_out(f.w, &q, 1, f.now);
	expect(q, TDO_VERDICT_SEND, TDO_REASON_NONE);
}

static void
test_out_groups(void **state)
{
	struct tdo_pkt *p[TDO_BURST_MAX];
	uint32_t seq[3] = {0, 0, 0};

	fx_add_sp(&f, OUT, A, "10.0.1.0/24", ANY, "esp/transport//require");
	fx_add_sa(&f, SA(A, "10.0.1.0", 0x1000, TRANSPORT));
	fx_add_sa(&f, SA(A, "10.0.1.1", 0x1001, TRANSPORT));
	fx_add_sa(&f, SA(A, "10.0.1.2", 0x1002, TRANSPORT));
	for (unsigned i = 0; i < TDO_BURST_MAX; i++) {
		char dst[] = "10.0.1.x";

		dst[7] = (char)('0' + i * i % 3);
		p[i] = fx_udp(&f.rng, A, dst, i);
	}
	tdo_out(f.w, p, TDO_BURST_MAX, f.now);
	for (unsigned i = 0; i < TDO_BURST_MAX; i++) {
		assert_int_equal(p[i]->sas[0]->id.spi, 0x1000 + i * i % 3);
		assert_int_equal(p[i]->seq, ++seq[i * i % 3]); /* in the order of the burst */
		expect(p[i], TDO_VERDICT_SEND, TDO_REASON_NONE);
	}
	/* The SAs take turns in the burst, which is one call. */
	assert_true(tdo_stat_read(f.e, TDO_STAT_CRYPTO_CALLS) == 1);
	assert_true(tdo_stat_read(f.e, TDO_STAT_CRYPTO_OPS) == TDO_BURST_MAX);
}

static void
test_copy_class(void **state)
{
	struct tdo_pkt *super = fx_udp(&f.rng, A, B, 3000), *seg = fx_udp(&f.rng, A, B, 100);

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	tdo_out_classify(f.w, &super, 1, f.now);
	assert_int_equal(super->verdict, TDO_VERDICT_PROTECT);
	tdo_pkt_copy_class(seg, super);
	assert_int_equal(seg->ip.total_len, 128);
	tdo_out_protect(f.w, &seg, 1, f.now);
	assert_ptr_equal(seg->sp, super->sp);
	tdo_in(f.w, &seg, 1, f.now);
	assert_int_equal(seg->len, 128);
	expect(seg, TDO_VERDICT_PASS, TDO_REASON_NONE);
	fx_pkt_free(super);
}

static void
test_inner_mtu(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 0);

	fx_add_sp(&f, OUT, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	tdo_out_classify(f.w, &p, 1, f.now);
	fx_add_sa(&f, SA(G, H, 0x1001, TUNNEL));
	tdo_out_classify(f.w, &p, 1, f.now);
	/* 20 + 8 + 8 + text + 16: 1448 of text, of which 2 are the trailer */
	assert_int_equal(tdo_out_inner_mtu(p, 1500), 1446);
	assert_int_equal(tdo_out_inner_mtu(p, 56), 2);
	assert_int_equal(tdo_out_inner_mtu(p, 55), 0);
	assert_int_equal(tdo_out_inner_mtu(p, 0), 0);
	fx_pkt_free(p);
}

static void
test_cache(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "none");
	for (unsigned i = 0; i < 5; i++)
		expect(out(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_SPD_CACHE_LOOKUP) == 5);
	assert_true(tdo_stat_read(f.e, TDO_STAT_SPD_CACHE_MISS) == 1);
	/* Any change of the SPD is seen at once. */
	fx_knob(&f, TDO_KNOB_DEF_POLICY, 0);
	tdo_sp_flush(f.e);
	out_drop(A, B, TDO_REASON_OUT_DEFAULT_DISCARD);
	assert_true(tdo_stat_read(f.e, TDO_STAT_SPD_CACHE_MISS) == 2);
}

static void
test_policy_use(void **state)
{
	struct tdo_sp_snap *snap;
	struct tdo_sp_info info;
	struct tdo_pkt *p[10];

	fx_add_sp(&f, OUT, A, B, ANY, "none");
	for (unsigned i = 0; i < 10; i++)
		p[i] = fx_udp(&f.rng, A, i == 3 ? C : B, 1);
	tdo_out(f.w, p, 10, f.now);
	for (unsigned i = 0; i < 10; i++)
		fx_pkt_free(p[i]);
	assert_int_equal(tdo_sp_snap_new(f.e, &snap), 0);
	assert_true(tdo_sp_snap_next(snap, &info));
	tdo_sp_snap_free(snap);
	assert_true(info.packets == 9);
	assert_true(info.last_used != 0);
}

/* ---- in ---- */

static void
test_in_policies(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	/* No inbound policy: transport mode binds nothing. */
	expect(through(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	fx_knob(&f, TDO_KNOB_DEF_POLICY, 0);
	expect(through(A, B), TDO_VERDICT_DROP, TDO_REASON_IN_DEFAULT_DISCARD);
	fx_add_sp(&f, IN, A, B, ANY, "esp/transport//require");
	expect(through(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	assert_true(tdo_stat_read(f.e, TDO_STAT_IN_DELIVERED) == 2);
	tdo_sp_flush(f.e);
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, IN, A, B, ANY, "discard");
	expect(through(A, B), TDO_VERDICT_DROP, TDO_REASON_IN_POLICY_DISCARD);
	tdo_sp_flush(f.e);
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, IN, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	expect(through(A, B), TDO_VERDICT_DROP, TDO_REASON_IN_WRONG_SA);
}

static void
test_in_clear(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, IN, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, IN, A, C, ANY, "esp/transport//default");
	p = fx_udp(&f.rng, A, B, 1);
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_CLEAR);
	p = fx_udp(&f.rng, A, C, 1);
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
	p = fx_udp(&f.rng, B, C, 1);
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
	fx_knob(&f, TDO_KNOB_DEF_POLICY, 0);
	p = fx_udp(&f.rng, B, C, 1);
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_DEFAULT_DISCARD);
	p = fx_udp(&f.rng, B, C, 1);
	p->len -= 1;
	tdo_in_clear(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_SHORT);
	assert_true(tdo_stat_read(f.e, TDO_STAT_IN_CLEAR_CHECKED) == 5);
	assert_true(tdo_stat_read(f.e, TDO_STAT_IN_CLEAR_PASSED) == 2);
}

/* IPsec for this host is not the last protocol of its packet; for others it is traffic. */
static void
test_in_clear_ipsec(void **state)
{
	static const uint8_t protos[] = {TDO_IPPROTO_ESP, TDO_IPPROTO_AH, TDO_IPPROTO_IPCOMP};

	fx_add_sp(&f, IN, A, B, ANY, "esp/transport//require");
	for (unsigned i = 0; i < 3; i++) {
		struct tdo_pkt *p = fx_udp(&f.rng, A, B, 30);

		tdo_pkt_data(p)[9] = protos[i];
		tdo_in_clear(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		p->flags |= TDO_PKT_FORWARDED;
		tdo_in_clear(f.w, &p, 1, f.now);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_CLEAR);
	}
}

/* D48: what a tunnel may carry is what the policies of that tunnel say. */
static void
test_in_selector(void **state)
{
	fx_add_sp(&f, OUT, "10.0.0.0/8", "10.0.0.0/8", ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sa(&f, SA(G, H, 0x1001, TUNNEL));
	expect(through(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE); /* no policy asks for it */
	fx_add_sp(&f, IN, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	expect(through(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
	expect(through(A, C), TDO_VERDICT_DROP, TDO_REASON_IN_SELECTOR);
	fx_add_sp(&f, IN, A, C, ANY, "none");
	expect(through(A, C), TDO_VERDICT_DROP, TDO_REASON_IN_SELECTOR);
}

/* An SA from C to D that carries UDP to port dport only, in its packets' own words. */
static void
limited_sa(const char *src, const char *dst, uint32_t spi, uint8_t mode, const char *sel_dst,
    uint16_t dport)
{
	struct tdo_sa_param p = {
	    .key = {.satype = TDO_SATYPE_ESP, .spi = spi, .src = fx_addr(src), .dst = fx_addr(dst)},
	    .mode = mode,
	    .ealg = 20, /* aes-gcm-16 */
	    .ekey = (const uint8_t *)"0123456789abcdefghij",
	    .ekey_bits = 160,
	    .has_sel = true};

	p.sel = (struct tdo_sel){.src = fx_addr(A),
	    .dst = fx_addr(sel_dst),
	    .src_plen = 32,
	    .dst_plen = 32,
	    .proto = TDO_IPPROTO_UDP,
	    .sport = TDO_RANGE_ANY,
	    .dport = dport ? (struct tdo_range){dport, dport} : TDO_RANGE_ANY};
	assert_int_equal(tdo_sa_add(f.e, &p, f.now, NULL), 0);
}

/* Gives the SA to a sender that knows nothing of its selectors, and receives what it makes. */
static void
receive_limited(const char *src, const char *dst, uint8_t mode, const char *sel_dst, uint16_t dport,
    enum tdo_reason want)
{
	struct tdo_sa *sa;
	struct tdo_addr d = fx_addr(dst);
	const struct tdo_sel *sel;
	struct tdo_pkt *p;

	limited_sa(src, dst, 4000, mode, sel_dst, dport);
	sa = tdo_sad_find_in(f.e, &d, 4000, 50);
	sel = sa->sel;
	sa->sel = NULL;
	p = out(A, B);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	sa->sel = sel;
	tdo_in(f.w, &p, 1, f.now);
	expect(p, want == TDO_REASON_NONE ? TDO_VERDICT_PASS : TDO_VERDICT_DROP, want);
	assert_int_equal(tdo_sa_flush(f.e, TDO_SATYPE_UNSPEC), 1);
}

/*
 * A peer with an SA may send what was agreed for it and nothing else, whatever the policies
 * allow.  fx_udp() sends to port 2000.
 */
static void
test_in_d48_tunnel_carries_its_selectors_only(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sp(&f, IN, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	receive_limited(G, H, TDO_MODE_TUNNEL, B, 0, TDO_REASON_NONE);
	receive_limited(G, H, TDO_MODE_TUNNEL, B, 2000, TDO_REASON_NONE);
	receive_limited(G, H, TDO_MODE_TUNNEL, B, 2001, TDO_REASON_IN_SA_SELECTOR);
	receive_limited(G, H, TDO_MODE_TUNNEL, C, 0, TDO_REASON_IN_SA_SELECTOR);
}

static void
test_in_d48_transport_carries_its_selectors_only(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	receive_limited(A, B, TDO_MODE_TRANSPORT, B, 2000, TDO_REASON_NONE);
	receive_limited(A, B, TDO_MODE_TRANSPORT, B, 1999, TDO_REASON_IN_SA_SELECTOR);
	receive_limited(A, B, TDO_MODE_ANY, B, 1999, TDO_REASON_IN_SA_SELECTOR);
}

/* In a bundle each SA's selectors are about what that SA carries: here ESP between gateways. */
static void
test_out_d48_layers(void **state)
{
	fx_add_sp(
	    &f, OUT, A, B, ANY, "esp/tunnel/" G "-" H "/require esp/tunnel/" M "-" N "/require");
	limited_sa(G, H, 4000, TDO_MODE_TUNNEL, B, 2000);
	fx_add_sa(&f, SA(M, N, 4002, TUNNEL));
	expect(out(A, B), TDO_VERDICT_SEND, TDO_REASON_NONE);
	fx_delete_sa(&f, SA(M, N, 4002, TUNNEL));
	limited_sa(M, N, 4001, TDO_MODE_TUNNEL, B, 2000); /* names what is inside the inner one */
	out_drop(A, B, TDO_REASON_OUT_NO_SA);
}

static void
test_in_spoof(void **state)
{
	static const struct {
		const char *src, *dst, *local;
	} rows[] = {{A, B, A}, {A6, B6, A6}};

	fx_add_sp(&f, OUT, "10.0.0.0/8", "10.0.0.0/8", ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sp(&f, OUT, "2001:db8::/32", "2001:db8::/32", ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sa(&f, SA(G, H, 0x1001, TUNNEL));
	for (unsigned i = 0; i < 2; i++) {
		fx_knob(&f, TDO_KNOB_IPIP_ALLOW, 0);
		fx_local(&f, rows[i].local);
		expect(through(rows[i].src, rows[i].dst), TDO_VERDICT_DROP, TDO_REASON_IN_SPOOF);
		fx_local(&f, H);
		expect(through(rows[i].src, rows[i].dst), TDO_VERDICT_PASS, TDO_REASON_NONE);
		fx_local(&f, rows[i].local);
		fx_knob(&f, TDO_KNOB_IPIP_ALLOW, 2);
		expect(through(rows[i].src, rows[i].dst), TDO_VERDICT_PASS, TDO_REASON_NONE);
	}
	/* A tunnel of this host with itself. */
	fx_knob(&f, TDO_KNOB_IPIP_ALLOW, 0);
	assert_int_equal(
	    tdo_engine_set_local(f.e, (struct tdo_addr[]){fx_addr(A), fx_addr(G)}, 2), 0);
	expect(through(A, B), TDO_VERDICT_PASS, TDO_REASON_NONE);
}

/* IP in IP as the payload of transport mode stays what it is. */
static void
test_in_ipip_in_transport(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 40);
	uint8_t *d = tdo_pkt_data(p);

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, IN, A, B, TDO_IPPROTO_IPIP, "esp/transport//require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	d[9] = TDO_IPPROTO_IPIP;
	memcpy(d + 20, d, 20);
	tdo_ip_set_len(d + 20, 48);
	tdo_ip_set_len(d, 68);
	tdo_out(f.w, &p, 1, f.now);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_IPIP);
	assert_int_equal(p->tunnelled, 0);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
}

/* Wraps p in one more layer of the transport SA, n times. */
static struct tdo_pkt *
wrapped(unsigned n)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 1);

	for (unsigned i = 0; i < n; i++)
		tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	return p;
}

static void
test_in_nested(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	p = wrapped(TDO_HIST_MAX);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->nsas, TDO_HIST_MAX);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
	p = wrapped(TDO_HIST_MAX + 1);
	tdo_in(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_NESTED);
}

/* What comes out of a tunnel may be ESP for somebody else: forwarded as it is. */
static void
test_in_foreign_esp(void **state)
{
	struct tdo_pkt *p;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require esp/tunnel/" G "-" H "/require");
	fx_add_sp(&f, IN, A, B, TDO_IPPROTO_ESP, "esp/tunnel/" G "-" H "/require");
	fx_add_sp(&f, IN, A, B, ANY, "esp/transport//require esp/tunnel/" G "-" H "/require");
	fx_add_sa(&f, SA(A, B, 0x1001, TRANSPORT));
	fx_add_sa(&f, SA(G, H, 0x1002, TUNNEL));
	fx_local(&f, H);
	p = through(A, B);
	assert_int_equal(p->nsas, 1);
	assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_ESP);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
	fx_local(&f, B);
	p = through(A, B);
	assert_int_equal(p->nsas, 2);
	assert_int_equal(p->tunnelled, 1);
	assert_int_equal(p->sas[0]->id.spi, 0x1002);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
}

static void
test_in_refused_early(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 30);
	struct tdo_offender who;

	tdo_pkt_data(p)[9] = TDO_IPPROTO_ESP;
	tdo_put_be32(tdo_pkt_data(p) + 24, 77);
	tdo_in(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_NO_SA);
	tdo_offender_read(f.e, TDO_REASON_IN_NO_SA, &who);
	assert_int_equal(who.spi, 1000 << 16 | 2000); /* what was the ports */
	assert_int_equal(who.seq, 77);
	p = fx_udp(&f.rng, A, B, 32);
	tdo_pkt_data(p)[9] = TDO_IPPROTO_ESP;
	tdo_pkt_data(p)[6] = 0x20; /* RFC 4303 3.4.1: reassembly comes first */
	tdo_in(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_FRAGMENT);
	p = fx_udp(&f.rng, A, B, 32);
	p->len = 19;
	tdo_in(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_SHORT);
}

/* The worker's table of SPIs has one place for both SAs, and none for what was deleted. */
static void
test_in_same_spi(void **state)
{
	const struct fx_sa *to_b = SA(A, B, 0x1001, TRANSPORT), *to_n = SA(A, N, 0x1001, TRANSPORT);
	struct tdo_pkt *late;

	fx_add_sp(&f, OUT, A, B, ANY, "esp/transport//require");
	fx_add_sp(&f, OUT, A, N, ANY, "esp/transport//require");
	fx_add_sa(&f, to_b);
	fx_add_sa(&f, to_n);
	for (unsigned i = 0; i < 3; i++) {
		struct tdo_pkt *b = through(A, B), *n = through(A, N);

		assert_true(tdo_addr_equal(&b->sas[0]->id.dst, &b->ip.flow.dst));
		assert_true(tdo_addr_equal(&n->sas[0]->id.dst, &n->ip.flow.dst));
		expect(b, TDO_VERDICT_PASS, TDO_REASON_NONE);
		expect(n, TDO_VERDICT_PASS, TDO_REASON_NONE);
	}
	late = out(A, B);
	fx_delete_sa(&f, to_b);
	tdo_in(f.w, &late, 1, f.now);
	expect(late, TDO_VERDICT_DROP, TDO_REASON_IN_NO_SA);
	expect(through(A, N), TDO_VERDICT_PASS, TDO_REASON_NONE);
}

/* No IPsec at all: judged like every clear packet. */
static void
test_in_without_esp(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 30);

	fx_add_sp(&f, IN, A, B, ANY, "esp/transport//require");
	tdo_in(f.w, &p, 1, f.now);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_CLEAR);
}

/* Two peers whose SAs exist: one may not speak for the other (D1, D48). */
static void
test_in_other_peer(void **state)
{
	fx_add_sp(&f, OUT, A, B, ANY, "esp/tunnel/" M "-" N "/require");
	fx_add_sp(&f, IN, A, B, ANY, "esp/tunnel/" G "-" H "/require");
	fx_add_sa(&f, SA(M, N, 0x1001, TUNNEL));
	fx_add_sa(&f, SA(G, H, 0x1002, TUNNEL));
	expect(through(A, B), TDO_VERDICT_DROP, TDO_REASON_IN_WRONG_SA);
}

/* Rows of all lengths; an SA that comes back is a group of its own. */
static void
test_group(void **state)
{
	static struct tdo_sa sas[3];
	struct tdo_group groups[TDO_BURST_MAX];
	struct tdo_sa *sa[TDO_BURST_MAX];

	for (unsigned row = 1; row <= TDO_BURST_MAX; row++) {
		unsigned n, at = 0;

		for (unsigned i = 0; i < TDO_BURST_MAX; i++)
			sa[i] = &sas[i / row % 3];
		n = tdo_group_rows(sa, TDO_BURST_MAX, groups);
		assert_int_equal(n, (TDO_BURST_MAX + row - 1) / row);
		for (unsigned g = 0; g < n; at += groups[g++].n) {
			assert_int_equal(groups[g].first, at);
			assert_ptr_equal(groups[g].sa, &sas[g % 3]);
			assert_int_equal(groups[g].n, g + 1 < n ? row : TDO_BURST_MAX - at);
		}
		assert_int_equal(at, TDO_BURST_MAX);
	}
	assert_int_equal(tdo_group_rows(sa, 0, groups), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_out_no_policy),
	    T(test_out_none_discard),
	    T(test_out_disabled),
	    T(test_out_malformed),
	    T(test_out_no_sa),
	    T(test_out_use),
	    T(test_out_bundle),
	    T(test_out_implied_tunnel),
	    T(test_out_no_tunnel_source),
	    T(test_out_fragments),
	    T(test_fragment_uncertain),
	    T(test_nd_exempt),
	    T(test_nd_only_on_link),
	    T(test_out_endpoint_loop),
	    T(test_out_groups),
	    T(test_copy_class),
	    T(test_inner_mtu),
	    T(test_cache),
	    T(test_policy_use),
	    T(test_in_policies),
	    T(test_in_clear),
	    T(test_in_clear_ipsec),
	    T(test_in_selector),
	    T(test_in_d48_tunnel_carries_its_selectors_only),
	    T(test_in_d48_transport_carries_its_selectors_only),
	    T(test_out_d48_layers),
	    T(test_in_spoof),
	    T(test_in_ipip_in_transport),
	    T(test_in_nested),
	    T(test_in_foreign_esp),
	    T(test_in_refused_early),
	    T(test_in_same_spi),
	    T(test_in_without_esp),
	    T(test_in_other_peer),
	    T(test_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
