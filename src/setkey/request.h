/* SPDX-License-Identifier: BSD-2-Clause */
/* Statements as PF_KEY messages. */
#ifndef SETKEY_REQUEST_H
#define SETKEY_REQUEST_H

#include "setkey/stmt.h"
#include "wire/pfkey_msg.h"

/* enum tdo_sadb_type of a statement that is one message. */
uint8_t tdo_request_type(enum stmt_kind kind);
/* The extensions of add, update, getspi, get, delete, deleteall for one pair of addresses. */
void tdo_request_put_sa(
    struct tdo_wr *w, const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst);
/* The extensions of spdadd, spdupdate, spddelete. */
void tdo_request_put_sp(struct tdo_wr *w, const struct stmt *s);

#endif
