/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers against each other on random packets: what one encrypts the other decrypts, to the
 * same bytes; a burst gives what its packets give one by one, and a session that uses the keys
 * of its twin what one with keys of its own gives.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/driver.h"
#include "mem.h"
#include "rng.h"

enum { HDR = 8, MARGIN = 32, NWORKERS = 2, DRIVERS = 8 };

static struct rng rng;

/* All drivers, each alone in a framework. */
static struct tdo_crypto *all[DRIVERS];
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
	uint32_t hdr_len, iv_len, icv_len;
	size_t size;
	uint8_t *mem;
	struct tdo_op *op;
};

static uint32_t
packet_size(const struct burst *b, const struct tdo_op *op)
{
	return b->hdr_len + b->iv_len + op->text_len + b->icv_len + MARGIN;
}

/* Packets of random lengths up to max; with max 0 the i-th has i blocks. */
static struct burst
burst_make(const struct tdo_session_param *p, uint32_t hdr_len, unsigned n, uint32_t max)
{
	struct burst b = {.n = n, .hdr_len = hdr_len};
	uint32_t block = p->enc ? p->enc->block : 1;
	size_t at = 0;

	b.iv_len = p->enc ? p->enc->iv_len : 0;
	b.icv_len = p->auth ? p->auth->icv_len : p->enc ? p->enc->icv_len : 0;
	b.op = calloc(n, sizeof(*b.op));
	assert_non_null(b.op);
	for (unsigned i = 0; i < n; i++) {
		b.op[i].hdr_len = hdr_len;
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
		uint32_t len = a->hdr_len + a->iv_len + a->op[i].text_len;

		assert_memory_equal(a->op[i].data, b->op[i].data, len);
		assert_memory_equal(
		    a->op[i].data + len + a->icv_len, b->op[i].data + len + a->icv_len, MARGIN);
	}
}

/* A session for this direction, or NULL when the driver lacks this length of key. */
static struct tdo_session *
session(struct tdo_crypto *c, struct tdo_session_param p, bool encrypt)
{
	struct tdo_session *s = NULL;
	int err;

	p.encrypt = encrypt;
	err = tdo_session_new(c, &p, &s);
	assert_true(err == 0 || err == -EOPNOTSUPP);
	return s;
}

static bool
can(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	struct tdo_session *s;

	if (p->enc != tdo_alg_half_iv() && !tdo_crypto_supports(c, p->enc, p->auth))
		return false;
	s = session(c, *p, true);
	tdo_session_free(s);
	return s != NULL;
}

/* Both directions; the second is the twin of the first. */
struct pair {
	struct tdo_session *enc, *dec;
	bool enc_first;
};

static struct pair
pair_make(struct tdo_crypto *c, struct tdo_session_param p)
{
	struct pair pair = {.enc_first = rng_below(&rng, 2)};
	struct tdo_session **first = pair.enc_first ? &pair.enc : &pair.dec;
	struct tdo_session **second = pair.enc_first ? &pair.dec : &pair.enc;

	*first = session(c, p, pair.enc_first);
	p.twin = *first;
	*second = session(c, p, !pair.enc_first);
	assert_true(*first && *second);
	return pair;
}

static void
pair_free(struct pair *pair)
{
	tdo_session_free(pair->enc_first ? pair->dec : pair->enc);
	tdo_session_free(pair->enc_first ? pair->enc : pair->dec);
}

/* Encrypts as a whole, by a session of its own and packet by packet; returns the result. */
static struct burst
encrypt(struct tdo_crypto *e, const struct tdo_session_param *p, const struct burst *clear)
{
	struct burst b = burst_copy(clear), single = burst_copy(clear);
	struct tdo_session *s = session(e, *p, true);
	struct pair pair = pair_make(e, *p);

	tdo_session_process(pair.enc, 0, b.op, b.n);
	for (unsigned i = 0; i < single.n; i++)
		tdo_session_process(s, 1, &single.op[i], 1);
	expect(&b, TDO_OP_OK);
	expect(&single, TDO_OP_OK);
	assert_memory_equal(b.mem, single.mem, b.size);
	burst_free(&single);
	pair_free(&pair);
	tdo_session_free(s);
	return b;
}

