/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing and building of IP headers, Internet checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"

/* The definition, RFC 1071 1: 16-bit words, the last one padded with zero. */
static uint16_t
naive_csum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i < len; i++) {
		s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		s = (s & 0xffff) + (s >> 16);
	}
	return (uint16_t)~s;
}

static void
checksum_is_that_of_the_definition(void **state)
{
	uint8_t b[600];

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)rand();
	for (size_t off = 0; off < 5; off++)
		for (size_t len = 0; len + off <= sizeof(b); len++)
			assert_int_equal(
			    tdo_csum_fold(tdo_csum_add(0, b + off, len)), naive_csum(b + off, len));
}

static void
checksum_of_extreme_data(void **state)
{
	static uint8_t ones[65535], zeros[65535];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t len = 2; len <= sizeof(ones); len += 997) {
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, ones, len)), naive_csum(ones, len));
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, zeros, len)), 0xffff);
	}
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0xffffffff, ones, 65534)), 0);
}

static void
checksum_can_be_continued(void **state)
{
	uint8_t b[200];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 37 + 200);
	for (size_t cut = 0; cut <= sizeof(b); cut += 2) {
		uint32_t s = tdo_csum_add(tdo_csum_add(0, b, cut), b + cut, sizeof(b) - cut);

		assert_int_equal(tdo_csum_fold(s), naive_csum(b, sizeof(b)));
	}
}

static void
build_then_parse_is_identity(void **state)
{
	static const uint8_t a4[4] = {192, 0, 2, 1}, a6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		uint8_t af = v ? TDO_AF_INET6 : TDO_AF_INET, b[80] = {0};
		struct tdo_ip_hdr h = {.src = tdo_addr_make(af, v ? a6 : a4),
		    .dst = tdo_addr_make(af, v ? a6 : a4),
		    .tos = 0xb9,
		    .ttl = 63,
		    .proto = TDO_IPPROTO_UDP,
		    .id = 0x1234,
		    .df = true,
		    .flow_label = 0xfabcde};
		struct tdo_ip_info info;
		unsigned hl = tdo_ip_hlen(af);

		tdo_ip_build(b, &h, 8);
		tdo_put_be16(b + hl, 500);
		tdo_put_be16(b + hl + 2, 4500);
		assert_int_equal(tdo_ip_parse(b, sizeof(b), &info), TDO_REASON_NONE);
		assert_true(tdo_addr_equal(&info.flow.src, &h.src));
		assert_true(tdo_addr_equal(&info.flow.dst, &h.dst));
		assert_int_equal(info.total_len, hl + 8);
		assert_int_equal(info.l4_off, hl);
		assert_int_equal(info.tos, 0xb9);
		assert_int_equal(info.ttl, 63);
		assert_int_equal(info.df, !v);
		assert_int_equal(info.flow.sport, 500);
		assert_int_equal(info.flow.dport, 4500);
		if (v)
			assert_int_equal(tdo_be32(b), 0x6b9abcde);
		else
			assert_int_equal(naive_csum(b, hl), 0);
		tdo_ip_set_len(b, hl + 4);
		assert_int_equal(tdo_ip_parse(b, hl + 4, &info), TDO_REASON_NONE);
		assert_int_equal(info.total_len, hl + 4);
		assert_int_equal(tdo_ip_parse(b, hl + 3, &info), TDO_REASON_SHORT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(checksum_is_that_of_the_definition),
	    cmocka_unit_test(checksum_of_extreme_data),
	    cmocka_unit_test(checksum_can_be_continued),
	    cmocka_unit_test(build_then_parse_is_identity),
	};

	return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
