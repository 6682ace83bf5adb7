/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the crypto layer costs: nanoseconds per packet through tdo_session_process(), with
 * the first driver that has the algorithm, with OpenSSL and with nettle, against the bare
 * calls of the multi-buffer library; and the memory that the two sessions of an SA take.
 *
 * Bursts of 32 packets out of a pool of 256; the variants run in turn, round by round, and
 * the median of the rounds is printed, so that noise hits all of them alike; the ratio is the
 * median of the rounds' ratios.
 *
 *	bench_crypto [rounds [bytes of payload]]
 *	bench_crypto turns [rounds [bytes of payload]]
 *
 * turns: what the layer costs when the packets of a burst belong to one SA, to two by turns, and
 * each to another, with the algorithms that the first driver does side by side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "mem.h"
#include "testudo/crypto.h"
#ifdef TDO_HAVE_IPSECMB
#include <intel-ipsec-mb.h>
#endif

enum { BURST = 32, POOL = 256, STRIDE = 9216 + 128, ROUNDS_MAX = 199, HDR = 8, OTHERS = 2 };
enum { SAS = 64 }; /* more than a burst */

static const unsigned sizes[] = {64, 576, 1420, 9000};
static const char *const others[OTHERS] = {"openssl", "nettle"};

/* Which calls of the library do the same; none where it cannot. */
enum bare_kind { BARE_NONE, BARE_GCM, BARE_CHACHA, BARE_CCM, BARE_CBC, BARE_CTR };

static const struct algo {
	const char *enc, *auth;
	unsigned ekey_len;
	bool encrypt;
	int bare;
	int hash; /* IMB_HASH_ALG, as a number: the header may be missing */
} algos[] = {
    {"aes-gcm-16", NULL, 20, true, BARE_GCM, 0},
    {"aes-gcm-16", NULL, 20, false, BARE_GCM, 0},
    {"aes-gcm-16", NULL, 36, true, BARE_GCM, 0},
    {"aes-gcm-16-iiv", NULL, 20, true, BARE_NONE, 0},
    {"aes-gmac", NULL, 20, true, BARE_NONE, 0},
    {"chacha20-poly1305", NULL, 36, true, BARE_CHACHA, 0},
    {"aes-ccm-16", NULL, 19, true, BARE_CCM, 0},
    {"aes-cbc", "hmac-sha1", 16, true, BARE_CBC, 1},
    {"aes-cbc", "hmac-sha1", 16, false, BARE_CBC, 1},
    {"aes-cbc", "hmac-sha256", 16, true, BARE_CBC, 3},
    {"aes-cbc", "hmac-sha256", 16, false, BARE_CBC, 3},
    {"aes-cbc", "hmac-sha512", 32, true, BARE_NONE, 0},
    {"aes-cbc", "aes-xcbc-mac", 16, true, BARE_NONE, 0},
    {"aes-ctr", "hmac-sha256", 20, true, BARE_CTR, 3},
    {"camellia-cbc", "hmac-sha256", 16, true, BARE_NONE, 0},
    {"twofish-cbc", "hmac-sha256", 16, true, BARE_NONE, 0},
    {"3des-cbc", "hmac-sha1", 24, true, BARE_NONE, 0},
    {"blowfish-cbc", "hmac-sha1", 16, true, BARE_NONE, 0},
    {"cast128-cbc", "hmac-ripemd160", 16, true, BARE_NONE, 0},
    {"null", "hmac-md5", 0, true, BARE_NONE, 0},
};

static uint8_t *pool;
static uint8_t key[64];

