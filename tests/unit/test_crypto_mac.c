/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Authentication algorithms over every driver: the old ones work, and the new ones have ICVs
 * of the right length.  The message is "Hi There", the key bytes of 0x0b, as in test case 1
 * of RFC 2202, RFC 2286 and RFC 4868; the keyed hashes are computed with Python's hashlib.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "built.h"
#include "mem.h"
#include "testudo/crypto.h"

enum { HDR = 8, TAIL = 64 };

static uint8_t key[64];

static struct tdo_crypto *
crypto(const char *only)
{
	struct tdo_crypto_config cfg = {.mem = TEST_MEM, .nworkers = 1, .only = only};
	struct tdo_crypto *c;

	assert_int_equal(tdo_crypto_new(&cfg, &c), 0);
	return c;
}

/* Runs one direction over the message and what follows it. */
static uint8_t
run(struct tdo_crypto *c, const struct tdo_alg *auth, bool encrypt, uint8_t message[HDR + TAIL])
{
	struct tdo_session_param p = {
	    .auth = auth, .akey = key, .akey_len = auth->key_min / 8, .encrypt = encrypt};
	struct tdo_op op = {.data = message, .hdr_len = HDR, .status = TDO_OP_ERROR};
	struct tdo_session *s;

	assert_int_equal(tdo_session_new(c, &p, &s), 0);
	tdo_session_process(s, 0, &op, 1);
	tdo_session_free(s);
	return op.status;
}

static void
message_init(uint8_t message[HDR + TAIL])
{
	memset(message, 0xee, HDR + TAIL);
	memcpy(message, "Hi There", HDR);
}

/* The ICV is the first len bytes of this and not a byte more; all of it is compared. */
static void
check_icv(struct tdo_crypto *c, const struct tdo_alg *auth, const char *icv, unsigned len)
{
	uint8_t message[HDR + TAIL], rest[TAIL];

	memset(rest, 0xee, sizeof(rest));
	message_init(message);
	assert_int_equal(auth->icv_len, len);
	assert_int_equal(run(c, auth, true, message), TDO_OP_OK);
	assert_memory_equal(message + HDR, icv, len);
	assert_memory_equal(message + HDR + len, rest, TAIL - len);
	assert_int_equal(run(c, auth, false, message), TDO_OP_OK);
	for (unsigned i = 0; i < TAIL; i++) {
		uint8_t expected = i < len ? TDO_OP_BAD_ICV : TDO_OP_OK;

		message_init(message);
		assert_int_equal(run(c, auth, true, message), TDO_OP_OK);
		message[HDR + i] ^= 0x10;
		assert_int_equal(run(c, auth, false, message), expected);
	}
}

static const struct mac {
	const char *name, *icv;
	unsigned len;
} legacy[] = {
    {"hmac-md5", "\x92\x94\x72\x7a\x36\x38\xbb\x1c\x13\xf4\x8e\xf8", 12},
    {"hmac-ripemd160", "\x24\xcb\x4b\xd6\x7d\x20\xfc\x1a\x5d\x2e\xd7\x73", 12},
    {"keyed-md5", "\x9a\xe6\xac\xbb\x15\x80\x85\x9e\x14\x61\xf3\xcc", 12},
    {"keyed-sha1", "\xc3\xa2\x37\x31\x31\x4a\xf5\xb4\x80\x20\xa7\xa7", 12},
    {"null", "\0\0\0\0\0\0\0\0\0\0\0\0", 12},
};

static void
each_driver(const struct mac *m, size_t n)
{
	struct tdo_crypto *all = crypto(NULL);
	const char *name;

	for (size_t k = 0; k < n; k++) {
		const struct tdo_alg *auth = tdo_alg_auth_by_name(m[k].name);
		unsigned drivers = 0;

		assert_non_null(auth);
		assert_int_equal(tdo_crypto_supports(all, NULL, auth), auth->not_there == NULL);
		for (unsigned i = 0; (name = tdo_crypto_driver_at(all, i)) != NULL; i++) {
			struct tdo_crypto *c = crypto(name);

			if (tdo_crypto_supports(c, NULL, auth)) {
				check_icv(c, auth, m[k].icv, m[k].len);
				drivers++;
			}
			tdo_crypto_free(c);
		}
		assert_int_equal(drivers > 0, auth->not_there == NULL);
	}
	tdo_crypto_free(all);
}

