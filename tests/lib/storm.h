/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several workers of one engine at work in threads of their own, while the test changes the
 * databases.  For one test program; TSan and ASan look on.
 */
#ifndef TDO_TESTS_STORM_H
#define TDO_TESTS_STORM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "mem.h"

#define STORM_WORKERS 3
#define STORM_BURST   48u /* packets that each of them has */

static struct tdo_engine *engine;
static struct tdo_crypto *crypto;
static _Atomic bool stop;

/* The first member of what a test has for each thread. */
struct storm_thread {
	pthread_t id;
	struct tdo_worker *w;
	struct rng rng;
	struct tdo_pkt *p[STORM_BURST];
};

static inline void
storm_random(void *ctx, void *buf, size_t len)
{
	static _Atomic uint64_t state;
	struct rng r = {atomic_fetch_add(&state, 0x1234567)};

	(void)ctx;
	rng_fill(&r, buf, len);
}

static inline void
storm_open(void)
{
	struct tdo_mem mem = TEST_MEM;
	struct tdo_crypto_config cc = {.mem = mem, .nworkers = STORM_WORKERS};
	struct tdo_engine_config ec = {
	    .mem = mem, .random = storm_random, .nworkers = STORM_WORKERS};

	assert_int_equal(tdo_crypto_new(&cc, &crypto), 0);
	ec.crypto = crypto;
	assert_int_equal(tdo_engine_new(&ec, &engine), 0);
}

/* Thread number i begins: run(t) until stop. */
static inline void
storm_start(struct storm_thread *t, unsigned i, struct rng *r, void *(*run)(void *))
{
	t->w = tdo_engine_worker(engine, i);
	t->rng.state = rng_next(r);
	for (unsigned k = 0; k < STORM_BURST; k++)
		t->p[k] = fx_pkt_new(0);
	assert_int_equal(pthread_create(&t->id, NULL, run, t), 0);
}

/* It ends; stop says so. */
static inline void
storm_join(struct storm_thread *t)
{
	assert_int_equal(pthread_join(t->id, NULL), 0);
	for (unsigned k = 0; k < STORM_BURST; k++)
		fx_pkt_free(t->p[k]);
}

static inline void
storm_close(void)
{
	tdo_engine_free(engine);
	tdo_crypto_free(crypto);
}

#endif
