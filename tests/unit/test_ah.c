/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AH packets (RFC 4302): what is sent, byte by byte; what the other side accepts of it and what
 * becomes of it when somebody changes it on the way.
 */
#include "ah_pair.h"

/* ---- format ---- */

static void
transport4_byte_by_byte(void **state)
{
	struct tdo_pkt *p, *clear;
	struct pair t;
	uint8_t *d;

	open_pair(&t, &tr4);
	p = fx_udp(&t.out.rng, A, B, 5);
	tdo_put_be16(tdo_pkt_data(p) + 4, 0x1234);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	clear = fx_copy(p);
	protect(&t.out, p);
	d = tdo_pkt_data(p);
	/* 12 bytes, 16 of ICV: a multiple of 4 */
	assert_int_equal(p->len, 20 + 28 + 13);
	assert_int_equal(tdo_be16(d + 2), p->len);
	assert_int_equal(tdo_be16(d + 4), 0x1234);
	assert_int_equal(d[8], 61);
	assert_int_equal(d[9], TDO_IPPROTO_AH);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
	assert_int_equal(d[20], TDO_IPPROTO_UDP);
	assert_int_equal(d[21], 5);
	assert_int_equal(tdo_be16(d + 22), 0);
	assert_int_equal(tdo_be32(d + 24), 0x1001);
	assert_int_equal(tdo_be32(d + 28), 1);
	assert_memory_equal(d + 48, tdo_pkt_data(clear) + 20, 13);
	assert_int_equal(p->spi, 0x1001);
	assert_int_equal(p->seq, 1);
	assert_int_equal(p->ip.l4_off, 20);
	assert_int_equal(p->ip.total_len, p->len);
	expect_delivered(&t.in, p, clear);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	close_pair(&t);
}

/* ---- both ways ---- */

struct shape {
	const struct fx_sa *sa;
	const char *src, *dst; /* of the packet */
	unsigned outer, ah;    /* bytes of the headers in front of AH, and of AH */
};

static const struct shape shapes[] = {
    {&tr4, A, B, 20, 28},
    {&tr6, A6, B6, 40, 32}, /* 28, and 4 to a multiple of 8 */
    {&tu4, A, B, 20, 24},
    {&tu6, A6, B6, 40, 48}, /* 44 and 4 */
    {&tu46, A, B, 40, 24},
    {&tu64, A6, B6, 20, 36},
    {&gmac4, A, B, 20, 36},   /* 12, 8 of IV, 16 */
    {&gmac6, A6, B6, 40, 40}, /* RFC 4543, erratum 3643: 36 and 4 */
    {&old4, A, B, 20, 24},    /* 8 and 16 */
    {&old6, A6, B6, 40, 24},
    {&esn4, A, B, 20, 28},
    {&gmac_esn6, A, B, 40, 40},
};

enum { NSHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void
every_shape_there_and_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NSHAPES; i++) {
		const struct shape *s = &shapes[i];
		bool tunnel = s->sa->mode == TDO_MODE_TUNNEL;
		struct pair t;

		if (!fx_built(s->sa))
			continue;
		open_pair(&t, s->sa);
		for (uint32_t size = 0; size < 300; size++) {
			struct tdo_pkt *p = fx_udp(&t.out.rng, s->src, s->dst, size), *clear;

			/* what has id 0 gets one */
			if (tdo_pkt_data(p)[0] >> 4 == 4) {
				tdo_put_be16(tdo_pkt_data(p) + 4, 7);
				tdo_ip4_set_csum(tdo_pkt_data(p));
			}
			clear = fx_copy(p);
			protect(&t.out, p);
			assert_int_equal(p->ip.l4_off, s->outer);
			assert_int_equal(p->len, clear->len + (tunnel ? s->outer : 0) + s->ah);
			assert_int_equal(
			    tdo_ah_len_of(tdo_pkt_data(p)[s->outer + TDO_AH_LEN_OFF]), s->ah);
			expect_delivered(&t.in, p, clear);
			/* Twice is once too many, where there are numbers. */
			assert_int_equal(receive(&t.in, p, NULL),
			    s->sa->replay ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE);
			fx_pkt_free(p);
			fx_pkt_free(clear);
		}
		close_pair(&t);
	}
}

/* ---- changes on the way ---- */

