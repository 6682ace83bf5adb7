/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP headers around ESP.  Outer headers of tunnels: how they are made from the inner ones, and
 * what of them comes back (RFC 4301 5.1.2, 5.1.2.1, 5.1.2.2, 8.1; spec 7.4, 7.5, 7.15).
 */
#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "wire/ip.h"

enum {
	OUTER_TTL = 64,
	ECN_MASK = 0x03,
	ECN_CE = 0x03,
	IP4_TOS_OFF = 1,
	IP4_LEN_OFF = 2,
	IP4_ID_OFF = 4,
	IP4_FRAG_OFF = 6,
	IP4_PROTO_OFF = 9,
	IP4_CSUM_OFF = 10,
	IP6_LEN_OFF = 4,
	IP6_NH_OFF = 6,
};

unsigned
tdo_tunnel_template(uint8_t *hdr, const struct tdo_sa_id *id)
{
	struct tdo_ip_hdr h = {
	    .src = id->src,
	    .dst = id->dst,
	    .ttl = OUTER_TTL,
	    .proto = id->proto,
	};

	/* Without an address of its own the SA cannot be the start of a tunnel. */
	if (tdo_addr_is_any(&id->src) || tdo_addr_is_any(&id->dst))
		return 0;
	tdo_ip_build(hdr, &h, 0);
	return tdo_ip_hlen(id->src.af);
}

/* ECN on encapsulation (spec 7.5, D20); the knob of the outer header's family decides. */
static uint8_t
outer_tos(const struct tdo_worker *w, uint8_t inner, uint8_t af)
{
	switch (tdo_knob(w->engine, TDO_KNOB_ECN, af)) {
	case -1: /* RFC 2401: copied */
		return inner;
	case 1: /* ECT is kept, CE is cleared */
		return inner & 0xfe;
	default:
		return inner & 0xfc;
	}
}

/* RFC 4301 8.1: there is nothing to copy from an IPv6 header. */
static bool
outer_df(const struct tdo_worker *w, const struct tdo_ip_info *inner)
{
	int32_t dfbit = tdo_knob(w->engine, TDO_KNOB_DFBIT, TDO_AF_INET);

	if (dfbit == 2)
		return inner->flow.src.af == TDO_AF_INET && inner->df;
	return dfbit == 1;
}

static uint16_t
fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * RFC 1624 eq. 3: the header checksum after one 16-bit word changed from old to new.
 */
static void
ip4_fix_csum(uint8_t *hdr, uint16_t old, uint16_t new)
{
	uint32_t sum = (uint16_t)~tdo_be16(hdr + IP4_CSUM_OFF) + (uint32_t)(uint16_t)~old + new;

	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~fold(sum));
}

void
tdo_ip_rewrite(uint8_t *hdr, uint16_t nh_off, uint8_t nh, uint32_t len)
{
	uint16_t old_len, ttl_proto;
	uint32_t sum;

	if (hdr[0] >> 4 != 4) {
		hdr[nh_off] = nh;
		tdo_put_be16(hdr + IP6_LEN_OFF, (uint16_t)(len - TDO_IP6_HLEN));
		return;
	}
	/* RFC 1624 eq. 3 for two words at once. */
	old_len = tdo_be16(hdr + IP4_LEN_OFF);
	ttl_proto = tdo_be16(hdr + IP4_PROTO_OFF - 1);
	sum = (uint16_t)~tdo_be16(hdr + IP4_CSUM_OFF) + (uint32_t)(uint16_t)~old_len + len;
	sum += (uint32_t)(uint16_t)~ttl_proto + ((ttl_proto & 0xff00u) | nh);
	hdr[IP4_PROTO_OFF] = nh;
	tdo_put_be16(hdr + IP4_LEN_OFF, (uint16_t)len);
	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~fold(sum));
}

/* The fields that differ from the template; the checksum goes on from the template's. */
static void
put_ip4(struct tdo_worker *w, uint8_t *hdr, uint8_t tos, bool df, uint32_t total)
{
	uint32_t sum = (uint16_t)~tdo_be16(hdr + IP4_CSUM_OFF);
	uint16_t id = w->ip_id++, frag = df ? TDO_IP4_DF : 0;

	/* In the template TOS, id and flags are zero, and the length is that of the header. */
	sum += tos + total + (uint16_t) ~(uint16_t)TDO_IP4_HLEN + id + frag;
	hdr[IP4_TOS_OFF] = tos;
	tdo_put_be16(hdr + IP4_LEN_OFF, (uint16_t)total);
	tdo_put_be16(hdr + IP4_ID_OFF, id);
	tdo_put_be16(hdr + IP4_FRAG_OFF, frag);
	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~fold(sum));
}

void
tdo_tunnel_put(struct tdo_worker *w, const struct tdo_sa *sa, uint8_t *hdr, struct tdo_ip_info *ip,
    uint32_t total)
{
	const struct tdo_esp *x = &sa->esp;
	bool v4 = sa->id.src.af == TDO_AF_INET;
	uint8_t tos = outer_tos(w, ip->tos, sa->id.src.af);
	bool df = v4 && outer_df(w, ip);

	memcpy(hdr, x->outer, x->outer_len);
	if (v4) {
		put_ip4(w, hdr, tos, df, total);
	} else {
		hdr[0] = (uint8_t)(0x60 | tos >> 4);
		hdr[1] = (uint8_t)(tos << 4);
		tdo_put_be16(hdr + IP6_LEN_OFF, (uint16_t)(total - TDO_IP6_HLEN));
	}
	*ip = (struct tdo_ip_info){
	    .flow = {.src = sa->id.src, .dst = sa->id.dst, .proto = sa->id.proto},
	    .total_len = total,
	    .l4_off = x->outer_len,
	    .esp_off = x->outer_len,
	    .nh_off = v4 ? IP4_PROTO_OFF : IP6_NH_OFF,
	    .esp_nh = sa->id.proto,
	    .tos = tos,
	    .ttl = OUTER_TTL,
	    .df = df,
	};
}

static void
set_tos(uint8_t *hdr, struct tdo_ip_info *ip, uint8_t tos)
{
	uint16_t old = tdo_be16(hdr);

	if (ip->flow.src.af == TDO_AF_INET) {
		hdr[IP4_TOS_OFF] = tos;
		ip4_fix_csum(hdr, old, tdo_be16(hdr));
	} else {
		hdr[0] = (uint8_t)((hdr[0] & 0xf0) | tos >> 4);
		hdr[1] = (uint8_t)((hdr[1] & 0x0f) | tos << 4);
	}
	ip->tos = tos;
}

/*
 * Only "allowed" brings congestion marks back.  A packet whose transport does not know ECN
 * stays as it is: the mark would mean nothing to it.
 */
void
tdo_tunnel_ecn_out(
    struct tdo_worker *w, uint8_t tos, uint8_t outer_af, uint8_t *inner, struct tdo_ip_info *ip)
{
	if (tdo_knob(w->engine, TDO_KNOB_ECN, outer_af) != 1)
		return;
	if ((tos & ECN_MASK) == ECN_CE && (ip->tos & ECN_MASK) != 0)
		set_tos(inner, ip, ip->tos | ECN_CE);
}
