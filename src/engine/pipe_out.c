/* SPDX-License-Identifier: BSD-2-Clause */
/* The outbound pipeline: classification, then the SAs layer by layer (RFC 4301 5.1; spec 7.1). */
#include "base/addr.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/flow_cache.h"
#include "engine/icmp.h"
#include "engine/layer_out.h"
#include "engine/path.h"
#include "wire/icmp.h"

/* The packet as it will be when the requests looked at so far are applied. */
struct shape {
	struct tdo_flow flow;
};

static void
decide(struct tdo_decision *d, enum tdo_verdict v, enum tdo_reason r)
{
	d->verdict = (uint8_t)v;
	d->reason = (uint16_t)r;
}

/*
 * Appends one SA.  Step 8: a tunnel header goes with it when the request says so, or when
 * the SA's ends are not the packet's.
 */
static bool
append(struct tdo_decision *d, struct tdo_sa *sa, const struct tdo_req *req, struct shape *s)
{
	bool tunnel = req->mode == TDO_MODE_TUNNEL || !tdo_addr_equal(&sa->id.dst, &s->flow.dst);

	_Static_assert(TDO_REQ_MAX <= TDO_HIST_MAX, "every request of a policy has its place");
	if (tunnel && sa->fmt.outer_len == 0) {
		decide(d, TDO_VERDICT_DROP, TDO_REASON_OUT_FAMILY);
		return false;
	}
	s->flow = (struct tdo_flow){.src = tunnel ? sa->id.src : s->flow.src,
	    .dst = tunnel ? sa->id.dst : s->flow.dst,
	    .proto = sa->id.proto};
	d->tunnelled |= (uint8_t)(tunnel << d->nsas);
	d->sas[d->nsas++] = sa;
	return true;
}

/* NONE: the packet may wait for the SA (D37, D38); else why it may not, or not any longer. */
static enum tdo_reason
may_wait(const struct tdo_engine *e, const struct tdo_pkt *p, const struct tdo_acquire *a)
{
	uint8_t af = p->ip.flow.dst.af;
	uint64_t life = (uint64_t)tdo_knob(e, TDO_KNOB_LARVAL_LIFETIME, af);

	if (tdo_knob(e, TDO_KNOB_HOLD_PACKETS, af) == 0 ||
	    tdo_knob(e, TDO_KNOB_HOLD_BYTES, af) == 0)
		return TDO_REASON_OUT_NO_SA;
	if (p->held == 0)
		return TDO_REASON_NONE;
	if (tdo_acquire_was_refused(e, a->key, p->held))
		return TDO_REASON_HOLD_REFUSED;
	return tdo_age(p->held, a->when) > life ? TDO_REASON_HOLD_TIMEOUT : TDO_REASON_NONE;
}

/*
 * Step 6: a request has no SA, or the policy has no requests yet.  Key management is
 * asked, whatever the level.  True: the packet waits or is dropped; false: it goes without
 * this request, and *ret_asked says whether somebody was asked.
 */
static bool
lacks(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_acquire *a, const struct tdo_sp *sp,
    bool must, struct tdo_decision *d, bool *ret_asked)
{
	enum tdo_reason r = TDO_REASON_OUT_NO_SA;

	if (tdo_event_has_acquirer(w->engine, a->req.proto)) {
		a->again = p->held != 0;
		tdo_event_acquire(w, a);
		*ret_asked = true;
		if (must || sp->param.hold)
			r = may_wait(w->engine, p, a);
	}
	if (r != TDO_REASON_NONE) {
		decide(d, TDO_VERDICT_DROP, r);
		return must;
	}
	p->waits_for = a->key;
	if (must)
		p->flags |= TDO_PKT_NO_CLEAR;
	decide(d, TDO_VERDICT_HOLD, TDO_REASON_NONE);
	return true;
}

/*
 * Steps 5 to 8: an SA for every request, in written order.  False: the decision holds for this
 * packet only.
 */
