/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY endpoint towards key managers: ACQUIRE, GETSPI, X_SPDSETIDX. */
#include "pfkey_world.h"

static void
a_packet_without_an_sa_makes_an_acquire(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sadb_address dst;
	struct tdo_sadb_policy pol;
	struct tdo_sadb_comb c;
	bool gcm = false;
	uint32_t id;

	be_manager(w, TDO_SATYPE_ESP);
	id = want_sp(w, &sp);
	ask(w);
	exactly(&got, 4, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST, TDO_SADB_X_EXT_POLICY,
	    TDO_SADB_EXT_PROPOSAL);
	assert_int_equal(got.base.satype, TDO_SATYPE_ESP);
	assert_int_not_equal(got.base.seq, 0);
	assert_int_equal(got.base.pid, 0);
	assert_true(tdo_sadb_get_address(&got, TDO_SADB_EXT_ADDRESS_DST, &dst));
	assert_true(tdo_addr_equal(&dst.addr, &B4));
	assert_int_equal(dst.plen, 32);
	assert_int_equal(dst.proto, TDO_PROTO_ANY);
	assert_true(tdo_sadb_get_policy(&got, &pol));
	assert_int_equal(pol.id, id);
	assert_int_equal(pol.nreq, 0);
	for (unsigned i = 0; tdo_sadb_get_comb(&got, i, &c); i++) {
		assert_true(c.encrypt != 0 && c.encrypt != 11 && c.encrypt != 2); /* null, DES */
		assert_true(c.soft.addtime > 0 && c.soft.addtime < c.hard.addtime);
		gcm |= c.encrypt == 20 && c.auth == 0;
	}
	assert_true(gcm);
	silence(w->a);
}

/* A user asks key managers for an SA. */
static void
ask_for_sa(struct world *w, int err)
{
	begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ACQUIRE, err);
}

static void
acquire_from_a_user_reaches_key_managers(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	be_manager(w, TDO_SATYPE_ESP);
	ask_for_sa(w, 0);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	ask_for_sa(w, EEXIST);
	say_base(w->a, TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	hear(w->a, TDO_SADB_ACQUIRE, EINVAL);
	begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	request[2] = ETIMEDOUT; /* a key manager gives up */
	say(w->b, NOW);
	silence(w->a);
	silence(w->b);
}

/* Without a key manager there is nobody to wait for; one that comes is asked at once. */
static void
only_registered_key_managers_are_asked(void **state)
{
	struct world *w = *state;

	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	assert_int_equal(send_packet(w), TDO_VERDICT_DROP);
	be_manager(w, TDO_SATYPE_ESP);
	tick(w, NOW);
	silence(w->b);
	ask(w);
	/* One for AH only is no help. */
	tdo_pfkey_close(w->b);
	w->b = client(w, true, 1);
	be_manager(w, TDO_SATYPE_AH);
	assert_int_equal(send_packet(w), TDO_VERDICT_DROP);
	/* A new one was not asked yet, though the question is still open. */
	be_manager(w, TDO_SATYPE_ESP);
	ask(w);
	silence(w->b);
}

static void
level_use_asks_and_sends_in_clear(void **state)
{
	struct world *w = *state;

	be_manager(w, TDO_SATYPE_ESP);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_USE);
	for (unsigned i = 0; i < 11; i++) { /* blockacq_count is 10 */
		assert_int_equal(send_packet(w), TDO_VERDICT_PASS);
		tick(w, NOW);
		if (i == 0)
			hear(w->b, TDO_SADB_ACQUIRE, 0);
	}
	silence(w->b);
	assert_int_equal(send_packet(w), TDO_VERDICT_PASS);
	tick(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	assert_int_equal(tdo_stat_read(w->e, TDO_STAT_OUT_USE_NO_SA), 12);
}

/* GETSPI with the number of the acquire, UPDATE with it, ADD with it: a whole negotiation. */
static void
a_key_manager_answers(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sadb_sa sa;
	uint32_t seq;

	be_manager(w, TDO_SATYPE_ESP);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	seq = ask(w);
	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	memcpy(request + 8, &seq, 4);
	tdo_sadb_put_sa_addrs(&wr, &B4, &A4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){0xc0000000, 0xcfffffff});
	say(w->b, NOW);
	hear(w->b, TDO_SADB_GETSPI, 0);
	assert_int_equal(got.base.seq, seq);
	assert_true(tdo_sadb_get_sa(&got, &sa));
	assert_in_range(sa.spi, 0xc0000000, 0xcfffffff);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
		tick(w, NOW);
	}
	silence(w->b); /* it is at work: nothing is asked again */
	p.key.spi = 0x1001;
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	memcpy(request + 8, &seq, 4);
	tdo_sadb_put_sa_param(&wr, &p);
	say(w->b, NOW);
	hear(w->b, TDO_SADB_ADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_SEND);
	say_key(w->b, TDO_SADB_DELETE, 0x1001);
	hear(w->b, TDO_SADB_DELETE, 0);
	ask(w); /* that question was answered, this is a new one */
	assert_int_not_equal(got.base.seq, seq);
}

