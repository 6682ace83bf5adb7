/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy language of ipsec_set_policy(3) and setkey(8):
 *
 *	in|out|fwd [prio[rity] PRIO] [discard|none|entrust|bypass | ipsec REQUEST ...]
 *	PRIO     N | low|def|high [+|- N]
 *	REQUEST  esp|ah|ipcomp/transport|tunnel[/[SRC-DST][/[LEVEL]]]
 *	SRC-DST  ADDRESS[PORT]-ADDRESS[PORT] | me-any | any-me
 *	LEVEL    default|use|require|unique[:N]
 *
 * Addresses are numeric: the parser resolves no names and has no side effects.
 */
#ifndef TDO_WIRE_POLICY_TEXT_H
#define TDO_WIRE_POLICY_TEXT_H

#include "testudo/sp.h"

struct tdo_policy_text {
	struct tdo_sp_param sp; /* dir, type, prio, nreq, req; all else is zero */
	bool dir_only;          /* nothing but the direction, the form used for deletion */
	bool fwd;               /* written "fwd"; sp.dir is IN, which covers forwarded packets */
};

/* What is wrong and where: len bytes from at on; len 0 is the end of the text. */
struct tdo_policy_text_err {
	const char *text; /* static; the words of ipsec_strerror(3) where it has some */
	size_t at, len;
};

/*
 * Parses len bytes at s; no NUL is needed.  Returns 0 or -EINVAL with *err set; *ret is
 * written only on success.  Without a priority sp.prio is TDO_PRIO_DEFAULT.
 */
TDO_MUST_CHECK int tdo_policy_text_parse(
    const char *s, size_t len, struct tdo_policy_text *ret, struct tdo_policy_text_err *err);

/*
 * Writes the canonical text with a NUL into cap bytes at buf, cut when it does not fit, and
 * returns its full length.  The parts (direction, priority and type; each request) are
 * joined by delim.  NAT-T ports are written only where they are set, a priority only when it
 * is neither the default nor 0, which old clients send for "none given".
 */
size_t tdo_policy_text_print(
    const struct tdo_policy_text *p, const char *delim, char *buf, size_t cap);

/* Names for printing; NULL for a number that has none. */
const char *tdo_policy_type_name(unsigned type);
const char *tdo_policy_dir_name(unsigned dir);
const char *tdo_policy_mode_name(unsigned mode);
const char *tdo_policy_level_name(unsigned level);

/* "prio low - 5" into buf of TDO_POLICY_PRIO_STRLEN bytes, relative to the nearest base. */
#define TDO_POLICY_PRIO_STRLEN 32
char *tdo_policy_prio_str(uint32_t prio, char *buf);

#endif