/* Spoils every third packet, in a random byte from header to ICV, or of the ICV alone. */
static void
spoil(struct burst *b, bool icv_only)
{
	for (unsigned i = 0; i < b->n; i += 3) {
		struct tdo_op *op = &b->op[i];
		uint32_t first = b->hdr_len + b->iv_len + op->text_len;
		uint32_t len = first + b->icv_len;

		first = icv_only ? first : 0;
		op->data[first + rng_below(&rng, len - first)] ^=
		    (uint8_t)(1 << rng_below(&rng, 8));
	}
}

static void
decrypt(struct tdo_crypto *d, const struct tdo_session_param *p, const struct burst *secret,
    const struct burst *clear)
{
	struct burst b = burst_copy(secret), bad = burst_copy(secret);
	struct tdo_session *s = session(d, *p, false);
	struct pair pair = pair_make(d, *p);

	tdo_session_process(pair.dec, 0, b.op, b.n);
	expect(&b, TDO_OP_OK);
	assert_same_text(&b, clear);
	if (b.icv_len > 0) {
		spoil(&bad, p->auth && p->auth->no_auth);
		tdo_session_process(s, 1, bad.op, bad.n);
		for (unsigned i = 0; i < bad.n; i++)
			assert_int_equal(bad.op[i].status, i % 3 ? TDO_OP_OK : TDO_OP_BAD_ICV);
	}
	burst_free(&b);
	burst_free(&bad);
	pair_free(&pair);
	tdo_session_free(s);
}

/* Returns how many drivers took part. */
static unsigned
cross(const struct tdo_session_param *p, uint32_t hdr_len, unsigned n, uint32_t max)
{
	struct burst clear = burst_make(p, hdr_len, n, max), first = {0};
	bool able[DRIVERS];
	unsigned count = 0;

	for (unsigned i = 0; i < nall; i++)
		able[i] = can(all[i], p);
	for (unsigned e = 0; e < nall; e++) {
		struct burst b;

		if (!able[e])
			continue;
		count++;
		b = encrypt(all[e], p, &clear);
		if (first.mem)
			assert_memory_equal(b.mem, first.mem, b.size);
		for (unsigned d = 0; d < nall; d++)
			if (able[d])
				decrypt(all[d], p, &b, &clear);
		if (first.mem)
			burst_free(&b);
		else
			first = b;
	}
	burst_free(&first);
	burst_free(&clear);
	return count;
}

/* ---- pairs of algorithms ------------------------------------------------------------ */

/* What is being tested: the last line before a failure names it. */
static void
announce(const struct tdo_session_param *p)
{
	static FILE *null;

	if (null == NULL)
		null = fopen("/dev/null", "w");
	fprintf(getenv("TDO_VERBOSE") ? stderr : null, "# %s %u, %s, esn %d\n",
	    p->enc ? p->enc->name : "-", p->ekey_len * 8u, p->auth ? p->auth->name : "-", p->esn);
}

static void
cross_length(const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned ebits, bool esn)
{
	static const unsigned bursts[] = {1, 2, 7, 17, 65};
	uint8_t ekey[64], akey[64];
	struct tdo_session_param p = {.enc = enc, .auth = auth, .ekey = ekey, .akey = akey};

	p.esn = esn;
	p.ekey_len = (uint16_t)(ebits / 8);
	p.akey_len = auth ? auth->key_min / 8 : 0;
	rng_fill(&rng, ekey, sizeof(ekey));
	rng_fill(&rng, akey, sizeof(akey));
	announce(&p);
	for (unsigned i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++)
		cross(&p, HDR, bursts[i], i % 2 ? 1500 : 256);
}

/* All lengths of the cipher's key, without and with ESN. */
static void
cross_pair(const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	unsigned bits = enc ? enc->key_min : 0, last = enc ? enc->key_max : 0;
	unsigned step = enc && enc->key_step ? enc->key_step : 1;

	/* Of the 52 lengths of Blowfish some will do when there is a MAC. */
	if (auth && last > 256 && step == 8)
		step = 136;
	for (; bits <= last; bits += step) {
		cross_length(enc, auth, bits, false);
		cross_length(enc, auth, bits, true);
	}
}

