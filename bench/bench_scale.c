/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The databases alone, at size: times of adding, looking up at random, ageing and flushing, the
 * longest single step on the control thread, and bytes for an entry.  Times are of the processor,
 * so that other load on the machine counts only as far as it takes the caches.
 *
 *     bench_scale [SAS [POLICIES]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "engine/path.h"
#include "fixture.h"

enum { LOOKUPS = 2000000 };

static size_t in_use;

static void *
counting_alloc(void *ctx, size_t size)
{
	(void)ctx;
	in_use += size + 8; /* what the allocator keeps beside it */
	return calloc(1, size);
}

static void
counting_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	in_use -= p ? size + 8 : 0;
	free(p);
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	rng_fill(ctx, buf, len);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct rng rng = {1};
static struct tdo_engine *e;
static tdo_ns now = TDO_SEC;
static double begun, step_begun, longest;

static void
begin(void)
{
	begun = seconds();
	longest = 0;
}

static void
step(void)
{
	double t = seconds();

	if (step_begun != 0 && t - step_begun > longest)
		longest = t - step_begun;
	step_begun = t;
}

static void
end(const char *what, unsigned n)
{
	double t = seconds() - begun;

	printf("%-34s %9u  %8.3f s  %7.0f ns each", what, n, t, t * 1e9 / n);
	if (longest > 0)
		printf("  longest step %6.2f ms", longest * 1e3);
	putchar('\n');
	step_begun = 0;
}

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_scale: %s\n", what);
	exit(1);
}

static struct tdo_addr
host(uint32_t i)
{
	uint8_t b[16] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return tdo_addr_make(TDO_AF_INET, b);
}

/* Half of them of different pairs, half of one pair with a reqid each. */
static struct tdo_sa_param
sa(unsigned i, unsigned n)
{
	static uint8_t key[20];
	struct tdo_sa_param p = {.key = {.satype = TDO_SATYPE_ESP, .spi = 1000 + i},
	    .mode = TDO_MODE_TRANSPORT,
	    .ealg = 20,
	    .ekey = key,
	    .ekey_bits = 160,
	    .replay = 32,
	    .has_hard = true,
	    .hard = {.addtime = 3600, .bytes = (uint64_t)1 << 40}};

	memcpy(key, &i, sizeof(i));
	p.key.src = host(0);
	p.key.dst = i < n / 2 || n == 1 ? host(i + 1) : host(1 << 23);
	p.reqid = i < n / 2 ? 0 : 100000 + i;
	return p;
}

static void
add_sas(unsigned n)
{
	size_t before = in_use;

	begin();
	for (unsigned i = 0; i < n; i++) {
		struct tdo_sa_param p = sa(i, n);

		step();
		must(tdo_sa_add(e, &p, now, NULL) == 0, "cannot add an SA");
	}
	end("SAs added", n);
	printf("%-34s %9zu bytes\n", "  each", (in_use - before) / n);
}

static void
add_policies(unsigned n)
{
	struct tdo_sp_param p = {.dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .nreq = 1,
	    .prio = TDO_PRIO_DEFAULT,
	    .req[0] = {.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE}};
	size_t before = in_use;

	p.sel = (struct tdo_sel){.src = host(0),
	    .src_plen = 32,
	    .dst_plen = 32,
	    .proto = TDO_PROTO_ANY,
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
	begin();
	for (unsigned i = 0; i < n; i++) {
		p.sel.dst = host(i + 1);
		step();
		must(tdo_sp_add(e, &p, now, NULL, NULL) == 0, "cannot add a policy");
	}
	end("policies added", n);
	printf("%-34s %9zu bytes\n", "  each", (in_use - before) / n);
}

/* Every lookup is of another SA or policy than the one before. */
static void
look_up(unsigned sas, unsigned policies)
{
	struct tdo_req req = {.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	struct tdo_flow f = {.src = host(0), .proto = 17, .has_ports = true};
	struct tdo_addr src = host(0);

	begin();
	for (unsigned i = 0; i < LOOKUPS; i++) {
		struct tdo_sa_param p = sa(rng_below(&rng, sas), sas);

		must(tdo_sad_find_in(e, &p.key.dst, p.key.spi, 50) != NULL, "no inbound SA");
	}
	end("inbound SA", LOOKUPS);
	begin();
	for (unsigned i = 0; i < LOOKUPS; i++) {
		struct tdo_sa_param p = sa(rng_below(&rng, sas), sas);
		struct tdo_sa_ask ask = {.req = &req, .src = &src, .dst = &p.key.dst, .flow = &f};

		req.level = p.reqid ? TDO_LEVEL_UNIQUE : TDO_LEVEL_REQUIRE;
		req.reqid = p.reqid;
		must(tdo_sad_find_out(e, &ask) != NULL, "no outbound SA");
	}
	end("outbound SA", LOOKUPS);
	begin();
	for (unsigned i = 0; i < LOOKUPS; i++) {
		f.dst = host(1 + rng_below(&rng, policies));
		must(tdo_spd_match(e, TDO_DIR_OUT, &f).sp != NULL, "no policy");
	}
	end("policy", LOOKUPS);
}

static void
ticks(const char *what, tdo_ns from)
{
	unsigned n = 0;

	begin();
	do {
		step();
		tdo_engine_tick(e, from + n++ * (TDO_SEC / 10));
	} while (n < 1000 || tdo_engine_busy(e));
	step();
	end(what, n);
	now = from + n * (TDO_SEC / 10);
}

int
main(int argc, char **argv)
{
	unsigned sas = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	unsigned policies = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : sas;
	struct tdo_crypto_config cc = {.mem = {counting_alloc, counting_free, NULL}, .nworkers = 1};
	struct tdo_engine_config ec = {.mem = {counting_alloc, counting_free, NULL},
	    .random = random_bytes,
	    .random_ctx = &rng,
	    .nworkers = 1};

	must(sas > 0 && policies > 0, "bad numbers");
	must(tdo_crypto_new(&cc, &ec.crypto) == 0 && tdo_engine_new(&ec, &e) == 0, "no engine");
	tdo_worker_idle(tdo_engine_worker(e, 0));
	add_sas(sas);
	add_policies(policies);
	look_up(sas, policies);
	ticks("ticks with nothing to do", now);
	begin();
	step();
	(void)tdo_sp_flush(e);
	step();
	end("policies flushed", policies);
	ticks("ticks that free them", now);
	now += 3700 * TDO_SEC;
	ticks("ticks that end all SAs", now);
	must(tdo_engine_counts(e).sas == 0, "SAs are left");
	tdo_engine_free(e);
	tdo_crypto_free(ec.crypto);
	return 0;
}
