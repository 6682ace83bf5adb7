/* SPDX-License-Identifier: BSD-2-Clause */
/* One statement of the setkey language, as the parser makes it. */
#ifndef SETKEY_STMT_H
#define SETKEY_STMT_H

#include <stdio.h>

#include "testudo/crypto.h"
#include "wire/pfkey_proto.h"
#include "wire/policy_text.h"

enum stmt_kind {
	STMT_NONE,
	STMT_ADD,
	STMT_UPDATE,
	STMT_GETSPI,
	STMT_GET,
	STMT_DELETE,
	STMT_DELETEALL,
	STMT_FLUSH,
	STMT_DUMP,
	STMT_SPDADD,
	STMT_SPDUPDATE,
	STMT_SPDDELETE,
	STMT_SPDFLUSH,
	STMT_SPDDUMP,
};

/* A host name may stand for several addresses. */
struct stmt_addrs {
	struct tdo_addr *v; /* n entries, from malloc */
	size_t n;
	uint16_t port; /* 0 = none given */
};

struct stmt_key {
	uint8_t *b; /* from tdo_stmt_alloc, wiped when freed */
	size_t len;
};

/* Protocol word of a statement: SA type and what else it says. */
struct stmt_proto {
	const char *name;
	uint8_t satype;
	bool old; /* esp-old, ah-old */
	bool udp; /* esp-udp: ESP in UDP, RFC 3948 */
};

#define STMT_TCP_SPI 0x1000 /* the one SPI that tcp entries have */

/* Settings by "-o"; see struct tdo_sa_param and struct tdo_sp_param. */
struct stmt_opt {
	struct tdo_tunnel_opt tunnel;
	bool adaptive; /* SAs only */
	uint16_t cpu;
	uint8_t align;
	struct tdo_tfc tfc;
	uint16_t mtu;
	bool hold; /* policies only */
	uint8_t pfp;
};

/* UDP encapsulation, by esp-udp or by -natt. */
struct stmt_natt {
	bool on;                  /* -natt was given */
	uint16_t sport, dport;    /* of -natt; esp-udp has them at its addresses */
	struct tdo_addr oai, oar; /* original addresses; af NONE: none */
	uint16_t frag;            /* -natt_mtu, 0 = none */
};

/* add update getspi get delete deleteall; flush and dump use proto only */
struct stmt_sa {
	const struct stmt_proto *proto; /* NULL: all types, flush and dump */
	struct stmt_addrs src, dst;
	struct stmt_natt natt;
	uint32_t spi;
	uint8_t mode;
	uint32_t reqid, flags, replay; /* replay in packets */
	struct tdo_lifetime hard, soft;
	bool has_hard, has_soft;
	const struct tdo_alg *enc, *auth;
	uint8_t comp; /* PF_KEY number of a compression algorithm, 0 = none */
	struct stmt_key ekey, akey;
	struct stmt_opt opt;
	bool has_sel; /* -sel */
	struct tdo_sel sel;
	struct tdo_addr new_src, new_dst; /* -new; af NONE: not given */
};

/* spdadd spdupdate spddelete */
struct stmt_sp {
	struct tdo_policy_text policy;
	struct tdo_sel sel;
	struct stmt_opt opt;
};

struct stmt {
	enum stmt_kind kind;
	unsigned line; /* where it begins */
	struct stmt_sa sa;
	struct stmt_sp sp;
};

/* Frees what the statement holds, wipes its keys, and empties it. */
void tdo_stmt_fini(struct stmt *s);

/* Memory whose contents are wiped by tdo_stmt_free; NULL when there is none. */
void *tdo_stmt_alloc(size_t len);
void *tdo_stmt_realloc(void *p, size_t len);
void tdo_stmt_free(void *p);

/* True for the protocols whose selectors carry a type and a code instead of ports. */
bool tdo_stmt_proto_has_type(unsigned proto);

#define STMT_PROTO_ICMP  1
#define STMT_PROTO_GRE   47
#define STMT_PROTO_ICMP6 58
#define STMT_PROTO_MH    135

/* True for the range that matches everything. */
bool tdo_stmt_range_any(const struct tdo_range *r);
/* True for the ranges that one number says in which 0 is the wildcard. */
bool tdo_stmt_range_plain(const struct tdo_range *r);

/* Writes " SRC DST UPPER", as they stand in a policy statement. */
void tdo_stmt_print_sel(FILE *f, const struct tdo_sel *sel);

/* Writes the statement in canonical form, one line for each pair of addresses. */
void tdo_stmt_print(FILE *f, const struct stmt *s);

/* The word of a statement: "spdadd". */
const char *tdo_stmt_kind_name(enum stmt_kind kind);

#endif
