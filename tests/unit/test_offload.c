/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting and joining of super-packets, partial checksums, MSS clamp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "pktgen.h"
#include "wire/ip.h"
#include "wire/offload.h"

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16, ECE = 64, CWR = 128 };

static const uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

/* A super-packet as the kernel hands it over: partial checksum, lengths of the whole. */
static struct tdo_pkt *
super(const struct pktgen *g, uint16_t size)
{
	struct tdo_pkt *p = pktgen_new(g, 0);
	uint8_t *l4 = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t l4_len = p->len - p->ip.l4_off;

	p->gso = g->proto == TDO_IPPROTO_TCP ? TDO_GSO_TCP : TDO_GSO_UDP;
	p->gso_size = size;
	p->flags = TDO_PKT_CSUM_PARTIAL | TDO_PKT_FORWARDED;
	p->csum_start = p->ip.l4_off;
	p->csum_off = p->gso == TDO_GSO_TCP ? 16 : 6;
	tdo_put_be16(l4 + p->csum_off, (uint16_t)~tdo_csum_fold(tdo_csum_pseudo(
					   &p->ip.flow.src, &p->ip.flow.dst, g->proto, l4_len)));
	return p;
}

static unsigned
payload_off(const struct tdo_pkt *p)
{
	const uint8_t *l4 = tdo_pkt_data(p) + p->ip.l4_off;

	return p->ip.l4_off + (p->ip.flow.proto == TDO_IPPROTO_TCP ? (l4[12] >> 4) * 4u : 8u);
}

/* Checks segment s, number i of n, of the super-packet p. */
static void
check_segment(
    const struct tdo_pkt *p, const struct tdo_pkt *s, unsigned i, unsigned n, uint32_t mss)
{
	const uint8_t *pd = tdo_pkt_data(p), *d = tdo_pkt_data(s), *l4 = d + p->ip.l4_off;
	uint32_t h = payload_off(p), want = i + 1 < n ? mss : p->len - h - i * mss;
	struct tdo_ip_info info;

	assert_int_equal(s->len, h + want);
	assert_int_equal(tdo_ip_parse(d, s->len, &info), TDO_REASON_NONE);
	assert_memory_equal(&info, &s->ip, sizeof(info));
	assert_int_equal(info.total_len, s->len);
	assert_int_equal(s->flags, TDO_PKT_FORWARDED);
	assert_int_equal(s->gso, TDO_GSO_NONE);
	assert_true(pktgen_csums_ok(s));
	assert_memory_equal(d + h, pd + h + i * mss, want);
	if (d[0] >> 4 == 4)
		assert_int_equal(tdo_be16(d + 4), (uint16_t)(tdo_be16(pd + 4) + i));
	if (p->gso == TDO_GSO_UDP) {
		assert_int_equal(tdo_be16(l4 + 4), 8 + want);
		return;
	}
	assert_int_equal(tdo_be32(l4 + 4), tdo_be32(pd + p->ip.l4_off + 4) + i * mss);
	assert_int_equal((l4[13] & CWR) != 0, i == 0 && (pd[p->ip.l4_off + 13] & CWR) != 0);
	assert_int_equal((l4[13] & PSH) != 0, i + 1 == n && (pd[p->ip.l4_off + 13] & PSH) != 0);
	assert_int_equal((l4[13] & FIN) != 0, i + 1 == n && (pd[p->ip.l4_off + 13] & FIN) != 0);
	assert_memory_equal(l4 + 20, pd + p->ip.l4_off + 20, h - p->ip.l4_off - 20);
}

static void
check_all_segments(const struct tdo_pkt *p, uint16_t mss)
{
	uint32_t payload = p->len - payload_off(p);
	unsigned n = tdo_gso_count_mss(p, mss);

	assert_int_equal(n, payload == 0 ? 1 : (payload + mss - 1) / mss);
	for (unsigned i = 0; i <= n; i++) {
		struct tdo_pkt *s = pktgen_empty(payload_off(p) + mss);

		if (i == n) {
			assert_false(tdo_gso_segment(p, i, mss, s));
		} else {
			assert_true(tdo_gso_segment(p, i, mss, s));
			check_segment(p, s, i, n, mss);
		}
		pktgen_free(s);
	}
}

