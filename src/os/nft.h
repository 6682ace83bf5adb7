/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nftables by netlink messages.
 *
 * Calls append to a transaction; tdo_nft_commit() carries it out: all of it or nothing.  A
 * transaction that grows large is committed in pieces, but only where a caller says that a
 * piece may end (tdo_nft_break).  An error in a call is kept and reported by commit.
 *
 * One struct tdo_nft is one netlink socket, so one owner of tables with NFT_TABLE_F_OWNER.
 * All tables are of family inet.
 */
#ifndef TDO_OS_NFT_H
#define TDO_OS_NFT_H

#include <netinet/in.h> /* before the kernel's headers, which know how to share with it */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "os/nl.h"

#define TDO_NFT_F_OWNER   0x2u /* the table dies with this socket, nobody else may change it */
#define TDO_NFT_F_PERSIST 0x4u /* with OWNER: it stays, without owner (Linux 6.9) */

struct tdo_nft;

int tdo_nft_open(struct tdo_nft **ret);
void tdo_nft_close(struct tdo_nft *n); /* n may be NULL */
uint32_t tdo_nft_portid(const struct tdo_nft *n);

/* Ends the transaction: 0 or the -errno of the first message that was refused. */
int tdo_nft_commit(struct tdo_nft *n);
/* Forgets the transaction. */
void tdo_nft_discard(struct tdo_nft *n);
/* A piece may end here: commits when much has been collected. */
void tdo_nft_break(struct tdo_nft *n);
/* True when nothing waits for a commit. */
bool tdo_nft_empty(const struct tdo_nft *n);

/* ---- tables, chains, sets, objects -------------------------------------------------- */

void tdo_nft_table_add(struct tdo_nft *n, const char *table, uint32_t flags);
void tdo_nft_table_del(struct tdo_nft *n, const char *table);
/* Calls fn for each inet table, now (no part of the transaction). */
int tdo_nft_table_list(struct tdo_nft *n, void (*fn)(void *ctx, const char *name), void *ctx);

struct tdo_nft_hook {
	const char *type; /* "filter", "route" */
	uint32_t num;     /* NF_INET_... */
	int32_t priority;
};

/* hook is NULL for a chain that is jumped to.  The policy of base chains is accept. */
void tdo_nft_chain_add(
    struct tdo_nft *n, const char *table, const char *chain, const struct tdo_nft_hook *hook);
/* Removes a chain that nothing refers to, with its rules. */
void tdo_nft_chain_del(struct tdo_nft *n, const char *table, const char *chain);
/* Removes all rules of a chain. */
void tdo_nft_chain_flush(struct tdo_nft *n, const char *table, const char *chain);

/* A hash set of keys of key_len bytes; key_type is for listings by nft(8) only. */
void tdo_nft_set_add(
    struct tdo_nft *n, const char *table, const char *set, uint32_t key_type, uint32_t key_len);
void tdo_nft_set_del(struct tdo_nft *n, const char *table, const char *set);
/* Adds or removes one element. */
void tdo_nft_elem(struct tdo_nft *n, const char *table, const char *set, bool add,
    const uint8_t *key, uint16_t key_len);

void tdo_nft_counter_add(struct tdo_nft *n, const char *table, const char *name);
/* Reads the packets that a named counter saw, now. */
int tdo_nft_counter_get(
    struct tdo_nft *n, const char *table, const char *name, uint64_t *ret_packets);

/* ---- rules -------------------------------------------------------------------------- */

/* Between begin and end: the expressions of one rule, from left to right. */
void tdo_nft_rule_begin(struct tdo_nft *n, const char *table, const char *chain);
void tdo_nft_rule_end(struct tdo_nft *n);

/* Register number of the i-th 32-bit register. */
#define TDO_NFT_REG(i) ((uint32_t)NFT_REG32_00 + (uint32_t)(i))

void tdo_nft_payload(
    struct tdo_nft *n, enum nft_payload_bases base, uint32_t off, uint32_t len, uint32_t dreg);
void tdo_nft_meta(struct tdo_nft *n, enum nft_meta_keys key, uint32_t dreg);
/* dreg becomes the mark of the packet's socket (hook output). */
void tdo_nft_socket_mark(struct tdo_nft *n, uint32_t dreg);
void tdo_nft_meta_set(struct tdo_nft *n, enum nft_meta_keys key, uint32_t sreg);
/* dreg becomes 1 when the IPv6 packet has an extension header of this type, else 0. */
void tdo_nft_exthdr_present(struct tdo_nft *n, uint8_t type, uint32_t dreg);
/* dreg becomes the RTN_... type of the destination address. */
void tdo_nft_fib_daddr_type(struct tdo_nft *n, uint32_t dreg);
/* reg = (reg & mask) ^ xor; xor may be NULL. */
void tdo_nft_bitwise(
    struct tdo_nft *n, uint32_t reg, const uint8_t *mask, const uint8_t * xor, uint16_t len);
void tdo_nft_cmp(
    struct tdo_nft *n, enum nft_cmp_ops op, uint32_t sreg, const void *data, uint16_t len);
void tdo_nft_lookup(struct tdo_nft *n, const char *set, uint32_t sreg);
/* dreg becomes these bytes. */
void tdo_nft_immediate(struct tdo_nft *n, uint32_t dreg, const void *data, uint16_t len);
/* Writes sreg into the packet.  No checksum follows. */
void tdo_nft_payload_set(
    struct tdo_nft *n, enum nft_payload_bases base, uint32_t off, uint32_t len, uint32_t sreg);
/*
 * Gives the packet to the transparent socket of the port in sreg; without one the rule ends here,
 * as without a match.  A rule that has it makes the kernel reassemble first.  family: NFPROTO_...
 */
void tdo_nft_tproxy(struct tdo_nft *n, uint8_t family, uint32_t sreg);
void tdo_nft_counter(struct tdo_nft *n, const char *name);
void tdo_nft_notrack(struct tdo_nft *n);
/* The xt target NFQUEUE: nft's own queue expression is missing on some kernels. */
void tdo_nft_nfqueue(struct tdo_nft *n, uint16_t queue);
/* NF_ACCEPT, NF_DROP, NFT_RETURN, or NFT_JUMP and NFT_GOTO with a chain. */
void tdo_nft_verdict(struct tdo_nft *n, int code, const char *chain);

#endif
