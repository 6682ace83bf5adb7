/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the OpenSSL driver share. */
#ifndef TDO_CRYPTO_DRV_OPENSSL_H
#define TDO_CRYPTO_DRV_OPENSSL_H

#include <openssl/evp.h>

#include "crypto/driver.h"
#include "crypto/mac.h"

/* ---- drv_openssl_mac.c ---- */

/*
 * A MAC with its key.  What follows, by kind: the digests that have seen the key (HMAC: inner
 * and outer, keyed: one and the key itself), or a CBC context for each worker.
 */
struct ossl_mac {
	const struct ossl_hash *hash; /* NULL: CBC-MAC, or none */
	uint8_t kind;
	uint8_t key_len;  /* keyed hashes */
	uint8_t nworkers; /* with a CBC context */
	struct tdo_cbcmac cbcmac;
	_Alignas(8) uint8_t state[];
};

bool tdo_ossl_mac_supports(const struct tdo_alg *auth);
/* Bytes of a struct ossl_mac; auth may be NULL. */
size_t tdo_ossl_mac_size(const struct tdo_alg *auth, unsigned nworkers);
/* m is zeroed.  0 or -ENOMEM; fini is called either way. */
TDO_MUST_CHECK int tdo_ossl_mac_init(struct ossl_mac *m, const struct tdo_session_param *p,
    unsigned nworkers, const EVP_CIPHER *aes_cbc);
void tdo_ossl_mac_fini(struct ossl_mac *m);
/*
 * The MAC of len bytes at data and, unless NULL, the 4 bytes at esn.  False when the library
 * failed.
 */
TDO_MUST_CHECK bool tdo_ossl_mac_run(const struct ossl_mac *m, unsigned worker, const uint8_t *data,
    size_t len, const uint8_t *esn, uint8_t ret[TDO_HASH_MAX]);

#endif
