/* SPDX-License-Identifier: BSD-2-Clause */
/* From the TUN through the engine to the raw sockets. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "daemon/sizes.h"
#include "daemon/worker.h"
#include "engine/encap.h"
#include "engine/engine.h"
#include "os/clock.h"
#include "wire/frag.h"
#include "wire/ip.h"
#include "wire/offload.h"

#define READS_MAX 16u /* of a round */

/* Which way a finished packet leaves. */
enum way { WAY_PROTECTED, WAY_CLEAR };

static void
drop(struct tdo_packet_worker *w, enum tdo_reason r)
{
	tdo_worker_count_drop(w->handle, TDO_AT_OUT, r, 1);
}

static uint8_t
version(const struct tdo_pkt *p)
{
	return p->len > 0 ? tdo_pkt_data(p)[0] >> 4 : 0;
}

static struct tdo_addr
destination(const struct tdo_pkt *p)
{
	const uint8_t *ip = tdo_pkt_data(p);

	return version(p) == 6 ? tdo_addr_make(TDO_AF_INET6, ip + 24)
			       : tdo_addr_make(TDO_AF_INET, ip + 16);
}

/* The TUN does not say where a packet came from: what has not our address was forwarded. */
static void
mark_forwarded(const struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	const uint8_t *ip = tdo_pkt_data(p);
	struct tdo_addr src;

	if (version(p) == 4 && p->len >= TDO_IP4_HLEN)
		src = tdo_addr_make(TDO_AF_INET, ip + 12);
	else if (version(p) == 6 && p->len >= TDO_IP6_HLEN)
		src = tdo_addr_make(TDO_AF_INET6, ip + 8);
	else
		return; /* the parser drops it */
	if (!tdo_is_local(w->engine, &src))
		p->flags |= TDO_PKT_FORWARDED;
}

/* ---- sending ------------------------------------------------------------------------ */

static struct tdo_raw_tx *
sender(const struct tdo_packet_worker *w, enum way way, const struct tdo_pkt *p)
{
	if (version(p) == 6)
		return way == WAY_CLEAR ? w->clear6 : w->out6;
	return way == WAY_CLEAR ? w->clear4 : w->out4;
}

static uint16_t
packet_mtu(uint32_t mtu)
{
	return mtu > TDO_PKT_MAXLEN ? TDO_PKT_MAXLEN : (uint16_t)mtu;
}

static uint16_t
clear_mtu(struct tdo_packet_worker *w, const struct tdo_addr *dst)
{
	return packet_mtu(tdo_pmtu_get(&w->pmtu_clear, dst, w->now));
}

static void
flush_raw(struct tdo_packet_worker *w)
{
	struct tdo_raw_tx *tx[] = {w->out4, w->out6, w->clear4, w->clear6};

	for (unsigned i = 0; i < sizeof(tx) / sizeof(tx[0]); i++)
		if (tx[i] != NULL)
			tdo_raw_flush(tx[i]);
}

/* Gives the IPv4 header at ip an identification that is not 0. */
static uint16_t
set_id(struct tdo_packet_worker *w, uint8_t *ip)
{
	uint16_t id = (uint16_t)++w->out.frag_id;

	id = id != 0 ? id : 1;
	tdo_put_be16(ip + 4, id);
	tdo_ip4_set_csum(ip);
	return id;
}

/* True when AH will protect the IP header that p has now. */
static bool
gets_ah(const struct tdo_pkt *p)
{
	for (unsigned i = 0; i < p->nsas && !(p->tunnelled >> i & 1); i++)
		if (p->sas[i]->id.proto == TDO_IPPROTO_AH)
			return true;
	return false;
}

/*
 * The kernel replaces an identification of 0 unless DF is set, and fragments must not have it;
 * but AH protects that field (RFC 4302 3.3.3.1.1.1).  Where DF is set 0 means nothing
 * (RFC 6864 4.1), so another one may be chosen before AH is put on.
 */
static void
fix_id(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	uint8_t *ip = tdo_pkt_data(p);

	if (version(p) == 4 && p->len >= TDO_IP4_HLEN && tdo_be16(ip + 4) == 0 && gets_ah(p))
		(void)set_id(w, ip);
}

