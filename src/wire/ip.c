/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing and building of IPv4 and IPv6 headers: see ip.h. */
#include "wire/ip.h"

#include "base/be.h"

enum {
	IP4_PROTO_OFF = 9,
	IP6_NH_OFF = 6,
	/* No octet of a datagram lies beyond what its total length can express. */
	REASSEMBLED_MAX = 65535,
};

/*
 * The key of GRE, which stands behind the checksum (RFC 2890 2) or, in the older format, also
 * the offset (RFC 1701).  In version 1 (RFC 2637) there is something else in its place.
 */
static bool
parse_gre(struct tdo_flow *f, const uint8_t *p, size_t avail)
{
	enum { CHECKSUM = 0x8000, ROUTING = 0x4000, KEY = 0x2000, VERSION = 0x0007 };
	uint16_t flags;
	size_t off;

	if (avail < 4)
		return false;
	flags = tdo_be16(p);
	off = flags & (CHECKSUM | ROUTING) ? 8 : 4;
	if (!(flags & KEY) || (flags & VERSION) != 0 || avail < off + 4)
		return false;
	f->sport = tdo_be16(p + off);
	f->dport = tdo_be16(p + off + 2);
	return true;
}

/* Ports, or type and code, of an upper layer of avail bytes at p that is none of the usual ones. */
static __attribute__((noinline)) bool
parse_rare_ports(struct tdo_flow *f, const uint8_t *p, size_t avail)
{
	switch (f->proto) {
	case TDO_IPPROTO_UDPLITE:
	case TDO_IPPROTO_SCTP:
	case TDO_IPPROTO_DCCP:
		if (avail < 4)
			return false;
		f->sport = tdo_be16(p);
		f->dport = tdo_be16(p + 2);
		return true;
	case TDO_IPPROTO_ICMP:
	case TDO_IPPROTO_ICMPV6:
		if (avail < 2)
			return false;
		f->sport = p[0];
		f->dport = p[1];
		return true;
	case TDO_IPPROTO_MH: /* RFC 6275 6.1.1: the type is the third byte */
		if (avail < 3)
			return false;
		f->sport = p[2];
		return true;
	case TDO_IPPROTO_GRE:
		return parse_gre(f, p, avail);
	default:
		return false;
	}
}

/* The upper layer at ret->l4_off of a packet that is a fragment, and a later one, or not. */
static inline void
parse_upper(const uint8_t *p, struct tdo_ip_info *ret, bool frag, bool later)
{
	struct tdo_flow *f = &ret->flow;
	size_t avail = ret->total_len - ret->l4_off;

	p += ret->l4_off;
	if (!later && f->proto != TDO_IPPROTO_ESP) {
		if (f->proto != TDO_IPPROTO_TCP && f->proto != TDO_IPPROTO_UDP) {
			f->has_ports = parse_rare_ports(f, p, avail);
		} else if (avail >= 4) {
			f->sport = tdo_be16(p);
			f->dport = tdo_be16(p + 2);
			f->has_ports = true;
		}
	}
	f->opaque = frag && !f->has_ports;
}

/* The first three words of an IPv4 header: all but addresses and options. */
struct ip4_words {
	uint32_t first;  /* version, length, TOS, total length */
	uint32_t second; /* identification, flags, offset */
	uint32_t third;  /* TTL, protocol, checksum */
};

/* A header of hlen bytes of a packet with these fragment bits; both may be constants. */
static inline __attribute__((always_inline)) enum tdo_reason
fill_ip4(const uint8_t *p, size_t len, const struct ip4_words *h, uint32_t hlen, uint32_t frag,
    struct tdo_ip_info *ret)
{
	uint32_t total = h->first & 0xffff;
	bool later = (frag & TDO_IP4_OFFMASK) != 0;

	if (total < hlen)
		return TDO_REASON_IP_HEADER;
	if (total > len)
		return TDO_REASON_SHORT;
	if ((frag & TDO_IP4_OFFMASK) * 8 + total > REASSEMBLED_MAX)
		return TDO_REASON_IP_HEADER;
	*ret = (struct tdo_ip_info){
	    .flow = {.src.af = TDO_AF_INET,
		.dst.af = TDO_AF_INET,
		.proto = (uint8_t)(h->third >> 16)},
	    .total_len = total,
	    .l4_off = (uint16_t)hlen,
	    .esp_off = (uint16_t)hlen,
	    .nh_off = IP4_PROTO_OFF,
	    .esp_nh = (uint8_t)(h->third >> 16),
	    .tos = (uint8_t)(h->first >> 16),
	    .ttl = (uint8_t)(h->third >> 24),
	    .df = (h->second & TDO_IP4_DF) != 0,
	    .frag = frag != 0,
	    .frag_later = later,
	};
	memcpy(ret->flow.src.b, p + 12, 4);
	memcpy(ret->flow.dst.b, p + 16, 4);
	parse_upper(p, ret, frag != 0, later);
	return TDO_REASON_NONE;
}

