/* SPDX-License-Identifier: BSD-2-Clause */
/* A line on the terminal that says how far setkey is, when that takes longer than a second. */
#ifndef SETKEY_PROGRESS_H
#define SETKEY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "testudo/types.h"

struct progress {
	FILE *out;           /* the terminal; NULL: none, nothing is written */
	tdo_ns (*now)(void); /* monotonic; NULL: the system's */
	tdo_ns begun, shown; /* 0: not yet */
	uint64_t done;       /* statements answered, entries received */
	unsigned failed;
	bool on_screen;
	bool apart; /* entries are written somewhere else: the line may stay among them */
};

#define PROGRESS_AFTER (1 * TDO_SEC)
#define PROGRESS_EVERY (TDO_SEC / 5)

/* Something begins, or goes on: writes the line when it is time. */
void tdo_progress_tick(struct progress *p);
/* Takes the line away: something else is to be written, or all is done. */
void tdo_progress_hide(struct progress *p);
/* All is done: the next thing counts from 0. */
void tdo_progress_end(struct progress *p);

#endif
