/* SPDX-License-Identifier: BSD-2-Clause */
/* What TCP packets that pass say about the paths of their protected packets (daemon/witness.h). */
#include "base/be.h"
#include "daemon/worker.h"
#include "engine/engine.h"
#include "wire/ip.h"

#define TCP_HLEN      20u
#define TCP_SEQ_OFF   4u
#define TCP_ACK_OFF   8u
#define TCP_DATA_OFF  12u
#define TCP_FLAGS_OFF 13u
#define TCP_ACK       0x10u

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

/* A number for what is sent from one address and port to others. */
static uint64_t
flow_number(const struct tdo_addr *from, const struct tdo_addr *to, uint32_t ports)
{
	uint64_t a[2], b[2];

	memcpy(a, from->b, sizeof(a));
	memcpy(b, to->b, sizeof(b));
	return mix(mix(mix(mix(mix(ports, a[0]), a[1]), b[0]), b[1]), from->af);
}

static bool
is_tcp(const struct tdo_pkt *p)
{
	return p->ip.flow.proto == TDO_IPPROTO_TCP && !p->ip.frag &&
	       p->ip.l4_off + TCP_HLEN <= p->len;
}

/* What is in front of the payload of every segment; 0: no such packet. */
static uint32_t
headers(const struct tdo_pkt *p)
{
	uint32_t hlen;

	if (!is_tcp(p))
		return 0;
	hlen = p->ip.l4_off + (tdo_pkt_data(p)[p->ip.l4_off + TCP_DATA_OFF] >> 4) * 4u;
	return hlen >= p->ip.l4_off + TCP_HLEN && hlen < p->len ? hlen : 0;
}

/* Its first segment on a path of this MTU, which carries packets of up to inner bytes in SAs. */
static struct tdo_segment
first_segment(const struct tdo_pkt *p, uint32_t hlen, uint32_t mtu, uint32_t inner)
{
	const uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t payload = p->len - hlen, seq = tdo_be32(tcp + TCP_SEQ_OFF);

	if (p->gso == TDO_GSO_TCP && payload > p->gso_size)
		payload = p->gso_size;
	if (hlen + payload > inner && inner > hlen)
		payload = inner - hlen;
	return (struct tdo_segment){
	    .flow = flow_number(&p->ip.flow.src, &p->ip.flow.dst, tdo_be32(tcp)),
	    .seq = seq,
	    .end = seq + payload,
	    .more = p->len - hlen - payload,
	    .size = mtu - inner + hlen + payload,
	};
}

/* The MTU for a packet that may be a repetition. */
static uint32_t
look_at_trouble(struct tdo_packet_worker *w, const struct tdo_pkt *p, const struct tdo_addr *dst,
    const struct tdo_segment *s)
{
	struct tdo_tcp_slot *slot = NULL;
	enum tdo_tcp_trouble trouble = tdo_tcpwatch_see(&w->tcp, p, w->now, &slot);
	struct tdo_path_trouble t;
	uint32_t size;

	if (trouble == TDO_TCP_FINE)
		return 0;
	t = (struct tdo_path_trouble){.s = *s,
	    .since = w->now - tdo_tcpwatch_age(slot, w->now),
	    .tried = slot->tried,
	    .stuck = trouble == TDO_TCP_STUCK};
	size = tdo_paths_suspect(w->paths, dst, &t, w->now);
	slot->given_up = size == TDO_PATH_GIVE_UP;
	slot->tried = slot->given_up ? 0 : (uint16_t)size;
	return slot->tried;
}

uint32_t
tdo_outbound_tcp(struct tdo_packet_worker *w, const struct tdo_pkt *p, const struct tdo_addr *dst,
    uint32_t mtu, uint32_t inner, bool fixed)
{
	uint32_t hlen = headers(p), size = 0, longer;
	struct tdo_segment s, whole;

	if (hlen == 0)
		return mtu;
	s = first_segment(p, hlen, mtu, inner);
	if (tdo_tcpwatch_wants(p))
		size = look_at_trouble(w, p, dst, &s);
	if (size != 0 && size < mtu) {
		uint32_t limit = tdo_out_inner_mtu(p, size);

		s = first_segment(p, hlen, size, limit);
		mtu = size;
	}
	if (s.end - s.seq + hlen < TDO_TCPWATCH_LARGE || !tdo_paths_watches(w->paths, dst))
		return mtu;
	whole = first_segment(p, hlen, mtu + p->len - inner, p->len);
	longer = tdo_paths_tcp_sent(
	    w->paths, dst, &s, size == 0 && !fixed && whole.end != s.end ? &whole : NULL, w->now);
	return longer != 0 ? longer : mtu;
}

void
tdo_inbound_tcp(struct tdo_packet_worker *w, const struct tdo_pkt *p, const struct tdo_addr *peer)
{
	const uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t ports;

	if (!is_tcp(p) || !(tcp[TCP_FLAGS_OFF] & TCP_ACK))
		return;
	ports = tdo_be32(tcp);
	tdo_paths_tcp_acked(w->paths, peer,
	    flow_number(&p->ip.flow.dst, &p->ip.flow.src, ports << 16 | ports >> 16),
	    tdo_be32(tcp + TCP_ACK_OFF), w->now);
}
