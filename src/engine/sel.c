/* SPDX-License-Identifier: BSD-2-Clause */
/* Traffic selectors against the addresses and upper layer of one packet. */
#include "testudo/sel.h"
#include "base/addr.h"
#include "wire/ip.h"

static bool
range_any(const struct tdo_range *r)
{
	return r->lo == 0 && r->hi == UINT16_MAX;
}

static bool
range_has(const struct tdo_range *r, uint16_t v)
{
	return r->lo <= v && v <= r->hi;
}

static bool
addrs_match(const struct tdo_sel *sel, const struct tdo_flow *f)
{
	return tdo_addr_in(&f->src, &sel->src, sel->src_plen) &&
	       tdo_addr_in(&f->dst, &sel->dst, sel->dst_plen);
}

/* No ports known: only the full range matches (RFC 4301 4.4.1.1: ANY includes OPAQUE). */
static bool
ports_match(const struct tdo_sel *sel, const struct tdo_flow *f)
{
	if (!tdo_flow_shows_ports(f, sel->proto))
		return range_any(&sel->sport) && range_any(&sel->dport);
	return range_has(&sel->sport, f->sport) && range_has(&sel->dport, f->dport);
}

bool
tdo_flow_proto_hidden(const struct tdo_flow *f)
{
	if (!f->opaque || f->src.af != TDO_AF_INET6)
		return false;
	return f->proto == TDO_IPPROTO_HOPOPTS || f->proto == TDO_IPPROTO_ROUTING ||
	       f->proto == TDO_IPPROTO_FRAGMENT || f->proto == TDO_IPPROTO_DSTOPTS;
}

bool
tdo_sel_match(const struct tdo_sel *sel, const struct tdo_flow *f)
{
	if (sel->proto != TDO_PROTO_ANY && (sel->proto != f->proto || tdo_flow_proto_hidden(f)))
		return false;
	return addrs_match(sel, f) && ports_match(sel, f);
}

bool
tdo_sel_may_match(const struct tdo_sel *sel, const struct tdo_flow *f)
{
	if (!f->opaque)
		return tdo_sel_match(sel, f);
	if (!addrs_match(sel, f))
		return false;
	if (tdo_flow_proto_hidden(f))
		return true;
	if (sel->proto != TDO_PROTO_ANY && sel->proto != f->proto)
		return false;
	if (!f->has_ports && (sel->proto != TDO_PROTO_ANY || tdo_proto_has_ports(f->proto)))
		return true;
	return ports_match(sel, f);
}

bool
tdo_sel_equal(const struct tdo_sel *a, const struct tdo_sel *b)
{
	return tdo_addr_equal(&a->src, &b->src) && tdo_addr_equal(&a->dst, &b->dst) &&
	       a->src_plen == b->src_plen && a->dst_plen == b->dst_plen && a->proto == b->proto &&
	       a->sport.lo == b->sport.lo && a->sport.hi == b->sport.hi &&
	       a->dport.lo == b->dport.lo && a->dport.hi == b->dport.hi;
}
