/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnel headers: ECN (RFC 6040), DSCP, DF, hop limit and flow label by knob, policy and SA,
 * in the four pairs of families (RFC 4301 5.1.2, 8.1; spec 7.4, 7.5, 7.15).
 */
#include <errno.h>
#include <stdio.h>

#include "base/be.h"
#include "engine/engine.h"
#include "engine_case.h"
#include "pktgen.h"
#include "wire/ip.h"

#define IN  TDO_DIR_IN
#define OUT TDO_DIR_OUT

enum { GAP = 8 }; /* ESP header with NULL encryption */

/* The addresses of the packet and of three tunnels around it; [v6][end]. */
static const char *const host[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8::2"}};
static const char *const gate[3][2][2] = {
    {{"192.0.2.1", "192.0.2.2"}, {"2001:db8:a::1", "2001:db8:a::2"}},
    {{"192.0.2.11", "192.0.2.12"}, {"2001:db8:b::1", "2001:db8:b::2"}},
    {{"192.0.2.21", "192.0.2.22"}, {"2001:db8:c::1", "2001:db8:c::2"}},
};

static struct tdo_tunnel_opt sa_opt; /* of the SAs that are added from now on */

static int
open_plain(void **state)
{
	memset(&sa_opt, 0, sizeof(sa_opt));
	return open_engine(state);
}

/* A tunnel with the outer family, number n, for which there are no policies yet. */
static void
add_tunnel(unsigned n, bool v6)
{
	fx_add_sa(&f, &(struct fx_sa){.src = gate[n][v6][0],
			  .dst = gate[n][v6][1],
			  .spi = 0x1000 + n,
			  .mode = TDO_MODE_TUNNEL,
			  .enc = "null",
			  .tunnel = sa_opt});
}

/* Tunnel 0 of the outer family for the hosts of the inner one. */
static void
add_policies(bool in6, bool out6)
{
	char req[128];

	snprintf(req, sizeof(req), "esp/tunnel/%s-%s/require", gate[0][out6][0], gate[0][out6][1]);
	fx_add_sp(&f, OUT, host[in6][0], host[in6][1], TDO_PROTO_ANY, req);
	fx_add_sp(&f, IN, host[in6][0], host[in6][1], TDO_PROTO_ANY, req);
}

static void
one_tunnel(bool in6, bool out6)
{
	add_tunnel(0, out6);
	add_policies(in6, out6);
}

static unsigned
tos_of(const uint8_t *d)
{
	return d[0] >> 4 == 6 ? (tdo_be16(d) >> 4 & 0xff) : d[1];
}

static void
set_tos(uint8_t *d, unsigned tos)
{
	if (d[0] >> 4 == 6) {
		tdo_put_be16(d, (uint16_t)((tdo_be16(d) & 0xf00f) | tos << 4));
		return;
	}
	d[1] = (uint8_t)tos;
	tdo_ip4_set_csum(d);
}

static bool
header_csum_ok(const uint8_t *d)
{
	return d[0] >> 4 == 6 || pktgen_csum(d, (d[0] & 15u) * 4) == 0;
}

static uint32_t
label_of(const uint8_t *d)
{
	return tdo_be32(d) & 0xfffff;
}

static struct tdo_pkt *
udp(bool v6, unsigned tos, bool df)
{
	struct tdo_pkt *p = fx_udp(&f.rng, host[v6][0], host[v6][1], 5);
	uint8_t *d = tdo_pkt_data(p);

	if (v6)
		tdo_put_be32(d, tdo_be32(d) | 0x54321);
	else
		d[6] = df ? 0x40 : 0;
	set_tos(d, tos);
	return p;
}

/* The protected packet, whose inner packet is as it was. */
static struct tdo_pkt *
wrapped(bool v6, unsigned tos, bool df)
{
	struct tdo_pkt *p = udp(v6, tos, df);
	uint8_t before[128], *d;
	uint32_t len = p->len;

	memcpy(before, tdo_pkt_data(p), len);
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	d = tdo_pkt_data(p);
	assert_true(header_csum_ok(d));
	assert_int_equal(tos_of(d), p->ip.tos);
	assert_int_equal(d[0] >> 4 == 6 ? d[7] : d[8], p->ip.ttl);
	assert_memory_equal(d + tdo_ip_hlen(p->ip.flow.src.af) + GAP, before, len);
	return p;
}

/* ---- ECN -------------------------------------------------------------------------------- */

enum { MODES = 5 }; /* values -1 .. 3 of the knob */

/* By name, in the order of the bits (RFC 3168 5): the tables below are in the order of the RFC. */
static const char *const ecn_name[4] = {"Not-ECT", "ECT(1)", "ECT(0)", "CE"};

static unsigned
ecn_bits(const char *name)
{
	unsigned i = 0;
	size_t len = strcspn(name, "!");

	while (strncmp(name, ecn_name[i], len) != 0 || ecn_name[i][len] != '\0')
		assert_true(++i < 4);
	return i;
}

/*
 * What the outer header says for each inner field.  RFC 2401 5.1.2.1 (copied), spec 7.5
 * (masks 0xfc and 0xfe), RFC 6040 4.1 figure 3.
 */
static const char *const encapsulated[4][1 + MODES] = {
    /* inner     ignored    forbidden  allowed    normal     compatibility */
    {"Not-ECT", "Not-ECT", "Not-ECT", "Not-ECT", "Not-ECT", "Not-ECT"},
    {"ECT(0)", "ECT(0)", "Not-ECT", "ECT(0)", "ECT(0)", "Not-ECT"},
    {"ECT(1)", "ECT(1)", "Not-ECT", "Not-ECT", "ECT(1)", "Not-ECT"},
    {"CE", "CE", "Not-ECT", "ECT(0)", "CE", "Not-ECT"},
};

static const char *const outer_order[4] = {"Not-ECT", "ECT(0)", "ECT(1)", "CE"};

/* Figure 4 of RFC 6040 4.2; ! unexpected, !!! dangerous. */
static const char *const decapsulated[4][1 + 4] = {
    /* inner \ outer: Not-ECT, ECT(0), ECT(1), CE */
    {"Not-ECT", "Not-ECT", "Not-ECT!!!", "Not-ECT!!!", "drop!!!"},
    {"ECT(0)", "ECT(0)", "ECT(0)", "ECT(1)", "CE"},
    {"ECT(1)", "ECT(1)", "ECT(1)!", "ECT(1)", "CE"},
    {"CE", "CE", "CE", "CE!!!", "CE"},
};

/* draft-ietf-ipsec-ecn-02: only CE comes back, and only to those who know it. */
static const char *const decapsulated_allowed[4][1 + 4] = {
    {"Not-ECT", "Not-ECT", "Not-ECT", "Not-ECT", "Not-ECT"},
    {"ECT(0)", "ECT(0)", "ECT(0)", "ECT(0)", "CE"},
    {"ECT(1)", "ECT(1)", "ECT(1)", "ECT(1)", "CE"},
    {"CE", "CE", "CE", "CE", "CE"},
};

static const char *
decapsulated_by(int mode, unsigned inner, unsigned outer)
{
	if (mode < 1)
		return decapsulated[inner][0]; /* as it was */
	return (mode == 1 ? decapsulated_allowed : decapsulated)[inner][1 + outer];
}

static void
check_encapsulation(bool in6, bool out6, unsigned dscp)
{
	for (unsigned m = 0; m < MODES; m++) {
		fx_knob(&f, TDO_KNOB_ECN, (int32_t)m - 1);
		for (unsigned i = 0; i < 4; i++) {
			unsigned tos = dscp | ecn_bits(encapsulated[i][0]);
			struct tdo_pkt *p = wrapped(in6, tos, false);

			assert_int_equal(
			    tos_of(tdo_pkt_data(p)), dscp | ecn_bits(encapsulated[i][1 + m]));
			fx_pkt_free(p);
		}
	}
}

/* D20: the knob is obeyed when a packet is wrapped, in both families. */
static void
d20_encapsulation_obeys_the_ecn_knob(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 4; pair++) {
		assert_int_equal(open_plain(NULL), 0);
		one_tunnel(pair & 1, pair >> 1);
		check_encapsulation(pair & 1, pair >> 1, 0xb8);
		check_encapsulation(pair & 1, pair >> 1, 0x00);
		assert_int_equal(close_engine(NULL), 0);
	}
}

