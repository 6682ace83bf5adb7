/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY endpoint: conversations with a real engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pfkey_world.h"

/* ---- SAs ---------------------------------------------------------------------------------- */

static void
add_get_delete(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sa_info info;

	p.hard.addtime = 100;
	p.has_hard = true;
	add(w, &p, 0);
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_LIFETIME_HARD));
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_AUTH));
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_ENCRYPT));
	hear(w->b, TDO_SADB_ADD, 0); /* all sockets, keys removed */
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_ENCRYPT));
	assert_int_equal(w->wakes[0], 0);
	assert_int_equal(w->wakes[1], 1);
	silence(w->guest);

	say_key(w->b, TDO_SADB_GET, 0x1001);
	hear(w->b, TDO_SADB_GET, 0);
	silence(w->a);
	assert_int_equal(tdo_sadb_get_sa_info(&got, &info, NULL), 0);
	assert_int_equal(info.param.state, TDO_SA_MATURE);
	assert_int_equal(info.param.replay, 32);
	assert_int_equal(info.param.reqid, 7);
	assert_int_equal(info.current.addtime, 1700000000);
	assert_int_equal(info.param.hard.addtime, 100);
	assert_memory_equal(info.param.ekey, key, 16);
	assert_memory_equal(info.param.akey, key, 20);

	say_key(w->a, TDO_SADB_DELETE, 0x1001);
	hear(w->a, TDO_SADB_DELETE, 0);
	hear(w->b, TDO_SADB_DELETE, 0);
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_SA));
	say_key(w->a, TDO_SADB_DELETE, 0x1001);
	hear(w->a, TDO_SADB_DELETE, ENOENT);
	say_key(w->a, TDO_SADB_GET, 0x1001);
	hear(w->a, TDO_SADB_GET, ENOENT);
	silence(w->b); /* errors go to the originator only */
}

static void
sas_that_are_refused(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	add(w, &p, EEXIST);
	p = sample(255);
	add(w, &p, EINVAL);
	p = sample(0x1002);
	p.ekey_bits = 136;
	add(w, &p, EINVAL);
	p = sample(0x1002);
	p.ealg = 99;
	add(w, &p, EINVAL);
	p = sample(0x1002);
	p.replay = TDO_REPLAY_MAX + 8; /* travels in X_SA_REPLAY */
	add(w, &p, EINVAL);
	p = sample(0x1002);
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP); /* without SA */
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ADD, EINVAL);
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, ENOENT);
	begin(TDO_SADB_GET, TDO_SATYPE_ESP); /* without SA, then without addresses */
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GET, EINVAL);
	say_base(w->a, TDO_SADB_DELETE, TDO_SATYPE_ESP);
	hear(w->a, TDO_SADB_DELETE, EINVAL);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

static void
getspi(struct world *w, const struct tdo_sadb_spirange *range, int err, uint32_t *ret_spi)
{
	struct tdo_sadb_sa sa;

	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
	tdo_sadb_put_sa2(&wr, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TRANSPORT, .reqid = 3});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	if (range)
		tdo_sadb_put_spirange(&wr, range);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GETSPI, err);
	silence(w->b);
	if (err)
		return;
	assert_true(tdo_sadb_get_sa(&got, &sa));
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_ADDRESS_SRC));
	assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_ADDRESS_DST));
	*ret_spi = sa.spi;
}

/* RFC 3173 3.3: a CPI has 16 bits; without a range it is one of those to be negotiated. */
static void
getspi_of_ipcomp_stays_in_16_bits(void **state)
{
	static const struct {
		struct tdo_sadb_spirange range;
		bool given;
		int err;
		uint32_t min, max;
	} t[] = {
	    {{0, 0}, false, 0, 256, 61439},
	    {{0, 0}, true, 0, 256, 61439},
	    {{65000, 100000}, true, 0, 65000, 65535},
	    {{65535, 65535}, true, 0, 65535, 65535},
	    {{65536, 70000}, true, EINVAL, 0, 0},
	    {{1, 255}, true, EINVAL, 0, 0},
	};
	struct world *w = *state;

	for (unsigned i = 0; i < COUNT(t); i++) {
		struct tdo_sadb_sa sa;

		for (unsigned k = 0; k < (t[i].min == t[i].max ? 1 : 20); k++) {
			begin(TDO_SADB_GETSPI, TDO_SATYPE_IPCOMP);
			tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
			if (t[i].given)
				tdo_sadb_put_spirange(&wr, &t[i].range);
			say(w->a, NOW);
			hear(w->a, TDO_SADB_GETSPI, t[i].err);
			if (t[i].err)
				continue;
			assert_true(tdo_sadb_get_sa(&got, &sa));
			assert_in_range(sa.spi, t[i].min, t[i].max);
		}
	}
}

