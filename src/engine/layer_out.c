/* SPDX-License-Identifier: BSD-2-Clause */
/* What every protocol does with packets that go out (layer_out.h). */
#include "engine/layer_out.h"

void
tdo_layer_failed_out(struct tdo_worker *w, struct tdo_pkt *p, tdo_ns now)
{
	struct tdo_sa *sa = tdo_layer_sa_out(p);

	tdo_group_unused(w, sa, p->len);
	tdo_worker_drop(w, p, sa, TDO_REASON_CRYPTO_FAILED, now);
}

enum { PAD_MAX = 255 }; /* RFC 4303 2.4: so much the pad length field can say */

void
tdo_layer_pad_to(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *const *p,
    struct tdo_layer_room *room, unsigned n, uint32_t text)
{
	const struct tdo_format *x = &sa->fmt;

	for (unsigned i = 0; i < n; i++) {
		bool tunnel = tdo_layer_tunnels(p[i]);
		uint32_t now = room[i].payload + room[i].pad + x->trailer_len, steps, behind;
		uint32_t front = tdo_layer_front(x, tunnel);
		uint16_t random;

		if (now >= text)
			continue;
		steps = text - now;
		if (steps > PAD_MAX - room[i].pad)
			steps = PAD_MAX - room[i].pad;
		steps /= x->align;
		tdo_worker_random(w, &random, sizeof(random));
		steps = (random % (steps + 1)) * x->align;
		/* Where there is no room for that it stays as it is. */
		behind = room[i].pad + steps + x->trailer_len + x->icv_len;
		if (p[i]->len + front + behind <= tdo_layer_max(x, p[i], tunnel) &&
		    behind + x->scratch_len <= p[i]->cap - p[i]->off - p[i]->len)
			room[i].pad += steps;
	}
}
