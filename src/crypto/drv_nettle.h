/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the nettle driver share. */
#ifndef TDO_CRYPTO_DRV_NETTLE_H
#define TDO_CRYPTO_DRV_NETTLE_H

#include <nettle/aes.h>
#include <nettle/nettle-meta.h>

#include "crypto/driver.h"
#include "crypto/mac.h"

/* ---- drv_nettle_mac.c ---- */

/* A MAC with its key; behind it, for hashes, the states that have seen the key. */
struct nettle_mac_key {
	const struct nettle_hash *hash; /* NULL: CBC-MAC, or none */
	uint8_t kind;
	uint8_t key_len; /* keyed hashes: the key stands behind the state */
	struct tdo_cbcmac cbcmac;
	struct aes128_ctx aes;
	_Alignas(16) uint8_t state[];
};

bool tdo_nettle_mac_supports(const struct tdo_alg *auth);
/* Bytes of a struct nettle_mac_key; auth may be NULL. */
size_t tdo_nettle_mac_size(const struct tdo_alg *auth);
/* m is zeroed. */
void tdo_nettle_mac_init(struct nettle_mac_key *m, const struct tdo_session_param *p);
/* The MAC of len bytes at data and, unless NULL, the 4 bytes at esn. */
void tdo_nettle_mac_run(const struct nettle_mac_key *m, const uint8_t *data, size_t len,
    const uint8_t *esn, uint8_t ret[TDO_HASH_MAX]);

#endif