static void
segments_are_complete_packets(void **state)
{
	static const uint32_t payloads[] = {0, 1, 99, 100, 101, 200, 1234, 60000};

	(void)state;
	for (unsigned v = 0; v < 4; v++)
		for (unsigned k = 0; k < sizeof(payloads) / sizeof(payloads[0]); k++) {
			bool tcp = v & 2;
			struct pktgen g = {.v6 = v & 1,
			    .proto = tcp ? TDO_IPPROTO_TCP : TDO_IPPROTO_UDP,
			    .tcp_flags = ACK | PSH | FIN | CWR | ECE,
			    .opt = timestamps,
			    .opt_len = tcp ? 12 : 0,
			    .seq = 0xfffffff0,
			    .id = 0xfffe,
			    .payload = payloads[k],
			    .pattern = k};
			struct tdo_pkt *p = super(&g, payloads[k] > 2000 ? 1448 : 100);

			assert_int_equal(tdo_gso_count(p), tdo_gso_count_mss(p, p->gso_size));
			check_all_segments(p, p->gso_size);
			if (tcp)
				check_all_segments(p, p->gso_size - 37);
			else
				assert_int_equal(tdo_gso_count_mss(p, p->gso_size - 37), 0);
			pktgen_free(p);
		}
}

/* The first segment may be longer than the others: nothing is lost or sent twice. */
static void
the_first_segment_may_be_longer(void **state)
{
	static const uint32_t payloads[] = {1, 100, 101, 150, 151, 250, 1000, 1001};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned k = 0; k < sizeof(payloads) / sizeof(payloads[0]); k++)
			for (uint32_t first = 90; first < 170; first += 10) {
				struct pktgen g = {.v6 = v6,
				    .proto = TDO_IPPROTO_TCP,
				    .tcp_flags = ACK | PSH,
				    .seq = 0xffffff00,
				    .payload = payloads[k]};
				struct tdo_pkt *p = super(&g, 150);
				uint32_t at = 0, want = first < 100   ? 100
							: first > 150 ? 150
								      : first;
				const uint8_t *all = tdo_pkt_data(p) + payload_off(p);
				struct tdo_gso_cut c;
				unsigned n;

				assert_true(tdo_gso_plan(p, 100, &c) > 0);
				n = tdo_gso_longer(&c, first);
				for (unsigned i = 0; i < n; i++) {
					struct tdo_pkt *s = pktgen_empty(payload_off(p) + 150);
					const uint8_t *l4;

					assert_true(tdo_gso_make(&c, i, s));
					assert_true(pktgen_csums_ok(s));
					l4 = tdo_pkt_data(s) + s->ip.l4_off;
					assert_int_equal(
					    tdo_be32(l4 + 4), (uint32_t)(0xffffff00 + at));
					assert_memory_equal(tdo_pkt_data(s) + payload_off(s),
					    all + at, s->len - payload_off(s));
					at += s->len - payload_off(s);
					assert_int_equal((l4[13] & PSH) != 0, at == payloads[k]);
					if (at < payloads[k])
						assert_int_equal(
						    s->len - payload_off(s), i == 0 ? want : 100);
					pktgen_free(s);
				}
				assert_int_equal(at, payloads[k]);
				pktgen_free(p);
			}
}

