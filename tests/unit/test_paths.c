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
	return tdo_paths_init(&paths, number);
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

/* A TCP connection over a path that carries mtu bytes, for a while. */
struct tcp {
	const struct tdo_addr *dst;
	uint64_t flow;
	uint32_t next;  /* sequence number */
	uint32_t tried; /* what its segments are cut to, as the worker remembers it */
	bool given_up;
	tdo_ns repeated; /* when it began to repeat */
	unsigned times;  /* that it was stuck */
};

static struct tdo_segment
segment(const struct tcp *c, uint32_t size)
{
	return (struct tdo_segment){
	    .flow = c->flow, .seq = c->next, .end = c->next + 1000, .size = size};
}

/* It sends a segment of this size, and hears of it if size is no more than mtu. */
static void
moves(struct tcp *c, uint32_t size, uint32_t mtu, tdo_ns now)
{
	struct tdo_segment s = segment(c, size);

	if (tdo_paths_watches(&paths, c->dst)) {
		(void)tdo_paths_tcp_sent(&paths, c->dst, &s, NULL, now);
		if (size <= mtu)
			tdo_paths_tcp_acked(&paths, c->dst, c->flow, s.end, now + 1);
	}
	if (size <= mtu)
		c->next = s.end;
}

/* It repeats a segment of this size; true: a smaller one that was tried got through. */
static bool
repeats(struct tcp *c, uint32_t size, uint32_t mtu, bool stuck, tdo_ns now)
{
	struct tdo_path_trouble t = {
	    .s = segment(c, size), .since = c->repeated, .tried = c->tried, .stuck = stuck};
	uint32_t to = tdo_paths_suspect(&paths, c->dst, &t, now);

	if (to == TDO_PATH_GIVE_UP) {
		c->given_up = true;
		c->tried = 0;
		return false;
	}
	c->tried = to;
	if (stuck)
		c->repeated = now;
	t.s.size = to != 0 && to < size ? to : size;
	if (!tdo_paths_watches(&paths, c->dst))
		return false;
	(void)tdo_paths_tcp_sent(&paths, c->dst, &t.s, NULL, now);
	if (t.s.size > mtu)
		return false;
	tdo_paths_tcp_acked(&paths, c->dst, c->flow, t.s.seq + 900, now + 1);
	return to != 0;
}

/* Its timer, as Linux has it: a sender that hears nothing, from now on for some time. */
static bool
hangs(struct tcp *c, uint32_t size, uint32_t mtu, tdo_ns *now, tdo_ns seconds)
{
	tdo_ns wait = TDO_SEC / 5, end = *now + seconds * TDO_SEC;
	struct net n = {.dst = c->dst, .mtu = 1500, .deaf = true};
	unsigned sent = 1;

	c->repeated = *now;
	while (*now + wait < end && !c->given_up) {
		tdo_ns then = *now + wait;

		for (; *now < then; *now += TDO_SEC / 5)
			pass(&n, 1500, 1400, now, 0);
		sent++;
		if (repeats(c, size, mtu, sent >= 3 && *now - c->repeated >= TDO_SEC, *now))
			return true;
		if (sent >= 3 && c->repeated == *now) {
			sent = 1;
			c->times++;
		}
		wait *= 2;
	}
	return false;
}

static const struct tcp one = {.dst = &v4, .flow = 111, .next = 5000};
static const struct tcp other = {.dst = &v4, .flow = 222, .next = 0xfffffff0};

static void
tcp_behind_a_black_hole_heals(void **state)
{
	static const struct {
		uint32_t mtu, limit;
		tdo_ns within;
	} rows[] = {{1400, 1280, 2}, {1280, 1280, 2}, {1279, 1006, 7}, {1006, 1006, 7},
	    {800, 576, 26}, {576, 576, 26}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp c = one;
		tdo_ns t = 100 * TDO_SEC, began = t;

		(void)teardown(NULL);
		(void)setup(NULL);
		assert_int_equal(use(&v4, 1500, 1400, t), 1500);
		assert_true(hangs(&c, 1500, rows[i].mtu, &t, 60));
		assert_true(t - began < rows[i].within * TDO_SEC);
		assert_int_equal(use(&v4, 1500, 1400, t), rows[i].limit);
	}
}

