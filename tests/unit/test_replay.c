/* SPDX-License-Identifier: BSD-2-Clause */
/* Replay window: the cases that RFC 4303 3.4.3 and RFC 6479 name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/replay.h"

static bool no_memory;

static void *
alloc(void *ctx, size_t size)
{
	(void)ctx;
	return no_memory ? NULL : calloc(1, size);
}

static void
release(void *ctx, void *p, size_t size)
{
	(void)ctx;
	(void)size;
	free(p);
}

static const struct tdo_mem mem = {alloc, release, NULL};

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
	assert_int_equal(tdo_replay_init(&r, &mem, 32), 0);
	refuses(&r, 0, TDO_REASON_IN_REPLAY_ZERO);
	assert_int_equal(tdo_replay_top(&r), 0);
	tdo_replay_fini(&r, &mem);
}

static void
checking_changes_nothing(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 32), 0);
	assert_int_equal(tdo_replay_check(&r, 1000), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_top(&r), 0);
	accepts(&r, 1);
	tdo_replay_fini(&r, &mem);
}

static void
window_has_its_exact_size(void **state)
{
	static const uint32_t window[] = {1, 32, 63, 64, 65, 2040};

	(void)state;
	for (unsigned i = 0; i < sizeof(window) / sizeof(window[0]); i++) {
		struct tdo_replay r;
		uint32_t w = window[i];

		assert_int_equal(tdo_replay_init(&r, &mem, w), 0);
		accepts(&r, 10000);
		refuses(&r, 10000 - w, TDO_REASON_IN_REPLAY_OLD);
		if (w > 1)
			accepts(&r, 10000 - w + 1);
		refuses(&r, 10000 - w + 1, TDO_REASON_IN_REPLAY_DUP);
		accepts(&r, 10001);
		refuses(&r, 10001 - w, TDO_REASON_IN_REPLAY_OLD);
		refuses(&r, 10000, w > 1 ? TDO_REASON_IN_REPLAY_DUP : TDO_REASON_IN_REPLAY_OLD);
		tdo_replay_fini(&r, &mem);
	}
}

static void
a_long_jump_forgets_all(void **state)
{
	struct tdo_replay r;

	(void)state;
	assert_int_equal(tdo_replay_init(&r, &mem, 128), 0);
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
	assert_int_equal(tdo_replay_init(&r, &mem, 64), 0);
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
	assert_int_equal(tdo_replay_init(&r, &mem, 0), 0);
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
	assert_int_equal(tdo_replay_init(&from, &mem, 32), 0);
	assert_int_equal(tdo_replay_init(&to, &mem, 256), 0);
	assert_int_equal(tdo_replay_init(&off, &mem, 0), 0);
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

static void
memory_may_be_short(void **state)
{
	struct tdo_replay r;

	(void)state;
	no_memory = true;
	assert_int_equal(tdo_replay_init(&r, &mem, 32), -ENOMEM);
	tdo_replay_fini(&r, &mem);
	assert_int_equal(tdo_replay_init(&r, &mem, 0), 0);
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
	    cmocka_unit_test(memory_may_be_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
