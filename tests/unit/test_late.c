/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagrams of which fragments are missing: who is told so, and that what came protected does not
 * leave in clear for it (RFC 1122 3.3.2, RFC 8200 4.5).
 */
#include <sys/socket.h>

#include "base/be.h"
#include "fragment.h"
#include "outbound_case.h"
#include "wire/ip.h"

enum { STEP = 1400, PIECES = 2, DNS = 53, LONG = 31 };

/* [v6], as fragment_make() has them, and the gateways. */
static const char *const from[2] = {"10.0.0.2", "2000::2"}, *const to[2] = {"10.0.0.1", "2000::1"},
			 *const gate[2] = {"192.0.2.1", "2001:db8::1"},
			 *const far_gate[2] = {"192.0.2.2", "2001:db8::2"};
static const char *const there[2] = {
    "esp/tunnel/192.0.2.1-192.0.2.2/require", "esp/tunnel/2001:db8::1-2001:db8::2/require"};
static const char *const back[2] = {
    "esp/tunnel/192.0.2.2-192.0.2.1/require", "esp/tunnel/2001:db8::2-2001:db8::1/require"};

static uint8_t payload[PIECES * STEP];

/* The message that was sent last, and how many. */
static struct {
	uint8_t bytes[1400];
	size_t len;
	int fd;
	unsigned n;
} sent;

ssize_t __wrap_sendto(
    int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t tolen);

ssize_t
__wrap_sendto(
    int fd, const void *b, size_t len, int flags, const struct sockaddr *to_, socklen_t tolen)
{
	(void)flags;
	(void)to_;
	(void)tolen;
	assert_in_range(len, 8, sizeof(sent.bytes));
	memcpy(sent.bytes, b, len);
	sent.len = len;
	sent.fd = fd;
	sent.n++;
	return (ssize_t)len;
}

static int
setup(void **state)
{
	(void)state;
	memset(&sent, 0, sizeof(sent));
	open_ends();
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fx_sa sa = {.src = far_gate[v6],
		    .dst = gate[v6],
		    .spi = 0x1000 + v6,
		    .mode = TDO_MODE_TUNNEL,
		    .enc = "aes-gcm-16"};

		fx_add_sa(&us, &sa);
		fx_add_sa(&peer, &sa);
		fx_add_sp(&peer, TDO_DIR_OUT, from[v6], to[v6], TDO_PROTO_ANY, back[v6]);
	}
	rng_fill(&us.rng, payload, sizeof(payload));
	tdo_put_be16(payload, 1000);
	tdo_put_be16(payload + 2, DNS);
	tdo_put_be16(payload + 4, sizeof(payload));
	assert_int_equal(start_worker(), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close_ends();
	return 0;
}

