/* SPDX-License-Identifier: BSD-2-Clause */
/* GETSPI, UPDATE, ADD, DELETE, FLUSH (RFC 2367 3.1.1 to 3.1.4, 3.1.9). */
#include <errno.h>

#include "base/ct.h"
#include "pfkey/endpoint.h"
#include "testudo/comp.h"
#include "wire/udp.h"

/*
 * The SPI range of a request.  RFC 2367 3.1.1: the range is the user's; without one (or
 * with 0 to 0, as setkey's getspi 0) it is that of the sysctls.
 */
static int
spi_range(struct tdo_pfkey_call *call, struct tdo_sadb_spirange *ret)
{
	bool ipcomp = call->m->base.satype == TDO_SATYPE_IPCOMP;
	struct tdo_sadb_spirange r = {0};

	tdo_sadb_get_spirange(call->m, &r);
	if (r.max == 0) {
		r.min = (uint32_t)tdo_knob_get(call->e, TDO_KNOB_SPI_MIN, TDO_AF_INET);
		r.max = (uint32_t)tdo_knob_get(call->e, TDO_KNOB_SPI_MAX, TDO_AF_INET);
		/* RFC 3173 3.3: those above are for peers that agreed upon it. */
		if (ipcomp && r.max > TDO_CPI_NEGOTIATED_MAX)
			r.max = TDO_CPI_NEGOTIATED_MAX;
	}
	if (ipcomp && r.max > TDO_CPI_MAX)
		r.max = TDO_CPI_MAX;
	if (r.min < TDO_SPI_MIN)
		r.min = TDO_SPI_MIN;
	if (r.min > r.max) {
		call->wrong.ext = TDO_SADB_EXT_SPIRANGE;
		call->wrong.text = "no SPI is in the range; the lowest is 256";
		return -EINVAL;
	}
	*ret = r;
	return 0;
}

/* Ports that nobody named are those of the form (RFC 3948 2.1; the older one shared IKE's). */
static void
complete_natt(struct tdo_natt *n)
{
	uint16_t port = n->type == TDO_NATT_NON_IKE ? TDO_UDP_PORT_IKE : TDO_UDP_PORT_NATT;

	if (n->type == TDO_NATT_NONE)
		return;
	if (n->sport == 0)
		n->sport = port;
	if (n->dport == 0)
		n->dport = port;
}

int
tdo_pfkey_do_getspi(struct tdo_pfkey_call *call)
{
	struct tdo_sa_param p;
	struct tdo_sadb_spirange range;
	struct tdo_sadb_sa sa = {.state = TDO_SA_LARVAL};
	int r = tdo_sadb_get_sa_param(call->m, &p, &call->wrong);

	if (r == 0)
		r = spi_range(call, &range);
	if (r == 0) {
		complete_natt(&p.natt);
		r = tdo_sa_getspi(call->e, &p, range.min, range.max, call->now, &sa.spi);
	}
	if (r < 0)
		return r;
	tdo_pfkey_reply(call);
	tdo_sadb_put_sa(&call->w, &sa);
	tdo_sadb_put_ext(&call->w, &call->m->ext[TDO_SADB_EXT_ADDRESS_SRC]);
	tdo_sadb_put_ext(&call->w, &call->m->ext[TDO_SADB_EXT_ADDRESS_DST]);
	return 0;
}

/* What ADD and UPDATE have in common. */
static int
read_param(struct tdo_pfkey_call *call, struct tdo_sa_param *ret)
{
	if (!tdo_sadb_has(call->m, TDO_SADB_EXT_SA))
		return tdo_pfkey_missing(call, TDO_SADB_EXT_SA);
	return tdo_sadb_get_sa_param(call->m, ret, &call->wrong);
}

static int
reply_without_keys(struct tdo_pfkey_call *call)
{
	tdo_pfkey_reply(call);
	tdo_pfkey_reply_echo(call);
	return 0;
}

