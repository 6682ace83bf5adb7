/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragmentation: what the test reassembles is what was fragmented. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "pktgen.h"
#include "wire/frag.h"
#include "wire/ip.h"

enum { ID6 = 0x4afe1234 };

/* Puts extra bytes behind the first at bytes of the packet, and the right length. */
static struct tdo_pkt *
insert(struct tdo_pkt *p, uint32_t at, const uint8_t *extra, uint32_t len)
{
	struct tdo_pkt *q = pktgen_empty(p->len + len);
	uint8_t *d = tdo_pkt_data(q);

	memcpy(d, tdo_pkt_data(p), at);
	memcpy(d + at, extra, len);
	memcpy(d + at + len, tdo_pkt_data(p) + at, p->len - at);
	q->len = p->len + len;
	if (d[0] >> 4 == 4)
		d[0] = (uint8_t)(d[0] + len / 4);
	tdo_ip_set_len(d, q->len);
	pktgen_free(p);
	return q;
}

static void
parse(struct tdo_pkt *p)
{
	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip), TDO_REASON_NONE);
}

struct reassembly {
	uint8_t data[65536];
	uint32_t len; /* bytes in a row so far */
	bool last;    /* the last fragment was seen */
};

/* Adds fragment f, which must continue what is there: place and M bit from its header. */
static void
reassemble(struct reassembly *r, const struct tdo_pkt *f, uint32_t mtu)
{
	const uint8_t *d = tdo_pkt_data(f);
	bool v6 = d[0] >> 4 == 6, more;
	uint32_t hlen = v6 ? f->ip.esp_off : (d[0] & 15u) * 4, at;

	assert_true(f->len <= mtu);
	assert_int_equal(f->ip.total_len, f->len);
	assert_false(r->last);
	if (v6) {
		at = tdo_be16(d + hlen - 6) & 0xfff8;
		more = d[hlen - 5] & 1;
		assert_int_equal(tdo_be32(d + hlen - 4), ID6);
	} else {
		at = (tdo_be16(d + 6) & 0x1fffu) * 8;
		more = tdo_be16(d + 6) & 0x2000;
		assert_int_equal(pktgen_csum(d, hlen), 0);
	}
	assert_int_equal(at, r->len);
	if (more)
		assert_int_equal((f->len - hlen) % 8, 0);
	memcpy(r->data + at, d + hlen, f->len - hlen);
	r->len += f->len - hlen;
	r->last = !more;
}

/* Fragments p and compares what comes out; returns the number of fragments. */
static unsigned
fragment_and_compare(const struct tdo_pkt *p, uint32_t mtu)
{
	static struct reassembly r;
	uint32_t from = p->ip.flow.src.af == TDO_AF_INET6 ? p->ip.esp_off : p->ip.l4_off;
	unsigned n = tdo_frag_count(p, mtu);
	struct tdo_pkt *f;

	r.len = 0;
	r.last = false;
	for (unsigned i = 0; i < n; i++) {
		f = pktgen_empty(mtu);
		assert_true(tdo_frag_make(p, mtu, i, ID6, f));
		/* All but the last use the MTU as far as 8-byte steps allow. */
		if (i + 1 < n)
			assert_true(f->len + 8 > mtu);
		reassemble(&r, f, mtu);
		pktgen_free(f);
	}
	f = pktgen_empty(mtu);
	assert_false(tdo_frag_make(p, mtu, n, ID6, f));
	pktgen_free(f);
	assert_true(r.last);
	assert_int_equal(r.len, p->len - from);
	assert_memory_equal(r.data, tdo_pkt_data(p) + from, r.len);
	return n;
}

static void
fragment_then_reassemble_is_identity(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (uint32_t payload = 100; payload < 400; payload++)
			for (uint32_t mtu = 68; mtu < 108; mtu += 3) {
				struct pktgen g = {.v6 = v6,
				    .proto = TDO_IPPROTO_UDP,
				    .payload = payload,
				    .id = 99};
				struct tdo_pkt *p = pktgen_new(&g, 0);

				fragment_and_compare(p, mtu);
				pktgen_free(p);
			}
}

