/* SPDX-License-Identifier: BSD-2-Clause */
/* IPComp: what is computed once when an SA is made, and memory of the workers. */
#include "engine/ipcomp.h"

#include <errno.h>

#include "engine/control.h"
#include "engine/protocol.h"

static uint16_t
wire_cpi(const struct tdo_comp_alg *a, uint32_t flags, uint32_t spi)
{
	return flags & TDO_SAF_RAWCPI ? (uint16_t)spi : a->cpi;
}

/*
 * RFC 3173 3.3: a CPI has 16 bits; 64 to 255 are reserved, and those below name algorithms.  An
 * SPI that is sent only in its lower half is KAME's way; without RAWCPI it names the SA and is
 * not sent at all.
 */
static int
check_cpi(struct tdo_engine *e, const struct tdo_sa_param *p, const struct tdo_comp_alg *a,
    struct tdo_err *err)
{
	uint16_t cpi = wire_cpi(a, p->flags, p->key.spi);

	if (p->key.spi > TDO_CPI_MAX && !(p->flags & TDO_SAF_RAWCPI))
		return tdo_refuse(e, err, -EINVAL,
		    "SPI %u: a CPI of IPComp has 16 bits, so 65535 is the highest",
		    (unsigned)p->key.spi);
	if (cpi < TDO_CPI_NEGOTIATED && cpi != a->cpi)
		return tdo_refuse(e, err, -EINVAL,
		    "CPI %u is reserved; those to be agreed upon are 256 to 65535", (unsigned)cpi);
	return 0;
}

int
tdo_ipcomp_check(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_comp_alg *a = tdo_comp_alg(p->ealg);

	if (p->ealg == 0)
		return tdo_refuse(
		    e, err, -EINVAL, "IPComp needs a compression algorithm; \"deflate\" is one");
	if (a == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown compression algorithm %u", p->ealg);
	if (a->not_there)
		return tdo_refuse(e, err, -EOPNOTSUPP, "%s", a->not_there);
	if (p->aalg != 0 || p->ekey_bits != 0 || p->akey_bits != 0)
		return tdo_refuse(
		    e, err, -EINVAL, "IPComp neither encrypts nor authenticates; it has no keys");
	if (p->flags & (TDO_SAF_ESN | TDO_SAF_OLD | TDO_SAF_IV4B | TDO_SAF_DERIV))
		return tdo_refuse(e, err, -EINVAL,
		    "IPComp has neither sequence numbers nor IVs, and there is one form of it "
		    "only");
	return check_cpi(e, p, a, err);
}

/* ---- workers ------------------------------------------------------------------------ */

void
tdo_ipcomp_work_free(struct tdo_worker *w)
{
	struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(w);

	if (x == NULL)
		return;
	tdo_comp_free(x->comp);
	tdo_engine_release(w->engine, x->slots, (size_t)TDO_IPCOMP_SLOTS * TDO_IPCOMP_SLOT);
	tdo_engine_release(w->engine, x, sizeof(*x));
	atomic_store_explicit(&w->ipcomp, NULL, memory_order_relaxed);
}

static int
work_new(struct tdo_worker *w)
{
	struct tdo_engine *e = w->engine;
	struct tdo_ipcomp_work *x = tdo_engine_alloc(e, sizeof(*x));
	int r = -ENOMEM;

	if (x == NULL)
		return -ENOMEM;
	x->slots = tdo_engine_alloc(e, (size_t)TDO_IPCOMP_SLOTS * TDO_IPCOMP_SLOT);
	if (x->slots)
		r = tdo_comp_new(&e->cfg.mem, &x->comp);
	if (r == 0) {
		atomic_store_explicit(&w->ipcomp, x, memory_order_release);
		return 0;
	}
	tdo_engine_release(e, x->slots, (size_t)TDO_IPCOMP_SLOTS * TDO_IPCOMP_SLOT);
	tdo_engine_release(e, x, sizeof(*x));
	return r;
}

/* Memory of all workers; what is there already stays. */
static int
equip_workers(struct tdo_engine *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < e->cfg.nworkers; i++)
		if (tdo_ipcomp_work_of(e->worker[i]) == NULL)
			r = work_new(e->worker[i]);
	return r;
}

/* ---- SAs ---------------------------------------------------------------------------- */

int
tdo_ipcomp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	const struct tdo_comp_alg *a = tdo_comp_alg(sa->param.ealg);
	int r;

	(void)enc;
	(void)auth;
	if (a == NULL || a->not_there || sa->id.src.af != sa->id.dst.af)
		return -EINVAL;
	r = equip_workers(e);
	if (r)
		return r;
	sa->comp = tdo_engine_alloc(e, sizeof(*sa->comp));
	if (sa->comp == NULL)
		return -ENOMEM;
	sa->comp->sa = sa;
	sa->comp->alg = a;
	sa->comp->cpi = wire_cpi(a, sa->flags, sa->id.spi);
	/* Nothing in front, nothing behind: see tdo_out_inner_mtu(). */
	sa->fmt = (struct tdo_format){.align = 1, .outer_len = (uint8_t)tdo_tunnel_len(&sa->id)};
	sa->out = &tdo_ipcomp_out;
	sa->in = &tdo_ipcomp_in;
	return 0;
}

void
tdo_ipcomp_fini(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->comp)
		tdo_engine_release(e, sa->comp, sizeof(*sa->comp));
}
