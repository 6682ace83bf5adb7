/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA object inside the engine.
 *
 * The control thread makes it, publishes it in the SAD and retires it; workers read it.
 * Fields are constant after publication except the atomics and the replay window.
 */
#ifndef TDO_ENGINE_SA_H
#define TDO_ENGINE_SA_H

#include "base/qsbr.h"
#include "engine/replay.h"
#include "testudo/crypto.h"
#include "testudo/pkt.h"
#include "testudo/sa.h"

/* What the inbound policy check compares (engine/check.h); also the name of the SA. */
struct tdo_sa_id {
	uint8_t proto; /* IP protocol number 50, 51, 108 */
	uint8_t mode;  /* enum tdo_mode, as configured */
	uint32_t spi;
	uint32_t reqid;
	struct tdo_addr src, dst;
};

/* Packet-path constants of ESP, computed once by tdo_esp_init() (engine/esp.c). */
struct tdo_esp {
	uint8_t iv_len, icv_len, align; /* align: padding to this many bytes, power of two */
	uint8_t salt_len;
	bool iv_counter;    /* IV = iv_base + counter, else random */
	bool authenticated; /* there is an ICV: the replay window may be used */
	uint8_t pad_mode;   /* TDO_SAF_PSEQ, PRAND or PZERO, shifted right by 8 */
	uint64_t iv_base;   /* random start of counter IVs: a restart does not repeat them */
	uint8_t outer[40];  /* outer header template of a tunnel */
	uint8_t outer_len;  /* 20, 40; 0 when no tunnel header is known */
};

struct tdo_worker;

/* Transforms chosen when the SA is made: no switch on mode or algorithm per packet. */
typedef void (*tdo_sa_out_fn)(
    struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *const *p, unsigned n, tdo_ns now);
typedef void (*tdo_sa_in_fn)(
    struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

struct tdo_sa {
	/* constant, packet path */
	struct tdo_sa_id id;
	struct tdo_session *enc, *dec; /* both directions: an SA is used by its address pair */
	tdo_sa_out_fn out;
	tdo_sa_in_fn in;
	struct tdo_esp esp;
	struct tdo_lifetime hard, soft; /* 0 = none */
	uint32_t flags;                 /* TDO_SAF_... */

	/* shared, written by workers */
	_Atomic uint8_t state; /* enum tdo_sa_state; control writes, and workers may not */
	_Alignas(64) _Atomic uint64_t own_seq;
	_Atomic uint64_t *out_seq; /* &own_seq or the caller's slot */
	_Alignas(64) _Atomic uint64_t packets, bytes;
	_Atomic tdo_ns first_use, last_use; /* 0 = never; last_use is coarse, once per burst */
	_Atomic uint64_t drops;
	struct tdo_replay replay;

	/* control thread only */
	struct tdo_sa_param param; /* ekey, akey point to keys */
	uint8_t *keys;             /* own block, wiped when freed */
	size_t keys_len;
	tdo_ns created;
	uint32_t refs;   /* snapshots hold references */
	uint64_t serial; /* order of creation */
	bool soft_sent;  /* EXPIRE soft was reported */
	struct tdo_qsbr_node retired;

	/* links of sad.c */
	struct tdo_sa *_Atomic next_spi;  /* bucket of the inbound table */
	struct tdo_sa *_Atomic next_pair; /* bucket of the outbound table, newest first */
	struct tdo_sa *prev, *next;       /* all SAs in order of creation */
};

#endif
