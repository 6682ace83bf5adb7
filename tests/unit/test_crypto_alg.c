/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of algorithms: names, numbers, every legal and illegal key length, levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "testudo/crypto.h"

enum { NAMES = 2, BITS = 4 };

/* Independent of the table under test; lengths are listed, or go from..to in steps. */
static const struct expected {
	const char *name[NAMES];
	uint8_t pfkey, salt, iv, block, icv;
	uint16_t bits[BITS];
	uint16_t step; /* bits[0] to bits[1] */
	uint8_t level; /* enum tdo_alg_level */
} enc[] = {
    {{"aes-gcm-16"}, 20, 4, 8, 1, 16, {160, 224, 288}, 0, TDO_LEVEL_MUST},
    {{"aes-gcm-12"}, 19, 4, 8, 1, 12, {160, 224, 288}, 0, TDO_LEVEL_MAY},
    {{"aes-gcm-8"}, 18, 4, 8, 1, 8, {160, 224, 288}, 0, TDO_LEVEL_MAY},
    {{"aes-gcm-16-iiv"}, 30, 4, 0, 1, 16, {160, 224, 288}, 0, TDO_LEVEL_MAY},
    {{"aes-ccm-16"}, 16, 3, 8, 1, 16, {152, 216, 280}, 0, TDO_LEVEL_MAY},
    {{"aes-ccm-12"}, 25, 3, 8, 1, 12, {152, 216, 280}, 0, TDO_LEVEL_MAY},
    {{"aes-ccm-8"}, 14, 3, 8, 1, 8, {152, 216, 280}, 0, TDO_LEVEL_SHOULD},
    {{"aes-ccm-8-iiv"}, 29, 3, 0, 1, 8, {152, 216, 280}, 0, TDO_LEVEL_MAY},
    {{"chacha20-poly1305"}, 15, 4, 8, 1, 16, {288}, 0, TDO_LEVEL_SHOULD},
    {{"chacha20-poly1305-iiv"}, 31, 4, 0, 1, 16, {288}, 0, TDO_LEVEL_MAY},
    {{"aes-gmac"}, 23, 4, 8, 1, 16, {160, 224, 288}, 0, TDO_LEVEL_MAY},
    {{"aes-ctr"}, 13, 4, 8, 1, 0, {160, 224, 288}, 0, TDO_LEVEL_MAY},
    {{"aes-cbc", "rijndael-cbc"}, 12, 0, 16, 16, 0, {128, 192, 256}, 0, TDO_LEVEL_MUST},
    {{"camellia-cbc"}, 22, 0, 16, 16, 0, {128, 192, 256}, 0, TDO_LEVEL_MAY},
    {{"twofish-cbc"}, 253, 0, 16, 16, 0, {128, 192, 256}, 0, TDO_LEVEL_MAY},
    {{"3des-cbc"}, 3, 0, 8, 8, 0, {192}, 0, TDO_LEVEL_SHOULD_NOT},
    {{"des-cbc"}, 2, 0, 8, 8, 0, {64}, 0, TDO_LEVEL_MUST_NOT},
    {{"cast128-cbc"}, 6, 0, 8, 8, 0, {40, 128}, 8, TDO_LEVEL_MUST_NOT},
    {{"blowfish-cbc"}, 7, 0, 8, 8, 0, {40, 448}, 8, TDO_LEVEL_MUST_NOT},
    {{"null", "simple"}, 11, 0, 0, 1, 0, {0}, 0, TDO_LEVEL_MUST},
};

