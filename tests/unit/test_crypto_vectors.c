/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Published test vectors, each over every driver that supports its algorithms.
 *
 * A block of a file: enc and auth are our names, ekey and akey key material with the salt at
 * the end, header, iv and plain what is in front of the packet's ICV, cipher and icv the
 * answer, esn the high half of the sequence number.  "result = invalid" says that the answer
 * must be refused, or a key with an illegal length.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "testudo/crypto.h"
#include "vector_reader.h"

enum {
	FIELD_MAX = 8192,
	KEY_MAX = 128,
	HEAD_MAX = 1024, /* header and IV */
	ICV_MAX = 64,
	PACKET_MAX = HEAD_MAX + FIELD_MAX + ICV_MAX + 1,
	BURST = 32,
	VECTORS_MAX = 1024,
	FLIP_ALL = 192, /* bytes up to which each is damaged */
};

struct vector {
	struct tdo_session_param p;
	uint8_t ekey[KEY_MAX], akey[KEY_MAX];
	uint8_t head[HEAD_MAX], plain[FIELD_MAX], cipher[FIELD_MAX], icv[ICV_MAX];
	uint32_t hdr_len, head_len, text_len, icv_len, esn;
	bool invalid;
};

/* ---- the file ----------------------------------------------------------------------- */

static const struct tdo_alg *
alg_field(const struct vector_reader *r, const char *field,
    const struct tdo_alg *(*by_name)(const char *))
{
	const char *name = vector_text(r, field);
	const struct tdo_alg *a = name ? by_name(name) : NULL;

	if (name && a == NULL)
		fail_msg("%s:%u: no algorithm %s", r->path, r->first, name);
	return a;
}

/* The row without a name of its own: DES with a half IV is "des-cbc-half". */
static const struct tdo_alg *
enc_by_name(const char *name)
{
	return strcmp(name, "des-cbc-half") == 0 ? tdo_alg_half_iv() : tdo_alg_enc_by_name(name);
}

static bool
key_legal(const struct tdo_alg *a, unsigned len)
{
	return a == NULL ? len == 0 : tdo_alg_keylen_ok(a, len * 8);
}

static void
load_text(const struct vector_reader *r, struct vector *v)
{
	size_t plain_len = vector_hex(r, "plain", v->plain, FIELD_MAX);

	v->text_len = (uint32_t)plain_len;
	memcpy(v->cipher, v->plain, plain_len);
	if (v->p.enc)
		v->text_len = (uint32_t)vector_hex(r, "cipher", v->cipher, FIELD_MAX);
	/* What nobody can decrypt has no plaintext. */
	if (!v->invalid || plain_len > 0)
		assert_int_equal(plain_len, v->text_len);
	v->icv_len = (uint32_t)vector_hex(r, "icv", v->icv, sizeof(v->icv));
	if (v->p.auth || v->p.enc->kind == TDO_ALG_AEAD)
		assert_true(v->invalid || v->icv_len > 0);
}

static void
load(const struct vector_reader *r, struct vector *v)
{
	const char *result = vector_text(r, "result");
	uint8_t esn[4] = {0};
	size_t n;

	memset(v, 0, sizeof(*v));
	v->invalid = result && strcmp(result, "invalid") == 0;
	assert_true(result == NULL || v->invalid);
	v->p.enc = alg_field(r, "enc", enc_by_name);
	v->p.auth = alg_field(r, "auth", tdo_alg_auth_by_name);
	v->p.ekey = v->ekey;
	v->p.akey = v->akey;
	v->p.ekey_len = (uint16_t)vector_hex(r, "ekey", v->ekey, KEY_MAX);
	v->p.akey_len = (uint16_t)vector_hex(r, "akey", v->akey, KEY_MAX);
	v->p.esn = vector_hex(r, "esn", esn, sizeof(esn)) > 0;
	v->esn = (uint32_t)esn[0] << 24 | (uint32_t)esn[1] << 16 | (uint32_t)esn[2] << 8 | esn[3];
	v->hdr_len = (uint32_t)vector_hex(r, "header", v->head, HEAD_MAX - 16);
	n = vector_hex(r, "iv", v->head + v->hdr_len, 16);
	assert_int_equal(n, v->p.enc ? v->p.enc->iv_len : 0);
	v->head_len = v->hdr_len + (uint32_t)n;
	load_text(r, v);
	if (key_legal(v->p.enc, v->p.ekey_len) && key_legal(v->p.auth, v->p.akey_len))
		assert_int_equal(v->icv_len, v->p.auth ? v->p.auth->icv_len : v->p.enc->icv_len);
}