struct ecn_counts {
	uint64_t dangerous, unexpected, lost;
};

static struct ecn_counts
ecn_counts(void)
{
	return (struct ecn_counts){tdo_stat_read(f.e, TDO_STAT_ECN_DANGEROUS),
	    tdo_stat_read(f.e, TDO_STAT_ECN_UNEXPECTED), tdo_drops_read(f.e, TDO_REASON_IN_ECN)};
}

/* A packet arrives with these two fields; what comes out is as want says. */
static void
check_decapsulation(bool v6, unsigned inner, unsigned outer, const char *want)
{
	struct tdo_pkt *p = wrapped(v6, 0x28 | inner, true);
	bool dangerous = strstr(want, "!!!") != NULL;
	struct ecn_counts before = ecn_counts(), after;
	uint8_t inside[128], *d = tdo_pkt_data(p);
	uint32_t off = tdo_ip_hlen(p->ip.flow.src.af) + GAP, len;

	len = tdo_be16(d + off + (v6 ? 4 : 2)) + (v6 ? 40u : 0u);
	memcpy(inside, d + off, len);
	set_tos(d, 0xfc | outer); /* the outer DSCP means nothing */
	tdo_in(f.w, &p, 1, f.now);
	after = ecn_counts();
	assert_int_equal(after.dangerous - before.dangerous, dangerous);
	assert_int_equal(
	    after.unexpected - before.unexpected, !dangerous && strchr(want, '!') != NULL);
	assert_int_equal(after.lost - before.lost, want[0] == 'd');
	if (want[0] == 'd') {
		assert_int_equal(p->verdict, TDO_VERDICT_DROP);
		assert_int_equal(p->reason, TDO_REASON_IN_ECN);
		fx_pkt_free(p);
		return;
	}
	assert_int_equal(p->verdict, TDO_VERDICT_PASS);
	assert_int_equal(p->outer_ecn, outer);
	set_tos(inside, 0x28 | ecn_bits(want));
	assert_int_equal(p->len, len);
	assert_memory_equal(tdo_pkt_data(p), inside, len); /* with the right checksum */
	assert_true(header_csum_ok(tdo_pkt_data(p)));
	assert_int_equal(p->ip.tos, 0x28 | ecn_bits(want));
	fx_pkt_free(p);
}

