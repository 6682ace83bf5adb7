/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inbound pipeline: IPsec headers are removed layer by layer, then the policy is
 * checked against the whole history (RFC 4301 5.2; spec 7.2).
 */
#include "engine/check.h"
#include "engine/encap.h"
#include "engine/flow_cache.h"
#include "engine/icmp.h"
#include "engine/ipcomp.h"
#include "engine/path.h"
#include "wire/ip.h"

/* ---- policy ---- */

/* True when what the packet came in by may carry only what a policy of it covers (D48). */
static bool
outside_of_tunnel(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	for (unsigned i = 0; i < p->nsas; i++)
		if ((p->tunnelled >> i & 1) && tdo_spd_binds_tunnel(w->engine, &p->sas[i]->id))
			return true;
	return false;
}

static enum tdo_reason
check_requests(const struct tdo_worker *w, const struct tdo_pkt *p, const struct tdo_sp *sp,
    const struct tdo_flow *f)
{
	struct tdo_removed removed[TDO_HIST_MAX];
	struct tdo_req req[TDO_REQ_MAX];
	struct tdo_check c = {
	    .removed = removed,
	    .nremoved = p->nsas,
	    .req = req,
	    .nreq = sp->param.nreq,
	    .src = &f->src,
	    .dst = &f->dst,
	};

	if (sp->param.unset) /* nobody said yet what would be enough */
		return p->nsas == 0 ? TDO_REASON_IN_CLEAR : TDO_REASON_IN_WRONG_SA;
	for (unsigned i = 0; i < p->nsas; i++) {
		const struct tdo_encap *x = p->sas[i]->encap;

		removed[i] = (struct tdo_removed){.sa = &p->sas[i]->id,
		    .tunnel = (p->tunnelled >> i & 1) != 0,
		    .sport = x ? x->sport : 0,
		    .dport = x ? x->dport : 0};
	}
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		req[i] = sp->param.req[i];
		req[i].level = tdo_req_level(w->engine, &req[i], p->ip.flow.src.af);
	}
	return tdo_check_requests(&c);
}

/* True when the packet came by the SAs whose check d remembers. */
static bool
same_history(const struct tdo_decision *d, const struct tdo_pkt *p)
{
	if (!d->checked || d->nsas != p->nsas || d->tunnelled != p->tunnelled)
		return false;
	for (unsigned i = 0; i < p->nsas; i++)
		if (d->sas[i] != p->sas[i])
			return false;
	return true;
}

/* Packets of a flow come by the same SAs: the check is a pure function of these. */
static enum tdo_reason
check_history(const struct tdo_worker *w, const struct tdo_pkt *p, struct tdo_decision *d)
{
	d->reason = (uint16_t)check_requests(w, p, d->sp, &p->ip.flow);
	d->nsas = p->nsas;
	d->tunnelled = p->tunnelled;
	for (unsigned i = 0; i < p->nsas; i++)
		d->sas[i] = p->sas[i];
	d->checked = true;
	return (enum tdo_reason)d->reason;
}

/* What the policy of p's flow says of it, with the history that d does not know yet. */
static __attribute__((noinline)) enum tdo_reason
apply_policy(const struct tdo_worker *w, const struct tdo_pkt *p, struct tdo_decision *d)
{
	const struct tdo_sp *sp = d->sp;

	if (d->uncertain)
		return TDO_REASON_IN_FRAGMENT;
	if (sp && sp->param.type == TDO_POLICY_IPSEC)
		return check_history(w, p, d);
	if (sp && sp->param.type != TDO_POLICY_NONE)
		return TDO_REASON_IN_POLICY_DISCARD;
	if (outside_of_tunnel(w, p))
		return TDO_REASON_IN_SELECTOR;
	if (!sp && tdo_knob(w->engine, TDO_KNOB_DEF_POLICY, p->ip.flow.src.af) == 0)
		return TDO_REASON_IN_DEFAULT_DISCARD;
	return TDO_REASON_NONE;
}

static void
look_up(const struct tdo_worker *w, const struct tdo_pkt *p, struct tdo_decision *d)
{
	struct tdo_spd_hit hit = tdo_spd_match(w->engine, TDO_DIR_IN, &p->ip.flow);

	d->sp = hit.sp;
	d->uncertain = hit.uncertain;
}

