/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4 and IPv6 headers: constants, parsing with the walk through IPv6 extension headers
 * (RFC 8200 4), building of tunnel headers, Internet checksum.
 */
#ifndef TDO_WIRE_IP_H
#define TDO_WIRE_IP_H

#include "testudo/pkt.h"

/* IP protocol numbers (IANA). */
enum {
	TDO_IPPROTO_HOPOPTS = 0,
	TDO_IPPROTO_ICMP = 1,
	TDO_IPPROTO_IPIP = 4,
	TDO_IPPROTO_TCP = 6,
	TDO_IPPROTO_UDP = 17,
	TDO_IPPROTO_DCCP = 33,
	TDO_IPPROTO_IPV6 = 41,
	TDO_IPPROTO_ROUTING = 43,
	TDO_IPPROTO_FRAGMENT = 44,
	TDO_IPPROTO_GRE = 47,
	TDO_IPPROTO_ESP = 50,
	TDO_IPPROTO_AH = 51,
	TDO_IPPROTO_ICMPV6 = 58,
	TDO_IPPROTO_NONE = 59,
	TDO_IPPROTO_DSTOPTS = 60,
	TDO_IPPROTO_IPCOMP = 108,
	TDO_IPPROTO_SCTP = 132,
	TDO_IPPROTO_MH = 135,
	TDO_IPPROTO_UDPLITE = 136,
};

static inline bool
tdo_proto_has_ports(uint8_t proto)
{
	return proto == TDO_IPPROTO_TCP || proto == TDO_IPPROTO_UDP ||
	       proto == TDO_IPPROTO_UDPLITE || proto == TDO_IPPROTO_SCTP ||
	       proto == TDO_IPPROTO_DCCP;
}

/*
 * True when selectors of this protocol can be compared with the ports of the flow.  Those of every
 * protocol mean ports, and neither types nor keys (RFC 4301 4.4.1.1).
 */
static inline bool
tdo_flow_shows_ports(const struct tdo_flow *flow, uint8_t sel_proto)
{
	return flow->has_ports && (sel_proto != TDO_PROTO_ANY || tdo_proto_has_ports(flow->proto));
}

enum {
	TDO_IP4_HLEN = 20,
	TDO_IP6_HLEN = 40,
	TDO_IP6_FRAGLEN = 8,
	TDO_IP6_MTU_MIN = 1280,
	TDO_EXTHDR_MAX = 16, /* extension headers that the walk follows */
	TDO_IP4_DF = 0x4000,
	TDO_IP4_MF = 0x2000,
	TDO_IP4_OFFMASK = 0x1fff,
};

/*
 * Parses the IP packet of len bytes at p.  Every length in it is checked against len;
 * bytes after total_len are ignored (Ethernet padding).  Fills *ret completely on
 * success and returns TDO_REASON_NONE; else SHORT, IP_HEADER or EXT_HEADER, and *ret is
 * unspecified.
 *
 * flow: the upper-layer protocol is the last header that the walk reaches; ports are
 * known for TCP, UDP, UDP-Lite, SCTP, DCCP (16-bit ports), for ICMP, ICMPv6, MH (type as
 * sport, code as dport; MH code 0) and for GRE with a key (RFC 2890; its upper half as
 * sport, its lower half as dport) when the header is long enough.  ESP, AH and IPComp end
 * the walk: to selectors they are next layer protocols themselves (RFC 4301 4.4.1.1;
 * docs/decisions/0005).  A fragment has flow.opaque unless it is first and has its
 * ports; a later fragment has the protocol number of the fragmented part in
 * flow.proto (IPv4) or the next header of its fragment header (IPv6).
 *
 * esp_off, nh_off, esp_nh: IPv4: after the header with its options.  IPv6: after
 * hop-by-hop, routing, fragment headers and the destination options in front of a
 * routing header; before other destination options (RFC 4303 3.1.1).
 */
enum tdo_reason tdo_ip_parse(const uint8_t *p, size_t len, struct tdo_ip_info *ret);

/*
 * The same for a packet that *ip describes and whose header behind the IP header was taken out:
 * len bytes are left, and nh announces what is there now.
 */
enum tdo_reason tdo_ip_parse_again(
    const uint8_t *p, size_t len, uint8_t nh, struct tdo_ip_info *ip);

/*
 * One's-complement sum (not inverted) of len bytes at p, to be continued from sum.  Every
 * piece but the last has an even length.
 */
uint32_t tdo_csum_add(uint32_t sum, const uint8_t *p, size_t len);
/* The same while copying src to dst, which do not overlap. */
uint32_t tdo_csum_copy(uint32_t sum, uint8_t *dst, const uint8_t *src, size_t len);
/* The Internet checksum for a sum: folded and inverted. */
uint16_t tdo_csum_fold(uint32_t sum);
/* Sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) for l4_len bytes of proto. */
uint32_t tdo_csum_pseudo(
    const struct tdo_addr *src, const struct tdo_addr *dst, uint8_t proto, uint32_t l4_len);
/* Recomputes the header checksum of the IPv4 header at p (its length field is believed). */
void tdo_ip4_set_csum(uint8_t *p);
/* Makes the checksum of the UDP header at p->ip.l4_off, whose field is 0; p->ip is valid. */
void tdo_udp_set_csum(struct tdo_pkt *p);

struct tdo_ip_hdr {
	struct tdo_addr src, dst; /* of one family */
	uint8_t tos, ttl, proto;
	uint16_t id;         /* IPv4 */
	bool df;             /* IPv4 */
	uint32_t flow_label; /* IPv6 */
};

/* Bytes of a header without options: 20 or 40. */
static inline unsigned
tdo_ip_hlen(uint8_t af)
{
	return af == TDO_AF_INET6 ? TDO_IP6_HLEN : TDO_IP4_HLEN;
}

/* Writes a header for payload_len bytes of payload to p (tdo_ip_hlen(h->src.af) bytes). */
void tdo_ip_build(uint8_t *p, const struct tdo_ip_hdr *h, uint32_t payload_len);

/* Sets total length or payload length for a packet of len bytes, and the IPv4 checksum. */
void tdo_ip_set_len(uint8_t *p, uint32_t len);

#endif
