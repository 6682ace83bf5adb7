/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/keepalive.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/be.h"
#include "wire/ip.h"
#include "wire/udp.h"

enum { TTL = 64 };

size_t
tdo_keepalive_make(uint8_t *buf, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint16_t sport, uint16_t dport)
{
	struct tdo_ip_hdr h = {
	    .src = *src, .dst = *dst, .ttl = TTL, .proto = TDO_IPPROTO_UDP, .df = true};
	uint32_t hlen = tdo_ip_hlen(src->af), len = TDO_UDP_HLEN + 1, sum;
	uint8_t *udp = buf + hlen;
	uint16_t csum;

	tdo_ip_build(buf, &h, len);
	memset(udp, 0, len);
	tdo_put_be16(udp + TDO_UDP_SPORT_OFF, sport);
	tdo_put_be16(udp + TDO_UDP_DPORT_OFF, dport);
	tdo_put_be16(udp + TDO_UDP_LEN_OFF, (uint16_t)len);
	udp[TDO_UDP_HLEN] = TDO_UDP_KEEPALIVE;
	/* RFC 3948 2.3: none in IPv4; IPv6 has no packets without (RFC 8200 8.1). */
	if (src->af == TDO_AF_INET)
		return hlen + len;
	sum = tdo_csum_add(tdo_csum_pseudo(src, dst, TDO_IPPROTO_UDP, len), udp, len);
	csum = tdo_csum_fold(sum);
	tdo_put_be16(udp + TDO_UDP_CSUM_OFF, csum ? csum : 0xffff);
	return hlen + len;
}

void
tdo_keepalive_send(const struct tdo_worker_fds *fds, const struct tdo_addr *src,
    const struct tdo_addr *dst, uint16_t sport, uint16_t dport)
{
	bool v6 = src->af == TDO_AF_INET6;
	uint8_t buf[TDO_KEEPALIVE_MAX];
	size_t len = tdo_keepalive_make(buf, src, dst, sport, dport);
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to = {0};

	if (v6) {
		to.in6.sin6_family = AF_INET6;
		memcpy(&to.in6.sin6_addr, dst->b, 16);
	} else {
		to.in.sin_family = AF_INET;
		memcpy(&to.in.sin_addr, dst->b, 4);
	}
	(void)sendto(v6 ? fds->raw6_out : fds->raw4_out, buf, len, MSG_DONTWAIT, &to.sa,
	    v6 ? sizeof(to.in6) : sizeof(to.in));
}
