/* SPDX-License-Identifier: BSD-2-Clause */
/* Traffic-flow confidentiality (RFC 4303 2.6, 2.7): padded lengths, dummy packets. */
#include <errno.h>

#include "base/be.h"
#include "built.h"
#include "engine_case.h"
#include "hosts.h"
#include "wire/ip.h"

static void
add(const char *src, const char *dst, uint8_t mode, const char *enc, const char *auth, uint16_t pad)
{
	fx_add_sa(&f, &(struct fx_sa){.src = src,
			  .dst = dst,
			  .spi = 0x1000,
			  .mode = mode,
			  .enc = enc,
			  .auth = auth,
			  .tfc = {.pad = pad}});
}

static void
add_ah_around(void)
{
	fx_add_sa(&f, &(struct fx_sa){.src = G,
			  .dst = H,
			  .spi = 0x2000,
			  .satype = TDO_SATYPE_AH,
			  .mode = TDO_MODE_TRANSPORT,
			  .auth = "hmac-sha2-512"});
}

/* Protects a packet of UDP for a path; the finished packet's length.  It comes back as it was. */
static uint32_t
send(const char *src, const char *dst, uint32_t payload, uint16_t mtu)
{
	struct tdo_pkt *p = fx_udp(&f.rng, src, dst, payload);
	uint8_t before[TDO_PKT_MAXLEN];
	uint32_t len = p->len, sent;

	memcpy(before, tdo_pkt_data(p), len);
	tdo_out_classify(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PROTECT);
	p->path_mtu = mtu;
	tdo_out_protect(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->ip.total_len, p->len);
	sent = p->len;
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, len);
	assert_memory_equal(tdo_pkt_data(p), before, len);
	fx_pkt_free(p);
	return sent;
}

static void
policies(const char *src, const char *dst, const char *requests)
{
	fx_add_sp(&f, TDO_DIR_OUT, src, dst, TDO_PROTO_ANY, requests);
	fx_add_sp(&f, TDO_DIR_IN, src, dst, TDO_PROTO_ANY, requests);
}

/* ---- padding ---- */

static void
test_tunnel_hides_length(void **state)
{
	static const struct {
		const char *enc, *auth;
	} alg[] = {{"aes-gcm-16", NULL}, {"aes-cbc", "hmac-sha2-256"}, {"aes-ctr", "hmac-sha1"},
	    {"chacha20-poly1305", NULL}};

	policies(A, B, "esp/tunnel/" G "-" H "/require");
	policies(A6, B6, "esp/tunnel/" G6 "-" H6 "/require");
	for (unsigned i = 0; i < sizeof(alg) / sizeof(alg[0]); i++) {
		uint32_t want4 = 0, want6 = 0;

		add(G, H, TDO_MODE_TUNNEL, alg[i].enc, alg[i].auth, 1000);
		add(G6, H6, TDO_MODE_TUNNEL, alg[i].enc, alg[i].auth, 1000);
		for (uint32_t n = 0; n < 940; n = n * 2 + 1) {
			uint32_t got4 = send(A, B, n, 1500), got6 = send(A6, B6, n, 1500);

			want4 = want4 ? want4 : got4;
			want6 = want6 ? want6 : got6;
			assert_int_equal(got4, want4);
			assert_int_equal(got6, want6);
			assert_true(got4 >= 1000 + 20 + 8 && got4 < 1000 + 20 + 100);
		}
		/* What is longer stays as it is. */
		assert_true(send(A, B, 1200, 1500) > want4);
		fx_delete_sa(&f, &(struct fx_sa){.src = G, .dst = H, .spi = 0x1000});
		fx_delete_sa(&f, &(struct fx_sa){.src = G6, .dst = H6, .spi = 0x1000});
	}
	assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_TFC_BYTES) > 10000);
}

/* Never beyond the path, and where the path is not known not beyond what every path carries. */
static void
test_path_mtu(void **state)
{
	policies(A, B, "esp/tunnel/" G "-" H "/require");
	add(G, H, TDO_MODE_TUNNEL, "aes-gcm-16", NULL, 65535);
	for (uint16_t mtu = 576; mtu < 1600; mtu = (uint16_t)(mtu + 7)) {
		uint32_t got = send(A, B, 100, mtu);

		assert_true(got <= mtu && got > mtu - 4u);
		assert_int_equal(send(A, B, 300, mtu), got);
	}
	assert_in_range(send(A, B, 100, 0), 1277, 1280);
	assert_true(send(A, B, 1400, 0) > 1400);
}

