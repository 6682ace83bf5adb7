/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy language: what is accepted, what is printed, and where errors are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "wire/policy_text.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct tdo_policy_text
parse_ok(const char *s)
{
	struct tdo_policy_text p;
	struct tdo_policy_text_err err;

	if (tdo_policy_text_parse(s, strlen(s), &p, &err) != 0)
		fail_msg("\"%s\": %s at %zu", s, err.text, err.at);
	return p;
}

/* Text in, canonical text out; the canonical text is its own canonical text. */
static void
canonical_text(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
	    {"out ipsec esp/transport//use", "out ipsec esp/transport//use"},
	    {"in ipsec esp/transport", "in ipsec esp/transport//default"},
	    {"in ipsec esp/transport/", "in ipsec esp/transport//default"},
	    {"in ipsec esp/transport//", "in ipsec esp/transport//default"},
	    {"out ipsec esp/tunnel/10.0.0.1-10.0.0.2",
		"out ipsec esp/tunnel/10.0.0.1-10.0.0.2/default"},
	    {"out ipsec esp/tunnel/10.0.0.1-10.0.0.2/",
		"out ipsec esp/tunnel/10.0.0.1-10.0.0.2/default"},
	    {"\tout\n ipsec\r\n\tesp/transport//use  ah/transport//require ",
		"out ipsec esp/transport//use ah/transport//require"},
	    {"out ipsec ipcomp/tunnel/2001:DB8:0::1-2001:db8::2/unique",
		"out ipsec ipcomp/tunnel/2001:db8::1-2001:db8::2/unique"},
	    {"out ipsec esp/transport/1.2.3.4-5.6.7.8/unique:16383",
		"out ipsec esp/transport/1.2.3.4-5.6.7.8/unique:16383"},
	    {"out ipsec esp/transport//unique:16384", "out ipsec esp/transport//unique"},
	    {"out ipsec esp/transport//unique:65535", "out ipsec esp/transport//unique"},
	    {"out ipsec esp/transport//unique:65536", "out ipsec esp/transport//unique:65536"},
	    {"out ipsec esp/transport//unique:4294967295",
		"out ipsec esp/transport//unique:4294967295"},
	    {"out ipsec esp/tunnel/fe80::1%eth0-fe80::2%eth0/use",
		"out ipsec esp/tunnel/fe80::1-fe80::2/use"},
	    {"out ipsec esp/tunnel/10.0.0.1[4500]-10.0.0.2[any]/use",
		"out ipsec esp/tunnel/10.0.0.1[4500]-10.0.0.2/use"},
	    {"out ipsec esp/transport/me-any/use", "out ipsec esp/transport//use"},
	    {"in ipsec esp/transport/any-me/use", "in ipsec esp/transport//use"},
	    {"fwd none", "fwd none"},
	    {"in discard", "in discard"},
	    {"out entrust", "out entrust"},
	    {"in bypass", "in bypass"},
	    {"out", "out"},
	    {"out prio def none", "out none"},
	    {"out prio 0 none", "out none"},
	    {"out priority 1 none", "out prio def + 1 none"},
	    {"out prio -1 none", "out prio def - 1 none"},
	    {"out prio low none", "out prio low none"},
	    {"out prio high + 7 none", "out prio high + 7 none"},
	    {"out prio high+7 none", "out prio high + 7 none"},
	    {"out prio low -7 none", "out prio low - 7 none"},
	    {"out prio 1073741825 none", "out prio high + 1 none"},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		struct tdo_policy_text p = parse_ok(t[i].in);
		char buf[256];

		assert_int_equal(
		    tdo_policy_text_print(&p, " ", buf, sizeof(buf)), strlen(t[i].out));
		assert_string_equal(buf, t[i].out);
		p = parse_ok(buf);
		tdo_policy_text_print(&p, " ", buf, sizeof(buf));
		assert_string_equal(buf, t[i].out);
	}
}