static uint8_t *
packet(unsigned i)
{
	return pool + (size_t)(i % POOL) * STRIDE;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- the bare library --------------------------------------------------------------- */

#ifdef TDO_HAVE_IPSECMB
static IMB_MGR *mgr;
static struct gcm_key_data gcm128, gcm256;
static _Alignas(64) uint32_t aes_enc[60], aes_dec[60];
static _Alignas(64) uint8_t ipad[64], opad[64];

static void
bare_init(void)
{
	mgr = alloc_mb_mgr(0);
	if (mgr == NULL)
		exit(1);
	init_mb_mgr_auto(mgr, NULL);
	IMB_AES128_GCM_PRE(mgr, key, &gcm128);
	IMB_AES256_GCM_PRE(mgr, key, &gcm256);
	IMB_AES_KEYEXP_128(mgr, key, aes_enc, aes_dec);
	/* Any digest state takes the same time. */
	memcpy(ipad, key, sizeof(ipad));
	memcpy(opad, key, sizeof(opad));
}

static void
bare_gcm(const struct algo *a, unsigned first, unsigned len)
{
	const struct gcm_key_data *k = a->ekey_len == 20 ? &gcm128 : &gcm256;
	aes_gcm_enc_dec_t run = a->encrypt ? mgr->gcm128_enc : mgr->gcm128_dec;
	struct gcm_context_data ctx;
	uint8_t tag[16];

	if (k == &gcm256)
		run = a->encrypt ? mgr->gcm256_enc : mgr->gcm256_dec;
	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *p = packet(first + i), *text = p + HDR + 8;

		run(k, &ctx, text, text, len, p, p, HDR, a->encrypt ? text + len : tag, 16);
	}
}

static void
bare_aead_job(const struct algo *a, IMB_JOB *j, const uint8_t *p, unsigned len)
{
	bool ccm = a->bare == BARE_CCM;

	j->cipher_mode = ccm ? IMB_CIPHER_CCM : IMB_CIPHER_CHACHA20_POLY1305;
	j->hash_alg = ccm ? IMB_AUTH_AES_CCM : IMB_AUTH_CHACHA20_POLY1305;
	j->chain_order = ccm ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
	j->key_len_in_bytes = ccm ? 16 : 32;
	j->iv_len_in_bytes = ccm ? 11 : 12;
	if (!ccm)
		j->enc_keys = j->dec_keys = key;
	j->hash_start_src_offset_in_bytes = HDR + 8;
	j->msg_len_to_hash_in_bytes = len;
	if (ccm) {
		j->u.CCM.aad = p;
		j->u.CCM.aad_len_in_bytes = HDR;
	} else {
		j->u.CHACHA20_POLY1305.aad = p;
		j->u.CHACHA20_POLY1305.aad_len_in_bytes = HDR;
	}
}

static void
bare_chain_job(const struct algo *a, IMB_JOB *j, unsigned head, unsigned len)
{
	bool ctr = a->bare == BARE_CTR;

	j->cipher_mode = ctr ? IMB_CIPHER_CNTR : IMB_CIPHER_CBC;
	j->chain_order = a->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->key_len_in_bytes = 16;
	j->iv_len_in_bytes = ctr ? 12 : 16;
	j->hash_alg = (IMB_HASH_ALG)a->hash;
	j->hash_start_src_offset_in_bytes = 0;
	j->msg_len_to_hash_in_bytes = head + len;
	j->u.HMAC._hashed_auth_key_xor_ipad = ipad;
	j->u.HMAC._hashed_auth_key_xor_opad = opad;
}

static void
bare_fill(const struct algo *a, IMB_JOB *j, uint8_t *p, unsigned len, uint8_t *tag)
{
	unsigned head = HDR + (a->bare == BARE_CBC ? 16 : 8);

	j->cipher_direction = a->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->enc_keys = aes_enc;
	j->dec_keys = aes_dec;
	j->src = p;
	j->dst = p + head;
	j->iv = p + HDR;
	j->cipher_start_src_offset_in_bytes = head;
	j->msg_len_to_cipher_in_bytes = len;
	j->auth_tag_output = a->encrypt ? p + head + len : tag;
	j->auth_tag_output_len_in_bytes = a->hash == IMB_AUTH_HMAC_SHA_1 ? 12 : 16;
	if (a->auth)
		bare_chain_job(a, j, head, len);
	else
		bare_aead_job(a, j, p, len);
}

/* All through the cipher and all through the MAC. */
static void
bare_suite(const struct algo *a, unsigned first, unsigned len)
{
	IMB_JOB job[BURST];
	uint8_t tag[BURST][16];

	for (unsigned i = 0; i < BURST; i++)
		bare_fill(a, &job[i], packet(first + i), len, tag[i]);
	if (!a->encrypt)
		IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, job, BURST, job->hash_alg);
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(
	    mgr, job, BURST, job->cipher_mode, job->cipher_direction, IMB_KEY_128_BYTES);
	if (a->encrypt)
		IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, job, BURST, job->hash_alg);
}