/* What a router may change without anybody's noticing: RFC 4302 3.3.3.1. */
static uint8_t
mutable_bits(const struct shape *s, unsigned at)
{
	static const uint8_t v4[20] = {
	    [1] = 0xff, [6] = 0xc0, [8] = 0xff, [10] = 0xff, [11] = 0xff};
	static const uint8_t v6[40] = {0x0f, 0xff, 0xff, 0xff, [7] = 0xff};

	if (at >= s->outer)
		return 0;
	return s->outer == 20 ? v4[at] : v6[at];
}

/* D25 among others: the padding of the header is authenticated. */
static void
d25_every_bit_is_authenticated_or_mutable(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NSHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct tdo_pkt *p;
		struct pair t;
		unsigned passed = 0;

		if (!fx_built(s->sa))
			continue;
		open_pair(&t, s->sa);
		p = fx_udp(&t.out.rng, s->src, s->dst, 11);
		protect(&t.out, p);
		for (unsigned bit = 0; bit < p->len * 8; bit++) {
			uint8_t *byte = tdo_pkt_data(p) + bit / 8, mask = (uint8_t)(1u << bit % 8);
			bool mutable = (mutable_bits(s, bit / 8) & mask) != 0;
			struct tdo_addr dst = fx_addr(s->sa->dst);
			const struct tdo_sa *sa =
			    tdo_sad_find_in(t.in.e, &dst, s->sa->spi, TDO_IPPROTO_AH);
			uint64_t top = sa->replay.top;
			struct tdo_pkt *got;
			enum tdo_reason r;

			*byte ^= mask;
			r = receive(&t.in, p, &got);
			/* What does not look like AH any more may pass, but not as AH. */
			if ((r == TDO_REASON_NONE && got->nsas > 0) != mutable)
				fail_msg("shape %u: bit %u of byte %u", i, bit % 8, bit / 8);
			fx_pkt_free(got);
			*byte ^= mask;
			if (mutable) { /* next time it would be a replay */
				fx_delete_sa(&t.in, s->sa);
				fx_add_sa(&t.in, s->sa);
				tdo_worker_quiesce(t.in.w);
				passed++;
			} else {
				assert_int_equal(sa->replay.top, top);
			}
		}
		assert_int_equal(passed, s->outer == 20 ? 34 : 36);
		assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
		fx_pkt_free(p);
		close_pair(&t);
	}
}

/* ---- options and extension headers ---- */

/* A packet of UDP with something between its IP header and UDP: options, or extension headers. */
static struct tdo_pkt *
udp_with(
    struct fx *f, const char *src, const char *dst, const void *between, uint32_t n, uint8_t nh)
{
	struct tdo_pkt *p = fx_udp(&f->rng, src, dst, 20), *q;
	uint32_t hlen = tdo_pkt_data(p)[0] >> 4 == 4 ? 20 : 40, len = p->len + n;
	uint8_t *d;

	q = fx_pkt_new(len);
	d = tdo_pkt_data(q);
	memcpy(d, tdo_pkt_data(p), hlen);
	memcpy(d + hlen, between, n);
	memcpy(d + hlen + n, tdo_pkt_data(p) + hlen, p->len - hlen);
	if (hlen == 20) {
		d[0] = (uint8_t)(0x40 | (hlen + n) / 4);
		tdo_put_be16(d + 4, 9);
		tdo_put_be16(d + 2, (uint16_t)len);
		tdo_put_be16(d + 10, 0);
		tdo_put_be16(d + 10, tdo_csum_fold(tdo_csum_add(0, d, hlen + n)));
	} else {
		d[6] = nh;
		tdo_put_be16(d + 4, (uint16_t)(len - 40));
	}
	fx_pkt_free(p);
	return q;
}

/* Sends it, changes a byte of the headers on the way, and sees what the other end says. */
static void
check_change(const struct fx_sa *sa, const void *between, uint32_t n, uint8_t nh, unsigned at,
    enum tdo_reason want)
{
	struct tdo_pkt *p, *clear, *got;
	struct pair t;

	open_pair(&t, sa);
	p = udp_with(&t.out, sa->src, sa->dst, between, n, nh);
	clear = fx_copy(p);
	protect(&t.out, p);
	tdo_pkt_data(p)[at] ^= 0x55;
	assert_int_equal(receive(&t.in, p, &got), want);
	if (want == TDO_REASON_NONE) { /* the change stays, nothing else does */
		tdo_pkt_data(clear)[at] ^= 0x55;
		assert_int_equal(got->len, clear->len);
		assert_memory_equal(tdo_pkt_data(got), tdo_pkt_data(clear), clear->len);
	}
	fx_pkt_free(got);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	close_pair(&t);
}