/* The layers around it are counted. */
static void
test_bundle(void **state)
{
	policies(A, B, "esp/tunnel/" G "-" H "/require ah/transport//require");
	add(G, H, TDO_MODE_TUNNEL, "aes-cbc", "hmac-sha1", 65535);
	add_ah_around();
	for (uint16_t mtu = 600; mtu < 1600; mtu = (uint16_t)(mtu + 13))
		assert_in_range(send(A, B, 40, mtu), mtu - 16u, mtu);
}

/* Only what says itself how long it is: UDP, and packets in packets. */
static void
test_transport(void **state)
{
	struct tdo_pkt *p;
	uint32_t len;

	policies(A, B, "esp/transport//require");
	policies(A6, B6, "esp/transport//require");
	add(A, B, TDO_MODE_TRANSPORT, "aes-gcm-16", NULL, 600);
	add(A6, B6, TDO_MODE_TRANSPORT, "aes-gcm-16", NULL, 600);
	assert_int_equal(send(A, B, 1, 1500), send(A, B, 500, 1500));
	assert_int_equal(send(A6, B6, 1, 1500), send(A6, B6, 500, 1500));
	/* TCP does not. */
	p = fx_udp(&f.rng, A, B, 40);
	tdo_pkt_data(p)[9] = TDO_IPPROTO_TCP;
	tdo_ip4_set_csum(tdo_pkt_data(p));
	len = p->len;
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_true(p->len < len + 64);
	fx_pkt_free(p);
}

/* What follows a UDP datagram and is not zero means something to somebody (RFC 9868). */
static void
test_behind_udp(void **state)
{
	for (unsigned zero = 0; zero < 2; zero++) {
		struct tdo_pkt *p = fx_udp(&f.rng, A, B, 40);

		tdo_put_be16(tdo_pkt_data(p) + 24, 8 + 30);
		memset(tdo_pkt_data(p) + 58, 0, 10);
		if (!zero)
			tdo_pkt_data(p)[67] = 1;
		if (zero) {
			policies(A, B, "esp/transport//require");
			add(A, B, TDO_MODE_TRANSPORT, "aes-gcm-16", NULL, 0);
		} else {
			/* Nor is it padded: the receiver would cut what was there before. */
			policies(A, B, "esp/transport//require");
			add(A, B, TDO_MODE_TRANSPORT, "aes-gcm-16", NULL, 600);
		}
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_true(p->len < 140);
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->len, zero ? 58 : 68);
		assert_int_equal(p->ip.total_len, p->len);
		assert_int_equal(tdo_be16(tdo_pkt_data(p) + 2), p->len);
		fx_pkt_free(p);
		fx_close(&f);
		memset(&f, 0, sizeof(f));
		fx_open(&f, NULL);
	}
}

static void
test_knob(void **state)
{
	policies(A, B, "esp/tunnel/" G "-" H "/require");
	policies(A6, B6, "esp/tunnel/" G6 "-" H6 "/require");
	add(G, H, TDO_MODE_TUNNEL, "aes-gcm-16", NULL, 0);
	add(G6, H6, TDO_MODE_TUNNEL, "aes-gcm-16", NULL, 400);
	assert_true(send(A, B, 10, 1500) < 150);
	fx_knob(&f, TDO_KNOB_TFC_PAD, 700);
	assert_in_range(send(A, B, 10, 1500), 700 + 28, 700 + 64);
	/* Its own number goes before the setting of its family. */
	assert_in_range(send(A6, B6, 10, 1500), 400 + 48, 400 + 90);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_TFC_PAD, TDO_AF_INET6, 900), 0);
	assert_in_range(send(A6, B6, 10, 1500), 400 + 48, 400 + 90);
}

/* Random lengths do not make fragments of what fits. */
static void
test_random_fits(void **state)
{
	policies(A, B, "esp/tunnel/" G "-" H "/require ah/transport//require");
	add(G, H, TDO_MODE_TUNNEL, "aes-cbc", "hmac-sha1", 0);
	add_ah_around();
	fx_knob(&f, TDO_KNOB_ESP_RANDPAD, 65535);
	for (uint32_t n = 1; n < 1300; n += 7)
		assert_true(send(A, B, n, 1500) <= 1500);
	/* What does not fit anyhow is not made longer. */
	assert_in_range(send(A, B, 1500, 1500), 1500, 1680);
}