static __attribute__((noinline)) enum tdo_reason
parse_rare_ip4(const uint8_t *p, size_t len, const struct ip4_words *h, struct tdo_ip_info *ret)
{
	uint32_t hlen = h->first >> 22 & 0x3c;

	if (hlen < TDO_IP4_HLEN)
		return TDO_REASON_IP_HEADER;
	return fill_ip4(p, len, h, hlen, h->second & (TDO_IP4_MF | TDO_IP4_OFFMASK), ret);
}

static inline enum tdo_reason
parse_ip4(const uint8_t *p, size_t len, struct tdo_ip_info *ret)
{
	struct ip4_words h;

	if (len < TDO_IP4_HLEN)
		return TDO_REASON_SHORT;
	h = (struct ip4_words){tdo_be32(p), tdo_be32(p + 4), tdo_be32(p + 8)};
	/* No options and no fragment, as nearly all are. */
	if (h.first >> 24 == 0x45 && (h.second & (TDO_IP4_MF | TDO_IP4_OFFMASK)) == 0)
		return fill_ip4(p, len, &h, TDO_IP4_HLEN, 0, ret);
	return parse_rare_ip4(p, len, &h, ret);
}

/*
 * One extension header at off: its length, or 0 when it is malformed or does not fit.
 * Fragment fields are noted in ret.
 */
static size_t
ext_header(const uint8_t *p, uint8_t nh, size_t off, struct tdo_ip_info *ret)
{
	size_t left = ret->total_len - off, hlen, frag_off;

	if (left < 8)
		return 0;
	if (nh != TDO_IPPROTO_FRAGMENT) {
		hlen = ((size_t)p[off + 1] + 1) * 8;
		return hlen <= left ? hlen : 0;
	}
	frag_off = tdo_be16(p + off + 2) & 0xfff8;
	ret->frag_later = frag_off != 0;
	/* RFC 6946: with offset 0 and no M bit this is a whole datagram. */
	ret->frag = ret->frag_later || (p[off + 3] & 1) != 0;
	/* RFC 8200 4.5: more than the payload length of the datagram can say. */
	if (frag_off + left - TDO_IP6_FRAGLEN > REASSEMBLED_MAX)
		return 0;
	return TDO_IP6_FRAGLEN;
}

/* RFC 8200 4.1.  What is passed over has a length; everything else is the upper layer. */
static bool
is_ext_header(uint8_t nh)
{
	return nh == TDO_IPPROTO_HOPOPTS || nh == TDO_IPPROTO_ROUTING ||
	       nh == TDO_IPPROTO_FRAGMENT || nh == TDO_IPPROTO_DSTOPTS;
}

/* Follows the chain from the fixed header on; sets l4_off, flow.proto and esp_*. */
static enum tdo_reason
walk_ext_headers(const uint8_t *p, struct tdo_ip_info *ret)
{
	size_t off = TDO_IP6_HLEN, hlen;
	uint8_t nh = p[IP6_NH_OFF];
	bool fragment_seen = false;

	for (unsigned n = 0; is_ext_header(nh) && !ret->frag_later; n++) {
		if (n == TDO_EXTHDR_MAX)
			return TDO_REASON_EXT_HEADER;
		/* RFC 8200 4.3: hop-by-hop options stand first or not at all. */
		if (nh == TDO_IPPROTO_HOPOPTS && n != 0)
			return TDO_REASON_EXT_HEADER;
		/* No source fragments a fragment; whoever nests them wants to hide something. */
		if (nh == TDO_IPPROTO_FRAGMENT && fragment_seen)
			return TDO_REASON_EXT_HEADER;
		hlen = ext_header(p, nh, off, ret);
		if (hlen == 0)
			return TDO_REASON_EXT_HEADER;
		fragment_seen |= nh == TDO_IPPROTO_FRAGMENT;
		/*
		 * RFC 4303 3.1.1: ESP stands behind all of these, and so behind destination
		 * options in front of them, but before the ones that follow.
		 */
		if (nh != TDO_IPPROTO_DSTOPTS) {
			ret->nh_off = (uint16_t)off;
			ret->esp_nh = p[off];
			ret->esp_off = (uint16_t)(off + hlen);
		}
		nh = p[off];
		off += hlen;
	}
	ret->flow.proto = nh;
	ret->l4_off = (uint16_t)off;
	return TDO_REASON_NONE;
}

