/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements as PF_KEY messages. */
#include "setkey/request.h"

#include "base/addr.h"

#define NATT_PORT 4500 /* RFC 3948: the port of UDP-encapsulated ESP */

uint8_t
tdo_request_type(enum stmt_kind kind)
{
	static const uint8_t types[] = {[STMT_ADD] = TDO_SADB_ADD,
	    [STMT_UPDATE] = TDO_SADB_UPDATE,
	    [STMT_GETSPI] = TDO_SADB_GETSPI,
	    [STMT_GET] = TDO_SADB_GET,
	    [STMT_DELETE] = TDO_SADB_DELETE,
	    [STMT_DELETEALL] = TDO_SADB_DELETE,
	    [STMT_FLUSH] = TDO_SADB_FLUSH,
	    [STMT_DUMP] = TDO_SADB_DUMP,
	    [STMT_SPDADD] = TDO_SADB_X_SPDADD,
	    [STMT_SPDUPDATE] = TDO_SADB_X_SPDUPDATE,
	    [STMT_SPDDELETE] = TDO_SADB_X_SPDDELETE,
	    [STMT_SPDFLUSH] = TDO_SADB_X_SPDFLUSH,
	    [STMT_SPDDUMP] = TDO_SADB_X_SPDDUMP};

	return types[kind];
}

/* The message has the compression algorithm where others have the cipher. */
static struct tdo_sa_param
sa_param(const struct stmt_sa *a, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	return (struct tdo_sa_param){
	    .key = {.satype = a->proto->satype, .spi = a->spi, .src = *src, .dst = *dst},
	    .mode = a->mode,
	    .reqid = a->reqid,
	    .flags = a->flags,
	    .replay = a->replay,
	    .ealg = a->enc ? a->enc->pfkey : a->comp,
	    .aalg = a->auth ? a->auth->pfkey : 0,
	    .ekey = a->ekey.b,
	    .akey = a->akey.b,
	    .ekey_bits = (uint16_t)(a->ekey.len * 8),
	    .akey_bits = (uint16_t)(a->akey.len * 8),
	    .hard = a->hard,
	    .soft = a->soft,
	    .has_hard = a->has_hard,
	    .has_soft = a->has_soft,
	    .tunnel = a->opt.tunnel,
	    .adaptive = a->opt.adaptive,
	    .cpu = a->opt.cpu,
	    .align = a->opt.align,
	    .has_sel = a->has_sel,
	    .sel = a->sel,
	    .new_src = a->new_src,
	    .new_dst = a->new_dst,
	};
}

static void
put_original(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_addr *a)
{
	if (a->af != TDO_AF_NONE)
		tdo_sadb_put_address(w, ext,
		    &(struct tdo_sadb_address){
			.addr = *a, .plen = (uint8_t)tdo_af_bits(a->af), .proto = TDO_PROTO_ANY});
}

static void
put_natt(struct tdo_wr *w, const struct stmt_sa *a)
{
	uint16_t sport = a->natt.on ? a->natt.sport : a->src.port;
	uint16_t dport = a->natt.on ? a->natt.dport : a->dst.port;

	if (!a->natt.on && !a->proto->udp)
		return;
	tdo_sadb_put_natt_type(w, TDO_SADB_NATT_ESPINUDP);
	tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_SPORT, sport ? sport : NATT_PORT);
	tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_DPORT, dport ? dport : NATT_PORT);
	put_original(w, TDO_SADB_X_EXT_NAT_T_OAI, &a->natt.oai);
	put_original(w, TDO_SADB_X_EXT_NAT_T_OAR, &a->natt.oar);
	if (a->natt.frag != 0)
		tdo_sadb_put_natt_frag(w, a->natt.frag);
}

void
tdo_request_put_sa(
    struct tdo_wr *w, const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	struct tdo_sa_param p = sa_param(&s->sa, src, dst);

	switch (s->kind) {
	case STMT_ADD:
	case STMT_UPDATE:
		tdo_sadb_put_sa_param(w, &p);
		put_natt(w, &s->sa);
		break;
	case STMT_GETSPI:
		tdo_sadb_put_sa2(w, &(struct tdo_sadb_sa2){.mode = p.mode, .reqid = p.reqid});
		tdo_sadb_put_sa_addrs(w, src, dst);
		if (p.key.spi != 0)
			tdo_sadb_put_spirange(
			    w, &(struct tdo_sadb_spirange){.min = p.key.spi, .max = p.key.spi});
		put_natt(w, &s->sa);
		break;
	case STMT_DELETEALL:
		/* Without SA extension DELETE means all of the pair (spec 4.1). */
		tdo_sadb_put_sa_addrs(w, src, dst);
		break;
	default:
		tdo_sadb_put_sa(w, &(struct tdo_sadb_sa){.spi = p.key.spi});
		tdo_sadb_put_sa_addrs(w, src, dst);
		break;
	}
}

void
tdo_request_put_sp(struct tdo_wr *w, const struct stmt *s)
{
	struct tdo_sp_param p = s->sp.policy.sp;

	p.sel = s->sp.sel;
	p.tunnel = s->sp.opt.tunnel;
	p.hold = s->sp.opt.hold;
	p.pfp = s->sp.opt.pfp;
	tdo_sadb_put_sp_param(w, &p);
}
