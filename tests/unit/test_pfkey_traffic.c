/* SPDX-License-Identifier: BSD-2-Clause */
/* What PF_KEY says and what packets do: from the message to the bytes on the wire, and back. */
#include "built.h"
#include "pfkey_world.h"

#include "base/be.h"

enum { LEN = 28 }; /* IPv4, UDP without payload */

struct packet {
	struct tdo_pkt p;
	uint8_t buf[TDO_HEADROOM + LEN + 256 + TDO_TAILROOM];
};

static uint8_t
pass(struct world *w, struct packet *k, bool out, tdo_ns now)
{
	struct tdo_pkt *const burst[] = {&k->p};

	k->p.buf = k->buf;
	tdo_worker_resume(tdo_engine_worker(w->e, 0));
	(out ? tdo_out : tdo_in)(tdo_engine_worker(w->e, 0), burst, 1, now);
	tdo_worker_idle(tdo_engine_worker(w->e, 0));
	return k->p.verdict;
}

/* A packet with 8 zero bytes behind its IP header. */
static void
make(struct packet *k, const struct tdo_addr *dst, uint8_t proto)
{
	const struct tdo_ip_hdr h = {.src = A4, .dst = *dst, .ttl = 64, .proto = proto};

	*k = (struct packet){.p = {.cap = sizeof(k->buf), .off = TDO_HEADROOM, .len = LEN}};
	tdo_ip_build(k->buf + TDO_HEADROOM, &h, 8);
}

/* A packet to this address and UDP port goes out; returns its verdict, the packet is in *k. */
static uint8_t
sent(struct world *w, struct packet *k, const struct tdo_addr *dst, uint8_t dport, tdo_ns now)
{
	make(k, dst, TDO_IPPROTO_UDP);
	k->buf[TDO_HEADROOM + 23] = dport;
	k->buf[TDO_HEADROOM + 25] = 8; /* UDP length */
	return pass(w, k, true, now);
}

static uint32_t
spi_of(const struct packet *k)
{
	return tdo_be32(k->buf + k->p.off + 20);
}

static uint32_t
seq_of(const struct packet *k)
{
	return tdo_be32(k->buf + k->p.off + 24);
}

static void
install(struct world *w, const struct tdo_sa_param *p)
{
	add(w, p, 0);
	drain(w->b);
}

/* ---- lifetimes ----------------------------------------------------------------------------- */

/* Packets use up what a hard limit allows, whatever soft limit is beside it, and it is told. */
static void
d12_d13_d15_traffic_reaches_hard_limits(void **state)
{
	static const struct {
		struct tdo_lifetime soft, hard;
	} rows[] = {
	    {{0}, {.allocations = 3}},
	    {{.bytes = 100000}, {.allocations = 3}},
	    {{.addtime = 100}, {.allocations = 3}},
	    {{0}, {.bytes = 3 * LEN}},
	    {{.allocations = 1000}, {.bytes = 3 * LEN}},
	    {{.usetime = 100}, {.bytes = 3 * LEN}},
	};
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct packet k;

	be_manager(w, TDO_SATYPE_ESP);
	want_sp(w, &sp);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tdo_sa_param p = sample(0x1001);
		struct tdo_lifetime l;
		unsigned n = 0;

		p.soft = rows[i].soft;
		p.has_soft = i % 3 != 0;
		p.hard = rows[i].hard;
		p.has_hard = true;
		install(w, &p);
		while (sent(w, &k, &B4, 1, NOW) == TDO_VERDICT_SEND)
			assert_true(++n < 10);
		assert_in_range(n, rows[i].hard.bytes ? 1 : 3, 3);
		tick(w, NOW + TDO_SEC);
		hear(w->b, TDO_SADB_EXPIRE, 0);
		assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_HARD, &l));
		assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_LIFETIME_SOFT));
		assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_CURRENT, &l));
		assert_int_equal(l.allocations, n);
		assert_int_equal(tdo_engine_counts(w->e).sas, 0);
		drain(w->b);
	}
}

