/* SPDX-License-Identifier: BSD-2-Clause */
/* Replay window: the cases that RFC 4303 3.4.3 and RFC 6479 name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/replay.h"
#include "mem.h"

static bool no_memory;

static const struct tdo_mem mem = TEST_MEM_UNLESS(no_memory);

static void
accepts(struct tdo_replay *r, uint64_t seq)
{
	assert_int_equal(tdo_replay_check(r, seq), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_accept(r, seq), TDO_REASON_NONE);
}

static void
refuses(struct tdo_replay *r, uint64_t seq, enum tdo_reason reason)
{
	assert_int_equal(tdo_replay_check(r, seq), reason);
	assert_int_equal(tdo_replay_accept(r, seq), reason);
}

static void
zero_is_invalid(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 32, false), 0);
	refuses(&r, 0, TDO_REASON_IN_REPLAY_ZERO);
	assert_int_equal(tdo_replay_top(&r), 0);
	tdo_replay_fini(&r, &mem);
}

static void
checking_changes_nothing(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 32, false), 0);
	assert_int_equal(tdo_replay_check(&r, 1000), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_top(&r), 0);
	accepts(&r, 1);
	tdo_replay_fini(&r, &mem);
}

static void
window_has_its_exact_size(void **state)
{
	static const uint32_t window[] = {1, 32, 63, 64, 65, 2040, 2041, 40000, TDO_REPLAY_MAX};

	(void)state;
	for (unsigned i = 0; i < sizeof(window) / sizeof(window[0]); i++) {
		struct tdo_replay r;
		uint32_t w = window[i];

		assert_int_equal(tdo_replay_init(&r, &mem, w, false), 0);
		accepts(&r, 1000000);
		refuses(&r, 1000000 - w, TDO_REASON_IN_REPLAY_OLD);
		if (w > 1)
			accepts(&r, 1000000 - w + 1);
		refuses(&r, 1000000 - w + 1, TDO_REASON_IN_REPLAY_DUP);
		accepts(&r, 1000001);
		refuses(&r, 1000001 - w, TDO_REASON_IN_REPLAY_OLD);
		refuses(&r, 1000000, w > 1 ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_IN_REPLAY_OLD);
		tdo_replay_fini(&r, &mem);
	}
}

static void
a_long_jump_forgets_all(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 128, false), 0);
	for (uint64_t s = 1; s <= 300; s++)
		accepts(&r, s);
	accepts(&r, (uint64_t)1 << 40);
	for (uint64_t s = 1; s < 128; s++)
		accepts(&r, ((uint64_t)1 << 40) - s);
	refuses(&r, 300, TDO_REASON_IN_REPLAY_OLD);
	tdo_replay_fini(&r, &mem);
}

static void
the_last_number_is_no_exception(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	accepts(&r, UINT64_MAX);
	refuses(&r, UINT64_MAX, TDO_REASON_IN_REPLAY_DUP);
	accepts(&r, UINT64_MAX - 63);
	refuses(&r, UINT64_MAX - 64, TDO_REASON_IN_REPLAY_OLD);
	refuses(&r, 1, TDO_REASON_IN_REPLAY_OLD);
	tdo_replay_fini(&r, &mem);
}

static void
without_window_everything_passes(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 0, false), 0);
	accepts(&r, 5);
	accepts(&r, 5);
	accepts(&r, 0);
	accepts(&r, 4);
	assert_int_equal(tdo_replay_top(&r), 5);
	tdo_replay_fini(&r, &mem);
}

/* An update may change the size: what the old window did not know counts as seen. */
static void
moving_into_another_size(void **state)
{
	struct tdo_replay from, to, off;

	(void)state;
	assert_int_equal(tdo_replay_init(&from, &mem, 32, false), 0);
	assert_int_equal(tdo_replay_init(&to, &mem, 256, false), 0);
	assert_int_equal(tdo_replay_init(&off, &mem, 0, false), 0);
	accepts(&from, 1000);
	accepts(&from, 990);
	tdo_replay_move(&from, &to);
	refuses(&to, 1000, TDO_REASON_IN_REPLAY_DUP);
	refuses(&to, 990, TDO_REASON_IN_REPLAY_DUP);
	refuses(&to, 900, TDO_REASON_IN_REPLAY_DUP);
	refuses(&to, 700, TDO_REASON_IN_REPLAY_OLD);
	accepts(&from, 999);
	refuses(&to, 999, TDO_REASON_IN_REPLAY_DUP);
	accepts(&to, 1001);
	assert_int_equal(tdo_replay_top(&from), 1001);
	/* And from a window to none: whoever asks the first is answered by the last. */
	tdo_replay_move(&to, &off);
	accepts(&from, 1001);
	tdo_replay_fini(&from, &mem);
	tdo_replay_fini(&to, &mem);
	tdo_replay_fini(&off, &mem);
}

