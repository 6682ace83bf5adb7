/* SPDX-License-Identifier: BSD-2-Clause */
/* Policy objects: checking of parameters, making, freeing, copies for the outside. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/spd.h"
#include "wire/ip.h"

/* ---- validation --------------------------------------------------------------------- */

static int
check_sel(struct tdo_engine *e, const struct tdo_sel *s, struct tdo_err *err)
{
	if (tdo_af_len(s->src.af) == 0 || s->src.af != s->dst.af)
		return tdo_refuse(e, err, -EINVAL,
		    "source and destination of a policy must be addresses of one family");
	if (s->src_plen > tdo_af_bits(s->src.af) || s->dst_plen > tdo_af_bits(s->dst.af))
		return tdo_refuse(e, err, -EINVAL, "prefix length %u; at most %u",
		    s->src_plen > s->dst_plen ? s->src_plen : s->dst_plen, tdo_af_bits(s->src.af));
	if (s->sport.lo > s->sport.hi || s->dport.lo > s->dport.hi)
		return tdo_refuse(e, err, -EINVAL, "port range whose end is before its start");
	return 0;
}

static int
check_req_addrs(struct tdo_engine *e, const struct tdo_req *q, struct tdo_err *err)
{
	bool src = tdo_af_len(q->src.af) != 0, dst = tdo_af_len(q->dst.af) != 0;

	if (src != dst || (src && q->src.af != q->dst.af))
		return tdo_refuse(e, err, -EINVAL,
		    "a request needs both of its addresses, of one family, or none");
	if (q->mode == TDO_MODE_TUNNEL && !src)
		return tdo_refuse(e, err, -EINVAL, "a tunnel-mode request needs its two endpoints");
	if ((q->sport != 0 || q->dport != 0) && (!src || q->proto != TDO_IPPROTO_ESP))
		return tdo_refuse(
		    e, err, -EINVAL, "ports in a request belong to addresses of ESP in UDP");
	return 0;
}

static int
check_req(struct tdo_engine *e, const struct tdo_req *q, struct tdo_err *err)
{
	if (q->proto != TDO_IPPROTO_ESP && q->proto != TDO_IPPROTO_AH &&
	    q->proto != TDO_IPPROTO_IPCOMP)
		return tdo_refuse(e, err, -EINVAL,
		    "protocol %u in a request; ESP (50), AH (51) and IPComp (108) are possible",
		    q->proto);
	if (q->mode != TDO_MODE_TRANSPORT && q->mode != TDO_MODE_TUNNEL)
		return tdo_refuse(
		    e, err, -EINVAL, "the mode of a request is either transport or tunnel");
	if (q->level > TDO_LEVEL_UNIQUE)
		return tdo_refuse(e, err, -EINVAL, "unknown level %u in a request", q->level);
	return check_req_addrs(e, q, err);
}

int
tdo_sp_validate(struct tdo_engine *e, const struct tdo_sp_param *p, struct tdo_err *err)
{
	int r;

	if (p->dir != TDO_DIR_IN && p->dir != TDO_DIR_OUT)
		return tdo_refuse(e, err, -EINVAL, "the direction of a policy is either in or out");
	if (p->type > TDO_POLICY_IPSEC)
		return tdo_refuse(e, err, -EINVAL,
		    "policy type %u; discard, none and ipsec are possible in the SPD", p->type);
	if (p->type == TDO_POLICY_IPSEC && !p->unset ? p->nreq == 0 : p->nreq != 0)
		return tdo_refuse(
		    e, err, -EINVAL, "a policy of type ipsec has requests, and no other has");
	if (p->nreq > TDO_REQ_MAX)
		return tdo_refuse(
		    e, err, -EINVAL, "%u requests in one policy; at most %u", p->nreq, TDO_REQ_MAX);
	if (!tdo_tunnel_opt_ok(&p->tunnel))
		return tdo_refuse(e, err, -EINVAL,
		    "ECN, DF, DSCP or flow label setting of a tunnel is out of range");
	r = check_sel(e, &p->sel, err);
	for (unsigned i = 0; r == 0 && i < p->nreq; i++)
		r = check_req(e, &p->req[i], err);
	return r;
}

struct tdo_sel
tdo_sel_normal(const struct tdo_sel *sel)
{
	struct tdo_sel s = *sel;

	s.src = tdo_addr_mask(&sel->src, sel->src_plen);
	s.dst = tdo_addr_mask(&sel->dst, sel->dst_plen);
	return s;
}

/* ---- making and freeing ------------------------------------------------------------- */

/* Most policies have one request where there is room for eight. */
static size_t
param_len(const struct tdo_sp_param *p)
{
	return offsetof(struct tdo_sp_param, req) + p->nreq * sizeof(p->req[0]);
}

struct tdo_sp *
tdo_sp_new(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now)
{
	size_t align = _Alignof(struct tdo_sp_req);
	size_t head = (offsetof(struct tdo_sp, param) + param_len(p) + align - 1) / align * align;
	size_t size = head + p->nreq * sizeof(struct tdo_sp_req);
	struct tdo_sp *sp = tdo_engine_alloc(e, size);

	if (sp == NULL)
		return NULL;
	sp->engine = e;
	sp->size = size;
	sp->req = (struct tdo_sp_req *)(void *)((uint8_t *)sp + head);
	memcpy(&sp->param, p, param_len(p));
	sp->param.sel = tdo_sel_normal(&p->sel);
	sp->created = now;
	sp->refs = 1;
	atomic_init(&sp->died, UINT64_MAX);
	for (unsigned i = 0; i < p->nreq; i++) {
		sp->req[i].sp = sp;
		sp->req[i].index = (uint8_t)i;
	}
	return sp;
}

void
tdo_sp_ref(struct tdo_sp *sp)
{
	sp->refs++;
}

void
tdo_sp_unref(struct tdo_sp *sp)
{
	if (--sp->refs == 0)
		tdo_engine_release(sp->engine, sp, sp->size);
}

void
tdo_sp_fill_info(const struct tdo_engine *e, const struct tdo_sp *sp, struct tdo_sp_info *ret)
{
	*ret = (struct tdo_sp_info){
	    .id = sp->id,
	    .created = tdo_wall(e, sp->created),
	    .made = sp->created,
	    .last_used =
		tdo_wall_used(e, atomic_load_explicit(&sp->last_use, memory_order_relaxed)),
	    .packets = atomic_load_explicit(&sp->packets, memory_order_relaxed),
	    .drops = atomic_load_explicit(&sp->drops, memory_order_relaxed),
	    .refcnt = sp->refs,
	};
	memcpy(&ret->param, &sp->param, param_len(&sp->param));
}

/* ---- levels ------------------------------------------------------------------------- */

uint8_t
tdo_req_level(const struct tdo_engine *e, const struct tdo_req *r, uint8_t af)
{
	bool net = r->mode == TDO_MODE_TUNNEL;

	if (r->level != TDO_LEVEL_DEFAULT)
		return r->level;
	/* The knobs use the numbers of the levels: 1 use, 2 require. */
	if (r->proto == TDO_IPPROTO_ESP)
		return (uint8_t)tdo_knob(
		    e, net ? TDO_KNOB_ESP_NET_DEFLEV : TDO_KNOB_ESP_TRANS_DEFLEV, af);
	if (r->proto == TDO_IPPROTO_AH)
		return (uint8_t)tdo_knob(
		    e, net ? TDO_KNOB_AH_NET_DEFLEV : TDO_KNOB_AH_TRANS_DEFLEV, af);
	return TDO_LEVEL_USE;
}
