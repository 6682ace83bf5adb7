/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Printers of database entries.  Scripts read this text: the blank at the end of an SA's
 * first line and of its state line, and the two blanks before a key, belong to it.
 */
#include "setkey/dump.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/ct.h"
#include "setkey/algname.h"
#include "setkey/option.h"
#include "setkey/print.h"
#include "testudo/comp.h"
#include "wire/policy_text.h"

#define DATE_STRLEN 32

/* "Jan 10 09:00:00 2027": 20 characters, all blank when there is no time. */
static const char *
date_str(uint64_t t, char *buf)
{
	time_t when = (time_t)t;
	struct tm tm;

	if (t == 0 || !localtime_r(&when, &tm) ||
	    strftime(buf, DATE_STRLEN, "%b %e %T %Y", &tm) == 0)
		snprintf(buf, DATE_STRLEN, "%20s", "");
	return buf;
}

static void
put_name(FILE *f, const char *name, unsigned value)
{
	if (name)
		fputs(name, f);
	else
		fprintf(f, "%u", value);
}

static const char *
satype_name(const struct tdo_sadb_msg *m)
{
	uint8_t natt = TDO_SADB_NATT_NONE;

	tdo_sadb_get_natt_type(m, &natt);
	switch (m->base.satype) {
	case TDO_SATYPE_AH:
		return "ah";
	case TDO_SATYPE_ESP:
		return natt == TDO_SADB_NATT_NONE ? "esp" : "esp-udp";
	case TDO_SATYPE_IPCOMP:
		return "ipcomp";
	case TDO_SADB_SATYPE_TCPSIGNATURE:
		return "tcp";
	default:
		return NULL;
	}
}

static const char *
state_name(unsigned state)
{
	static const char *const names[] = {"larval", "mature", "dying", "dead"};

	return state < 4 ? names[state] : NULL;
}

static void
put_sa_end(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext,
    enum tdo_sadb_ext_type natt, bool ports)
{
	struct tdo_sadb_address a = {0};
	char buf[TDO_ADDR_STRLEN];
	uint16_t port;

	tdo_sadb_get_address(m, ext, &a);
	port = a.port;
	ports = tdo_sadb_get_natt_port(m, natt, &port) || ports;
	fprintf(f, "%s", tdo_addr_str(&a.addr, buf));
	if (ports)
		fprintf(f, "[%u]", (unsigned)port);
	fputc(' ', f);
}

static void
put_natt(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_address a;
	char buf[TDO_ADDR_STRLEN];
	uint16_t frag;

	if (tdo_sadb_get_address(m, TDO_SADB_X_EXT_NAT_T_OAI, &a))
		fprintf(f, "\tNAT OA=%s\n", tdo_addr_str(&a.addr, buf));
	if (tdo_sadb_get_address(m, TDO_SADB_X_EXT_NAT_T_OAR, &a))
		fprintf(f, "\tNAT OAR=%s\n", tdo_addr_str(&a.addr, buf));
	if (tdo_sadb_get_natt_frag(m, &frag))
		fprintf(f, "\tNAT-T fragment=%u\n", (unsigned)frag);
}

/* An algorithm with its key; a client without privilege sees the algorithm alone. */
static void
put_alg(FILE *f, const char *letter, const char *name, unsigned number,
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_key k = {0};

	fprintf(f, "\t%s: ", letter);
	put_name(f, name, number);
	fputc(' ', f);
	if (tdo_sadb_get_key(m, ext, &k))
		tdo_print_key_groups(f, k.p, k.bits / 8u);
	fputc('\n', f);
}