static void
all_ecn_combinations_are_decapsulated_by_the_table(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 4; pair++) {
		assert_int_equal(open_plain(NULL), 0);
		one_tunnel(pair & 1, pair >> 1);
		for (unsigned n = 0; n < MODES * 16; n++) {
			int mode = (int)(n / 16) - 1;
			unsigned in = n / 4 % 4, out = n % 4;

			fx_knob(&f, TDO_KNOB_ECN, mode);
			check_decapsulation(pair & 1, ecn_bits(decapsulated[in][0]),
			    ecn_bits(outer_order[out]), decapsulated_by(mode, in, out));
		}
		assert_int_equal(close_engine(NULL), 0);
	}
}

static struct {
	unsigned lines;
	char last[200];
} logged;

static void
count_log(void *ctx, enum tdo_log_level level, const char *text)
{
	(void)ctx;
	assert_int_equal(level, TDO_LOG_WARN);
	logged.lines++;
	(void)snprintf(logged.last, sizeof(logged.last), "%s", text);
}

/* RFC 6040 4.2: logged, but not for each packet. */
static void
unused_ecn_combinations_are_logged_once_a_minute(void **state)
{
	(void)state;
	memset(&logged, 0, sizeof(logged));
	one_tunnel(false, false);
	f.e->cfg.log = count_log;
	fx_knob(&f, TDO_KNOB_ECN, 2);
	check_decapsulation(false, 2, 3, "CE");
	tdo_engine_tick(f.e, f.now);
	assert_int_equal(logged.lines, 0);
	for (unsigned i = 0; i < 5; i++)
		check_decapsulation(false, 0, 3, "drop!!!");
	tdo_engine_tick(f.e, f.now);
	assert_int_equal(logged.lines, 1);
	assert_non_null(strstr(logged.last, "5 tunnel packets"));
	check_decapsulation(false, 1, 2, "ECT(1)!");
	tdo_engine_tick(f.e, f.now + 59 * TDO_SEC);
	assert_int_equal(logged.lines, 1);
	tdo_engine_tick(f.e, f.now + 60 * TDO_SEC);
	assert_int_equal(logged.lines, 2);
	assert_non_null(strstr(logged.last, "1 tunnel packets"));
	tdo_engine_tick(f.e, f.now + 600 * TDO_SEC);
	assert_int_equal(logged.lines, 2);
}

