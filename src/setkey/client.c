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

#define ROW_MSGS 64 /* requests in one packet: answers come while the next ones are made */

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
	*w = tdo_wr_init(c->out + c->out_len, TDO_SADB_MAXLEN);
	tdo_sadb_begin(w, &(struct tdo_sadb_base){
			      .type = type, .satype = satype, .seq = ++c->seq, .pid = c->pid});
	return c->seq;
}

int
tdo_client_add(struct client *c, struct tdo_wr *w)
{
	size_t len = tdo_sadb_end(w);

	if (len == 0)
		return -E2BIG;
	if (c->trace)
		tdo_print_message(c->trace, c->out + c->out_len, len);
	c->out_len += len;
	c->unsent++;
	return !c->rows || c->trace || c->unsent >= ROW_MSGS || c->out_len >= TDO_SADB_ROW_FULL;
}

int
tdo_client_push(struct client *c)
{
	ssize_t n;

	if (c->unsent == 0)
		return 0;
	do
		n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	tdo_wipe(c->out, c->out_len);
	c->out_len = 0;
	c->unsent = 0;
	return n < 0 ? -errno : 0;
}

int
tdo_client_send(struct client *c, struct tdo_wr *w)
{
	int r = tdo_client_add(c, w);

	return r < 0 ? r : tdo_client_push(c);
}

bool
tdo_client_writable(struct client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	return poll(&p, 1, 0) != 0; /* errors are found by sending */
}

bool
tdo_client_has_more(const struct client *c)
{
	return c->in_at < c->in_len;
}

/* The next packet: 1; 0 when none came within the time; -errno. */
static int
receive(struct client *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	ssize_t n;
	int r;

	for (;;) {
		n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
		do
			r = poll(&p, 1, timeout_ms);
		while (r < 0 && errno == EINTR);
		if (r <= 0)
			return r < 0 ? -errno : 0;
	}
	c->in_at = 0;
	c->in_len = (size_t)n;
	return 1;
}

int
tdo_client_recv(struct client *c, struct tdo_sadb_msg *ret, int timeout_ms)
{
	const uint8_t *msg;
	size_t len;
	int r;

	/* What does not parse answers nothing that we asked. */
	do {
		r = tdo_client_has_more(c) ? 1 : receive(c, timeout_ms);
		if (r <= 0)
			return r;
		msg = c->in + c->in_at;
		len = c->in_len - c->in_at;
		if (c->rows)
			len = tdo_sadb_row_next(msg, len);
		c->in_at += len;
	} while (tdo_sadb_parse(msg, len, ret, NULL) != 0);
	if (c->trace)
		tdo_print_message(c->trace, msg, len);
	return 1;
}

int
tdo_client_ask_rows(struct client *c, int timeout_ms)
{
	uint32_t seq = c->seq;
	struct tdo_sadb_msg m;
	struct tdo_wr w;
	int r;

	(void)tdo_client_begin(c, &w, TDO_SADB_X_TDO_ROWS, TDO_SATYPE_UNSPEC);
	r = tdo_client_send(c, &w);
	/* The numbers of requests do not depend on it. */
	c->seq = seq;
	if (r != 0)
		return r;
	do
		r = tdo_client_recv(c, &m, timeout_ms);
	while (r > 0 && (m.base.type != TDO_SADB_X_TDO_ROWS || m.base.pid != c->pid));
	if (r > 0)
		c->rows = m.base.err == 0;
	return r < 0 ? r : 0;
}
