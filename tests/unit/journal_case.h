/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A data process as far as its databases go, which is killed and has a successor: p, fresh for
 * each test of a program.  Requests by PF_KEY, short forms for SAs and policies.
 */
#ifndef TDO_TESTS_JOURNAL_CASE_H
#define TDO_TESTS_JOURNAL_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/journal.h"
#include "mem.h"
#include "wire/pfkey_msg.h"

#define SIZE  (4 * 1024 * 1024)
#define WALL  1700000000u
#define START 1u /* seconds after which the first process begins: it has not rested yet */

static void *region; /* memory that outlives the process */
static struct {
	struct tdo_state state;
	struct tdo_crypto *crypto;
	struct tdo_engine *engine;
	struct tdo_pfkey *pfkey;
	struct tdo_pfkey_client *client;
	struct tdo_journal journal;
	tdo_ns now;
} p;

static int cover_result;   /* what the kernel answers when a policy is to be covered */
static uint64_t wall_jump; /* somebody sets the wall clock */
static unsigned warnings;

static inline void
fill(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0x5a, len);
}

static inline void
log_line(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	(void)text;
	warnings += level <= TDO_LOG_WARN;
}

static inline _Atomic uint64_t *
seq_slot(void *ctx, const struct tdo_sa_param *sa)
{
	(void)ctx;
	return tdo_state_seq(&p.state, sa);
}

static inline _Atomic uint32_t *
high_slot(void *ctx, const struct tdo_sa_param *sa)
{
	(void)ctx;
	return tdo_state_high(&p.state, sa);
}

static inline void
narrow(void *ctx, const struct tdo_sp_param *sp)
{
	(void)ctx;
	tdo_journal_sp_gone(&p.journal, sp);
}

static inline int
widen(void *ctx, const struct tdo_sp_param *sp)
{
	(void)ctx;
	(void)sp;
	return cover_result;
}

/* at: seconds of a clock that nobody sets. */
static inline void
proc_start(bool keep, uint64_t at)
{
	static const struct tdo_mem mem = TEST_MEM;
	static const struct tdo_pfkey_cred cred = {.privileged = true, .pid = 1};
	static const struct tdo_hash_key key = {{3, 4}};
	struct tdo_crypto_config cc = {.mem = mem, .nworkers = 1};
	struct tdo_engine_config ec = {.mem = mem, .random = fill, .nworkers = 1};
	struct tdo_pfkey_config pc = {.mem = mem};
	enum tdo_state_found found;
	unsigned failed;

	memset(&p, 0, sizeof(p));
	p.now = at * TDO_SEC;
	assert_int_equal(tdo_state_open(&p.state, region, SIZE, keep, &key, &found), 0);
	assert_int_equal(found, keep ? TDO_STATE_KEPT : TDO_STATE_FRESH);
	assert_int_equal(tdo_crypto_new(&cc, &p.crypto), 0);
	ec.crypto = p.crypto;
	ec.seq_slot = seq_slot;
	ec.high_slot = high_slot;
	ec.cover.narrow = narrow;
	ec.cover.widen = widen;
	assert_int_equal(tdo_engine_new(&ec, &p.engine), 0);
	tdo_engine_set_wall(p.engine, WALL + wall_jump + at, p.now);
	assert_int_equal(tdo_journal_init(&p.journal, &p.state, p.engine, log_line, NULL), 0);
	assert_int_equal(tdo_journal_replay(&p.journal, p.now, &failed), 0);
	assert_int_equal(failed != 0, cover_result != 0);
	pc.engine = p.engine;
	assert_int_equal(tdo_pfkey_new(&pc, &p.pfkey), 0);
	assert_int_equal(tdo_pfkey_open(p.pfkey, &cred, NULL, &p.client), 0);
	assert_int_equal(tdo_journal_listen(&p.journal, p.pfkey), 0);
}

/* As after kill -9: nothing is written any more; the test frees the memory. */
static inline void
proc_kill(void)
{
	p.journal.state = NULL;
	tdo_journal_fini(&p.journal);
	tdo_pfkey_free(p.pfkey);
	tdo_engine_free(p.engine);
	tdo_crypto_free(p.crypto);
}

