/* SPDX-License-Identifier: BSD-2-Clause */
/* testudod.conf: keys, ranges, and messages with line numbers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/conf.h"
#include "daemon/marks.h"

static char err[256];

static int
read_len(struct tdo_conf *c, const char *text, size_t len)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, len, "r");
	int r;

	assert_non_null(f);
	err[0] = '\0';
	r = tdo_conf_read(c, f, "t", err, sizeof(err));
	fclose(f);
	return r;
}

static int
read_text(struct tdo_conf *c, const char *text)
{
	return read_len(c, text, strlen(text));
}

static void
defaults_are_as_documented(void **state)
{
	struct tdo_conf c;

	(void)state;
	tdo_conf_init(&c);
	assert_int_equal(c.workers, 1);
	assert_int_equal(c.busy_poll, 100);
	assert_int_equal(c.mark_mask, 0x3ff00000);
	assert_int_equal(c.fail, TDO_FAIL_CLOSED);
	assert_int_equal(c.rule_priority, 10);
	assert_int_equal(c.table, 5800);
	assert_int_equal(c.queue, 5800);
	assert_string_equal(c.tun, "testudo0");
	assert_string_equal(c.user, "nobody");
	assert_int_equal(c.nsetkey, 0);
	assert_int_equal(c.log, TDO_CONF_STDERR);
	assert_false(c.debug);
	assert_false(c.access_gid_set);
	tdo_conf_fini(&c);
}

static void
every_key_is_read(void **state)
{
	struct tdo_conf c;

	(void)state;
	tdo_conf_init(&c);
	assert_int_equal(read_text(&c, "# comment\n\n"
				       "workers 4\n"
				       "busy-poll 0\n"
				       "\tmark-mask   0xff00 # behind\n"
				       "fail open\n"
				       "rule-priority 100\n"
				       "table 1000\n"
				       "tun ipsec0\r\n"
				       "queue 7\n"
				       "user _testudo\n"
				       "access-group 12\n"
				       "setkey /etc/a b.conf\n"
				       "setkey /etc/c.conf\n"
				       "log syslog\n"
				       "debug yes"),
	    0);
	assert_string_equal(err, "");
	assert_int_equal(c.workers, 4);
	assert_int_equal(c.busy_poll, 0);
	assert_int_equal(c.mark_mask, 0xff00);
	assert_int_equal(c.fail, TDO_FAIL_OPEN);
	assert_int_equal(c.rule_priority, 100);
	assert_int_equal(c.table, 1000);
	assert_string_equal(c.tun, "ipsec0");
	assert_int_equal(c.queue, 7);
	assert_string_equal(c.user, "_testudo");
	assert_true(c.access_gid_set);
	assert_int_equal(c.access_gid, 12);
	assert_int_equal(c.nsetkey, 2);
	assert_string_equal(c.setkey[0], "/etc/a b.conf");
	assert_string_equal(c.setkey[1], "/etc/c.conf");
	assert_int_equal(c.log, TDO_CONF_SYSLOG);
	assert_true(c.debug);
	tdo_conf_fini(&c);
}

static void
mistakes_are_named_with_their_line(void **state)
{
	static const struct {
		const char *text, *message;
	} t[] = {
	    {"\nworker 1\n", "t:2: unknown key 'worker'"},
	    {"workers\n", "t:1: 'workers' needs a value"},
	    {"workers   # 3\n", "t:1: 'workers' needs a value"},
	    {"workers 0\n", "t:1: 0 is not in the range 1 to 64"},
	    {"workers 65\n", "t:1: 65 is not in the range 1 to 64"},
	    {"workers -1\n", "t:1: '-1' is no number"},
	    {"workers 1x\n", "t:1: '1x' is no number"},
	    {"workers 0x\n", "t:1: '0x' is no number"},
	    {"workers 99999999999999999999\n",
		"t:1: 99999999999999999999 is not in the range 1 to 64"},
	    {"workers 1\n\nworkers 2\n", "t:3: 'workers' was set in line 1"},
	    {"busy-poll 1001\n", "t:1: 1001 is not in the range 0 to 1000"},
	    {"mark-mask 0x3\n", "t:1: the mask 0x3 has fewer than three bits"},
	    {"mark-mask 0x1ffffffff\n", "t:1: 0x1ffffffff is not in the range 1 to 4294967295"},
	    {"fail ajar\n", "t:1: 'ajar': closed or open is expected"},
	    {"rule-priority 0\n", "t:1: 0 is not in the range 1 to 32765"},
	    {"table 254\n", "t:1: table 254 is one of the system's own"},
	    {"tun a/b\n", "t:1: 'a/b' is no interface name"},
	    {"tun ..\n", "t:1: '..' is no interface name"},
	    {"tun 0123456789abcdef\n", "t:1: '0123456789abcdef' is no interface name"},
	    {"queue 65536\n", "t:1: 65536 is not in the range 0 to 65535"},
	    {"user 0123456789012345678901234567890123456789\n", "t:1: user name is too long"},
	    {"access-group no-such-group-here\n", "t:1: there is no group 'no-such-group-here'"},
	    {"log file\n", "t:1: 'file': stderr or syslog is expected"},
	    {"debug maybe\n", "t:1: 'maybe': no or yes is expected"},
	    {"setkey 1\nsetkey 2\nsetkey 3\nsetkey 4\nsetkey 5\nsetkey 6\nsetkey 7\nsetkey 8\n"
	     "setkey 9\n",
		"t:9: more than 8 setkey files"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_conf c;

		tdo_conf_init(&c);
		assert_int_equal(read_text(&c, t[i].text), -EINVAL);
		assert_string_equal(err, t[i].message);
		tdo_conf_fini(&c);
	}
}

static void
a_mistake_changes_nothing(void **state)
{
	struct tdo_conf c;

	(void)state;
	tdo_conf_init(&c);
	assert_int_equal(read_text(&c, "setkey first\nworkers 2\n"), 0);
	assert_int_equal(read_text(&c, "workers 3\nsetkey second\ntable 255\n"), -EINVAL);
	assert_int_equal(c.workers, 2);
	assert_int_equal(c.nsetkey, 1);
	assert_string_equal(c.setkey[0], "first");
	tdo_conf_fini(&c);
}

static void
nul_bytes_are_refused(void **state)
{
	static const char text[] = "workers 2\nfail closed\0 open\n";
	struct tdo_conf c;

	(void)state;
	tdo_conf_init(&c);
	assert_int_equal(read_len(&c, text, sizeof(text) - 1), -EINVAL);
	assert_string_equal(err, "t:2: NUL byte in line");
	tdo_conf_fini(&c);
}

static void
a_short_buffer_is_not_overrun(void **state)
{
	char small[8];
	struct tdo_conf c;
	char text[] = "nonsense 1\n";
	FILE *f = fmemopen(text, strlen(text), "r");

	(void)state;
	assert_non_null(f);
	tdo_conf_init(&c);
	memset(small, 'x', sizeof(small));
	assert_int_equal(tdo_conf_read(&c, f, "name", small, sizeof(small) - 1), -EINVAL);
	assert_string_equal(small, "name:1");
	assert_int_equal(small[7], 'x');
	fclose(f);
	tdo_conf_fini(&c);
}

static void
marks_are_the_lowest_bits_of_the_mask(void **state)
{
	struct tdo_marks m;

	(void)state;
	assert_true(tdo_marks_init(&m, 0x3ff00000));
	assert_int_equal(m.divert, 0x00100000);
	assert_int_equal(m.own, 0x00200000);
	assert_int_equal(m.own_clear, 0x00400000);
	assert_true(tdo_marks_init(&m, 0x80008010));
	assert_int_equal(m.divert, 0x10);
	assert_int_equal(m.own, 0x8000);
	assert_int_equal(m.own_clear, 0x80000000);
	assert_false(tdo_marks_init(&m, 0x80000001));
	assert_false(tdo_marks_init(&m, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_are_as_documented),
	    cmocka_unit_test(every_key_is_read),
	    cmocka_unit_test(mistakes_are_named_with_their_line),
	    cmocka_unit_test(a_mistake_changes_nothing),
	    cmocka_unit_test(nul_bytes_are_refused),
	    cmocka_unit_test(a_short_buffer_is_not_overrun),
	    cmocka_unit_test(marks_are_the_lowest_bits_of_the_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
