/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving ESP in UDP: a super-packet, as UDP_GRO delivers it, is cut into the packets that were
 * on the wire.  Their IP and UDP headers, which a UDP socket does not deliver, are made again from
 * the ancillary data.
 */
#ifndef TDO_IO_UDP_RX_H
#define TDO_IO_UDP_RX_H

#include <sys/socket.h>

#include "io/iostat.h"
#include "io/pool.h"
#include "wire/ip.h"
#include "wire/udp.h"

/* What one message of the socket is: UDP payloads side by side, each of seg bytes but the last. */
struct tdo_udp_msg {
	const uint8_t *data;
	uint32_t len, seg;
	struct tdo_ip_hdr h; /* of each packet */
	uint16_t sport, dport;
	uint8_t head[TDO_IP6_HLEN + TDO_UDP_HLEN]; /* IP and UDP header in front of seg bytes */
};

/*
 * Reads what recvmsg() filled in: address, ancillary data and flags of a message of len bytes that
 * are at data.  false: it was cut off, or does not say where it was sent to.
 */
TDO_MUST_CHECK bool tdo_udp_msg_read(
    struct tdo_udp_msg *ret, struct msghdr *m, uint8_t af, const uint8_t *data, uint32_t len);
/*
 * The packet whose payload begins at *at, which moves on: a whole IP packet with
 * TDO_PKT_UDP_ENCAP, in memory of the pool.  NULL: the pool is full, or the payload too long for an
 * IP packet; then *at is behind the message.
 */
struct tdo_pkt *tdo_udp_msg_cut(const struct tdo_udp_msg *m, uint32_t *at, struct tdo_pool *pool);

struct tdo_udp_rx; /* buffers for a UDP socket of one family */

/* af: enum tdo_af.  NULL: no memory. */
struct tdo_udp_rx *tdo_udp_rx_new(uint8_t af, struct tdo_iostat *stat);
void tdo_udp_rx_free(struct tdo_udp_rx *rx); /* rx may be NULL */
/*
 * Receives messages; their packets are then to be taken with tdo_udp_rx_burst().  *ret_more: there
 * may be more to receive.
 */
void tdo_udp_rx_recv(struct tdo_udp_rx *rx, int fd, bool *ret_more);
/*
 * The next packets of what was received, at most TDO_BURST_MAX, valid until the next call.
 * Returns their number, 0 when all were taken.
 */
unsigned tdo_udp_rx_burst(struct tdo_udp_rx *rx, struct tdo_pkt **pk);
/* True when another burst follows. */
bool tdo_udp_rx_left(const struct tdo_udp_rx *rx);

#endif
