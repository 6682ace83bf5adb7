/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound IPComp: hostile streams, buffers that are too small for what comes out, tunnels whose
 * packets come uncompressed, the inbound check.
 */
#include <stdio.h>

#include "ipcomp_common.h"

/* ---- hostile input ---------------------------------------------------------------------- */

/* An IP packet of the hosts with an IPComp header and these bytes behind it. */
static struct tdo_pkt *
forged(bool v6, uint8_t next, const void *stream, uint32_t len)
{
	struct tdo_ip_hdr h = {.src = fx_addr(host[v6][0]),
	    .dst = fx_addr(host[v6][1]),
	    .ttl = 61,
	    .proto = TDO_IPPROTO_IPCOMP};
	unsigned hlen = tdo_ip_hlen(h.src.af);
	struct tdo_pkt *p = fx_pkt_new(hlen + 4 + len);
	uint8_t *c = tdo_pkt_data(p) + hlen;

	tdo_ip_build(tdo_pkt_data(p), &h, 4 + len);
	c[0] = next;
	c[1] = 0x5a; /* flags: "MUST be ignored by the receiving node" (RFC 3173 3.3) */
	c[3] = CPI_DEFLATE;
	memcpy(c + 4, stream, len);
	return p;
}

static void
d03_broken_streams_are_dropped(void **state)
{
	uint8_t udp[100] = {0x03, 0xe8, 0x07, 0xd0, 0, 100}, stream[200];
	size_t n = deflated(udp, sizeof(udp), stream, 150);
	struct tdo_pkt *p;

	(void)state;
	transport(false);
	for (uint32_t len = 0; len < n; len++) {
		p = forged(false, TDO_IPPROTO_UDP, stream, len);
		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_INFLATE);
	}
	/* Whole, and with bytes behind the end: ignored. */
	memset(stream + n, 0xff, 20);
	for (uint32_t more = 0; more <= 20; more += 4) {
		p = forged(false, TDO_IPPROTO_UDP, stream, (uint32_t)n + more);
		in(p);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->len, 20 + sizeof(udp));
		assert_memory_equal(tdo_pkt_data(p) + 20, udp, sizeof(udp));
		fx_pkt_free(p);
	}
	for (uint32_t cut = 1; cut <= 4; cut++) { /* not even a header */
		p = forged(false, TDO_IPPROTO_UDP, stream, 0);
		p->len -= cut;
		tdo_ip_set_len(tdo_pkt_data(p), p->len);
		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_SHORT);
	}
}

/* The largest content that an IP packet can have passes, one byte more does not. */
static void
d03_contents_end_where_ip_packets_do(void **state)
{
	uint8_t *zeros = calloc(1, 1 << 20), *stream = malloc(1 << 16);

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint32_t most = v6 ? 65535 : 65535 - 20;

		transport(v6);
		for (uint32_t more = 0; more <= 1; more++) {
			size_t n = deflated(zeros, most + more, stream, 1 << 16);
			struct tdo_pkt *p = forged(v6, TDO_IPPROTO_TCP, stream, (uint32_t)n);

			in(p);
			if (more != 0) {
				expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_INFLATE_TOO_BIG);
				continue;
			}
			assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			assert_int_equal(p->len, 65535 + (v6 ? 40 : 0));
			fx_pkt_free(p);
		}
	}
	free(zeros);
	free(stream);
}

static void
d03_bombs_cost_no_memory(void **state)
{
	size_t huge = 50u << 20, before;
	uint8_t *zeros = calloc(1, huge), *bomb = malloc(1 << 16);
	size_t n = deflated(zeros, huge, bomb, 1 << 16);

	(void)state;
	free(zeros);
	transport(false);
	add_sa(host[0][0], host[0][1], SPI + 1, TDO_MODE_TUNNEL, 0);
	before = f.allocated;
	for (unsigned i = 0; i < 20; i++) {
		struct tdo_pkt *p =
		    forged(false, i % 2 ? IPIP : TDO_IPPROTO_UDP, bomb, (uint32_t)n);

		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_INFLATE_TOO_BIG);
	}
	assert_int_equal(f.allocated, before);
	free(bomb);
}

