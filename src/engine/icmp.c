/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors from the network about protected packets.  Anybody can send one; what it quotes has
 * to prove that its sender saw a packet of ours (RFC 4301 6.1, 8.2.1; spec 7.6).
 */
#include "engine/icmp.h"

#include "base/addr.h"
#include "engine/encap.h"
#include "engine/ipcomp.h"
#include "engine/layer.h"
#include "wire/icmp.h"
#include "wire/ipcomp.h"
#include "wire/udp.h"

#define IP4_MTU_MIN 68u /* RFC 791 3.2 */
/* How many packets may be sent between one and the ICMP error about it: 10 Mpps for 26 ms. */
#define SENT_LATELY (1u << 18)
#define SECOND_BIT  32

/* What a quote says of the SA by which it was protected. */
struct claim {
	uint8_t proto;
	uint8_t next; /* IPComp: what it carries */
	uint32_t spi, seq;
	bool has_seq;
	bool in_udp;
};

static bool
read_esp(const uint8_t *p, uint32_t left, struct claim *c)
{
	if (left < TDO_ESP_HLEN)
		return false;
	c->proto = TDO_IPPROTO_ESP;
	c->spi = tdo_be32(p + TDO_ESP_SPI_OFF);
	c->seq = tdo_be32(p + TDO_ESP_SEQ_OFF);
	c->has_seq = true;
	return true;
}

/* RFC 4302 2: RFC 792 promises the SPI, not the number. */
static bool
read_ah(const uint8_t *p, uint32_t left, struct claim *c)
{
	if (left < 8)
		return false;
	c->proto = TDO_IPPROTO_AH;
	c->spi = tdo_be32(p + 4);
	c->has_seq = left >= 12;
	c->seq = c->has_seq ? tdo_be32(p + 8) : 0;
	return true;
}

static bool
read_ipcomp(const uint8_t *p, uint32_t left, struct claim *c)
{
	if (left < TDO_IPCOMP_HLEN)
		return false;
	c->proto = TDO_IPPROTO_IPCOMP;
	c->spi = tdo_be16(p + TDO_IPCOMP_CPI_OFF);
	c->next = p[TDO_IPCOMP_NH_OFF];
	return true;
}

/* ESP in UDP, with a marker or without. */
static bool
read_udp(const uint8_t *p, uint32_t left, struct claim *c)
{
	static const uint8_t marker[TDO_UDP_MARKER_LEN];
	uint32_t off = TDO_UDP_HLEN;

	if (left >= off + sizeof(marker) && memcmp(p + off, marker, sizeof(marker)) == 0)
		off += sizeof(marker);
	return left > off && read_esp(p + off, left - off, c);
}

/* False: the quote ends too early. */
static bool
read_claim(const struct tdo_icmp_error *e, struct claim *c)
{
	const uint8_t *p = e->quote + e->ip.l4_off;
	uint32_t left = e->ip.total_len - e->ip.l4_off;

	*c = (struct claim){.in_udp = e->ip.flow.proto == TDO_IPPROTO_UDP};
	if (e->ip.frag_later)
		return false;
	switch (e->ip.flow.proto) {
	case TDO_IPPROTO_ESP:
		return read_esp(p, left, c);
	case TDO_IPPROTO_AH:
		return read_ah(p, left, c);
	case TDO_IPPROTO_IPCOMP:
		return read_ipcomp(p, left, c);
	default:
		return read_udp(p, left, c);
	}
}

static const struct tdo_sa *
find_sa(const struct tdo_engine *e, const struct tdo_flow *f, const struct claim *c)
{
	if (c->proto == TDO_IPPROTO_IPCOMP)
		return tdo_sad_find_cpi(e, f, c->spi, c->next);
	return tdo_sad_find_in(e, &f->dst, c->spi, c->proto);
}

/* The ports that the SA sends with; SAs that are not in UDP send with none. */
static bool
ports_agree(const struct tdo_sa *sa, const struct tdo_flow *f, const struct claim *c)
{
	uint32_t ports;

	if (!c->in_udp || !sa->encap)
		return !c->in_udp && !sa->encap;
	ports = atomic_load_explicit(&sa->encap->ports, memory_order_relaxed);
	return f->has_ports && ports == ((uint32_t)f->sport << 16 | f->dport);
}

/* ---- how many a second -------------------------------------------------------------- */

/*
 * Everything is counted for each SA by itself: who can forge errors about one, knowing its SPI or
 * being its peer, harms no other.  Threads that count at the same time may lose one.
 */
static uint32_t
this_second(const _Atomic uint64_t *c, tdo_ns now)
{
	uint64_t v = atomic_load_explicit(c, memory_order_relaxed);

	return v >> SECOND_BIT == (uint32_t)(now / TDO_SEC) ? (uint32_t)v : 0;
}

