/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a datagram on its way into a tunnel, by the setting of DF, families, DF of its
 * own, origin, size, and where it may be fragmented (RFC 4301 8.1, spec 7.1 step 10 and 7.4).
 */
#define _GNU_SOURCE /* sendmmsg() */
#include <sys/socket.h>

#include "base/be.h"
#include "outbound_case.h"
#include "wire/ip.h"
#include "wire/udp.h"

enum { PATH = 1500 };

/* ---- the kernel ----------------------------------------------------------------------- */

static struct {
	unsigned outside, inside, whole; /* packets that left */
	unsigned df;                     /* outer headers that have it */
	uint32_t told;                   /* MTU of an ICMP error */
	uint32_t longest;                /* packet in a tunnel */
} k;

int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
ssize_t __wrap_sendto(
    int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t tolen);

static void
leave(const uint8_t *ip, uint32_t len)
{
	bool v6 = ip[0] >> 4 == 6;
	struct tdo_pkt *p;

	assert_in_range(len, 1, PATH);
	k.df += !v6 && (tdo_be16(ip + 6) & TDO_IP4_DF);
	if (v6 ? ip[6] == TDO_IPPROTO_FRAGMENT : (tdo_be16(ip + 6) & 0x3fff) != 0) {
		k.outside++;
		return;
	}
	p = peer_opens(ip, len);
	k.longest = p->len > k.longest ? p->len : k.longest;
	k.inside += p->ip.frag;
	k.whole += !p->ip.frag;
	fx_pkt_free(p);
}

int
__wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	(void)flags;
	assert_true(fd == FD_RAW4 || fd == FD_RAW6);
	for (unsigned i = 0; i < n; i++)
		leave(m[i].msg_hdr.msg_iov->iov_base, (uint32_t)m[i].msg_hdr.msg_iov->iov_len);
	return (int)n;
}

ssize_t
__wrap_sendto(
    int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t tolen)
{
	const uint8_t *icmp = b;

	(void)flags;
	(void)to;
	(void)tolen;
	assert_true(len > 8 && k.told == 0);
	if (fd == FD_ICMP6) {
		assert_int_equal(icmp[0], 2);
		k.told = tdo_be32(icmp + 4);
	} else {
		assert_int_equal(fd, FD_ICMP4);
		assert_int_equal(tdo_be16(icmp), 0x0304);
		k.told = tdo_be16(icmp + 6);
	}
	return (ssize_t)len;
}

/* ---- the table ------------------------------------------------------------------------ */

enum shape { V4_IN_V4, V4_IN_V6, V6_IN_V4, V6_IN_V6 };
enum outcome { WHOLE, OUTSIDE, INSIDE, ICMP };
enum { OWN, FWD };
enum { NODF, DF };

/*
 * Of 1500 bytes the tunnel leaves 1446 (IPv4 outside), 1426 (IPv6); in UDP 8 less.  dfbit is the
 * knob, limit -natt_mtu (then the SA is in UDP), told the MTU of the ICMP error, df what the outer
 * header has if it goes whole or is fragmented inside.
 */
