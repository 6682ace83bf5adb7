/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that testudod adds to a host, and its removal: the TUN with its settings, rules,
 * routes, the fence (nftables), the queue, and the watch that puts back what others remove.
 */
#ifndef TDO_DAEMON_ATTACH_H
#define TDO_DAEMON_ATTACH_H

#include "daemon/conf.h"
#include "daemon/data.h"
#include "daemon/fence.h"
#include "os/queue.h"
#include "os/watch.h"
#include "testudo/types.h"

struct tdo_attach {
	const struct tdo_conf *conf; /* borrowed */
	struct tdo_marks marks;
	struct tdo_nl route;
	struct tdo_fence *fence;
	struct tdo_watch watch;
	struct tdo_queue queue;
	bool has_queue, has_inet, has_inet6;
	uint32_t ifindex;
	int tun[TDO_WORKERS_MAX];
	uint64_t repairs;
};

/*
 * Attaches with nothing covered.  0, or -errno after a message was logged; then all is removed
 * again.  a is the caller's storage.
 */
int tdo_attach_open(struct tdo_attach *a, const struct tdo_conf *conf);
/* Ordered end: removes everything. */
void tdo_attach_close(struct tdo_attach *a);

/* Opens the sockets of the workers and fills w[0 .. conf->workers - 1], with the TUN's queues. */
int tdo_attach_workers(const struct tdo_attach *a, struct tdo_worker_fds *w);
/* All descriptors -1. */
void tdo_attach_no_fds(struct tdo_worker_fds *w);
void tdo_attach_close_workers(struct tdo_worker_fds *w, unsigned n);

/*
 * Reads the watch and puts things back.  Returns TDO_WATCH_LOCAL when addresses of the
 * host changed, TDO_WATCH_GONE when the TUN was deleted: the caller ends the data process,
 * calls tdo_attach_reopen() and starts another one.
 */
unsigned tdo_attach_watch(struct tdo_attach *a);
int tdo_attach_reopen(struct tdo_attach *a);

/* The host's addresses: at most max are written to out, their number is returned. */
unsigned tdo_attach_local(struct tdo_attach *a, struct tdo_addr *out, unsigned max);

#endif