static const struct expected auth[] = {
    {{"hmac-md5"}, 2, 0, 0, 1, 12, {128}, 0, TDO_LEVEL_MUST_NOT},
    {{"hmac-sha1"}, 3, 0, 0, 1, 12, {160}, 0, TDO_LEVEL_MUST},
    {{"hmac-sha256", "hmac-sha2-256"}, 5, 0, 0, 1, 16, {256}, 0, TDO_LEVEL_MUST},
    {{"hmac-sha384", "hmac-sha2-384"}, 6, 0, 0, 1, 24, {384}, 0, TDO_LEVEL_MAY},
    {{"hmac-sha512", "hmac-sha2-512"}, 7, 0, 0, 1, 32, {512}, 0, TDO_LEVEL_SHOULD},
    {{"hmac-ripemd160"}, 8, 0, 0, 1, 12, {160}, 0, TDO_LEVEL_MAY},
    {{"aes-xcbc-mac"}, 9, 0, 0, 1, 12, {128}, 0, TDO_LEVEL_SHOULD},
    {{"aes-cmac"}, 247, 0, 0, 1, 12, {128}, 0, TDO_LEVEL_MAY},
    {{"hmac-sha256-96", "hmac-sha2-256-96"}, 248, 0, 0, 1, 12, {256}, 0, TDO_LEVEL_MAY},
    {{"keyed-md5", "md5"}, 249, 0, 0, 1, 12, {128}, 0, TDO_LEVEL_MUST_NOT},
    {{"keyed-sha1", "sha"}, 250, 0, 0, 1, 12, {160}, 0, TDO_LEVEL_MUST_NOT},
    {{"aes-128-gmac"}, 11, 4, 8, 1, 16, {160}, 0, TDO_LEVEL_MAY},
    {{"aes-192-gmac"}, 12, 4, 8, 1, 16, {224}, 0, TDO_LEVEL_MAY},
    {{"aes-256-gmac"}, 13, 4, 8, 1, 16, {288}, 0, TDO_LEVEL_MAY},
    {{"null"}, 251, 0, 0, 1, 12, {0}, 0, TDO_LEVEL_MUST_NOT},
};

enum { NENC = sizeof(enc) / sizeof(enc[0]), NAUTH = sizeof(auth) / sizeof(auth[0]) };

static bool
legal(const struct expected *x, unsigned bits)
{
	if (x->step)
		return bits >= x->bits[0] && bits <= x->bits[1] && bits % x->step == 0;
	if (x->bits[0] == 0)
		return bits == 0;
	for (unsigned i = 0; i < BITS; i++)
		if (x->bits[i] == bits && bits != 0)
			return true;
	return false;
}

static void
check_row(const struct tdo_alg *a, const struct expected *x)
{
	assert_non_null(a);
	assert_string_equal(a->name, x->name[0]);
	assert_int_equal(a->pfkey, x->pfkey);
	assert_int_equal(a->salt_len, x->salt);
	assert_int_equal(a->iv_len, x->iv);
	assert_int_equal(a->block, x->block);
	assert_int_equal(a->icv_len, x->icv);
	assert_int_equal(a->level, x->level);
	assert_int_equal(tdo_alg_weak(a), x->level >= TDO_LEVEL_SHOULD_NOT);
	for (unsigned bits = 0; bits <= 4096; bits++)
		assert_int_equal(tdo_alg_keylen_ok(a, bits), legal(x, bits));
	assert_false(tdo_alg_keylen_ok(a, 0xffffffffu));
}

static void
table_has_names_numbers_and_lengths(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NENC; i++) {
		const struct tdo_alg *a = tdo_alg_enc(enc[i].pfkey);

		check_row(a, &enc[i]);
		assert_int_not_equal(a->kind, TDO_ALG_AUTH);
		assert_int_equal(a->kind == TDO_ALG_AEAD, a->icv_len != 0);
		for (unsigned k = 0; k < NAMES && enc[i].name[k]; k++)
			assert_ptr_equal(tdo_alg_enc_by_name(enc[i].name[k]), a);
	}
	for (unsigned i = 0; i < NAUTH; i++) {
		const struct tdo_alg *a = tdo_alg_auth(auth[i].pfkey);

		check_row(a, &auth[i]);
		assert_int_equal(a->kind, TDO_ALG_AUTH);
		for (unsigned k = 0; k < NAMES && auth[i].name[k]; k++)
			assert_ptr_equal(tdo_alg_auth_by_name(auth[i].name[k]), a);
	}
}

