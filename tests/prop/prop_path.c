/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes out comes in: random packets through random bundles of SAs, on two engines.
 *
 * - the receiver delivers exactly the bytes that were sent, with the whole history;
 * - what the sender says of the protected packet is what the parser finds in it;
 * - tdo_out_inner_mtu() is exact;
 * - a burst gives the same bytes as its packets one by one;
 * - what is put into a packet (ports, types, keys, fragments) is what selectors see of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/engine.h"
#include "fixture.h"
#include "wire/ip.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			printf("Bail out! %s:%d: %s is false\n", __FILE__, __LINE__, #x);          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define LAYERS_MAX 3

static const char *const inner4[2] = {"10.1.0.1", "10.2.0.1"};
static const char *const inner6[2] = {"2001:db8:1::1", "2001:db8:2::1"};
static const char *const outer4[LAYERS_MAX][2] = {
    {"192.0.2.1", "192.0.2.2"}, {"192.0.2.11", "192.0.2.12"}, {"192.0.2.21", "192.0.2.22"}};
static const char *const outer6[LAYERS_MAX][2] = {{"2001:db8:f::1", "2001:db8:f::2"},
    {"2001:db8:f::11", "2001:db8:f::12"}, {"2001:db8:f::21", "2001:db8:f::22"}};

struct pair {
	const struct tdo_alg *enc, *auth;
};

struct bundle {
	unsigned n;
	bool tunnel[LAYERS_MAX];
	struct fx_sa sa[LAYERS_MAX];
	char requests[512];
	uint8_t af; /* of the packets */
	struct tdo_tunnel_opt sp_tunnel;
};

/* ---- packets ---- */

/* A packet as it was made: what the parser has to find. */
struct made {
	uint32_t hlen; /* bytes in front of the upper layer */
	bool frag, later;
	struct tdo_flow flow;
};

/* An extension header of type nh in front of what next says; returns its length. */
static unsigned
put_ext(struct rng *r, uint8_t *p, uint8_t type, uint8_t next, struct made *m)
{
	unsigned len = type == TDO_IPPROTO_FRAGMENT ? 8 : 8 * (1 + rng_below(r, 3));

	memset(p, 0, len);
	p[0] = next;
	if (type == TDO_IPPROTO_FRAGMENT) {
		tdo_put_be32(p + 4, (uint32_t)rng_next(r));
		if (rng_below(r, 2)) {
			unsigned off = rng_below(r, 2) * rng_below(r, 100), more = rng_below(r, 2);

			tdo_put_be16(p + 2, (uint16_t)(off << 3 | more));
			m->later = off != 0;
			m->frag = off != 0 || more;
		}
		return len;
	}
	p[1] = (uint8_t)(len / 8 - 1);
	if (type == TDO_IPPROTO_ROUTING) {
		p[2] = 253; /* experimental, no segments left */
		return len;
	}
	p[2] = 1; /* PadN over the rest */
	p[3] = (uint8_t)(len - 4);
	return len;
}

/* An upper-layer protocol that says nothing to IPsec itself. */
static uint8_t
upper(struct rng *r)
{
	static const uint8_t protos[] = {TDO_IPPROTO_TCP, TDO_IPPROTO_UDP, TDO_IPPROTO_ICMP,
	    TDO_IPPROTO_ICMPV6, TDO_IPPROTO_SCTP, TDO_IPPROTO_UDPLITE, TDO_IPPROTO_DCCP,
	    TDO_IPPROTO_MH, TDO_IPPROTO_GRE, TDO_IPPROTO_GRE, 89, 253};

	return protos[rng_below(r, sizeof(protos))];
}

/* Small numbers at the place of the key (RFC 2890), if there is to be one; else 0. */
static uint32_t
name_gre(struct rng *r, uint8_t *p, uint16_t one, uint16_t two)
{
	static const uint8_t flags[] = {0x00, 0x20, 0x20, 0xa0, 0x30, 0xb0, 0x10, 0x80};
	uint32_t off = 4;

	p[0] = flags[rng_below(r, sizeof(flags))];
	p[1] = rng_below(r, 8) == 0; /* version */
	if (p[0] & 0x80)
		off = 8;
	if (!(p[0] & 0x20) || p[1] != 0)
		return 0;
	tdo_put_be16(p + off, one);
	tdo_put_be16(p + off + 2, two);
	return off + 4;
}

