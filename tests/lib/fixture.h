/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines for tests: a counting allocator, repeatable random bytes, a clock that stands
 * still, and short forms for SAs, policies and packets.  Failures abort the test program.
 */
#ifndef TDO_TESTS_FIXTURE_H
#define TDO_TESTS_FIXTURE_H

#include "rng.h"
#include "testudo/engine.h"

struct fx {
	struct tdo_engine *e;
	struct tdo_worker *w; /* worker 0 */
	struct tdo_crypto *crypto;
	struct rng rng;
	unsigned flows;       /* before fx_open(): as in the engine's configuration */
	bool constant_random; /* the engine's random bytes are all 0xa5 */
	size_t allocated;     /* bytes not yet freed */
	tdo_ns now;
	struct tdo_tunnel_opt sp_tunnel; /* of the policies that are added from now on */
};

/* One worker; all drivers, or the one named. */
void fx_open(struct fx *f, const char *driver);
/* Frees the engine; fails when memory is left. */
void fx_close(struct fx *f);

struct tdo_addr fx_addr(const char *text);

struct fx_sa {
	const char *src, *dst;
	uint32_t spi;
	uint8_t mode;
	const char *enc, *auth; /* names; NULL: none */
	uint8_t satype;         /* 0: ESP */
	const char *comp;       /* name: an IPComp SA */
	uint32_t reqid, flags, replay;
	struct tdo_lifetime hard;
	struct tdo_tunnel_opt tunnel;
	bool adaptive;
	uint8_t align;
	struct tdo_natt natt;
	struct tdo_tfc tfc;
	uint16_t ekey_bits, akey_bits; /* 0: the shortest keys */
};

/* Adds a mature SA, of ESP unless a field says otherwise, with a key made from its SPI: equal in
 * all engines. */
void fx_add_sa(struct fx *f, const struct fx_sa *sa);
/* False for one that this build does not have: a weak algorithm, an old format. */
bool fx_built(const struct fx_sa *sa);
/* 0 or -errno. */
int fx_try_sa(struct fx *f, const struct fx_sa *sa);
/* The SA itself. */
struct tdo_sa *fx_sa_of(struct fx *f, const struct fx_sa *sa);
void fx_delete_sa(struct fx *f, const struct fx_sa *sa);

/*
 * Adds a policy: "10.0.0.0/8" or plain addresses, and requests as setkey writes them:
 * "esp/tunnel/G-H/require", innermost first, separated by blanks; "none"; "discard".
 */
void fx_add_sp(struct fx *f, uint8_t dir, const char *src, const char *dst, uint8_t proto,
    const char *requests);
/*
 * An engine with one SA of ESP or AH, which policies of both directions want for what goes from A
 * to B (hosts.h), of both families.
 */
void fx_open_sa(struct fx *f, const struct fx_sa *sa);
void fx_knob(struct fx *f, enum tdo_knob k, int32_t v);
void fx_local(struct fx *f, const char *addr);

#define FX_CAP (TDO_HEADROOM + TDO_PKT_MAXLEN + 64 + 2 * TDO_TAILROOM)

/* A packet with its memory: len bytes behind the usual headroom. */
struct tdo_pkt *fx_pkt_new(uint32_t len);
void fx_pkt_free(struct tdo_pkt *p);
/* Makes p hold a copy of len bytes. */
void fx_pkt_set(struct tdo_pkt *p, const void *bytes, uint32_t len);
struct tdo_pkt *fx_copy(const struct tdo_pkt *p);
/* A packet of UDP with random payload; ports 1000 and 2000. */
struct tdo_pkt *fx_udp(struct rng *r, const char *src, const char *dst, uint32_t payload);
/* The same into memory; returns its length. */
uint32_t fx_udp_build(uint8_t *b, struct rng *r, const struct tdo_addr *src,
    const struct tdo_addr *dst, uint32_t payload);
/* Such a packet after it went out. */
struct tdo_pkt *fx_send(struct fx *f, const char *src, const char *dst, uint32_t payload);

#endif
