/* SPDX-License-Identifier: BSD-2-Clause */
/* Netlink sockets: requests with an acknowledgement, dumps, notifications. */
#ifndef TDO_OS_NL_H
#define TDO_OS_NL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#define TDO_NL_BUF 32768 /* what one read of a netlink socket can fill */

struct tdo_nl {
	struct mnl_socket *s;
	uint32_t portid; /* of this socket, as notifications about its requests carry it */
	uint32_t seq;    /* of the last request */
};

/*
 * Opens a socket of this netlink family (NETLINK_ROUTE ...).  A socket for notifications is
 * non-blocking and joins groups with tdo_nl_join().  0 or -errno.
 */
int tdo_nl_open(struct tdo_nl *nl, int family);
/* nl may be all zero. */
void tdo_nl_close(struct tdo_nl *nl);
int tdo_nl_fd(const struct tdo_nl *nl);
int tdo_nl_join(struct tdo_nl *nl, unsigned group);

/*
 * Starts a request in buf; the caller adds the body with mnl_*.  tdo_nl_talk() sends it and
 * waits for its acknowledgement: 0 or the kernel's -errno.
 */
struct nlmsghdr *tdo_nl_request(struct tdo_nl *nl, void *buf, uint16_t type, uint16_t flags);
int tdo_nl_talk(struct tdo_nl *nl, struct nlmsghdr *req);

/* Called for each message; 0 goes on, another value is returned by the caller. */
typedef int (*tdo_nl_fn)(void *ctx, const struct nlmsghdr *m);

/* Sends req and gives every answer before the acknowledgement to fn. */
int tdo_nl_ask(struct tdo_nl *nl, struct nlmsghdr *req, tdo_nl_fn fn, void *ctx);
/* The same with NLM_F_DUMP. */
int tdo_nl_dump(struct tdo_nl *nl, struct nlmsghdr *req, tdo_nl_fn fn, void *ctx);
/*
 * Gives all notifications that wait to fn, without blocking.  Returns 0, -errno of the
 * socket (-ENOBUFS: some were lost) or what fn returned.
 */
int tdo_nl_drain(struct tdo_nl *nl, tdo_nl_fn fn, void *ctx);

#endif