static void
getspi_then_update(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p;
	struct tdo_sa_info info;
	uint32_t spi;

	getspi(w, &(struct tdo_sadb_spirange){1, 256}, 0, &spi);
	assert_int_equal(spi, 256);
	getspi(w, NULL, 0, &spi);
	assert_in_range(spi, 0x100, 0x0fffffff);
	getspi(w, &(struct tdo_sadb_spirange){0, 0}, 0, &spi);
	assert_in_range(spi, 0x100, 0x0fffffff);
	getspi(w, &(struct tdo_sadb_spirange){0x2000, 0x2fff}, 0, &spi);
	assert_in_range(spi, 0x2000, 0x2fff);
	getspi(w, &(struct tdo_sadb_spirange){1, 100}, EINVAL, &spi);
	getspi(w, &(struct tdo_sadb_spirange){4096, 4096}, 0, &spi);
	assert_int_equal(spi, 4096);
	getspi(w, &(struct tdo_sadb_spirange){4096, 4096}, ENOENT, &spi);
	/* The settings are for those who name no range. */
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_SPI_MIN, TDO_AF_INET, 5000), 0);
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_SPI_MAX, TDO_AF_INET, 5001), 0);
	for (unsigned i = 0; i < 2; i++) {
		getspi(w, NULL, 0, &spi);
		assert_true(spi == 5000 || spi == 5001);
	}
	getspi(w, NULL, ENOENT, &spi);
	getspi(w, &(struct tdo_sadb_spirange){4097, 4097}, 0, &spi);
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_SPI_MIN, TDO_AF_INET, 5002), 0);
	getspi(w, NULL, EINVAL, &spi);

	p = sample(4096);
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	hear(w->b, TDO_SADB_UPDATE, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_ENCRYPT));
	say_key(w->a, TDO_SADB_GET, 4096);
	hear(w->a, TDO_SADB_GET, 0);
	assert_int_equal(tdo_sadb_get_sa_info(&got, &info, NULL), 0);
	assert_int_equal(info.param.state, TDO_SA_MATURE);
}

static void
delete_without_spi_deletes_the_pair(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p;

	for (uint32_t spi = 0x1001; spi < 0x1004; spi++) {
		p = sample(spi);
		add(w, &p, 0);
	}
	p.key.src = B4;
	p.key.dst = A4;
	add(w, &p, 0);
	begin(TDO_SADB_DELETE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_DELETE, 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
}

static void
flush_is_told_to_all(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_AH);
	hear(w->a, TDO_SADB_FLUSH, 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 1);
	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_FLUSH, 0);
	hear(w->b, TDO_SADB_FLUSH, 0);
	hear(w->b, TDO_SADB_FLUSH, 0);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
	say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_DUMP, ENOENT);
}

/* ---- dumps -------------------------------------------------------------------------------- */

static void
dump_counts_down_to_zero(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_sa sa;

	for (uint32_t i = 0; i < 3; i++) {
		struct tdo_sa_param p = sample(0x1001 + i);

		add(w, &p, 0);
	}
	drain(w->b);
	say_base(w->b, TDO_SADB_DUMP, TDO_SATYPE_AH);
	hear(w->b, TDO_SADB_DUMP, ENOENT);
	say_base(w->b, TDO_SADB_DUMP, TDO_SATYPE_ESP);
	for (uint32_t i = 0; i < 3; i++) {
		hear(w->b, TDO_SADB_DUMP, 0);
		assert_int_equal(got.base.seq, 2 - i);
		assert_int_equal(got.base.pid, 4711);
		assert_int_equal(got.base.satype, TDO_SATYPE_ESP);
		assert_true(tdo_sadb_get_sa(&got, &sa));
		assert_int_equal(sa.spi, 0x1001 + i);
		assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_ENCRYPT));
		assert_true(tdo_sadb_has(&got, TDO_SADB_EXT_LIFETIME_CURRENT));
	}
	silence(w->b);
	silence(w->a);
}

