/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments for tests, byte by byte: true ones and such as no sender makes. */
#ifndef TDO_TESTS_FRAGMENT_H
#define TDO_TESTS_FRAGMENT_H

#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"

struct fragment {
	bool v6;
	uint32_t src; /* its last four bytes */
	uint32_t id;
	uint8_t proto, tos;
	bool df;
	uint32_t at, len; /* of the payload that data begins with */
	bool more;
	const uint8_t *data; /* of the whole datagram */
	uint32_t options; /* bytes of NOPs in IPv4, of hop-by-hop options in IPv6; multiple of 8 */
};

#define FRAGMENT_MAX 70000

/* Writes it to p, FRAGMENT_MAX bytes; returns its length. */
static inline uint32_t
fragment_make(const struct fragment *f, uint8_t *p)
{
	uint32_t head = (f->v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN) + f->options;

	memset(p, 0, head + TDO_IP6_FRAGLEN);
	if (f->v6) {
		tdo_put_be32(p, 6u << 28 | (uint32_t)f->tos << 20);
		tdo_put_be16(p + 4, (uint16_t)(head + TDO_IP6_FRAGLEN + f->len - TDO_IP6_HLEN));
		p[6] = f->options ? TDO_IPPROTO_HOPOPTS : TDO_IPPROTO_FRAGMENT;
		p[7] = 64;
		p[8] = 0x20;
		tdo_put_be32(p + 20, f->src);
		p[24] = 0x20;
		p[39] = 1;
		if (f->options) {
			p[40] = TDO_IPPROTO_FRAGMENT;
			p[41] = (uint8_t)(f->options / 8 - 1);
			p[42] = 1; /* PadN */
			p[43] = (uint8_t)(f->options - 4);
		}
		p[head] = f->proto;
		tdo_put_be16(p + head + 2, (uint16_t)(f->at | f->more));
		tdo_put_be32(p + head + 4, f->id);
		head += TDO_IP6_FRAGLEN;
	} else {
		p[0] = (uint8_t)(0x40 | head / 4);
		p[1] = f->tos;
		tdo_put_be16(p + 4, (uint16_t)f->id);
		tdo_put_be16(p + 6,
		    (uint16_t)(f->at / 8 | (f->more ? TDO_IP4_MF : 0) | (f->df ? TDO_IP4_DF : 0)));
		p[8] = 64;
		p[9] = f->proto;
		tdo_put_be32(p + 12, f->src);
		p[16] = 10;
		p[19] = 1;
		memset(p + TDO_IP4_HLEN, 1, f->options);
		tdo_put_be16(p + 2, (uint16_t)(head + f->len));
		tdo_ip4_set_csum(p);
	}
	memcpy(p + head, f->data + f->at, f->len);
	return head + f->len;
}

/* The datagram of len bytes of payload that fragments like f make up; returns its length. */
static inline uint32_t
fragment_whole(const struct fragment *f, uint32_t len, uint8_t *p)
{
	struct fragment all = *f;
	uint32_t n, head = (f->v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN) + f->options;

	all.at = 0;
	all.len = len;
	all.more = all.df = false;
	n = fragment_make(&all, p);
	if (!f->v6)
		return n;
	p[f->options ? 40 : 6] = f->proto;
	memmove(p + head, p + head + TDO_IP6_FRAGLEN, len);
	tdo_ip_set_len(p, n - TDO_IP6_FRAGLEN);
	return n - TDO_IP6_FRAGLEN;
}

#endif
