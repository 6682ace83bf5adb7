/* SPDX-License-Identifier: BSD-2-Clause */
/* Ciphers, MACs and the AEADs other than GCM as bursts of jobs of the ipsec-mb library. */
#include "crypto/drv_ipsecmb.h"
#include "crypto/mac.h"

enum {
	ROUND_KEYS_128 = 11 * TDO_AES_BLOCK,
	ROUND_KEYS_256 = 15 * TDO_AES_BLOCK,
	KEY_ALIGN = 16, /* of everything that the library takes as a key */
};

/* Where the library finds the IV. */
enum iv_source { IV_PACKET, IV_NONCE, IV_HALF };

/*
 * Suites of a cipher, its length of key, a MAC and a direction of which the library takes whole
 * bursts through the cipher and through the MAC have a number; of others it takes jobs only.
 */
enum { SUITE_NONE };

/*
 * What the jobs of a session are made of; the rest is pointers and lengths of the packet.  The
 * keys stand behind it, in the session that was made first: those of the cipher, then those of
 * the MAC.
 */
struct mb_job {
	const void *keys;        /* of the cipher, for this direction */
	const void *mac_keys[2]; /* inner and outer state of HMAC, or round keys and two subkeys */
	IMB_CIPHER_MODE cipher_mode;
	IMB_CIPHER_DIRECTION direction;
	IMB_HASH_ALG hash_alg;
	IMB_CHAIN_ORDER order;
	struct tdo_nonce nonce;    /* of ciphers without salt, esn only */
	bool encrypt, aead, hash;  /* hash: the library makes a tag */
	uint8_t iv_source, iv_len; /* iv_len: in the packet */
	uint8_t key_len, job_iv_len, block;
	uint8_t icv_len, tag_len; /* tag_len: what the library writes */
	uint8_t suite;            /* suite_of() */
	bool in_place;            /* the library writes the ICV into the packet */
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	__typeof__(((IMB_JOB *)NULL)->suite_id) suite_id; /* what imb_set_session() found out */
#endif
	_Alignas(KEY_ALIGN) uint8_t own[];
};

#if IMB_VERSION_NUM < IMB_VERSION(1, 4, 0)
_Static_assert(sizeof(struct mb_job) == 64, "there may be a million");
#endif

/* ---- what there is ------------------------------------------------------------------ */

