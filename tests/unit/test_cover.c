/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cover model: what maps to what, counts, coarsening, and that the sink could follow with
 * a kernel: every order of changes is one in which coverage has no gap.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "daemon/cover.h"

static const struct tdo_hash_key seed = {{1, 2}};

/* ---- a sink that keeps a kernel's books ---------------------------------------------- */

enum { SETS_MAX = 4096 };

static struct {
	bool exists, used;
	unsigned n;
} set[SETS_MAX];
static const struct tdo_cover *model;
static unsigned nrules;

static void
on_shape_new(void *ctx, const struct tdo_cover_shape *s)
{
	(void)ctx;
	assert_true(s->id < SETS_MAX);
	assert_false(set[s->id].exists);
	set[s->id].exists = true;
}

static void
on_entry(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key, bool add)
{
	(void)ctx;
	(void)key;
	assert_true(set[s->id].exists);
	assert_true(add || set[s->id].n > 0);
	set[s->id].n += add ? 1u : -1u;
}

static void
on_rules(void *ctx, enum tdo_dir dir, uint8_t af)
{
	(void)ctx;
	nrules++;
	for (const struct tdo_cover_shape *s = tdo_cover_shapes(model, dir, af); s; s = s->next) {
		assert_true(set[s->id].exists);
		assert_int_equal(set[s->id].n, s->entries);
	}
}

static void
on_shape_gone(void *ctx, const struct tdo_cover_shape *s)
{
	(void)ctx;
	assert_true(set[s->id].exists);
	/* The rules have let go of it before. */
	for (const struct tdo_cover_shape *t = tdo_cover_shapes(model, (enum tdo_dir)s->dir, s->af);
	     t; t = t->next)
		assert_int_not_equal(t->id, s->id);
	set[s->id].exists = false;
}

static unsigned
sets_that_exist(void)
{
	unsigned n = 0;

	for (int i = 0; i < SETS_MAX; i++)
		n += set[i].exists;
	return n;
}

static struct tdo_cover *
make(unsigned shapes, unsigned entries)
{
	struct tdo_cover_sink sink = {on_shape_new, on_entry, on_rules, on_shape_gone, NULL};
	struct tdo_cover *c;

	memset(set, 0, sizeof(set));
	nrules = 0;
	assert_int_equal(
	    tdo_cover_new((struct tdo_cover_limits){shapes, entries}, seed, &sink, &c), 0);
	model = c;
	return c;
}

/* ---- short forms --------------------------------------------------------------------- */

static struct tdo_addr
v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct tdo_addr){.af = TDO_AF_INET, .b = {a, b, c, d}};
}

/* 10.0.s.0/splen to 10.1.d.0/dplen */
static struct tdo_sel
sel4(uint8_t s, uint8_t splen, uint8_t d, uint8_t dplen)
{
	struct tdo_addr src = v4(10, 0, s, 0), dst = v4(10, 1, d, 0);

	return (struct tdo_sel){.src = tdo_addr_mask(&src, splen),
	    .dst = tdo_addr_mask(&dst, dplen),
	    .src_plen = splen,
	    .dst_plen = dplen,
	    .proto = TDO_PROTO_ANY,
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
}

static struct tdo_flow
flow4(uint8_t s, uint8_t d, uint8_t proto, uint16_t sport, uint16_t dport)
{
	return (struct tdo_flow){.src = v4(10, 0, s, 7),
	    .dst = v4(10, 1, d, 9),
	    .proto = proto,
	    .has_ports = true,
	    .sport = sport,
	    .dport = dport};
}

static bool
out(const struct tdo_cover *c, struct tdo_flow f)
{
	return tdo_cover_match(c, TDO_DIR_OUT, &f, false, true);
}

/* ---- tests --------------------------------------------------------------------------- */

static void
prefixes_protocol_and_ports_select(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24);
	struct tdo_flow f = flow4(1, 2, 6, 1000, 80);

	(void)state;
	s.proto = 6;
	s.dport = (struct tdo_range){80, 80};
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_true(out(c, f));
	assert_false(out(c, flow4(1, 2, 6, 1000, 81)));
	assert_false(out(c, flow4(1, 2, 17, 1000, 80)));
	assert_false(out(c, flow4(2, 2, 6, 1000, 80)));
	assert_false(out(c, flow4(1, 1, 6, 1000, 80)));
	assert_false(tdo_cover_match(c, TDO_DIR_IN, &f, false, true));
	tdo_cover_free(c);
}

