/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP packets byte by byte: what is sent, and what is refused and why (RFC 4303). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "engine/protocol.h"
#include "fixture.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define A  "10.0.0.1"
#define B  "10.0.0.2"
#define A6 "2001:db8::1"
#define B6 "2001:db8::2"
#define G  "192.0.2.1"
#define H  "192.0.2.2"
#define G6 "2001:db8:f::1"
#define H6 "2001:db8:f::2"

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

static const struct fx_sa null_tr = {
    .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .enc = "null"};
static const struct fx_sa null_tu = {
    .src = G, .dst = H, .spi = 0x1002, .mode = TDO_MODE_TUNNEL, .enc = "null"};
static const struct fx_sa gcm_tr = {.src = A,
    .dst = B,
    .spi = 0x1003,
    .mode = TDO_MODE_TRANSPORT,
    .enc = "aes-gcm-16",
    .replay = 64};
static const struct fx_sa cbc_tu = {.src = G,
    .dst = H,
    .spi = 0x1004,
    .mode = TDO_MODE_TUNNEL,
    .enc = "aes-cbc",
    .auth = "hmac-sha1",
    .replay = 64};

/* An engine with one SA for traffic from A to B in both directions of policy. */
static void
open_sa(struct fx *f, const struct fx_sa *sa)
{
	bool tunnel = sa->mode == TDO_MODE_TUNNEL;
	char req[128];

	*f = (struct fx){0};
	fx_open(f, NULL);
	fx_add_sa(f, sa);
	snprintf(req, sizeof(req), tunnel ? "esp/tunnel/%s-%s/require" : "esp/transport//require",
	    sa->src, sa->dst);
	for (uint8_t dir = TDO_DIR_IN; dir <= TDO_DIR_OUT; dir++) {
		fx_add_sp(f, dir, A, B, TDO_PROTO_ANY, req);
		fx_add_sp(f, dir, A6, B6, TDO_PROTO_ANY, req);
	}
}

static struct tdo_sa *
sa_of(struct fx *f, const struct fx_sa *sa)
{
	struct tdo_addr dst = fx_addr(sa->dst);

	return tdo_sad_find_in(f->e, &dst, sa->spi, TDO_IPPROTO_ESP);
}

/* Sends a UDP packet; the caller frees it. */
static struct tdo_pkt *
send_udp(struct fx *f, const char *src, const char *dst, uint32_t payload)
{
	struct tdo_pkt *p = fx_udp(&f->rng, src, dst, payload);

	tdo_out(f->w, &p, 1, f->now);
	return p;
}

static void
expect_drop(struct fx *f, struct tdo_pkt *p, enum tdo_reason r)
{
	if (p->reason != r)
		print_error(
		    "reason is %s\n", p->reason ? tdo_reason_info(p->reason)->name : "none");
	assert_int_equal(p->verdict, TDO_VERDICT_DROP);
	assert_int_equal(p->reason, r);
	assert_true(tdo_drops_read(f->e, r) > 0);
	fx_pkt_free(p);
}

static void
expect_in_drop(struct fx *f, struct tdo_pkt *p, enum tdo_reason r)
{
	tdo_in(f->w, &p, 1, f->now);
	expect_drop(f, p, r);
}

/* ---- out ---- */