static void
number_of_fragments(void **state)
{
	/* UDP payload, MTU, expected, by hand: IPv4 20 + 8 + payload. */
	static const struct {
		uint32_t payload, mtu;
		unsigned v4, v6;
	} cases[] = {
	    {1472, 1500, 1, 2},
	    {1473, 1500, 2, 2},
	    {1452, 1500, 1, 1},
	    {1453, 1500, 1, 2},
	    {2952, 1500, 2, 3}, /* v4: 1480 + 1480; v6: 1448 + 1448 + 64 */
	    {2953, 1500, 3, 3},
	    {2891, 1499, 2, 2}, /* v6: 1448 + 1451, the last one need not be a multiple of 8 */
	    {2892, 1499, 2, 3},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct pktgen g = {
			    .v6 = v6, .proto = TDO_IPPROTO_UDP, .payload = cases[i].payload};
			struct tdo_pkt *p = pktgen_new(&g, 0);
			unsigned n = tdo_frag_count(p, cases[i].mtu);

			if (n != (v6 ? cases[i].v6 : cases[i].v4))
				fail_msg("case %u, IPv%u: %u fragments", i, v6 ? 6u : 4u, n);
			if (n > 1)
				assert_int_equal(fragment_and_compare(p, cases[i].mtu), n);
			pktgen_free(p);
		}
}

static void
what_fits_is_copied(void **state)
{
	struct pktgen g = {.v6 = true, .proto = TDO_IPPROTO_UDP, .payload = 500};
	struct tdo_pkt *p = pktgen_new(&g, 0), *f = pktgen_empty(548), *g1 = pktgen_empty(547);

	(void)state;
	assert_int_equal(tdo_frag_count(p, 548), 1);
	assert_true(tdo_frag_make(p, 548, 0, ID6, f));
	assert_int_equal(f->len, 548);
	assert_memory_equal(tdo_pkt_data(f), tdo_pkt_data(p), 548);
	assert_memory_equal(&f->ip, &p->ip, sizeof(p->ip));
	assert_false(tdo_frag_make(p, 548, 0, ID6, g1)); /* no room */
	assert_false(tdo_frag_make(p, 548, 1, ID6, f));
	g1->cap = g1->off + 500;
	assert_false(tdo_frag_make(p, 540, 0, ID6, g1));
	pktgen_free(p);
	pktgen_free(f);
	pktgen_free(g1);
}

/* RFC 791 3.1: options with the copy flag are in all fragments, the others in the first. */
static void
ip4_options_with_copy_flag(void **state)
{
	static const uint8_t opts[] = {1, 7, 6, 4, 1, 2, 3, /* record route: not copied */
	    0x94, 4, 0, 0,                                  /* router alert: copied */
	    0x83, 3, 4, 1, 0};                              /* loose source route: copied */
	static const uint8_t copied[] = {0x94, 4, 0, 0, 0x83, 3, 4, 0};
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 300};
	struct tdo_pkt *p = insert(pktgen_new(&g, 0), 20, opts, 16), *f = pktgen_empty(100);

	(void)state;
	parse(p);
	assert_int_equal(p->ip.l4_off, 36);
	assert_true(fragment_and_compare(p, 100) > 3);
	assert_true(tdo_frag_make(p, 100, 0, 0, f));
	assert_memory_equal(tdo_pkt_data(f) + 20, opts, 16);
	assert_true(tdo_frag_make(p, 100, 1, 0, f));
	assert_int_equal(f->ip.l4_off, 28);
	assert_memory_equal(tdo_pkt_data(f) + 20, copied, 8);
	pktgen_free(p);
	pktgen_free(f);
}

static void
malformed_ip4_options_are_not_fragmented(void **state)
{
	static const uint8_t bad[][4] = {
	    {0x94, 0, 0, 0}, {0x94, 1, 0, 0}, {0x94, 5, 0, 0}, {1, 1, 1, 0x94}, {7, 0, 1, 1}};
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 300};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tdo_pkt *p = insert(pktgen_new(&g, 0), 20, bad[i], 4);

		parse(p);
		assert_int_equal(tdo_frag_count(p, 100), 0);
		assert_int_equal(tdo_frag_count(p, 1000), 1);
		pktgen_free(p);
	}
}

/* A router fragments a fragment again: places and the last M bit are those of the original. */
static void
ip4_fragments_can_be_fragmented(void **state)
{
	static struct reassembly r;
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 1000, .id = 4711};
	struct tdo_pkt *p = pktgen_new(&g, 0), *f = pktgen_empty(500), *ff = pktgen_empty(200);

	(void)state;
	r.len = 0;
	for (unsigned i = 0; i < tdo_frag_count(p, 500); i++) {
		assert_true(tdo_frag_make(p, 500, i, 0, f));
		for (unsigned k = 0; k < tdo_frag_count(f, 200); k++) {
			assert_true(tdo_frag_make(f, 200, k, 0, ff));
			assert_int_equal(tdo_be16(tdo_pkt_data(ff) + 4), 4711);
			reassemble(&r, ff, 200);
		}
	}
	assert_true(r.last);
	assert_int_equal(r.len, 1008);
	assert_memory_equal(r.data, tdo_pkt_data(p) + 20, 1008);
	pktgen_free(p);
	pktgen_free(f);
	pktgen_free(ff);
}

