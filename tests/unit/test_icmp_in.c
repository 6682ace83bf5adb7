/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors about protected packets: genuine ones are about packets that an engine really made;
 * every way to forge one has its reason (RFC 4301 6.1, 8.2.1; spec 7.6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "fixture.h"
#include "testudo/comp.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#define OUT TDO_DIR_OUT

/* [v6] */
static const char *const me[2] = {"10.0.0.1", "fd00::1"}, *const peer[2] = {"10.0.0.2", "fd00::2"};

static struct fx f;

/* Our addresses, and one more. */
static void
local(const char *more)
{
	struct tdo_addr a[3] = {fx_addr(me[0]), fx_addr(me[1])};

	if (more)
		a[2] = fx_addr(more);
	assert_int_equal(tdo_engine_set_local(f.e, a, more ? 3 : 2), 0);
}

static int
setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	fx_open(&f, NULL);
	local(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fx_close(&f);
	return 0;
}

/* What kind of protected packet is quoted. */
enum shape { ESP, AH, COMP, UDP, MARKER, SHAPES };

static uint32_t
spi_of(enum shape s, bool v6)
{
	return (s == COMP ? 0x200u : 0x1000u) + 2 * s + v6;
}

static struct fx_sa
sa_of(enum shape s, bool v6)
{
	struct fx_sa sa = {
	    .src = me[v6], .dst = peer[v6], .spi = spi_of(s, v6), .mode = TDO_MODE_TRANSPORT};

	if (s == AH) {
		sa.satype = TDO_SATYPE_AH;
		sa.auth = "hmac-sha256";
	} else if (s == COMP) {
		sa.satype = TDO_SATYPE_IPCOMP;
		sa.comp = "deflate";
	} else {
		sa.enc = "aes-gcm-16";
	}
	if (s == UDP || s == MARKER)
		sa.natt = (struct tdo_natt){.type = s == UDP ? TDO_NATT_ESPINUDP : TDO_NATT_NON_IKE,
		    .sport = 4500,
		    .dport = 4501};
	return sa;
}

static void
add(enum shape s, bool v6)
{
	static const char *const request[SHAPES] = {"esp/transport//require",
	    "ah/transport//require", "ipcomp/transport//require", "esp/transport//require",
	    "esp/transport//require"};
	struct fx_sa sa = sa_of(s, v6);

	fx_add_sa(&f, &sa);
	fx_add_sp(&f, OUT, me[v6], peer[v6], TDO_IPPROTO_UDP, request[s]);
}

/* A protected packet of 1000 bytes and more; compressible. */
static struct tdo_pkt *
sent(bool v6)
{
	struct tdo_pkt *p = fx_udp(&f.rng, me[v6], peer[v6], 1000);

	memset(tdo_pkt_data(p) + (v6 ? 48 : 28), 'a', 1000);
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	return p;
}

static uint8_t message[1600];

static void
seal(bool v6, size_t len)
{
	uint16_t sum;

	if (v6)
		return;
	tdo_put_be16(message + 2, 0);
	sum = tdo_csum_fold(tdo_csum_add(0, message, len));
	tdo_put_be16(message + 2, sum);
}

/* "Too big" with this MTU that quotes so much of p. */
static size_t
too_big(bool v6, const struct tdo_pkt *p, uint32_t quote, uint32_t mtu)
{
	memset(message, 0, 8);
	message[0] = v6 ? 2 : 3;
	message[1] = v6 ? 0 : 4;
	tdo_put_be32(message + 4, mtu);
	memcpy(message + 8, tdo_pkt_data(p), quote);
	seal(v6, 8 + quote);
	return 8 + quote;
}

static struct tdo_icmp_report report;

static enum tdo_icmp_verdict
give(bool v6, size_t len)
{
	return tdo_icmp_in(f.w, v6 ? TDO_AF_INET6 : TDO_AF_INET, message, len, f.now, &report);
}

static void
assert_dropped(bool v6, size_t len, enum tdo_reason r)
{
	uint64_t before = tdo_drops_read(f.e, r);

	assert_int_equal(give(v6, len), TDO_ICMP_DROP);
	assert_int_equal(report.reason, r);
	assert_int_equal(tdo_drops_read(f.e, r), before + 1);
}

static void
assert_believed(bool v6, size_t len, uint32_t mtu)
{
	struct tdo_addr dst = fx_addr(peer[v6]);

	assert_int_equal(give(v6, len), TDO_ICMP_TOO_BIG);
	assert_int_equal(report.mtu, mtu);
	assert_memory_equal(&report.dst, &dst, sizeof(dst));
}

static bool
built(enum shape s)
{
	return s != COMP || !tdo_comp_alg_by_name("deflate")->not_there;
}

static void
genuine_ones_are_believed(void **state)
{
	(void)state;
	for (enum shape s = ESP; s < SHAPES; s++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			/* What of a quote proves anything. */
			uint32_t least = (v6 ? 40 : 20) + (s == COMP ? 4u : 8u);
			struct tdo_pkt *p;

			if (!built(s))
				continue;
			(void)teardown(NULL);
			(void)setup(NULL);
			add(s, v6);
			p = sent(v6);
			if (s == COMP) /* it got smaller than what a path must carry */
				tdo_put_be16(tdo_pkt_data(p) + (v6 ? 4 : 2), 1400);
			least += s == UDP ? 8 : s == MARKER ? 16 : 0;
			if (v6 && s != COMP) /* 1280 is no news for a packet that is smaller */
				tdo_put_be16(tdo_pkt_data(p) + 4, 1400);
			assert_believed(v6,
			    too_big(v6, p, p->len < 500 ? p->len : 500, 1280 - 600 * !v6),
			    1280 - 600 * !v6);
			assert_believed(
			    v6, too_big(v6, p, least, 1280 - 600 * !v6), 1280 - 600 * !v6);
			/* Cut everywhere before that. */
			for (uint32_t n = v6 ? 40 : 20; n < least; n++) {
				size_t len = too_big(v6, p, n, 1280 - 600 * !v6);

				if (s >= UDP)
					assert_int_equal(give(v6, len), TDO_ICMP_FOREIGN);
				else
					assert_dropped(v6, len, TDO_REASON_ICMP_SHORT);
			}
			for (uint32_t n = 0; n < (v6 ? 40 : 20); n++)
				assert_int_equal(
				    give(v6, too_big(v6, p, n, 1280)), TDO_ICMP_FOREIGN);
			fx_pkt_free(p);
		}
}

/* ESP over IPv4 and IPv6, of which one byte is not what was sent. */
static void
forged(bool v6, uint32_t at, uint8_t flip, enum tdo_reason r)
{
	struct tdo_pkt *p = sent(v6);

	tdo_put_be16(tdo_pkt_data(p) + (v6 ? 4 : 2), 1500);
	tdo_pkt_data(p)[at] ^= flip;
	assert_dropped(v6, too_big(v6, p, 100, 1300), r);
	tdo_pkt_data(p)[at] ^= flip;
	assert_believed(v6, too_big(v6, p, 100, 1300), 1300);
	fx_pkt_free(p);
}

static void
forgeries_are_found(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint32_t src = v6 ? 23 : 15, dst = v6 ? 39 : 19, spi = v6 ? 43 : 23;

		add(ESP, v6);
		forged(v6, src, 4, TDO_REASON_ICMP_NOT_OURS); /* somebody else's address */
		forged(v6, dst, 8, TDO_REASON_ICMP_NO_SA);    /* another destination */
		forged(v6, spi, 1, TDO_REASON_ICMP_NO_SA);
		forged(v6, spi + 1, 0x80, TDO_REASON_ICMP_NOT_SENT); /* the number, in each byte */
		forged(v6, spi + 2, 0x80, TDO_REASON_ICMP_NOT_SENT);
		forged(v6, spi + 4, 0x80, TDO_REASON_ICMP_NOT_SENT);
	}
}

