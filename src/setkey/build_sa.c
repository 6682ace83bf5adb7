/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of the statements about SAs: protocol, SPI, extensions, algorithms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setkey/algname.h"
#include "setkey/build.h"
#include "setkey/build_int.h"
#include "testudo/comp.h"

static const struct stmt_proto protos[] = {
    {"esp", TDO_SATYPE_ESP, false, false},
    {"esp-old", TDO_SATYPE_ESP, true, false},
    {"esp-udp", TDO_SATYPE_ESP, false, true},
    {"ah", TDO_SATYPE_AH, false, false},
    {"ah-old", TDO_SATYPE_AH, true, false},
    {"ipcomp", TDO_SATYPE_IPCOMP, false, false},
    {"tcp", TDO_SADB_SATYPE_TCPSIGNATURE, false, false},
};

bool
tdo_build_makes_sa(const struct parse *p)
{
	return p->cur.kind == STMT_ADD || p->cur.kind == STMT_UPDATE || p->cur.kind == STMT_GETSPI;
}

/* Only add takes every combination of several addresses. */
static bool
take_host(struct parse *p, struct text host, struct text port, struct stmt_addrs *ret)
{
	struct text named = {.loc = host.loc};
	uint16_t n;

	if (!tdo_build_host(p, host, ret)) {
		tdo_stmt_free(port.s);
		return false;
	}
	if (ret->n > 1 && p->cur.kind != STMT_ADD) {
		tdo_stmt_free(port.s);
		return tdo_build_fail_text(p, named, "multiple address specified");
	}
	if (!tdo_build_port(p, port, &n))
		return false;
	ret->port = n;
	return true;
}

bool
tdo_build_src(struct parse *p, struct text host, struct text port)
{
	return take_host(p, host, port, &p->cur.sa.src);
}

bool
tdo_build_dst(struct parse *p, struct text host, struct text port)
{
	const struct stmt_addrs *src = &p->cur.sa.src, *dst = &p->cur.sa.dst;
	struct parse_pos at = host.loc.first;

	if (!take_host(p, host, port, &p->cur.sa.dst))
		return false;
	for (size_t i = 0; i < src->n; i++)
		for (size_t j = 0; j < dst->n; j++)
			if (src->v[i].af == dst->v[j].af)
				return true;
	return tdo_build_fail(p, at, NULL, "Family mismatch");
}

bool
tdo_build_proto(struct parse *p, struct text proto)
{
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (strcmp(protos[i].name, proto.s) == 0)
			p->cur.sa.proto = &protos[i];
	if (!p->cur.sa.proto)
		return tdo_build_fail_text(p, proto, "Invalid ipsec protocol");
	if (p->cur.sa.proto->old && tdo_build_makes_sa(p))
		p->cur.sa.flags |= TDO_SAF_OLD;
	tdo_stmt_free(proto.s);
	return true;
}

bool
tdo_build_oa(struct parse *p, struct text host)
{
	if (!p->cur.sa.proto->udp)
		return tdo_build_fail_text(
		    p, host, "syntax error, only esp-udp has an original address");
	return tdo_build_one_host(p, host, &p->cur.sa.natt.oai);
}

bool
tdo_build_spi(struct parse *p, struct text spi)
{
	uint64_t n;

	if (!tdo_build_number(spi, UINT32_MAX, &n))
		return tdo_build_fail_text(p, spi, "SPI too big");
	if (p->cur.sa.proto->satype == TDO_SADB_SATYPE_TCPSIGNATURE && n != STMT_TCP_SPI)
		return tdo_build_fail_text(p, spi, "invalid SPI, tcp has 0x1000");
	p->cur.sa.spi = (uint32_t)n;
	tdo_stmt_free(spi.s);
	return true;
}

/* ---- extensions ---- */

bool
tdo_build_mode(struct parse *p, struct text mode)
{
	uint8_t m;

	if (strcmp(mode.s, "transport") == 0)
		m = TDO_MODE_TRANSPORT;
	else if (strcmp(mode.s, "tunnel") == 0)
		m = TDO_MODE_TUNNEL;
	else if (strcmp(mode.s, "any") == 0)
		m = TDO_MODE_ANY;
	else
		return tdo_build_fail_text(p, mode, "Invalid ipsec mode");
	if (!tdo_build_makes_sa(p))
		tdo_build_warn(
		    p, mode.loc.first, mode.s, "WARNING: mode is obsolete here and ignored");
	else
		p->cur.sa.mode = m;
	tdo_stmt_free(mode.s);
	return true;
}

