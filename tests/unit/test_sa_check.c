/* SPDX-License-Identifier: BSD-2-Clause */
/* Which combinations of format, algorithm and level are refused, and what the text says. */
#include <errno.h>

#include "built.h"
#include "ctl_case.h"
#include "engine/engine.h"

#define A "192.0.2.1"
#define B "192.0.2.2"

/* ESP with these algorithms, by name, and the shortest keys. */
static struct tdo_sa_param
sa(const char *enc, const char *auth, uint32_t flags)
{
	const struct tdo_alg *e = tdo_alg_enc_by_name(enc);
	const struct tdo_alg *a = auth ? tdo_alg_auth_by_name(auth) : NULL;
	static uint8_t key[TDO_KEY_MAX];
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	assert_non_null(e);
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 1); /* the parts of a 3DES key are different */
	p.ealg = e->pfkey;
	p.ekey_bits = e->key_min;
	p.aalg = a ? a->pfkey : 0;
	p.akey_bits = a ? a->key_min : 0;
	p.ekey = p.akey = key;
	p.flags = flags;
	p.replay = 0;
	return p;
}

static void
refused(struct tdo_sa_param p, const char *part)
{
	struct tdo_err err = {NULL};

	assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EINVAL);
	assert_non_null(err.text);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", err.text, part);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

static void
accepted(struct tdo_sa_param p)
{
	struct tdo_err err = {NULL};

	if (tdo_sa_add(c.e, &p, c.now, &err) != 0)
		fail_msg("refused: %s", err.text ? err.text : "");
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
}

/* Spec 4.3; every text says what is wrong. */
static void
old_format_takes_little(void **state)
{
	struct tdo_sa_param p;

	(void)state;
	accepted(sa("3des-cbc", NULL, TDO_SAF_OLD));
	accepted(sa("null", NULL, TDO_SAF_OLD));
	refused(sa("3des-cbc", "hmac-sha1", TDO_SAF_OLD), "esp-old has no authentication");
	refused(sa("3des-cbc", "null", TDO_SAF_OLD), "esp-old has no authentication");
	refused(sa("3des-cbc", NULL, TDO_SAF_OLD | TDO_SAF_ESN), "no sequence numbers to extend");
	refused(sa("aes-gcm-16", NULL, TDO_SAF_OLD), "aes-gcm-16 exists in the new ESP only");
	refused(sa("aes-ctr", NULL, TDO_SAF_OLD), "aes-ctr exists in the new ESP only");
	refused(sa("chacha20-poly1305-iiv", NULL, TDO_SAF_OLD), "new ESP only");
	refused(sa("des-cbc", NULL, TDO_SAF_OLD | TDO_SAF_DERIV), "which esp-old has not");
	p = sa("3des-cbc", NULL, TDO_SAF_OLD);
	p.replay = 32;
	refused(p, "replay prevention needs sequence numbers");
	p.replay = 0;
	p.adaptive = true;
	refused(p, "replay prevention needs sequence numbers");
}

static void
half_an_iv_is_for_des(void **state)
{
	(void)state;
	refused(sa("3des-cbc", "hmac-sha1", TDO_SAF_DERIV), "3des-cbc with a derived IV");
	refused(sa("aes-cbc", NULL, TDO_SAF_OLD | TDO_SAF_IV4B), "aes-cbc with a 32-bit IV");
	refused(sa("aes-gcm-16", NULL, TDO_SAF_IV4B), "only des-cbc has");
	refused(sa("des-cbc", "hmac-sha1", TDO_SAF_IV4B), "exists in esp-old only");
	refused(sa("des-cbc", "hmac-sha1", TDO_SAF_DERIV | TDO_SAF_ESN), "would come again");
}

static void
extended_numbers_need_an_icv_that_proves(void **state)
{
	(void)state;
	refused(sa("aes-cbc", NULL, TDO_SAF_ESN), "need authentication");
	if (BUILT_LEGACY)
		refused(sa("aes-cbc", "null", TDO_SAF_ESN), "need authentication");
	accepted(sa("aes-cbc", "hmac-sha1", TDO_SAF_ESN));
	accepted(sa("aes-gcm-16", NULL, TDO_SAF_ESN));
	accepted(sa("null", "hmac-sha256", TDO_SAF_ESN));
}

static void
null_authentication_is_warned_about(void **state)
{
	(void)state;
	accepted(sa("aes-cbc", "hmac-sha256", 0));
	assert_int_equal(c.warnings, 0);
	accepted(sa("aes-cbc", "null", 0));
	assert_non_null(strstr(c.last_warning, "without authentication"));
}

/* ---- RFC 8221 ---- */

static const char *
weak(const char *name, const char *level)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s is refused: RFC 8221 says %s, and net.key.weak_algs is",
	    name, level);
	return text;
}

static void
level(int32_t v)
{
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_WEAK_ALGS, TDO_AF_INET, v), 0);
}

