/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP packets byte by byte: what is sent, and which SAs cannot be (RFC 4303 3.3). */
#include <errno.h>

#include "base/be.h"
#include "engine/path.h"
#include "engine/protocol.h"
#include "esp_sas.h"
#include "expect.h"
#include "wire/ip.h"

/* Makes the driver fail: the tests are linked with --wrap. */
static bool crypto_fails;

void __real_tdo_crypto_process(unsigned worker, struct tdo_op *ops, unsigned n);
void __wrap_tdo_crypto_process(unsigned worker, struct tdo_op *ops, unsigned n);

void
__wrap_tdo_crypto_process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	__real_tdo_crypto_process(worker, ops, n);
	for (unsigned i = 0; crypto_fails && i < n; i++)
		ops[i].status = TDO_OP_ERROR;
}

/* ---- packets ---- */

static void
test_out_transport_layout(void **state)
{
	struct tdo_pkt *p, *clear;
	struct fx f;
	uint8_t *d;

	fx_open_sa(&f, &null_tr);
	clear = fx_udp(&(struct rng){7}, A, B, 5); /* 13 bytes of UDP */
	f.rng.state = 7;
	p = fx_send(&f, A, B, 5);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->len, 20 + 8 + 13 + 1 + 2);
	d = tdo_pkt_data(p);
	assert_int_equal(tdo_be16(d + 2), p->len);
	assert_int_equal(d[8], 61);
	assert_int_equal(d[9], TDO_IPPROTO_ESP);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
	assert_int_equal(tdo_be32(d + 20), 0x1001);
	assert_int_equal(tdo_be32(d + 24), 1);
	assert_memory_equal(d + 28, tdo_pkt_data(clear) + 20, 13);
	assert_int_equal(d[41], 1); /* one byte of padding */
	assert_int_equal(d[42], 1);
	assert_int_equal(d[43], TDO_IPPROTO_UDP);
	fx_pkt_free(p);
	p = fx_send(&f, A, B, 0);
	assert_int_equal(tdo_be32(tdo_pkt_data(p) + 24), 2);
	assert_int_equal(p->seq, 2);
	fx_pkt_free(p);
	fx_pkt_free(clear);
	fx_close(&f);
}

static void
test_out_pad_modes(void **state)
{
	static const struct {
		uint32_t flags;
		uint8_t want[2];
	} modes[] = {
	    {TDO_SAF_PSEQ, {1, 2}}, {TDO_SAF_PZERO, {0, 0}}, {TDO_SAF_PRAND, {0xa5, 0xa5}}};

	for (unsigned i = 0; i < 3; i++) {
		struct fx_sa sa = null_tr;
		struct tdo_pkt *p;
		struct fx f;

		sa.flags = modes[i].flags;
		fx_open_sa(&f, &sa);
		f.constant_random = true;
		p = fx_send(&f, A, B, 0);
		/* 8 bytes of UDP need 2 of padding; the pool of random bytes may be older */
		if (modes[i].flags != TDO_SAF_PRAND)
			assert_memory_equal(tdo_pkt_data(p) + 36, modes[i].want, 2);
		assert_int_equal(tdo_pkt_data(p)[38], 2);
		tdo_in(f.w, &p, 1, f.now);
		/* Without an ICV only the sequential pattern can be checked. */
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		fx_pkt_free(p);
		fx_close(&f);
	}
}

/* The IV of counter modes counts; that of CBC is different each time. */
static void
test_out_iv(void **state)
{
	struct tdo_pkt *p, *q;
	uint64_t iv;
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	p = fx_send(&f, A, B, 0);
	iv = tdo_be64(tdo_pkt_data(p) + 28);
	q = fx_send(&f, A, B, 0);
	assert_true(tdo_be64(tdo_pkt_data(q) + 28) == iv + 1);
	fx_pkt_free(p);
	fx_pkt_free(q);
	fx_close(&f);
	fx_open_sa(&f, &cbc_tu);
	p = fx_send(&f, A, B, 0);
	q = fx_send(&f, A, B, 0);
	assert_memory_not_equal(tdo_pkt_data(p) + 28, tdo_pkt_data(q) + 28, 16);
	fx_pkt_free(p);
	fx_pkt_free(q);
	fx_close(&f);
}

