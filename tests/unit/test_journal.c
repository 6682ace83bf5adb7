/* SPDX-License-Identifier: BSD-2-Clause */
/* A data process is killed: its successor has the same SAs, policies and knobs. */
#define _GNU_SOURCE /* memmem */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "built.h"
#include "daemon/journal.h"
#include "engine/spd.h"
#include "mem.h"
#include "testudo/comp.h"
#include "wire/pfkey_msg.h"

#define SIZE  (4 * 1024 * 1024)
#define WALL  1700000000u
#define START 1u /* seconds after which the first process begins: it has not rested yet */

static void
fill(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0x5a, len);
}

static unsigned warnings;

static void
log_line(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	(void)text;
	warnings += level <= TDO_LOG_WARN;
}

/* One data process, as far as its databases go. */
struct proc {
	struct tdo_state state;
	struct tdo_crypto *crypto;
	struct tdo_engine *engine;
	struct tdo_pfkey *pfkey;
	struct tdo_pfkey_client *client;
	struct tdo_journal journal;
	tdo_ns now;
};

static _Atomic uint64_t *
seq_slot(void *ctx, const struct tdo_sa_param *sa)
{
	struct proc *p = ctx;

	return tdo_state_seq(&p->state, sa);
}

static _Atomic uint32_t *
high_slot(void *ctx, const struct tdo_sa_param *sa)
{
	struct proc *p = ctx;

	return tdo_state_high(&p->state, sa);
}

static void
narrow(void *ctx, const struct tdo_sp_param *sp)
{
	struct proc *p = ctx;

	tdo_journal_sp_gone(&p->journal, sp);
}

/* What the kernel answers when a policy is to be covered. */
static int cover_result;

static int
widen(void *ctx, const struct tdo_sp_param *sp)
{
	(void)ctx;
	(void)sp;
	return cover_result;
}

static uint64_t wall_jump; /* somebody sets the wall clock */

/* at: seconds of a clock that nobody sets. */
static void
proc_start(struct proc *p, void *region, bool keep, uint64_t at)
{
	static const struct tdo_mem mem = TEST_MEM;
	static const struct tdo_pfkey_cred cred = {.privileged = true, .pid = 1};
	static const struct tdo_hash_key key = {{3, 4}};
	struct tdo_crypto_config cc = {.mem = mem, .nworkers = 1};
	struct tdo_engine_config ec = {.mem = mem, .random = fill, .nworkers = 1};
	struct tdo_pfkey_config pc = {.mem = mem};
	enum tdo_state_found found;
	unsigned failed;

	memset(p, 0, sizeof(*p));
	p->now = at * TDO_SEC;
	assert_int_equal(tdo_state_open(&p->state, region, SIZE, keep, &key, &found), 0);
	assert_int_equal(found, keep ? TDO_STATE_KEPT : TDO_STATE_FRESH);
	assert_int_equal(tdo_crypto_new(&cc, &p->crypto), 0);
	ec.crypto = p->crypto;
	ec.seq_slot = seq_slot;
	ec.high_slot = high_slot;
	ec.seq_ctx = p;
	ec.cover.narrow = narrow;
	ec.cover.widen = widen;
	ec.cover.ctx = p;
	assert_int_equal(tdo_engine_new(&ec, &p->engine), 0);
	tdo_engine_set_wall(p->engine, WALL + wall_jump + at, p->now);
	assert_int_equal(tdo_journal_init(&p->journal, &p->state, p->engine, log_line, NULL), 0);
	assert_int_equal(tdo_journal_replay(&p->journal, p->now, &failed), 0);
	assert_int_equal(failed != 0, cover_result != 0);
	pc.engine = p->engine;
	assert_int_equal(tdo_pfkey_new(&pc, &p->pfkey), 0);
	assert_int_equal(tdo_pfkey_open(p->pfkey, &cred, NULL, &p->client), 0);
	assert_int_equal(tdo_journal_listen(&p->journal, p->pfkey), 0);
}

