/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of the BSDs: that the table is complete, and what packets do to them. */
#include <stdio.h>

#include "base/addr.h"
#include "base/be.h"
#include "engine/path.h"
#include "engine_case.h"
#include "hosts.h"
#include "testudo/comp.h"
#include "testudo/counter.h"
#include "wire/ip.h"

#define M "198.51.100.1"
#define N "198.51.100.2"

static struct tdo_counter_from from;

static int
open_counters(void **state)
{
	open_engine(state);
	from = (struct tdo_counter_from){.e = f.e};
	return 0;
}

/* ---- the table ---- */

static unsigned
sources_of_reason(unsigned r, unsigned at, bool kame)
{
	const struct tdo_counter_source *s;
	unsigned n = 0;

	for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
		n += s->kind == TDO_SOURCE_DROP && s->what == r && (s->where >> at & 1) &&
		     (tdo_counter_info(s->counter)->group == TDO_COUNTER_GROUP_KAME) == kame;
	return n;
}

/* A drop counts once for Fast IPsec and once for KAME, or it is said why not. */
static void
every_reason_counts_once(void **state)
{
	for (unsigned r = TDO_REASON_NONE + 1; r < TDO_REASON_COUNT; r++) {
		unsigned all = 0;

		for (unsigned at = 0; at < TDO_AT_COUNT; at++) {
			if (sources_of_reason(r, at, false) > 1 ||
			    sources_of_reason(r, at, true) > 1)
				fail_msg("%s counts twice", tdo_reason_info(r)->name);
			all += sources_of_reason(r, at, false) + sources_of_reason(r, at, true);
		}
		if ((all > 0) == (tdo_counter_not_for(r) != NULL))
			fail_msg("counter.def: %s has no FROM_DROP nor FROM_LAYERS for where it "
				 "happens (nor UNCOUNTED), or both",
			    tdo_reason_info(r)->name);
	}
}

static void
every_counter_has_a_source_or_a_reason_why_not(void **state)
{
	const struct tdo_counter_source *s;

	for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++) {
		bool fed = false;

		for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
			fed |= s->counter == c;
		if (fed == (tdo_counter_never(c) != NULL))
			fail_msg("counter.def: %s has no source and no NEVER, or both",
			    tdo_counter_info(c)->name);
	}
}

/* The arrays of NetBSD have no holes, and the names are of their own. */
static void
indexes_are_those_of_netbsd(void **state)
{
	static const unsigned sizes[TDO_COUNTER_GROUPS] = {
	    [TDO_COUNTER_GROUP_IPSEC] = 16,
	    [TDO_COUNTER_GROUP_AH] = 19 + 16,
	    [TDO_COUNTER_GROUP_ESP] = 20 + 256,
	    [TDO_COUNTER_GROUP_IPIP] = 10,
	    [TDO_COUNTER_GROUP_IPCOMP] = 17 + 8,
	    [TDO_COUNTER_GROUP_PFKEY] = 530,
	    [TDO_COUNTER_GROUP_KAME] = 1556,
	};

	for (unsigned g = 0; g < TDO_COUNTER_GROUPS; g++) {
		uint8_t used[1556] = {0};

		for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++) {
			const struct tdo_counter_info *i = tdo_counter_info(c);

			for (unsigned k = 0; i->group == g && k < i->slots; k++) {
				assert_in_range(i->index + k, 0, sizes[g] - 1);
				used[i->index + k]++;
			}
		}
		for (unsigned k = 0; k < sizes[g]; k++)
			if (used[k] != 1)
				fail_msg("group %u: index %u is used %u times", g, k, used[k]);
	}
}

