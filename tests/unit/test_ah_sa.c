/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs of AH: settings, numbers, algorithms, bundles with other SAs, parameters that are refused. */
#include <errno.h>

#include "ah_pair.h"
#include "built.h"

/* ---- settings ---- */

/* Each end has its own idea of the alignment; both take both. */
static void
d25_either_alignment_is_accepted(void **state)
{
	static const struct {
		struct fx_sa sa;
		const char *src, *dst;
		unsigned outer, len;
	} t[] = {
	    {{AH(0x1001, A, B, TRANSPORT, "hmac-sha256"), .align = 8}, A, B, 20, 32},
	    {{AH(0x1001, A, B, TRANSPORT, "hmac-sha256"), .align = 4}, A, B, 20, 28},
	    {{AH(0x1002, A6, B6, TRANSPORT, "hmac-sha256"), .align = 4}, A6, B6, 40, 28},
	    {{AH(0x1002, A6, B6, TRANSPORT, "hmac-sha256"), .align = 8}, A6, B6, 40, 32},
	    {{AH(0x1001, A, B, TRANSPORT, "hmac-sha1"), .align = 8}, A, B, 20, 24},
	    {{AH(0x1003, G, H, TUNNEL, "aes-256-gmac"), .align = 8}, A, B, 20, 40},
	    {{AH(0x1004, G6, H6, TUNNEL, "aes-128-gmac"), .align = 4}, A, B, 40, 36},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fx_sa plain = t[i].sa;
		struct tdo_pkt *p;
		struct pair e;

		plain.align = 0;
		fx_open_sa(&e.out, &t[i].sa);
		fx_open_sa(&e.in, &plain);
		p = fx_udp(&e.out.rng, t[i].src, t[i].dst, 33);
		protect(&e.out, p);
		assert_int_equal(
		    tdo_ah_len_of(tdo_pkt_data(p)[t[i].outer + TDO_AH_LEN_OFF]), t[i].len);
		assert_int_equal(receive(&e.in, p, NULL), TDO_REASON_NONE);
		fx_pkt_free(p);
		close_pair(&e);
	}
}

/* Sends with these knobs, changes the byte on the way, receives with the same knobs. */
static enum tdo_reason
change_with_knobs(int32_t cleartos, int32_t mask, unsigned at, uint8_t bits)
{
	struct tdo_pkt *p;
	enum tdo_reason r;
	struct pair t;

	open_pair(&t, &tr4);
	fx_knob(&t.out, TDO_KNOB_AH_CLEARTOS, cleartos);
	fx_knob(&t.in, TDO_KNOB_AH_CLEARTOS, cleartos);
	fx_knob(&t.out, TDO_KNOB_AH_OFFSETMASK, mask);
	fx_knob(&t.in, TDO_KNOB_AH_OFFSETMASK, mask);
	p = fx_udp(&t.out.rng, A, B, 8);
	tdo_pkt_data(p)[1] = 0x28;
	tdo_ip4_set_csum(tdo_pkt_data(p));
	protect(&t.out, p);
	tdo_pkt_data(p)[at] ^= bits;
	r = receive(&t.in, p, NULL);
	fx_pkt_free(p);
	close_pair(&t);
	return r;
}

static void
knobs_protect_tos_and_flags(void **state)
{
	(void)state;
	assert_int_equal(change_with_knobs(1, 0, 1, 0xff), TDO_REASON_NONE);
	assert_int_equal(change_with_knobs(0, 0, 1, 0), TDO_REASON_NONE);
	assert_int_equal(change_with_knobs(0, 0, 1, 1), TDO_REASON_IN_ICV);
	assert_int_equal(change_with_knobs(1, 0, 6, 0x40), TDO_REASON_NONE);
	assert_int_equal(change_with_knobs(1, 0xffff, 6, 0), TDO_REASON_NONE);
	assert_int_equal(change_with_knobs(1, 0xffff, 6, 0x40), TDO_REASON_IN_ICV);
	assert_int_equal(change_with_knobs(1, 0x4000, 6, 0x80), TDO_REASON_NONE);
}

