/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver for nettle: the one that has Twofish, and an implementation of everything else that
 * is independent of the other two.  MACs are in drv_nettle_mac.c.
 *
 * Keys are structures that are read-only once they are set, so that workers share them; what
 * changes with a packet is on the stack.
 */
#include <errno.h>

#include <nettle/blowfish.h>
#include <nettle/cast128.h>
#include <nettle/cbc.h>
#include <nettle/ccm.h>
#include <nettle/chacha-poly1305.h>
#include <nettle/ctr.h>
#include <nettle/des.h>
#include <nettle/gcm.h>
#include <nettle/twofish.h>

#include "crypto/drv_nettle.h"

enum mode { MODE_NONE, MODE_CBC, MODE_CTR, MODE_GCM, MODE_GMAC, MODE_CCM, MODE_CHACHA };

enum { KEY_ALIGN = 16, TAG_LEN = 16 };

struct nettle_session {
	uint8_t mode;
	bool encrypt, esn, half_iv;
	uint8_t iv_len, icv_len, block;
	struct tdo_nonce nonce;
	const struct nettle_cipher *cipher;
	const void *key;                   /* of the cipher, or a chacha_poly1305_ctx */
	const struct gcm_key *gcm;         /* GCM and GMAC */
	const struct nettle_mac_key *mac;  /* or NULL */
	_Alignas(KEY_ALIGN) uint8_t own[]; /* the keys, in this order; none with a twin's */
};

/* ---- block ciphers ------------------------------------------------------------------ */

/* Those for which nettle has no struct nettle_cipher, or not one for our lengths of key. */
#define CIPHER(name, crypt, type, block)                                                           \
	static void name##_encrypt_any(                                                            \
	    const void *ctx, size_t len, uint8_t *dst, const uint8_t *src)                         \
	{                                                                                          \
		crypt##_encrypt((const struct type *)ctx, len, dst, src);                          \
	}                                                                                          \
	static void name##_decrypt_any(                                                            \
	    const void *ctx, size_t len, uint8_t *dst, const uint8_t *src)                         \
	{                                                                                          \
		crypt##_decrypt((const struct type *)ctx, len, dst, src);                          \
	}                                                                                          \
	static const struct nettle_cipher name##_any = {#name, sizeof(struct type), (block), 0,    \
	    NULL, NULL, name##_encrypt_any, name##_decrypt_any}

CIPHER(twofish, twofish, twofish_ctx, TWOFISH_BLOCK_SIZE);

static void
set_twofish(void *ctx, size_t len, const uint8_t *key)
{
	twofish_set_key(ctx, len, key);
}

#ifdef TDO_LEGACY
CIPHER(des, des, des_ctx, DES_BLOCK_SIZE);
CIPHER(des3, des3, des3_ctx, DES3_BLOCK_SIZE);
CIPHER(cast5, cast128, cast128_ctx, CAST128_BLOCK_SIZE);
CIPHER(blowfish, blowfish, blowfish_ctx, BLOWFISH_BLOCK_SIZE);

static void
set_des(void *ctx, size_t len, const uint8_t *key)
{
	(void)len;
	des_set_key(ctx, key); /* what it returns is about weak keys */
}

static void
set_des3(void *ctx, size_t len, const uint8_t *key)
{
	(void)len;
	des3_set_key(ctx, key);
}

static void
set_cast5(void *ctx, size_t len, const uint8_t *key)
{
	cast5_set_key(ctx, len, key);
}

/* The key is used cyclically: said twice it is the same, and long enough for nettle. */
static void
set_blowfish(void *ctx, size_t len, const uint8_t *key)
{
	uint8_t twice[2 * BLOWFISH_MIN_KEY_SIZE];

	if (len >= BLOWFISH_MIN_KEY_SIZE) {
		blowfish_set_key(ctx, len, key);
		return;
	}
	memcpy(twice, key, len);
	memcpy(twice + len, key, len);
	blowfish_set_key(ctx, 2 * len, twice);
	tdo_wipe(twice, sizeof(twice));
}
#endif

