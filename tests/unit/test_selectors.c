/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header chains through the whole engine: what selectors see of a packet (RFC 4301 4.4.1.1,
 * section 7), and where transport mode puts ESP among the headers that are there
 * (RFC 4303 3.1.1; spec 7.8).
 */
#include <errno.h>
#include <stdio.h>

#include "base/be.h"
#include "engine/engine.h"
#include "engine_case.h"
#include "wire/ip.h"

#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

static const char *const host[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8::2"}};

/* ---- packets ---------------------------------------------------------------------------- */

/*
 * A header by its letter: H hop-by-hop, D destination options, R routing, F fragment (of a
 * whole packet), A AH, E ESP, C IPComp, U UDP, N nothing.
 */
static const struct {
	char letter;
	uint8_t nh, len;
	uint8_t b[24]; /* the first byte is that of the next header */
} headers[] = {
    {'H', 0, 8, {[2] = 1, 4}},
    {'D', 60, 16, {[1] = 1, 1, 12}},
    {'R', 43, 8, {[2] = 253}},
    {'F', 44, 8, {[7] = 9}},
    {'A', 51, 24, {[1] = 4, [7] = 1, [11] = 1}},
    {'E', 50, 24, {0x77, [7] = 1}},
    {'C', 108, 4, {[3] = 2}},
    {'U', 17, 16, {0x03, 0xe8, 0x07, 0xd0, 0, 16}},
    {'N', 59, 0, {0}},
};

static unsigned
header(char letter)
{
	unsigned i = 0;

	while (headers[i].letter != letter)
		assert_true(++i < sizeof(headers) / sizeof(headers[0]));
	return i;
}

/*
 * An IPv6 packet with these headers ('|' is no header).  Returns its length; *ret_mark is the
 * offset of '|', *ret_nh that of the byte that announces what is there.
 */
static uint32_t
chain(uint8_t *p, const char *letters, uint32_t *ret_mark, uint32_t *ret_nh)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(host[1][0]), .dst = fx_addr(host[1][1]), .ttl = 9, .tos = 0x48};
	uint32_t off = TDO_IP6_HLEN, nh = 6;

	tdo_ip_build(p, &h, 0);
	for (; *letters != '\0'; letters++) {
		unsigned i;

		if (*letters == '|') {
			*ret_mark = off;
			*ret_nh = nh;
			continue;
		}
		i = header(*letters);
		p[nh] = headers[i].nh;
		memcpy(p + off, headers[i].b, headers[i].len);
		nh = off;
		off += headers[i].len;
	}
	tdo_ip_set_len(p, off);
	return off;
}

/* ---- where ESP goes ------------------------------------------------------------------------ */

/*
 * All orders of one routing header, one fragment header and two with destination options,
 * each also with hop-by-hop options in front.  Spec 7.8: what a router or an intermediate
 * destination reads stays in front of ESP, and with it what stands before that.
 */
static const char *const placed[] = {"|",
    /* one */
    "|D", "R|", "F|",
    /* two */
    "|DD", "DR|", "R|D", "DF|", "F|D", "RF|", "FR|",
    /* three */
    "DDR|", "DR|D", "R|DD", "DDF|", "DF|D", "F|DD", "DRF|", "DFR|", "RDF|", "RF|D", "FDR|", "FR|D",
    /* four */
    "DDRF|", "DDFR|", "DRDF|", "DRF|D", "DFDR|", "DFR|D", "RDDF|", "RDF|D", "RF|DD", "FDDR|",
    "FDR|D", "FR|DD"};

