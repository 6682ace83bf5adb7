/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended sequence numbers (RFC 4303 2.2.1, appendix A) and windows that grow, with packets. */
#include <errno.h>

#include "base/be.h"
#include "engine/path.h"
#include "engine/protocol.h"
#include "esp_sas.h"
#include "expect.h"
#include "wire/ip.h"

#define SUB ((uint64_t)1 << 32)

/* The sender has used this number, the receiver accepted it. */
static void
stand_at(struct fx *f, const struct fx_sa *sa, uint64_t seq)
{
	atomic_store(fx_sa_of(f, sa)->out_seq, seq);
	if (seq)
		assert_int_equal(tdo_replay_accept(&fx_sa_of(f, sa)->replay, seq), TDO_REASON_NONE);
}

/* D31: 2^32 packets are not the end, and what is late is found on the right side. */
static void
d31_esn_crosses_the_boundary(void **state)
{
	static const struct fx_sa *const sas[] = {&gcm_tr, &cbc_tu};

	for (unsigned k = 0; k < 2; k++) {
		struct fx_sa sa = *sas[k];
		struct tdo_pkt *p[6], *again;
		struct fx f;

		sa.flags = TDO_SAF_ESN;
		fx_open_sa(&f, &sa);
		stand_at(&f, &sa, 7 * SUB - 4);
		for (unsigned i = 0; i < 6; i++)
			p[i] = fx_send(&f, A, B, 9);
		assert_int_equal(p[2]->seq, UINT32_MAX);
		assert_int_equal(p[3]->seq, 0);
		assert_true(atomic_load(fx_sa_of(&f, &sa)->out_seq) == 7 * SUB + 2);
		again = fx_copy(p[1]);
		expect_in_pass(&f, p[0]);
		expect_in_pass(&f, p[4]);
		expect_in_pass(&f, p[1]);
		expect_in_pass(&f, p[3]);
		expect_in_pass(&f, p[5]);
		expect_in_pass(&f, p[2]);
		expect_in_drop(&f, again, TDO_REASON_IN_REPLAY_DUP);
		assert_true(tdo_replay_top(&fx_sa_of(&f, &sa)->replay) == 7 * SUB + 2);
		assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_LATE_ACCEPTED) == 3);
		fx_close(&f);
	}
}

/* The high half is under the ICV: of the same low half of another subspace it is wrong. */
static void
esn_high_half_is_authenticated(void **state)
{
	static const struct fx_sa *const sas[] = {&gcm_tr, &cbc_tu};

	for (unsigned k = 0; k < 2; k++) {
		struct fx_sa sa = *sas[k];
		struct tdo_pkt *p;
		struct fx f;

		sa.flags = TDO_SAF_ESN;
		fx_open_sa(&f, &sa);
		stand_at(&f, &sa, 7 * SUB);
		atomic_store(fx_sa_of(&f, &sa)->out_seq, 5 * SUB + 100);
		expect_in_drop(&f, fx_send(&f, A, B, 9), TDO_REASON_IN_ICV);
		assert_true(tdo_replay_top(&fx_sa_of(&f, &sa)->replay) == 7 * SUB);
		fx_close(&f);
		/* One end with, the other without. */
		fx_open_sa(&f, &sa);
		p = fx_send(&f, A, B, 9);
		fx_delete_sa(&f, &sa);
		fx_add_sa(&f, sas[k]);
		expect_in_drop(&f, p, TDO_REASON_IN_ICV);
		fx_close(&f);
	}
}

static void
d36_esn_never_wraps(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[3];
	struct fx f;

	sa.flags = TDO_SAF_ESN | TDO_SAF_CYCSEQ;
	fx_open_sa(&f, &sa);
	stand_at(&f, &sa, UINT64_MAX - 2);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 1);
	tdo_out(f.w, p, 3, f.now);
	expect_drop(&f, p[2], TDO_REASON_OUT_SEQ_WRAP);
	expect_drop(&f, fx_send(&f, A, B, 1), TDO_REASON_OUT_SEQ_WRAP);
	assert_true(atomic_load(fx_sa_of(&f, &sa)->out_seq) == UINT64_MAX);
	expect_in_pass(&f, p[1]);
	expect_in_pass(&f, p[0]);
	assert_true(tdo_replay_top(&fx_sa_of(&f, &sa)->replay) == UINT64_MAX);
	fx_close(&f);
}

static void
esn_late_packet_has_its_reason(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p;
	struct fx f;

	sa.flags = TDO_SAF_ESN;
	fx_open_sa(&f, &sa);
	p = fx_send(&f, A, B, 9);
	stand_at(&f, &sa, 1000);
	expect_in_drop(&f, p, TDO_REASON_IN_REPLAY_OLD);
	assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_LATE_DROPPED) == 1);
	fx_close(&f);
}

