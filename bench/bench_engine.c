/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost of the engine beside that of its cryptography: bursts through tdo_out() and tdo_in()
 * against the same bytes through the cryptography alone, under the same keys.
 *
 *	bench_engine [gcm] [algorithms] [lanes] [databases] [million]
 *
 * gcm         AES-128-GCM, by size, SAs and policies, against bare calls of ipsec-mb
 * algorithms  all kinds of algorithms, against the crypto layer alone (which bench_crypto
 *             holds against the library)
 * lanes       ciphers and MACs that share the lanes of the library, packets of one SA, of two by
 *             turns, and of 64 by turns
 * databases   many SAs and policies in random order, and flows that defeat the flow cache
 * million     the same with 1,000,000 SAs; takes some 10 GB
 *
 * Rounds are interleaved and each kind has its median, so that the ratios mean something on
 * a machine that is shared.  in = tdo_in() of what tdo_out() made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <intel-ipsec-mb.h>

#include "base/addr.h"
#include "base/be.h"
#include "fixture.h"
#include "wire/esp.h"
#include "wire/ip.h"

enum { BURST = 32, ROUNDS_MAX = 2001, HLEN = 20, SRC_PORT = 1000 };

struct setting {
	const char *enc, *auth;
	unsigned size, sas, policies;
	unsigned row;    /* packets of one SA that come in a row */
	unsigned flows;  /* ports taken in turn by each SA's packets */
	bool random;     /* SAs in random order */
	bool bare;       /* against bare ipsec-mb, AES-128-GCM only */
	unsigned rounds; /* at most ROUNDS_MAX */
};

struct bare {
	_Alignas(64) struct gcm_key_data key; /* the library wants that */
	uint8_t salt[4];
};

struct bench {
	struct fx out, in;
	IMB_MGR *mb;
	struct bare
	    *bare[2]; /* a key per SA, to decrypt and to encrypt: each as cold as the engine's */
	struct tdo_session *enc, *dec;
	struct tdo_pkt *p[BURST], pkt[BURST];
	uint8_t *pool;         /* packet after packet, as a back end has them */
	uint8_t *clear[BURST]; /* packets as they are before */
	unsigned sa[BURST];    /* SAs of the burst */
	struct setting s;
	struct rng rng;
	unsigned turn; /* of SAs and flows */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_engine: %s\n", what);
	exit(1);
}

/* Peers are 16.0.0.0 and the following. */
static const char *
peer(unsigned i, char *buf, size_t len)
{
	snprintf(buf, len, "%u.%u.%u.%u", 16 + (i >> 24), i >> 16 & 255, i >> 8 & 255, i & 255);
	return buf;
}

/* The tested flows have their policies behind all others of the list. */
static void
open_engine(struct fx *f, const struct setting *s, uint8_t dir)
{
	char dst[32], other[32];

	memset(f, 0, sizeof(*f));
	fx_open(f, s->bare ? "ipsec-mb" : NULL);
	tdo_worker_idle(f->w); /* tables grow when no reader is in them */
	for (unsigned i = 0; i + 1 < s->policies; i++) {
		snprintf(
		    other, sizeof(other), "%u.%u.%u.0/24", 100 + (i >> 16), i >> 8 & 255, i & 255);
		fx_add_sp(f, dir, "10.1.0.1", other, TDO_PROTO_ANY, "esp/transport//require");
	}
	fx_add_sp(f, dir, "10.1.0.1", "16.0.0.0/8", TDO_PROTO_ANY, "esp/transport//require");
	for (unsigned i = 0; i < s->sas; i++)
		fx_add_sa(f, &(struct fx_sa){.src = "10.1.0.1",
				 .dst = peer(i, dst, sizeof(dst)),
				 .spi = 0x1000 + i,
				 .mode = TDO_MODE_TRANSPORT,
				 .enc = s->enc,
				 .auth = s->auth,
				 .replay = 64});
	tdo_worker_resume(f->w);
}