static void
no_path_of_ipv6_carries_less_than_1280(void **state)
{
	struct tcp c = {.dst = &v6, .flow = 1};
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v6, 1500, 1400, t);
	assert_false(hangs(&c, 1500, 1279, &t, 60));
	assert_true(c.given_up);
	assert_int_equal(use(&v6, 1500, 1400, t), 1500);
	assert_int_equal(paths.lowered, 0);
}

/* A receiver that was switched off lowers nothing for others, not even for a moment. */
static void
one_dead_receiver_lowers_nothing(void **state)
{
	struct tcp dead = one;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	assert_false(hangs(&dead, 1500, 0, &t, 900));
	assert_true(dead.given_up);
	assert_true(dead.times <= 4);
	assert_int_equal(paths.lowered, 0);
}

/* Nor do many of them, at the same time: a whole network behind the peer. */
static void
many_dead_receivers_lower_nothing(void **state)
{
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	for (unsigned i = 0; i < 50; i++) {
		struct tcp dead = {.dst = &v4, .flow = 1000 + i, .next = i};
		tdo_ns now = t + i * TDO_SEC / 50;

		(void)hangs(&dead, 1500, 0, &now, 60);
	}
	assert_int_equal(paths.lowered, 0);
}

/* One flow's small packets get through, where its large ones did not; but those of others do. */
static void
others_that_move_disprove_it(void **state)
{
	struct tcp liar = one, good = other;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	liar.repeated = t;
	assert_false(repeats(&liar, 1500, 1300, false, t + TDO_SEC / 5));
	moves(&good, 1500, 1500, t + TDO_SEC / 2);
	assert_false(repeats(&liar, 1500, 1300, true, t + 3 * TDO_SEC / 2));
	assert_true(liar.given_up);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);

	/* That something passed before the trouble began says nothing. */
	liar = one;
	liar.repeated = t + TDO_SEC;
	assert_false(repeats(&liar, 1500, 1300, false, t + TDO_SEC));
	assert_true(repeats(&liar, 1500, 1300, true, t + 2 * TDO_SEC));
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
}

/* What others move with is not taken from them. */
static void
what_others_move_with_stays(void **state)
{
	struct tcp stuck = one, good = other;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	stuck.repeated = t;
	assert_false(repeats(&stuck, 1500, 1400, false, t + TDO_SEC / 5));
	moves(&good, 1360, 1400, t + TDO_SEC / 2);
	assert_true(repeats(&stuck, 1500, 1400, true, t + 3 * TDO_SEC / 2));
	assert_int_equal(use(&v4, 1500, 1400, t), 1360);
}

/* Large packets that nobody acknowledges disprove nothing. */
static void
others_that_only_send_disprove_nothing(void **state)
{
	struct tcp stuck = one, also = other;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	stuck.repeated = t;
	assert_false(repeats(&stuck, 1500, 1400, false, t + TDO_SEC / 5));
	for (unsigned i = 0; i < 10; i++)
		moves(&also, 1500, 1400, t + TDO_SEC / 2 + i);
	tdo_paths_tcp_acked(&paths, &v4, also.flow, also.next, t + TDO_SEC); /* what was before */
	assert_true(repeats(&stuck, 1500, 1400, true, t + 3 * TDO_SEC / 2));
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
}

/* A sender that found out by itself what gets through: of what is acknowledged now nothing is known
 * that was larger (Karn). */
static void
others_that_send_less_disprove_nothing(void **state)
{
	struct tcp stuck = one, wise = other;
	tdo_ns t = 100 * TDO_SEC;
	struct tdo_segment s = segment(&wise, 1500);

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	stuck.repeated = t;
	assert_false(repeats(&stuck, 1500, 1400, false, t + TDO_SEC / 5));
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t + TDO_SEC / 4);
	s.size = 1100;
	s.end -= 400;
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t + TDO_SEC / 2);
	tdo_paths_tcp_acked(&paths, &v4, wise.flow, s.end + 400, t + TDO_SEC);
	assert_true(repeats(&stuck, 1500, 1400, true, t + 3 * TDO_SEC / 2));
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
}

