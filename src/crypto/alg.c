/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of algorithms.  Everything else asks it for names, numbers and lengths;
 * which of them can be used is what the drivers say.
 */
#include "crypto/alg.h"

#include <string.h>

#include "testudo/crypto.h"

#ifdef TDO_LEGACY
#define LEGACY NULL
#else
#define LEGACY TDO_NO_LEGACY
#endif

/* What rows have in common: AEADs with IV and with the sequence number instead (RFC 8750). */
#define AEAD(min, max, salt, icv)                                                                  \
	.kind = TDO_ALG_AEAD, .key_min = (min), .key_max = (max), .key_step = 64,                  \
	.salt_len = (salt), .block = 1, .icv_len = (icv)
#define AEAD_IV(min, max, salt, icv)  AEAD(min, max, salt, icv), .iv_len = 8, .iv_counter = true
#define AEAD_IIV(min, max, salt, icv) AEAD(min, max, salt, icv), .implicit_iv = true
#define CBC(min, max, step, size)                                                                  \
	.kind = TDO_ALG_ENC, .key_min = (min), .key_max = (max), .key_step = (step),               \
	.iv_len = (size), .block = (size)
#define AUTH(bits, icv)                                                                            \
	.kind = TDO_ALG_AUTH, .key_min = (bits), .key_max = (bits), .block = 1, .icv_len = (icv)
#define GMAC_AH .salt_len = 4, .iv_len = 8, .iv_counter = true, .ah_only = true

/*
 * In order of preference.  Levels: RFC 8221 5 and 6, and RFC 9395 7 for CAST; what is not
 * mentioned there is MAY, unless it is the sibling of one that is forbidden.
 */
