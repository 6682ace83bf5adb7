/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UDP encapsulation: which packets are ESP and not key management's, and how packets that are
 * sent from a port of ours get the port of their SA.  docs/decisions/0012 says why so.
 *
 * The chain that receives is there only while an SA uses a port: a rule with tproxy makes the
 * kernel put all fragments together, and traffic that has nothing to do with it should not pay.
 * The one that sends stays: workers may not know yet that there is no port any more.
 */
#include <netinet/in.h> /* before the kernel's headers */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "daemon/fence_int.h"
#include "daemon/log.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define R(i) TDO_NFT_REG(i)

enum { INET_SERVICE = 13 }; /* nft(8)'s number of the type of ports, for listings */

static const uint8_t family[2] = {TDO_AF_INET, TDO_AF_INET6};
static const char *const set_name[TDO_FENCE_NATT_FORMS] = {"natt-ports", "natt-marker-ports"};

/* ---- rules -------------------------------------------------------------------------- */

static void
load_port(struct tdo_nft *n, uint16_t port, uint32_t reg)
{
	uint16_t be = htons(port);

	tdo_nft_immediate(n, reg, &be, sizeof(be));
}

static void
if_payload(struct tdo_nft *n, enum nft_cmp_ops op, uint32_t off, const void *data, uint16_t len)
{
	tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, off, len, R(0));
	tdo_nft_cmp(n, op, R(0), data, len);
}

static void
if_udp(struct tdo_nft *n, uint8_t af)
{
	tdo_fence_if_family(n, af);
	tdo_fence_if_meta8(n, NFT_META_L4PROTO, TDO_IPPROTO_UDP);
}

/*
 * What is behind the UDP header: an SPI is never zero, and IKE has four zero bytes in front
 * (RFC 3948 2.2), whose next four are half of a cookie.  Eight zero bytes
 * are the marker of the older form, where IKE, without any, has its cookie.
 */
static void
if_esp(struct tdo_nft *n, bool marker)
{
	static const uint8_t zero[TDO_UDP_MARKER_LEN];
	const uint16_t longer = htons(TDO_UDP_HLEN + TDO_UDP_NON_ESP_LEN);

	if_payload(n, NFT_CMP_GT, TDO_UDP_LEN_OFF, &longer, sizeof(longer));
	if (marker)
		if_payload(n, NFT_CMP_EQ, TDO_UDP_HLEN, zero, TDO_UDP_MARKER_LEN);
	else
		if_payload(n, NFT_CMP_NEQ, TDO_UDP_HLEN, zero, TDO_UDP_NON_ESP_LEN);
}

/*
 * Attachment I10.  The mark comes last: where the socket is missing, the rule ends at tproxy and
 * the packet is judged like any other that is in clear.
 */
static void
redirect(struct tdo_fence *f, const char *table, unsigned fam, unsigned form)
{
	uint32_t local = RTN_LOCAL;
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, table, "natt");
	if_udp(n, family[fam]);
	tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, TDO_UDP_DPORT_OFF, 2, R(0));
	tdo_nft_lookup(n, set_name[form], R(0));
	if_esp(n, form == 1);
	tdo_nft_fib_daddr_type(n, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &local, sizeof(local));
	load_port(n, f->natt.sock.in[fam], R(0));
	tdo_nft_tproxy(n, family[fam] == TDO_AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6, R(0));
	tdo_fence_change_mark(n, 0, f->cfg.marks.own);
	tdo_fence_accept_and_end(n);
}

/*
 * A keepalive is ignored (RFC 3948 2.3, 4).  A port that no program owns would answer it, with an
 * ICMP error of which the peer could make nothing.
 */
