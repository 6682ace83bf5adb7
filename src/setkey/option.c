/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings of "-o"; what they mean is at struct tdo_tunnel_opt and setkey(8). */
#include "setkey/option.h"

#include <inttypes.h>
#include <string.h>

enum where { SA = 1, SP = 2, BOTH = 3 };

struct word {
	const char *name;
	uint8_t value;
};

static const struct word ecn[] = {
    {"ignore", TDO_OPT_ECN - 1},
    {"forbidden", TDO_OPT_ECN},
    {"allowed", TDO_OPT_ECN + 1},
    {"rfc6040", TDO_OPT_ECN + 2},
    {"compat", TDO_OPT_ECN + 3},
    {NULL, 0},
};
static const struct word df[] = {{"clear", 1}, {"set", 2}, {"copy", 3}, {NULL, 0}};
static const struct word flowlabel[] = {{"zero", 1}, {"copy", 2}, {"flow", 3}, {NULL, 0}};
static const struct word window[] = {{"adaptive", 1}, {NULL, 0}};
static const struct word pfp[] = {
    {"src", TDO_PFP_SRC},
    {"dst", TDO_PFP_DST},
    {"proto", TDO_PFP_PROTO},
    {"sport", TDO_PFP_SPORT},
    {"dport", TDO_PFP_DPORT},
    {"all", TDO_PFP_ALL},
    {NULL, 0},
};

#define DSCP_MAX 63
#define MTU_MIN  552u /* of IPv4; the daemon knows what holds for IPv6 */

static bool
word_value(const struct word *w, const char *s, size_t len, uint8_t *ret)
{
	for (; w->name; w++)
		if (strlen(w->name) == len && memcmp(w->name, s, len) == 0) {
			*ret = w->value;
			return true;
		}
	return false;
}

static const char *
word_name(const struct word *w, uint8_t value)
{
	for (; w->name; w++)
		if (w->value == value)
			return w->name;
	return "?";
}

/* A decimal number in [min, max]. */
static bool
number(const char *s, unsigned min, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (*s == '\0')
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return v >= min;
}

/* ---- values ------------------------------------------------------------------------- */

static bool
take_ecn(const char *s, struct stmt_opt *o)
{
	return word_value(ecn, s, strlen(s), &o->tunnel.ecn);
}

static bool
take_df(const char *s, struct stmt_opt *o)
{
	return word_value(df, s, strlen(s), &o->tunnel.df);
}

static bool
take_dscp(const char *s, struct stmt_opt *o)
{
	unsigned n = TDO_OPT_DSCP_COPY - 1;

	if (strcmp(s, "copy") != 0 && !number(s, 0, DSCP_MAX, &n))
		return false;
	o->tunnel.dscp = (uint8_t)(n + 1);
	return true;
}

static bool
take_ttl(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, 1, UINT8_MAX, &n))
		return false;
	o->tunnel.hop_limit = (uint8_t)n;
	return true;
}

static bool
take_flowlabel(const char *s, struct stmt_opt *o)
{
	return word_value(flowlabel, s, strlen(s), &o->tunnel.flow_label);
}

static bool
take_window(const char *s, struct stmt_opt *o)
{
	uint8_t n;

	if (!word_value(window, s, strlen(s), &n))
		return false;
	o->adaptive = true;
	return true;
}

static bool
take_cpu(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, 0, UINT16_MAX - 1, &n))
		return false;
	o->cpu = (uint16_t)(n + 1);
	return true;
}

static bool
take_align(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, 4, 8, &n) || n % 4 != 0)
		return false;
	o->align = (uint8_t)n;
	return true;
}

static bool
take_tfc(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, 1, UINT16_MAX, &n))
		return false;
	o->tfc.pad = (uint16_t)n;
	return true;
}

static bool
take_dummies(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, 1, UINT16_MAX, &n))
		return false;
	o->tfc.dummies = (uint16_t)n;
	return true;
}

static bool
take_mtu(const char *s, struct stmt_opt *o)
{
	unsigned n;

	if (!number(s, MTU_MIN, UINT16_MAX, &n))
		return false;
	o->mtu = (uint16_t)n;
	return true;
}

static bool
take_hold(const char *s, struct stmt_opt *o)
{
	(void)s;
	o->hold = true;
	return true;
}

/* Names with commas between them. */
static bool
take_pfp(const char *s, struct stmt_opt *o)
{
	uint8_t all = 0, bit;

	for (;;) {
		size_t len = strcspn(s, ",");

		if (!word_value(pfp, s, len, &bit))
			return false;
		all |= bit;
		if (s[len] == '\0')
			break;
		s += len + 1;
	}
	o->pfp = all;
	return true;
}

