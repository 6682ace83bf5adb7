/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/route.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/addr.h"

#define REQ_BUF 512

static uint8_t
family(enum tdo_af af)
{
	return af == TDO_AF_INET ? AF_INET : AF_INET6;
}

/* For requests with NLM_F_EXCL: 1 added, 0 was there. */
static int
added(int r)
{
	return r == 0 ? 1 : r == -EEXIST ? 0 : r;
}

/* ---- rules -------------------------------------------------------------------------- */

static int
rule(struct tdo_nl *nl, const struct tdo_rule *r, uint16_t type, uint16_t flags)
{
	_Alignas(struct nlmsghdr) char buf[REQ_BUF];
	struct nlmsghdr *m = tdo_nl_request(nl, buf, type, flags);
	struct fib_rule_hdr *h = mnl_nlmsg_put_extra_header(m, sizeof(*h));

	h->family = family(r->af);
	h->action = FR_ACT_TO_TBL;
	h->table = RT_TABLE_UNSPEC;
	mnl_attr_put_u32(m, FRA_TABLE, r->table);
	mnl_attr_put_u32(m, FRA_PRIORITY, r->priority);
	mnl_attr_put_u32(m, FRA_FWMARK, r->mark);
	mnl_attr_put_u32(m, FRA_FWMASK, r->mark);
	mnl_attr_put_u8(m, FRA_PROTOCOL, TDO_ROUTE_PROTO);
	return tdo_nl_talk(nl, m);
}

int
tdo_rule_ensure(struct tdo_nl *nl, const struct tdo_rule *r)
{
	return added(rule(nl, r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL));
}

int
tdo_rule_del(struct tdo_nl *nl, const struct tdo_rule *r)
{
	return rule(nl, r, RTM_DELRULE, 0);
}

/* ---- routes ------------------------------------------------------------------------- */

static int
route(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex, uint16_t type,
    uint16_t flags)
{
	_Alignas(struct nlmsghdr) char buf[REQ_BUF];
	struct nlmsghdr *m = tdo_nl_request(nl, buf, type, flags);
	struct rtmsg *h = mnl_nlmsg_put_extra_header(m, sizeof(*h));

	h->rtm_family = family(af);
	h->rtm_table = RT_TABLE_UNSPEC;
	h->rtm_protocol = TDO_ROUTE_PROTO;
	h->rtm_type = ifindex ? RTN_UNICAST : RTN_UNREACHABLE;
	h->rtm_scope = ifindex && af == TDO_AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	mnl_attr_put_u32(m, RTA_TABLE, table);
	/* IPv6 would turn 0 into 1024; said explicitly, so that both families look alike. */
	mnl_attr_put_u32(m, RTA_PRIORITY, ifindex ? 1024 : TDO_ROUTE_LAST_METRIC);
	if (ifindex)
		mnl_attr_put_u32(m, RTA_OIF, ifindex);
	return tdo_nl_talk(nl, m);
}

int
tdo_route_ensure(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex)
{
	return added(route(nl, af, table, ifindex, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL));
}

int
tdo_route_put(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex)
{
	return route(nl, af, table, ifindex, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
}

int
tdo_route_del(struct tdo_nl *nl, enum tdo_af af, uint32_t table, uint32_t ifindex)
{
	return route(nl, af, table, ifindex, RTM_DELROUTE, 0);
}

/* ---- links and addresses ------------------------------------------------------------ */

int
tdo_link_up(struct tdo_nl *nl, uint32_t ifindex, uint32_t mtu, uint32_t txqlen)
{
	_Alignas(struct nlmsghdr) char buf[REQ_BUF];
	struct nlmsghdr *m = tdo_nl_request(nl, buf, RTM_NEWLINK, 0);
	struct ifinfomsg *h = mnl_nlmsg_put_extra_header(m, sizeof(*h));

	h->ifi_index = (int)ifindex;
	h->ifi_flags = h->ifi_change = IFF_UP;
	mnl_attr_put_u32(m, IFLA_MTU, mtu);
	mnl_attr_put_u32(m, IFLA_TXQLEN, txqlen);
	return tdo_nl_talk(nl, m);
}

int
tdo_addr4_ensure(struct tdo_nl *nl, uint32_t ifindex, const uint8_t addr[4])
{
	_Alignas(struct nlmsghdr) char buf[REQ_BUF];
	struct nlmsghdr *m = tdo_nl_request(nl, buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *h = mnl_nlmsg_put_extra_header(m, sizeof(*h));

	h->ifa_family = AF_INET;
	h->ifa_prefixlen = 32;
	h->ifa_scope = RT_SCOPE_HOST;
	h->ifa_index = ifindex;
	mnl_attr_put(m, IFA_LOCAL, 4, addr);
	mnl_attr_put(m, IFA_ADDRESS, 4, addr);
	return added(tdo_nl_talk(nl, m));
}

struct addr_ctx {
	uint32_t skip;
	struct tdo_addr *out;
	unsigned n, max;
};

static int
addr_one(void *ctx, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *h = mnl_nlmsg_get_payload(m);
	const uint8_t *local = NULL, *address = NULL;
	struct addr_ctx *c = ctx;
	struct nlattr *a;
	uint8_t af;

	if (m->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(m) < sizeof(*h) ||
	    h->ifa_index == c->skip)
		return 0;
	af = h->ifa_family == AF_INET ? TDO_AF_INET : h->ifa_family == AF_INET6 ? TDO_AF_INET6 : 0;
	mnl_attr_for_each(a, m, sizeof(*h))
	{
		if (af == 0 || mnl_attr_get_payload_len(a) != tdo_af_len(af))
			continue;
		if (mnl_attr_get_type(a) == IFA_LOCAL)
			local = mnl_attr_get_payload(a);
		else if (mnl_attr_get_type(a) == IFA_ADDRESS)
			address = mnl_attr_get_payload(a);
	}
	/* On point-to-point links ADDRESS is the other side's. */
	if (!local)
		local = address;
	if (local) {
		if (c->n < c->max)
			c->out[c->n] = tdo_addr_make(af, local);
		c->n++;
	}
	return 0;
}

int
tdo_addr_list(struct tdo_nl *nl, uint32_t skip, struct tdo_addr *out, unsigned max)
{
	_Alignas(struct nlmsghdr) char buf[REQ_BUF];
	struct addr_ctx c = {skip, out, 0, max};
	struct nlmsghdr *m = tdo_nl_request(nl, buf, RTM_GETADDR, 0);
	struct ifaddrmsg *h = mnl_nlmsg_put_extra_header(m, sizeof(*h));
	int r;

	h->ifa_family = AF_UNSPEC;
	r = tdo_nl_dump(nl, m, addr_one, &c);
	return r < 0 ? r : (int)c.n;
}
