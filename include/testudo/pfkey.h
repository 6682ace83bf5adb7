/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PF_KEY version 2 endpoint (RFC 2367 and the SPD extensions of KAME, NetBSD dialect) over
 * one engine: messages in, messages out, no I/O.
 *
 * The transport gives each received message to tdo_pfkey_input(), and whenever a client
 * can take data it asks tdo_pfkey_pull() for that client's next message.  Dumps are
 * produced while they are pulled: they have any size, are a consistent snapshot and hold
 * no memory per message (R61, D2).
 */
#ifndef TESTUDO_PFKEY_H
#define TESTUDO_PFKEY_H

#include "testudo/engine.h"

struct tdo_pfkey;
struct tdo_pfkey_client;

#define TDO_PFKEY_MSG_MAX 65536 /* bytes of one message */
#define TDO_PFKEY_QUEUE_MAX                                                                        \
	4096 /* broadcasts that wait for a client; later ones are lost, counted */
#define TDO_PFKEY_QUEUE_BYTES (4u << 20) /* of them, whatever their number */

struct tdo_pfkey_config {
	struct tdo_mem mem;
	struct tdo_engine *engine; /* borrowed */
	/* The client has output now although it sent nothing: wake its transport.  May be NULL. */
	void (*wake)(void *ctx, void *client_cookie);
	void *wake_ctx;
};

/* 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_pfkey_new(const struct tdo_pfkey_config *cfg, struct tdo_pfkey **ret);
void tdo_pfkey_free(struct tdo_pfkey *k); /* k may be NULL; frees its clients too */

struct tdo_pfkey_cred {
	bool privileged; /* may change the databases and see keys */
	uint32_t pid;
};

/* cookie is given back to wake.  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_pfkey_open(struct tdo_pfkey *k, const struct tdo_pfkey_cred *cred,
    void *cookie, struct tdo_pfkey_client **ret);
void tdo_pfkey_close(struct tdo_pfkey_client *c); /* c may be NULL */
/* From now on c hears what key managers are told; it is none of them. */
void tdo_pfkey_witness(struct tdo_pfkey_client *c);

/*
 * Processes one message of len bytes completely: when this returns, every change is in
 * force and every answer is queued.  Bad messages are answered with their errno, never
 * with silence (D52).
 */
void tdo_pfkey_input(struct tdo_pfkey_client *c, const void *msg, size_t len, tdo_ns now);

/*
 * True when the client said that packets may hold several messages, by X_TDO_ROWS.  The transport
 * cuts its packets and may join what it pulls.
 */
bool tdo_pfkey_rows(const struct tdo_pfkey_client *c);

/* True when tdo_pfkey_pull() would give a message. */
bool tdo_pfkey_pending(const struct tdo_pfkey_client *c);

/*
 * Writes the client's next message into buf and returns its length, 0 when there is none.
 * cap must be TDO_PFKEY_MSG_MAX or more.  The message may hold keys: wipe buf after use.
 */
size_t tdo_pfkey_pull(struct tdo_pfkey_client *c, void *buf, size_t cap);

/*
 * Takes the engine's events and turns them into EXPIRE, ACQUIRE and SPDEXPIRE messages.  True
 * when a key manager has to read before the rest can be told: to be called again soon.  One that
 * does not read is waited for a second, and loses what it has no room for.
 */
bool tdo_pfkey_events(struct tdo_pfkey *k, tdo_ns now);

#define TDO_PFKEY_TYPES 32 /* more than there are message types */

/* Counters as BSD's net.key.stats has them: out is from users, in is to users. */
struct tdo_pfkey_stats {
	uint64_t out_total, out_bytes, out_msgtype[TDO_PFKEY_TYPES]; /* by message type */
	uint64_t out_tooshort, out_invlen, out_invver, out_invmsgtype,
	    out_invsatype; /* malformed */
	uint64_t out_dupext, out_invexttype, out_invaddr, out_inval;
	uint64_t out_nomem;   /* no memory for an answer: not carried out */
	uint64_t out_refused; /* in order, but not carried out */
	uint64_t in_total, in_bytes, in_msgtype[TDO_PFKEY_TYPES];
	uint64_t in_one, in_all, in_registered;
	uint64_t in_nomem; /* messages that clients lost because they did not read */
	uint64_t sockerr;  /* errors of sockets */
};
const struct tdo_pfkey_stats *tdo_pfkey_stats(const struct tdo_pfkey *k);
/* The transport of a client failed: counted. */
void tdo_pfkey_count_sockerr(struct tdo_pfkey *k);
/* Messages that clients lost because they did not read: in_nomem. */
uint64_t tdo_pfkey_lost(const struct tdo_pfkey *k);

#endif
