/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on struct tdo_addr: making, comparing, prefixes.  Printing is in addr.c. */
#ifndef TDO_BASE_ADDR_H
#define TDO_BASE_ADDR_H

#include <string.h>

#include "testudo/types.h"

/* Bytes of an address of this family on the wire: 4, 16, or 0 for none. */
static inline unsigned
tdo_af_len(uint8_t af)
{
	return af == TDO_AF_INET ? 4 : af == TDO_AF_INET6 ? 16 : 0;
}

/* Bits of an address of this family: 32, 128, or 0 for none. */
static inline unsigned
tdo_af_bits(uint8_t af)
{
	return tdo_af_len(af) * 8;
}

/* An address from its wire form; p has tdo_af_len(af) bytes. */
static inline struct tdo_addr
tdo_addr_make(uint8_t af, const uint8_t *p)
{
	struct tdo_addr a = {.af = af};

	memcpy(a.b, p, tdo_af_len(af));
	return a;
}

static inline bool
tdo_addr_equal(const struct tdo_addr *a, const struct tdo_addr *b)
{
	return a->af == b->af && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* True for 0.0.0.0, :: and the empty address. */
static inline bool
tdo_addr_is_any(const struct tdo_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

/* The address with all bits after the first plen cleared. */
static inline struct tdo_addr
tdo_addr_mask(const struct tdo_addr *a, unsigned plen)
{
	struct tdo_addr m = {.af = a->af};
	unsigned n = plen / 8;

	if (n > sizeof(m.b))
		n = sizeof(m.b);
	memcpy(m.b, a->b, n);
	if (plen % 8 != 0 && n < sizeof(m.b))
		m.b[n] = (uint8_t)(a->b[n] & (0xff00 >> (plen % 8)));
	return m;
}

/* True when a lies in net/plen; false for different families. */
static inline bool
tdo_addr_in(const struct tdo_addr *a, const struct tdo_addr *net, unsigned plen)
{
	struct tdo_addr x, y;

	if (a->af != net->af)
		return false;
	x = tdo_addr_mask(a, plen);
	y = tdo_addr_mask(net, plen);
	return memcmp(x.b, y.b, sizeof(x.b)) == 0;
}

#define TDO_ADDR_STRLEN 46 /* longest text form with its NUL */

/*
 * Writes the text form (RFC 5952 for IPv6, "none" for no address) with a NUL into
 * buf of TDO_ADDR_STRLEN bytes and returns buf.
 */
char *tdo_addr_str(const struct tdo_addr *a, char *buf);

/* The numeric IPv4 or IPv6 address in len bytes at s (no scope), or -EINVAL. */
TDO_MUST_CHECK int tdo_addr_parse(const char *s, size_t len, struct tdo_addr *ret);

#endif
