/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet path: what its files offer each other. */
#ifndef TDO_ENGINE_PATH_H
#define TDO_ENGINE_PATH_H

#include "base/be.h"
#include "engine/engine.h"
#include "wire/esp.h"
#include "wire/ip.h"

/* ---- batch.c ---- */

/* Packets of one SA in a row. */
struct tdo_group {
	struct tdo_sa *sa;
	uint8_t first, n; /* of the given packets */
	uint8_t at, kept; /* of those of the batch, when it has begun */
};

/* The packets of a burst around the cryptography, SA by SA. */
struct tdo_batch {
	struct tdo_pkt *given[TDO_BURST_MAX];
	unsigned n; /* not dropped so far: of the following */
	struct tdo_op op[TDO_BURST_MAX];
	struct tdo_pkt *p[TDO_BURST_MAX];
	uint64_t seq[TDO_BURST_MAX];    /* in */
	uint16_t nh_off[TDO_BURST_MAX]; /* in: the byte that announced the header to be removed */
};

/*
 * The rows of n <= TDO_BURST_MAX packets with equal sa[i]; how many.  Packets that belong to two
 * SAs by turns are groups of their own: to bring them together costs more than it saves, except
 * where the SAs are few.
 */
unsigned tdo_group_rows(struct tdo_sa *const *sa, unsigned n, struct tdo_group *ret);

/* One layer of n <= TDO_BURST_MAX packets: sa[i] is put on p[i] (out), or taken off. */
void tdo_batch_run(struct tdo_worker *w, struct tdo_sa *const *sa, struct tdo_pkt *const *p,
    unsigned n, bool out, tdo_ns now);

/* ---- fault.c: packets that a peer must refuse, made for tests ---- */

/* Between the two halves of an outbound transform, before the cryptography (test_replay). */
void tdo_fault_numbers(
    const struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n);
/* Behind the second half (test_integrity). */
void tdo_fault_icvs(
    const struct tdo_worker *w, const struct tdo_batch *b, const struct tdo_group *g, unsigned n);

/* ---- tunnel.c ---- */

/* Length of the outer header of an SA's tunnel; 0: the SA cannot begin a tunnel. */
unsigned tdo_tunnel_len(const struct tdo_sa_id *id);
/*
 * Writes the outer header of the SA's tunnel to the start of p, which has its final length
 * and whose ip still describes the inner packet, at inner.  It announces proto: the SA's
 * protocol, or that of the inner packet.  Updates ip to the outer packet.
 */
void tdo_tunnel_put(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint8_t proto,
    const uint8_t *inner);
/*
 * ECN on decapsulation (spec 7.5, RFC 6040 4.2): inner is the parsed inner packet.  IN_ECN:
 * it has to be dropped.
 */
enum tdo_reason tdo_tunnel_ecn_out(struct tdo_worker *w, const struct tdo_sa *sa, uint8_t outer_tos,
    uint8_t *inner, struct tdo_ip_info *ip);

/* RFC 1624 eq. 3: the header checksum after one 16-bit word changed from old to new. */
void tdo_ip4_fix_csum(uint8_t *hdr, uint16_t old, uint16_t new);
enum { IP4_LEN_OFF = 2, IP4_PROTO_OFF = 9, IP4_CSUM_OFF = 10, IP6_LEN_OFF = 4 };

