/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU cache with a clock of our own; decisions about sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "daemon/sizes.h"
#include "io/pmtu.h"
#include "wire/ip.h"

static uint32_t kernel_mtu;
static unsigned asked;

static uint32_t
ask(void *ctx, const struct tdo_addr *dst)
{
	(void)ctx;
	(void)dst;
	asked++;
	return kernel_mtu;
}

static const struct tdo_addr v4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
static const struct tdo_addr v6 = {.af = TDO_AF_INET6, .b = {0xfd, [15] = 1}};

static void
answers_are_kept_for_a_second(void **state)
{
	static struct tdo_pmtu c;

	(void)state;
	asked = 0;
	kernel_mtu = 1500;
	assert_int_equal(tdo_pmtu_init(&c, 64, ask, NULL), 0);
	assert_int_equal(tdo_pmtu_get(&c, &v4, TDO_SEC), 1500);
	kernel_mtu = 1400;
	assert_int_equal(tdo_pmtu_get(&c, &v4, 2 * TDO_SEC - 1), 1500);
	assert_int_equal(asked, 1);
	assert_int_equal(tdo_pmtu_get(&c, &v4, 2 * TDO_SEC), 1400);
	assert_int_equal(asked, 2);
	kernel_mtu = 9000;
	assert_int_equal(tdo_pmtu_get(&c, &v6, 2 * TDO_SEC), 9000);
	assert_int_equal(tdo_pmtu_get(&c, &v4, 2 * TDO_SEC), 1400);
	tdo_pmtu_fini(&c);
}

static void
nonsense_is_not_believed(void **state)
{
	static struct tdo_pmtu c;

	(void)state;
	kernel_mtu = 0;
	assert_int_equal(tdo_pmtu_init(&c, 64, ask, NULL), 0);
	assert_int_equal(tdo_pmtu_get(&c, &v4, 1), TDO_PMTU_UNKNOWN);
	kernel_mtu = 68;
	assert_int_equal(tdo_pmtu_get(&c, &v4, 2 * TDO_SEC), TDO_PMTU_FLOOR_IP4);
	assert_int_equal(tdo_pmtu_get(&c, &v6, 2 * TDO_SEC), TDO_PMTU_FLOOR_IP6);
	tdo_pmtu_fini(&c);
}

static void
refused_packets_lower_it(void **state)
{
	static struct tdo_pmtu c;
	tdo_ns t = 10 * TDO_SEC;

	(void)state;
	kernel_mtu = 1500;
	assert_int_equal(tdo_pmtu_init(&c, 64, ask, NULL), 0);
	assert_int_equal(tdo_pmtu_get(&c, &v4, t), 1500);
	/* The kernel knows why. */
	kernel_mtu = 1300;
	assert_int_equal(tdo_pmtu_lower(&c, &v4, 1500, t), 1300);
	/* The kernel does not know: the next plateau, for a while. */
	assert_int_equal(tdo_pmtu_lower(&c, &v4, 1300, t), 1280);
	assert_int_equal(tdo_pmtu_get(&c, &v4, t + 29 * TDO_SEC), 1280);
	assert_int_equal(tdo_pmtu_get(&c, &v4, t + 30 * TDO_SEC), 1300);
	/* It never falls below what every path must carry. */
	assert_int_equal(tdo_pmtu_lower(&c, &v6, 1280, t), 1280);
	tdo_pmtu_fini(&c);
}

static void
all_destinations_have_their_own(void **state)
{
	static struct tdo_pmtu c;
	struct tdo_addr a = v4;

	(void)state;
	assert_int_equal(tdo_pmtu_init(&c, 64, ask, NULL), 0);
	for (unsigned i = 0; i < 1000; i++) {
		a.b[2] = (uint8_t)(i / 256);
		a.b[3] = (uint8_t)i;
		kernel_mtu = 1000 + i;
		assert_int_equal(tdo_pmtu_get(&c, &a, TDO_SEC), 1000 + i);
	}
	tdo_pmtu_fini(&c);
}

/* ---- many peers ---------------------------------------------------------------------- */

static unsigned questions;

static uint32_t
ask_and_count(void *ctx, const struct tdo_addr *dst)
{
	(void)ctx;
	(void)dst;
	questions++;
	return 1500;
}

static struct tdo_addr
peer(uint8_t af, uint32_t i)
{
	struct tdo_addr a = {.af = af, .b = {0}};

	if (af == TDO_AF_INET) {
		tdo_put_be32(a.b, 10u << 24 | i);
	} else {
		a.b[0] = 0xfd;
		tdo_put_be32(a.b + 4, i); /* networks, each with its gateway */
		a.b[15] = 1;
	}
	return a;
}