static const struct cipher_row {
	uint8_t pfkey;   /* tdo_cipher_of() */
	uint8_t key_len; /* without salt; 0 = any that the algorithm has */
	uint8_t mode;
	const struct nettle_cipher *cipher;
	void (*set)(void *ctx, size_t len, const uint8_t *key); /* NULL: the cipher's own */
} cipher_rows[] = {
    {TDO_EALG_NULL, 0, MODE_NONE, NULL, NULL},
    {TDO_EALG_AES_CBC, 16, MODE_CBC, &nettle_aes128, NULL},
    {TDO_EALG_AES_CBC, 24, MODE_CBC, &nettle_aes192, NULL},
    {TDO_EALG_AES_CBC, 32, MODE_CBC, &nettle_aes256, NULL},
    {TDO_EALG_AES_CTR, 16, MODE_CTR, &nettle_aes128, NULL},
    {TDO_EALG_AES_CTR, 24, MODE_CTR, &nettle_aes192, NULL},
    {TDO_EALG_AES_CTR, 32, MODE_CTR, &nettle_aes256, NULL},
    {TDO_EALG_AES_GCM_16, 16, MODE_GCM, &nettle_aes128, NULL},
    {TDO_EALG_AES_GCM_16, 24, MODE_GCM, &nettle_aes192, NULL},
    {TDO_EALG_AES_GCM_16, 32, MODE_GCM, &nettle_aes256, NULL},
    {TDO_EALG_AES_CCM_16, 16, MODE_CCM, &nettle_aes128, NULL},
    {TDO_EALG_AES_CCM_16, 24, MODE_CCM, &nettle_aes192, NULL},
    {TDO_EALG_AES_CCM_16, 32, MODE_CCM, &nettle_aes256, NULL},
    {TDO_EALG_CHACHA20_POLY1305, 0, MODE_CHACHA, NULL, NULL},
    {TDO_EALG_CAMELLIA_CBC, 16, MODE_CBC, &nettle_camellia128, NULL},
    {TDO_EALG_CAMELLIA_CBC, 24, MODE_CBC, &nettle_camellia192, NULL},
    {TDO_EALG_CAMELLIA_CBC, 32, MODE_CBC, &nettle_camellia256, NULL},
    {TDO_EALG_TWOFISH_CBC, 0, MODE_CBC, &twofish_any, set_twofish},
#ifdef TDO_LEGACY
    {TDO_EALG_3DES_CBC, 0, MODE_CBC, &des3_any, set_des3},
    {TDO_EALG_DES_CBC, 0, MODE_CBC, &des_any, set_des},
    {TDO_EALG_CAST128_CBC, 0, MODE_CBC, &cast5_any, set_cast5},
    {TDO_EALG_BLOWFISH_CBC, 0, MODE_CBC, &blowfish_any, set_blowfish},
#endif
};

/* key_len: without salt; 0 = the first. */
static const struct cipher_row *
find_cipher(const struct tdo_alg *enc, unsigned key_len)
{
	for (size_t i = 0; i < sizeof(cipher_rows) / sizeof(cipher_rows[0]); i++) {
		const struct cipher_row *r = &cipher_rows[i];

		if (r->pfkey == tdo_cipher_of(enc) &&
		    (key_len == 0 || r->key_len == 0 || r->key_len == key_len))
			return r;
	}
	return NULL;
}

/* ---- AEADs -------------------------------------------------------------------------- */

/* The header, with ESN esn_hi in its middle (RFC 4106 5); returns its length. */
static size_t
make_aad(const struct nettle_session *ns, const struct tdo_op *op,
    uint8_t buf[TDO_AEAD_HLEN + TDO_ESN_LEN], const uint8_t **ret)
{
	*ret = op->data;
	if (!ns->esn)
		return op->hdr_len;
	tdo_esn_aad(op, buf);
	*ret = buf;
	return TDO_AEAD_HLEN + TDO_ESN_LEN;
}

