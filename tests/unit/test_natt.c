/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts behind one NAT and a server, set up by statements of setkey in both of its languages: which
 * SA a packet gets, and which one it may come by.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "host.h"
#include "wire/ip.h"
#include "wire/pfkey_msg.h"

enum { UDP = 17, PAYLOAD = 100, CLIENTS = 2, NAT_PORT = 30000 };

/* [v6]: the clients have one address, that of the NAT is another; what tunnels carry. */
static const char *const private[2] = {"10.0.0.1", "fd00::1"},
			 *const nat[2] = {"192.0.2.9", "2001:db8::9"},
			 *const server[2] = {"192.0.2.1", "2001:db8::1"},
			 *const net[CLIENTS] = {"172.16.1.1", "172.16.2.1"},
			 *const home = "172.16.0.1";

#define KEY "0x000102030405060708090a0b0c0d0e0f10111213"

static struct host srv, cl[CLIENTS];

static int
open_hosts(void **state)
{
	(void)state;
	host_open(&srv, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		host_open(&cl[i], NULL);
	return 0;
}

static int
close_hosts(void **state)
{
	(void)state;
	host_close(&srv);
	for (unsigned i = 0; i < CLIENTS; i++)
		host_close(&cl[i]);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void
setkey(struct host *h, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(text) - 1);
	if (host_setkey(h, text) != 0)
		fail_msg("errno %d: %s", h->refused, text);
}

/* ---- packets ------------------------------------------------------------------------------ */

static struct tdo_addr
addr(const char *text)
{
	struct tdo_addr a;

	assert_int_equal(tdo_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct tdo_pkt *
udp_new(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	size_t cap = TDO_HEADROOM + 200 + TDO_TAILROOM;
	struct tdo_pkt *p = calloc(1, sizeof(*p));
	struct tdo_ip_hdr h = {.src = addr(src), .dst = addr(dst), .ttl = 64, .proto = UDP};
	uint8_t *u;

	assert_non_null(p);
	*p = (struct tdo_pkt){.buf = calloc(1, cap), .cap = (uint32_t)cap, .off = TDO_HEADROOM};
	assert_non_null(p->buf);
	p->len = (h.src.af == TDO_AF_INET6 ? 40 : 20) + 8 + PAYLOAD;
	tdo_ip_build(tdo_pkt_data(p), &h, 8 + PAYLOAD);
	u = tdo_pkt_data(p) + p->len - 8 - PAYLOAD;
	tdo_put_be16(u, sport);
	tdo_put_be16(u + 2, dport);
	tdo_put_be16(u + 4, 8 + PAYLOAD);
	tdo_put_be16(u + 6,
	    tdo_csum_fold(
		tdo_csum_add(tdo_csum_pseudo(&h.src, &h.dst, UDP, 8 + PAYLOAD), u, 8 + PAYLOAD)));
	return p;
}

static void
udp_free(struct tdo_pkt *p)
{
	free(p->buf);
	free(p);
}

static uint16_t
outer_port(const struct tdo_pkt *p, bool dst)
{
	const uint8_t *ip = tdo_pkt_data(p);

	return tdo_be16(ip + (ip[0] >> 4 == 6 ? 40 : 20) + (dst ? 2 : 0));
}

/* What a NAT writes into a UDP packet, and the checksums that belong to it. */
static void
translate(struct tdo_pkt *p, bool dst, const char *to, uint16_t port)
{
	uint8_t *ip = tdo_pkt_data(p);
	bool v6 = ip[0] >> 4 == 6;
	struct tdo_addr a = addr(to), src, other;
	uint32_t off = v6 ? 40 : 20, alen = v6 ? 16 : 4, at = (v6 ? 8 : 12) + (dst ? alen : 0);

	memcpy(ip + at, a.b, alen);
	tdo_put_be16(ip + off + (dst ? 2 : 0), port);
	if (!v6) {
		tdo_ip4_set_csum(ip);
		return;
	}
	src = tdo_addr_make(TDO_AF_INET6, ip + 8);
	other = tdo_addr_make(TDO_AF_INET6, ip + 24);
	tdo_put_be16(ip + off + 6, 0);
	tdo_put_be16(ip + off + 6,
	    tdo_csum_fold(tdo_csum_add(
		tdo_csum_pseudo(&src, &other, UDP, p->len - off), ip + off, p->len - off)));
}

static struct tdo_pkt *
sent(struct host *h, struct tdo_pkt *p)
{
	tdo_out(h->w, &p, 1, h->now);
	if (p->verdict != TDO_VERDICT_SEND)
		fail_msg("%s", tdo_reason_info(p->reason)->name);
	return p;
}

/* NONE: it passed. */
static enum tdo_reason
received(struct host *h, struct tdo_pkt *p)
{
	enum tdo_reason r;

	p->flags = TDO_PKT_UDP_ENCAP;
	tdo_in(h->w, &p, 1, h->now);
	r = p->verdict == TDO_VERDICT_PASS ? TDO_REASON_NONE : (enum tdo_reason)p->reason;
	udp_free(p);
	return r;
}

/* ---- transport mode: an SA for each client, told apart by the ports of its connections ----- */

static uint16_t
app(unsigned i)
{
	return (uint16_t)(1001 + i);
}

static uint16_t
port_of(unsigned i)
{
	return (uint16_t)(NAT_PORT + i);
}

/* NetBSD's language: esp-udp, ports at the addresses of SAs and of requests. */
static void
netbsd_transport(bool v6, const char *level)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		unsigned out = 0x2000 + i, in = 0x3000 + i, n = i + 1;
		char lvl[32];

		(void)snprintf(lvl, sizeof(lvl), level, n);
		setkey(&srv,
		    "add %s[4500] %s[%u] esp-udp 0x%x -m transport -u %u -E aes-gcm-16 " KEY ";"
		    "add %s[%u] %s[4500] esp-udp 0x%x -m transport -u %u -E aes-gcm-16 " KEY ";"
		    "spdadd %s %s[%u] udp -P out ipsec esp/transport/%s[4500]-%s[%u]/%s;"
		    "spdadd %s[%u] %s udp -P in ipsec esp/transport/%s[%u]-%s[4500]/%s;",
		    server[v6], nat[v6], port_of(i), out, n, nat[v6], port_of(i), server[v6], in, n,
		    server[v6], nat[v6], app(i), server[v6], nat[v6], port_of(i), lvl, nat[v6],
		    app(i), server[v6], nat[v6], port_of(i), server[v6], lvl);
		setkey(&cl[i],
		    "add %s %s esp-udp 0x%x -m transport -E aes-gcm-16 " KEY ";"
		    "add %s %s esp-udp 0x%x -m transport -E aes-gcm-16 " KEY ";"
		    "spdadd %s %s udp -P out ipsec esp/transport//require;"
		    "spdadd %s %s udp -P in ipsec esp/transport//require;",
		    private[v6], server[v6], in, server[v6], private[v6], out, private[v6],
		    server[v6], server[v6], private[v6]);
	}
}

/* FreeBSD's: -natt; policies have no ports. */
static void
freebsd_transport(bool v6)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		unsigned out = 0x2000 + i, in = 0x3000 + i, n = i + 1;

		setkey(&srv,
		    "add %s %s esp 0x%x -m transport -u %u -natt %s[4500] %s[%u] -E aes-gcm-16 " KEY
		    ";"
		    "add %s %s esp 0x%x -m transport -u %u -natt %s[%u] %s[4500] -E aes-gcm-16 " KEY
		    ";"
		    "spdadd %s %s[%u] udp -P out ipsec esp/transport//unique:%u;"
		    "spdadd %s[%u] %s udp -P in ipsec esp/transport//unique:%u;",
		    server[v6], nat[v6], out, n, server[v6], private[v6], port_of(i), nat[v6],
		    server[v6], in, n, private[v6], port_of(i), server[v6], server[v6], nat[v6],
		    app(i), n, nat[v6], app(i), server[v6], n);
		setkey(&cl[i],
		    "add %s %s esp 0x%x -m transport -natt %s %s -E aes-gcm-16 " KEY ";"
		    "add %s %s esp 0x%x -m transport -natt %s %s -E aes-gcm-16 " KEY ";"
		    "spdadd %s %s udp -P out ipsec esp/transport//require;"
		    "spdadd %s %s udp -P in ipsec esp/transport//require;",
		    private[v6], server[v6], in, private[v6], server[v6], server[v6], private[v6],
		    out, server[v6], private[v6], private[v6], server[v6], server[v6], private[v6]);
	}
}

