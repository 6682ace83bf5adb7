/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A conversation with the PF_KEY endpoint over a real engine.
 *
 * Input: items of a 16-bit little-endian word and a message.  Low 12 bits: length of the
 * message.  High bits: 0x8000 the unprivileged client sends; 0x4000 the registered one;
 * 0x2000 nobody reads afterwards; 0x1000 packets are sent and time passes before: as many
 * seconds as the low byte of the pid, or 10 when that is 2.
 *
 * What must hold: every message is answered (D52), whatever comes out parses; a packet that waits
 * for its SA comes out protected, in order, or not at all; memory is bounded.
 */
#include <string.h>

#include "base/be.h"
#include "base/rd.h"
#include "daemon/hold.h"
#include "fuzz.h"
#include "mem.h"
#include "testudo/pfkey.h"
#include "wire/ip.h"
#include "wire/pfkey_msg.h"

enum { GUEST = 0x8000, MANAGER = 0x4000, UNREAD = 0x2000, WAIT = 0x1000, LENGTH = 0x0fff };

static void
fill_random(void *ctx, void *buf, size_t len)
{
	uint32_t *x = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		*x = *x * 1664525 + 1013904223;
		p[i] = (uint8_t)(*x >> 24);
	}
}

static const struct tdo_mem mem = TEST_MEM;

/* Made once: its self-tests take long. */
static struct tdo_crypto *
crypto(void)
{
	static struct tdo_crypto *c;

	if (!c)
		FUZZ_CHECK(tdo_crypto_new(
			       &(struct tdo_crypto_config){.mem = mem, .nworkers = 1}, &c) == 0);
	return c;
}

/* The other end: what setkey does with the message. */
static void
read_back(const struct tdo_sadb_msg *m)
{
	static struct tdo_sa_info sa;
	struct tdo_sp_info sp;
	struct tdo_sadb_err err = {0};
	struct tdo_sadb_comb comb;
	struct tdo_sadb_alg alg;
	struct tdo_sadb_ident id;
	uint16_t v;
	uint8_t t;

	if (tdo_sadb_get_sa_info(m, &sa, &err) < 0)
		FUZZ_CHECK(err.text != NULL && tdo_sadb_ext_name(err.ext)[0] != 0);
	if (tdo_sadb_get_sp_info(m, &sp, &err) == 0)
		FUZZ_CHECK(sp.param.nreq <= TDO_REQ_MAX);
	for (unsigned i = 0; tdo_sadb_get_comb(m, i, &comb); i++)
		FUZZ_CHECK(i < 1000);
	for (unsigned i = 0; tdo_sadb_get_supported(m, TDO_SADB_EXT_SUPPORTED_AUTH, i, &alg); i++)
		FUZZ_CHECK(i < 10000);
	tdo_sadb_get_natt_type(m, &t);
	tdo_sadb_get_natt_port(m, TDO_SADB_X_EXT_NAT_T_SPORT, &v);
	tdo_sadb_get_natt_frag(m, &v);
	if (tdo_sadb_get_ident(m, TDO_SADB_EXT_IDENTITY_SRC, &id))
		FUZZ_CHECK(strlen(id.text) < TDO_SADB_MAXLEN);
	FUZZ_CHECK(tdo_sadb_type_name(m->base.type)[0] == 'S');
}

/* An error: the base message, which repeats what was asked, and maybe a text. */
static void
check_refusal(const uint8_t *msg, size_t len)
{
	struct tdo_rd r = tdo_rd_init(msg, len);

	tdo_rd_bytes(&r, TDO_SADB_BASE_LEN);
	if (r.left == 0)
		return;
	FUZZ_CHECK(tdo_rd_h16(&r) * (size_t)TDO_SADB_UNIT == len - TDO_SADB_BASE_LEN);
	FUZZ_CHECK(tdo_rd_h16(&r) == TDO_SADB_X_EXT_TDO_WHY);
	FUZZ_CHECK(tdo_rd_h16(&r) <= TDO_SADB_EXT_MAX);
	FUZZ_CHECK(tdo_rd_h16(&r) == 0);
	FUZZ_CHECK(r.left > 0 && r.p[0] != '\0' && msg[len - 1] == '\0');
}