/* What is known of 10,000 peers in use stays: the kernel is asked once a second for each. */
static void
a_gateway_knows_all_of_its_peers(void **state)
{
	static struct tdo_pmtu c;

	(void)state;
	for (uint8_t af = TDO_AF_INET; af <= TDO_AF_INET6; af++) {
		assert_int_equal(tdo_pmtu_init(&c, TDO_PMTU_PEERS, ask_and_count, NULL), 0);
		questions = 0;
		for (unsigned turn = 0; turn < 5; turn++)
			for (uint32_t i = 0; i < 10000; i++) {
				struct tdo_addr a = peer(af, i);

				assert_int_equal(
				    tdo_pmtu_get(&c, &a, TDO_SEC + turn * TDO_SEC / 10), 1500);
			}
		assert_int_equal(questions, 10000);
		tdo_pmtu_fini(&c);
	}
}

/* Of more than there is room for, those are forgotten that were not used for longest. */
static void
the_oldest_are_forgotten(void **state)
{
	static struct tdo_pmtu c;
	struct tdo_addr often = peer(TDO_AF_INET, 0xffffff);

	(void)state;
	assert_int_equal(tdo_pmtu_init(&c, 512, ask_and_count, NULL), 0);
	questions = 0;
	for (uint32_t i = 0; i < 100000; i++) {
		struct tdo_addr a = peer(TDO_AF_INET, i);

		(void)tdo_pmtu_get(&c, &a, TDO_SEC + i);
		(void)tdo_pmtu_get(&c, &often, TDO_SEC + i);
	}
	assert_int_equal(questions, 100001);
	tdo_pmtu_fini(&c);
}

/* ---- sizes -------------------------------------------------------------------------- */

static uint8_t mem[70000];

static struct tdo_pkt
packet(uint8_t af, uint8_t proto, uint32_t len)
{
	struct tdo_pkt p = {.buf = mem, .cap = sizeof(mem), .len = len};

	p.ip.flow.src.af = p.ip.flow.dst.af = af;
	p.ip.flow.proto = proto;
	p.ip.l4_off = (uint16_t)tdo_ip_hlen(af);
	p.ip.total_len = len;
	p.ip.df = af == TDO_AF_INET;
	mem[p.ip.l4_off + 12] = 0x80; /* TCP header with 12 bytes of options */
	return p;
}

static void
tcp_is_cut(void **state)
{
	struct tdo_pkt p = packet(TDO_AF_INET, TDO_IPPROTO_TCP, 40000);
	uint16_t mss = 0;

	(void)state;
	p.gso = TDO_GSO_TCP;
	p.gso_size = 1448;
	assert_int_equal(tdo_size_fit(&p, 1500, true, &mss), TDO_FIT_CUT);
	assert_int_equal(mss, 1448);
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_CUT);
	assert_int_equal(mss, 1438 - 52);
	p = packet(TDO_AF_INET, TDO_IPPROTO_TCP, 1500);
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_CUT);
	assert_int_equal(mss, 1438 - 52);
	assert_int_equal(tdo_size_fit(&p, 1500, true, &mss), TDO_FIT_WHOLE);
	/* A TCP header that lies about its length is left to the receiver. */
	mem[20 + 12] = 0x10;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_WHOLE);
}

static void
mss_option_counts_no_options(void **state)
{
	struct tdo_pkt p = packet(TDO_AF_INET, TDO_IPPROTO_TCP, 60);

	(void)state;
	assert_int_equal(tdo_size_mss(&p, 1438), 1398);
	assert_int_equal(tdo_size_mss(&p, 100), 0);
	assert_int_equal(tdo_size_mss(&p, 0), 0);
	p = packet(TDO_AF_INET6, TDO_IPPROTO_TCP, 80);
	assert_int_equal(tdo_size_mss(&p, 1438), 1378);
	p.ip.frag = true;
	assert_int_equal(tdo_size_mss(&p, 1438), 0);
	p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 60);
	assert_int_equal(tdo_size_mss(&p, 1438), 0);
}

static void
own_datagrams_stay_whole(void **state)
{
	uint16_t mss = 0;
	struct tdo_pkt p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 60000);

	(void)state;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_WHOLE);
	p = packet(TDO_AF_INET6, TDO_IPPROTO_ICMPV6, 60000);
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_WHOLE);
	p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 30000);
	p.gso = TDO_GSO_UDP;
	p.gso_size = 1472;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_CUT);
	assert_int_equal(mss, 1472);
}