static void
a_key_manager_that_gives_up_is_asked_again(void **state)
{
	struct world *w = *state;
	uint32_t seq;

	be_manager(w, TDO_SATYPE_ESP);
	want(w, TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	seq = ask(w);
	/* A wrong number, the right one, no number. */
	for (uint32_t n = seq + 1; n + 1 >= seq; n--) {
		begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
		request[2] = ETIMEDOUT;
		memcpy(request + 8, &n, 4);
		say(w->b, NOW);
		silence(w->b);
		assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
		tick(w, NOW);
		if (n == seq)
			hear(w->b, TDO_SADB_ACQUIRE, 0);
		silence(w->b);
		if (n == 0)
			break;
	}
}

/* ---- X_SPDSETIDX
 * --------------------------------------------------------------------------------- */

/* As KAME: a policy without requests asks for them. */
static void
setidx_asks_for_the_requests(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sadb_policy pol;
	uint32_t id, seq;

	be_manager(w, TDO_SATYPE_ESP);
	sp.nreq = 0;
	spd(w, TDO_SADB_X_SPDADD, &sp, EINVAL);
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
	id = policy_id();
	hear(w->b, TDO_SADB_X_SPDSETIDX, 0);
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, EEXIST);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tick(w, NOW);
	hear(w->b, TDO_SADB_X_SPDACQUIRE, 0);
	exactly(&got, 1, TDO_SADB_X_EXT_POLICY);
	assert_true(tdo_sadb_get_policy(&got, &pol));
	assert_int_equal(pol.id, id);
	seq = got.base.seq;
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tick(w, NOW);
	silence(w->b);
	begin(TDO_SADB_X_SPDACQUIRE, 0); /* no: the next packet asks again */
	request[2] = ENOENT;
	memcpy(request + 8, &seq, 4);
	say(w->b, NOW);
	silence(w->b);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tick(w, NOW);
	hear(w->b, TDO_SADB_X_SPDACQUIRE, 0);
	sp.type = TDO_POLICY_NONE;
	spd(w, TDO_SADB_X_SPDUPDATE, &sp, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_PASS);
	/* With requests, and of other types, it is an X_SPDADD. */
	sp = sample_sp(9);
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
	sp = sample_sp(10);
	sp.type = TDO_POLICY_DISCARD;
	sp.nreq = 0;
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
}

/* Inbound nobody said yet what is enough: nothing is. */
static void
an_inbound_policy_without_requests_lets_nothing_pass(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	const struct tdo_ip_hdr h = {.src = A4, .dst = B4, .ttl = 64, .proto = TDO_IPPROTO_UDP};
	uint8_t buf[TDO_HEADROOM + 28 + TDO_TAILROOM] = {0};
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM, .len = 28};
	struct tdo_pkt *const burst[] = {&p};

	sp.dir = TDO_DIR_IN;
	sp.nreq = 0;
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
	tdo_ip_build(tdo_pkt_data(&p), &h, 8);
	buf[TDO_HEADROOM + 25] = 8;
	tdo_in_clear(tdo_engine_worker(w->e, 0), burst, 1, NOW);
	assert_int_equal(p.verdict, TDO_VERDICT_DROP);
	assert_int_equal(p.reason, TDO_REASON_IN_CLEAR);
}

/* ---- selectors
 * ----------------------------------------------------------------------------------- */

/* A policy that wants an SA for each flow: the flow is in the question (D45). */
static void
d45_acquire_of_a_flow_has_its_selectors(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct tdo_sel sel;

	be_manager(w, TDO_SATYPE_ESP);
	sp.pfp = TDO_PFP_SRC | TDO_PFP_PROTO;
	want_sp(w, &sp);
	ask(w);
	exactly(&got, 5, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST, TDO_SADB_X_EXT_POLICY,
	    TDO_SADB_EXT_PROPOSAL, TDO_SADB_X_EXT_TDO_SEL);
	assert_true(tdo_sadb_get_tdo_sel(&got, &sel));
	assert_true(tdo_addr_equal(&sel.src, &A4));
	assert_int_equal(sel.src_plen, 32);
	assert_int_equal(sel.proto, TDO_IPPROTO_UDP);
	assert_int_equal(sel.dport.hi, UINT16_MAX);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_packet_without_an_sa_makes_an_acquire),
	    T(acquire_from_a_user_reaches_key_managers),
	    T(only_registered_key_managers_are_asked),
	    T(level_use_asks_and_sends_in_clear),
	    T(a_key_manager_answers),
	    T(a_key_manager_that_gives_up_is_asked_again),
	    T(setidx_asks_for_the_requests),
	    T(an_inbound_policy_without_requests_lets_nothing_pass),
	    T(d45_acquire_of_a_flow_has_its_selectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
