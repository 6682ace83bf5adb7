/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements: memory, and the canonical text. */
#include "setkey/stmt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/ct.h"
#include "setkey/option.h"
#include "testudo/comp.h"

/* Size in front of the bytes, so that tdo_stmt_free knows how much to wipe. */
union head {
	size_t len;
	max_align_t align;
};

void *
tdo_stmt_alloc(size_t len)
{
	union head *h;

	if (len > SIZE_MAX - sizeof(*h))
		return NULL;
	h = malloc(sizeof(*h) + len);
	if (!h)
		return NULL;
	h->len = len;
	return h + 1;
}

void
tdo_stmt_free(void *p)
{
	union head *h = p;

	if (!h)
		return;
	h--;
	tdo_wipe(h + 1, h->len);
	free(h);
}

/* realloc(3) would leave a copy of the secret behind. */
void *
tdo_stmt_realloc(void *p, size_t len)
{
	void *q = tdo_stmt_alloc(len);

	if (p && q) {
		size_t old = ((union head *)p - 1)->len;

		memcpy(q, p, old < len ? old : len);
		tdo_stmt_free(p);
	}
	return q;
}

void
tdo_stmt_fini(struct stmt *s)
{
	free(s->sa.src.v);
	free(s->sa.dst.v);
	tdo_stmt_free(s->sa.ekey.b);
	tdo_stmt_free(s->sa.akey.b);
	*s = (struct stmt){0};
}

bool
tdo_stmt_proto_has_type(unsigned proto)
{
	return proto == STMT_PROTO_ICMP || proto == STMT_PROTO_ICMP6 || proto == STMT_PROTO_MH;
}

bool
tdo_stmt_range_any(const struct tdo_range *r)
{
	return r->lo == 0 && r->hi == UINT16_MAX;
}

bool
tdo_stmt_range_plain(const struct tdo_range *r)
{
	return tdo_stmt_range_any(r) || (r->lo == r->hi && r->lo != 0);
}

const char *
tdo_stmt_kind_name(enum stmt_kind kind)
{
	static const char *const names[] = {[STMT_ADD] = "add",
	    [STMT_UPDATE] = "update",
	    [STMT_GETSPI] = "getspi",
	    [STMT_GET] = "get",
	    [STMT_DELETE] = "delete",
	    [STMT_DELETEALL] = "deleteall",
	    [STMT_FLUSH] = "flush",
	    [STMT_DUMP] = "dump",
	    [STMT_SPDADD] = "spdadd",
	    [STMT_SPDUPDATE] = "spdupdate",
	    [STMT_SPDDELETE] = "spddelete",
	    [STMT_SPDFLUSH] = "spdflush",
	    [STMT_SPDDUMP] = "spddump"};

	return names[kind];
}

static void
print_end(FILE *f, const struct tdo_addr *a, uint16_t port)
{
	char buf[TDO_ADDR_STRLEN];

	fprintf(f, " %s", tdo_addr_str(a, buf));
	if (port != 0)
		fprintf(f, "[%u]", (unsigned)port);
}

static void
print_key(FILE *f, const struct stmt_key *k)
{
	if (k->len == 0)
		return;
	fputs(" 0x", f);
	for (size_t i = 0; i < k->len; i++)
		fprintf(f, "%02x", k->b[i]);
}

static void
print_lifetime(FILE *f, const char *ends, const struct tdo_lifetime *l)
{
	if (l->addtime != 0)
		fprintf(f, " -l%s %" PRIu64, ends, l->addtime);
	if (l->bytes != 0)
		fprintf(f, " -b%s %" PRIu64, ends, l->bytes);
}

/* Numbers of a range: "80", "1000-2000"; "0-0" where 0 alone would be the wildcard. */
static void
print_numbers(FILE *f, const struct tdo_range *r)
{
	if (r->lo == r->hi && r->lo != 0)
		fprintf(f, "%u", (unsigned)r->lo);
	else
		fprintf(f, "%u-%u", (unsigned)r->lo, (unsigned)r->hi);
}