/* As after kill -9: nothing is written any more; the test frees the memory. */
static void
proc_kill(struct proc *p)
{
	p->journal.state = NULL;
	tdo_journal_fini(&p->journal);
	tdo_pfkey_free(p->pfkey);
	tdo_engine_free(p->engine);
	tdo_crypto_free(p->crypto);
}

static void *
region_new(void)
{
	void *r = aligned_alloc(4096, SIZE);

	assert_non_null(r);
	return memset(r, 0, SIZE);
}

/* ---- requests ----------------------------------------------------------------------- */

static uint8_t buf[TDO_PFKEY_MSG_MAX];

static struct tdo_wr
begin(uint8_t type, uint8_t satype)
{
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type, .satype = satype, .seq = 9});
	return w;
}

/* Sends the message and returns the errno of its answer. */
static int
request(struct proc *p, struct tdo_wr *w)
{
	struct tdo_sadb_base b;
	size_t len = tdo_sadb_end(w);
	int err = -1;

	assert_true(len > 0);
	tdo_pfkey_input(p->client, buf, len, p->now);
	while ((len = tdo_pfkey_pull(p->client, buf, sizeof(buf))) > 0) {
		assert_true(tdo_sadb_base_read(buf, len, &b));
		err = b.err;
	}
	tdo_journal_hear(&p->journal, p->now);
	return err;
}

static const uint8_t ekey[16] = "journal enc key", akey[20] = "journal auth key 20";

static struct tdo_sa_param
sa(uint32_t spi, uint32_t reqid)
{
	struct tdo_sa_param p = {.key = {.satype = TDO_SATYPE_ESP, .spi = spi}, .reqid = reqid};

	p.key.src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	p.key.dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
	p.mode = TDO_MODE_TRANSPORT;
	p.ealg = 12; /* aes-cbc */
	p.aalg = 3;  /* hmac-sha1 */
	p.ekey = ekey;
	p.ekey_bits = 128;
	p.akey = akey;
	p.akey_bits = 160;
	p.replay = 64;
	return p;
}

static struct tdo_sp_param
sp(uint16_t port, uint8_t level)
{
	struct tdo_sp_param p = {
	    .dir = TDO_DIR_OUT, .type = TDO_POLICY_IPSEC, .nreq = 1, .prio = TDO_PRIO_DEFAULT};

	p.sel.src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	p.sel.dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
	p.sel.src_plen = p.sel.dst_plen = 32;
	p.sel.proto = 6;
	p.sel.sport = TDO_RANGE_ANY;
	p.sel.dport = (struct tdo_range){port, port};
	p.req[0].proto = 50;
	p.req[0].mode = TDO_MODE_TRANSPORT;
	p.req[0].level = level;
	return p;
}

static void
add_sa(struct proc *p, const struct tdo_sa_param *s)
{
	struct tdo_wr w = begin(TDO_SADB_ADD, s->key.satype);

	tdo_sadb_put_sa_param(&w, s);
	assert_int_equal(request(p, &w), 0);
}

static void
add_sp(struct proc *p, const struct tdo_sp_param *s, uint8_t type)
{
	struct tdo_wr w = begin(type, 0);

	tdo_sadb_put_sp_param(&w, s);
	assert_int_equal(request(p, &w), 0);
}

static void
delete_sa(struct proc *p, const struct tdo_sa_param *s)
{
	struct tdo_wr w = begin(TDO_SADB_DELETE, s->key.satype);

	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = s->key.spi});
	tdo_sadb_put_sa_addrs(&w, &s->key.src, &s->key.dst);
	assert_int_equal(request(p, &w), 0);
}

/* Asks for counters of so many SAs that every one that may be taken is. */
static void
crowd(struct proc *p, uint32_t first_spi)
{
	for (uint32_t i = 0; i < 200000; i++) {
		struct tdo_sa_param s = sa(first_spi + i, 0);

		(void)tdo_state_seq(&p->state, &s);
	}
}