/* From client i, by way of the NAT, as one with the port of client `as` would send. */
static enum tdo_reason
to_server(bool v6, unsigned i, unsigned as)
{
	struct tdo_pkt *p = sent(&cl[i], udp_new(private[v6], app(as), server[v6], 7));

	assert_int_equal(outer_port(p, false), 4500);
	assert_int_equal(outer_port(p, true), 4500);
	translate(p, false, nat[v6], port_of(i));
	return received(&srv, p);
}

/* The answer to client i; ret: the port that it went to. */
static enum tdo_reason
to_client(bool v6, unsigned i, uint16_t *ret)
{
	struct tdo_pkt *p = sent(&srv, udp_new(server[v6], 7, nat[v6], app(i)));

	assert_int_equal(outer_port(p, false), 4500);
	*ret = outer_port(p, true);
	translate(p, true, private[v6], 4500);
	return received(&cl[i], p);
}

static void
converse(bool v6)
{
	uint16_t port;

	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_int_equal(to_server(v6, i, i), TDO_REASON_NONE);
			assert_int_equal(to_client(v6, i, &port), TDO_REASON_NONE);
			assert_int_equal(port, port_of(i));
		}
	/* Nobody passes for his neighbour. */
	assert_int_equal(to_server(v6, 1, 0), TDO_REASON_IN_WRONG_SA);
	assert_int_equal(to_server(v6, 0, 1), TDO_REASON_IN_WRONG_SA);
}

