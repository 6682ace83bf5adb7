/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver for OpenSSL 3: has every algorithm, as far as the providers are installed.
 *
 * It works in a library context of its own, so that loading the legacy provider changes
 * nothing for the rest of the process.  Cipher contexts are made per session and worker
 * with their key set; per packet they only get an IV.
 *
 * HMAC is built here on the plain digest functions, which OpenSSL calls deprecated: a
 * digest state is a structure there, so that the state after the key block is made once
 * and copied for each packet.  Every way through EVP_MD and EVP_MAC allocates a new state
 * for each of the two digest runs, and a packet must not take memory.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <errno.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/provider.h>
#include <openssl/sha.h>

#include "crypto/alg.h"
#include "crypto/driver.h"

static const struct cipher_row {
	uint8_t pfkey;
	uint8_t key_len; /* without salt; 0 = any that the algorithm has */
	const char *name;
} cipher_rows[] = {
    {TDO_EALG_AES_GCM_16, 16, "AES-128-GCM"}, {TDO_EALG_AES_GCM_16, 24, "AES-192-GCM"},
    {TDO_EALG_AES_GCM_16, 32, "AES-256-GCM"}, {TDO_EALG_AES_CBC, 16, "AES-128-CBC"},
    {TDO_EALG_AES_CBC, 24, "AES-192-CBC"}, {TDO_EALG_AES_CBC, 32, "AES-256-CBC"},
    {TDO_EALG_3DES_CBC, 0, "DES-EDE3-CBC"},
    {TDO_EALG_BLOWFISH_CBC, 0, "BF-CBC"}, /* legacy provider */
};

#define NCIPHERS (sizeof(cipher_rows) / sizeof(cipher_rows[0]))

struct ossl_state {
	struct tdo_mem mem;
	struct tdo_block block;
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *base, *legacy;
	EVP_CIPHER *cipher[NCIPHERS]; /* NULL: not in the installed providers */
	unsigned nworkers;
};

union digest {
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
};

struct ossl_session {
	bool encrypt, esn;
	uint8_t aalg; /* 0: no MAC */
	uint8_t iv_len, icv_len, block, salt_len;
	uint8_t salt[8];
	union digest inner, outer; /* after the key block of RFC 2104 */
	unsigned nworkers;
	EVP_CIPHER_CTX *cipher[]; /* one for each worker; none when there is nothing to encrypt */
};

/* ---- driver state ------------------------------------------------------------------- */

static void
stop(void *state)
{
	struct ossl_state *st = state;

	for (unsigned i = 0; i < NCIPHERS; i++)
		EVP_CIPHER_free(st->cipher[i]);
	if (st->legacy)
		OSSL_PROVIDER_unload(st->legacy);
	if (st->base)
		OSSL_PROVIDER_unload(st->base);
	OSSL_LIB_CTX_free(st->lib);
	tdo_block_free(st->mem, st->block);
}

/* Fetches all algorithms; those of a provider that is not installed stay NULL. */
static int
fetch(struct ossl_state *st)
{
	st->lib = OSSL_LIB_CTX_new();
	if (st->lib == NULL)
		return -ENOMEM;
	st->base = OSSL_PROVIDER_load(st->lib, "default");
	if (st->base == NULL)
		return -ENOTSUP;
	st->legacy = OSSL_PROVIDER_load(st->lib, "legacy");
	for (unsigned i = 0; i < NCIPHERS; i++)
		st->cipher[i] = EVP_CIPHER_fetch(st->lib, cipher_rows[i].name, NULL);
	return 0;
}

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	struct tdo_block block;
	struct ossl_state *st = tdo_block_alloc(&cfg->mem, sizeof(*st), &block);
	int err;

	if (st == NULL)
		return -ENOMEM;
	st->mem = cfg->mem;
	st->block = block;
	st->nworkers = cfg->nworkers;
	ERR_set_mark(); /* what is missing is no error of the process */
	err = fetch(st);
	ERR_pop_to_mark();
	if (err)
		stop(st);
	else
		*ret_state = st;
	return err;
}

/* Index of the cipher for this key length (without salt; 0 = the first), or -1. */
static int
find_cipher(const struct ossl_state *st, const struct tdo_alg *a, unsigned key_len)
{
	for (int i = 0; i < (int)NCIPHERS; i++) {
		const struct cipher_row *r = &cipher_rows[i];

		if (r->pfkey != a->pfkey || st->cipher[i] == NULL)
			continue;
		if (key_len == 0 || r->key_len == 0 || r->key_len == key_len)
			return i;
	}
	return -1;
}

