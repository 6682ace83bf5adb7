/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crypto framework, after opencrypto(9): sessions hold algorithm and keys, operations
 * name regions of a packet, drivers do the work for a whole burst.
 *
 * Algorithms are rows of crypto/alg.c.  Drivers are const structures with capabilities
 * and a priority; a session is made by the first driver, in order of priority, that
 * supports its algorithms.  AEAD, encrypt-then-MAC, cipher alone and MAC alone are each
 * one operation, so that a driver can fuse the passes.
 */
#ifndef TESTUDO_CRYPTO_H
#define TESTUDO_CRYPTO_H

#include "testudo/types.h"

/* ---- algorithms --------------------------------------------------------------------- */

enum tdo_alg_kind { TDO_ALG_ENC, TDO_ALG_AEAD, TDO_ALG_AUTH };

/* What is said about algorithms and formats that a build without legacy-algorithms has not. */
#define TDO_NO_LEGACY                                                                              \
	"legacy algorithms are not in this build of testudo (meson configure "                     \
	"-Dlegacy-algorithms=enabled)"

/* What RFC 8221 requires of implementations, from best to worst. */
enum tdo_alg_level {
	TDO_LEVEL_MUST,
	TDO_LEVEL_SHOULD,
	TDO_LEVEL_MAY,
	TDO_LEVEL_SHOULD_NOT,
	TDO_LEVEL_MUST_NOT,
};

struct tdo_alg {
	const char *name;    /* canonical name, as setkey -D prints it: "aes-cbc" */
	const char *aliases; /* other names of setkey(8), separated by blanks: "rijndael-cbc" */
	uint8_t kind;        /* enum tdo_alg_kind */
	uint8_t pfkey;       /* PF_KEY number, NetBSD dialect */
	uint16_t key_min, key_max; /* bits of key material, with the salt of AEADs */
	uint16_t key_step;         /* legal lengths are key_min + n * key_step; 0: key_min only */
	uint8_t salt_len;          /* bytes at the end of the key that are salt or nonce */
	uint8_t iv_len;            /* bytes of IV in each packet */
	uint8_t block;             /* cipher block; padding is to max(block, 4) */
	uint8_t icv_len;           /* bytes of ICV in each packet (AEAD, AUTH) */
	bool iv_counter;           /* the IV is a counter that must never repeat under a key */
	bool implicit_iv;          /* RFC 8750: iv_len is 0, the sequence number is the IV */
	bool clear;                /* ENC, AEAD: the payload is not encrypted */
	bool no_auth;              /* AUTH: has an ICV that proves nothing */
	bool ah_only;              /* AUTH: GMAC in AH, see struct tdo_op */
	uint8_t level;             /* enum tdo_alg_level */
	const char *not_there;     /* NULL, or why this build does not have it */
};

/* True for what one should not use any more; warned about once. */
static inline bool
tdo_alg_weak(const struct tdo_alg *a)
{
	return a->level >= TDO_LEVEL_SHOULD_NOT;
}

/* The row with this PF_KEY number, or NULL.  enc: among ENC and AEAD, auth: among AUTH. */
const struct tdo_alg *tdo_alg_enc(uint8_t pfkey);
const struct tdo_alg *tdo_alg_auth(uint8_t pfkey);
/* By any of its names (case matters, as in setkey), or NULL. */
const struct tdo_alg *tdo_alg_enc_by_name(const char *name);
const struct tdo_alg *tdo_alg_auth_by_name(const char *name);
/* All rows, for REGISTER and tests: i from 0 until NULL. */
const struct tdo_alg *tdo_alg_at(unsigned i);
/*
 * DES-CBC whose IV is made of the 4 bytes behind the SPI and their complement: the sequence
 * number ("des-deriv"), or the 32-bit IV of RFC 1829 ("des-32iv"), which counts as a part of
 * an 8-byte header.  It is in no list; PF_KEY has flags for it.
 */
const struct tdo_alg *tdo_alg_half_iv(void);
/*
 * The row of an authentication algorithm in the old AH, where ICVs have 128 bits; NULL: it is not
 * used there.  These are in no list either.
 */
const struct tdo_alg *tdo_alg_ah_old(uint8_t pfkey);
/* True when bits is a legal length of key material. */
bool tdo_alg_keylen_ok(const struct tdo_alg *a, unsigned bits);

/* ---- framework ---------------------------------------------------------------------- */

struct tdo_driver;  /* crypto/driver.h */
struct tdo_crypto;  /* set of drivers that passed their self-test */
struct tdo_session; /* algorithm, keys and per-worker driver state */

struct tdo_crypto_config {
	struct tdo_mem mem;
	unsigned nworkers; /* sessions may be used by workers 0 .. nworkers-1 at once */
	const char *only;  /* name of the one driver to use ("openssl", "ipsec-mb"), or NULL */
	/* NULL, or a driver of the caller, preferred to all others. */
	const struct tdo_driver *extra;
	tdo_log_fn log; /* may be NULL */
	void *log_ctx;
};