static struct bare *
bare_keys(const struct bench *b)
{
	struct bare *bare = aligned_alloc(64, b->s.sas * sizeof(*bare));

	must(bare != NULL, "no memory");
	for (unsigned i = 0; i < b->s.sas; i++) {
		struct rng keys = {0x1000 + i};
		uint8_t k[20];

		rng_fill(&keys, k, sizeof(k));
		IMB_AES128_GCM_PRE(b->mb, k, &bare[i].key);
		memcpy(bare[i].salt, k + 16, 4);
	}
	return bare;
}

/* The first SA's sessions, outside of the engine. */
static void
open_layer(struct bench *b)
{
	uint8_t ekey[TDO_KEY_MAX], akey[TDO_KEY_MAX];
	struct rng keys = {0x1000};
	struct tdo_session_param p = {.enc = tdo_alg_enc_by_name(b->s.enc),
	    .auth = b->s.auth ? tdo_alg_auth_by_name(b->s.auth) : NULL,
	    .ekey = ekey,
	    .akey = akey,
	    .encrypt = true};

	rng_fill(&keys, ekey, sizeof(ekey));
	rng_fill(&keys, akey, sizeof(akey));
	p.ekey_len = p.enc->key_min / 8;
	p.akey_len = p.auth ? p.auth->key_min / 8 : 0;
	must(tdo_session_new(b->out.crypto, &p, &b->enc) == 0, "no session");
	p.encrypt = false;
	must(tdo_session_new(b->in.crypto, &p, &b->dec) == 0, "no session");
}

static void
open_bench(struct bench *b, IMB_MGR *mb, const struct setting *s)
{
	uint32_t stride = (TDO_HEADROOM + s->size + TDO_TAILROOM + 63) & ~63u;
	char dst[32];

	*b = (struct bench){.mb = mb, .s = *s, .rng = {1}};
	open_engine(&b->out, s, TDO_DIR_OUT);
	open_engine(&b->in, s, TDO_DIR_IN);
	for (unsigned i = 0; s->bare && i < 2; i++)
		b->bare[i] = bare_keys(b);
	if (!s->bare)
		open_layer(b);
	b->pool = aligned_alloc(64, (size_t)BURST * stride);
	must(b->pool != NULL, "no memory");
	for (unsigned i = 0; i < BURST; i++) {
		struct tdo_pkt *c =
		    fx_udp(&b->rng, "10.1.0.1", peer(0, dst, sizeof(dst)), s->size - HLEN - 8);

		b->p[i] = &b->pkt[i];
		b->pkt[i] = (struct tdo_pkt){.buf = b->pool + i * stride, .cap = stride};
		b->clear[i] = malloc(c->len);
		must(b->clear[i] != NULL, "no memory");
		memcpy(b->clear[i], tdo_pkt_data(c), c->len);
		fx_pkt_free(c);
	}
}

static void
close_bench(struct bench *b)
{
	for (unsigned i = 0; i < BURST; i++)
		free(b->clear[i]);
	free(b->pool);
	free(b->bare[0]);
	free(b->bare[1]);
	tdo_session_free(b->enc);
	tdo_session_free(b->dec);
	fx_close(&b->out);
	fx_close(&b->in);
}

/* Which SAs and flows the next burst has; not timed. */
static void
choose(struct bench *b)
{
	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *ip = b->clear[i];

		b->sa[i] =
		    b->s.random ? rng_below(&b->rng, b->s.sas) : b->turn / b->s.row % b->s.sas;
		ip[16] = (uint8_t)(16 + (b->sa[i] >> 24));
		ip[17] = (uint8_t)(b->sa[i] >> 16);
		ip[18] = (uint8_t)(b->sa[i] >> 8);
		ip[19] = (uint8_t)b->sa[i];
		tdo_ip4_set_csum(ip);
		tdo_put_be16(
		    ip + HLEN, (uint16_t)(SRC_PORT + b->turn / b->s.row / b->s.sas % b->s.flows));
		b->turn++;
	}
}

static void
refill(struct bench *b)
{
	for (unsigned i = 0; i < BURST; i++)
		fx_pkt_set(b->p[i], b->clear[i], b->s.size);
}

static uint64_t
time_out(struct bench *b)
{
	uint64_t t = now_ns();

	tdo_out(b->out.w, b->p, BURST, b->out.now);
	tdo_worker_quiesce(b->out.w);
	t = now_ns() - t;
	for (unsigned i = 0; i < BURST; i++)
		must(b->p[i]->verdict == TDO_VERDICT_SEND, "a packet was not protected");
	return t;
}