#define MANY 50000u

/* Null algorithms, and a pair of its own. */
static struct tdo_sa_param
cheap(uint32_t spi)
{
	struct tdo_sa_param p = sample(spi);

	p.key.src = (struct tdo_addr){
	    .af = TDO_AF_INET, .b = {10, (uint8_t)(spi >> 16), (uint8_t)(spi >> 8), (uint8_t)spi}};
	p.ealg = 11; /* null */
	p.ekey_bits = 0;
	p.aalg = 0;
	p.akey_bits = 0;
	p.replay = 0;
	return p;
}

/* 50,000 SAs; while they are dumped every third is deleted and new ones are made. */
static void
a_large_dump_is_a_consistent_snapshot(void **state)
{
	struct world *w = *state;
	uint8_t *seen = calloc(1, MANY);
	struct tdo_sadb_sa sa;

	assert_non_null(seen);
	tdo_pfkey_close(w->b);
	tdo_worker_idle(tdo_engine_worker(w->e, 0)); /* or tables could not grow */
	for (uint32_t i = 0; i < MANY; i++) {
		struct tdo_sa_param p = cheap(0x10000 + i);

		assert_int_equal(tdo_sa_add(w->e, &p, NOW, NULL), 0);
	}
	say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	for (uint32_t i = 0; i < MANY; i++) {
		hear(w->a, TDO_SADB_DUMP, 0);
		assert_int_equal(got.base.seq, MANY - 1 - i);
		assert_true(tdo_sadb_get_sa(&got, &sa));
		assert_in_range(sa.spi, 0x10000, 0x10000 + MANY - 1);
		assert_int_equal(seen[sa.spi - 0x10000]++, 0);
		if (i % 3 == 0) {
			struct tdo_sa_param old = cheap(0x10000 + i * 7 % MANY);
			struct tdo_sa_param p = cheap(0x100000 + i);

			tdo_sa_delete(w->e, &old.key); /* some are gone already */
			assert_int_equal(tdo_sa_add(w->e, &p, NOW, NULL), 0);
		}
		if (i % 1000 == 0)
			tdo_engine_tick(w->e, NOW);
	}
	silence(w->a);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(seen[i], 1);
	free(seen);
}

static void
dumps_of_one_client_are_bounded(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	unsigned busy = 0;

	add(w, &p, 0);
	for (int i = 0; i < 100; i++)
		say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	for (int i = 0; i < 100; i++) {
		assert_int_not_equal(tdo_pfkey_pull(w->a, answer, sizeof(answer)), 0);
		busy += answer[2] == EBUSY;
	}
	silence(w->a);
	assert_in_range(busy, 1, 99);
	say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_DUMP, 0);
}

/* A stranger who asks again and again, and never reads, keeps one snapshot. */
static void
strangers_dump_one_at_a_time(void **state)
{
	struct tdo_sp_param p = sample_sp(1);
	struct world *w = *state;

	spd(w, TDO_SADB_X_SPDADD, &p, 0);
	say_base(w->guest, TDO_SADB_X_SPDDUMP, TDO_SATYPE_UNSPEC);
	say_base(w->guest, TDO_SADB_X_SPDDUMP, TDO_SATYPE_UNSPEC);
	hear(w->guest, TDO_SADB_X_SPDDUMP, 0);
	hear(w->guest, TDO_SADB_X_SPDDUMP, EBUSY);
	say_base(w->guest, TDO_SADB_X_SPDDUMP, TDO_SATYPE_UNSPEC);
	hear(w->guest, TDO_SADB_X_SPDDUMP, 0);
}