/*
 * Makes a framework: every compiled-in driver is started and tested with known answers;
 * one that fails is left out, with a log message.  Returns 0, -ENOMEM, -EINVAL (no
 * workers), -ENOENT (unknown driver name) or -ELIBBAD (no driver passed).
 */
TDO_MUST_CHECK int tdo_crypto_new(const struct tdo_crypto_config *cfg, struct tdo_crypto **ret);
void tdo_crypto_free(struct tdo_crypto *c); /* c may be NULL; all sessions must be gone */
/* Names of the drivers in use, in order of priority: i from 0 until NULL. */
const char *tdo_crypto_driver_at(const struct tdo_crypto *c, unsigned i);
/* True when some driver can make this pair (either may be NULL). */
bool tdo_crypto_supports(
    const struct tdo_crypto *c, const struct tdo_alg *enc, const struct tdo_alg *auth);

/* Which drivers may do it, as net.inet.ipsec.crypto_support says. */
enum tdo_crypto_support {
	TDO_CRYPTO_SOFTWARE = -1,
	TDO_CRYPTO_ANY = 0,
	TDO_CRYPTO_HARDWARE = 1,
};
/* True when a driver of this kind can make this pair. */
bool tdo_crypto_supports_by(const struct tdo_crypto *c, const struct tdo_alg *enc,
    const struct tdo_alg *auth, enum tdo_crypto_support by);

struct tdo_session_param {
	const struct tdo_alg *enc;   /* ENC or AEAD; NULL = authentication only */
	const struct tdo_alg *auth;  /* AUTH; NULL = AEAD, or no authentication */
	const uint8_t *ekey, *akey;  /* key material; AEAD: with the salt at the end */
	uint16_t ekey_len, akey_len; /* bytes */
	bool encrypt; /* direction: encrypt and make the ICV, or check the ICV and decrypt */
	enum tdo_crypto_support by;
	bool esn; /* operations carry esn_hi, which is authenticated (RFC 4303 2.2.1) */
	/*
	 * NULL, or a session of the same algorithms, keys and esn in the other direction.  The
	 * new one may use its key schedules, which saves memory, and must be freed before it.
	 */
	const struct tdo_session *twin;
};

/* Returns 0, -ENOMEM, -EINVAL (key length, pair) or -EOPNOTSUPP (no driver). */
TDO_MUST_CHECK int tdo_session_new(
    struct tdo_crypto *c, const struct tdo_session_param *p, struct tdo_session **ret);
/* Wipes the keys; s may be NULL.  No worker may be using it. */
void tdo_session_free(struct tdo_session *s);
/* Name of the driver that made it. */
const char *tdo_session_driver(const struct tdo_session *s);

#define TDO_ESN_LEN    4     /* bytes of esn_hi, behind the payload or in the header */
#define TDO_OP_LEN_MAX 65534 /* header, IV, text and esn_hi: libraries count them in 16 bits */

enum tdo_op_status {
	TDO_OP_OK,
	TDO_OP_BAD_ICV, /* decryption: the ICV did not match; the payload must not be used */
	TDO_OP_ERROR,   /* the driver failed */
};

/*
 * One packet.  In place: the payload is encrypted or decrypted where it stands.
 * Layout of an ESP packet from data on:
 *
 *	data                  header (SPI, sequence number): AAD of an AEAD
 *	data + hdr_len        IV as it is in the packet (iv_len of the algorithm)
 *	... + iv_len          payload of text_len bytes (a multiple of the block)
 *	... + text_len        ICV
 *
 * A MAC covers header, IV and payload, then esn_hi if the session has ESN; an AEAD
 * covers the header with esn_hi in its middle as AAD (RFC 4106 5) and the payload.
 * hdr_len is 8 for ESP, and must be for an AEAD with ESN or implicit IV and for the half IV;
 * AES-CCM takes up to 44, everything else any length.
 * GMAC in AH has a header, an IV and an ICV, and no payload; esn_hi, if there is one, is the
 * caller's business: it ends the header.  The ICV is written (encrypt) or
 * compared in constant time (decrypt).  The driver may change the ICV bytes when decrypting.
 */
struct tdo_op {
	uint8_t *data;
	uint32_t hdr_len;
	uint32_t text_len;
	uint32_t esn_hi;
	uint8_t status;              /* enum tdo_op_status, set by process */
	struct tdo_session *session; /* for tdo_crypto_process() */
};

/*
 * Processes n operations, each of its own session: what can be done side by side is, whatever
 * sessions it belongs to.  All are complete on return.  worker selects the driver state;
 * a worker number is used by one thread at a time.  Allocates nothing.
 */
void tdo_crypto_process(unsigned worker, struct tdo_op *ops, unsigned n);
/* The same for operations of one session, which is filled in. */
void tdo_session_process(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n);

#endif
