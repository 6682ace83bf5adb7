/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for people: every extension with its fields (-v, -x). */
#ifndef SETKEY_PRINT_H
#define SETKEY_PRINT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Prints a message of any contents; one that does not parse as hexadecimal, with the reason. */
void tdo_print_message(FILE *f, const uint8_t *msg, size_t len);

/* Lines of 16 bytes in hexadecimal. */
void tdo_print_hex(FILE *f, const uint8_t *p, size_t len);

/* Key bytes as setkey -D prints them: groups of 4, a line break after every 32 bytes. */
void tdo_print_key_groups(FILE *f, const uint8_t *p, size_t len);

#endif
