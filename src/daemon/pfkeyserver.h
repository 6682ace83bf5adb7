/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PF_KEY over an abstract SOCK_SEQPACKET socket: connections, credentials, back pressure.  The
 * protocol is in src/pfkey.
 */
#ifndef TDO_DAEMON_PFKEYSERVER_H
#define TDO_DAEMON_PFKEYSERVER_H

#include "daemon/data.h"
#include "daemon/loop.h"
#include "testudo/pfkey.h"

#define TDO_PFKEY_CLIENTS_MAX   1024
#define TDO_PFKEY_STRANGERS_MAX 256 /* of them without privileges: they cannot lock root out */

struct tdo_keyserver;

struct tdo_keyserver_hooks {
	/* A packet of a privileged client with several messages, before they are processed ... */
	void (*row_begins)(void *ctx, const uint8_t *row, size_t len);
	void (*row_ends)(void *ctx); /* ... and after it */
	/* Messages were processed: write down what changed before they are answered. */
	void (*processed)(void *ctx);
	/* A client sent a message that changes the SPD. */
	void (*spd_changed)(void *ctx);
	/* A client that had changed the SPD is gone. */
	void (*spd_client_gone)(void *ctx);
	void *ctx;
};

/* Serves env->pfkey_listen.  *ret needs tdo_keyserver_attach() before the first message. */
TDO_MUST_CHECK int tdo_keyserver_new(int epfd, const struct tdo_data_env *env,
    const struct tdo_keyserver_hooks *hooks, struct tdo_keyserver **ret);
void tdo_keyserver_attach(struct tdo_keyserver *ks, struct tdo_pfkey *pfkey);
/* Closes all connections; ks may be NULL.  Before tdo_pfkey_free(). */
void tdo_keyserver_free(struct tdo_keyserver *ks);

/* For struct tdo_pfkey_config: ctx is the server, cookie a client of it, or NULL. */
void tdo_keyserver_wake(void *ctx, void *cookie);
/* Sends what clients can take; after everything that may have made output. */
void tdo_keyserver_flush(struct tdo_keyserver *ks);
unsigned tdo_keyserver_clients(const struct tdo_keyserver *ks);

#endif