static void
fragments_and_unreadable_packets_match_by_address(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24);
	struct tdo_flow f = flow4(1, 2, 17, 5, 6), other = flow4(1, 3, 6, 1000, 80);

	(void)state;
	s.proto = 6;
	s.dport = (struct tdo_range){80, 80};
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_false(out(c, f));
	assert_true(tdo_cover_match(c, TDO_DIR_OUT, &f, true, true));
	assert_true(tdo_cover_match(c, TDO_DIR_OUT, &f, true, false));
	assert_true(tdo_cover_match(c, TDO_DIR_OUT, &f, false, false));
	assert_false(tdo_cover_match(c, TDO_DIR_OUT, &other, true, false));
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &s), 0);
	assert_false(tdo_cover_match(c, TDO_DIR_OUT, &f, true, false));
	tdo_cover_free(c);
}

/* What a key cannot say is covered wholly. */
static void
ranges_and_icmp_types_widen(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel range = sel4(1, 24, 2, 24), icmp = sel4(3, 24, 4, 24),
		       ports_only = sel4(5, 24, 6, 24);

	(void)state;
	range.proto = 17;
	range.sport = (struct tdo_range){500, 510};
	icmp.proto = 1;
	icmp.sport = (struct tdo_range){8, 8};
	ports_only.dport = (struct tdo_range){80, 80};
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &range), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &icmp), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &ports_only), 0);
	assert_true(out(c, flow4(1, 2, 17, 505, 1)));
	assert_true(out(c, flow4(1, 2, 17, 9, 1)));
	assert_false(out(c, flow4(1, 2, 6, 505, 1)));
	assert_true(out(c, flow4(3, 4, 1, 8, 0)));
	assert_true(out(c, flow4(3, 4, 1, 0, 0)));
	assert_false(out(c, flow4(3, 4, 58, 8, 0)));
	assert_true(out(c, flow4(5, 6, 50, 0, 0)));
	tdo_cover_free(c);
}

/*
 * D6: types, codes and keys are not where the kernel looks for ports, also when the numbers are
 * single ones: all of the protocol is covered, and two such selectors are one entry.
 */
static void
d06_types_and_keys_cover_the_whole_protocol(void **state)
{
	static const uint8_t proto[] = {1, 47, 58, 135};

	(void)state;
	for (size_t i = 0; i < sizeof(proto); i++) {
		struct tdo_cover *c = make(48, 1000);
		struct tdo_sel one = sel4(1, 24, 2, 24), two;
		struct tdo_flow no_key = flow4(1, 2, proto[i], 0, 0);

		one.proto = proto[i];
		one.sport = (struct tdo_range){5, 5};
		one.dport = (struct tdo_range){6, 6};
		two = one;
		two.dport = (struct tdo_range){7, 7};
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &one), 0);
		assert_int_equal(tdo_cover_entries(c), 2); /* with the one for fragments */
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &two), 0);
		assert_int_equal(tdo_cover_entries(c), 2);
		no_key.has_ports = false;
		assert_true(out(c, flow4(1, 2, proto[i], 0x2000, 0x0800)));
		assert_true(out(c, flow4(1, 2, proto[i], 5, 6)));
		assert_true(out(c, no_key));
		assert_false(out(c, flow4(1, 2, 6, 5, 6)));
		assert_false(out(c, flow4(1, 3, proto[i], 5, 6)));
		assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &one), 0);
		assert_true(out(c, flow4(1, 2, proto[i], 5, 6)));
		assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &two), 0);
		assert_false(out(c, flow4(1, 2, proto[i], 5, 7)));
		assert_int_equal(tdo_cover_entries(c), 0);
		tdo_cover_free(c);
	}
}