static inline enum tdo_reason
policy(struct tdo_worker *w, struct tdo_pkt *p, const struct tdo_flow_aim *aim)
{
	struct tdo_decision *d;

	if (!tdo_flow_cache_find(w, &p->ip.flow, aim, &d))
		look_up(w, p, d);
	p->sp = d->sp;
	return same_history(d, p) ? (enum tdo_reason)d->reason : apply_policy(w, p, d);
}

/*
 * RFC 4301 7: true when what is allowed depends on fields that only the first fragment of the
 * datagram shows.
 */
static bool
belongs_together(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	struct tdo_flow f = tdo_flow_of_fragment(&p->ip);
	const struct tdo_sel *sel = p->nsas > 0 ? p->sas[p->nsas - 1]->sel : NULL;

	return (sel && !tdo_sel_match(sel, &f)) ||
	       tdo_spd_match(w->engine, TDO_DIR_IN, &f).uncertain;
}

/*
 * RFC 4301 6.2: an ICMP error may come by the SAs by which the answer to what it quotes would, also
 * from a router behind the peer that no policy names.  And in clear it may not come if that answer
 * may not: nobody on the way saw the packet that it quotes (6.1).  Who hides what would decide
 * stays outside, and who is discarded by name.
 */
static __attribute__((noinline)) enum tdo_reason
judge_quote(struct tdo_worker *w, struct tdo_pkt *p, enum tdo_reason r)
{
	bool clear = p->nsas == 0;
	struct tdo_spd_hit hit;
	enum tdo_reason other;
	struct tdo_flow f;

	if ((clear && r != TDO_REASON_NONE) || r == TDO_REASON_IN_POLICY_DISCARD)
		return r;
	if (!tdo_icmp_stands_for(w->engine, p, &f))
		return clear && tdo_icmp_is_obscure(w->engine, p) ? TDO_REASON_IN_ICMP_QUOTE : r;
	hit = tdo_spd_match(w->engine, TDO_DIR_IN, &f);
	if (hit.uncertain)
		return clear ? TDO_REASON_IN_ICMP_QUOTE : r;
	if (!hit.sp || hit.sp->param.type != TDO_POLICY_IPSEC)
		return r;
	other = check_requests(w, p, hit.sp, &f);
	if (other != TDO_REASON_NONE)
		return clear ? TDO_REASON_IN_ICMP_QUOTE : r;
	if (clear)
		return r;
	p->sp = hit.sp;
	return TDO_REASON_NONE;
}

/* The verdict of a packet of which its policy says r; true: it passes. */
static inline bool
conclude(
    struct tdo_worker *w, struct tdo_pkt *p, enum tdo_reason r, struct tdo_sp_use *use, tdo_ns now)
{
	if ((r != TDO_REASON_NONE || p->nsas == 0) && tdo_is_icmp(p))
		r = judge_quote(w, p, r);
	tdo_sp_used(use, p->sp, now);
	if (r != TDO_REASON_NONE) {
		tdo_worker_drop(w, p, NULL, r, now);
		return false;
	}
	p->verdict = TDO_VERDICT_PASS;
	return true;
}

/* Checks the policy of all packets without a verdict; returns how many passed. */
static unsigned
check_policy(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	struct tdo_flow_aim aim[TDO_BURST_MAX];
	struct tdo_pkt *todo[TDO_BURST_MAX];
	struct tdo_sp_use use = {0};
	unsigned left = 0, passed = 0;

	for (unsigned i = 0; i < n; i++) {
		if (p[i]->verdict != TDO_VERDICT_NONE)
			continue;
		if (p[i]->ip.frag && p[i]->nsas > 0 && w->reassembles && belongs_together(w, p[i]))
			p[i]->verdict = TDO_VERDICT_FRAGMENT;
		else
			todo[left++] = p[i];
	}
	if (left > 0)
		tdo_flow_cache_aim(w, TDO_DIR_IN, todo, left, aim);
	for (unsigned i = 0; i < left; i++)
		passed += conclude(w, todo[i], policy(w, todo[i], &aim[i]), &use, now);
	tdo_sp_use_flush(&use, now);
	return passed;
}

/* ---- removing IPsec headers ---- */

