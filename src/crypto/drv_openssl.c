/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver for OpenSSL 3: has every algorithm but Twofish, as far as the providers are
 * installed.  MACs are in drv_openssl_mac.c.
 *
 * It works in a library context of its own, so that loading the legacy provider changes
 * nothing for the rest of the process.  Cipher contexts are made per session and worker
 * with their key set; per packet they only get an IV.  Where the key schedules of both
 * directions are one, the second session of a pair uses the contexts of the first.
 */
#include <errno.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "crypto/drv_openssl.h"

static const struct cipher_row {
	uint8_t pfkey;   /* tdo_cipher_of() */
	uint8_t key_len; /* without salt; 0 = any that the algorithm has */
	const char *name;
} cipher_rows[] = {
    {TDO_EALG_AES_CBC, 16, "AES-128-CBC"}, /* first: the MACs out of AES use it */
    {TDO_EALG_AES_CBC, 24, "AES-192-CBC"},
    {TDO_EALG_AES_CBC, 32, "AES-256-CBC"},
    {TDO_EALG_AES_GCM_16, 16, "AES-128-GCM"},
    {TDO_EALG_AES_GCM_16, 24, "AES-192-GCM"},
    {TDO_EALG_AES_GCM_16, 32, "AES-256-GCM"},
    {TDO_EALG_AES_CCM_16, 16, "AES-128-CCM"},
    {TDO_EALG_AES_CCM_16, 24, "AES-192-CCM"},
    {TDO_EALG_AES_CCM_16, 32, "AES-256-CCM"},
    {TDO_EALG_CHACHA20_POLY1305, 32, "ChaCha20-Poly1305"},
    {TDO_EALG_AES_CTR, 16, "AES-128-CTR"},
    {TDO_EALG_AES_CTR, 24, "AES-192-CTR"},
    {TDO_EALG_AES_CTR, 32, "AES-256-CTR"},
    {TDO_EALG_CAMELLIA_CBC, 16, "CAMELLIA-128-CBC"},
    {TDO_EALG_CAMELLIA_CBC, 24, "CAMELLIA-192-CBC"},
    {TDO_EALG_CAMELLIA_CBC, 32, "CAMELLIA-256-CBC"},
#ifdef TDO_LEGACY
    {TDO_EALG_3DES_CBC, 0, "DES-EDE3-CBC"},
    {TDO_EALG_DES_CBC, 0, "DES-CBC"}, /* from here on: legacy provider */
    {TDO_EALG_CAST128_CBC, 0, "CAST5-CBC"},
    {TDO_EALG_BLOWFISH_CBC, 0, "BF-CBC"},
#endif
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

struct ossl_session {
	bool encrypt, esn, half_iv;
	uint8_t cipher_of; /* tdo_cipher_of() */
	uint8_t iv_len, icv_len, block;
	struct tdo_nonce nonce;
	unsigned nworkers;             /* with a context of our own */
	EVP_CIPHER_CTX *const *cipher; /* one for each worker; NULL: nothing to encrypt */
	const struct ossl_mac *mac;
	struct ossl_mac *own_mac;
	EVP_CIPHER_CTX *own[]; /* behind it: own_mac */
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
#ifdef TDO_LEGACY
	st->legacy = OSSL_PROVIDER_load(st->lib, "legacy");
#endif
	for (unsigned i = 0; i < NCIPHERS; i++)
		st->cipher[i] = EVP_CIPHER_fetch(st->lib, cipher_rows[i].name, NULL);
	return 0;
}

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	struct tdo_block block;
	struct ossl_state *st = tdo_block_alloc(&cfg->mem, sizeof(*st), TDO_ANY_ALIGN, &block);
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
	uint8_t want = tdo_cipher_of(a);

	for (int i = 0; i < (int)NCIPHERS; i++) {
		const struct cipher_row *r = &cipher_rows[i];

		if (r->pfkey != want || st->cipher[i] == NULL)
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
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	const struct ossl_state *st = state;

	if (has_cipher(enc) && find_cipher(st, enc, key_len) < 0)
		return false;
	return auth == NULL || tdo_ossl_mac_supports(auth);
}

static const struct ossl_session *
session_of(const struct tdo_op *op)
{
	return (const void *)op->session->ctx;
}

/* ---- AEADs -------------------------------------------------------------------------- */

static bool
feed_aad(EVP_CIPHER_CTX *c, const uint8_t *p, size_t len)
{
	int n;

	return EVP_CipherUpdate(c, NULL, &n, p, (int)len) == 1;
}

static bool
feed_text(EVP_CIPHER_CTX *c, uint8_t *p, size_t len)
{
	int n;

	return EVP_CipherUpdate(c, p, &n, p, (int)len) == 1;
}

/* The header, with ESN esn_hi in its middle (RFC 4106 5). */
static bool
feed_header(const struct ossl_session *os, EVP_CIPHER_CTX *c, const struct tdo_op *op)
{
	uint8_t aad[TDO_AEAD_HLEN + TDO_ESN_LEN];

	if (!os->esn)
		return feed_aad(c, op->data, op->hdr_len);
	tdo_esn_aad(op, aad);
	return feed_aad(c, aad, sizeof(aad));
}

/* Payload and all: what the tag covers; RFC 4543 3.3: in GMAC all of it is AAD. */
static bool
feed(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op, uint8_t *text)
{
	if (!feed_header(os, c, op))
		return false;
	if (os->cipher_of == TDO_EALG_AES_GMAC)
		return feed_aad(c, op->data + op->hdr_len, os->iv_len + (size_t)op->text_len);
	return op->text_len == 0 || feed_text(c, text, op->text_len);
}

/* GCM, GMAC and ChaCha20-Poly1305: the tag comes last. */
static uint8_t
aead_one(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op)
{
	uint8_t *text = op->data + op->hdr_len + os->iv_len, *icv = text + op->text_len;
	uint8_t nonce[TDO_NONCE_MAX], none[1];
	int len;

	if (!tdo_aead_ok(&os->nonce, op))
		return TDO_OP_ERROR;
	tdo_nonce_make(&os->nonce, op, nonce);
	if (EVP_CipherInit_ex2(c, NULL, NULL, nonce, os->encrypt, NULL) != 1 ||
	    !feed(os, c, op, text))
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
process_aead(unsigned worker, struct tdo_op *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct ossl_session *os = session_of(&ops[i]);

		ops[i].status = aead_one(os, os->cipher[worker], &ops[i]);
	}
}

/*
 * CCM wants to know lengths and tag in advance, and decrypts nothing when the tag is wrong.
 * EVP_CipherUpdate() would put an error into the queue then, which takes memory.
 */
static uint8_t
ccm_one(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op)
{
	uint8_t *text = op->data + op->hdr_len + os->iv_len, *icv = text + op->text_len;
	uint8_t nonce[TDO_NONCE_MAX], *tag = os->encrypt ? NULL : icv;
	int len;

	if (!tdo_aead_ok(&os->nonce, op))
		return TDO_OP_ERROR;
	tdo_nonce_make(&os->nonce, op, nonce);
	if (EVP_CipherInit_ex2(c, NULL, NULL, nonce, os->encrypt, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, os->icv_len, tag) != 1 ||
	    EVP_CipherUpdate(c, NULL, &len, NULL, (int)op->text_len) != 1 ||
	    !feed_header(os, c, op))
		return TDO_OP_ERROR;
	if (EVP_Cipher(c, text, text, op->text_len) < 0)
		return os->encrypt ? TDO_OP_ERROR : TDO_OP_BAD_ICV;
	if (!os->encrypt)
		return TDO_OP_OK;
	return EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, os->icv_len, icv) == 1 ? TDO_OP_OK
										    : TDO_OP_ERROR;
}

