/* SPDX-License-Identifier: BSD-2-Clause */
/* Path MTU probes: their size to the byte, who answers, and what is not taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "fixture.h"
#include "wire/ip.h"

/* [v6] */
static const char *const one[2] = {"10.0.0.1", "fd00::1"}, *const two[2] = {"10.0.0.2", "fd00::2"};

static struct fx a, b;

static int
setup(void **state)
{
	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	fx_open(&a, NULL);
	fx_open(&b, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fx_close(&a);
	fx_close(&b);
	return 0;
}

static void
add_both(bool v6, struct fx_sa sa)
{
	sa.src = one[v6];
	sa.dst = two[v6];
	sa.spi = 0x1001;
	fx_add_sa(&a, &sa);
	fx_add_sa(&b, &sa);
	sa.src = two[v6];
	sa.dst = one[v6];
	sa.spi = 0x1002;
	fx_add_sa(&a, &sa);
	fx_add_sa(&b, &sa);
}

static struct tdo_pkt *
make(struct fx *f, bool v6, const char *from, const char *to, const struct tdo_probe *probe,
    bool *ok)
{
	struct tdo_addr src = fx_addr(from), dst = fx_addr(to);
	struct tdo_pkt *p = fx_pkt_new(probe->answer ? 100 : probe->size);

	(void)v6;
	*ok = tdo_probe_make(f->w, &src, &dst, probe, p, f->now);
	return p;
}

static enum tdo_reason
receive(struct fx *f, struct tdo_pkt *p, uint8_t flags)
{
	p->flags = flags;
	tdo_in(f->w, &p, 1, f->now);
	assert_int_equal(p->verdict, TDO_VERDICT_DROP);
	return (enum tdo_reason)p->reason;
}

/* There and back; returns the length of the packet that asks. */
static uint32_t
round_trip(bool v6, uint32_t size, uint8_t flags)
{
	struct tdo_probe ask = {.size = size, .nonce = 0x0123456789abcdef}, got;
	struct tdo_addr peer, local, one_addr = fx_addr(one[v6]), two_addr = fx_addr(two[v6]);
	struct tdo_ip_info ip;
	struct tdo_pkt *p;
	uint32_t len;
	bool ok;

	p = make(&a, v6, one[v6], two[v6], &ask, &ok);
	assert_true(ok);
	len = p->len;
	assert_int_equal(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip), TDO_REASON_NONE);
	assert_true(v6 || ip.df);
	assert_int_equal(ip.total_len, len);
	assert_int_equal(receive(&b, p, flags), TDO_REASON_IN_PROBE);
	got = tdo_probe_read(p, &peer, &local);
	assert_memory_equal(&peer, &one_addr, sizeof(peer));
	assert_memory_equal(&local, &two_addr, sizeof(local));
	assert_false(got.answer);
	assert_int_equal(got.size, size);
	assert_true(got.nonce == ask.nonce);
	fx_pkt_free(p);

	got.answer = true;
	p = make(&b, v6, two[v6], one[v6], &got, &ok);
	assert_true(ok);
	assert_true(p->len < 200);
	assert_int_equal(receive(&a, p, flags), TDO_REASON_IN_PROBE);
	got = tdo_probe_read(p, &peer, &local);
	assert_memory_equal(&peer, &two_addr, sizeof(peer));
	assert_true(got.answer);
	assert_int_equal(got.size, size);
	assert_true(got.nonce == ask.nonce);
	fx_pkt_free(p);
	return len;
}

