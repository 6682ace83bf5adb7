/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments that are repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "daemon/tcpwatch.h"

#define MS (TDO_SEC / 1000)

static struct tdo_tcpwatch w;
static uint8_t mem[2000];

static struct tdo_pkt
segment(uint16_t sport, uint32_t seq)
{
	struct tdo_pkt p = {.buf = mem, .cap = sizeof(mem), .len = 1500};

	p.ip.flow.proto = 6;
	p.ip.l4_off = 20;
	tdo_put_be16(mem + 20, sport);
	tdo_put_be16(mem + 22, 80);
	tdo_put_be32(mem + 24, seq);
	return p;
}

static struct tdo_tcp_slot *slot;

static enum tdo_tcp_trouble
see(uint16_t sport, uint32_t seq, tdo_ns now)
{
	struct tdo_pkt p = segment(sport, seq);

	assert_true(tdo_tcpwatch_wants(&p));
	return tdo_tcpwatch_see(&w, &p, now, &slot);
}

static void
only_large_segments_are_looked_at(void **state)
{
	struct tdo_pkt p = segment(1, 1);

	(void)state;
	p.len = TDO_TCPWATCH_LARGE - 1;
	assert_false(tdo_tcpwatch_wants(&p));
	p = segment(1, 1);
	p.gso = TDO_GSO_TCP;
	assert_false(tdo_tcpwatch_wants(&p));
	p = segment(1, 1);
	p.ip.frag = true;
	assert_false(tdo_tcpwatch_wants(&p));
	p = segment(1, 1);
	p.ip.flow.proto = 17;
	assert_false(tdo_tcpwatch_wants(&p));
	p = segment(1, 1);
	p.ip.l4_off = 1490; /* no TCP header fits */
	assert_int_equal(tdo_tcpwatch_see(&w, &p, TDO_SEC, &slot), TDO_TCP_FINE);
}

static void
a_stream_is_fine(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(see(5, i * 1448, (1 + i) * MS), TDO_TCP_FINE);
}

static void
repetitions_are_seen(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	for (unsigned round = 0; round < 3; round++) {
		tdo_ns t = (100 + 100 * round) * TDO_SEC;

		assert_int_equal(see(7, 1000, t), TDO_TCP_FINE);
		assert_int_equal(see(7, 1000, t + 200 * MS), TDO_TCP_REPEATS);
		assert_int_equal(see(7, 1000, t + 600 * MS), TDO_TCP_REPEATS); /* too soon */
		assert_int_equal(tdo_tcpwatch_age(slot, t + 600 * MS), 600 * MS);
		assert_int_equal(see(7, 1000, t + 1400 * MS), TDO_TCP_STUCK);
		assert_int_equal(tdo_tcpwatch_age(slot, t + 1400 * MS), 1400 * MS);
		/* What is done about it has its chance before it is done again. */
		slot->tried = 1280;
		assert_int_equal(see(7, 1000, t + 3000 * MS), TDO_TCP_REPEATS);
		assert_int_equal(slot->tried, 1280);
		assert_int_equal(tdo_tcpwatch_age(slot, t + 3000 * MS), 1600 * MS);
		assert_int_equal(see(7, 1000, t + 6200 * MS), TDO_TCP_STUCK);
	}
}

/* For as long as its sender goes on. */
static void
what_is_given_up_is_not_looked_at(void **state)
{
	tdo_ns t = TDO_SEC;

	(void)state;
	memset(&w, 0, sizeof(w));
	assert_int_equal(see(7, 1000, t), TDO_TCP_FINE);
	assert_int_equal(see(7, 1000, t + 2000 * MS), TDO_TCP_REPEATS);
	slot->given_up = true;
	for (unsigned i = 0; i < 10; i++) {
		t += 120 * TDO_SEC;
		assert_int_equal(see(7, 1000, t), TDO_TCP_FINE);
	}
	t += 151 * TDO_SEC;
	assert_int_equal(see(7, 1000, t), TDO_TCP_FINE);
	assert_int_equal(see(7, 1000, t + 200 * MS), TDO_TCP_REPEATS);
}

/* A gateway sees many single segments between two of one sender. */
static void
what_is_repeated_is_not_forgotten_for_others(void **state)
{
	tdo_ns t = TDO_SEC;
	unsigned stuck = 0;

	(void)state;
	memset(&w, 0, sizeof(w));
	assert_int_equal(see(7, 1000, t), TDO_TCP_FINE);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(see(8, i * 1448, t + i * MS / 5), TDO_TCP_FINE);
	assert_int_equal(see(7, 1000, t + 200 * MS), TDO_TCP_REPEATS);
	for (uint32_t i = 1000; i < 100000; i++) {
		(void)see(8, i * 1448, t + 200 * MS + i * MS / 50);
		if (i % 20000 == 0)
			stuck += see(7, 1000, t + 200 * MS + i * MS / 50) == TDO_TCP_STUCK;
	}
	assert_int_equal(stuck, 1);
}

static void
flows_do_not_mix(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	for (uint16_t i = 0; i < 5000; i++)
		assert_int_equal(see(i, 77, TDO_SEC + i * MS), TDO_TCP_FINE);
}

/* Sequence numbers come round. */
static void
after_a_minute_it_is_another_one(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	assert_int_equal(see(1, 5, TDO_SEC), TDO_TCP_FINE);
	assert_int_equal(see(1, 5, 62 * TDO_SEC), TDO_TCP_FINE);
	assert_int_equal(see(1, 5, 63 * TDO_SEC), TDO_TCP_REPEATS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_large_segments_are_looked_at),
	    cmocka_unit_test(a_stream_is_fine),
	    cmocka_unit_test(repetitions_are_seen),
	    cmocka_unit_test(what_is_given_up_is_not_looked_at),
	    cmocka_unit_test(what_is_repeated_is_not_forgotten_for_others),
	    cmocka_unit_test(flows_do_not_mix),
	    cmocka_unit_test(after_a_minute_it_is_another_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
