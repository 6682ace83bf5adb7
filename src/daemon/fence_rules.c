/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of the table; attachment.md numbers (O3, O14 ...) say which fact asks for one. */
#include <netinet/in.h> /* before the kernel's headers */

#include <linux/if_arp.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "daemon/fence_int.h"
#include "wire/ip.h"

#define R(i) TDO_NFT_REG(i)

enum { IP6_HOPS_OFF = 7 };

/*
 * Behind dstnat (-100), so that addresses are the real ones, and in front of srcnat (100),
 * so that they are those that the policy names.
 */
static const struct {
	const char *name;
	struct tdo_nft_hook hook;
} base_chains[] = {
    {"notrack", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_RAW}},
    {"out", {"route", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST + 10}},
    {"fwd", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST + 10}},
    {"in", {"filter", NF_INET_LOCAL_IN, 50}},
    {"infwd", {"filter", NF_INET_FORWARD, 50}},
    {"keep", {"filter", NF_INET_LOCAL_OUT, 500}},
    {"guard", {"filter", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 1}},
};

/* The chains of lookups, and where a packet goes that is covered. */
static const struct {
	enum tdo_dir dir;
	const char *prefix, *target;
} lookups[] = {
    {TDO_DIR_OUT, "out", "divert"},
    {TDO_DIR_OUT, "guard", "blocked"},
    {TDO_DIR_IN, "in", "check"},
};

#define NLOOKUPS (sizeof(lookups) / sizeof(lookups[0]))

/* ---- pieces of rules ---------------------------------------------------------------- */

void
tdo_fence_if_mark(struct tdo_nft *n, uint32_t bits)
{
	uint32_t zero = 0;

	tdo_nft_meta(n, NFT_META_MARK, R(0));
	tdo_nft_bitwise(n, R(0), (const uint8_t *)&bits, NULL, sizeof(bits));
	tdo_nft_cmp(n, NFT_CMP_NEQ, R(0), &zero, sizeof(zero));
}

void
tdo_fence_if_meta8(struct tdo_nft *n, enum nft_meta_keys key, uint8_t value)
{
	tdo_nft_meta(n, key, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &value, sizeof(value));
}

void
tdo_fence_if_family(struct tdo_nft *n, uint8_t af)
{
	tdo_fence_if_meta8(n, NFT_META_NFPROTO, af == TDO_AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static void
if_name(struct tdo_nft *n, enum nft_meta_keys key, const char *name)
{
	char padded[16] = {0};

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	tdo_nft_meta(n, key, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), padded, sizeof(padded));
}

void
tdo_fence_if_loopback(struct tdo_nft *n, enum nft_meta_keys key)
{
	uint16_t type = ARPHRD_LOOPBACK;

	tdo_nft_meta(n, key, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &type, sizeof(type));
}

void
tdo_fence_accept_and_end(struct tdo_nft *n)
{
	tdo_nft_verdict(n, NF_ACCEPT, NULL);
	tdo_nft_rule_end(n);
}

void
tdo_fence_change_mark(struct tdo_nft *n, uint32_t clear, uint32_t set)
{
	uint32_t keep = ~(clear | set);

	tdo_nft_meta(n, NFT_META_MARK, R(0));
	tdo_nft_bitwise(n, R(0), (const uint8_t *)&keep, (const uint8_t *)&set, sizeof(keep));
	tdo_nft_meta_set(n, NFT_META_MARK, R(0));
}

/*
 * Our own packets.  Other programs may have overwritten the mark since the socket set it; the
 * socket still has it.
 */
static void
exempt_own(struct tdo_fence *f, const char *table, const char *chain)
{
	const struct tdo_marks *m = &f->cfg.marks;
	const uint32_t bit[2] = {m->own, m->own_clear};
	struct tdo_nft *n = f->nft;
	uint32_t zero = 0;

	tdo_nft_rule_begin(n, table, chain);
	tdo_fence_if_mark(n, m->own | m->own_clear);
	tdo_fence_accept_and_end(n);
	for (int i = 0; i < 2 && f->use_socket; i++) {
		tdo_nft_rule_begin(n, table, chain);
		tdo_nft_socket_mark(n, R(0));
		tdo_nft_bitwise(n, R(0), (const uint8_t *)&bit[i], NULL, sizeof(bit[i]));
		tdo_nft_cmp(n, NFT_CMP_NEQ, R(0), &zero, sizeof(zero));
		tdo_fence_change_mark(n, m->divert, bit[i]);
		tdo_fence_accept_and_end(n);
	}
}

/*
 * O12: neighbour discovery (133-137) must work before any SA can; so must MLD (130-132, 143),
 * on which switches rely.  Only over IPv6: elsewhere 58 is nothing special.  Only with the
 * hop limits that no router lets through (RFC 4861 7.1, RFC 3810 5): what is forwarded in
 * their disguise meets the lookups, at the latest where its hop limit has become less.
 */
static void
exempt_nd(struct tdo_nft *n, const char *table, const char *chain)
{
	static const struct {
		uint8_t first, last, hop_limit;
	} range[] = {{130, 132, 1}, {133, 137, 255}, {143, 143, 1}};

	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		tdo_nft_rule_begin(n, table, chain);
		tdo_fence_if_family(n, TDO_AF_INET6);
		tdo_fence_if_meta8(n, NFT_META_L4PROTO, TDO_IPPROTO_ICMPV6);
		tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, R(0));
		tdo_nft_cmp(n, NFT_CMP_GTE, R(0), &range[i].first, 1);
		tdo_nft_cmp(n, NFT_CMP_LTE, R(0), &range[i].last, 1);
		tdo_nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, IP6_HOPS_OFF, 1, R(0));
		tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &range[i].hop_limit, 1);
		tdo_fence_accept_and_end(n);
	}
}