static void
wrong_descriptions_have_no_segments(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_TCP, .payload = 1000};
	struct tdo_pkt *p = super(&g, 100), *out = pktgen_empty(139), good = *p;
	uint8_t *tcp = tdo_pkt_data(p) + 20;

	(void)state;
	assert_int_equal(tdo_gso_count(p), 10);
	assert_false(tdo_gso_segment(p, 0, 100, out)); /* one byte too few */
	assert_int_equal(tdo_gso_count_mss(p, 0), 0);
	p->gso_size = 0;
	assert_int_equal(tdo_gso_count_mss(p, 100), 0);
	*p = good;
	p->gso = TDO_GSO_UDP;
	assert_int_equal(tdo_gso_count(p), 0);
	p->gso = TDO_GSO_NONE;
	assert_int_equal(tdo_gso_count(p), 0);
	*p = good;
	p->ip.frag = true;
	assert_int_equal(tdo_gso_count(p), 0);
	*p = good;
	p->len = p->ip.total_len - 1;
	assert_int_equal(tdo_gso_count(p), 0);
	*p = good;
	p->ip.total_len = 39; /* no complete TCP header */
	assert_int_equal(tdo_gso_count(p), 0);
	*p = good;
	tcp[12] = 0x40;
	assert_int_equal(tdo_gso_count(p), 0);
	tcp[12] = 0xf0;
	p->ip.total_len = 20 + 59;
	assert_int_equal(tdo_gso_count(p), 0);
	pktgen_free(p);
	pktgen_free(out);
}

/* RFC 8200 8.1: behind a routing header the final destination is in the pseudo header. */
static void
segments_behind_a_routing_header(void **state)
{
	struct pktgen g = {.v6 = true, .proto = TDO_IPPROTO_UDP, .payload = 250};
	struct tdo_pkt *plain = super(&g, 100), *p = pktgen_empty(40 + 24 + 258), *s;
	uint8_t *d = tdo_pkt_data(p), *q = tdo_pkt_data(plain);

	(void)state;
	memcpy(d, q, 40);
	memcpy(d + 40 + 24, q + 40, 258);
	p->len = plain->len + 24;
	tdo_ip_set_len(d, p->len);
	d[6] = TDO_IPPROTO_ROUTING;
	memcpy(d + 40, (const uint8_t[8]){TDO_IPPROTO_UDP, 2, 0, 1}, 8);
	memcpy(d + 48, q + 24, 16); /* the final destination, of which the sum was made */
	d[39] = 0x99;               /* the next one */
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	p->gso = TDO_GSO_UDP;
	p->gso_size = 100;
	assert_int_equal(tdo_gso_count(p), 0); /* the sum is not known */
	p->flags = TDO_PKT_CSUM_PARTIAL;
	p->csum_start = p->ip.l4_off;
	p->csum_off = 6;
	assert_int_equal(tdo_gso_count(p), 3);
	for (unsigned i = 0; i < 3; i++) {
		s = pktgen_empty(200);
		assert_true(tdo_gso_segment(p, i, 100, s));
		assert_int_equal(tdo_be16(tdo_pkt_data(s) + 4), s->len - 40);
		/* As its final destination sees it, without the routing header. */
		memmove(tdo_pkt_data(s) + 40, tdo_pkt_data(s) + 64, s->len - 64);
		s->len -= 24;
		memcpy(tdo_pkt_data(s), q, 40);
		assert_true(pktgen_csums_ok(s));
		pktgen_free(s);
	}
	pktgen_free(p);
	pktgen_free(plain);
}

/* Cuts p and joins the pieces again: must be p. */
static void
cut_and_join(const struct tdo_pkt *p)
{
	unsigned n = tdo_gso_count(p), h = payload_off(p);
	struct tdo_pkt *head = pktgen_empty(p->len), *s;

	assert_true(n > 1);
	assert_true(tdo_gso_segment(p, 0, p->gso_size, head));
	for (unsigned i = 1; i < n; i++) {
		s = pktgen_empty(h + p->gso_size);
		assert_true(tdo_gso_segment(p, i, p->gso_size, s));
		assert_true(tdo_gro_join(head, s));
		pktgen_free(s);
	}
	tdo_gro_finish(head);
	assert_int_equal(head->len, p->len);
	assert_int_equal(head->ip.total_len, p->len);
	assert_int_equal(head->gso, p->gso);
	assert_int_equal(head->gso_size, p->gso_size);
	assert_int_equal(head->flags, p->flags);
	assert_int_equal(head->csum_start, p->csum_start);
	assert_int_equal(head->csum_off, p->csum_off);
	assert_memory_equal(tdo_pkt_data(head), tdo_pkt_data(p), p->len);
	assert_true(tdo_csum_complete(head));
	assert_true(pktgen_csums_ok(head));
	pktgen_free(head);
}

