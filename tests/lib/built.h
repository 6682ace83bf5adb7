/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the build under test has.  Tests of what it has not check that it is refused:
 *	cmocka_unit_test(BUILT_LEGACY ? old_layout : legacy_is_refused)
 */
#ifndef TDO_TESTS_BUILT_H
#define TDO_TESTS_BUILT_H

#ifdef TDO_LEGACY
#define BUILT_LEGACY 1
#else
#define BUILT_LEGACY 0
#endif

#endif
