/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo netstat: the counters under the names of the BSDs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testudo/cmd.h"
#include "testudo/netstat_print.h"

/* Leaves the one group in the answer. */
static bool
select_group(json_t *answer, const char *protocol)
{
	json_t *groups = json_object_get(answer, "groups");

	for (size_t i = json_array_size(groups); i-- > 0;)
		if (strcmp(tdo_cmd_str(json_array_get(groups, i), "group"), protocol) != 0)
			(void)json_array_remove(groups, i);
	return json_array_size(groups) > 0;
}

static int
usage(void)
{
	(void)fprintf(stderr, "usage: testudo [--json] netstat [-s [-s]] [-p protocol]\n"
			      "protocols: ipsec ah esp ipip ipcomp pfkey kame\n");
	return 2;
}

/* The answer, or one protocol of it. */
static bool
print(const struct tdo_cmd_opts *o, json_t *answer, const char *protocol, bool brief)
{
	if (!o->json)
		return tdo_netstat_print(stdout, answer, protocol, brief);
	if (protocol != NULL && !select_group(answer, protocol))
		return false;
	return tdo_cmd_print_json(answer) == EXIT_SUCCESS;
}

int
tdo_cmd_netstat(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	const char *protocol = NULL;
	json_t *answer;
	int opt, times = 0;
	bool ok;

	opterr = 0;
	while ((opt = getopt(argc, argv, "sp:")) != -1) {
		if (opt == 's')
			times++;
		else if (opt == 'p')
			protocol = optarg;
		else
			return usage();
	}
	if (optind != argc)
		return usage();
	answer = tdo_cmd_ask_or_warn(json_pack("{s:s}", "op", "netstat"));
	if (answer == NULL)
		return EXIT_FAILURE;
	ok = print(o, answer, protocol, times > 1);
	json_decref(answer);
	if (!ok && protocol != NULL)
		(void)fprintf(stderr, "testudo: netstat: %s: unknown protocol\n", protocol);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
