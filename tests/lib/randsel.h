/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random selectors and flows that often meet: few networks, few ports, all prefix lengths.
 * And the naive definition of a match, written once more, for comparison.
 */
#ifndef TDO_TESTS_RANDSEL_H
#define TDO_TESTS_RANDSEL_H

#include "base/addr.h"
#include "rng.h"
#include "testudo/sel.h"

static struct rng tdo_rand_state;

static inline void
tdo_rand_init(void)
{
	tdo_rand_state = rng_seed_new();
}

/* 0 .. n - 1 */
static inline unsigned
tdo_rand(unsigned n)
{
	return rng_below(&tdo_rand_state, n);
}

static inline struct tdo_addr
tdo_rand_addr(uint8_t af)
{
	static const uint8_t v4[4] = {10}, v6[16] = {0xfd};
	struct tdo_addr a = tdo_addr_make(af, af == TDO_AF_INET ? v4 : v6);
	unsigned len = tdo_af_len(af);

	for (unsigned i = 1; i < len; i++)
		if (tdo_rand(af == TDO_AF_INET ? 2 : 5) == 0)
			a.b[i] = (uint8_t)(tdo_rand(2) ? tdo_rand(3) : 0x80u << tdo_rand(2));
	return a;
}

static inline uint8_t
tdo_rand_plen(uint8_t af)
{
	unsigned bits = tdo_af_bits(af);

	switch (tdo_rand(4)) {
	case 0:
		return (uint8_t)bits;
	case 1:
		return (uint8_t)tdo_rand(bits + 1);
	default:
		return (uint8_t)(8 * tdo_rand(bits / 8 + 1));
	}
}

/* Ports, types, codes, halves of keys: small numbers, 0 among them. */
static inline struct tdo_range
tdo_rand_range(void)
{
	uint16_t lo = (uint16_t)tdo_rand(5);

	switch (tdo_rand(6)) {
	case 0:
	case 1:
		return (struct tdo_range){lo, lo};
	case 2:
		return (struct tdo_range){lo, (uint16_t)(lo + tdo_rand(3))};
	case 3:
		return (struct tdo_range){lo, 65535};
	default:
		return TDO_RANGE_ANY;
	}
}

/* Upper-layer protocols, and some that are none over IPv6. */
static inline uint8_t
tdo_rand_proto(void)
{
	static const uint8_t proto[] = {
	    6, 17, 6, 17, 1, 1, 58, 58, 50, 51, 132, 136, 33, 47, 47, 135, 59, 60, 0};

	return proto[tdo_rand(sizeof(proto))];
}

static inline struct tdo_sel
tdo_rand_sel(uint8_t af)
{
	struct tdo_sel s = {.src = tdo_rand_addr(af), .dst = tdo_rand_addr(af)};

	s.src_plen = tdo_rand_plen(af);
	s.dst_plen = tdo_rand_plen(af);
	s.src = tdo_addr_mask(&s.src, s.src_plen);
	s.dst = tdo_addr_mask(&s.dst, s.dst_plen);
	s.proto = tdo_rand(3) == 0 ? TDO_PROTO_ANY : tdo_rand_proto();
	s.sport = tdo_rand_range();
	s.dport = tdo_rand_range();
	return s;
}

static inline bool
tdo_naive_range(const struct tdo_range *r, bool known, uint16_t value, bool hidden)
{
	if (r->lo == 0 && r->hi == 65535)
		return true;
	return hidden || (known && r->lo <= value && value <= r->hi);
}

/* hidden: protocol and ports may be anything, as in a later fragment. */
static inline bool
tdo_naive_match(const struct tdo_sel *s, const struct tdo_flow *f, bool hidden)
{
	return tdo_addr_in(&f->src, &s->src, s->src_plen) &&
	       tdo_addr_in(&f->dst, &s->dst, s->dst_plen) &&
	       (hidden || s->proto == TDO_PROTO_ANY || s->proto == f->proto) &&
	       tdo_naive_range(&s->sport, f->has_ports, f->sport, hidden) &&
	       tdo_naive_range(&s->dport, f->has_ports, f->dport, hidden);
}

#endif
