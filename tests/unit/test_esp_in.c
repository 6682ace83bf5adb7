/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP packets that come in: what is refused and why (RFC 4303 3.4). */
#include "base/be.h"
#include "engine/path.h"
#include "engine/protocol.h"
#include "esp_sas.h"
#include "expect.h"
#include "wire/ip.h"

/* An IPv4 packet of ESP without any cryptography, around the bytes of text. */
static struct tdo_pkt *
raw_esp(const struct fx_sa *sa, const uint8_t *text, uint32_t len)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(sa->src), .dst = fx_addr(sa->dst), .ttl = 9, .proto = TDO_IPPROTO_ESP};
	struct tdo_pkt *p = fx_pkt_new(28 + len);
	uint8_t *d = tdo_pkt_data(p);

	tdo_ip_build(d, &h, 8 + len);
	tdo_put_be32(d + 20, sa->spi);
	tdo_put_be32(d + 24, 1);
	memcpy(d + 28, text, len);
	return p;
}

static void
test_in_lengths(void **state)
{
	static const uint8_t zero[16];
	struct tdo_pkt *p;
	struct fx f;

	fx_open_sa(&f, &null_tr);
	expect_in_drop(&f, raw_esp(&null_tr, zero, 0), TDO_REASON_IN_LENGTH);
	expect_in_drop(&f, raw_esp(&null_tr, zero, 1), TDO_REASON_IN_LENGTH);
	expect_in_drop(&f, raw_esp(&null_tr, zero, 6), TDO_REASON_IN_LENGTH);
	p = raw_esp(&null_tr, zero, 0);
	p->len -= 1;
	tdo_ip_set_len(tdo_pkt_data(p), p->len);
	expect_in_drop(&f, p, TDO_REASON_SHORT);
	p = raw_esp(&null_tr, zero, 4);
	p->len -= 1;
	expect_in_drop(&f, p, TDO_REASON_SHORT);
	fx_close(&f);
	fx_open_sa(&f, &cbc_tu); /* 16 of IV, 12 of ICV: text of 4 is no block, of 0 nothing */
	expect_in_drop(&f, raw_esp(&cbc_tu, (const uint8_t[32]){0}, 32), TDO_REASON_IN_LENGTH);
	expect_in_drop(&f, raw_esp(&cbc_tu, (const uint8_t[28]){0}, 28), TDO_REASON_IN_LENGTH);
	fx_close(&f);
}

static void
test_in_padding(void **state)
{
	static const uint8_t good[8] = {0xaa, 0xbb, 1, 2, 3, 4, 4, 253};
	uint8_t text[8];
	struct tdo_pkt *p;
	struct fx f;

	fx_open_sa(&f, &null_tr);
	p = raw_esp(&null_tr, good, 8);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, 22);
	assert_int_equal(tdo_pkt_data(p)[9], 253);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0, tdo_pkt_data(p), 20)), 0);
	assert_memory_equal(tdo_pkt_data(p) + 20, good, 2);
	fx_pkt_free(p);
	for (unsigned i = 2; i < 6; i++) {
		memcpy(text, good, 8);
		text[i] ^= 0x10;
		expect_in_drop(&f, raw_esp(&null_tr, text, 8), TDO_REASON_IN_PADDING);
	}
	memcpy(text, good, 8);
	text[6] = 7; /* one more than there is */
	expect_in_drop(&f, raw_esp(&null_tr, text, 8), TDO_REASON_IN_PADDING);
	text[6] = 255;
	expect_in_drop(&f, raw_esp(&null_tr, text, 8), TDO_REASON_IN_PADDING);
	fx_close(&f);
}

