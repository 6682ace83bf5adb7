/* SPDX-License-Identifier: BSD-2-Clause */
/* SAD: refusals, lookup, selection of outbound SAs, update, GETSPI, deletion, dumps. */
#include <errno.h>

#include "base/addr.h"
#include "built.h"
#include "ctl_case.h"
#include "engine/engine.h"
#include "engine/path.h"
#include "testudo/comp.h"

#define A "192.0.2.1"
#define B "192.0.2.2"

static void
add(const struct tdo_sa_param *p)
{
	assert_int_equal(tdo_sa_add(c.e, p, c.now, NULL), 0);
}

static struct tdo_sa *
in(const char *dst, uint32_t spi)
{
	struct tdo_addr a = ctl_addr(dst);

	return tdo_sad_find_in(c.e, &a, spi, 50);
}

static struct tdo_sa *
out(const struct tdo_req *req)
{
	struct tdo_addr a = ctl_addr(A), b = ctl_addr(B);

	return tdo_sad_find_out(c.e, &(struct tdo_sa_ask){.req = req, .src = &a, .dst = &b});
}

static const struct tdo_req transport = {
    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};

/* ---- refusals ---- */

static void
refused(const struct tdo_sa_param *p, int code, const char *part)
{
	struct tdo_err err = {NULL};

	assert_int_equal(tdo_sa_add(c.e, p, c.now, &err), code);
	assert_non_null(err.text);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", err.text, part);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

static void
bad_names_are_refused(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 255, 1);

	(void)state;
	refused(&p, -EINVAL, "SPI 255 is reserved");
	p = ctl_sa(A, "2001:db8::1", 256, 1);
	refused(&p, -EINVAL, "one family");
	p = ctl_sa(A, B, 256, 1);
	p.key.src = p.key.dst = (struct tdo_addr){0};
	refused(&p, -EINVAL, "one family");
	p = ctl_sa(A, B, 256, 1);
	p.key.satype = 77;
	refused(&p, -EINVAL, "SA type 77");
}

static void
bad_parameters_are_refused(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 256, 1);

	(void)state;
	p.mode = 3;
	refused(&p, -EINVAL, "mode 3");
	p = ctl_sa(A, B, 256, 1);
	p.replay = TDO_REPLAY_MAX + 1;
	refused(&p, -EINVAL, "65537 packets; at most 65536");
	p = ctl_sa(A, B, 256, 1);
	p.flags = TDO_SAF_PMASK;
	refused(&p, -EINVAL, "padding");
	p.flags = TDO_SAF_ESN;
	p.aalg = 0;
	p.akey_bits = 0;
	refused(&p, -EINVAL, "extended sequence numbers need authentication");
}

static void
bad_algorithms_are_refused(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 256, 1);

	(void)state;
	p.ealg = 0;
	refused(&p, -EINVAL, "needs an encryption algorithm");
	p.ealg = 222;
	refused(&p, -EINVAL, "unknown encryption algorithm 222");
	p = ctl_sa(A, B, 256, 1);
	p.aalg = 222;
	refused(&p, -EINVAL, "unknown authentication algorithm 222");
	p = ctl_sa(A, B, 256, 1);
	p.ealg = 20;
	p.ekey_bits = 160;
	refused(&p, -EINVAL, "authenticates by itself");
}

/* The text names algorithm, what was given and what is legal. */
static void
bad_key_lengths_are_refused(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 256, 1);

	(void)state;
	p.ekey_bits = 136;
	refused(&p, -EINVAL, "invalid key length: aes-cbc with a key of 136 bits");
	refused(&p, -EINVAL, "legal: 128, 192, 256");
	p.ekey_bits = 127;
	refused(&p, -EINVAL, "127 bits");
	p.ekey_bits = 0;
	refused(&p, -EINVAL, "0 bits");
	p.ekey_bits = 128;
	p.ekey = NULL;
	refused(&p, -EINVAL, "aes-cbc");
	p = ctl_sa(A, B, 256, 1);
	p.akey_bits = 160;
	refused(&p, -EINVAL, "160 bits; legal: 256");
	p.akey_bits = UINT16_MAX - 7;
	refused(&p, -EINVAL, "65528 bits");
}