static void
every_pair(void **state)
{
	const struct tdo_alg *enc, *auth;

	(void)state;
	for (unsigned i = 0; (enc = tdo_alg_at(i)) != NULL; i++) {
		if (enc->kind == TDO_ALG_AUTH) {
			if (enc->ah_only) /* AES-GCM, in another layout */
				continue;
			cross_pair(NULL, enc);
			cross_pair(tdo_alg_half_iv(), enc);
			continue;
		}
		cross_pair(enc, NULL);
		for (unsigned k = 0; enc->kind == TDO_ALG_ENC && (auth = tdo_alg_at(k)); k++)
			if (auth->kind == TDO_ALG_AUTH)
				cross_pair(enc, auth);
	}
	cross_pair(tdo_alg_half_iv(), NULL);
}

/*
 * The row number i that drivers know: those of the table, but for GMAC in AH, which is their
 * AES-GCM, and behind them those of the old AH.
 */
static const struct tdo_alg *
row_at(unsigned i)
{
	const struct tdo_alg *a;

	for (unsigned k = 0; (a = tdo_alg_at(k)) != NULL; k++)
		if (!a->ah_only && i-- == 0)
			return a;
	for (unsigned number = 0; number <= UINT8_MAX; number++)
		if ((a = tdo_alg_ah_old((uint8_t)number)) != NULL && i-- == 0)
			return a;
	return NULL;
}

/* Parameters of row number i alone, with the longest key; a cipher without MAC. */
static bool
single(unsigned i, const uint8_t *key, bool esn, struct tdo_session_param *ret)
{
	const struct tdo_alg *a = row_at(i);
	bool auth = a && a->kind == TDO_ALG_AUTH;

	if (a == NULL)
		return false;
	*ret = (struct tdo_session_param){
	    .enc = auth ? NULL : a,
	    .auth = auth ? a : NULL,
	    .ekey = key,
	    .akey = key,
	    .ekey_len = auth ? 0 : a->key_max / 8,
	    .akey_len = auth ? a->key_max / 8 : 0,
	    .esn = esn,
	};
	return true;
}

/* Every length from 0 to 300 blocks, in one burst: boundaries of hash blocks and lanes. */
static void
every_small_size(void **state)
{
	struct tdo_session_param p;
	uint8_t key[64];

	(void)state;
	rng_fill(&rng, key, sizeof(key));
	for (unsigned i = 0; single(i, key, i % 2, &p); i++) {
		announce(&p);
		cross(&p, HDR, 301, 0);
	}
}

/* The largest packets that there are. */
static void
large_packets(void **state)
{
	struct tdo_session_param p;
	uint8_t key[64];

	(void)state;
	rng_fill(&rng, key, sizeof(key));
	for (unsigned i = 0; single(i, key, true, &p); i++) {
		announce(&p);
		cross(&p, HDR, 3, 65280);
	}
}

/*
 * Headers that are not those of ESP: 4 bytes (old ESP has no sequence number), others for AH.
 * AEADs take them as AAD, unless they need the sequence number.
 */
static void
other_headers(void **state)
{
	static const uint32_t lengths[] = {4, 12, 20, 44};
	struct tdo_session_param p;
	uint8_t key[64];

	(void)state;
	rng_fill(&rng, key, sizeof(key));
	for (unsigned i = 0; single(i, key, false, &p); i++) {
		if (p.enc && p.enc->implicit_iv)
			continue;
		announce(&p);
		for (unsigned k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
			cross(&p, lengths[k], 5, 256);
	}
}

/* A session of a random row, ESN and key; the keys are in *keys. */
static struct tdo_session *
random_session(struct tdo_crypto *c, uint8_t keys[64], bool encrypt, struct tdo_session_param *p)
{
	struct tdo_session *s = NULL;

	while (s == NULL) {
		rng_fill(&rng, keys, 64);
		if (single(rng_below(&rng, 64), keys, rng_below(&rng, 2), p) && can(c, p))
			s = session(c, *p, encrypt);
	}
	return s;
}

/* Packets of all kinds of sessions in one call: what each session gives by itself. */
static void
mix(struct tdo_crypto *c, bool encrypt)
{
	enum { SESSIONS = 9, N = 100 };
	struct tdo_session *s[SESSIONS];
	struct tdo_session_param p[SESSIONS];
	struct burst mixed[N], alone[N];
	struct tdo_op op[N];
	uint8_t keys[SESSIONS][64];

	for (unsigned i = 0; i < SESSIONS; i++)
		s[i] = random_session(c, keys[i], encrypt, &p[i]);
	for (unsigned i = 0; i < N; i++) {
		unsigned k = rng_below(&rng, SESSIONS);

		mixed[i] = burst_make(&p[k], HDR, 1, 600);
		alone[i] = burst_copy(&mixed[i]);
		tdo_session_process(s[k], 1, alone[i].op, 1);
		op[i] = mixed[i].op[0];
		op[i].session = s[k];
	}
	tdo_crypto_process(0, op, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(op[i].status, alone[i].op[0].status);
		assert_memory_equal(mixed[i].mem, alone[i].mem, mixed[i].size);
		burst_free(&mixed[i]);
		burst_free(&alone[i]);
	}
	for (unsigned i = 0; i < SESSIONS; i++)
		tdo_session_free(s[i]);
}

static void
sessions_in_one_burst(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nall; i++)
		for (unsigned k = 0; k < 40; k++)
			if (strcmp(tdo_crypto_driver_at(all[i], 0), "null") != 0)
				mix(all[i], k % 2);
}

