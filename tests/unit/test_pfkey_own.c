/* SPDX-License-Identifier: BSD-2-Clause */
/* The PF_KEY extensions of testudo and FreeBSD's new addresses: bytes, checks, uses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "wire/pfkey_msg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct tdo_addr A4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
static const struct tdo_addr B4 = {.af = TDO_AF_INET, .b = {10, 0, 0, 2}};
static const struct tdo_addr A6 = {.af = TDO_AF_INET6, .b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
static const struct tdo_addr B6 = {.af = TDO_AF_INET6, .b = {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};

/* Room for the longest of these messages. */
struct msg {
	uint8_t b[16384];
	size_t len;
};

static struct tdo_sel
sel4(struct tdo_range sport, struct tdo_range dport)
{
	return (struct tdo_sel){.src = A4,
	    .dst = B4,
	    .src_plen = 32,
	    .dst_plen = 32,
	    .proto = 17,
	    .sport = sport,
	    .dport = dport};
}

static struct tdo_wr
start(struct msg *m, uint8_t type, uint8_t satype)
{
	struct tdo_wr w = tdo_wr_init(m->b, sizeof(m->b));

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type, .satype = satype});
	return w;
}

static int
parse(struct msg *m, struct tdo_wr *w, struct tdo_sadb_msg *ret)
{
	m->len = tdo_sadb_end(w);
	assert_int_not_equal(m->len, 0);
	return tdo_sadb_parse(m->b, m->len, ret, NULL);
}

static void
put_raw(struct tdo_wr *w, uint16_t units, uint16_t type, const uint8_t *p, size_t len)
{
	tdo_wr_h16(w, units);
	tdo_wr_h16(w, type);
	tdo_wr_bytes(w, p, len);
}

/* Not memcmp(): there is a byte of padding in front of the ranges. */
static void
check_sel_equal(const struct tdo_sel *a, const struct tdo_sel *b)
{
	assert_memory_equal(a, b, offsetof(struct tdo_sel, proto));
	assert_int_equal(a->proto, b->proto);
	assert_memory_equal(&a->sport, &b->sport, sizeof(a->sport));
	assert_memory_equal(&a->dport, &b->dport, sizeof(a->dport));
}

/* ---- bytes ------------------------------------------------------------------------------ */

static bool
little_endian(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 1;
}

static void
the_formats_are_as_the_table_says(void **state)
{
	static const uint8_t want[] = {
	    2, 0, 40, 0, 4, 2, 47, 64, 3, 5, 3, 0, 0, 1, 0, 0,                       /* TDO_SA */
	    6, 0, 41, 0, 17, 32, 32, 0, 0x03, 0xe8, 0x07, 0xd0, 0, 0, 0, 0,          /* TDO_SEL */
	    16, 2, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,                        /* */
	    16, 2, 0, 0, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,                        /* */
	    3, 0, 42, 0, 0, 0, 0, 0, 0, 1, 3, 2, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, /* TDO_SP */
	};
	const struct tdo_sadb_tdo_sa sa = {
	    .tunnel = {4, 2, 47, 64, 3}, .adaptive = true, .align = 8, .cpu = 3, .window = 256};
	const struct tdo_sel sel = sel4((struct tdo_range){1000, 2000}, (struct tdo_range){0, 0});
	const struct tdo_sadb_tdo_sp sp = {
	    .hold = true, .pfp = TDO_PFP_SRC | TDO_PFP_DST, .nreq = 2, .reqid = {7, 0x10000}};
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_ADD, TDO_SATYPE_ESP);

	(void)state;
	if (!little_endian())
		skip();
	tdo_sadb_put_tdo_sa(&w, &sa);
	tdo_sadb_put_tdo_sel(&w, &sel);
	tdo_sadb_put_tdo_sp(&w, &sp);
	assert_int_equal(tdo_sadb_end(&w), TDO_SADB_BASE_LEN + sizeof(want));
	assert_memory_equal(m.b + TDO_SADB_BASE_LEN, want, sizeof(want));
}