static bool
resolve(struct tdo_worker *w, const struct tdo_sp *sp, const struct tdo_flow *as, struct tdo_pkt *p,
    struct tdo_decision *d, tdo_ns now)
{
	static const struct tdo_req none;
	struct shape s = {.flow = *as};
	bool skipped = false, asked = false;

	if (sp->param.nreq == 0) {
		struct tdo_sa_ask ask = {.req = &none, .src = &s.flow.src, .dst = &s.flow.dst};
		struct tdo_acquire a = tdo_acquire_of(w->engine, sp, &ask, now);

		(void)lacks(w, p, &a, sp, true, d, &asked);
		return false;
	}
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		const struct tdo_req *req = &sp->param.req[i];
		bool own = req->src.af != TDO_AF_NONE;
		struct tdo_sa_ask ask = {.req = req,
		    .src = own ? &req->src : &s.flow.src,
		    .dst = own ? &req->dst : &s.flow.dst,
		    .flow = &s.flow,
		    .pfp = i == 0 ? sp->param.pfp : 0, /* fields of the packet itself */
		    .worker = w->index};
		struct tdo_acquire a;
		struct tdo_sa *sa = tdo_sad_find_out(w->engine, &ask);

		if (sa) {
			if (!append(d, sa, req, &s))
				return false;
			continue;
		}
		a = tdo_acquire_of(w->engine, sp, &ask, now);
		if (lacks(w, p, &a, sp,
			tdo_req_level(w->engine, req, p->ip.flow.src.af) != TDO_LEVEL_USE, d,
			&asked))
			return false;
		skipped = true;
	}
	decide(d, d->nsas > 0 ? TDO_VERDICT_PROTECT : TDO_VERDICT_PASS, TDO_REASON_NONE);
	d->use_no_sa = d->nsas == 0 && skipped;
	/* The next packet is one more of those that are counted until the question is repeated. */
	return !asked;
}

/*
 * RFC 4301 6.2: an ICMP error that no policy names goes as the answer to what it quotes, which may
 * be secret; nowhere when it hides whether that is.
 */
static struct tdo_spd_hit
of_quote(const struct tdo_worker *w, const struct tdo_pkt *p, struct tdo_flow *as)
{
	struct tdo_spd_hit hit;

	if (!tdo_icmp_stands_for(w->engine, p, as) && !tdo_icmp_may_stand_for(w->engine, p, as))
		return (struct tdo_spd_hit){0};
	hit = tdo_spd_match(w->engine, TDO_DIR_OUT, as);
	if (hit.uncertain ? hit.protects : hit.sp && hit.sp->param.type == TDO_POLICY_IPSEC)
		return hit;
	return (struct tdo_spd_hit){0};
}

/* Steps 3 and 4.  False: the decision holds for this packet only. */
static bool
look_up(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_decision *d, tdo_ns now)
{
	const struct tdo_ip_info *ip = &p->ip;
	struct tdo_spd_hit hit = tdo_spd_match(w->engine, TDO_DIR_OUT, &ip->flow);
	enum tdo_reason hidden = TDO_REASON_OUT_FRAGMENT;
	struct tdo_flow as = ip->flow;
	bool keep = true;

	if (!hit.sp && !hit.uncertain && tdo_is_icmp(p) && tdo_icmp_is_error(&ip->flow)) {
		hit = of_quote(w, p, &as);
		hidden = TDO_REASON_OUT_ICMP_QUOTE;
		keep = false; /* the next error quotes something else */
	}

	d->sp = hit.sp;
	if (hit.uncertain)
		decide(d, TDO_VERDICT_DROP, hidden);
	else if (!hit.sp && tdo_knob(w->engine, TDO_KNOB_DEF_POLICY, ip->flow.src.af) == 0)
		decide(d, TDO_VERDICT_DROP, TDO_REASON_OUT_DEFAULT_DISCARD);
	else if (!hit.sp || hit.sp->param.type == TDO_POLICY_NONE)
		decide(d, TDO_VERDICT_PASS, TDO_REASON_NONE);
	else if (hit.sp->param.type == TDO_POLICY_IPSEC)
		keep &= resolve(w, hit.sp, &as, p, d, now);
	else
		decide(d, TDO_VERDICT_DROP, TDO_REASON_OUT_POLICY_DISCARD);
	return keep;
}