/* -EEXIST: same destination, protocol and SPI, whatever the source is. */
static void
names_are_unique(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), -EEXIST);
	p = ctl_sa("192.0.2.77", B, 1000, 1);
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), -EEXIST);
	p = ctl_sa(B, A, 1000, 1);
	add(&p);
	p = ctl_sa(A, B, 1001, 1);
	add(&p);
	assert_int_equal(tdo_engine_counts(c.e).sas, 3);
}

static void
null_encryption_takes_no_key(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	p.ealg = 11;
	p.ekey_bits = 0;
	p.ekey = NULL;
	add(&p);
}

/* ---- warnings ---- */

static void
warnings_come_once(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	assert_int_equal(c.warnings, 0);
	p.aalg = 0;
	for (p.key.spi = 1001; p.key.spi < 1004; p.key.spi++)
		add(&p);
	assert_int_equal(c.warnings, 1);
	assert_non_null(strstr(c.last_warning, "without authentication"));
	p = ctl_sa(A, B, 2000, 1);
	p.ealg = 3; /* 3des-cbc */
	p.ekey_bits = 192;
	for (p.key.spi = 2000; p.key.spi < 2003; p.key.spi++)
		assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), BUILT_LEGACY ? 0 : -EOPNOTSUPP);
	assert_int_equal(c.warnings, 2);
	assert_non_null(strstr(c.last_warning, "3des-cbc"));
	p = ctl_sa(A, B, 3000, 1);
	p.ealg = 30; /* aes-gcm-16-iiv */
	p.ekey_bits = 160;
	p.aalg = 0;
	for (p.key.spi = 3000; p.key.spi < 3003; p.key.spi++)
		add(&p);
	assert_int_equal(c.warnings, 3);
	assert_non_null(strstr(c.last_warning, "aes-gcm-16-iiv has the sequence number as its"));
	assert_non_null(strstr(c.last_warning, "set by hand"));
}

/* ---- lookup ---- */

static void
inbound_by_destination_spi_protocol(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1),
			    q = ctl_sa("2001:db8::1", "2001:db8::2", 1000, 2);
	struct tdo_addr b = ctl_addr(B);

	(void)state;
	add(&p);
	add(&q);
	assert_int_equal(in(B, 1000)->id.src.af, TDO_AF_INET);
	assert_int_equal(in("2001:db8::2", 1000)->id.src.af, TDO_AF_INET6);
	assert_null(in(A, 1000));
	assert_null(in(B, 1001));
	assert_null(tdo_sad_find_in(c.e, &b, 1000, 51));
}

static void
outbound_takes_the_newest_or_oldest(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	assert_null(out(&transport));
	for (p.key.spi = 1000; p.key.spi < 1040; p.key.spi++)
		add(&p);
	assert_int_equal(out(&transport)->id.spi, 1039);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET, 1), 0);
	assert_int_equal(out(&transport)->id.spi, 1000);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET, 0), 0);
	/* D18: the next newest takes over. */
	p.key.spi = 1039;
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	assert_int_equal(out(&transport)->id.spi, 1038);
}

static void
outbound_honours_mode_and_reqid(void **state)
{
	struct tdo_req tunnel = {.proto = 50, .mode = TDO_MODE_TUNNEL, .level = TDO_LEVEL_REQUIRE};
	struct tdo_req unique = {
	    .proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_UNIQUE, .reqid = 7};
	struct tdo_req ah = {.proto = 51, .mode = TDO_MODE_TRANSPORT};
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	assert_null(out(&tunnel));
	assert_null(out(&unique));
	assert_null(out(&ah));
	p = ctl_sa(A, B, 1001, 1);
	p.reqid = 7;
	p.mode = TDO_MODE_ANY;
	add(&p);
	assert_int_equal(out(&unique)->id.spi, 1001);
	assert_int_equal(out(&tunnel)->id.spi, 1001);
	/* A request that is not unique does not care. */
	unique.level = TDO_LEVEL_REQUIRE;
	unique.reqid = 8;
	assert_int_equal(out(&unique)->id.spi, 1001);
}