/* ---- tests -------------------------------------------------------------------------- */

/* The counter of a deleted SA goes to another one only when no worker can count with it. */
static void
counters_wait_for_the_workers(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 0);
	_Atomic uint64_t *n;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	n = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50)->out_seq;
	*n = 77;
	crowd(&p, 0x10000);
	delete_sa(&p, &a);
	for (unsigned i = 0; i < 3; i++) {
		p.now += 60 * TDO_SEC;
		tdo_journal_tick(&p.journal, p.now);
		crowd(&p, 0x1000000 + i * 0x1000000);
		assert_int_equal(*n, 77);
	}
	tdo_worker_quiesce(tdo_engine_worker(p.engine, 0));
	tdo_journal_tick(&p.journal, p.now);
	crowd(&p, 0x8000000);
	assert_int_equal(*n, 0);
	proc_kill(&p);
	free(region);
}

/* After a restart an SA is where it moved to, and goes on counting there. */
static void
d44_moved_sas_come_back_where_they_are(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7), moved = a;
	struct tdo_sa_info info;
	struct tdo_wr w;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	atomic_store(tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50)->out_seq, 41);
	a.new_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 8}};
	a.new_dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}};
	w = begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&w, &a);
	assert_int_equal(request(&p, &w), 0);
	moved.key.src = a.new_src;
	moved.key.dst = a.new_dst;
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), -ESRCH);
	assert_int_equal(tdo_sa_get(p.engine, &moved.key, &info), 0);
	assert_int_equal(info.out_seq, 41);
	proc_kill(&p);
	free(region);
}

/* Of the records of a move only the first was written when the process died. */
static void
d44_half_of_a_move_loses_nothing(void **state)
{
	static const struct tdo_addr c = {.af = TDO_AF_INET, .b = {10, 0, 0, 8}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		void *region = region_new();
		struct tdo_sa_param a = sa(0x1000, 7), moved = a;
		struct tdo_sa_info info;
		struct tdo_wr w;
		struct proc p;

		proc_start(&p, region, false, START);
		add_sa(&p, &a);
		/* Room for another record of an SA; i < 2: for all that comes. */
		if (i < 2)
			p.state.half_size = 2 * tdo_state_used(&p.state);
		p.journal.compact_used = SIZE;
		*(i % 2 ? &a.new_src : &a.new_dst) = c;
		*(i % 2 ? &moved.key.src : &moved.key.dst) = c;
		w = begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
		tdo_sadb_put_sa_param(&w, &a);
		assert_int_equal(request(&p, &w), 0);
		proc_kill(&p);
		proc_start(&p, region, true, START);
		assert_int_equal(tdo_sa_get(p.engine, &moved.key, &info), 0);
		assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), i == 0 ? 0 : -ESRCH);
		proc_kill(&p);
		free(region);
	}
}

/* Extended sequence numbers: the successor knows in which subspace the peer is. */
static void
high_halves_come_back(void **state)
{
	const uint64_t sub = (uint64_t)1 << 32;
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7);
	struct tdo_sa_info info;
	struct tdo_sa *s;
	struct proc p;

	(void)state;
	a.flags = TDO_SAF_ESN;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_replay_accept(&s->replay, 10), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 5 * sub + 7), 0);
	atomic_store(s->out_seq, 6 * sub);
	/* An update with the same keys goes on in the same place. */
	assert_int_equal(tdo_sa_update(p.engine, &a, p.now, NULL), 0);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub - 7), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub + 7), 0);
	proc_kill(&p);

	proc_start(&p, region, true, START + 1);
	s = tdo_sad_find_in(p.engine, &a.key.dst, a.key.spi, 50);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_true(info.in_seq == 7 * sub);
	assert_true(info.out_seq == 6 * sub);
	/* Also what was late when the process died. */
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub - 6), 0);
	assert_int_equal(tdo_replay_accept(&s->replay, 7 * sub + 1000), 0);
	proc_kill(&p);
	free(region);
}

