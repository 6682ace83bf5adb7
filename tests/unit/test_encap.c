/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESP in UDP (RFC 3948): both forms, both families, both modes; what a NAT does to addresses, ports
 * and checksums; what else comes to the port.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/encap.h"
#include "engine/engine.h"
#include "fixture.h"
#include "testudo/comp.h"
#include "wire/ip.h"

#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

enum { SPI = 0x1001, UDP = 17, TCP = 6 };

/* [v6]: the client behind the NAT, the NAT, another NAT, the server; and what tunnels carry. */
static const char *const
    client[2] = {"10.0.0.1", "fd00::1"},
    *const nat[2] = {"192.0.2.9", "2001:db8::9"}, *const nat2[2] = {"192.0.2.8", "2001:db8::8"},
    *const server[2] = {"192.0.2.1", "2001:db8::1"}, *const inner[2] = {"172.16.0.1", "172.16.0.2"};

/* tx is the client, rx the server. */
static struct fx tx, rx;

static int
open_engines(void **state)
{
	(void)state;
	memset(&tx, 0, sizeof(tx));
	memset(&rx, 0, sizeof(rx));
	fx_open(&tx, NULL);
	fx_open(&rx, NULL);
	return 0;
}

static int
close_engines(void **state)
{
	(void)state;
	fx_close(&tx);
	fx_close(&rx);
	return 0;
}

static struct tdo_natt
natt(uint16_t sport, uint16_t dport)
{
	return (struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = sport, .dport = dport};
}

/* The SA from the client as each end has it: the server knows the NAT's address and port. */
static void
add_sas(bool v6, uint8_t mode, uint8_t type, struct tdo_natt server_sees)
{
	struct fx_sa sa = {.src = client[v6],
	    .dst = server[v6],
	    .spi = SPI,
	    .mode = mode,
	    .enc = "aes-gcm-16",
	    .replay = 64,
	    .natt = natt(4500, 4500)};

	sa.natt.type = type;
	fx_add_sa(&tx, &sa);
	sa.src = nat[v6];
	sa.natt = server_sees;
	sa.natt.type = type;
	fx_add_sa(&rx, &sa);
}

static void
add_policies(bool v6, uint8_t mode)
{
	char tunnel[128];

	(void)snprintf(tunnel, sizeof(tunnel), "esp/tunnel/%s-%s/require", client[v6], server[v6]);
	if (mode == TDO_MODE_TUNNEL)
		fx_add_sp(&tx, OUT, inner[0], inner[1], TDO_PROTO_ANY, tunnel);
	else
		fx_add_sp(
		    &tx, OUT, client[v6], server[v6], TDO_PROTO_ANY, "esp/transport//require");
	(void)snprintf(tunnel, sizeof(tunnel), "esp/tunnel/%s-%s/require", nat[v6], server[v6]);
	if (mode == TDO_MODE_TUNNEL)
		fx_add_sp(&rx, IN, inner[0], inner[1], TDO_PROTO_ANY, tunnel);
	else
		fx_add_sp(&rx, IN, nat[v6], server[v6], TDO_PROTO_ANY, "esp/transport//require");
}

static struct tdo_pkt *
send_from_client(struct tdo_pkt *p)
{
	tdo_out(tx.w, &p, 1, tx.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	return p;
}

/* What a NAT does to a UDP packet: another source, and the checksums that belong to it. */
static void
translate(struct tdo_pkt *p, const char *src, uint16_t sport)
{
	uint8_t *ip = tdo_pkt_data(p);
	struct tdo_addr a = fx_addr(src);
	bool v6 = ip[0] >> 4 == 6;
	uint8_t *udp = ip + (v6 ? 40 : 20);

	memcpy(ip + (v6 ? 8 : 12), a.b, tdo_af_len(a.af));
	tdo_put_be16(udp, sport);
	if (!v6) {
		tdo_ip4_set_csum(ip);
		return;
	}
	tdo_put_be16(udp + 6, 0);
	tdo_put_be16(udp + 6,
	    tdo_csum_fold(tdo_csum_add(
		tdo_csum_pseudo(&a, &p->ip.flow.dst, UDP, p->len - 40), udp, p->len - 40)));
}

static struct tdo_pkt *
receive(struct tdo_pkt *p)
{
	p->flags = TDO_PKT_UDP_ENCAP;
	tdo_in(rx.w, &p, 1, rx.now);
	return p;
}

static void
expect_drop(struct tdo_pkt *p, enum tdo_reason r)
{
	assert_int_equal(p->verdict, TDO_VERDICT_DROP);
	if (p->reason != r)
		fail_msg("%s", tdo_reason_info(p->reason)->name);
	fx_pkt_free(p);
}

/* True when the upper-layer checksum belongs to the addresses that the packet has now. */
static bool
csum_right(const struct tdo_pkt *p, uint8_t proto)
{
	struct tdo_ip_info ip;
	uint32_t len;

	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip), TDO_REASON_NONE);
	assert_int_equal(ip.flow.proto, proto);
	len = p->len - ip.l4_off;
	return tdo_csum_fold(tdo_csum_add(tdo_csum_pseudo(&ip.flow.src, &ip.flow.dst, proto, len),
		   tdo_pkt_data(p) + ip.l4_off, len)) == 0;
}

