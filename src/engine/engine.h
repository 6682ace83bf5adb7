/* SPDX-License-Identifier: BSD-2-Clause */
/* Engine and worker objects, and what the files of the engine offer each other. */
#ifndef TDO_ENGINE_ENGINE_H
#define TDO_ENGINE_ENGINE_H

#include "base/hash.h"
#include "base/htab.h"
#include "base/qsbr.h"
#include "engine/blame.h"
#include "engine/sa.h"
#include "testudo/engine.h"
#include "wire/ip.h"

/* One request of a policy, in the indexes of spd.c. */
struct tdo_sp_req {
	struct tdo_hnode by_tunnel; /* inbound, tunnel mode: protocol and endpoints */
	struct tdo_hnode by_reqid;  /* the reqid was picked by testudo */
	struct tdo_sp *sp;
	uint8_t index; /* of sp->param.req */
};

/* A policy; constant after publication except the atomics. */
struct tdo_sp {
	uint32_t id;
	uint64_t rank; /* position in search order: smaller first; unique per direction */
	_Atomic tdo_ns last_use;
	_Atomic uint64_t packets, drops;

	/* in force for lookups that began with version v iff born <= v < died (spd_match.c) */
	uint64_t born;
	_Atomic uint64_t died;
	struct tdo_hnode by_shape; /* bucket of its shape */
	struct tdo_hnode by_addr;  /* bucket of its prefix lengths, for opaque flows */
	struct tdo_shape *shape, *ashape;

	/* control thread only */
	struct tdo_engine *engine;
	tdo_ns created;
	uint32_t refs;
	struct tdo_qsbr_node retired;
	struct tdo_sp *prev, *next; /* the ordered list of its direction: the truth */
	struct tdo_prio *group;     /* policies of its priority and direction */
	struct tdo_hnode by_id;
	struct tdo_wheel_node timer; /* when its lifetime may end */
	struct tdo_event_link expired;
	bool continued;         /* a successor has its id */
	bool successor;         /* it has the id of one that workers may have dropped for */
	size_t size;            /* bytes of this object */
	struct tdo_sp_req *req; /* param.nreq, behind the object */

	/* Last: there is memory for nreq requests only.  Final reqids; levels as given. */
	struct tdo_sp_param param;
};

struct tdo_sad; /* sad.c */
struct tdo_spd; /* spd.c */

/* Per-worker memory; nothing in it is written by two threads. */
struct tdo_flow_cache; /* flow_cache.h */

#define TDO_OFFENDER_WORDS (sizeof(struct tdo_offender) / sizeof(uint64_t))

/* The last packet dropped for one reason: written by the worker, read by control. */
struct tdo_offender_slot {
	_Atomic uint32_t gen; /* odd while being written (seqlock) */
	_Atomic uint64_t word[TDO_OFFENDER_WORDS];
};

/*
 * What packets are counted by for the histograms: protocol, PF_KEY number of the algorithm, and
 * for ESP whether they were authenticated.
 */
#define TDO_USED_ESP    0u /* + 256 if authenticated */
#define TDO_USED_AH     512u
#define TDO_USED_IPCOMP 768u
#define TDO_USED_SLOTS  784u

static inline uint16_t
tdo_used_slot(uint8_t proto, uint8_t alg, bool authenticated)
{
	switch (proto) {
	case TDO_IPPROTO_ESP:
		return (uint16_t)(TDO_USED_ESP + authenticated * 256u + alg);
	case TDO_IPPROTO_AH:
		return (uint16_t)(TDO_USED_AH + alg);
	default:
		return (uint16_t)(TDO_USED_IPCOMP + alg % (TDO_USED_SLOTS - TDO_USED_IPCOMP));
	}
}

struct tdo_acquire_ring; /* event.c */
struct tdo_ipcomp_work;  /* ipcomp.h */

