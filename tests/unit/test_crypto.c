/* SPDX-License-Identifier: BSD-2-Clause */
/* Framework and sessions: what is refused, what memory it takes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "crypto/driver.h"

/* ---- memory that counts, fails on demand, and looks at what is given back ------------ */

static struct {
	long left;     /* allocations until one fails; negative: none fails */
	long calls;    /* allocations of the engine */
	long live;     /* its blocks in use */
	long external; /* allocations of OpenSSL */
	bool dirty;    /* a block that was freed had something in it */
	bool both;     /* allocations of OpenSSL count for left as well */
} mem;

static bool
must_fail(void)
{
	return mem.left >= 0 && mem.left-- == 0;
}

static void *
engine_alloc(void *ctx, size_t size)
{
	(void)ctx;
	mem.calls++;
	if (must_fail())
		return NULL;
	mem.live++;
	return calloc(1, size);
}

static void
engine_free(void *ctx, void *p, size_t size)
{
	const uint8_t *b = p;

	(void)ctx;
	if (p == NULL)
		return;
	for (size_t i = 0; i < size; i++)
		mem.dirty |= b[i] != 0;
	mem.live--;
	free(p);
}

static void *
openssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	mem.external++;
	return mem.both && must_fail() ? NULL : malloc(size);
}

static void *
openssl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	mem.external++;
	return mem.both && must_fail() ? NULL : realloc(p, size);
}

static void
openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static char logged[256];

static void
log_text(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	strncpy(logged, text, sizeof(logged) - 1);
}

static struct tdo_crypto_config
config(const char *only)
{
	struct tdo_crypto_config cfg = {
	    .mem = {engine_alloc, engine_free, NULL},
	    .nworkers = 3,
	    .only = only,
	    .log = log_text,
	};

	return cfg;
}

static struct tdo_crypto *
crypto(const char *only)
{
	struct tdo_crypto_config cfg = config(only);
	struct tdo_crypto *c;

	mem.left = -1;
	assert_int_equal(tdo_crypto_new(&cfg, &c), 0);
	return c;
}

/* ---- framework ---------------------------------------------------------------------- */

static void
drivers_are_in_order_of_priority(void **state)
{
	static const char *const order[] = {"ipsec-mb", "openssl", "nettle", "null"};
	struct tdo_crypto *c = crypto(NULL);
	const char *name;
	unsigned at = 0, n = 0;

	(void)state;
	for (; (name = tdo_crypto_driver_at(c, n)) != NULL; n++) {
		while (at < 4 && strcmp(order[at], name) != 0)
			at++;
		assert_true(at < 4);
	}
	assert_true(n >= 2);
	assert_string_equal(tdo_crypto_driver_at(c, n - 1), "null");
	tdo_crypto_free(c);
	tdo_crypto_free(NULL);
	assert_int_equal(mem.live, 0);
}

static void
one_driver_can_be_chosen(void **state)
{
	struct tdo_crypto *c = crypto("openssl");
	struct tdo_crypto_config cfg = config("no-such-driver");

	(void)state;
	assert_string_equal(tdo_crypto_driver_at(c, 0), "openssl");
	assert_null(tdo_crypto_driver_at(c, 1));
	tdo_crypto_free(c);
	assert_int_equal(tdo_crypto_new(&cfg, &c), -ENOENT);
	cfg = config(NULL);
	cfg.nworkers = 0;
	assert_int_equal(tdo_crypto_new(&cfg, &c), -EINVAL);
}

