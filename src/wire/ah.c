/* SPDX-License-Identifier: BSD-2-Clause */
/* What AH authenticates of the headers in front of it: see ah.h. */
#include "wire/ah.h"

#include "base/be.h"
#include "wire/ip.h"

/* ---- IPv4 ---- */

enum {
	IP4_DST_OFF = 16,
	OPT_EOL = 0,
	OPT_NOP = 1,
	OPT_SEC = 0x82,
	OPT_LSRR = 0x83,
	OPT_ESEC = 0x85,
	OPT_CIPSO = 0x86,
	OPT_SSRR = 0x89,
	OPT_RTRALT = 0x94,
	OPT_SDMD = 0x95,
};

/* RFC 4302 appendix A1: the options that no router changes. */
static bool
is_immutable(uint8_t type)
{
	switch (type) {
	case OPT_SEC:
	case OPT_ESEC:
	case OPT_CIPSO:
	case OPT_RTRALT:
	case OPT_SDMD:
		return true;
	default:
		return false;
	}
}

/*
 * The destination at the end of the source route in len bytes at opt (RFC 791 3.1): the last
 * address of the route, unless the pointer says that all of them were visited.
 */
static bool
follow_source_route(uint8_t *dst, const uint8_t *opt, size_t len)
{
	enum { TYPE_LEN_POINTER = 3, FIRST = 4 };
	uint8_t pointer;

	if (len < TYPE_LEN_POINTER || (len - TYPE_LEN_POINTER) % 4 != 0)
		return false;
	pointer = opt[2];
	if (pointer < FIRST || pointer % 4 != 0)
		return false;
	if (pointer < len)
		memcpy(dst, opt + len - 4, 4);
	return true;
}

/* Options from p[20] to p[hlen - 1]. */
static enum tdo_reason
cover_ip4_options(uint8_t *p, size_t hlen, bool out)
{
	size_t len;

	for (size_t off = TDO_IP4_HLEN; off < hlen; off += len) {
		uint8_t type = p[off];

		len = 1;
		/* RFC 791 3.1: what follows the end of the list is padding. */
		if (type == OPT_EOL)
			break;
		if (type == OPT_NOP)
			continue;
		if (hlen - off < 2)
			return TDO_REASON_AH_OPTION;
		len = p[off + 1];
		if (len < 2 || len > hlen - off)
			return TDO_REASON_AH_OPTION;
		if (is_immutable(type))
			continue;
		if (out && (type == OPT_LSRR || type == OPT_SSRR) &&
		    !follow_source_route(p + IP4_DST_OFF, p + off, len))
			return TDO_REASON_AH_OPTION;
		/* RFC 4302 3.3.3.1.1.2: the whole option, its type and length too. */
		memset(p + off, 0, len);
	}
	return TDO_REASON_NONE;
}

/* RFC 4302 3.3.3.1.1.1 */
static enum tdo_reason
cover_ip4(uint8_t *p, size_t hdr_len, const struct tdo_ah_rules *r)
{
	if (hdr_len < TDO_IP4_HLEN || (p[0] & 0x0fu) * 4 != hdr_len)
		return TDO_REASON_IP_HEADER;
	if (r->clear_tos)
		p[1] = 0;
	tdo_put_be16(p + 6, tdo_be16(p + 6) & r->off_mask);
	p[8] = 0;
	tdo_put_be16(p + 10, 0);
	return cover_ip4_options(p, hdr_len, r->out);
}

/* ---- IPv6 ---- */

enum {
	IP6_NH_OFF = 6,
	IP6_HLIM_OFF = 7,
	IP6_DST_OFF = 24,
	IP6_ADDR_LEN = 16,
	EXT_UNIT = 8,
	OPT6_PAD1 = 0,
	OPT6_CHANGES = 0x20, /* RFC 8200 4.2: the third-highest bit of the type */
	OPT6_JUMBO = 0xc2,   /* RFC 2675 2 */
	RH_TYPE_0 = 0,
};

/*
 * RFC 4302 3.3.3.1.2.2: hop-by-hop or destination options of len bytes at p.  Type and length
 * are authenticated always, the data of an option that may change are zero.
 */
