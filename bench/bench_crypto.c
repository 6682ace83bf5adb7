/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the crypto layer costs: nanoseconds per packet through tdo_session_process(), with
 * the first driver and with OpenSSL, against the bare calls of the multi-buffer library.
 *
 * Bursts of 32 packets out of a pool of 256; the variants run in turn, round by round, and
 * the median of the rounds is printed, so that noise hits all of them alike; the ratio is the
 * median of the rounds' ratios.
 *
 *	bench_crypto [rounds]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mem.h"
#include "testudo/crypto.h"
#ifdef TDO_HAVE_IPSECMB
#include <intel-ipsec-mb.h>
#endif

enum { BURST = 32, POOL = 256, STRIDE = 9216 + 128, ROUNDS_MAX = 199, HDR = 8 };

static const unsigned sizes[] = {64, 576, 1420, 9000};

static const struct algo {
	const char *enc, *auth;
	unsigned ekey_len, akey_len, iv_len, icv_len;
	bool encrypt;
} algos[] = {
    {"aes-gcm-16", NULL, 20, 0, 8, 16, true},
    {"aes-gcm-16", NULL, 20, 0, 8, 16, false},
    {"aes-gcm-16", NULL, 36, 0, 8, 16, true},
    {"aes-cbc", "hmac-sha1", 16, 20, 16, 12, true},
    {"aes-cbc", "hmac-sha1", 16, 20, 16, 12, false},
    {"aes-cbc", "hmac-sha256", 16, 32, 16, 16, true},
    {"aes-cbc", "hmac-sha256", 16, 32, 16, 16, false},
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
		uint8_t *p = packet(first + i), *text = p + HDR + a->iv_len;

		run(k, &ctx, text, text, len, p, p, HDR, a->encrypt ? text + len : tag, 16);
	}
}

static void
bare_fill(const struct algo *a, IMB_JOB *j, uint8_t *p, unsigned len, uint8_t *tag)
{
	unsigned head = HDR + a->iv_len;

	j->cipher_mode = IMB_CIPHER_CBC;
	j->cipher_direction = a->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = a->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->enc_keys = aes_enc;
	j->dec_keys = aes_dec;
	j->key_len_in_bytes = 16;
	j->iv_len_in_bytes = 16;
	j->src = p;
	j->dst = p + head;
	j->iv = p + HDR;
	j->cipher_start_src_offset_in_bytes = head;
	j->hash_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = len;
	j->msg_len_to_hash_in_bytes = head + len;
	j->hash_alg = a->icv_len == 12 ? IMB_AUTH_HMAC_SHA_1 : IMB_AUTH_HMAC_SHA_256;
	j->u.HMAC._hashed_auth_key_xor_ipad = ipad;
	j->u.HMAC._hashed_auth_key_xor_opad = opad;
	j->auth_tag_output = a->encrypt ? p + head + len : tag;
	j->auth_tag_output_len_in_bytes = a->icv_len;
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	imb_set_session(mgr, j);
#endif
}

static void
bare_chain(const struct algo *a, unsigned first, unsigned len)
{
	IMB_JOB *job[BURST];
	uint8_t tag[BURST][16];

	if (IMB_GET_NEXT_BURST(mgr, BURST, job) != BURST)
		exit(1);
	for (unsigned i = 0; i < BURST; i++)
		bare_fill(a, job[i], packet(first + i), len, tag[i]);
	IMB_SUBMIT_BURST_NOCHECK(mgr, BURST, job);
	while (IMB_FLUSH_BURST(mgr, BURST, job) > 0)
		;
}

static bool
bare(const struct algo *a, unsigned first, unsigned len)
{
	if (a->auth)
		bare_chain(a, first, len);
	else
		bare_gcm(a, first, len);
	return true;
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

static struct tdo_crypto *
make_crypto(const char *only)
{
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = 1, .only = only};
	struct tdo_crypto *c;

	if (tdo_crypto_new(&cfg, &c) != 0)
		exit(1);
	return c;
}

static struct tdo_session *
make_session(struct tdo_crypto *c, const struct algo *a)
{
	struct tdo_session_param p = {
	    .enc = tdo_alg_enc_by_name(a->enc),
	    .auth = a->auth ? tdo_alg_auth_by_name(a->auth) : NULL,
	    .ekey = key,
	    .akey = key,
	    .ekey_len = (uint16_t)a->ekey_len,
	    .akey_len = (uint16_t)a->akey_len,
	    .encrypt = a->encrypt,
	};
	struct tdo_session *s;

	if (tdo_session_new(c, &p, &s) != 0)
		exit(1);
	return s;
}

static void
through_session(struct tdo_session *s, unsigned first, unsigned len)
{
	struct tdo_op op[BURST];

	for (unsigned i = 0; i < BURST; i++)
		op[i] = (struct tdo_op){.data = packet(first + i), .hdr_len = HDR, .text_len = len};
	tdo_session_process(s, 0, op, BURST);
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
run(const struct algo *a, struct tdo_session *s, struct tdo_session *ossl, unsigned size,
    unsigned rounds)
{
	double fast[ROUNDS_MAX], slow[ROUNDS_MAX], direct[ROUNDS_MAX], ratio[ROUNDS_MAX];
	unsigned len = a->auth ? (size + 15) & ~15u : size;

	for (unsigned r = 0; r < rounds; r++) {
		direct[r] = measure(NULL, a, len);
		fast[r] = measure(s, a, len);
		ratio[r] = direct[r] > 0 ? fast[r] / direct[r] : 0;
		/* OpenSSL's driver does not decrypt what fails the MAC: nothing to compare. */
		slow[r] = a->auth && !a->encrypt ? 0 : measure(ossl, a, len);
	}
	printf("%-10s %-11s %4u %-3s %5u", a->enc, a->auth ? a->auth : "-",
	    (a->ekey_len - (a->auth ? 0 : 4)) * 8, a->encrypt ? "enc" : "dec", size);
	print_number(median(fast, rounds), 9, 1);
	print_number(median(direct, rounds), 9, 1);
	print_number(median(ratio, rounds), 7, 3);
	print_number(median(slow, rounds), 9, 1);
	printf("\n");
}

int
main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 41;
	struct tdo_crypto *c, *ossl;

	if (rounds == 0 || rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	pool = calloc(POOL, STRIDE);
	if (pool == NULL)
		return 1;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(7 * i + 1);
	bare_init();
	c = make_crypto(NULL);
	ossl = make_crypto("openssl");
	printf("# ns per packet, bursts of %d; session: driver %s; bare: ipsec-mb's own calls\n",
	    BURST, tdo_crypto_driver_at(c, 0));
	printf("%-10s %-11s %4s %-3s %5s %9s %9s %7s %9s\n", "enc", "auth", "bits", "dir", "bytes",
	    "session", "bare", "ratio", "openssl");
	for (unsigned i = 0; i < sizeof(algos) / sizeof(algos[0]); i++) {
		struct tdo_session *s = make_session(c, &algos[i]);
		struct tdo_session *o = make_session(ossl, &algos[i]);

		for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			run(&algos[i], s, o, sizes[k], rounds);
		tdo_session_free(s);
		tdo_session_free(o);
	}
	tdo_crypto_free(c);
	tdo_crypto_free(ossl);
	free(pool);
	return 0;
}
