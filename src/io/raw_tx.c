/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending on raw sockets with the header included, and asking for path MTUs. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "io/io_raw.h"
#include "io/route_mtu.h"

#define SEND_WAIT_MS 5

union destination {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct tdo_raw_tx {
	int fd;
	uint8_t af;
	struct tdo_iostat *stat;
	tdo_raw_refused_fn refused;
	void *ctx;
	unsigned n;
	struct tdo_pkt *pkt[TDO_BURST_MAX];
	struct mmsghdr msg[TDO_BURST_MAX];
	struct iovec iov[TDO_BURST_MAX];
	union destination to[TDO_BURST_MAX];
};

struct tdo_raw_tx *
tdo_raw_tx_new(int fd, uint8_t af, struct tdo_iostat *stat, tdo_raw_refused_fn refused, void *ctx)
{
	struct tdo_raw_tx *tx = calloc(1, sizeof(*tx));

	if (tx == NULL)
		return NULL;
	tx->fd = fd;
	tx->af = af;
	tx->stat = stat;
	tx->refused = refused;
	tx->ctx = ctx;
	for (unsigned i = 0; i < TDO_BURST_MAX; i++) {
		struct msghdr *m = &tx->msg[i].msg_hdr;

		m->msg_iov = &tx->iov[i];
		m->msg_iovlen = 1;
		m->msg_name = &tx->to[i];
		m->msg_namelen =
		    af == TDO_AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
		if (af == TDO_AF_INET6)
			tx->to[i].in6.sin6_family = AF_INET6;
		else
			tx->to[i].in.sin_family = AF_INET;
	}
	return tx;
}

void
tdo_raw_tx_free(struct tdo_raw_tx *tx)
{
	free(tx);
}

void
tdo_raw_queue(struct tdo_raw_tx *tx, struct tdo_pkt *p)
{
	unsigned i = tx->n++;
	const uint8_t *ip = tdo_pkt_data(p);

	if (tx->af == TDO_AF_INET6)
		memcpy(&tx->to[i].in6.sin6_addr, ip + 24, 16);
	else
		memcpy(&tx->to[i].in.sin_addr, ip + 16, 4);
	tx->iov[i] = (struct iovec){tdo_pkt_data(p), p->len};
	tx->pkt[i] = p;
	if (tx->n == TDO_BURST_MAX)
		tdo_raw_flush(tx);
}

static void
count(struct tdo_raw_tx *tx, unsigned from, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = from; i < from + n; i++)
		bytes += tx->iov[i].iov_len;
	tdo_iostat_add(tx->stat, n, bytes);
}

void
tdo_raw_flush(struct tdo_raw_tx *tx)
{
	unsigned i = 0, n = tx->n;
	bool waited = false;

	tx->n = 0;
	while (i < n) {
		int sent = sendmmsg(tx->fd, tx->msg + i, n - i, MSG_DONTWAIT), err;

		if (sent > 0) {
			count(tx, i, (unsigned)sent);
			i += (unsigned)sent;
			continue;
		}
		err = sent < 0 ? errno : EIO;
		if (err == EINTR)
			continue;
		if (err == EAGAIN && !waited) {
			struct pollfd pfd = {.fd = tx->fd, .events = POLLOUT};

			waited = true;
			(void)poll(&pfd, 1, SEND_WAIT_MS);
			continue;
		}
		tdo_iostat_bump(&tx->stat->errors, 1);
		tx->refused(tx->ctx, tx->pkt[i], err);
		i++;
	}
}

uint32_t
tdo_raw_ask_mtu(void *ctx, const struct tdo_addr *dst)
{
	const struct tdo_raw_mtu *m = ctx;
	bool v6 = dst->af == TDO_AF_INET6;
	int fd = v6 ? m->fd6 : m->fd4, mtu = 0;
	union destination to = {0};
	socklen_t len = v6 ? sizeof(to.in6) : sizeof(to.in), mlen = sizeof(mtu);

	mtu = (int)tdo_route_mtu(m->route, dst, m->mark);
	if (mtu > 0 || fd < 0)
		return (uint32_t)mtu;
	if (v6) {
		to.in6.sin6_family = AF_INET6;
		to.in6.sin6_port = htons(9); /* discard; nothing is ever sent */
		memcpy(&to.in6.sin6_addr, dst->b, 16);
	} else {
		to.in.sin_family = AF_INET;
		to.in.sin_port = htons(9);
		memcpy(&to.in.sin_addr, dst->b, 4);
	}
	/* connect() looks the route up anew; IP_MTU is that of the route with its exceptions. */
	if (connect(fd, &to.sa, len) != 0)
		return 0;
	if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &mlen) !=
	    0)
		return 0;
	return mtu > 0 ? (uint32_t)mtu : 0;
}
