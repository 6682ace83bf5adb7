/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY endpoint towards key managers: ACQUIRE, GETSPI, UPDATE, EXPIRE, proposals. */
#include "pfkey_world.h"
#include "testudo/comp.h"

static void
at(struct world *w, tdo_ns now)
{
	tdo_engine_tick(w->e, now);
	tdo_pfkey_events(w->k, now);
}

/* The message has these n extensions, each once and no other. */
static void
exactly(const struct tdo_sadb_msg *m, int n, ...)
{
	va_list ap;

	va_start(ap, n);
	assert_int_equal(m->next, n);
	for (int i = 0; i < n; i++)
		assert_true(tdo_sadb_has(m, (enum tdo_sadb_ext_type)va_arg(ap, int)));
	va_end(ap);
}

static void
set(struct world *w, enum tdo_knob k, int32_t v)
{
	assert_int_equal(tdo_knob_set(w->e, k, TDO_AF_INET, v), 0);
}

/* b is a key manager. */
static void
be_manager(struct world *w)
{
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->b, TDO_SADB_REGISTER, 0);
}

/* A policy for the packet of send_packet(); returns its id. */
static uint32_t
want(struct world *w, uint8_t level)
{
	struct tdo_sp_param sp = sample_sp(0);

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] = (struct tdo_req){.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = level};
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	return policy_id();
}

/* ---- expiry ------------------------------------------------------------------------------ */

static void
d13_expiry_is_told_to_registered_clients(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sp_param sp = sample_sp(1);
	struct tdo_sadb_sa sa;

	p.soft.addtime = 5;
	p.hard.addtime = 10;
	p.has_soft = p.has_hard = true;
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	at(w, NOW + 7 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	exactly(&got, 6, TDO_SADB_EXT_SA, TDO_SADB_X_EXT_SA2, TDO_SADB_EXT_LIFETIME_CURRENT,
	    TDO_SADB_EXT_LIFETIME_SOFT, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST);
	assert_true(tdo_sadb_get_sa(&got, &sa));
	assert_int_equal(sa.spi, 0x1001);
	assert_int_equal(got.base.satype, TDO_SATYPE_ESP);
	at(w, NOW + 12 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	exactly(&got, 6, TDO_SADB_EXT_SA, TDO_SADB_X_EXT_SA2, TDO_SADB_EXT_LIFETIME_CURRENT,
	    TDO_SADB_EXT_LIFETIME_HARD, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST);
	silence(w->a); /* not registered */

	sp.lifetime = 5;
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	at(w, NOW + 30 * TDO_SEC);
	hear(w->b, TDO_SADB_X_SPDEXPIRE, 0);
	exactly(&got, 5, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST,
	    TDO_SADB_EXT_LIFETIME_CURRENT, TDO_SADB_EXT_LIFETIME_HARD, TDO_SADB_X_EXT_POLICY);
	silence(w->a);
}

/* Never used: the soft limit is told all the same, and the SA stays. */
static void
d14_expiry_of_an_unused_sa_is_told(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_lifetime l;

	be_manager(w);
	p.soft.addtime = 1;
	p.has_soft = true; /* soft alone (D12) */
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	at(w, NOW + 2 * TDO_SEC);
	hear(w->b, TDO_SADB_EXPIRE, 0);
	assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_CURRENT, &l));
	assert_int_equal(l.allocations, 0);
	assert_int_equal(l.usetime, 0);
	assert_true(tdo_sadb_get_lifetime(&got, TDO_SADB_EXT_LIFETIME_SOFT, &l));
	assert_int_equal(l.addtime, 1);
	at(w, NOW + 50 * TDO_SEC);
	silence(w->b);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

/* A newer SA does not delete the older one, so no DELETE is sent, right or wrong. */
static void
d17_d18_a_newer_sa_leaves_the_older(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	be_manager(w);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	p.key.spi = 0x1002;
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	want(w, TDO_LEVEL_REQUIRE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(send_packet(w), TDO_VERDICT_SEND);
		at(w, NOW + i * TDO_SEC);
	}
	silence(w->b);
	/* What is deleted is named by its own addresses. */
	say_key(w->a, TDO_SADB_DELETE, 0x1002);
	hear(w->b, TDO_SADB_DELETE, 0);
	{
		struct tdo_sa_key k;

		assert_int_equal(tdo_sadb_get_sa_key(&got, &k, NULL), 0);
		assert_true(tdo_addr_equal(&k.src, &A4) && tdo_addr_equal(&k.dst, &B4));
		assert_int_equal(k.spi, 0x1002);
	}
	assert_int_equal(send_packet(w), TDO_VERDICT_SEND); /* the older serves again */
}

/* ---- acquires ---------------------------------------------------------------------------- */

static void
a_packet_without_an_sa_makes_an_acquire(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sadb_address dst;
	struct tdo_sadb_policy pol;
	struct tdo_sadb_comb c;
	bool gcm = false;
	uint32_t id;

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] =
	    (struct tdo_req){.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	id = policy_id();
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
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

static void
acquire_from_a_user_reaches_key_managers(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ACQUIRE, 0);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ACQUIRE, EEXIST);
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

	want(w, TDO_LEVEL_REQUIRE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_DROP);
	be_manager(w);
	at(w, NOW);
	silence(w->b);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	/* One for AH only is no help. */
	tdo_pfkey_close(w->b);
	w->b = client(w, true, 1);
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_AH);
	hear(w->b, TDO_SADB_REGISTER, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_DROP);
	/* A new one was not asked yet, though the question is still open. */
	be_manager(w);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	silence(w->b);
}