static uint64_t
time_in(struct bench *b)
{
	uint64_t t = now_ns();

	tdo_in(b->in.w, b->p, BURST, b->in.now);
	tdo_worker_quiesce(b->in.w);
	t = now_ns() - t;
	for (unsigned i = 0; i < BURST; i++) {
		must(b->p[i]->verdict == TDO_VERDICT_PASS, "a packet was not delivered");
		must(memcmp(tdo_pkt_data(b->p[i]), b->clear[i], b->s.size) == 0, "wrong bytes");
	}
	return t;
}

/* The text of the protected packets once more, in place, by the library alone. */
static uint64_t
time_bare(struct bench *b, bool encrypt)
{
	uint32_t text = (b->s.size - HLEN + 2 + 3) & ~3u;
	struct gcm_context_data ctx;
	uint8_t nonce[12], tag[16];
	uint64_t t = now_ns();

	for (unsigned i = 0; i < BURST; i++) {
		struct bare *k = &b->bare[encrypt][b->sa[i]];
		uint8_t *esp = tdo_pkt_data(b->p[i]) + HLEN;

		memcpy(nonce, k->salt, 4);
		memcpy(nonce + 4, esp + TDO_ESP_HLEN, 8);
		if (encrypt)
			IMB_AES128_GCM_ENC(b->mb, &k->key, &ctx, esp + 16, esp + 16, text, nonce,
			    esp, TDO_ESP_HLEN, tag, 16);
		else
			IMB_AES128_GCM_DEC(b->mb, &k->key, &ctx, esp + 16, esp + 16, text, nonce,
			    esp, TDO_ESP_HLEN, tag, 16);
	}
	return now_ns() - t;
}

/* The same by the crypto layer; what it finds wrong costs as much as what is right. */
static uint64_t
time_layer(struct bench *b, bool encrypt)
{
	const struct tdo_alg *enc = tdo_alg_enc_by_name(b->s.enc);
	uint32_t align = enc->block > 4 ? enc->block : 4;
	uint32_t text = (b->s.size - HLEN + 2 + align - 1) & ~(align - 1);
	struct tdo_op op[BURST];
	uint64_t t;

	for (unsigned i = 0; i < BURST; i++)
		op[i] = (struct tdo_op){.data = tdo_pkt_data(b->p[i]) + HLEN,
		    .hdr_len = TDO_ESP_HLEN,
		    .text_len = text};
	t = now_ns();
	tdo_session_process(encrypt ? b->enc : b->dec, 0, op, BURST);
	return now_ns() - t;
}