/* Each bad text with the words and the place of its error. */
static void
errors_say_what_and_where(void **state)
{
	static const struct {
		const char *in, *text;
		size_t at, len;
	} t[] = {
	    {"", "Invalid direction", 0, 0},
	    {"both none", "Invalid direction", 0, 4},
	    {"out prio", "syntax error", 8, 0},
	    {"out prio 2147483649 none", "priority is not in the valid range", 9, 10},
	    {"out prio -2147483648 none", "priority is not in the valid range", 10, 10},
	    {"out prio middle none", "syntax error", 9, 6},
	    {"out prio low + none", "syntax error", 15, 4},
	    {"out prio low + 1073741824 none", "priority offset is not in the valid range", 15, 10},
	    {"out prio low - 1073741824 none", "priority is not in the valid range", 9, 3},
	    {"out prio 5", "Invalid security policy", 10, 0},
	    {"out nothing", "Invalid security policy", 4, 7},
	    {"out none esp/transport//use", "syntax error", 9, 18},
	    {"out ipsec", "Too few arguments", 9, 0},
	    {"out ipsec esp", "Too few arguments", 13, 0},
	    {"out ipsec tcp/transport//use", "Invalid ipsec protocol", 10, 3},
	    {"out ipsec esp/any//use", "Invalid ipsec mode", 14, 3},
	    {"out ipsec esp/tunnel//use", "Invalid address specification", 10, 15},
	    {"out ipsec esp/tunnel/me-any/use", "Invalid address specification", 10, 21},
	    {"out ipsec esp/tunnel/any-me/use", "Invalid direction", 21, 6},
	    {"out ipsec esp/tunnel/10.0.0.1/use", "Invalid address specification", 21, 8},
	    {"out ipsec esp/tunnel/10.0.0.1-host/use", "Invalid address specification", 30, 4},
	    {"out ipsec esp/tunnel/10.0.0.1-10.0.0.256/use", "Invalid address specification", 30,
		10},
	    {"out ipsec esp/tunnel/10.0.0.1%x-10.0.0.2/use", "Invalid address specification", 21,
		10},
	    {"out ipsec esp/tunnel/10.0.0.1-::1/use", "Family mismatch", 21, 12},
	    {"out ipsec esp/tunnel/10.0.0.1[70000]-10.0.0.2/use", "invalid port", 30, 5},
	    {"out ipsec esp/tunnel/10.0.0.1[1-10.0.0.2/use", "invalid port", 30, 10},
	    {"out ipsec esp/tunnel/10.0.0.1[1", "syntax error", 31, 0},
	    {"out ipsec esp/transport//must", "Invalid ipsec level", 25, 4},
	    {"out ipsec esp/transport//require:3", "Invalid ipsec level", 25, 7},
	    {"out ipsec esp/transport//unique:", "Invalid ipsec level", 32, 0},
	    {"out ipsec esp/transport//unique:4294967296", "Invalid ipsec level", 32, 10},
	    {"out ipsec esp/transport//unique:-1", "Invalid ipsec level", 32, 2},
	    {"out ipsec esp/transport//use/more", "syntax error", 28, 5},
	    {"out ipsec e/transport a b c", "Invalid ipsec protocol", 10, 1},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		struct tdo_policy_text p = {.sp.nreq = 77};
		struct tdo_policy_text_err err;

		if (tdo_policy_text_parse(t[i].in, strlen(t[i].in), &p, &err) != -EINVAL)
			fail_msg("\"%s\" is accepted", t[i].in);
		if (strcmp(err.text, t[i].text) != 0 || err.at != t[i].at || err.len != t[i].len)
			fail_msg(
			    "\"%s\": %s, %zu bytes at %zu", t[i].in, err.text, err.len, err.at);
		assert_int_equal(p.sp.nreq, 77);
	}
}

static void
values_of_a_full_policy(void **state)
{
	struct tdo_policy_text p = parse_ok("in prio low + 5 ipsec esp/transport//unique:12 "
					    "ah/tunnel/10.0.0.1-10.0.0.2/require");

	(void)state;
	assert_int_equal(p.sp.dir, TDO_DIR_IN);
	assert_int_equal(p.sp.type, TDO_POLICY_IPSEC);
	assert_int_equal(p.sp.prio, 0xc0000000 - 5);
	assert_int_equal(p.sp.nreq, 2);
	assert_int_equal(p.sp.req[0].proto, 50);
	assert_int_equal(p.sp.req[0].mode, TDO_MODE_TRANSPORT);
	assert_int_equal(p.sp.req[0].level, TDO_LEVEL_UNIQUE);
	assert_int_equal(p.sp.req[0].reqid, 12);
	assert_int_equal(p.sp.req[0].src.af, TDO_AF_NONE);
	assert_int_equal(p.sp.req[1].proto, 51);
	assert_int_equal(p.sp.req[1].mode, TDO_MODE_TUNNEL);
	assert_int_equal(p.sp.req[1].level, TDO_LEVEL_REQUIRE);
	assert_memory_equal(p.sp.req[1].dst.b, ((uint8_t[]){10, 0, 0, 2}), 4);
	assert_false(p.dir_only);
	assert_false(p.fwd);
}

