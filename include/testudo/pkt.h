/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One packet, and bursts of packets.
 *
 * A packet is one contiguous buffer with headroom and tailroom.  The bytes of the IP
 * packet are [off, off + len).  The owner of the memory is the back end that made the
 * packet; the engine borrows it for a call, moves the edges and sets the verdict.
 */
#ifndef TESTUDO_PKT_H
#define TESTUDO_PKT_H

#include "testudo/reason.h"
#include "testudo/sel.h"
#include "testudo/types.h"

#define TDO_BURST_MAX  64  /* packets in one call */
#define TDO_HIST_MAX   8   /* IPsec headers removed from, or put on, one packet */
#define TDO_HEADROOM   704 /* bytes in front that every back end leaves: 8 IPv6 tunnels of AH */
#define TDO_TAILROOM   448 /* bytes behind: padding, trailer, ICV of all layers */
#define TDO_PKT_MAXLEN 65535

struct tdo_sa;
struct tdo_sp;

enum tdo_verdict {
	TDO_VERDICT_NONE,     /* not looked at yet */
	TDO_VERDICT_PASS,     /* out: send it as it is, in clear; in: deliver it */
	TDO_VERDICT_PROTECT,  /* out, after classification: protect it with the attached SAs */
	TDO_VERDICT_HOLD,     /* out: wait for an SA, then classify again; never send it as it is */
	TDO_VERDICT_SEND,     /* out, after protection: send it to its (new) destination */
	TDO_VERDICT_DROP,     /* reason says why */
	TDO_VERDICT_FRAGMENT, /* it must be put together with others: tdo_worker_reassembles() */
};

/* How the kernel described a super-packet (virtio_net_hdr gso_type). */
enum tdo_gso { TDO_GSO_NONE, TDO_GSO_TCP, TDO_GSO_UDP };

enum {
	TDO_PKT_CSUM_PARTIAL = 1 << 0, /* upper-layer checksum still has to be filled in */
	TDO_PKT_FORWARDED = 1 << 1,    /* not sent by this host itself */
	TDO_PKT_DF = 1 << 2,           /* IPv4 DF set, or IPv6: may not be fragmented by us.  Set by
					  classification; after protection it follows an outer IPv4 header */
	TDO_PKT_UDP_ENCAP = 1 << 4,    /* in: it came to the port of UDP-encapsulated ESP */
	TDO_PKT_UDP_CSUM = 1 << 5, /* out: the kernel makes the checksum of the outer UDP header */
	TDO_PKT_NO_CLEAR = 1 << 3, /* it was held because it must be protected */
	TDO_PKT_CAME_CUT = 1 << 6, /* out: it came in fragments, so it may go in fragments */
};

/* What the parser of wire/ip.h found; offsets count from the first byte of the packet. */
struct tdo_ip_info {
	struct tdo_flow flow;
	uint32_t total_len; /* length by the IP header, <= len of the packet */
	uint16_t l4_off;    /* upper-layer header, or the payload of a later fragment */
	uint16_t esp_off;   /* where a transport-mode ESP or AH header goes (RFC 4303 3.1.1) */
	uint16_t nh_off;    /* byte that holds the protocol number of what is at esp_off */
	uint8_t esp_nh;     /* its value */
	uint8_t tos;        /* TOS or traffic class */
	uint8_t ttl;        /* TTL or hop limit */
	bool df;            /* IPv4 DF */
	bool frag;          /* is a fragment (first or later) */
	bool frag_later;    /* offset is not zero */
};

struct tdo_pkt {
	/*
	 * The memory.  What tdo_in() decompresses may be too large for it: then the packet has
	 * memory of the engine's, good until the next tdo_in() of the same worker.
	 */
	uint8_t *buf; /* start of the memory */
	uint32_t cap; /* bytes of memory */
	uint32_t off; /* first byte of the packet */
	uint32_t len; /* bytes of the packet */

	uint8_t flags;       /* TDO_PKT_... */
	uint8_t gso;         /* enum tdo_gso */
	uint16_t gso_size;   /* payload bytes of each segment of a super-packet */
	uint16_t csum_start; /* with CSUM_PARTIAL: where summing starts, from off */
	uint16_t csum_off;   /* with CSUM_PARTIAL: where the sum goes, from csum_start */

	/* What was found out about it; side by side, to be cleared at once: */
	uint8_t verdict; /* enum tdo_verdict */
	uint8_t nsas;    /* used entries of sas */
	/*
	 * Bit i: with sas[i] a tunnel header was removed (in), or is added (out).  The mode of
	 * an SA may be any, so it does not say.
	 */
	uint8_t tunnelled;
	uint8_t layer; /* out: entries of sas that are applied already */
	uint8_t outer_ecn;
	uint8_t encap_len; /* in: bytes of UDP header and marker in front of ESP */
	uint16_t reason;   /* enum tdo_reason */
	/* Of the last ESP header, for reports: SPI, and low half of the sequence number. */
	uint32_t spi, seq;
	/* out, set by the caller: MTU towards the outer destination; 0 unknown */
	uint16_t path_mtu;
	const struct tdo_sp *sp; /* the policy that decided, or NULL */
	/*
	 * out, with verdict HOLD: since when it waits, and for which SA.  The back end keeps both,
	 * and the flags, when it classifies the packet again; held 0: it never waited.
	 */
	tdo_ns held;
	uint64_t waits_for;

	struct tdo_ip_info ip; /* valid after classification */

	/*
	 * out: the SAs to apply, innermost first.  in: the SAs that were removed, outermost
	 * first (the decapsulation history).  Borrowed until the worker's next quiescent
	 * state.
	 */
	const struct tdo_sa *sas[TDO_HIST_MAX];
	void *cookie; /* the back end's */
};

/* Start of the packet's bytes. */
static inline uint8_t *
tdo_pkt_data(const struct tdo_pkt *p)
{
	return p->buf + p->off;
}

/* Takes n bytes of headroom into the packet; false when there is none. */
static inline bool
tdo_pkt_push(struct tdo_pkt *p, uint32_t n)
{
	if (n > p->off)
		return false;
	p->off -= n;
	p->len += n;
	return true;
}

/* Removes n bytes from the front; false when there are fewer. */
static inline bool
tdo_pkt_pull(struct tdo_pkt *p, uint32_t n)
{
	if (n > p->len)
		return false;
	p->off += n;
	p->len -= n;
	return true;
}

/* Takes n bytes of tailroom into the packet; false when there is none. */
static inline bool
tdo_pkt_put(struct tdo_pkt *p, uint32_t n)
{
	if (n > p->cap - p->off - p->len)
		return false;
	p->len += n;
	return true;
}

/* Shortens the packet to len bytes; false when it is shorter already. */
static inline bool
tdo_pkt_trim(struct tdo_pkt *p, uint32_t len)
{
	if (len > p->len)
		return false;
	p->len = len;
	return true;
}

static inline void
tdo_pkt_drop(struct tdo_pkt *p, enum tdo_reason reason)
{
	p->verdict = TDO_VERDICT_DROP;
	p->reason = (uint16_t)reason;
}

#endif
