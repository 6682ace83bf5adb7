/* SPDX-License-Identifier: BSD-2-Clause */
/* Super-packets of ESP in UDP. */
#include "io/udp_tx.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define SEND_WAIT_MS   5
#define UNABLE_MAX     16u /* destinations that are remembered */
#define IP4_NO_OPTIONS 0x45
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11 /* linux/in6.h */
#endif
#define IP6_FLOW_MASK 0x000fffffu

/* Room for source address, class, hop limit, flow label and segment size. */
#define CTRL_LEN                                                                                   \
	(CMSG_SPACE(sizeof(struct in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int)) +                    \
	    CMSG_SPACE(sizeof(uint16_t)))

union destination {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* A destination to which the kernel did not take super-packets. */
struct unable {
	struct tdo_addr dst;
	tdo_ns until;
};

struct tdo_udp_tx {
	uint8_t af;
	uint32_t hlen; /* IP and UDP header */
	struct tdo_udp_tx_conf conf;
	tdo_ns now;
	/* The row that may go on. */
	unsigned n;
	uint32_t size, bytes; /* of the first packet's UDP payload; of all of them */
	bool ended;           /* the last one was shorter */
	struct tdo_pkt *pkt[TDO_UDP_RUN_MAX];
	struct iovec iov[TDO_UDP_RUN_MAX];

	struct unable unable[UNABLE_MAX];
	unsigned next_unable;
};

struct tdo_udp_tx *
tdo_udp_tx_new(uint8_t af, const struct tdo_udp_tx_conf *conf)
{
	struct tdo_udp_tx *tx = calloc(1, sizeof(*tx));

	if (tx == NULL)
		return NULL;
	tx->af = af;
	tx->hlen = tdo_ip_hlen(af) + TDO_UDP_HLEN;
	tx->conf = *conf;
	return tx;
}

void
tdo_udp_tx_free(struct tdo_udp_tx *tx)
{
	free(tx);
}

unsigned
tdo_udp_waiting(const struct tdo_udp_tx *tx)
{
	return tx->n;
}

void
tdo_udp_complete(struct tdo_pkt *p)
{
	if (!(p->flags & TDO_PKT_UDP_CSUM))
		return;
	p->flags &= (uint8_t)~TDO_PKT_UDP_CSUM;
	/* RFC 3948 2.1 wants none with IPv4; RFC 8200 8.1: IPv6 must have one. */
	if (p->ip.flow.src.af == TDO_AF_INET6 && p->ip.flow.proto == TDO_IPPROTO_UDP)
		tdo_udp_set_csum(p);
}

static void
send_raw(struct tdo_udp_tx *tx, struct tdo_pkt *p)
{
	tdo_udp_complete(p);
	tdo_raw_queue(tx->conf.raw, p);
}

/* ---- destinations that do not take super-packets -------------------------------------- */

static struct tdo_addr
destination_of(const struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	return tdo_addr_make(tx->af, tdo_pkt_data(p) + (tx->af == TDO_AF_INET6 ? 24 : 16));
}

static bool
is_unable(const struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	struct tdo_addr dst = destination_of(tx, p);

	for (unsigned i = 0; i < UNABLE_MAX; i++)
		if (tx->unable[i].until > tx->now && tdo_addr_equal(&tx->unable[i].dst, &dst))
			return true;
	return false;
}

static void
remember(struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	tx->unable[tx->next_unable++ % UNABLE_MAX] =
	    (struct unable){destination_of(tx, p), tx->now + TDO_UDP_RAW_FOR};
}

/* ---- rows ----------------------------------------------------------------------------- */

/* The fence makes the port that the packet has. */
static bool
port_is_given(const struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	uint16_t port = atomic_load_explicit(tx->conf.port, memory_order_relaxed);

	return port != 0 &&
	       port == tdo_be16(tdo_pkt_data(p) + tx->hlen - TDO_UDP_HLEN + TDO_UDP_SPORT_OFF);
}

/* The kernel can make these headers; it cannot make options, for example. */
static bool
may_start(const struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	const uint8_t *ip = tdo_pkt_data(p);

	if (p->len <= tx->hlen || p->len - tx->hlen > TDO_UDP_RUN_BYTES || !port_is_given(tx, p))
		return false;
	if (tx->af == TDO_AF_INET6)
		return ip[6] == TDO_IPPROTO_UDP && ip[7] != 0;
	return ip[0] == IP4_NO_OPTIONS && ip[9] == TDO_IPPROTO_UDP && ip[8] != 0 &&
	       (tdo_be16(ip + 6) & (uint16_t)~TDO_IP4_DF) == 0;
}

/* What the kernel repeats in front of every segment; lengths, id and checksums are not. */
static bool
same_headers(const struct tdo_udp_tx *tx, const uint8_t *a, const uint8_t *b)
{
	if (tx->af == TDO_AF_INET6)
		return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 34 + 4) == 0;
	return memcmp(a, b, 2) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
	       memcmp(a + 12, b + 12, 8 + 4) == 0;
}

static bool
may_follow(const struct tdo_udp_tx *tx, const struct tdo_pkt *p)
{
	uint32_t len = p->len - tx->hlen;

	return tx->n > 0 && tx->n < TDO_UDP_RUN_MAX && !tx->ended && p->len > tx->hlen &&
	       len <= tx->size && len <= TDO_UDP_RUN_BYTES - tx->bytes &&
	       same_headers(tx, tdo_pkt_data(tx->pkt[0]), tdo_pkt_data(p));
}

