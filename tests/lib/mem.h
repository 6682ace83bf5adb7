/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for what is tested, for tests that do not count it. */
#ifndef TDO_TESTS_MEM_H
#define TDO_TESTS_MEM_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "testudo/types.h"

/* ctx: NULL, or a bool: while it is true there is no memory. */
static inline void *
test_mem_alloc(void *ctx, size_t size)
{
	const bool *no_memory = ctx;
	void *p = NULL;

	if (no_memory && *no_memory)
		return NULL;
	/* Cache lines: SAs have members that want a line of their own. */
	if (posix_memalign(&p, 64, size ? size : 1) != 0)
		abort();
	return memset(p, 0, size);
}

static inline void
test_mem_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	(void)size;
	free(p);
}

/* Initializers of a struct tdo_mem. */
#define TEST_MEM                                                                                   \
	{                                                                                          \
		test_mem_alloc, test_mem_free, NULL                                                \
	}
#define TEST_MEM_UNLESS(no_memory)                                                                 \
	{                                                                                          \
		test_mem_alloc, test_mem_free, &(no_memory)                                        \
	}

#endif
