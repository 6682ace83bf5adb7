/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver for Intel's multi-buffer library: the fast one on amd64.
 *
 * AES-GCM runs packet by packet through the direct calls; ciphers and MACs go as a burst
 * of jobs, which the library spreads over the lanes of its vector code.  Keys are expanded
 * when a session is made and are read-only afterwards, so all workers share them; each
 * worker has a job manager of its own, and so has the control thread, which makes the
 * sessions.  No job stays in a manager between calls.
 */
#include <errno.h>

#include <intel-ipsec-mb.h>

#include "crypto/alg.h"
#include "crypto/driver.h"

enum {
	CHUNK = 64, /* packets at once; at most IMB_MAX_BURST_SIZE */
	GCM_IV_LEN = 8,
	GCM_TAG_LEN = 16,
};

struct mb_manager {
	IMB_MGR *mgr;
	struct tdo_block block;
};

struct mb_state {
	struct tdo_mem mem;
	struct tdo_block block;
	unsigned nworkers;
	struct mb_manager worker[]; /* and one more for the control thread */
};

struct mb_gcm {
	struct gcm_key_data key; /* on a cache line, as the vector code wants it */
	aes_gcm_enc_dec_t run;
	bool esn;
	uint8_t salt[4];
};

struct mb_chain {
	union {
		struct {
			_Alignas(16) uint32_t enc[15 * 4], dec[15 * 4];
		} aes;
		struct {
			_Alignas(16) uint64_t sched[3][IMB_DES_KEY_SCHED_SIZE / 8];
			const void *ptr[3];
		} des;
	} key;
	_Alignas(16) uint8_t ipad[32]; /* digest state after the inner key block */
	_Alignas(16) uint8_t opad[32]; /* ... and after the outer one */
	bool encrypt, esn;
	uint8_t iv_len, icv_len, block;
	IMB_JOB job; /* what all jobs of the session have in common */
};

/* ---- driver state ------------------------------------------------------------------- */

static void
stop(void *state)
{
	struct mb_state *st = state;

	for (unsigned i = 0; i <= st->nworkers; i++)
		tdo_block_free(st->mem, st->worker[i].block);
	tdo_block_free(st->mem, st->block);
}

static int
make_manager(const struct tdo_mem *mem, struct mb_manager *m)
{
	void *p = tdo_block_alloc(mem, imb_get_mb_mgr_size(), &m->block);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (p == NULL)
		return -ENOMEM;
	m->mgr = imb_set_pointers_mb_mgr(p, 0, 1);
	if (m->mgr == NULL)
		return -ENOTSUP;
	init_mb_mgr_auto(m->mgr, &arch);
	/* Without AES instructions the library emulates them: slower than OpenSSL. */
	if (imb_get_errno(m->mgr) != 0 || arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI)
		return -ENOTSUP;
	return 0;
}

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	struct tdo_block block;
	struct mb_state *st = tdo_block_alloc(&cfg->mem,
	    sizeof(*st) + (cfg->nworkers + (size_t)1) * sizeof(struct mb_manager), &block);
	int err = 0;

	if (st == NULL)
		return -ENOMEM;
	st->mem = cfg->mem;
	st->block = block;
	st->nworkers = cfg->nworkers;
	for (unsigned i = 0; i <= st->nworkers && err == 0; i++)
		err = make_manager(&st->mem, &st->worker[i]);
	if (err)
		stop(st);
	else
		*ret_state = st;
	return err;
}

static IMB_CIPHER_MODE
cipher_mode(const struct tdo_alg *enc)
{
	switch (enc ? enc->pfkey : TDO_EALG_NULL) {
	case TDO_EALG_AES_CBC:
		return IMB_CIPHER_CBC;
	case TDO_EALG_3DES_CBC:
		return IMB_CIPHER_DES3;
	default:
		return IMB_CIPHER_NULL;
	}
}

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	(void)state;
	if (enc && enc->pfkey == TDO_EALG_AES_GCM_16)
		return true;
	if (auth && auth->pfkey != TDO_AALG_HMAC_MD5 && auth->pfkey != TDO_AALG_HMAC_SHA1 &&
	    auth->pfkey != TDO_AALG_HMAC_SHA256)
		return false;
	if (enc == NULL || enc->pfkey == TDO_EALG_NULL)
		return auth != NULL;
	return cipher_mode(enc) != IMB_CIPHER_NULL;
}

