/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY numbers of the algorithms (NetBSD dialect), by which drivers tell them apart. */
#ifndef TDO_CRYPTO_ALG_H
#define TDO_CRYPTO_ALG_H

enum {
	TDO_EALG_3DES_CBC = 3,
	TDO_EALG_BLOWFISH_CBC = 7,
	TDO_EALG_NULL = 11,
	TDO_EALG_AES_CBC = 12,
	TDO_EALG_AES_GCM_16 = 20,
};

enum {
	TDO_AALG_HMAC_MD5 = 2,
	TDO_AALG_HMAC_SHA1 = 3,
	TDO_AALG_HMAC_SHA256 = 5,
};

#endif
