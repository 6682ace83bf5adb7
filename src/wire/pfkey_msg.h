/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PF_KEY messages: checking and reading, and building; pure functions for both ends.
 *
 * Reading: tdo_sadb_parse() checks everything that can be said about a message without
 * the databases and indexes its extensions.  After it succeeded no getter meets malformed
 * bytes: they return false only when the extension is absent.
 *
 * Building: tdo_sadb_begin(), any number of tdo_sadb_put_...(), tdo_sadb_end(), which
 * says whether all of it fitted.
 *
 * Extensions of testudo.  They stand at the end of a message, and only where something is
 * to be said that the older extensions cannot say: many readers stop at a type that they
 * do not know.  Offsets in bytes, host order unless marked "net".
 *
 *	27 NEW_ADDRESS_SRC   FreeBSD's; like ADDRESS_SRC.  UPDATE: the SA's source from now on
 *	28 NEW_ADDRESS_DST   ... destination; one alone leaves the other end as it is
 *
 *	40 TDO_SA, 16 bytes, settings of an SA
 *	    0  length, type      u16, u16
 *	    4  ecn df dscp hop_limit flow_label    u8 each, struct tdo_tunnel_opt
 *	    9  flags             u8: 1 the replay window is adaptive; 2, 4 AH headers are multiples
 *	                        of 4, of 8 bytes whatever the family; others 0
 *	   10  cpu               u16: worker + 1, 0 none
 *	   12  window            u32: packets, as it is now; 0 in requests
 *
 *	41 TDO_SEL, 16 bytes and two socket addresses, padded to 8: selectors
 *	    0  length, type
 *	    4  proto, prefix length of the source, of the destination, 0    u8 each
 *	    8  lowest, highest source port; lowest, highest destination port   u16 net each
 *	   16  source, destination    sockaddr_in or sockaddr_in6 of one family; ports ignored
 *	   Of an SA: what it carries.  Of a policy: the selectors, where ADDRESS_SRC and _DST
 *	   cannot say them: ranges, and a type, code or half of a key that is 0 (D41).  Those
 *	   two are there as well and must agree in address, prefix, protocol, and port unless 0.
 *
 *	42 TDO_SP, settings of a policy
 *	    0  length, type
 *	    4  ecn df dscp hop_limit flow_label    u8 each
 *	    9  flags             u8: 1 packets wait for an SA also at level use; others 0
 *	   10  pfp               u8: TDO_PFP_...
 *	   11  n                 u8: 0, or the number of requests in POLICY
 *	   12  reqids            u32 [n], padded to 8.  One that is not 0 goes before the
 *	                         request's own, which is 0 where 16 bits are not enough (D11)
 *
 *	43 TDO_LATE, 8 + 16 n bytes, how late the packets of an SA came (struct tdo_late)
 *	    0  length, type
 *	    4  n, 0              u16, u16: TDO_LATE_BINS
 *	    8  accepted, dropped u64, u64; n times
 *
 *	44 TDO_TFC, 8 bytes, what an SA hides of its traffic (struct tdo_tfc)
 *	    0  length, type
 *	    4  pad, dummies      u16, u16
 *
 *	45 TDO_WHY, 8 bytes and a text, why a request was refused (struct tdo_sadb_tdo_why)
 *	    0  length, type
 *	    4  ext, 0            u16, u16: type of the extension that is wrong, 0: none of them
 *	    8  text              ends with one or more zeros, padded to 8
 *
 *	46 TDO_MTU, 8 bytes
 *	    0  length, type
 *	    4  mtu, 0            u16, u16: no packet of the SA is longer; 0: as its path says
 */
#ifndef TDO_WIRE_PFKEY_MSG_H
#define TDO_WIRE_PFKEY_MSG_H

#include "base/wr.h"
#include "testudo/sa.h"
#include "testudo/sp.h"
#include "wire/pfkey_proto.h"

/* The base message; version and length are not stored. */
struct tdo_sadb_base {
	uint8_t type;      /* enum tdo_sadb_type */
	uint8_t err;       /* sadb_msg_errno, positive */
	uint8_t satype;    /* enum tdo_satype; on or off in X_PROMISC */
	uint16_t reserved; /* reference count in dumps */
	uint32_t seq, pid;
};

