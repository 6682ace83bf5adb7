/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of every algorithm of the table through two engines: every cipher with every key
 * length, alone and with every MAC, in both modes and families, with and without extended
 * sequence numbers.  New rows of the table are tested without a word here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "built.h"
#include "engine/path.h"
#include "fixture.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define SPI 0x2001
#define SUB ((uint64_t)1 << 32)

/* Where the packets go, and by which SA. */
static const struct way {
	const char *src, *dst; /* of the packet */
	const char *from, *to; /* of the SA */
	uint8_t mode;
} ways[] = {
    {"10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", TDO_MODE_TRANSPORT},
    {"2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::2", TDO_MODE_TRANSPORT},
    {"10.1.0.1", "10.1.0.2", "192.0.2.1", "192.0.2.2", TDO_MODE_TUNNEL},
    {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:f::1", "2001:db8:f::2", TDO_MODE_TUNNEL},
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

static struct fx out, in;

static void
open_one(struct fx *f, uint8_t dir)
{
	char req[128];

	*f = (struct fx){0};
	fx_open(f, NULL);
	for (unsigned i = 0; i < NWAYS; i++) {
		const struct way *y = &ways[i];

		snprintf(req, sizeof(req),
		    y->mode == TDO_MODE_TUNNEL ? "esp/tunnel/%s-%s/require"
					       : "esp/transport//require",
		    y->from, y->to);
		fx_add_sp(f, dir, y->src, y->dst, TDO_PROTO_ANY, req);
	}
}

static int
open_both(void **state)
{
	open_one(&out, TDO_DIR_OUT);
	open_one(&in, TDO_DIR_IN);
	return 0;
}

static int
close_both(void **state)
{
	fx_close(&out);
	fx_close(&in);
	return 0;
}

static void
forget(struct fx *f, const struct fx_sa *sa)
{
	fx_delete_sa(f, sa);
	tdo_worker_quiesce(f->w);
	tdo_engine_tick(f->e, f->now);
}

/* ---- one packet ---- */

/* What RFC 4303 2 (or 1827) makes of a payload of len bytes. */
static uint32_t
expected_len(
    const struct fx_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth, uint32_t len)
{
	uint32_t align = enc->block > 4 ? enc->block : 4, iv = enc->iv_len;
	uint32_t icv = enc->kind == TDO_ALG_AEAD ? enc->icv_len : auth ? auth->icv_len : 0;

	if (sa->flags & TDO_SAF_IV4B)
		iv = 4;
	if (sa->flags & TDO_SAF_DERIV)
		iv = 0;
	return (sa->flags & TDO_SAF_OLD ? 4 : 8) + iv + (len + 2 + align - 1) / align * align + icv;
}

static bool
holds(const uint8_t *p, uint32_t len, const uint8_t needle[16])
{
	for (uint32_t i = 0; i + 16 <= len; i++)
		if (memcmp(p + i, needle, 16) == 0)
			return true;
	return false;
}

static void
expect_protected(const struct tdo_pkt *p, const struct tdo_pkt *clear, const struct way *y,
    const struct fx_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	uint32_t hlen = tdo_ip_hlen(fx_addr(y->src).af);
	uint32_t payload = y->mode == TDO_MODE_TUNNEL ? clear->len : clear->len - hlen;
	const uint8_t *esp = tdo_pkt_data(p) + hlen;

	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->len, hlen + expected_len(sa, enc, auth, payload));
	assert_int_equal(tdo_be32(esp), SPI);
	if (!(sa->flags & TDO_SAF_OLD))
		assert_int_equal(
		    tdo_be32(esp + 4), (uint32_t)atomic_load(fx_sa_of(&out, sa)->out_seq));
	/* 16 bytes cannot be in it by chance. */
	if (payload >= 24)
		assert_int_equal(
		    holds(esp, p->len - hlen, tdo_pkt_data(clear) + clear->len - 16), enc->clear);
}

/* Sends a packet; with a bit changed it is not accepted, as it is it comes out as it was. */
static void
round_trip(const struct way *y, const struct fx_sa *sa, const struct tdo_alg *enc,
    const struct tdo_alg *auth, uint32_t size)
{
	bool authenticates = enc->kind == TDO_ALG_AEAD || (auth && !auth->no_auth);
	struct tdo_pkt *p = fx_udp(&out.rng, y->src, y->dst, size), *clear = fx_pkt_new(0);
	struct tdo_pkt *bad = fx_pkt_new(0);
	uint32_t first = tdo_ip_hlen(fx_addr(y->src).af) + TDO_ESP_HLEN;

	fx_pkt_set(clear, tdo_pkt_data(p), p->len);
	tdo_out(out.w, &p, 1, out.now);
	expect_protected(p, clear, y, sa, enc, auth);
	fx_pkt_set(bad, tdo_pkt_data(p), p->len);
	if (authenticates) {
		tdo_pkt_data(bad)[first + rng_below(&out.rng, bad->len - first)] ^= 0x10;
		tdo_in(in.w, &bad, 1, in.now);
		assert_int_equal(bad->verdict, TDO_VERDICT_DROP);
		assert_int_equal(bad->reason, TDO_REASON_IN_ICV);
	}
	tdo_in(in.w, &p, 1, in.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, clear->len);
	assert_memory_equal(tdo_pkt_data(p), tdo_pkt_data(clear), clear->len);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	fx_pkt_free(bad);
}

/* ---- one SA ---- */

static unsigned tested, unsupported;

/* Sizes around the edges of blocks; the extended numbers cross 2^32 on the way. */
static void
play(const struct way *y, const struct fx_sa *sa, const struct tdo_alg *enc,
    const struct tdo_alg *auth)
{
	static const uint32_t sizes[] = {24, 0, 1, 5, 6, 7, 8, 14, 15, 16, 17, 31, 32, 33, 1400};
	bool esn = (sa->flags & TDO_SAF_ESN) != 0;

	fx_add_sa(&out, sa);
	fx_add_sa(&in, sa);
	if (esn) {
		atomic_store(fx_sa_of(&out, sa)->out_seq, 3 * SUB - 5);
		assert_int_equal(
		    tdo_replay_accept(&fx_sa_of(&in, sa)->replay, 3 * SUB - 5), TDO_REASON_NONE);
	}
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		round_trip(y, sa, enc, auth, sizes[i]);
	if (esn)
		assert_true(tdo_replay_top(&fx_sa_of(&in, sa)->replay) == 3 * SUB + 10);
	forget(&out, sa);
	forget(&in, sa);
	tested++;
}

static void
all_ways(struct fx_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	bool authenticates = enc->kind == TDO_ALG_AEAD || (auth && !auth->no_auth);

	sa->spi = SPI;
	sa->replay = sa->flags & TDO_SAF_OLD ? 0 : 64;
	for (unsigned i = 0; i < NWAYS; i++) {
		uint32_t flags = sa->flags;

		sa->src = ways[i].from;
		sa->dst = ways[i].to;
		sa->mode = ways[i].mode;
		play(&ways[i], sa, enc, auth);
		if (authenticates) {
			sa->flags |= TDO_SAF_ESN;
			play(&ways[i], sa, enc, auth);
		}
		sa->flags = flags;
	}
}

/* The legal key lengths; of many the first two and the last. */
static void
all_key_lengths(struct fx_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	unsigned step = enc->key_step ? enc->key_step : 1;
	bool many = (enc->key_max - enc->key_min) / step > 4;

	if (!tdo_crypto_supports(out.crypto, enc, auth)) {
		unsupported++;
		return;
	}
	for (unsigned bits = enc->key_min; bits <= enc->key_max; bits += step) {
		if (many && bits > enc->key_min + step && bits != enc->key_max)
			continue;
		sa->ekey_bits = (uint16_t)bits;
		all_ways(sa, enc, auth);
	}
}

static void
d05_every_algorithm_of_the_table(void **state)
{
	const struct tdo_alg *enc, *auth;

	tested = unsupported = 0;
	for (unsigned i = 0; (enc = tdo_alg_at(i)); i++) {
		struct fx_sa sa = {.enc = enc->name};

		if (enc->kind == TDO_ALG_AUTH)
			continue;
		all_key_lengths(&sa, enc, NULL);
		for (unsigned k = 0; enc->kind == TDO_ALG_ENC && (auth = tdo_alg_at(k)); k++) {
			sa.auth = auth->name;
			if (auth->kind == TDO_ALG_AUTH)
				all_key_lengths(&sa, enc, auth);
		}
	}
	print_message("# %u SAs; %u pairs have no driver\n", tested, unsupported);
	assert_true(tested > (BUILT_LEGACY ? 1500 : 900));
}

/* ---- the old formats ---- */

/* RFC 1827, 1829, 1851 */
static void
esp_old_with_every_cipher(void **state)
{
	const struct tdo_alg *enc;

	tested = unsupported = 0;
	for (unsigned i = 0; (enc = tdo_alg_at(i)); i++) {
		struct fx_sa sa = {.enc = enc->name, .flags = TDO_SAF_OLD};

		if (enc->kind == TDO_ALG_ENC && !enc->iv_counter)
			all_key_lengths(&sa, enc, NULL);
	}
	assert_true(tested > 20);
}

static void
old_layout(void **state)
{
	struct fx_sa sa = {.src = "10.0.0.1",
	    .dst = "10.0.0.2",
	    .spi = SPI,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "null",
	    .flags = TDO_SAF_OLD};
	struct tdo_pkt *p = fx_udp(&out.rng, sa.src, sa.dst, 6), *clear = fx_pkt_new(0);
	const uint8_t *d;

	fx_pkt_set(clear, tdo_pkt_data(p), p->len);
	fx_add_sa(&out, &sa);
	fx_add_sa(&in, &sa);
	tdo_out(out.w, &p, 1, out.now);
	d = tdo_pkt_data(p);
	assert_int_equal(p->len, 20 + 4 + 14 + 2);
	assert_int_equal(p->seq, 0);
	assert_int_equal(tdo_be32(d + 20), SPI);
	assert_memory_equal(d + 24, tdo_pkt_data(clear) + 20, 14);
	assert_int_equal(d[39], TDO_IPPROTO_UDP);
	/* Nothing is counted, so nothing ends. */
	atomic_store(fx_sa_of(&out, &sa)->out_seq, SUB + 5);
	fx_pkt_set(p, tdo_pkt_data(clear), clear->len);
	tdo_out(out.w, &p, 1, out.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	/* What the padding holds is the sender's affair (RFC 1829 3). */
	tdo_in(in.w, &p, 1, in.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->seq, 0);
	forget(&out, &sa);
	forget(&in, &sa);
	fx_pkt_free(p);
	fx_pkt_free(clear);
}

/* des-32iv: the IV in the packet is 32 bits; des-deriv: there is none. */
static void
des_with_half_an_iv(void **state)
{
	const struct tdo_alg *half = tdo_alg_half_iv();
	struct fx_sa sa = {.enc = "des-cbc", .flags = TDO_SAF_OLD | TDO_SAF_IV4B};

	tested = unsupported = 0;
	all_key_lengths(&sa, half, NULL);
	sa.flags = TDO_SAF_DERIV;
	all_key_lengths(&sa, half, NULL);
	assert_true(tested == 2 * NWAYS);
}

/* -A null (C7): 12 bytes of zero that prove nothing, so no window refuses anything. */
static void
null_icv_proves_nothing(void **state)
{
	static const uint8_t zero[12];
	struct fx_sa sa = {.src = "10.0.0.1",
	    .dst = "10.0.0.2",
	    .spi = SPI,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "aes-cbc",
	    .auth = "null",
	    .replay = 64};
	struct tdo_pkt *p = fx_udp(&out.rng, sa.src, sa.dst, 6), *again = fx_pkt_new(0);

	fx_add_sa(&out, &sa);
	fx_add_sa(&in, &sa);
	tdo_out(out.w, &p, 1, out.now);
	assert_memory_equal(tdo_pkt_data(p) + p->len - 12, zero, 12);
	fx_pkt_set(again, tdo_pkt_data(p), p->len);
	tdo_in(in.w, &p, 1, in.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	tdo_in(in.w, &again, 1, in.now);
	assert_int_equal(again->verdict, TDO_VERDICT_PASS);
	assert_true(tdo_replay_top(&fx_sa_of(&in, &sa)->replay) == 0);
	forget(&out, &sa);
	forget(&in, &sa);
	fx_pkt_free(p);
	fx_pkt_free(again);
}

/* The derived IV is not sent; of the short one there are 4 bytes, different each time. */
static void
half_ivs_in_the_packet(void **state)
{
	struct fx_sa sa = {.src = "10.0.0.1",
	    .dst = "10.0.0.2",
	    .spi = SPI,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "des-cbc"};
	struct tdo_pkt *p = fx_udp(&out.rng, sa.src, sa.dst, 6), *q = fx_pkt_new(0);

	fx_pkt_set(q, tdo_pkt_data(p), p->len);
	sa.flags = TDO_SAF_OLD | TDO_SAF_IV4B;
	fx_add_sa(&out, &sa);
	tdo_out(out.w, &p, 1, out.now);
	tdo_out(out.w, &q, 1, out.now);
	assert_int_equal(p->len, 20 + 4 + 4 + 16);
	assert_memory_not_equal(tdo_pkt_data(p) + 24, tdo_pkt_data(q) + 24, 4);
	assert_int_equal(p->seq, 0);
	forget(&out, &sa);
	fx_pkt_free(p);
	sa.flags = TDO_SAF_DERIV;
	fx_add_sa(&out, &sa);
	p = fx_udp(&out.rng, sa.src, sa.dst, 6);
	tdo_out(out.w, &p, 1, out.now);
	assert_int_equal(p->len, 20 + 8 + 16);
	assert_int_equal(tdo_be32(tdo_pkt_data(p) + 24), 1);
	forget(&out, &sa);
	fx_pkt_free(p);
	fx_pkt_free(q);
}

static void
old_and_weak_is_refused(void **state)
{
	static const struct fx_sa rows[] = {
	    {.enc = "null", .flags = TDO_SAF_OLD},
	    {.enc = "aes-cbc", .flags = TDO_SAF_OLD},
	    {.enc = "des-cbc", .flags = TDO_SAF_OLD | TDO_SAF_IV4B},
	    {.enc = "des-cbc", .auth = "hmac-sha1", .flags = TDO_SAF_DERIV},
	    {.enc = "aes-cbc", .auth = "null"},
	    {.enc = "3des-cbc", .auth = "hmac-sha1"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fx_sa sa = rows[i];

		sa.src = "10.0.0.1";
		sa.dst = "10.0.0.2";
		sa.spi = SPI;
		sa.mode = TDO_MODE_TRANSPORT;
		assert_int_equal(fx_try_sa(&out, &sa), -EOPNOTSUPP);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(d05_every_algorithm_of_the_table),
	    cmocka_unit_test(BUILT_LEGACY ? esp_old_with_every_cipher : old_and_weak_is_refused),
	    cmocka_unit_test(BUILT_LEGACY ? old_layout : old_and_weak_is_refused),
	    cmocka_unit_test(BUILT_LEGACY ? des_with_half_an_iv : old_and_weak_is_refused),
	    cmocka_unit_test(BUILT_LEGACY ? null_icv_proves_nothing : old_and_weak_is_refused),
	    cmocka_unit_test(BUILT_LEGACY ? half_ivs_in_the_packet : old_and_weak_is_refused),
	};

	return cmocka_run_group_tests(tests, open_both, close_both);
}
