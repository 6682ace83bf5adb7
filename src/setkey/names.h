/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names that stand for numbers: hosts, services, protocols.  The parser asks through this
 * interface, so that tests and fuzzers use tables of their own.
 */
#ifndef SETKEY_NAMES_H
#define SETKEY_NAMES_H

#include "setkey/stmt.h"

enum {
	NAMES_INET = 1,    /* -4 */
	NAMES_INET6 = 2,   /* -6 */
	NAMES_NUMERIC = 4, /* -n */
};

struct names {
	/* All addresses of a host of the wanted families; NULL, or a text that says why not. */
	const char *(*host)(void *ctx, const char *name, unsigned flags, struct stmt_addrs *ret);
	/* Port of a service, 0 when unknown. */
	uint16_t (*service)(void *ctx, const char *name);
	/* Number of a protocol, -1 when unknown. */
	int (*proto)(void *ctx, const char *name);
	/* The name of a protocol number in buf, or NULL. */
	const char *(*proto_name)(void *ctx, unsigned proto, char *buf, size_t len);
	void *ctx;
};

/* The host's resolver and databases. */
extern const struct names tdo_names_system;
/* Numbers only, and the protocols that setkey knows by itself. */
extern const struct names tdo_names_numeric;

#endif
