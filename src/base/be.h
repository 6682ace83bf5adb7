/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Big-endian loads and stores at any alignment.  Wire data is read and written
 * with these only; structures are never laid over packets.
 */
#ifndef TDO_BASE_BE_H
#define TDO_BASE_BE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
tdo_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
tdo_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t
tdo_be64(const uint8_t *p)
{
	return (uint64_t)tdo_be32(p) << 32 | tdo_be32(p + 4);
}

static inline void
tdo_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
tdo_put_be32(uint8_t *p, uint32_t v)
{
	tdo_put_be16(p, (uint16_t)(v >> 16));
	tdo_put_be16(p + 2, (uint16_t)v);
}

static inline void
tdo_put_be64(uint8_t *p, uint64_t v)
{
	tdo_put_be32(p, (uint32_t)(v >> 32));
	tdo_put_be32(p + 4, (uint32_t)v);
}

#endif
