/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPComp against hostile bytes.  An engine has SAs of all modes and both families, alone and with
 * ESP that needs no key around them.
 *
 * Input: a byte that says what the rest is, then the rest:
 *   0  an IP packet that comes in
 *   1  a byte for family and next header, a compressed stream: it comes in behind an IPComp header
 *   2  the same with contents that are compressed here: what is inside gets read
 *   3  an IP packet that goes out and comes in again: nothing of it may change
 *   4  a byte for the bound, a stream for the decompressor alone
 */
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "engine/ipcomp.h"
#include "fixture.h"
#include "fuzz.h"
#include "mem.h"
#include "wire/ip.h"

enum { INFLATED_MAX = 70000 };

static struct fx f;
static struct tdo_comp *comp;
static struct tdo_pkt *whole; /* with room for everything */

static void
add(const char *src, const char *dst, uint32_t spi, uint8_t mode, uint32_t flags)
{
	fx_add_sa(&f, &(struct fx_sa){.src = src,
			  .dst = dst,
			  .spi = spi,
			  .mode = mode,
			  .comp = "deflate",
			  .flags = flags});
}

static void
both_ways(const char *src, const char *dst, const char *requests)
{
	fx_add_sp(&f, TDO_DIR_OUT, src, dst, TDO_PROTO_ANY, requests);
	fx_add_sp(&f, TDO_DIR_IN, src, dst, TDO_PROTO_ANY, requests);
}

static void
open_engine(void)
{
	struct tdo_addr local[] = {fx_addr("10.0.0.2"), fx_addr("2001:db8::2"),
	    fx_addr("192.0.2.2"), fx_addr("192.0.2.4"), fx_addr("2001:db8:a::2")};
	struct tdo_mem mem = TEST_MEM;

	fx_open(&f, NULL);
	add("10.0.0.1", "10.0.0.2", 0x1001, TDO_MODE_TRANSPORT, 0);
	add("10.0.0.1", "10.0.0.2", 0x1002, TDO_MODE_TUNNEL, TDO_SAF_RAWCPI);
	add("2001:db8::1", "2001:db8::2", 0x1003, TDO_MODE_ANY, TDO_SAF_RAWCPI);
	add("192.0.2.1", "192.0.2.2", 0x1004, TDO_MODE_TUNNEL, 0);
	add("2001:db8:a::1", "2001:db8:a::2", 0x1005, TDO_MODE_TUNNEL, 0);
	add("192.0.2.3", "192.0.2.4", 0x1006, TDO_MODE_ANY, 0);
	fx_add_sa(&f,
	    &(struct fx_sa){.src = "192.0.2.3", .dst = "192.0.2.4", .spi = 0x1007, .enc = "null"});
	both_ways("10.0.0.1", "10.0.0.2", "ipcomp/transport//use");
	both_ways("2001:db8::1", "2001:db8::2", "ipcomp/transport//use");
	both_ways("10.1.0.0/16", "10.2.0.0/16", "ipcomp/tunnel/192.0.2.1-192.0.2.2/use");
	both_ways("2001:db8:1::/48", "2001:db8:2::/48", "ipcomp/tunnel/192.0.2.1-192.0.2.2/use");
	both_ways("10.3.0.0/16", "10.4.0.0/16", "ipcomp/tunnel/2001:db8:a::1-2001:db8:a::2/use");
	both_ways("10.5.0.0/16", "10.6.0.0/16",
	    "ipcomp/tunnel/192.0.2.3-192.0.2.4/use esp/transport//require");
	FUZZ_CHECK(tdo_engine_set_local(f.e, local, 5) == 0);
	FUZZ_CHECK(tdo_comp_new(&mem, &comp) == 0);
	whole = fx_pkt_new(0);
}

/* ---- in ------------------------------------------------------------------------------- */

static void
check_delivered(const struct tdo_pkt *p, const uint8_t *own, size_t len)
{
	const struct tdo_ipcomp_work *x = tdo_ipcomp_work_of(f.w);
	struct tdo_ip_info ip;

	if (p->buf == own)
		FUZZ_CHECK(p->cap == len);
	else
		FUZZ_CHECK(p->buf == x->slots && x->taken == 1 && p->cap == TDO_IPCOMP_SLOT &&
			   p->off >= TDO_HEADROOM && p->cap - p->off - p->len >= TDO_TAILROOM);
	FUZZ_CHECK(p->off <= p->cap && p->len <= p->cap - p->off);
	FUZZ_CHECK(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip) == TDO_REASON_NONE);
	FUZZ_CHECK(ip.flow.proto == p->ip.flow.proto && ip.l4_off == p->ip.l4_off);
	FUZZ_CHECK(p->nsas <= TDO_HIST_MAX);
}

/* A packet in a buffer of its exact size: the sanitizer sees every byte beyond it. */
static void
comes_in(const uint8_t *data, size_t len)
{
	struct tdo_pkt p = {0}, *burst = &p;
	uint8_t *own = malloc(len ? len : 1);

	FUZZ_CHECK(own);
	memcpy(own, data, len);
	p.buf = own;
	p.cap = p.len = (uint32_t)len;
	tdo_in(f.w, &burst, 1, f.now);
	FUZZ_CHECK(p.verdict == TDO_VERDICT_PASS || p.verdict == TDO_VERDICT_DROP);
	if (p.verdict == TDO_VERDICT_PASS)
		check_delivered(&p, own, len);
	else
		FUZZ_CHECK(p.reason != TDO_REASON_NONE);
	free(own);
}

