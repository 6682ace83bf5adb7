/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for the key management: expiries wait in their objects, acquires come from the
 * workers through one ring each (single producer, single consumer).
 */
#include "engine/event.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/wr.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/engine.h"
#include "wire/ip.h"

#define RING        64u   /* acquires that one worker can have waiting */
#define PENDING_MAX 1024u /* acquires that nobody answered yet */
#define ASKED       1024u /* that workers know of, one for each rest of their keys */
#define REFUSALS    64u   /* that are remembered, one for each rest of their keys */

struct tdo_acquire_ring {
	_Alignas(64) _Atomic uint32_t head; /* written by the control thread */
	_Alignas(64) _Atomic uint32_t tail; /* written by the worker */
	struct tdo_acquire slot[RING];
};

/* An SA that was asked for, until it is answered or asked for again. */
struct pending {
	struct tdo_acquire a;
	uint32_t seq;
	uint32_t packets; /* since the question */
	struct pending *next;
};

/* What a key manager refused: written by the control thread, read by workers. */
struct refusal {
	_Atomic uint64_t key;
	_Atomic tdo_ns when; /* 0: none */
};

struct tdo_events {
	struct tdo_event_link *head, **tail;
	struct pending *pending; /* newest first */
	unsigned npending;
	uint32_t seq;
	_Atomic uint32_t acquirers; /* bit 1 << SA type: somebody is registered */
	struct refusal refusal[REFUSALS];
	_Atomic uint64_t asked[ASKED]; /* keys of pending ones; 0: none */
};

int
tdo_events_new(struct tdo_engine *e)
{
	struct tdo_events *ev = tdo_engine_alloc(e, sizeof(*ev));

	if (ev == NULL)
		return -ENOMEM;
	ev->tail = &ev->head;
	e->events = ev;
	return 0;
}

int
tdo_event_ring_new(struct tdo_worker *w)
{
	w->acquire = tdo_line_alloc(&w->engine->cfg.mem, sizeof(*w->acquire));
	return w->acquire ? 0 : -ENOMEM;
}

void
tdo_event_ring_free(struct tdo_worker *w)
{
	tdo_line_free(&w->engine->cfg.mem, w->acquire, sizeof(*w->acquire));
}

/* ---- expiries ----------------------------------------------------------------------- */

static void
push(struct tdo_events *ev, struct tdo_event_link *l, uint8_t type)
{
	l->type = type;
	l->next = NULL;
	*ev->tail = l;
	ev->tail = &l->next;
}

static struct tdo_event_link *
pop(struct tdo_events *ev)
{
	struct tdo_event_link *l = ev->head;

	if (l == NULL)
		return NULL;
	ev->head = l->next;
	if (ev->head == NULL)
		ev->tail = &ev->head;
	return l;
}

void
tdo_event_sa(struct tdo_engine *e, struct tdo_sa *sa, uint8_t type)
{
	tdo_sa_ref(sa);
	push(e->events,
	    type == TDO_EVENT_EXPIRE_SOFT   ? &sa->soft_event
	    : type == TDO_EVENT_NAT_MAPPING ? &sa->encap->event
					    : &sa->hard_event,
	    type);
}

void
tdo_event_sp(struct tdo_engine *e, struct tdo_sp *sp)
{
	tdo_sp_ref(sp);
	push(e->events, &sp->expired, TDO_EVENT_SP_EXPIRE);
}

static struct tdo_sa *
sa_of(struct tdo_event_link *l)
{
	switch (l->type) {
	case TDO_EVENT_EXPIRE_SOFT:
		return TDO_CONTAINER_OF(l, struct tdo_sa, soft_event);
	case TDO_EVENT_NAT_MAPPING:
		return TDO_CONTAINER_OF(l, struct tdo_encap, event)->sa;
	default:
		return TDO_CONTAINER_OF(l, struct tdo_sa, hard_event);
	}
}

static void
release_link(struct tdo_event_link *l)
{
	if (l->type == TDO_EVENT_SP_EXPIRE)
		tdo_sp_unref(TDO_CONTAINER_OF(l, struct tdo_sp, expired));
	else
		tdo_sa_unref(sa_of(l));
}

