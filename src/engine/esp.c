/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP: what is computed once when an SA is made, and accounting. */
#include <errno.h>

#include "engine/path.h"
#include "wire/esp.h"

enum {
	ALIGN_MIN = 4, /* RFC 4303 2.4: pad length and next header end on a 4-byte boundary */
	IV4B_LEN = 4,  /* RFC 1829 2: the short IV */
};

/* RFC 4303 2; RFC 1827 and 1829: SPI, IV, payload. */
static void
set_format(struct tdo_esp *x, uint32_t flags, const struct tdo_alg *enc)
{
	x->numbered = (flags & TDO_SAF_OLD) == 0;
	x->iv_off = x->numbered ? TDO_ESP_HLEN : TDO_ESP_OLD_HLEN;
	x->hdr_len = x->iv_off;
	x->iv_len = enc ? enc->iv_len : 0;
	x->iv_counter = enc && enc->iv_counter;
	if (flags & TDO_SAF_IV4B) {
		x->iv_len = IV4B_LEN;
		x->hdr_len += IV4B_LEN;
	}
	x->head_len = x->iv_off + x->iv_len;
	x->pad_mode = (uint8_t)((flags & TDO_SAF_PMASK) >> 8);
}

static void
set_service(
    struct tdo_esp *x, uint32_t flags, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	bool aead = enc && enc->kind == TDO_ALG_AEAD;

	x->icv_len = aead ? enc->icv_len : auth ? auth->icv_len : 0;
	x->authenticated = aead || (auth && !auth->no_auth);
	x->esn = (flags & TDO_SAF_ESN) != 0;
	/* Nothing is counted in packets of the old format. */
	x->seq_max = x->esn || !x->numbered ? UINT64_MAX : UINT32_MAX;
	/*
	 * RFC 4303 2.4: the receiver should inspect padding that is specified.  With an ICV the
	 * peer itself wrote it, and what it wrote is its business; without one it is all that tells
	 * a wrong key or a damaged packet.  RFC 1829 3 leaves the contents to the sender.
	 */
	x->check_pad = x->numbered && !x->authenticated && x->pad_mode << 8 == TDO_SAF_PSEQ;
}

int
tdo_esp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	unsigned align = enc && enc->block > ALIGN_MIN ? enc->block : ALIGN_MIN;
	struct tdo_esp x = {0};

	if ((align & (align - 1)) != 0 || (enc && enc->kind == TDO_ALG_AEAD && auth))
		return -EINVAL;
	if ((sa->flags & TDO_SAF_PMASK) == TDO_SAF_PMASK || sa->id.src.af != sa->id.dst.af)
		return -EINVAL;
	if ((sa->flags & (TDO_SAF_OLD | TDO_SAF_IV4B)) == TDO_SAF_IV4B)
		return -EINVAL;
	x.align = (uint8_t)align;
	set_format(&x, sa->flags, enc);
	set_service(&x, sa->flags, enc, auth);
	if ((x.esn && !x.authenticated) || (!x.numbered && (x.icv_len || x.esn || x.iv_counter)))
		return -EINVAL;
	e->cfg.random(e->cfg.random_ctx, &x.iv_base, sizeof(x.iv_base));
	x.outer_len = (uint8_t)tdo_tunnel_len(&sa->id);
	sa->esp = x;
	sa->out = &tdo_esp_out;
	sa->in = &tdo_esp_in;
	return 0;
}

void
tdo_sa_used(struct tdo_sa *sa, uint64_t packets, uint64_t bytes, tdo_ns now)
{
	tdo_ns never = 0;
	uint64_t p, b;
	bool alert;

	if (packets == 0)
		return;
	p = atomic_fetch_add_explicit(&sa->packets, packets, memory_order_relaxed) + packets;
	b = atomic_fetch_add_explicit(&sa->bytes, bytes, memory_order_relaxed) + bytes;
	alert = p >= atomic_load_explicit(&sa->alert_packets, memory_order_relaxed) ||
		b >= atomic_load_explicit(&sa->alert_bytes, memory_order_relaxed);
	if (atomic_load_explicit(&sa->first_use, memory_order_relaxed) == 0) {
		atomic_compare_exchange_strong_explicit(
		    &sa->first_use, &never, now, memory_order_relaxed, memory_order_relaxed);
		alert |= atomic_load_explicit(&sa->alert_use, memory_order_relaxed);
	}
	if (alert)
		tdo_sa_alert(sa);
	if (atomic_load_explicit(&sa->last_use, memory_order_relaxed) != now)
		atomic_store_explicit(&sa->last_use, now, memory_order_relaxed);
}
