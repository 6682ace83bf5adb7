/* SPDX-License-Identifier: BSD-2-Clause */
/* What both pipelines need. */
#include "engine/path.h"
#include "wire/ip.h"

bool
tdo_is_nd_or_mld(const struct tdo_flow *f)
{
	if (f->proto != TDO_IPPROTO_ICMPV6 || f->src.af != TDO_AF_INET6 || !f->has_ports)
		return false;
	/* RFC 2710 and 3810, RFC 4861 */
	return (f->sport >= 130 && f->sport <= 137) || f->sport == 143;
}

void
tdo_sp_use_flush(struct tdo_sp_use *u, tdo_ns now)
{
	/* Counters are the only thing that workers change in a policy. */
	struct tdo_sp *sp = (struct tdo_sp *)(uintptr_t)u->sp;

	if (sp) {
		atomic_fetch_add_explicit(&sp->packets, u->packets, memory_order_relaxed);
		atomic_store_explicit(&sp->last_use, now, memory_order_relaxed);
	}
	*u = (struct tdo_sp_use){0};
}

void
tdo_sp_used(struct tdo_sp_use *u, const struct tdo_sp *sp, tdo_ns now)
{
	if (u->sp != sp) {
		tdo_sp_use_flush(u, now);
		u->sp = sp;
	}
	u->packets++;
}
