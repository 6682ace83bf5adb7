/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of the kernel about routes and devices: right ones, and such that lie about lengths. */
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "io/route_mtu.h"

static _Alignas(struct nlmsghdr) uint8_t msg[2048];

static struct nlmsghdr *
head(void)
{
	return (struct nlmsghdr *)(void *)msg;
}

static void
begin(uint16_t type, size_t body)
{
	memset(msg, 0, sizeof(msg));
	head()->nlmsg_type = type;
	head()->nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static size_t
add(uint16_t type, const void *p, size_t len)
{
	size_t at = NLMSG_ALIGN(head()->nlmsg_len);
	struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type};

	memcpy(msg + at, &a, sizeof(a));
	memcpy(msg + at + sizeof(a), p, len);
	head()->nlmsg_len = (uint32_t)(at + NLA_ALIGN((size_t)a.nla_len));
	return at;
}

/* A copy of exactly len bytes: the sanitizer sees every byte beyond. */
static bool
route(size_t len, struct tdo_route_answer *r)
{
	uint8_t *copy = malloc(len + !len);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, msg, len);
	ok = tdo_route_read(copy, len, r);
	free(copy);
	return ok;
}

static void
routes(void **state)
{
	uint32_t index = 7, nested[4];
	struct nlattr in = {.nla_len = 8, .nla_type = RTAX_MTU};
	struct rtnexthop hop = {.rtnh_len = sizeof(hop), .rtnh_ifindex = 9};
	struct tdo_route_answer r;

	(void)state;
	begin(RTM_NEWROUTE, sizeof(struct rtmsg));
	assert_false(route(head()->nlmsg_len, &r));
	(void)add(RTA_OIF, &index, sizeof(index));
	assert_true(route(head()->nlmsg_len, &r));
	assert_int_equal(r.ifindex, 7);
	assert_int_equal(r.mtu, 0);
	memcpy(nested, &in, sizeof(in));
	nested[1] = 1400;
	(void)add(RTA_METRICS, nested, 8);
	assert_true(route(head()->nlmsg_len, &r));
	assert_int_equal(r.mtu, 1400);
	for (size_t n = 0; n < head()->nlmsg_len; n++) /* cut anywhere */
		assert_false(route(n, &r));
	begin(RTM_NEWROUTE, sizeof(struct rtmsg));
	(void)add(RTA_MULTIPATH, &hop, sizeof(hop));
	assert_true(route(head()->nlmsg_len, &r));
	assert_int_equal(r.ifindex, 9);
	begin(NLMSG_ERROR, sizeof(struct rtmsg));
	(void)add(RTA_OIF, &index, sizeof(index));
	assert_false(route(head()->nlmsg_len, &r));
}

static void
lengths_that_lie(void **state)
{
	uint32_t index = 7;
	struct tdo_route_answer r;

	(void)state;
	for (unsigned len = 0; len < 70; len++) {
		size_t at;

		begin(RTM_NEWROUTE, sizeof(struct rtmsg));
		at = add(RTA_OIF, &index, sizeof(index));
		msg[at] = (uint8_t)len;
		assert_int_equal(route(head()->nlmsg_len, &r), len == 8);
	}
	for (unsigned len = 0; len < 70; len++) {
		begin(RTM_NEWROUTE, sizeof(struct rtmsg));
		(void)add(RTA_OIF, &index, sizeof(index));
		head()->nlmsg_len = len;
		assert_int_equal(route(36, &r), len == 36);
	}
}

static void
devices(void **state)
{
	uint32_t mtu = 1500, conf[DEVCONF_MTU6 + 2] = {0}, spec[16];
	struct nlattr a6, ac;

	(void)state;
	begin(RTM_NEWLINK, sizeof(struct ifinfomsg));
	assert_int_equal(tdo_link_read(msg, head()->nlmsg_len, TDO_AF_INET), 0);
	(void)add(IFLA_MTU, &mtu, sizeof(mtu));
	assert_int_equal(tdo_link_read(msg, head()->nlmsg_len, TDO_AF_INET), 1500);
	assert_int_equal(tdo_link_read(msg, head()->nlmsg_len, TDO_AF_INET6), 1500);
	conf[DEVCONF_MTU6] = 1400;
	ac = (struct nlattr){(uint16_t)(sizeof(ac) + sizeof(conf)), IFLA_INET6_CONF};
	a6 = (struct nlattr){(uint16_t)(sizeof(a6) + ac.nla_len), AF_INET6};
	memcpy(spec, &a6, sizeof(a6));
	memcpy(spec + 1, &ac, sizeof(ac));
	memcpy(spec + 2, conf, sizeof(conf));
	(void)add(IFLA_AF_SPEC, spec, a6.nla_len);
	assert_int_equal(tdo_link_read(msg, head()->nlmsg_len, TDO_AF_INET), 1500);
	assert_int_equal(tdo_link_read(msg, head()->nlmsg_len, TDO_AF_INET6), 1400);
	for (size_t n = 0; n < head()->nlmsg_len; n++)
		assert_int_equal(tdo_link_read(msg, n, TDO_AF_INET6), 0);
}

static void
without_a_socket_nothing(void **state)
{
	struct tdo_addr dst = {.af = TDO_AF_INET, .b = {127, 0, 0, 1}};

	(void)state;
	assert_int_equal(tdo_route_mtu(-1, &dst, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(routes),
	    cmocka_unit_test(lengths_that_lie),
	    cmocka_unit_test(devices),
	    cmocka_unit_test(without_a_socket_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
