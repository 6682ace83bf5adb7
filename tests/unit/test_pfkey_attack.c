/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of PF_KEY that mean ill, or have bad luck: what they do to themselves and to others. */
#include "pfkey_world.h"

static void
register_esp(struct world *w, struct tdo_pfkey_client *c)
{
	say_base(c, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(c, TDO_SADB_REGISTER, 0);
	drain(w->a);
	drain(w->b);
}

/* ---- expiries by the thousand -------------------------------------------------------------- */

enum { MANY = TDO_PFKEY_QUEUE_MAX + 1000 };

/* So many SAs that end at the same moment. */
static void
add_many(struct world *w)
{
	struct tdo_sa_param p = sample(0);

	p.soft.addtime = 5;
	p.hard.addtime = 10;
	p.has_soft = p.has_hard = true;
	for (uint32_t i = 0; i < MANY; i++) {
		p.key.spi = 0x1000 + i;
		add(w, &p, 0);
		drain(w->b);
	}
}

/* Messages of this type that c takes at once, at most max. */
static unsigned
take(struct tdo_pfkey_client *c, uint8_t type, unsigned max)
{
	unsigned n = 0;

	for (; n < max && tdo_pfkey_pending(c); n++)
		hear(c, type, 0);
	return n;
}

/* Who reads, however little at a time, is told of every one, soft and hard. */
static void
d13_a_reader_loses_no_expiry(void **state)
{
	static const unsigned seconds[] = {7, 12};
	struct world *w = *state;

	register_esp(w, w->b);
	add_many(w);
	for (size_t i = 0; i < COUNT(seconds); i++) {
		tdo_ns now = NOW + seconds[i] * TDO_SEC;
		unsigned n = 0;
		bool more = true;

		tdo_engine_tick(w->e, now);
		while (more) {
			more = tdo_pfkey_events(w->k, now);
			n += take(w->b, TDO_SADB_EXPIRE, 64);
		}
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
		assert_int_equal(n, MANY);
	}
	assert_int_equal(tdo_pfkey_lost(w->k), 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
}

/* Who does not read is waited for a second, once, and loses then; who reads does not. */
static void
d02_a_stalled_manager_holds_up_nobody(void **state)
{
	struct world *w = *state;
	tdo_ns now = NOW + 7 * TDO_SEC;
	unsigned n = 0;

	register_esp(w, w->a);
	register_esp(w, w->b);
	add_many(w);
	drain(w->a);
	tdo_engine_tick(w->e, now);
	assert_true(tdo_pfkey_events(w->k, now));
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_true(tdo_pfkey_events(w->k, now + TDO_SEC - 1));
	assert_int_equal(take(w->b, TDO_SADB_EXPIRE, MANY), 0);
	while (tdo_pfkey_events(w->k, now + TDO_SEC))
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_int_equal(n, MANY);
	assert_int_equal(tdo_pfkey_lost(w->k), MANY - TDO_PFKEY_QUEUE_MAX);

	/* Later it is not waited for again, until it has read. */
	tdo_engine_tick(w->e, NOW + 12 * TDO_SEC);
	n = 0;
	while (tdo_pfkey_events(w->k, NOW + 12 * TDO_SEC)) {
		assert_true(tdo_pfkey_pending(w->b));
		n += take(w->b, TDO_SADB_EXPIRE, MANY);
	}
	n += take(w->b, TDO_SADB_EXPIRE, MANY);
	assert_int_equal(n, MANY);
}

/* ---- replay across updates ------------------------------------------------------------------ */

enum { SENT = 300, PKT = TDO_HEADROOM + 28 + 256 + TDO_TAILROOM };

static struct copy {
	struct tdo_pkt p;
	uint8_t buf[PKT];
} sent[SENT];

/* Packet i as it left, once more; returns its verdict. */
static uint8_t
receive(struct world *w, unsigned i)
{
	struct copy k = sent[i];
	struct tdo_pkt *const burst[] = {&k.p};

	k.p.buf = k.buf;
	tdo_worker_resume(tdo_engine_worker(w->e, 0));
	tdo_in(tdo_engine_worker(w->e, 0), burst, 1, NOW);
	tdo_worker_idle(tdo_engine_worker(w->e, 0));
	return k.p.verdict;
}

static void
send_all(struct world *w)
{
	const struct tdo_ip_hdr h = {.src = A4, .dst = B4, .ttl = 64, .proto = TDO_IPPROTO_UDP};

	for (unsigned i = 0; i < SENT; i++) {
		struct copy *k = &sent[i];
		struct tdo_pkt *const burst[] = {&k->p};

		*k =
		    (struct copy){.p = {.buf = k->buf, .cap = PKT, .off = TDO_HEADROOM, .len = 28}};
		tdo_ip_build(tdo_pkt_data(&k->p), &h, 8);
		k->buf[TDO_HEADROOM + 25] = 8; /* UDP length */
		tdo_worker_resume(tdo_engine_worker(w->e, 0));
		tdo_out(tdo_engine_worker(w->e, 0), burst, 1, NOW);
		tdo_worker_idle(tdo_engine_worker(w->e, 0));
		assert_int_equal(k->p.verdict, TDO_VERDICT_SEND);
	}
}

static void
update(struct world *w, const struct tdo_sa_param *p, bool window)
{
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, p);
	if (window)
		tdo_sadb_put_replay(&wr, p->replay);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	drain(w->b);
}

/* Smaller, larger, none at all and one again, growing, with and without ESN: nothing comes twice.
 */
static void
no_update_lets_a_packet_in_twice(void **state)
{
	static const struct {
		uint32_t window;
		bool adaptive;
	} steps[] = {{64, false}, {8, false}, {1024, false}, {0, false}, {128, false}, {64, true},
	    {2040, true}, {32, false}, {0, false}, {0, true}, {4096, false}};
	const struct tdo_sp_param sp = packet_sp(TDO_IPPROTO_ESP, TDO_LEVEL_REQUIRE);
	struct world *w = *state;

	want_sp(w, &sp);
	for (unsigned esn = 0; esn < 2; esn++) {
		struct tdo_sa_param p = sample(0x1001 + esn);
		unsigned next = 40;

		p.flags = esn ? TDO_SAF_ESN : 0;
		p.replay = 64;
		add(w, &p, 0);
		drain(w->b);
		send_all(w);
		assert_int_equal(receive(w, 20), TDO_VERDICT_PASS);
		for (size_t i = 0; i < COUNT(steps); i++) {
			/* Each step accepts some, with gaps, before the window is another one. */
			for (unsigned j = 0; j < 5; j++, next += 3)
				assert_int_equal(receive(w, next), TDO_VERDICT_PASS);
			p.replay = steps[i].window;
			p.adaptive = steps[i].adaptive;
			/* X_SA_REPLAY says 0 aloud; sadb_sa_replay cannot. */
			update(w, &p, p.replay == 0);
			if (p.replay == 0 && !p.adaptive)
				continue; /* nothing is checked */
			assert_int_equal(receive(w, 20), TDO_VERDICT_DROP);
			for (unsigned k = 40; k < next; k += 3)
				assert_int_equal(receive(w, k), TDO_VERDICT_DROP);
		}
		assert_int_equal(receive(w, next), TDO_VERDICT_PASS);
		assert_int_equal(receive(w, next), TDO_VERDICT_DROP);
		assert_int_equal(receive(w, next - 1), TDO_VERDICT_PASS);
	}
}

/* ---- SPIs --------------------------------------------------------------------------------- */

static void
getspi(struct world *w, struct tdo_pfkey_client *c, uint32_t min, uint32_t max, int err)
{
	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){min, max});
	say(c, NOW);
	hear(c, TDO_SADB_GETSPI, err);
}

