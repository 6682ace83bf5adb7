/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of wire: the fields of TCP headers (RFC 9293 3.1); those of UDP are in udp.h. */
#ifndef TDO_WIRE_L4_H
#define TDO_WIRE_L4_H

#include <stdint.h>

enum {
	TCP_SEQ_OFF = 4,
	TCP_ACK_OFF = 8,
	TCP_DATA_OFF = 12, /* data offset in the high nibble, counted in 32-bit words */
	TCP_FLAGS_OFF = 13,
	TCP_WINDOW_OFF = 14,
	TCP_CSUM_OFF = 16,
	TCP_HLEN = 20,

	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_CWR = 0x80,
};

/* Bytes of the TCP header at p by its own field; below TCP_HLEN when it is malformed. */
static inline uint32_t
tcp_hlen(const uint8_t *p)
{
	return (uint32_t)(p[TCP_DATA_OFF] >> 4) * 4;
}

#endif
