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

/* The packet is what the peer sent: has it been accepted before, may the SA still be used? */
static enum tdo_reason
admit(const struct tdo_sa *sa, struct tdo_replay *window, const struct tdo_batch *b, unsigned i,
    struct tdo_quota *quota)
{
	enum tdo_reason r = TDO_REASON_NONE;

	if (b->op[i].status == TDO_OP_BAD_ICV)
		return sa->fmt.esn ? tdo_replay_failed_locked(window, b->seq[i])
				   : TDO_REASON_IN_ICV;
	if (b->op[i].status != TDO_OP_OK)
		return TDO_REASON_CRYPTO_FAILED;
	if (sa->fmt.authenticated)
		r = tdo_replay_accept_locked(window, b->seq[i]);
	if (r == TDO_REASON_NONE && !tdo_quota_take(quota, b->p[i]->ip.total_len))
		r = TDO_REASON_IN_SA_EXPIRED;
	return r;
}

void
tdo_layer_admit(struct tdo_worker *w, const struct tdo_batch *b, const struct tdo_group *g,
    const struct tdo_layer *l, enum tdo_reason *why)
{
	struct tdo_sa *sa = g->sa;
	struct tdo_quota quota = tdo_quota_of(sa);
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);
	uint64_t late = 0;
	bool grow, moved = false;

	for (unsigned i = 0; i < g->kept; i++) {
		uint64_t top = window->top;

		why[i] = admit(sa, window, b, g->at + i, &quota);
		late += why[i] == TDO_REASON_NONE && b->seq[g->at + i] < top;
		/* The same without UDP is as good (RFC 7296 2.23), but has no ports. */
		if (sa->fmt.encap_len && why[i] == TDO_REASON_NONE && window->top > top &&
		    b->p[g->at + i]->encap_len)
			moved |= tdo_encap_saw(sa, b->p[g->at + i]);
	}
	grow = tdo_replay_wants_locked(window);
	tdo_replay_unlock(window);
	if (grow || moved)
		tdo_sa_ask_to_grow(w, sa);
	if (late > 0)
		tdo_worker_stat(w, l->late_accepted, late);
}