/* A CPI is no secret, and under ESP nobody on the way sees one. */
static void
ipcomp_inside_of_esp_proves_nothing(void **state)
{
	struct tdo_pkt *p, *comp;
	size_t len;

	(void)state;
	if (!built(COMP))
		return;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fx_sa esp = {.src = me[v6],
		    .dst = peer[v6],
		    .spi = 0x5000,
		    .mode = TDO_MODE_TRANSPORT,
		    .enc = "aes-gcm-16"};

		(void)teardown(NULL);
		(void)setup(NULL);
		add(COMP, v6);
		comp = sent(v6);
		tdo_put_be16(tdo_pkt_data(comp) + (v6 ? 4 : 2), 1500);
		len = too_big(v6, comp, 100, 1300);
		assert_believed(v6, len, 1300);
		(void)teardown(NULL);
		(void)setup(NULL);
		add(COMP, v6);
		fx_add_sa(&f, &esp);
		assert_int_equal(tdo_sp_flush(f.e), 1);
		fx_add_sp(&f, OUT, me[v6], peer[v6], TDO_IPPROTO_UDP,
		    "ipcomp/transport//require esp/transport//require");
		p = sent(v6);
		assert_int_equal(p->ip.flow.proto, TDO_IPPROTO_ESP);
		assert_dropped(v6, too_big(v6, comp, 100, 1300), TDO_REASON_ICMP_NOT_SENT);
		fx_pkt_free(p);
		fx_pkt_free(comp);
	}
}