static void
lateness_comes_back(void **state)
{
	struct tdo_late in, out;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_DUMP, TDO_SATYPE_ESP);

	(void)state;
	for (unsigned i = 0; i < TDO_LATE_BINS; i++) {
		in.accepted[i] = 1ull << 40 | i;
		in.dropped[i] = 1000 + i;
	}
	tdo_sadb_put_tdo_late(&w, &in);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_int_equal(m.len, TDO_SADB_BASE_LEN + 8 + 16 * TDO_LATE_BINS);
	assert_true(tdo_sadb_get_tdo_late(&p, &out));
	assert_memory_equal(&in, &out, sizeof(in));
	assert_false(tdo_sadb_get_tdo_sa(&p, &(struct tdo_sadb_tdo_sa){0}));
	assert_false(tdo_sadb_get_tdo_sp(&p, &(struct tdo_sadb_tdo_sp){0}));
	assert_false(tdo_sadb_get_tdo_sel(&p, &(struct tdo_sel){0}));
}

/* ---- wrong ones ------------------------------------------------------------------------- */

static const struct {
	uint16_t units, type;
	int r;
	uint8_t contents[60];
} wrong[] = {
    /* TDO_SA */
    {2, 40, 0, {0}},
    {1, 40, -EINVAL, {0}},
    {3, 40, -EINVAL, {0}},
    {2, 40, 0, {5, 3, 64, 255, 3, 1}},
    {2, 40, 0, {0, 0, 255}},
    {2, 40, -EINVAL, {6}},
    {2, 40, -EINVAL, {0, 4}},
    {2, 40, -EINVAL, {0, 0, 65}},
    {2, 40, -EINVAL, {0, 0, 254}},
    {2, 40, -EINVAL, {[4] = 4}},
    {2, 40, 0, {[5] = 2}},
    {2, 40, 0, {[5] = 5}},
    {2, 40, -EINVAL, {[5] = 6}},
    {2, 40, -EINVAL, {[5] = 8}},
    /* TDO_SP: 12 bytes and 4 for each reqid, in units of 8 */
    {2, 42, 0, {[5] = 1, 0x1f, 0}},
    {2, 42, 0, {[7] = 1}},
    {3, 42, 0, {[7] = 3}},
    {6, 42, 0, {[7] = 8}},
    {1, 42, -EINVAL, {0}},
    {3, 42, -EINVAL, {[7] = 1}},
    {2, 42, -EINVAL, {[7] = 2}},
    {6, 42, -EINVAL, {[7] = 9}},
    {6, 42, -EINVAL, {[7] = 255}},
    {2, 42, -EINVAL, {[5] = 2}},
    {2, 42, -EINVAL, {[6] = 0x20}},
    {2, 42, -EINVAL, {6}},
    /* TDO_SEL */
    {6, 41, 0, {0, 32, 32, 0, [12] = 16, 2, [28] = 16, 2}},
    {9, 41, 0, {0, 128, 128, 0, [12] = 28, 24, [40] = 28, 24}},
    {1, 41, -EINVAL, {0}},
    {2, 41, -EINVAL, {0}},
    {5, 41, -EINVAL, {0, 32, 32, 0, [12] = 16, 2, [28] = 16, 2}},
    {7, 41, -EINVAL, {0, 32, 32, 0, [12] = 16, 2, [28] = 16, 2}},
    {6, 41, -EINVAL, {0, 33, 32, 0, [12] = 16, 2, [28] = 16, 2}},
    {6, 41, -EINVAL, {0, 32, 33, 0, [12] = 16, 2, [28] = 16, 2}},
    {6, 41, -EINVAL, {0, 32, 32, 0, 0, 2, 0, 1, [12] = 16, 2, [28] = 16, 2}},
    {6, 41, -EINVAL, {0, 32, 32, 0, 0, 0, 0, 0, 1, 0, 0, 255, 16, 2, [28] = 16, 2}},
    {6, 41, -EINVAL, {0, 0, 0, 0, [12] = 16, 0, [28] = 16, 0}},
    {6, 41, -EINVAL, {0, 0, 0, 0, [12] = 16, 2, [28] = 16, 0}},
    {6, 41, -EAFNOSUPPORT, {0, 0, 0, 0, [12] = 16, 28, [28] = 16, 2}},
    {6, 41, -EAFNOSUPPORT, {0, 0, 0, 0, [12] = 16, 2, [28] = 16, 28}},
    {8, 41, -EINVAL, {0, 0, 0, 0, [12] = 16, 2, [28] = 28, 24}},
    /* TDO_LATE */
    {1, 43, -EINVAL, {0}},
    {1, 43, -EINVAL, {17}},
    {3, 43, -EINVAL, {1}},
    /* TDO_WHY */
    {1, 45, -EINVAL, {0}},
    {2, 45, -EINVAL, {0, 0, 0, 0, 'n', 'o', ' ', 'e', 'n', 'd', '.', '.'}},
    /* the numbers between are nobody's */
    {1, 29, -EINVAL, {0}},
    {2, 39, -EINVAL, {0}},
    {2, 44, -EINVAL, {0}},
    {2, 46, -EINVAL, {0}},
    {1, 47, -EINVAL, {0}},
};