static struct tdo_sa_param
ah_sa(uint32_t spi)
{
	struct tdo_sa_param p = sa(spi, 7);

	p.key.satype = TDO_SATYPE_AH;
	p.mode = TDO_MODE_TUNNEL;
	p.flags = TDO_SAF_ESN;
	p.ealg = 0;
	p.ekey = NULL;
	p.ekey_bits = 0;
	return p;
}

static struct tdo_sa_param
ipcomp_sa(uint32_t cpi)
{
	struct tdo_sa_param p = {.key = sa(cpi, 0).key, .mode = TDO_MODE_TUNNEL, .ealg = 2};

	p.key.satype = TDO_SATYPE_IPCOMP;
	return p;
}

/* AH goes on counting where it was, beside an ESP SA of the same SPI and key. */
static void
ah_and_ipcomp_come_back(void **state)
{
	const uint64_t sub = (uint64_t)1 << 32;
	void *region = region_new();
	struct tdo_sa_param e = sa(0x1000, 7), a = ah_sa(0x1000), c = ipcomp_sa(0x1000);
	bool has_ipcomp = tdo_comp_alg(2)->not_there == NULL;
	struct tdo_sa_info info;
	struct tdo_sa *s;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sa(&p, &e);
	add_sa(&p, &a);
	if (has_ipcomp)
		add_sa(&p, &c);
	atomic_store(tdo_sad_find_in(p.engine, &e.key.dst, 0x1000, 50)->out_seq, 77);
	s = tdo_sad_find_in(p.engine, &a.key.dst, 0x1000, 51);
	atomic_store(s->out_seq, 3 * sub + 5);
	assert_int_equal(tdo_replay_accept(&s->replay, 9 * sub + 7), 0);
	proc_kill(&p);

	proc_start(&p, region, true, START + 1);
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
	{
		struct tdo_wr w = begin(TDO_SADB_FLUSH, TDO_SATYPE_AH);

		assert_int_equal(request(&p, &w), 0);
	}
	proc_kill(&p);
	proc_start(&p, region, true, START + 2);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), -ESRCH);
	assert_int_equal(tdo_sa_get(p.engine, &e.key, &info), 0);
	proc_kill(&p);
	free(region);
}

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
	void *region = region_new();
	struct tdo_sa_param a = ah_sa(0x1000), moved = a;
	struct told t = {0};
	struct tdo_wr w;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	p.journal.heard = told;
	p.journal.heard_ctx = &t;
	add_sa(&p, &a);
	assert_int_equal(t.seen, 1);
	assert_int_equal(t.gone, 0);
	assert_int_equal(t.satype, TDO_SATYPE_AH);
	assert_memory_equal(&t.key, &a.key, sizeof(a.key));
	/* An SA that moves is one that is new and one that is gone. */
	moved.new_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}};
	w = begin(TDO_SADB_UPDATE, TDO_SATYPE_AH);
	tdo_sadb_put_sa_param(&w, &moved);
	assert_int_equal(request(&p, &w), 0);
	assert_int_equal(t.seen, 2);
	assert_int_equal(t.gone, 1);
	assert_true(t.key.src.b[3] == 9);
	a.key.src = moved.new_src;
	delete_sa(&p, &a);
	assert_int_equal(t.gone, 2);
	w = begin(TDO_SADB_FLUSH, TDO_SATYPE_IPCOMP);
	assert_int_equal(request(&p, &w), 0);
	assert_int_equal(t.gone, 3);
	assert_int_equal(t.satype, TDO_SATYPE_IPCOMP);
	assert_int_equal(t.seen, 2);
	proc_kill(&p);
	free(region);
}

