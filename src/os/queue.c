/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUE_LEN 4096

static struct nlmsghdr *
request(struct tdo_queue *q, void *buf, int type, uint16_t flags)
{
	struct nlmsghdr *m =
	    tdo_nl_request(&q->nl, buf, (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof(*g));

	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(q->queue);
	return m;
}

static int
bind_queue(struct tdo_queue *q)
{
	struct nfqnl_msg_config_cmd cmd = {.command = NFQNL_CFG_CMD_BIND};
	struct nfqnl_msg_config_params params = {
	    .copy_range = htonl(0xffff), .copy_mode = NFQNL_COPY_PACKET};
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *m = request(q, buf, NFQNL_MSG_CONFIG, 0);
	int r;

	mnl_attr_put(m, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	r = tdo_nl_talk(&q->nl, m);
	if (r < 0)
		return r;
	/* Without NFQA_CFG_F_FAIL_OPEN: what does not fit is dropped. */
	m = request(q, buf, NFQNL_MSG_CONFIG, 0);
	mnl_attr_put(m, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(m, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LEN));
	return tdo_nl_talk(&q->nl, m);
}

int
tdo_queue_open(struct tdo_queue *q, uint16_t queue)
{
	int r, one = 1, flags;

	memset(q, 0, sizeof(*q));
	r = tdo_nl_open(&q->nl, NETLINK_NETFILTER);
	if (r < 0)
		return r;
	q->queue = queue;
	(void)mnl_socket_setsockopt(q->nl.s, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	r = bind_queue(q);
	if (r == 0) {
		flags = fcntl(tdo_nl_fd(&q->nl), F_GETFL);
		if (flags < 0 || fcntl(tdo_nl_fd(&q->nl), F_SETFL, flags | O_NONBLOCK) < 0)
			r = -errno;
	}
	if (r < 0)
		tdo_nl_close(&q->nl);
	return r;
}

void
tdo_queue_close(struct tdo_queue *q)
{
	tdo_nl_close(&q->nl);
}

int
tdo_queue_read(struct tdo_queue *q, void *buf, uint32_t *ret_id)
{
	ssize_t n = recv(tdo_nl_fd(&q->nl), buf, TDO_QUEUE_MSG_MAX, MSG_TRUNC);
	const struct nlmsghdr *m = buf;
	struct nlattr *a;

	if (n < 0)
		return -errno;
	if (n > TDO_QUEUE_MSG_MAX || !mnl_nlmsg_ok(m, (int)n) ||
	    m->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return 0;
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		const struct nfqnl_msg_packet_hdr *h = mnl_attr_get_payload(a);

		if (mnl_attr_get_type(a) == NFQA_PACKET_HDR &&
		    mnl_attr_get_payload_len(a) >= sizeof(*h)) {
			*ret_id = h->packet_id;
			return (int)m->nlmsg_len;
		}
	}
	return 0;
}

int
tdo_queue_verdict(struct tdo_queue *q, uint32_t id, bool accept)
{
	struct nfqnl_msg_verdict_hdr v = {.verdict = htonl(accept ? NF_ACCEPT : NF_DROP), .id = id};
	_Alignas(struct nlmsghdr) char buf[128];
	struct nlmsghdr *m = request(q, buf, NFQNL_MSG_VERDICT, 0);

	mnl_attr_put(m, NFQA_VERDICT_HDR, sizeof(v), &v);
	return mnl_socket_sendto(q->nl.s, m, m->nlmsg_len) < 0 ? -errno : 0;
}