static void
level_use_asks_and_sends_in_clear(void **state)
{
	struct world *w = *state;

	be_manager(w);
	want(w, TDO_LEVEL_USE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	for (unsigned i = 0; i < 11; i++) { /* blockacq_count is 10 */
		assert_int_equal(send_packet(w), TDO_VERDICT_PASS);
		at(w, NOW);
		if (i == 0)
			hear(w->b, TDO_SADB_ACQUIRE, 0);
	}
	silence(w->b);
	assert_int_equal(send_packet(w), TDO_VERDICT_PASS);
	at(w, NOW);
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

	be_manager(w);
	want(w, TDO_LEVEL_REQUIRE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	seq = got.base.seq;
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
		at(w, NOW);
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
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0); /* that question was answered, this is a new one */
	assert_int_not_equal(got.base.seq, seq);
}

static void
a_key_manager_that_gives_up_is_asked_again(void **state)
{
	struct world *w = *state;
	uint32_t seq;

	be_manager(w);
	want(w, TDO_LEVEL_REQUIRE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	seq = got.base.seq;
	for (uint32_t n = seq + 1; n + 1 >= seq;
	     n--) { /* a wrong number, the right one, no number */
		begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
		request[2] = ETIMEDOUT;
		memcpy(request + 8, &n, 4);
		say(w->b, NOW);
		silence(w->b);
		assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
		at(w, NOW);
		if (n == seq)
			hear(w->b, TDO_SADB_ACQUIRE, 0);
		silence(w->b);
		if (n == 0)
			break;
	}
}

/* ---- X_SPDSETIDX --------------------------------------------------------------------------- */

/* As KAME: a policy without requests asks for them. */
static void
setidx_asks_for_the_requests(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sadb_policy pol;
	uint32_t id, seq;

	be_manager(w);
	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.nreq = 0;
	spd(w, TDO_SADB_X_SPDADD, &sp, EINVAL);
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
	id = policy_id();
	hear(w->b, TDO_SADB_X_SPDSETIDX, 0);
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, EEXIST);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_X_SPDACQUIRE, 0);
	exactly(&got, 1, TDO_SADB_X_EXT_POLICY);
	assert_true(tdo_sadb_get_policy(&got, &pol));
	assert_int_equal(pol.id, id);
	seq = got.base.seq;
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	silence(w->b);
	begin(TDO_SADB_X_SPDACQUIRE, 0); /* no: the next packet asks again */
	request[2] = ENOENT;
	memcpy(request + 8, &seq, 4);
	say(w->b, NOW);
	silence(w->b);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
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
	struct tdo_sp_param sp = sample_sp(0);
	const struct tdo_ip_hdr h = {.src = A4, .dst = B4, .ttl = 64, .proto = TDO_IPPROTO_UDP};
	uint8_t buf[TDO_HEADROOM + 28 + TDO_TAILROOM] = {0};
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM, .len = 28};
	struct tdo_pkt *const burst[] = {&p};

	sp.dir = TDO_DIR_IN;
	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.nreq = 0;
	spd(w, TDO_SADB_X_SPDSETIDX, &sp, 0);
	tdo_ip_build(tdo_pkt_data(&p), &h, 8);
	buf[TDO_HEADROOM + 25] = 8;
	tdo_in_clear(tdo_engine_worker(w->e, 0), burst, 1, NOW);
	assert_int_equal(p.verdict, TDO_VERDICT_DROP);
	assert_int_equal(p.reason, TDO_REASON_IN_CLEAR);
}

