/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo stats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testudo/cmd.h"
#include "testudo/drops_print.h"

#define NUM "%12" JSON_INTEGER_FORMAT

static void
print_head(const json_t *s)
{
	const json_t *drivers = json_object_get(s, "drivers"), *d;
	size_t i;

	printf("testudod %s, up %" JSON_INTEGER_FORMAT " s, %" JSON_INTEGER_FORMAT
	       " worker(s), %" JSON_INTEGER_FORMAT " SA(s), %" JSON_INTEGER_FORMAT
	       " policies; crypto:",
	    tdo_cmd_str(s, "version"), tdo_cmd_int(s, "uptime"), tdo_cmd_int(s, "workers"),
	    tdo_cmd_int(s, "sas"), tdo_cmd_int(s, "policies"));
	json_array_foreach(drivers, i, d) printf(" %s", json_string_value(d));
	puts("");
	if (json_is_true(json_object_get(s, "recovering")))
		puts("recovering from a crash: nothing passes in clear until policies are loaded");
}

/* The counters of one group, with its name above them. */
static void
print_group(const json_t *list, const char *group, bool all)
{
	bool named = false;
	const json_t *c;
	size_t i;

	json_array_foreach(list, i, c)
	{
		if (strcmp(group, tdo_cmd_str(c, "group")) != 0 ||
		    (tdo_cmd_int(c, "count") == 0 && !all))
			continue;
		if (!named)
			printf("%s:\n", group);
		named = true;
		printf("  " NUM " %s\n", tdo_cmd_int(c, "count"), tdo_cmd_str(c, "text"));
	}
}

static void
print_counters(const json_t *s, bool all)
{
	const json_t *list = json_object_get(s, "counters"), *c, *earlier;
	size_t i, k;

	json_array_foreach(list, i, c)
	{
		/* Groups in the order in which they first appear. */
		for (k = 0; k < i; k++) {
			earlier = json_array_get(list, k);
			if (strcmp(tdo_cmd_str(earlier, "group"), tdo_cmd_str(c, "group")) == 0)
				break;
		}
		if (k == i)
			print_group(list, tdo_cmd_str(c, "group"), all);
	}
}

static void
print_io(const json_t *s, bool all)
{
	json_t *list = json_object_get(s, "io");
	const json_t *c;
	const char *name;

	puts("calls:            calls      packets    pkts/call       errors");
	json_object_foreach(list, name, c)
	{
		if (tdo_cmd_int(c, "calls") == 0 && tdo_cmd_int(c, "errors") == 0 && !all)
			continue;
		printf("  %-10s " NUM " " NUM " %12.1f " NUM "  %s\n", name,
		    tdo_cmd_int(c, "calls"), tdo_cmd_int(c, "packets"),
		    json_real_value(json_object_get(c, "packets-per-call")),
		    tdo_cmd_int(c, "errors"), tdo_cmd_str(c, "text"));
	}
}

static void
print_drops(const json_t *s, bool all)
{
	const json_t *list = json_object_get(s, "drops"), *d;
	bool none = true;
	size_t i;

	puts("dropped packets:");
	json_array_foreach(list, i, d)
	{
		if (tdo_cmd_int(d, "count") == 0 && !all)
			continue;
		none = false;
		printf("  " NUM " %s: %s\n", tdo_cmd_int(d, "count"), tdo_cmd_str(d, "name"),
		    tdo_cmd_str(d, "text"));
		printf("               remedy: %s\n", tdo_cmd_str(d, "remedy"));
		tdo_last_print(stdout, json_object_get(d, "last"));
	}
	if (none)
		puts("             0");
}

static void
print_attachment(const json_t *s)
{
	const json_t *a = json_object_get(s, "attachment");

	puts("attachment:");
	printf("  " NUM " selectors diverted ("
	       "%" JSON_INTEGER_FORMAT " made coarser)\n",
	    tdo_cmd_int(a, "cover-entries"), tdo_cmd_int(a, "cover-coarsened"));
	printf("  " NUM " clear inbound packets queued by the kernel\n", tdo_cmd_int(a, "queued"));
	printf("  " NUM " rules, routes or tables put back after others removed them\n",
	    tdo_cmd_int(a, "repairs"));
	printf("  " NUM " restarts of the data process\n", tdo_cmd_int(a, "restarts"));
}

int
tdo_cmd_stats(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	json_t *s;
	int rc = EXIT_SUCCESS;

	if (argc != 1) {
		(void)fprintf(stderr, "testudo: stats takes no argument\n");
		return 2;
	}
	s = tdo_cmd_ask_or_warn(json_pack("{s:s}", "op", "stats"));
	if (s == NULL)
		return EXIT_FAILURE;
	if (o->json) {
		rc = tdo_cmd_print_json(s);
	} else {
		print_head(s);
		print_counters(s, o->all);
		print_io(s, o->all);
		print_attachment(s);
		print_drops(s, o->all);
	}
	json_decref(s);
	return rc;
}
