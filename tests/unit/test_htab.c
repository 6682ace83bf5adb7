/* SPDX-License-Identifier: BSD-2-Clause */
/* The hash table alone: growth in small steps, while readers stand in it, and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/htab.h"
#include "mem.h"
#include "rng.h"

struct item {
	struct tdo_hnode node;
	uint32_t value;
	bool in;
};

static bool no_memory;

static const struct tdo_mem mem = TEST_MEM_UNLESS(no_memory);
static const struct tdo_hash_key key = {{1, 2}};
static struct tdo_qsbr qsbr;
static struct tdo_htab t;

static int
setup(void **state)
{
	(void)state;
	no_memory = false;
	tdo_qsbr_init(&qsbr, 1);
	return tdo_htab_init(&t, &mem, &qsbr);
}

static int
teardown(void **state)
{
	(void)state;
	tdo_htab_fini(&t);
	return 0;
}

/* Some values share a hash. */
static uint64_t
hash(uint32_t value)
{
	uint32_t v = value / 3;

	return tdo_siphash(&key, &v, sizeof(v));
}

static void
insert(struct item *it)
{
	tdo_htab_insert(&t, &it->node, hash(it->value));
	it->in = true;
}

static struct item *
of(struct tdo_hnode *n)
{
	return TDO_CONTAINER_OF(n, struct item, node);
}

static struct item *
find(uint32_t value)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n = tdo_htab_first(&t, hash(value), &w);

	while (n && of(n)->value != value)
		n = tdo_htab_next(&w);
	return n ? of(n) : NULL;
}

static void
count(void *ctx, struct tdo_hnode *n)
{
	assert_true(of(n)->in);
	++*(unsigned *)ctx;
}

static void
holds_what_was_put_in(void **state)
{
	enum { N = 20000 };
	struct item *it = calloc(2 * N, sizeof(*it));
	struct rng r = {7};
	unsigned in = 0, seen;

	(void)state;
	assert_non_null(it);
	for (uint32_t i = 0; i < N; i++)
		it[i].value = it[N + i].value = i;
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t v = rng_below(&r, i < 50000 ? 100 + i / 4 : N);
		struct item *a = &it[v], *b = &it[N + v], *now = a->in ? a : b->in ? b : NULL;

		assert_ptr_equal(find(v), now);
		if (!now) {
			insert(a);
			in++;
		} else if (rng_below(&r, 3) == 0) {
			struct item *other = now == a ? b : a;

			tdo_htab_replace(&t, &now->node, &other->node);
			now->in = false;
			other->in = true;
		} else if (rng_below(&r, 2) == 0) {
			tdo_htab_remove(&t, &now->node);
			now->in = false;
			in--;
		}
		if (i % 50000 == 0) {
			seen = 0;
			tdo_htab_each(&t, count, &seen);
			assert_int_equal(seen, in);
		}
	}
	assert_true(atomic_load(&t.size) > in / 2);
	free(it);
}

/* One insertion divides two buckets at most, however large the table is. */
static void
grows_in_small_steps(void **state)
{
	enum { N = 100000 };
	struct item *it = calloc(N, sizeof(*it));
	uint32_t before;

	(void)state;
	assert_non_null(it);
	for (uint32_t i = 0; i < N; i++) {
		before = atomic_load(&t.size);
		it[i].value = i;
		insert(&it[i]);
		assert_in_range(atomic_load(&t.size), before, before + 2);
	}
	assert_in_range(atomic_load(&t.size), N - 1, N);
	free(it);
}

/* A reader that is not quiescent may be in an old chain: only one round goes on. */
static void
waits_for_readers_between_rounds(void **state)
{
	struct item it[200] = {0};

	(void)state;
	tdo_qsbr_online(&qsbr, 0);
	for (uint32_t i = 0; i < 200; i++) {
		it[i].value = i;
		insert(&it[i]);
	}
	assert_int_equal(atomic_load(&t.size), 32);
	for (uint32_t i = 0; i < 200; i++)
		assert_ptr_equal(find(i), &it[i]);
	tdo_qsbr_quiesce(&qsbr, 0);
	tdo_htab_remove(&t, &it[0].node);
	insert(&it[0]);
	assert_int_equal(atomic_load(&t.size), 34);
}

/* What a reader stands on leads it through all that was there, whatever is divided meanwhile. */
static void
walks_survive_splits(void **state)
{
	struct item same[8] = {0}, it[400] = {0};
	struct tdo_hwalk w;
	struct tdo_hnode *n;
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		same[i].value = i;
		tdo_htab_insert(&t, &same[i].node, 0x1234567);
	}
	tdo_qsbr_online(&qsbr, 0);
	n = tdo_htab_first(&t, 0x1234567, &w);
	for (uint32_t i = 0; i < 400; i++) {
		it[i].value = 1000 + i;
		insert(&it[i]);
	}
	for (; n; n = tdo_htab_next(&w))
		seen++;
	assert_int_equal(seen, 8);
}

static void
goes_on_without_memory(void **state)
{
	struct item it[100] = {0};

	(void)state;
	no_memory = true;
	for (uint32_t i = 0; i < 100; i++) {
		it[i].value = i;
		insert(&it[i]);
	}
	assert_int_equal(atomic_load(&t.size), 16);
	for (uint32_t i = 0; i < 100; i++)
		assert_ptr_equal(find(i), &it[i]);
	no_memory = false;
	tdo_htab_remove(&t, &it[0].node);
	insert(&it[0]);
	assert_int_equal(atomic_load(&t.size), 18);
	tdo_htab_fini(&t);
	no_memory = true;
	assert_int_equal(tdo_htab_init(&t, &mem, &qsbr), -12);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(holds_what_was_put_in),
	    T(grows_in_small_steps),
	    T(waits_for_readers_between_rounds),
	    T(walks_survive_splits),
	    T(goes_on_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