static void
check_output(const uint8_t *msg, size_t len)
{
	struct tdo_sadb_msg m;
	struct tdo_sadb_base b;

	FUZZ_CHECK(tdo_sadb_base_read(msg, len, &b));
	if (b.err != 0) {
		check_refusal(msg, len);
		return;
	}
	FUZZ_CHECK(tdo_sadb_parse(msg, len, &m, NULL) == 0);
	read_back(&m);
	if (m.payload)
		check_output(m.payload, m.payload_len);
}

static unsigned
read_all(struct tdo_pfkey_client *c)
{
	static uint8_t buf[TDO_PFKEY_MSG_MAX];
	unsigned n = 0;
	size_t len;

	while ((len = tdo_pfkey_pull(c, buf, sizeof(buf))) > 0) {
		check_output(buf, len);
		n++;
	}
	FUZZ_CHECK(!tdo_pfkey_pending(c));
	return n;
}

/* net.key.debug is on: what is logged is text. */
static void
check_line(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	FUZZ_CHECK(text[0] != 0 && strlen(text) < 300);
}

struct scene {
	struct tdo_hold hold;
	_Atomic size_t held;
	uint16_t next, last_sent; /* numbers of packets */
	struct tdo_engine *e;
	struct tdo_pfkey *k;
	struct tdo_pfkey_client *user, *manager, *guest;
	tdo_ns now;
};

static void
classify(void *ctx, struct tdo_pkt *const *p, unsigned n)
{
	struct scene *s = ctx;

	tdo_out_classify(tdo_engine_worker(s->e, 0), p, n, s->now);
}

/* Every packet goes through here in the order of its number, those that waited too. */
static void
send(void *ctx, struct tdo_pkt *p)
{
	struct scene *s = ctx;
	uint16_t number = tdo_be16(tdo_pkt_data(p) + 28);

	FUZZ_CHECK(p->verdict == TDO_VERDICT_PROTECT ||
		   (p->verdict == TDO_VERDICT_PASS && !(p->flags & TDO_PKT_NO_CLEAR)));
	FUZZ_CHECK(number > s->last_sent);
	s->last_sent = number;
	tdo_out_protect(tdo_engine_worker(s->e, 0), &p, 1, s->now);
}

static void
flush(void *ctx)
{
	(void)ctx;
}

static void
full(void *ctx, struct tdo_pkt *p)
{
	(void)ctx;
	FUZZ_CHECK(p->sp == NULL && p->nsas == 0);
}

static const struct tdo_hold_ops hold_ops = {classify, send, flush, full};

/* 10.0.0.1 to 10.0.0.2, UDP: a policy may need an SA for it. */
static void
send_packet(struct scene *s)
{
	static const struct tdo_ip_hdr h = {.src = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}},
	    .dst = {.af = TDO_AF_INET, .b = {10, 0, 0, 2}},
	    .ttl = 64,
	    .proto = TDO_IPPROTO_UDP};
	const struct tdo_hold_limits lim = {4, 1 << 16};
	uint8_t buf[TDO_HEADROOM + 30 + TDO_TAILROOM] = {0};
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM, .len = 30};
	struct tdo_pkt *const burst[] = {&p};

	tdo_ip_build(tdo_pkt_data(&p), &h, 10);
	buf[TDO_HEADROOM + 25] = 10; /* UDP length */
	tdo_put_be16(buf + TDO_HEADROOM + 28, ++s->next);
	classify(s, burst, 1);
	tdo_hold_burst(&s->hold, &lim, burst, 1, tdo_engine_generation(s->e), s->now);
	FUZZ_CHECK(s->held <= lim.bytes);
	tdo_worker_quiesce(tdo_engine_worker(s->e, 0));
}

