/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost of IPComp: bursts of packets with text, and with noise, through tdo_out() and tdo_in() in
 * transport mode, against bare calls of libdeflate for the same bytes.  Rounds are interleaved and
 * each kind has its median, so that the ratios mean something on a machine that is shared.
 *
 *	bench_comp
 */
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"
#include "wire/ip.h"

enum { BURST = 32, ROUNDS_MAX = 401, LEVEL = 4, UDP_OFF = 20 };

/* What of a round is timed. */
enum { PACK, OUT, UNPACK, IN, KINDS };

static struct fx f;
static struct tdo_pkt *p[BURST];
static uint8_t *plain[BURST];
static struct libdeflate_compressor *pack;
static struct libdeflate_decompressor *unpack;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Words in random order compress about as text does. */
static void
fill(struct rng *r, uint8_t *to, uint32_t len, bool noise)
{
	static const char *const words[] = {"the ", "packet ", "of ", "an ", "association ",
	    "that ", "is ", "sent ", "by ", "which ", "header ", "in ", "tunnel ", "mode, ", "and ",
	    "policy ", "must ", "not ", "be ", "larger ", "than ", "1500 ", "bytes. ", "0x1f3a "};
	uint32_t at = 0;

	if (noise) {
		rng_fill(r, to, len);
		return;
	}
	while (at < len) {
		const char *w = words[rng_below(r, sizeof(words) / sizeof(words[0]))];
		uint32_t n = (uint32_t)strlen(w);

		n = n < len - at ? n : len - at;
		memcpy(to + at, w, n);
		at += n;
	}
}

/* One round over the burst; returns the bytes that left. */
static uint64_t
round_of(uint32_t size, uint64_t t[KINDS])
{
	static uint8_t stream[70000], out[70000];
	size_t len[BURST], got;
	uint64_t sent = 0, at = now_ns();

	for (unsigned i = 0; i < BURST; i++)
		len[i] = libdeflate_deflate_compress(
		    pack, plain[i] + UDP_OFF, size - UDP_OFF, stream, size + 16);
	t[PACK] = now_ns() - at;
	for (unsigned i = 0; i < BURST; i++)
		fx_pkt_set(p[i], plain[i], size);
	at = now_ns();
	tdo_out(f.w, p, BURST, f.now);
	t[OUT] = now_ns() - at;
	t[UNPACK] = 0;
	for (unsigned i = 0; i < BURST; i++) {
		sent += p[i]->len;
		if (p[i]->ip.flow.proto != TDO_IPPROTO_IPCOMP)
			continue;
		at = now_ns();
		if (libdeflate_deflate_decompress_ex(unpack, tdo_pkt_data(p[i]) + UDP_OFF + 4,
			p[i]->len - UDP_OFF - 4, out, sizeof(out), NULL,
			&got) != LIBDEFLATE_SUCCESS)
			exit(1);
		t[UNPACK] += now_ns() - at;
	}
	at = now_ns();
	tdo_in(f.w, p, BURST, f.now);
	t[IN] = now_ns() - at;
	for (unsigned i = 0; i < BURST; i++)
		if (p[i]->verdict != TDO_VERDICT_PASS || p[i]->len != size || len[i] == 0)
			exit(1);
	return sent;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
measure(uint32_t size, bool noise)
{
	static uint64_t t[KINDS][ROUNDS_MAX];
	unsigned rounds = size > 2000 ? 51 : ROUNDS_MAX;
	struct rng r = {size};
	uint64_t sent = 0, tried = 0;
	double ns[KINDS];

	for (unsigned i = 0; i < BURST; i++) {
		struct tdo_pkt *u = fx_udp(&r, "10.0.0.1", "10.0.0.2", size - UDP_OFF - 8);

		memcpy(plain[i], tdo_pkt_data(u), size);
		fill(&r, plain[i] + UDP_OFF + 8, size - UDP_OFF - 8, noise);
		fx_pkt_free(u);
	}
	for (unsigned k = 0; k < rounds; k++) {
		uint64_t one[KINDS];

		sent += round_of(size, one);
		for (unsigned i = 0; i < KINDS; i++)
			t[i][k] = one[i];
		tried += one[OUT];
	}
	for (unsigned i = 0; i < KINDS; i++) {
		qsort(t[i], rounds, sizeof(t[i][0]), compare);
		ns[i] = (double)t[i][rounds / 2] / BURST;
	}
	/* Of packets that are seldom tried the median is one of those that are not. */
	if (noise)
		ns[OUT] = (double)tried / rounds / BURST;
	printf("%-6s %6u B  to %3.0f %%   deflate %9.0f ns  out %9.0f ns (%.2f)",
	    noise ? "noise" : "text", size, 100.0 * (double)sent / (double)rounds / BURST / size,
	    ns[PACK], ns[OUT], ns[OUT] / ns[PACK]);
	if (ns[UNPACK] > 0)
		printf("   inflate %8.0f ns  in %8.0f ns (%.2f)\n", ns[UNPACK], ns[IN],
		    ns[IN] / ns[UNPACK]);
	else
		printf("   in %8.0f ns\n", ns[IN]);
}

int
main(void)
{
	static const uint32_t sizes[] = {118, 576, 1420, 9000, 60000};

	pack = libdeflate_alloc_compressor(LEVEL);
	unpack = libdeflate_alloc_decompressor();
	fx_open(&f, NULL);
	fx_add_sa(&f,
	    &(struct fx_sa){.src = "10.0.0.1", .dst = "10.0.0.2", .spi = 10000, .comp = "deflate"});
	fx_add_sp(&f, TDO_DIR_OUT, "10.0.0.1", "10.0.0.2", TDO_PROTO_ANY, "ipcomp/transport//use");
	fx_add_sp(&f, TDO_DIR_IN, "10.0.0.1", "10.0.0.2", TDO_PROTO_ANY, "ipcomp/transport//use");
	for (unsigned i = 0; i < BURST; i++) {
		p[i] = fx_pkt_new(0);
		plain[i] = calloc(1, TDO_PKT_MAXLEN);
	}
	for (unsigned noise = 0; noise < 2; noise++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			measure(sizes[i], noise);
	for (unsigned i = 0; i < BURST; i++) {
		fx_pkt_free(p[i]);
		free(plain[i]);
	}
	fx_close(&f);
	libdeflate_free_compressor(pack);
	libdeflate_free_decompressor(unpack);
	return 0;
}