static void
cut_then_join_is_identity(void **state)
{
	const char *env = getenv("TDO_SEED");
	unsigned seed = env ? (unsigned)strtoul(env, NULL, 0) : 20261121;

	(void)state;
	print_message("# TDO_SEED=%u\n", seed);
	srand(seed);
	for (unsigned k = 0; k < 300; k++) {
		bool tcp = rand() % 2;
		uint16_t size = (uint16_t)(1 + rand() % 1448);
		uint32_t n = (uint32_t)(2 + rand() % (tcp ? 100 : 60)) * size;
		struct pktgen g = {.v6 = rand() % 2,
		    .proto = tcp ? TDO_IPPROTO_TCP : TDO_IPPROTO_UDP,
		    .tcp_flags = (uint8_t)(ACK | (rand() % 2 ? PSH : 0)),
		    .opt = timestamps,
		    .opt_len = tcp && rand() % 2 ? 12 : 0,
		    .seq = (uint32_t)rand() * 2u,
		    .id = (uint16_t)rand(),
		    .df = rand() % 2,
		    .payload = n - (uint32_t)(rand() % size),
		    .pattern = (uint32_t)rand()};
		struct tdo_pkt *p;

		if (g.payload > 65000)
			g.payload = 65000 - 65000 % size;
		p = super(&g, size);
		cut_and_join(p);
		pktgen_free(p);
	}
}

/* A pair that can be joined; tests spoil one thing of the second. */
struct pair {
	struct tdo_pkt *a, *b;
};

static struct pair
new_pair(bool v6, uint8_t proto)
{
	struct pktgen g = {.v6 = v6,
	    .proto = proto,
	    .opt = timestamps,
	    .opt_len = proto == TDO_IPPROTO_TCP ? 12 : 0,
	    .seq = 1000,
	    .id = 5,
	    .payload = 100};
	struct pair r = {.a = pktgen_new(&g, 65535)};

	g.seq += 100;
	g.id++;
	g.pattern = 9;
	r.b = pktgen_new(&g, 0);
	return r;
}

static void
free_pair(struct pair *r)
{
	pktgen_free(r->a);
	pktgen_free(r->b);
}

/* Adds delta to the byte at off of p and mends the checksums by a parse and a rebuild. */
static void
spoil(struct tdo_pkt *p, uint32_t off, uint8_t delta)
{
	uint8_t *d = tdo_pkt_data(p), *l4;
	uint32_t csum_at, l4_len;

	d[off] = (uint8_t)(d[off] + delta);
	assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
	if (d[0] >> 4 == 4)
		tdo_ip4_set_csum(d);
	l4 = d + p->ip.l4_off;
	l4_len = p->ip.total_len - p->ip.l4_off;
	csum_at = p->ip.flow.proto == TDO_IPPROTO_TCP ? 16 : 6;
	tdo_put_be16(l4 + csum_at, 0);
	tdo_put_be16(l4 + csum_at,
	    tdo_csum_fold(tdo_csum_add(
		tdo_csum_pseudo(&p->ip.flow.src, &p->ip.flow.dst, p->ip.flow.proto, l4_len), l4,
		l4_len)));
}