/* A policy that wants an SA for each flow: the flow is in the question (D45). */
static void
d45_acquire_of_a_flow_has_its_selectors(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sel sel;

	be_manager(w);
	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.pfp = TDO_PFP_SRC | TDO_PFP_PROTO;
	sp.req[0] =
	    (struct tdo_req){.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	exactly(&got, 5, TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST, TDO_SADB_X_EXT_POLICY,
	    TDO_SADB_EXT_PROPOSAL, TDO_SADB_X_EXT_TDO_SEL);
	assert_true(tdo_sadb_get_tdo_sel(&got, &sel));
	assert_true(tdo_addr_equal(&sel.src, &A4));
	assert_int_equal(sel.src_plen, 32);
	assert_int_equal(sel.proto, TDO_IPPROTO_UDP);
	assert_int_equal(sel.dport.hi, UINT16_MAX);
}

/* ---- proposals ----------------------------------------------------------------------------- */

/* Asks for an acquire of this SA type and reads its combinations; returns how many. */
static unsigned
proposal(struct world *w, struct tdo_sadb_comb *list, unsigned max)
{
	unsigned n = 0;

	tdo_engine_set_acquirers(w->e, 0); /* forget what was asked */
	tdo_engine_set_acquirers(w->e, UINT32_MAX);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	while (tdo_sadb_get_comb(&got, n, &list[n]))
		assert_true(++n < max);
	return n;
}

static void
d16_d40_proposals_are_complete_and_strong(void **state)
{
	struct world *w = *state;
	static struct tdo_sadb_comb c[200];
	unsigned combined, n, pairs = 0;

	be_manager(w);
	want(w, TDO_LEVEL_REQUIRE);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	n = combined = proposal(w, c, COUNT(c));
	assert_true(n > 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(c[i].auth, 0); /* esp_auth is 0 */
		assert_true(
		    c[i].encrypt_minbits >= 256 && c[i].encrypt_minbits <= c[i].encrypt_maxbits);
		assert_true(tdo_alg_keylen_ok(tdo_alg_enc(c[i].encrypt), c[i].encrypt_minbits));
		assert_int_equal(tdo_alg_enc(c[i].encrypt)->kind, TDO_ALG_AEAD);
		assert_int_equal(c[i].hard.addtime, 86400);
		assert_int_equal(c[i].soft.addtime, 69120);
		assert_int_equal(c[i].hard.usetime, 28800);
		assert_int_equal(c[i].soft.usetime, 23040);
	}
	set(w, TDO_KNOB_ESP_AUTH, 1);
	n = proposal(w, c, COUNT(c));
	for (unsigned i = 0; i < n; i++) {
		assert_true(tdo_alg_enc(c[i].encrypt)->level <= TDO_LEVEL_SHOULD);
		assert_true(c[i].encrypt_minbits >= 256);
		if (c[i].auth == 0)
			continue;
		pairs++;
		assert_true(tdo_alg_auth(c[i].auth)->level <= TDO_LEVEL_SHOULD);
		assert_true(c[i].auth_minbits >= 128);
		assert_true(tdo_alg_keylen_ok(tdo_alg_auth(c[i].auth), c[i].auth_minbits));
	}
	assert_int_equal(n, combined + pairs);
	assert_true(pairs > 0);
	set(w, TDO_KNOB_AH_KEYMIN, 4096); /* no algorithm has such keys */
	assert_int_equal(proposal(w, c, COUNT(c)), combined);
	set(w, TDO_KNOB_ESP_KEYMIN, 4096);
	assert_int_equal(proposal(w, c, COUNT(c)), 0);
	set(w, TDO_KNOB_ESP_KEYMIN, 0);
	n = proposal(w, c, COUNT(c));
	assert_true(n > 0 && c[0].encrypt_minbits < 256);
}

/* Authentication alone, and nothing that GMAC, which RFC 8221 only allows, would add. */
static void
ah_is_proposed_without_ciphers(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sadb_comb c[128];
	unsigned n;

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] = (struct tdo_req){
	    .proto = TDO_IPPROTO_AH, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_AH);
	hear(w->b, TDO_SADB_REGISTER, 0);
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	n = proposal(w, c, COUNT(c));
	assert_int_equal(got.base.satype, TDO_SATYPE_AH);
	assert_true(n >= 3);
	assert_int_equal(c[0].auth, 5);
	for (unsigned i = 0; i < n; i++) {
		const struct tdo_alg *a = tdo_alg_auth(c[i].auth);

		assert_int_equal(c[i].encrypt + c[i].encrypt_minbits + c[i].encrypt_maxbits, 0);
		assert_true(a->level <= TDO_LEVEL_SHOULD && !a->no_auth && !a->ah_only);
		assert_int_equal(c[i].auth_minbits, a->key_min);
		assert_int_equal(c[i].hard.addtime, 86400);
	}
	set(w, TDO_KNOB_AH_KEYMIN, 256);
	assert_true(proposal(w, c, COUNT(c)) < n);
}

