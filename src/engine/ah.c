/* SPDX-License-Identifier: BSD-2-Clause */
/* AH: what is computed once when an SA is made; headers in front of AH during the computation. */
#include "engine/ah.h"

#include <errno.h>
#include <string.h>

#include "engine/control.h"
#include "engine/protocol.h"

/* ---- parameters ----------------------------------------------------------------------- */

/* RFC 1826: SPI and authentication data, nothing else. */
static int
check_old(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	if (p->replay != 0 || p->adaptive)
		return tdo_refuse(e, err, -EINVAL,
		    "replay prevention needs sequence numbers, which ah-old has not");
	if (p->flags & TDO_SAF_ESN)
		return tdo_refuse(e, err, -EINVAL, "ah-old has no sequence numbers to extend");
	if (tdo_alg_ah_old(p->aalg) == NULL)
		return tdo_refuse(e, err, -EINVAL, "%s exists in the new AH only, not in ah-old",
		    tdo_alg_auth(p->aalg)->name);
	return 0;
}

int
tdo_ah_check(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_alg *auth = tdo_alg_auth(p->aalg), *enc;
	int r = tdo_spi_check(e, p, err);

	if (r)
		return r;
	if (p->ealg != 0 || p->ekey_bits != 0)
		return tdo_refuse(
		    e, err, -EINVAL, "AH does not encrypt: take esp, or -A without -E");
	if (p->aalg == 0)
		return tdo_refuse(e, err, -EINVAL, "AH needs an authentication algorithm (-A)");
	if (auth == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown authentication algorithm %u", p->aalg);
	if (p->flags & (TDO_SAF_IV4B | TDO_SAF_DERIV))
		return tdo_refuse(e, err, -EINVAL, "IVs of this kind exist in ESP only, not in AH");
	if (p->flags & TDO_SAF_OLD)
		r = check_old(e, p, err);
	/* RFC 4302 2.5.1: the high half is known from the ICV alone. */
	else if ((p->flags & TDO_SAF_ESN) && auth->no_auth)
		r = tdo_refuse(e, err, -EINVAL,
		    "extended sequence numbers need authentication: nothing else tells the high "
		    "half");
	if (r == 0)
		r = tdo_key_check(e, auth, p->akey, p->akey_bits, err);
	if (r)
		return r;
	tdo_sa_algs(p, &enc, &auth);
	return tdo_driver_check(e, NULL, auth, err);
}

/*
 * RFC 4302 2.6: the header is a multiple of 4 bytes on IPv4, of 8 on IPv6 (D25).  Some peers want
 * it otherwise: Linux, without its flag align4, takes nothing but multiples of 8.
 */
static unsigned
alignment(const struct tdo_sa *sa)
{
	if (sa->param.align != 0)
		return sa->param.align;
	return sa->id.dst.af == TDO_AF_INET6 ? 8 : 4;
}

int
tdo_ah_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	struct tdo_format x = {0};

	if (enc || auth == NULL || sa->id.src.af != sa->id.dst.af)
		return -EINVAL;
	x.numbered = (sa->flags & TDO_SAF_OLD) == 0;
	x.iv_off = x.numbered ? TDO_AH_HLEN : TDO_AH_OLD_HLEN;
	x.iv_len = auth->iv_len;
	x.iv_counter = auth->iv_counter;
	x.hdr_len = (uint8_t)(x.iv_off + x.iv_len + auth->icv_len);
	x.head_len = (uint8_t)tdo_ah_len(0, x.hdr_len, alignment(sa));
	x.align = 1;
	/* RFC 4302 2.5.1: the driver of a MAC writes the high half where the ICV will be. */
	x.scratch_len = (uint8_t)(sizeof(uint32_t) + x.iv_len + auth->icv_len);
	x.authenticated = !auth->no_auth;
	x.esn = (sa->flags & TDO_SAF_ESN) != 0;
	if ((x.esn && !x.authenticated) || (!x.numbered && (x.esn || x.iv_counter)))
		return -EINVAL;
	tdo_engine_random(e, &x.iv_base, sizeof(x.iv_base));
	x.outer_len = (uint8_t)tdo_tunnel_len(&sa->id);
	sa->fmt = x;
	sa->out = &tdo_ah_out;
	sa->in = &tdo_ah_in;
	return 0;
}

/* ---- workers ------------------------------------------------------------------------- */

int
tdo_ah_saved_new(struct tdo_worker *w)
{
	w->ah_saved = tdo_line_alloc(&w->engine->cfg.mem, sizeof(*w->ah_saved));
	return w->ah_saved ? 0 : -ENOMEM;
}

void
tdo_ah_saved_free(struct tdo_worker *w)
{
	if (w->ah_saved)
		tdo_line_free(&w->engine->cfg.mem, w->ah_saved, sizeof(*w->ah_saved));
}

/* ---- headers in front of AH ----------------------------------------------------------- */

struct tdo_ah_rules
tdo_ah_rules_of(const struct tdo_worker *w, bool out)
{
	const struct tdo_engine *e = w->engine;

	return (struct tdo_ah_rules){
	    .out = out,
	    .clear_tos = tdo_knob(e, TDO_KNOB_AH_CLEARTOS, TDO_AF_INET) != 0,
	    .off_mask = (uint16_t)tdo_knob(e, TDO_KNOB_AH_OFFSETMASK, TDO_AF_INET),
	};
}

enum tdo_reason
tdo_ah_check_headers(
    const struct tdo_pkt *p, uint32_t hdr_len, uint16_t nh_off, const struct tdo_ah_rules *r)
{
	uint8_t hdr[TDO_AH_COVER_MAX];

	/* Without options there is nothing that could be wrong. */
	if (hdr_len == tdo_ip_hlen(p->ip.flow.src.af))
		return TDO_REASON_NONE;
	if (hdr_len > sizeof(hdr))
		return TDO_REASON_AH_HEADER;
	memcpy(hdr, tdo_pkt_data(p), hdr_len);
	hdr[nh_off] = TDO_IPPROTO_AH;
	return tdo_ah_cover(hdr, hdr_len, r);
}

void
tdo_ah_hide(struct tdo_worker *w, struct tdo_batch *b, unsigned i, const struct tdo_ah_rules *r)
{
	const struct tdo_pkt *p = b->p[i];
	uint8_t *data = tdo_pkt_data(p);

	memcpy(w->ah_saved->hdr[i], data, p->ip.l4_off);
	/* It did not complain in tdo_ah_check_headers(), so it does not now. */
	(void)tdo_ah_cover(data, p->ip.l4_off, r);
}

void
tdo_ah_show(struct tdo_worker *w, struct tdo_batch *b, unsigned i)
{
	const struct tdo_pkt *p = b->p[i];

	memcpy(tdo_pkt_data(p), w->ah_saved->hdr[i], p->ip.l4_off);
}
