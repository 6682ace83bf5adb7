/* SPDX-License-Identifier: BSD-2-Clause */
/* What both pipelines need. */
#include "base/be.h"
#include "engine/path.h"
#include "wire/ah.h"
#include "wire/ip.h"
#include "wire/ipcomp.h"

bool
tdo_is_nd_or_mld(const struct tdo_ip_info *ip)
{
	const struct tdo_flow *f = &ip->flow;

	if (f->proto != TDO_IPPROTO_ICMPV6 || f->src.af != TDO_AF_INET6 || !f->has_ports)
		return false;
	/* The hop limits that say that no router forwarded it: RFC 4861 7.1, RFC 3810 5. */
	if (f->sport >= 133 && f->sport <= 137)
		return ip->ttl == 255;
	return ((f->sport >= 130 && f->sport <= 132) || f->sport == 143) && ip->ttl == 1;
}

struct tdo_flow
tdo_flow_of_fragment(const struct tdo_ip_info *ip)
{
	struct tdo_flow f = {.src = ip->flow.src, .dst = ip->flow.dst, .opaque = true};

	/* IPv6: what the fragment header announces; later fragments have no more of the chain. */
	f.proto = ip->esp_nh;
	return f;
}

bool
tdo_read_other_spi(struct tdo_pkt *p)
{
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t len = p->ip.total_len - p->ip.l4_off;

	if (p->ip.flow.proto == TDO_IPPROTO_AH) {
		if (len < TDO_AH_HLEN)
			return false;
		p->spi = tdo_be32(h + TDO_AH_SPI_OFF);
		p->seq = tdo_be32(h + TDO_AH_SEQ_OFF);
		return true;
	}
	if (len < TDO_IPCOMP_HLEN)
		return false;
	p->spi = tdo_be16(h + TDO_IPCOMP_CPI_OFF);
	p->seq = 0;
	return true;
}

void
tdo_sp_use_flush(struct tdo_sp_use *u, tdo_ns now)
{
	/* Counters are the only thing that workers change in a policy. */
	struct tdo_sp *sp = (struct tdo_sp *)(uintptr_t)u->sp;

	if (sp) {
		atomic_fetch_add_explicit(&sp->packets, u->packets, memory_order_relaxed);
		atomic_store_explicit(&sp->last_use, now, memory_order_relaxed);
	}
	*u = (struct tdo_sp_use){0};
}