/* KAME: the compression algorithm in the place of the cipher, without bits of a key. */
static void
ipcomp_is_proposed_without_keys(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	struct tdo_sadb_comb c[128];

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] = (struct tdo_req){
	    .proto = TDO_IPPROTO_IPCOMP, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_IPCOMP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(proposal(w, c, COUNT(c)), tdo_comp_alg(2)->not_there ? 0 : 1);
	assert_int_equal(got.base.satype, TDO_SATYPE_IPCOMP);
	if (tdo_comp_alg(2)->not_there)
		return; /* built without libdeflate */
	assert_int_equal(c[0].encrypt, 2);
	assert_int_equal(c[0].encrypt_minbits + c[0].encrypt_maxbits, 0);
	assert_int_equal(c[0].auth + c[0].auth_minbits + c[0].auth_maxbits, 0);
	assert_int_equal(c[0].hard.addtime, 86400);
}

/* ---- UPDATE ---------------------------------------------------------------------------------- */

static struct tdo_sa_info
look(struct world *w, uint32_t spi)
{
	struct tdo_sa_info info;

	say_key(w->a, TDO_SADB_GET, spi);
	hear(w->a, TDO_SADB_GET, 0);
	assert_int_equal(tdo_sadb_get_sa_info(&got, &info, NULL), 0);
	return info;
}

/* SA with SPI and algorithms, addresses, nothing else. */
static void
say_update(
    struct world *w, const struct tdo_sadb_sa *sa, bool keys, const struct tdo_addr *src, int err)
{
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, sa);
	tdo_sadb_put_sa_addrs(&wr, src, &B4);
	if (keys) {
		tdo_sadb_put_key(&wr, TDO_SADB_EXT_KEY_ENCRYPT, key, 128);
		tdo_sadb_put_key(&wr, TDO_SADB_EXT_KEY_AUTH, key, 160);
	}
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, err);
}

