/* SPDX-License-Identifier: BSD-2-Clause */
/* Authentication algorithms of the language: those of the engine's table, and tcp-md5. */
#include "setkey/algname.h"

#include <string.h>

/* RFC 2385: from 8 to 640 bits (spec 2.5). */
static const struct tdo_alg tcp_md5 = {
    .name = "tcp-md5",
    .aliases = "",
    .kind = TDO_ALG_AUTH,
    .pfkey = ALGNAME_TCP_MD5,
    .key_min = 8,
    .key_max = 640,
    .key_step = 8,
};

enum { KEYED_MD5 = 249, KEYED_SHA1 = 250 };

const struct tdo_alg *
tdo_algname_auth(const char *name)
{
	return strcmp(name, tcp_md5.name) == 0 ? &tcp_md5 : tdo_alg_auth_by_name(name);
}

const struct tdo_alg *
tdo_algname_auth_number(uint8_t pfkey)
{
	return pfkey == ALGNAME_TCP_MD5 ? &tcp_md5 : tdo_alg_auth(pfkey);
}

const char *
tdo_algname_auth_printed(uint8_t pfkey)
{
	const struct tdo_alg *a = tdo_algname_auth_number(pfkey);

	switch (pfkey) {
	case KEYED_MD5:
		return "md5";
	case KEYED_SHA1:
		return "sha";
	default:
		return a ? a->name : NULL;
	}
}
