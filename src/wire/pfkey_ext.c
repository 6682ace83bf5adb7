/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PF_KEY extensions one by one: a decoder for each format, which checks all of it.  The
 * parser runs the decoder of every extension once; the getters run it again for the
 * values and cannot fail then.
 */
#include "wire/pfkey_ext.h"

#include <errno.h>

#include "base/addr.h"
#include "base/rd.h"
#include "wire/ip.h"

/* A decoder returns NULL, or what is wrong.  *ret is unspecified then. */

static struct tdo_rd
body(const struct tdo_sadb_ext *e)
{
	struct tdo_rd r = tdo_rd_init(e->p, e->len);

	tdo_rd_bytes(&r, TDO_SADB_HDR_LEN);
	return r;
}

static const char *
decode_sa(const struct tdo_sadb_ext *e, struct tdo_sadb_sa *ret)
{
	struct tdo_rd r = body(e);

	ret->spi = tdo_rd_be32(&r);
	ret->replay = tdo_rd_u8(&r);
	ret->state = tdo_rd_u8(&r);
	ret->auth = tdo_rd_u8(&r);
	ret->encrypt = tdo_rd_u8(&r);
	ret->flags = tdo_rd_h32(&r);
	return NULL;
}

static const char *
decode_sa2(const struct tdo_sadb_ext *e, struct tdo_sadb_sa2 *ret)
{
	struct tdo_rd r = body(e);

	ret->mode = tdo_rd_u8(&r);
	tdo_rd_bytes(&r, 3);
	ret->sequence = tdo_rd_h32(&r);
	ret->reqid = tdo_rd_h32(&r);
	return ret->mode > TDO_MODE_TUNNEL ? "mode is not any, transport or tunnel" : NULL;
}

static const char *
decode_lifetime(const struct tdo_sadb_ext *e, struct tdo_lifetime *ret)
{
	struct tdo_rd r = body(e);

	ret->allocations = tdo_rd_h32(&r);
	ret->bytes = tdo_rd_h64(&r);
	ret->addtime = tdo_rd_h64(&r);
	ret->usetime = tdo_rd_h64(&r);
	return NULL;
}

static struct tdo_sadb_sockaddr
bad_sockaddr(int err, const char *text)
{
	return (struct tdo_sadb_sockaddr){.wrong = text, .err = err};
}

struct tdo_sadb_sockaddr
tdo_sadb_rd_sockaddr(struct tdo_rd *r)
{
	static const char length[] = "socket address has the wrong length for its family";
	struct tdo_sadb_sockaddr s = {0};
	struct tdo_rd sa;
	uint8_t len, family;

	if (r->bad || r->left < 2)
		return bad_sockaddr(EINVAL, "socket address is missing");
	len = r->p[0];
	family = r->p[1];
	sa = tdo_rd_sub(r, len);
	if (!tdo_rd_ok(&sa))
		return bad_sockaddr(EINVAL, "socket address is longer than what is left");
	tdo_rd_bytes(&sa, 2);
	s.port = tdo_rd_be16(&sa);
	switch (family) {
	case TDO_SADB_AF_INET:
		if (len != TDO_SADB_SIN_LEN)
			return bad_sockaddr(EINVAL, length);
		s.addr = tdo_addr_make(TDO_AF_INET, sa.p);
		return s;
	case TDO_SADB_AF_INET6:
		if (len != TDO_SADB_SIN6_LEN)
			return bad_sockaddr(EINVAL, length);
		tdo_rd_h32(&sa); /* flow information */
		s.addr = tdo_addr_make(TDO_AF_INET6, sa.p);
		return s;
	case TDO_SADB_AF_UNSPEC:
		if (len != TDO_SADB_SIN_LEN && len != TDO_SADB_SIN6_LEN && len != TDO_SADB_SS_LEN)
			return bad_sockaddr(EINVAL, length);
		s.port = 0;
		return s;
	default:
		return bad_sockaddr(EAFNOSUPPORT, "address family is neither INET nor INET6");
	}
}

