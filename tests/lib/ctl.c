/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "engine/engine.h"

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ctl: %s\n", what);
	abort();
}

/* ---- what the engine gets ----------------------------------------------------------- */

static void *
counting_alloc(void *ctx, size_t size)
{
	struct ctl *c = ctx;
	void *p;

	if (++c->allocations == c->fail_at) {
		c->failed = true;
		return NULL;
	}
	p = calloc(1, size);
	check(p != NULL, "out of memory");
	c->allocated += size;
	return p;
}

static void
counting_free(void *ctx, void *p, size_t size)
{
	struct ctl *c = ctx;

	if (p == NULL)
		return;
	check(c->allocated >= size, "freed more than allocated");
	c->allocated -= size;
	free(p);
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	struct ctl *c = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rng_next(&c->rng);
}

static void
log_text(void *ctx, enum tdo_log_level level, const char *text)
{
	struct ctl *c = ctx;

	if (level == TDO_LOG_DEBUG) {
		c->debugs++;
		snprintf(c->last_debug, sizeof(c->last_debug), "%s", text);
	}
	if (level != TDO_LOG_WARN)
		return;
	c->warnings++;
	snprintf(c->last_warning, sizeof(c->last_warning), "%s", text);
}

static void
note(struct ctl *c, char what)
{
	c->probe_hit = c->probe && tdo_spd_match(c->e, TDO_DIR_OUT, c->probe).sp;
	if (c->ncover < CTL_WIDEN_MAX)
		c->cover[c->ncover++] = what;
	c->cover[c->ncover] = '\0';
}

static int
widen(void *ctx, const struct tdo_sp_param *sp)
{
	struct ctl *c = ctx;

	(void)sp;
	note(c, 'w');
	return c->cover_result;
}

static void
narrow(void *ctx, const struct tdo_sp_param *sp)
{
	(void)sp;
	note(ctx, 'n');
}

static int
set_default(void *ctx, uint8_t af, bool discard)
{
	struct ctl *c = ctx;

	(void)af;
	note(c, discard ? 'd' : 'c');
	return c->cover_result;
}

/* ---- making ------------------------------------------------------------------------- */

int
ctl_engine(struct ctl *c, unsigned nworkers)
{
	struct tdo_engine_config cfg = {
	    .mem = {counting_alloc, counting_free, c},
	    .random = random_bytes,
	    .random_ctx = c,
	    .log = log_text,
	    .log_ctx = c,
	    .crypto = c->crypto,
	    .nworkers = nworkers,
	    .cover = {widen, narrow, set_default, c},
	};

	return tdo_engine_new(&cfg, &c->e);
}

void
ctl_engine_free(struct ctl *c)
{
	tdo_engine_free(c->e);
	c->e = NULL;
	check(c->allocated == c->baseline, "the engine left memory");
}

void
ctl_open(struct ctl *c, unsigned nworkers)
{
	ctl_open_driver(c, nworkers, NULL);
}

void
ctl_open_driver(struct ctl *c, unsigned nworkers, const struct tdo_driver *extra)
{
	struct tdo_crypto_config cfg = {
	    .mem = {counting_alloc, counting_free, c},
	    .nworkers = nworkers,
	    .extra = extra,
	};

	memset(c, 0, sizeof(*c));
	c->now = 1000 * TDO_SEC;
	c->rng.state = 1;
	check(tdo_crypto_new(&cfg, &c->crypto) == 0, "no crypto");
	c->baseline = c->allocated;
	check(ctl_engine(c, nworkers) == 0, "no engine");
}

void
ctl_close(struct ctl *c)
{
	ctl_engine_free(c);
	tdo_crypto_free(c->crypto);
	check(c->allocated == 0, "the crypto framework left memory");
}

uint64_t
ctl_fail_each(struct ctl *c, void (*scenario)(void))
{
	uint64_t n = 0;

	do {
		ctl_engine_free(c);
		c->allocations = 0;
		c->fail_at = ++n;
		c->failed = false;
		if (ctl_engine(c, 1) == 0)
			scenario();
		else
			c->e = NULL;
	} while (c->failed);
	c->fail_at = 0;
	return n;
}

void
ctl_pass(struct ctl *c, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		c->now += TDO_SEC;
		tdo_engine_tick(c->e, c->now);
	}
}

/* ---- parameters --------------------------------------------------------------------- */

struct tdo_addr
ctl_addr(const char *text)
{
	bool v6 = strchr(text, ':') != NULL;
	uint8_t b[16] = {0};

	check(inet_pton(v6 ? AF_INET6 : AF_INET, text, b) == 1, "bad address");
	return tdo_addr_make(v6 ? TDO_AF_INET6 : TDO_AF_INET, b);
}

struct tdo_sa_param
ctl_sa(const char *src, const char *dst, uint32_t spi, uint8_t key_seed)
{
	static uint8_t keys[256][48];
	uint8_t *key = keys[key_seed];

	memset(key, key_seed, sizeof(keys[0]));
	return (struct tdo_sa_param){
	    .key = {TDO_SATYPE_ESP, spi, ctl_addr(src), ctl_addr(dst)},
	    .mode = TDO_MODE_TRANSPORT,
	    .replay = 32,
	    .ealg = 12,
	    .aalg = 5,
	    .ekey = key,
	    .akey = key + 16,
	    .ekey_bits = 128,
	    .akey_bits = 256,
	};
}

struct tdo_sp_param
ctl_sp(uint8_t dir, const char *src, uint8_t src_plen, const char *dst, uint8_t dst_plen)
{
	return (struct tdo_sp_param){
	    .dir = dir,
	    .type = TDO_POLICY_IPSEC,
	    .nreq = 1,
	    .sel = {ctl_addr(src), ctl_addr(dst), src_plen, dst_plen, TDO_PROTO_ANY, TDO_RANGE_ANY,
		TDO_RANGE_ANY},
	    .prio = TDO_PRIO_DEFAULT,
	    .req = {{.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE}},
	};
}

struct tdo_flow
ctl_flow(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	return (struct tdo_flow){
	    .src = ctl_addr(src),
	    .dst = ctl_addr(dst),
	    .proto = proto,
	    .has_ports = true,
	    .sport = sport,
	    .dport = dport,
	};
}
