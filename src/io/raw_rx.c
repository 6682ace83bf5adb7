/* SPDX-License-Identifier: BSD-2-Clause */
/* Receiving from raw sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/be.h"
#include "io/io_raw.h"
#include "io/pool.h"
#include "wire/ip.h"

/*
 * Nearly all packets are of link size, few are reassembled ones of up to 64 KB.  Each message is
 * received into a slot of SLOT bytes, and what is longer goes on in a spill buffer, to whose
 * front the first part is then copied.  Spill memory is touched by large packets only.
 */
#define SLOT      2048u
#define SPILL_CAP (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_IP6_HLEN + TDO_TAILROOM)
#define SLOT_CAP  (TDO_HEADROOM + SLOT + TDO_TAILROOM)
#define CTRL_LEN  256

struct tdo_raw_rx {
	int fd;
	uint8_t af;
	struct tdo_iostat *stat;
	uint8_t *slots, *spills;
	struct tdo_pkt pkt[TDO_BURST_MAX];
	struct mmsghdr msg[TDO_BURST_MAX];
	struct iovec iov[TDO_BURST_MAX][2];
	struct sockaddr_in6 from[TDO_BURST_MAX];
	_Alignas(struct cmsghdr) uint8_t ctrl[TDO_BURST_MAX][CTRL_LEN];
};

static void
prepare(struct tdo_raw_rx *rx, unsigned i)
{
	struct msghdr *m = &rx->msg[i].msg_hdr;

	rx->iov[i][0] = (struct iovec){rx->slots + (size_t)i * SLOT_CAP + TDO_HEADROOM, SLOT};
	rx->iov[i][1] = (struct iovec){
	    rx->spills + (size_t)i * SPILL_CAP + TDO_HEADROOM + SLOT, TDO_PKT_MAXLEN - SLOT};
	m->msg_iov = rx->iov[i];
	m->msg_iovlen = 2;
	m->msg_flags = 0;
	if (rx->af == TDO_AF_INET6) {
		m->msg_name = &rx->from[i];
		m->msg_namelen = sizeof(rx->from[i]);
		m->msg_control = rx->ctrl[i];
		m->msg_controllen = CTRL_LEN;
	}
}

struct tdo_raw_rx *
tdo_raw_rx_new(int fd, uint8_t af, struct tdo_iostat *stat)
{
	struct tdo_raw_rx *rx = aligned_alloc(64, (sizeof(*rx) + 63) / 64 * 64);

	if (rx == NULL)
		return NULL;
	memset(rx, 0, sizeof(*rx));
	rx->fd = fd;
	rx->af = af;
	rx->stat = stat;
	rx->slots = malloc((size_t)TDO_BURST_MAX * SLOT_CAP);
	rx->spills = malloc((size_t)TDO_BURST_MAX * SPILL_CAP);
	if (rx->slots == NULL || rx->spills == NULL) {
		tdo_raw_rx_free(rx);
		return NULL;
	}
	for (unsigned i = 0; i < TDO_BURST_MAX; i++)
		prepare(rx, i);
	return rx;
}

void
tdo_raw_rx_free(struct tdo_raw_rx *rx)
{
	if (rx == NULL)
		return;
	free(rx->slots);
	free(rx->spills);
	free(rx);
}

/* The packet of message i, where its bytes are. */
static void
take(struct tdo_raw_rx *rx, unsigned i, uint32_t len)
{
	struct tdo_pkt *p = &rx->pkt[i];

	memset(p, 0, sizeof(*p));
	p->off = TDO_HEADROOM;
	p->len = len;
	p->buf = rx->slots + (size_t)i * SLOT_CAP;
	p->cap = SLOT_CAP;
	if (len > SLOT) {
		p->buf = rx->spills + (size_t)i * SPILL_CAP;
		p->cap = SPILL_CAP;
		memcpy(tdo_pkt_data(p), rx->slots + (size_t)i * SLOT_CAP + TDO_HEADROOM, SLOT);
	}
}

/* RFC 3542 6: destination, hop limit and traffic class come as ancillary data. */
static bool
ip6_ancillary(struct msghdr *m, struct tdo_ip_hdr *h)
{
	bool has_dst = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);
		int v;

		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_PKTINFO && len >= sizeof(struct in6_pktinfo)) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			h->dst = tdo_addr_make(TDO_AF_INET6, info.ipi6_addr.s6_addr);
			has_dst = true;
		} else if (len >= sizeof(v)) {
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			if (c->cmsg_type == IPV6_HOPLIMIT)
				h->ttl = (uint8_t)v;
			else if (c->cmsg_type == IPV6_TCLASS)
				h->tos = (uint8_t)v;
		}
	}
	return has_dst;
}

static bool
add_ip6_header(struct tdo_raw_rx *rx, unsigned i)
{
	struct tdo_pkt *p = &rx->pkt[i];
	struct tdo_ip_hdr h = {.ttl = 64, .proto = TDO_IPPROTO_ESP};
	uint32_t payload = p->len;

	h.src = tdo_addr_make(TDO_AF_INET6, rx->from[i].sin6_addr.s6_addr);
	if (!ip6_ancillary(&rx->msg[i].msg_hdr, &h) || !tdo_pkt_push(p, TDO_IP6_HLEN))
		return false;
	tdo_ip_build(tdo_pkt_data(p), &h, payload);
	return true;
}

unsigned
tdo_raw_recv(struct tdo_raw_rx *rx, struct tdo_pkt **pk, bool *ret_more)
{
	unsigned n = 0;
	uint64_t bytes = 0;
	int got;

	/* An error that an ICMP message left on the socket is reported once, then data follow. */
	got = recvmmsg(rx->fd, rx->msg, TDO_BURST_MAX, MSG_DONTWAIT, NULL);
	*ret_more = got == TDO_BURST_MAX || (got < 0 && errno != EAGAIN);
	if (got <= 0) {
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			tdo_iostat_bump(&rx->stat->errors, 1);
		return 0;
	}
	for (unsigned i = 0; i < (unsigned)got; i++) {
		take(rx, i, rx->msg[i].msg_len);
		if ((rx->msg[i].msg_hdr.msg_flags & MSG_TRUNC) ||
		    (rx->af == TDO_AF_INET6 && !add_ip6_header(rx, i))) {
			tdo_iostat_bump(&rx->stat->errors, 1);
		} else {
			bytes += rx->pkt[i].len;
			pk[n++] = &rx->pkt[i];
		}
		prepare(rx, i);
	}
	tdo_iostat_add(rx->stat, n, bytes);
	return n;
}