/* True when there is something to encrypt. */
static bool
has_cipher(const struct tdo_alg *enc)
{
	return enc && enc->pfkey != TDO_EALG_NULL;
}

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	const struct ossl_state *st = state;

	if (has_cipher(enc) && find_cipher(st, enc, 0) < 0)
		return false;
	return auth == NULL || auth->pfkey == TDO_AALG_HMAC_MD5 ||
	       auth->pfkey == TDO_AALG_HMAC_SHA1 || auth->pfkey == TDO_AALG_HMAC_SHA256;
}

/* ---- packets ------------------------------------------------------------------------ */

static bool
gcm_run(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op, uint8_t *text)
{
	uint8_t nonce[16], esn_aad[TDO_AEAD_HLEN + TDO_ESN_LEN];
	const uint8_t *aad = op->data;
	int aad_len = (int)op->hdr_len, len;

	memcpy(nonce, os->salt, os->salt_len);
	memcpy(nonce + os->salt_len, op->data + op->hdr_len, os->iv_len);
	if (os->esn) {
		tdo_esn_aad(op, esn_aad);
		aad = esn_aad;
		aad_len = sizeof(esn_aad);
	}
	if (EVP_CipherInit_ex2(c, NULL, NULL, nonce, -1, NULL) != 1)
		return false;
	if (EVP_CipherUpdate(c, NULL, &len, aad, aad_len) != 1)
		return false;
	return op->text_len == 0 || EVP_CipherUpdate(c, text, &len, text, (int)op->text_len) == 1;
}

static uint8_t
gcm_one(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op)
{
	uint8_t *text = op->data + op->hdr_len + os->iv_len, *icv = text + op->text_len;
	uint8_t none[1];
	int len;

	if (!tdo_op_ok(op, os->iv_len, os->block) || (os->esn && op->hdr_len != TDO_AEAD_HLEN))
		return TDO_OP_ERROR;
	if (!gcm_run(os, c, op, text))
		return TDO_OP_ERROR;
	if (os->encrypt) {
		if (EVP_CipherFinal_ex(c, none, &len) != 1)
			return TDO_OP_ERROR;
		return EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, os->icv_len, icv) == 1
			   ? TDO_OP_OK
			   : TDO_OP_ERROR;
	}
	if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, os->icv_len, icv) != 1)
		return TDO_OP_ERROR;
	return EVP_CipherFinal_ex(c, none, &len) == 1 ? TDO_OP_OK : TDO_OP_BAD_ICV;
}

static void
process_aead(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	const struct ossl_session *os = (const void *)s->ctx;

	for (unsigned i = 0; i < n; i++)
		ops[i].status = gcm_one(os, os->cipher[worker], &ops[i]);
}

static bool
cbc(EVP_CIPHER_CTX *c, struct tdo_op *op, unsigned iv_len)
{
	uint8_t *iv = op->data + op->hdr_len, *text = iv + iv_len;
	int len;

	if (c == NULL || op->text_len == 0)
		return true;
	return EVP_CipherInit_ex2(c, NULL, NULL, iv, -1, NULL) == 1 &&
	       EVP_CipherUpdate(c, text, &len, text, (int)op->text_len) == 1;
}

static void
digest_update(uint8_t aalg, union digest *d, const void *p, size_t len)
{
	switch (aalg) {
	case TDO_AALG_HMAC_MD5:
		MD5_Update(&d->md5, p, len);
		break;
	case TDO_AALG_HMAC_SHA1:
		SHA1_Update(&d->sha1, p, len);
		break;
	default:
		SHA256_Update(&d->sha256, p, len);
		break;
	}
}

/* Writes the digest, and returns its length. */
static size_t
digest_final(uint8_t aalg, union digest *d, uint8_t ret[SHA256_DIGEST_LENGTH])
{
	switch (aalg) {
	case TDO_AALG_HMAC_MD5:
		MD5_Final(ret, &d->md5);
		return MD5_DIGEST_LENGTH;
	case TDO_AALG_HMAC_SHA1:
		SHA1_Final(ret, &d->sha1);
		return SHA_DIGEST_LENGTH;
	default:
		SHA256_Final(ret, &d->sha256);
		return SHA256_DIGEST_LENGTH;
	}
}

/* RFC 2104 2, over header, IV, payload and, with ESN, esn_hi (RFC 4303 2.2.1). */
static void
mac(const struct ossl_session *os, const struct tdo_op *op, uint8_t ret[SHA256_DIGEST_LENGTH])
{
	union digest d = os->inner;
	uint8_t esn[TDO_ESN_LEN];
	size_t len;

	digest_update(os->aalg, &d, op->data, (size_t)op->hdr_len + os->iv_len + op->text_len);
	if (os->esn) {
		tdo_put_be32(esn, op->esn_hi);
		digest_update(os->aalg, &d, esn, sizeof(esn));
	}
	len = digest_final(os->aalg, &d, ret);
	d = os->outer;
	digest_update(os->aalg, &d, ret, len);
	digest_final(os->aalg, &d, ret);
	tdo_wipe(&d, sizeof(d)); /* derived from the key */
}