/* ---- one vector, one driver --------------------------------------------------------- */

static uint8_t packet[BURST][PACKET_MAX];

/* Makes packet i the encrypted one; returns the operation on it. */
static struct tdo_op
fill(const struct vector *v, unsigned i)
{
	memset(packet[i], 0, v->head_len + v->text_len + v->icv_len + 1);
	memcpy(packet[i], v->head, v->head_len);
	memcpy(packet[i] + v->head_len, v->cipher, v->text_len);
	memcpy(packet[i] + v->head_len + v->text_len, v->icv, v->icv_len);
	return (struct tdo_op){packet[i], v->hdr_len, v->text_len, v->esn, TDO_OP_ERROR, NULL};
}

static void
run_encrypt(struct tdo_session *s, const struct vector *v)
{
	struct tdo_op op = fill(v, 0);
	const uint8_t *text = packet[0] + v->head_len;

	memcpy(packet[0] + v->head_len, v->plain, v->text_len);
	memset(packet[0] + v->head_len + v->text_len, 0, v->icv_len);
	tdo_session_process(s, 0, &op, 1);
	assert_int_equal(op.status, TDO_OP_OK);
	assert_memory_equal(packet[0], v->head, v->head_len);
	assert_memory_equal(text, v->cipher, v->text_len);
	assert_memory_equal(text + v->text_len, v->icv, v->icv_len);
	/* Nothing behind the packet was written. */
	assert_int_equal(text[v->text_len + v->icv_len], 0);
}

static uint8_t
run_decrypt(struct tdo_session *s, const struct vector *v)
{
	struct tdo_op op = fill(v, 0);

	tdo_session_process(s, 0, &op, 1);
	if (op.status == TDO_OP_OK && !v->invalid)
		assert_memory_equal(packet[0] + v->head_len, v->plain, v->text_len);
	return op.status;
}

/* With any byte of it wrong, the packet is refused; long ones have a sample of their bytes tried.
 */
static void
run_damaged(struct tdo_session *s, const struct vector *v)
{
	uint32_t total = v->head_len + v->text_len + v->icv_len;
	uint32_t step = total > FLIP_ALL ? total / FLIP_ALL + 1 : 1;
	struct tdo_op op[BURST];
	unsigned n = 0;

	for (uint32_t i = 0; i < total; i++) {
		if (i < v->head_len + v->text_len && i >= v->head_len && i % step != 0)
			continue;
		op[n] = fill(v, n);
		packet[n][i] ^= (uint8_t)(1U << i % 8);
		if (++n < BURST && i + 1 < total)
			continue;
		tdo_session_process(s, 0, op, n);
		while (n > 0)
			assert_int_equal(op[--n].status, TDO_OP_BAD_ICV);
	}
}

/* NULL when the driver does not do it, or when the key is refused, as it must be. */
static struct tdo_session *
session(struct tdo_crypto *c, struct vector *v, bool encrypt)
{
	struct tdo_session *s = NULL;
	int err;

	v->p.encrypt = encrypt;
	err = tdo_session_new(c, &v->p, &s);
	if (!key_legal(v->p.enc, v->p.ekey_len) || !key_legal(v->p.auth, v->p.akey_len))
		assert_int_equal(err, -EINVAL);
	else if (err != -EOPNOTSUPP)
		assert_int_equal(err, 0);
	return err ? NULL : s;
}

