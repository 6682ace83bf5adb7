/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of the paths to peers, by all workers together, and how it is found out
 * (docs/sizes.md, docs/decisions/0012).  A state machine without I/O in the manner of RFC 8899: it
 * says which probes are to be sent, and is told what was answered.
 *
 * Sources, from the quickest to the surest: ICMP errors that proved to be about our packets; TCP
 * segments that their sender repeats; probes that the peer answers.  A limit ends by itself.
 *
 * Any thread may call; the calls are short and rare (once a second and destination).
 */
#ifndef TDO_DAEMON_PATHS_H
#define TDO_DAEMON_PATHS_H

#include <pthread.h>

#include "io/pmtu.h"

#define TDO_PATHS       512 /* more peers than that forget the one not used for longest */
#define TDO_PATH_PROBES 8   /* of one round */

#define TDO_PATH_CONFIRM   (2 * TDO_SEC)   /* large packets flow: a probe of full size this often */
#define TDO_PATH_PATIENCE  (60 * TDO_SEC)  /* the same for a peer that never answered, at last */
#define TDO_PATH_MISSES    3               /* probes in a row that prove something */
#define TDO_PATH_TIMEOUT   TDO_SEC         /* of a probe, while no round trip is known */
#define TDO_PATH_HOLD      (600 * TDO_SEC) /* RFC 1191 6.3: a limit ends */
#define TDO_PATH_DOUBT     (10 * TDO_SEC)  /* a limit by hearsay is tried again after this ... */
#define TDO_PATH_RETRY     (60 * TDO_SEC)  /* ... and one that was measured after this */
#define TDO_PATH_RETRY_MAX (600 * TDO_SEC)

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
	tdo_ns limit_until;  /* when it ends */
	tdo_ns retry, pause; /* when more is tried again, and how long it was waited before */
	tdo_ns large;        /* when large packets were sent last */
	tdo_ns used;
	tdo_ns lowered;
	bool answers; /* the peer answered a probe */
	bool asleep;  /* no large packets flow */
	/* probing */
	enum tdo_path_state state;
	tdo_ns due; /* when something is to be done; 0: nothing */
	tdo_ns sent, round_trip, interval;
	unsigned misses, nprobe;
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
	struct tdo_path path[TDO_PATHS];
};

/* random: unpredictable numbers. */
void tdo_paths_init(struct tdo_paths *p, uint64_t (*random)(void));
void tdo_paths_fini(struct tdo_paths *p);
/* For struct tdo_pmtu_shared; ctx is the paths. */
uint32_t tdo_paths_limit(void *ctx, const struct tdo_pmtu_use *use, tdo_ns now);

/*
 * A believable ICMP error: packets of quoted_len bytes to dst are too big for its path; mtu is what
 * fits, or 0.  Never raises anything; true when it lowered something.
 */
bool tdo_paths_too_big(
    struct tdo_paths *p, const struct tdo_addr *dst, uint32_t mtu, uint32_t quoted_len, tdo_ns now);
/*
 * A TCP sender repeats a full segment to dst.  A peer that answers probes is asked; of any other
 * the limit is lowered if the sender is stuck.
 */
void tdo_paths_suspect(struct tdo_paths *p, const struct tdo_addr *dst, bool stuck, tdo_ns now);
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