static void
check_placing(const char *letters, enum tdo_verdict comes_back)
{
	struct tdo_pkt *p = fx_pkt_new(0);
	uint32_t mark = 0, nh = 0, len;
	uint8_t before[256], *d;

	len = chain(before, letters, &mark, &nh);
	fx_pkt_set(p, before, len);
	tdo_out(f.w, &p, 1, f.now);
	if (p->verdict != TDO_VERDICT_SEND)
		fail_msg("%s: %s", letters, tdo_reason_info(p->reason)->name);
	d = tdo_pkt_data(p);
	assert_int_equal(tdo_be16(d + 4) + 40u, p->len);
	assert_int_equal(d[nh], TDO_IPPROTO_ESP);
	assert_int_equal(p->ip.l4_off, mark);
	assert_int_equal(tdo_be32(d + mark), 0x1001);
	assert_memory_equal(d + mark + 8, before + mark, len - mark);
	assert_int_equal(d[p->len - 1], before[nh]);
	/* In front of ESP all is as it was, but for the length and what is announced. */
	d[nh] = before[nh];
	tdo_put_be16(d + 4, tdo_be16(before + 4));
	assert_memory_equal(d, before, mark);
	d[nh] = TDO_IPPROTO_ESP;
	tdo_put_be16(d + 4, (uint16_t)(p->len - 40));
	tdo_in(f.w, &p, 1, f.now);
	if (comes_back != TDO_VERDICT_NONE)
		assert_int_equal(p->verdict, comes_back);
	if (comes_back == TDO_VERDICT_PASS) {
		assert_int_equal(p->len, len);
		assert_memory_equal(tdo_pkt_data(p), before, len);
	}
	fx_pkt_free(p);
}

static void
transport_sa(void)
{
	fx_add_sa(&f, &(struct fx_sa){.src = host[1][0],
			  .dst = host[1][1],
			  .spi = 0x1001,
			  .mode = TDO_MODE_TRANSPORT,
			  .enc = "null"});
	for (uint8_t dir = IN; dir <= OUT; dir++)
		fx_add_sp(&f, dir, host[1][0], host[1][1], TDO_PROTO_ANY, "esp/transport//require");
}

static void
d04_esp_is_placed_among_extension_headers_in_all_orders(void **state)
{
	char letters[16];

	(void)state;
	transport_sa();
	for (unsigned i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		for (const char *upper = "UAECN"; *upper != '\0'; upper++) {
			/* IPsec that is there already is for this host, too: no SA has its SPI. */
			enum tdo_verdict back = *upper == 'U'   ? TDO_VERDICT_PASS
						: *upper == 'N' ? TDO_VERDICT_NONE
								: TDO_VERDICT_DROP;

			(void)snprintf(letters, sizeof(letters), "%s%c", placed[i], *upper);
			check_placing(letters, back);
			(void)snprintf(letters, sizeof(letters), "H%s%c", placed[i], *upper);
			check_placing(letters, back);
		}
	}
}

/* Behind AH, ESP and IPComp nothing is looked at: what is there is theirs. */
static void
d04_headers_behind_ipsec_headers_are_payload(void **state)
{
	static const char *const rows[] = {"|ADU", "|ARU", "H|ADRU", "R|AFU", "HDR|DARU", "|AEU",
	    "|AAU", "|CDU", "R|CRU", "|CAU", "HR|DACU"};

	(void)state;
	transport_sa();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_placing(rows[i], TDO_VERDICT_DROP);
}

/* A tunnel copies nothing: its header has no extensions, whatever the packet has. */
static void
d04_tunnels_wrap_all_headers(void **state)
{
	static const char *const req = "esp/tunnel/2001:db8:a::1-2001:db8:a::2/require";

	(void)state;
	fx_add_sa(&f, &(struct fx_sa){.src = "2001:db8:a::1",
			  .dst = "2001:db8:a::2",
			  .spi = 0x1001,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "null"});
	fx_add_sp(&f, OUT, host[1][0], host[1][1], TDO_PROTO_ANY, req);
	for (unsigned i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		struct tdo_pkt *p = fx_pkt_new(0);
		uint32_t unused, len;
		uint8_t before[256];
		char letters[16];

		(void)snprintf(letters, sizeof(letters), "H%sU", placed[i]);
		len = chain(before, letters, &unused, &unused);
		fx_pkt_set(p, before, len);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		assert_int_equal(tdo_pkt_data(p)[6], TDO_IPPROTO_ESP);
		assert_memory_equal(tdo_pkt_data(p) + 40 + 8, before, len);
		fx_pkt_free(p);
	}
}

