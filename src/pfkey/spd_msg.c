/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy messages of KAME: X_SPDADD and its relatives (spec 4.1). */
#include <errno.h>

#include "pfkey/endpoint.h"

/* A policy for the database; those of sockets, and directions of none, are not. */
static int
read_policy(struct tdo_pfkey_call *call, struct tdo_sp_param *ret)
{
	int r = tdo_sadb_get_sp_param(call->m, ret, &call->wrong);

	if (r < 0)
		return r;
	if (ret->type > TDO_POLICY_IPSEC || ret->dir == TDO_DIR_ANY) {
		call->wrong.ext = TDO_SADB_X_EXT_POLICY;
		call->wrong.text = "policies of sockets are not for the database";
		return -EINVAL;
	}
	return 0;
}

/* The request with the policy as it is now: with its id and the reqids that were picked. */
static int
reply_installed(struct tdo_pfkey_call *call, const struct tdo_sp_info *info)
{
	const struct tdo_sadb_msg *m = call->m;

	tdo_pfkey_reply(call);
	for (unsigned i = 0; i < m->next; i++) {
		unsigned type = m->order[i];

		if (type == TDO_SADB_X_EXT_POLICY)
			tdo_sadb_put_sp_policy(&call->w, &info->param, info->id);
		else if (type != TDO_SADB_X_EXT_TDO_SP && tdo_pfkey_is_told(type))
			tdo_sadb_put_ext(&call->w, &m->ext[type]);
	}
	tdo_sadb_put_sp_settings(&call->w, &info->param); /* has the reqids, too */
	return 0;
}

/* tdo_sp_add() or tdo_sp_update() */
typedef int (*install_fn)(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err);

static int
install(struct tdo_pfkey_call *call, install_fn fn)
{
	struct tdo_sp_param p;
	struct tdo_sp_info info;
	int r = read_policy(call, &p);

	if (r == 0)
		r = fn(call->e, &p, call->now, &info, &call->refused);
	if (r == 0)
		tdo_acquire_answered(call->e, call->m->base.seq);
	return r < 0 ? r : reply_installed(call, &info);
}

int
tdo_pfkey_do_spdadd(struct tdo_pfkey_call *call)
{
	return install(call, tdo_sp_add);
}

/*
 * As KAME: like X_SPDADD, but a policy of type ipsec may come without requests.  Its packets
 * are stopped, and the first one asks the key managers for requests by X_SPDACQUIRE.
 */
static int
add_index(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err)
{
	struct tdo_sp_param open = *p;

	open.unset = p->type == TDO_POLICY_IPSEC && p->nreq == 0;
	return tdo_sp_add(e, &open, now, ret_info, ret_err);
}

int
tdo_pfkey_do_spdsetidx(struct tdo_pfkey_call *call)
{
	return install(call, add_index);
}

/* Only the answer of a key manager that gives up means something. */
int
tdo_pfkey_do_spdacquire(struct tdo_pfkey_call *call)
{
	if (call->m->base.err == 0)
		return -EINVAL;
	tdo_acquire_refused(call->e, call->m->base.seq, call->now);
	return 0;
}

int
tdo_pfkey_do_spdupdate(struct tdo_pfkey_call *call)
{
	return install(call, tdo_sp_update);
}

int
tdo_pfkey_do_spddelete(struct tdo_pfkey_call *call)
{
	struct tdo_sp_param p;
	int r = tdo_sadb_get_sp_param(call->m, &p, &call->wrong);

	if (r == 0)
		r = tdo_sp_delete(call->e, p.dir, &p.sel, NULL);
	if (r < 0)
		return r;
	tdo_pfkey_reply(call);
	tdo_pfkey_reply_echo(call);
	return 0;
}

int
tdo_pfkey_do_spddelete2(struct tdo_pfkey_call *call)
{
	struct tdo_sadb_policy pol;
	int r;

	if (!tdo_sadb_get_policy(call->m, &pol))
		return tdo_pfkey_missing(call, TDO_SADB_X_EXT_POLICY);
	r = tdo_sp_delete_id(call->e, pol.id, NULL);
	if (r < 0)
		return r;
	tdo_pfkey_reply(call);
	tdo_pfkey_reply_echo(call);
	return 0;
}

int
tdo_pfkey_do_spdget(struct tdo_pfkey_call *call)
{
	struct tdo_sadb_policy pol;
	struct tdo_sp_info info;
	int r;

	if (!tdo_sadb_get_policy(call->m, &pol))
		return tdo_pfkey_missing(call, TDO_SADB_X_EXT_POLICY);
	r = tdo_sp_get(call->e, pol.id, &info);
	if (r < 0)
		return r;
	tdo_pfkey_reply_object(call, info.refcnt);
	tdo_sadb_put_sp_info(&call->w, &info);
	return 0;
}

int
tdo_pfkey_do_spdflush(struct tdo_pfkey_call *call)
{
	tdo_sp_flush(call->e);
	tdo_pfkey_reply(call);
	return 0;
}
