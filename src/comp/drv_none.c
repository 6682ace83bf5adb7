/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo without a compression library. */
#include <errno.h>

#include "testudo/comp.h"

int
tdo_comp_new(const struct tdo_mem *mem, struct tdo_comp **ret)
{
	(void)mem;
	(void)ret;
	return -EOPNOTSUPP;
}

void
tdo_comp_free(struct tdo_comp *c)
{
	(void)c;
}

size_t
tdo_comp_deflate(struct tdo_comp *c, const struct tdo_comp_alg *a, const uint8_t *in, size_t len,
    uint8_t *out, size_t cap)
{
	return 0;
}

enum tdo_comp_status
tdo_comp_inflate(struct tdo_comp *c, const struct tdo_comp_alg *a, const uint8_t *in, size_t len,
    uint8_t *out, size_t cap, size_t *ret_len)
{
	return TDO_COMP_BAD;
}
