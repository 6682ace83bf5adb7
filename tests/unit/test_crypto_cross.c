/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers against each other on random packets: what one encrypts the other decrypts, to the
 * same bytes; and a burst gives what its packets give one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "rng.h"
#include "testudo/crypto.h"

enum { HDR = 8, MARGIN = 32, NWORKERS = 2 };

static struct rng rng;

/* All drivers, each alone in a framework. */
static struct tdo_crypto *all[8];
static unsigned nall;

static int
make_all(void **state)
{
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = NWORKERS};
	struct tdo_crypto *c;

	(void)state;
	assert_int_equal(tdo_crypto_new(&cfg, &c), 0);
	for (nall = 0; (cfg.only = tdo_crypto_driver_at(c, nall)) != NULL; nall++)
		assert_int_equal(tdo_crypto_new(&cfg, &all[nall]), 0);
	tdo_crypto_free(c);
	return 0;
}

static int
free_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nall; i++)
		tdo_crypto_free(all[i]);
	return 0;
}

/* A random burst in one block of memory, and copies of it. */
struct burst {
	unsigned n;
	uint32_t iv_len, icv_len;
	size_t size;
	uint8_t *mem;
	struct tdo_op *op;
};

static uint32_t
packet_size(const struct burst *b, const struct tdo_op *op)
{
	return HDR + b->iv_len + op->text_len + b->icv_len + MARGIN;
}

/* Packets of random lengths up to max; with max 0 the i-th has i blocks. */
static struct burst
burst_make(const struct tdo_session_param *p, unsigned n, uint32_t max)
{
	struct burst b = {.n = n};
	uint32_t block = p->enc ? p->enc->block : 1;
	size_t at = 0;

	b.iv_len = p->enc ? p->enc->iv_len : 0;
	b.icv_len = p->auth ? p->auth->icv_len : p->enc ? p->enc->icv_len : 0;
	b.op = calloc(n, sizeof(*b.op));
	assert_non_null(b.op);
	for (unsigned i = 0; i < n; i++) {
		b.op[i].hdr_len = HDR;
		b.op[i].text_len = (max ? rng_below(&rng, max / block + 1) : i) * block;
		b.op[i].esn_hi = (uint32_t)rng_next(&rng);
		b.size += packet_size(&b, &b.op[i]);
	}
	b.mem = malloc(b.size);
	assert_non_null(b.mem);
	rng_fill(&rng, b.mem, b.size);
	for (unsigned i = 0; i < n; i++) {
		b.op[i].data = b.mem + at;
		at += packet_size(&b, &b.op[i]);
	}
	return b;
}

static struct burst
burst_copy(const struct burst *b)
{
	struct burst c = *b;

	c.mem = malloc(b->size);
	c.op = calloc(b->n, sizeof(*c.op));
	assert_true(c.mem && c.op);
	memcpy(c.mem, b->mem, b->size);
	memcpy(c.op, b->op, b->n * sizeof(*c.op));
	for (unsigned i = 0; i < b->n; i++)
		c.op[i].data = c.mem + (b->op[i].data - b->mem);
	return c;
}

static void
burst_free(struct burst *b)
{
	free(b->mem);
	free(b->op);
}

static void
expect(const struct burst *b, uint8_t status)
{
	for (unsigned i = 0; i < b->n; i++)
		assert_int_equal(b->op[i].status, status);
}

/* All of b but the ICVs, which a driver may change when it decrypts. */
static void
assert_same_text(const struct burst *a, const struct burst *b)
{
	for (unsigned i = 0; i < a->n; i++) {
		uint32_t len = HDR + a->iv_len + a->op[i].text_len;

		assert_memory_equal(a->op[i].data, b->op[i].data, len);
		assert_memory_equal(
		    a->op[i].data + len + a->icv_len, b->op[i].data + len + a->icv_len, MARGIN);
	}
}

static struct tdo_session *
session(struct tdo_crypto *c, struct tdo_session_param p, bool encrypt)
{
	struct tdo_session *s;

	p.encrypt = encrypt;
	assert_int_equal(tdo_session_new(c, &p, &s), 0);
	return s;
}

/* Encrypts by e as a whole and packet by packet; returns the result. */
static struct burst
encrypt(struct tdo_crypto *e, const struct tdo_session_param *p, const struct burst *clear)
{
	struct tdo_session *s = session(e, *p, true);
	struct burst b = burst_copy(clear), single = burst_copy(clear);

	tdo_session_process(s, 0, b.op, b.n);
	for (unsigned i = 0; i < single.n; i++)
		tdo_session_process(s, 1, &single.op[i], 1);
	expect(&b, TDO_OP_OK);
	expect(&single, TDO_OP_OK);
	assert_memory_equal(b.mem, single.mem, b.size);
	burst_free(&single);
	tdo_session_free(s);
	return b;
}

