/* SPDX-License-Identifier: BSD-2-Clause */
/* AES-GCM (RFC 4106, RFC 8750) and AES-GMAC (RFC 4543) of the ipsec-mb driver. */
#include "crypto/drv_ipsecmb.h"

enum { TAG_LEN = 16, BLOCK_LEN = 16 };

struct mb_gcm {
	const struct gcm_key_data *key; /* own, or the twin's */
	union {
		aes_gcm_enc_dec_t gcm;
		struct {
			aes_gmac_init_t init;
			aes_gmac_update_t update;
			aes_gmac_finalize_t finalize;
		} gmac;
	} run;
	struct tdo_nonce nonce;
	uint8_t icv_len;
	bool encrypt;
	/* On a cache line, as the vector code wants it. */
	_Alignas(TDO_CACHE_LINE) struct gcm_key_data own[];
};

/*
 * Nonces and, with ESN, AADs are made for a chunk of packets before the first is processed:
 * the library loads them as vectors, and a load right behind the narrower stores that make
 * up the bytes would wait for these to reach the cache.
 */
struct gcm_input {
	uint8_t nonce[16]; /* 12 are used */
	uint8_t aad[16];   /* 12 are used, with ESN */
};

/* Functions with this take lengths that are constants in the common case. */
#define INLINE static inline __attribute__((always_inline))

INLINE const struct mb_gcm *
gcm_of(const struct tdo_op *op)
{
	return (const void *)op->session->ctx;
}

/*
 * What differs between sessions is constant in the common case: "any" is true for the others.
 */
INLINE unsigned
iv_len_of(const struct tdo_op *op, bool any)
{
	return any ? gcm_of(op)->nonce.iv_len : TDO_NONCE_IV_LEN;
}

INLINE unsigned
icv_len_of(const struct tdo_op *op, bool any)
{
	return any ? gcm_of(op)->icv_len : TAG_LEN;
}

/* Checks the operations and makes their inputs. */
INLINE void
prepare(struct tdo_op *ops, unsigned n, struct gcm_input *in, bool any)
{
	for (unsigned i = 0; i < n; i++) {
		struct tdo_nonce nonce = gcm_of(&ops[i])->nonce;

		nonce.salt_len = 4;
		nonce.iv_len = (uint8_t)iv_len_of(&ops[i], any);
		ops[i].status = tdo_aead_ok(&nonce, &ops[i]) ? TDO_OP_OK : TDO_OP_ERROR;
		if (ops[i].status != TDO_OP_OK)
			continue;
		tdo_nonce_make(&nonce, &ops[i], in[i].nonce);
		if (nonce.esn)
			tdo_esn_aad(&ops[i], in[i].aad);
	}
}

/* Encrypts or decrypts; the tag that belongs to the result goes to tag. */
INLINE void
run(struct gcm_context_data *scratch, const struct gcm_input *in, struct tdo_op *op, uint8_t *tag,
    bool any)
{
	const struct mb_gcm *g = gcm_of(op);
	bool esn = g->nonce.esn;
	uint8_t *text = op->data + op->hdr_len + iv_len_of(op, any);

	g->run.gcm(g->key, scratch, text, text, op->text_len, in->nonce, esn ? in->aad : op->data,
	    esn ? TDO_AEAD_HLEN + TDO_ESN_LEN : op->hdr_len, tag, icv_len_of(op, any));
}

INLINE uint8_t *
icv_of(const struct tdo_op *op, bool any)
{
	return op->data + op->hdr_len + iv_len_of(op, any) + op->text_len;
}

INLINE void
encrypt(struct tdo_op *ops, unsigned n, bool any)
{
	struct gcm_context_data scratch;
	struct gcm_input in[MB_CHUNK];

	for (unsigned k; n > 0; ops += k, n -= k) {
		k = n < MB_CHUNK ? n : MB_CHUNK;
		prepare(ops, k, in, any);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK)
				run(&scratch, &in[i], &ops[i], icv_of(&ops[i], any), any);
	}
	tdo_wipe(&scratch, sizeof(scratch));
}

INLINE void
decrypt(struct tdo_op *ops, unsigned n, bool any)
{
	struct gcm_context_data scratch;
	struct gcm_input in[MB_CHUNK];
	uint8_t tag[MB_CHUNK][TAG_LEN];

	for (unsigned k; n > 0; ops += k, n -= k) {
		k = n < MB_CHUNK ? n : MB_CHUNK;
		prepare(ops, k, in, any);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK)
				run(&scratch, &in[i], &ops[i], tag[i], any);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK &&
			    !tdo_ct_equal(tag[i], icv_of(&ops[i], any), icv_len_of(&ops[i], any)))
				ops[i].status = TDO_OP_BAD_ICV;
	}
	tdo_wipe(&scratch, sizeof(scratch));
}

/* aes-gcm-16, which all the world uses */
static void
encrypt_16(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	encrypt(ops, n, false);
}

static void
decrypt_16(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	decrypt(ops, n, false);
}

/* shorter tags, no IV */
static void
encrypt_any(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	encrypt(ops, n, true);
}