/* All of a range are given, each once; then none, until the larval ones are gone or in use. */
static void
a_range_of_spis_ends(void **state)
{
	enum { N = 256 };
	const uint32_t first = 0xffffff00u;
	struct world *w = *state;
	struct tdo_sa_param p = sample(first + 7);
	bool seen[N] = {false};

	for (unsigned i = 0; i < N; i++) {
		struct tdo_sadb_sa sa;

		getspi(w, i % 2 ? w->a : w->b, first, UINT32_MAX, 0);
		assert_true(tdo_sadb_get_sa(&got, &sa));
		assert_in_range(sa.spi, first, UINT32_MAX);
		assert_false(seen[sa.spi - first]);
		seen[sa.spi - first] = true;
	}
	getspi(w, w->a, first, UINT32_MAX, ENOENT);
	add(w, &p, EEXIST); /* larval ones keep their names */
	drain(w->b);
	update(w, &p, false);
	tick(w, NOW + 40 * TDO_SEC);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
	silence(w->b); /* nobody is told of what nobody used */
	for (unsigned i = 0; i < N - 1; i++)
		getspi(w, w->a, first, UINT32_MAX, 0);
	getspi(w, w->a, first, UINT32_MAX, ENOENT);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    T(d13_a_reader_loses_no_expiry),
	    T(d02_a_stalled_manager_holds_up_nobody),
	    T(no_update_lets_a_packet_in_twice),
	    T(a_range_of_spis_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