static void
an_update_changes_what_it_says(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sa_info i;

	p.replay = 4096;
	p.mode = TDO_MODE_TUNNEL;
	p.flags = TDO_SAF_PZERO;
	add(w, &p, 0);
	say_update(w, &(struct tdo_sadb_sa){.spi = 0x1001}, false, &A4, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 4096);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.reqid, 7);
	assert_int_equal(i.param.flags, TDO_SAF_PZERO);
	assert_int_equal(i.param.ealg, 12);
	/* New algorithms come with their flags; mode and window stay. */
	say_update(w, &(struct tdo_sadb_sa){.spi = 0x1001, .auth = 3, .encrypt = 12}, true, &A4, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.flags, 0);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.replay, 4096);
	/* What is said counts. */
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001, .replay = 8});
	tdo_sadb_put_sa2(&wr, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TRANSPORT, .reqid = 9});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 64);
	assert_int_equal(i.param.mode, TDO_MODE_TRANSPORT);
	assert_int_equal(i.param.reqid, 9);
	/* A window of 0, said aloud. */
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_replay(&wr, 0);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	i = look(w, 0x1001);
	assert_int_equal(i.param.replay, 0);
}

static void
a_larval_sa_is_completed_by_its_name(void **state)
{
	struct world *w = *state;
	struct tdo_sa_info i;

	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa2(&wr, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TUNNEL, .reqid = 3});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){4096, 4096});
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GETSPI, 0);
	say_update(
	    w, &(struct tdo_sadb_sa){.spi = 4097, .auth = 3, .encrypt = 12}, true, &A4, ENOENT);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096, .auth = 3, .encrypt = 12}, true,
	    &(struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, 9}}, ENOENT);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096}, false, &A4, EINVAL); /* no keys yet */
	assert_int_equal(look(w, 4096).param.state, TDO_SA_LARVAL);
	say_update(w, &(struct tdo_sadb_sa){.spi = 4096, .auth = 3, .encrypt = 12}, true, &A4, 0);
	i = look(w, 4096);
	assert_int_equal(i.param.state, TDO_SA_MATURE);
	assert_int_equal(i.param.mode, TDO_MODE_TUNNEL);
	assert_int_equal(i.param.reqid, 3);
}

/* ---- sizes -------------------------------------------------------------------------------------
 */