static void
disabled_protocol(void **state)
{
	struct tdo_pkt *p;
	struct pair t;

	(void)state;
	open_pair(&t, &tr4);
	p = fx_udp(&t.out.rng, A, B, 8);
	protect(&t.out, p);
	fx_knob(&t.in, TDO_KNOB_AH_ENABLE, 0);
	assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_IN_DISABLED);
	fx_knob(&t.in, TDO_KNOB_AH_ENABLE, 1);
	fx_knob(&t.in, TDO_KNOB_ESP_ENABLE, 0);
	assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
	fx_knob(&t.out, TDO_KNOB_AH_ENABLE, 0);
	expect_out_drop(&t.out, fx_udp(&t.out.rng, A, B, 8), TDO_REASON_OUT_DISABLED);
	fx_pkt_free(p);
	close_pair(&t);
}

/* ---- numbers ---- */

/* RFC 4302 appendix B: the high half is not sent, but authenticated. */
static void
esn_crosses_the_boundary(void **state)
{
	static const struct fx_sa *const sas[] = {&esn4, &gmac_esn6};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_pkt *p[100];
		struct pair t;

		open_pair(&t, sas[i]);
		*fx_sa_of(&t.out, sas[i])->out_seq = 0xffffffd0;
		for (unsigned k = 0; k < 100; k++) {
			p[k] = fx_udp(&t.out.rng, A, B, k);
			protect(&t.out, p[k]);
		}
		assert_int_equal(p[99]->seq, 0xffffffd0u + 100);
		/* The receiver was there before. */
		fx_sa_of(&t.in, sas[i])->replay.top = 0xffffffcf;
		for (unsigned k = 0; k < 100; k += 2)
			assert_int_equal(receive(&t.in, p[k], NULL), TDO_REASON_NONE);
		assert_int_equal(fx_sa_of(&t.in, sas[i])->replay.top, 0xffffffd0ull + 99);
		for (unsigned k = 99; k >= 60; k -= 2)
			assert_int_equal(receive(&t.in, p[k], NULL), TDO_REASON_NONE);
		assert_int_equal(receive(&t.in, p[60], NULL), TDO_REASON_IN_REPLAY_DUP);
		/* One of 2^32 packets ago. */
		assert_int_not_equal(receive(&t.in, p[0], NULL), TDO_REASON_NONE);
		for (unsigned k = 0; k < 100; k++)
			fx_pkt_free(p[k]);
		close_pair(&t);
	}
}

static void
d36_numbers_do_not_wrap(void **state)
{
	struct tdo_pkt *p;
	struct fx f;

	(void)state;
	fx_open_sa(&f, &tr4);
	*fx_sa_of(&f, &tr4)->out_seq = UINT32_MAX - 1;
	p = fx_udp(&f.rng, A, B, 8);
	protect(&f, p);
	assert_int_equal(p->seq, UINT32_MAX);
	fx_pkt_free(p);
	expect_out_drop(&f, fx_udp(&f.rng, A, B, 8), TDO_REASON_OUT_SEQ_WRAP);
	fx_close(&f);
	if (!BUILT_LEGACY)
		return;
	/* There are none in the old format. */
	fx_open_sa(&f, &old4);
	*fx_sa_of(&f, &old4)->out_seq = UINT32_MAX;
	p = fx_udp(&f.rng, A, B, 8);
	protect(&f, p);
	fx_pkt_free(p);
	fx_close(&f);
}

