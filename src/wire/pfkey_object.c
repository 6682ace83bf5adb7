/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY messages: SAs and policies as groups of extensions, both ways. */
#include <errno.h>

#include "base/addr.h"
#include "wire/pfkey_msg.h"

enum { REPLAY_UNIT = 8 /* packets for each unit of sadb_sa_replay */ };

static int
wrong(struct tdo_sadb_err *ret_err, enum tdo_sadb_ext_type ext, const char *text)
{
	if (ret_err)
		*ret_err = (struct tdo_sadb_err){.ext = (uint8_t)ext, .text = text};
	return -EINVAL;
}

static int
missing(struct tdo_sadb_err *ret_err, enum tdo_sadb_ext_type ext)
{
	return wrong(ret_err, ext, "extension is missing");
}

static bool
is_set(const struct tdo_tunnel_opt *t)
{
	static const struct tdo_tunnel_opt none;

	return memcmp(t, &none, sizeof(none)) != 0;
}

static int
get_pair(const struct tdo_sadb_msg *m, struct tdo_sadb_address *ret_src,
    struct tdo_sadb_address *ret_dst, struct tdo_sadb_err *ret_err)
{
	if (!tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_SRC, ret_src))
		return missing(ret_err, TDO_SADB_EXT_ADDRESS_SRC);
	if (!tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_DST, ret_dst))
		return missing(ret_err, TDO_SADB_EXT_ADDRESS_DST);
	return 0;
}

/* ---- selectors ---------------------------------------------------------------------- */

static struct tdo_range
port_range(uint16_t port)
{
	return port == 0 ? TDO_RANGE_ANY : (struct tdo_range){port, port};
}

static uint16_t
range_port(struct tdo_range r)
{
	return r.lo == r.hi ? r.lo : 0;
}