/* BSD takes 2048 bytes; eight requests with IPv6 endpoints, identities and a long one fit here. */
static void
d51_messages_may_be_long(void **state)
{
	struct world *w = *state;
	static uint8_t big[60000];
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_wr b = tdo_wr_init(big, sizeof(big));
	size_t len;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3, .seq = 77});
	tdo_sadb_put_sa_param(&b, &p);
	for (uint16_t type = TDO_SADB_EXT_IDENTITY_SRC; type <= TDO_SADB_EXT_IDENTITY_DST; type++) {
		const uint16_t units = 1000;

		tdo_wr_h16(&b, units);
		tdo_wr_h16(&b, type);
		tdo_wr_h16(&b, TDO_SADB_IDENT_FQDN);
		tdo_wr_zero(&b, 10);
		for (unsigned i = 0; i < units * 8u - 24; i++)
			tdo_wr_u8(&b, 'x');
		tdo_wr_zero(&b, 8);
	}
	len = tdo_sadb_end(&b);
	assert_true(len > 16000);
	tdo_pfkey_input(w->a, big, len, NOW);
	hear(w->a, TDO_SADB_ADD, 0); /* and it is told in full, without the keys */
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_IDENTITY_SRC));
	assert_int_equal(got.ext[TDO_SADB_EXT_IDENTITY_DST].len, 8000);
	hear(w->b, TDO_SADB_ADD, 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

/* Every length and family of every socket address: refused, or it is a good one. */
static void
d26_lengths_of_socket_addresses_are_checked(void **state)
{
	struct world *w = *state;
	static uint8_t copy[4096];
	const struct tdo_sp_param sp = sample_sp(1);
	unsigned good = 0, bad = 0;
	size_t len;

	begin(TDO_SADB_X_SPDADD, 0);
	tdo_sadb_put_sp_param(&wr, &sp);
	len = tdo_sadb_end(&wr);
	for (size_t at = TDO_SADB_BASE_LEN; at + 1 < len; at++) {
		if (request[at] != TDO_SADB_SIN_LEN || request[at + 1] != TDO_SADB_AF_INET)
			continue;
		for (unsigned v = 0; v < 512; v++) { /* a length, then a family */
			memcpy(copy, request, len);
			copy[at + v / 256] = (uint8_t)v;
			tdo_pfkey_input(w->a, copy, len, NOW);
			assert_true(tdo_pfkey_pull(w->a, answer, sizeof(answer)) > 0);
			if (answer[2] == 0)
				good++;
			else
				bad++;
			tdo_sp_flush(w->e);
			drain(w->b);
		}
	}
	/* Two selectors and two endpoints; of each the value itself as length and as family. */
	assert_int_equal(good, 8);
	assert_int_equal(bad, 4 * 512 - 8);
}

/* ---- what the operator is told --------------------------------------------------------------- */

static void
debug_is_a_mask(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	assert_int_equal(w->lines, 0);
	set(w, TDO_KNOB_KEY_DEBUG, 0x03); /* which messages was not said */
	add(w, &p, EEXIST);
	assert_int_equal(w->lines, 0);
	set(w, TDO_KNOB_KEY_DEBUG, 0x11);
	add(w, &p, EEXIST);
	assert_int_equal(w->lines, 1);
	assert_non_null(strstr(w->log, "SADB_ADD"));
	assert_non_null(strstr(w->log, "pid 4711"));
	assert_non_null(strstr(w->log, "errno 17"));
	set(w, TDO_KNOB_KEY_DEBUG, 0x13);
	p.key.spi = 0xabcdef;
	add(w, &p, 0);
	assert_non_null(strstr(w->log, "spi 0xabcdef"));
	assert_non_null(strstr(w->log, "SADB_EXT_ADDRESS_DST 10.0.0.2/32"));
	assert_non_null(strstr(w->log, "SADB_EXT_KEY_ENCRYPT, "));
	assert_null(strstr(w->log, "0123456789")); /* keys never */
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);       /* malformed: why */
	request[16] = 9;
	tdo_pfkey_input(w->a, request, 16, NOW);
	assert_non_null(strstr(w->log, "message length is not the length received"));
	drain(w->a);
	/* Events. */
	w->log[0] = 0;
	set(w, TDO_KNOB_KEY_DEBUG, 0x43);
	drain(w->b);
	be_manager(w);
	want(w, TDO_LEVEL_REQUIRE);
	drain(w->b);
	tdo_sa_flush(w->e, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	at(w, NOW);
	assert_non_null(strstr(w->log, "SADB_ACQUIRE"));
	assert_non_null(strstr(w->log, "SADB_EXT_PROPOSAL"));
	assert_null(strstr(w->log, "SADB_REGISTER"));
}

static void
messages_are_counted(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	struct tdo_sa_param p = sample(0x1001);

	be_manager(w);
	add(w, &p, 0);
	add(w, &p, EEXIST);
	assert_int_equal(s->out_total, 3);
	assert_int_equal(s->out_msgtype[TDO_SADB_ADD], 2);
	assert_int_equal(s->out_msgtype[TDO_SADB_REGISTER], 1);
	assert_int_equal(s->out_refused, 1);
	assert_int_equal(s->in_one, 3);
	assert_int_equal(s->in_all, 1);
	assert_int_equal(s->in_registered, 1);
	tdo_pfkey_input(w->a, request, 7, NOW);
	say_base(w->a, TDO_SADB_DUMP, TDO_SADB_SATYPE_MIP);
	say_base(w->a, TDO_SADB_DUMP, 4);
	assert_int_equal(s->out_tooshort, 1);
	assert_int_equal(s->out_invsatype, 2);
	assert_int_equal(s->in_total, 3);
	drain(w->a);
	drain(w->b);
	assert_int_equal(s->in_total, 7);
	assert_int_equal(s->in_msgtype[TDO_SADB_ADD], 3);
	assert_true(s->in_bytes > 7 * 16 && s->out_bytes > 200);
}

/* What is wrong with a message, by the counters of the BSDs; each fault moves its own alone. */
static void
malformed_messages_are_counted_by_their_fault(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	struct tdo_sa_param p = sample(0x1001);
	const struct {
		const uint64_t *counter;
		unsigned at; /* this byte ... */
		uint8_t v;   /* ... becomes this */
		unsigned cut;
	} cases[] = {
	    {&s->out_tooshort, 0, 2, 15},
	    {&s->out_invlen, 4, 1, 0},
	    {&s->out_invver, 0, 1, 0},
	    {&s->out_invmsgtype, 1, 0, 0},
	    {&s->out_invmsgtype, 1, 200, 0},
	    {&s->out_invsatype, 3, 0, 0},
	    {&s->out_invsatype, 3, 1, 0},
	    {&s->out_invexttype, 18, 120, 0},
	    {&s->out_inval, 16, 0, 0}, /* length of an extension: the BSDs have no name for it */
	    {&s->out_dupext, 34, TDO_SADB_EXT_SA, 0},
	};
	static uint8_t copy[4096];
	struct tdo_wr b;
	size_t len;

	for (unsigned i = 0; i < COUNT(cases); i++) {
		uint64_t before = *cases[i].counter, total = s->out_total, sum = 0;

		b = tdo_wr_init(copy, sizeof(copy));
		tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
		tdo_sadb_put_sa_head(&b, &p);
		len = tdo_sadb_end(&b);
		if (cases[i].counter == &s->out_dupext) { /* SA2 is as long as SA */
			assert_int_equal(copy[34], TDO_SADB_X_EXT_SA2);
			memcpy(copy + 32, copy + 16, 16);
		}
		copy[cases[i].at] = cases[i].v;
		copy[cases[i].at + 1] = cases[i].at >= 16 ? 0 : copy[cases[i].at + 1];
		tdo_pfkey_input(w->a, copy, cases[i].cut ? cases[i].cut : len, NOW);
		if (*cases[i].counter != before + 1)
			fail_msg("case %u was not counted", i);
		assert_int_equal(s->out_total, total + 1);
		sum = s->out_tooshort + s->out_invlen + s->out_invver + s->out_invmsgtype +
		      s->out_invsatype + s->out_dupext + s->out_invexttype + s->out_invaddr +
		      s->out_inval + s->out_nomem;
		for (unsigned t = 0; t < TDO_PFKEY_TYPES; t++)
			sum += s->out_msgtype[t];
		assert_int_equal(sum, s->out_total);
	}
}

static void
addresses_that_cannot_be_are_counted(void **state)
{
	struct world *w = *state;
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(w->k);
	static uint8_t copy[4096];
	struct tdo_wr b = tdo_wr_init(copy, sizeof(copy));
	size_t len;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_DELETE, .satype = 3});
	tdo_sadb_put_sa_addrs(&b, &A4, &B4);
	len = tdo_sadb_end(&b);
	copy[16 + 8] = 77; /* the family of the source */
	tdo_pfkey_input(w->a, copy, len, NOW);
	assert_int_equal(s->out_invaddr, 1);
	tdo_pfkey_count_sockerr(w->k);
	assert_int_equal(s->sockerr, 1);
}

