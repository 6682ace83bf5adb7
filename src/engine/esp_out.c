/* SPDX-License-Identifier: BSD-2-Clause */
/* Outbound ESP (RFC 4303 3.3): its own part of layer_out.h. */
#include "base/be.h"
#include "engine/encap.h"
#include "engine/esp.h"
#include "engine/layer_out.h"
#include "wire/esp.h"

/* 1, 2, 3, ...: mostly so few that a loop made for many would cost more than they do. */
static void
put_sequence(uint8_t *t, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		t[i] = (uint8_t)(i + 1);
		__asm__ __volatile__("" ::: "memory"); /* not to be vectorised */
	}
}

/* RFC 4303 2.4: padding, pad length, next header. */
static void
put_trailer(
    struct tdo_worker *w, const struct tdo_format *x, uint8_t *t, uint32_t pad, uint8_t next)
{
	uint32_t mode = (uint32_t)x->pad_mode << 8;

	if (mode == TDO_SAF_PRAND)
		tdo_worker_random(w, t, pad);
	else if (mode == TDO_SAF_PZERO)
		memset(t, 0, pad);
	else
		put_sequence(t, pad);
	t[pad] = (uint8_t)pad;
	t[pad + 1] = next;
}

/* An IV per packet: a counter that does not repeat under the key, or unpredictable bytes. */
static void
put_iv(struct tdo_worker *w, const struct tdo_format *x, uint8_t *iv, uint64_t seq)
{
	if (x->iv_counter && x->iv_len == 8)
		tdo_put_be64(iv, x->iv_base + seq);
	else if (x->iv_len != 0)
		tdo_worker_random(w, iv, x->iv_len);
}

/* Everything of one packet but the crypto. */
static uint32_t
build(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p,
    const struct tdo_layer_room *room, uint64_t seq, struct tdo_op *op)
{
	const struct tdo_format *x = &sa->fmt;
	/* NOLINTNEXTLINE: tdo_layer_select_out() filled it */
	uint32_t text = room->payload + room->pad + TDO_ESP_TRAILER_LEN;
	uint8_t next = tdo_layer_put(w, sa, p, room->front, text - room->payload + x->icv_len);
	uint8_t *esp = tdo_pkt_data(p) + p->ip.l4_off + x->encap_len;

	if (x->encap_len)
		tdo_encap_put(sa->encap, p);
	tdo_put_be32(esp + TDO_ESP_SPI_OFF, sa->id.spi);
	if (x->numbered) {
		tdo_put_be32(esp + TDO_ESP_SEQ_OFF, (uint32_t)seq);
		p->seq = (uint32_t)seq;
	}
	put_iv(w, x, esp + x->iv_off, seq);
	put_trailer(w, x, esp + x->head_len + room->payload, room->pad, next);
	p->spi = sa->id.spi;
	*op = (struct tdo_op){
	    .data = esp,
	    .hdr_len = x->hdr_len,
	    .text_len = text,
	    .esn_hi = (uint32_t)(seq >> 32),
	    .session = sa->enc,
	};
	return p->len;
}

static void
finish(struct tdo_pkt *p, struct tdo_op *op)
{
	bool outermost = p->layer + 1u == p->nsas;

	(void)op;
	/* RFC 8200 8.1: it may not be left out.  The kernel makes that of an outer header alone. */
	if (p->ip.flow.proto == TDO_IPPROTO_UDP && p->ip.flow.src.af == TDO_AF_INET6 &&
	    !(outermost && (p->flags & TDO_PKT_UDP_CSUM)))
		tdo_udp_set_csum(p);
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	tdo_layer_begin_out(w, b, g, n, &tdo_esp_layer, build, now);
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	tdo_layer_end_out(w, b, g, n, &tdo_esp_layer, finish, now);
}

const struct tdo_transform tdo_esp_out = {.begin = begin, .end = end};
