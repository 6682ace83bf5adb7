/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the ipsec-mb driver share. */
#ifndef TDO_CRYPTO_DRV_IPSECMB_H
#define TDO_CRYPTO_DRV_IPSECMB_H

#include <intel-ipsec-mb.h>

#include "crypto/driver.h"

enum { MB_CHUNK = 64 }; /* packets at once; at most IMB_MAX_BURST_SIZE */

struct mb_manager {
	IMB_MGR *mgr;
	struct tdo_block block;
};

/* The calls for one length of key. */
struct mb_gmac {
	aes_gmac_init_t init;
	aes_gmac_update_t update;
	aes_gmac_finalize_t finalize;
};

enum { MB_GMAC_KEYS = 3 };

struct mb_state {
	struct tdo_mem mem;
	struct tdo_block block;
	struct mb_gmac gmac[MB_GMAC_KEYS];
	unsigned nworkers;
	struct mb_manager worker[]; /* and one more for the control thread */
};

/* The driver's part of the session of p->twin, or NULL. */
static inline const void *
mb_twin(const struct tdo_session_param *p)
{
	return p->twin ? p->twin->ctx : NULL;
}

/* ---- drv_ipsecmb_gcm.c: AES-GCM and AES-GMAC, packet by packet ---- */

size_t tdo_mb_gcm_size(const struct tdo_session_param *p);
void tdo_mb_gcm_init(
    const struct mb_state *st, const struct tdo_session_param *p, struct tdo_session *s);
/* For all lengths of key, in order; the manager must stay. */
void tdo_mb_gmac_init(const IMB_MGR *m, struct mb_gmac ret[MB_GMAC_KEYS]);

/* ---- drv_ipsecmb_job.c: everything else, as bursts of jobs ---- */

/* key_len: of the cipher, without salt; 0 = any. */
bool tdo_mb_job_supports(const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len);
size_t tdo_mb_job_size(const struct tdo_session_param *p);
void tdo_mb_job_init(IMB_MGR *m, const struct tdo_session_param *p, struct tdo_session *s);

#endif
