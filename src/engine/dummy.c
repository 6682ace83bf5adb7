/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dummy packets (RFC 4303 2.6): every SA that wants some sends them at its rate, at times that
 * tell nothing.  Nothing waits anywhere: what cannot go now does not go.
 */
#include "engine/dummy.h"

#include <string.h>

#include "engine/layer_out.h"

enum { TEXT_MIN = 20 }; /* of dummies whose lengths are random: the shortest packet there is */

void
tdo_dummy_join(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sa *first = e->dummies.first;

	if (sa->param.tfc.dummies == 0)
		return;
	sa->dummy_prev = NULL;
	sa->dummy_next = first;
	if (first)
		first->dummy_prev = sa;
	e->dummies.first = sa;
	sa->wants_dummies = true;
	e->dummies.due = 0;
}

void
tdo_dummy_leave(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (!sa->wants_dummies)
		return;
	sa->wants_dummies = false;
	*(sa->dummy_prev ? &sa->dummy_prev->dummy_next : &e->dummies.first) = sa->dummy_next;
	if (sa->dummy_next)
		sa->dummy_next->dummy_prev = sa->dummy_prev;
	if (e->dummies.next == sa)
		e->dummies.next = sa->dummy_next;
}

/* ---- when --------------------------------------------------------------------------- */

/* From half of the mean interval to one and a half. */
static tdo_ns
interval(struct tdo_worker *w, const struct tdo_sa *sa)
{
	tdo_ns mean = TDO_SEC / sa->param.tfc.dummies;
	uint64_t r;

	tdo_worker_random(w, &r, sizeof(r));
	return mean / 2 + r % (mean + 1);
}

/* One that was not looked at for so long does not send more because of that. */
#define LATE_MAX (TDO_SEC / 10)

static bool
is_due(struct tdo_worker *w, struct tdo_sa *sa, tdo_ns now)
{
	bool due = sa->dummy_due != 0 && sa->dummy_due <= now;

	if (sa->dummy_due == 0 || now > sa->dummy_due + LATE_MAX)
		sa->dummy_due = now + interval(w, sa);
	else if (due)
		sa->dummy_due += interval(w, sa);
	return due;
}

/* A second's worth of dummies of all SAs together. */
static bool
within_limit(struct tdo_engine *e, tdo_ns now)
{
	if (now - e->dummies.since >= TDO_SEC) {
		e->dummies.since = now;
		e->dummies.sent = 0;
	}
	return e->dummies.sent < (unsigned)tdo_knob(e, TDO_KNOB_TFC_DUMMIES, TDO_AF_INET);
}

/* The SAs of this host that may send; a peer's are there for what it sends. */
static bool
may_send(const struct tdo_engine *e, const struct tdo_sa *sa)
{
	uint8_t state = atomic_load_explicit(&sa->state, memory_order_relaxed);

	return (state == TDO_SA_MATURE || state == TDO_SA_DYING) && tdo_is_local(e, &sa->id.src);
}

/* ---- what --------------------------------------------------------------------------- */

/* As long as other packets of the SA, or of any length. */
static uint32_t
text_len(struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_pkt *p)
{
	uint32_t hlen = p->ip.l4_off, most = tdo_layer_inner_mtu(p, p->path_mtu), tfc;
	uint16_t random;

	if (most < hlen + TEXT_MIN)
		return 0;
	most -= hlen;
	tfc = tdo_layer_tfc(w, sa);
	if (tfc > 0)
		return tfc < most ? tfc : most;
	tdo_worker_random(w, &random, sizeof(random));
	return TEXT_MIN + random % (most - TEXT_MIN + 1);
}

/* An IP header that announces nothing (RFC 4303 2.6: next header 59), and zeros. */
static bool
build(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p)
{
	struct tdo_ip_hdr h = {.src = sa->id.src,
	    .dst = sa->id.dst,
	    .ttl = sa->tunnel.hop_limit
		       ? sa->tunnel.hop_limit
		       : (uint8_t)tdo_knob(w->engine, TDO_KNOB_HOPLIMIT, sa->id.src.af),
	    .proto = TDO_IPPROTO_NONE,
	    .df = true};
	uint32_t hlen = tdo_ip_hlen(sa->id.src.af), text;

	if (p->off > p->cap || hlen + TEXT_MIN > p->cap - p->off)
		return false;
	tdo_worker_random(w, &h.id, sizeof(h.id));
	p->len = hlen;
	tdo_ip_build(tdo_pkt_data(p), &h, 0);
	if (tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip) != TDO_REASON_NONE)
		return false;
	text = text_len(w, sa, p);
	if (text == 0 || text > p->cap - p->off - hlen)
		return false;
	memset(tdo_pkt_data(p) + hlen, 0, text);
	p->len += text;
	tdo_ip_set_len(tdo_pkt_data(p), p->len);
	p->ip.total_len = p->len;
	return true;
}

static bool
make(struct tdo_worker *w, struct tdo_sa *sa, tdo_dummy_mtu_fn mtu, void *ctx, struct tdo_pkt *p,
    tdo_ns now)
{
	uint32_t fits = mtu(ctx, &sa->id.src, &sa->id.dst);

	if (sa->mtu != 0 && sa->mtu < fits)
		fits = sa->mtu;
	p->path_mtu = fits > TDO_PKT_MAXLEN ? TDO_PKT_MAXLEN : (uint16_t)fits;
	p->verdict = TDO_VERDICT_PROTECT;
	p->flags = TDO_PKT_DF;
	p->gso = TDO_GSO_NONE;
	p->tunnelled = p->layer = 0;
	p->sp = NULL;
	p->sas[0] = sa;
	p->nsas = 1;
	if (!build(w, sa, p))
		return false;
	tdo_worker_way(w, true);
	tdo_out_protect(w, &p, 1, now);
	if (p->verdict != TDO_VERDICT_SEND)
		return false;
	tdo_worker_stat(w, TDO_STAT_ESP_DUMMIES, 1);
	w->engine->dummies.sent++;
	return true;
}

/* ---- the outside -------------------------------------------------------------------- */

bool
tdo_dummy_make(struct tdo_engine *e, struct tdo_worker *w, tdo_dummy_mtu_fn mtu, void *ctx,
    struct tdo_pkt *p, tdo_ns now)
{
	if (e->dummies.first == NULL || now < e->dummies.due)
		return false;
	if (e->dummies.next == NULL) {
		e->dummies.next = e->dummies.first;
		e->dummies.soonest = UINT64_MAX;
	}
	while (e->dummies.next) {
		struct tdo_sa *sa = e->dummies.next;
		bool due = is_due(w, sa, now);

		e->dummies.next = sa->dummy_next;
		if (sa->dummy_due < e->dummies.soonest)
			e->dummies.soonest = sa->dummy_due;
		if (due && may_send(e, sa) && within_limit(e, now) && make(w, sa, mtu, ctx, p, now))
			return true;
	}
	/* All were looked at. */
	e->dummies.due = e->dummies.soonest;
	return false;
}

tdo_ns
tdo_dummy_due(const struct tdo_engine *e)
{
	return e->dummies.first ? e->dummies.due : UINT64_MAX;
}
