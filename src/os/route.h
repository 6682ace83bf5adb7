/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules, routes, links and addresses by rtnetlink: what brings packets with the divert bit
 * into the TUN and nowhere else.
 */
#ifndef TDO_OS_ROUTE_H
#define TDO_OS_ROUTE_H

#include "os/nl.h"
#include "testudo/types.h"

/* Origin of our rules and routes (rtm_protocol), so that they can be told from others. */
#define TDO_ROUTE_PROTO 58

/* Comes behind every other route of the table (O5: it stays when the TUN vanishes). */
#define TDO_ROUTE_LAST_METRIC 4278198272u

struct tdo_rule {
	enum tdo_af af;
	uint32_t priority, table;
	uint32_t mark; /* the rule is for packets with mark & mark == mark */
};

/* Adds what is missing: 1 when it was missing, 0 when it was there, or -errno. */
int tdo_rule_ensure(struct tdo_nl *nl, const struct tdo_rule *r);
int tdo_rule_del(struct tdo_nl *nl, const struct tdo_rule *r);

/*
 * The default route of the table into ifindex, or, with ifindex 0, the unreachable one behind
 * it.  ensure: as above; put: replaces whatever stands there with the same metric.
 */
int tdo_route_ensure(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex);
int tdo_route_put(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex);
int tdo_route_del(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex);

/* Brings a link up with this MTU and queue length; changes nothing that is so already. */
int tdo_link_up(struct tdo_nl *nl, uint32_t ifindex, uint32_t mtu, uint32_t txqlen);
/* Adds an IPv4 address/32 of scope host: 1 when it was missing, 0 when it was there. */
int tdo_addr4_ensure(struct tdo_nl *nl, uint32_t ifindex, const uint8_t addr[4]);

/*
 * Lists the host's addresses but those of the interface skip: writes up to max to out and
 * returns their number, which may be larger, or -errno.
 */
int tdo_addr_list(struct tdo_nl *nl, uint32_t skip, struct tdo_addr *out, unsigned max);

#endif
