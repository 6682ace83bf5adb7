/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver for Intel's multi-buffer library: the fast one on amd64.
 *
 * AES-GCM runs packet by packet through the direct calls (drv_ipsecmb_gcm.c); everything
 * else goes as a burst of jobs, which the library spreads over the lanes of its vector code
 * (drv_ipsecmb_job.c).  Keys are expanded when a session is made and are read-only
 * afterwards, so that all workers share them, and so do the two sessions of a pair; each
 * worker has a job manager of its own, and so has the control thread, which makes the
 * sessions.  No job stays in a manager between calls.
 */
#include <errno.h>

#include "crypto/drv_ipsecmb.h"

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
	void *p = tdo_block_alloc(mem, imb_get_mb_mgr_size(), TDO_CACHE_LINE, &m->block);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (p == NULL)
		return -ENOMEM;
	m->mgr = imb_set_pointers_mb_mgr(p, 0, 1);
	if (m->mgr == NULL)
		return -ENOTSUP;
	init_mb_mgr_auto(m->mgr, &arch);
	if (imb_get_errno(m->mgr) != 0 || arch == IMB_ARCH_NONE)
		return -ENOTSUP;
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)
	/* Without AES instructions the library emulates them: slower than OpenSSL. */
	if (arch == IMB_ARCH_NOAESNI)
		return -ENOTSUP;
#endif
	return 0;
}

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	struct tdo_block block;
	struct mb_state *st = tdo_block_alloc(&cfg->mem,
	    sizeof(*st) + (cfg->nworkers + (size_t)1) * sizeof(struct mb_manager), TDO_ANY_ALIGN,
	    &block);
	int err = 0;

	if (st == NULL)
		return -ENOMEM;
	st->mem = cfg->mem;
	st->block = block;
	st->nworkers = cfg->nworkers;
	for (unsigned i = 0; i <= st->nworkers && err == 0; i++)
		err = make_manager(&st->mem, &st->worker[i]);
	if (err) {
		stop(st);
		return err;
	}
	tdo_mb_gmac_init(st->worker[st->nworkers].mgr, st->gmac);
	*ret_state = st;
	return 0;
}

static bool
is_gcm(const struct tdo_alg *enc)
{
	return tdo_cipher_of(enc) == TDO_EALG_AES_GCM_16;
}

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	(void)state;
	return is_gcm(enc) || tdo_mb_job_supports(enc, auth, key_len);
}

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	(void)state;
	return is_gcm(p->enc) ? tdo_mb_gcm_size(p) : tdo_mb_job_size(p);
}

static size_t
session_align(const struct tdo_session_param *p)
{
	return is_gcm(p->enc) ? TDO_CACHE_LINE : TDO_ANY_ALIGN;
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	const struct mb_state *st = state;

	if (is_gcm(p->enc))
		tdo_mb_gcm_init(st, p, s);
	else
		tdo_mb_job_init(st->worker[st->nworkers].mgr, p, s);
	return 0;
}

const struct tdo_driver tdo_driver_ipsecmb = {
    .name = "ipsec-mb",
    .start = start,
    .stop = stop,
    .supports = supports,
    .session_size = session_size,
    .session_align = session_align,
    .session_init = session_init,
};
