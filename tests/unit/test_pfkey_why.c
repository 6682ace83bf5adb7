/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients that take texts hear about requests that are refused. */
#include "pfkey_world.h"

/* The answer is this errno with these words in its text; ext: which extension is named. */
static void
hear_why(struct tdo_pfkey_client *c, uint8_t type, int err, uint16_t ext, const char *words)
{
	struct tdo_sadb_tdo_why why;

	assert_true(tdo_pfkey_pending(c));
	assert_int_equal(
	    tdo_sadb_parse(answer, tdo_pfkey_pull(c, answer, sizeof(answer)), &got, NULL), 0);
	assert_int_equal(got.base.type, type);
	assert_int_equal(got.base.err, err);
	exactly(&got, 1, TDO_SADB_X_EXT_TDO_WHY);
	assert_true(tdo_sadb_get_tdo_why(&got, &why));
	assert_int_equal(why.ext, ext);
	if (!strstr(why.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, why.text);
	silence(c);
}

static struct world *
with_texts(void **state)
{
	struct world *w = *state;

	say_base(w->a, TDO_SADB_X_TDO_ROWS, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_X_TDO_ROWS, 0);
	return w;
}

static void
say_sa(struct world *w, uint8_t type, const struct tdo_sa_param *p)
{
	begin(type, p->key.satype);
	tdo_sadb_put_sa_param(&wr, p);
	say(w->a, NOW);
}

static void
associations(void **state)
{
	struct world *w = with_texts(state);
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	(void)drain(w->b);
	say_sa(w, TDO_SADB_ADD, &p);
	hear_why(w->a, TDO_SADB_ADD, EEXIST, 0, "there is an SA with this destination");
	p = sample(255);
	say_sa(w, TDO_SADB_ADD, &p);
	hear_why(w->a, TDO_SADB_ADD, EINVAL, 0, "SPI 255 is reserved");
	p = sample(0x1002);
	p.ekey_bits = 136;
	say_sa(w, TDO_SADB_ADD, &p);
	hear_why(w->a, TDO_SADB_ADD, EINVAL, 0, "136");
	p = sample(0x1002);
	say_sa(w, TDO_SADB_UPDATE, &p);
	hear_why(w->a, TDO_SADB_UPDATE, ENOENT, 0, "there is no SA");
	say_key(w->a, TDO_SADB_DELETE, 0x1002);
	hear_why(w->a, TDO_SADB_DELETE, ENOENT, 0, "there is no SA");
	say_key(w->a, TDO_SADB_GET, 0x1002);
	hear_why(w->a, TDO_SADB_GET, ENOENT, 0, "there is no SA");
	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){0x1001, 0x1001});
	say(w->a, NOW);
	hear_why(w->a, TDO_SADB_GETSPI, ENOENT, 0, "no SPI of the range");
	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){1, 255});
	say(w->a, NOW);
	hear_why(w->a, TDO_SADB_GETSPI, EINVAL, TDO_SADB_EXT_SPIRANGE, "lowest is 256");
	silence(w->b);
}

/* A message that does not parse. */
static void
say_twice(struct tdo_pfkey_client *c)
{
	begin(TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
	for (unsigned i = 0; i < 2; i++)
		tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001});
	say(c, NOW);
}

static void
what_is_wrong_with_messages(void **state)
{
	struct world *w = with_texts(state);

	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear_why(w->a, TDO_SADB_ADD, EINVAL, TDO_SADB_EXT_SA, "missing");
	say_base(w->a, TDO_SADB_DELETE, TDO_SATYPE_ESP);
	hear_why(w->a, TDO_SADB_DELETE, EINVAL, TDO_SADB_EXT_ADDRESS_SRC, "missing");
	say_base(w->a, TDO_SADB_X_SPDGET, TDO_SATYPE_UNSPEC);
	hear_why(w->a, TDO_SADB_X_SPDGET, EINVAL, TDO_SADB_X_EXT_POLICY, "missing");
	/* That does not parse at all. */
	say_twice(w->a);
	hear_why(w->a, TDO_SADB_FLUSH, EINVAL, TDO_SADB_EXT_SA, "appears twice");
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_wr_h16(&wr, 1); /* in units of 8 bytes */
	tdo_wr_h16(&wr, TDO_SADB_EXT_SA);
	tdo_wr_zero(&wr, 4);
	say(w->a, NOW);
	hear_why(w->a, TDO_SADB_ADD, EINVAL, TDO_SADB_EXT_SA, "wrong length");
}

static void
say_sp(struct tdo_pfkey_client *c, uint8_t type, const struct tdo_sp_param *p)
{
	begin(type, TDO_SATYPE_UNSPEC);
	tdo_sadb_put_sp_param(&wr, p);
	say(c, NOW);
}

