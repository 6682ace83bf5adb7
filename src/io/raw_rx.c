/* SPDX-License-Identifier: BSD-2-Clause */
/* Receiving from raw sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
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
 *
 * In front is room for what an IPv6 socket does not deliver: the IP header and extension
 * headers, of which one may be as long as it can be.
 */
#define SLOT      2048u
#define EXT_MAX   (2048u + 256u)
#define LEAD      (TDO_HEADROOM + TDO_IP6_HLEN + EXT_MAX)
#define SPILL_CAP (LEAD + TDO_PKT_MAXLEN + TDO_TAILROOM)
#define SLOT_CAP  (LEAD + SLOT + TDO_TAILROOM)
#define CTRL_LEN  (EXT_MAX + 512u)

struct tdo_raw_rx {
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

	rx->iov[i][0] = (struct iovec){rx->slots + (size_t)i * SLOT_CAP + LEAD, SLOT};
	rx->iov[i][1] =
	    (struct iovec){rx->spills + (size_t)i * SPILL_CAP + LEAD + SLOT, TDO_PKT_MAXLEN - SLOT};
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
tdo_raw_rx_new(uint8_t af, struct tdo_iostat *stat)
{
	struct tdo_raw_rx *rx = aligned_alloc(64, (sizeof(*rx) + 63) / 64 * 64);

	if (rx == NULL)
		return NULL;
	memset(rx, 0, offsetof(struct tdo_raw_rx, ctrl));
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
	p->off = LEAD;
	p->len = len;
	p->buf = rx->slots + (size_t)i * SLOT_CAP;
	p->cap = SLOT_CAP;
	if (len > SLOT) {
		p->buf = rx->spills + (size_t)i * SPILL_CAP;
		p->cap = SPILL_CAP;
		memcpy(tdo_pkt_data(p), rx->slots + (size_t)i * SLOT_CAP + LEAD, SLOT);
	}
}

/* ---- IPv6 headers ------------------------------------------------------------------- */

/* What the ancillary data of a message say. */
struct ancillary {
	struct tdo_ip_hdr h; /* destination, hop limit, traffic class */
	bool has_dst;
	uint8_t nh; /* the first header's protocol number */
	uint32_t ext_len;
	uint8_t ext[EXT_MAX]; /* extension headers, in their order */
};

static uint8_t
ext_proto(int cmsg_type)
{
	switch (cmsg_type) {
	case IPV6_HOPOPTS:
		return TDO_IPPROTO_HOPOPTS;
	case IPV6_RTHDR:
		return TDO_IPPROTO_ROUTING;
	default:
		return TDO_IPPROTO_DSTOPTS;
	}
}

/*
 * Adds an extension header.  The kernel reports all that it processed, each as it came, the
 * hop-by-hop options first and the others in their order; *next, what is announced so far, says
 * whether one is missing.
 */
static bool
add_ext(struct ancillary *a, uint8_t *next, int cmsg_type, const uint8_t *p, size_t len)
{
	uint8_t proto = ext_proto(cmsg_type);

	if (len < 8 || len != (p[1] + 1u) * 8 || len > EXT_MAX - a->ext_len)
		return false;
	if (a->ext_len == 0)
		a->nh = proto;
	else if (*next != proto)
		return false;
	memcpy(a->ext + a->ext_len, p, len);
	a->ext_len += (uint32_t)len;
	*next = p[0];
	return true;
}

static void
add_field(struct ancillary *a, const struct cmsghdr *c, size_t len)
{
	struct in6_pktinfo info;
	int v;

	if (c->cmsg_type == IPV6_PKTINFO && len >= sizeof(info)) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		a->h.dst = tdo_addr_make(TDO_AF_INET6, info.ipi6_addr.s6_addr);
		a->has_dst = true;
	} else if (c->cmsg_type == IPV6_HOPLIMIT && len >= sizeof(v)) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		a->h.ttl = (uint8_t)v;
	} else if (c->cmsg_type == IPV6_TCLASS && len >= sizeof(v)) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		a->h.tos = (uint8_t)v;
	}
}

