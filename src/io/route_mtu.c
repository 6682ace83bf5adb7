/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/route_mtu.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"

#define ANSWER_LEN 8192 /* a link with all its attributes */

/* ---- attributes --------------------------------------------------------------------- */

struct cursor {
	const uint8_t *p;
	size_t left;
};

/* The next attribute; false at the end, or when a length lies. */
static bool
next(struct cursor *c, uint16_t *ret_type, const uint8_t **ret, size_t *ret_len)
{
	struct nlattr a;
	size_t step;

	if (c->left < sizeof(a))
		return false;
	memcpy(&a, c->p, sizeof(a));
	if (a.nla_len < sizeof(a) || a.nla_len > c->left)
		return false;
	*ret_type = a.nla_type & NLA_TYPE_MASK;
	*ret = c->p + sizeof(a);
	*ret_len = a.nla_len - sizeof(a);
	step = NLA_ALIGN((size_t)a.nla_len);
	step = step < c->left ? step : c->left;
	c->p += step;
	c->left -= step;
	return true;
}

static uint32_t
word(const uint8_t *p, size_t len, size_t off)
{
	uint32_t v = 0;

	if (len >= sizeof(v) && off <= len - sizeof(v))
		memcpy(&v, p + off, sizeof(v));
	return v;
}

/* What is inside the attribute of this type, which is nested in p. */
static bool
find(const uint8_t *p, size_t len, uint16_t want, struct cursor *ret)
{
	struct cursor c = {p, len};
	const uint8_t *a;
	uint16_t type;
	size_t n;

	while (next(&c, &type, &a, &n))
		if (type == want) {
			*ret = (struct cursor){a, n};
			return true;
		}
	return false;
}

/* The attributes of a message of this type, behind its header of head bytes. */
static bool
body(const void *msg, size_t len, uint16_t type, size_t head, struct cursor *ret)
{
	struct nlmsghdr h;

	if (len < sizeof(h))
		return false;
	memcpy(&h, msg, sizeof(h));
	if (h.nlmsg_type != type || h.nlmsg_len > len ||
	    h.nlmsg_len < NLMSG_HDRLEN + NLMSG_ALIGN(head))
		return false;
	ret->p = (const uint8_t *)msg + NLMSG_HDRLEN + NLMSG_ALIGN(head);
	ret->left = h.nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(head);
	return true;
}

/* ---- answers ------------------------------------------------------------------------ */

bool
tdo_route_read(const void *msg, size_t len, struct tdo_route_answer *ret)
{
	struct cursor c, in;

	*ret = (struct tdo_route_answer){0};
	if (!body(msg, len, RTM_NEWROUTE, sizeof(struct rtmsg), &c))
		return false;
	if (find(c.p, c.left, RTA_METRICS, &in) && find(in.p, in.left, RTAX_MTU, &in))
		ret->mtu = word(in.p, in.left, 0);
	if (find(c.p, c.left, RTA_OIF, &in))
		ret->ifindex = word(in.p, in.left, 0);
	else if (find(c.p, c.left, RTA_MULTIPATH, &in)) /* the first: their devices are alike */
		ret->ifindex = word(in.p, in.left, offsetof(struct rtnexthop, rtnh_ifindex));
	return ret->ifindex != 0;
}

/* IPv6 may have an MTU of its own on a device: from router advertisements. */
static uint32_t
link_mtu6(const struct cursor *c)
{
	struct cursor in;

	if (!find(c->p, c->left, IFLA_AF_SPEC, &in) || !find(in.p, in.left, AF_INET6, &in) ||
	    !find(in.p, in.left, IFLA_INET6_CONF, &in))
		return 0;
	return word(in.p, in.left, DEVCONF_MTU6 * sizeof(uint32_t));
}

uint32_t
tdo_link_read(const void *msg, size_t len, uint8_t af)
{
	struct cursor c, in;
	uint32_t mtu, mtu6;

	if (!body(msg, len, RTM_NEWLINK, sizeof(struct ifinfomsg), &c) ||
	    !find(c.p, c.left, IFLA_MTU, &in))
		return 0;
	mtu = word(in.p, in.left, 0);
	mtu6 = af == TDO_AF_INET6 ? link_mtu6(&c) : 0;
	return mtu6 != 0 && mtu6 < mtu ? mtu6 : mtu;
}

/* ---- questions ---------------------------------------------------------------------- */

struct route_question {
	struct nlmsghdr h;
	struct rtmsg r;
	uint8_t attrs[64];
};

struct link_question {
	struct nlmsghdr h;
	struct ifinfomsg i;
};

static void
add(struct route_question *q, uint16_t type, const void *p, uint16_t len)
{
	struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type};
	uint8_t *at = (uint8_t *)q + NLMSG_ALIGN(q->h.nlmsg_len);

	memcpy(at, &a, sizeof(a));
	memcpy(at + sizeof(a), p, len);
	q->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->h.nlmsg_len) + NLA_ALIGN((size_t)a.nla_len));
}

/* Bytes of the answer, 0: none.  The kernel answers before send() returns. */
static size_t
ask(int fd, const struct nlmsghdr *h, void *answer)
{
	ssize_t n;

	/* What an earlier question may have left. */
	while (recv(fd, answer, ANSWER_LEN, MSG_DONTWAIT) > 0)
		;
	if (send(fd, h, h->nlmsg_len, MSG_DONTWAIT) < 0)
		return 0;
	n = recv(fd, answer, ANSWER_LEN, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

static bool
ask_route(
    int fd, const struct tdo_addr *dst, uint32_t mark, void *buf, struct tdo_route_answer *ret)
{
	struct route_question q = {
	    .h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.r)),
		.nlmsg_type = RTM_GETROUTE,
		.nlmsg_flags = NLM_F_REQUEST},
	    .r = {.rtm_family = dst->af == TDO_AF_INET6 ? AF_INET6 : AF_INET,
		.rtm_dst_len = (uint8_t)tdo_af_bits(dst->af),
		.rtm_flags = RTM_F_FIB_MATCH},
	};

	add(&q, RTA_DST, dst->b, (uint16_t)tdo_af_len(dst->af));
	add(&q, RTA_MARK, &mark, sizeof(mark));
	return tdo_route_read(buf, ask(fd, &q.h, buf), ret);
}

uint32_t
tdo_route_mtu(int fd, const struct tdo_addr *dst, uint32_t mark)
{
	_Alignas(struct nlmsghdr) uint8_t buf[ANSWER_LEN];
	struct link_question q = {
	    .h = {.nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST}};
	struct tdo_route_answer r;
	uint32_t mtu;

	if (fd < 0 || !ask_route(fd, dst, mark, buf, &r))
		return 0;
	q.i.ifi_index = (int)r.ifindex;
	mtu = tdo_link_read(buf, ask(fd, &q.h, buf), dst->af);
	return r.mtu != 0 && (mtu == 0 || r.mtu < mtu) ? r.mtu : mtu;
}
