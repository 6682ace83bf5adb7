/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending ESP in UDP: rows of packets that differ in nothing but ESP go to the kernel as one
 * super-packet (UDP_SEGMENT), which passes through the kernel once; all else goes the raw way,
 * packet by packet.  Both ways in one order.
 *
 * The socket has a port of its own; a rule of the fence gives its packets the port that their
 * headers say.  The kernel makes the headers anew and fills in UDP checksums.
 */
#ifndef TDO_IO_UDP_TX_H
#define TDO_IO_UDP_TX_H

#include "io/io_raw.h"

#define TDO_UDP_RUN_MAX   64     /* packets of a super-packet: UDP_MAX_SEGMENTS before Linux 6.9 */
#define TDO_UDP_RUN_BYTES 65000u /* of UDP payload */
/* A kernel or device that cannot segment towards a destination is not asked for this time. */
#define TDO_UDP_RAW_FOR (30 * TDO_SEC)

struct tdo_udp_tx; /* one family; the packets that may become a super-packet */

struct tdo_udp_tx_conf {
	int fd;    /* UDP socket; IPv4: whose packets have DF off */
	int fd_df; /* IPv4: with DF on; IPv6: not looked at */
	/* The local port that the fence gives to what fd sends, 0: none now; borrowed. */
	const _Atomic uint16_t *port;
	struct tdo_raw_tx *raw; /* the raw way of the same family, borrowed */
	struct tdo_iostat *stat;
	tdo_raw_refused_fn refused; /* packets that neither way could take */
	void *ctx;
};

/* af: enum tdo_af.  NULL: no memory. */
struct tdo_udp_tx *tdo_udp_tx_new(uint8_t af, const struct tdo_udp_tx_conf *conf);
void tdo_udp_tx_free(struct tdo_udp_tx *tx); /* tx may be NULL; flush before */
/*
 * Takes one finished packet with TDO_PKT_UDP_CSUM, whose p->ip is valid; it must stay until it has
 * been sent: until the next tdo_udp_flush() and then that of the raw way.
 */
void tdo_udp_queue(struct tdo_udp_tx *tx, struct tdo_pkt *p, tdo_ns now);
/* Packets that the next flush would send. */
unsigned tdo_udp_waiting(const struct tdo_udp_tx *tx);
/*
 * Sends what waits, or queues it for the raw way, whose queue is not flushed.  A super-packet
 * leaves after what was queued for the raw way before it.
 */
void tdo_udp_flush(struct tdo_udp_tx *tx);
/* A packet with TDO_PKT_UDP_CSUM takes the raw way: what is left to the kernel else is made here.
 */
void tdo_udp_complete(struct tdo_pkt *p);

#endif
