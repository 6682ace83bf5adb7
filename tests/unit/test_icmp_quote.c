/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors as packets: those that come or go by an SA because of what they quote, and those that
 * may not come in clear because of that (RFC 4301 6.1, 6.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "fixture.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

/* [v6]: hosts behind this gateway and behind the other one, the gateways, and routers that no
 * policy names. */
static const char *const
    near_host[2] = {"10.1.0.1", "fd01::1"},
    *const far_host[2] = {"10.2.0.1", "fd02::1"}, *const near_net[2] = {"10.1.0.0/16", "fd01::/64"},
    *const far_net[2] = {"10.2.0.0/16", "fd02::/64"}, *const gate[2] = {"192.0.2.1", "2001:db8::1"},
    *const far_gate[2] = {"192.0.2.2", "2001:db8::2"}, *const router[2] = {"172.16.0.9", "fd16::9"},
    *const other[2] = {"10.9.0.1", "fd09::1"};

/* us, and the other gateway, which sends anything. */
static struct fx f, peer;

static int
setup(void **state)
{
	char in[128], out[128];

	(void)state;
	memset(&f, 0, sizeof(f));
	memset(&peer, 0, sizeof(peer));
	fx_open(&f, NULL);
	fx_open(&peer, NULL);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fx_sa there = {.src = gate[v6],
		    .dst = far_gate[v6],
		    .spi = 0x1000 + v6,
		    .mode = TDO_MODE_TUNNEL,
		    .enc = "aes-gcm-16"};
		struct fx_sa back = {.src = far_gate[v6],
		    .dst = gate[v6],
		    .spi = 0x2000 + v6,
		    .mode = TDO_MODE_TUNNEL,
		    .enc = "aes-gcm-16"};

		fx_add_sa(&f, &there);
		fx_add_sa(&f, &back);
		fx_add_sa(&peer, &back);
		snprintf(out, sizeof(out), "esp/tunnel/%s-%s/require", gate[v6], far_gate[v6]);
		snprintf(in, sizeof(in), "esp/tunnel/%s-%s/require", far_gate[v6], gate[v6]);
		fx_add_sp(&f, OUT, near_net[v6], far_net[v6], TDO_PROTO_ANY, out);
		fx_add_sp(&f, IN, far_net[v6], near_net[v6], TDO_PROTO_ANY, in);
		fx_add_sp(&peer, OUT, v6 ? "::/0" : "0.0.0.0/0", v6 ? "::/0" : "0.0.0.0/0",
		    TDO_PROTO_ANY, in);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fx_close(&f);
	fx_close(&peer);
	return 0;
}

/* The error of from that it cannot deliver a packet of src to dst, to somebody. */
static struct tdo_pkt *
error_to(
    bool v6, const char *from, const char *to, const char *src, const char *dst, uint32_t quote)
{
	struct tdo_pkt *about = fx_udp(&f.rng, src, dst, 300), *p;
	uint32_t head = v6 ? 40 : 20, sum = 0;
	struct tdo_ip_hdr h = {.src = fx_addr(from),
	    .dst = fx_addr(to),
	    .ttl = 60,
	    .proto = v6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP};
	uint8_t *m;

	p = fx_pkt_new(head + 8 + quote);
	tdo_ip_build(tdo_pkt_data(p), &h, 8 + quote);
	m = tdo_pkt_data(p) + head;
	memset(m, 0, 8);
	m[0] = v6 ? 1 : 3;
	m[1] = 1;
	memcpy(m + 8, tdo_pkt_data(about), quote);
	if (v6)
		sum = tdo_csum_pseudo(&h.src, &h.dst, h.proto, 8 + quote);
	sum = tdo_csum_add(sum, m, 8 + quote);
	tdo_put_be16(m + 2, tdo_csum_fold(sum));
	fx_pkt_free(about);
	return p;
}

/* To src, as it should be. */
static struct tdo_pkt *
error_about(bool v6, const char *from, const char *src, const char *dst, uint32_t quote)
{
	return error_to(v6, from, src, src, dst, quote);
}

static uint8_t
leaves(struct tdo_pkt *p)
{
	uint8_t v;

	tdo_out_classify(f.w, &p, 1, f.now);
	v = p->verdict;
	if (v == TDO_VERDICT_PROTECT) {
		assert_int_equal(p->nsas, 1);
		tdo_out_protect(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	}
	fx_pkt_free(p);
	return v;
}

/* ---- protected, in ------------------------------------------------------------------ */

static enum tdo_reason
arrives(struct tdo_pkt *p)
{
	enum tdo_reason r;

	tdo_out(peer.w, &p, 1, peer.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	tdo_in(f.w, &p, 1, f.now);
	r = p->verdict == TDO_VERDICT_PASS ? TDO_REASON_NONE : (enum tdo_reason)p->reason;
	fx_pkt_free(p);
	return r;
}

static void
routers_behind_the_peer_may_speak(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		/* About what we sent through the tunnel. */
		assert_int_equal(
		    arrives(error_about(v6, router[v6], near_host[v6], far_host[v6], 200)),
		    TDO_REASON_NONE);
		/* As much as RFC 792 promises is enough, and less is not. */
		assert_int_equal(
		    arrives(error_about(v6, router[v6], near_host[v6], far_host[v6], v6 ? 48 : 28)),
		    TDO_REASON_NONE);
		assert_int_equal(
		    arrives(error_about(v6, router[v6], near_host[v6], far_host[v6], v6 ? 39 : 19)),
		    TDO_REASON_IN_SELECTOR);
		/* About what never went through it. */
		assert_int_equal(
		    arrives(error_about(v6, router[v6], near_host[v6], other[v6], 200)),
		    TDO_REASON_IN_SELECTOR);
		assert_int_equal(arrives(error_about(v6, router[v6], other[v6], far_host[v6], 200)),
		    TDO_REASON_IN_SELECTOR);
		/* The other direction: we are not told of what the peer sent. */
		assert_int_equal(
		    arrives(error_about(v6, router[v6], far_host[v6], near_host[v6], 200)),
		    TDO_REASON_IN_SELECTOR);
	}
}

static void
by_their_own_addresses_they_may_anyway(void **state)
{
	(void)state;
	assert_int_equal(
	    arrives(error_about(false, far_host[0], near_host[0], other[0], 200)), TDO_REASON_NONE);
}

static void
setting_says_own_addresses_only(void **state)
{
	(void)state;
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 0);
	assert_int_equal(arrives(error_about(false, router[0], near_host[0], far_host[0], 200)),
	    TDO_REASON_IN_SELECTOR);
}

/* Who quotes what somebody else sent speaks to somebody else (RFC 792, RFC 4443 2.2). */
static void
errors_go_to_whom_they_quote(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		assert_int_equal(
		    arrives(error_to(v6, router[v6], other[v6], near_host[v6], far_host[v6], 200)),
		    TDO_REASON_IN_SELECTOR);
		assert_int_equal(
		    leaves(error_to(v6, router[v6], other[v6], far_host[v6], near_host[v6], 200)),
		    TDO_VERDICT_PASS);
	}
}