static void
process_ccm(unsigned worker, struct tdo_op *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct ossl_session *os = session_of(&ops[i]);

		ops[i].status = ccm_one(os, os->cipher[worker], &ops[i]);
	}
}

/* ---- ciphers and MACs --------------------------------------------------------------- */

/* RFC 3686 4: nonce, IV, and a block counter from 1 on. */
static void
counter_block(const struct ossl_session *os, const struct tdo_op *op, uint8_t ret[TDO_AES_BLOCK])
{
	tdo_nonce_make(&os->nonce, op, ret);
	tdo_put_be32(ret + TDO_NONCE_MAX, 1);
}

static bool
crypt(const struct ossl_session *os, EVP_CIPHER_CTX *c, struct tdo_op *op)
{
	uint8_t *iv = op->data + op->hdr_len, *text = iv + os->iv_len, made[TDO_AES_BLOCK];

	if (c == NULL || op->text_len == 0)
		return true;
	if (os->half_iv)
		tdo_half_iv_make(op, made);
	else if (os->cipher_of == TDO_EALG_AES_CTR)
		counter_block(os, op, made);
	else
		memcpy(made, iv, os->iv_len);
	return EVP_CipherInit_ex2(c, NULL, NULL, made, os->encrypt, NULL) == 1 &&
	       feed_text(c, text, op->text_len);
}