static __attribute__((noinline)) enum tdo_reason
parse_ip6(const uint8_t *p, size_t len, struct tdo_ip_info *ret)
{
	enum tdo_reason why = TDO_REASON_NONE;
	size_t total;

	if (len < TDO_IP6_HLEN)
		return TDO_REASON_SHORT;
	total = TDO_IP6_HLEN + (size_t)tdo_be16(p + 4);
	if (total > len)
		return TDO_REASON_SHORT;
	*ret = (struct tdo_ip_info){
	    .flow = {.src.af = TDO_AF_INET6, .dst.af = TDO_AF_INET6, .proto = p[IP6_NH_OFF]},
	    .total_len = (uint32_t)total,
	    .l4_off = TDO_IP6_HLEN,
	    .esp_off = TDO_IP6_HLEN,
	    .nh_off = IP6_NH_OFF,
	    .esp_nh = p[IP6_NH_OFF],
	    .tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
	    .ttl = p[7],
	};
	memcpy(ret->flow.src.b, p + 8, 16);
	memcpy(ret->flow.dst.b, p + 24, 16);
	if (is_ext_header(ret->flow.proto))
		why = walk_ext_headers(p, ret);
	if (why == TDO_REASON_NONE)
		parse_upper(p, ret, ret->frag, ret->frag_later);
	return why;
}

enum tdo_reason
tdo_ip_parse(const uint8_t *p, size_t len, struct tdo_ip_info *ret)
{
	if (len == 0)
		return TDO_REASON_SHORT;
	switch (p[0] >> 4) {
	case 4:
		return parse_ip4(p, len, ret);
	case 6:
		return parse_ip6(p, len, ret);
	default:
		return TDO_REASON_IP_HEADER;
	}
}

enum tdo_reason
tdo_ip_parse_again(const uint8_t *p, size_t len, uint8_t nh, struct tdo_ip_info *ip)
{
	/* Behind IPv6 there may be further extension headers. */
	if (ip->flow.src.af != TDO_AF_INET || ip->frag || len < ip->l4_off || len > ip->total_len)
		return tdo_ip_parse(p, len, ip);
	ip->total_len = (uint32_t)len;
	ip->flow.proto = nh;
	ip->flow.has_ports = false;
	ip->flow.sport = ip->flow.dport = 0;
	ip->esp_nh = nh;
	parse_upper(p, ip, false, false);
	return TDO_REASON_NONE;
}

static void
build_ip4(uint8_t *p, const struct tdo_ip_hdr *h, uint32_t payload_len)
{
	p[0] = 0x45;
	p[1] = h->tos;
	tdo_put_be16(p + 2, (uint16_t)(TDO_IP4_HLEN + payload_len));
	tdo_put_be16(p + 4, h->id);
	tdo_put_be16(p + 6, h->df ? TDO_IP4_DF : 0);
	p[8] = h->ttl;
	p[IP4_PROTO_OFF] = h->proto;
	memcpy(p + 12, h->src.b, 4);
	memcpy(p + 16, h->dst.b, 4);
	tdo_ip4_set_csum(p);
}

static void
build_ip6(uint8_t *p, const struct tdo_ip_hdr *h, uint32_t payload_len)
{
	tdo_put_be32(p, 6u << 28 | (uint32_t)h->tos << 20 | (h->flow_label & 0xfffff));
	tdo_put_be16(p + 4, (uint16_t)payload_len);
	p[IP6_NH_OFF] = h->proto;
	p[7] = h->ttl;
	memcpy(p + 8, h->src.b, 16);
	memcpy(p + 24, h->dst.b, 16);
}

void
tdo_ip_build(uint8_t *p, const struct tdo_ip_hdr *h, uint32_t payload_len)
{
	if (h->src.af == TDO_AF_INET6)
		build_ip6(p, h, payload_len);
	else
		build_ip4(p, h, payload_len);
}

void
tdo_ip_set_len(uint8_t *p, uint32_t len)
{
	if (p[0] >> 4 == 6) {
		tdo_put_be16(p + 4, (uint16_t)(len - TDO_IP6_HLEN));
		return;
	}
	tdo_put_be16(p + 2, (uint16_t)len);
	tdo_ip4_set_csum(p);
}
