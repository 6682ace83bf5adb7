/* SPDX-License-Identifier: BSD-2-Clause */
/* Host, service and protocol names, by the C library or by a small table. */
#define _GNU_SOURCE /* getservbyname_r and its like: parsers may run at the same time */
#include "setkey/names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

/* What every setkey has to know; protocol files often lack the first and the aliases. */
static const struct {
	const char *name; /* the first of a number is the one that is printed */
	uint8_t proto;
} protocols[] = {
    {"reserved", TDO_PROTO_ANY},
    {"any", TDO_PROTO_ANY},
    {"icmp", 1},
    {"igmp", 2},
    {"ipv4", 4},
    {"ip4", 4},
    {"ipencap", 4},
    {"tcp", 6},
    {"udp", 17},
    {"dccp", 33},
    {"ipv6", 41},
    {"ip6", 41},
    {"gre", 47},
    {"esp", 50},
    {"ah", 51},
    {"ipv6-icmp", 58},
    {"icmp6", 58},
    {"ospf", 89},
    {"ipcomp", 108},
    {"vrrp", 112},
    {"l2tp", 115},
    {"sctp", 132},
    {"mobility-header", 135},
    {"mh", 135},
    {"udplite", 136},
};

#define ENTRY_ROOM 4096 /* one line of a names file with its aliases */

static const char bad_address[] = "Invalid address specification";

static bool
wanted(const struct tdo_addr *a, unsigned flags)
{
	unsigned families = flags & (NAMES_INET | NAMES_INET6);
	unsigned bit = a->af == TDO_AF_INET ? NAMES_INET : NAMES_INET6;

	return families == 0 || (families & bit) != 0;
}

static bool
add(struct stmt_addrs *set, const struct tdo_addr *a)
{
	struct tdo_addr *v;

	for (size_t i = 0; i < set->n; i++)
		if (tdo_addr_equal(&set->v[i], a))
			return true;
	v = reallocarray(set->v, set->n + 1, sizeof(*v));
	if (!v)
		return false;
	set->v = v;
	set->v[set->n++] = *a;
	return true;
}

/* The databases have no interfaces: a scope is accepted and says nothing. */
static const char *
numeric_host(void *ctx, const char *name, unsigned flags, struct stmt_addrs *ret)
{
	const char *scope = strchr(name, '%');
	struct tdo_addr a;

	(void)ctx;
	if (tdo_addr_parse(name, scope ? (size_t)(scope - name) : strlen(name), &a) != 0 ||
	    (scope && (a.af != TDO_AF_INET6 || scope[1] == '\0')))
		return bad_address;
	if (!wanted(&a, flags))
		return "Invalid address family";
	return add(ret, &a) ? NULL : "out of memory";
}

static const char *
system_host(void *ctx, const char *name, unsigned flags, struct stmt_addrs *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_protocol = IPPROTO_UDP}, *list;
	unsigned families = flags & (NAMES_INET | NAMES_INET6);
	const char *text = numeric_host(ctx, name, flags, ret);
	int r;

	if (text != bad_address || (flags & NAMES_NUMERIC))
		return text;
	if (families == NAMES_INET)
		hints.ai_family = AF_INET;
	if (families == NAMES_INET6)
		hints.ai_family = AF_INET6;
	r = getaddrinfo(name, NULL, &hints, &list);
	if (r != 0)
		return gai_strerror(r);
	text = NULL;
	for (struct addrinfo *ai = list; ai && !text; ai = ai->ai_next) {
		struct tdo_addr a;

		if (ai->ai_family == AF_INET) {
			const struct sockaddr_in *sin = (const void *)ai->ai_addr;

			a = tdo_addr_make(TDO_AF_INET, (const uint8_t *)&sin->sin_addr);
		} else if (ai->ai_family == AF_INET6) {
			const struct sockaddr_in6 *sin6 = (const void *)ai->ai_addr;

			a = tdo_addr_make(TDO_AF_INET6, sin6->sin6_addr.s6_addr);
		} else {
			continue;
		}
		text = add(ret, &a) ? NULL : "out of memory";
	}
	freeaddrinfo(list);
	return text ? text : ret->n == 0 ? bad_address : NULL;
}

static uint16_t
numeric_service(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return 0;
}

static uint16_t
system_service(void *ctx, const char *name)
{
	struct servent entry, *s;
	char room[ENTRY_ROOM];

	(void)ctx;
	if (getservbyname_r(name, NULL, &entry, room, sizeof(room), &s) != 0)
		s = NULL;
	return s ? ntohs((uint16_t)s->s_port) : 0;
}

static int
numeric_proto(void *ctx, const char *name)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strcmp(protocols[i].name, name) == 0)
			return protocols[i].proto;
	return -1;
}

/* The table goes first: "any" and "icmp6" mean the same on every host. */
static int
system_proto(void *ctx, const char *name)
{
	int proto = numeric_proto(ctx, name);
	struct protoent entry, *p = NULL;
	char room[ENTRY_ROOM];

	if (proto < 0 && getprotobyname_r(name, &entry, room, sizeof(room), &p) != 0)
		p = NULL;
	return p && p->p_proto <= 255 ? p->p_proto : proto;
}

static const char *
numeric_proto_name(void *ctx, unsigned proto, char *buf, size_t len)
{
	(void)ctx;
	(void)buf;
	(void)len;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (protocols[i].proto == proto)
			return protocols[i].name;
	return NULL;
}

static const char *
system_proto_name(void *ctx, unsigned proto, char *buf, size_t len)
{
	const char *name = numeric_proto_name(ctx, proto, buf, len);
	struct protoent entry, *p = NULL;
	char room[ENTRY_ROOM];

	if (!name && getprotobynumber_r((int)proto, &entry, room, sizeof(room), &p) != 0)
		p = NULL;

	if (!p || strlen(p->p_name) >= len)
		return name;
	memcpy(buf, p->p_name, strlen(p->p_name) + 1);
	return buf;
}

const struct names tdo_names_system = {.host = system_host,
    .service = system_service,
    .proto = system_proto,
    .proto_name = system_proto_name};

const struct names tdo_names_numeric = {.host = numeric_host,
    .service = numeric_service,
    .proto = numeric_proto,
    .proto_name = numeric_proto_name};