static void
an_address_of_ours_that_the_sa_has_not(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	local("10.0.0.9");
	add(ESP, false);
	p = sent(false);
	tdo_pkt_data(p)[15] = 9;
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_OURS);
	fx_pkt_free(p);
}

static void
numbers_that_were_not_sent_lately(void **state)
{
	struct tdo_pkt *p;
	uint8_t *seq;

	(void)state;
	add(ESP, false);
	for (unsigned i = 0; i < 5; i++)
		fx_pkt_free(sent(false));
	p = sent(false);
	seq = tdo_pkt_data(p) + 24;
	assert_int_equal(tdo_be32(seq), 6);
	for (uint32_t n = 1; n <= 6; n++) {
		tdo_put_be32(seq, n);
		assert_believed(false, too_big(false, p, 100, 700), 700);
	}
	tdo_put_be32(seq, 0);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_SENT);
	tdo_put_be32(seq, 7);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_SENT);
	tdo_put_be32(seq, UINT32_MAX);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_SENT);
	fx_pkt_free(p);
}

static void
ports_of_another(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add(UDP, false);
	p = sent(false);
	tdo_pkt_data(p)[21] ^= 1; /* source port */
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_OURS);
	tdo_pkt_data(p)[21] ^= 1;
	tdo_pkt_data(p)[23] ^= 1; /* destination port */
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_OURS);
	tdo_pkt_data(p)[23] ^= 1;
	/* ESP itself, of an SA that never sends it so. */
	tdo_pkt_data(p)[9] = TDO_IPPROTO_ESP;
	memmove(tdo_pkt_data(p) + 20, tdo_pkt_data(p) + 28, 100);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_OURS);
	fx_pkt_free(p);
}

static void
udp_of_an_sa_that_is_not_in_udp(void **state)
{
	struct tdo_pkt *p;
	uint8_t *d;

	(void)state;
	add(ESP, false);
	p = sent(false);
	d = tdo_pkt_data(p);
	memmove(d + 28, d + 20, 100);
	memset(d + 20, 0, 8);
	d[9] = TDO_IPPROTO_UDP;
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_OURS);
	/* Other programs' UDP. */
	memset(d + 28, 0x55, 100);
	assert_int_equal(give(false, too_big(false, p, 100, 700)), TDO_ICMP_FOREIGN);
	d[9] = TDO_IPPROTO_TCP;
	assert_int_equal(give(false, too_big(false, p, 100, 700)), TDO_ICMP_FOREIGN);
	fx_pkt_free(p);
}

static void
sas_that_are_gone(void **state)
{
	struct fx_sa sa = sa_of(ESP, false);
	struct tdo_pkt *p;

	(void)state;
	add(ESP, false);
	p = sent(false);
	fx_delete_sa(&f, &sa);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NO_SA);
	/* One that never sent anything has the SPI now: it proves nothing. */
	fx_add_sa(&f, &sa);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_NOT_SENT);
	fx_pkt_free(p);
}

