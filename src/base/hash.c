/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

#include <string.h>

static inline uint64_t
rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void
sipround(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

/* Little-endian load of n <= 8 bytes. */
static inline uint64_t
load_le(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);
	return x;
}

static inline void
absorb(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sipround(v);
	sipround(v);
	v[0] ^= m;
}

uint64_t
tdo_siphash(const struct tdo_hash_key *key, const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t v[4] = {
	    0x736f6d6570736575 ^ key->k[0],
	    0x646f72616e646f6d ^ key->k[1],
	    0x6c7967656e657261 ^ key->k[0],
	    0x7465646279746573 ^ key->k[1],
	};
	size_t left = len;

	for (; left >= 8; left -= 8, b += 8)
		absorb(v, load_le(b, 8));
	absorb(v, load_le(b, left) | (uint64_t)(len & 0xff) << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sipround(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
