/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/nl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <time.h>

#define RCVBUF (4 * 1024 * 1024)

int
tdo_nl_open(struct tdo_nl *nl, int family)
{
	int one = 1, size = RCVBUF, fd;

	nl->s = mnl_socket_open2(family, SOCK_CLOEXEC);
	if (!nl->s)
		return -errno;
	if (mnl_socket_bind(nl->s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int e = errno;

		tdo_nl_close(nl);
		return -e;
	}
	fd = mnl_socket_get_fd(nl->s);
	/* The larger buffer and the short error messages are a help, not a need. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	nl->portid = mnl_socket_get_portid(nl->s);
	nl->seq = (uint32_t)time(NULL);
	return 0;
}

void
tdo_nl_close(struct tdo_nl *nl)
{
	if (nl->s)
		mnl_socket_close(nl->s);
	nl->s = NULL;
}

int
tdo_nl_fd(const struct tdo_nl *nl)
{
	return nl->s ? mnl_socket_get_fd(nl->s) : -1;
}

int
tdo_nl_join(struct tdo_nl *nl, unsigned group)
{
	int fd = tdo_nl_fd(nl), flags;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	if (mnl_socket_setsockopt(nl->s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

struct nlmsghdr *
tdo_nl_request(struct tdo_nl *nl, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);

	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->nlmsg_seq = ++nl->seq;
	return m;
}

/*
 * Reads one datagram and walks its messages with sequence number seq.  1: more is to come,
 * 0: finished (acknowledged, or end of the dump), else -errno or what fn returned.
 */
static int
receive(struct tdo_nl *nl, uint32_t seq, tdo_nl_fn fn, void *ctx)
{
	_Alignas(struct nlmsghdr) char buf[TDO_NL_BUF];
	ssize_t r = mnl_socket_recvfrom(nl->s, buf, sizeof(buf));
	int n = (int)r;

	if (r < 0)
		return errno == EINTR ? 1 : -errno;
	for (const struct nlmsghdr *m = (const void *)buf; mnl_nlmsg_ok(m, n);
	     m = mnl_nlmsg_next(m, &n)) {
		if (seq != 0 && m->nlmsg_seq != seq)
			continue; /* the rest of something that was given up */
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

			return mnl_nlmsg_get_payload_len(m) < sizeof(*e) ? -EBADMSG : e->error;
		}
		r = fn ? fn(ctx, m) : 0;
		if (r != 0)
			return (int)r;
	}
	return 1;
}

static int
exchange(struct tdo_nl *nl, struct nlmsghdr *req, tdo_nl_fn fn, void *ctx)
{
	int r;

	if (mnl_socket_sendto(nl->s, req, req->nlmsg_len) < 0)
		return -errno;
	do
		r = receive(nl, req->nlmsg_seq, fn, ctx);
	while (r == 1);
	return r;
}

int
tdo_nl_talk(struct tdo_nl *nl, struct nlmsghdr *req)
{
	return tdo_nl_ask(nl, req, NULL, NULL);
}

int
tdo_nl_ask(struct tdo_nl *nl, struct nlmsghdr *req, tdo_nl_fn fn, void *ctx)
{
	req->nlmsg_flags |= NLM_F_ACK;
	return exchange(nl, req, fn, ctx);
}

int
tdo_nl_dump(struct tdo_nl *nl, struct nlmsghdr *req, tdo_nl_fn fn, void *ctx)
{
	req->nlmsg_flags |= NLM_F_DUMP;
	return exchange(nl, req, fn, ctx);
}

int
tdo_nl_drain(struct tdo_nl *nl, tdo_nl_fn fn, void *ctx)
{
	int r;

	do
		r = receive(nl, 0, fn, ctx);
	while (r == 1 || r == 0);
	return r == -EAGAIN || r == -EWOULDBLOCK ? 0 : r;
}