static void
test_out_tunnel_header(void **state)
{
	struct tdo_pkt *p, *q;
	uint16_t id;
	struct fx f;
	uint8_t *d;

	fx_open_sa(&f, &null_tu);
	p = fx_send(&f, A, B, 0);
	d = tdo_pkt_data(p);
	assert_int_equal(d[0], 0x45);
	assert_int_equal(tdo_be16(d + 2), p->len);
	assert_int_equal(tdo_be16(d + 6), 0);
	assert_int_equal(d[8], 64);
	assert_int_equal(d[9], TDO_IPPROTO_ESP);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, 20)), 0);
	assert_memory_equal(d + 12, fx_addr(G).b, 4);
	assert_memory_equal(d + 16, fx_addr(H).b, 4);
	assert_int_equal(d[p->len - 1], TDO_IPPROTO_IPIP);
	assert_int_equal(d[28 + 8], 61); /* the inner TTL is not ours to change */
	id = tdo_be16(d + 4);
	fx_pkt_free(p);
	q = fx_send(&f, A6, B6, 0);
	d = tdo_pkt_data(q);
	assert_int_equal(tdo_be16(d + 4), (uint16_t)(id + 1));
	assert_int_equal(d[q->len - 1], TDO_IPPROTO_IPV6);
	fx_pkt_free(q);
	fx_close(&f);
}

static void
test_out_tunnel_header6(void **state)
{
	struct fx_sa sa = null_tu;
	struct tdo_pkt *p;
	struct fx f;
	uint8_t *d;

	sa.src = G6;
	sa.dst = H6;
	fx_open_sa(&f, &sa);
	fx_knob(&f, TDO_KNOB_ECN, -1);
	p = fx_udp(&f.rng, A, B, 3);
	tdo_pkt_data(p)[1] = 0xb9;
	tdo_out(f.w, &p, 1, f.now);
	d = tdo_pkt_data(p);
	assert_int_equal(tdo_be32(d), 0x6b900000); /* version, traffic class, flow label 0 */
	assert_int_equal(tdo_be16(d + 4), p->len - 40);
	assert_int_equal(d[6], TDO_IPPROTO_ESP);
	assert_int_equal(d[7], 64);
	assert_memory_equal(d + 8, fx_addr(G6).b, 16);
	assert_memory_equal(d + 24, fx_addr(H6).b, 16);
	fx_pkt_free(p);
	fx_close(&f);
}

/* RFC 4301 8.1, spec 7.4: clear, set, copy; an IPv6 packet has nothing to copy. */
static void
test_out_df(void **state)
{
	static const struct {
		int32_t knob;
		bool v6, inner, outer;
	} rows[] = {
	    {0, false, true, false},
	    {0, false, false, false},
	    {1, false, false, true},
	    {1, true, false, true},
	    {2, false, true, true},
	    {2, false, false, false},
	    {2, true, false, false},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tdo_pkt *p;
		struct fx f;

		fx_open_sa(&f, &null_tu);
		fx_knob(&f, TDO_KNOB_DFBIT, rows[i].knob);
		p = fx_udp(&f.rng, rows[i].v6 ? A6 : A, rows[i].v6 ? B6 : B, 0);
		if (rows[i].inner)
			tdo_pkt_data(p)[6] = 0x40;
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(tdo_be16(tdo_pkt_data(p) + 6), rows[i].outer ? 0x4000 : 0);
		assert_int_equal((p->flags & TDO_PKT_DF) != 0, rows[i].outer);
		fx_pkt_free(p);
		fx_close(&f);
	}
}

/* Spec 7.5: the knob is obeyed when wrapping (D20). */
static void
test_out_ecn(void **state)
{
	static const struct {
		int32_t knob;
		uint8_t inner, outer;
	} rows[] = {
	    {-1, 0xb8, 0xb8},
	    {-1, 0xbb, 0xbb},
	    {0, 0xbb, 0xb8},
	    {0, 0x02, 0x00},
	    {1, 0xbb, 0xba},
	    {1, 0x02, 0x02},
	    {1, 0x01, 0x00},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tdo_pkt *p;
		struct fx f;

		fx_open_sa(&f, &null_tu);
		fx_knob(&f, TDO_KNOB_ECN, rows[i].knob);
		p = fx_udp(&f.rng, A, B, 0);
		tdo_pkt_data(p)[1] = rows[i].inner;
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(tdo_pkt_data(p)[1], rows[i].outer);
		assert_int_equal(tdo_pkt_data(p)[28 + 1], rows[i].inner);
		fx_pkt_free(p);
		fx_close(&f);
	}
}

static void
test_out_partial_checksum(void **state)
{
	struct tdo_pkt *p;
	struct fx f;
	uint8_t *udp;
	uint32_t sum;

	fx_open_sa(&f, &null_tr);
	p = fx_udp(&f.rng, A, B, 12);
	udp = tdo_pkt_data(p) + 20;
	sum = tdo_csum_pseudo(&(struct tdo_addr){.af = 4, .b = {10, 0, 0, 1}},
	    &(struct tdo_addr){.af = 4, .b = {10, 0, 0, 2}}, TDO_IPPROTO_UDP, 20);
	tdo_put_be16(udp + 6, (uint16_t)~tdo_csum_fold(sum));
	p->flags = TDO_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 6;
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->flags & TDO_PKT_CSUM_PARTIAL, 0);
	assert_int_equal(tdo_csum_fold(tdo_csum_add(sum, tdo_pkt_data(p) + 28, 20)), 0);
	fx_pkt_free(p);
	p = fx_udp(&f.rng, A, B, 12);
	p->flags = TDO_PKT_CSUM_PARTIAL;
	p->csum_start = 2000;
	tdo_out(f.w, &p, 1, f.now);
	expect_drop(&f, p, TDO_REASON_SHORT);
	fx_close(&f);
}

