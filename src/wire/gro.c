/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joining packets of one flow, the inverse of gso.c: what is joined here, cut there, gives
 * the same packets.
 *
 * A joined packet leaves with a partial checksum, which its receiver takes for verified.
 * So every packet's checksum is verified first: one that was wrong stays a packet of its
 * own, with its wrong checksum.
 *
 * While packets are being joined only the payload, p->len and p->ip.total_len grow; the
 * length fields and checksums of the headers follow in tdo_gro_finish().
 */
#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"
#include "wire/l4.h"
#include "wire/offload.h"
#include "wire/udp.h"

/* What the kernel joins at most, and what all its versions accept (UDP_MAX_SEGMENTS). */
enum { UDP_SEGMENTS_MAX = 64 };

/* The upper layer of a packet. */
struct l4 {
	const uint8_t *hdr;
	uint32_t hlen;    /* bytes of its header */
	uint32_t payload; /* bytes behind it */
};

/* Finds a TCP or UDP header right behind a plain IP header; false for all else. */
static bool
find_l4(const struct tdo_pkt *p, struct l4 *ret)
{
	const struct tdo_ip_info *ip = &p->ip;
	uint32_t left;

	if (ip->frag || ip->total_len > p->len || ip->l4_off != tdo_ip_hlen(ip->flow.src.af) ||
	    ip->l4_off > ip->total_len)
		return false;
	left = ip->total_len - ip->l4_off;
	ret->hdr = tdo_pkt_data(p) + ip->l4_off;
	if (ip->flow.proto == TDO_IPPROTO_UDP)
		ret->hlen = TDO_UDP_HLEN;
	else if (ip->flow.proto == TDO_IPPROTO_TCP && left >= TCP_HLEN)
		ret->hlen = tcp_hlen(ret->hdr);
	else
		return false;
	/* A packet without payload is not joined. */
	if (ret->hlen < TDO_UDP_HLEN || ret->hlen >= left)
		return false;
	ret->payload = left - ret->hlen;
	return true;
}

/* The IP headers differ in length, checksum and IPv4 id only, and the ids count up. */
static bool
same_ip(const struct tdo_pkt *head, const struct tdo_pkt *next, uint32_t joined)
{
	const uint8_t *a = tdo_pkt_data(head), *b = tdo_pkt_data(next);

	if (head->ip.flow.src.af != next->ip.flow.src.af)
		return false;
	if (head->ip.flow.src.af == TDO_AF_INET6)
		return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, TDO_IP6_HLEN - 6) == 0;
	if (a[0] != b[0] || a[1] != b[1] || memcmp(a + 6, b + 6, 4) != 0 ||
	    memcmp(a + 12, b + 12, 8) != 0)
		return false;
	/* RFC 6864 4.1: the id of a packet with DF means nothing. */
	return head->ip.df || (uint16_t)(tdo_be16(a + 4) + joined) == tdo_be16(b + 4);
}

static bool
tcp_follows(const struct l4 *h, const struct l4 *n)
{
	uint8_t flags = n->hdr[TCP_FLAGS_OFF];

	/* PSH ends a super-packet: gso.c puts it on the last segment. */
	if (h->hdr[TCP_FLAGS_OFF] != TCP_ACK || (flags & ~TCP_PSH) != TCP_ACK)
		return false;
	if (tdo_be32(h->hdr + TCP_SEQ_OFF) + h->payload != tdo_be32(n->hdr + TCP_SEQ_OFF))
		return false;
	/* Ports; acknowledgement, data offset; window; urgent pointer, options. */
	return h->hlen == n->hlen && memcmp(h->hdr, n->hdr, 4) == 0 &&
	       memcmp(h->hdr + 8, n->hdr + 8, 5) == 0 &&
	       memcmp(h->hdr + TCP_WINDOW_OFF, n->hdr + TCP_WINDOW_OFF, 2) == 0 &&
	       memcmp(h->hdr + 18, n->hdr + 18, h->hlen - 18) == 0;
}

/* joined: datagrams in head. */
static bool
udp_follows(const struct l4 *h, const struct l4 *n, uint32_t joined)
{
	/* A datagram without checksum must not get one, nor one whose length is not the packet's.
	 */
	if (tdo_be16(n->hdr + TDO_UDP_CSUM_OFF) == 0 ||
	    tdo_be16(n->hdr + TDO_UDP_LEN_OFF) != TDO_UDP_HLEN + n->payload)
		return false;
	if (joined == 1 && (tdo_be16(h->hdr + TDO_UDP_CSUM_OFF) == 0 ||
			       tdo_be16(h->hdr + TDO_UDP_LEN_OFF) != TDO_UDP_HLEN + h->payload))
		return false;
	return joined < UDP_SEGMENTS_MAX && memcmp(h->hdr, n->hdr, 4) == 0;
}

