/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings that change what is sent: sequence numbers and ICVs that a peer must refuse
 * (test_replay, test_integrity), padding of random length (esp_randpad).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "fixture.h"
#include "hosts.h"
#include "wire/ah.h"
#include "wire/esp.h"

enum { HDR = 20, PAYLOAD = 40 }; /* where the header is; bytes of UDP payload */

struct shape {
	const char *name;
	struct fx_sa sa;
	const char *requests;
	unsigned iv_len;
	bool same_number; /* test_replay has an effect */
	bool icv;         /* test_integrity has */
};

#define TRANSPORT .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .replay = 64
#define TUNNEL    .src = G, .dst = H, .spi = 0x1002, .mode = TDO_MODE_TUNNEL, .replay = 64
#define AH_TR     "ah/transport//require"
#define AH_TU     "ah/tunnel/" G "-" H "/require"
#define BY_TR     "esp/transport//require"
#define BY_TU     "esp/tunnel/" G "-" H "/require"

static const struct shape shapes[] = {
    {"GCM", {TRANSPORT, .enc = "aes-gcm-16"}, BY_TR, 8, true, true},
    {"GCM tunnel", {TUNNEL, .enc = "aes-gcm-16"}, BY_TU, 8, true, true},
    {"GCM ESN", {TRANSPORT, .enc = "aes-gcm-16", .flags = TDO_SAF_ESN}, BY_TR, 8, true, true},
    {"CBC", {TRANSPORT, .enc = "aes-cbc", .auth = "hmac-sha256"}, BY_TR, 16, true, true},
    {"CBC ESN tunnel", {TUNNEL, .enc = "aes-cbc", .auth = "hmac-sha1", .flags = TDO_SAF_ESN}, BY_TU,
	16, true, true},
    {"CTR", {TRANSPORT, .enc = "aes-ctr", .auth = "aes-cmac"}, BY_TR, 8, true, true},
    {"GMAC", {TRANSPORT, .enc = "aes-gmac"}, BY_TR, 8, true, true},
    {"NULL", {TRANSPORT, .enc = "null", .auth = "hmac-sha256"}, BY_TR, 0, true, true},
    {"AH", {.satype = TDO_SATYPE_AH, TRANSPORT, .auth = "hmac-sha256"}, AH_TR, 0, true, true},
    {"AH tunnel ESN",
	{.satype = TDO_SATYPE_AH, TUNNEL, .auth = "hmac-sha512", .flags = TDO_SAF_ESN}, AH_TU, 0,
	true, true},
    {"AH GMAC", {.satype = TDO_SATYPE_AH, TRANSPORT, .auth = "aes-128-gmac"}, AH_TR, 8, true, true},
    /* The number is the nonce: it never comes again. */
    {"GCM IIV", {TRANSPORT, .enc = "aes-gcm-16-iiv"}, BY_TR, 0, false, true},
    {"des-deriv",
	{TRANSPORT, .enc = "des-cbc", .auth = "hmac-sha1", .flags = TDO_SAF_DERIV, .ekey_bits = 64},
	BY_TR, 0, false, true},
};

struct pair {
	struct fx out, in;
};

static void
open_one(struct fx *f, const struct shape *s, uint8_t dir)
{
	*f = (struct fx){0};
	fx_open(f, NULL);
	fx_add_sa(f, &s->sa);
	fx_add_sp(f, dir, A, B, TDO_PROTO_ANY, s->requests);
}

static void
open_pair(struct pair *x, const struct shape *s)
{
	print_message("# %s\n", s->name);
	open_one(&x->out, s, TDO_DIR_OUT);
	open_one(&x->in, s, TDO_DIR_IN);
}

static void
close_pair(struct pair *x)
{
	fx_close(&x->out);
	fx_close(&x->in);
}

/* Where the sequence number is; an IV follows it. */
static const uint8_t *
number_of(const struct shape *s, const struct tdo_pkt *p)
{
	bool ah = s->sa.satype == TDO_SATYPE_AH;

	return tdo_pkt_data(p) + HDR + (ah ? TDO_AH_SEQ_OFF : TDO_ESP_SEQ_OFF);
}

