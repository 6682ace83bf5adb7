/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/provide.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static void *
mem_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size);
}

static void
mem_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	(void)size;
	free(p);
}

const struct tdo_mem tdo_heap = {.alloc = mem_alloc, .free = mem_free};

void
tdo_provide_random(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)ctx;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			abort(); /* no IPsec without randomness */
		}
		p += n;
		len -= (size_t)n;
	}
}