static void
illegal_pairs_are_refused(void **state)
{
	const struct tdo_alg *gcm = tdo_alg_enc(20), *cbc = tdo_alg_enc(12), *sha = tdo_alg_auth(3);
	struct tdo_crypto *c = crypto(NULL);
	uint8_t key[64] = {0};
	struct tdo_session_param p = {.ekey = key, .akey = key};
	struct tdo_session *s = NULL;

	(void)state;
	assert_true(tdo_crypto_supports(c, gcm, NULL));
	assert_true(tdo_crypto_supports(c, cbc, sha));
	assert_true(tdo_crypto_supports(c, NULL, sha));
	assert_false(tdo_crypto_supports(c, NULL, NULL));
	assert_false(tdo_crypto_supports(c, gcm, sha));
	assert_false(tdo_crypto_supports(c, sha, NULL));
	assert_false(tdo_crypto_supports(c, cbc, gcm));
	assert_int_equal(tdo_session_new(c, &p, &s), -EINVAL);
	/* What authenticates by itself takes no MAC, not even "null". */
	for (unsigned i = 0; (p.enc = tdo_alg_at(i)) != NULL; i++)
		for (unsigned k = 0; (p.auth = tdo_alg_at(k)) != NULL; k++) {
			bool legal = p.enc->kind == TDO_ALG_ENC && p.auth->kind == TDO_ALG_AUTH;

			p.ekey_len = p.enc->key_min / 8;
			p.akey_len = p.auth->key_min / 8;
			if (legal)
				continue;
			assert_false(tdo_crypto_supports(c, p.enc, p.auth));
			assert_int_equal(tdo_session_new(c, &p, &s), -EINVAL);
		}
	assert_null(s);
	tdo_crypto_free(c);
}

static void
wrong_key_lengths_are_refused(void **state)
{
	struct tdo_crypto *c = crypto(NULL);
	uint8_t key[64] = {0};
	struct tdo_session_param p = {.ekey = key, .akey = key};
	struct tdo_session *s = NULL;

	(void)state;
	for (unsigned i = 0; tdo_alg_at(i); i++) {
		const struct tdo_alg *a = tdo_alg_at(i);
		bool auth = a->kind == TDO_ALG_AUTH;

		p.enc = auth ? NULL : a;
		p.auth = auth ? a : NULL;
		for (unsigned len = 0; len <= sizeof(key); len++) {
			bool legal = tdo_alg_keylen_ok(a, len * 8);

			p.ekey_len = auth ? 0 : (uint16_t)len;
			p.akey_len = auth ? (uint16_t)len : 0;
			if (legal && !tdo_crypto_supports(c, p.enc, p.auth))
				continue;
			assert_int_equal(tdo_session_new(c, &p, &s), legal ? 0 : -EINVAL);
			if (legal)
				tdo_session_free(s);
		}
	}
	/* A key without algorithm, and a length without key. */
	p = (struct tdo_session_param){.auth = tdo_alg_auth(3), .akey = key, .akey_len = 20};
	p.ekey_len = 16;
	assert_int_equal(tdo_session_new(c, &p, &s), -EINVAL);
	p.ekey_len = 0;
	p.akey = NULL;
	assert_int_equal(tdo_session_new(c, &p, &s), -EINVAL);
	tdo_session_free(NULL);
	tdo_crypto_free(c);
}

static void
pair_without_driver_is_not_supported(void **state)
{
	struct tdo_crypto *c = crypto("null");
	uint8_t key[16] = {0};
	struct tdo_session_param p = {.enc = tdo_alg_enc(12), .ekey = key, .ekey_len = 16};
	struct tdo_session *s;

	(void)state;
	assert_false(tdo_crypto_supports(c, p.enc, NULL));
	assert_int_equal(tdo_session_new(c, &p, &s), -EOPNOTSUPP);
	p = (struct tdo_session_param){.enc = tdo_alg_enc(11)};
	assert_int_equal(tdo_session_new(c, &p, &s), 0);
	assert_string_equal(tdo_session_driver(s), "null");
	tdo_session_free(s);
	tdo_crypto_free(c);
}

/* ---- self-test ---------------------------------------------------------------------- */

/* A driver that works like OpenSSL's, but for one fault. */
static enum { FAULT_NONE, FAULT_TEXT, FAULT_ICV, FAULT_ACCEPT, FAULT_STATUS, FAULT_LAST } fault;
static tdo_process_fn real_process;

static void
faulty_process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	struct tdo_op *last = &ops[n - 1];
	uint32_t end = last->hdr_len + 8 + last->text_len;

	real_process(worker, ops, n);
	if (fault == FAULT_TEXT)
		last->data[end - 1] ^= 1;
	else if (fault == FAULT_ICV)
		last->data[end] ^= 1;
	else if (fault == FAULT_ACCEPT)
		last->status = TDO_OP_OK;
	else if (fault == FAULT_STATUS)
		last->status = TDO_OP_ERROR;
}

