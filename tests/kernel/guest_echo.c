/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs in the guest: sends every packet of a protocol for experiments (RFC 3692 2.1) back, its
 * payload unchanged, from the address that it came to; unlike an echo of ICMP it may be empty.
 * To packets of another one it answers with nothing behind the IP header.  So do UDP sockets, of
 * which some take ESP in UDP off before (UDP_ENCAP), in both forms: what they get and send back is
 * not ESP.  Goes into the background when it listens.
 */
#include <netinet/in.h>

#include <linux/udp.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EMPTY = 254, ROOM = 4 << 20 };

struct echo {
	int family, type;
	uint16_t number; /* protocol of raw sockets, port of the others */
	int encap;
	int fd;
};

static struct echo echoes[] = {
    {AF_INET, SOCK_RAW, 253, 0, -1},
    {AF_INET6, SOCK_RAW, 253, 0, -1},
    {AF_INET, SOCK_RAW, EMPTY, 0, -1},
    {AF_INET6, SOCK_RAW, EMPTY, 0, -1},
    {AF_INET, SOCK_DGRAM, 7, 0, -1},
    {AF_INET6, SOCK_DGRAM, 7, 0, -1},
    {AF_INET, SOCK_DGRAM, 4500, UDP_ENCAP_ESPINUDP, -1},
    {AF_INET6, SOCK_DGRAM, 4500, UDP_ENCAP_ESPINUDP, -1},
    {AF_INET, SOCK_DGRAM, 500, UDP_ENCAP_ESPINUDP_NON_IKE, -1},
    {AF_INET6, SOCK_DGRAM, 500, UDP_ENCAP_ESPINUDP_NON_IKE, -1},
};

enum { ECHOES = sizeof(echoes) / sizeof(echoes[0]) };

static bool
set(const struct echo *e, int level, int option, int value)
{
	return setsockopt(e->fd, level, option, &value, sizeof(value)) == 0;
}

/* What carries ESP goes past the policies, as the sockets of IKE do. */
static bool
bypass(const struct echo *e)
{
	bool v6 = e->family == AF_INET6;

	for (uint8_t dir = XFRM_POLICY_IN; dir <= XFRM_POLICY_OUT; dir++) {
		struct xfrm_userpolicy_info p = {.sel = {.family = (uint16_t)e->family},
		    .lft = {XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0},
		    .dir = dir,
		    .action = XFRM_POLICY_ALLOW};

		if (setsockopt(e->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
			v6 ? IPV6_XFRM_POLICY : IP_XFRM_POLICY, &p, sizeof(p)) != 0)
			return false;
	}
	return true;
}

static bool
listening(struct echo *e)
{
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(e->number)};
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->number)};
	bool v6 = e->family == AF_INET6;

	e->fd = socket(e->family, e->type, e->type == SOCK_RAW ? e->number : 0);
	if (e->fd < 0 || !set(e, SOL_SOCKET, SO_RCVBUFFORCE, ROOM) ||
	    !set(e, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1))
		return false;
	if (e->type == SOCK_RAW)
		return true;
	if (v6 ? !set(e, IPPROTO_IPV6, IPV6_V6ONLY, 1) ||
		     bind(e->fd, (struct sockaddr *)&any6, sizeof(any6)) != 0
	       : bind(e->fd, (struct sockaddr *)&any4, sizeof(any4)) != 0)
		return false;
	return e->encap == 0 || (set(e, IPPROTO_UDP, UDP_ENCAP, e->encap) && bypass(e));
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
	bool raw4 = e->type == SOCK_RAW && e->family == AF_INET;
	/* Raw sockets of IPv4 give the header, too. */
	size_t head = raw4 ? (size_t)(packet[0] & 15) * 4 : 0;

	if (n < 0 || (size_t)n < head) {
		perror("guest_echo: receiving");
		return;
	}
	v = (struct iovec){packet + head, e->number == EMPTY ? 0 : (size_t)n - head};
	turn(&m);
	if (sendmsg(e->fd, &m, 0) < 0)
		perror("guest_echo: sending");
}

int
main(void)
{
	struct pollfd fds[ECHOES];

	for (int i = 0; i < ECHOES; i++) {
		if (!listening(&echoes[i])) {
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