static bool
parse(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	enum tdo_reason r = tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip);

	if (r == TDO_REASON_NONE)
		return true;
	p->ip = (struct tdo_ip_info){0}; /* unspecified, but the drop is reported with it */
	tdo_worker_drop(w, p, NULL, r, now);
	return false;
}

/*
 * True when there is an IPsec header behind the IP header, or what counts as one: UDP with ESP in
 * it as the first, and an IP packet of an IPComp tunnel (tdo_sad_find_bare()).
 */
static bool
has_layer(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	uint8_t proto = p->ip.flow.proto;

	if (tdo_is_ipsec(proto))
		return true;
	if (proto == TDO_IPPROTO_UDP)
		return (p->flags & TDO_PKT_UDP_ENCAP) && p->nsas == 0;
	return !p->ip.frag && tdo_sad_find_bare(w->engine, &p->ip.flow) != NULL;
}

/*
 * The first header was sent to us by the contract of tdo_in(), and so is everything below it in
 * transport mode; what came out of a tunnel may be somebody else's.
 */
static __attribute__((noinline)) bool
has_layer_of_ours(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	if (!has_layer(w, p))
		return false;
	if (p->tunnelled == 0)
		return true;
	/* A fragment goes to the host, which gives it back when it is whole. */
	return !p->ip.frag && tdo_is_local(w->engine, &p->ip.flow.dst);
}

/*
 * True when the packet carries an IPsec header that this host has to remove.  What most packets are
 * is decided here: ESP from the wire, TCP and UDP.
 */
static inline bool
has_layer_for_us(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	uint8_t proto = p->ip.flow.proto;

	if (proto == TDO_IPPROTO_ESP && p->tunnelled == 0)
		return true;
	if (proto == TDO_IPPROTO_UDP
		? !(p->flags & TDO_PKT_UDP_ENCAP)
		: !tdo_is_ipsec(proto) && proto != TDO_IPPROTO_IPIP && proto != TDO_IPPROTO_IPV6)
		return false;
	return has_layer_of_ours(w, p);
}

/* Of a packet whose header, with its UDP header perhaps, is what is expected. */
static inline struct tdo_sa *
look_up_sa(struct tdo_worker *w, const struct tdo_pkt *p, uint8_t proto, struct tdo_sa *last)
{
	const struct tdo_addr *dst = &p->ip.flow.dst;

	if (last && tdo_sa_is(last, dst, p->spi, proto))
		return last;
	return tdo_sa_cache_find(w, dst, p->spi, proto);
}

/* find_sa() of what is not ESP behind an IP header, whole and not too deep. */
static __attribute__((noinline)) struct tdo_sa *
find_rare_sa(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *last, enum tdo_reason *ret_why)
{
	const struct tdo_flow *f = &p->ip.flow;

	*ret_why = TDO_REASON_IN_NO_SA;
	if (p->nsas < TDO_HIST_MAX &&
	    (f->proto == TDO_IPPROTO_IPIP || f->proto == TDO_IPPROTO_IPV6))
		return tdo_sad_find_bare(w->engine, f);
	if (p->ip.frag)
		*ret_why = TDO_REASON_IN_FRAGMENT; /* RFC 4303 3.4.1, RFC 4302 3.4.1 */
	else if (p->nsas == TDO_HIST_MAX)
		*ret_why = TDO_REASON_IN_NESTED;
	else if (f->proto == TDO_IPPROTO_UDP) {
		enum tdo_reason r = tdo_encap_read(p);

		if (r == TDO_REASON_NONE)
			return look_up_sa(w, p, TDO_IPPROTO_ESP, last);
		*ret_why = r;
	} else if (!tdo_read_spi(p))
		*ret_why = TDO_REASON_SHORT;
	else if (f->proto == TDO_IPPROTO_IPCOMP)
		return tdo_sad_find_cpi(
		    w->engine, f, p->spi, tdo_pkt_data(p)[p->ip.l4_off + TDO_IPCOMP_NH_OFF]);
	else
		return look_up_sa(w, p, f->proto, last);
	return NULL;
}

/*
 * The SA of a packet, or NULL and the reason.  last is the SA of the packet before: packets of
 * an SA come in rows.
 */
