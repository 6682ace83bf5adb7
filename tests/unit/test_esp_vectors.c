/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Published ESP packets through the engine: those of the files of test vectors whose header is
 * SPI and sequence number.  Each stands behind an IPv4 header and behind an IPv6 header.  It is
 * received for an SA with the keys of the vector whose window ends right below the packet; and,
 * unless its IV is random, an SA that has sent the number in front of it sends just this packet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "engine/path.h"
#include "expect.h"
#include "fixture.h"
#include "vector_reader.h"
#include "wire/esp.h"
#include "wire/ip.h"

enum { ESP_MAX = 2048, WINDOW = 64 };

struct esp_packet {
	const struct tdo_alg *enc, *auth;
	uint8_t ekey[64], akey[64];
	uint16_t ekey_len, akey_len;
	uint8_t esp[ESP_MAX];   /* from the SPI to the ICV */
	uint8_t plain[ESP_MAX]; /* payload with its trailer */
	uint32_t esp_len, plain_len, payload_len;
	uint32_t spi;
	uint64_t seq;
	bool esn;
	uint8_t nh;
};

/* ---- the vector --------------------------------------------------------------------- */

static void
load_key(const struct vector_reader *r, struct esp_packet *v)
{
	const char *enc = vector_text(r, "enc"), *auth = vector_text(r, "auth");
	uint8_t esn[4] = {0};

	v->enc = enc ? tdo_alg_enc_by_name(enc) : NULL;
	v->auth = auth ? tdo_alg_auth_by_name(auth) : NULL;
	assert_true((enc == NULL) == (v->enc == NULL) && (auth == NULL) == (v->auth == NULL));
	v->ekey_len = (uint16_t)vector_hex(r, "ekey", v->ekey, sizeof(v->ekey));
	v->akey_len = (uint16_t)vector_hex(r, "akey", v->akey, sizeof(v->akey));
	v->esn = vector_hex(r, "esn", esn, sizeof(esn)) > 0;
	v->seq = (uint64_t)tdo_be32(esn) << 32;
}

/* False when the block is not an ESP packet. */
static bool
load(const struct vector_reader *r, struct esp_packet *v)
{
	static const char *const part[] = {"header", "iv", "cipher", "icv"};
	uint8_t header[64];

	memset(v, 0, sizeof(*v));
	if (vector_hex(r, "header", header, sizeof(header)) != 8)
		return false;
	load_key(r, v);
	for (unsigned i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		v->esp_len += (uint32_t)vector_hex(
		    r, part[i], v->esp + v->esp_len, sizeof(v->esp) - v->esp_len);
	v->spi = tdo_be32(v->esp);
	v->seq |= tdo_be32(v->esp + 4);
	v->plain_len = (uint32_t)vector_hex(r, "plain", v->plain, sizeof(v->plain));
	assert_true(v->plain_len >= 2);
	v->nh = v->plain[v->plain_len - 1];
	assert_true(v->plain[v->plain_len - 2] + 2u <= v->plain_len);
	v->payload_len = v->plain_len - 2 - v->plain[v->plain_len - 2];
	return true;
}

/* ---- the engine --------------------------------------------------------------------- */

struct family {
	const char *src, *dst;
	uint32_t hlen;
};

static const struct family families[] = {
    {"192.168.123.3", "192.168.123.100", TDO_IP4_HLEN},
    {"2001:db8::3", "2001:db8::100", TDO_IP6_HLEN},
};

static bool
is_tunnel(const struct esp_packet *v)
{
	return v->nh == TDO_IPPROTO_IPIP || v->nh == TDO_IPPROTO_IPV6;
}

static int
add_sa(struct fx *f, const struct esp_packet *v, const struct family *fam, const uint8_t *ekey)
{
	struct tdo_err err = {0};
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_ESP, v->spi, fx_addr(fam->src), fx_addr(fam->dst)},
	    .mode = is_tunnel(v) ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
	    .flags = v->esn ? TDO_SAF_ESN : 0,
	    .ealg = v->enc ? v->enc->pfkey : 0,
	    .aalg = v->auth ? v->auth->pfkey : 0,
	    .ekey = ekey,
	    .akey = v->akey,
	    .ekey_bits = (uint16_t)(v->ekey_len * 8),
	    .akey_bits = (uint16_t)(v->akey_len * 8),
	};

	if (v->auth || v->enc->kind == TDO_ALG_AEAD)
		p.replay = WINDOW;
	return tdo_sa_add(f->e, &p, f->now, &err);
}

