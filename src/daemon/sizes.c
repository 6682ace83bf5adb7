/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to an outbound packet that may not fit. */
#include "daemon/sizes.h"

#include "wire/ip.h"

#define MSS_MIN      64u  /* smaller segments are refused by Linux too (tcp_min_snd_mss 48) */
#define ICMP_MIN_IP4 552u /* less is not believed by an IPv4 sender (Linux' min_pmtu) */
#define TCP_HLEN     20u
#define TCP_DATA_OFF 12u

static bool
is_tcp(const struct tdo_pkt *p)
{
	return p->ip.flow.proto == TDO_IPPROTO_TCP && !p->ip.frag &&
	       p->ip.l4_off + TCP_HLEN <= p->len;
}

/* Headers that every segment repeats, 0 when the TCP header makes no sense. */
static uint32_t
tcp_headers(const struct tdo_pkt *p)
{
	uint32_t hlen = (tdo_pkt_data(p)[p->ip.l4_off + TCP_DATA_OFF] >> 4) * 4u;

	return hlen >= TCP_HLEN && p->ip.l4_off + hlen <= p->len ? p->ip.l4_off + hlen : 0;
}

uint16_t
tdo_size_mss(const struct tdo_pkt *p, uint32_t limit)
{
	uint32_t headers;

	if (!is_tcp(p))
		return 0;
	/* RFC 6691: the MSS option does not count IP and TCP options. */
	headers = tdo_ip_hlen(p->ip.flow.src.af) + TCP_HLEN;
	if (limit < headers + MSS_MIN)
		return 0;
	return (uint16_t)(limit - headers > UINT16_MAX ? UINT16_MAX : limit - headers);
}

uint32_t
tdo_size_told(const struct tdo_pkt *p, uint32_t limit)
{
	uint32_t least = p->ip.flow.src.af == TDO_AF_INET6 ? TDO_IP6_MTU_MIN : ICMP_MIN_IP4;

	return limit > least ? limit : least;
}

/*
 * May the sender be asked for packets smaller than len?  Only one that is not this host: a local
 * program's datagrams are protected whole whatever their size, as by a kernel, and an ICMP
 * answer to ourselves would lower the path MTU of the very route that the protected packets
 * take when inner and outer destination are the same.  What is as small as can be asked for goes
 * whole (RFC 2473 7.1, RFC 8200 5).
 */
static bool
may_refuse(const struct tdo_pkt *p, uint32_t len, uint32_t limit, bool tunnel)
{
	if (!(p->flags & TDO_PKT_FORWARDED) || !tunnel || len <= tdo_size_told(p, limit))
		return false;
	return p->ip.flow.src.af == TDO_AF_INET6 || p->ip.df;
}

static enum tdo_fit
fit_tcp(const struct tdo_pkt *p, uint32_t limit, bool tunnel, uint16_t *ret_mss)
{
	uint32_t headers = tcp_headers(p), mss;
	bool super = p->gso == TDO_GSO_TCP;

	if (headers == 0)
		return TDO_FIT_WHOLE;
	mss = limit > headers + MSS_MIN ? limit - headers : MSS_MIN;
	if (super && p->gso_size <= mss) {
		*ret_mss = p->gso_size;
		return TDO_FIT_CUT;
	}
	if (!super && p->len <= limit)
		return TDO_FIT_WHOLE;
	if (may_refuse(p, super ? headers + p->gso_size : p->len, limit, tunnel))
		return TDO_FIT_TOO_BIG;
	*ret_mss = (uint16_t)(mss > UINT16_MAX ? UINT16_MAX : mss);
	return TDO_FIT_CUT;
}

bool
tdo_size_cut_first(const struct tdo_pkt *p, uint32_t limit, bool may, bool wanted)
{
	bool v6 = p->ip.flow.src.af == TDO_AF_INET6;

	if (p->len <= limit || !may || is_tcp(p))
		return false;
	if (p->flags & TDO_PKT_CAME_CUT)
		return v6 || wanted;
	/* A router fragments IPv4 without DF; a host whatever it sends itself. */
	return wanted && (!(p->flags & TDO_PKT_FORWARDED) || (!v6 && !p->ip.df));
}

enum tdo_fit
tdo_size_fit(const struct tdo_pkt *p, uint32_t limit, bool tunnel, uint16_t *ret_mss)
{
	uint32_t len = p->len;

	if (is_tcp(p))
		return fit_tcp(p, limit, tunnel, ret_mss);
	if (p->gso == TDO_GSO_UDP)
		len = p->ip.l4_off + 8u + p->gso_size;
	if (may_refuse(p, len, limit, tunnel))
		return TDO_FIT_TOO_BIG;
	if (p->gso == TDO_GSO_NONE)
		return TDO_FIT_WHOLE;
	*ret_mss = p->gso_size;
	return TDO_FIT_CUT;
}
