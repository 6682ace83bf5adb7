/* SPDX-License-Identifier: BSD-2-Clause */
/* What people grep for: headings, a TAB, the number, the label with its protocol in front. */
#include "testudo/netstat_print.h"

#include <string.h>

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_int_t
count(const json_t *o)
{
	return json_integer_value(json_object_get(o, "count"));
}

/* The group is one of those that came with Fast IPsec; the others are older. */
static bool
is_fast(const json_t *group)
{
	return strncmp(text(group, "heading"), "IPsec ", 6) == 0;
}

/* "packet* dropped": the asterisk is the s of the plural. */
static void
print_label(FILE *f, const char *label, json_int_t n)
{
	for (; *label != '\0'; label++) {
		if (*label != '*')
			(void)fputc(*label, f);
		else if (n != 1)
			(void)fputc('s', f);
	}
	(void)fputc('\n', f);
}

static void
print_histogram(FILE *f, const json_t *group, const json_t *c)
{
	json_t *entries = json_object_get(c, "entries");
	const char *label = text(c, "label"), *end = strstr(label, " histogram");
	const json_t *e;
	size_t i;

	if (is_fast(group) || json_array_size(entries) > 0)
		(void)fprintf(f, "\t%s:\n", label);
	json_array_foreach(entries, i, e)
	{
		(void)fputs("\t\t", f);
		if (is_fast(group) && end != NULL)
			(void)fprintf(f, "%.*s packets with ", (int)(end - label), label);
		(void)fprintf(f, "%s: %" JSON_INTEGER_FORMAT "\n", text(e, "name"), count(e));
	}
}

/* Input and output stand on one line, which NetBSD prints only if there is something to say. */
static void
print_violations(FILE *f, const json_t *in, const json_t *out)
{
	json_int_t a = count(in), b = count(out);

	if (a + b != 0)
		(void)fprintf(f,
		    "\t%" JSON_INTEGER_FORMAT " policy violations: %" JSON_INTEGER_FORMAT
		    " input %" JSON_INTEGER_FORMAT " output\n",
		    a + b, a, b);
}

static void
print_group(FILE *f, const json_t *group, bool brief)
{
	json_t *counters = json_object_get(group, "counters");
	const json_t *c;
	size_t i;

	(void)fprintf(f, "%s:\n", text(group, "heading"));
	json_array_foreach(counters, i, c)
	{
		if (strcmp(text(c, "name"), "IN_POLVIO") == 0)
			print_violations(f, c, json_array_get(counters, ++i));
		else if (json_object_get(c, "slots") != NULL)
			print_histogram(f, group, c);
		else if (text(c, "label")[0] != '\0' && !(brief && count(c) == 0)) {
			(void)fprintf(
			    f, "\t%" JSON_INTEGER_FORMAT " %s", count(c), text(group, "prefix"));
			print_label(f, text(c, "label"), count(c));
		}
	}
}

static bool
is_wanted(const json_t *group, const char *protocol)
{
	const char *name = text(group, "group");

	if (protocol == NULL)
		return strcmp(name, "kame") != 0;
	if (strcmp(protocol, "ipsec") == 0)
		return strcmp(name, protocol) == 0 || is_fast(group);
	return strcmp(name, protocol) == 0;
}

bool
tdo_netstat_print(FILE *f, const json_t *answer, const char *protocol, bool brief)
{
	const json_t *groups = json_object_get(answer, "groups"), *g;
	bool found = false;
	size_t i;

	json_array_foreach(groups, i, g)
	{
		if (!is_wanted(g, protocol))
			continue;
		if (found)
			(void)fputc('\n', f);
		found = true;
		print_group(f, g, brief);
	}
	return found;
}
