/* SPDX-License-Identifier: BSD-2-Clause */
/* What the PF_KEY endpoint tells the operator: the log, the counters. */
#include "pfkey_world.h"

static void
debug_is_a_mask(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	assert_int_equal(w->lines, 0);
	set_knob(w, TDO_KNOB_KEY_DEBUG, 0x03); /* which messages was not said */
	add(w, &p, EEXIST);
	assert_int_equal(w->lines, 0);
	set_knob(w, TDO_KNOB_KEY_DEBUG, 0x11);
	add(w, &p, EEXIST);
	assert_int_equal(w->lines, 1);
	assert_non_null(strstr(w->log, "SADB_ADD"));
	assert_non_null(strstr(w->log, "pid 4711"));
	assert_non_null(strstr(w->log, "errno 17"));
	set_knob(w, TDO_KNOB_KEY_DEBUG, 0x13);
	p.key.spi = 0xabcdef;
	add(w, &p, 0);
	assert_non_null(strstr(w->log, "spi 0xabcdef"));
	assert_non_null(strstr(w->log, "SADB_EXT_ADDRESS_DST 10.0.0.2/32"));
	assert_non_null(strstr(w->log, "SADB_EXT_KEY_ENCRYPT, "));
	assert_null(strstr(w->log, "0123456789")); /* keys never */
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);       /* malformed: why */
	request[16] = 9;
	tdo_pfkey_input(w->a, request, 16, NOW);
	assert_non_null(strstr(w->log, "message length is not the length received"));
	drain(w->a);
	/* Events. */
	w->log[0] = 0;
	set_knob(w, TDO_KNOB_KEY_DEBUG, 0x43);
	drain(w->b);
	be_manager(w, TDO_SATYPE_ESP);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	tdo_sa_flush(w->e, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tick(w, NOW);
	assert_non_null(strstr(w->log, "SADB_ACQUIRE"));
	assert_non_null(strstr(w->log, "SADB_EXT_PROPOSAL"));
	assert_null(strstr(w->log, "SADB_REGISTER"));
}

static void
messages_are_counted(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	struct tdo_sa_param p = sample(0x1001);

	be_manager(w, TDO_SATYPE_ESP);
	add(w, &p, 0);
	add(w, &p, EEXIST);
	assert_int_equal(s->out_total, 3);
	assert_int_equal(s->out_msgtype[TDO_SADB_ADD], 2);
	assert_int_equal(s->out_msgtype[TDO_SADB_REGISTER], 1);
	assert_int_equal(s->out_refused, 1);
	assert_int_equal(s->in_one, 3);
	assert_int_equal(s->in_all, 1);
	assert_int_equal(s->in_registered, 1);
	tdo_pfkey_input(w->a, request, 7, NOW);
	say_base(w->a, TDO_SADB_DUMP, TDO_SADB_SATYPE_MIP);
	say_base(w->a, TDO_SADB_DUMP, 4);
	assert_int_equal(s->out_tooshort, 1);
	assert_int_equal(s->out_invsatype, 2);
	assert_int_equal(s->in_total, 3);
	drain(w->a);
	drain(w->b);
	assert_int_equal(s->in_total, 7);
	assert_int_equal(s->in_msgtype[TDO_SADB_ADD], 3);
	assert_true(s->in_bytes > 7 * 16 && s->out_bytes > 200);
}

/* What is wrong with a message, by the counters of the BSDs; each fault moves its own alone. */
static void
malformed_messages_are_counted_by_their_fault(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	struct tdo_sa_param p = sample(0x1001);
	const struct {
		const uint64_t *counter;
		unsigned at; /* this byte ... */
		uint8_t v;   /* ... becomes this */
		unsigned cut;
	} cases[] = {
	    {&s->out_tooshort, 0, 2, 15},
	    {&s->out_invlen, 4, 1, 0},
	    {&s->out_invver, 0, 1, 0},
	    {&s->out_invmsgtype, 1, 0, 0},
	    {&s->out_invmsgtype, 1, 200, 0},
	    {&s->out_invsatype, 3, 0, 0},
	    {&s->out_invsatype, 3, 1, 0},
	    {&s->out_invexttype, 18, 120, 0},
	    {&s->out_inval, 16, 0, 0}, /* length of an extension: the BSDs have no name for it */
	    {&s->out_dupext, 34, TDO_SADB_EXT_SA, 0},
	};
	static uint8_t copy[4096];
	struct tdo_wr b;
	size_t len;

	for (unsigned i = 0; i < COUNT(cases); i++) {
		uint64_t before = *cases[i].counter, total = s->out_total, sum = 0;

		b = tdo_wr_init(copy, sizeof(copy));
		tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
		tdo_sadb_put_sa_head(&b, &p);
		len = tdo_sadb_end(&b);
		if (cases[i].counter == &s->out_dupext) { /* SA2 is as long as SA */
			assert_int_equal(copy[34], TDO_SADB_X_EXT_SA2);
			memcpy(copy + 32, copy + 16, 16);
		}
		copy[cases[i].at] = cases[i].v;
		copy[cases[i].at + 1] = cases[i].at >= 16 ? 0 : copy[cases[i].at + 1];
		tdo_pfkey_input(w->a, copy, cases[i].cut ? cases[i].cut : len, NOW);
		if (*cases[i].counter != before + 1)
			fail_msg("case %u was not counted", i);
		assert_int_equal(s->out_total, total + 1);
		sum = s->out_tooshort + s->out_invlen + s->out_invver + s->out_invmsgtype +
		      s->out_invsatype + s->out_dupext + s->out_invexttype + s->out_invaddr +
		      s->out_inval + s->out_nomem;
		for (unsigned t = 0; t < TDO_PFKEY_TYPES; t++)
			sum += s->out_msgtype[t];
		assert_int_equal(sum, s->out_total);
	}
}

static void
addresses_that_cannot_be_are_counted(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	static uint8_t copy[4096];
	struct tdo_wr b = tdo_wr_init(copy, sizeof(copy));
	size_t len;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_DELETE, .satype = 3});
	tdo_sadb_put_sa_addrs(&b, &A4, &B4);
	len = tdo_sadb_end(&b);
	copy[16 + 8] = 77; /* the family of the source */
	tdo_pfkey_input(w->a, copy, len, NOW);
	assert_int_equal(s->out_invaddr, 1);
	tdo_pfkey_count_sockerr(w->k);
	assert_int_equal(s->sockerr, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(debug_is_a_mask),
	    T(messages_are_counted),
	    T(malformed_messages_are_counted_by_their_fault),
	    T(addresses_that_cannot_be_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
