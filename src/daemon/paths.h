/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of the paths to peers, by all workers together, and how it is found out
 * (docs/sizes.md, docs/decisions/0013-path-mtu.md).  A state machine without I/O in the manner of
 * RFC 8899: it says which probes are to be sent, and is told what was answered.
 *
 * Sources, from the quickest to the surest: ICMP errors that proved to be about our packets; TCP
 * segments that their sender repeats; probes that the peer answers.  A limit ends by itself.
 *
 * Any thread may call; the calls are short and rare (once a second and destination, and while a
 * path is watched for each large TCP packet and acknowledgement on it).
 */
#ifndef TDO_DAEMON_PATHS_H
#define TDO_DAEMON_PATHS_H

#include <pthread.h>

#include "base/soonest.h"
#include "daemon/witness.h"
#include "io/pmtu.h"

#define TDO_PATHS       16384 /* of more peers, those not used for longest are forgotten */
#define TDO_PATH_PROBES 8     /* of one round */
#define TDO_PATH_WATCH  256   /* see tdo_paths_watches() */

#define TDO_PATH_CONFIRM   (2 * TDO_SEC)   /* large packets flow: a probe of full size this often */
#define TDO_PATH_PATIENCE  (60 * TDO_SEC)  /* the same for a peer that never answered, at last */
#define TDO_PATH_MISSES    3               /* probes in a row that prove something */
#define TDO_PATH_SILENCES  3               /* so often nothing was answered: nobody answers */
#define TDO_PATH_TIMEOUT   TDO_SEC         /* of a probe, while no round trip is known */
#define TDO_PATH_HOLD      (600 * TDO_SEC) /* RFC 1191 6.3: a limit ends */
#define TDO_PATH_DOUBT     (10 * TDO_SEC)  /* a limit by hearsay is tried again after this ... */
#define TDO_PATH_RETRY     (60 * TDO_SEC)  /* ... and one that was measured after this */
#define TDO_PATH_RETRY_MAX (600 * TDO_SEC)
#define TDO_PATH_CHECK     TDO_SEC    /* what TCP said is looked at again after this */
#define TDO_PATH_GIVE_UP   UINT32_MAX /* tdo_paths_suspect() */

enum tdo_path_state {
	TDO_PATH_IDLE,
	TDO_PATH_CONFIRMING, /* does the size in use still pass? */
	TDO_PATH_SEARCHING,  /* between lo, which passes, and hi, which does not */
};

struct tdo_path_probe {
	struct tdo_addr src, dst;
	uint32_t size;
	uint64_t nonce;
};

struct tdo_path {
	struct tdo_addr dst, src;
	uint32_t link;       /* MTU of device and route */
	uint32_t limit;      /* 0: none */
	uint32_t blamed;     /* size of the packet because of which there is one */
	tdo_ns limit_until;  /* when it ends */
	tdo_ns retry, pause; /* when more is tried again, and how long it was waited before */
	tdo_ns large;        /* when large packets were sent last */
	tdo_ns used;
	tdo_ns lowered;
	struct tdo_witness tcp;
	bool watched; /* counted in tdo_paths.watched */
	bool answers; /* the peer answered a probe */
	bool asleep;  /* no large packets flow */
	/* probing */
	enum tdo_path_state state;
	tdo_ns due; /* when something is to be done; 0: nothing */
	tdo_ns ask; /* when the peer is asked again */
	tdo_ns sent, round_trip, interval;
	unsigned misses, nprobe;
	unsigned silences; /* questions in a row that nobody answered */
	bool small_passed;
	uint32_t lo, hi, lo_len;
	uint64_t nonce; /* of the round */
	struct {
		uint32_t size; /* that is looked for ... */
		uint32_t len;  /* ... and that was sent: padding comes in steps */
		bool answered;
	} probe[TDO_PATH_PROBES];
};