static const char *
decode_address(const struct tdo_sadb_ext *e, struct tdo_sadb_address *ret, int *ret_err)
{
	struct tdo_rd r = body(e);
	struct tdo_sadb_sockaddr s;
	uint8_t proto = tdo_rd_u8(&r);

	ret->plen = tdo_rd_u8(&r);
	tdo_rd_h16(&r);
	s = tdo_sadb_rd_sockaddr(&r);
	if (s.wrong) {
		*ret_err = s.err;
		return s.wrong;
	}
	if (s.addr.af == TDO_AF_NONE) {
		*ret_err = EAFNOSUPPORT;
		return "address family is neither INET nor INET6";
	}
	if (ret->plen > tdo_af_bits(s.addr.af))
		return "prefix is longer than the address";
	if (r.left >= TDO_SADB_UNIT)
		return "extension is longer than its socket address";
	ret->proto = proto == 0 ? TDO_PROTO_ANY : proto;
	ret->addr = s.addr;
	ret->port = s.port;
	return NULL;
}

static const char *
decode_key(const struct tdo_sadb_ext *e, struct tdo_sadb_key *ret)
{
	struct tdo_rd r = body(e);

	ret->bits = tdo_rd_h16(&r);
	tdo_rd_h16(&r);
	if (ret->bits % 8 != 0)
		return "key is not a whole number of bytes";
	if (ret->bits / 8 > TDO_KEY_MAX)
		return "key is longer than that of any algorithm";
	ret->p = tdo_rd_bytes(&r, ret->bits / 8);
	return ret->p ? NULL : "key bits are longer than the extension";
}

static const char *
decode_ident(const struct tdo_sadb_ext *e, struct tdo_sadb_ident *ret)
{
	struct tdo_rd r = body(e);

	ret->type = tdo_rd_h16(&r);
	tdo_rd_h16(&r);
	ret->id = tdo_rd_h64(&r);
	ret->text = "";
	if (ret->type > TDO_SADB_IDENT_ADDR)
		return "identity type is unknown";
	if (r.left == 0)
		return NULL;
	if (!memchr(r.p, 0, r.left))
		return "identity has no NUL at its end";
	ret->text = (const char *)r.p;
	return NULL;
}

static const char *
decode_sens(const struct tdo_sadb_ext *e)
{
	struct tdo_rd r = body(e);
	unsigned sens, integ;

	tdo_rd_h32(&r); /* domain */
	tdo_rd_u8(&r);
	sens = tdo_rd_u8(&r); /* lengths of the bitmaps in 8-byte units */
	tdo_rd_u8(&r);
	integ = tdo_rd_u8(&r);
	tdo_rd_h32(&r);
	if ((size_t)(sens + integ) * TDO_SADB_UNIT != r.left)
		return "bitmaps do not fill the extension";
	return NULL;
}

static const char *
decode_spirange(const struct tdo_sadb_ext *e, struct tdo_sadb_spirange *ret)
{
	struct tdo_rd r = body(e);

	ret->min = tdo_rd_h32(&r);
	ret->max = tdo_rd_h32(&r);
	return ret->min > ret->max ? "lowest SPI is above the highest" : NULL;
}

/* ---- policies ----------------------------------------------------------------------- */

/* sadb_x_ipsecrequest_len counts bytes; the two addresses follow each other directly. */
static const char *
decode_request(struct tdo_rd *r, struct tdo_req *ret, int *ret_err)
{
	struct tdo_rd q = *r;
	struct tdo_sadb_sockaddr a;
	uint16_t proto, len = tdo_rd_h16(&q);

	if (len < TDO_SADB_REQUEST_LEN || len % TDO_SADB_UNIT != 0)
		return "request length is not a multiple of 8";
	q = tdo_rd_sub(r, len);
	if (!tdo_rd_ok(&q))
		return "request is longer than the extension";
	tdo_rd_h16(&q);
	*ret = (struct tdo_req){0};
	proto = tdo_rd_h16(&q);
	ret->proto = (uint8_t)proto;
	ret->mode = tdo_rd_u8(&q);
	ret->level = tdo_rd_u8(&q);
	ret->reqid = tdo_rd_h16(&q);
	if (proto != TDO_IPPROTO_ESP && proto != TDO_IPPROTO_AH && proto != TDO_IPPROTO_IPCOMP)
		return "request's protocol is not ESP, AH or IPComp";
	if (ret->mode > TDO_MODE_TUNNEL)
		return "request's mode is not any, transport or tunnel";
	if (ret->level > TDO_LEVEL_UNIQUE)
		return "request's level is unknown";
	if (q.left == 0)
		return NULL;
	a = tdo_sadb_rd_sockaddr(&q);
	ret->src = a.addr;
	ret->sport = a.port;
	if (!a.wrong) {
		a = tdo_sadb_rd_sockaddr(&q);
		ret->dst = a.addr;
		ret->dport = a.port;
	}
	if (a.wrong) {
		*ret_err = a.err;
		return a.wrong;
	}
	return q.left < TDO_SADB_UNIT ? NULL : "request is longer than its addresses";
}