static void
ignore_keepalives(struct tdo_fence *f, const char *table, unsigned fam, unsigned form)
{
	static const uint8_t keepalive = TDO_UDP_KEEPALIVE;
	const uint16_t len = htons(TDO_UDP_HLEN + 1);
	uint32_t local = RTN_LOCAL;
	struct tdo_nft *n = f->nft;

	tdo_nft_rule_begin(n, table, "natt");
	if_udp(n, family[fam]);
	tdo_nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, TDO_UDP_DPORT_OFF, 2, R(0));
	tdo_nft_lookup(n, set_name[form], R(0));
	if_payload(n, NFT_CMP_EQ, TDO_UDP_LEN_OFF, &len, sizeof(len));
	if_payload(n, NFT_CMP_EQ, TDO_UDP_HLEN, &keepalive, sizeof(keepalive));
	tdo_nft_fib_daddr_type(n, R(0));
	tdo_nft_cmp(n, NFT_CMP_EQ, R(0), &local, sizeof(local));
	tdo_nft_verdict(n, NF_DROP, NULL);
	tdo_nft_rule_end(n);
}

static void
fill_in(struct tdo_fence *f, const char *table, unsigned fam)
{
	if (f->natt.sock.in[fam] == 0)
		return;
	for (unsigned form = 0; form < TDO_FENCE_NATT_FORMS; form++) {
		redirect(f, table, fam, form);
		ignore_keepalives(f, table, fam, form);
	}
}

/*
 * The checksum stays what it is, and that is right for super-packets: theirs is the sum of the
 * pseudo header until they are cut, whether the device makes checksums or not.
 */
static void
fill_out(struct tdo_fence *f, const char *table)
{
	static const struct tdo_nft_hook hook = {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE};
	struct tdo_nft *n = f->nft;

	tdo_nft_chain_add(n, table, "natt-out", &hook);
	tdo_nft_chain_flush(n, table, "natt-out");
	for (unsigned fam = 0; fam < 2; fam++) {
		uint16_t port = htons(f->natt.sock.out[fam]);

		if (port == 0)
			continue;
		tdo_nft_rule_begin(n, table, "natt-out");
		tdo_fence_if_mark(n, f->cfg.marks.own);
		if_udp(n, family[fam]);
		if_payload(n, NFT_CMP_EQ, TDO_UDP_SPORT_OFF, &port, sizeof(port));
		load_port(n, f->natt.fast, R(0));
		tdo_nft_payload_set(n, NFT_PAYLOAD_TRANSPORT_HEADER, TDO_UDP_SPORT_OFF, 2, R(0));
		tdo_fence_accept_and_end(n);
	}
}

static void
element(struct tdo_fence *f, const char *table, unsigned form, uint16_t port, bool add)
{
	uint16_t be = htons(port);

	tdo_nft_elem(f->nft, table, set_name[form], add, (const uint8_t *)&be, sizeof(be));
}

struct fill {
	struct tdo_fence *f;
	const char *table;
};

static void
fill_element(void *ctx, uint16_t port, bool marker)
{
	const struct fill *c = ctx;

	tdo_nft_break(c->f->nft);
	element(c->f, c->table, marker, port, true);
}

static void
add_sets(struct tdo_fence *f, const char *table)
{
	static const struct tdo_nft_hook hook = {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE};
	struct fill c = {f, table};
	struct tdo_nft *n = f->nft;

	for (unsigned form = 0; form < TDO_FENCE_NATT_FORMS; form++)
		tdo_nft_set_add(n, table, set_name[form], INET_SERVICE, sizeof(uint16_t));
	tdo_natt_ports_each(&f->natt.ports, fill_element, &c);
	tdo_nft_chain_add(n, table, "natt", &hook);
	/* A host's own packets to itself are not protected (attachment O13). */
	tdo_nft_rule_begin(n, table, "natt");
	tdo_fence_if_loopback(n, NFT_META_IIFTYPE);
	tdo_fence_accept_and_end(n);
}

void
tdo_fence_natt_fill(struct tdo_fence *f, const char *table)
{
	if (f->natt.nports > 0)
		add_sets(f, table);
	for (unsigned fam = 0; fam < 2; fam++)
		if (f->natt.nports > 0 && f->natt.in[fam])
			fill_in(f, table, fam);
	if (f->natt.out)
		fill_out(f, table);
}

/* ---- what this kernel has ----------------------------------------------------------- */

