/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/conf.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/data.h"
#include "daemon/marks.h"

/* What the setters get besides the value: where a message goes. */
struct where {
	const char *name;
	unsigned line;
	char *errbuf;
	size_t errlen;
};

static int __attribute__((format(printf, 2, 3)))
complain(const struct where *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(w->errbuf, w->errlen, "%s:%u: ", w->name, w->line);
	if (n >= 0 && (size_t)n < w->errlen) {
		va_start(ap, fmt);
		vsnprintf(w->errbuf + n, w->errlen - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

/* Decimal or, after 0x, hexadecimal; no sign, nothing behind it. */
static int
number(const struct where *w, const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, hex ? 16 : 10);
	if (!isdigit((unsigned char)s[0]) || *end != '\0')
		return complain(w, "'%s' is no number", s);
	if (errno == ERANGE || v < min || v > max)
		return complain(w, "%s is not in the range %u to %u", s, min, max);
	*ret = (uint32_t)v;
	return 0;
}

/* The index of s among the words, which end with NULL. */
static int
word(const struct where *w, const char *s, const char *const *words, int *ret)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(s, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return complain(w, "'%s': %s or %s is expected", s, words[0], words[1]);
}

static int
set_workers(struct tdo_conf *c, const char *v, const struct where *w)
{
	uint32_t n = 0;
	int r = number(w, v, 1, TDO_WORKERS_MAX, &n);

	if (r == 0)
		c->workers = n;
	return r;
}

static int
set_busy_poll(struct tdo_conf *c, const char *v, const struct where *w)
{
	return number(w, v, 0, 1000, &c->busy_poll);
}

static int
set_mark_mask(struct tdo_conf *c, const char *v, const struct where *w)
{
	struct tdo_marks m;
	uint32_t mask = 0;
	int r = number(w, v, 1, UINT32_MAX, &mask);

	if (r < 0)
		return r;
	if (!tdo_marks_init(&m, mask))
		return complain(w, "the mask %s has fewer than three bits", v);
	c->mark_mask = mask;
	return 0;
}

static int
set_fail(struct tdo_conf *c, const char *v, const struct where *w)
{
	static const char *const words[] = {"closed", "open", NULL};
	int i = 0, r = word(w, v, words, &i);

	if (r == 0)
		c->fail = i ? TDO_FAIL_OPEN : TDO_FAIL_CLOSED;
	return r;
}

static int
set_rule_priority(struct tdo_conf *c, const char *v, const struct where *w)
{
	/* 0 is the rule of the local table; 32766 the one of main, which must come later. */
	return number(w, v, 1, 32765, &c->rule_priority);
}

static int
set_table(struct tdo_conf *c, const char *v, const struct where *w)
{
	uint32_t n = 0;
	int r = number(w, v, 1, UINT32_MAX, &n);

	if (r < 0)
		return r;
	if (n >= 253 && n <= 255)
		return complain(w, "table %u is one of the system's own", n);
	c->table = n;
	return 0;
}

static int
set_tun(struct tdo_conf *c, const char *v, const struct where *w)
{
	size_t n = strlen(v);

	if (n >= sizeof(c->tun) || strcmp(v, ".") == 0 || strcmp(v, "..") == 0)
		return complain(w, "'%s' is no interface name", v);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)v[i]) && !strchr("._-", v[i]))
			return complain(w, "'%s' is no interface name", v);
	memset(c->tun, 0, sizeof(c->tun));
	memcpy(c->tun, v, n);
	return 0;
}

static int
set_queue(struct tdo_conf *c, const char *v, const struct where *w)
{
	uint32_t n = 0;
	int r = number(w, v, 0, UINT16_MAX, &n);

	if (r == 0)
		c->queue = (uint16_t)n;
	return r;
}

static int
set_user(struct tdo_conf *c, const char *v, const struct where *w)
{
	size_t n = strlen(v);

	if (n >= sizeof(c->user))
		return complain(w, "user name is too long");
	memset(c->user, 0, sizeof(c->user));
	memcpy(c->user, v, n);
	return 0;
}

static int
set_access_group(struct tdo_conf *c, const char *v, const struct where *w)
{
	const struct group *g = getgrnam(v);
	uint32_t gid = 0;
	int r;

	if (g) {
		c->access_gid = g->gr_gid;
	} else if (isdigit((unsigned char)v[0])) {
		r = number(w, v, 0, UINT32_MAX - 1, &gid);
		if (r < 0)
			return r;
		c->access_gid = gid;
	} else {
		return complain(w, "there is no group '%s'", v);
	}
	c->access_gid_set = 1;
	return 0;
}

