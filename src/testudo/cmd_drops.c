/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo drops: which SAs and policies packets were dropped for, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testudo/cmd.h"
#include "testudo/drops_print.h"

int
tdo_cmd_drops(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	const char *kind = NULL;
	json_t *answer;
	int rc = EXIT_SUCCESS;

	if (argc == 2 && strcmp(argv[1], "sa") == 0)
		kind = "sas";
	else if (argc == 2 && strcmp(argv[1], "sp") == 0)
		kind = "policies";
	else if (argc != 1) {
		(void)fprintf(stderr, "usage: testudo [--json] drops [sa | sp]\n");
		return 2;
	}
	answer = tdo_cmd_ask_or_warn(json_pack("{s:s}", "op", "drops"));
	if (answer == NULL)
		return EXIT_FAILURE;
	if (o->json && kind != NULL) {
		const char *other = strcmp(kind, "sas") == 0 ? "policies" : "sas";

		(void)json_object_del(answer, other);
		(void)json_object_del(answer, other[0] == 's' ? "more-sas" : "more-policies");
	}
	if (o->json)
		rc = tdo_cmd_print_json(answer);
	else
		tdo_drops_print(stdout, answer, kind);
	json_decref(answer);
	return rc;
}
