/* SPDX-License-Identifier: BSD-2-Clause */
/* Small helpers of the engine's control side. */
#ifndef TDO_ENGINE_CONTROL_H
#define TDO_ENGINE_CONTROL_H

#include "engine/engine.h"

/* Formats the text of *err (may be NULL) into the engine's buffer and returns code. */
int tdo_refuse(struct tdo_engine *e, struct tdo_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Appends to buf at *at; cuts what does not fit. */
void tdo_text(char *buf, size_t len, size_t *at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A message to the operator. */
void tdo_engine_log(const struct tdo_engine *e, enum tdo_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Wall-clock seconds of a time of the engine. */
uint64_t tdo_wall(const struct tdo_engine *e, tdo_ns t);
/* The same for times of use: 0 stays 0 (never). */
uint64_t tdo_wall_used(const struct tdo_engine *e, tdo_ns t);

/* Whole seconds from then to now; 0 when then is later. */
static inline uint64_t
tdo_age(tdo_ns then, tdo_ns now)
{
	return now > then ? (now - then) / TDO_SEC : 0;
}

/* When tdo_age() of something begins to be greater than limit; UINT64_MAX: never, nor for 0. */
static inline tdo_ns
tdo_end_of(uint64_t limit, tdo_ns since)
{
	if (limit == 0 || limit >= UINT64_MAX / TDO_SEC - 1)
		return UINT64_MAX;
	if ((limit + 1) * TDO_SEC > UINT64_MAX - since)
		return UINT64_MAX;
	return since + (limit + 1) * TDO_SEC;
}

/* What workers have cached about SAs and policies is out of date. */
static inline void
tdo_engine_changed(struct tdo_engine *e)
{
	atomic_fetch_add_explicit(&e->generation, 1, memory_order_release);
}

#define TDO_RECLAIM_ADD  8     /* things freed for one that is added */
#define TDO_RECLAIM_TICK 20000 /* ... and in one tick: some 10 ms */

#define TDO_TICK_STEPS 20000 /* timers looked at in one tick */

/* Frees a little before insertions, so that a series of updates does not pile up. */
static inline void
tdo_engine_reclaim(struct tdo_engine *e)
{
	if (e->qsbr.n > 0)
		(void)tdo_qsbr_poll(&e->qsbr, e, TDO_RECLAIM_ADD);
}

static inline void *
tdo_engine_alloc(struct tdo_engine *e, size_t size)
{
	return e->cfg.mem.alloc(e->cfg.mem.ctx, size);
}

/*
 * Memory on a cache line of its own, for structures with _Alignas(64) members: the
 * allocator of the caller only aligns for ordinary types.  Zeroed; NULL when there is none.
 */
void *tdo_line_alloc(const struct tdo_mem *mem, size_t size);
void tdo_line_free(const struct tdo_mem *mem, void *p, size_t size);

static inline void
tdo_engine_release(struct tdo_engine *e, void *p, size_t size)
{
	e->cfg.mem.free(e->cfg.mem.ctx, p, size);
}

/* ---- event.c, sad.c, spd.c, sp.c for each other and for engine.c ---- */

TDO_MUST_CHECK int tdo_event_ring_new(struct tdo_worker *w);
void tdo_event_ring_free(struct tdo_worker *w);

unsigned tdo_sad_count(const struct tdo_engine *e);
void tdo_sad_larval_changed(struct tdo_engine *e); /* the knob, life.c */

TDO_MUST_CHECK int tdo_spd_new(struct tdo_engine *e);
void tdo_spd_free(struct tdo_engine *e); /* all policies; retired ones are drained later */
void tdo_spd_fini(struct tdo_engine *e); /* after the drain: the tables themselves */
unsigned tdo_spd_count(const struct tdo_engine *e);

/* The selectors with host bits cleared. */
struct tdo_sel tdo_sel_normal(const struct tdo_sel *sel);
void tdo_sp_ref(struct tdo_sp *sp);
void tdo_sp_unref(struct tdo_sp *sp);
void tdo_sp_fill_info(const struct tdo_engine *e, const struct tdo_sp *sp, struct tdo_sp_info *ret);

/* ---- knob.c, debug.c, fault.c ---- */

/* 0, or -EOPNOTSUPP when IPsec is switched off (net.inet.ipsec.enabled). */
TDO_MUST_CHECK int tdo_check_enabled(struct tdo_engine *e, struct tdo_err *ret_err);
void tdo_debug_changed(struct tdo_engine *e); /* what was dropped before is not reported */
void tdo_debug_tick(struct tdo_engine *e);
void tdo_fault_changed(struct tdo_engine *e, enum tdo_knob k);

/* ---- grow.c ---- */

/* Lets all replay windows grow that asked for it; SAs with an alert are looked at by the tick. */
void tdo_sad_grow(struct tdo_engine *e);

/* ---- worker.c, local.c ---- */

TDO_MUST_CHECK int tdo_worker_new(struct tdo_engine *e, unsigned i);
void tdo_worker_free(struct tdo_worker *w);
void tdo_local_free(struct tdo_engine *e);

#endif
