/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One layer of IPsec for a burst: packets are grouped by SA, each group begins, then all of
 * them go through the cryptography together, then each group ends.  So the costs of an SA are
 * paid once for its group, and those of the cryptography once for the burst.
 */
#include "engine/path.h"

static const struct tdo_transform *
transform_of(const struct tdo_group *g, bool out)
{
	return out ? g->sa->out : g->sa->in;
}

/* How many of the n groups from g on have the transform of the first. */
static unsigned
run_of(const struct tdo_group *g, unsigned n, bool out)
{
	unsigned k = 1;

	while (k < n && transform_of(&g[k], out) == transform_of(g, out))
		k++;
	return k;
}

static void
run_crypto(struct tdo_worker *w, struct tdo_batch *b)
{
	if (b->n == 0)
		return;
	tdo_crypto_process(w->index, b->op, b->n);
	tdo_worker_stat(w, TDO_STAT_CRYPTO_CALLS, 1);
	tdo_worker_stat(w, TDO_STAT_CRYPTO_OPS, b->n);
}

void
tdo_batch_run(struct tdo_worker *w, struct tdo_sa *const *sa, struct tdo_pkt *const *p, unsigned n,
    bool out, tdo_ns now)
{
	struct tdo_group groups[TDO_BURST_MAX];
	struct tdo_batch b;
	unsigned ngroups = tdo_group_by_sa(sa, p, n, b.sorted, groups);

	b.n = 0;
	for (unsigned i = 0, k; i < ngroups; i += k) {
		k = run_of(&groups[i], ngroups - i, out);
		transform_of(&groups[i], out)->begin(w, &b, &groups[i], k, now);
	}
	run_crypto(w, &b);
	for (unsigned i = 0, k; i < ngroups; i += k) {
		k = run_of(&groups[i], ngroups - i, out);
		transform_of(&groups[i], out)->end(w, &b, &groups[i], k, now);
	}
}