static const struct tdo_alg algs[] = {
    /* RFC 4106; 8.1: the last 4 bytes of the key are the salt. */
    {.name = "aes-gcm-16",
	.aliases = "",
	AEAD_IV(160, 288, 4, 16),
	.pfkey = TDO_EALG_AES_GCM_16,
	.level = TDO_LEVEL_MUST},
    /* RFC 7634 */
    {.name = "chacha20-poly1305",
	.aliases = "",
	AEAD_IV(288, 288, 4, 16),
	.pfkey = TDO_EALG_CHACHA20_POLY1305,
	.level = TDO_LEVEL_SHOULD},
    /* RFC 4309; 7.1: 3 bytes of salt.  RFC 8221 5: SHOULD for the Internet of Things. */
    {.name = "aes-ccm-8",
	.aliases = "",
	AEAD_IV(152, 280, 3, 8),
	.pfkey = TDO_EALG_AES_CCM_8,
	.level = TDO_LEVEL_SHOULD},
    {.name = "aes-ccm-12",
	.aliases = "",
	AEAD_IV(152, 280, 3, 12),
	.pfkey = TDO_EALG_AES_CCM_12,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-ccm-16",
	.aliases = "",
	AEAD_IV(152, 280, 3, 16),
	.pfkey = TDO_EALG_AES_CCM_16,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-gcm-12",
	.aliases = "",
	AEAD_IV(160, 288, 4, 12),
	.pfkey = TDO_EALG_AES_GCM_12,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-gcm-8",
	.aliases = "",
	AEAD_IV(160, 288, 4, 8),
	.pfkey = TDO_EALG_AES_GCM_8,
	.level = TDO_LEVEL_MAY},
    /* RFC 8750 */
    {.name = "aes-gcm-16-iiv",
	.aliases = "",
	AEAD_IIV(160, 288, 4, 16),
	.pfkey = TDO_EALG_AES_GCM_16_IIV,
	.level = TDO_LEVEL_MAY},
    {.name = "chacha20-poly1305-iiv",
	.aliases = "",
	AEAD_IIV(288, 288, 4, 16),
	.pfkey = TDO_EALG_CHACHA20_POLY1305_IIV,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-ccm-8-iiv",
	.aliases = "",
	AEAD_IIV(152, 280, 3, 8),
	.pfkey = TDO_EALG_AES_CCM_8_IIV,
	.level = TDO_LEVEL_MAY},
    /* RFC 4543: authentication only, as ENCR_NULL_AUTH_AES_GMAC. */
    {.name = "aes-gmac",
	.aliases = "",
	AEAD_IV(160, 288, 4, 16),
	.pfkey = TDO_EALG_AES_GMAC,
	.level = TDO_LEVEL_MAY,
	.clear = true},
    /* RFC 3602 */
    {.name = "aes-cbc",
	.aliases = "rijndael-cbc",
	CBC(128, 256, 64, 16),
	.pfkey = TDO_EALG_AES_CBC,
	.level = TDO_LEVEL_MUST},
    /* RFC 3686; 5.1: the last 4 bytes of the key are the nonce. */
    {.name = "aes-ctr",
	.aliases = "",
	.kind = TDO_ALG_ENC,
	.key_min = 160,
	.key_max = 288,
	.key_step = 64,
	.salt_len = 4,
	.iv_len = 8,
	.block = 1,
	.iv_counter = true,
	.pfkey = TDO_EALG_AES_CTR,
	.level = TDO_LEVEL_MAY},
    /* RFC 4312 */
    {.name = "camellia-cbc",
	.aliases = "",
	CBC(128, 256, 64, 16),
	.pfkey = TDO_EALG_CAMELLIA_CBC,
	.level = TDO_LEVEL_MAY},
    /* draft-ietf-ipsec-ciph-aes-cbc-01 */
    {.name = "twofish-cbc",
	.aliases = "",
	CBC(128, 256, 64, 16),
	.pfkey = TDO_EALG_TWOFISH_CBC,
	.level = TDO_LEVEL_MAY},
    /* RFC 2451 */
    {.name = "3des-cbc",
	.aliases = "",
	CBC(192, 192, 0, 8),
	.pfkey = TDO_EALG_3DES_CBC,
	.not_there = LEGACY,
	.level = TDO_LEVEL_SHOULD_NOT},
    {.name = "blowfish-cbc",
	.aliases = "",
	CBC(40, 448, 8, 8),
	.pfkey = TDO_EALG_BLOWFISH_CBC,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    {.name = "cast128-cbc",
	.aliases = "",
	CBC(40, 128, 8, 8),
	.pfkey = TDO_EALG_CAST128_CBC,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    /* RFC 2405 */
    {.name = "des-cbc",
	.aliases = "",
	CBC(64, 64, 0, 8),
	.pfkey = TDO_EALG_DES_CBC,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    /* RFC 2410 */
    {.name = "null",
	.aliases = "simple",
	.kind = TDO_ALG_ENC,
	.block = 1,
	.pfkey = TDO_EALG_NULL,
	.level = TDO_LEVEL_MUST,
	.clear = true},
    /* RFC 4868 */
    {.name = "hmac-sha256",
	.aliases = "hmac-sha2-256",
	AUTH(256, 16),
	.pfkey = TDO_AALG_HMAC_SHA256,
	.level = TDO_LEVEL_MUST},
    {.name = "hmac-sha512",
	.aliases = "hmac-sha2-512",
	AUTH(512, 32),
	.pfkey = TDO_AALG_HMAC_SHA512,
	.level = TDO_LEVEL_SHOULD},
    {.name = "hmac-sha384",
	.aliases = "hmac-sha2-384",
	AUTH(384, 24),
	.pfkey = TDO_AALG_HMAC_SHA384,
	.level = TDO_LEVEL_MAY},
    /* RFC 2404; RFC 8221 6: MUST- */
    {.name = "hmac-sha1",
	.aliases = "",
	AUTH(160, 12),
	.pfkey = TDO_AALG_HMAC_SHA1,
	.level = TDO_LEVEL_MUST},
    /* RFC 3566; RFC 8221 6: SHOULD is for the Internet of Things. */
    {.name = "aes-xcbc-mac",
	.aliases = "",
	AUTH(128, 12),
	.pfkey = TDO_AALG_AES_XCBC_MAC,
	.level = TDO_LEVEL_SHOULD},
    /* RFC 4494 */
    {.name = "aes-cmac",
	.aliases = "",
	AUTH(128, 12),
	.pfkey = TDO_AALG_AES_CMAC,
	.level = TDO_LEVEL_MAY},
    /* Truncated as in KAME, for its sake. */
    {.name = "hmac-sha256-96",
	.aliases = "hmac-sha2-256-96",
	AUTH(256, 12),
	.pfkey = TDO_AALG_HMAC_SHA256_96,
	.level = TDO_LEVEL_MAY},
    /* RFC 2857 */
    {.name = "hmac-ripemd160",
	.aliases = "",
	AUTH(160, 12),
	.pfkey = TDO_AALG_HMAC_RIPEMD160,
	.level = TDO_LEVEL_MAY},
    /* RFC 2403 */
    {.name = "hmac-md5",
	.aliases = "",
	AUTH(128, 12),
	.pfkey = TDO_AALG_HMAC_MD5,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    /* RFC 1828; RFC 8221 6 calls it KPDK. */
    {.name = "keyed-md5",
	.aliases = "md5",
	AUTH(128, 12),
	.pfkey = TDO_AALG_KEYED_MD5,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    /* RFC 1852 */
    {.name = "keyed-sha1",
	.aliases = "sha",
	AUTH(160, 12),
	.pfkey = TDO_AALG_KEYED_SHA1,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT},
    /* RFC 4543 4: in AH, with an IV beside the ICV; RFC 8221 6.  ESP has "aes-gmac". */
    {.name = "aes-128-gmac",
	.aliases = "",
	AUTH(160, 16),
	GMAC_AH,
	.pfkey = TDO_AALG_AES_128_GMAC,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-192-gmac",
	.aliases = "",
	AUTH(224, 16),
	GMAC_AH,
	.pfkey = TDO_AALG_AES_192_GMAC,
	.level = TDO_LEVEL_MAY},
    {.name = "aes-256-gmac",
	.aliases = "",
	AUTH(288, 16),
	GMAC_AH,
	.pfkey = TDO_AALG_AES_256_GMAC,
	.level = TDO_LEVEL_MAY},
    /* Zeros where an ICV would be, for debugging; RFC 8221 6: AUTH_NONE. */
    {.name = "null",
	.aliases = "",
	.kind = TDO_ALG_AUTH,
	.block = 1,
	.icv_len = 12,
	.pfkey = TDO_AALG_NULL,
	.not_there = LEGACY,
	.level = TDO_LEVEL_MUST_NOT,
	.no_auth = true},
};

/* RFC 1829 and the expired draft on derived IVs: the IV is 4 bytes and their complement. */
static const struct tdo_alg half_iv = {.name = "des-cbc",
    .aliases = "",
    .kind = TDO_ALG_ENC,
    .pfkey = TDO_EALG_DES_HALF_IV,
    .key_min = 64,
    .key_max = 64,
    .block = 8,
    .not_there = LEGACY,
    .level = TDO_LEVEL_MUST_NOT};

/* The old AH (RFC 1826): 128 bits of ICV whatever the algorithm, as in KAME and the BSDs. */
#define OLD(n, bits, number, lv)                                                                   \
	{                                                                                          \
		.name = (n), .aliases = "", AUTH(bits, 16), .pfkey = (number),                     \
		.not_there = LEGACY, .level = (lv)                                                 \
	}
static const struct tdo_alg old_algs[] = {
    OLD("keyed-md5", 128, TDO_AALG_KEYED_MD5, TDO_LEVEL_MUST_NOT),   /* RFC 1828 */
    OLD("keyed-sha1", 160, TDO_AALG_KEYED_SHA1, TDO_LEVEL_MUST_NOT), /* RFC 1852, cut */
    OLD("hmac-md5", 128, TDO_AALG_HMAC_MD5, TDO_LEVEL_MUST_NOT),     /* RFC 2085 */
    OLD("hmac-sha1", 160, TDO_AALG_HMAC_SHA1, TDO_LEVEL_MUST),
    OLD("hmac-ripemd160", 160, TDO_AALG_HMAC_RIPEMD160, TDO_LEVEL_MAY),
    OLD("hmac-sha256", 256, TDO_AALG_HMAC_SHA256, TDO_LEVEL_MUST),
    OLD("hmac-sha384", 384, TDO_AALG_HMAC_SHA384, TDO_LEVEL_MAY),
    OLD("hmac-sha512", 512, TDO_AALG_HMAC_SHA512, TDO_LEVEL_SHOULD),
    OLD("aes-xcbc-mac", 128, TDO_AALG_AES_XCBC_MAC, TDO_LEVEL_SHOULD),
};

#define NALGS (sizeof(algs) / sizeof(algs[0]))
#define NOLD  (sizeof(old_algs) / sizeof(old_algs[0]))

const struct tdo_alg *
tdo_alg_half_iv(void)
{
	return &half_iv;
}

const struct tdo_alg *
tdo_alg_ah_old(uint8_t pfkey)
{
	for (size_t i = 0; i < NOLD; i++)
		if (old_algs[i].pfkey == pfkey)
			return &old_algs[i];
	return NULL;
}

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
