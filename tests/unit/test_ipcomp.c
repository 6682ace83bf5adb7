/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPComp (RFC 3173) through the engine: what is compressed and what is not, to the byte; headers,
 * CPIs, rests after failures, what SAs may be.
 */
#include "ipcomp_common.h"

/* ---- thresholds ----------------------------------------------------------------------- */

/* 8 bytes of ICMP header and 81 or 82 of data: 89 and 90 bytes of payload. */
static void
transport_compresses_from_90_bytes_on(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		unsigned proto = v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP;
		uint64_t small = stat(TDO_STAT_IPCOMP_MINLEN), packed = stat(TDO_STAT_IPCOMP_OUT);

		transport(v6);
		assert_false(goes_compressed(echo(v6, 0, false), proto));
		assert_false(goes_compressed(echo(v6, 81, false), proto));
		assert_int_equal(stat(TDO_STAT_IPCOMP_MINLEN), small + 2);
		assert_true(goes_compressed(echo(v6, 82, false), proto));
		assert_int_equal(stat(TDO_STAT_IPCOMP_MINLEN), small + 2);
		assert_int_equal(stat(TDO_STAT_IPCOMP_OUT), packed + 1);
	}
	assert_int_equal(stat(TDO_STAT_IPCOMP_USELESS), 0);
	assert_int_equal(stat(TDO_STAT_IPCOMP_IN), 2);
}

/* D29: what a tunnel carries comes out again, compressed or not. */
static void
d29_tunnel_compresses_from_90_bytes_on(void **state)
{
	static const uint32_t least[2] = {62, 42}; /* with 20 + 8 or 40 + 8: 90 bytes */

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool in6 = i & 1, out6 = i >> 1;
		uint64_t bare = stat(TDO_STAT_IPCOMP_IN_BARE);
		unsigned proto = in6 ? IPV6 : IPIP;

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		tunnel(in6, out6);
		assert_false(goes_compressed(echo(in6, 0, false), proto));
		assert_false(goes_compressed(echo(in6, least[in6] - 1, false), proto));
		assert_int_equal(stat(TDO_STAT_IPCOMP_IN_BARE), bare + 2);
		assert_true(goes_compressed(echo(in6, least[in6], false), proto));
		assert_true(goes_compressed(echo(in6, 1400, false), proto));
		assert_int_equal(stat(TDO_STAT_IPCOMP_IN_BARE), bare + 2);
	}
}

/* Bytes that leave: stream and header must be fewer than the payload, and equal is not enough. */
static void
what_gets_no_smaller_goes_as_it_is(void **state)
{
	unsigned saved = 0, equal = 0, all = 0;

	(void)state;
	transport(false);
	/* Literals of 8 bits, then of 9 bits, then zeros: the sizes around the limit have no gaps.
	 */
	for (uint32_t noise = 90; noise <= 120; noise++)
		for (uint32_t nine = 0; nine <= 24; nine += 8) {
			struct tdo_pkt *p = echo(false, 120, true);
			uint8_t *data = tdo_pkt_data(p) + 28, stream[400];
			uint32_t payload = 128;
			size_t n;

			for (unsigned i = 0; i < 120; i++)
				data[i] = i < nine    ? data[i] | 0x90
					  : i < noise ? data[i] & 0x7f
						      : 0;
			n = deflated(data - 8, payload, stream, sizeof(stream));
			/* No rest after failures: this test is not about that. */
			tdo_sa_flush(f.e, 0);
			add_sa(host[0][0], host[0][1], SPI, TDO_MODE_TRANSPORT, 0);
			assert_int_equal(
			    goes_compressed(p, TDO_IPPROTO_ICMP), n + TDO_IPCOMP_HLEN < payload);
			saved += n + TDO_IPCOMP_HLEN < payload;
			equal += n + TDO_IPCOMP_HLEN == payload;
			all++;
		}
	assert_true(saved > 0 && saved < all && equal > 0);
	assert_int_equal(stat(TDO_STAT_IPCOMP_USELESS), all - saved);
	assert_int_equal(stat(TDO_STAT_IPCOMP_OUT), saved);
}

/* ---- headers -------------------------------------------------------------------------- */

/* D24: the length fields of both families are those of the shorter packet. */
static void
d24_lengths_are_those_of_the_compressed_packet(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool v6 = i & 1, tun = i >> 1;
		struct tdo_pkt *p;

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		if (tun)
			tunnel(v6, v6);
		else
			transport(v6);
		p = echo(v6, 1000, false);
		out(p);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_true(p->len < 200);
		assert_header(p,
		    tun ? (v6 ? IPV6 : IPIP) : (v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP),
		    CPI_DEFLATE);
		if (v6)
			assert_int_equal(tdo_be16(tdo_pkt_data(p) + 4), p->len - 40);
		else
			assert_int_equal(tdo_be16(tdo_pkt_data(p) + 2), p->len);
		fx_pkt_free(p);
	}
}

