/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA object inside the engine.
 *
 * The control thread makes it, publishes it in the SAD and retires it; workers read it.
 * Fields are constant after publication except the atomics and the replay window.
 */
#ifndef TDO_ENGINE_SA_H
#define TDO_ENGINE_SA_H

#include <stddef.h>

#include "base/htab.h"
#include "base/qsbr.h"
#include "base/wheel.h"
#include "engine/event.h"
#include "engine/replay.h"
#include "testudo/crypto.h"
#include "testudo/pkt.h"
#include "testudo/sa.h"

/* What the inbound policy check compares (engine/check.h); also the name of the SA. */
struct tdo_sa_id {
	uint8_t proto; /* IP protocol number 50, 51, 108 */
	uint8_t mode;  /* enum tdo_mode, as configured */
	uint32_t spi;
	struct tdo_addr dst, src;
	uint32_t reqid;
};

/* Packet-path constants of an SA's format, computed once by its protocol (engine/protocol.h). */
struct tdo_format {
	/*
	 * What is in front of the payload.  ESP: iv_off bytes, of which the SPI is one part and the
	 * sequence number, if numbered, the other; then the IV.  The driver takes hdr_len bytes for
	 * the header; with a 32-bit or derived IV (des-32iv, des-deriv) that is all.
	 */
	uint8_t head_len, iv_off, iv_len, hdr_len;
	uint8_t icv_len,
	    align; /* ICV behind the payload; align: padding to these bytes, power of two */
	uint8_t trailer_len;    /* between padding and ICV */
	uint8_t scratch_len;    /* behind the packet, for work; not sent */
	uint8_t pad_mode;       /* TDO_SAF_PSEQ, PRAND or PZERO, shifted right by 8 */
	uint8_t outer_len;      /* of a tunnel header: 20, 40; 0: cannot be one */
	uint8_t encap_len;      /* of a UDP header, with marker, in front of ESP; 0: none */
	bool numbered : 1;      /* RFC 4303; esp-old (RFC 1827) has no sequence number */
	bool iv_counter : 1;    /* IV = iv_base + counter, else random */
	bool authenticated : 1; /* there is an ICV that proves something: the window may be used */
	bool check_pad : 1;     /* the contents of the padding tell something */
	bool esn : 1;           /* extended sequence numbers (RFC 4303 2.2.1) */
	bool tfc : 1;           /* the SA's own tfc goes before the knob */
	uint8_t front[2];       /* bytes in front of the payload; [1]: with a tunnel header */
	uint64_t iv_base;       /* random start of counter IVs: a restart does not repeat them */
};

struct tdo_worker;
struct tdo_comp_sa; /* ipcomp.h */
struct tdo_encap;   /* encap.h */
struct tdo_sa_set;  /* sad_out.c */

/*
 * The place of an SA in a set of the outbound index; readers walk both ways.  An SA that becomes
 * dying has its new place before it loses the old one, hence two.
 */
struct tdo_sa_link {
	struct {
		struct tdo_sa *_Atomic prev, *_Atomic next;
	} at[2];                /* [1]: among the dying ones */
	struct tdo_sa_set *set; /* control */
};

struct tdo_batch; /* path.h */
struct tdo_group;

/*
 * The two halves of a transform, for the packets of n SAs that have it: what comes before the
 * cryptography, which is done for the whole burst together, and what comes after it.  Chosen
 * when the SA is made: no switch on mode or algorithm per packet.
 */
struct tdo_transform {
	/* Appends the packets that are not dropped to the batch, group by group. */
	void (*begin)(
	    struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now);
	/* Completes the packets that begin() appended; NULL: it appends none. */
	void (*end)(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g,
	    unsigned n, tdo_ns now);
};

/* What ICMP errors about an SA are counted as, second by second: icmp.c. */
enum { TDO_SA_ICMP_WRONG, TDO_SA_ICMP_LET_IN, TDO_SA_ICMP_BELIEVED, TDO_SA_ICMP_KINDS };

/* Drops what comes for an SA that key management has not completed (layer_in.c). */
extern const struct tdo_transform tdo_larval_in;

struct tdo_sa {
	/* The packet path, by cache lines.  First what the inbound lookup compares: */
	struct tdo_hnode by_spi; /* destination, protocol, SPI */
	struct tdo_sa_id id;
	uint8_t cpu;               /* RFC 9611: 1 + the worker that prefers it; 0 none */
	const struct tdo_sel *sel; /* it carries nothing else (D48); NULL: no such limit */
	struct tdo_lifetime hard;  /* 0 = none */
	_Alignas(64) struct tdo_format fmt;
	const struct tdo_transform *out, *in;
	struct tdo_session *enc, *dec; /* both directions: an SA is used by its address pair */
	uint16_t used;                 /* what its packets are counted by: tdo_used_slot() */
	bool limited;                  /* hard has limits that are counted ... */
	bool selective;                /* ... and there is sel: so packets need not look there */
	_Atomic uint8_t state;         /* enum tdo_sa_state; control writes, and workers may not */