/* Every reason at every place moves what the table says and nothing else. */
static void
each_drop_moves_its_counters(void **state)
{
	uint64_t before[TDO_COUNTER_COUNT], want[TDO_COUNTER_COUNT];
	const struct tdo_counter_source *s;

	for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++)
		before[c] = tdo_counter_read(&from, c);
	for (unsigned r = TDO_REASON_NONE + 1; r < TDO_REASON_COUNT; r++)
		for (unsigned at = 0; at < TDO_AT_COUNT; at++) {
			if (sources_of_reason(r, at, false) + sources_of_reason(r, at, true) == 0)
				continue;
			memcpy(want, before, sizeof(want));
			for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++)
				if (s->kind == TDO_SOURCE_DROP && s->what == r &&
				    (s->where >> at & 1))
					want[s->counter] += 3;
			tdo_worker_count_drop(f.w, at, r, 3);
			for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++) {
				before[c] = tdo_counter_read(&from, c);
				assert_true(before[c] == want[c]);
			}
		}
}

/* ---- packets ---- */

/* One counter of Fast IPsec and one of KAME, by "group.name". */
static enum tdo_counter
counter(const char *name)
{
	static const char *const groups[TDO_COUNTER_GROUPS] = {
	    "ipsec", "ah", "esp", "ipip", "ipcomp", "pfkey", "kame"};
	char full[64];

	for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++) {
		const struct tdo_counter_info *i = tdo_counter_info(c);

		(void)snprintf(full, sizeof(full), "%s.%s", groups[i->group], i->name);
		if (strcmp(full, name) == 0)
			return c;
	}
	fail_msg("no counter %s", name);
	return 0;
}

static uint64_t
value(const char *name)
{
	return tdo_counter_read(&from, counter(name));
}

static const struct fx_sa gcm = {.src = A,
    .dst = B,
    .spi = 0x1001,
    .mode = TDO_MODE_TRANSPORT,
    .enc = "aes-gcm-16",
    .replay = 64};
static const struct fx_sa null_sa = {
    .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .enc = "null"};
static const struct fx_sa tunnel = {.src = G,
    .dst = H,
    .spi = 0x1001,
    .mode = TDO_MODE_TUNNEL,
    .enc = "aes-cbc",
    .auth = "hmac-sha256"};

static const struct fx_sa ah_sa = {.src = A,
    .dst = B,
    .spi = 0x1001,
    .mode = TDO_MODE_TRANSPORT,
    .satype = TDO_SATYPE_AH,
    .auth = "hmac-sha256",
    .replay = 64};
static const struct fx_sa comp_sa = {
    .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .comp = "deflate"};

/* Policies in both directions for traffic from A to B. */
static void
protect(const struct fx_sa *sa, const char *requests)
{
	fx_add_sa(&f, sa);
	fx_add_sp(&f, TDO_DIR_IN, A, B, TDO_PROTO_ANY, requests);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, requests);
}

static void
protect_gcm(void)
{
	protect(&gcm, "esp/transport//require");
}

static void
protect_ah(void)
{
	protect(&ah_sa, "ah/transport//require");
}

static void
protect_comp(void)
{
	protect(&comp_sa, "ipcomp/transport//use");
}

static struct tdo_pkt *
sent(uint32_t payload)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, payload);

	tdo_out(f.w, &p, 1, f.now);
	return p;
}

static void
done(struct tdo_pkt *p)
{
	fx_pkt_free(p);
}

static void
take_in(struct tdo_pkt *p)
{
	tdo_in(f.w, &p, 1, f.now);
	done(p);
}

static void
twice(void)
{
	struct tdo_pkt *p = sent(20), *q = fx_pkt_new(0);

	fx_pkt_set(q, tdo_pkt_data(p), p->len);
	take_in(p);
	take_in(q);
}

/* One byte at this place is another one. */
static void
changed(struct tdo_pkt *p, uint32_t at)
{
	tdo_pkt_data(p)[at] ^= 1;
	take_in(p);
}

static void
in_twice(void)
{
	protect_gcm();
	twice();
}

static void
in_damaged(void)
{
	struct tdo_pkt *p;

	protect_gcm();
	p = sent(20);
	changed(p, p->len - 1);
}

static void
in_twice_ah(void)
{
	protect_ah();
	twice();
}