/*
 * Writes what selectors can ask for into len bytes of upper layer, as far as they reach; m
 * knows it then.  p has room for 16.
 */
static void
name_upper(struct rng *r, uint8_t *p, uint32_t len, struct made *m)
{
	uint16_t one = (uint16_t)rng_below(r, 5), two = (uint16_t)rng_below(r, 5);
	uint32_t need = 4;

	switch (m->flow.proto) {
	case TDO_IPPROTO_ICMP:
	case TDO_IPPROTO_ICMPV6:
		p[0] = (uint8_t)one;
		p[1] = (uint8_t)two;
		need = 2;
		break;
	case TDO_IPPROTO_MH:
		p[2] = (uint8_t)one;
		two = 0;
		need = 3;
		break;
	case TDO_IPPROTO_GRE:
		need = name_gre(r, p, one, two);
		break;
	case 89:
	case 253:
		need = 0;
		break;
	default:
		tdo_put_be16(p, one);
		tdo_put_be16(p + 2, two);
	}
	m->flow.has_ports = need != 0 && len >= need && !m->later;
	m->flow.opaque = m->frag && !m->flow.has_ports;
	if (m->flow.has_ports) {
		m->flow.sport = one;
		m->flow.dport = two;
	}
}

static void
put_ip6(struct rng *r, uint8_t *p, uint32_t payload, struct made *m)
{
	static const uint8_t order[] = {TDO_IPPROTO_HOPOPTS, TDO_IPPROTO_DSTOPTS,
	    TDO_IPPROTO_ROUTING, TDO_IPPROTO_FRAGMENT, TDO_IPPROTO_DSTOPTS};
	struct tdo_ip_hdr h = {.src = fx_addr(inner6[0]),
	    .dst = fx_addr(inner6[1]),
	    .ttl = (uint8_t)rng_next(r),
	    .tos = (uint8_t)rng_next(r),
	    .flow_label = rng_below(r, 1 << 20)};
	uint8_t types[sizeof(order) + 1];
	uint32_t off = TDO_IP6_HLEN;
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(order); i++)
		if (rng_below(r, 4) == 0)
			types[n++] = order[i];
	types[n] = upper(r);
	m->flow.proto = types[n];
	for (unsigned i = 0; i < n; i++) {
		off += put_ext(r, p + off, types[i], types[i + 1], m);
		/* RFC 8200 4.5: what a later fragment names, and no more. */
		if (m->later && types[i] == TDO_IPPROTO_FRAGMENT)
			m->flow.proto = types[i + 1];
	}
	h.proto = types[0];
	tdo_ip_build(p, &h, off - TDO_IP6_HLEN + payload);
	m->flow.src = h.src;
	m->flow.dst = h.dst;
	m->hlen = off;
}

static void
put_ip4(struct rng *r, uint8_t *p, uint32_t payload, struct made *m)
{
	struct tdo_ip_hdr h = {.src = fx_addr(inner4[0]),
	    .dst = fx_addr(inner4[1]),
	    .ttl = (uint8_t)rng_next(r),
	    .tos = (uint8_t)rng_next(r),
	    .proto = upper(r),
	    .id = (uint16_t)rng_next(r),
	    .df = rng_below(r, 2)};
	uint32_t options = rng_below(r, 3) == 0 ? 4 * rng_below(r, 11) : 0;

	tdo_ip_build(p, &h, payload);
	memset(p + TDO_IP4_HLEN, 1, options); /* no-operation options */
	p[0] = (uint8_t)(0x45 + options / 4);
	if (rng_below(r, 5) == 0) {
		unsigned off = rng_below(r, 2) * rng_below(r, 50), more = rng_below(r, 2);

		tdo_put_be16(p + 6, (uint16_t)(off | (more ? TDO_IP4_MF : 0)));
		m->later = off != 0;
		m->frag = off != 0 || more;
	}
	tdo_ip_set_len(p, TDO_IP4_HLEN + options + payload);
	m->flow.src = h.src;
	m->flow.dst = h.dst;
	m->flow.proto = h.proto;
	m->hlen = TDO_IP4_HLEN + options;
}

