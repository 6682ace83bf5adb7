/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the grammar's actions do: each puts one piece into the statement that is being
 * parsed.  They take the text over (and free it) and return false after setting the error.
 */
#ifndef SETKEY_BUILD_H
#define SETKEY_BUILD_H

#include "setkey/parse.h"

/* Text of a token. */
struct text {
	char *s; /* NUL-terminated, from tdo_stmt_alloc */
	size_t len;
	bool quoted; /* s is what stood between the quotes */
	struct parse_loc loc;
};

/* Sets the error; token may be NULL. */
bool tdo_build_fail(struct parse *p, struct parse_pos at, const char *token, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void tdo_build_start(struct parse *p, enum stmt_kind kind, const struct parse_loc *loc);
/* Gives the statement to its taker and empties it.  Returns what the taker returned. */
int tdo_build_finish(struct parse *p);

bool tdo_build_family(struct parse *p, struct text flags);
bool tdo_build_src(struct parse *p, struct text host, struct text port);
bool tdo_build_dst(struct parse *p, struct text host, struct text port);
bool tdo_build_proto(struct parse *p, struct text proto);
bool tdo_build_oa(struct parse *p, struct text host);
bool tdo_build_spi(struct parse *p, struct text spi);

bool tdo_build_mode(struct parse *p, struct text mode);
bool tdo_build_replay(struct parse *p, struct text size);
bool tdo_build_reqid(struct parse *p, struct text id);
bool tdo_build_flag(struct parse *p, struct text flag);
bool tdo_build_seconds(struct parse *p, struct text n, bool hard);
bool tdo_build_bytes(struct parse *p, struct text n, bool hard);
bool tdo_build_esn(struct parse *p, const struct parse_loc *loc);
bool tdo_build_natt_end(struct parse *p, struct text host, struct text port, bool first);
bool tdo_build_frag(struct parse *p, struct text n);
/* One option of "-o"; for the policy in policy statements. */
bool tdo_build_option(struct parse *p, struct text option);
bool tdo_build_new(struct parse *p, const struct parse_loc *loc, struct text src, struct text dst);
/* The selectors that were read are those of the SA. */
void tdo_build_sa_sel(struct parse *p);
bool tdo_build_unsupported(struct parse *p, const struct parse_loc *loc, const char *what);

bool tdo_build_enc(struct parse *p, struct text name, struct text key);
bool tdo_build_auth(struct parse *p, struct text name, struct text key);
bool tdo_build_comp(struct parse *p, struct text name, bool raw);
/* Checks the algorithms against the protocol; loc is the end of the statement. */
bool tdo_build_sa_check(struct parse *p, const struct parse_loc *loc);

bool tdo_build_src_range(struct parse *p, struct text host, struct text plen, struct text port);
bool tdo_build_dst_range(struct parse *p, struct text host, struct text plen, struct text port);
/* one and two are the extra part; s NULL where there is none. */
bool tdo_build_upper(struct parse *p, struct text proto, struct text one, struct text two);
/* The new form, in which 0 is a value: "type N code N", also with ranges. */
bool tdo_build_upper_type(struct parse *p, struct text proto, struct text type, struct text code);
bool tdo_build_policy(struct parse *p, struct text policy);

#endif