/* The process is killed, and a new one begins: the successor. */
static inline void
restart(uint64_t at)
{
	proc_kill();
	proc_start(true, at);
}

static inline int
setup(void **state)
{
	(void)state;
	region = aligned_alloc(4096, SIZE);
	assert_non_null(region);
	memset(region, 0, SIZE);
	proc_start(false, START);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	proc_kill();
	free(region);
	return 0;
}

/* ---- requests ----------------------------------------------------------------------- */

static uint8_t buf[TDO_PFKEY_MSG_MAX];

static inline struct tdo_wr
begin(uint8_t type, uint8_t satype)
{
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type, .satype = satype, .seq = 9});
	return w;
}

/* Sends the message and returns the errno of its answer. */
static inline int
request(struct tdo_wr *w)
{
	struct tdo_sadb_base b;
	size_t len = tdo_sadb_end(w);
	int err = -1;

	assert_true(len > 0);
	tdo_pfkey_input(p.client, buf, len, p.now);
	while ((len = tdo_pfkey_pull(p.client, buf, sizeof(buf))) > 0) {
		assert_true(tdo_sadb_base_read(buf, len, &b));
		err = b.err;
	}
	tdo_journal_hear(&p.journal, p.now);
	return err;
}

static const uint8_t ekey[16] = "journal enc key", akey[20] = "journal auth key 20";

static inline struct tdo_sa_param
sa(uint32_t spi, uint32_t reqid)
{
	struct tdo_sa_param s = {.key = {.satype = TDO_SATYPE_ESP, .spi = spi}, .reqid = reqid};

	s.key.src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	s.key.dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
	s.mode = TDO_MODE_TRANSPORT;
	s.ealg = 12; /* aes-cbc */
	s.aalg = 3;  /* hmac-sha1 */
	s.ekey = ekey;
	s.ekey_bits = 128;
	s.akey = akey;
	s.akey_bits = 160;
	s.replay = 64;
	return s;
}

static inline struct tdo_sp_param
sp(uint16_t port, uint8_t level)
{
	struct tdo_sp_param s = {
	    .dir = TDO_DIR_OUT, .type = TDO_POLICY_IPSEC, .nreq = 1, .prio = TDO_PRIO_DEFAULT};

	s.sel.src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	s.sel.dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
	s.sel.src_plen = s.sel.dst_plen = 32;
	s.sel.proto = 6;
	s.sel.sport = TDO_RANGE_ANY;
	s.sel.dport = (struct tdo_range){port, port};
	s.req[0].proto = 50;
	s.req[0].mode = TDO_MODE_TRANSPORT;
	s.req[0].level = level;
	return s;
}

static inline void
add_sa(const struct tdo_sa_param *s)
{
	struct tdo_wr w = begin(TDO_SADB_ADD, s->key.satype);

	tdo_sadb_put_sa_param(&w, s);
	assert_int_equal(request(&w), 0);
}

static inline void
add_sp(const struct tdo_sp_param *s, uint8_t type)
{
	struct tdo_wr w = begin(type, 0);

	tdo_sadb_put_sp_param(&w, s);
	assert_int_equal(request(&w), 0);
}

static inline void
update_sa(const struct tdo_sa_param *s)
{
	struct tdo_wr w = begin(TDO_SADB_UPDATE, s->key.satype);

	tdo_sadb_put_sa_param(&w, s);
	assert_int_equal(request(&w), 0);
}

static inline void
flush_sas(uint8_t satype)
{
	struct tdo_wr w = begin(TDO_SADB_FLUSH, satype);

	assert_int_equal(request(&w), 0);
}

static inline void
delete_sa(const struct tdo_sa_param *s)
{
	struct tdo_wr w = begin(TDO_SADB_DELETE, s->key.satype);

	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = s->key.spi});
	tdo_sadb_put_sa_addrs(&w, &s->key.src, &s->key.dst);
	assert_int_equal(request(&w), 0);
}

#endif