static void
outbound_prefers_mature_to_dying(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	add(&p);
	p = ctl_sa(A, B, 1001, 1);
	p.has_soft = true;
	p.soft.addtime = 1;
	add(&p);
	assert_int_equal(out(&transport)->id.spi, 1001);
	ctl_pass(&c, 2);
	assert_int_equal(out(&transport)->id.spi, 1000);
	p.key.spi = 1000;
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	assert_int_equal(out(&transport)->id.spi, 1001);
}

/* ---- GETSPI and update ---- */

static void
larval_becomes_mature(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);
	struct tdo_sa_info info;
	uint32_t spi;

	(void)state;
	assert_int_equal(tdo_sa_getspi(c.e, &p, 0x1000, 0x1000, c.now, &spi), 0);
	assert_int_equal(spi, 0x1000);
	assert_int_equal(tdo_sa_getspi(c.e, &p, 0x1000, 0x1000, c.now, &spi), -ENOENT);
	assert_null(out(&transport));
	p.key.spi = spi;
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.param.state, TDO_SA_LARVAL);
	assert_int_equal(info.param.ekey_bits, 0);
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), -EEXIST);
	/* Wrong source, wrong key length: nothing changes. */
	p.key.src = ctl_addr("192.0.2.9");
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -ESRCH);
	p.key.src = ctl_addr(A);
	p.ekey_bits = 8;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -EINVAL);
	p.ekey_bits = 128;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	assert_int_equal(out(&transport)->id.spi, 0x1000);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.param.state, TDO_SA_MATURE);
	assert_memory_equal(info.param.ekey, p.ekey, 16);
	assert_memory_equal(info.param.akey, p.akey, 32);
}

static void
spis_come_from_the_range(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);
	bool seen[16] = {0};
	uint32_t spi;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(tdo_sa_getspi(c.e, &p, 0x1000, 0x100f, c.now, &spi), 0);
		assert_in_range(spi, 0x1000, 0x100f);
		assert_false(seen[spi - 0x1000]);
		seen[spi - 0x1000] = true;
	}
	assert_int_equal(tdo_sa_getspi(c.e, &p, 0x1000, 0x100f, c.now, &spi), -ENOENT);
	/* The range is the caller's: the knobs are for those who name none. */
	assert_int_equal(tdo_sa_getspi(c.e, &p, 0xc0000000, 0xcfffffff, c.now, &spi), 0);
	assert_in_range(spi, 0xc0000000, 0xcfffffff);
	assert_int_equal(tdo_sa_getspi(c.e, &p, UINT32_MAX, UINT32_MAX, c.now, &spi), 0);
	assert_int_equal(tdo_sa_getspi(c.e, &p, 255, 300, c.now, &spi), -EINVAL);
	assert_int_equal(tdo_sa_getspi(c.e, &p, 301, 300, c.now, &spi), -EINVAL);
	/* Each protocol has SPIs of its own. */
	for (uint32_t i = 0x1000; i < 0x1010; i++) {
		p.key.satype = TDO_SATYPE_AH;
		assert_int_equal(tdo_sa_getspi(c.e, &p, i, i, c.now, &spi), 0);
		assert_int_equal(spi, i);
	}
	assert_int_equal(tdo_sa_getspi(c.e, &p, 0x1000, 0x100f, c.now, &spi), -ENOENT);
}

static void
update_needs_an_sa(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);

	(void)state;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), -ESRCH);
}

