/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPComp: random packets, from such that nothing makes smaller to such that are all alike, in
 * bursts through random shapes of one or two engines' SAs.
 *
 * - what goes out comes in, byte by byte, whatever was compressed and whatever buffer it came in;
 * - nothing leaves larger than its outer headers make it, and IPComp only where it saves bytes;
 * - packets below the threshold never have an IPComp header;
 * - what leaves says its own length.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "engine/ipcomp.h"
#include "fixture.h"
#include "wire/ip.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			printf("Bail out! %s:%d: %s is false\n", __FILE__, __LINE__, #x);          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static const char *const host[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8::2"}};
static const char *const gate[2][2] = {
    {"192.0.2.1", "192.0.2.2"}, {"2001:db8:a::1", "2001:db8:a::2"}};

enum { MIN = 90 };

/* A shape: families of the packets and of the tunnel, what stands around IPComp. */
struct shape {
	bool in6, out6, tunnel, esp, raw;
	uint8_t mode;
};

struct sent {
	struct tdo_pkt *p;
	uint8_t *bytes; /* as it was made */
	uint32_t len;
};

static struct fx f;
static unsigned long packed, bare, whole;

static struct shape
random_shape(struct rng *r)
{
	struct shape s = {.in6 = rng_below(r, 2),
	    .tunnel = rng_below(r, 3) != 0,
	    .esp = rng_below(r, 3) == 0,
	    .raw = rng_below(r, 2)};

	s.out6 = s.tunnel ? rng_below(r, 2) : s.in6;
	s.mode = rng_below(r, 2) ? TDO_MODE_ANY : s.tunnel ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT;
	return s;
}

static void
set_up(const struct shape *s)
{
	const char *const *end = s->tunnel ? gate[s->out6] : host[s->in6];
	char req[200], mode[100];

	tdo_sa_flush(f.e, 0);
	tdo_sp_flush(f.e);
	fx_add_sa(&f, &(struct fx_sa){.src = end[0],
			  .dst = end[1],
			  .spi = 0x1000,
			  .mode = s->mode,
			  .comp = "deflate",
			  .flags = s->raw ? TDO_SAF_RAWCPI : 0});
	fx_add_sa(&f,
	    &(struct fx_sa){
		.src = end[0], .dst = end[1], .spi = 0x1000, .enc = "aes-gcm-16", .replay = 64});
	snprintf(mode, sizeof(mode), "tunnel/%s-%s", end[0], end[1]);
	snprintf(req, sizeof(req), "ipcomp/%s/use%s", s->tunnel ? mode : "transport/",
	    s->esp ? " esp/transport//require" : "");
	for (unsigned dir = TDO_DIR_IN; dir <= TDO_DIR_OUT; dir++)
		fx_add_sp(&f, (uint8_t)dir, host[s->in6][0], host[s->in6][1], TDO_PROTO_ANY, req);
}

/* Bytes of n symbols in runs; 256 symbols without runs are noise. */
static void
fill(struct rng *r, uint8_t *p, uint32_t len)
{
	uint32_t symbols = 1 + rng_below(r, 256), run = 1 + rng_below(r, 3) * rng_below(r, 20);

	for (uint32_t i = 0; i < len; i++)
		p[i] = i % run == 0 ? (uint8_t)rng_below(r, symbols) : p[i - 1];
}

static uint32_t
random_len(struct rng *r)
{
	switch (rng_below(r, 8)) {
	case 0:
		return rng_below(r, 200);
	case 1:
		return 60000 + rng_below(r, 5300);
	case 2:
		return rng_below(r, 20000);
	default:
		return rng_below(r, 1500);
	}
}

static struct sent
make(struct rng *r, bool v6)
{
	uint32_t len = random_len(r);
	struct sent s = {.p = fx_udp(r, host[v6][0], host[v6][1], len)};
	uint8_t *udp = tdo_pkt_data(s.p) + (v6 ? 40 : 20);

	fill(r, udp + 8, len);
	s.len = s.p->len;
	s.bytes = malloc(s.len);
	CHECK(s.bytes);
	memcpy(s.bytes, tdo_pkt_data(s.p), s.len);
	return s;
}

static void
check_sent(const struct shape *s, const struct sent *x)
{
	uint32_t outer = s->tunnel ? s->out6 ? 40u : 20u : 0u;
	uint32_t payload = s->tunnel ? x->len : x->len - (s->in6 ? 40u : 20u);
	struct tdo_ip_info ip;

	CHECK(x->p->verdict == TDO_VERDICT_SEND);
	CHECK(tdo_ip_parse(tdo_pkt_data(x->p), x->p->len, &ip) == TDO_REASON_NONE);
	CHECK(ip.total_len == x->p->len);
	if (s->esp)
		return;
	if (ip.flow.proto == TDO_IPPROTO_IPCOMP) {
		CHECK(payload >= MIN && x->p->len < x->len + outer);
		packed++;
	} else {
		CHECK(x->p->len == x->len + outer);
		CHECK(memcmp(tdo_pkt_data(x->p) + outer, x->bytes, x->len) == 0);
		*(s->tunnel ? &bare : &whole) += 1;
	}
}

/* The packet in a buffer that is as long as it, some of the time. */
static uint8_t *
squeeze(struct rng *r, struct tdo_pkt *p)
{
	uint8_t *b;

	if (rng_below(r, 2))
		return p->buf;
	b = malloc(p->len);
	CHECK(b);
	memcpy(b, tdo_pkt_data(p), p->len);
	free(p->buf);
	p->buf = b;
	p->cap = p->len;
	p->off = 0;
	return b;
}

static void
one_burst(struct rng *r, const struct shape *s)
{
	struct sent x[TDO_BURST_MAX];
	struct tdo_pkt *p[TDO_BURST_MAX];
	uint8_t *own[TDO_BURST_MAX];
	unsigned n = 1 + rng_below(r, rng_below(r, 4) ? 6 : TDO_BURST_MAX);

	for (unsigned i = 0; i < n; i++) {
		x[i] = make(r, s->in6);
		p[i] = x[i].p;
	}
	tdo_out(f.w, p, n, f.now);
	for (unsigned i = 0; i < n; i++) {
		check_sent(s, &x[i]);
		own[i] = squeeze(r, p[i]);
	}
	tdo_in(f.w, p, n, f.now);
	for (unsigned i = 0; i < n; i++) {
		CHECK(p[i]->verdict == TDO_VERDICT_PASS);
		CHECK(p[i]->len == x[i].len);
		CHECK(memcmp(tdo_pkt_data(p[i]), x[i].bytes, x[i].len) == 0);
		p[i]->buf = own[i];
		fx_pkt_free(p[i]);
		free(x[i].bytes);
	}
	tdo_worker_quiesce(f.w);
}

int
main(void)
{
	struct rng r = rng_seed_new();
	unsigned rounds = rng_rounds(60);

	fx_open(&f, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		struct shape s = random_shape(&r);

		set_up(&s);
		for (unsigned k = 0; k < 5; k++)
			one_burst(&r, &s);
	}
	CHECK(packed > 0 && bare > 0 && whole > 0);
	printf("# %lu compressed, %lu with an outer header only, %lu as they were\n", packed, bare,
	    whole);
	printf("ok 1 - what goes out comes in\n1..1\n");
	fx_close(&f);
	return 0;
}