static void
print_range(FILE *f, const struct tdo_addr *a, unsigned plen, const struct tdo_range *port)
{
	char buf[TDO_ADDR_STRLEN];

	fprintf(f, " %s", tdo_addr_str(a, buf));
	if (plen != tdo_af_bits(a->af))
		fprintf(f, "/%u", plen);
	if (!port || tdo_stmt_range_any(port))
		return;
	fputc('[', f);
	print_numbers(f, port);
	fputc(']', f);
}

static void
print_value(FILE *f, const char *word, const struct tdo_range *r)
{
	fprintf(f, " %s ", word);
	if (tdo_stmt_range_any(r))
		fputs("any", f);
	else if (r->lo == r->hi)
		fprintf(f, "%u", (unsigned)r->lo);
	else
		print_numbers(f, r);
}

/* Ranges and 0 have a form of their own, since 0 is the wildcard in the old one. */
static void
print_type(FILE *f, const struct tdo_range *type, const struct tdo_range *code)
{
	if (tdo_stmt_range_any(type) && tdo_stmt_range_any(code))
		return;
	if (!tdo_stmt_range_plain(type) || !tdo_stmt_range_plain(code)) {
		print_value(f, "type", type);
		if (!tdo_stmt_range_any(code))
			print_value(f, "code", code);
		return;
	}
	fprintf(f, " %u", tdo_stmt_range_any(type) ? 0u : type->lo);
	if (!tdo_stmt_range_any(code))
		fprintf(f, ",%u", (unsigned)code->lo);
}

static void
print_upper(FILE *f, const struct tdo_sel *sel)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = {{TDO_PROTO_ANY, "any"}, {STMT_PROTO_ICMP, "icmp"}, {6, "tcp"}, {17, "udp"},
	    {STMT_PROTO_GRE, "gre"}, {STMT_PROTO_ICMP6, "icmp6"}};
	const char *name = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == sel->proto)
			name = names[i].name;
	if (name)
		fprintf(f, " %s", name);
	else
		fprintf(f, " %u", (unsigned)sel->proto);
	if (tdo_stmt_proto_has_type(sel->proto))
		print_type(f, &sel->sport, &sel->dport);
	else if (sel->proto == STMT_PROTO_GRE && sel->sport.lo == sel->sport.hi)
		fprintf(f, " %" PRIu32, (uint32_t)sel->sport.lo << 16 | sel->dport.lo);
}

void
tdo_stmt_print_sel(FILE *f, const struct tdo_sel *sel)
{
	bool ports = !tdo_stmt_proto_has_type(sel->proto) && sel->proto != STMT_PROTO_GRE;

	print_range(f, &sel->src, sel->src_plen, ports ? &sel->sport : NULL);
	print_range(f, &sel->dst, sel->dst_plen, ports ? &sel->dport : NULL);
	print_upper(f, sel);
}

static void
print_extensions(FILE *f, const struct stmt_sa *a)
{
	if (a->mode != TDO_MODE_ANY)
		fprintf(f, " -m %s", tdo_policy_mode_name(a->mode));
	if (a->replay != 0)
		fprintf(f, " -r %" PRIu32, a->replay / 8);
	if (a->reqid != 0)
		fprintf(f, " -u %" PRIu32, a->reqid);
	if ((a->flags & TDO_SAF_PMASK) == TDO_SAF_PZERO)
		fputs(" -f zero-pad", f);
	if ((a->flags & TDO_SAF_PMASK) == TDO_SAF_PRAND)
		fputs(" -f random-pad", f);
	if (!(a->flags & TDO_SAF_CYCSEQ))
		fputs(" -f nocyclic-seq", f);
	if (a->flags & TDO_SAF_ESN)
		fputs(" -esn", f);
	print_lifetime(f, "h", &a->hard);
	print_lifetime(f, "s", &a->soft);
	if (a->natt.on) {
		fputs(" -natt", f);
		print_end(f, &a->natt.oai, a->natt.sport);
		print_end(f, &a->natt.oar, a->natt.dport);
	}
	if (a->natt.frag != 0)
		fprintf(f, " -natt_mtu %u", (unsigned)a->natt.frag);
	if (a->new_src.af != TDO_AF_NONE) {
		fputs(" -new", f);
		print_end(f, &a->new_src, 0);
		print_end(f, &a->new_dst, 0);
	}
	tdo_option_print(f, " -o ", &a->opt);
	if (a->has_sel) {
		fputs(" -sel", f);
		tdo_stmt_print_sel(f, &a->sel);
	}
}

