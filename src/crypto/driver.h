/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the framework and its drivers share.
 *
 * A driver is one file with one const struct tdo_driver.  The framework checks parameters
 * and owns the memory of sessions; a driver fills the part behind struct tdo_session and
 * names the function that processes a burst, so that nothing is chosen per packet.
 */
#ifndef TDO_CRYPTO_DRIVER_H
#define TDO_CRYPTO_DRIVER_H

#include "base/be.h"
#include "crypto/alg.h"
#include "crypto/mem.h"
#include "testudo/crypto.h"

#define TDO_DRIVER_MAX  5
#define TDO_ICV_MAX     32 /* longest ICV of the table */
#define TDO_AEAD_HLEN   8  /* header of an AEAD with ESN: SPI, low half */
#define TDO_CCM_HDR_MAX 44 /* header of AES-CCM: ipsec-mb takes no more */

/* The operations are of any sessions that have this function. */
typedef void (*tdo_process_fn)(unsigned worker, struct tdo_op *ops, unsigned n);

struct tdo_driver {
	const char *name;
	bool hardware; /* a device does the work, not instructions of the processor */
	/*
	 * Makes the state of the driver.  0, -ENOMEM, or another -errno: the driver cannot be
	 * used on this machine.
	 */
	int (*start)(const struct tdo_crypto_config *cfg, void **ret_state);
	void (*stop)(void *state);
	/*
	 * True for a legal pair that it can do; either may be NULL.  key_len: bytes of the
	 * cipher's key without salt; 0 = is there any length?
	 */
	bool (*supports)(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth,
	    unsigned key_len);
	/* Bytes it needs behind struct tdo_session. */
	size_t (*session_size)(const void *state, const struct tdo_session_param *p);
	/* What struct tdo_session is to be aligned to; NULL: TDO_ANY_ALIGN is enough. */
	size_t (*session_align)(const struct tdo_session_param *p);
	/*
	 * Fills s->ctx (zeroed) and s->process; p is checked and supported, p->twin is of the
	 * same driver.  0 or -ENOMEM; after a failure session_fini is called as well.
	 */
	int (*session_init)(void *state, const struct tdo_session_param *p, struct tdo_session *s);
	/* Releases what s->ctx refers to, or NULL; the framework wipes and frees the memory. */
	void (*session_fini)(void *state, struct tdo_session *s);
};

struct tdo_driver_slot {
	const struct tdo_driver *driver;
	void *state;
	struct tdo_crypto *crypto;
};

struct tdo_crypto {
	struct tdo_crypto_config cfg;
	unsigned n;
	struct tdo_driver_slot slot[TDO_DRIVER_MAX]; /* in order of priority */
};

/* Half a cache line, so that another half is left to what the driver reads for each packet. */
struct tdo_session {
	tdo_process_fn process;
	const struct tdo_driver_slot *slot;
	struct tdo_block block;
	_Alignas(TDO_ANY_ALIGN) uint8_t ctx[]; /* the driver's part */
};

extern const struct tdo_driver tdo_driver_ipsecmb, tdo_driver_openssl, tdo_driver_nettle,
    tdo_driver_null;

/* ---- session.c ---- */

/* True when ESP or AH can use this pair: AEAD alone, or a cipher, a MAC, or both. */
bool tdo_pair_legal(const struct tdo_alg *enc, const struct tdo_alg *auth);
/* tdo_session_new() by one driver; p must be legal for it. */
TDO_MUST_CHECK int tdo_session_make(struct tdo_crypto *c, const struct tdo_driver_slot *slot,
    const struct tdo_session_param *p, struct tdo_session **ret);

/* ---- selftest.c ---- */

/*
 * Known answers over all pairs that the driver supports.  0, -ENOMEM, or -ELIBBAD and
 * *ret_what names what went wrong.
 */
TDO_MUST_CHECK int tdo_selftest(
    struct tdo_crypto *c, const struct tdo_driver_slot *slot, const char **ret_what);

/* ---- for drivers ---- */