/* A fragmented packet has DF off (RFC 791 3.2); the original is not needed any more. */
static bool
prepare_fragmentation(struct tdo_packet_worker *w, struct tdo_pkt *p, uint32_t *ret_id)
{
	uint8_t *ip = tdo_pkt_data(p);

	if (version(p) == 4) {
		uint16_t id = tdo_be16(ip + 4);

		if (id == 0)
			id = set_id(w, ip);
		tdo_put_be16(ip + 6, tdo_be16(ip + 6) & (uint16_t)~TDO_IP4_DF);
		tdo_ip4_set_csum(ip);
		*ret_id = id;
	} else {
		*ret_id = ++w->out.frag_id;
	}
	return tdo_ip_parse(ip, p->len, &p->ip) == TDO_REASON_NONE;
}

/* ---- in UDP ------------------------------------------------------------------------- */

static struct tdo_udp_tx *
row_sender(const struct tdo_packet_worker *w, uint8_t af)
{
	return af == TDO_AF_INET6 ? w->udp6 : w->udp4;
}

/* True when the outermost SA's packets may leave in rows. */
static bool
leaves_in_rows(const struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	const struct tdo_sa *sa = p->sas[p->nsas - 1];

	return sa->encap != NULL && row_sender(w, sa->id.dst.af) != NULL &&
	       tdo_encap_sport(sa->encap) ==
		   atomic_load_explicit(w->udp_port, memory_order_relaxed);
}

static unsigned
waiting_in_rows(const struct tdo_packet_worker *w)
{
	return (w->udp4 ? tdo_udp_waiting(w->udp4) : 0) + (w->udp6 ? tdo_udp_waiting(w->udp6) : 0);
}

static void
flush_rows(struct tdo_packet_worker *w)
{
	if (w->udp4 != NULL)
		tdo_udp_flush(w->udp4);
	if (w->udp6 != NULL)
		tdo_udp_flush(w->udp6);
}

/* Room for a fragment.  When the pool is full, what is in it is sent first. */
static struct tdo_pkt *
take_fragment(struct tdo_packet_worker *w, uint32_t room)
{
	struct tdo_pkt *f = tdo_pool_take(&w->out.frags, room);

	/* While refused packets are sent again, they may be in this pool themselves. */
	if (f != NULL || w->out.again_now)
		return f;
	flush_raw(w);
	if (w->out.nagain > 0)
		return NULL;
	tdo_pool_reset(&w->out.frags);
	return tdo_pool_take(&w->out.frags, room);
}

static void
send_fragments(struct tdo_packet_worker *w, struct tdo_raw_tx *tx, struct tdo_pkt *p)
{
	uint32_t id;
	unsigned n = prepare_fragmentation(w, p, &id) ? tdo_frag_count(p, p->path_mtu) : 0;

	if (n == 0)
		drop(w, TDO_REASON_SEND_FAILED);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *f = take_fragment(w, p->path_mtu);

		if (f == NULL || !tdo_frag_make(p, p->path_mtu, i, id, f)) {
			drop(w, TDO_REASON_SEND_FAILED);
			return;
		}
		tdo_pool_shrink(&w->out.frags, f);
		f->cookie = tx;
		tdo_raw_queue(tx, f);
	}
}

static void
send_packet(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *p)
{
	struct tdo_raw_tx *tx = sender(w, way, p);

	if (tx == NULL) {
		drop(w, TDO_REASON_NO_ROUTE);
		return;
	}
	p->cookie = tx;
	if (way == WAY_CLEAR || !(p->flags & TDO_PKT_UDP_CSUM)) {
		if (p->len > p->path_mtu)
			send_fragments(w, tx, p);
		else
			tdo_raw_queue(tx, p);
	} else if (p->len > p->path_mtu) {
		tdo_udp_flush(row_sender(w, p->ip.flow.src.af)); /* what was before it */
		tdo_udp_complete(p);
		send_fragments(w, tx, p);
	} else {
		tdo_udp_queue(row_sender(w, p->ip.flow.src.af), p, w->now);
	}
}