/* Same keys: one sequence counter, one IV series, one replay window for old and new object. */
static void
update_with_the_same_keys_continues(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_sa *old, *sa;
	struct tdo_sa_info info;

	(void)state;
	add(&p);
	old = in(B, 1000);
	atomic_store(old->out_seq, 41);
	atomic_store(&old->packets, 5);
	atomic_store(&old->bytes, 500);
	assert_int_equal(tdo_replay_accept(&old->replay, 9), TDO_REASON_NONE);
	p.has_hard = true;
	p.hard.bytes = 1000;
	p.replay = 64;
	assert_int_equal(tdo_sa_update(c.e, &p, c.now + TDO_SEC, NULL), 0);
	sa = in(B, 1000);
	assert_ptr_not_equal(sa, old);
	assert_ptr_equal(sa->out_seq, old->out_seq);
	assert_int_equal(sa->fmt.iv_base, old->fmt.iv_base);
	assert_int_equal(tdo_replay_accept(&sa->replay, 9), TDO_REASON_IN_REPLAY_DUP);
	/* A worker that still has the old one cannot accept what the new one accepted. */
	assert_int_equal(tdo_replay_accept(&sa->replay, 10), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_accept(&old->replay, 10), TDO_REASON_IN_REPLAY_DUP);
	assert_int_equal(tdo_replay_accept(&old->replay, 11), TDO_REASON_NONE);
	assert_int_equal(tdo_replay_accept(&sa->replay, 11), TDO_REASON_IN_REPLAY_DUP);
	/* The memory of the counter outlives the first object, through two updates. */
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.out_seq, 41);
	assert_int_equal(info.in_seq, 11);
	assert_int_equal(info.current.allocations, 5);
	assert_int_equal(info.current.bytes, 500);
	assert_int_equal(info.param.hard.bytes, 1000);
}

static void
update_with_new_keys_starts_again(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_sa_info info;
	struct tdo_sa *sa;

	(void)state;
	add(&p);
	sa = in(B, 1000);
	atomic_store(sa->out_seq, 41);
	atomic_store(&sa->packets, 5);
	assert_int_equal(tdo_replay_accept(&sa->replay, 9), TDO_REASON_NONE);
	p = ctl_sa(A, B, 1000, 2);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.out_seq, 0);
	assert_int_equal(info.in_seq, 0);
	assert_int_equal(info.current.allocations, 0);
	assert_memory_equal(info.param.ekey, p.ekey, 16);
}

/* Limits of packets, bytes and time are those of a key: who renews it in time has them all again.
 */
static void
update_with_new_keys_has_a_whole_lifetime(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_event ev;
	struct tdo_sa *sa;

	(void)state;
	p.has_soft = p.has_hard = true;
	p.soft = (struct tdo_lifetime){.allocations = 4, .bytes = 400};
	p.hard = (struct tdo_lifetime){.allocations = 6, .bytes = 600};
	add(&p);
	sa = in(B, 1000);
	atomic_store(&sa->packets, 5);
	atomic_store(&sa->bytes, 500);
	tdo_sa_alert(sa);
	ctl_pass(&c, 1);
	assert_true(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(ev.type, TDO_EVENT_EXPIRE_SOFT);
	p = ctl_sa(A, B, 1000, 2);
	p.has_soft = p.has_hard = true;
	p.soft = (struct tdo_lifetime){.allocations = 4, .bytes = 400};
	p.hard = (struct tdo_lifetime){.allocations = 6, .bytes = 600};
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	ctl_pass(&c, 3);
	assert_false(tdo_engine_next_event(c.e, &ev));
	assert_int_equal(in(B, 1000)->state, TDO_SA_MATURE);
	assert_false(tdo_sa_over_hard(in(B, 1000)));
}

static void
update_without_algorithms_keeps_them(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1), q = p;
	struct tdo_sa_info info;

	(void)state;
	add(&p);
	q.ealg = q.aalg = 0;
	q.ekey = q.akey = NULL;
	q.ekey_bits = q.akey_bits = 0;
	q.has_soft = true;
	q.soft.addtime = 100;
	assert_int_equal(tdo_sa_update(c.e, &q, c.now, NULL), 0);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.param.ealg, 12);
	assert_memory_equal(info.param.akey, p.akey, 32);
	assert_int_equal(info.param.soft.addtime, 100);
}

/* An update keeps the SA's age rank among its equals. */
static void
update_keeps_the_order(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1), q = ctl_sa(A, B, 1001, 1);

	(void)state;
	add(&p);
	add(&q);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(out(&transport)->id.spi, 1001);
}

/* ---- sequence counter of the caller ---- */

static _Atomic uint64_t slot = 99;