/* ---- AES-GCM ------------------------------------------------------------------------ */

/*
 * Nonces and, with ESN, AADs are made for a chunk of packets before the first is processed:
 * the library loads them as vectors, and a load right behind the narrower stores that make
 * up the bytes would wait for these to reach the cache.
 */
struct gcm_input {
	uint8_t nonce[16]; /* 12 are used */
	uint8_t aad[16];   /* 12 are used, with ESN */
};

static inline bool
gcm_op_ok(const struct mb_gcm *g, const struct tdo_op *op)
{
	return tdo_op_ok(op, GCM_IV_LEN, 1) && (!g->esn || op->hdr_len == TDO_AEAD_HLEN);
}

/* Checks the operations and makes their inputs. */
static inline void
gcm_prepare(const struct mb_gcm *g, struct tdo_op *ops, unsigned n, struct gcm_input *in)
{
	for (unsigned i = 0; i < n; i++) {
		ops[i].status = gcm_op_ok(g, &ops[i]) ? TDO_OP_OK : TDO_OP_ERROR;
		if (ops[i].status != TDO_OP_OK)
			continue;
		memcpy(in[i].nonce, g->salt, sizeof(g->salt));
		memcpy(in[i].nonce + sizeof(g->salt), ops[i].data + ops[i].hdr_len, GCM_IV_LEN);
		if (g->esn)
			tdo_esn_aad(&ops[i], in[i].aad);
	}
}

/* Encrypts or decrypts; the tag that belongs to the result goes to tag. */
static inline void
gcm_run(const struct mb_gcm *g, struct gcm_context_data *scratch, const struct gcm_input *in,
    struct tdo_op *op, uint8_t *tag)
{
	uint8_t *text = op->data + op->hdr_len + GCM_IV_LEN;

	g->run(&g->key, scratch, text, text, op->text_len, in->nonce, g->esn ? in->aad : op->data,
	    g->esn ? TDO_AEAD_HLEN + TDO_ESN_LEN : op->hdr_len, tag, GCM_TAG_LEN);
}

static inline uint8_t *
gcm_icv(const struct tdo_op *op)
{
	return op->data + op->hdr_len + GCM_IV_LEN + op->text_len;
}

static void
gcm_encrypt(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	const struct mb_gcm *g = (const void *)s->ctx;
	struct gcm_context_data scratch;
	struct gcm_input in[CHUNK];

	(void)worker;
	for (unsigned k; n > 0; ops += k, n -= k) {
		k = n < CHUNK ? n : CHUNK;
		gcm_prepare(g, ops, k, in);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK)
				gcm_run(g, &scratch, &in[i], &ops[i], gcm_icv(&ops[i]));
	}
	tdo_wipe(&scratch, sizeof(scratch));
}

static void
gcm_decrypt(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	const struct mb_gcm *g = (const void *)s->ctx;
	struct gcm_context_data scratch;
	struct gcm_input in[CHUNK];
	uint8_t tag[CHUNK][GCM_TAG_LEN];

	(void)worker;
	for (unsigned k; n > 0; ops += k, n -= k) {
		k = n < CHUNK ? n : CHUNK;
		gcm_prepare(g, ops, k, in);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK)
				gcm_run(g, &scratch, &in[i], &ops[i], tag[i]);
		for (unsigned i = 0; i < k; i++)
			if (ops[i].status == TDO_OP_OK &&
			    !tdo_ct_equal(tag[i], gcm_icv(&ops[i]), GCM_TAG_LEN))
				ops[i].status = TDO_OP_BAD_ICV;
	}
	tdo_wipe(&scratch, sizeof(scratch));
}