/* The first packet starts the clock; until then an SA waits. */
static void
d15_time_since_use_starts_with_a_packet(void **state)
{
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sa_param p = sample(0x1001);
	struct packet k;

	be_manager(w, TDO_SATYPE_ESP);
	want_sp(w, &sp);
	p.soft.usetime = 3;
	p.hard.usetime = 6;
	p.has_soft = p.has_hard = true;
	install(w, &p);
	tick(w, NOW + 100 * TDO_SEC);
	silence(w->b);
	assert_int_equal(sent(w, &k, &B4, 1, NOW + 100 * TDO_SEC), TDO_VERDICT_SEND);
	tick(w, NOW + 102 * TDO_SEC);
	silence(w->b);
	tick(w, NOW + 104 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_LIFETIME_SOFT));
	assert_int_equal(sent(w, &k, &B4, 1, NOW + 104 * TDO_SEC), TDO_VERDICT_SEND);
	tick(w, NOW + 107 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_LIFETIME_HARD));
	assert_int_equal(sent(w, &k, &B4, 1, NOW + 107 * TDO_SEC), TDO_VERDICT_HOLD);
}

/* The peer may use the older SA for as long as it likes, whichever this end uses. */
static void
d18_the_older_sa_still_receives(void **state)
{
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sa_param p = sample(0x1001);
	static struct packet late, k;

	want_sp(w, &sp);
	p.hard.addtime = 1000;
	p.has_hard = true; /* the lifetime is finite: KAME's condition */
	install(w, &p);
	assert_int_equal(sent(w, &late, &B4, 1, NOW), TDO_VERDICT_SEND);
	p.key.spi = 0x1002;
	install(w, &p);
	for (unsigned i = 1; i < 10; i++) {
		assert_int_equal(sent(w, &k, &B4, 1, NOW + i * TDO_SEC), TDO_VERDICT_SEND);
		assert_int_equal(spi_of(&k), 0x1002);
		tick(w, NOW + i * TDO_SEC);
	}
	assert_int_equal(pass(w, &k, false, NOW + 10 * TDO_SEC), TDO_VERDICT_PASS);
	assert_int_equal(spi_of(&late), 0x1001);
	assert_int_equal(pass(w, &late, false, NOW + 10 * TDO_SEC), TDO_VERDICT_PASS);
	assert_int_equal(tdo_engine_counts(w->e).sas, 2);
}

/* ---- windows ------------------------------------------------------------------------------- */

/* 65,536 packets by X_SA_REPLAY: a packet behind 40,000 others is new once, and once only. */
static void
d10_a_window_of_65536_packets(void **state)
{
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sa_param p = sample(0x1001);
	static struct packet first, second, again, k;

	want_sp(w, &sp);
	p.replay = 65536;
	install(w, &p);
	assert_int_equal(sent(w, &first, &B4, 1, NOW), TDO_VERDICT_SEND);
	assert_int_equal(sent(w, &second, &B4, 1, NOW), TDO_VERDICT_SEND);
	again = first;
	while (k.p.seq < 40001)
		assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_SEND);
	assert_int_equal(pass(w, &k, false, NOW), TDO_VERDICT_PASS);
	assert_int_equal(pass(w, &first, false, NOW), TDO_VERDICT_PASS);
	assert_int_equal(pass(w, &again, false, NOW), TDO_VERDICT_DROP);
	assert_int_equal(again.p.reason, TDO_REASON_IN_REPLAY_DUP);
	k.p.seq = 0;
	while (k.p.seq < 2 + 65536)
		assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_SEND);
	assert_int_equal(pass(w, &k, false, NOW), TDO_VERDICT_PASS);
	assert_int_equal(pass(w, &second, false, NOW), TDO_VERDICT_DROP);
	assert_int_equal(second.p.reason, TDO_REASON_IN_REPLAY_OLD);
}

/* ---- policies ------------------------------------------------------------------------------ */