/* What NAT traversal needs: a successor could ask nobody for it. */
static void
sas_in_udp_come_back(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7);
	struct tdo_sa_info info;
	struct tdo_wr w;
	struct proc p;

	(void)state;
	a.natt = (struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = 30000, .dport = 4500};
	a.natt.frag = 1200;
	a.natt.oa_src = (struct tdo_addr){.af = TDO_AF_INET, .b = {172, 16, 0, 9}};
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	w = begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = 0x1000});
	tdo_sadb_put_sa_addrs(&w, &a.key.src, &a.key.dst);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 30001);
	assert_int_equal(request(&p, &w), 0);
	for (unsigned i = 0; i < 2; i++) {
		proc_kill(&p);
		proc_start(&p, region, true, START + 10);
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
	proc_kill(&p);
	proc_start(&p, region, true, START + 10);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.natt.sport, 31000);
	assert_int_equal(info.param.natt.named_sport, 30001);
	/* Of an SA that is gone meanwhile there is nothing to write. */
	a.key.spi = 0x1001;
	tdo_journal_sa(&p.journal, &a.key);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
	proc_kill(&p);
	free(region);
}

/* SAs that are older than a setting that would refuse them now. */
static void
weak_sas_come_back_with_the_knob_that_refuses_them(void **state)
{
	static const uint8_t key[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7);
	struct proc p;

	(void)state;
	a.ealg = 3; /* 3des-cbc */
	a.ekey = key;
	a.ekey_bits = 192;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	assert_int_equal(tdo_knob_set(p.engine, TDO_KNOB_WEAK_ALGS, TDO_AF_INET, 0), 0);
	tdo_journal_knob(&p.journal, TDO_KNOB_WEAK_ALGS, TDO_AF_INET, 0);
	for (unsigned i = 0; i < 2; i++) {
		/* In the order in which it happened; then as a new journal has it. */
		tdo_journal_tick(&p.journal, p.now += 1000 * TDO_SEC);
		proc_kill(&p);
		proc_start(&p, region, true, START + 10);
		assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
		assert_int_equal(tdo_knob_get(p.engine, TDO_KNOB_WEAK_ALGS, TDO_AF_INET), 0);
		a.key.spi = 0x2000;
		assert_int_equal(tdo_sa_add(p.engine, &a, p.now, NULL), -EINVAL);
		a.key.spi = 0x1000;
		p.journal.stale = true;
	}
	proc_kill(&p);
	free(region);
}

/* Not in this build. */
static void
weak_sas_are_refused(void **state)
{
	static const uint8_t key[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7);
	struct proc p;

	(void)state;
	a.ealg = 3; /* 3des-cbc */
	a.ekey = key;
	a.ekey_bits = 192;
	proc_start(&p, region, false, START);
	assert_int_equal(tdo_sa_add(p.engine, &a, p.now, NULL), -EOPNOTSUPP);
	proc_kill(&p);
	free(region);
}

/* The same for the kind of driver that new SAs must have. */
static void
sas_come_back_with_the_knob_that_requires_hardware(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7);
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	assert_int_equal(tdo_knob_set(p.engine, TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, 1), 0);
	tdo_journal_knob(&p.journal, TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, 1);
	for (unsigned i = 0; i < 2; i++) {
		tdo_journal_tick(&p.journal, p.now += 1000 * TDO_SEC);
		proc_kill(&p);
		proc_start(&p, region, true, START + 10);
		assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
		assert_int_equal(tdo_knob_get(p.engine, TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET), 1);
		a.key.spi = 0x2000;
		assert_int_equal(tdo_sa_add(p.engine, &a, p.now, NULL), -EOPNOTSUPP);
		a.key.spi = 0x1000;
		p.journal.stale = true;
	}
	proc_kill(&p);
	free(region);
}

