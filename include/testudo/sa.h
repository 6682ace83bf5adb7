/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Security associations as the outside sees them: parameters for making one, and a
 * copy of the state of one.  Numbers are those of PF_KEY (RFC 2367) in the NetBSD
 * dialect.
 */
#ifndef TESTUDO_SA_H
#define TESTUDO_SA_H

#include "testudo/sel.h"

enum tdo_satype {
	TDO_SATYPE_UNSPEC = 0,
	TDO_SATYPE_AH = 2,
	TDO_SATYPE_ESP = 3,
	TDO_SATYPE_IPCOMP = 9,
};

enum tdo_sa_state { TDO_SA_LARVAL, TDO_SA_MATURE, TDO_SA_DYING, TDO_SA_DEAD };

enum tdo_mode { TDO_MODE_ANY, TDO_MODE_TRANSPORT, TDO_MODE_TUNNEL };

/* sadb_sa_flags */
enum {
	TDO_SAF_OLD = 0x0001, /* RFC 1827 ESP, RFC 1826 AH */
	TDO_SAF_IV4B = 0x0010,
	TDO_SAF_DERIV = 0x0020,
	TDO_SAF_CYCSEQ = 0x0040, /* sequence numbers may wrap; only shown, see spec C9, D36 */
	TDO_SAF_RAWCPI = 0x0080,
	TDO_SAF_PMASK = 0x0300, /* pad contents: */
	TDO_SAF_PSEQ = 0x0000,  /* 1, 2, 3, ... */
	TDO_SAF_PRAND = 0x0100, /* random */
	TDO_SAF_PZERO = 0x0200, /* zero */
	TDO_SAF_ESN = 0x0400,
};

#define TDO_SPI_MIN    256u   /* 1..255 are reserved (RFC 4303 2.1) */
#define TDO_REPLAY_MAX 65536u /* packets */
#define TDO_KEY_MAX    512u   /* bytes */

/* A limit or a reading; 0 means no limit. */
struct tdo_lifetime {
	uint64_t allocations; /* packets */
	uint64_t bytes;
	uint64_t addtime; /* seconds since creation; in current: wall-clock time of creation */
	uint64_t usetime; /* seconds since first use; in current: wall-clock time of first use */
};

/*
 * How tunnel headers are made and removed, where an SA or a policy says something else than
 * the knobs (D33).  0 in a field: nothing else.  An SA goes before its policy.
 */
struct tdo_tunnel_opt {
	uint8_t ecn;        /* value of the knob "ecn" + TDO_OPT_ECN (RFC 6040, spec 7.5) */
	uint8_t df;         /* value of the knob "dfbit" + 1 */
	uint8_t dscp;       /* fixed DSCP + 1, or TDO_OPT_DSCP_COPY */
	uint8_t hop_limit;  /* TTL or hop limit of the outer header, 1..255 */
	uint8_t flow_label; /* value of the knob "flowlabel" + 1 */
};

#define TDO_OPT_ECN       2
#define TDO_OPT_DSCP_COPY 255

/* Forms of ESP in UDP (values of SADB_X_EXT_NAT_T_TYPE). */
enum tdo_natt_type {
	TDO_NATT_NONE,
	TDO_NATT_NON_IKE,  /* eight zero bytes in front of ESP (draft-ietf-ipsec-udp-encaps-00) */
	TDO_NATT_ESPINUDP, /* RFC 3948 */
};

/* UDP encapsulation of an SA. */
struct tdo_natt {
	uint8_t type;          /* enum tdo_natt_type */
	uint16_t sport, dport; /* of the SA's source and destination; host order */
	/* As key management named them, and policies do, where a NAT changed them; 0: the same. */
	uint16_t named_sport, named_dport;
	uint16_t frag; /* packets are fragmented before ESP above it; 0: none */
	struct tdo_addr oa_src,
	    oa_dst; /* addresses before the NAT changed them; af NONE: unknown */
};

/* Traffic-flow confidentiality of ESP (RFC 4303 2.6, 2.7), outbound. */
struct tdo_tfc {
	uint16_t pad; /* payloads are padded to so many bytes, if the path carries them; 0: not */
	uint16_t dummies; /* dummy packets a second */
};

/* What names an SA towards PF_KEY: RFC 2367 GET, DELETE, UPDATE. */
struct tdo_sa_key {
	uint8_t satype; /* enum tdo_satype */
	uint32_t spi;   /* host order */
	struct tdo_addr src, dst;
};

struct tdo_sa_param {
	struct tdo_sa_key key;
	uint8_t mode;  /* enum tdo_mode */
	uint8_t state; /* only read from tdo_sa_info */
	uint32_t reqid;
	uint32_t flags;             /* TDO_SAF_... */
	uint32_t replay;            /* window in packets, 0 = no check */
	uint8_t ealg, aalg;         /* PF_KEY numbers, 0 = none */
	const uint8_t *ekey, *akey; /* borrowed for the call */
	uint16_t ekey_bits, akey_bits;
	struct tdo_lifetime hard, soft;
	bool has_hard, has_soft; /* extension was given */
	uint32_t seq, pid;       /* of the message that made it, for dumps */
	struct tdo_tunnel_opt tunnel;
	bool adaptive;      /* the replay window grows up to TDO_REPLAY_MAX with the reordering */
	uint8_t align;      /* AH: its header is a multiple of 4 or 8 bytes; 0: as RFC 4302 says */
	bool has_sel;       /* sel is given: the SA carries nothing else (RFC 4301 4.4.2.1, D48) */
	struct tdo_sel sel; /* of the packets inside */
	struct tdo_natt natt;
	struct tdo_tfc tfc;
	uint16_t mtu; /* no packet of it leaves longer; 0: as its path says */
	uint16_t cpu; /* RFC 9611: preferred by worker cpu - 1; 0 = by none */
	/* tdo_sa_update() only: the addresses from now on (D44); af NONE: as they are. */
	struct tdo_addr new_src, new_dst;
};

/*
 * How late packets came: behind the highest sequence number accepted so far by 1, 2..3, 4..7, ...,
 * 2^i .. 2^(i+1) - 1 packets.  dropped: those that were left of the window.
 */
#define TDO_LATE_BINS 17

struct tdo_late {
	uint64_t accepted[TDO_LATE_BINS]; /* the last bin is open-ended */
	uint64_t dropped[TDO_LATE_BINS];
};

/* A copy of one SA.  Key bytes are in key_store; wipe the structure after use. */
struct tdo_sa_info {
	struct tdo_sa_param param; /* ekey and akey point into key_store */
	struct tdo_lifetime current;
	uint64_t last_used; /* wall-clock seconds, 0 = never */
	tdo_ns made;        /* the same as in current, by the engine's clock, which nobody sets: */
	tdo_ns first_used;  /* creation, and first use; 0 = never */
	uint64_t out_seq;   /* last sequence number sent */
	uint64_t in_seq;    /* right edge of the replay window */
	uint32_t window;    /* packets, as it is now: it may have grown */
	struct tdo_late late;
	uint32_t refcnt;
	uint8_t key_store[2 * TDO_KEY_MAX];
};

#endif
