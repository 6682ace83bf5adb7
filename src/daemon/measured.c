/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU probes that came in (engine/probe.c). */
#include "daemon/worker.h"
#include "engine/engine.h"

#define ANSWER_ROOM 256u

/* By the SA of the way back, if there is one; the asker tries again. */
static void
answer(struct tdo_packet_worker *w, const struct tdo_probe *ask, const struct tdo_addr *peer,
    const struct tdo_addr *local)
{
	struct tdo_probe a = {.answer = true, .size = ask->size, .nonce = ask->nonce};
	struct tdo_raw_tx *tx = peer->af == TDO_AF_INET6 ? w->out6 : w->out4;
	struct tdo_pkt *p = tdo_pool_take(&w->out.segs, ANSWER_ROOM);

	if (p == NULL || tx == NULL || !tdo_probe_make(w->handle, local, peer, &a, p, w->now))
		return;
	p->path_mtu = TDO_PMTU_FLOOR_IP4;
	p->cookie = tx;
	tdo_raw_queue(tx, p);
	tdo_raw_flush(tx);
}

void
tdo_inbound_probe(struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	struct tdo_addr peer, local;
	struct tdo_probe probe;

	if (p->verdict != TDO_VERDICT_DROP || p->reason != TDO_REASON_IN_PROBE)
		return;
	probe = tdo_probe_read(p, &peer, &local);
	if (probe.answer)
		tdo_paths_answered(w->paths, &peer, probe.nonce, probe.size, w->now);
	else if (tdo_bucket_take(&w->answers,
		     (uint32_t)tdo_knob(w->engine, TDO_KNOB_ICMP_LIMIT, TDO_AF_INET), w->now))
		answer(w, &probe, &peer, &local);
	tdo_pool_reset(&w->out.segs);
}
