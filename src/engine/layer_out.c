/* SPDX-License-Identifier: BSD-2-Clause */
/* What every protocol does with packets that go out (layer_out.h). */
#include "engine/layer_out.h"

#include "wire/udp.h"

void
tdo_layer_failed_out(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	struct tdo_sa *sa = tdo_layer_sa_out(p);

	tdo_group_unused(w, sa, p->len);
	tdo_worker_drop(w, p, sa, TDO_REASON_CRYPTO_FAILED, now);
}

enum { PAD_MAX = 255 }; /* RFC 4303 2.4: so much the pad length field can say */

/* Bytes of padding with which p is still as long as its path carries. */
static uint32_t
pad_max(const struct tdo_pkt *p)
{
	uint32_t mtu = p->path_mtu ? tdo_layer_inner_mtu(p, p->path_mtu) : UINT32_MAX;
	uint32_t fits = mtu > p->len ? mtu - p->len : 0;

	return fits < PAD_MAX ? fits : PAD_MAX;
}

void
tdo_layer_pad_to(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n, uint32_t text)
{
	const struct tdo_format *x = &sa->fmt;

	for (unsigned i = 0; i < n; i++) {
		bool tunnel = tdo_layer_tunnels(p[i]);
		uint32_t now = room[i].payload + room[i].pad + x->trailer_len, steps, behind;
		uint32_t front = tdo_layer_front(x, tunnel), most;
		uint16_t random;

		if (now >= text)
			continue;
		steps = text - now;
		most = pad_max(p[i]);
		most = most > room[i].pad ? most - room[i].pad : 0;
		steps = steps < most ? steps : most;
		steps /= x->align;
		tdo_worker_random(w, &random, sizeof(random));
		steps = (random % (steps + 1)) * x->align;
		/* Where there is no room for that it stays as it is. */
		behind = room[i].pad + steps + x->trailer_len + x->icv_len;
		if (p[i]->len + front + behind <= tdo_layer_max(x, p[i], tunnel) &&
		    behind + x->scratch_len <= p[i]->cap - p[i]->off - p[i]->len)
			room[i].pad += steps;
	}
}

/* RFC 4303 2.7: only what says itself how long it is can be padded. */
static bool
has_length(const struct tdo_pkt *p, uint32_t payload)
{
	const uint8_t *l4 = tdo_pkt_data(p) + p->ip.esp_off;

	if (tdo_layer_tunnels(p))
		return true;
	if (p->ip.frag)
		return false;
	if (p->ip.esp_nh == TDO_IPPROTO_UDP)
		return payload >= TDO_UDP_HLEN && tdo_be16(l4 + TDO_UDP_LEN_OFF) == payload;
	return p->ip.esp_nh == TDO_IPPROTO_IPIP || p->ip.esp_nh == TDO_IPPROTO_IPV6;
}

/* Bytes behind the payload that the SA may need. */
static uint32_t
behind_of(const struct tdo_format *x)
{
	return x->align + x->trailer_len + x->icv_len + (uint32_t)x->scratch_len;
}

/* Bytes by which the packet may grow: on the path, in its memory, by its length field. */
static uint32_t
spare(const struct tdo_format *x, const struct tdo_pkt *p)
{
	/* Who does not say what the path carries gets what every path of IPv6 does. */
	uint32_t mtu = tdo_layer_inner_mtu(p, p->path_mtu ? p->path_mtu : TDO_IP6_MTU_MIN);
	uint32_t behind = behind_of(x), room = p->cap - p->off - p->len, most, n;

	n = mtu > p->len ? mtu - p->len : 0;
	most = tdo_layer_max(x, p, tdo_layer_tunnels(p));
	most -= most > behind ? behind : most;
	behind = tdo_layer_front(x, tdo_layer_tunnels(p)) + p->len;
	most = most > behind ? most - behind : 0;
	/* What is put around it later needs memory as well. */
	behind = behind_of(x);
	for (unsigned i = p->layer + 1u; i < p->nsas; i++)
		behind += behind_of(&p->sas[i]->fmt);
	room = room > behind ? room - behind : 0;
	n = n < room ? n : room;
	return n < most ? n : most;
}

void
tdo_layer_pad_tfc(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n, uint32_t len)
{
	const struct tdo_format *x = &sa->fmt;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t most, more;

		if (room[i].payload >= len || !has_length(p[i], room[i].payload))
			continue;
		most = spare(x, p[i]);
		more = len - room[i].payload;
		more = more < most ? more : most;
		/* It belongs to the payload, so it is in front of the padding of ESP itself. */
		memset(tdo_pkt_data(p[i]) + p[i]->len, 0, more);
		p[i]->len += more;
		room[i].payload += more;
		room[i].pad = -(room[i].payload + x->trailer_len) & (x->align - 1u);
		bytes += more;
	}
	tdo_worker_stat(w, TDO_STAT_ESP_TFC_BYTES, bytes);
}