/* D41: type 0 is covered as any type is; a port range from 0 is not the wildcard either. */
static void
d41_type_0_and_port_0_are_covered(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel icmp = sel4(1, 24, 2, 24), udp = sel4(3, 24, 4, 24);

	(void)state;
	icmp.proto = 1;
	icmp.sport = icmp.dport = (struct tdo_range){0, 0};
	udp.proto = 17;
	udp.dport = (struct tdo_range){0, 0};
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &icmp), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &udp), 0);
	assert_true(out(c, flow4(1, 2, 1, 0, 0)));
	assert_true(out(c, flow4(3, 4, 17, 9, 0)));
	assert_false(out(c, flow4(3, 4, 17, 9, 1)));
	tdo_cover_free(c);
}

/* The kernel walks over these headers of IPv6 and reports another protocol. */
static void
extension_headers_are_no_upper_layer(void **state)
{
	static const uint8_t proto[] = {0, 43, 44, 59, 60};
	struct tdo_addr any = {.af = TDO_AF_INET6};
	struct tdo_flow f = {.src = any, .dst = any, .proto = 6};

	(void)state;
	for (size_t i = 0; i < sizeof(proto); i++) {
		struct tdo_cover *c = make(48, 1000);
		struct tdo_sel s = {.src = any, .dst = any, .proto = proto[i]};

		s.sport = s.dport = TDO_RANGE_ANY;
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
		assert_true(out(c, f));
		tdo_cover_free(c);
	}
}

static void
equal_selectors_are_counted(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24), t = s, u = s;

	(void)state;
	s.proto = t.proto = u.proto = 17;
	s.sport = (struct tdo_range){1, 2};
	t.sport = (struct tdo_range){3, 4}; /* the same key */
	u.sport = (struct tdo_range){5, 5}; /* another one, the same twin */
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &t), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &u), 0);
	assert_int_equal(tdo_cover_entries(c), 3);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &s), 0);
	assert_true(out(c, flow4(1, 2, 17, 9, 9)));
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &t), 0);
	assert_false(out(c, flow4(1, 2, 17, 9, 9)));
	assert_true(out(c, flow4(1, 2, 17, 5, 9)));
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &t), -ENOENT);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &u), 0);
	assert_int_equal(tdo_cover_entries(c), 0);
	assert_int_equal(sets_that_exist(), 0);
	tdo_cover_free(c);
}

static void
nonsense_is_refused(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24), t = s, u = s;

	(void)state;
	t.dst.af = TDO_AF_INET6;
	u.src_plen = 33;
	assert_int_equal(tdo_cover_add(c, TDO_DIR_ANY, &s), -EINVAL);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &t), -EINVAL);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &u), -EINVAL);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &u), -EINVAL);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &s), -ENOENT);
	assert_int_equal(tdo_cover_default(c, TDO_AF_NONE, true), -EINVAL);
	assert_int_equal(tdo_cover_entries(c), 0);
	assert_int_equal(nrules, 0);
	tdo_cover_free(c);
}

static void
default_discard_covers_both_directions(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_flow f = flow4(1, 2, 6, 1, 2);

	(void)state;
	assert_int_equal(tdo_cover_default(c, TDO_AF_INET, true), 0);
	assert_int_equal(tdo_cover_default(c, TDO_AF_INET, true), 0);
	assert_true(tdo_cover_match(c, TDO_DIR_OUT, &f, false, true));
	assert_true(tdo_cover_match(c, TDO_DIR_IN, &f, true, false));
	assert_null(tdo_cover_shapes(c, TDO_DIR_OUT, TDO_AF_INET6));
	assert_int_equal(tdo_cover_default(c, TDO_AF_INET, false), 0);
	assert_false(tdo_cover_match(c, TDO_DIR_OUT, &f, false, true));
	assert_false(tdo_cover_match(c, TDO_DIR_IN, &f, false, true));
	tdo_cover_free(c);
}