static void
forwarded_packets_are_refused_by_the_rules(void **state)
{
	uint16_t mss = 0;
	struct tdo_pkt p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 1500);

	(void)state;
	p.flags = TDO_PKT_FORWARDED;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_TOO_BIG);
	assert_int_equal(tdo_size_fit(&p, 1500, true, &mss), TDO_FIT_WHOLE);
	/* Transport mode protects whole datagrams. */
	assert_int_equal(tdo_size_fit(&p, 1438, false, &mss), TDO_FIT_WHOLE);
	p.ip.df = false;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_WHOLE);
	/* IPv6: never below its minimum, whatever is left of the path. */
	p = packet(TDO_AF_INET6, TDO_IPPROTO_UDP, 1400);
	p.flags = TDO_PKT_FORWARDED;
	assert_int_equal(tdo_size_fit(&p, 1300, true, &mss), TDO_FIT_TOO_BIG);
	assert_int_equal(tdo_size_fit(&p, 1279, true, &mss), TDO_FIT_TOO_BIG);
	assert_int_equal(tdo_size_told(&p, 1300), 1300);
	assert_int_equal(tdo_size_told(&p, 1279), 1280);
	p.len = 1280;
	assert_int_equal(tdo_size_fit(&p, 1279, true, &mss), TDO_FIT_WHOLE);
	/* Somebody else's TCP segments are not cut when he can be told. */
	p = packet(TDO_AF_INET, TDO_IPPROTO_TCP, 40000);
	p.gso = TDO_GSO_TCP;
	p.gso_size = 1448;
	p.flags = TDO_PKT_FORWARDED;
	assert_int_equal(tdo_size_fit(&p, 1438, true, &mss), TDO_FIT_TOO_BIG);
	assert_int_equal(tdo_size_fit(&p, 1500, true, &mss), TDO_FIT_CUT);
}

/* Before protection: where it is wanted and the sender allows it, or nothing else could help. */
static void
fragments_before_protection(void **state)
{
	struct tdo_pkt p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 3000);

	(void)state;
	/* A host's own datagrams, DF or not. */
	assert_true(tdo_size_cut_first(&p, 1438, true, true));
	assert_false(tdo_size_cut_first(&p, 1438, true, false));
	assert_false(tdo_size_cut_first(&p, 1438, false, true)); /* transport mode */
	assert_false(tdo_size_cut_first(&p, 3000, true, true));
	/* Somebody else's: not with DF, and never IPv6. */
	p.flags = TDO_PKT_FORWARDED;
	assert_false(tdo_size_cut_first(&p, 1438, true, true));
	p.ip.df = false;
	assert_true(tdo_size_cut_first(&p, 1438, true, true));
	p = packet(TDO_AF_INET6, TDO_IPPROTO_UDP, 3000);
	assert_true(tdo_size_cut_first(&p, 1438, true, true));
	p.flags = TDO_PKT_FORWARDED;
	assert_false(tdo_size_cut_first(&p, 1438, true, true));
	/* What came in fragments of IPv6 goes in fragments. */
	p.flags = TDO_PKT_CAME_CUT;
	assert_true(tdo_size_cut_first(&p, 1438, true, false));
	assert_false(tdo_size_cut_first(&p, 1438, false, false));
	p = packet(TDO_AF_INET, TDO_IPPROTO_UDP, 3000);
	p.flags = TDO_PKT_CAME_CUT;
	assert_false(tdo_size_cut_first(&p, 1438, true, false));
	assert_true(tdo_size_cut_first(&p, 1438, true, true));
	/* TCP is cut into segments instead. */
	p = packet(TDO_AF_INET, TDO_IPPROTO_TCP, 3000);
	assert_false(tdo_size_cut_first(&p, 1438, true, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_kept_for_a_second),
	    cmocka_unit_test(nonsense_is_not_believed),
	    cmocka_unit_test(refused_packets_lower_it),
	    cmocka_unit_test(all_destinations_have_their_own),
	    cmocka_unit_test(a_gateway_knows_all_of_its_peers),
	    cmocka_unit_test(the_oldest_are_forgotten),
	    cmocka_unit_test(tcp_is_cut),
	    cmocka_unit_test(mss_option_counts_no_options),
	    cmocka_unit_test(own_datagrams_stay_whole),
	    cmocka_unit_test(forwarded_packets_are_refused_by_the_rules),
	    cmocka_unit_test(fragments_before_protection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
