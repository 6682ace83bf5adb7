/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that wait for an SA: the engine decides, the queue keeps; in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "daemon/hold.h"
#include "fixture.h"

#define A    "10.0.0.1"
#define B    "10.0.0.2"
#define C    "10.0.0.3"
#define ANY  TDO_PROTO_ANY
#define SENT 4096u

static struct fx f;
static struct tdo_hold h;
static _Atomic size_t total;
static struct tdo_hold_limits lim;
static struct {
	uint8_t verdict;
	uint8_t dst; /* last byte of the destination */
	uint8_t gso;
	uint16_t number; /* first bytes of the payload */
	uint32_t len;
} sent[SENT];
static unsigned nsent, nfull, unflushed;

static void
classify(void *ctx, struct tdo_pkt *const *p, unsigned n)
{
	assert_ptr_equal(ctx, &f);
	tdo_out_classify(f.w, p, n, f.now);
}

static void
send(void *ctx, struct tdo_pkt *p)
{
	(void)ctx;
	assert_true(nsent < SENT);
	sent[nsent].verdict = p->verdict;
	sent[nsent].dst = tdo_pkt_data(p)[19];
	sent[nsent].gso = p->gso;
	sent[nsent].number = tdo_be16(tdo_pkt_data(p) + 28);
	sent[nsent].len = p->len;
	nsent++;
	unflushed++;
}

static void
flush(void *ctx)
{
	(void)ctx;
	unflushed = 0;
}

static void
full(void *ctx, struct tdo_pkt *p)
{
	(void)ctx;
	assert_null(p->sp);
	tdo_worker_count_drop(f.w, TDO_AT_OUT, TDO_REASON_HOLD_FULL, 1);
	nfull++;
}

static const struct tdo_hold_ops ops = {classify, send, flush, full};

static int
setup(void **state)
{
	(void)state;
	fx_open(&f, "openssl");
	tdo_hold_init(&h, &ops, &f, &total);
	lim = (struct tdo_hold_limits){8, 1 << 20};
	nsent = nfull = unflushed = 0;
	tdo_engine_set_acquirers(f.e, 1u << TDO_SATYPE_ESP);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tdo_hold_fini(&h);
	assert_int_equal(total, 0);
	assert_int_equal(h.n, 0);
	fx_close(&f);
	return 0;
}

/* A packet with this number in it, from A. */
static struct tdo_pkt *
numbered(const char *dst, uint16_t number)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, dst, 40);

	tdo_put_be16(tdo_pkt_data(p) + 28, number);
	return p;
}

static void
out(const char *dst, uint16_t number)
{
	struct tdo_pkt *p = numbered(dst, number);

	tdo_out_classify(f.w, &p, 1, f.now);
	tdo_hold_burst(&h, &lim, &p, 1, tdo_engine_generation(f.e), f.now);
	flush(NULL);
	fx_pkt_free(p);
}

/* Seconds pass as in a worker that has nothing else to do. */
static void
pass(unsigned tenths)
{
	for (unsigned i = 0; i < tenths; i++) {
		struct tdo_event ev;

		f.now += TDO_SEC / 10;
		tdo_engine_tick(f.e, f.now);
		while (tdo_engine_next_event(f.e, &ev))
			;
		if (tdo_hold_due(&h, tdo_engine_generation(f.e), f.now))
			tdo_hold_look(&h, tdo_engine_generation(f.e), f.now);
		assert_int_equal(unflushed, 0);
		tdo_worker_quiesce(f.w);
	}
}

