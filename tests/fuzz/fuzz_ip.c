/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP packets from outside: whatever the parser accepts lies within the packet, and what the
 * packet is then fragmented, cut, joined or answered to parses again and has the right size.
 */
#include <string.h>

#include "fuzz.h"
#include "wire/frag.h"
#include "wire/icmp.h"
#include "wire/ip.h"
#include "wire/offload.h"

enum {
	OUT_MAX = 70000,
	PIECES_MAX = 64, /* pieces of one packet that are looked at */
};

static uint8_t out_buf[OUT_MAX], next_buf[OUT_MAX];

static struct tdo_pkt
out_pkt(uint8_t *buf)
{
	return (struct tdo_pkt){.buf = buf, .cap = OUT_MAX, .off = TDO_HEADROOM};
}

static void
check_info(const uint8_t *data, size_t len, const struct tdo_ip_info *ip)
{
	FUZZ_CHECK(ip->total_len <= len);
	FUZZ_CHECK(ip->esp_off >= tdo_ip_hlen(ip->flow.src.af));
	FUZZ_CHECK(ip->esp_off <= ip->l4_off);
	FUZZ_CHECK(ip->l4_off <= ip->total_len);
	FUZZ_CHECK(ip->nh_off < ip->esp_off);
	FUZZ_CHECK(ip->esp_nh == data[ip->nh_off]);
	FUZZ_CHECK(ip->flow.src.af == ip->flow.dst.af);
	FUZZ_CHECK(!ip->frag_later || (ip->frag && ip->flow.opaque && !ip->flow.has_ports));
}

static void
check_out(const struct tdo_pkt *out)
{
	struct tdo_ip_info ip;

	FUZZ_CHECK(out->off + out->len <= out->cap);
	FUZZ_CHECK(tdo_ip_parse(tdo_pkt_data(out), out->len, &ip) == TDO_REASON_NONE);
	FUZZ_CHECK(ip.total_len == out->len);
	FUZZ_CHECK(ip.flow.proto == out->ip.flow.proto && ip.l4_off == out->ip.l4_off);
	FUZZ_CHECK(memcmp(&ip.flow.dst, &out->ip.flow.dst, sizeof(ip.flow.dst)) == 0);
}

static void
fragment(const struct tdo_pkt *p, uint32_t mtu)
{
	unsigned n = tdo_frag_count(p, mtu);
	uint32_t sum = 0;
	struct tdo_pkt out = out_pkt(out_buf);

	for (unsigned i = 0; i < n; i++) {
		FUZZ_CHECK(tdo_frag_make(p, mtu, i, 1, &out));
		FUZZ_CHECK(out.len <= mtu);
		FUZZ_CHECK(n == 1 || out.ip.frag);
		check_out(&out);
		sum += out.len;
	}
	FUZZ_CHECK(n == 0 || sum >= p->ip.total_len);
	FUZZ_CHECK(!tdo_frag_make(p, mtu, n, 1, &out));
}

/* Cuts p and joins what can be joined again. */
static void
cut_and_join(const struct tdo_pkt *p)
{
	unsigned n = tdo_gso_count(p);
	struct tdo_pkt head = out_pkt(out_buf), next;

	FUZZ_CHECK(!tdo_gso_segment(p, n, p->gso_size, &head));
	if (n == 0)
		return;
	FUZZ_CHECK(tdo_gso_segment(p, 0, p->gso_size, &head));
	check_out(&head);
	for (unsigned i = 1; i < n && i < PIECES_MAX; i++) {
		uint32_t before = head.len;

		next = out_pkt(next_buf);
		FUZZ_CHECK(tdo_gso_segment(p, i, p->gso_size, &next));
		check_out(&next);
		if (tdo_gro_join(&head, &next))
			FUZZ_CHECK(head.len > before && head.len < before + next.len);
		else
			FUZZ_CHECK(head.len == before);
	}
	tdo_gro_finish(&head);
	check_out(&head);
	FUZZ_CHECK(tdo_csum_complete(&head));
}

/* A copy whose every byte belongs to the packet: writes beyond it are seen. */
static struct tdo_pkt
copy(const struct tdo_pkt *p)
{
	struct tdo_pkt c = *p;

	c.buf = malloc(p->len);
	if (!c.buf)
		abort();
	memcpy(c.buf, tdo_pkt_data(p), p->len);
	c.cap = p->len;
	c.off = 0;
	return c;
}

/* A packet as it came over the network, once more behind itself. */
static void
change_in_place(const struct tdo_pkt *p, uint16_t arg)
{
	struct tdo_pkt c = copy(p), head = out_pkt(out_buf);

	tdo_mss_clamp(&c, arg);
	FUZZ_CHECK(!tdo_mss_clamp(&c, arg));
	c.flags = TDO_PKT_CSUM_PARTIAL;
	c.csum_start = arg;
	c.csum_off = (uint16_t)(arg >> 8);
	if (tdo_csum_complete(&c))
		FUZZ_CHECK(c.csum_start + c.csum_off + 2u <= c.len && c.flags == 0);
	free(c.buf);
	head.len = p->len;
	head.ip = p->ip;
	memcpy(tdo_pkt_data(&head), tdo_pkt_data(p), p->len);
	if (tdo_gro_join(&head, p))
		tdo_gro_finish(&head);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_pkt p = {.len = (uint32_t)len}, out = out_pkt(out_buf);
	uint16_t arg;

	if (len == 0 || len > TDO_PKT_MAXLEN || tdo_ip_parse(data, len, &p.ip) != TDO_REASON_NONE)
		return 0;
	check_info(data, len, &p.ip);
	/* A parameter that the fuzzer can reach without changing what is parsed. */
	arg = (uint16_t)(data[len - 1] << 3 | 5);
	p.buf = malloc(len);
	if (!p.buf)
		abort();
	p.cap = p.len;
	memcpy(p.buf, data, len);
	fragment(&p, arg / 8);
	if (tdo_icmp_too_big(&p, arg, &out)) {
		check_out(&out);
		FUZZ_CHECK(out.len <= (p.ip.flow.src.af == TDO_AF_INET6 ? TDO_IP6_MTU_MIN : 576));
	}
	change_in_place(&p, arg);
	p.gso = data[len - 1] & 1 ? TDO_GSO_UDP : TDO_GSO_TCP;
	p.gso_size = arg;
	cut_and_join(&p);
	free(p.buf);
	return 0;
}