/* The cipher of a row: variants in ICV, IV or use of one cipher have one number. */
static inline uint8_t
tdo_cipher_of(const struct tdo_alg *enc)
{
	switch (enc ? enc->pfkey : TDO_EALG_NULL) {
	case TDO_EALG_AES_GCM_8:
	case TDO_EALG_AES_GCM_12:
	case TDO_EALG_AES_GCM_16_IIV:
	case TDO_EALG_AES_GMAC:
		return TDO_EALG_AES_GCM_16;
	case TDO_EALG_AES_CCM_8:
	case TDO_EALG_AES_CCM_12:
	case TDO_EALG_AES_CCM_8_IIV:
		return TDO_EALG_AES_CCM_16;
	case TDO_EALG_CHACHA20_POLY1305_IIV:
		return TDO_EALG_CHACHA20_POLY1305;
	case TDO_EALG_DES_HALF_IV:
		return TDO_EALG_DES_CBC;
	default:
		return enc ? enc->pfkey : TDO_EALG_NULL;
	}
}

/* True when the text_len is a multiple of block (a power of two) and the sum is in bounds. */
static inline bool
tdo_op_ok(const struct tdo_op *op, uint32_t iv_len, uint32_t block)
{
	uint64_t sum = (uint64_t)op->hdr_len + iv_len + op->text_len + TDO_ESN_LEN;

	return sum <= TDO_OP_LEN_MAX && (op->text_len & (block - 1)) == 0;
}

/* RFC 4106 5: the AAD with extended sequence numbers: SPI, high half, low half. */
static inline void
tdo_esn_aad(const struct tdo_op *op, uint8_t aad[TDO_AEAD_HLEN + TDO_ESN_LEN])
{
	memcpy(aad, op->data, 4);
	tdo_put_be32(aad + 4, op->esn_hi);
	memcpy(aad + 8, op->data + 4, 4);
}

/* How the nonce of an AEAD or of counter mode is made; with it, what its header may be. */
struct tdo_nonce {
	uint8_t salt[4];
	uint8_t salt_len;
	uint8_t iv_len; /* in the packet; 0: RFC 8750 */
	bool esn;
	uint32_t hdr_max;
};

enum { TDO_NONCE_IV_LEN = 8, TDO_NONCE_MAX = 12 };

/* The salt ends p's key. */
static inline struct tdo_nonce
tdo_nonce_of(const struct tdo_session_param *p)
{
	struct tdo_nonce n = {
	    .salt_len = p->enc->salt_len,
	    .iv_len = p->enc->iv_len,
	    .esn = p->esn,
	    .hdr_max = tdo_cipher_of(p->enc) == TDO_EALG_AES_CCM_16 ? TDO_CCM_HDR_MAX : UINT32_MAX,
	};

	memcpy(n.salt, p->ekey + p->ekey_len - n.salt_len, n.salt_len);
	return n;
}

/* Salt and IV; RFC 8750 4: salt and 64 bits of sequence number, without ESN zero-extended. */
static inline void
tdo_nonce_make(const struct tdo_nonce *n, const struct tdo_op *op, uint8_t ret[TDO_NONCE_MAX])
{
	memcpy(ret, n->salt, sizeof(n->salt)); /* a constant; what is too much is overwritten */
	ret += n->salt_len;
	if (n->iv_len) {
		memcpy(ret, op->data + op->hdr_len, TDO_NONCE_IV_LEN);
		return;
	}
	tdo_put_be32(ret, n->esn ? op->esn_hi : 0);
	memcpy(ret + 4, op->data + 4, 4);
}

/* tdo_op_ok() for AEADs: ESN and implicit IVs need the header of ESP. */
static inline bool
tdo_aead_ok(const struct tdo_nonce *n, const struct tdo_op *op)
{
	return tdo_op_ok(op, n->iv_len, 1) &&
	       (op->hdr_len == TDO_AEAD_HLEN ||
		   (!n->esn && n->iv_len && op->hdr_len <= n->hdr_max));
}

enum { TDO_HALF_IV_HLEN = 8, TDO_HALF_IV_LEN = 8 };

/* RFC 1829 4: 4 bytes in front of the payload, and their complement. */
static inline void
tdo_half_iv_make(const struct tdo_op *op, uint8_t ret[TDO_HALF_IV_LEN])
{
	for (unsigned i = 0; i < 4; i++) {
		ret[i] = op->data[4 + i];
		ret[4 + i] = (uint8_t)~op->data[4 + i];
	}
}

#endif
