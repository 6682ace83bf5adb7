/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost of the engine beside that of its cryptography: bursts through tdo_out() and tdo_in()
 * against bare calls of ipsec-mb for the same bytes under the same keys, AES-128-GCM.
 *
 * Rounds of the three are interleaved and each has its median, so that the ratios mean
 * something on a machine that is shared.  in = tdo_in() of what tdo_out() made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <intel-ipsec-mb.h>

#include "base/addr.h"
#include "fixture.h"
#include "wire/esp.h"
#include "wire/ip.h"

enum { BURST = 32, ROUNDS = 2001, SAS_MAX = 64, HLEN = 20 };

struct setting {
	unsigned size, sas, policies;
};

struct bare {
	_Alignas(64) struct gcm_key_data key; /* the library wants that */
	uint8_t salt[4];
};

struct bench {
	struct fx out, in;
	IMB_MGR *mb;
	struct bare *bare; /* one key per SA */
	struct tdo_pkt *p[BURST], pkt[BURST];
	uint8_t *pool;         /* packet after packet, as a back end has them */
	uint8_t *clear[BURST]; /* packets as they are before */
	struct setting s;
	unsigned turn; /* which SAs the next burst uses */
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

static const char *
peer(unsigned i, char *buf, size_t len)
{
	snprintf(buf, len, "10.2.0.%u", i + 1);
	return buf;
}

/* The tested flows have their policies behind all others of the list. */
static void
open_engine(struct fx *f, const struct setting *s, uint8_t dir)
{
	char dst[32], other[32];

	memset(f, 0, sizeof(*f));
	fx_open(f, "ipsec-mb");
	for (unsigned i = 0; i + 1 < s->policies; i++) {
		snprintf(other, sizeof(other), "10.%u.%u.0/24", 100 + i / 256, i % 256);
		fx_add_sp(f, dir, "10.1.0.1", other, TDO_PROTO_ANY, "esp/transport//require");
	}
	fx_add_sp(f, dir, "10.1.0.1", "10.2.0.0/16", TDO_PROTO_ANY, "esp/transport//require");
	for (unsigned i = 0; i < s->sas; i++)
		fx_add_sa(f, &(struct fx_sa){.src = "10.1.0.1",
				 .dst = peer(i, dst, sizeof(dst)),
				 .spi = 0x1000 + i,
				 .mode = TDO_MODE_TRANSPORT,
				 .enc = "aes-gcm-16"});
}

static void
open_bare(struct bench *b)
{
	b->bare = aligned_alloc(64, SAS_MAX * sizeof(*b->bare));
	must(b->bare != NULL, "no memory");
	for (unsigned i = 0; i < b->s.sas; i++) {
		struct rng keys = {0x1000 + i};
		uint8_t k[20];

		rng_fill(&keys, k, sizeof(k));
		IMB_AES128_GCM_PRE(b->mb, k, &b->bare[i].key);
		memcpy(b->bare[i].salt, k + 16, 4);
	}
}

static void
open_bench(struct bench *b, IMB_MGR *mb, const struct setting *s)
{
	struct rng r = {1};
	uint32_t stride = (TDO_HEADROOM + s->size + TDO_TAILROOM + 63) & ~63u;
	char dst[32];

	*b = (struct bench){.mb = mb, .s = *s};
	open_engine(&b->out, s, TDO_DIR_OUT);
	open_engine(&b->in, s, TDO_DIR_IN);
	open_bare(b);
	b->pool = aligned_alloc(64, (size_t)BURST * stride);
	must(b->pool != NULL, "no memory");
	for (unsigned i = 0; i < BURST; i++) {
		struct tdo_pkt *c =
		    fx_udp(&r, "10.1.0.1", peer(i % s->sas, dst, sizeof(dst)), s->size - HLEN - 8);

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
	free(b->bare);
	fx_close(&b->out);
	fx_close(&b->in);
}

/* Puts the clear packets back, not timed; with many SAs the bursts take turns. */
static void
refill(struct bench *b)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct tdo_pkt *p = b->p[i];
		unsigned sa = (b->turn * BURST + i) % b->s.sas;

		b->clear[i][19] = (uint8_t)(sa + 1);
		tdo_ip4_set_csum(b->clear[i]);
		fx_pkt_set(p, b->clear[i], b->s.size);
	}
	b->turn++;
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
	unsigned first = b->turn * BURST;
	struct gcm_context_data ctx;
	uint8_t nonce[12], tag[16];
	uint64_t t = now_ns();

	for (unsigned i = 0; i < BURST; i++) {
		struct bare *k = &b->bare[(first + i) % b->s.sas];
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

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
median(uint64_t *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return (double)v[ROUNDS / 2];
}

static void
run(IMB_MGR *mb, const struct setting *s)
{
	static uint64_t out[ROUNDS], in[ROUNDS], enc[ROUNDS], dec[ROUNDS];
	struct bench b;
	double o, i, e, d;

	open_bench(&b, mb, s);
	for (unsigned k = 0; k < ROUNDS; k++) {
		refill(&b);
		out[k] = time_out(&b);
		in[k] = time_in(&b);
		refill(&b);
		enc[k] = time_bare(&b, true);
		dec[k] = time_bare(&b, false);
	}
	o = median(out) / BURST;
	i = median(in) / BURST;
	e = median(enc) / BURST;
	d = median(dec) / BURST;
	printf(
	    "%5u B %3u SA %5u SP   encrypt %5.0f ns   out %5.0f ns (%.2f)   decrypt %5.0f ns   in "
	    "%5.0f ns (%.2f)\n",
	    s->size, s->sas, s->policies, e, o, o / e, d, i, i / d);
	close_bench(&b);
}

int
main(void)
{
	static const unsigned sizes[] = {64, 576, 1420, 9000};
	IMB_MGR *mb = alloc_mb_mgr(0);

	must(mb != NULL, "no ipsec-mb");
	init_mb_mgr_auto(mb, NULL);
	printf("ns for each packet of a burst of %u; in brackets: as a multiple of bare\n", BURST);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned sas = 1; sas <= SAS_MAX; sas += SAS_MAX - 1)
			for (unsigned sp = 1; sp <= 1000; sp += 999)
				run(mb, &(struct setting){sizes[i], sas, sp});
	free_mb_mgr(mb);
	return 0;
}