static void
mtus_that_cannot_be(void **state)
{
	static const struct {
		bool v6;
		uint32_t mtu, quoted;
		enum tdo_reason r;
	} c[] = {
	    {false, 1499, 1500, TDO_REASON_NONE},
	    {false, 1500, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {false, 65535, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {false, 68, 1500, TDO_REASON_NONE},
	    {false, 67, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {false, 1, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {false, 0, 1500, TDO_REASON_NONE},
	    {true, 1280, 1500, TDO_REASON_NONE},
	    {true, 1279, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {true, 0, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {true, 1500, 1500, TDO_REASON_ICMP_BAD_MTU},
	    {true, 1280, 1280, TDO_REASON_ICMP_BAD_MTU},
	    {true, UINT32_MAX, 1500, TDO_REASON_ICMP_BAD_MTU},
	};

	(void)state;
	add(ESP, false);
	add(ESP, true);
	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct tdo_pkt *p = sent(c[i].v6);

		tdo_put_be16(tdo_pkt_data(p) + (c[i].v6 ? 4 : 2),
		    (uint16_t)(c[i].quoted - (c[i].v6 ? 40 : 0)));
		if (c[i].r == TDO_REASON_NONE)
			assert_believed(c[i].v6, too_big(c[i].v6, p, 100, c[i].mtu), c[i].mtu);
		else
			assert_dropped(c[i].v6, too_big(c[i].v6, p, 100, c[i].mtu), c[i].r);
		assert_int_equal(report.quoted_len, c[i].r ? 0 : c[i].quoted);
		fx_pkt_free(p);
	}
}

static void
later_fragments_prove_nothing(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add(ESP, false);
	p = sent(false);
	tdo_put_be16(tdo_pkt_data(p) + 6, 5);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_SHORT);
	tdo_put_be16(tdo_pkt_data(p) + 6, TDO_IP4_MF); /* the first */
	assert_believed(false, too_big(false, p, 100, 700), 700);
	fx_pkt_free(p);
}

static void
setting_says_no(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add(ESP, false);
	p = sent(false);
	fx_knob(&f, TDO_KNOB_ICMP_PMTU, 0);
	assert_dropped(false, too_big(false, p, 100, 700), TDO_REASON_ICMP_IGNORED);
	fx_pkt_free(p);
}

/* Unreachable and the like: checked as well, then counted. */
static void
other_errors(void **state)
{
	static const uint8_t type[2][4] = {{3, 4, 11, 12}, {1, 3, 4, 1}};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct tdo_pkt *p;

		add(ESP, v6);
		p = sent(v6);
		for (unsigned i = 0; i < 4; i++) {
			uint64_t before = tdo_stat_read(f.e, TDO_STAT_ICMP_OTHER);
			size_t len = too_big(v6, p, 100, 0);

			message[0] = type[v6][i];
			message[1] = 1;
			seal(v6, len);
			assert_int_equal(give(v6, len), TDO_ICMP_OTHER);
			assert_int_equal(tdo_stat_read(f.e, TDO_STAT_ICMP_OTHER), before + 1);
			message[8 + (v6 ? 43 : 23)] ^= 1;
			seal(v6, len);
			assert_dropped(v6, len, TDO_REASON_ICMP_NO_SA);
		}
		fx_pkt_free(p);
	}
}

static void
what_is_no_error(void **state)
{
	struct tdo_pkt *p;
	size_t len;

	(void)state;
	add(ESP, false);
	p = sent(false);
	len = too_big(false, p, 100, 700);
	message[2] ^= 1; /* checksum */
	assert_int_equal(give(false, len), TDO_ICMP_FOREIGN);
	for (unsigned type = 0; type < 256; type++) {
		message[0] = (uint8_t)type;
		seal(false, len);
		assert_int_equal(give(false, len) == TDO_ICMP_FOREIGN,
		    type != 3 && type != 4 && type != 11 && type != 12);
	}
	/* IPv6 in ICMP, IPv4 in ICMPv6. */
	len = too_big(false, p, 100, 700);
	message[0] = 2;
	assert_int_equal(give(true, len), TDO_ICMP_FOREIGN);
	fx_pkt_free(p);
}

/* RFC 4884: behind the quote may be other things, which are no part of it. */
static void
extensions_are_no_quote(void **state)
{
	struct tdo_pkt *p;
	size_t len;

	(void)state;
	add(ESP, false);
	p = sent(false);
	len = too_big(false, p, 200, 700);
	message[5] = 32; /* words: 128 bytes */
	seal(false, len);
	assert_believed(false, len, 700);
	message[5] = 6; /* the IP header and half of the ESP header */
	seal(false, len);
	assert_dropped(false, len, TDO_REASON_ICMP_SHORT);
	message[5] = 255; /* more than there is */
	seal(false, len);
	assert_believed(false, len, 700);
	fx_pkt_free(p);
}

/* ---- how many ----------------------------------------------------------------------- */

/* Such whose SA there is not, whose addresses it has not, and whose number it did not send. */
static void
flood(bool v6, struct tdo_pkt *p, unsigned n)
{
	static const struct {
		uint8_t at[2], flip;
		enum tdo_reason r;
	} lie[] = {{{23, 43}, 1, TDO_REASON_ICMP_NO_SA}, {{15, 23}, 4, TDO_REASON_ICMP_NOT_OURS},
	    {{24, 44}, 0x80, TDO_REASON_ICMP_NOT_SENT}};

	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = tdo_pkt_data(p) + lie[i % 3].at[v6];

		*at ^= lie[i % 3].flip;
		assert_dropped(v6, too_big(v6, p, 100, 1300), lie[i % 3].r);
		*at ^= lie[i % 3].flip;
	}
}

static void
assert_believed_times(bool v6, struct tdo_pkt *p, uint32_t quote, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_believed(v6, too_big(v6, p, quote, 1300), 1300);
	assert_dropped(v6, too_big(v6, p, quote, 1300), TDO_REASON_ICMP_RATE);
}

static struct tdo_pkt *
sent_as_1500(bool v6)
{
	struct tdo_pkt *p = sent(v6);

	tdo_put_be16(tdo_pkt_data(p) + (v6 ? 4 : 2), v6 ? 1460 : 1500);
	return p;
}

static void
floods_of_forged_ones_starve_nobody(void **state)
{
	struct tdo_pkt *p[2];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		add(ESP, v6);
		p[v6] = sent_as_1500(v6);
	}
	for (unsigned second = 0; second < 2; second++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			flood(v6, p[v6], 30000);
			/* Nor do genuine ones about another SA. */
			assert_believed_times(v6, p[v6], 100, 100);
			flood(v6, p[v6], 300);
		}
		f.now += TDO_SEC;
	}
	fx_knob(&f, TDO_KNOB_ICMP_LIMIT, 0);
	assert_believed_times(false, p[0], 100, 0);
	fx_pkt_free(p[0]);
	fx_pkt_free(p[1]);
}

