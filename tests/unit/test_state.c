/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that outlives the data process, and the records in it. */
#define _GNU_SOURCE /* memmem */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/record.h"
#include "daemon/state.h"

#define SIZE (256 * 1024)

static const struct tdo_hash_key hkey = {{1, 2}};
static const uint8_t k1[16] = "0123456789abcdef", k2[16] = "0123456789abcdeX";

static struct tdo_sa_param
sa(uint32_t spi, const uint8_t *key)
{
	struct tdo_sa_param p = {.key = {.satype = TDO_SATYPE_ESP, .spi = spi}};

	p.key.src = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	p.key.dst = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
	p.ekey = key;
	p.ekey_bits = 128;
	return p;
}

static struct tdo_state
open_state(void *mem, bool keep, enum tdo_state_found want)
{
	enum tdo_state_found found;
	struct tdo_state s;

	assert_int_equal(tdo_state_open(&s, mem, SIZE, keep, &hkey, &found), 0);
	assert_int_equal(found, want);
	return s;
}

/* Where this text is in the region, or NULL. */
static uint8_t *
look_for(void *mem, const char *text)
{
	if (mem == NULL) /* GCC's sanitizer wants to be told */
		return NULL;
	return memmem(mem, SIZE, text, strlen(text));
}

static void *
region(void)
{
	void *mem = aligned_alloc(4096, SIZE);

	assert_non_null(mem);
	memset(mem, 0, SIZE);
	return mem;
}

static void
counters_go_on(void **state)
{
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	struct tdo_sa_param a = sa(0x1000, k1), b = sa(0x1000, k2), c = sa(0x1001, k1);
	_Atomic uint64_t *n;

	(void)state;
	n = tdo_state_seq(&s, &a);
	assert_non_null(n);
	assert_int_equal(*n, 0);
	*n += 77;
	/* Another key or SPI is another counter. */
	assert_int_equal(*tdo_state_seq(&s, &b), 0);
	assert_int_equal(*tdo_state_seq(&s, &c), 0);
	/* The process is killed; the next one finds the number. */
	s = open_state(mem, true, TDO_STATE_KEPT);
	assert_int_equal(*tdo_state_seq(&s, &a), 77);
	free(mem);
}

static void
slots_are_taken_only_from_the_dead(void **state)
{
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	struct tdo_sa_param keep = sa(0x1000, k1);
	uint32_t spi = 0x2000;

	(void)state;
	*tdo_state_seq(&s, &keep) = 5;
	for (unsigned i = 0; i < 100000 && !tdo_state_sweep_due(&s); i++) {
		struct tdo_sa_param p = sa(spi++, k1);

		(void)tdo_state_seq(&s, &p);
	}
	assert_true(tdo_state_sweep_due(&s));
	while (s.no_slot == 0) {
		struct tdo_sa_param p = sa(spi++, k1);
		_Atomic uint64_t *n = tdo_state_seq(&s, &p);

		if (n != NULL)
			assert_int_equal(*n, 0);
	}
	assert_int_equal(*tdo_state_seq(&s, &keep), 5);
	tdo_state_sweep_begin(&s);
	tdo_state_sweep_keep(&s, &keep);
	tdo_state_sweep_end(&s);
	assert_false(tdo_state_sweep_due(&s));
	for (unsigned i = 0; i < 200; i++) {
		struct tdo_sa_param p = sa(spi++, k1);
		_Atomic uint64_t *n = tdo_state_seq(&s, &p);

		assert_non_null(n);
		assert_int_equal(*n, 0);
	}
	assert_int_equal(*tdo_state_seq(&s, &keep), 5);
	free(mem);
}

/* A process is killed in the middle of a sweep: what it had found alive is alive. */
static void
sweep_that_never_ended(void **state)
{
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	struct tdo_sa_param a = sa(0x1000, k1);
	_Atomic uint64_t *n = tdo_state_seq(&s, &a);

	(void)state;
	*n = 77;
	tdo_state_sweep_begin(&s);
	tdo_state_sweep_keep(&s, &a);
	s = open_state(mem, true, TDO_STATE_KEPT);
	for (uint32_t spi = 0x2000; s.no_slot < 1000; spi++) {
		struct tdo_sa_param b = sa(spi, k1);

		(void)tdo_state_seq(&s, &b);
	}
	assert_ptr_equal(tdo_state_seq(&s, &a), n);
	assert_int_equal(*n, 77);
	free(mem);
}

static unsigned
count_records(const struct tdo_state *s)
{
	struct tdo_state_record r;
	size_t pos = 0;
	unsigned n = 0;

	while (tdo_state_next(s, &pos, &r))
		n++;
	return n;
}

