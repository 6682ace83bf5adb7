/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers for secrets: comparison in time that does not depend on the contents,
 * and a wipe that the compiler may not remove.
 */
#ifndef TDO_BASE_CT_H
#define TDO_BASE_CT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* True when the n bytes at a and b are equal. */
static inline bool
tdo_ct_equal(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	uint64_t d = 0, v, w;

	for (; n >= sizeof(v); n -= sizeof(v), x += sizeof(v), y += sizeof(v)) {
		memcpy(&v, x, sizeof(v));
		memcpy(&w, y, sizeof(w));
		d |= v ^ w;
	}
	for (size_t i = 0; i < n; i++)
		d |= (uint64_t)(x[i] ^ y[i]);
	return d == 0;
}

/* Overwrites n bytes at p with zero; survives dead-store elimination. */
static inline void
tdo_wipe(void *p, size_t n)
{
	if (n == 0)
		return;
	memset(p, 0, n);
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

#endif
