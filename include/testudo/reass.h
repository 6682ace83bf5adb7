/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reassembly of IPv4 and IPv6 fragments (RFC 791 3.2, RFC 8200 4.5), for whoever has to look
 * into datagrams that come in pieces: policies with ports (RFC 4301 7), transport mode, network
 * stacks that get raw fragments.
 *
 * Memory and time are bounded whatever comes.  A source that sends more than its share loses
 * its own datagrams, not those of others.  Fragments that overlap, contradict each other or hide
 * the upper-layer header spoil their datagram (RFC 5722, RFC 7112), in both families.
 *
 * One thread at a time.
 */
#ifndef TESTUDO_REASS_H
#define TESTUDO_REASS_H

#include "testudo/pkt.h"
#include "testudo/types.h"

struct tdo_reass;
struct tdo_reass_datagram;

struct tdo_reass_limits {
	size_t bytes;       /* memory for fragments that wait; 0: none are taken */
	unsigned datagrams; /* that are not complete */
	tdo_ns timeout;     /* from a datagram's first fragment on */
};

struct tdo_reass_config {
	struct tdo_mem mem;   /* used while fragments come; given back when none wait */
	tdo_random_fn random; /* for a secret key: nobody can aim at one bucket */
	void *random_ctx;
	/* n fragments were dropped, the one just given or such as waited.  May be NULL. */
	void (*lost)(void *ctx, enum tdo_reason r, unsigned n);
	/*
	 * A datagram is given up because its time is over, while its first fragment is there.  Its
	 * source may be told (RFC 1122 3.3.2, RFC 8200 4.5).  May be NULL.
	 */
	void (*late)(void *ctx, const struct tdo_reass_datagram *d);
	void *lost_ctx; /* of both */
};

/* Returns 0 or -ENOMEM.  It takes nothing before tdo_reass_limit(). */
TDO_MUST_CHECK int tdo_reass_new(const struct tdo_reass_config *cfg, struct tdo_reass **ret);
void tdo_reass_free(struct tdo_reass *r); /* r may be NULL */
/* What waits already is not looked at before something else comes. */
void tdo_reass_limit(struct tdo_reass *r, const struct tdo_reass_limits *lim);

enum tdo_reass_result {
	TDO_REASS_NONE,    /* no fragment: a whole packet, or an atomic fragment (RFC 6946) */
	TDO_REASS_WAITS,   /* others are missing */
	TDO_REASS_WHOLE,   /* the datagram is in *out */
	TDO_REASS_DROPPED, /* lost() was told why */
};

/* What fragments a datagram was made of. */
struct tdo_reass_whole {
	unsigned fragments;
	uint32_t longest; /* bytes of the longest, with its IP header */
	uint32_t id;      /* identification */
};

/*
 * Takes an IP packet of len bytes.  way: whatever else fragments of one datagram must have in
 * common, such as the SAs that they came by; what came by different ways is never put together.
 * WHOLE: the datagram was written to out, at its off, without a fragment header and with DF clear,
 * and parsed (out->ip); up to 65,575 bytes.  ret (may be NULL) is filled.
 */
TDO_MUST_CHECK enum tdo_reass_result tdo_reass_add(struct tdo_reass *r, const void *packet,
    size_t len, uint64_t way, tdo_ns now, struct tdo_pkt *out, struct tdo_reass_whole *ret);

/*
 * In late(): writes the first fragment to out, at its off, as it came, and parses it.  False: there
 * is no room.
 */
TDO_MUST_CHECK bool tdo_reass_first(const struct tdo_reass_datagram *d, struct tdo_pkt *out);

/*
 * Gives up what waited too long, and memory that is not needed.  When to call it again;
 * UINT64_MAX: nothing waits.
 */
tdo_ns tdo_reass_expire(struct tdo_reass *r, tdo_ns now);

struct tdo_reass_use {
	size_t bytes;       /* of fragments that wait */
	unsigned datagrams; /* that are not complete, or spoilt */
	unsigned sources;
};
struct tdo_reass_use tdo_reass_use(const struct tdo_reass *r);

#endif
