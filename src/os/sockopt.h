/* SPDX-License-Identifier: BSD-2-Clause */
/* What the openers of sockets share. */
#ifndef TDO_OS_SOCKOPT_H
#define TDO_OS_SOCKOPT_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testudo/types.h"

#define TDO_SOCK_BUFFER (8 * 1024 * 1024)

static inline int
tdo_sock_domain(enum tdo_af af)
{
	return af == TDO_AF_INET ? AF_INET : AF_INET6;
}

static inline bool
tdo_sock_on(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/*
 * As large as we may: the forced size needs the initial user namespace.  forced, plain:
 * SO_RCVBUFFORCE and SO_RCVBUF, or those of sending.
 */
static inline void
tdo_sock_set_buffer(int fd, int forced, int plain)
{
	if (!tdo_sock_on(fd, SOL_SOCKET, forced, TDO_SOCK_BUFFER))
		(void)tdo_sock_on(fd, SOL_SOCKET, plain, TDO_SOCK_BUFFER);
}

/* Closes fd and returns -errno of what went wrong before. */
static inline int
tdo_sock_failed(int fd)
{
	int e = errno;

	close(fd);
	return -e;
}

#endif
