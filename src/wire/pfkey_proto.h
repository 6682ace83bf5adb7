/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers and sizes of PF_KEY version 2 (RFC 2367 2.3, 2.4, 3.5) and of the extensions of
 * KAME, NetBSD and FreeBSD, as the NetBSD dialect has them.
 *
 * All lengths in messages count 8-byte units, except that of a policy's request.  Numbers
 * are in host order, SPIs, ports and addresses in network order.
 */
#ifndef TDO_WIRE_PFKEY_PROTO_H
#define TDO_WIRE_PFKEY_PROTO_H

enum {
	TDO_SADB_VERSION = 2,   /* PF_KEY_V2 */
	TDO_SADB_UNIT = 8,      /* bytes that a length field counts */
	TDO_SADB_MAXLEN = 65536 /* bytes of one message that testudo accepts */
};

/* sadb_msg_type */
enum tdo_sadb_type {
	TDO_SADB_RESERVED,
	TDO_SADB_GETSPI,
	TDO_SADB_UPDATE,
	TDO_SADB_ADD,
	TDO_SADB_DELETE,
	TDO_SADB_GET,
	TDO_SADB_ACQUIRE,
	TDO_SADB_REGISTER,
	TDO_SADB_EXPIRE,
	TDO_SADB_FLUSH,
	TDO_SADB_DUMP,
	TDO_SADB_X_PROMISC,
	TDO_SADB_X_PCHANGE,
	TDO_SADB_X_SPDUPDATE,
	TDO_SADB_X_SPDADD,
	TDO_SADB_X_SPDDELETE, /* by selectors and direction */
	TDO_SADB_X_SPDGET,    /* by id */
	TDO_SADB_X_SPDACQUIRE,
	TDO_SADB_X_SPDDUMP,
	TDO_SADB_X_SPDFLUSH,
	TDO_SADB_X_SPDSETIDX,
	TDO_SADB_X_SPDEXPIRE,
	TDO_SADB_X_SPDDELETE2, /* by id */
	TDO_SADB_X_NAT_T_NEW_MAPPING,
	TDO_SADB_X_TDO_ROWS = 31, /* testudo: packets may hold several messages */
	TDO_SADB_MAX = TDO_SADB_X_TDO_ROWS
};

/* A packet with several messages, after TDO_SADB_X_TDO_ROWS. */
enum {
	TDO_SADB_ROW_MSGS = 128,   /* at most so many of a client */
	TDO_SADB_ROW_FULL = 16384, /* bytes: nothing is added to as many or more */
	TDO_SADB_ROW_MAX = TDO_SADB_ROW_FULL + TDO_SADB_MAXLEN
};

/* sadb_msg_satype beside enum tdo_satype: legal numbers that testudo does not serve. */
enum {
	TDO_SADB_SATYPE_RSVP = 5,
	TDO_SADB_SATYPE_OSPFV2 = 6,
	TDO_SADB_SATYPE_RIPV2 = 7,
	TDO_SADB_SATYPE_MIP = 8,
	TDO_SADB_SATYPE_TCPSIGNATURE = 11,
};

