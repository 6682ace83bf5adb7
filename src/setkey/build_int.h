/* SPDX-License-Identifier: BSD-2-Clause */
/* What build.c, build_sa.c and build_sp.c share.  Texts are taken over and freed. */
#ifndef SETKEY_BUILD_INT_H
#define SETKEY_BUILD_INT_H

#include "setkey/build.h"

/* Error about this token; always false. */
bool tdo_build_fail_text(struct parse *p, struct text t, const char *msg);
void tdo_build_warn(struct parse *p, struct parse_pos at, const char *token, const char *msg);
/* Value of a hexadecimal digit, 16 for other characters. */
unsigned tdo_build_digit(char c);
/* Decimal or 0x number up to max; t is not freed. */
bool tdo_build_number(struct text t, uint64_t max, uint64_t *ret);
/* Number, service name or "any"; t.s NULL and "any" give 0. */
bool tdo_build_port(struct parse *p, struct text t, uint16_t *ret);
/* Two decimal numbers up to max with "-" between them, ascending; t is not freed. */
bool tdo_build_numbers(struct text t, uint64_t max, struct tdo_range *ret);
/* False in get and delete, where what describes a new SA is accepted and ignored. */
bool tdo_build_makes_sa(const struct parse *p);
bool tdo_build_host(struct parse *p, struct text t, struct stmt_addrs *ret);
/* The host's only address. */
bool tdo_build_one_host(struct parse *p, struct text t, struct tdo_addr *ret);

#endif
