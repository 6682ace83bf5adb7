/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net.inet.ipsec.debug: what was dropped is logged.  The tick looks at the counters, so that
 * neither a flood nor the setting costs a packet anything.
 */
#include "base/addr.h"
#include "engine/control.h"

static bool
is_on(const struct tdo_engine *e, uint8_t af)
{
	return tdo_knob(e, TDO_KNOB_DEBUG, af) != 0;
}

static void
report(const struct tdo_engine *e, enum tdo_reason r, uint64_t n)
{
	char src[TDO_ADDR_STRLEN], dst[TDO_ADDR_STRLEN];
	struct tdo_offender o;

	tdo_offender_read(e, r, &o);
	if (o.when == 0 || !is_on(e, o.flow.src.af))
		return;
	tdo_engine_log(e, TDO_LOG_DEBUG,
	    "dropped %llu (%s), last from %s to %s, protocol %u, SPI %u, number %u",
	    (unsigned long long)n, tdo_reason_info(r)->name, tdo_addr_str(&o.flow.src, src),
	    tdo_addr_str(&o.flow.dst, dst), (unsigned)o.flow.proto, (unsigned)o.spi,
	    (unsigned)o.seq);
}

static void
look(struct tdo_engine *e, bool silent)
{
	for (int r = TDO_REASON_NONE + 1; r < TDO_REASON_COUNT; r++) {
		uint64_t n = tdo_drops_read(e, (enum tdo_reason)r);

		if (n > e->debug_seen[r] && !silent)
			report(e, (enum tdo_reason)r, n - e->debug_seen[r]);
		e->debug_seen[r] = n;
	}
}

void
tdo_debug_changed(struct tdo_engine *e)
{
	look(e, true);
}

void
tdo_debug_tick(struct tdo_engine *e)
{
	if (is_on(e, TDO_AF_INET) || is_on(e, TDO_AF_INET6))
		look(e, false);
}
