/* SPDX-License-Identifier: BSD-2-Clause */
/* GET, DUMP, and ACQUIRE from a user (RFC 2367 3.1.5, 3.1.6, 3.1.10). */
#include <errno.h>

#include "base/ct.h"
#include "pfkey/endpoint.h"

/*
 * Dumps that one client may have under way: each keeps its entries alive.  Strangers, who may
 * only read policies, and never finish, get one.
 */
#define DUMPS_MAX          16
#define DUMPS_MAX_STRANGER 1

static bool
may_dump(const struct tdo_pfkey_client *c)
{
	return c->ndump < (c->cred.privileged ? DUMPS_MAX : DUMPS_MAX_STRANGER);
}

int
tdo_pfkey_do_get(struct tdo_pfkey_call *call)
{
	struct tdo_sa_info info;
	struct tdo_sa_key key;
	int r = tdo_sadb_get_sa_key(call->m, &key, &call->wrong);

	if (r < 0)
		return r;
	if (!tdo_sadb_has(call->m, TDO_SADB_EXT_SA))
		return tdo_pfkey_missing(call, TDO_SADB_EXT_SA);
	r = tdo_sa_get(call->e, &key, &info);
	if (r < 0)
		return r;
	tdo_pfkey_reply_object(call, info.refcnt);
	tdo_sadb_put_sa_info(&call->w, &info, true);
	tdo_wipe(&info, sizeof(info));
	return 0;
}

/* Gives the snapshot to the queue, or frees it. */
static int
start_dump(struct tdo_pfkey_call *call, struct tdo_pfkey_dump *d, unsigned left)
{
	if (left == 0) {
		tdo_pfkey_dump_free(d);
		return -ENOENT;
	}
	tdo_pfkey_answer_dump(call->c, d);
	return 0;
}

int
tdo_pfkey_do_dump(struct tdo_pfkey_call *call)
{
	struct tdo_pfkey_dump d = {.pid = call->m->base.pid};
	int r;

	if (!may_dump(call->c))
		return -EBUSY;
	r = tdo_sa_snap_new(call->e, call->m->base.satype, &d.sa);
	return r < 0 ? r : start_dump(call, &d, tdo_sa_snap_left(d.sa));
}

int
tdo_pfkey_do_spddump(struct tdo_pfkey_call *call)
{
	struct tdo_pfkey_dump d = {.pid = call->m->base.pid};
	int r;

	if (!may_dump(call->c))
		return -EBUSY;
	r = tdo_sp_snap_new(call->e, &d.sp);
	return r < 0 ? r : start_dump(call, &d, tdo_sp_snap_left(d.sp));
}

/*
 * With errno: a key manager gives up (RFC 2367 3.1.6); what waits for the SA is dropped, the
 * next packet asks again, nobody needs an answer.  Without: a user wants SAs; the registered
 * key managers are told.
 */
int
tdo_pfkey_do_acquire(struct tdo_pfkey_call *call)
{
	struct tdo_sa_key key;
	int r;

	if (call->m->base.err != 0) {
		tdo_acquire_refused(call->e, call->m->base.seq, call->now);
		return 0;
	}
	r = tdo_sadb_get_sa_key(call->m, &key, &call->wrong);
	if (r < 0)
		return r;
	if (tdo_sa_usable(call->e, &key))
		return -EEXIST;
	tdo_pfkey_reply(call);
	tdo_pfkey_reply_echo(call);
	return 0;
}
