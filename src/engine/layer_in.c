/* SPDX-License-Identifier: BSD-2-Clause */
/* What every protocol does with packets that came in (layer_in.h). */
#include "engine/layer_in.h"

uint16_t
tdo_layer_announcer_behind(const uint8_t *p, const struct tdo_ip_info *ip)
{
	uint32_t off = ip->esp_off, nh = ip->nh_off;

	while (off < ip->l4_off) {
		nh = off;
		off += (p[off + 1] + 1u) * 8;
	}
	return off == ip->l4_off ? (uint16_t)nh : 0;
}

void
tdo_layer_drop_in(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa,
    const struct tdo_layer *l, enum tdo_reason r, tdo_ns now)
{
	if (r == TDO_REASON_IN_REPLAY_OLD)
		tdo_worker_stat(w, l->late_dropped, 1);
	tdo_worker_drop(w, p, sa, r, now);
}

/* ---- SAs without keys ----------------------------------------------------------------- */

static void
begin_larval(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned k = 0; k < n; k++) {
		g[k].at = (uint8_t)b->n;
		g[k].kept = 0;
		for (unsigned i = 0; i < g[k].n; i++)
			tdo_worker_drop(
			    w, b->given[g[k].first + i], g[k].sa, TDO_REASON_IN_SA_STATE, now);
	}
}

const struct tdo_transform tdo_larval_in = {.begin = begin_larval};

/* ---- admission ------------------------------------------------------------------------ */

enum tdo_reason
tdo_layer_failed_in(
    const struct tdo_sa *sa, struct tdo_replay *window, const struct tdo_op *op, uint64_t seq)
{
	if (op->status != TDO_OP_BAD_ICV)
		return TDO_REASON_CRYPTO_FAILED;
	return sa->fmt.esn ? tdo_replay_failed_locked(window, seq) : TDO_REASON_IN_ICV;
}

uint32_t
tdo_layer_tfc_of_udp(const struct tdo_content *c)
{
	uint32_t len = tdo_be16(c->start + TDO_UDP_LEN_OFF);

	if (len < TDO_UDP_HLEN)
		return 0;
	for (uint32_t i = len; i < c->len; i++)
		if (c->start[i] != 0)
			return 0;
	return c->len - len;
}
