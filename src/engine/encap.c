/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/encap.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/control.h"
#include "engine/path.h"
#include "engine/sad.h"
#include "wire/esp.h"
#include "wire/ip.h"
#include "wire/udp.h"

/* ---- SAs ---------------------------------------------------------------------------------- */

/* RFC 791 3.2: what every link carries.  Smaller fragments are nobody's need, and a flood. */
enum { FRAG_MIN = 68 };

static bool
family_ok(const struct tdo_addr *a, uint8_t af)
{
	return a->af == TDO_AF_NONE || a->af == af;
}

int
tdo_encap_check(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_natt *n = &p->natt;

	if (n->type == TDO_NATT_NONE &&
	    (n->sport != 0 || n->dport != 0 || n->frag != 0 || n->oa_src.af != TDO_AF_NONE ||
		n->oa_dst.af != TDO_AF_NONE))
		return tdo_refuse(e, err, -EINVAL,
		    "ports, original addresses and fragment sizes are for SAs in UDP, and this one "
		    "is not");
	if (n->type == TDO_NATT_NONE)
		return 0;
	if (n->type > TDO_NATT_ESPINUDP)
		return tdo_refuse(e, err, -EINVAL, "unknown kind %u of UDP encapsulation", n->type);
	if (p->key.satype != TDO_SATYPE_ESP)
		return tdo_refuse(e, err, -EINVAL,
		    "only ESP goes in UDP: AH protects what a NAT changes, and IPComp goes inside");
	if (n->sport == 0 || n->dport == 0)
		return tdo_refuse(e, err, -EINVAL, "UDP encapsulation needs two ports");
	if (!family_ok(&n->oa_src, p->key.src.af) || !family_ok(&n->oa_dst, p->key.src.af))
		return tdo_refuse(e, err, -EINVAL,
		    "the original addresses of NAT traversal are of another family than the SA");
	return 0;
}

static uint32_t
both(uint16_t sport, uint16_t dport)
{
	return (uint32_t)sport << 16 | dport;
}

int
tdo_encap_new(struct tdo_engine *e, struct tdo_sa *sa)
{
	const struct tdo_natt *n = &sa->param.natt;
	struct tdo_encap *x;
	int r;

	if (n->type == TDO_NATT_NONE)
		return 0;
	x = tdo_engine_alloc(e, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	e->udp->sas++;
	*x = (struct tdo_encap){
	    .sa = sa,
	    .old_sport = n->sport,
	    .ports = both(n->sport, n->dport),
	    .type = n->type,
	    .frag = n->frag != 0 && n->frag < FRAG_MIN ? FRAG_MIN : n->frag,
	    .sport = n->named_sport ? n->named_sport : n->sport,
	    .dport = n->named_dport ? n->named_dport : n->dport,
	    .oa_src = n->oa_src,
	    .oa_dst = n->oa_dst,
	    .mapping = {sa->id.src, n->sport},
	    .seen = {sa->id.src, n->sport},
	};
	sa->encap = x;
	sa->fmt.encap_len = TDO_UDP_HLEN + (n->type == TDO_NATT_NON_IKE ? TDO_UDP_MARKER_LEN : 0);
	r = tdo_keepalive_join(e, sa, sa->created);
	return r ? r : tdo_udp_port_look(e, sa);
}

void
tdo_encap_retire(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->encap == NULL)
		return;
	tdo_keepalive_leave(e, sa);
	tdo_udp_port_leave(e, sa);
}

void
tdo_encap_free(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->encap == NULL)
		return;
	tdo_encap_retire(e, sa); /* of one that was never in the SAD */
	e->udp->sas--;
	tdo_engine_release(e, sa->encap, sizeof(*sa->encap));
}

/* ---- out ---------------------------------------------------------------------------------- */

