/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash-2-4 (Aumasson, Bernstein 2012) for all tables whose keys an outsider can
 * choose: with a secret key nobody can aim at one bucket.
 */
#ifndef TDO_BASE_HASH_H
#define TDO_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct tdo_hash_key {
	uint64_t k[2];
};

/* The 64-bit SipHash-2-4 of len bytes at p under key. */
uint64_t tdo_siphash(const struct tdo_hash_key *key, const void *p, size_t len);

#endif
