/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for what is tested, for tests that neither count it nor let it fail. */
#ifndef TDO_TESTS_MEM_H
#define TDO_TESTS_MEM_H

#include <stdlib.h>
#include <string.h>

#include "testudo/types.h"

static inline void *
test_mem_alloc(void *ctx, size_t size)
{
	void *p = NULL;

	(void)ctx;
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

/* Initializer of a struct tdo_mem. */
#define TEST_MEM                                                                                   \
	{                                                                                          \
		test_mem_alloc, test_mem_free, NULL                                                \
	}

#endif