static void
fill_expiry(struct tdo_engine *e, struct tdo_event_link *l, struct tdo_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = l->type;
	if (l->type == TDO_EVENT_SP_EXPIRE)
		tdo_sp_fill_info(e, TDO_CONTAINER_OF(l, struct tdo_sp, expired), &ret->sp);
	else
		tdo_sa_fill_info(e, sa_of(l), &ret->sa);
	if (l->type == TDO_EVENT_NAT_MAPPING)
		tdo_encap_tell(sa_of(l), ret);
	release_link(l);
}

/* ---- acquires: worker side ---------------------------------------------------------- */

/* RFC 4301 4.4.1.1: the selectors of the policy, with the packet's values in the pfp fields. */
static struct tdo_sel
populate(const struct tdo_sel *sel, const struct tdo_flow *f, uint8_t pfp)
{
	struct tdo_sel s = *sel;

	if (pfp & TDO_PFP_SRC) {
		s.src = f->src;
		s.src_plen = (uint8_t)tdo_af_bits(f->src.af);
	}
	if (pfp & TDO_PFP_DST) {
		s.dst = f->dst;
		s.dst_plen = (uint8_t)tdo_af_bits(f->dst.af);
	}
	if (pfp & TDO_PFP_PROTO)
		s.proto = f->proto;
	if (!tdo_flow_shows_ports(f, s.proto))
		return s;
	if (pfp & TDO_PFP_SPORT)
		s.sport = (struct tdo_range){f->sport, f->sport};
	if (pfp & TDO_PFP_DPORT)
		s.dport = (struct tdo_range){f->dport, f->dport};
	return s;
}

static uint64_t
key_of(const struct tdo_engine *e, const struct tdo_acquire *a)
{
	uint8_t buf[128];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	const struct tdo_sel *s = &a->sel;

	tdo_wr_u8(&w, a->req.proto);
	tdo_wr_u8(&w, a->req.mode);
	tdo_wr_u8(&w, a->req.level == TDO_LEVEL_UNIQUE);
	tdo_wr_be32(&w, a->req.reqid);
	tdo_wr_be16(&w, a->req.sport);
	tdo_wr_be16(&w, a->req.dport);
	if (a->req.proto != 0) {
		tdo_wr_bytes(&w, &a->src, sizeof(a->src));
		tdo_wr_bytes(&w, &a->dst, sizeof(a->dst));
	} else {
		tdo_wr_be32(&w, a->sp_id); /* what is missing is the policy's requests */
	}
	if (a->has_sel) {
		tdo_wr_bytes(&w, &s->src, sizeof(s->src));
		tdo_wr_bytes(&w, &s->dst, sizeof(s->dst));
		tdo_wr_u8(&w, s->src_plen);
		tdo_wr_u8(&w, s->dst_plen);
		tdo_wr_u8(&w, s->proto);
		tdo_wr_be16(&w, s->sport.lo);
		tdo_wr_be16(&w, s->sport.hi);
		tdo_wr_be16(&w, s->dport.lo);
		tdo_wr_be16(&w, s->dport.hi);
	}
	return tdo_siphash(&e->hash_key, buf, w.len);
}

struct tdo_acquire
tdo_acquire_of(
    const struct tdo_engine *e, const struct tdo_sp *sp, const struct tdo_sa_ask *ask, tdo_ns now)
{
	struct tdo_acquire a = {.sp_id = sp->id,
	    .req = *ask->req,
	    .src = *ask->src,
	    .dst = *ask->dst,
	    .has_sel = ask->pfp != 0,
	    .when = now};

	if (a.has_sel)
		a.sel = populate(&sp->param.sel, ask->flow, ask->pfp);
	a.key = key_of(e, &a);
	return a;
}

static _Atomic uint64_t *
asked_at(struct tdo_events *ev, uint64_t key)
{
	return &ev->asked[key % ASKED];
}