static bool
same_range(struct tdo_range a, struct tdo_range b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* A port field says the range. */
static bool
port_says(struct tdo_range r)
{
	return same_range(port_range(range_port(r)), r);
}

/* What the addresses say must not contradict: TDO_SEL narrows their ports only. */
static bool
narrows(const struct tdo_sel *own, const struct tdo_sel *addrs)
{
	return own->proto == addrs->proto && own->src_plen == addrs->src_plen &&
	       own->dst_plen == addrs->dst_plen && tdo_addr_equal(&own->src, &addrs->src) &&
	       tdo_addr_equal(&own->dst, &addrs->dst) &&
	       (same_range(addrs->sport, TDO_RANGE_ANY) || same_range(own->sport, addrs->sport)) &&
	       (same_range(addrs->dport, TDO_RANGE_ANY) || same_range(own->dport, addrs->dport));
}

int
tdo_sadb_get_sel(const struct tdo_sadb_msg *m, struct tdo_sel *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sadb_address src, dst;
	struct tdo_sel sel, own;
	int r = get_pair(m, &src, &dst, ret_err);

	if (r < 0)
		return r;
	sel = (struct tdo_sel){
	    .src = tdo_addr_mask(&src.addr, src.plen),
	    .dst = tdo_addr_mask(&dst.addr, dst.plen),
	    .src_plen = src.plen,
	    .dst_plen = dst.plen,
	    .proto = src.proto,
	    .sport = port_range(src.port),
	    .dport = port_range(dst.port),
	};
	if (tdo_sadb_get_tdo_sel(m, &own)) {
		if (!narrows(&own, &sel))
			return wrong(ret_err, TDO_SADB_X_EXT_TDO_SEL,
			    "selectors contradict the addresses of the message");
		sel = own;
	}
	*ret = sel;
	return 0;
}

void
tdo_sadb_put_sel(struct tdo_wr *w, const struct tdo_sel *sel)
{
	struct tdo_sadb_address a = {.addr = sel->src,
	    .plen = sel->src_plen,
	    .proto = sel->proto,
	    .port = range_port(sel->sport)};

	tdo_sadb_put_address(w, TDO_SADB_EXT_ADDRESS_SRC, &a);
	a.addr = sel->dst;
	a.plen = sel->dst_plen;
	a.port = range_port(sel->dport);
	tdo_sadb_put_address(w, TDO_SADB_EXT_ADDRESS_DST, &a);
}

/* ---- SAs ---------------------------------------------------------------------------- */

int
tdo_sadb_get_sa_key(
    const struct tdo_sadb_msg *m, struct tdo_sa_key *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sadb_address src, dst;
	struct tdo_sadb_sa sa = {0};
	int r = get_pair(m, &src, &dst, ret_err);

	if (r < 0)
		return r;
	tdo_sadb_get_sa(m, &sa);
	*ret = (struct tdo_sa_key){
	    .satype = m->base.satype, .spi = sa.spi, .src = src.addr, .dst = dst.addr};
	return 0;
}

static void
put_sa_addr(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_addr *addr)
{
	tdo_sadb_put_address(w, ext,
	    &(struct tdo_sadb_address){
		.addr = *addr, .plen = (uint8_t)tdo_af_bits(addr->af), .proto = TDO_PROTO_ANY});
}

void
tdo_sadb_put_sa_addrs(struct tdo_wr *w, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	put_sa_addr(w, TDO_SADB_EXT_ADDRESS_SRC, src);
	put_sa_addr(w, TDO_SADB_EXT_ADDRESS_DST, dst);
}

/* An original address; 0.0.0.0 and :: say that it is not known. */
static struct tdo_addr
get_original(const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_address a = {0};

	if (!tdo_sadb_get_address(m, ext, &a) || tdo_addr_is_any(&a.addr))
		return (struct tdo_addr){0};
	return a.addr;
}

/* RFC 3947 5.2 has initiator and responder; here they are the SA's source and destination. */
static void
get_natt(const struct tdo_sadb_msg *m, struct tdo_natt *n)
{
	if (tdo_sadb_get_natt_type(m, &n->type) && n->type == TDO_SADB_NATT_NONE)
		return; /* what else may be said has no meaning then */
	tdo_sadb_get_natt_port(m, TDO_SADB_X_EXT_NAT_T_SPORT, &n->sport);
	tdo_sadb_get_natt_port(m, TDO_SADB_X_EXT_NAT_T_DPORT, &n->dport);
	tdo_sadb_get_natt_frag(m, &n->frag);
	n->oa_src = get_original(m, TDO_SADB_X_EXT_NAT_T_OAI);
	n->oa_dst = get_original(m, TDO_SADB_X_EXT_NAT_T_OAR);
}

/* FreeBSD's extensions of UPDATE, and those of testudo. */
static void
get_sa_extra(const struct tdo_sadb_msg *m, struct tdo_sa_param *p)
{
	struct tdo_sadb_address a;
	struct tdo_sadb_tdo_sa own;

	if (tdo_sadb_get_address(m, TDO_SADB_X_EXT_NEW_ADDRESS_SRC, &a))
		p->new_src = a.addr;
	if (tdo_sadb_get_address(m, TDO_SADB_X_EXT_NEW_ADDRESS_DST, &a))
		p->new_dst = a.addr;
	if (tdo_sadb_get_tdo_sa(m, &own)) {
		p->tunnel = own.tunnel;
		p->adaptive = own.adaptive;
		p->cpu = own.cpu;
		p->align = own.align;
	}
	p->has_sel = tdo_sadb_get_tdo_sel(m, &p->sel);
	(void)tdo_sadb_get_tdo_tfc(m, &p->tfc);
	(void)tdo_sadb_get_tdo_mtu(m, &p->mtu);
}

int
tdo_sadb_get_sa_param(
    const struct tdo_sadb_msg *m, struct tdo_sa_param *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sa_param p = {.seq = m->base.seq, .pid = m->base.pid};
	struct tdo_sadb_sa sa = {0};
	struct tdo_sadb_sa2 sa2 = {0};
	struct tdo_sadb_key ekey = {0}, akey = {0};
	int r = tdo_sadb_get_sa_key(m, &p.key, ret_err);

	if (r < 0)
		return r;
	tdo_sadb_get_sa(m, &sa);
	tdo_sadb_get_sa2(m, &sa2);
	tdo_sadb_get_key(m, TDO_SADB_EXT_KEY_ENCRYPT, &ekey);
	tdo_sadb_get_key(m, TDO_SADB_EXT_KEY_AUTH, &akey);
	p.mode = sa2.mode;
	p.reqid = sa2.reqid;
	p.state = sa.state;
	p.flags = sa.flags;
	p.replay = (uint32_t)sa.replay * REPLAY_UNIT;
	tdo_sadb_get_replay(m, &p.replay);
	p.ealg = sa.encrypt;
	p.aalg = sa.auth;
	p.ekey = ekey.p;
	p.akey = akey.p;
	p.ekey_bits = ekey.bits;
	p.akey_bits = akey.bits;
	p.has_hard = tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_HARD, &p.hard);
	p.has_soft = tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_SOFT, &p.soft);
	get_natt(m, &p.natt);
	get_sa_extra(m, &p);
	*ret = p;
	return 0;
}

