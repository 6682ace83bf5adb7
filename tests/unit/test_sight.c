/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP packets as a worker sees them: what they say about the path, and what is done with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "daemon/worker.h"
#include "pktgen.h"
#include "wire/ip.h"

#define MS (TDO_SEC / 1000)

enum { ACK = 0x10, SYN = 0x02, HEADERS = 20 + 20 };

static struct tdo_paths paths;
static struct tdo_packet_worker *w;

static const struct tdo_addr peer = {.af = TDO_AF_INET, .b = {192, 0, 2, 2}};

static uint64_t
number(void)
{
	static uint64_t n;

	return ++n;
}

static void
use_path(void)
{
	struct tdo_pmtu_use u = {.dst = peer, .mtu = 1500, .largest = 1400};

	(void)tdo_paths_limit(&paths, &u, w->now);
}

static int
setup(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	if (w == NULL || tdo_paths_init(&paths, number) != 0)
		return -1;
	w->paths = &paths;
	w->now = 1000 * TDO_SEC;
	use_path();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tdo_paths_fini(&paths);
	free(w);
	return 0;
}

static uint32_t
limit(void)
{
	struct tdo_path x;

	assert_true(tdo_paths_get(&paths, &peer, &x));
	return tdo_path_mtu(&x);
}

/* A packet of a flow, which is said by its source port. */
struct sent {
	struct pktgen g;
	uint16_t port;
};

static struct tdo_pkt *
make(const struct sent *s)
{
	struct tdo_pkt *p = pktgen_new(&s->g, 0);

	tdo_put_be16(tdo_pkt_data(p) + p->ip.l4_off, (uint16_t)(40000 + s->port));
	return p;
}

/* MTU for a segment; there are no SAs, so as much is inside. */
static uint32_t
leaves(const struct sent *s, uint16_t gso_size)
{
	struct tdo_pkt *p = make(s);
	uint32_t mtu = limit(), got;

	if (gso_size != 0) {
		p->gso = TDO_GSO_TCP;
		p->gso_size = gso_size;
	}
	got = tdo_outbound_tcp(w, p, &peer, mtu, mtu, false);
	pktgen_free(p);
	return got;
}

/* The other end of a flow has everything in front of ack. */
static void
acknowledge(const struct sent *s, uint32_t ack)
{
	struct pktgen back = {.v6 = s->g.v6, .proto = TDO_IPPROTO_TCP, .tcp_flags = ACK};
	struct tdo_pkt *there = make(s), *p = pktgen_new(&back, 0);
	const uint8_t *l4 = tdo_pkt_data(there) + there->ip.l4_off;
	uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;

	p->ip.flow.src = there->ip.flow.dst;
	p->ip.flow.dst = there->ip.flow.src;
	memcpy(tcp, l4 + 2, 2);
	memcpy(tcp + 2, l4, 2);
	tdo_put_be32(tcp + 8, ack);
	tdo_inbound_tcp(w, p, &peer);
	pktgen_free(there);
	pktgen_free(p);
}

/* A sender's first, second and third repetition; what the last one is sent with. */
static uint32_t
repeat_until_stuck(const struct sent *g)
{
	assert_int_equal(leaves(g, 0), 1500);
	w->now += 200 * MS;
	assert_int_equal(leaves(g, 0), 1500);
	w->now += 400 * MS;
	assert_int_equal(leaves(g, 0), 1500);
	w->now += 800 * MS;
	return leaves(g, 0);
}

static void
stuck_flow_is_tried(bool v6)
{
	struct sent g = {.g = {.v6 = v6,
			     .proto = TDO_IPPROTO_TCP,
			     .tcp_flags = ACK,
			     .seq = 0xfffffe00,
			     .payload = 1440 - (v6 ? 20 : 0)}};

	assert_int_equal(repeat_until_stuck(&g), 1280);
	assert_int_equal(limit(), 1500);
	acknowledge(&g, g.g.seq);
	assert_int_equal(limit(), 1500);
	acknowledge(&g, g.g.seq + 1240);
	assert_int_equal(limit(), 1280);
}

static void
pieces_that_are_acknowledged_tell(void **state)
{
	(void)state;
	stuck_flow_is_tried(false);
	(void)teardown(NULL);
	(void)setup(NULL);
	stuck_flow_is_tried(true);
}

/* A dead receiver: three sizes are tried on it, then it is let alone. */
static void
what_is_dead_is_given_up(void **state)
{
	struct sent g = {
	    .g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .seq = 1, .payload = 1460}};
	static const uint32_t want[] = {1280, 1006, 1006, 576, 576, 1500, 1500, 1500};
	tdo_ns wait = 1600 * MS;

	(void)state;
	assert_int_equal(repeat_until_stuck(&g), 1280);
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		w->now += wait;
		wait = wait < 60 * TDO_SEC ? wait * 2 : 120 * TDO_SEC;
		assert_int_equal(leaves(&g, 0), want[i]);
	}
	assert_int_equal(limit(), 1500);
	assert_int_equal(paths.lowered, 0);
}

