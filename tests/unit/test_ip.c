/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing and building of IP headers, Internet checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "pktgen.h"
#include "vector_reader.h"
#include "wire/ip.h"

static void
checksum_is_that_of_the_definition(void **state)
{
	uint8_t b[600];

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)rand();
	for (size_t off = 0; off < 5; off++)
		for (size_t len = 0; len + off <= sizeof(b); len++)
			assert_int_equal(tdo_csum_fold(tdo_csum_add(0, b + off, len)),
			    pktgen_csum(b + off, len));
}

static void
checksum_of_extreme_data(void **state)
{
	static uint8_t ones[65535], zeros[65535];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t len = 2; len <= sizeof(ones); len += 997) {
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, ones, len)), pktgen_csum(ones, len));
		assert_int_equal(tdo_csum_fold(tdo_csum_add(0, zeros, len)), 0xffff);
	}
	assert_int_equal(tdo_csum_fold(tdo_csum_add(0xffffffff, ones, 65534)), 0);
}

static void
checksum_can_be_continued(void **state)
{
	uint8_t b[200];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 37 + 200);
	for (size_t cut = 0; cut <= sizeof(b); cut += 2) {
		uint32_t s = tdo_csum_add(tdo_csum_add(0, b, cut), b + cut, sizeof(b) - cut);

		assert_int_equal(tdo_csum_fold(s), pktgen_csum(b, sizeof(b)));
	}
}

static void
build_then_parse_is_identity(void **state)
{
	static const uint8_t a4[4] = {192, 0, 2, 1}, a6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		uint8_t af = v ? TDO_AF_INET6 : TDO_AF_INET, b[80] = {0};
		struct tdo_ip_hdr h = {.src = tdo_addr_make(af, v ? a6 : a4),
		    .dst = tdo_addr_make(af, v ? a6 : a4),
		    .tos = 0xb9,
		    .ttl = 63,
		    .proto = TDO_IPPROTO_UDP,
		    .id = 0x1234,
		    .df = true,
		    .flow_label = 0xfabcde};
		struct tdo_ip_info info;
		unsigned hl = tdo_ip_hlen(af);

		tdo_ip_build(b, &h, 8);
		tdo_put_be16(b + hl, 500);
		tdo_put_be16(b + hl + 2, 4500);
		assert_int_equal(tdo_ip_parse(b, sizeof(b), &info), TDO_REASON_NONE);
		assert_true(tdo_addr_equal(&info.flow.src, &h.src));
		assert_true(tdo_addr_equal(&info.flow.dst, &h.dst));
		assert_int_equal(info.total_len, hl + 8);
		assert_int_equal(info.l4_off, hl);
		assert_int_equal(info.tos, 0xb9);
		assert_int_equal(info.ttl, 63);
		assert_int_equal(info.df, !v);
		assert_int_equal(info.flow.sport, 500);
		assert_int_equal(info.flow.dport, 4500);
		if (v)
			assert_int_equal(tdo_be32(b), 0x6b9abcde);
		else
			assert_int_equal(pktgen_csum(b, hl), 0);
		tdo_ip_set_len(b, hl + 4);
		assert_int_equal(tdo_ip_parse(b, hl + 4, &info), TDO_REASON_NONE);
		assert_int_equal(info.total_len, hl + 4);
		assert_int_equal(tdo_ip_parse(b, hl + 3, &info), TDO_REASON_SHORT);
	}
}

static void
copying_sums_and_copies(void **state)
{
	uint8_t src[400], dst[402];

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 113 + 7);
	for (size_t off = 0; off < 3; off++)
		for (size_t len = 0; len + off <= sizeof(src); len++) {
			memset(dst, 0x55, sizeof(dst));
			assert_int_equal(
			    tdo_csum_fold(tdo_csum_copy(0x1234, dst + 1, src + off, len)),
			    tdo_csum_fold(tdo_csum_add(0x1234, src + off, len)));
			assert_memory_equal(dst + 1, src + off, len);
			assert_int_equal(dst[0], 0x55);
			assert_int_equal(dst[len + 1], 0x55);
		}
}

/* RFC 8200 8.1, RFC 9293 3.1: the fields in the order in which they are drawn. */
static void
pseudo_header_is_that_of_the_standard(void **state)
{
	static const uint8_t a4[4] = {192, 0, 2, 1}, b4[4] = {198, 51, 100, 255};
	uint8_t a6[16], b6[16], drawn[40] = {0};
	struct tdo_addr a, b;

	(void)state;
	a = tdo_addr_make(TDO_AF_INET, a4);
	b = tdo_addr_make(TDO_AF_INET, b4);
	memcpy(drawn, a4, 4);
	memcpy(drawn + 4, b4, 4);
	drawn[9] = 17;
	tdo_put_be16(drawn + 10, 0xfedc);
	assert_int_equal(
	    tdo_csum_fold(tdo_csum_pseudo(&a, &b, 17, 0xfedc)), pktgen_csum(drawn, 12));
	for (uint8_t i = 0; i < 16; i++) {
		a6[i] = (uint8_t)(0xf0 + i);
		b6[i] = (uint8_t)(17 * i);
	}
	a = tdo_addr_make(TDO_AF_INET6, a6);
	b = tdo_addr_make(TDO_AF_INET6, b6);
	memcpy(drawn, a6, 16);
	memcpy(drawn + 16, b6, 16);
	tdo_put_be32(drawn + 32, 0x1fffe);
	tdo_put_be32(drawn + 36, 58);
	assert_int_equal(
	    tdo_csum_fold(tdo_csum_pseudo(&a, &b, 58, 0x1fffe)), pktgen_csum(drawn, 40));
}