/* The 8-bit field holds the window where it can; else as much as it can. */
static uint8_t
replay_units(uint32_t packets)
{
	uint32_t units = packets / REPLAY_UNIT + (packets % REPLAY_UNIT != 0);

	return units > UINT8_MAX ? UINT8_MAX : (uint8_t)units;
}

static void
put_replay_if_needed(struct tdo_wr *w, uint32_t packets)
{
	if ((uint32_t)replay_units(packets) * REPLAY_UNIT != packets)
		tdo_sadb_put_replay(w, packets);
}

void
tdo_sadb_put_sa_head(struct tdo_wr *w, const struct tdo_sa_param *p)
{
	tdo_sadb_put_sa(w, &(struct tdo_sadb_sa){.spi = p->key.spi,
			       .replay = replay_units(p->replay),
			       .state = p->state,
			       .auth = p->aalg,
			       .encrypt = p->ealg,
			       .flags = p->flags});
	tdo_sadb_put_sa2(w, &(struct tdo_sadb_sa2){.mode = p->mode, .reqid = p->reqid});
}

/*
 * RFC 2367 2.3.4: key extensions where there are keys.  The null algorithms have none, but
 * old kernels demand the extension (spec 2.4): an empty one says both.  IPComp has an algorithm in
 * the place of the cipher, and no keys.
 */
static void
put_ekey(struct tdo_wr *w, const struct tdo_sa_param *p)
{
	if (p->ealg != 0 && p->key.satype != TDO_SATYPE_IPCOMP)
		tdo_sadb_put_key(w, TDO_SADB_EXT_KEY_ENCRYPT, p->ekey, p->ekey_bits);
}

static void
put_akey(struct tdo_wr *w, const struct tdo_sa_param *p)
{
	if (p->aalg != 0)
		tdo_sadb_put_key(w, TDO_SADB_EXT_KEY_AUTH, p->akey, p->akey_bits);
}

/*
 * Extensions that other systems do not have go last and only where something is to be said:
 * many readers stop at the first that they do not know.
 */
static bool
put_sa_own(struct tdo_wr *w, const struct tdo_sa_param *p, uint32_t window)
{
	bool needed = is_set(&p->tunnel) || p->adaptive || p->cpu != 0 || p->align != 0;
	bool tfc = p->tfc.pad != 0 || p->tfc.dummies != 0;

	if (needed)
		tdo_sadb_put_tdo_sa(w, &(struct tdo_sadb_tdo_sa){.tunnel = p->tunnel,
					   .adaptive = p->adaptive,
					   .cpu = p->cpu,
					   .align = p->align,
					   .window = window});
	if (p->has_sel)
		tdo_sadb_put_tdo_sel(w, &p->sel);
	if (tfc)
		tdo_sadb_put_tdo_tfc(w, &p->tfc);
	if (p->mtu != 0)
		tdo_sadb_put_tdo_mtu(w, p->mtu);
	return needed || p->has_sel || tfc || p->mtu != 0;
}

static void
put_original(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_addr *addr)
{
	if (addr->af != TDO_AF_NONE)
		put_sa_addr(w, ext, addr);
}

void
tdo_sadb_put_natt(struct tdo_wr *w, const struct tdo_natt *n)
{
	if (n->type != TDO_NATT_NONE)
		tdo_sadb_put_natt_type(w, n->type);
	if (n->sport != 0)
		tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_SPORT, n->sport);
	if (n->dport != 0)
		tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_DPORT, n->dport);
	put_original(w, TDO_SADB_X_EXT_NAT_T_OAI, &n->oa_src);
	put_original(w, TDO_SADB_X_EXT_NAT_T_OAR, &n->oa_dst);
	if (n->frag != 0)
		tdo_sadb_put_natt_frag(w, n->frag);
}