/* Super-packets of another flow are looked at too, by their first segment. */
static void
another_flow_disproves_it(void **state)
{
	struct sent dead = {.g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .payload = 1460}};
	struct sent good = {
	    .g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .seq = 70000, .payload = 60000},
	    .port = 9};

	(void)state;
	assert_int_equal(leaves(&dead, 0), 1500);
	w->now += 200 * MS;
	assert_int_equal(leaves(&dead, 0), 1500);
	w->now += 400 * MS;
	assert_int_equal(leaves(&dead, 0), 1500);
	assert_int_equal(leaves(&good, 1460), 1500);
	w->now += 100 * MS;
	acknowledge(&good, 70000 + 1460);
	w->now += 700 * MS;
	assert_int_equal(leaves(&dead, 0), 1500);
	w->now += 1600 * MS;
	assert_int_equal(leaves(&dead, 0), 1500);
	assert_int_equal(paths.lowered, 0);
}

static void
make_longer_wanted(struct sent *g)
{
	struct tdo_path_probe probe[TDO_PATH_PROBES];

	assert_int_equal(repeat_until_stuck(g), 1280);
	acknowledge(g, g->g.seq + 1);
	assert_int_equal(limit(), 1280);
	g->g.seq += g->g.payload;
	w->now += TDO_PATH_CHECK;
	use_path();
	(void)tdo_paths_tick(&paths, w->now, probe, TDO_PATH_PROBES);
}

/* One packet leaves as if there were no limit; not one whose SA has a fixed size. */
static void
a_limit_is_tried(void **state)
{
	struct sent g = {
	    .g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .seq = 5, .payload = 1460}};
	struct sent small = {.g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .payload = 1200}};
	struct tdo_pkt *p;

	(void)state;
	make_longer_wanted(&g);
	small.port = 77;
	assert_int_equal(leaves(&small, 0), 1280);
	p = make(&g);
	assert_int_equal(tdo_outbound_tcp(w, p, &peer, 1280, 1280, true), 1280);
	pktgen_free(p);
	g.g.payload = 30000;
	assert_int_equal(leaves(&g, 1460), 1500);
	assert_int_equal(leaves(&small, 0), 1280);
	acknowledge(&g, g.g.seq + 1459);
	assert_int_equal(limit(), 1280);
	acknowledge(&g, g.g.seq + 1460);
	assert_int_equal(limit(), 1500);
}

/* Nor does what is acknowledged after it was repeated, as whatever segment of a super-packet. */
static void
what_is_repeated_says_nothing(void **state)
{
	struct sent g = {
	    .g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .seq = 5, .payload = 1460}};

	(void)state;
	make_longer_wanted(&g);
	assert_int_equal(leaves(&g, 0), 1500);
	g.g.seq -= 1460;
	g.g.payload = 2 * 1460;
	assert_int_equal(leaves(&g, 1460), 1280);
	acknowledge(&g, g.g.seq + 2 * 1460);
	assert_int_equal(limit(), 1280);
}

/* No acknowledgements, or of nobody. */
static void
other_packets_say_nothing(void **state)
{
	struct sent g = {
	    .g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .seq = 5, .payload = 1460}};
	struct pktgen udp = {.proto = TDO_IPPROTO_UDP, .payload = 1460};
	struct sent other = g;
	struct tdo_pkt *p;

	(void)state;
	assert_int_equal(repeat_until_stuck(&g), 1280);
	other.port = 4321;
	acknowledge(&other, g.g.seq + 1460);
	p = pktgen_new(&udp, 0);
	tdo_inbound_tcp(w, p, &peer);
	assert_int_equal(tdo_outbound_tcp(w, p, &peer, 1500, 1500, false), 1500);
	pktgen_free(p);
	for (unsigned cut = 0; cut < HEADERS; cut++) { /* shorter than its headers */
		p = make(&g);
		p->len = cut;
		tdo_inbound_tcp(w, p, &peer);
		assert_int_equal(tdo_outbound_tcp(w, p, &peer, 1500, 1500, false), 1500);
		pktgen_free(p);
	}
	for (unsigned words = 0; words < 16; words++) { /* a data offset that lies */
		p = make(&g);
		tdo_pkt_data(p)[p->ip.l4_off + 12] = (uint8_t)(words << 4);
		p->len = HEADERS + 30;
		assert_int_equal(tdo_outbound_tcp(w, p, &peer, 1500, 1500, false), 1500);
		pktgen_free(p);
	}
	p = make(&g);
	tdo_pkt_data(p)[p->ip.l4_off + 13] = SYN;
	tdo_inbound_tcp(w, p, &peer);
	p->ip.frag = true;
	tdo_inbound_tcp(w, p, &peer);
	pktgen_free(p);
	assert_int_equal(limit(), 1500);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(pieces_that_are_acknowledged_tell),
	    T(what_is_dead_is_given_up),
	    T(another_flow_disproves_it),
	    T(a_limit_is_tried),
	    T(what_is_repeated_says_nothing),
	    T(other_packets_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
