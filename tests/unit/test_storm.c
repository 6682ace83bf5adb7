/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets through the whole engine by several workers while the control thread rekeys, updates
 * and moves SAs, replaces policies and lets lifetimes end.  Whatever happens: nothing that a
 * policy covers goes in clear, no sequence number of an SA is sent or accepted twice, and what
 * comes out is what went in.  Meaningful above all with -Db_sanitize=thread and address.
 */
#include <string.h>

#include <stdio.h>
#include <time.h>

#include "base/addr.h"
#include "base/be.h"
#include "storm.h"
#include "wire/esp.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define FLOWS    8 /* 0..3 transport, 4, 5 tunnel, 6 transport in a tunnel, 7 unique */
#define LAYERS   9 /* SAs at a time: one for each flow, and the tunnel of flow 6 */
#define SPI_BASE 0x1000u
#define SPIS     3000u /* SAs in all */
#define SEQS     8192u /* of each */
#define LIFE     4000u /* packets */
#define PAYLOAD  120u
#define OLD      256u /* packets that come again */
#define PKT_LEN  400u

static _Atomic uint8_t sent[SPIS][SEQS], accepted[SPIS][SEQS];
static _Atomic uint64_t nsent, naccepted, nclear, ntwice, nwrong, ndropped;

/* Packets that were sent, from which all workers take copies. */
static struct {
	pthread_mutex_t lock;
	struct {
		uint32_t len;
		uint8_t bytes[PKT_LEN];
	} p[OLD];
} old = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- packets ------------------------------------------------------------------------ */

struct thread {
	struct storm_thread s;
	uint8_t original[STORM_BURST][PKT_LEN];
	unsigned flow[STORM_BURST];
};

static void
addresses(unsigned flow, struct tdo_addr *src, struct tdo_addr *dst)
{
	uint8_t a[4] = {10, 0, 0, (uint8_t)flow}, b[4] = {10, 1, 0, (uint8_t)flow};

	*src = tdo_addr_make(TDO_AF_INET, a);
	*dst = tdo_addr_make(TDO_AF_INET, b);
}

static void
fill(struct thread *t, unsigned i)
{
	struct tdo_addr src, dst;
	uint32_t len;

	t->flow[i] = rng_below(&t->s.rng, FLOWS);
	addresses(t->flow[i], &src, &dst);
	len =
	    fx_udp_build(t->original[i], &t->s.rng, &src, &dst, 8 + rng_below(&t->s.rng, PAYLOAD));
	fx_pkt_set(t->s.p[i], t->original[i], len);
}

static bool
in_udp(const struct tdo_pkt *p)
{
	return tdo_pkt_data(p)[9] == TDO_IPPROTO_UDP;
}

/* The name of the outermost ESP header. */
static bool
name_of(const struct tdo_pkt *p, uint32_t *ret_spi, uint32_t *ret_seq)
{
	const uint8_t *esp = tdo_pkt_data(p) + TDO_IP4_HLEN;

	if (in_udp(p))
		esp += TDO_UDP_HLEN;
	*ret_spi = tdo_be32(esp + TDO_ESP_SPI_OFF) - SPI_BASE;
	*ret_seq = tdo_be32(esp + TDO_ESP_SEQ_OFF);
	return *ret_spi < SPIS && *ret_seq < SEQS;
}

static void
count(_Atomic uint8_t table[SPIS][SEQS], uint32_t spi, uint32_t seq)
{
	if (atomic_fetch_add(&table[spi][seq], 1) != 0)
		atomic_fetch_add(&ntwice, 1);
}

