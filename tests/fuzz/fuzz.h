/* SPDX-License-Identifier: BSD-2-Clause */
/* What a fuzz target defines, and how it says that something is wrong. */
#ifndef TDO_TESTS_FUZZ_H
#define TDO_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Called with any bytes; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Like assert(), but never compiled out. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
