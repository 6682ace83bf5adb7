/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY server. */
#include "daemon/pfkeyserver.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ct.h"
#include "daemon/peer.h"
#include "os/clock.h"
#include "wire/pfkey_msg.h"

/*
 * What one client may do before others have their turn.  Every change is told to all clients: more
 * is sent in a turn than read, or answers would wait behind a growing queue of what others do.
 */
#define IN_PER_TURN  16  /* packets read */
#define MSG_PER_TURN 32  /* ... until these are as many messages */
#define OUT_PER_TURN 256 /* packets sent */
#define ROW_PER_TURN 512 /* ... until these are as many messages */
_Static_assert(MSG_PER_TURN + TDO_SADB_ROW_MSGS <= OUT_PER_TURN, "queues do not grow");

struct client {
	struct tdo_source source; /* first: a source is its client */
	struct tdo_keyserver *server;
	struct tdo_pfkey_client *end;
	struct client *prev, *next;
	struct client *next_awake;
	bool awake; /* is in the list of clients that may have output */
	bool privileged;
	bool changed_spd; /* sent a message that changes the SPD */
	bool silent;      /* has nothing more to say (shutdown), but may listen */
	bool deaf;        /* does not listen any more, but what it said counts */
	bool gone;        /* to be freed at the end of the turn */
	uint32_t events;  /* that epoll waits for */
	uint8_t *stash;   /* a packet that did not fit into the socket */
	size_t stash_len;
};

struct tdo_keyserver {
	struct tdo_source source; /* the listener; first */
	int epfd;
	const struct tdo_data_env *env;
	struct tdo_keyserver_hooks hooks;
	struct tdo_pfkey *pfkey;
	struct client *clients, *awake;
	unsigned nclients, nstrangers; /* strangers: clients without privileges */
	uint8_t *buf;                  /* one packet */
};

unsigned
tdo_keyserver_clients(const struct tdo_keyserver *ks)
{
	return ks->nclients;
}

void
tdo_keyserver_wake(void *ctx, void *cookie)
{
	struct tdo_keyserver *ks = ctx;
	struct client *c = cookie;

	if (c == NULL || c->awake)
		return;
	c->awake = true;
	c->next_awake = ks->awake;
	ks->awake = c;
}

static void
drop_stash(struct client *c)
{
	if (c->stash != NULL)
		tdo_wipe(c->stash, c->stash_len);
	free(c->stash);
	c->stash = NULL;
	c->stash_len = 0;
}

/* Ends the connection; the memory goes when the turn is over, it may be in the awake list. */
static void
hang_up(struct client *c)
{
	struct tdo_keyserver *ks = c->server;

	if (c->gone)
		return;
	c->gone = true;
	(void)tdo_source_ctl(ks->epfd, EPOLL_CTL_DEL, &c->source, 0);
	(void)close(c->source.fd);
	tdo_pfkey_close(c->end);
	c->end = NULL;
	drop_stash(c);
	ks->nclients--;
	ks->nstrangers -= !c->privileged;
	if (c->changed_spd)
		ks->hooks.spd_client_gone(ks->hooks.ctx);
	tdo_keyserver_wake(ks, c);
}

static void
unlink_client(struct client *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->server->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	free(c);
}

/* ---- output ------------------------------------------------------------------------- */

static int
socket_failed(const struct client *c)
{
	tdo_pfkey_count_sockerr(c->server->pfkey);
	return -1;
}

/*
 * 1 sent, 0 the socket is full, -1 the client is gone.  Who hung up with answers unread may have
 * said more that is still to be read: its answers go nowhere meanwhile.
 */
