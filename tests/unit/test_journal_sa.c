/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs of a data process that is killed: its successor has them, and goes on counting. */
#define _GNU_SOURCE /* memmem */
#include <errno.h>

#include "built.h"
#include "engine/path.h"
#include "journal_case.h"
#include "testudo/comp.h"

/* ---- counters ---- */

/* Asks for counters of so many SAs that every one that may be taken is. */
static void
crowd(uint32_t first_spi)
{
	for (uint32_t i = 0; i < 200000; i++) {
		struct tdo_sa_param s = sa(first_spi + i, 0);

		(void)tdo_state_seq(&p.state, &s);
	}
}

/* The counter of a deleted SA goes to another one only when no worker can count with it. */
static void
counters_wait_for_the_workers(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 0);
	_Atomic uint64_t *n;

	add_sa(&a);
	n = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50)->out_seq;
	*n = 77;
	crowd(0x10000);
	delete_sa(&a);
	for (unsigned i = 0; i < 3; i++) {
		p.now += 60 * TDO_SEC;
		tdo_journal_tick(&p.journal, p.now);
		crowd(0x1000000 + i * 0x1000000);
		assert_int_equal(*n, 77);
	}
	tdo_worker_quiesce(tdo_engine_worker(p.engine, 0));
	tdo_journal_tick(&p.journal, p.now);
	crowd(0x8000000);
	assert_int_equal(*n, 0);
}

/* Extended sequence numbers: the successor knows in which subspace the peer is. */
static void
high_halves_come_back(void **state)
{
	const uint64_t sub = (uint64_t)1 << 32;
	struct tdo_sa_param a = sa(0x1000, 7);
	struct tdo_sa_info info;
	struct tdo_sa *s;

	a.flags = TDO_SAF_ESN;
	add_sa(&a);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_replay_accept(&s->replay, 10), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 5 * sub + 7), 0);
	atomic_store(s->out_seq, 6 * sub);
	/* An update with the same keys goes on in the same place. */
	assert_int_equal(tdo_sa_update(p.engine, &a, p.now, NULL), 0);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub - 7), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub + 7), 0);
	restart(START + 1);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_true(info.in_seq == 7 * sub);
	assert_true(info.out_seq == 6 * sub);
	/* Also what was late when the process died. */
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub - 6), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub + 1000), 0);
}

/* ---- SAs that end ---- */

/* A second passes in the process. */
static void
pass_second(void)
{
	p.now += TDO_SEC;
	tdo_engine_tick(p.engine, p.now);
	tdo_pfkey_events(p.pfkey, p.now);
	tdo_journal_hear(&p.journal, p.now);
}

/* What a hard limit ended is not there after a restart, whatever limit it was; nor are its keys. */
static void
expired_sas_do_not_come_back(void **state)
{
	static const struct tdo_lifetime limits[] = {
	    {.allocations = 3}, {.bytes = 300}, {.addtime = 2}, {.usetime = 2}};
	struct tdo_sa_param a = sa(0x1000, 0);
	struct tdo_sa *obj;

	a.has_hard = true;
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		a.hard = limits[i];
		add_sa(&a);
		obj = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
		obj->packets = 3;
		obj->bytes = 300;
		obj->first_use = p.now;
		tdo_sa_alert(obj);
		for (unsigned t = 0; t < 5; t++)
			pass_second();
		assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
		restart(p.now / TDO_SEC + 1);
		assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
		p.now += 60 * TDO_SEC;
		tdo_journal_tick(&p.journal, p.now);
		assert_non_null(region);
		assert_null(memmem(region, SIZE, akey, sizeof(akey)));
	}
}

/* ---- SAs that move ---- */

/* After a restart an SA is where it moved to, and goes on counting there. */
static void
d44_moved_sas_come_back_where_they_are(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 7), moved = a;
	struct tdo_sa_info info;

	add_sa(&a);
	atomic_store(tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50)->out_seq, 41);
	a.new_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 8}};
	a.new_dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}};
	update_sa(&a);
	moved.key.src = a.new_src;
	moved.key.dst = a.new_dst;
	restart(START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), -ESRCH);
	assert_int_equal(tdo_sa_get(p.engine, &moved.key, &info), 0);
	assert_int_equal(info.out_seq, 41);
}

