/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths with a clock of our own, and a network whose MTU, losses and answers the test decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "daemon/paths.h"

static struct tdo_paths paths;
static uint64_t numbers;

static const struct tdo_addr here = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
static const struct tdo_addr v4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
static const struct tdo_addr here6 = {.af = TDO_AF_INET6, .b = {0xfd, [15] = 1}};
static const struct tdo_addr v6 = {.af = TDO_AF_INET6, .b = {0xfd, [15] = 2}};

/* The network between us and one peer. */
struct net {
	const struct tdo_addr *dst;
	uint32_t mtu;    /* what passes; 0: nothing */
	bool deaf;       /* the peer does not know what probes are */
	uint32_t align;  /* padding of its SA */
	unsigned losses; /* answers that get lost from now on */
	tdo_ns delay;
	unsigned probes; /* that were sent */
};

static uint64_t
number(void)
{
	return ++numbers;
}

static int
setup(void **state)
{
	(void)state;
	tdo_paths_init(&paths, number);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tdo_paths_fini(&paths);
	return 0;
}

static uint32_t
use(const struct tdo_addr *dst, uint32_t link, uint32_t largest, tdo_ns now)
{
	struct tdo_pmtu_use u = {.dst = *dst,
	    .src = dst->af == TDO_AF_INET ? here : here6,
	    .mtu = link,
	    .largest = largest};
	uint32_t limit = tdo_paths_limit(&paths, &u, now);

	return limit != 0 && limit < link ? limit : link;
}

static struct tdo_path
get(const struct tdo_addr *dst)
{
	struct tdo_path x = {0};

	assert_true(tdo_paths_get(&paths, dst, &x));
	return x;
}

static void
carry(struct net *n, const struct tdo_path_probe *p, tdo_ns now)
{
	uint32_t len = n->align ? p->size & ~(n->align - 1) : p->size;

	if (!tdo_addr_equal(&p->dst, n->dst))
		return;
	assert_true(tdo_addr_equal(&p->src, p->dst.af == TDO_AF_INET ? &here : &here6));
	n->probes++;
	tdo_paths_sent(&paths, p, len);
	if (n->deaf || len > n->mtu)
		return;
	if (n->losses > 0) {
		n->losses--;
		return;
	}
	tdo_paths_answered(&paths, &p->dst, p->nonce, p->size, now + n->delay);
}

/* Lets time pass in steps of 50 ms; packets of largest bytes flow, if it is not 0. */
static void
pass(struct net *n, uint32_t link, uint32_t largest, tdo_ns *now, tdo_ns seconds)
{
	struct tdo_path_probe probe[TDO_PATH_PROBES];

	for (tdo_ns end = *now + seconds * TDO_SEC; *now < end; *now += TDO_SEC / 20) {
		unsigned k;

		if (largest != 0)
			(void)use(n->dst, link, largest, *now);
		k = tdo_paths_tick(&paths, *now, probe, TDO_PATH_PROBES);
		for (unsigned i = 0; i < k; i++)
			carry(n, &probe[i], *now);
	}
}

static void
small_packets_ask_nothing(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 400, &t, 10);
	assert_int_equal(n.probes, 0);
	assert_int_equal(use(&v4, 1500, 400, t), 1500);
	/* Large ones do, from time to time, as long as they flow. */
	pass(&n, 1500, 1400, &t, 10);
	assert_in_range(n.probes, 8, 14);
	assert_int_equal(use(&v4, 1500, 400, t), 1500);
	pass(&n, 1500, 0, &t, 10);
	n.probes = 0;
	pass(&n, 1500, 0, &t, 10);
	assert_int_equal(n.probes, 0);
	assert_true(get(&v4).answers);
}

static void
switched_off_there_are_none(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	atomic_store(&paths.probing, false);
	pass(&n, 1500, 1400, &t, 10);
	assert_int_equal(n.probes, 0);
}

/* Nor from nowhere: the outermost header is none of ESP. */
static void
without_a_source_there_are_none(void **state)
{
	struct tdo_path_probe probe[TDO_PATH_PROBES];
	struct tdo_pmtu_use u = {.dst = v4, .mtu = 1500, .largest = 1400};

	(void)state;
	for (tdo_ns t = TDO_SEC; t < 20 * TDO_SEC; t += TDO_SEC / 10) {
		(void)tdo_paths_limit(&paths, &u, t);
		assert_int_equal(tdo_paths_tick(&paths, t, probe, TDO_PATH_PROBES), 0);
	}
	tdo_paths_suspect(&paths, &v4, true, 21 * TDO_SEC);
	assert_int_equal(get(&v4).limit, 1280);
}

/* Who never answers is asked less and less, and nothing follows from its silence. */
static void
silence_means_nothing(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500, .deaf = true};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 600);
	assert_in_range(n.probes, 10, 120);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	assert_int_equal(paths.lowered, 0);
	/* Nor from that of a peer that answered before: its path is dead, not narrow. */
	n.deaf = false;
	pass(&n, 1500, 1400, &t, 120);
	assert_true(get(&v4).answers);
	n.mtu = 0;
	pass(&n, 1500, 1400, &t, 30);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
}