static void
look(struct scene *s)
{
	if (tdo_hold_due(&s->hold, tdo_engine_generation(s->e), s->now))
		tdo_hold_look(&s->hold, tdo_engine_generation(s->e), s->now);
	tdo_worker_quiesce(tdo_engine_worker(s->e, 0));
}

static void
time_passes(struct scene *s, unsigned seconds)
{
	s->now += seconds * TDO_SEC;
	tdo_engine_tick(s->e, s->now);
	tdo_pfkey_events(s->k, s->now);
	look(s);
}

static void
one_message(struct scene *s, unsigned word, const uint8_t *msg, size_t len)
{
	struct tdo_pfkey_client *c = word & GUEST     ? s->guest
				     : word & MANAGER ? s->manager
						      : s->user;
	/* A copy of exactly its size: reads beyond it are found. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	bool gives_up = len >= 3 && msg[2] != 0 &&
			(msg[1] == TDO_SADB_ACQUIRE || msg[1] == TDO_SADB_X_SPDACQUIRE);

	FUZZ_CHECK(copy != NULL);
	memcpy(copy, msg, len);
	if (word & WAIT) {
		unsigned seconds = len > 12 ? msg[12] : 0;

		send_packet(s);
		send_packet(s);
		time_passes(s, seconds == 2 ? 10 : seconds);
	}
	tdo_pfkey_input(c, copy, len, s->now);
	FUZZ_CHECK(tdo_pfkey_pending(c) || gives_up);
	free(copy);
	s->now += TDO_SEC / 100;
	look(s);
	if (word & UNREAD)
		return;
	read_all(s->user);
	read_all(s->manager);
	read_all(s->guest);
}

static void
open_scene(struct scene *s, uint32_t *seed)
{
	static const struct tdo_pfkey_cred root = {true, 1}, nobody = {false, 2};
	struct tdo_engine_config ec = {.mem = mem,
	    .random = fill_random,
	    .random_ctx = seed,
	    .crypto = crypto(),
	    .nworkers = 1,
	    .flows = 64,
	    .log = check_line};
	struct tdo_pfkey_config pc = {.mem = mem};

	FUZZ_CHECK(tdo_engine_new(&ec, &s->e) == 0);
	pc.engine = s->e;
	FUZZ_CHECK(tdo_pfkey_new(&pc, &s->k) == 0);
	FUZZ_CHECK(tdo_pfkey_open(s->k, &root, NULL, &s->user) == 0);
	FUZZ_CHECK(tdo_pfkey_open(s->k, &root, NULL, &s->manager) == 0);
	FUZZ_CHECK(tdo_pfkey_open(s->k, &nobody, NULL, &s->guest) == 0);
	s->now = 1000 * TDO_SEC;
	tdo_engine_set_wall(s->e, 1700000000, s->now);
	FUZZ_CHECK(tdo_knob_set(s->e, TDO_KNOB_KEY_DEBUG, 0, 0xff) == 0);
	FUZZ_CHECK(tdo_knob_set(s->e, TDO_KNOB_ESP_AUTH, 0, 1) == 0);
	tdo_hold_init(&s->hold, &hold_ops, s, &s->held);
	s->next = s->last_sent = 0;
	s->held = 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t seed = 1;
	struct scene s;

	open_scene(&s, &seed);
	while (size >= 2) {
		unsigned word = data[0] | (unsigned)data[1] << 8;
		size_t len = word & LENGTH;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		one_message(&s, word, data, len);
		data += len;
		size -= len;
	}
	tdo_hold_fini(&s.hold);
	FUZZ_CHECK(s.held == 0);
	tdo_pfkey_free(s.k);
	tdo_engine_free(s.e);
	return 0;
}