/* ---- a client that does not read ------------------------------------------------------------- */

/* A dump under way, ten seconds of 10,000 changes: bounded, nobody waits, the dump is whole. */
static void
d02_a_stalled_dump_costs_no_memory_and_no_time(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p;
	unsigned n = 0;
	long before = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		p = sample(0x1000 + i);
		add(w, &p, 0);
	}
	drain(w->b);
	say_base(w->b, TDO_SADB_DUMP, 0);
	hear(w->b, TDO_SADB_DUMP, 0);
	for (unsigned i = 0; i < 100000; i++) {
		if (i == 10000)
			before = w->blocks;
		p = sample(0x100000);
		if (i % 2 == 0)
			add(w, &p, 0);
		else
			say_key(w->a, TDO_SADB_DELETE, 0x100000);
		if (i % 2 == 1)
			hear(w->a, TDO_SADB_DELETE, 0);
		if (i % 100 == 0)
			tdo_engine_tick(w->e, NOW);
	}
	tdo_engine_tick(w->e, NOW);
	assert_true(w->blocks <= before + 200);
	assert_true(tdo_pfkey_lost(w->k) > 90000);
	for (;;) {
		size_t len = tdo_pfkey_pull(w->b, answer, sizeof(answer));
		struct tdo_sadb_base b;

		assert_true(tdo_sadb_base_read(answer, len, &b));
		n += b.type == TDO_SADB_DUMP;
		if (b.type == TDO_SADB_DUMP && b.seq == 0)
			break;
	}
	assert_int_equal(n, 999);
	assert_in_range(drain(w->b), 1, TDO_PFKEY_QUEUE_MAX);
}

