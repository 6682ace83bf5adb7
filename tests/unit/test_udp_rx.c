/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESP in UDP received: super-packets through real sockets of the loopback interface, and messages
 * whose lengths lie.
 */
#define _GNU_SOURCE /* recvmmsg() */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "io/udp_rx.h"
#include "wire/ip.h"
#include "wire/udp.h"

#include "rng.h"

enum { SEGMENT = 103, GRO = 104, ORIGDST6 = 74, MAX = 65507 };

static struct tdo_iostat stat;
static struct rng rng = {0x5eed};

/* ---- sockets -------------------------------------------------------------------------- */

struct pair {
	uint8_t af;
	int in, out;
	uint16_t in_port, out_port;
	struct tdo_udp_rx *rx;
};

static void
on(int fd, int level, int option, int value)
{
	assert_int_equal(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

static uint16_t
bind_to_loopback(int fd, uint8_t af)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	socklen_t len = af == TDO_AF_INET ? sizeof(a4) : sizeof(a6);
	struct sockaddr *a = af == TDO_AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;

	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, a, len), 0);
	assert_int_equal(getsockname(fd, a, &len), 0);
	return ntohs(af == TDO_AF_INET ? a4.sin_port : a6.sin6_port);
}

static void
open_pair(struct pair *p, uint8_t af)
{
	int domain = af == TDO_AF_INET ? AF_INET : AF_INET6;

	memset(&stat, 0, sizeof(stat));
	*p = (struct pair){.af = af, .in = socket(domain, SOCK_DGRAM, 0)};
	p->out = socket(domain, SOCK_DGRAM, 0);
	assert_true(p->in >= 0 && p->out >= 0);
	on(p->in, IPPROTO_UDP, GRO, 1);
	if (af == TDO_AF_INET) {
		on(p->in, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
		on(p->in, IPPROTO_IP, IP_RECVTOS, 1);
		on(p->in, IPPROTO_IP, IP_RECVTTL, 1);
		on(p->out, IPPROTO_IP, IP_TOS, 0x2e);
		on(p->out, IPPROTO_IP, IP_TTL, 33);
	} else {
		on(p->in, IPPROTO_IPV6, ORIGDST6, 1);
		on(p->in, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		on(p->in, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		on(p->out, IPPROTO_IPV6, IPV6_TCLASS, 0x2e);
		on(p->out, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
	}
	p->in_port = bind_to_loopback(p->in, af);
	p->out_port = bind_to_loopback(p->out, af);
	p->rx = tdo_udp_rx_new(af, &stat);
	assert_non_null(p->rx);
}

static void
close_pair(struct pair *p)
{
	tdo_udp_rx_free(p->rx);
	close(p->in);
	close(p->out);
}

static uint8_t
byte_at(uint32_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

/* Payload of len bytes in segments of seg (0: one datagram); numbers the segments from first. */
static void
send_row(struct pair *p, uint32_t first, uint32_t len, uint16_t seg)
{
	static uint8_t buf[65536];
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
	    .sin6_port = htons(p->in_port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(p->in_port)};
	_Alignas(struct cmsghdr) uint8_t ctrl[CMSG_SPACE(sizeof(seg))];
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	m.msg_name = p->af == TDO_AF_INET ? (void *)&a4 : (void *)&a6;
	m.msg_namelen = p->af == TDO_AF_INET ? sizeof(a4) : sizeof(a6);
	for (uint32_t i = 0; i < len; i++)
		buf[i] = byte_at(first + (seg ? i / seg : 0), seg ? i % seg : i);
	if (seg != 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)ctrl;

		m.msg_control = ctrl;
		m.msg_controllen = sizeof(ctrl);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(seg));
		memcpy(CMSG_DATA(c), &seg, sizeof(seg));
	}
	assert_int_equal(sendmsg(p->out, &m, 0), len);
}

/* The packet is segment number, of len bytes. */
static void
check_packet(const struct pair *p, const struct tdo_pkt *k, uint32_t number, uint32_t len)
{
	const uint8_t *d = tdo_pkt_data(k), *udp;
	struct tdo_ip_info ip;

	assert_true(k->off >= TDO_HEADROOM);
	assert_true(k->cap - k->off - k->len >= TDO_TAILROOM);
	assert_int_equal(k->flags, TDO_PKT_UDP_ENCAP);
	assert_int_equal(tdo_ip_parse(d, k->len, &ip), TDO_REASON_NONE);
	assert_int_equal(ip.total_len, k->len);
	assert_int_equal(ip.flow.proto, TDO_IPPROTO_UDP);
	assert_int_equal(ip.flow.sport, p->out_port);
	assert_int_equal(ip.flow.dport, p->in_port);
	assert_true(tdo_addr_equal(&ip.flow.src, &ip.flow.dst));
	assert_int_equal(d[p->af == TDO_AF_INET ? 12 : 23], p->af == TDO_AF_INET ? 127 : 1);
	assert_int_equal(ip.tos, 0x2e);
	assert_int_equal(ip.ttl, 33);
	assert_false(ip.frag);
	if (p->af == TDO_AF_INET)
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, TDO_IP4_HLEN)), 0);
	udp = d + ip.l4_off;
	assert_int_equal(tdo_be16(udp + TDO_UDP_LEN_OFF), TDO_UDP_HLEN + len);
	assert_int_equal(k->len, ip.l4_off + TDO_UDP_HLEN + len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(udp[TDO_UDP_HLEN + i], byte_at(number, i));
}

/* Takes everything that arrived; len(number) bytes each. */
static unsigned
take_all(struct pair *p, uint32_t (*len)(uint32_t number))
{
	struct tdo_pkt *pk[TDO_BURST_MAX];
	unsigned total = 0, n;
	bool more;

	do {
		tdo_udp_rx_recv(p->rx, p->in, &more);
		while ((n = tdo_udp_rx_burst(p->rx, pk)) > 0) {
			assert_true(n <= TDO_BURST_MAX);
			for (unsigned i = 0; i < n; i++, total++)
				check_packet(p, pk[i], total, len(total));
		}
		assert_false(tdo_udp_rx_left(p->rx));
	} while (more);
	return total;
}

static const uint8_t families[] = {TDO_AF_INET, TDO_AF_INET6};

static uint32_t
len_row(uint32_t number)
{
	return number % 40 == 39 ? 17 : 1400;
}

/* Several super-packets, whose last segment is short: more than a burst, all of them in order. */
static void
super_packets_are_cut(void **state)
{
	for (unsigned f = 0; f < 2; f++) {
		struct pair p;

		open_pair(&p, families[f]);
		for (unsigned i = 0; i < 3; i++)
			send_row(&p, i * 40, 39 * 1400 + 17, 1400);
		assert_int_equal(take_all(&p, len_row), 120);
		assert_int_equal(stat.packets, 120);
		assert_int_equal(stat.bytes, 3 * (39 * 1400 + 17));
		assert_int_equal(stat.errors, 0);
		close_pair(&p);
	}
}

static uint32_t
len_single(uint32_t number)
{
	static const uint32_t len[] = {1, 4, 12, 100, 1400, 2048, 9000, 0, 65507, 1, 65507, 65507};

	return len[number];
}

/* Whatever size a datagram has, and when large ones fill the memory of a burst. */
static void
single_packets_of_any_size(void **state)
{
	struct pair p;

	open_pair(&p, TDO_AF_INET);
	on(p.in, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	for (uint32_t i = 0; i < 12; i++)
		send_row(&p, i, len_single(i), 0);
	assert_int_equal(take_all(&p, len_single), 12);
	assert_int_equal(stat.errors, 0);
	close_pair(&p);
}

static uint32_t
len_tiny(uint32_t number)
{
	return 1;
}

/* As many segments as the kernel makes of one message, of one byte each. */
static void
many_small_segments(void **state)
{
	struct pair p;

	open_pair(&p, TDO_AF_INET6);
	for (uint32_t i = 0; i < 8; i++)
		send_row(&p, i * 64, 64, 1);
	assert_int_equal(take_all(&p, len_tiny), 512);
	close_pair(&p);
}

static void
nothing_there(void **state)
{
	struct tdo_pkt *pk[TDO_BURST_MAX];
	struct pair p;
	bool more;

	open_pair(&p, TDO_AF_INET);
	tdo_udp_rx_recv(p.rx, p.in, &more);
	assert_false(more);
	assert_int_equal(tdo_udp_rx_burst(p.rx, pk), 0);
	tdo_udp_rx_recv(p.rx, -1, &more);
	assert_int_equal(tdo_udp_rx_burst(p.rx, pk), 0);
	assert_int_equal(stat.errors, 1);
	close_pair(&p);
}

/* ---- lying messages ------------------------------------------------------------------- */

struct ancillary {
	struct msghdr m;
	struct sockaddr_in from;
	_Alignas(struct cmsghdr) uint8_t ctrl[256];
};

static void
add(struct ancillary *a, int level, int type, const void *data, size_t len)
{
	struct cmsghdr c = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	uint8_t *at = a->ctrl + a->m.msg_controllen;

	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), data, len);
	a->m.msg_controllen += CMSG_SPACE(len);
}