static void
journal_is_read_back(void **state)
{
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	struct tdo_state_record r;
	size_t pos = 0;

	(void)state;
	assert_int_equal(tdo_state_append(&s, 7, "abc", 3, "defgh", 5), 0);
	assert_int_equal(tdo_state_append(&s, 8, NULL, 0, NULL, 0), 0);
	s = open_state(mem, true, TDO_STATE_KEPT);
	assert_true(tdo_state_next(&s, &pos, &r));
	assert_int_equal(r.type, 7);
	assert_int_equal(r.len, 8);
	assert_memory_equal(r.p, "abcdefgh", 8);
	assert_true(tdo_state_next(&s, &pos, &r));
	assert_int_equal(r.type, 8);
	assert_int_equal(r.len, 0);
	assert_false(tdo_state_next(&s, &pos, &r));
	/* Not asked to keep: empty, and the old contents are gone. */
	s = open_state(mem, false, TDO_STATE_FRESH);
	assert_int_equal(count_records(&s), 0);
	assert_null(look_for(mem, "abcdefgh"));
	free(mem);
}

static void
journal_has_an_end(void **state)
{
	static uint8_t big[10000];
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	unsigned n = 0;

	(void)state;
	while (tdo_state_append(&s, 1, big, sizeof(big), NULL, 0) == 0)
		n++;
	assert_true(n > 3 && n < SIZE / sizeof(big));
	assert_int_equal(tdo_state_append(&s, 1, big, sizeof(big), NULL, 0), -ENOSPC);
	assert_int_equal(count_records(&s), n);
	free(mem);
}

static void
compaction_is_all_or_nothing(void **state)
{
	void *mem = region();
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH), next;

	(void)state;
	assert_int_equal(tdo_state_append(&s, 1, "old secret", 10, NULL, 0), 0);
	tdo_state_compact_begin(&s);
	assert_int_equal(tdo_state_append(&s, 2, "new", 3, NULL, 0), 0);
	assert_int_equal(tdo_state_append(&s, 2, "new", 3, NULL, 0), 0);
	/* Killed here: the old journal counts. */
	next = open_state(mem, true, TDO_STATE_KEPT);
	assert_int_equal(count_records(&next), 1);
	tdo_state_compact_commit(&s);
	next = open_state(mem, true, TDO_STATE_KEPT);
	assert_int_equal(count_records(&next), 2);
	assert_null(look_for(mem, "old secret"));
	tdo_state_compact_begin(&next);
	assert_int_equal(tdo_state_append(&next, 3, "gone", 4, NULL, 0), 0);
	tdo_state_compact_abort(&next);
	assert_null(look_for(mem, "gone"));
	assert_int_equal(tdo_state_append(&next, 3, "more", 4, NULL, 0), 0);
	assert_int_equal(count_records(&next), 3);
	free(mem);
}

static void
damage_is_found(void **state)
{
	uint8_t *mem = region(), *rec;
	struct tdo_state s = open_state(mem, false, TDO_STATE_FRESH);
	uint32_t huge = 0x7fffffff;

	(void)state;
	assert_int_equal(tdo_state_append(&s, 1, "record one", 10, NULL, 0), 0);
	rec = look_for(mem, "record one");
	assert_non_null(rec);
	memcpy(rec - 8, &huge, sizeof(huge));
	assert_int_equal(tdo_state_marks(&s), 0);
	s = open_state(mem, true, TDO_STATE_CORRUPT);
	assert_int_equal(count_records(&s), 0);
	/* The one after the next still has to know. */
	s = open_state(mem, true, TDO_STATE_KEPT);
	assert_int_equal(tdo_state_marks(&s), TDO_STATE_LOST);
	tdo_state_mark(&s, TDO_STATE_LOST, false);
	assert_int_equal(tdo_state_marks(&s), 0);
	mem[0] ^= 1; /* magic */
	(void)open_state(mem, true, TDO_STATE_CORRUPT);
	mem[8] ^= 1; /* version */
	(void)open_state(mem, true, TDO_STATE_CORRUPT);
	memset(mem, 0xff, 4096);
	(void)open_state(mem, true, TDO_STATE_CORRUPT);
	free(mem);
}

static void
small_regions_are_refused(void **state)
{
	void *mem = region();
	enum tdo_state_found found;
	struct tdo_state s;

	(void)state;
	assert_int_equal(tdo_state_open(&s, mem, 4096, false, &hkey, &found), -EINVAL);
	assert_int_equal(tdo_state_open(&s, NULL, SIZE, false, &hkey, &found), -EINVAL);
	free(mem);
}

