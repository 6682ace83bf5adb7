/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading ICMP errors: see icmp.h. */
#include <string.h>

#include "base/be.h"
#include "wire/icmp.h"
#include "wire/ip.h"

enum {
	ICMP_HLEN = 8,
	QUOTE_MAX = 2048, /* more is not looked at */
};

struct kind {
	uint8_t type;
	uint8_t quote_at, quote_unit; /* RFC 4884 4: where the length of the quote is; 0: nowhere */
};

/* RFC 792; redirects name no fault of the packet. */
static const struct kind kinds4[] = {{3, 5, 4}, {4, 0, 0}, {11, 5, 4}, {12, 5, 4}};
/* RFC 4443 3 */
static const struct kind kinds6[] = {{1, 4, 8}, {2, 0, 0}, {3, 4, 8}, {4, 0, 0}};

static const struct kind *
kind_of(uint8_t af, uint8_t type)
{
	const struct kind *k = af == TDO_AF_INET6 ? kinds6 : kinds4;

	_Static_assert(sizeof(kinds4) == sizeof(kinds6), "four each");
	for (size_t i = 0; i < sizeof(kinds4) / sizeof(kinds4[0]); i++)
		if (k[i].type == type)
			return &k[i];
	return NULL;
}

/* Bytes of the quote; an older sender leaves the length 0, and then all of the rest is quote. */
static uint32_t
quote_len(const struct kind *k, const uint8_t *p, size_t len)
{
	size_t rest = len - ICMP_HLEN,
	       said = k->quote_at ? (size_t)p[k->quote_at] * k->quote_unit : 0;

	if (said != 0 && said < rest)
		rest = said;
	return (uint32_t)(rest < QUOTE_MAX ? rest : QUOTE_MAX);
}

static uint32_t
quoted_len(uint8_t af, const uint8_t *q)
{
	return af == TDO_AF_INET6 ? TDO_IP6_HLEN + (uint32_t)tdo_be16(q + 4) : tdo_be16(q + 2);
}

/* Parses the quote as the packet that it would be if it ended where it was cut. */
static bool
parse_quote(uint8_t af, struct tdo_icmp_error *e)
{
	uint8_t copy[QUOTE_MAX];
	uint32_t hlen = tdo_ip_hlen(af), len = e->quote_len;

	if (len < hlen || e->quote[0] >> 4 != (af == TDO_AF_INET6 ? 6 : 4))
		return false;
	e->quoted_len = quoted_len(af, e->quote);
	if (e->quoted_len < hlen)
		return false;
	if (len >= e->quoted_len)
		len = e->quote_len = e->quoted_len;
	memcpy(copy, e->quote, len);
	if (af == TDO_AF_INET6)
		tdo_put_be16(copy + 4, (uint16_t)(len - TDO_IP6_HLEN));
	else
		tdo_put_be16(copy + 2, (uint16_t)len);
	return tdo_ip_parse(copy, len, &e->ip) == TDO_REASON_NONE;
}

bool
tdo_icmp_read(uint8_t af, const uint8_t *p, size_t len, struct tdo_icmp_error *ret)
{
	struct tdo_icmp_error e = {0};
	const struct kind *k;

	if (len < ICMP_HLEN || (k = kind_of(af, p[0])) == NULL)
		return false;
	/* That of ICMPv6 was checked by who received it, with the addresses. */
	if (af == TDO_AF_INET && tdo_csum_fold(tdo_csum_add(0, p, len)) != 0)
		return false;
	e.type = p[0];
	e.code = p[1];
	e.quote = p + ICMP_HLEN;
	e.quote_len = quote_len(k, p, len);
	if (!parse_quote(af, &e))
		return false;
	if (af == TDO_AF_INET6) {
		e.too_big = e.type == 2;
		e.mtu = e.too_big ? tdo_be32(p + 4) : 0;
	} else {
		e.too_big = e.type == 3 && e.code == 4;
		e.mtu = e.too_big ? tdo_be16(p + 6) : 0; /* RFC 1191 4 */
	}
	*ret = e;
	return true;
}
