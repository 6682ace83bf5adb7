/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY endpoint: long messages, lengths that are wrong, clients that do not read. */
#include "pfkey_world.h"

/* ---- sizes
 * --------------------------------------------------------------------------------------- */

/* BSD takes 2048 bytes; eight requests with IPv6 endpoints, identities and a long one fit here. */
static void
d51_messages_may_be_long(void **state)
{
	struct world *w = *state;
	static uint8_t big[60000];
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_wr b = tdo_wr_init(big, sizeof(big));
	size_t len;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3, .seq = 77});
	tdo_sadb_put_sa_param(&b, &p);
	for (uint16_t type = TDO_SADB_EXT_IDENTITY_SRC; type <= TDO_SADB_EXT_IDENTITY_DST; type++) {
		const uint16_t units = 1000;

		tdo_wr_h16(&b, units);
		tdo_wr_h16(&b, type);
		tdo_wr_h16(&b, TDO_SADB_IDENT_FQDN);
		tdo_wr_zero(&b, 10);
		for (unsigned i = 0; i < units * 8u - 24; i++)
			tdo_wr_u8(&b, 'x');
		tdo_wr_zero(&b, 8);
	}
	len = tdo_sadb_end(&b);
	assert_true(len > 16000);
	tdo_pfkey_input(w->a, big, len, NOW);
	hear(w->a, TDO_SADB_ADD, 0); /* and it is told in full, without the keys */
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_IDENTITY_SRC));
	assert_int_equal(got.ext[TDO_SADB_EXT_IDENTITY_DST].len, 8000);
	hear(w->b, TDO_SADB_ADD, 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

/* A number that was picked and has more than 16 bits makes the answer longer than its request. */
static void
answers_may_be_longer_than_long_requests(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param p = sample_sp(1);
	static uint8_t big[8192];

	p.req[0].level = TDO_LEVEL_UNIQUE;
	p.req[0].reqid = 100000;
	spd(w, TDO_SADB_X_SPDADD, &p, 0);
	p.req[0].reqid = 0;
	for (uint16_t units = 480; units < 530; units++) {
		struct tdo_wr b = tdo_wr_init(big, sizeof(big));

		tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDUPDATE});
		tdo_sadb_put_sp_param(&b, &p);
		tdo_wr_h16(&b, units);
		tdo_wr_h16(&b, TDO_SADB_EXT_IDENTITY_SRC);
		tdo_wr_h16(&b, TDO_SADB_IDENT_FQDN);
		tdo_wr_zero(&b, 10);
		for (unsigned i = 0; i < units * 8u - 24; i++)
			tdo_wr_u8(&b, 'x');
		tdo_wr_zero(&b, 8);
		tdo_pfkey_input(w->a, big, tdo_sadb_end(&b), NOW);
		hear(w->a, TDO_SADB_X_SPDUPDATE, 0);
		assert_true(tdo_sadb_has(&got, TDO_SADB_X_EXT_TDO_SP));
		silence(w->a);
	}
}

/* Every length and family of every socket address: refused, or it is a good one. */
static void
d26_lengths_of_socket_addresses_are_checked(void **state)
{
	struct world *w = *state;
	static uint8_t copy[4096];
	const struct tdo_sp_param sp = sample_sp(1);
	unsigned good = 0, bad = 0;
	size_t len;

	begin(TDO_SADB_X_SPDADD, 0);
	tdo_sadb_put_sp_param(&wr, &sp);
	len = tdo_sadb_end(&wr);
	for (size_t at = TDO_SADB_BASE_LEN; at + 1 < len; at++) {
		if (request[at] != TDO_SADB_SIN_LEN || request[at + 1] != TDO_SADB_AF_INET)
			continue;
		for (unsigned v = 0; v < 512; v++) { /* a length, then a family */
			memcpy(copy, request, len);
			copy[at + v / 256] = (uint8_t)v;
			tdo_pfkey_input(w->a, copy, len, NOW);
			assert_true(tdo_pfkey_pull(w->a, answer, sizeof(answer)) > 0);
			if (answer[2] == 0)
				good++;
			else
				bad++;
			tdo_sp_flush(w->e);
			drain(w->b);
		}
	}
	/* Two selectors and two endpoints; of each the value itself as length and as family. */
	assert_int_equal(good, 8);
	assert_int_equal(bad, 4 * 512 - 8);
}

/* ---- a client that does not read
 * ----------------------------------------------------------------- */

/* A dump under way, ten seconds of 10,000 changes: bounded, nobody waits, the dump is whole. */
static void
d02_a_stalled_dump_costs_no_memory_and_no_time(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p;
	unsigned n = 0;
	long before = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		p = sample(0x1000 + i);
		add(w, &p, 0);
	}
	drain(w->b);
	say_base(w->b, TDO_SADB_DUMP, 0);
	hear(w->b, TDO_SADB_DUMP, 0);
	for (unsigned i = 0; i < 100000; i++) {
		if (i == 10000)
			before = w->blocks;
		p = sample(0x100000);
		if (i % 2 == 0)
			add(w, &p, 0);
		else
			say_key(w->a, TDO_SADB_DELETE, 0x100000);
		if (i % 2 == 1)
			hear(w->a, TDO_SADB_DELETE, 0);
		if (i % 100 == 0)
			tdo_engine_tick(w->e, NOW);
	}
	tdo_engine_tick(w->e, NOW);
	assert_true(w->blocks <= before + 200);
	assert_true(tdo_pfkey_lost(w->k) > 90000);
	for (;;) {
		size_t len = tdo_pfkey_pull(w->b, answer, sizeof(answer));
		struct tdo_sadb_base b;

		assert_true(tdo_sadb_base_read(answer, len, &b));
		n += b.type == TDO_SADB_DUMP;
		if (b.type == TDO_SADB_DUMP && b.seq == 0)
			break;
	}
	assert_int_equal(n, 999);
	assert_in_range(drain(w->b), 1, TDO_PFKEY_QUEUE_MAX);
}

/* Long messages: the bytes are bounded, too. */
static void
broadcasts_are_bounded_in_bytes(void **state)
{
	struct world *w = *state;
	static uint8_t big[40000];
	struct tdo_wr b = tdo_wr_init(big, sizeof(big));
	struct tdo_sa_param p = sample(0x1001);
	const uint16_t units = 3000;
	size_t len, bytes = 0;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
	tdo_sadb_put_sa_param(&b, &p);
	tdo_wr_h16(&b, units);
	tdo_wr_h16(&b, TDO_SADB_EXT_IDENTITY_SRC);
	tdo_wr_h16(&b, TDO_SADB_IDENT_FQDN);
	tdo_wr_zero(&b, units * 8u - 6);
	len = tdo_sadb_end(&b);
	for (unsigned i = 0; i < 1000; i++) {
		tdo_pfkey_input(w->a, big, len, NOW);
		hear(w->a, TDO_SADB_ADD, 0);
		tdo_sa_flush(w->e, 0);
	}
	while ((len = tdo_pfkey_pull(w->b, answer, sizeof(answer))) > 0)
		bytes += len;
	assert_in_range(bytes, TDO_PFKEY_QUEUE_BYTES / 2, TDO_PFKEY_QUEUE_BYTES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(d51_messages_may_be_long),
	    T(answers_may_be_longer_than_long_requests),
	    T(d26_lengths_of_socket_addresses_are_checked),
	    T(d02_a_stalled_dump_costs_no_memory_and_no_time),
	    T(broadcasts_are_bounded_in_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