static void
in_damaged_ah(void)
{
	struct tdo_pkt *p;

	protect_ah();
	p = sent(20);
	changed(p, p->len - 1);
}

/* Payload length, the second byte of the header (RFC 4302 2.2). */
static void
in_wrong_length_ah(void)
{
	protect_ah();
	changed(sent(20), 20 + 1);
}

static void
out_wrap_ah(void)
{
	struct tdo_addr dst = fx_addr(B);

	protect_ah();
	atomic_store(tdo_sad_find_in(f.e, &dst, 0x1001, TDO_IPPROTO_AH)->out_seq, UINT32_MAX);
	done(sent(20));
}

static void
out_disabled_ah(void)
{
	protect_ah();
	fx_knob(&f, TDO_KNOB_AH_ENABLE, 0);
	done(sent(20));
}

static void
in_disabled_ah(void)
{
	struct tdo_pkt *p;

	protect_ah();
	p = sent(20);
	fx_knob(&f, TDO_KNOB_AH_ENABLE, 0);
	take_in(p);
}

/* A packet of zeros, which gets smaller. */
static struct tdo_pkt *
sent_smaller(void)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 1000);

	memset(tdo_pkt_data(p) + 28, 0, 1000);
	tdo_out(f.w, &p, 1, f.now);
	return p;
}

/* What is compressed is no stream: its first block is of type 3 (RFC 1951 3.2.3). */
static void
in_garbage_ipcomp(void)
{
	struct tdo_pkt *p;

	protect_comp();
	p = sent_smaller();
	tdo_pkt_data(p)[20 + 4] = 0x07;
	take_in(p);
}

static void
in_disabled_ipcomp(void)
{
	struct tdo_pkt *p;

	protect_comp();
	p = sent_smaller();
	fx_knob(&f, TDO_KNOB_IPCOMP_ENABLE, 0);
	take_in(p);
}

static void
in_unknown(void)
{
	struct tdo_pkt *p;

	protect_gcm();
	p = sent(20);
	fx_delete_sa(&f, &gcm);
	take_in(p);
}

/* An IP packet of this protocol with len bytes behind its header. */
static void
in_bare(uint8_t proto, uint32_t len)
{
	struct tdo_ip_hdr h = {.src = fx_addr(A), .dst = fx_addr(B), .ttl = 9, .proto = proto};
	struct tdo_pkt *p = fx_pkt_new(20 + len);

	tdo_ip_build(tdo_pkt_data(p), &h, len);
	take_in(p);
}

static void
in_short_esp(void)
{
	in_bare(TDO_IPPROTO_ESP, 7);
}

static void
in_short_ah(void)
{
	in_bare(TDO_IPPROTO_AH, 3);
}

static void
in_unknown_ah(void)
{
	in_bare(TDO_IPPROTO_AH, 64);
}

static void
in_short_ipcomp(void)
{
	in_bare(TDO_IPPROTO_IPCOMP, 1);
}

static void
in_unknown_ipcomp(void)
{
	in_bare(TDO_IPPROTO_IPCOMP, 64);
}

static void
in_garbage(void)
{
	struct tdo_pkt *p = fx_pkt_new(20);

	tdo_pkt_data(p)[0] = 0x15;
	take_in(p);
}

static void
out_garbage(void)
{
	struct tdo_pkt *p = fx_pkt_new(20);

	tdo_pkt_data(p)[0] = 0x15;
	tdo_out(f.w, &p, 1, f.now);
	done(p);
}

static void
in_odd_length(void)
{
	static const struct fx_sa cbc = {
	    .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .enc = "aes-cbc"};
	struct tdo_pkt *p;

	protect(&cbc, "esp/transport//require");
	p = sent(20);
	p->len -= 4;
	tdo_put_be16(tdo_pkt_data(p) + 2, (uint16_t)p->len);
	tdo_ip4_set_csum(tdo_pkt_data(p));
	take_in(p);
}

