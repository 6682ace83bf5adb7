/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of wire: starting a packet in a buffer of the caller's. */
#ifndef TDO_WIRE_OUT_H
#define TDO_WIRE_OUT_H

#include "testudo/pkt.h"

/*
 * Makes out a plain packet of len bytes, which are still to be written, at its off; false
 * when it has no room.
 */
static inline bool
tdo_out_begin(struct tdo_pkt *out, uint32_t len, uint8_t flags)
{
	if (out->off > out->cap || len > out->cap - out->off)
		return false;
	out->len = len;
	out->flags = flags & (uint8_t)~TDO_PKT_CSUM_PARTIAL;
	out->gso = TDO_GSO_NONE;
	out->gso_size = 0;
	out->csum_start = 0;
	out->csum_off = 0;
	return true;
}

#endif
