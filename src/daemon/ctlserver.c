/* SPDX-License-Identifier: BSD-2-Clause */
/* Control server: connections; what is answered is in ctlanswer.c. */
#include "daemon/ctlserver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/peer.h"
#include "ipc/ctl.h"

struct client {
	struct tdo_source source; /* first */
	struct tdo_ctlserver *server;
	struct client *next;
	bool privileged, gone;
	char *text; /* answer that is being sent */
	size_t len, off;
};

struct tdo_ctlserver {
	struct tdo_source source; /* the listener; first */
	int epfd;
	const struct tdo_data_env *env;
	tdo_ctl_answer_fn answer;
	void *ctx;
	struct client *clients;
	unsigned nclients, nstrangers; /* strangers: clients without privileges */
};

static void
hang_up(struct client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	(void)tdo_source_ctl(c->server->epfd, EPOLL_CTL_DEL, &c->source, 0);
	(void)close(c->source.fd);
	free(c->text);
	c->text = NULL;
	c->server->nclients--;
	c->server->nstrangers -= !c->privileged;
}

void
tdo_ctlserver_reap(struct tdo_ctlserver *s)
{
	struct client **p = &s->clients, *c;

	while ((c = *p) != NULL) {
		if (c->gone) {
			*p = c->next;
			free(c);
		} else {
			p = &c->next;
		}
	}
}

/* Sends the answer as far as the socket takes it; then the next request may be read. */
static void
continue_answer(struct client *c)
{
	char buf[TDO_CTL_CHUNK];

	while (c->text != NULL) {
		size_t off = c->off, n = tdo_ctl_chunk(c->text, c->len, &off, buf);

		if (send(c->source.fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN || tdo_source_ctl(c->server->epfd, EPOLL_CTL_MOD,
						   &c->source, EPOLLOUT) != 0)
				hang_up(c);
			return;
		}
		c->off = off;
		if (off == c->len) {
			free(c->text);
			c->text = NULL;
		}
	}
	if (tdo_source_ctl(c->server->epfd, EPOLL_CTL_MOD, &c->source, EPOLLIN) != 0)
		hang_up(c);
}

static json_t *
answer(struct client *c, const char *text, size_t len)
{
	json_t *request, *a = NULL;

	if (!c->privileged)
		return json_pack("{s:s}", "error",
		    "only root, the owner of the daemon and its access group may ask");
	request = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(request))
		a = c->server->answer(c->server->ctx, request);
	json_decref(request);
	return a != NULL ? a : json_pack("{s:s}", "error", "the request is not understood");
}

static void
read_request(struct client *c)
{
	char buf[TDO_CTL_REQUEST_MAX];
	ssize_t n = recv(c->source.fd, buf, sizeof(buf), MSG_DONTWAIT);
	json_t *a;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	a = answer(c, buf, (size_t)n);
	c->text = a != NULL ? json_dumps(a, JSON_COMPACT) : NULL;
	json_decref(a);
	if (c->text == NULL) {
		hang_up(c);
		return;
	}
	c->len = strlen(c->text);
	c->off = 0;
	continue_answer(c);
}

static void
client_ready(struct tdo_source *s, uint32_t events)
{
	struct client *c = (struct client *)s;

	if (c->gone)
		return;
	if (c->text != NULL && !(events & (EPOLLHUP | EPOLLERR)))
		continue_answer(c);
	else if (c->text != NULL)
		hang_up(c);
	else
		read_request(c);
}

/* Those who are only told that they may not ask cannot keep out those who may. */
static bool
may_stay(const struct client *c)
{
	return c->privileged || c->server->nstrangers < TDO_CTL_STRANGERS_MAX;
}

static void
listener_ready(struct tdo_source *s, uint32_t events)
{
	struct tdo_ctlserver *server = (struct tdo_ctlserver *)s;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c = NULL;
	uint32_t pid;

	if (fd < 0)
		return;
	if (server->nclients < TDO_CTL_CLIENTS_MAX)
		c = calloc(1, sizeof(*c));
	if (c != NULL) {
		c->source = (struct tdo_source){.fd = fd, .ready = client_ready};
		c->server = server;
		c->privileged = tdo_peer_privileged(fd, server->env, &pid);
	}
	if (c == NULL || !may_stay(c) ||
	    tdo_source_ctl(server->epfd, EPOLL_CTL_ADD, &c->source, EPOLLIN) != 0) {
		free(c);
		(void)close(fd);
		return;
	}
	c->next = server->clients;
	server->clients = c;
	server->nclients++;
	server->nstrangers += !c->privileged;
}

int
tdo_ctlserver_new(int epfd, const struct tdo_data_env *env, tdo_ctl_answer_fn answer_fn, void *ctx,
    struct tdo_ctlserver **ret)
{
	struct tdo_ctlserver *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->source = (struct tdo_source){.fd = env->ctl_listen, .ready = listener_ready};
	s->epfd = epfd;
	s->env = env;
	s->answer = answer_fn;
	s->ctx = ctx;
	rc = tdo_source_ctl(epfd, EPOLL_CTL_ADD, &s->source, EPOLLIN);
	if (rc != 0) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void
tdo_ctlserver_free(struct tdo_ctlserver *s)
{
	if (s == NULL)
		return;
	for (struct client *c = s->clients; c != NULL; c = c->next)
		hang_up(c);
	tdo_ctlserver_reap(s);
	free(s);
}