/* Of two policies that cover a packet the first decides, also after it was changed. */
static void
d34_spdupdate_keeps_the_place(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param first = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE), second = first;
	struct packet k;
	uint32_t id;

	first.type = TDO_POLICY_DISCARD;
	second.type = TDO_POLICY_NONE;
	first.nreq = second.nreq = 0;
	second.sel.dst_plen = 24;
	spd(w, TDO_SADB_X_SPDADD, &first, 0);
	id = policy_id();
	spd(w, TDO_SADB_X_SPDADD, &second, 0);
	assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_DROP);
	for (unsigned i = 0; i < 3; i++) {
		first.lifetime = 1000 + i;
		spd(w, TDO_SADB_X_SPDUPDATE, &first, 0);
		assert_int_equal(policy_id(), id);
		assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_DROP);
	}
	say_base(w->a, TDO_SADB_X_SPDDUMP, 0);
	hear(w->a, TDO_SADB_X_SPDDUMP, 0);
	assert_int_equal(policy_id(), id);
	hear(w->a, TDO_SADB_X_SPDDUMP, 0);
	assert_int_not_equal(policy_id(), id);
}

/* The level of a policy counts, not that of the host; "default" is the host's. */
static void
d33_levels_are_those_of_the_policy(void **state)
{
	static const uint8_t levels[] = {TDO_LEVEL_USE, TDO_LEVEL_REQUIRE, TDO_LEVEL_DEFAULT};
	struct world *w = *state;
	struct packet k;

	for (uint8_t i = 0; i < 3; i++) {
		struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, levels[i]);

		sp.sel.proto = TDO_IPPROTO_UDP;
		sp.sel.dport = (struct tdo_range){i, i};
		want_sp(w, &sp);
	}
	for (int32_t host = 1; host <= 2; host++) {
		assert_int_equal(
		    tdo_knob_set(w->e, TDO_KNOB_ESP_TRANS_DEFLEV, TDO_AF_INET, host), 0);
		assert_int_equal(sent(w, &k, &B4, 0, NOW), TDO_VERDICT_PASS);
		assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_DROP);
		assert_int_equal(
		    sent(w, &k, &B4, 2, NOW), host == 1 ? TDO_VERDICT_PASS : TDO_VERDICT_DROP);
	}
}

/* A policy with PFP: each flow asks for its SA, gets it, and uses no other, not even a wider one.
 */
static void
d45_each_flow_gets_its_sa(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	const struct tdo_sa_param wide = sample(0x1000);
	struct packet k;

	be_manager(w, TDO_SATYPE_ESP);
	sp.pfp = TDO_PFP_PROTO | TDO_PFP_DPORT;
	want_sp(w, &sp);
	install(w, &wide);
	for (uint8_t port = 1; port < 5; port++) {
		struct tdo_sa_param p = sample(0x1000u + port);

		assert_int_equal(sent(w, &k, &B4, port, NOW), TDO_VERDICT_HOLD);
		tick(w, NOW);
		hear(w->b, TDO_SADB_ACQUIRE, 0);
		assert_true(tdo_sadb_get_tdo_sel(&got, &p.sel));
		assert_int_equal(p.sel.dport.lo, port);
		assert_int_equal(p.sel.dport.hi, port);
		p.has_sel = true;
		install(w, &p);
		for (uint8_t other = 1; other <= port; other++) {
			assert_int_equal(sent(w, &k, &B4, other, NOW), TDO_VERDICT_SEND);
			assert_int_equal(spi_of(&k), 0x1000u + other);
		}
	}
	silence(w->b);
}

/* An SA for echo replies, type 0 of ICMP, carries no echo requests, type 8. */
static void
d41_an_sa_for_type_0_carries_nothing_else(void **state)
{
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sa_param p = sample(0x1001);
	struct packet k;

	want_sp(w, &sp);
	p.has_sel = true;
	p.sel = sp.sel;
	p.sel.proto = TDO_IPPROTO_ICMP;
	p.sel.sport = (struct tdo_range){0, 0};
	install(w, &p);
	for (unsigned type = 0; type < 256; type++) {
		make(&k, &B4, TDO_IPPROTO_ICMP);
		k.buf[TDO_HEADROOM + 20] = (uint8_t)type;
		assert_int_equal(
		    pass(w, &k, true, NOW), type == 0 ? TDO_VERDICT_SEND : TDO_VERDICT_DROP);
	}
}

/* ---- addresses, algorithms ----------------------------------------------------------------- */