static void
joins_only_what_belongs_together(void **state)
{
	/* Byte of the packet (l4: of the upper-layer header) that differs. */
	static const struct {
		bool v6;
		uint8_t proto, off;
		bool l4;
		uint8_t delta;
	} cases[] = {
	    {false, TDO_IPPROTO_TCP, 1, false, 1},    /* TOS */
	    {false, TDO_IPPROTO_TCP, 5, false, 1},    /* id without DF */
	    {false, TDO_IPPROTO_TCP, 6, false, 0x40}, /* DF */
	    {false, TDO_IPPROTO_TCP, 6, false, 0x20}, /* MF */
	    {false, TDO_IPPROTO_TCP, 8, false, 1},    /* TTL */
	    {false, TDO_IPPROTO_TCP, 15, false, 1},   /* source */
	    {false, TDO_IPPROTO_TCP, 19, false, 1},   /* destination */
	    {true, TDO_IPPROTO_TCP, 1, false, 0x10},  /* traffic class */
	    {true, TDO_IPPROTO_TCP, 3, false, 1},     /* flow label */
	    {true, TDO_IPPROTO_TCP, 7, false, 1},     /* hop limit */
	    {true, TDO_IPPROTO_TCP, 23, false, 1},    /* source */
	    {true, TDO_IPPROTO_TCP, 39, false, 1},    /* destination */
	    {false, TDO_IPPROTO_TCP, 1, true, 1},     /* ports */
	    {false, TDO_IPPROTO_TCP, 3, true, 1},
	    {false, TDO_IPPROTO_TCP, 7, true, 1},     /* sequence number: a gap */
	    {false, TDO_IPPROTO_TCP, 7, true, 0xff},  /* an overlap */
	    {false, TDO_IPPROTO_TCP, 11, true, 1},    /* acknowledgement */
	    {false, TDO_IPPROTO_TCP, 12, true, 0x10}, /* data offset */
	    {false, TDO_IPPROTO_TCP, 12, true, 1},    /* reserved bits */
	    {false, TDO_IPPROTO_TCP, 13, true, FIN},
	    {false, TDO_IPPROTO_TCP, 13, true, SYN},
	    {false, TDO_IPPROTO_TCP, 13, true, 4},  /* RST */
	    {false, TDO_IPPROTO_TCP, 13, true, 32}, /* URG */
	    {false, TDO_IPPROTO_TCP, 13, true, ECE},
	    {false, TDO_IPPROTO_TCP, 13, true, CWR},
	    {false, TDO_IPPROTO_TCP, 13, true, (uint8_t)-ACK},
	    {false, TDO_IPPROTO_TCP, 15, true, 1}, /* window */
	    {false, TDO_IPPROTO_TCP, 19, true, 1}, /* urgent pointer */
	    {false, TDO_IPPROTO_TCP, 27, true, 1}, /* timestamp */
	    {false, TDO_IPPROTO_TCP, 31, true, 1},
	    {false, TDO_IPPROTO_UDP, 1, true, 1},
	    {true, TDO_IPPROTO_UDP, 3, true, 1},
	    {false, TDO_IPPROTO_UDP, 5, true, 1}, /* UDP length */
	    {false, TDO_IPPROTO_UDP, 5, true, 0xff},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair r = new_pair(cases[i].v6, cases[i].proto);
		uint32_t len = r.a->len;

		spoil(r.b, cases[i].off + (cases[i].l4 ? r.b->ip.l4_off : 0u), cases[i].delta);
		if (tdo_gro_join(r.a, r.b))
			fail_msg("case %u was joined", i);
		assert_int_equal(r.a->len, len);
		assert_int_equal(r.a->gso, TDO_GSO_NONE);
		assert_true(pktgen_csums_ok(r.a));
		free_pair(&r);
	}
}