static const char *
decode_policy(const struct tdo_sadb_ext *e, struct tdo_sadb_policy *ret, int *ret_err)
{
	struct tdo_rd r = body(e);
	uint16_t type = tdo_rd_h16(&r);

	*ret = (struct tdo_sadb_policy){.type = (uint8_t)type};
	ret->dir = tdo_rd_u8(&r);
	ret->flags = tdo_rd_u8(&r);
	ret->id = tdo_rd_h32(&r);
	ret->prio = tdo_rd_h32(&r);
	if (ret->prio == 0)
		ret->prio = TDO_PRIO_DEFAULT;
	if (type > TDO_POLICY_BYPASS)
		return "policy type is unknown";
	if (ret->dir > TDO_DIR_OUT)
		return "direction is not any, in or out";
	if (type != TDO_POLICY_IPSEC && r.left > 0)
		return "requests in a policy that is not of type ipsec";
	while (r.left > 0) {
		const char *wrong;

		if (ret->nreq == TDO_REQ_MAX)
			return "more requests than a policy can have";
		wrong = decode_request(&r, &ret->req[ret->nreq], ret_err);
		if (wrong)
			return wrong;
		ret->nreq++;
	}
	return NULL;
}

/* ---- lists -------------------------------------------------------------------------- */

static const char *
check_list(const struct tdo_sadb_ext *e, size_t head, size_t item)
{
	return (e->len - head) % item == 0 ? NULL : "extension is no whole number of entries";
}

static const char *
check_natt_type(const struct tdo_sadb_ext *e)
{
	return e->p[TDO_SADB_HDR_LEN] > TDO_SADB_NATT_ESPINUDP ? "NAT-T type is unknown" : NULL;
}

/* ---- checking ----------------------------------------------------------------------- */

struct format {
	const char *name;
	uint8_t min; /* bytes; 0: may not appear */
	bool exact;
};

