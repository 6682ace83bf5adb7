/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP: what is computed once when an SA is made. */
#include <errno.h>

#include "engine/esp.h"
#include "engine/protocol.h"
#include "wire/esp.h"

enum {
	ALIGN_MIN = 4, /* RFC 4303 2.4: pad length and next header end on a 4-byte boundary */
	IV4B_LEN = 4,  /* RFC 1829 2: the short IV */
};

/* RFC 4303 2; RFC 1827 and 1829: SPI, IV, payload. */
static void
set_format(struct tdo_format *x, uint32_t flags, const struct tdo_alg *enc)
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
    struct tdo_format *x, uint32_t flags, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	bool aead = enc && enc->kind == TDO_ALG_AEAD;

	x->trailer_len = TDO_ESP_TRAILER_LEN;
	x->icv_len = aead ? enc->icv_len : auth ? auth->icv_len : 0;
	x->authenticated = aead || (auth && !auth->no_auth);
	x->esn = (flags & TDO_SAF_ESN) != 0;
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
	struct tdo_format x = {0};

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
	tdo_engine_random(e, &x.iv_base, sizeof(x.iv_base));
	x.outer_len = (uint8_t)tdo_tunnel_len(&sa->id);
	x.tfc = sa->tfc != 0;
	sa->fmt = x;
	sa->out = &tdo_esp_out;
	sa->in = &tdo_esp_in;
	return 0;
}