/* RFC 4543 3.1: an IV of its own for each packet; it is authenticated by the nonce. */
static void
gmac_ivs_count(void **state)
{
	struct tdo_pkt *p, *q;
	struct fx f;

	(void)state;
	fx_open_sa(&f, &gmac4);
	p = fx_udp(&f.rng, A, B, 8);
	q = fx_udp(&f.rng, A, B, 8);
	protect(&f, p);
	protect(&f, q);
	assert_true(tdo_be64(tdo_pkt_data(q) + 32) == tdo_be64(tdo_pkt_data(p) + 32) + 1);
	assert_memory_not_equal(tdo_pkt_data(p) + 40, tdo_pkt_data(q) + 40, 16);
	fx_pkt_free(p);
	fx_pkt_free(q);
	fx_close(&f);
}

/* Spec C7: 12 bytes of zeros, as in FAST_IPSEC; nothing is proved, so no window is kept. */
static void
null_authentication(void **state)
{
	static const struct fx_sa null = {AH(0x1001, A, B, TRANSPORT, "null"), .replay = 64};
	static const uint8_t zero[12];
	struct tdo_pkt *p;
	struct pair t;

	(void)state;
	open_pair(&t, &null);
	p = fx_udp(&t.out.rng, A, B, 8);
	protect(&t.out, p);
	assert_memory_equal(tdo_pkt_data(p) + 32, zero, 12);
	assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
	assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
	tdo_pkt_data(p)[40] = 1;
	assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_IN_ICV);
	fx_pkt_free(p);
	close_pair(&t);
}

/* Not in this build. */
static void
null_authentication_is_refused(void **state)
{
	static const struct fx_sa null = {AH(0x1001, A, B, TRANSPORT, "null"), .replay = 64};
	struct fx f = {0};

	(void)state;
	fx_open(&f, NULL);
	assert_int_equal(fx_try_sa(&f, &null), -EOPNOTSUPP);
	fx_close(&f);
}

/* ---- bundles ---- */

struct bundle {
	const char *requests; /* innermost first */
	uint8_t protos[4];    /* what the wire shows, from the outside */
};

static const struct fx_sa all_sas[] = {
    {AH(0x2001, A, B, TRANSPORT, "hmac-sha256"), .replay = 32, .reqid = 1},
    {AH(0x2002, A, B, TRANSPORT, "aes-128-gmac"), .replay = 32, .reqid = 2},
    {AH(0x2003, G, H, TUNNEL, "hmac-sha1"), .replay = 32, .reqid = 3},
    {AH(0x2004, G6, H6, TUNNEL, "hmac-sha512"), .replay = 32, .reqid = 4},
    {AH(0x2005, G6, H6, TRANSPORT, "keyed-md5"), .flags = TDO_SAF_OLD, .reqid = 5},
    {.src = A,
	.dst = B,
	.spi = 0x2006,
	.mode = TDO_MODE_TRANSPORT,
	.enc = "aes-gcm-16",
	.reqid = 6},
    {.src = G6,
	.dst = H6,
	.spi = 0x2007,
	.mode = TDO_MODE_TUNNEL,
	.enc = "aes-cbc",
	.auth = "hmac-sha1",
	.reqid = 7},
    {.src = G,
	.dst = H,
	.spi = 0x2008,
	.mode = TDO_MODE_TRANSPORT,
	.enc = "aes-gcm-16",
	.reqid = 8},
    {AH(0x2009, G6, H6, TRANSPORT, "hmac-sha384"), .replay = 32, .reqid = 9},
};

