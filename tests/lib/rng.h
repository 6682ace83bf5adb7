/* SPDX-License-Identifier: BSD-2-Clause */
/* Repeatable random numbers (splitmix64). */
#ifndef TDO_TESTS_RNG_H
#define TDO_TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct rng {
	uint64_t state;
};

static inline uint64_t
rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 .. n - 1 */
static inline uint32_t
rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

static inline void
rng_fill(struct rng *r, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint64_t v;

	for (; len >= sizeof(v); p += sizeof(v), len -= sizeof(v)) {
		v = rng_next(r);
		memcpy(p, &v, sizeof(v));
	}
	v = rng_next(r);
	memcpy(p, &v, len);
}

/* From TDO_SEED of the environment, else a fallback; printed, so that a failure can be repeated. */
static inline struct rng
rng_seed(uint64_t fallback)
{
	const char *text = getenv("TDO_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : fallback;

	printf("# TDO_SEED=0x%llx\n", (unsigned long long)seed);
	return (struct rng){seed};
}

/* The same with a new seed in each run. */
static inline struct rng
rng_seed_new(void)
{
	return rng_seed((uint64_t)time(NULL));
}

/* n times TDO_ROUNDS of the environment (default 1). */
static inline unsigned
rng_rounds(unsigned n)
{
	const char *text = getenv("TDO_ROUNDS");

	return n * (text ? (unsigned)strtoul(text, NULL, 0) : 1);
}

#endif
