/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/child.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

extern char **environ;

static int
by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors above 2 that the data process does not need. */
static int
close_others(const struct tdo_data_env *env)
{
	enum { PER_WORKER = sizeof(struct tdo_worker_fds) / sizeof(int) };
	int keep[TDO_WORKERS_MAX * PER_WORKER + 3], n = 0, next = 3;

	for (unsigned i = 0; i < env->conf->workers; i++) {
		const struct tdo_worker_fds *w = &env->worker[i];

		memcpy(keep + n, w, sizeof(*w));
		n += PER_WORKER;
	}
	keep[n++] = env->ipc;
	keep[n++] = env->pfkey_listen;
	keep[n++] = env->ctl_listen;
	qsort(keep, (size_t)n, sizeof(keep[0]), by_number);
	for (int i = 0; i < n; i++) {
		if (keep[i] < next)
			continue;
		if (keep[i] > next && close_range((unsigned)next, (unsigned)keep[i] - 1, 0) != 0)
			return -errno;
		next = keep[i] + 1;
	}
	return close_range((unsigned)next, UINT_MAX, 0) == 0 ? 0 : -errno;
}

static void
reset_signals(void)
{
	sigset_t none;

	/* An interrupt key of the terminal is for the parent, which then stops us in order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t
tdo_child_data(const struct tdo_data_env *env)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	/* The parent may have died before prctl. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || close_others(env) < 0)
		_exit(EXIT_FAILURE);
	reset_signals();
	_exit(tdo_data_main(env));
}

/* Finds setkey beside this program, beside its build folder, or where it is installed. */
static void
find_setkey(char *path, size_t size)
{
	static const char *const places[] = {"setkey", "../setkey/setkey"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			int len = snprintf(path, size, "%s/%s", self, places[i]);

			if (len > 0 && (size_t)len < size && access(path, X_OK) == 0)
				return;
		}
	}
	snprintf(path, size, "%s", TDO_SBINDIR "/setkey");
}

pid_t
tdo_child_setkey(const char *file)
{
	char path[PATH_MAX + 32], name[] = "setkey", option[] = "-f", *copy = strdup(file);
	char *argv[] = {name, option, copy, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int r;

	if (!copy)
		return -ENOMEM;
	find_setkey(path, sizeof(path));
	sigemptyset(&none);
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		/* Ours are blocked for the signalfd. */
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
		(void)posix_spawnattr_setsigmask(&attr, &none);
		r = posix_spawn(&pid, path, NULL, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	free(copy);
	return r == 0 ? pid : -r;
}

int
tdo_child_listen(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd, e;

	if (n + 1 > sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path + 1, name, n);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		e = errno;
		close(fd);
		return -e;
	}
	return fd;
}
