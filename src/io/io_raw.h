/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw sockets in bursts: receiving protected packets, sending finished ones. */
#ifndef TDO_IO_IO_RAW_H
#define TDO_IO_IO_RAW_H

#include "io/iostat.h"
#include "testudo/pkt.h"

/* ---- receiving ---------------------------------------------------------------------- */

struct tdo_raw_rx; /* buffers */

struct tdo_raw_in {
	int fd;        /* a raw socket of the buffers' family */
	uint8_t proto; /* ... and of this protocol */
};

/* Buffers for all raw sockets of family af (enum tdo_af).  NULL: no memory. */
struct tdo_raw_rx *tdo_raw_rx_new(uint8_t af, struct tdo_iostat *stat);
void tdo_raw_rx_free(struct tdo_raw_rx *rx); /* rx may be NULL */
/*
 * Receives up to TDO_BURST_MAX packets into pk, valid until the next call.  They are whole IP
 * packets: the IPv6 header and its extension headers, which a raw socket does not deliver
 * (RFC 3542 3), are made again from the ancillary data, all but the flow label.  Returns their
 * number; *ret_more: there may be more.
 */
unsigned tdo_raw_recv(
    struct tdo_raw_rx *rx, const struct tdo_raw_in *in, struct tdo_pkt **pk, bool *ret_more);

/* ---- sending ------------------------------------------------------------------------ */

struct tdo_raw_tx; /* packets that wait for the next flush */

/* What the caller does with a packet that the kernel refused; err is an errno. */
typedef void (*tdo_raw_refused_fn)(void *ctx, struct tdo_pkt *p, int err);

/* refused is called from tdo_raw_flush().  NULL: no memory. */
struct tdo_raw_tx *tdo_raw_tx_new(
    int fd, uint8_t af, struct tdo_iostat *stat, tdo_raw_refused_fn refused, void *ctx);
void tdo_raw_tx_free(struct tdo_raw_tx *tx); /* tx may be NULL; flush before */
/*
 * Takes one IP packet that is ready to be sent to the destination in its header; the packet
 * must stay until the next flush.  Flushes by itself when TDO_BURST_MAX packets wait.
 */
void tdo_raw_queue(struct tdo_raw_tx *tx, struct tdo_pkt *p);
/*
 * Sends what waits.  When the socket buffer is full it waits a few milliseconds, once; then
 * packets are refused with EAGAIN: a queue here would only hide the bottleneck.
 */
void tdo_raw_flush(struct tdo_raw_tx *tx);

/* ---- path MTU ----------------------------------------------------------------------- */

/*
 * route: a netlink socket that asks for the MTU of route and device (route_mtu.h).  Where that does
 * not answer: sockets that ask for path MTUs by connect().  -1: it is missing.
 */
struct tdo_raw_mtu {
	int fd4, fd6, route;
	uint32_t mark; /* of the packets */
};

/* For tdo_pmtu_init(); ctx is a struct tdo_raw_mtu. */
uint32_t tdo_raw_ask_mtu(void *ctx, const struct tdo_addr *dst);

#endif
