/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection to testudod: PF_KEY messages out and in.  Requests are collected and sent several
 * in a packet when the daemon agrees (TDO_SADB_X_TDO_ROWS): a packet costs as much as a request.
 */
#ifndef SETKEY_CLIENT_H
#define SETKEY_CLIENT_H

#include <stdio.h>

#include "wire/pfkey_msg.h"

struct client {
	int fd;
	uint32_t pid, seq;
	FILE *trace; /* prints every message there; NULL: none */
	bool rows;   /* the daemon takes packets with several messages */
	unsigned unsent;
	size_t out_len;       /* of what is not sent yet */
	size_t in_at, in_len; /* what was received and not handed out yet */
	uint8_t out[TDO_SADB_ROW_MAX], in[TDO_SADB_ROW_MAX];
};

/* 0 or -errno; *c is large, for static or allocated memory. */
int tdo_client_open(struct client *c);
/* The sentence for what tdo_client_open returned. */
const char *tdo_client_open_text(int err);
/*
 * Agrees with the daemon about packets with several messages; whoever does not know them answers
 * with an error and goes on.  0 or -errno.
 */
int tdo_client_ask_rows(struct client *c, int timeout_ms);
/* Wipes the buffers. */
void tdo_client_close(struct client *c);

/* Starts a message in c->out with the next sequence number, which it returns. */
uint32_t tdo_client_begin(struct client *c, struct tdo_wr *w, uint8_t type, uint8_t satype);
/* Ends it: 0, 1 when it is time to send, -E2BIG when it did not fit. */
int tdo_client_add(struct client *c, struct tdo_wr *w);
/* Sends what is not sent yet.  0 or -errno. */
int tdo_client_push(struct client *c);
/* Both.  0 or -errno. */
int tdo_client_send(struct client *c, struct tdo_wr *w);
/* True when a message can be sent without waiting for the daemon to read. */
bool tdo_client_writable(struct client *c);
/* True when a message was received that is not handed out yet. */
bool tdo_client_has_more(const struct client *c);
/*
 * The next well-formed message, in c->in until the next call: 1; 0 when none came within
 * the time (negative: no limit); -errno.
 */
int tdo_client_recv(struct client *c, struct tdo_sadb_msg *ret, int timeout_ms);

#endif
