/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors that testudo answers with (RFC 792, 1191, 4443, 8201). */
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

#endif