static void
everything_comes_back(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 7), b = sa(0x1001, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);
	struct tdo_sa_info info;
	struct proc p;
	struct tdo_wr w;

	(void)state;
	proc_start(&p, region, false, START);
	a.has_hard = true;
	a.hard.addtime = 1000;
	add_sa(&p, &a);
	add_sa(&p, &b);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	add_sp(&p, &t, TDO_SADB_X_SPDADD);
	delete_sa(&p, &b);
	w = begin(TDO_SADB_X_SPDDELETE, 0);
	tdo_sadb_put_sp_param(&w, &t);
	assert_int_equal(request(&p, &w), 0);
	/* A refused request leaves no trace. */
	w = begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&w, &a);
	assert_int_equal(request(&p, &w), EEXIST);
	assert_int_equal(tdo_knob_set(p.engine, TDO_KNOB_DFBIT, TDO_AF_INET, 1), 0);
	tdo_journal_knob(&p.journal, TDO_KNOB_DFBIT, TDO_AF_INET, 1);
	proc_kill(&p);

	proc_start(&p, region, true, START + 400);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 1);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.reqid, 7);
	assert_int_equal(info.param.replay, 64);
	assert_int_equal(info.param.hard.addtime, 600);
	assert_memory_equal(info.param.ekey, ekey, 16);
	assert_memory_equal(info.param.akey, akey, 20);
	assert_int_equal(tdo_knob_get(p.engine, TDO_KNOB_DFBIT, TDO_AF_INET), 1);
	proc_kill(&p);

	/* The second successor, after the lifetime. */
	proc_start(&p, region, true, START + 2000);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	proc_kill(&p);
	free(region);
}

/* Lifetimes are no business of the wall clock: a machine may learn the time long after the start.
 */
static void
a_jump_of_the_wall_clock_ends_no_lifetime(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct tdo_sa_info info;
	struct proc p;

	(void)state;
	a.has_hard = true;
	a.hard.addtime = a.hard.usetime = s.lifetime = 1000;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	proc_kill(&p);
	wall_jump = 1000000000;
	proc_start(&p, region, true, START + 10);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.hard.addtime, 990);
	assert_int_equal(info.param.hard.usetime, 1000);
	proc_kill(&p);
	/* Nor does setting it back prolong one. */
	wall_jump = 0;
	proc_start(&p, region, true, START + 1001);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	proc_kill(&p);
	free(region);
}

static void
replaced_objects_are_the_new_ones(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct tdo_sp_snap *snap;
	struct tdo_sp_info info;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	s.req[0].level = TDO_LEVEL_USE;
	add_sp(&p, &s, TDO_SADB_X_SPDUPDATE);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_sp_snap_new(p.engine, &snap), 0);
	assert_int_equal(tdo_sp_snap_left(snap), 1);
	assert_true(tdo_sp_snap_next(snap, &info));
	assert_int_equal(info.param.req[0].level, TDO_LEVEL_USE);
	tdo_sp_snap_free(snap);
	proc_kill(&p);
	free(region);
}

static void
expect_ports(struct proc *p, uint16_t first, uint16_t second)
{
	struct tdo_sp_snap *snap;
	struct tdo_sp_info info;

	assert_int_equal(tdo_sp_snap_new(p->engine, &snap), 0);
	assert_int_equal(tdo_sp_snap_left(snap), 2);
	assert_true(tdo_sp_snap_next(snap, &info));
	assert_int_equal(info.param.sel.dport.lo, first);
	assert_true(tdo_sp_snap_next(snap, &info));
	assert_int_equal(info.param.sel.dport.lo, second);
	tdo_sp_snap_free(snap);
}

/* The first match counts: an update must not move a policy, also not by a restart (D34). */
static void
updates_keep_the_order(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	add_sp(&p, &t, TDO_SADB_X_SPDADD);
	add_sp(&p, &s, TDO_SADB_X_SPDUPDATE);
	expect_ports(&p, 80, 81);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	expect_ports(&p, 80, 81);
	proc_kill(&p);
	free(region);
}

