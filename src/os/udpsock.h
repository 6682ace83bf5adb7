/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP sockets of UDP-encapsulated ESP (RFC 3948), on ports of their own. */
#ifndef TDO_OS_UDPSOCK_H
#define TDO_OS_UDPSOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "testudo/types.h"

/*
 * All return a non-blocking, close-on-exec descriptor, or -errno: -EAFNOSUPPORT when the
 * family does not exist here.  *port 0: the socket gets a free port, which is written there; else
 * it joins the group of sockets of this port.
 */

/*
 * Receives what a tproxy rule gives to its port, and nothing that was sent to that port itself.
 * Super-packets arrive whole, with their segment size, the original destination, TOS or class, and
 * TTL or hop limit as ancillary data.  The sockets of one port share the peers.
 */
int tdo_udpsock_in(enum tdo_af af, uint16_t *port);
/*
 * Sends super-packets with this mark; the source address is ancillary data, as are TOS or class,
 * and TTL or hop limit.  df (IPv4): DF is set.  Never refused for the path MTU alone.  It receives
 * nothing.
 */
int tdo_udpsock_out(enum tdo_af af, uint32_t mark, bool df, uint16_t *port);

#endif
