/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the TUN to the sockets with a peer that opens what was sent: super-packets leave in rows,
 * everything arrives once and in order, whatever the kernel refuses.
 */
#define _GNU_SOURCE /* sendmmsg() */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/be.h"
#include "outbound_case.h"
#include "pktgen.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define G    "192.0.2.1" /* our gateway and the peer's */
#define H    "192.0.2.2"
#define G6   "2001:db8::1"
#define H6   "2001:db8::2"
#define SIZE 1300u /* of a datagram in a super-packet */
#define MAX  4096u

/* ---- the kernel ----------------------------------------------------------------------- */

static struct {
	uint32_t number; /* of the next datagram that is made */

	uint32_t seen[MAX]; /* numbers of datagrams, as the peer got them */
	uint8_t net[MAX];   /* ... and to where: 10.2, 10.3 */
	unsigned nseen, rows, raw, fragments;
	uint32_t max_row; /* bytes */

	int row_error;                /* of each row */
	uint32_t raw_mtu;             /* longer raw packets are refused */
	uint8_t part[TDO_PKT_MAXLEN]; /* of a fragmented packet */
	uint32_t part_len;
} k;

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);

/* The peer opens a packet: its datagram has a number and a right checksum. */
static void
arrive(const uint8_t *bytes, uint32_t len)
{
	struct tdo_pkt *p = peer_opens(bytes, len);

	assert_true(pktgen_csums_ok(p));
	assert_true(k.nseen < MAX);
	k.net[k.nseen] = p->ip.flow.dst.b[1];
	k.seen[k.nseen++] = tdo_be32(tdo_pkt_data(p) + p->ip.l4_off + TDO_UDP_HLEN);
	fx_pkt_free(p);
}

/* A segment of a row gets the headers that the kernel and the fence make. */
static void
arrive_in_row(const struct msghdr *m, const struct iovec *iov)
{
	static uint8_t b[TDO_PKT_MAXLEN];
	bool v6 = ((struct sockaddr *)m->msg_name)->sa_family == AF_INET6;
	uint32_t len = (uint32_t)iov->iov_len, hlen = v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN;
	struct tdo_ip_hdr h = {.src = fx_addr(v6 ? G6 : G),
	    .dst = fx_addr(v6 ? H6 : H),
	    .ttl = 64,
	    .proto = TDO_IPPROTO_UDP};

	tdo_ip_build(b, &h, TDO_UDP_HLEN + len);
	tdo_put_be16(b + hlen + TDO_UDP_SPORT_OFF, PORT);
	tdo_put_be16(b + hlen + TDO_UDP_DPORT_OFF, PORT);
	tdo_put_be16(b + hlen + TDO_UDP_LEN_OFF, (uint16_t)(TDO_UDP_HLEN + len));
	tdo_put_be16(b + hlen + TDO_UDP_CSUM_OFF, 0);
	memcpy(b + hlen + TDO_UDP_HLEN, iov->iov_base, len);
	arrive(b, hlen + TDO_UDP_HLEN + len);
}

ssize_t
__wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	uint32_t bytes = 0;

	(void)flags;
	assert_true(fd == FD_UDP4 || fd == FD_UDP4_DF || fd == FD_UDP6);
	assert_in_range(m->msg_iovlen, 2, 64);
	if (k.row_error) {
		errno = k.row_error;
		return -1;
	}
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		bytes += (uint32_t)m->msg_iov[i].iov_len;
		arrive_in_row(m, &m->msg_iov[i]);
	}
	assert_in_range(bytes, 1, 65000);
	k.max_row = bytes > k.max_row ? bytes : k.max_row;
	k.rows++;
	return (ssize_t)bytes;
}

