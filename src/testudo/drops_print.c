/* SPDX-License-Identifier: BSD-2-Clause */
#include "testudo/drops_print.h"

#include <string.h>

#define INT  "%" JSON_INTEGER_FORMAT
#define NUM  "%12" JSON_INTEGER_FORMAT
#define BACK "               " /* as wide as a number in front of its text */

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_int_t
number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

void
tdo_last_print(FILE *f, const json_t *last)
{
	if (!json_is_object(last))
		return;
	(void)fprintf(f, BACK "last: %s -> %s protocol " INT, text(last, "src"), text(last, "dst"),
	    number(last, "proto"));
	if (json_object_get(last, "sport") != NULL)
		(void)fprintf(
		    f, " ports " INT " -> " INT, number(last, "sport"), number(last, "dport"));
	if (json_object_get(last, "spi") != NULL)
		(void)fprintf(
		    f, " spi 0x%08x seq " INT, (unsigned)number(last, "spi"), number(last, "seq"));
	(void)fprintf(f, ", " INT " s ago\n", number(last, "seconds-ago"));
}

static void
print_reasons(FILE *f, const json_t *of)
{
	json_t *reasons = json_object_get(of, "reasons");
	const json_t *r;
	size_t i;

	json_array_foreach(reasons, i, r)
	{
		(void)fprintf(
		    f, "  " NUM " %s: %s\n", number(r, "count"), text(r, "name"), text(r, "text"));
		(void)fprintf(f, BACK "remedy: %s\n", text(r, "remedy"));
		tdo_last_print(f, json_object_get(r, "last"));
	}
}

static void
print_sas(FILE *f, const json_t *answer)
{
	json_t *sas = json_object_get(answer, "sas");
	const json_t *sa;
	size_t i;

	json_array_foreach(sas, i, sa)
	{
		/* The words of setkey's statements about it. */
		(void)fprintf(f, "SA %s %s %s 0x%08x: " INT " dropped\n", text(sa, "src"),
		    text(sa, "dst"), text(sa, "satype"), (unsigned)number(sa, "spi"),
		    number(sa, "drops"));
		print_reasons(f, sa);
	}
	if (number(answer, "more-sas") > 0)
		(void)fprintf(
		    f, "and " INT " more SAs with fewer drops\n", number(answer, "more-sas"));
}

static void
print_policies(FILE *f, const json_t *answer)
{
	json_t *policies = json_object_get(answer, "policies");
	const json_t *p;
	size_t i;

	json_array_foreach(policies, i, p)
	{
		(void)fprintf(f, "policy " INT " %s %s %s ", number(p, "id"), text(p, "dir"),
		    text(p, "src"), text(p, "dst"));
		if (number(p, "proto") == 255)
			(void)fputs("any", f);
		else
			(void)fprintf(f, INT, number(p, "proto"));
		(void)fprintf(f, ": " INT " dropped\n", number(p, "drops"));
		print_reasons(f, p);
	}
	if (number(answer, "more-policies") > 0)
		(void)fprintf(f, "and " INT " more policies with fewer drops\n",
		    number(answer, "more-policies"));
}

void
tdo_drops_print(FILE *f, const json_t *answer, const char *kind)
{
	if (kind == NULL || strcmp(kind, "sas") == 0)
		print_sas(f, answer);
	if (kind == NULL || strcmp(kind, "policies") == 0)
		print_policies(f, answer);
	if (number(answer, "unattributed") > 0)
		(void)fprintf(f,
		    INT " drops of too many SAs and policies to name them all; "
			"'testudo stats' has the reasons\n",
		    number(answer, "unattributed"));
}