/* ---- names -------------------------------------------------------------------------- */

static const struct option {
	const char *name;
	enum where where;
	bool has_value;
	bool (*take)(const char *value, struct stmt_opt *o);
} options[] = {
    {"ecn", BOTH, true, take_ecn},
    {"df", BOTH, true, take_df},
    {"dscp", BOTH, true, take_dscp},
    {"ttl", BOTH, true, take_ttl},
    {"hoplimit", BOTH, true, take_ttl},
    {"flowlabel", BOTH, true, take_flowlabel},
    {"window", SA, true, take_window},
    {"cpu", SA, true, take_cpu},
    {"align", SA, true, take_align},
    {"tfc", SA, true, take_tfc},
    {"dummies", SA, true, take_dummies},
    {"mtu", SA, true, take_mtu},
    {"hold", SP, false, take_hold},
    {"pfp", SP, true, take_pfp},
};

static bool
fail(struct option_err *err, size_t at, const char *text)
{
	*err = (struct option_err){.text = text, .at = at};
	return false;
}

bool
tdo_option_parse(const char *s, bool sa, struct stmt_opt *o, struct option_err *err)
{
	size_t len = strcspn(s, "=");
	const struct option *found = NULL;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, s, len) == 0)
			found = &options[i];
	if (!found)
		return fail(err, 0, "unknown option");
	if (!(found->where & (sa ? SA : SP)))
		return fail(err, 0, sa ? "option is for policies" : "option is for SAs");
	if (found->has_value && s[len] == '\0')
		return fail(err, 0, "option needs a value");
	if (!found->has_value && s[len] != '\0')
		return fail(err, len, "option has no value");
	if (found->take(s[len] == '\0' ? "" : s + len + 1, o))
		return true;
	return fail(err, len + 1, "invalid value of an option");
}

/* ---- printing ----------------------------------------------------------------------- */

bool
tdo_option_none(const struct stmt_opt *o)
{
	const struct tdo_tunnel_opt *t = &o->tunnel;

	return !t->ecn && !t->df && !t->dscp && !t->hop_limit && !t->flow_label && !o->adaptive &&
	       !o->cpu && !o->align && !o->tfc.pad && !o->tfc.dummies && !o->mtu && !o->hold &&
	       !o->pfp;
}

static void
print_pfp(FILE *f, const char *before, uint8_t bits)
{
	const char *comma = "";

	fprintf(f, "%spfp=", before);
	if (bits == TDO_PFP_ALL) {
		fputs("all", f);
		return;
	}
	for (const struct word *w = pfp; w->value != TDO_PFP_ALL; w++)
		if (bits & w->value) {
			fprintf(f, "%s%s", comma, w->name);
			comma = ",";
		}
}

void
tdo_option_print(FILE *f, const char *before, const struct stmt_opt *o)
{
	const struct tdo_tunnel_opt *t = &o->tunnel;

	if (t->ecn)
		fprintf(f, "%secn=%s", before, word_name(ecn, t->ecn));
	if (t->df)
		fprintf(f, "%sdf=%s", before, word_name(df, t->df));
	if (t->dscp == TDO_OPT_DSCP_COPY)
		fprintf(f, "%sdscp=copy", before);
	else if (t->dscp)
		fprintf(f, "%sdscp=%u", before, t->dscp - 1u);
	if (t->hop_limit)
		fprintf(f, "%sttl=%u", before, (unsigned)t->hop_limit);
	if (t->flow_label)
		fprintf(f, "%sflowlabel=%s", before, word_name(flowlabel, t->flow_label));
	if (o->adaptive)
		fprintf(f, "%swindow=adaptive", before);
	if (o->cpu)
		fprintf(f, "%scpu=%u", before, o->cpu - 1u);
	if (o->align)
		fprintf(f, "%salign=%u", before, (unsigned)o->align);
	if (o->tfc.pad)
		fprintf(f, "%stfc=%u", before, (unsigned)o->tfc.pad);
	if (o->tfc.dummies)
		fprintf(f, "%sdummies=%u", before, (unsigned)o->tfc.dummies);
	if (o->mtu)
		fprintf(f, "%smtu=%u", before, (unsigned)o->mtu);
	if (o->hold)
		fprintf(f, "%shold", before);
	if (o->pfp)
		print_pfp(f, before, o->pfp);
}