static int
faulty_init(void *st, const struct tdo_session_param *p, struct tdo_session *s)
{
	int err = tdo_driver_openssl.session_init(st, p, s);

	real_process = s->process;
	s->process = faulty_process;
	return err;
}

static void
self_test_finds_faults(void **state)
{
	struct tdo_crypto *c = crypto("openssl");
	struct tdo_driver faulty = tdo_driver_openssl;
	struct tdo_driver_slot slot = {&faulty, c->slot[0].state, c};
	const char *what = NULL;

	(void)state;
	faulty.session_init = faulty_init;
	for (int f = FAULT_NONE; f < FAULT_LAST; f++) {
		fault = f;
		assert_int_equal(tdo_selftest(c, &slot, &what), f == FAULT_NONE ? 0 : -ELIBBAD);
	}
	assert_string_equal(what, "aes-gcm-16");
	mem.left = 0;
	assert_int_equal(tdo_selftest(c, &slot, &what), -ENOMEM);
	mem.left = -1;
	tdo_crypto_free(c);
}

/* ---- packets ------------------------------------------------------------------------ */

#define PACKET_SIZE 70000

/* Row number i alone, with its longest key; ciphers that have no ICV get one by turns. */
static bool
row(unsigned i, struct tdo_session_param *ret)
{
	static const uint8_t key[64] = {1, 2, 3, 4, 5};
	const struct tdo_alg *a = tdo_alg_at(i);
	bool is_auth = a && a->kind == TDO_ALG_AUTH;

	if (a == NULL)
		return false;
	*ret = (struct tdo_session_param){.ekey = key, .akey = key};
	ret->enc = is_auth ? NULL : a;
	ret->auth = is_auth ? a : a->kind == TDO_ALG_ENC && i % 2 ? tdo_alg_auth(5) : NULL;
	ret->ekey_len = ret->enc ? a->key_max / 8 : 0;
	ret->akey_len = ret->auth ? ret->auth->key_max / 8 : 0;
	return true;
}

static struct tdo_session *
make(struct tdo_crypto *c, struct tdo_session_param p, bool encrypt, bool esn)
{
	struct tdo_session *s;

	p.encrypt = encrypt;
	p.esn = esn;
	assert_int_equal(tdo_session_new(c, &p, &s), 0);
	return s;
}

/* Calls f for every driver and every row that it supports. */
static void
for_all(void (*f)(struct tdo_crypto *c, const struct tdo_session_param *p))
{
	struct tdo_crypto *all = crypto(NULL);
	struct tdo_session_param p;
	const char *name;

	for (unsigned i = 0; (name = tdo_crypto_driver_at(all, i)) != NULL; i++) {
		struct tdo_crypto *c = crypto(name);

		for (unsigned k = 0; row(k, &p); k++)
			if (tdo_crypto_supports(c, p.enc, p.auth))
				f(c, &p);
		tdo_crypto_free(c);
	}
	tdo_crypto_free(all);
}

/* Bad operations fail alone and leave their packet as it was; the others succeed. */
static void
check_bad_ops(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	static uint8_t packet[4][PACKET_SIZE], before[PACKET_SIZE];
	struct tdo_op op[4] = {
	    {packet[0], 8, 64, 0, TDO_OP_ERROR, NULL},
	    {packet[1], 8, 65536, 0, TDO_OP_OK, NULL},      /* too long */
	    {packet[2], 8, UINT32_MAX, 0, TDO_OP_OK, NULL}, /* the sum overflows 32 bits */
	    {packet[3], 8, 80, 0, TDO_OP_ERROR, NULL},
	};
	struct tdo_session *s = make(c, *p, true, false);

	memset(packet, 0x5a, sizeof(packet));
	memset(before, 0x5a, sizeof(before));
	tdo_session_process(s, 2, op, 4);
	assert_int_equal(op[0].status, TDO_OP_OK);
	assert_int_equal(op[1].status, TDO_OP_ERROR);
	assert_int_equal(op[2].status, TDO_OP_ERROR);
	assert_int_equal(op[3].status, TDO_OP_OK);
	assert_memory_equal(packet[1], before, PACKET_SIZE);
	assert_memory_equal(packet[2], before, PACKET_SIZE);
	tdo_session_process(s, 0, op, 0);
	tdo_session_free(s);
}