/* Called by tdo_raw_flush(), which must not be given packets now: they go to a list. */
static void
refused_as_too_big(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	struct tdo_addr dst = destination(p);
	bool clear = p->cookie == w->clear4 || p->cookie == w->clear6;
	struct tdo_pmtu *known = clear ? &w->pmtu_clear : &w->pmtu;
	uint32_t mtu = tdo_pmtu_lower(known, &dst, p->len, w->now);

	if (w->out.again_now || w->out.nagain == sizeof(w->out.again) / sizeof(w->out.again[0]) ||
	    mtu >= p->len) {
		drop(w, TDO_REASON_TOO_BIG);
		return;
	}
	p->path_mtu = (uint16_t)mtu;
	w->out.again[w->out.nagain++] = p;
}

void
tdo_outbound_refused(void *ctx, struct tdo_pkt *p, int err)
{
	struct tdo_packet_worker *w = ctx;

	switch (err) {
	case EMSGSIZE:
		refused_as_too_big(w, p);
		break;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
		drop(w, TDO_REASON_NO_ROUTE);
		break;
	default:
		drop(w, TDO_REASON_SEND_FAILED);
		break;
	}
}

/* Sends what waits; packets that were refused as too big are sent once more, in fragments. */
static void
flush_senders(struct tdo_packet_worker *w)
{
	flush_raw(w);
	w->out.again_now = true;
	for (unsigned i = 0; i < w->out.nagain; i++)
		send_fragments(w, w->out.again[i]->cookie, w->out.again[i]);
	if (w->out.nagain > 0)
		flush_raw(w);
	w->out.nagain = 0;
	w->out.again_now = false;
	tdo_pool_reset(&w->out.frags);
}

/* ---- protecting --------------------------------------------------------------------- */

/*
 * Protects and sends what was collected.  A row may go on with the next burst, as long as there is
 * memory for that; then nothing of the segments' memory is taken back.
 */
static void
finish_burst(struct tdo_packet_worker *w)
{
	struct tdo_outbound *o = &w->out;
	uint64_t bytes = 0;

	if (o->nburst > 0) {
		for (unsigned i = 0; i < o->nburst; i++)
			bytes += o->burst[i]->len;
		tdo_iostat_add(&w->stat[TDO_IOSTAT_ENGINE_OUT], o->nburst, bytes);
		tdo_out_protect(w->handle, o->burst, o->nburst, w->now);
		for (unsigned i = 0; i < o->nburst; i++)
			if (o->burst[i]->verdict == TDO_VERDICT_SEND)
				send_packet(w, WAY_PROTECTED, o->burst[i]);
	}
	flush_senders(w);
	o->nburst = 0;
	if (waiting_in_rows(w) == 0)
		tdo_pool_reset(&o->segs);
}

/* The same, and nothing waits any more. */
static void
flush_burst(struct tdo_packet_worker *w)
{
	finish_burst(w);
	w->out.borrowed = false;
	if (waiting_in_rows(w) == 0)
		return;
	flush_rows(w);
	flush_senders(w);
	tdo_pool_reset(&w->out.segs);
}

/* One packet of link size, or one datagram that must stay whole. */
static void
give(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *p)
{
	if (way == WAY_CLEAR) {
		if ((p->flags & TDO_PKT_CSUM_PARTIAL) && !tdo_csum_complete(p))
			drop(w, TDO_REASON_SHORT);
		else
			send_packet(w, way, p);
		return;
	}
	fix_id(w, p);
	w->out.burst[w->out.nburst++] = p;
	if (w->out.nburst == TDO_BURST_MAX)
		finish_burst(w);
}

/* Room for a segment; what is in the pool is sent first when it is full. */
static struct tdo_pkt *
take_segment(struct tdo_packet_worker *w, uint32_t room)
{
	struct tdo_pkt *s = tdo_pool_take(&w->out.segs, room);

	if (s != NULL)
		return s;
	flush_burst(w);
	return tdo_pool_take(&w->out.segs, room);
}

/* Such as may become longer than it is, up to what the path carries. */
static struct tdo_pkt *
take_roomy(struct tdo_packet_worker *w, uint32_t room, uint32_t path)
{
	return take_segment(w, w->out.pads && room < path ? path : room);
}