/* How the outer headers of the packets of one SA and policy are made (tunnel.c). */
struct tdo_tunnel_plan {
	const struct tdo_sa *sa; /* NULL: empty */
	const struct tdo_sp *sp;
	uint32_t generation;
	uint32_t sum;              /* IPv4: one's-complement sum of hdr */
	uint8_t hdr[40];           /* all that does not depend on the packet */
	uint8_t tos_kept, tos_set; /* bits of the inner TOS; bits that are always set */
	uint8_t ttl, proto;
	bool df_kept, df_set;
	bool label_kept;
};

/* A stock of random bytes, so that not every few of them are a system call. */
struct tdo_random_pool {
	uint8_t bytes[512]; /* refilled from engine->cfg.random */
	unsigned left;
	uint32_t epoch; /* when it was filled */
};

struct tdo_worker {
	struct tdo_engine *engine;
	unsigned index;
	bool out;         /* the call that it is in processes outbound packets */
	bool reassembles; /* the caller does: see tdo_worker_reassembles() */
	struct tdo_flow_cache *cache;
	_Atomic uint64_t stat[TDO_STAT_COUNT]; /* written by the worker, relaxed */
	_Atomic uint64_t drops[TDO_AT_COUNT][TDO_REASON_COUNT];
	_Atomic uint64_t used[2][TDO_USED_SLOTS]; /* [out]: packets by tdo_used_slot() */
	struct tdo_offender_slot offender[TDO_REASON_COUNT];
	struct tdo_blame_table blame;
	struct tdo_random_pool random;
	uint16_t ip_id;
	struct tdo_tunnel_plan tunnel; /* of the last packet that got an outer header */
	struct tdo_acquire_ring *acquire;
	struct tdo_ah_saved *ah_saved;          /* ah.h */
	struct tdo_ipcomp_work *_Atomic ipcomp; /* NULL until control makes it (ipcomp.c) */
};

struct tdo_engine {
	struct tdo_engine_config cfg;
	struct tdo_qsbr qsbr;
	struct tdo_hash_key hash_key;
	_Atomic uint32_t generation; /* changes with every change of SAD, SPD or knobs */
	_Atomic int32_t knob[TDO_KNOB_COUNT][2]; /* [1]: IPv6 twin */
	_Atomic bool faulty;                     /* test_replay or test_integrity is set */
	_Atomic uint32_t random_epoch; /* random bytes of an earlier one are not used any more */
	tdo_ns random_since;           /* when it began */
	struct tdo_random_pool random; /* of the control thread */
	uint64_t last_uid;             /* of an SA */
	struct tdo_sad *sad;
	struct tdo_spd *spd;
	struct tdo_sa *_Atomic growing;  /* stack of SAs, see grow.c */
	struct tdo_local *_Atomic local; /* own addresses, local.c */
	struct tdo_udp_ports *udp;       /* encap.h */
	tdo_ns wall_at;                  /* now for which ... */
	uint64_t wall_base;              /* ... the wall clock read this, seconds */
	tdo_ns last_tick;
	struct { /* control thread: SAs that want dummy packets (dummy.c) */
		struct tdo_sa *first, *next; /* next: to be looked at; NULL: a new round */
		tdo_ns due, soonest;         /* when there is something to do; of this round */
		tdo_ns since;                /* sent counts from here on */
		unsigned sent;
	} dummies;
	struct { /* control thread: what was said about ECN (tunnel.c) */
		uint64_t seen;
		tdo_ns when; /* 0: never */
	} ecn_log;
	uint64_t debug_seen[TDO_REASON_COUNT]; /* debug.c: drops that were reported */
	bool absent_told;                      /* that this build lacks something (sa_check.c) */
	bool off_told;                         /* that policies are refused (knob.c) */
	bool busy;                             /* the last tick left something to do */
	struct tdo_events *events;
	struct tdo_worker *worker[TDO_QSBR_READERS];
	char err_text[192]; /* the tdo_err of the last call that was refused */
};

/* ---- sad.c: readers ---- */