/* D10: windows that an 8-bit count of bytes cannot express remember every number. */
static void
d10_large_window_remembers_all(void **state)
{
	const uint64_t base = ((uint64_t)1 << 32) - 1000;
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, TDO_REPLAY_MAX, false), 0);
	accepts(&r, base + TDO_REPLAY_MAX - 1);
	for (uint64_t i = 0; i + 1 < TDO_REPLAY_MAX; i += 2)
		accepts(&r, base + i);
	for (uint64_t i = 0; i + 1 < TDO_REPLAY_MAX; i++)
		if (i % 2 == 0)
			refuses(&r, base + i, TDO_REASON_IN_REPLAY_DUP);
		else
			accepts(&r, base + i);
	tdo_replay_fini(&r, &mem);
}

static void
lateness_is_counted(void **state)
{
	struct tdo_sa_info info = {0};
	struct tdo_replay r, next;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 8, false), 0);
	accepts(&r, 1000);
	accepts(&r, 999);
	accepts(&r, 998);
	accepts(&r, 997);
	accepts(&r, 996);
	assert_int_equal(tdo_replay_check(&r, 996), TDO_REASON_IN_REPLAY_DUP); /* not late: known */
	assert_int_equal(tdo_replay_check(&r, 992), TDO_REASON_IN_REPLAY_OLD);
	assert_int_equal(tdo_replay_check(&r, 985), TDO_REASON_IN_REPLAY_OLD);
	accepts(&r, 1 << 20);
	assert_int_equal(tdo_replay_check(&r, 1000), TDO_REASON_IN_REPLAY_OLD);
	/* An update with the same keys goes on counting. */
	assert_int_equal(tdo_replay_init(&next, &mem, 16, false), 0);
	tdo_replay_move(&r, &next);
	tdo_replay_info(&r, &info);
	assert_true(info.in_seq == 1 << 20);
	assert_int_equal(info.window, 16);
	for (unsigned i = 0; i < TDO_LATE_BINS; i++) {
		static const uint64_t accepted[TDO_LATE_BINS] = {1, 2, 1};
		static const uint64_t dropped[TDO_LATE_BINS] = {[3] = 2, [TDO_LATE_BINS - 1] = 1};

		assert_true(info.late.accepted[i] == accepted[i]);
		assert_true(info.late.dropped[i] == dropped[i]);
	}
	tdo_replay_fini(&r, &mem);
	tdo_replay_fini(&next, &mem);
}

/* ---- windows that grow ---- */

static void
grows_to(struct tdo_replay *r, uint32_t size)
{
	tdo_replay_grow(r, &mem, 0);
	assert_int_equal(tdo_replay_size(r), size);
}

static void
window_grows_with_the_reordering(void **state)
{
	struct tdo_sa_info info = {0};
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 0, true), 0);
	assert_int_equal(tdo_replay_size(&r), 64);
	accepts(&r, 1000);
	accepts(&r, 1000 - 31); /* the left half is free: large enough */
	grows_to(&r, 64);
	accepts(&r, 1000 - 32);
	grows_to(&r, 128);
	/* Left of the window it is still too old, but authentic packets tell how large it should
	 * be. */
	accepts(&r, 2000);
	assert_int_equal(tdo_replay_check(&r, 1500), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_accept(&r, 1500), TDO_REASON_IN_REPLAY_OLD);
	grows_to(&r, 1024);
	/* What the window could not tell when it was small counts as seen ... */
	refuses(&r, 1500, TDO_REASON_IN_REPLAY_DUP);
	refuses(&r, 1501, TDO_REASON_IN_REPLAY_DUP);
	refuses(&r, 2000 - 128, TDO_REASON_IN_REPLAY_DUP);
	accepts(&r, 2000 - 127);
	refuses(&r, 2000 - 127, TDO_REASON_IN_REPLAY_DUP);
	/* ... and from now on everything fits. */
	accepts(&r, 2600);
	accepts(&r, 2600 - 512);
	/* Not without end, and not for what is further away than any window. */
	accepts(&r, 1000000);
	assert_int_equal(tdo_replay_check(&r, 1000000 - TDO_REPLAY_MAX), TDO_REASON_IN_REPLAY_OLD);
	assert_int_equal(tdo_replay_accept(&r, 1000000 - TDO_REPLAY_MAX), TDO_REASON_IN_REPLAY_OLD);
	grows_to(&r, 2048); /* 512 was half of 1024 */
	assert_int_equal(tdo_replay_accept(&r, 1000001 - TDO_REPLAY_MAX), TDO_REASON_IN_REPLAY_OLD);
	grows_to(&r, TDO_REPLAY_MAX);
	tdo_replay_info(&r, &info);
	assert_int_equal(info.window, TDO_REPLAY_MAX);
	tdo_replay_fini(&r, &mem);
}