/* RFC 3542 6: what is in front of the payload, which is of protocol proto. */
static bool
read_ancillary(struct msghdr *m, uint8_t proto, struct ancillary *a)
{
	uint8_t next = proto;

	a->h = (struct tdo_ip_hdr){.ttl = 64};
	a->has_dst = false;
	a->nh = proto;
	a->ext_len = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type != IPV6_HOPOPTS && c->cmsg_type != IPV6_RTHDR &&
		    c->cmsg_type != IPV6_DSTOPTS)
			add_field(a, c, len);
		else if (!add_ext(a, &next, c->cmsg_type, CMSG_DATA(c), len))
			return false;
	}
	return a->has_dst && next == proto && !(m->msg_flags & MSG_CTRUNC);
}

/* Makes the headers again that were in front of what the socket delivered. */
static bool
add_ip6_headers(struct tdo_raw_rx *rx, unsigned i, uint8_t proto)
{
	struct tdo_pkt *p = &rx->pkt[i];
	struct ancillary a;
	uint32_t payload;

	if (!read_ancillary(&rx->msg[i].msg_hdr, proto, &a))
		return false;
	payload = p->len + a.ext_len;
	if (payload > UINT16_MAX || !tdo_pkt_push(p, TDO_IP6_HLEN + a.ext_len))
		return false;
	a.h.src = tdo_addr_make(TDO_AF_INET6, rx->from[i].sin6_addr.s6_addr);
	a.h.proto = a.nh;
	tdo_ip_build(tdo_pkt_data(p), &a.h, payload);
	memcpy(tdo_pkt_data(p) + TDO_IP6_HLEN, a.ext, a.ext_len);
	return true;
}

/* ---- IPv4 headers ------------------------------------------------------------------- */

/*
 * The kernel has checked the checksum, and after that perhaps filled in options, such as a record
 * of the route, without a new one.
 */
static void
mend_ip4_csum(struct tdo_pkt *p)
{
	uint8_t *ip = tdo_pkt_data(p);

	if (p->len > TDO_IP4_HLEN && (ip[0] & 15) * 4 > TDO_IP4_HLEN && (ip[0] & 15u) * 4 <= p->len)
		tdo_ip4_set_csum(ip);
}

/* ---- a burst ------------------------------------------------------------------------ */

unsigned
tdo_raw_recv(
    struct tdo_raw_rx *rx, const struct tdo_raw_in *in, struct tdo_pkt **pk, bool *ret_more)
{
	unsigned n = 0;
	uint64_t bytes = 0;
	int got;

	/* An error that an ICMP message left on the socket is reported once, then data follow. */
	got = recvmmsg(in->fd, rx->msg, TDO_BURST_MAX, MSG_DONTWAIT, NULL);
	*ret_more = got == TDO_BURST_MAX || (got < 0 && errno != EAGAIN);
	if (got <= 0) {
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			tdo_iostat_bump(&rx->stat->errors, 1);
		return 0;
	}
	for (unsigned i = 0; i < (unsigned)got; i++) {
		take(rx, i, rx->msg[i].msg_len);
		if ((rx->msg[i].msg_hdr.msg_flags & MSG_TRUNC) ||
		    (rx->af == TDO_AF_INET6 && !add_ip6_headers(rx, i, in->proto))) {
			tdo_iostat_bump(&rx->stat->errors, 1);
		} else {
			if (rx->af == TDO_AF_INET)
				mend_ip4_csum(&rx->pkt[i]);
			bytes += rx->pkt[i].len;
			pk[n++] = &rx->pkt[i];
		}
		prepare(rx, i);
	}
	tdo_iostat_add(rx->stat, n, bytes);
	return n;
}