static const struct bundle bundles[] = {
    /* the FAQ's recommendation: IP AH ESP */
    {"esp/transport//unique:6 ah/transport//unique:1", {51, 50}},
    {"ah/transport//unique:1 esp/transport//unique:6", {50, 51}},
    {"ah/transport//unique:1 ah/transport//unique:2", {51, 51}},
    {"ah/tunnel/192.0.2.1-192.0.2.2/unique:3", {51}},
    {"ah/transport//unique:1 ah/tunnel/192.0.2.1-192.0.2.2/unique:3", {51, 4}},
    /* D1: esp/tunnel/A-B/use ah/transport/A-B/require */
    {"esp/tunnel/2001:db8:f::1-2001:db8:f::2/unique:7 "
     "ah/transport/2001:db8:f::1-2001:db8:f::2/unique:9",
	{51, 50}},
    {"ah/tunnel/192.0.2.1-192.0.2.2/unique:3 esp/transport/192.0.2.1-192.0.2.2/unique:8", {50, 51}},
    {"ah/tunnel/192.0.2.1-192.0.2.2/unique:3 ah/tunnel/2001:db8:f::1-2001:db8:f::2/unique:4 "
     "ah/transport/2001:db8:f::1-2001:db8:f::2/unique:5 "
     "ah/transport/2001:db8:f::1-2001:db8:f::2/unique:9",
	{51, 51, 51}},
};

static void
open_bundle(struct fx *f, const char *requests)
{
	const struct tdo_addr local[] = {fx_addr(B), fx_addr(H), fx_addr(H6)};

	*f = (struct fx){0};
	fx_open(f, NULL);
	for (unsigned i = 0; i < sizeof(all_sas) / sizeof(all_sas[0]); i++)
		if (fx_built(&all_sas[i]))
			fx_add_sa(f, &all_sas[i]);
	fx_add_sp(f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, requests);
	fx_add_sp(f, TDO_DIR_IN, A, B, TDO_PROTO_ANY, requests);
	/* What comes out of a tunnel is only looked into if it is for this host. */
	assert_int_equal(tdo_engine_set_local(f->e, local, 3), 0);
}

static void
d01_bundles_with_ah(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++) {
		const struct bundle *b = &bundles[i];
		struct pair t;

		if (!BUILT_LEGACY && strstr(b->requests, "unique:5"))
			continue;
		open_bundle(&t.out, b->requests);
		open_bundle(&t.in, b->requests);
		for (uint32_t size = 0; size < 64; size++) {
			struct tdo_pkt *p = fx_udp(&t.out.rng, A, B, size), *clear;
			uint8_t *d;

			tdo_put_be16(tdo_pkt_data(p) + 4, 77);
			tdo_ip4_set_csum(tdo_pkt_data(p));
			clear = fx_copy(p);
			protect(&t.out, p);
			d = tdo_pkt_data(p);
			assert_int_equal(d[0] >> 4 == 4 ? d[9] : d[6], b->protos[0]);
			/* AH does not hide what it protects */
			for (unsigned k = 0, at = d[0] >> 4 == 4 ? 20 : 40;
			     b->protos[k] == TDO_IPPROTO_AH; k++) {
				if (b->protos[k + 1] != 0)
					assert_int_equal(d[at], b->protos[k + 1]);
				at += tdo_ah_len_of(d[at + 1]);
			}
			expect_delivered(&t.in, p, clear);
			assert_int_not_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
			/* The last byte belongs to all layers. */
			d[p->len - 1] ^= 1;
			assert_int_not_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
			fx_pkt_free(p);
			fx_pkt_free(clear);
		}
		close_pair(&t);
	}
}

/* As many requests as a policy can have, each with the longest headers: TDO_HEADROOM. */
static void
eight_tunnels_of_ah(void **state)
{
	const struct tdo_addr local[] = {fx_addr(H6)};
	char requests[512] = "";
	struct fx f[2] = {{0}};
	struct tdo_pkt *p, *clear;

	(void)state;
	for (unsigned i = 0; i < TDO_REQ_MAX; i++)
		snprintf(requests + strlen(requests), sizeof(requests) - strlen(requests),
		    "%sah/tunnel/" G6 "-" H6 "/unique:%u", i ? " " : "", i + 1);
	for (unsigned end = 0; end < 2; end++) {
		fx_open(&f[end], NULL);
		for (uint32_t i = 0; i < TDO_REQ_MAX; i++)
			fx_add_sa(
			    &f[end], &(struct fx_sa){AH(0x4000 + i, G6, H6, TUNNEL, "hmac-sha512"),
					 .reqid = i + 1});
		fx_add_sp(&f[end], end ? TDO_DIR_IN : TDO_DIR_OUT, A, B, TDO_PROTO_ANY, requests);
	}
	assert_int_equal(tdo_engine_set_local(f[1].e, local, 1), 0);
	p = fx_udp(&f[0].rng, A, B, 10);
	clear = fx_copy(p);
	protect(&f[0], p);
	assert_int_equal(p->len, clear->len + TDO_REQ_MAX * 88);
	expect_delivered(&f[1], p, clear);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	fx_close(&f[0]);
	fx_close(&f[1]);
}

