/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/udp_rx.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MSG_CAP  65536u
#define MSGS_MIN 4u
#define AT_ONCE  (256u * 1024) /* bytes that one call should bring: they stay in the cache */
#define CTRL_LEN 192u
/* Of a burst of link size; and one packet of any size has room. */
#define BURST_MEM (TDO_POOL_COST(TDO_PKT_MAXLEN) + TDO_BURST_MAX * TDO_POOL_COST(2048))

struct tdo_udp_rx {
	uint8_t af;
	struct tdo_iostat *stat;
	uint8_t *mem;        /* of the messages */
	unsigned want;       /* messages that are asked for */
	unsigned n, next;    /* messages received, and the one that is being cut */
	uint32_t at;         /* ... at this byte */
	struct tdo_pool out; /* packets of a burst */
	struct tdo_udp_msg got[TDO_BURST_MAX];
	struct mmsghdr msg[TDO_BURST_MAX];
	struct iovec iov[TDO_BURST_MAX];
	struct sockaddr_in6 from[TDO_BURST_MAX];
	_Alignas(struct cmsghdr) uint8_t ctrl[TDO_BURST_MAX][CTRL_LEN];
};

static void
prepare(struct tdo_udp_rx *rx, unsigned i)
{
	rx->iov[i] = (struct iovec){rx->mem + (size_t)i * MSG_CAP, MSG_CAP};
	rx->msg[i].msg_hdr = (struct msghdr){.msg_name = &rx->from[i],
	    .msg_namelen = sizeof(rx->from[i]),
	    .msg_iov = &rx->iov[i],
	    .msg_iovlen = 1,
	    .msg_control = rx->ctrl[i],
	    .msg_controllen = CTRL_LEN};
}

struct tdo_udp_rx *
tdo_udp_rx_new(uint8_t af, struct tdo_iostat *stat)
{
	struct tdo_udp_rx *rx = calloc(1, sizeof(*rx));

	if (rx == NULL)
		return NULL;
	rx->af = af;
	rx->stat = stat;
	rx->want = TDO_BURST_MAX;
	/* Pages that nothing was received into are not there. */
	rx->mem = malloc((size_t)TDO_BURST_MAX * MSG_CAP);
	if (rx->mem == NULL || tdo_pool_init(&rx->out, BURST_MEM, TDO_BURST_MAX) != 0) {
		tdo_udp_rx_free(rx);
		return NULL;
	}
	for (unsigned i = 0; i < TDO_BURST_MAX; i++)
		prepare(rx, i);
	return rx;
}

void
tdo_udp_rx_free(struct tdo_udp_rx *rx)
{
	if (rx == NULL)
		return;
	tdo_pool_fini(&rx->out);
	free(rx->mem);
	free(rx);
}

/* So many messages of the present size as fill the cache. */
static unsigned
next_want(unsigned got, uint64_t bytes)
{
	uint64_t want = bytes > 0 ? (uint64_t)AT_ONCE * got / bytes : TDO_BURST_MAX;

	return want < MSGS_MIN ? MSGS_MIN : want > TDO_BURST_MAX ? TDO_BURST_MAX : (unsigned)want;
}

void
tdo_udp_rx_recv(struct tdo_udp_rx *rx, int fd, bool *ret_more)
{
	uint64_t bytes = 0, packets = 0;
	int got;

	rx->n = rx->next = 0;
	rx->at = 0;
	got = recvmmsg(fd, rx->msg, rx->want, MSG_DONTWAIT, NULL);
	*ret_more = got == (int)rx->want || (got < 0 && errno != EAGAIN);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		tdo_iostat_bump(&rx->stat->errors, 1);
	if (got <= 0)
		return;
	for (unsigned i = 0; i < (unsigned)got; i++) {
		struct tdo_udp_msg *m = &rx->got[rx->n];
		bool ok = tdo_udp_msg_read(
		    m, &rx->msg[i].msg_hdr, rx->af, rx->iov[i].iov_base, rx->msg[i].msg_len);

		prepare(rx, i);
		if (!ok) {
			tdo_iostat_bump(&rx->stat->errors, 1);
			continue;
		}
		bytes += m->len;
		packets += m->len > m->seg ? (m->len + m->seg - 1) / m->seg : 1;
		rx->n++;
	}
	rx->want = next_want((unsigned)got, bytes);
	tdo_iostat_add(rx->stat, packets, bytes);
}

bool
tdo_udp_rx_left(const struct tdo_udp_rx *rx)
{
	return rx->next < rx->n;
}

unsigned
tdo_udp_rx_burst(struct tdo_udp_rx *rx, struct tdo_pkt **pk)
{
	unsigned n = 0;

	tdo_pool_reset(&rx->out);
	while (n < TDO_BURST_MAX && rx->next < rx->n) {
		const struct tdo_udp_msg *m = &rx->got[rx->next];
		struct tdo_pkt *p = tdo_udp_msg_cut(m, &rx->at, &rx->out);

		if (p != NULL)
			pk[n++] = p;
		else if (rx->at >= m->len)
			tdo_iostat_bump(&rx->stat->errors, 1);
		else
			break; /* the rest has room in an empty pool */
		if (rx->at >= m->len) {
			rx->next++;
			rx->at = 0;
		}
	}
	return n;
}
