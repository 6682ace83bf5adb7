/* SPDX-License-Identifier: BSD-2-Clause */
/* Inbound AH (RFC 4302 3.4): its own part of layer_in.h. */
#include "base/be.h"
#include "engine/ah.h"
#include "engine/layer_in.h"

#include <string.h>

/*
 * RFC 4302 2.2, 2.6: bytes of the header by its length field; 0: not one that the SA's ICV can
 * have.  Peers pad it to 4 or to 8 bytes whatever the family (Linux: 8 on IPv4; KAME: 4 on IPv6),
 * and the padding is authenticated.
 */
static uint32_t
header_len(const struct tdo_format *x, const uint8_t *ah)
{
	uint32_t len = tdo_ah_len_of(ah[TDO_AH_LEN_OFF]);

	return len == tdo_ah_len(0, x->hdr_len, 4) || len == tdo_ah_len(0, x->hdr_len, 8) ? len : 0;
}

static enum tdo_reason
layout(const struct tdo_sa *sa, const struct tdo_pkt *p, struct tdo_op *op)
{
	static const struct tdo_ah_rules rules = {.clear_tos = true}; /* any will do */
	const struct tdo_format *x = &sa->fmt;
	uint32_t total = p->ip.total_len, len;
	uint8_t *data = tdo_pkt_data(p);

	len = header_len(x, data + p->ip.l4_off);
	if (len == 0 || total - p->ip.l4_off < len)
		return TDO_REASON_AH_LENGTH;
	if (total > tdo_ah_max(x) || p->cap - p->off - total < x->scratch_len)
		return TDO_REASON_NO_ROOM;
	*op = (struct tdo_op){.data = data, .session = sa->dec};
	return tdo_ah_check_headers(p, p->ip.l4_off, tdo_layer_announcer(data, &p->ip), &rules);
}

/* Moves IV and ICV behind the packet; their field is zero for the computation (RFC 4302 3.4.4). */
static void
take_icv(const struct tdo_format *x, struct tdo_pkt *p, struct tdo_op *op)
{
	uint8_t *data = tdo_pkt_data(p), *field = data + p->ip.l4_off + x->iv_off;
	size_t len = (size_t)x->hdr_len - x->iv_off;

	p->len = p->ip.total_len; /* what is behind it is no part of the packet */
	tdo_ah_set_op(op, x, data, p->len);
	memcpy(tdo_ah_tail(op), field, len);
	memset(field, 0, len);
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	struct tdo_ah_rules r = tdo_ah_rules_of(w, false);

	tdo_layer_begin_in(w, b, g, n, &tdo_ah_layer, layout, now);
	for (unsigned k = 0; k < n; k++)
		for (unsigned i = g[k].at; i < (unsigned)g[k].at + g[k].kept; i++) {
			take_icv(&g[k].sa->fmt, b->p[i], &b->op[i]);
			tdo_ah_hide(w, b, i, &r);
		}
}

static enum tdo_reason
open_header(
    const struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_op *op, struct tdo_content *ret)
{
	uint8_t *ah = op->data + p->ip.l4_off;
	uint32_t len = tdo_ah_len_of(ah[TDO_AH_LEN_OFF]);

	(void)sa;
	ret->start = ah + len;
	ret->len = p->len - p->ip.l4_off - len;
	ret->next = ah[TDO_AH_NEXT_OFF];
	return TDO_REASON_NONE;
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned k = 0; k < n; k++)
		for (unsigned i = 0; i < g[k].kept; i++)
			tdo_ah_show(w, b, g[k].at + i);
	tdo_layer_end_in(w, b, g, n, &tdo_ah_layer, open_header, now);
}

const struct tdo_transform tdo_ah_in = {.begin = begin, .end = end};