/* Checks what goes out, keeps it for others; true when it is to come in now. */
static bool
goes_out(struct thread *t, const struct tdo_pkt *p)
{
	uint32_t spi, seq, slot = rng_below(&t->s.rng, OLD);

	if (p->verdict != TDO_VERDICT_SEND) {
		atomic_fetch_add(p->verdict == TDO_VERDICT_DROP ? &ndropped : &nclear, 1);
		return false;
	}
	if (!name_of(p, &spi, &seq)) {
		atomic_fetch_add(&nwrong, 1);
		return false;
	}
	count(sent, spi, seq);
	atomic_fetch_add(&nsent, 1);
	pthread_mutex_lock(&old.lock);
	old.p[slot].len = p->len;
	memcpy(old.p[slot].bytes, tdo_pkt_data(p), p->len);
	pthread_mutex_unlock(&old.lock);
	return rng_below(&t->s.rng, 4) != 0;
}

static void
came_in(const struct tdo_pkt *p, uint32_t spi, uint32_t seq, const uint8_t *original)
{
	if (p->verdict != TDO_VERDICT_PASS)
		return;
	count(accepted, spi, seq);
	atomic_fetch_add(&naccepted, 1);
	if (original == NULL)
		return;
	/* Its length is in the header. */
	if (p->len != tdo_be16(original + 2) || memcmp(tdo_pkt_data(p), original, p->len) != 0)
		atomic_fetch_add(&nwrong, 1);
}

/* One burst of packets of its own, and of copies of old ones. */
static void
round_trip(struct thread *t, tdo_ns now)
{
	const uint8_t *original[STORM_BURST] = {NULL};
	uint32_t spi[STORM_BURST], seq[STORM_BURST];
	struct tdo_pkt *in[STORM_BURST];
	unsigned n = 1 + rng_below(&t->s.rng, STORM_BURST), nin = 0;

	for (unsigned i = 0; i < n; i++)
		fill(t, i);
	tdo_out(t->s.w, t->s.p, n, now);
	for (unsigned i = 0; i < n; i++) {
		struct tdo_pkt *p = t->s.p[i];
		unsigned from = rng_below(&t->s.rng, OLD);

		if (goes_out(t, p)) {
			original[nin] = t->original[i];
		} else {
			pthread_mutex_lock(&old.lock);
			if (old.p[from].len > 0)
				fx_pkt_set(p, old.p[from].bytes, old.p[from].len);
			else
				p = NULL;
			pthread_mutex_unlock(&old.lock);
			original[nin] = NULL;
		}
		if (p == NULL || !name_of(p, &spi[nin], &seq[nin]))
			continue;
		p->flags = in_udp(p) ? TDO_PKT_UDP_ENCAP : 0;
		/* A NAT forgets now and then. */
		if (in_udp(p) && rng_below(&t->s.rng, 8) == 0)
			tdo_put_be16(tdo_pkt_data(p) + TDO_IP4_HLEN,
			    (uint16_t)(4500 + rng_below(&t->s.rng, 3)));
		in[nin++] = p;
	}
	tdo_in(t->s.w, in, nin, now);
	for (unsigned i = 0; i < nin; i++)
		came_in(in[i], spi[i], seq[i], original[i]);
}

static void *
run(void *arg)
{
	struct thread *t = arg;
	tdo_ns now = TDO_SEC;

	tdo_worker_resume(t->s.w);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		round_trip(t, now);
		tdo_worker_quiesce(t->s.w);
		if (rng_below(&t->s.rng, 50) == 0) {
			tdo_worker_idle(t->s.w);
			tdo_worker_resume(t->s.w);
		}
	}
	tdo_worker_idle(t->s.w);
	return NULL;
}

/* ---- control ------------------------------------------------------------------------ */

struct control {
	struct rng rng;
	uint32_t spi[LAYERS]; /* of the SA in use */
	uint32_t next;        /* SPI */
};

