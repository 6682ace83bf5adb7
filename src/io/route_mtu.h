/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MTU of the route to a destination as it is configured: of the route, if it has one, and of
 * the device.  Not what the kernel learned from ICMP errors: it believes anybody's.
 */
#ifndef TDO_IO_ROUTE_MTU_H
#define TDO_IO_ROUTE_MTU_H

#include <stddef.h>

#include "testudo/types.h"

/*
 * Asks by the netlink socket fd, for packets with this mark.  0: the kernel does not say (no route,
 * too old).
 */
uint32_t tdo_route_mtu(int fd, const struct tdo_addr *dst, uint32_t mark);

/* Reading the answers: of a route and of a device.  0 or the values; all of msg is untrusted. */
struct tdo_route_answer {
	uint32_t ifindex, mtu;
};

bool tdo_route_read(const void *msg, size_t len, struct tdo_route_answer *ret);
uint32_t tdo_link_read(const void *msg, size_t len, uint8_t af);

#endif
