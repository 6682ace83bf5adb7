/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader for the files of tests/vectors: "name = value" lines, blocks separated by blank
 * lines, '#' starts a comment line.  A value is a word or hexadecimal digits, or nothing.
 *
 * A file that breaks these rules is a fault of the test: the reader prints file and line
 * and aborts, so that no vector is skipped silently.
 */
#ifndef TDO_TESTS_VECTOR_READER_H
#define TDO_TESTS_VECTOR_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define VECTOR_FIELDS_MAX 16
#define VECTOR_LINE_MAX   16384

struct vector_field {
	char *name, *value;
};

struct vector_reader {
	FILE *file;
	char path[512];
	unsigned line;  /* of the last line that was read */
	unsigned first; /* line on which the current block starts */
	unsigned nfields;
	struct vector_field field[VECTOR_FIELDS_MAX]; /* of the current block */
};

/* Opens a file of the folder that the environment variable TDO_VECTORS names. */
void vector_open(struct vector_reader *r, const char *name);
/* Reads the next block; false at the end of the file. */
bool vector_next(struct vector_reader *r);
void vector_close(struct vector_reader *r);

/* The value of a field of the block, or NULL when it is absent; valid until the next block. */
const char *vector_text(const struct vector_reader *r, const char *name);
/*
 * The bytes of a hexadecimal field, at most cap of them, and their number; 0 when the field
 * is absent or empty.
 */
size_t vector_hex(const struct vector_reader *r, const char *name, uint8_t *buf, size_t cap);

#endif