static void
put_algs(FILE *f, const struct tdo_sadb_msg *m, const struct tdo_sadb_sa *sa)
{
	const struct tdo_comp_alg *comp = tdo_comp_alg(sa->encrypt);
	const struct tdo_alg *enc = tdo_alg_enc(sa->encrypt);

	if (m->base.satype == TDO_SATYPE_IPCOMP) {
		fputs("\tC: ", f);
		put_name(f, comp ? comp->name : NULL, sa->encrypt);
		fputc('\n', f);
		return;
	}
	if (sa->encrypt != 0)
		put_alg(f, "E", enc ? enc->name : NULL, sa->encrypt, m, TDO_SADB_EXT_KEY_ENCRYPT);
	/* Engines set an authentication number for AEADs, which has no key of its own. */
	if (sa->auth != 0 && !(enc && enc->kind == TDO_ALG_AEAD))
		put_alg(
		    f, "A", tdo_algname_auth_printed(sa->auth), sa->auth, m, TDO_SADB_EXT_KEY_AUTH);
}

static void
put_limits(FILE *f, const char *unit, uint64_t hard, uint64_t soft)
{
	fprintf(f, "\thard: %" PRIu64 "%s\tsoft: %" PRIu64 "%s\n", hard, unit, soft, unit);
}

static void
put_lifetimes(FILE *f, const struct tdo_sadb_msg *m, time_t now)
{
	struct tdo_lifetime cur, hard = {0}, soft = {0};
	char created[DATE_STRLEN], date[DATE_STRLEN];

	if (!tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_CURRENT, &cur))
		return;
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_HARD, &hard);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_SOFT, &soft);
	fprintf(f, "\tcreated: %s\tcurrent: %s\n", date_str(cur.addtime, created),
	    date_str((uint64_t)now, date));
	fprintf(f, "\tdiff: %" PRIu64 "(s)", cur.addtime == 0 ? 0 : (uint64_t)now - cur.addtime);
	put_limits(f, "(s)", hard.addtime, soft.addtime);
	fprintf(f, "\tlast: %s", date_str(cur.usetime, date));
	put_limits(f, "(s)", hard.usetime, soft.usetime);
	fprintf(f, "\tcurrent: %" PRIu64 "(bytes)", cur.bytes);
	put_limits(f, "(bytes)", hard.bytes, soft.bytes);
	fprintf(f, "\tallocated: %" PRIu64, cur.allocations);
	put_limits(f, "", hard.allocations, soft.allocations);
}

static uint64_t
sum(const uint64_t *v)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < TDO_LATE_BINS; i++)
		n += v[i];
	return n;
}

/* Lines that other systems do not have, only where there is something to say. */
static void
put_settings(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_tdo_sa own = {0};
	struct tdo_late late = {0};
	struct tdo_sel sel;
	struct stmt_opt o;

	tdo_sadb_get_tdo_sa(m, &own);
	o = (struct stmt_opt){
	    .tunnel = own.tunnel, .adaptive = own.adaptive, .cpu = own.cpu, .align = own.align};
	(void)tdo_sadb_get_tdo_tfc(m, &o.tfc);
	(void)tdo_sadb_get_tdo_mtu(m, &o.mtu);
	if (!tdo_option_none(&o)) {
		fputs("\toptions:", f);
		tdo_option_print(f, " ", &o);
		fputc('\n', f);
	}
	if (own.adaptive) {
		tdo_sadb_get_tdo_late(m, &late);
		fprintf(f,
		    "\twindow: %" PRIu32 "(packets)\tlate: %" PRIu64 "\tdropped: %" PRIu64 "\n",
		    own.window, sum(late.accepted), sum(late.dropped));
	}
	if (tdo_sadb_get_tdo_sel(m, &sel)) {
		fputs("\tselectors:", f);
		tdo_stmt_print_sel(f, &sel);
		fputc('\n', f);
	}
}

