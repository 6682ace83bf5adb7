/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo sysctl: takes the words of sysctl(8) and speaks as it does on NetBSD. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testudo/cmd.h"
#include "testudo/sa.h"
#include "wire/pfkey_proto.h"

enum { FILES_MAX = 16, LINE_MAX_LEN = 1024 };

struct options {
	bool all;           /* -a, -A, -X */
	bool raw;           /* -b: PF_KEY messages as they are */
	bool describe;      /* -d: what it means instead of the value */
	bool equals;        /* -e: name=value */
	bool ignore;        /* -i: unknown names are no errors */
	bool names, values; /* -N, -n: one of both only */
	bool quiet;         /* -q: nothing is said about what was set */
	bool type;          /* -t */
	bool writable;      /* -W: only what can be set */
	bool must_set;      /* -w: an argument without value is a mistake */
	bool hex;           /* -x */
	const char *file[FILES_MAX];
	unsigned nfiles;
};

struct run {
	const struct options *o;
	json_t *knobs; /* all answers */
	int status;
	bool gone; /* nobody answers */
};

/* ---- printing ----------------------------------------------------------------------- */

static void
print_number(const struct options *o, json_int_t v)
{
	if (o->hex)
		printf("0x%llx", (unsigned long long)(uint32_t)v);
	else
		printf("%" JSON_INTEGER_FORMAT, v);
}

static void
print_change(const struct options *o, const json_t *k)
{
	if (o->quiet)
		return;
	if (!o->values)
		printf("%s: ", tdo_cmd_str(k, "name"));
	print_number(o, tdo_cmd_int(k, "old"));
	fputs(" -> ", stdout);
	print_number(o, tdo_cmd_int(k, "value"));
	puts("");
}

static void
print_knob(const struct options *o, const json_t *k)
{
	const char *name = tdo_cmd_str(k, "name");

	if (json_object_get(k, "old") != NULL) {
		print_change(o, k);
		return;
	}
	if (o->names) {
		puts(name);
		return;
	}
	if (!o->values)
		printf("%s%s", name, o->equals ? "=" : o->describe || o->type ? ": " : " = ");
	if (o->describe)
		fputs(tdo_cmd_str(k, "help"), stdout);
	else if (o->type)
		fputs("integer", stdout);
	else
		print_number(o, tdo_cmd_int(k, "value"));
	puts("");
}

static bool
is_shown(const struct options *o, const json_t *k)
{
	/* Counters have no such member and cannot be set. */
	return !o->writable || json_is_false(json_object_get(k, "read-only"));
}

static void
print_all(const struct run *r)
{
	const json_t *k;
	size_t i;

	json_array_foreach(r->knobs, i, k) print_knob(r->o, k);
}

/* ---- asking ------------------------------------------------------------------------- */

static void
complain(struct run *r, const char *where, const char *what)
{
	(void)fprintf(stderr, "testudo: %s%s\n", where, what);
	r->status = EXIT_FAILURE;
}

/* An answer's settings join the others. */
static void
collect(struct run *r, json_t *answer)
{
	const json_t *list = json_object_get(answer, "knobs");
	json_t *k;
	size_t i;

	json_array_foreach(list, i, k) if (is_shown(r->o, k))(void) json_array_append(r->knobs, k);
	json_decref(answer);
}

static void
ask(struct run *r, json_t *request, const char *where, bool may_miss)
{
	const char *error;
	json_t *answer = tdo_cmd_call(request, &error);

	if (answer == NULL) {
		complain(r, "", error);
		r->gone = true;
		return;
	}
	error = json_string_value(json_object_get(answer, "error"));
	if (error == NULL) {
		collect(r, answer);
		return;
	}
	if (!may_miss || tdo_cmd_int(answer, "errno") != ENOENT)
		complain(r, where, error);
	json_decref(answer);
}

