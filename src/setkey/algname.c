/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, numbers and key lengths of the algorithms that the engine's table may lack. */
#include "setkey/algname.h"

#include <string.h>

#define ENC(n, num, min, max, step)                                                                \
	{                                                                                          \
		.name = (n), .aliases = "", .kind = TDO_ALG_ENC, .pfkey = (num), .key_min = (min), \
		.key_max = (max), .key_step = (step)                                               \
	}
#define AEAD(n, num, min, max, step)                                                               \
	{                                                                                          \
		.name = (n), .aliases = "", .kind = TDO_ALG_AEAD, .pfkey = (num),                  \
		.key_min = (min), .key_max = (max), .key_step = (step)                             \
	}
#define AUTH(n, a, num, min, max, step)                                                            \
	{                                                                                          \
		.name = (n), .aliases = (a), .kind = TDO_ALG_AUTH, .pfkey = (num),                 \
		.key_min = (min), .key_max = (max), .key_step = (step)                             \
	}

/* spec 2.5; each has one alias at most. */
static const struct tdo_alg algs[] = {
    ENC("des-cbc", 2, 64, 64, 0),
    ENC("cast128-cbc", 6, 40, 128, 8),
    ENC("aes-ctr", 13, 160, 288, 64),
    AEAD("chacha20-poly1305", 15, 288, 288, 0),
    ENC("camellia-cbc", 22, 128, 256, 64),
    AEAD("aes-gmac", 23, 160, 288, 64),
    AUTH("hmac-sha384", "hmac-sha2-384", 6, 384, 384, 0),
    AUTH("hmac-sha512", "hmac-sha2-512", 7, 512, 512, 0),
    AUTH("hmac-ripemd160", "", 8, 160, 160, 0),
    AUTH("aes-xcbc-mac", "", 9, 128, 128, 0),
    AUTH("keyed-md5", "md5", 249, 128, 128, 0),
    AUTH("keyed-sha1", "sha", 250, 160, 160, 0),
    AUTH("null", "", 251, 0, 0, 0),
    AUTH("tcp-md5", "", ALGNAME_TCP_MD5, 8, 640, 8),
};

#define N (sizeof(algs) / sizeof(algs[0]))

static const struct tdo_alg *
by_name(const char *name, bool auth)
{
	for (size_t i = 0; i < N; i++)
		if ((algs[i].kind == TDO_ALG_AUTH) == auth &&
		    (strcmp(algs[i].name, name) == 0 || strcmp(algs[i].aliases, name) == 0))
			return &algs[i];
	return NULL;
}

static const struct tdo_alg *
by_number(uint8_t pfkey, bool auth)
{
	for (size_t i = 0; i < N; i++)
		if ((algs[i].kind == TDO_ALG_AUTH) == auth && algs[i].pfkey == pfkey)
			return &algs[i];
	return NULL;
}

const struct tdo_alg *
tdo_algname_enc(const char *name)
{
	const struct tdo_alg *a = tdo_alg_enc_by_name(name);

	return a ? a : by_name(name, false);
}

const struct tdo_alg *
tdo_algname_auth(const char *name)
{
	const struct tdo_alg *a = tdo_alg_auth_by_name(name);

	return a ? a : by_name(name, true);
}

const struct tdo_alg *
tdo_algname_enc_number(uint8_t pfkey)
{
	const struct tdo_alg *a = tdo_alg_enc(pfkey);

	return a ? a : by_number(pfkey, false);
}

const struct tdo_alg *
tdo_algname_auth_number(uint8_t pfkey)
{
	const struct tdo_alg *a = tdo_alg_auth(pfkey);

	return a ? a : by_number(pfkey, true);
}
