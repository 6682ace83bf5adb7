/* SPDX-License-Identifier: BSD-2-Clause */
/* Inbound ESP (RFC 4303 3.4): its own part of layer_in.h. */
#include "engine/esp.h"
#include "engine/layer_in.h"
#include "engine/probe.h"
#include "wire/esp.h"
#include "wire/ip.h"

TDO_INLINE enum tdo_reason
layout(const struct tdo_sa *sa, const struct tdo_pkt *p, struct tdo_op *op)
{
	const struct tdo_format *x = &sa->fmt;
	uint32_t esp_off = (uint32_t)p->ip.l4_off + p->encap_len;
	uint32_t esp_len = p->ip.total_len - esp_off;
	uint32_t fixed = x->head_len + x->icv_len;

	if (esp_len < fixed + TDO_ESP_TRAILER_LEN)
		return TDO_REASON_IN_LENGTH;
	*op = (struct tdo_op){
	    .data = tdo_pkt_data(p) + esp_off,
	    .hdr_len = x->hdr_len,
	    .text_len = esp_len - fixed,
	    .session = sa->dec,
	};
	if (op->text_len & (x->align - 1u))
		return TDO_REASON_IN_LENGTH;
	return TDO_REASON_NONE;
}

/* RFC 4303 2.4: 1, 2, 3, ... */
static __attribute__((noinline)) bool
padding_counts(const uint8_t *pad, uint32_t len)
{
	uint8_t wrong = 0;

	for (uint32_t i = 0; i < len; i++)
		wrong |= (uint8_t)(pad[i] ^ (i + 1));
	return wrong == 0;
}

TDO_INLINE enum tdo_reason
open_text(
    const struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_op *op, struct tdo_content *ret)
{
	uint8_t *text = op->data + sa->fmt.head_len;
	uint32_t pad = text[op->text_len - 2];

	if (pad + TDO_ESP_TRAILER_LEN > op->text_len)
		return TDO_REASON_IN_PADDING;
	ret->start = text;
	ret->len = op->text_len - TDO_ESP_TRAILER_LEN - pad;
	ret->next = text[op->text_len - 1];
	if (sa->fmt.check_pad && !padding_counts(text + ret->len, pad))
		return TDO_REASON_IN_PADDING;
	if (ret->next != TDO_IPPROTO_NONE)
		return TDO_REASON_NONE;
	/* RFC 4303 2.6 */
	return tdo_probe_found(sa, p, ret->start, ret->len) ? TDO_REASON_IN_PROBE
							    : TDO_REASON_IN_DUMMY;
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	tdo_layer_begin_in(w, b, g, n, &tdo_esp_layer, layout, now);
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	tdo_layer_end_in(w, b, g, n, &tdo_esp_layer, open_text, now);
}

const struct tdo_transform tdo_esp_in = {.begin = begin, .end = end};
