/* SPDX-License-Identifier: BSD-2-Clause */
/* The AH packet formats (RFC 4302 section 2, RFC 1826 section 3). */
#ifndef TDO_WIRE_AH_H
#define TDO_WIRE_AH_H

enum {
	TDO_AH_NEXT_OFF = 0, /* next header */
	TDO_AH_LEN_OFF = 1,  /* length of the header in 32-bit words, minus 2 */
	TDO_AH_SPI_OFF = 4,
	TDO_AH_SEQ_OFF = 8,
	TDO_AH_HLEN = 12,    /* without the ICV */
	TDO_AH_OLD_HLEN = 8, /* without the authentication data; there is no sequence number */
};

#endif