/* The one's-complement sum of a few words, as one word. */
static inline uint16_t
tdo_csum_fold16(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * The IP header at hdr announces nh at nh_off and a packet of len bytes.  The IPv4 checksum
 * is corrected by difference: what was wrong in it stays wrong.
 */
static inline void
tdo_ip_rewrite(uint8_t *hdr, uint16_t nh_off, uint8_t nh, uint32_t len)
{
	uint32_t sum;

	if (hdr[0] >> 4 != 4) {
		hdr[nh_off] = nh;
		tdo_put_be16(hdr + IP6_LEN_OFF, (uint16_t)(len - TDO_IP6_HLEN));
		return;
	}
	/* RFC 1624 eq. 3 for two words at once; TTL and protocol are one. */
	sum = 0xffffu - tdo_be16(hdr + IP4_CSUM_OFF) + 0xffffu - tdo_be16(hdr + IP4_LEN_OFF) + len;
	sum += 0xffffu - hdr[IP4_PROTO_OFF] + nh;
	hdr[IP4_PROTO_OFF] = nh;
	tdo_put_be16(hdr + IP4_LEN_OFF, (uint16_t)len);
	tdo_put_be16(hdr + IP4_CSUM_OFF, (uint16_t)~tdo_csum_fold16(sum));
}

/* ---- batch.c: lifetimes ---- */

/* What is left of the hard limits of an SA. */
struct tdo_quota {
	uint64_t packets, bytes;
};

static inline uint64_t
tdo_quota_left(uint64_t limit, const _Atomic uint64_t *used)
{
	uint64_t u;

	if (limit == 0)
		return UINT64_MAX;
	u = atomic_load_explicit(used, memory_order_relaxed);
	return limit > u ? limit - u : 0;
}

static inline struct tdo_quota
tdo_quota_of(const struct tdo_sa *sa)
{
	if (!sa->limited)
		return (struct tdo_quota){UINT64_MAX, UINT64_MAX};
	return (struct tdo_quota){
	    .packets = tdo_quota_left(sa->hard.allocations, &sa->packets),
	    .bytes = tdo_quota_left(sa->hard.bytes, &sa->bytes),
	};
}

/* Takes one packet; false when a limit is reached.  The packet that reaches it still passes. */
static inline bool
tdo_quota_take(struct tdo_quota *q, uint32_t len)
{
	if (q->packets == 0 || q->bytes == 0)
		return false;
	q->packets--;
	q->bytes -= len < q->bytes ? len : q->bytes;
	return true;
}

/* Notes when the SA was used, and tells about the first time. */
void tdo_sa_used_at(struct tdo_sa *sa, tdo_ns now);
/* Tells the control thread that a lifetime of the SA may have been reached (grow.c). */
void tdo_sa_alert(struct tdo_sa *sa);

/* Counts packets that used the SA, at least one. */
static inline void
tdo_sa_used(struct tdo_sa *sa, uint64_t packets, uint64_t bytes, tdo_ns now)
{
	uint64_t p, b;

	p = atomic_fetch_add_explicit(&sa->packets, packets, memory_order_relaxed) + packets;
	b = atomic_fetch_add_explicit(&sa->bytes, bytes, memory_order_relaxed) + bytes;
	if (p >= atomic_load_explicit(&sa->alert_packets, memory_order_relaxed) ||
	    b >= atomic_load_explicit(&sa->alert_bytes, memory_order_relaxed))
		tdo_sa_alert(sa);
	if (atomic_load_explicit(&sa->last_use, memory_order_relaxed) != now ||
	    atomic_load_explicit(&sa->first_use, memory_order_relaxed) == 0)
		tdo_sa_used_at(sa, now);
}

/* The same, maybe of none, and for the histograms of algorithms. */
static inline void
tdo_group_used(
    struct tdo_worker *w, struct tdo_sa *sa, bool out, uint64_t packets, uint64_t bytes, tdo_ns now)
{
	_Atomic uint64_t *n = &w->used[out][sa->used];

	if (packets == 0)
		return;
	atomic_store_explicit(
	    n, atomic_load_explicit(n, memory_order_relaxed) + packets, memory_order_relaxed);
	tdo_sa_used(sa, packets, bytes, now);
}

/* Takes back one outbound packet of so many bytes. */
void tdo_group_unused(struct tdo_worker *w, struct tdo_sa *sa, uint64_t bytes);

/* ---- grow.c ---- */

/* A worker saw that the SA's replay window wants to grow. */
void tdo_sa_ask_to_grow(struct tdo_worker *w, struct tdo_sa *sa);

/* ---- pipe.c ---- */

/* Clears what an earlier call found out about the packet. */
static inline void
tdo_pkt_forget(struct tdo_pkt *p)
{
	p->verdict = TDO_VERDICT_NONE;
	p->reason = TDO_REASON_NONE;
	p->nsas = p->tunnelled = p->layer = p->outer_ecn = p->encap_len = 0;
	p->sp = NULL;
	p->spi = p->seq = 0;
}

/* What every fragment of the datagram shows of it, the first one as well. */
struct tdo_flow tdo_flow_of_fragment(const struct tdo_ip_info *ip);

/* True for the protocols that SAs are for. */
static inline bool
tdo_is_ipsec(uint8_t proto)
{
	return proto == TDO_IPPROTO_ESP || proto == TDO_IPPROTO_AH || proto == TDO_IPPROTO_IPCOMP;
}

bool tdo_read_other_spi(struct tdo_pkt *p);

/*
 * Notes SPI (or CPI) and the low half of the sequence number of the IPsec header at l4_off in p;
 * false: the packet ends before them.
 */
static inline bool
tdo_read_spi(struct tdo_pkt *p)
{
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;

	if (p->ip.flow.proto != TDO_IPPROTO_ESP)
		return tdo_read_other_spi(p);
	if (p->ip.total_len - p->ip.l4_off < TDO_ESP_HLEN)
		return false;
	p->spi = tdo_be32(h + TDO_ESP_SPI_OFF);
	p->seq = tdo_be32(h + TDO_ESP_SEQ_OFF);
	return true;
}

/*
 * ICMPv6 neighbour discovery and multicast listener discovery: needed before any SA can
 * exist, so never subject to policy.  Only on the link: what a router forwarded, or may
 * forward, is a packet as any other.
 */
bool tdo_is_nd_or_mld(const struct tdo_ip_info *ip);

/* Counts the use of policies (sp may be NULL): once per row of packets with the same one. */
struct tdo_sp_use {
	const struct tdo_sp *sp;
	uint64_t packets;
};

void tdo_sp_use_flush(struct tdo_sp_use *u, tdo_ns now);

static inline void
tdo_sp_used(struct tdo_sp_use *u, const struct tdo_sp *sp, tdo_ns now)
{
	if (u->sp != sp) {
		tdo_sp_use_flush(u, now);
		u->sp = sp;
	}
	u->packets++;
}

#endif
