/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path MTU by destination, remembered for a short time so that a packet costs no system call.
 * The kernel knows the truth (device, route, ICMP errors for our own packets); it is asked again
 * when an answer is older than a second.  What a refused send taught is kept longer.
 */
#ifndef TDO_IO_PMTU_H
#define TDO_IO_PMTU_H

#include "testudo/types.h"

#define TDO_PMTU_ENTRIES   256
#define TDO_PMTU_FRESH     TDO_SEC        /* an answer of the kernel is believed for this time */
#define TDO_PMTU_LOWERED   (30 * TDO_SEC) /* a limit that a send found out */
#define TDO_PMTU_UNKNOWN   1500           /* where the kernel has no answer (no route) */
#define TDO_PMTU_FLOOR_IP4 552            /* as Linux' min_pmtu: lower claims are not believed */
#define TDO_PMTU_FLOOR_IP6 1280

struct tdo_pmtu_entry {
	struct tdo_addr dst;
	uint32_t mtu;
	uint32_t limit; /* found out by a refused send, 0 = none */
	tdo_ns asked, limit_until;
};

struct tdo_pmtu {
	/* Asks the system: the MTU towards dst, or 0 when it does not know. */
	uint32_t (*ask)(void *ctx, const struct tdo_addr *dst);
	void *ctx;
	struct tdo_pmtu_entry entry[TDO_PMTU_ENTRIES];
};

void tdo_pmtu_init(
    struct tdo_pmtu *c, uint32_t (*ask)(void *ctx, const struct tdo_addr *dst), void *ctx);
/* The path MTU towards dst; never 0. */
uint32_t tdo_pmtu_get(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now);
/*
 * A packet of len bytes to dst was refused as too big.  Asks the kernel anew; when that
 * explains nothing, the next lower plateau (RFC 1191 7.1) becomes the limit for a while.
 * Returns the MTU from now on.
 */
uint32_t tdo_pmtu_lower(struct tdo_pmtu *c, const struct tdo_addr *dst, uint32_t len, tdo_ns now);

#endif