static const struct fx_sa ab = {
    .src = A, .dst = B, .spi = 0x1000, .mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"};
static const struct fx_sa ac = {
    .src = A, .dst = C, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"};

static uint64_t
drops(enum tdo_reason r)
{
	return tdo_drops_read(f.e, r);
}

/* The acquire that is waiting; its number. */
static uint32_t
acquired(void)
{
	struct tdo_event ev;

	assert_true(tdo_engine_next_event(f.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_ACQUIRE);
	return ev.acquire.seq;
}

static void
add_use(bool hold)
{
	struct tdo_sp_param p = {.dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .prio = TDO_PRIO_DEFAULT,
	    .hold = hold,
	    .sel = {.src = fx_addr(A),
		.dst = fx_addr(B),
		.src_plen = 32,
		.dst_plen = 32,
		.proto = ANY,
		.sport = TDO_RANGE_ANY,
		.dport = TDO_RANGE_ANY},
	    .nreq = 1,
	    .req = {{.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_USE}}};

	assert_int_equal(tdo_sp_update(f.e, &p, f.now, NULL, NULL), 0);
}

/* The first packets are not lost while a key manager negotiates, and stay in order. */
static void
d38_packets_wait_for_their_sa(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	for (uint16_t i = 0; i < 5; i++)
		out(B, i);
	assert_int_equal(nsent, 0);
	assert_int_equal(h.n, 5);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_OUT_HELD), 5);
	(void)acquired();
	pass(50);
	assert_int_equal(nsent, 0);
	fx_add_sa(&f, &ab);
	pass(1);
	assert_int_equal(nsent, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(sent[i].verdict, TDO_VERDICT_PROTECT);
		assert_int_equal(sent[i].number, i);
		assert_int_equal(sent[i].len, 68);
	}
	out(B, 5);
	assert_int_equal(nsent, 6);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_OUT_HELD), 5);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_OUT_PACKETS), 6);
	assert_int_equal(drops(TDO_REASON_OUT_NO_SA), 0);
}

/* A packet that finds the SA does not overtake those that waited for it. */
static void
a_new_packet_does_not_overtake(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.0.0.0/24", ANY, "esp/transport//require");
	out(B, 0);
	out(C, 10);
	out(B, 1);
	fx_add_sa(&f, &ab);
	out(B, 2); /* nobody looked meanwhile */
	assert_int_equal(nsent, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sent[i].number, i);
	assert_int_equal(h.n, 1);
	fx_add_sa(&f, &ac);
	pass(1);
	assert_int_equal(sent[3].number, 10);
}

static void
waiting_ends_after_larval_lifetime(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	out(B, 0);
	pass(305);
	out(B, 1);
	assert_int_equal(h.n, 2);
	pass(15);
	assert_int_equal(h.n, 1);
	assert_int_equal(drops(TDO_REASON_HOLD_TIMEOUT), 1);
	fx_knob(&f, TDO_KNOB_LARVAL_LIFETIME, 1);
	pass(21);
	assert_int_equal(h.n, 0);
	assert_int_equal(drops(TDO_REASON_HOLD_TIMEOUT), 2);
	assert_int_equal(nsent, 0);
}

/* Only what waited when it gave up is dropped. */
static void
waiting_ends_when_the_key_manager_gives_up(void **state)
{
	uint32_t seq;

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.0.0.0/24", ANY, "esp/transport//require");
	out(B, 0);
	seq = acquired();
	out(C, 1);
	(void)acquired();
	f.now += TDO_SEC;
	tdo_acquire_refused(f.e, seq, f.now);
	f.now += 1;
	out(B, 2);
	pass(1);
	assert_int_equal(drops(TDO_REASON_HOLD_REFUSED), 1);
	assert_int_equal(h.n, 2);
	fx_add_sa(&f, &ab);
	fx_add_sa(&f, &ac);
	pass(1);
	assert_int_equal(nsent, 2);
	assert_int_equal(sent[0].number, 1);
	assert_int_equal(sent[1].number, 2);
}

static void
without_key_manager_nobody_waits(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	out(B, 0);
	assert_int_equal(h.n, 1);
	tdo_engine_set_acquirers(f.e, 1u << TDO_SATYPE_AH);
	pass(1);
	assert_int_equal(h.n, 0);
	assert_int_equal(drops(TDO_REASON_OUT_NO_SA), 1);
	out(B, 1);
	assert_int_equal(drops(TDO_REASON_OUT_NO_SA), 2);
	tdo_engine_set_acquirers(f.e, UINT32_MAX);
	fx_knob(&f, TDO_KNOB_HOLD_PACKETS, 0);
	out(B, 2);
	fx_knob(&f, TDO_KNOB_HOLD_PACKETS, 8);
	fx_knob(&f, TDO_KNOB_HOLD_BYTES, 0);
	out(B, 3);
	assert_int_equal(h.n, 0);
	assert_int_equal(drops(TDO_REASON_OUT_NO_SA), 4);
}