static void
count(const struct tdo_sa *sa, unsigned kind, tdo_ns now)
{
	/* An SA is constant for everybody but for its counters. */
	_Atomic uint64_t *c = &((struct tdo_sa *)(uintptr_t)sa)->icmp[kind];
	uint32_t n = this_second(c, now);

	n += n < UINT32_MAX;
	atomic_store_explicit(
	    c, (uint64_t)(uint32_t)(now / TDO_SEC) << SECOND_BIT | n, memory_order_relaxed);
}

static uint32_t
limit(const struct tdo_engine *e)
{
	return (uint32_t)tdo_knob(e, TDO_KNOB_ICMP_LIMIT, TDO_AF_INET);
}

/* True when the quote has a number that only somebody who saw the packet knows. */
static bool
is_numbered(const struct tdo_sa *sa, const struct claim *c)
{
	return c->has_seq && sa->fmt.numbered && !sa->comp;
}

/*
 * Takes one more error of a kind that passed the check; false: that would be too many.  Who
 * proves less has half, so that he cannot use up what is for others.
 */
static bool
take(const struct tdo_engine *e, const struct tdo_sa *sa, const struct claim *c, unsigned kind,
    tdo_ns now)
{
	uint32_t max = is_numbered(sa, c) ? limit(e) : limit(e) / 2 + limit(e) % 2;

	if (this_second(&sa->icmp[kind], now) >= max)
		return false;
	count(sa, kind, now);
	return true;
}

/*
 * Who knows addresses and SPI may try numbers.  Wrong ones are not limited, or those that are right
 * would be too; instead the more of them come in a second, the closer to the last number has one to
 * be, so that trying faster hardly helps.  What is genuine is one round trip old.
 */
static uint32_t
lately(const struct tdo_engine *e, const struct tdo_sa *sa, tdo_ns now)
{
	uint32_t wrong = this_second(&sa->icmp[TDO_SA_ICMP_WRONG], now);

	return wrong <= limit(e) ? SENT_LATELY
				 : (uint32_t)((uint64_t)SENT_LATELY * limit(e) / wrong);
}

/* ---- what is believed --------------------------------------------------------------- */

/* Counted up by the workers while they send: only what lies behind can have been seen. */
static bool
was_sent(const struct tdo_engine *e, const struct tdo_sa *sa, const struct claim *c, tdo_ns now)
{
	uint64_t last = atomic_load_explicit(sa->out_seq, memory_order_relaxed);
	uint32_t ago = (uint32_t)last - c->seq;

	/* CPIs are known to all; where other headers hide them nobody can quote one. */
	if (sa->comp)
		return atomic_load_explicit(&sa->comp->outside, memory_order_relaxed);
	if (!is_numbered(sa, c))
		return atomic_load_explicit(&sa->packets, memory_order_relaxed) > 0;
	return ago < lately(e, sa, now) && ago < last;
}

static enum tdo_reason
judge_mtu(const struct tdo_icmp_error *e, uint8_t af)
{
	if (!e->too_big)
		return TDO_REASON_NONE;
	if (af == TDO_AF_INET && e->mtu == 0) /* RFC 1191 5 */
		return TDO_REASON_NONE;
	/* RFC 8201 4: less than 1280 is to be discarded. */
	if (e->mtu < (af == TDO_AF_INET6 ? TDO_IP6_MTU_MIN : IP4_MTU_MIN))
		return TDO_REASON_ICMP_BAD_MTU;
	return e->mtu < e->quoted_len ? TDO_REASON_NONE : TDO_REASON_ICMP_BAD_MTU;
}

/* Why the error is not about a packet of ours; *ret_sa: the SA that it names, as far as found. */
static enum tdo_reason
judge(const struct tdo_engine *e, const struct tdo_icmp_error *err, const struct claim *c,
    tdo_ns now, const struct tdo_sa **ret_sa)
{
	const struct tdo_flow *f = &err->ip.flow;
	const struct tdo_sa *sa;

	if (!tdo_is_local(e, &f->src))
		return TDO_REASON_ICMP_NOT_OURS;
	sa = find_sa(e, f, c);
	if (!sa || !tdo_layer_sa_alive(sa))
		return TDO_REASON_ICMP_NO_SA;
	*ret_sa = sa;
	if (!tdo_addr_equal(&sa->id.src, &f->src) || !ports_agree(sa, f, c))
		return TDO_REASON_ICMP_NOT_OURS;
	if (!was_sent(e, sa, c, now)) {
		count(sa, TDO_SA_ICMP_WRONG, now);
		return TDO_REASON_ICMP_NOT_SENT;
	}
	return judge_mtu(err, f->dst.af);
}

/* Neither an IPsec header nor UDP with ports that some SA may have. */
static bool
is_foreign(const struct tdo_icmp_error *e)
{
	return !tdo_is_ipsec(e->ip.flow.proto) && e->ip.flow.proto != TDO_IPPROTO_UDP;
}

