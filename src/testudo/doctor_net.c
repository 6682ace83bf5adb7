/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor: rules, nftables, the kernel's own IPsec. */
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testudo/report.h"

static const char *const ip4_rules[] = {"ip", "-j", "-4", "rule", "show", NULL};
static const char *const ip6_rules[] = {"ip", "-j", "-6", "rule", "show", NULL};
static const char *const nft_list[] = {"nft", "-j", "list", "ruleset", NULL};

/* ---- ip rules ----------------------------------------------------------------------- */

/* "0x100000": fwmark of a rule, or 0. */
static unsigned long
mark_of(const json_t *rule)
{
	const char *s = json_string_value(json_object_get(rule, "fwmark"));

	return s != NULL ? strtoul(s, NULL, 0) : 0;
}

static unsigned long
mask_of(const json_t *rule)
{
	const char *s = json_string_value(json_object_get(rule, "fwmask"));

	return s != NULL ? strtoul(s, NULL, 0) : 0xffffffffUL;
}

static bool
is_ours(const struct tdo_host *h, const json_t *rule)
{
	const json_t *prio = json_object_get(rule, "priority");

	return (unsigned)json_integer_value(prio) == h->rule_priority;
}

static void
check_rules(
    struct tdo_report *r, const struct tdo_host *h, const char *family, const char *const *argv)
{
	json_t *rules = tdo_probe_json(argv), *rule;
	bool found = false;
	size_t i;

	if (rules == NULL) {
		tdo_report(r, TDO_WARN, "ip rules", "install iproute2",
		    "the rules of %s cannot be read", family);
		return;
	}
	json_array_foreach(rules, i, rule)
	{
		if (is_ours(h, rule))
			found = true;
		else if (mark_of(rule) != 0 && (mask_of(rule) & h->mark_mask) != 0)
			tdo_report(r, TDO_WARN, "ip rules",
			    "set another mark-mask in testudod.conf, or restrict the other rule's "
			    "mask",
			    "%s rule %d also looks at bits of testudo's mark mask 0x%x", family,
			    (int)json_integer_value(json_object_get(rule, "priority")),
			    h->mark_mask);
	}
	if (found)
		tdo_report(
		    r, TDO_OK, "ip rules", NULL, "%s rule %u is there", family, h->rule_priority);
	else
		tdo_report(r, TDO_FAIL, "ip rules", "restart testudod; it puts the rule back",
		    "%s has no rule of priority %u: nothing is diverted to testudo", family,
		    h->rule_priority);
	json_decref(rules);
}

void
tdo_doctor_rules(struct tdo_report *r, const struct tdo_host *h)
{
	check_rules(r, h, "IPv4", ip4_rules);
	if (tdo_probe_number("/proc/sys/net/ipv6/conf/all/disable_ipv6", "") == 0)
		check_rules(r, h, "IPv6", ip6_rules);
}

/* ---- nftables ----------------------------------------------------------------------- */

static bool
is_our_table(const char *name)
{
	return strncmp(name, "testudo", 7) == 0;
}

static const char *
member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* Does an expression of a rule read or write the packet's mark? */
static bool
uses_mark(const json_t *expr)
{
	char *text = json_dumps(expr, JSON_COMPACT);
	bool uses;

	if (text == NULL)
		return false;
	uses = strstr(text, "\"meta\":{\"key\":\"mark\"}") != NULL;
	free(text);
	return uses;
}

static void
scan_ruleset(struct tdo_report *r, const json_t *list, bool *ret_table)
{
	const json_t *item, *table, *rule;
	size_t i;

	json_array_foreach(list, i, item)
	{
		table = json_object_get(item, "table");
		rule = json_object_get(item, "rule");
		if (table != NULL && is_our_table(member(table, "name")))
			*ret_table = true;
		if (rule == NULL || is_our_table(member(rule, "table")) ||
		    !uses_mark(json_object_get(rule, "expr")))
			continue;
		tdo_report(r, TDO_WARN, "nft marks",
		    "see that its marks and masks leave testudo's mark mask alone",
		    "table %s %s, chain %s has a rule about packet marks", member(rule, "family"),
		    member(rule, "table"), member(rule, "chain"));
	}
}

void
tdo_doctor_nft(struct tdo_report *r, const struct tdo_host *h)
{
	json_t *ruleset = tdo_probe_json(nft_list);
	bool table = false;

	(void)h;
	if (ruleset == NULL) {
		tdo_report(r, TDO_WARN, "nft", "install nftables and ask as root",
		    "the ruleset cannot be read");
		return;
	}
	scan_ruleset(r, json_object_get(ruleset, "nftables"), &table);
	if (table)
		tdo_report(r, TDO_OK, "nft", NULL, "testudo's table is there");
	else
		tdo_report(r, TDO_FAIL, "nft", "restart testudod; it makes its table anew",
		    "there is no table of testudo: nothing is diverted or guarded");
	json_decref(ruleset);
}