/*
 * Step 1: a packet that this SA made would be wrapped for ever if it came round again (R47).
 * testudo's own packets are not given to it; this finds the mistake when they are.
 */
static bool
is_own_output(const struct tdo_worker *w, struct tdo_pkt *p, const struct tdo_decision *d)
{
	const struct tdo_flow *f = &p->ip.flow;
	const struct tdo_sa *sa;

	if (!(d->tunnelled & 1) || !tdo_is_ipsec(f->proto) || p->ip.frag_later)
		return false;
	if (!tdo_addr_equal(&f->src, &d->sas[0]->id.src) ||
	    !tdo_addr_equal(&f->dst, &d->sas[0]->id.dst))
		return false;
	if (!tdo_read_spi(p))
		return false;
	if (f->proto == TDO_IPPROTO_IPCOMP)
		sa = tdo_sad_find_cpi(w->engine, f, p->spi, TDO_IPPROTO_IPIP);
	else
		sa = tdo_sad_find_in(w->engine, &f->dst, p->spi, f->proto);
	return sa && tdo_addr_equal(&sa->id.src, &f->src);
}

/*
 * RFC 4303 3.3.4, RFC 4302 3.3.4: transport mode is for whole datagrams only.  IPComp leaves
 * fragments as they are.
 */
static bool
needs_whole(const struct tdo_decision *d)
{
	unsigned i = 0;

	while (i < d->nsas && !(d->tunnelled >> i & 1) && d->sas[i]->id.proto == TDO_IPPROTO_IPCOMP)
		i++;
	return i < d->nsas && !(d->tunnelled >> i & 1);
}

static void
hold(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	p->verdict = TDO_VERDICT_HOLD;
	p->sp = NULL; /* not for as long as it may wait */
	if (p->held != 0)
		return;
	p->held = now ? now : 1;
	tdo_worker_stat(w, TDO_STAT_OUT_HELD, 1);
}

static void
apply(struct tdo_worker *w, struct tdo_pkt *p, const struct tdo_decision *d, tdo_ns now)
{
	p->sp = d->sp;
	if (d->verdict == TDO_VERDICT_PROTECT && is_own_output(w, p, d)) {
		tdo_worker_drop(w, p, NULL, TDO_REASON_OUT_ENDPOINT_LOOP, now);
		return;
	}
	if (d->verdict == TDO_VERDICT_PROTECT && p->ip.frag && needs_whole(d)) {
		tdo_worker_drop(w, p, NULL, TDO_REASON_OUT_FRAGMENT, now);
		return;
	}
	if (d->verdict == TDO_VERDICT_DROP) {
		tdo_worker_drop(w, p, NULL, (enum tdo_reason)d->reason, now);
		return;
	}
	/* Who waited for protection does not go in clear because the policy was taken away. */
	if (d->verdict == TDO_VERDICT_PASS && (p->flags & TDO_PKT_NO_CLEAR)) {
		tdo_worker_drop(w, p, NULL, TDO_REASON_HOLD_CLEAR, now);
		return;
	}
	if (d->verdict == TDO_VERDICT_HOLD) {
		hold(w, p, now);
		return;
	}
	p->verdict = d->verdict;
	p->nsas = d->nsas;
	p->tunnelled = d->tunnelled;
	for (unsigned i = 0; i < d->nsas; i++)
		p->sas[i] = d->sas[i];
	if (d->use_no_sa)
		tdo_worker_stat(w, TDO_STAT_OUT_USE_NO_SA, 1);
	if (d->verdict == TDO_VERDICT_PASS)
		tdo_worker_stat(w, TDO_STAT_OUT_PASSED, 1);
}