/* Who is not let in by name stays outside. */
static void
discarded_by_name(void **state)
{
	(void)state;
	fx_add_sp(&f, IN, router[0], near_net[0], TDO_IPPROTO_ICMP, "discard");
	assert_int_equal(arrives(error_about(false, router[0], near_host[0], far_host[0], 200)),
	    TDO_REASON_IN_POLICY_DISCARD);
}

static void
other_packets_gain_nothing(void **state)
{
	struct tdo_pkt *p = error_about(false, router[0], near_host[0], far_host[0], 200);
	uint8_t *m = tdo_pkt_data(p) + 20;

	(void)state;
	m[0] = 8; /* an echo request with the same contents */
	tdo_put_be16(m + 2, 0);
	tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, 208)));
	assert_int_equal(arrives(p), TDO_REASON_IN_SELECTOR);
	p = error_about(false, router[0], near_host[0], far_host[0], 200);
	tdo_pkt_data(p)[22] ^= 1; /* checksum */
	assert_int_equal(arrives(p), TDO_REASON_IN_SELECTOR);
}

/* ---- clear, in ---------------------------------------------------------------------- */

static enum tdo_reason
arrives_clear(struct tdo_pkt *p, uint8_t flags)
{
	enum tdo_reason r;

	p->flags = flags;
	tdo_in_clear(f.w, &p, 1, f.now);
	r = p->verdict == TDO_VERDICT_PASS ? TDO_REASON_NONE : (enum tdo_reason)p->reason;
	fx_pkt_free(p);
	return r;
}