void
tdo_encap_put(const struct tdo_encap *x, struct tdo_pkt *p)
{
	uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t ports = atomic_load_explicit(&x->ports, memory_order_relaxed);

	tdo_put_be32(h + TDO_UDP_SPORT_OFF, ports);
	tdo_put_be16(h + TDO_UDP_LEN_OFF, (uint16_t)(p->len - p->ip.l4_off));
	tdo_put_be16(h + TDO_UDP_CSUM_OFF, 0); /* RFC 3948 2.1 */
	if (x->type == TDO_NATT_NON_IKE)
		memset(h + TDO_UDP_HLEN, 0, TDO_UDP_MARKER_LEN);
}

/* The checksum field of UDP and UDP-Lite: 0 means that there is none (RFC 768, RFC 3828 3.1). */
static uint16_t
udp_csum(uint16_t csum)
{
	return csum ? csum : 0xffff;
}

/* ---- in ----------------------------------------------------------------------------------- */

static bool
is_zero(const uint8_t *p, uint32_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

/*
 * What is behind the UDP header: bytes in front of ESP in *ret, or why it is none.  Four zero bytes
 * stand in front of IKE (RFC 3948 2.2), whose next four are half of a cookie and never zero, and
 * eight in front of ESP in the older form.
 */
static enum tdo_reason
marker_of(const uint8_t *b, uint32_t len, uint32_t *ret)
{
	*ret = 0;
	if (len == 1 && b[0] == TDO_UDP_KEEPALIVE)
		return TDO_REASON_IN_KEEPALIVE;
	if (len < TDO_ESP_HLEN)
		return TDO_REASON_SHORT;
	if (!is_zero(b, TDO_UDP_NON_ESP_LEN))
		return TDO_REASON_NONE;
	if (!is_zero(b, TDO_UDP_MARKER_LEN))
		return TDO_REASON_IN_NOT_ESP;
	*ret = TDO_UDP_MARKER_LEN;
	return len < TDO_UDP_MARKER_LEN + TDO_ESP_HLEN ? TDO_REASON_SHORT : TDO_REASON_NONE;
}

enum tdo_reason
tdo_encap_read(struct tdo_pkt *p)
{
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t len = p->ip.total_len - p->ip.l4_off, marker;
	enum tdo_reason r;

	if (len < TDO_UDP_HLEN || tdo_be16(h + TDO_UDP_LEN_OFF) != len)
		return TDO_REASON_SHORT;
	r = marker_of(h + TDO_UDP_HLEN, len - TDO_UDP_HLEN, &marker);
	if (r != TDO_REASON_NONE)
		return r;
	p->encap_len = (uint8_t)(TDO_UDP_HLEN + marker);
	p->spi = tdo_be32(h + p->encap_len + TDO_ESP_SPI_OFF);
	p->seq = tdo_be32(h + p->encap_len + TDO_ESP_SEQ_OFF);
	return TDO_REASON_NONE;
}

/* ---- upper-layer checksums ---------------------------------------------------------------- */

/* Where the checksum of the upper layer is, from its start; 0: it covers no addresses. */
static uint32_t
csum_off(uint8_t proto)
{
	switch (proto) {
	case TDO_IPPROTO_TCP:
		return 16;
	case TDO_IPPROTO_UDP:
	case TDO_IPPROTO_UDPLITE:
	case TDO_IPPROTO_DCCP:
		return TDO_UDP_CSUM_OFF; /* in all three */
	case TDO_IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

/* Both addresses as they enter a pseudo header. */
static uint32_t
sum_addrs(const struct tdo_addr *src, const struct tdo_addr *dst)
{
	return tdo_csum_add(
	    tdo_csum_add(0, src->b, tdo_af_len(src->af)), dst->b, tdo_af_len(dst->af));
}

/* RFC 1624 eq. 3: what is wrong in the checksum stays wrong (D53). */
static uint16_t
moved_csum(const struct tdo_encap *x, const struct tdo_flow *f, uint16_t old)
{
	const struct tdo_addr *src = x->oa_src.af ? &x->oa_src : &f->src;
	const struct tdo_addr *dst = x->oa_dst.af ? &x->oa_dst : &f->dst;
	uint32_t was = sum_addrs(src, dst), is = sum_addrs(&f->src, &f->dst);
	uint8_t word[2], gone[2];

	/* In the byte order in which the sums are. */
	tdo_put_be16(word, (uint16_t)~old);
	tdo_put_be16(gone, tdo_csum_fold(was));
	return tdo_csum_fold(tdo_csum_add(tdo_csum_add(is, word, 2), gone, 2));
}

/* Without the original addresses nothing but a new checksum helps. */
static uint16_t
new_csum(const struct tdo_pkt *p, uint8_t *l4, uint32_t off)
{
	const struct tdo_flow *f = &p->ip.flow;
	uint32_t len = p->ip.total_len - p->ip.l4_off, sum;

	tdo_put_be16(l4 + off, 0);
	sum = tdo_csum_pseudo(&f->src, &f->dst, f->proto, len);
	return tdo_csum_fold(tdo_csum_add(sum, l4, len));
}

void
tdo_encap_fix_csum(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p)
{
	const struct tdo_encap *x = sa->encap;
	uint8_t proto = p->ip.flow.proto, *l4 = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t off = csum_off(proto);
	uint16_t csum;

	if (off == 0 || p->ip.frag_later || p->ip.total_len - p->ip.l4_off < off + 2)
		return;
	csum = tdo_be16(l4 + off);
	if (proto == TDO_IPPROTO_UDP && csum == 0)
		return;
	if (tdo_knob(w->engine, TDO_KNOB_NATT_CKSUM_POLICY, TDO_AF_INET) == 0 &&
	    (x->oa_src.af != TDO_AF_NONE || x->oa_dst.af != TDO_AF_NONE))
		csum = moved_csum(x, &p->ip.flow, csum);
	/* A sum over a part of the datagram (RFC 3828, RFC 4340 9.2), or a part of it: not here. */
	else if (!p->ip.frag && proto != TDO_IPPROTO_UDPLITE && proto != TDO_IPPROTO_DCCP)
		csum = new_csum(p, l4, off);
	if (proto == TDO_IPPROTO_UDP || proto == TDO_IPPROTO_UDPLITE)
		csum = udp_csum(csum);
	tdo_put_be16(l4 + off, csum);
}

/* ---- mappings ----------------------------------------------------------------------------- */

bool
tdo_encap_saw(struct tdo_sa *sa, const struct tdo_pkt *p)
{
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint16_t sport = tdo_be16(h + TDO_UDP_SPORT_OFF);
	struct tdo_encap *x = sa->encap;

	if (sport == x->seen.sport && tdo_addr_equal(&p->ip.flow.src, &x->seen.src))
		return false;
	x->seen = (struct tdo_mapping){p->ip.flow.src, sport};
	x->fresh = !x->moved;
	x->moved = true;
	return true;
}

/* To the peer that has another port now. */
struct answer {
	const struct tdo_encap *from;
	uint16_t port;
};

static void
redirect(void *ctx, struct tdo_sa *sa)
{
	const struct answer *a = ctx;
	struct tdo_encap *x = sa->encap;
	uint32_t ports;

	if (x == NULL || x->dport != a->from->sport)
		return;
	ports = atomic_load_explicit(&x->ports, memory_order_relaxed);
	atomic_store_explicit(
	    &x->ports, both((uint16_t)(ports >> 16), a->port), memory_order_relaxed);
}

/*
 * The answer to this very packet must not go where nobody is any more: a NAT may take it for the
 * beginning of something else.  Once for each time that the control thread looks, which does all
 * the rest; a peer that jumps about costs no more.
 */
void
tdo_encap_answer(const struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_encap *x = sa->encap;
	struct tdo_sa_key back = {.satype = TDO_SATYPE_ESP, .src = sa->id.dst, .dst = sa->id.src};
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);
	struct answer a = {x, x->seen.sport};
	bool follow_it = x->fresh && tdo_addr_equal(&x->seen.src, &sa->id.src);

	x->fresh = false;
	tdo_replay_unlock(window);
	if (follow_it)
		tdo_sad_out_peek(e, &back, redirect, &a);
}

/* A peer that has another port. */
struct move {
	uint16_t named; /* by which key management knows it */
	uint16_t old, new;
	bool shared; /* somebody is known by the old one, and still there */
};

static void
set_ports(struct tdo_sa *sa, uint16_t sport, uint16_t dport)
{
	struct tdo_natt *n = &sa->param.natt;
	const struct tdo_encap *x = sa->encap;

	n->sport = sport;
	n->dport = dport;
	n->named_sport = x->sport != sport ? x->sport : 0;
	n->named_dport = x->dport != dport ? x->dport : 0;
	atomic_store_explicit(&sa->encap->ports, both(sport, dport), memory_order_relaxed);
	tdo_keepalive_moved(sa->engine, sa);
	if (sa->engine->cfg.natt.followed)
		sa->engine->cfg.natt.followed(sa->engine->cfg.natt.ctx, &sa->param.key);
}

static void
find_neighbour(void *ctx, struct tdo_sa *sa)
{
	struct move *m = ctx;

	if (sa->encap && sa->encap->sport == m->old && sa->param.natt.sport == m->old)
		m->shared = true;
}

/*
 * What goes to the peer follows: SAs of the same name, and such that went to the old port without
 * having followed anybody there.  A NAT may give that port to a neighbour at once, or had it from
 * one.
 */
static void
follow(void *ctx, struct tdo_sa *sa)
{
	const struct tdo_natt *n = &sa->param.natt;
	const struct move *m = ctx;

	if (sa->encap == NULL || n->dport == m->new)
		return;
	if (sa->encap->dport == m->named ||
	    (n->dport == m->old && n->named_dport == 0 && !m->shared))
		set_ports(sa, n->sport, m->new);
}

/*
 * A NAT that forgot a mapping gives the peer another port: what goes there follows at once, so that
 * no answer is lost.  Another address is for key management to judge (RFC 7296 2.23, RFC 4555):
 * policies and selectors may name the old one.
 */
void
tdo_encap_look(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_encap *x = sa->encap;
	struct tdo_sa_key back = {.satype = TDO_SATYPE_ESP, .src = sa->id.dst, .dst = sa->id.src};
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);
	struct tdo_mapping m = x->seen;
	bool moved = x->moved;

	x->moved = false;
	tdo_replay_unlock(window);
	if (!moved || (m.sport == x->mapping.sport && tdo_addr_equal(&m.src, &x->mapping.src)))
		return;
	if (tdo_addr_equal(&m.src, &sa->id.src)) {
		struct move to = {x->sport, sa->param.natt.sport, m.sport, false};
		struct tdo_sa_key here = {
		    .satype = TDO_SATYPE_ESP, .src = sa->id.src, .dst = sa->id.dst};

		set_ports(sa, m.sport, sa->param.natt.dport);
		tdo_sad_out_each(e, &here, find_neighbour, &to);
		tdo_sad_out_each(e, &back, follow, &to);
	}
	x->mapping = m;
	if (!x->told) {
		x->told = true;
		tdo_event_sa(e, sa, TDO_EVENT_NAT_MAPPING);
	}
}

void
tdo_encap_inherit(struct tdo_sa *sa, const struct tdo_sa *old)
{
	struct tdo_encap *x = sa->encap;
	const struct tdo_encap *o = old->encap;

	if (x == NULL || o == NULL || !tdo_addr_equal(&sa->id.src, &old->id.src) ||
	    sa->param.natt.sport != old->param.natt.sport)
		return;
	/* What was seen since and not looked at is seen again with the next packet. */
	x->mapping = x->seen = o->mapping;
	x->old_sport = o->old_sport;
}

void
tdo_encap_tell(struct tdo_sa *sa, struct tdo_event *ret)
{
	struct tdo_encap *x = sa->encap;

	ret->mapping.src = x->mapping.src;
	ret->mapping.old_sport = x->old_sport;
	ret->mapping.sport = x->mapping.sport;
	x->old_sport = x->mapping.sport;
	x->told = false;
}