static const struct format formats[TDO_SADB_EXT_MAX + 1] = {
    [TDO_SADB_EXT_RESERVED] = {"SADB_EXT_RESERVED", 0, false},
    [TDO_SADB_EXT_SA] = {"SADB_EXT_SA", TDO_SADB_SA_LEN, true},
    [TDO_SADB_EXT_LIFETIME_CURRENT] = {"SADB_EXT_LIFETIME_CURRENT", TDO_SADB_LIFETIME_LEN, true},
    [TDO_SADB_EXT_LIFETIME_HARD] = {"SADB_EXT_LIFETIME_HARD", TDO_SADB_LIFETIME_LEN, true},
    [TDO_SADB_EXT_LIFETIME_SOFT] = {"SADB_EXT_LIFETIME_SOFT", TDO_SADB_LIFETIME_LEN, true},
    [TDO_SADB_EXT_ADDRESS_SRC] = {"SADB_EXT_ADDRESS_SRC", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_EXT_ADDRESS_DST] = {"SADB_EXT_ADDRESS_DST", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_EXT_ADDRESS_PROXY] = {"SADB_EXT_ADDRESS_PROXY", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_EXT_KEY_AUTH] = {"SADB_EXT_KEY_AUTH", TDO_SADB_KEY_LEN, false},
    [TDO_SADB_EXT_KEY_ENCRYPT] = {"SADB_EXT_KEY_ENCRYPT", TDO_SADB_KEY_LEN, false},
    [TDO_SADB_EXT_IDENTITY_SRC] = {"SADB_EXT_IDENTITY_SRC", TDO_SADB_IDENT_LEN, false},
    [TDO_SADB_EXT_IDENTITY_DST] = {"SADB_EXT_IDENTITY_DST", TDO_SADB_IDENT_LEN, false},
    [TDO_SADB_EXT_SENSITIVITY] = {"SADB_EXT_SENSITIVITY", TDO_SADB_SENS_LEN, false},
    [TDO_SADB_EXT_PROPOSAL] = {"SADB_EXT_PROPOSAL", TDO_SADB_PROP_LEN, false},
    [TDO_SADB_EXT_SUPPORTED_AUTH] = {"SADB_EXT_SUPPORTED_AUTH", TDO_SADB_SUPPORTED_LEN, false},
    [TDO_SADB_EXT_SUPPORTED_ENCRYPT] = {"SADB_EXT_SUPPORTED_ENCRYPT", TDO_SADB_SUPPORTED_LEN,
	false},
    [TDO_SADB_EXT_SPIRANGE] = {"SADB_EXT_SPIRANGE", TDO_SADB_SPIRANGE_LEN, true},
    [TDO_SADB_X_EXT_KMPRIVATE] = {"SADB_X_EXT_KMPRIVATE", 0, false},
    [TDO_SADB_X_EXT_POLICY] = {"SADB_X_EXT_POLICY", TDO_SADB_POLICY_LEN, false},
    [TDO_SADB_X_EXT_SA2] = {"SADB_X_EXT_SA2", TDO_SADB_SA2_LEN, true},
    [TDO_SADB_X_EXT_NAT_T_TYPE] = {"SADB_X_EXT_NAT_T_TYPE", TDO_SADB_NATT_LEN, true},
    [TDO_SADB_X_EXT_NAT_T_SPORT] = {"SADB_X_EXT_NAT_T_SPORT", TDO_SADB_NATT_LEN, true},
    [TDO_SADB_X_EXT_NAT_T_DPORT] = {"SADB_X_EXT_NAT_T_DPORT", TDO_SADB_NATT_LEN, true},
    [TDO_SADB_X_EXT_NAT_T_OAI] = {"SADB_X_EXT_NAT_T_OAI", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_X_EXT_NAT_T_OAR] = {"SADB_X_EXT_NAT_T_OAR", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_X_EXT_NAT_T_FRAG] = {"SADB_X_EXT_NAT_T_FRAG", TDO_SADB_NATT_LEN, true},
    [TDO_SADB_X_EXT_SA_REPLAY] = {"SADB_X_EXT_SA_REPLAY", TDO_SADB_REPLAY_LEN, true},
    [TDO_SADB_X_EXT_NEW_ADDRESS_SRC] = {"SADB_X_EXT_NEW_ADDRESS_SRC", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_X_EXT_NEW_ADDRESS_DST] = {"SADB_X_EXT_NEW_ADDRESS_DST", TDO_SADB_ADDRESS_LEN, false},
    [TDO_SADB_X_EXT_TDO_SA] = {"SADB_X_EXT_TDO_SA", TDO_SADB_TDO_SA_LEN, true},
    [TDO_SADB_X_EXT_TDO_SEL] = {"SADB_X_EXT_TDO_SEL", TDO_SADB_TDO_SEL_LEN, false},
    [TDO_SADB_X_EXT_TDO_SP] = {"SADB_X_EXT_TDO_SP", TDO_SADB_TDO_SP_LEN, false},
    [TDO_SADB_X_EXT_TDO_LATE] = {"SADB_X_EXT_TDO_LATE", TDO_SADB_TDO_LATE_LEN, false},
    [TDO_SADB_X_EXT_TDO_TFC] = {"SADB_X_EXT_TDO_TFC", TDO_SADB_TDO_TFC_LEN, true},
    [TDO_SADB_X_EXT_TDO_WHY] = {"SADB_X_EXT_TDO_WHY", TDO_SADB_TDO_WHY_LEN, false},
    [TDO_SADB_X_EXT_TDO_MTU] = {"SADB_X_EXT_TDO_MTU", TDO_SADB_TDO_MTU_LEN, true},
};

bool
tdo_sadb_ext_known(unsigned type)
{
	return type <= TDO_SADB_EXT_MAX && formats[type].name != NULL;
}

bool
tdo_sadb_ext_is_address(unsigned type)
{
	switch (type) {
	case TDO_SADB_EXT_ADDRESS_SRC:
	case TDO_SADB_EXT_ADDRESS_DST:
	case TDO_SADB_EXT_ADDRESS_PROXY:
	case TDO_SADB_X_EXT_NAT_T_OAI:
	case TDO_SADB_X_EXT_NAT_T_OAR:
	case TDO_SADB_X_EXT_NEW_ADDRESS_SRC:
	case TDO_SADB_X_EXT_NEW_ADDRESS_DST:
		return true;
	default:
		return false;
	}
}