static void
test_out_transport_layout(void **state)
{
	struct tdo_pkt *p, *clear;
	struct fx f;
	uint8_t *d;

	open_sa(&f, &null_tr);
	clear = fx_udp(&(struct rng){7}, A, B, 5); /* 13 bytes of UDP */
	f.rng.state = 7;
	p = send_udp(&f, A, B, 5);
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
	p = send_udp(&f, A, B, 0);
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
		open_sa(&f, &sa);
		f.constant_random = true;
		p = send_udp(&f, A, B, 0);
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

	open_sa(&f, &gcm_tr);
	p = send_udp(&f, A, B, 0);
	iv = tdo_be64(tdo_pkt_data(p) + 28);
	q = send_udp(&f, A, B, 0);
	assert_true(tdo_be64(tdo_pkt_data(q) + 28) == iv + 1);
	fx_pkt_free(p);
	fx_pkt_free(q);
	fx_close(&f);
	open_sa(&f, &cbc_tu);
	p = send_udp(&f, A, B, 0);
	q = send_udp(&f, A, B, 0);
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

	open_sa(&f, &null_tu);
	p = send_udp(&f, A, B, 0);
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
	q = send_udp(&f, A6, B6, 0);
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
	open_sa(&f, &sa);
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

		open_sa(&f, &null_tu);
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

		open_sa(&f, &null_tu);
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

/* The last number is used once, and then no other (D36), whatever the SA's flags say. */
static void
d36_sequence_numbers_never_wrap(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p[3];
	struct fx f;

	sa.flags = TDO_SAF_CYCSEQ;
	open_sa(&f, &sa);
	atomic_store(sa_of(&f, &sa)->out_seq, UINT32_MAX - 2);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 1);
	tdo_out(f.w, p, 3, f.now);
	assert_int_equal(p[0]->seq, UINT32_MAX - 1);
	assert_int_equal(p[1]->seq, UINT32_MAX);
	assert_int_equal(p[1]->verdict, TDO_VERDICT_SEND);
	fx_pkt_free(p[0]);
	fx_pkt_free(p[1]);
	expect_drop(&f, p[2], TDO_REASON_OUT_SEQ_WRAP);
	expect_drop(&f, send_udp(&f, A, B, 1), TDO_REASON_OUT_SEQ_WRAP);
	assert_true(atomic_load(sa_of(&f, &sa)->out_seq) == UINT32_MAX);
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

	(void)state;
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
	open_sa(&f, &sa);
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
	open_sa(&f, &sa);
	p[0] = send_udp(&f, A, B, 500);
	assert_int_equal(p[0]->verdict, TDO_VERDICT_SEND);
	fx_pkt_free(p[0]);
	expect_drop(&f, send_udp(&f, A, B, 1), TDO_REASON_OUT_SA_EXPIRED);
	/* An SA that died after it was chosen. */
	fx_close(&f);
	open_sa(&f, &gcm_tr);
	p[0] = fx_udp(&f.rng, A, B, 1);
	tdo_out_classify(f.w, p, 1, f.now);
	atomic_store(&sa_of(&f, &gcm_tr)->state, TDO_SA_DEAD);
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

	open_sa(&f, &gcm_tr);
	p = send_udp(&f, A, B, 1);
	sa = sa_of(&f, &gcm_tr);
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

	open_sa(&f, &gcm_tr);
	expect_drop(&f, send_udp(&f, A, B, 65535 - 28), TDO_REASON_NO_ROOM);
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

static void
test_out_partial_checksum(void **state)
{
	struct tdo_pkt *p;
	struct fx f;
	uint8_t *udp;
	uint32_t sum;

	open_sa(&f, &null_tr);
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

static void
test_crypto_failure(void **state)
{
	struct tdo_pkt *p;
	struct fx f;

	open_sa(&f, &gcm_tr);
	p = send_udp(&f, A, B, 1);
	crypto_fails = true;
	tdo_in(f.w, &p, 1, f.now);
	assert_true(tdo_replay_top(&sa_of(&f, &gcm_tr)->replay) == 0);
	expect_drop(&f, p, TDO_REASON_CRYPTO_FAILED);
	expect_drop(&f, send_udp(&f, A, B, 1), TDO_REASON_CRYPTO_FAILED);
	crypto_fails = false;
	assert_true(atomic_load(&sa_of(&f, &gcm_tr)->packets) == 1);
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

/* ---- in ---- */

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

	open_sa(&f, &null_tr);
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
	open_sa(&f, &cbc_tu); /* 16 of IV, 12 of ICV: text of 4 is no block, of 0 nothing */
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

	open_sa(&f, &null_tr);
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
	open_sa(&out, &sender);
	open_sa(&in, &gcm_tr);
	p = send_udp(&out, A, B, 0);
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

	open_sa(&f, &null_tr);
	expect_in_drop(&f, raw_esp(&null_tr, text, 4), TDO_REASON_IN_DUMMY);
	fx_close(&f);
}

static void
test_in_mode(void **state)
{
	static const uint8_t udp[12] = {1, 2, 3, 4, 0, 8, 0, 0, 1, 2, 2, TDO_IPPROTO_UDP};
	struct fx f;

	open_sa(&f, &null_tu);
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

	open_sa(&f, &null_tu);
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

		open_sa(&f, &null_tu);
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
	open_sa(&f, &sa);
	p = send_udp(&f, A6, B6, 0);
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

static void
test_in_replay(void **state)
{
	struct tdo_pkt *p, *copy, *zero;
	struct fx f;

	open_sa(&f, &gcm_tr);
	p = send_udp(&f, A, B, 4);
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
	atomic_store(sa_of(&f, &gcm_tr)->out_seq, 1000);
	copy = send_udp(&f, A, B, 4);
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

	open_sa(&f, &gcm_tr);
	p[0] = send_udp(&f, A, B, 4);
	p[1] = fx_pkt_new(0);
	fx_pkt_set(p[1], tdo_pkt_data(p[0]), p[0]->len);
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
	open_sa(&f, &sa);
	p = send_udp(&f, A, B, 4);
	copy = fx_pkt_new(0);
	fx_pkt_set(copy, tdo_pkt_data(p), p->len);
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

	open_sa(&f, &gcm_tr);
	for (unsigned i = 0; i < 3; i++)
		p[i] = send_udp(&f, A, B, 4);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 0);
	expect_in_drop(&f, p[0], TDO_REASON_IN_DISABLED);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 1);
	atomic_store(&sa_of(&f, &gcm_tr)->state, TDO_SA_LARVAL);
	expect_in_drop(&f, p[1], TDO_REASON_IN_SA_STATE);
	atomic_store(&sa_of(&f, &gcm_tr)->state, TDO_SA_MATURE);
	fx_delete_sa(&f, &gcm_tr);
	expect_in_drop(&f, p[2], TDO_REASON_IN_NO_SA);
	fx_close(&f);
	sa.hard.allocations = 3; /* of both directions together: sent twice, received once */
	open_sa(&f, &sa);
	p[0] = send_udp(&f, A, B, 4);
	p[1] = send_udp(&f, A, B, 4);
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

		open_sa(&f, sas[k]);
		sent = send_udp(&f, A, B, 21);
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

/* ---- extended sequence numbers ---- */

#define SUB ((uint64_t)1 << 32)

/* The sender has used this number, the receiver accepted it. */
static void
stand_at(struct fx *f, const struct fx_sa *sa, uint64_t seq)
{
	atomic_store(sa_of(f, sa)->out_seq, seq);
	if (seq)
		assert_int_equal(tdo_replay_accept(&sa_of(f, sa)->replay, seq), TDO_REASON_NONE);
}

static void
expect_in_pass(struct fx *f, struct tdo_pkt *p)
{
	tdo_in(f->w, &p, 1, f->now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
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
		open_sa(&f, &sa);
		stand_at(&f, &sa, 7 * SUB - 4);
		for (unsigned i = 0; i < 6; i++)
			p[i] = send_udp(&f, A, B, 9);
		assert_int_equal(p[2]->seq, UINT32_MAX);
		assert_int_equal(p[3]->seq, 0);
		assert_true(atomic_load(sa_of(&f, &sa)->out_seq) == 7 * SUB + 2);
		again = fx_pkt_new(0);
		fx_pkt_set(again, tdo_pkt_data(p[1]), p[1]->len);
		expect_in_pass(&f, p[0]);
		expect_in_pass(&f, p[4]);
		expect_in_pass(&f, p[1]);
		expect_in_pass(&f, p[3]);
		expect_in_pass(&f, p[5]);
		expect_in_pass(&f, p[2]);
		expect_in_drop(&f, again, TDO_REASON_IN_REPLAY_DUP);
		assert_true(tdo_replay_top(&sa_of(&f, &sa)->replay) == 7 * SUB + 2);
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
		open_sa(&f, &sa);
		stand_at(&f, &sa, 7 * SUB);
		atomic_store(sa_of(&f, &sa)->out_seq, 5 * SUB + 100);
		expect_in_drop(&f, send_udp(&f, A, B, 9), TDO_REASON_IN_ICV);
		assert_true(tdo_replay_top(&sa_of(&f, &sa)->replay) == 7 * SUB);
		fx_close(&f);
		/* One end with, the other without. */
		open_sa(&f, &sa);
		p = send_udp(&f, A, B, 9);
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
	open_sa(&f, &sa);
	stand_at(&f, &sa, UINT64_MAX - 2);
	for (unsigned i = 0; i < 3; i++)
		p[i] = fx_udp(&f.rng, A, B, 1);
	tdo_out(f.w, p, 3, f.now);
	expect_drop(&f, p[2], TDO_REASON_OUT_SEQ_WRAP);
	expect_drop(&f, send_udp(&f, A, B, 1), TDO_REASON_OUT_SEQ_WRAP);
	assert_true(atomic_load(sa_of(&f, &sa)->out_seq) == UINT64_MAX);
	expect_in_pass(&f, p[1]);
	expect_in_pass(&f, p[0]);
	assert_true(tdo_replay_top(&sa_of(&f, &sa)->replay) == UINT64_MAX);
	fx_close(&f);
}

static void
esn_late_packet_has_its_reason(void **state)
{
	struct fx_sa sa = gcm_tr;
	struct tdo_pkt *p;
	struct fx f;

	sa.flags = TDO_SAF_ESN;
	open_sa(&f, &sa);
	p = send_udp(&f, A, B, 9);
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
	open_sa(&f, &sa);
	stand_at(&f, &sa, 2 * SUB - 2);
	p[0] = send_udp(&f, A, B, 9);
	p[1] = send_udp(&f, A, B, 9);
	again = fx_pkt_new(0);
	fx_pkt_set(again, tdo_pkt_data(p[0]), p[0]->len);
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
	open_sa(&f, &sa);
	stand_at(&f, &sa, 100);
	atomic_store(sa_of(&f, &sa)->out_seq, 2 * SUB + 100);
	for (; lost < 5000; lost++) {
		struct tdo_pkt *p = send_udp(&f, A, B, 9);
		bool found;

		tdo_in(f.w, &p, 1, f.now);
		found = p->verdict == TDO_VERDICT_PASS;
		fx_pkt_free(p);
		if (found)
			break;
	}
	assert_in_range(lost, 1024, 1024 + 64);
	expect_in_pass(&f, send_udp(&f, A, B, 9));
	assert_true(tdo_replay_top(&sa_of(&f, &sa)->replay) > 2 * SUB);
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
	open_sa(&f, &sa);
	for (unsigned i = 0; i < 3; i++) {
		late = send_udp(&f, A, B, 9);
		fx_pkt_set(copy, tdo_pkt_data(late), late->len);
		for (unsigned k = 0; k < 500; k++) {
			p = send_udp(&f, A, B, 9);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			fx_pkt_free(p);
		}
		if (i == 0) {
			tdo_pkt_data(copy)[60] ^= 1; /* only authentic packets count */
			tdo_in(f.w, &copy, 1, f.now);
			assert_int_equal(copy->reason, TDO_REASON_IN_ICV);
			tdo_engine_tick(f.e, f.now);
			assert_int_equal(tdo_replay_size(&sa_of(&f, &sa)->replay), 64);
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
	open_sa(&f, &sa);
	late = send_udp(&f, A, B, 9);
	stand_at(&f, &sa, 5000);
	expect_in_drop(&f, late, TDO_REASON_IN_REPLAY_OLD);
	fx_delete_sa(&f, &sa);
	tdo_worker_quiesce(f.w);
	tdo_engine_tick(f.e, f.now);
	tdo_engine_tick(f.e, f.now);
	fx_add_sa(&f, &sa);
	assert_int_equal(tdo_replay_size(&sa_of(&f, &sa)->replay), 64);
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
	    cmocka_unit_test(d36_sequence_numbers_never_wrap),
	    cmocka_unit_test(dropped_packets_are_in_no_tunnel),
	    cmocka_unit_test(test_out_limits),
	    cmocka_unit_test(test_out_counters),
	    cmocka_unit_test(test_out_no_room),
	    cmocka_unit_test(test_out_partial_checksum),
	    cmocka_unit_test(test_crypto_failure),
	    cmocka_unit_test(test_init_refuses),
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