static void
jump_lookups(struct tdo_nft *n, const char *table, const char *chain, const char *prefix)
{
	static const uint8_t family[2] = {TDO_AF_INET, TDO_AF_INET6};
	char name[TDO_FENCE_NAME_LEN];

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%u", prefix, family[i]);
		tdo_nft_rule_begin(n, table, chain);
		tdo_fence_if_family(n, family[i]);
		tdo_nft_verdict(n, NFT_JUMP, name);
		tdo_nft_rule_end(n);
	}
}

/* ---- fixed chains ------------------------------------------------------------------- */

static void
fill_notrack(struct tdo_fence *f, const char *t)
{
	struct tdo_nft *n = f->nft;

	/* I12: without this, the user's NAT rules would rewrite protected packets. */
	tdo_nft_rule_begin(n, t, "notrack");
	tdo_fence_if_mark(n, f->cfg.marks.own);
	tdo_nft_notrack(n);
	tdo_nft_rule_end(n);
}

static void
fill_out(struct tdo_fence *f, const char *t)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, t, "out");
	tdo_fence_if_loopback(n, NFT_META_OIFTYPE);
	tdo_fence_accept_and_end(n);
	exempt_own(f, t, "out");
	exempt_nd(n, t, "out");
	jump_lookups(n, t, "out", "out");
}

/* O15: packets that come from the TUN are no exception, or hubs would leak. */
static void
fill_fwd(struct tdo_fence *f, const char *t)
{
	struct tdo_nft *n = f->nft;
	uint32_t local = RTN_LOCAL;

	tdo_nft_rule_begin(n, t, "fwd");
	tdo_fence_if_loopback(n, NFT_META_IIFTYPE);
	tdo_fence_accept_and_end(n);
	tdo_nft_rule_begin(n, t, "fwd");
	tdo_nft_fib_daddr_type(n, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &local, sizeof(local));
	tdo_fence_accept_and_end(n);
	exempt_nd(n, t, "fwd");
	jump_lookups(n, t, "fwd", "out");
}

/*
 * O3, O5: whatever was to be diverted and leaves elsewhere; and what is covered without the
 * mark, because another program overwrote that or the packet did not pass the other chains.
 */
static void
fill_guard(struct tdo_fence *f, const char *t)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, t, "guard");
	tdo_fence_if_loopback(n, NFT_META_OIFTYPE);
	tdo_fence_accept_and_end(n);
	tdo_nft_rule_begin(n, t, "guard");
	if_name(n, NFT_META_OIFNAME, f->cfg.tun);
	tdo_fence_accept_and_end(n);
	tdo_nft_rule_begin(n, t, "guard");
	tdo_fence_if_mark(n, f->cfg.marks.own | f->cfg.marks.own_clear);
	tdo_fence_accept_and_end(n);
	tdo_nft_rule_begin(n, t, "guard");
	tdo_fence_if_mark(n, f->cfg.marks.divert);
	tdo_nft_verdict(n, NFT_GOTO, "blocked");
	tdo_nft_rule_end(n);
	exempt_nd(n, t, "guard");
	jump_lookups(n, t, "guard", "guard");
}