/* spec 2.4: bytes of bitmap, 8 packets each; the limit is FreeBSD's, 2^32 - 33 packets. */
bool
tdo_build_replay(struct parse *p, struct text size)
{
	uint64_t n;

	if (!tdo_build_number(size, (UINT32_MAX - 32) / 8, &n))
		return tdo_build_fail_text(p, size, "replay window is too large");
	if (n != 0 && (p->cur.sa.flags & TDO_SAF_OLD))
		return tdo_build_fail_text(
		    p, size, "replay prevention cannot be used with old protocols");
	if (tdo_build_makes_sa(p))
		p->cur.sa.replay = (uint32_t)n * 8;
	tdo_stmt_free(size.s);
	return true;
}

bool
tdo_build_reqid(struct parse *p, struct text id)
{
	uint64_t n;

	if (!tdo_build_number(id, UINT32_MAX, &n))
		return tdo_build_fail_text(p, id, "request id is too large");
	if (tdo_build_makes_sa(p))
		p->cur.sa.reqid = (uint32_t)n;
	tdo_stmt_free(id.s);
	return true;
}

bool
tdo_build_flag(struct parse *p, struct text flag)
{
	uint32_t clear = 0, set = 0;

	if (strcmp(flag.s, "nocyclic-seq") == 0) {
		clear = TDO_SAF_CYCSEQ;
	} else {
		clear = TDO_SAF_PMASK;
		if (strcmp(flag.s, "zero-pad") == 0)
			set = TDO_SAF_PZERO;
		else if (strcmp(flag.s, "random-pad") == 0)
			set = TDO_SAF_PRAND;
		else if (strcmp(flag.s, "seq-pad") != 0)
			return tdo_build_fail_text(p, flag, "syntax error, unknown flag");
	}
	if (tdo_build_makes_sa(p))
		p->cur.sa.flags = (p->cur.sa.flags & ~clear) | set;
	tdo_stmt_free(flag.s);
	return true;
}

static bool
take_limit(struct parse *p, struct text n, bool hard, bool seconds)
{
	struct tdo_lifetime *l = hard ? &p->cur.sa.hard : &p->cur.sa.soft;
	uint64_t v;

	if (!tdo_build_number(n, UINT64_MAX, &v))
		return tdo_build_fail_text(p, n, "lifetime is too large");
	tdo_stmt_free(n.s);
	if (!tdo_build_makes_sa(p))
		return true;
	if (seconds)
		l->addtime = v;
	else
		l->bytes = v;
	if (hard)
		p->cur.sa.has_hard = true;
	else
		p->cur.sa.has_soft = true;
	return true;
}

bool
tdo_build_seconds(struct parse *p, struct text n, bool hard)
{
	return take_limit(p, n, hard, true);
}

bool
tdo_build_bytes(struct parse *p, struct text n, bool hard)
{
	return take_limit(p, n, hard, false);
}

bool
tdo_build_esn(struct parse *p, const struct parse_loc *loc)
{
	if (p->cur.sa.flags & TDO_SAF_OLD)
		return tdo_build_fail(p, loc->first, "-esn", "not usable with old protocols");
	if (tdo_build_makes_sa(p))
		p->cur.sa.flags |= TDO_SAF_ESN;
	return true;
}

static bool
is_esp(const struct parse *p)
{
	return p->cur.sa.proto->satype == TDO_SATYPE_ESP;
}

/* One of the two address[port] of -natt. */
bool
tdo_build_natt_end(struct parse *p, struct text host, struct text port, bool first)
{
	struct stmt_natt *n = &p->cur.sa.natt;

	if (!is_esp(p) || p->cur.sa.proto->udp) {
		tdo_stmt_free(port.s);
		return tdo_build_fail_text(p, host, "-natt is for SAs of type esp");
	}
	if (!tdo_build_one_host(p, host, first ? &n->oai : &n->oar)) {
		tdo_stmt_free(port.s);
		return false;
	}
	n->on = true;
	return tdo_build_port(p, port, first ? &n->sport : &n->dport);
}