/* IPv4 fragments come in order. */
static void
arrive_in_parts(const uint8_t *ip, uint32_t len)
{
	uint16_t frag = tdo_be16(ip + 6);

	k.fragments++;
	assert_int_equal(k.part_len > 0 ? k.part_len - TDO_IP4_HLEN : 0, (frag & 0x1fff) * 8);
	if (k.part_len == 0) {
		memcpy(k.part, ip, TDO_IP4_HLEN);
		k.part_len = TDO_IP4_HLEN;
	}
	memcpy(k.part + k.part_len, ip + TDO_IP4_HLEN, len - TDO_IP4_HLEN);
	k.part_len += len - TDO_IP4_HLEN;
	if (frag & 0x2000)
		return;
	tdo_put_be16(k.part + 6, 0);
	tdo_ip_set_len(k.part, k.part_len);
	arrive(k.part, k.part_len);
	k.part_len = 0;
}

int
__wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	(void)flags;
	assert_true(fd == FD_RAW4 || fd == FD_RAW6);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *ip = m[i].msg_hdr.msg_iov->iov_base;
		uint32_t len = (uint32_t)m[i].msg_hdr.msg_iov->iov_len;
		struct tdo_pkt *p = pktgen_exact(ip, len);

		if (k.raw_mtu && len > k.raw_mtu) {
			pktgen_free(p);
			errno = EMSGSIZE;
			return i > 0 ? (int)i : -1;
		}
		/* With IPv6 the checksum must be there: pktgen_csums_ok() finds 0 wrong. */
		if (fd == FD_RAW6)
			assert_true(pktgen_csums_ok(p));
		if (fd == FD_RAW4 && (tdo_be16(ip + 6) & 0x3fff))
			arrive_in_parts(ip, len);
		else
			arrive(ip, len);
		k.raw++;
		pktgen_free(p);
	}
	return (int)n;
}

/* ---- input ---------------------------------------------------------------------------- */

/* A datagram of the given bytes, or with size a super-packet of such datagrams. */
static void
put(const char *dst, uint32_t payload, uint16_t size)
{
	struct {
		uint8_t flags, type;
		uint16_t hdr_len, gso_size, start, off;
	} vnet = {1, size ? 5 : 0, 28, size, 20, 6};
	uint32_t total = TDO_IP4_HLEN + TDO_UDP_HLEN + payload, step = size ? size : payload;
	struct tdo_ip_hdr h = {.src = fx_addr("10.1.0.1"),
	    .dst = fx_addr(dst),
	    .ttl = 64,
	    .proto = TDO_IPPROTO_UDP,
	    .df = true};
	static uint8_t b[TDO_PKT_MAXLEN];
	uint8_t *udp = b + TDO_IP4_HLEN;

	_Static_assert(sizeof(vnet) == TDO_VNET_HLEN, "no padding");
	memset(b, 0, total);
	tdo_ip_build(b, &h, TDO_UDP_HLEN + payload);
	tdo_put_be16(udp + TDO_UDP_SPORT_OFF, 1000);
	tdo_put_be16(udp + TDO_UDP_DPORT_OFF, 2000);
	tdo_put_be16(udp + TDO_UDP_LEN_OFF, (uint16_t)(TDO_UDP_HLEN + payload));
	tdo_put_be16(udp + TDO_UDP_CSUM_OFF, (uint16_t)~tdo_csum_fold(tdo_csum_pseudo(&h.src,
						 &h.dst, TDO_IPPROTO_UDP, TDO_UDP_HLEN + payload)));
	for (uint32_t at = 0; at < payload; at += step)
		tdo_put_be32(udp + TDO_UDP_HLEN + at, k.number++);
	tun_put(&vnet, b, total);
}

/* A datagram that its sender cut into two. */
static void
put_cut(const char *dst, uint32_t payload)
{
	uint8_t b[4000] = {0}, *udp = b + TDO_IP4_HLEN;
	uint32_t len = TDO_UDP_HLEN + payload, first = len / 2 & ~7u;
	struct tdo_ip_hdr h = {.src = fx_addr("10.1.0.1"),
	    .dst = fx_addr(dst),
	    .ttl = 64,
	    .id = (uint16_t)(k.number + 1),
	    .proto = TDO_IPPROTO_UDP};

	tdo_put_be16(udp + TDO_UDP_SPORT_OFF, 1000);
	tdo_put_be16(udp + TDO_UDP_DPORT_OFF, 2000);
	tdo_put_be16(udp + TDO_UDP_LEN_OFF, (uint16_t)len);
	tdo_put_be32(udp + TDO_UDP_HLEN, k.number++);
	tdo_put_be16(udp + TDO_UDP_CSUM_OFF,
	    tdo_csum_fold(
		tdo_csum_add(tdo_csum_pseudo(&h.src, &h.dst, TDO_IPPROTO_UDP, len), udp, len)));
	tdo_ip_build(b, &h, first);
	tdo_put_be16(b + 6, TDO_IP4_MF);
	tdo_ip4_set_csum(b);
	tun_put(NULL, b, TDO_IP4_HLEN + first);
	memmove(udp, udp + first, len - first);
	tdo_ip_build(b, &h, len - first);
	tdo_put_be16(b + 6, (uint16_t)(first / 8));
	tdo_ip4_set_csum(b);
	tun_put(NULL, b, TDO_IP4_HLEN + len - first);
}