/* ---- what selectors see ------------------------------------------------------------------- */

#define R(lo, hi)                                                                                  \
	{                                                                                          \
		(lo), (hi)                                                                         \
	}
#define ALL R(0, 65535)

/* Bytes of an upper layer, and whether the selector covers them. */
struct row {
	const char *what;
	uint8_t proto;
	struct tdo_range sport, dport;
	bool covered;
	uint8_t len;
	uint8_t b[16];
};

static const struct row rows[] = {
    {"port", 6, R(1000, 1000), R(80, 80), true, 16, {0x03, 0xe8, 0, 80}},
    {"other port", 6, R(1000, 1000), R(80, 80), false, 16, {0x03, 0xe8, 0, 81}},
    {"first of a range", 6, ALL, R(80, 90), true, 16, {0, 9, 0, 80}},
    {"last of a range", 6, ALL, R(80, 90), true, 16, {0, 9, 0, 90}},
    {"below a range", 6, ALL, R(80, 90), false, 16, {0, 9, 0, 79}},
    {"above a range", 6, ALL, R(80, 90), false, 16, {0, 9, 0, 91}},
    {"range up to the end", 17, R(32768, 65535), ALL, true, 8, {0xff, 0xff}},
    {"port 0", 17, R(0, 0), ALL, true, 8, {0, 0, 0, 1}},
    {"not port 0", 17, R(0, 0), ALL, false, 8, {0, 1, 0, 1}},
    {"UDP-Lite", 136, ALL, R(53, 53), true, 8, {0, 9, 0, 53}},
    {"UDP-Lite, other", 136, ALL, R(53, 53), false, 8, {0, 53, 0, 9}},
    {"SCTP", 132, R(2905, 2906), ALL, true, 12, {0x0b, 0x5a}},
    {"SCTP, other", 132, R(2905, 2906), ALL, false, 12, {0x0b, 0x5b}},
    {"DCCP", 33, ALL, R(5001, 5001), true, 16, {0, 1, 0x13, 0x89}},
    {"DCCP, other", 33, ALL, R(5001, 5001), false, 16, {0, 1, 0x13, 0x8a}},
    {"other protocol", 33, ALL, ALL, true, 16, {0}},
    {"OSPF", 89, ALL, ALL, true, 16, {2, 1}},
    {"no ports in OSPF", 89, R(513, 513), ALL, false, 16, {2, 1}},
    {"type", 1, R(8, 8), ALL, true, 8, {8, 0}},
    {"other type", 1, R(8, 8), ALL, false, 8, {0, 0}},
    {"type and code", 1, R(3, 3), R(4, 4), true, 8, {3, 4}},
    {"other code", 1, R(3, 3), R(4, 4), false, 8, {3, 1}},
    {"code only", 1, ALL, R(4, 4), true, 8, {12, 4}},
    {"range of types", 1, R(13, 18), ALL, true, 8, {15, 0}},
    {"outside of it", 1, R(13, 18), ALL, false, 8, {12, 0}},
    {"ICMPv6 type", 58, R(128, 129), ALL, true, 8, {129, 0}},
    {"other ICMPv6 type", 58, R(128, 129), ALL, false, 8, {1, 0}},
    {"MH type", 135, R(5, 5), ALL, true, 8, {59, 0, 5}},
    {"other MH type", 135, R(5, 5), ALL, false, 8, {59, 0, 6}},
    {"MH type 0", 135, R(0, 0), ALL, true, 8, {59, 0, 0}},
    {"GRE key", 47, R(0xc0a8, 0xc0a8), R(1, 1), true, 8, {0x20, 0, 8, 0, 0xc0, 0xa8, 0, 1}},
    {"other GRE key", 47, R(0xc0a8, 0xc0a8), R(1, 1), false, 8, {0x20, 0, 8, 0, 0xc0, 0xa8, 0, 2}},
    {"GRE key behind a checksum", 47, R(0, 0), R(7, 7), true, 12,
	{0xa0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 7}},
    {"no GRE key", 47, R(0, 0), R(0, 0), false, 8, {0}},
    {"any GRE", 47, ALL, ALL, true, 8, {0}},
    {"version 1 of GRE", 47, R(0, 0), R(7, 7), false, 8, {0x20, 1, 8, 0, 0, 0, 0, 7}},
};

