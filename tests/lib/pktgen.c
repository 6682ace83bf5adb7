/* SPDX-License-Identifier: BSD-2-Clause */
/* See pktgen.h.  Deliberately simple: this is what the code under test is compared with. */
#include "pktgen.h"

#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "wire/ip.h"

uint16_t
pktgen_csum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i < len; i++) {
		s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		s = (s & 0xffff) + (s >> 16);
	}
	return (uint16_t)~s;
}

/* The checksum of an upper layer with its pseudo header, laid out as the RFCs draw it. */
static uint16_t
upper_csum(const uint8_t *ip, uint8_t proto, const uint8_t *l4, uint32_t len)
{
	bool v6 = ip[0] >> 4 == 6;
	uint32_t alen = v6 ? 16 : 4;
	uint8_t *b = calloc(1, 40 + (size_t)len);
	uint16_t csum;

	if (!b)
		abort();
	memcpy(b, ip + (v6 ? 8 : 12), 2 * (size_t)alen);
	tdo_put_be32(b + 2 * alen, len);
	b[2 * alen + 7] = proto;
	memcpy(b + 2 * alen + 8, l4, len);
	csum = pktgen_csum(b, 2 * alen + 8 + len);
	free(b);
	return csum;
}

struct tdo_pkt *
pktgen_empty(uint32_t cap)
{
	struct tdo_pkt *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->cap = TDO_HEADROOM + cap;
	p->off = TDO_HEADROOM;
	p->buf = malloc(p->cap);
	if (!p->buf)
		abort();
	memset(p->buf, 0xee, p->cap);
	return p;
}

struct tdo_pkt *
pktgen_exact(const uint8_t *data, uint32_t len)
{
	struct tdo_pkt *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->cap = p->len = len;
	p->buf = malloc(len > 0 ? len : 1);
	if (!p->buf)
		abort();
	if (len > 0)
		memcpy(p->buf, data, len);
	p->reason = (uint16_t)tdo_ip_parse(p->buf, len, &p->ip);
	return p;
}

void
pktgen_free(struct tdo_pkt *p)
{
	free(p->buf);
	free(p);
}

static void
fill_ip(uint8_t *d, const struct pktgen *g, uint32_t l4_len)
{
	static const uint8_t net6[8] = {0x20, 1, 0x0d, 0xb8};

	if (g->v6) {
		memset(d, 0, TDO_IP6_HLEN);
		tdo_put_be32(d, 0x60012345);
		tdo_put_be16(d + 4, (uint16_t)l4_len);
		d[6] = g->proto;
		d[7] = 61;
		memcpy(d + 8, net6, 8);
		memcpy(d + 24, net6, 8);
		d[23] = 1;
		d[39] = 2;
		return;
	}
	memset(d, 0, TDO_IP4_HLEN);
	d[0] = 0x45;
	tdo_put_be16(d + 2, (uint16_t)(TDO_IP4_HLEN + l4_len));
	tdo_put_be16(d + 4, g->id);
	tdo_put_be16(d + 6, g->df ? 0x4000 : 0);
	d[8] = 61;
	d[9] = g->proto;
	tdo_put_be32(d + 12, 0xc0000201);
	tdo_put_be32(d + 16, 0xc6336402);
	tdo_put_be16(d + 10, pktgen_csum(d, TDO_IP4_HLEN));
}

struct tdo_pkt *
pktgen_new(const struct pktgen *g, uint32_t room)
{
	bool tcp = g->proto == TDO_IPPROTO_TCP;
	uint32_t hlen = tcp ? 20 + g->opt_len : 8, l4_len = hlen + g->payload;
	uint32_t ip_len = g->v6 ? 40 : 20, csum_at = tcp ? 16 : 6;
	struct tdo_pkt *p = pktgen_empty(ip_len + l4_len + room);
	uint8_t *d = tdo_pkt_data(p), *l4 = d + ip_len;
	uint16_t csum;

	p->len = ip_len + l4_len;
	fill_ip(d, g, l4_len);
	memset(l4, 0, hlen);
	tdo_put_be16(l4, 1234);
	tdo_put_be16(l4 + 2, 80);
	if (tcp) {
		tdo_put_be32(l4 + 4, g->seq);
		tdo_put_be32(l4 + 8, 77);
		l4[12] = (uint8_t)(hlen / 4 << 4);
		l4[13] = g->tcp_flags ? g->tcp_flags : 0x10;
		tdo_put_be16(l4 + 14, 5000);
		if (g->opt_len > 0)
			memcpy(l4 + 20, g->opt, g->opt_len);
	} else {
		tdo_put_be16(l4 + 4, (uint16_t)l4_len);
	}
	for (uint32_t i = 0; i < g->payload; i++)
		l4[hlen + i] = (uint8_t)((g->pattern + i) * 2654435761u >> 24);
	csum = upper_csum(d, g->proto, l4, l4_len);
	tdo_put_be16(l4 + csum_at, csum != 0 ? csum : 0xffff);
	if (tdo_ip_parse(d, p->len, &p->ip) != TDO_REASON_NONE)
		abort();
	return p;
}

bool
pktgen_csums_ok(const struct tdo_pkt *p)
{
	const uint8_t *d = tdo_pkt_data(p), *l4;
	bool v6 = d[0] >> 4 == 6;
	uint32_t hlen = v6 ? 40 : (d[0] & 15u) * 4;

	if (!v6 && pktgen_csum(d, hlen) != 0)
		return false;
	l4 = d + hlen;
	if (!v6 && d[9] == TDO_IPPROTO_ICMP)
		return pktgen_csum(l4, p->len - hlen) == 0;
	return upper_csum(d, v6 ? d[6] : d[9], l4, p->len - hlen) == 0;
}
