/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the PF_KEY codec share; nobody else includes this. */
#ifndef TDO_WIRE_PFKEY_EXT_H
#define TDO_WIRE_PFKEY_EXT_H

#include "base/rd.h"
#include "wire/pfkey_msg.h"

/* 0, or -errno and what is wrong with the extension of this type. */
TDO_MUST_CHECK int tdo_sadb_ext_check(
    unsigned type, const struct tdo_sadb_ext *ext, const char **ret_text);

/* True for a number that means something: not all up to the highest do. */
bool tdo_sadb_ext_known(unsigned type);

/* ---- reading (pfkey_ext.c) ---------------------------------------------------------- */

/* What one BSD socket address says; addr.af is NONE for family UNSPEC. */
struct tdo_sadb_sockaddr {
	struct tdo_addr addr;
	uint16_t port;
	const char *wrong; /* static text, NULL when nothing is */
	int err;           /* errno for wrong */
};

/* Takes one socket address from r: as many bytes as it says, which must fit its family. */
struct tdo_sadb_sockaddr tdo_sadb_rd_sockaddr(struct tdo_rd *r);

/* ---- building (pfkey_build.c) ------------------------------------------------------- */

size_t tdo_sadb_pad8(size_t n);
/* An extension's header; len is its length in bytes without padding. */
void tdo_sadb_put_header(struct tdo_wr *w, unsigned type, size_t len);
/* Zeros behind len bytes. */
void tdo_sadb_put_padding(struct tdo_wr *w, size_t len);
size_t tdo_sadb_sockaddr_len(uint8_t af);
/* A BSD socket address; family UNSPEC with the size of an IPv4 one for no address. */
void tdo_sadb_put_sockaddr(struct tdo_wr *w, const struct tdo_addr *a, uint16_t port);

/* ---- testudo's own extensions (pfkey_own.c) ----------------------------------------- */

/* The check of the contents: NULL, or what is wrong; the length is at least the minimum. */
const char *tdo_sadb_own_check(unsigned type, const struct tdo_sadb_ext *e, int *ret_err);

#endif
