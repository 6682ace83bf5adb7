/* SPDX-License-Identifier: BSD-2-Clause */
/* Security policies as the outside sees them (RFC 4301 4.4.1, setkey(8) spdadd). */
#ifndef TESTUDO_SP_H
#define TESTUDO_SP_H

#include "testudo/sa.h"
#include "testudo/sel.h"

enum tdo_dir { TDO_DIR_ANY, TDO_DIR_IN, TDO_DIR_OUT };

/* sadb_x_policy_type; ENTRUST and BYPASS are for sockets only. */
enum tdo_policy {
	TDO_POLICY_DISCARD,
	TDO_POLICY_NONE,
	TDO_POLICY_IPSEC,
	TDO_POLICY_ENTRUST,
	TDO_POLICY_BYPASS
};

enum tdo_level { TDO_LEVEL_DEFAULT, TDO_LEVEL_USE, TDO_LEVEL_REQUIRE, TDO_LEVEL_UNIQUE };

#define TDO_REQ_MAX          8      /* requests of one policy; = TDO_HIST_MAX */
#define TDO_REQID_MANUAL_MAX 0x3fff /* testudo picks those from here to 0xffff */
#define TDO_PRIO_DEFAULT     0x80000000u

/* One transform that a policy asks for; the first request is the innermost. */
struct tdo_req {
	uint8_t proto;            /* IP protocol number 50, 51, 108 */
	uint8_t mode;             /* enum tdo_mode */
	uint8_t level;            /* enum tdo_level */
	uint32_t reqid;           /* UNIQUE: 0 = testudo picks one */
	struct tdo_addr src, dst; /* tunnel: both set; transport: both set or both empty */
	/*
	 * Of an SA in UDP between these addresses; 0: any.  An SA that is not in UDP suits, too,
	 * and so does, second best, one that UNIQUE names.
	 */
	uint16_t sport, dport;
};

struct tdo_sp_param {
	uint8_t dir;  /* enum tdo_dir, IN or OUT */
	uint8_t type; /* enum tdo_policy, up to IPSEC */
	uint8_t nreq;
	struct tdo_sel sel;
	uint32_t prio;      /* as stored by PF_KEY: the smaller value is searched first */
	uint64_t lifetime;  /* seconds since creation, 0 = none */
	uint64_t validtime; /* idle seconds, 0 = none */
	uint32_t seq, pid;
	struct tdo_tunnel_opt tunnel;
	uint8_t pfp; /* TDO_PFP_...: fields of the SA's selectors that come from the packet */
	bool unset;  /* type ipsec without requests: they are asked for (X_SPDSETIDX) */
	bool hold;   /* packets wait for an SA also at level use (D37) */
	struct tdo_req req[TDO_REQ_MAX];
};

/* Populate from packet (RFC 4301 4.4.1.1, D45). */
enum {
	TDO_PFP_SRC = 1 << 0,
	TDO_PFP_DST = 1 << 1,
	TDO_PFP_PROTO = 1 << 2,
	TDO_PFP_SPORT = 1 << 3,
	TDO_PFP_DPORT = 1 << 4,
	TDO_PFP_ALL = 0x1f,
};

/* A copy of one policy. */
struct tdo_sp_info {
	struct tdo_sp_param param; /* with the reqids that were picked */
	uint32_t id;
	uint64_t created, last_used; /* wall-clock seconds, last_used 0 = never */
	tdo_ns made;                 /* creation by the engine's clock */
	uint64_t packets, drops;
	uint32_t refcnt;
};

#endif
