/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY messages: the base message, and the index of the extensions (RFC 2367 2.3). */
#include <errno.h>

#include "base/addr.h"
#include "base/rd.h"
#include "wire/ip.h"
#include "wire/pfkey_ext.h"

static int
fail_as(struct tdo_sadb_err *ret_err, enum tdo_sadb_fault fault, int err, unsigned ext,
    const char *text)
{
	if (ret_err)
		*ret_err =
		    (struct tdo_sadb_err){.ext = (uint8_t)(tdo_sadb_ext_known(ext) ? ext : 0),
			.fault = (uint8_t)fault,
			.text = text};
	return -err;
}

static int
fail(struct tdo_sadb_err *ret_err, int err, unsigned ext, const char *text)
{
	return fail_as(ret_err, TDO_SADB_FAULT_OTHER, err, ext, text);
}

static bool
is_known(unsigned type)
{
	return type <= TDO_SADB_X_NAT_T_NEW_MAPPING || type == TDO_SADB_X_TDO_ROWS;
}

const char *
tdo_sadb_type_name(unsigned type)
{
	static const char *const names[TDO_SADB_MAX + 1] = {
	    "SADB_RESERVED",
	    "SADB_GETSPI",
	    "SADB_UPDATE",
	    "SADB_ADD",
	    "SADB_DELETE",
	    "SADB_GET",
	    "SADB_ACQUIRE",
	    "SADB_REGISTER",
	    "SADB_EXPIRE",
	    "SADB_FLUSH",
	    "SADB_DUMP",
	    "SADB_X_PROMISC",
	    "SADB_X_PCHANGE",
	    "SADB_X_SPDUPDATE",
	    "SADB_X_SPDADD",
	    "SADB_X_SPDDELETE",
	    "SADB_X_SPDGET",
	    "SADB_X_SPDACQUIRE",
	    "SADB_X_SPDDUMP",
	    "SADB_X_SPDFLUSH",
	    "SADB_X_SPDSETIDX",
	    "SADB_X_SPDEXPIRE",
	    "SADB_X_SPDDELETE2",
	    "SADB_X_NAT_T_NEW_MAPPING",
	    [TDO_SADB_X_TDO_ROWS] = "SADB_X_TDO_ROWS",
	};

	return is_known(type) ? names[type] : "unknown message";
}

uint8_t
tdo_sadb_satype_proto(uint8_t satype)
{
	switch (satype) {
	case TDO_SATYPE_AH:
		return TDO_IPPROTO_AH;
	case TDO_SATYPE_ESP:
		return TDO_IPPROTO_ESP;
	case TDO_SATYPE_IPCOMP:
		return TDO_IPPROTO_IPCOMP;
	default:
		return 0;
	}
}

uint8_t
tdo_sadb_proto_satype(uint8_t proto)
{
	switch (proto) {
	case TDO_IPPROTO_AH:
		return TDO_SATYPE_AH;
	case TDO_IPPROTO_ESP:
		return TDO_SATYPE_ESP;
	case TDO_IPPROTO_IPCOMP:
		return TDO_SATYPE_IPCOMP;
	default:
		return TDO_SATYPE_UNSPEC;
	}
}

/* ---- base message ------------------------------------------------------------------- */

static struct tdo_sadb_base
read_base(struct tdo_rd *r, uint8_t *ret_version, uint16_t *ret_units)
{
	struct tdo_sadb_base b;

	*ret_version = tdo_rd_u8(r);
	b.type = tdo_rd_u8(r);
	b.err = tdo_rd_u8(r);
	b.satype = tdo_rd_u8(r);
	*ret_units = tdo_rd_h16(r);
	b.reserved = tdo_rd_h16(r);
	b.seq = tdo_rd_h32(r);
	b.pid = tdo_rd_h32(r);
	return b;
}

bool
tdo_sadb_base_read(const void *buf, size_t len, struct tdo_sadb_base *ret)
{
	struct tdo_rd r = tdo_rd_init(buf, len);
	uint8_t version;
	uint16_t units;

	if (len < TDO_SADB_BASE_LEN)
		return false;
	*ret = read_base(&r, &version, &units);
	return true;
}