static uint64_t
time_crypto(struct bench *b, bool encrypt)
{
	return b->s.bare ? time_bare(b, encrypt) : time_layer(b, encrypt);
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* For each packet. */
static double
median(uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return (double)v[n / 2] / BURST;
}

static void
run(IMB_MGR *mb, const struct setting *s)
{
	static uint64_t out[ROUNDS_MAX], in[ROUNDS_MAX], enc[ROUNDS_MAX], dec[ROUNDS_MAX];
	struct bench b;
	double o, i, e, d;
	char name[64];

	open_bench(&b, mb, s);
	for (unsigned k = 0; k < s->rounds; k++) {
		choose(&b);
		refill(&b);
		out[k] = time_out(&b);
		in[k] = time_in(&b);
		refill(&b);
		enc[k] = time_crypto(&b, true);
		dec[k] = time_crypto(&b, false);
	}
	o = median(out, s->rounds);
	i = median(in, s->rounds);
	e = median(enc, s->rounds);
	d = median(dec, s->rounds);
	snprintf(name, sizeof(name), "%s%s%s", s->enc, s->auth ? "+" : "", s->auth ? s->auth : "");
	printf("%-26s %5u B %7u SA (%u in a row) %7u SP %5u flows   encrypt %6.0f ns  out %6.0f ns "
	       "(%.2f)   "
	       "decrypt %6.0f ns  in %6.0f ns (%.2f)\n",
	    name, s->size, s->sas, s->row, s->policies, s->flows, e, o, o / e, d, i, i / d);
	fflush(stdout);
	close_bench(&b);
}

static const unsigned sizes[] = {64, 576, 1420, 9000};

#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
run_gcm(IMB_MGR *mb)
{
	static const struct {
		unsigned sas, row;
	} shapes[] = {{1, 1}, {64, 1}, {64, 8}};
	struct setting s = {.enc = "aes-gcm-16", .flows = 1, .bare = true, .rounds = ROUNDS_MAX};

	for (unsigned i = 0; i < NSIZES; i++)
		for (unsigned k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++)
			for (s.policies = 1; s.policies <= 1000; s.policies += 999) {
				s.size = sizes[i];
				s.sas = shapes[k].sas;
				s.row = shapes[k].row;
				run(mb, &s);
			}
}

static void
run_algorithms(IMB_MGR *mb)
{
	struct setting s = {.sas = 1, .row = 1, .policies = 1, .flows = 1, .rounds = 301};
	const struct tdo_alg *a, *sha1 = tdo_alg_auth_by_name("hmac-sha1");

	/* Every cipher, with SHA-1 where it needs a MAC; then every MAC with AES-CBC. */
	for (unsigned k = 0; (a = tdo_alg_at(k)) != NULL; k++) {
		s.enc = a->kind == TDO_ALG_AUTH ? "aes-cbc" : a->name;
		s.auth = a->kind == TDO_ALG_AEAD  ? NULL
			 : a->kind == TDO_ALG_ENC ? sha1->name
						  : a->name;
		for (unsigned i = 0; i < NSIZES; i++) {
			s.size = sizes[i];
			run(mb, &s);
		}
	}
}

/* Packets of all SAs share the lanes of the vector code. */
static void
run_lanes(IMB_MGR *mb)
{
	static const struct {
		const char *enc, *auth;
	} rows[] = {{"aes-cbc", "hmac-sha1"}, {"aes-cbc", "hmac-sha256"},
	    {"aes-cbc", "hmac-sha512"}, {"aes-ctr", "hmac-sha256"}, {"chacha20-poly1305", NULL},
	    {"aes-ccm-16", NULL}, {"aes-gcm-16", NULL}};
	static const unsigned sas[] = {1, 2, 64};
	struct setting s = {.row = 1, .policies = 1, .flows = 1, .rounds = 301};

	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		for (unsigned i = 0; i < NSIZES; i++)
			for (unsigned k = 0; k < sizeof(sas) / sizeof(sas[0]); k++) {
				s.enc = rows[r].enc;
				s.auth = rows[r].auth;
				s.size = sizes[i];
				s.sas = sas[k];
				run(mb, &s);
			}
}

static void
run_databases(IMB_MGR *mb, bool million)
{
	static const struct {
		unsigned sas, policies, flows;
	} rows[] = {{1, 1, 1}, {64, 1000, 1}, {64, 1000, 1000}, {10000, 1000, 1},
	    {100000, 100000, 1}, {1000000, 100000, 1}};
	struct setting s = {.enc = "aes-gcm-16", .size = 64, .row = 1, .bare = true};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]) - !million; i++) {
		s.sas = rows[i].sas;
		s.policies = rows[i].policies;
		s.flows = rows[i].flows;
		s.random = s.sas > 64;
		s.rounds = ROUNDS_MAX;
		run(mb, &s);
	}
}

static bool
wanted(int argc, char **argv, const char *part, bool otherwise)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], part) == 0)
			return true;
	return argc < 2 && otherwise;
}

int
main(int argc, char **argv)
{
	IMB_MGR *mb = alloc_mb_mgr(0);
	bool million = wanted(argc, argv, "million", false);

	must(mb != NULL, "no ipsec-mb");
	init_mb_mgr_auto(mb, NULL);
	printf(
	    "ns for each packet of a burst of %u; in brackets: as a multiple of the cryptography\n",
	    BURST);
	if (wanted(argc, argv, "gcm", true))
		run_gcm(mb);
	if (wanted(argc, argv, "algorithms", true))
		run_algorithms(mb);
	if (wanted(argc, argv, "lanes", true))
		run_lanes(mb);
	if (wanted(argc, argv, "databases", true) || million)
		run_databases(mb, million);
	free_mb_mgr(mb);
	return 0;
}