static void
two_clients_behind_one_nat_in_transport_mode(void **state)
{
	(void)state;
	netbsd_transport(false, "unique:%u");
	converse(false);
}

static void
ports_alone_tell_clients_apart(void **state)
{
	(void)state;
	netbsd_transport(false, "require");
	converse(false);
}

static void
policies_without_ports_take_sas_with_ports(void **state)
{
	(void)state;
	freebsd_transport(false);
	converse(false);
}

static void
d32_two_clients_behind_one_nat_over_ipv6(void **state)
{
	(void)state;
	netbsd_transport(true, "unique:%u");
	converse(true);
}

static void
d32_ports_alone_tell_clients_apart_over_ipv6(void **state)
{
	(void)state;
	netbsd_transport(true, "require");
	converse(true);
}

static void
d32_the_language_of_freebsd_over_ipv6(void **state)
{
	(void)state;
	freebsd_transport(true);
	converse(true);
}

/* ---- tunnels ------------------------------------------------------------------------------ */

static void
tunnels(bool v6, const char *level)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		unsigned out = 0x2000 + i, in = 0x3000 + i, n = i + 1;
		char lvl[32];

		(void)snprintf(lvl, sizeof(lvl), level, n);
		setkey(&srv,
		    "add %s[4500] %s[%u] esp-udp 0x%x -m tunnel -u %u -E aes-gcm-16 " KEY ";"
		    "add %s[%u] %s[4500] esp-udp 0x%x -m tunnel -u %u -E aes-gcm-16 " KEY ";"
		    "spdadd %s %s any -P out ipsec esp/tunnel/%s[4500]-%s[%u]/%s;"
		    "spdadd %s %s any -P in ipsec esp/tunnel/%s[%u]-%s[4500]/%s;",
		    server[v6], nat[v6], port_of(i), out, n, nat[v6], port_of(i), server[v6], in, n,
		    home, net[i], server[v6], nat[v6], port_of(i), lvl, net[i], home, nat[v6],
		    port_of(i), server[v6], lvl);
		setkey(&cl[i],
		    "add %s %s esp-udp 0x%x -m tunnel -E aes-gcm-16 " KEY ";"
		    "add %s %s esp-udp 0x%x -m tunnel -E aes-gcm-16 " KEY ";"
		    "spdadd 0.0.0.0/0 %s any -P out ipsec esp/tunnel/%s-%s/require;"
		    "spdadd %s %s any -P in ipsec esp/tunnel/%s-%s/require;",
		    private[v6], server[v6], in, server[v6], private[v6], out, home, private[v6],
		    server[v6], home, net[i], server[v6], private[v6]);
	}
}

