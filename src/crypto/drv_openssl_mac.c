/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MACs of the OpenSSL driver.
 *
 * HMAC is built here on the plain digest functions, which OpenSSL calls deprecated: a
 * digest state is a structure there, so that the state after the key block is made once
 * and copied for each packet.  Every way through EVP_MD and EVP_MAC allocates a new state
 * for each of the two digest runs, and a packet must not take memory.  The same goes for
 * the MACs out of AES, which are built on CBC.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <errno.h>

#include <openssl/md5.h>
#include <openssl/ripemd.h>
#include <openssl/sha.h>

#include "crypto/drv_openssl.h"

enum mac_kind { KIND_ZERO, KIND_HMAC, KIND_KEYED, KIND_CBC };

union digest {
	MD5_CTX md5;
	SHA_CTX sha1;
	RIPEMD160_CTX ripemd160;
	SHA256_CTX sha256;
	SHA512_CTX sha512;
};

/* ---- digests ------------------------------------------------------------------------ */

struct ossl_hash {
	size_t state_len;
	uint8_t block, len;
	bool big_endian;
	void (*init)(union digest *d);
	void (*update)(union digest *d, const void *p, size_t len);
	void (*final)(uint8_t *ret, union digest *d);
};

#define HASH(name, prefix, member, block, len, big_endian)                                         \
	static void name##_init(union digest *d)                                                   \
	{                                                                                          \
		prefix##_Init(&d->member);                                                         \
	}                                                                                          \
	static void name##_update(union digest *d, const void *p, size_t n)                        \
	{                                                                                          \
		prefix##_Update(&d->member, p, n);                                                 \
	}                                                                                          \
	static void name##_final(uint8_t *ret, union digest *d)                                    \
	{                                                                                          \
		prefix##_Final(ret, &d->member);                                                   \
	}                                                                                          \
	static const struct ossl_hash name = {sizeof(((union digest *)0)->member), (block), (len), \
	    (big_endian), name##_init, name##_update, name##_final}

HASH(sha1, SHA1, sha1, 64, SHA_DIGEST_LENGTH, true);
HASH(ripemd160, RIPEMD160, ripemd160, 64, RIPEMD160_DIGEST_LENGTH, false);
HASH(sha256, SHA256, sha256, 64, SHA256_DIGEST_LENGTH, true);
HASH(sha384, SHA384, sha512, 128, SHA384_DIGEST_LENGTH, true);
HASH(sha512, SHA512, sha512, 128, SHA512_DIGEST_LENGTH, true);
#ifdef TDO_LEGACY
HASH(md5, MD5, md5, 64, MD5_DIGEST_LENGTH, false);
#endif

static const struct mac_row {
	uint8_t pfkey;
	uint8_t kind;
	const struct ossl_hash *hash;
} rows[] = {
    {TDO_AALG_HMAC_SHA1, KIND_HMAC, &sha1},
    {TDO_AALG_HMAC_SHA256, KIND_HMAC, &sha256},
    {TDO_AALG_HMAC_SHA256_96, KIND_HMAC, &sha256},
    {TDO_AALG_HMAC_SHA384, KIND_HMAC, &sha384},
    {TDO_AALG_HMAC_SHA512, KIND_HMAC, &sha512},
    {TDO_AALG_HMAC_RIPEMD160, KIND_HMAC, &ripemd160},
    {TDO_AALG_AES_XCBC_MAC, KIND_CBC, NULL},
    {TDO_AALG_AES_CMAC, KIND_CBC, NULL},
#ifdef TDO_LEGACY
    {TDO_AALG_HMAC_MD5, KIND_HMAC, &md5},
    {TDO_AALG_KEYED_MD5, KIND_KEYED, &md5},
    {TDO_AALG_KEYED_SHA1, KIND_KEYED, &sha1},
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
tdo_ossl_mac_supports(const struct tdo_alg *auth)
{
	return find(auth) != NULL;
}

size_t
tdo_ossl_mac_size(const struct tdo_alg *auth, unsigned nworkers)
{
	const struct mac_row *r = find(auth);
	size_t state = 0;

	if (r && r->kind == KIND_HMAC)
		state = 2 * r->hash->state_len;
	else if (r && r->kind == KIND_KEYED)
		state = r->hash->state_len + auth->key_max / 8;
	else if (r && r->kind == KIND_CBC)
		state = nworkers * sizeof(EVP_CIPHER_CTX *);
	return sizeof(struct ossl_mac) + state;
}

/* ---- keys --------------------------------------------------------------------------- */

/* Keeps the state of a digest that has seen one block. */
static void
keep(const struct ossl_hash *h, const uint8_t *block, void *ret)
{
	union digest d;

	h->init(&d);
	h->update(&d, block, h->block);
	memcpy(ret, &d, h->state_len);
	tdo_wipe(&d, sizeof(d));
}

static void
init_hash(struct ossl_mac *m, const struct tdo_session_param *p)
{
	uint8_t block[TDO_HASH_BLOCK_MAX];
	const struct ossl_hash *h = m->hash;

	if (m->kind == KIND_KEYED) {
		tdo_keyed_fill(p->akey, p->akey_len, h->big_endian, block);
		keep(h, block, m->state);
		m->key_len = (uint8_t)p->akey_len;
		memcpy(m->state + h->state_len, p->akey, p->akey_len);
	} else {
		tdo_hmac_pad(p->akey, p->akey_len, 0x36, block, h->block);
		keep(h, block, m->state);
		tdo_hmac_pad(p->akey, p->akey_len, 0x5c, block, h->block);
		keep(h, block, m->state + h->state_len);
	}
	tdo_wipe(block, sizeof(block));
}

static EVP_CIPHER_CTX **
contexts(const struct ossl_mac *m)
{
	return (EVP_CIPHER_CTX **)(uintptr_t)m->state;
}

/* CBC with an IV of zero: goes on where the last call stopped unless start is set. */
static bool
run_cbc(EVP_CIPHER_CTX *c, bool start, const uint8_t *data, size_t len, uint8_t *ret)
{
	static const uint8_t zero[TDO_AES_BLOCK];
	int n;

	if (start && EVP_EncryptInit_ex2(c, NULL, NULL, zero, NULL) != 1)
		return false;
	return EVP_EncryptUpdate(c, ret, &n, data, (int)len) == 1;
}

/* A context with this key, or NULL. */
static EVP_CIPHER_CTX *
make_cbc(const EVP_CIPHER *aes_cbc, const uint8_t *key)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c && EVP_EncryptInit_ex2(c, aes_cbc, key, NULL, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(c, 0) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

/* RFC 3566 4, step 1: all keys come out of the one given; RFC 4493 2.3: two more do. */
static bool
derive(struct ossl_mac *m, const struct tdo_session_param *p, const EVP_CIPHER *aes_cbc,
    uint8_t key[TDO_AES_BLOCK])
{
	EVP_CIPHER_CTX *c = make_cbc(aes_cbc, p->akey);
	uint8_t block[TDO_AES_BLOCK], *const out[] = {key, m->cbcmac.full, m->cbcmac.padded};
	bool ok = c != NULL;

	if (p->auth->pfkey == TDO_AALG_AES_CMAC) {
		memcpy(key, p->akey, TDO_AES_BLOCK);
		memset(block, 0, sizeof(block));
		ok = ok && run_cbc(c, true, block, sizeof(block), block);
		tdo_cmac_double(block, m->cbcmac.full);
		tdo_cmac_double(m->cbcmac.full, m->cbcmac.padded);
	} else {
		for (unsigned i = 0; i < 3 && ok; i++) {
			memset(block, (int)i + 1, sizeof(block));
			ok = run_cbc(c, true, block, sizeof(block), out[i]);
		}
	}
	tdo_wipe(block, sizeof(block));
	EVP_CIPHER_CTX_free(c);
	return ok;
}

static int
init_cbc(struct ossl_mac *m, const struct tdo_session_param *p, unsigned nworkers,
    const EVP_CIPHER *aes_cbc)
{
	uint8_t key[TDO_AES_BLOCK];
	bool ok = derive(m, p, aes_cbc, key);

	while (ok && m->nworkers < nworkers) {
		EVP_CIPHER_CTX *c = make_cbc(aes_cbc, key);

		ok = c != NULL;
		if (ok)
			contexts(m)[m->nworkers++] = c;
	}
	tdo_wipe(key, sizeof(key));
	return ok ? 0 : -ENOMEM;
}

int
tdo_ossl_mac_init(struct ossl_mac *m, const struct tdo_session_param *p, unsigned nworkers,
    const EVP_CIPHER *aes_cbc)
{
	const struct mac_row *r = find(p->auth);

	m->kind = r->kind;
	m->hash = r->hash;
	if (r->kind == KIND_CBC)
		return init_cbc(m, p, nworkers, aes_cbc);
	if (r->hash)
		init_hash(m, p);
	return 0;
}

void
tdo_ossl_mac_fini(struct ossl_mac *m)
{
	for (unsigned i = 0; i < m->nworkers; i++)
		EVP_CIPHER_CTX_free(contexts(m)[i]);
}

/* ---- packets ------------------------------------------------------------------------ */

static void
hash_run(const struct ossl_mac *m, const uint8_t *data, size_t len, const uint8_t *esn,
    uint8_t ret[TDO_HASH_MAX])
{
	const struct ossl_hash *h = m->hash;
	union digest d;

	memcpy(&d, m->state, h->state_len);
	h->update(&d, data, len);
	if (esn)
		h->update(&d, esn, TDO_ESN_LEN);
	if (m->kind == KIND_KEYED)
		h->update(&d, m->state + h->state_len, m->key_len);
	h->final(ret, &d);
	if (m->kind == KIND_HMAC) {
		memcpy(&d, m->state + h->state_len, h->state_len);
		h->update(&d, ret, h->len);
		h->final(ret, &d);
	}
	tdo_wipe(&d, sizeof(d)); /* derived from the key */
}

static bool
cbc_run(const struct ossl_mac *m, unsigned worker, const uint8_t *data, size_t len,
    const uint8_t *esn, uint8_t ret[TDO_HASH_MAX])
{
	EVP_CIPHER_CTX *c = contexts(m)[worker];
	uint8_t scratch[1024], tail[2 * TDO_AES_BLOCK];
	size_t tail_len, body = tdo_cbcmac_split(&m->cbcmac, data, len, esn, tail, &tail_len);
	bool start = true;

	for (size_t n; body > 0; data += n, body -= n) {
		n = body < sizeof(scratch) ? body : sizeof(scratch);
		if (!run_cbc(c, start, data, n, scratch))
			return false;
		start = false;
	}
	if (!run_cbc(c, start, tail, tail_len, tail))
		return false;
	memcpy(ret, tail + tail_len - TDO_AES_BLOCK, TDO_AES_BLOCK);
	return true;
}

bool
tdo_ossl_mac_run(const struct ossl_mac *m, unsigned worker, const uint8_t *data, size_t len,
    const uint8_t *esn, uint8_t ret[TDO_HASH_MAX])
{
	switch (m->kind) {
	case KIND_CBC:
		return cbc_run(m, worker, data, len, esn, ret);
	case KIND_ZERO:
		memset(ret, 0, TDO_HASH_MAX);
		return true;
	default:
		hash_run(m, data, len, esn, ret);
		return true;
	}
}