static void
window_stays_without_memory(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, true), 0);
	accepts(&r, 1000);
	accepts(&r, 950);
	no_memory = true;
	grows_to(&r, 64);
	no_memory = false;
	grows_to(&r, 64); /* nobody asked again */
	refuses(&r, 950, TDO_REASON_IN_REPLAY_DUP);
	accepts(&r, 951);
	grows_to(&r, 128);
	refuses(&r, 951, TDO_REASON_IN_REPLAY_DUP);
	tdo_replay_fini(&r, &mem);
}

/* A late packet of the subspace before is understood, or it could not be measured. */
static void
growing_window_with_extended_numbers(void **state)
{
	const uint64_t sub = (uint64_t)1 << 32;
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, true), 0);
	accepts(&r, 3 * sub + 100);
	assert_true(tdo_replay_number(&r, UINT32_MAX - 60000) == 3 * sub - 60001);
	assert_int_equal(tdo_replay_check(&r, 3 * sub - 60001), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_accept(&r, 3 * sub - 60001), TDO_REASON_IN_REPLAY_OLD);
	grows_to(&r, TDO_REPLAY_MAX);
	accepts(&r, 4 * sub);
	accepts(&r, 4 * sub - 60000);
	tdo_replay_fini(&r, &mem);
}

/* ---- extended sequence numbers ---- */

#define SUB ((uint64_t)1 << 32)

static enum tdo_reason
fails(struct tdo_replay *r, uint64_t seq)
{
	struct tdo_replay *held = tdo_replay_lock(r);
	enum tdo_reason reason = tdo_replay_failed_locked(held, seq);

	tdo_replay_unlock(held);
	return reason;
}

/* RFC 4303 A2.1, figures 1 and 2. */
static void
high_half_is_inferred(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	assert_true(tdo_replay_number(&r, 1) == 1);
	assert_true(tdo_replay_number(&r, UINT32_MAX) == UINT32_MAX); /* there is nothing below 0 */
	/* Case A: the window lies in one subspace. */
	accepts(&r, 5 * SUB + 63);
	assert_true(tdo_replay_number(&r, 0) == 5 * SUB);
	assert_true(tdo_replay_number(&r, UINT32_MAX) == 5 * SUB + UINT32_MAX);
	accepts(&r, 5 * SUB + 64);
	assert_true(tdo_replay_number(&r, 0) == 6 * SUB);
	assert_true(tdo_replay_number(&r, 1) == 5 * SUB + 1);
	/* Case B: it lies in two. */
	accepts(&r, 6 * SUB + 62);
	assert_true(tdo_replay_number(&r, UINT32_MAX) == 5 * SUB + UINT32_MAX);
	assert_true(tdo_replay_number(&r, UINT32_MAX - 1) == 6 * SUB + UINT32_MAX - 1);
	assert_true(tdo_replay_number(&r, 0) == 6 * SUB);
	tdo_replay_fini(&r, &mem);
}

static void
high_half_at_the_end(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	accepts(&r, UINT64_MAX - 10);
	assert_true(tdo_replay_number(&r, UINT32_MAX) == UINT64_MAX);
	/* The next subspace does not exist: what seems to be in it is too old. */
	assert_true(tdo_replay_number(&r, 7) == UINT64_MAX - UINT32_MAX + 7);
	refuses(&r, tdo_replay_number(&r, 7), TDO_REASON_IN_REPLAY_OLD);
	tdo_replay_fini(&r, &mem);
}

/* RFC 4303 3.4.3 leaves it open: the number nearest to the highest one. */
static void
high_half_without_window(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 0, false), 0);
	accepts(&r, 3 * SUB);
	assert_true(tdo_replay_number(&r, UINT32_MAX) == 3 * SUB - 1);
	assert_true(tdo_replay_number(&r, 1u << 31) == 3 * SUB + SUB / 2);
	assert_true(tdo_replay_number(&r, (1u << 31) + 1) == 3 * SUB - SUB / 2 + 1);
	assert_int_equal(fails(&r, 3 * SUB + SUB / 2), TDO_REASON_IN_ICV);
	tdo_replay_fini(&r, &mem);
}

