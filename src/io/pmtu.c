/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU cache: one writer, one reader (its worker). */
#include "io/pmtu.h"

#include <errno.h>
#include <stdlib.h>

int
tdo_pmtu_init(struct tdo_pmtu *c, uint32_t size,
    uint32_t (*ask)(void *ctx, const struct tdo_addr *dst), void *ctx)
{
	/* Pages that were never used are not there. */
	void *places = calloc(1, tdo_recent_memory(size));

	*c = (struct tdo_pmtu){.ask = ask, .ctx = ctx};
	c->entry = calloc(size, sizeof(*c->entry));
	tdo_recent_init(&c->recent, size, places);
	if (places != NULL && c->entry != NULL)
		return 0;
	tdo_pmtu_fini(c);
	return -ENOMEM;
}

void
tdo_pmtu_fini(struct tdo_pmtu *c)
{
	free(c->recent.place);
	free(c->entry);
	*c = (struct tdo_pmtu){0};
}

uint32_t
tdo_pmtu_floor(uint8_t af)
{
	return af == TDO_AF_INET6 ? TDO_PMTU_FLOOR_IP6 : TDO_PMTU_FLOOR_IP4;
}

static uint32_t
generation(const struct tdo_pmtu *c)
{
	return c->shared.generation != NULL
		   ? atomic_load_explicit(c->shared.generation, memory_order_acquire)
		   : 0;
}

static void
learn(struct tdo_pmtu *c, struct tdo_pmtu_entry *e, tdo_ns now)
{
	/* Before the question: what changes meanwhile is asked for again. */
	e->generation = generation(c);
	e->learned = c->shared.limit != NULL ? c->shared.limit(c->shared.ctx, &e->use, now) : 0;
	e->use.largest = 0;
}

static void
refresh(struct tdo_pmtu *c, struct tdo_pmtu_entry *e, tdo_ns now)
{
	uint32_t mtu = c->ask(c->ctx, &e->use.dst);

	if (mtu == 0)
		mtu = TDO_PMTU_UNKNOWN;
	if (mtu < tdo_pmtu_floor(e->use.dst.af))
		mtu = tdo_pmtu_floor(e->use.dst.af);
	e->use.mtu = mtu;
	e->asked = now;
	learn(c, e, now);
}

static struct tdo_pmtu_entry *
fresh(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now)
{
	bool unknown;
	struct tdo_pmtu_entry *e = &c->entry[tdo_recent_take(&c->recent, dst, now, &unknown)];

	if (unknown) {
		*e = (struct tdo_pmtu_entry){.use = {.dst = *dst}};
		refresh(c, e, now);
	} else if (now - e->asked >= TDO_PMTU_FRESH) {
		refresh(c, e, now);
	} else if (e->generation != generation(c)) {
		learn(c, e, now);
	}
	return e;
}

static uint32_t
effective(const struct tdo_pmtu_entry *e, tdo_ns now)
{
	uint32_t mtu = e->use.mtu;

	if (e->learned != 0 && e->learned < mtu)
		mtu = e->learned;
	if (e->limit != 0 && e->limit < mtu && now < e->limit_until)
		mtu = e->limit;
	return mtu;
}

uint32_t
tdo_pmtu_get(struct tdo_pmtu *c, const struct tdo_addr *dst, tdo_ns now)
{
	return effective(fresh(c, dst, now), now);
}

uint32_t
tdo_pmtu_for(struct tdo_pmtu *c, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint32_t len, tdo_ns now)
{
	struct tdo_pmtu_entry *e = fresh(c, dst, now);

	if (len > e->use.largest) {
		e->use.largest = len;
		e->use.src = *src;
	}
	return effective(e, now);
}

uint32_t
tdo_pmtu_plateau(uint32_t len)
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
	if (effective(e, now) >= len) {
		uint32_t limit = tdo_pmtu_plateau(len), floor = tdo_pmtu_floor(dst->af);

		e->limit = limit < floor ? floor : limit;
		e->limit_until = now + TDO_PMTU_LOWERED;
	}
	return effective(e, now);
}
