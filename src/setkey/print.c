/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for people, extension by extension. */
#include "setkey/print.h"

#include <inttypes.h>

#include "base/addr.h"
#include "wire/pfkey_msg.h"

void
tdo_print_hex(FILE *f, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x%s", p[i],
		    i + 1 == len || i % 16 == 15 ? "\n"
		    : i % 4 == 3                 ? "  "
						 : " ");
}

void
tdo_print_key_groups(FILE *f, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(
		    f, "%s%s%02x", i != 0 && i % 32 == 0 ? "\n" : "", i % 4 == 0 ? " " : "", p[i]);
}

static void
print_sa(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_sa sa;

	if (tdo_sadb_get_sa(m, &sa))
		fprintf(f,
		    "sadb_sa{ spi=%" PRIu32
		    " replay=%u state=%u auth=%u encrypt=%u flags=0x%08" PRIx32 " }\n",
		    sa.spi, sa.replay, sa.state, sa.auth, sa.encrypt, sa.flags);
}

static void
print_sa2(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_sa2 sa2;

	if (tdo_sadb_get_sa2(m, &sa2))
		fprintf(f, "sadb_x_sa2{ mode=%u reqid=%" PRIu32 " sequence=%" PRIu32 " }\n",
		    sa2.mode, sa2.reqid, sa2.sequence);
}

static void
print_lifetime(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	static const char *const names[] = {[TDO_SADB_EXT_LIFETIME_CURRENT] = "current",
	    [TDO_SADB_EXT_LIFETIME_HARD] = "hard",
	    [TDO_SADB_EXT_LIFETIME_SOFT] = "soft"};
	struct tdo_lifetime l;

	if (tdo_sadb_get_lifetime(m, ext, &l))
		fprintf(f,
		    "sadb_lifetime_%s{ alloc=%" PRIu64 " bytes=%" PRIu64 " addtime=%" PRIu64
		    " usetime=%" PRIu64 " }\n",
		    names[ext], l.allocations, l.bytes, l.addtime, l.usetime);
}

static void
print_address(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	static const char *const names[] = {[TDO_SADB_EXT_ADDRESS_SRC] = "address_src",
	    [TDO_SADB_EXT_ADDRESS_DST] = "address_dst",
	    [TDO_SADB_EXT_ADDRESS_PROXY] = "address_proxy",
	    [TDO_SADB_X_EXT_NAT_T_OAI] = "x_nat_t_oai",
	    [TDO_SADB_X_EXT_NAT_T_OAR] = "x_nat_t_oar",
	    [TDO_SADB_X_EXT_NEW_ADDRESS_SRC] = "x_new_address_src",
	    [TDO_SADB_X_EXT_NEW_ADDRESS_DST] = "x_new_address_dst"};
	struct tdo_sadb_address a;
	char buf[TDO_ADDR_STRLEN];

	if (tdo_sadb_get_address(m, ext, &a))
		fprintf(f, "sadb_%s{ proto=%u prefixlen=%u addr=%s port=%u }\n", names[ext],
		    a.proto, a.plen, tdo_addr_str(&a.addr, buf), a.port);
}

static void
print_key(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_key k;

	if (!tdo_sadb_get_key(m, ext, &k))
		return;
	fprintf(f, "sadb_key_%s{ bits=%u key=", ext == TDO_SADB_EXT_KEY_AUTH ? "auth" : "encrypt",
	    k.bits);
	for (unsigned i = 0; i < k.bits / 8u; i++)
		fprintf(f, "%02x", k.p[i]);
	fputs(" }\n", f);
}

static void
print_ident(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_ident id;

	if (!tdo_sadb_get_ident(m, ext, &id))
		return;
	fprintf(f, "sadb_ident_%s{ type=%u id=%" PRIu64 " text=\"",
	    ext == TDO_SADB_EXT_IDENTITY_SRC ? "src" : "dst", id.type, id.id);
	for (const char *c = id.text; *c; c++)
		fputc(*c >= ' ' && *c <= '~' ? *c : '?', f);
	fputs("\" }\n", f);
}

static void
print_policy(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_policy p;
	char src[TDO_ADDR_STRLEN], dst[TDO_ADDR_STRLEN];

	if (!tdo_sadb_get_policy(m, &p))
		return;
	fprintf(f,
	    "sadb_x_policy{ type=%u dir=%u flags=0x%02x id=%" PRIu32 " priority=%" PRIu32 " }\n",
	    p.type, p.dir, p.flags, p.id, p.prio);
	for (unsigned i = 0; i < p.nreq; i++) {
		const struct tdo_req *q = &p.req[i];

		fprintf(f, "  sadb_x_ipsecrequest{ proto=%u mode=%u level=%u reqid=%" PRIu32,
		    q->proto, q->mode, q->level, q->reqid);
		if (q->src.af != TDO_AF_NONE)
			fprintf(f, " src=%s dst=%s", tdo_addr_str(&q->src, src),
			    tdo_addr_str(&q->dst, dst));
		fputs(" }\n", f);
	}
}

