/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters as netstat(1) of the BSDs prints them. */
#ifndef TDO_TESTUDO_NETSTAT_PRINT_H
#define TDO_TESTUDO_NETSTAT_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Prints the groups of the daemon's answer: of one protocol ("ipsec" are the five of IPsec), or
 * with NULL all but KAME's.  brief: lines whose number is 0 are left out.  False: there is no such
 * protocol.
 */
bool tdo_netstat_print(FILE *f, const json_t *answer, const char *protocol, bool brief);

#endif