void
tdo_sadb_put_sa_param(struct tdo_wr *w, const struct tdo_sa_param *p)
{
	tdo_sadb_put_sa_head(w, p);
	if (p->has_hard)
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_HARD, &p->hard);
	if (p->has_soft)
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_SOFT, &p->soft);
	put_ekey(w, p);
	put_akey(w, p);
	tdo_sadb_put_sa_addrs(w, &p->key.src, &p->key.dst);
	tdo_sadb_put_natt(w, &p->natt);
	put_replay_if_needed(w, p->replay);
	if (p->new_src.af != TDO_AF_NONE)
		put_sa_addr(w, TDO_SADB_X_EXT_NEW_ADDRESS_SRC, &p->new_src);
	if (p->new_dst.af != TDO_AF_NONE)
		put_sa_addr(w, TDO_SADB_X_EXT_NEW_ADDRESS_DST, &p->new_dst);
	put_sa_own(w, p, 0);
}

static bool
any_late(const struct tdo_late *late)
{
	static const struct tdo_late none;

	return memcmp(late, &none, sizeof(none)) != 0;
}

void
tdo_sadb_put_sa_info(struct tdo_wr *w, const struct tdo_sa_info *info, bool with_keys)
{
	const struct tdo_sa_param *p = &info->param;
	struct tdo_lifetime current = info->current;

	current.usetime = info->last_used;
	tdo_sadb_put_sa(w, &(struct tdo_sadb_sa){.spi = p->key.spi,
			       .replay = replay_units(p->replay),
			       .state = p->state,
			       .auth = p->aalg,
			       .encrypt = p->ealg,
			       .flags = p->flags});
	/* sadb_x_sa2_sequence: the counter of the direction that the SA is used in. */
	tdo_sadb_put_sa2(
	    w, &(struct tdo_sadb_sa2){.mode = p->mode,
		   .sequence = (uint32_t)(info->out_seq ? info->out_seq : info->in_seq),
		   .reqid = p->reqid});
	tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_CURRENT, &current);
	if (p->has_hard)
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_HARD, &p->hard);
	if (p->has_soft)
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_SOFT, &p->soft);
	tdo_sadb_put_sa_addrs(w, &p->key.src, &p->key.dst);
	if (with_keys) {
		put_akey(w, p);
		put_ekey(w, p);
	}
	tdo_sadb_put_natt(w, &p->natt);
	put_replay_if_needed(w, p->replay);
	/* Lateness alone is no reason to send what others stop at. */
	if (put_sa_own(w, p, p->adaptive ? info->window : 0) && any_late(&info->late))
		tdo_sadb_put_tdo_late(w, &info->late);
}

static void
store_key(const uint8_t **key, uint16_t bits, uint8_t *store)
{
	if (*key)
		memcpy(store, *key, bits / 8u);
	*key = *key ? store : NULL;
}

int
tdo_sadb_get_sa_info(
    const struct tdo_sadb_msg *m, struct tdo_sa_info *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sadb_sa2 sa2 = {0};
	struct tdo_sadb_tdo_sa own = {0};
	struct tdo_sa_param p;
	int r;

	if (!tdo_sadb_has(m, TDO_SADB_EXT_SA))
		return missing(ret_err, TDO_SADB_EXT_SA);
	r = tdo_sadb_get_sa_param(m, &p, ret_err);
	if (r < 0)
		return r;
	tdo_sadb_get_sa2(m, &sa2);
	*ret =
	    (struct tdo_sa_info){.param = p, .refcnt = m->base.reserved, .out_seq = sa2.sequence};
	tdo_sadb_get_tdo_sa(m, &own);
	ret->window = own.window ? own.window : p.replay;
	tdo_sadb_get_tdo_late(m, &ret->late);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_CURRENT, &ret->current);
	ret->last_used = ret->current.usetime;
	store_key(&ret->param.ekey, p.ekey_bits, ret->key_store);
	store_key(&ret->param.akey, p.akey_bits, ret->key_store + TDO_KEY_MAX);
	return 0;
}

/* ---- policies ----------------------------------------------------------------------- */