static void
print_supported(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_alg a;

	fprintf(f, "sadb_supported_%s{\n", ext == TDO_SADB_EXT_SUPPORTED_AUTH ? "auth" : "encrypt");
	for (unsigned i = 0; tdo_sadb_get_supported(m, ext, i, &a); i++)
		fprintf(f, "  alg{ id=%u ivlen=%u min=%u max=%u }\n", a.id, a.ivlen, a.minbits,
		    a.maxbits);
	fputs("}\n", f);
}

static void
print_proposal(FILE *f, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_comb c;

	fputs("sadb_prop{\n", f);
	for (unsigned i = 0; tdo_sadb_get_comb(m, i, &c); i++)
		fprintf(f,
		    "  comb{ auth=%u %u-%u encrypt=%u %u-%u flags=0x%04x hard=%" PRIu64 "s,%" PRIu64
		    "bytes soft=%" PRIu64 "s,%" PRIu64 "bytes }\n",
		    c.auth, c.auth_minbits, c.auth_maxbits, c.encrypt, c.encrypt_minbits,
		    c.encrypt_maxbits, c.flags, c.hard.addtime, c.hard.bytes, c.soft.addtime,
		    c.soft.bytes);
	fputs("}\n", f);
}

static void
print_small(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_spirange range;
	uint32_t packets;
	uint16_t n;
	uint8_t type;

	if (ext == TDO_SADB_EXT_SPIRANGE && tdo_sadb_get_spirange(m, &range))
		fprintf(f, "sadb_spirange{ min=0x%08" PRIx32 " max=0x%08" PRIx32 " }\n", range.min,
		    range.max);
	else if (ext == TDO_SADB_X_EXT_SA_REPLAY && tdo_sadb_get_replay(m, &packets))
		fprintf(f, "sadb_x_sa_replay{ packets=%" PRIu32 " }\n", packets);
	else if (ext == TDO_SADB_X_EXT_NAT_T_TYPE && tdo_sadb_get_natt_type(m, &type))
		fprintf(f, "sadb_x_nat_t_type{ type=%u }\n", type);
	else if (ext == TDO_SADB_X_EXT_NAT_T_FRAG && tdo_sadb_get_natt_frag(m, &n))
		fprintf(f, "sadb_x_nat_t_frag{ fraglen=%u }\n", n);
	else if (ext == TDO_SADB_X_EXT_NAT_T_SPORT && tdo_sadb_get_natt_port(m, ext, &n))
		fprintf(f, "sadb_x_nat_t_sport{ port=%u }\n", n);
	else if (ext == TDO_SADB_X_EXT_NAT_T_DPORT && tdo_sadb_get_natt_port(m, ext, &n))
		fprintf(f, "sadb_x_nat_t_dport{ port=%u }\n", n);
	else
		fprintf(f, "sadb_ext{ type=%u len=%" PRIu32 " }\n", ext, m->ext[ext].len);
}

/* ---- extensions of testudo ---------------------------------------------------------- */

static void
print_tunnel(FILE *f, const char *name, const struct tdo_tunnel_opt *t)
{
	fprintf(f, "%s{ ecn=%u df=%u dscp=%u hop_limit=%u flow_label=%u", name, t->ecn, t->df,
	    t->dscp, t->hop_limit, t->flow_label);
}

static void
print_tdo_sel(FILE *f, const struct tdo_sel *s)
{
	char buf[TDO_ADDR_STRLEN];

	fprintf(f, "sadb_x_tdo_sel{ proto=%u src=%s/%u[%u-%u]", s->proto,
	    tdo_addr_str(&s->src, buf), s->src_plen, s->sport.lo, s->sport.hi);
	fprintf(f, " dst=%s/%u[%u-%u] }\n", tdo_addr_str(&s->dst, buf), s->dst_plen, s->dport.lo,
	    s->dport.hi);
}

/* packets: the least distance of the line's packets; lines of zeros are left out. */
static void
print_tdo_late(FILE *f, const struct tdo_late *l)
{
	fputs("sadb_x_tdo_late{\n", f);
	for (unsigned i = 0; i < TDO_LATE_BINS; i++)
		if (l->accepted[i] != 0 || l->dropped[i] != 0)
			fprintf(f,
			    "  late{ packets=%u accepted=%" PRIu64 " dropped=%" PRIu64 " }\n",
			    1u << i, l->accepted[i], l->dropped[i]);
	fputs("}\n", f);
}