/* Never makes a bad checksum good: every bit of both packets is tried. */
static void
does_not_join_damaged_packets(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 4; v++)
		for (unsigned which = 0; which < 2; which++) {
			uint8_t proto = v & 2 ? TDO_IPPROTO_TCP : TDO_IPPROTO_UDP;
			struct pair r = new_pair(v & 1, proto);
			struct tdo_pkt *p = which ? r.b : r.a;
			uint8_t *d = tdo_pkt_data(p);

			for (uint32_t bit = 0; bit < p->len * 8; bit++) {
				d[bit / 8] ^= (uint8_t)(1 << bit % 8);
				/* What no checksum covers (hop limit, flow label) differs from the
				 * other. */
				if (tdo_ip_parse(d, p->len, &p->ip) == TDO_REASON_NONE)
					assert_false(tdo_gro_join(r.a, r.b));
				d[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			assert_int_equal(tdo_ip_parse(d, p->len, &p->ip), TDO_REASON_NONE);
			assert_true(tdo_gro_join(r.a, r.b)); /* it was the damage */
			free_pair(&r);
		}
}

static void
a_short_or_pushed_segment_is_the_last(void **state)
{
	struct pktgen g = {.v6 = true, .proto = TDO_IPPROTO_TCP, .payload = 100};
	struct tdo_pkt *head, *next;

	(void)state;
	for (unsigned v = 0; v < 3; v++) {
		g.seq = 0;
		g.payload = 100;
		g.tcp_flags = ACK;
		head = pktgen_new(&g, 1000);
		g.seq = 100;
		g.payload = v == 0 ? 99 : v == 1 ? 100 : 101;
		g.tcp_flags = v == 1 ? ACK | PSH : ACK;
		next = pktgen_new(&g, 0);
		assert_int_equal(tdo_gro_join(head, next), v != 2); /* longer: not joined */
		pktgen_free(next);
		g.seq += g.payload;
		g.payload = 50;
		next = pktgen_new(&g, 0);
		assert_false(tdo_gro_join(head, next));
		pktgen_free(next);
		pktgen_free(head);
	}
}

static void
join_respects_the_room(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 100, .df = true};
	struct tdo_pkt *head = pktgen_new(&g, 199), *next = pktgen_new(&g, 0);

	(void)state;
	assert_true(tdo_gro_join(head, next));
	assert_false(tdo_gro_join(head, next));
	tdo_gro_finish(head);
	assert_false(tdo_gro_join(head, next)); /* is finished */
	pktgen_free(head);
	g.payload = 1;
	head = pktgen_new(&g, 1000);
	pktgen_free(next);
	next = pktgen_new(&g, 0);
	for (unsigned i = 1; i < 64; i++)
		assert_true(tdo_gro_join(head, next));
	assert_false(tdo_gro_join(head, next)); /* 64 datagrams at most */
	pktgen_free(head);
	pktgen_free(next);
}

/* Such a packet comes out of IPComp only. */
static void
the_largest_packet_of_ipv6_is_not_joined(void **state)
{
	struct pktgen g = {
	    .v6 = true, .proto = TDO_IPPROTO_TCP, .tcp_flags = ACK, .payload = 65535 - 20};
	struct tdo_pkt *head = pktgen_new(&g, 1000), *next;

	(void)state;
	assert_int_equal(head->ip.total_len, 65535 + 40);
	g.seq = g.payload;
	g.payload = 100;
	next = pktgen_new(&g, 0);
	assert_false(tdo_gro_join(head, next));
	assert_int_equal(head->len, 65535 + 40);
	pktgen_free(head);
	pktgen_free(next);
}

static void
join_stays_below_64k(void **state)
{
	struct pktgen g = {.v6 = true, .proto = TDO_IPPROTO_TCP, .payload = 1400};
	struct tdo_pkt *head = pktgen_new(&g, 100000), *next;
	unsigned n = 1;

	(void)state;
	for (;; n++) {
		bool joined;

		g.seq += 1400;
		next = pktgen_new(&g, 0);
		joined = tdo_gro_join(head, next);
		pktgen_free(next);
		if (!joined)
			break;
	}
	assert_int_equal(n, (65535 - 60) / 1400);
	tdo_gro_finish(head);
	assert_true(tdo_csum_complete(head));
	assert_true(pktgen_csums_ok(head));
	pktgen_free(head);
}