static void
every_wrong_extension_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct msg m;
		struct tdo_wr w = start(&m, TDO_SADB_ADD, TDO_SATYPE_ESP);
		struct tdo_sadb_msg p;
		int r;

		put_raw(
		    &w, wrong[i].units, wrong[i].type, wrong[i].contents, wrong[i].units * 8u - 4);
		r = parse(&m, &w, &p);
		if (r != wrong[i].r)
			print_message("entry %zu: %d\n", i, r);
		assert_int_equal(r, wrong[i].r);
	}
}

/* An extension of so many units with an address that claims this length. */
static void
check_sockaddr(uint8_t type, bool v6, uint16_t units, unsigned len)
{
	const uint8_t c[44] = {0, 0, 0, 0, (uint8_t)len, v6 ? 24 : 2};
	bool good = len == (v6 ? 28 : 16) && units == (v6 ? 5 : 3);
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_ADD, TDO_SATYPE_ESP);
	struct tdo_sadb_msg p;

	put_raw(&w, units, type, c, units * 8u - 4);
	assert_int_equal(parse(&m, &w, &p), good ? 0 : -EINVAL);
}

/* D26: an address shorter or longer than its family, or than the extension, is never read. */
static void
d26_socket_address_lengths_are_checked_everywhere(void **state)
{
	static const uint8_t address_types[] = {TDO_SADB_EXT_ADDRESS_SRC, TDO_SADB_EXT_ADDRESS_DST,
	    TDO_SADB_EXT_ADDRESS_PROXY, TDO_SADB_X_EXT_NAT_T_OAI, TDO_SADB_X_EXT_NAT_T_OAR,
	    TDO_SADB_X_EXT_NEW_ADDRESS_SRC, TDO_SADB_X_EXT_NEW_ADDRESS_DST};

	(void)state;
	for (size_t i = 0; i < COUNT(address_types); i++)
		for (unsigned family = 0; family < 2; family++)
			for (uint16_t units = 1; units < 7; units++)
				for (unsigned len = 0; len < 256; len++)
					check_sockaddr(address_types[i], family, units, len);
}

/* The two addresses of a request and of TDO_SEL; the copy is exact, for ASan. */
static void
d26_pairs_of_socket_addresses_stay_in_their_extension(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 2; at++)
		for (unsigned len = 0; len < 256; len++) {
			uint8_t req[40] = {40, 0, 50, 0, 2, 2, 0, 0, 16, 2, [24] = 16, 2};
			uint8_t sel[44] = {0, 0, 0, 0, [12] = 16, 2, [28] = 16, 2};
			struct msg m;
			struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);
			struct tdo_sadb_msg p;
			uint8_t *copy;

			req[8 + 16 * at] = (uint8_t)len;
			tdo_wr_h16(&w, 7);
			tdo_wr_h16(&w, TDO_SADB_X_EXT_POLICY);
			tdo_wr_bytes(&w, (const uint8_t[]){2, 0, 2, 0, [11] = 0}, 12);
			tdo_wr_bytes(&w, req, sizeof(req));
			assert_int_equal(parse(&m, &w, &p), len == 16 ? 0 : -EINVAL);

			sel[12 + 16 * at] = (uint8_t)len;
			w = start(&m, TDO_SADB_X_SPDADD, 0);
			put_raw(&w, 6, TDO_SADB_X_EXT_TDO_SEL, sel, sizeof(sel));
			m.len = tdo_sadb_end(&w);
			copy = malloc(m.len);
			assert_non_null(copy);
			memcpy(copy, m.b, m.len);
			assert_int_equal(
			    tdo_sadb_parse(copy, m.len, &p, NULL), len == 16 ? 0 : -EINVAL);
			free(copy);
		}
}

/* ---- SAs -------------------------------------------------------------------------------- */

static struct tdo_sa_param
plain_sa(void)
{
	return (struct tdo_sa_param){
	    .key = {.satype = TDO_SATYPE_ESP, .spi = 4096, .src = A4, .dst = B4}};
}