/* tdo_gro_finish() makes a new checksum for the IPv4 header, so the old one must be right. */
static bool
ip_header_ok(const struct tdo_pkt *p)
{
	return p->ip.flow.src.af == TDO_AF_INET6 ||
	       tdo_csum_fold(tdo_csum_add(0, tdo_pkt_data(p), TDO_IP4_HLEN)) == 0;
}

/* Sum of pseudo header and upper-layer header. */
static uint32_t
header_sum(const struct tdo_pkt *p, const struct l4 *l)
{
	uint32_t sum;

	sum = tdo_csum_pseudo(
	    &p->ip.flow.src, &p->ip.flow.dst, p->ip.flow.proto, l->hlen + l->payload);
	return tdo_csum_add(sum, l->hdr, l->hlen);
}

static bool
checksums_ok(const struct tdo_pkt *p, const struct l4 *l)
{
	uint32_t sum = tdo_csum_add(header_sum(p, l), l->hdr + l->hlen, l->payload);

	return ip_header_ok(p) && tdo_csum_fold(sum) == 0;
}

/* True when next continues head, but for the checksums; size: of head's segments. */
static bool
follows(const struct tdo_pkt *head, const struct l4 *h, const struct tdo_pkt *next,
    const struct l4 *n, uint32_t size)
{
	uint32_t joined = h->payload / size;

	/* A short segment is the last. */
	if (h->payload % size != 0 || n->payload > size || !same_ip(head, next, joined))
		return false;
	if (head->ip.flow.proto == TDO_IPPROTO_TCP)
		return tcp_follows(h, n);
	return udp_follows(h, n, joined);
}

bool
tdo_gro_join(struct tdo_pkt *head, const struct tdo_pkt *next)
{
	bool first = head->gso == TDO_GSO_NONE;
	uint32_t size, sum, end = head->off + head->ip.total_len;
	struct l4 h, n;

	if (((head->flags | next->flags) & TDO_PKT_CSUM_PARTIAL) != 0 ||
	    next->gso != TDO_GSO_NONE || head->ip.flow.proto != next->ip.flow.proto ||
	    !find_l4(head, &h) || !find_l4(next, &n))
		return false;
	size = first ? h.payload : head->gso_size;
	if (size == 0 || !follows(head, &h, next, &n, size))
		return false;
	/* What IPComp carried may be longer: the length of IPv6 does not count its header. */
	if (head->ip.total_len > TDO_PKT_MAXLEN ||
	    n.payload > TDO_PKT_MAXLEN - head->ip.total_len || n.payload > head->cap - end)
		return false;
	if (first && !checksums_ok(head, &h))
		return false;
	if (!ip_header_ok(next))
		return false;
	/* Summed while it is copied; a wrong one was copied behind the end, where nothing is. */
	sum = tdo_csum_copy(header_sum(next, &n), head->buf + end, n.hdr + n.hlen, n.payload);
	if (tdo_csum_fold(sum) != 0)
		return false;
	if (head->ip.flow.proto == TDO_IPPROTO_TCP)
		tdo_pkt_data(head)[head->ip.l4_off + TCP_FLAGS_OFF] |= n.hdr[TCP_FLAGS_OFF];
	head->gso = head->ip.flow.proto == TDO_IPPROTO_TCP ? TDO_GSO_TCP : TDO_GSO_UDP;
	head->gso_size = (uint16_t)size;
	head->ip.total_len += n.payload;
	head->len = head->ip.total_len;
	return true;
}

void
tdo_gro_finish(struct tdo_pkt *head)
{
	const struct tdo_flow *f = &head->ip.flow;
	uint32_t l4_len = head->ip.total_len - head->ip.l4_off;
	uint8_t *d = tdo_pkt_data(head), *l4 = d + head->ip.l4_off;

	if (head->gso == TDO_GSO_NONE || (head->flags & TDO_PKT_CSUM_PARTIAL) != 0)
		return;
	tdo_ip_set_len(d, head->ip.total_len);
	if (head->gso == TDO_GSO_UDP)
		tdo_put_be16(l4 + TDO_UDP_LEN_OFF, (uint16_t)l4_len);
	head->csum_start = head->ip.l4_off;
	head->csum_off = head->gso == TDO_GSO_UDP ? TDO_UDP_CSUM_OFF : TCP_CSUM_OFF;
	tdo_put_be16(l4 + head->csum_off,
	    (uint16_t)~tdo_csum_fold(tdo_csum_pseudo(&f->src, &f->dst, f->proto, l4_len)));
	head->flags |= TDO_PKT_CSUM_PARTIAL;
}