static struct tdo_sa *
find_sa(struct fx *f, const struct esp_packet *v, const struct family *fam)
{
	struct tdo_addr dst = fx_addr(fam->dst);
	struct tdo_sa *sa = tdo_sad_find_in(f->e, &dst, v->spi, TDO_IPPROTO_ESP);

	assert_non_null(sa);
	return sa;
}

/* The SA has seen the packet right in front of this one. */
static void
move_window(struct fx *f, const struct esp_packet *v, const struct family *fam)
{
	struct tdo_sa *sa = find_sa(f, v, fam);

	if (sa->fmt.authenticated && v->seq > 1)
		assert_int_equal(tdo_replay_accept(&sa->replay, v->seq - 1), TDO_REASON_NONE);
}

/* The packet behind its outer header, with the last bit of byte `damaged` inverted, -1 for none. */
static struct tdo_pkt *
receive(struct fx *f, const struct esp_packet *v, const struct family *fam, int damaged)
{
	struct tdo_ip_hdr h = {.src = fx_addr(fam->src),
	    .dst = fx_addr(fam->dst),
	    .ttl = 64,
	    .proto = TDO_IPPROTO_ESP};
	struct tdo_pkt *p = fx_pkt_new(fam->hlen + v->esp_len);

	tdo_ip_build(tdo_pkt_data(p), &h, v->esp_len);
	memcpy(tdo_pkt_data(p) + fam->hlen, v->esp, v->esp_len);
	if (damaged >= 0)
		tdo_pkt_data(p)[fam->hlen + (uint32_t)damaged] ^= 1;
	tdo_in(f->w, &p, 1, f->now);
	return p;
}

static void
expect_inner(struct tdo_pkt *p, const struct esp_packet *v, const struct family *fam)
{
	uint32_t head = is_tunnel(v) ? 0 : fam->hlen;
	const uint8_t *d = tdo_pkt_data(p);

	if (p->reason)
		print_error("reason is %s\n", tdo_reason_info(p->reason)->name);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, head + v->payload_len);
	assert_memory_equal(d + head, v->plain, v->payload_len);
	if (head == TDO_IP4_HLEN) {
		assert_int_equal(d[9], v->nh);
		assert_int_equal(tdo_be16(d + 2), p->len);
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, d, head)), 0);
	} else if (head == TDO_IP6_HLEN) {
		assert_int_equal(d[6], v->nh);
		assert_int_equal(tdo_be16(d + 4), v->payload_len);
	}
	fx_pkt_free(p);
}

/* With an ICV: no byte may differ, and no packet comes twice. */
static void
run_authenticated(struct fx *f, const struct esp_packet *v, const struct family *fam)
{
	for (int i = 8; i < (int)v->esp_len; i++)
		expect(receive(f, v, fam, i), TDO_VERDICT_DROP, TDO_REASON_IN_ICV);
	expect_inner(receive(f, v, fam, -1), v, fam);
	expect(receive(f, v, fam, -1), TDO_VERDICT_DROP, TDO_REASON_IN_REPLAY_DUP);
}

static void
run_other_key(const struct esp_packet *v, const struct family *fam)
{
	uint8_t ekey[sizeof(v->ekey)];
	struct fx f = {0};

	memcpy(ekey, v->ekey, sizeof(ekey));
	ekey[0] ^= 0x10;
	fx_open(&f, NULL);
	assert_int_equal(add_sa(&f, v, fam, ekey), 0);
	move_window(&f, v, fam);
	expect(receive(&f, v, fam, -1), TDO_VERDICT_DROP, TDO_REASON_IN_ICV);
	fx_close(&f);
}

/* The packet inside; in transport mode with the outer addresses. */
static struct tdo_pkt *
inner(const struct esp_packet *v, const struct family *fam)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(fam->src), .dst = fx_addr(fam->dst), .ttl = 64, .proto = v->nh};
	uint32_t head = is_tunnel(v) ? 0 : fam->hlen;
	struct tdo_pkt *p = fx_pkt_new(head + v->payload_len);

	if (head > 0)
		tdo_ip_build(tdo_pkt_data(p), &h, v->payload_len);
	memcpy(tdo_pkt_data(p) + head, v->plain, v->payload_len);
	return p;
}