/* spec 2.6: stored is 0x80000000 - value; 0 would mean "none given". */
static void
priorities_as_stored(void **state)
{
	static const struct {
		const char *in;
		uint32_t prio;
	} t[] = {{"out none", 0x80000000}, {"out prio low none", 0xc0000000},
	    {"out prio def none", 0x80000000}, {"out prio high none", 0x40000000},
	    {"out prio 5 none", 0x7ffffffb}, {"out prio -2147483647 none", 0xffffffff},
	    {"out prio 2147483647 none", 1}, {"out prio 2147483648 none", 1}};

	(void)state;
	for (size_t i = 0; i < N(t); i++)
		assert_int_equal(parse_ok(t[i].in).sp.prio, t[i].prio);
}

static void
too_many_requests(void **state)
{
	static const char req[] = " esp/transport//use";
	char text[16 + (TDO_REQ_MAX + 1) * sizeof(req)] = "out ipsec";
	struct tdo_policy_text p;
	struct tdo_policy_text_err err;

	(void)state;
	for (int i = 0; i < TDO_REQ_MAX; i++)
		strcat(text, req);
	assert_int_equal(parse_ok(text).sp.nreq, TDO_REQ_MAX);
	strcat(text, req);
	assert_int_equal(tdo_policy_text_parse(text, strlen(text), &p, &err), -EINVAL);
	assert_string_equal(err.text, "too many requests in one policy");
}

/* The text has a length: what stands behind it is not read, and a NUL is a byte like others. */
static void
length_counts(void **state)
{
	static const char text[] = "out none garbage", nul[] = "out\0none";
	struct tdo_policy_text p;
	struct tdo_policy_text_err err;

	(void)state;
	assert_int_equal(tdo_policy_text_parse(text, 8, &p, &err), 0);
	assert_int_equal(tdo_policy_text_parse(nul, sizeof(nul) - 1, &p, &err), -EINVAL);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		if (tdo_policy_text_parse(text, n, &p, &err) == 0)
			assert_true(n == 3 || n == 4 || n == 8 || n == 9);
}

static void
printer_is_bounded(void **state)
{
	struct tdo_policy_text p = parse_ok("out ipsec esp/transport//use");
	char buf[8] = "xxxxxxx";

	(void)state;
	assert_int_equal(tdo_policy_text_print(&p, "\n\t", NULL, 0), 29);
	assert_int_equal(tdo_policy_text_print(&p, "\n\t", buf, 5), 29);
	assert_memory_equal(buf, "out \0xx", 8);
}

static void
picked_numbers_print_with_a_hash(void **state)
{
	struct tdo_policy_text p = parse_ok("out ipsec esp/transport//unique");
	char buf[64];

	(void)state;
	p.sp.req[0].reqid = 16385;
	tdo_policy_text_print(&p, " ", buf, sizeof(buf));
	assert_string_equal(buf, "out ipsec esp/transport//unique#16385");
}

static void
addresses_parse_strictly(void **state)
{
	static const char *const good[][2] = {{"0.0.0.0", "0.0.0.0"},
	    {"255.255.255.255", "255.255.255.255"}, {"::", "::"}, {"::1", "::1"}, {"1::", "1::"},
	    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"}, {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
	    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"}, {"::ffff:1.2.3.4", "::ffff:102:304"},
	    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"}, {"FE80::ABcd", "fe80::abcd"}};
	static const char *const bad[] = {"", ".", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "1.2.3.04",
	    "1.2.3.256", "1..2.3", " 1.2.3.4", "1.2.3.4 ", ":", ":::", ":1", "1:", "1:2:3:4:5:6:7",
	    "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3",
	    "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "::%eth0"};
	struct tdo_addr a;
	char buf[TDO_ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		if (tdo_addr_parse(good[i][0], strlen(good[i][0]), &a) != 0)
			fail_msg("%s is refused", good[i][0]);
		assert_string_equal(tdo_addr_str(&a, buf), good[i][1]);
	}
	for (size_t i = 0; i < N(bad); i++)
		if (tdo_addr_parse(bad[i], strlen(bad[i]), &a) == 0)
			fail_msg("\"%s\" is accepted", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_text),
	    cmocka_unit_test(errors_say_what_and_where),
	    cmocka_unit_test(values_of_a_full_policy),
	    cmocka_unit_test(priorities_as_stored),
	    cmocka_unit_test(too_many_requests),
	    cmocka_unit_test(length_counts),
	    cmocka_unit_test(printer_is_bounded),
	    cmocka_unit_test(picked_numbers_print_with_a_hash),
	    cmocka_unit_test(addresses_parse_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
