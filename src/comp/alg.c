/* SPDX-License-Identifier: BSD-2-Clause */
/* The compression algorithms of IPComp.  Numbers: RFC 2407 4.4.5, which CPIs follow. */
#include <string.h>

#include "testudo/comp.h"

#ifdef TDO_HAVE_DEFLATE
#define NO_DEFLATE NULL
#else
#define NO_DEFLATE "deflate is not compiled into this testudo (libdeflate was missing)"
#endif

/*
 * What "deflate" wants at least: RFC 2394 3 found that payloads of less than 90 bytes get larger.
 * The others are names that people may write; see docs/decisions/0008-ipcomp.md.
 */
static const struct tdo_comp_alg algs[] = {
    {"oui", 1, 1, 0, "oui stands for algorithms of vendors, and testudo has none of them"},
    {"deflate", 2, 2, 90, NO_DEFLATE},
    {"lzs", 3, 3, 0, "lzs (RFC 2395) is not supported; take deflate"},
};

enum { NALGS = sizeof(algs) / sizeof(algs[0]) };

const struct tdo_comp_alg *
tdo_comp_alg_at(unsigned i)
{
	return i < NALGS ? &algs[i] : NULL;
}

const struct tdo_comp_alg *
tdo_comp_alg(uint8_t pfkey)
{
	for (unsigned i = 0; i < NALGS; i++)
		if (algs[i].pfkey == pfkey)
			return &algs[i];
	return NULL;
}

const struct tdo_comp_alg *
tdo_comp_alg_by_cpi(uint32_t cpi)
{
	for (unsigned i = 0; i < NALGS; i++)
		if (algs[i].cpi == cpi)
			return &algs[i];
	return NULL;
}

const struct tdo_comp_alg *
tdo_comp_alg_by_name(const char *name)
{
	for (unsigned i = 0; i < NALGS; i++)
		if (strcmp(algs[i].name, name) == 0)
			return &algs[i];
	return NULL;
}
