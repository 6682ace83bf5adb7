/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs in the guest: sends every packet of a protocol for experiments (RFC 3692 2.1) back, its
 * payload unchanged, from the address that it came to; unlike an echo of ICMP it may be empty.
 * To packets of another one it answers with nothing behind the IP header.  Goes into the background
 * when it listens.
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ECHO = 253, EMPTY = 254, ROOM = 4 << 20, ECHOES = 4 };

struct echo {
	int fd, family, protocol;
};

static int
listening(struct echo *e)
{
	bool v6 = e->family == AF_INET6;
	int on = 1, room = ROOM;

	e->fd = socket(e->family, SOCK_RAW, e->protocol);
	if (e->fd < 0 || setsockopt(e->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
			     v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof(on)) != 0)
		return -1;
	return setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
}

/* What was the destination becomes the source, without the interface: the route has that. */
static void
turn(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi_spec_dst = info.ipi_addr;
		info.ipi_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
}

static void
answer(const struct echo *e)
{
	static uint8_t packet[1 << 17];
	char control[256];
	struct sockaddr_in6 from;
	struct iovec v = {packet, sizeof(packet)};
	struct msghdr m = {.msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &v,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(e->fd, &m, 0);
	/* RFC 791: IPv4 raw sockets give the header, too. */
	size_t head = e->family == AF_INET ? (size_t)(packet[0] & 15) * 4 : 0;

	if (n < 0 || (size_t)n < head) {
		perror("guest_echo: receiving");
		return;
	}
	v = (struct iovec){packet + head, e->protocol == EMPTY ? 0 : (size_t)n - head};
	turn(&m);
	if (sendmsg(e->fd, &m, 0) < 0)
		perror("guest_echo: sending");
}

int
main(void)
{
	struct echo echoes[ECHOES] = {
	    {-1, AF_INET, ECHO}, {-1, AF_INET6, ECHO}, {-1, AF_INET, EMPTY}, {-1, AF_INET6, EMPTY}};
	struct pollfd fds[ECHOES];

	for (int i = 0; i < ECHOES; i++) {
		if (listening(&echoes[i]) != 0) {
			perror("guest_echo");
			return 1;
		}
		fds[i] = (struct pollfd){.fd = echoes[i].fd, .events = POLLIN};
	}
	if (daemon(0, 1) != 0)
		return 1;
	while (poll(fds, ECHOES, -1) > 0)
		for (int i = 0; i < ECHOES; i++)
			if (fds[i].revents)
				answer(&echoes[i]);
	return 1;
}