/* ---- records ------------------------------------------------------------------------ */

static size_t
sa_record(uint8_t *buf, uint64_t created, uint64_t bytes, uint64_t hard_add, uint64_t hard_bytes)
{
	struct tdo_sa_info info = {.param = sa(0x1000, k1)};
	struct tdo_rec_sa r;
	uint8_t keys[2 * TDO_KEY_MAX];
	size_t n;

	info.param.akey = k2;
	info.param.akey_bits = 128;
	info.param.has_hard = true;
	info.param.hard = (struct tdo_lifetime){.addtime = hard_add, .bytes = hard_bytes};
	info.current.bytes = bytes;
	info.made = created * TDO_SEC;
	n = tdo_rec_sa_make(&info, &r, keys);
	assert_int_equal(n, 32);
	memcpy(buf, &r, sizeof(r));
	memcpy(buf + sizeof(r), keys, n);
	return sizeof(r) + n;
}

static void
lifetimes_do_not_start_anew(void **state)
{
	uint8_t buf[4096];
	struct tdo_sa_param p;
	size_t n = sa_record(buf, 1000, 400, 3600, 1000);
	bool over;

	(void)state;
	assert_true(tdo_rec_sa_read(buf, n, 1600 * TDO_SEC, &p, &over));
	assert_false(over);
	assert_int_equal(p.hard.addtime, 3000);
	assert_int_equal(p.hard.bytes, 600);
	assert_memory_equal(p.ekey, k1, 16);
	assert_memory_equal(p.akey, k2, 16);
	assert_true(tdo_rec_sa_read(buf, n, 4600 * TDO_SEC, &p, &over));
	assert_true(over);
	n = sa_record(buf, 1000, 1000, 0, 1000);
	assert_true(tdo_rec_sa_read(buf, n, 1001 * TDO_SEC, &p, &over));
	assert_true(over);
	/* What was made later than now takes nothing off, and no limit stays no limit. */
	n = sa_record(buf, 1000, 0, 50, 0);
	assert_true(tdo_rec_sa_read(buf, n, 10 * TDO_SEC, &p, &over));
	assert_false(over);
	assert_int_equal(p.hard.addtime, 50);
	assert_int_equal(p.hard.bytes, 0);
}

static void
malformed_records_are_refused(void **state)
{
	uint8_t buf[4096];
	struct tdo_sa_param p;
	struct tdo_sp_param sp;
	struct tdo_rec_sp rsp;
	size_t n = sa_record(buf, 1000, 0, 0, 0);
	bool over;

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_false(tdo_rec_sa_read(buf, i, 1, &p, &over));
	assert_false(tdo_rec_sa_read(buf, n + 1, 1, &p, &over));
	((struct tdo_rec_sa *)(void *)buf)->param.ekey_bits = 0xffff;
	assert_false(tdo_rec_sa_read(buf, sizeof(buf), 1, &p, &over));

	memset(&rsp, 0, sizeof(rsp));
	rsp.head[offsetof(struct tdo_sp_param, nreq)] = TDO_REQ_MAX + 1;
	memcpy(buf, &rsp, sizeof(rsp));
	assert_false(tdo_rec_sp_read(
	    buf, sizeof(rsp) + (TDO_REQ_MAX + 1) * sizeof(struct tdo_req), 1, &sp, &over));
	rsp.head[offsetof(struct tdo_sp_param, nreq)] = 1;
	memcpy(buf, &rsp, sizeof(rsp));
	assert_false(tdo_rec_sp_read(buf, sizeof(rsp), 1, &sp, &over));
	memset(buf + sizeof(rsp), 0x11, sizeof(struct tdo_req));
	assert_true(tdo_rec_sp_read(buf, sizeof(rsp) + sizeof(struct tdo_req), 1, &sp, &over));
	assert_int_equal(sp.req[0].reqid, 0x11111111);
	assert_false(over);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counters_go_on),
	    cmocka_unit_test(slots_are_taken_only_from_the_dead),
	    cmocka_unit_test(sweep_that_never_ended),
	    cmocka_unit_test(journal_is_read_back),
	    cmocka_unit_test(journal_has_an_end),
	    cmocka_unit_test(compaction_is_all_or_nothing),
	    cmocka_unit_test(damage_is_found),
	    cmocka_unit_test(small_regions_are_refused),
	    cmocka_unit_test(lifetimes_do_not_start_anew),
	    cmocka_unit_test(malformed_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
