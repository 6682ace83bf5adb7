/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragmentation of outgoing IP packets (RFC 791 3.2, RFC 8200 4.5). */
#ifndef TDO_WIRE_FRAG_H
#define TDO_WIRE_FRAG_H

#include "testudo/pkt.h"

/* Number of fragments of a parsed packet for this MTU (1: it fits; 0: impossible). */
unsigned tdo_frag_count(const struct tdo_pkt *p, uint32_t mtu);
/*
 * Writes fragment i into out (as tdo_gso_segment).  IPv4: options marked "copy" are copied
 * to all, id is that of the packet.  IPv6: the fragment header goes behind the unfragmentable
 * part (p->ip.esp_off), id is the identification.  false when out has no room.
 */
TDO_MUST_CHECK bool tdo_frag_make(
    const struct tdo_pkt *p, uint32_t mtu, unsigned i, uint32_t id, struct tdo_pkt *out);

#endif