void
tdo_dump_sa(FILE *f, const struct tdo_sadb_msg *m, time_t now, bool ports)
{
	struct tdo_sadb_sa sa = {0};
	struct tdo_sadb_sa2 sa2 = {0};
	uint32_t packets;

	tdo_sadb_get_sa(m, &sa);
	tdo_sadb_get_sa2(m, &sa2);
	if (!tdo_sadb_get_replay(m, &packets))
		packets = sa.replay * 8u;
	put_sa_end(f, m, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_X_EXT_NAT_T_SPORT, ports);
	put_sa_end(f, m, TDO_SADB_EXT_ADDRESS_DST, TDO_SADB_X_EXT_NAT_T_DPORT, ports);
	fputs("\n\t", f);
	put_name(f, satype_name(m), m->base.satype);
	fputs(" mode=", f);
	put_name(f, tdo_policy_mode_name(sa2.mode), sa2.mode);
	fprintf(f, " spi=%" PRIu32 "(0x%08" PRIx32 ") reqid=%" PRIu32 "(0x%08" PRIx32 ")\n", sa.spi,
	    sa.spi, sa2.reqid, sa2.reqid);
	put_natt(f, m);
	put_algs(f, m, &sa);
	fprintf(f,
	    "\tseq=0x%08" PRIx32 " replay=%" PRIu32 " flags=0x%08" PRIx32 " state=", sa2.sequence,
	    packets / 8, sa.flags);
	put_name(f, state_name(sa.state), sa.state);
	fputs(" \n", f);
	put_lifetimes(f, m, now);
	put_settings(f, m);
	fprintf(f, "\tsadb_seq=%" PRIu32 " pid=%" PRIu32 " refcnt=%u\n", m->base.seq, m->base.pid,
	    (unsigned)m->base.reserved);
}

/* Time, protocol, state, SPI, seconds that are left (of the hard lifetime), addresses. */
void
tdo_dump_sa_line(FILE *f, const struct tdo_sadb_msg *m, time_t now)
{
	static const char states[] = "LMDd";
	struct tdo_sadb_sa sa = {0};
	struct tdo_sadb_address src = {0}, dst = {0};
	struct tdo_lifetime cur = {0}, hard = {0};
	char a[TDO_ADDR_STRLEN], b[TDO_ADDR_STRLEN], when[16] = "";
	uint64_t age;
	struct tm tm;

	tdo_sadb_get_sa(m, &sa);
	tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_SRC, &src);
	tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_DST, &dst);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_CURRENT, &cur);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_HARD, &hard);
	age = cur.addtime != 0 && (uint64_t)now > cur.addtime ? (uint64_t)now - cur.addtime : 0;
	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%T", &tm);
	fprintf(f, "%s %c %c 0x%08" PRIx32 " %" PRIu64, when,
	    m->base.satype == TDO_SATYPE_AH       ? 'A'
	    : m->base.satype == TDO_SATYPE_IPCOMP ? 'I'
						  : 'E',
	    sa.state < 4 ? states[sa.state] : '?', sa.spi, age);
	if (hard.addtime != 0)
		fprintf(f, "/%" PRIu64, hard.addtime);
	fprintf(f, " %s -> %s\n", tdo_addr_str(&src.addr, a), tdo_addr_str(&dst.addr, b));
}

/* ---- policies ----------------------------------------------------------------------- */

/* As in statements, where the port 0 alone is the wildcard, but a type is not. */
static void
put_range(FILE *f, const struct tdo_range *r, bool port)
{
	if (tdo_stmt_range_any(r))
		fputs("any", f);
	else if (r->lo == r->hi && (r->lo != 0 || !port))
		fprintf(f, "%u", (unsigned)r->lo);
	else
		fprintf(f, "%u-%u", (unsigned)r->lo, (unsigned)r->hi);
}

static void
put_sp_end(FILE *f, const struct tdo_addr *a, unsigned plen, const struct tdo_range *port)
{
	char buf[TDO_ADDR_STRLEN];

	fputs(tdo_addr_str(a, buf), f);
	if (plen != tdo_af_bits(a->af))
		fprintf(f, "/%u", plen);
	if (port) {
		fputc('[', f);
		put_range(f, port, true);
		fputc(']', f);
	}
	fputc(' ', f);
}