const char *
tdo_sadb_ext_name(unsigned ext)
{
	return tdo_sadb_ext_known(ext) ? formats[ext].name : "unknown extension";
}

/* Decodes for the checks alone; *ret_err is changed where the errno is not EINVAL. */
static const char *
check_contents(unsigned type, const struct tdo_sadb_ext *e, int *ret_err)
{
	union {
		struct tdo_sadb_address address;
		struct tdo_sadb_key key;
		struct tdo_sadb_ident ident;
		struct tdo_sadb_spirange range;
		struct tdo_sadb_policy policy;
		struct tdo_sadb_sa2 sa2;
	} u;

	if (tdo_sadb_ext_is_address(type))
		return decode_address(e, &u.address, ret_err);
	switch (type) {
	case TDO_SADB_EXT_KEY_AUTH:
	case TDO_SADB_EXT_KEY_ENCRYPT:
		return decode_key(e, &u.key);
	case TDO_SADB_EXT_IDENTITY_SRC:
	case TDO_SADB_EXT_IDENTITY_DST:
		return decode_ident(e, &u.ident);
	case TDO_SADB_EXT_SENSITIVITY:
		return decode_sens(e);
	case TDO_SADB_EXT_PROPOSAL:
		return check_list(e, TDO_SADB_PROP_LEN, TDO_SADB_COMB_LEN);
	case TDO_SADB_EXT_SPIRANGE:
		return decode_spirange(e, &u.range);
	case TDO_SADB_X_EXT_POLICY:
		return decode_policy(e, &u.policy, ret_err);
	case TDO_SADB_X_EXT_SA2:
		return decode_sa2(e, &u.sa2);
	case TDO_SADB_X_EXT_NAT_T_TYPE:
		return check_natt_type(e);
	default:
		return tdo_sadb_own_check(type, e, ret_err);
	}
}

int
tdo_sadb_ext_check(unsigned type, const struct tdo_sadb_ext *ext, const char **ret_text)
{
	const struct format *f;
	const char *wrong;
	int err = EINVAL;

	if (type == 0 || type > TDO_SADB_EXT_MAX || formats[type].min == 0) {
		*ret_text = "extension type is unknown";
		return -EINVAL;
	}
	f = &formats[type];
	if (ext->len < f->min || (f->exact && ext->len != f->min)) {
		*ret_text = "extension has the wrong length";
		return -EINVAL;
	}
	wrong = check_contents(type, ext, &err);
	if (wrong) {
		*ret_text = wrong;
		return -err;
	}
	return 0;
}

/* ---- getters ------------------------------------------------------------------------ */

bool
tdo_sadb_get_sa(const struct tdo_sadb_msg *m, struct tdo_sadb_sa *ret)
{
	return tdo_sadb_has(m, TDO_SADB_EXT_SA) && !decode_sa(&m->ext[TDO_SADB_EXT_SA], ret);
}

bool
tdo_sadb_get_sa2(const struct tdo_sadb_msg *m, struct tdo_sadb_sa2 *ret)
{
	return tdo_sadb_has(m, TDO_SADB_X_EXT_SA2) && !decode_sa2(&m->ext[TDO_SADB_X_EXT_SA2], ret);
}

bool
tdo_sadb_get_lifetime(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_lifetime *ret)
{
	return tdo_sadb_has(m, ext) && !decode_lifetime(&m->ext[ext], ret);
}

bool
tdo_sadb_get_address(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_address *ret)
{
	int err;

	return tdo_sadb_has(m, ext) && !decode_address(&m->ext[ext], ret, &err);
}

bool
tdo_sadb_get_key(const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_key *ret)
{
	return tdo_sadb_has(m, ext) && !decode_key(&m->ext[ext], ret);
}

bool
tdo_sadb_get_ident(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_ident *ret)
{
	return tdo_sadb_has(m, ext) && !decode_ident(&m->ext[ext], ret);
}

bool
tdo_sadb_get_spirange(const struct tdo_sadb_msg *m, struct tdo_sadb_spirange *ret)
{
	return tdo_sadb_has(m, TDO_SADB_EXT_SPIRANGE) &&
	       !decode_spirange(&m->ext[TDO_SADB_EXT_SPIRANGE], ret);
}