/* The memory behind a packet that was written. */
static void
shrink(struct tdo_packet_worker *w, struct tdo_pkt *s)
{
	if (!w->out.pads)
		tdo_pool_shrink(&w->out.segs, s);
}

/* p, or a copy with more memory behind it; p is not in the pool of segments. */
static struct tdo_pkt *
roomy(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	struct tdo_pkt *q;
	struct tdo_pkt mem;

	if (!w->out.pads || p->len >= p->path_mtu)
		return p;
	q = take_segment(w, p->path_mtu);
	if (q == NULL)
		return p;
	mem = *q;
	*q = *p;
	q->buf = mem.buf;
	q->cap = mem.cap;
	q->off = mem.off;
	memcpy(tdo_pkt_data(q), tdo_pkt_data(p), p->len);
	return q;
}

/* What is known of the size that a packet may have. */
struct size {
	uint32_t limit;
	uint16_t mss;                  /* of the segments into which it is cut */
	bool fixed;                    /* an SA says it, whatever its path carries */
	uint32_t longer, longer_limit; /* as path MTU and limit, for the first segment; or 0 */
	bool tunnel;                   /* see tdo_size_fit() */
	bool may_cut; /* no SA protects the datagram itself: see tdo_size_cut_first() */
	bool cuts_first;
};

/*
 * Gives p in fragments that fit, each of which is then a packet of its own; false where that
 * cannot be.  p is not in the pool of segments.
 */
static bool
cut_first(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *p, uint32_t limit)
{
	uint32_t id;
	unsigned n = 0;

	if (tdo_csum_complete(p) && prepare_fragmentation(w, p, &id))
		n = tdo_frag_count(p, limit);
	for (unsigned i = 0; i < n && n > 1; i++) {
		struct tdo_pkt *f = take_roomy(w, limit, p->path_mtu);
		struct tdo_ip_info ip;

		if (f == NULL || !tdo_frag_make(p, limit, i, id, f)) {
			drop(w, TDO_REASON_NO_ROOM);
			break;
		}
		shrink(w, f);
		ip = f->ip;
		tdo_pkt_copy_class(f, p);
		f->ip = ip;
		give(w, way, f);
	}
	return n > 1;
}

/* A datagram of a super-packet.  Fragments need the pool that it is in. */
static void
give_segment(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *s, const struct size *z)
{
	if (!tdo_size_cut_first(s, z->limit, z->may_cut, z->cuts_first) ||
	    !cut_first(w, way, tdo_fragments_copy(&w->fragments, s), z->limit))
		give(w, way, s);
}

static void
cut(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *p, const struct size *z)
{
	uint16_t mss = z->mss;
	uint32_t room = p->ip.l4_off + 60u + (z->longer != 0 ? p->gso_size : mss);
	struct tdo_gso_cut c;
	unsigned n;

	if (p->gso == TDO_GSO_NONE) { /* one segment that is too long */
		p->gso = TDO_GSO_TCP;
		p->gso_size = (uint16_t)(p->len - p->ip.l4_off);
	}
	n = tdo_gso_plan(p, mss, &c);
	if (n == 0)
		drop(w, TDO_REASON_IP_HEADER);
	else if (z->longer_limit > c.hlen)
		n = tdo_gso_longer(&c, z->longer_limit - c.hlen);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *s = take_roomy(w, room, p->path_mtu);

		if (s == NULL || !tdo_gso_make(&c, i, s)) {
			drop(w, TDO_REASON_NO_ROOM);
			return;
		}
		shrink(w, s);
		tdo_pkt_copy_class(s, p);
		s->flags |= p->flags & (TDO_PKT_FORWARDED | TDO_PKT_UDP_CSUM);
		s->path_mtu = i == 0 && z->longer != 0 ? (uint16_t)z->longer : p->path_mtu;
		give_segment(w, way, s, z);
	}
}