/* RFC 3173 3.1 and 3.2: in front of destination options, behind what routers read. */
static void
header_stands_behind_what_routers_read(void **state)
{
	struct tdo_pkt *p = echo(true, 200, false);
	uint8_t *d = tdo_pkt_data(p);
	struct copy c;

	(void)state;
	transport(true);
	/* Hop-by-hop, then destination options, in the place of the first 16 bytes. */
	memset(d + 40, 0, 16);
	d[6] = TDO_IPPROTO_HOPOPTS;
	d[40] = TDO_IPPROTO_DSTOPTS;
	d[42] = d[50] = 1;
	d[43] = d[51] = 4;
	d[48] = TDO_IPPROTO_ICMPV6;
	c = copy_of(p);
	out(p);
	assert_int_equal(p->ip.l4_off, 48);
	assert_header(p, TDO_IPPROTO_DSTOPTS, CPI_DEFLATE);
	in(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_same(p, &c);
	fx_pkt_free(p);
}

/* ---- CPIs ------------------------------------------------------------------------------- */

static void
raw_cpi_is_sent_and_found(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add_sa(host[0][0], host[0][1], SPI, TDO_MODE_ANY, TDO_SAF_RAWCPI);
	add_policies(host[0][0], host[0][1], "ipcomp/transport//use");
	p = echo(false, 500, false);
	out(p);
	assert_header(p, TDO_IPPROTO_ICMP, SPI);
	assert_int_equal(p->spi, SPI);
	in(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->nsas, 1);
	fx_pkt_free(p);
}

/* An SPI above 16 bits is sent in its lower half, as KAME does. */
static void
long_spi_is_sent_in_its_lower_half(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add_sa(host[0][0], host[0][1], 0x10000 + SPI, TDO_MODE_ANY, TDO_SAF_RAWCPI);
	add_policies(host[0][0], host[0][1], "ipcomp/transport//use");
	p = echo(false, 500, false);
	out(p);
	assert_header(p, TDO_IPPROTO_ICMP, SPI);
	fx_pkt_free(p);
}

/* Makes an SA's packet and gives it the CPI. */
static struct tdo_pkt *
with_cpi(uint16_t cpi)
{
	struct tdo_pkt *p = echo(false, 500, false);

	out(p);
	assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_IPCOMP);
	tdo_put_be16(tdo_pkt_data(p) + p->ip.l4_off + 2, cpi);
	return p;
}

static void
other_cpis_have_no_sa(void **state)
{
	static const uint16_t none[] = {0, 1, 3, 4, 63, 64, 255, 256, SPI + 1, 61440, 65535};
	struct tdo_pkt *p;

	(void)state;
	transport(false);
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		p = with_cpi(none[i]);
		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_NO_SA);
	}
	/* That of the SA itself is understood, whatever this end would send. */
	p = with_cpi(SPI);
	in(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
}

static void
well_known_cpi_finds_the_sa_of_the_source(void **state)
{
	static const char *const from[] = {"10.0.0.1", "10.0.0.3", "10.0.0.4"};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add_sa(from[i], host[0][1], SPI + i, TDO_MODE_ANY, 0);
	add_policies("10.0.0.0/24", host[0][1], "ipcomp/transport//use");
	for (unsigned i = 0; i < 3; i++) {
		struct tdo_pkt *p = echo(false, 500, false);
		struct tdo_addr a = fx_addr(from[i]);

		memcpy(tdo_pkt_data(p) + 12, a.b, 4);
		tdo_ip4_set_csum(tdo_pkt_data(p));
		out(p);
		assert_header(p, TDO_IPPROTO_ICMP, CPI_DEFLATE);
		in(p);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->sas[0]->id.spi, SPI + i);
		fx_pkt_free(p);
	}
}

/* A host pair with both modes: what IPComp carries tells which SA it was. */
static void
well_known_cpi_finds_the_sa_of_the_mode(void **state)
{
	struct tdo_flow fl = {.src = fx_addr(host[0][0]), .dst = fx_addr(host[0][1])};

	(void)state;
	add_sa(host[0][0], host[0][1], SPI, TDO_MODE_TRANSPORT, 0);
	add_sa(host[0][0], host[0][1], SPI + 1, TDO_MODE_TUNNEL, 0);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, TDO_IPPROTO_UDP)->id.spi, SPI);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, IPIP)->id.spi, SPI + 1);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, IPV6)->id.spi, SPI + 1);
	/* Of equal ones the newest. */
	add_sa(host[0][0], host[0][1], SPI + 2, TDO_MODE_ANY, 0);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, TDO_IPPROTO_UDP)->id.spi, SPI + 2);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, IPIP)->id.spi, SPI + 2);
	fx_delete_sa(
	    &f, &(struct fx_sa){
		    .src = host[0][0], .dst = host[0][1], .spi = SPI + 2, .comp = "deflate"});
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, TDO_IPPROTO_UDP)->id.spi, SPI);
	fl.dst = fl.src;
	assert_null(tdo_sad_find_cpi(f.e, &fl, 2, IPIP));
}

