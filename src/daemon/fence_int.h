/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by fence.c and fence_rules.c. */
#ifndef TDO_DAEMON_FENCE_INT_H
#define TDO_DAEMON_FENCE_INT_H

#include "daemon/fence.h"
#include "daemon/natt_ports.h"
#include "os/nft.h"

enum { TDO_FENCE_NAME_LEN = 24 };

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
	struct tdo_natt_ports natt;     /* tdo_fence_natt_port() */
	bool broken;                    /* the kernel refused a change: make the table anew */
	uint64_t guard_drops;           /* counted by tables that are gone */
};

/* Chains, counters and fixed rules of an empty table. */
void tdo_fence_skeleton(struct tdo_fence *f, const char *table);
void tdo_fence_set_new(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s);
void tdo_fence_set_gone(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s);
void tdo_fence_set_entry(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s,
    const uint8_t *key, bool add);
/* Adds or removes the chain that makes the kernel reassemble IPv6. */
void tdo_fence_reassembly(struct tdo_fence *f, const char *table, bool on);
/* Replaces the lookups of one side, all in one transaction. */
void tdo_fence_lookups(struct tdo_fence *f, const char *table, enum tdo_dir dir, uint8_t af);

#endif
