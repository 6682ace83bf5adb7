/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UDP ports of this host to which SAs come: the attachment receives what is sent there, and
 * only that.  Counted, since most SAs share one port.
 */
#include <errno.h>

#include "engine/control.h"
#include "engine/encap.h"
#include "engine/sad.h"

int
tdo_udp_ports_new(struct tdo_engine *e)
{
	e->udp = tdo_engine_alloc(e, sizeof(*e->udp));
	return e->udp ? tdo_keepalive_new(e) : -ENOMEM;
}

void
tdo_udp_ports_free(struct tdo_engine *e)
{
	struct tdo_udp_ports *u = e->udp;

	if (u == NULL)
		return;
	tdo_keepalive_free(e);
	for (unsigned i = 0; i < 2 * TDO_UDP_PAGES; i++)
		if (u->page[i / TDO_UDP_PAGES][i % TDO_UDP_PAGES])
			tdo_engine_release(e, u->page[i / TDO_UDP_PAGES][i % TDO_UDP_PAGES],
			    sizeof(*u->page[0][0]));
	tdo_engine_release(e, u, sizeof(*u));
}

/* Where the SAs of a port are counted; NULL: no memory. */
static uint32_t *
users_of(struct tdo_engine *e, uint16_t port, bool marker)
{
	struct tdo_udp_page **p = &e->udp->page[marker][port / TDO_UDP_PAGE];

	if (*p == NULL)
		*p = tdo_engine_alloc(e, sizeof(**p));
	return *p ? &(*p)->users[port % TDO_UDP_PAGE] : NULL;
}

static int
enter(struct tdo_engine *e, struct tdo_sa *sa)
{
	bool marker = sa->encap->type == TDO_NATT_NON_IKE;
	uint16_t port = sa->param.natt.dport;
	uint32_t *users = users_of(e, port, marker);
	int r = 0;

	if (users == NULL)
		return -ENOMEM;
	if (*users == 0)
		r = e->cfg.natt.port(e->cfg.natt.ctx, port, marker, true);
	if (r < 0)
		return r;
	++*users;
	sa->encap->port = port;
	return 0;
}

void
tdo_udp_port_leave(struct tdo_engine *e, struct tdo_sa *sa)
{
	bool marker = sa->encap->type == TDO_NATT_NON_IKE;
	uint16_t port = sa->encap->port;

	if (port == 0)
		return;
	sa->encap->port = 0;
	if (--*users_of(e, port, marker) == 0)
		(void)e->cfg.natt.port(e->cfg.natt.ctx, port, marker, false);
}

int
tdo_udp_port_look(struct tdo_engine *e, struct tdo_sa *sa)
{
	bool comes_here = tdo_is_local(e, &sa->id.dst);

	if (e->cfg.natt.port == NULL || comes_here == (sa->encap->port != 0))
		return 0;
	if (comes_here)
		return enter(e, sa);
	tdo_udp_port_leave(e, sa);
	return 0;
}

/* What failed is tried again by every tick; of the SAs in a row that share a port, by one. */
void
tdo_udp_ports_review(struct tdo_engine *e)
{
	const struct tdo_natt *refused = NULL;
	bool was_due = e->udp->due;
	int r = 0;

	e->udp->due = false;
	if (e->udp->sas == 0)
		return;
	for (struct tdo_sa *sa = e->sad->first; sa; sa = sa->next) {
		const struct tdo_natt *n = &sa->param.natt;
		int failed;

		if (sa->encap == NULL ||
		    (refused && sa->encap->port == 0 && n->dport == refused->dport &&
			n->type == refused->type))
			continue;
		failed = tdo_udp_port_look(e, sa);
		if (failed < 0) {
			r = failed;
			refused = n;
		}
	}
	e->udp->due = r < 0;
	if (r < 0 && !was_due)
		tdo_engine_log(e, TDO_LOG_ERR,
		    "a port of UDP encapsulation cannot be received (errno %d); trying again", -r);
}

void
tdo_udp_ports_tick(struct tdo_engine *e)
{
	if (e->udp->due)
		tdo_udp_ports_review(e);
}
