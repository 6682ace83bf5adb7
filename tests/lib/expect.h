/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of packets, as cmocka's tests of engines say it; each frees its packet. */
#ifndef TDO_TESTS_EXPECT_H
#define TDO_TESTS_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static inline void
expect(struct tdo_pkt *p, enum tdo_verdict v, enum tdo_reason r)
{
	if (p->reason != r)
		print_error(
		    "reason is %s\n", p->reason ? tdo_reason_info(p->reason)->name : "none");
	assert_int_equal(p->verdict, v);
	assert_int_equal(p->reason, r);
	fx_pkt_free(p);
}

/* It was dropped, and that was counted. */
static inline void
expect_drop(struct fx *f, struct tdo_pkt *p, enum tdo_reason r)
{
	expect(p, TDO_VERDICT_DROP, r);
	assert_true(tdo_drops_read(f->e, r) > 0);
}

/* It is refused when it goes out ... */
static inline void
expect_out_drop(struct fx *f, struct tdo_pkt *p, enum tdo_reason r)
{
	tdo_out(f->w, &p, 1, f->now);
	expect_drop(f, p, r);
}

/* ... or comes in. */
static inline void
expect_in_drop(struct fx *f, struct tdo_pkt *p, enum tdo_reason r)
{
	tdo_in(f->w, &p, 1, f->now);
	expect_drop(f, p, r);
}

static inline void
expect_in_pass(struct fx *f, struct tdo_pkt *p)
{
	tdo_in(f->w, &p, 1, f->now);
	expect(p, TDO_VERDICT_PASS, TDO_REASON_NONE);
}

#endif
