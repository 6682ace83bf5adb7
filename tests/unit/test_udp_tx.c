/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of ESP in UDP as super-packets: what is one, in what order all leaves, what is refused. */
#define _GNU_SOURCE /* sendmmsg(), in_pktinfo */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
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
#include "io/udp_tx.h"
#include "wire/ip.h"
#include "wire/udp.h"

#include "rng.h"

#define PORT    4500
#define FD      1001 /* no descriptors: sendmsg() is ours */
#define FD_DF   1002
#define FD_RAW  1003
#define MAX     512u
#define IP6_REF 6

/* ---- packets -------------------------------------------------------------------------- */

/* What a test varies. */
struct form {
	bool v6;
	uint32_t esp; /* bytes behind the UDP header */
	uint8_t tos, ttl;
	bool no_df;
	uint8_t src, dst; /* last byte */
	uint16_t sport, dport;
	uint32_t label;
};

/* The number of a packet stands in its first bytes of ESP. */
static struct tdo_pkt *
make(struct form f, uint32_t number)
{
	static const uint8_t net4[4] = {127, 0, 0, 1}, net6[16] = {[15] = 1};
	uint32_t l4 = f.v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN, len = l4 + TDO_UDP_HLEN + f.esp;
	struct tdo_pkt *p = calloc(1, sizeof(*p) + len);
	struct tdo_ip_hdr h = {.tos = f.tos,
	    .ttl = f.ttl ? f.ttl : 64,
	    .proto = TDO_IPPROTO_UDP,
	    .id = (uint16_t)(number * 7 + 1),
	    .df = !f.no_df,
	    .flow_label = f.label};
	uint8_t *d;

	h.src = tdo_addr_make(f.v6 ? TDO_AF_INET6 : TDO_AF_INET, f.v6 ? net6 : net4);
	h.dst = h.src;
	h.src.b[f.v6 ? 15 : 3] = f.src ? f.src : 1;
	h.dst.b[f.v6 ? 15 : 3] = f.dst ? f.dst : 1;
	p->buf = (uint8_t *)(p + 1);
	p->cap = p->len = len;
	p->flags = TDO_PKT_UDP_CSUM;
	d = tdo_pkt_data(p);
	tdo_ip_build(d, &h, TDO_UDP_HLEN + f.esp);
	tdo_put_be16(d + l4 + TDO_UDP_SPORT_OFF, f.sport ? f.sport : PORT);
	tdo_put_be16(d + l4 + TDO_UDP_DPORT_OFF, f.dport ? f.dport : PORT);
	tdo_put_be16(d + l4 + TDO_UDP_LEN_OFF, (uint16_t)(TDO_UDP_HLEN + f.esp));
	for (uint32_t i = 0; i < f.esp; i++)
		d[l4 + TDO_UDP_HLEN + i] = (uint8_t)(number + i);
	if (f.esp >= 4)
		tdo_put_be32(d + l4 + TDO_UDP_HLEN, number);
	assert_int_equal(tdo_ip_parse(d, len, &p->ip), TDO_REASON_NONE);
	return p;
}

/* ---- what the kernel got -------------------------------------------------------------- */

/* One packet of the log; row: which call brought it, 0 the raw way. */
struct seen {
	uint32_t number, size;
	unsigned row;
	int fd;
	bool df;
};

static struct {
	struct seen seen[MAX];
	unsigned n, rows, raw_calls;
	int error[4]; /* of the next sendmsg() calls; 0: it succeeds */
	unsigned nerror, calls;
	struct {
		uint32_t number;
		int err;
	} refused[MAX];
	unsigned nrefused;
	bool real; /* calls go to the kernel */
} world;

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);

static uint16_t
segment_size(const struct msghdr *m)
{
	struct msghdr copy = *m;
	uint16_t size = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
	return size;
}

static void
saw(unsigned row, int fd, const uint8_t *esp, uint32_t size)
{
	assert_true(world.n < MAX);
	world.seen[world.n++] =
	    (struct seen){.number = tdo_be32(esp), .size = size, .row = row, .fd = fd};
}

