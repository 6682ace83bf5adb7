/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AH for the engine's own files: ah.c, ah_out.c, ah_in.c.
 *
 * The ICV covers the whole packet.  So the operation of a packet begins at its first byte and
 * ends with it: the headers in front of AH are changed in place into what is authenticated of
 * them and get their bytes back afterwards, the ICV is zero in its field and stands behind the
 * packet, where the driver wants it.  AES-GMAC (RFC 4543) is AES-GCM without payload there:
 *
 *	packet, or packet and high half of the sequence number (GMAC)    header
 *	IV (GMAC)                                                        IV
 *	ICV
 */
#ifndef TDO_ENGINE_AH_H
#define TDO_ENGINE_AH_H

#include "engine/layer.h"
#include "wire/ah.h"

static const struct tdo_layer tdo_ah_layer = {
    .enable = TDO_KNOB_AH_ENABLE,
    .in = TDO_STAT_AH_IN,
    .in_bytes = TDO_STAT_AH_IN_BYTES,
    .out = TDO_STAT_AH_OUT,
    .out_bytes = TDO_STAT_AH_OUT_BYTES,
    .late_accepted = TDO_STAT_AH_LATE_ACCEPTED,
    .late_dropped = TDO_STAT_AH_LATE_DROPPED,
};

/* Applies the SA to packets whose next SA it is; see struct tdo_pkt, layer. */
extern const struct tdo_transform tdo_ah_out;
/* Removes AH from parsed packets whose last header it is, as tdo_esp_in does. */
extern const struct tdo_transform tdo_ah_in;

/* ---- ah.c ---- */

/* What the headers of the packets of a batch were, by their places in it; one for each worker. */
struct tdo_ah_saved {
	uint8_t hdr[TDO_BURST_MAX][TDO_AH_COVER_MAX];
};

/* The rules for this worker's packets now. */
struct tdo_ah_rules tdo_ah_rules_of(const struct tdo_worker *w, bool out);

/*
 * Why the headers of p in front of AH, hdr_len bytes whose byte nh_off will announce AH, cannot be
 * authenticated; NONE: they can.  Writes nothing to p.
 */
enum tdo_reason tdo_ah_check_headers(
    const struct tdo_pkt *p, uint32_t hdr_len, uint16_t nh_off, const struct tdo_ah_rules *r);
/* Saves the headers of the batch's packet i and changes them to what is authenticated. */
void tdo_ah_hide(
    struct tdo_worker *w, struct tdo_batch *b, unsigned i, const struct tdo_ah_rules *r);
/* Gives them back. */
void tdo_ah_show(struct tdo_worker *w, struct tdo_batch *b, unsigned i);

/* Bytes of the ICV. */
static inline uint32_t
tdo_ah_icv_len(const struct tdo_format *x)
{
	return (uint32_t)x->hdr_len - x->iv_off - x->iv_len;
}

/* The largest packet that the drivers can authenticate. */
static inline uint32_t
tdo_ah_max(const struct tdo_format *x)
{
	enum { DRIVER_MAX = 65534, ESN_LEN = 4 };

	return x->iv_len ? DRIVER_MAX - 2 * ESN_LEN - x->iv_len : DRIVER_MAX - ESN_LEN;
}

/* Where IV and ICV of the operation are: behind the packet. */
static inline uint8_t *
tdo_ah_tail(const struct tdo_op *op)
{
	return op->data + op->hdr_len;
}

/* The operation for a packet of len bytes at data, whose sequence number has the high half esn_hi.
 */
static inline void
tdo_ah_set_op(struct tdo_op *op, const struct tdo_format *x, uint8_t *data, uint32_t len)
{
	op->data = data;
	op->hdr_len = len;
	op->text_len = 0;
	/* RFC 4302 3.3.3.2.2: behind the packet.  For a MAC the driver does it. */
	if (x->iv_len && x->esn) {
		tdo_put_be32(data + len, op->esn_hi);
		op->hdr_len += (uint32_t)sizeof(op->esn_hi);
	}
}

#endif