static const struct cipher_row {
	uint8_t pfkey; /* tdo_cipher_of() */
	uint8_t mode;
	uint8_t iv_len;     /* for the library */
	uint8_t schedules;  /* of AES, each as long as the key makes it */
	uint16_t keys_size; /* of others */
} ciphers[] = {
    {TDO_EALG_NULL, IMB_CIPHER_NULL, 0, 0, 0},
    {TDO_EALG_AES_CBC, IMB_CIPHER_CBC, 16, 2, 0},
    {TDO_EALG_AES_CTR, IMB_CIPHER_CNTR, 12, 1, 0},
    {TDO_EALG_AES_CCM_16, IMB_CIPHER_CCM, 11, 1, 0},
    {TDO_EALG_CHACHA20_POLY1305, IMB_CIPHER_CHACHA20_POLY1305, 12, 0, IMB_KEY_256_BYTES},
#ifdef TDO_LEGACY
    {TDO_EALG_DES_CBC, IMB_CIPHER_DES, 8, 0, IMB_DES_KEY_SCHED_SIZE},
    {TDO_EALG_3DES_CBC, IMB_CIPHER_DES3, 8, 0, 3 * (IMB_DES_KEY_SCHED_SIZE + sizeof(void *))},
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

/* Bytes of a key schedule of AES: FIPS 197 5. */
static size_t
round_keys(unsigned key_len)
{
	return (key_len / 4 + 7) * (size_t)TDO_AES_BLOCK;
}

static unsigned
cipher_key_len(const struct tdo_session_param *p)
{
	return p->enc ? (unsigned)p->ekey_len - p->enc->salt_len : 0;
}

/* Where the keys of the MAC begin, behind those of the cipher. */
static size_t
hash_keys_at(const struct tdo_session_param *p, const struct cipher_row *c)
{
	size_t size = c->schedules ? c->schedules * round_keys(cipher_key_len(p)) : c->keys_size;

	return (size + KEY_ALIGN - 1) & ~(size_t)(KEY_ALIGN - 1);
}

size_t
tdo_mb_job_size(const struct tdo_session_param *p)
{
	if (p->twin)
		return sizeof(struct mb_job);
	return sizeof(struct mb_job) + hash_keys_at(p, find_cipher(p->enc)) +
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

static const struct mb_job *
job_of(const struct tdo_op *op)
{
	return (const void *)op->session->ctx;
}

/* Functions with this are compiled for suites with a number, and for all. */
#define INLINE static inline __attribute__((always_inline))

INLINE const uint8_t *
job_iv(const struct mb_job *c, const struct tdo_op *op, struct aside *a, bool suite)
{
	if (c->iv_source == IV_PACKET)
		return op->data + op->hdr_len;
	if (suite || c->iv_source == IV_NONCE)
		tdo_nonce_make(&c->nonce, op, a->iv);
	else
		tdo_half_iv_make(op, a->iv);
	return a->iv;
}

INLINE void
fill_mac_keys(const struct mb_job *c, IMB_JOB *job, bool suite)
{
	const uint8_t *subkeys = c->mac_keys[1];

	if (!suite && c->hash_alg == IMB_AUTH_AES_XCBC) {
		job->u.XCBC._k1_expanded = c->mac_keys[0];
		job->u.XCBC._k2 = subkeys;
		job->u.XCBC._k3 = subkeys + TDO_AES_BLOCK;
	} else if (!suite && c->hash_alg == IMB_AUTH_AES_CMAC) {
		job->u.CMAC._key_expanded = c->mac_keys[0];
		job->u.CMAC._skey1 = subkeys;
		job->u.CMAC._skey2 = subkeys + TDO_AES_BLOCK;
	} else {
		job->u.HMAC._hashed_auth_key_xor_ipad = c->mac_keys[0];
		job->u.HMAC._hashed_auth_key_xor_opad = c->mac_keys[1];
	}
}

/* The MAC covers the packet from its start on. */
INLINE void
fill_mac(const struct mb_job *c, IMB_JOB *job, struct tdo_op *op, struct aside *a, bool suite)
{
	uint32_t len = op->hdr_len + c->iv_len + op->text_len;
	uint8_t *icv = op->data + len;

	if (c->nonce.esn) {
		/*
		 * RFC 4303 2.2.1: the MAC goes on over esn_hi, which is not sent.  It stands
		 * where the ICV is until the tag is written; the ICV is longer.
		 */
		memcpy(a->icv, icv, c->icv_len);
		job->user_data2 = a->icv;
		tdo_put_be32(icv, op->esn_hi);
		len += TDO_ESN_LEN;
	}
	fill_mac_keys(c, job, suite);
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = len;
}

/* The tag of an AEAD covers the header, which is AAD, and the payload. */
INLINE void
fill_aead(const struct mb_job *c, IMB_JOB *job, const struct tdo_op *op, struct aside *a)
{
	const uint8_t *aad = op->data;
	uint64_t len = op->hdr_len;

	if (c->nonce.esn) {
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
	job->hash_start_src_offset_in_bytes = op->hdr_len + c->iv_len;
	job->msg_len_to_hash_in_bytes = op->text_len;
}

/*
 * Writes all that the library reads for the algorithms that we use.  The job is not cleared: it
 * has 200 bytes, and what is left in it is of other algorithms.
 */
INLINE void
fill_job(IMB_JOB *job, struct tdo_op *op, struct aside *a, bool suite)
{
	const struct mb_job *c = job_of(op);
	uint32_t head = op->hdr_len + c->iv_len;
	uint8_t *icv = op->data + head + op->text_len;

	job->cipher_mode = c->cipher_mode;
	job->cipher_direction = c->direction;
	job->hash_alg = c->hash_alg;
	job->chain_order = c->order;
	job->enc_keys = c->keys;
	job->dec_keys = c->keys;
	job->key_len_in_bytes = c->key_len;
	job->iv = job_iv(c, op, a, suite);
	job->iv_len_in_bytes = c->job_iv_len;
	job->src = op->data;
	job->dst = op->data + head;
	job->cipher_start_src_offset_in_bytes = head;
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->auth_tag_output = c->in_place ? icv : a->tag;
	job->auth_tag_output_len_in_bytes = c->tag_len;
	job->user_data = op;
	job->user_data2 = icv;
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	memcpy(&job->suite_id, &c->suite_id, sizeof(job->suite_id));
#endif
	if (!suite && c->aead)
		fill_aead(c, job, op, a);
	else if (c->hash)
		fill_mac(c, job, op, a, suite);
	else
		memset(a->tag, 0, sizeof(a->tag)); /* none, or that of "null" */
}

/* Takes the result of a completed job to its operation. */
static inline void
finish_job(const IMB_JOB *job)
{
	struct tdo_op *op = job->user_data;
	const struct mb_job *c = job_of(op);
	const uint8_t *tag = job->auth_tag_output, *icv = job->user_data2;

	op->status = TDO_OP_OK;
	if (!c->encrypt) {
		if (!tdo_ct_equal(tag, icv, c->icv_len))
			op->status = TDO_OP_BAD_ICV;
	} else if (!c->in_place) {
		memcpy(op->data + op->hdr_len + c->iv_len + op->text_len, tag, c->icv_len);
	}
}

static void
finish_jobs(IMB_JOB *const *job, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (job[i]->status == IMB_STATUS_COMPLETED)
			finish_job(job[i]);
}

/* At most MB_CHUNK operations; those that are not completed keep TDO_OP_ERROR. */
static void
run_mixed(IMB_MGR *m, struct tdo_op **op, unsigned n)
{
	struct aside aside[MB_CHUNK];
	IMB_JOB *job[MB_CHUNK];
	unsigned got = IMB_GET_NEXT_BURST(m, n, job);

	for (unsigned i = 0; i < got; i++)
		/* NOLINTNEXTLINE: the library has filled "got" of them */
		fill_job(job[i], op[i], &aside[i], false);
	got = IMB_SUBMIT_BURST_NOCHECK(m, got, job);
	finish_jobs(job, got);
	while ((got = IMB_FLUSH_BURST(m, MB_CHUNK, job)) > 0)
		finish_jobs(job, got);
}

static bool
run_cipher(IMB_MGR *m, const struct mb_job *c, IMB_JOB *job, unsigned n)
{
	return c->cipher_mode == IMB_CIPHER_NULL ||
	       IMB_SUBMIT_CIPHER_BURST_NOCHECK(
		   m, job, n, c->cipher_mode, c->direction, c->key_len) == n;
}

static bool
run_hash(IMB_MGR *m, const struct mb_job *c, IMB_JOB *job, unsigned n)
{
	return !c->hash || IMB_SUBMIT_HASH_BURST_NOCHECK(m, job, n, c->hash_alg) == n;
}

/*
 * The same for operations of one suite: all through the cipher, then all through the MAC, or the
 * other way round.  That spares the library its dispatch for each job and its ring of jobs.
 */
static void
run_suite(IMB_MGR *m, struct tdo_op **op, unsigned n)
{
	const struct mb_job *c = job_of(op[0]);
	struct aside aside[MB_CHUNK];
	IMB_JOB job[MB_CHUNK];
	bool done;

	for (unsigned i = 0; i < n; i++)
		fill_job(&job[i], op[i], &aside[i], true);
	if (c->encrypt)
		done = run_cipher(m, c, job, n) && run_hash(m, c, job, n);
	else
		done = run_hash(m, c, job, n) && run_cipher(m, c, job, n);
	for (unsigned i = 0; i < n && done; i++)
		finish_job(&job[i]);
}

static bool
op_ok(const struct mb_job *c, const struct tdo_op *op)
{
	if (c->aead)
		return tdo_aead_ok(&c->nonce, op);
	return tdo_op_ok(op, c->iv_len, c->block) &&
	       (c->iv_source != IV_HALF || op->hdr_len == TDO_HALF_IV_HLEN);
}

static void
run_chunk(unsigned worker, struct tdo_op **op, unsigned n, bool mixed)
{
	const struct mb_state *st = op[0]->session->slot->state;
	IMB_MGR *m = st->worker[worker].mgr;

	if (mixed || job_of(op[0])->suite == SUITE_NONE)
		run_mixed(m, op, n);
	else
		run_suite(m, op, n);
}

/* Packets of all SAs share the lanes. */
static void
process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	struct tdo_op *chunk[MB_CHUNK];
	unsigned fill = 0, mixed = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct mb_job *c = job_of(&ops[i]);

		ops[i].status = TDO_OP_ERROR;
		if (op_ok(c, &ops[i])) {
			chunk[fill++] = &ops[i];
			mixed |= c->suite ^ job_of(chunk[0])->suite;
		}
		if (fill == MB_CHUNK || (fill > 0 && i + 1 == n)) {
			run_chunk(worker, chunk, fill, mixed);
			fill = mixed = 0;
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
	_Alignas(KEY_ALIGN) uint8_t dec[ROUND_KEYS_256];

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
	c->keys = ptr;
}

static void
init_cipher_keys(IMB_MGR *m, const struct tdo_session_param *p, struct mb_job *c)
{
	uint8_t *keys = c->own;

	c->keys = keys;
	switch (c->cipher_mode) {
	case IMB_CIPHER_CBC:
		expand_aes(m, p->ekey, c->key_len, keys, keys + round_keys(c->key_len));
		if (!c->encrypt)
			c->keys = keys + round_keys(c->key_len);
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
	if (h->alg == IMB_AUTH_AES_XCBC) {
		IMB_AES_XCBC_KEYEXP(m, p->akey, keys, sub, sub + TDO_AES_BLOCK);
		return;
	}
	expand_aes_enc(m, p->akey, IMB_KEY_128_BYTES, keys);
	IMB_AES_CMAC_SUBKEY_GEN_128(m, keys, sub, sub + TDO_AES_BLOCK);
}

/* ---- sessions ----------------------------------------------------------------------- */

static uint8_t
suite_of(const struct mb_job *c)
{
	static const IMB_HASH_ALG hash[] = {IMB_AUTH_NULL, IMB_AUTH_HMAC_SHA_1,
	    IMB_AUTH_HMAC_SHA_256, IMB_AUTH_HMAC_SHA_384, IMB_AUTH_HMAC_SHA_512};
	enum { NHASH = sizeof(hash) / sizeof(hash[0]), NKEYS = 3 };
	unsigned cipher, key = (c->key_len - IMB_KEY_128_BYTES) / 8u;

	switch (c->cipher_mode) {
	case IMB_CIPHER_NULL:
		cipher = 0;
		break;
	case IMB_CIPHER_CBC:
		cipher = 1 + key;
		break;
	case IMB_CIPHER_CNTR:
		cipher = 1 + NKEYS + key;
		break;
	default:
		return SUITE_NONE;
	}
	for (unsigned i = 0; i < NHASH; i++)
		if (hash[i] == c->hash_alg)
			return (uint8_t)(1 + c->encrypt + 2 * (i + NHASH * cipher));
	return SUITE_NONE;
}

static void
init_cipher(const struct tdo_session_param *p, const struct cipher_row *row, struct mb_job *c)
{
	c->cipher_mode = row->mode;
	c->direction = p->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	c->job_iv_len = row->iv_len;
	c->block = 1;
	if (p->enc == NULL)
		return;
	c->block = p->enc->block;
	c->iv_len = p->enc->iv_len;
	c->key_len = (uint8_t)cipher_key_len(p);
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

/* What the library derives from the algorithms for its bursts. */
static void
init_suite(IMB_MGR *m, struct mb_job *c)
{
	/* CCM: the MAC covers the plain text; in all others the cipher text. */
	bool hash_first = c->encrypt == (c->cipher_mode == IMB_CIPHER_CCM);

	c->in_place = c->encrypt && c->hash && c->tag_len == c->icv_len;
	c->order = hash_first ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
	c->suite = suite_of(c);
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	IMB_JOB job = {
	    .cipher_mode = c->cipher_mode,
	    .cipher_direction = c->direction,
	    .hash_alg = c->hash_alg,
	    .chain_order = c->order,
	    .key_len_in_bytes = c->key_len,
	};

	imb_set_session(m, &job);
	memcpy(&c->suite_id, &job.suite_id, sizeof(c->suite_id));
#else
	(void)m;
#endif
}

/* The twin's keys; those of AES-CBC for the other direction are beside them. */
static void
share_keys(const struct mb_job *twin, struct mb_job *c)
{
	const uint8_t *keys = twin->keys;

	if (c->cipher_mode == IMB_CIPHER_CBC && c->encrypt && !twin->encrypt)
		keys -= round_keys(c->key_len);
	else if (c->cipher_mode == IMB_CIPHER_CBC && !c->encrypt && twin->encrypt)
		keys += round_keys(c->key_len);
	c->keys = keys;
	memcpy(c->mac_keys, twin->mac_keys, sizeof(c->mac_keys));
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
	init_cipher(p, cipher, c);
	c->nonce.esn = p->esn;
	init_hash(p, hash, c);
	init_suite(m, c);
	if (twin) {
		share_keys(twin, c);
		return;
	}
	init_cipher_keys(m, p, c);
	if (hash && c->hash)
		init_hash_keys(m, p, hash, c, c->own + hash_keys_at(p, cipher));
}