/* RFC 1624: the corrected checksum is that of the header also where the sums wrap. */
static void
inner_checksum_is_right_for_any_header(void **state)
{
	(void)state;
	one_tunnel(false, false);
	fx_knob(&f, TDO_KNOB_ECN, 2);
	for (unsigned i = 0; i < 3000; i++) {
		struct tdo_pkt *p = udp(false, 0, false);
		uint8_t *d = tdo_pkt_data(p);

		tdo_put_be16(d + 4, (uint16_t)(i * 22)); /* id: every sum occurs */
		d[8] = (uint8_t)(i % 255 + 1);
		set_tos(d, (i & 0x3f) << 2 | 2);
		tdo_out(f.w, &p, 1, f.now);
		assert_true(header_csum_ok(tdo_pkt_data(p)));
		set_tos(tdo_pkt_data(p), 3);
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_true(header_csum_ok(tdo_pkt_data(p)));
		assert_int_equal(tos_of(tdo_pkt_data(p)), (i & 0x3f) << 2 | 3);
		fx_pkt_free(p);
	}
}

/* ---- DSCP, hop limit, flow label ----------------------------------------------------------- */

static void
dscp_is_copied_or_fixed(void **state)
{
	static const int32_t knob[] = {-1, 0, 46, 63};

	(void)state;
	one_tunnel(false, false);
	one_tunnel(true, true);
	fx_knob(&f, TDO_KNOB_ECN, 2);
	for (unsigned i = 0; i < 8; i++) {
		int32_t v = knob[i / 2];
		struct tdo_pkt *p;

		fx_knob(&f, TDO_KNOB_DSCP, v);
		p = wrapped(i % 2, 0x29, false);
		assert_int_equal(tos_of(tdo_pkt_data(p)), v < 0 ? 0x29 : v << 2 | 1);
		fx_pkt_free(p);
	}
}

/* The two families have settings of their own; what counts is the outer one. */
static void
knobs_are_those_of_the_outer_family(void **state)
{
	(void)state;
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_DSCP, TDO_AF_INET, 1), 0);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_DSCP, TDO_AF_INET6, 2), 0);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_HOPLIMIT, TDO_AF_INET, 4), 0);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_HOPLIMIT, TDO_AF_INET6, 6), 0);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_ECN, TDO_AF_INET, -1), 0);
	assert_int_equal(tdo_knob_set(f.e, TDO_KNOB_ECN, TDO_AF_INET6, 3), 0);
	one_tunnel(true, false);
	one_tunnel(false, true);
	for (unsigned out6 = 0; out6 < 2; out6++) {
		struct tdo_pkt *p = wrapped(!out6, 0xb9, false);

		assert_int_equal(p->ip.flow.src.af, out6 ? TDO_AF_INET6 : TDO_AF_INET);
		assert_int_equal(p->ip.tos, out6 ? 2 << 2 : (1 << 2 | 1));
		assert_int_equal(p->ip.ttl, out6 ? 6 : 4);
		set_tos(tdo_pkt_data(p), 3);
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(p->ip.tos, out6 ? 0xbb : 0xb9);
		fx_pkt_free(p);
	}
}

/* Also between two packets of one flow: nothing that was computed is used for too long. */
static void
hop_limit_follows_the_knob(void **state)
{
	(void)state;
	one_tunnel(false, false);
	one_tunnel(true, true);
	for (int32_t v = 1; v < 256; v += 127)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct tdo_pkt *p;

			fx_knob(&f, TDO_KNOB_HOPLIMIT, v);
			p = wrapped(v6, 0, false);
			assert_int_equal(tdo_pkt_data(p)[v6 ? 7 : 8], v);
			assert_int_equal(tdo_pkt_data(p)[(v6 ? 40 : 20) + GAP + (v6 ? 7 : 8)], 61);
			fx_pkt_free(p);
		}
}

static uint32_t
outer_label(bool in6)
{
	struct tdo_pkt *p = wrapped(in6, 0xb8, false);
	uint32_t label = label_of(tdo_pkt_data(p));

	assert_int_equal(tos_of(tdo_pkt_data(p)), 0xb8);
	fx_pkt_free(p);
	return label;
}

static void
flow_label_is_zero_copied_or_made_from_the_sa(void **state)
{
	uint32_t made;

	(void)state;
	one_tunnel(true, true);
	add_policies(false, true);
	assert_int_equal(outer_label(true), 0);
	fx_knob(&f, TDO_KNOB_FLOWLABEL, 1);
	assert_int_equal(outer_label(true), 0x54321);
	assert_int_equal(outer_label(false), 0);
	fx_knob(&f, TDO_KNOB_FLOWLABEL, 2);
	made = outer_label(true);
	assert_true(made != 0 && made != 0x54321);
	/* One for all flows of the SA: it says nothing of what is inside. */
	assert_int_equal(outer_label(false), made);
	assert_int_equal(outer_label(true), made);
}