/* IPsec headers are not the last protocol (RFC 4301 5.2): their content is checked later. */
static void
exempt_ipsec(struct tdo_nft *n, const char *t)
{
	static const uint8_t proto[] = {TDO_IPPROTO_ESP, TDO_IPPROTO_AH, TDO_IPPROTO_IPCOMP};

	for (size_t i = 0; i < sizeof(proto); i++) {
		tdo_nft_rule_begin(n, t, "in");
		tdo_fence_if_meta8(n, NFT_META_L4PROTO, proto[i]);
		tdo_fence_accept_and_end(n);
	}
}

static void
fill_in(struct tdo_fence *f, const char *t, const char *chain)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, t, chain);
	tdo_fence_if_loopback(n, NFT_META_IIFTYPE);
	tdo_fence_accept_and_end(n);
	tdo_nft_rule_begin(n, t, chain);
	if_name(n, NFT_META_IIFNAME, f->cfg.tun);
	tdo_fence_accept_and_end(n);
	if (strcmp(chain, "in") == 0) {
		exempt_ipsec(n, t);
		/* The same in UDP: fence_natt.c. */
		tdo_nft_rule_begin(n, t, chain);
		tdo_fence_if_mark(n, f->cfg.marks.own);
		tdo_fence_accept_and_end(n);
	}
	exempt_nd(n, t, chain);
	jump_lookups(n, t, chain, "in");
}

static void
fill_targets(struct tdo_fence *f, const char *t)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, t, "divert");
	tdo_fence_change_mark(n, 0, f->cfg.marks.divert);
	tdo_fence_accept_and_end(n);

	tdo_nft_rule_begin(n, t, "blocked");
	tdo_nft_counter(n, "guard-drops");
	tdo_nft_verdict(n, NF_DROP, NULL);
	tdo_nft_rule_end(n);

	tdo_nft_rule_begin(n, t, "check");
	tdo_nft_counter(n, "checked");
	if (f->use_queue)
		tdo_nft_nfqueue(n, f->cfg.queue);
	else
		tdo_nft_verdict(n, NF_DROP, NULL);
	tdo_nft_rule_end(n);
}

static void
add_lookup_chains(struct tdo_nft *n, const char *table)
{
	char name[TDO_FENCE_NAME_LEN];

	for (size_t i = 0; i < 2 * NLOOKUPS; i++) {
		int family = i % 2 ? TDO_AF_INET6 : TDO_AF_INET;

		snprintf(name, sizeof(name), "%s%d", lookups[i / 2].prefix, family);
		tdo_nft_chain_add(n, table, name, NULL);
		snprintf(name, sizeof(name), "%s%d-late", lookups[i / 2].prefix, family);
		tdo_nft_chain_add(n, table, name, NULL);
	}
}

void
tdo_fence_skeleton(struct tdo_fence *f, const char *table)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_table_add(n, table, f->flags);
	tdo_nft_counter_add(n, table, "guard-drops");
	tdo_nft_counter_add(n, table, "checked");
	for (size_t i = 0; i < sizeof(base_chains) / sizeof(base_chains[0]); i++)
		tdo_nft_chain_add(n, table, base_chains[i].name, &base_chains[i].hook);
	tdo_nft_chain_add(n, table, "divert", NULL);
	tdo_nft_chain_add(n, table, "blocked", NULL);
	tdo_nft_chain_add(n, table, "check", NULL);
	add_lookup_chains(n, table);
	fill_targets(f, table);
	fill_notrack(f, table);
	fill_out(f, table);
	exempt_own(f, table, "keep");
	fill_fwd(f, table);
	fill_guard(f, table);
	fill_in(f, table, "in");
	fill_in(f, table, "infwd");
	tdo_fence_natt_fill(f, table);
}

/*
 * The kernel reassembles IPv6 in prerouting as long as some rule might have to know the ports of
 * what it gives to another socket.  This one never does that: it is for TCP and UDP alone.
 */
