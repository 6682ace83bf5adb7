/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors: those that testudo answers with, and those that it reads (RFC 792, 1191, 4443,
 * 8201). */
#ifndef TDO_WIRE_ICMP_H
#define TDO_WIRE_ICMP_H

#include "testudo/pkt.h"

/*
 * Builds "fragmentation needed" (ICMP 3/4) or "packet too big" (ICMPv6 2) with this MTU for
 * the offending parsed packet into out: from = the packet's destination (so that local
 * TCP believes it, whoever routes), to = its source, quoting as much as RFC 1812 4.3.2.3
 * (548 bytes) and RFC 4443 2.4 (1280 bytes) allow.  false: none may be sent (RFC 1122
 * 3.2.2: for ICMP errors, later fragments, multicast and broadcast sources), or no room.
 */
TDO_MUST_CHECK bool tdo_icmp_too_big(const struct tdo_pkt *p, uint32_t mtu, struct tdo_pkt *out);

/* The same for "fragment reassembly time exceeded" (11/1, ICMPv6 3/1) about a first fragment. */
TDO_MUST_CHECK bool tdo_icmp_late(const struct tdo_pkt *p, struct tdo_pkt *out);

/* True when a flow is, or may be, of ICMP errors or redirects: they are never answered. */
bool tdo_icmp_is_error(const struct tdo_flow *f);

/* What an ICMP error says about a packet. */
struct tdo_icmp_error {
	uint8_t type, code;
	bool too_big;          /* "fragmentation needed" or "packet too big" ... */
	uint32_t mtu;          /* ... with this MTU; 0: a router older than RFC 1191 */
	uint32_t quoted_len;   /* length of the packet that it quotes, by its own header */
	const uint8_t *quote;  /* the beginning of that packet, in the caller's memory ... */
	uint32_t quote_len;    /* ... that is there */
	struct tdo_ip_info ip; /* of the quote; total_len is not more than quote_len */
};

/*
 * Reads the ICMP (af INET, with its checksum) or ICMPv6 message of len bytes at p: true when it is
 * an error, not a redirect, that quotes as much as the IP header of a packet of its own family.
 * A quote is cut anywhere: ip.flow.has_ports says whether ports are in it, and of anything else
 * behind ip.l4_off there may be nothing.
 */
TDO_MUST_CHECK bool tdo_icmp_read(
    uint8_t af, const uint8_t *p, size_t len, struct tdo_icmp_error *ret);
/*
 * The flow of the answers to the packet that an ICMP error quotes; p and ip are of the error.
 * False: it is none, or a fragment, goes to somebody else, or quotes nothing that can be read. What
 * a quote that was cut hides makes the flow opaque.
 */
TDO_MUST_CHECK bool tdo_icmp_quoted_flow(
    const uint8_t *p, const struct tdo_ip_info *ip, struct tdo_flow *ret);

/*
 * What the fixed IP header of the quote alone says of that flow, where the rest cannot be read; it
 * is opaque.  Also of a redirect.  False: there is none, or the error goes to somebody else.
 */
TDO_MUST_CHECK bool tdo_icmp_quoted_hosts(
    const uint8_t *p, const struct tdo_ip_info *ip, struct tdo_flow *ret);

/*
 * True for an ICMP error whose quote has an IP header that can not be read, or not as a whole.
 * Receivers hardly look at it: to them it may be about anything.
 */
TDO_MUST_CHECK bool tdo_icmp_hides_quote(const uint8_t *p, const struct tdo_ip_info *ip);

#endif
