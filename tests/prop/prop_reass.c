/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reassembly against an oracle that marks bytes one by one: random fragments of a few datagrams,
 * in any order, some of them twice, some overlapping, some with lies about the end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fragment.h"
#include "mem.h"
#include "rng.h"
#include "testudo/reass.h"

enum { SPAN = 600, KEYS = 4, TIMEOUT = 30 };

/* One datagram, as the definition has it. */
struct oracle {
	uint8_t byte[SPAN];
	uint8_t owner[SPAN]; /* number of the fragment that brought it; 0: not there */
	struct {
		uint32_t at, len;
		bool more;
	} frag[256];
	unsigned n;
	bool spoilt;
	tdo_ns since; /* 0: nothing came */
	uint8_t tos;
};

static struct rng rng;
static struct oracle oracle[2][KEYS];
static uint8_t packet[FRAGMENT_MAX], whole[FRAGMENT_MAX], buf[FRAGMENT_MAX];
static unsigned results[4];

static void
random_bytes(void *ctx, void *p, size_t len)
{
	(void)ctx;
	rng_fill(&rng, p, len);
}

static void
fail(const char *what, const struct fragment *f)
{
	printf("not ok - %s: family %u id %u at %u len %u more %u\n", what, f->v6 ? 6 : 4, f->id,
	    f->at, f->len, f->more);
	exit(1);
}

/* The last byte by what a fragment says; 0: nobody said. */
static uint32_t
end_of(const struct oracle *o)
{
	for (unsigned i = 0; i < o->n; i++)
		if (!o->frag[i].more)
			return o->frag[i].at + o->frag[i].len;
	return 0;
}

static bool
contradicts(const struct oracle *o, const struct fragment *f)
{
	uint32_t end = end_of(o), fend = f->at + f->len;

	if (end && (f->more ? fend >= end : fend != end))
		return true;
	for (unsigned i = 0; i < o->n; i++)
		if (!end && !f->more && o->frag[i].at + o->frag[i].len >= fend)
			return true;
	for (uint32_t k = f->at; k < fend; k++)
		if (o->owner[k])
			return true;
	return false;
}

static bool
is_duplicate(const struct oracle *o, const struct fragment *f)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->frag[i].at == f->at && o->frag[i].len == f->len &&
		    o->frag[i].more == f->more)
			return memcmp(o->byte + f->at, f->data + f->at, f->len) == 0;
	return false;
}

static enum tdo_reass_result
expected(struct oracle *o, const struct fragment *f, tdo_ns now)
{
	uint32_t end, k = 0;

	if (o->since && now - o->since >= TIMEOUT * TDO_SEC)
		memset(o, 0, sizeof(*o));
	/* A first fragment that is too short for UDP, or a length that is no multiple of 8. */
	if (f->len == 0 || (f->more && f->len % 8) || (f->at == 0 && f->len < 8)) {
		if (o->since)
			o->spoilt = true;
		return TDO_REASS_DROPPED;
	}
	if (!o->since)
		o->since = now;
	if (o->spoilt)
		return TDO_REASS_DROPPED;
	if (is_duplicate(o, f))
		return TDO_REASS_DROPPED;
	if (contradicts(o, f)) {
		o->spoilt = true;
		return TDO_REASS_DROPPED;
	}
	o->frag[o->n].at = f->at;
	o->frag[o->n].len = f->len;
	o->frag[o->n].more = f->more;
	o->n++;
	memcpy(o->byte + f->at, f->data + f->at, f->len);
	memset(o->owner + f->at, 1, f->len);
	end = end_of(o);
	while (k < end && o->owner[k])
		k++;
	return end && k == end ? TDO_REASS_WHOLE : TDO_REASS_WAITS;
}

static struct fragment
random_fragment(const uint8_t *data)
{
	struct fragment f = {.v6 = rng_below(&rng, 2), .src = 9, .proto = TDO_IPPROTO_UDP};
	uint32_t step = rng_below(&rng, 100) ? 32 : 8 << rng_below(&rng, 5);

	f.data = data;
	f.id = 1 + rng_below(&rng, KEYS);
	f.at = rng_below(&rng, 256 / step) * step;
	f.len = step;
	/* Mostly the same end, mostly multiples of one length: else nothing becomes whole. */
	f.more = rng_below(&rng, 200) ? f.at + f.len < 256 : rng_below(&rng, 2);
	if (rng_below(&rng, 200) == 0)
		f.len = rng_below(&rng, 64);
	if (f.at == 0 && f.len >= 256)
		f.more = true; /* else it is no fragment */
	if (f.at == 0 && !f.more)
		f.at = 8;
	return f;
}

static void
step(struct tdo_reass *r, const uint8_t *data, tdo_ns now)
{
	struct fragment f = random_fragment(data);
	struct tdo_pkt out = {.buf = buf, .cap = sizeof(buf)};
	struct oracle *o = &oracle[f.v6][f.id - 1];
	enum tdo_reass_result want = expected(o, &f, now), got;
	uint32_t len = fragment_make(&f, packet), n;

	got = tdo_reass_add(r, packet, len, 0, now, &out, NULL);
	results[got]++;
	if (got != want)
		fail(want == TDO_REASS_WHOLE ? "should be whole" : "another result", &f);
	if (got != TDO_REASS_WHOLE)
		return;
	f.data = o->byte;
	n = fragment_whole(&f, end_of(o), whole);
	if (out.len != n || memcmp(whole, tdo_pkt_data(&out), n) != 0)
		fail("other bytes", &f);
	memset(o, 0, sizeof(*o));
}

int
main(void)
{
	struct tdo_reass_config cfg = {.mem = TEST_MEM, .random = random_bytes};
	struct tdo_reass_limits lim = {8 << 20, 64, TIMEOUT * TDO_SEC};
	static uint8_t data[2][SPAN];
	struct tdo_reass *r;
	tdo_ns now = TDO_SEC;

	rng = rng_seed_new();
	if (tdo_reass_new(&cfg, &r) != 0)
		return 1;
	tdo_reass_limit(r, &lim);
	rng_fill(&rng, data[0], SPAN);
	memcpy(data[1], data[0], SPAN);
	data[1][200] ^= 1; /* what an attacker sends */
	for (unsigned i = rng_rounds(400000); i > 0; i--) {
		step(r, data[rng_below(&rng, 200) == 0], now);
		now += rng_below(&rng, 300) == 0 ? 40 * TDO_SEC : TDO_SEC / 8;
	}
	tdo_reass_free(r);
	printf("1..1\n%sok - %u whole, %u waited, %u dropped\n",
	    results[TDO_REASS_WHOLE] > 500 ? "" : "not ", results[TDO_REASS_WHOLE],
	    results[TDO_REASS_WAITS], results[TDO_REASS_DROPPED]);
	return results[TDO_REASS_WHOLE] <= 500;
}
