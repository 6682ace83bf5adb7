/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the SAD: two indexes of the same objects, inbound (sad.c) and outbound
 * (sad_out.c), a list in order of creation, and the operations on them (sad_ctl.c, sad_snap.c).
 */
#ifndef TDO_ENGINE_SAD_H
#define TDO_ENGINE_SAD_H

#include "engine/control.h"
#include "engine/engine.h"
#include "wire/ip.h"

struct tdo_sad {
	struct tdo_htab by_spi;
	struct tdo_htab sets;     /* struct tdo_sa_set */
	struct tdo_htab by_reqid; /* SAs with a reqid from testudo's range */
	struct tdo_htab by_cpi;   /* struct tdo_comp_sa */
	_Atomic uint32_t ncomp;   /* nodes of it */
	/* Counts removals; see tdo_sad_find_out(). */
	_Atomic uint64_t removals;
	/* control thread only */
	struct tdo_sa *first, *last; /* in order of creation */
	struct tdo_wheel timers;     /* of lifetimes */
	uint64_t serial;
	unsigned n;
	bool warned_clear;                        /* encryption without authentication */
	bool warned_iiv;                          /* the sequence number is the nonce */
	tdo_ns warned_enc[256], warned_auth[256]; /* when, by PF_KEY number; 0: never */
};

/* IP protocol number of an SA type. */
static inline uint8_t
tdo_satype_proto(uint8_t satype)
{
	return satype == TDO_SATYPE_ESP  ? TDO_IPPROTO_ESP
	       : satype == TDO_SATYPE_AH ? TDO_IPPROTO_AH
					 : TDO_IPPROTO_IPCOMP;
}

/* Puts a new SA into all tables; its sets are reserved. */
void tdo_sad_publish(struct tdo_engine *e, struct tdo_sa *sa);
/*
 * Puts sa, with its sets reserved, where old is; readers see one or the other.  The name may be
 * another one (D44), which is free then.
 */
void tdo_sad_swap(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa);

/* ---- life.c ---- */

/* Waits for the next lifetime of an SA in the SAD to end. */
void tdo_life_arm(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_life_disarm(struct tdo_engine *e, struct tdo_sa *sa);

/* ---- sad_out.c ---- */

/*
 * SAs of one protocol, address pair and mode, and perhaps of one reqid, by state and in order of
 * their serials.  The first or last one of a line is the answer to most lookups.
 */
struct tdo_sa_line {
	struct tdo_sa *_Atomic first, *_Atomic last; /* oldest, newest */
};

struct tdo_sa_set {
	struct tdo_hnode node;
	struct tdo_sa_line line[TDO_SA_DYING + 1]; /* by state; readers leave out LARVAL */
	_Atomic uint32_t special;                  /* members with selectors or a cpu */
	uint32_t n;                                /* control: all members */
	struct tdo_qsbr_node retired;
};

/*
 * The memory for publishing sa or swapping it in, which must follow, and before any other change
 * of the SAD.  -ENOMEM: there is nothing to give back.
 */
TDO_MUST_CHECK int tdo_sad_out_reserve(struct tdo_engine *e, struct tdo_sa *sa);
/* Enters an SA of any state, as the newest one. */
void tdo_sad_out_join(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_sad_out_leave(struct tdo_engine *e, struct tdo_sa *sa);
/* sa takes the place of old, if it belongs into the same sets and is as mature: else false. */
bool tdo_sad_out_replace(struct tdo_sa *old, struct tdo_sa *sa);
/* The SA became dying. */
void tdo_sad_out_soften(struct tdo_sa *sa);
/* Calls fn for all SAs of the type and address pair of key; it changes none of their sets. */
void tdo_sad_out_each(const struct tdo_engine *e, const struct tdo_sa_key *key,
    void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx);
/* Worker: the same for those that are mature or dying. */
void tdo_sad_out_peek(const struct tdo_engine *e, const struct tdo_sa_key *key,
    void (*fn)(void *ctx, struct tdo_sa *sa), void *ctx);
/* An SA of the type and address pair of key, in whatever state; NULL when there is none. */
struct tdo_sa *tdo_sad_out_any(const struct tdo_engine *e, const struct tdo_sa_key *key);

/* ---- sad_cpi.c ---- */

/* For SAs of any protocol; only those of IPComp are entered. */
void tdo_sad_cpi_join(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_sad_cpi_leave(struct tdo_engine *e, struct tdo_sa *sa);

#endif
