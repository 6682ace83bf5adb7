/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines, SAs, policies and packets for tests: see fixture.h. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "built.h"
#include "crypto_once.h"
#include "engine/sad.h"
#include "hosts.h"
#include "testudo/comp.h"
#include "testudo/counter.h"
#include "wire/ip.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #x);           \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void *
counted_alloc(void *ctx, size_t size)
{
	struct fx *f = ctx;
	void *p = NULL;

	/* Cache lines: SAs have members that want a line of their own. */
	if (posix_memalign(&p, 64, size + 1) != 0)
		return NULL;
	memset(p, 0, size + 1);
	f->allocated += size;
	return p;
}

static void
counted_free(void *ctx, void *p, size_t size)
{
	struct fx *f = ctx;

	if (!p)
		return;
	CHECK(f->allocated >= size);
	f->allocated -= size;
	free(p);
}

static void
repeatable_random(void *ctx, void *buf, size_t len)
{
	struct fx *f = ctx;

	if (f->constant_random)
		memset(buf, 0xa5, len);
	else
		rng_fill(&f->rng, buf, len);
}

void
fx_open(struct fx *f, const char *driver)
{
	struct tdo_mem mem = {counted_alloc, counted_free, f};
	struct tdo_engine_config ec = {.mem = mem,
	    .random = repeatable_random,
	    .random_ctx = f,
	    .nworkers = 1,
	    .flows = f->flows};

	f->rng.state = 1;
	f->now = 1000 * TDO_SEC;
	f->crypto = crypto_once_get(driver);
	ec.crypto = f->crypto;
	CHECK(tdo_engine_new(&ec, &f->e) == 0);
	tdo_engine_set_wall(f->e, 1000000000, f->now);
	tdo_engine_tick(f->e, f->now);
	f->w = tdo_engine_worker(f->e, 0);
	tdo_worker_resume(f->w);
}

/* Whatever was dropped in a test: counter.def must know reasons at the places where they happen. */
static void
check_counters(const struct fx *f)
{
	const struct tdo_counter_source *s;

	for (unsigned r = TDO_REASON_NONE + 1; r < TDO_REASON_COUNT; r++)
		for (unsigned at = 0; at < TDO_AT_COUNT; at++) {
			bool known = tdo_counter_not_for((enum tdo_reason)r) != NULL;

			for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
				known |= s->kind == TDO_SOURCE_DROP && s->what == r &&
					 (s->where >> at & 1);
			if (known ||
			    tdo_drops_read_at(f->e, (enum tdo_at)at, (enum tdo_reason)r) == 0)
				continue;
			fprintf(stderr, "%s at place %u counts into nothing: see counter.def\n",
			    tdo_reason_info((enum tdo_reason)r)->name, at);
			CHECK(known);
		}
}

void
fx_close(struct fx *f)
{
	check_counters(f);
	tdo_worker_idle(f->w);
	tdo_engine_free(f->e);
	crypto_once_put();
	CHECK(f->allocated == 0);
	memset(f, 0, sizeof(*f));
}

struct tdo_addr
fx_addr(const char *text)
{
	struct tdo_addr a;

	CHECK(tdo_addr_parse(text, strlen(text), &a) == 0);
	return a;
}

static struct tdo_sa_key
key_of(const struct fx_sa *sa)
{
	return (struct tdo_sa_key){.satype = sa->satype ? sa->satype
					     : sa->comp ? TDO_SATYPE_IPCOMP
							: TDO_SATYPE_ESP,
	    .spi = sa->spi,
	    .src = fx_addr(sa->src),
	    .dst = fx_addr(sa->dst)};
}

