/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of IPComp share: one engine, SAs, policies and packets, and what is said of them.
 */
#ifndef TDO_TESTS_IPCOMP_COMMON_H
#define TDO_TESTS_IPCOMP_COMMON_H

#include <errno.h>
#include <stdlib.h>

#include "base/be.h"
#include "engine/ipcomp.h"
#include "engine_case.h"
#include "mem.h"
#include "wire/ip.h"

#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

enum { CPI_DEFLATE = 2, SPI = 10000, IPIP = TDO_IPPROTO_IPIP, IPV6 = TDO_IPPROTO_IPV6 };

/* [v6][end] */
static const char *const host[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8::2"}};
static const char *const gate[2][2] = {
    {"192.0.2.1", "192.0.2.2"}, {"2001:db8:a::1", "2001:db8:a::2"}};

/* ---- SAs, policies, packets ----------------------------------------------------------- */

static inline void
add_sa(const char *src, const char *dst, uint32_t spi, uint8_t mode, uint32_t flags)
{
	fx_add_sa(&f, &(struct fx_sa){.src = src,
			  .dst = dst,
			  .spi = spi,
			  .mode = mode,
			  .comp = "deflate",
			  .flags = flags});
}

static inline void
add_policies(const char *src, const char *dst, const char *requests)
{
	fx_add_sp(&f, OUT, src, dst, TDO_PROTO_ANY, requests);
	fx_add_sp(&f, IN, src, dst, TDO_PROTO_ANY, requests);
}

/* Hosts of one family with transport mode. */
static inline void
transport(bool v6)
{
	add_sa(host[v6][0], host[v6][1], SPI, TDO_MODE_TRANSPORT, 0);
	add_policies(host[v6][0], host[v6][1], "ipcomp/transport//use");
}

static inline void
tunnel(bool in6, bool out6)
{
	char req[128];

	add_sa(gate[out6][0], gate[out6][1], SPI, TDO_MODE_TUNNEL, 0);
	snprintf(req, sizeof(req), "ipcomp/tunnel/%s-%s/use", gate[out6][0], gate[out6][1]);
	add_policies(host[in6][0], host[in6][1], req);
}

/* An echo request with data bytes of data: equal ones, or random ones. */
static inline struct tdo_pkt *
echo(bool v6, uint32_t data, bool noise)
{
	struct tdo_ip_hdr h = {.src = fx_addr(host[v6][0]),
	    .dst = fx_addr(host[v6][1]),
	    .ttl = 61,
	    .proto = v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP};
	unsigned hlen = tdo_ip_hlen(h.src.af);
	struct tdo_pkt *p = fx_pkt_new(hlen + 8 + data);
	uint8_t *icmp = tdo_pkt_data(p) + hlen;

	tdo_ip_build(tdo_pkt_data(p), &h, 8 + data);
	icmp[0] = v6 ? 128 : 8;
	if (noise)
		rng_fill(&f.rng, icmp + 8, data);
	return p;
}

static inline void
out(struct tdo_pkt *p)
{
	tdo_out(f.w, &p, 1, f.now);
}

static inline void
in(struct tdo_pkt *p)
{
	tdo_in(f.w, &p, 1, f.now);
}

static inline uint64_t
stat(enum tdo_stat s)
{
	return tdo_stat_read(f.e, s);
}

/* A copy of the packet's bytes. */
struct copy {
	uint8_t *b;
	uint32_t len;
};

static inline struct copy
copy_of(const struct tdo_pkt *p)
{
	struct copy c = {.b = malloc(p->len), .len = p->len};

	assert_non_null(c.b);
	memcpy(c.b, tdo_pkt_data(p), p->len);
	return c;
}

static inline void
assert_same(const struct tdo_pkt *p, struct copy *c)
{
	assert_int_equal(p->len, c->len);
	assert_memory_equal(tdo_pkt_data(p), c->b, c->len);
	free(c->b);
}

/* The IPComp header is where the parser says, with this contents. */
static inline void
assert_header(const struct tdo_pkt *p, uint8_t next, uint16_t cpi)
{
	const uint8_t *h = tdo_pkt_data(p) + p->ip.l4_off;
	struct tdo_ip_info ip;

	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip), TDO_REASON_NONE);
	assert_int_equal(ip.total_len, p->len);
	assert_int_equal(ip.flow.proto, TDO_IPPROTO_IPCOMP);
	assert_memory_equal(&ip, &p->ip, sizeof(ip));
	assert_int_equal(h[0], next);
	assert_int_equal(h[1], 0);
	assert_int_equal(tdo_be16(h + 2), cpi);
}

/* Sends the packet; true when it left compressed.  It arrives as it was. */
static inline bool
goes_compressed(struct tdo_pkt *p, unsigned outer_proto)
{
	struct copy c = copy_of(p);
	uint8_t proto;

	out(p);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	proto = p->ip.flow.proto;
	if (proto != TDO_IPPROTO_IPCOMP)
		assert_int_equal(proto, outer_proto);
	in(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_same(p, &c);
	fx_pkt_free(p);
	return proto == TDO_IPPROTO_IPCOMP;
}

static inline size_t
deflated(const void *plain, size_t len, uint8_t *ret, size_t cap)
{
	struct tdo_comp *c;
	size_t n;

	assert_int_equal(tdo_comp_new(&(struct tdo_mem)TEST_MEM, &c), 0);
	n = tdo_comp_deflate(c, tdo_comp_alg(2), plain, len, ret, cap);
	assert_true(n > 0);
	tdo_comp_free(c);
	return n;
}

#endif
