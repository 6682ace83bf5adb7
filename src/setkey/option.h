/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings of "-o NAME=VALUE": reading, and the words that they are printed with. */
#ifndef SETKEY_OPTION_H
#define SETKEY_OPTION_H

#include "setkey/stmt.h"

/* What is wrong with an option: static text, and the place in the text of the option. */
struct option_err {
	const char *text;
	size_t at;
};

/*
 * Puts NAME or NAME=VALUE at s into *o; sa: it stands in a statement about SAs, else about
 * policies.  False: *err says why, *o is as it was.
 */
TDO_MUST_CHECK bool tdo_option_parse(
    const char *s, bool sa, struct stmt_opt *o, struct option_err *err);

/* Writes each setting as NAME or NAME=VALUE with before in front of it. */
void tdo_option_print(FILE *f, const char *before, const struct stmt_opt *o);

/* True when nothing is set. */
bool tdo_option_none(const struct stmt_opt *o);

#endif