static uint32_t
random_size(struct rng *r)
{
	switch (rng_below(r, 8)) {
	case 0:
		return rng_below(r, 20);
	case 1:
		return rng_below(r, 9000);
	case 2:
		return rng_below(r, 40) == 0 ? 60000 + rng_below(r, 5000) : rng_below(r, 64);
	default:
		return rng_below(r, 1500);
	}
}

/* A packet that the parser accepts, with some bytes of link-layer padding behind it. */
static struct made
make_packet(struct rng *r, uint8_t af, struct tdo_pkt *p)
{
	static uint8_t bytes[TDO_PKT_MAXLEN + 64];
	struct tdo_ip_info ip;
	uint32_t payload, excess;
	struct made m;

	do {
		memset(bytes, 0, 512);
		m = (struct made){0};
		payload = random_size(r);
		if (af == TDO_AF_INET)
			put_ip4(r, bytes, payload, &m);
		else
			put_ip6(r, bytes, payload, &m);
		rng_fill(r, bytes + m.hlen, payload + 16);
		name_upper(r, bytes + m.hlen, payload, &m);
		excess = rng_below(r, 4) == 0 ? rng_below(r, 20) : 0;
	} while (tdo_ip_parse(bytes, m.hlen + payload, &ip) != TDO_REASON_NONE);
	fx_pkt_set(p, bytes, m.hlen + payload + excess);
	return m;
}

/* ---- bundles ---- */

static unsigned
list_pairs(struct fx *f, struct pair *pairs, unsigned max)
{
	const struct tdo_alg *enc, *auth;
	unsigned n = 0;

	for (unsigned i = 0; (enc = tdo_alg_at(i)); i++) {
		if (enc->kind == TDO_ALG_AUTH)
			continue;
		if (tdo_crypto_supports(f->crypto, enc, NULL) && n < max)
			pairs[n++] = (struct pair){enc, NULL};
		for (unsigned k = 0; enc->kind == TDO_ALG_ENC && (auth = tdo_alg_at(k)); k++)
			if (auth->kind == TDO_ALG_AUTH && n < max &&
			    tdo_crypto_supports(f->crypto, enc, auth))
				pairs[n++] = (struct pair){enc, auth};
	}
	return n;
}

/* Settings of an SA or a policy; half of them say nothing. */
static struct tdo_tunnel_opt
tunnel_opt(struct rng *r)
{
	struct tdo_tunnel_opt o = {0};

	if (rng_below(r, 2))
		o.ecn = (uint8_t)rng_below(r, 6);
	if (rng_below(r, 2))
		o.df = (uint8_t)rng_below(r, 4);
	if (rng_below(r, 2))
		o.dscp = (uint8_t)(rng_below(r, 3) ? rng_below(r, 65) : TDO_OPT_DSCP_COPY);
	if (rng_below(r, 2))
		o.hop_limit = (uint8_t)rng_next(r);
	if (rng_below(r, 2))
		o.flow_label = (uint8_t)rng_below(r, 4);
	return o;
}

/* Layer i of the bundle; cur is the address pair of the packet by then. */
static void
make_layer(
    struct rng *r, struct bundle *b, unsigned i, const struct pair *alg, const char *const **cur)
{
	bool tunnel = rng_below(r, 2);
	struct fx_sa *sa = &b->sa[i];
	size_t used = strlen(b->requests);

	if (tunnel)
		*cur = rng_below(r, 2) ? outer4[i] : outer6[i];
	*sa = (struct fx_sa){.src = (*cur)[0],
	    .dst = (*cur)[1],
	    .spi = 0x1000 + i,
	    .mode = rng_below(r, 3) == 0 ? TDO_MODE_ANY
		    : tunnel             ? TDO_MODE_TUNNEL
					 : TDO_MODE_TRANSPORT,
	    .enc = alg->enc->name,
	    .auth = alg->auth ? alg->auth->name : NULL,
	    .reqid = 10 + i,
	    .replay = rng_below(r, 2) ? 64 : 0,
	    .tunnel = tunnel_opt(r),
	    .flags = rng_below(r, 3) << 8};
	b->tunnel[i] = tunnel;
	snprintf(b->requests + used, sizeof(b->requests) - used, "%sesp/%s/%s%s%s/%s:%u",
	    i > 0 ? " " : "", tunnel ? "tunnel" : "transport", tunnel ? sa->src : "",
	    tunnel ? "-" : "", tunnel ? sa->dst : "", rng_below(r, 2) ? "unique" : "require",
	    sa->reqid);
}

