/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors inside of the engine: icmp.c. */
#ifndef TDO_ENGINE_ICMP_H
#define TDO_ENGINE_ICMP_H

#include "engine/engine.h"
#include "wire/ip.h"

/* What most packets are not. */
static inline bool
tdo_is_icmp(const struct tdo_pkt *p)
{
	return p->ip.flow.proto == TDO_IPPROTO_ICMP || p->ip.flow.proto == TDO_IPPROTO_ICMPV6;
}

/*
 * A parsed packet that came in clear: what tdo_icmp_in() would say of it, and whether the host may
 * have it; DROP with the reason, which the caller counts.
 */
enum tdo_icmp_verdict tdo_icmp_about_protected(
    const struct tdo_engine *e, const struct tdo_pkt *p, tdo_ns now, enum tdo_reason *ret_reason);

/* The flow that decides about an ICMP error besides its own; false: there is none. */
bool tdo_icmp_stands_for(const struct tdo_engine *e, const struct tdo_pkt *p, struct tdo_flow *ret);
/* The same for an error whose quote cannot be read: an opaque flow of what it may quote. */
bool tdo_icmp_may_stand_for(
    const struct tdo_engine *e, const struct tdo_pkt *p, struct tdo_flow *ret);
/* True for an ICMP error that could stand for any flow. */
bool tdo_icmp_is_obscure(const struct tdo_engine *e, const struct tdo_pkt *p);

#endif
