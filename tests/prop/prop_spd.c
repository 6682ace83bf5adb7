/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The classifier against the ordered list: random policies of both families that overlap
 * in every way, added, updated and deleted in between, and random flows, opaque ones too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "ctl.h"
#include "engine/engine.h"

#define POLICIES 300

static struct ctl c;
static struct rng rng;

/* Few distinct values, so that things overlap. */
static struct tdo_addr
some_addr(bool v6)
{
	static const uint8_t byte[] = {0, 1, 0x80, 0xff};
	struct tdo_addr a = {.af = v6 ? TDO_AF_INET6 : TDO_AF_INET};

	a.b[0] = 10;
	for (unsigned i = 1; i < tdo_af_len(a.af); i++)
		a.b[i] = byte[rng_below(&rng, i < 3 ? 2 : 4)];
	return a;
}

static uint8_t
some_plen(bool v6)
{
	static const uint8_t four[] = {0, 8, 9, 16, 24, 31, 32};
	static const uint8_t six[] = {0, 8, 17, 64, 127, 128, 128};

	return (v6 ? six : four)[rng_below(&rng, 7)];
}

static uint8_t
some_proto(void)
{
	static const uint8_t proto[] = {6, 17, 1, 58, 60, 0, 47, 135};

	return proto[rng_below(&rng, sizeof(proto))];
}

static uint16_t
some_port(void)
{
	static const uint16_t port[] = {0, 1, 22, 80, 500, 65535};

	return port[rng_below(&rng, 6)];
}

static struct tdo_range
some_range(void)
{
	uint16_t a = some_port(), b = some_port();

	switch (rng_below(&rng, 4)) {
	case 0:
		return (struct tdo_range){a, a};
	case 1:
		return a < b ? (struct tdo_range){a, b} : (struct tdo_range){b, a};
	default:
		return TDO_RANGE_ANY;
	}
}

static struct tdo_sp_param
some_policy(void)
{
	bool v6 = rng_below(&rng, 2);
	struct tdo_sp_param p = {
	    .dir = rng_below(&rng, 2) ? TDO_DIR_IN : TDO_DIR_OUT,
	    .type = (uint8_t)(rng_below(&rng, 3) ? TDO_POLICY_NONE : TDO_POLICY_DISCARD),
	    .sel = {some_addr(v6), some_addr(v6), some_plen(v6), some_plen(v6),
		rng_below(&rng, 2) ? TDO_PROTO_ANY : some_proto(), some_range(), some_range()},
	    .prio = TDO_PRIO_DEFAULT + rng_below(&rng, 4) - 2,
	};

	if (rng_below(&rng, 3) == 0) {
		p.type = TDO_POLICY_IPSEC;
		p.nreq = 1;
		p.req[0] = (struct tdo_req){
		    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = (uint8_t)rng_below(&rng, 4)};
	}
	return p;
}

static struct tdo_flow
some_flow(void)
{
	bool v6 = rng_below(&rng, 2);
	struct tdo_flow f = {.src = some_addr(v6), .dst = some_addr(v6), .proto = some_proto()};

	f.opaque = rng_below(&rng, 3) == 0;
	f.has_ports = !f.opaque && rng_below(&rng, 4) != 0;
	if (f.has_ports) {
		f.sport = some_port();
		f.dport = some_port();
	}
	return f;
}

static void
fail(const char *what, uint8_t dir, const struct tdo_flow *f, struct tdo_spd_hit a,
    struct tdo_spd_hit b)
{
	char s[TDO_ADDR_STRLEN], d[TDO_ADDR_STRLEN];

	printf("not ok - %s: dir %u %s > %s proto %u ports %d %u %u opaque %d: "
	       "classifier %u%s, list %u%s\n",
	    what, dir, tdo_addr_str(&f->src, s), tdo_addr_str(&f->dst, d), f->proto, f->has_ports,
	    f->sport, f->dport, f->opaque, a.sp ? a.sp->id : 0, a.uncertain ? "?" : "",
	    b.sp ? b.sp->id : 0, b.uncertain ? "?" : "");
	exit(1);
}

static void
compare(unsigned flows)
{
	for (unsigned i = 0; i < flows; i++) {
		struct tdo_flow f = some_flow();
		uint8_t dir = rng_below(&rng, 2) ? TDO_DIR_IN : TDO_DIR_OUT;
		struct tdo_spd_hit a = tdo_spd_match(c.e, dir, &f);
		struct tdo_spd_hit b = tdo_spd_match_naive(c.e, dir, &f);

		if (a.sp != b.sp || a.uncertain != b.uncertain || a.protects != b.protects)
			fail("lookup", dir, &f, a, b);
	}
}

