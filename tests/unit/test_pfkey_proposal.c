/* SPDX-License-Identifier: BSD-2-Clause */
/* What is proposed to key managers: the combinations of an ACQUIRE. */
#include "pfkey_world.h"
#include "testudo/comp.h"

/* Asks for an acquire of this SA type and reads its combinations; returns how many. */
static unsigned
proposal(struct world *w, struct tdo_sadb_comb *list, unsigned max)
{
	unsigned n = 0;

	tdo_engine_set_acquirers(w->e, 0); /* forget what was asked */
	tdo_engine_set_acquirers(w->e, UINT32_MAX);
	ask(w);
	while (tdo_sadb_get_comb(&got, n, &list[n]))
		assert_true(++n < max);
	return n;
}

static void
d16_d40_proposals_are_complete_and_strong(void **state)
{
	struct world *w = *state;
	static struct tdo_sadb_comb c[200];
	unsigned combined, n, pairs = 0;

	be_manager(w, TDO_SATYPE_ESP);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	n = combined = proposal(w, c, COUNT(c));
	assert_true(n > 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(c[i].auth, 0); /* esp_auth is 0 */
		assert_true(
		    c[i].encrypt_minbits >= 256 && c[i].encrypt_minbits <= c[i].encrypt_maxbits);
		assert_true(tdo_alg_keylen_ok(tdo_alg_enc(c[i].encrypt), c[i].encrypt_minbits));
		assert_int_equal(tdo_alg_enc(c[i].encrypt)->kind, TDO_ALG_AEAD);
		assert_int_equal(c[i].hard.addtime, 86400);
		assert_int_equal(c[i].soft.addtime, 69120);
		assert_int_equal(c[i].hard.usetime, 28800);
		assert_int_equal(c[i].soft.usetime, 23040);
	}
	set_knob(w, TDO_KNOB_ESP_AUTH, 1);
	n = proposal(w, c, COUNT(c));
	for (unsigned i = 0; i < n; i++) {
		assert_true(tdo_alg_enc(c[i].encrypt)->level <= TDO_LEVEL_SHOULD);
		assert_true(c[i].encrypt_minbits >= 256);
		if (c[i].auth == 0)
			continue;
		pairs++;
		assert_true(tdo_alg_auth(c[i].auth)->level <= TDO_LEVEL_SHOULD);
		assert_true(c[i].auth_minbits >= 128);
		assert_true(tdo_alg_keylen_ok(tdo_alg_auth(c[i].auth), c[i].auth_minbits));
	}
	assert_int_equal(n, combined + pairs);
	assert_true(pairs > 0);
	set_knob(w, TDO_KNOB_AH_KEYMIN, 4096); /* no algorithm has such keys */
	assert_int_equal(proposal(w, c, COUNT(c)), combined);
	set_knob(w, TDO_KNOB_ESP_KEYMIN, 4096);
	assert_int_equal(proposal(w, c, COUNT(c)), 0);
	set_knob(w, TDO_KNOB_ESP_KEYMIN, 0);
	n = proposal(w, c, COUNT(c));
	assert_true(n > 0 && c[0].encrypt_minbits < 256);
}

/* Authentication alone, and nothing that GMAC, which RFC 8221 only allows, would add. */
static void
ah_is_proposed_without_ciphers(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_comb c[128];
	unsigned n;

	be_manager(w, TDO_SATYPE_AH);
	want(w, TDO_IPPROTO_AH, TDO_LEVEL_REQUIRE);
	n = proposal(w, c, COUNT(c));
	assert_int_equal(got.base.satype, TDO_SATYPE_AH);
	assert_true(n >= 3);
	assert_int_equal(c[0].auth, 5);
	for (unsigned i = 0; i < n; i++) {
		const struct tdo_alg *a = tdo_alg_auth(c[i].auth);

		assert_int_equal(c[i].encrypt + c[i].encrypt_minbits + c[i].encrypt_maxbits, 0);
		assert_true(a->level <= TDO_LEVEL_SHOULD && !a->no_auth && !a->ah_only);
		assert_int_equal(c[i].auth_minbits, a->key_min);
		assert_int_equal(c[i].hard.addtime, 86400);
	}
	set_knob(w, TDO_KNOB_AH_KEYMIN, 256);
	assert_true(proposal(w, c, COUNT(c)) < n);
}

/* KAME: the compression algorithm in the place of the cipher, without bits of a key. */
static void
ipcomp_is_proposed_without_keys(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_comb c[128];

	be_manager(w, TDO_SATYPE_IPCOMP);
	want(w, TDO_IPPROTO_IPCOMP, TDO_LEVEL_REQUIRE);
	assert_int_equal(proposal(w, c, COUNT(c)), tdo_comp_alg(2)->not_there ? 0 : 1);
	assert_int_equal(got.base.satype, TDO_SATYPE_IPCOMP);
	if (tdo_comp_alg(2)->not_there)
		return; /* built without libdeflate */
	assert_int_equal(c[0].encrypt, 2);
	assert_int_equal(c[0].encrypt_minbits + c[0].encrypt_maxbits, 0);
	assert_int_equal(c[0].auth + c[0].auth_minbits + c[0].auth_maxbits, 0);
	assert_int_equal(c[0].hard.addtime, 86400);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(d16_d40_proposals_are_complete_and_strong),
	    T(ah_is_proposed_without_ciphers),
	    T(ipcomp_is_proposed_without_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
