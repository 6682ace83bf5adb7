/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the data process asks the parent to cover.  The test is the parent: requests are numbered
 * from 1, so answers can wait in the socket before they are asked for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/covering.h"
#include "wire/pfkey_msg.h"

struct fixture {
	struct tdo_parentlink link;
	struct tdo_covering c;
	int peer;
	uint32_t seq;
};

static int
setup(void **state)
{
	struct fixture *t = calloc(1, sizeof(*t));
	int fd[2];

	if (t == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) != 0 ||
	    tdo_parentlink_init(&t->link, fd[0]) != 0)
		return -1;
	t->peer = fd[1];
	tdo_covering_init(&t->c, &t->link);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *t = *state;

	close(t->link.fd);
	close(t->peer);
	tdo_parentlink_fini(&t->link);
	free(t);
	return 0;
}

/* The n-th policy; host bits of the source are set, nobody else has them. */
static struct tdo_sp_param
policy(unsigned n, uint8_t dir)
{
	return (struct tdo_sp_param){.dir = dir,
	    .type = TDO_POLICY_DISCARD,
	    .sel = {.src = {.af = TDO_AF_INET, .b = {10, 1, 2, 3}},
		.dst = {.af = TDO_AF_INET, .b = {20, 0, (uint8_t)(n >> 8), (uint8_t)n}},
		.src_plen = 8,
		.dst_plen = 32,
		.proto = TDO_PROTO_ANY,
		.sport = TDO_RANGE_ANY,
		.dport = TDO_RANGE_ANY}};
}

/* As the engine has it. */
static struct tdo_sel
masked(unsigned n)
{
	struct tdo_sel s = policy(n, TDO_DIR_OUT).sel;

	memset(s.src.b + 1, 0, 3);
	return s;
}

static void
answer(struct fixture *t, int32_t result)
{
	struct tdo_ipc_hdr h = {TDO_IPC_REPLY, ++t->seq};
	uint8_t buf[sizeof(h) + sizeof(result)];

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), &result, sizeof(result));
	assert_int_equal(send(t->peer, buf, sizeof(buf), 0), sizeof(buf));
}

static void
silent(const struct fixture *t)
{
	uint8_t buf[8];

	assert_int_equal(recv(t->peer, buf, sizeof(buf), MSG_DONTWAIT), -1);
}

/* The parent gets this message, with n covers from the first-th policy on. */
static void
asked(const struct fixture *t, uint32_t type, unsigned first, unsigned n)
{
	static uint8_t buf[TDO_IPC_MSG_MAX];
	struct tdo_ipc_hdr h;
	struct tdo_ipc_cover c;
	ssize_t len = recv(t->peer, buf, sizeof(buf), MSG_DONTWAIT);

	assert_int_equal(len, sizeof(h) + n * sizeof(c));
	memcpy(&h, buf, sizeof(h));
	assert_int_equal(h.type, type);
	assert_int_equal(h.seq != 0, type == TDO_IPC_COVER_ADD);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_sel want = masked(first + i);

		memcpy(&c, buf + sizeof(h) + i * sizeof(c), sizeof(c));
		assert_true(tdo_sel_equal(&c.sel, &want));
	}
}

static void
expect(struct fixture *t, unsigned n, uint8_t dir)
{
	struct tdo_sp_param sp = policy(n, dir);

	tdo_covering_expect(&t->c, &sp);
}

static int
widen(struct fixture *t, unsigned n, uint8_t dir)
{
	struct tdo_sel s = masked(n);

	return tdo_covering_widen(&t->c, dir, &s);
}

static void
narrow(struct fixture *t, unsigned n, uint8_t dir)
{
	struct tdo_sel s = masked(n);

	tdo_covering_narrow(&t->c, dir, &s);
}

/* ---- tests -------------------------------------------------------------------------- */

static void
d35_expected_policies_are_asked_for_together(void **state)
{
	struct fixture *t = *state;

	for (unsigned i = 0; i < 10; i++)
		expect(t, i, TDO_DIR_OUT);
	answer(t, 0);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, 10);
	for (unsigned i = 10; i-- > 0;)
		assert_int_equal(widen(t, i, TDO_DIR_OUT), 0);
	tdo_covering_end(&t->c);
	tdo_covering_flush(&t->c);
	silent(t);
	/* Another one is asked for alone, and so is one of them that comes twice. */
	answer(t, 0);
	assert_int_equal(widen(t, 3, TDO_DIR_OUT), 0);
	asked(t, TDO_IPC_COVER_ADD, 3, 1);
}

