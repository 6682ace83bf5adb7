/* SPDX-License-Identifier: BSD-2-Clause */
/* Parser and printer of the policy language; policy_text.h has the grammar. */
#include "wire/policy_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"

/* Priorities as PF_KEY stores them: the value that the user means, taken from this. */
#define PRIO_BASE  0x80000000u
#define PRIO_STEP  0x40000000 /* distance of "low" and "high" from "def" */
#define REQID_16   0xffffu    /* above it are numbers of users again */
#define PROTO_ESP  50
#define PROTO_AH   51
#define PROTO_COMP 108

struct word {
	const char *name;
	uint8_t value;
};

static const struct word dirs[] = {{"in", TDO_DIR_IN}, {"out", TDO_DIR_OUT}};
static const struct word types[] = {{"discard", TDO_POLICY_DISCARD}, {"none", TDO_POLICY_NONE},
    {"ipsec", TDO_POLICY_IPSEC}, {"entrust", TDO_POLICY_ENTRUST}, {"bypass", TDO_POLICY_BYPASS}};
static const struct word protos[] = {{"esp", PROTO_ESP}, {"ah", PROTO_AH}, {"ipcomp", PROTO_COMP}};
static const struct word modes[] = {{"transport", TDO_MODE_TRANSPORT}, {"tunnel", TDO_MODE_TUNNEL}};
static const struct word levels[] = {{"default", TDO_LEVEL_DEFAULT}, {"use", TDO_LEVEL_USE},
    {"require", TDO_LEVEL_REQUIRE}, {"unique", TDO_LEVEL_UNIQUE}};

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* A piece of the text being parsed. */
struct tok {
	const char *s;
	size_t len;
};

struct cur {
	const char *s;
	size_t len, at;
	struct tdo_policy_text_err *err;
};

static int
fail(struct cur *c, size_t at, size_t len, const char *text)
{
	*c->err = (struct tdo_policy_text_err){.text = text, .at = at, .len = len};
	return -EINVAL;
}

static int
fail_tok(struct cur *c, struct tok t, const char *text)
{
	return fail(c, (size_t)(t.s - c->s), t.len, text);
}

static bool
is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static void
skip_blanks(struct cur *c)
{
	while (c->at < c->len && is_blank(c->s[c->at]))
		c->at++;
}

/* The bytes up to a blank, one of stop, or the end. */
static struct tok
take(struct cur *c, const char *stop)
{
	struct tok t = {.s = c->s + c->at};

	while (c->at < c->len && !is_blank(c->s[c->at]) &&
	       (c->s[c->at] == '\0' || !strchr(stop, c->s[c->at])))
		c->at++;
	t.len = (size_t)(c->s + c->at - t.s);
	return t;
}

static bool
accept(struct cur *c, char ch)
{
	if (c->at >= c->len || c->s[c->at] != ch)
		return false;
	c->at++;
	return true;
}

static bool
tok_is(struct tok t, const char *name)
{
	return t.len == strlen(name) && memcmp(t.s, name, t.len) == 0;
}

static bool
find(const struct word *w, size_t n, struct tok t, uint8_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (tok_is(t, w[i].name)) {
			*ret = w[i].value;
			return true;
		}
	return false;
}

static const char *
name_of(const struct word *w, size_t n, unsigned value)
{
	for (size_t i = 0; i < n; i++)
		if (w[i].value == value)
			return w[i].name;
	return NULL;
}