static void
ip4_options_on_the_way(void **state)
{
	static const uint8_t options[] = {0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 1};

	(void)state;
	/* Record route changes, router alert does not. */
	check_change(&tr4, options, sizeof(options), 0, 27, TDO_REASON_NONE);
	check_change(&tr4, options, sizeof(options), 0, 30, TDO_REASON_NONE);
	check_change(&tr4, options, sizeof(options), 0, 22, TDO_REASON_IN_ICV);
	check_change(&tr4, options, sizeof(options), 0, 31, TDO_REASON_AH_OPTION);
	check_change(&tr4, options, sizeof(options), 0, 21, TDO_REASON_AH_OPTION);
}

static void
d21_ip6_options_on_the_way(void **state)
{
	static const uint8_t hop[] = {17, 1, 0x3e, 3, 1, 2, 3, 0x1e, 3, 4, 5, 6, 1, 2, 0, 0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		check_change(&tr6, hop, sizeof(hop), 0, 44 + i, TDO_REASON_NONE);
		check_change(&tr6, hop, sizeof(hop), 0, 49 + i, TDO_REASON_IN_ICV);
	}
	check_change(&tr6, hop, sizeof(hop), 0, 54, TDO_REASON_IN_ICV);
	check_change(&tr6, hop, sizeof(hop), 0, 43, TDO_REASON_AH_OPTION);
}

/* RFC 8200 4.1, RFC 4302 3.1.1: behind all that is for nodes on the way, in front of the rest. */
static void
d04_ah_stands_behind_extension_headers(void **state)
{
	static const uint8_t chain[] = {60, 0, 1, 4, 0, 0, 0, 0, /* hop-by-hop */
	    43, 0, 1, 4, 0, 0, 0, 0,                             /* destination, of the next node */
	    60, 2, 0, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, [39] = 9, /* routing */
	    [40] = 17, 0, 1, 4, [47] = 0}; /* destination, of the last one */
	struct tdo_pkt *p, *clear;
	struct pair t;
	uint8_t *d;

	(void)state;
	open_pair(&t, &tr6);
	p = udp_with(&t.out, A6, B6, chain, sizeof(chain), 0);
	clear = fx_copy(p);
	protect(&t.out, p);
	d = tdo_pkt_data(p);
	assert_int_equal(d[6], TDO_IPPROTO_HOPOPTS);
	assert_int_equal(d[40], TDO_IPPROTO_DSTOPTS);
	assert_int_equal(d[48], TDO_IPPROTO_ROUTING);
	assert_int_equal(d[56], TDO_IPPROTO_AH);
	assert_int_equal(d[80], TDO_IPPROTO_DSTOPTS);
	assert_int_equal(d[80 + 32], 17);
	expect_delivered(&t.in, p, clear);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	close_pair(&t);
}

/* RFC 791: the packet goes to B by the way of two routers, which write themselves into the option.
 */
static void
ip4_source_route_is_followed(void **state)
{
	/* B is the last hop; the SA is found by the first, to which the packet is sent. */
	static const uint8_t route[] = {0x83, 7, 4, 10, 0, 0, 2, 0};
	static const char first[] = "10.9.9.9";
	static const struct fx_sa sent = {AH(0x1001, A, "10.9.9.9", TRANSPORT, "hmac-sha256")};
	struct fx out = {0}, in;
	struct tdo_pkt *p, *got;
	uint8_t *d;

	(void)state;
	fx_open_sa(&in, &tr4);
	fx_open(&out, NULL);
	fx_add_sa(&out, &sent);
	fx_add_sp(&out, TDO_DIR_OUT, A, first, TDO_PROTO_ANY, "ah/transport//require");
	p = udp_with(&out, A, first, route, sizeof(route), 0);
	protect(&out, p);
	d = tdo_pkt_data(p);
	assert_int_equal(d[23], 10); /* as the sender wrote it */
	assert_int_equal(d[19], 9);
	memcpy(d + 16, d + 23, 4);
	memcpy(d + 23, (const uint8_t[]){10, 9, 9, 8}, 4);
	d[22] = 8;
	d[8] -= 3;
	d[16] = 10, d[17] = 0, d[18] = 0, d[19] = 2;
	assert_int_equal(receive(&in, p, &got), TDO_REASON_NONE);
	assert_int_equal(got->nsas, 1);
	assert_int_equal(tdo_pkt_data(got)[26], 8);
	fx_pkt_free(got);
	fx_pkt_free(p);
	fx_close(&in);
	fx_close(&out);
}