static void
of_every_format(void **state)
{
	static const struct {
		struct fx_sa sa;
		uint32_t step; /* of padding */
	} c[] = {
	    {{.mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"}, 4},
	    {{.mode = TDO_MODE_TUNNEL, .enc = "aes-gcm-16"}, 4},
	    {{.mode = TDO_MODE_ANY, .enc = "aes-gcm-16", .replay = 64}, 4},
	    {{.mode = TDO_MODE_TUNNEL, .enc = "aes-cbc", .auth = "hmac-sha1"}, 16},
	    {{.mode = TDO_MODE_TRANSPORT, .enc = "null", .auth = "hmac-sha256"}, 4},
	    {{.mode = TDO_MODE_TRANSPORT,
		 .enc = "aes-gcm-16",
		 .natt = {.type = TDO_NATT_ESPINUDP, .sport = 4500, .dport = 4500}},
		4},
	    {{.mode = TDO_MODE_TUNNEL,
		 .enc = "aes-gcm-16",
		 .natt = {.type = TDO_NATT_NON_IKE, .sport = 500, .dport = 500}},
		4},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			uint8_t flags = c[i].sa.natt.type ? TDO_PKT_UDP_ENCAP : 0;

			(void)teardown(NULL);
			(void)setup(NULL);
			add_both(v6, c[i].sa);
			for (uint32_t size = 1300; size < 1300 + 2 * c[i].step; size++)
				assert_in_range(
				    round_trip(v6, size, flags), size - c[i].step + 1, size);
			assert_in_range(round_trip(v6, 9000, flags), 9000 - c[i].step + 1, 9000);
		}
}

static void
no_sa_no_probe(void **state)
{
	struct tdo_probe ask = {.size = 1400, .nonce = 1};
	bool ok;

	(void)state;
	fx_pkt_free(make(&a, false, one[0], two[0], &ask, &ok));
	assert_false(ok);
	/* Not without authentication: anybody could answer. */
	add_both(false, (struct fx_sa){.mode = TDO_MODE_TRANSPORT, .enc = "aes-cbc"});
	fx_pkt_free(make(&a, false, one[0], two[0], &ask, &ok));
	assert_false(ok);
	/* AH has no dummy packets. */
	add_both(true, (struct fx_sa){.satype = TDO_SATYPE_AH, .auth = "hmac-sha256"});
	fx_pkt_free(make(&a, true, one[1], two[1], &ask, &ok));
	assert_false(ok);
}

static void
sizes_that_cannot_be(void **state)
{
	bool ok;

	(void)state;
	add_both(false, (struct fx_sa){.mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"});
	/* 20 + 8 + 8 + 16 of headers, 24 of probe, 2 of trailer and 2 of padding. */
	for (uint32_t size = 0; size < 100; size++) {
		struct tdo_probe ask = {.size = size};

		fx_pkt_free(make(&a, false, one[0], two[0], &ask, &ok));
		assert_int_equal(ok, size >= 80);
	}
	/* What random padding made longer measures nothing. */
	fx_knob(&a, TDO_KNOB_ESP_RANDPAD, 2000);
	for (unsigned i = 0, made = 0; i < 50; i++) {
		struct tdo_probe ask = {.size = 1400};
		struct tdo_pkt *p = make(&a, false, one[0], two[0], &ask, &ok);

		assert_true(!ok || p->len <= 1400);
		made += ok;
		fx_pkt_free(p);
		assert_true(made <= i + 1);
	}
}

/* The text of a dummy packet that an ESP SA carries. */
static enum tdo_reason
dummy(const void *text, uint32_t len)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(one[0]), .dst = fx_addr(two[0]), .ttl = 64, .proto = TDO_IPPROTO_NONE};
	struct tdo_pkt *p = fx_pkt_new(20 + len);
	enum tdo_reason r;

	tdo_ip_build(tdo_pkt_data(p), &h, len);
	memcpy(tdo_pkt_data(p) + 20, text, len);
	tdo_out(a.w, &p, 1, a.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	r = receive(&b, p, 0);
	fx_pkt_free(p);
	return r;
}

static void
other_dummies_are_none(void **state)
{
	uint8_t t[64] = "TDO-PMTU";

	(void)state;
	add_both(false, (struct fx_sa){.mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"});
	fx_add_sp(&a, TDO_DIR_OUT, one[0], two[0], TDO_PROTO_ANY, "esp/transport//require");
	t[8] = 1;
	t[9] = 1;
	assert_int_equal(dummy(t, 24), TDO_REASON_IN_PROBE);
	assert_int_equal(dummy(t, 64), TDO_REASON_IN_PROBE);
	assert_int_equal(dummy(t, 23), TDO_REASON_IN_DUMMY);
	assert_int_equal(dummy(t, 0), TDO_REASON_IN_DUMMY);
	t[9] = 3;
	assert_int_equal(dummy(t, 24), TDO_REASON_IN_DUMMY);
	t[9] = 2;
	assert_int_equal(dummy(t, 24), TDO_REASON_IN_PROBE);
	t[8] = 2;
	assert_int_equal(dummy(t, 24), TDO_REASON_IN_DUMMY);
	t[8] = 1;
	t[0] = 't';
	assert_int_equal(dummy(t, 24), TDO_REASON_IN_DUMMY);
}

static void
repeated_ones_are_dropped_as_such(void **state)
{
	struct tdo_probe ask = {.size = 1400, .nonce = 1};
	struct tdo_pkt *p;
	uint8_t copy[1400];
	uint32_t len;
	bool ok;

	(void)state;
	add_both(
	    false, (struct fx_sa){.mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16", .replay = 32});
	p = make(&a, false, one[0], two[0], &ask, &ok);
	assert_true(ok);
	len = p->len;
	memcpy(copy, tdo_pkt_data(p), len);
	assert_int_equal(receive(&b, p, 0), TDO_REASON_IN_PROBE);
	fx_pkt_set(p, copy, len);
	assert_int_equal(receive(&b, p, 0), TDO_REASON_IN_REPLAY_DUP);
	copy[len - 1] ^= 1;
	tdo_put_be32(copy + 24, 7);
	fx_pkt_set(p, copy, len);
	assert_int_equal(receive(&b, p, 0), TDO_REASON_IN_ICV);
	fx_pkt_free(p);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(of_every_format),
	    T(no_sa_no_probe),
	    T(sizes_that_cannot_be),
	    T(other_dummies_are_none),
	    T(repeated_ones_are_dropped_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
