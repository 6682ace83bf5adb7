/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PF_KEY extensions of testudo, which say what the older ones cannot; pfkey_msg.h has
 * their formats.  As everywhere the parser runs a decoder once, and the getters again.
 */
#include <errno.h>

#include "base/addr.h"
#include "wire/ip.h"
#include "wire/pfkey_ext.h"

enum {
	SA_ADAPTIVE = 1,
	SA_ALIGN4 = 2,
	SA_ALIGN8 = 4,
	SP_HOLD = 1,
	ECN_MAX = 3 + TDO_OPT_ECN,
	DF_MAX = 2 + 1,
	DSCP_MAX = 63 + 1,
	FLOW_LABEL_MAX = 2 + 1,
	SP_REQIDS_OFF = 12, /* of the first reqid */
	COUNTER_BYTES = 2 * 8,
};

static struct tdo_rd
body(const struct tdo_sadb_ext *e)
{
	struct tdo_rd r = tdo_rd_init(e->p, e->len);

	tdo_rd_bytes(&r, TDO_SADB_HDR_LEN);
	return r;
}

/* ---- TDO_SA, TDO_SP ----------------------------------------------------------------- */

static const char *
read_tunnel(struct tdo_rd *r, struct tdo_tunnel_opt *ret)
{
	ret->ecn = tdo_rd_u8(r);
	ret->df = tdo_rd_u8(r);
	ret->dscp = tdo_rd_u8(r);
	ret->hop_limit = tdo_rd_u8(r);
	ret->flow_label = tdo_rd_u8(r);
	if (ret->ecn > ECN_MAX)
		return "ECN mode is unknown";
	if (ret->df > DF_MAX)
		return "DF mode is unknown";
	if (ret->dscp > DSCP_MAX && ret->dscp != TDO_OPT_DSCP_COPY)
		return "DSCP is above 63";
	return ret->flow_label > FLOW_LABEL_MAX ? "flow label mode is unknown" : NULL;
}

static void
put_tunnel(struct tdo_wr *w, const struct tdo_tunnel_opt *t)
{
	tdo_wr_u8(w, t->ecn);
	tdo_wr_u8(w, t->df);
	tdo_wr_u8(w, t->dscp);
	tdo_wr_u8(w, t->hop_limit);
	tdo_wr_u8(w, t->flow_label);
}

static const char *
decode_sa(const struct tdo_sadb_ext *e, struct tdo_sadb_tdo_sa *ret)
{
	struct tdo_rd r = body(e);
	const char *wrong = read_tunnel(&r, &ret->tunnel);
	uint8_t flags = tdo_rd_u8(&r);

	ret->adaptive = (flags & SA_ADAPTIVE) != 0;
	ret->align = flags & SA_ALIGN4 ? 4 : flags & SA_ALIGN8 ? 8 : 0;
	ret->cpu = tdo_rd_h16(&r);
	ret->window = tdo_rd_h32(&r);
	if (!wrong && flags & ~(SA_ADAPTIVE | SA_ALIGN4 | SA_ALIGN8))
		wrong = "flag is unknown";
	if (!wrong && (flags & SA_ALIGN4) && (flags & SA_ALIGN8))
		wrong = "flags contradict each other";
	return wrong;
}

bool
tdo_sadb_get_tdo_sa(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_sa *ret)
{
	return tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_SA) &&
	       !decode_sa(&m->ext[TDO_SADB_X_EXT_TDO_SA], ret);
}

void
tdo_sadb_put_tdo_sa(struct tdo_wr *w, const struct tdo_sadb_tdo_sa *sa)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_SA, TDO_SADB_TDO_SA_LEN);
	put_tunnel(w, &sa->tunnel);
	tdo_wr_u8(w, (uint8_t)((sa->adaptive ? SA_ADAPTIVE : 0) | (sa->align == 4      ? SA_ALIGN4
								      : sa->align == 8 ? SA_ALIGN8
										       : 0)));
	tdo_wr_h16(w, sa->cpu);
	tdo_wr_h32(w, sa->window);
}

static const char *
decode_sp(const struct tdo_sadb_ext *e, struct tdo_sadb_tdo_sp *ret)
{
	struct tdo_rd r = body(e);
	const char *wrong;
	uint8_t flags;

	*ret = (struct tdo_sadb_tdo_sp){0};
	wrong = read_tunnel(&r, &ret->tunnel);
	flags = tdo_rd_u8(&r);
	ret->hold = (flags & SP_HOLD) != 0;
	ret->pfp = tdo_rd_u8(&r);
	ret->nreq = tdo_rd_u8(&r);
	if (wrong)
		return wrong;
	if (flags & ~SP_HOLD)
		return "flag is unknown";
	if (ret->pfp & ~TDO_PFP_ALL)
		return "field to populate from the packet is unknown";
	if (ret->nreq > TDO_REQ_MAX)
		return "more requests than a policy can have";
	if (e->len != tdo_sadb_pad8(SP_REQIDS_OFF + ret->nreq * 4u))
		return "extension has the wrong length for its reqids";
	for (unsigned i = 0; i < ret->nreq; i++)
		ret->reqid[i] = tdo_rd_h32(&r);
	return NULL;
}