static void
make_bundle(struct rng *r, struct bundle *b, unsigned n, const struct pair *first,
    const struct pair *pairs, unsigned npairs)
{
	const char *const *cur;

	*b = (struct bundle){.n = n, .af = rng_below(r, 2) ? TDO_AF_INET : TDO_AF_INET6};
	b->sp_tunnel = tunnel_opt(r);
	cur = b->af == TDO_AF_INET ? inner4 : inner6;
	for (unsigned i = 0; i < n; i++)
		make_layer(r, b, i, i == 0 ? first : &pairs[rng_below(r, npairs)], &cur);
}

static void
set_local(struct fx *f)
{
	struct tdo_addr a[2 * LAYERS_MAX + 2] = {fx_addr(inner4[1]), fx_addr(inner6[1])};

	for (unsigned i = 0; i < LAYERS_MAX; i++) {
		a[2 * i + 2] = fx_addr(outer4[i][1]);
		a[2 * i + 3] = fx_addr(outer6[i][1]);
	}
	CHECK(tdo_engine_set_local(f->e, a, 2 * LAYERS_MAX + 2) == 0);
}

static void
open_with(struct fx *f, const struct bundle *b, uint8_t dir)
{
	const char *const *in = b->af == TDO_AF_INET ? inner4 : inner6;

	*f = (struct fx){.constant_random = true, .sp_tunnel = b->sp_tunnel};
	fx_open(f, NULL);
	for (unsigned i = 0; i < b->n; i++)
		fx_add_sa(f, &b->sa[i]);
	fx_add_sp(f, dir, in[0], in[1], TDO_PROTO_ANY, b->requests);
	set_local(f);
}

/* ---- properties ---- */

static bool
same_info(const struct tdo_ip_info *a, const struct tdo_ip_info *b)
{
	return tdo_addr_equal(&a->flow.src, &b->flow.src) &&
	       tdo_addr_equal(&a->flow.dst, &b->flow.dst) && a->flow.proto == b->flow.proto &&
	       a->flow.has_ports == b->flow.has_ports && a->flow.opaque == b->flow.opaque &&
	       a->total_len == b->total_len && a->l4_off == b->l4_off && a->esp_off == b->esp_off &&
	       a->nh_off == b->nh_off && a->esp_nh == b->esp_nh && a->tos == b->tos &&
	       a->ttl == b->ttl && a->df == b->df && a->frag == b->frag &&
	       a->frag_later == b->frag_later;
}

static unsigned
csum_ok(const struct tdo_pkt *p)
{
	const uint8_t *d = tdo_pkt_data(p);

	return d[0] >> 4 != 4 || tdo_csum_fold(tdo_csum_add(0, d, (d[0] & 15u) * 4)) == 0;
}

static void
check_sent(const struct bundle *b, const struct tdo_pkt *p, const struct tdo_pkt *before)
{
	struct tdo_ip_info ip;
	uint32_t len = before->ip.total_len;

	CHECK(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip) == TDO_REASON_NONE);
	CHECK(same_info(&ip, &p->ip));
	CHECK(p->ip.total_len == p->len && csum_ok(p));
	CHECK(ip.flow.proto == TDO_IPPROTO_ESP);
	CHECK(tdo_out_inner_mtu(before, p->len) >= len);
	CHECK(tdo_out_inner_mtu(before, p->len - 1) < len);
	CHECK(p->nsas == b->n);
}