/* The rules of UDP_SEGMENT are held here against every call. */
ssize_t
__wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	uint32_t total = 0, size = segment_size(m);

	if (world.real)
		return __real_sendmsg(fd, m, flags);
	world.calls++;
	if (world.nerror > 0) {
		int err = world.error[0];

		memmove(world.error, world.error + 1, sizeof(world.error) - sizeof(int));
		world.nerror--;
		if (err != 0) {
			errno = err;
			return -1;
		}
	}
	assert_in_range(m->msg_iovlen, 2, 64);
	world.rows++;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		size_t len = m->msg_iov[i].iov_len;

		assert_true(i + 1 < m->msg_iovlen ? len == size : len <= size);
		total += (uint32_t)len;
		saw(world.rows, fd, m->msg_iov[i].iov_base, (uint32_t)len);
	}
	assert_in_range(total, 1, 65000);
	return (ssize_t)total;
}

int
__wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	(void)flags;
	world.raw_calls++;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *ip = m[i].msg_hdr.msg_iov->iov_base;
		uint32_t hlen = (ip[0] >> 4 == IP6_REF ? TDO_IP6_HLEN : (ip[0] & 15u) * 4) + 8;

		assert_int_equal(fd, FD_RAW);
		saw(0, fd, ip + hlen, (uint32_t)m[i].msg_hdr.msg_iov->iov_len - hlen);
	}
	return (int)n;
}

static void
note_refused(void *ctx, struct tdo_pkt *p, int err)
{
	uint32_t hlen = p->ip.l4_off + TDO_UDP_HLEN;

	assert_ptr_equal(ctx, &world);
	assert_true(world.nrefused < MAX);
	world.refused[world.nrefused].number = tdo_be32(tdo_pkt_data(p) + hlen);
	world.refused[world.nrefused++].err = err;
}

/* ---- a sender ------------------------------------------------------------------------- */

static struct {
	struct tdo_iostat row, raw;
	struct tdo_raw_tx *rtx;
	struct tdo_udp_tx *tx;
	struct tdo_pkt *pkt[MAX];
	unsigned n;
	tdo_ns now;
	_Atomic uint16_t port;
} s;

static void
start(uint8_t af)
{
	struct tdo_udp_tx_conf c = {.fd = FD,
	    .fd_df = FD_DF,
	    .port = &s.port,
	    .stat = &s.row,
	    .refused = note_refused,
	    .ctx = &world};

	memset(&world, 0, sizeof(world));
	memset(&s, 0, sizeof(s));
	s.now = 1000 * TDO_SEC;
	s.port = PORT;
	s.rtx = tdo_raw_tx_new(FD_RAW, af, &s.raw, note_refused, &world);
	assert_non_null(s.rtx);
	c.raw = s.rtx;
	s.tx = tdo_udp_tx_new(af, &c);
	assert_non_null(s.tx);
}

static void
stop(void)
{
	tdo_udp_tx_free(s.tx);
	tdo_raw_tx_free(s.rtx);
	for (unsigned i = 0; i < s.n; i++)
		free(s.pkt[i]);
}

/* The next packet; packets are numbered in the order of their coming. */
static struct tdo_pkt *
queue(struct form f)
{
	struct tdo_pkt *p = make(f, s.n);

	assert_true(s.n < MAX);
	s.pkt[s.n++] = p;
	tdo_udp_queue(s.tx, p, s.now);
	return p;
}

static void
flush(void)
{
	tdo_udp_flush(s.tx);
	tdo_raw_flush(s.rtx);
	assert_int_equal(tdo_udp_waiting(s.tx), 0);
}

/* All packets have come, in order, and these were the rows (0: raw). */
#define EXPECT(...) expect((const unsigned[]){__VA_ARGS__}, sizeof((unsigned[]){__VA_ARGS__}) / 4)