/* RFC 4543 3.3: all is AAD; nettle wants whole blocks up to the last. */
static void
gmac_update(const struct nettle_session *ns, struct gcm_ctx *g, const struct tdo_op *op)
{
	const uint8_t *data = op->data;
	size_t len = (size_t)op->hdr_len + ns->iv_len + op->text_len;
	uint8_t first[GCM_BLOCK_SIZE];

	if (ns->esn) {
		tdo_esn_aad(op, first);
		memcpy(first + TDO_AEAD_HLEN + TDO_ESN_LEN, data + TDO_AEAD_HLEN, 4);
		gcm_update(g, ns->gcm, sizeof(first), first);
		data += TDO_AEAD_HLEN + 4;
		len -= TDO_AEAD_HLEN + 4;
	}
	gcm_update(g, ns->gcm, len, data);
}

static void
gcm_run(const struct nettle_session *ns, struct tdo_op *op, uint8_t *text, uint8_t tag[TAG_LEN])
{
	uint8_t nonce[TDO_NONCE_MAX], buf[TDO_AEAD_HLEN + TDO_ESN_LEN];
	nettle_cipher_func *f = ns->cipher->encrypt;
	const uint8_t *aad;
	struct gcm_ctx g;
	size_t len;

	tdo_nonce_make(&ns->nonce, op, nonce);
	gcm_set_iv(&g, ns->gcm, sizeof(nonce), nonce);
	if (ns->mode == MODE_GMAC) {
		gmac_update(ns, &g, op);
	} else {
		len = make_aad(ns, op, buf, &aad);
		gcm_update(&g, ns->gcm, len, aad);
		if (ns->encrypt)
			gcm_encrypt(&g, ns->gcm, ns->key, f, op->text_len, text, text);
		else
			gcm_decrypt(&g, ns->gcm, ns->key, f, op->text_len, text, text);
	}
	gcm_digest(&g, ns->gcm, ns->key, f, TAG_LEN, tag);
	tdo_wipe(&g, sizeof(g));
}

static void
chacha_run(const struct nettle_session *ns, struct tdo_op *op, uint8_t *text, uint8_t tag[TAG_LEN])
{
	uint8_t nonce[TDO_NONCE_MAX], buf[TDO_AEAD_HLEN + TDO_ESN_LEN];
	struct chacha_poly1305_ctx c;
	const uint8_t *aad;
	size_t len = make_aad(ns, op, buf, &aad);

	memcpy(&c, ns->key, sizeof(c));
	tdo_nonce_make(&ns->nonce, op, nonce);
	chacha_poly1305_set_nonce(&c, nonce);
	chacha_poly1305_update(&c, len, aad);
	if (ns->encrypt)
		chacha_poly1305_encrypt(&c, op->text_len, text, text);
	else
		chacha_poly1305_decrypt(&c, op->text_len, text, text);
	chacha_poly1305_digest(&c, TAG_LEN, tag);
	tdo_wipe(&c, sizeof(c));
}

/* The tag stands behind the payload, where nettle wants it. */
static uint8_t
ccm_one(const struct nettle_session *ns, struct tdo_op *op, uint8_t *text)
{
	uint8_t nonce[TDO_NONCE_MAX], buf[TDO_AEAD_HLEN + TDO_ESN_LEN];
	size_t nonce_len = (size_t)ns->nonce.salt_len + TDO_NONCE_IV_LEN, len;
	nettle_cipher_func *f = ns->cipher->encrypt;
	const uint8_t *aad;

	tdo_nonce_make(&ns->nonce, op, nonce);
	len = make_aad(ns, op, buf, &aad);
	if (ns->encrypt) {
		ccm_encrypt_message(ns->key, f, nonce_len, nonce, len, aad, ns->icv_len,
		    (size_t)op->text_len + ns->icv_len, text, text);
		return TDO_OP_OK;
	}
	return ccm_decrypt_message(
		   ns->key, f, nonce_len, nonce, len, aad, ns->icv_len, op->text_len, text, text)
		   ? TDO_OP_OK
		   : TDO_OP_BAD_ICV;
}