static void
bad_operations_are_refused(void **state)
{
	(void)state;
	for_all(check_bad_ops);
}

/* A payload that is no multiple of the block is not touched, in either direction. */
static void
check_misaligned(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	for (int way = 0; p->enc && p->enc->block > 1 && way < 2; way++) {
		uint8_t packet[256] = {0}, before[256] = {0};
		struct tdo_op op = {packet, 8, 64 + 7, 0, TDO_OP_OK, NULL};
		struct tdo_session *s = make(c, *p, way, false);

		tdo_session_process(s, 0, &op, 1);
		assert_int_equal(op.status, TDO_OP_ERROR);
		assert_memory_equal(packet, before, sizeof(packet));
		tdo_session_free(s);
	}
}

static void
partial_blocks_are_refused(void **state)
{
	(void)state;
	for_all(check_misaligned);
}

static uint8_t
status_with_header(struct tdo_session *s, uint32_t hdr_len)
{
	uint8_t packet[256] = {0};
	struct tdo_op op = {packet, hdr_len, 64, 1, TDO_OP_OK, NULL};

	tdo_session_process(s, 0, &op, 1);
	return op.status;
}

/* ESN and implicit IVs are defined for the 8-byte header of ESP only. */
static void
check_headers(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	struct tdo_session *esn = make(c, *p, true, true), *plain = make(c, *p, true, false);
	bool aead = p->enc && p->enc->kind == TDO_ALG_AEAD;
	uint8_t expected = aead ? TDO_OP_ERROR : TDO_OP_OK;

	assert_int_equal(status_with_header(esn, 8), TDO_OP_OK);
	assert_int_equal(status_with_header(esn, 4), expected);
	assert_int_equal(status_with_header(esn, 12), expected);
	assert_int_equal(status_with_header(plain, 8), TDO_OP_OK);
	expected = p->enc && p->enc->implicit_iv ? TDO_OP_ERROR : TDO_OP_OK;
	assert_int_equal(status_with_header(plain, 4), expected);
	assert_int_equal(status_with_header(plain, 44), expected);
	if (p->enc && strncmp(p->enc->name, "aes-ccm", 7) == 0)
		expected = TDO_OP_ERROR;
	assert_int_equal(status_with_header(plain, 45), expected);
	tdo_session_free(esn);
	tdo_session_free(plain);
}

static void
headers_other_than_that_of_esp(void **state)
{
	(void)state;
	for_all(check_headers);
}

static void
half_iv_needs_eight_bytes(void **state)
{
	struct tdo_session_param p = {
	    .enc = tdo_alg_half_iv(), .ekey = (const uint8_t *)"12345678", .ekey_len = 8};
	struct tdo_crypto *all = crypto(NULL);
	const char *name;

	(void)state;
	for (unsigned i = 0; (name = tdo_crypto_driver_at(all, i)) != NULL; i++) {
		struct tdo_crypto *c = crypto(name);

		if (tdo_crypto_supports(c, p.enc, NULL)) {
			struct tdo_session *s = make(c, p, true, false);

			assert_int_equal(status_with_header(s, 8), TDO_OP_OK);
			assert_int_equal(status_with_header(s, 4), TDO_OP_ERROR);
			assert_int_equal(status_with_header(s, 16), TDO_OP_ERROR);
			tdo_session_free(s);
		}
		tdo_crypto_free(c);
	}
	tdo_crypto_free(all);
}

/* Good packets, and damaged ones, whose failure is no reason to allocate either. */
static void
check_allocations(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	static uint8_t packet[64][256];
	struct tdo_session *s[2] = {make(c, *p, false, true), make(c, *p, true, true)};
	struct tdo_op op[64];
	long before;

	for (unsigned i = 0; i < 64; i++)
		op[i] = (struct tdo_op){packet[i], 8, 128, 0, TDO_OP_ERROR, NULL};
	before = mem.calls + mem.external;
	for (int i = 0; i < 3; i++)
		tdo_session_process(s[i % 2], 1, op, 64);
	assert_int_equal(mem.calls + mem.external, before);
	tdo_session_free(s[0]);
	tdo_session_free(s[1]);
}

static void
processing_allocates_nothing(void **state)
{
	(void)state;
	for_all(check_allocations);
	assert_true(mem.external > 0);
}

