/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traffic selectors (RFC 4301 4.4.1.1): two address prefixes, an upper-layer
 * protocol and two port ranges.  ICMP, ICMPv6 and MH type stand in the source range,
 * the code in the destination range, as setkey(8) has it, and the halves of a GRE key in
 * both; the wildcard is the full range, so type 0 can be selected (D41).  Beside TDO_PROTO_ANY
 * other ranges are those of ports alone: no type, no code, no key is in them.
 */
#ifndef TESTUDO_SEL_H
#define TESTUDO_SEL_H

#include "testudo/types.h"

#define TDO_PROTO_ANY 255 /* matches every upper-layer protocol */

struct tdo_range {
	uint16_t lo, hi; /* inclusive; 0..65535 matches everything, also "no port known" */
};

#define TDO_RANGE_ANY ((struct tdo_range){0, 65535})

struct tdo_sel {
	struct tdo_addr src, dst;   /* of one family; host bits after the prefix are zero */
	uint8_t src_plen, dst_plen; /* 0..32 or 0..128 */
	uint8_t proto;              /* upper-layer protocol, TDO_PROTO_ANY for all */
	struct tdo_range sport, dport;
};

/*
 * What the selectors are compared with: the addresses and upper layer of one packet.  Ports that
 * are not known are zero, so that whole structures may be compared and hashed.
 */
struct tdo_flow {
	struct tdo_addr src, dst;
	uint8_t proto;         /* last header of the chain */
	bool has_ports;        /* sport and dport (or type and code) are known */
	bool opaque;           /* later fragment: protocol or ports of the datagram are unknown */
	uint8_t pad;           /* zero */
	uint16_t sport, dport; /* host order; type and code for ICMP, ICMPv6, MH; a GRE key */
};

/*
 * The definition of a match; the classifier is tested against it.  An opaque flow matches
 * only what does not ask for anything that it hides.
 */
bool tdo_sel_match(const struct tdo_sel *sel, const struct tdo_flow *flow);

/*
 * True when some datagram with the known fields of flow matches: the fields that a
 * later fragment hides are taken as wildcards (RFC 4301 section 7).
 */
bool tdo_sel_may_match(const struct tdo_sel *sel, const struct tdo_flow *flow);

/*
 * True when even the protocol is unknown: a later IPv6 fragment whose first header is an
 * extension header (RFC 8200 4.5).
 */
bool tdo_flow_proto_hidden(const struct tdo_flow *flow);

/* True when both selectors are the same entry key (addresses, prefixes, protocol, ports). */
bool tdo_sel_equal(const struct tdo_sel *a, const struct tdo_sel *b);

#endif
