/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's own addresses, sorted: published as a whole, read by workers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/control.h"
#include "engine/encap.h"
#include "engine/engine.h"

struct tdo_local {
	struct tdo_qsbr_node retired;
	unsigned n;
	struct tdo_addr addr[];
};

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tdo_addr));
}

static size_t
local_size(unsigned n)
{
	return sizeof(struct tdo_local) + n * sizeof(struct tdo_addr);
}

static void
free_local(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_local *l = TDO_CONTAINER_OF(node, struct tdo_local, retired);

	tdo_engine_release(ctx, l, local_size(l->n));
}

int
tdo_engine_set_local(struct tdo_engine *e, const struct tdo_addr *a, unsigned n)
{
	struct tdo_local *old = atomic_load_explicit(&e->local, memory_order_relaxed);
	struct tdo_local *l = tdo_engine_alloc(e, local_size(n));

	if (l == NULL)
		return -ENOMEM;
	l->n = n;
	for (unsigned i = 0; i < n; i++) {
		l->addr[i] = a[i];
		memset(l->addr[i].pad, 0, sizeof(l->addr[i].pad));
	}
	if (n > 1)
		qsort(l->addr, n, sizeof(l->addr[0]), compare);
	atomic_store_explicit(&e->local, l, memory_order_release);
	tdo_engine_changed(e);
	tdo_udp_ports_review(e);
	if (old)
		tdo_qsbr_retire(&e->qsbr, &old->retired, free_local);
	return 0;
}

bool
tdo_is_local(const struct tdo_engine *e, const struct tdo_addr *a)
{
	const struct tdo_local *l = atomic_load_explicit(&e->local, memory_order_acquire);
	unsigned lo = 0, hi = l ? l->n : 0;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = compare(a, &l->addr[mid]);

		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

void
tdo_local_free(struct tdo_engine *e)
{
	struct tdo_local *l = atomic_load_explicit(&e->local, memory_order_relaxed);

	if (l)
		tdo_engine_release(e, l, local_size(l->n));
}