/* UDP with its checksum, or TCP, whose header is then the first 20 bytes of the payload. */
static struct tdo_pkt *
upper(uint8_t proto, const char *src, const char *dst, uint32_t payload)
{
	struct tdo_pkt *p = fx_udp(&tx.rng, src, dst, payload);
	uint8_t *ip = tdo_pkt_data(p);
	bool v6 = ip[0] >> 4 == 6;
	uint32_t off = v6 ? 40 : 20, csum = proto == TCP ? 16 : 6;
	struct tdo_addr a = fx_addr(src), b = fx_addr(dst);

	ip[v6 ? 6 : 9] = proto;
	if (!v6)
		tdo_ip4_set_csum(ip);
	if (proto == TCP)
		ip[off + 12] = 5 << 4;
	tdo_put_be16(ip + off + csum, 0);
	tdo_put_be16(ip + off + csum,
	    tdo_csum_fold(tdo_csum_add(
		tdo_csum_pseudo(&a, &b, proto, p->len - off), ip + off, p->len - off)));
	assert_true(csum_right(p, proto));
	return p;
}

/* ---- the wire ----------------------------------------------------------------------------- */

/* RFC 3948 2.1, 3.1 and 3.3; the older form has eight zero bytes more. */
static void
check_wire(bool v6, uint8_t mode, uint8_t type)
{
	uint32_t marker = type == TDO_NATT_NON_IKE ? 8 : 0, hlen = v6 ? 40 : 20, before, i;
	struct tdo_pkt *p;
	uint8_t *ip, *udp;

	add_sas(v6, mode, type, natt(1024, 4500));
	add_policies(v6, mode);
	p = mode == TDO_MODE_TUNNEL ? upper(UDP, inner[0], inner[1], 100)
				    : upper(UDP, client[v6], server[v6], 100);
	before = p->len;
	p->path_mtu = 1500;
	tdo_out_classify(tx.w, &p, 1, tx.now);
	i = tdo_out_inner_mtu(p, 1500);
	tdo_out_protect(tx.w, &p, 1, tx.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	ip = tdo_pkt_data(p);
	udp = ip + hlen;
	assert_int_equal(ip[0] >> 4, v6 ? 6 : 4);
	assert_int_equal(ip[v6 ? 6 : 9], UDP);
	assert_int_equal(tdo_be16(udp), 4500);
	assert_int_equal(tdo_be16(udp + 2), 4500);
	assert_int_equal(tdo_be16(udp + 4), p->len - hlen);
	if (v6)
		assert_true(csum_right(p, UDP));
	else
		assert_int_equal(tdo_be16(udp + 6), 0);
	for (unsigned k = 0; k < marker; k++)
		assert_int_equal(udp[8 + k], 0);
	assert_int_equal(tdo_be32(udp + 8 + marker), SPI);
	assert_int_equal(tdo_be32(udp + 12 + marker), 1);
	/* The estimate of the sizes is exact: 1500 bytes would fit, one step more would not. */
	assert_true(i > 1300 && i + (p->len - before) <= 1500 + 3 && i + (p->len - before) > 1490);
	translate(p, nat[v6], 1024);
	p = receive(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->len, before);
	assert_true(csum_right(p, UDP));
	fx_pkt_free(p);
}

static void
both_forms_in_both_families_and_modes(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		check_wire(i & 1, i & 2 ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
		    i & 4 ? TDO_NATT_NON_IKE : TDO_NATT_ESPINUDP);
		(void)close_engines(state);
		(void)open_engines(state);
	}
}