/* Bits of what: 0x80 IPv6; 0x60 which hosts; the others choose the next header. */
static void
comes_in_wrapped(uint8_t what, const uint8_t *stream, size_t len)
{
	static const uint8_t next[] = {TDO_IPPROTO_UDP, TDO_IPPROTO_TCP, TDO_IPPROTO_IPIP,
	    TDO_IPPROTO_IPV6, TDO_IPPROTO_IPCOMP, TDO_IPPROTO_ESP, TDO_IPPROTO_DSTOPTS,
	    TDO_IPPROTO_FRAGMENT};
	static const char *const ends[2][4][2] = {
	    {{"10.0.0.1", "10.0.0.2"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.3", "192.0.2.4"},
		{"10.0.0.9", "10.0.0.2"}},
	    {{"2001:db8::1", "2001:db8::2"}, {"2001:db8:a::1", "2001:db8:a::2"},
		{"2001:db8::1", "2001:db8:a::2"}, {"2001:db8::9", "2001:db8::2"}},
	};
	const char *const *end = ends[what >> 7][what >> 5 & 3];
	struct tdo_ip_hdr h = {
	    .src = fx_addr(end[0]), .dst = fx_addr(end[1]), .ttl = 64, .proto = TDO_IPPROTO_IPCOMP};
	unsigned hlen = tdo_ip_hlen(h.src.af);
	uint8_t *b;

	if (hlen + TDO_IPCOMP_HLEN + len > TDO_PKT_MAXLEN)
		return;
	b = malloc(hlen + TDO_IPCOMP_HLEN + len);
	FUZZ_CHECK(b);
	tdo_ip_build(b, &h, (uint32_t)(TDO_IPCOMP_HLEN + len));
	b[hlen + TDO_IPCOMP_NH_OFF] = next[what & 7];
	b[hlen + TDO_IPCOMP_FLAGS_OFF] = what & 8 ? 0xff : 0;
	tdo_put_be16(b + hlen + TDO_IPCOMP_CPI_OFF, what & 16 ? 0x1002 : 2);
	memcpy(b + hlen + TDO_IPCOMP_HLEN, stream, len);
	comes_in(b, hlen + TDO_IPCOMP_HLEN + len);
	free(b);
}

static void
comes_in_compressed(uint8_t what, const uint8_t *plain, size_t len)
{
	uint8_t *stream = malloc(len + 100);
	size_t n;

	FUZZ_CHECK(stream);
	n = tdo_comp_deflate(comp, tdo_comp_alg(2), plain, len, stream, len + 100);
	FUZZ_CHECK(n > 0);
	comes_in_wrapped(what, stream, n);
	free(stream);
}

/* ---- out and in ----------------------------------------------------------------------- */

/* Would another header be looked for in the packet when it has arrived? */
static bool
goes_on(const struct tdo_ip_info *ip)
{
	uint8_t proto = ip->flow.proto;

	return proto == TDO_IPPROTO_ESP || proto == TDO_IPPROTO_AH || proto == TDO_IPPROTO_IPCOMP ||
	       proto == TDO_IPPROTO_IPIP || proto == TDO_IPPROTO_IPV6;
}

/*
 * An IPv4 checksum is corrected by difference, where 0 and 0xffff are one number; no header has
 * 0xffff for its right one.
 */
static bool
same_packet(const uint8_t *got, const uint8_t *want, uint32_t len)
{
	enum { CSUM = 10 };

	if (want[0] >> 4 == 4 && tdo_be16(want + CSUM) == 0xffff && tdo_be16(got + CSUM) == 0)
		return memcmp(got, want, CSUM) == 0 &&
		       memcmp(got + CSUM + 2, want + CSUM + 2, len - CSUM - 2) == 0;
	return memcmp(got, want, len) == 0;
}

static void
goes_out_and_in(const uint8_t *data, size_t len)
{
	struct tdo_pkt *p = whole;
	struct tdo_ip_info ip;

	if (len > TDO_PKT_MAXLEN)
		return;
	fx_pkt_set(p, data, (uint32_t)len);
	tdo_out(f.w, &p, 1, f.now);
	FUZZ_CHECK(p->verdict == TDO_VERDICT_SEND || p->verdict == TDO_VERDICT_PASS ||
		   p->verdict == TDO_VERDICT_DROP);
	if (p->verdict != TDO_VERDICT_SEND)
		return;
	FUZZ_CHECK(tdo_ip_parse(data, len, &ip) == TDO_REASON_NONE);
	FUZZ_CHECK(p->len <= ip.total_len + 100u);
	if (goes_on(&ip) || ip.frag)
		return;
	tdo_in(f.w, &p, 1, f.now);
	FUZZ_CHECK(p->verdict == TDO_VERDICT_PASS);
	FUZZ_CHECK(p->len == ip.total_len && same_packet(tdo_pkt_data(p), data, p->len));
}

static void
inflate(uint8_t bound, const uint8_t *stream, size_t len)
{
	size_t cap = (size_t)bound * bound, n = 0;
	uint8_t *out = malloc(cap ? cap : 1);

	FUZZ_CHECK(out && cap <= INFLATED_MAX);
	if (tdo_comp_inflate(comp, tdo_comp_alg(2), stream, len, out, cap, &n) == TDO_COMP_OK)
		FUZZ_CHECK(n <= cap);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!f.e)
		open_engine();
	if (len < 2 || len > TDO_PKT_MAXLEN)
		return 0;
	switch (data[0] % 5) {
	case 0:
		comes_in(data + 1, len - 1);
		break;
	case 1:
		comes_in_wrapped(data[1], data + 2, len - 2);
		break;
	case 2:
		comes_in_compressed(data[1], data + 2, len - 2);
		break;
	case 3:
		goes_out_and_in(data + 1, len - 1);
		break;
	default:
		inflate(data[1], data + 2, len - 2);
	}
	tdo_worker_quiesce(f.w);
	return 0;
}
