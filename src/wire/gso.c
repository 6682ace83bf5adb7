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
pseudo_is_known(const struct tdo_pkt *p, const struct tdo_gso_cut *c)
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
plan(const struct tdo_pkt *p, uint16_t mss, struct tdo_gso_cut *c)
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

/* Sum of an IPv4 header without what differs between segments: length, id, checksum. */
static uint32_t
ip4_constant(const uint8_t *ip)
{
	uint32_t sum = tdo_csum_add(tdo_be16(ip), ip + 6, 4);

	return tdo_csum_add(sum, ip + 12, (ip[0] & 15u) * 4 - 12);
}

/*
 * Sum of the pseudo header and the upper-layer header without what differs between segments: the
 * lengths; of TCP the sequence number and the word with the flags.
 */
static uint32_t
l4_constant(const struct tdo_pkt *p, const struct tdo_gso_cut *c)
{
	const struct tdo_flow *f = &p->ip.flow;
	const uint8_t *l4 = tdo_pkt_data(p) + c->l4;
	uint32_t whole = p->ip.total_len - c->l4, sum;

	if (f->src.af == TDO_AF_INET || p->ip.esp_off == TDO_IP6_HLEN) {
		sum = tdo_csum_pseudo(&f->src, &f->dst, f->proto, 0);
	} else {
		/* RFC 1624 3: the length of the super-packet out. */
		whole = (whole & 0xffff) + (whole >> 16);
		sum = tdo_be16(tdo_pkt_data(p) + c->csum) + (0xffff - whole);
	}
	sum = tdo_csum_add(sum, l4, 4); /* ports */
	if (p->gso == TDO_GSO_UDP)
		return sum;
	sum = tdo_csum_add(sum, l4 + TCP_ACK_OFF, 4) + tdo_be16(l4 + TCP_WINDOW_OFF);
	return tdo_csum_add(sum, l4 + TCP_CSUM_OFF + 2, c->hlen - c->l4 - TCP_CSUM_OFF - 2);
}

unsigned
tdo_gso_plan(const struct tdo_pkt *p, uint16_t mss, struct tdo_gso_cut *ret)
{
	struct tdo_gso_cut c = {.p = p};

	if (!plan(p, mss, &c))
		return 0;
	c.l4_sum = l4_constant(p, &c);
	if (p->ip.flow.src.af == TDO_AF_INET)
		c.ip_sum = ip4_constant(tdo_pkt_data(p));
	*ret = c;
	return c.count;
}

unsigned
tdo_gso_longer(struct tdo_gso_cut *c, uint32_t first)
{
	uint32_t left;

	if (first > c->p->gso_size)
		first = c->p->gso_size;
	if (first > c->payload)
		first = c->payload;
	if (first <= c->size)
		return c->count;
	left = c->payload - first;
	c->extra = first - c->size;
	c->count = 1 + (left + c->size - 1) / c->size;
	return c->count;
}

unsigned
tdo_gso_count_mss(const struct tdo_pkt *p, uint16_t mss)
{
	struct tdo_gso_cut c;

	return tdo_gso_plan(p, mss, &c);
}

unsigned
tdo_gso_count(const struct tdo_pkt *p)
{
	return tdo_gso_count_mss(p, p->gso_size);
}

/*
 * Adapts the TCP header; returns the sum of what differs.  Old fields are read from the
 * super-packet's header: what was just stored, and in larger pieces, loads slowly.
 */
static uint32_t
adapt_tcp(uint8_t *tcp, const uint8_t *old, uint32_t skipped, bool first, bool last)
{
	uint32_t seq = tdo_be32(old + TCP_SEQ_OFF) + skipped;
	uint8_t flags = old[TCP_FLAGS_OFF];

	if (!last)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	/* RFC 3168 6.1.2: CWR says once that the window was reduced. */
	if (!first)
		flags &= (uint8_t)~TCP_CWR;
	tdo_put_be32(tcp + TCP_SEQ_OFF, seq);
	tcp[TCP_FLAGS_OFF] = flags;
	return (seq >> 16) + (seq & 0xffff) + (uint32_t)(old[TCP_DATA_OFF] << 8 | flags);
}

static void
adapt_ip(const struct tdo_gso_cut *c, uint8_t *ip, unsigned i, uint32_t len)
{
	uint16_t id;

	if (c->p->ip.flow.src.af == TDO_AF_INET6) {
		tdo_put_be16(ip + 4, (uint16_t)(len - TDO_IP6_HLEN));
		return;
	}
	id = (uint16_t)(tdo_be16(tdo_pkt_data(c->p) + 4) + i);
	tdo_put_be16(ip + 2, (uint16_t)len);
	tdo_put_be16(ip + 4, id);
	tdo_put_be16(ip + 10, tdo_csum_fold(c->ip_sum + len + id));
}

bool
tdo_gso_make(const struct tdo_gso_cut *c, unsigned i, struct tdo_pkt *out)
{
	const struct tdo_pkt *p = c->p;
	const uint8_t *src = tdo_pkt_data(p);
	uint32_t skipped, n, sum, l4_len;
	uint16_t csum;
	uint8_t *d;

	if (i >= c->count)
		return false;
	skipped = i * c->size + (i > 0 ? c->extra : 0);
	n = i + 1 == c->count ? c->payload - skipped : c->size + (i == 0 ? c->extra : 0);
	if (!tdo_out_begin(out, c->hlen + n, p->flags))
		return false;
	d = tdo_pkt_data(out);
	memcpy(d, src, c->hlen);
	l4_len = c->hlen - c->l4 + n;
	sum = c->l4_sum + l4_len; /* below 2^16: a segment has at most the length of its packet */
	if (p->gso == TDO_GSO_TCP) {
		sum += adapt_tcp(d + c->l4, src + c->l4, skipped, i == 0, i + 1 == c->count);
	} else {
		tdo_put_be16(d + c->l4 + TDO_UDP_LEN_OFF, (uint16_t)l4_len);
		sum += l4_len;
	}
	csum = tdo_csum_fold(tdo_csum_copy(sum, d + c->hlen, src + c->hlen + skipped, n));
	tdo_put_be16(d + c->csum, csum != 0 ? csum : 0xffff);
	adapt_ip(c, d, i, out->len);
	out->ip = p->ip;
	out->ip.total_len = out->len;
	return true;
}

bool
tdo_gso_segment(const struct tdo_pkt *p, unsigned i, uint16_t mss, struct tdo_pkt *out)
{
	struct tdo_gso_cut c;

	return tdo_gso_plan(p, mss, &c) > 0 && tdo_gso_make(&c, i, out);
}