static void
dispatch(struct tdo_packet_worker *w, enum way way, struct tdo_pkt *p, struct size *z)
{
	uint16_t mss = tdo_size_mss(p, z->limit);

	if (mss != 0)
		(void)tdo_mss_clamp(p, mss);
	switch (tdo_size_fit(p, z->limit, z->tunnel, &z->mss)) {
	case TDO_FIT_WHOLE:
		if (tdo_size_cut_first(p, z->limit, z->may_cut, z->cuts_first) &&
		    cut_first(w, way, p, z->limit))
			break;
		w->out.borrowed = true;
		give(w, way, roomy(w, p));
		break;
	case TDO_FIT_CUT:
		cut(w, way, p, z);
		break;
	case TDO_FIT_TOO_BIG:
		tdo_outbound_too_big(w, p, tdo_size_told(p, z->limit));
		break;
	}
}

/* An SA may say that its packets are no longer. */
static uint32_t
capped(const struct tdo_pkt *p, uint32_t mtu)
{
	for (unsigned i = 0; i < p->nsas; i++)
		if (p->sas[i]->mtu != 0 && p->sas[i]->mtu < mtu)
			mtu = p->sas[i]->mtu;
	return mtu;
}

/* A path is tried: with this packet, or with the first segment of a super-packet. */
static void
use_sight(
    struct tdo_packet_worker *w, struct tdo_pkt *p, const struct tdo_addr *dst, struct size *z)
{
	uint16_t mtu = packet_mtu(tdo_outbound_tcp(w, p, dst, p->path_mtu, z->limit, z->fixed));

	/* What is refused says nothing of the path: what is too long still is cut. */
	if (mtu > p->path_mtu)
		z->tunnel = false;
	if (mtu > p->path_mtu && p->gso != TDO_GSO_NONE) {
		z->longer = mtu;
		z->longer_limit = tdo_out_inner_mtu(p, mtu);
	} else if (mtu != p->path_mtu) {
		p->path_mtu = mtu;
		z->limit = tdo_out_inner_mtu(p, mtu);
	}
}

static void
protect(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	struct size z = {.tunnel = p->tunnelled != 0, .may_cut = (p->tunnelled & 1) != 0};
	/* The outermost SA's destination is that of the finished packet, in both modes. */
	const struct tdo_sa_id *outer = &p->sas[p->nsas - 1]->id;
	/* Probes are ESP: who is to see another header outside shall not see them. */
	static const struct tdo_addr nobody;
	uint32_t path, mtu;

	p->flags &= (uint8_t)~TDO_PKT_UDP_CSUM;
	if (leaves_in_rows(w, p))
		p->flags |= TDO_PKT_UDP_CSUM;
	path = tdo_pmtu_for(&w->pmtu, outer->proto == TDO_IPPROTO_ESP ? &outer->src : &nobody,
	    &outer->dst, p->len, w->now);
	mtu = capped(p, path);
	z.fixed = mtu < path;
	p->path_mtu = packet_mtu(mtu);
	w->out.pads = tdo_out_pads(w->handle, p);
	z.limit = tdo_out_inner_mtu(p, p->path_mtu);
	if (tdo_tcpwatch_wants(p) ||
	    (p->ip.flow.proto == TDO_IPPROTO_TCP && tdo_paths_watches(w->paths, &outer->dst)))
		use_sight(w, p, &outer->dst, &z);
	z.cuts_first = p->len > z.limit && tdo_out_cuts_first(w->handle, p);
	dispatch(w, WAY_PROTECTED, p, &z);
}

static void
pass(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	struct size z = {.tunnel = true, .may_cut = true};

	if (atomic_load_explicit(w->recovering, memory_order_relaxed)) {
		drop(w, TDO_REASON_RECOVERING);
		return;
	}
	w->out.pads = false;
	z.limit = p->path_mtu = clear_mtu(w, &p->ip.flow.dst);
	dispatch(w, WAY_CLEAR, p, &z);
}

/* A classified packet that may go. */
static void
send_classified(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	if (p->verdict == TDO_VERDICT_PROTECT && p->nsas > 0)
		protect(w, p);
	else if (p->verdict == TDO_VERDICT_PASS)
		pass(w, p);
}

/* ---- packets that wait -------------------------------------------------------------- */

static void
hold_classify(void *ctx, struct tdo_pkt *const *p, unsigned n)
{
	struct tdo_packet_worker *w = ctx;

	tdo_out_classify(w->handle, p, n, w->now);
}