static void
put_upper(FILE *f, const struct tdo_sel *sel, const struct names *names)
{
	char buf[64];
	const char *name = names->proto_name(names->ctx, sel->proto, buf, sizeof(buf));

	if (name)
		fprintf(f, "%u(%s)", (unsigned)sel->proto, name);
	else
		fprintf(f, "%u", (unsigned)sel->proto);
	if (tdo_stmt_range_any(&sel->sport) && tdo_stmt_range_any(&sel->dport))
		return;
	if (tdo_stmt_proto_has_type(sel->proto)) {
		fputc(' ', f);
		put_range(f, &sel->sport, false);
		fputc(',', f);
		put_range(f, &sel->dport, false);
	} else if (sel->proto == STMT_PROTO_GRE) {
		fprintf(f, " %" PRIu32, (uint32_t)sel->sport.lo << 16 | sel->dport.lo);
	}
}

static void
put_selectors(FILE *f, const struct tdo_sadb_msg *m, const struct names *names)
{
	struct tdo_sel sel;
	bool ports;

	if (tdo_sadb_get_sel(m, &sel, NULL) != 0) {
		fputs("(no selector, probably per-socket policy)\n", f);
		return;
	}
	ports = !tdo_stmt_proto_has_type(sel.proto) && sel.proto != STMT_PROTO_GRE;
	put_sp_end(f, &sel.src, sel.src_plen, ports ? &sel.sport : NULL);
	put_sp_end(f, &sel.dst, sel.dst_plen, ports ? &sel.dport : NULL);
	put_upper(f, &sel, names);
	fputc('\n', f);
}

/* The line that other systems do not have. */
static void
put_sp_settings(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_tdo_sp own;
	struct stmt_opt o;

	if (!tdo_sadb_get_tdo_sp(m, &own))
		return;
	o = (struct stmt_opt){.tunnel = own.tunnel, .hold = own.hold, .pfp = own.pfp};
	if (tdo_option_none(&o))
		return;
	fputs("\toptions:", f);
	tdo_option_print(f, " ", &o);
	fputc('\n', f);
}

static void
put_policy(FILE *f, const struct tdo_sadb_policy *p)
{
	struct tdo_policy_text t = {
	    .sp = {.dir = p->dir, .type = p->type, .nreq = p->nreq, .prio = p->prio}};
	size_t len;
	char *text;

	memcpy(t.sp.req, p->req, sizeof(t.sp.req));
	len = tdo_policy_text_print(&t, "\n\t", NULL, 0);
	text = malloc(len + 1);
	if (!text)
		return;
	tdo_policy_text_print(&t, "\n\t", text, len + 1);
	fprintf(f, "\t%s\n", text);
	free(text);
}

void
tdo_dump_sp(FILE *f, const struct tdo_sadb_msg *m, const struct names *names)
{
	struct tdo_sadb_policy p = {0};
	struct tdo_lifetime cur = {0}, hard = {0};
	char created[DATE_STRLEN], used[DATE_STRLEN];

	tdo_sadb_get_policy(m, &p);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_CURRENT, &cur);
	tdo_sadb_get_lifetime(m, TDO_SADB_EXT_LIFETIME_HARD, &hard);
	put_selectors(f, m, names);
	put_policy(f, &p);
	fprintf(f, "\tcreated: %s  lastused: %s\n", date_str(cur.addtime, created),
	    date_str(cur.usetime, used));
	fprintf(f, "\tlifetime: %" PRIu64 "(s) validtime: %" PRIu64 "(s)\n", hard.addtime,
	    hard.usetime);
	put_sp_settings(f, m);
	fprintf(f, "\tspid=%" PRIu32 " seq=%" PRIu32 " pid=%" PRIu32 "\n\trefcnt=%u\n", p.id,
	    m->base.seq, m->base.pid, (unsigned)m->base.reserved);
}