static int
set_setkey(struct tdo_conf *c, const char *v, const struct where *w)
{
	if (c->nsetkey >= TDO_CONF_FILES_MAX)
		return complain(w, "more than %d setkey files", TDO_CONF_FILES_MAX);
	c->setkey[c->nsetkey] = strdup(v);
	if (!c->setkey[c->nsetkey])
		return complain(w, "out of memory");
	c->nsetkey++;
	return 0;
}

static int
set_log(struct tdo_conf *c, const char *v, const struct where *w)
{
	static const char *const words[] = {"stderr", "syslog", NULL};
	int i = 0, r = word(w, v, words, &i);

	if (r == 0)
		c->log = i ? TDO_CONF_SYSLOG : TDO_CONF_STDERR;
	return r;
}

static int
set_debug(struct tdo_conf *c, const char *v, const struct where *w)
{
	static const char *const words[] = {"no", "yes", NULL};
	int i = 0, r = word(w, v, words, &i);

	if (r == 0)
		c->debug = i;
	return r;
}

static const struct key {
	const char *name;
	int (*set)(struct tdo_conf *c, const char *value, const struct where *w);
	bool repeats;
} keys[] = {
    {"access-group", set_access_group, false},
    {"debug", set_debug, false},
    {"fail", set_fail, false},
    {"log", set_log, false},
    {"mark-mask", set_mark_mask, false},
    {"queue", set_queue, false},
    {"rule-priority", set_rule_priority, false},
    {"setkey", set_setkey, true},
    {"table", set_table, false},
    {"tun", set_tun, false},
    {"user", set_user, false},
    {"workers", set_workers, false},
    {"busy-poll", set_busy_poll, false},
};

#define NKEYS (sizeof(keys) / sizeof(keys[0]))

/* One line: "key value", where the value ends with the line; '#' starts a comment. */
static int
parse_line(struct tdo_conf *c, char *s, unsigned *seen, const struct where *w)
{
	char *value, *end;

	s[strcspn(s, "#\n")] = '\0';
	s += strspn(s, " \t\r");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r", end[-1]))
		*--end = '\0';
	if (*s == '\0')
		return 0;
	value = s + strcspn(s, " \t");
	if (*value != '\0') {
		*value++ = '\0';
		value += strspn(value, " \t");
	}
	for (size_t i = 0; i < NKEYS; i++) {
		if (strcmp(s, keys[i].name) != 0)
			continue;
		if (*value == '\0')
			return complain(w, "'%s' needs a value", s);
		if (!keys[i].repeats && seen[i] != 0)
			return complain(w, "'%s' was set in line %u", s, seen[i]);
		seen[i] = w->line;
		return keys[i].set(c, value, w);
	}
	return complain(w, "unknown key '%s'", s);
}

void
tdo_conf_init(struct tdo_conf *c)
{
	*c = (struct tdo_conf){.workers = 1,
	    .busy_poll = 100,
	    .mark_mask = 0x3ff00000,
	    .fail = TDO_FAIL_CLOSED,
	    .rule_priority = 10,
	    .table = 5800,
	    .tun = "testudo0",
	    .queue = 5800,
	    .user = "nobody",
	    .log = TDO_CONF_STDERR};
}

/* A copy with its own strings; false without memory. */
static bool
copy(struct tdo_conf *to, const struct tdo_conf *from)
{
	*to = *from;
	to->nsetkey = 0;
	for (unsigned i = 0; i < from->nsetkey; i++) {
		to->setkey[i] = strdup(from->setkey[i]);
		if (!to->setkey[i])
			return false;
		to->nsetkey++;
	}
	return true;
}

int
tdo_conf_read(struct tdo_conf *c, FILE *f, const char *name, char *errbuf, size_t errlen)
{
	struct where w = {name, 0, errbuf, errlen};
	unsigned seen[NKEYS] = {0};
	struct tdo_conf new;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int r = 0;

	if (!copy(&new, c))
		r = complain(&w, "out of memory");
	while (r == 0 && (n = getline(&line, &size, f)) >= 0) {
		w.line++;
		if (strlen(line) != (size_t)n)
			r = complain(&w, "NUL byte in line");
		else
			r = parse_line(&new, line, seen, &w);
	}
	free(line);
	if (r == 0 && ferror(f))
		r = complain(&w, "%s", strerror(errno));
	if (r < 0) {
		tdo_conf_fini(&new);
		return r;
	}
	tdo_conf_fini(c);
	*c = new;
	return 0;
}

void
tdo_conf_fini(struct tdo_conf *c)
{
	for (unsigned i = 0; i < c->nsetkey; i++)
		free(c->setkey[i]);
	c->nsetkey = 0;
}