size_t
tdo_sadb_row_next(const void *buf, size_t left)
{
	struct tdo_rd r = tdo_rd_init(buf, left);
	uint8_t version;
	uint16_t units;
	size_t len;

	if (left < TDO_SADB_BASE_LEN)
		return left;
	(void)read_base(&r, &version, &units);
	len = (size_t)units * TDO_SADB_UNIT;
	return len < TDO_SADB_BASE_LEN || len > left ? left : len;
}

/* Which SA types a message may carry. */
enum satype_rule { NEEDED, OPTIONAL, FORBIDDEN, SWITCH };

static enum satype_rule
satype_rule(uint8_t type)
{
	switch (type) {
	case TDO_SADB_GETSPI:
	case TDO_SADB_UPDATE:
	case TDO_SADB_ADD:
	case TDO_SADB_DELETE:
	case TDO_SADB_GET:
	case TDO_SADB_ACQUIRE:
	case TDO_SADB_EXPIRE:
		return NEEDED;
	case TDO_SADB_REGISTER:
	case TDO_SADB_FLUSH:
	case TDO_SADB_DUMP:
	case TDO_SADB_X_PCHANGE:
	case TDO_SADB_X_NAT_T_NEW_MAPPING:
		return OPTIONAL;
	case TDO_SADB_X_PROMISC:
		return SWITCH;
	default:
		return FORBIDDEN; /* SPD messages */
	}
}

static int
bad_satype(struct tdo_sadb_err *ret_err, int err, const char *text)
{
	return fail_as(ret_err, TDO_SADB_FAULT_SATYPE, err, 0, text);
}

static int
check_satype(const struct tdo_sadb_base *b, struct tdo_sadb_err *ret_err)
{
	enum satype_rule rule = satype_rule(b->type);

	/* SWITCH: any byte; wrapped messages repeat what they were, RFC 2367 says 0 or 1. */
	if (rule == SWITCH)
		return 0;
	if (b->satype == TDO_SATYPE_UNSPEC) {
		if (rule == NEEDED)
			return bad_satype(ret_err, EINVAL, "message needs an SA type");
		return 0;
	}
	if (rule == FORBIDDEN)
		return bad_satype(ret_err, EINVAL, "policy messages have no SA type");
	switch (b->satype) {
	case TDO_SATYPE_AH:
	case TDO_SATYPE_ESP:
	case TDO_SATYPE_IPCOMP:
		return 0;
	case TDO_SADB_SATYPE_RSVP:
	case TDO_SADB_SATYPE_OSPFV2:
	case TDO_SADB_SATYPE_RIPV2:
	case TDO_SADB_SATYPE_MIP:
	case TDO_SADB_SATYPE_TCPSIGNATURE:
		return bad_satype(ret_err, EOPNOTSUPP, "SA type is not served");
	default:
		return bad_satype(ret_err, EINVAL, "SA type is unknown");
	}
}

static int
check_base(const struct tdo_sadb_base *b, uint8_t version, struct tdo_sadb_err *ret_err)
{
	if (version != TDO_SADB_VERSION)
		return fail_as(ret_err, TDO_SADB_FAULT_VERSION, EINVAL, 0, "version is not 2");
	if (b->type == TDO_SADB_RESERVED || !is_known(b->type))
		return fail_as(ret_err, TDO_SADB_FAULT_TYPE, EINVAL, 0, "message type is unknown");
	return check_satype(b, ret_err);
}

/* ---- extensions --------------------------------------------------------------------- */

/* Of an extension that is wrong. */
static enum tdo_sadb_fault
fault_of(unsigned type)
{
	if (tdo_sadb_ext_is_address(type))
		return TDO_SADB_FAULT_ADDR;
	return tdo_sadb_ext_known(type) ? TDO_SADB_FAULT_OTHER : TDO_SADB_FAULT_EXT;
}

static int
add_ext(struct tdo_sadb_msg *m, unsigned type, const struct tdo_sadb_ext *ext,
    struct tdo_sadb_err *ret_err)
{
	const char *text = NULL;
	int r = tdo_sadb_ext_check(type, ext, &text);

