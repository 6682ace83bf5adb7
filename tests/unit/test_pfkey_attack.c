/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of PF_KEY that mean ill, or have bad luck: what they do to themselves and to others. */
#include "pfkey_world.h"

static void
register_esp(struct world *w, struct tdo_pfkey_client *c)
{
	say_base(c, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(c, TDO_SADB_REGISTER, 0);
	drain(w->a);
	drain(w->b);
}

/* ---- expiries by the thousand -------------------------------------------------------------- */

enum { MANY = TDO_PFKEY_QUEUE_MAX + 1000 };

/* So many SAs that end at the same moment. */
static void
add_many(struct world *w)
{
	struct tdo_sa_param p = sample(0);

	p.soft.addtime = 5;
	p.hard.addtime = 10;
	p.has_soft = p.has_hard = true;
	for (uint32_t i = 0; i < MANY; i++) {
		p.key.spi = 0x1000 + i;
		add(w, &p, 0);
		drain(w->b);
	}
}

/* Messages of this type that c takes at once, at most max. */
static unsigned
take(struct tdo_pfkey_client *c, uint8_t type, unsigned max)
{
	unsigned n = 0;

	for (; n < max && tdo_pfkey_pending(c); n++)
		hear(c, type, 0);
	return n;
}

/* Who reads, however little at a time, is told of every one, soft and hard. */
static void
d13_a_reader_loses_no_expiry(void **state)
{
	static const unsigned seconds[] = {7, 12};
	struct world *w = *state;

	register_esp(w, w->b);
	add_many(w);
	for (size_t i = 0; i < COUNT(seconds); i++) {
		tdo_ns now = NOW + seconds[i] * TDO_SEC;
		unsigned n = 0;
		bool more = true;

		tdo_engine_tick(w->e, now);
		while (more) {
			more = tdo_pfkey_events(w->k, now);
			n += take(w->b, TDO_SADB_EXPIRE, 64);
		}
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
		assert_int_equal(n, MANY);
	}
	assert_int_equal(tdo_pfkey_lost(w->k), 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
}

/* Who does not read is waited for a second, once, and loses then; who reads does not. */
static void
d02_a_stalled_manager_holds_up_nobody(void **state)
{
	struct world *w = *state;
	tdo_ns now = NOW + 7 * TDO_SEC;
	unsigned n = 0;

	register_esp(w, w->a);
	register_esp(w, w->b);
	add_many(w);
	drain(w->a);
	tdo_engine_tick(w->e, now);
	assert_true(tdo_pfkey_events(w->k, now));
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_true(tdo_pfkey_events(w->k, now + TDO_SEC - 1));
	assert_int_equal(take(w->b, TDO_SADB_EXPIRE, MANY), 0);
	while (tdo_pfkey_events(w->k, now + TDO_SEC))
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_int_equal(n, MANY);
	assert_int_equal(tdo_pfkey_lost(w->k), MANY - TDO_PFKEY_QUEUE_MAX);

	/* Later it is not waited for again, until it has read. */
	tdo_engine_tick(w->e, NOW + 12 * TDO_SEC);
	n = 0;
	while (tdo_pfkey_events(w->k, NOW + 12 * TDO_SEC)) {
		assert_true(tdo_pfkey_pending(w->b));
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
	}
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_int_equal(n, MANY);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    T(d13_a_reader_loses_no_expiry),
	    T(d02_a_stalled_manager_holds_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