static enum tdo_reason
cover_ip6_options(uint8_t *p, size_t len)
{
	size_t off = 2;

	while (off < len) {
		size_t data_len;

		if (p[off] == OPT6_PAD1) {
			off++;
			continue;
		}
		if (len - off < 2)
			return TDO_REASON_AH_OPTION;
		data_len = p[off + 1];
		if (data_len > len - off - 2)
			return TDO_REASON_AH_OPTION;
		if (p[off] == OPT6_JUMBO)
			return TDO_REASON_AH_HEADER;
		if (p[off] & OPT6_CHANGES)
			memset(p + off + 2, 0, data_len);
		off += 2 + data_len;
	}
	return TDO_REASON_NONE;
}

/*
 * RFC 4302 appendix A2: a routing header of len bytes at rh, as the last node of the route sees it:
 * each node on the way swaps the destination with the address that is next (RFC 2460 4.4).
 */
static enum tdo_reason
cover_routing(uint8_t *dst, uint8_t *rh, size_t len, bool out)
{
	enum { TYPE_OFF = 2, LEFT_OFF = 3, ADDR_OFF = 8 };
	size_t n = (len - ADDR_OFF) / IP6_ADDR_LEN, left = rh[LEFT_OFF];

	if (rh[TYPE_OFF] != RH_TYPE_0)
		return TDO_REASON_AH_HEADER;
	if ((len - ADDR_OFF) % IP6_ADDR_LEN != 0 || left > n)
		return TDO_REASON_EXT_HEADER;
	if (!out)
		return TDO_REASON_NONE;
	for (size_t i = n - left; i < n; i++) {
		uint8_t *next = rh + ADDR_OFF + i * IP6_ADDR_LEN, swap[IP6_ADDR_LEN];

		memcpy(swap, next, sizeof(swap));
		memcpy(next, dst, sizeof(swap));
		memcpy(dst, swap, sizeof(swap));
	}
	rh[LEFT_OFF] = 0;
	return TDO_REASON_NONE;
}

/* One extension header of len bytes. */
static enum tdo_reason
cover_ext_header(uint8_t *p, uint8_t nh, uint8_t *ext, size_t len, bool out)
{
	switch (nh) {
	case TDO_IPPROTO_HOPOPTS:
	case TDO_IPPROTO_DSTOPTS:
		return cover_ip6_options(ext, len);
	case TDO_IPPROTO_ROUTING:
		return cover_routing(p + IP6_DST_OFF, ext, len, out);
	default:
		return TDO_REASON_AH_HEADER;
	}
}

static enum tdo_reason
cover_ip6(uint8_t *p, size_t hdr_len, const struct tdo_ah_rules *r)
{
	size_t off = TDO_IP6_HLEN, len;
	uint8_t nh;

	if (hdr_len < TDO_IP6_HLEN)
		return TDO_REASON_EXT_HEADER;
	/* RFC 4302 3.3.3.1.2.1: class, flow label and hop limit. */
	tdo_put_be32(p, 6u << 28);
	p[IP6_HLIM_OFF] = 0;
	for (nh = p[IP6_NH_OFF]; off < hdr_len; off += len) {
		enum tdo_reason why;

		if (hdr_len - off < EXT_UNIT)
			return TDO_REASON_EXT_HEADER;
		len = (p[off + 1] + 1u) * EXT_UNIT;
		if (len > hdr_len - off)
			return TDO_REASON_EXT_HEADER;
		why = cover_ext_header(p, nh, p + off, len, r->out);
		if (why != TDO_REASON_NONE)
			return why;
		nh = p[off];
	}
	return nh == TDO_IPPROTO_AH ? TDO_REASON_NONE : TDO_REASON_EXT_HEADER;
}

enum tdo_reason
tdo_ah_cover(uint8_t *p, size_t hdr_len, const struct tdo_ah_rules *r)
{
	if (hdr_len == 0)
		return TDO_REASON_IP_HEADER;
	switch (p[0] >> 4) {
	case 4:
		return cover_ip4(p, hdr_len, r);
	case 6:
		return cover_ip6(p, hdr_len, r);
	default:
		return TDO_REASON_IP_HEADER;
	}
}
