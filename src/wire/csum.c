/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071).
 *
 * The one's-complement sum does not depend on the byte order in which it is formed
 * (RFC 1071 2 B): words are added as the machine loads them and the result is turned
 * round once.  It may also be formed in wider lanes (2 C), which is what makes it fast.
 */
#include "wire/ip.h"

#include "base/be.h"
#include "wire/udp.h"

typedef uint32_t lanes __attribute__((vector_size(16)));

/* Each step adds less than 2^17 to a lane; no packet has as many steps as fit. */
_Static_assert(TDO_PKT_MAXLEN / sizeof(lanes) < UINT32_MAX >> 17, "a lane can overflow");

static inline lanes
load(const uint8_t *p)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Both 16-bit halves of each lane. */
static inline lanes
halves(lanes v)
{
	return (v & 0xffff) + (v >> 16);
}

static inline uint64_t
total(lanes v)
{
	return (uint64_t)v[0] + v[1] + v[2] + v[3];
}

/* Sum of the last bytes, fewer than a vector. */
static inline uint64_t
sum_tail(const uint8_t *p, size_t len)
{
	uint64_t s = 0;
	uint32_t w;
	uint16_t h;

	for (; len >= sizeof(w); p += sizeof(w), len -= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		s += w;
	}
	if (len >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		s += h;
		p += sizeof(h);
		len -= sizeof(h);
	}
	if (len > 0) { /* RFC 1071 1: padded with a zero byte on the right */
		h = 0;
		memcpy(&h, p, 1);
		s += h;
	}
	return s;
}

/* The sum in machine order as 16 bits in network order. */
static inline uint16_t
settle(uint64_t s)
{
	uint16_t h;
	uint8_t b[2];

	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	h = (uint16_t)s;
	memcpy(b, &h, sizeof(b));
	return tdo_be16(b);
}

static inline uint32_t
combine(uint32_t sum, uint64_t s)
{
	return (sum & 0xffff) + (sum >> 16) + settle(s);
}

uint32_t
tdo_csum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	const size_t step = sizeof(lanes);
	lanes a = {0}, b = {0};

	for (; len >= 4 * step; p += 4 * step, len -= 4 * step) {
		a += halves(load(p)) + halves(load(p + step));
		b += halves(load(p + 2 * step)) + halves(load(p + 3 * step));
	}
	for (; len >= step; p += step, len -= step)
		a += halves(load(p));
	return combine(sum, total(a) + total(b) + sum_tail(p, len));
}

uint32_t
tdo_csum_copy(uint32_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
	const size_t step = sizeof(lanes);
	lanes a = {0}, b = {0}, v[4];

	for (; len >= 4 * step; src += 4 * step, dst += 4 * step, len -= 4 * step) {
		memcpy(v, src, sizeof(v));
		memcpy(dst, v, sizeof(v));
		a += halves(v[0]) + halves(v[1]);
		b += halves(v[2]) + halves(v[3]);
	}
	memcpy(dst, src, len);
	return combine(tdo_csum_add(sum, src, len), total(a) + total(b));
}

uint16_t
tdo_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t
tdo_csum_pseudo(
    const struct tdo_addr *src, const struct tdo_addr *dst, uint8_t proto, uint32_t l4_len)
{
	/* An IPv4 address is followed by zeros in struct tdo_addr: they add nothing. */
	uint32_t sum = (l4_len >> 16) + (l4_len & 0xffff) + proto;

	sum = tdo_csum_add(sum, src->b, sizeof(src->b));
	return tdo_csum_add(sum, dst->b, sizeof(dst->b));
}

void
tdo_ip4_set_csum(uint8_t *p)
{
	tdo_put_be16(p + 10, 0);
	tdo_put_be16(p + 10, tdo_csum_fold(tdo_csum_add(0, p, (size_t)(p[0] & 0x0f) * 4)));
}

void
tdo_udp_set_csum(struct tdo_pkt *p)
{
	uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t len = p->len - p->ip.l4_off, sum;
	uint16_t csum;

	sum = tdo_csum_pseudo(&p->ip.flow.src, &p->ip.flow.dst, TDO_IPPROTO_UDP, len);
	csum = tdo_csum_fold(tdo_csum_add(sum, h, len));
	/* RFC 768: zero would mean that there is none. */
	tdo_put_be16(h + TDO_UDP_CSUM_OFF, csum != 0 ? csum : 0xffff);
}