static uint8_t
aead_one(const struct nettle_session *ns, struct tdo_op *op)
{
	uint8_t *text = op->data + op->hdr_len + ns->iv_len, *icv = text + op->text_len;
	uint8_t tag[TAG_LEN];

	if (!tdo_aead_ok(&ns->nonce, op))
		return TDO_OP_ERROR;
	if (ns->mode == MODE_CCM)
		return ccm_one(ns, op, text);
	if (ns->mode == MODE_CHACHA)
		chacha_run(ns, op, text, tag);
	else
		gcm_run(ns, op, text, tag);
	if (ns->encrypt)
		memcpy(icv, tag, ns->icv_len);
	else if (!tdo_ct_equal(icv, tag, ns->icv_len))
		return TDO_OP_BAD_ICV;
	return TDO_OP_OK;
}

static void
process_aead(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	for (unsigned i = 0; i < n; i++)
		ops[i].status = aead_one((const void *)ops[i].session->ctx, &ops[i]);
}

/* ---- ciphers and MACs --------------------------------------------------------------- */

static void
crypt(const struct nettle_session *ns, struct tdo_op *op)
{
	uint8_t *iv = op->data + op->hdr_len, *text = iv + ns->iv_len, made[TDO_AES_BLOCK];
	const struct nettle_cipher *c = ns->cipher;

	if (ns->mode == MODE_NONE)
		return;
	if (ns->mode == MODE_CTR) {
		/* RFC 3686 4: nonce, IV, and a block counter from 1 on. */
		tdo_nonce_make(&ns->nonce, op, made);
		tdo_put_be32(made + TDO_NONCE_MAX, 1);
		ctr_crypt(ns->key, c->encrypt, TDO_AES_BLOCK, made, op->text_len, text, text);
		return;
	}
	if (ns->half_iv)
		tdo_half_iv_make(op, made);
	else
		memcpy(made, iv, ns->iv_len);
	if (ns->encrypt)
		cbc_encrypt(ns->key, c->encrypt, c->block_size, made, op->text_len, text, text);
	else
		cbc_decrypt(ns->key, c->decrypt, c->block_size, made, op->text_len, text, text);
}

static void
mac(const struct nettle_session *ns, const struct tdo_op *op, uint8_t ret[TDO_HASH_MAX])
{
	size_t len = (size_t)op->hdr_len + ns->iv_len + op->text_len;
	uint8_t esn[TDO_ESN_LEN];

	tdo_put_be32(esn, op->esn_hi);
	tdo_nettle_mac_run(ns->mac, op->data, len, ns->esn ? esn : NULL, ret);
}

static uint8_t
chain_one(const struct nettle_session *ns, struct tdo_op *op)
{
	uint8_t *icv = op->data + op->hdr_len + ns->iv_len + op->text_len, tag[TDO_HASH_MAX];

	if (!tdo_op_ok(op, ns->iv_len, ns->block) ||
	    (ns->half_iv && op->hdr_len != TDO_HALF_IV_HLEN))
		return TDO_OP_ERROR;
	if (ns->encrypt)
		crypt(ns, op);
	if (ns->mac) {
		mac(ns, op, tag);
		if (ns->encrypt)
			memcpy(icv, tag, ns->icv_len);
		else if (!tdo_ct_equal(icv, tag, ns->icv_len))
			return TDO_OP_BAD_ICV;
	}
	if (!ns->encrypt)
		crypt(ns, op);
	return TDO_OP_OK;
}

static void
process_chain(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	for (unsigned i = 0; i < n; i++)
		ops[i].status = chain_one((const void *)ops[i].session->ctx, &ops[i]);
}

/* ---- sessions ----------------------------------------------------------------------- */

static const struct cipher_row *
row_of(const struct tdo_session_param *p)
{
	return find_cipher(p->enc, p->enc ? (unsigned)p->ekey_len - p->enc->salt_len : 0);
}

/* True when the two directions have different keys. */
static bool
two_keys(const struct cipher_row *r)
{
	return r->mode == MODE_CBC && r->set == NULL;
}

