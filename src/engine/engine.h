/* SPDX-License-Identifier: BSD-2-Clause */
/* Engine and worker objects, and what the files of the engine offer each other. */
#ifndef TDO_ENGINE_ENGINE_H
#define TDO_ENGINE_ENGINE_H

#include "base/hash.h"
#include "base/qsbr.h"
#include "engine/sa.h"
#include "testudo/engine.h"

/* A policy; constant after publication except the atomics. */
struct tdo_sp {
	struct tdo_sp_param param; /* requests with their final reqids; levels as given */
	uint32_t id;
	uint64_t rank; /* position in search order: smaller first; unique per direction */
	_Atomic tdo_ns last_use;
	_Atomic uint64_t packets, drops;
	/* control thread only */
	tdo_ns created;
	uint32_t refs;
	struct tdo_qsbr_node retired;
	struct tdo_sp *prev, *next; /* the ordered list of its direction: the truth */
};

struct tdo_sad; /* sad.c */
struct tdo_spd; /* spd.c */

/* Per-worker memory; nothing in it is written by two threads. */
struct tdo_flow_cache; /* flow_cache.c */

struct tdo_worker {
	struct tdo_engine *engine;
	unsigned index;
	struct tdo_flow_cache *cache;
	_Atomic uint64_t stat[TDO_STAT_COUNT]; /* written by the worker, relaxed */
	_Atomic uint64_t drops[TDO_REASON_COUNT];
	struct tdo_offender offender[TDO_REASON_COUNT];
	_Atomic uint32_t offender_gen[TDO_REASON_COUNT]; /* odd while being written (seqlock) */
	uint8_t random_pool[512];                        /* refilled from engine->cfg.random */
	unsigned random_left;
	uint16_t ip_id;
	uint32_t acquire_head, acquire_tail; /* ring of acquire requests, see event.c */
};

struct tdo_engine {
	struct tdo_engine_config cfg;
	struct tdo_qsbr qsbr;
	struct tdo_hash_key hash_key;
	_Atomic uint32_t generation; /* changes with every change of SAD, SPD or knobs */
	_Atomic int32_t knob[TDO_KNOB_COUNT][2]; /* [1]: IPv6 twin */
	struct tdo_sad *sad;
	struct tdo_spd *spd;
	struct tdo_local *_Atomic local; /* own addresses, local.c */
	tdo_ns wall_at;                  /* now for which ... */
	uint64_t wall_base;              /* ... the wall clock read this, seconds */
	tdo_ns last_tick;
	struct tdo_events *events;
	struct tdo_worker *worker[TDO_QSBR_READERS];
};

/* ---- sad.c: readers ---- */

/* The SA for an inbound packet: destination, SPI, protocol number; NULL when there is none. */
struct tdo_sa *tdo_sad_find_in(
    const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto);
/*
 * The SA for an outbound request (spec 4.4): src and dst are the request's, or the packet's
 * when the request has none; mode equal or any; reqid equal if the request is unique;
 * mature before dying; newest, or oldest by knob.  NULL when there is none.
 */
struct tdo_sa *tdo_sad_find_out(const struct tdo_engine *e, const struct tdo_req *req,
    const struct tdo_addr *src, const struct tdo_addr *dst);

/* ---- spd.c: readers ---- */

struct tdo_spd_hit {
	const struct tdo_sp *sp; /* NULL: no policy matches */
	bool uncertain; /* opaque flow: several policies, or a policy and none, may be the one */
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

/* ---- esp.c, called by sa.c when an SA is made ---- */

/*
 * Fills sa->esp, sa->out and sa->in from id, algorithms and flags; sessions exist.
 * -EINVAL for what ESP cannot do.
 */
TDO_MUST_CHECK int tdo_esp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth);

/* ---- flow_cache.c, called when a worker is made and freed ---- */

/* 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_flow_cache_new(struct tdo_engine *e, struct tdo_flow_cache **ret);
void tdo_flow_cache_free(struct tdo_engine *e, struct tdo_flow_cache *c); /* c may be NULL */

/* ---- event.c ---- */

/* Worker: a policy needs an SA that does not exist.  Bounded; may be forgotten under load. */
void tdo_event_acquire(struct tdo_worker *w, const struct tdo_sp *sp, const struct tdo_req *req,
    const struct tdo_addr *src, const struct tdo_addr *dst, tdo_ns now);

/* ---- worker.c ---- */

/* n random bytes from the worker's pool. */
void tdo_worker_random(struct tdo_worker *w, void *buf, size_t n);
/* Drops p: verdict, counter, per-SA and per-policy counter, last offender. */
void tdo_worker_drop(
    struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa, enum tdo_reason r, tdo_ns now);
bool tdo_is_local(const struct tdo_engine *e, const struct tdo_addr *a);

static inline void
tdo_worker_stat(struct tdo_worker *w, enum tdo_stat s, uint64_t n)
{
	uint64_t v = atomic_load_explicit(&w->stat[s], memory_order_relaxed);

	atomic_store_explicit(&w->stat[s], v + n, memory_order_relaxed);
}

static inline int32_t
tdo_knob(const struct tdo_engine *e, enum tdo_knob k, uint8_t af)
{
	return atomic_load_explicit(&e->knob[k][af == TDO_AF_INET6], memory_order_relaxed);
}

#endif
