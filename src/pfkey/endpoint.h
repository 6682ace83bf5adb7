/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the PF_KEY endpoint.
 *
 * endpoint.c receives a message, checks it and calls the handler of its type; the handlers
 * are grouped by family: sadb_change.c, sadb_read.c, register.c, spd_msg.c.  event.c makes
 * the messages that nobody asked for, debug.c says what happens if the operator wants to know.
 * why.c finds words for what is refused.  queue.c holds what waits for a client, dump.c produces
 * dump entries while they are pulled.
 */
#ifndef TDO_PFKEY_ENDPOINT_H
#define TDO_PFKEY_ENDPOINT_H

#include <errno.h>

#include "testudo/pfkey.h"
#include "wire/pfkey_msg.h"

/* ---- objects ------------------------------------------------------------------------ */

/* A snapshot that is being sent: one of sa and sp is set. */
struct tdo_pfkey_dump {
	struct tdo_sa_snap *sa;
	struct tdo_sp_snap *sp;
	uint32_t pid; /* of the request */
};

/* One thing that waits for a client. */
struct tdo_pfkey_item {
	struct tdo_pfkey_item *next;
	size_t cap, len;            /* of the message; len 0: a dump */
	bool broadcast;             /* counts against TDO_PFKEY_QUEUE_MAX */
	bool embedded;              /* the client's emergency item */
	struct tdo_pfkey_dump dump; /* with len 0 */
	uint8_t *data;
};

struct tdo_pfkey_client {
	struct tdo_pfkey *k;
	struct tdo_pfkey_client *prev, *next;
	struct tdo_pfkey_cred cred;
	void *cookie;
	bool promisc;
	bool witness;        /* it hears what key managers are told */
	bool rows;           /* it takes packets with several messages, and texts with errors */
	uint16_t registered; /* bit 1 << satype */

	struct tdo_pfkey_item *head, *tail;
	unsigned nbroadcast, ndump;
	size_t broadcast_bytes;
	uint64_t pulled;      /* messages */
	uint64_t pulled_then; /* when events began to wait for it ... */
	tdo_ns waited_since;  /* ... 0: they do not */
	/*
	 * Room for the answer, made before a request is carried out: what has happened can
	 * always be said.  When there is no memory for that, the emergency item says so.
	 */
	struct tdo_pfkey_item *reserved;
	struct tdo_pfkey_item emergency;
	uint8_t emergency_data[TDO_SADB_BASE_LEN];
	bool emergency_used;
};

struct tdo_pfkey {
	struct tdo_pfkey_config cfg;
	struct tdo_pfkey_client *clients;
	struct tdo_pfkey_stats stats;
	uint8_t *scratch; /* TDO_PFKEY_MSG_MAX bytes in which messages are built */
};

/* ---- queue.c ------------------------------------------------------------------------ */

/* Makes room for an answer of cap bytes; 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_pfkey_reserve(struct tdo_pfkey_client *c, size_t cap);
/* Gives the room back if it was not used. */
void tdo_pfkey_unreserve(struct tdo_pfkey_client *c);
/* Queues an answer in the reserved room. */
void tdo_pfkey_answer(struct tdo_pfkey_client *c, const uint8_t *msg, size_t len);
/* Queues a base message in the emergency item. */
void tdo_pfkey_answer_emergency(struct tdo_pfkey_client *c, const struct tdo_sadb_base *b);
/* Queues a dump in the reserved room, which is not needed for a message then. */
void tdo_pfkey_answer_dump(struct tdo_pfkey_client *c, const struct tdo_pfkey_dump *d);

enum tdo_pfkey_audience {
	TDO_PFKEY_NOBODY,
	TDO_PFKEY_REGISTERED, /* clients registered for the SA type (UNSPEC: any) */
	TDO_PFKEY_ALL,        /* privileged clients */
};

/*
 * Queues copies of a message for an audience, except for one client (may be NULL), and a
 * wrapped copy for every promiscuous client, whatever the audience.
 */
void tdo_pfkey_broadcast(struct tdo_pfkey *k, enum tdo_pfkey_audience audience, uint8_t satype,
    const struct tdo_pfkey_client *except, const uint8_t *msg, size_t len);
/* Wrapped copies alone, of a dump entry; not for the client that pulls it. */
void tdo_pfkey_copy_promisc(
    struct tdo_pfkey *k, const struct tdo_pfkey_client *except, const uint8_t *msg, size_t len);
/* Drops all that waits. */
void tdo_pfkey_queue_clear(struct tdo_pfkey_client *c);

/* ---- dump.c ------------------------------------------------------------------------- */