static void
heals(const struct tdo_addr *dst, uint32_t link, uint32_t mtu, uint32_t align)
{
	struct net n = {.dst = dst, .mtu = link, .align = align, .delay = TDO_SEC / 100};
	tdo_ns t = TDO_SEC, at;
	uint32_t got;

	pass(&n, link, 1400, &t, 10);
	assert_int_equal(use(dst, link, 1400, t), link);
	n.mtu = mtu;
	at = t;
	while (use(dst, link, 1400, t) > mtu) {
		pass(&n, link, 1400, &t, 1);
		assert_true(t - at <= 4 * TDO_SEC);
	}
	pass(&n, link, 1400, &t, 2);
	got = use(dst, link, 1400, t);
	assert_in_range(got, mtu - 8 - (align ? align : 1), mtu);
	/* It stays so, and what passes again is used again. */
	pass(&n, link, 1400, &t, 700);
	assert_in_range(use(dst, link, 1400, t), mtu - 8 - (align ? align : 1), mtu);
	n.mtu = link;
	pass(&n, link, 1400, &t, TDO_PATH_RETRY_MAX / TDO_SEC + 10);
	assert_int_equal(use(dst, link, 1400, t), link);
}

static void
black_holes_heal(void **state)
{
	(void)state;
	heals(&v4, 1500, 1300, 0);
	heals(&v6, 1500, 1300, 0);
}

static void
black_holes_of_all_sizes_heal(void **state)
{
	static const uint32_t aligns[] = {0, 4, 16};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (uint32_t mtu = 576; mtu < 9000; mtu += mtu < 1500 ? 77 : 913) {
			(void)teardown(NULL);
			(void)setup(NULL);
			heals(&v4, mtu < 1490 ? 1500 : 9000, mtu, aligns[i]);
			if (mtu >= 1280)
				heals(&v6, mtu < 1490 ? 1500 : 9000, mtu, aligns[i]);
		}
}

static void
two_losses_are_no_black_hole(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	for (unsigned i = 0; i < 20; i++) {
		n.losses = 2 * (TDO_PATH_MISSES - 1);
		pass(&n, 1500, 1400, &t, 5);
		assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	}
	assert_int_equal(paths.lowered, 0);
}

/* A loss during the search finds too little; that is corrected. */
static void
a_wrong_measure_is_corrected(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	n.mtu = 1300;
	while (get(&v4).state != TDO_PATH_SEARCHING)
		pass(&n, 1500, 1400, &t, 1);
	n.losses = 3;
	pass(&n, 1500, 1400, &t, 130);
	assert_in_range(use(&v4, 1500, 1400, t), 1290, 1300);
}

/* ---- ICMP --------------------------------------------------------------------------- */

static void
icmp_lowers_and_never_raises(void **state)
{
	tdo_ns t = TDO_SEC;

	(void)state;
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	assert_true(tdo_paths_too_big(&paths, &v4, 1400, 1500, t));
	assert_int_equal(use(&v4, 1500, 1400, t), 1400);
	assert_false(tdo_paths_too_big(&paths, &v4, 1450, 1500, t));
	assert_false(tdo_paths_too_big(&paths, &v4, 9000, 9500, t));
	assert_int_equal(use(&v4, 1500, 1400, t), 1400);
	/* Not below what a forged one could do harm with. */
	assert_true(tdo_paths_too_big(&paths, &v4, 68, 1500, t));
	assert_int_equal(use(&v4, 1500, 1400, t), TDO_PMTU_FLOOR_IP4);
	assert_true(tdo_paths_too_big(&paths, &v6, 1280, 1500, t));
	assert_int_equal(use(&v6, 1500, 1400, t), 1280);
}

static void
old_routers_name_no_mtu(void **state)
{
	(void)state;
	assert_int_equal(use(&v4, 1500, 1400, TDO_SEC), 1500);
	assert_true(tdo_paths_too_big(&paths, &v4, 0, 1500, TDO_SEC));
	assert_int_equal(use(&v4, 1500, 1400, TDO_SEC), 1492);
	assert_true(tdo_paths_too_big(&paths, &v4, 0, 1400, TDO_SEC));
	assert_int_equal(use(&v4, 1500, 1400, TDO_SEC), 1280);
}

static void
the_first_word_of_a_path_may_be_icmp(void **state)
{
	uint32_t before = atomic_load(&paths.generation);

	(void)state;
	assert_true(tdo_paths_too_big(&paths, &v4, 1400, 1500, TDO_SEC));
	assert_int_not_equal(atomic_load(&paths.generation), before);
	assert_int_equal(use(&v4, 1500, 1400, TDO_SEC), 1400);
}

