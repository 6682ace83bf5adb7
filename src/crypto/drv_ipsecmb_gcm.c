/* SPDX-License-Identifier: BSD-2-Clause */
/* AES-GCM (RFC 4106, RFC 8750) and AES-GMAC (RFC 4543) of the ipsec-mb driver. */
#include "crypto/drv_ipsecmb.h"

enum {
	TAG_LEN = 16,
	BLOCK_LEN = 16,
	/* Text up to this passes tdo_op_ok() behind a header of ESP. */
	USUAL_MAX = TDO_OP_LEN_MAX - TDO_AEAD_HLEN - TDO_NONCE_IV_LEN - TDO_ESN_LEN,
};

struct mb_gcm {
	const struct gcm_key_data *key; /* own, or the twin's */
	union {
		aes_gcm_enc_dec_t gcm;
		const struct mb_gmac *gmac;
	} run;
	struct tdo_nonce nonce;
	uint8_t icv_len;
	bool encrypt;
};

/* The keys stand behind it, on a cache line, as the vector code wants it. */
enum { OWN_AT = TDO_CACHE_LINE - offsetof(struct tdo_session, ctx) };

_Static_assert(sizeof(struct mb_gcm) <= OWN_AT, "what a packet needs is on one line");

/*
 * What belongs to a packet and is not in it.  The library loads nonces and AADs as vectors, and
 * a load right behind the narrower stores that make up the bytes would wait for these to reach
 * the cache.  So the next packet's are made before a packet is processed.
 */
struct aside {
	uint8_t nonce[16]; /* 12 are used */
	uint8_t aad[16];   /* 12 are used, with ESN */
	uint8_t tag[TAG_LEN];
};

/* tdo_wipe(), for which compilers make a string instruction, which takes its time to start. */
static inline void
wipe(struct gcm_context_data *scratch)
{
	typedef uint64_t __attribute__((may_alias)) word;
	volatile word *w = (volatile word *)scratch;

	_Static_assert(sizeof(*scratch) % sizeof(*w) == 0, "whole words");
	for (unsigned i = 0; i < sizeof(*scratch) / sizeof(*w); i++)
		w[i] = 0;
}

/* Functions with this are compiled for each kind. */
#define INLINE static inline __attribute__((always_inline))

/* Of sessions: aes-gcm-16, which all the world uses, without and with ESN, and all others. */
enum kind { KIND_16, KIND_16_ESN, KIND_ANY };

INLINE const struct mb_gcm *
gcm_of(const struct tdo_op *op)
{
	return (const void *)op->session->ctx;
}

INLINE unsigned
iv_len_of(const struct tdo_op *op, enum kind kind)
{
	return kind == KIND_ANY ? gcm_of(op)->nonce.iv_len : TDO_NONCE_IV_LEN;
}

INLINE unsigned
icv_len_of(const struct tdo_op *op, enum kind kind)
{
	return kind == KIND_ANY ? gcm_of(op)->icv_len : TAG_LEN;
}

INLINE bool
esn_of(const struct tdo_op *op, enum kind kind)
{
	return kind == KIND_ANY ? gcm_of(op)->nonce.esn : kind == KIND_16_ESN;
}

INLINE uint8_t *
text_of(const struct tdo_op *op, enum kind kind)
{
	return op->data + op->hdr_len + iv_len_of(op, kind);
}

INLINE uint8_t *
icv_of(const struct tdo_op *op, enum kind kind)
{
	return text_of(op, kind) + op->text_len;
}

INLINE void
prepare(const struct tdo_op *op, struct aside *a, enum kind kind)
{
	struct tdo_nonce nonce = gcm_of(op)->nonce;

	nonce.salt_len = 4;
	nonce.iv_len = (uint8_t)iv_len_of(op, kind);
	nonce.esn = esn_of(op, kind);
	tdo_nonce_make(&nonce, op, a->nonce);
	if (nonce.esn)
		tdo_esn_aad(op, a->aad);
}

