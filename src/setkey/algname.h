/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Algorithms by name and number: those of the engine's table, and tcp-md5.  Statements with
 * what the daemon lacks are sent nevertheless; it says whether it can.
 */
#ifndef SETKEY_ALGNAME_H
#define SETKEY_ALGNAME_H

#include "testudo/crypto.h"

/* NULL when there is none of this name, of this number. */
const struct tdo_alg *tdo_algname_auth(const char *name);
const struct tdo_alg *tdo_algname_auth_number(uint8_t pfkey);
/* The name in the output of setkey -D, which has short ones for keyed-md5 and keyed-sha1. */
const char *tdo_algname_auth_printed(uint8_t pfkey);

#define ALGNAME_TCP_MD5 252 /* SADB_X_AALG_TCP_MD5: a key for tcp entries and nothing else */

#endif
