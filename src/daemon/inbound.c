/* SPDX-License-Identifier: BSD-2-Clause */
/* From raw and UDP sockets through the engine into the TUN. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "daemon/sizes.h"
#include "daemon/worker.h"
#include "engine/engine.h"
#include "wire/frag.h"
#include "wire/ip.h"
#include "wire/offload.h"

#define TCP_FLAGS_OFF 13u
#define TCP_SYN       0x02u
#define PAD_SLACK     16u /* padding of the reverse direction may be longer than here */

/*
 * The segments that answer a SYN take the way back to the peer; their headers are as long as
 * those that were just removed, give or take the padding.  outer_len: with these.
 *
 * The peer is what the SA says: the outer source is not authenticated.
 */
static void
lower_mss(struct tdo_packet_worker *w, struct tdo_pkt *p, uint32_t outer_len)
{
	uint32_t mtu, overhead = outer_len > p->len ? outer_len - p->len : 0;
	const struct tdo_addr *peer = &p->sas[0]->id.src;
	uint16_t mss;

	if (p->ip.flow.proto != TDO_IPPROTO_TCP || p->ip.frag ||
	    p->ip.l4_off + TCP_FLAGS_OFF >= p->len ||
	    !(tdo_pkt_data(p)[p->ip.l4_off + TCP_FLAGS_OFF] & TCP_SYN) || tdo_addr_is_any(peer))
		return;
	mtu = tdo_pmtu_get(&w->pmtu, peer, w->now);
	mss = tdo_size_mss(p, mtu > overhead + PAD_SLACK ? mtu - overhead - PAD_SLACK : 0);
	if (mss != 0)
		(void)tdo_mss_clamp(p, mss);
}

/* ---- joining ------------------------------------------------------------------------ */

static void
deliver(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	if (p->gso != TDO_GSO_NONE)
		tdo_gro_finish(p);
	if (tdo_tun_write(&w->tun, p) != 0)
		tdo_worker_count_drop(w->handle,
		    tdo_at_of(p->nsas > 0 ? p->sas[p->nsas - 1]->id.proto : 0, false),
		    TDO_REASON_TUN_WRITE, 1);
}

/* Writes head i and closes the gap. */
static void
close_head(struct tdo_packet_worker *w, unsigned i)
{
	struct tdo_inbound *in = &w->in;
	struct tdo_pkt *p = in->head[i];

	deliver(w, p);
	if (p >= in->big && p < in->big + TDO_GRO_HEADS)
		in->big_used &= (uint8_t) ~(1u << (p - in->big));
	in->nheads--;
	memmove(&in->head[i], &in->head[i + 1], (in->nheads - i) * sizeof(in->head[0]));
}

static void
close_all(struct tdo_packet_worker *w)
{
	while (w->in.nheads > 0)
		close_head(w, 0);
}

static bool
same_flow(const struct tdo_pkt *a, const struct tdo_pkt *b)
{
	const struct tdo_flow *x = &a->ip.flow, *y = &b->ip.flow;

	return x->proto == y->proto && x->sport == y->sport && x->dport == y->dport &&
	       tdo_addr_equal(&x->src, &y->src) && tdo_addr_equal(&x->dst, &y->dst);
}

/* Packets whose order among each other matters and that may be joined. */
static bool
joinable(const struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	if (p->ip.frag || !p->ip.flow.has_ports)
		return false;
	return p->ip.flow.proto == TDO_IPPROTO_TCP ||
	       (p->ip.flow.proto == TDO_IPPROTO_UDP && w->tun.uso);
}

/* Gives head i a buffer with room for a super-packet, once. */
static struct tdo_pkt *
make_big(struct tdo_inbound *in, unsigned i)
{
	struct tdo_pkt *p = in->head[i], *big = in->big;

	if (p >= in->big && p < in->big + TDO_GRO_HEADS)
		return p;
	/* There are as many as heads: one is free. */
	while (in->big_used & 1u << (big - in->big))
		big++;
	in->big_used |= (uint8_t)(1u << (big - in->big));
	{
		uint8_t *buf = big->buf;
		uint32_t cap = big->cap;

		*big = *p;
		big->buf = buf;
		big->cap = cap;
		big->off = TDO_HEADROOM;
	}
	memcpy(tdo_pkt_data(big), tdo_pkt_data(p), p->len);
	in->head[i] = big;
	return big;
}