void
tdo_event_acquire(struct tdo_worker *w, const struct tdo_acquire *a)
{
	struct tdo_acquire_ring *r = w->acquire;
	_Atomic uint64_t *asked = asked_at(w->engine->events, a->key);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	/* Those that wait for an answer must not keep out those whose question was lost. */
	if (a->again && atomic_load_explicit(asked, memory_order_relaxed) == a->key)
		return;
	/* Full: the packet that found no SA will come again. */
	if (tail - head == RING)
		return;
	r->slot[tail % RING] = *a;
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

/* Bits of the SA types that could answer; a policy that has no requests yet: any of them. */
static uint32_t
types_of(uint8_t proto)
{
	switch (proto) {
	case 0:
		return UINT32_MAX;
	case TDO_IPPROTO_ESP:
		return 1u << TDO_SATYPE_ESP;
	case TDO_IPPROTO_AH:
		return 1u << TDO_SATYPE_AH;
	default:
		return 1u << TDO_SATYPE_IPCOMP;
	}
}

bool
tdo_event_has_acquirer(const struct tdo_engine *e, uint8_t proto)
{
	return (atomic_load_explicit(&e->events->acquirers, memory_order_relaxed) &
		   types_of(proto)) != 0;
}

/* The words are read in the order opposite to that in which they are written. */
bool
tdo_acquire_was_refused(const struct tdo_engine *e, uint64_t key, tdo_ns since)
{
	const struct refusal *r = &e->events->refusal[key % REFUSALS];
	uint64_t before = atomic_load_explicit(&r->key, memory_order_acquire);
	tdo_ns when = atomic_load_explicit(&r->when, memory_order_acquire);
	uint64_t after = atomic_load_explicit(&r->key, memory_order_acquire);

	return before == key && after == key && when != 0 && when >= since;
}

/* ---- acquires: control side --------------------------------------------------------- */

static bool
take(struct tdo_acquire_ring *r, struct tdo_acquire *ret)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head == tail)
		return false;
	*ret = r->slot[head % RING];
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

static void
forget(struct tdo_engine *e, struct pending **at)
{
	struct pending *p = *at;
	_Atomic uint64_t *asked = asked_at(e->events, p->a.key);

	if (atomic_load_explicit(asked, memory_order_relaxed) == p->a.key)
		atomic_store_explicit(asked, 0, memory_order_relaxed);
	*at = p->next;
	e->events->npending--;
	tdo_engine_release(e, p, sizeof(*p));
}

static struct pending *
find_pending(struct tdo_events *ev, uint64_t key)
{
	for (struct pending *p = ev->pending; p; p = p->next)
		if (p->a.key == key)
			return p;
	return NULL;
}