/* A wrong ICV of what would be a leap of billions tells that the packet was late. */
static void
wrong_icv_of_a_late_number(void **state)
{
	struct tdo_sa_info info = {0};
	struct tdo_replay r;
	uint64_t seq;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	accepts(&r, 3 * SUB + 1000);
	seq = tdo_replay_number(&r, 1000 - 64);
	assert_true(seq == 4 * SUB + 1000 - 64);
	assert_int_equal(fails(&r, seq), TDO_REASON_IN_REPLAY_OLD);
	tdo_replay_info(&r, &info);
	assert_true(info.late.dropped[6] == 1);
	assert_int_equal(fails(&r, 3 * SUB + 2000), TDO_REASON_IN_ICV);
	assert_int_equal(fails(&r, 3 * SUB + 999), TDO_REASON_IN_ICV);
	assert_int_equal(fails(&r, 3 * SUB + 1000 + SUB / 2), TDO_REASON_IN_ICV);
	assert_int_equal(fails(&r, 3 * SUB + 1001 + SUB / 2), TDO_REASON_IN_REPLAY_OLD);
	tdo_replay_fini(&r, &mem);
}

/* RFC 4303 A3: the peer sent more than 2^32 packets that never came. */
static void
lost_subspaces_are_found_again(void **state)
{
	struct tdo_replay r;
	unsigned n = 0, wild = 0;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	accepts(&r, 100);
	/* Right up to the trigger nothing is tried. */
	for (unsigned i = 0; i < 1023; i++) {
		assert_true(tdo_replay_number(&r, 200) == 200);
		assert_int_equal(fails(&r, 200), TDO_REASON_IN_ICV);
	}
	assert_int_equal(fails(&r, 200), TDO_REASON_IN_ICV);
	for (; n < 10000; n++) {
		uint64_t seq = tdo_replay_number(&r, 200);

		assert_int_equal(seq % SUB, 200);
		assert_true(seq / SUB <= 4);
		if (seq == 3 * SUB + 200)
			break;
		wild += seq != 200;
		(void)fails(&r, seq);
	}
	assert_true(n <= 64); /* one in 16, four distances */
	assert_true(wild <= n / 16);
	accepts(&r, 3 * SUB + 200);
	for (unsigned i = 0; i < 100; i++)
		assert_true(tdo_replay_number(&r, 201) == 3 * SUB + 201);
	/* Not beyond the end. */
	accepts(&r, UINT64_MAX - SUB);
	for (unsigned i = 0; i < 5000; i++) {
		assert_true(tdo_replay_number(&r, UINT32_MAX) >= UINT64_MAX - SUB);
		(void)fails(&r, UINT64_MAX - SUB + 1);
	}
	tdo_replay_fini(&r, &mem);
}

static void
memory_may_be_short(void **state)
{
	struct tdo_replay r;

	(void)state;
	no_memory = true;
	assert_int_equal(tdo_replay_init(&r, &mem, 65, false), -ENOMEM);
	tdo_replay_fini(&r, &mem);
	/* These need none. */
	assert_int_equal(tdo_replay_init(&r, &mem, 64, false), 0);
	tdo_replay_fini(&r, &mem);
	assert_int_equal(tdo_replay_init(&r, &mem, 0, false), 0);
	no_memory = false;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zero_is_invalid),
	    cmocka_unit_test(checking_changes_nothing),
	    cmocka_unit_test(window_has_its_exact_size),
	    cmocka_unit_test(a_long_jump_forgets_all),
	    cmocka_unit_test(the_last_number_is_no_exception),
	    cmocka_unit_test(without_window_everything_passes),
	    cmocka_unit_test(moving_into_another_size),
	    cmocka_unit_test(d10_large_window_remembers_all),
	    cmocka_unit_test(lateness_is_counted),
	    cmocka_unit_test(window_grows_with_the_reordering),
	    cmocka_unit_test(window_stays_without_memory),
	    cmocka_unit_test(growing_window_with_extended_numbers),
	    cmocka_unit_test(high_half_is_inferred),
	    cmocka_unit_test(high_half_at_the_end),
	    cmocka_unit_test(high_half_without_window),
	    cmocka_unit_test(wrong_icv_of_a_late_number),
	    cmocka_unit_test(lost_subspaces_are_found_again),
	    cmocka_unit_test(memory_may_be_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
