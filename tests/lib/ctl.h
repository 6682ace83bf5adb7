/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines for tests of the databases: an allocator that counts and fails on request, logs
 * and events that can be looked at, short forms for SAs and policies.
 */
#ifndef TDO_TESTS_CTL_H
#define TDO_TESTS_CTL_H

#include "rng.h"
#include "testudo/engine.h"

#define CTL_WIDEN_MAX 64

struct ctl {
	struct tdo_engine *e;
	struct tdo_crypto *crypto;
	tdo_ns now;
	struct rng rng; /* behind the engine's random bytes */

	size_t allocated;     /* bytes not yet freed */
	size_t baseline;      /* of them the crypto framework's */
	uint64_t allocations; /* so far */
	uint64_t fail_at;     /* the allocation with this number fails; 0: none */
	bool failed;

	unsigned warnings, debugs;
	char last_warning[200], last_debug[200];

	/* cover: what was called, newest last: 'w' widen, 'n' narrow, 'd', 'c' set_default */
	char cover[CTL_WIDEN_MAX + 1];
	unsigned ncover;
	int cover_result;             /* of widen and set_default */
	const struct tdo_flow *probe; /* looked up (outbound) at each call ... */
	bool probe_hit;               /* ... and whether it hit a policy */
};

/* Makes the crypto framework and the engine. */
void ctl_open(struct ctl *c, unsigned nworkers);
/* The same, with one more crypto driver that is preferred to the others. */
void ctl_open_driver(struct ctl *c, unsigned nworkers, const struct tdo_driver *extra);
/* Frees both; fails the test when the engine left memory. */
void ctl_close(struct ctl *c);
/* The engine alone, for tests of failing allocations: 0 or its errno. */
int ctl_engine(struct ctl *c, unsigned nworkers);
void ctl_engine_free(struct ctl *c);
/*
 * Plays the scenario with a new engine again and again, each time with the next allocation
 * failing, until none fails any more; returns how often.
 */
uint64_t ctl_fail_each(struct ctl *c, void (*scenario)(void));
/* Lets seconds pass, with a tick after each. */
void ctl_pass(struct ctl *c, unsigned seconds);

/* "192.0.2.1" or "2001:db8::1". */
struct tdo_addr ctl_addr(const char *text);
/* ESP, transport mode, aes-cbc with hmac-sha256, window 32; keys depend on key_seed. */
struct tdo_sa_param ctl_sa(const char *src, const char *dst, uint32_t spi, uint8_t key_seed);
/* "10.0.0.0", 8, ...: every protocol and port, type ipsec with one transport request. */
struct tdo_sp_param ctl_sp(
    uint8_t dir, const char *src, uint8_t src_plen, const char *dst, uint8_t dst_plen);
struct tdo_flow ctl_flow(
    const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport);

#endif