/* IPComp in IPComp in IPComp ...: it ends as all nesting does. */
static void
nested_streams_end(void **state)
{
	static uint8_t plain[3000], stream[3000];
	size_t len = 100;

	(void)state;
	transport(false);
	for (unsigned depth = 1; depth <= TDO_HIST_MAX + 2; depth++) {
		size_t n = deflated(plain, len, stream, sizeof(stream));
		struct tdo_pkt *p = forged(
		    false, depth == 1 ? TDO_IPPROTO_UDP : TDO_IPPROTO_IPCOMP, stream, (uint32_t)n);

		in(p);
		if (depth > TDO_HIST_MAX) {
			expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_NESTED);
		} else {
			/* One request does not explain several layers. */
			assert_int_equal(p->nsas, depth);
			assert_int_equal(
			    p->verdict, depth == 1 ? TDO_VERDICT_PASS : TDO_VERDICT_DROP);
			assert_int_equal(p->len, 120);
			fx_pkt_free(p);
		}
		plain[0] = depth == 1 ? TDO_IPPROTO_UDP : TDO_IPPROTO_IPCOMP;
		plain[1] = plain[2] = 0;
		plain[3] = CPI_DEFLATE;
		memcpy(plain + 4, stream, n);
		len = n + 4;
	}
}

/* ---- buffers ------------------------------------------------------------------------------ */

/* Gives the packet a buffer that ends where the packet does, without headroom. */
static struct tdo_pkt *
tight(struct tdo_pkt *p)
{
	uint8_t *buf = malloc(p->len);

	assert_non_null(buf);
	memcpy(buf, tdo_pkt_data(p), p->len);
	free(p->buf);
	p->buf = buf;
	p->cap = p->len;
	p->off = 0;
	return p;
}

/* Whatever the owner's buffer is too small for comes in one of the engine's. */
static void
contents_may_be_larger_than_the_buffer(void **state)
{
	struct tdo_pkt *p[TDO_BURST_MAX];
	uint8_t *own[TDO_BURST_MAX];
	struct copy c[TDO_BURST_MAX];

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		bool v6 = round & 1;

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		if (round >= 2)
			tunnel(v6, !v6);
		else
			transport(v6);
		for (unsigned i = 0; i < TDO_BURST_MAX; i++) {
			p[i] = echo(v6, i % 3 == 0 ? 65000 : 100 + i, false);
			memset(tdo_pkt_data(p[i]) + 60, (int)i, 50);
			c[i] = copy_of(p[i]);
			out(p[i]);
			assert_int_equal(p[i]->ip.flow.proto, TDO_IPPROTO_IPCOMP);
			own[i] = tight(p[i])->buf;
		}
		tdo_in(f.w, p, TDO_BURST_MAX, f.now);
		for (unsigned i = 0; i < TDO_BURST_MAX; i++) {
			assert_int_equal(p[i]->verdict, TDO_VERDICT_PASS);
			assert_ptr_not_equal(p[i]->buf, own[i]);
			assert_true(p[i]->off >= TDO_HEADROOM);
			assert_true(p[i]->cap - p[i]->off - p[i]->len >= TDO_TAILROOM);
			assert_same(p[i], &c[i]);
			p[i]->buf = own[i];
			fx_pkt_free(p[i]);
		}
	}
}

/* A dropped packet goes back in the buffer in which it came, and leaves none of the engine's in
 * use. */
static void
dropped_packets_keep_their_buffer(void **state)
{
	uint8_t udp[500] = {0}, stream[600];
	size_t n = deflated(udp, sizeof(udp), stream, sizeof(stream));

	(void)state;
	add_sa(host[0][0], host[0][1], SPI, TDO_MODE_TUNNEL, 0);
	for (unsigned i = 0; i < 3u * TDO_BURST_MAX; i++) {
		struct tdo_pkt *p = tight(forged(false, IPIP, stream, (uint32_t)n));
		uint8_t *own = p->buf;

		in(p);
		assert_ptr_equal(p->buf, own);
		assert_int_equal(tdo_ipcomp_work_of(f.w)->taken, 0);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_INNER);
		p = tight(forged(false, TDO_IPPROTO_UDP, stream, (uint32_t)n));
		in(p);
		assert_int_equal(tdo_ipcomp_work_of(f.w)->taken, 0);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_MODE);
	}
}

