/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of the statements about policies: selectors, upper-layer protocol, policy text. */
#include <string.h>

#include "base/addr.h"
#include "setkey/build.h"
#include "setkey/build_int.h"
#include "setkey/option.h"

static bool
about_policies(const struct parse *p)
{
	return p->cur.kind == STMT_SPDADD || p->cur.kind == STMT_SPDUPDATE ||
	       p->cur.kind == STMT_SPDDELETE;
}

/* Those of the policy, or of the SA's -sel. */
static struct tdo_sel *
sel_of(struct parse *p)
{
	return about_policies(p) ? &p->cur.sp.sel : &p->cur.sa.sel;
}

bool
tdo_build_option(struct parse *p, struct text option)
{
	struct stmt_opt ignored = {0};
	struct stmt_opt *o = about_policies(p)       ? &p->cur.sp.opt
			     : tdo_build_makes_sa(p) ? &p->cur.sa.opt
						     : &ignored;
	struct option_err err;
	bool ok = tdo_option_parse(option.s, !about_policies(p), o, &err);

	if (!ok) {
		struct parse_pos at = option.loc.first;

		at.column += (unsigned)err.at;
		tdo_build_fail(p, at, option.s + err.at, "%s", err.text);
	}
	tdo_stmt_free(option.s);
	return ok;
}

/* A port, a service, "any" or "1000-2000"; 0 is the wildcard, 0-0 is not. */
static bool
take_ports(struct parse *p, struct text t, struct tdo_range *ret)
{
	uint16_t n;

	if (t.s && tdo_build_numbers(t, UINT16_MAX, ret)) {
		tdo_stmt_free(t.s);
		return true;
	}
	if (!tdo_build_port(p, t, &n))
		return false;
	*ret = n ? (struct tdo_range){n, n} : TDO_RANGE_ANY;
	return true;
}

static bool
take_range(struct parse *p, struct text host, struct text plen, struct text port,
    struct tdo_addr *ret_addr, uint8_t *ret_plen, struct tdo_range *ret_port)
{
	struct tdo_addr a;
	uint64_t n;

	if (!tdo_build_one_host(p, host, &a)) {
		tdo_stmt_free(plen.s);
		tdo_stmt_free(port.s);
		return false;
	}
	n = tdo_af_bits(a.af);
	if (plen.s && !tdo_build_number(plen, n, &n)) {
		tdo_stmt_free(port.s);
		return tdo_build_fail_text(p, plen, "Invalid prefix length");
	}
	tdo_stmt_free(plen.s);
	if (!take_ports(p, port, ret_port))
		return false;
	*ret_addr = tdo_addr_mask(&a, (unsigned)n);
	*ret_plen = (uint8_t)n;
	return true;
}

bool
tdo_build_src_range(struct parse *p, struct text host, struct text plen, struct text port)
{
	struct tdo_sel *sel = sel_of(p);

	return take_range(p, host, plen, port, &sel->src, &sel->src_plen, &sel->sport);
}

bool
tdo_build_dst_range(struct parse *p, struct text host, struct text plen, struct text port)
{
	struct tdo_sel *sel = sel_of(p);
	struct parse_pos at = host.loc.first;

	if (!take_range(p, host, plen, port, &sel->dst, &sel->dst_plen, &sel->dport))
		return false;
	if (sel->src.af != sel->dst.af)
		return tdo_build_fail(p, at, NULL, "Family mismatch");
	return true;
}

/* Protocols whose own parts stand where others have ports. */
static bool
has_extra(unsigned proto)
{
	return tdo_stmt_proto_has_type(proto) || proto == STMT_PROTO_GRE;
}

static bool
take_proto(struct parse *p, struct text t)
{
	struct tdo_sel *sel = sel_of(p);
	uint64_t n = 256;
	int number;

	if (t.s[0] >= '0' && t.s[0] <= '9')
		number = tdo_build_number(t, 255, &n) ? (int)n : -1;
	else
		number = p->names->proto(p->names->ctx, t.s);
	if (number < 0)
		return tdo_build_fail_text(p, t, "unknown upper-layer protocol");
	sel->proto = (uint8_t)number;
	if (has_extra(sel->proto) &&
	    (!tdo_stmt_range_any(&sel->sport) || !tdo_stmt_range_any(&sel->dport)))
		return tdo_build_fail_text(p, t, "this protocol has no ports");
	tdo_stmt_free(t.s);
	return true;
}

/* spec 2.6: in this form 0 is the wildcard. */
static struct tdo_range
old_value(uint64_t n)
{
	return n ? (struct tdo_range){(uint16_t)n, (uint16_t)n} : TDO_RANGE_ANY;
}