/* One policy is refused after its cover was there, another one never comes. */
static void
what_was_not_needed_goes_back(void **state)
{
	struct fixture *t = *state;

	for (unsigned i = 0; i < 4; i++)
		expect(t, i, TDO_DIR_OUT);
	answer(t, 0);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, 4);
	assert_int_equal(widen(t, 0, TDO_DIR_OUT), 0);
	assert_int_equal(widen(t, 3, TDO_DIR_OUT), 0);
	tdo_covering_end(&t->c);
	tdo_covering_flush(&t->c);
	asked(t, TDO_IPC_COVER_DEL, 1, 2);
	/* None of them counts any more. */
	answer(t, -ENOMEM);
	assert_int_equal(widen(t, 1, TDO_DIR_OUT), -ENOMEM);
}

/* When the parent cannot have all of them each policy gets an answer of its own. */
static void
a_refusal_of_all_is_none_of_each(void **state)
{
	struct fixture *t = *state;

	for (unsigned i = 0; i < 3; i++)
		expect(t, i, TDO_DIR_OUT);
	answer(t, -ENOSPC);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, 3);
	answer(t, 0);
	assert_int_equal(widen(t, 0, TDO_DIR_OUT), 0);
	asked(t, TDO_IPC_COVER_ADD, 0, 1);
	answer(t, -ENOSPC);
	assert_int_equal(widen(t, 1, TDO_DIR_OUT), -ENOSPC);
	asked(t, TDO_IPC_COVER_ADD, 1, 1);
	tdo_covering_end(&t->c);
	tdo_covering_flush(&t->c);
	silent(t);
}

static void
directions_and_single_ones_are_apart(void **state)
{
	struct fixture *t = *state;
	struct tdo_sp_param bad = policy(9, TDO_DIR_OUT);

	expect(t, 0, TDO_DIR_IN);
	expect(t, 0, TDO_DIR_OUT);
	expect(t, 1, TDO_DIR_OUT);
	/* What the engine refuses, or what needs no cover. */
	bad.sel.dst_plen = 33;
	tdo_covering_expect(&t->c, &bad);
	bad = policy(9, TDO_DIR_OUT);
	bad.sel.sport = (struct tdo_range){2, 1};
	tdo_covering_expect(&t->c, &bad);
	bad = policy(9, TDO_DIR_OUT);
	bad.sel.dst.af = TDO_AF_INET6;
	tdo_covering_expect(&t->c, &bad);
	bad = policy(9, TDO_DIR_ANY);
	tdo_covering_expect(&t->c, &bad);
	bad = policy(9, TDO_DIR_OUT);
	bad.type = TDO_POLICY_NONE;
	tdo_covering_expect(&t->c, &bad);
	answer(t, 0);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, 2);
	silent(t);
	answer(t, 0);
	assert_int_equal(widen(t, 0, TDO_DIR_IN), 0);
	asked(t, TDO_IPC_COVER_ADD, 0, 1);
}

static void
more_than_fit_are_asked_for_alone(void **state)
{
	struct fixture *t = *state;

	for (unsigned i = 0; i <= TDO_IPC_COVERS; i++)
		expect(t, i, TDO_DIR_OUT);
	answer(t, 0);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, TDO_IPC_COVERS);
	answer(t, 0);
	assert_int_equal(widen(t, TDO_IPC_COVERS, TDO_DIR_OUT), 0);
	asked(t, TDO_IPC_COVER_ADD, TDO_IPC_COVERS, 1);
}

/* A side that covers everything: nothing more is told, until what was told is gone. */
static void
everything_is_told_once(void **state)
{
	struct fixture *t = *state;

	expect(t, 0, TDO_DIR_OUT);
	expect(t, 1, TDO_DIR_OUT);
	answer(t, 1);
	tdo_covering_ask(&t->c);
	asked(t, TDO_IPC_COVER_ADD, 0, 2);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(widen(t, i, TDO_DIR_OUT), 0);
	expect(t, 6, TDO_DIR_OUT);
	expect(t, 7, TDO_DIR_OUT);
	tdo_covering_end(&t->c);
	tdo_covering_ask(&t->c);
	silent(t);
	/* Three were not told, so three may go without a word. */
	for (unsigned i = 5; i-- > 0;)
		narrow(t, i, TDO_DIR_OUT);
	tdo_covering_flush(&t->c);
	{
		uint8_t buf[256];

		assert_int_equal(recv(t->peer, buf, sizeof(buf), MSG_DONTWAIT),
		    sizeof(struct tdo_ipc_hdr) + 2 * sizeof(struct tdo_ipc_cover));
	}
	answer(t, 0);
	assert_int_equal(widen(t, 8, TDO_DIR_OUT), 0);
	asked(t, TDO_IPC_COVER_ADD, 8, 1);
}