/* Where there is no memory behind the packet it is as long as there is. */
static void
test_no_memory_behind(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 40);
	uint32_t len = p->len, cap = p->cap;

	policies(A, B, "esp/tunnel/" G "-" H "/require");
	add(G, H, TDO_MODE_TUNNEL, "aes-gcm-16", NULL, 1000);
	p->cap = p->off + p->len + 300;
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_true(p->off + p->len <= p->cap);
	assert_in_range(p->len, len + 250, len + 400);
	p->cap = cap;
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, len);
	fx_pkt_free(p);
}

/* What is put around it later has its place there too. */
static void
test_no_memory_behind_bundle(void **state)
{
	policies(A, B, "esp/tunnel/" G "-" H "/require esp/transport//require");
	add(G, H, TDO_MODE_TUNNEL, "aes-gcm-16", NULL, 1000);
	fx_add_sa(&f, &(struct fx_sa){.src = G,
			  .dst = H,
			  .spi = 0x2000,
			  .mode = TDO_MODE_TRANSPORT,
			  .enc = "aes-cbc",
			  .auth = "hmac-sha2-512"});
	for (uint32_t room = 250; room < 400; room++) {
		struct tdo_pkt *p = fx_udp(&f.rng, A, B, 40);
		uint32_t cap = p->cap, len = p->len;

		p->cap = p->off + p->len + room;
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_true(p->off + p->len <= p->cap);
		p->cap = cap;
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->len, len);
		fx_pkt_free(p);
	}
}

static void
test_only_esp(void **state)
{
	assert_int_equal(fx_try_sa(&f, &(struct fx_sa){.src = A,
					   .dst = B,
					   .spi = 0x1000,
					   .satype = TDO_SATYPE_AH,
					   .auth = "hmac-sha1",
					   .tfc = {.pad = 100}}),
	    -EINVAL);
	assert_int_equal(fx_try_sa(&f, &(struct fx_sa){.src = A,
					   .dst = B,
					   .spi = 0x1000,
					   .satype = TDO_SATYPE_AH,
					   .auth = "hmac-sha1",
					   .tfc = {.dummies = 1}}),
	    -EINVAL);
	assert_int_equal(fx_try_sa(&f, &(struct fx_sa){.src = A,
					   .dst = B,
					   .spi = 0x1000,
					   .enc = "aes-cbc",
					   .flags = TDO_SAF_OLD,
					   .tfc = {.pad = 100}}),
	    BUILT_LEGACY ? -EINVAL : -EOPNOTSUPP);
}

/* ---- dummies ---- */

static uint32_t path = 1500;

static uint32_t
mtu(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	(void)ctx;
	(void)src;
	(void)dst;
	return path;
}

/* What goes in so many milliseconds; each of them is dropped by the peer, without a word. */
static unsigned
dummies(unsigned ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ms; i++) {
		struct tdo_pkt *p = fx_pkt_new(0);

		f.now += TDO_SEC / 1000;
		while (tdo_dummy_make(f.e, f.w, mtu, NULL, p, f.now)) {
			uint64_t before = tdo_drops_read(f.e, TDO_REASON_IN_DUMMY);

			assert_int_equal(p->verdict, TDO_VERDICT_SEND);
			assert_true(p->len <= path);
			assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_ESP);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_DROP);
			assert_int_equal(p->reason, TDO_REASON_IN_DUMMY);
			assert_true(tdo_drops_read(f.e, TDO_REASON_IN_DUMMY) == before + 1);
			n++;
			fx_pkt_free(p);
			p = fx_pkt_new(0);
		}
		fx_pkt_free(p);
	}
	return n;
}

static void
add_dummies(const char *src, const char *dst, uint16_t rate, uint16_t pad)
{
	fx_add_sa(&f, &(struct fx_sa){.src = src,
			  .dst = dst,
			  .spi = 0x1000 + rate,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "aes-gcm-16",
			  .tfc = {.pad = pad, .dummies = rate}});
}

