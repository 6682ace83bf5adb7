/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cutting super-packets into the packets that would be on the wire.
 *
 * Each segment gets the headers of the super-packet with its own lengths, sequence number
 * and checksums.  A segment depends on its number alone, so they can be made in any order
 * and straight into the buffers that will be encrypted.
 */
#include "base/be.h"
#include "wire/ip.h"
#include "wire/l4.h"
#include "wire/offload.h"
#include "wire/out.h"
#include "wire/udp.h"

/* How a super-packet is cut. */
struct cut {
	uint32_t l4;      /* offset of the TCP or UDP header */
	uint32_t hlen;    /* bytes of all headers */
	uint32_t payload; /* bytes behind them */
	uint32_t size;    /* payload bytes of all segments but the last */
	uint32_t csum;    /* offset of the upper-layer checksum */
	unsigned count;
};

bool
tdo_csum_complete(struct tdo_pkt *p)
{
	uint8_t *start, *field;
	uint16_t csum;

	if ((p->flags & TDO_PKT_CSUM_PARTIAL) == 0)
		return true;
	if (p->csum_start > p->len || p->csum_off + 2u > p->len - p->csum_start)
		return false;
	start = tdo_pkt_data(p) + p->csum_start;
	field = start + p->csum_off;
	csum = tdo_csum_fold(tdo_csum_add(0, start, p->len - p->csum_start));
	/* RFC 768: zero would mean "no checksum"; for TCP both mean the same. */
	tdo_put_be16(field, csum != 0 ? csum : 0xffff);
	p->flags &= (uint8_t)~TDO_PKT_CSUM_PARTIAL;
	return true;
}

/*
 * Behind a routing header the pseudo header has another destination than the IP header
 * (RFC 8200 8.1); then only the partial checksum tells its sum.
 */
static bool
pseudo_is_known(const struct tdo_pkt *p, const struct cut *c)
{
	if (p->ip.flow.src.af == TDO_AF_INET || p->ip.esp_off == TDO_IP6_HLEN)
		return true;
	return (p->flags & TDO_PKT_CSUM_PARTIAL) != 0 && p->csum_start == c->l4 &&
	       p->csum_start + p->csum_off == c->csum;
}

/* Length of the TCP or UDP header at l4, 0 when it is not what p->gso says. */
static uint32_t
l4_hlen(const struct tdo_pkt *p, uint32_t l4)
{
	uint32_t left = p->ip.total_len - l4, hlen;

	if (p->gso == TDO_GSO_UDP)
		return p->ip.flow.proto == TDO_IPPROTO_UDP && left >= TDO_UDP_HLEN ? TDO_UDP_HLEN
										   : 0;
	if (p->gso != TDO_GSO_TCP || p->ip.flow.proto != TDO_IPPROTO_TCP || left < TCP_HLEN)
		return 0;
	hlen = tcp_hlen(tdo_pkt_data(p) + l4);
	return hlen >= TCP_HLEN && hlen <= left ? hlen : 0;
}

/* Fills in how p is cut into segments of mss bytes; false when its description is wrong. */
static bool
plan(const struct tdo_pkt *p, uint16_t mss, struct cut *c)
{
	uint32_t hlen;

	if (p->gso_size == 0 || mss == 0 || p->ip.frag || p->ip.total_len > p->len ||
	    p->ip.l4_off > p->ip.total_len)
		return false;
	/* Datagrams have borders that the receiver sees. */
	if (p->gso == TDO_GSO_UDP && mss < p->gso_size)
		return false;
	c->l4 = p->ip.l4_off;
	hlen = l4_hlen(p, c->l4);
	if (hlen == 0)
		return false;
	c->csum = c->l4 + (p->gso == TDO_GSO_UDP ? TDO_UDP_CSUM_OFF : TCP_CSUM_OFF);
	c->hlen = c->l4 + hlen;
	c->payload = p->ip.total_len - c->hlen;
	c->size = mss < p->gso_size ? mss : p->gso_size;
	c->count = c->payload > 0 ? (c->payload + c->size - 1) / c->size : 1;
	return pseudo_is_known(p, c);
}

unsigned
tdo_gso_count_mss(const struct tdo_pkt *p, uint16_t mss)
{
	struct cut c;

	return plan(p, mss, &c) ? c.count : 0;
}

unsigned
tdo_gso_count(const struct tdo_pkt *p)
{
	return tdo_gso_count_mss(p, p->gso_size);
}

/* Sum of the pseudo header for a segment with l4_len bytes from the TCP or UDP header on. */
static uint32_t
pseudo(const struct tdo_pkt *p, const struct cut *c, uint32_t l4_len)
{
	const struct tdo_flow *f = &p->ip.flow;
	uint32_t whole = p->ip.total_len - c->l4;

	if (f->src.af == TDO_AF_INET || p->ip.esp_off == TDO_IP6_HLEN)
		return tdo_csum_pseudo(&f->src, &f->dst, f->proto, l4_len);
	/* RFC 1624 3: the length of the super-packet out, that of the segment in. */
	whole = (whole & 0xffff) + (whole >> 16);
	return tdo_be16(tdo_pkt_data(p) + c->csum) + (0xffff - whole) + l4_len;
}

static void
adapt_tcp(uint8_t *tcp, uint32_t skipped, bool first, bool last)
{
	tdo_put_be32(tcp + TCP_SEQ_OFF, tdo_be32(tcp + TCP_SEQ_OFF) + skipped);
	if (!last)
		tcp[TCP_FLAGS_OFF] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	/* RFC 3168 6.1.2: CWR says once that the window was reduced. */
	if (!first)
		tcp[TCP_FLAGS_OFF] &= (uint8_t)~TCP_CWR;
}

bool
tdo_gso_segment(const struct tdo_pkt *p, unsigned i, uint16_t mss, struct tdo_pkt *out)
{
	const uint8_t *src = tdo_pkt_data(p);
	uint32_t skipped, n, sum;
	uint16_t csum;
	struct cut c;
	uint8_t *d;

	if (!plan(p, mss, &c) || i >= c.count)
		return false;
	skipped = i * c.size;
	n = i + 1 < c.count ? c.size : c.payload - skipped;
	if (!tdo_out_begin(out, c.hlen + n, p->flags))
		return false;
	d = tdo_pkt_data(out);
	memcpy(d, src, c.hlen);
	if (p->gso == TDO_GSO_TCP)
		adapt_tcp(d + c.l4, skipped, i == 0, i + 1 == c.count);
	else
		tdo_put_be16(d + c.l4 + TDO_UDP_LEN_OFF, (uint16_t)(TDO_UDP_HLEN + n));
	tdo_put_be16(d + c.csum, 0);
	sum = pseudo(p, &c, c.hlen - c.l4 + n);
	sum = tdo_csum_add(sum, d + c.l4, c.hlen - c.l4);
	sum = tdo_csum_copy(sum, d + c.hlen, src + c.hlen + skipped, n);
	csum = tdo_csum_fold(sum);
	tdo_put_be16(d + c.csum, csum != 0 ? csum : 0xffff);
	if (d[0] >> 4 == 4)
		tdo_put_be16(d + 4, (uint16_t)(tdo_be16(d + 4) + i));
	tdo_ip_set_len(d, out->len);
	out->ip = p->ip;
	out->ip.total_len = out->len;
	return true;
}