/* ---- conntrack, NFQUEUE ------------------------------------------------------------- */

void
tdo_doctor_queue(struct tdo_report *r, const struct tdo_host *h)
{
	if (h->nfqueue)
		tdo_report(r, TDO_OK, "nfqueue", NULL, "queue %u works", h->queue);
	else
		tdo_report(r, TDO_WARN, "nfqueue",
		    "a kernel with NFQUEUE; without it, packets that rules cannot judge are "
		    "dropped",
		    "queue %u has no listener", h->queue);
	if (tdo_probe_number("/proc/sys/net/netfilter/nf_conntrack_max", "") < 0)
		tdo_report(r, TDO_NOTE, "conntrack", NULL,
		    "not active: forwarded fragments are diverted by address alone");
	else
		tdo_report(r, TDO_OK, "conntrack", NULL, "active");
}

/* ---- raw sockets -------------------------------------------------------------------- */

/* Which of the protocols have a raw socket; the file has a line for each: "slot: address:proto". */
static unsigned
raw_sockets(const char *path, const unsigned *proto, unsigned n)
{
	char line[256], local[64];
	FILE *f = fopen(path, "re");
	unsigned found = 0, number;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, " %*u: %63s", local) != 1 || strchr(local, ':') == NULL)
			continue;
		number = (unsigned)strtoul(strchr(local, ':') + 1, NULL, 16);
		for (unsigned i = 0; i < n; i++)
			if (proto[i] == number)
				found |= 1u << i;
	}
	if (f != NULL)
		(void)fclose(f);
	return found;
}

static void
check_raw(struct tdo_report *r, const char *family, const char *path)
{
	static const char *const name[] = {"ESP", "AH", "IPComp"};
	static const unsigned proto[] = {50, 51, 108};
	unsigned n = sizeof(proto) / sizeof(proto[0]), found = raw_sockets(path, proto, n);

	for (unsigned i = 0; i < n; i++)
		if (!(found >> i & 1))
			tdo_report(r, TDO_FAIL, "raw sockets", "start testudod; it opens them",
			    "%s has no socket for %s (protocol %u)", family, name[i], proto[i]);
	if (found == (1u << n) - 1)
		tdo_report(
		    r, TDO_OK, "raw sockets", NULL, "%s has those for ESP, AH and IPComp", family);
}

void
tdo_doctor_raw(struct tdo_report *r)
{
	check_raw(r, "IPv4", "/proc/self/net/raw");
	if (tdo_probe_number("/proc/sys/net/ipv6/conf/all/disable_ipv6", "") == 0)
		check_raw(r, "IPv6", "/proc/self/net/raw6");
}

/* ---- XFRM --------------------------------------------------------------------------- */

static int
count_message(const struct nlmsghdr *nlh, void *data)
{
	unsigned *n = data;

	if (nlh->nlmsg_type == XFRM_MSG_NEWSA || nlh->nlmsg_type == XFRM_MSG_NEWPOLICY)
		(*n)++;
	return MNL_CB_OK;
}

/* Entries of a dump; -1: the kernel has no XFRM, or does not say. */
static int
count_xfrm(uint16_t type)
{
	static char buf[32768];
	struct mnl_socket *s = mnl_socket_open(NETLINK_XFRM);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned n = 0, seq = (unsigned)time(NULL);
	int rc = -1;

	if (s == NULL)
		return -1;
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(s, nlh, nlh->nlmsg_len) >= 0) {
		rc = MNL_CB_OK;
		while (rc > MNL_CB_STOP) {
			ssize_t len = mnl_socket_recvfrom(s, buf, sizeof(buf));

			rc = len < 0 ? -1
				     : mnl_cb_run(buf, (size_t)len, seq, mnl_socket_get_portid(s),
					   count_message, &n);
		}
	}
	(void)mnl_socket_close(s);
	return rc < 0 ? -1 : (int)n;
}

void
tdo_doctor_xfrm(struct tdo_report *r)
{
	int sas = count_xfrm(XFRM_MSG_GETSA), sps = count_xfrm(XFRM_MSG_GETPOLICY);

	if (sas > 0 || sps > 0)
		tdo_report(r, TDO_FAIL, "kernel IPsec",
		    "ip xfrm state flush; ip xfrm policy flush; and stop who made them",
		    "the kernel has %d SAs and %d policies of its own: packets may be treated "
		    "twice "
		    "or dropped",
		    sas > 0 ? sas : 0, sps > 0 ? sps : 0);
	else
		tdo_report(r, TDO_OK, "kernel IPsec", NULL, "no SAs and no policies in the kernel");
}