/* The acknowledgements of a flow may take another way: what it sends next tells as well. */
static void
new_segments_tell_too(void **state)
{
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC;
	struct tdo_segment s;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	c.repeated = t;
	assert_false(repeats(&c, 1500, 0, false, t + TDO_SEC / 5));
	assert_false(repeats(&c, 1500, 0, true, t + 3 * TDO_SEC / 2));
	assert_int_equal(c.tried, 1280);
	s = segment(&c, 1280);
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t + 2 * TDO_SEC);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	s.seq += 1000;
	s.end += 1000;
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t + 2 * TDO_SEC);
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
}

/* A flow that was given up may come back to life; that is no reason for anything. */
static void
what_revives_is_no_black_hole(void **state)
{
	struct tcp c = one;
	struct tdo_segment s;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	assert_false(hangs(&c, 1500, 0, &t, 900));
	assert_true(c.given_up);
	s = segment(&c, 1500);
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t);
	tdo_paths_tcp_acked(&paths, &v4, c.flow, s.end, t);
	/* Nor one that another worker sends, which does not know what was tried. */
	c = (struct tcp){.dst = &v4, .flow = 7, .next = 1, .repeated = t};
	assert_false(repeats(&c, 1500, 0, false, t + TDO_SEC / 5));
	assert_false(repeats(&c, 1500, 0, true, t + 3 * TDO_SEC / 2));
	s = segment(&c, 1500);
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t + 2 * TDO_SEC);
	tdo_paths_tcp_acked(&paths, &v4, c.flow, s.end, t + 2 * TDO_SEC);
	assert_int_equal(paths.lowered, 0);
}

/* ---- a limit is tried again by TCP -------------------------------------------------- */

/* A packet that is cut to the limit, of a sender who does not know it. */
static bool
goes_whole(struct tcp *c, uint32_t size, uint32_t limit, tdo_ns now)
{
	struct tdo_segment cut = segment(c, limit), whole = segment(c, size);

	cut.end = cut.seq + 800;
	if (!tdo_paths_watches(&paths, c->dst) ||
	    tdo_paths_tcp_sent(&paths, c->dst, &cut, &whole, now) == 0)
		return false;
	return true;
}

static void
lower(struct tcp *c, tdo_ns *t)
{
	(void)use(&v4, 1500, 1400, *t);
	assert_true(hangs(c, 1500, 1400, t, 10));
	assert_int_equal(use(&v4, 1500, 1400, *t), 1280);
	c->next += 1000;
}

/* A path that was dead for a moment looks like a black hole; that is over after a second or two. */
static void
a_limit_without_need_ends_at_once(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500, .deaf = true};
	struct tcp c = one, also = other;
	tdo_ns t = 100 * TDO_SEC, began;

	(void)state;
	lower(&c, &t);
	began = t;
	while (!goes_whole(&c, 1500, 1280, t))
		pass(&n, 1500, 1400, &t, 1);
	assert_true(t - began <= 3 * TDO_SEC);
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
	assert_false(goes_whole(&also, 1500, 1280, t)); /* one is enough */
	tdo_paths_tcp_acked(&paths, &v4, c.flow, c.next + 999, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
	tdo_paths_tcp_acked(&paths, &v4, c.flow, c.next + 1000, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
	assert_int_equal(get(&v4).limit, 0);
}

/* What is lost costs its sender one segment, less and less often, and keeps the limit alive. */
static void
a_limit_that_is_needed_stays(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1400, .deaf = true};
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC, end;
	unsigned losses = 0;

	(void)state;
	lower(&c, &t);
	for (end = t + 7200 * TDO_SEC; t < end;) {
		pass(&n, 1500, 1400, &t, 1);
		if (!goes_whole(&c, 1500, 1280, t))
			continue;
		losses++;
		/* It is repeated, cut; what is acknowledged then says nothing. */
		assert_false(goes_whole(&c, 1500, 1280, t + TDO_SEC / 5));
		tdo_paths_tcp_acked(&paths, &v4, c.flow, c.next + 1000, t + TDO_SEC / 4);
		c.next += 1000;
		assert_int_equal(use(&v4, 1500, 1400, t), 1280);
	}
	assert_in_range(losses, 10, 18);
	assert_int_equal(paths.raised, 0);
}

