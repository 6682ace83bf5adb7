/* SPDX-License-Identifier: BSD-2-Clause */
/* The output of setkey -D and setkey -DP: spec 2.7 and 2.8, to the blank. */
#ifndef SETKEY_DUMP_H
#define SETKEY_DUMP_H

#include <stdio.h>
#include <time.h>

#include "setkey/names.h"
#include "wire/pfkey_msg.h"

/* One SA of a DUMP or GET answer.  now is the wall clock; ports shows them (-p). */
void tdo_dump_sa(FILE *f, const struct tdo_sadb_msg *m, time_t now, bool ports);
/* The short line of -l. */
void tdo_dump_sa_line(FILE *f, const struct tdo_sadb_msg *m, time_t now);
/* One policy of an SPDDUMP answer. */
void tdo_dump_sp(FILE *f, const struct tdo_sadb_msg *m, const struct names *names);

#endif