/* Without a window everything is accepted again, on both sides of the boundary. */
static void
esn_without_window(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[2], *again;
	struct fx f;

	sa.flags = TDO_SAF_ESN;
	sa.replay = 0;
	fx_open_sa(&f, &sa);
	stand_at(&f, &sa, 2 * SUB - 2);
	p[0] = fx_send(&f, A, B, 9);
	p[1] = fx_send(&f, A, B, 9);
	again = fx_copy(p[0]);
	expect_in_pass(&f, p[1]);
	expect_in_pass(&f, p[0]);
	expect_in_pass(&f, again);
	fx_close(&f);
}

static void
esn_needs_authentication(void **state)
{
	struct fx_sa sa = null_tr;
	struct fx f = {0};

	fx_open(&f, NULL);
	sa.flags = TDO_SAF_ESN;
	assert_int_equal(fx_try_sa(&f, &sa), -EINVAL);
	sa.auth = "hmac-sha1";
	assert_int_equal(fx_try_sa(&f, &sa), 0);
	fx_close(&f);
}

/* RFC 4303 A3, with packets. */
static void
esn_finds_a_lost_peer_again(void **state)
{
	struct fx_sa sa = gcm_tr;
	unsigned lost = 0;
	struct fx f;

	sa.flags = TDO_SAF_ESN;
	fx_open_sa(&f, &sa);
	stand_at(&f, &sa, 100);
	atomic_store(fx_sa_of(&f, &sa)->out_seq, 2 * SUB + 100);
	for (; lost < 5000; lost++) {
		struct tdo_pkt *p = fx_send(&f, A, B, 9);
		bool found;

		tdo_in(f.w, &p, 1, f.now);
		found = p->verdict == TDO_VERDICT_PASS;
		fx_pkt_free(p);
		if (found)
			break;
	}
	assert_in_range(lost, 1024, 1024 + 64);
	expect_in_pass(&f, fx_send(&f, A, B, 9));
	assert_true(tdo_replay_top(&fx_sa_of(&f, &sa)->replay) > 2 * SUB);
	fx_close(&f);
}

/* ---- windows that grow ---- */

/* The n-th of the packets sent is late by n; grows at the ticks of the control thread. */
static void
window_grows_with_the_ticks(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_sa_info info;
	struct tdo_sa_key key = {TDO_SATYPE_ESP, sa.spi, fx_addr(A), fx_addr(B)};
	struct tdo_pkt *late, *p, *copy = fx_pkt_new(0);
	struct fx f;

	sa.adaptive = true;
	fx_open_sa(&f, &sa);
	for (unsigned i = 0; i < 3; i++) {
		late = fx_send(&f, A, B, 9);
		fx_pkt_set(copy, tdo_pkt_data(late), late->len);
		for (unsigned k = 0; k < 500; k++) {
			p = fx_send(&f, A, B, 9);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			fx_pkt_free(p);
		}
		if (i == 0) {
			tdo_pkt_data(copy)[60] ^= 1; /* only authentic packets count */
			tdo_in(f.w, &copy, 1, f.now);
			assert_int_equal(copy->reason, TDO_REASON_IN_ICV);
			tdo_engine_tick(f.e, f.now);
			assert_int_equal(tdo_replay_size(&fx_sa_of(&f, &sa)->replay), 64);
			expect_in_drop(&f, late, TDO_REASON_IN_REPLAY_OLD);
		} else {
			expect_in_pass(&f, late);
			expect_in_drop(&f, copy, TDO_REASON_IN_REPLAY_DUP);
			copy = fx_pkt_new(0);
		}
		tdo_engine_tick(f.e, f.now);
		assert_int_equal(tdo_sa_get(f.e, &key, &info), 0);
		assert_int_equal(info.window, 1024);
	}
	assert_true(info.late.dropped[8] == 1 && info.late.accepted[8] == 2);
	fx_pkt_free(copy);
	fx_close(&f);
}

/* An SA that asked and is gone before the tick. */
static void
window_of_a_deleted_sa(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *late;
	struct fx f;

	sa.adaptive = true;
	fx_open_sa(&f, &sa);
	late = fx_send(&f, A, B, 9);
	stand_at(&f, &sa, 5000);
	expect_in_drop(&f, late, TDO_REASON_IN_REPLAY_OLD);
	fx_delete_sa(&f, &sa);
	tdo_worker_quiesce(f.w);
	tdo_engine_tick(f.e, f.now);
	tdo_engine_tick(f.e, f.now);
	fx_add_sa(&f, &sa);
	assert_int_equal(tdo_replay_size(&fx_sa_of(&f, &sa)->replay), 64);
	fx_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(d31_esn_crosses_the_boundary),
	    cmocka_unit_test(esn_high_half_is_authenticated),
	    cmocka_unit_test(d36_esn_never_wraps),
	    cmocka_unit_test(esn_late_packet_has_its_reason),
	    cmocka_unit_test(esn_without_window),
	    cmocka_unit_test(esn_needs_authentication),
	    cmocka_unit_test(esn_finds_a_lost_peer_again),
	    cmocka_unit_test(window_grows_with_the_ticks),
	    cmocka_unit_test(window_of_a_deleted_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
