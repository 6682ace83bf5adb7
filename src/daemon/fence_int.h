/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by fence.c and fence_rules.c. */
#ifndef TDO_DAEMON_FENCE_INT_H
#define TDO_DAEMON_FENCE_INT_H

#include "daemon/fence.h"
#include "daemon/natt_ports.h"
#include "os/nft.h"

enum { TDO_FENCE_NAME_LEN = 24, TDO_FENCE_NATT_FORMS = 2 };

/* fence_natt.c */
struct tdo_fence_natt {
	struct tdo_fence_udp sock;
	struct tdo_natt_ports ports;
	unsigned nports; /* of both forms */
	uint16_t fast;   /* what the port of the sending sockets is replaced by; 0: none so far */
	bool in[2];      /* the kernel has what receiving needs; by family */
	bool out;        /* ... and sending */
	bool tried;      /* in and out are known */
};

struct tdo_fence {
	struct tdo_fence_config cfg;
	struct tdo_nft *nft;
	struct tdo_cover *cover;
	char table[TDO_FENCE_NAME_LEN]; /* in force */
	uint32_t taken;                 /* bit i: a table with letter 'a' + i exists */
	uint32_t orphans;               /* of those, left by a crashed run */
	uint32_t flags;                 /* TDO_NFT_F_ */
	bool use_queue, use_socket;     /* what this kernel has */
	bool reassemble;                /* tdo_fence_reassemble() */
	struct tdo_fence_natt natt;
	bool broken;          /* the kernel refused a change: make the table anew */
	uint64_t guard_drops; /* counted by tables that are gone */
};

/* Chains, counters and fixed rules of an empty table. */
void tdo_fence_skeleton(struct tdo_fence *f, const char *table);
void tdo_fence_set_new(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s);
void tdo_fence_set_gone(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s);
void tdo_fence_set_entry(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s,
    const uint8_t *key, bool add);
/* Adds or removes the chain that makes the kernel reassemble IPv6. */
void tdo_fence_reassembly(struct tdo_fence *f, const char *table, bool on);
/* What fence_rules.c and fence_natt.c write into rules. */
void tdo_fence_if_mark(struct tdo_nft *n, uint32_t bits);
void tdo_fence_if_meta8(struct tdo_nft *n, enum nft_meta_keys key, uint8_t value);
void tdo_fence_if_family(struct tdo_nft *n, uint8_t af);
void tdo_fence_if_loopback(struct tdo_nft *n, enum nft_meta_keys key);
void tdo_fence_accept_and_end(struct tdo_nft *n);
/* The packet's mark without the bits of clear, with those of set. */
void tdo_fence_change_mark(struct tdo_nft *n, uint32_t clear, uint32_t set);
/* Chains, sets and rules of UDP encapsulation for a table that has none; nothing without ports. */
void tdo_fence_natt_fill(struct tdo_fence *f, const char *table);
void tdo_fence_natt_age(struct tdo_fence *f);
void tdo_fence_natt_drop_aged(struct tdo_fence *f);
/* Replaces the lookups of one side, all in one transaction. */
void tdo_fence_lookups(struct tdo_fence *f, const char *table, enum tdo_dir dir, uint8_t af);

#endif
