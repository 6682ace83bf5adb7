/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversations with the PF_KEY endpoint over a real engine: memory that counts and fails on
 * demand, two privileged clients and a guest, short forms for messages.  For one test program.
 */
#ifndef TDO_TESTS_PFKEY_WORLD_H
#define TDO_TESTS_PFKEY_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "testudo/pfkey.h"
#include "wire/ip.h"
#include "wire/pfkey_msg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW      (1000 * TDO_SEC)

static const struct tdo_addr A4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
static const struct tdo_addr B4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
static const uint8_t key[64] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* ---- the world: memory that counts and fails on demand, engine, endpoint, clients -------- */

struct world {
	long blocks, fail_after; /* fail_after < 0: never */
	unsigned wakes[3];
	unsigned lines; /* logged */
	char log[4096]; /* the latest of them */
	struct tdo_crypto *crypto;
	struct tdo_engine *e;
	struct tdo_pfkey *k;
	struct tdo_pfkey_client *a, *b, *guest; /* guest is not privileged */
};

static inline void *
mem_alloc(void *ctx, size_t size)
{
	struct world *w = ctx;
	void *p;

	if (w->fail_after == 0)
		return NULL;
	if (w->fail_after > 0)
		w->fail_after--;
	p = calloc(1, size);
	assert_non_null(p);
	w->blocks++;
	return p;
}

static inline void
mem_free(void *ctx, void *p, size_t size)
{
	struct world *w = ctx;

	(void)size;
	if (p)
		w->blocks--;
	free(p);
}

static inline void
fill_random(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)random();
}

static inline void
wake(void *ctx, void *cookie)
{
	struct world *w = ctx;

	w->wakes[(uintptr_t)cookie]++;
}

static inline void
log_line(void *ctx, enum tdo_log_level level, const char *text)
{
	struct world *w = ctx;
	size_t have = strlen(w->log), n = strlen(text);

	(void)level;
	w->lines++;
	if (have + n + 2 > sizeof(w->log))
		have = 0;
	memcpy(w->log + have, text, n);
	memcpy(w->log + have + n, "\n", 2);
}

static inline struct tdo_pfkey_client *
client(struct world *w, bool privileged, uintptr_t cookie)
{
	struct tdo_pfkey_client *c;

	assert_int_equal(
	    tdo_pfkey_open(w->k, &(struct tdo_pfkey_cred){privileged, 1}, (void *)cookie, &c), 0);
	return c;
}

/* natt: who hears of ports; NULL: nobody. */
static inline int
setup_natt(void **state, const struct tdo_natt_ops *natt)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tdo_mem mem = {mem_alloc, mem_free, w};
	struct tdo_crypto_config cc = {.mem = mem, .nworkers = 1, .only = "openssl"};
	struct tdo_engine_config ec = {
	    .mem = mem, .random = fill_random, .nworkers = 1, .log = log_line, .log_ctx = w};
	struct tdo_pfkey_config pc = {.mem = mem, .wake = wake, .wake_ctx = w};

	assert_non_null(w);
	w->fail_after = -1;
	if (natt)
		ec.natt = *natt;
	assert_int_equal(tdo_crypto_new(&cc, &w->crypto), 0);
	ec.crypto = w->crypto;
	assert_int_equal(tdo_engine_new(&ec, &w->e), 0);
	tdo_worker_idle(tdo_engine_worker(w->e, 0)); /* or tables cannot grow */
	pc.engine = w->e;
	assert_int_equal(tdo_pfkey_new(&pc, &w->k), 0);
	tdo_engine_set_wall(w->e, 1700000000, NOW);
	w->a = client(w, true, 0);
	w->b = client(w, true, 1);
	w->guest = client(w, false, 2);
	*state = w;
	return 0;
}

static inline int
setup(void **state)
{
	return setup_natt(state, NULL);
}

static inline int
teardown(void **state)
{
	struct world *w = *state;

	tdo_pfkey_free(w->k);
	tdo_engine_free(w->e);
	tdo_crypto_free(w->crypto);
	assert_int_equal(w->blocks, 0);
	free(w);
	return 0;
}

