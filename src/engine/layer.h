/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the IPsec protocols have in common when they are put on packets or taken off: usable
 * SAs, room, sequence numbers, replay windows, headers in transport and tunnel mode, counting.
 *
 * layer_out.h and layer_in.h have the two halves of a transform as templates.  A protocol fills
 * in what is its own with functions that are known at compile time, so that its packets pay for
 * no indirect call.
 */
#ifndef TDO_ENGINE_LAYER_H
#define TDO_ENGINE_LAYER_H

#include <string.h>

#include "engine/path.h"

#define TDO_INLINE static inline __attribute__((always_inline))

/* What a protocol is called by counters and knobs. */
struct tdo_layer {
	enum tdo_knob enable;
	bool pads; /* up to 255 bytes, by which the receiver is told how long it is */
	enum tdo_stat in, in_bytes, out, out_bytes, late_accepted, late_dropped;
};

static inline bool
tdo_layer_sa_alive(const struct tdo_sa *sa)
{
	uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);

	return state == TDO_SA_MATURE || state == TDO_SA_DYING;
}

/* Why no packet may be sent by the SA now. */
static inline enum tdo_reason
tdo_layer_closed_out(const struct tdo_worker *w, const struct tdo_sa *sa, enum tdo_knob enable)
{
	if (tdo_knob(w->engine, enable, sa->id.dst.af) == 0)
		return TDO_REASON_OUT_DISABLED;
	return tdo_layer_sa_alive(sa) ? TDO_REASON_NONE : TDO_REASON_OUT_SA_EXPIRED;
}

/* Why no packet may come by the SA now. */
static inline enum tdo_reason
tdo_layer_closed_in(const struct tdo_worker *w, const struct tdo_sa *sa, enum tdo_knob enable)
{
	if (tdo_knob(w->engine, enable, sa->id.dst.af) == 0)
		return TDO_REASON_IN_DISABLED;
	return tdo_layer_sa_alive(sa) ? TDO_REASON_NONE : TDO_REASON_IN_SA_STATE;
}

/* memmove(), for headers: mostly those of IPv4 without options. */
static inline void
tdo_layer_move(uint8_t *to, const uint8_t *from, uint32_t len)
{
	uint8_t hdr[TDO_IP4_HLEN];

	if (len != sizeof(hdr)) {
		memmove(to, from, len);
		return;
	}
	memcpy(hdr, from, sizeof(hdr));
	memcpy(to, hdr, sizeof(hdr));
}

#endif
