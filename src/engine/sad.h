/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the SAD: two hash tables over the same objects and a list in order of creation
 * (sad.c), and the operations on them (sad_ctl.c, sad_snap.c).
 */
#ifndef TDO_ENGINE_SAD_H
#define TDO_ENGINE_SAD_H

#include "engine/control.h"
#include "engine/engine.h"
#include "wire/ip.h"

struct tdo_sad {
	struct tdo_htab by_spi, by_pair;
	struct tdo_htab by_reqid; /* SAs with a reqid from testudo's range */
	/* Counts removals; see tdo_sad_find_out(). */
	_Atomic uint64_t removals;
	/* control thread only */
	struct tdo_sa *first, *last; /* in order of creation */
	struct tdo_sa *mortal;
	uint64_t serial;
	unsigned n;
	bool warned_clear;                       /* encryption without authentication */
	uint8_t warned_enc[32], warned_auth[32]; /* bitmaps by PF_KEY number */
};

/* IP protocol number of an SA type. */
static inline uint8_t
tdo_satype_proto(uint8_t satype)
{
	return satype == TDO_SATYPE_ESP  ? TDO_IPPROTO_ESP
	       : satype == TDO_SATYPE_AH ? TDO_IPPROTO_AH
					 : TDO_IPPROTO_IPCOMP;
}

/* Puts a new SA into all tables; cannot fail. */
void tdo_sad_publish(struct tdo_engine *e, struct tdo_sa *sa);
/* Puts sa, of the same name, where old is; readers see one or the other. */
void tdo_sad_swap(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa);
/*
 * Walk over the SAs of the type and address pair of key; NULL at the end.  What the walk
 * has returned may be removed when it has gone on.
 */
struct tdo_sa *tdo_sad_first_of_pair(
    const struct tdo_engine *e, const struct tdo_sa_key *key, struct tdo_hwalk *walk);
struct tdo_sa *tdo_sad_next_of_pair(const struct tdo_sa_key *key, struct tdo_hwalk *walk);

#endif
