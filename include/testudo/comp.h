/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compression for IPComp (RFC 3173): algorithms as rows, and a compressor that works on whole
 * packets, each by itself.  Nothing is written behind the bound that the caller gives, and what
 * a hostile stream can cost is that bound.
 */
#ifndef TESTUDO_COMP_H
#define TESTUDO_COMP_H

#include "testudo/types.h"

struct tdo_comp_alg {
	const char *name;      /* as setkey -C has it */
	uint8_t pfkey;         /* PF_KEY number */
	uint16_t cpi;          /* well-known CPI (RFC 3173 3.3) */
	uint16_t min_len;      /* bytes of payload below which nothing is gained */
	const char *not_there; /* NULL, or why this testudo does not have it */
};

/* CPIs below name an algorithm; those from here on an association (RFC 3173 3.3). */
#define TDO_CPI_NEGOTIATED     256u
#define TDO_CPI_NEGOTIATED_MAX 61439u /* above: for private use */
#define TDO_CPI_MAX            0xffffu

/* The row with this PF_KEY number, well-known CPI or name; NULL. */
const struct tdo_comp_alg *tdo_comp_alg(uint8_t pfkey);
const struct tdo_comp_alg *tdo_comp_alg_by_cpi(uint32_t cpi);
const struct tdo_comp_alg *tdo_comp_alg_by_name(const char *name);
/* All rows: i from 0 until NULL. */
const struct tdo_comp_alg *tdo_comp_alg_at(unsigned i);

/* State of all algorithms that are there, for one thread. */
struct tdo_comp;

/* 0, -ENOMEM, or -EOPNOTSUPP: no algorithm is there. */
TDO_MUST_CHECK int tdo_comp_new(const struct tdo_mem *mem, struct tdo_comp **ret);
void tdo_comp_free(struct tdo_comp *c); /* c may be NULL */

/* So many bytes more than the wanted size let the library use all of that size. */
#define TDO_COMP_SLACK 16u

/*
 * Compresses len bytes.  The size of the stream, at most cap; 0: it does not fit, or the
 * algorithm is not there.  Allocates nothing, as all that follows.
 */
size_t tdo_comp_deflate(struct tdo_comp *c, const struct tdo_comp_alg *a, const uint8_t *in,
    size_t len, uint8_t *out, size_t cap);

enum tdo_comp_status {
	TDO_COMP_OK,
	TDO_COMP_BAD,    /* not a stream, or a part of one */
	TDO_COMP_TOOBIG, /* the contents do not fit into cap bytes */
};

/*
 * Decompresses a stream.  What is behind its end is ignored, see
 * docs/decisions/0008-ipcomp.md.  Unless it is OK, out has undefined contents (within cap).
 */
enum tdo_comp_status tdo_comp_inflate(struct tdo_comp *c, const struct tdo_comp_alg *a,
    const uint8_t *in, size_t len, uint8_t *out, size_t cap, size_t *ret_len);

#endif
