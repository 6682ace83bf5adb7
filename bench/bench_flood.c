/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flood of UDP datagrams and whoever counts what arrives of it, used by bench/daemon.  Both ends
 * are plain: sendmmsg() and recvmmsg() of whole datagrams, no segmentation offload, so that
 * whatever carries the datagrams is given the same load.
 *
 *     bench_flood recv ADDRESS PORT                    until SIGTERM; prints packets and seconds
 *     bench_flood send ADDRESS PORT FROM SIZE SECONDS  prints packets and seconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 64, SIZE_MAX_UDP = 65507 };

static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static socklen_t
address(struct sockaddr_storage *ret, const char *text, const char *port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	in_port_t p = htons((uint16_t)strtoul(port, NULL, 10));

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = p;
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = p;
		return sizeof(*in6);
	}
	fprintf(stderr, "no address: %s\n", text);
	exit(1);
}

static int
bound(const char *text, const char *port)
{
	struct sockaddr_storage a;
	socklen_t len = address(&a, text, port);
	int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), big = 8 << 20;

	if (fd < 0)
		die("socket");
	/* Forced where that is allowed; the host's limit otherwise. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (bind(fd, (struct sockaddr *)&a, len) < 0)
		die("bind");
	return fd;
}

static void
bursts(struct mmsghdr *m, struct iovec *iov, char *buf, size_t size, size_t stride)
{
	memset(m, 0, BURST * sizeof(*m));
	for (unsigned i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){buf + i * stride, size};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
}

/* The rate is that between the first and the last datagram, however long the order to stop takes.
 */
static int
receive(const char *to, const char *port)
{
	static char buf[BURST * 2048]; /* longer ones are cut, and counted */
	struct mmsghdr m[BURST];
	struct iovec iov[BURST];
	unsigned long packets = 0;
	double first = 0, last = 0;
	int fd = bound(to, port), n;

	bursts(m, iov, buf, 2048, 2048);
	puts("up");
	fflush(stdout);
	while (!stopped) {
		n = recvmmsg(fd, m, BURST, MSG_WAITFORONE, NULL);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die("recvmmsg");
		}
		last = seconds();
		if (packets == 0)
			first = last;
		packets += (unsigned)n;
	}
	close(fd);
	printf("%lu %.6f\n", packets, last - first);
	return 0;
}

static int
flood(const char *to, const char *port, const char *from, size_t size, double length)
{
	static char buf[SIZE_MAX_UDP];
	struct mmsghdr m[BURST];
	struct iovec iov[BURST];
	struct sockaddr_storage a;
	socklen_t len = address(&a, to, port);
	unsigned long packets = 0;
	double begun, now;
	int fd = bound(from, "0"), n;

	if (connect(fd, (struct sockaddr *)&a, len) < 0)
		die("connect");
	bursts(m, iov, buf, size, 0);
	for (begun = now = seconds(); now - begun < length && !stopped; now = seconds()) {
		n = sendmmsg(fd, m, BURST, 0);
		if (n >= 0)
			packets += (unsigned)n;
		else if (errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
			die("sendmmsg");
	}
	close(fd);
	printf("%lu %.6f\n", packets, now - begun);
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = stop};

	sigaction(SIGTERM, &sa, NULL);
	if (argc == 4 && strcmp(argv[1], "recv") == 0)
		return receive(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "send") == 0) {
		unsigned long size = strtoul(argv[5], NULL, 10);

		if (size <= SIZE_MAX_UDP)
			return flood(argv[2], argv[3], argv[4], size, strtod(argv[6], NULL));
	}
	fprintf(stderr, "usage: bench_flood recv ADDRESS PORT\n"
			"       bench_flood send ADDRESS PORT FROM SIZE SECONDS\n");
	return 2;
}
