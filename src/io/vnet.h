/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio_net_hdr in front of every packet of the TUN (Virtio 1.2, 5.1.6): conversion. */
#ifndef TDO_IO_VNET_H
#define TDO_IO_VNET_H

#include "testudo/pkt.h"

#define TDO_VNET_HLEN 10 /* without num_buffers, native byte order (TUNSETVNETHDRSZ default) */

/*
 * hdr: TDO_VNET_HLEN bytes.  What the kernel says about the packet whose bytes are in p (off, len):
 * sets flags, gso, gso_size, csum_start, csum_off.  false: the header contradicts itself or the
 * packet;
 *
 * hdr_len is not looked at (the kernel's is a hint and sometimes wrong).
 */
TDO_MUST_CHECK bool tdo_vnet_decode(const uint8_t *hdr, struct tdo_pkt *p);
/* Writes the header for p, TDO_VNET_HLEN bytes; p->ip is valid when p->gso or CSUM_PARTIAL is set.
 */
void tdo_vnet_encode(const struct tdo_pkt *p, uint8_t *hdr);

#endif