/* Of the records of a move only the first was written when the process died. */
static void
d44_half_of_a_move_loses_nothing(void **state)
{
	static const struct tdo_addr c = {.af = TDO_AF_INET, .b = {10, 0, 0, 8}};

	for (unsigned i = 0; i < 4; i++) {
		struct tdo_sa_param a = sa(0x1000, 7), moved = a;
		struct tdo_sa_info info;

		add_sa(&a);
		/* Room for another record of an SA; i < 2: for all that comes. */
		if (i < 2)
			p.state.half_size = 2 * tdo_state_used(&p.state);
		p.journal.compact_used = SIZE;
		*(i % 2 ? &a.new_src : &a.new_dst) = c;
		*(i % 2 ? &moved.key.src : &moved.key.dst) = c;
		update_sa(&a);
		restart(START);
		assert_int_equal(tdo_sa_get(p.engine, &moved.key, &info), 0);
		assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), i == 0 ? 0 : -ESRCH);
		teardown(state);
		setup(state);
	}
}

/* ---- other kinds ---- */

static struct tdo_sa_param
ah_sa(uint32_t spi)
{
	struct tdo_sa_param s = sa(spi, 7);

	s.key.satype = TDO_SATYPE_AH;
	s.mode = TDO_MODE_TUNNEL;
	s.flags = TDO_SAF_ESN;
	s.ealg = 0;
	s.ekey = NULL;
	s.ekey_bits = 0;
	return s;
}

static struct tdo_sa_param
ipcomp_sa(uint32_t cpi)
{
	struct tdo_sa_param s = {.key = sa(cpi, 0).key, .mode = TDO_MODE_TUNNEL, .ealg = 2};

	s.key.satype = TDO_SATYPE_IPCOMP;
	return s;
}

/* AH goes on counting where it was, beside an ESP SA of the same SPI and key. */
static void
ah_and_ipcomp_come_back(void **state)
{
	const uint64_t sub = (uint64_t)1 << 32;
	struct tdo_sa_param e = sa(0x1000, 7), a = ah_sa(0x1000), c = ipcomp_sa(0x1000);
	bool has_ipcomp = tdo_comp_alg(2)->not_there == NULL;
	struct tdo_sa_info info;
	struct tdo_sa *s;

	add_sa(&e);
	add_sa(&a);
	if (has_ipcomp)
		add_sa(&c);
	atomic_store(tdo_sad_find_in(p.engine, &e.key.dst, 0x1000, 50)->out_seq, 77);
	s = tdo_sad_find_in(p.engine, &a.key.dst, 0x1000, 51);
	atomic_store(s->out_seq, 3 * sub + 5);
	assert_int_equal(tdo_replay_accept(&s->replay, 9 * sub + 7), 0);
	restart(START + 1);
	assert_int_equal(tdo_engine_counts(p.engine).sas, has_ipcomp ? 3 : 2);
	assert_int_equal(tdo_sa_get(p.engine, &e.key, &info), 0);
	assert_true(info.out_seq == 77);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_true(info.out_seq == 3 * sub + 5);
	assert_true(info.in_seq == 9 * sub);
	assert_int_equal(info.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(info.param.reqid, 7);
	assert_memory_equal(info.param.akey, akey, sizeof(akey));
	if (has_ipcomp) {
		assert_int_equal(tdo_sa_get(p.engine, &c.key, &info), 0);
		assert_int_equal(info.param.ealg, 2);
		assert_int_equal(info.param.mode, TDO_MODE_TUNNEL);
	}
	/* One type is flushed, and stays so. */
	flush_sas(TDO_SATYPE_AH);
	restart(START + 2);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), -ESRCH);
	assert_int_equal(tdo_sa_get(p.engine, &e.key, &info), 0);
}

/* What NAT traversal needs: a successor could ask nobody for it. */
static void
sas_in_udp_come_back(void **state)
{
	struct tdo_sa_param a = sa(0x1000, 7);
	struct tdo_sa_info info;
	struct tdo_wr w;

	a.natt = (struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = 30000, .dport = 4500};
	a.natt.frag = 1200;
	a.natt.oa_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {172, 16, 0, 9}};
	add_sa(&a);
	w = begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = 0x1000});
	tdo_sadb_put_sa_addrs(&w, &a.key.src, &a.key.dst);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 30001);
	assert_int_equal(request(&w), 0);
	for (unsigned i = 0; i < 2; i++) {
		restart(START + 10);
		assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
		assert_int_equal(info.param.natt.type, TDO_NATT_ESPINUDP);
		assert_int_equal(info.param.natt.sport, 30001);
		assert_int_equal(info.param.natt.dport, 4500);
		assert_int_equal(info.param.natt.frag, 1200);
		assert_memory_equal(&info.param.natt.oa_src, &a.natt.oa_src, sizeof(a.natt.oa_src));
		assert_int_equal(info.param.natt.named_sport, 0);
		/* As a new journal has it. */
		p.journal.stale = true;
		tdo_journal_tick(&p.journal, p.now += 1000 * TDO_SEC);
	}
	/* A port that was followed, of which no client of PF_KEY has said anything. */
	a.natt.sport = 31000;
	a.natt.named_sport = 30001;
	assert_int_equal(tdo_sa_update(p.engine, &a, p.now, NULL), 0);
	tdo_journal_sa(&p.journal, &a.key);
	restart(START + 10);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.natt.sport, 31000);
	assert_int_equal(info.param.natt.named_sport, 30001);
	/* Of an SA that is gone meanwhile there is nothing to write. */
	a.key.spi = 0x1001;
	tdo_journal_sa(&p.journal, &a.key);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
}

