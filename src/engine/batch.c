/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One layer of IPsec for a burst: packets are grouped by SA, each group begins, then all of
 * them go through the cryptography together, then each group ends.  So the costs of an SA are
 * paid once for its group, and those of the cryptography once for the burst.
 */
#include "engine/path.h"

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
	struct tdo_pkt *sorted[TDO_BURST_MAX];
	struct tdo_group groups[TDO_BURST_MAX];
	uint8_t first[TDO_BURST_MAX + 1];
	unsigned ngroups = tdo_group_by_sa(sa, p, n, sorted, groups);
	struct tdo_batch b;

	b.n = 0;
	for (unsigned g = 0; g < ngroups; g++) {
		struct tdo_sa *s = groups[g].sa;

		first[g] = (uint8_t)b.n;
		(out ? s->out : s->in)->begin(w, s, &b, sorted + groups[g].first, groups[g].n, now);
	}
	first[ngroups] = (uint8_t)b.n;
	run_crypto(w, &b);
	for (unsigned g = 0; g < ngroups; g++) {
		struct tdo_sa *s = groups[g].sa;
		unsigned len = (unsigned)first[g + 1] - first[g];

		if (len > 0)
			(out ? s->out : s->in)->end(w, s, &b, first[g], len, now);
	}
}
