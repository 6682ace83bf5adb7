/* SPDX-License-Identifier: BSD-2-Clause */
/* Outbound AH (RFC 4302 3.3): its own part of layer_out.h. */
#include "base/be.h"
#include "engine/ah.h"
#include "engine/layer_out.h"

enum { IP4_ID_OFF = 4 };

/* Why AH cannot protect the packet; the other reasons are tdo_layer_reserve()'s. */
static enum tdo_reason
inspect(const struct tdo_sa *sa, const struct tdo_pkt *p, const struct tdo_ah_rules *r)
{
	bool tunnel = tdo_layer_tunnels(p);
	uint32_t front = tdo_layer_front(&sa->fmt, tunnel);

	if (p->ip.total_len + front > tdo_ah_max(&sa->fmt))
		return TDO_REASON_NO_ROOM;
	/* The outer header has no options. */
	return tunnel ? TDO_REASON_NONE : tdo_ah_check_headers(p, p->ip.esp_off, p->ip.nh_off, r);
}

/* Drops what cannot be protected; the group is smaller then. */
static void
sort_out(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g,
    const struct tdo_ah_rules *r, tdo_ns now)
{
	struct tdo_pkt **p = b->given + g->first;
	unsigned kept = 0;

	for (unsigned i = 0; i < g->n; i++) {
		enum tdo_reason why = inspect(g->sa, p[i], r);

		if (why != TDO_REASON_NONE)
			tdo_worker_drop(w, p[i], g->sa, why, now);
		else
			p[kept++] = p[i];
	}
	g->n = (uint8_t)kept;
}

/*
 * The kernel would give an id to a packet that has 0 there (raw(7)), behind the back of AH, which
 * protects it: so it gets one here.  With DF set it means nothing anyhow (RFC 6864 4.1).
 */
static void
give_id(struct tdo_worker *w, uint8_t *ip)
{
	uint16_t id = w->ip_id++;

	if (id == 0)
		id = w->ip_id++;
	tdo_ip4_fix_csum(ip, 0, id);
	tdo_put_be16(ip + IP4_ID_OFF, id);
}

/* RFC 4302 2; the ICV, and with it the IV, is zero for the computation (3.3.3). */
static uint32_t
build(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p,
    const struct tdo_layer_room *room, uint64_t seq, struct tdo_op *op)
{
	const struct tdo_format *x = &sa->fmt;
	uint8_t next = tdo_layer_put(w, sa, p, room->front, 0), *data = tdo_pkt_data(p);
	uint8_t *ah = data + p->ip.l4_off;

	memset(ah, 0, x->head_len);
	ah[TDO_AH_NEXT_OFF] = next;
	ah[TDO_AH_LEN_OFF] = tdo_ah_len_field(x->head_len);
	tdo_put_be32(ah + TDO_AH_SPI_OFF, sa->id.spi);
	if (x->numbered) {
		tdo_put_be32(ah + TDO_AH_SEQ_OFF, (uint32_t)seq);
		p->seq = (uint32_t)seq;
	}
	p->spi = sa->id.spi;
	if (data[0] >> 4 == 4 && tdo_be16(data + IP4_ID_OFF) == 0)
		give_id(w, data);
	*op = (struct tdo_op){.esn_hi = (uint32_t)(seq >> 32), .session = sa->enc};
	tdo_ah_set_op(op, x, data, p->len);
	/* RFC 4543 3.1: the IV never repeats under the key. */
	if (x->iv_len)
		tdo_put_be64(tdo_ah_tail(op), x->iv_base + seq);
	return p->len;
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	struct tdo_ah_rules r = tdo_ah_rules_of(w, true);
	unsigned at = b->n;

	for (unsigned i = 0; i < n; i++)
		sort_out(w, b, &g[i], &r, now);
	tdo_layer_begin_out(w, b, g, n, &tdo_ah_layer, build, now);
	for (; at < b->n; at++)
		tdo_ah_hide(w, b, at, &r);
}

static void
finish(struct tdo_pkt *p, struct tdo_op *op)
{
	const struct tdo_format *x = &tdo_layer_sa_out(p)->fmt;

	memcpy(tdo_pkt_data(p) + p->ip.l4_off + x->iv_off, tdo_ah_tail(op),
	    (size_t)x->hdr_len - x->iv_off);
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned k = 0; k < n; k++)
		for (unsigned i = 0; i < g[k].kept; i++)
			tdo_ah_show(w, b, g[k].at + i);
	tdo_layer_end_out(w, b, g, n, &tdo_ah_layer, finish, now);
}

const struct tdo_transform tdo_ah_out = {.begin = begin, .end = end};