static inline struct tdo_sa *
find_sa(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *last, enum tdo_reason *ret_why)
{
	*ret_why = TDO_REASON_IN_NO_SA;
	if (p->ip.flow.proto == TDO_IPPROTO_ESP && !p->ip.frag && p->nsas < TDO_HIST_MAX &&
	    tdo_read_spi(p))
		return look_up_sa(w, p, TDO_IPPROTO_ESP, last);
	return find_rare_sa(w, p, last, ret_why);
}

/* By the last header that was removed. */
static bool
came_out_of_tunnel(const struct tdo_pkt *p)
{
	return (p->tunnelled >> (p->nsas - 1) & 1) != 0;
}

/* D23: nobody but this host itself sends with its addresses; p came out of a tunnel. */
static bool
is_spoofed(const struct tdo_worker *w, const struct tdo_pkt *p)
{
	const struct tdo_sa *sa = p->sas[p->nsas - 1];

	if (tdo_knob(w->engine, TDO_KNOB_IPIP_ALLOW, TDO_AF_INET) == 2)
		return false;
	if (!tdo_is_local(w->engine, &p->ip.flow.src))
		return false;
	/* A tunnel from this host to itself, over the loopback interface. */
	return !tdo_is_local(w->engine, &sa->id.src);
}

/* What came out of tunnels in one layer: IP in IP has counters of its own. */
struct unwrapped {
	uint64_t packets, bytes;
};

/*
 * D48; a fragment that will be put together with others is looked at when it is; for ICMP errors
 * see judge_quote().
 */
static inline bool
carries(const struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_pkt *p)
{
	struct tdo_flow f;

	if (!sa->selective)
		return true;
	if (p->ip.frag && w->reassembles) {
		f = tdo_flow_of_fragment(&p->ip);
		return tdo_sel_may_match(sa->sel, &f);
	}
	if (tdo_sel_match(sa->sel, &p->ip.flow))
		return true;
	return tdo_icmp_stands_for(w->engine, p, &f) && tdo_sel_match(sa->sel, &f);
}

/* Why a packet that just lost the layer of sa may not go on. */
static enum tdo_reason
judge(const struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_pkt *p,
    struct unwrapped *u)
{
	if (came_out_of_tunnel(p)) {
		u->packets++;
		u->bytes += p->len;
		if (is_spoofed(w, p))
			return TDO_REASON_IN_SPOOF;
	}
	return carries(w, sa, p) ? TDO_REASON_NONE : TDO_REASON_IN_SA_SELECTOR;
}

/*
 * Removes one layer of the n packets; those that have a further one stay in p, in order.
 * Returns how many.
 */
static unsigned
remove_layer(struct tdo_worker *w, struct tdo_pkt **p, unsigned n, tdo_ns now)
{
	struct tdo_pkt *found[TDO_BURST_MAX];
	struct tdo_sa *sa[TDO_BURST_MAX];
	struct unwrapped u = {0};
	unsigned nfound = 0, left = 0;
	enum tdo_reason why;

	for (unsigned i = 0; i < n; i++) {
		sa[nfound] = find_sa(w, p[i], nfound > 0 ? sa[nfound - 1] : NULL, &why);
		if (sa[nfound])
			found[nfound++] = p[i];
		else
			tdo_worker_drop_header(w, p[i], p[i]->ip.flow.proto, why, now);
	}
	tdo_batch_run(w, sa, found, nfound, false, now);
	for (unsigned i = 0; i < nfound; i++) {
		if (found[i]->verdict == TDO_VERDICT_DROP)
			continue;
		why = judge(w, sa[i], found[i], &u);
		if (why != TDO_REASON_NONE)
			tdo_worker_drop(w, found[i], sa[i], why, now);
		else if (has_layer_for_us(w, found[i]))
			p[left++] = found[i];
	}
	if (u.packets > 0) {
		tdo_worker_stat(w, TDO_STAT_TUNNEL_IN, u.packets);
		tdo_worker_stat(w, TDO_STAT_TUNNEL_IN_BYTES, u.bytes);
	}
	return left;
}