static bool
mac(const struct ossl_session *os, unsigned worker, const struct tdo_op *op,
    uint8_t ret[TDO_HASH_MAX])
{
	size_t len = (size_t)op->hdr_len + os->iv_len + op->text_len;
	uint8_t esn[TDO_ESN_LEN];

	tdo_put_be32(esn, op->esn_hi);
	return tdo_ossl_mac_run(os->mac, worker, op->data, len, os->esn ? esn : NULL, ret);
}

static uint8_t
chain_one(const struct ossl_session *os, unsigned worker, struct tdo_op *op)
{
	uint8_t *icv = op->data + op->hdr_len + os->iv_len + op->text_len, tag[TDO_HASH_MAX];
	EVP_CIPHER_CTX *c = os->cipher ? os->cipher[worker] : NULL;

	if (!tdo_op_ok(op, os->iv_len, os->block) ||
	    (os->half_iv && op->hdr_len != TDO_HALF_IV_HLEN))
		return TDO_OP_ERROR;
	if (os->encrypt && !crypt(os, c, op))
		return TDO_OP_ERROR;
	if (os->mac) {
		if (!mac(os, worker, op, tag))
			return TDO_OP_ERROR;
		if (os->encrypt)
			memcpy(icv, tag, os->icv_len);
		else if (!tdo_ct_equal(icv, tag, os->icv_len))
			return TDO_OP_BAD_ICV;
	}
	return os->encrypt || crypt(os, c, op) ? TDO_OP_OK : TDO_OP_ERROR;
}

static void
process_chain(unsigned worker, struct tdo_op *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct ossl_session *os = session_of(&ops[i]);

		ops[i].status = chain_one(os, worker, &ops[i]);
	}
}

/* ---- sessions ----------------------------------------------------------------------- */

/* True when both directions can use one context: OpenSSL's of CCM know theirs. */
static bool
is_symmetric(const struct tdo_alg *enc)
{
	uint8_t c = tdo_cipher_of(enc);

	return c == TDO_EALG_AES_GCM_16 || c == TDO_EALG_CHACHA20_POLY1305 || c == TDO_EALG_AES_CTR;
}

/* Contexts that the session of p has of its own. */
static unsigned
own_contexts(const struct ossl_state *st, const struct tdo_session_param *p)
{
	if (!has_cipher(p->enc) || (p->twin && is_symmetric(p->enc)))
		return 0;
	return st->nworkers;
}

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	const struct ossl_state *st = state;

	return sizeof(struct ossl_session) + own_contexts(st, p) * sizeof(EVP_CIPHER_CTX *) +
	       (p->auth && !p->twin ? tdo_ossl_mac_size(p->auth, st->nworkers) : 0);
}