static void
an_sa_without_settings_has_no_extension_of_ours(void **state)
{
	struct tdo_sa_info info = {.param = plain_sa(), .window = 64};
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_DUMP, TDO_SATYPE_ESP);

	(void)state;
	info.late.accepted[3] = 9; /* is no reason either */
	tdo_sadb_put_sa_info(&w, &info, true);
	assert_int_equal(parse(&m, &w, &p), 0);
	for (unsigned type = TDO_SADB_X_EXT_NEW_ADDRESS_SRC; type <= TDO_SADB_EXT_MAX; type++)
		assert_null(p.ext[type].p);
}

static void
the_window_and_lateness_of_an_adaptive_sa_are_dumped(void **state)
{
	struct tdo_sa_info in = {.param = plain_sa(), .window = 512}, out;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_DUMP, TDO_SATYPE_ESP);

	(void)state;
	in.param.adaptive = true;
	in.param.replay = 64;
	in.late.accepted[7] = 3;
	in.late.dropped[16] = 1;
	tdo_sadb_put_sa_info(&w, &in, true);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_int_equal(p.order[p.next - 1], TDO_SADB_X_EXT_TDO_LATE);
	assert_int_equal(tdo_sadb_get_sa_info(&p, &out, NULL), 0);
	assert_true(out.param.adaptive);
	assert_int_equal(out.param.replay, 64);
	assert_int_equal(out.window, 512);
	assert_memory_equal(&in.late, &out.late, sizeof(in.late));

	/* Without the extension the window is the one that was asked for. */
	in.param.adaptive = false;
	w = start(&m, TDO_SADB_DUMP, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_info(&w, &in, true);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_int_equal(tdo_sadb_get_sa_info(&p, &out, NULL), 0);
	assert_int_equal(out.window, 64);
}

/* D44: FreeBSD's extensions, either or both. */
static void
d44_new_addresses_reach_the_parameters(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 4; which++) {
		struct tdo_sa_param in = plain_sa(), out;
		struct tdo_sadb_msg p;
		struct msg m;
		struct tdo_wr w = start(&m, TDO_SADB_UPDATE, TDO_SATYPE_ESP);

		if (which & 1)
			in.new_src = A6;
		if (which & 2)
			in.new_dst = B6;
		tdo_sadb_put_sa_param(&w, &in);
		assert_int_equal(parse(&m, &w, &p), 0);
		assert_int_equal(tdo_sadb_get_sa_param(&p, &out, NULL), 0);
		assert_true(tdo_addr_equal(&out.new_src, &in.new_src));
		assert_true(tdo_addr_equal(&out.new_dst, &in.new_dst));
		assert_true(tdo_addr_equal(&out.key.src, &A4));
	}
}

static void
d44_new_addresses_are_of_one_family(void **state)
{
	struct tdo_sa_param in = plain_sa();
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_UPDATE, TDO_SATYPE_ESP);

	(void)state;
	in.new_src = A6;
	in.new_dst = B4;
	tdo_sadb_put_sa_param(&w, &in);
	assert_int_equal(parse(&m, &w, &p), -EINVAL);
}

/* ---- selectors of policies -------------------------------------------------------------- */

static int
through_policy(const struct tdo_sel *in, struct tdo_sel *ret, bool *ret_own)
{
	struct tdo_sp_param sp = {.dir = TDO_DIR_OUT, .type = TDO_POLICY_NONE, .sel = *in}, out;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);
	int r;

	tdo_sadb_put_sp_param(&w, &sp);
	assert_int_equal(parse(&m, &w, &p), 0);
	*ret_own = tdo_sadb_has(&p, TDO_SADB_X_EXT_TDO_SEL);
	r = tdo_sadb_get_sp_param(&p, &out, NULL);
	*ret = out.sel;
	return r;
}

/* D6, D41: ranges, type 0 and code 0 come through; what a port field can say goes there. */
static void
d41_type_0_and_ranges_come_through(void **state)
{
	static const struct {
		uint8_t proto;
		struct tdo_range sport, dport;
		bool own;
	} t[] = {
	    {1, {0, 0}, {0, 65535}, true}, {1, {8, 8}, {0, 0}, true},
	    {1, {8, 8}, {0, 65535}, false}, {1, {0, 8}, {0, 65535}, true},
	    {58, {128, 129}, {0, 0}, true}, {17, {1000, 2000}, {0, 65535}, true},
	    {6, {443, 443}, {1024, 65535}, true}, {6, {443, 443}, {80, 80}, false},
	    {6, {0, 65535}, {0, 65535}, false}, {47, {0, 0}, {5, 5}, true}, /* GRE key 5 */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct tdo_sel in = sel4(t[i].sport, t[i].dport), out;
		bool own;

		in.proto = t[i].proto;
		assert_int_equal(through_policy(&in, &out, &own), 0);
		check_sel_equal(&in, &out);
		assert_int_equal(own, t[i].own);
	}
}

