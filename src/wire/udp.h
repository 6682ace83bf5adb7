/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of UDP headers (RFC 768), and what stands behind them around ESP (RFC 3948 2). */
#ifndef TDO_WIRE_UDP_H
#define TDO_WIRE_UDP_H

enum {
	TDO_UDP_SPORT_OFF = 0,
	TDO_UDP_DPORT_OFF = 2,
	TDO_UDP_LEN_OFF = 4,
	TDO_UDP_CSUM_OFF = 6,
	TDO_UDP_HLEN = 8,
	TDO_UDP_MARKER_LEN = 8,   /* draft-ietf-ipsec-udp-encaps-00: where IKE has a cookie */
	TDO_UDP_NON_ESP_LEN = 4,  /* RFC 3948 2.2: in front of IKE */
	TDO_UDP_KEEPALIVE = 0xff, /* RFC 3948 2.3: the only byte */

	TDO_UDP_PORT_IKE = 500,   /* also of ESP in the older form */
	TDO_UDP_PORT_NATT = 4500, /* RFC 3947 4 */
};

#endif