/* Level use with "hold": waits, and then goes as without it, counted; without: goes at once. */
static void
d37_level_use_waits_if_the_policy_says_so(void **state)
{
	(void)state;
	add_use(false);
	out(B, 0);
	assert_int_equal(nsent, 1);
	assert_int_equal(sent[0].verdict, TDO_VERDICT_PASS);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_OUT_USE_NO_SA), 1);
	add_use(true);
	out(B, 1);
	assert_int_equal(nsent, 1);
	assert_int_equal(h.n, 1);
	fx_add_sa(&f, &ab);
	pass(1);
	assert_int_equal(nsent, 2);
	assert_int_equal(sent[1].verdict, TDO_VERDICT_PROTECT);
	fx_delete_sa(&f, &ab);
	out(B, 2);
	pass(305);
	assert_int_equal(nsent, 2);
	pass(20);
	assert_int_equal(nsent, 3);
	assert_int_equal(sent[2].verdict, TDO_VERDICT_PASS);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_OUT_USE_NO_SA), 2);
	/* When the key manager gives up there is nothing to wait for. */
	out(B, 3);
	for (unsigned seq = 1; seq < 10; seq++)
		tdo_acquire_refused(f.e, seq, f.now);
	pass(1);
	assert_int_equal(nsent, 4);
	assert_int_equal(drops(TDO_REASON_HOLD_REFUSED), 0);
}

/* Whatever becomes of the policy: what was held for protection never goes in clear. */
static void
a_held_packet_never_goes_in_clear(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	out(B, 0);
	assert_int_equal(tdo_sp_flush(f.e), 1);
	pass(1);
	assert_int_equal(drops(TDO_REASON_HOLD_CLEAR), 1);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	out(B, 1);
	add_use(false);
	pass(1);
	assert_int_equal(drops(TDO_REASON_HOLD_CLEAR), 2);
	assert_int_equal(nsent, 0);
	out(B, 2); /* a new one does what the policy says now */
	assert_int_equal(nsent, 1);
}

/* The newest stay (RFC 1122 2.3.2.2). */
static void
the_queue_of_an_sa_is_bounded(void **state)
{
	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.0.0.0/24", ANY, "esp/transport//require");
	lim.packets = 3;
	out(C, 100);
	for (uint16_t i = 0; i < 10; i++)
		out(B, i);
	assert_int_equal(h.n, 4);
	assert_int_equal(nfull, 7);
	fx_add_sa(&f, &ab);
	pass(1);
	assert_int_equal(nsent, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sent[i].number, 7 + i);
	lim.packets = 0;
	fx_delete_sa(&f, &ab);
	out(B, 0);
	assert_int_equal(nfull, 8);
	assert_int_equal(h.n, 1);
}

static void
memory_is_bounded(void **state)
{
	static _Atomic size_t none;
	struct tdo_hold other;
	size_t one;

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.0.0.0/24", ANY, "esp/transport//require");
	out(B, 0);
	one = total;
	lim = (struct tdo_hold_limits){1000, 4 * one};
	for (uint16_t i = 1; i < 10; i++)
		out(B, i);
	assert_int_equal(h.n, 4);
	assert_int_equal(total, 4 * one);
	assert_int_equal(nfull, 6);
	/* Another worker shares the bytes and does not touch this one's packets. */
	tdo_hold_init(&other, &ops, &f, &total);
	{
		struct tdo_pkt *p = numbered(C, 0);

		tdo_out_classify(f.w, &p, 1, f.now);
		tdo_hold_burst(&other, &lim, &p, 1, 0, f.now);
		fx_pkt_free(p);
	}
	assert_int_equal(other.n, 0);
	assert_int_equal(h.n, 4);
	assert_int_equal(nfull, 7);
	tdo_hold_fini(&other);
	tdo_hold_init(&other, &ops, &f, &none);
	tdo_hold_fini(&other);
	lim.bytes = one - 1; /* a packet that can never fit puts nobody out */
	out(B, 11);
	assert_int_equal(h.n, 4);
}

static void
a_super_packet_stays_whole(void **state)
{
	struct tdo_pkt *p = fx_pkt_new(40000);

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	fx_pkt_free(p);
	p = fx_udp(&f.rng, A, B, 40000);
	p->gso = TDO_GSO_UDP;
	p->gso_size = 1400;
	p->flags |= TDO_PKT_CSUM_PARTIAL | TDO_PKT_FORWARDED;
	p->csum_start = 20;
	p->csum_off = 6;
	tdo_out_classify(f.w, &p, 1, f.now);
	tdo_hold_burst(&h, &lim, &p, 1, tdo_engine_generation(f.e), f.now);
	memset(p->buf, 0, p->cap);
	fx_pkt_free(p);
	fx_add_sa(&f, &ab);
	pass(1);
	assert_int_equal(nsent, 1);
	assert_int_equal(sent[0].len, 40028);
	assert_int_equal(sent[0].gso, TDO_GSO_UDP);
}

