/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path MTU by destination, remembered for a short time so that a packet costs no system call.
 * The kernel knows device and route; it is asked again when an answer is older than a second.  What
 * a refused send taught is kept longer.  What all workers learned together (daemon/paths.h) is
 * looked up with it, and whenever that changed.
 *
 * Of more destinations than there is room for, those not used for longest are forgotten, which
 * costs a question.  Outsiders choose where clear packets go, so these have a cache of their own:
 * peers are not forgotten for them.
 */
#ifndef TDO_IO_PMTU_H
#define TDO_IO_PMTU_H

#include <stdatomic.h>

#include "base/recent.h"

#define TDO_PMTU_PEERS     16384          /* destinations with SAs that a worker remembers */
#define TDO_PMTU_STRANGERS 512            /* and of those without */
#define TDO_PMTU_FRESH     TDO_SEC        /* an answer of the kernel is believed for this time */
#define TDO_PMTU_LOWERED   (30 * TDO_SEC) /* a limit that a send found out */
#define TDO_PMTU_UNKNOWN   1500           /* where the kernel has no answer (no route) */
#define TDO_PMTU_FLOOR_IP4 552            /* as Linux' min_pmtu: lower claims are not believed */
#define TDO_PMTU_FLOOR_IP6 1280

/* How a destination was used since it was told the last time. */
struct tdo_pmtu_use {
	struct tdo_addr dst, src; /* of the outer header; src as given last */
	uint32_t mtu;             /* of device and route */
	uint32_t largest;         /* packet, before protection */
};

struct tdo_pmtu_entry {
	struct tdo_pmtu_use use;
	uint32_t limit;   /* found out by a refused send, 0 = none */
	uint32_t learned; /* by all, 0 = none */
	uint32_t generation;
	tdo_ns asked, limit_until;
};

/* What all workers learn together; all NULL: nothing. */
struct tdo_pmtu_shared {
	const _Atomic uint32_t *generation; /* changes when an answer of limit() does */
	/* The largest packet that gets through to use->dst, 0 = no limit known. */
	uint32_t (*limit)(void *ctx, const struct tdo_pmtu_use *use, tdo_ns now);
	void *ctx;
};

struct tdo_pmtu {
	/* Asks the system: the MTU towards dst, or 0 when it does not know. */
	uint32_t (*ask)(void *ctx, const struct tdo_addr *dst);
	void *ctx;
	struct tdo_pmtu_shared shared;
	struct tdo_recent recent;
	struct tdo_pmtu_entry *entry; /* by its places */
};

/* size: destinations that are remembered, a power of two.  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_pmtu_init(struct tdo_pmtu *c, uint32_t size,
    uint32_t (*ask)(void *ctx, const struct tdo_addr *dst), void *ctx);
void tdo_pmtu_fini(struct tdo_pmtu *c); /* c may be zero */
/* What claims below this are taken for, by family. */
uint32_t tdo_pmtu_floor(uint8_t af);
/* RFC 1191 7.1: the next smaller of the usual MTUs, for a packet of len bytes that was too big. */
uint32_t tdo_pmtu_plateau(uint32_t len);
/* The path MTU towards dst; never 0. */
uint32_t tdo_pmtu_get(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now);
/* The same for a packet of len bytes that will be protected and sent from src; none: no probes. */
uint32_t tdo_pmtu_for(struct tdo_pmtu *c, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint32_t len, tdo_ns now);
/*
 * A packet of len bytes to dst was refused as too big.  Asks the kernel anew; when that
 * explains nothing, the next lower plateau becomes the limit for a while.
 * Returns the MTU from now on.
 */
uint32_t tdo_pmtu_lower(struct tdo_pmtu *c, const struct tdo_addr *dst, uint32_t len, tdo_ns now);

#endif