static void
pull_needs_a_buffer_for_every_message(void **state)
{
	struct world *w = *state;

	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
	assert_int_equal(tdo_pfkey_pull(w->a, answer, TDO_PFKEY_MSG_MAX - 1), 0);
	hear(w->a, TDO_SADB_FLUSH, 0);
}

/* ---- REGISTER, X_PROMISC ------------------------------------------------------------------- */

static bool
list_has(enum tdo_sadb_ext_type ext, uint8_t id)
{
	struct tdo_sadb_alg a;

	for (unsigned i = 0; tdo_sadb_get_supported(&got, ext, i, &a); i++)
		if (a.id == id)
			return true;
	return false;
}

static void
register_lists_what_works(void **state)
{
	struct world *w = *state;

	say_base(w->guest, TDO_SADB_REGISTER, TDO_SATYPE_UNSPEC);
	hear(w->guest, TDO_SADB_REGISTER, 0);
	assert_true(list_has(TDO_SADB_EXT_SUPPORTED_ENCRYPT, 12));
	assert_true(list_has(TDO_SADB_EXT_SUPPORTED_ENCRYPT, 20));
	assert_true(list_has(TDO_SADB_EXT_SUPPORTED_AUTH, 5));
	assert_false(list_has(TDO_SADB_EXT_SUPPORTED_AUTH, 20));
	assert_true(list_has(TDO_SADB_EXT_SUPPORTED_AUTH, 12)); /* GMAC, which is for AH */
	say_base(w->a, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->a, TDO_SADB_REGISTER, 0);
	assert_false(list_has(TDO_SADB_EXT_SUPPORTED_AUTH, 12));
	say_base(w->a, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->a, TDO_SADB_REGISTER, EEXIST);
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP); /* the first one is told */
	hear(w->b, TDO_SADB_REGISTER, 0);
	hear(w->a, TDO_SADB_REGISTER, 0);
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_UNSPEC); /* but not of this */
	hear(w->b, TDO_SADB_REGISTER, 0);
	silence(w->a);
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_AH);
	hear(w->b, TDO_SADB_REGISTER, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_SUPPORTED_ENCRYPT));
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_IPCOMP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	assert_int_equal(got.next, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_SUPPORTED_ENCRYPT));
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_SUPPORTED_AUTH));
}

static void
a_promiscuous_client_sees_everything_wrapped(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);
	struct tdo_sadb_msg inner;

	begin(TDO_SADB_X_PROMISC, 2);
	say(w->b, NOW);
	hear(w->b, TDO_SADB_X_PROMISC, EINVAL);
	begin(TDO_SADB_X_PROMISC, 1);
	tdo_wr_zero(&wr, 8);
	say(w->b, NOW);
	hear(w->b, TDO_SADB_X_PROMISC, EINVAL);
	begin(TDO_SADB_X_PROMISC, 1);
	say(w->b, NOW);
	hear(w->b, TDO_SADB_X_PROMISC, 0);
	hear(w->b, TDO_SADB_X_PROMISC, 0); /* its own answer, wrapped */
	assert_int_equal(got.payload_len, TDO_SADB_BASE_LEN);
	hear(w->a, TDO_SADB_X_PROMISC, 0);

	add(w, &p, 0);
	hear(w->b, TDO_SADB_ADD, 0);
	hear(w->b, TDO_SADB_X_PROMISC, 0);
	assert_int_equal(tdo_sadb_parse(got.payload, got.payload_len, &inner, NULL), 0);
	assert_int_equal(inner.base.type, TDO_SADB_ADD);
	add(w, &p, EEXIST); /* errors too */
	hear(w->b, TDO_SADB_X_PROMISC, 0);
	assert_int_equal(tdo_sadb_parse(got.payload, got.payload_len, &inner, NULL), 0);
	assert_int_equal(inner.base.err, EEXIST);
	say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_DUMP, 0);
	hear(w->b, TDO_SADB_X_PROMISC, 0);
	assert_int_equal(tdo_sadb_parse(got.payload, got.payload_len, &inner, NULL), 0);
	assert_int_equal(inner.base.type, TDO_SADB_DUMP);

	begin(TDO_SADB_X_PROMISC, 0);
	say(w->b, NOW);
	hear(w->b, TDO_SADB_X_PROMISC, 0);
	say_key(w->a, TDO_SADB_GET, 0x1001);
	silence(w->b);
}