/* A sender that begins again further back may repeat it as a later segment of a super-packet. */
static void
what_is_repeated_with_others_says_nothing(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1400, .deaf = true};
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC;
	struct tdo_segment s;

	(void)state;
	lower(&c, &t);
	while (!goes_whole(&c, 1500, 1280, t))
		pass(&n, 1500, 1400, &t, 1);
	s = segment(&c, 1280);
	s.seq -= 2000;
	s.end -= 2000;
	s.more = 1000; /* up to the longer one, which it does not contain */
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t);
	assert_int_not_equal(get(&v4).tcp.canary.size, 0);
	s.more = 5000;
	(void)tdo_paths_tcp_sent(&paths, &v4, &s, NULL, t);
	tdo_paths_tcp_acked(&paths, &v4, c.flow, c.next + 1000, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
}

/* Also a limit by a forged ICMP error, towards a peer that answers nothing. */
static void
tcp_disproves_icmp(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500, .deaf = true};
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC, began = t;

	(void)state;
	(void)use(&v4, 1500, 1400, t);
	assert_true(tdo_paths_too_big(&paths, &v4, 552, 1500, t));
	pass(&n, 1500, 1400, &t, 9);
	assert_false(goes_whole(&c, 1500, 552, t));
	while (!goes_whole(&c, 1500, 552, t))
		pass(&n, 1500, 1400, &t, 1);
	assert_true(t - began <= 13 * TDO_SEC);
	tdo_paths_tcp_acked(&paths, &v4, c.flow, c.next + 1000, t);
	assert_int_equal(use(&v4, 1500, 1400, t), 1500);
}

/* Another system may have taken over the peer's address, one that knows no probes. */
static void
who_answers_no_more_is_asked_by_tcp(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	assert_true(get(&v4).answers);
	/* Not so after a moment without a path. */
	n.mtu = 0;
	pass(&n, 1500, 1400, &t, 3);
	assert_true(get(&v4).answers);
	n.mtu = 1500;
	pass(&n, 1500, 1400, &t, 5);
	n.mtu = 1400;
	n.deaf = true;
	pass(&n, 1500, 1400, &t, 20);
	assert_true(hangs(&c, 1500, 1400, &t, 60));
	assert_int_equal(use(&v4, 1500, 1400, t), 1280);
	/* And when it is back it is asked again. */
	n.deaf = false;
	pass(&n, 1500, 1400, &t, 130);
	assert_true(get(&v4).answers);
	assert_in_range(use(&v4, 1500, 1400, t), 1393, 1400);
}

/* Answers may take much longer than before: a path became slower, or a queue longer. */
static void
late_answers_are_waited_for(void **state)
{
	enum { LATE = 6 }; /* steps of 50 ms */
	struct tdo_path_probe probe[LATE][TDO_PATH_PROBES];
	unsigned k[LATE] = {0};
	struct net n = {.dst = &v4, .mtu = 1500, .delay = TDO_SEC / 50};
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	assert_int_equal(get(&v4).round_trip, TDO_SEC / 50);
	n.delay = 0;
	n.mtu = 1400;
	for (unsigned i = 0; i < 20 * 20; i++, t += TDO_SEC / 20) {
		unsigned at = i % LATE;

		(void)use(&v4, 1500, 1400, t);
		for (unsigned j = 0; j < k[at]; j++)
			carry(&n, &probe[at][j], t);
		k[at] = tdo_paths_tick(&paths, t, probe[at], TDO_PATH_PROBES);
	}
	assert_true(get(&v4).answers);
	assert_in_range(use(&v4, 1500, 1400, t), 1393, 1400);
}

