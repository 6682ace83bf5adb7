/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the data process has the parent cover in the kernel, for its policies.
 *
 * A policy is in force only after the parent answered that its packets are diverted.  A question
 * for each takes longer than all the rest, so policies that are about to come are asked for
 * together; what is not needed then goes back.  Covers that end are told in heaps: one that stays
 * a little longer is no leak, only more packets to look at.
 */
#ifndef TDO_DAEMON_COVERING_H
#define TDO_DAEMON_COVERING_H

#include "daemon/parentlink.h"

/* One direction and family. */
struct tdo_covering_side {
	uint64_t told, untold; /* covers that the parent knows of, and that it need not know of */
	bool all;              /* it covers all packets: more covers change nothing */
	/* What is in force for policies that come: from first, as far as it is not taken. */
	unsigned n, first;
	struct tdo_ipc_cover ahead[TDO_IPC_COVERS];
	bool taken[TDO_IPC_COVERS];
};

struct tdo_covering {
	struct tdo_parentlink *parent;
	struct tdo_covering_side side[2][2];
	unsigned ngone;
	struct tdo_ipc_cover gone[TDO_IPC_COVERS]; /* not told yet */
};

/* parent is borrowed. */
void tdo_covering_init(struct tdo_covering *c, struct tdo_parentlink *parent);

/* In force when it returns 0; else -errno. */
TDO_MUST_CHECK int tdo_covering_widen(
    struct tdo_covering *c, uint8_t dir, const struct tdo_sel *sel);
/* For every widen; carried out by tdo_covering_flush() at the latest. */
void tdo_covering_narrow(struct tdo_covering *c, uint8_t dir, const struct tdo_sel *sel);
/* At the end of a turn. */
void tdo_covering_flush(struct tdo_covering *c);

/* A policy is about to come, perhaps.  Of too many, the later ones are asked for alone. */
void tdo_covering_expect(struct tdo_covering *c, const struct tdo_sp_param *sp);
/* Asks for those that are expected. */
void tdo_covering_ask(struct tdo_covering *c);
/* All three for the policies of a row of PF_KEY messages. */
void tdo_covering_expect_row(struct tdo_covering *c, const uint8_t *row, size_t len);
/* They have come: gives back what was not needed. */
void tdo_covering_end(struct tdo_covering *c);

#endif