static void
nobody_saw_what_was_protected(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (uint8_t flags = 0; flags <= TDO_PKT_FORWARDED; flags += TDO_PKT_FORWARDED) {
			assert_int_equal(arrives_clear(error_about(v6, router[v6], near_host[v6],
							   far_host[v6], 200),
					     flags),
			    TDO_REASON_IN_ICMP_QUOTE);
			assert_int_equal(
			    arrives_clear(
				error_about(v6, router[v6], near_host[v6], other[v6], 200), flags),
			    TDO_REASON_NONE);
			assert_int_equal(arrives_clear(error_about(v6, far_host[v6], near_host[v6],
							   other[v6], 200),
					     flags),
			    TDO_REASON_IN_CLEAR);
		}
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 0);
	assert_int_equal(
	    arrives_clear(error_about(false, router[0], near_host[0], far_host[0], 200), 0),
	    TDO_REASON_NONE);
}

/* Changes 16 bits of the quote of an error about IPv4. */
static struct tdo_pkt *
with_word(struct tdo_pkt *p, uint32_t off, uint16_t value)
{
	uint8_t *m = tdo_pkt_data(p) + 20;

	tdo_put_be16(m + 8 + off, value);
	tdo_put_be16(m + 2, 0);
	tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, p->len - 20)));
	return p;
}

/* One port of `other` is something else than the rest. */
static void
add_port_policy(uint8_t dir, uint8_t type)
{
	struct tdo_sp_param p = {
	    .dir = dir,
	    .type = type,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = fx_addr(other[0]),
		.dst = fx_addr(near_host[0]),
		.src_plen = 32,
		.dst_plen = 32,
		.proto = TDO_IPPROTO_UDP,
		.sport = {7, 7},
		.dport = TDO_RANGE_ANY},
	    .nreq = type == TDO_POLICY_IPSEC,
	    .req = {{.proto = TDO_IPPROTO_ESP,
		.mode = TDO_MODE_TRANSPORT,
		.level = TDO_LEVEL_REQUIRE}},
	};

	if (dir == OUT) {
		p.sel.src = fx_addr(near_host[0]);
		p.sel.dst = fx_addr(other[0]);
	}
	assert_int_equal(tdo_sp_add(f.e, &p, f.now, NULL, NULL), 0);
}

