/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU cache: direct mapped, one writer, one reader (its worker). */
#include "io/pmtu.h"

#include <string.h>

#include "base/addr.h"

void
tdo_pmtu_init(struct tdo_pmtu *c, uint32_t (*ask)(void *ctx, const struct tdo_addr *dst), void *ctx)
{
	memset(c, 0, sizeof(*c));
	c->ask = ask;
	c->ctx = ctx;
}

static uint32_t
floor_of(const struct tdo_addr *dst)
{
	return dst->af == TDO_AF_INET6 ? TDO_PMTU_FLOOR_IP6 : TDO_PMTU_FLOOR_IP4;
}

/* A collision costs a question to the kernel, no more: destinations are few (tunnel ends). */
static struct tdo_pmtu_entry *
slot(struct tdo_pmtu *c, const struct tdo_addr *dst)
{
	uint32_t h = dst->af;

	for (unsigned i = 0; i < sizeof(dst->b); i++)
		h = (h ^ dst->b[i]) * 16777619u; /* FNV-1a */
	return &c->entry[(h ^ h >> 16) % TDO_PMTU_ENTRIES];
}

static void
refresh(struct tdo_pmtu *c, struct tdo_pmtu_entry *e, tdo_ns now)
{
	uint32_t mtu = c->ask(c->ctx, &e->dst);

	if (mtu == 0)
		mtu = TDO_PMTU_UNKNOWN;
	if (mtu < floor_of(&e->dst))
		mtu = floor_of(&e->dst);
	e->mtu = mtu;
	e->asked = now;
}

static struct tdo_pmtu_entry *
fresh(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now)
{
	struct tdo_pmtu_entry *e = slot(c, dst);

	if (!tdo_addr_equal(&e->dst, dst)) {
		*e = (struct tdo_pmtu_entry){.dst = *dst};
		refresh(c, e, now);
	} else if (now - e->asked >= TDO_PMTU_FRESH) {
		refresh(c, e, now);
	}
	return e;
}

uint32_t
tdo_pmtu_get(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now)
{
	const struct tdo_pmtu_entry *e = fresh(c, dst, now);

	if (e->limit != 0 && e->limit < e->mtu && now < e->limit_until)
		return e->limit;
	return e->mtu;
}

/* RFC 1191 7.1, table 7-1. */
static uint32_t
plateau_below(uint32_t len)
{
	static const uint32_t plateau[] = {32000, 17914, 8166, 4352, 2002, 1500, 1492, 1280, 1006};

	for (unsigned i = 0; i < sizeof(plateau) / sizeof(plateau[0]); i++)
		if (plateau[i] < len)
			return plateau[i];
	return 576;
}

uint32_t
tdo_pmtu_lower(struct tdo_pmtu *c, const struct tdo_addr *dst, uint32_t len, tdo_ns now)
{
	struct tdo_pmtu_entry *e = fresh(c, dst, now);

	refresh(c, e, now);
	if (e->mtu >= len) {
		uint32_t limit = plateau_below(len);

		e->limit = limit < floor_of(dst) ? floor_of(dst) : limit;
		e->limit_until = now + TDO_PMTU_LOWERED;
	}
	return tdo_pmtu_get(c, dst, now);
}
