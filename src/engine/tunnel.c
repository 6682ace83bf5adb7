/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP headers around IPsec.  Outer headers of tunnels: how they are made from the inner ones, and
 * what of them comes back (RFC 4301 5.1.2, 5.1.2.1, 5.1.2.2, 8.1; RFC 6040; spec 7.4, 7.5, 7.15).
 */
#include "base/addr.h"
#include "base/be.h"
#include "engine/control.h"
#include "engine/path.h"
#include "wire/ip.h"

/* The ECN field (RFC 3168 5) and the values of the knobs. */
enum { NOT_ECT, ECT_1, ECT_0, ECN_CE, ECN_MASK = 0x03 };
enum { ECN_IGNORED = -1, ECN_FORBIDDEN, ECN_ALLOWED, ECN_NORMAL, ECN_COMPATIBLE };
enum { DF_CLEAR, DF_SET, DF_COPY };
enum { LABEL_ZERO, LABEL_COPY, LABEL_SA };

#define ECN_LOG_EVERY (60 * TDO_SEC)

enum {
	DSCP_MAX = 63,
	IP6_LABEL_MASK = 0xfffff,
	IP4_TOS_OFF = 1,
	IP4_ID_OFF = 4,
	IP4_FRAG_OFF = 6,
	IP6_NH_OFF = 6,
};

/* ---- settings ------------------------------------------------------------------------ */

bool
tdo_tunnel_opt_ok(const struct tdo_tunnel_opt *o)
{
	return o->ecn <= tdo_knob_info(TDO_KNOB_ECN)->max + TDO_OPT_ECN &&
	       o->df <= tdo_knob_info(TDO_KNOB_DFBIT)->max + 1 &&
	       (o->dscp <= DSCP_MAX + 1 || o->dscp == TDO_OPT_DSCP_COPY) &&
	       o->flow_label <= tdo_knob_info(TDO_KNOB_FLOWLABEL)->max + 1;
}

unsigned
tdo_tunnel_len(const struct tdo_sa_id *id)
{
	/* Without an address of its own the SA cannot be the start of a tunnel. */
	if (tdo_addr_is_any(&id->src) || tdo_addr_is_any(&id->dst))
		return 0;
	return tdo_ip_hlen(id->src.af);
}

/* The setting of the SA, else that of the policy, 0 when neither says anything (D33). */
static uint8_t
prefer(uint8_t sa, uint8_t sp)
{
	return sa ? sa : sp;
}

static struct tdo_tunnel_opt
options_of(const struct tdo_sa *sa, const struct tdo_sp *sp)
{
	static const struct tdo_tunnel_opt none;
	const struct tdo_tunnel_opt *a = &sa->tunnel, *b = sp ? &sp->param.tunnel : &none;

	return (struct tdo_tunnel_opt){
	    .ecn = prefer(a->ecn, b->ecn),
	    .df = prefer(a->df, b->df),
	    .dscp = prefer(a->dscp, b->dscp),
	    .hop_limit = prefer(a->hop_limit, b->hop_limit),
	    .flow_label = prefer(a->flow_label, b->flow_label),
	};
}

/* Bits of the inner ECN field that the outer one has (spec 7.5; RFC 6040 4.1; D20). */
static uint8_t
ecn_kept(int32_t mode)
{
	switch (mode) {
	case ECN_IGNORED: /* RFC 2401: copied */
	case ECN_NORMAL:  /* so too, and the other end looks at it */
		return 0x03;
	case ECN_ALLOWED: /* ECT is kept, CE is cleared */
		return 0x02;
	default: /* forbidden, compatibility */
		return 0x00;
	}
}

/*
 * RFC 6438 wants a label that is constant for a flow: to the world an SA is one, and one label
 * for all of it keeps its packets in order and says nothing of the flows inside.  RFC 6437 3:
 * not to be guessed, and 0 means none.
 */
static uint32_t
label_of(const struct tdo_engine *e, const struct tdo_sa_id *id)
{
	struct {
		uint8_t src[16], dst[16];
		uint32_t spi, proto;
	} k = {.spi = id->spi, .proto = id->proto};
	uint32_t label;

	memcpy(k.src, id->src.b, sizeof(k.src));
	memcpy(k.dst, id->dst.b, sizeof(k.dst));
	label = (uint32_t)tdo_siphash(&e->hash_key, &k, sizeof(k)) & IP6_LABEL_MASK;
	return label ? label : 1;
}