/* ---- policies ------------------------------------------------------------------------------ */

static void
policies_come_and_go(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param p = sample_sp(1), q = sample_sp(2);
	struct tdo_sp_info info;
	uint32_t id;

	spd(w, TDO_SADB_X_SPDADD, &p, 0);
	id = policy_id();
	assert_int_not_equal(id, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	spd(w, TDO_SADB_X_SPDADD, &p, EEXIST);
	spd(w, TDO_SADB_X_SPDSETIDX, &q, 0);
	hear(w->b, TDO_SADB_X_SPDSETIDX, 0);
	p.lifetime = 600;
	p.validtime = 60;
	spd(w, TDO_SADB_X_SPDUPDATE, &p, 0);
	id = policy_id();
	hear(w->b, TDO_SADB_X_SPDUPDATE, 0);
	say_policy_id(w->guest, TDO_SADB_X_SPDGET, id);
	hear(w->guest, TDO_SADB_X_SPDGET, 0);
	assert_int_equal(tdo_sadb_get_sp_info(&got, &info, NULL), 0);
	assert_int_equal(info.param.lifetime, 600);
	assert_int_equal(info.param.validtime, 60);
	assert_int_equal(info.created, 1700000000);
	assert_int_equal(info.id, id);

	say_base(w->a, TDO_SADB_X_SPDDUMP, 0);
	for (uint32_t seq = 2; seq-- > 0;) {
		hear(w->a, TDO_SADB_X_SPDDUMP, 0);
		assert_int_equal(got.base.seq, seq);
		assert_int_equal(tdo_sadb_get_sp_info(&got, &info, NULL), 0);
		assert_int_equal(info.param.sel.src.b[1], 2 - seq);
	}
	silence(w->a);

	say_policy_id(w->a, TDO_SADB_X_SPDDELETE2, id);
	hear(w->a, TDO_SADB_X_SPDDELETE2, 0);
	hear(w->b, TDO_SADB_X_SPDDELETE2, 0);
	say_policy_id(w->a, TDO_SADB_X_SPDDELETE2, id);
	hear(w->a, TDO_SADB_X_SPDDELETE2, ENOENT);
	say_policy_id(w->a, TDO_SADB_X_SPDGET, id);
	hear(w->a, TDO_SADB_X_SPDGET, ENOENT);
	spd(w, TDO_SADB_X_SPDDELETE, &q, 0);
	hear(w->b, TDO_SADB_X_SPDDELETE, 0);
	spd(w, TDO_SADB_X_SPDDELETE, &q, ENOENT);
	say_base(w->a, TDO_SADB_X_SPDDUMP, 0);
	hear(w->a, TDO_SADB_X_SPDDUMP, ENOENT);
	spd(w, TDO_SADB_X_SPDUPDATE, &q, 0); /* adds when absent */
	hear(w->b, TDO_SADB_X_SPDUPDATE, 0);
	say_base(w->a, TDO_SADB_X_SPDFLUSH, 0);
	hear(w->a, TDO_SADB_X_SPDFLUSH, 0);
	hear(w->b, TDO_SADB_X_SPDFLUSH, 0);
	assert_int_equal(tdo_engine_counts(w->e).sps, 0);
}

static void
unique_requests_are_answered_with_their_number(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param p = sample_sp(1);
	struct tdo_sadb_policy pol;

	p.req[0].level = TDO_LEVEL_UNIQUE;
	spd(w, TDO_SADB_X_SPDADD, &p, 0);
	assert_true(tdo_sadb_get_policy(&got, &pol));
	assert_int_equal(pol.nreq, 1);
	assert_in_range(pol.req[0].reqid, TDO_REQID_MANUAL_MAX + 1, 65535);
}

static void
policies_that_are_refused(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param p = sample_sp(1);

	p.type = TDO_POLICY_BYPASS;
	p.nreq = 0;
	spd(w, TDO_SADB_X_SPDADD, &p, EINVAL);
	p = sample_sp(1);
	p.dir = TDO_DIR_ANY;
	spd(w, TDO_SADB_X_SPDUPDATE, &p, EINVAL);
	p = sample_sp(1);
	p.req[0].src = p.req[0].dst = (struct tdo_addr){0}; /* a tunnel from nowhere */
	spd(w, TDO_SADB_X_SPDADD, &p, EINVAL);
	begin(TDO_SADB_X_SPDADD, 0);
	tdo_sadb_put_sel(&wr, &p.sel);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_X_SPDADD, EINVAL);
	say_base(w->a, TDO_SADB_X_SPDDELETE, 0);
	hear(w->a, TDO_SADB_X_SPDDELETE, EINVAL);
	say_base(w->a, TDO_SADB_X_SPDDELETE2, 0);
	hear(w->a, TDO_SADB_X_SPDDELETE2, EINVAL);
	say_base(w->a, TDO_SADB_X_SPDGET, 0);
	hear(w->a, TDO_SADB_X_SPDGET, EINVAL);
	assert_int_equal(tdo_engine_counts(w->e).sps, 0);
	silence(w->b);
}