/* Waiting packets look again and again: that asks nobody more often. */
static void
waiting_does_not_ask_again(void **state)
{
	struct tdo_event ev;
	unsigned n = 0;

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, B, ANY, "esp/transport//require");
	out(B, 0);
	for (unsigned i = 0; i < 150; i++) {
		f.now += TDO_SEC / 10;
		tdo_engine_tick(f.e, f.now);
		tdo_hold_look(&h, i, f.now);
		while (tdo_engine_next_event(f.e, &ev))
			n++;
	}
	assert_int_equal(n, 1);
}

/* More SAs are missing at once than questions have room: in the end all of them are asked for. */
static void
a_question_that_was_lost_is_asked_later(void **state)
{
	bool asked[200] = {false};
	struct tdo_event ev;
	char dst[32];
	unsigned n = 0;

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.9.0.0/16", ANY, "esp/transport//require");
	for (uint16_t i = 0; i < 200; i++) {
		(void)snprintf(dst, sizeof(dst), "10.9.0.%u", i);
		out(dst, i);
	}
	assert_int_equal(h.n, 200);
	for (unsigned i = 0; i < 5; i++) {
		while (tdo_engine_next_event(f.e, &ev)) {
			assert_int_equal(ev.type, TDO_EVENT_ACQUIRE);
			assert_false(asked[ev.acquire.dst.b[3]]);
			asked[ev.acquire.dst.b[3]] = true;
			n++;
		}
		f.now += TDO_SEC;
		tdo_hold_look(&h, i, f.now);
	}
	assert_int_equal(n, 200);
}

/*
 * SAs come and go, packets of several flows are sent: what arrives of one flow is in order, and
 * what is not sent was dropped for a reason.
 */
static void
order_is_kept_whatever_happens(void **state)
{
	static const char *const dst[] = {B, C};
	const struct fx_sa *const sa[] = {&ab, &ac};
	bool have[2] = {false, false};
	uint16_t next[2] = {0, 0}, last[2];
	bool any[2] = {false, false};

	(void)state;
	fx_add_sp(&f, TDO_DIR_OUT, A, "10.0.0.0/24", ANY, "esp/transport//require");
	for (unsigned round = 0; round < 3000; round++) {
		unsigned i = rng_below(&f.rng, 2);

		switch (rng_below(&f.rng, 8)) {
		case 0:
			if (have[i])
				fx_delete_sa(&f, sa[i]);
			else
				fx_add_sa(&f, sa[i]);
			have[i] = !have[i];
			break;
		case 1:
			pass(rng_below(&f.rng, 3));
			break;
		default:
			out(dst[i], next[i]++);
			break;
		}
		assert_true(h.n <= 16);
	}
	for (unsigned k = 0; k < nsent; k++) {
		unsigned i = sent[k].dst == 2 ? 0 : 1;

		assert_int_equal(sent[k].verdict, TDO_VERDICT_PROTECT);
		if (any[i])
			assert_true(sent[k].number > last[i]);
		any[i] = true;
		last[i] = sent[k].number;
	}
	assert_true(nsent > 500);
	assert_int_equal(nsent + h.n + nfull + drops(TDO_REASON_HOLD_TIMEOUT), next[0] + next[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(d38_packets_wait_for_their_sa),
	    T(a_new_packet_does_not_overtake),
	    T(waiting_ends_after_larval_lifetime),
	    T(waiting_ends_when_the_key_manager_gives_up),
	    T(without_key_manager_nobody_waits),
	    T(d37_level_use_waits_if_the_policy_says_so),
	    T(a_held_packet_never_goes_in_clear),
	    T(the_queue_of_an_sa_is_bounded),
	    T(memory_is_bounded),
	    T(a_super_packet_stays_whole),
	    T(waiting_does_not_ask_again),
	    T(a_question_that_was_lost_is_asked_later),
	    T(order_is_kept_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