/* A forged error that was believed does not last: the peer's answers count for more. */
static void
a_believed_forgery_heals(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	assert_true(tdo_paths_too_big(&paths, &v4, 552, 1500, t));
	assert_int_equal(use(&v4, 1500, 1400, t), 552);
	pass(&n, 1500, 1400, &t, TDO_PATH_DOUBT / TDO_SEC + 5);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
}

static void
limits_end_by_themselves(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1400, .deaf = true};
	tdo_ns t = TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	assert_true(tdo_paths_too_big(&paths, &v4, 1400, 1500, t));
	pass(&n, 1500, 0, &t, TDO_PATH_HOLD / TDO_SEC - 1);
	assert_int_equal(use(&v4, 1500, 100, t), 1400);
	pass(&n, 1500, 0, &t, 2);
	assert_int_equal(use(&v4, 1500, 100, t), 1500);
	/* Also while large packets flow to a peer that never answers. */
	assert_true(tdo_paths_too_big(&paths, &v4, 1400, 1500, t));
	pass(&n, 1500, 1400, &t, TDO_PATH_HOLD / TDO_SEC + 130);
	assert_int_equal(use(&v4, 1500, 100, t), 1500);
}

/* ---- TCP ---------------------------------------------------------------------------- */

static void
tcp_lowers_step_by_step(void **state)
{
	tdo_ns t = 10 * TDO_SEC;

	(void)state;
	tdo_paths_suspect(&paths, &v4, true, t); /* of a path that nobody used: nothing */
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	assert_int_equal(use(&v6, 1500, 1400, t), 1500);
	tdo_paths_suspect(&paths, &v4, false, t); /* nobody can be asked */
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	tdo_paths_suspect(&paths, &v4, true, t);
	tdo_paths_suspect(&paths, &v4, true, t); /* the same trouble */
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
	t += 2 * TDO_SEC;
	tdo_paths_suspect(&paths, &v4, true, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1006);
	t += 2 * TDO_SEC;
	tdo_paths_suspect(&paths, &v4, true, t);
	t += 2 * TDO_SEC;
	tdo_paths_suspect(&paths, &v4, true, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 576);
	tdo_paths_suspect(&paths, &v6, true, t);
	t += 2 * TDO_SEC;
	tdo_paths_suspect(&paths, &v6, true, t);
	assert_int_equal(use(&v6, 1500, 1400, t), 1280);
}

/* Whoever answers is asked at once, and the answer counts. */
static void
tcp_makes_probes_come_at_once(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	tdo_paths_suspect(&paths, &v4, false, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	n.probes = 0;
	t += TDO_SEC / 20;
	pass(&n, 1500, 1400, &t, 1);
	assert_true(n.probes >= 2);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
}

/* ---- answers, table ----------------------------------------------------------------- */

static void
answers_to_other_questions_count_nothing(void **state)
{
	struct tdo_path_probe probe[TDO_PATH_PROBES];

	(void)state;
	(void)use(&v4, 1500, 1400, TDO_SEC);
	assert_int_equal(tdo_paths_tick(&paths, TDO_SEC, probe, TDO_PATH_PROBES), 2);
	tdo_paths_answered(&paths, &v4, probe[0].nonce + 1, probe[0].size, TDO_SEC);
	tdo_paths_answered(&paths, &v6, probe[0].nonce, probe[0].size, TDO_SEC);
	assert_false(get(&v4).answers);
	tdo_paths_answered(&paths, &v4, probe[0].nonce, 12345, TDO_SEC);
	assert_int_equal(get(&v4).state, TDO_PATH_CONFIRMING);
	tdo_paths_answered(&paths, &v4, probe[0].nonce, probe[0].size, TDO_SEC);
	assert_int_equal(get(&v4).state, TDO_PATH_IDLE);
}

static void
more_peers_than_places(void **state)
{
	struct tdo_addr a = v4;

	(void)state;
	for (uint32_t i = 0; i < 4 * TDO_PATHS; i++) {
		memcpy(a.b, &i, sizeof(i));
		assert_int_equal(use(&a, 1500, 100, i + 1), 1500);
		assert_true(tdo_paths_too_big(&paths, &a, 1400, 1500, i + 1));
		assert_int_equal(use(&a, 1500, 100, i + 1), 1400);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(small_packets_ask_nothing),
	    T(switched_off_there_are_none),
	    T(without_a_source_there_are_none),
	    T(silence_means_nothing),
	    T(black_holes_heal),
	    T(black_holes_of_all_sizes_heal),
	    T(two_losses_are_no_black_hole),
	    T(a_wrong_measure_is_corrected),
	    T(icmp_lowers_and_never_raises),
	    T(old_routers_name_no_mtu),
	    T(the_first_word_of_a_path_may_be_icmp),
	    T(a_believed_forgery_heals),
	    T(limits_end_by_themselves),
	    T(tcp_lowers_step_by_step),
	    T(tcp_makes_probes_come_at_once),
	    T(answers_to_other_questions_count_nothing),
	    T(more_peers_than_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