static void
flow_labels_of_sas_differ(void **state)
{
	uint32_t label[3];

	(void)state;
	fx_knob(&f, TDO_KNOB_FLOWLABEL, 2);
	for (unsigned i = 0; i < 3; i++) {
		char req[128], dst[32];
		struct tdo_pkt *p;

		add_tunnel(i, true);
		snprintf(dst, sizeof(dst), "10.0.1.%u", i);
		snprintf(
		    req, sizeof(req), "esp/tunnel/%s-%s/require", gate[i][1][0], gate[i][1][1]);
		fx_add_sp(&f, OUT, host[0][0], dst, TDO_PROTO_ANY, req);
		p = fx_udp(&f.rng, host[0][0], dst, 0);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_SEND);
		label[i] = label_of(tdo_pkt_data(p));
		assert_int_not_equal(label[i], 0);
		fx_pkt_free(p);
	}
	assert_true(label[0] != label[1] && label[1] != label[2] && label[0] != label[2]);
}

/* ---- settings of single SAs and policies ----------------------------------------------------- */

/* One packet through a fresh engine in which knobs, policy and SA say different things. */
static struct tdo_pkt *
with_options(bool in6, bool out6, const struct tdo_tunnel_opt *sa, const struct tdo_tunnel_opt *sp)
{
	assert_int_equal(close_engine(NULL), 0);
	assert_int_equal(open_plain(NULL), 0);
	sa_opt = *sa;
	f.sp_tunnel = *sp;
	fx_knob(&f, TDO_KNOB_ECN, 0);
	fx_knob(&f, TDO_KNOB_DFBIT, 0);
	fx_knob(&f, TDO_KNOB_DSCP, 5);
	fx_knob(&f, TDO_KNOB_HOPLIMIT, 50);
	one_tunnel(in6, out6);
	return wrapped(in6, 0x2b, true);
}

#define OPT(...) (&(struct tdo_tunnel_opt){__VA_ARGS__})

static void
d33_ecn_of_the_sa_goes_before_policy_and_knob(void **state)
{
	static const struct {
		uint8_t sa, sp, outer;
	} rows[] = {
	    {0, 0, 0},                             /* the knob: forbidden */
	    {0, TDO_OPT_ECN - 1, 3},               /* ignored */
	    {0, TDO_OPT_ECN + 1, 2},               /* allowed */
	    {0, TDO_OPT_ECN + 2, 3},               /* normal */
	    {TDO_OPT_ECN + 0, TDO_OPT_ECN + 2, 0}, /* forbidden */
	    {TDO_OPT_ECN + 3, TDO_OPT_ECN - 1, 0}, /* compatibility */
	    {TDO_OPT_ECN + 2, 0, 3},
	    {TDO_OPT_ECN - 1, TDO_OPT_ECN + 0, 3},
	};

	(void)state;
	for (unsigned i = 0; i < 4 * sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned k = i / 4;
		struct tdo_pkt *p =
		    with_options(i & 1, i >> 1 & 1, OPT(.ecn = rows[k].sa), OPT(.ecn = rows[k].sp));

		assert_int_equal(tos_of(tdo_pkt_data(p)), 5 << 2 | rows[k].outer);
		fx_pkt_free(p);
	}
}

/* On decapsulation there is no policy yet: the SA, or the knob. */
static void
d33_ecn_of_the_sa_decides_decapsulation(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct tdo_pkt *p = with_options(
		    i & 1, i >> 1, OPT(.ecn = TDO_OPT_ECN + 2), OPT(.ecn = TDO_OPT_ECN));

		fx_pkt_free(p);
		check_decapsulation(i & 1, 0, 3, "drop!!!");
		check_decapsulation(i & 1, 2, 1, "ECT(1)");
		p = with_options(i & 1, i >> 1, OPT(.ecn = 0), OPT(.ecn = TDO_OPT_ECN + 2));
		fx_pkt_free(p);
		check_decapsulation(i & 1, 0, 3, "Not-ECT");
		fx_knob(&f, TDO_KNOB_ECN, 1);
		check_decapsulation(i & 1, 2, 3, "CE");
		p = with_options(i & 1, i >> 1, OPT(.ecn = TDO_OPT_ECN - 1), OPT(.ecn = 0));
		fx_pkt_free(p);
		fx_knob(&f, TDO_KNOB_ECN, 2);
		check_decapsulation(i & 1, 0, 3, "Not-ECT");
	}
}

