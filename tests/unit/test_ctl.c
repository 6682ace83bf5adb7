/* SPDX-License-Identifier: BSD-2-Clause */
/* Control protocol: cutting, joining, calling. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/ctl.h"

static void
round_trip(size_t len)
{
	char *text = malloc(len + 1), buf[TDO_CTL_CHUNK];
	struct tdo_ctl_answer a = {0};
	size_t off = 0;

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 26);
	while (!a.complete) {
		size_t n = tdo_ctl_chunk(text, len, &off, buf);

		assert_true(n <= TDO_CTL_CHUNK);
		assert_int_equal(tdo_ctl_collect(&a, buf, n), 0);
	}
	assert_int_equal(off, len);
	assert_int_equal(a.len, len);
	if (len > 0)
		assert_memory_equal(a.text, text, len);
	assert_int_equal(tdo_ctl_collect(&a, buf, 1), -EPROTO); /* after the last */
	tdo_ctl_answer_fini(&a);
	free(text);
}

static void
answers_of_any_length(void **state)
{
	(void)state;
	round_trip(0);
	round_trip(1);
	round_trip(TDO_CTL_CHUNK - 1);
	round_trip(TDO_CTL_CHUNK);
	round_trip(5 * TDO_CTL_CHUNK);
}

static void
nonsense_is_refused(void **state)
{
	struct tdo_ctl_answer a = {0};
	static char big[TDO_CTL_CHUNK];
	int rc = 0;

	(void)state;
	assert_int_equal(tdo_ctl_collect(&a, "", 0), -EPROTO);
	assert_int_equal(tdo_ctl_collect(&a, "x{}", 3), -EPROTO);
	memset(big, TDO_CTL_MORE, sizeof(big));
	for (unsigned i = 0; i < 1000 && rc == 0; i++)
		rc = tdo_ctl_collect(&a, big, sizeof(big));
	assert_int_equal(rc, -EMSGSIZE);
	tdo_ctl_answer_fini(&a);
}

/* Calls a server that answers with these datagrams and then hangs up. */
static int
call(const char *const *dgrams, json_t **ret)
{
	json_t *q = json_pack("{s:s}", "op", "status");
	char buf[100];
	int s[2], rc, status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
	pid = fork();
	if (pid == 0) {
		ssize_t n = recv(s[1], buf, sizeof(buf), 0);

		for (; n > 0 && *dgrams != NULL; dgrams++)
			n = send(s[1], *dgrams, strlen(*dgrams), 0);
		_exit(n > 0 ? 0 : 1);
	}
	(void)close(s[1]);
	rc = tdo_ctl_call(s[0], q, ret);
	(void)close(s[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	json_decref(q);
	return rc;
}

static void
call_joins_and_checks(void **state)
{
	json_t *j = NULL;

	(void)state;
	assert_int_equal(call((const char *[]){"+{\"a\":", ".1}", NULL}, &j), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "a")), 1);
	json_decref(j);
	assert_int_equal(call((const char *[]){"+{\"a\":", NULL}, &j), -ECONNRESET);
	assert_int_equal(call((const char *[]){".[1]", NULL}, &j), -EPROTO);
	assert_int_equal(call((const char *[]){".{", NULL}, &j), -EPROTO);
	assert_int_equal(call((const char *[]){"?{}", NULL}, &j), -EPROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_of_any_length),
	    cmocka_unit_test(nonsense_is_refused),
	    cmocka_unit_test(call_joins_and_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