struct tdo_paths {
	pthread_mutex_t lock;
	_Atomic uint32_t generation;
	_Atomic tdo_ns due;   /* the earliest of all; 0: none */
	_Atomic bool probing; /* knob */
	uint64_t (*random)(void);
	uint64_t lowered, raised; /* changes, for reports */
	struct tdo_recent recent;
	struct tdo_soonest soonest; /* when something is to be done about a path */
	struct tdo_path *path;      /* by the places of recent */
	/* Watched paths, in all and by a hash of the destination. */
	_Atomic uint32_t nwatched;
	_Atomic uint16_t watched[TDO_PATH_WATCH];
};

/* random: unpredictable numbers.  0 or -ENOMEM; to be ended in any case. */
TDO_MUST_CHECK int tdo_paths_init(struct tdo_paths *p, uint64_t (*random)(void));
void tdo_paths_fini(struct tdo_paths *p);
/* For struct tdo_pmtu_shared; ctx is the paths. */
uint32_t tdo_paths_limit(void *ctx, const struct tdo_pmtu_use *use, tdo_ns now);

/*
 * A believable ICMP error: packets of quoted_len bytes to dst are too big for its path; mtu is what
 * fits, or 0.  Never raises anything; true when it lowered something.
 */
bool tdo_paths_too_big(
    struct tdo_paths *p, const struct tdo_addr *dst, uint32_t mtu, uint32_t quoted_len, tdo_ns now);
/* A TCP sender that repeats a segment. */
struct tdo_path_trouble {
	struct tdo_segment s; /* as it leaves if nothing is done */
	tdo_ns since;
	uint32_t tried; /* the size that it was cut to, or 0 */
	bool stuck;     /* again and again */
};
/*
 * A peer that answers probes is asked.  Of any other, packets are watched from now on, and if the
 * sender is stuck it is tried whether smaller ones help.  Returns the size that its segment shall
 * be cut to, 0: none, or TDO_PATH_GIVE_UP: its trouble is none of the path's.
 */
uint32_t tdo_paths_suspect(
    struct tdo_paths *p, const struct tdo_addr *dst, const struct tdo_path_trouble *t, tdo_ns now);
/* True when the next two want to see TCP packets to and from dst; sometimes also when not. */
static inline bool
tdo_paths_watches(const struct tdo_paths *p, const struct tdo_addr *dst)
{
	if (atomic_load_explicit(&p->nwatched, memory_order_relaxed) == 0)
		return false;
	return atomic_load_explicit(
		   &p->watched[tdo_recent_hash(dst) % TDO_PATH_WATCH], memory_order_relaxed) != 0;
}
/*
 * Segment s leaves.  whole: as it would leave if it were not cut, or NULL: not otherwise.  Returns
 * the MTU of device and route if it shall leave like that, else 0.
 */
uint32_t tdo_paths_tcp_sent(struct tdo_paths *p, const struct tdo_addr *dst,
    const struct tdo_segment *s, const struct tdo_segment *whole, tdo_ns now);
/* The receiver of a flow has everything in front of ack. */
void tdo_paths_tcp_acked(
    struct tdo_paths *p, const struct tdo_addr *dst, uint64_t flow, uint32_t ack, tdo_ns now);
/* The peer at dst answered the probe. */
void tdo_paths_answered(
    struct tdo_paths *p, const struct tdo_addr *dst, uint64_t nonce, uint32_t size, tdo_ns now);
/*
 * Does what is due and writes up to max probes that are to be sent; returns how many.  To be called
 * again while it returns max.
 */
unsigned tdo_paths_tick(struct tdo_paths *p, tdo_ns now, struct tdo_path_probe *ret, unsigned max);
/* A probe left with so many bytes, not quite its size. */
void tdo_paths_sent(struct tdo_paths *p, const struct tdo_path_probe *probe, uint32_t len);
/* A copy of what is known of dst; false: nothing. */
bool tdo_paths_get(struct tdo_paths *p, const struct tdo_addr *dst, struct tdo_path *ret);
/* The same for place i, i < TDO_PATHS; false: it is empty. */
bool tdo_paths_at(struct tdo_paths *p, unsigned i, struct tdo_path *ret);
/* What is believed to get through. */
uint32_t tdo_path_mtu(const struct tdo_path *x);

#endif