static void
d33_df_of_the_sa_goes_before_policy_and_knob(void **state)
{
	static const struct {
		uint8_t sa, sp;
		bool in6, df;
	} rows[] = {
	    {0, 0, false, false}, /* the knob: clear */
	    {0, 1 + 1, false, true},
	    {0, 1 + 2, false, true}, /* copied */
	    {0, 1 + 2, true, false}, /* there is nothing to copy */
	    {1 + 0, 1 + 1, false, false},
	    {1 + 1, 1 + 0, true, true},
	    {1 + 2, 1 + 0, false, true},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tdo_pkt *p =
		    with_options(rows[i].in6, false, OPT(.df = rows[i].sa), OPT(.df = rows[i].sp));

		assert_int_equal(tdo_be16(tdo_pkt_data(p) + 6), rows[i].df ? 0x4000 : 0);
		assert_int_equal((p->flags & TDO_PKT_DF) != 0, rows[i].df);
		fx_pkt_free(p);
	}
}

static void
d33_dscp_hop_limit_and_flow_label_of_sa_and_policy(void **state)
{
	struct tdo_pkt *p;

	(void)state;
	for (unsigned out6 = 0; out6 < 2; out6++) {
		p = with_options(true, out6, OPT(.dscp = 1 + 46), OPT(.hop_limit = 9));
		assert_int_equal(p->ip.tos, 46 << 2);
		assert_int_equal(p->ip.ttl, 9);
		fx_pkt_free(p);
		p = with_options(true, out6, OPT(.hop_limit = 255), OPT(.hop_limit = 9, .dscp = 1));
		assert_int_equal(p->ip.tos, 0);
		assert_int_equal(p->ip.ttl, 255);
		fx_pkt_free(p);
		p = with_options(true, out6, OPT(.dscp = TDO_OPT_DSCP_COPY), OPT(.dscp = 1 + 8));
		assert_int_equal(p->ip.tos, 0x28);
		assert_int_equal(p->ip.ttl, 50);
		fx_pkt_free(p);
	}
	p = with_options(true, true, OPT(.flow_label = 1 + 1), OPT(.flow_label = 1 + 2));
	assert_int_equal(label_of(tdo_pkt_data(p)), 0x54321);
	fx_pkt_free(p);
	p = with_options(true, true, OPT(.flow_label = 0), OPT(.flow_label = 1 + 1));
	assert_int_equal(label_of(tdo_pkt_data(p)), 0x54321);
	fx_pkt_free(p);
	p = with_options(true, true, OPT(.flow_label = 1 + 0), OPT(.flow_label = 1 + 1));
	assert_int_equal(label_of(tdo_pkt_data(p)), 0);
	fx_pkt_free(p);
}

/* Two policies share an SA, and packets of both are in one burst. */
static void
policies_of_one_sa_keep_their_settings(void **state)
{
	static const char *const dst[2] = {"10.0.0.2", "10.0.0.3"};
	struct tdo_pkt *p[8];
	char req[128];

	(void)state;
	add_tunnel(0, false);
	snprintf(req, sizeof(req), "esp/tunnel/%s-%s/require", gate[0][0][0], gate[0][0][1]);
	for (unsigned i = 0; i < 2; i++) {
		f.sp_tunnel.dscp = (uint8_t)(11 + i);
		fx_add_sp(&f, OUT, host[0][0], dst[i], TDO_PROTO_ANY, req);
	}
	for (unsigned i = 0; i < 8; i++)
		p[i] = fx_udp(&f.rng, host[0][0], dst[i % 2], i);
	tdo_out(f.w, p, 8, f.now);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(tos_of(tdo_pkt_data(p[i])), (10 + i % 2) << 2);
		assert_true(header_csum_ok(tdo_pkt_data(p[i])));
		fx_pkt_free(p[i]);
	}
}

