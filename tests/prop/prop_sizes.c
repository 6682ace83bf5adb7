/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tdo_out_inner_mtu() against packets that were really protected: every encryption and
 * authentication of ESP, in UDP of both forms and not, transport and tunnel mode, both families,
 * random MTUs.  What is promised fits; one byte more does not.  prop_bundles.c does the same for
 * AH, IPComp and bundles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "built.h"
#include "fixture.h"
#include "testudo/crypto.h"
#include "wire/ip.h"

#define MTUS 4

static const char *const ends[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
static const char *const gates[2][2] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};

struct cell {
	const struct tdo_alg *enc, *auth;
	uint8_t natt;
	bool tunnel, in6, out6;
};

static struct fx f;
static struct rng dice;
static unsigned long cells, packets;

static void
failed(const struct cell *c, uint32_t mtu, uint32_t limit, uint32_t inner, uint32_t outer)
{
	printf("Bail out! %s/%s natt %u %s %u in %u: mtu %u, promised %u, %u bytes became %u\n",
	    c->enc ? c->enc->name : "-", c->auth ? c->auth->name : "-", c->natt,
	    c->tunnel ? "tunnel" : "transport", c->in6 ? 6 : 4, c->out6 ? 6 : 4, mtu, limit, inner,
	    outer);
	abort();
}

/* Length of the whole packet, protected; *ret_limit: what is promised for mtu. */
static uint32_t
protect(const struct cell *c, uint32_t len, uint32_t mtu, uint32_t *ret_limit)
{
	uint32_t head = c->in6 ? 48 : 28, wire;
	struct tdo_pkt *p = fx_udp(&f.rng, ends[c->in6][0], ends[c->in6][1], len - head);

	tdo_out_classify(f.w, &p, 1, f.now);
	if (p->verdict != TDO_VERDICT_PROTECT)
		abort();
	*ret_limit = tdo_out_inner_mtu(p, mtu);
	tdo_out_protect(f.w, &p, 1, f.now);
	if (p->verdict != TDO_VERDICT_SEND)
		abort();
	wire = p->len;
	fx_pkt_free(p);
	packets++;
	return wire;
}

static void
check(const struct cell *c, uint32_t mtu)
{
	uint32_t head = c->in6 ? 48 : 28, limit, same, wire;

	(void)protect(c, head, mtu, &limit);
	if (limit < head)
		return;
	wire = protect(c, limit, mtu, &same);
	if (wire > mtu || same != limit)
		failed(c, mtu, limit, limit, wire);
	wire = protect(c, limit + 1, mtu, &same);
	if (wire <= mtu)
		failed(c, mtu, limit, limit + 1, wire);
}

static void
run(const struct cell *c)
{
	const char *const *e = c->tunnel ? gates[c->out6] : ends[c->in6];
	struct fx_sa sa = {.src = e[0],
	    .dst = e[1],
	    .spi = 0x1000,
	    .mode = c->tunnel ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
	    .enc = c->enc ? c->enc->name : NULL,
	    .auth = c->auth ? c->auth->name : NULL,
	    .natt = {.type = c->natt}};
	char request[128];

	if (c->natt != TDO_NATT_NONE)
		sa.natt.sport = sa.natt.dport = 4500;
	if (!fx_built(&sa))
		return;
	snprintf(request, sizeof(request), "esp/tunnel/%s-%s/require", e[0], e[1]);
	if (fx_try_sa(&f, &sa) == 0) {
		fx_add_sp(&f, TDO_DIR_OUT, ends[c->in6][0], ends[c->in6][1], TDO_PROTO_ANY,
		    c->tunnel ? request : "esp/transport//require");
		check(c, 1280);
		check(c, 1500);
		for (unsigned i = 0; i < MTUS; i++)
			check(c, 300 + (uint32_t)(rng_next(&dice) % 9000));
		cells++;
		fx_delete_sa(&f, &sa);
		(void)tdo_sp_flush(f.e);
	}
}

static void
run_all(const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	for (unsigned natt = TDO_NATT_NONE; natt <= TDO_NATT_ESPINUDP; natt++)
		for (unsigned shape = 0; shape < 6; shape++) {
			struct cell c = {.enc = enc,
			    .auth = auth,
			    .natt = (uint8_t)natt,
			    .tunnel = shape >= 2,
			    .in6 = shape & 1,
			    .out6 = shape >= 4};

			run(&c);
		}
}

int
main(void)
{
	const char *seed = getenv("TDO_SEED");
	const struct tdo_alg *enc, *auth;

	dice.state = seed ? strtoull(seed, NULL, 0) : 20260101;
	printf("TAP version 13\n1..1\n");
	fx_open(&f, NULL);
	for (unsigned i = 0; (enc = tdo_alg_at(i)); i++) {
		if (enc->kind == TDO_ALG_AEAD)
			run_all(enc, NULL);
		if (enc->kind != TDO_ALG_ENC)
			continue;
		run_all(enc, NULL);
		for (unsigned k = 0; (auth = tdo_alg_at(k)); k++)
			if (auth->kind == TDO_ALG_AUTH)
				run_all(enc, auth);
	}
	printf("# %lu cells, %lu packets\n", cells, packets);
	if (cells < (BUILT_LEGACY ? 1000 : 300))
		abort();
	fx_close(&f);
	printf("ok 1 what is promised fits, and not a byte more\n");
	return 0;
}