/* One extension as it stands in the message, with its header. */
struct tdo_sadb_ext {
	const uint8_t *p; /* NULL: absent */
	uint32_t len;     /* bytes */
};

/* A checked message; borrows the bytes. */
struct tdo_sadb_msg {
	struct tdo_sadb_base base;
	struct tdo_sadb_ext ext[TDO_SADB_EXT_MAX + 1]; /* by enum tdo_sadb_ext_type */
	uint8_t order[TDO_SADB_EXT_MAX];               /* types in order of appearance */
	unsigned next;                                 /* how many */
	const uint8_t *payload; /* X_PROMISC: the wrapped message, if there is one */
	size_t payload_len;
};

/* What is wrong with a message, as the BSDs count it. */
enum tdo_sadb_fault {
	TDO_SADB_FAULT_OTHER,
	TDO_SADB_FAULT_SHORT,   /* shorter than a base message */
	TDO_SADB_FAULT_LENGTH,  /* length field */
	TDO_SADB_FAULT_VERSION, /* version field */
	TDO_SADB_FAULT_TYPE,    /* message type field */
	TDO_SADB_FAULT_SATYPE,  /* SA type field */
	TDO_SADB_FAULT_TWICE,   /* an extension */
	TDO_SADB_FAULT_EXT,     /* extension type */
	TDO_SADB_FAULT_ADDR,    /* address extension */
};

/* The same for people. */
struct tdo_sadb_err {
	uint8_t ext;      /* enum tdo_sadb_ext_type, or 0: base message or several extensions */
	uint8_t fault;    /* enum tdo_sadb_fault */
	const char *text; /* static */
};

/* "SADB_ADD", "SADB_EXT_SA": static; never NULL, also for unknown numbers. */
const char *tdo_sadb_type_name(unsigned type);
const char *tdo_sadb_ext_name(unsigned ext);
/* True for extensions that are a sadb_address. */
bool tdo_sadb_ext_is_address(unsigned ext);

/* IP protocol number of an SA type and back; 0 when there is none. */
uint8_t tdo_sadb_satype_proto(uint8_t satype);
uint8_t tdo_sadb_proto_satype(uint8_t proto);

/* ---- reading (pfkey_parse.c) -------------------------------------------------------- */

/*
 * Reads the base message alone, without any check but that for its 16 bytes: enough to
 * answer a message that does not parse.
 */
TDO_MUST_CHECK bool tdo_sadb_base_read(const void *buf, size_t len, struct tdo_sadb_base *ret);
/*
 * Length of the first message of a row: what its length field says if that can be, or all that is
 * left, which does not parse then.
 */
size_t tdo_sadb_row_next(const void *buf, size_t left);

/*
 * Checks and indexes a message of len bytes.  0, or -EMSGSIZE (length field is not len),
 * -EOPNOTSUPP (SA type that exists but is not served), -EAFNOSUPPORT (address family),
 * -EINVAL (all else).  ret_err may be NULL; it is written on failure only.
 */
TDO_MUST_CHECK int tdo_sadb_parse(
    const void *buf, size_t len, struct tdo_sadb_msg *ret, struct tdo_sadb_err *ret_err);

static inline bool
tdo_sadb_has(const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext)
{
	return m->ext[ext].p != NULL;
}

/* ---- single extensions (pfkey_ext.c) ------------------------------------------------ */

struct tdo_sadb_sa {
	uint32_t spi;   /* host order */
	uint8_t replay; /* window in units of 8 packets */
	uint8_t state;
	uint8_t auth, encrypt; /* algorithm numbers */
	uint32_t flags;
};

struct tdo_sadb_sa2 {
	uint8_t mode;
	uint32_t sequence;
	uint32_t reqid;
};

struct tdo_sadb_address {
	struct tdo_addr addr;
	uint8_t plen;
	uint8_t proto; /* TDO_PROTO_ANY also where the message says 0 */
	uint16_t port; /* host order; 0 = any */
};

struct tdo_sadb_key {
	const uint8_t *p; /* borrowed from the message */
	uint16_t bits;    /* multiple of 8, at most 8 * TDO_KEY_MAX; may be 0 */
};