static void
check_received(const struct bundle *b, struct tdo_pkt *p, const uint8_t *want, uint32_t len)
{
	if (p->verdict != TDO_VERDICT_PASS)
		printf("# %s: %s\n", b->requests, tdo_reason_info(p->reason)->name);
	CHECK(p->verdict == TDO_VERDICT_PASS);
	CHECK(p->len == len && memcmp(tdo_pkt_data(p), want, len) == 0);
	CHECK(p->nsas == b->n);
	for (unsigned i = 0; i < b->n; i++)
		CHECK((p->tunnelled >> i & 1) == b->tunnel[b->n - 1 - i]);
}

/* A packet that may be dropped on its way out, and the only reasons for it. */
static bool
may_drop(const struct bundle *b, const struct tdo_pkt *p)
{
	if (p->reason == TDO_REASON_OUT_FRAGMENT)
		return p->ip.frag && !b->tunnel[0];
	return p->reason == TDO_REASON_NO_ROOM && p->len > 60000;
}

static void
round_trip(struct rng *r, const struct bundle *b, unsigned count)
{
	static uint8_t bytes[TDO_PKT_MAXLEN + 64];
	struct tdo_pkt *p = fx_pkt_new(0), before;
	struct fx out, in;

	open_with(&out, b, TDO_DIR_OUT);
	open_with(&in, b, TDO_DIR_IN);
	/* Whatever the two ends do: where no router marks anything, ECN stays as it was. */
	fx_knob(&out, TDO_KNOB_ECN, (int32_t)rng_below(r, 5) - 1);
	fx_knob(&in, TDO_KNOB_ECN, (int32_t)rng_below(r, 5) - 1);
	fx_knob(&out, TDO_KNOB_DFBIT, (int32_t)rng_below(r, 3));
	fx_knob(&out, TDO_KNOB_DSCP, (int32_t)rng_below(r, 65) - 1);
	fx_knob(&out, TDO_KNOB_HOPLIMIT, (int32_t)rng_below(r, 255) + 1);
	fx_knob(&out, TDO_KNOB_FLOWLABEL, (int32_t)rng_below(r, 3));
	for (unsigned i = 0; i < count; i++) {
		make_packet(r, b->af, p);
		memcpy(bytes, tdo_pkt_data(p), p->len);
		tdo_out_classify(out.w, &p, 1, out.now);
		before = *p;
		tdo_out_protect(out.w, &p, 1, out.now);
		if (p->verdict == TDO_VERDICT_DROP) {
			if (!may_drop(b, p))
				printf("# %s: %s\n", b->requests, tdo_reason_info(p->reason)->name);
			CHECK(may_drop(b, p));
			continue;
		}
		CHECK(p->verdict == TDO_VERDICT_SEND);
		check_sent(b, p, &before);
		tdo_in(in.w, &p, 1, in.now);
		check_received(b, p, bytes, before.ip.total_len);
	}
	fx_pkt_free(p);
	fx_close(&out);
	fx_close(&in);
}

/* The same packets in one burst and one by one, through fresh engines. */
static void
bursts(struct rng *r, const struct bundle *b)
{
	struct tdo_pkt *one[TDO_BURST_MAX], *many[TDO_BURST_MAX];
	unsigned n = 2 + rng_below(r, TDO_BURST_MAX - 1);
	struct fx f1, fn;

	open_with(&f1, b, TDO_DIR_OUT);
	open_with(&fn, b, TDO_DIR_OUT);
	for (unsigned i = 0; i < n; i++) {
		one[i] = fx_pkt_new(0);
		many[i] = fx_pkt_new(0);
		make_packet(r, b->af, one[i]);
		fx_pkt_set(many[i], tdo_pkt_data(one[i]), one[i]->len);
		tdo_out(f1.w, &one[i], 1, f1.now);
	}
	tdo_out(fn.w, many, n, fn.now);
	for (unsigned i = 0; i < n; i++) {
		CHECK(one[i]->verdict == many[i]->verdict && one[i]->reason == many[i]->reason);
		CHECK(one[i]->len == many[i]->len);
		CHECK(memcmp(tdo_pkt_data(one[i]), tdo_pkt_data(many[i]), one[i]->len) == 0);
		fx_pkt_free(one[i]);
		fx_pkt_free(many[i]);
	}
	fx_close(&f1);
	fx_close(&fn);
}

