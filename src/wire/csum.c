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

#if defined(__x86_64__)
#define FOR(isa) __attribute__((target(isa)))
#endif
#define WIDE 64u /* bytes of a step: one register at best, four of the smallest */

/*
 * Sums whole steps of the len bytes at src and copies them to dst, unless that is NULL.  One body
 * for all instruction sets: the compiler cuts a step into as many registers as it takes.
 */
static inline __attribute__((always_inline)) uint64_t
sum_steps(uint8_t *dst, const uint8_t *src, size_t len)
{
	typedef uint32_t lanes __attribute__((vector_size(WIDE)));
	lanes a = {0}, v;
	uint64_t s = 0;

	/* Each step adds less than 2^17 to a lane; no packet has as many steps as fit. */
	_Static_assert(TDO_PKT_MAXLEN / WIDE < UINT32_MAX >> 17, "a lane can overflow");
	for (; len >= WIDE; src += WIDE, len -= WIDE) {
		memcpy(&v, src, WIDE);
		if (dst != NULL) {
			memcpy(dst, &v, WIDE);
			dst += WIDE;
		}
		a += (v & 0xffff) + (v >> 16); /* both 16-bit halves of each lane */
	}
	for (unsigned i = 0; i < WIDE / sizeof(uint32_t); i++)
		s += a[i];
	return s;
}

static uint64_t
sum_plain(uint8_t *dst, const uint8_t *src, size_t len)
{
	return dst != NULL ? sum_steps(dst, src, len) : sum_steps(NULL, src, len);
}

#ifdef FOR
FOR("avx2")
static uint64_t
sum_avx2(uint8_t *dst, const uint8_t *src, size_t len)
{
	return dst != NULL ? sum_steps(dst, src, len) : sum_steps(NULL, src, len);
}

FOR("avx512f")
static uint64_t
sum_avx512(uint8_t *dst, const uint8_t *src, size_t len)
{
	return dst != NULL ? sum_steps(dst, src, len) : sum_steps(NULL, src, len);
}
#endif

/* The whole steps of len bytes. */
static uint64_t
sum_best(uint8_t *dst, const uint8_t *src, size_t len)
{
#ifdef FOR
	if (__builtin_cpu_supports("avx512f"))
		return sum_avx512(dst, src, len);
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(dst, src, len);
#endif
	return sum_plain(dst, src, len);
}

/* Sum of the last bytes, fewer than a step. */
static inline uint64_t
sum_tail(const uint8_t *p, size_t len)
{
	uint64_t s = 0, d;
	uint32_t w;
	uint16_t h;

	for (; len >= sizeof(d); p += sizeof(d), len -= sizeof(d)) {
		memcpy(&d, p, sizeof(d));
		s += (d & 0xffffffff) + (d >> 32);
	}
	if (len >= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		s += w;
		p += sizeof(w);
		len -= sizeof(w);
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
	size_t whole = len / WIDE * WIDE;
	uint64_t s = whole > 0 ? sum_best(NULL, p, whole) : 0;

	return combine(sum, s + sum_tail(p + whole, len - whole));
}

uint32_t
tdo_csum_copy(uint32_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t whole = len / WIDE * WIDE;
	uint64_t s = whole > 0 ? sum_best(dst, src, whole) : 0;

	memcpy(dst + whole, src + whole, len - whole);
	return combine(sum, s + sum_tail(src + whole, len - whole));
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
	unsigned n = src->af == TDO_AF_INET ? 4 : sizeof(src->b);
	uint64_t s = sum_tail(src->b, n) + sum_tail(dst->b, n);

	return combine((l4_len >> 16) + (l4_len & 0xffff) + proto, s);
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