static void
policies(void **state)
{
	struct world *w = with_texts(state);
	struct tdo_sp_param p = sample_sp(1), other = sample_sp(2);

	spd(w, TDO_SADB_X_SPDADD, &p, 0);
	(void)drain(w->b);
	say_sp(w->a, TDO_SADB_X_SPDADD, &p);
	hear_why(w->a, TDO_SADB_X_SPDADD, EEXIST, 0, "an update would replace it");
	say_sp(w->a, TDO_SADB_X_SPDDELETE, &other);
	hear_why(w->a, TDO_SADB_X_SPDDELETE, ENOENT, 0, "there is no policy with these selectors");
	say_policy_id(w->a, TDO_SADB_X_SPDGET, 4242);
	hear_why(w->a, TDO_SADB_X_SPDGET, ENOENT, 0, "there is no policy with this number");
	say_policy_id(w->a, TDO_SADB_X_SPDDELETE2, 4242);
	hear_why(w->a, TDO_SADB_X_SPDDELETE2, ENOENT, 0, "there is no policy with this number");
	silence(w->b);
}

static void
rights(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param p = sample_sp(1);

	say_base(w->guest, TDO_SADB_X_TDO_ROWS, TDO_SATYPE_UNSPEC);
	hear(w->guest, TDO_SADB_X_TDO_ROWS, 0);
	say_sp(w->guest, TDO_SADB_X_SPDADD, &p);
	hear_why(w->guest, TDO_SADB_X_SPDADD, EPERM, 0, "access-group");
	/* An empty database needs no words. */
	say_base(w->guest, TDO_SADB_X_SPDDUMP, TDO_SATYPE_UNSPEC);
	hear(w->guest, TDO_SADB_X_SPDDUMP, ENOENT);
}

/* Others hear what they know: the base message alone. */
static void
texts_are_for_those_who_asked(void **state)
{
	struct world *w = with_texts(state);

	say_key(w->b, TDO_SADB_GET, 0x1002);
	hear(w->b, TDO_SADB_GET, ENOENT);
	say_twice(w->b);
	hear(w->b, TDO_SADB_FLUSH, EINVAL);
	silence(w->a);
}

/* Whoever sends a reason with a request does not send it to everybody. */
static void
reasons_are_not_repeated(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	tdo_sadb_put_tdo_why(&wr, &(struct tdo_sadb_tdo_why){.text = "because"});
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ADD, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_X_EXT_TDO_WHY));
	hear(w->b, TDO_SADB_ADD, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_X_EXT_TDO_WHY));
}

/* ---- bytes ------------------------------------------------------------------------------ */

static int
parse_why(const char *text, size_t len, struct tdo_sadb_tdo_why *ret)
{
	static uint8_t buf[256];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	struct tdo_sadb_msg m;
	int r;

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_FLUSH});
	tdo_wr_h16(&w, (uint16_t)((TDO_SADB_TDO_WHY_LEN + len) / 8));
	tdo_wr_h16(&w, TDO_SADB_X_EXT_TDO_WHY);
	tdo_wr_h16(&w, TDO_SADB_EXT_SA);
	tdo_wr_zero(&w, 2);
	tdo_wr_bytes(&w, text, len);
	r = tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL);
	if (r == 0)
		assert_true(tdo_sadb_get_tdo_why(&m, ret));
	return r;
}

static void
texts_have_an_end(void **state)
{
	struct tdo_sadb_tdo_why why;

	(void)state;
	assert_int_equal(parse_why("1234567\0", 8, &why), 0);
	assert_string_equal(why.text, "1234567");
	assert_int_equal(why.ext, TDO_SADB_EXT_SA);
	assert_int_equal(parse_why("\0\0\0\0\0\0\0\0", 8, &why), 0);
	assert_string_equal(why.text, "");
	assert_int_equal(parse_why("12345678", 8, &why), -EINVAL);
	assert_int_equal(parse_why("123\0\0\0\0x", 8, &why), -EINVAL);
	assert_int_equal(parse_why("", 0, &why), -EINVAL);
}

/* All lengths of texts around the padding. */
static void
texts_of_all_lengths(void **state)
{
	char text[41];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t len = 0; len < sizeof(text); len++) {
		struct tdo_sadb_tdo_why in = {.ext = 7, .text = text}, out;
		struct tdo_sadb_msg m;

		text[len] = '\0';
		begin(TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
		tdo_sadb_put_tdo_why(&wr, &in);
		assert_int_equal(tdo_sadb_parse(request, tdo_sadb_end(&wr), &m, NULL), 0);
		assert_true(tdo_sadb_get_tdo_why(&m, &out));
		assert_int_equal(out.ext, 7);
		assert_string_equal(out.text, text);
		text[len] = 'x';
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(associations),
	    T(what_is_wrong_with_messages),
	    T(policies),
	    T(rights),
	    T(texts_are_for_those_who_asked),
	    T(reasons_are_not_repeated),
	    cmocka_unit_test(texts_have_an_end),
	    cmocka_unit_test(texts_of_all_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
