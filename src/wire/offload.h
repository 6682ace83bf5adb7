/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Super-packets: what the kernel calls GSO and GRO, done on plain buffers.
 *
 * A super-packet is one IP packet with a TCP or UDP payload of up to 64 KB and a segment
 * size.  It is cut into the packets that would be on the wire, and packets in a row of
 * one TCP or UDP flow are joined into one.
 */
#ifndef TDO_WIRE_OFFLOAD_H
#define TDO_WIRE_OFFLOAD_H

#include "testudo/pkt.h"

/* Fills in a partial upper-layer checksum (TDO_PKT_CSUM_PARTIAL) and clears the flag.  false:
 * csum_start or csum_off lie outside of the packet. */
TDO_MUST_CHECK bool tdo_csum_complete(struct tdo_pkt *p);

/*
 * Number of segments of a parsed super-packet (p->ip is valid, p->gso and p->gso_size are
 * set); 0 when the description is inconsistent: not TCP/UDP, IPv6 chain not understood,
 * lengths that do not fit.
 */
unsigned tdo_gso_count(const struct tdo_pkt *p);

/* How a super-packet is cut, and the sums that its segments share. */
struct tdo_gso_cut {
	const struct tdo_pkt *p;
	uint32_t l4;      /* offset of the TCP or UDP header */
	uint32_t hlen;    /* bytes of all headers */
	uint32_t payload; /* bytes behind them */
	uint32_t size;    /* payload bytes of all segments but the last ... */
	uint32_t extra;   /* ... of which the first has so many more */
	uint32_t csum;    /* offset of the upper-layer checksum */
	unsigned count;
	uint32_t l4_sum, ip_sum; /* of what is the same in all headers */
};

/* As tdo_gso_count_mss(), with how to cut it for tdo_gso_make(); p stays as it is until then. */
unsigned tdo_gso_plan(const struct tdo_pkt *p, uint16_t mss, struct tdo_gso_cut *ret);
/* The first segment gets up to that many bytes of payload.  Returns the number of segments. */
unsigned tdo_gso_longer(struct tdo_gso_cut *c, uint32_t first);
/* As tdo_gso_segment(). */
TDO_MUST_CHECK bool tdo_gso_make(const struct tdo_gso_cut *c, unsigned i, struct tdo_pkt *out);

/*
 * Writes segment i into out: out->buf, cap and off (headroom) are the caller's; len, and
 * flags are set, checksums are complete, IPv4 id counts up, TCP sequence number and flags
 * (FIN, PSH only last; CWR only first) and the IP and UDP lengths are right.  mss: payload
 * bytes for each segment, at most p->gso_size (smaller to respect a lower MTU; TCP only).
 * false when out has no room.
 */
TDO_MUST_CHECK bool tdo_gso_segment(
    const struct tdo_pkt *p, unsigned i, uint16_t mss, struct tdo_pkt *out);
/* Segments with a smaller segment size. */
unsigned tdo_gso_count_mss(const struct tdo_pkt *p, uint16_t mss);

/*
 * Joining.  head is a packet with p->ip valid; next follows it in arrival order.  True when
 * next continues head's TCP stream (same addresses, ports, acknowledgement, window,
 * options, TTL, TOS, DF; sequence number follows; only ACK and PSH; equal segment size;
 * valid checksums of both) or head's UDP flow (equal datagram lengths), and was appended to
 * head, which must have tailroom for it: then next is empty and the caller's again.  The
 * first join sets head->gso, gso_size.  The IP length is updated; call tdo_gro_finish()
 * before giving head away.
 */
bool tdo_gro_join(struct tdo_pkt *head, const struct tdo_pkt *next);
/* Makes the checksum of a joined packet partial (pseudo header sum) with csum_start, csum_off. */
void tdo_gro_finish(struct tdo_pkt *head);

/*
 * Lowers the MSS option of a TCP SYN or SYN-ACK to at most mss (RFC 9293 3.7.1, 6691) and
 * corrects the checksum by difference (also a partial one).  True when it was changed.  p->ip is
 * valid.
 */
bool tdo_mss_clamp(struct tdo_pkt *p, uint16_t mss);

#endif