void
tdo_in(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	struct tdo_pkt *todo[TDO_BURST_MAX];
	unsigned left = 0;
	uint64_t bytes = 0;

	tdo_worker_way(w, false);
	tdo_flow_cache_begin(w);
	tdo_ipcomp_forget(w);
	for (unsigned i = 0; i < n; i++) {
		tdo_pkt_forget(p[i]);
		bytes += p[i]->len;
		if (parse(w, p[i], now) && has_layer_for_us(w, p[i]))
			todo[left++] = p[i];
	}
	tdo_worker_stat(w, TDO_STAT_IN_CALLS, 1);
	tdo_worker_stat(w, TDO_STAT_IN_PACKETS, n);
	tdo_worker_stat(w, TDO_STAT_IN_BYTES, bytes);
	while (left > 0)
		left = remove_layer(w, todo, left, now);
	tdo_worker_stat(w, TDO_STAT_IN_DELIVERED, check_policy(w, p, n, now));
}

/* ---- datagrams put together ---- */

uint64_t
tdo_in_way(const struct tdo_worker *w, const struct tdo_pkt *fragment)
{
	uint64_t k[TDO_HIST_MAX + 1] = {fragment->tunnelled};

	for (unsigned i = 0; i < fragment->nsas; i++)
		k[1 + i] = fragment->sas[i]->uid;
	return tdo_siphash(&w->engine->hash_key, k, sizeof(k));
}

/* The flow cache stays out of it: the SAs of the fragment may be older than what the cache knows.
 */
void
tdo_in_whole(
    struct tdo_worker *w, struct tdo_pkt *whole, const struct tdo_pkt *fragment, tdo_ns now)
{
	struct tdo_decision d = {0};
	struct tdo_sp_use use = {0};
	struct tdo_sa *sa;

	tdo_pkt_forget(whole);
	tdo_worker_way(w, false);
	if (!parse(w, whole, now))
		return;
	whole->nsas = fragment->nsas;
	whole->tunnelled = fragment->tunnelled;
	memcpy(whole->sas, fragment->sas, sizeof(whole->sas));
	whole->spi = fragment->spi;
	whole->seq = fragment->seq;
	if (whole->nsas > 0) {
		sa = (struct tdo_sa *)(uintptr_t)whole->sas[whole->nsas - 1];
		if (sa->sel && !tdo_sel_match(sa->sel, &whole->ip.flow)) {
			tdo_worker_drop(w, whole, sa, TDO_REASON_IN_SA_SELECTOR, now);
			return;
		}
	}
	look_up(w, whole, &d);
	whole->sp = d.sp;
	if (conclude(w, whole, apply_policy(w, whole, &d), &use, now))
		tdo_worker_stat(w, TDO_STAT_IN_DELIVERED, 1);
	tdo_sp_use_flush(&use, now);
}

/* ---- packets without protection ---- */

/* Passes whatever the policies say: see tdo_in_clear(). */
static bool
is_exempt(const struct tdo_pkt *p)
{
	if (tdo_is_nd_or_mld(&p->ip))
		return true;
	return !(p->flags & TDO_PKT_FORWARDED) && tdo_is_ipsec(p->ip.flow.proto);
}

/* Errors from the network about our protected packets: genuine ones pass, whatever the policies
 * say. */
static bool
judge_icmp(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	enum tdo_reason r;

	if (p->flags & TDO_PKT_FORWARDED || !tdo_is_icmp(p))
		return false;
	switch (tdo_icmp_about_protected(w->engine, p, now, &r)) {
	case TDO_ICMP_FOREIGN:
		return false;
	case TDO_ICMP_DROP:
		tdo_worker_drop(w, p, NULL, r, now);
		return false;
	default:
		return true;
	}
}

void
tdo_in_clear(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now)
{
	unsigned passed = 0;

	tdo_worker_way(w, false);
	tdo_flow_cache_begin(w);
	for (unsigned i = 0; i < n; i++) {
		tdo_pkt_forget(p[i]);
		if (!parse(w, p[i], now) || (!is_exempt(p[i]) && !judge_icmp(w, p[i], now)))
			continue;
		p[i]->verdict = TDO_VERDICT_PASS;
		passed++;
	}
	passed += check_policy(w, p, n, now);
	tdo_worker_stat(w, TDO_STAT_IN_CLEAR_CHECKED, n);
	tdo_worker_stat(w, TDO_STAT_IN_CLEAR_PASSED, passed);
}
