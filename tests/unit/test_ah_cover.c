/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What AH authenticates of the headers in front of it.  The tables were made by hand from
 * RFC 4302 appendix A: each row has a header as it is sent or received, and as the ICV sees it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ah.h"

#define SRC4 "c0000201" /* 192.0.2.1 */
#define DST4 "c6336401" /* 198.51.100.1 */
#define SRC6 "20010db8000000000000000000000001"
#define DST6 "20010db8000000000000000000000002"
#define HOP1 "20010db80000000000000000000000a1"
#define HOP2 "20010db80000000000000000000000a2"
#define HOP3 "20010db80000000000000000000000a3"

/* An IPv4 header with ihl (hexadecimal digit): TOS 0xb9, DF, TTL 64, some checksum. */
#define IP4(ihl, dst) "4" ihl "b900c8123440004033beef" SRC4 dst
#define IP4_COVER(ihl, dst)                                                                        \
	"4" ihl "0000c8123400000033"                                                               \
	"0000" SRC4 dst
/* An IPv6 header: class 0xb9, flow label 0xabcde, hop limit 64. */
#define IP6(nh, dst)       "6b9abcde0064" nh "40" SRC6 dst
#define IP6_COVER(nh, dst) "600000000064" nh "00" SRC6 dst

struct row {
	const char *what, *in, *cover;
	enum tdo_reason why;
};

static const struct tdo_ah_rules in_rules = {.clear_tos = true},
				 out_rules = {.out = true, .clear_tos = true};

static uint8_t
digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t
unhex(const char *s, uint8_t *ret)
{
	size_t n = strlen(s) / 2;

	assert_int_equal(strlen(s) % 2, 0);
	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(digit(s[2 * i]) << 4 | digit(s[2 * i + 1]));
	return n;
}

/* A copy of exactly its size, so that tools see what is touched outside. */
static void
check_row(const struct row *r, const struct tdo_ah_rules *rules)
{
	uint8_t in[256], want[256];
	size_t n = unhex(r->in, in);
	uint8_t *p = malloc(n ? n : 1);
	enum tdo_reason why;

	assert_non_null(p);
	memcpy(p, in, n);
	why = tdo_ah_cover(p, n, rules);
	if (why != r->why)
		fail_msg("%s: reason %s", r->what, tdo_reason_info(why)->name);
	if (why == TDO_REASON_NONE) {
		assert_int_equal(unhex(r->cover, want), n);
		if (memcmp(p, want, n) != 0)
			fail_msg("%s: other bytes than expected", r->what);
	}
	free(p);
}

#define CHECK_ROWS(rows, rules)                                                                    \
	do {                                                                                       \
		for (size_t row_ = 0; row_ < sizeof(rows) / sizeof((rows)[0]); row_++)             \
			check_row(&(rows)[row_], rules);                                           \
	} while (0)

/* ---- IPv4 ---- */