/* The list is in order of rank, and ids are unique. */
static void
check_order(void)
{
	struct tdo_sp_snap *s;
	struct tdo_sp_info i;
	uint8_t dir = TDO_DIR_IN;
	uint32_t prio = 0;

	if (tdo_sp_snap_new(c.e, &s))
		abort();
	while (tdo_sp_snap_next(s, &i)) {
		if (i.param.dir < dir || (i.param.dir == dir && i.param.prio < prio)) {
			printf("not ok - order of the list\n");
			exit(1);
		}
		dir = i.param.dir;
		prio = i.param.prio;
	}
	tdo_sp_snap_free(s);
}

static void
change(unsigned *adds)
{
	struct tdo_sp_param p = some_policy();
	struct tdo_engine *e = c.e;
	int r;

	if (tdo_engine_counts(e).sps > POLICIES || rng_below(&rng, 3) == 0) {
		uint32_t id = 1 + rng_below(&rng, *adds + 1);

		(void)tdo_sp_delete_id(e, id, NULL);
	} else if (rng_below(&rng, 4) == 0) {
		r = tdo_sp_update(e, &p, c.now, NULL, NULL);
		if (r)
			abort();
		++*adds;
	} else {
		r = tdo_sp_add(e, &p, c.now, NULL, NULL);
		if (r != 0 && r != -EEXIST)
			abort();
		*adds += r == 0;
	}
	if (rng_below(&rng, 50) == 0 &&
	    tdo_knob_set(e, TDO_KNOB_DEF_POLICY, rng_below(&rng, 2) ? TDO_AF_INET : TDO_AF_INET6,
		(int32_t)rng_below(&rng, 2)))
		abort();
	if (rng_below(&rng, 20) == 0) {
		if (rng_below(&rng, 2))
			tdo_worker_quiesce(tdo_engine_worker(e, 0));
		tdo_engine_tick(e, c.now);
	}
}

/* ---- large sets --------------------------------------------------------------------- */

#define LARGE 20000

/* Distinct values too: tables grow, chains stay short, and every flow still has rivals. */
static struct tdo_addr
spread_addr(bool v6)
{
	struct tdo_addr a = some_addr(v6);
	uint32_t v = rng_below(&rng, 4096);
	uint8_t *end = a.b + (v6 ? 16 : 4);

	end[-1] = (uint8_t)v;
	end[-2] = (uint8_t)(v >> 8);
	return a;
}

static void
large_set(void)
{
	static uint32_t id[LARGE];
	unsigned n = 0;

	ctl_open(&c, 1);
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	for (unsigned i = 0; i < 3 * LARGE; i++) {
		struct tdo_sp_param p = some_policy();
		struct tdo_sp_info info;
		bool v6 = p.sel.src.af == TDO_AF_INET6;

		p.sel.src = spread_addr(v6);
		p.sel.dst = spread_addr(v6);
		if (n == LARGE || (n > 0 && rng_below(&rng, 5) == 0)) {
			unsigned at = rng_below(&rng, n);

			if (tdo_sp_delete_id(c.e, id[at], NULL) != 0)
				abort();
			id[at] = id[--n];
		} else if (tdo_sp_add(c.e, &p, c.now, &info, NULL) == 0) {
			id[n++] = info.id;
		}
		if (i % 100 == 0)
			tdo_engine_tick(c.e, c.now);
		if (i % 50 == 0) {
			struct tdo_flow f = some_flow();
			struct tdo_spd_hit a, b;

			f.src = spread_addr(f.src.af == TDO_AF_INET6);
			f.dst = spread_addr(f.src.af == TDO_AF_INET6);
			a = tdo_spd_match(c.e, TDO_DIR_OUT, &f);
			b = tdo_spd_match_naive(c.e, TDO_DIR_OUT, &f);
			if (a.sp != b.sp || a.uncertain != b.uncertain)
				fail("lookup in a large set", TDO_DIR_OUT, &f, a, b);
		}
	}
	check_order();
	ctl_close(&c);
}

int
main(void)
{
	unsigned rounds = rng_rounds(24);

	rng = rng_seed_new();
	printf("1..2\n");
	for (unsigned i = 0; i < rounds; i++) {
		unsigned adds = 0;

		ctl_open(&c, 1);
		for (unsigned n = 0; n < 1500; n++) {
			change(&adds);
			compare(20);
			if (n % 100 == 0)
				check_order();
		}
		if (i % 2)
			(void)tdo_sp_flush(c.e);
		compare(100);
		ctl_close(&c);
	}
	printf("ok 1 - classifier and list agree\n");
	large_set();
	printf("ok 2 - and with %d policies\n", LARGE);
	return 0;
}