/* With an ICV the contents of the padding are the peer's business. */
static void
test_in_padding_authenticated(void **state)
{
	struct fx_sa sender = gcm_tr;
	struct tdo_pkt *p;
	struct fx out, in;

	sender.flags = TDO_SAF_PZERO;
	fx_open_sa(&out, &sender);
	fx_open_sa(&in, &gcm_tr);
	p = fx_send(&out, A, B, 0);
	tdo_in(in.w, &p, 1, in.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
	fx_close(&out);
	fx_close(&in);
}

static void
test_in_dummy(void **state)
{
	static const uint8_t text[4] = {1, 2, 2, TDO_IPPROTO_NONE};
	struct fx f;

	fx_open_sa(&f, &null_tr);
	expect_in_drop(&f, raw_esp(&null_tr, text, 4), TDO_REASON_IN_DUMMY);
	fx_close(&f);
}

static void
test_in_mode(void **state)
{
	static const uint8_t udp[12] = {1, 2, 3, 4, 0, 8, 0, 0, 1, 2, 2, TDO_IPPROTO_UDP};
	struct fx f;

	fx_open_sa(&f, &null_tu);
	expect_in_drop(&f, raw_esp(&null_tu, udp, 12), TDO_REASON_IN_MODE);
	fx_close(&f);
}

/* An inner packet and what may stand behind it (RFC 4303 2.7). */
static void
test_in_inner(void **state)
{
	uint8_t text[64] = {0}, *end;
	struct tdo_ip_hdr h = {.src = fx_addr(A), .dst = fx_addr(B), .ttl = 5, .proto = 253};
	struct tdo_pkt *p;
	struct fx f;

	fx_open_sa(&f, &null_tu);
	tdo_ip_build(text, &h, 4);
	end = text + 24 + 36; /* 36 bytes of traffic-flow confidentiality padding */
	end[0] = 1;
	end[1] = 2;
	end[2] = 2;
	end[3] = TDO_IPPROTO_IPIP;
	p = raw_esp(&null_tu, text, 64);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, 24);
	fx_pkt_free(p);
	end[3] = TDO_IPPROTO_IPV6;
	expect_in_drop(&f, raw_esp(&null_tu, text, 64), TDO_REASON_IN_INNER);
	end[3] = TDO_IPPROTO_IPIP;
	tdo_ip_set_len(text, 61); /* one more than there is */
	expect_in_drop(&f, raw_esp(&null_tu, text, 64), TDO_REASON_IN_INNER);
	fx_close(&f);
}

/* Spec 7.5: congestion marks come back when the knob says so. */
static void
test_in_ecn(void **state)
{
	static const struct {
		int32_t knob;
		uint8_t outer, inner, want;
	} rows[] = {
	    {-1, 0x03, 0x02, 0x02},
	    {0, 0x03, 0x02, 0x02},
	    {1, 0x03, 0xb8, 0xb8},
	    {1, 0x03, 0xba, 0xbb},
	    {1, 0x03, 0x01, 0x03},
	    {1, 0x02, 0x02, 0x02},
	    {1, 0x01, 0x02, 0x02},
	};

	for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned k = i / 2;
		bool v6 = i % 2;
		struct tdo_pkt *p;
		struct fx f;
		uint8_t *d;

		fx_open_sa(&f, &null_tu);
		p = fx_udp(&f.rng, v6 ? A6 : A, v6 ? B6 : B, 0);
		d = tdo_pkt_data(p);
		if (v6)
			tdo_put_be16(d, (uint16_t)(0x6000 | rows[k].inner << 4));
		else
			d[1] = rows[k].inner;
		tdo_ip_set_len(d, p->len);
		tdo_out(f.w, &p, 1, f.now);
		d = tdo_pkt_data(p);
		d[1] = rows[k].outer;
		tdo_ip4_set_csum(d);
		fx_knob(&f, TDO_KNOB_ECN, rows[k].knob);
		tdo_in(f.w, &p, 1, f.now);
		d = tdo_pkt_data(p);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->outer_ecn, rows[k].outer & 3);
		assert_int_equal(p->ip.tos, rows[k].want);
		if (v6)
			assert_int_equal(tdo_be16(d), 0x6000 | rows[k].want << 4);
		else
			assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
		fx_pkt_free(p);
		fx_close(&f);
	}
}

/* Destination options in front of ESP: we would not put them there, but others may. */
static void
test_in_options_before_esp(void **state)
{
	struct fx_sa sa = null_tr;
	struct tdo_pkt *p;
	struct fx f;
	uint8_t *d;

	sa.src = A6;
	sa.dst = B6;
	fx_open_sa(&f, &sa);
	p = fx_send(&f, A6, B6, 0);
	assert_true(tdo_pkt_push(p, 8));
	d = tdo_pkt_data(p);
	memmove(d, d + 8, 40);
	memcpy(d + 40, (const uint8_t[8]){TDO_IPPROTO_ESP, 0, 1, 4}, 8);
	d[6] = TDO_IPPROTO_DSTOPTS;
	tdo_ip_set_len(d, p->len);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	d = tdo_pkt_data(p);
	assert_int_equal(p->len, 40 + 8 + 8);
	assert_int_equal(d[6], TDO_IPPROTO_DSTOPTS);
	assert_int_equal(d[40], TDO_IPPROTO_UDP);
	assert_int_equal(p->ip.flow.dport, 2000);
	fx_pkt_free(p);
	fx_close(&f);
}

/* ---- replay, states, integrity ---- */