static void
expect(const unsigned *row, size_t n)
{
	assert_int_equal(world.n, n);
	assert_int_equal(s.n, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(world.seen[i].number, i);
		assert_int_equal(world.seen[i].row, row[i]);
		assert_int_equal(world.seen[i].size, s.pkt[i]->len - s.pkt[i]->ip.l4_off - 8);
	}
}

/* ---- rows ----------------------------------------------------------------------------- */

static void
equal_packets_are_one_call(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 10; i++)
		queue((struct form){.esp = 1400});
	assert_int_equal(tdo_udp_waiting(s.tx), 10);
	assert_int_equal(world.calls, 0);
	queue((struct form){.esp = 900});
	flush();
	EXPECT(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
	assert_int_equal(world.calls, 1);
	assert_int_equal(s.row.calls, 1);
	assert_int_equal(s.row.packets, 11);
	assert_int_equal(s.row.bytes, 10 * 1428 + 928);
	assert_int_equal(s.raw.packets, 0);
	stop();
}

static void
shorter_ends_and_longer_begins(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 1399});
	queue((struct form){.esp = 1399});
	queue((struct form){.esp = 1399});
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 100});
	queue((struct form){.esp = 100});
	flush();
	EXPECT(1, 1, 1, 2, 2, 3, 3, 0);
	stop();
}

static void
limits_of_a_row(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 130; i++)
		queue((struct form){.esp = 100});
	flush();
	assert_int_equal(world.rows, 3);
	assert_int_equal(world.seen[63].row, 1);
	assert_int_equal(world.seen[64].row, 2);
	assert_int_equal(world.seen[129].row, 3);
	stop();

	/* 65,000 bytes are 50 packets of 1300. */
	start(TDO_AF_INET6);
	for (unsigned i = 0; i < 52; i++)
		queue((struct form){.v6 = true, .esp = 1300});
	flush();
	assert_int_equal(world.rows, 2);
	assert_int_equal(world.seen[49].row, 1);
	assert_int_equal(world.seen[50].row, 2);
	stop();

	start(TDO_AF_INET);
	queue((struct form){.esp = 65000});
	queue((struct form){.esp = 4});
	queue((struct form){.esp = 32500});
	queue((struct form){.esp = 32500});
	queue((struct form){.esp = 65001});
	flush();
	assert_int_equal(world.n, 5);
	assert_int_equal(world.seen[0].row, 0);
	assert_int_equal(world.seen[1].row, 0);
	assert_int_equal(world.seen[2].row, 1);
	assert_int_equal(world.seen[3].row, 1);
	assert_int_equal(world.seen[4].row, 0);
	stop();
}

/* Two packets, another pair, and one more of the first kind: three groups. */
static void
differ(struct form a, struct form b)
{
	start(a.v6 ? TDO_AF_INET6 : TDO_AF_INET);
	queue(a);
	queue(a);
	queue(b);
	queue(b);
	queue(a);
	flush();
	EXPECT(1, 1, 2, 2, 0);
	stop();
}

static void
other_headers_end_a_row(void **state)
{
	const struct form a = {.esp = 200}, a6 = {.v6 = true, .esp = 200};

	(void)state;
	differ(a, (struct form){.esp = 200, .tos = 1}); /* ECN belongs to it */
	differ(a, (struct form){.esp = 200, .ttl = 63});
	differ(a, (struct form){.esp = 200, .no_df = true});
	differ(a, (struct form){.esp = 200, .src = 2});
	differ(a, (struct form){.esp = 200, .dst = 2});
	differ(a, (struct form){.esp = 200, .dport = 4501});
	differ(a6, (struct form){.v6 = true, .esp = 200, .tos = 1});
	differ(a6, (struct form){.v6 = true, .esp = 200, .ttl = 63});
	differ(a6, (struct form){.v6 = true, .esp = 200, .src = 2});
	differ(a6, (struct form){.v6 = true, .esp = 200, .dst = 2});
	differ(a6, (struct form){.v6 = true, .esp = 200, .dport = 4501});
	differ(a6, (struct form){.v6 = true, .esp = 200, .label = 77});
}

