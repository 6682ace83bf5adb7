/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw sockets that receive IPsec protocols and send packets with their IP header. */
#ifndef TDO_OS_RAWSOCK_H
#define TDO_OS_RAWSOCK_H

#include <stdint.h>

#include "testudo/types.h"

/*
 * All return a non-blocking, close-on-exec descriptor, or -errno: -EAFNOSUPPORT when the
 * family does not exist here.
 */

/*
 * Receives IP protocol proto: ESP, AH or IPComp.  With workers > 1 only this worker's share, so
 * that all sockets together receive each packet once: by SPI, or, where many have the same
 * CPI, by source address.  IPv6: destination, hop limit, traffic class and extension headers
 * come as ancillary data.
 */
/* ICMP errors that came for this host do not change what its kernel believes of routes. */
int tdo_rawsock_in(enum tdo_af af, uint8_t proto, unsigned worker, unsigned workers);
/* Sends whole packets, header included, with this mark; never refused for the path MTU. */
int tdo_rawsock_out(enum tdo_af af, uint32_t mark);
/* UDP socket with this mark: connect() and IP_MTU, IPV6_MTU tell path MTUs. */
int tdo_rawsock_mtu(enum tdo_af af, uint32_t mark);
/* Receives ICMP or ICMPv6 errors, and sends ICMP messages; the kernel adds the IP header. */
int tdo_rawsock_icmp(enum tdo_af af);
/* Netlink: questions about routes and devices. */
int tdo_rawsock_route(void);

#endif