/* An update keeps the place in the index, and one that moves the SA changes it. */
static void
updated_sas_are_found(void **state)
{
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_IPCOMP, SPI, fx_addr(host[0][0]), fx_addr(host[0][1])}, .ealg = 2};
	struct tdo_flow fl = {.src = p.key.src, .dst = p.key.dst};
	uint32_t spi;

	(void)state;
	assert_int_equal(tdo_sa_getspi(f.e, &p, SPI, SPI, f.now, &spi), 0);
	assert_int_equal(spi, SPI);
	assert_null(tdo_sad_find_cpi(f.e, &fl, 2, IPIP)); /* larval: no algorithm yet */
	assert_int_equal(tdo_sa_update(f.e, &p, f.now, NULL), 0);
	assert_non_null(tdo_sad_find_cpi(f.e, &fl, 2, IPIP));
	assert_int_equal(tdo_sa_update(f.e, &p, f.now, NULL), 0);
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, IPIP)->id.spi, SPI);
	p.new_dst = fx_addr("10.0.0.9");
	assert_int_equal(tdo_sa_update(f.e, &p, f.now, NULL), 0);
	assert_null(tdo_sad_find_cpi(f.e, &fl, 2, IPIP));
	fl.dst = p.new_dst;
	assert_int_equal(tdo_sad_find_cpi(f.e, &fl, 2, IPIP)->id.spi, SPI);
	tdo_sa_flush(f.e, TDO_SATYPE_IPCOMP);
	assert_null(tdo_sad_find_cpi(f.e, &fl, 2, IPIP));
}

/* ---- adaptive ------------------------------------------------------------------------------- */

/* RFC 3173 2.2; the numbers are those of docs/decisions/0008-ipcomp.md. */
static void
incompressible_traffic_is_tried_seldom(void **state)
{
	static const unsigned rest[] = {4, 8, 16, 32, 64, 64, 64};
	uint64_t useless = 0, skipped = 0;

	(void)state;
	transport(false);
	for (unsigned i = 0; i < 3; i++)
		assert_false(goes_compressed(echo(false, 500, true), TDO_IPPROTO_ICMP));
	assert_int_equal(stat(TDO_STAT_IPCOMP_USELESS), useless += 3);
	for (unsigned i = 0; i < 7; i++) {
		assert_false(goes_compressed(echo(false, 500, true), TDO_IPPROTO_ICMP));
		assert_int_equal(stat(TDO_STAT_IPCOMP_USELESS), useless += 1);
		for (unsigned k = 0; k < rest[i]; k++) /* even if it would get smaller */
			assert_false(goes_compressed(echo(false, 500, k % 2), TDO_IPPROTO_ICMP));
		assert_int_equal(stat(TDO_STAT_IPCOMP_USELESS), useless);
		assert_int_equal(stat(TDO_STAT_IPCOMP_SKIPPED), skipped += rest[i]);
	}
	/* One that gets smaller ends it, and it begins as at first. */
	assert_true(goes_compressed(echo(false, 500, false), TDO_IPPROTO_ICMP));
	for (unsigned i = 0; i < 3; i++) {
		assert_false(goes_compressed(echo(false, 500, true), TDO_IPPROTO_ICMP));
		assert_false(goes_compressed(echo(false, 10, false), TDO_IPPROTO_ICMP));
	}
	assert_true(goes_compressed(echo(false, 500, false), TDO_IPPROTO_ICMP));
	assert_int_equal(stat(TDO_STAT_IPCOMP_SKIPPED), skipped);
}

/* ---- sizes, states, refusals ------------------------------------------------------------- */

/* Nothing can be counted on but the outer header. */
static void
inner_mtu_counts_on_no_gain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_pkt *p;

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		if (i)
			tunnel(false, true);
		else
			transport(false);
		p = echo(false, 1000, false);
		tdo_out_classify(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PROTECT);
		assert_int_equal(tdo_out_inner_mtu(p, 1500), i ? 1460 : 1500);
		fx_pkt_free(p);
	}
}