static void
finish_leaves_a_single_packet_alone(void **state)
{
	struct pair r = new_pair(false, TDO_IPPROTO_TCP);
	uint8_t copy[256];

	(void)state;
	memcpy(copy, tdo_pkt_data(r.a), r.a->len);
	tdo_gro_finish(r.a);
	assert_memory_equal(copy, tdo_pkt_data(r.a), r.a->len);
	assert_int_equal(r.a->flags, 0);
	free_pair(&r);
}

static void
datagrams_without_checksum_are_not_joined(void **state)
{
	struct pair r = new_pair(false, TDO_IPPROTO_UDP);

	(void)state;
	tdo_put_be16(tdo_pkt_data(r.b) + 26, 0);
	assert_false(tdo_gro_join(r.a, r.b));
	free_pair(&r);
	r = new_pair(false, TDO_IPPROTO_UDP);
	tdo_put_be16(tdo_pkt_data(r.a) + 26, 0);
	assert_false(tdo_gro_join(r.a, r.b));
	free_pair(&r);
}

static void
partial_checksum_is_bounded(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 4};
	struct tdo_pkt *p = super(&g, 4);

	(void)state;
	p->csum_off = 11;
	assert_false(tdo_csum_complete(p));
	p->csum_off = 6;
	p->csum_start = 33;
	assert_false(tdo_csum_complete(p));
	p->csum_start = 0xffff;
	p->csum_off = 0xffff;
	assert_false(tdo_csum_complete(p));
	p->csum_start = 20;
	p->csum_off = 6;
	assert_true(tdo_csum_complete(p));
	assert_true(pktgen_csums_ok(p));
	assert_int_equal(p->flags, TDO_PKT_FORWARDED);
	p->csum_start = 0xffff; /* no longer means anything */
	assert_true(tdo_csum_complete(p));
	pktgen_free(p);
}

/* RFC 768: a computed zero is sent as all ones, by both ways to compute it. */
static void
udp_checksum_is_never_zero(void **state)
{
	struct pktgen g = {.proto = TDO_IPPROTO_UDP, .payload = 4};
	struct tdo_pkt *p = super(&g, 4), *s = pktgen_empty(32);
	uint8_t *d = tdo_pkt_data(p);
	uint16_t csum;

	(void)state;
	tdo_put_be16(d + 30, 0);
	assert_true(tdo_gso_segment(p, 0, 4, s));
	csum = tdo_be16(tdo_pkt_data(s) + 26);
	tdo_put_be16(d + 30, csum); /* what was missing to the sum */
	assert_true(tdo_gso_segment(p, 0, 4, s));
	assert_int_equal(tdo_be16(tdo_pkt_data(s) + 26), 0xffff);
	assert_true(tdo_csum_complete(p));
	assert_int_equal(tdo_be16(d + 26), 0xffff);
	pktgen_free(p);
	pktgen_free(s);
}

static void
mss_is_lowered_and_the_checksum_follows(void **state)
{
	static const uint8_t aligned[] = {2, 4, 5, 180, 4, 2, 0, 0},
			     odd[] = {1, 2, 4, 5, 180, 3, 3, 7},
			     later[] = {8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 4, 5, 180, 0};
	static const struct {
		const uint8_t *opt;
		uint8_t len, at;
	} cases[] = {{aligned, 8, 2}, {odd, 8, 3}, {later, 16, 13}};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned v = 0; v < 4; v++) {
			struct pktgen g = {.v6 = v & 1,
			    .proto = TDO_IPPROTO_TCP,
			    .tcp_flags = v & 2 ? SYN : SYN | ACK,
			    .opt = cases[i].opt,
			    .opt_len = cases[i].len};
			struct tdo_pkt *p = pktgen_new(&g, 0);
			uint8_t *mss = tdo_pkt_data(p) + p->ip.l4_off + 20 + cases[i].at;

			assert_false(tdo_mss_clamp(p, 1460));
			assert_int_equal(tdo_be16(mss), 1460);
			assert_true(tdo_mss_clamp(p, 1210));
			assert_int_equal(tdo_be16(mss), 1210);
			assert_true(pktgen_csums_ok(p));
			assert_false(tdo_mss_clamp(p, 1210));
			pktgen_free(p);
			p = super(&g, 1);
			assert_true(tdo_mss_clamp(p, 1));
			assert_true(tdo_csum_complete(p));
			assert_true(pktgen_csums_ok(p));
			pktgen_free(p);
		}
}