static int
gcm_init(IMB_MGR *m, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct mb_gcm *g = (void *)s->ctx;
	unsigned key_len = p->ekey_len - 4u;

	g->esn = p->esn;
	memcpy(g->salt, p->ekey + key_len, 4);
	s->process = p->encrypt ? gcm_encrypt : gcm_decrypt;
	switch (key_len) {
	case IMB_KEY_128_BYTES:
		IMB_AES128_GCM_PRE(m, p->ekey, &g->key);
		g->run = p->encrypt ? m->gcm128_enc : m->gcm128_dec;
		return 0;
	case IMB_KEY_192_BYTES:
		IMB_AES192_GCM_PRE(m, p->ekey, &g->key);
		g->run = p->encrypt ? m->gcm192_enc : m->gcm192_dec;
		return 0;
	default:
		IMB_AES256_GCM_PRE(m, p->ekey, &g->key);
		g->run = p->encrypt ? m->gcm256_enc : m->gcm256_dec;
		return 0;
	}
}

/* ---- cipher and MAC as a burst of jobs ---------------------------------------------- */

/* Where a job leaves its tag when it is only to be compared. */
struct verify {
	uint8_t tag[TDO_ICV_MAX]; /* what we compute */
	uint8_t icv[TDO_ICV_MAX]; /* with ESN: what was in the packet */
};

static void
fill_job(const struct mb_chain *c, IMB_JOB *job, struct tdo_op *op, struct verify *v)
{
	uint32_t head = op->hdr_len + c->iv_len;
	uint8_t *icv = op->data + head + op->text_len;
	uint32_t esn_len = 0;

	*job = c->job;
	job->auth_tag_output = c->encrypt && c->icv_len ? icv : v->tag;
	job->user_data = op;
	job->user_data2 = icv;
	if (c->esn && c->icv_len) {
		/*
		 * RFC 4303 2.2.1: the MAC goes on over esn_hi, which is not sent.  It stands
		 * where the ICV is until the tag is written; the ICV is longer.
		 */
		memcpy(v->icv, icv, c->icv_len);
		job->user_data2 = v->icv;
		tdo_put_be32(icv, op->esn_hi);
		esn_len = TDO_ESN_LEN;
	}
	job->src = op->data;
	job->dst = op->data + head;
	job->iv = op->data + op->hdr_len;
	job->cipher_start_src_offset_in_bytes = head;
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->msg_len_to_hash_in_bytes = head + op->text_len + esn_len;
}

/* Takes the results of completed jobs to their operations. */
static void
finish_jobs(const struct mb_chain *c, IMB_JOB *const *job, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct tdo_op *op = job[i]->user_data;
		const uint8_t *icv = job[i]->user_data2;

		if (job[i]->status != IMB_STATUS_COMPLETED)
			continue;
		op->status = TDO_OP_OK;
		if (!c->encrypt && !tdo_ct_equal(job[i]->auth_tag_output, icv, c->icv_len))
			op->status = TDO_OP_BAD_ICV;
	}
}

/* At most CHUNK operations; those that are not completed keep TDO_OP_ERROR. */
static void
run_chunk(const struct mb_chain *c, IMB_MGR *m, struct tdo_op **op, unsigned n)
{
	struct verify verify[CHUNK];
	IMB_JOB *job[CHUNK];
	unsigned got = IMB_GET_NEXT_BURST(m, n, job);

	for (unsigned i = 0; i < got; i++)
		/* NOLINTNEXTLINE: the library has filled "got" of them */
		fill_job(c, job[i], op[i], &verify[i]);
	got = IMB_SUBMIT_BURST_NOCHECK(m, got, job);
	finish_jobs(c, job, got);
	while ((got = IMB_FLUSH_BURST(m, CHUNK, job)) > 0)
		finish_jobs(c, job, got);
}

static void
process_chain(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	const struct mb_chain *c = (const void *)s->ctx;
	const struct mb_state *st = s->state;
	struct tdo_op *chunk[CHUNK];
	unsigned fill = 0;

	for (unsigned i = 0; i < n; i++) {
		ops[i].status = TDO_OP_ERROR;
		if (tdo_op_ok(&ops[i], c->iv_len, c->block))
			chunk[fill++] = &ops[i];
		if (fill == CHUNK || (fill > 0 && i + 1 == n)) {
			run_chunk(c, st->worker[worker].mgr, chunk, fill);
			fill = 0;
		}
	}
}