void
tdo_fence_reassembly(struct tdo_fence *f, const char *table, bool on)
{
	static const struct tdo_nft_hook hook = {
	    "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST + 10};
	struct tdo_nft *n = f->nft;

	if (!on) {
		tdo_nft_chain_del(n, table, "whole");
		return;
	}
	tdo_nft_chain_add(n, table, "whole", &hook);
	tdo_nft_rule_begin(n, table, "whole");
	tdo_fence_if_meta8(n, NFT_META_L4PROTO, IPPROTO_RAW);
	tdo_nft_tproxy(n, NFPROTO_IPV6, R(0));
	tdo_nft_rule_end(n);
}

/* ---- sets --------------------------------------------------------------------------- */

static void
set_name(const struct tdo_cover_shape *s, char *buf)
{
	snprintf(
	    buf, TDO_FENCE_NAME_LEN, "%s%u-%u", s->dir == TDO_DIR_OUT ? "out" : "in", s->af, s->id);
}

/* The type by which nft(8) shows the keys: its type numbers, 6 bits each. */
static uint32_t
key_type(const struct tdo_cover_shape *s)
{
	enum { IPADDR = 7, IP6ADDR = 8, INET_PROTO = 12, INET_SERVICE = 13 };
	uint32_t addr = s->af == TDO_AF_INET ? IPADDR : IP6ADDR, type = addr << 6 | addr;

	if (s->kind == TDO_COVER_UPPER) {
		type = type << 6 | INET_PROTO;
		if (s->sport)
			type = type << 6 | INET_SERVICE;
		if (s->dport)
			type = type << 6 | INET_SERVICE;
	}
	return type;
}

void
tdo_fence_set_new(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s)
{
	char name[TDO_FENCE_NAME_LEN];

	set_name(s, name);
	tdo_nft_set_add(f->nft, table, name, key_type(s), tdo_cover_key_len(s));
}

void
tdo_fence_set_gone(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s)
{
	char name[TDO_FENCE_NAME_LEN];

	set_name(s, name);
	tdo_nft_set_del(f->nft, table, name);
}

void
tdo_fence_set_entry(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *s,
    const uint8_t *key, bool add)
{
	char name[TDO_FENCE_NAME_LEN];

	set_name(s, name);
	tdo_nft_elem(f->nft, table, name, add, key, tdo_cover_key_len(s));
}

/* ---- lookups ------------------------------------------------------------------------ */

static void
load_address(struct tdo_nft *n, uint32_t off, unsigned len, uint8_t plen, uint32_t reg)
{
	struct tdo_addr mask = {.af = len == 4 ? TDO_AF_INET : TDO_AF_INET6};

	tdo_nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, off, len, reg);
	if (plen == len * 8)
		return;
	memset(mask.b, 0xff, sizeof(mask.b));
	mask = tdo_addr_mask(&mask, plen);
	tdo_nft_bitwise(n, reg, mask.b, NULL, (uint16_t)len);
}

/* One rule: the key of the shape in registers, in the layout of tdo_cover_key_len(). */
static void
lookup_rule(struct tdo_nft *n, const char *table, const char *chain,
    const struct tdo_cover_shape *s, const char *target)
{
	unsigned len = tdo_af_len(s->af), reg = 2 * len / 4;
	uint32_t src_off = s->af == TDO_AF_INET ? 12 : 8;
	char set[TDO_FENCE_NAME_LEN];

	set_name(s, set);
	tdo_nft_rule_begin(n, table, chain);
	load_address(n, src_off, len, s->src_plen, R(0));
	load_address(n, src_off + len, len, s->dst_plen, R(len / 4));
	if (s->kind == TDO_COVER_UPPER) {
		tdo_nft_meta(n, NFT_META_L4PROTO, R(reg++));
		if (s->sport)
			tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, R(reg++));
		if (s->dport)
			tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, R(reg++));
	}
	tdo_nft_lookup(n, set, R(0));
	tdo_nft_verdict(n, NFT_GOTO, target);
	tdo_nft_rule_end(n);
}

