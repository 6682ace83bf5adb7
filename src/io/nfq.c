/* SPDX-License-Identifier: BSD-2-Clause */
/* nfnetlink_queue messages (linux/netfilter/nfnetlink_queue.h). */
#include "io/nfq.h"

#include "base/rd.h"

enum {
	NLMSG_HLEN = 16,
	NFGENMSG_LEN = 4,
	NFNL_QUEUE_PACKET = 3 << 8 | 0, /* NFNL_SUBSYS_QUEUE, NFQNL_MSG_PACKET */
	ATTR_PACKET_HDR = 1,            /* id, protocol, hook */
	ATTR_PAYLOAD = 10,
	ATTR_TYPE_MASK = 0x3fff,
	HOOK_FORWARD = 2, /* NF_INET_FORWARD */
};

/* The attributes of a packet message; a bad cursor when it is something else. */
static struct tdo_rd
attributes(const void *msg, size_t len)
{
	struct tdo_rd r = tdo_rd_init(msg, len), body;
	uint32_t nlen = tdo_rd_h32(&r);
	uint16_t type = tdo_rd_h16(&r);

	(void)tdo_rd_bytes(&r, NLMSG_HLEN - 6);
	if (!tdo_rd_ok(&r) || nlen < NLMSG_HLEN + NFGENMSG_LEN || type != NFNL_QUEUE_PACKET)
		return (struct tdo_rd){.bad = true};
	body = tdo_rd_sub(&r, nlen - NLMSG_HLEN);
	(void)tdo_rd_bytes(&body, NFGENMSG_LEN);
	return body;
}

/* The next attribute: its type and a cursor over its value; false at the end. */
static bool
next_attr(struct tdo_rd *r, uint16_t *ret_type, struct tdo_rd *ret_value)
{
	uint16_t len;

	if (!tdo_rd_ok(r) || r->left < 4)
		return false;
	len = tdo_rd_h16(r);
	*ret_type = (uint16_t)(tdo_rd_h16(r) & ATTR_TYPE_MASK);
	if (len < 4 || len - 4u > r->left) {
		r->bad = true;
		return false;
	}
	*ret_value = tdo_rd_sub(r, len - 4u);
	/* Padding to four bytes; the last attribute may lack it. */
	(void)tdo_rd_bytes(r, r->left < (-len & 3u) ? r->left : (-len & 3u));
	return true;
}

static bool
parse(const void *msg, size_t len, struct tdo_nfq_packet *ret, bool id_only)
{
	struct tdo_rd r = attributes(msg, len), v;
	struct tdo_nfq_packet q = {0};
	bool has_hdr = false;
	uint16_t type;

	while (next_attr(&r, &type, &v)) {
		if (type == ATTR_PACKET_HDR) {
			q.id = tdo_rd_h32(&v);
			(void)tdo_rd_be16(&v);
			q.forwarded = tdo_rd_u8(&v) == HOOK_FORWARD;
			has_hdr = tdo_rd_ok(&v);
		} else if (type == ATTR_PAYLOAD) {
			q.p = v.p;
			q.len = (uint32_t)v.left;
		}
		if (id_only && has_hdr)
			break;
	}
	if (!has_hdr || (!id_only && (!tdo_rd_ok(&r) || q.p == NULL)))
		return false;
	*ret = q;
	return true;
}

bool
tdo_nfq_parse(const void *msg, size_t len, struct tdo_nfq_packet *ret)
{
	return parse(msg, len, ret, false);
}

bool
tdo_nfq_id(const void *msg, size_t len, uint32_t *ret_id)
{
	struct tdo_nfq_packet q;

	if (!parse(msg, len, &q, true))
		return false;
	*ret_id = q.id;
	return true;
}
