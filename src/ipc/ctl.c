/* SPDX-License-Identifier: BSD-2-Clause */
/* The control protocol: cutting and joining answers, and the client's call. */
#include "ipc/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

size_t
tdo_ctl_chunk(const char *text, size_t len, size_t *off, char *buf)
{
	size_t n = len - *off;

	if (n > TDO_CTL_CHUNK - 1)
		n = TDO_CTL_CHUNK - 1;
	memcpy(buf + 1, text + *off, n);
	*off += n;
	buf[0] = *off == len ? TDO_CTL_LAST : TDO_CTL_MORE;
	return n + 1;
}

int
tdo_ctl_collect(struct tdo_ctl_answer *a, const char *dgram, size_t len)
{
	char *text;

	if (a->complete || len < 1 || (dgram[0] != TDO_CTL_MORE && dgram[0] != TDO_CTL_LAST))
		return -EPROTO;
	if (len - 1 > TDO_CTL_ANSWER_MAX - a->len)
		return -EMSGSIZE;
	text = realloc(a->text, a->len + len);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text + a->len, dgram + 1, len - 1);
	a->text = text;
	a->len += len - 1;
	a->complete = dgram[0] == TDO_CTL_LAST;
	return 0;
}

void
tdo_ctl_answer_fini(struct tdo_ctl_answer *a)
{
	free(a->text);
	memset(a, 0, sizeof(*a));
}

static int
receive(int fd, struct tdo_ctl_answer *a)
{
	static char buf[TDO_CTL_CHUNK + 1];

	while (!a->complete) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -ECONNRESET : -errno;
		if ((rc = tdo_ctl_collect(a, buf, (size_t)n)) != 0)
			return rc;
	}
	return 0;
}

int
tdo_ctl_call(int fd, const json_t *request, json_t **ret)
{
	struct tdo_ctl_answer a = {0};
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer = NULL;
	int rc = -ENOMEM;

	if (text == NULL)
		return rc;
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		rc = -errno;
	else
		rc = receive(fd, &a);
	free(text);
	if (rc == 0) {
		answer = json_loadb(a.text, a.len, 0, NULL);
		if (!json_is_object(answer))
			rc = -EPROTO;
	}
	tdo_ctl_answer_fini(&a);
	if (rc == 0)
		*ret = answer;
	else
		json_decref(answer);
	return rc;
}
