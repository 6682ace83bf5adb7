/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection to testudod. */
#include "setkey/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ct.h"
#include "ipc/names.h"
#include "setkey/print.h"

int
tdo_client_open(struct client *c)
{
	int fd = tdo_ipc_connect(TDO_PFKEY_NAME);

	if (fd < 0)
		return fd;
	c->fd = fd;
	c->pid = (uint32_t)getpid();
	c->seq = 0;
	return 0;
}

const char *
tdo_client_open_text(int err)
{
	switch (-err) {
	case ECONNREFUSED:
		return "no testudod in this network namespace (start testudod)";
	case EPERM:
		return "the PF_KEY server here belongs to another user; it gets no keys from us";
	default:
		return strerror(-err);
	}
}

void
tdo_client_close(struct client *c)
{
	tdo_wipe(c->in, sizeof(c->in));
	tdo_wipe(c->out, sizeof(c->out));
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

uint32_t
tdo_client_begin(struct client *c, struct tdo_wr *w, uint8_t type, uint8_t satype)
{
	*w = tdo_wr_init(c->out, sizeof(c->out));
	tdo_sadb_begin(w, &(struct tdo_sadb_base){
			      .type = type, .satype = satype, .seq = ++c->seq, .pid = c->pid});
	return c->seq;
}

int
tdo_client_send(struct client *c, struct tdo_wr *w)
{
	size_t len = tdo_sadb_end(w);
	ssize_t n;

	if (len == 0)
		return -E2BIG;
	if (c->trace)
		tdo_print_message(c->trace, c->out, len);
	do
		n = send(c->fd, c->out, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	tdo_wipe(c->out, len);
	return n < 0 ? -errno : 0;
}

bool
tdo_client_writable(struct client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	return poll(&p, 1, 0) != 0; /* errors are found by sending */
}

int
tdo_client_recv(struct client *c, struct tdo_sadb_msg *ret, int timeout_ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	ssize_t n;
	int r;

	do {
		do
			r = poll(&p, 1, timeout_ms);
		while (r < 0 && errno == EINTR);
		if (r <= 0)
			return r < 0 ? -errno : 0;
		n = recv(c->fd, c->in, sizeof(c->in), 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EINTR)
			return -errno;
		/* What does not parse answers nothing that we asked. */
	} while (n < 0 || tdo_sadb_parse(c->in, (size_t)n, ret, NULL) != 0);
	if (c->trace)
		tdo_print_message(c->trace, c->in, (size_t)n);
	return 1;
}