struct tdo_sadb_policy {
	uint8_t type, dir, flags;
	uint8_t nreq;
	uint32_t id;
	uint32_t prio; /* TDO_PRIO_DEFAULT where the message says 0 */
	struct tdo_req req[TDO_REQ_MAX];
};

struct tdo_sadb_spirange {
	uint32_t min, max;
};

struct tdo_sadb_ident {
	uint16_t type;
	uint64_t id;
	const char *text; /* NUL-terminated inside of the message */
};

/* One algorithm of SUPPORTED_AUTH or SUPPORTED_ENCRYPT. */
struct tdo_sadb_alg {
	uint8_t id, ivlen;
	uint16_t minbits, maxbits;
};

/* One combination of a PROPOSAL. */
struct tdo_sadb_comb {
	uint8_t auth, encrypt;
	uint16_t flags;
	uint16_t auth_minbits, auth_maxbits, encrypt_minbits, encrypt_maxbits;
	struct tdo_lifetime soft, hard;
};

struct tdo_sadb_tdo_sa {
	struct tdo_tunnel_opt tunnel;
	bool adaptive;
	uint8_t align; /* 0, 4 or 8 */
	uint16_t cpu;
	uint32_t window; /* packets, 0 = not said */
};

struct tdo_sadb_tdo_sp {
	struct tdo_tunnel_opt tunnel;
	bool hold;
	uint8_t pfp;
	uint8_t nreq; /* reqids that are given */
	uint32_t reqid[TDO_REQ_MAX];
};

struct tdo_sadb_tdo_why {
	uint16_t ext;     /* enum tdo_sadb_ext_type, or 0 */
	const char *text; /* in the message */
};

/* false: the extension is absent, *ret is not written. */
bool tdo_sadb_get_sa(const struct tdo_sadb_msg *m, struct tdo_sadb_sa *ret);
bool tdo_sadb_get_sa2(const struct tdo_sadb_msg *m, struct tdo_sadb_sa2 *ret);
/* ext: LIFETIME_CURRENT, _HARD, _SOFT. */
bool tdo_sadb_get_lifetime(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_lifetime *ret);
/* ext: ADDRESS_SRC, _DST, _PROXY, NAT_T_OAI, NAT_T_OAR, NEW_ADDRESS_SRC, _DST. */
bool tdo_sadb_get_address(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_address *ret);
/* ext: KEY_AUTH, KEY_ENCRYPT. */
bool tdo_sadb_get_key(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_key *ret);
/* ext: IDENTITY_SRC, _DST. */
bool tdo_sadb_get_ident(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, struct tdo_sadb_ident *ret);
bool tdo_sadb_get_spirange(const struct tdo_sadb_msg *m, struct tdo_sadb_spirange *ret);
/* With the reqids of TDO_SP, if they are as many as the requests. */
bool tdo_sadb_get_policy(const struct tdo_sadb_msg *m, struct tdo_sadb_policy *ret);
/* Window in packets. */
bool tdo_sadb_get_replay(const struct tdo_sadb_msg *m, uint32_t *ret);
bool tdo_sadb_get_natt_type(const struct tdo_sadb_msg *m, uint8_t *ret);
/* ext: NAT_T_SPORT, _DPORT; host order. */
bool tdo_sadb_get_natt_port(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, uint16_t *ret);
bool tdo_sadb_get_natt_frag(const struct tdo_sadb_msg *m, uint16_t *ret);
/* ext: SUPPORTED_AUTH, _ENCRYPT; the i-th algorithm, false after the last. */
bool tdo_sadb_get_supported(
    const struct tdo_sadb_msg *m, enum tdo_sadb_ext_type ext, unsigned i, struct tdo_sadb_alg *ret);