static void
print_own(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	struct tdo_sadb_tdo_sa sa;
	struct tdo_sadb_tdo_sp sp;
	struct tdo_sel sel;
	struct tdo_late late;
	struct tdo_tfc tfc;
	struct tdo_sadb_tdo_why why;
	uint16_t mtu;

	if (ext == TDO_SADB_X_EXT_TDO_SA && tdo_sadb_get_tdo_sa(m, &sa)) {
		print_tunnel(f, "sadb_x_tdo_sa", &sa.tunnel);
		fprintf(f, " adaptive=%d align=%u cpu=%u window=%" PRIu32 " }\n", sa.adaptive,
		    sa.align, sa.cpu, sa.window);
	} else if (ext == TDO_SADB_X_EXT_TDO_SP && tdo_sadb_get_tdo_sp(m, &sp)) {
		print_tunnel(f, "sadb_x_tdo_sp", &sp.tunnel);
		fprintf(f, " hold=%d pfp=0x%02x", sp.hold, sp.pfp);
		for (unsigned i = 0; i < sp.nreq; i++)
			fprintf(f, "%s%" PRIu32, i == 0 ? " reqid=" : ",", sp.reqid[i]);
		fputs(" }\n", f);
	} else if (ext == TDO_SADB_X_EXT_TDO_SEL && tdo_sadb_get_tdo_sel(m, &sel)) {
		print_tdo_sel(f, &sel);
	} else if (ext == TDO_SADB_X_EXT_TDO_LATE && tdo_sadb_get_tdo_late(m, &late)) {
		print_tdo_late(f, &late);
	} else if (ext == TDO_SADB_X_EXT_TDO_TFC && tdo_sadb_get_tdo_tfc(m, &tfc)) {
		fprintf(f, "sadb_x_tdo_tfc{ pad=%u dummies=%u }\n", (unsigned)tfc.pad,
		    (unsigned)tfc.dummies);
	} else if (ext == TDO_SADB_X_EXT_TDO_WHY && tdo_sadb_get_tdo_why(m, &why)) {
		fprintf(f, "sadb_x_tdo_why{ ext=%u \"%s\" }\n", why.ext, why.text);
	} else if (ext == TDO_SADB_X_EXT_TDO_MTU && tdo_sadb_get_tdo_mtu(m, &mtu)) {
		fprintf(f, "sadb_x_tdo_mtu{ mtu=%u }\n", (unsigned)mtu);
	}
}

static void
print_ext(FILE *f, const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	if (tdo_sadb_ext_is_address(ext)) {
		print_address(f, m, ext);
		return;
	}
	switch (ext) {
	case TDO_SADB_EXT_SA:
		print_sa(f, m);
		break;
	case TDO_SADB_X_EXT_SA2:
		print_sa2(f, m);
		break;
	case TDO_SADB_EXT_LIFETIME_CURRENT:
	case TDO_SADB_EXT_LIFETIME_HARD:
	case TDO_SADB_EXT_LIFETIME_SOFT:
		print_lifetime(f, m, ext);
		break;
	case TDO_SADB_EXT_KEY_AUTH:
	case TDO_SADB_EXT_KEY_ENCRYPT:
		print_key(f, m, ext);
		break;
	case TDO_SADB_EXT_IDENTITY_SRC:
	case TDO_SADB_EXT_IDENTITY_DST:
		print_ident(f, m, ext);
		break;
	case TDO_SADB_EXT_PROPOSAL:
		print_proposal(f, m);
		break;
	case TDO_SADB_EXT_SUPPORTED_AUTH:
	case TDO_SADB_EXT_SUPPORTED_ENCRYPT:
		print_supported(f, m, ext);
		break;
	case TDO_SADB_X_EXT_POLICY:
		print_policy(f, m);
		break;
	case TDO_SADB_X_EXT_TDO_SA:
	case TDO_SADB_X_EXT_TDO_SEL:
	case TDO_SADB_X_EXT_TDO_SP:
	case TDO_SADB_X_EXT_TDO_LATE:
	case TDO_SADB_X_EXT_TDO_TFC:
	case TDO_SADB_X_EXT_TDO_WHY:
	case TDO_SADB_X_EXT_TDO_MTU:
		print_own(f, m, ext);
		break;
	default:
		print_small(f, m, ext);
		break;
	}
}

void
tdo_print_message(FILE *f, const uint8_t *msg, size_t len)
{
	struct tdo_sadb_msg m;
	struct tdo_sadb_err err;

	if (tdo_sadb_parse(msg, len, &m, &err) != 0) {
		fprintf(f, "malformed message of %zu bytes: %s\n", len, err.text);
		tdo_print_hex(f, msg, len);
		return;
	}
	fprintf(f,
	    "sadb_msg{ version=%d type=%u errno=%u satype=%u len=%zu reserved=%u seq=%" PRIu32
	    " pid=%" PRIu32 " } %s\n",
	    TDO_SADB_VERSION, m.base.type, m.base.err, m.base.satype, len / TDO_SADB_UNIT,
	    m.base.reserved, m.base.seq, m.base.pid, tdo_sadb_type_name(m.base.type));
	for (unsigned i = 0; i < m.next; i++)
		print_ext(f, &m, (enum tdo_sadb_ext_type)m.order[i]);
}
