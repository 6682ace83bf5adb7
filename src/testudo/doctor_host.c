/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor: devices, settings of the kernel, clock. */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "testudo/report.h"

#define TUN_MTU     65535
#define YEAR_2020   1577836800
#define IP6_MTU_MIN 1280

/* Which families the interface has an address of. */
static void
families(const char *ifname, bool *ret_inet, bool *ret_inet6)
{
	struct ifaddrs *all, *a;

	*ret_inet = *ret_inet6 = false;
	if (getifaddrs(&all) != 0)
		return;
	for (a = all; a != NULL; a = a->ifa_next) {
		if (a->ifa_addr == NULL || strcmp(a->ifa_name, ifname) != 0)
			continue;
		*ret_inet |= a->ifa_addr->sa_family == AF_INET;
		*ret_inet6 |= a->ifa_addr->sa_family == AF_INET6;
	}
	freeifaddrs(all);
}

void
tdo_doctor_tun(struct tdo_report *r, const struct tdo_host *h)
{
	long mtu = tdo_probe_number("/sys/class/net/@/mtu", h->tun);
	bool inet, inet6;

	if (if_nametoindex(h->tun) == 0) {
		tdo_report(r, TDO_FAIL, "tun", "start testudod; it makes the device",
		    "there is no device %s", h->tun);
		return;
	}
	/* /sys belongs to the namespace in which it was mounted: then the MTU is not known. */
	if (mtu >= 0 && mtu != TUN_MTU)
		tdo_report(r, TDO_FAIL, "tun", "ip link set dev testudo0 mtu 65535",
		    "MTU of %s is %ld: datagrams above it would be cut before they are protected",
		    h->tun, mtu);
	families(h->tun, &inet, &inet6);
	if (!inet)
		tdo_report(r, TDO_FAIL, "tun",
		    "restart testudod: it gives the device 192.0.0.8/32 of scope host",
		    "%s has no IPv4 address: with rp_filter, everything decapsulated is dropped",
		    h->tun);
	else
		tdo_report(r, TDO_OK, "tun", NULL, "%s is there%s", h->tun,
		    mtu == TUN_MTU ? " with MTU 65535" : "");
}

void
tdo_doctor_sysctls(struct tdo_report *r, const struct tdo_host *h)
{
	static const char rp[] = "/proc/sys/net/ipv4/conf/@/rp_filter";
	long all = tdo_probe_number(rp, "all"), tun = tdo_probe_number(rp, h->tun);
	long valid_mark = tdo_probe_number("/proc/sys/net/ipv4/conf/all/src_valid_mark", "");

	if (tun < 0)
		return; /* no device: said above */
	/* The larger one of the two counts (Documentation/networking/ip-sysctl). */
	if ((all > tun ? all : tun) == 1)
		tdo_report(r, TDO_FAIL, "rp_filter", "sysctl net.ipv4.conf.testudo0.rp_filter=2",
		    "strict reverse path filtering on %s drops decapsulated packets", h->tun);
	else
		tdo_report(r, TDO_OK, "rp_filter", NULL, "all %ld, %s %ld", all, h->tun, tun);
	if (valid_mark == 1)
		tdo_report(r, TDO_WARN, "src_valid_mark",
		    "sysctl net.ipv4.conf.all.src_valid_mark=0, or see who needs it",
		    "source validation uses marks: clear packets may be judged by testudo's rule");
}

static void
check_link(struct tdo_report *r, const struct tdo_host *h, const char *name, unsigned *ret_min)
{
	long mtu;

	if (strcmp(name, h->tun) == 0 || strcmp(name, "lo") == 0)
		return;
	mtu = tdo_probe_number("/proc/sys/net/ipv6/conf/@/mtu", name);
	if (mtu <= 0)
		return;
	if (mtu < IP6_MTU_MIN + 100)
		tdo_report(r, TDO_WARN, "link", "raise the MTU, or expect fragments",
		    "MTU of %s is %ld: IPv6 packets of 1280 bytes do not fit when protected", name,
		    mtu);
	if (*ret_min == 0 || (unsigned)mtu < *ret_min)
		*ret_min = (unsigned)mtu;
}

void
tdo_doctor_links(struct tdo_report *r, const struct tdo_host *h)
{
	struct if_nameindex *list = if_nameindex();
	unsigned min = 0;

	if (list == NULL)
		return;
	for (struct if_nameindex *i = list; i->if_name != NULL; i++)
		check_link(r, h, i->if_name, &min);
	if_freenameindex(list);
	if (min > 0)
		tdo_report(r, TDO_OK, "links", NULL, "smallest MTU %u", min);
}

void
tdo_doctor_clock(struct tdo_report *r)
{
	if (time(NULL) < YEAR_2020)
		tdo_report(r, TDO_WARN, "clock", "set the clock, run an NTP client",
		    "the clock is before 2020: creation times of SAs will be wrong");
	else
		tdo_report(r, TDO_OK, "clock", NULL, "plausible");
}
