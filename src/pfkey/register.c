/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGISTER and X_PROMISC: what a client wants to hear (RFC 2367 3.1.7, 3.1.11), and X_TDO_ROWS: in
 * which packets.
 */
#include <errno.h>

#include "pfkey/endpoint.h"

void
tdo_pfkey_tell_acquirers(struct tdo_pfkey *k)
{
	uint32_t satypes = 0;

	for (const struct tdo_pfkey_client *c = k->clients; c; c = c->next)
		satypes |= c->registered;
	tdo_engine_set_acquirers(k->cfg.engine, satypes);
}

/*
 * Without an SA type (setkey does so to check key lengths): only the lists.  With one: the
 * client gets ACQUIRE and EXPIRE from now on, and the key managers that are registered
 * already see the answer.
 */
int
tdo_pfkey_do_register(struct tdo_pfkey_call *call)
{
	struct tdo_pfkey_client *c = call->c;
	uint8_t satype = call->m->base.satype;
	uint16_t bit = (uint16_t)(1u << satype);

	if (satype != TDO_SATYPE_UNSPEC) {
		if (!c->cred.privileged)
			return -EPERM;
		if (c->registered & bit)
			return -EEXIST;
	}
	tdo_pfkey_reply(call);
	tdo_pfkey_put_supported(&call->w, tdo_engine_crypto(call->e), satype);
	if (satype != TDO_SATYPE_UNSPEC) {
		c->registered |= bit;
		tdo_pfkey_tell_acquirers(c->k);
	} else {
		call->audience = TDO_PFKEY_NOBODY;
	}
	return 0;
}

/* The SA type is the switch: 1 on, 0 off. */
int
tdo_pfkey_do_promisc(struct tdo_pfkey_call *call)
{
	uint8_t on = call->m->base.satype;

	if (on > 1 || call->m->payload_len > 0)
		return -EINVAL;
	call->c->promisc = on == 1;
	tdo_pfkey_reply(call);
	return 0;
}

int
tdo_pfkey_do_rows(struct tdo_pfkey_call *call)
{
	if (call->m->next > 0)
		return -EINVAL;
	call->c->rows = true;
	tdo_pfkey_reply(call);
	return 0;
}

bool
tdo_pfkey_rows(const struct tdo_pfkey_client *c)
{
	return c->rows;
}
