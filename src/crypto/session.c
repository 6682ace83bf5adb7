/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: checking what is asked for, choosing the driver, owning the memory. */
#include <errno.h>

#include "crypto/alg.h"
#include "crypto/driver.h"

bool
tdo_pair_legal(const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	if (enc == NULL && auth == NULL)
		return false;
	if (enc && enc->kind == TDO_ALG_AUTH)
		return false;
	if (auth && auth->kind != TDO_ALG_AUTH)
		return false;
	return !(enc && auth && (enc->kind == TDO_ALG_AEAD || auth->ah_only));
}

/* GMAC in AH is AES-GCM whose packets are all header. */
static void
resolve_gmac(const struct tdo_alg **enc, const struct tdo_alg **auth)
{
	if (*auth && (*auth)->ah_only) {
		*enc = tdo_alg_enc(TDO_EALG_AES_GCM_16);
		*auth = NULL;
	}
}

/* True when the key is there and has a legal length; without algorithm, when there is none. */
static bool
key_ok(const struct tdo_alg *a, const uint8_t *key, unsigned len)
{
	if (a == NULL)
		return len == 0;
	return (key != NULL || len == 0) && tdo_alg_keylen_ok(a, len * 8);
}

static bool
may_do_it(const struct tdo_driver *d, enum tdo_crypto_support by)
{
	return by == TDO_CRYPTO_ANY || d->hardware == (by == TDO_CRYPTO_HARDWARE);
}

/* The first driver for this pair and length of the cipher's key without salt (0: any). */
static const struct tdo_driver_slot *
choose(const struct tdo_crypto *c, const struct tdo_alg *enc, const struct tdo_alg *auth,
    unsigned key_len, enum tdo_crypto_support by)
{
	if ((enc && enc->not_there) || (auth && auth->not_there))
		return NULL;
	for (unsigned i = 0; i < c->n; i++)
		if (may_do_it(c->slot[i].driver, by) &&
		    c->slot[i].driver->supports(c->slot[i].state, enc, auth, key_len))
			return &c->slot[i];
	return NULL;
}

bool
tdo_crypto_supports_by(const struct tdo_crypto *c, const struct tdo_alg *enc,
    const struct tdo_alg *auth, enum tdo_crypto_support by)
{
	if (!tdo_pair_legal(enc, auth))
		return false;
	resolve_gmac(&enc, &auth);
	return choose(c, enc, auth, 0, by) != NULL;
}

bool
tdo_crypto_supports(
    const struct tdo_crypto *c, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	return tdo_crypto_supports_by(c, enc, auth, TDO_CRYPTO_ANY);
}

int
tdo_session_make(struct tdo_crypto *c, const struct tdo_driver_slot *slot,
    const struct tdo_session_param *param, struct tdo_session **ret)
{
	struct tdo_session_param p = *param;
	const struct tdo_driver *d = slot->driver;
	struct tdo_block block;
	struct tdo_session *s;
	int err;

	if (p.twin && p.twin->slot != slot)
		p.twin = NULL;
	s = tdo_block_alloc(&c->cfg.mem, sizeof(*s) + d->session_size(slot->state, &p),
	    d->session_align ? d->session_align(&p) : TDO_ANY_ALIGN, &block);
	if (s == NULL)
		return -ENOMEM;
	s->slot = slot;
	s->block = block;
	err = d->session_init(slot->state, &p, s);
	if (err) {
		tdo_session_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

int
tdo_session_new(
    struct tdo_crypto *c, const struct tdo_session_param *param, struct tdo_session **ret)
{
	const struct tdo_driver_slot *slot;
	struct tdo_session_param p = *param;
	unsigned key_len = 0;

	if (!tdo_pair_legal(p.enc, p.auth))
		return -EINVAL;
	if (!key_ok(p.enc, p.ekey, p.ekey_len) || !key_ok(p.auth, p.akey, p.akey_len))
		return -EINVAL;
	if (p.auth && p.auth->ah_only) {
		resolve_gmac(&p.enc, &p.auth);
		p.ekey = p.akey;
		p.ekey_len = p.akey_len;
		p.esn = false;
	}
	if (p.enc)
		key_len = (unsigned)p.ekey_len - p.enc->salt_len;
	slot = choose(c, p.enc, p.auth, key_len, p.by);
	return slot ? tdo_session_make(c, slot, &p, ret) : -EOPNOTSUPP;
}

void
tdo_session_free(struct tdo_session *s)
{
	const struct tdo_driver *d;

	if (s == NULL)
		return;
	d = s->slot->driver;
	if (d->session_fini)
		d->session_fini(s->slot->state, s);
	tdo_block_free(s->slot->crypto->cfg.mem, s->block);
}

const char *
tdo_session_driver(const struct tdo_session *s)
{
	return s->slot->driver->name;
}

void
tdo_crypto_process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	for (unsigned i = 0, first = 0; i < n; first = i) {
		tdo_process_fn process = ops[first].session->process;

		while (i < n && ops[i].session->process == process)
			i++;
		process(worker, ops + first, i - first);
	}
}

void
tdo_session_process(struct tdo_session *s, unsigned worker, struct tdo_op *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ops[i].session = s;
	s->process(worker, ops, n);
}