static void
d40_weak_algorithms_are_refused_by_level(void **state)
{
	(void)state;
	/* As it is installed: everything works, with a warning for each algorithm. */
	accepted(sa("3des-cbc", "hmac-sha1", 0));
	accepted(sa("blowfish-cbc", "hmac-md5", 0));
	assert_int_equal(c.warnings, 3);
	accepted(sa("blowfish-cbc", "hmac-md5", 0));
	assert_int_equal(c.warnings, 3);
	level(1);
	accepted(sa("3des-cbc", "hmac-sha1", 0));
	refused(sa("blowfish-cbc", "hmac-sha1", 0), weak("blowfish-cbc", "MUST NOT"));
	refused(sa("aes-cbc", "hmac-md5", 0), weak("hmac-md5", "MUST NOT"));
	refused(sa("aes-cbc", "null", 0), weak("no authentication", "MUST NOT"));
	refused(sa("aes-cbc", NULL, 0), weak("no authentication", "MUST NOT"));
	refused(sa("3des-cbc", NULL, TDO_SAF_OLD), weak("no authentication", "MUST NOT"));
	level(0);
	refused(sa("3des-cbc", "hmac-sha1", 0), weak("3des-cbc", "SHOULD NOT"));
	refused(sa("3des-cbc", "hmac-sha1", 0), "net.key.weak_algs is 0");
	accepted(sa("aes-cbc", "hmac-sha256", 0));
	accepted(sa("aes-gcm-16", NULL, 0));
	accepted(sa("null", "hmac-sha1", 0));
}

/* Every row of the table, alone: refused exactly by its level. */
static void
d40_every_algorithm_by_its_level(void **state)
{
	const struct tdo_alg *a;
	unsigned n = 0;

	(void)state;
	for (int32_t v = 0; v <= 2; v++)
		for (unsigned i = 0; (a = tdo_alg_at(i)); i++) {
			bool auth = a->kind == TDO_ALG_AUTH, aead = a->kind == TDO_ALG_AEAD;
			struct tdo_sa_param p = auth ? sa("aes-cbc", a->name, 0)
						     : sa(a->name, aead ? NULL : "hmac-sha256", 0);
			bool bad = v < 2 &&
				   a->level >= (v == 0 ? TDO_LEVEL_SHOULD_NOT : TDO_LEVEL_MUST_NOT);
			struct tdo_err err = {NULL};
			int r;

			level(v);
			r = tdo_sa_add(c.e, &p, c.now, &err);
			if (r == -EOPNOTSUPP || a->ah_only)
				continue; /* no driver has it, or ESP has not */
			assert_int_equal(r, bad ? -EINVAL : 0);
			if (r == 0)
				assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
			n++;
		}
	assert_true(n >= 20);
}

/* An SA that exists may get other lifetimes, but no other weak algorithm. */
static void
d40_existing_sas_live_on(void **state)
{
	struct tdo_sa_param p = sa("3des-cbc", "hmac-sha1", 0), q = p;
	struct tdo_err err = {NULL};

	(void)state;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
	level(0);
	q.ealg = q.aalg = 0;
	q.ekey_bits = q.akey_bits = 0;
	q.has_hard = true;
	q.hard.bytes = 1000000;
	assert_int_equal(tdo_sa_update(c.e, &q, c.now, &err), 0);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, &err), -EINVAL);
	assert_non_null(strstr(err.text, "SHOULD NOT"));
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
}

/* A build without legacy-algorithms: the whole table, and the old formats. */
static void
what_is_not_built_is_refused(void **state)
{
	struct tdo_sa_param old = sa("aes-cbc", NULL, TDO_SAF_OLD);
	struct tdo_err err = {NULL};
	const struct tdo_alg *a;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; (a = tdo_alg_at(i)); i++) {
		bool auth = a->kind == TDO_ALG_AUTH;
		struct tdo_sa_param p =
		    auth ? sa("aes-cbc", a->name, 0)
			 : sa(a->name, a->kind == TDO_ALG_AEAD ? NULL : "hmac-sha256", 0);

		assert_int_equal(a->not_there != NULL, a->level >= TDO_LEVEL_SHOULD_NOT);
		if (a->not_there == NULL)
			continue;
		assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, a->name));
		assert_non_null(strstr(err.text, TDO_NO_LEGACY));
		n++;
	}
	assert_true(n >= 8);
	assert_int_equal(tdo_sa_add(c.e, &old, c.now, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "esp-old is refused: " TDO_NO_LEGACY);
	old.key.satype = TDO_SATYPE_AH;
	assert_int_equal(tdo_sa_add(c.e, &old, c.now, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "ah-old is refused: " TDO_NO_LEGACY);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
	/* What is there is there. */
	accepted(sa("aes-cbc", "hmac-sha1", 0));
}

/* RFC 4868 2.3: half of the hash; KAME's 96 bits have a name of their own. */
static void
d39_sha2_icvs_have_the_length_of_the_rfc(void **state)
{
	static const struct {
		const char *name;
		uint8_t icv_len;
	} rows[] = {
	    {"hmac-sha256", 16}, {"hmac-sha384", 24}, {"hmac-sha512", 32}, {"hmac-sha256-96", 12}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct tdo_sa_param p = sa("aes-cbc", rows[i].name, 0);
		struct tdo_addr b = ctl_addr(B);

		assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
		assert_int_equal(tdo_sad_find_in(c.e, &b, 1000, 50)->fmt.icv_len, rows[i].icv_len);
		assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    T(BUILT_LEGACY ? old_format_takes_little : what_is_not_built_is_refused),
	    T(BUILT_LEGACY ? half_an_iv_is_for_des : what_is_not_built_is_refused),
	    T(extended_numbers_need_an_icv_that_proves),
	    T(BUILT_LEGACY ? null_authentication_is_warned_about : what_is_not_built_is_refused),
	    T(BUILT_LEGACY ? d40_weak_algorithms_are_refused_by_level
			   : what_is_not_built_is_refused),
	    T(d40_every_algorithm_by_its_level),
	    T(BUILT_LEGACY ? d40_existing_sas_live_on : what_is_not_built_is_refused),
	    T(d39_sha2_icvs_have_the_length_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
