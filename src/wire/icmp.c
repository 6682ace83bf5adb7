/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling a sender what became of its packets: see icmp.h. */
#include "wire/icmp.h"

#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"
#include "wire/out.h"

enum {
	ICMP_HLEN = 8,
	ICMP4_MAX = 576,      /* RFC 1812 4.3.2.3: the whole error message */
	ICMP4_UNREACH = 3,    /* RFC 792 */
	ICMP4_NEEDFRAG = 4,   /* RFC 1191 4 */
	ICMP4_EXCEEDED = 11,  /* RFC 792 */
	ICMP6_TOO_BIG = 2,    /* RFC 4443 3.2 */
	ICMP6_EXCEEDED = 3,   /* RFC 4443 3.3 */
	REASSEMBLY = 1,       /* code of both */
	ICMP6_INFO_MIN = 128, /* RFC 4443 2.1: informational messages from here on */
	ICMP6_REDIRECT = 137, /* RFC 4861 4.5; RFC 4443 2.4 (e.2) counts it among the errors */
	TTL = 64,
	TOS_CONTROL = 0xc0, /* RFC 1812 4.3.2.5: internetwork control */
};

bool
tdo_icmp_is_error(const struct tdo_flow *f)
{
	if (f->proto == TDO_IPPROTO_ICMPV6)
		return !f->has_ports || f->sport < ICMP6_INFO_MIN || f->sport == ICMP6_REDIRECT;
	if (f->proto != TDO_IPPROTO_ICMP)
		return false;
	if (!f->has_ports)
		return true;
	switch (f->sport) {
	case 3:  /* destination unreachable */
	case 4:  /* source quench */
	case 5:  /* redirect */
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		return true;
	default:
		return false;
	}
}

/* RFC 1122 3.2.2, RFC 4443 2.4 (e.6): an address that does not stand for one single host. */
static bool
is_no_host(const struct tdo_addr *a)
{
	if (tdo_addr_is_any(a))
		return true;
	if (a->af == TDO_AF_INET6)
		return a->b[0] == 0xff;
	/* Zero network, loopback, multicast, class E with the limited broadcast. */
	return a->b[0] == 0 || a->b[0] == 127 || a->b[0] >= 224;
}

/* An error goes from the destination to the source, so both have to be hosts. */
static bool
may_answer(const struct tdo_ip_info *ip)
{
	return !ip->frag_later && !tdo_icmp_is_error(&ip->flow) && !is_no_host(&ip->flow.src) &&
	       !is_no_host(&ip->flow.dst);
}

/* The error of this type about p; rest: what stands behind its checksum. */
static bool
build(const struct tdo_pkt *p, uint8_t type, uint8_t code, uint32_t rest, struct tdo_pkt *out)
{
	bool v6 = p->ip.flow.src.af == TDO_AF_INET6;
	uint32_t hlen = tdo_ip_hlen(p->ip.flow.src.af), sum = 0;
	uint32_t quote = (v6 ? TDO_IP6_MTU_MIN : ICMP4_MAX) - hlen - ICMP_HLEN;
	struct tdo_ip_hdr h = {.src = p->ip.flow.dst,
	    .dst = p->ip.flow.src,
	    .tos = v6 ? 0 : TOS_CONTROL,
	    .ttl = TTL,
	    .proto = v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP};
	uint8_t *icmp;

	if (p->ip.total_len > p->len || !may_answer(&p->ip))
		return false;
	if (quote > p->ip.total_len)
		quote = p->ip.total_len;
	if (!tdo_out_begin(out, hlen + ICMP_HLEN + quote, 0))
		return false;
	tdo_ip_build(tdo_pkt_data(out), &h, ICMP_HLEN + quote);
	icmp = tdo_pkt_data(out) + hlen;
	icmp[0] = type;
	icmp[1] = code;
	tdo_put_be16(icmp + 2, 0);
	tdo_put_be32(icmp + 4, rest);
	memcpy(icmp + ICMP_HLEN, tdo_pkt_data(p), quote);
	if (v6)
		sum = tdo_csum_pseudo(&h.src, &h.dst, h.proto, ICMP_HLEN + quote);
	sum = tdo_csum_add(sum, icmp, ICMP_HLEN + quote);
	tdo_put_be16(icmp + 2, tdo_csum_fold(sum));
	return tdo_ip_parse(tdo_pkt_data(out), out->len, &out->ip) == TDO_REASON_NONE;
}

bool
tdo_icmp_too_big(const struct tdo_pkt *p, uint32_t mtu, struct tdo_pkt *out)
{
	if (p->ip.flow.src.af == TDO_AF_INET6)
		return build(p, ICMP6_TOO_BIG, 0, mtu, out);
	/* RFC 1191 4: 16 bits behind 16 unused ones; RFC 4443 3.2: 32 bits. */
	return build(p, ICMP4_UNREACH, ICMP4_NEEDFRAG, mtu <= UINT16_MAX ? mtu : UINT16_MAX, out);
}

bool
tdo_icmp_late(const struct tdo_pkt *p, struct tdo_pkt *out)
{
	bool v6 = p->ip.flow.src.af == TDO_AF_INET6;

	return build(p, v6 ? ICMP6_EXCEEDED : ICMP4_EXCEEDED, REASSEMBLY, 0, out);
}
