/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo sysctl: speaks like sysctl(8) of the BSDs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testudo/cmd.h"
#include "testudo/sa.h"
#include "wire/pfkey_proto.h"

static void
print_knobs(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "knobs"), *k;
	size_t i;

	json_array_foreach(list, i, k)
	{
		if (json_object_get(k, "old") != NULL)
			printf("%s: %" JSON_INTEGER_FORMAT " -> %" JSON_INTEGER_FORMAT "\n",
			    tdo_cmd_str(k, "name"), tdo_cmd_int(k, "old"), tdo_cmd_int(k, "value"));
		else
			printf("%s = %" JSON_INTEGER_FORMAT "\n", tdo_cmd_str(k, "name"),
			    tdo_cmd_int(k, "value"));
	}
}

/* Appends the knobs of one answer to all. */
static int
collect(json_t *all, json_t *answer)
{
	int rc = json_array_extend(all, json_object_get(answer, "knobs"));

	json_decref(answer);
	return rc;
}

/* A request for "name" or "name=value"; NULL: the value is no number. */
static json_t *
request_for(const char *arg)
{
	const char *eq = strchr(arg, '=');
	char *end;
	long long v;

	if (eq == NULL)
		return json_pack("{s:s, s:s}", "op", "sysctl", "name", arg);
	errno = 0;
	v = strtoll(eq + 1, &end, 0);
	if (errno != 0 || end == eq + 1 || *end != '\0')
		return NULL;
	return json_pack("{s:s, s:s%, s:I}", "op", "sysctl", "name", arg, (size_t)(eq - arg),
	    "value", (json_int_t)v);
}

static int
ask_one(json_t *request, const char *arg, json_t *knobs)
{
	json_t *answer;

	if (request == NULL) {
		(void)fprintf(stderr, "testudo: %s: the value is not a number\n", arg);
		return EXIT_FAILURE;
	}
	answer = tdo_cmd_ask_or_warn(request);
	if (answer == NULL || collect(knobs, answer) != 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

/* net.key.dumpsa, net.key.dumpsa.N, net.key.dumpsp: what to ask for. */
static bool
dump_node(const char *name, uint8_t *ret_type, uint8_t *ret_satype)
{
	static const char sa[] = "net.key.dumpsa";
	unsigned long type;
	char *end;

	*ret_satype = TDO_SATYPE_UNSPEC;
	*ret_type = strcmp(name, "net.key.dumpsp") == 0 ? TDO_SADB_X_SPDDUMP : TDO_SADB_DUMP;
	if (*ret_type == TDO_SADB_X_SPDDUMP || strcmp(name, sa) == 0)
		return true;
	if (strncmp(name, sa, sizeof(sa) - 1) != 0 || name[sizeof(sa) - 1] != '.')
		return false;
	name += sizeof(sa);
	type = strtoul(name, &end, 10);
	*ret_satype = (uint8_t)type;
	return name[0] >= '0' && name[0] <= '9' && *end == '\0' && type <= UINT8_MAX;
}

/* Secrets go where they were asked for by name, and to nobody without the right. */
static int
dump_raw(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	uint8_t type, satype;
	json_t *answer;

	if (argc != 2 || o->json || o->all || !dump_node(argv[1], &type, &satype)) {
		(void)fputs("testudo: -b is for one of net.key.dumpsa, net.key.dumpsa.type and "
			    "net.key.dumpsp\n",
		    stderr);
		return 2;
	}
	/* The control server knows who may; policies alone the PF_KEY socket shows to anybody. */
	answer = tdo_cmd_ask_or_warn(request_for(argv[1]));
	if (answer == NULL)
		return EXIT_FAILURE;
	json_decref(answer);
	return tdo_cmd_dump(type, satype);
}

int
tdo_cmd_sysctl(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	json_t *knobs, *out;
	int rc = EXIT_SUCCESS;

	if (o->raw)
		return dump_raw(o, argc, argv);
	knobs = json_array();
	out = json_pack("{s:o}", "knobs", knobs);
	if (o->all || argc == 1)
		rc = ask_one(json_pack("{s:s}", "op", "sysctl"), "", knobs);
	for (int i = 1; i < argc; i++)
		if (ask_one(request_for(argv[i]), argv[i], knobs) != EXIT_SUCCESS)
			rc = EXIT_FAILURE;
	if (o->json && json_array_size(knobs) > 0) {
		if (tdo_cmd_print_json(out) != EXIT_SUCCESS)
			rc = EXIT_FAILURE;
	} else {
		print_knobs(out);
	}
	json_decref(out);
	return rc;
}