static void
states_and_lifetimes_count(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	fx_add_sa(&f, &(struct fx_sa){.src = host[0][0],
			  .dst = host[0][1],
			  .spi = SPI,
			  .comp = "deflate",
			  .hard = {.allocations = 2}});
	add_policies(host[0][0], host[0][1], "ipcomp/transport//use");
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 0);
	p = echo(false, 500, false);
	out(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_OUT_DISABLED);
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 1);
	p = echo(false, 500, false);
	out(p);
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 0);
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_DISABLED);
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 1);
	p = echo(false, 500, false);
	out(p);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	/* Two packets were sent: neither this one comes in nor another one goes. */
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_SA_EXPIRED);
	p = echo(false, 500, false);
	out(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_OUT_SA_EXPIRED);
	/* What does not get an IPComp header uses nothing up. */
	assert_false(goes_compressed(echo(false, 5, false), TDO_IPPROTO_ICMP));
}

static int
try_sa(uint32_t spi, uint32_t flags, const char *comp, const char *auth, const char **ret_text)
{
	const struct tdo_comp_alg *a = tdo_comp_alg_by_name(comp);
	struct tdo_err err = {0};
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_IPCOMP, spi, fx_addr(host[0][0]), fx_addr(host[0][1])},
	    .flags = flags,
	    .ealg = a ? a->pfkey : (uint8_t)strtoul(comp, NULL, 10),
	    .aalg = auth ? tdo_alg_auth_by_name(auth)->pfkey : 0,
	};
	int r = tdo_sa_add(f.e, &p, f.now, &err);

	*ret_text = err.text;
	if (r == 0)
		assert_int_equal(tdo_sa_delete(f.e, &p.key), 0);
	return r;
}

static void
wrong_parameters_are_refused(void **state)
{
	static const struct {
		uint32_t spi, flags;
		const char *comp, *auth;
		int result;
		const char *text;
	} c[] = {
	    {1, 0, "deflate", NULL, 0, NULL},
	    {2, 0, "deflate", NULL, 0, NULL},
	    {255, 0, "deflate", NULL, 0, NULL}, /* not sent: a name only */
	    {65535, 0, "deflate", NULL, 0, NULL},
	    {65536, 0, "deflate", NULL, -EINVAL, "16 bits"},
	    {65536 + 256, TDO_SAF_RAWCPI, "deflate", NULL, 0, NULL},
	    {65536 + 2, TDO_SAF_RAWCPI, "deflate", NULL, 0, NULL},
	    {65536, TDO_SAF_RAWCPI, "deflate", NULL, -EINVAL, "CPI 0 is reserved"},
	    {2, TDO_SAF_RAWCPI, "deflate", NULL, 0, NULL},
	    {3, TDO_SAF_RAWCPI, "deflate", NULL, -EINVAL, "CPI 3 is reserved"},
	    {255, TDO_SAF_RAWCPI, "deflate", NULL, -EINVAL, "CPI 255 is reserved"},
	    {256, TDO_SAF_RAWCPI, "deflate", NULL, 0, NULL},
	    {1000, 0, "0", NULL, -EINVAL, "needs a compression algorithm"},
	    {1000, 0, "4", NULL, -EINVAL, "unknown compression algorithm 4"},
	    {1000, 0, "lzs", NULL, -EOPNOTSUPP, "RFC 2395"},
	    {1000, 0, "oui", NULL, -EOPNOTSUPP, "oui"},
	    {1000, 0, "deflate", "null", -EINVAL, "neither encrypts nor authenticates"},
	    {1000, TDO_SAF_ESN, "deflate", NULL, -EINVAL, "sequence numbers"},
	    {1000, TDO_SAF_OLD, "deflate", NULL, -EINVAL, "one form"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		const char *text;

		assert_int_equal(
		    try_sa(c[i].spi, c[i].flags, c[i].comp, c[i].auth, &text), c[i].result);
		if (c[i].text)
			assert_non_null(strstr(text, c[i].text));
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)
	const struct CMUnitTest tests[] = {
	    T(transport_compresses_from_90_bytes_on),
	    T(d29_tunnel_compresses_from_90_bytes_on),
	    T(what_gets_no_smaller_goes_as_it_is),
	    T(d24_lengths_are_those_of_the_compressed_packet),
	    T(header_stands_behind_what_routers_read),
	    T(raw_cpi_is_sent_and_found),
	    T(long_spi_is_sent_in_its_lower_half),
	    T(other_cpis_have_no_sa),
	    T(well_known_cpi_finds_the_sa_of_the_source),
	    T(well_known_cpi_finds_the_sa_of_the_mode),
	    T(updated_sas_are_found),
	    T(incompressible_traffic_is_tried_seldom),
	    T(inner_mtu_counts_on_no_gain),
	    T(states_and_lifetimes_count),
	    T(wrong_parameters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