/* Where a row is put: fragments by RFC 4301 section 7. */
enum place { WHOLE, BEHIND_HEADERS, FIRST, FIRST_SHORT, LATER, PLACES };

static void
put_fragment(struct tdo_pkt *p, bool v6, enum place place)
{
	uint8_t *d = tdo_pkt_data(p);

	if (v6) {
		/* Room for a fragment header. */
		assert_true(tdo_pkt_push(p, 8));
		d = memmove(tdo_pkt_data(p), d, 40);
		memset(d + 40, 0, 8);
		d[40] = d[6];
		d[6] = TDO_IPPROTO_FRAGMENT;
		tdo_put_be16(d + 42, place == LATER ? 64 << 3 : 1);
	} else {
		tdo_put_be16(d + 6, place == LATER ? 64 : TDO_IP4_MF);
	}
	tdo_ip_set_len(d, p->len);
}

static struct tdo_pkt *
packet(const struct row *r, bool v6, enum place place)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(host[v6][0]), .dst = fx_addr(host[v6][1]), .ttl = 9, .proto = r->proto};
	uint32_t hlen = tdo_ip_hlen(h.src.af), unused, len = place == FIRST_SHORT ? 1 : r->len;
	struct tdo_pkt *p = fx_pkt_new(0);
	uint8_t b[256];

	tdo_ip_build(b, &h, len);
	if (place == BEHIND_HEADERS && v6) {
		hlen = chain(b, "HDRD", &unused, &unused);
		b[hlen - 16] = r->proto;
		tdo_ip_set_len(b, hlen + len);
	} else if (place == BEHIND_HEADERS) {
		memset(b + hlen, 1, 12); /* no operation */
		hlen += 12;
		b[0] = 0x48;
		tdo_ip_set_len(b, hlen + len);
	}
	memcpy(b + hlen, r->b, len);
	fx_pkt_set(p, b, hlen + len);
	if (place >= FIRST)
		put_fragment(p, v6, place);
	return p;
}

static void
discard_policy(const struct row *r, bool v6, uint8_t dir)
{
	struct tdo_sp_param sp = {.dir = dir,
	    .type = TDO_POLICY_DISCARD,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = fx_addr(host[v6][0]),
		.dst = fx_addr(host[v6][1]),
		.src_plen = v6 ? 128 : 32,
		.dst_plen = v6 ? 128 : 32,
		.proto = r->proto,
		.sport = r->sport,
		.dport = r->dport}};

	assert_int_equal(tdo_sp_add(f.e, &sp, f.now, NULL, NULL), 0);
}

static bool
is_any(const struct row *r)
{
	return r->sport.lo == 0 && r->sport.hi == 65535 && r->dport.lo == 0 && r->dport.hi == 65535;
}

static bool
has_ports(const struct row *r, bool v6)
{
	struct tdo_pkt *p = packet(r, v6, WHOLE);
	struct tdo_ip_info ip;

	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip), TDO_REASON_NONE);
	fx_pkt_free(p);
	return ip.flow.has_ports;
}