/* ... alone, and with every cipher that there is. */
static void
d05_legacy_authentication_works(void **state)
{
	struct tdo_crypto *c = crypto(NULL);
	const struct tdo_alg *enc;

	(void)state;
	each_driver(legacy, sizeof(legacy) / sizeof(legacy[0]));
	for (unsigned i = 0; (enc = tdo_alg_at(i)) != NULL; i++)
		for (size_t k = 0; k < sizeof(legacy) / sizeof(legacy[0]); k++) {
			const struct tdo_alg *auth = tdo_alg_auth_by_name(legacy[k].name);

			if (enc->kind == TDO_ALG_ENC && tdo_crypto_supports(c, enc, NULL))
				assert_int_equal(
				    tdo_crypto_supports(c, enc, auth), auth->not_there == NULL);
		}
	tdo_crypto_free(c);
}

/* RFC 4868 2.6; KAME's 96 bits for who asks for them by name. */
static void
d39_sha256_icv_is_128_bits_and_96_by_option(void **state)
{
	static const char icv[] =
	    "\x19\x8a\x60\x7e\xb4\x4b\xfb\xc6\x99\x03\xa0\xf1\xcf\x2b\xbd\xc5";
	static const struct mac m[] = {
	    {"hmac-sha256", icv, 16},
	    {"hmac-sha2-256", icv, 16},
	    {"hmac-sha256-96", icv, 12},
	    {"hmac-sha2-256-96", icv, 12},
	};

	(void)state;
	each_driver(m, sizeof(m) / sizeof(m[0]));
}

static void
longer_hashes_have_half_their_length(void **state)
{
	static const struct mac m[] = {
	    {"hmac-sha384",
		"\xb6\xa8\xd5\x63\x6f\x5c\x6a\x72\x24\xf9\x97\x7d\xcf\x7e\xe6\xc7\xfb\x6d\x0c\x48"
		"\xcb\xde\xe9\x73",
		24},
	    {"hmac-sha512",
		"\x63\x7e\xdc\x6e\x01\xdc\xe7\xe6\x74\x2a\x99\x45\x1a\xae\x82\xdf\x23\xda\x3e\x92"
		"\x43\x9e\x59\x0e\x43\xe7\x61\xb3\x3e\x91\x0f\xb8",
		32},
	};

	(void)state;
	each_driver(m, sizeof(m) / sizeof(m[0]));
}

/* FAST-IPsec's "null" has a field of zeros (spec C7): anything else is a bad ICV. */
static void
null_authenticates_nothing(void **state)
{
	const struct tdo_alg *null = tdo_alg_auth_by_name("null");
	struct tdo_crypto *c = crypto(NULL);
	uint8_t message[HDR + TAIL];

	(void)state;
	assert_true(null->no_auth);
	message_init(message);
	assert_int_equal(run(c, null, true, message), TDO_OP_OK);
	message[0] ^= 1;
	assert_int_equal(run(c, null, false, message), TDO_OP_OK);
	message[HDR] = 1;
	assert_int_equal(run(c, null, false, message), TDO_OP_BAD_ICV);
	tdo_crypto_free(c);
}

static void
null_is_not_built(void **state)
{
	struct tdo_session_param p = {.auth = tdo_alg_auth_by_name("null")};
	struct tdo_crypto *c = crypto(NULL);
	struct tdo_session *s = NULL;

	(void)state;
	assert_int_equal(tdo_session_new(c, &p, &s), -EOPNOTSUPP);
	assert_null(s);
	tdo_crypto_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(d05_legacy_authentication_works),
	    cmocka_unit_test(d39_sha256_icv_is_128_bits_and_96_by_option),
	    cmocka_unit_test(longer_hashes_have_half_their_length),
	    cmocka_unit_test(BUILT_LEGACY ? null_authenticates_nothing : null_is_not_built),
	};

	memset(key, 0x0b, sizeof(key));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