static void
run_sent(const struct esp_packet *v, const struct family *fam)
{
	struct tdo_pkt *p = inner(v, fam);
	struct fx f = {0};
	char request[128];
	struct tdo_sa *sa;

	fx_open(&f, NULL);
	assert_int_equal(add_sa(&f, v, fam, v->ekey), 0);
	snprintf(request, sizeof(request),
	    is_tunnel(v) ? "esp/tunnel/%s-%s/require" : "esp/transport//require", fam->src,
	    fam->dst);
	fx_add_sp(&f, TDO_DIR_OUT, "0.0.0.0/0", "0.0.0.0/0", TDO_PROTO_ANY, request);
	fx_add_sp(&f, TDO_DIR_OUT, "::/0", "::/0", TDO_PROTO_ANY, request);
	sa = find_sa(&f, v, fam);
	atomic_store(sa->out_seq, v->seq - 1);
	if (v->enc->iv_counter)
		sa->fmt.iv_base = tdo_be64(v->esp + 8) - v->seq;
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->len, fam->hlen + v->esp_len);
	assert_memory_equal(tdo_pkt_data(p) + fam->hlen, v->esp, v->esp_len);
	fx_pkt_free(p);
	fx_close(&f);
}

/* nettle has every algorithm that is built; the others leave some out. */
static bool
supported(const struct tdo_crypto *c, const struct esp_packet *v)
{
	const char *driver;

	if (tdo_crypto_supports(c, v->enc, v->auth))
		return true;
	if (v->enc->not_there || (v->auth && v->auth->not_there))
		return false;
	for (unsigned i = 0; (driver = tdo_crypto_driver_at(c, i)) != NULL; i++)
		assert_string_not_equal(driver, "nettle");
	return false;
}

static void
run_packet(const struct esp_packet *v, const struct family *fam)
{
	struct fx f = {0};

	fx_open(&f, NULL);
	/* RFC 4303 2.1: the first SPIs are reserved; one is published all the same. */
	if (v->spi < TDO_SPI_MIN)
		assert_int_not_equal(add_sa(&f, v, fam, v->ekey), 0);
	if (v->spi < TDO_SPI_MIN || !supported(f.crypto, v)) {
		fx_close(&f);
		return;
	}
	assert_int_equal(add_sa(&f, v, fam, v->ekey), 0);
	move_window(&f, v, fam);
	if (v->auth || v->enc->kind == TDO_ALG_AEAD)
		run_authenticated(&f, v, fam);
	else
		expect_inner(receive(&f, v, fam, -1), v, fam);
	fx_close(&f);
	if (v->enc->kind == TDO_ALG_AEAD)
		run_other_key(v, fam);
	if (v->enc->iv_counter || v->enc->iv_len == 0)
		run_sent(v, fam);
}

/* ---- files -------------------------------------------------------------------------- */

struct packet_file {
	const char *name;
	unsigned packets; /* blocks that are ESP packets */
};

static const struct packet_file files[] = {
    {"aes_cbc.txt", 4},
    {"aes_gmac.txt", 1},
    {"chacha20_poly1305.txt", 1},
    {"esp_computed.txt", 114},
    {"esp_gcm.txt", 16},
};

static const char *where;
static unsigned line;

static int
say_where(void **state)
{
	(void)state;
	if (where)
		print_message("# %s:%u\n", where, line);
	where = NULL;
	return 0;
}

static void
file_through_engine(void **state)
{
	const struct packet_file *file = *state;
	static struct esp_packet v;
	struct vector_reader r;
	unsigned n = 0;

	where = file->name;
	vector_open(&r, file->name);
	while (vector_next(&r)) {
		line = r.first;
		if (!load(&r, &v))
			continue;
		for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++)
			run_packet(&v, &families[i]);
		n++;
	}
	vector_close(&r);
	assert_int_equal(n, file->packets);
	where = NULL;
}

int
main(void)
{
	struct CMUnitTest tests[sizeof(files) / sizeof(files[0])];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		tests[i] = (struct CMUnitTest){files[i].name, file_through_engine, NULL, say_where,
		    (void *)(uintptr_t)&files[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