/* Nothing is in the table that is not in the lists above, and no number or name is double. */
static void
table_has_nothing_else(void **state)
{
	const struct tdo_alg *a, *b;
	unsigned n = 0;

	(void)state;
	for (; (a = tdo_alg_at(n)) != NULL; n++) {
		bool is_auth = a->kind == TDO_ALG_AUTH;

		for (unsigned k = 0; k < n; k++) {
			b = tdo_alg_at(k);
			if ((b->kind == TDO_ALG_AUTH) != is_auth)
				continue;
			assert_int_not_equal(a->pfkey, b->pfkey);
			assert_string_not_equal(a->name, b->name);
		}
		assert_ptr_equal(is_auth ? tdo_alg_auth(a->pfkey) : tdo_alg_enc(a->pfkey), a);
	}
	assert_int_equal(n, NENC + NAUTH);
	assert_null(tdo_alg_at(n + 1));
}

static void
unknown_algorithms_are_not_found(void **state)
{
	static const char *const no[] = {"", " ", "AES-CBC", "aes", "rijndael-cbc ", "des-deriv",
	    "des-32iv", "skipjack", "tcp-md5", "aes-gcm", "aes-gcm-16 "};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		assert_null(tdo_alg_enc_by_name(no[i]));
		assert_null(tdo_alg_auth_by_name(no[i]));
	}
	assert_null(tdo_alg_enc_by_name("hmac-sha1"));
	assert_null(tdo_alg_auth_by_name("aes-cbc"));
	assert_null(tdo_alg_enc(0));
	assert_null(tdo_alg_enc(1));
	assert_null(tdo_alg_auth(0));
	assert_null(tdo_alg_auth(20));
	assert_null(tdo_alg_auth(252));
}

/* RFC 8750 and RFC 3686: where nonces come from; what hides nothing, what proves nothing. */
static void
flags_say_what_an_algorithm_does_not_do(void **state)
{
	const struct tdo_alg *a;

	(void)state;
	for (unsigned i = 0; (a = tdo_alg_at(i)) != NULL; i++) {
		bool nonce = a->salt_len != 0;

		assert_int_equal(a->implicit_iv, strstr(a->name, "-iiv") != NULL);
		assert_int_equal(a->iv_counter, nonce && !a->implicit_iv);
		if (a->kind == TDO_ALG_AUTH) {
			assert_int_equal(a->no_auth, strcmp(a->name, "null") == 0);
			assert_false(a->clear);
		} else {
			assert_int_equal(a->clear,
			    strcmp(a->name, "null") == 0 || strcmp(a->name, "aes-gmac") == 0);
			assert_false(a->no_auth);
		}
	}
}

/* des-deriv and des-32iv: known to who asks for it, and to nobody else. */
static void
half_iv_is_in_no_list(void **state)
{
	const struct tdo_alg *h = tdo_alg_half_iv(), *des = tdo_alg_enc_by_name("des-cbc"), *a;

	(void)state;
	assert_ptr_not_equal(h, des);
	assert_int_equal(h->iv_len, 0);
	assert_int_equal(h->block, 8);
	assert_int_equal(h->kind, TDO_ALG_ENC);
	assert_true(tdo_alg_weak(h));
	for (unsigned bits = 0; bits < 300; bits++)
		assert_int_equal(tdo_alg_keylen_ok(h, bits), bits == 64);
	for (unsigned i = 0; (a = tdo_alg_at(i)) != NULL; i++)
		assert_ptr_not_equal(a, h);
	assert_null(tdo_alg_enc(h->pfkey));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table_has_names_numbers_and_lengths),
	    cmocka_unit_test(table_has_nothing_else),
	    cmocka_unit_test(unknown_algorithms_are_not_found),
	    cmocka_unit_test(flags_say_what_an_algorithm_does_not_do),
	    cmocka_unit_test(half_iv_is_in_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