static void
mss_clamp_leaves_the_rest_alone(void **state)
{
	static const uint8_t bad[][8] = {
	    {3, 0, 2, 4, 5, 180, 0, 0}, /* length 0 */
	    {3, 1, 2, 4, 5, 180, 0, 0}, /* length 1 */
	    {3, 9, 2, 4, 5, 180, 0, 0}, /* beyond the header */
	    {0, 2, 4, 5, 180, 0, 0, 0}, /* behind the end of options */
	    {2, 3, 5, 180, 0, 0, 0, 0}, /* MSS of a wrong length */
	    {2, 6, 5, 180, 1, 1, 0, 0},
	    {1, 1, 1, 1, 1, 2, 4, 5}, /* cut off */
	    {1, 1, 1, 1, 1, 1, 1, 2},
	};
	static const uint8_t good[] = {2, 4, 5, 180, 1, 1, 1, 1};
	struct pktgen g = {.proto = TDO_IPPROTO_TCP, .tcp_flags = SYN, .opt_len = 8};
	struct tdo_pkt *p, *q;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g.opt = bad[i];
		p = pktgen_new(&g, 0);
		q = pktgen_exact(tdo_pkt_data(p), p->len);
		assert_false(tdo_mss_clamp(q, 500));
		assert_memory_equal(q->buf, tdo_pkt_data(p), p->len);
		pktgen_free(p);
		pktgen_free(q);
	}
	g.opt = good;
	g.tcp_flags = ACK; /* not a SYN */
	p = pktgen_new(&g, 0);
	assert_false(tdo_mss_clamp(p, 500));
	tdo_pkt_data(p)[33] = SYN;
	p->ip.frag_later = true;
	assert_false(tdo_mss_clamp(p, 500));
	p->ip.frag_later = false;
	p->ip.total_len = 47; /* header does not fit */
	assert_false(tdo_mss_clamp(p, 500));
	p->ip.total_len = 39;
	assert_false(tdo_mss_clamp(p, 500));
	p->ip.total_len = 48;
	assert_true(tdo_mss_clamp(p, 500));
	pktgen_free(p);
	g.proto = TDO_IPPROTO_UDP;
	p = pktgen_new(&g, 0);
	assert_false(tdo_mss_clamp(p, 500));
	pktgen_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(segments_are_complete_packets),
	    cmocka_unit_test(the_first_segment_may_be_longer),
	    cmocka_unit_test(wrong_descriptions_have_no_segments),
	    cmocka_unit_test(segments_behind_a_routing_header),
	    cmocka_unit_test(cut_then_join_is_identity),
	    cmocka_unit_test(joins_only_what_belongs_together),
	    cmocka_unit_test(does_not_join_damaged_packets),
	    cmocka_unit_test(a_short_or_pushed_segment_is_the_last),
	    cmocka_unit_test(join_respects_the_room),
	    cmocka_unit_test(the_largest_packet_of_ipv6_is_not_joined),
	    cmocka_unit_test(join_stays_below_64k),
	    cmocka_unit_test(finish_leaves_a_single_packet_alone),
	    cmocka_unit_test(datagrams_without_checksum_are_not_joined),
	    cmocka_unit_test(partial_checksum_is_bounded),
	    cmocka_unit_test(udp_checksum_is_never_zero),
	    cmocka_unit_test(mss_is_lowered_and_the_checksum_follows),
	    cmocka_unit_test(mss_clamp_leaves_the_rest_alone),
	};

	return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