/* As many rounds as it takes; everything arrives in order. */
static unsigned
run(void)
{
	unsigned rounds = 0;

	do
		rounds++;
	while (tdo_outbound_round(w));
	assert_int_equal(tun.read, tun.n);
	assert_int_equal(k.nseen, k.number);
	return rounds;
}

static void
expect_order(void)
{
	for (unsigned i = 0; i < k.nseen; i++)
		assert_int_equal(k.seen[i], i);
}

/* What one SA protects is in order. */
static void
expect_order_of_each(void)
{
	for (uint8_t net = 2; net <= 3; net++)
		for (unsigned i = 0, last = 0, any = 0; i < k.nseen; i++) {
			if (k.net[i] != net)
				continue;
			assert_true(!any || k.seen[i] > last);
			last = k.seen[i];
			any = 1;
		}
}

/* ---- set-up --------------------------------------------------------------------------- */

static void
add_tunnel_to(bool v6, const char *net, uint32_t spi)
{
	struct fx_sa sa = {.src = v6 ? G6 : G,
	    .dst = v6 ? H6 : H,
	    .spi = spi,
	    .mode = TDO_MODE_TUNNEL,
	    .enc = "aes-gcm-16",
	    .replay = 64,
	    .natt = {.type = TDO_NATT_ESPINUDP, .sport = PORT, .dport = PORT}};
	const char *request =
	    v6 ? "esp/tunnel/" G6 "-" H6 "/require" : "esp/tunnel/" G "-" H "/require";

	add_tunnel(&sa, "10.1.0.0/16", net, request);
}

static int
setup(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	open_ends();
	fx_local(&us, "10.1.0.1"); /* nothing is forwarded */
	add_tunnel_to(false, "10.2.0.0/16", 0x1001);
	add_tunnel_to(true, "10.3.0.0/16", 0x1002);
	udp_port = PORT;
	return start_worker();
}

static int
teardown(void **state)
{
	(void)state;
	close_ends();
	return 0;
}

static uint64_t
calls(enum tdo_iostat_id id)
{
	return w->stat[id].calls;
}

/* ---- tests ---------------------------------------------------------------------------- */

static void
a_row_goes_on_over_super_packets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		put("10.2.0.1", 48 * SIZE, SIZE);
	assert_int_equal(run(), 1);
	expect_order();
	assert_int_equal(k.raw, 0);
	/* 192 packets; 47 of them are the most that go into a row. */
	assert_in_range(k.max_row, 46 * (SIZE + 64), 65000);
	assert_in_range(k.rows, 5, 6);
	assert_int_equal(calls(TDO_IOSTAT_UDP_SEND), k.rows);
}

static void
a_shorter_last_datagram_ends_the_row(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		put("10.2.0.1", 9 * SIZE + 500, SIZE);
	run();
	expect_order();
	assert_int_equal(k.rows, 3);
	assert_int_equal(k.raw, 0);
}

static void
a_round_has_an_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		put("10.2.0.1", 48 * SIZE, SIZE);
	assert_in_range(run(), 3, 4);
	expect_order();
	assert_int_equal(k.raw, 0);
}

