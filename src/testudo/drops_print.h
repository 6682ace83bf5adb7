/* SPDX-License-Identifier: BSD-2-Clause */
/* Drops by SA and policy, for people. */
#ifndef TDO_TESTUDO_DROPS_PRINT_H
#define TDO_TESTUDO_DROPS_PRINT_H

#include <jansson.h>
#include <stdio.h>

/* The last packet that a reason hit, on a line; nothing if it is not known. */
void tdo_last_print(FILE *f, const json_t *last);
/* The daemon's answer; kind "sas", "policies" or NULL: both. */
void tdo_drops_print(FILE *f, const json_t *answer, const char *kind);

#endif