/* ---- who may do what, and what is never an answer to silence ----------------------------------
 */

static void
unprivileged_clients_only_read_policies(void **state)
{
	static const struct {
		uint8_t type, satype;
		int err;
	} t[] = {
	    {TDO_SADB_GETSPI, 3, EPERM},
	    {TDO_SADB_UPDATE, 3, EPERM},
	    {TDO_SADB_ADD, 3, EPERM},
	    {TDO_SADB_DELETE, 3, EPERM},
	    {TDO_SADB_GET, 3, EPERM},
	    {TDO_SADB_ACQUIRE, 3, EPERM},
	    {TDO_SADB_REGISTER, 3, EPERM},
	    {TDO_SADB_REGISTER, 0, 0},
	    {TDO_SADB_FLUSH, 0, EPERM},
	    {TDO_SADB_DUMP, 0, EPERM},
	    {TDO_SADB_X_PROMISC, 1, EPERM},
	    {TDO_SADB_X_SPDUPDATE, 0, EPERM},
	    {TDO_SADB_X_SPDADD, 0, EPERM},
	    {TDO_SADB_X_SPDDELETE, 0, EPERM},
	    {TDO_SADB_X_SPDGET, 0, EINVAL},
	    {TDO_SADB_X_SPDDUMP, 0, ENOENT},
	    {TDO_SADB_X_SPDFLUSH, 0, EPERM},
	    {TDO_SADB_X_SPDSETIDX, 0, EPERM},
	    {TDO_SADB_X_SPDDELETE2, 0, EPERM},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT(t); i++) {
		say_base(w->guest, t[i].type, t[i].satype);
		hear(w->guest, t[i].type, t[i].err);
	}
	silence(w->a);
}

static void
d19_messages_without_a_handler_are_refused(void **state)
{
	static const struct {
		uint8_t type, satype;
		int err;
	} t[] = {
	    {TDO_SADB_EXPIRE, 3, EINVAL},
	    {TDO_SADB_X_PCHANGE, 0, EOPNOTSUPP},
	    {TDO_SADB_X_SPDACQUIRE, 0, EINVAL},
	    {TDO_SADB_X_SPDEXPIRE, 0, EINVAL},
	    {TDO_SADB_X_NAT_T_NEW_MAPPING, 0, EOPNOTSUPP},
	    {TDO_SADB_DUMP, TDO_SADB_SATYPE_MIP, EOPNOTSUPP},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT(t); i++) {
		say_base(w->a, t[i].type, t[i].satype);
		assert_int_equal(tdo_pfkey_pull(w->a, answer, sizeof(answer)), TDO_SADB_BASE_LEN);
		assert_int_equal(answer[1], t[i].type);
		assert_int_equal(answer[2], t[i].err);
	}
}

