/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments that policies can only judge when they are put together, of one worker: what
 * testudo/reass.h needs of the daemon.
 */
#ifndef TDO_DAEMON_FRAGMENTS_H
#define TDO_DAEMON_FRAGMENTS_H

#include "testudo/engine.h"
#include "testudo/reass.h"

/*
 * The other fragments of a datagram did not come; this is the first one, good until it returns. in:
 * it came protected.
 */
typedef void (*tdo_fragments_late_fn)(void *ctx, const struct tdo_pkt *first, bool in, tdo_ns now);

struct tdo_fragments {
	struct tdo_engine *engine; /* borrowed */
	struct tdo_worker *handle;
	struct tdo_reass *out, *in;
	struct tdo_pkt whole;       /* what was put together last */
	uint8_t *mem;               /* of whole */
	bool waiting;               /* what tdo_fragments_look() said last */
	tdo_ns now;                 /* of the call that is at work */
	tdo_fragments_late_fn late; /* or NULL; set by who makes it */
	void *late_ctx;
};

/* 0 or -ENOMEM; in both cases tdo_fragments_fini() frees. */
TDO_MUST_CHECK int tdo_fragments_init(
    struct tdo_fragments *f, struct tdo_engine *engine, struct tdo_worker *handle);
void tdo_fragments_fini(struct tdo_fragments *f);

/*
 * Take a fragment, that is, a packet with verdict FRAGMENT.  The whole datagram, or NULL: it is
 * not complete, or dropped.  It is good until the next call.  Outbound it is classified; it
 * does not count as forwarded: its sender cuts his datagrams himself, whatever their size.
 */
struct tdo_pkt *tdo_fragments_out(struct tdo_fragments *f, const struct tdo_pkt *p, tdo_ns now);
/* Inbound it passed the policies.  *ret: what it was made of. */
struct tdo_pkt *tdo_fragments_in(
    struct tdo_fragments *f, const struct tdo_pkt *p, tdo_ns now, struct tdo_reass_whole *ret);

/*
 * A copy of p that is good until the next call, classification included; p is not larger than an IP
 * packet.
 */
struct tdo_pkt *tdo_fragments_copy(struct tdo_fragments *f, const struct tdo_pkt *p);

/* Gives up what waited too long.  True: something waits; look again within a second or so. */
bool tdo_fragments_look(struct tdo_fragments *f, tdo_ns now);

#endif
