/* SPDX-License-Identifier: BSD-2-Clause */
/* Ciphers, MACs and the AEADs other than GCM as bursts of jobs of the ipsec-mb library. */
#include "crypto/drv_ipsecmb.h"
#include "crypto/mac.h"

enum {
	ROUND_KEYS = 15 * TDO_AES_BLOCK,
	ROUND_KEYS_128 = 11 * TDO_AES_BLOCK,
	KEY_ALIGN = 16, /* of everything that the library takes as a key */
};

/* Where the library finds the IV. */
enum iv_source { IV_PACKET, IV_NONCE, IV_HALF };

/*
 * What the jobs of a session are made of.  The keys stand behind it, in the session that was
 * made first: those of the cipher, then those of the MAC.
 */
struct mb_job {
	const void *enc_keys, *dec_keys;
	const void *mac_keys[3];
	struct tdo_nonce nonce;
	bool encrypt, esn, aead, hash; /* hash: the library makes a tag */
	uint8_t iv_source, iv_len;     /* iv_len: in the packet */
	uint8_t key_len, job_iv_len, block;
	uint8_t icv_len, tag_len;      /* tag_len: what the library writes */
	uint8_t cipher_mode, hash_alg; /* IMB_CIPHER_MODE, IMB_HASH_ALG */
	_Alignas(KEY_ALIGN) uint8_t own[];
};

/* ---- what there is ------------------------------------------------------------------ */

static const struct cipher_row {
	uint8_t pfkey; /* tdo_cipher_of() */
	uint8_t mode;
	uint8_t iv_len; /* for the library */
	uint16_t keys_size;
} ciphers[] = {
    {TDO_EALG_NULL, IMB_CIPHER_NULL, 0, 0},
    {TDO_EALG_AES_CBC, IMB_CIPHER_CBC, 16, 2 * ROUND_KEYS},
    {TDO_EALG_AES_CTR, IMB_CIPHER_CNTR, 12, ROUND_KEYS},
    {TDO_EALG_AES_CCM_16, IMB_CIPHER_CCM, 11, ROUND_KEYS},
    {TDO_EALG_CHACHA20_POLY1305, IMB_CIPHER_CHACHA20_POLY1305, 12, IMB_KEY_256_BYTES},
#ifdef TDO_LEGACY
    {TDO_EALG_DES_CBC, IMB_CIPHER_DES, 8, IMB_DES_KEY_SCHED_SIZE},
    {TDO_EALG_3DES_CBC, IMB_CIPHER_DES3, 8, 3 * (IMB_DES_KEY_SCHED_SIZE + sizeof(void *))},
#endif
};

static const struct hash_row {
	uint8_t pfkey;
	uint8_t alg;
	uint8_t tag_len; /* that the library can write */
	uint8_t block;   /* HMAC */
	uint16_t state;  /* HMAC: bytes of a digest state, rounded up */
} hashes[] = {
#ifdef TDO_LEGACY
    {TDO_AALG_HMAC_MD5, IMB_AUTH_MD5, 12, 64, 16},
    {TDO_AALG_NULL, IMB_AUTH_NULL, 0, 0, 0},
#endif
    {TDO_AALG_HMAC_SHA1, IMB_AUTH_HMAC_SHA_1, 12, 64, 32},
    {TDO_AALG_HMAC_SHA256, IMB_AUTH_HMAC_SHA_256, 16, 64, 32},
    {TDO_AALG_HMAC_SHA256_96, IMB_AUTH_HMAC_SHA_256, 16, 64, 32},
    {TDO_AALG_HMAC_SHA384, IMB_AUTH_HMAC_SHA_384, 24, 128, 64},
    {TDO_AALG_HMAC_SHA512, IMB_AUTH_HMAC_SHA_512, 32, 128, 64},
    {TDO_AALG_AES_XCBC_MAC, IMB_AUTH_AES_XCBC, 12, 0, 0},
    {TDO_AALG_AES_CMAC, IMB_AUTH_AES_CMAC, 12, 0, 0},
};

static const struct cipher_row *
find_cipher(const struct tdo_alg *enc)
{
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		if (ciphers[i].pfkey == tdo_cipher_of(enc))
			return &ciphers[i];
	return NULL;
}