static const struct row {
	enum shape shape;
	uint8_t df, from;
	uint32_t len;
	int32_t first;
	uint16_t limit;
	enum outcome outcome;
	uint32_t told;
	bool outer_df[3]; /* by dfbit 0, 1, 2 */
} rows[] = {
    /* What fits goes whole: the knob says what DF the outer header has. */
    {V4_IN_V4, NODF, OWN, 1446, 0, 0, WHOLE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, OWN, 1446, 0, 0, WHOLE, 0, {0, 1, 1}},
    {V4_IN_V4, NODF, FWD, 1446, 1, 0, WHOLE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, FWD, 1446, 1, 0, WHOLE, 0, {0, 1, 1}},
    {V6_IN_V4, NODF, OWN, 1446, 0, 0, WHOLE, 0, {0, 1, 0}},
    {V6_IN_V4, NODF, FWD, 1446, 0, 0, WHOLE, 0, {0, 1, 0}},
    {V4_IN_V6, DF, OWN, 1426, 0, 0, WHOLE, 0, {0}},
    {V4_IN_V6, DF, FWD, 1426, 0, 0, WHOLE, 0, {0}},
    {V6_IN_V6, NODF, FWD, 1426, 0, 0, WHOLE, 0, {0}},
    /* What does not fit: our own is fragmented whatever its DF, outside or by knob inside. */
    {V4_IN_V4, NODF, OWN, 1447, 0, 0, OUTSIDE, 0, {0}},
    {V4_IN_V4, DF, OWN, 1447, 0, 0, OUTSIDE, 0, {0}},
    {V4_IN_V4, NODF, OWN, 1447, 1, 0, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, OWN, 1447, 1, 0, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V6, DF, OWN, 1427, 0, 0, OUTSIDE, 0, {0}},
    {V4_IN_V6, DF, OWN, 1427, 1, 0, INSIDE, 0, {0}},
    {V6_IN_V4, NODF, OWN, 1447, 0, 0, OUTSIDE, 0, {0}},
    {V6_IN_V4, NODF, OWN, 1447, 1, 0, INSIDE, 0, {0, 1, 0}},
    /* A router obeys: DF and IPv6 are answered, with what fits. */
    {V4_IN_V4, NODF, FWD, 1447, 0, 0, OUTSIDE, 0, {0}},
    {V4_IN_V4, NODF, FWD, 1447, 1, 0, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, FWD, 1447, 0, 0, ICMP, 1446, {0}},
    {V4_IN_V4, DF, FWD, 1447, 1, 0, ICMP, 1446, {0}},
    {V4_IN_V6, NODF, FWD, 1427, 0, 0, OUTSIDE, 0, {0}},
    {V4_IN_V6, NODF, FWD, 1427, 1, 0, INSIDE, 0, {0}},
    {V4_IN_V6, DF, FWD, 1427, 0, 0, ICMP, 1426, {0}},
    {V6_IN_V4, NODF, FWD, 1447, 0, 0, ICMP, 1446, {0}},
    {V6_IN_V4, NODF, FWD, 1447, 1, 0, ICMP, 1446, {0}},
    {V6_IN_V6, NODF, FWD, 1427, 0, 0, ICMP, 1426, {0}},
    /* A limit for fragments is the size that fits, whatever the path carries. */
    {V4_IN_V4, NODF, OWN, 1000, 0, 1000, WHOLE, 0, {0, 1, 0}},
    {V4_IN_V4, NODF, OWN, 1001, 0, 1000, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, OWN, 1001, 0, 1000, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, NODF, FWD, 1001, 0, 1000, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, FWD, 1000, 0, 1000, WHOLE, 0, {0, 1, 1}},
    {V4_IN_V4, DF, FWD, 1001, 0, 1000, ICMP, 1000, {0}},
    {V4_IN_V6, DF, FWD, 1001, 0, 1000, ICMP, 1000, {0}},
    {V4_IN_V4, DF, FWD, 1439, 0, 1450, ICMP, 1438, {0}},
    /* 552, the limit of KAME: an IPv4 sender can be asked for that. */
    {V4_IN_V4, NODF, FWD, 553, 0, 552, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, FWD, 552, 0, 552, WHOLE, 0, {0, 1, 1}},
    {V4_IN_V4, DF, FWD, 553, 0, 552, ICMP, 552, {0}},
    {V4_IN_V4, DF, FWD, 1500, 0, 552, ICMP, 552, {0}},
    {V6_IN_V4, NODF, OWN, 553, 0, 552, INSIDE, 0, {0, 1, 0}},
    /* But not one of IPv6 (RFC 8200 5: 1280), who is not asked for more than he need do. */
    {V6_IN_V4, NODF, FWD, 1280, 0, 552, WHOLE, 0, {0, 1, 0}},
    {V6_IN_V4, NODF, FWD, 1281, 0, 552, ICMP, 1280, {0}},
    {V6_IN_V6, NODF, FWD, 1500, 0, 552, ICMP, 1280, {0}},
    /* Silly limits: what may be fragmented is, into pieces of 68 bytes; who has DF is asked for
       552. */
    {V4_IN_V4, NODF, OWN, 68, 0, 1, WHOLE, 0, {0, 1, 0}},
    {V4_IN_V4, NODF, OWN, 69, 0, 1, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, NODF, FWD, 1500, 0, 29, INSIDE, 0, {0, 1, 0}},
    {V4_IN_V4, DF, FWD, 552, 0, 29, WHOLE, 0, {0, 1, 1}},
    {V4_IN_V4, DF, FWD, 553, 0, 29, ICMP, 552, {0}},
    {V6_IN_V4, NODF, OWN, 300, 0, 29, INSIDE, 0, {0, 1, 0}},
};

static const char *const outcome_name[] = {"whole", "outside", "inside", "ICMP"};

