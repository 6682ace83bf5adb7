/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages that the engine starts: EXPIRE, ACQUIRE, X_SPDEXPIRE (RFC 2367 3.1.6, 3.1.8). */
#include "base/ct.h"
#include "pfkey/endpoint.h"

/* Base, SA, SA2, the current lifetime and the one that was reached, addresses; no keys. */
static void
put_expire(struct tdo_wr *w, const struct tdo_sa_info *info, bool hard)
{
	const struct tdo_sa_param *p = &info->param;
	struct tdo_lifetime current = info->current;

	current.usetime = info->last_used; /* as in dumps */
	tdo_sadb_begin(
	    w, &(struct tdo_sadb_base){.type = TDO_SADB_EXPIRE, .satype = p->key.satype});
	tdo_sadb_put_sa_head(w, p);
	tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_CURRENT, &current);
	if (hard)
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_HARD, &p->hard);
	else
		tdo_sadb_put_lifetime(w, TDO_SADB_EXT_LIFETIME_SOFT, &p->soft);
	tdo_sadb_put_sa_addrs(w, &p->key.src, &p->key.dst);
}

/* The policy says by its id what is wanted, unless it wants an SA per flow (D45). */
static void
put_acquire(struct tdo_wr *w, const struct tdo_event *ev, struct tdo_engine *e)
{
	uint8_t satype = tdo_sadb_proto_satype(ev->acquire.req.proto);

	tdo_sadb_begin(w, &(struct tdo_sadb_base){
			      .type = TDO_SADB_ACQUIRE, .satype = satype, .seq = ev->acquire.seq});
	tdo_sadb_put_sa_addrs(w, &ev->acquire.src, &ev->acquire.dst);
	tdo_sadb_put_policy(
	    w, &(struct tdo_sadb_policy){
		   .type = TDO_POLICY_IPSEC, .dir = TDO_DIR_OUT, .id = ev->acquire.sp_id});
	tdo_sadb_put_natt(
	    w, &(struct tdo_natt){.sport = ev->acquire.req.sport, .dport = ev->acquire.req.dport});
	tdo_pfkey_put_proposal(w, e, satype);
	if (ev->acquire.has_sel)
		tdo_sadb_put_tdo_sel(w, &ev->acquire.sel);
}

/* A policy that X_SPDSETIDX made wants its requests: answered by X_SPDUPDATE (spec 4.1). */
static void
put_sp_acquire(struct tdo_wr *w, const struct tdo_event *ev)
{
	tdo_sadb_begin(
	    w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDACQUIRE, .seq = ev->acquire.seq});
	tdo_sadb_put_policy(
	    w, &(struct tdo_sadb_policy){
		   .type = TDO_POLICY_IPSEC, .dir = TDO_DIR_OUT, .id = ev->acquire.sp_id});
}

/* As Linux has it: where the SA's packets came from, and where they come from now. */
static void
put_new_mapping(struct tdo_wr *w, const struct tdo_event *ev)
{
	const struct tdo_sa_key *k = &ev->sa.param.key;

	tdo_sadb_begin(
	    w, &(struct tdo_sadb_base){.type = TDO_SADB_X_NAT_T_NEW_MAPPING, .satype = k->satype});
	tdo_sadb_put_sa_head(w, &ev->sa.param);
	tdo_sadb_put_sa_addrs(w, &k->src, &ev->mapping.src);
	tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_SPORT, ev->mapping.old_sport);
	tdo_sadb_put_natt_port(w, TDO_SADB_X_EXT_NAT_T_DPORT, ev->mapping.sport);
}

static uint8_t
put_event(struct tdo_wr *w, const struct tdo_event *ev, struct tdo_engine *e)
{
	switch (ev->type) {
	case TDO_EVENT_EXPIRE_SOFT:
	case TDO_EVENT_EXPIRE_HARD:
		put_expire(w, &ev->sa, ev->type == TDO_EVENT_EXPIRE_HARD);
		return ev->sa.param.key.satype;
	case TDO_EVENT_ACQUIRE:
		put_acquire(w, ev, e);
		return tdo_sadb_proto_satype(ev->acquire.req.proto);
	case TDO_EVENT_NAT_MAPPING:
		put_new_mapping(w, ev);
		return ev->sa.param.key.satype;
	case TDO_EVENT_SP_ACQUIRE:
		put_sp_acquire(w, ev);
		break;
	case TDO_EVENT_SP_EXPIRE:
		tdo_sadb_begin(w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDEXPIRE});
		tdo_sadb_put_sp_info(w, &ev->sp);
		break;
	}
	return TDO_SATYPE_UNSPEC;
}

static void
tell(struct tdo_pfkey *k, const struct tdo_event *ev)
{
	struct tdo_wr w = tdo_wr_init(k->scratch, TDO_PFKEY_MSG_MAX);
	uint8_t satype = put_event(&w, ev, k->cfg.engine);
	size_t len = tdo_sadb_end(&w);

	if (len == 0)
		return;
	tdo_pfkey_debug_event(k, k->scratch, len);
	tdo_pfkey_broadcast(k, TDO_PFKEY_REGISTERED, satype, NULL, k->scratch, len);
}

/* ---- as fast as key managers read ---- */

/* What may wait for one of them before the next event has to wait, too. */
#define ROOM       (TDO_PFKEY_QUEUE_MAX / 2)
#define ROOM_BYTES (TDO_PFKEY_QUEUE_BYTES / 2)

/*
 * SAs that were made together expire together, more of them than a queue holds: who reads must not
 * lose an EXPIRE for that.  Who does not read holds up the others for a second.
 */
static bool
needs_time(struct tdo_pfkey_client *c, tdo_ns now)
{
	if (c->registered == 0 && !c->witness)
		return false;
	if (c->nbroadcast < ROOM && c->broadcast_bytes < ROOM_BYTES) {
		c->waited_since = 0;
		return false;
	}
	if (c->waited_since == 0 || c->pulled - c->pulled_then >= ROOM) {
		c->waited_since = now ? now : 1;
		c->pulled_then = c->pulled;
	}
	return now < c->waited_since + TDO_SEC;
}

static bool
somebody_needs_time(struct tdo_pfkey *k, tdo_ns now)
{
	bool any = false;

	/* All of them: their time runs out together. */
	for (struct tdo_pfkey_client *c = k->clients; c; c = c->next)
		any |= needs_time(c, now);
	return any;
}

bool
tdo_pfkey_events(struct tdo_pfkey *k, tdo_ns now)
{
	struct tdo_event ev;

	for (;;) {
		if (somebody_needs_time(k, now))
			return true;
		if (!tdo_engine_next_event(k->cfg.engine, &ev))
			return false;
		tell(k, &ev);
		tdo_wipe(&ev, sizeof(ev));
	}
}
