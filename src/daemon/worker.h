/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet worker: one thread that moves packets between the TUN, the engine and sockets.
 *
 *	TUN -> outbound.c -> engine -> raw and UDP sockets
 *	raw and UDP sockets -> inbound.c -> engine -> TUN
 *
 * Runs to completion: everything that a round read has been sent, written or dropped with a
 * reason when it ends, or waits for an SA (hold.h).
 */
#ifndef TDO_DAEMON_WORKER_H
#define TDO_DAEMON_WORKER_H

#include <pthread.h>

#include "daemon/bucket.h"
#include "daemon/data.h"
#include "daemon/fragments.h"
#include "daemon/hold.h"
#include "daemon/linger.h"
#include "daemon/paths.h"
#include "daemon/tcpwatch.h"
#include "io/io_raw.h"
#include "io/io_tun.h"
#include "io/pmtu.h"
#include "io/udp_rx.h"
#include "io/udp_tx.h"
#include "testudo/engine.h"

#define TDO_GRO_HEADS 8 /* flows of a burst that are joined at the same time */

/* Protected packets on their way out; outbound.c. */
struct tdo_outbound {
	struct tdo_pool in;    /* what was read from the TUN */
	struct tdo_pool segs;  /* segments of super-packets */
	struct tdo_pool frags; /* fragments of protected packets */
	struct tdo_pkt *burst[TDO_BURST_MAX];
	unsigned nburst;
	bool borrowed; /* since the last flush there was one that is not of segs */
	/* Refused as too big, to be sent in fragments: of a burst, and of a row before it. */
	struct tdo_pkt *again[TDO_BURST_MAX + TDO_UDP_RUN_MAX];
	unsigned nagain;
	bool again_now;
	bool pads; /* what is given now may become as long as the path allows (RFC 4303 2.7) */
	uint32_t frag_id; /* identification of IPv6 fragments (RFC 7739: not guessable start) */
};

#define TDO_RECEIVERS (2 * TDO_RAW_PROTOS + 2)

/* A raw or UDP socket and the buffers that it receives into. */
struct tdo_receiver {
	struct tdo_raw_in in; /* fd -1: the family does not exist here */
	struct tdo_raw_rx *rx;
	struct tdo_udp_rx *udp; /* instead */
};

/* Packets on their way in; inbound.c. */
struct tdo_inbound {
	struct tdo_raw_rx *rx4, *rx6; /* buffers of a family */
	struct tdo_udp_rx *udp4, *udp6;
	struct tdo_receiver from[TDO_RECEIVERS];
	struct tdo_pkt *head[TDO_GRO_HEADS]; /* packets that may grow, oldest first */
	unsigned nheads;
	struct tdo_pkt big[TDO_GRO_HEADS]; /* room for super-packets */
	uint8_t *big_mem;
	uint8_t big_used; /* bit i: big[i] is a head */
};

struct tdo_packet_worker {
	unsigned index;
	struct tdo_worker_fds fds;
	struct tdo_engine *engine;
	struct tdo_worker *handle;
	const _Atomic bool *recovering; /* drop what would pass in clear */
	int wake;                       /* eventfd: look at stop */
	_Atomic bool stop;
	pthread_t thread;

	struct tdo_tun tun;
	struct tdo_raw_tx *out4, *out6;     /* protected */
	struct tdo_raw_tx *clear4, *clear6; /* need no protection */
	struct tdo_udp_tx *udp4, *udp6;     /* protected, in UDP from udp_port; or NULL */
	const _Atomic uint16_t *udp_port;   /* 0: none now */
	struct tdo_pmtu pmtu;               /* towards peers */
	struct tdo_pmtu pmtu_clear;         /* where packets without SAs go */
	struct tdo_raw_mtu mtu;
	struct tdo_paths *paths; /* of all workers; set by who makes them */
	struct tdo_tcpwatch tcp;
	struct tdo_bucket answers;  /* probes that are answered */
	struct tdo_bucket refusals; /* ICMP errors that are sent */
	tdo_ns now;                 /* of this round */
	struct tdo_outbound out;
	struct tdo_hold hold;
	struct tdo_fragments fragments;
	struct tdo_inbound in;
	struct tdo_linger linger;
	bool haste; /* few packets came of late: the next one goes at once */
	struct tdo_iostat stat[TDO_IOSTAT_COUNT];
};

/* What all workers share; borrowed. */
struct tdo_worker_shared {
	const _Atomic bool *recovering;   /* drop what would pass in clear */
	_Atomic size_t *held;             /* bytes that wait for SAs */
	const _Atomic uint16_t *udp_port; /* that super-packets of ESP in UDP leave with; 0: none */
};

/*
 * Makes a worker with its buffers; it does not run yet.  busy_poll: how long it may look for
 * packets before it sleeps.  0, -ENOMEM or -errno.
 */
TDO_MUST_CHECK int tdo_packet_worker_new(struct tdo_engine *engine, unsigned index,
    const struct tdo_worker_fds *fds, tdo_ns busy_poll, const struct tdo_worker_shared *shared,
    struct tdo_packet_worker **ret);
TDO_MUST_CHECK int tdo_packet_worker_start(struct tdo_packet_worker *w);
/* Stops the thread if it runs, waits for it and frees all; w may be NULL. */
void tdo_packet_worker_free(struct tdo_packet_worker *w, bool started);

/* One round of each direction; true when there may be more to read at once. */
bool tdo_outbound_round(struct tdo_packet_worker *w);
bool tdo_inbound_round(struct tdo_packet_worker *w, const struct tdo_receiver *from);
/* Lets packets that wait for an SA look again, when it is time. */
void tdo_outbound_look(struct tdo_packet_worker *w);
void tdo_outbound_hold_init(struct tdo_packet_worker *w, _Atomic size_t *held);
/* refuse.c: a forwarded packet is dropped because no more than mtu bytes fit; its sender is told.
 */
void tdo_outbound_too_big(struct tdo_packet_worker *w, const struct tdo_pkt *p, uint32_t mtu);
/*
 * sight.c: a TCP packet is about to be protected and sent to dst, where the path has this MTU and
 * carries inner bytes in its SAs.  The MTU that holds for this packet: another one where a path
 * is tried (witness.h), but not a larger one if it is fixed.
 */
uint32_t tdo_outbound_tcp(struct tdo_packet_worker *w, const struct tdo_pkt *p,
    const struct tdo_addr *dst, uint32_t mtu, uint32_t inner, bool fixed);
/* p came from a peer whose path is watched. */
void tdo_inbound_tcp(
    struct tdo_packet_worker *w, const struct tdo_pkt *p, const struct tdo_addr *peer);
/* refuse.c: a datagram is given up because fragments of it are missing; tdo_fragments_late_fn. */
void tdo_refuse_late(void *ctx, const struct tdo_pkt *first, bool in, tdo_ns now);
/* measured.c: p was dropped as a path MTU probe: answers it, or learns from the answer. */
void tdo_inbound_probe(struct tdo_packet_worker *w, const struct tdo_pkt *p);
/* A send was refused (tdo_raw_refused_fn); ctx is the worker. */
void tdo_outbound_refused(void *ctx, struct tdo_pkt *p, int err);

#endif