static bool
try_in(struct tdo_fence *f, unsigned fam)
{
	int r;

	fill_in(f, f->table, fam);
	r = tdo_nft_commit(f->nft);
	if (r < 0)
		tdo_logf(TDO_LOG_WARN,
		    "ESP in UDP over IPv%u cannot be received: nftables has no tproxy here (%s); "
		    "load nft_tproxy and nf_tproxy_ipv%u, or use a kernel with CONFIG_NFT_TPROXY",
		    family[fam], strerror(-r), family[fam]);
	return r == 0;
}

static bool
try_out(struct tdo_fence *f)
{
	int r;

	fill_out(f, f->table);
	r = tdo_nft_commit(f->nft);
	if (r < 0)
		tdo_logf(TDO_LOG_WARN,
		    "nftables cannot write ports here (%s): ESP in UDP is sent packet by packet",
		    strerror(-r));
	return r == 0;
}

/*
 * The first time each piece comes in a transaction of its own, so that what this kernel has not
 * takes nothing else away.
 */
static int
begin(struct tdo_fence *f)
{
	struct tdo_fence_natt *t = &f->natt;
	int r;

	if (t->tried) {
		tdo_fence_natt_fill(f, f->table);
		return tdo_nft_commit(f->nft);
	}
	add_sets(f, f->table);
	r = tdo_nft_commit(f->nft);
	if (r < 0)
		return r;
	for (unsigned fam = 0; fam < 2; fam++)
		t->in[fam] = t->sock.in[fam] != 0 && try_in(f, fam);
	t->out = (t->sock.out[0] != 0 || t->sock.out[1] != 0) && try_out(f);
	t->tried = true;
	return 0;
}

static int
end(struct tdo_fence *f)
{
	struct tdo_nft *n = f->nft;

	tdo_nft_chain_del(n, f->table, "natt");
	for (unsigned form = 0; form < TDO_FENCE_NATT_FORMS; form++)
		tdo_nft_set_del(n, f->table, set_name[form]);
	return tdo_nft_commit(n);
}

/* ---- ports -------------------------------------------------------------------------- */

void
tdo_fence_natt_sockets(struct tdo_fence *f, const struct tdo_fence_udp *sock)
{
	f->natt.sock = *sock;
}

uint16_t
tdo_fence_natt_fast(const struct tdo_fence *f)
{
	return f->natt.out ? f->natt.fast : 0;
}

/*
 * A port has come into the set, or left it.  When the kernel refuses, the table is made anew, with
 * it or without it.
 */
static int
change(struct tdo_fence *f, bool marker, uint16_t port, bool on)
{
	struct tdo_fence_natt *t = &f->natt;
	int r;

	if (on)
		t->nports++;
	else
		t->nports--;
	if (on && t->nports == 1) {
		t->fast = port;
		r = begin(f);
	} else if (t->nports == 0) {
		r = end(f);
	} else {
		element(f, f->table, marker, port, on);
		r = tdo_nft_commit(f->nft);
	}
	return r == 0 ? 0 : tdo_fence_rebuild(f);
}

int
tdo_fence_natt_port(struct tdo_fence *f, uint16_t port, bool marker, bool on)
{
	/* What waits must not fail with it. */
	int r = tdo_fence_flush(f);

	if (r < 0 || !tdo_natt_ports_set(&f->natt.ports, port, marker, on))
		return r;
	r = change(f, marker, port, on);
	if (r < 0 && on) {
		(void)tdo_natt_ports_set(&f->natt.ports, port, marker, false);
		f->natt.nports--;
	}
	return r;
}

void
tdo_fence_natt_age(struct tdo_fence *f)
{
	tdo_natt_ports_age(&f->natt.ports);
}

static void
port_gone(void *ctx, uint16_t port, bool marker)
{
	(void)change(ctx, marker, port, false);
}

void
tdo_fence_natt_drop_aged(struct tdo_fence *f)
{
	if (f->natt.nports > 0 && tdo_fence_flush(f) == 0)
		tdo_natt_ports_drop_aged(&f->natt.ports, port_gone, f);
}
