/* SPDX-License-Identifier: BSD-2-Clause */
/* Lowering the maximum segment size that a TCP SYN announces (RFC 9293 3.7.1, RFC 6691). */
#include "base/be.h"
#include "wire/ip.h"
#include "wire/l4.h"
#include "wire/offload.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_MSS_LEN = 4 };

/* Offset of the MSS value in the TCP header of hlen bytes at tcp, or 0: none. */
static uint32_t
find_mss(const uint8_t *tcp, uint32_t hlen)
{
	uint32_t i = TCP_HLEN;

	while (i < hlen && tcp[i] != OPT_END) {
		if (tcp[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (hlen - i < 2 || tcp[i + 1] < 2 || tcp[i + 1] > hlen - i)
			return 0;
		if (tcp[i] == OPT_MSS)
			return tcp[i + 1] == OPT_MSS_LEN ? i + 2 : 0;
		i += tcp[i + 1];
	}
	return 0;
}

/* A 16-bit value as it enters the sum when it starts at an odd offset: RFC 1071 2 B. */
static uint16_t
swap_if(bool odd, uint16_t v)
{
	return (uint16_t)(odd ? (v << 8 | v >> 8) & 0xffff : v);
}

bool
tdo_mss_clamp(struct tdo_pkt *p, uint16_t mss)
{
	uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t left, hlen, at, sum;
	uint16_t old;

	if (p->ip.flow.proto != TDO_IPPROTO_TCP || p->ip.frag_later || p->ip.total_len > p->len ||
	    p->ip.l4_off > p->ip.total_len)
		return false;
	left = p->ip.total_len - p->ip.l4_off;
	if (left < TCP_HLEN || (tcp[TCP_FLAGS_OFF] & TCP_SYN) == 0)
		return false;
	hlen = tcp_hlen(tcp);
	if (hlen > left)
		return false;
	at = find_mss(tcp, hlen);
	if (at == 0)
		return false;
	old = tdo_be16(tcp + at);
	if (old <= mss)
		return false;
	tdo_put_be16(tcp + at, mss);
	/* A partial checksum covers the pseudo header only, in which nothing changed. */
	if ((p->flags & TDO_PKT_CSUM_PARTIAL) != 0)
		return true;
	/* RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'). */
	sum = (uint16_t)~tdo_be16(tcp + TCP_CSUM_OFF);
	sum += (uint16_t)~swap_if(at % 2 != 0, old);
	sum += swap_if(at % 2 != 0, mss);
	tdo_put_be16(tcp + TCP_CSUM_OFF, tdo_csum_fold(sum));
	return true;
}