static void
singles_and_rows_stay_in_order(void **state)
{
	(void)state;
	put("10.2.0.1", 100, 0);
	put("10.2.0.1", 20 * SIZE, SIZE);
	put("10.2.0.1", 40, 0); /* may be the end of the row */
	put("10.2.0.1", 200, 0);
	put("10.3.0.1", 300, 0);
	put("10.2.0.1", 20 * SIZE, SIZE);
	put("10.3.0.1", 20 * SIZE, SIZE);
	run();
	expect_order_of_each();
	assert_int_equal(k.rows, 3);
	assert_int_equal(k.raw, 3);
}

static void
another_port_goes_raw(void **state)
{
	static const uint16_t port[] = {0, PORT + 1};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		udp_port = port[i];
		put("10.2.0.1", 40 * SIZE, SIZE);
		put("10.3.0.1", 40 * SIZE, SIZE);
		run();
	}
	expect_order();
	assert_int_equal(k.rows, 0);
	assert_int_equal(k.raw, 160);
}

static void
nothing_is_lost_where_rows_are_not_taken(void **state)
{
	(void)state;
	k.row_error = EIO;
	for (unsigned i = 0; i < 5; i++) {
		put("10.2.0.1", 48 * SIZE, SIZE);
		put("10.3.0.1", 48 * SIZE, SIZE);
	}
	run();
	expect_order_of_each();
	assert_int_equal(k.rows, 0);
	assert_int_equal(k.raw, 480);
	/* Each destination was tried once. */
	assert_int_equal(w->stat[TDO_IOSTAT_UDP_SEND].errors, 2);
}

/* The path became smaller: rows, and then packets, are refused; all arrive, in fragments. */
static void
nothing_is_lost_where_the_path_is_smaller(void **state)
{
	(void)state;
	k.row_error = EMSGSIZE;
	k.raw_mtu = 1280;
	for (unsigned i = 0; i < 3; i++)
		put("10.2.0.1", 48 * SIZE, SIZE);
	run();
	assert_int_equal(k.rows, 0);
	assert_int_equal(k.fragments, 2 * 144);
}

/* Its fragments show no ports, and some port has a policy of its own. */
static void
what_is_put_together_stays_in_order(void **state)
{
	struct tdo_sp_param p = {
	    .dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_DISCARD,
	    .prio = TDO_PRIO_DEFAULT - 1,
	    .sel = {.src = fx_addr("10.1.0.0"),
		.dst = fx_addr("10.2.0.0"),
		.src_plen = 16,
		.dst_plen = 16,
		.proto = TDO_IPPROTO_UDP,
		.sport = TDO_RANGE_ANY,
		.dport = {7, 7}},
	};

	(void)state;
	assert_int_equal(tdo_sp_add(us.e, &p, us.now, NULL, NULL), 0);
	for (unsigned i = 0; i < 6; i++) {
		put("10.2.0.1", 100, 0);
		put("10.2.0.1", 100, 0);
		put_cut("10.2.0.1", 2000);
		put("10.2.0.1", 4 * SIZE, SIZE);
		put_cut("10.2.0.1", 1000);
		put_cut("10.2.0.1", 1100);
	}
	run();
	expect_order();
}

static void
all_mixed(void **state)
{
	struct rng r = {0x0b};

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		k.row_error = rng_below(&r, 8) == 0 ? EMSGSIZE : 0;
		for (unsigned i = 0; i < TUN_MAX; i++) {
			uint16_t size = (uint16_t)(100 + rng_below(&r, 1200));
			uint32_t n = 1 + rng_below(&r, 64);

			if (k.number + n > MAX)
				break;
			if (rng_below(&r, 2))
				put("10.2.0.1", 4 + rng_below(&r, 1300), 0);
			else if (n * size <= 65000)
				put("10.2.0.1", n * size, size);
		}
		run();
		expect_order();
		tun_clear();
		k.number = k.nseen = 0;
	}
	assert_true(k.rows > 0 && k.raw > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_row_goes_on_over_super_packets, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_shorter_last_datagram_ends_the_row, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_round_has_an_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(singles_and_rows_stay_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_port_goes_raw, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		nothing_is_lost_where_rows_are_not_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		nothing_is_lost_where_the_path_is_smaller, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_put_together_stays_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(all_mixed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