bool
tdo_build_frag(struct parse *p, struct text n)
{
	uint64_t v;

	if (!is_esp(p) || !tdo_build_number(n, UINT16_MAX, &v))
		return tdo_build_fail_text(p, n, "invalid NAT-T fragment size");
	p->cur.sa.natt.frag = (uint16_t)v;
	tdo_stmt_free(n.s);
	return true;
}

/* The addresses that an update gives the SA (D44). */
bool
tdo_build_new(struct parse *p, const struct parse_loc *loc, struct text src, struct text dst)
{
	struct stmt_sa *a = &p->cur.sa;
	struct parse_pos at = dst.loc.first;

	if (p->cur.kind != STMT_UPDATE) {
		tdo_stmt_free(src.s);
		tdo_stmt_free(dst.s);
		return tdo_build_fail(p, loc->first, "-new", "only update gives new addresses");
	}
	if (!tdo_build_one_host(p, src, &a->new_src)) {
		tdo_stmt_free(dst.s);
		return false;
	}
	if (!tdo_build_one_host(p, dst, &a->new_dst))
		return false;
	if (a->new_src.af != a->new_dst.af)
		return tdo_build_fail(p, at, NULL, "Family mismatch");
	return true;
}

void
tdo_build_sa_sel(struct parse *p)
{
	p->cur.sa.has_sel = tdo_build_makes_sa(p);
}

/* ---- algorithms ---- */

/*
 * The bytes of a key: quoted text as it stands, or 0x digits, of which the first stands alone
 * when their number is odd.
 */
static bool
key_bytes(struct text key, struct stmt_key *ret)
{
	size_t digits = key.len - 2, n; /* after 0x */

	tdo_stmt_free(ret->b);
	*ret = (struct stmt_key){0};
	if (!key.s)
		return true;
	if (key.quoted) {
		ret->len = key.len;
		ret->b = tdo_stmt_alloc(key.len);
		if (ret->b)
			memcpy(ret->b, key.s, key.len);
		return ret->b != NULL;
	}
	n = (digits + 1) / 2;
	ret->b = tdo_stmt_alloc(n);
	if (!ret->b)
		return false;
	ret->len = n;
	memset(ret->b, 0, n);
	for (size_t i = 0; i < digits; i++) {
		size_t at = (i + digits % 2) / 2;

		ret->b[at] = (uint8_t)(ret->b[at] << 4 | tdo_build_digit(key.s[2 + i]));
	}
	return true;
}

/* Checks a key against its algorithm, which was written as name; key.s may be NULL: none. */
static bool
take_key(struct parse *p, const struct tdo_alg *a, struct text name, struct text key,
    struct stmt_key *ret)
{
	bool ok = key_bytes(key, ret), given = key.s != NULL;
	struct parse_pos at = key.loc.first;

	tdo_stmt_free(key.s);
	if (!ok)
		ok = tdo_build_fail(p, at, NULL, "out of memory");
	else if (a->key_max == 0 && ret->len > 0) /* spec C4: no key or an empty one */
		ok = tdo_build_fail(p, at, "key", "syntax error, %s has no key", name.s);
	else if (a->key_max > 0 && !given)
		ok = tdo_build_fail(p, at, name.s, "syntax error, expecting a key");
	else if (ret->len > TDO_KEY_MAX || !tdo_alg_keylen_ok(a, (unsigned)ret->len * 8))
		ok = tdo_build_fail(p, at, name.s, "Invalid key length");
	tdo_stmt_free(name.s);
	return ok;
}

/* Variants that PF_KEY expresses by a flag; ret_known: the name at least is one of them. */
static const struct tdo_alg *
variant(struct parse *p, const char *name, bool *ret_known)
{
	bool old = (p->cur.sa.flags & TDO_SAF_OLD) != 0;
	bool deriv = strcmp(name, "des-deriv") == 0, iv4b = strcmp(name, "des-32iv") == 0;

	*ret_known = deriv || iv4b;
	if (!*ret_known || old != iv4b)
		return NULL;
	p->cur.sa.flags |= deriv ? TDO_SAF_DERIV : TDO_SAF_IV4B;
	return tdo_alg_enc_by_name("des-cbc");
}