static void
df_chooses_the_socket(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 4; i++)
		queue((struct form){.esp = 200, .no_df = i > 1});
	flush();
	EXPECT(1, 1, 2, 2);
	assert_int_equal(world.seen[0].fd, FD_DF);
	assert_int_equal(world.seen[2].fd, FD);
	stop();
	start(TDO_AF_INET6);
	queue((struct form){.v6 = true, .esp = 200});
	queue((struct form){.v6 = true, .esp = 200});
	flush();
	EXPECT(1, 1);
	assert_int_equal(world.seen[0].fd, FD);
	stop();
}

static void
mixed_flows_stay_in_order(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 6; i++)
		queue((struct form){.esp = 1400, .dst = (uint8_t)(2 + i % 2)});
	queue((struct form){.esp = 1400, .dst = 3});
	flush();
	EXPECT(0, 0, 0, 0, 0, 1, 1);
	stop();
}

/* What the kernel would not make as it is in the packet; the same twice. */
static void
goes_raw(struct form f, void (*change)(uint8_t *ip))
{
	start(f.v6 ? TDO_AF_INET6 : TDO_AF_INET);
	queue((struct form){.v6 = f.v6, .esp = 200});
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_pkt *p = make(f, s.n);

		if (change)
			change(tdo_pkt_data(p));
		s.pkt[s.n++] = p;
		tdo_udp_queue(s.tx, p, s.now);
	}
	flush();
	EXPECT(0, 0, 0);
	stop();
}

static void
is_a_fragment(uint8_t *ip)
{
	tdo_put_be16(ip + 6, 0x2000);
}

static void
is_ah(uint8_t *ip)
{
	ip[9] = TDO_IPPROTO_AH;
}

static void
has_extension(uint8_t *ip)
{
	ip[6] = TDO_IPPROTO_HOPOPTS;
}

static void
is_at_its_end4(uint8_t *ip)
{
	ip[8] = 0;
}

static void
is_at_its_end6(uint8_t *ip)
{
	ip[7] = 0;
}

static void
what_the_kernel_would_not_make_goes_raw(void **state)
{
	const struct form f = {.esp = 200}, f6 = {.v6 = true, .esp = 200};

	(void)state;
	goes_raw((struct form){.esp = 200, .sport = 4501}, NULL);
	goes_raw((struct form){.v6 = true, .esp = 200, .sport = 4501}, NULL);
	goes_raw(f, is_a_fragment);
	goes_raw(f, is_ah);
	goes_raw(f, is_at_its_end4);
	goes_raw(f6, has_extension);
	goes_raw(f6, is_at_its_end6);
}

/* IPv4 options: the header is longer, so the UDP header is elsewhere. */
static void
options_go_raw(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_pkt *p = make((struct form){.esp = 204}, s.n);
		uint8_t *ip = tdo_pkt_data(p);

		memmove(ip + 24, ip + 20, p->len - 24);
		memset(ip + 20, 1, 4); /* no-operation, four times */
		ip[0] = 0x46;
		tdo_put_be16(ip + 24 + TDO_UDP_LEN_OFF, 208);
		assert_int_equal(tdo_ip_parse(ip, p->len, &p->ip), TDO_REASON_NONE);
		s.pkt[s.n++] = p;
		tdo_udp_queue(s.tx, p, s.now);
	}
	flush();
	EXPECT(0, 0);
	stop();
}

static void
both_ways_leave_in_order(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	queue((struct form){.esp = 60});
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 1400, .sport = 4501});
	queue((struct form){.esp = 60});
	queue((struct form){.esp = 1400});
	queue((struct form){.esp = 1300});
	queue((struct form){.esp = 60, .sport = 4501});
	flush();
	EXPECT(0, 1, 1, 0, 0, 2, 2, 0);
	assert_int_equal(world.raw_calls, 3);
	stop();
}