int
fx_try_sa(struct fx *f, const struct fx_sa *sa)
{
	const struct tdo_alg *enc = sa->enc ? tdo_alg_enc_by_name(sa->enc) : NULL;
	const struct tdo_alg *auth = sa->auth ? tdo_alg_auth_by_name(sa->auth) : NULL;
	uint8_t ekey[TDO_KEY_MAX], akey[TDO_KEY_MAX];
	struct rng keys = {sa->spi};
	struct tdo_err err = {0};
	struct tdo_sa_param p = {
	    .key = key_of(sa),
	    .mode = sa->mode,
	    .reqid = sa->reqid,
	    .flags = sa->flags,
	    .replay = sa->replay,
	    .adaptive = sa->adaptive,
	    .align = sa->align,
	    .natt = sa->natt,
	    .tfc = sa->tfc,
	    .hard = sa->hard,
	    .tunnel = sa->tunnel,
	    .has_hard = sa->hard.allocations || sa->hard.bytes,
	    .ekey = ekey,
	    .akey = akey,
	};
	int r;

	CHECK(!sa->enc || enc);
	CHECK(!sa->auth || auth);
	rng_fill(&keys, ekey, sizeof(ekey));
	rng_fill(&keys, akey, sizeof(akey));
	if (enc) {
		p.ealg = enc->pfkey;
		p.ekey_bits = sa->ekey_bits ? sa->ekey_bits : enc->key_min;
	}
	if (auth) {
		p.aalg = auth->pfkey;
		p.akey_bits = sa->akey_bits ? sa->akey_bits : auth->key_min;
	}
	if (sa->comp) {
		const struct tdo_comp_alg *comp = tdo_comp_alg_by_name(sa->comp);

		CHECK(comp);
		p.ealg = comp->pfkey;
	}
	r = tdo_sa_add(f->e, &p, f->now, &err);
	if (r != 0)
		printf("# SA %s %s: %d %s\n", sa->enc, sa->auth, r, err.text ? err.text : "");
	return r;
}

bool
fx_built(const struct fx_sa *sa)
{
	const struct tdo_alg *enc = sa->enc ? tdo_alg_enc_by_name(sa->enc) : NULL;
	const struct tdo_alg *auth = sa->auth ? tdo_alg_auth_by_name(sa->auth) : NULL;

	if (!BUILT_LEGACY && (sa->flags & TDO_SAF_OLD))
		return false;
	return !(enc && enc->not_there) && !(auth && auth->not_there);
}

void
fx_add_sa(struct fx *f, const struct fx_sa *sa)
{
	CHECK(fx_try_sa(f, sa) == 0);
}

struct tdo_sa *
fx_sa_of(struct fx *f, const struct fx_sa *sa)
{
	struct tdo_addr dst = fx_addr(sa->dst);

	return tdo_sad_find_in(
	    f->e, &dst, sa->spi, sa->satype == TDO_SATYPE_AH ? TDO_IPPROTO_AH : TDO_IPPROTO_ESP);
}

void
fx_delete_sa(struct fx *f, const struct fx_sa *sa)
{
	struct tdo_sa_key k = key_of(sa);

	CHECK(tdo_sa_delete(f->e, &k) == 0);
}

/* "10.0.0.0/8" */
static struct tdo_addr
prefix(const char *text, uint8_t *ret_plen)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct tdo_addr a;

	CHECK(tdo_addr_parse(text, len, &a) == 0);
	*ret_plen = (uint8_t)(slash ? strtoul(slash + 1, NULL, 10) : tdo_af_bits(a.af));
	return a;
}

static uint8_t
level(char *text, uint32_t *ret_reqid)
{
	char *colon = strchr(text, ':');

	if (colon) {
		*colon = '\0';
		*ret_reqid = (uint32_t)strtoul(colon + 1, NULL, 10);
	}
	if (strcmp(text, "use") == 0)
		return TDO_LEVEL_USE;
	if (strcmp(text, "default") == 0)
		return TDO_LEVEL_DEFAULT;
	if (strcmp(text, "unique") == 0)
		return TDO_LEVEL_UNIQUE;
	CHECK(strcmp(text, "require") == 0);
	return TDO_LEVEL_REQUIRE;
}

static struct tdo_req
request(char *text)
{
	struct tdo_req r = {0};
	char *word = strsep(&text, "/");

	r.proto = strcmp(word, "esp") == 0      ? TDO_IPPROTO_ESP
		  : strcmp(word, "ipcomp") == 0 ? TDO_IPPROTO_IPCOMP
						: TDO_IPPROTO_AH;
	word = strsep(&text, "/");
	r.mode = strcmp(word, "tunnel") == 0 ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT;
	word = strsep(&text, "/");
	if (*word != '\0') {
		char *src = strsep(&word, "-");

		CHECK(word);
		r.src = fx_addr(src);
		r.dst = fx_addr(word);
	}
	r.level = level(text, &r.reqid);
	return r;
}

