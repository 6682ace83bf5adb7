/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorting a burst by SA, so that each SA's costs are paid once per group (path.h). */
#include <string.h>

#include "engine/path.h"

enum { SLOTS = 2 * TDO_BURST_MAX, EMPTY = 0xff };

/* The group of sa, made when there is none; slots is an open-addressed table of group numbers. */
static unsigned
group_of(struct tdo_sa *sa, uint8_t *slots, struct tdo_group *groups, unsigned *ngroups)
{
	/* SAs are aligned to cache lines: the low bits say nothing. */
	unsigned i = (unsigned)(((uintptr_t)sa >> 6) * 0x9e3779b1u >> 7) % SLOTS;

	for (; slots[i] != EMPTY; i = (i + 1) % SLOTS)
		if (groups[slots[i]].sa == sa)
			return slots[i];
	slots[i] = (uint8_t)*ngroups;
	groups[*ngroups] = (struct tdo_group){.sa = sa};
	return (*ngroups)++;
}

unsigned
tdo_group_by_sa(struct tdo_sa *const *sa, struct tdo_pkt *const *p, unsigned n,
    struct tdo_pkt **sorted, struct tdo_group *groups)
{
	uint8_t slots[SLOTS], group[TDO_BURST_MAX], next[TDO_BURST_MAX];
	unsigned ngroups = 0, first = 0, same = 0;

	while (same < n && sa[same] == sa[0])
		same++;
	if (same == n) { /* the common case, and none at all */
		memcpy(sorted, p, n * sizeof(p[0]));
		groups[0] = (struct tdo_group){.sa = n > 0 ? sa[0] : NULL, .n = (uint8_t)n};
		return n > 0;
	}
	memset(slots, EMPTY, sizeof(slots));
	for (unsigned i = 0; i < n; i++) {
		group[i] = (uint8_t)(i > 0 && sa[i] == sa[i - 1]
					 ? group[i - 1]
					 : group_of(sa[i], slots, groups, &ngroups));
		groups[group[i]].n++;
	}
	for (unsigned g = 0; g < ngroups; g++) {
		groups[g].first = next[g] = (uint8_t)first;
		first += groups[g].n;
	}
	for (unsigned i = 0; i < n; i++)
		sorted[next[group[i]]++] = p[i]; /* NOLINT: every group[i] is below ngroups */
	return ngroups;
}