/* ---- talking ------------------------------------------------------------------------------ */

static uint8_t request[4096]; /* the message that is being built */
static struct tdo_wr wr;
static uint8_t answer[TDO_PFKEY_MSG_MAX]; /* the message pulled last */
static struct tdo_sadb_msg got;

static inline void
begin(uint8_t type, uint8_t satype)
{
	wr = tdo_wr_init(request, sizeof(request));
	tdo_sadb_begin(
	    &wr, &(struct tdo_sadb_base){.type = type, .satype = satype, .seq = 77, .pid = 4711});
}

static inline void
say(struct tdo_pfkey_client *c, tdo_ns now)
{
	size_t len = tdo_sadb_end(&wr);

	assert_int_not_equal(len, 0);
	tdo_pfkey_input(c, request, len, now);
}

/* The next message for c must be of this type with this errno. */
static inline void
hear(struct tdo_pfkey_client *c, uint8_t type, int err)
{
	size_t len;

	assert_true(tdo_pfkey_pending(c));
	len = tdo_pfkey_pull(c, answer, sizeof(answer));
	assert_int_not_equal(len, 0);
	assert_int_equal(tdo_sadb_parse(answer, len, &got, NULL), 0);
	assert_int_equal(got.base.type, type);
	assert_int_equal(got.base.err, err);
	if (err)
		assert_int_equal(len, TDO_SADB_BASE_LEN);
}

static inline void
silence(struct tdo_pfkey_client *c)
{
	assert_false(tdo_pfkey_pending(c));
	assert_int_equal(tdo_pfkey_pull(c, answer, sizeof(answer)), 0);
}

static inline unsigned
drain(struct tdo_pfkey_client *c)
{
	unsigned n = 0;

	while (tdo_pfkey_pull(c, answer, sizeof(answer)) > 0)
		n++;
	silence(c);
	return n;
}

static inline struct tdo_sa_param
sample(uint32_t spi)
{
	return (struct tdo_sa_param){
	    .key = {.satype = TDO_SATYPE_ESP, .spi = spi, .src = A4, .dst = B4},
	    .mode = TDO_MODE_TRANSPORT,
	    .reqid = 7,
	    .replay = 32,
	    .ealg = 12,
	    .aalg = 3,
	    .ekey = key,
	    .ekey_bits = 128,
	    .akey = key,
	    .akey_bits = 160,
	};
}

static inline void
add(struct world *w, const struct tdo_sa_param *p, int err)
{
	begin(TDO_SADB_ADD, p->key.satype);
	tdo_sadb_put_sa_param(&wr, p);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ADD, err);
	assert_int_equal(got.base.seq, 77);
	assert_int_equal(got.base.pid, 4711);
}

/* The message has these n extensions, each once and no other. */
static inline void
exactly(const struct tdo_sadb_msg *m, int n, ...)
{
	va_list ap;

	va_start(ap, n);
	assert_int_equal(m->next, n);
	for (int i = 0; i < n; i++)
		assert_true(tdo_sadb_has(m, (enum tdo_sadb_ext_type)va_arg(ap, int)));
	va_end(ap);
}

/* GET, DELETE: base, SA, addresses. */
static inline void
say_key(struct tdo_pfkey_client *c, uint8_t type, uint32_t spi)
{
	begin(type, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = spi});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	say(c, NOW);
}

/* What a client that asks gets to see of an SA. */
static inline struct tdo_sa_info
look(struct world *w, uint32_t spi)
{
	struct tdo_sa_info info;

	say_key(w->a, TDO_SADB_GET, spi);
	hear(w->a, TDO_SADB_GET, 0);
	assert_int_equal(tdo_sadb_get_sa_info(&got, &info, NULL), 0);
	return info;
}

