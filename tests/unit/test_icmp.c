/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors: their form, and when none may be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "pktgen.h"
#include "wire/icmp.h"
#include "wire/ip.h"

static void
check_error(const struct tdo_pkt *p, const struct tdo_pkt *e, uint32_t mtu, uint32_t quote)
{
	const uint8_t *d = tdo_pkt_data(e);
	bool v6 = d[0] >> 4 == 6;
	const uint8_t *icmp = d + (v6 ? 40 : 20);

	assert_int_equal(e->len, (v6 ? 48 : 28) + quote);
	assert_int_equal(e->ip.total_len, e->len);
	assert_true(tdo_addr_equal(&e->ip.flow.src, &p->ip.flow.dst));
	assert_true(tdo_addr_equal(&e->ip.flow.dst, &p->ip.flow.src));
	assert_int_equal(e->ip.flow.proto, v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP);
	assert_int_equal(icmp[0], v6 ? 2 : 3);
	assert_int_equal(icmp[1], v6 ? 0 : 4);
	assert_int_equal(tdo_be32(icmp + 4), mtu);
	assert_memory_equal(icmp + 8, tdo_pkt_data(p), quote);
	assert_true(pktgen_csums_ok(e));
	assert_int_equal(e->flags, 0);
}

static void
form_and_quote(void **state)
{
	/* Length of the offending packet, bytes quoted in IPv4 and IPv6. */
	static const uint32_t cases[][3] = {{48, 48, 48}, {548, 548, 548}, {549, 548, 549},
	    {1232, 548, 1232}, {1233, 548, 1232}, {60000, 548, 1232}};

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			uint32_t hlen = v6 ? 48 : 28;
			struct pktgen g = {
			    .v6 = v6, .proto = TDO_IPPROTO_UDP, .payload = cases[i][0] - hlen};
			struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(1280);

			assert_true(tdo_icmp_too_big(p, 1400, e));
			check_error(p, e, 1400, cases[i][1 + v6]);
			e->cap = e->off + e->len - 1;
			assert_false(tdo_icmp_too_big(p, 1400, e)); /* no room */
			pktgen_free(p);
			pktgen_free(e);
		}
}

static void
large_mtu_is_limited_to_16_bits(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 10};
	struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(600);

	(void)state;
	assert_true(tdo_icmp_too_big(p, 70000, e));
	check_error(p, e, 65535, 38);
	pktgen_free(p);
	pktgen_free(e);
}

/* Makes p a packet of proto with this first byte of payload. */
static bool
answers(bool v6, uint8_t proto, uint8_t type)
{
	struct pktgen g = {.v6 = v6, .proto = TDO_IPPROTO_UDP, .payload = 10};
	struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(1280);
	uint8_t *d = tdo_pkt_data(p);
	bool r;

	d[v6 ? 6 : 9] = proto;
	d[v6 ? 40 : 20] = type;
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	r = tdo_icmp_too_big(p, 1400, e);
	pktgen_free(p);
	pktgen_free(e);
	return r;
}

static void
never_about_icmp_errors(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

		assert_int_equal(answers(false, TDO_IPPROTO_ICMP, (uint8_t)type), !error4);
		assert_int_equal(
		    answers(true, TDO_IPPROTO_ICMPV6, (uint8_t)type), type >= 128 && type != 137);
	}
	assert_true(answers(false, TDO_IPPROTO_TCP, 3));
	assert_true(answers(true, TDO_IPPROTO_ESP, 1));
}

static void
never_when_the_icmp_type_is_hidden(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 10};
	struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(600);
	uint8_t *d = tdo_pkt_data(p);

	(void)state;
	d[9] = TDO_IPPROTO_ICMP;
	d[20] = 8;
	tdo_ip_set_len(d, 22);
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	assert_true(tdo_icmp_too_big(p, 1400, e));
	tdo_ip_set_len(d, 21);
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	assert_false(tdo_icmp_too_big(p, 1400, e));
	pktgen_free(p);
	pktgen_free(e);
}

static void
only_between_hosts(void **state)
{
	static const struct {
		uint8_t b[16];
		uint8_t af;
		bool host;
	} cases[] = {
	    {{10, 0, 0, 1}, TDO_AF_INET, true},
	    {{126, 255, 255, 255}, TDO_AF_INET, true},
	    {{223, 255, 255, 254}, TDO_AF_INET, true},
	    {{0, 0, 0, 0}, TDO_AF_INET, false},
	    {{0, 0, 0, 1}, TDO_AF_INET, false},
	    {{127, 0, 0, 1}, TDO_AF_INET, false},
	    {{224, 0, 0, 1}, TDO_AF_INET, false},
	    {{240, 0, 0, 1}, TDO_AF_INET, false},
	    {{255, 255, 255, 255}, TDO_AF_INET, false},
	    {{0xfe, 0x80, [15] = 1}, TDO_AF_INET6, true},
	    {{0}, TDO_AF_INET6, false},
	    {{0xff, 2, [15] = 1}, TDO_AF_INET6, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned dst = 0; dst < 2; dst++) {
			bool v6 = cases[i].af == TDO_AF_INET6;
			struct pktgen g = {.v6 = v6, .proto = TDO_IPPROTO_UDP, .payload = 10};
			struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(1280);
			uint8_t *d = tdo_pkt_data(p) + (v6 ? 8 : 12) + dst * (v6 ? 16u : 4u);

			memcpy(d, cases[i].b, v6 ? 16 : 4);
			assert_int_equal(
			    tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip), TDO_REASON_NONE);
			if (tdo_icmp_too_big(p, 1400, e) != cases[i].host)
				fail_msg("case %u, %s", i, dst ? "destination" : "source");
			pktgen_free(p);
			pktgen_free(e);
		}
}

static void
never_about_later_fragments(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 100};
	struct tdo_pkt *p = pktgen_new(&g, 0), *e = pktgen_empty(600);
	uint8_t *d = tdo_pkt_data(p);

	(void)state;
	tdo_put_be16(d + 6, 0x2000);
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	assert_true(tdo_icmp_too_big(p, 1400, e));
	tdo_put_be16(d + 6, 5);
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	assert_false(tdo_icmp_too_big(p, 1400, e));
	pktgen_free(p);
	pktgen_free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(form_and_quote),
	    cmocka_unit_test(large_mtu_is_limited_to_16_bits),
	    cmocka_unit_test(never_about_icmp_errors),
	    cmocka_unit_test(never_when_the_icmp_type_is_hidden),
	    cmocka_unit_test(only_between_hosts),
	    cmocka_unit_test(never_about_later_fragments),
	};

	return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}
