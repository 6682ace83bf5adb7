/* SPDX-License-Identifier: BSD-2-Clause */
/* Published test vectors, each over every driver that supports its algorithms. */
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

#define FIELD_MAX 512

struct vector {
	struct tdo_session_param p;
	uint8_t ekey[64], akey[64];
	uint8_t head[64], plain[FIELD_MAX], cipher[FIELD_MAX], icv[32]; /* head: header and IV */
	uint32_t hdr_len, head_len, text_len, icv_len, esn;
};

static const struct tdo_alg *
enc_field(const struct vector_reader *r)
{
	const char *name = vector_text(r, "enc");
	const struct tdo_alg *a = name ? tdo_alg_enc_by_name(name) : NULL;

	assert_true(name == NULL || a != NULL);
	return a;
}

static const struct tdo_alg *
auth_field(const struct vector_reader *r)
{
	const char *name = vector_text(r, "auth");
	const struct tdo_alg *a = name ? tdo_alg_auth_by_name(name) : NULL;

	assert_true(name == NULL || a != NULL);
	return a;
}

static void
load(const struct vector_reader *r, struct vector *v)
{
	uint8_t esn[4] = {0};
	size_t n;

	memset(v, 0, sizeof(*v));
	v->p.enc = enc_field(r);
	v->p.auth = auth_field(r);
	v->p.ekey = v->ekey;
	v->p.akey = v->akey;
	v->p.ekey_len = (uint16_t)vector_hex(r, "ekey", v->ekey, sizeof(v->ekey));
	v->p.akey_len = (uint16_t)vector_hex(r, "akey", v->akey, sizeof(v->akey));
	v->p.esn = vector_hex(r, "esn", esn, sizeof(esn)) > 0;
	v->esn = (uint32_t)esn[0] << 24 | (uint32_t)esn[1] << 16 | (uint32_t)esn[2] << 8 | esn[3];
	v->hdr_len = (uint32_t)vector_hex(r, "header", v->head, 32);
	n = vector_hex(r, "iv", v->head + v->hdr_len, 32);
	assert_int_equal(n, v->p.enc ? v->p.enc->iv_len : 0);
	v->head_len = v->hdr_len + (uint32_t)n;
	v->text_len = (uint32_t)vector_hex(r, "plain", v->plain, FIELD_MAX);
	memcpy(v->cipher, v->plain, v->text_len);
	if (v->p.enc)
		assert_int_equal(vector_hex(r, "cipher", v->cipher, FIELD_MAX), v->text_len);
	v->icv_len = (uint32_t)vector_hex(r, "icv", v->icv, sizeof(v->icv));
	assert_int_equal(v->icv_len, v->p.auth ? v->p.auth->icv_len : v->p.enc->icv_len);
}

static void
run_encrypt(struct tdo_crypto *c, struct vector *v)
{
	uint8_t packet[2 * FIELD_MAX] = {0};
	struct tdo_op op = {packet, v->hdr_len, v->text_len, v->esn, TDO_OP_ERROR};
	struct tdo_session *s;

	v->p.encrypt = true;
	memcpy(packet, v->head, v->head_len);
	memcpy(packet + v->head_len, v->plain, v->text_len);
	assert_int_equal(tdo_session_new(c, &v->p, &s), 0);
	tdo_session_process(s, 0, &op, 1);
	tdo_session_free(s);
	assert_int_equal(op.status, TDO_OP_OK);
	assert_memory_equal(packet, v->head, v->head_len);
	assert_memory_equal(packet + v->head_len, v->cipher, v->text_len);
	assert_memory_equal(packet + v->head_len + v->text_len, v->icv, v->icv_len);
	/* Nothing behind the packet was written. */
	assert_int_equal(packet[v->head_len + v->text_len + v->icv_len], 0);
}