/* What is in one burst below: keys and ESN differ between sessions of a row. */
static const struct neighbour {
	const char *enc, *auth;
	uint16_t ekey_len;
} neighbours[] = {
    {"aes-gcm-16", NULL, 20},
    {"aes-gcm-16", NULL, 36},
    {"aes-gcm-12", NULL, 28},
    {"aes-gcm-16-iiv", NULL, 20},
    {"aes-gmac", NULL, 20},
    {"aes-ccm-16", NULL, 19},
    {"chacha20-poly1305", NULL, 36},
    {"aes-cbc", "hmac-sha1", 16},
    {"aes-cbc", "hmac-sha1", 24},
    {"aes-cbc", "hmac-sha256", 32},
    {"aes-cbc", "hmac-sha384", 16},
    {"aes-cbc", "hmac-sha512", 16},
    {"aes-cbc", "aes-xcbc-mac", 16},
    {"aes-cbc", "aes-cmac", 16},
    {"aes-cbc", NULL, 16},
    {"aes-ctr", "hmac-sha256", 20},
    {"aes-ctr", "hmac-sha512", 36},
    {"aes-ctr", NULL, 28},
    {NULL, "hmac-sha1", 0},
    {NULL, "hmac-sha384", 0},
    {NULL, "aes-cmac", 0},
};

enum {
	NROWS = sizeof(neighbours) / sizeof(neighbours[0]),
	NSESSIONS = 12,
	NPACKETS = 150,
	TOO_LONG = 7, /* one packet in so many */
};

struct crowd {
	struct tdo_session_param p[NSESSIONS];
	uint8_t keys[NSESSIONS][64];
	struct pair pair[NSESSIONS];
	unsigned of[NPACKETS]; /* the packet's session */
	struct burst alone[NPACKETS], together[NPACKETS];
	struct tdo_op op[NPACKETS];
};

static void
crowd_session(struct tdo_crypto *c, struct crowd *w, unsigned i, const struct neighbour *row)
{
	struct tdo_session_param *p = &w->p[i];

	rng_fill(&rng, w->keys[i], sizeof(w->keys[i]));
	*p = (struct tdo_session_param){
	    .enc = row->enc ? tdo_alg_enc_by_name(row->enc) : NULL,
	    .auth = row->auth ? tdo_alg_auth_by_name(row->auth) : NULL,
	    .ekey = w->keys[i],
	    .akey = w->keys[i],
	    .ekey_len = row->ekey_len,
	    .esn = rng_below(&rng, 2),
	};
	p->akey_len = p->auth ? p->auth->key_min / 8 : 0;
	w->pair[i] = pair_make(c, *p);
}

/* Headers of ESP, and now and then one that is not, where that is allowed; some are too long. */
static void
crowd_packet(struct crowd *w, unsigned i, unsigned k)
{
	const struct tdo_session_param *p = &w->p[k];
	bool free_header = !p->esn && (p->enc == NULL || !p->enc->implicit_iv);
	struct tdo_op *op;

	w->of[i] = k;
	w->alone[i] = burst_make(p, free_header && rng_below(&rng, 4) == 0 ? 12 : HDR, 1, 600);
	w->together[i] = burst_copy(&w->alone[i]);
	op = &w->alone[i].op[0];
	tdo_session_process(w->pair[k].enc, 1, op, 1);
	assert_int_equal(op->status, TDO_OP_OK);
	w->op[i] = w->together[i].op[0];
	w->op[i].session = w->pair[k].enc;
	if (i % TOO_LONG == 0)
		w->op[i].text_len = (TDO_OP_LEN_MAX & ~63u) + 64;
}