/* An old client, which reads the addresses alone, sees a superset. */
static void
d41_the_addresses_alone_are_a_superset(void **state)
{
	struct tdo_sp_param sp = {.dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_NONE,
	    .sel = sel4((struct tdo_range){1000, 2000}, (struct tdo_range){80, 80})};
	struct tdo_sadb_address a;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);

	(void)state;
	tdo_sadb_put_sp_param(&w, &sp);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_true(tdo_sadb_get_address(&p, TDO_SADB_EXT_ADDRESS_SRC, &a));
	assert_int_equal(a.port, 0);
	assert_true(tdo_sadb_get_address(&p, TDO_SADB_EXT_ADDRESS_DST, &a));
	assert_int_equal(a.port, 80);
	assert_int_equal(a.proto, 17);
}

static void
selectors_that_contradict_the_addresses_are_refused(void **state)
{
	const struct tdo_sel base = sel4((struct tdo_range){5, 5}, TDO_RANGE_ANY);
	struct tdo_sel other[7];

	(void)state;
	for (size_t i = 0; i < COUNT(other); i++)
		other[i] = base;
	other[1].proto = 6;
	other[2].src = B4;
	other[3].dst_plen = 31;
	other[4].sport = (struct tdo_range){5, 6};
	other[5].src = A6;
	other[5].dst = B6;
	other[6].dport = (struct tdo_range){7, 9}; /* narrows the wildcard */
	for (size_t i = 0; i < COUNT(other); i++) {
		bool good = i == 0 || i == 6;
		struct tdo_sadb_err e = {0};
		struct tdo_sp_param out;
		struct tdo_sadb_msg p;
		struct msg m;
		struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);

		tdo_sadb_put_policy(
		    &w, &(struct tdo_sadb_policy){.type = TDO_POLICY_NONE, .dir = TDO_DIR_OUT});
		tdo_sadb_put_sel(&w, &base);
		tdo_sadb_put_tdo_sel(&w, &other[i]);
		assert_int_equal(parse(&m, &w, &p), 0);
		assert_int_equal(tdo_sadb_get_sp_param(&p, &out, &e), good ? 0 : -EINVAL);
		assert_int_equal(e.ext, good ? 0 : TDO_SADB_X_EXT_TDO_SEL);
		if (good)
			check_sel_equal(&out.sel, &other[i]);
	}
}

/* ---- reqids ----------------------------------------------------------------------------- */

static struct tdo_sp_param
bundle(unsigned n)
{
	struct tdo_sp_param p = {.dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = sel4(TDO_RANGE_ANY, TDO_RANGE_ANY),
	    .nreq = (uint8_t)n};

	for (unsigned i = 0; i < n; i++)
		p.req[i] = (struct tdo_req){.proto = 50,
		    .mode = TDO_MODE_TUNNEL,
		    .level = TDO_LEVEL_UNIQUE,
		    .reqid = i + 1,
		    .src = A6,
		    .dst = B6};
	return p;
}