static void
add_tunnel_of(const struct row *r)
{
	bool in6 = r->shape == V6_IN_V4 || r->shape == V6_IN_V6;
	bool out6 = r->shape == V4_IN_V6 || r->shape == V6_IN_V6;
	const char *here = in6 ? "2001:db8:1::/64" : "10.1.0.0/16";
	const char *there = in6 ? "2001:db8:2::/64" : "10.2.0.0/16";
	const char *request = out6 ? "esp/tunnel/2001:db8:9::1-2001:db8:9::2/require"
				   : "esp/tunnel/192.0.2.1-192.0.2.2/require";
	struct fx_sa sa = {.src = out6 ? "2001:db8:9::1" : "192.0.2.1",
	    .dst = out6 ? "2001:db8:9::2" : "192.0.2.2",
	    .spi = 0x1001,
	    .mode = TDO_MODE_TUNNEL,
	    .enc = "aes-gcm-16"};

	if (r->limit != 0)
		sa.natt = (struct tdo_natt){
		    .type = TDO_NATT_ESPINUDP, .sport = PORT, .dport = PORT, .frag = r->limit};
	add_tunnel(&sa, here, there, request);
}

static void
open_all(const struct row *r, int32_t dfbit)
{
	struct tdo_addr local[2];

	memset(&k, 0, sizeof(k));
	open_ends();
	local[0] = fx_addr("10.1.0.1");
	local[1] = fx_addr("2001:db8:1::1");
	assert_int_equal(tdo_engine_set_local(us.e, local, 2), 0);
	fx_knob(&us, TDO_KNOB_DFBIT, dfbit);
	fx_knob(&us, TDO_KNOB_FRAG_FIRST, r->first);
	add_tunnel_of(r);
	assert_int_equal(start_worker(), 0);
}

static struct tdo_pkt *
datagram(const struct row *r)
{
	bool v6 = r->shape == V6_IN_V4 || r->shape == V6_IN_V6;
	uint32_t hlen = (v6 ? TDO_IP6_HLEN : TDO_IP4_HLEN) + TDO_UDP_HLEN;
	struct tdo_pkt *p = fx_udp(&us.rng,
	    v6 ? (r->from == OWN ? "2001:db8:1::1" : "2001:db8:1::5")
	       : (r->from == OWN ? "10.1.0.1" : "10.1.0.5"),
	    v6 ? "2001:db8:2::1" : "10.2.0.1", r->len - hlen);

	if (!v6) {
		tdo_put_be16(tdo_pkt_data(p) + 6, r->df ? TDO_IP4_DF : 0);
		tdo_ip4_set_csum(tdo_pkt_data(p));
	}
	assert_int_equal(p->len, r->len);
	return p;
}

static void
put(struct tdo_pkt *p)
{
	tun_put(NULL, tdo_pkt_data(p), p->len);
	fx_pkt_free(p);
}

static enum outcome
outcome(void)
{
	if (k.told != 0) {
		assert_int_equal(k.whole + k.inside + k.outside, 0);
		return ICMP;
	}
	assert_int_equal((k.whole > 0) + (k.inside > 0) + (k.outside > 0), 1);
	assert_true(k.whole == 1 || k.inside > 1 || k.outside > 1);
	return k.whole ? WHOLE : k.inside ? INSIDE : OUTSIDE;
}

static void
by_the_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int32_t dfbit = 0; dfbit < 3; dfbit++) {
			const struct row *r = &rows[i];
			unsigned left;

			open_all(r, dfbit);
			put(datagram(r));
			while (tdo_outbound_round(w))
				;
			left = k.whole + k.inside;
			if (outcome() != r->outcome || k.told != r->told ||
			    k.df != (r->outer_df[dfbit] ? left : 0))
				fail_msg("row %u, dfbit %d: %s, told %u, DF %u of %u", i, dfbit,
				    outcome_name[outcome()], k.told, k.df, left);
			if (r->outcome == INSIDE && r->limit != 0)
				assert_in_range(k.longest, 1, r->limit > 68 ? r->limit : 68);
			close_ends();
		}
}

/* ---- who is told ---------------------------------------------------------------------- */

static uint64_t
drops(void)
{
	uint64_t n = 0;

	for (unsigned r = 0; r < TDO_REASON_COUNT; r++)
		n += tdo_drops_read(us.e, (enum tdo_reason)r);
	return n;
}

static void
refuse(struct tdo_pkt *p)
{
	k.told = 0;
	tun_clear();
	put(p);
	while (tdo_outbound_round(w))
		;
}

