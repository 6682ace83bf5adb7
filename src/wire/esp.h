/* SPDX-License-Identifier: BSD-2-Clause */
/* The ESP packet formats (RFC 4303 section 2, RFC 1827 section 3). */
#ifndef TDO_WIRE_ESP_H
#define TDO_WIRE_ESP_H

enum {
	TDO_ESP_SPI_OFF = 0,
	TDO_ESP_SEQ_OFF = 4,
	TDO_ESP_HLEN = 8,        /* SPI, sequence number */
	TDO_ESP_OLD_HLEN = 4,    /* SPI */
	TDO_ESP_TRAILER_LEN = 2, /* pad length, next header */
	TDO_ESP_PAD_MAX = 255,
};

#endif