/* sadb_ext_type */
enum tdo_sadb_ext_type {
	TDO_SADB_EXT_RESERVED,
	TDO_SADB_EXT_SA,
	TDO_SADB_EXT_LIFETIME_CURRENT,
	TDO_SADB_EXT_LIFETIME_HARD,
	TDO_SADB_EXT_LIFETIME_SOFT,
	TDO_SADB_EXT_ADDRESS_SRC,
	TDO_SADB_EXT_ADDRESS_DST,
	TDO_SADB_EXT_ADDRESS_PROXY,
	TDO_SADB_EXT_KEY_AUTH,
	TDO_SADB_EXT_KEY_ENCRYPT,
	TDO_SADB_EXT_IDENTITY_SRC,
	TDO_SADB_EXT_IDENTITY_DST,
	TDO_SADB_EXT_SENSITIVITY,
	TDO_SADB_EXT_PROPOSAL,
	TDO_SADB_EXT_SUPPORTED_AUTH,
	TDO_SADB_EXT_SUPPORTED_ENCRYPT,
	TDO_SADB_EXT_SPIRANGE,
	TDO_SADB_X_EXT_KMPRIVATE,
	TDO_SADB_X_EXT_POLICY,
	TDO_SADB_X_EXT_SA2,
	TDO_SADB_X_EXT_NAT_T_TYPE,
	TDO_SADB_X_EXT_NAT_T_SPORT,
	TDO_SADB_X_EXT_NAT_T_DPORT,
	TDO_SADB_X_EXT_NAT_T_OAI,
	TDO_SADB_X_EXT_NAT_T_OAR,
	TDO_SADB_X_EXT_NAT_T_FRAG,
	TDO_SADB_X_EXT_SA_REPLAY,            /* FreeBSD's number: window in packets */
	TDO_SADB_X_EXT_NEW_ADDRESS_SRC = 27, /* FreeBSD: UPDATE moves an SA */
	TDO_SADB_X_EXT_NEW_ADDRESS_DST = 28,
	/* testudo's own; the formats are in pfkey_msg.h. */
	TDO_SADB_X_EXT_TDO_SA = 40,   /* settings of an SA */
	TDO_SADB_X_EXT_TDO_SEL = 41,  /* selectors with port ranges */
	TDO_SADB_X_EXT_TDO_SP = 42,   /* settings of a policy, reqids of 32 bits */
	TDO_SADB_X_EXT_TDO_LATE = 43, /* how late the packets of an SA came */
	TDO_SADB_X_EXT_TDO_TFC = 44,  /* what an SA hides of its traffic */
	TDO_SADB_X_EXT_TDO_WHY = 45,  /* why a request was refused, as text */
	TDO_SADB_X_EXT_TDO_MTU = 46,  /* how long the packets of an SA may be */
	TDO_SADB_EXT_MAX = TDO_SADB_X_EXT_TDO_MTU
};

/* Bytes of the base message and of the extensions' fixed parts, with their headers. */
enum {
	TDO_SADB_BASE_LEN = 16,
	TDO_SADB_HDR_LEN = 4, /* length, type */
	TDO_SADB_SA_LEN = 16,
	TDO_SADB_SA2_LEN = 16,
	TDO_SADB_LIFETIME_LEN = 32,
	TDO_SADB_ADDRESS_LEN = 8,
	TDO_SADB_KEY_LEN = 8,
	TDO_SADB_IDENT_LEN = 16,
	TDO_SADB_SENS_LEN = 16,
	TDO_SADB_PROP_LEN = 8,
	TDO_SADB_COMB_LEN = 72,
	TDO_SADB_SUPPORTED_LEN = 8,
	TDO_SADB_ALG_LEN = 8,
	TDO_SADB_SPIRANGE_LEN = 16,
	TDO_SADB_POLICY_LEN = 16,
	TDO_SADB_REQUEST_LEN = 8, /* sadb_x_ipsecrequest; socket addresses follow */
	TDO_SADB_NATT_LEN = 8,
	TDO_SADB_REPLAY_LEN = 8,
	TDO_SADB_TDO_SA_LEN = 16,
	TDO_SADB_TDO_SEL_LEN = 16, /* two socket addresses follow */
	TDO_SADB_TDO_SP_LEN = 16,  /* reqids follow */
	TDO_SADB_TDO_LATE_LEN = 8, /* the counters follow */
	TDO_SADB_TDO_TFC_LEN = 8,
	TDO_SADB_TDO_WHY_LEN = 8, /* and the text */
	TDO_SADB_TDO_MTU_LEN = 8,
};

/* BSD socket addresses: length byte, family byte, port, address. */
enum {
	TDO_SADB_AF_UNSPEC = 0,
	TDO_SADB_AF_INET = 2,
	TDO_SADB_AF_INET6 = 24,
	TDO_SADB_SIN_LEN = 16,
	TDO_SADB_SIN6_LEN = 28,
	TDO_SADB_SS_LEN = 128,
};

/* sadb_ident_type */
enum {
	TDO_SADB_IDENT_PREFIX = 1,
	TDO_SADB_IDENT_FQDN = 2,
	TDO_SADB_IDENT_USERFQDN = 3,
	TDO_SADB_IDENT_ADDR = 4,
};

/* sadb_x_nat_t_type_type: as the socket option UDP_ENCAP. */
enum {
	TDO_SADB_NATT_NONE = 0,
	TDO_SADB_NATT_NON_IKE = 1,
	TDO_SADB_NATT_ESPINUDP = 2,
};

#endif