static void
decrypt_any(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	decrypt(ops, n, true);
}

/* ---- GMAC --------------------------------------------------------------------------- */

/* RFC 4543 3.3: the AAD is header (with ESN), IV and payload. */
static void
gmac_run(const struct mb_gcm *g, struct gcm_context_data *c, const struct tdo_op *op, uint8_t *tag)
{
	const uint8_t *data = op->data;
	uint64_t len = (uint64_t)op->hdr_len + g->nonce.iv_len + op->text_len;
	uint8_t nonce[TDO_NONCE_MAX], first[BLOCK_LEN];

	tdo_nonce_make(&g->nonce, op, nonce);
	g->run.gmac.init(g->key, c, nonce, sizeof(nonce));
	if (g->nonce.esn) {
		/* esn_hi in the middle of the header, and from the IV what fills the block. */
		tdo_esn_aad(op, first);
		memcpy(first + TDO_AEAD_HLEN + TDO_ESN_LEN, data + TDO_AEAD_HLEN, 4);
		g->run.gmac.update(g->key, c, first, sizeof(first));
		data += TDO_AEAD_HLEN + 4;
		len -= TDO_AEAD_HLEN + 4;
	}
	g->run.gmac.update(g->key, c, data, len);
	g->run.gmac.finalize(g->key, c, tag, TAG_LEN);
}

static void
gmac(unsigned worker, struct tdo_op *ops, unsigned n)
{
	struct gcm_context_data scratch;
	uint8_t tag[TAG_LEN];

	(void)worker;
	for (unsigned i = 0; i < n; i++) {
		const struct mb_gcm *g = gcm_of(&ops[i]);
		uint8_t *icv = icv_of(&ops[i], true);

		ops[i].status = tdo_aead_ok(&g->nonce, &ops[i]) ? TDO_OP_OK : TDO_OP_ERROR;
		if (ops[i].status != TDO_OP_OK)
			continue;
		gmac_run(g, &scratch, &ops[i], g->encrypt ? icv : tag);
		if (!g->encrypt && !tdo_ct_equal(tag, icv, TAG_LEN))
			ops[i].status = TDO_OP_BAD_ICV;
	}
	tdo_wipe(&scratch, sizeof(scratch));
}

/* ---- sessions ----------------------------------------------------------------------- */

size_t
tdo_mb_gcm_size(const struct tdo_session_param *p)
{
	return sizeof(struct mb_gcm) + (p->twin ? 0 : sizeof(struct gcm_key_data));
}

static void
expand(IMB_MGR *m, const uint8_t *key, unsigned len, struct gcm_key_data *ret)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		IMB_AES128_GCM_PRE(m, key, ret);
		break;
	case IMB_KEY_192_BYTES:
		IMB_AES192_GCM_PRE(m, key, ret);
		break;
	default:
		IMB_AES256_GCM_PRE(m, key, ret);
		break;
	}
}

static void
choose_gcm(const IMB_MGR *m, struct mb_gcm *g, unsigned len)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		g->run.gcm = g->encrypt ? m->gcm128_enc : m->gcm128_dec;
		break;
	case IMB_KEY_192_BYTES:
		g->run.gcm = g->encrypt ? m->gcm192_enc : m->gcm192_dec;
		break;
	default:
		g->run.gcm = g->encrypt ? m->gcm256_enc : m->gcm256_dec;
		break;
	}
}

static void
choose_gmac(const IMB_MGR *m, struct mb_gcm *g, unsigned len)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		g->run.gmac.init = m->gmac128_init;
		g->run.gmac.update = m->gmac128_update;
		g->run.gmac.finalize = m->gmac128_finalize;
		break;
	case IMB_KEY_192_BYTES:
		g->run.gmac.init = m->gmac192_init;
		g->run.gmac.update = m->gmac192_update;
		g->run.gmac.finalize = m->gmac192_finalize;
		break;
	default:
		g->run.gmac.init = m->gmac256_init;
		g->run.gmac.update = m->gmac256_update;
		g->run.gmac.finalize = m->gmac256_finalize;
		break;
	}
}

void
tdo_mb_gcm_init(IMB_MGR *m, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct mb_gcm *g = (void *)s->ctx;
	const struct mb_gcm *twin = mb_twin(p);
	unsigned key_len = p->ekey_len - p->enc->salt_len;

	g->nonce = tdo_nonce_of(p);
	g->icv_len = p->enc->icv_len;
	g->encrypt = p->encrypt;
	g->key = twin ? twin->key : g->own;
	if (!twin)
		expand(m, p->ekey, key_len, g->own);
	if (p->enc->pfkey == TDO_EALG_AES_GMAC) {
		choose_gmac(m, g, key_len);
		s->process = gmac;
		return;
	}
	choose_gcm(m, g, key_len);
	if (p->enc->pfkey == TDO_EALG_AES_GCM_16)
		s->process = p->encrypt ? encrypt_16 : decrypt_16;
	else
		s->process = p->encrypt ? encrypt_any : decrypt_any;
}
