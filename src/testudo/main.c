/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo(8): the operator's tool. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/ctl.h"
#include "ipc/names.h"
#include "testudo/cmd.h"

static const char usage[] =
    "usage: testudo [--json] stats [--all]\n"
    "       testudo [--json] drops [sa | sp]\n"
    "       testudo [--json] netstat [-s [-s]] [-p protocol]\n"
    "       testudo [--json] sysctl [-adeiNnqtWwx] [-f file] [name[=value] ...]\n"
    "       testudo sysctl -b net.key.dumpsa[.type] | net.key.dumpsp\n"
    "       testudo [--json] doctor\n"
    "       testudo version\n"
    "\n"
    "stats    counters, dropped packets with their reasons and what to do about them\n"
    "drops    the SAs and policies for which packets were dropped, and why\n"
    "netstat  counters under their BSD names, as netstat -s has them; -ss: without zeros\n"
    "sysctl   settings under their BSD names\n"
    "doctor   checks the host and the daemon; exit status 1 when something is wrong\n";

static const struct {
	const char *name;
	int (*run)(const struct tdo_cmd_opts *o, int argc, char **argv);
	bool own_options; /* those behind its name, except --json, are its own business */
} commands[] = {
    {"drops", tdo_cmd_drops, false},
    {"netstat", tdo_cmd_netstat, true},
    {"stats", tdo_cmd_stats, false},
    {"sysctl", tdo_cmd_sysctl, true},
    {"doctor", tdo_cmd_doctor, false},
};

enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

json_t *
tdo_cmd_call(json_t *request, const char **ret_error)
{
	static char error[256];
	json_t *answer = NULL;
	int fd = tdo_ipc_connect(TDO_CTL_NAME), rc = fd < 0 ? fd : 0;

	if (fd >= 0) {
		rc = tdo_ctl_call(fd, request, &answer);
		(void)close(fd);
	}
	json_decref(request);
	if (rc == 0)
		return answer;
	if (rc == -ECONNREFUSED)
		(void)snprintf(
		    error, sizeof(error), "testudod does not run in this network namespace");
	else
		(void)snprintf(error, sizeof(error), "testudod: %s", strerror(-rc));
	*ret_error = error;
	return NULL;
}

json_t *
tdo_cmd_ask(json_t *request, const char **ret_error)
{
	static char error[512];
	json_t *answer = tdo_cmd_call(request, ret_error);
	const char *refused = json_string_value(json_object_get(answer, "error"));

	if (refused == NULL)
		return answer;
	(void)snprintf(error, sizeof(error), "%s", refused);
	json_decref(answer);
	*ret_error = error;
	return NULL;
}

json_t *
tdo_cmd_ask_or_warn(json_t *request)
{
	const char *error;
	json_t *answer = tdo_cmd_ask(request, &error);

	if (answer == NULL)
		(void)fprintf(stderr, "testudo: %s\n", error);
	return answer;
}

int
tdo_cmd_print_json(const json_t *j)
{
	if (json_dumpf(j, stdout, JSON_INDENT(2)) != 0 || puts("") == EOF)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

json_int_t
tdo_cmd_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

const char *
tdo_cmd_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static bool
has_own_options(const char *command)
{
	for (unsigned i = 0; i < NCOMMANDS; i++)
		if (strcmp(command, commands[i].name) == 0)
			return commands[i].own_options;
	return false;
}

/* Takes options out of argv, wherever they stand; -1 for one that does not exist. */
static int
take_options(struct tdo_cmd_opts *o, int argc, char **argv)
{
	bool own = false;
	int n = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			o->json = true;
		else if (!own && (strcmp(argv[i], "-a") == 0 || strcmp(argv[i], "--all") == 0))
			o->all = true;
		else if (!own && argv[i][0] == '-' && strcmp(argv[i], "--version") != 0 &&
			 strcmp(argv[i], "--help") != 0)
			return -1;
		else
			argv[n++] = argv[i];
		own = own || (n == 1 && has_own_options(argv[0]));
	}
	argv[n] = NULL;
	return n;
}

static int
print_version(void)
{
	int n = printf("testudo %s\n", TDO_VERSION);

	if (n > 0 && TDO_WITH[0] != '\0')
		n = printf("with: %s\n", TDO_WITH);
	if (n > 0 && TDO_WITHOUT[0] != '\0')
		n = printf("without: %s\n", TDO_WITHOUT);
	return n < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct tdo_cmd_opts o = {0};
	int n = take_options(&o, argc - 1, argv + 1);

	argv++;
	if (n == 1 && (strcmp(argv[0], "version") == 0 || strcmp(argv[0], "--version") == 0))
		return print_version();
	if (n == 1 && (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0))
		return fputs(usage, stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
	for (unsigned i = 0; n > 0 && i < NCOMMANDS; i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(&o, n, argv);
	(void)fputs(usage, stderr);
	return 2;
}