	/* Written by workers, except for out_seq and the alerts: */
	_Alignas(64) _Atomic uint64_t packets;
	_Atomic uint64_t bytes;
	_Atomic tdo_ns first_use, last_use; /* 0 = never; last_use is coarse, once per burst */
	_Atomic uint64_t own_seq;
	_Atomic uint64_t *out_seq; /* &own_seq or the caller's slot */
	/* Who counts up to these tells the control thread (grow.c); UINT64_MAX: no limit. */
	_Atomic uint64_t alert_packets, alert_bytes;
	_Alignas(64) struct tdo_replay replay;
	_Atomic uint64_t drops;
	_Atomic uint64_t frozen_seq; /* fault.c; 0: none */
	uint64_t uid;                /* the same in its successors; for blame.c */
	struct tdo_tunnel_opt tunnel;
	uint32_t flags;           /* TDO_SAF_... */
	struct tdo_encap *encap;  /* ESP in UDP; else NULL */
	uint16_t tfc;             /* payloads are padded to so many bytes; see fmt.tfc */
	uint16_t mtu;             /* see struct tdo_sa_param */
	struct tdo_comp_sa *comp; /* IPComp, unless larval; else NULL */
	_Atomic bool alert_use;   /* who uses it first tells the control thread */
	_Atomic bool grow_asked;  /* it is on the stack of grow.c ... */
	struct tdo_sa *grow_next; /* ... above this one */
	_Atomic uint64_t icmp[TDO_SA_ICMP_KINDS]; /* which second, and how many in it */

	/* control thread only */
	struct tdo_engine *engine;
	struct tdo_sa_param param; /* ekey, akey point to keys */
	uint8_t *keys;             /* own block, wiped when freed */
	size_t keys_len;
	struct tdo_lifetime soft;
	tdo_ns created;
	uint32_t refs;   /* one of the SAD; snapshots and waiting events hold others */
	uint64_t serial; /* order of becoming mature: what prefered_oldsa compares */
	bool soft_sent;  /* EXPIRE soft was reported */
	bool in_sad;
	bool continued; /* a successor has its uid */
	bool successor; /* it has the uid of one that workers may have dropped for */
	/* dummy.c: among those that want dummy packets, and when it sends its next one; 0: never
	 * yet */
	struct tdo_sa *dummy_prev, *dummy_next;
	tdo_ns dummy_due;
	bool wants_dummies;
	uint8_t line;             /* of its sets: enum tdo_sa_state */
	struct tdo_sa *seq_owner; /* referenced: out_seq is its own_seq (update, same keys) */
	struct tdo_event_link soft_event, hard_event;
	struct tdo_qsbr_node retired;

	/* links of sad.c */
	struct tdo_sa_link out_link[2]; /* outbound: of its address pair; with reqid */
	struct tdo_hnode by_reqid;      /* reqids that testudo picks from */
	struct tdo_sa *prev, *next;     /* all SAs in order of creation */
	struct tdo_wheel_node timer;    /* when its next lifetime ends, life.c */
};

/* One line each for what is compared, what is constant and what is counted: bursts of many SAs
 * push each other's lines out of the first-level cache. */
_Static_assert(offsetof(struct tdo_sa, fmt) == 128, "the identity takes two lines");
_Static_assert(offsetof(struct tdo_sa, packets) == 192, "the constants take one line");
_Static_assert(offsetof(struct tdo_sa, replay) == 256, "the counters take one line");

/*
 * True when the SA may carry no further packet: its packets or bytes have reached the hard
 * lifetime (RFC 4301 4.4.2.1).  Time is the business of tdo_engine_tick().
 */
static inline bool
tdo_sa_over_hard(const struct tdo_sa *sa)
{
	const struct tdo_lifetime *h = &sa->hard;

	return (h->allocations != 0 &&
		   atomic_load_explicit(&sa->packets, memory_order_relaxed) >= h->allocations) ||
	       (h->bytes != 0 &&
		   atomic_load_explicit(&sa->bytes, memory_order_relaxed) >= h->bytes);
}

/* ---- sa_check.c ---- */

/*
 * Checks the parameters; 0, -EINVAL or -EOPNOTSUPP with *ret_err.  The text may be in the
 * engine's buffer.
 */
TDO_MUST_CHECK int tdo_sa_validate(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *ret_err);
/* -EINVAL when the knob WEAK_ALGS refuses an algorithm of these valid parameters (D40). */
TDO_MUST_CHECK int tdo_sa_check_levels(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *ret_err);
/* The algorithms, as their rows; NULL: none, or unknown. */
void tdo_sa_algs(
    const struct tdo_sa_param *p, const struct tdo_alg **ret_enc, const struct tdo_alg **ret_auth);

/* ---- sa.c, for sad.c, life.c and event.c (control thread) ---- */

/* Makes an unpublished object of valid parameters (larval: without keys).  -ENOMEM, ... */
TDO_MUST_CHECK int tdo_sa_new(struct tdo_engine *e, const struct tdo_sa_param *p, bool larval,
    tdo_ns now, struct tdo_sa **ret, struct tdo_err *ret_err);
/*
 * Lets a new object continue an old one that it will replace; with the same keys also what its
 * lifetimes count, the sequence counter, the IVs and the replay window.
 */
void tdo_sa_inherit(struct tdo_sa *sa, struct tdo_sa *old);
bool tdo_sa_same_keys(const struct tdo_sa_param *a, const struct tdo_sa_param *b);
void tdo_sa_ref(struct tdo_sa *sa);
/* Frees it when that was the last reference. */
void tdo_sa_unref(struct tdo_sa *sa);
void tdo_sa_fill_info(const struct tdo_engine *e, struct tdo_sa *sa, struct tdo_sa_info *ret);

/* ---- sad.c, for life.c and engine.c ---- */

TDO_MUST_CHECK int tdo_sad_new(struct tdo_engine *e);
void tdo_sad_free(struct tdo_engine *e); /* all SAs; retired ones are drained later */
/* After the drain: the tables themselves. */
void tdo_sad_fini(struct tdo_engine *e);
/* Takes the SA out of all tables and drops the SAD's reference after a grace period. */
void tdo_sad_remove(struct tdo_engine *e, struct tdo_sa *sa);
/* True when an SA has this reqid, one that testudo may pick. */
bool tdo_sad_reqid_used(const struct tdo_engine *e, uint32_t reqid);

#endif