static void
too_many_shapes_coarsen_step_by_step(void **state)
{
	struct tdo_cover *c = make(4, 1000);
	struct tdo_sel s;

	(void)state;
	for (uint8_t plen = 24; plen <= 27; plen++) {
		s = sel4(1, plen, 2, 24);
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	}
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 0);
	s = sel4(1, 28, 2, 24);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 1);
	assert_int_equal(tdo_cover_entries(c), 1); /* all are 10.0.1.0/24 now */
	for (uint8_t proto = 1; proto <= 4; proto++) {
		s = sel4((uint8_t)(10 + proto), (uint8_t)(8 * (proto - 1)), 2, 24);
		s.proto = 6;
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	}
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 2);
	s = sel4(0, 0, 0, 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 3);
	assert_int_equal(tdo_cover_entries(c), 1);
	assert_int_equal(sets_that_exist(), 1);
	assert_int_equal(tdo_cover_coarsened(c), 3);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_IN, TDO_AF_INET), 0);
	tdo_cover_free(c);
}

static void
an_emptied_side_is_exact_again(void **state)
{
	struct tdo_cover *c = make(1, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24), t = sel4(1, 25, 2, 26), u = sel4(4, 16, 2, 26);

	(void)state;
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &t), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &u), 0);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 3);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &t), 0);
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &s), 0);
	assert_true(out(c, flow4(200, 200, 1, 1, 1)));
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &u), 0);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 0);
	assert_int_equal(tdo_cover_entries(c), 0);
	assert_int_equal(sets_that_exist(), 0);
	tdo_cover_free(c);
}

static void
too_many_entries_coarsen_the_largest_side(void **state)
{
	struct tdo_cover *c = make(48, 20);
	struct tdo_sel s;

	(void)state;
	s = sel4(1, 28, 1, 28);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_IN, &s), 0);
	for (uint8_t i = 0; i < 20; i++) {
		s = sel4(i, 28, i, 28);
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	}
	assert_true(tdo_cover_entries(c) <= 20);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_IN, TDO_AF_INET), 0);
	assert_true(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET) > 0);
	for (uint8_t i = 0; i < 20; i++)
		assert_true(out(c, flow4(i, i, 6, 1, 1)));
	tdo_cover_free(c);
}

static void
entries_of_a_dead_maker_stay_until_dropped(void **state)
{
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel kept = sel4(1, 24, 2, 24), lost = sel4(3, 24, 4, 24);

	(void)state;
	kept.proto = lost.proto = 6;
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &kept), 0);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &lost), 0);
	tdo_cover_age(c);
	/* What the successor did not add it cannot remove. */
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &lost), -ENOENT);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &kept), 0);
	tdo_cover_age(c); /* and dies as well */
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &kept), 0);
	assert_true(out(c, flow4(3, 4, 6, 1, 1)));
	tdo_cover_drop_aged(c);
	assert_true(out(c, flow4(1, 2, 6, 1, 1)));
	assert_false(out(c, flow4(3, 4, 6, 1, 1)));
	assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &kept), 0);
	assert_int_equal(tdo_cover_entries(c), 0);
	tdo_cover_free(c);
}

