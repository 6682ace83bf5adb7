/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments of one worker: see fragments.h. */
#include "daemon/fragments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/provide.h"

#define WHOLE_MAX (TDO_PKT_MAXLEN + 40u) /* IPv6 does not count its fixed header */
#define WHOLE_CAP (TDO_HEADROOM + WHOLE_MAX + TDO_TAILROOM)

static void
lost_out(void *ctx, enum tdo_reason r, unsigned n)
{
	struct tdo_fragments *f = ctx;

	tdo_worker_count_drop(f->handle, TDO_AT_OUT, r, n);
}

static void
lost_in(void *ctx, enum tdo_reason r, unsigned n)
{
	struct tdo_fragments *f = ctx;

	tdo_worker_count_drop(f->handle, TDO_AT_IN, r, n);
}

/* What is whole is written to the same memory, but later. */
static void
tell(struct tdo_fragments *f, const struct tdo_reass_datagram *d, bool in)
{
	struct tdo_pkt first = {.buf = f->mem, .cap = WHOLE_CAP, .off = TDO_HEADROOM};

	if (f->late != NULL && tdo_reass_first(d, &first))
		f->late(f->late_ctx, &first, in, f->now);
}

static void
late_out(void *ctx, const struct tdo_reass_datagram *d)
{
	tell(ctx, d, false);
}

static void
late_in(void *ctx, const struct tdo_reass_datagram *d)
{
	tell(ctx, d, true);
}

int
tdo_fragments_init(struct tdo_fragments *f, struct tdo_engine *engine, struct tdo_worker *handle)
{
	struct tdo_reass_config cfg = {.mem = tdo_heap,
	    .random = tdo_provide_random,
	    .lost = lost_out,
	    .late = late_out,
	    .lost_ctx = f};
	int rc;

	*f = (struct tdo_fragments){.engine = engine, .handle = handle};
	f->mem = malloc(WHOLE_CAP);
	if (f->mem == NULL)
		return -ENOMEM;
	rc = tdo_reass_new(&cfg, &f->out);
	cfg.lost = lost_in;
	cfg.late = late_in;
	if (rc == 0)
		rc = tdo_reass_new(&cfg, &f->in);
	if (rc == 0)
		(void)tdo_fragments_look(f, 0);
	return rc;
}

void
tdo_fragments_fini(struct tdo_fragments *f)
{
	tdo_reass_free(f->out);
	tdo_reass_free(f->in);
	free(f->mem);
	*f = (struct tdo_fragments){0};
}

static struct tdo_reass_limits
limits(const struct tdo_fragments *f, uint8_t af)
{
	return (struct tdo_reass_limits){
	    .bytes = (size_t)tdo_knob_get(f->engine, TDO_KNOB_REASS_BYTES, TDO_AF_INET),
	    .datagrams = (unsigned)tdo_knob_get(f->engine, TDO_KNOB_REASS_DATAGRAMS, TDO_AF_INET),
	    .timeout = (tdo_ns)tdo_knob_get(f->engine, TDO_KNOB_REASS_TIMEOUT, af) * TDO_SEC,
	};
}

static bool
add(struct tdo_fragments *f, struct tdo_reass *r, const struct tdo_pkt *p, uint64_t way, tdo_ns now,
    struct tdo_reass_whole *ret)
{
	struct tdo_reass_limits lim = limits(f, p->ip.flow.src.af);

	tdo_reass_limit(r, &lim);
	f->now = now;
	f->whole = (struct tdo_pkt){.buf = f->mem, .cap = WHOLE_CAP, .off = TDO_HEADROOM};
	tdo_worker_count(f->handle, TDO_STAT_REASS_FRAGMENTS, 1);
	if (tdo_reass_add(r, tdo_pkt_data(p), p->len, way, now, &f->whole, ret) != TDO_REASS_WHOLE)
		return false;
	tdo_worker_count(f->handle, TDO_STAT_REASS_WHOLE, 1);
	return true;
}

struct tdo_pkt *
tdo_fragments_out(struct tdo_fragments *f, const struct tdo_pkt *p, tdo_ns now)
{
	struct tdo_pkt *whole = &f->whole;

	if (!add(f, f->out, p, 0, now, NULL))
		return NULL;
	whole->flags |= TDO_PKT_CAME_CUT;
	tdo_out_classify(f->handle, &whole, 1, now);
	return whole;
}

struct tdo_pkt *
tdo_fragments_in(
    struct tdo_fragments *f, const struct tdo_pkt *p, tdo_ns now, struct tdo_reass_whole *ret)
{
	if (!add(f, f->in, p, tdo_in_way(f->handle, p), now, ret))
		return NULL;
	tdo_in_whole(f->handle, &f->whole, p, now);
	return f->whole.verdict == TDO_VERDICT_PASS ? &f->whole : NULL;
}

struct tdo_pkt *
tdo_fragments_copy(struct tdo_fragments *f, const struct tdo_pkt *p)
{
	f->whole = *p;
	f->whole.buf = f->mem;
	f->whole.cap = WHOLE_CAP;
	f->whole.off = TDO_HEADROOM;
	memcpy(tdo_pkt_data(&f->whole), tdo_pkt_data(p), p->len);
	return &f->whole;
}

bool
tdo_fragments_look(struct tdo_fragments *f, tdo_ns now)
{
	struct tdo_reass_limits lim = limits(f, TDO_AF_INET);
	tdo_ns out, in;

	f->now = now;
	out = tdo_reass_expire(f->out, now);
	in = tdo_reass_expire(f->in, now);
	tdo_worker_reassembles(f->handle, lim.bytes > 0);
	return out != UINT64_MAX || in != UINT64_MAX;
}