/* ---- settings that are younger ---- */

/* An SA that is older than a setting that would refuse it now, with this errno, comes back. */
static void
comes_back_beside(struct tdo_sa_param a, enum tdo_knob k, int32_t v, int err)
{
	add_sa(&a);
	assert_int_equal(tdo_knob_set(p.engine, k, TDO_AF_INET, v), 0);
	tdo_journal_knob(&p.journal, k, TDO_AF_INET, v);
	for (unsigned i = 0; i < 2; i++) {
		/* In the order in which it happened; then as a new journal has it. */
		tdo_journal_tick(&p.journal, p.now += 1000 * TDO_SEC);
		restart(START + 10);
		assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
		assert_int_equal(tdo_knob_get(p.engine, k, TDO_AF_INET), v);
		a.key.spi = 0x2000;
		assert_int_equal(tdo_sa_add(p.engine, &a, p.now, NULL), err);
		a.key.spi = 0x1000;
		p.journal.stale = true;
	}
}

static struct tdo_sa_param
weak_sa(void)
{
	static const uint8_t key[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
	struct tdo_sa_param a = sa(0x1000, 7);

	a.ealg = 3; /* 3des-cbc */
	a.ekey = key;
	a.ekey_bits = 192;
	return a;
}

static void
weak_sas_come_back_with_the_knob_that_refuses_them(void **state)
{
	comes_back_beside(weak_sa(), TDO_KNOB_WEAK_ALGS, 0, -EINVAL);
}

/* Not in this build. */
static void
weak_sas_are_refused(void **state)
{
	struct tdo_sa_param a = weak_sa();

	assert_int_equal(tdo_sa_add(p.engine, &a, p.now, NULL), -EOPNOTSUPP);
}

static void
sas_come_back_with_the_knob_that_requires_hardware(void **state)
{
	comes_back_beside(sa(0x1000, 7), TDO_KNOB_CRYPTO_SUPPORT, 1, -EOPNOTSUPP);
}

/* ---- others ---- */

/* What was told to who wants to hear of SAs. */
struct told {
	unsigned seen, gone;
	struct tdo_sa_key key;
	uint8_t satype;
};

static void
told(void *ctx, uint8_t satype, const struct tdo_sa_param *s)
{
	struct told *t = ctx;

	t->satype = satype;
	if (s == NULL) {
		t->gone++;
		return;
	}
	t->seen++;
	t->key = s->key;
}

static void
others_hear_of_sas(void **state)
{
	struct tdo_sa_param a = ah_sa(0x1000), moved = a;
	struct told t = {0};

	p.journal.heard = told;
	p.journal.heard_ctx = &t;
	add_sa(&a);
	assert_int_equal(t.seen, 1);
	assert_int_equal(t.gone, 0);
	assert_int_equal(t.satype, TDO_SATYPE_AH);
	assert_memory_equal(&t.key, &a.key, sizeof(a.key));
	/* An SA that moves is one that is new and one that is gone. */
	moved.new_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}};
	update_sa(&moved);
	assert_int_equal(t.seen, 2);
	assert_int_equal(t.gone, 1);
	assert_true(t.key.src.b[3] == 9);
	a.key.src = moved.new_src;
	delete_sa(&a);
	assert_int_equal(t.gone, 2);
	flush_sas(TDO_SATYPE_IPCOMP);
	assert_int_equal(t.gone, 3);
	assert_int_equal(t.satype, TDO_SATYPE_IPCOMP);
	assert_int_equal(t.seen, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(counters_wait_for_the_workers),
	    T(high_halves_come_back),
	    T(expired_sas_do_not_come_back),
	    T(d44_moved_sas_come_back_where_they_are),
	    T(d44_half_of_a_move_loses_nothing),
	    T(ah_and_ipcomp_come_back),
	    T(sas_in_udp_come_back),
	    cmocka_unit_test_setup_teardown(BUILT_LEGACY
						? weak_sas_come_back_with_the_knob_that_refuses_them
						: weak_sas_are_refused,
		setup, teardown),
	    T(sas_come_back_with_the_knob_that_requires_hardware),
	    T(others_hear_of_sas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
