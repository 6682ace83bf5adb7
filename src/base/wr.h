/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounded write cursor with a sticky error, the mirror of rd.h.  Nothing is
 * written beyond the buffer; tdo_wr_ok() tells afterwards whether all fitted.
 */
#ifndef TDO_BASE_WR_H
#define TDO_BASE_WR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/be.h"

struct tdo_wr {
	uint8_t *start;
	size_t len; /* bytes written so far */
	size_t cap; /* bytes at start */
	bool bad;   /* a write did not fit */
};

static inline struct tdo_wr
tdo_wr_init(void *p, size_t cap)
{
	return (struct tdo_wr){.start = p, .cap = cap};
}

static inline bool
tdo_wr_ok(const struct tdo_wr *w)
{
	return !w->bad;
}

/* Reserves n bytes and returns where they are, or NULL when they do not fit. */
static inline uint8_t *
tdo_wr_room(struct tdo_wr *w, size_t n)
{
	uint8_t *p;

	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	p = w->start + w->len;
	w->len += n;
	return p;
}

static inline void
tdo_wr_bytes(struct tdo_wr *w, const void *src, size_t n)
{
	uint8_t *p = tdo_wr_room(w, n);

	if (p && n > 0)
		memcpy(p, src, n);
}

static inline void
tdo_wr_zero(struct tdo_wr *w, size_t n)
{
	uint8_t *p = tdo_wr_room(w, n);

	if (p)
		memset(p, 0, n);
}

static inline void
tdo_wr_u8(struct tdo_wr *w, uint8_t v)
{
	tdo_wr_bytes(w, &v, 1);
}

static inline void
tdo_wr_be16(struct tdo_wr *w, uint16_t v)
{
	uint8_t *p = tdo_wr_room(w, 2);

	if (p)
		tdo_put_be16(p, v);
}

static inline void
tdo_wr_be32(struct tdo_wr *w, uint32_t v)
{
	uint8_t *p = tdo_wr_room(w, 4);

	if (p)
		tdo_put_be32(p, v);
}

static inline void
tdo_wr_h16(struct tdo_wr *w, uint16_t v)
{
	tdo_wr_bytes(w, &v, sizeof(v));
}

static inline void
tdo_wr_h32(struct tdo_wr *w, uint32_t v)
{
	tdo_wr_bytes(w, &v, sizeof(v));
}

static inline void
tdo_wr_h64(struct tdo_wr *w, uint64_t v)
{
	tdo_wr_bytes(w, &v, sizeof(v));
}

#endif