/* The key of GRE (RFC 2890), as a number or a dotted quad, split over the two ranges. */
static bool
take_gre(struct parse *p, struct text key)
{
	struct tdo_addr a;
	uint64_t n;

	if (key.s[0] < '0' || key.s[0] > '9')
		return tdo_build_fail_text(p, key, "invalid GRE key");
	if (tdo_addr_parse(key.s, key.len, &a) == 0 && a.af == TDO_AF_INET)
		n = (uint64_t)a.b[0] << 24 | a.b[1] << 16 | a.b[2] << 8 | a.b[3];
	else if (!tdo_build_number(key, UINT32_MAX, &n))
		return tdo_build_fail_text(p, key, "invalid GRE key");
	if (n != 0) {
		uint16_t hi = (uint16_t)(n >> 16), lo = (uint16_t)n;

		sel_of(p)->sport = (struct tdo_range){hi, hi};
		sel_of(p)->dport = (struct tdo_range){lo, lo};
	}
	tdo_stmt_free(key.s);
	return true;
}

static bool
take_byte(struct parse *p, struct text t, uint64_t *ret)
{
	if (t.s[0] < '0' || t.s[0] > '9' || !tdo_build_number(t, 255, ret))
		return tdo_build_fail_text(p, t, "invalid type or code");
	tdo_stmt_free(t.s);
	return true;
}

/* The same as a range: "0", "0-8", "any". */
static bool
take_bytes(struct parse *p, struct text t, struct tdo_range *ret)
{
	uint64_t n;

	if (strcmp(t.s, "any") == 0) {
		*ret = TDO_RANGE_ANY;
	} else if (!tdo_build_numbers(t, 255, ret)) {
		if (!take_byte(p, t, &n))
			return false;
		*ret = (struct tdo_range){(uint16_t)n, (uint16_t)n};
		return true;
	}
	tdo_stmt_free(t.s);
	return true;
}

bool
tdo_build_upper(struct parse *p, struct text proto, struct text one, struct text two)
{
	struct tdo_sel *sel = sel_of(p);
	uint64_t type = 0, code = 0;

	if (!take_proto(p, proto)) {
		tdo_stmt_free(one.s);
		tdo_stmt_free(two.s);
		return false;
	}
	if (!one.s)
		return true;
	if (sel->proto == STMT_PROTO_GRE && !two.s)
		return take_gre(p, one);
	if (!tdo_stmt_proto_has_type(sel->proto)) {
		tdo_stmt_free(two.s);
		return tdo_build_fail_text(
		    p, one, "syntax error, this protocol has no type or code");
	}
	if (!take_byte(p, one, &type)) {
		tdo_stmt_free(two.s);
		return false;
	}
	if (two.s && !take_byte(p, two, &code))
		return false;
	sel->sport = old_value(type);
	sel->dport = old_value(code);
	return true;
}

bool
tdo_build_upper_type(struct parse *p, struct text proto, struct text type, struct text code)
{
	struct tdo_sel *sel = sel_of(p);

	if (!take_proto(p, proto)) {
		tdo_stmt_free(type.s);
		tdo_stmt_free(code.s);
		return false;
	}
	if (!tdo_stmt_proto_has_type(sel->proto)) {
		tdo_stmt_free(code.s);
		return tdo_build_fail_text(
		    p, type, "syntax error, this protocol has no type or code");
	}
	if (!take_bytes(p, type, &sel->sport)) {
		tdo_stmt_free(code.s);
		return false;
	}
	return !code.s || take_bytes(p, code, &sel->dport);
}

/* Comments between the parts become blanks, so that places in the text stay the same. */
static void
blank_comments(char *s, size_t len)
{
	bool in = false;

	for (size_t i = 0; i < len; i++) {
		in = s[i] == '#' || (in && s[i] != '\n');
		if (in)
			s[i] = ' ';
	}
}

/* The place in the file of an offset into the policy text. */
static struct parse_pos
pos_in(const struct text *t, size_t at)
{
	struct parse_pos pos = t->loc.first;

	for (size_t i = 0; i < at && i < t->len; i++) {
		pos.column++;
		if (t->s[i] == '\n')
			pos = (struct parse_pos){pos.line + 1, 1};
	}
	return pos;
}

bool
tdo_build_policy(struct parse *p, struct text policy)
{
	struct tdo_policy_text *q = &p->cur.sp.policy;
	struct tdo_policy_text_err err = {0};
	char token[48];
	bool ok;

	blank_comments(policy.s, policy.len);
	ok = tdo_policy_text_parse(policy.s, policy.len, q, &err) == 0;
	if (ok && p->cur.kind != STMT_SPDDELETE && (q->dir_only || q->sp.type > TDO_POLICY_IPSEC)) {
		ok = false;
		err = (struct tdo_policy_text_err){
		    .text = "Invalid security policy", .len = policy.len};
	}
	if (!ok) {
		snprintf(token, sizeof(token), "%.*s", (int)(err.len < 40 ? err.len : 40),
		    policy.s + err.at);
		tdo_build_fail(p, pos_in(&policy, err.at), token, "%s", err.text);
	}
	tdo_stmt_free(policy.s);
	return ok;
}