static _Atomic uint64_t *
seq_slot(void *ctx, const struct tdo_sa_param *p)
{
	unsigned *calls = ctx;

	++*calls;
	return p->key.spi == 1000 ? &slot : NULL;
}

static void
sequence_counter_may_live_outside(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_sa_info info;
	unsigned calls = 0;

	(void)state;
	c.e->cfg.seq_slot = seq_slot;
	c.e->cfg.seq_ctx = &calls;
	add(&p);
	assert_int_equal(tdo_sa_get(c.e, &p.key, &info), 0);
	assert_int_equal(info.out_seq, 99);
	assert_int_equal(tdo_sa_update(c.e, &p, c.now, NULL), 0);
	assert_int_equal(calls, 1);
	assert_ptr_equal(in(B, 1000)->out_seq, &slot);
	p = ctl_sa(A, B, 1001, 1);
	add(&p);
	assert_int_equal(calls, 2);
	assert_ptr_equal(in(B, 1001)->out_seq, &in(B, 1001)->own_seq);
}

/* ---- deletion and dumps ---- */

static void
deletion_by_name_pair_and_type(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1), back = ctl_sa(B, A, 1000, 1);
	struct tdo_sa_key wrong;

	(void)state;
	for (p.key.spi = 1000; p.key.spi < 1010; p.key.spi++)
		add(&p);
	add(&back);
	p.key.spi = 1000;
	wrong = p.key;
	wrong.src = ctl_addr("192.0.2.9");
	assert_int_equal(tdo_sa_delete(c.e, &wrong), -ESRCH);
	wrong = p.key;
	wrong.satype = TDO_SATYPE_AH;
	assert_int_equal(tdo_sa_delete(c.e, &wrong), -ESRCH);
	assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
	assert_int_equal(tdo_sa_delete(c.e, &p.key), -ESRCH);
	assert_int_equal(tdo_sa_delete_all(c.e, &wrong), 0);
	assert_int_equal(tdo_sa_delete_all(c.e, &p.key), 9);
	assert_int_equal(tdo_engine_counts(c.e).sas, 1);
	assert_int_equal(tdo_sa_flush(c.e, TDO_SATYPE_AH), 0);
	assert_int_equal(tdo_sa_flush(c.e, TDO_SATYPE_UNSPEC), 1);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
	assert_null(in(A, 1000));
}

/* Entries that exist at the start, in order of creation, deleted or not. */
static void
dumps_are_snapshots(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_sa_snap *s;
	struct tdo_sa_info info;

	(void)state;
	for (p.key.spi = 1000; p.key.spi < 1100; p.key.spi++)
		add(&p);
	assert_int_equal(tdo_sa_snap_new(c.e, TDO_SATYPE_ESP, &s), 0);
	assert_int_equal(tdo_sa_flush(c.e, TDO_SATYPE_ESP), 100);
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	tdo_engine_tick(c.e, c.now);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(tdo_sa_snap_left(s), 100 - i);
		assert_true(tdo_sa_snap_next(s, &info));
		assert_int_equal(info.param.key.spi, 1000 + i);
		assert_memory_equal(info.param.ekey, p.ekey, 16);
	}
	assert_false(tdo_sa_snap_next(s, &info));
	tdo_sa_snap_free(s);
	assert_int_equal(tdo_sa_snap_new(c.e, TDO_SATYPE_AH, &s), 0);
	assert_int_equal(tdo_sa_snap_left(s), 0);
	tdo_sa_snap_free(s);
	tdo_sa_snap_free(NULL);
}

static void
many_sas_are_found(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);
	unsigned n = 5000;

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		p.key.spi = 1000 + i * 7;
		add(&p);
		if (i % 100 == 0)
			tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(in(B, 1000 + i * 7)->id.spi, 1000 + i * 7);
	assert_null(in(B, 1001));
}

/* ---- out of memory ---- */