/* The i-th combination of the PROPOSAL, false after the last. */
bool tdo_sadb_get_comb(const struct tdo_sadb_msg *m, unsigned i, struct tdo_sadb_comb *ret);
/* testudo's own (pfkey_own.c) */
bool tdo_sadb_get_tdo_sa(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_sa *ret);
bool tdo_sadb_get_tdo_sel(const struct tdo_sadb_msg *m, struct tdo_sel *ret);
bool tdo_sadb_get_tdo_sp(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_sp *ret);
bool tdo_sadb_get_tdo_late(const struct tdo_sadb_msg *m, struct tdo_late *ret);
bool tdo_sadb_get_tdo_tfc(const struct tdo_sadb_msg *m, struct tdo_tfc *ret);
bool tdo_sadb_get_tdo_why(const struct tdo_sadb_msg *m, struct tdo_sadb_tdo_why *ret);
bool tdo_sadb_get_tdo_mtu(const struct tdo_sadb_msg *m, uint16_t *ret);

/* ---- building (pfkey_build.c) ------------------------------------------------------- */

/* Starts a message at the beginning of w, which must be empty. */
void tdo_sadb_begin(struct tdo_wr *w, const struct tdo_sadb_base *b);
/* Fills in the length and returns it in bytes; 0 when something did not fit. */
TDO_MUST_CHECK size_t tdo_sadb_end(struct tdo_wr *w);

/* Copies an extension of another message unchanged; nothing when it is absent. */
void tdo_sadb_put_ext(struct tdo_wr *w, const struct tdo_sadb_ext *ext);
void tdo_sadb_put_sa(struct tdo_wr *w, const struct tdo_sadb_sa *sa);
void tdo_sadb_put_sa2(struct tdo_wr *w, const struct tdo_sadb_sa2 *sa2);
/* More than 2^32 - 1 allocations do not fit into the field and become 2^32 - 1. */
void tdo_sadb_put_lifetime(
    struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_lifetime *l);
void tdo_sadb_put_address(
    struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_sadb_address *a);
void tdo_sadb_put_key(
    struct tdo_wr *w, enum tdo_sadb_ext_type ext, const uint8_t *key, uint16_t bits);
void tdo_sadb_put_spirange(struct tdo_wr *w, const struct tdo_sadb_spirange *r);
void tdo_sadb_put_policy(struct tdo_wr *w, const struct tdo_sadb_policy *p);
void tdo_sadb_put_replay(struct tdo_wr *w, uint32_t packets);
void tdo_sadb_put_natt_type(struct tdo_wr *w, uint8_t type);
void tdo_sadb_put_natt_port(struct tdo_wr *w, enum tdo_sadb_ext_type ext, uint16_t port);
void tdo_sadb_put_natt_frag(struct tdo_wr *w, uint16_t fraglen);
/* What of it is set: the group of extensions of UDP encapsulation (pfkey_object.c). */
void tdo_sadb_put_natt(struct tdo_wr *w, const struct tdo_natt *n);
void tdo_sadb_put_supported(
    struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_sadb_alg *a, unsigned n);
/* replay: window in units of 8 packets. */
void tdo_sadb_put_proposal(
    struct tdo_wr *w, uint8_t replay, const struct tdo_sadb_comb *c, unsigned n);
/* testudo's own (pfkey_own.c) */
void tdo_sadb_put_tdo_sa(struct tdo_wr *w, const struct tdo_sadb_tdo_sa *sa);
void tdo_sadb_put_tdo_sel(struct tdo_wr *w, const struct tdo_sel *sel);
void tdo_sadb_put_tdo_sp(struct tdo_wr *w, const struct tdo_sadb_tdo_sp *sp);
void tdo_sadb_put_tdo_late(struct tdo_wr *w, const struct tdo_late *late);
void tdo_sadb_put_tdo_tfc(struct tdo_wr *w, const struct tdo_tfc *tfc);
void tdo_sadb_put_tdo_why(struct tdo_wr *w, const struct tdo_sadb_tdo_why *why);
void tdo_sadb_put_tdo_mtu(struct tdo_wr *w, uint16_t mtu);

/* ---- whole objects (pfkey_object.c) ------------------------------------------------- */

/*
 * Port fields and ranges: 0 is the wildcard, everything else one port; ICMP, ICMPv6 and MH
 * have the type in the source's and the code in the destination's port.  So type 0 and
 * true ranges cannot be said in this format (D6, D41); put_sel shows them as wildcard, and
 * TDO_SEL says them.
 */