static uint8_t
chain_one(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op)
{
	uint8_t *icv = op->data + op->hdr_len + os->iv_len + op->text_len;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!tdo_op_ok(op, os->iv_len, os->block))
		return TDO_OP_ERROR;
	if (os->encrypt && !cbc(c, op, os->iv_len))
		return TDO_OP_ERROR;
	if (os->aalg) {
		mac(os, op, digest);
		if (os->encrypt)
			memcpy(icv, digest, os->icv_len);
		else if (!tdo_ct_equal(icv, digest, os->icv_len))
			return TDO_OP_BAD_ICV;
	}
	return os->encrypt || cbc(c, op, os->iv_len) ? TDO_OP_OK : TDO_OP_ERROR;
}

static void
process_chain(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	const struct ossl_session *os = (const void *)s->ctx;
	EVP_CIPHER_CTX *c = os->nworkers ? os->cipher[worker] : NULL;

	for (unsigned i = 0; i < n; i++)
		ops[i].status = chain_one(os, c, &ops[i]);
}

/* ---- sessions ----------------------------------------------------------------------- */

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	const struct ossl_state *st = state;
	size_t n = has_cipher(p->enc) ? st->nworkers : 0;

	return sizeof(struct ossl_session) + n * sizeof(EVP_CIPHER_CTX *);
}

/* A context with key and direction, or NULL. */
static EVP_CIPHER_CTX *
make_cipher(const EVP_CIPHER *cipher, const struct tdo_session_param *p)
{
	int key_len = p->ekey_len - p->enc->salt_len;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c == NULL)
		return NULL;
	/* The key length comes before the key: Blowfish takes any. */
	if (EVP_CipherInit_ex2(c, cipher, NULL, NULL, p->encrypt, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_key_length(c, key_len) == 1 &&
	    EVP_CIPHER_CTX_set_padding(c, 0) == 1 &&
	    EVP_CipherInit_ex2(c, NULL, p->ekey, NULL, p->encrypt, NULL) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

/* A digest that has seen the key, zero-padded to a block and combined with x. */
static union digest
keyed_digest(const struct tdo_session_param *p, uint8_t x)
{
	uint8_t block[TDO_HMAC_BLOCK];
	union digest d;

	switch (p->auth->pfkey) {
	case TDO_AALG_HMAC_MD5:
		MD5_Init(&d.md5);
		break;
	case TDO_AALG_HMAC_SHA1:
		SHA1_Init(&d.sha1);
		break;
	default:
		SHA256_Init(&d.sha256);
		break;
	}
	tdo_hmac_pad(p->akey, p->akey_len, x, block);
	digest_update(p->auth->pfkey, &d, block, sizeof(block));
	tdo_wipe(block, sizeof(block));
	return d;
}

static int
init_cipher(const struct ossl_state *st, const struct tdo_session_param *p, struct ossl_session *os)
{
	unsigned key_len = p->ekey_len - p->enc->salt_len;
	int i = find_cipher(st, p->enc, key_len);

	if (i < 0)
		return -EOPNOTSUPP;
	os->salt_len = p->enc->salt_len;
	memcpy(os->salt, p->ekey + key_len, p->enc->salt_len);
	os->nworkers = st->nworkers;
	for (unsigned w = 0; w < st->nworkers; w++) {
		os->cipher[w] = make_cipher(st->cipher[i], p);
		if (os->cipher[w] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	const struct ossl_state *st = state;
	struct ossl_session *os = (void *)s->ctx;
	bool aead = p->enc && p->enc->kind == TDO_ALG_AEAD;
	int err = 0;

	s->process = aead ? process_aead : process_chain;
	os->encrypt = p->encrypt;
	os->esn = p->esn;
	os->iv_len = p->enc ? p->enc->iv_len : 0;
	os->block = p->enc ? p->enc->block : 1;
	os->icv_len = aead ? p->enc->icv_len : 0;
	if (p->auth) {
		os->aalg = p->auth->pfkey;
		os->icv_len = p->auth->icv_len;
		os->inner = keyed_digest(p, 0x36);
		os->outer = keyed_digest(p, 0x5c);
	}
	ERR_set_mark();
	if (has_cipher(p->enc))
		err = init_cipher(st, p, os);
	ERR_pop_to_mark();
	return err;
}

static void
session_fini(void *state, struct tdo_session *s)
{
	struct ossl_session *os = (void *)s->ctx;

	(void)state;
	for (unsigned i = 0; i < os->nworkers; i++)
		EVP_CIPHER_CTX_free(os->cipher[i]);
}

const struct tdo_driver tdo_driver_openssl = {
    .name = "openssl",
    .start = start,
    .stop = stop,
    .supports = supports,
    .session_size = session_size,
    .session_init = session_init,
    .session_fini = session_fini,
};