/* ---- limits ---- */

/* The last number is used once, and then no other (D36), whatever the SA's flags say. */
static void
d36_sequence_numbers_never_wrap(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[3];
	struct fx f;

	sa.flags = TDO_SAF_CYCSEQ;
	fx_open_sa(&f, &sa);
	atomic_store(fx_sa_of(&f, &sa)->out_seq, UINT32_MAX - 2);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 1);
	tdo_out(f.w, p, 3, f.now);
	assert_int_equal(p[0]->seq, UINT32_MAX - 1);
	assert_int_equal(p[1]->seq, UINT32_MAX);
	assert_int_equal(p[1]->verdict, TDO_VERDICT_SEND);
	fx_pkt_free(p[0]);
	fx_pkt_free(p[1]);
	expect_drop(&f, p[2], TDO_REASON_OUT_SEQ_WRAP);
	expect_drop(&f, fx_send(&f, A, B, 1), TDO_REASON_OUT_SEQ_WRAP);
	assert_true(atomic_load(fx_sa_of(&f, &sa)->out_seq) == UINT32_MAX);
	fx_close(&f);
}

/* Tunnels count what is in them, not what was dropped on the way. */
static void
dropped_packets_are_in_no_tunnel(void **state)
{
	struct fx_sa sa = {.src = G,
	    .dst = H,
	    .spi = 0x3001,
	    .mode = TDO_MODE_TUNNEL,
	    .enc = "aes-gcm-16",
	    .hard.allocations = 2};
	struct fx f = {0};
	struct tdo_pkt *p[3];

	fx_open(&f, NULL);
	fx_add_sa(&f, &sa);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, "esp/tunnel/" G "-" H "/require");
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 100);
	tdo_out(f.w, p, 3, f.now);
	assert_int_equal(p[2]->reason, TDO_REASON_OUT_SA_EXPIRED);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_TUNNEL_OUT), 2);
	assert_int_equal(tdo_stat_read(f.e, TDO_STAT_TUNNEL_OUT_BYTES), 2 * 128);
	for (unsigned i = 0; i < 3; i++)
		fx_pkt_free(p[i]);
	fx_close(&f);
}

static void
test_out_limits(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[3];
	struct fx f;

	sa.hard.allocations = 2;
	fx_open_sa(&f, &sa);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 1);
	tdo_out(f.w, p, 3, f.now);
	assert_int_equal(p[0]->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p[1]->verdict, TDO_VERDICT_SEND);
	fx_pkt_free(p[0]);
	fx_pkt_free(p[1]);
	expect_drop(&f, p[2], TDO_REASON_OUT_SA_EXPIRED);
	fx_close(&f);
	sa.hard = (struct tdo_lifetime){.bytes = 100};
	fx_open_sa(&f, &sa);
	p[0] = fx_send(&f, A, B, 500);
	assert_int_equal(p[0]->verdict, TDO_VERDICT_SEND);
	fx_pkt_free(p[0]);
	expect_drop(&f, fx_send(&f, A, B, 1), TDO_REASON_OUT_SA_EXPIRED);
	/* An SA that died after it was chosen. */
	fx_close(&f);
	fx_open_sa(&f, &gcm_tr);
	p[0] = fx_udp(&f.rng, A, B, 1);
	tdo_out_classify(f.w, p, 1, f.now);
	atomic_store(&fx_sa_of(&f, &gcm_tr)->state, TDO_SA_DEAD);
	tdo_out_protect(f.w, p, 1, f.now);
	expect_drop(&f, p[0], TDO_REASON_OUT_SA_EXPIRED);
	fx_close(&f);
}

static void
test_out_counters(void **state)
{
	struct tdo_pkt *p;
	struct tdo_sa *sa;
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	p = fx_send(&f, A, B, 1);
	sa = fx_sa_of(&f, &gcm_tr);
	assert_true(atomic_load(&sa->packets) == 1);
	assert_true(atomic_load(&sa->bytes) == p->len);
	assert_true(atomic_load(&sa->first_use) == f.now);
	assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_OUT) == 1);
	assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_OUT_BYTES) == p->len);
	assert_true(tdo_stat_read(f.e, TDO_STAT_CRYPTO_OPS) == 1);
	fx_pkt_free(p);
	fx_close(&f);
}