/* Another protection than the one required, though it is authentic, is not enough. */
static void
d01_the_wrong_ah_is_not_enough(void **state)
{
	struct fx out, in;
	struct tdo_pkt *p;

	(void)state;
	open_bundle(&out, "ah/transport//unique:1");
	open_bundle(&in, "ah/transport//unique:2");
	p = fx_udp(&out.rng, A, B, 10);
	protect(&out, p);
	assert_int_equal(receive(&in, p, NULL), TDO_REASON_IN_WRONG_SA);
	fx_pkt_free(p);
	p = fx_udp(&out.rng, A, B, 10);
	assert_int_equal(receive(&in, p, NULL), TDO_REASON_IN_CLEAR);
	fx_pkt_free(p);
	fx_close(&out);
	fx_close(&in);
}

/* RFC 4302 3.3.4, 3.4.1: AH in transport mode is for whole datagrams. */
static void
fragments_are_not_protected_in_transport_mode(void **state)
{
	struct tdo_pkt *p;
	struct fx f;

	(void)state;
	fx_open_sa(&f, &tr4);
	p = fx_udp(&f.rng, A, B, 24);
	tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	expect_out_drop(&f, p, TDO_REASON_OUT_FRAGMENT);
	fx_close(&f);
	fx_open_sa(&f, &tu4);
	p = fx_udp(&f.rng, A, B, 24);
	tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	protect(&f, p);
	/* ... and one of AH itself has to be reassembled first. */
	tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	assert_int_equal(receive(&f, p, NULL), TDO_REASON_IN_FRAGMENT);
	fx_pkt_free(p);
	fx_close(&f);
}

/* ---- algorithms ---- */

static unsigned
each_shape(const struct fx_sa *like)
{
	static const struct {
		const char *src, *dst;
		uint8_t mode;
	} ways[] = {{A, B, TDO_MODE_TRANSPORT}, {A6, B6, TDO_MODE_TRANSPORT},
	    {G, H, TDO_MODE_TUNNEL}, {G6, H6, TDO_MODE_TUNNEL}};
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++) {
		struct fx_sa sa = *like;
		struct pair t;

		sa.src = ways[i].src;
		sa.dst = ways[i].dst;
		sa.mode = ways[i].mode;
		sa.spi = 0x3000 + i;
		sa.satype = TDO_SATYPE_AH;
		open_pair(&t, &sa);
		for (uint32_t size = 0; size < 200; size += 13) {
			bool v6 = i % 2 == 1;
			struct tdo_pkt *p = fx_udp(&t.out.rng, v6 ? A6 : A, v6 ? B6 : B, size);

			protect(&t.out, p);
			assert_int_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
			tdo_pkt_data(p)[p->len - 1] ^= 0x80;
			if (strcmp(sa.auth, "null") != 0)
				assert_int_not_equal(receive(&t.in, p, NULL), TDO_REASON_NONE);
			fx_pkt_free(p);
			n++;
		}
		close_pair(&t);
	}
	return n;
}