/* Kernels hardly look at the quoted header: what hides from us there does not hide from them. */
static void
lying_quotes_do_not_come_in_clear(void **state)
{
	static const struct {
		uint32_t off;
		uint16_t value;
	} lie[] = {
	    {2, 0},      /* total length */
	    {2, 19},     /* the same */
	    {6, 0x1fff}, /* beyond the end of any datagram */
	    {6, 1},      /* not the first fragment */
	    {0, 0x4100}, /* header length */
	    {0, 0x6500}, /* version */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(lie) / sizeof(lie[0]); i++)
		assert_int_equal(arrives_clear(with_word(error_about(false, router[0], near_host[0],
							     far_host[0], 200),
						   lie[i].off, lie[i].value),
				     0),
		    TDO_REASON_IN_ICMP_QUOTE);
	add_port_policy(IN, TDO_POLICY_IPSEC);
	/* Might be about it: nothing but the first fragment shows ports. */
	assert_int_equal(
	    arrives_clear(error_about(false, router[0], near_host[0], other[0], 200), 0),
	    TDO_REASON_NONE);
	assert_int_equal(
	    arrives_clear(
		with_word(error_about(false, router[0], near_host[0], other[0], 200), 6, 1), 0),
	    TDO_REASON_IN_ICMP_QUOTE);
	/* RFC 4884: so few that there are no ports. */
	{
		struct tdo_pkt *p = error_about(false, router[0], near_host[0], far_host[0], 200);

		tdo_pkt_data(p)[20 + 5] = 5;
		assert_int_equal(arrives_clear(with_word(p, 4, 7), 0), TDO_REASON_IN_ICMP_QUOTE);
	}
	/* A piece of an error says nothing that can be judged. */
	{
		struct tdo_pkt *p = error_about(false, router[0], near_host[0], far_host[0], 200);

		tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF);
		tdo_ip4_set_csum(tdo_pkt_data(p));
		assert_int_equal(arrives_clear(p, TDO_PKT_FORWARDED), TDO_REASON_IN_ICMP_QUOTE);
	}
	/* Without a header nobody knows what to do with it. */
	assert_int_equal(
	    arrives_clear(error_about(false, router[0], near_host[0], far_host[0], 19), 0),
	    TDO_REASON_NONE);
}

/* An error of the network about ESP, from an address whose packets have to be protected. */
static struct tdo_pkt *
about_esp(uint32_t flip_at)
{
	struct tdo_pkt *esp = fx_udp(&f.rng, near_host[0], far_host[0], 300), *p;
	uint8_t *m;

	tdo_out(f.w, &esp, 1, f.now);
	assert_int_equal(esp->verdict, TDO_VERDICT_SEND);
	p = error_about(false, far_host[0], near_host[0], other[0], 200);
	m = tdo_pkt_data(p) + 20;
	memcpy(m + 8, tdo_pkt_data(esp), 200);
	if (flip_at)
		m[8 + flip_at] ^= 1;
	tdo_put_be16(m + 2, 0);
	tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, 208)));
	fx_pkt_free(esp);
	return p;
}

static void
genuine_errors_about_esp_pass(void **state)
{
	(void)state;
	fx_local(&f, gate[0]);
	assert_int_equal(arrives_clear(about_esp(0), 0), TDO_REASON_NONE);
	assert_int_equal(arrives_clear(about_esp(23), 0), TDO_REASON_ICMP_NO_SA);
	assert_int_equal(arrives_clear(about_esp(24), 0), TDO_REASON_ICMP_NOT_SENT);
	assert_int_equal(arrives_clear(about_esp(15), 0), TDO_REASON_ICMP_NOT_OURS);
	/* Somebody else's. */
	assert_int_equal(arrives_clear(about_esp(0), TDO_PKT_FORWARDED), TDO_REASON_IN_CLEAR);
}

/* ---- out ---------------------------------------------------------------------------- */

/* What it quotes came through the tunnel and was secret. */
static void
errors_leave_as_what_they_quote(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned i = 0; i < 3; i++) { /* nothing is remembered for the next one */
			assert_int_equal(
			    leaves(error_about(v6, router[v6], far_host[v6], near_host[v6], 200)),
			    TDO_VERDICT_PROTECT);
			assert_int_equal(
			    leaves(error_about(v6, router[v6], far_host[v6], other[v6], 200)),
			    TDO_VERDICT_PASS);
			assert_int_equal(
			    leaves(error_about(v6, near_host[v6], far_host[v6], other[v6], 200)),
			    TDO_VERDICT_PROTECT);
		}
	/* Nor is what quotes nothing. */
	assert_int_equal(
	    leaves(error_about(false, router[0], far_host[0], near_host[0], 12)), TDO_VERDICT_PASS);
	assert_int_equal(leaves(error_about(false, router[0], far_host[0], near_host[0], 200)),
	    TDO_VERDICT_PROTECT);
	/* Who names them has what he says. */
	fx_add_sp(&f, OUT, router[0], "10.2.0.0/16", TDO_IPPROTO_ICMP, "none");
	assert_int_equal(leaves(error_about(false, router[0], far_host[0], near_host[0], 200)),
	    TDO_VERDICT_PASS);
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 0);
	assert_int_equal(leaves(error_about(false, "172.16.0.7", far_host[0], near_host[0], 200)),
	    TDO_VERDICT_PASS);
}