/* The name as the user has to write it: flags select variants of an algorithm. */
static const char *
enc_name(const struct stmt_sa *a)
{
	if (a->flags & TDO_SAF_DERIV)
		return "des-deriv";
	if (a->flags & TDO_SAF_IV4B)
		return "des-32iv";
	return a->enc->name;
}

static void
print_algorithms(FILE *f, const struct stmt_sa *a)
{
	if (a->enc) {
		fprintf(f, " -E %s", enc_name(a));
		print_key(f, &a->ekey);
	}
	if (a->auth) {
		fprintf(f, " -A %s", a->auth->name);
		print_key(f, &a->akey);
	}
	if (a->comp != 0)
		fprintf(f, " -C %s%s", tdo_comp_alg(a->comp)->name,
		    a->flags & TDO_SAF_RAWCPI ? " -R" : "");
}

static void
print_sa(FILE *f, const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	const struct stmt_sa *a = &s->sa;
	char buf[TDO_ADDR_STRLEN];

	fputs(tdo_stmt_kind_name(s->kind), f);
	print_end(f, src, a->src.port);
	print_end(f, dst, a->dst.port);
	fprintf(f, " %s", a->proto->name);
	if (a->proto->udp && a->natt.oai.af != TDO_AF_NONE)
		fprintf(f, " %s", tdo_addr_str(&a->natt.oai, buf));
	if (s->kind != STMT_DELETEALL)
		fprintf(f, " %" PRIu32, a->spi);
	if (s->kind == STMT_ADD || s->kind == STMT_UPDATE || s->kind == STMT_GETSPI)
		print_extensions(f, a);
	print_algorithms(f, a);
	fputs(";\n", f);
}

static void
print_sp(FILE *f, const struct stmt *s)
{
	size_t len = tdo_policy_text_print(&s->sp.policy, " ", NULL, 0);
	char *text = malloc(len + 1);

	if (!text)
		return;
	tdo_policy_text_print(&s->sp.policy, " ", text, len + 1);
	fputs(tdo_stmt_kind_name(s->kind), f);
	tdo_stmt_print_sel(f, &s->sp.sel);
	tdo_option_print(f, " -o ", &s->sp.opt);
	fprintf(f, " -P %s;\n", text);
	free(text);
}

void
tdo_stmt_print(FILE *f, const struct stmt *s)
{
	switch (s->kind) {
	case STMT_FLUSH:
	case STMT_DUMP:
		fputs(tdo_stmt_kind_name(s->kind), f);
		if (s->sa.proto)
			fprintf(f, " %s", s->sa.proto->name);
		fputs(";\n", f);
		break;
	case STMT_SPDADD:
	case STMT_SPDUPDATE:
	case STMT_SPDDELETE:
		print_sp(f, s);
		break;
	case STMT_SPDFLUSH:
	case STMT_SPDDUMP:
		fprintf(f, "%s;\n", tdo_stmt_kind_name(s->kind));
		break;
	default:
		for (size_t i = 0; i < s->sa.src.n; i++)
			for (size_t j = 0; j < s->sa.dst.n; j++)
				if (s->sa.src.v[i].af == s->sa.dst.v[j].af)
					print_sa(f, s, &s->sa.src.v[i], &s->sa.dst.v[j]);
		break;
	}
}
