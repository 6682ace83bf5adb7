/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DEFLATE (RFC 1951) by libdeflate: whole buffers in and out and no state between two calls, so
 * that a packet neither waits for more input nor depends on the one before it (RFC 3173 2.1).
 */
#include <errno.h>
#include <libdeflate.h>

#include "testudo/comp.h"

/* Measured with packets of 100 to 9000 bytes: higher levels take longer and save nothing. */
#define LEVEL 4

#define DEFLATE 2 /* the PF_KEY number of the one row that this driver has */

struct tdo_comp {
	struct tdo_mem mem;
	struct libdeflate_compressor *pack;
	struct libdeflate_decompressor *unpack;
};

int
tdo_comp_new(const struct tdo_mem *mem, struct tdo_comp **ret)
{
	struct tdo_comp *c = mem->alloc(mem->ctx, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->mem = *mem;
	c->pack = libdeflate_alloc_compressor(LEVEL);
	c->unpack = libdeflate_alloc_decompressor();
	if (c->pack == NULL || c->unpack == NULL) {
		tdo_comp_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void
tdo_comp_free(struct tdo_comp *c)
{
	if (c == NULL)
		return;
	libdeflate_free_compressor(c->pack);
	libdeflate_free_decompressor(c->unpack);
	c->mem.free(c->mem.ctx, c, sizeof(*c));
}

size_t
tdo_comp_deflate(struct tdo_comp *c, const struct tdo_comp_alg *a, const uint8_t *in, size_t len,
    uint8_t *out, size_t cap)
{
	if (a->pfkey != DEFLATE)
		return 0;
	return libdeflate_deflate_compress(c->pack, in, len, out, cap);
}

enum tdo_comp_status
tdo_comp_inflate(struct tdo_comp *c, const struct tdo_comp_alg *a, const uint8_t *in, size_t len,
    uint8_t *out, size_t cap, size_t *ret_len)
{
	size_t used, made;

	if (a->pfkey != DEFLATE)
		return TDO_COMP_BAD;
	switch (libdeflate_deflate_decompress_ex(c->unpack, in, len, out, cap, &used, &made)) {
	case LIBDEFLATE_SUCCESS:
		*ret_len = made;
		return TDO_COMP_OK;
	case LIBDEFLATE_INSUFFICIENT_SPACE:
		return TDO_COMP_TOOBIG;
	default:
		return TDO_COMP_BAD;
	}
}
