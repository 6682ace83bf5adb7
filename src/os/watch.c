/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netconf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

static const unsigned route_groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
    RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF};

/*
 * Lets only messages pass that carry another port id than self (nlmsg_pid, bytes 12..15 in
 * host order; a filter loads in network order).
 */
static int
hide_own(struct tdo_nl *nl, uint32_t self)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(self), 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog p = {.len = sizeof(f) / sizeof(f[0]), .filter = f};

	if (setsockopt(tdo_nl_fd(nl), SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) != 0)
		return -errno;
	return 0;
}

static int
open_route(struct tdo_watch *w, uint32_t self)
{
	int r = tdo_nl_open(&w->route, NETLINK_ROUTE);

	for (size_t i = 0; r == 0 && i < sizeof(route_groups) / sizeof(route_groups[0]); i++)
		r = tdo_nl_join(&w->route, route_groups[i]);
	return r == 0 ? hide_own(&w->route, self) : r;
}

static int
open_nft(struct tdo_watch *w, uint32_t self)
{
	int r = tdo_nl_open(&w->nft, NETLINK_NETFILTER);

	if (r == 0)
		r = hide_own(&w->nft, self);
	return r == 0 ? tdo_nl_join(&w->nft, NFNLGRP_NFTABLES) : r;
}

int
tdo_watch_open(struct tdo_watch *w, uint32_t route_self, uint32_t nft_self)
{
	int r = open_route(w, route_self);

	if (r == 0 && nft_self != 0)
		r = open_nft(w, nft_self);
	if (r < 0)
		tdo_watch_close(w);
	return r;
}

void
tdo_watch_close(struct tdo_watch *w)
{
	tdo_nl_close(&w->route);
	tdo_nl_close(&w->nft);
}

/* ---- rtnetlink ---------------------------------------------------------------------- */

static unsigned
link_event(const struct tdo_watch *w, const struct nlmsghdr *m)
{
	const struct ifinfomsg *h = mnl_nlmsg_get_payload(m);

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*h) || (uint32_t)h->ifi_index != w->ifindex)
		return 0;
	return m->nlmsg_type == RTM_DELLINK ? TDO_WATCH_GONE : TDO_WATCH_LINK;
}

static unsigned
addr_event(const struct tdo_watch *w, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *h = mnl_nlmsg_get_payload(m);

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*h))
		return 0;
	return h->ifa_index == w->ifindex ? TDO_WATCH_LINK : TDO_WATCH_LOCAL;
}

static unsigned
route_event(const struct tdo_watch *w, const struct nlmsghdr *m)
{
	const struct rtmsg *h = mnl_nlmsg_get_payload(m);
	uint32_t table;
	struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*h))
		return 0;
	table = h->rtm_table;
	mnl_attr_for_each(a, m, sizeof(*h))
	{
		if (mnl_attr_get_type(a) == RTA_TABLE && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			table = mnl_attr_get_u32(a);
	}
	return table == w->table ? TDO_WATCH_ROUTES : 0;
}

/* A setting under net.ipv4.conf was changed, of all interfaces or of one. */
static unsigned
netconf_event(const struct tdo_watch *w, const struct nlmsghdr *m)
{
	struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof(struct netconfmsg))
	{
		if (mnl_attr_get_type(a) == NETCONFA_IFINDEX &&
		    mnl_attr_validate(a, MNL_TYPE_U32) >= 0 && mnl_attr_get_u32(a) == w->ifindex)
			return TDO_WATCH_LINK;
	}
	return 0;
}

static int
route_message(void *ctx, const struct nlmsghdr *m)
{
	struct tdo_watch *w = ctx;

	switch (m->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		w->events |= link_event(w, m);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		w->events |= addr_event(w, m);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		w->events |= route_event(w, m);
		break;
	case RTM_DELRULE:
		w->events |= TDO_WATCH_ROUTES;
		break;
	case RTM_NEWNETCONF:
		w->events |= netconf_event(w, m);
		break;
	default:
		break;
	}
	return 0;
}

/* ---- nftables ----------------------------------------------------------------------- */

/*
 * In all messages of nftables attribute 1 is the name of the table.  New objects in our
 * table count as well: another rule could accept what ours would drop.
 */
static int
nft_message(void *ctx, const struct nlmsghdr *m)
{
	struct tdo_watch *w = ctx;
	struct nlattr *a;

	if (NFNL_SUBSYS_ID(m->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    NFNL_MSG_TYPE(m->nlmsg_type) == NFT_MSG_NEWGEN)
		return 0;
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 &&
		    strncmp(mnl_attr_get_str(a), w->prefix, strlen(w->prefix)) == 0)
			w->events |= TDO_WATCH_NFT;
	}
	return 0;
}

unsigned
tdo_watch_read(struct tdo_watch *w)
{
	unsigned events;

	if (w->route.s && tdo_nl_drain(&w->route, route_message, w) < 0)
		w->events |= TDO_WATCH_UNKNOWN;
	if (w->nft.s && tdo_nl_drain(&w->nft, nft_message, w) < 0)
		w->events |= TDO_WATCH_UNKNOWN;
	events = w->events;
	w->events = 0;
	return events;
}