/* Sends a packet; the caller gives it to arrive(). */
static struct tdo_pkt *
send_one(struct pair *x, uint32_t payload)
{
	struct tdo_pkt *p = fx_udp(&x->out.rng, A, B, payload);

	tdo_out(x->out.w, &p, 1, x->out.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	return p;
}

/* Receives it, and frees it; NONE: it passed. */
static enum tdo_reason
arrive(struct pair *x, struct tdo_pkt *p)
{
	enum tdo_reason r;

	tdo_in(x->in.w, &p, 1, x->in.now);
	r = p->verdict == TDO_VERDICT_PASS ? TDO_REASON_NONE : p->reason;
	fx_pkt_free(p);
	return r;
}

static enum tdo_reason
pass_one(struct pair *x)
{
	return arrive(x, send_one(x, PAYLOAD));
}

/* ---- test_replay -------------------------------------------------------------------- */

static void
all_packets_have_one_number(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		enum tdo_reason expected =
		    s->same_number ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE;
		struct tdo_pkt *p[3];
		struct pair x;

		if (!fx_built(&s->sa))
			continue;
		open_pair(&x, s);
		assert_int_equal(pass_one(&x), TDO_REASON_NONE);
		fx_knob(&x.out, TDO_KNOB_TEST_REPLAY, 1);
		for (unsigned k = 0; k < 3; k++) {
			p[k] = send_one(&x, PAYLOAD);
			assert_int_equal(tdo_be32(number_of(s, p[k])), s->same_number ? 2 : 2 + k);
		}
		/* But no IV comes again. */
		if (s->iv_len > 0)
			assert_memory_not_equal(
			    number_of(s, p[0]) + 4, number_of(s, p[1]) + 4, s->iv_len);
		assert_int_equal(arrive(&x, p[0]), TDO_REASON_NONE);
		assert_int_equal(arrive(&x, p[1]), expected);
		assert_int_equal(arrive(&x, p[2]), expected);
		/* Afterwards it goes on. */
		fx_knob(&x.out, TDO_KNOB_TEST_REPLAY, 0);
		p[0] = send_one(&x, PAYLOAD);
		assert_int_equal(tdo_be32(number_of(s, p[0])), 5);
		assert_int_equal(arrive(&x, p[0]), TDO_REASON_NONE);
		close_pair(&x);
	}
}

/* ---- test_integrity ----------------------------------------------------------------- */

static void
no_icv_is_right(void **state)
{
	static const struct shape bare = {
	    "no ICV", {TRANSPORT, .enc = "aes-cbc"}, BY_TR, 16, true, false};

	(void)state;
	for (unsigned i = 0; i <= sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = i < sizeof(shapes) / sizeof(shapes[0]) ? &shapes[i] : &bare;
		struct pair x;

		if (!fx_built(&s->sa))
			continue;
		open_pair(&x, s);
		fx_knob(&x.out, TDO_KNOB_TEST_INTEGRITY, 1);
		for (unsigned k = 0; k < 2; k++)
			assert_int_equal(
			    pass_one(&x), s->icv ? TDO_REASON_IN_ICV : TDO_REASON_NONE);
		fx_knob(&x.out, TDO_KNOB_TEST_INTEGRITY, 0);
		assert_int_equal(pass_one(&x), TDO_REASON_NONE);
		/* Both faults at once: the ICV is seen first, or the number is. */
		fx_knob(&x.out, TDO_KNOB_TEST_INTEGRITY, 1);
		fx_knob(&x.out, TDO_KNOB_TEST_REPLAY, 1);
		assert_int_equal(pass_one(&x), s->icv ? TDO_REASON_IN_ICV : TDO_REASON_NONE);
		close_pair(&x);
	}
}

/* Several SAs, and several packets of each, in one burst. */
static void
bursts_are_faulty_as_a_whole(void **state)
{
	static const struct fx_sa other = {.src = A,
	    .dst = "10.0.0.3",
	    .spi = 0x1003,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "aes-cbc",
	    .auth = "hmac-sha256"};
	struct tdo_pkt *p[8];
	struct pair x;

	(void)state;
	open_pair(&x, &shapes[0]);
	fx_add_sa(&x.out, &other);
	fx_add_sp(&x.out, TDO_DIR_OUT, A, "10.0.0.3", TDO_PROTO_ANY, BY_TR);
	fx_knob(&x.out, TDO_KNOB_TEST_REPLAY, 1);
	for (unsigned i = 0; i < 8; i++)
		p[i] = fx_udp(&x.out.rng, A, i % 2 ? "10.0.0.3" : B, PAYLOAD);
	tdo_out(x.out.w, p, 8, x.out.now);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(p[i]->verdict, TDO_VERDICT_SEND);
		assert_int_equal(tdo_be32(tdo_pkt_data(p[i]) + HDR + TDO_ESP_SEQ_OFF), 1);
		if (i % 2)
			fx_pkt_free(p[i]);
		else
			assert_int_equal(
			    arrive(&x, p[i]), i ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_NONE);
	}
	close_pair(&x);
}