static struct tdo_sa_param
sa_param(struct control *c, unsigned layer, uint32_t spi)
{
	static const char *const algs[LAYERS] = {"aes-gcm-16", "aes-cbc", "chacha20-poly1305",
	    "aes-ctr", "aes-gcm-16", "aes-cbc", "aes-gcm-16-iiv", "null", "aes-gcm-16"};
	static uint8_t ekey[TDO_KEY_MAX], akey[TDO_KEY_MAX];
	const struct tdo_alg *enc = tdo_alg_enc_by_name(algs[layer]);
	const struct tdo_alg *auth = tdo_alg_auth_by_name("hmac-sha256");
	bool tunnel = layer == 4 || layer == 5 || layer == 8;
	struct tdo_sa_param p = {.key = {.satype = TDO_SATYPE_ESP, .spi = spi},
	    .mode = tunnel ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
	    .ealg = enc->pfkey,
	    .ekey = ekey,
	    .akey = akey,
	    .ekey_bits = enc->key_min};
	struct rng keys = {spi};

	rng_fill(&keys, ekey, sizeof(ekey));
	rng_fill(&keys, akey, sizeof(akey));
	addresses(layer == 8 ? 6 : layer, &p.key.src, &p.key.dst);
	if (tunnel) {
		p.key.src.b[0] = p.key.dst.b[0] = 192;
	} else if (rng_below(&c->rng, 2)) {
		p.has_sel = true;
		p.sel = (struct tdo_sel){.src = p.key.src,
		    .dst = p.key.dst,
		    .src_plen = 32,
		    .dst_plen = 32,
		    .proto = TDO_IPPROTO_UDP,
		    .sport = {1000, 1000},
		    .dport = {2000, 2000}};
	}
	if (enc->kind != TDO_ALG_AEAD) {
		p.aalg = auth->pfkey;
		p.akey_bits = auth->key_min;
	}
	if (layer < 6)
		p.natt = (struct tdo_natt){.type = TDO_NATT_ESPINUDP,
		    .sport = 4500,
		    .dport = (uint16_t)(4500 + rng_below(&c->rng, 3))};
	p.reqid = layer == 7 ? 77 : 0;
	p.replay = 32u << rng_below(&c->rng, 8);
	p.adaptive = rng_below(&c->rng, 2);
	p.cpu = (uint16_t)rng_below(&c->rng, STORM_WORKERS + 1);
	p.flags = layer % 2 ? TDO_SAF_ESN : 0;
	p.has_hard = p.has_soft = true;
	p.hard.allocations = LIFE / 2 + rng_below(&c->rng, LIFE / 2);
	p.soft.allocations = 1 + rng_below(&c->rng, LIFE);
	return p;
}

static void
sp_add(uint8_t dir, unsigned flow, bool update)
{
	struct tdo_sp_param p = {.dir = dir,
	    .type = TDO_POLICY_IPSEC,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src_plen = 32,
		.dst_plen = 32,
		.proto = TDO_PROTO_ANY,
		.sport = TDO_RANGE_ANY,
		.dport = TDO_RANGE_ANY}};
	struct tdo_req *q = p.req;

	addresses(flow, &p.sel.src, &p.sel.dst);
	if (flow < 4 || flow >= 6)
		*q++ = (struct tdo_req){.proto = 50,
		    .mode = TDO_MODE_TRANSPORT,
		    .level = flow == 7 ? TDO_LEVEL_UNIQUE : TDO_LEVEL_REQUIRE,
		    .reqid = flow == 7 ? 77 : 0};
	if (flow >= 4 && flow < 7) {
		*q = (struct tdo_req){.proto = 50,
		    .mode = TDO_MODE_TUNNEL,
		    .level = TDO_LEVEL_REQUIRE,
		    .src = p.sel.src,
		    .dst = p.sel.dst};
		q->src.b[0] = q->dst.b[0] = 192;
		q++;
	}
	p.nreq = (uint8_t)(q - p.req);
	assert_int_equal(update ? tdo_sp_update(engine, &p, TDO_SEC, NULL, NULL)
				: tdo_sp_add(engine, &p, TDO_SEC, NULL, NULL),
	    0);
}

