/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine object: making and freeing, clock, tick, texts. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ct.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/engine.h"

#define LINE 64u

void *
tdo_line_alloc(const struct tdo_mem *mem, size_t size)
{
	uint8_t *raw = mem->alloc(mem->ctx, size + LINE), *p;

	if (raw == NULL)
		return NULL;
	/* At least one byte in front says how far the allocation starts before. */
	p = raw + LINE - (uintptr_t)raw % LINE;
	p[-1] = (uint8_t)(p - raw);
	return p;
}

void
tdo_line_free(const struct tdo_mem *mem, void *p, size_t size)
{
	uint8_t *b = p;

	if (p)
		mem->free(mem->ctx, b - b[-1], size + LINE);
}

/* ---- texts -------------------------------------------------------------------------- */

int
tdo_refuse(struct tdo_engine *e, struct tdo_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->err_text, sizeof(e->err_text), fmt, ap);
	va_end(ap);
	if (err)
		err->text = e->err_text;
	return code;
}

void
tdo_text(char *buf, size_t len, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *at, len - *at, fmt, ap);
	va_end(ap);
	if (n > 0)
		*at += (size_t)n < len - *at ? (size_t)n : len - *at - 1;
}

void
tdo_engine_log(const struct tdo_engine *e, enum tdo_log_level level, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	if (e->cfg.log == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->cfg.log(e->cfg.log_ctx, level, text);
}

/* ---- making and freeing ------------------------------------------------------------- */

static void
default_knobs(struct tdo_engine *e)
{
	for (unsigned k = 0; k < TDO_KNOB_COUNT; k++)
		for (unsigned i = 0; i < 2; i++)
			atomic_init(&e->knob[k][i], tdo_knob_info((enum tdo_knob)k)->def);
	if (e->cfg.flows)
		for (unsigned i = 0; i < 2; i++)
			atomic_init(
			    &e->knob[TDO_KNOB_SPDCACHE_MAXENTRIES][i], (int32_t)e->cfg.flows);
}

int
tdo_engine_new(const struct tdo_engine_config *cfg, struct tdo_engine **ret)
{
	struct tdo_engine *e;
	int r;

	if (cfg->mem.alloc == NULL || cfg->mem.free == NULL || cfg->random == NULL ||
	    cfg->crypto == NULL || cfg->nworkers == 0 || cfg->nworkers > TDO_QSBR_READERS ||
	    !tdo_flow_cache_size_ok(cfg->flows))
		return -EINVAL;
	e = tdo_line_alloc(&cfg->mem, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	e->cfg = *cfg;
	tdo_qsbr_init(&e->qsbr, cfg->nworkers);
	cfg->random(cfg->random_ctx, &e->hash_key, sizeof(e->hash_key));
	default_knobs(e);
	r = tdo_events_new(e);
	if (r == 0)
		r = tdo_sad_new(e);
	if (r == 0)
		r = tdo_spd_new(e);
	if (r == 0)
		r = tdo_udp_ports_new(e);
	for (unsigned i = 0; r == 0 && i < cfg->nworkers; i++)
		r = tdo_worker_new(e, i);
	if (r) {
		tdo_engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void
tdo_engine_free(struct tdo_engine *e)
{
	struct tdo_mem mem;

	if (e == NULL)
		return;
	mem = e->cfg.mem;
	tdo_sad_free(e);
	tdo_spd_free(e);
	tdo_events_free(e);
	tdo_qsbr_drain(&e->qsbr, e);
	tdo_sad_fini(e);
	tdo_spd_fini(e);
	tdo_local_free(e);
	tdo_udp_ports_free(e);
	for (unsigned i = 0; i < e->cfg.nworkers; i++)
		tdo_worker_free(e->worker[i]);
	tdo_wipe(&e->hash_key, sizeof(e->hash_key));
	tdo_wipe(&e->random, sizeof(e->random));
	tdo_line_free(&mem, e, sizeof(*e));
}

struct tdo_crypto *
tdo_engine_crypto(const struct tdo_engine *e)
{
	return e->cfg.crypto;
}

/* ---- clock -------------------------------------------------------------------------- */

void
tdo_engine_set_wall(struct tdo_engine *e, uint64_t seconds, tdo_ns now)
{
	e->wall_base = seconds;
	e->wall_at = now;
}

uint64_t
tdo_wall(const struct tdo_engine *e, tdo_ns t)
{
	uint64_t back;

	if (t >= e->wall_at)
		return e->wall_base + (t - e->wall_at) / TDO_SEC;
	back = (e->wall_at - t + TDO_SEC - 1) / TDO_SEC;
	return e->wall_base > back ? e->wall_base - back : 0;
}

uint64_t
tdo_wall_used(const struct tdo_engine *e, tdo_ns t)
{
	uint64_t w = t ? tdo_wall(e, t) : 0;

	return t && w == 0 ? 1 : w;
}

/* random_int: what an attacker might read from a worker's stock is soon worth nothing. */
static void
age_random(struct tdo_engine *e, tdo_ns now)
{
	if (tdo_age(e->random_since, now) < (uint64_t)tdo_knob(e, TDO_KNOB_RANDOM_INT, 0))
		return;
	e->random_since = now;
	atomic_fetch_add_explicit(&e->random_epoch, 1, memory_order_relaxed);
}

void
tdo_engine_tick(struct tdo_engine *e, tdo_ns now)
{
	size_t freed = 0;

	e->last_tick = now;
	age_random(e, now);
	tdo_sad_grow(e);
	e->busy = tdo_sad_tick(e, now);
	e->busy |= tdo_spd_tick(e, now);
	tdo_udp_ports_tick(e);
	e->busy |= tdo_keepalive_tick(e, now);
	tdo_event_tick(e, now);
	tdo_tunnel_tick(e, now);
	tdo_debug_tick(e);
	tdo_blame_tick(e);
	freed = e->qsbr.n;
	freed -= tdo_qsbr_poll(&e->qsbr, e, TDO_RECLAIM_TICK);
	e->busy |= freed >= TDO_RECLAIM_TICK;
}

bool
tdo_engine_busy(const struct tdo_engine *e)
{
	return e->busy;
}

uint32_t
tdo_engine_generation(const struct tdo_engine *e)
{
	return atomic_load_explicit(&e->generation, memory_order_acquire);
}

struct tdo_spd_counts
tdo_engine_counts(const struct tdo_engine *e)
{
	return (struct tdo_spd_counts){.sas = tdo_sad_count(e), .sps = tdo_spd_count(e)};
}

uint64_t
tdo_engine_mark(struct tdo_engine *e)
{
	return tdo_qsbr_mark(&e->qsbr);
}

bool
tdo_engine_passed(struct tdo_engine *e, uint64_t mark)
{
	return tdo_qsbr_passed(&e->qsbr, mark);
}