static int
send_one(struct client *c, const uint8_t *msg, size_t len)
{
	while (!c->deaf) {
		if (send(c->source.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 1;
		if (errno == EAGAIN || errno == ENOBUFS)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EPIPE && errno != ECONNRESET)
			return socket_failed(c);
		(void)socket_failed(c);
		c->deaf = true;
	}
	return 1;
}

static int
send_stash(struct client *c)
{
	int rc = c->stash == NULL ? 1 : send_one(c, c->stash, c->stash_len);

	if (rc == 1)
		drop_stash(c);
	return rc;
}

/* The next packet, in ks->buf: one message, or as many as make a row full; counts them. */
static size_t
pull_packet(struct client *c, unsigned *count)
{
	size_t len = 0, n;

	do {
		n = tdo_pfkey_pull(c->end, c->server->buf + len, TDO_PFKEY_MSG_MAX);
		len += n;
		*count += n > 0;
	} while (n > 0 && tdo_pfkey_rows(c->end) && len < TDO_SADB_ROW_FULL);
	return len;
}

static int
send_next(struct client *c, unsigned *count)
{
	struct tdo_keyserver *ks = c->server;
	size_t len = pull_packet(c, count);
	int rc;

	if (len == 0)
		return 0;
	rc = send_one(c, ks->buf, len);
	if (rc == 0) {
		c->stash = malloc(len);
		if (c->stash == NULL) {
			rc = -1; /* better no client than one that lost a message */
		} else {
			memcpy(c->stash, ks->buf, len);
			c->stash_len = len;
		}
	}
	tdo_wipe(ks->buf, len);
	return rc;
}

/* A client that does not read its answers is not read from either. */
static void
choose_events(struct client *c)
{
	bool blocked = c->stash != NULL || tdo_pfkey_pending(c->end);
	/* Whether it hangs up is told in any case. */
	uint32_t events = blocked ? EPOLLOUT : c->silent ? 0 : EPOLLIN;

	if (events != c->events) {
		c->events = events;
		if (tdo_source_ctl(c->server->epfd, EPOLL_CTL_MOD, &c->source, events) != 0)
			hang_up(c);
	}
}

static void
write_client(struct client *c)
{
	unsigned count = 0;
	int rc = send_stash(c);

	for (unsigned i = 0; rc == 1 && i < OUT_PER_TURN && count < ROW_PER_TURN; i++)
		rc = send_next(c, &count);
	if (rc < 0)
		hang_up(c);
	else
		choose_events(c);
}

void
tdo_keyserver_flush(struct tdo_keyserver *ks)
{
	struct client *c;

	while ((c = ks->awake) != NULL) {
		ks->awake = c->next_awake;
		c->awake = false;
		if (!c->gone)
			write_client(c);
		if (c->gone && !c->awake)
			unlink_client(c);
	}
}

/* ---- input -------------------------------------------------------------------------- */

static bool
changes_spd(const uint8_t *msg, size_t len)
{
	struct tdo_sadb_base b;

	if (!tdo_sadb_base_read(msg, len, &b))
		return false;
	return b.type == TDO_SADB_X_SPDADD || b.type == TDO_SADB_X_SPDUPDATE ||
	       b.type == TDO_SADB_X_SPDSETIDX;
}

/* One message unit more than the longest packet, so that a datagram cut off to fit is never as
 * long as its length field says: it is answered EMSGSIZE like every other wrong length. */
#define BUF_LEN (TDO_SADB_ROW_MAX + 8)

static void
take_message(struct client *c, const uint8_t *msg, size_t len)
{
	struct tdo_keyserver *ks = c->server;

	tdo_pfkey_input(c->end, msg, len, tdo_clock_now());
	/* What strangers send is refused: it says nothing about who loads policies. */
	if (c->privileged && changes_spd(msg, len)) {
		c->changed_spd = true;
		ks->hooks.spd_changed(ks->hooks.ctx);
	}
}

/* The messages of a packet; what is too much for a row is one that does not parse. */
static int
take_packet(struct client *c, const uint8_t *p, size_t len)
{
	struct tdo_keyserver *ks = c->server;
	bool row = c->privileged && tdo_pfkey_rows(c->end) && tdo_sadb_row_next(p, len) < len;
	int count = 0;

	if (row)
		ks->hooks.row_begins(ks->hooks.ctx, p, len);
	do {
		bool cut = tdo_pfkey_rows(c->end) && count < TDO_SADB_ROW_MSGS - 1;
		size_t n = cut ? tdo_sadb_row_next(p, len) : len;

		take_message(c, p, n);
		p += n;
		len -= n;
		count++;
	} while (len > 0);
	if (row)
		ks->hooks.row_ends(ks->hooks.ctx);
	return count;
}

/* Nothing was read: is that the end, or a message of no bytes? */
static bool
has_finished(const struct client *c)
{
	struct pollfd p = {.fd = c->source.fd, .events = POLLRDHUP};
	char next;

	return poll(&p, 1, 0) != 0 && recv(c->source.fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* One packet: the number of its messages, 0 there is or comes none, -1 the client is gone. */
static int
read_one(struct client *c)
{
	struct tdo_keyserver *ks = c->server;
	size_t room = tdo_pfkey_rows(c->end) ? BUF_LEN : TDO_PFKEY_MSG_MAX + 8;
	struct iovec iov = {ks->buf, room};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(c->source.fd, &m, MSG_DONTWAIT);
	int count;

	/* It left answers unread: told once, then comes what it had sent. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(c->source.fd, &m, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : socket_failed(c);
	if (n == 0 && has_finished(c)) {
		c->silent = true;
		return 0;
	}
	count = take_packet(c, ks->buf, (size_t)n);
	tdo_wipe(ks->buf, (size_t)n);
	return count;
}

static void
read_client(struct client *c, uint32_t events)
{
	int rc = 1, count = 0;

	for (unsigned i = 0; rc > 0 && i < IN_PER_TURN && count < MSG_PER_TURN; i++) {
		rc = read_one(c);
		count += rc;
	}
	c->server->hooks.processed(c->server->hooks.ctx);
	tdo_keyserver_wake(c->server, c);
	if (rc < 0 || (c->silent && (events & (EPOLLHUP | EPOLLERR))))
		hang_up(c);
}

static void
client_ready(struct tdo_source *s, uint32_t events)
{
	struct client *c = (struct client *)s;

	if (c->gone)
		return;
	/* What was sent before a client hung up counts: messages are read until the end. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_client(c, events);
	else
		tdo_keyserver_wake(c->server, c);
}

/* ---- connections -------------------------------------------------------------------- */

static int
add_client(struct tdo_keyserver *ks, int fd)
{
	struct tdo_pfkey_cred cred;
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->source = (struct tdo_source){.fd = fd, .ready = client_ready};
	c->server = ks;
	c->events = EPOLLIN;
	cred.privileged = c->privileged = tdo_peer_privileged(fd, ks->env, &cred.pid);
	rc = c->privileged || ks->nstrangers < TDO_PFKEY_STRANGERS_MAX ? 0 : -EUSERS;
	if (rc == 0)
		rc = tdo_pfkey_open(ks->pfkey, &cred, c, &c->end);
	if (rc == 0) {
		rc = tdo_source_ctl(ks->epfd, EPOLL_CTL_ADD, &c->source, c->events);
		if (rc != 0)
			tdo_pfkey_close(c->end);
	}
	if (rc != 0) {
		free(c);
		return rc;
	}
	c->next = ks->clients;
	if (c->next != NULL)
		c->next->prev = c;
	ks->clients = c;
	ks->nclients++;
	ks->nstrangers += !c->privileged;
	return 0;
}

static void
listener_ready(struct tdo_source *s, uint32_t events)
{
	struct tdo_keyserver *ks = (struct tdo_keyserver *)s;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (ks->nclients >= TDO_PFKEY_CLIENTS_MAX || add_client(ks, fd) != 0)
		(void)close(fd);
}

int
tdo_keyserver_new(int epfd, const struct tdo_data_env *env, const struct tdo_keyserver_hooks *hooks,
    struct tdo_keyserver **ret)
{
	struct tdo_keyserver *ks = calloc(1, sizeof(*ks));
	int rc;

	if (ks == NULL)
		return -ENOMEM;
	ks->source = (struct tdo_source){.fd = env->pfkey_listen, .ready = listener_ready};
	ks->epfd = epfd;
	ks->env = env;
	ks->hooks = *hooks;
	ks->buf = malloc(BUF_LEN);
	rc = ks->buf == NULL ? -ENOMEM : tdo_source_ctl(epfd, EPOLL_CTL_ADD, &ks->source, EPOLLIN);
	if (rc != 0) {
		free(ks->buf);
		free(ks);
		return rc;
	}
	*ret = ks;
	return 0;
}

void
tdo_keyserver_attach(struct tdo_keyserver *ks, struct tdo_pfkey *pfkey)
{
	ks->pfkey = pfkey;
}

void
tdo_keyserver_free(struct tdo_keyserver *ks)
{
	if (ks == NULL)
		return;
	for (struct client *c = ks->clients; c != NULL; c = c->next)
		hang_up(c);
	for (struct client *c; (c = ks->clients) != NULL;) {
		ks->clients = c->next;
		free(c);
	}
	free(ks->buf);
	free(ks);
}