/* The SA for an inbound packet: destination, SPI, protocol number; NULL when there is none. */
struct tdo_sa *tdo_sad_find_in(
    const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto);
/*
 * The same for IPComp: a CPI below 256 names an algorithm, and of several SAs with that the one
 * that fits best what IPComp carries, next, and the source.
 */
struct tdo_sa *tdo_sad_find_cpi(
    const struct tdo_engine *e, const struct tdo_flow *f, uint32_t cpi, uint8_t next);
/*
 * The IPComp tunnel to which an IP packet in IP of these addresses belongs, because its sender
 * found that it does not get smaller; NULL when there is none.
 */
struct tdo_sa *tdo_sad_find_bare(const struct tdo_engine *e, const struct tdo_flow *f);
/*
 * An SA of mode any carries an IP packet: is that the packet of such a tunnel between the same
 * ends?  Policies can ask for the SA itself as a tunnel; then it is not.
 */
bool tdo_sad_carries_bare(const struct tdo_sa *sa);
/* Which SA an outbound packet needs next. */
struct tdo_sa_ask {
	const struct tdo_req *req;
	const struct tdo_addr *src, *dst; /* the request's, or the packet's when it has none */
	const struct tdo_flow *flow;      /* what the SA will carry; NULL: selectors do not count */
	uint8_t pfp;     /* TDO_PFP_...: the SA is for these values of flow alone */
	unsigned worker; /* who asks */
};

/*
 * The SA for an outbound request (spec 4.4): addresses equal; mode equal or any; reqid equal if
 * the request is unique; flow within the selectors of the SA, and of pfp fields equal to them.
 * Mature before dying; of the worker's cpu before any cpu before another's (RFC 9611); newest,
 * or oldest by knob.  NULL when there is none.
 */
struct tdo_sa *tdo_sad_find_out(const struct tdo_engine *e, const struct tdo_sa_ask *ask);

/* ---- spd.c: readers ---- */

/*
 * What a lookup found.
 *
 * A flow that is not opaque: sp is the first policy in search order whose selectors match,
 * or NULL; uncertain is false.
 *
 * An opaque flow (a later fragment, RFC 4301 section 7) hides ports, and for IPv6 maybe
 * the protocol.  Its candidates are the policies that match some datagram with the visible
 * fields (tdo_sel_may_match), in search order up to and including the first that matches
 * all such datagrams (tdo_sel_match).  If no policy does that, "no policy" is the last
 * candidate.
 *  - One candidate only: sp is it (NULL for "no policy"), uncertain is false.
 *  - All candidates let the packet pass in clear (type NONE; for "no policy" def_policy is
 *    none): sp is the first, uncertain is false.
 *  - Else sp is the first, and uncertain is true: the packet must be dropped.
 */
struct tdo_spd_hit {
	const struct tdo_sp *sp; /* NULL: no policy matches */
	bool uncertain;          /* opaque flow: candidates disagree ... */
	bool protects;           /* ... and one of them is for IPsec */
};
/* First policy in search order that matches the flow; all fields of it are honoured. */
struct tdo_spd_hit tdo_spd_match(const struct tdo_engine *e, uint8_t dir, const struct tdo_flow *f);
/* The same by walking the ordered list: the specification (control thread, or no writer). */
struct tdo_spd_hit tdo_spd_match_naive(
    const struct tdo_engine *e, uint8_t dir, const struct tdo_flow *f);
/*
 * True when some inbound policy asks for this SA in tunnel mode (protocol, endpoints, and
 * reqid if unique): then what comes out of it must match one of them (RFC 4301 5.2, D48).
 */
bool tdo_spd_binds_tunnel(const struct tdo_engine *e, const struct tdo_sa_id *sa);

/* Level of a request with DEFAULT resolved by the deflev knobs of the family. */
uint8_t tdo_req_level(const struct tdo_engine *e, const struct tdo_req *r, uint8_t af);