/* Spoils every third packet, in a random byte from header to ICV. */
static void
spoil(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i += 3) {
		struct tdo_op *op = &b->op[i];
		uint32_t len = HDR + b->iv_len + op->text_len + b->icv_len;

		op->data[rng_below(&rng, len)] ^= (uint8_t)(1 << rng_below(&rng, 8));
	}
}

static void
decrypt(struct tdo_crypto *d, const struct tdo_session_param *p, const struct burst *secret,
    const struct burst *clear)
{
	struct tdo_session *s = session(d, *p, false);
	struct burst b = burst_copy(secret), bad = burst_copy(secret);

	tdo_session_process(s, 0, b.op, b.n);
	expect(&b, TDO_OP_OK);
	assert_same_text(&b, clear);
	if (b.icv_len > 0) {
		spoil(&bad);
		tdo_session_process(s, 1, bad.op, bad.n);
		for (unsigned i = 0; i < bad.n; i++)
			assert_int_equal(bad.op[i].status, i % 3 ? TDO_OP_OK : TDO_OP_BAD_ICV);
	}
	burst_free(&b);
	burst_free(&bad);
	tdo_session_free(s);
}

static void
cross(const struct tdo_session_param *p, unsigned n, uint32_t max)
{
	struct burst clear = burst_make(p, n, max), first = {0};

	for (unsigned e = 0; e < nall; e++) {
		struct burst b;

		if (!tdo_crypto_supports(all[e], p->enc, p->auth))
			continue;
		b = encrypt(all[e], p, &clear);
		if (first.mem)
			assert_memory_equal(b.mem, first.mem, b.size);
		for (unsigned d = 0; d < nall; d++)
			if (tdo_crypto_supports(all[d], p->enc, p->auth))
				decrypt(all[d], p, &b, &clear);
		if (first.mem)
			burst_free(&b);
		else
			first = b;
	}
	burst_free(&first);
	burst_free(&clear);
}

static void
cross_pair(const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned ebits, bool esn)
{
	static const unsigned bursts[] = {1, 2, 7, 16, 17, 33, 64, 65, 200};
	uint8_t ekey[64], akey[64];
	struct tdo_session_param p = {.enc = enc, .auth = auth, .ekey = ekey, .akey = akey};

	p.esn = esn;
	p.ekey_len = (uint16_t)(ebits / 8);
	p.akey_len = auth ? auth->key_min / 8 : 0;
	rng_fill(&rng, ekey, sizeof(ekey));
	rng_fill(&rng, akey, sizeof(akey));
	for (unsigned i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++)
		cross(&p, bursts[i], i % 2 ? 1500 : 256);
	cross(&p, 2, 65280);
}

static void
cross_lengths(const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	unsigned bits = enc ? enc->key_min : 0, last = enc ? enc->key_max : 0;
	bool any = false;

	for (unsigned i = 0; i < nall; i++)
		any |= tdo_crypto_supports(all[i], enc, auth);
	if (!any)
		return;
	for (unsigned step = 0; bits <= last; bits += step) {
		cross_pair(enc, auth, bits, false);
		cross_pair(enc, auth, bits, true);
		step = enc && enc->key_step ? enc->key_step : 1;
		if (step == 8) /* Blowfish: some of its 52 lengths */
			step = 136;
	}
}

static void
every_pair(void **state)
{
	const struct tdo_alg *enc, *auth;

	(void)state;
	for (unsigned i = 0; (enc = tdo_alg_at(i)) != NULL; i++) {
		cross_lengths(
		    enc->kind == TDO_ALG_AUTH ? NULL : enc, enc->kind == TDO_ALG_AUTH ? enc : NULL);
		for (unsigned k = 0; enc->kind == TDO_ALG_ENC && (auth = tdo_alg_at(k)); k++)
			if (auth->kind == TDO_ALG_AUTH)
				cross_lengths(enc, auth);
	}
}

/* Every length from 0 to 300 blocks, in one burst: boundaries of hash blocks and lanes. */
static void
every_small_size(void **state)
{
	static const char *const pairs[][2] = {
	    {"aes-gcm-16", NULL},
	    {"aes-cbc", "hmac-sha1"},
	    {"3des-cbc", "hmac-md5"},
	    {"null", "hmac-sha256"},
	};
	uint8_t key[64];

	(void)state;
	rng_fill(&rng, key, sizeof(key));
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct tdo_session_param p = {.ekey = key, .akey = key, .esn = true};

		p.enc = tdo_alg_enc_by_name(pairs[i][0]);
		p.auth = pairs[i][1] ? tdo_alg_auth_by_name(pairs[i][1]) : NULL;
		p.ekey_len = p.enc->key_min / 8;
		p.akey_len = p.auth ? p.auth->key_min / 8 : 0;
		cross(&p, 301, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_pair),
	    cmocka_unit_test(every_small_size),
	};

	rng = rng_seed(1);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