static const struct hash_row *
find_hash(const struct tdo_alg *auth)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (auth && hashes[i].pfkey == auth->pfkey)
			return &hashes[i];
	return NULL;
}

bool
tdo_mb_job_supports(const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	const struct cipher_row *c = find_cipher(enc);
	const struct hash_row *h = find_hash(auth);

	if (c == NULL || (auth && h == NULL))
		return false;
	/* "null" writes none; the old AH has longer ones than the library makes. */
	if (auth && h && h->alg != IMB_AUTH_NULL && auth->icv_len > h->tag_len)
		return false;
	if (c->mode == IMB_CIPHER_CCM && key_len == IMB_KEY_192_BYTES)
		return false;
	/* There must be something to do. */
	return c->mode != IMB_CIPHER_NULL || (h && h->alg != IMB_AUTH_NULL);
}

static size_t
hash_keys_size(const struct hash_row *h)
{
	if (h == NULL || h->alg == IMB_AUTH_NULL)
		return 0;
	return h->block ? 2 * (size_t)h->state : ROUND_KEYS_128 + 2 * (size_t)TDO_AES_BLOCK;
}

/* Where the keys of the MAC begin, behind those of the cipher. */
static size_t
hash_keys_at(const struct cipher_row *c)
{
	return ((size_t)c->keys_size + KEY_ALIGN - 1) & ~(size_t)(KEY_ALIGN - 1);
}

size_t
tdo_mb_job_size(const struct tdo_session_param *p)
{
	if (p->twin)
		return sizeof(struct mb_job);
	return sizeof(struct mb_job) + hash_keys_at(find_cipher(p->enc)) +
	       hash_keys_size(find_hash(p->auth));
}

/* ---- packets ------------------------------------------------------------------------ */

/* What belongs to a job and is not in the packet. */
struct aside {
	uint8_t iv[16];
	uint8_t aad[TDO_AEAD_HLEN + TDO_ESN_LEN];
	uint8_t tag[TDO_ICV_MAX]; /* what we compute */
	uint8_t icv[TDO_ICV_MAX]; /* with ESN: what was in the packet */
};

/* What all jobs of a session have in common. */
static void
make_template(const struct mb_job *c, IMB_MGR *m, IMB_JOB *j)
{
	/* CCM: the MAC covers the plain text; in all others the cipher text. */
	bool hash_first = c->encrypt == (c->cipher_mode == IMB_CIPHER_CCM);

	memset(j, 0, sizeof(*j));
	j->cipher_mode = c->cipher_mode;
	j->cipher_direction = c->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = hash_first ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
	j->enc_keys = c->enc_keys;
	j->dec_keys = c->dec_keys;
	j->key_len_in_bytes = c->key_len;
	j->iv_len_in_bytes = c->job_iv_len;
	j->hash_alg = c->hash_alg;
	j->auth_tag_output_len_in_bytes = c->tag_len;
	if (c->hash_alg == IMB_AUTH_AES_XCBC) {
		j->u.XCBC._k1_expanded = c->mac_keys[0];
		j->u.XCBC._k2 = c->mac_keys[1];
		j->u.XCBC._k3 = c->mac_keys[2];
	} else if (c->hash_alg == IMB_AUTH_AES_CMAC) {
		j->u.CMAC._key_expanded = c->mac_keys[0];
		j->u.CMAC._skey1 = c->mac_keys[1];
		j->u.CMAC._skey2 = c->mac_keys[2];
	} else {
		j->u.HMAC._hashed_auth_key_xor_ipad = c->mac_keys[0];
		j->u.HMAC._hashed_auth_key_xor_opad = c->mac_keys[1];
	}
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	imb_set_session(m, j); /* copies of the job keep what this finds out */
#else
	(void)m;
#endif
}

static const uint8_t *
job_iv(const struct mb_job *c, const struct tdo_op *op, struct aside *a)
{
	switch (c->iv_source) {
	case IV_NONCE:
		tdo_nonce_make(&c->nonce, op, a->iv);
		return a->iv;
	case IV_HALF:
		tdo_half_iv_make(op, a->iv);
		return a->iv;
	default:
		return op->data + op->hdr_len;
	}
}