/* True when SAs of the policy protect the datagram itself: see needs_whole(). */
static bool
wants_datagrams(const struct tdo_sp *sp)
{
	for (unsigned i = 0; i < sp->param.nreq && sp->param.req[i].mode != TDO_MODE_TUNNEL; i++)
		if (sp->param.req[i].proto != TDO_IPPROTO_IPCOMP)
			return true;
	return false;
}

/*
 * RFC 4301 7: the policy of a fragment may depend on what only the first one shows.  That one is
 * judged by what the others show, so that they all go the same way.
 */
static bool
belongs_together(const struct tdo_worker *w, const struct tdo_ip_info *ip)
{
	struct tdo_flow f = tdo_flow_of_fragment(ip);
	struct tdo_spd_hit hit = tdo_spd_match(w->engine, TDO_DIR_OUT, &f);

	if (hit.uncertain)
		return true;
	return hit.sp && hit.sp->param.type == TDO_POLICY_IPSEC && wants_datagrams(hit.sp);
}

/* True when the policies have to be asked; else the packet has its verdict. */
static bool
examine(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	static const struct tdo_decision pass = {.verdict = TDO_VERDICT_PASS};
	enum tdo_reason r = tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip);

	if (r != TDO_REASON_NONE) {
		p->ip = (struct tdo_ip_info){0}; /* unspecified, but the drop is reported with it */
		tdo_worker_drop(w, p, NULL, r, now);
		return false;
	}
	if (p->ip.df || p->ip.flow.src.af == TDO_AF_INET6)
		p->flags |= TDO_PKT_DF;
	else
		p->flags &= (uint8_t)~TDO_PKT_DF;
	if (p->ip.frag && w->reassembles && belongs_together(w, &p->ip)) {
		p->verdict = TDO_VERDICT_FRAGMENT;
		return false;
	}
	if (!tdo_is_nd_or_mld(&p->ip))
		return true;
	apply(w, p, &pass, now);
	return false;
}

void
tdo_out_classify(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	struct tdo_flow_aim aim[TDO_BURST_MAX];
	struct tdo_pkt *todo[TDO_BURST_MAX];
	struct tdo_sp_use use = {0};
	uint64_t bytes = 0, fresh = 0;
	unsigned left = 0;

	tdo_worker_way(w, true);
	tdo_flow_cache_begin(w);
	for (unsigned i = 0; i < n; i++) {
		if (p[i]->held == 0) {
			fresh++;
			bytes += p[i]->len;
		}
		tdo_pkt_forget(p[i]);
		if (examine(w, p[i], now))
			todo[left++] = p[i];
	}
	if (left > 0)
		tdo_flow_cache_aim(w, TDO_DIR_OUT, todo, left, aim);
	for (unsigned i = 0; i < left; i++) {
		struct tdo_decision *d;

		if (!tdo_flow_cache_find(w, &todo[i]->ip.flow, &aim[i], &d) &&
		    !look_up(w, todo[i], d, now))
			tdo_flow_cache_forget(d);
		if (todo[i]->held == 0)
			tdo_sp_used(&use, d->sp, now);
		apply(w, todo[i], d, now);
	}
	tdo_sp_use_flush(&use, now);
	tdo_worker_stat(w, TDO_STAT_OUT_CALLS, 1);
	tdo_worker_stat(w, TDO_STAT_OUT_PACKETS, fresh);
	tdo_worker_stat(w, TDO_STAT_OUT_BYTES, bytes);
}

void
tdo_pkt_copy_class(struct tdo_pkt *to, const struct tdo_pkt *from)
{
	to->verdict = from->verdict;
	to->reason = from->reason;
	to->nsas = from->nsas;
	to->tunnelled = from->tunnelled;
	to->layer = from->layer;
	to->path_mtu = from->path_mtu;
	to->sp = from->sp;
	memcpy(to->sas, from->sas, sizeof(to->sas));
	to->flags = (uint8_t)((to->flags & ~TDO_PKT_DF) | (from->flags & TDO_PKT_DF));
	/* Segments have the headers of the whole; only the length differs. */
	to->ip = from->ip;
	to->ip.total_len = to->len;
}

