/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPComp by several workers while the control thread makes, updates, moves and deletes the SAs, the
 * first of which makes the workers' memory: what comes out is what went in.  Meaningful above all
 * with -Db_sanitize=thread and address.
 */
#include <errno.h>
#include <string.h>

#include <stdio.h>
#include <time.h>

#include "base/addr.h"
#include "storm.h"
#include "testudo/comp.h"
#include "wire/ip.h"

enum { FLOWS = 4, BURST = 16, LEN_MAX = 3000, SPI = 10000, STEPS = 3000 };

static _Atomic uint64_t npacked, nbare, narrived, nwrong;

struct thread {
	struct storm_thread s;
	uint8_t original[BURST][LEN_MAX];
	uint32_t len[BURST];
};

/* Flows 0 and 1: transport mode; 2 and 3: in tunnels. */
static void
ends(unsigned flow, bool outer, struct tdo_addr *src, struct tdo_addr *dst)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "10.%u.0.1", flow + (outer && flow >= 2 ? 10 : 0));
	snprintf(b, sizeof(b), "10.%u.0.2", flow + (outer && flow >= 2 ? 10 : 0));
	*src = fx_addr(a);
	*dst = fx_addr(b);
}

/* ---- workers -------------------------------------------------------------------------- */

static void
make(struct thread *t, unsigned i)
{
	struct tdo_ip_hdr h = {.ttl = 61, .proto = TDO_IPPROTO_TCP};
	uint32_t payload = 20 + rng_below(&t->s.rng, LEN_MAX - 100);
	uint8_t *b = t->original[i];
	unsigned step = 1 + rng_below(&t->s.rng, 40);

	ends(rng_below(&t->s.rng, FLOWS), false, &h.src, &h.dst);
	tdo_ip_build(b, &h, payload);
	for (uint32_t k = 0; k < payload; k++)
		b[TDO_IP4_HLEN + k] = (uint8_t)(k / step * 7);
	t->len[i] = TDO_IP4_HLEN + payload;
	fx_pkt_set(t->s.p[i], b, t->len[i]);
}

static void
round_trip(struct thread *t)
{
	struct tdo_pkt *in[BURST];
	unsigned at[BURST], n = 0;

	for (unsigned i = 0; i < BURST; i++)
		make(t, i);
	tdo_out(t->s.w, t->s.p, BURST, TDO_SEC);
	for (unsigned i = 0; i < BURST; i++) {
		struct tdo_pkt *p = t->s.p[i];

		if (p->verdict != TDO_VERDICT_SEND)
			continue;
		if (p->ip.flow.proto == TDO_IPPROTO_IPCOMP)
			atomic_fetch_add(&npacked, 1);
		else if (p->ip.flow.proto == TDO_IPPROTO_IPIP)
			atomic_fetch_add(&nbare, 1);
		at[n] = i;
		in[n++] = p;
	}
	tdo_in(t->s.w, in, n, TDO_SEC);
	for (unsigned i = 0; i < n; i++) {
		/* An SA may be gone by now; a tunnel's packet is then just IP in IP. */
		if (in[i]->verdict != TDO_VERDICT_PASS || in[i]->ip.flow.proto == TDO_IPPROTO_IPIP)
			continue;
		atomic_fetch_add(&narrived, 1);
		if (in[i]->len != t->len[at[i]] ||
		    memcmp(tdo_pkt_data(in[i]), t->original[at[i]], in[i]->len) != 0)
			atomic_fetch_add(&nwrong, 1);
	}
}

static void *
work(void *arg)
{
	struct thread *t = arg;

	tdo_worker_resume(t->s.w);
	while (!atomic_load(&stop)) {
		round_trip(t);
		tdo_worker_quiesce(t->s.w);
	}
	tdo_worker_idle(t->s.w);
	return NULL;
}

/* ---- control -------------------------------------------------------------------------- */

static struct tdo_sa_param
param(struct rng *r, unsigned flow)
{
	struct tdo_sa_param p = {
	    .key = {.satype = TDO_SATYPE_IPCOMP, .spi = SPI + rng_below(r, 3)},
	    .mode = flow >= 2 ? TDO_MODE_TUNNEL : TDO_MODE_ANY,
	    .flags = rng_below(r, 2) ? TDO_SAF_RAWCPI : 0,
	    .ealg = 2,
	};

	ends(flow, true, &p.key.src, &p.key.dst);
	return p;
}

static void
add_policies(void)
{
	for (unsigned flow = 0; flow < FLOWS; flow++)
		for (unsigned dir = TDO_DIR_IN; dir <= TDO_DIR_OUT; dir++) {
			struct tdo_sp_param p = {.dir = (uint8_t)dir,
			    .type = TDO_POLICY_IPSEC,
			    .prio = TDO_PRIO_DEFAULT,
			    .nreq = 1,
			    .sel = {.proto = TDO_PROTO_ANY,
				.src_plen = 32,
				.dst_plen = 32,
				.sport = TDO_RANGE_ANY,
				.dport = TDO_RANGE_ANY}};
			struct tdo_req *q = &p.req[0];

			*q = (struct tdo_req){.proto = TDO_IPPROTO_IPCOMP,
			    .mode = flow >= 2 ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
			    .level = TDO_LEVEL_USE};
			if (flow >= 2)
				ends(flow, true, &q->src, &q->dst);
			ends(flow, false, &p.sel.src, &p.sel.dst);
			assert_int_equal(tdo_sp_add(engine, &p, TDO_SEC, NULL, NULL), 0);
		}
}

static void
one_change(struct rng *r)
{
	struct tdo_sa_param p = param(r, rng_below(r, FLOWS));
	int rc;

	switch (rng_below(r, 8)) {
	case 0:
		rc = tdo_sa_delete(engine, &p.key);
		assert_true(rc == 0 || rc == -ESRCH);
		break;
	case 1:
	case 2:
		rc = tdo_sa_update(engine, &p, TDO_SEC, NULL);
		assert_true(rc == 0 || rc == -ESRCH);
		break;
	case 3:
		if (rng_below(r, 20) == 0)
			tdo_sa_flush(engine, TDO_SATYPE_UNSPEC);
		break;
	default:
		rc = tdo_sa_add(engine, &p, TDO_SEC, NULL);
		assert_true(rc == 0 || rc == -EEXIST);
	}
	tdo_engine_tick(engine, TDO_SEC);
}

static void
what_comes_out_is_what_went_in(void **state)
{
	static struct thread t[STORM_WORKERS];
	struct timespec pause = {.tv_nsec = 100000};
	struct rng r = rng_seed_new();

	(void)state;
	storm_open();
	add_policies();
	for (unsigned i = 0; i < STORM_WORKERS; i++)
		storm_start(&t[i].s, i, &r, work);
	for (unsigned i = 0; i < rng_rounds(STEPS); i++) {
		one_change(&r);
		if (i % 4 == 0)
			nanosleep(&pause, NULL);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < STORM_WORKERS; i++)
		storm_join(&t[i].s);
	printf("# %lu compressed, %lu not, %lu arrived\n", (unsigned long)npacked,
	    (unsigned long)nbare, (unsigned long)narrived);
	assert_true(npacked > 0 && narrived > 0);
	assert_int_equal(nwrong, 0);
	storm_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_comes_out_is_what_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
