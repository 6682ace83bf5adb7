/* SPDX-License-Identifier: BSD-2-Clause */
/* The data process's end of the channel to the parent. */
#include "daemon/parentlink.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io/nfq.h"

#define LOG_MAX 1024

struct tdo_aside {
	struct tdo_aside *next;
	size_t len;
	uint8_t bytes[];
};

int
tdo_parentlink_init(struct tdo_parentlink *l, int fd)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->tail = &l->head;
	l->buf = malloc(TDO_IPC_MSG_MAX);
	return l->buf == NULL ? -ENOMEM : 0;
}

static struct tdo_aside *
take_aside(struct tdo_parentlink *l)
{
	struct tdo_aside *a = l->head;

	if (a == NULL)
		return NULL;
	l->head = a->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->naside--;
	return a;
}

void
tdo_parentlink_fini(struct tdo_parentlink *l)
{
	struct tdo_aside *a;

	while ((a = take_aside(l)) != NULL)
		free(a);
	free(l->buf);
	l->buf = NULL;
}

static int
broken(struct tdo_parentlink *l, int rc)
{
	l->broken = true;
	return rc;
}

static int
wait_for(struct tdo_parentlink *l, short events)
{
	struct pollfd p = {.fd = l->fd, .events = events};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Reads one message into buf: its length, 0 when there is none, or -errno. */
static ssize_t
receive(struct tdo_parentlink *l)
{
	for (;;) {
		struct iovec iov = {l->buf, TDO_IPC_MSG_MAX};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(l->fd, &m, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return broken(l, n == 0 ? -EPIPE : -errno);
		if ((size_t)n < sizeof(struct tdo_ipc_hdr) || (m.msg_flags & MSG_TRUNC))
			return broken(l, -EPROTO);
		return n;
	}
}

static void
refuse_packet(struct tdo_parentlink *l, size_t len)
{
	struct tdo_ipc_verdict v = {0};
	size_t h = sizeof(struct tdo_ipc_hdr);

	if (tdo_nfq_id(l->buf + h, len - h, &v.id))
		(void)tdo_parentlink_tell(l, TDO_IPC_VERDICT, &v, sizeof(v));
}

/* The message in buf is not what is waited for. */
static int
put_aside(struct tdo_parentlink *l, size_t len)
{
	struct tdo_ipc_hdr h;
	struct tdo_aside *a;

	memcpy(&h, l->buf, sizeof(h));
	if (h.type == TDO_IPC_QUEUED && l->naside >= TDO_PARENTLINK_ASIDE) {
		refuse_packet(l, len);
		return 0;
	}
	a = malloc(sizeof(*a) + len);
	if (a == NULL)
		return broken(l, -ENOMEM);
	a->next = NULL;
	a->len = len;
	memcpy(a->bytes, l->buf, len);
	*l->tail = a;
	l->tail = &a->next;
	l->naside++;
	return 0;
}

/*
 * Sends one message.  When the parent's queue is full it is waited for, and what it sends is
 * read meanwhile: both sides waiting for each other must not be possible.
 */
static int
send_msg(
    struct tdo_parentlink *l, enum tdo_ipc_type type, uint32_t seq, const void *body, size_t len)
{
	struct tdo_ipc_hdr h = {type, seq};
	union {
		const void *in;
		void *out;
	} b = {.in = body}; /* an iovec is not const, sendmsg() reads only */
	struct iovec iov[2] = {{&h, sizeof(h)}, {b.out, len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = len > 0 ? 2 : 1};

	if (l->broken)
		return -EPIPE;
	while (sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN | POLLOUT};
		ssize_t n;
		int rc;

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return broken(l, -errno);
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return broken(l, -errno);
		if (!(p.revents & POLLIN))
			continue;
		n = receive(l);
		if (n < 0)
			return (int)n;
		if (n > 0 && (rc = put_aside(l, (size_t)n)) != 0)
			return rc;
	}
	return 0;
}

int
tdo_parentlink_tell(struct tdo_parentlink *l, enum tdo_ipc_type type, const void *body, size_t len)
{
	return send_msg(l, type, 0, body, len);
}

/* Sends a request and waits for the answer of this type and size. */
static int
request(struct tdo_parentlink *l, enum tdo_ipc_type type, const void *body, size_t len,
    enum tdo_ipc_type want, void *ret, size_t ret_len)
{
	uint32_t seq = ++l->seq;
	int rc = send_msg(l, type, seq, body, len);

	while (rc == 0) {
		struct tdo_ipc_hdr h;
		ssize_t n = receive(l);

		if (n < 0)
			return (int)n;
		if (n == 0) {
			rc = wait_for(l, POLLIN);
			continue;
		}
		memcpy(&h, l->buf, sizeof(h));
		if (h.type != TDO_IPC_REPLY && h.type != TDO_IPC_STATUS_REPLY) {
			rc = put_aside(l, (size_t)n);
			continue;
		}
		if (h.type != want || h.seq != seq || (size_t)n != sizeof(h) + ret_len)
			return broken(l, -EPROTO);
		memcpy(ret, l->buf + sizeof(h), ret_len);
		return 0;
	}
	return rc;
}

int
tdo_parentlink_ask(struct tdo_parentlink *l, enum tdo_ipc_type type, const void *body, size_t len)
{
	int32_t reply = 0;
	int rc = request(l, type, body, len, TDO_IPC_REPLY, &reply, sizeof(reply));

	return rc != 0 ? rc : reply;
}

int
tdo_parentlink_status(struct tdo_parentlink *l, struct tdo_ipc_status *ret)
{
	return request(l, TDO_IPC_STATUS, NULL, 0, TDO_IPC_STATUS_REPLY, ret, sizeof(*ret));
}

static bool
well_formed(const struct tdo_parent_msg *m)
{
	switch (m->type) {
	case TDO_IPC_QUEUED:
		return true;
	case TDO_IPC_LOCAL:
		return m->len % sizeof(struct tdo_addr) == 0;
	case TDO_IPC_STOP:
		return m->len == 0;
	default:
		return false;
	}
}

int
tdo_parentlink_next(struct tdo_parentlink *l, struct tdo_parent_msg *ret)
{
	struct tdo_aside *a = take_aside(l);
	struct tdo_parent_msg m;
	struct tdo_ipc_hdr h;
	ssize_t n;

	if (a != NULL) {
		n = (ssize_t)a->len;
		memcpy(l->buf, a->bytes, a->len);
		free(a);
	} else if ((n = receive(l)) <= 0) {
		return (int)n;
	}
	memcpy(&h, l->buf, sizeof(h));
	m.type = (enum tdo_ipc_type)h.type;
	m.body = l->buf + sizeof(h);
	m.len = (size_t)n - sizeof(h);
	if (!well_formed(&m))
		return broken(l, -EPROTO);
	*ret = m;
	return 1;
}

bool
tdo_parentlink_pending(const struct tdo_parentlink *l)
{
	return l->head != NULL;
}

void
tdo_parentlink_log(void *ctx, enum tdo_log_level level, const char *text)
{
	const struct tdo_parentlink *l = ctx;
	uint8_t msg[sizeof(struct tdo_ipc_hdr) + 1 + LOG_MAX];
	struct tdo_ipc_hdr h = {TDO_IPC_LOG, 0};
	size_t len = strnlen(text, LOG_MAX);

	memcpy(msg, &h, sizeof(h));
	msg[sizeof(h)] = (uint8_t)level;
	memcpy(msg + sizeof(h) + 1, text, len);
	(void)send(l->fd, msg, sizeof(h) + 1 + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool
may_reject(const struct tdo_req *r)
{
	return r->level != TDO_LEVEL_USE;
}

bool
tdo_cover_needed(const struct tdo_sp_param *sp)
{
	if (sp->type == TDO_POLICY_DISCARD)
		return true;
	if (sp->type != TDO_POLICY_IPSEC)
		return false;
	if (sp->dir == TDO_DIR_OUT || sp->unset)
		return true;
	for (unsigned i = 0; i < sp->nreq && i < TDO_REQ_MAX; i++)
		if (may_reject(&sp->req[i]))
			return true;
	return false;
}