/* Where nothing is suspected, or not any more, TCP is not looked at. */
static void
only_what_is_suspected_is_watched(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500, .deaf = true};
	struct tcp c = one;
	tdo_ns t = 100 * TDO_SEC;

	(void)state;
	assert_false(tdo_paths_watches(&paths, &v4));
	c.repeated = t;
	assert_false(repeats(&c, 1500, 0, true, t)); /* of a path that nobody used: nothing */
	assert_false(tdo_paths_watches(&paths, &v4));
	(void)use(&v4, 1500, 1400, t);
	assert_false(repeats(&c, 1500, 0, false, t));
	assert_true(tdo_paths_watches(&paths, &v4));
	assert_false(tdo_paths_watches(&paths, &v6));
	pass(&n, 1500, 1400, &t, 4);
	assert_false(tdo_paths_watches(&paths, &v4));
	/* Of a path that is forgotten no trace is left. */
	assert_false(repeats(&c, 1500, 0, false, t));
	for (uint32_t i = 0; i < 2 * TDO_PATHS; i++) {
		struct tdo_addr a = v4;

		memcpy(a.b, &i, sizeof(i));
		(void)use(&a, 1500, 100, t + 1 + i);
	}
	assert_int_equal(atomic_load(&paths.nwatched), 0);
}

/* Whoever answers is asked at once, and the answer counts. */
static void
tcp_makes_probes_come_at_once(void **state)
{
	struct net n = {.dst = &v4, .mtu = 1500};
	struct tcp c = one;
	tdo_ns t = TDO_SEC;

	(void)state;
	pass(&n, 1500, 1400, &t, 10);
	c.repeated = t;
	assert_false(repeats(&c, 1500, 0, true, t));
	assert_int_equal(c.tried, 0);
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

static struct tdo_addr
peer(uint32_t i)
{
	struct tdo_addr a = v4;

	memcpy(a.b, &i, sizeof(i));
	return a;
}

static void
more_peers_than_places(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4 * TDO_PATHS; i++) {
		struct tdo_addr a = peer(i);

		assert_int_equal(use(&a, 1500, 100, i + 1), 1500);
		assert_true(tdo_paths_too_big(&paths, &a, 1400, 1500, i + 1));
		assert_int_equal(use(&a, 1500, 100, i + 1), 1400);
	}
}

/* What is known of 10,000 peers is known until its time is over, and each is asked. */
static void
a_gateway_knows_all_of_its_paths(void **state)
{
	struct tdo_path_probe probe[32];
	tdo_ns t = TDO_SEC;
	unsigned n = 0, k;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		struct tdo_addr a = peer(i);

		(void)use(&a, 1500, 1400, t);
		assert_true(tdo_paths_too_big(&paths, &a, 1400, 1500, t));
	}
	for (uint32_t i = 0; i < 10000; i++) {
		struct tdo_addr a = peer(i);

		assert_int_equal(use(&a, 1500, 1400, t + 3 * TDO_SEC), 1400);
	}
	while ((k = tdo_paths_tick(&paths, t + 3 * TDO_SEC, probe, 32)) > 0)
		n += k;
	assert_int_equal(n, 2 * 10000);
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
	    T(tcp_behind_a_black_hole_heals),
	    T(no_path_of_ipv6_carries_less_than_1280),
	    T(one_dead_receiver_lowers_nothing),
	    T(many_dead_receivers_lower_nothing),
	    T(others_that_move_disprove_it),
	    T(what_others_move_with_stays),
	    T(others_that_only_send_disprove_nothing),
	    T(others_that_send_less_disprove_nothing),
	    T(new_segments_tell_too),
	    T(what_revives_is_no_black_hole),
	    T(a_limit_without_need_ends_at_once),
	    T(a_limit_that_is_needed_stays),
	    T(what_is_repeated_with_others_says_nothing),
	    T(tcp_disproves_icmp),
	    T(who_answers_no_more_is_asked_by_tcp),
	    T(late_answers_are_waited_for),
	    T(only_what_is_suspected_is_watched),
	    T(tcp_makes_probes_come_at_once),
	    T(answers_to_other_questions_count_nothing),
	    T(more_peers_than_places),
	    T(a_gateway_knows_all_of_its_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