static size_t
round_up(size_t n)
{
	return (n + KEY_ALIGN - 1) & ~(size_t)(KEY_ALIGN - 1);
}

/* Sizes of the keys that the session of p has of its own. */
static void
own_sizes(const struct tdo_session_param *p, size_t *ret_key, size_t *ret_gcm, size_t *ret_mac)
{
	const struct cipher_row *r = row_of(p);

	*ret_key = *ret_gcm = *ret_mac = 0;
	if (p->twin == NULL || two_keys(r))
		*ret_key = round_up(r->mode == MODE_CHACHA ? sizeof(struct chacha_poly1305_ctx)
				    : r->cipher            ? r->cipher->context_size
							   : 0);
	if (p->twin == NULL && r->mode == MODE_GCM)
		*ret_gcm = sizeof(struct gcm_key);
	if (p->twin == NULL && p->auth)
		*ret_mac = tdo_nettle_mac_size(p->auth);
}

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	size_t key, gcm, mac_len;

	(void)state;
	own_sizes(p, &key, &gcm, &mac_len);
	return sizeof(struct nettle_session) + key + gcm + mac_len;
}

static void
set_key(const struct cipher_row *r, const struct tdo_session_param *p, void *key)
{
	unsigned len = (unsigned)p->ekey_len - p->enc->salt_len;

	if (r->mode == MODE_CHACHA)
		chacha_poly1305_set_key(key, p->ekey);
	else if (r->set)
		r->set(key, len, p->ekey);
	else if (two_keys(r) && !p->encrypt)
		r->cipher->set_decrypt_key(key, p->ekey);
	else
		r->cipher->set_encrypt_key(key, p->ekey);
}

/* Keys of its own, or the twin's. */
static void
init_keys(const struct cipher_row *r, const struct tdo_session_param *p, struct nettle_session *ns)
{
	const struct nettle_session *twin = p->twin ? (const void *)p->twin->ctx : NULL;
	size_t key, gcm, mac_len;

	own_sizes(p, &key, &gcm, &mac_len);
	if (twin) {
		ns->key = twin->key;
		ns->gcm = twin->gcm;
		ns->mac = twin->mac;
	}
	if (key) {
		set_key(r, p, ns->own);
		ns->key = ns->own;
	}
	if (gcm) {
		gcm_set_key((void *)(ns->own + key), ns->key, r->cipher->encrypt);
		ns->gcm = (const void *)(ns->own + key);
	}
	if (mac_len) {
		tdo_nettle_mac_init((void *)(ns->own + key + gcm), p);
		ns->mac = (const void *)(ns->own + key + gcm);
	}
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct nettle_session *ns = (void *)s->ctx;
	const struct cipher_row *r = row_of(p);
	bool aead = p->enc && p->enc->kind == TDO_ALG_AEAD;

	(void)state;
	s->process = aead ? process_aead : process_chain;
	ns->mode = r->mode;
	ns->cipher = r->cipher;
	ns->encrypt = p->encrypt;
	ns->esn = p->esn;
	ns->block = 1;
	if (p->enc) {
		ns->iv_len = p->enc->iv_len;
		ns->block = p->enc->block;
		ns->half_iv = p->enc->pfkey == TDO_EALG_DES_HALF_IV;
		ns->nonce = tdo_nonce_of(p);
		if (p->enc->pfkey == TDO_EALG_AES_GMAC)
			ns->mode = MODE_GMAC;
	}
	ns->icv_len = p->auth ? p->auth->icv_len : aead ? p->enc->icv_len : 0;
	init_keys(r, p, ns);
	return 0;
}

/* ---- driver ------------------------------------------------------------------------- */

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	(void)cfg;
	*ret_state = NULL;
	return 0;
}

static void
stop(void *state)
{
	(void)state;
}

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	(void)state;
	return find_cipher(enc, key_len) && (auth == NULL || tdo_nettle_mac_supports(auth));
}

const struct tdo_driver tdo_driver_nettle = {
    .name = "nettle",
    .start = start,
    .stop = stop,
    .supports = supports,
    .session_size = session_size,
    .session_init = session_init,
};