/* Encrypts or decrypts; the tag that belongs to the result goes to tag. */
INLINE void
run(struct gcm_context_data *scratch, const struct aside *a, struct tdo_op *op, uint8_t *tag,
    enum kind kind)
{
	const struct mb_gcm *g = gcm_of(op);
	bool esn = esn_of(op, kind);
	uint8_t *text = text_of(op, kind);

	g->run.gcm(g->key, scratch, text, text, op->text_len, a->nonce, esn ? a->aad : op->data,
	    esn ? TDO_AEAD_HLEN + TDO_ESN_LEN : op->hdr_len, tag, icv_len_of(op, kind));
}

INLINE void
compare(struct tdo_op *op, const struct aside *a, enum kind kind)
{
	bool equal = tdo_ct_equal(a->tag, icv_of(op, kind), icv_len_of(op, kind));

	op->status = equal ? TDO_OP_OK : TDO_OP_BAD_ICV;
}

/* True for the header of ESP and a text that is not too long: what all the world sends. */
INLINE bool
usual(const struct tdo_op *op)
{
	return op->hdr_len == TDO_AEAD_HLEN && op->text_len <= USUAL_MAX;
}

/* True for what belongs to a row; all: anything that is legal, not only the usual. */
INLINE bool
fits(const struct tdo_op *op, bool all)
{
	return all ? tdo_aead_ok(&gcm_of(op)->nonce, op) : usual(op);
}

/* Tells the compiler what fits() has found. */
INLINE void
assume(const struct tdo_op *op, bool all)
{
	if (!all && !usual(op))
		__builtin_unreachable();
}

/* A packet whose nonce is made. */
INLINE void
run_one(struct gcm_context_data *scratch, struct aside *a, struct tdo_op *op, enum kind kind,
    bool encrypt, bool all)
{
	assume(op, all);
	run(scratch, a, op, encrypt ? icv_of(op, kind) : a->tag, kind);
	assume(op, all);
	if (encrypt)
		op->status = TDO_OP_OK;
	else
		compare(op, a, kind);
}

/* From op, which fits, up to the first that does not; returns that. */
INLINE struct tdo_op *
run_row(struct gcm_context_data *scratch, struct tdo_op *op, const struct tdo_op *end,
    enum kind kind, bool encrypt, bool all)
{
	struct aside two[2], *this = &two[0], *next = &two[1], *swap;

	prepare(op, this, kind);
	for (; op + 1 < end && fits(op + 1, all); op++) {
		prepare(op + 1, next, kind);
		run_one(scratch, this, op, kind, encrypt, all);
		swap = this;
		this = next;
		next = swap;
	}
	run_one(scratch, this, op, kind, encrypt, all);
	return op + 1;
}

/* From op, which is not as usual; returns the first that is left: AH, and errors. */
static __attribute__((noinline)) struct tdo_op *
run_others(struct gcm_context_data *scratch, struct tdo_op *op, const struct tdo_op *end)
{
	if (!fits(op, true)) {
		op->status = TDO_OP_ERROR;
		return op + 1;
	}
	if (gcm_of(op)->encrypt)
		return run_row(scratch, op, end, KIND_ANY, true, true);
	return run_row(scratch, op, end, KIND_ANY, false, true);
}

INLINE void
process(struct tdo_op *op, unsigned n, enum kind kind, bool encrypt)
{
	const struct tdo_op *end = op + n;
	struct gcm_context_data scratch;

	while (op < end)
		op = usual(op) ? run_row(&scratch, op, end, kind, encrypt, false)
			       : run_others(&scratch, op, end);
	wipe(&scratch);
}

static void
encrypt_16(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_16, true);
}

static void
encrypt_16_esn(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_16_ESN, true);
}

static void
encrypt_any(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_ANY, true);
}

static void
decrypt_16(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_16, false);
}

static void
decrypt_16_esn(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_16_ESN, false);
}