static char *
trim(char *s)
{
	char *end;

	s += strspn(s, " \t");
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

/* One "name", "name=value" or "name?=value" (NetBSD: an unknown name is no error). */
static void
handle(struct run *r, char *word, const char *where)
{
	char *eq = strchr(word, '='), *end, *value;
	bool may_miss = r->o->ignore;
	long long v;

	if (eq == NULL && r->o->must_set) {
		complain(r, where, "-w needs name=value");
		return;
	}
	if (eq == NULL) {
		ask(r, json_pack("{s:s, s:s}", "op", "sysctl", "name", word), where, may_miss);
		return;
	}
	*eq = '\0';
	value = trim(eq + 1);
	if (eq > word && eq[-1] == '?') {
		eq[-1] = '\0';
		may_miss = true;
	}
	errno = 0;
	v = strtoll(value, &end, 0);
	if (end == value || *end != '\0') {
		(void)fprintf(
		    stderr, "testudo: %s%s: '%s' is not a number\n", where, trim(word), value);
		r->status = EXIT_FAILURE;
		return;
	}
	/* What does not fit into 64 bits is at their end, and out of every range. */
	ask(r,
	    json_pack(
		"{s:s, s:s, s:I}", "op", "sysctl", "name", trim(word), "value", (json_int_t)v),
	    where, may_miss);
}

/* ---- files -------------------------------------------------------------------------- */

/* sysctl.conf(5): a setting a line, '#' begins a comment. */
static void
handle_line(struct run *r, char *line, const char *file, unsigned n)
{
	char where[160], *word;

	(void)snprintf(where, sizeof(where), "%s:%u: ", file, n);
	line[strcspn(line, "#")] = '\0';
	word = trim(line);
	if (*word != '\0')
		handle(r, word, where);
}

static void
handle_file(struct run *r, const char *name)
{
	FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
	char line[LINE_MAX_LEN];
	bool cut = false;

	if (f == NULL) {
		(void)fprintf(stderr, "testudo: %s: %s\n", name, strerror(errno));
		r->status = EXIT_FAILURE;
		return;
	}
	for (unsigned n = 1; !r->gone && fgets(line, sizeof(line), f) != NULL; n++) {
		cut = strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n';
		if (cut)
			break;
		handle_line(r, line, name, n);
	}
	if (cut || ferror(f)) {
		(void)fprintf(stderr, "testudo: %s: %s\n", name,
		    cut ? "a line is too long" : "cannot be read");
		r->status = EXIT_FAILURE;
	}
	if (f != stdin)
		(void)fclose(f);
}

/* ---- databases ---------------------------------------------------------------------- */

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
dump_raw(const struct tdo_cmd_opts *g, const struct options *o, int argc, char **argv)
{
	uint8_t type, satype;
	json_t *answer;

	if (argc != 1 || g->json || o->all || o->nfiles > 0 ||
	    !dump_node(argv[0], &type, &satype)) {
		(void)fputs("testudo: -b is for one of net.key.dumpsa, net.key.dumpsa.type and "
			    "net.key.dumpsp\n",
		    stderr);
		return 2;
	}
	/* The control server knows who may; policies alone the PF_KEY socket shows to anybody. */
	answer = tdo_cmd_ask_or_warn(json_pack("{s:s, s:s}", "op", "sysctl", "name", argv[0]));
	if (answer == NULL)
		return EXIT_FAILURE;
	json_decref(answer);
	return tdo_cmd_dump(type, satype);
}

/* ---- options ------------------------------------------------------------------------ */

/* False for an option that does not exist. */
static bool
take(struct options *o, int c)
{
	struct {
		int c;
		bool *flag;
	} flags[] = {{'a', &o->all}, {'A', &o->all}, {'b', &o->raw}, {'d', &o->describe},
	    {'e', &o->equals}, {'i', &o->ignore}, {'N', &o->names}, {'n', &o->values},
	    {'q', &o->quiet}, {'t', &o->type}, {'W', &o->writable}, {'w', &o->must_set},
	    {'X', &o->all}, {'x', &o->hex}};
	bool known = false;

	if (c == 'f' && o->nfiles < FILES_MAX) {
		o->file[o->nfiles++] = optarg;
		return true;
	}
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (flags[i].c != c)
			continue;
		*flags[i].flag = known = true;
	}
	if (c == 'X')
		o->hex = true;
	return known;
}

int
tdo_cmd_sysctl(const struct tdo_cmd_opts *g, int argc, char **argv)
{
	struct options o = {0};
	struct run r = {.o = &o, .status = EXIT_SUCCESS};
	json_t *out;
	int c;

	while ((c = getopt(argc, argv, "aAbdef:iNnqtWwXx")) != -1)
		if (!take(&o, c))
			return 2;
	argc -= optind;
	argv += optind;
	if (o.raw)
		return dump_raw(g, &o, argc, argv);
	r.knobs = json_array();
	out = json_pack("{s:o}", "knobs", r.knobs);
	if (o.all || (argc == 0 && o.nfiles == 0))
		ask(&r, json_pack("{s:s}", "op", "sysctl"), "", false);
	for (unsigned i = 0; i < o.nfiles && !r.gone; i++)
		handle_file(&r, o.file[i]);
	for (int i = 0; i < argc && !r.gone; i++)
		handle(&r, argv[i], "");
	if (!g->json)
		print_all(&r);
	else if (json_array_size(r.knobs) > 0 && tdo_cmd_print_json(out) != EXIT_SUCCESS)
		r.status = EXIT_FAILURE;
	json_decref(out);
	return r.status;
}