/* What leaves is the header and the stream, and nothing that was in the buffer before. */
static void
nothing_of_old_buffers_leaves(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct copy first = {0};

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		if (round >= 2)
			tunnel(round & 1, round & 1);
		else
			transport(round & 1);
		for (unsigned fill = 0; fill < 2; fill++) {
			struct tdo_pkt *p = echo(round & 1, 700, false);
			uint32_t before = p->off, len = p->len;
			size_t n;
			uint8_t plain[2000];

			memset(p->buf, fill ? 0xee : 0x11, before);
			memset(p->buf + before + len, fill ? 0xee : 0x11, p->cap - before - len);
			memset(tdo_ipcomp_work_of(f.w)->slots, fill ? 0xee : 0x11, TDO_IPCOMP_SLOT);
			out(p);
			assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_IPCOMP);
			/* The stream needs its last byte. */
			assert_int_equal(tdo_comp_inflate(tdo_ipcomp_work_of(f.w)->comp,
					     tdo_comp_alg(2), tdo_pkt_data(p) + p->ip.l4_off + 4,
					     p->len - p->ip.l4_off - 5, plain, sizeof(plain), &n),
			    TDO_COMP_BAD);
			if (round >= 2 && !(round & 1))
				memset(tdo_pkt_data(p) + 4, 0, 8); /* identification, checksum */
			if (fill == 0)
				first = copy_of(p);
			else
				assert_same(p, &first);
			fx_pkt_free(p);
		}
	}
}

static void
every_size_passes_in_every_pair_of_families(void **state)
{
	static const uint32_t sizes[] = {0, 1, 81, 82, 500, 1471, 1472, 1473, 9000, 40000, 65400};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		bool in6 = i & 1;

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		if (i < 4)
			tunnel(in6, i >> 1);
		else
			transport(in6);
		for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			for (unsigned noise = 0; noise < 2; noise++)
				goes_compressed(
				    echo(in6, sizes[k], noise), i < 4 ? (in6 ? IPV6 : IPIP)
								: in6 ? TDO_IPPROTO_ICMPV6
								      : TDO_IPPROTO_ICMP);
	}
}

/* The largest packets get an outer header only if compression makes room for it. */
static void
largest_packets_need_room(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	tunnel(false, false);
	assert_true(goes_compressed(echo(false, 65535 - 28, false), IPIP));
	p = echo(false, 65535 - 28, true);
	out(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_NO_ROOM);
	assert_false(goes_compressed(echo(false, 65535 - 48, true), IPIP));
	p = echo(false, 300, false);
	p->buf += TDO_HEADROOM - 19;
	p->cap -= TDO_HEADROOM - 19;
	p->off = 19;
	out(p);
	p->buf -= TDO_HEADROOM - 19;
	expect(p, TDO_VERDICT_DROP, TDO_REASON_NO_ROOM);
}

/* ---- bundles, packets that were not compressed --------------------------------------------- */

static void
bundle(void)
{
	add_sa(gate[0][0], gate[0][1], SPI, TDO_MODE_ANY, 0);
	fx_add_sa(&f, &(struct fx_sa){.src = gate[0][0],
			  .dst = gate[0][1],
			  .spi = SPI, /* the same number in another protocol */
			  .enc = "aes-gcm-16",
			  .replay = 64});
	add_policies(
	    host[0][0], host[0][1], "ipcomp/tunnel/192.0.2.1-192.0.2.2/use esp/transport//require");
}

static void
bundle_carries_small_and_large_packets(void **state)
{
	(void)state;
	bundle();
	for (uint32_t size = 0; size < 3000; size += 100) {
		struct tdo_pkt *p = echo(false, size, size % 200 == 0);
		struct copy c = copy_of(p);

		out(p);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_ESP);
		in(p);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_same(p, &c);
		assert_int_equal(p->nsas, 2);
		assert_int_equal(p->sas[0]->id.proto, TDO_IPPROTO_ESP);
		assert_int_equal(p->sas[1]->id.proto, TDO_IPPROTO_IPCOMP);
		assert_int_equal(p->tunnelled, 2);
		fx_pkt_free(p);
	}
	assert_true(stat(TDO_STAT_IPCOMP_IN) > 10 && stat(TDO_STAT_IPCOMP_IN_BARE) > 10);
}

/* The same with AH around it, over each pair of families: R35, and an ICV that covers what is sent.
 */
static void
ah_carries_small_and_large_packets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool in6 = i & 1, out6 = i >> 1;
		char req[200];

		tdo_sa_flush(f.e, 0);
		tdo_sp_flush(f.e);
		add_sa(gate[out6][0], gate[out6][1], SPI, TDO_MODE_ANY, 0);
		fx_add_sa(&f, &(struct fx_sa){.src = gate[out6][0],
				  .dst = gate[out6][1],
				  .spi = SPI,
				  .satype = TDO_SATYPE_AH,
				  .auth = "hmac-sha256"});
		snprintf(req, sizeof(req), "ipcomp/tunnel/%s-%s/use ah/transport//require",
		    gate[out6][0], gate[out6][1]);
		add_policies(host[in6][0], host[in6][1], req);
		for (uint32_t size = 0; size < 3000; size += 500) {
			struct tdo_pkt *p = echo(in6, size, size == 1500);
			struct copy c = copy_of(p);

			out(p);
			assert_int_equal(p->verdict, TDO_VERDICT_SEND);
			assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_AH);
			in(p);
			assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			assert_same(p, &c);
			assert_int_equal(p->nsas, 2);
			fx_pkt_free(p);
		}
	}
}