/* D11: 32 bits; the old field has 0 where they are too many, never a part of the number. */
static void
d11_reqids_have_32_bits(void **state)
{
	struct tdo_sp_info in = {.param = bundle(3), .id = 9}, out;
	struct tdo_sadb_policy old;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_X_SPDDUMP, 0);

	(void)state;
	in.param.req[1].reqid = 0x10000;
	in.param.req[2].reqid = UINT32_MAX;
	tdo_sadb_put_sp_info(&w, &in);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_int_equal(p.order[p.next - 1], TDO_SADB_X_EXT_TDO_SP);
	assert_int_equal(tdo_sadb_get_sp_info(&p, &out, NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(out.param.req[i].reqid, in.param.req[i].reqid);
	/* What a client sees that knows no TDO_SP. */
	p.ext[TDO_SADB_X_EXT_TDO_SP] = (struct tdo_sadb_ext){0};
	assert_true(tdo_sadb_get_policy(&p, &old));
	assert_int_equal(old.req[0].reqid, 1);
	assert_int_equal(old.req[1].reqid, 0);
	assert_int_equal(old.req[2].reqid, 0);
	assert_int_equal(old.req[2].level, TDO_LEVEL_UNIQUE);
}

static void
d11_reqids_must_be_as_many_as_the_requests(void **state)
{
	static const struct {
		uint8_t nreq;
		int r;
	} t[] = {{0, 0}, {1, -EINVAL}, {2, 0}, {3, -EINVAL}};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct tdo_sp_param in = bundle(2), out;
		struct tdo_sadb_err e = {0};
		struct tdo_sadb_msg p;
		struct msg m;
		struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);

		tdo_sadb_put_sp_param(&w, &in);
		tdo_sadb_put_tdo_sp(
		    &w, &(struct tdo_sadb_tdo_sp){.nreq = t[i].nreq, .reqid = {0, 70000, 5}});
		assert_int_equal(parse(&m, &w, &p), 0);
		assert_int_equal(tdo_sadb_get_sp_param(&p, &out, &e), t[i].r);
		assert_int_equal(e.ext, t[i].r ? TDO_SADB_X_EXT_TDO_SP : 0);
		if (t[i].r != 0)
			continue;
		/* 0 says nothing: the request's own number stays. */
		assert_int_equal(out.req[0].reqid, 1);
		assert_int_equal(out.req[1].reqid, t[i].nreq ? 70000 : 2);
	}
}

/* ---- sizes ------------------------------------------------------------------------------ */

/* D51: the longest bundle, the longest keys and a long proposal. */
static void
d51_messages_longer_than_2048_bytes(void **state)
{
	static const struct tdo_sadb_comb comb = {.auth = 5, .encrypt = 12};
	static struct tdo_sadb_comb combs[100];
	static uint8_t key[TDO_KEY_MAX];
	struct tdo_sadb_comb c;
	struct tdo_sa_param sa = plain_sa(), sa_out;
	struct tdo_sp_param sp = bundle(TDO_REQ_MAX), sp_out;
	struct tdo_sadb_msg p;
	struct msg m;
	struct tdo_wr w = start(&m, TDO_SADB_X_SPDADD, 0);

	(void)state;
	sp.req[7].reqid = 100000;
	tdo_sadb_put_sp_param(&w, &sp);
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_int_equal(tdo_sadb_get_sp_param(&p, &sp_out, NULL), 0);
	assert_int_equal(sp_out.nreq, TDO_REQ_MAX);
	assert_int_equal(sp_out.req[7].reqid, 100000);

	sa.ealg = sa.aalg = 250;
	sa.ekey = sa.akey = key;
	sa.ekey_bits = sa.akey_bits = TDO_KEY_MAX * 8;
	for (unsigned i = 0; i < COUNT(combs); i++)
		combs[i] = comb;
	combs[99].encrypt = 20;
	w = start(&m, TDO_SADB_ACQUIRE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&w, &sa);
	tdo_sadb_put_proposal(&w, 4, combs, COUNT(combs));
	assert_int_equal(parse(&m, &w, &p), 0);
	assert_true(m.len > 8192);
	assert_int_equal(tdo_sadb_get_sa_param(&p, &sa_out, NULL), 0);
	assert_int_equal(sa_out.akey_bits, TDO_KEY_MAX * 8);
	assert_true(tdo_sadb_get_comb(&p, 99, &c));
	assert_int_equal(c.encrypt, 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_formats_are_as_the_table_says),
	    cmocka_unit_test(lateness_comes_back),
	    cmocka_unit_test(every_wrong_extension_is_refused),
	    cmocka_unit_test(d26_socket_address_lengths_are_checked_everywhere),
	    cmocka_unit_test(d26_pairs_of_socket_addresses_stay_in_their_extension),
	    cmocka_unit_test(an_sa_without_settings_has_no_extension_of_ours),
	    cmocka_unit_test(the_window_and_lateness_of_an_adaptive_sa_are_dumped),
	    cmocka_unit_test(d44_new_addresses_reach_the_parameters),
	    cmocka_unit_test(d44_new_addresses_are_of_one_family),
	    cmocka_unit_test(d41_type_0_and_ranges_come_through),
	    cmocka_unit_test(d41_the_addresses_alone_are_a_superset),
	    cmocka_unit_test(selectors_that_contradict_the_addresses_are_refused),
	    cmocka_unit_test(d11_reqids_have_32_bits),
	    cmocka_unit_test(d11_reqids_must_be_as_many_as_the_requests),
	    cmocka_unit_test(d51_messages_longer_than_2048_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