/* RFC 2460 4.4: the packet is sent to the first node, B is the last. */
static void
ip6_routing_header_is_followed(void **state)
{
	static const char first[] = "2001:db8::99";
	static const struct fx_sa sent = {AH(0x1002, A6, "2001:db8::99", TRANSPORT, "hmac-sha256")};
	uint8_t rh[24] = {17, 2, 0, 1};
	struct tdo_addr b = fx_addr(B6), n = fx_addr(first);
	struct fx out = {0}, in;
	struct tdo_pkt *p;
	uint8_t *d;

	(void)state;
	memcpy(rh + 8, b.b, 16);
	fx_open_sa(&in, &tr6);
	fx_open(&out, NULL);
	fx_add_sa(&out, &sent);
	fx_add_sp(&out, TDO_DIR_OUT, A6, first, TDO_PROTO_ANY, "ah/transport//require");
	p = udp_with(&out, A6, first, rh, sizeof(rh), TDO_IPPROTO_ROUTING);
	protect(&out, p);
	d = tdo_pkt_data(p);
	assert_memory_equal(d + 24, n.b, 16);
	assert_int_equal(d[43], 1);
	d[43] = 0;
	memcpy(d + 24, b.b, 16);
	memcpy(d + 48, n.b, 16);
	assert_int_equal(receive(&in, p, NULL), TDO_REASON_NONE);
	d[43] = 1; /* whoever sends it on again is found out */
	assert_int_equal(receive(&in, p, NULL), TDO_REASON_IN_REPLAY_DUP);
	fx_pkt_free(p);
	fx_close(&in);
	fx_close(&out);
}

/* ---- refusals ---- */

static void
what_cannot_be_authenticated_is_not_sent(void **state)
{
	static const uint8_t bad[] = {7, 9, 4, 0};
	static const uint8_t jumbo[] = {17, 0, 0xc2, 4, 0, 1, 0, 0};
	static const uint8_t segments[24] = {17, 2, 4, 0};
	static uint8_t options[1024] = {
	    17, 127, 1, 255, [259] = 1, 255, [516] = 1, 255, [773] = 1, 249};
	struct tdo_addr b6;
	struct tdo_pkt *p;
	struct tdo_sa *sa;
	struct fx f;

	(void)state;
	fx_open_sa(&f, &tr4);
	expect_out_drop(&f, udp_with(&f, A, B, bad, sizeof(bad), 0), TDO_REASON_AH_OPTION);
	fx_close(&f);
	fx_open_sa(&f, &tr6);
	expect_out_drop(&f, udp_with(&f, A6, B6, jumbo, sizeof(jumbo), 0), TDO_REASON_AH_HEADER);
	expect_out_drop(&f, udp_with(&f, A6, B6, segments, sizeof(segments), TDO_IPPROTO_ROUTING),
	    TDO_REASON_AH_HEADER);
	expect_out_drop(
	    &f, udp_with(&f, A6, B6, options, sizeof(options), 0), TDO_REASON_AH_HEADER);
	/* None of them took a sequence number. */
	b6 = fx_addr(B6);
	sa = tdo_sad_find_in(f.e, &b6, tr6.spi, TDO_IPPROTO_AH);
	assert_int_equal(*sa->out_seq, 0);
	fx_close(&f);
	/* A tunnel protects them all. */
	fx_open_sa(&f, &tu4);
	p = udp_with(&f, A6, B6, options, sizeof(options), 0);
	protect(&f, p);
	fx_pkt_free(p);
	fx_close(&f);
}

/* In a burst those that are dropped leave no gap, neither in it nor in the numbers. */
static void
dropped_ones_leave_no_gap(void **state)
{
	static const uint8_t bad[] = {7, 9, 4, 0}, good[] = {7, 3, 4, 0};
	struct tdo_pkt *p[40];
	uint32_t seq = 0;
	struct fx f;

	(void)state;
	fx_open_sa(&f, &tr4);
	for (unsigned i = 0; i < 40; i++)
		p[i] = udp_with(&f, A, B, i % 3 == 0 ? bad : good, 4, 0);
	tdo_out(f.w, p, 40, f.now);
	for (unsigned i = 0; i < 40; i++) {
		if (i % 3 == 0) {
			assert_int_equal(p[i]->reason, TDO_REASON_AH_OPTION);
		} else {
			assert_int_equal(p[i]->verdict, TDO_VERDICT_SEND);
			assert_int_equal(p[i]->seq, ++seq);
		}
		fx_pkt_free(p[i]);
	}
	fx_close(&f);
}