static void
begin(struct ancillary *a)
{
	memset(a, 0, sizeof(*a));
	a->from.sin_family = AF_INET;
	a->from.sin_addr.s_addr = htonl(0x0a000001);
	a->from.sin_port = htons(777);
	a->m.msg_name = &a->from;
	a->m.msg_namelen = sizeof(a->from);
	a->m.msg_control = a->ctrl;
}

static void
add_destination(struct ancillary *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4500)};

	to.sin_addr.s_addr = htonl(0x0a000002);
	add(a, IPPROTO_IP, IP_RECVORIGDSTADDR, &to, sizeof(to));
}

static void
segment_sizes_that_lie(void **state)
{
	static const int seg[] = {0, -1, INT32_MIN, 1000, 1001, 70000, INT32_MAX};
	static uint8_t data[1000];

	for (unsigned i = 0; i < sizeof(seg) / sizeof(seg[0]); i++) {
		struct tdo_udp_msg m;
		struct ancillary a;

		begin(&a);
		add_destination(&a);
		add(&a, IPPROTO_UDP, GRO, &seg[i], sizeof(seg[i]));
		assert_true(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, sizeof(data)));
		assert_int_equal(m.seg, 1000);
		assert_int_equal(m.sport, 777);
		assert_int_equal(m.dport, 4500);
	}
}

