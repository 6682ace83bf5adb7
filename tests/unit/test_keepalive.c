/* SPDX-License-Identifier: BSD-2-Clause */
/* Keepalives of NAT traversal as they stand on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "daemon/keepalive.h"
#include "wire/ip.h"

static void
check(const char *from, const char *to, uint32_t hlen)
{
	struct tdo_addr src, dst;
	uint8_t buf[TDO_KEEPALIVE_MAX + 8];
	struct tdo_ip_info ip;
	size_t len;

	assert_int_equal(tdo_addr_parse(from, strlen(from), &src), 0);
	assert_int_equal(tdo_addr_parse(to, strlen(to), &dst), 0);
	memset(buf, 0x5a, sizeof(buf));
	len = tdo_keepalive_make(buf, &src, &dst, 4500, 30000);
	assert_int_equal(len, hlen + 9);
	assert_true(len <= TDO_KEEPALIVE_MAX);
	assert_int_equal(buf[len], 0x5a);
	assert_int_equal(tdo_ip_parse(buf, (uint32_t)len, &ip), TDO_REASON_NONE);
	assert_true(tdo_addr_equal(&ip.flow.src, &src) && tdo_addr_equal(&ip.flow.dst, &dst));
	assert_int_equal(ip.flow.proto, 17);
	assert_int_equal(ip.flow.sport, 4500);
	assert_int_equal(ip.flow.dport, 30000);
	assert_int_equal(ip.total_len, len);
	assert_int_equal(tdo_be16(buf + hlen + 4), 9);
	assert_int_equal(buf[hlen + 8], 0xff); /* RFC 3948 2.3 */
	if (hlen == 20)
		assert_int_equal(tdo_be16(buf + hlen + 6), 0);
	else
		assert_int_equal(
		    tdo_csum_fold(tdo_csum_add(tdo_csum_pseudo(&src, &dst, 17, 9), buf + hlen, 9)),
		    0);
}

static void
one_byte_in_udp(void **state)
{
	(void)state;
	check("10.0.0.1", "192.0.2.1", 20);
}

static void
d32_one_byte_in_udp_over_ipv6(void **state)
{
	(void)state;
	check("fd00::1", "2001:db8::1", 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_byte_in_udp),
	    cmocka_unit_test(d32_one_byte_in_udp_over_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
