/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragmentation: see frag.h.
 *
 * Both families are cut in the same way: a first header of hlen[0] bytes, later headers of
 * hlen[1] bytes, and payload in multiples of 8 bytes between them, but for the end.
 */
#include "wire/frag.h"

#include "base/be.h"
#include "wire/ip.h"
#include "wire/out.h"

enum {
	IP4_OPTS_MAX = 40,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_COPY = 0x80, /* RFC 791 3.1: the option is copied into all fragments */
};

struct cut {
	uint32_t from;    /* offset of the fragmentable part */
	uint32_t hlen[2]; /* header bytes of the first and of later fragments */
	uint32_t step[2]; /* payload bytes of the first and of later fragments, not the last */
	unsigned count;
};

/* Copies the options for later fragments to ret, padded to 32 bits: their length, or -1. */
static int
copied_options(const uint8_t *opts, uint32_t len, uint8_t ret[IP4_OPTS_MAX])
{
	uint32_t i = 0, n = 0, olen;

	while (i < len && opts[i] != OPT_END) {
		if (opts[i] == OPT_NOP) {
			i++;
			continue;
		}
		olen = len - i >= 2 ? opts[i + 1] : 0;
		if (olen < 2 || olen > len - i)
			return -1;
		if (opts[i] & OPT_COPY) {
			memcpy(ret + n, opts + i, olen);
			n += olen;
		}
		i += olen;
	}
	while (n % 4 != 0)
		ret[n++] = OPT_END;
	return (int)n;
}

/* True when the unfragmentable part of an IPv6 packet has a fragment header already. */
static bool
has_fragment_header(const struct tdo_pkt *p)
{
	const uint8_t *d = tdo_pkt_data(p);
	uint32_t off = TDO_IP6_HLEN;
	uint8_t nh = d[6];

	while (off < p->ip.esp_off && nh != TDO_IPPROTO_FRAGMENT) {
		nh = d[off];
		off += (d[off + 1] + 1u) * 8;
	}
	return off < p->ip.esp_off;
}

static bool
headers(const struct tdo_pkt *p, struct cut *c)
{
	uint8_t opts[IP4_OPTS_MAX];
	int n;

	if (p->ip.flow.src.af == TDO_AF_INET6) {
		/* RFC 8200 4.5: only a source fragments, and once. */
		if (has_fragment_header(p))
			return false;
		c->from = p->ip.esp_off;
		c->hlen[0] = c->hlen[1] = c->from + TDO_IP6_FRAGLEN;
		return true;
	}
	if (p->ip.df)
		return false;
	c->from = c->hlen[0] = p->ip.l4_off;
	n = copied_options(tdo_pkt_data(p) + TDO_IP4_HLEN, c->from - TDO_IP4_HLEN, opts);
	c->hlen[1] = TDO_IP4_HLEN + (uint32_t)n;
	return n >= 0;
}

/* How p, which does not fit, is cut; false when it cannot be. */
static bool
plan(const struct tdo_pkt *p, uint32_t mtu, struct cut *c)
{
	uint32_t left, spare;

	if ((p->flags & TDO_PKT_CSUM_PARTIAL) != 0 || p->ip.total_len > p->len || !headers(p, c))
		return false;
	if (mtu < c->hlen[0] + 8 || mtu < c->hlen[1] + 8)
		return false;
	c->step[0] = (mtu - c->hlen[0]) & ~7u;
	c->step[1] = (mtu - c->hlen[1]) & ~7u;
	/* RFC 7112 5: the first fragment has all headers, the upper layer's included. */
	if (p->ip.flow.src.af == TDO_AF_INET6 && p->ip.l4_off - c->from + 8u > c->step[0])
		return false;
	/* It does not fit, so there is more than the first fragment takes. */
	left = p->ip.total_len - c->from - c->step[0];
	/* The last one need not be a multiple of 8 bytes. */
	spare = mtu - c->hlen[1] - c->step[1];
	c->count = 2;
	if (left > spare)
		c->count = 1 + (left - spare + c->step[1] - 1) / c->step[1];
	return true;
}

unsigned
tdo_frag_count(const struct tdo_pkt *p, uint32_t mtu)
{
	struct cut c;

	if (p->ip.total_len <= mtu)
		return 1;
	return plan(p, mtu, &c) ? c.count : 0;
}

/* Writes the header of an IPv4 fragment: at is its place in p's payload. */
static void
make_ip4(const struct tdo_pkt *p, uint32_t hlen, uint32_t at, bool last, struct tdo_pkt *out)
{
	const uint8_t *src = tdo_pkt_data(p);
	uint8_t *d = tdo_pkt_data(out), opts[IP4_OPTS_MAX];
	uint16_t field = tdo_be16(src + 6);

	memcpy(d, src, at == 0 ? hlen : TDO_IP4_HLEN);
	if (at != 0 && hlen > TDO_IP4_HLEN) {
		(void)copied_options(src + TDO_IP4_HLEN, p->ip.l4_off - TDO_IP4_HLEN, opts);
		memcpy(d + TDO_IP4_HLEN, opts, hlen - TDO_IP4_HLEN);
	}
	d[0] = (uint8_t)(4 << 4 | hlen / 4);
	/* p may be a fragment itself; its own MF then stays for the last piece. */
	field = (uint16_t)(field + at / 8);
	tdo_put_be16(d + 6, last ? field : field | TDO_IP4_MF);
	tdo_ip_set_len(d, out->len);
}

static void
make_ip6(const struct tdo_pkt *p, uint32_t id, uint32_t at, bool last, struct tdo_pkt *out)
{
	uint8_t *d = tdo_pkt_data(out), *fh = d + p->ip.esp_off;

	memcpy(d, tdo_pkt_data(p), p->ip.esp_off);
	d[p->ip.nh_off] = TDO_IPPROTO_FRAGMENT;
	fh[0] = p->ip.esp_nh;
	fh[1] = 0;
	tdo_put_be16(fh + 2, (uint16_t)(at | !last)); /* at is a multiple of 8; bit 0 is M */
	tdo_put_be32(fh + 4, id);
	tdo_ip_set_len(d, out->len);
}

bool
tdo_frag_make(const struct tdo_pkt *p, uint32_t mtu, unsigned i, uint32_t id, struct tdo_pkt *out)
{
	uint32_t at = 0, n, hlen;
	bool last;
	struct cut c;

	if (p->ip.total_len <= mtu) {
		if (i != 0 || p->ip.total_len > p->len ||
		    !tdo_out_begin(out, p->ip.total_len, p->flags))
			return false;
		memcpy(tdo_pkt_data(out), tdo_pkt_data(p), out->len);
		out->ip = p->ip;
		return true;
	}
	if (!plan(p, mtu, &c) || i >= c.count)
		return false;
	last = i + 1 == c.count;
	hlen = c.hlen[i != 0];
	if (i != 0)
		at = c.step[0] + (i - 1) * c.step[1];
	n = last ? p->ip.total_len - c.from - at : c.step[i != 0];
	if (!tdo_out_begin(out, hlen + n, p->flags))
		return false;
	if (p->ip.flow.src.af == TDO_AF_INET6)
		make_ip6(p, id, at, last, out);
	else
		make_ip4(p, hlen, at, last, out);
	memcpy(tdo_pkt_data(out) + hlen, tdo_pkt_data(p) + c.from + at, n);
	return tdo_ip_parse(tdo_pkt_data(out), out->len, &out->ip) == TDO_REASON_NONE;
}