static void
test_in_replay(void **state)
{
	struct tdo_pkt *p, *copy, *zero;
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	p = fx_send(&f, A, B, 4);
	copy = fx_pkt_new(0);
	zero = fx_pkt_new(0);
	fx_pkt_set(copy, tdo_pkt_data(p), p->len);
	fx_pkt_set(zero, tdo_pkt_data(p), p->len);
	tdo_put_be32(tdo_pkt_data(zero) + 24, 0);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->seq, 1);
	fx_pkt_set(p, tdo_pkt_data(copy), copy->len);
	expect_in_drop(&f, copy, TDO_REASON_IN_REPLAY_DUP);
	expect_in_drop(&f, zero, TDO_REASON_IN_REPLAY_ZERO);
	atomic_store(fx_sa_of(&f, &gcm_tr)->out_seq, 1000);
	copy = fx_send(&f, A, B, 4);
	tdo_in(f.w, &copy, 1, f.now);
	assert_int_equal(copy->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(copy);
	expect_in_drop(&f, p, TDO_REASON_IN_REPLAY_OLD);
	fx_close(&f);
}

/* Twice in one burst: both pass the first check, only one may pass the second. */
static void
test_in_replay_in_burst(void **state)
{
	struct tdo_pkt *p[2];
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	p[0] = fx_send(&f, A, B, 4);
	p[1] = fx_copy(p[0]);
	tdo_in(f.w, p, 2, f.now);
	assert_int_equal(p[0]->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p[0]);
	expect_drop(&f, p[1], TDO_REASON_IN_REPLAY_DUP);
	fx_close(&f);
}

/* Without an ICV the sequence number proves nothing, so it excludes nothing. */
static void
test_in_no_replay_without_icv(void **state)
{
	struct fx_sa sa = null_tr;
	struct tdo_pkt *p, *copy;
	struct fx f;

	sa.replay = 64;
	fx_open_sa(&f, &sa);
	p = fx_send(&f, A, B, 4);
	copy = fx_copy(p);
	tdo_in(f.w, &p, 1, f.now);
	tdo_in(f.w, &copy, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(copy->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
	fx_pkt_free(copy);
	fx_close(&f);
}

static void
test_in_sa_state(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[3];
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_send(&f, A, B, 4);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 0);
	expect_in_drop(&f, p[0], TDO_REASON_IN_DISABLED);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 1);
	atomic_store(&fx_sa_of(&f, &gcm_tr)->state, TDO_SA_LARVAL);
	expect_in_drop(&f, p[1], TDO_REASON_IN_SA_STATE);
	atomic_store(&fx_sa_of(&f, &gcm_tr)->state, TDO_SA_MATURE);
	fx_delete_sa(&f, &gcm_tr);
	expect_in_drop(&f, p[2], TDO_REASON_IN_NO_SA);
	fx_close(&f);
	sa.hard.allocations = 3; /* of both directions together: sent twice, received once */
	fx_open_sa(&f, &sa);
	p[0] = fx_send(&f, A, B, 4);
	p[1] = fx_send(&f, A, B, 4);
	tdo_in(f.w, &p[0], 1, f.now);
	assert_int_equal(p[0]->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p[0]);
	expect_in_drop(&f, p[1], TDO_REASON_IN_SA_EXPIRED);
	fx_close(&f);
}

/* Whatever bit is flipped in what the ICV covers, the packet is not delivered. */
static void
test_in_tampered(void **state)
{
	static const struct fx_sa *const sas[] = {&gcm_tr, &cbc_tu};

	for (unsigned k = 0; k < 2; k++) {
		struct tdo_pkt *sent, *p = fx_pkt_new(0);
		struct fx f;

		fx_open_sa(&f, sas[k]);
		sent = fx_send(&f, A, B, 21);
		for (uint32_t i = 20; i < sent->len; i++) {
			fx_pkt_set(p, tdo_pkt_data(sent), sent->len);
			tdo_pkt_data(p)[i] ^= (uint8_t)(1u << i % 8);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_DROP);
			assert_int_equal(
			    p->reason, i < 24 ? TDO_REASON_IN_NO_SA : TDO_REASON_IN_ICV);
		}
		tdo_in(f.w, &sent, 1, f.now); /* none of them moved the window */
		assert_int_equal(sent->verdict, TDO_VERDICT_PASS);
		fx_pkt_free(sent);
		fx_pkt_free(p);
		fx_close(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_lengths),
	    cmocka_unit_test(test_in_padding),
	    cmocka_unit_test(test_in_padding_authenticated),
	    cmocka_unit_test(test_in_dummy),
	    cmocka_unit_test(test_in_mode),
	    cmocka_unit_test(test_in_inner),
	    cmocka_unit_test(test_in_ecn),
	    cmocka_unit_test(test_in_options_before_esp),
	    cmocka_unit_test(test_in_replay),
	    cmocka_unit_test(test_in_replay_in_burst),
	    cmocka_unit_test(test_in_no_replay_without_icv),
	    cmocka_unit_test(test_in_sa_state),
	    cmocka_unit_test(test_in_tampered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