static void
assert_stays(struct tdo_pkt *p)
{
	uint64_t before = tdo_drops_read(f.e, TDO_REASON_OUT_ICMP_QUOTE);

	assert_int_equal(leaves(p), TDO_VERDICT_DROP);
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_OUT_ICMP_QUOTE), before + 1);
}

/* About a packet of `other` to us; none of its answers but those of port 7 are secret. */
static struct tdo_pkt *
about_other(void)
{
	return error_about(false, router[0], other[0], near_host[0], 200);
}

static struct tdo_pkt *
cut_behind_the_header(struct tdo_pkt *p)
{
	tdo_pkt_data(p)[20 + 5] = 5; /* RFC 4884 4.1 */
	return with_word(p, 4, 7);
}

/* The packet itself is a first fragment. */
static struct tdo_pkt *
in_pieces(struct tdo_pkt *p)
{
	tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	return p;
}

static struct tdo_pkt *
with_wrong_checksum(struct tdo_pkt *p)
{
	tdo_pkt_data(p)[22] ^= 1;
	return p;
}

static const struct {
	uint32_t off;
	uint16_t value;
} unreadable[] = {{2, 19}, {6, 0x1fff}, {0, 0x4100}, {0, 0x6500}};

/* What hides whether it is about a secret is not sent as if it were not (RFC 4301 6.2). */
static void
opaque_quotes_do_not_leave_in_clear(void **state)
{
	(void)state;
	add_port_policy(OUT, TDO_POLICY_IPSEC);
	assert_int_equal(leaves(about_other()), TDO_VERDICT_PASS);
	assert_stays(with_word(about_other(), 6, 1));
	assert_stays(cut_behind_the_header(about_other()));
	assert_stays(in_pieces(about_other()));
	assert_stays(with_wrong_checksum(about_other()));
	for (unsigned i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++)
		assert_stays(with_word(about_other(), unreadable[i].off, unreadable[i].value));
	/* ESP of somebody is ESP, whatever is in it: that policy is about UDP. */
	assert_int_equal(leaves(with_word(about_other(), 8, 0x4032)), TDO_VERDICT_PASS);
	/* Nobody's secret: it goes to somebody who did not send what it quotes. */
	assert_int_equal(
	    leaves(with_word(
		error_to(false, router[0], other[0], far_host[0], near_host[0], 200), 6, 1)),
	    TDO_VERDICT_PASS);
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 0);
	assert_int_equal(leaves(with_word(about_other(), 6, 1)), TDO_VERDICT_PASS);
}

/* p redirects, for the host (RFC 792). */
static struct tdo_pkt *
as_redirect(struct tdo_pkt *p)
{
	uint8_t *m = tdo_pkt_data(p) + 20;

	m[0] = 5;
	m[1] = 1;
	tdo_put_be16(m + 2, 0);
	tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, p->len - 20)));
	return p;
}