/* Wrong numbers cost nothing, so they must not be worth trying. */
static void
who_tries_numbers_gets_less(void **state)
{
	struct tdo_pkt *p, *last;

	(void)state;
	add(ESP, false);
	p = sent_as_1500(false);
	for (unsigned i = 0; i < 998; i++)
		fx_pkt_free(sent(false));
	last = sent_as_1500(false);
	flood(false, p, 3 * 100);
	assert_believed(false, too_big(false, p, 100, 1300), 1300);
	/* 26214 of them: a hundredth of the numbers is tried, as often. */
	flood(false, p, 3 * (26214 - 100));
	assert_believed(false, too_big(false, p, 100, 1300), 1300);
	flood(false, p, 3 * 300);
	assert_dropped(false, too_big(false, p, 100, 1300), TDO_REASON_ICMP_NOT_SENT);
	assert_believed(false, too_big(false, last, 100, 1300), 1300);
	f.now += TDO_SEC;
	assert_believed(false, too_big(false, p, 100, 1300), 1300);
	fx_pkt_free(p);
	fx_pkt_free(last);
}

/* RFC 792 promises no number of AH: anybody who knows the SPI can quote as much. */
static void
quotes_without_a_number_have_half(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	add(AH, false);
	p = sent_as_1500(false);
	assert_believed_times(false, p, 28, 50);
	assert_believed_times(false, p, 100, 50);
	fx_pkt_free(p);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(genuine_ones_are_believed),
	    T(forgeries_are_found),
	    T(ipcomp_inside_of_esp_proves_nothing),
	    T(an_address_of_ours_that_the_sa_has_not),
	    T(numbers_that_were_not_sent_lately),
	    T(ports_of_another),
	    T(udp_of_an_sa_that_is_not_in_udp),
	    T(sas_that_are_gone),
	    T(mtus_that_cannot_be),
	    T(later_fragments_prove_nothing),
	    T(setting_says_no),
	    T(other_errors),
	    T(what_is_no_error),
	    T(extensions_are_no_quote),
	    T(floods_of_forged_ones_starve_nobody),
	    T(who_tries_numbers_gets_less),
	    T(quotes_without_a_number_have_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