static void
in_bad_padding(void)
{
	struct tdo_pkt *p;

	protect(&null_sa, "esp/transport//require");
	p = sent(21);
	tdo_pkt_data(p)[p->len - 3] ^= 0x40;
	take_in(p);
}

static void
in_disabled(void)
{
	struct tdo_pkt *p;

	protect_gcm();
	p = sent(20);
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 0);
	take_in(p);
}

static void
out_disabled(void)
{
	protect_gcm();
	fx_knob(&f, TDO_KNOB_ESP_ENABLE, 0);
	done(sent(20));
}

static void
out_expired(void)
{
	struct fx_sa sa = gcm;

	sa.hard.allocations = 1;
	protect(&sa, "esp/transport//require");
	done(sent(20));
	done(sent(20));
}

static void
out_wrap(void)
{
	struct tdo_addr dst = fx_addr(B);

	protect_gcm();
	atomic_store(tdo_sad_find_in(f.e, &dst, 0x1001, 50)->out_seq, UINT32_MAX);
	done(sent(20));
}

static void
out_too_long(void)
{
	protect_gcm();
	done(sent(65535 - 28));
}

static void
out_no_sa(void)
{
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, "esp/transport//require");
	done(sent(20));
}

static void
out_discard(void)
{
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, "discard");
	done(sent(20));
}

static void
out_no_endpoint(void)
{
	static const struct fx_sa sa = {
	    .src = "0.0.0.0", .dst = H, .spi = 0x1001, .mode = TDO_MODE_ANY, .enc = "null"};

	fx_add_sa(&f, &sa);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, "esp/transport/0.0.0.0-" H "/require");
	done(sent(20));
}

static void
in_clear(void)
{
	struct tdo_pkt *p = fx_udp(&f.rng, A, B, 20);

	protect_gcm();
	tdo_in_clear(f.w, &p, 1, f.now);
	done(p);
}

static void
in_wrong_mode(void)
{
	struct fx_sa other = null_sa;
	struct tdo_pkt *p;

	protect(&null_sa, "esp/transport//require");
	p = sent(20);
	fx_delete_sa(&f, &null_sa);
	other.mode = TDO_MODE_TUNNEL;
	fx_add_sa(&f, &other);
	take_in(p);
}

static void
in_spoofed(void)
{
	protect(&tunnel, "esp/tunnel/" G "-" H "/require");
	fx_local(&f, A);
	take_in(sent(20));
}

static void
in_bad_inner(void)
{
	static const struct fx_sa sa = {
	    .src = G, .dst = H, .spi = 0x1001, .mode = TDO_MODE_TUNNEL, .enc = "null"};
	struct tdo_pkt *p;

	protect(&sa, "esp/tunnel/" G "-" H "/require");
	p = sent(20);
	tdo_pkt_data(p)[20 + 8] = 0x65; /* version 6 of what is announced as 4 */
	take_in(p);
}

static void
in_wrong_sa(void)
{
	struct tdo_pkt *p;

	fx_add_sa(&f, &gcm);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY, "esp/transport//require");
	fx_add_sp(&f, TDO_DIR_IN, A, B, TDO_PROTO_ANY, "esp/tunnel/" G "-" H "/require");
	p = sent(20);
	take_in(p);
}