static void
append(struct tdo_udp_tx *tx, struct tdo_pkt *p)
{
	uint32_t len = p->len - tx->hlen;

	if (tx->n == 0) {
		tx->size = len;
		tx->bytes = 0;
	}
	tx->ended = len < tx->size;
	tx->bytes += len;
	tx->iov[tx->n] = (struct iovec){tdo_pkt_data(p) + tx->hlen, len};
	tx->pkt[tx->n++] = p;
}

void
tdo_udp_queue(struct tdo_udp_tx *tx, struct tdo_pkt *p, tdo_ns now)
{
	tx->now = now;
	if (!may_follow(tx, p)) {
		tdo_udp_flush(tx);
		if (!may_start(tx, p)) {
			send_raw(tx, p);
			return;
		}
	}
	append(tx, p);
}

/* ---- sending -------------------------------------------------------------------------- */

static void
add(struct msghdr *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static void
add_int(struct msghdr *m, int level, int type, int value)
{
	add(m, level, type, &value, sizeof(value));
}

/* Says by ancillary data and address what the header at ip says. */
static void
describe4(struct msghdr *m, const uint8_t *ip, struct sockaddr_in *to)
{
	struct in_pktinfo info = {0};

	to->sin_family = AF_INET;
	memcpy(&to->sin_addr, ip + 16, 4);
	memcpy(&to->sin_port, ip + TDO_IP4_HLEN + TDO_UDP_DPORT_OFF, 2);
	m->msg_namelen = sizeof(*to);
	memcpy(&info.ipi_spec_dst, ip + 12, 4);
	add(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	add_int(m, IPPROTO_IP, IP_TOS, ip[1]);
	add_int(m, IPPROTO_IP, IP_TTL, ip[8]);
}

static void
describe6(struct msghdr *m, const uint8_t *ip, struct sockaddr_in6 *to)
{
	struct in6_pktinfo info = {0};
	uint32_t first = tdo_be32(ip), label = htonl(first & IP6_FLOW_MASK);

	to->sin6_family = AF_INET6;
	memcpy(&to->sin6_addr, ip + 24, 16);
	memcpy(&to->sin6_port, ip + TDO_IP6_HLEN + TDO_UDP_DPORT_OFF, 2);
	m->msg_namelen = sizeof(*to);
	memcpy(&info.ipi6_addr, ip + 8, 16);
	add(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	add_int(m, IPPROTO_IPV6, IPV6_TCLASS, (int)(first >> 20 & 0xff));
	add_int(m, IPPROTO_IPV6, IPV6_HOPLIMIT, ip[7]);
	if (label != 0)
		add(m, IPPROTO_IPV6, IPV6_FLOWINFO, &label, sizeof(label));
}

static int
socket_for(const struct tdo_udp_tx *tx, const uint8_t *ip)
{
	return tx->af == TDO_AF_INET && (tdo_be16(ip + 6) & TDO_IP4_DF) ? tx->conf.fd_df
									: tx->conf.fd;
}

/* 0 or an errno. */
static int
send_row(struct tdo_udp_tx *tx)
{
	const uint8_t *ip = tdo_pkt_data(tx->pkt[0]);
	_Alignas(struct cmsghdr) uint8_t ctrl[CTRL_LEN] = {0};
	union destination to = {0};
	struct msghdr m = {
	    .msg_name = &to, .msg_iov = tx->iov, .msg_iovlen = tx->n, .msg_control = ctrl};
	struct pollfd pfd = {.fd = socket_for(tx, ip), .events = POLLOUT};
	uint16_t size = (uint16_t)tx->size;
	bool waited = false;

	if (pfd.fd < 0)
		return EOPNOTSUPP;
	if (tx->af == TDO_AF_INET6)
		describe6(&m, ip, &to.in6);
	else
		describe4(&m, ip, &to.in);
	add(&m, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
	for (;;) {
		if (sendmsg(pfd.fd, &m, MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EAGAIN && !waited) {
			waited = true;
			(void)poll(&pfd, 1, SEND_WAIT_MS);
		} else if (errno != EINTR) {
			return errno;
		}
	}
}

/* Errors that would be the same for each packet alone. */
static bool
is_final(int err)
{
	return err == EAGAIN || err == ENOBUFS || err == ENOMEM || err == ENETUNREACH ||
	       err == EHOSTUNREACH || err == ENETDOWN;
}

/*
 * Too big for the path, the raw way learns how big it may be.  For the rest, such as EIO for a
 * device without checksums or EINVAL for sizes and addresses: packets, not super-packets.
 */
static void
refused(struct tdo_udp_tx *tx, unsigned n, int err)
{
	tdo_iostat_bump(&tx->conf.stat->errors, 1);
	if (!is_final(err) && err != EMSGSIZE)
		remember(tx, tx->pkt[0]);
	for (unsigned i = 0; i < n; i++)
		if (is_final(err))
			tx->conf.refused(tx->conf.ctx, tx->pkt[i], err);
		else
			send_raw(tx, tx->pkt[i]);
}

void
tdo_udp_flush(struct tdo_udp_tx *tx)
{
	unsigned n = tx->n;
	int err;

	if (n == 0)
		return;
	/* The port may be another one by now. */
	if (n == 1 || !port_is_given(tx, tx->pkt[0]) || is_unable(tx, tx->pkt[0])) {
		for (unsigned i = 0; i < n; i++)
			send_raw(tx, tx->pkt[i]);
	} else {
		tdo_raw_flush(tx->conf.raw);
		err = send_row(tx);
		if (err == 0)
			tdo_iostat_add(tx->conf.stat, n, tx->bytes + n * tx->hlen);
		else
			refused(tx, n, err);
	}
	tx->n = 0;
}
