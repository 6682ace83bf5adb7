/* SPDX-License-Identifier: BSD-2-Clause */
/* The cage holds: children enter it and try what they must not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sandbox.h"

enum { LET = 10, REFUSED = 11 };

/* Runs what in the cage: its exit status, or minus the signal that killed it. */
static int
in_cage(int (*what)(void), bool seal)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct tdo_sandbox sb;

		if (tdo_sandbox_drop(65534, 65534, &sb) != 0)
			_exit(1);
		if (seal && tdo_sandbox_seal(&sb) != 0)
			_exit(2);
		if (seal && !sb.seccomp)
			_exit(3);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int
open_file(void)
{
	return open("/etc/hostname", O_RDONLY) < 0 && errno == EACCES ? REFUSED : LET;
}

static int
make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? REFUSED : LET;
}

static int
make_child(void)
{
	return fork() < 0 ? REFUSED : LET;
}

static int
trace(void)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0) < 0 ? REFUSED : LET;
}

static int
become_root(void)
{
	return setuid(0) != 0 ? REFUSED : LET;
}

static int
use_pipe(void)
{
	return write(STDERR_FILENO, "", 0) == 0 && malloc(1 << 22) != NULL ? LET : REFUSED;
}

static int
dumpable(void)
{
	return prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? REFUSED
											  : LET;
}

static int
has_capability(void)
{
	for (int cap = 0; cap < 40; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && geteuid() == 0)
			return LET;
	return REFUSED;
}

struct thread_arg {
	int gate, result;
};

static void *
open_behind_gate(void *arg)
{
	struct thread_arg *a = arg;
	char c;

	a->result = read(a->gate, &c, 1) == 1 ? open_file() : LET;
	return NULL;
}

/* A thread that is older than the filter. */
static int
old_thread(void)
{
	struct thread_arg a = {0};
	struct tdo_sandbox sb = {0};
	pthread_t t;
	int p[2];

	if (pipe(p) != 0)
		return 1;
	a.gate = p[0];
	if (pthread_create(&t, NULL, open_behind_gate, &a) != 0 || tdo_sandbox_seal(&sb) != 0 ||
	    write(p[1], "", 1) != 1 || pthread_join(t, NULL) != 0)
		return 2;
	return a.result;
}

static void
files_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(in_cage(open_file, true), REFUSED);
}

static void
what_is_needed_works(void **state)
{
	(void)state;
	assert_int_equal(in_cage(use_pipe, true), LET);
}

static void
all_threads_are_caged(void **state)
{
	(void)state;
	assert_int_equal(in_cage(old_thread, false), REFUSED);
}

static void
other_calls_kill(void **state)
{
	(void)state;
	assert_int_equal(in_cage(make_socket, true), -SIGSYS);
	assert_int_equal(in_cage(make_child, true), -SIGSYS);
	assert_int_equal(in_cage(trace, true), -SIGSYS);
	assert_int_equal(in_cage(become_root, true), -SIGSYS);
}

static void
privileges_are_gone_before(void **state)
{
	(void)state;
	assert_int_equal(in_cage(dumpable, false), REFUSED);
	assert_int_equal(in_cage(has_capability, false), REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_out_of_reach),
	    cmocka_unit_test(what_is_needed_works),
	    cmocka_unit_test(all_threads_are_caged),
	    cmocka_unit_test(other_calls_kill),
	    cmocka_unit_test(privileges_are_gone_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