/* What a packet does: the only counter of a drop in Fast IPsec, and the one of KAME. */
static const struct {
	void (*run)(void);
	const char *fast, *kame;
	bool compresses;
} cases[] = {
    {in_twice, "esp.REPLAY", "kame.in_espreplay", false},
    {in_damaged, "esp.BADAUTH", "kame.in_espauthfail", false},
    {in_twice_ah, "ah.REPLAY", "kame.in_ahreplay", false},
    {in_damaged_ah, "ah.BADAUTH", "kame.in_ahauthfail", false},
    {in_wrong_length_ah, "ah.BADAUTHL", "kame.in_inval", false},
    {in_disabled_ah, "ah.PDROPS", "kame.in_polvio", false},
    {out_disabled_ah, "ah.PDROPS", "kame.out_polvio", false},
    {out_wrap_ah, "ah.WRAP", "kame.out_inval", false},
    {in_garbage_ipcomp, "ipcomp.CRYPTO", "kame.in_inval", true},
    {in_disabled_ipcomp, "ipcomp.PDROPS", "kame.in_polvio", true},
    {in_unknown, "esp.NOTDB", "kame.in_nosa", false},
    {in_unknown_ah, "ah.NOTDB", "kame.in_nosa", false},
    {in_unknown_ipcomp, "ipcomp.NOTDB", "kame.in_nosa", false},
    {in_short_esp, "esp.HDROPS", "kame.in_badspi", false},
    {in_short_ah, "ah.HDROPS", "kame.in_badspi", false},
    {in_short_ipcomp, "ipcomp.HDROPS", "kame.in_badspi", false},
    {in_garbage, NULL, "kame.in_inval", false},
    {out_garbage, "ipsec.OUT_INVAL", "kame.out_inval", false},
    {in_odd_length, "esp.BADILEN", "kame.in_inval", false},
    {in_bad_padding, "esp.BADENC", "kame.in_inval", false},
    {in_disabled, "esp.PDROPS", "kame.in_polvio", false},
    {out_disabled, "esp.PDROPS", "kame.out_polvio", false},
    {out_expired, "esp.INVALID", "kame.out_nosa", false},
    {out_wrap, "esp.WRAP", "kame.out_inval", false},
    {out_too_long, "esp.TOOBIG", "kame.out_inval", false},
    {out_no_sa, "ipsec.OUT_NOSA", "kame.out_nosa", false},
    {out_discard, "ipsec.OUT_POLVIO", "kame.out_polvio", false},
    {out_no_endpoint, "ipip.UNSPEC", "kame.out_inval", false},
    {in_clear, "ipsec.IN_POLVIO", "kame.in_polvio", false},
    {in_wrong_sa, "ipsec.IN_POLVIO", "kame.in_polvio", false},
    {in_wrong_mode, "esp.TUNNEL", "kame.in_inval", false},
    {in_spoofed, "ipip.SPOOF", "kame.in_polvio", false},
    {in_bad_inner, "ipip.HDROPS", "kame.in_inval", false},
};

/* True for counters of what goes wrong: all that only drops count into. */
static bool
is_of_drops(enum tdo_counter c)
{
	const struct tdo_counter_source *s;
	bool any = false;

	for (unsigned i = 0; (s = tdo_counter_source_at(i)) != NULL; i++) {
		if (s->counter == c && s->kind != TDO_SOURCE_DROP)
			return false;
		any |= s->counter == c;
	}
	return any;
}

static void
packets_move_counters(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].compresses && tdo_comp_alg(2)->not_there)
			continue; /* built without it */
		open_counters(NULL);
		cases[i].run();
		for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++) {
			bool wanted = (cases[i].fast && counter(cases[i].fast) == c) ||
				      counter(cases[i].kame) == c;

			if (is_of_drops(c) && tdo_counter_read(&from, c) != wanted)
				fail_msg("case %u: %s is %u", i, tdo_counter_info(c)->name,
				    (unsigned)tdo_counter_read(&from, c));
		}
		close_engine(NULL);
	}
}

/* ---- what goes well ---- */

