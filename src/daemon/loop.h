/* SPDX-License-Identifier: BSD-2-Clause */
/* The control thread's event loop: descriptors and what to call when they are ready. */
#ifndef TDO_DAEMON_LOOP_H
#define TDO_DAEMON_LOOP_H

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Embedded in the object that owns fd. */
struct tdo_source {
	int fd;
	void (*ready)(struct tdo_source *s, uint32_t events);
};

static inline int
tdo_source_ctl(int epfd, int op, struct tdo_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(epfd, op, s->fd, &ev) == 0 ? 0 : -errno;
}

#endif