static void
test_out_no_room(void **state)
{
	struct tdo_pkt *p;
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	expect_drop(&f, fx_send(&f, A, B, 65535 - 28), TDO_REASON_NO_ROOM);
	p = fx_udp(&f.rng, A, B, 10);
	memmove(p->buf + 15, tdo_pkt_data(p), p->len);
	p->off = 15; /* ESP header and IV are 16 */
	tdo_out(f.w, &p, 1, f.now);
	expect_drop(&f, p, TDO_REASON_NO_ROOM);
	p = fx_udp(&f.rng, A, B, 10);
	p->cap = p->off + p->len + 17; /* trailer and ICV are at least 18 */
	tdo_out(f.w, &p, 1, f.now);
	expect_drop(&f, p, TDO_REASON_NO_ROOM);
	fx_close(&f);
}

/* ---- what fails ---- */

static void
test_crypto_failure(void **state)
{
	struct tdo_pkt *p;
	struct fx f;

	fx_open_sa(&f, &gcm_tr);
	p = fx_send(&f, A, B, 1);
	crypto_fails = true;
	tdo_in(f.w, &p, 1, f.now);
	assert_true(tdo_replay_top(&fx_sa_of(&f, &gcm_tr)->replay) == 0);
	expect_drop(&f, p, TDO_REASON_CRYPTO_FAILED);
	expect_drop(&f, fx_send(&f, A, B, 1), TDO_REASON_CRYPTO_FAILED);
	crypto_fails = false;
	assert_true(atomic_load(&fx_sa_of(&f, &gcm_tr)->packets) == 1);
	fx_close(&f);
}

static void
test_init_refuses(void **state)
{
	static const uint32_t flags[] = {TDO_SAF_OLD, TDO_SAF_IV4B, TDO_SAF_PMASK};
	struct tdo_alg odd = {.kind = TDO_ALG_ENC, .block = 24};
	struct tdo_alg aead = {.kind = TDO_ALG_AEAD, .block = 1, .icv_len = 16};
	struct tdo_alg auth = {.kind = TDO_ALG_AUTH, .icv_len = 12};
	struct tdo_sa sa = {.id = {.src = fx_addr(A), .dst = fx_addr(B)}};
	struct fx f = {0};

	fx_open(&f, NULL);
	assert_int_equal(tdo_esp_init(f.e, &sa, &odd, NULL), -EINVAL);
	assert_int_equal(tdo_esp_init(f.e, &sa, &aead, &auth), -EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		sa.flags = flags[i];
		assert_int_equal(tdo_esp_init(f.e, &sa, &aead, NULL), -EINVAL);
	}
	sa.flags = 0;
	sa.id.dst = fx_addr(B6);
	assert_int_equal(tdo_esp_init(f.e, &sa, &aead, NULL), -EINVAL);
	sa.id.dst = fx_addr(B);
	assert_null(sa.out);
	assert_int_equal(tdo_esp_init(f.e, &sa, &aead, NULL), 0);
	assert_int_equal(sa.fmt.align, 4);
	assert_true(sa.fmt.authenticated);
	assert_int_equal(tdo_esp_init(f.e, &sa, NULL, NULL), 0);
	assert_false(sa.fmt.authenticated);
	sa.flags = TDO_SAF_ESN;
	assert_int_equal(tdo_esp_init(f.e, &sa, NULL, NULL), -EINVAL);
	assert_int_equal(tdo_esp_init(f.e, &sa, &aead, NULL), 0);
	sa.flags = 0;
	/* Without an address of its own an SA cannot begin a tunnel. */
	sa.id.src = (struct tdo_addr){.af = TDO_AF_INET};
	assert_int_equal(tdo_esp_init(f.e, &sa, &aead, NULL), 0);
	assert_int_equal(sa.fmt.outer_len, 0);
	fx_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_out_transport_layout),
	    cmocka_unit_test(test_out_pad_modes),
	    cmocka_unit_test(test_out_iv),
	    cmocka_unit_test(test_out_tunnel_header),
	    cmocka_unit_test(test_out_tunnel_header6),
	    cmocka_unit_test(test_out_df),
	    cmocka_unit_test(test_out_ecn),
	    cmocka_unit_test(test_out_partial_checksum),
	    cmocka_unit_test(d36_sequence_numbers_never_wrap),
	    cmocka_unit_test(dropped_packets_are_in_no_tunnel),
	    cmocka_unit_test(test_out_limits),
	    cmocka_unit_test(test_out_counters),
	    cmocka_unit_test(test_out_no_room),
	    cmocka_unit_test(test_crypto_failure),
	    cmocka_unit_test(test_init_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