/* ---- checksums ------------------------------------------------------------------------ */

static bool
udp_csum_ok(const struct tdo_pkt *p)
{
	uint32_t len = p->len - p->ip.l4_off;
	uint32_t sum = tdo_csum_pseudo(&p->ip.flow.src, &p->ip.flow.dst, TDO_IPPROTO_UDP, len);

	return tdo_csum_fold(tdo_csum_add(sum, tdo_pkt_data(p) + p->ip.l4_off, len)) == 0;
}

static uint16_t
csum_of(const struct tdo_pkt *p)
{
	return tdo_be16(tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_CSUM_OFF);
}

static void
the_raw_way_completes_checksums(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	start(TDO_AF_INET6);
	p = queue((struct form){.v6 = true, .esp = 201});
	flush();
	EXPECT(0);
	assert_true(udp_csum_ok(p));
	assert_int_not_equal(csum_of(p), 0);
	assert_false(p->flags & TDO_PKT_UDP_CSUM);
	stop();
	/* RFC 3948 2.1: none with IPv4. */
	start(TDO_AF_INET);
	p = queue((struct form){.esp = 201});
	flush();
	EXPECT(0);
	assert_int_equal(csum_of(p), 0);
	stop();
	/* In a row it is the kernel's, unless the kernel does not take the row. */
	start(TDO_AF_INET6);
	p = queue((struct form){.v6 = true, .esp = 201});
	queue((struct form){.v6 = true, .esp = 201});
	flush();
	assert_int_equal(csum_of(p), 0);
	world.error[0] = EIO;
	world.nerror = 1;
	p = queue((struct form){.v6 = true, .esp = 201});
	queue((struct form){.v6 = true, .esp = 201});
	flush();
	EXPECT(1, 1, 0, 0);
	assert_true(udp_csum_ok(p));
	stop();
}

/* RFC 768: a sum of zero is sent as 0xffff. */
static void
a_checksum_is_never_zero(void **state)
{
	struct tdo_pkt *p;
	uint8_t *esp;

	(void)state;
	p = make((struct form){.v6 = true, .esp = 64}, 5);
	esp = tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_HLEN;
	tdo_udp_set_csum(p);
	/* What the sum lacks is put into the payload. */
	tdo_put_be16(esp + 8, 0);
	tdo_put_be16(tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_CSUM_OFF, 0);
	tdo_udp_set_csum(p);
	tdo_put_be16(esp + 8, csum_of(p));
	tdo_put_be16(tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_CSUM_OFF, 0);
	tdo_udp_complete(p);
	assert_int_equal(csum_of(p), 0xffff);
	assert_true(udp_csum_ok(p));
	free(p);
}

/* ---- refusals ------------------------------------------------------------------------- */

static void
fails(int err)
{
	world.error[world.nerror++] = err;
}

static void
row_of(unsigned n, struct form f)
{
	for (unsigned i = 0; i < n; i++)
		queue(f);
	flush();
}

static void
who_cannot_segment_gets_packets(void **state)
{
	static const int err[] = {EIO, EINVAL, EOPNOTSUPP, 524 /* ENOTSUPP */, EPERM};

	(void)state;
	for (unsigned i = 0; i < sizeof(err) / sizeof(err[0]); i++) {
		start(TDO_AF_INET);
		fails(err[i]);
		row_of(3, (struct form){.esp = 200});
		EXPECT(0, 0, 0);
		assert_int_equal(s.row.errors, 1);
		/* It is remembered for this destination ... */
		row_of(2, (struct form){.esp = 200});
		assert_int_equal(world.calls, 1);
		row_of(2, (struct form){.esp = 200, .dst = 9});
		EXPECT(0, 0, 0, 0, 0, 1, 1);
		/* ... for some time. */
		s.now += TDO_UDP_RAW_FOR - 1;
		row_of(2, (struct form){.esp = 200});
		assert_int_equal(world.calls, 2);
		s.now += 1;
		row_of(2, (struct form){.esp = 200});
		EXPECT(0, 0, 0, 0, 0, 1, 1, 0, 0, 2, 2);
		assert_int_equal(world.nrefused, 0);
		stop();
	}
}