/* Long messages: the bytes are bounded, too. */
static void
broadcasts_are_bounded_in_bytes(void **state)
{
	struct world *w = *state;
	static uint8_t big[40000];
	struct tdo_wr b = tdo_wr_init(big, sizeof(big));
	struct tdo_sa_param p = sample(0x1001);
	const uint16_t units = 3000;
	size_t len, bytes = 0;

	tdo_sadb_begin(&b, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
	tdo_sadb_put_sa_param(&b, &p);
	tdo_wr_h16(&b, units);
	tdo_wr_h16(&b, TDO_SADB_EXT_IDENTITY_SRC);
	tdo_wr_h16(&b, TDO_SADB_IDENT_FQDN);
	tdo_wr_zero(&b, units * 8u - 6);
	len = tdo_sadb_end(&b);
	for (unsigned i = 0; i < 1000; i++) {
		tdo_pfkey_input(w->a, big, len, NOW);
		hear(w->a, TDO_SADB_ADD, 0);
		tdo_sa_flush(w->e, 0);
	}
	while ((len = tdo_pfkey_pull(w->b, answer, sizeof(answer))) > 0)
		bytes += len;
	assert_in_range(bytes, TDO_PFKEY_QUEUE_BYTES / 2, TDO_PFKEY_QUEUE_BYTES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(d13_expiry_is_told_to_registered_clients),
	    T(d14_expiry_of_an_unused_sa_is_told),
	    T(d17_d18_a_newer_sa_leaves_the_older),
	    T(a_packet_without_an_sa_makes_an_acquire),
	    T(acquire_from_a_user_reaches_key_managers),
	    T(only_registered_key_managers_are_asked),
	    T(level_use_asks_and_sends_in_clear),
	    T(a_key_manager_answers),
	    T(a_key_manager_that_gives_up_is_asked_again),
	    T(setidx_asks_for_the_requests),
	    T(an_inbound_policy_without_requests_lets_nothing_pass),
	    T(d45_acquire_of_a_flow_has_its_selectors),
	    T(d16_d40_proposals_are_complete_and_strong),
	    T(ah_is_proposed_without_ciphers),
	    T(ipcomp_is_proposed_without_keys),
	    T(an_update_changes_what_it_says),
	    T(a_larval_sa_is_completed_by_its_name),
	    T(d51_messages_may_be_long),
	    T(d26_lengths_of_socket_addresses_are_checked),
	    T(debug_is_a_mask),
	    T(messages_are_counted),
	    T(malformed_messages_are_counted_by_their_fault),
	    T(addresses_that_cannot_be_are_counted),
	    T(d02_a_stalled_dump_costs_no_memory_and_no_time),
	    T(broadcasts_are_bounded_in_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