static enum tdo_reason
through_tunnel(bool v6, unsigned i, unsigned as)
{
	struct tdo_pkt *p = sent(&cl[i], udp_new(net[as], 9, home, 7));

	translate(p, false, nat[v6], port_of(i));
	return received(&srv, p);
}

static uint16_t
back_through_tunnel(bool v6, unsigned i)
{
	struct tdo_pkt *p = sent(&srv, udp_new(home, 7, net[i], 9));
	uint16_t port = outer_port(p, true);

	translate(p, true, private[v6], 4500);
	assert_int_equal(received(&cl[i], p), TDO_REASON_NONE);
	return port;
}

static void
converse_by_tunnels(bool v6)
{
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_int_equal(through_tunnel(v6, i, i), TDO_REASON_NONE);
			assert_int_equal(back_through_tunnel(v6, i), port_of(i));
		}
	assert_int_equal(through_tunnel(v6, 1, 0), TDO_REASON_IN_WRONG_SA);
}

static void
two_clients_behind_one_nat_in_tunnel_mode(void **state)
{
	(void)state;
	tunnels(false, "unique:%u");
	converse_by_tunnels(false);
}

static void
ports_alone_tell_tunnels_apart(void **state)
{
	(void)state;
	tunnels(false, "require");
	converse_by_tunnels(false);
}

static void
d32_tunnels_over_ipv6(void **state)
{
	(void)state;
	tunnels(true, "require");
	converse_by_tunnels(true);
}

/* ---- ports that change -------------------------------------------------------------------- */

/* How many new mappings are told. */
static unsigned
tick(void)
{
	struct tdo_event ev;
	unsigned n = 0;

	tdo_worker_quiesce(srv.w);
	tdo_engine_tick(srv.e, srv.now);
	for (; tdo_engine_next_event(srv.e, &ev); n++)
		assert_int_equal(ev.type, TDO_EVENT_NAT_MAPPING);
	return n;
}

/* By a tunnel from client i, which the NAT gives this address and port now. */
static void
arrives_from(unsigned i, const char *from, uint16_t port)
{
	struct tdo_pkt *p = sent(&cl[i], udp_new(net[i], 9, home, 7));

	translate(p, false, from, port);
	assert_int_equal(received(&srv, p), TDO_REASON_NONE);
}

static struct tdo_natt
natt_of(unsigned spi, bool v6, bool to_nat)
{
	struct tdo_sa_key k = {.satype = TDO_SATYPE_ESP,
	    .spi = spi,
	    .src = addr(to_nat ? server[v6] : nat[v6]),
	    .dst = addr(to_nat ? nat[v6] : server[v6])};
	struct tdo_sa_info info;

	assert_int_equal(tdo_sa_get(srv.e, &k, &info), 0);
	return info.param.natt;
}

/* The NAT rebooted: client 0 comes from another port, which policies do not know. */
static void
d19_policies_with_ports_follow_a_new_one(void **state)
{
	(void)state;
	tunnels(false, "require");
	converse_by_tunnels(false);
	arrives_from(0, nat[0], 31000);
	/* At once, and without the control thread. */
	assert_int_equal(back_through_tunnel(false, 0), 31000);
	assert_int_equal(back_through_tunnel(false, 1), port_of(1));
	assert_int_equal(natt_of(0x2000, false, true).dport, port_of(0));
	/* Who jumps about is followed when the control thread comes by. */
	arrives_from(0, nat[0], 31001);
	arrives_from(0, nat[0], 31000);
	arrives_from(0, nat[0], 31001);
	assert_int_equal(back_through_tunnel(false, 0), 31000);
	assert_int_equal(tick(), 1);
	assert_int_equal(back_through_tunnel(false, 0), 31001);
	arrives_from(0, nat[0], 31000);
	assert_int_equal(tick(), 1);
	assert_int_equal(back_through_tunnel(false, 0), 31000);
	assert_int_equal(back_through_tunnel(false, 1), port_of(1));
	assert_int_equal(srv.followed, 4); /* the SA that it came by, and the one back */
	assert_int_equal(natt_of(0x2000, false, true).dport, 31000);
	assert_int_equal(natt_of(0x2000, false, true).named_dport, port_of(0));
	assert_int_equal(natt_of(0x3000, false, false).sport, 31000);
	/* An update of something else keeps that. */
	setkey(&srv, "update %s %s esp 0x2000 -m tunnel -u 1 -lh 3600;", server[0], nat[0]);
	assert_int_equal(back_through_tunnel(false, 0), 31000);
	/* When it comes back to its old port there is nothing more to know. */
	arrives_from(0, nat[0], port_of(0));
	assert_int_equal(tick(), 1);
	assert_int_equal(back_through_tunnel(false, 0), port_of(0));
	assert_int_equal(natt_of(0x2000, false, true).named_dport, 0);
}