static void
bare_jobs(const struct algo *a, unsigned first, unsigned len)
{
	IMB_JOB *job[BURST];
	uint8_t tag[BURST][16];

	if (IMB_GET_NEXT_BURST(mgr, BURST, job) != BURST)
		exit(1);
	for (unsigned i = 0; i < BURST; i++) {
		bare_fill(a, job[i], packet(first + i), len, tag[i]);
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
		imb_set_session(mgr, job[i]);
#endif
	}
	IMB_SUBMIT_BURST_NOCHECK(mgr, BURST, job);
	while (IMB_FLUSH_BURST(mgr, BURST, job) > 0)
		;
}

static bool
bare(const struct algo *a, unsigned first, unsigned len)
{
	if (a->bare == BARE_GCM)
		bare_gcm(a, first, len);
	else if (a->bare == BARE_CBC || a->bare == BARE_CTR)
		bare_suite(a, first, len);
	else if (a->bare != BARE_NONE)
		bare_jobs(a, first, len);
	return a->bare != BARE_NONE;
}
#else
static void
bare_init(void)
{
}

static bool
bare(const struct algo *a, unsigned first, unsigned len)
{
	(void)a;
	(void)first;
	(void)len;
	return false;
}
#endif

/* ---- sessions ----------------------------------------------------------------------- */

static long live; /* bytes: of the engine's allocator and of OpenSSL's */

static void *
count_alloc(void *ctx, size_t size)
{
	live += (long)size;
	return test_mem_alloc(ctx, size);
}

static void
count_free(void *ctx, void *p, size_t size)
{
	live -= (long)size;
	test_mem_free(ctx, p, size);
}

/* A block starts with its size. */
static void *
ossl_realloc(void *p, size_t size, const char *file, int line)
{
	size_t *b = p ? (size_t *)p - 2 : NULL, old = b ? *b : 0;

	(void)file;
	(void)line;
	b = realloc(b, size + 2 * sizeof(*b));
	if (b == NULL)
		return NULL;
	live += (long)size - (long)old;
	*b = size;
	return b + 2;
}

static void *
ossl_malloc(size_t size, const char *file, int line)
{
	return ossl_realloc(NULL, size, file, line);
}

static void
ossl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p == NULL)
		return;
	live -= (long)((size_t *)p)[-2];
	free((size_t *)p - 2);
}

/* NULL when this build lacks the driver. */
static struct tdo_crypto *
make_crypto(const char *only)
{
	struct tdo_crypto_config cfg = {
	    .mem = {count_alloc, count_free, NULL}, .nworkers = 1, .only = only};
	struct tdo_crypto *c = NULL;

	return tdo_crypto_new(&cfg, &c) == 0 ? c : NULL;
}

/* NULL when the driver lacks the algorithm. */
static struct tdo_session *
make_session(struct tdo_crypto *c, const struct algo *a, bool encrypt, struct tdo_session *twin)
{
	struct tdo_session_param p = {
	    .enc = tdo_alg_enc_by_name(a->enc),
	    .auth = a->auth ? tdo_alg_auth_by_name(a->auth) : NULL,
	    .ekey = key,
	    .akey = key,
	    .ekey_len = (uint16_t)a->ekey_len,
	    .encrypt = encrypt,
	    .twin = twin,
	};
	struct tdo_session *s = NULL;

	p.akey_len = p.auth ? p.auth->key_min / 8 : 0;
	return c && tdo_session_new(c, &p, &s) == 0 ? s : NULL;
}

static void
through_session(struct tdo_session *s, unsigned first, unsigned len)
{
	struct tdo_op op[BURST];

	for (unsigned i = 0; i < BURST; i++)
		op[i] = (struct tdo_op){.data = packet(first + i), .hdr_len = HDR, .text_len = len};
	tdo_session_process(s, 0, op, BURST);
}

/* Each packet is of the next of n sessions. */
static void
through_turns(struct tdo_session *const *s, unsigned n, unsigned first, unsigned len)
{
	struct tdo_op op[BURST];

	for (unsigned i = 0; i < BURST; i++)
		op[i] = (struct tdo_op){.data = packet(first + i),
		    .hdr_len = HDR,
		    .text_len = len,
		    .session = s[(first + i) % n]};
	tdo_crypto_process(0, op, BURST);
}

/* ---- rounds ------------------------------------------------------------------------- */