/* RFC 7296 2.23: both forms have to be taken, whatever was agreed upon. */
static void
esp_comes_with_and_without_udp(void **state)
{
	struct fx_sa sa = {.src = client[0],
	    .dst = server[0],
	    .spi = SPI,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "aes-gcm-16",
	    .replay = 64};
	struct tdo_pkt *p;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		sa.natt = k ? natt(4500, 4500) : (struct tdo_natt){0};
		fx_add_sa(&tx, &sa);
		sa.natt = k ? (struct tdo_natt){0} : natt(4500, 4500);
		fx_add_sa(&rx, &sa);
		if (k == 0) {
			fx_add_sp(&tx, OUT, client[0], server[0], TDO_PROTO_ANY,
			    "esp/transport//require");
			fx_add_sp(
			    &rx, IN, client[0], server[0], TDO_PROTO_ANY, "esp/transport//require");
		}
		p = receive(send_from_client(upper(UDP, client[0], server[0], 100)));
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_true(csum_right(p, UDP));
		fx_pkt_free(p);
		fx_delete_sa(&tx, &sa);
		fx_delete_sa(&rx, &sa);
	}
}

/* The 552 bytes of old NATs, or what X_NAT_T_FRAG says (spec 7.1 step 10). */
static void
fragment_limit_is_the_inner_mtu(void **state)
{
	struct tdo_natt n = natt(4500, 4500);
	struct tdo_pkt *p;

	(void)state;
	n.frag = 552;
	fx_add_sa(&tx, &(struct fx_sa){.src = client[0],
			   .dst = server[0],
			   .spi = SPI,
			   .mode = TDO_MODE_TRANSPORT,
			   .enc = "aes-gcm-16",
			   .natt = n});
	fx_add_sp(&tx, OUT, client[0], server[0], TDO_PROTO_ANY, "esp/transport//require");
	p = fx_udp(&tx.rng, client[0], server[0], 1000);
	tdo_out_classify(tx.w, &p, 1, tx.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PROTECT);
	assert_int_equal(tdo_out_inner_mtu(p, 1500), 552);
	assert_true(tdo_out_inner_mtu(p, 500) < 500);
	fx_pkt_free(p);
}

/* ---- checksums ---------------------------------------------------------------------------- */

/* RFC 3948 3.1.2.  oa: the server knows the address that the client has. */
static void
check_repair(bool v6, bool oa, int32_t always, bool damaged)
{
	struct tdo_natt sees = natt(1024, 4500);
	struct tdo_pkt *p[2];

	if (oa)
		sees.oa_src = fx_addr(client[v6]);
	add_sas(v6, TDO_MODE_TRANSPORT, TDO_NATT_ESPINUDP, sees);
	add_policies(v6, TDO_MODE_TRANSPORT);
	fx_knob(&rx, TDO_KNOB_NATT_CKSUM_POLICY, always);
	p[0] = upper(TCP, client[v6], server[v6], 100);
	p[1] = upper(UDP, client[v6], server[v6], 33);
	for (unsigned i = 0; i < 2; i++) {
		if (damaged)
			tdo_pkt_data(p[i])[p[i]->len - 1] ^= 1;
		p[i] = send_from_client(p[i]);
		translate(p[i], nat[v6], 1024);
		p[i] = receive(p[i]);
		assert_int_equal(p[i]->verdict, TDO_VERDICT_PASS);
		/* D53: only a checksum that is computed again hides damage. */
		assert_int_equal(csum_right(p[i], i == 0 ? TCP : UDP), !damaged || !oa || always);
		fx_pkt_free(p[i]);
	}
}

static void
d53_checksums_are_corrected_and_damage_stays_visible(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		check_repair(i & 1, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0);
		(void)close_engines(state);
		(void)open_engines(state);
	}
}