/* What comes before the key: Blowfish takes any length, CCM wants to know nonce and tag. */
static bool
set_lengths(EVP_CIPHER_CTX *c, const struct tdo_session_param *p)
{
	unsigned salt = p->enc->salt_len;

	if (tdo_cipher_of(p->enc) != TDO_EALG_AES_CCM_16)
		return EVP_CIPHER_CTX_set_key_length(c, (int)(p->ekey_len - salt)) == 1 &&
		       EVP_CIPHER_CTX_set_padding(c, 0) == 1;
	return EVP_CIPHER_CTX_ctrl(
		   c, EVP_CTRL_AEAD_SET_IVLEN, (int)salt + TDO_NONCE_IV_LEN, NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, p->enc->icv_len, NULL) == 1;
}

/* A context with key and direction, or NULL. */
static EVP_CIPHER_CTX *
make_cipher(const EVP_CIPHER *cipher, const struct tdo_session_param *p)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c == NULL)
		return NULL;
	if (EVP_CipherInit_ex2(c, cipher, NULL, NULL, p->encrypt, NULL) == 1 && set_lengths(c, p) &&
	    EVP_CipherInit_ex2(c, NULL, p->ekey, NULL, p->encrypt, NULL) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

static const struct ossl_session *
twin_of(const struct tdo_session_param *p)
{
	return (const void *)p->twin->ctx;
}

static int
init_cipher(const struct ossl_state *st, const struct tdo_session_param *p, struct ossl_session *os)
{
	unsigned n = own_contexts(st, p);
	int i = find_cipher(st, p->enc, p->ekey_len - p->enc->salt_len);

	if (i < 0)
		return -EOPNOTSUPP;
	os->nonce = tdo_nonce_of(p);
	os->cipher = n > 0 ? os->own : twin_of(p)->cipher;
	while (os->nworkers < n) {
		EVP_CIPHER_CTX *c = make_cipher(st->cipher[i], p);

		if (c == NULL)
			return -ENOMEM;
		os->own[os->nworkers++] = c;
	}
	return 0;
}

static int
init_mac(const struct ossl_state *st, const struct tdo_session_param *p, struct ossl_session *os)
{
	if (p->twin) {
		os->mac = twin_of(p)->mac;
		return 0;
	}
	os->mac = os->own_mac = (void *)(os->own + own_contexts(st, p));
	return tdo_ossl_mac_init(os->own_mac, p, st->nworkers, st->cipher[0]);
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	const struct ossl_state *st = state;
	struct ossl_session *os = (void *)s->ctx;
	bool aead = p->enc && p->enc->kind == TDO_ALG_AEAD;
	int err = 0;

	os->encrypt = p->encrypt;
	os->esn = p->esn;
	os->cipher_of = tdo_cipher_of(p->enc);
	os->half_iv = p->enc && p->enc->pfkey == TDO_EALG_DES_HALF_IV;
	os->iv_len = p->enc ? p->enc->iv_len : 0;
	os->block = p->enc ? p->enc->block : 1;
	os->icv_len = p->auth ? p->auth->icv_len : aead ? p->enc->icv_len : 0;
	s->process = !aead                                  ? process_chain
		     : os->cipher_of == TDO_EALG_AES_CCM_16 ? process_ccm
							    : process_aead;
	if (aead && p->enc->pfkey == TDO_EALG_AES_GMAC)
		os->cipher_of = TDO_EALG_AES_GMAC;
	ERR_set_mark();
	if (has_cipher(p->enc))
		err = init_cipher(st, p, os);
	if (err == 0 && p->auth)
		err = init_mac(st, p, os);
	ERR_pop_to_mark();
	return err;
}

static void
session_fini(void *state, struct tdo_session *s)
{
	struct ossl_session *os = (void *)s->ctx;

	(void)state;
	for (unsigned i = 0; i < os->nworkers; i++)
		EVP_CIPHER_CTX_free(os->own[i]);
	if (os->own_mac)
		tdo_ossl_mac_fini(os->own_mac);
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