/* IPComp is never required, but ESP around it is. */
static void
esp_around_ipcomp_is_required(void **state)
{
	(void)state;
	bundle();
	for (uint32_t size = 0; size <= 500; size += 500) {
		/* The same packet without ESP: made by a policy without it. */
		struct tdo_pkt *p = echo(false, size, false);

		tdo_sp_flush(f.e);
		fx_add_sp(&f, OUT, host[0][0], host[0][1], TDO_PROTO_ANY,
		    "ipcomp/tunnel/192.0.2.1-192.0.2.2/use");
		out(p);
		assert_int_equal(p->ip.flow.proto, size ? TDO_IPPROTO_IPCOMP : IPIP);
		fx_add_sp(&f, IN, host[0][0], host[0][1], TDO_PROTO_ANY,
		    "ipcomp/tunnel/192.0.2.1-192.0.2.2/use esp/transport//require");
		in(p);
		assert_int_equal(p->nsas, 1);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_WRONG_SA);
	}
	/* In clear, without anything: it was required. */
	{
		struct tdo_pkt *p = echo(false, 500, false), *q = echo(false, 500, false);

		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_CLEAR);
		tdo_in_clear(f.w, &q, 1, f.now);
		expect(q, TDO_VERDICT_DROP, TDO_REASON_IN_CLEAR);
	}
}

static void
clear_packets_satisfy_ipcomp(void **state)
{
	struct tdo_pkt *p = echo(false, 500, false);

	(void)state;
	add_policies(host[0][0], host[0][1], "ipcomp/transport//require");
	tdo_in_clear(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
}

/* An IPv4 packet of the hosts in one of src to dst. */
static struct tdo_pkt *
ip_in_ip(const char *src, const char *dst, const char *inner_src)
{
	struct tdo_pkt *p = echo(false, 10, false);
	struct tdo_addr a = fx_addr(inner_src);
	struct tdo_ip_hdr h = {.src = fx_addr(src), .dst = fx_addr(dst), .ttl = 61, .proto = IPIP};

	memcpy(tdo_pkt_data(p) + 12, a.b, 4);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	p->off -= 20;
	p->len += 20;
	tdo_ip_build(tdo_pkt_data(p), &h, p->len - 20);
	return p;
}

/* Nothing is opened for anybody but the peer of an IPComp tunnel. */
static void
ip_in_ip_of_others_stays_closed(void **state)
{
	static const struct {
		const char *src, *dst;
		bool opened;
	} c[] = {
	    {"192.0.2.1", "192.0.2.2", true},
	    {"192.0.2.2", "192.0.2.1", false},
	    {"192.0.2.3", "192.0.2.2", false},
	    {"192.0.2.1", "192.0.2.3", false},
	    {"10.0.0.1", "10.0.0.2", false},
	};

	(void)state;
	for (unsigned mode = TDO_MODE_ANY; mode <= TDO_MODE_TUNNEL; mode++)
		for (unsigned policy = 0; policy < 2; policy++) {
			/* Mode any is a tunnel if an inbound policy says so. */
			bool tunnel = mode == TDO_MODE_TUNNEL || (mode == TDO_MODE_ANY && policy);

			tdo_sa_flush(f.e, 0);
			tdo_sp_flush(f.e);
			add_sa(gate[0][0], gate[0][1], SPI, (uint8_t)mode, 0);
			if (policy)
				add_policies(host[0][0], host[0][1],
				    "ipcomp/tunnel/192.0.2.1-192.0.2.2/use");
			for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
				struct tdo_pkt *p = ip_in_ip(c[i].src, c[i].dst, host[0][0]);

				in(p);
				assert_int_equal(p->verdict, TDO_VERDICT_PASS);
				assert_int_equal(p->nsas, tunnel && c[i].opened);
				assert_int_equal(p->len, tunnel && c[i].opened ? 38 : 58);
				fx_pkt_free(p);
			}
		}
}

