/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of a statement that SAs and policies share: errors, numbers, addresses. */
#include "setkey/build.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "setkey/build_int.h"

/* Keys stay out of messages: quoted text, and hexadecimal longer than any number. */
static const char *
printable(const char *token)
{
	if (token[0] == '"')
		return "\"...\"";
	if (token[0] == '0' && (token[1] == 'x' || token[1] == 'X') && strlen(token) > 10)
		return "0x...";
	return token;
}

static void
set_error(
    struct parse_error *e, struct parse_pos at, const char *token, const char *fmt, va_list ap)
{
	e->pos = at;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	e->token[0] = '\0';
	if (token)
		snprintf(e->token, sizeof(e->token), "%s", printable(token));
}

bool
tdo_build_fail(struct parse *p, struct parse_pos at, const char *token, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_error(&p->error, at, token, fmt, ap);
	va_end(ap);
	return false;
}

bool
tdo_build_fail_text(struct parse *p, struct text t, const char *msg)
{
	tdo_build_fail(p, t.loc.first, t.s, "%s", msg);
	tdo_stmt_free(t.s);
	return false;
}

void
tdo_build_warn(struct parse *p, struct parse_pos at, const char *token, const char *msg)
{
	struct parse_error w = {.pos = at};

	if (!p->warn)
		return;
	snprintf(w.text, sizeof(w.text), "%s", msg);
	snprintf(w.token, sizeof(w.token), "%s", token);
	p->warn(p->ctx, &w);
}

bool
tdo_build_unsupported(struct parse *p, const struct parse_loc *loc, const char *what)
{
	return tdo_build_fail(p, loc->first, what, "not supported");
}

void
tdo_build_start(struct parse *p, enum stmt_kind kind, const struct parse_loc *loc)
{
	tdo_stmt_fini(&p->cur);
	p->ai = 0;
	p->cur.kind = kind;
	p->cur.line = loc->first.line;
	/* setkey(8): sequence numbers are cyclic unless -f nocyclic-seq is given. */
	if (kind == STMT_ADD || kind == STMT_UPDATE || kind == STMT_GETSPI)
		p->cur.sa.flags = TDO_SAF_CYCSEQ;
}

int
tdo_build_finish(struct parse *p)
{
	int r = p->take(p->ctx, &p->cur);

	tdo_stmt_fini(&p->cur);
	return r;
}

bool
tdo_build_family(struct parse *p, struct text flags)
{
	for (const char *c = flags.s + 1; *c; c++)
		p->ai |= *c == '4' ? NAMES_INET : *c == '6' ? NAMES_INET6 : NAMES_NUMERIC;
	tdo_stmt_free(flags.s);
	return true;
}

unsigned
tdo_build_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c = (char)(c | 0x20); /* lower case */
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

bool
tdo_build_number(struct text t, uint64_t max, uint64_t *ret)
{
	unsigned base = t.len > 2 && (t.s[1] == 'x' || t.s[1] == 'X') ? 16 : 10;
	uint64_t v = 0;

	for (size_t i = base == 16 ? 2 : 0; i < t.len; i++) {
		unsigned d = tdo_build_digit(t.s[i]);

		if (d >= base || v > (max - d) / base)
			return false;
		v = v * base + d;
	}
	*ret = v;
	return true;
}

bool
tdo_build_numbers(struct text t, uint64_t max, struct tdo_range *ret)
{
	size_t at = strcspn(t.s, "-");
	uint64_t lo, hi;

	if (at == 0 || at + 1 >= t.len || t.s[at] != '-' || strspn(t.s, "0123456789-") != t.len ||
	    !tdo_build_number((struct text){.s = t.s, .len = at}, max, &lo) ||
	    !tdo_build_number((struct text){.s = t.s + at + 1, .len = t.len - at - 1}, max, &hi) ||
	    lo > hi)
		return false;
	*ret = (struct tdo_range){(uint16_t)lo, (uint16_t)hi};
	return true;
}

bool
tdo_build_port(struct parse *p, struct text t, uint16_t *ret)
{
	uint64_t n;

	if (!t.s || strcmp(t.s, "any") == 0)
		n = 0;
	else if (t.s[0] >= '0' && t.s[0] <= '9' && tdo_build_number(t, 65535, &n))
		;
	else
		n = p->names->service(p->names->ctx, t.s);
	if (n == 0 && t.s && strcmp(t.s, "any") != 0 && strcmp(t.s, "0") != 0)
		return tdo_build_fail_text(p, t, "unknown port");
	tdo_stmt_free(t.s);
	*ret = (uint16_t)n;
	return true;
}

bool
tdo_build_host(struct parse *p, struct text t, struct stmt_addrs *ret)
{
	const char *msg;

	free(ret->v);
	*ret = (struct stmt_addrs){0};
	msg = p->names->host(p->names->ctx, t.s, p->ai, ret);
	if (msg)
		return tdo_build_fail_text(p, t, msg);
	tdo_stmt_free(t.s);
	return true;
}

bool
tdo_build_one_host(struct parse *p, struct text t, struct tdo_addr *ret)
{
	struct stmt_addrs set = {0};
	const char *msg = p->names->host(p->names->ctx, t.s, p->ai, &set);

	if (!msg && set.n != 1)
		msg = "multiple address specified";
	if (!msg)
		*ret = set.v[0];
	free(set.v);
	if (msg)
		return tdo_build_fail_text(p, t, msg);
	tdo_stmt_free(t.s);
	return true;
}
