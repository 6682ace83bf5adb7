/* SPDX-License-Identifier: BSD-2-Clause */
#include "host.h"

#include <errno.h>

#include "base/addr.h"
#include "crypto_once.h"
#include "setkey/parse.h"
#include "setkey/request.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			printf("Bail out! %s:%d: %s is false\n", __FILE__, __LINE__, #x);          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- what the engine gets ---- */

static void *
counted_alloc(void *ctx, size_t size)
{
	struct host *h = ctx;
	void *p = NULL;

	/* Cache lines: SAs have members that want a line of their own. */
	CHECK(posix_memalign(&p, 64, size + 1) == 0);
	h->allocated += size;
	return memset(p, 0, size + 1);
}

static void
counted_free(void *ctx, void *p, size_t size)
{
	struct host *h = ctx;

	if (!p)
		return;
	CHECK(h->allocated >= size);
	h->allocated -= size;
	free(p);
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	struct host *h = ctx;

	rng_fill(&h->rng, buf, len);
}

static _Atomic uint64_t *
seq_slot(void *ctx, const struct tdo_sa_param *sa)
{
	struct host *h = ctx;

	if (h->slot)
		return h->slot(sa);
	if (sa->key.spi < HOST_SPI || sa->key.spi >= HOST_SPI + HOST_SLOTS)
		return NULL;
	return &h->last[sa->key.spi - HOST_SPI];
}

static void
followed(void *ctx, const struct tdo_sa_key *sa)
{
	struct host *h = ctx;

	(void)sa;
	h->followed++;
}

void
host_open(struct host *h, const char *driver)
{
	struct tdo_mem mem = {counted_alloc, counted_free, h};
	struct tdo_engine_config ec = {.mem = mem,
	    .random = random_bytes,
	    .random_ctx = h,
	    .nworkers = 1,
	    .natt = {.followed = followed, .ctx = h},
	    .seq_slot = seq_slot,
	    .seq_ctx = h};
	struct tdo_pfkey_config pc = {.mem = mem};

	*h = (struct host){.rng = {1}, .now = 1000 * TDO_SEC};
	h->crypto = crypto_once_get(driver);
	ec.crypto = h->crypto;
	CHECK(tdo_engine_new(&ec, &h->e) == 0);
	pc.engine = h->e;
	CHECK(tdo_pfkey_new(&pc, &h->pfkey) == 0);
	CHECK(tdo_pfkey_open(h->pfkey, &(struct tdo_pfkey_cred){true, 1}, NULL, &h->client) == 0);
	tdo_engine_set_wall(h->e, 1700000000, h->now);
	h->w = tdo_engine_worker(h->e, 0);
}

void
host_close(struct host *h)
{
	tdo_worker_idle(h->w);
	tdo_pfkey_free(h->pfkey);
	tdo_engine_free(h->e);
	crypto_once_put();
	CHECK(h->allocated == 0);
}

/* ---- statements ---- */

struct reader {
	struct host *h;
	const char *text; /* what is left */
};

static int
read_text(void *ctx, char *buf, size_t max)
{
	struct reader *r = ctx;
	size_t n = strnlen(r->text, max);

	memcpy(buf, r->text, n);
	r->text += n;
	return (int)n;
}

static void
answers(struct host *h)
{
	static uint8_t buf[TDO_PFKEY_MSG_MAX];
	struct tdo_sadb_msg m;
	size_t len;

	while ((len = tdo_pfkey_pull(h->client, buf, sizeof(buf))) > 0) {
		CHECK(tdo_sadb_parse(buf, len, &m, NULL) == 0);
		if (h->refused == 0)
			h->refused = m.base.err;
	}
}

static int
take(void *ctx, const struct stmt *s)
{
	struct reader *r = ctx;
	uint8_t buf[8192];
	struct tdo_wr wr = tdo_wr_init(buf, sizeof(buf));
	uint8_t satype = s->sa.proto ? s->sa.proto->satype : 0;
	size_t len;

	tdo_sadb_begin(
	    &wr, &(struct tdo_sadb_base){.type = tdo_request_type(s->kind), .satype = satype});
	if (s->sa.src.n > 0)
		tdo_request_put_sa(&wr, s, &s->sa.src.v[0], &s->sa.dst.v[0]);
	else if (s->sp.sel.src.af != TDO_AF_NONE)
		tdo_request_put_sp(&wr, s);
	len = tdo_sadb_end(&wr);
	CHECK(len != 0);
	tdo_pfkey_input(r->h->client, buf, len, r->h->now);
	answers(r->h);
	return 0;
}

int
host_setkey(struct host *h, const char *statements)
{
	struct reader r = {h, statements};
	struct parse p = {.read = read_text, .take = take, .ctx = &r, .names = &tdo_names_numeric};

	h->refused = 0;
	tdo_worker_idle(h->w);
	if (tdo_parse_run(&p) != 0) {
		printf("# line %u: %s [%s]\n", p.error.pos.line, p.error.text, p.error.token);
		h->refused = EINVAL;
	}
	tdo_worker_resume(h->w);
	return h->refused;
}

void
host_flush(struct host *h)
{
	CHECK(host_setkey(h, "flush; spdflush;") == 0);
	tdo_worker_idle(h->w);
	for (unsigned i = 0; i < 3; i++)
		tdo_engine_tick(h->e, h->now);
	tdo_worker_resume(h->w);
	for (unsigned i = 0; i < HOST_SLOTS; i++)
		atomic_store(&h->last[i], 0);
}

void
host_local(struct host *h, const char *const *addresses)
{
	struct tdo_addr a[32];
	unsigned n = 0;

	for (; addresses[n]; n++) {
		CHECK(n < 32);
		CHECK(tdo_addr_parse(addresses[n], strlen(addresses[n]), &a[n]) == 0);
	}
	CHECK(tdo_engine_set_local(h->e, a, n) == 0);
}