static void
run_valid(struct tdo_session *encrypt, struct tdo_session *decrypt, struct vector *v)
{
	run_encrypt(encrypt, v);
	assert_int_equal(run_decrypt(decrypt, v), TDO_OP_OK);
	if (v->icv_len > 0)
		run_damaged(decrypt, v);
	if (v->p.esn) {
		v->esn ^= 1;
		assert_int_equal(run_decrypt(decrypt, v), TDO_OP_BAD_ICV);
		v->esn ^= 1;
	}
}

/* Returns false when the driver does not do it. */
static bool
run_vector(struct tdo_crypto *c, struct vector *v)
{
	struct tdo_session *encrypt, *decrypt;
	bool done = true;

	if (!tdo_crypto_supports(c, v->p.enc, v->p.auth))
		return false;
	encrypt = session(c, v, true);
	decrypt = session(c, v, false);
	if (encrypt == NULL || decrypt == NULL)
		done = v->invalid;
	else if (v->invalid)
		assert_int_equal(run_decrypt(decrypt, v), TDO_OP_BAD_ICV);
	else
		run_valid(encrypt, decrypt, v);
	tdo_session_free(encrypt);
	tdo_session_free(decrypt);
	return done;
}

/* ---- files over drivers ------------------------------------------------------------- */

enum { NDRIVERS = 3 };

static const char *const drivers[NDRIVERS] = {"ipsec-mb", "openssl", "nettle"};

struct vector_file {
	const char *name;
	unsigned all;             /* vectors in the file */
	unsigned least[NDRIVERS]; /* of these, what each driver has at least */
	bool legacy;              /* OpenSSL has it with its legacy provider only */
};

static const struct vector_file files[] = {
    {"aes_cbc.txt", 10, {10, 10, 10}, false},
    {"aes_cmac.txt", 7, {7, 7, 7}, false},
    {"aes_ctr.txt", 9, {9, 9, 9}, false},
    {"aes_gcm.txt", 12, {12, 12, 12}, false},
    {"aes_gmac.txt", 1, {1, 1, 1}, false},
    {"aes_xcbc.txt", 7, {7, 7, 7}, false},
    {"blowfish_cbc.txt", 55, {0, 55, 55}, true},
    {"camellia_cbc.txt", 255, {0, 255, 255}, false},
    {"cast128_cbc.txt", 23, {0, 23, 23}, true},
    {"chacha20_poly1305.txt", 3, {3, 3, 3}, false},
    {"des3_cbc.txt", 3, {3, 3, 3}, false},
    {"des_cbc.txt", 8, {8, 8, 8}, true},
    {"des_half_iv.txt", 4, {4, 4, 4}, true},
    {"esp_computed.txt", 114, {78, 100, 114}, false},
    {"esp_gcm.txt", 16, {16, 16, 16}, false},
    {"hmac.txt", 17, {17, 17, 17}, false},
    {"hmac_ripemd160.txt", 4, {0, 4, 4}, false},
    {"hmac_sha2.txt", 20, {20, 20, 20}, false},
    {"keyed.txt", 32, {0, 32, 32}, false},
    {"nist_aes_cbc.txt", 139, {139, 139, 139}, false},
    {"nist_aes_ccm.txt", 30, {20, 30, 30}, false},
    {"nist_aes_cmac.txt", 132, {132, 132, 132}, false},
    {"nist_aes_gcm.txt", 450, {450, 450, 450}, false},
    {"nist_des3_cbc.txt", 40, {40, 40, 40}, false},
    {"nist_des_cbc.txt", 107, {107, 107, 107}, true},
    {"nist_hmac.txt", 45, {45, 45, 45}, false},
    {"twofish_cbc.txt", 74, {0, 0, 74}, false},
    {"wycheproof_aes_cbc_pkcs5.txt", 72, {72, 72, 72}, false},
    {"wycheproof_aes_ccm.txt", 18, {12, 18, 18}, false},
    {"wycheproof_aes_cmac.txt", 65, {65, 65, 65}, false},
    {"wycheproof_aes_gcm.txt", 197, {197, 197, 197}, false},
    {"wycheproof_camellia_cbc_pkcs5.txt", 72, {0, 72, 72}, false},
    {"wycheproof_chacha20_poly1305.txt", 316, {316, 316, 316}, false},
    {"wycheproof_hmac_sha1.txt", 48, {48, 48, 48}, false},
    {"wycheproof_hmac_sha256.txt", 106, {106, 106, 106}, false},
    {"wycheproof_hmac_sha384.txt", 106, {106, 106, 106}, false},
    {"wycheproof_hmac_sha512.txt", 106, {106, 106, 106}, false},
};