static void
settings_out_of_range_are_refused(void **state)
{
	static const struct tdo_tunnel_opt good[] = {{.ecn = 5}, {.df = 3}, {.dscp = 64},
	    {.dscp = 255}, {.hop_limit = 255}, {.flow_label = 3}};
	static const struct tdo_tunnel_opt bad[] = {
	    {.ecn = 6}, {.df = 4}, {.dscp = 65}, {.dscp = 254}, {.flow_label = 4}, {.ecn = 255}};
	struct tdo_sp_param sp = {.dir = OUT,
	    .type = TDO_POLICY_NONE,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = fx_addr(host[0][0]),
		.dst = fx_addr(host[0][1]),
		.proto = TDO_PROTO_ANY,
		.sport = TDO_RANGE_ANY,
		.dport = TDO_RANGE_ANY}};
	struct fx_sa sa = {.src = gate[0][0][0], .dst = gate[0][0][1], .enc = "null"};
	struct tdo_err err = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		sa.spi = 0x2000 + i;
		sa.tunnel = sp.tunnel = good[i];
		assert_int_equal(fx_try_sa(&f, &sa), 0);
		assert_int_equal(tdo_sp_update(f.e, &sp, f.now, NULL, &err), 0);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sa.spi = 0x3000 + i;
		sa.tunnel = sp.tunnel = bad[i];
		assert_int_equal(fx_try_sa(&f, &sa), -EINVAL);
		assert_int_equal(tdo_sp_update(f.e, &sp, f.now, NULL, &err), -EINVAL);
		assert_non_null(strstr(err.text, "out of range"));
	}
}

/* ---- families and nesting -------------------------------------------------------------------- */

/* Policies with n tunnels, one around the other; bit i of outer6: the family of tunnel i. */
static void
nested(unsigned n, bool in6, unsigned outer6)
{
	struct tdo_addr local[4] = {fx_addr(host[in6][1])};
	char req[512] = "";

	for (unsigned i = 0; i < n; i++) {
		bool v6 = outer6 >> i & 1;
		size_t at = strlen(req);

		add_tunnel(i, v6);
		local[1 + i] = fx_addr(gate[i][v6][1]);
		snprintf(req + at, sizeof(req) - at, "%sesp/tunnel/%s-%s/require", i ? " " : "",
		    gate[i][v6][0], gate[i][v6][1]);
	}
	fx_add_sp(&f, OUT, host[in6][0], host[in6][1], TDO_PROTO_ANY, req);
	fx_add_sp(&f, IN, host[in6][0], host[in6][1], TDO_PROTO_ANY, req);
	assert_int_equal(tdo_engine_set_local(f.e, local, 1 + n), 0);
}

/* Reads the headers from the outside in: NULL encryption leaves them in the open. */
static void
check_nested(const struct tdo_pkt *p, unsigned n, bool in6, unsigned outer6)
{
	const uint8_t *d = tdo_pkt_data(p), *end = d + p->len;

	for (unsigned i = n; i-- > 0;) {
		bool v6 = outer6 >> i & 1, next6 = i ? outer6 >> (i - 1) & 1 : in6;
		unsigned hlen = v6 ? 40 : 20;

		assert_int_equal(d[0] >> 4, v6 ? 6 : 4);
		assert_int_equal(d[v6 ? 6 : 9], TDO_IPPROTO_ESP);
		assert_int_equal(tdo_be16(d + (v6 ? 4 : 2)) + (v6 ? 40 : 0), end - d);
		assert_memory_equal(
		    d + hlen - (v6 ? 32 : 8), fx_addr(gate[i][v6][0]).b, v6 ? 16 : 4);
		assert_true(header_csum_ok(d));
		assert_int_equal(tdo_be32(d + hlen), 0x1000 + i);
		/* RFC 4303 2.6: the next header names the family of what is inside. */
		assert_int_equal(end[-1], next6 ? TDO_IPPROTO_IPV6 : TDO_IPPROTO_IPIP);
		end -= 2u + end[-2];
		d += hlen + GAP;
	}
	assert_int_equal(d[0] >> 4, in6 ? 6 : 4);
}

static void
family_pairs_pass_through_nested_tunnels(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 3; n++) {
		for (unsigned combo = 0; combo < 2u << n; combo++) {
			bool in6 = combo & 1;
			struct tdo_pkt *p;
			uint8_t before[128];
			uint32_t len;

			assert_int_equal(close_engine(NULL), 0);
			assert_int_equal(open_plain(NULL), 0);
			nested(n, in6, combo >> 1);
			p = udp(in6, 0xb8, true);
			len = p->len;
			memcpy(before, tdo_pkt_data(p), len);
			tdo_out(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_SEND);
			check_nested(p, n, in6, combo >> 1);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_PASS);
			assert_int_equal(p->nsas, n);
			assert_int_equal(p->tunnelled, (1u << n) - 1);
			assert_int_equal(p->len, len);
			assert_memory_equal(tdo_pkt_data(p), before, len);
			fx_pkt_free(p);
		}
	}
}

