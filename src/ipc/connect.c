/* SPDX-License-Identifier: BSD-2-Clause */
/* Client side of the abstract sockets: connecting, and whom to believe. */
#define _GNU_SOURCE /* struct ucred */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/names.h"

/*
 * The kernel translates the server's uid into this user namespace.  In a nested one that
 * does not map the server, root of the outer one appears as the overflow uid, and so does
 * everybody else who could have bound the name: such a client is refused.
 */
static int
check_server(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (len != sizeof(cred) || (cred.uid != 0 && cred.uid != geteuid()))
		return -EPERM;
	return 0;
}

int
tdo_ipc_connect(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd, r;

	if (n > sizeof(sun.sun_path) - 1)
		return -ENAMETOOLONG;
	/* unix(7): the leading NUL makes it abstract; the length, not a NUL, ends it. */
	memcpy(sun.sun_path + 1, name, n);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0)
		r = -errno;
	else
		r = check_server(fd);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}
