/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notices what other programs do to the things that we added: rules, routes, addresses, the
 * TUN, tables of nftables.  Changes that we made ourselves are not reported.
 */
#ifndef TDO_OS_WATCH_H
#define TDO_OS_WATCH_H

#include "os/nl.h"

enum {
	TDO_WATCH_ROUTES = 1 << 0,  /* a rule, or a route of our table */
	TDO_WATCH_LINK = 1 << 1,    /* our TUN: flags, addresses, settings */
	TDO_WATCH_GONE = 1 << 2,    /* our TUN was deleted */
	TDO_WATCH_LOCAL = 1 << 3,   /* some address of the host */
	TDO_WATCH_NFT = 1 << 4,     /* a table with our prefix */
	TDO_WATCH_UNKNOWN = 1 << 5, /* messages were lost: look at everything */
};

struct tdo_watch {
	struct tdo_nl route, nft;
	uint32_t ifindex, table;
	const char *prefix; /* of names of our nftables tables */
	unsigned events;
};

/*
 * self: port ids of the sockets with which we make changes, route_self also put into a
 * filter in front of the socket.  nft_self 0: nftables is not watched (nobody else may
 * change a table that has an owner).
 */
int tdo_watch_open(struct tdo_watch *w, uint32_t route_self, uint32_t nft_self);
void tdo_watch_close(struct tdo_watch *w);
/* Reads all notifications; returns the TDO_WATCH_ bits of what happened. */
unsigned tdo_watch_read(struct tdo_watch *w);

#endif