/* Steps that would not help are left out, and whoever adds may know that nothing more changes. */
static void
coarsening_goes_as_far_as_it_must(void **state)
{
	struct tdo_cover *c = make(48, 20);
	struct tdo_sel s;

	(void)state;
	for (uint8_t i = 0; i < 30; i++) {
		s = sel4(i, 32, i, 32);
		assert_int_equal(tdo_cover_covers_all(c, TDO_DIR_OUT, TDO_AF_INET), i > 20);
		assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	}
	assert_int_equal(tdo_cover_entries(c), 1);
	assert_int_equal(tdo_cover_coarsened(c), 1);
	assert_false(tdo_cover_covers_all(c, TDO_DIR_IN, TDO_AF_INET));
	/* Any of them stands for any other, until none is left. */
	for (uint8_t i = 0; i < 30; i++) {
		assert_true(tdo_cover_covers_all(c, TDO_DIR_OUT, TDO_AF_INET));
		assert_int_equal(tdo_cover_del(c, TDO_DIR_OUT, &s), 0);
	}
	assert_false(tdo_cover_covers_all(c, TDO_DIR_OUT, TDO_AF_INET));
	assert_int_equal(tdo_cover_entries(c), 0);
	tdo_cover_free(c);
}

static void
ageing_survives_coarsening(void **state)
{
	struct tdo_cover *c = make(1, 1000);
	struct tdo_sel old = sel4(1, 26, 2, 24), new = sel4(9, 25, 2, 24);

	(void)state;
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &old), 0);
	tdo_cover_age(c);
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &new), 0);
	assert_int_equal(tdo_cover_level(c, TDO_DIR_OUT, TDO_AF_INET), 1);
	assert_true(out(c, flow4(1, 2, 6, 1, 1)));
	tdo_cover_drop_aged(c);
	assert_false(out(c, flow4(1, 2, 6, 1, 1)));
	assert_true(out(c, flow4(9, 2, 6, 1, 1)));
	tdo_cover_free(c);
}

static void
copy_key(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key)
{
	memcpy(ctx, key, tdo_cover_key_len(s));
}

static void
keys_have_the_layout_of_the_registers(void **state)
{
	static const uint8_t want[20] = {
	    10, 0, 1, 0, 10, 1, 2, 0, 6, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 80, 0, 0};
	struct tdo_cover *c = make(48, 1000);
	struct tdo_sel s = sel4(1, 24, 2, 24);
	const struct tdo_cover_shape *sh;
	uint8_t key[TDO_COVER_KEY_MAX];

	(void)state;
	s.proto = 6;
	s.sport = (struct tdo_range){0x1234, 0x1234};
	s.dport = (struct tdo_range){80, 80};
	assert_int_equal(tdo_cover_add(c, TDO_DIR_OUT, &s), 0);
	sh = tdo_cover_shapes(c, TDO_DIR_OUT, TDO_AF_INET);
	while (sh->kind != TDO_COVER_UPPER)
		sh = sh->next;
	assert_int_equal(tdo_cover_key_len(sh), sizeof(want));
	tdo_cover_each(sh, copy_key, key);
	assert_memory_equal(key, want, sizeof(want));
	tdo_cover_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prefixes_protocol_and_ports_select),
	    cmocka_unit_test(fragments_and_unreadable_packets_match_by_address),
	    cmocka_unit_test(ranges_and_icmp_types_widen),
	    cmocka_unit_test(d06_types_and_keys_cover_the_whole_protocol),
	    cmocka_unit_test(d41_type_0_and_port_0_are_covered),
	    cmocka_unit_test(extension_headers_are_no_upper_layer),
	    cmocka_unit_test(equal_selectors_are_counted),
	    cmocka_unit_test(nonsense_is_refused),
	    cmocka_unit_test(default_discard_covers_both_directions),
	    cmocka_unit_test(too_many_shapes_coarsen_step_by_step),
	    cmocka_unit_test(an_emptied_side_is_exact_again),
	    cmocka_unit_test(too_many_entries_coarsen_the_largest_side),
	    cmocka_unit_test(coarsening_goes_as_far_as_it_must),
	    cmocka_unit_test(entries_of_a_dead_maker_stay_until_dropped),
	    cmocka_unit_test(ageing_survives_coarsening),
	    cmocka_unit_test(keys_have_the_layout_of_the_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
