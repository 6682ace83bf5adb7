/* SPDX-License-Identifier: BSD-2-Clause */
/* Databases of its own for each test of a program: c.  CTL_WORKERS: how many workers, else one. */
#ifndef TDO_TESTS_CTL_CASE_H
#define TDO_TESTS_CTL_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ctl.h"

#ifndef CTL_WORKERS
#define CTL_WORKERS 1
#endif

static struct ctl c;

static inline int
setup(void **state)
{
	(void)state;
	ctl_open(&c, CTL_WORKERS);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	ctl_close(&c);
	return 0;
}

#endif