/* ---- esp_randpad -------------------------------------------------------------------- */

/* The least and the greatest length of many packets, each of which is opened. */
static void
lengths(struct pair *x, uint32_t payload, uint32_t *ret_least, uint32_t *ret_most)
{
	*ret_least = UINT32_MAX;
	*ret_most = 0;
	for (unsigned i = 0; i < 300; i++) {
		struct tdo_pkt *p = send_one(x, payload);

		*ret_least = p->len < *ret_least ? p->len : *ret_least;
		*ret_most = p->len > *ret_most ? p->len : *ret_most;
		assert_int_equal(arrive(x, p), TDO_REASON_NONE);
	}
}

static void
short_payloads_get_random_padding(void **state)
{
	static const struct {
		int32_t knob;
		uint32_t payload;     /* of UDP */
		uint32_t least, most; /* bytes from the payload of ESP to the next header */
	} rows[] = {
	    /* 8 + 40 + 2 bytes are padded to a block of AES, 64 */
	    {-1, PAYLOAD, 64, 64},
	    {0, PAYLOAD, 64, 64},
	    {64, PAYLOAD, 64, 64},
	    {79, PAYLOAD, 64, 64},
	    {80, PAYLOAD, 64, 80},
	    {200, PAYLOAD, 64, 192},
	    {200, 182, 192, 192},
	    {200, 183, 208, 208},           /* longer already */
	    {65535, PAYLOAD, 64, 64 + 240}, /* what the pad length can say: 14 + 240 */
	    {65535, 1400, 1424, 1424 + 240},
	};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const struct shape *s = &shapes[i % 2 ? 4 : 3];
		uint32_t least, most, extra = i % 2 ? 20 : 0;
		uint32_t around = 20 + 8 + 16 + (i % 2 ? 12 : 16);
		struct pair x;

		open_pair(&x, s);
		assert_int_equal(
		    tdo_knob_set(x.out.e, TDO_KNOB_ESP_RANDPAD, TDO_AF_INET, rows[i / 2].knob), 0);
		lengths(&x, rows[i / 2].payload - extra, &least, &most);
		assert_int_equal(least, rows[i / 2].least + around);
		assert_int_equal(most, rows[i / 2].most + around);
		close_pair(&x);
	}
}

static void
random_padding_is_by_family_and_stays_in_the_buffer(void **state)
{
	uint32_t least, most;
	struct tdo_pkt *p;
	struct pair x;

	(void)state;
	open_pair(&x, &shapes[3]);
	assert_int_equal(tdo_knob_set(x.out.e, TDO_KNOB_ESP_RANDPAD, TDO_AF_INET6, 1000), 0);
	lengths(&x, PAYLOAD, &least, &most);
	assert_int_equal(least, most);
	assert_int_equal(tdo_knob_set(x.out.e, TDO_KNOB_ESP_RANDPAD, TDO_AF_INET, 65535), 0);
	for (unsigned i = 0; i < 100; i++) {
		/* Nothing behind the ICV is left, or the datagram is as long as can be. */
		p = fx_udp(&x.out.rng, A, B, i % 2 ? PAYLOAD : 65470 - 8);
		if (i % 2)
			p->cap = p->off + p->len + 16 + 16;
		tdo_out(x.out.w, &p, 1, x.out.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_true(p->off + p->len <= p->cap && p->len <= TDO_PKT_MAXLEN);
		assert_int_equal(arrive(&x, p), TDO_REASON_NONE);
	}
	close_pair(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_packets_have_one_number),
	    cmocka_unit_test(no_icv_is_right),
	    cmocka_unit_test(bursts_are_faulty_as_a_whole),
	    cmocka_unit_test(short_payloads_get_random_padding),
	    cmocka_unit_test(random_padding_is_by_family_and_stays_in_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
