/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of MACs that libraries leave to us: keys, padding, the last block. */
#ifndef TDO_CRYPTO_MAC_H
#define TDO_CRYPTO_MAC_H

#include <string.h>

#include "base/be.h"
#include "testudo/crypto.h"

enum {
	TDO_HASH_BLOCK_MAX = 128, /* of SHA-384 and SHA-512; the others have 64 */
	TDO_HASH_MAX = 64,        /* longest digest */
	TDO_KEYED_BLOCK = 64,
	TDO_AES_BLOCK = 16,
};

/* RFC 2104 2: the key, not longer than the block, zero-padded and combined with x. */
static inline void
tdo_hmac_pad(const uint8_t *key, size_t len, uint8_t x, uint8_t *ret, size_t block)
{
	memset(ret, x, block);
	for (size_t i = 0; i < len; i++)
		ret[i] ^= key[i];
}

/*
 * RFC 1828 2 (MD5) and RFC 1852 2 (SHA-1): the key, filled to a block in the way the hash
 * fills the end of a message: a bit, zeros, the length in bits.
 */
static inline void
tdo_keyed_fill(const uint8_t *key, size_t len, bool big_endian, uint8_t ret[TDO_KEYED_BLOCK])
{
	uint8_t *bits = ret + TDO_KEYED_BLOCK - 8;

	memset(ret, 0, TDO_KEYED_BLOCK);
	memcpy(ret, key, len);
	ret[len] = 0x80;
	if (big_endian) {
		tdo_put_be32(bits + 4, (uint32_t)len * 8);
	} else {
		bits[0] = (uint8_t)(len * 8);
		bits[1] = (uint8_t)(len * 8 >> 8);
	}
}

/*
 * AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493) are CBC-MACs whose last block is combined
 * with one of two further keys, according to whether it is full.
 */
struct tdo_cbcmac {
	uint8_t full[TDO_AES_BLOCK], padded[TDO_AES_BLOCK];
};

/* RFC 4493 2.3: multiplication by x in GF(2^128). */
static inline void
tdo_cmac_double(const uint8_t in[TDO_AES_BLOCK], uint8_t ret[TDO_AES_BLOCK])
{
	uint8_t carry = (uint8_t) - (in[0] >> 7); /* no branch: it depends on the key */

	for (unsigned i = 0; i + 1 < TDO_AES_BLOCK; i++)
		ret[i] = (uint8_t)(in[i] << 1 | in[i + 1] >> 7);
	ret[TDO_AES_BLOCK - 1] = (uint8_t)(in[TDO_AES_BLOCK - 1] << 1 ^ (carry & 0x87));
}

/*
 * The message is len bytes and, unless NULL, 4 of esn.  Returns how many bytes of data go
 * through CBC as they are; the rest, finished, is put into tail: 1 or 2 blocks.
 */
static inline size_t
tdo_cbcmac_split(const struct tdo_cbcmac *k, const uint8_t *data, size_t len, const uint8_t *esn,
    uint8_t tail[2 * TDO_AES_BLOCK], size_t *ret_tail)
{
	size_t body = len & ~(size_t)(TDO_AES_BLOCK - 1), n;
	const uint8_t *key = k->padded;
	uint8_t *last = tail;

	if (esn == NULL && body == len && len > 0)
		body -= TDO_AES_BLOCK;
	n = len - body;
	memset(tail, 0, 2 * (size_t)TDO_AES_BLOCK);
	memcpy(tail, data + body, n);
	if (esn) {
		memcpy(tail + n, esn, 4);
		n += 4;
	}
	if (n > TDO_AES_BLOCK)
		last += TDO_AES_BLOCK;
	*ret_tail = (size_t)(last - tail) + TDO_AES_BLOCK;
	if (n == *ret_tail)
		key = k->full;
	else
		tail[n] = 0x80;
	for (unsigned i = 0; i < TDO_AES_BLOCK; i++)
		last[i] ^= key[i];
	return body;
}

#endif