/* A kernel may redirect who sent through two tunnels, and quotes as well. */
static void
redirects_leave_as_what_they_quote(void **state)
{
	(void)state;
	assert_int_equal(
	    leaves(as_redirect(error_about(false, router[0], far_host[0], near_host[0], 28))),
	    TDO_VERDICT_PROTECT);
	assert_int_equal(leaves(as_redirect(about_other())), TDO_VERDICT_PASS);
	add_port_policy(OUT, TDO_POLICY_IPSEC);
	assert_stays(as_redirect(about_other()));
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 0);
	assert_int_equal(leaves(as_redirect(about_other())), TDO_VERDICT_PASS);
	/* They come in by their own addresses only: they tell nothing of the packet. */
	fx_knob(&f, TDO_KNOB_ICMP_QUOTE, 1);
	assert_int_equal(
	    arrives(as_redirect(error_about(false, router[0], near_host[0], far_host[0], 200))),
	    TDO_REASON_IN_SELECTOR);
}

/* Where it is clear that the answer is protected, whatever is hidden, the error is too. */
static void
opaque_quotes_leave_protected_where_all_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++)
		assert_int_equal(
		    leaves(with_word(error_about(false, router[0], far_host[0], near_host[0], 200),
			unreadable[i].off, unreadable[i].value)),
		    TDO_VERDICT_PROTECT);
	assert_int_equal(leaves(with_wrong_checksum(
			     error_about(false, router[0], far_host[0], near_host[0], 200))),
	    TDO_VERDICT_PROTECT);
	assert_int_equal(
	    leaves(with_word(error_about(false, router[0], far_host[0], near_host[0], 200), 6, 1)),
	    TDO_VERDICT_PROTECT);
}

/* Nothing that may be meant is protected. */
static void
opaque_quotes_of_clear_traffic_leave(void **state)
{
	(void)state;
	/* Behind what lets all pass nobody is asked. */
	fx_add_sp(&f, OUT, near_host[0], other[0], TDO_IPPROTO_UDP, "none");
	add_port_policy(OUT, TDO_POLICY_IPSEC);
	assert_int_equal(leaves(with_word(about_other(), 6, 1)), TDO_VERDICT_PASS);
	/* What is discarded is no secret. */
	(void)tdo_sp_flush(f.e);
	add_port_policy(OUT, TDO_POLICY_DISCARD);
	assert_int_equal(leaves(with_word(about_other(), 6, 1)), TDO_VERDICT_PASS);
	assert_int_equal(leaves(with_word(about_other(), 0, 0x4100)), TDO_VERDICT_PASS);
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_OUT_ICMP_QUOTE), 0);
}

/* In IPv6 the protocol is behind what may not be readable. */
static void
unreadable_chains_hide_the_protocol(void **state)
{
	struct tdo_pkt *p[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		p[i] = error_about(true, router[1], other[1], near_host[1], 200);
		if (i > 0) { /* destination options that are longer than all of it */
			tdo_pkt_data(p[i])[48 + 6] = TDO_IPPROTO_DSTOPTS;
			tdo_pkt_data(p[i])[48 + 40 + 1] = 255;
		}
	}
	assert_int_equal(leaves(p[1]), TDO_VERDICT_PASS);
	fx_add_sp(&f, OUT, near_host[1], other[1], TDO_IPPROTO_TCP, "esp/transport//require");
	assert_int_equal(leaves(p[0]), TDO_VERDICT_PASS);
	assert_stays(p[2]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(routers_behind_the_peer_may_speak),
	    T(by_their_own_addresses_they_may_anyway),
	    T(setting_says_own_addresses_only),
	    T(errors_go_to_whom_they_quote),
	    T(discarded_by_name),
	    T(other_packets_gain_nothing),
	    T(nobody_saw_what_was_protected),
	    T(lying_quotes_do_not_come_in_clear),
	    T(genuine_errors_about_esp_pass),
	    T(errors_leave_as_what_they_quote),
	    T(opaque_quotes_do_not_leave_in_clear),
	    T(redirects_leave_as_what_they_quote),
	    T(opaque_quotes_leave_protected_where_all_is),
	    T(opaque_quotes_of_clear_traffic_leave),
	    T(unreadable_chains_hide_the_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