/* Types between those of others and ours are unknown. */
static void
rows_are_agreed_upon_by_a_message(void **state)
{
	struct world *w = *state;

	for (unsigned type = TDO_SADB_X_NAT_T_NEW_MAPPING + 1; type <= 255; type++) {
		if (type == TDO_SADB_X_TDO_ROWS)
			continue;
		say_base(w->a, (uint8_t)type, 0);
		assert_int_equal(tdo_pfkey_pull(w->a, answer, sizeof(answer)), TDO_SADB_BASE_LEN);
		assert_int_equal(answer[2], EINVAL);
	}
	/* It has neither an SA type nor extensions. */
	say_base(w->a, TDO_SADB_X_TDO_ROWS, TDO_SATYPE_ESP);
	assert_int_equal(tdo_pfkey_pull(w->a, answer, sizeof(answer)), TDO_SADB_BASE_LEN);
	assert_int_equal(answer[2], EINVAL);
	begin(TDO_SADB_X_TDO_ROWS, 0);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_X_TDO_ROWS, EINVAL);
	assert_false(tdo_pfkey_rows(w->a));
	say_base(w->a, TDO_SADB_X_TDO_ROWS, 0);
	hear(w->a, TDO_SADB_X_TDO_ROWS, 0);
	assert_true(tdo_pfkey_rows(w->a));
	say_base(w->guest, TDO_SADB_X_TDO_ROWS, 0);
	hear(w->guest, TDO_SADB_X_TDO_ROWS, 0);
	assert_true(tdo_pfkey_rows(w->guest));
	assert_false(tdo_pfkey_rows(w->b));
	silence(w->b);
}

/* D52: an answer with type, sequence number and pid as far as they could be read. */
static void
d52_structural_errors_are_answered(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_base b;

	for (size_t len = 0; len < 64; len++) {
		begin(TDO_SADB_GET, TDO_SATYPE_ESP);
		tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 1});
		tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
		assert_int_equal(tdo_sadb_end(&wr), 80);
		tdo_pfkey_input(w->a, request, len, NOW);
		assert_int_equal(tdo_pfkey_pull(w->a, answer, sizeof(answer)), TDO_SADB_BASE_LEN);
		assert_true(tdo_sadb_base_read(answer, TDO_SADB_BASE_LEN, &b));
		assert_int_equal(b.err, EMSGSIZE);
		assert_int_equal(b.seq, len < 16 ? 0 : 77);
		assert_int_equal(b.type, len < 16 ? 0 : TDO_SADB_GET);
	}
	request[18] = 99; /* unknown extension */
	tdo_pfkey_input(w->a, request, 80, NOW);
	hear(w->a, TDO_SADB_GET, EINVAL);
	assert_int_equal(got.base.pid, 4711);
	silence(w->b);
}

/* ---- load ------------------------------------------------------------------------------------ */

static void
a_client_that_does_not_read_loses_broadcasts_only(void **state)
{
	struct world *w = *state;
	unsigned n = TDO_PFKEY_QUEUE_MAX + 100;

	for (unsigned i = 0; i < n; i++)
		say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_ESP);
	assert_int_equal(tdo_pfkey_lost(w->k), 100);
	say_key(w->b, TDO_SADB_GET, 1); /* its own answer is not lost */
	assert_int_equal(drain(w->b), TDO_PFKEY_QUEUE_MAX + 1);
	assert_int_equal(answer[1], TDO_SADB_GET);
	assert_int_equal(drain(w->a), n);
	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_ESP); /* and it gets broadcasts again */
	hear(w->b, TDO_SADB_FLUSH, 0);
}

