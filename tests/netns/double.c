/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * testudod with a data process that does what a test says.  Links the real parent; a test
 * connects to the control socket and sends datagrams, one at a time:
 *
 *	I + message   the message (ipc/proto.h) goes to the parent; the parent's answer comes
 *	              back, or an empty one where the request has none
 *	A             the next message of the parent that was not asked for (QUEUED, LOCAL),
 *	              or an empty answer
 *	T             a packet that the first queue of the TUN has, with its virtio header
 *	W + packet    written to the TUN
 *	F + letter    the answer carries a descriptor of the first worker, see udp_socket()
 *	S + packet    sent by the raw socket for protected IPv4 packets; C: for clear ones
 *
 * Every answer begins with a dot.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/data.h"
#include "ipc/proto.h"

enum { ASIDE = 64 };

static char buf[TDO_IPC_MSG_MAX + 1], scratch[TDO_IPC_MSG_MAX];

/* Messages of the parent that were not asked for; the oldest makes room. */
static struct {
	char *p;
	size_t len;
} aside[ASIDE];
static unsigned first, count;

static void
put_aside(size_t len)
{
	unsigned at = (first + count) % ASIDE;

	if (count == ASIDE)
		first = (first + 1) % ASIDE;
	else
		count++;
	free(aside[at].p);
	aside[at].p = malloc(len);
	if (!aside[at].p)
		exit(EXIT_FAILURE);
	memcpy(aside[at].p, scratch, len);
	aside[at].len = len;
}

static ssize_t
take_aside(void)
{
	unsigned at = first;

	if (count == 0)
		return 0;
	first = (first + 1) % ASIDE;
	count--;
	memcpy(buf + 1, aside[at].p, aside[at].len);
	return (ssize_t)aside[at].len;
}

static void
say(const struct tdo_data_env *env, uint32_t type)
{
	struct tdo_ipc_hdr h = {type, 0};

	if (send(env->ipc, &h, sizeof(h), MSG_NOSIGNAL) < 0)
		exit(EXIT_FAILURE);
}

static bool
has_answer(uint32_t type)
{
	return type == TDO_IPC_COVER_ADD || type == TDO_IPC_COVER_DEL ||
	       type == TDO_IPC_COVER_DEFAULT || type == TDO_IPC_STATUS || type == TDO_IPC_NATT_PORT;
}

/* Forwards a request; returns the bytes of the answer in buf. */
static ssize_t
request(const struct tdo_data_env *env, size_t len)
{
	struct tdo_ipc_hdr h;

	if (send(env->ipc, buf + 1, len - 1, MSG_NOSIGNAL) < 0)
		exit(EXIT_FAILURE);
	if (len - 1 < sizeof(h))
		return 0;
	memcpy(&h, buf + 1, sizeof(h));
	if (!has_answer(h.type))
		return 0;
	do {
		ssize_t n = recv(env->ipc, buf + 1, TDO_IPC_MSG_MAX, 0);

		if (n <= 0)
			exit(EXIT_FAILURE);
		memcpy(&h, buf + 1, sizeof(h));
		if (h.type == TDO_IPC_REPLY || h.type == TDO_IPC_STATUS_REPLY)
			return n;
		memcpy(scratch, buf + 1, (size_t)n);
		put_aside((size_t)n);
	} while (true);
}

/* Sends the IPv4 packet after the command letter. */
static void
send_raw(int fd, size_t len)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	memcpy(&sin.sin_addr, buf + 1 + 16, 4);
	(void)sendto(fd, buf + 1, len - 1, 0, (struct sockaddr *)&sin, sizeof(sin));
}

static int
udp_socket(const struct tdo_worker_fds *w, char letter)
{
	switch (letter) {
	case '4':
		return w->udp4_in;
	case '6':
		return w->udp6_in;
	case 'd':
		return w->udp4_out_df;
	case 'n':
		return w->udp4_out;
	case 's':
		return w->udp6_out;
	default:
		return -1;
	}
}

static void
answer_with(int client, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))];
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	buf[0] = '.';
	(void)sendmsg(client, &m, MSG_NOSIGNAL);
}

static void
serve(const struct tdo_data_env *env, int client)
{
	ssize_t n = recv(client, buf, sizeof(buf), 0), r = 0;

	if (n <= 0)
		return;
	switch (buf[0]) {
	case 'I':
		r = request(env, (size_t)n);
		break;
	case 'A':
		r = take_aside();
		break;
	case 'T':
		r = read(env->worker[0].tun, buf + 1, TDO_IPC_MSG_MAX);
		break;
	case 'W':
		if (write(env->worker[0].tun, buf + 1, (size_t)n - 1) < 0)
			r = 0;
		break;
	case 'F':
		answer_with(client, udp_socket(&env->worker[0], buf[1]));
		return;
	case 'S':
		send_raw(env->worker[0].raw4_out, (size_t)n);
		break;
	case 'C':
		send_raw(env->worker[0].raw4_clear, (size_t)n);
		break;
	default:
		break;
	}
	buf[0] = '.';
	(void)send(client, buf, 1 + (size_t)(r > 0 ? r : 0), MSG_NOSIGNAL);
}

/* Puts messages of the parent aside; true when it wants the process to end. */
static bool
collect(const struct tdo_data_env *env)
{
	struct tdo_ipc_hdr h;

	for (;;) {
		ssize_t n = recv(env->ipc, scratch, sizeof(scratch), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < (ssize_t)sizeof(h))
			return true;
		memcpy(&h, scratch, sizeof(h));
		if (h.type == TDO_IPC_STOP)
			return true;
		put_aside((size_t)n);
	}
}

int
tdo_data_main(const struct tdo_data_env *env)
{
	int client = -1;

	say(env, TDO_IPC_READY);
	for (;;) {
		struct pollfd fd[] = {
		    {.fd = env->ctl_listen, .events = POLLIN},
		    {.fd = client, .events = POLLIN},
		    {.fd = env->ipc, .events = POLLIN},
		};

		if (poll(fd, 3, -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (collect(env))
			return EXIT_SUCCESS;
		if (fd[0].revents) {
			if (client >= 0)
				close(client);
			client = accept(env->ctl_listen, NULL, NULL);
		} else if (fd[1].revents) {
			if (fd[1].revents & POLLIN) {
				serve(env, client);
			} else {
				close(client);
				client = -1;
			}
		}
	}
}