static void
comes_from(unsigned i, uint16_t port)
{
	struct tdo_pkt *p = sent(&cl[i], udp_new(net[i], 9, home, 7));

	translate(p, false, nat[0], port);
	assert_int_equal(received(&srv, p), TDO_REASON_NONE);
	tick();
}

/* The NAT gives each of two clients the port that was the other's. */
static void
d19_swapped_ports_are_followed(void **state)
{
	(void)state;
	tunnels(false, "unique:%u");
	converse_by_tunnels(false);
	for (unsigned round = 0; round < 3; round++) {
		comes_from(0, port_of(1));
		assert_int_equal(back_through_tunnel(false, 0), port_of(1));
		comes_from(1, port_of(0));
		assert_int_equal(back_through_tunnel(false, 0), port_of(1));
		assert_int_equal(back_through_tunnel(false, 1), port_of(0));
		comes_from(1, port_of(1));
		comes_from(0, port_of(0));
		assert_int_equal(back_through_tunnel(false, 0), port_of(0));
		assert_int_equal(back_through_tunnel(false, 1), port_of(1));
	}
}

/* An SA that key management made after a move, and named with the new port, goes on with the old
 * ones. */
static void
d19_sas_made_after_a_move_follow_the_next(void **state)
{
	(void)state;
	tunnels(false, "unique:%u");
	converse_by_tunnels(false);
	comes_from(0, 31000);
	setkey(&srv, "add %s[4500] %s[31000] esp-udp 0x2777 -m tunnel -u 1 -E aes-gcm-16 " KEY ";",
	    server[0], nat[0]);
	assert_int_equal(natt_of(0x2777, false, true).dport, 31000);
	comes_from(0, 32000);
	assert_int_equal(natt_of(0x2777, false, true).dport, 32000);
	assert_int_equal(natt_of(0x2000, false, true).dport, 32000);
	/* And they are told apart from the other client's. */
	comes_from(1, 31000);
	assert_int_equal(natt_of(0x2777, false, true).dport, 32000);
	assert_int_equal(back_through_tunnel(false, 1), 31000);
}

/* A message to one client of PF_KEY: true when there is one. */
static bool
heard(struct tdo_pfkey_client *c, struct tdo_sadb_msg *ret)
{
	static uint8_t buf[TDO_PFKEY_MSG_MAX];
	size_t len = tdo_pfkey_pull(c, buf, sizeof(buf));

	if (len > 0)
		assert_int_equal(tdo_sadb_parse(buf, len, ret, NULL), 0);
	return len > 0;
}

static struct tdo_pfkey_client *
listener(uint8_t type, uint8_t satype)
{
	struct tdo_sadb_msg m;
	struct tdo_pfkey_client *c;
	uint8_t buf[64];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	assert_int_equal(tdo_pfkey_open(srv.pfkey, &(struct tdo_pfkey_cred){true, 7}, NULL, &c), 0);
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type, .satype = satype});
	tdo_pfkey_input(c, buf, tdo_sadb_end(&w), srv.now);
	while (heard(c, &m))
		assert_int_equal(m.base.err, 0);
	return c;
}

static void
expect_mapping(const struct tdo_sadb_msg *m, bool v6, uint16_t old, uint16_t new)
{
	struct tdo_sadb_address src, dst;
	struct tdo_sadb_sa sa;
	struct tdo_addr at = addr(nat[v6]);
	uint16_t port;

	assert_int_equal(m->base.type, TDO_SADB_X_NAT_T_NEW_MAPPING);
	assert_int_equal(m->base.satype, TDO_SATYPE_ESP);
	assert_true(tdo_sadb_get_sa(m, &sa));
	assert_int_equal(sa.spi, 0x3000);
	assert_true(tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_SRC, &src));
	assert_true(tdo_sadb_get_address(m, TDO_SADB_EXT_ADDRESS_DST, &dst));
	assert_true(tdo_addr_equal(&src.addr, &at) && tdo_addr_equal(&dst.addr, &at));
	assert_true(tdo_sadb_get_natt_port(m, TDO_SADB_X_EXT_NAT_T_SPORT, &port));
	assert_int_equal(port, old);
	assert_true(tdo_sadb_get_natt_port(m, TDO_SADB_X_EXT_NAT_T_DPORT, &port));
	assert_int_equal(port, new);
	assert_false(tdo_sadb_has(m, TDO_SADB_EXT_KEY_ENCRYPT));
}

