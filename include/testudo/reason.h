/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The named reasons for dropping a packet.  One list, reason.def, makes this enum, the
 * counters, the JSON names, the remedy texts and the table in the manual.
 */
#ifndef TESTUDO_REASON_H
#define TESTUDO_REASON_H

enum tdo_reason {
	TDO_REASON_NONE, /* not dropped */
#define REASON(id, name, stage, text, remedy) TDO_REASON_##id,
#include "testudo/reason.def"
#undef REASON
	TDO_REASON_COUNT
};

/*
 * Where a packet was dropped: while a header of one of the protocols was removed or put on, or
 * outside of them (parsing, policies, attachment).
 */
enum tdo_at {
	TDO_AT_IN,
	TDO_AT_OUT,
	TDO_AT_ESP_IN,
	TDO_AT_ESP_OUT,
	TDO_AT_AH_IN,
	TDO_AT_AH_OUT,
	TDO_AT_IPCOMP_IN,
	TDO_AT_IPCOMP_OUT,
	TDO_AT_COUNT
};

struct tdo_reason_info {
	const char *name;   /* lower-case, words joined by '-'; stable: JSON and scripts use it */
	const char *stage;  /* "out", "in", "policy", "icmp", "reass", "attach" */
	const char *text;   /* what happened, half a sentence */
	const char *remedy; /* what the operator can do about it */
};

/* The description of a reason; r must be below TDO_REASON_COUNT.  Static, never NULL. */
const struct tdo_reason_info *tdo_reason_info(enum tdo_reason r);

#endif
