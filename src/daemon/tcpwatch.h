/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP senders that repeat a full segment and hear nothing: the sign of a path that swallows large
 * packets (RFC 4821 7.6), or of a receiver that is dead.  A sender that sends super-packets repeats
 * single segments, so bulk traffic is not looked at.
 */
#ifndef TDO_DAEMON_TCPWATCH_H
#define TDO_DAEMON_TCPWATCH_H

#include "testudo/pkt.h"

#define TDO_TCPWATCH_SETS  512u
#define TDO_TCPWATCH_WAYS  4u
#define TDO_TCPWATCH_LARGE 500u

/* A segment, by its sequence number and ports. */
struct tdo_tcp_slot {
	uint32_t seq, ports;
	uint32_t first_ms; /* when it was seen first, or stuck last; of one given up, last */
	uint32_t since_ms; /* when this trouble began: before the last time that it was stuck */
	uint8_t sent;      /* times since then */
	bool given_up;     /* nothing that is done here helps it */
	uint16_t tried;    /* size that it is cut to, 0: none */
};

struct tdo_tcpwatch {
	struct tdo_tcp_slot slot[TDO_TCPWATCH_SETS][TDO_TCPWATCH_WAYS];
};

enum tdo_tcp_trouble {
	TDO_TCP_FINE,
	TDO_TCP_REPEATS, /* worth a question */
	TDO_TCP_STUCK,   /* again and again, for more than a second */
};

/* p: a parsed outbound packet.  *ret: what is known of the segment, if it is not fine. */
enum tdo_tcp_trouble tdo_tcpwatch_see(
    struct tdo_tcpwatch *w, const struct tdo_pkt *p, tdo_ns now, struct tdo_tcp_slot **ret);

/* How long ago the trouble began. */
tdo_ns tdo_tcpwatch_age(const struct tdo_tcp_slot *s, tdo_ns now);

/* What is worth looking at. */
static inline bool
tdo_tcpwatch_wants(const struct tdo_pkt *p)
{
	return p->gso == TDO_GSO_NONE && p->len >= TDO_TCPWATCH_LARGE && p->ip.flow.proto == 6 &&
	       !p->ip.frag;
}

#endif
