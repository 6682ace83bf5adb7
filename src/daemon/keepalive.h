/* SPDX-License-Identifier: BSD-2-Clause */
/* Keepalives of NAT traversal (RFC 3948 2.3), as whole packets. */
#ifndef TDO_DAEMON_KEEPALIVE_H
#define TDO_DAEMON_KEEPALIVE_H

#include "daemon/data.h"

#define TDO_KEEPALIVE_MAX (40 + 8 + 1)

/* Writes one to buf, of TDO_KEEPALIVE_MAX bytes; returns its length. */
size_t tdo_keepalive_make(uint8_t *buf, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint16_t sport, uint16_t dport);
/*
 * Sends one by the raw sockets of fds, whoever owns the port.  What cannot be sent is lost: the
 * next one comes soon.
 */
void tdo_keepalive_send(const struct tdo_worker_fds *fds, const struct tdo_addr *src,
    const struct tdo_addr *dst, uint16_t sport, uint16_t dport);

#endif