/* O14: ports are in the first fragment only, so fragments are looked up by address. */
static void
fragment_rule(struct tdo_nft *n, const char *table, const char *chain, uint8_t af, const char *late)
{
	static const uint8_t offset_and_more[2] = {0x3f, 0xff}, zero[2];
	uint8_t one = 1;

	tdo_nft_rule_begin(n, table, chain);
	if (af == TDO_AF_INET) {
		tdo_nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 6, 2, R(0));
		tdo_nft_bitwise(n, R(0), offset_and_more, NULL, sizeof(offset_and_more));
		tdo_nft_cmp(n, NFT_CMP_NEQ, R(0), zero, sizeof(zero));
	} else {
		tdo_nft_exthdr_present(n, TDO_IPPROTO_FRAGMENT, R(0));
		tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &one, sizeof(one));
	}
	tdo_nft_verdict(n, NFT_GOTO, late);
	tdo_nft_rule_end(n);
}

/*
 * ICMP errors are looked at, whoever sends them: what they quote may be a packet that a policy
 * protects, and then they are judged as its answer (RFC 4301 6).
 */
static void
icmp_rules(struct tdo_nft *n, const char *table, const char *chain, uint8_t af, const char *target)
{
	static const struct {
		uint8_t first, last;
	} range4[] = {{3, 4}, {11, 12}}, range6[] = {{1, 4}};
	bool v6 = af == TDO_AF_INET6;

	for (size_t i = 0; i < (v6 ? 1u : 2u); i++) {
		uint8_t first = v6 ? range6[i].first : range4[i].first;
		uint8_t last = v6 ? range6[i].last : range4[i].last;

		tdo_nft_rule_begin(n, table, chain);
		tdo_fence_if_meta8(n, NFT_META_L4PROTO, v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP);
		tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, R(1)); /* loadable_rule() */
		tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, R(0));
		tdo_nft_cmp(n, NFT_CMP_GTE, R(0), &first, 1);
		tdo_nft_cmp(n, NFT_CMP_LTE, R(0), &last, 1);
		tdo_nft_verdict(n, NFT_GOTO, target);
		tdo_nft_rule_end(n);
	}
}

/*
 * An expression that cannot load what it wants ends its rule without a match: a packet with
 * cut-off or unusual headers would pass all rules above.  If protocol and ports can be
 * loaded here, they could be there.
 */
static void
loadable_rule(struct tdo_nft *n, const char *table, const char *chain)
{
	tdo_nft_rule_begin(n, table, chain);
	tdo_nft_meta(n, NFT_META_L4PROTO, R(0));
	tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, R(1));
	tdo_nft_verdict(n, NFT_RETURN, NULL);
	tdo_nft_rule_end(n);
}

static void
fill_lookups(struct tdo_fence *f, const char *table, const struct tdo_cover_shape *shapes,
    const char *chain, const char *late, const char *target)
{
	const struct tdo_cover_shape *s;
	struct tdo_nft *n = f->nft;

	tdo_nft_chain_flush(n, table, chain);
	tdo_nft_chain_flush(n, table, late);
	for (s = shapes; s; s = s->next)
		if (s->kind == TDO_COVER_TWIN)
			lookup_rule(n, table, late, s, target);
	for (s = shapes; s; s = s->next)
		if (s->kind == TDO_COVER_ADDR)
			lookup_rule(n, table, chain, s, target);
	if (!shapes)
		return;
	fragment_rule(n, table, chain, shapes->af, late);
	icmp_rules(n, table, chain, shapes->af, target);
	for (s = shapes; s; s = s->next)
		if (s->kind == TDO_COVER_UPPER)
			lookup_rule(n, table, chain, s, target);
	loadable_rule(n, table, chain);
	tdo_nft_rule_begin(n, table, chain);
	tdo_nft_verdict(n, NFT_GOTO, late);
	tdo_nft_rule_end(n);
}

void
tdo_fence_lookups(struct tdo_fence *f, const char *table, enum tdo_dir dir, uint8_t af)
{
	const struct tdo_cover_shape *shapes = tdo_cover_shapes(f->cover, dir, af);
	char chain[TDO_FENCE_NAME_LEN], late[TDO_FENCE_NAME_LEN];

	tdo_nft_break(f->nft);
	for (size_t i = 0; i < NLOOKUPS; i++) {
		if (lookups[i].dir != dir)
			continue;
		snprintf(chain, sizeof(chain), "%s%u", lookups[i].prefix, af);
		snprintf(late, sizeof(late), "%s%u-late", lookups[i].prefix, af);
		fill_lookups(f, table, shapes, chain, late, lookups[i].target);
	}
}