static void
make_plan(
    struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_sp *sp, uint32_t generation)
{
	struct tdo_tunnel_opt o = options_of(sa, sp);
	const struct tdo_engine *e = w->engine;
	uint8_t af = sa->id.src.af;
	int32_t ecn = o.ecn ? o.ecn - TDO_OPT_ECN : tdo_knob(e, TDO_KNOB_ECN, af);
	int32_t df = o.df ? o.df - 1 : tdo_knob(e, TDO_KNOB_DFBIT, TDO_AF_INET);
	int32_t label =
	    o.flow_label ? o.flow_label - 1 : tdo_knob(e, TDO_KNOB_FLOWLABEL, TDO_AF_INET);
	int32_t dscp = o.dscp == TDO_OPT_DSCP_COPY ? -1
		       : o.dscp                    ? o.dscp - 1
						   : tdo_knob(e, TDO_KNOB_DSCP, af);
	struct tdo_tunnel_plan *t = &w->tunnel;
	struct tdo_ip_hdr h = {
	    .src = sa->id.src,
	    .dst = sa->id.dst,
	    .ttl = o.hop_limit ? o.hop_limit : (uint8_t)tdo_knob(e, TDO_KNOB_HOPLIMIT, af),
	    .proto = sa->fmt.encap_len ? TDO_IPPROTO_UDP : sa->id.proto,
	    .flow_label = label == LABEL_SA ? label_of(e, &sa->id) : 0,
	};

	*t = (struct tdo_tunnel_plan){
	    .sa = sa,
	    .sp = sp,
	    .generation = generation,
	    .ttl = h.ttl,
	    .proto = h.proto,
	    .tos_kept = (uint8_t)(ecn_kept(ecn) | (dscp < 0 ? (uint8_t)~ECN_MASK : 0)),
	    .tos_set = (uint8_t)(dscp < 0 ? 0 : dscp << 2),
	    .df_kept = df == DF_COPY,
	    .df_set = df == DF_SET,
	    .label_kept = label == LABEL_COPY,
	};
	tdo_ip_build(t->hdr, &h, 0);
	t->sum = af == TDO_AF_INET ? (uint16_t)~tdo_be16(t->hdr + IP4_CSUM_OFF) : 0;
}

/*
 * What the settings amount to, computed once for a row of packets with one SA and policy.  The
 * pointers are good while the generation is the same: see flow_cache.c.
 */
static const struct tdo_tunnel_plan *
plan_for(struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_sp *sp)
{
	const struct tdo_tunnel_plan *t = &w->tunnel;
	uint32_t g = atomic_load_explicit(&w->engine->generation, memory_order_acquire);

	if (t->sa != sa || t->sp != sp || t->generation != g)
		make_plan(w, sa, sp, g);
	return t;
}

/* ---- writing headers ------------------------------------------------------------------ */

void
tdo_ip4_fix_csum(uint8_t *hdr, uint16_t old, uint16_t new)
{
	uint32_t sum = (uint16_t)~tdo_be16(hdr + IP4_CSUM_OFF) + (uint32_t)(uint16_t)~old + new;

	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~tdo_csum_fold16(sum));
}

/* The fields that differ from the template; the checksum goes on from the template's. */
static void
put_ip4(struct tdo_worker *w, const struct tdo_tunnel_plan *t, uint8_t *hdr, uint8_t tos, bool df,
    uint32_t total)
{
	uint16_t id = ++w->ip_id, frag = df ? TDO_IP4_DF : 0;
	uint32_t sum = t->sum;

	/* A kernel that gets a packet with 0 there chooses a number, and AH would not fit it. */
	if (id == 0)
		id = w->ip_id = 1;
	/* In the template TOS, id and flags are zero, and the length is that of the header. */
	sum += tos + total + (uint16_t) ~(uint16_t)TDO_IP4_HLEN + id + frag;
	memcpy(hdr, t->hdr, TDO_IP4_HLEN);
	hdr[IP4_TOS_OFF] = tos;
	tdo_put_be16(hdr + IP4_LEN_OFF, (uint16_t)total);
	tdo_put_be16(hdr + IP4_ID_OFF, id);
	tdo_put_be16(hdr + IP4_FRAG_OFF, frag);
	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~tdo_csum_fold16(sum));
}

static void
put_ip6(const struct tdo_tunnel_plan *t, uint8_t *hdr, uint8_t tos, const uint8_t *inner,
    uint32_t total)
{
	uint32_t first = tdo_be32(t->hdr) | (uint32_t)tos << 20;

	if (t->label_kept && inner[0] >> 4 == 6)
		first |= tdo_be32(inner) & IP6_LABEL_MASK;
	memcpy(hdr, t->hdr, TDO_IP6_HLEN);
	tdo_put_be32(hdr, first);
	tdo_put_be16(hdr + IP6_LEN_OFF, (uint16_t)(total - TDO_IP6_HLEN));
}

void
tdo_tunnel_put(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint8_t proto,
    const uint8_t *inner)
{
	const struct tdo_tunnel_plan *t = plan_for(w, sa, p->sp);
	uint8_t tos = (uint8_t)((p->ip.tos & t->tos_kept) | t->tos_set);
	bool v4 = sa->id.src.af == TDO_AF_INET;
	/* RFC 4301 8.1: there is nothing to copy from an IPv6 header; the parser says false. */
	bool df = v4 && ((p->ip.df && t->df_kept) || t->df_set);

	if (v4)
		put_ip4(w, t, tdo_pkt_data(p), tos, df, p->len);
	else
		put_ip6(t, tdo_pkt_data(p), tos, inner, p->len);
	if (proto != t->proto)
		tdo_ip_rewrite(tdo_pkt_data(p), v4 ? IP4_PROTO_OFF : IP6_NH_OFF, proto, p->len);
	p->ip = (struct tdo_ip_info){
	    .flow = {.src = sa->id.src, .dst = sa->id.dst, .proto = proto},
	    .total_len = p->len,
	    .l4_off = sa->fmt.outer_len,
	    .esp_off = sa->fmt.outer_len,
	    .nh_off = v4 ? IP4_PROTO_OFF : IP6_NH_OFF,
	    .esp_nh = proto,
	    .tos = tos,
	    .ttl = t->ttl,
	    .df = df,
	};
}

