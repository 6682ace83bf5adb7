/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/rawsock.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/netlink.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sockopt.h"

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif
#ifndef IP_PMTUDISC_INTERFACE
#define IP_PMTUDISC_INTERFACE   4
#define IPV6_PMTUDISC_INTERFACE 4
#endif

/*
 * A raw IPv4 socket's filter sees the IP header first, a raw IPv6 socket's what is behind it.
 * The number that a worker's share depends on: the SPI of ESP (RFC 4303 2) or AH (RFC 4302 2).
 * A CPI is nearly always that of the algorithm (RFC 3173 4): the source address instead.
 */
static bool
share(int fd, enum tdo_af af, uint8_t proto, unsigned worker, unsigned workers)
{
	uint32_t spi = proto == IPPROTO_AH ? 4 : 0;
	uint32_t source = (uint32_t)SKF_NET_OFF + (af == TDO_AF_INET ? 12 : 20); /* its last word */
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  /* X = header length */
	    BPF_STMT(BPF_LD | BPF_W | BPF_IND, spi), /* A = SPI */
	    BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, worker, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (af == TDO_AF_INET6)
		code[0] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0);
	if (proto == IPPROTO_COMP)
		code[1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0;
}

/* What the header says that an IPv6 socket does not deliver (RFC 3542 6). */
static bool
ask_for_headers(int fd)
{
	static const int option[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS,
	    IPV6_RECVHOPOPTS, IPV6_RECVRTHDR, IPV6_RECVDSTOPTS};

	for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++)
		if (!tdo_sock_on(fd, IPPROTO_IPV6, option[i], 1))
			return false;
	return true;
}

/*
 * The kernel believes every "fragmentation needed" that quotes a protocol of a raw socket, whatever
 * it quotes besides, and lowers the path MTU of the route for all programs; not with this option.
 * What is believed we decide (engine/icmp.c).
 */
static bool
ignore_icmp(int fd, enum tdo_af af)
{
	return af == TDO_AF_INET
		   ? tdo_sock_on(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE)
		   : tdo_sock_on(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_INTERFACE);
}

int
tdo_rawsock_in(enum tdo_af af, uint8_t proto, unsigned worker, unsigned workers)
{
	int fd = socket(tdo_sock_domain(af), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0)
		return -errno;
	tdo_sock_set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	if (workers > 1 && !share(fd, af, proto, worker, workers))
		return tdo_sock_failed(fd);
	if (af == TDO_AF_INET6 && !ask_for_headers(fd))
		return tdo_sock_failed(fd);
	if (!ignore_icmp(fd, af))
		return tdo_sock_failed(fd);
	return fd;
}

/* RFC 792, RFC 4443: what is no error is for others. */
static bool
only_errors(int fd, enum tdo_af af)
{
	struct icmp_filter f4 = {~(1u << ICMP_DEST_UNREACH | 1u << ICMP_SOURCE_QUENCH |
				   1u << ICMP_TIME_EXCEEDED | 1u << ICMP_PARAMETERPROB)};
	struct icmp6_filter f6;

	if (af == TDO_AF_INET)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &f4, sizeof(f4)) == 0;
	ICMP6_FILTER_SETBLOCKALL(&f6);
	for (int type = ICMP6_DST_UNREACH; type <= ICMP6_PARAM_PROB; type++)
		ICMP6_FILTER_SETPASS(type, &f6);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f6, sizeof(f6)) == 0;
}

int
tdo_rawsock_icmp(enum tdo_af af)
{
	int fd = socket(tdo_sock_domain(af), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    af == TDO_AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	if (fd < 0)
		return -errno;
	/* What we send is no packet of a program: RFC 1812 4.3.2.5, internetwork control. */
	if (!only_errors(fd, af) ||
	    (af == TDO_AF_INET && !tdo_sock_on(fd, IPPROTO_IP, IP_TOS, 0xc0)))
		return tdo_sock_failed(fd);
	return fd;
}

static bool
mark_and_probe(int fd, enum tdo_af af, uint32_t mark)
{
	if (!tdo_sock_on(fd, SOL_SOCKET, SO_MARK, (int)mark))
		return false;
	/*
	 * PROBE: an ICMP error that we made for the inner packet must not limit the outer ones
	 * that go to the same address (attachment O9).
	 */
	return af == TDO_AF_INET
		   ? tdo_sock_on(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
		   : tdo_sock_on(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

int
tdo_rawsock_out(enum tdo_af af, uint32_t mark)
{
	int fd = socket(tdo_sock_domain(af), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	bool ok;

	if (fd < 0)
		return -errno;
	tdo_sock_set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	ok = af == TDO_AF_INET ? tdo_sock_on(fd, IPPROTO_IP, IP_HDRINCL, 1)
			       : tdo_sock_on(fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
	/* Clear packets may be for a broadcast address. */
	if (!ok || !mark_and_probe(fd, af, mark) || !tdo_sock_on(fd, SOL_SOCKET, SO_BROADCAST, 1))
		return tdo_sock_failed(fd);
	return fd;
}

int
tdo_rawsock_mtu(enum tdo_af af, uint32_t mark)
{
	int fd = socket(tdo_sock_domain(af), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (!tdo_sock_on(fd, SOL_SOCKET, SO_MARK, (int)mark))
		return tdo_sock_failed(fd);
	return fd;
}

int
tdo_rawsock_route(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	return fd;
}