static void
join(struct tdo_packet_worker *w, struct tdo_pkt *p)
{
	struct tdo_inbound *in = &w->in;

	for (unsigned i = 0; i < in->nheads; i++) {
		if (!same_flow(in->head[i], p))
			continue;
		if (tdo_gro_join(make_big(in, i), p))
			return;
		close_head(w, i);
		break;
	}
	if (in->nheads == TDO_GRO_HEADS)
		close_head(w, 0);
	in->head[in->nheads++] = p;
}

/* The memory of the burst is about to be used again: what may still grow moves. */
static void
keep_heads(struct tdo_inbound *in)
{
	for (unsigned i = 0; i < in->nheads; i++)
		(void)make_big(in, i);
}

/* ---- fragments ---------------------------------------------------------------------- */

/*
 * The kernel cuts IPv4 datagrams that it forwards, but not those of IPv6: they leave as long as
 * they came.
 */
static void
deliver_cut(
    struct tdo_packet_worker *w, const struct tdo_pkt *whole, const struct tdo_reass_whole *from)
{
	uint32_t mtu = from->longest > TDO_IP6_MTU_MIN ? from->longest : TDO_IP6_MTU_MIN;
	unsigned n = tdo_frag_count(whole, mtu);

	if (n == 0)
		tdo_worker_count_drop(w->handle, TDO_AT_IN, TDO_REASON_TUN_WRITE, 1);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *f = tdo_pool_take(&w->out.frags, mtu);

		if (f == NULL || !tdo_frag_make(whole, mtu, i, from->id, f)) {
			tdo_worker_count_drop(w->handle, TDO_AT_IN, TDO_REASON_NO_ROOM, 1);
			break;
		}
		deliver(w, f);
		tdo_pool_reset(&w->out.frags);
	}
}

/* A fragment that the policies want to see with the others of its datagram. */
static void
put_together(struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	struct tdo_reass_whole from;
	struct tdo_pkt *whole = tdo_fragments_in(&w->fragments, p, w->now, &from);

	if (whole == NULL)
		return;
	close_all(w); /* what came before it */
	if (whole->ip.flow.dst.af == TDO_AF_INET6 && !tdo_is_local(w->engine, &whole->ip.flow.dst))
		deliver_cut(w, whole, &from);
	else
		deliver(w, whole);
}

/* ---- a round ------------------------------------------------------------------------ */

/* What may grow stays a head. */
static void
open_burst(struct tdo_packet_worker *w, struct tdo_pkt **pk, unsigned n)
{
	uint32_t outer_len[TDO_BURST_MAX];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		outer_len[i] = pk[i]->len;
		bytes += pk[i]->len;
	}
	tdo_iostat_add(&w->stat[TDO_IOSTAT_ENGINE_IN], n, bytes);
	tdo_in(w->handle, pk, n, w->now);
	for (unsigned i = 0; i < n; i++) {
		if (pk[i]->verdict == TDO_VERDICT_FRAGMENT)
			put_together(w, pk[i]);
		if (pk[i]->verdict != TDO_VERDICT_PASS) {
			tdo_inbound_probe(w, pk[i]);
			continue;
		}
		/* What nothing was removed from would come back by the same socket, for ever. */
		if (pk[i]->nsas == 0) {
			tdo_worker_drop(w->handle, pk[i], NULL, TDO_REASON_IN_NO_SA, w->now);
			continue;
		}
		lower_mss(w, pk[i], outer_len[i]);
		if (pk[i]->ip.flow.proto == TDO_IPPROTO_TCP &&
		    tdo_paths_watches(w->paths, &pk[i]->sas[0]->id.src))
			tdo_inbound_tcp(w, pk[i], &pk[i]->sas[0]->id.src);
		if (joinable(w, pk[i]))
			join(w, pk[i]);
		else
			deliver(w, pk[i]);
	}
}

/* Super-packets are joined again over all bursts of a round. */
static void
open_all(struct tdo_packet_worker *w, struct tdo_udp_rx *rx)
{
	struct tdo_pkt *pk[TDO_BURST_MAX];
	unsigned n;

	while ((n = tdo_udp_rx_burst(rx, pk)) > 0) {
		open_burst(w, pk, n);
		if (tdo_udp_rx_left(rx))
			keep_heads(&w->in);
	}
}

bool
tdo_inbound_round(struct tdo_packet_worker *w, const struct tdo_receiver *from)
{
	struct tdo_pkt *pk[TDO_BURST_MAX];
	unsigned n;
	bool more;

	if (from->udp != NULL) {
		tdo_udp_rx_recv(from->udp, from->in.fd, &more);
		open_all(w, from->udp);
	} else {
		n = tdo_raw_recv(from->rx, &from->in, pk, &more);
		if (n > 0)
			open_burst(w, pk, n);
	}
	close_all(w);
	return more;
}