static void
many_who_cannot_segment_are_remembered(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	for (unsigned i = 0; i < 16; i++) {
		fails(EIO);
		row_of(2, (struct form){.esp = 200, .dst = (uint8_t)(10 + i)});
	}
	for (unsigned i = 0; i < 16; i++)
		row_of(2, (struct form){.esp = 200, .dst = (uint8_t)(10 + i)});
	assert_int_equal(world.calls, 16);
	/* One more displaces the oldest, and only that one. */
	fails(EIO);
	row_of(2, (struct form){.esp = 200, .dst = 99});
	row_of(2, (struct form){.esp = 200, .dst = 11});
	assert_int_equal(world.calls, 17);
	row_of(2, (struct form){.esp = 200, .dst = 10});
	assert_int_equal(world.calls, 18);
	assert_int_equal(world.rows, 1);
	stop();
}

/* The raw way finds out for which packets the path is too small, and what then. */
static void
too_big_rows_take_the_raw_way(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	fails(EMSGSIZE);
	row_of(3, (struct form){.esp = 1460});
	row_of(2, (struct form){.esp = 1400});
	EXPECT(0, 0, 0, 1, 1);
	stop();
}

static void
full_buffers_are_waited_for_once(void **state)
{
	(void)state;
	start(TDO_AF_INET);
	fails(EAGAIN);
	row_of(2, (struct form){.esp = 200});
	EXPECT(1, 1);
	assert_int_equal(world.calls, 2);
	fails(EAGAIN);
	fails(EINTR);
	fails(EAGAIN);
	row_of(2, (struct form){.esp = 200});
	assert_int_equal(world.calls, 5);
	assert_int_equal(world.n, 2);
	assert_int_equal(world.nrefused, 2);
	assert_int_equal(world.refused[0].number, 2);
	assert_int_equal(world.refused[1].number, 3);
	assert_int_equal(world.refused[0].err, EAGAIN);
	/* That says nothing about segments. */
	row_of(2, (struct form){.esp = 200});
	assert_int_equal(world.rows, 2);
	stop();
}

static void
unreachable_is_final(void **state)
{
	static const int err[] = {ENETUNREACH, EHOSTUNREACH, ENETDOWN, ENOBUFS, ENOMEM};

	(void)state;
	for (unsigned i = 0; i < sizeof(err) / sizeof(err[0]); i++) {
		start(TDO_AF_INET6);
		fails(err[i]);
		row_of(2, (struct form){.v6 = true, .esp = 200});
		assert_int_equal(world.n, 0);
		assert_int_equal(world.nrefused, 2);
		assert_int_equal(world.refused[1].err, err[i]);
		assert_int_equal(s.row.errors, 1);
		stop();
	}
}

static void
a_missing_socket_is_no_loss(void **state)
{
	struct tdo_udp_tx_conf c = {.fd = -1,
	    .fd_df = FD_DF,
	    .port = &s.port,
	    .stat = &s.row,
	    .refused = note_refused,
	    .ctx = &world};

	(void)state;
	start(TDO_AF_INET);
	tdo_udp_tx_free(s.tx);
	c.raw = s.rtx;
	s.tx = tdo_udp_tx_new(TDO_AF_INET, &c);
	assert_non_null(s.tx);
	row_of(2, (struct form){.esp = 200, .no_df = true});
	EXPECT(0, 0);
	stop();
}

static void
the_port_may_be_taken_back(void **state)
{
	(void)state;
	start(TDO_AF_INET6);
	row_of(2, (struct form){.v6 = true, .esp = 200});
	queue((struct form){.v6 = true, .esp = 200});
	queue((struct form){.v6 = true, .esp = 200});
	s.port = 0;
	flush();
	row_of(2, (struct form){.v6 = true, .esp = 200});
	s.port = PORT + 1;
	row_of(2, (struct form){.v6 = true, .esp = 200});
	EXPECT(1, 1, 0, 0, 0, 0, 0, 0);
	row_of(2, (struct form){.v6 = true, .esp = 200, .sport = PORT + 1});
	EXPECT(1, 1, 0, 0, 0, 0, 0, 0, 2, 2);
	stop();
}

