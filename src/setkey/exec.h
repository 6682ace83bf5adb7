/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carrying statements out.  Requests are sent ahead of their answers, up to a window, so
 * that long files load fast; results are printed in the order of the statements.
 */
#ifndef SETKEY_EXEC_H
#define SETKEY_EXEC_H

#include "setkey/client.h"
#include "setkey/names.h"
#include "setkey/progress.h"

#define EXEC_WINDOW 512

/*
 * The daemon may be emptying a database of a million entries, for us or for somebody else.  Only
 * one that is stuck does not answer at all.
 */
#define EXEC_PATIENCE_MS 60000

#define EXEC_WHY_LEN 256

struct exec_options {
	bool with_line;      /* "The result of line N: " before results (-f) */
	bool ports;          /* -p */
	bool dead;           /* -a: also SAs that are dead */
	bool line;           /* -l: short lines */
	bool global, scoped; /* -g, -t: only policies of users, only of the system */
	bool no_socket;      /* -N: leave out policies of sockets */
};

struct exec_pending {
	uint32_t seq;
	unsigned line;
	uint8_t type; /* message type */
	uint8_t satype;
	bool quiet; /* the fwd copy of an in policy: it need not be new, nor be there */
	bool answered;
	uint8_t err;
};

struct exec {
	struct client *client;
	struct exec_options opt;
	const struct names *names;
	FILE *out;
	unsigned failed; /* statements that did not succeed */
	int patience_ms; /* an answer that takes longer is not waited for; 0: EXEC_PATIENCE_MS */
	struct progress progress;

	struct exec_pending ring[EXEC_WINDOW]; /* a queue: first, n */
	unsigned first, n;
	/* By place in the ring, of what was refused: what the daemon says about it, or empty. */
	char why[EXEC_WINDOW][EXEC_WHY_LEN];
};

/* Carries one statement out, or starts it.  0, or -errno when the connection is broken. */
int tdo_exec_stmt(struct exec *x, const struct stmt *s);
/* Waits for every answer that is missing. */
int tdo_exec_wait(struct exec *x);

/* Prints the SAD (satype 0: all of it), the SPD; empties them. */
int tdo_exec_dump(struct exec *x, uint8_t satype, unsigned line);
int tdo_exec_spddump(struct exec *x, unsigned line);
int tdo_exec_flush(struct exec *x, uint8_t satype, unsigned line);
int tdo_exec_spdflush(struct exec *x, unsigned line);

#endif