static void
ip6_header_goes_behind_the_unfragmentable_part(void **state)
{
	static const uint8_t chain[] = {TDO_IPPROTO_ROUTING, 0, 1, 4, 0, 0, 0, 0, /* hop by hop */
	    TDO_IPPROTO_DSTOPTS, 0, 99, 0, 0, 0, 0, 0,                            /* routing */
	    TDO_IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0};                                /* fragmentable */
	struct pktgen g = {.v6 = true, .proto = TDO_IPPROTO_UDP, .payload = 300};
	struct tdo_pkt *p = insert(pktgen_new(&g, 0), 40, chain, 24), *f = pktgen_empty(150);
	uint8_t *d = tdo_pkt_data(f);

	(void)state;
	tdo_pkt_data(p)[6] = TDO_IPPROTO_HOPOPTS;
	parse(p);
	assert_int_equal(p->ip.esp_off, 56);
	assert_true(fragment_and_compare(p, 150) > 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(tdo_frag_make(p, 150, i, ID6, f));
		assert_int_equal(d[6], TDO_IPPROTO_HOPOPTS);
		assert_int_equal(d[48], TDO_IPPROTO_FRAGMENT);
		assert_int_equal(d[56], TDO_IPPROTO_DSTOPTS);
		assert_int_equal(d[57], 0);
		assert_int_equal(f->ip.frag_later, i != 0);
	}
	/* RFC 7112 5: 64 bytes of headers do not go into a first fragment of this MTU. */
	assert_int_equal(tdo_frag_count(p, 56 + 8 + 16), fragment_and_compare(p, 56 + 8 + 16));
	assert_int_equal(tdo_frag_count(p, 56 + 8 + 15), 0);
	pktgen_free(p);
	pktgen_free(f);
}

static void
impossible_fragmentations(void **state)
{
	static const uint8_t atomic[8] = {TDO_IPPROTO_UDP};
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 300};
	struct tdo_pkt *p = pktgen_new(&g, 0), *f = pktgen_empty(400);

	(void)state;
	assert_int_equal(tdo_frag_count(p, 27), 0); /* not 8 bytes of payload */
	assert_true(tdo_frag_count(p, 28) > 1);
	assert_int_equal(tdo_frag_count(p, 0), 0);
	assert_false(tdo_frag_make(p, 27, 0, 0, f));
	p->flags = TDO_PKT_CSUM_PARTIAL; /* the checksum is not there yet */
	assert_int_equal(tdo_frag_count(p, 100), 0);
	p->flags = 0;
	p->len--;
	assert_int_equal(tdo_frag_count(p, 100), 0);
	assert_false(tdo_frag_make(p, 1000, 0, 0, f));
	pktgen_free(p);
	g.df = true;
	p = pktgen_new(&g, 0);
	assert_int_equal(tdo_frag_count(p, 100), 0);
	pktgen_free(p);
	g.v6 = true;
	p = insert(pktgen_new(&g, 0), 40, atomic, 8);
	tdo_pkt_data(p)[6] = TDO_IPPROTO_FRAGMENT;
	parse(p);
	assert_false(p->ip.frag);
	assert_int_equal(tdo_frag_count(p, 100), 0); /* would have two fragment headers */
	tdo_pkt_data(p)[43] = 1;
	parse(p);
	assert_int_equal(tdo_frag_count(p, 100), 0); /* is a fragment */
	pktgen_free(p);
	pktgen_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fragment_then_reassemble_is_identity),
	    cmocka_unit_test(number_of_fragments),
	    cmocka_unit_test(what_fits_is_copied),
	    cmocka_unit_test(ip4_options_with_copy_flag),
	    cmocka_unit_test(malformed_ip4_options_are_not_fragmented),
	    cmocka_unit_test(ip4_fragments_can_be_fragmented),
	    cmocka_unit_test(ip6_header_goes_behind_the_unfragmentable_part),
	    cmocka_unit_test(impossible_fragmentations),
	};

	return cmocka_run_group_tests_name("frag", tests, NULL, NULL);
}