static void
decrypt_any(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	process(ops, n, KIND_ANY, false);
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
	g->run.gmac->init(g->key, c, nonce, sizeof(nonce));
	if (g->nonce.esn) {
		/* esn_hi in the middle of the header, and from the IV what fills the block. */
		tdo_esn_aad(op, first);
		memcpy(first + TDO_AEAD_HLEN + TDO_ESN_LEN, data + TDO_AEAD_HLEN, 4);
		g->run.gmac->update(g->key, c, first, sizeof(first));
		data += TDO_AEAD_HLEN + 4;
		len -= TDO_AEAD_HLEN + 4;
	}
	g->run.gmac->update(g->key, c, data, len);
	g->run.gmac->finalize(g->key, c, tag, TAG_LEN);
}

static void
gmac(unsigned worker, struct tdo_op *ops, unsigned n)
{
	struct gcm_context_data scratch;
	uint8_t tag[TAG_LEN];

	(void)worker;
	for (unsigned i = 0; i < n; i++) {
		const struct mb_gcm *g = gcm_of(&ops[i]);
		uint8_t *icv = icv_of(&ops[i], KIND_ANY);

		ops[i].status = tdo_aead_ok(&g->nonce, &ops[i]) ? TDO_OP_OK : TDO_OP_ERROR;
		if (ops[i].status != TDO_OP_OK)
			continue;
		gmac_run(g, &scratch, &ops[i], g->encrypt ? icv : tag);
		if (!g->encrypt && !tdo_ct_equal(tag, icv, TAG_LEN))
			ops[i].status = TDO_OP_BAD_ICV;
	}
	wipe(&scratch);
}

/* ---- sessions ----------------------------------------------------------------------- */

size_t
tdo_mb_gcm_size(const struct tdo_session_param *p)
{
	return OWN_AT + (p->twin ? 0 : sizeof(struct gcm_key_data));
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

static aes_gcm_enc_dec_t
gcm_call(const IMB_MGR *m, bool encrypt, unsigned len)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		return encrypt ? m->gcm128_enc : m->gcm128_dec;
	case IMB_KEY_192_BYTES:
		return encrypt ? m->gcm192_enc : m->gcm192_dec;
	default:
		return encrypt ? m->gcm256_enc : m->gcm256_dec;
	}
}

void
tdo_mb_gmac_init(const IMB_MGR *m, struct mb_gmac ret[MB_GMAC_KEYS])
{
	ret[0] = (struct mb_gmac){m->gmac128_init, m->gmac128_update, m->gmac128_finalize};
	ret[1] = (struct mb_gmac){m->gmac192_init, m->gmac192_update, m->gmac192_finalize};
	ret[2] = (struct mb_gmac){m->gmac256_init, m->gmac256_update, m->gmac256_finalize};
}

static tdo_process_fn
process_gcm(const struct tdo_session_param *p)
{
	if (p->enc->pfkey != TDO_EALG_AES_GCM_16)
		return p->encrypt ? encrypt_any : decrypt_any;
	if (p->esn)
		return p->encrypt ? encrypt_16_esn : decrypt_16_esn;
	return p->encrypt ? encrypt_16 : decrypt_16;
}

void
tdo_mb_gcm_init(const struct mb_state *st, const struct tdo_session_param *p, struct tdo_session *s)
{
	IMB_MGR *m = st->worker[st->nworkers].mgr;
	struct gcm_key_data *own = (void *)(s->ctx + OWN_AT);
	struct mb_gcm *g = (void *)s->ctx;
	const struct mb_gcm *twin = mb_twin(p);
	unsigned key_len = p->ekey_len - p->enc->salt_len;

	g->nonce = tdo_nonce_of(p);
	g->icv_len = p->enc->icv_len;
	g->encrypt = p->encrypt;
	g->key = twin ? twin->key : own;
	if (!twin)
		expand(m, p->ekey, key_len, own);
	if (p->enc->pfkey == TDO_EALG_AES_GMAC) {
		g->run.gmac = &st->gmac[(key_len - IMB_KEY_128_BYTES) / 8];
		s->process = gmac;
	} else {
		g->run.gcm = gcm_call(m, p->encrypt, key_len);
		s->process = process_gcm(p);
	}
}
