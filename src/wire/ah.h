/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Authentication Header (RFC 4302 section 2; the old format: RFC 1826 section 3) and what
 * of the headers in front of it is authenticated (RFC 4302 3.3.3.1 and appendix A).
 */
#ifndef TDO_WIRE_AH_H
#define TDO_WIRE_AH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testudo/reason.h"

enum {
	TDO_AH_NEXT_OFF = 0,
	TDO_AH_LEN_OFF = 1, /* in units of 4 bytes, less 2 */
	TDO_AH_SPI_OFF = 4,
	TDO_AH_SEQ_OFF = 8,
	TDO_AH_HLEN = 12,    /* up to the sequence number */
	TDO_AH_OLD_HLEN = 8, /* up to the SPI */
	TDO_AH_LEN_MAX = (255 + 2) * 4,
	/* Headers in front of AH: the source routes and options of IPv6 that are in use are
	   shorter. */
	TDO_AH_COVER_MAX = 512,
};

/* Bytes of a header of hlen bytes with icv_len bytes of ICV, padded to align (4 or 8). */
static inline unsigned
tdo_ah_len(unsigned hlen, unsigned icv_len, unsigned align)
{
	return (hlen + icv_len + align - 1) & ~(align - 1);
}

/* The header is len bytes long (a multiple of 4 from 8 up to TDO_AH_LEN_MAX). */
static inline uint8_t
tdo_ah_len_field(unsigned len)
{
	return (uint8_t)(len / 4 - 2);
}

static inline unsigned
tdo_ah_len_of(uint8_t field)
{
	return (field + 2u) * 4;
}

struct tdo_ah_rules {
	bool out; /* the packet begins its way: fields are predicted as its end will see them */
	bool clear_tos;    /* IPv4: false: TOS is authenticated, as in RFC 1826 */
	uint16_t off_mask; /* IPv4: bits of flags and fragment offset that are authenticated */
};

/*
 * Makes of the headers in front of an AH header, hdr_len bytes at p that announce it, what
 * enters into the computation of the ICV: fields that change on the way are zero, those whose
 * final value is known have it.  The packet is no fragment.
 *
 * NONE, or the reason why nothing can be computed, and what is at p is unspecified then:
 * IP_HEADER (IPv4) and EXT_HEADER (IPv6) when lengths are wrong, AH_OPTION when an option is
 * malformed, AH_HEADER when nobody says how a header is to be authenticated.
 */
enum tdo_reason tdo_ah_cover(uint8_t *p, size_t hdr_len, const struct tdo_ah_rules *r);

#endif
