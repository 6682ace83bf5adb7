/* SPDX-License-Identifier: BSD-2-Clause */
/* MACs of the nettle driver: HMAC, keyed hashes, and those out of AES. */
#include <nettle/cbc.h>
#include <nettle/md5.h>
#include <nettle/ripemd160.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "crypto/drv_nettle.h"

enum mac_kind { KIND_ZERO, KIND_HMAC, KIND_KEYED, KIND_CBC };

union digest {
	struct md5_ctx md5;
	struct sha1_ctx sha1;
	struct ripemd160_ctx ripemd160;
	struct sha256_ctx sha256;
	struct sha512_ctx sha512;
};

static const struct mac_row {
	uint8_t pfkey;
	uint8_t kind;
	const struct nettle_hash *hash;
} rows[] = {
    {TDO_AALG_HMAC_SHA1, KIND_HMAC, &nettle_sha1},
    {TDO_AALG_HMAC_SHA256, KIND_HMAC, &nettle_sha256},
    {TDO_AALG_HMAC_SHA256_96, KIND_HMAC, &nettle_sha256},
    {TDO_AALG_HMAC_SHA384, KIND_HMAC, &nettle_sha384},
    {TDO_AALG_HMAC_SHA512, KIND_HMAC, &nettle_sha512},
    {TDO_AALG_HMAC_RIPEMD160, KIND_HMAC, &nettle_ripemd160},
    {TDO_AALG_AES_XCBC_MAC, KIND_CBC, NULL},
    {TDO_AALG_AES_CMAC, KIND_CBC, NULL},
#ifdef TDO_LEGACY
    {TDO_AALG_HMAC_MD5, KIND_HMAC, &nettle_md5},
    {TDO_AALG_KEYED_MD5, KIND_KEYED, &nettle_md5},
    {TDO_AALG_KEYED_SHA1, KIND_KEYED, &nettle_sha1},
    {TDO_AALG_NULL, KIND_ZERO, NULL},
#endif
};

static const struct mac_row *
find(const struct tdo_alg *auth)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (auth && rows[i].pfkey == auth->pfkey)
			return &rows[i];
	return NULL;
}

bool
tdo_nettle_mac_supports(const struct tdo_alg *auth)
{
	return find(auth) != NULL;
}

size_t
tdo_nettle_mac_size(const struct tdo_alg *auth)
{
	const struct mac_row *r = find(auth);
	size_t state = 0;

	if (r && r->kind == KIND_HMAC)
		state = 2 * (size_t)r->hash->context_size;
	else if (r && r->kind == KIND_KEYED)
		state = (size_t)r->hash->context_size + auth->key_max / 8;
	return sizeof(struct nettle_mac_key) + state;
}

/* ---- keys --------------------------------------------------------------------------- */

/* Keeps the state of a digest that has seen one block. */
static void
keep(const struct nettle_hash *h, const uint8_t *block, void *ret)
{
	union digest d;

	h->init(&d);
	h->update(&d, h->block_size, block);
	memcpy(ret, &d, h->context_size);
	tdo_wipe(&d, sizeof(d));
}

static void
init_hash(struct nettle_mac_key *m, const struct tdo_session_param *p)
{
	uint8_t block[TDO_HASH_BLOCK_MAX];
	const struct nettle_hash *h = m->hash;

	if (m->kind == KIND_KEYED) {
		tdo_keyed_fill(p->akey, p->akey_len, h == &nettle_sha1, block);
		keep(h, block, m->state);
		m->key_len = (uint8_t)p->akey_len;
		memcpy(m->state + h->context_size, p->akey, p->akey_len);
	} else {
		tdo_hmac_pad(p->akey, p->akey_len, 0x36, block, h->block_size);
		keep(h, block, m->state);
		tdo_hmac_pad(p->akey, p->akey_len, 0x5c, block, h->block_size);
		keep(h, block, m->state + h->context_size);
	}
	tdo_wipe(block, sizeof(block));
}