/* ---- at random ------------------------------------------------------------------------ */

/* Whatever comes: everything leaves, in its order, by calls that keep the rules. */
static void
anything_leaves_in_its_order(void **state)
{
	static const uint32_t len[] = {20, 60, 1300, 1400, 1400, 1400, 1400};
	struct rng r = {0x5eed};

	(void)state;
	for (unsigned k = 0; k < 200; k++) {
		bool v6 = rng_below(&r, 2) != 0;
		struct form f = {.v6 = v6, .esp = 1400};

		start(v6 ? TDO_AF_INET6 : TDO_AF_INET);
		for (unsigned i = 0; i < 400; i++) {
			if (rng_below(&r, 8) == 0)
				f.dst = (uint8_t)(1 + rng_below(&r, 3));
			f.tos = rng_below(&r, 40) == 0 ? 3 : 0;
			f.sport = rng_below(&r, 60) == 0 ? 4501 : PORT;
			f.esp = len[rng_below(&r, sizeof(len) / sizeof(len[0]))];
			if (world.nerror == 0 && rng_below(&r, 50) == 0)
				fails(rng_below(&r, 2) ? EMSGSIZE : EINTR);
			queue(f);
			if (rng_below(&r, 64) == 0)
				flush();
		}
		flush();
		assert_int_equal(world.n, 400);
		for (unsigned i = 0; i < 400; i++) {
			assert_int_equal(world.seen[i].number, i);
			if (i > 0 && world.seen[i].row != 0 &&
			    world.seen[i].row == world.seen[i - 1].row)
				assert_memory_equal(tdo_pkt_data(s.pkt[i]) + (v6 ? 24 : 12),
				    tdo_pkt_data(s.pkt[i - 1]) + (v6 ? 24 : 12), v6 ? 20 : 12);
		}
		assert_true(world.rows > 0);
		stop();
	}
}

/* ---- through the kernel --------------------------------------------------------------- */

/* What came out of the receiving socket. */
struct got {
	uint8_t data[2048];
	ssize_t len;
	int tos, ttl;
	uint32_t label;
	uint8_t src[16];
};

static void
on(int fd, int level, int option)
{
	const int one = 1;

	assert_int_equal(setsockopt(fd, level, option, &one, sizeof(one)), 0);
}

static int
bound(bool v6, uint16_t *ret_port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in b = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(v6 ? 0 : INADDR_ANY)};
	socklen_t len = v6 ? sizeof(a) : sizeof(b);
	struct sockaddr *sa = v6 ? (struct sockaddr *)&a : (struct sockaddr *)&b;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, sa, len) != 0 || getsockname(fd, sa, &len) != 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(v6 ? a.sin6_port : b.sin_port);
	return fd;
}

static void
read_ancillary(struct msghdr *m, struct got *g)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			g->tos = *CMSG_DATA(c);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
			memcpy(&g->ttl, CMSG_DATA(c), sizeof(int));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			memcpy(&g->tos, CMSG_DATA(c), sizeof(int));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(&g->ttl, CMSG_DATA(c), sizeof(int));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 11 /* FLOWINFO */)
			memcpy(&g->label, CMSG_DATA(c), sizeof(g->label));
	}
}

static struct got
receive(int fd, bool v6)
{
	_Alignas(struct cmsghdr) uint8_t ctrl[256];
	struct got g = {0};
	struct sockaddr_in6 from = {0};
	struct iovec iov = {g.data, sizeof(g.data)};
	struct msghdr m = {.msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = ctrl,
	    .msg_controllen = sizeof(ctrl)};

	g.len = recvmsg(fd, &m, MSG_DONTWAIT);
	if (v6)
		memcpy(g.src, &from.sin6_addr, 16);
	else
		memcpy(g.src, &((struct sockaddr_in *)&from)->sin_addr, 4);
	read_ancillary(&m, &g);
	return g;
}

