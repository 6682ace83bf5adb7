/* SPDX-License-Identifier: BSD-2-Clause */
/* Between which addresses IP in IP is shown to the engine (RFC 3173 2.2). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/bare.h"
#include "fixture.h"
#include "rng.h"
#include "wire/ip.h"

enum { MAX = 4096 };

/* What the callbacks have said. */
struct shown {
	struct tdo_sel sel[MAX];
	unsigned n, calls, fail_at; /* this call of add fails; 0: none */
};

static int
add(void *ctx, const struct tdo_sel *sel)
{
	struct shown *s = ctx;

	if (++s->calls == s->fail_at)
		return -ENOSPC;
	for (unsigned i = 0; i < s->n; i++)
		assert_false(tdo_sel_equal(&s->sel[i], sel));
	assert_true(s->n < MAX);
	s->sel[s->n++] = *sel;
	return 0;
}

static void
del(void *ctx, const struct tdo_sel *sel)
{
	struct shown *s = ctx;

	for (unsigned i = 0; i < s->n; i++) {
		if (!tdo_sel_equal(&s->sel[i], sel))
			continue;
		s->sel[i] = s->sel[--s->n];
		return;
	}
	fail_msg("what was not added is removed");
}

static const struct tdo_bare_ops ops = {add, del};

static struct tdo_sa_param
sa(const char *src, const char *dst, uint8_t satype, uint8_t mode)
{
	struct tdo_sa_param p = {0};

	p.key = (struct tdo_sa_key){
	    .satype = satype, .spi = 0x1000, .src = fx_addr(src), .dst = fx_addr(dst)};
	p.mode = mode;
	return p;
}

static bool
is_shown(const struct shown *s, const char *src, const char *dst, uint8_t proto)
{
	struct tdo_flow f = {.src = fx_addr(src), .dst = fx_addr(dst), .proto = proto};

	for (unsigned i = 0; i < s->n; i++)
		if (tdo_sel_match(&s->sel[i], &f))
			return true;
	return false;
}

static void
only_tunnels_of_ipcomp_count(void **state)
{
	static struct shown s;
	struct tdo_bare b;
	struct tdo_sa_param not [] = {
	    sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_ESP, TDO_MODE_TUNNEL),
	    sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_AH, TDO_MODE_TUNNEL),
	    sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_IPCOMP, TDO_MODE_TRANSPORT),
	};
	struct tdo_sa_param any = sa("fd00::1", "fd00::2", TDO_SATYPE_IPCOMP, TDO_MODE_ANY);
	struct tdo_sa_param tun = sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_IPCOMP, TDO_MODE_TUNNEL);

	(void)state;
	tdo_bare_init(&b, &ops, &s);
	for (unsigned i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
		assert_int_equal(tdo_bare_sa(&b, &not [i]), 0);
	assert_int_equal(s.calls, 0);
	assert_int_equal(tdo_bare_sa(&b, &any), 0);
	assert_int_equal(tdo_bare_sa(&b, &tun), 0);
	assert_int_equal(tdo_bare_sa(&b, &tun), 0);
	assert_int_equal(s.n, 4);
	assert_true(is_shown(&s, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_IPIP));
	assert_true(is_shown(&s, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_IPV6));
	assert_true(is_shown(&s, "fd00::1", "fd00::2", TDO_IPPROTO_IPIP));
	assert_true(is_shown(&s, "fd00::1", "fd00::2", TDO_IPPROTO_IPV6));
	assert_false(is_shown(&s, "10.0.0.2", "10.0.0.1", TDO_IPPROTO_IPIP));
	assert_false(is_shown(&s, "10.0.0.1", "10.0.0.3", TDO_IPPROTO_IPIP));
	assert_false(is_shown(&s, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_TCP));
	tdo_bare_fini(&b);
}

