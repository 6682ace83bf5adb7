/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to an outbound packet that may not fit (docs/sizes.md): a decision from numbers,
 * without any I/O.
 */
#ifndef TDO_DAEMON_SIZES_H
#define TDO_DAEMON_SIZES_H

#include "testudo/pkt.h"

enum tdo_fit {
	TDO_FIT_WHOLE,   /* goes on as it is; what does not fit in the end is fragmented */
	TDO_FIT_CUT,     /* is cut into TCP segments or UDP datagrams of *ret_mss bytes */
	TDO_FIT_TOO_BIG, /* is refused; the sender is told tdo_size_told() by ICMP */
};

/*
 * p: parsed outbound packet or super-packet.  limit: the largest packet that fits (path MTU, or
 * what tdo_out_inner_mtu() leaves of it).  tunnel: the packet goes into a tunnel, or in clear;
 * a transport-mode SA protects whole datagrams (RFC 4303 3.3.4).
 */
enum tdo_fit tdo_size_fit(const struct tdo_pkt *p, uint32_t limit, bool tunnel, uint16_t *ret_mss);

/* The MTU that p's sender can be asked for: limit, but no less than every sender believes. */
uint32_t tdo_size_told(const struct tdo_pkt *p, uint32_t limit);

/*
 * True when p, which tdo_size_fit() lets go whole, is fragmented before it is protected: it does
 * not fit, no SA in transport mode wants it whole (may), and either that is wanted
 * (tdo_out_cuts_first()) and its sender allows it, or it came in fragments of IPv6: what comes out
 * of the tunnel whole no router could cut again.
 */
bool tdo_size_cut_first(const struct tdo_pkt *p, uint32_t limit, bool may, bool wanted);

/* The largest MSS whose segments fit; 0 when p is not TCP or none is sensible. */
uint16_t tdo_size_mss(const struct tdo_pkt *p, uint32_t limit);

#endif