/* A process that is killed before it has heard of the update still leaves the policy behind. */
static void
updates_leave_no_gap(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_sp_update(p.engine, &s, p.now, NULL, NULL), 0);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 1);
	proc_kill(&p);
	free(region);
}

/* An update gave the policy a lifetime that ends while no process runs. */
static void
updated_lifetime_ends(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	s.lifetime = 10;
	add_sp(&p, &s, TDO_SADB_X_SPDUPDATE);
	proc_kill(&p);
	proc_start(&p, region, true, START + 60);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	proc_kill(&p);
	free(region);
}

/* A policy that cannot be put back is missed, by later successors too. */
static void
lost_policies_are_known(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	proc_kill(&p);
	cover_result = -ENOSPC;
	proc_start(&p, region, true, START);
	cover_result = 0;
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_LOST);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_LOST);
	proc_kill(&p);
	free(region);
}

static void
full_journal_is_known(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE), t = sp(81, TDO_LEVEL_REQUIRE);
	struct proc p;
	size_t size;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	size = p.state.half_size;
	p.state.half_size = tdo_state_used(&p.state); /* no further record fits */
	add_sp(&p, &t, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_state_marks(&p.state), TDO_STATE_GAPS);
	/* With room again, compaction writes down what is missing. */
	p.state.half_size = size;
	p.journal.stale = true;
	tdo_journal_tick(&p.journal, p.now + 60 * TDO_SEC);
	assert_int_equal(tdo_state_marks(&p.state), 0);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 2);
	proc_kill(&p);
	free(region);
}

/* SAs that belong to a policy by a number that testudo picked find it again. */
static void
picked_reqids_stay_together(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(80, TDO_LEVEL_UNIQUE), t = sp(79, TDO_LEVEL_UNIQUE);
	struct tdo_sp_snap *snap;
	struct tdo_sp_info sinfo;
	struct tdo_sa_info ainfo;
	struct tdo_sa_param a;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	add_sp(&p, &t, TDO_SADB_X_SPDADD);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_sp_snap_new(p.engine, &snap), 0);
	assert_true(tdo_sp_snap_next(snap, &sinfo));
	assert_true(tdo_sp_snap_next(snap, &sinfo));
	assert_int_equal(sinfo.param.sel.dport.lo, 80);
	assert_true(sinfo.param.req[0].reqid > TDO_REQID_MANUAL_MAX);
	tdo_sp_snap_free(snap);
	a = sa(0x1000, sinfo.param.req[0].reqid);
	add_sa(&p, &a);
	proc_kill(&p);

	proc_start(&p, region, true, START);
	assert_int_equal(tdo_sp_snap_new(p.engine, &snap), 0);
	assert_true(tdo_sp_snap_next(snap, &sinfo));
	assert_true(tdo_sp_snap_next(snap, &sinfo));
	tdo_sp_snap_free(snap);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &ainfo), 0);
	assert_int_equal(ainfo.param.reqid, sinfo.param.req[0].reqid);
	proc_kill(&p);
	free(region);
}

static struct tdo_sp_info
the_policy(struct proc *p, const struct tdo_sp_param *s)
{
	struct tdo_sp_info info;

	assert_int_equal(tdo_sp_find(p->engine, s->dir, &s->sel, &info), 0);
	return info;
}

