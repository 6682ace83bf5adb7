/* SPDX-License-Identifier: BSD-2-Clause */
/* Cursors, addresses, hash, reason table. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/ct.h"
#include "base/hash.h"
#include "base/rd.h"
#include "base/wr.h"
#include "testudo/reason.h"

static void
read_beyond_the_end_is_sticky(void **state)
{
	static const uint8_t b[] = {1, 2, 3, 4, 5};
	struct tdo_rd r = tdo_rd_init(b, sizeof(b));

	(void)state;
	assert_int_equal(tdo_rd_be32(&r), 0x01020304);
	assert_int_equal(tdo_rd_be16(&r), 0);
	assert_false(tdo_rd_ok(&r));
	assert_int_equal(tdo_rd_u8(&r), 0);
	assert_false(tdo_rd_ok(&r));
}

static void
sub_cursor_is_bounded(void **state)
{
	static const uint8_t b[] = {1, 2, 3, 4};
	struct tdo_rd r = tdo_rd_init(b, sizeof(b)), s = tdo_rd_sub(&r, 2);

	(void)state;
	assert_int_equal(tdo_rd_be16(&s), 0x0102);
	assert_null(tdo_rd_bytes(&s, 1));
	s = tdo_rd_sub(&r, 3);
	assert_false(tdo_rd_ok(&s));
	assert_false(tdo_rd_ok(&r));
}

static void
write_beyond_the_end_changes_nothing(void **state)
{
	uint8_t b[4] = {0xaa, 0xaa, 0xaa, 0xaa};
	struct tdo_wr w = tdo_wr_init(b, 3);

	(void)state;
	tdo_wr_be16(&w, 0x0102);
	tdo_wr_be16(&w, 0x0304);
	assert_false(tdo_wr_ok(&w));
	assert_memory_equal(b, "\x01\x02\xaa\xaa", 4);
}

static void
addresses_print_by_rfc5952(void **state)
{
	static const struct {
		uint8_t b[16];
		const char *text;
	} t[] = {
	    {{0}, "::"},
	    {{[15] = 1}, "::1"},
	    {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, "2001:db8::1"},
	    {{0x20, 0x01, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1}, "2001:0:1::1:1:1"},
	    {{0xfe, 0x80, [7] = 1, [9] = 1, [11] = 1, [13] = 1, [15] = 1}, "fe80::1:1:1:1:1"},
	    {{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0}, "1:1:1:1:1:1::"},
	};
	char buf[TDO_ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_addr a = tdo_addr_make(TDO_AF_INET6, t[i].b);

		assert_string_equal(tdo_addr_str(&a, buf), t[i].text);
	}
	assert_string_equal(
	    tdo_addr_str(&(struct tdo_addr){.af = TDO_AF_INET, .b = {192, 0, 2, 255}}, buf),
	    "192.0.2.255");
}

static void
prefixes_mask_and_contain(void **state)
{
	struct tdo_addr a = {.af = TDO_AF_INET, .b = {10, 1, 255, 7}};
	struct tdo_addr net = tdo_addr_mask(&a, 17);

	(void)state;
	assert_memory_equal(net.b, ((uint8_t[]){10, 1, 128, 0}), 4);
	assert_true(tdo_addr_in(&a, &net, 17));
	assert_false(
	    tdo_addr_in(&(struct tdo_addr){.af = TDO_AF_INET, .b = {10, 1, 127, 7}}, &net, 17));
	assert_true(tdo_addr_in(&a, &(struct tdo_addr){.af = TDO_AF_INET}, 0));
	assert_false(tdo_addr_in(&a, &(struct tdo_addr){.af = TDO_AF_INET6}, 0));
}

/* The first and the last of the vectors of the SipHash paper's reference code. */
static void
siphash_known_answers(void **state)
{
	struct tdo_hash_key k = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	uint8_t in[15];

	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	assert_int_equal(tdo_siphash(&k, in, 0), 0x726fdb47dd0e0e31);
	assert_int_equal(tdo_siphash(&k, in, 15), 0xa129ca6149be45e5);
}

static void
reasons_have_name_text_and_remedy(void **state)
{
	(void)state;
	for (int r = 1; r < TDO_REASON_COUNT; r++) {
		const struct tdo_reason_info *a = tdo_reason_info((enum tdo_reason)r);

		assert_true(a->name[0] && a->text[0] && a->remedy[0]);
		for (int s = r + 1; s < TDO_REASON_COUNT; s++)
			assert_string_not_equal(a->name, tdo_reason_info((enum tdo_reason)s)->name);
	}
}

static void
wipe_and_compare(void **state)
{
	char a[] = "secret", b[] = "secreT";

	(void)state;
	assert_false(tdo_ct_equal(a, b, 6));
	assert_true(tdo_ct_equal(a, b, 5));
	tdo_wipe(a, sizeof(a));
	assert_memory_equal(a, "\0\0\0\0\0\0", 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_beyond_the_end_is_sticky),
	    cmocka_unit_test(sub_cursor_is_bounded),
	    cmocka_unit_test(write_beyond_the_end_changes_nothing),
	    cmocka_unit_test(addresses_print_by_rfc5952),
	    cmocka_unit_test(prefixes_mask_and_contain),
	    cmocka_unit_test(siphash_known_answers),
	    cmocka_unit_test(reasons_have_name_text_and_remedy),
	    cmocka_unit_test(wipe_and_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