static void
traffic_is_counted(void **state)
{
	struct tdo_pkt *p;

	protect(&tunnel, "esp/tunnel/" G "-" H "/require");
	p = sent(100); /* 128 bytes of IPv4 and UDP */
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(value("esp.OUTPUT"), 1);
	assert_int_equal(value("esp.OBYTES"), p->len);
	assert_int_equal(value("ipip.OPACKETS"), 1);
	assert_int_equal(value("ipip.OBYTES"), 128);
	assert_int_equal(value("kame.out_success"), 1);
	assert_int_equal(value("ipsec.SPDCACHELOOKUP"), 1);
	assert_int_equal(value("ipsec.SPDCACHEMISS"), 1);
	assert_int_equal(value("ipsec.OUT_BUNDLESA"), 0);
	assert_int_equal(value("esp.INPUT"), 0);
	tdo_in(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	done(p);
	assert_int_equal(value("esp.INPUT"), 1);
	assert_int_equal(value("esp.IBYTES"), value("esp.OBYTES"));
	assert_int_equal(value("ipip.IPACKETS"), 1);
	assert_int_equal(value("ipip.IBYTES"), 128);
	assert_int_equal(value("kame.in_success"), 1);
	assert_int_equal(value("kame.in_espauthsucc"), 1);
	assert_int_equal(value("ah.INPUT"), 0);
}

static void
bundles_are_counted(void **state)
{
	static const struct fx_sa outer = {
	    .src = M, .dst = N, .spi = 0x1002, .mode = TDO_MODE_TUNNEL, .enc = "null"};

	fx_add_sa(&f, &tunnel);
	fx_add_sa(&f, &outer);
	fx_add_sp(&f, TDO_DIR_OUT, A, B, TDO_PROTO_ANY,
	    "esp/tunnel/" G "-" H "/require esp/tunnel/" M "-" N "/require");
	done(sent(100));
	assert_int_equal(value("ipsec.OUT_BUNDLESA"), 1);
	assert_int_equal(value("esp.OUTPUT"), 2);
	assert_int_equal(value("ipip.OPACKETS"), 2);
	assert_int_equal(value("kame.out_success"), 1);
}

/* ---- histograms ---- */

static uint64_t
slot(const char *name, const char *alg)
{
	uint64_t slots[TDO_COUNTER_SLOTS];

	tdo_counter_slots(&from, counter(name), slots);
	return slots[tdo_alg_enc_by_name(alg)->pfkey];
}

static void
there_and_back(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		take_in(sent(20));
}

/* By algorithm and way; what SAs did stays when they are gone, and is not counted twice. */
static void
algorithms_are_counted_whatever_becomes_of_their_sas(void **state)
{
	struct tdo_addr src = fx_addr(A), dst = fx_addr(B);
	uint8_t key[64] = {7};
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_ESP, gcm.spi, src, dst},
	    .mode = TDO_MODE_TRANSPORT,
	    .ealg = tdo_alg_enc_by_name("aes-ctr")->pfkey,
	    .aalg = tdo_alg_auth_by_name("hmac-sha1")->pfkey,
	    .ekey = key,
	    .akey = key,
	    .ekey_bits = 160,
	    .akey_bits = 160,
	};

	protect_gcm();
	there_and_back(3);
	assert_int_equal(slot("esp.HIST", "aes-gcm-16"), 6);
	assert_int_equal(slot("kame.in_esphist", "aes-gcm-16"), 3);
	assert_int_equal(slot("kame.out_esphist", "aes-gcm-16"), 3);
	assert_int_equal(tdo_sa_update(f.e, &p, f.now, NULL), 0);
	there_and_back(5);
	assert_int_equal(slot("esp.HIST", "aes-gcm-16"), 6);
	assert_int_equal(slot("esp.HIST", "aes-ctr"), 10);
	fx_delete_sa(&f, &gcm);
	tdo_worker_quiesce(f.w);
	tdo_engine_tick(f.e, f.now);
	fx_add_sa(&f, &null_sa);
	there_and_back(2);
	assert_int_equal(slot("esp.HIST", "aes-gcm-16"), 6);
	assert_int_equal(slot("esp.HIST", "aes-ctr"), 10);
	assert_int_equal(slot("esp.HIST", "null"), 4);
	assert_int_equal(value("esp.HIST"), 20);
	assert_int_equal(value("kame.in_espauthsucc"), 8); /* null has no ICV */
	assert_int_equal(value("ah.HIST"), 0);
}