/* The MAC covers the packet from its start on. */
static void
fill_mac(const struct mb_job *c, IMB_JOB *job, struct tdo_op *op, struct aside *a, uint8_t *icv)
{
	uint32_t len = op->hdr_len + c->iv_len + op->text_len;

	if (c->esn) {
		/*
		 * RFC 4303 2.2.1: the MAC goes on over esn_hi, which is not sent.  It stands
		 * where the ICV is until the tag is written; the ICV is longer.
		 */
		memcpy(a->icv, icv, c->icv_len);
		job->user_data2 = a->icv;
		tdo_put_be32(icv, op->esn_hi);
		len += TDO_ESN_LEN;
	}
	job->msg_len_to_hash_in_bytes = len;
}

/* The tag of an AEAD covers the header, which is AAD, and the payload. */
static void
fill_aead(const struct mb_job *c, IMB_JOB *job, const struct tdo_op *op, struct aside *a)
{
	const uint8_t *aad = op->data;
	uint64_t len = op->hdr_len;

	if (c->esn) {
		tdo_esn_aad(op, a->aad);
		aad = a->aad;
		len = sizeof(a->aad);
	}
	if (c->cipher_mode == IMB_CIPHER_CCM) {
		job->u.CCM.aad = aad;
		job->u.CCM.aad_len_in_bytes = len;
	} else {
		job->u.CHACHA20_POLY1305.aad = aad;
		job->u.CHACHA20_POLY1305.aad_len_in_bytes = len;
	}
	job->hash_start_src_offset_in_bytes = job->cipher_start_src_offset_in_bytes;
	job->msg_len_to_hash_in_bytes = op->text_len;
}

static void
fill_job(const struct mb_job *c, const IMB_JOB *template, IMB_JOB *job, struct tdo_op *op,
    struct aside *a)
{
	uint32_t head = op->hdr_len + c->iv_len;
	uint8_t *icv = op->data + head + op->text_len;

	*job = *template;
	job->auth_tag_output = c->encrypt && c->tag_len == c->icv_len && c->hash ? icv : a->tag;
	job->user_data = op;
	job->user_data2 = icv;
	job->src = op->data;
	job->dst = op->data + head;
	job->iv = job_iv(c, op, a);
	job->cipher_start_src_offset_in_bytes = head;
	job->msg_len_to_cipher_in_bytes = op->text_len;
	if (c->aead)
		fill_aead(c, job, op, a);
	else if (c->hash)
		fill_mac(c, job, op, a, icv);
	else
		memset(a->tag, 0, sizeof(a->tag)); /* none, or that of "null" */
}

static const struct mb_job *
job_of(const struct tdo_op *op)
{
	return (const void *)op->session->ctx;
}

/* Takes the results of completed jobs to their operations. */
static void
finish_jobs(IMB_JOB *const *job, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct tdo_op *op = job[i]->user_data;
		const struct mb_job *c = job_of(op);
		const uint8_t *tag = job[i]->auth_tag_output, *icv = job[i]->user_data2;

		if (job[i]->status != IMB_STATUS_COMPLETED)
			continue;
		op->status = TDO_OP_OK;
		if (!c->encrypt) {
			if (!tdo_ct_equal(tag, icv, c->icv_len))
				op->status = TDO_OP_BAD_ICV;
		} else if (c->tag_len != c->icv_len) {
			memcpy(op->data + op->hdr_len + c->iv_len + op->text_len, tag, c->icv_len);
		}
	}
}

/* At most MB_CHUNK operations; those that are not completed keep TDO_OP_ERROR. */
static void
run_chunk(IMB_MGR *m, struct tdo_op **op, unsigned n)
{
	const struct mb_job *last = NULL;
	struct aside aside[MB_CHUNK];
	IMB_JOB *job[MB_CHUNK], template;
	unsigned got = IMB_GET_NEXT_BURST(m, n, job);

	for (unsigned i = 0; i < got; i++) {
		/* NOLINTNEXTLINE: the library has filled "got" of them */
		const struct mb_job *c = job_of(op[i]);

		if (c != last)
			make_template(c, m, &template);
		last = c;
		fill_job(c, &template, job[i], op[i], &aside[i]);
	}
	got = IMB_SUBMIT_BURST_NOCHECK(m, got, job);
	finish_jobs(job, got);
	while ((got = IMB_FLUSH_BURST(m, MB_CHUNK, job)) > 0)
		finish_jobs(job, got);
}

