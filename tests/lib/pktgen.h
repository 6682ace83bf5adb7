/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets for tests: plain, by the book, with none of the code under test but the headers. */
#ifndef TDO_TESTS_PKTGEN_H
#define TDO_TESTS_PKTGEN_H

#include <stdint.h>

#include "testudo/pkt.h"

struct pktgen {
	bool v6;
	uint8_t proto;      /* TCP or UDP */
	uint8_t tcp_flags;  /* ACK (0x10) if 0 */
	uint32_t seq;       /* TCP */
	uint16_t id;        /* IPv4 */
	bool df;            /* IPv4 */
	const uint8_t *opt; /* TCP options, a multiple of 4 bytes */
	uint8_t opt_len;
	uint32_t payload; /* bytes */
	uint32_t pattern; /* what the payload is made from */
};

/* Makes the packet in fresh memory with the usual headroom and room bytes of tailroom. */
struct tdo_pkt *pktgen_new(const struct pktgen *g, uint32_t room);
/* An empty packet with room for cap bytes behind the usual headroom. */
struct tdo_pkt *pktgen_empty(uint32_t cap);
/* A packet of exactly these bytes, without any headroom or tailroom; p->ip is parsed. */
struct tdo_pkt *pktgen_exact(const uint8_t *data, uint32_t len);
void pktgen_free(struct tdo_pkt *p);

/* The Internet checksum by its definition (RFC 1071 1), 16 bits at a time. */
uint16_t pktgen_csum(const uint8_t *p, size_t len);
/* True when the IPv4 header checksum and the TCP, UDP or ICMPv6 checksum are right. */
bool pktgen_csums_ok(const struct tdo_pkt *p);

#endif