static unsigned
number(const struct vector_reader *r, const char *name)
{
	const char *text = vector_text(r, name);

	assert_non_null(text);
	return (unsigned)strtoul(text, NULL, 10);
}

static struct tdo_addr
address(const struct vector_reader *r, const char *name)
{
	uint8_t b[16];
	size_t len = vector_hex(r, name, b, sizeof(b));

	return tdo_addr_make(len == 4 ? TDO_AF_INET : TDO_AF_INET6, b);
}

/* What the block says about the packet; padding of ret stays zero as in the parser. */
static void
expected(const struct vector_reader *r, struct tdo_ip_info *ret)
{
	const char *flags = vector_text(r, "flags");

	*ret = (struct tdo_ip_info){.total_len = number(r, "total"),
	    .l4_off = (uint16_t)number(r, "l4"),
	    .esp_off = (uint16_t)number(r, "esp"),
	    .nh_off = (uint16_t)number(r, "nh"),
	    .esp_nh = (uint8_t)number(r, "nhv"),
	    .tos = (uint8_t)number(r, "tos"),
	    .ttl = (uint8_t)number(r, "ttl"),
	    .df = strchr(flags, 'D') != NULL,
	    .frag = strchr(flags, 'F') != NULL,
	    .frag_later = strchr(flags, 'L') != NULL,
	    .flow = {.src = address(r, "src"),
		.dst = address(r, "dst"),
		.proto = (uint8_t)number(r, "proto"),
		.sport = (uint16_t)number(r, "sport"),
		.dport = (uint16_t)number(r, "dport"),
		.opaque = strchr(flags, 'O') != NULL,
		.has_ports = strchr(flags, 'P') != NULL}};
}

static bool
same_info(const struct tdo_ip_info *a, const struct tdo_ip_info *b)
{
	return tdo_addr_equal(&a->flow.src, &b->flow.src) &&
	       tdo_addr_equal(&a->flow.dst, &b->flow.dst) && a->flow.proto == b->flow.proto &&
	       a->flow.has_ports == b->flow.has_ports && a->flow.opaque == b->flow.opaque &&
	       a->flow.sport == b->flow.sport && a->flow.dport == b->flow.dport &&
	       a->total_len == b->total_len && a->l4_off == b->l4_off && a->esp_off == b->esp_off &&
	       a->nh_off == b->nh_off && a->esp_nh == b->esp_nh && a->tos == b->tos &&
	       a->ttl == b->ttl && a->df == b->df && a->frag == b->frag &&
	       a->frag_later == b->frag_later;
}

/* In memory of exactly len bytes, so that the address sanitizer sees a read beyond them. */
static enum tdo_reason
parse_exact(const uint8_t *data, size_t len, struct tdo_ip_info *ret)
{
	struct tdo_pkt *p = pktgen_exact(data, (uint32_t)len);
	enum tdo_reason why = (enum tdo_reason)p->reason;

	*ret = p->ip;
	pktgen_free(p);
	return why;
}

/* Each prefix is too short; with its length field set to the prefix it is in bounds. */
static void
check_prefixes(const uint8_t *data, const struct tdo_ip_info *whole, unsigned line)
{
	struct tdo_ip_info info;
	uint8_t copy[1024];
	unsigned hlen = tdo_ip_hlen(whole->flow.src.af);

	for (uint32_t n = 0; n < whole->total_len; n++) {
		if (parse_exact(data, n, &info) != TDO_REASON_SHORT)
			fail_msg("line %u: %u bytes are not short", line, n);
		if (n < hlen)
			continue;
		memcpy(copy, data, n);
		tdo_put_be16(copy + (hlen == 40 ? 4 : 2), (uint16_t)(hlen == 40 ? n - 40 : n));
		if (parse_exact(copy, n, &info) == TDO_REASON_NONE &&
		    (info.total_len != n || info.l4_off > n || info.esp_off > info.l4_off))
			fail_msg("line %u: %u bytes: offsets out of bounds", line, n);
	}
}

static void
packets_are_parsed_as_scapy_made_them(void **state)
{
	static const struct {
		const char *name;
		enum tdo_reason why;
	} results[] = {{"ok", TDO_REASON_NONE}, {"short", TDO_REASON_SHORT},
	    {"ip-header", TDO_REASON_IP_HEADER}, {"ext-header", TDO_REASON_EXT_HEADER}};
	struct vector_reader r;
	struct tdo_ip_info info, want;
	uint8_t data[1024];
	unsigned n = 0;

	(void)state;
	for (vector_open(&r, "ip.txt"); vector_next(&r); n++) {
		size_t len = vector_hex(&r, "packet", data, sizeof(data));
		unsigned i = 0;

		while (strcmp(results[i].name, vector_text(&r, "result")) != 0)
			assert_true(++i < 4);
		if (parse_exact(data, len, &info) != results[i].why)
			fail_msg("line %u: not %s", r.first, results[i].name);
		if (i != 0)
			continue;
		expected(&r, &want);
		if (!same_info(&info, &want))
			fail_msg("line %u: other contents", r.first);
		check_prefixes(data, &want, r.first);
	}
	vector_close(&r);
	assert_true(n >= 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(checksum_is_that_of_the_definition),
	    cmocka_unit_test(checksum_of_extreme_data),
	    cmocka_unit_test(checksum_can_be_continued),
	    cmocka_unit_test(copying_sums_and_copies),
	    cmocka_unit_test(pseudo_header_is_that_of_the_standard),
	    cmocka_unit_test(packets_are_parsed_as_scapy_made_them),
	    cmocka_unit_test(build_then_parse_is_identity),
	};

	return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