static bool
op_ok(const struct mb_job *c, const struct tdo_op *op)
{
	if (c->aead)
		return tdo_aead_ok(&c->nonce, op);
	return tdo_op_ok(op, c->iv_len, c->block) &&
	       (c->iv_source != IV_HALF || op->hdr_len == TDO_HALF_IV_HLEN);
}

/* Packets of all SAs share the lanes. */
static void
process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	struct tdo_op *chunk[MB_CHUNK];
	unsigned fill = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct mb_state *st = ops[i].session->slot->state;

		ops[i].status = TDO_OP_ERROR;
		if (op_ok(job_of(&ops[i]), &ops[i]))
			chunk[fill++] = &ops[i];
		if (fill == MB_CHUNK || (fill > 0 && i + 1 == n)) {
			run_chunk(st->worker[worker].mgr, chunk, fill);
			fill = 0;
		}
	}
}

/* ---- keys --------------------------------------------------------------------------- */

static void
expand_aes(IMB_MGR *m, const uint8_t *key, unsigned len, void *enc, void *dec)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		IMB_AES_KEYEXP_128(m, key, enc, dec);
		break;
	case IMB_KEY_192_BYTES:
		IMB_AES_KEYEXP_192(m, key, enc, dec);
		break;
	default:
		IMB_AES_KEYEXP_256(m, key, enc, dec);
		break;
	}
}

/* The schedule for encryption alone. */
static void
expand_aes_enc(IMB_MGR *m, const uint8_t *key, unsigned len, void *enc)
{
	_Alignas(KEY_ALIGN) uint8_t dec[ROUND_KEYS];

	expand_aes(m, key, len, enc, dec);
	tdo_wipe(dec, sizeof(dec));
}

/* Three schedules and behind them the pointers that the library wants. */
static void
expand_3des(IMB_MGR *m, const uint8_t *key, uint8_t *keys, struct mb_job *c)
{
	const void **ptr = (const void **)(void *)(keys + 3 * (size_t)IMB_DES_KEY_SCHED_SIZE);

	for (size_t i = 0; i < 3; i++) {
		ptr[i] = keys + i * IMB_DES_KEY_SCHED_SIZE;
		IMB_DES_KEYSCHED(m, (void *)(keys + i * IMB_DES_KEY_SCHED_SIZE), key + 8 * i);
	}
	c->enc_keys = c->dec_keys = ptr;
}

static void
init_cipher_keys(IMB_MGR *m, const struct tdo_session_param *p, struct mb_job *c)
{
	uint8_t *keys = c->own;

	c->enc_keys = c->dec_keys = keys;
	switch (c->cipher_mode) {
	case IMB_CIPHER_CBC:
		c->dec_keys = keys + ROUND_KEYS;
		expand_aes(m, p->ekey, c->key_len, keys, keys + ROUND_KEYS);
		break;
	case IMB_CIPHER_CNTR:
	case IMB_CIPHER_CCM:
		expand_aes_enc(m, p->ekey, c->key_len, keys);
		break;
	case IMB_CIPHER_CHACHA20_POLY1305:
		memcpy(keys, p->ekey, c->key_len);
		break;
	case IMB_CIPHER_DES:
		IMB_DES_KEYSCHED(m, (void *)keys, p->ekey);
		break;
	case IMB_CIPHER_DES3:
		expand_3des(m, p->ekey, keys, c);
		break;
	default:
		break;
	}
}

/* The digest state after one block: the part of HMAC that depends on the key only. */
static void
one_block(IMB_MGR *m, IMB_HASH_ALG alg, const uint8_t *block, uint8_t *ret_state)
{
	switch (alg) {
	case IMB_AUTH_MD5:
		IMB_MD5_ONE_BLOCK(m, block, ret_state);
		break;
	case IMB_AUTH_HMAC_SHA_1:
		IMB_SHA1_ONE_BLOCK(m, block, ret_state);
		break;
	case IMB_AUTH_HMAC_SHA_256:
		IMB_SHA256_ONE_BLOCK(m, block, ret_state);
		break;
	case IMB_AUTH_HMAC_SHA_384:
		IMB_SHA384_ONE_BLOCK(m, block, ret_state);
		break;
	default:
		IMB_SHA512_ONE_BLOCK(m, block, ret_state);
		break;
	}
}