static void
d05_every_authentication_algorithm(void **state)
{
	const struct tdo_alg *a;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; (a = tdo_alg_at(i)) != NULL; i++) {
		struct fx_sa sa = {.auth = a->name};

		if (a->kind != TDO_ALG_AUTH || a->not_there)
			continue;
		n += each_shape(&sa);
		sa.flags = TDO_SAF_ESN;
		sa.replay = 32;
		if (!a->no_auth)
			n += each_shape(&sa);
		sa.flags = TDO_SAF_OLD;
		sa.replay = 0;
		if (BUILT_LEGACY && tdo_alg_ah_old(a->pfkey))
			n += each_shape(&sa);
	}
	assert_true(n > (BUILT_LEGACY ? 2000 : 1000));
}

/* ---- parameters ---- */

static void
refused(struct fx *f, const struct fx_sa *sa, int code)
{
	assert_int_equal(fx_try_sa(f, sa), code);
}

static void
what_an_sa_cannot_be(void **state)
{
	static const struct fx_sa ok = {AH(0x1001, A, B, TRANSPORT, "hmac-sha256")};
	struct fx_sa sa;
	const int legacy = BUILT_LEGACY ? -EINVAL : -EOPNOTSUPP;
	struct fx f = {0};

	(void)state;
	fx_open(&f, NULL);
	sa = ok, sa.enc = "aes-cbc";
	refused(&f, &sa, -EINVAL);
	sa = ok, sa.auth = NULL;
	refused(&f, &sa, -EINVAL);
	sa = ok, sa.spi = 255;
	refused(&f, &sa, -EINVAL);
	sa = ok, sa.akey_bits = 128;
	refused(&f, &sa, -EINVAL);
	sa = ok, sa.auth = "null", sa.flags = TDO_SAF_ESN;
	refused(&f, &sa, legacy);
	sa = ok, sa.flags = TDO_SAF_DERIV;
	refused(&f, &sa, -EINVAL);
	sa = ok, sa.flags = TDO_SAF_OLD, sa.replay = 32;
	refused(&f, &sa, legacy);
	sa = ok, sa.flags = TDO_SAF_OLD, sa.adaptive = true;
	refused(&f, &sa, legacy);
	sa = ok, sa.flags = TDO_SAF_OLD | TDO_SAF_ESN;
	refused(&f, &sa, legacy);
	sa = ok, sa.flags = TDO_SAF_OLD, sa.auth = "aes-128-gmac";
	refused(&f, &sa, legacy);
	sa = ok, sa.flags = TDO_SAF_OLD, sa.auth = "aes-cmac";
	refused(&f, &sa, legacy);
	sa = ok, sa.align = 6;
	refused(&f, &sa, -EINVAL);
	sa = (struct fx_sa){
	    .src = A, .dst = B, .spi = 0x1001, .enc = "null", .auth = "aes-128-gmac"};
	refused(&f, &sa, -EINVAL);
	sa.auth = "hmac-sha1", sa.align = 4;
	refused(&f, &sa, -EINVAL);
	refused(&f, &ok, 0);
	/* The same number is another SA of ESP. */
	sa.align = 0;
	refused(&f, &sa, 0);
	fx_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(d25_either_alignment_is_accepted),
	    cmocka_unit_test(knobs_protect_tos_and_flags),
	    cmocka_unit_test(disabled_protocol),
	    cmocka_unit_test(esn_crosses_the_boundary),
	    cmocka_unit_test(d36_numbers_do_not_wrap),
	    cmocka_unit_test(gmac_ivs_count),
	    cmocka_unit_test(BUILT_LEGACY ? null_authentication : null_authentication_is_refused),
	    cmocka_unit_test(d01_bundles_with_ah),
	    cmocka_unit_test(eight_tunnels_of_ah),
	    cmocka_unit_test(d01_the_wrong_ah_is_not_enough),
	    cmocka_unit_test(fragments_are_not_protected_in_transport_mode),
	    cmocka_unit_test(d05_every_authentication_algorithm),
	    cmocka_unit_test(what_an_sa_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