/* Removes expired policies, so many in one tick; true when there may be more. */
bool tdo_spd_tick(struct tdo_engine *e, tdo_ns now);
/* Same for SAs, life.c. */
bool tdo_sad_tick(struct tdo_engine *e, tdo_ns now);

/* ---- tunnel.c, called by sa.c, sp.c and engine.c ---- */

bool tdo_tunnel_opt_ok(const struct tdo_tunnel_opt *o);
/* Called by tdo_engine_tick(): logs what RFC 6040 wants to be logged. */
void tdo_tunnel_tick(struct tdo_engine *e, tdo_ns now);

/* ---- flow_cache.c, called when a worker is made and freed ---- */

/* Is this a size that an engine may be asked for (struct tdo_engine_config)? */
bool tdo_flow_cache_size_ok(unsigned flows);
/* 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret);
void tdo_flow_cache_free(struct tdo_engine *e, struct tdo_flow_cache *c); /* c may be NULL */

/* ---- ah.c, the same ---- */

TDO_MUST_CHECK int tdo_ah_saved_new(struct tdo_worker *w);
void tdo_ah_saved_free(struct tdo_worker *w);

/* ---- event.c ---- */

/* An SA that a policy needs and that does not exist. */
struct tdo_acquire {
	uint32_t sp_id;
	struct tdo_req req; /* proto 0: the policy has no requests yet (X_SPDSETIDX) */
	struct tdo_addr src, dst;
	bool has_sel;       /* the policy wants SAs with selectors of the packet (D45): */
	struct tdo_sel sel; /* these */
	tdo_ns when;
	bool again;   /* a packet that waits looked again */
	uint64_t key; /* the same for the same SA */
};

struct tdo_acquire tdo_acquire_of(
    const struct tdo_engine *e, const struct tdo_sp *sp, const struct tdo_sa_ask *ask, tdo_ns now);
/* Worker: asks for it.  Bounded; may be forgotten under load. */
void tdo_event_acquire(struct tdo_worker *w, const struct tdo_acquire *a);
/* Worker: is somebody there to be asked for an SA of this IP protocol (0: of any)? */
bool tdo_event_has_acquirer(const struct tdo_engine *e, uint8_t proto);
/* Worker: a key manager refused to make it since then. */
bool tdo_acquire_was_refused(const struct tdo_engine *e, uint64_t key, tdo_ns since);

/* ---- worker.c ---- */

/* The place of a drop; proto: of the header that was removed or put on, other than IPsec: none. */
enum tdo_at tdo_at_of(uint8_t proto, bool out);
/* n random bytes from the pool of the control thread, of the worker. */
void tdo_engine_random(struct tdo_engine *e, void *buf, size_t n);
void tdo_worker_random(struct tdo_worker *w, void *buf, size_t n);
/* Drops p: verdict, counter, per-SA and per-policy counter, last offender. */
void tdo_worker_drop(
    struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa, enum tdo_reason r, tdo_ns now);
/* The same without an SA, while a header of this IP protocol was looked at. */
void tdo_worker_drop_header(
    struct tdo_worker *w, struct tdo_pkt *p, uint8_t proto, enum tdo_reason r, tdo_ns now);
bool tdo_is_local(const struct tdo_engine *e, const struct tdo_addr *a);

static inline void
tdo_worker_stat(struct tdo_worker *w, enum tdo_stat s, uint64_t n)
{
	uint64_t v = atomic_load_explicit(&w->stat[s], memory_order_relaxed);

	atomic_store_explicit(&w->stat[s], v + n, memory_order_relaxed);
}

/* What follows is about inbound or outbound packets: for the counters of drops. */
static inline void
tdo_worker_way(struct tdo_worker *w, bool out)
{
	w->out = out;
}

static inline int32_t
tdo_knob(const struct tdo_engine *e, enum tdo_knob k, uint8_t af)
{
	return atomic_load_explicit(&e->knob[k][af == TDO_AF_INET6], memory_order_relaxed);
}

#endif
