/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host for tests: an engine behind its PF_KEY endpoint, set up by statements of the setkey
 * language, as a user sets it up.  Memory is counted; failures abort the test program.
 */
#ifndef TDO_TESTS_HOST_H
#define TDO_TESTS_HOST_H

#include "rng.h"
#include "testudo/engine.h"
#include "testudo/pfkey.h"

/* Sequence counters that the test sees and moves: those of the SAs with SPIs from here on. */
#define HOST_SPI   0x1000u
#define HOST_SLOTS 16

struct host {
	struct tdo_engine *e;
	struct tdo_worker *w;
	struct tdo_crypto *crypto;
	struct tdo_pfkey *pfkey;
	struct tdo_pfkey_client *client;
	struct rng rng;
	tdo_ns now;
	size_t allocated; /* bytes not yet freed */
	_Atomic uint64_t last[HOST_SLOTS];
	/* NULL, or where SAs have their counters instead: see struct tdo_engine_config. */
	_Atomic uint64_t *(*slot)(const struct tdo_sa_param *sa);
	unsigned followed; /* SAs whose ports changed with a NAT */
	int refused;       /* errno of the first answer that had one */
};

/* One worker; all drivers, or the one named. */
void host_open(struct host *h, const char *driver);
/* Fails when memory is left. */
void host_close(struct host *h);
/* Carries out statements: 0, or the errno of the first that was refused. */
int host_setkey(struct host *h, const char *statements);
/* Removes all SAs and policies and waits until they are gone. */
void host_flush(struct host *h);
/* The host's own addresses: a list that ends with NULL. */
void host_local(struct host *h, const char *const *addresses);

#endif