/*
 * A policy that asks for something which the fragment hides cannot be decided: the packet may
 * not pass (RFC 4301 section 7).  The first fragment is as good as the whole if it has it.
 */
static enum tdo_reason
expected(const struct row *r, bool v6, enum place place, uint8_t dir)
{
	bool hidden =
	    place == LATER || place == FIRST_SHORT || (place == FIRST && !has_ports(r, v6));

	if (hidden && !is_any(r))
		return dir == OUT ? TDO_REASON_OUT_FRAGMENT : TDO_REASON_IN_FRAGMENT;
	if (!r->covered)
		return TDO_REASON_NONE;
	return dir == OUT ? TDO_REASON_OUT_POLICY_DISCARD : TDO_REASON_IN_POLICY_DISCARD;
}

static void
check_row(const struct row *r, bool v6, uint8_t dir)
{
	assert_int_equal(open_engine(NULL), 0);
	discard_policy(r, v6, dir);
	for (enum place place = WHOLE; place < PLACES; place++) {
		/* Twice: once by the classifier, once by the flow cache. */
		for (unsigned again = 0; again < 2; again++) {
			struct tdo_pkt *p = packet(r, v6, place);

			if (dir == OUT)
				tdo_out(f.w, &p, 1, f.now);
			else
				tdo_in_clear(f.w, &p, 1, f.now);
			if (p->reason != expected(r, v6, place, dir))
				fail_msg("%s: place %d, IPv%d: reason %u", r->what, (int)place,
				    v6 ? 6 : 4, p->reason);
			fx_pkt_free(p);
		}
	}
	assert_int_equal(close_engine(NULL), 0);
}

static void
d06_selectors_see_all_upper_protocols(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint8_t dir = IN; dir <= OUT; dir++)
			for (unsigned v6 = 0; v6 < 2; v6++)
				check_row(&rows[i], v6, dir);
}