/* ---- memory ------------------------------------------------------------------------- */

static void
failing_allocations_undo_everything(void **state)
{
	struct tdo_crypto_config cfg = config(NULL);
	struct tdo_crypto *c = NULL;
	int err = -ENOMEM;
	long n;

	(void)state;
	mem.live = 0;
	/* Each of the first ones; of the self-tests, which are alike, every so many. */
	for (n = 0; err; n += 1 + n / 8) {
		mem.left = n;
		err = tdo_crypto_new(&cfg, &c);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_null(c);
			assert_int_equal(mem.live, 0);
		}
	}
	assert_true(n > 3);
	tdo_crypto_free(c);
	assert_int_equal(mem.live, 0);
}

/* Every allocation of the engine or of OpenSSL fails once; with a twin, too. */
static void
check_failures(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	struct tdo_session_param q = *p;
	struct tdo_session *s[2] = {NULL, NULL};
	long live = mem.live, n = 0;
	int err;

	for (unsigned i = 0; i < 2; i++) {
		q.encrypt = i == 0;
		q.twin = s[0];
		for (n = 0, err = -ENOMEM; err; n++) {
			mem.left = n;
			mem.both = true;
			err = tdo_session_new(c, &q, &s[i]);
			mem.both = false;
			mem.left = -1;
			assert_true(err == 0 || (err == -ENOMEM && s[i] == NULL));
			assert_true(mem.live == live + i + (err == 0));
		}
		assert_true(n >= 2);
	}
	tdo_session_free(s[1]);
	tdo_session_free(s[0]);
	assert_int_equal(mem.live, live);
}

static void
failing_session_leaves_nothing(void **state)
{
	(void)state;
	for_all(check_failures);
}

/* Two workers' worth of keys, used and given back: nothing of them is left. */
static void
check_wiped(struct tdo_crypto *c, const struct tdo_session_param *p)
{
	struct tdo_session_param q = *p;
	struct tdo_session *s = make(c, *p, true, false), *twin;

	q.twin = s;
	twin = make(c, q, false, false);
	assert_int_equal(status_with_header(s, 8), TDO_OP_OK);
	status_with_header(twin, 8);
	mem.dirty = false;
	tdo_session_free(twin);
	tdo_session_free(s);
	assert_false(mem.dirty);
}

static void
session_memory_is_wiped(void **state)
{
	(void)state;
	for_all(check_wiped);
	assert_string_equal(logged, "");
}

/* The keys of the first session serve the second: it takes less memory. */
static void
twins_share_keys(void **state)
{
	struct tdo_crypto *c = crypto(NULL);
	struct tdo_session_param p;

	(void)state;
	for (unsigned i = 0; row(i, &p); i++) {
		struct tdo_session *s, *twin;
		size_t alone;

		if (!tdo_crypto_supports(c, p.enc, p.auth) || p.ekey_len + p.akey_len == 0)
			continue;
		p.twin = NULL;
		s = make(c, p, true, false);
		alone = s->block.size;
		p.twin = s;
		twin = make(c, p, false, false);
		if (strcmp(tdo_session_driver(s), "openssl") != 0)
			assert_true(twin->block.size < alone);
		tdo_session_free(twin);
		tdo_session_free(s);
	}
	tdo_crypto_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(drivers_are_in_order_of_priority),
	    cmocka_unit_test(one_driver_can_be_chosen),
	    cmocka_unit_test(illegal_pairs_are_refused),
	    cmocka_unit_test(wrong_key_lengths_are_refused),
	    cmocka_unit_test(pair_without_driver_is_not_supported),
	    cmocka_unit_test(self_test_finds_faults),
	    cmocka_unit_test(bad_operations_are_refused),
	    cmocka_unit_test(partial_blocks_are_refused),
	    cmocka_unit_test(headers_other_than_that_of_esp),
	    cmocka_unit_test(half_iv_needs_eight_bytes),
	    cmocka_unit_test(processing_allocates_nothing),
	    cmocka_unit_test(failing_allocations_undo_everything),
	    cmocka_unit_test(failing_session_leaves_nothing),
	    cmocka_unit_test(session_memory_is_wiped),
	    cmocka_unit_test(twins_share_keys),
	};

	mem.left = -1;
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