static enum tdo_icmp_verdict
refuse(struct tdo_worker *w, const struct tdo_icmp_error *e, const struct claim *c,
    const struct tdo_sa *sa, enum tdo_reason r, tdo_ns now)
{
	/* Reported is what was quoted: the sender's address is the least believable part. */
	struct tdo_pkt p = {.ip = e->ip, .spi = c->spi, .seq = c->seq};

	tdo_worker_way(w, false);
	tdo_worker_drop(w, &p, (struct tdo_sa *)(uintptr_t)sa, r, now);
	return TDO_ICMP_DROP;
}

/* What the error is; *r, *c and *ret_sa belong to it.  One that passes is of this kind. */
static enum tdo_icmp_verdict
classify(const struct tdo_engine *e, const struct tdo_icmp_error *err, unsigned kind, tdo_ns now,
    struct claim *c, const struct tdo_sa **ret_sa, enum tdo_reason *r)
{
	*ret_sa = NULL;
	*r = TDO_REASON_NONE;
	if (is_foreign(err))
		return TDO_ICMP_FOREIGN;
	if (!read_claim(err, c)) {
		/* Other programs use UDP too. */
		if (c->in_udp)
			return TDO_ICMP_FOREIGN;
		*r = TDO_REASON_ICMP_SHORT;
	} else {
		*r = judge(e, err, c, now, ret_sa);
	}
	/* Other UDP that happens to be long enough has no SPI of ours. */
	if (c->in_udp && !*ret_sa) {
		*r = TDO_REASON_NONE;
		return TDO_ICMP_FOREIGN;
	}
	if (*r == TDO_REASON_NONE && err->too_big &&
	    tdo_knob(e, TDO_KNOB_ICMP_PMTU, err->ip.flow.dst.af) == 0)
		*r = TDO_REASON_ICMP_IGNORED;
	if (*r == TDO_REASON_NONE && !take(e, *ret_sa, c, kind, now))
		*r = TDO_REASON_ICMP_RATE;
	if (*r != TDO_REASON_NONE)
		return TDO_ICMP_DROP;
	return err->too_big ? TDO_ICMP_TOO_BIG : TDO_ICMP_OTHER;
}

enum tdo_icmp_verdict
tdo_icmp_in(struct tdo_worker *w, uint8_t af, const uint8_t *msg, size_t len, tdo_ns now,
    struct tdo_icmp_report *ret)
{
	enum tdo_icmp_verdict v;
	const struct tdo_sa *sa;
	struct tdo_icmp_error e;
	struct claim c;

	*ret = (struct tdo_icmp_report){0};
	if (!tdo_icmp_read(af, msg, len, &e))
		return TDO_ICMP_FOREIGN;
	v = classify(w->engine, &e, TDO_SA_ICMP_BELIEVED, now, &c, &sa, &ret->reason);
	if (v == TDO_ICMP_FOREIGN)
		return v;
	if (v == TDO_ICMP_DROP)
		return refuse(w, &e, &c, sa, ret->reason, now);
	ret->dst = e.ip.flow.dst;
	ret->mtu = e.mtu;
	ret->quoted_len = e.quoted_len;
	tdo_worker_stat(w, e.too_big ? TDO_STAT_ICMP_PMTU : TDO_STAT_ICMP_OTHER, 1);
	return v;
}

enum tdo_icmp_verdict
tdo_icmp_about_protected(
    const struct tdo_engine *e, const struct tdo_pkt *p, tdo_ns now, enum tdo_reason *ret_reason)
{
	uint8_t af = p->ip.flow.src.af;
	const struct tdo_sa *sa;
	struct tdo_icmp_error err;
	struct claim c;

	if (p->ip.frag || !tdo_icmp_read(af, tdo_pkt_data(p) + p->ip.l4_off,
			      p->ip.total_len - p->ip.l4_off, &err))
		return TDO_ICMP_FOREIGN;
	return classify(e, &err, TDO_SA_ICMP_LET_IN, now, &c, &sa, ret_reason);
}

bool
tdo_icmp_stands_for(const struct tdo_engine *e, const struct tdo_pkt *p, struct tdo_flow *ret)
{
	return tdo_is_icmp(p) && tdo_knob(e, TDO_KNOB_ICMP_QUOTE, p->ip.flow.src.af) != 0 &&
	       tdo_icmp_quoted_flow(tdo_pkt_data(p), &p->ip, ret);
}

bool
tdo_icmp_may_stand_for(const struct tdo_engine *e, const struct tdo_pkt *p, struct tdo_flow *ret)
{
	return tdo_is_icmp(p) && tdo_knob(e, TDO_KNOB_ICMP_QUOTE, p->ip.flow.src.af) != 0 &&
	       tdo_icmp_quoted_hosts(tdo_pkt_data(p), &p->ip, ret);
}

bool
tdo_icmp_is_obscure(const struct tdo_engine *e, const struct tdo_pkt *p)
{
	return tdo_knob(e, TDO_KNOB_ICMP_QUOTE, p->ip.flow.src.af) != 0 &&
	       tdo_icmp_hides_quote(tdo_pkt_data(p), &p->ip);
}
