/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnel packets of IPComp that did not get smaller travel as plain IP in IP (RFC 3173 2.2).
 * Nothing in them says whose they are, so packets of protocols 4 and 41 between the ends of
 * such SAs are shown to the engine, like clear packets that a policy covers: it takes its own,
 * the host keeps the rest.  This knows between which addresses; without IPComp SAs it covers
 * nothing, and no packet pays for it.
 *
 * Additions are in force at once; what is not needed any more goes with the next sweep.
 */
#ifndef TDO_DAEMON_BARE_H
#define TDO_DAEMON_BARE_H

#include "testudo/sa.h"
#include "testudo/sel.h"

/* Packets of a selector are shown to the engine, or no longer. */
struct tdo_bare_ops {
	int (*add)(void *ctx, const struct tdo_sel *sel); /* 0 or -errno */
	void (*del)(void *ctx, const struct tdo_sel *sel);
};

struct tdo_bare_pair;

struct tdo_bare {
	const struct tdo_bare_ops *ops; /* borrowed */
	void *ctx;
	struct tdo_bare_pair *pair; /* sorted */
	unsigned n, cap;
	unsigned sweep; /* number of the last one */
	bool stale;     /* something may be gone */
	tdo_ns swept;
};

void tdo_bare_init(struct tdo_bare *b, const struct tdo_bare_ops *ops, void *ctx);
void tdo_bare_fini(struct tdo_bare *b);

/* An SA that exists; of no interest unless it can be an IPComp tunnel.  0, -ENOMEM, or add's. */
int tdo_bare_sa(struct tdo_bare *b, const struct tdo_sa_param *sa);
/* Some SA of IPComp is gone. */
void tdo_bare_gone(struct tdo_bare *b);

/* A sweep is due: begin, tdo_bare_sa() for every SA, end. */
bool tdo_bare_due(const struct tdo_bare *b, tdo_ns now);
void tdo_bare_sweep_begin(struct tdo_bare *b);
void tdo_bare_sweep_end(struct tdo_bare *b, tdo_ns now);

#endif
