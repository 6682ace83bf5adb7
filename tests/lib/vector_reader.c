/* SPDX-License-Identifier: BSD-2-Clause */
#include "vector_reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void
fail(const struct vector_reader *r, const char *why)
{
	fprintf(stderr, "%s:%u: %s\n", r->path, r->line, why);
	abort();
}

void
vector_open(struct vector_reader *r, const char *name)
{
	const char *dir = getenv("TDO_VECTORS");

	memset(r, 0, sizeof(*r));
	snprintf(r->path, sizeof(r->path), "%s/%s", dir ? dir : "tests/vectors", name);
	r->file = fopen(r->path, "r");
	if (r->file == NULL)
		fail(r, "cannot be opened");
}

static void
clear(struct vector_reader *r)
{
	for (unsigned i = 0; i < r->nfields; i++) {
		free(r->field[i].name);
		free(r->field[i].value);
	}
	r->nfields = 0;
}

void
vector_close(struct vector_reader *r)
{
	clear(r);
	fclose(r->file);
}

/* Cuts white space off both ends. */
static char *
trim(char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	n = strlen(s);
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		s[--n] = '\0';
	return s;
}

static void
add_field(struct vector_reader *r, char *line)
{
	char *equals = strchr(line, '=');
	struct vector_field *f = &r->field[r->nfields];

	if (equals == NULL)
		fail(r, "neither a comment nor name = value");
	if (r->nfields == VECTOR_FIELDS_MAX)
		fail(r, "too many fields in a block");
	*equals = '\0';
	line = trim(line);
	if (vector_text(r, line) != NULL)
		fail(r, "field given twice in a block");
	if (r->nfields == 0)
		r->first = r->line;
	f->name = strdup(line);
	f->value = strdup(trim(equals + 1));
	if (f->name == NULL || f->value == NULL)
		fail(r, "out of memory");
	r->nfields++;
}

bool
vector_next(struct vector_reader *r)
{
	static char line[VECTOR_LINE_MAX];

	clear(r);
	while (fgets(line, sizeof(line), r->file)) {
		char *text;

		r->line++;
		if (strchr(line, '\n') == NULL)
			fail(r, "line too long or without end");
		text = trim(line);
		if (text[0] == '#')
			continue;
		if (text[0] != '\0')
			add_field(r, text);
		else if (r->nfields > 0)
			return true;
	}
	return r->nfields > 0;
}

const char *
vector_text(const struct vector_reader *r, const char *name)
{
	for (unsigned i = 0; i < r->nfields; i++)
		if (strcmp(r->field[i].name, name) == 0)
			return r->field[i].value;
	return NULL;
}

static unsigned
digit(const struct vector_reader *r, char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	if (at == NULL)
		fail(r, "not a hexadecimal number with whole bytes in this block");
	return (unsigned)(at - digits);
}

size_t
vector_hex(const struct vector_reader *r, const char *name, uint8_t *buf, size_t cap)
{
	const char *s = vector_text(r, name);
	size_t n = 0;

	for (; s && *s; s += 2) {
		if (n == cap)
			fail(r, "value too long in this block");
		buf[n] = (uint8_t)(digit(r, s[0]) << 4);
		buf[n++] |= (uint8_t)digit(r, s[1]);
	}
	return n;
}
