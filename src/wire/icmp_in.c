/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading ICMP errors: see icmp.h. */
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "wire/icmp.h"
#include "wire/ip.h"

enum {
	ICMP_HLEN = 8,
	QUOTE_MAX = 2048, /* more is not looked at */
	ICMP4_REDIRECT = 5,
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

/* Protocols whose selectors are more than their number. */
static bool
has_more(uint8_t proto)
{
	switch (proto) {
	case TDO_IPPROTO_ICMP:
	case TDO_IPPROTO_TCP:
	case TDO_IPPROTO_UDP:
	case TDO_IPPROTO_DCCP:
	case TDO_IPPROTO_GRE:
	case TDO_IPPROTO_ICMPV6:
	case TDO_IPPROTO_SCTP:
	case TDO_IPPROTO_MH:
	case TDO_IPPROTO_UDPLITE:
		return true;
	default:
		return false;
	}
}

/* RFC 792, RFC 4443 4: who is asked by one echo type answers by the other. */
static uint16_t
answering_type(uint8_t proto, uint16_t type)
{
	if (proto == TDO_IPPROTO_ICMP && (type == 8 || type == 0))
		return 8 - type;
	if (proto == TDO_IPPROTO_ICMPV6 && (type == 128 || type == 129))
		return type ^ 1;
	return type;
}

/* True when an ICMP message, if it is an error, quotes a fixed IP header, whatever that says. */
static bool
quotes_header(const uint8_t *p, const struct tdo_ip_info *ip)
{
	uint8_t af = ip->flow.src.af;

	return !ip->frag_later &&
	       ip->flow.proto == (af == TDO_AF_INET6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP) &&
	       ip->total_len - ip->l4_off >= ICMP_HLEN + tdo_ip_hlen(af);
}

bool
tdo_icmp_hides_quote(const uint8_t *p, const struct tdo_ip_info *ip)
{
	uint8_t af = ip->flow.src.af;
	const uint8_t *msg = p + ip->l4_off;
	size_t len = ip->total_len - ip->l4_off;
	struct tdo_icmp_error e;

	if (!quotes_header(p, ip) || kind_of(af, msg[0]) == NULL)
		return false;
	if (ip->frag)
		return true;
	if (af == TDO_AF_INET && tdo_csum_fold(tdo_csum_add(0, msg, len)) != 0)
		return false;
	return !tdo_icmp_read(af, msg, len, &e);
}

bool
tdo_icmp_quoted_hosts(const uint8_t *p, const struct tdo_ip_info *ip, struct tdo_flow *ret)
{
	bool v6 = ip->flow.src.af == TDO_AF_INET6;
	const uint8_t *q = p + ip->l4_off + ICMP_HLEN;
	uint32_t src = v6 ? 8 : 12;
	struct tdo_flow f = {.opaque = true};

	if (!quotes_header(p, ip) || (kind_of(ip->flow.src.af, p[ip->l4_off]) == NULL &&
					 (v6 || p[ip->l4_off] != ICMP4_REDIRECT)))
		return false;
	f.dst = tdo_addr_make(ip->flow.src.af, q + src);
	f.src = tdo_addr_make(ip->flow.src.af, q + src + tdo_af_len(ip->flow.src.af));
	/* The protocol is behind extension headers, or where any is: tdo_flow_proto_hidden(). */
	f.proto = v6 ? TDO_IPPROTO_FRAGMENT : q[9];
	if (!tdo_addr_equal(&ip->flow.dst, &f.dst))
		return false;
	*ret = f;
	return true;
}

bool
tdo_icmp_quoted_flow(const uint8_t *p, const struct tdo_ip_info *ip, struct tdo_flow *ret)
{
	uint8_t af = ip->flow.src.af;
	struct tdo_icmp_error e;
	struct tdo_flow f;

	if (ip->frag ||
	    ip->flow.proto != (af == TDO_AF_INET6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP) ||
	    !tdo_icmp_read(af, p + ip->l4_off, ip->total_len - ip->l4_off, &e))
		return false;
	f = e.ip.flow;
	/* RFC 792, RFC 4443 2.2: an error goes to whom it quotes. */
	if (!tdo_addr_equal(&ip->flow.dst, &f.src))
		return false;
	ret->src = f.dst;
	ret->dst = f.src;
	ret->proto = f.proto;
	ret->has_ports = f.has_ports;
	ret->opaque = f.opaque || (!f.has_ports && has_more(f.proto));
	ret->sport = f.dport;
	ret->dport = f.sport;
	if (f.proto == TDO_IPPROTO_ICMP || f.proto == TDO_IPPROTO_ICMPV6 ||
	    f.proto == TDO_IPPROTO_GRE || f.proto == TDO_IPPROTO_MH) {
		ret->sport = f.has_ports ? answering_type(f.proto, f.sport) : 0;
		ret->dport = f.dport;
	}
	return true;
}
