/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/udp_rx.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"

/* Of <linux/in6.h> and <linux/udp.h>. */
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
enum { GRO = 104 };

#define MSG_CAP  65536u
#define MSGS_MIN 4u
#define AT_ONCE  (256u * 1024) /* bytes that one call should bring: they stay in the cache */
#define CTRL_LEN 192u
#define BURST_MEM                                                                                  \
	(TDO_POOL_COST(TDO_PKT_MAXLEN) + TDO_BURST_MAX * TDO_POOL_COST(2048)) /* and a large one   \
									       */

struct tdo_udp_rx {
	uint8_t af;
	struct tdo_iostat *stat;
	uint8_t *mem;        /* of the messages */
	unsigned want;       /* messages that are asked for */
	unsigned n, next;    /* messages received, and the one that is being cut */
	uint32_t at;         /* ... at this byte */
	struct tdo_pool out; /* packets of a burst */
	struct tdo_udp_msg got[TDO_BURST_MAX];
	struct mmsghdr msg[TDO_BURST_MAX];
	struct iovec iov[TDO_BURST_MAX];
	struct sockaddr_in6 from[TDO_BURST_MAX];
	_Alignas(struct cmsghdr) uint8_t ctrl[TDO_BURST_MAX][CTRL_LEN];
};

/* ---- one message -------------------------------------------------------------------- */

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

/* ---- the socket --------------------------------------------------------------------- */

static void
prepare(struct tdo_udp_rx *rx, unsigned i)
{
	rx->iov[i] = (struct iovec){rx->mem + (size_t)i * MSG_CAP, MSG_CAP};
	rx->msg[i].msg_hdr = (struct msghdr){.msg_name = &rx->from[i],
	    .msg_namelen = sizeof(rx->from[i]),
	    .msg_iov = &rx->iov[i],
	    .msg_iovlen = 1,
	    .msg_control = rx->ctrl[i],
	    .msg_controllen = CTRL_LEN};
}

struct tdo_udp_rx *
tdo_udp_rx_new(uint8_t af, struct tdo_iostat *stat)
{
	struct tdo_udp_rx *rx = calloc(1, sizeof(*rx));

	if (rx == NULL)
		return NULL;
	rx->af = af;
	rx->stat = stat;
	rx->want = TDO_BURST_MAX;
	/* Pages that nothing was received into are not there. */
	rx->mem = malloc((size_t)TDO_BURST_MAX * MSG_CAP);
	if (rx->mem == NULL || tdo_pool_init(&rx->out, BURST_MEM, TDO_BURST_MAX) != 0) {
		tdo_udp_rx_free(rx);
		return NULL;
	}
	for (unsigned i = 0; i < TDO_BURST_MAX; i++)
		prepare(rx, i);
	return rx;
}

void
tdo_udp_rx_free(struct tdo_udp_rx *rx)
{
	if (rx == NULL)
		return;
	tdo_pool_fini(&rx->out);
	free(rx->mem);
	free(rx);
}

/* So many messages of the present size as fill the cache. */
static unsigned
next_want(unsigned got, uint64_t bytes)
{
	uint64_t want = bytes > 0 ? (uint64_t)AT_ONCE * got / bytes : TDO_BURST_MAX;

	return want < MSGS_MIN ? MSGS_MIN : want > TDO_BURST_MAX ? TDO_BURST_MAX : (unsigned)want;
}

void
tdo_udp_rx_recv(struct tdo_udp_rx *rx, int fd, bool *ret_more)
{
	uint64_t bytes = 0, packets = 0;
	int got;

	rx->n = rx->next = 0;
	rx->at = 0;
	got = recvmmsg(fd, rx->msg, rx->want, MSG_DONTWAIT, NULL);
	*ret_more = got == (int)rx->want || (got < 0 && errno != EAGAIN);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		tdo_iostat_bump(&rx->stat->errors, 1);
	if (got <= 0)
		return;
	for (unsigned i = 0; i < (unsigned)got; i++) {
		struct tdo_udp_msg *m = &rx->got[rx->n];
		bool ok = tdo_udp_msg_read(
		    m, &rx->msg[i].msg_hdr, rx->af, rx->iov[i].iov_base, rx->msg[i].msg_len);

		prepare(rx, i);
		if (!ok) {
			tdo_iostat_bump(&rx->stat->errors, 1);
			continue;
		}
		bytes += m->len;
		packets += m->len > m->seg ? (m->len + m->seg - 1) / m->seg : 1;
		rx->n++;
	}
	rx->want = next_want((unsigned)got, bytes);
	tdo_iostat_add(rx->stat, packets, bytes);
}

bool
tdo_udp_rx_left(const struct tdo_udp_rx *rx)
{
	return rx->next < rx->n;
}

unsigned
tdo_udp_rx_burst(struct tdo_udp_rx *rx, struct tdo_pkt **pk)
{
	unsigned n = 0;

	tdo_pool_reset(&rx->out);
	while (n < TDO_BURST_MAX && rx->next < rx->n) {
		const struct tdo_udp_msg *m = &rx->got[rx->next];
		struct tdo_pkt *p = tdo_udp_msg_cut(m, &rx->at, &rx->out);

		if (p != NULL)
			pk[n++] = p;
		else if (rx->at >= m->len)
			tdo_iostat_bump(&rx->stat->errors, 1);
		else
			break; /* the rest has room in an empty pool */
		if (rx->at >= m->len) {
			rx->next++;
			rx->at = 0;
		}
	}
	return n;
}
