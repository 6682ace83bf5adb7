/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio_net_hdr, packet pool, nfnetlink_queue messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/nfq.h"
#include "io/pool.h"
#include "io/vnet.h"
#include "wire/ip.h"

struct hdr {
	uint8_t flags, type;
	uint16_t hdr_len, gso_size, start, off;
};

static bool
decode(struct hdr h, struct tdo_pkt *p)
{
	uint8_t b[TDO_VNET_HLEN];

	memcpy(b, &h, sizeof(b));
	return tdo_vnet_decode(b, p);
}

static void
tcp_super_packet_is_read(void **state)
{
	struct tdo_pkt p = {.len = 5000};

	(void)state;
	/* hdr_len 0 although there are headers: not believed. ECN bit as Linux sets it. */
	assert_true(decode((struct hdr){1, 0x81, 0, 1448, 20, 16}, &p));
	assert_int_equal(p.gso, TDO_GSO_TCP);
	assert_int_equal(p.gso_size, 1448);
	assert_int_equal(p.csum_start, 20);
	assert_int_equal(p.csum_off, 16);
	assert_true(p.flags & TDO_PKT_CSUM_PARTIAL);
	assert_true(decode((struct hdr){1, 4, 0, 1428, 40, 16}, &p));
	assert_int_equal(p.gso, TDO_GSO_TCP);
	assert_true(decode((struct hdr){1, 5, 0, 1200, 20, 6}, &p));
	assert_int_equal(p.gso, TDO_GSO_UDP);
	assert_true(decode((struct hdr){0, 0, 0, 99, 0, 0}, &p));
	assert_int_equal(p.gso, TDO_GSO_NONE);
	assert_int_equal(p.gso_size, 0);
	assert_false(p.flags & TDO_PKT_CSUM_PARTIAL);
}

static void
contradictions_are_refused(void **state)
{
	struct tdo_pkt p = {.len = 60};

	(void)state;
	assert_false(decode((struct hdr){1, 0, 0, 0, 59, 0}, &p));
	assert_false(decode((struct hdr){1, 0, 0, 0, 20, 39}, &p));
	assert_true(decode((struct hdr){1, 0, 0, 0, 20, 38}, &p));
	assert_false(decode((struct hdr){1, 0, 0, 0, 0xffff, 0xffff}, &p));
	assert_false(decode((struct hdr){0, 1, 0, 0, 0, 0}, &p)); /* no size */
	assert_false(decode((struct hdr){0, 3, 0, 8, 0, 0}, &p)); /* UFO */
	assert_false(decode((struct hdr){0, 77, 0, 8, 0, 0}, &p));
}

static void
written_header_is_read_back(void **state)
{
	static uint8_t mem[3000];
	struct tdo_pkt p = {.buf = mem, .cap = sizeof(mem), .len = 2900}, q = {.len = 2900};
	uint8_t b[TDO_VNET_HLEN];
	struct hdr h;

	(void)state;
	p.gso = TDO_GSO_TCP;
	p.gso_size = 1428;
	p.flags = TDO_PKT_CSUM_PARTIAL;
	p.csum_start = 40;
	p.csum_off = 16;
	p.ip.l4_off = 40;
	p.ip.flow.src.af = TDO_AF_INET6;
	mem[40 + 12] = 0x80; /* 32 bytes of TCP header */
	tdo_vnet_encode(&p, b);
	memcpy(&h, b, sizeof(h));
	assert_int_equal(h.type, 4);
	assert_int_equal(h.hdr_len, 72);
	assert_true(tdo_vnet_decode(b, &q));
	assert_int_equal(q.gso, TDO_GSO_TCP);
	assert_int_equal(q.gso_size, 1428);
	assert_int_equal(q.csum_start, 40);

	/* A single packet: the kernel has to look at the checksum itself. */
	p.gso = TDO_GSO_NONE;
	p.flags = 0;
	tdo_vnet_encode(&p, b);
	for (unsigned i = 0; i < sizeof(b); i++)
		assert_int_equal(b[i], 0);
}