/* The SA moves with its keys and numbers; the packets go where it went. */
static void
d44_packets_follow_an_sa_that_moved(void **state)
{
	static const struct tdo_addr home = {.af = TDO_AF_INET, .b = {192, 0, 2, 1}},
				     c4 = {.af = TDO_AF_INET, .b = {203, 0, 113, 7}};
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sa_param p = sample(0x1001);
	static struct packet k, again;

	want_sp(w, &sp);
	p.mode = TDO_MODE_TUNNEL;
	install(w, &p);
	assert_int_equal(sent(w, &k, &home, 1, NOW), TDO_VERDICT_SEND);
	assert_memory_equal(k.buf + k.p.off + 16, B4.b, 4);
	assert_int_equal(seq_of(&k), 1);
	p.new_src = A4;
	p.new_dst = c4;
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	assert_int_equal(sent(w, &k, &home, 1, NOW), TDO_VERDICT_DROP); /* nobody is at B */
	sp.req[0].dst = c4;
	spd(w, TDO_SADB_X_SPDUPDATE, &sp, 0);
	assert_int_equal(sent(w, &k, &home, 1, NOW), TDO_VERDICT_SEND);
	assert_memory_equal(k.buf + k.p.off + 16, c4.b, 4);
	assert_int_equal(spi_of(&k), 0x1001);
	assert_int_equal(seq_of(&k), 2); /* not again 1: the key is the same */
	again = k;
	assert_int_equal(pass(w, &k, false, NOW), TDO_VERDICT_PASS);
	assert_int_equal(pass(w, &again, false, NOW), TDO_VERDICT_DROP);
}

/* RFC 4868 2.3 on the wire; 96 bits only for KAME's number. */
static void
d39_icvs_on_the_wire(void **state)
{
	static const struct {
		uint8_t aalg;
		uint16_t bits;
		uint32_t icv_len;
	} rows[] = {{5, 256, 16}, {6, 384, 24}, {7, 512, 32}, {248, 256, 12}, {3, 160, 12}};
	struct world *w = *state;
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);

	want_sp(w, &sp);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tdo_sa_param p = sample(0x1001);
		struct packet k;

		p.aalg = rows[i].aalg;
		p.akey_bits = rows[i].bits;
		install(w, &p);
		assert_int_equal(sent(w, &k, &B4, 1, NOW), TDO_VERDICT_SEND);
		/* IPv4, SPI and number, IV, one block of AES, ICV. */
		assert_int_equal(k.p.len, 20 + 8 + 16 + 16 + rows[i].icv_len);
		assert_int_equal(pass(w, &k, false, NOW), TDO_VERDICT_PASS);
		say_key(w->a, TDO_SADB_DELETE, 0x1001);
		hear(w->a, TDO_SADB_DELETE, 0);
	}
}

/* The setting is for what is added by PF_KEY, and the answer is an errno, not silence. */
static void
d40_weak_algorithms_are_refused_by_message(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	p.aalg = 2; /* HMAC-MD5 */
	p.akey_bits = 128;
	for (int32_t v = 0; v <= 2; v++) {
		assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_WEAK_ALGS, TDO_AF_INET, v), 0);
		add(w, &p, BUILT_LEGACY ? v < 2 ? EINVAL : 0 : EOPNOTSUPP);
		assert_int_equal(tdo_engine_counts(w->e).sas, BUILT_LEGACY && v == 2);
	}
	assert_non_null(strstr(w->log, "hmac-md5"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    T(d12_d13_d15_traffic_reaches_hard_limits),
	    T(d15_time_since_use_starts_with_a_packet),
	    T(d18_the_older_sa_still_receives),
	    T(d10_a_window_of_65536_packets),
	    T(d34_spdupdate_keeps_the_place),
	    T(d33_levels_are_those_of_the_policy),
	    T(d45_each_flow_gets_its_sa),
	    T(d41_an_sa_for_type_0_carries_nothing_else),
	    T(d44_packets_follow_an_sa_that_moved),
	    T(d39_icvs_on_the_wire),
	    T(d40_weak_algorithms_are_refused_by_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