/* ---- ECN on decapsulation -------------------------------------------------------------- */

static void
set_tos(uint8_t *hdr, struct tdo_ip_info *ip, uint8_t tos)
{
	uint16_t old = tdo_be16(hdr);

	if (ip->flow.src.af == TDO_AF_INET) {
		hdr[IP4_TOS_OFF] = tos;
		tdo_ip4_fix_csum(hdr, old, tdo_be16(hdr));
	} else {
		hdr[0] = (uint8_t)((hdr[0] & 0xf0) | tos >> 4);
		hdr[1] = (uint8_t)((hdr[1] & 0x0f) | tos << 4);
	}
	ip->tos = tos;
}

/* What becomes of the inner ECN field; with it: */
enum {
	DANGEROUS = 0x10,  /* "(!!!)": no sender and no router makes this */
	UNEXPECTED = 0x20, /* "(!)": nor this, but it may become useful */
	LOST = 0x40,       /* the packet cannot carry the mark that it needs */
};

/* RFC 6040 4.2, figure 4: a row for each inner field, a column for each outer one. */
static const uint8_t rfc6040[4][4] = {
    /* outer   Not-ECT   ECT(1)              ECT(0)              CE */
    [NOT_ECT] = {NOT_ECT, NOT_ECT | DANGEROUS, NOT_ECT | DANGEROUS, LOST | DANGEROUS},
    [ECT_1] = {ECT_1, ECT_1, ECT_1 | UNEXPECTED, ECN_CE},
    [ECT_0] = {ECT_0, ECT_1, ECT_0, ECN_CE},
    [ECN_CE] = {ECN_CE, ECN_CE | DANGEROUS, ECN_CE, ECN_CE},
};

/*
 * "Allowed": a congestion mark comes back.  A packet whose transport does not know ECN stays
 * as it is: the mark would mean nothing to it.
 */
static const uint8_t allowed[4][4] = {
    [NOT_ECT] = {NOT_ECT, NOT_ECT, NOT_ECT, NOT_ECT},
    [ECT_1] = {ECT_1, ECT_1, ECT_1, ECN_CE},
    [ECT_0] = {ECT_0, ECT_0, ECT_0, ECN_CE},
    [ECN_CE] = {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
};

/*
 * There is no policy yet that could say something.  The DSCP and all else of the outer header
 * is forgotten (RFC 4301 5.1.2.1).
 */
enum tdo_reason
tdo_tunnel_ecn_out(struct tdo_worker *w, const struct tdo_sa *sa, uint8_t outer_tos, uint8_t *inner,
    struct tdo_ip_info *ip)
{
	uint8_t opt = sa->tunnel.ecn, tos, result;
	int32_t mode = opt ? opt - TDO_OPT_ECN : tdo_knob(w->engine, TDO_KNOB_ECN, sa->id.src.af);

	if (mode < ECN_ALLOWED)
		return TDO_REASON_NONE;
	result =
	    (mode == ECN_ALLOWED ? allowed : rfc6040)[ip->tos & ECN_MASK][outer_tos & ECN_MASK];
	if (result & DANGEROUS)
		tdo_worker_stat(w, TDO_STAT_ECN_DANGEROUS, 1);
	if (result & UNEXPECTED)
		tdo_worker_stat(w, TDO_STAT_ECN_UNEXPECTED, 1);
	if (result & LOST)
		return TDO_REASON_IN_ECN;
	tos = (uint8_t)((ip->tos & ~ECN_MASK) | (result & ECN_MASK));
	if (tos != ip->tos)
		set_tos(inner, ip, tos);
	return TDO_REASON_NONE;
}

/* RFC 6040 4.2: combinations that should not occur are logged, at a limited rate. */
void
tdo_tunnel_tick(struct tdo_engine *e, tdo_ns now)
{
	uint64_t n =
	    tdo_stat_read(e, TDO_STAT_ECN_DANGEROUS) + tdo_stat_read(e, TDO_STAT_ECN_UNEXPECTED);

	if (n == e->ecn_log.seen || (e->ecn_log.when != 0 && now - e->ecn_log.when < ECN_LOG_EVERY))
		return;
	tdo_engine_log(e, TDO_LOG_WARN,
	    "%llu tunnel packets with ECN fields that a correct network does not produce "
	    "(RFC 6040 4.2); see the counters ecn-dangerous and ecn-unexpected",
	    (unsigned long long)(n - e->ecn_log.seen));
	e->ecn_log.seen = n;
	e->ecn_log.when = now;
}
