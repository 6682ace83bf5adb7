/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of settings, and their names. */
#include "testudo/knob.h"

#include <errno.h>
#include <string.h>

#include "testudo/types.h"

static const struct tdo_knob_info infos[] = {
#define KNOB(id, name4, name6, def, min, max, help)                                                \
	[TDO_KNOB_##id] = {name4, name6, def, min, max, help, false, NULL},
#define KNOB_RO(id, name4, name6, value, help)                                                     \
	[TDO_KNOB_##id] = {name4, name6, value, value, value, help, true, NULL},
#define KNOB_FIXED(id, name4, name6, value, help, why)                                             \
	[TDO_KNOB_##id] = {name4, name6, value, value, value, help, false, why},
#include "testudo/knob.def"
#undef KNOB
};

struct spelling {
	const char *name; /* NULL: no such name */
	enum tdo_knob knob;
};

static const struct spelling spellings[] = {
#define KNOB(id, name4, name6, def, min, max, help) {name4, TDO_KNOB_##id}, {name6, TDO_KNOB_##id},
#include "testudo/knob.def"
#undef KNOB
#define KNOB(id, name4, name6, def, min, max, help)
#define KNOB_ALIAS(id, name) {name, TDO_KNOB_##id},
#include "testudo/knob.def"
#undef KNOB
};

static const char *const counters[] = {
#define KNOB(id, name4, name6, def, min, max, help)
#define KNOB_COUNTERS(name) name,
#include "testudo/knob.def"
#undef KNOB
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct tdo_knob_info *
tdo_knob_info(enum tdo_knob k)
{
	return &infos[k < TDO_KNOB_COUNT ? k : 0];
}

static uint8_t
family_of(const char *name)
{
	static const char six[] = "net.inet6.";

	return strncmp(name, six, sizeof(six) - 1) == 0 ? TDO_AF_INET6 : TDO_AF_INET;
}

int
tdo_knob_find(const char *name, enum tdo_knob *ret_knob, uint8_t *ret_af)
{
	for (size_t i = 0; i < COUNT(spellings); i++) {
		if (spellings[i].name == NULL || strcmp(spellings[i].name, name) != 0)
			continue;
		*ret_knob = spellings[i].knob;
		*ret_af = family_of(name);
		return 0;
	}
	return -ENOENT;
}

const char *
tdo_knob_next_name(unsigned *pos)
{
	while (*pos < COUNT(spellings)) {
		const char *name = spellings[(*pos)++].name;

		if (name)
			return name;
	}
	return NULL;
}

static bool
is_below(const char *name, const char *node)
{
	size_t n = strlen(node);

	return n == 0 || (strncmp(name, node, n) == 0 && name[n] == '.');
}

const char *
tdo_knob_name_below(enum tdo_knob k, uint8_t af, const char *node)
{
	bool shared = tdo_knob_info(k)->name6 == NULL;

	if (shared && af == TDO_AF_INET6)
		return NULL;
	for (size_t i = 0; i < COUNT(spellings); i++) {
		const struct spelling *s = &spellings[i];

		if (s->name && s->knob == k && (shared || family_of(s->name) == af) &&
		    is_below(s->name, node))
			return s->name;
	}
	return NULL;
}

bool
tdo_knob_is_counters(const char *name)
{
	for (size_t i = 0; i < COUNT(counters); i++)
		if (strcmp(counters[i], name) == 0)
			return true;
	return false;
}

/* ---- what was meant ----------------------------------------------------------------- */

enum { NAME_MAX = 64 };

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* How many characters are to be put in, left out or replaced (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX + 1], n = (unsigned)strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 0; a[i] != '\0'; i++) {
		unsigned before = row[0]++;

		for (unsigned j = 0; j < n; j++) {
			unsigned other = before + (a[i] != b[j]);

			before = row[j + 1];
			row[j + 1] = least(other, row[j] + 1, before + 1);
		}
	}
	return row[n];
}

static const char *
last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

const char *
tdo_knob_nearest(const char *name)
{
	unsigned pos = 0, best = UINT32_MAX, len = (unsigned)strlen(name);
	const char *known, *ret = NULL;

	if (len > NAME_MAX)
		return NULL;
	while ((known = tdo_knob_next_name(&pos)) != NULL) {
		unsigned d;

		/* In the wrong tree, or in none. */
		if (strcmp(last_part(known), last_part(name)) == 0)
			return known;
		d = strlen(known) <= NAME_MAX ? distance(name, known) : UINT32_MAX;
		if (d < best) {
			best = d;
			ret = known;
		}
	}
	return best <= 2 + len / 8 ? ret : NULL;
}
