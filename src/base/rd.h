/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounded read cursor with a sticky error: ten reads are followed by one check.
 * After a read beyond the end every further read returns zero (or NULL) and
 * tdo_rd_ok() is false.  The cursor borrows the bytes.
 */
#ifndef TDO_BASE_RD_H
#define TDO_BASE_RD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/be.h"

struct tdo_rd {
	const uint8_t *p; /* next byte */
	size_t left;      /* bytes from p to the end */
	bool bad;         /* a read went beyond the end */
};

static inline struct tdo_rd
tdo_rd_init(const void *p, size_t len)
{
	return (struct tdo_rd){.p = p, .left = len};
}

static inline bool
tdo_rd_ok(const struct tdo_rd *r)
{
	return !r->bad;
}

/* The next n bytes as a borrowed pointer, or NULL when fewer are left. */
static inline const uint8_t *
tdo_rd_bytes(struct tdo_rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static inline uint8_t
tdo_rd_u8(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t
tdo_rd_be16(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 2);

	return p ? tdo_be16(p) : 0;
}

static inline uint32_t
tdo_rd_be32(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 4);

	return p ? tdo_be32(p) : 0;
}

/* PF_KEY and other local protocols use host order. */
static inline uint16_t
tdo_rd_h16(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 2);
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
tdo_rd_h32(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
tdo_rd_h64(struct tdo_rd *r)
{
	const uint8_t *p = tdo_rd_bytes(r, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

/* A cursor over the next n bytes; bad from the start when fewer are left. */
static inline struct tdo_rd
tdo_rd_sub(struct tdo_rd *r, size_t n)
{
	const uint8_t *p = tdo_rd_bytes(r, n);

	return p ? tdo_rd_init(p, n) : (struct tdo_rd){.bad = true};
}

#endif