static void
ah_and_ipcomp_have_their_own(void **state)
{
	uint64_t slots[TDO_COUNTER_SLOTS];
	struct tdo_pkt *p;

	protect_ah();
	there_and_back(2);
	tdo_counter_slots(&from, counter("ah.HIST"), slots);
	assert_int_equal(slots[tdo_alg_auth_by_name("hmac-sha256")->pfkey], 4);
	assert_int_equal(value("ah.HIST"), 4);
	assert_int_equal(value("ah.INPUT"), 2);
	assert_int_equal(value("ah.OUTPUT"), 2);
	assert_int_equal(value("ah.IBYTES"), value("ah.OBYTES"));
	assert_int_equal(value("kame.in_ahauthsucc"), 2);
	assert_int_equal(value("kame.in_espauthsucc"), 0);
	assert_int_equal(value("esp.HIST"), 0);
	if (tdo_comp_alg(2)->not_there)
		return; /* built without it */
	assert_int_equal(tdo_sp_flush(f.e), 2);
	protect_comp();
	p = sent_smaller();
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	take_in(p);
	done(sent(20));
	done(sent(1000)); /* random bytes */
	tdo_counter_slots(&from, counter("ipcomp.HIST"), slots);
	assert_int_equal(slots[2], 2); /* deflate */
	assert_int_equal(value("ipcomp.HIST"), 2);
	assert_int_equal(value("ipcomp.INPUT"), 1);
	assert_int_equal(value("ipcomp.OUTPUT"), 1);
	assert_int_equal(value("ipcomp.MINLEN"), 1);
	assert_int_equal(value("ipcomp.USELESS"), 1);
	assert_int_equal(value("ah.HIST"), 4);
}

/* PF_KEY numbers of AH's algorithms go up to 252, and to the last one of each there is a slot. */
static void
slots_are_told_apart(void **state)
{
	uint16_t esp = tdo_used_slot(TDO_IPPROTO_ESP, 255, true);
	uint16_t ah = tdo_used_slot(TDO_IPPROTO_AH, 252, true);
	uint16_t comp = tdo_used_slot(TDO_IPPROTO_IPCOMP, 3, false);
	uint64_t slots[TDO_COUNTER_SLOTS];

	atomic_store(&f.w->used[0][esp], 1);
	atomic_store(&f.w->used[1][ah], 2);
	atomic_store(&f.w->used[0][comp], 4);
	tdo_counter_slots(&from, TDO_COUNTER_ESP_HIST, slots);
	assert_int_equal(slots[255], 1);
	tdo_counter_slots(&from, TDO_COUNTER_AH_HIST, slots);
	assert_int_equal(slots[252], 2);
	tdo_counter_slots(&from, TDO_COUNTER_IPCOMP_HIST, slots);
	assert_int_equal(slots[3], 4);
	assert_int_equal(value("esp.HIST"), 1);
	assert_int_equal(value("ah.HIST"), 2);
	assert_int_equal(value("ipcomp.HIST"), 4);
	assert_int_equal(value("kame.in_ahhist"), 0);
	assert_int_equal(value("kame.out_ahhist"), 2);
	assert_int_equal(value("kame.in_comphist"), 4);
}

static void
the_kernel_counts_what_its_guard_drops(void **state)
{
	from.guard_drops = 9;
	tdo_worker_count_drop(f.w, TDO_AT_OUT, TDO_REASON_GUARD, 2);
	assert_int_equal(value("ipsec.OUT_POLVIO"), 11);
	assert_int_equal(value("ipsec.IN_POLVIO"), 0);
}

#define T(t) cmocka_unit_test_setup_teardown(t, open_counters, close_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reason_counts_once),
	    cmocka_unit_test(every_counter_has_a_source_or_a_reason_why_not),
	    cmocka_unit_test(indexes_are_those_of_netbsd),
	    T(each_drop_moves_its_counters),
	    cmocka_unit_test(packets_move_counters),
	    T(traffic_is_counted),
	    T(bundles_are_counted),
	    T(algorithms_are_counted_whatever_becomes_of_their_sas),
	    T(ah_and_ipcomp_have_their_own),
	    T(slots_are_told_apart),
	    T(the_kernel_counts_what_its_guard_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
