/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of an SA as clients of PF_KEY see it: UPDATE, EXPIRE, and what a newer one does to it.
 */
#include "pfkey_world.h"

/* ---- UPDATE
 * -------------------------------------------------------------------------------------- */

/* SA with SPI and algorithms, addresses, nothing else. */
static void
say_update(
    struct world *w, const struct tdo_sadb_sa *sa, bool keys, const struct tdo_addr *src, int err)
{
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, sa);
	tdo_sadb_put_sa_addrs(&wr, src, &B4);
	if (keys) {
		tdo_sadb_put_key(&wr, TDO_SADB_EXT_KEY_ENCRYPT, key, 128);
		tdo_sadb_put_key(&wr, TDO_SADB_EXT_KEY_AUTH, key, 160);
	}
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, err);
}

static void
an_update_changes_what_it_says(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sa_info i;

	p.replay = 4096;
	p.mode = TDO_MODE_TUNNEL;
	p.flags = TDO_SAF_PZERO;
	add(w, &p, 0);
	say_update(w, &(struct tdo_sadb_sa){.spi = 0x1001}, false, &A4, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 4096);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.reqid, 7);
	assert_int_equal(i.param.flags, TDO_SAF_PZERO);
	assert_int_equal(i.param.ealg, 12);
	/* New algorithms come with their flags; mode and window stay. */
	say_update(w, &(struct tdo_sadb_sa){.spi = 0x1001, .auth = 3, .encrypt = 12}, true, &A4, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.flags, 0);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.replay, 4096);
	/* What is said counts. */
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001, .replay = 8});
	tdo_sadb_put_sa2(&wr, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TRANSPORT, .reqid = 9});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 64);
	assert_int_equal(i.param.mode, TDO_MODE_TRANSPORT);
	assert_int_equal(i.param.reqid, 9);
	/* A window of 0, said aloud. */
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_replay(&wr, 0);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 0);
}

static void
a_larval_sa_is_completed_by_its_name(void **state)
{
	struct world *w = *state;
	struct tdo_sa_info i;

	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa2(&wr, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TUNNEL, .reqid = 3});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){4096, 4096});
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GETSPI, 0);
	say_update(
	    w, &(struct tdo_sadb_sa){.spi = 4097, .auth = 3, .encrypt = 12}, true, &A4, ENOENT);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096, .auth = 3, .encrypt = 12}, true,
	    &(struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}}, ENOENT);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096}, false, &A4, EINVAL); /* no keys yet */
	assert_int_equal(look(w, 4096).param.state, TDO_SA_LARVAL);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096, .auth = 3, .encrypt = 12}, true, &A4, 0);
	i = look(w, 4096);
	assert_int_equal(i.param.state, TDO_SA_MATURE);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.reqid, 3);
}

/* ---- EXPIRE
 * -------------------------------------------------------------------------------------- */

static void
d13_expiry_is_told_to_registered_clients(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sp_param sp = sample_sp(1);
	struct tdo_sadb_sa sa;

	p.soft.addtime = 5;
	p.hard.addtime = 10;
	p.has_soft = p.has_hard = true;
	be_manager(w, TDO_SATYPE_ESP);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	tick(w, NOW + 7 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	exactly(&got, 6, TDO_SADB_EXT_SA, TDO_SADB_X_EXT_SA2, TDO_SADB_EXT_LIFETIME_CURRENT,
	    TDO_SADB_EXT_LIFETIME_SOFT, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST);
	assert_true(tdo_sadb_get_sa(&got, &sa));
	assert_int_equal(sa.spi, 0x1001);
	assert_int_equal(got.base.satype, TDO_SATYPE_ESP);
	tick(w, NOW + 12 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	exactly(&got, 6, TDO_SADB_EXT_SA, TDO_SADB_X_EXT_SA2, TDO_SADB_EXT_LIFETIME_CURRENT,
	    TDO_SADB_EXT_LIFETIME_HARD, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST);
	silence(w->a); /* not registered */

	sp.lifetime = 5;
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	tick(w, NOW + 30 * TDO_SEC);
	hear(w->b, TDO_SADB_X_SPDEXPIRE, 0);
	exactly(&got, 5, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST,
	    TDO_SADB_EXT_LIFETIME_CURRENT, TDO_SADB_EXT_LIFETIME_HARD, TDO_SADB_X_EXT_POLICY);
	silence(w->a);
}

/* Never used: the soft limit is told all the same, and the SA stays. */
static void
d14_expiry_of_an_unused_sa_is_told(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_lifetime l;

	be_manager(w, TDO_SATYPE_ESP);
	p.soft.addtime = 1;
	p.has_soft = true; /* soft alone (D12) */
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	tick(w, NOW + 2 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_CURRENT, &l));
	assert_int_equal(l.allocations, 0);
	assert_int_equal(l.usetime, 0);
	assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_SOFT, &l));
	assert_int_equal(l.addtime, 1);
	tick(w, NOW + 50 * TDO_SEC);
	silence(w->b);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

/* ---- newer SAs
 * ----------------------------------------------------------------------------------- */

/* A newer SA does not delete the older one, so no DELETE is sent, right or wrong. */
static void
d17_d18_a_newer_sa_leaves_the_older(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	be_manager(w, TDO_SATYPE_ESP);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	p.key.spi = 0x1002;
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(send_packet(w), TDO_VERDICT_SEND);
		tick(w, NOW + i * TDO_SEC);
	}
	silence(w->b);
	/* What is deleted is named by its own addresses. */
	say_key(w->a, TDO_SADB_DELETE, 0x1002);
	hear(w->b, TDO_SADB_DELETE, 0);
	{
		struct tdo_sa_key k;

		assert_int_equal(tdo_sadb_get_sa_key(&got, &k, NULL), 0);
		assert_true(tdo_addr_equal(&k.src, &A4) && tdo_addr_equal(&k.dst, &B4));
		assert_int_equal(k.spi, 0x1002);
	}
	assert_int_equal(send_packet(w), TDO_VERDICT_SEND); /* the older serves again */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_update_changes_what_it_says),
	    T(a_larval_sa_is_completed_by_its_name),
	    T(d13_expiry_is_told_to_registered_clients),
	    T(d14_expiry_of_an_unused_sa_is_told),
	    T(d17_d18_a_newer_sa_leaves_the_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