/* Decrypts the answer with bit number flip of the packet inverted, -1 for none. */
static uint8_t
run_decrypt(struct tdo_crypto *c, struct vector *v, int flip)
{
	uint8_t packet[2 * FIELD_MAX] = {0};
	struct tdo_op op = {packet, v->hdr_len, v->text_len, v->esn, TDO_OP_ERROR};
	struct tdo_session *s;

	v->p.encrypt = false;
	memcpy(packet, v->head, v->head_len);
	memcpy(packet + v->head_len, v->cipher, v->text_len);
	memcpy(packet + v->head_len + v->text_len, v->icv, v->icv_len);
	if (flip >= 0)
		packet[flip / 8] ^= (uint8_t)(1 << flip % 8);
	assert_int_equal(tdo_session_new(c, &v->p, &s), 0);
	tdo_session_process(s, 0, &op, 1);
	tdo_session_free(s);
	if (op.status == TDO_OP_OK && flip < 0)
		assert_memory_equal(packet + v->head_len, v->plain, v->text_len);
	return op.status;
}

/* The answer is accepted; with any byte of it wrong, it is not. */
static void
run_both(struct tdo_crypto *c, struct vector *v)
{
	uint32_t total = v->head_len + v->text_len + v->icv_len;

	run_encrypt(c, v);
	assert_int_equal(run_decrypt(c, v, -1), TDO_OP_OK);
	for (uint32_t i = 0; i < total && v->icv_len > 0; i++)
		assert_int_equal(run_decrypt(c, v, (int)(8 * i + i % 8)), TDO_OP_BAD_ICV);
	if (v->p.esn) {
		v->esn ^= 1;
		assert_int_equal(run_decrypt(c, v, -1), TDO_OP_BAD_ICV);
		v->esn ^= 1;
	}
}

/* Runs the file over one driver; returns the number of vectors that it supports. */
static unsigned
run_file(const char *driver, const char *file, unsigned *ret_all)
{
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = 1};
	struct vector_reader r;
	struct tdo_crypto *c;
	unsigned n = 0;

	cfg.only = driver;
	assert_int_equal(tdo_crypto_new(&cfg, &c), 0);
	*ret_all = 0;
	vector_open(&r, file);
	while (vector_next(&r)) {
		struct vector v;

		load(&r, &v);
		++*ret_all;
		if (!tdo_crypto_supports(c, v.p.enc, v.p.auth))
			continue;
		run_both(c, &v);
		n++;
	}
	vector_close(&r);
	tdo_crypto_free(c);
	return n;
}

static void
file_over_all_drivers(void **state)
{
	const char *file = *state;
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = 1};
	struct tdo_crypto *c;
	const char *driver;
	unsigned all = 0, most = 0;

	assert_int_equal(tdo_crypto_new(&cfg, &c), 0);
	for (unsigned i = 0; (driver = tdo_crypto_driver_at(c, i)) != NULL; i++) {
		unsigned n = run_file(driver, file, &all);

		most = n > most ? n : most;
		print_message("# %s: %s: %u of %u\n", file, driver, n, all);
	}
	assert_true(all > 0);
	/* Some driver has the algorithm, unless OpenSSL's legacy provider is missing. */
	if (strcmp(file, "blowfish_cbc.txt") != 0 ||
	    tdo_crypto_supports(c, tdo_alg_enc_by_name("blowfish-cbc"), NULL))
		assert_int_equal(most, all);
	tdo_crypto_free(c);
}

#define FILE_TEST(name)                                                                            \
	{                                                                                          \
		name, file_over_all_drivers, NULL, NULL, (void *)(uintptr_t)(name)                 \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FILE_TEST("aes_cbc.txt"),
	    FILE_TEST("aes_gcm.txt"),
	    FILE_TEST("esp_gcm.txt"),
	    FILE_TEST("des3_cbc.txt"),
	    FILE_TEST("blowfish_cbc.txt"),
	    FILE_TEST("hmac.txt"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