static void
crowd_encrypt(struct crowd *w)
{
	tdo_crypto_process(0, w->op, NPACKETS);
	for (unsigned i = 0; i < NPACKETS; i++) {
		if (i % TOO_LONG == 0) {
			assert_int_equal(w->op[i].status, TDO_OP_ERROR);
			continue;
		}
		assert_int_equal(w->op[i].status, TDO_OP_OK);
		assert_memory_equal(w->together[i].mem, w->alone[i].mem, w->alone[i].size);
	}
}

/* What crowd_encrypt() made, with every fifth ICV or header spoilt. */
static void
crowd_decrypt(struct crowd *w)
{
	for (unsigned i = 0; i < NPACKETS; i++) {
		w->op[i].session = w->pair[w->of[i]].dec;
		if (i % 5 == 0 && i % TOO_LONG && w->together[i].icv_len > 0)
			spoil(&w->together[i], false);
		else if (i % TOO_LONG)
			tdo_session_process(w->op[i].session, 1, &w->alone[i].op[0], 1);
	}
	tdo_crypto_process(0, w->op, NPACKETS);
	for (unsigned i = 0; i < NPACKETS; i++) {
		if (i % TOO_LONG == 0) {
			assert_int_equal(w->op[i].status, TDO_OP_ERROR);
		} else if (i % 5 == 0 && w->together[i].icv_len > 0) {
			assert_int_equal(w->op[i].status, TDO_OP_BAD_ICV);
		} else {
			assert_int_equal(w->op[i].status, TDO_OP_OK);
			assert_same_text(&w->together[i], &w->alone[i]);
		}
	}
}

/* Sessions of one row, or of any; each packet is of the next one, of one of two, or of any. */
static void
crowd(struct tdo_crypto *c, const struct neighbour *row, unsigned order)
{
	static struct crowd w;

	for (unsigned i = 0; i < NSESSIONS; i++)
		crowd_session(c, &w, i, row ? row : &neighbours[rng_below(&rng, NROWS)]);
	for (unsigned i = 0; i < NPACKETS; i++)
		crowd_packet(&w, i,
		    order == 0   ? i % NSESSIONS
		    : order == 1 ? i % 2
				 : rng_below(&rng, NSESSIONS));
	crowd_encrypt(&w);
	crowd_decrypt(&w);
	for (unsigned i = 0; i < NPACKETS; i++) {
		burst_free(&w.alone[i]);
		burst_free(&w.together[i]);
	}
	for (unsigned i = 0; i < NSESSIONS; i++)
		pair_free(&w.pair[i]);
}

/* A packet's neighbours in the burst do not matter: their keys, algorithms, headers, faults. */
static void
packets_by_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nall; i++) {
		if (strcmp(tdo_crypto_driver_at(all[i], 0), "null") == 0)
			continue;
		for (unsigned order = 0; order < 3; order++) {
			for (unsigned r = 0; r < NROWS; r++)
				crowd(all[i], &neighbours[r], order);
			for (unsigned r = 0; r < 5; r++)
				crowd(all[i], NULL, order);
		}
	}
}

/* Two drivers at least know each algorithm, so that the tests above compare something. */
static void
algorithms_have_two_drivers(void **state)
{
	struct tdo_session_param p;
	uint8_t key[64] = {1, 2, 3};

	(void)state;
	if (nall < 4) {
		print_message("# a driver is missing in this build\n");
		return;
	}
	for (unsigned i = 0; single(i, key, false, &p); i++) {
		const struct tdo_alg *a = p.enc ? p.enc : p.auth;

		if (strcmp(a->name, "twofish-cbc") != 0)
			assert_int_equal(cross(&p, HDR, 1, 64) >= 2, a->not_there == NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_pair),
	    cmocka_unit_test(every_small_size),
	    cmocka_unit_test(large_packets),
	    cmocka_unit_test(other_headers),
	    cmocka_unit_test(sessions_in_one_burst),
	    cmocka_unit_test(packets_by_turns),
	    cmocka_unit_test(algorithms_have_two_drivers),
	};

	rng = rng_seed(1);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