/* Congestion on the outermost header reaches the packet through all tunnels between. */
static void
congestion_comes_through_nested_tunnels(void **state)
{
	(void)state;
	for (unsigned combo = 0; combo < 16; combo++) {
		bool in6 = combo & 1;
		struct tdo_pkt *p;

		assert_int_equal(close_engine(NULL), 0);
		assert_int_equal(open_plain(NULL), 0);
		fx_knob(&f, TDO_KNOB_ECN, 2);
		nested(3, in6, combo >> 1);
		p = udp(in6, 0xba, true);
		tdo_out(f.w, &p, 1, f.now);
		assert_int_equal(tos_of(tdo_pkt_data(p)), 0xba);
		set_tos(tdo_pkt_data(p), 0xbb);
		tdo_in(f.w, &p, 1, f.now);
		assert_int_equal(p->verdict, TDO_VERDICT_PASS);
		assert_int_equal(tos_of(tdo_pkt_data(p)), 0xbb);
		assert_true(header_csum_ok(tdo_pkt_data(p)));
		fx_pkt_free(p);
	}
}

/* D23: own addresses as the inner source, in every pair of families and also nested. */
static void
d23_spoofed_own_addresses_are_dropped_in_every_family_pair(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		for (unsigned combo = 0; combo < 2u << n; combo++) {
			bool in6 = combo & 1;
			struct tdo_addr local[4] = {fx_addr(host[in6][0])};
			struct tdo_pkt *p;

			assert_int_equal(close_engine(NULL), 0);
			assert_int_equal(open_plain(NULL), 0);
			nested(n, in6, combo >> 1);
			p = udp(in6, 0, false);
			tdo_out(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_SEND);
			for (unsigned i = 0; i < n; i++)
				local[1 + i] = fx_addr(gate[i][combo >> (1 + i) & 1][1]);
			assert_int_equal(tdo_engine_set_local(f.e, local, 1 + n), 0);
			tdo_in(f.w, &p, 1, f.now);
			assert_int_equal(p->verdict, TDO_VERDICT_DROP);
			assert_int_equal(p->reason, TDO_REASON_IN_SPOOF);
			assert_int_equal(p->nsas, n);
			fx_pkt_free(p);
		}
	}
}

static void
identification_is_never_zero(void **state)
{
	static const uint16_t want[] = {0xffff, 1, 2};

	(void)state;
	one_tunnel(false, false);
	f.w->ip_id = 0xfffe;
	for (unsigned i = 0; i < 3; i++) {
		struct tdo_pkt *p = wrapped(false, 0, i % 2 != 0);

		assert_int_equal(tdo_be16(tdo_pkt_data(p) + 4), want[i]);
		fx_pkt_free(p);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_plain, close_engine)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(d20_encapsulation_obeys_the_ecn_knob),
	    cmocka_unit_test(all_ecn_combinations_are_decapsulated_by_the_table),
	    T(unused_ecn_combinations_are_logged_once_a_minute),
	    T(inner_checksum_is_right_for_any_header),
	    T(dscp_is_copied_or_fixed),
	    T(identification_is_never_zero),
	    T(knobs_are_those_of_the_outer_family),
	    T(hop_limit_follows_the_knob),
	    T(flow_label_is_zero_copied_or_made_from_the_sa),
	    T(flow_labels_of_sas_differ),
	    T(d33_ecn_of_the_sa_goes_before_policy_and_knob),
	    T(d33_ecn_of_the_sa_decides_decapsulation),
	    T(d33_df_of_the_sa_goes_before_policy_and_knob),
	    T(d33_dscp_hop_limit_and_flow_label_of_sa_and_policy),
	    T(policies_of_one_sa_keep_their_settings),
	    T(settings_out_of_range_are_refused),
	    T(family_pairs_pass_through_nested_tunnels),
	    T(congestion_comes_through_nested_tunnels),
	    T(d23_spoofed_own_addresses_are_dropped_in_every_family_pair),
	};

	return cmocka_run_group_tests_name("tunnel", tests, NULL, NULL);
}