static void
pool_packs_and_ends(void **state)
{
	struct tdo_pool pool;
	struct tdo_pkt *a, *b;

	(void)state;
	assert_int_equal(tdo_pool_init(&pool, 200000, 3), 0);
	a = tdo_pool_take(&pool, 65535);
	assert_non_null(a);
	assert_true(a->off >= TDO_HEADROOM);
	a->len = 100;
	tdo_pool_shrink(&pool, a);
	assert_true(a->cap >= a->off + a->len + TDO_TAILROOM);
	b = tdo_pool_take(&pool, 65535);
	assert_non_null(b);
	assert_true(b->buf >= a->buf + a->cap);
	assert_true(b->buf < a->buf + TDO_HEADROOM + TDO_TAILROOM + 256);
	assert_null(tdo_pool_take(&pool, 199000)); /* no bytes */
	assert_non_null(tdo_pool_take(&pool, 10));
	assert_null(tdo_pool_take(&pool, 10)); /* no packets */
	tdo_pool_reset(&pool);
	a = tdo_pool_take(&pool, 10);
	assert_non_null(a);
	tdo_pool_drop_last(&pool, a);
	assert_int_equal(pool.used, 0);
	tdo_pool_fini(&pool);
}

/* A queue message: netlink header, nfgenmsg, packet header, payload of n bytes. */
static size_t
queue_message(uint8_t *m, uint8_t hook, uint16_t n)
{
	uint32_t len;
	uint16_t type = 0x300, alen = 11, atype = 1, plen = (uint16_t)(4 + n), ptype = 10;

	memset(m, 0, 200);
	len = 20 + 12 + 4 + ((n + 3u) & ~3u);
	memcpy(m, &len, 4);
	memcpy(m + 4, &type, 2);
	memcpy(m + 20, &alen, 2);
	memcpy(m + 22, &atype, 2);
	memcpy(m + 24, "\1\2\3\4", 4);
	m[30] = hook;
	memcpy(m + 32, &plen, 2);
	memcpy(m + 34, &ptype, 2);
	memset(m + 36, 0xaa, n);
	return len;
}

static void
queued_packet_is_found(void **state)
{
	uint8_t m[200];
	struct tdo_nfq_packet q;
	size_t len = queue_message(m, 2, 41);
	uint32_t id;

	(void)state;
	assert_true(tdo_nfq_parse(m, len, &q));
	assert_memory_equal(&q.id, "\1\2\3\4", 4);
	assert_true(q.forwarded);
	assert_int_equal(q.len, 41);
	assert_ptr_equal(q.p, m + 36);
	len = queue_message(m, 1, 4);
	assert_true(tdo_nfq_parse(m, len, &q));
	assert_false(q.forwarded);
	assert_true(tdo_nfq_id(m, len, &id));
	assert_int_equal(id, q.id);
}

static void
broken_queue_messages_are_refused(void **state)
{
	uint8_t m[200], whole[200];
	struct tdo_nfq_packet q;
	size_t len = queue_message(whole, 2, 40);
	uint32_t id;

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_false(tdo_nfq_parse(whole, n, &q));
	memcpy(m, whole, sizeof(m));
	m[4] = 2; /* another type */
	assert_false(tdo_nfq_parse(m, len, &q));
	assert_false(tdo_nfq_id(m, len, &id));
	memcpy(m, whole, sizeof(m));
	m[32] = 3; /* an attribute shorter than its header */
	assert_false(tdo_nfq_parse(m, len, &q));
	assert_true(tdo_nfq_id(m, len, &id)); /* the verdict can still be given */
	memcpy(m, whole, sizeof(m));
	m[33] = 0xff; /* longer than the message */
	assert_false(tdo_nfq_parse(m, len, &q));
	m[20] = 8; /* packet header too short */
	assert_false(tdo_nfq_id(m, len, &id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tcp_super_packet_is_read),
	    cmocka_unit_test(contradictions_are_refused),
	    cmocka_unit_test(written_header_is_read_back),
	    cmocka_unit_test(pool_packs_and_ends),
	    cmocka_unit_test(queued_packet_is_found),
	    cmocka_unit_test(broken_queue_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