static void
test_dummies(void **state)
{
	fx_local(&f, G);
	assert_true(tdo_dummy_due(f.e) == UINT64_MAX);
	assert_int_equal(dummies(1000), 0);
	add_dummies(G, H, 100, 0);
	assert_true(tdo_dummy_due(f.e) <= f.now);
	assert_in_range(dummies(5000), 450, 550);
	assert_true(tdo_dummy_due(f.e) <= f.now + TDO_SEC / 60);
	assert_true(tdo_stat_read(f.e, TDO_STAT_ESP_DUMMIES) >= 450);
	/* Nothing is caught up. */
	f.now += 3600 * TDO_SEC;
	assert_true(dummies(10) <= 3);
	fx_delete_sa(&f, &(struct fx_sa){.src = G, .dst = H, .spi = 0x1000 + 100});
	assert_true(tdo_dummy_due(f.e) == UINT64_MAX);
	assert_int_equal(dummies(1000), 0);
}

/* Only SAs that begin here: those of peers say what peers may do. */
static void
test_dummies_of_others(void **state)
{
	fx_local(&f, H);
	add_dummies(G, H, 100, 0);
	assert_int_equal(dummies(1000), 0);
	fx_local(&f, G);
	assert_true(dummies(1000) > 0);
}

static void
test_dummies_limit(void **state)
{
	fx_local(&f, G);
	fx_knob(&f, TDO_KNOB_TFC_DUMMIES, 50);
	for (uint16_t i = 0; i < 20; i++)
		add_dummies(G, H, (uint16_t)(100 + i), 0);
	assert_in_range(dummies(4000), 150, 250);
	fx_knob(&f, TDO_KNOB_TFC_DUMMIES, 0);
	assert_int_equal(dummies(1000), 0);
	fx_knob(&f, TDO_KNOB_TFC_DUMMIES, 1000000);
	/* All of them have their turn. */
	assert_in_range(dummies(1000), 1900, 2600);
}

/* As long as the packets among which they hide. */
static void
test_dummies_padded(void **state)
{
	struct tdo_pkt *p = fx_pkt_new(0);

	policies(A, B, "esp/tunnel/" G "-" H "/require");
	fx_local(&f, G);
	add_dummies(G, H, 1000, 800);
	f.now += TDO_SEC;
	assert_false(tdo_dummy_make(f.e, f.w, mtu, NULL, p, f.now));
	f.now += TDO_SEC / 50;
	assert_true(tdo_dummy_make(f.e, f.w, mtu, NULL, p, f.now));
	assert_int_equal(p->len, send(A, B, 50, 1500));
	fx_pkt_free(p);
	/* A narrow path, or one too narrow for anything. */
	path = 700;
	assert_true(dummies(100) > 10);
	path = 60;
	assert_int_equal(dummies(100), 0);
	path = 1500;
}

static void
test_dummies_of_updated_sa(void **state)
{
	struct tdo_sa_key key = {
	    .satype = TDO_SATYPE_ESP, .spi = 0x1000 + 100, .src = fx_addr(G), .dst = fx_addr(H)};
	struct tdo_sa_info info;

	fx_local(&f, G);
	add_dummies(G, H, 100, 0);
	add_dummies(G, H, 101, 0);
	assert_int_equal(tdo_sa_get(f.e, &key, &info), 0);
	assert_int_equal(info.param.tfc.dummies, 100);
	info.param.tfc.dummies = 0;
	assert_int_equal(tdo_sa_update(f.e, &info.param, f.now, NULL), 0);
	assert_in_range(dummies(2000), 150, 250);
	info.param.tfc.dummies = 500;
	assert_int_equal(tdo_sa_update(f.e, &info.param, f.now, NULL), 0);
	assert_in_range(dummies(2000), 1000, 1400);
	assert_int_equal(tdo_sa_flush(f.e, TDO_SATYPE_UNSPEC), 2);
	assert_true(tdo_dummy_due(f.e) == UINT64_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_tunnel_hides_length),
	    T(test_path_mtu),
	    T(test_bundle),
	    T(test_transport),
	    T(test_behind_udp),
	    T(test_knob),
	    T(test_random_fits),
	    T(test_no_memory_behind),
	    T(test_no_memory_behind_bundle),
	    T(test_only_esp),
	    T(test_dummies),
	    T(test_dummies_of_others),
	    T(test_dummies_limit),
	    T(test_dummies_padded),
	    T(test_dummies_of_updated_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