static void
expand_aes(IMB_MGR *m, struct mb_chain *c, const uint8_t *key, unsigned len)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		IMB_AES_KEYEXP_128(m, key, c->key.aes.enc, c->key.aes.dec);
		break;
	case IMB_KEY_192_BYTES:
		IMB_AES_KEYEXP_192(m, key, c->key.aes.enc, c->key.aes.dec);
		break;
	default:
		IMB_AES_KEYEXP_256(m, key, c->key.aes.enc, c->key.aes.dec);
		break;
	}
	c->job.enc_keys = c->key.aes.enc;
	c->job.dec_keys = c->key.aes.dec;
}

static void
expand_3des(IMB_MGR *m, struct mb_chain *c, const uint8_t *key)
{
	for (unsigned i = 0; i < 3; i++) {
		IMB_DES_KEYSCHED(m, c->key.des.sched[i], key + 8 * i);
		c->key.des.ptr[i] = c->key.des.sched[i];
	}
	c->job.enc_keys = c->job.dec_keys = c->key.des.ptr;
}

/* The digest state after one block: the part of HMAC that depends on the key only. */
static void
one_block(IMB_MGR *m, uint8_t pfkey, const uint8_t *block, uint8_t *ret_state)
{
	switch (pfkey) {
	case TDO_AALG_HMAC_MD5:
		IMB_MD5_ONE_BLOCK(m, block, ret_state);
		break;
	case TDO_AALG_HMAC_SHA1:
		IMB_SHA1_ONE_BLOCK(m, block, ret_state);
		break;
	default:
		IMB_SHA256_ONE_BLOCK(m, block, ret_state);
		break;
	}
}

static void
init_mac(IMB_MGR *m, struct mb_chain *c, const struct tdo_session_param *p)
{
	uint8_t block[TDO_HMAC_BLOCK];
	uint8_t pfkey = p->auth->pfkey;

	tdo_hmac_pad(p->akey, p->akey_len, 0x36, block);
	one_block(m, pfkey, block, c->ipad);
	tdo_hmac_pad(p->akey, p->akey_len, 0x5c, block);
	one_block(m, pfkey, block, c->opad);
	tdo_wipe(block, sizeof(block));
	c->icv_len = p->auth->icv_len;
	c->job.hash_alg = pfkey == TDO_AALG_HMAC_MD5    ? IMB_AUTH_MD5
			  : pfkey == TDO_AALG_HMAC_SHA1 ? IMB_AUTH_HMAC_SHA_1
							: IMB_AUTH_HMAC_SHA_256;
	c->job.u.HMAC._hashed_auth_key_xor_ipad = c->ipad;
	c->job.u.HMAC._hashed_auth_key_xor_opad = c->opad;
	c->job.auth_tag_output_len_in_bytes = c->icv_len;
}

static int
chain_init(IMB_MGR *m, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct mb_chain *c = (void *)s->ctx;
	IMB_JOB *j = &c->job;

	s->process = process_chain;
	c->encrypt = p->encrypt;
	c->esn = p->esn;
	c->block = p->enc ? p->enc->block : 1;
	c->iv_len = p->enc ? p->enc->iv_len : 0;
	j->cipher_mode = cipher_mode(p->enc);
	j->cipher_direction = p->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = p->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->key_len_in_bytes = p->ekey_len;
	j->iv_len_in_bytes = c->iv_len;
	if (j->cipher_mode == IMB_CIPHER_CBC)
		expand_aes(m, c, p->ekey, p->ekey_len);
	else if (j->cipher_mode == IMB_CIPHER_DES3)
		expand_3des(m, c, p->ekey);
	j->hash_alg = IMB_AUTH_NULL;
	if (p->auth)
		init_mac(m, c, p);
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	imb_set_session(m, j); /* copies of the job keep what this finds out */
#endif
	return 0;
}

/* ---- sessions ----------------------------------------------------------------------- */

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	(void)state;
	return p->enc && p->enc->kind == TDO_ALG_AEAD ? sizeof(struct mb_gcm)
						      : sizeof(struct mb_chain);
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	const struct mb_state *st = state;
	IMB_MGR *m = st->worker[st->nworkers].mgr;

	return p->enc && p->enc->kind == TDO_ALG_AEAD ? gcm_init(m, p, s) : chain_init(m, p, s);
}

const struct tdo_driver tdo_driver_ipsecmb = {
    .name = "ipsec-mb",
    .start = start,
    .stop = stop,
    .supports = supports,
    .session_size = session_size,
    .session_init = session_init,
};