/* RFC 3566 4, step 1, and RFC 4493 2.3. */
static void
init_cbc(struct nettle_mac_key *m, const struct tdo_session_param *p)
{
	uint8_t block[TDO_AES_BLOCK] = {0}, key[TDO_AES_BLOCK];

	aes128_set_encrypt_key(&m->aes, p->akey);
	if (p->auth->pfkey == TDO_AALG_AES_CMAC) {
		aes128_encrypt(&m->aes, sizeof(block), block, block);
		tdo_cmac_double(block, m->cbcmac.full);
		tdo_cmac_double(m->cbcmac.full, m->cbcmac.padded);
	} else {
		memset(block, 1, sizeof(block));
		aes128_encrypt(&m->aes, sizeof(block), key, block);
		memset(block, 2, sizeof(block));
		aes128_encrypt(&m->aes, sizeof(block), m->cbcmac.full, block);
		memset(block, 3, sizeof(block));
		aes128_encrypt(&m->aes, sizeof(block), m->cbcmac.padded, block);
		aes128_set_encrypt_key(&m->aes, key);
		tdo_wipe(key, sizeof(key));
	}
	tdo_wipe(block, sizeof(block));
}

void
tdo_nettle_mac_init(struct nettle_mac_key *m, const struct tdo_session_param *p)
{
	const struct mac_row *r = find(p->auth);

	m->kind = r->kind;
	m->hash = r->hash;
	if (r->kind == KIND_CBC)
		init_cbc(m, p);
	else if (r->hash)
		init_hash(m, p);
}

/* ---- packets ------------------------------------------------------------------------ */

static void
hash_run(const struct nettle_mac_key *m, const uint8_t *data, size_t len, const uint8_t *esn,
    uint8_t ret[TDO_HASH_MAX])
{
	const struct nettle_hash *h = m->hash;
	union digest d;

	memcpy(&d, m->state, h->context_size);
	h->update(&d, len, data);
	if (esn)
		h->update(&d, TDO_ESN_LEN, esn);
	if (m->kind == KIND_KEYED)
		h->update(&d, m->key_len, m->state + h->context_size);
	h->digest(&d, h->digest_size, ret);
	if (m->kind == KIND_HMAC) {
		memcpy(&d, m->state + h->context_size, h->context_size);
		h->update(&d, h->digest_size, ret);
		h->digest(&d, h->digest_size, ret);
	}
	tdo_wipe(&d, sizeof(d)); /* derived from the key */
}

static void
cbc_run(const struct nettle_mac_key *m, const uint8_t *data, size_t len, const uint8_t *esn,
    uint8_t ret[TDO_HASH_MAX])
{
	uint8_t tail[2 * TDO_AES_BLOCK], mac[TDO_AES_BLOCK] = {0}, block[TDO_AES_BLOCK];
	size_t tail_len, body = tdo_cbcmac_split(&m->cbcmac, data, len, esn, tail, &tail_len);

	/* The IV of nettle's CBC is the last block afterwards. */
	for (; body > 0; data += TDO_AES_BLOCK, body -= TDO_AES_BLOCK)
		cbc_encrypt(
		    &m->aes, nettle_aes128.encrypt, TDO_AES_BLOCK, mac, TDO_AES_BLOCK, block, data);
	cbc_encrypt(&m->aes, nettle_aes128.encrypt, TDO_AES_BLOCK, mac, tail_len, tail, tail);
	memcpy(ret, mac, TDO_AES_BLOCK);
}

void
tdo_nettle_mac_run(const struct nettle_mac_key *m, const uint8_t *data, size_t len,
    const uint8_t *esn, uint8_t ret[TDO_HASH_MAX])
{
	if (m->kind == KIND_CBC)
		cbc_run(m, data, len, esn, ret);
	else if (m->hash)
		hash_run(m, data, len, esn, ret);
	else
		memset(ret, 0, TDO_HASH_MAX);
}