bool
tdo_sadb_get_policy(const struct tdo_sadb_msg *m, struct tdo_sadb_policy *ret)
{
	struct tdo_sadb_tdo_sp own;
	int err;

	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_POLICY) ||
	    decode_policy(&m->ext[TDO_SADB_X_EXT_POLICY], ret, &err))
		return false;
	if (tdo_sadb_get_tdo_sp(m, &own) && own.nreq == ret->nreq)
		for (unsigned i = 0; i < own.nreq; i++)
			if (own.reqid[i] != 0)
				ret->req[i].reqid = own.reqid[i];
	return true;
}

bool
tdo_sadb_get_replay(const struct tdo_sadb_msg *m, uint32_t *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_SA_REPLAY))
		return false;
	r = body(&m->ext[TDO_SADB_X_EXT_SA_REPLAY]);
	*ret = tdo_rd_h32(&r);
	return true;
}

bool
tdo_sadb_get_natt_type(const struct tdo_sadb_msg *m, uint8_t *ret)
{
	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_TYPE))
		return false;
	*ret = m->ext[TDO_SADB_X_EXT_NAT_T_TYPE].p[TDO_SADB_HDR_LEN];
	return true;
}

bool
tdo_sadb_get_natt_port(const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, uint16_t *ret)
{
	if (!tdo_sadb_has(m, ext))
		return false;
	*ret = tdo_be16(m->ext[ext].p + TDO_SADB_HDR_LEN);
	return true;
}

bool
tdo_sadb_get_natt_frag(const struct tdo_sadb_msg *m, uint16_t *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, TDO_SADB_X_EXT_NAT_T_FRAG))
		return false;
	r = body(&m->ext[TDO_SADB_X_EXT_NAT_T_FRAG]);
	*ret = tdo_rd_h16(&r);
	return true;
}

bool
tdo_sadb_get_supported(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, unsigned i, struct tdo_sadb_alg *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, ext))
		return false;
	r = tdo_rd_init(m->ext[ext].p, m->ext[ext].len);
	tdo_rd_bytes(&r, TDO_SADB_SUPPORTED_LEN);
	if (i >= r.left / TDO_SADB_ALG_LEN)
		return false;
	tdo_rd_bytes(&r, (size_t)i * TDO_SADB_ALG_LEN);
	ret->id = tdo_rd_u8(&r);
	ret->ivlen = tdo_rd_u8(&r);
	ret->minbits = tdo_rd_h16(&r);
	ret->maxbits = tdo_rd_h16(&r);
	return true;
}

bool
tdo_sadb_get_comb(const struct tdo_sadb_msg *m, unsigned i, struct tdo_sadb_comb *ret)
{
	struct tdo_rd r;

	if (!tdo_sadb_has(m, TDO_SADB_EXT_PROPOSAL))
		return false;
	r = tdo_rd_init(m->ext[TDO_SADB_EXT_PROPOSAL].p, m->ext[TDO_SADB_EXT_PROPOSAL].len);
	tdo_rd_bytes(&r, TDO_SADB_PROP_LEN);
	if (i >= r.left / TDO_SADB_COMB_LEN)
		return false;
	tdo_rd_bytes(&r, (size_t)i * TDO_SADB_COMB_LEN);
	ret->auth = tdo_rd_u8(&r);
	ret->encrypt = tdo_rd_u8(&r);
	ret->flags = tdo_rd_h16(&r);
	ret->auth_minbits = tdo_rd_h16(&r);
	ret->auth_maxbits = tdo_rd_h16(&r);
	ret->encrypt_minbits = tdo_rd_h16(&r);
	ret->encrypt_maxbits = tdo_rd_h16(&r);
	tdo_rd_h32(&r);
	ret->soft.allocations = tdo_rd_h32(&r);
	ret->hard.allocations = tdo_rd_h32(&r);
	ret->soft.bytes = tdo_rd_h64(&r);
	ret->hard.bytes = tdo_rd_h64(&r);
	ret->soft.addtime = tdo_rd_h64(&r);
	ret->hard.addtime = tdo_rd_h64(&r);
	ret->soft.usetime = tdo_rd_h64(&r);
	ret->hard.usetime = tdo_rd_h64(&r);
	return true;
}