/* A decimal number up to max. */
static bool
number(struct tok t, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (t.len == 0)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.s[i] < '0' || t.s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(t.s[i] - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

static bool
starts_number(const struct cur *c)
{
	return c->at < c->len && c->s[c->at] >= '0' && c->s[c->at] <= '9';
}

/* "+ N" or "- N" after a base, blanks optional. */
static int
parse_offset(struct cur *c, int64_t *value)
{
	static const char range[] = "priority offset is not in the valid range";
	size_t before = c->at;
	bool minus;
	uint64_t n;
	struct tok t;

	skip_blanks(c);
	minus = accept(c, '-');
	if (!minus && !accept(c, '+')) {
		c->at = before;
		return 0;
	}
	skip_blanks(c);
	t = take(c, "+-");
	if (!number(t, minus ? PRIO_STEP : PRIO_STEP - 1, &n))
		return fail_tok(c, t,
		    starts_number(&(struct cur){.s = t.s, .len = t.len}) ? range : "syntax error");
	*value += minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

/* What follows the word prio. */
static int
parse_prio(struct cur *c, struct tdo_sp_param *sp)
{
	static const char range[] = "priority is not in the valid range";
	int64_t value = 0;
	struct tok t;
	bool minus;
	uint64_t n;
	int r;

	skip_blanks(c);
	minus = accept(c, '-');
	if (minus || starts_number(c)) {
		t = take(c, "");
		if (!number(t, minus ? 0x7fffffff : 0x80000000, &n))
			return fail_tok(c, t, range);
		value = minus ? -(int64_t)n : (int64_t)n;
	} else {
		t = take(c, "+-");
		if (tok_is(t, "low"))
			value = -PRIO_STEP;
		else if (tok_is(t, "high"))
			value = PRIO_STEP;
		else if (!tok_is(t, "def"))
			return fail_tok(c, t, "syntax error");
		r = parse_offset(c, &value);
		if (r != 0)
			return r;
	}
	if (value < -0x7fffffffLL)
		return fail_tok(c, t, range);
	/* The very highest would be 0, which means "none given". */
	sp->prio = value == 0x80000000LL ? 1 : (uint32_t)((int64_t)PRIO_BASE - value);
	return 0;
}

/* "[port]" after an address. */
static int
parse_port(struct cur *c, uint16_t *ret)
{
	struct tok t;
	uint64_t n;

	if (!accept(c, '['))
		return 0;
	t = take(c, "]/");
	if (tok_is(t, "any"))
		n = 0;
	else if (!number(t, 65535, &n))
		return fail_tok(c, t, "invalid port");
	if (!accept(c, ']'))
		return fail(c, c->at, c->at < c->len, "syntax error");
	*ret = (uint16_t)n;
	return 0;
}

static int
parse_addr(struct cur *c, struct tdo_addr *ret, uint16_t *port)
{
	struct tok t = take(c, "-/[");
	size_t len = t.len;
	const char *scope = memchr(t.s, '%', t.len);

	/* A scope says nothing to the databases, which know no interfaces. */
	if (scope)
		len = (size_t)(scope - t.s);
	if (tdo_addr_parse(t.s, len, ret) != 0 || (scope && ret->af != TDO_AF_INET6))
		return fail_tok(c, t, "Invalid address specification");
	return parse_port(c, port);
}

/* SRC-DST; the direction must suit me-any and any-me, which leave the addresses open. */
static int
parse_pair(struct cur *c, struct tdo_policy_text *p)
{
	struct tdo_req *q = &p->sp.req[p->sp.nreq];
	size_t start = c->at;
	struct tok t = take(c, "/");
	int r;

	if (tok_is(t, "me-any") || tok_is(t, "any-me")) {
		if (p->sp.dir != (t.s[0] == 'm' ? TDO_DIR_OUT : TDO_DIR_IN))
			return fail_tok(c, t, "Invalid direction");
		return 0;
	}
	c->at = start;
	r = parse_addr(c, &q->src, &q->sport);
	if (r != 0)
		return r;
	if (!accept(c, '-'))
		return fail_tok(c, t, "Invalid address specification");
	r = parse_addr(c, &q->dst, &q->dport);
	if (r != 0)
		return r;
	if (q->src.af != q->dst.af)
		return fail_tok(c, t, "Family mismatch");
	return 0;
}

static bool
is_picked(uint64_t reqid)
{
	return reqid > TDO_REQID_MANUAL_MAX && reqid <= REQID_16;
}

static int
parse_level(struct cur *c, struct tdo_req *q)
{
	struct tok t = take(c, ":/");
	uint64_t n;

	if (t.len == 0) {
		q->level = TDO_LEVEL_DEFAULT;
		return 0;
	}
	if (!find(levels, N(levels), t, &q->level))
		return fail_tok(c, t, "Invalid ipsec level");
	if (!accept(c, ':'))
		return 0;
	if (q->level != TDO_LEVEL_UNIQUE)
		return fail_tok(c, t, "Invalid ipsec level");
	t = take(c, "/");
	if (!number(t, UINT32_MAX, &n))
		return fail_tok(c, t, "Invalid ipsec level");
	/* Those between are for the daemon to give: spec 2.6, unique without a number. */
	q->reqid = is_picked(n) ? 0 : (uint32_t)n;
	return 0;
}

static int
parse_req(struct cur *c, struct tdo_policy_text *p)
{
	struct tdo_req *q = &p->sp.req[p->sp.nreq];
	size_t start = c->at;
	struct tok t = take(c, "/");
	int r = 0;

	if (!find(protos, N(protos), t, &q->proto))
		return fail_tok(c, t, "Invalid ipsec protocol");
	if (!accept(c, '/'))
		return fail(c, c->at, 0, "Too few arguments");
	t = take(c, "/");
	if (!find(modes, N(modes), t, &q->mode))
		return fail_tok(c, t, "Invalid ipsec mode");
	if (accept(c, '/') && c->at < c->len && c->s[c->at] != '/' && !is_blank(c->s[c->at]))
		r = parse_pair(c, p);
	if (r == 0 && accept(c, '/'))
		r = parse_level(c, q);
	if (r != 0)
		return r;
	if (c->at < c->len && !is_blank(c->s[c->at]))
		return fail_tok(c, take(c, ""), "syntax error");
	if (q->mode == TDO_MODE_TUNNEL && q->src.af == TDO_AF_NONE)
		return fail(c, start, c->at - start, "Invalid address specification");
	return 0;
}

static int
parse_reqs(struct cur *c, struct tdo_policy_text *p)
{
	int r;

	for (skip_blanks(c); c->at < c->len; skip_blanks(c)) {
		if (p->sp.nreq == TDO_REQ_MAX)
			return fail_tok(c, take(c, ""), "too many requests in one policy");
		r = parse_req(c, p);
		if (r != 0)
			return r;
		p->sp.nreq++;
	}
	return p->sp.nreq > 0 ? 0 : fail(c, c->at, 0, "Too few arguments");
}

static int
parse_policy(struct cur *c, struct tdo_policy_text *p)
{
	struct tok t;
	int r;

	skip_blanks(c);
	t = take(c, "");
	p->fwd = tok_is(t, "fwd");
	if (p->fwd)
		p->sp.dir = TDO_DIR_IN;
	else if (!find(dirs, N(dirs), t, &p->sp.dir))
		return fail_tok(c, t, "Invalid direction");
	skip_blanks(c);
	p->dir_only = c->at == c->len;
	if (p->dir_only)
		return 0;
	t = take(c, "");
	if (tok_is(t, "prio") || tok_is(t, "priority")) {
		r = parse_prio(c, &p->sp);
		if (r != 0)
			return r;
		skip_blanks(c);
		t = take(c, "");
	}
	if (!find(types, N(types), t, &p->sp.type))
		return fail_tok(c, t, "Invalid security policy");
	if (p->sp.type == TDO_POLICY_IPSEC)
		return parse_reqs(c, p);
	skip_blanks(c);
	return c->at == c->len ? 0 : fail_tok(c, take(c, ""), "syntax error");
}

int
tdo_policy_text_parse(
    const char *s, size_t len, struct tdo_policy_text *ret, struct tdo_policy_text_err *err)
{
	struct cur c = {.s = s, .len = len, .err = err};
	struct tdo_policy_text p = {.sp.prio = TDO_PRIO_DEFAULT};
	int r = parse_policy(&c, &p);

	if (r == 0)
		*ret = p;
	return r;
}

/* Text that grows in a fixed buffer: len counts on when it is full. */
struct out {
	char *buf;
	size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void
put(struct out *o, const char *fmt, ...)
{
	size_t room = o->len < o->cap ? o->cap - o->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? o->buf + o->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n;
}

static void
put_name(struct out *o, const char *name, unsigned value)
{
	if (name)
		put(o, "%s", name);
	else
		put(o, "%u", value);
}

static void
put_end(struct out *o, const struct tdo_addr *a, uint16_t port)
{
	char buf[TDO_ADDR_STRLEN];

	put(o, "%s", tdo_addr_str(a, buf));
	if (port != 0)
		put(o, "[%u]", (unsigned)port);
}

static void
put_req(struct out *o, const struct tdo_req *q)
{
	put_name(o, name_of(protos, N(protos), q->proto), q->proto);
	put(o, "/");
	put_name(o, tdo_policy_mode_name(q->mode), q->mode);
	put(o, "/");
	if (q->src.af != TDO_AF_NONE) {
		put_end(o, &q->src, q->sport);
		put(o, "-");
		put_end(o, &q->dst, q->dport);
	}
	put(o, "/");
	put_name(o, tdo_policy_level_name(q->level), q->level);
	/* spec 2.8: "#" marks the numbers that were picked for the user. */
	if (q->level == TDO_LEVEL_UNIQUE && q->reqid != 0)
		put(o, "%c%u", is_picked(q->reqid) ? '#' : ':', (unsigned)q->reqid);
}

size_t
tdo_policy_text_print(const struct tdo_policy_text *p, const char *delim, char *buf, size_t cap)
{
	struct out o = {.buf = buf, .cap = cap};
	char prio[TDO_POLICY_PRIO_STRLEN];

	if (cap > 0)
		buf[0] = '\0';
	put_name(&o, p->fwd ? "fwd" : tdo_policy_dir_name(p->sp.dir), p->sp.dir);
	if (p->dir_only)
		return o.len;
	if (p->sp.prio != 0 && p->sp.prio != TDO_PRIO_DEFAULT)
		put(&o, " %s", tdo_policy_prio_str(p->sp.prio, prio));
	put(&o, " ");
	put_name(&o, tdo_policy_type_name(p->sp.type), p->sp.type);
	for (unsigned i = 0; i < p->sp.nreq && i < TDO_REQ_MAX; i++) {
		put(&o, "%s", delim);
		put_req(&o, &p->sp.req[i]);
	}
	return o.len;
}

char *
tdo_policy_prio_str(uint32_t prio, char *buf)
{
	const char *name = "def";
	int64_t base = 0, off;

	if (prio < PRIO_BASE - PRIO_STEP / 2) {
		name = "high";
		base = PRIO_STEP;
	} else if (prio >= PRIO_BASE + PRIO_STEP / 2) {
		name = "low";
		base = -PRIO_STEP;
	}
	off = (int64_t)PRIO_BASE - base - (int64_t)prio;
	if (off == 0)
		snprintf(buf, TDO_POLICY_PRIO_STRLEN, "prio %s", name);
	else
		snprintf(buf, TDO_POLICY_PRIO_STRLEN, "prio %s %c %lld", name, off < 0 ? '-' : '+',
		    (long long)(off < 0 ? -off : off));
	return buf;
}

const char *
tdo_policy_type_name(unsigned type)
{
	return name_of(types, N(types), type);
}

const char *
tdo_policy_dir_name(unsigned dir)
{
	return dir == 3 ? "fwd" : name_of(dirs, N(dirs), dir);
}

const char *
tdo_policy_mode_name(unsigned mode)
{
	return mode == TDO_MODE_ANY ? "any" : name_of(modes, N(modes), mode);
}

const char *
tdo_policy_level_name(unsigned level)
{
	return name_of(levels, N(levels), level);
}
