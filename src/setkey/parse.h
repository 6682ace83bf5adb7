/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of the setkey language: text comes from a callback, statements go to another
 * one, each as soon as its ";" was read.  No globals and no side effects of its own.
 */
#ifndef SETKEY_PARSE_H
#define SETKEY_PARSE_H

#include "setkey/names.h"
#include "setkey/stmt.h"

/* Counted from 1. */
struct parse_pos {
	unsigned line, column;
};

struct parse_loc {
	struct parse_pos first, last;
};

struct parse_error {
	struct parse_pos pos;
	char text[256];
	char token[64]; /* what was found there; keys are not shown */
};

struct parse {
	/* Input. */
	/* Gives up to max bytes of text, 0 at the end, -errno when that fails. */
	int (*read)(void *ctx, char *buf, size_t max);
	/* Takes a statement; it is freed afterwards.  Non-zero ends the parser with success. */
	int (*take)(void *ctx, const struct stmt *s);
	/* Receives a warning: parsing goes on.  May be NULL. */
	void (*warn)(void *ctx, const struct parse_error *w);
	void *ctx;
	const struct names *names;
	bool debug; /* trace the parser to stderr */

	/* Result. */
	struct parse_error error;

	/* Of the parser itself. */
	struct stmt cur;
	struct parse_pos at; /* of the scanner */
	unsigned ai;         /* NAMES_... flags of the statement */
	int read_error;
	bool warned_simple;
};

/* 0, or -1 with p->error set. */
int tdo_parse_run(struct parse *p);

#endif
