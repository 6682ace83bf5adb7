/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking at the host: files and programs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testudo/report.h"

bool
tdo_probe_line(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (f == NULL)
		return false;
	ok = fgets(buf, (int)len, f) != NULL;
	(void)fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

long
tdo_probe_number(const char *fmt, const char *name)
{
	char path[128], line[64];
	const char *at = strchr(fmt, '@');
	int n;

	/* fmt has one '@' where the name goes. */
	n = at == NULL
		? snprintf(path, sizeof(path), "%s", fmt)
		: snprintf(path, sizeof(path), "%.*s%s%s", (int)(at - fmt), fmt, name, at + 1);
	if (n < 0 || (size_t)n >= sizeof(path) || !tdo_probe_line(path, line, sizeof(line)))
		return -1;
	return strtol(line, NULL, 10);
}

/* The child: standard output into the pipe, everything else to nowhere. */
static void
become(const char *const *argv, int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv}; /* execvp() does not change them, its prototype is old */

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDERR_FILENO);
	}
	(void)dup2(out, STDOUT_FILENO);
	(void)execvp(args.in[0], args.out);
	_exit(127);
}

json_t *
tdo_probe_json(const char *const *argv)
{
	json_t *j = NULL;
	int fds[2], status = -1;
	FILE *f;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return NULL;
	pid = fork();
	if (pid == 0)
		become(argv, fds[1]);
	(void)close(fds[1]);
	f = pid > 0 ? fdopen(fds[0], "r") : NULL;
	if (f != NULL) {
		j = json_loadf(f, 0, NULL);
		(void)fclose(f);
	} else {
		(void)close(fds[0]);
	}
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
		json_decref(j);
		j = NULL;
	}
	return j;
}