static void
hold_send(void *ctx, struct tdo_pkt *p)
{
	send_classified(ctx, p);
}

static void
hold_flush(void *ctx)
{
	flush_burst(ctx);
}

static void
hold_full(void *ctx, struct tdo_pkt *p)
{
	struct tdo_packet_worker *w = ctx;

	tdo_worker_way(w->handle, true);
	tdo_worker_drop(w->handle, p, NULL, TDO_REASON_HOLD_FULL, w->now);
}

void
tdo_outbound_hold_init(struct tdo_packet_worker *w, _Atomic size_t *held)
{
	static const struct tdo_hold_ops ops = {hold_classify, hold_send, hold_flush, hold_full};

	tdo_hold_init(&w->hold, &ops, w, held);
}

static struct tdo_hold_limits
hold_limits(const struct tdo_packet_worker *w)
{
	return (struct tdo_hold_limits){
	    .packets = (unsigned)tdo_knob(w->engine, TDO_KNOB_HOLD_PACKETS, TDO_AF_INET),
	    .bytes = (size_t)tdo_knob(w->engine, TDO_KNOB_HOLD_BYTES, TDO_AF_INET)};
}

void
tdo_outbound_look(struct tdo_packet_worker *w)
{
	uint32_t generation;

	if (w->hold.n == 0)
		return;
	w->now = tdo_clock_now();
	generation = tdo_engine_generation(w->engine);
	if (tdo_hold_due(&w->hold, generation, w->now))
		tdo_hold_look(&w->hold, generation, w->now);
}

/* ---- a round ------------------------------------------------------------------------ */

/* From the first packet that waits, or may have to, on: the queue decides. */
static void
hold_burst(struct tdo_packet_worker *w, struct tdo_pkt *const *p, unsigned n)
{
	struct tdo_hold_limits lim = hold_limits(w);

	tdo_hold_burst(&w->hold, &lim, p, n, tdo_engine_generation(w->engine), w->now);
}

/* Packets of which none is a fragment that belongs to others. */
static void
give_whole(struct tdo_packet_worker *w, struct tdo_pkt *const *p, unsigned n)
{
	unsigned i = 0;

	for (; w->hold.n == 0 && i < n && p[i]->verdict != TDO_VERDICT_HOLD; i++)
		send_classified(w, p[i]);
	if (i < n)
		hold_burst(w, p + i, n - i);
}

/* What a fragment makes whole takes the place of its last one. */
static void
put_together(struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	struct tdo_pkt *whole = tdo_fragments_out(&w->fragments, p, w->now);

	if (whole == NULL)
		return;
	give_whole(w, &whole, 1);
	flush_burst(w); /* the next one takes its place */
}

/* What is read at once is so little that it is still in the cache when it is protected. */
static bool
read_some(struct tdo_packet_worker *w, unsigned max)
{
	struct tdo_pkt *pk[TDO_BURST_MAX];
	bool more;
	unsigned n, i;

	tdo_pool_reset(&w->out.in);
	n = tdo_tun_read(&w->tun, &w->out.in, pk, max, &more);
	if (n == 0)
		return more;
	for (unsigned k = 0; k < n; k++)
		mark_forwarded(w, pk[k]);
	tdo_out_classify(w->handle, pk, n, w->now);
	for (unsigned first = 0; first < n; first = i + 1) {
		for (i = first; i < n && pk[i]->verdict != TDO_VERDICT_FRAGMENT; i++)
			;
		give_whole(w, pk + first, i - first);
		if (i < n)
			put_together(w, pk[i]);
	}
	if (w->out.borrowed)
		flush_burst(w);
	else
		finish_burst(w);
	return more;
}

bool
tdo_outbound_round(struct tdo_packet_worker *w)
{
	bool more = true;

	/* Where packets are few the first one leaves before it is known whether there are more. */
	if (w->haste)
		more = read_some(w, 1);
	for (unsigned i = 0; !w->haste && more && i < READS_MAX; i++)
		more = read_some(w, TDO_BURST_MAX);
	w->haste = false;
	flush_burst(w);
	return more;
}
