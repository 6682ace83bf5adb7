/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio_net_hdr. */
#include "io/vnet.h"

#include <string.h>

#include "wire/ip.h"

/* linux/virtio_net.h; GSO_UDP_L4 is newer than the headers of some distributions. */
enum {
	VNET_NEEDS_CSUM = 1,
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_UDP_L4 = 5,
	VNET_GSO_ECN = 0x80,
};

struct vnet_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_off;
};
_Static_assert(sizeof(struct vnet_hdr) == TDO_VNET_HLEN, "no padding");

bool
tdo_vnet_decode(const uint8_t *hdr, struct tdo_pkt *p)
{
	uint8_t gso = TDO_GSO_NONE;
	struct vnet_hdr h;

	memcpy(&h, hdr, sizeof(h));
	if ((h.flags & VNET_NEEDS_CSUM) && (uint32_t)h.csum_start + h.csum_off + 2 > p->len)
		return false;
	switch (h.gso_type & ~VNET_GSO_ECN) {
	case VNET_GSO_NONE:
		break;
	case VNET_GSO_TCPV4:
	case VNET_GSO_TCPV6:
		gso = TDO_GSO_TCP;
		break;
	case VNET_GSO_UDP_L4:
		gso = TDO_GSO_UDP;
		break;
	default: /* UFO and what is to come: never asked for */
		return false;
	}
	if (gso != TDO_GSO_NONE && h.gso_size == 0)
		return false;
	p->gso = gso;
	p->gso_size = gso == TDO_GSO_NONE ? 0 : h.gso_size;
	p->csum_start = p->csum_off = 0;
	p->flags &= (uint8_t)~TDO_PKT_CSUM_PARTIAL;
	if (h.flags & VNET_NEEDS_CSUM) {
		p->flags |= TDO_PKT_CSUM_PARTIAL;
		p->csum_start = h.csum_start;
		p->csum_off = h.csum_off;
	}
	return true;
}

/* Bytes of all headers of a super-packet: what each segment repeats. */
static uint16_t
header_len(const struct tdo_pkt *p)
{
	uint32_t l4 = p->ip.l4_off;

	if (p->gso == TDO_GSO_UDP)
		return (uint16_t)(l4 + 8);
	return l4 + 13 <= p->len ? (uint16_t)(l4 + (tdo_pkt_data(p)[l4 + 12] >> 4) * 4) : 0;
}

void
tdo_vnet_encode(const struct tdo_pkt *p, uint8_t *hdr)
{
	struct vnet_hdr h = {0};

	if (p->gso == TDO_GSO_TCP)
		h.gso_type = p->ip.flow.src.af == TDO_AF_INET6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4;
	else if (p->gso == TDO_GSO_UDP)
		h.gso_type = VNET_GSO_UDP_L4;
	if (p->gso != TDO_GSO_NONE) {
		h.hdr_len = header_len(p);
		h.gso_size = p->gso_size;
	}
	if (p->flags & TDO_PKT_CSUM_PARTIAL) {
		h.flags = VNET_NEEDS_CSUM;
		h.csum_start = p->csum_start;
		h.csum_off = p->csum_off;
	}
	memcpy(hdr, &h, sizeof(h));
}