static void
ends_are_told_in_heaps_and_in_order(void **state)
{
	struct fixture *t = *state;
	const unsigned n = TDO_IPC_COVERS;

	for (unsigned i = 0; i < n + 2; i++)
		answer(t, 0);
	for (unsigned i = 0; i < n + 2; i++) {
		assert_int_equal(widen(t, i, TDO_DIR_IN), 0);
		asked(t, TDO_IPC_COVER_ADD, i, 1);
	}
	for (unsigned i = 0; i < n; i++)
		narrow(t, i, TDO_DIR_IN);
	silent(t);
	narrow(t, n, TDO_DIR_IN);
	asked(t, TDO_IPC_COVER_DEL, 0, n);
	/* The end of one goes before the beginning of the next. */
	answer(t, 0);
	assert_int_equal(widen(t, n, TDO_DIR_IN), 0);
	asked(t, TDO_IPC_COVER_DEL, n, 1);
	asked(t, TDO_IPC_COVER_ADD, n, 1);
	narrow(t, n, TDO_DIR_IN);
	tdo_covering_flush(&t->c);
	tdo_covering_flush(&t->c);
	asked(t, TDO_IPC_COVER_DEL, n, 1);
	silent(t);
}

static size_t
put_message(uint8_t *row, size_t at, uint8_t type, unsigned n)
{
	struct tdo_wr w = tdo_wr_init(row + at, 1024);
	struct tdo_sp_param sp = policy(n, TDO_DIR_OUT);

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type});
	tdo_sadb_put_sp_param(&w, &sp);
	return at + tdo_sadb_end(&w);
}

/* Policies of a row; messages of other types and bad ones are passed over. */
static void
rows_say_what_is_to_be_expected(void **state)
{
	struct fixture *t = *state;
	uint8_t row[8192];
	size_t len = 0, bad;

	len = put_message(row, len, TDO_SADB_X_SPDADD, 0);
	len = put_message(row, len, TDO_SADB_X_SPDDELETE, 7);
	bad = len;
	len = put_message(row, len, TDO_SADB_X_SPDADD, 8);
	row[bad + 16 + 2] = 200; /* an extension that nobody knows */
	len = put_message(row, len, TDO_SADB_X_SPDUPDATE, 1);
	len = put_message(row, len, TDO_SADB_X_SPDADD, 2);
	answer(t, 0);
	tdo_covering_expect_row(&t->c, row, len);
	asked(t, TDO_IPC_COVER_ADD, 0, 3);
	tdo_covering_end(&t->c);
	tdo_covering_flush(&t->c);
	asked(t, TDO_IPC_COVER_DEL, 0, 3);
	/* Rows that end anywhere. */
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut + 1);
		uint8_t buf[1024];

		memcpy(exact, row, cut);
		answer(t, 0);
		tdo_covering_expect_row(&t->c, exact, cut);
		if (recv(t->peer, buf, sizeof(buf), MSG_DONTWAIT) < 0) {
			/* Nothing was asked: take the answer back. */
			assert_true(recv(t->link.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
			t->seq--;
		}
		tdo_covering_end(&t->c);
		tdo_covering_flush(&t->c);
		(void)recv(t->peer, buf, sizeof(buf), MSG_DONTWAIT);
		free(exact);
	}
	assert_false(t->link.broken);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    TEST(d35_expected_policies_are_asked_for_together),
	    TEST(what_was_not_needed_goes_back),
	    TEST(a_refusal_of_all_is_none_of_each),
	    TEST(directions_and_single_ones_are_apart),
	    TEST(more_than_fit_are_asked_for_alone),
	    TEST(everything_is_told_once),
	    TEST(ends_are_told_in_heaps_and_in_order),
	    TEST(rows_say_what_is_to_be_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