int
tdo_pfkey_do_add(struct tdo_pfkey_call *call)
{
	struct tdo_sa_param p;
	int r = read_param(call, &p);

	if (r == 0) {
		complete_natt(&p.natt);
		r = tdo_sa_add(call->e, &p, call->now, &call->refused);
	}
	if (r == 0)
		tdo_acquire_answered(call->e, call->m->base.seq);
	return r < 0 ? r : reply_without_keys(call);
}

/*
 * A NAT that changed a port, or MOBIKE (RFC 4555), changes ports alone.  Whoever says that there is
 * no UDP ends it.
 */
static void
keep_natt(const struct tdo_sadb_msg *m, struct tdo_natt *n, const struct tdo_natt *old)
{
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_TYPE))
		n->type = old->type;
	else if (n->type == TDO_NATT_NONE)
		return;
	if (n->sport == 0) {
		n->sport = old->sport;
		n->named_sport = old->named_sport;
	}
	if (n->dport == 0) {
		n->dport = old->dport;
		n->named_dport = old->named_dport;
	}
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_FRAG))
		n->frag = old->frag;
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_OAI))
		n->oa_src = old->oa_src;
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_OAR))
		n->oa_dst = old->oa_dst;
}

/*
 * RFC 2367 3.1.2: an update changes what it says.  The rest stays: without SA2 the mode and the
 * reqid (of GETSPI, or of the mature SA), without a window in either extension that of a
 * mature SA, without algorithms the flags, and what the extensions of UDP encapsulation and those
 * of testudo would say.
 */
static void
keep_unsaid(const struct tdo_pfkey_call *call, struct tdo_sa_param *p)
{
	const struct tdo_sadb_msg *m = call->m;
	struct tdo_sa_info old;

	if (tdo_sa_get(call->e, &p->key, &old) < 0)
		return; /* tdo_sa_update() will say so */
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_SA2)) {
		p->mode = old.param.mode;
		p->reqid = old.param.reqid;
	}
	if (p->replay == 0 && !tdo_sadb_has(m, TDO_SADB_X_EXT_SA_REPLAY))
		p->replay = old.param.replay;
	if (p->ealg == 0 && p->aalg == 0)
		p->flags = old.param.flags;
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_SA)) {
		p->tunnel = old.param.tunnel;
		p->adaptive = old.param.adaptive;
		p->cpu = old.param.cpu;
		p->align = old.param.align;
	}
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_TFC))
		p->tfc = old.param.tfc;
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_MTU))
		p->mtu = old.param.mtu;
	keep_natt(m, &p->natt, &old.param.natt);
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_TDO_SEL)) {
		p->has_sel = old.param.has_sel;
		p->sel = old.param.sel;
	}
	tdo_wipe(&old, sizeof(old));
}

int
tdo_pfkey_do_update(struct tdo_pfkey_call *call)
{
	struct tdo_sa_param p;
	int r = read_param(call, &p);

	if (r == 0) {
		keep_unsaid(call, &p);
		complete_natt(&p.natt);
		r = tdo_sa_update(call->e, &p, call->now, &call->refused);
	}
	if (r == 0)
		tdo_acquire_answered(call->e, call->m->base.seq);
	return r < 0 ? r : reply_without_keys(call);
}

/* Without SA: all SAs of the pair, also if there is none (as KAME's "deleteall"). */
int
tdo_pfkey_do_delete(struct tdo_pfkey_call *call)
{
	struct tdo_sa_key key;
	int r = tdo_sadb_get_sa_key(call->m, &key, &call->wrong);

	if (r < 0)
		return r;
	if (tdo_sadb_has(call->m, TDO_SADB_EXT_SA))
		r = tdo_sa_delete(call->e, &key);
	else
		tdo_sa_delete_all(call->e, &key);
	return r < 0 ? r : reply_without_keys(call);
}

int
tdo_pfkey_do_flush(struct tdo_pfkey_call *call)
{
	tdo_sa_flush(call->e, call->m->base.satype);
	tdo_pfkey_reply(call);
	return 0;
}