/* What is too big is one drop, whether its sender was told or not. */
static void
who_is_too_big_is_counted_once(void **state)
{
	static const struct row row = {V4_IN_V4, DF, FWD, 1447, 0, 0, ICMP, 1446, {0}};
	struct tdo_pkt *p;
	unsigned told = 0;

	(void)state;
	open_all(&row, 0);
	fx_knob(&us, TDO_KNOB_ICMP_LIMIT, 100); /* a burst is a quarter of that */
	for (unsigned i = 1; i <= 40; i++) {
		refuse(datagram(&row));
		told += k.told != 0;
		assert_int_equal(drops(), i);
	}
	assert_int_equal(told, 25);
	assert_int_equal(tdo_drops_read(us.e, TDO_REASON_TOO_BIG), 25);
	assert_int_equal(tdo_drops_read(us.e, TDO_REASON_TOO_BIG_UNTOLD), 15);
	/* Nobody answers an ICMP error, at any rate; the rate is for others. */
	w->now += TDO_SEC;
	for (unsigned i = 1; i <= 40; i++) {
		p = datagram(&row);
		tdo_pkt_data(p)[9] = TDO_IPPROTO_ICMP;
		tdo_pkt_data(p)[20] = 3;
		tdo_ip4_set_csum(tdo_pkt_data(p));
		refuse(p);
		assert_int_equal(k.told, 0);
	}
	assert_int_equal(tdo_drops_read(us.e, TDO_REASON_TOO_BIG_UNTOLD), 55);
	refuse(datagram(&row));
	assert_int_equal(k.told, 1446);
	close_ends();
}

/* ---- a limit is tried ----------------------------------------------------------------- */

static uint64_t
number(void)
{
	return 1;
}

/* A segment of a forwarded connection that began before the limit was there, or two as one. */
static void
put_segments(uint32_t payload, bool super)
{
	static const uint16_t gso[TDO_VNET_HLEN / 2] = {
	    [0] = 0x0101 /* NEEDS_CSUM, TCPV4 */, [1] = 40, [2] = 1460, [3] = 20, [4] = 16};
	uint8_t b[4000] = {0}, *tcp = b + TDO_IP4_HLEN;
	struct tdo_ip_hdr h = {.src = fx_addr("10.1.0.5"),
	    .dst = fx_addr("10.2.0.1"),
	    .ttl = 64,
	    .proto = TDO_IPPROTO_TCP,
	    .df = true};

	tdo_ip_build(b, &h, 20 + payload);
	tdo_put_be32(tcp, 4000u << 16 | 80);
	tdo_put_be32(tcp + 4, (uint32_t)(w->now / TDO_SEC) << 14);
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	tun_clear();
	tun_put(super ? gso : NULL, b, TDO_IP4_HLEN + 20 + payload);
	memset(&k, 0, sizeof(k));
	while (tdo_outbound_round(w))
		;
}

/*
 * What is longer than the limit is refused; but not the one that shall find out whether the limit
 * is still there, or it would be kept for ever.
 */
static void
what_tries_a_limit_is_not_refused(void **state)
{
	static const struct row row = {V4_IN_V4, DF, FWD, 1447, 0, 0, ICMP, 1446, {0}};
	struct tdo_addr dst = fx_addr("192.0.2.2");
	struct tdo_path_probe probe[TDO_PATH_PROBES];

	(void)state;
	for (unsigned super = 0; super < 2; super++) {
		struct tdo_path x = {0};
		struct tdo_paths paths;

		open_all(&row, 0);
		assert_int_equal(tdo_paths_init(&paths, number), 0);
		w->paths = &paths;
		w->pmtu.shared =
		    (struct tdo_pmtu_shared){&paths.generation, tdo_paths_limit, &paths};
		w->now = 1000 * TDO_SEC;
		put_segments(1400, false);
		assert_int_equal(k.whole, 1);
		assert_true(tdo_paths_too_big(&paths, &dst, 1280, 1500, w->now));
		put_segments(super ? 2920 : 1460, super);
		assert_in_range(k.told, 1200, 1280);
		for (unsigned i = 0; i < 20 && !x.tcp.seeks; i++) {
			w->now += TDO_SEC;
			put_segments(1100, false);
			(void)tdo_paths_tick(&paths, w->now, probe, TDO_PATH_PROBES);
			assert_true(tdo_paths_get(&paths, &dst, &x));
		}
		put_segments(super ? 2920 : 1460, super);
		assert_int_equal(k.told, 0);
		assert_int_equal(k.longest, 1446);
		/* All others still are. */
		put_segments(super ? 2920 : 1460, super);
		assert_in_range(k.told, 1200, 1280);
		tdo_paths_fini(&paths);
		close_ends();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(by_the_table),
	    cmocka_unit_test(who_is_too_big_is_counted_once),
	    cmocka_unit_test(what_tries_a_limit_is_not_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
