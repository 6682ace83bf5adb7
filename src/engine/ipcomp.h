/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPComp (RFC 3173): what its SAs and its workers have beside those of the other protocols, and
 * what its files offer each other.
 */
#ifndef TDO_ENGINE_IPCOMP_H
#define TDO_ENGINE_IPCOMP_H

#include "engine/layer.h"
#include "testudo/comp.h"
#include "wire/ipcomp.h"

/* What an IPComp SA has. */
struct tdo_comp_sa {
	struct tdo_hnode by_cpi; /* sad_cpi.c: destination and algorithm */
	struct tdo_sa *sa;
	const struct tdo_comp_alg *alg;
	uint16_t cpi; /* that is sent */
	/* RFC 3173 2.2: packets in a row that did not get smaller; packets not to be tried. */
	_Atomic uint32_t fails, skip;
	_Atomic bool outside; /* packets left with no other header around that of IPComp */
};

/* The largest IP packet: IPv6 does not count its header. */
#define TDO_IPCOMP_MAX  (TDO_PKT_MAXLEN + TDO_IP6_HLEN)
#define TDO_IPCOMP_SLOT ((TDO_HEADROOM + TDO_IPCOMP_MAX + TDO_TAILROOM + 63u) / 64u * 64u)
/* One for each packet of a burst, and one to work in when all of these are taken. */
#define TDO_IPCOMP_SLOTS (TDO_BURST_MAX + 1u)

/* What a worker needs: made by the first IPComp SA, before that is published. */
struct tdo_ipcomp_work {
	struct tdo_comp *comp;
	unsigned taken; /* slots that packets of this burst have got */
	uint8_t *slots;
};

static inline struct tdo_ipcomp_work *
tdo_ipcomp_work_of(const struct tdo_worker *w)
{
	return atomic_load_explicit(&w->ipcomp, memory_order_acquire);
}

/* The slot that nobody has. */
static inline uint8_t *
tdo_ipcomp_slot(const struct tdo_ipcomp_work *x)
{
	return x->slots + (size_t)x->taken * TDO_IPCOMP_SLOT;
}

/* The packets of the last burst are gone from the slots. */
static inline void
tdo_ipcomp_forget(const struct tdo_worker *w)
{
	struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(w);

	if (x)
		x->taken = 0;
}

static const struct tdo_layer tdo_ipcomp_layer = {
    .enable = TDO_KNOB_IPCOMP_ENABLE,
    .in = TDO_STAT_IPCOMP_IN,
    .in_bytes = TDO_STAT_IPCOMP_IN_BYTES,
    .out = TDO_STAT_IPCOMP_OUT,
    .out_bytes = TDO_STAT_IPCOMP_OUT_BYTES,
};

/*
 * Applies the SA to packets whose next SA it is, or leaves them as they are when that would not
 * make them smaller; a tunnel gets its outer header in any case.
 */
extern const struct tdo_transform tdo_ipcomp_out;
/*
 * Removes IPComp from parsed packets whose last header it is, or the outer header from packets of
 * a tunnel that were not compressed.
 */
extern const struct tdo_transform tdo_ipcomp_in;

#endif