/* Each allocation fails once: every request is answered, with ENOMEM or with success. */
static void
every_allocation_may_fail(void **state)
{
	struct world *w = *state;

	for (long n = 0;; n++) {
		struct tdo_sa_param p = sample(0x1001);
		struct tdo_sp_param sp = sample_sp(1);
		unsigned done = 0;
		long left = n;

		for (int step = 0; step < 5; step++) {
			size_t len;

			switch (step) {
			case 0:
				begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
				tdo_sadb_put_sa_param(&wr, &p);
				break;
			case 1:
				begin(TDO_SADB_X_SPDADD, 0);
				tdo_sadb_put_sp_param(&wr, &sp);
				break;
			case 2:
				begin(TDO_SADB_DUMP, 0);
				break;
			case 3:
				begin(TDO_SADB_X_SPDDUMP, 0);
				break;
			default:
				begin(TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
				tdo_sadb_put_sa_addrs(&wr, &B4, &A4);
				break;
			}
			w->fail_after = left;
			say(w->a, NOW);
			left = w->fail_after;
			w->fail_after = -1;
			len = tdo_pfkey_pull(w->a, answer, sizeof(answer));
			assert_int_not_equal(len, 0);
			if (answer[2] == 0)
				done++;
			else
				assert_true(answer[2] == ENOMEM || answer[2] == ENOENT);
			drain(w->a);
			if (left == 0)
				break;
		}
		drain(w->b);
		assert_true(tdo_engine_counts(w->e).sas <= 1 && tdo_engine_counts(w->e).sps <= 1);
		tdo_sa_flush(w->e, 0);
		tdo_sp_flush(w->e);
		tdo_engine_tick(w->e, NOW);
		if (left > 0 && done == 5)
			break;
	}
}

static void
new_and_open_may_fail(void **state)
{
	struct world *w = *state;
	struct tdo_pfkey_config pc = {.mem = {mem_alloc, mem_free, w}, .engine = w->e};
	struct tdo_pfkey_client *c;
	struct tdo_pfkey *k;

	for (long n = 0; n < 2; n++) {
		w->fail_after = n;
		assert_int_equal(tdo_pfkey_new(&pc, &k), -ENOMEM);
	}
	w->fail_after = 0;
	assert_int_equal(
	    tdo_pfkey_open(w->k, &(struct tdo_pfkey_cred){true, 1}, NULL, &c), -ENOMEM);
	w->fail_after = -1;
	tdo_pfkey_free(NULL);
	tdo_pfkey_close(NULL);
}

/* With no memory at all the emergency answer is used, once until it is taken. */
static void
no_memory_is_said(void **state)
{
	struct world *w = *state;

	for (int round = 0; round < 2; round++) {
		w->fail_after = 0;
		say_base(w->a, TDO_SADB_FLUSH, 0);
		say_base(w->a, TDO_SADB_FLUSH, 0);
		w->fail_after = -1;
		hear(w->a, TDO_SADB_FLUSH, ENOMEM);
		assert_int_equal(got.base.seq, 77);
		silence(w->a);
		silence(w->b);
	}
	assert_int_equal(tdo_pfkey_lost(w->k), 2);
}

static void
closing_forgets_what_waits(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	say_base(w->b, TDO_SADB_DUMP, 0);
	say_key(w->b, TDO_SADB_GET, 0x1001);
	tdo_pfkey_close(w->b); /* leaks show in teardown */
	tdo_pfkey_close(w->guest);
	tdo_pfkey_close(w->a);
	w->a = client(w, true, 0);
	say_base(w->a, TDO_SADB_FLUSH, 0);
	hear(w->a, TDO_SADB_FLUSH, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(add_get_delete),
	    T(sas_that_are_refused),
	    T(getspi_of_ipcomp_stays_in_16_bits),
	    T(getspi_then_update),
	    T(delete_without_spi_deletes_the_pair),
	    T(flush_is_told_to_all),
	    T(dump_counts_down_to_zero),
	    T(a_large_dump_is_a_consistent_snapshot),
	    T(dumps_of_one_client_are_bounded),
	    T(strangers_dump_one_at_a_time),
	    T(pull_needs_a_buffer_for_every_message),
	    T(register_lists_what_works),
	    T(a_promiscuous_client_sees_everything_wrapped),
	    T(policies_come_and_go),
	    T(unique_requests_are_answered_with_their_number),
	    T(policies_that_are_refused),
	    T(unprivileged_clients_only_read_policies),
	    T(d19_messages_without_a_handler_are_refused),
	    T(rows_are_agreed_upon_by_a_message),
	    T(d52_structural_errors_are_answered),
	    T(a_client_that_does_not_read_loses_broadcasts_only),
	    T(every_allocation_may_fail),
	    T(new_and_open_may_fail),
	    T(no_memory_is_said),
	    T(closing_forgets_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