static struct pending *
new_pending(struct tdo_engine *e)
{
	struct tdo_events *ev = e->events;
	struct pending *p;

	if (ev->npending >= PENDING_MAX)
		return NULL;
	p = tdo_engine_alloc(e, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->next = ev->pending;
	ev->pending = p;
	ev->npending++;
	return p;
}

/*
 * Spec 4.3: the question is repeated only after blockacq_count further packets or
 * blockacq_lifetime seconds.  A packet that waits is no further one.  Returns the entry when it
 * is to be asked now.
 */
static struct pending *
to_ask(struct tdo_engine *e, const struct tdo_acquire *a)
{
	struct pending *p = find_pending(e->events, a->key);
	uint32_t count = (uint32_t)tdo_knob(e, TDO_KNOB_BLOCKACQ_COUNT, a->dst.af);
	uint64_t life = (uint64_t)tdo_knob(e, TDO_KNOB_BLOCKACQ_LIFETIME, a->dst.af);

	if (p == NULL)
		p = new_pending(e);
	else if ((a->again || ++p->packets <= count) && tdo_age(p->a.when, a->when) <= life)
		return NULL;
	if (p == NULL)
		return NULL;
	p->a = *a;
	p->packets = 0;
	atomic_store_explicit(asked_at(e->events, a->key), a->key, memory_order_relaxed);
	p->seq = ++e->events->seq ? e->events->seq : ++e->events->seq;
	return p;
}

static void
fill_acquire(const struct pending *p, struct tdo_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = p->a.req.proto != 0 ? TDO_EVENT_ACQUIRE : TDO_EVENT_SP_ACQUIRE;
	ret->acquire.seq = p->seq;
	ret->acquire.sp_id = p->a.sp_id;
	ret->acquire.src = p->a.src;
	ret->acquire.dst = p->a.dst;
	ret->acquire.req = p->a.req;
	ret->acquire.has_sel = p->a.has_sel;
	ret->acquire.sel = p->a.sel;
}

static bool
next_acquire(struct tdo_engine *e, struct tdo_event *ret)
{
	struct tdo_acquire a;

	for (unsigned i = 0; i < e->cfg.nworkers; i++) {
		while (take(e->worker[i]->acquire, &a)) {
			struct pending *p = to_ask(e, &a);

			if (p == NULL)
				continue;
			fill_acquire(p, ret);
			return true;
		}
	}
	return false;
}

static struct pending **
by_seq(struct tdo_events *ev, uint32_t seq)
{
	struct pending **p = &ev->pending;

	while (*p && (seq == 0 || (*p)->seq != seq))
		p = &(*p)->next;
	return p;
}

void
tdo_acquire_answered(struct tdo_engine *e, uint32_t seq)
{
	struct pending **p = by_seq(e->events, seq);

	if (*p)
		forget(e, p);
}

void
tdo_acquire_working(struct tdo_engine *e, uint32_t seq, tdo_ns now)
{
	struct pending **p = by_seq(e->events, seq);

	if (*p) {
		(*p)->a.when = now;
		(*p)->packets = 0;
	}
}

void
tdo_acquire_refused(struct tdo_engine *e, uint32_t seq, tdo_ns now)
{
	struct pending **p = by_seq(e->events, seq);
	struct refusal *r;

	if (*p == NULL)
		return;
	r = &e->events->refusal[(*p)->a.key % REFUSALS];
	atomic_store_explicit(&r->when, 0, memory_order_release);
	atomic_store_explicit(&r->key, (*p)->a.key, memory_order_release);
	atomic_store_explicit(&r->when, now ? now : 1, memory_order_release);
	forget(e, p);
	tdo_engine_changed(e); /* those that wait look again */
}

void
tdo_engine_set_acquirers(struct tdo_engine *e, uint32_t satypes)
{
	struct tdo_events *ev = e->events;
	uint32_t old = atomic_load_explicit(&ev->acquirers, memory_order_relaxed);
	struct pending **p = &ev->pending;

	if (satypes == old)
		return;
	/* Who is new was not asked yet. */
	while (*p) {
		if (types_of((*p)->a.req.proto) & satypes & ~old)
			forget(e, p);
		else
			p = &(*p)->next;
	}
	atomic_store_explicit(&ev->acquirers, satypes, memory_order_relaxed);
	tdo_engine_changed(e);
}

void
tdo_event_tick(struct tdo_engine *e, tdo_ns now)
{
	struct pending **p = &e->events->pending;

	while (*p) {
		uint8_t af = (*p)->a.dst.af;
		uint64_t life = (uint64_t)tdo_knob(e, TDO_KNOB_BLOCKACQ_LIFETIME, af);

		if (tdo_age((*p)->a.when, now) > life)
			forget(e, p);
		else
			p = &(*p)->next;
	}
}

/* ---- taking ------------------------------------------------------------------------- */

bool
tdo_engine_next_event(struct tdo_engine *e, struct tdo_event *ret)
{
	struct tdo_event_link *l = pop(e->events);

	if (l == NULL)
		return next_acquire(e, ret);
	fill_expiry(e, l, ret);
	return true;
}

void
tdo_events_free(struct tdo_engine *e)
{
	struct tdo_event_link *l;

	if (e->events == NULL)
		return;
	while ((l = pop(e->events)) != NULL)
		release_link(l);
	while (e->events->pending)
		forget(e, &e->events->pending);
	tdo_engine_release(e, e->events, sizeof(*e->events));
}
