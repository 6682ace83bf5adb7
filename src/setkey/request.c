/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements as PF_KEY messages. */
#include "setkey/request.h"

#include "wire/udp.h"

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

static uint16_t
or_default(uint16_t port)
{
	return port ? port : TDO_UDP_PORT_NATT;
}

/* An update changes what it says: ports that it does not name stay. */
static struct tdo_natt
natt_of(const struct stmt *s)
{
	const struct stmt_sa *a = &s->sa;
	bool udp = a->natt.on || a->proto->udp;
	struct tdo_natt n = {
	    .type = udp ? TDO_NATT_ESPINUDP : TDO_NATT_NONE,
	    .frag = a->natt.frag,
	    .oa_src = a->natt.oai,
	    .oa_dst = a->natt.oar,
	};

	if (!udp)
		return n;
	n.sport = a->natt.on ? a->natt.sport : a->src.port;
	n.dport = a->natt.on ? a->natt.dport : a->dst.port;
	if (s->kind != STMT_UPDATE) {
		n.sport = or_default(n.sport);
		n.dport = or_default(n.dport);
	}
	return n;
}

/* The message has the compression algorithm where others have the cipher. */
static struct tdo_sa_param
sa_param(const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	const struct stmt_sa *a = &s->sa;

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
	    .tfc = a->opt.tfc,
	    .mtu = a->opt.mtu,
	    .has_sel = a->has_sel,
	    .sel = a->sel,
	    .natt = natt_of(s),
	    .new_src = a->new_src,
	    .new_dst = a->new_dst,
	};
}

void
tdo_request_put_sa(
    struct tdo_wr *w, const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	struct tdo_sa_param p = sa_param(s, src, dst);

	switch (s->kind) {
	case STMT_ADD:
	case STMT_UPDATE:
		tdo_sadb_put_sa_param(w, &p);
		break;
	case STMT_GETSPI:
		tdo_sadb_put_sa2(w, &(struct tdo_sadb_sa2){.mode = p.mode, .reqid = p.reqid});
		tdo_sadb_put_sa_addrs(w, src, dst);
		if (p.key.spi != 0)
			tdo_sadb_put_spirange(
			    w, &(struct tdo_sadb_spirange){.min = p.key.spi, .max = p.key.spi});
		tdo_sadb_put_natt(w, &p.natt);
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