static void
messages_that_do_not_say_enough(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET6};
	struct tdo_udp_msg m;
	struct ancillary a;
	uint8_t data[64] = {0};

	begin(&a); /* no destination */
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	add(&a, IPPROTO_IP, IP_RECVORIGDSTADDR, &to, 8); /* a short one */
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	add(&a, IPPROTO_IP, IP_RECVORIGDSTADDR, &to, sizeof(to)); /* of another family */
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	add_destination(&a);
	assert_true(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET6, data, 64));
	a.m.msg_flags = MSG_TRUNC;
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	a.m.msg_flags = MSG_CTRUNC;
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	a.m.msg_flags = 0;
	a.m.msg_namelen = 4;
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	a.m.msg_namelen = sizeof(a.from);
	a.from.sin_family = AF_UNSPEC;
	assert_false(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
}

/* TOS comes as one byte, class and TTL as int; without any the header is plausible. */
static void
octets_and_ints(void **state)
{
	int ttl = 7, tos6 = 0x1ff;
	struct tdo_udp_msg m;
	struct ancillary a;
	uint8_t tos = 0xb9, data[64] = {0};

	begin(&a);
	add_destination(&a);
	assert_true(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	assert_true(m.h.ttl == 64 && m.h.tos == 0);
	add(&a, IPPROTO_IP, IP_TOS, &tos, 1);
	add(&a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	assert_true(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	assert_true(m.h.ttl == 7 && m.h.tos == 0xb9);
	add(&a, IPPROTO_IP, IP_TOS, &tos6, sizeof(tos6));
	add(&a, IPPROTO_IP, IP_TTL, &ttl, 0);
	assert_true(tdo_udp_msg_read(&m, &a.m, TDO_AF_INET, data, 64));
	assert_true(m.h.ttl == 7 && m.h.tos == 0xff);
}

/* Every byte of a message comes out once, or none of what is left. */
static void
cutting_loses_nothing(void **state)
{
	static uint8_t data[65536];
	struct tdo_pool pool;

	assert_int_equal(tdo_pool_init(&pool, 100000, 8), 0);
	for (unsigned round = 0; round < 2000; round++) {
		struct tdo_udp_msg m = {.data = data};
		uint32_t at = 0, taken = 0;

		m.h.src.af = m.h.dst.af = rng_below(&rng, 2) ? TDO_AF_INET : TDO_AF_INET6;
		m.len = 1 + rng_below(&rng, rng_below(&rng, 2) ? 3000 : sizeof(data));
		m.seg = rng_below(&rng, 4) ? 1 + rng_below(&rng, m.len) : m.len;
		data[0] = 42;
		while (at < m.len) {
			uint32_t before = at, hlen = tdo_ip_hlen(m.h.src.af) + TDO_UDP_HLEN;
			struct tdo_pkt *p = tdo_udp_msg_cut(&m, &at, &pool);

			if (p == NULL && at == before) {
				assert_true(pool.npkt > 0); /* it is full */
				tdo_pool_reset(&pool);
				continue;
			}
			if (p == NULL) {
				assert_true(m.seg + hlen > TDO_PKT_MAXLEN);
				break;
			}
			assert_int_equal(p->len, at - before + hlen);
			assert_ptr_equal(
			    memcmp(tdo_pkt_data(p) + hlen, data + before, at - before), NULL);
			taken += at - before;
		}
		assert_true(taken == m.len || m.seg > MAX - 40);
		tdo_pool_reset(&pool);
	}
	tdo_pool_fini(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(super_packets_are_cut),
	    cmocka_unit_test(single_packets_of_any_size),
	    cmocka_unit_test(many_small_segments),
	    cmocka_unit_test(nothing_there),
	    cmocka_unit_test(segment_sizes_that_lie),
	    cmocka_unit_test(messages_that_do_not_say_enough),
	    cmocka_unit_test(octets_and_ints),
	    cmocka_unit_test(cutting_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