static void
rekey(struct control *c, unsigned layer)
{
	struct tdo_sa_param p = sa_param(c, layer, c->next), was = p;

	if (c->next >= SPI_BASE + SPIS)
		return;
	assert_int_equal(tdo_sa_add(engine, &p, TDO_SEC, NULL), 0);
	was.key.spi = c->spi[layer];
	/* Its packets may have been used up. */
	if (c->spi[layer] != 0 && rng_below(&c->rng, 2))
		(void)tdo_sa_delete(engine, &was.key);
	c->spi[layer] = c->next++;
}

/* The same keys, other windows and limits; it moves away and back. */
static void
update(struct control *c, unsigned layer)
{
	struct tdo_sa_param p = sa_param(c, layer, c->spi[layer]);
	struct tdo_addr home = p.key.dst;

	if (tdo_sa_update(engine, &p, TDO_SEC, NULL) != 0 || rng_below(&c->rng, 4))
		return;
	p.has_sel = false;
	p.new_dst = home;
	p.new_dst.b[1] = 99;
	assert_int_equal(tdo_sa_update(engine, &p, TDO_SEC, NULL), 0);
	p.key.dst = p.new_dst;
	p.new_dst = home;
	assert_int_equal(tdo_sa_update(engine, &p, TDO_SEC, NULL), 0);
}

static void
change(struct control *c)
{
	unsigned layer = rng_below(&c->rng, LAYERS);
	struct tdo_event ev;

	switch (rng_below(&c->rng, 8)) {
	case 0:
		rekey(c, layer);
		break;
	case 1:
		sp_add(1 + (uint8_t)rng_below(&c->rng, 2), rng_below(&c->rng, FLOWS), true);
		break;
	case 2:
		assert_int_equal(tdo_knob_set(engine, TDO_KNOB_PREFERED_OLDSA, TDO_AF_INET,
				     (int32_t)rng_below(&c->rng, 2)),
		    0);
		break;
	case 3:
		tdo_engine_tick(engine, TDO_SEC);
		while (tdo_engine_next_event(engine, &ev))
			continue;
		break;
	default:
		update(c, layer);
	}
}

/* The SAs that are used up come again. */
static void
renew(struct control *c)
{
	for (unsigned layer = 0; layer < LAYERS; layer++) {
		struct tdo_sa_param p = sa_param(c, layer, c->spi[layer]);
		struct tdo_sa_info info;

		if (tdo_sa_get(engine, &p.key, &info) != 0)
			rekey(c, layer);
	}
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Layers below a tunnel are removed only if they are this host's. */
static void
set_local(void)
{
	struct tdo_addr src, dst;

	addresses(6, &src, &dst);
	assert_int_equal(tdo_engine_set_local(engine, &dst, 1), 0);
}

static void
open_all(void)
{
	storm_open();
	set_local();
	for (unsigned i = 0; i < FLOWS; i++) {
		sp_add(TDO_DIR_OUT, i, false);
		sp_add(TDO_DIR_IN, i, false);
	}
}

static void
nothing_leaks_or_comes_twice(void **state)
{
	static struct thread t[STORM_WORKERS];
	struct control c = {.rng = rng_seed_new(), .next = SPI_BASE};
	double end;

	(void)state;
	open_all();
	renew(&c);
	for (unsigned i = 0; i < STORM_WORKERS; i++)
		storm_start(&t[i].s, i, &c.rng, run);
	end = seconds() + rng_rounds(1);
	while (seconds() < end) {
		change(&c);
		renew(&c);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < STORM_WORKERS; i++)
		storm_join(&t[i].s);
	printf("# %llu sent, %llu accepted, %llu dropped, %u SAs\n", (unsigned long long)nsent,
	    (unsigned long long)naccepted, (unsigned long long)ndropped, c.next - SPI_BASE);
	assert_true(nsent > 100 && naccepted > 100);
	assert_true(nclear == 0);
	assert_true(ntwice == 0);
	assert_true(nwrong == 0);
	storm_close();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_leaks_or_comes_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