	if (r < 0)
		return fail_as(ret_err, fault_of(type), -r, type, text);
	if (m->ext[type].p)
		return fail_as(
		    ret_err, TDO_SADB_FAULT_TWICE, EINVAL, type, "extension appears twice");
	m->ext[type] = *ext;
	m->order[m->next++] = (uint8_t)type;
	return 0;
}

static int
index_exts(struct tdo_sadb_msg *m, struct tdo_rd *r, struct tdo_sadb_err *ret_err)
{
	while (r->left > 0) {
		struct tdo_rd peek = *r;
		size_t len = (size_t)tdo_rd_h16(&peek) * TDO_SADB_UNIT;
		unsigned type = tdo_rd_h16(&peek);
		struct tdo_sadb_ext ext;
		int err;

		if (len == 0)
			return fail(ret_err, EINVAL, type, "extension has length 0");
		ext.p = tdo_rd_bytes(r, len);
		ext.len = (uint32_t)len;
		if (!ext.p)
			return fail(ret_err, EINVAL, type, "extension is longer than the message");
		err = add_ext(m, type, &ext, ret_err);
		if (err < 0)
			return err;
	}
	return 0;
}

/* RFC 2367 2.3.3: source and destination must agree. */
static int
check_pairs(const struct tdo_sadb_msg *m, struct tdo_sadb_err *ret_err)
{
	struct tdo_sadb_address src, dst;
	struct tdo_sadb_ident a, b;

	if (tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_SRC, &src) &&
	    tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_DST, &dst)) {
		if (src.addr.af != dst.addr.af)
			return fail_as(ret_err, TDO_SADB_FAULT_ADDR, EINVAL, 0,
			    "source and destination have different families");
		if (src.proto != dst.proto)
			return fail(
			    ret_err, EINVAL, 0, "source and destination have different protocols");
	}
	if (tdo_sadb_get_address(m, TDO_SADB_X_EXT_NEW_ADDRESS_SRC, &src) &&
	    tdo_sadb_get_address(m, TDO_SADB_X_EXT_NEW_ADDRESS_DST, &dst) &&
	    src.addr.af != dst.addr.af)
		return fail(ret_err, EINVAL, 0, "new addresses have different families");
	if (tdo_sadb_get_ident(m, TDO_SADB_EXT_IDENTITY_SRC, &a) &&
	    tdo_sadb_get_ident(m, TDO_SADB_EXT_IDENTITY_DST, &b) && a.type != b.type)
		return fail(ret_err, EINVAL, 0, "identities have different types");
	return 0;
}

int
tdo_sadb_parse(const void *buf, size_t len, struct tdo_sadb_msg *ret, struct tdo_sadb_err *ret_err)
{
	struct tdo_rd r = tdo_rd_init(buf, len);
	struct tdo_sadb_msg m = {0};
	uint8_t version;
	uint16_t units;
	int err;

	if (len < TDO_SADB_BASE_LEN)
		return fail_as(ret_err, TDO_SADB_FAULT_SHORT, EMSGSIZE, 0, "message is too short");
	if (len > TDO_SADB_MAXLEN)
		return fail_as(ret_err, TDO_SADB_FAULT_LENGTH, EMSGSIZE, 0, "message is too long");
	m.base = read_base(&r, &version, &units);
	if ((size_t)units * TDO_SADB_UNIT != len)
		return fail_as(ret_err, TDO_SADB_FAULT_LENGTH, EMSGSIZE, 0,
		    "message length is not the length received");
	err = check_base(&m.base, version, ret_err);
	if (err < 0)
		return err;
	if (m.base.type == TDO_SADB_X_PROMISC) {
		m.payload = r.left > 0 ? r.p : NULL;
		m.payload_len = r.left;
		*ret = m;
		return 0;
	}
	err = index_exts(&m, &r, ret_err);
	if (err == 0)
		err = check_pairs(&m, ret_err);
	if (err == 0)
		*ret = m;
	return err;
}
