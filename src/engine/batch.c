/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One layer of IPsec for a burst: packets of one SA in a row are a group; each group begins,
 * then all of them go through the cryptography together, then each group ends.  So the costs of
 * an SA are paid once for its group, and those of the cryptography once for the burst.
 */
#include <string.h>

#include "engine/path.h"

unsigned
tdo_group_rows(struct tdo_sa *const *sa, unsigned n, struct tdo_group *ret)
{
	struct tdo_group *g = ret;

	for (unsigned i = 0, first = 0; i < n; first = i) {
		struct tdo_sa *of = sa[i];

		while (++i < n && sa[i] == of)
			;
		*g++ = (struct tdo_group){
		    .sa = of, .first = (uint8_t)first, .n = (uint8_t)(i - first)};
	}
	return (unsigned)(g - ret);
}

static const struct tdo_transform *
transform_of(const struct tdo_group *g, bool out)
{
	return out ? g->sa->out : g->sa->in;
}

/* Groups in a row that have one transform. */
struct run {
	const struct tdo_transform *transform;
	uint8_t first, n;
};

/* The runs of n groups; how many. */
static unsigned
find_runs(const struct tdo_group *g, unsigned n, bool out, struct run *ret)
{
	unsigned nruns = 0;

	for (unsigned i = 0, first = 0; i < n; first = i) {
		const struct tdo_transform *t = transform_of(&g[first], out);

		while (++i < n && transform_of(&g[i], out) == t)
			;
		ret[nruns++] = (struct run){
		    .transform = t, .first = (uint8_t)first, .n = (uint8_t)(i - first)};
	}
	return nruns;
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
	struct run runs[TDO_BURST_MAX];
	struct tdo_batch b;
	unsigned ngroups = tdo_group_rows(sa, n, groups);
	unsigned nruns = find_runs(groups, ngroups, out, runs);
	bool faulty = out && atomic_load_explicit(&w->engine->faulty, memory_order_relaxed);

	memcpy(b.given, p, n * sizeof(p[0]));
	b.n = 0;
	for (unsigned i = 0; i < nruns; i++)
		runs[i].transform->begin(w, &b, &groups[runs[i].first], runs[i].n, now);
	if (faulty)
		tdo_fault_numbers(w, &b, groups, ngroups);
	run_crypto(w, &b);
	for (unsigned i = 0; i < nruns; i++)
		if (runs[i].transform->end)
			runs[i].transform->end(w, &b, &groups[runs[i].first], runs[i].n, now);
	if (faulty)
		tdo_fault_icvs(w, &b, groups, ngroups);
}

void
tdo_sa_used_at(struct tdo_sa *sa, tdo_ns now)
{
	tdo_ns never = 0;

	if (atomic_load_explicit(&sa->first_use, memory_order_relaxed) == 0) {
		atomic_compare_exchange_strong_explicit(
		    &sa->first_use, &never, now, memory_order_relaxed, memory_order_relaxed);
		if (atomic_load_explicit(&sa->alert_use, memory_order_relaxed))
			tdo_sa_alert(sa);
	}
	atomic_store_explicit(&sa->last_use, now, memory_order_relaxed);
}

void
tdo_group_unused(struct tdo_worker *w, struct tdo_sa *sa, uint64_t bytes)
{
	_Atomic uint64_t *n = &w->used[true][sa->used];

	atomic_store_explicit(
	    n, atomic_load_explicit(n, memory_order_relaxed) - 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&sa->packets, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&sa->bytes, bytes, memory_order_relaxed);
}