/* A number that a policy had which is gone belongs to another one now. */
static void
a_picked_reqid_is_that_of_its_latest_policy(void **state)
{
	void *region = region_new();
	struct tdo_sp_param s = sp(79, TDO_LEVEL_UNIQUE), t = sp(80, TDO_LEVEL_UNIQUE);
	uint32_t reqid = TDO_REQID_MANUAL_MAX + 2;
	struct tdo_sa_info info;
	struct tdo_sa_param a;
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	/* As after one round of all numbers. */
	p.engine->spd->next_reqid = reqid;
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	assert_int_equal(tdo_sp_delete(p.engine, s.dir, &s.sel, NULL), 0);
	p.engine->spd->next_reqid = reqid;
	add_sp(&p, &t, TDO_SADB_X_SPDADD);
	assert_int_equal(the_policy(&p, &t).param.req[0].reqid, reqid);
	a = sa(0x1000, reqid);
	add_sa(&p, &a);
	proc_kill(&p);

	proc_start(&p, region, true, START);
	assert_int_equal(tdo_sa_get(p.engine, &a.key, &info), 0);
	assert_int_equal(info.param.reqid, the_policy(&p, &t).param.req[0].reqid);
	proc_kill(&p);
	free(region);
}

static void
flushes_are_replayed_and_keys_are_wiped(void **state)
{
	void *region = region_new();
	struct tdo_sa_param a = sa(0x1000, 0);
	struct tdo_sp_param s = sp(80, TDO_LEVEL_REQUIRE);
	struct proc p;
	struct tdo_wr w;

	(void)state;
	proc_start(&p, region, false, START);
	add_sa(&p, &a);
	add_sp(&p, &s, TDO_SADB_X_SPDADD);
	w = begin(TDO_SADB_FLUSH, 0);
	assert_int_equal(request(&p, &w), 0);
	w = begin(TDO_SADB_X_SPDFLUSH, 0);
	assert_int_equal(request(&p, &w), 0);
	p.now += 60 * TDO_SEC;
	tdo_journal_tick(&p.journal, p.now);
	assert_int_equal(tdo_state_used(&p.state), 0);
	assert_null(memmem(region, SIZE, ekey, sizeof(ekey)));
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	assert_int_equal(tdo_engine_counts(p.engine).sps, 0);
	proc_kill(&p);
	free(region);
}

static void
churn_does_not_fill_it(void **state)
{
	void *region = region_new();
	struct proc p;

	(void)state;
	proc_start(&p, region, false, START);
	warnings = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		struct tdo_sa_param a = sa(0x1000 + i % 50, 0);

		add_sa(&p, &a);
		delete_sa(&p, &a);
	}
	assert_int_equal(warnings, 0);
	assert_false(p.journal.full);
	proc_kill(&p);
	proc_start(&p, region, true, START);
	assert_int_equal(tdo_engine_counts(p.engine).sas, 0);
	proc_kill(&p);
	free(region);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_comes_back),
	    cmocka_unit_test(BUILT_LEGACY ? weak_sas_come_back_with_the_knob_that_refuses_them
					  : weak_sas_are_refused),
	    cmocka_unit_test(sas_come_back_with_the_knob_that_requires_hardware),
	    cmocka_unit_test(counters_wait_for_the_workers),
	    cmocka_unit_test(d44_moved_sas_come_back_where_they_are),
	    cmocka_unit_test(d44_half_of_a_move_loses_nothing),
	    cmocka_unit_test(high_halves_come_back),
	    cmocka_unit_test(ah_and_ipcomp_come_back),
	    cmocka_unit_test(others_hear_of_sas),
	    cmocka_unit_test(sas_in_udp_come_back),
	    cmocka_unit_test(replaced_objects_are_the_new_ones),
	    cmocka_unit_test(updates_keep_the_order),
	    cmocka_unit_test(updates_leave_no_gap),
	    cmocka_unit_test(updated_lifetime_ends),
	    cmocka_unit_test(lost_policies_are_known),
	    cmocka_unit_test(full_journal_is_known),
	    cmocka_unit_test(picked_reqids_stay_together),
	    cmocka_unit_test(a_picked_reqid_is_that_of_its_latest_policy),
	    cmocka_unit_test(a_jump_of_the_wall_clock_ends_no_lifetime),
	    cmocka_unit_test(flushes_are_replayed_and_keys_are_wiped),
	    cmocka_unit_test(churn_does_not_fill_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