/* Sends a row through the kernel: every datagram arrives whole, with the header's values. */
static void
through_the_kernel(bool v6)
{
	uint16_t port, own;
	int rx = bound(v6, &port), tx = bound(v6, &own);
	struct form f = {.v6 = v6, .esp = 1000, .tos = 0x28, .ttl = 33, .dport = port};
	struct tdo_udp_tx_conf c = {.fd = tx,
	    .fd_df = tx,
	    .port = &s.port,
	    .stat = &s.row,
	    .refused = note_refused,
	    .ctx = &world};

	if (rx < 0 || tx < 0)
		skip();
	on(rx, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS);
	on(rx, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL);
	if (v6) {
		on(rx, IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */);
		f.label = 0x12345;
	} else {
		f.src = 7;
		f.dst = 5;
	}
	start(v6 ? TDO_AF_INET6 : TDO_AF_INET);
	tdo_udp_tx_free(s.tx);
	c.raw = s.rtx;
	s.tx = tdo_udp_tx_new(v6 ? TDO_AF_INET6 : TDO_AF_INET, &c);
	assert_non_null(s.tx);
	world.real = true;
	for (unsigned i = 0; i < 20; i++) {
		f.esp = i == 19 ? 55 : 1000;
		queue(f);
	}
	flush();
	assert_int_equal(s.row.packets, 20);
	assert_int_equal(s.row.errors, 0);
	for (unsigned i = 0; i < 20; i++) {
		const struct tdo_pkt *p = s.pkt[i];
		struct got g = receive(rx, v6);

		assert_int_equal(g.len, i == 19 ? 55 : 1000);
		assert_memory_equal(
		    g.data, tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_HLEN, (size_t)g.len);
		assert_int_equal(g.tos, 0x28);
		assert_int_equal(g.ttl, 33);
		assert_memory_equal(g.src, p->ip.flow.src.b, v6 ? 16 : 4);
		if (v6)
			assert_int_equal(ntohl(g.label) & 0xfffff, 0x12345);
	}
	assert_true(receive(rx, v6).len < 0);
	stop();
	close(rx);
	close(tx);
}

static void
ipv4_through_the_kernel(void **state)
{
	(void)state;
	through_the_kernel(false);
}

static void
ipv6_through_the_kernel(void **state)
{
	(void)state;
	through_the_kernel(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_packets_are_one_call),
	    cmocka_unit_test(shorter_ends_and_longer_begins),
	    cmocka_unit_test(limits_of_a_row),
	    cmocka_unit_test(other_headers_end_a_row),
	    cmocka_unit_test(df_chooses_the_socket),
	    cmocka_unit_test(mixed_flows_stay_in_order),
	    cmocka_unit_test(what_the_kernel_would_not_make_goes_raw),
	    cmocka_unit_test(options_go_raw),
	    cmocka_unit_test(both_ways_leave_in_order),
	    cmocka_unit_test(the_raw_way_completes_checksums),
	    cmocka_unit_test(a_checksum_is_never_zero),
	    cmocka_unit_test(who_cannot_segment_gets_packets),
	    cmocka_unit_test(many_who_cannot_segment_are_remembered),
	    cmocka_unit_test(too_big_rows_take_the_raw_way),
	    cmocka_unit_test(full_buffers_are_waited_for_once),
	    cmocka_unit_test(unreachable_is_final),
	    cmocka_unit_test(a_missing_socket_is_no_loss),
	    cmocka_unit_test(the_port_may_be_taken_back),
	    cmocka_unit_test(anything_leaves_in_its_order),
	    cmocka_unit_test(ipv4_through_the_kernel),
	    cmocka_unit_test(ipv6_through_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
