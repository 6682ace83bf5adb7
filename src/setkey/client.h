/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection to testudod: PF_KEY messages out and in. */
#ifndef SETKEY_CLIENT_H
#define SETKEY_CLIENT_H

#include <stdio.h>

#include "wire/pfkey_msg.h"

struct client {
	int fd;
	uint32_t pid, seq;
	FILE *trace; /* prints every message there; NULL: none */
	uint8_t out[TDO_SADB_MAXLEN], in[TDO_SADB_MAXLEN];
};

/* 0 or -errno; *c is large, for static or allocated memory. */
int tdo_client_open(struct client *c);
/* The sentence for what tdo_client_open returned. */
const char *tdo_client_open_text(int err);
/* Wipes the buffers. */
void tdo_client_close(struct client *c);

/* Starts a message in c->out with the next sequence number, which it returns. */
uint32_t tdo_client_begin(struct client *c, struct tdo_wr *w, uint8_t type, uint8_t satype);
/* Ends and sends it.  0 or -errno; -E2BIG when it did not fit. */
int tdo_client_send(struct client *c, struct tdo_wr *w);
/* True when a message can be sent without waiting for the daemon to read. */
bool tdo_client_writable(struct client *c);
/*
 * The next well-formed message, in c->in until the next call: 1; 0 when none came within
 * the time (negative: no limit); -errno.
 */
int tdo_client_recv(struct client *c, struct tdo_sadb_msg *ret, int timeout_ms);

#endif
