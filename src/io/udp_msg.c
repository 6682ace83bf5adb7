/* SPDX-License-Identifier: BSD-2-Clause */
/* One message of a UDP socket: what the kernel says about it, and the packets that it was. */
#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "io/udp_rx.h"
#include "wire/udp.h"

/* Of <linux/in6.h> and <linux/udp.h>. */
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
enum { GRO = 104 };

static bool
read_address(const void *p, size_t len, uint8_t af, struct tdo_addr *ret, uint16_t *ret_port)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (af == TDO_AF_INET && len >= sizeof(in)) {
		memcpy(&in, p, sizeof(in));
		*ret = tdo_addr_make(af, (const uint8_t *)&in.sin_addr);
		*ret_port = ntohs(in.sin_port);
		return in.sin_family == AF_INET;
	}
	if (af == TDO_AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, p, sizeof(in6));
		*ret = tdo_addr_make(af, in6.sin6_addr.s6_addr);
		*ret_port = ntohs(in6.sin6_port);
		return in6.sin6_family == AF_INET6;
	}
	return false;
}

/* An octet, or an int that has one. */
static void
read_octet(const uint8_t *p, size_t len, uint8_t *ret)
{
	int v;

	if (len >= sizeof(v)) {
		memcpy(&v, p, sizeof(v));
		*ret = (uint8_t)v;
	} else if (len >= 1) {
		*ret = p[0];
	}
}

/* Returns true when it was the destination. */
static bool
read_field(struct tdo_udp_msg *m, uint8_t af, const struct cmsghdr *c, size_t len)
{
	int level = af == TDO_AF_INET ? IPPROTO_IP : IPPROTO_IPV6, seg;
	const uint8_t *p = CMSG_DATA(c);

	if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == GRO && len >= sizeof(seg)) {
		memcpy(&seg, p, sizeof(seg));
		if (seg > 0 && (uint32_t)seg < m->len)
			m->seg = (uint32_t)seg;
	}
	if (c->cmsg_level != level)
		return false;
	if (c->cmsg_type == (af == TDO_AF_INET ? IP_TOS : IPV6_TCLASS))
		read_octet(p, len, &m->h.tos);
	else if (c->cmsg_type == (af == TDO_AF_INET ? IP_TTL : IPV6_HOPLIMIT))
		read_octet(p, len, &m->h.ttl);
	else if (c->cmsg_type == (af == TDO_AF_INET ? IP_RECVORIGDSTADDR : IPV6_RECVORIGDSTADDR))
		return read_address(p, len, af, &m->h.dst, &m->dport);
	return false;
}

/* The headers in front of payload bytes, which make no more than an IP packet. */
static void
put_headers(const struct tdo_udp_msg *m, uint8_t *ip, uint32_t payload)
{
	uint8_t *udp = ip + tdo_ip_hlen(m->h.src.af);

	tdo_ip_build(ip, &m->h, TDO_UDP_HLEN + payload);
	tdo_put_be16(udp + TDO_UDP_SPORT_OFF, m->sport);
	tdo_put_be16(udp + TDO_UDP_DPORT_OFF, m->dport);
	tdo_put_be16(udp + TDO_UDP_LEN_OFF, (uint16_t)(TDO_UDP_HLEN + payload));
	tdo_put_be16(udp + TDO_UDP_CSUM_OFF, 0); /* the kernel has checked it */
}

bool
tdo_udp_msg_read(
    struct tdo_udp_msg *ret, struct msghdr *m, uint8_t af, const uint8_t *data, uint32_t len)
{
	struct tdo_udp_msg r = {.data = data, .len = len, .seg = len};
	bool to = false;

	/* What a host of today sends in UDP (RFC 6864 4.1: with DF the identification means
	 * nothing). */
	r.h = (struct tdo_ip_hdr){.proto = TDO_IPPROTO_UDP, .ttl = 64, .df = true};
	if ((m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    !read_address(m->msg_name, m->msg_namelen, af, &r.h.src, &r.sport))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t left =
		    m->msg_controllen - (size_t)((uint8_t *)c - (uint8_t *)m->msg_control);

		if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > left)
			return false;
		to |= read_field(&r, af, c, c->cmsg_len - CMSG_LEN(0));
	}
	if (to && tdo_ip_hlen(af) + TDO_UDP_HLEN + r.seg <= TDO_PKT_MAXLEN)
		put_headers(&r, r.head, r.seg);
	*ret = r;
	return to;
}

struct tdo_pkt *
tdo_udp_msg_cut(const struct tdo_udp_msg *m, uint32_t *at, struct tdo_pool *pool)
{
	uint32_t left = m->len - *at, payload = left < m->seg ? left : m->seg;
	uint32_t hlen = tdo_ip_hlen(m->h.src.af) + TDO_UDP_HLEN;
	struct tdo_pkt *p;
	uint8_t *ip;

	if (hlen + payload > TDO_PKT_MAXLEN) {
		*at = m->len;
		return NULL;
	}
	p = tdo_pool_take(pool, hlen + payload);
	if (p == NULL)
		return NULL;
	p->len = hlen + payload;
	p->flags = TDO_PKT_UDP_ENCAP;
	ip = tdo_pkt_data(p);
	/* Copied whole: what is stored in parts loads slowly, and it is read at once. */
	if (payload != m->seg)
		put_headers(m, ip, payload);
	else if (m->h.src.af == TDO_AF_INET)
		memcpy(ip, m->head, TDO_IP4_HLEN + TDO_UDP_HLEN);
	else
		memcpy(ip, m->head, TDO_IP6_HLEN + TDO_UDP_HLEN);
	memcpy(ip + hlen, m->data + *at, payload);
	*at += payload;
	return p;
}