static void
sweeps_remove_what_is_gone(void **state)
{
	static struct shown s;
	struct tdo_bare b;
	struct tdo_sa_param one = sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_IPCOMP, TDO_MODE_TUNNEL);
	struct tdo_sa_param two = sa("10.0.0.1", "10.0.0.3", TDO_SATYPE_IPCOMP, TDO_MODE_TUNNEL);

	(void)state;
	tdo_bare_init(&b, &ops, &s);
	tdo_bare_gone(&b);
	assert_false(tdo_bare_due(&b, 10 * TDO_SEC)); /* nothing is there that could be gone */
	assert_int_equal(tdo_bare_sa(&b, &one), 0);
	assert_int_equal(tdo_bare_sa(&b, &two), 0);
	assert_false(tdo_bare_due(&b, 10 * TDO_SEC));
	tdo_bare_gone(&b);
	assert_true(tdo_bare_due(&b, 10 * TDO_SEC));
	tdo_bare_sweep_begin(&b);
	assert_int_equal(tdo_bare_sa(&b, &two), 0);
	tdo_bare_sweep_end(&b, 10 * TDO_SEC);
	assert_int_equal(s.n, 2);
	assert_false(is_shown(&s, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_IPIP));
	assert_true(is_shown(&s, "10.0.0.1", "10.0.0.3", TDO_IPPROTO_IPV6));
	tdo_bare_gone(&b);
	assert_false(tdo_bare_due(&b, 10 * TDO_SEC + TDO_SEC / 2)); /* not all the time */
	assert_true(tdo_bare_due(&b, 11 * TDO_SEC));
	tdo_bare_sweep_begin(&b);
	tdo_bare_sweep_end(&b, 11 * TDO_SEC);
	assert_int_equal(s.n, 0);
	assert_int_equal(b.n, 0);
	tdo_bare_fini(&b);
}

static void
what_the_kernel_refuses_leaves_nothing(void **state)
{
	static struct shown s;
	struct tdo_bare b;
	struct tdo_sa_param one = sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_IPCOMP, TDO_MODE_TUNNEL);

	(void)state;
	tdo_bare_init(&b, &ops, &s);
	for (s.fail_at = 1; s.fail_at <= 2; s.fail_at++) {
		s.calls = 0;
		assert_int_equal(tdo_bare_sa(&b, &one), -ENOSPC);
		assert_int_equal(s.n, 0);
		assert_int_equal(b.n, 0);
	}
	s.fail_at = 0;
	assert_int_equal(tdo_bare_sa(&b, &one), 0);
	assert_int_equal(s.n, 2);
	tdo_bare_fini(&b);
}

/* Random additions and sweeps against a plain list. */
static void
many_pairs(void **state)
{
	enum { PAIRS = 500 };
	static struct shown s;
	static bool there[PAIRS];
	struct tdo_bare b;
	struct rng rng = rng_seed_new();

	(void)state;
	tdo_bare_init(&b, &ops, &s);
	for (unsigned round = 0; round < 20; round++) {
		unsigned count = 0;

		tdo_bare_sweep_begin(&b);
		for (unsigned i = 0; i < PAIRS; i++) {
			struct tdo_sa_param p =
			    sa("10.0.0.1", "10.0.0.2", TDO_SATYPE_IPCOMP, TDO_MODE_TUNNEL);

			there[i] = rng_below(&rng, 2) != 0;
			p.key.src.b[2] = (uint8_t)(i * 7 >> 8);
			p.key.src.b[3] = (uint8_t)(i * 7);
			if (there[i])
				assert_int_equal(tdo_bare_sa(&b, &p), 0);
			count += there[i];
		}
		tdo_bare_sweep_end(&b, round * TDO_SEC);
		assert_int_equal(b.n, count);
		assert_int_equal(s.n, 2 * count);
	}
	tdo_bare_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_tunnels_of_ipcomp_count),
	    cmocka_unit_test(sweeps_remove_what_is_gone),
	    cmocka_unit_test(what_the_kernel_refuses_leaves_nothing),
	    cmocka_unit_test(many_pairs),
	};

	return cmocka_run_group_tests_name("bare", tests, NULL, NULL);
}