/* Applies the next SA of each of the n packets. */
static void
protect_layer(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	struct tdo_sa *sa[TDO_BURST_MAX];

	for (unsigned i = 0; i < n; i++) /* borrowed as constant by the packet's owner only */
		sa[i] = (struct tdo_sa *)(uintptr_t)p[i]->sas[p[i]->layer];
	tdo_batch_run(w, sa, p, n, true, now);
}

void
tdo_out_protect(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	struct tdo_pkt *todo[TDO_BURST_MAX];
	unsigned left = 0, kept, done = 0;

	tdo_worker_way(w, true);
	for (unsigned i = 0; i < n; i++)
		if (p[i]->verdict == TDO_VERDICT_PROTECT)
			todo[left++] = p[i];
	while (left > 0) {
		protect_layer(w, todo, left, now);
		kept = 0;
		for (unsigned i = 0; i < left; i++) {
			if (todo[i]->verdict != TDO_VERDICT_PROTECT)
				continue;
			if (++todo[i]->layer < todo[i]->nsas) {
				todo[kept++] = todo[i];
				continue;
			}
			todo[i]->verdict = TDO_VERDICT_SEND;
			done++;
		}
		tdo_worker_stat(w, TDO_STAT_OUT_BUNDLED, kept);
		left = kept;
	}
	tdo_worker_stat(w, TDO_STAT_OUT_PROTECTED, done);
}

void
tdo_out(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	tdo_out_classify(w, p, n, now);
	tdo_out_protect(w, p, n, now);
}

bool
tdo_out_cuts_first(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	if (!(p->tunnelled & 1))
		return false;
	if (tdo_knob(w->engine, TDO_KNOB_FRAG_FIRST, TDO_AF_INET))
		return true;
	for (unsigned i = 0; i < p->nsas; i++)
		if (p->sas[i]->encap && p->sas[i]->encap->frag)
			return true;
	return false;
}

static uint32_t
inner_mtu(const struct tdo_pkt *p, unsigned first, uint32_t mtu)
{
	uint32_t hdr[TDO_HIST_MAX] = {0}, cur = p->ip.esp_off, room = mtu;

	/* Header in front of each IPsec header: of its tunnel, or what the packet has by then. */
	for (unsigned i = first; i < p->nsas; i++) {
		if (p->tunnelled >> i & 1)
			cur = p->sas[i]->fmt.outer_len;
		hdr[i] = cur;
	}
	/* From the outermost in: the text is a multiple of align, so this cannot be short. */
	for (unsigned i = p->nsas; i-- > first;) {
		const struct tdo_format *x = &p->sas[i]->fmt;
		uint32_t fixed = hdr[i] + x->encap_len + x->head_len + x->icv_len, text;

		if (room < fixed + x->align)
			return 0;
		text = (room - fixed) & ~(x->align - 1u);
		room = text - x->trailer_len + (p->tunnelled >> i & 1 ? 0 : hdr[i]);
		if (x->encap_len && p->sas[i]->encap->frag && room > p->sas[i]->encap->frag)
			room = p->sas[i]->encap->frag;
	}
	return room;
}

uint32_t
tdo_out_inner_mtu(const struct tdo_pkt *p, uint32_t mtu)
{
	return inner_mtu(p, 0, mtu);
}

uint32_t
tdo_layer_inner_mtu(const struct tdo_pkt *p, uint32_t mtu)
{
	return inner_mtu(p, p->layer, mtu);
}

bool
tdo_out_pads(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	for (unsigned i = 0; i < p->nsas; i++)
		if (p->sas[i]->id.proto == TDO_IPPROTO_ESP && tdo_layer_tfc(w, p->sas[i]) > 0)
			return true;
	return false;
}