/* Everything that allocates; each step may fail and then has changed nothing. */
static void
scenario(void)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1), q = ctl_sa(A, B, 1000, 2);
	unsigned before;
	struct tdo_sa_snap *s = NULL;
	struct tdo_sa *old;
	uint32_t spi;
	int r;

	r = tdo_sa_add(c.e, &p, c.now, NULL);
	assert_int_equal(tdo_engine_counts(c.e).sas, r == 0 ? 1 : 0);
	if (r)
		assert_int_equal(r, -ENOMEM);
	old = in(B, 1000);
	r = tdo_sa_update(c.e, &q, c.now, NULL);
	if (r)
		assert_ptr_equal(in(B, 1000), old);
	before = tdo_engine_counts(c.e).sas;
	r = tdo_sa_getspi(c.e, &p, 0x2000, 0x2fff, c.now, &spi);
	assert_int_equal(tdo_engine_counts(c.e).sas, before + (r == 0 ? 1 : 0));
	for (p.key.spi = 3000; p.key.spi < 3030; p.key.spi++) {
		r = tdo_sa_add(c.e, &p, c.now, NULL);
		assert_true(r == 0 || r == -ENOMEM);
	}
	before = tdo_engine_counts(c.e).sas;
	if (tdo_sa_snap_new(c.e, TDO_SATYPE_UNSPEC, &s) == 0)
		assert_int_equal(tdo_sa_snap_left(s), before);
	tdo_sa_snap_free(s);
}

/* The first IPComp SA makes the workers' memory, and the others find it there. */
static void
ipcomp_scenario(void)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	uint32_t spi;
	int r;

	p.key.satype = TDO_SATYPE_IPCOMP;
	p.ealg = 2;
	p.aalg = 0;
	p.ekey_bits = p.akey_bits = 0;
	for (unsigned i = 0; i < 3; i++, p.key.spi++) {
		unsigned before = tdo_engine_counts(c.e).sas;

		r = tdo_sa_add(c.e, &p, c.now, NULL);
		assert_true(r == 0 || r == -ENOMEM || r == -EOPNOTSUPP);
		assert_int_equal(tdo_engine_counts(c.e).sas, before + (r == 0));
		if (r == 0) {
			r = tdo_sa_update(c.e, &p, c.now, NULL);
			assert_true(r == 0 || r == -ENOMEM);
			assert_int_equal(tdo_engine_counts(c.e).sas, before + 1);
		}
	}
	r = tdo_sa_getspi(c.e, &p, 0x2000, 0x2fff, c.now, &spi);
	if (r != 0)
		return;
	p.key.spi = spi;
	r = tdo_sa_update(c.e, &p, c.now, NULL);
	assert_true(r == 0 || r == -ENOMEM || r == -EOPNOTSUPP);
	(void)tdo_sa_flush(c.e, TDO_SATYPE_IPCOMP);
	assert_int_equal(tdo_engine_counts(c.e).sas, 0);
}

static void
failing_allocations_change_nothing(void **state)
{
	(void)state;
	assert_true(ctl_fail_each(&c, scenario) > 100);
	assert_true(ctl_fail_each(&c, ipcomp_scenario) > (tdo_comp_alg(2)->not_there ? 10 : 30));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(bad_names_are_refused),
	    T(bad_parameters_are_refused),
	    T(bad_algorithms_are_refused),
	    T(bad_key_lengths_are_refused),
	    T(names_are_unique),
	    T(null_encryption_takes_no_key),
	    T(warnings_come_once),
	    T(inbound_by_destination_spi_protocol),
	    T(outbound_takes_the_newest_or_oldest),
	    T(outbound_honours_mode_and_reqid),
	    T(outbound_prefers_mature_to_dying),
	    T(larval_becomes_mature),
	    T(spis_come_from_the_range),
	    T(update_needs_an_sa),
	    T(update_with_the_same_keys_continues),
	    T(update_with_new_keys_starts_again),
	    T(update_with_new_keys_has_a_whole_lifetime),
	    T(update_without_algorithms_keeps_them),
	    T(update_keeps_the_order),
	    T(sequence_counter_may_live_outside),
	    T(deletion_by_name_pair_and_type),
	    T(dumps_are_snapshots),
	    T(many_sas_are_found),
	    T(failing_allocations_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