/* A policy for one of the two families whose selector asks for small numbers. */
static struct tdo_sp_param
some_policy(struct rng *r)
{
	bool v6 = rng_below(r, 2);
	struct tdo_sp_param p = {.dir = TDO_DIR_OUT,
	    .type = (uint8_t)(rng_below(r, 2) ? TDO_POLICY_DISCARD : TDO_POLICY_NONE),
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src.af = v6 ? TDO_AF_INET6 : TDO_AF_INET,
		.dst.af = v6 ? TDO_AF_INET6 : TDO_AF_INET,
		.proto = rng_below(r, 8) ? upper(r) : TDO_PROTO_ANY}};
	struct tdo_range *range[2] = {&p.sel.sport, &p.sel.dport};

	for (unsigned i = 0; i < 2; i++) {
		uint16_t lo = (uint16_t)rng_below(r, 5);

		*range[i] = rng_below(r, 2) ? TDO_RANGE_ANY
			    : rng_below(r, 2)
				? (struct tdo_range){lo, lo}
				: (struct tdo_range){lo, (uint16_t)(lo + rng_below(r, 4))};
	}
	return p;
}

/* That the comparison is not an empty one. */
struct seen {
	unsigned packets, matched, exact, uncertain;
};

/* What becomes of a packet is what the ordered list says of the flow that was put into it. */
static void
selectors(struct rng *r, struct seen *seen)
{
	struct tdo_pkt *p = fx_pkt_new(0);
	struct fx f = {0};

	fx_open(&f, NULL);
	for (unsigned i = 0; i < 25; i++) {
		struct tdo_sp_param sp = some_policy(r);

		CHECK(tdo_sp_update(f.e, &sp, f.now, NULL, NULL) == 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct made m = make_packet(r, rng_below(r, 2) ? TDO_AF_INET : TDO_AF_INET6, p);
		struct tdo_spd_hit want = tdo_spd_match_naive(f.e, TDO_DIR_OUT, &m.flow);

		tdo_out(f.w, &p, 1, f.now);
		CHECK(p->ip.l4_off == m.hlen || m.later);
		CHECK(p->ip.frag == m.frag && p->ip.frag_later == m.later);
		CHECK(p->sp == want.sp);
		CHECK((p->reason == TDO_REASON_OUT_FRAGMENT) == want.uncertain);
		if (!want.uncertain)
			CHECK((p->verdict == TDO_VERDICT_DROP) ==
			      (want.sp && want.sp->param.type == TDO_POLICY_DISCARD));
		seen->packets++;
		seen->matched += want.sp != NULL;
		seen->exact +=
		    want.sp && want.sp->param.sel.sport.lo == want.sp->param.sel.sport.hi;
		seen->uncertain += want.uncertain;
	}
	fx_pkt_free(p);
	fx_close(&f);
}

int
main(void)
{
	struct rng r;
	struct pair pairs[512];
	struct bundle b;
	struct fx f = {0};
	struct seen seen = {0};
	unsigned npairs;

	setvbuf(stdout, NULL, _IOLBF, 0); /* so that the seed is seen when a check fails */
	r = rng_seed(0x7e57);
	fx_open(&f, NULL);
	npairs = list_pairs(&f, pairs, 512);
	fx_close(&f);
	CHECK(npairs >= 2);
	for (unsigned i = 0; i < 60; i++)
		selectors(&r, &seen);
	printf("# %u packets: %u matched, %u an exact port, type or key, %u uncertain\n",
	    seen.packets, seen.matched, seen.exact, seen.uncertain);
	CHECK(seen.matched > seen.packets / 4 && seen.matched < seen.packets / 10 * 9);
	CHECK(seen.exact > seen.packets / 50 && seen.uncertain > seen.packets / 100);
	for (unsigned i = 0; i < npairs; i++) {
		for (unsigned n = 1; n <= LAYERS_MAX; n++) {
			make_bundle(&r, &b, n, &pairs[i], pairs, npairs);
			round_trip(&r, &b, 100);
		}
		make_bundle(&r, &b, 1, &pairs[i], pairs, npairs);
		bursts(&r, &b);
	}
	printf("# %u pairs of algorithms\nok 1 - out and in\n1..1\n", npairs);
	return 0;
}