static void
uncompressed_packets_are_checked_as_all_others(void **state)
{
	struct tdo_addr local[] = {fx_addr("192.0.2.2"), fx_addr("10.0.0.2")};
	struct tdo_pkt *p;

	(void)state;
	tunnel(false, false);
	assert_int_equal(tdo_engine_set_local(f.e, local, 2), 0);
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.1");
	in(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
	/* D48: no policy covers it. */
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.7");
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_SELECTOR);
	/* An own address. */
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.2");
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_SPOOF);
	/* Not an IP packet at all. */
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.1");
	tdo_pkt_data(p)[20] = 0x65;
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_INNER);
	/* A fragment is nobody's: the host makes it whole. */
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.1");
	tdo_pkt_data(p)[6] = 0x20;
	tdo_ip4_set_csum(tdo_pkt_data(p));
	in(p);
	assert_int_equal(p->nsas, 0);
	fx_pkt_free(p);
	/* A dead SA opens nothing. */
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 0);
	p = ip_in_ip("192.0.2.1", "192.0.2.2", "10.0.0.1");
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_DISABLED);
}

/* Fragments go as they are in transport mode, unless something else is required. */
static void
fragments_are_not_compressed(void **state)
{
	struct tdo_pkt *p = echo(false, 1000, false);

	(void)state;
	transport(false);
	tdo_pkt_data(p)[6] = 0x20;
	tdo_ip4_set_csum(tdo_pkt_data(p));
	{
		struct copy c = copy_of(p);

		p->len += 5; /* behind its end by its own length: that is cut off */
		out(p);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_same(p, &c);
	}
	tdo_sp_flush(f.e);
	fx_add_sa(
	    &f, &(struct fx_sa){.src = host[0][0], .dst = host[0][1], .spi = SPI, .enc = "null"});
	fx_add_sp(&f, OUT, host[0][0], host[0][1], TDO_PROTO_ANY,
	    "ipcomp/transport//use esp/transport//require");
	out(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_OUT_FRAGMENT);
	/* A fragment that comes in with IPComp: RFC 3173 2.1 wants it whole. */
	tdo_sp_flush(f.e);
	add_policies(host[0][0], host[0][1], "ipcomp/transport//use");
	p = echo(false, 1000, false);
	out(p);
	assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_IPCOMP);
	tdo_pkt_data(p)[6] = 0x20;
	tdo_ip4_set_csum(tdo_pkt_data(p));
	in(p);
	expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_FRAGMENT);
}

/* An SPI that key management has asked for belongs to an SA that has no keys yet. */
static void
packets_for_larval_sas_are_dropped(void **state)
{
	static const struct {
		uint8_t satype, proto, spi_off;
	} rows[] = {{TDO_SATYPE_ESP, TDO_IPPROTO_ESP, 0}, {TDO_SATYPE_AH, TDO_IPPROTO_AH, 4},
	    {TDO_SATYPE_IPCOMP, TDO_IPPROTO_IPCOMP, 0}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tdo_sa_param sa = {.key = {.satype = rows[i].satype,
					      .src = fx_addr(host[0][0]),
					      .dst = fx_addr(host[0][1])}};
		static const uint8_t zeros[96];
		struct tdo_pkt *p = forged(false, TDO_IPPROTO_UDP, zeros, sizeof(zeros));
		uint8_t *ip = tdo_pkt_data(p);
		uint32_t spi;

		assert_int_equal(tdo_sa_getspi(f.e, &sa, 1000, 1000, f.now, &spi), 0);
		ip[9] = rows[i].proto;
		tdo_ip4_set_csum(ip);
		tdo_put_be32(ip + 20 + rows[i].spi_off, spi);
		in(p);
		expect(p, TDO_VERDICT_DROP, TDO_REASON_IN_SA_STATE);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)
	const struct CMUnitTest tests[] = {
	    T(d03_broken_streams_are_dropped),
	    T(d03_contents_end_where_ip_packets_do),
	    T(d03_bombs_cost_no_memory),
	    T(nested_streams_end),
	    T(contents_may_be_larger_than_the_buffer),
	    T(dropped_packets_keep_their_buffer),
	    T(nothing_of_old_buffers_leaves),
	    T(every_size_passes_in_every_pair_of_families),
	    T(largest_packets_need_room),
	    T(bundle_carries_small_and_large_packets),
	    T(ah_carries_small_and_large_packets),
	    T(esp_around_ipcomp_is_required),
	    T(clear_packets_satisfy_ipcomp),
	    T(ip_in_ip_of_others_stays_closed),
	    T(uncompressed_packets_are_checked_as_all_others),
	    T(fragments_are_not_compressed),
	    T(packets_for_larval_sas_are_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
