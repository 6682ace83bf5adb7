/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of algorithms.  Everything else asks it for names, numbers and lengths;
 * which of them can be used is what the drivers say.
 */
#include "crypto/alg.h"

#include <string.h>

#include "testudo/crypto.h"

static const struct tdo_alg algs[] = {
    /* RFC 4106; the last 4 bytes of the key are the salt (8.1). */
    {.name = "aes-gcm-16",
	.aliases = "",
	.kind = TDO_ALG_AEAD,
	.pfkey = TDO_EALG_AES_GCM_16,
	.key_min = 160,
	.key_max = 288,
	.key_step = 64,
	.salt_len = 4,
	.iv_len = 8,
	.block = 1,
	.icv_len = 16,
	.iv_counter = true},
    /* RFC 3602 */
    {.name = "aes-cbc",
	.aliases = "rijndael-cbc",
	.kind = TDO_ALG_ENC,
	.pfkey = TDO_EALG_AES_CBC,
	.key_min = 128,
	.key_max = 256,
	.key_step = 64,
	.iv_len = 16,
	.block = 16},
    /* RFC 2451; RFC 8221 5: SHOULD NOT */
    {.name = "3des-cbc",
	.aliases = "",
	.kind = TDO_ALG_ENC,
	.pfkey = TDO_EALG_3DES_CBC,
	.key_min = 192,
	.key_max = 192,
	.iv_len = 8,
	.block = 8,
	.weak = true},
    /* RFC 2451; RFC 8221 5: MUST NOT */
    {.name = "blowfish-cbc",
	.aliases = "",
	.kind = TDO_ALG_ENC,
	.pfkey = TDO_EALG_BLOWFISH_CBC,
	.key_min = 40,
	.key_max = 448,
	.key_step = 8,
	.iv_len = 8,
	.block = 8,
	.weak = true},
    /* RFC 2410 */
    {.name = "null", .aliases = "simple", .kind = TDO_ALG_ENC, .pfkey = TDO_EALG_NULL, .block = 1},
    /* RFC 2403; RFC 8221 6: MUST NOT */
    {.name = "hmac-md5",
	.aliases = "",
	.kind = TDO_ALG_AUTH,
	.pfkey = TDO_AALG_HMAC_MD5,
	.key_min = 128,
	.key_max = 128,
	.block = 1,
	.icv_len = 12,
	.weak = true},
    /* RFC 2404; RFC 8221 6: MUST- */
    {.name = "hmac-sha1",
	.aliases = "",
	.kind = TDO_ALG_AUTH,
	.pfkey = TDO_AALG_HMAC_SHA1,
	.key_min = 160,
	.key_max = 160,
	.block = 1,
	.icv_len = 12},
    /* RFC 4868 */
    {.name = "hmac-sha256",
	.aliases = "hmac-sha2-256",
	.kind = TDO_ALG_AUTH,
	.pfkey = TDO_AALG_HMAC_SHA256,
	.key_min = 256,
	.key_max = 256,
	.block = 1,
	.icv_len = 16},
};

#define NALGS (sizeof(algs) / sizeof(algs[0]))

static const struct tdo_alg *
by_number(uint8_t pfkey, bool auth)
{
	for (size_t i = 0; i < NALGS; i++)
		if (algs[i].pfkey == pfkey && (algs[i].kind == TDO_ALG_AUTH) == auth)
			return &algs[i];
	return NULL;
}

const struct tdo_alg *
tdo_alg_enc(uint8_t pfkey)
{
	return by_number(pfkey, false);
}

const struct tdo_alg *
tdo_alg_auth(uint8_t pfkey)
{
	return by_number(pfkey, true);
}

/* True when name is one of the blank-separated words of list. */
static bool
has_word(const char *list, const char *name)
{
	size_t want = strlen(name);

	while (*list) {
		size_t n = strcspn(list, " ");

		if (n == want && memcmp(list, name, n) == 0)
			return true;
		list += n;
		list += strspn(list, " ");
	}
	return false;
}

static const struct tdo_alg *
by_name(const char *name, bool auth)
{
	for (size_t i = 0; i < NALGS; i++) {
		const struct tdo_alg *a = &algs[i];

		if ((a->kind == TDO_ALG_AUTH) != auth)
			continue;
		if (strcmp(a->name, name) == 0 || has_word(a->aliases, name))
			return a;
	}
	return NULL;
}

const struct tdo_alg *
tdo_alg_enc_by_name(const char *name)
{
	return by_name(name, false);
}

const struct tdo_alg *
tdo_alg_auth_by_name(const char *name)
{
	return by_name(name, true);
}

const struct tdo_alg *
tdo_alg_at(unsigned i)
{
	return i < NALGS ? &algs[i] : NULL;
}

bool
tdo_alg_keylen_ok(const struct tdo_alg *a, unsigned bits)
{
	if (bits < a->key_min || bits > a->key_max)
		return false;
	return bits == a->key_min || (a->key_step != 0 && (bits - a->key_min) % a->key_step == 0);
}