/* A driver may be missing on a machine, but one that is there has passed its self-test. */
static void
no_error(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	if (level == TDO_LOG_ERR)
		fail_msg("%s", text);
}

static struct tdo_crypto *
open_driver(const char *name)
{
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = 1, .log = no_error};
	struct tdo_crypto *c = NULL;
	int err;

	cfg.only = name;
	err = tdo_crypto_new(&cfg, &c);
	if (err) {
		assert_true(err == -ENOENT || err == -ELIBBAD);
		assert_string_not_equal(name, "openssl");
		print_message("# %s: not here\n", name);
	}
	return c;
}

/* Where the test is. */
static struct {
	const char *file, *driver;
	unsigned line;
} at;

/* After a test that failed, says with which vector. */
static int
say_where(void **state)
{
	(void)state;
	if (at.file)
		print_message("# %s:%u, driver %s\n", at.file, at.line, at.driver);
	at.file = NULL;
	return 0;
}

/* It is of an algorithm that this build does not have. */
static bool
is_absent(const struct vector *v)
{
	return (v->p.enc && v->p.enc->not_there) || (v->p.auth && v->p.auth->not_there);
}

/*
 * Runs the file over one driver; returns the number of vectors that it supports, marks them, and
 * those that cannot be.
 */
static unsigned
run_file(struct tdo_crypto *c, const struct vector_file *f, bool *done, unsigned *ret_absent)
{
	static struct vector v;
	struct vector_reader r;
	unsigned n = 0, all = 0;

	vector_open(&r, f->name);
	while (vector_next(&r)) {
		at.line = r.first;
		load(&r, &v);
		assert_true(all < f->all);
		if (run_vector(c, &v)) {
			assert_false(is_absent(&v));
			done[all] = true;
			n++;
		} else if (is_absent(&v)) {
			done[all] = true;
			(*ret_absent)++;
		}
		all++;
	}
	vector_close(&r);
	assert_int_equal(all, f->all);
	return n;
}

/* OpenSSL may be installed without its legacy provider. */
static bool
legacy_missing(const struct vector_file *f, const char *driver, unsigned n)
{
	return f->legacy && n == 0 && strcmp(driver, "openssl") == 0;
}

static void
file_over_all_drivers(void **state)
{
	const struct vector_file *f = *state;
	bool done[VECTORS_MAX] = {false};
	bool all_here = true;

	assert_true(f->all <= VECTORS_MAX);
	for (unsigned i = 0; i < NDRIVERS; i++) {
		struct tdo_crypto *c = open_driver(drivers[i]);
		unsigned n, absent = 0;

		if (c == NULL) {
			all_here = false;
			continue;
		}
		at.file = f->name;
		at.driver = drivers[i];
		n = run_file(c, f, done, &absent);
		print_message("# %s: %s: %u of %u\n", f->name, drivers[i], n, f->all);
		if (!legacy_missing(f, drivers[i], n))
			assert_true(n + absent >= f->least[i]);
		tdo_crypto_free(c);
	}
	/* Some driver has each vector. */
	for (unsigned i = 0; i < f->all; i++)
		assert_true(done[i] || !all_here);
	at.file = NULL;
}

int
main(void)
{
	struct CMUnitTest tests[sizeof(files) / sizeof(files[0])];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		tests[i] = (struct CMUnitTest){files[i].name, file_over_all_drivers, NULL,
		    say_where, (void *)(uintptr_t)&files[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