/* A policy for UDP to or from the port, for which datagrams have to be whole. */
static void
add_policy(uint8_t dir, bool v6, bool answers, const char *request)
{
	const char *src = answers ? to[v6] : from[v6], *dst = answers ? from[v6] : to[v6];
	struct tdo_sel sel = {.src = fx_addr(src),
	    .dst = fx_addr(dst),
	    .src_plen = v6 ? 128 : 32,
	    .dst_plen = v6 ? 128 : 32,
	    .proto = TDO_IPPROTO_UDP,
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
	struct tdo_sp_info info;

	fx_add_sp(&us, dir, src, dst, TDO_IPPROTO_UDP, request);
	assert_int_equal(tdo_sp_find(us.e, dir, &sel, &info), 0);
	assert_int_equal(tdo_sp_delete(us.e, dir, &sel, NULL), 0);
	*(answers ? &info.param.sel.sport : &info.param.sel.dport) = (struct tdo_range){DNS, DNS};
	assert_int_equal(tdo_sp_add(us.e, &info.param, us.now, NULL, NULL), 0);
}

static struct tdo_pkt *
piece(bool v6, uint32_t id, unsigned i)
{
	static uint8_t bytes[FRAGMENT_MAX];
	struct fragment x = {.v6 = v6,
	    .src = v6 ? 2 : 0x0a000002,
	    .id = id,
	    .proto = TDO_IPPROTO_UDP,
	    .at = i * STEP,
	    .len = STEP,
	    .more = i + 1 < PIECES,
	    .data = payload};
	struct tdo_pkt *p = fx_pkt_new(0);

	fx_pkt_set(p, bytes, fragment_make(&x, bytes));
	return p;
}

/* True when that made the datagram whole. */
static bool
leaves(bool v6, uint32_t id, unsigned i)
{
	struct tdo_pkt *p = piece(v6, id, i);
	bool whole;

	tdo_out_classify(us.w, &p, 1, us.now);
	assert_int_equal(p->verdict, TDO_VERDICT_FRAGMENT);
	whole = tdo_fragments_out(&w->fragments, p, us.now) != NULL;
	fx_pkt_free(p);
	return whole;
}

static void
arrives(bool v6, uint32_t id, unsigned i)
{
	struct tdo_reass_whole ret;
	struct tdo_pkt *p = piece(v6, id, i);

	tdo_out(peer.w, &p, 1, peer.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	tdo_in(us.w, &p, 1, us.now);
	assert_int_equal(p->verdict, TDO_VERDICT_FRAGMENT);
	assert_null(tdo_fragments_in(&w->fragments, p, us.now, &ret));
	fx_pkt_free(p);
}

/* How many are told when the time is over. */
static unsigned
told(void)
{
	unsigned before = sent.n;

	us.now += LONG * TDO_SEC;
	assert_false(tdo_fragments_look(&w->fragments, us.now));
	return sent.n - before;
}

static void
assert_sent(bool v6, uint32_t id)
{
	struct tdo_pkt *p = piece(v6, id, 0);
	uint32_t quote = v6 ? 1232 : 548;

	assert_int_equal(sent.fd, v6 ? FD_ICMP6 : FD_ICMP4);
	assert_int_equal(sent.len, 8 + quote);
	assert_int_equal(tdo_be16(sent.bytes), v6 ? 0x0301 : 0x0b01);
	assert_int_equal(tdo_be32(sent.bytes + 4), 0);
	assert_memory_equal(sent.bytes + 8, tdo_pkt_data(p), quote);
	fx_pkt_free(p);
}

static void
who_sends_through_us_is_told(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		add_policy(TDO_DIR_OUT, v6, false, there[v6]);
		assert_false(leaves(v6, 5, 0));
		assert_int_equal(told(), 1);
		assert_sent(v6, 5);
		/* Without the first fragment nobody is. */
		assert_false(leaves(v6, 6, 1));
		assert_int_equal(told(), 0);
		/* Nor when all is well. */
		assert_false(leaves(v6, 7, 1));
		assert_true(leaves(v6, 7, 0));
		assert_int_equal(told(), 0);
	}
}

static void
at_a_bounded_rate(void **state)
{
	(void)state;
	add_policy(TDO_DIR_OUT, false, false, there[0]);
	for (uint32_t id = 1; id <= 60; id++)
		assert_false(leaves(false, id, 0));
	assert_int_equal(told(), 25); /* a quarter of a second's */
	fx_knob(&us, TDO_KNOB_ICMP_LIMIT, 0);
	assert_false(leaves(false, 100, 0));
	assert_int_equal(told(), 0);
}

/* It would be told about what testudo does. */
static void
this_host_is_not_told(void **state)
{
	(void)state;
	fx_local(&us, from[0]);
	add_policy(TDO_DIR_OUT, false, false, there[0]);
	assert_false(leaves(false, 5, 0));
	assert_int_equal(told(), 0);
}

static void
what_came_protected_is_not_quoted_in_clear(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		add_policy(TDO_DIR_IN, v6, false, back[v6]);
		arrives(v6, 5, 0);
		assert_int_equal(told(), 0);
		/* By the policy of the answers it leaves protected. */
		add_policy(TDO_DIR_OUT, v6, true, there[v6]);
		arrives(v6, 6, 0);
		assert_int_equal(told(), 1);
		assert_sent(v6, 6);
		arrives(v6, 7, 1);
		assert_int_equal(told(), 0);
		/* Errors are judged by their own addresses alone. */
		fx_knob(&us, TDO_KNOB_ICMP_QUOTE, 0);
		arrives(v6, 8, 0);
		assert_int_equal(told(), 0);
		fx_knob(&us, TDO_KNOB_ICMP_QUOTE, 1);
	}
}