bool
tdo_build_enc(struct parse *p, struct text name, struct text key)
{
	bool simple = strcmp(name.s, "simple") == 0, known = true;
	const struct tdo_alg *a = tdo_alg_enc_by_name(simple ? "null" : name.s);

	if (simple && !p->warned_simple) {
		tdo_build_warn(p, name.loc.first, name.s, "WARNING: obsolete algorithm, use null");
		p->warned_simple = true;
	}
	if (!a)
		a = variant(p, name.s, &known);
	if (!a) {
		tdo_stmt_free(key.s);
		return tdo_build_fail_text(
		    p, name, known ? "algorithm mismatched" : "unsupported algorithm");
	}
	p->cur.sa.enc = a;
	return take_key(p, a, name, key, &p->cur.sa.ekey);
}

/* True when SAs of this type can have the authentication algorithm. */
static bool
goes_with(const struct stmt_proto *type, const struct tdo_alg *a)
{
	bool tcp = type->satype == TDO_SADB_SATYPE_TCPSIGNATURE;

	if (tcp || a->pfkey == ALGNAME_TCP_MD5)
		return tcp && a->pfkey == ALGNAME_TCP_MD5;
	if (type->satype != TDO_SATYPE_AH)
		return !a->ah_only;
	return !type->old || tdo_alg_ah_old(a->pfkey) != NULL;
}

bool
tdo_build_auth(struct parse *p, struct text name, struct text key)
{
	const struct tdo_alg *a = tdo_algname_auth(name.s);

	if (!a || !goes_with(p->cur.sa.proto, a)) {
		tdo_stmt_free(key.s);
		return tdo_build_fail_text(
		    p, name, a ? "algorithm mismatched" : "unsupported algorithm");
	}
	p->cur.sa.auth = a;
	return take_key(p, a, name, key, &p->cur.sa.akey);
}

bool
tdo_build_comp(struct parse *p, struct text name, bool raw)
{
	const struct tdo_comp_alg *a = tdo_comp_alg_by_name(name.s);
	char text[128];

	if (!a)
		return tdo_build_fail_text(p, name, "unsupported algorithm");
	/* The statements behind this one are carried out, as with every SA that is refused. */
	if (a->not_there) {
		snprintf(text, sizeof(text), "WARNING: %s", a->not_there);
		tdo_build_warn(p, name.loc.first, name.s, text);
	}
	p->cur.sa.comp = a->pfkey;
	if (raw)
		p->cur.sa.flags |= TDO_SAF_RAWCPI;
	tdo_stmt_free(name.s);
	return true;
}

bool
tdo_build_sa_check(struct parse *p, const struct parse_loc *loc)
{
	const struct stmt_sa *a = &p->cur.sa;
	const char *msg = NULL;

	if (p->cur.kind == STMT_ADD && a->natt.frag != 0 && !a->natt.on && !a->proto->udp)
		return tdo_build_fail(
		    p, loc->first, "-natt_mtu", "only SAs in UDP have a NAT-T fragment size");
	if (!a->natt.on && !a->proto->udp && (a->src.port != 0 || a->dst.port != 0))
		tdo_build_warn(p, loc->first, a->proto->name,
		    "WARNING: ports are for esp-udp and ignored here");
	if (p->cur.kind == STMT_UPDATE && !a->enc && !a->auth && !a->comp)
		return true; /* those of the SA stay */
	switch (a->proto->satype) {
	case TDO_SATYPE_ESP:
		if (!a->enc)
			msg = "No algorithm specified";
		else if (a->comp || (a->auth && a->enc->kind == TDO_ALG_AEAD))
			msg = "Invalid algorithm type";
		break;
	case TDO_SATYPE_IPCOMP:
		if (!a->comp)
			msg =
			    a->enc || a->auth ? "Invalid algorithm type" : "No algorithm specified";
		else if (a->spi > 0xffff && !(a->flags & TDO_SAF_RAWCPI))
			msg = "SPI too big";
		break;
	default: /* ah, tcp */
		if (a->enc || a->comp)
			msg = "Invalid algorithm type";
		break;
	}
	return msg ? tdo_build_fail(p, loc->first, NULL, "%s", msg) : true;
}
