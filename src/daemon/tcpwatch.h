/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP senders that repeat a full segment and hear nothing: the sign of a path that swallows large
 * packets (RFC 4821 7.6), which needs no help of the peer.  A sender that sends super-packets
 * repeats single segments, so bulk traffic is not looked at.
 */
#ifndef TDO_DAEMON_TCPWATCH_H
#define TDO_DAEMON_TCPWATCH_H

#include "testudo/pkt.h"

#define TDO_TCPWATCH_SLOTS 1024u
#define TDO_TCPWATCH_LARGE 500u

struct tdo_tcpwatch {
	struct {
		uint32_t seq, ports;
		uint32_t sent; /* times */
		uint32_t first_ms;
	} slot[TDO_TCPWATCH_SLOTS];
};

enum tdo_tcp_trouble {
	TDO_TCP_FINE,
	TDO_TCP_REPEATS, /* a second time: worth a question */
	TDO_TCP_STUCK,   /* again and again, for more than a second */
};

/* p: a parsed outbound packet. */
enum tdo_tcp_trouble tdo_tcpwatch_see(struct tdo_tcpwatch *w, const struct tdo_pkt *p, tdo_ns now);

/* What is worth looking at. */
static inline bool
tdo_tcpwatch_wants(const struct tdo_pkt *p)
{
	return p->gso == TDO_GSO_NONE && p->len >= TDO_TCPWATCH_LARGE && p->ip.flow.proto == 6 &&
	       !p->ip.frag;
}

#endif