/* Key managers and whoever listens to everything (setkey -x); nobody else. */
static void
mapping_is_heard(bool v6)
{
	struct tdo_pfkey_client *manager = listener(TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	struct tdo_pfkey_client *other = listener(TDO_SADB_REGISTER, TDO_SATYPE_AH);
	struct tdo_pfkey_client *all = listener(TDO_SADB_X_PROMISC, 1);
	struct tdo_sadb_msg m, inner_msg;

	tunnels(v6, "require");
	while (heard(all, &m) || heard(manager, &m) || heard(other, &m))
		continue; /* of the statements */
	arrives_from(0, nat[v6], 31000);
	tdo_worker_quiesce(srv.w);
	tdo_engine_tick(srv.e, srv.now);
	tdo_pfkey_events(srv.pfkey, srv.now);
	assert_true(heard(manager, &m));
	expect_mapping(&m, v6, port_of(0), 31000);
	assert_true(heard(all, &m));
	assert_int_equal(m.base.type, TDO_SADB_X_PROMISC);
	assert_int_equal(tdo_sadb_parse(m.payload, m.payload_len, &inner_msg, NULL), 0);
	expect_mapping(&inner_msg, v6, port_of(0), 31000);
	assert_false(heard(manager, &m) || heard(all, &m) || heard(other, &m));
	tdo_pfkey_close(manager);
	tdo_pfkey_close(other);
	tdo_pfkey_close(all);
}

static void
d19_key_managers_hear_of_a_new_mapping(void **state)
{
	(void)state;
	mapping_is_heard(false);
}

static void
d19_d32_key_managers_hear_of_it_over_ipv6(void **state)
{
	(void)state;
	mapping_is_heard(true);
}

/* The NAT gives each client the port that was the other's. */
static void
d19_clients_may_change_places(void **state)
{
	(void)state;
	tunnels(false, "require");
	converse_by_tunnels(false);
	for (unsigned round = 1; round < 4; round++) {
		arrives_from(0, nat[0], port_of(round % 2));
		assert_int_equal(tick(), 1);
		arrives_from(1, nat[0], port_of(1 - round % 2));
		assert_int_equal(tick(), 1);
		assert_int_equal(back_through_tunnel(false, 0), port_of(round % 2));
		assert_int_equal(back_through_tunnel(false, 1), port_of(1 - round % 2));
	}
}

/* Another address is told once, also when the SA is updated in between. */
static void
d19_an_update_tells_nothing_again(void **state)
{
	(void)state;
	tunnels(false, "unique:%u");
	arrives_from(0, "192.0.2.77", 31000);
	assert_int_equal(tick(), 1);
	setkey(&srv, "update %s %s esp 0x3000 -m tunnel -u 1 -lh 3600;", nat[0], server[0]);
	arrives_from(0, "192.0.2.77", 31000);
	assert_int_equal(tick(), 0);
	assert_int_equal(back_through_tunnel(false, 0), port_of(0)); /* key management decides */
	/* It was seen, and not looked at when the update came. */
	arrives_from(0, "192.0.2.78", 31000);
	setkey(&srv, "update %s %s esp 0x3000 -m tunnel -u 1 -lh 3600;", nat[0], server[0]);
	assert_int_equal(tick(), 0);
	arrives_from(0, "192.0.2.78", 31000);
	assert_int_equal(tick(), 1);
	/* Only one of the two SAs knows a new port; the request id says what belongs to
	 * what. */
	setkey(&srv, "update %s[33000] %s[4500] esp-udp 0x3000 -m tunnel -u 1;", nat[0], server[0]);
	arrives_from(0, nat[0], 34000);
	assert_int_equal(tick(), 1);
	assert_int_equal(back_through_tunnel(false, 0), port_of(0));
	setkey(&srv, "update %s[4500] %s[34000] esp-udp 0x2000 -m tunnel -u 1;", server[0], nat[0]);
	arrives_from(0, nat[0], 35000);
	assert_int_equal(tick(), 1);
	assert_int_equal(back_through_tunnel(false, 0), 35000);
}

/* Key management says where the peer is now: what goes out follows at once. */
static void
an_update_moves_what_goes_out(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	tunnels(false, "unique:%u");
	assert_int_equal(back_through_tunnel(false, 0), port_of(0));
	setkey(&srv, "update %s[4500] %s[32000] esp-udp 0x2000 -m tunnel -u 1;", server[0], nat[0]);
	/* Also while the policy has the old port: UNIQUE names the SA. */
	assert_int_equal(back_through_tunnel(false, 0), 32000);
	setkey(&srv, "spdupdate %s %s any -P out ipsec esp/tunnel/%s[4500]-%s[32000]/unique:1;",
	    home, net[0], server[0], nat[0]);
	assert_int_equal(back_through_tunnel(false, 0), 32000);
	/* MOBIKE: another address. */
	setkey(&srv,
	    "update %s %s[4500] esp-udp 0x2000 -m tunnel -u 1 -new %s 198.51.100.7;"
	    "spdupdate %s %s any -P out ipsec esp/tunnel/%s-198.51.100.7/unique:1;",
	    server[0], nat[0], server[0], home, net[0], server[0]);
	p = sent(&srv, udp_new(home, 7, net[0], 9));
	assert_int_equal(outer_port(p, true), 4500);
	assert_memory_equal(tdo_pkt_data(p) + 16, addr("198.51.100.7").b, 4);
	udp_free(p);
	assert_int_equal(back_through_tunnel(false, 1), port_of(1));
}

/* ---- requests and SAs that do not agree
 * --------------------------------------------------- */

static bool
goes_out(uint16_t *ret)
{
	struct tdo_pkt *p = udp_new(home, 7, net[0], 9);
	bool ok;

	tdo_out(srv.w, &p, 1, srv.now);
	ok = p->verdict == TDO_VERDICT_SEND;
	if (!ok)
		assert_int_equal(p->reason, TDO_REASON_OUT_NO_SA);
	*ret = ok && p->ip.flow.proto == UDP ? outer_port(p, true) : 0;
	udp_free(p);
	return ok;
}

static void
which_sa_suits_which_request(void **state)
{
	uint16_t port;

	(void)state;
	setkey(&srv, "spdadd %s %s any -P out ipsec esp/tunnel/%s[4500]-%s[30000]/require;", home,
	    net[0], server[0], nat[0]);
	setkey(&srv, "add %s[4500] %s[30001] esp-udp 0x2001 -m tunnel -E aes-gcm-16 " KEY ";",
	    server[0], nat[0]);
	assert_false(goes_out(&port)); /* the neighbour's */
	setkey(&srv, "add %s %s esp 0x2002 -m tunnel -E aes-gcm-16 " KEY ";", server[0], nat[0]);
	assert_true(goes_out(&port)); /* no NAT was found in the end */
	assert_int_equal(port, 0);
	setkey(&srv, "add %s[4500] %s[30000] esp-udp 0x2003 -m tunnel -E aes-gcm-16 " KEY ";",
	    server[0], nat[0]);
	setkey(&srv, "add %s %s esp 0x2004 -m tunnel -E aes-gcm-16 " KEY ";", server[0], nat[0]);
	assert_true(goes_out(&port)); /* the one that is meant, though it is not the newest */
	assert_int_equal(port, 30000);
	/* One port alone. */
	setkey(&srv, "spdupdate %s %s any -P out ipsec esp/tunnel/%s-%s[30001]/require;", home,
	    net[0], server[0], nat[0]);
	assert_true(goes_out(&port));
	assert_int_equal(port, 30001);
	setkey(&srv, "spdupdate %s %s any -P out ipsec esp/tunnel/%s[4501]-%s/require;", home,
	    net[0], server[0], nat[0]);
	assert_true(goes_out(&port));
	assert_int_equal(port, 0);
}

static void
ports_are_for_esp_with_addresses(void **state)
{
	(void)state;
	assert_int_equal(host_setkey(&srv, "spdadd 10.1.0.1 10.1.0.2 any -P out ipsec "
					   "ah/tunnel/10.0.0.1[4500]-10.0.0.2/require;"),
	    EINVAL);
	assert_int_equal(tdo_engine_counts(srv.e).sps, 0);
}

/* ---- ESP in UDP that is not the outermost
 * ------------------------------------------------- */

/* The UDP header behind the IP header and an AH header, if there is one. */
static uint8_t *
udp_header(struct tdo_pkt *p)
{
	uint8_t *ip = tdo_pkt_data(p);
	bool v6 = ip[0] >> 4 == 6;
	uint8_t *next = ip + (v6 ? 40 : 20);

	if (ip[v6 ? 6 : 9] != 51)
		return next;
	assert_int_equal(next[0], UDP);
	return next + (next[1] + 2) * 4;
}

/*
 * Whoever puts another header outside must not leave the checksum of UDP to the kernel: AH
 * covers it, and the kernel would not find it.
 */
static void
checksum_under(bool v6, const char *outside, bool left)
{
	struct tdo_addr src = addr(private[v6]), dst = addr(server[v6]);
	struct tdo_pkt *p = udp_new(private[v6], 1001, server[v6], 7);
	uint32_t sum, len;
	uint8_t *u;

	host_flush(&cl[0]);
	setkey(&cl[0],
	    "add %s %s esp-udp 0x2000 -m transport -E aes-gcm-16 " KEY ";"
	    "add %s %s ah 0x2001 -m transport -A hmac-sha256 "
	    "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f;"
	    "spdadd %s %s any -P out ipsec esp/transport//require%s;",
	    private[v6], server[v6], private[v6], server[v6], private[v6], server[v6], outside);
	tdo_out_classify(cl[0].w, &p, 1, cl[0].now);
	assert_int_equal(p->verdict, TDO_VERDICT_PROTECT);
	p->flags |= TDO_PKT_UDP_CSUM;
	tdo_out_protect(cl[0].w, &p, 1, cl[0].now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	u = udp_header(p);
	len = (uint32_t)(tdo_pkt_data(p) + p->len - u);
	assert_int_equal(tdo_be16(u + 4), len);
	sum = tdo_csum_add(tdo_csum_pseudo(&src, &dst, UDP, len), u, len);
	if (left)
		assert_int_equal(tdo_be16(u + 6), 0);
	else
		assert_int_equal(tdo_csum_fold(sum), 0);
	udp_free(p);
}

static void
a_checksum_under_ah_is_not_left_to_the_kernel(void **state)
{
	(void)state;
	checksum_under(false, "", true);
	checksum_under(false, " ah/transport//require", true); /* there is none: RFC 3948 2.1 */
	checksum_under(true, "", true);
	checksum_under(true, " ah/transport//require", false);
}

#define T(x) cmocka_unit_test_setup_teardown(x, open_hosts, close_hosts)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(two_clients_behind_one_nat_in_transport_mode),
	    T(ports_alone_tell_clients_apart),
	    T(policies_without_ports_take_sas_with_ports),
	    T(d32_two_clients_behind_one_nat_over_ipv6),
	    T(d32_ports_alone_tell_clients_apart_over_ipv6),
	    T(d32_the_language_of_freebsd_over_ipv6),
	    T(two_clients_behind_one_nat_in_tunnel_mode),
	    T(ports_alone_tell_tunnels_apart),
	    T(d32_tunnels_over_ipv6),
	    T(d19_policies_with_ports_follow_a_new_one),
	    T(d19_swapped_ports_are_followed),
	    T(d19_sas_made_after_a_move_follow_the_next),
	    T(d19_key_managers_hear_of_a_new_mapping),
	    T(d19_d32_key_managers_hear_of_it_over_ipv6),
	    T(d19_clients_may_change_places),
	    T(d19_an_update_tells_nothing_again),
	    T(an_update_moves_what_goes_out),
	    T(which_sa_suits_which_request),
	    T(ports_are_for_esp_with_addresses),
	    T(a_checksum_under_ah_is_not_left_to_the_kernel),
	};

	return cmocka_run_group_tests_name("natt", tests, NULL, NULL);
}