static void
init_hmac_keys(IMB_MGR *m, const struct tdo_session_param *p, const struct hash_row *h,
    struct mb_job *c, uint8_t *keys)
{
	uint8_t block[TDO_HASH_BLOCK_MAX];

	tdo_hmac_pad(p->akey, p->akey_len, 0x36, block, h->block);
	one_block(m, h->alg, block, keys);
	tdo_hmac_pad(p->akey, p->akey_len, 0x5c, block, h->block);
	one_block(m, h->alg, block, keys + h->state);
	tdo_wipe(block, sizeof(block));
	c->mac_keys[0] = keys;
	c->mac_keys[1] = keys + h->state;
}

static void
init_hash_keys(IMB_MGR *m, const struct tdo_session_param *p, const struct hash_row *h,
    struct mb_job *c, uint8_t *keys)
{
	uint8_t *sub = keys + ROUND_KEYS_128;

	if (h->block) {
		init_hmac_keys(m, p, h, c, keys);
		return;
	}
	c->mac_keys[0] = keys;
	c->mac_keys[1] = sub;
	c->mac_keys[2] = sub + TDO_AES_BLOCK;
	if (h->alg == IMB_AUTH_AES_XCBC) {
		IMB_AES_XCBC_KEYEXP(m, p->akey, keys, sub, sub + TDO_AES_BLOCK);
		return;
	}
	expand_aes_enc(m, p->akey, IMB_KEY_128_BYTES, keys);
	IMB_AES_CMAC_SUBKEY_GEN_128(m, keys, sub, sub + TDO_AES_BLOCK);
}

/* ---- sessions ----------------------------------------------------------------------- */

static void
init_cipher(const struct tdo_session_param *p, const struct cipher_row *row, struct mb_job *c)
{
	c->cipher_mode = row->mode;
	c->job_iv_len = row->iv_len;
	c->block = 1;
	if (p->enc == NULL)
		return;
	c->block = p->enc->block;
	c->iv_len = p->enc->iv_len;
	c->key_len = (uint8_t)(p->ekey_len - p->enc->salt_len);
	c->aead = p->enc->kind == TDO_ALG_AEAD;
	if (p->enc->pfkey == TDO_EALG_DES_HALF_IV) {
		c->iv_source = IV_HALF;
	} else if (p->enc->salt_len) {
		c->iv_source = IV_NONCE;
		c->nonce = tdo_nonce_of(p);
	}
}

static void
init_hash(const struct tdo_session_param *p, const struct hash_row *row, struct mb_job *c)
{
	c->hash_alg = IMB_AUTH_NULL;
	if (c->aead) {
		c->icv_len = c->tag_len = p->enc->icv_len;
		c->hash = true;
		c->hash_alg = c->cipher_mode == IMB_CIPHER_CCM ? IMB_AUTH_AES_CCM
							       : IMB_AUTH_CHACHA20_POLY1305;
	} else if (row) {
		c->icv_len = p->auth->icv_len;
		c->tag_len = row->tag_len;
		c->hash = row->alg != IMB_AUTH_NULL;
		c->hash_alg = row->alg;
	}
}

void
tdo_mb_job_init(IMB_MGR *m, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct mb_job *c = (void *)s->ctx;
	const struct mb_job *twin = mb_twin(p);
	const struct cipher_row *cipher = find_cipher(p->enc);
	const struct hash_row *hash = find_hash(p->auth);

	s->process = process;
	c->encrypt = p->encrypt;
	c->esn = p->esn;
	init_cipher(p, cipher, c);
	init_hash(p, hash, c);
	if (twin) {
		c->enc_keys = twin->enc_keys;
		c->dec_keys = twin->dec_keys;
		memcpy(c->mac_keys, twin->mac_keys, sizeof(c->mac_keys));
		return;
	}
	init_cipher_keys(m, p, c);
	if (hash && c->hash)
		init_hash_keys(m, p, hash, c, c->own + hash_keys_at(cipher));
}