bool
tdo_sadb_get_tdo_sp(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_sp *ret)
{
	return tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_SP) &&
	       !decode_sp(&m->ext[TDO_SADB_X_EXT_TDO_SP], ret);
}

void
tdo_sadb_put_tdo_sp(struct tdo_wr *w, const struct tdo_sadb_tdo_sp *sp)
{
	size_t len = SP_REQIDS_OFF + sp->nreq * 4u;

	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_SP, len);
	put_tunnel(w, &sp->tunnel);
	tdo_wr_u8(w, sp->hold ? SP_HOLD : 0);
	tdo_wr_u8(w, sp->pfp);
	tdo_wr_u8(w, sp->nreq);
	for (unsigned i = 0; i < sp->nreq; i++)
		tdo_wr_h32(w, sp->reqid[i]);
	tdo_sadb_put_padding(w, len);
}

/* ---- TDO_SEL ------------------------------------------------------------------------ */

static struct tdo_range
read_range(struct tdo_rd *r)
{
	struct tdo_range v;

	v.lo = tdo_rd_be16(r);
	v.hi = tdo_rd_be16(r);
	return v;
}

static const char *
decode_sel(const struct tdo_sadb_ext *e, struct tdo_sel *ret, int *ret_err)
{
	struct tdo_rd r = body(e);
	struct tdo_sadb_sockaddr src, dst = {0};
	struct tdo_sel s = {0};

	s.proto = tdo_rd_u8(&r);
	s.src_plen = tdo_rd_u8(&r);
	s.dst_plen = tdo_rd_u8(&r);
	tdo_rd_u8(&r);
	s.sport = read_range(&r);
	s.dport = read_range(&r);
	src = tdo_sadb_rd_sockaddr(&r);
	if (!src.wrong)
		dst = tdo_sadb_rd_sockaddr(&r);
	if (src.wrong || dst.wrong) {
		*ret_err = src.wrong ? src.err : dst.err;
		return src.wrong ? src.wrong : dst.wrong;
	}
	if (src.addr.af == TDO_AF_NONE || src.addr.af != dst.addr.af)
		return "addresses have no common family";
	if (s.src_plen > tdo_af_bits(src.addr.af) || s.dst_plen > tdo_af_bits(src.addr.af))
		return "prefix is longer than the address";
	if (s.sport.lo > s.sport.hi || s.dport.lo > s.dport.hi)
		return "lowest port is above the highest";
	if (r.left >= TDO_SADB_UNIT)
		return "extension is longer than its addresses";
	if (s.proto == 0)
		s.proto = TDO_PROTO_ANY; /* as in ADDRESS_SRC */
	s.src = tdo_addr_mask(&src.addr, s.src_plen);
	s.dst = tdo_addr_mask(&dst.addr, s.dst_plen);
	*ret = s;
	return NULL;
}

bool
tdo_sadb_get_tdo_sel(const struct tdo_sadb_msg *m, struct tdo_sel *ret)
{
	int err;

	return tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_SEL) &&
	       !decode_sel(&m->ext[TDO_SADB_X_EXT_TDO_SEL], ret, &err);
}

static void
put_range(struct tdo_wr *w, struct tdo_range v)
{
	tdo_wr_be16(w, v.lo);
	tdo_wr_be16(w, v.hi);
}

void
tdo_sadb_put_tdo_sel(struct tdo_wr *w, const struct tdo_sel *sel)
{
	size_t len = TDO_SADB_TDO_SEL_LEN + tdo_sadb_sockaddr_len(sel->src.af) +
		     tdo_sadb_sockaddr_len(sel->dst.af);

	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_SEL, len);
	tdo_wr_u8(w, sel->proto);
	tdo_wr_u8(w, sel->src_plen);
	tdo_wr_u8(w, sel->dst_plen);
	tdo_wr_zero(w, 1);
	put_range(w, sel->sport);
	put_range(w, sel->dport);
	tdo_sadb_put_sockaddr(w, &sel->src, 0);
	tdo_sadb_put_sockaddr(w, &sel->dst, 0);
	tdo_sadb_put_padding(w, len);
}

/* ---- TDO_LATE ----------------------------------------------------------------------- */