static inline struct tdo_sp_param
sample_sp(uint8_t net)
{
	return (struct tdo_sp_param){
	    .dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = {.af = TDO_AF_INET, .b = {10, net}},
		.src_plen = 16,
		.dst = {.af = TDO_AF_INET, .b = {192, 0, 2}},
		.dst_plen = 24,
		.proto = TDO_PROTO_ANY,
		.sport = TDO_RANGE_ANY,
		.dport = TDO_RANGE_ANY},
	    .nreq = 1,
	    .req = {{.proto = 50,
		.mode = TDO_MODE_TUNNEL,
		.level = TDO_LEVEL_REQUIRE,
		.src = A4,
		.dst = B4}},
	};
}

static inline void
spd(struct world *w, uint8_t type, const struct tdo_sp_param *p, int err)
{
	begin(type, TDO_SATYPE_UNSPEC);
	tdo_sadb_put_sp_param(&wr, p);
	say(w->a, NOW);
	hear(w->a, type, err);
}

static inline void
say_policy_id(struct tdo_pfkey_client *c, uint8_t type, uint32_t id)
{
	begin(type, TDO_SATYPE_UNSPEC);
	tdo_sadb_put_policy(&wr, &(struct tdo_sadb_policy){.id = id, .prio = TDO_PRIO_DEFAULT});
	say(c, NOW);
}

static inline void
say_base(struct tdo_pfkey_client *c, uint8_t type, uint8_t satype)
{
	begin(type, satype);
	say(c, NOW);
}

static inline uint32_t
policy_id(void)
{
	struct tdo_sadb_policy pol;

	assert_true(tdo_sadb_get_policy(&got, &pol));
	return pol.id;
}

static inline void
set_knob(struct world *w, enum tdo_knob k, int32_t v)
{
	assert_int_equal(tdo_knob_set(w->e, k, TDO_AF_INET, v), 0);
}

/* ---- packets and key managers --------------------------------------------------------------- */

/* What happened until now is told. */
static inline void
tick(struct world *w, tdo_ns now)
{
	tdo_engine_tick(w->e, now);
	tdo_pfkey_events(w->k, now);
}

/* An outbound UDP packet from 10.0.0.1 to 10.0.0.2; returns its verdict. */
static inline uint8_t
send_packet_at(struct world *w, tdo_ns now)
{
	const struct tdo_ip_hdr h = {.src = A4, .dst = B4, .ttl = 64, .proto = TDO_IPPROTO_UDP};
	uint8_t buf[TDO_HEADROOM + 28 + TDO_TAILROOM] = {0};
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM, .len = 28};
	struct tdo_pkt *const burst[] = {&p};

	tdo_ip_build(tdo_pkt_data(&p), &h, 8);
	buf[TDO_HEADROOM + 25] = 8; /* UDP length */
	tdo_worker_resume(tdo_engine_worker(w->e, 0));
	tdo_out(tdo_engine_worker(w->e, 0), burst, 1, now);
	tdo_worker_idle(tdo_engine_worker(w->e, 0));
	return p.verdict;
}

static inline uint8_t
send_packet(struct world *w)
{
	return send_packet_at(w, NOW);
}

/* A policy for that packet. */
static inline struct tdo_sp_param
packet_sp(uint8_t proto, uint8_t level)
{
	struct tdo_sp_param sp = sample_sp(0);

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] = (struct tdo_req){.proto = proto, .mode = TDO_MODE_TRANSPORT, .level = level};
	return sp;
}

/* a adds a policy, which b hears; returns its id. */
static inline uint32_t
want_sp(struct world *w, const struct tdo_sp_param *sp)
{
	spd(w, TDO_SADB_X_SPDADD, sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	return policy_id();
}

static inline uint32_t
want(struct world *w, uint8_t proto, uint8_t level)
{
	const struct tdo_sp_param sp = packet_sp(proto, level);

	return want_sp(w, &sp);
}

/* b is a key manager. */
static inline void
be_manager(struct world *w, uint8_t satype)
{
	say_base(w->b, TDO_SADB_REGISTER, satype);
	hear(w->b, TDO_SADB_REGISTER, 0);
}

/* The packet waits, and b is asked for an SA; returns the number of the question. */
static inline uint32_t
ask(struct world *w)
{
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tick(w, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	return got.base.seq;
}

#endif