/* A policy that lets its answers leave in clear, while there is no SA, does not protect them. */
static void
may_be_in_clear_is_not_protected(void **state)
{
	static const char *const use[2] = {
	    "esp/tunnel/192.0.2.1-192.0.2.2/use", "esp/tunnel/2001:db8::1-2001:db8::2/use"};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		add_policy(TDO_DIR_IN, v6, false, back[v6]);
		add_policy(TDO_DIR_OUT, v6, true, use[v6]);
		arrives(v6, 6, 0);
		assert_int_equal(told(), 0);
	}
}

/* Nor does one of answers count where another one names the errors themselves. */
static void
errors_that_leave_in_clear_quote_nothing_protected(void **state)
{
	static const char *const any[2] = {"0.0.0.0/0", "::/0"}, *const other[2] = {
								     "10.0.0.9", "2000::9"};
	static const uint8_t icmp[2] = {TDO_IPPROTO_ICMP, TDO_IPPROTO_ICMPV6};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		add_policy(TDO_DIR_IN, v6, false, back[v6]);
		add_policy(TDO_DIR_OUT, v6, true, there[v6]);
		fx_add_sp(&us, TDO_DIR_OUT, any[v6], other[v6], icmp[v6], "none");
		arrives(v6, 6, 0);
		assert_int_equal(told(), 1);
		fx_add_sp(&us, TDO_DIR_OUT, any[v6], any[v6], icmp[v6], "none");
		arrives(v6, 7, 0);
		assert_int_equal(told(), 0);
		/* What the network of this gateway sends in clear is its own matter. */
		add_policy(TDO_DIR_OUT, v6, false, there[v6]);
		assert_false(leaves(v6, 8, 0));
		assert_int_equal(told(), 1);
	}
}

/* A packet from the far network to somewhere else, that does not fit; true: its sender is told. */
static bool
told_of_size(bool v6)
{
	struct tdo_pkt *p = fx_udp(&us.rng, from[v6], to[v6], 1400);
	unsigned before = sent.n;

	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip), TDO_REASON_NONE);
	tdo_outbound_too_big(w, p, 1300);
	fx_pkt_free(p);
	return sent.n > before;
}

/* A gateway between two tunnels tells the far sender how much fits, but not in clear. */
static void
size_is_not_told_in_clear_of_what_came_protected(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		assert_true(told_of_size(v6));
		fx_add_sp(&us, TDO_DIR_IN, from[v6], to[v6], TDO_PROTO_ANY, back[v6]);
		assert_false(told_of_size(v6));
		fx_add_sp(&us, TDO_DIR_OUT, to[v6], from[v6], TDO_PROTO_ANY, there[v6]);
		assert_true(told_of_size(v6));
		assert_int_equal(tdo_be16(sent.bytes), v6 ? 0x0200 : 0x0304);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(who_sends_through_us_is_told),
	    T(at_a_bounded_rate),
	    T(this_host_is_not_told),
	    T(what_came_protected_is_not_quoted_in_clear),
	    T(may_be_in_clear_is_not_protected),
	    T(errors_that_leave_in_clear_quote_nothing_protected),
	    T(size_is_not_told_in_clear_of_what_came_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
