/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine of its own for each test of a program: f. */
#ifndef TDO_TESTS_ENGINE_CASE_H
#define TDO_TESTS_ENGINE_CASE_H

#include "expect.h"

static struct fx f;

static inline int
open_engine(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	fx_open(&f, NULL);
	return 0;
}

static inline int
close_engine(void **state)
{
	(void)state;
	fx_close(&f);
	return 0;
}

#endif