void
fx_add_sp(struct fx *f, uint8_t dir, const char *src, const char *dst, uint8_t proto,
    const char *requests)
{
	struct tdo_sp_param p = {
	    .dir = dir,
	    .type = TDO_POLICY_IPSEC,
	    .prio = TDO_PRIO_DEFAULT,
	    .tunnel = f->sp_tunnel,
	    .sel = {.proto = proto, .sport = TDO_RANGE_ANY, .dport = TDO_RANGE_ANY},
	};
	char text[512], *rest = text, *one;
	struct tdo_err err = {0};
	int r;

	p.sel.src = prefix(src, &p.sel.src_plen);
	p.sel.dst = prefix(dst, &p.sel.dst_plen);
	CHECK(strlen(requests) < sizeof(text));
	strcpy(text, requests);
	if (strcmp(text, "none") == 0)
		p.type = TDO_POLICY_NONE;
	else if (strcmp(text, "discard") == 0)
		p.type = TDO_POLICY_DISCARD;
	else
		while ((one = strsep(&rest, " ")))
			p.req[p.nreq++] = request(one);
	r = tdo_sp_add(f->e, &p, f->now, NULL, &err);
	if (r != 0)
		fprintf(stderr, "policy %s: %d %s\n", requests, r, err.text ? err.text : "");
	CHECK(r == 0);
}

void
fx_open_sa(struct fx *f, const struct fx_sa *sa)
{
	const char *proto = sa->satype == TDO_SATYPE_AH ? "ah" : "esp";
	char req[128];

	*f = (struct fx){0};
	fx_open(f, NULL);
	fx_add_sa(f, sa);
	if (sa->mode == TDO_MODE_TUNNEL)
		snprintf(req, sizeof(req), "%s/tunnel/%s-%s/require", proto, sa->src, sa->dst);
	else
		snprintf(req, sizeof(req), "%s/transport//require", proto);
	for (uint8_t dir = TDO_DIR_IN; dir <= TDO_DIR_OUT; dir++) {
		fx_add_sp(f, dir, A, B, TDO_PROTO_ANY, req);
		fx_add_sp(f, dir, A6, B6, TDO_PROTO_ANY, req);
	}
}

void
fx_knob(struct fx *f, enum tdo_knob k, int32_t v)
{
	CHECK(tdo_knob_set(f->e, k, TDO_AF_INET, v) == 0);
	if (tdo_knob_info(k)->name6)
		CHECK(tdo_knob_set(f->e, k, TDO_AF_INET6, v) == 0);
}

void
fx_local(struct fx *f, const char *addr)
{
	struct tdo_addr a = fx_addr(addr);

	CHECK(tdo_engine_set_local(f->e, &a, 1) == 0);
}

struct tdo_pkt *
fx_pkt_new(uint32_t len)
{
	struct tdo_pkt *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->cap = FX_CAP;
	p->buf = calloc(1, p->cap);
	CHECK(p->buf);
	p->off = TDO_HEADROOM;
	p->len = len;
	return p;
}

void
fx_pkt_free(struct tdo_pkt *p)
{
	free(p->buf);
	free(p);
}

void
fx_pkt_set(struct tdo_pkt *p, const void *bytes, uint32_t len)
{
	uint8_t *buf = p->buf;
	uint32_t cap = p->cap;

	CHECK(TDO_HEADROOM + len <= cap);
	*p = (struct tdo_pkt){.buf = buf, .cap = cap, .off = TDO_HEADROOM, .len = len};
	memcpy(tdo_pkt_data(p), bytes, len);
}

struct tdo_pkt *
fx_copy(const struct tdo_pkt *p)
{
	struct tdo_pkt *c = fx_pkt_new(0);

	fx_pkt_set(c, tdo_pkt_data(p), p->len);
	return c;
}

uint32_t
fx_udp_build(uint8_t *b, struct rng *r, const struct tdo_addr *src, const struct tdo_addr *dst,
    uint32_t payload)
{
	struct tdo_ip_hdr h = {.src = *src, .dst = *dst, .ttl = 61, .proto = TDO_IPPROTO_UDP};
	unsigned hlen = tdo_ip_hlen(src->af);
	uint8_t *udp = b + hlen;

	tdo_ip_build(b, &h, 8 + payload);
	tdo_put_be16(udp, 1000);
	tdo_put_be16(udp + 2, 2000);
	tdo_put_be16(udp + 4, (uint16_t)(8 + payload));
	tdo_put_be16(udp + 6, 0);
	rng_fill(r, udp + 8, payload);
	return hlen + 8 + payload;
}

struct tdo_pkt *
fx_udp(struct rng *r, const char *src, const char *dst, uint32_t payload)
{
	struct tdo_addr a = fx_addr(src), b = fx_addr(dst);
	struct tdo_pkt *p = fx_pkt_new(tdo_ip_hlen(a.af) + 8 + payload);

	fx_udp_build(tdo_pkt_data(p), r, &a, &b, payload);
	return p;
}

struct tdo_pkt *
fx_send(struct fx *f, const char *src, const char *dst, uint32_t payload)
{
	struct tdo_pkt *p = fx_udp(&f->rng, src, dst, payload);

	tdo_out(f->w, &p, 1, f->now);
	return p;
}