/* The settings of a policy; its reqids are in the requests already. */
static int
get_sp_extra(const struct tdo_sadb_msg *m, struct tdo_sp_param *p, struct tdo_sadb_err *ret_err)
{
	struct tdo_sadb_tdo_sp own;

	if (!tdo_sadb_get_tdo_sp(m, &own))
		return 0;
	if (own.nreq != 0 && own.nreq != p->nreq)
		return wrong(ret_err, TDO_SADB_X_EXT_TDO_SP,
		    "as many reqids as the policy has requests are needed");
	p->tunnel = own.tunnel;
	p->hold = own.hold;
	p->pfp = own.pfp;
	return 0;
}

void
tdo_sadb_put_sp_settings(struct tdo_wr *w, const struct tdo_sp_param *p)
{
	struct tdo_sadb_tdo_sp own = {.tunnel = p->tunnel, .hold = p->hold, .pfp = p->pfp};
	bool needed = is_set(&own.tunnel) || own.hold || own.pfp != 0;

	for (unsigned i = 0; i < p->nreq; i++) {
		own.reqid[i] = p->req[i].reqid;
		if (own.reqid[i] > UINT16_MAX)
			own.nreq = p->nreq;
	}
	if (needed || own.nreq != 0)
		tdo_sadb_put_tdo_sp(w, &own);
}

static void
put_sp_own(struct tdo_wr *w, const struct tdo_sp_param *p)
{
	if (!port_says(p->sel.sport) || !port_says(p->sel.dport))
		tdo_sadb_put_tdo_sel(w, &p->sel);
	tdo_sadb_put_sp_settings(w, p);
}

int
tdo_sadb_get_sp_param(
    const struct tdo_sadb_msg *m, struct tdo_sp_param *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sp_param p = {.seq = m->base.seq, .pid = m->base.pid};
	struct tdo_sadb_policy pol;
	struct tdo_lifetime hard = {0};
	int r;

	if (!tdo_sadb_get_policy(m, &pol))
		return missing(ret_err, TDO_SADB_X_EXT_POLICY);
	r = tdo_sadb_get_sel(m, &p.sel, ret_err);
	if (r < 0)
		return r;
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_HARD, &hard);
	p.dir = pol.dir;
	p.type = pol.type;
	p.prio = pol.prio;
	p.nreq = pol.nreq;
	memcpy(p.req, pol.req, sizeof(p.req));
	p.lifetime = hard.addtime;
	p.validtime = hard.usetime;
	r = get_sp_extra(m, &p, ret_err);
	if (r == 0)
		*ret = p;
	return r;
}

void
tdo_sadb_put_sp_policy(struct tdo_wr *w, const struct tdo_sp_param *p, uint32_t id)
{
	struct tdo_sadb_policy pol = {
	    .type = p->type, .dir = p->dir, .id = id, .prio = p->prio, .nreq = p->nreq};

	memcpy(pol.req, p->req, sizeof(pol.req));
	tdo_sadb_put_policy(w, &pol);
}

static void
put_sp_hard(struct tdo_wr *w, const struct tdo_sp_param *p)
{
	tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_HARD,
	    &(struct tdo_lifetime){.addtime = p->lifetime, .usetime = p->validtime});
}

void
tdo_sadb_put_sp_param(struct tdo_wr *w, const struct tdo_sp_param *p)
{
	tdo_sadb_put_sp_policy(w, p, 0);
	if (p->lifetime != 0 || p->validtime != 0)
		put_sp_hard(w, p);
	tdo_sadb_put_sel(w, &p->sel);
	put_sp_own(w, p);
}

void
tdo_sadb_put_sp_info(struct tdo_wr *w, const struct tdo_sp_info *info)
{
	tdo_sadb_put_sel(w, &info->param.sel);
	tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_CURRENT,
	    &(struct tdo_lifetime){.addtime = info->created, .usetime = info->last_used});
	put_sp_hard(w, &info->param);
	tdo_sadb_put_sp_policy(w, &info->param, info->id);
	put_sp_own(w, &info->param);
}

int
tdo_sadb_get_sp_info(
    const struct tdo_sadb_msg *m, struct tdo_sp_info *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_sp_info info = {.refcnt = m->base.reserved};
	struct tdo_sadb_policy pol;
	struct tdo_lifetime current = {0};
	int r = tdo_sadb_get_sp_param(m, &info.param, ret_err);

	if (r < 0)
		return r;
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_CURRENT, &current);
	if (tdo_sadb_get_policy(m, &pol))
		info.id = pol.id;
	info.created = current.addtime;
	info.last_used = current.usetime;
	*ret = info;
	return 0;
}