/* raw(7): an id of 0 would be replaced by the kernel, and the ICV be wrong. */
static void
no_packet_goes_without_an_id(void **state)
{
	struct pair t;

	(void)state;
	open_pair(&t, &tr4);
	/* Some of these ids come round to 0. */
	for (unsigned i = 0; i < 66000; i++) {
		struct tdo_pkt *p = fx_udp(&t.out.rng, A, B, 0);
		uint8_t *d;

		if (i % 1000 == 1) {
			tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_DF);
			tdo_ip4_set_csum(tdo_pkt_data(p));
		}
		protect(&t.out, p);
		d = tdo_pkt_data(p);
		assert_int_not_equal(tdo_be16(d + 4), 0);
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
		if (i % 1000 == 1) {
			struct tdo_pkt *got;

			assert_int_equal(receive(&t.in, p, &got), TDO_REASON_NONE);
			assert_int_equal(tdo_csum_fold(tdo_csum_add(0, tdo_pkt_data(got), 20)), 0);
			assert_int_equal(tdo_be16(tdo_pkt_data(got) + 6), TDO_IP4_DF);
			fx_pkt_free(got);
		}
		fx_pkt_free(p);
	}
	close_pair(&t);
	fx_open_sa(&t.out, &tu4);
	for (unsigned i = 0; i < 66000; i++) {
		struct tdo_pkt *p = fx_udp(&t.out.rng, A, B, 0);

		protect(&t.out, p);
		assert_int_not_equal(tdo_be16(tdo_pkt_data(p) + 4), 0);
		fx_pkt_free(p);
	}
	fx_close(&t.out);
}

/* ah.h: so much, and no more, can the drivers authenticate. */
static void
the_largest_packets(void **state)
{
	static const struct fx_sa *const sas[] = {&tr4, &gmac4, &esn4};
	static const uint32_t max[] = {65530, 65518, 65530};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t fixed = 28 + (i == 1 ? 36 : 28);
		struct tdo_pkt *p;
		struct pair t;

		open_pair(&t, sas[i]);
		expect_out_drop(
		    &t.out, fx_udp(&t.out.rng, A, B, max[i] - fixed + 1), TDO_REASON_NO_ROOM);
		p = fx_udp(&t.out.rng, A, B, max[i] - fixed);
		protect(&t.out, p);
		assert_int_equal(p->len, max[i]);
		assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
		/* No back end gives less room than this, but who knows. */
		p->cap = p->off + p->len + 19;
		tdo_in(t.in.w, &p, 1, t.in.now);
		assert_int_equal(p->reason, TDO_REASON_NO_ROOM);
		fx_pkt_free(p);
		close_pair(&t);
	}
}

static void
wrong_lengths_are_refused(void **state)
{
	struct tdo_pkt *p;
	struct pair t;
	uint8_t *d;

	(void)state;
	open_pair(&t, &tr4);
	p = fx_udp(&t.out.rng, A, B, 100);
	protect(&t.out, p);
	d = tdo_pkt_data(p);
	for (unsigned field = 0; field < 256; field++) {
		if (field == 5)
			continue;
		d[21] = (uint8_t)field;
		/* 6 would be the padding to 8: the ICV says that it was not sent so */
		assert_int_equal(
		    receive(&t.in, p, NULL), field == 6 ? TDO_REASON_IN_ICV : TDO_REASON_AH_LENGTH);
	}
	d[21] = 5;
	/* The packet ends in the header. */
	for (uint32_t len = 20; len < 48; len++) {
		p->len = len;
		tdo_put_be16(d + 2, (uint16_t)len);
		assert_int_equal(
		    receive(&t.in, p, NULL), len < 32 ? TDO_REASON_SHORT : TDO_REASON_AH_LENGTH);
	}
	fx_pkt_free(p);
	close_pair(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(transport4_byte_by_byte),
	    cmocka_unit_test(every_shape_there_and_back),
	    cmocka_unit_test(d25_every_bit_is_authenticated_or_mutable),
	    cmocka_unit_test(ip4_options_on_the_way),
	    cmocka_unit_test(d21_ip6_options_on_the_way),
	    cmocka_unit_test(d04_ah_stands_behind_extension_headers),
	    cmocka_unit_test(ip4_source_route_is_followed),
	    cmocka_unit_test(ip6_routing_header_is_followed),
	    cmocka_unit_test(what_cannot_be_authenticated_is_not_sent),
	    cmocka_unit_test(dropped_ones_leave_no_gap),
	    cmocka_unit_test(no_packet_goes_without_an_id),
	    cmocka_unit_test(the_largest_packets),
	    cmocka_unit_test(wrong_lengths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
