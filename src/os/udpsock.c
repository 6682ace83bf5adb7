/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/udpsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sockopt.h"
#include "wire/udp.h"

/* Of <linux/in6.h> and <linux/udp.h>, which do not go together with the headers of the C library.
 */
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
enum { NO_CHECK6_RX = 102, GRO = 104 };

/* Gives the socket a port: *port, or a free one. */
static bool
take_port(int fd, enum tdo_af af, uint16_t *port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = af == TDO_AF_INET ? sizeof(a.in) : sizeof(a.in6);

	memset(&a, 0, sizeof(a));
	if (af == TDO_AF_INET) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(*port);
	} else {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(*port);
	}
	if (bind(fd, &a.sa, len) != 0 || getsockname(fd, &a.sa, &len) != 0)
		return false;
	*port = ntohs(af == TDO_AF_INET ? a.in.sin_port : a.in6.sin6_port);
	return true;
}

static bool
transparent(int fd, enum tdo_af af)
{
	return af == TDO_AF_INET ? tdo_sock_on(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
				 : tdo_sock_on(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
}

static bool
ask_for_headers(int fd, enum tdo_af af)
{
	if (af == TDO_AF_INET)
		return tdo_sock_on(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1) &&
		       tdo_sock_on(fd, IPPROTO_IP, IP_RECVTOS, 1) &&
		       tdo_sock_on(fd, IPPROTO_IP, IP_RECVTTL, 1);
	return tdo_sock_on(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1) &&
	       tdo_sock_on(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
	       tdo_sock_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
}

/* Accepts packets whose destination port is another one than this; 0: none at all. */
static bool
refuse_port(int fd, uint16_t port)
{
	struct sock_filter code[] = {
	    BPF_STMT(
		BPF_LD | BPF_H | BPF_ABS, TDO_UDP_DPORT_OFF), /* a filter of UDP starts there */
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog p = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (port == 0)
		p = (struct sock_fprog){.len = 1, .filter = &code[2]};
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0;
}

static bool
start_in(int fd, enum tdo_af af, uint16_t *port)
{
	tdo_sock_set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	/* A kernel without GRO of UDP (before 5.0) gives one packet at a time. */
	(void)tdo_sock_on(fd, IPPROTO_UDP, GRO, 1);
	/* The ICV protects, so a tunnel may do without (RFC 6935 5). */
	if (af == TDO_AF_INET6 && !tdo_sock_on(fd, IPPROTO_UDP, NO_CHECK6_RX, 1))
		return false;
	return transparent(fd, af) && ask_for_headers(fd, af) &&
	       tdo_sock_on(fd, SOL_SOCKET, SO_REUSEPORT, 1) && take_port(fd, af, port) &&
	       refuse_port(fd, *port);
}

static bool
start_out(int fd, enum tdo_af af, uint32_t mark, bool df, uint16_t *port)
{
	bool ok;

	tdo_sock_set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (af == TDO_AF_INET)
		ok = tdo_sock_on(
		    fd, IPPROTO_IP, IP_MTU_DISCOVER, df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
	else
		/* The label stays that of packets that go out by a raw socket: 0. */
		ok = tdo_sock_on(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
		     tdo_sock_on(fd, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0);
	/* An SA's address need not be one of the host's, as with a raw socket: transparent. */
	return ok && refuse_port(fd, 0) && transparent(fd, af) &&
	       tdo_sock_on(fd, SOL_SOCKET, SO_MARK, (int)mark) &&
	       tdo_sock_on(fd, SOL_SOCKET, SO_REUSEPORT, 1) && take_port(fd, af, port);
}

static int
new_socket(enum tdo_af af)
{
	int fd = socket(tdo_sock_domain(af), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (af == TDO_AF_INET6 && !tdo_sock_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
		return tdo_sock_failed(fd);
	return fd;
}

/* fd, or -errno when it is not ready. */
static int
finish(int fd, bool ready)
{
	return ready ? fd : tdo_sock_failed(fd);
}

int
tdo_udpsock_in(enum tdo_af af, uint16_t *port)
{
	int fd = new_socket(af);

	return fd < 0 ? fd : finish(fd, start_in(fd, af, port));
}

int
tdo_udpsock_out(enum tdo_af af, uint32_t mark, bool df, uint16_t *port)
{
	int fd = new_socket(af);

	return fd < 0 ? fd : finish(fd, start_out(fd, af, mark, df, port));
}