static void
ip4_fixed_fields(void **state)
{
	static const struct row rows[] = {
	    {"plain", IP4("5", DST4), IP4_COVER("5", DST4), TDO_REASON_NONE},
	    /* MF and an offset, which a device set on the way: nothing of it is authenticated */
	    {"offset", "450000c81234200740330000" SRC4 DST4, "450000c81234000000330000" SRC4 DST4,
		TDO_REASON_NONE},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

static void
knobs_let_tos_and_offset_be_authenticated(void **state)
{
	static const struct row tos = {
	    "TOS", IP4("5", DST4), "45b900c81234000000330000" SRC4 DST4, TDO_REASON_NONE};
	static const struct row df = {
	    "DF", IP4("5", DST4), "450000c81234400000330000" SRC4 DST4, TDO_REASON_NONE};
	static const struct row some = {"a bit of the offset", "450000c8123461ff40330000" SRC4 DST4,
	    "450000c81234001000330000" SRC4 DST4, TDO_REASON_NONE};
	struct tdo_ah_rules r = {0};

	(void)state;
	check_row(&tos, &r);
	r = (struct tdo_ah_rules){.clear_tos = true, .off_mask = 0xffff};
	check_row(&df, &r);
	r.off_mask = 0x0010;
	check_row(&some, &r);
}

/* RFC 4302 appendix A1, all of it. */
static void
ip4_options_by_the_table(void **state)
{
	static const struct row rows[] = {
	    /* immutable */
	    {"end of list, and padding behind it", IP4("6", DST4) "00aabbcc",
		IP4_COVER("6", DST4) "00aabbcc", TDO_REASON_NONE},
	    {"no operation", IP4("6", DST4) "01010100", IP4_COVER("6", DST4) "01010100",
		TDO_REASON_NONE},
	    {"security", IP4("8", DST4) "820babcdabcdabcdabcdab00",
		IP4_COVER("8", DST4) "820babcdabcdabcdabcdab00", TDO_REASON_NONE},
	    {"extended security", IP4("6", DST4) "8503aa00", IP4_COVER("6", DST4) "8503aa00",
		TDO_REASON_NONE},
	    {"commercial security", IP4("7", DST4) "86060000000a0000",
		IP4_COVER("7", DST4) "86060000000a0000", TDO_REASON_NONE},
	    {"router alert", IP4("6", DST4) "94041234", IP4_COVER("6", DST4) "94041234",
		TDO_REASON_NONE},
	    {"multi-destination",
		IP4("7", DST4) "9507c000020900"
			       "00",
		IP4_COVER("7", DST4) "9507c000020900"
				     "00",
		TDO_REASON_NONE},
	    /* mutable */
	    {"record route",
		IP4("7", DST4) "07070400000000"
			       "01",
		IP4_COVER("7", DST4) "00000000000000"
				     "01",
		TDO_REASON_NONE},
	    {"time stamp", IP4("7", DST4) "4408050012345678",
		IP4_COVER("7", DST4) "0000000000000000", TDO_REASON_NONE},
	    {"traceroute", IP4("8", DST4) "520c12340000ffffc0000201",
		IP4_COVER("8", DST4) "000000000000000000000000", TDO_REASON_NONE},
	    /* experimental or superseded */
	    {"stream id", IP4("6", DST4) "88040001", IP4_COVER("6", DST4) "00000000",
		TDO_REASON_NONE},
	    {"MTU probe", IP4("6", DST4) "0b0405dc", IP4_COVER("6", DST4) "00000000",
		TDO_REASON_NONE},
	    {"MTU reply", IP4("6", DST4) "0c0405dc", IP4_COVER("6", DST4) "00000000",
		TDO_REASON_NONE},
	    {"extended IP", IP4("6", DST4) "91040000", IP4_COVER("6", DST4) "00000000",
		TDO_REASON_NONE},
	    {"dynamic packet state", IP4("6", DST4) "97040102", IP4_COVER("6", DST4) "00000000",
		TDO_REASON_NONE},
	    {"of no name, empty",
		IP4("6", DST4) "de02"
			       "0101",
		IP4_COVER("6", DST4) "0000"
				     "0101",
		TDO_REASON_NONE},
	    /* one after the other: each is where the one before it ends */
	    {"several",
		IP4("a", DST4) "01"
			       "94040000"
			       "07070400000000"
			       "8503bb"
			       "0b0405dc"
			       "00",
		IP4_COVER("a", DST4) "01"
				     "94040000"
				     "00000000000000"
				     "8503bb"
				     "00000000"
				     "00",
		TDO_REASON_NONE},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

/* RFC 4302 3.3.3.1.1.1: the destination is mutable but predictable with source routes. */
static void
ip4_source_routes(void **state)
{
	static const struct row out[] = {
	    {"loose",
		IP4("8", DST4) "830b04"
			       "0a000001"
			       "0a000002"
			       "00",
		IP4_COVER("8", "0a000002") "000000"
					   "00000000"
					   "00000000"
					   "00",
		TDO_REASON_NONE},
	    {"strict, half way",
		IP4("8", DST4) "01"
			       "890b08"
			       "0a000001"
			       "0a000002",
		IP4_COVER("8", "0a000002") "01"
					   "000000"
					   "00000000"
					   "00000000",
		TDO_REASON_NONE},
	    {"all visited",
		IP4("8", DST4) "830b0c"
			       "0a000001"
			       "0a000002"
			       "00",
		IP4_COVER("8", DST4) "000000"
				     "00000000"
				     "00000000"
				     "00",
		TDO_REASON_NONE},
	    {"no addresses",
		IP4("6", DST4) "830304"
			       "00",
		IP4_COVER("6", DST4) "000000"
				     "00",
		TDO_REASON_NONE},
	    {"no pointer",
		IP4("6", DST4) "8302"
			       "0000",
		NULL, TDO_REASON_AH_OPTION},
	    {"pointer into the option's head",
		IP4("7", DST4) "830703"
			       "0a000001"
			       "00",
		NULL, TDO_REASON_AH_OPTION},
	    {"pointer between addresses",
		IP4("7", DST4) "830705"
			       "0a000001"
			       "00",
		NULL, TDO_REASON_AH_OPTION},
	    {"half an address",
		IP4("7", DST4) "890504"
			       "0a00"
			       "000000",
		NULL, TDO_REASON_AH_OPTION},
	};
	static const struct row in[] = {
	    {"arrived",
		IP4("8", DST4) "830b0c"
			       "0a000001"
			       "0a000002"
			       "00",
		IP4_COVER("8", DST4) "000000"
				     "00000000"
				     "00000000"
				     "00",
		TDO_REASON_NONE},
	    /* nothing is predicted by the receiver */
	    {"not arrived",
		IP4("8", DST4) "830b04"
			       "0a000001"
			       "0a000002"
			       "00",
		IP4_COVER("8", DST4) "000000"
				     "00000000"
				     "00000000"
				     "00",
		TDO_REASON_NONE},
	};

	(void)state;
	CHECK_ROWS(out, &out_rules);
	CHECK_ROWS(in, &in_rules);
}

static void
d22_ip4_option_bounds(void **state)
{
	static const struct row rows[] = {
	    {"no length",
		IP4("6", DST4) "010101"
			       "07",
		NULL, TDO_REASON_AH_OPTION},
	    {"length 0", IP4("6", DST4) "07000000", NULL, TDO_REASON_AH_OPTION},
	    {"length 1", IP4("6", DST4) "07010000", NULL, TDO_REASON_AH_OPTION},
	    {"length 0 of an immutable one", IP4("6", DST4) "94000000", NULL, TDO_REASON_AH_OPTION},
	    {"one byte too long", IP4("6", DST4) "07050000", NULL, TDO_REASON_AH_OPTION},
	    {"much too long", IP4("6", DST4) "94ff0000", NULL, TDO_REASON_AH_OPTION},
	    {"the last one too long",
		IP4("7", DST4) "94040000"
			       "01"
			       "070401",
		NULL, TDO_REASON_AH_OPTION},
	    {"just fits",
		IP4("7", DST4) "94040000"
			       "01"
			       "070301",
		IP4_COVER("7", DST4) "94040000"
				     "01"
				     "000000",
		TDO_REASON_NONE},
	    {"the last byte is an empty option",
		IP4("6", DST4) "0101"
			       "0702",
		IP4_COVER("6", DST4) "0101"
				     "0000",
		TDO_REASON_NONE},
	    {"behind the end of the list anything stands",
		IP4("6", DST4) "00"
			       "07ff07",
		IP4_COVER("6", DST4) "00"
				     "07ff07",
		TDO_REASON_NONE},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

static void
d22_ip4_header_lengths(void **state)
{
	static const struct row rows[] = {
	    {"nothing", "", NULL, TDO_REASON_IP_HEADER},
	    {"cut", "4500", NULL, TDO_REASON_IP_HEADER},
	    {"options that are not there", IP4("6", DST4), NULL, TDO_REASON_IP_HEADER},
	    {"options that the header does not count", IP4("5", DST4) "01010101", NULL,
		TDO_REASON_IP_HEADER},
	    {"less than a header", "44b900c8123440004033beef" SRC4, NULL, TDO_REASON_IP_HEADER},
	    {"no version", "0500" SRC4 DST4 SRC4 "0000", NULL, TDO_REASON_IP_HEADER},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
}

/* ---- IPv6 ---- */

static void
ip6_fixed_fields(void **state)
{
	static const struct row rows[] = {
	    {"plain", IP6("33", DST6), IP6_COVER("33", DST6), TDO_REASON_NONE},
	    {"announces something else", IP6("11", DST6), NULL, TDO_REASON_EXT_HEADER},
	    {"cut", "6b9abcde00643340" SRC6, NULL, TDO_REASON_EXT_HEADER},
	};
	static const struct tdo_ah_rules v4 = {.off_mask = 0xffff};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
	/* What can be set for IPv4 is of IPv4 only. */
	CHECK_ROWS(rows, &v4);
}

/* An option whose type has the bit 0x20: data zero, type and length kept. */
static void
d21_ip6_options_are_zeroed_by_their_length(void **state)
{
	static const struct row rows[] = {
	    {"nothing changes",
		IP6("00", DST6) "3300"
				"050200aa"
				"0100",
		IP6_COVER("00", DST6) "3300"
				      "050200aa"
				      "0100",
		TDO_REASON_NONE},
	    {"one that changes",
		IP6("00", DST6) "3300"
				"2604deadbeef",
		IP6_COVER("00", DST6) "3300"
				      "260400000000",
		TDO_REASON_NONE},
	    {"one that changes, and one behind it that does not",
		IP6("00", DST6) "3301"
				"2603deadbe"
				"0502abcd"
				"010301ff02",
		IP6_COVER("00", DST6) "3301"
				      "2603000000"
				      "0502abcd"
				      "010301ff02",
		TDO_REASON_NONE},
	    {"the other way round",
		IP6("00", DST6) "3301"
				"0502abcd"
				"2603deadbe"
				"010301ff02",
		IP6_COVER("00", DST6) "3301"
				      "0502abcd"
				      "2603000000"
				      "010301ff02",
		TDO_REASON_NONE},
	    {"two that change, side by side",
		IP6("3c", DST6) "3301"
				"3e02dead"
				"3f03beefbe"
				"2601ff"
				"00"
				"00",
		IP6_COVER("3c", DST6) "3301"
				      "3e020000"
				      "3f03000000"
				      "260100"
				      "00"
				      "00",
		TDO_REASON_NONE},
	    {"empty ones",
		IP6("3c", DST6) "3300"
				"2600"
				"2600"
				"2600",
		IP6_COVER("3c", DST6) "3300"
				      "2600"
				      "2600"
				      "2600",
		TDO_REASON_NONE},
	    {"bytes of padding",
		IP6("3c", DST6) "3300"
				"00"
				"2601ff"
				"00"
				"00",
		IP6_COVER("3c", DST6) "3300"
				      "00"
				      "260100"
				      "00"
				      "00",
		TDO_REASON_NONE},
	    {"padding is authenticated",
		IP6("3c", DST6) "3300"
				"0104deadbeef",
		IP6_COVER("3c", DST6) "3300"
				      "0104deadbeef",
		TDO_REASON_NONE},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

static void
d21_ip6_option_bounds(void **state)
{
	static const struct row rows[] = {
	    {"no length",
		IP6("00", DST6) "3300"
				"0103aabbcc"
				"26",
		NULL, TDO_REASON_AH_OPTION},
	    {"one byte too long",
		IP6("00", DST6) "3300"
				"2605deadbeef",
		NULL, TDO_REASON_AH_OPTION},
	    {"into the next header",
		IP6("00", DST6) "3c00"
				"2606deadbeef"
				"3300"
				"010400000000",
		NULL, TDO_REASON_AH_OPTION},
	    {"one that does not change, too long",
		IP6("3c", DST6) "3300"
				"06ffdeadbeef",
		NULL, TDO_REASON_AH_OPTION},
	    {"header longer than what is there",
		IP6("00", DST6) "3301"
				"010400000000",
		NULL, TDO_REASON_EXT_HEADER},
	    {"half a header", IP6("00", DST6) "33000000", NULL, TDO_REASON_EXT_HEADER},
	    {"a header less than there are bytes",
		IP6("00", DST6) "3300"
				"010400000000"
				"3300",
		NULL, TDO_REASON_EXT_HEADER},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

static void
jumbograms_are_refused(void **state)
{
	static const struct row rows[] = {
	    {"jumbo payload",
		IP6("00", DST6) "3300"
				"c20400010000",
		NULL, TDO_REASON_AH_HEADER},
	};

	(void)state;
	CHECK_ROWS(rows, &in_rules);
	CHECK_ROWS(rows, &out_rules);
}

/* RFC 4302 appendix A2: routing header of type 0 as the last node sees it. */
static void
ip6_routing_headers(void **state)
{
	static const struct row out[] = {
	    {"three nodes", IP6("2b", DST6) "3306000300000000" HOP1 HOP2 HOP3,
		IP6_COVER("2b", HOP3) "3306000000000000" DST6 HOP1 HOP2, TDO_REASON_NONE},
	    {"one is behind", IP6("2b", DST6) "3306000200000000" HOP1 HOP2 HOP3,
		IP6_COVER("2b", HOP3) "3306000000000000" HOP1 DST6 HOP2, TDO_REASON_NONE},
	    {"arrived; the reserved field is authenticated",
		IP6("2b", DST6) "33020000deadbeef" HOP1,
		IP6_COVER("2b", DST6) "33020000deadbeef" HOP1, TDO_REASON_NONE},
	    {"no nodes", IP6("2b", DST6) "3300000000000000",
		IP6_COVER("2b", DST6) "3300000000000000", TDO_REASON_NONE},
	    {"more nodes left than there are", IP6("2b", DST6) "3302000200000000" HOP1, NULL,
		TDO_REASON_EXT_HEADER},
	    {"half an address",
		IP6("2b", DST6) "3301000000000000"
				"20010db800000000",
		NULL, TDO_REASON_EXT_HEADER},
	    {"type 2", IP6("2b", DST6) "3302020100000000" HOP1, NULL, TDO_REASON_AH_HEADER},
	    {"segment routing", IP6("2b", DST6) "3302040000000000" HOP1, NULL,
		TDO_REASON_AH_HEADER},
	};
	static const struct row in[] = {
	    {"arrived", IP6("2b", HOP3) "3306000000000000" DST6 HOP1 HOP2,
		IP6_COVER("2b", HOP3) "3306000000000000" DST6 HOP1 HOP2, TDO_REASON_NONE},
	    /* nothing is predicted by the receiver: this is not what the sender authenticated */
	    {"not arrived", IP6("2b", DST6) "3302000100000000" HOP1,
		IP6_COVER("2b", DST6) "3302000100000000" HOP1, TDO_REASON_NONE},
	    {"more nodes left than there are", IP6("2b", DST6) "3302000200000000" HOP1, NULL,
		TDO_REASON_EXT_HEADER},
	};

	(void)state;
	CHECK_ROWS(out, &out_rules);
	CHECK_ROWS(in, &in_rules);
}

static void
ip6_chains(void **state)
{
	static const struct row rows[] = {
	    {"hop-by-hop, destination, routing, destination",
		IP6("00", DST6) "3c00"
				"260401020304"
				"2b00"
				"050400000001"
				"3c02000100000000" HOP1 "3300"
				"3e04ffffffff",
		IP6_COVER("00", HOP1) "3c00"
				      "260400000000"
				      "2b00"
				      "050400000001"
				      "3c02000000000000" DST6 "3300"
				      "3e0400000000",
		TDO_REASON_NONE},
	    /* RFC 4302 appendix A2: fragmentation is not applicable; a whole fragment (RFC 6946)
	     * has its header in front of AH, where the sender had none */
	    {"fragment header", IP6("2c", DST6) "3300000000001234", NULL, TDO_REASON_AH_HEADER},
	    {"mobility header", IP6("87", DST6) "3300000000000000", NULL, TDO_REASON_AH_HEADER},
	    {"ESP", IP6("32", DST6) "3300000000000000", NULL, TDO_REASON_AH_HEADER},
	    {"the last one does not announce AH",
		IP6("00", DST6) "1100"
				"010400000000",
		NULL, TDO_REASON_EXT_HEADER},
	};

	(void)state;
	CHECK_ROWS(rows, &out_rules);
}

static void
d25_header_lengths(void **state)
{
	(void)state;
	/* RFC 4302 2.6: multiples of 4 on IPv4, of 8 on IPv6 */
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 12, 4), 24);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 12, 8), 24);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 16, 4), 28);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 16, 8), 32);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 24, 4), 36);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 24, 8), 40);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 32, 4), 44);
	assert_int_equal(tdo_ah_len(TDO_AH_HLEN, 32, 8), 48);
	assert_int_equal(tdo_ah_len(TDO_AH_OLD_HLEN, 16, 4), 24);
	assert_int_equal(tdo_ah_len(TDO_AH_OLD_HLEN, 16, 8), 24);
	/* RFC 4302 2.2: 96 bits of ICV and the fixed part are 6 words, and the field says 4 */
	assert_int_equal(tdo_ah_len_field(24), 4);
	for (unsigned field = 0; field <= 255; field++)
		assert_int_equal(tdo_ah_len_field(tdo_ah_len_of((uint8_t)field)), field);
	assert_int_equal(tdo_ah_len_of(255), TDO_AH_LEN_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ip4_fixed_fields),
	    cmocka_unit_test(knobs_let_tos_and_offset_be_authenticated),
	    cmocka_unit_test(ip4_options_by_the_table),
	    cmocka_unit_test(ip4_source_routes),
	    cmocka_unit_test(d22_ip4_option_bounds),
	    cmocka_unit_test(d22_ip4_header_lengths),
	    cmocka_unit_test(ip6_fixed_fields),
	    cmocka_unit_test(d21_ip6_options_are_zeroed_by_their_length),
	    cmocka_unit_test(d21_ip6_option_bounds),
	    cmocka_unit_test(jumbograms_are_refused),
	    cmocka_unit_test(ip6_routing_headers),
	    cmocka_unit_test(ip6_chains),
	    cmocka_unit_test(d25_header_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