static void
udp_without_checksum_has_none_afterwards(void **state)
{
	struct tdo_pkt *p = fx_udp(&tx.rng, client[0], server[0], 33);

	(void)state;
	add_sas(false, TDO_MODE_TRANSPORT, TDO_NATT_ESPINUDP, natt(1024, 4500));
	add_policies(false, TDO_MODE_TRANSPORT);
	tdo_put_be16(tdo_pkt_data(p) + 26, 0);
	p = send_from_client(p);
	translate(p, nat[0], 1024);
	p = receive(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(tdo_be16(tdo_pkt_data(p) + 26), 0);
	fx_pkt_free(p);
}

/* Both ends behind a NAT: both addresses of the pseudo header were others. */
static void
two_nats_change_both_addresses(void **state)
{
	struct tdo_natt sees = natt(1024, 4500);
	struct tdo_pkt *p;

	(void)state;
	sees.oa_src = fx_addr(client[0]);
	sees.oa_dst = fx_addr(nat2[0]);
	fx_add_sa(&tx, &(struct fx_sa){.src = client[0],
			   .dst = nat2[0],
			   .spi = SPI,
			   .mode = TDO_MODE_TRANSPORT,
			   .enc = "aes-gcm-16",
			   .natt = natt(4500, 4500)});
	fx_add_sp(&tx, OUT, client[0], nat2[0], TDO_PROTO_ANY, "esp/transport//require");
	fx_add_sa(&rx, &(struct fx_sa){.src = nat[0],
			   .dst = server[0],
			   .spi = SPI,
			   .mode = TDO_MODE_TRANSPORT,
			   .enc = "aes-gcm-16",
			   .natt = sees});
	p = send_from_client(upper(TCP, client[0], nat2[0], 100));
	memcpy(tdo_pkt_data(p) + 16, fx_addr(server[0]).b, 4);
	translate(p, nat[0], 1024);
	p = receive(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_true(csum_right(p, TCP));
	fx_pkt_free(p);
}

/* ---- what else comes ---------------------------------------------------------------------- */

static struct tdo_pkt *
udp_with(const void *bytes, uint32_t len)
{
	struct tdo_pkt *p = fx_udp(&tx.rng, nat[0], server[0], len);

	memcpy(tdo_pkt_data(p) + 28, bytes, len);
	tdo_put_be16(tdo_pkt_data(p) + 26, 0);
	return p;
}

static void
what_is_not_esp_is_named(void **state)
{
	static const uint8_t ike[16] = {[4] = 1}, unknown[16] = {[2] = 9, [7] = 1}, zero[12];
	struct tdo_pkt *p;

	(void)state;
	expect_drop(receive(udp_with("\xff", 1)), TDO_REASON_IN_KEEPALIVE);
	expect_drop(receive(udp_with("\xfe", 1)), TDO_REASON_SHORT);
	expect_drop(receive(udp_with("", 0)), TDO_REASON_SHORT);
	expect_drop(receive(udp_with(unknown, 7)), TDO_REASON_SHORT);
	expect_drop(receive(udp_with(zero, 12)), TDO_REASON_SHORT);
	expect_drop(receive(udp_with(ike, 16)), TDO_REASON_IN_NOT_ESP);
	expect_drop(receive(udp_with(unknown, 16)), TDO_REASON_IN_NO_SA);
	/* A length field that says something else. */
	p = udp_with(unknown, 16);
	tdo_put_be16(tdo_pkt_data(p) + 24, 25);
	expect_drop(receive(p), TDO_REASON_SHORT);
	/* Without the flag it is UDP as any other. */
	p = udp_with(ike, 16);
	tdo_in(rx.w, &p, 1, rx.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
}

/* UDP that was inside of ESP is not looked into, whatever port it goes to. */
static void
udp_inside_is_payload(void **state)
{
	static const uint8_t keepalive[] = {0xff};
	struct tdo_pkt *p = fx_udp(&tx.rng, client[0], server[0], 1);

	(void)state;
	add_sas(false, TDO_MODE_TRANSPORT, TDO_NATT_ESPINUDP, natt(1024, 4500));
	add_policies(false, TDO_MODE_TRANSPORT);
	memcpy(tdo_pkt_data(p) + 28, keepalive, 1);
	p = send_from_client(p);
	translate(p, nat[0], 1024);
	p = receive(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
}

/* ---- mappings ----------------------------------------------------------------------------- */

/* The engine's clock ticks; the events that it has, the last one in *ret. */
static unsigned
tick(struct tdo_event *ret)
{
	struct tdo_event ev;
	unsigned n = 0;

	tdo_worker_quiesce(rx.w);
	tdo_engine_tick(rx.e, rx.now);
	while (tdo_engine_next_event(rx.e, &ev)) {
		*ret = ev;
		n++;
	}
	return n;
}

static struct tdo_pkt *
from(const char *src, uint16_t sport)
{
	struct tdo_pkt *p = send_from_client(fx_udp(&tx.rng, inner[0], inner[1], 100));

	translate(p, src, sport);
	return p;
}

static void
pass(struct tdo_pkt *p)
{
	p = receive(p);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	fx_pkt_free(p);
}

/* Where the server's answer goes. */
static uint16_t
answer_port(void)
{
	struct tdo_pkt *p = fx_udp(&rx.rng, inner[1], inner[0], 10);
	uint16_t port;

	tdo_out(rx.w, &p, 1, rx.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(tdo_be16(tdo_pkt_data(p) + 20), 4500);
	port = tdo_be16(tdo_pkt_data(p) + 22);
	fx_pkt_free(p);
	return port;
}

static void
tunnel_through_nat(void)
{
	char out[128];

	add_sas(false, TDO_MODE_TUNNEL, TDO_NATT_ESPINUDP, natt(1024, 4500));
	add_policies(false, TDO_MODE_TUNNEL);
	fx_add_sa(&rx, &(struct fx_sa){.src = server[0],
			   .dst = nat[0],
			   .spi = SPI + 1,
			   .mode = TDO_MODE_TUNNEL,
			   .enc = "aes-gcm-16",
			   .natt = natt(4500, 1024)});
	(void)snprintf(out, sizeof(out), "esp/tunnel/%s-%s/require", server[0], nat[0]);
	fx_add_sp(&rx, OUT, inner[1], inner[0], TDO_PROTO_ANY, out);
}

static void
d19_new_port_is_followed_and_told(void **state)
{
	struct tdo_pkt *late;
	struct tdo_event ev;

	(void)state;
	tunnel_through_nat();
	pass(from(nat[0], 1024));
	assert_int_equal(tick(&ev), 0);
	late = from(nat[0], 1024);
	pass(from(nat[0], 2048));
	assert_int_equal(answer_port(), 2048); /* though the control thread has not come by */
	assert_int_equal(tick(&ev), 1);
	assert_int_equal(ev.type, TDO_EVENT_NAT_MAPPING);
	assert_int_equal(ev.sa.param.key.spi, SPI);
	assert_int_equal(ev.mapping.old_sport, 1024);
	assert_int_equal(ev.mapping.sport, 2048);
	assert_true(tdo_addr_equal(&ev.mapping.src, &(struct tdo_addr){0}) == false);
	assert_int_equal(answer_port(), 2048);
	/* A packet from the old one that was overtaken says nothing. */
	pass(late);
	assert_int_equal(tick(&ev), 0);
	assert_int_equal(answer_port(), 2048);
	/* Another address is told, and left to key management. */
	pass(from(nat2[0], 3000));
	assert_int_equal(tick(&ev), 1);
	assert_int_equal(ev.mapping.old_sport, 2048);
	assert_int_equal(ev.mapping.sport, 3000);
	assert_int_equal(answer_port(), 2048);
	pass(from(nat2[0], 3000));
	assert_int_equal(tick(&ev), 0);
}

/* Who cannot make an ICV, or replays one, moves nothing. */
static void
forged_packets_move_nothing(void **state)
{
	struct tdo_pkt *p, *copy;
	struct tdo_event ev;

	(void)state;
	tunnel_through_nat();
	p = from(nat[0], 1024);
	copy = fx_pkt_new(p->len);
	fx_pkt_set(copy, tdo_pkt_data(p), p->len);
	pass(p);
	translate(copy, nat[0], 6666);
	expect_drop(receive(copy), TDO_REASON_IN_REPLAY_DUP);
	p = from(nat[0], 6666);
	tdo_pkt_data(p)[p->len - 1] ^= 1;
	expect_drop(receive(p), TDO_REASON_IN_ICV);
	assert_int_equal(tick(&ev), 0);
	assert_int_equal(answer_port(), 1024);
}

/* Takes the UDP header out, as one on the way can: it is not authenticated. */
static struct tdo_pkt *
without_udp(struct tdo_pkt *p)
{
	uint8_t *ip = tdo_pkt_data(p) + 8;

	memmove(ip, ip - 8, 20);
	p->off += 8;
	p->len -= 8;
	ip[9] = TDO_IPPROTO_ESP;
	tdo_ip_set_len(ip, p->len);
	return p;
}

/* It is taken (RFC 7296 2.23), and says nothing of ports. */
static void
plain_esp_moves_nothing(void **state)
{
	struct tdo_event ev;

	(void)state;
	tunnel_through_nat();
	pass(without_udp(from(nat[0], 1024)));
	assert_int_equal(tick(&ev), 0);
	assert_int_equal(answer_port(), 1024);
	pass(from(nat[0], 2048));
	assert_int_equal(tick(&ev), 1);
	assert_int_equal(answer_port(), 2048);
}

/* ---- with other settings ------------------------------------------------------------------ */

/* What test_replay and test_integrity change is ESP, and only that. */
static void
faults_on_purpose_are_in_esp(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		bool v6 = i & 1;

		add_sas(v6, TDO_MODE_TRANSPORT, i & 2 ? TDO_NATT_NON_IKE : TDO_NATT_ESPINUDP,
		    natt(4500, 4500));
		add_policies(v6, TDO_MODE_TRANSPORT);
		for (unsigned k = 0; k < 4; k++) {
			struct tdo_pkt *p;

			assert_int_equal(
			    tdo_knob_set(tx.e, TDO_KNOB_TEST_REPLAY, TDO_AF_INET, k == 1 || k == 2),
			    0);
			assert_int_equal(
			    tdo_knob_set(tx.e, TDO_KNOB_TEST_INTEGRITY, TDO_AF_INET, k == 3), 0);
			p = send_from_client(upper(UDP, client[v6], server[v6], 100));
			if (v6)
				assert_true(csum_right(p, UDP));
			translate(p, nat[v6], 4500);
			p = receive(p);
			if (k == 2)
				expect_drop(p, TDO_REASON_IN_REPLAY_DUP);
			else if (k == 3)
				expect_drop(p, TDO_REASON_IN_ICV);
			else
				assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			if (k < 2)
				fx_pkt_free(p);
		}
		(void)close_engines(state);
		(void)open_engines(state);
	}
}

/* Random padding leaves room for the UDP header in the largest packets. */
static void
random_padding_does_not_make_packets_too_large(void **state)
{
	(void)state;
	add_sas(false, TDO_MODE_TRANSPORT, TDO_NATT_NON_IKE, natt(4500, 4500));
	add_policies(false, TDO_MODE_TRANSPORT);
	fx_knob(&tx, TDO_KNOB_ESP_RANDPAD, 65535);
	for (unsigned i = 0; i < 600; i++) {
		uint32_t len = 65420 + i % 50;
		struct tdo_pkt *p =
		    send_from_client(fx_udp(&tx.rng, client[0], server[0], len - 28));

		assert_true(p->len <= TDO_PKT_MAXLEN);
		translate(p, nat[0], 4500);
		pass(p);
	}
}

/* RFC 3828 3.1: a checksum that comes out as zero is sent as all ones. */
static void
corrected_checksums_of_udp_are_never_zero(void **state)
{
	static const uint8_t proto[] = {UDP, TDO_IPPROTO_UDPLITE};
	struct tdo_natt n = natt(4500, 4500);
	const struct tdo_sa *sa;
	struct tdo_addr dst = fx_addr(server[0]);

	(void)state;
	n.oa_src = fx_addr(client[0]);
	add_sas(false, TDO_MODE_TRANSPORT, TDO_NATT_ESPINUDP, n);
	sa = tdo_sad_find_in(rx.e, &dst, SPI, TDO_IPPROTO_ESP);
	for (unsigned i = 0; i < 2; i++) {
		struct tdo_pkt *p = fx_udp(&rx.rng, nat[0], server[0], 20);
		uint8_t *ip = tdo_pkt_data(p);

		ip[9] = proto[i];
		tdo_ip4_set_csum(ip);
		assert_int_equal(tdo_ip_parse(ip, p->len, &p->ip), TDO_REASON_NONE);
		for (uint32_t csum = 1; csum <= 0xffff; csum++) {
			tdo_put_be16(ip + 26, (uint16_t)csum);
			tdo_encap_fix_csum(rx.w, sa, p);
			assert_int_not_equal(tdo_be16(ip + 26), 0);
		}
		fx_pkt_free(p);
	}
}

/* Of a TCP segment behind 20 bytes of IPv4, whose checksum field is zero. */
static uint16_t
tcp_csum(const struct tdo_pkt *p, const char *src, const char *dst)
{
	struct tdo_addr a = fx_addr(src), b = fx_addr(dst);
	uint32_t len = p->len - 20;

	return tdo_csum_fold(
	    tdo_csum_add(tdo_csum_pseudo(&a, &b, TCP, len), tdo_pkt_data(p) + 20, len));
}

/* ESP in UDP around IPComp: the upper layer appears only when that is gone too. */
static void
d53_checksums_inside_ipcomp_are_corrected(void **state)
{
	struct fx_sa comp = {.src = client[0],
	    .dst = server[0],
	    .spi = 10000,
	    .mode = TDO_MODE_TRANSPORT,
	    .comp = "deflate"};

	(void)state;
	if (tdo_comp_alg_by_name("deflate")->not_there) {
		assert_int_equal(fx_try_sa(&tx, &comp), -EOPNOTSUPP);
		return;
	}
	for (unsigned k = 0; k < 4; k++) {
		bool oa = k & 1, damaged = k & 2;
		struct tdo_natt n = natt(1024, 4500);
		struct tdo_pkt *p;
		uint8_t *ip;

		if (oa)
			n.oa_src = fx_addr(client[0]);
		add_sas(false, TDO_MODE_TRANSPORT, TDO_NATT_ESPINUDP, n);
		comp.src = client[0];
		fx_add_sa(&tx, &comp);
		comp.src = nat[0];
		fx_add_sa(&rx, &comp);
		fx_add_sp(&tx, OUT, client[0], server[0], TDO_PROTO_ANY,
		    "ipcomp/transport//use esp/transport//require");
		fx_add_sp(&rx, IN, nat[0], server[0], TDO_PROTO_ANY,
		    "ipcomp/transport//use esp/transport//require");
		p = upper(TCP, client[0], server[0], 1000);
		ip = tdo_pkt_data(p);
		memset(ip + 40, 0x55, p->len - 40);
		tdo_put_be16(ip + 36, 0);
		tdo_put_be16(ip + 36, tcp_csum(p, client[0], server[0]));
		if (damaged)
			ip[36] ^= 1;
		p = send_from_client(p);
		assert_true(p->len < 300);
		translate(p, nat[0], 1024);
		p = receive(p);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->nsas, 2);
		/* A new checksum hides damage, a corrected one does not. */
		assert_int_equal(csum_right(p, TCP), !(oa && damaged));
		fx_pkt_free(p);
		(void)close_engines(state);
		(void)open_engines(state);
	}
}

/* ---- parameters --------------------------------------------------------------------------- */

static void
bad_parameters_are_refused(void **state)
{
	struct fx_sa sa = {.src = client[0],
	    .dst = server[0],
	    .spi = SPI,
	    .mode = TDO_MODE_TRANSPORT,
	    .enc = "aes-gcm-16",
	    .natt = natt(4500, 4500)};

	(void)state;
	sa.natt.type = 3;
	assert_int_equal(fx_try_sa(&tx, &sa), -EINVAL);
	sa.natt = natt(0, 4500);
	assert_int_equal(fx_try_sa(&tx, &sa), -EINVAL);
	sa.natt = natt(4500, 0);
	assert_int_equal(fx_try_sa(&tx, &sa), -EINVAL);
	sa.natt = natt(4500, 4500);
	sa.natt.oa_src = fx_addr(client[1]);
	assert_int_equal(fx_try_sa(&tx, &sa), -EINVAL);
	sa.natt = natt(4500, 4500);
	assert_int_equal(fx_try_sa(&tx, &sa), 0);
	/* AH would protect what a NAT changes. */
	sa.satype = TDO_SATYPE_AH;
	sa.enc = NULL;
	sa.auth = "hmac-sha256";
	assert_int_equal(fx_try_sa(&tx, &sa), -EINVAL);
}

#define T(x) cmocka_unit_test_setup_teardown(x, open_engines, close_engines)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(both_forms_in_both_families_and_modes),
	    T(esp_comes_with_and_without_udp),
	    T(fragment_limit_is_the_inner_mtu),
	    T(d53_checksums_are_corrected_and_damage_stays_visible),
	    T(udp_without_checksum_has_none_afterwards),
	    T(two_nats_change_both_addresses),
	    T(what_is_not_esp_is_named),
	    T(udp_inside_is_payload),
	    T(d19_new_port_is_followed_and_told),
	    T(forged_packets_move_nothing),
	    T(plain_esp_moves_nothing),
	    T(faults_on_purpose_are_in_esp),
	    T(random_padding_does_not_make_packets_too_large),
	    T(corrected_checksums_of_udp_are_never_zero),
	    T(d53_checksums_inside_ipcomp_are_corrected),
	    T(bad_parameters_are_refused),
	};

	return cmocka_run_group_tests_name("encap", tests, NULL, NULL);
}