/* Nanoseconds per packet of one variant (NULL: the bare calls) over about 0.8 ms; 0: none. */
static double
measure(struct tdo_session *s, const struct algo *a, unsigned len)
{
	double start = now(), end;
	unsigned n = 0;

	do {
		for (unsigned k = 0; k < 4; k++, n += BURST) {
			if (s)
				through_session(s, n, len);
			else if (!bare(a, n, len))
				return 0;
		}
		end = now();
	} while (end - start < 8e5);
	return (end - start) / n;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* A column; "-" for what was not measured. */
static void
print_number(double v, int width, int digits)
{
	if (v > 0)
		printf(" %*.*f", width, digits, v);
	else
		printf(" %*s", width, "-");
}

static void
print_names(const struct algo *a)
{
	const struct tdo_alg *enc = tdo_alg_enc_by_name(a->enc);

	printf("%-17s %-14s %4u %-3s", a->enc, a->auth ? a->auth : "-",
	    (a->ekey_len - enc->salt_len) * 8, a->encrypt ? "enc" : "dec");
}

static void
run(const struct algo *a, struct tdo_session *s, struct tdo_session *const *other, unsigned size,
    unsigned rounds)
{
	static double fast[ROUNDS_MAX], direct[ROUNDS_MAX], ratio[ROUNDS_MAX];
	static double slow[OTHERS][ROUNDS_MAX];
	unsigned len = a->auth ? (size + 15) & ~15u : size;

	for (unsigned r = 0; r < rounds; r++) {
		direct[r] = measure(NULL, a, len);
		fast[r] = measure(s, a, len);
		ratio[r] = direct[r] > 0 ? fast[r] / direct[r] : 0;
		/* These do not decrypt what fails the MAC: nothing to compare. */
		for (unsigned k = 0; k < OTHERS; k++)
			slow[k][r] = (a->auth && !a->encrypt) || other[k] == NULL
					 ? 0
					 : measure(other[k], a, len);
	}
	print_names(a);
	printf(" %5u %-8s", size, tdo_session_driver(s));
	print_number(median(fast, rounds), 9, 1);
	print_number(median(direct, rounds), 9, 1);
	print_number(median(ratio, rounds), 7, 3);
	for (unsigned k = 0; k < OTHERS; k++)
		print_number(median(slow[k], rounds), 9, 1);
	printf("\n");
}

static void
run_all(struct tdo_crypto *c, struct tdo_crypto *const *other, unsigned rounds, unsigned only)
{
	printf("# ns per packet, bursts of %d; bare: ipsec-mb's own calls\n", BURST);
	printf("%-17s %-14s %4s %-3s %5s %-8s %9s %9s %7s %9s %9s\n", "enc", "auth", "bits", "dir",
	    "bytes", "driver", "session", "bare", "ratio", others[0], others[1]);
	for (unsigned i = 0; i < sizeof(algos) / sizeof(algos[0]); i++) {
		const struct algo *a = &algos[i];
		struct tdo_session *s = make_session(c, a, a->encrypt, NULL), *o[OTHERS];

		if (s == NULL)
			continue;
		for (unsigned k = 0; k < OTHERS; k++)
			o[k] = make_session(other[k], a, a->encrypt, NULL);
		for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			if (only == 0 || only == sizes[k])
				run(a, s, o, sizes[k], rounds);
		for (unsigned k = 0; k < OTHERS; k++)
			tdo_session_free(o[k]);
		tdo_session_free(s);
	}
}

/* ---- sessions by turns -------------------------------------------------------------- */

/* Nanoseconds per packet over about 0.4 ms. */
static double
measure_turns(struct tdo_session *const *s, unsigned sas, unsigned len)
{
	double start = now(), end;
	unsigned n = 0;

	do {
		for (unsigned k = 0; k < 4; k++, n += BURST)
			through_turns(s, sas, n, len);
		end = now();
	} while (end - start < 4e5);
	return (end - start) / n;
}

static void
run_turns(const struct algo *a, struct tdo_session *const *s, unsigned size, unsigned rounds)
{
	static const unsigned sas[] = {1, 2, SAS};
	static double t[3][ROUNDS_MAX];
	unsigned len = a->auth ? (size + 15) & ~15u : size;
	double one;

	for (unsigned r = 0; r < rounds; r++)
		for (unsigned k = 0; k < 3; k++)
			t[k][r] = measure_turns(s, sas[k], len);
	one = median(t[0], rounds);
	print_names(a);
	printf(" %5u %9.1f", size, one);
	for (unsigned k = 1; k < 3; k++)
		printf(" %9.1f %+6.1f", median(t[k], rounds), median(t[k], rounds) - one);
	printf("\n");
}

/* All of them by the driver that comes first. */
static bool
make_sessions(struct tdo_crypto *c, const struct algo *a, struct tdo_session **ret)
{
	for (unsigned i = 0; i < SAS; i++) {
		key[0] = (uint8_t)i;
		ret[i] = make_session(c, a, a->encrypt, NULL);
		if (ret[i] == NULL)
			return false;
	}
	return strcmp(tdo_session_driver(ret[0]), tdo_crypto_driver_at(c, 0)) == 0;
}

static void
all_turns(struct tdo_crypto *c, unsigned rounds, unsigned only)
{
	printf("# ns per packet, bursts of %d, packets of 1, 2 and %d SAs by turns\n", BURST, SAS);
	printf("%-17s %-14s %4s %-3s %5s %9s %9s %6s %9s %6s\n", "enc", "auth", "bits", "dir",
	    "bytes", "1", "2", "more", "all", "more");
	for (unsigned i = 0; i < 2 * sizeof(algos) / sizeof(algos[0]); i++) {
		struct tdo_session *s[SAS] = {NULL};
		struct algo a = algos[i / 2];
		bool twice = !a.encrypt;

		a.encrypt = i % 2 == 0;
		if (!twice && make_sessions(c, &a, s))
			for (unsigned k = 0; sizes[k] < 9000; k++)
				if (only == 0 || only == sizes[k])
					run_turns(&a, s, sizes[k], rounds);
		for (unsigned k = 0; k < SAS; k++)
			tdo_session_free(s[k]);
	}
}

/* ---- memory ------------------------------------------------------------------------- */

/* Bytes of the two sessions of an SA, with or without sharing; 0: the driver cannot. */
static long
pair_size(struct tdo_crypto *c, const struct algo *a, bool share)
{
	long before = live, bytes;
	struct tdo_session *s = make_session(c, a, true, NULL), *twin;

	if (s == NULL)
		return 0;
	twin = make_session(c, a, false, share ? s : NULL);
	bytes = live - before;
	tdo_session_free(twin);
	tdo_session_free(s);
	return bytes;
}

static void
print_memory(struct tdo_crypto *c, struct tdo_crypto *const *other)
{
	printf("\n# bytes for both sessions of an SA, 1 worker; in brackets: with keys of their "
	       "own\n");
	printf("%-17s %-14s %4s %-3s %15s %15s %15s\n", "enc", "auth", "bits", "", "first driver",
	    others[0], others[1]);
	for (unsigned i = 0; i < sizeof(algos) / sizeof(algos[0]); i++) {
		struct tdo_crypto *const list[] = {c, other[0], other[1]};

		if (!algos[i].encrypt)
			continue;
		print_names(&algos[i]);
		for (unsigned k = 0; k < 3; k++)
			printf("   %5ld (%5ld)", pair_size(list[k], &algos[i], true),
			    pair_size(list[k], &algos[i], false));
		printf("\n");
	}
}

int
main(int argc, char **argv)
{
	bool turns = argc > 1 && strcmp(argv[1], "turns") == 0;
	char **arg = argv + 1 + turns, **end = argv + argc;
	unsigned rounds = arg < end ? (unsigned)atoi(arg[0]) : 41;
	unsigned only = arg + 1 < end ? (unsigned)atoi(arg[1]) : 0;
	struct tdo_crypto *c, *other[OTHERS];

	if (CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free) != 1)
		return 1;
	if (rounds == 0 || rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	pool = calloc(POOL, STRIDE);
	if (pool == NULL)
		return 1;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(7 * i + 1);
	bare_init();
	c = make_crypto(NULL);
	for (unsigned k = 0; k < OTHERS; k++)
		other[k] = make_crypto(others[k]);
	if (c == NULL)
		return 1;
	if (turns) {
		all_turns(c, rounds, only);
	} else {
		run_all(c, other, rounds, only);
		print_memory(c, other);
	}
	tdo_crypto_free(c);
	for (unsigned k = 0; k < OTHERS; k++)
		tdo_crypto_free(other[k]);
	free(pool);
	return 0;
}