/*
 * Writes the dump's next entry; returns its length and whether it was the last.  0: there
 * is none.
 */
size_t tdo_pfkey_dump_next(struct tdo_pfkey_dump *d, struct tdo_wr *w, bool *ret_last);
void tdo_pfkey_dump_free(struct tdo_pfkey_dump *d);

/* ---- handlers ----------------------------------------------------------------------- */

/* A request while it is handled. */
struct tdo_pfkey_call {
	struct tdo_pfkey_client *c;
	struct tdo_engine *e;
	const struct tdo_sadb_msg *m;
	tdo_ns now;
	struct tdo_wr w;                  /* the answer: w.len 0 = none (yet) */
	enum tdo_pfkey_audience audience; /* who gets it besides the originator */
	/* Why it was refused, if there is more to say than an errno: of the message, of the engine.
	 */
	struct tdo_sadb_err wrong;
	struct tdo_err refused;
};

/*
 * A handler carries out the request and builds the answer in call->w.  It returns 0 or
 * -errno, which is answered instead, with what it noted in call->wrong or call->refused.
 */
typedef int tdo_pfkey_handler(struct tdo_pfkey_call *call);

/* Starts the answer: the request's base message without errno. */
void tdo_pfkey_reply(struct tdo_pfkey_call *call);
/* The same for an answer that shows an object: with its reference count. */
void tdo_pfkey_reply_object(struct tdo_pfkey_call *call, uint32_t refcnt);
/* sadb_msg_reserved holds the reference count where an object is shown. */
static inline uint16_t
tdo_pfkey_refcnt(uint32_t n)
{
	return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}
/* The request has no such extension. */
static inline int
tdo_pfkey_missing(struct tdo_pfkey_call *call, enum tdo_sadb_ext_type ext)
{
	call->wrong = (struct tdo_sadb_err){.ext = (uint8_t)ext, .text = "extension is missing"};
	return -EINVAL;
}
/* What of a request may be told to others: no keys, and nobody's reasons. */
static inline bool
tdo_pfkey_is_told(unsigned type)
{
	return type != TDO_SADB_EXT_KEY_AUTH && type != TDO_SADB_EXT_KEY_ENCRYPT &&
	       type != TDO_SADB_X_EXT_TDO_WHY;
}
/* Adds those of the request's extensions, in their order. */
void tdo_pfkey_reply_echo(struct tdo_pfkey_call *call);

tdo_pfkey_handler tdo_pfkey_do_getspi, tdo_pfkey_do_add, tdo_pfkey_do_update, tdo_pfkey_do_delete,
    tdo_pfkey_do_flush;
tdo_pfkey_handler tdo_pfkey_do_get, tdo_pfkey_do_dump, tdo_pfkey_do_acquire;
tdo_pfkey_handler tdo_pfkey_do_register, tdo_pfkey_do_promisc, tdo_pfkey_do_rows;
tdo_pfkey_handler tdo_pfkey_do_spdadd, tdo_pfkey_do_spdupdate, tdo_pfkey_do_spddelete,
    tdo_pfkey_do_spddelete2, tdo_pfkey_do_spdsetidx, tdo_pfkey_do_spdacquire, tdo_pfkey_do_spdget,
    tdo_pfkey_do_spdflush, tdo_pfkey_do_spddump;

/* ---- register.c ---- */

/* Tells the engine for which SA types somebody is registered. */
void tdo_pfkey_tell_acquirers(struct tdo_pfkey *k);

/* ---- why.c ---- */

/* What there is to be said about this errno of a request of this type; text may be NULL. */
struct tdo_sadb_tdo_why tdo_pfkey_why(
    uint8_t type, int err, const struct tdo_sadb_err *wrong, const struct tdo_err *refused);

/* ---- debug.c ---- */

/* A request and what became of it (m NULL: it does not parse; why: may be NULL). */
void tdo_pfkey_debug_request(const struct tdo_pfkey *k, const struct tdo_sadb_base *b,
    const struct tdo_sadb_msg *m, int err, const char *why);
/* A message that the engine started. */
void tdo_pfkey_debug_event(const struct tdo_pfkey *k, const uint8_t *msg, size_t len);

/* ---- proposal.c --------------------------------------------------------------------- */

/* Supported algorithms of an SA type, as extensions. */
void tdo_pfkey_put_supported(struct tdo_wr *w, const struct tdo_crypto *crypto, uint8_t satype);
/* What testudo would accept for an SA of this type, as PROPOSAL. */
void tdo_pfkey_put_proposal(struct tdo_wr *w, struct tdo_engine *e, uint8_t satype);

#endif