/* D41: type 0 (echo reply) and code 0 are values, and the wildcard is something else. */
static void
d41_icmp_type_0_is_not_the_wildcard(void **state)
{
	static const struct row type0[] = {
	    {"reply", 1, R(0, 0), ALL, true, 8, {0, 0}},
	    {"not request", 1, R(0, 0), ALL, false, 8, {8, 0}},
	    {"request by the wildcard", 1, ALL, ALL, true, 8, {8, 0}},
	    {"reply by the wildcard", 1, ALL, ALL, true, 8, {0, 0}},
	    {"code 0", 1, R(3, 3), R(0, 0), true, 8, {3, 0}},
	    {"code 0 is not 1", 1, R(3, 3), R(0, 0), false, 8, {3, 1}},
	    {"type 0 of ICMPv6 is reserved, but a type", 58, R(0, 0), ALL, true, 8, {0, 0}},
	    {"type 0 of ICMPv6 is not 1", 58, R(0, 0), ALL, false, 8, {1, 0}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(type0) / sizeof(type0[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++)
			check_row(&type0[i], v6, OUT);
}

/* The exact one of two policies goes to packets with type 0, the other to the rest. */
static void
d41_type_0_and_the_wildcard_are_two_policies(void **state)
{
	const struct row zero = {"", 1, R(0, 0), ALL, true, 8, {0, 0}};
	const struct row other = {"", 1, ALL, ALL, true, 8, {8, 0}};
	struct tdo_pkt *p, *q;

	(void)state;
	discard_policy(&zero, false, OUT);
	discard_policy(&other, false, OUT);
	p = packet(&zero, false, WHOLE);
	q = packet(&other, false, WHOLE);
	tdo_out(f.w, &p, 1, f.now);
	tdo_out(f.w, &q, 1, f.now);
	assert_non_null(p->sp);
	assert_non_null(q->sp);
	assert_ptr_not_equal(p->sp, q->sp);
	assert_int_equal(p->sp->param.sel.sport.hi, 0);
	fx_pkt_free(p);
	fx_pkt_free(q);
}

/* Ports that are said of every protocol are no types, codes and keys with the same numbers. */
static void
d41_a_port_is_no_type(void **state)
{
	static const struct row port = {"", 255, R(8, 8), ALL, true, 0, {0}};
	static const struct row has[] = {
	    {"TCP", 6, ALL, ALL, true, 16, {0, 8, 0, 9}},
	    {"UDP", 17, ALL, ALL, true, 8, {0, 8, 0, 9, 0, 8}},
	    {"SCTP", 132, ALL, ALL, true, 12, {0, 8, 0, 9}},
	    {"other port", 17, ALL, ALL, false, 8, {0, 9, 0, 8, 0, 8}},
	    {"echo request", 1, ALL, ALL, false, 8, {8, 0}},
	    {"ICMPv6", 58, ALL, ALL, false, 8, {8, 0}},
	    {"MH", 135, ALL, ALL, false, 8, {59, 0, 8}},
	    {"GRE", 47, ALL, ALL, false, 8, {0x20, 0, 8, 0, 0, 8, 0, 8}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(has) / sizeof(has[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++)
			for (enum place place = WHOLE; place < PLACES; place++) {
				struct tdo_pkt *p = packet(&has[i], v6, place);
				bool ported = i < 4;
				bool hidden = place == LATER || place == FIRST_SHORT;

				assert_int_equal(open_engine(NULL), 0);
				discard_policy(&port, v6, OUT);
				tdo_out(f.w, &p, 1, f.now);
				if (p->reason != (ported && hidden ? TDO_REASON_OUT_FRAGMENT
						     : has[i].covered
							 ? TDO_REASON_OUT_POLICY_DISCARD
							 : TDO_REASON_NONE))
					fail_msg("%s: place %d, IPv%d: reason %u", has[i].what,
					    (int)place, v6 ? 6 : 4, p->reason);
				fx_pkt_free(p);
				assert_int_equal(close_engine(NULL), 0);
			}
}

/* RFC 4301 4.4.1.1, docs/decisions/0005: AH, ESP and IPComp are what selectors see. */
static void
d06_ipsec_headers_are_protocols_of_their_own(void **state)
{
	static const struct {
		const char *letters;
		uint8_t proto;
		bool covered;
	} cases[] = {{"AU", 17, false}, {"AU", 51, true}, {"HDRDAU", 51, true}, {"AU", 255, true},
	    {"EU", 50, true}, {"EU", 17, false}, {"CU", 108, true}, {"CU", 17, false},
	    {"HDRDU", 17, true}, {"DU", 60, false}, {"N", 59, true}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row r = {"", cases[i].proto, ALL, ALL, true, 0, {0}};
		struct tdo_pkt *p = fx_pkt_new(0);
		uint32_t unused, len;
		uint8_t b[256];

		assert_int_equal(close_engine(NULL), 0);
		assert_int_equal(open_engine(NULL), 0);
		discard_policy(&r, true, OUT);
		len = chain(b, cases[i].letters, &unused, &unused);
		fx_pkt_set(p, b, len);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(
		    p->verdict, cases[i].covered ? TDO_VERDICT_DROP : TDO_VERDICT_PASS);
		fx_pkt_free(p);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)
	const struct CMUnitTest tests[] = {
	    T(d04_esp_is_placed_among_extension_headers_in_all_orders),
	    T(d04_headers_behind_ipsec_headers_are_payload),
	    T(d04_tunnels_wrap_all_headers),
	    cmocka_unit_test(d06_selectors_see_all_upper_protocols),
	    cmocka_unit_test(d41_icmp_type_0_is_not_the_wildcard),
	    T(d41_type_0_and_the_wildcard_are_two_policies),
	    cmocka_unit_test(d41_a_port_is_no_type),
	    T(d06_ipsec_headers_are_protocols_of_their_own),
	};

	return cmocka_run_group_tests_name("selectors", tests, NULL, NULL);
}