/* SRC, DST and TDO_SEL as selectors; -EINVAL when SRC or DST is missing, or they disagree. */
TDO_MUST_CHECK int tdo_sadb_get_sel(
    const struct tdo_sadb_msg *m, struct tdo_sel *ret, struct tdo_sadb_err *ret_err);
void tdo_sadb_put_sel(struct tdo_wr *w, const struct tdo_sel *sel);

/*
 * SRC, DST and the SPI, if SA is there, else 0.  Protocol, prefix and port of the
 * addresses are not looked at: clients send 255 and a full prefix, or 0 and 0, and with
 * NAT-T a port.  -EINVAL when an address is missing.
 */
TDO_MUST_CHECK int tdo_sadb_get_sa_key(
    const struct tdo_sadb_msg *m, struct tdo_sa_key *ret, struct tdo_sadb_err *ret_err);
/* SRC and DST of an SA: protocol 255, full prefix, no port. */
void tdo_sadb_put_sa_addrs(
    struct tdo_wr *w, const struct tdo_addr *src, const struct tdo_addr *dst);

/*
 * What ADD, UPDATE and (without SA) GETSPI say.  Keys point into the message.  -EINVAL when
 * an address is missing.
 */
TDO_MUST_CHECK int tdo_sadb_get_sa_param(
    const struct tdo_sadb_msg *m, struct tdo_sa_param *ret, struct tdo_sadb_err *ret_err);
/*
 * Extensions of ADD and UPDATE in the order of setkey: SA SA2 [LIFETIME_HARD]
 * [LIFETIME_SOFT] [KEY_ENCRYPT] [KEY_AUTH] SRC DST [SA_REPLAY] [NEW_ADDRESS_SRC]
 * [NEW_ADDRESS_DST] [TDO_SA] [TDO_SEL] [TDO_TFC]
 * [TDO_MTU].
 */
void tdo_sadb_put_sa_param(struct tdo_wr *w, const struct tdo_sa_param *p);

/* Wire form of the SA and SA2 extensions of an SA, for messages that have only these. */
void tdo_sadb_put_sa_head(struct tdo_wr *w, const struct tdo_sa_param *p);

/*
 * An SA as GET and DUMP show it.  In LIFETIME_CURRENT usetime is the time of the last use,
 * as all BSDs have it (RFC 2367 2.3.2 says first use): setkey -D prints it as "last".
 */
void tdo_sadb_put_sa_info(struct tdo_wr *w, const struct tdo_sa_info *info, bool with_keys);
/* The reverse; keys are copied.  Wipe *ret after use. */
TDO_MUST_CHECK int tdo_sadb_get_sa_info(
    const struct tdo_sadb_msg *m, struct tdo_sa_info *ret, struct tdo_sadb_err *ret_err);

/* What SPDADD, SPDUPDATE, SPDSETIDX say; -EINVAL when POLICY, SRC or DST is missing. */
TDO_MUST_CHECK int tdo_sadb_get_sp_param(
    const struct tdo_sadb_msg *m, struct tdo_sp_param *ret, struct tdo_sadb_err *ret_err);
/* Extensions of SPDADD in the order of setkey: POLICY [LIFETIME_HARD] SRC DST [TDO_SEL] [TDO_SP].
 */
void tdo_sadb_put_sp_param(struct tdo_wr *w, const struct tdo_sp_param *p);
/* The policy extension of a policy; id 0 where there is none yet. */
void tdo_sadb_put_sp_policy(struct tdo_wr *w, const struct tdo_sp_param *p, uint32_t id);
/* TDO_SP, where the policy needs it. */
void tdo_sadb_put_sp_settings(struct tdo_wr *w, const struct tdo_sp_param *p);

/*
 * A policy as SPDGET and SPDDUMP show it: SRC DST LIFETIME_CURRENT (addtime: created,
 * usetime: last used) LIFETIME_HARD POLICY [TDO_SEL] [TDO_SP].
 */
void tdo_sadb_put_sp_info(struct tdo_wr *w, const struct tdo_sp_info *info);
TDO_MUST_CHECK int tdo_sadb_get_sp_info(
    const struct tdo_sadb_msg *m, struct tdo_sp_info *ret, struct tdo_sadb_err *ret_err);

#endif