static const char *
decode_late(const struct tdo_sadb_ext *e, struct tdo_late *ret)
{
	struct tdo_rd r = body(e);
	unsigned bins = tdo_rd_h16(&r);

	tdo_rd_h16(&r);
	if (bins != TDO_LATE_BINS || e->len != TDO_SADB_TDO_LATE_LEN + bins * COUNTER_BYTES)
		return "extension has the wrong length for its counters";
	for (unsigned i = 0; i < bins; i++) {
		ret->accepted[i] = tdo_rd_h64(&r);
		ret->dropped[i] = tdo_rd_h64(&r);
	}
	return NULL;
}

bool
tdo_sadb_get_tdo_late(const struct tdo_sadb_msg *m, struct tdo_late *ret)
{
	return tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_LATE) &&
	       !decode_late(&m->ext[TDO_SADB_X_EXT_TDO_LATE], ret);
}

void
tdo_sadb_put_tdo_late(struct tdo_wr *w, const struct tdo_late *late)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_LATE,
	    TDO_SADB_TDO_LATE_LEN + (size_t)TDO_LATE_BINS * COUNTER_BYTES);
	tdo_wr_h16(w, TDO_LATE_BINS);
	tdo_wr_zero(w, 2);
	for (unsigned i = 0; i < TDO_LATE_BINS; i++) {
		tdo_wr_h64(w, late->accepted[i]);
		tdo_wr_h64(w, late->dropped[i]);
	}
}

/* ---- TDO_TFC ------------------------------------------------------------------------ */

bool
tdo_sadb_get_tdo_tfc(const struct tdo_sadb_msg *m, struct tdo_tfc *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_TFC))
		return false;
	r = body(&m->ext[TDO_SADB_X_EXT_TDO_TFC]);
	ret->pad = tdo_rd_h16(&r);
	ret->dummies = tdo_rd_h16(&r);
	return true;
}

void
tdo_sadb_put_tdo_tfc(struct tdo_wr *w, const struct tdo_tfc *tfc)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_TFC, TDO_SADB_TDO_TFC_LEN);
	tdo_wr_h16(w, tfc->pad);
	tdo_wr_h16(w, tfc->dummies);
}

/* ---- TDO_WHY ------------------------------------------------------------------------ */

static const char *
decode_why(const struct tdo_sadb_ext *e, struct tdo_sadb_tdo_why *ret)
{
	struct tdo_rd r = body(e);

	ret->ext = tdo_rd_h16(&r);
	tdo_rd_h16(&r);
	if (r.left == 0 || r.p[r.left - 1] != '\0')
		return "text has no end";
	ret->text = (const char *)r.p;
	return NULL;
}

bool
tdo_sadb_get_tdo_why(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_why *ret)
{
	return tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_WHY) &&
	       !decode_why(&m->ext[TDO_SADB_X_EXT_TDO_WHY], ret);
}

void
tdo_sadb_put_tdo_why(struct tdo_wr *w, const struct tdo_sadb_tdo_why *why)
{
	size_t text = strlen(why->text) + 1;

	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_WHY, TDO_SADB_TDO_WHY_LEN + text);
	tdo_wr_h16(w, why->ext);
	tdo_wr_zero(w, 2);
	tdo_wr_bytes(w, why->text, text);
	tdo_sadb_put_padding(w, TDO_SADB_TDO_WHY_LEN + text);
}

/* ---- TDO_MTU ------------------------------------------------------------------------ */

bool
tdo_sadb_get_tdo_mtu(const struct tdo_sadb_msg *m, uint16_t *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_MTU))
		return false;
	r = body(&m->ext[TDO_SADB_X_EXT_TDO_MTU]);
	*ret = tdo_rd_h16(&r);
	return true;
}

void
tdo_sadb_put_tdo_mtu(struct tdo_wr *w, uint16_t mtu)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_TDO_MTU, TDO_SADB_TDO_MTU_LEN);
	tdo_wr_h16(w, mtu);
	tdo_wr_zero(w, 2);
}

/* ------------------------------------------------------------------------------------- */

const char *
tdo_sadb_own_check(unsigned type, const struct tdo_sadb_ext *e, int *ret_err)
{
	union {
		struct tdo_sadb_tdo_sa sa;
		struct tdo_sadb_tdo_sp sp;
		struct tdo_sel sel;
		struct tdo_late late;
		struct tdo_sadb_tdo_why why;
	} u;

	switch (type) {
	case TDO_SADB_X_EXT_TDO_SA:
		return decode_sa(e, &u.sa);
	case TDO_SADB_X_EXT_TDO_SEL:
		return decode_sel(e, &u.sel, ret_err);
	case TDO_SADB_X_EXT_TDO_SP:
		return decode_sp(e, &u.sp);
	case TDO_SADB_X_EXT_TDO_LATE:
		return decode_late(e, &u.late);
	case TDO_SADB_X_EXT_TDO_WHY:
		return decode_why(e, &u.why);
	default:
		return NULL; /* any contents are legal */
	}
}
