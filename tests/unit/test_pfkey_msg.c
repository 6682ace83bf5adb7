/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY codec: golden bytes, round trips, and every way in which a message can be wrong. */
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
static const uint8_t key32[32] = "0123456789abcdef0123456789abcdef";

/* ---- golden messages, as NetBSD lays them out (little-endian machine) ------------------ */

static const uint8_t golden_add[] = {
    2, 3, 0, 3, 23, 0, 0, 0, 7, 0, 0, 0, 0xd2, 4, 0, 0,               /* base: 23 units */
    2, 0, 1, 0, 0, 0, 0x10, 1, 4, 0, 5, 12, 0x40, 0, 0, 0,            /* SA: spi 0x1001 */
    2, 0, 19, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0,                  /* SA2: transport, 7 */
    4, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                   /* hard lifetime */
    100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                 /* */
    3, 0, 9, 0, 128, 0, 0, 0, '0', '1', '2', '3', '4', '5', '6', '7', /* encryption key */
    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',                           /* */
    3, 0, 8, 0, 128, 0, 0, 0, '0', '1', '2', '3', '4', '5', '6', '7', /* authentication key */
    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',                           /* */
    3, 0, 5, 0, 255, 32, 0, 0, 16, 2, 0, 0, 10, 0, 0, 1,              /* source */
    0, 0, 0, 0, 0, 0, 0, 0,                                           /* */
    3, 0, 6, 0, 255, 32, 0, 0, 16, 2, 0, 0, 10, 0, 0, 2,              /* destination */
    0, 0, 0, 0, 0, 0, 0, 0,                                           /* */
    1, 0, 26, 0, 30, 0, 0, 0,                                         /* 30 packets, not 32 */
};

static const uint8_t golden_spdadd[] = {
    2, 14, 0, 0, 22, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,          /* base: 22 units */
    10, 0, 18, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x40,       /* policy: ipsec out high */
    8 + 56, 0, 50, 0, 2, 3, 9, 0,                              /* esp tunnel unique:9 */
    28, 24, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, /* from */
    0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,                        /* */
    28, 24, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, /* to */
    0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0,                        /* */
    5, 0, 5, 0, 6, 64, 0, 0, 28, 24, 0, 0, 0, 0, 0, 0,         /* source /64 */
    0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* */
    5, 0, 6, 0, 6, 0, 0, 0, 28, 24, 1, 0xbb, 0, 0, 0, 0,                    /* any, port 443 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* */
};

static struct tdo_sa_param
sample_sa(void)
{
	return (struct tdo_sa_param){
	    .key = {.satype = TDO_SATYPE_ESP, .spi = 0x1001, .src = A4, .dst = B4},
	    .mode = TDO_MODE_TRANSPORT,
	    .reqid = 7,
	    .flags = TDO_SAF_CYCSEQ,
	    .replay = 30,
	    .ealg = 12,
	    .aalg = 5,
	    .ekey = key32,
	    .ekey_bits = 128,
	    .akey = key32,
	    .akey_bits = 128,
	    .hard = {.addtime = 100},
	    .has_hard = true,
	    .seq = 7,
	    .pid = 1234,
	};
}

static struct tdo_sp_param
sample_sp(void)
{
	return (struct tdo_sp_param){
	    .dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .prio = 0x40000000,
	    .sel = {.src = tdo_addr_mask(&A6, 64),
		.src_plen = 64,
		.dst = {.af = TDO_AF_INET6},
		.proto = 6,
		.sport = TDO_RANGE_ANY,
		.dport = {443, 443}},
	    .nreq = 1,
	    .req = {{.proto = 50,
		.mode = TDO_MODE_TUNNEL,
		.level = TDO_LEVEL_UNIQUE,
		.reqid = 9,
		.src = A6,
		.dst = B6}},
	    .seq = 1,
	    .pid = 2,
	};
}

static size_t
build_add(uint8_t *buf, size_t cap, const struct tdo_sa_param *p)
{
	struct tdo_wr w = tdo_wr_init(buf, cap);

	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){
		    .type = TDO_SADB_ADD, .satype = p->key.satype, .seq = p->seq, .pid = p->pid});
	tdo_sadb_put_sa_param(&w, p);
	return tdo_sadb_end(&w);
}

static size_t
build_spdadd(uint8_t *buf, size_t cap, const struct tdo_sp_param *p)
{
	struct tdo_wr w = tdo_wr_init(buf, cap);

	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDADD, .seq = p->seq, .pid = p->pid});
	tdo_sadb_put_sp_param(&w, p);
	return tdo_sadb_end(&w);
}

static bool
little_endian(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 1;
}

static void
add_and_spdadd_are_as_netbsd_has_them(void **state)
{
	struct tdo_sa_param sa = sample_sa();
	struct tdo_sp_param sp = sample_sp();
	uint8_t buf[512];

	(void)state;
	if (!little_endian())
		skip();
	assert_int_equal(build_add(buf, sizeof(buf), &sa), sizeof(golden_add));
	assert_memory_equal(buf, golden_add, sizeof(golden_add));
	assert_int_equal(build_spdadd(buf, sizeof(buf), &sp), sizeof(golden_spdadd));
	assert_memory_equal(buf, golden_spdadd, sizeof(golden_spdadd));
}

/* ---- round trips ------------------------------------------------------------------------ */

/* Not memcmp(): there is a byte of padding in front of the ranges. */
static void
check_sel_equal(const struct tdo_sel *a, const struct tdo_sel *b)
{
	assert_memory_equal(a, b, offsetof(struct tdo_sel, proto));
	assert_int_equal(a->proto, b->proto);
	assert_memory_equal(&a->sport, &b->sport, sizeof(a->sport));
	assert_memory_equal(&a->dport, &b->dport, sizeof(a->dport));
}

static void
check_sa_equal(const struct tdo_sa_param *a, const struct tdo_sa_param *b)
{
	assert_int_equal(a->key.satype, b->key.satype);
	assert_int_equal(a->key.spi, b->key.spi);
	assert_true(tdo_addr_equal(&a->key.src, &b->key.src));
	assert_true(tdo_addr_equal(&a->key.dst, &b->key.dst));
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->reqid, b->reqid);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->replay, b->replay);
	assert_int_equal(a->ealg, b->ealg);
	assert_int_equal(a->aalg, b->aalg);
	assert_int_equal(a->ekey_bits, b->ekey_bits);
	assert_int_equal(a->akey_bits, b->akey_bits);
	if (a->ekey_bits)
		assert_memory_equal(a->ekey, b->ekey, a->ekey_bits / 8);
	if (a->akey_bits)
		assert_memory_equal(a->akey, b->akey, a->akey_bits / 8);
	assert_int_equal(a->has_hard, b->has_hard);
	assert_int_equal(a->has_soft, b->has_soft);
	assert_memory_equal(&a->hard, &b->hard, sizeof(a->hard));
	assert_memory_equal(&a->soft, &b->soft, sizeof(a->soft));
	assert_memory_equal(&a->tunnel, &b->tunnel, sizeof(a->tunnel));
	assert_int_equal(a->adaptive, b->adaptive);
	assert_int_equal(a->cpu, b->cpu);
	assert_int_equal(a->has_sel, b->has_sel);
	if (a->has_sel)
		check_sel_equal(&a->sel, &b->sel);
	assert_true(tdo_addr_equal(&a->new_src, &b->new_src));
	assert_true(tdo_addr_equal(&a->new_dst, &b->new_dst));
}

static uint32_t
rnd(void)
{
	return (uint32_t)random() << 16 ^ (uint32_t)random();
}

static struct tdo_lifetime
random_lifetime(void)
{
	return (struct tdo_lifetime){rnd(), (uint64_t)rnd() << 32 | rnd(), rnd(), rnd()};
}

static struct tdo_tunnel_opt
random_tunnel(void)
{
	if (rnd() & 1)
		return (struct tdo_tunnel_opt){0};
	return (struct tdo_tunnel_opt){
	    .ecn = (uint8_t)(rnd() % 6),
	    .df = (uint8_t)(rnd() % 4),
	    .dscp = (uint8_t)(rnd() & 1 ? rnd() % 65 : TDO_OPT_DSCP_COPY),
	    .hop_limit = (uint8_t)rnd(),
	    .flow_label = (uint8_t)(rnd() % 4),
	};
}

/* Any, one value (also 0), or a true range. */
static struct tdo_range
random_range(void)
{
	uint16_t a = (uint16_t)rnd(), b = (uint16_t)rnd();

	switch (rnd() % 4) {
	case 0:
		return (struct tdo_range){a, a};
	case 1:
		return (struct tdo_range){0, rnd() & 1 ? 0 : b};
	case 2:
		return a < b ? (struct tdo_range){a, b} : (struct tdo_range){b, a};
	default:
		return TDO_RANGE_ANY;
	}
}

static struct tdo_sel
random_sel(void)
{
	bool v6 = rnd() & 1;
	unsigned bits = v6 ? 128 : 32;
	struct tdo_sel s = {
	    .src_plen = (uint8_t)(rnd() % (bits + 1)),
	    .dst_plen = (uint8_t)(rnd() % (bits + 1)),
	    .proto = (uint8_t)(1 + rnd() % 255),
	    .sport = random_range(),
	    .dport = random_range(),
	};

	s.src = tdo_addr_mask(v6 ? &A6 : &A4, s.src_plen);
	s.dst = tdo_addr_mask(v6 ? &B6 : &B4, s.dst_plen);
	return s;
}

static struct tdo_sa_param
random_sa(void)
{
	bool v6 = rnd() & 1;
	struct tdo_sa_param p = {
	    .key = {.satype = TDO_SATYPE_ESP,
		.spi = rnd(),
		.src = v6 ? A6 : A4,
		.dst = v6 ? B6 : B4},
	    .mode = (uint8_t)(rnd() % 3),
	    .reqid = rnd(),
	    .flags = rnd(),
	    .replay = rnd() & 1 ? rnd() % 3000 : rnd() % 256 * 8,
	    .has_hard = rnd() & 1,
	    .has_soft = rnd() & 1,
	    .tunnel = random_tunnel(),
	    .adaptive = rnd() % 4 == 0,
	    .cpu = (uint16_t)(rnd() % 4 == 0 ? rnd() : 0),
	    .has_sel = rnd() & 1,
	};

	if (p.has_sel)
		p.sel = random_sel();
	if (rnd() % 4 == 0)
		p.new_src = v6 ? B6 : B4;
	if (rnd() % 4 == 0)
		p.new_dst = v6 ? A6 : A4;
	if (rnd() & 1) {
		p.ealg = (uint8_t)(1 + rnd() % 255);
		p.ekey = key32;
		p.ekey_bits = (uint16_t)(rnd() % 33 * 8);
	}
	if (rnd() & 1) {
		p.aalg = (uint8_t)(1 + rnd() % 255);
		p.akey = key32;
		p.akey_bits = (uint16_t)(rnd() % 33 * 8);
	}
	if (p.has_hard)
		p.hard = random_lifetime();
	if (p.has_soft)
		p.soft = random_lifetime();
	return p;
}

static void
sas_survive_the_round_trip(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct tdo_sa_param p = random_sa(), q;
		size_t len = build_add(buf, sizeof(buf), &p);
		struct tdo_sadb_msg m;

		assert_int_not_equal(len, 0);
		assert_int_equal(tdo_sadb_parse(buf, len, &m, NULL), 0);
		assert_int_equal(tdo_sadb_get_sa_param(&m, &q, NULL), 0);
		check_sa_equal(&p, &q);
	}
}

static struct tdo_sp_param
random_sp(void)
{
	struct tdo_sp_param p = {
	    .dir = (uint8_t)(1 + rnd() % 2),
	    .type = (uint8_t)(rnd() % 3),
	    .prio = rnd() | 1,
	    .sel = random_sel(),
	    .lifetime = rnd() % 3,
	    .validtime = rnd() % 3,
	    .tunnel = random_tunnel(),
	    .hold = rnd() % 4 == 0,
	    .pfp = (uint8_t)(rnd() & 1 ? rnd() & TDO_PFP_ALL : 0),
	};

	if (p.type == TDO_POLICY_IPSEC)
		p.nreq = (uint8_t)(rnd() % (TDO_REQ_MAX + 1));
	for (unsigned i = 0; i < p.nreq; i++) {
		static const uint8_t protos[] = {50, 51, 108};
		static const struct tdo_addr none;
		const struct tdo_addr *const addrs[] = {&none, &A4, &A6};
		unsigned which = rnd() % 3;

		p.req[i] = (struct tdo_req){.proto = protos[rnd() % 3],
		    .mode = (uint8_t)(rnd() % 3),
		    .level = (uint8_t)(rnd() % 4),
		    .reqid = rnd() % 4 == 0 ? rnd() : rnd() & 0xffff,
		    .src = *addrs[which],
		    .dst = which ? *addrs[1 + rnd() % 2] : none,
		    .sport = which ? (uint16_t)rnd() : 0,
		    .dport = which ? (uint16_t)rnd() : 0};
	}
	return p;
}

static void
policies_survive_the_round_trip(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct tdo_sp_param p = random_sp(), q;
		size_t len = build_spdadd(buf, sizeof(buf), &p);
		struct tdo_sadb_msg m;

		assert_int_not_equal(len, 0);
		assert_int_equal(tdo_sadb_parse(buf, len, &m, NULL), 0);
		assert_int_equal(tdo_sadb_get_sp_param(&m, &q, NULL), 0);
		assert_int_equal(p.dir, q.dir);
		assert_int_equal(p.type, q.type);
		assert_int_equal(p.prio, q.prio);
		assert_int_equal(p.nreq, q.nreq);
		assert_int_equal(p.lifetime, q.lifetime);
		assert_int_equal(p.validtime, q.validtime);
		check_sel_equal(&p.sel, &q.sel);
		assert_memory_equal(&p.tunnel, &q.tunnel, sizeof(p.tunnel));
		assert_int_equal(p.hold, q.hold);
		assert_int_equal(p.pfp, q.pfp);
		for (unsigned j = 0; j < p.nreq; j++) {
			assert_int_equal(p.req[j].proto, q.req[j].proto);
			assert_int_equal(p.req[j].mode, q.req[j].mode);
			assert_int_equal(p.req[j].level, q.req[j].level);
			assert_int_equal(p.req[j].reqid, q.req[j].reqid);
			assert_true(tdo_addr_equal(&p.req[j].src, &q.req[j].src));
			assert_true(tdo_addr_equal(&p.req[j].dst, &q.req[j].dst));
		}
	}
}

static void
a_dump_entry_survives_the_round_trip(void **state)
{
	struct tdo_sa_info in = {.param = sample_sa(),
	    .current = {.allocations = 5, .bytes = 420, .addtime = 1000, .usetime = 1010},
	    .last_used = 1041,
	    .out_seq = 5,
	    .refcnt = 1};
	struct tdo_sa_info out;
	struct tdo_sadb_msg m;
	uint8_t buf[1024];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	size_t len;

	(void)state;
	in.param.state = TDO_SA_MATURE;
	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){.type = TDO_SADB_DUMP, .satype = 3, .reserved = 1});
	tdo_sadb_put_sa_info(&w, &in, true);
	len = tdo_sadb_end(&w);
	assert_int_equal(tdo_sadb_parse(buf, len, &m, NULL), 0);
	assert_int_equal(tdo_sadb_get_sa_info(&m, &out, NULL), 0);
	check_sa_equal(&in.param, &out.param);
	assert_ptr_equal(out.param.ekey, out.key_store);
	assert_int_equal(out.param.state, TDO_SA_MATURE);
	assert_int_equal(out.current.bytes, 420);
	assert_int_equal(out.current.addtime, 1000);
	assert_int_equal(out.last_used, 1041);
	assert_int_equal(out.out_seq, 5);
	assert_int_equal(out.refcnt, 1);

	w = tdo_wr_init(buf, sizeof(buf));
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_DUMP, .satype = 3});
	tdo_sadb_put_sa_info(&w, &in, false);
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
	assert_false(tdo_sadb_has(&m, TDO_SADB_EXT_KEY_AUTH));
	assert_false(tdo_sadb_has(&m, TDO_SADB_EXT_KEY_ENCRYPT));
}

static void
a_policy_entry_survives_the_round_trip(void **state)
{
	struct tdo_sp_info in = {
	    .param = sample_sp(), .id = 77, .created = 1000, .last_used = 1041, .refcnt = 2};
	struct tdo_sp_info out;
	struct tdo_sadb_msg m;
	uint8_t buf[1024];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	(void)state;
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDDUMP, .reserved = 2});
	tdo_sadb_put_sp_info(&w, &in);
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
	assert_int_equal(m.order[0], TDO_SADB_EXT_ADDRESS_SRC);
	assert_int_equal(m.order[m.next - 1], TDO_SADB_X_EXT_POLICY);
	assert_int_equal(tdo_sadb_get_sp_info(&m, &out, NULL), 0);
	assert_int_equal(out.id, 77);
	assert_int_equal(out.created, 1000);
	assert_int_equal(out.last_used, 1041);
	assert_int_equal(out.refcnt, 2);
	check_sel_equal(&out.param.sel, &in.param.sel);
}

static void
lists_survive_the_round_trip(void **state)
{
	static const struct tdo_sadb_alg algs[] = {{12, 16, 128, 256}, {20, 8, 160, 288}};
	static const struct tdo_sadb_comb combs[] = {
	    {.auth = 5, .encrypt = 12, .encrypt_minbits = 128, .hard = {.addtime = 86400}},
	    {.encrypt = 20, .encrypt_maxbits = 288, .soft = {1, 2, 3, 4}, .hard = {5, 6, 7, 8}}};
	struct tdo_sadb_msg m;
	struct tdo_sadb_alg a;
	struct tdo_sadb_comb c;
	uint8_t buf[1024];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	(void)state;
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_REGISTER, .satype = 3});
	tdo_sadb_put_supported(&w, TDO_SADB_EXT_SUPPORTED_ENCRYPT, algs, 2);
	tdo_sadb_put_proposal(&w, 4, combs, 2);
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
	assert_true(tdo_sadb_get_supported(&m, TDO_SADB_EXT_SUPPORTED_ENCRYPT, 1, &a));
	assert_memory_equal(&a, &algs[1], sizeof(a));
	assert_false(tdo_sadb_get_supported(&m, TDO_SADB_EXT_SUPPORTED_ENCRYPT, 2, &a));
	assert_false(tdo_sadb_get_supported(&m, TDO_SADB_EXT_SUPPORTED_AUTH, 0, &a));
	assert_true(tdo_sadb_get_comb(&m, 1, &c));
	/* Not sizeof(c): there are bytes of padding in front of the lifetimes. */
	assert_memory_equal(&c, &combs[1], offsetof(struct tdo_sadb_comb, encrypt_maxbits));
	assert_int_equal(c.encrypt_maxbits, combs[1].encrypt_maxbits);
	assert_memory_equal(&c.soft, &combs[1].soft, sizeof(c.soft));
	assert_memory_equal(&c.hard, &combs[1].hard, sizeof(c.hard));
	assert_false(tdo_sadb_get_comb(&m, 2, &c));
}

static void
nat_traversal_is_read(void **state)
{
	struct tdo_sadb_address a = {.addr = A4, .plen = 32, .proto = 255};
	struct tdo_sadb_msg m;
	uint8_t buf[256], type;
	uint16_t port, frag;
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	(void)state;
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
	tdo_sadb_put_natt_type(&w, TDO_SADB_NATT_ESPINUDP);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 4500);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_DPORT, 4501);
	tdo_sadb_put_natt_frag(&w, 552);
	tdo_sadb_put_address(&w, TDO_SADB_X_EXT_NAT_T_OAI, &a);
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
	assert_true(tdo_sadb_get_natt_type(&m, &type));
	assert_int_equal(type, TDO_SADB_NATT_ESPINUDP);
	assert_true(tdo_sadb_get_natt_port(&m, TDO_SADB_X_EXT_NAT_T_DPORT, &port));
	assert_int_equal(port, 4501);
	assert_true(tdo_sadb_get_natt_frag(&m, &frag));
	assert_int_equal(frag, 552);
	assert_true(tdo_sadb_get_address(&m, TDO_SADB_X_EXT_NAT_T_OAI, &a));
	assert_false(tdo_sadb_get_address(&m, TDO_SADB_X_EXT_NAT_T_OAR, &a));
}

/* ---- what is wrong ---------------------------------------------------------------------- */

/* One byte of a golden message is changed; offsets as laid out above. */
struct mutation {
	size_t off;
	uint8_t value;
	int err;
	uint8_t ext;
};

static const struct mutation bad_add[] = {
    {0, 1, EINVAL, 0},                            /* version */
    {1, 0, EINVAL, 0},                            /* type reserved */
    {1, 24, EINVAL, 0},                           /* type unknown */
    {3, 0, EINVAL, 0},                            /* SA type missing */
    {3, 4, EINVAL, 0},                            /* SA type unknown */
    {3, 7, EOPNOTSUPP, 0},                        /* RIPv2 */
    {3, 11, EOPNOTSUPP, 0},                       /* TCP-MD5 */
    {4, 22, EMSGSIZE, 0},                         /* length */
    {16, 0, EINVAL, TDO_SADB_EXT_SA},             /* extension length 0 */
    {16, 3, EINVAL, TDO_SADB_EXT_SA},             /* too long for its type */
    {17, 1, EINVAL, TDO_SADB_EXT_SA},             /* beyond the message */
    {18, 0, EINVAL, TDO_SADB_EXT_RESERVED},       /* type 0 */
    {18, 17, EINVAL, TDO_SADB_X_EXT_KMPRIVATE},   /* not for use */
    {18, 29, EINVAL, 0},                          /* unknown */
    {18, 19, EINVAL, TDO_SADB_X_EXT_SA2},         /* SA2 twice */
    {36, 3, EINVAL, TDO_SADB_X_EXT_SA2},          /* mode */
    {48, 3, EINVAL, TDO_SADB_EXT_LIFETIME_HARD},  /* too short */
    {84, 129, EINVAL, TDO_SADB_EXT_KEY_ENCRYPT},  /* not whole bytes */
    {84, 136, EINVAL, TDO_SADB_EXT_KEY_ENCRYPT},  /* longer than the extension */
    {85, 0xff, EINVAL, TDO_SADB_EXT_KEY_ENCRYPT}, /* longer than all keys */
    {132, 6, EINVAL, 0},                          /* protocols differ */
    {133, 33, EINVAL, TDO_SADB_EXT_ADDRESS_SRC},  /* prefix */
    {136, 15, EINVAL, TDO_SADB_EXT_ADDRESS_SRC},  /* socket address length */
    {136, 17, EINVAL, TDO_SADB_EXT_ADDRESS_SRC},  /* beyond the extension */
    {137, 3, EAFNOSUPPORT, TDO_SADB_EXT_ADDRESS_SRC},
    {137, 0, EAFNOSUPPORT, TDO_SADB_EXT_ADDRESS_SRC},
    {137, 24, EINVAL, TDO_SADB_EXT_ADDRESS_SRC}, /* IPv6 with 16 bytes */
};

static const struct mutation bad_spdadd[] = {
    {3, 3, EINVAL, 0},                             /* policies have no SA type */
    {20, 5, EINVAL, TDO_SADB_X_EXT_POLICY},        /* type */
    {21, 1, EINVAL, TDO_SADB_X_EXT_POLICY},        /* type */
    {20, 1, EINVAL, TDO_SADB_X_EXT_POLICY},        /* requests in a policy "none" */
    {22, 3, EINVAL, TDO_SADB_X_EXT_POLICY},        /* direction fwd */
    {32, 72, EINVAL, TDO_SADB_X_EXT_POLICY},       /* request beyond the extension */
    {32, 63, EINVAL, TDO_SADB_X_EXT_POLICY},       /* not a multiple of 8 */
    {32, 0, EINVAL, TDO_SADB_X_EXT_POLICY},        /* would not end */
    {32, 32, EINVAL, TDO_SADB_X_EXT_POLICY},       /* addresses cut off */
    {33, 1, EINVAL, TDO_SADB_X_EXT_POLICY},        /* beyond the extension */
    {34, 6, EINVAL, TDO_SADB_X_EXT_POLICY},        /* protocol */
    {35, 1, EINVAL, TDO_SADB_X_EXT_POLICY},        /* protocol 306 is not 50 */
    {36, 3, EINVAL, TDO_SADB_X_EXT_POLICY},        /* mode */
    {37, 4, EINVAL, TDO_SADB_X_EXT_POLICY},        /* level */
    {40, 27, EINVAL, TDO_SADB_X_EXT_POLICY},       /* socket address */
    {41, 28, EAFNOSUPPORT, TDO_SADB_X_EXT_POLICY}, /* FreeBSD's AF_INET6 */
    {68, 16, EINVAL, TDO_SADB_X_EXT_POLICY},       /* second socket address */
    {101, 129, EINVAL, TDO_SADB_EXT_ADDRESS_SRC},  /* prefix */
};

static void
try_mutations(const uint8_t *good, size_t len, const struct mutation *t, size_t n)
{
	struct tdo_sadb_msg m;
	uint8_t buf[512];

	for (size_t i = 0; i < n; i++) {
		struct tdo_sadb_err e = {.ext = 0xee};
		int r;

		memcpy(buf, good, len);
		assert_int_equal(tdo_sadb_parse(buf, len, &m, NULL), 0);
		buf[t[i].off] = t[i].value;
		r = tdo_sadb_parse(buf, len, &m, &e);
		if (r != -t[i].err || e.ext != t[i].ext)
			print_message("byte %zu = %u: %d, %s %s\n", t[i].off, t[i].value, r,
			    tdo_sadb_ext_name(e.ext), e.text ? e.text : "-");
		assert_int_equal(r, -t[i].err);
		assert_int_equal(e.ext, t[i].ext);
		assert_non_null(e.text);
	}
}

static void
every_wrong_byte_is_refused_by_name(void **state)
{
	(void)state;
	if (!little_endian())
		skip();
	try_mutations(golden_add, sizeof(golden_add), bad_add, COUNT(bad_add));
	try_mutations(golden_spdadd, sizeof(golden_spdadd), bad_spdadd, COUNT(bad_spdadd));
}

static void
truncation_is_refused_at_every_length(void **state)
{
	struct tdo_sadb_msg m;
	struct tdo_sadb_base b;

	(void)state;
	for (size_t n = 0; n < sizeof(golden_add); n++) {
		/* An exact copy, so that a read beyond it is found. */
		uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, golden_add, n);
		assert_int_equal(tdo_sadb_parse(copy, n, &m, NULL), -EMSGSIZE);
		assert_int_equal(tdo_sadb_base_read(copy, n, &b), n >= TDO_SADB_BASE_LEN);
		if (n >= TDO_SADB_BASE_LEN && n % 8 == 0) {
			uint16_t units = (uint16_t)(n / 8);

			memcpy(copy + 4, &units, 2);
			if (tdo_sadb_parse(copy, n, &m, NULL) == 0)
				assert_false(tdo_sadb_has(&m, TDO_SADB_X_EXT_SA_REPLAY));
		}
		free(copy);
	}
}

/* Random damage: no crash, no read beyond the message (ASan), getters agree with parse. */
static void
damaged_messages_do_no_harm(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		const bool sa = rnd() & 1;
		size_t len = sa ? sizeof(golden_add) : sizeof(golden_spdadd);
		uint8_t *copy = malloc(len);
		struct tdo_sadb_msg m;
		struct tdo_sadb_policy pol;
		struct tdo_sa_info info;
		struct tdo_sp_info sp;

		assert_non_null(copy);
		memcpy(copy, sa ? golden_add : golden_spdadd, len);
		for (unsigned j = rnd() % 4 + 1; j > 0; j--)
			copy[16 + rnd() % (len - 16)] = (uint8_t)rnd();
		if (tdo_sadb_parse(copy, len, &m, NULL) == 0) {
			assert_int_equal(
			    tdo_sadb_get_policy(&m, &pol), tdo_sadb_has(&m, TDO_SADB_X_EXT_POLICY));
			assert_true(tdo_sadb_get_sa_info(&m, &info, NULL) <= 0);
			assert_true(tdo_sadb_get_sp_info(&m, &sp, NULL) <= 0);
		}
		free(copy);
	}
}

/* ---- single rules ----------------------------------------------------------------------- */

static size_t
one_ext(uint8_t *buf, size_t cap, uint8_t satype, uint16_t type, const void *contents, size_t len)
{
	struct tdo_wr w = tdo_wr_init(buf, cap);

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = satype});
	tdo_wr_h16(&w, (uint16_t)((len + 4) / 8));
	tdo_wr_h16(&w, type);
	tdo_wr_bytes(&w, contents, len);
	return tdo_sadb_end(&w);
}

static void
rarely_used_extensions_are_checked(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t contents[36];
		size_t len;
		int r;
	} t[] = {
	    {TDO_SADB_EXT_IDENTITY_SRC, {2, 0, 0, 0, [12] = 'a', 'b'}, 20, 0},
	    {TDO_SADB_EXT_IDENTITY_SRC, {2, 0, 0, 0}, 12, 0},
	    {TDO_SADB_EXT_IDENTITY_SRC, {5, 5, 0, 0}, 12, -EINVAL},
	    {TDO_SADB_EXT_IDENTITY_DST, {2, 2, [12] = 1, 1, 1, 1, 1, 1, 1, 1}, 20, -EINVAL},
	    {TDO_SADB_EXT_SENSITIVITY, {[5] = 1, [7] = 1}, 28, 0},
	    {TDO_SADB_EXT_SENSITIVITY, {[5] = 1, [7] = 2}, 28, -EINVAL},
	    {TDO_SADB_EXT_PROPOSAL, {4}, 4, 0},
	    {TDO_SADB_EXT_PROPOSAL, {4}, 12, -EINVAL},
	    {TDO_SADB_EXT_SPIRANGE, {0}, 12, 0},
	    {TDO_SADB_EXT_SPIRANGE, {1, 1, 1, 1, 0, 0, 0, 0}, 12, -EINVAL},
	    {TDO_SADB_EXT_SPIRANGE, {0}, 4, -EINVAL},
	    {TDO_SADB_X_EXT_NAT_T_TYPE, {2}, 4, 0},
	    {TDO_SADB_X_EXT_NAT_T_TYPE, {3}, 4, -EINVAL},
	    {TDO_SADB_EXT_ADDRESS_PROXY, {0, 0, 0, 0}, 4, -EINVAL},
	    {TDO_SADB_EXT_ADDRESS_PROXY, {0, 32, 0, 0, 16, 2}, 28, -EINVAL},
	    {TDO_SADB_EXT_KEY_AUTH, {0}, 4, 0},
	};
	struct tdo_sadb_msg m;
	struct tdo_sadb_ident id;
	uint8_t buf[128];

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		size_t len = one_ext(buf, sizeof(buf), 3, t[i].type, t[i].contents, t[i].len);

		assert_int_equal(tdo_sadb_parse(buf, len, &m, NULL), t[i].r);
	}
	assert_int_equal(tdo_sadb_parse(buf,
			     one_ext(buf, sizeof(buf), 3, t[0].type, t[0].contents, 20), &m, NULL),
	    0);
	assert_true(tdo_sadb_get_ident(&m, TDO_SADB_EXT_IDENTITY_SRC, &id));
	assert_string_equal(id.text, "ab");
	assert_int_equal(id.type, TDO_SADB_IDENT_FQDN);
}

static void
identities_must_be_of_one_type(void **state)
{
	struct tdo_sadb_msg m;
	uint8_t buf[128];
	struct tdo_wr w;

	(void)state;
	for (uint16_t type = 2; type < 4; type++) {
		w = tdo_wr_init(buf, sizeof(buf));
		tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_ADD, .satype = 3});
		for (uint16_t ext = TDO_SADB_EXT_IDENTITY_SRC; ext <= TDO_SADB_EXT_IDENTITY_DST;
		     ext++) {
			tdo_wr_h16(&w, 2);
			tdo_wr_h16(&w, ext);
			tdo_wr_h16(&w, ext == TDO_SADB_EXT_IDENTITY_SRC ? 2 : type);
			tdo_wr_zero(&w, 10);
		}
		assert_int_equal(
		    tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), type == 2 ? 0 : -EINVAL);
	}
}

/* Spec dialects 4: iked and strongSwan send protocol 0 and prefix 0, racoon a port. */
static void
addresses_of_sas_are_taken_in_every_form(void **state)
{
	static const struct tdo_sadb_address forms[] = {{.plen = 32, .proto = 255},
	    {.plen = 0, .proto = 0}, {.plen = 32, .proto = 0, .port = 4500}};
	uint8_t buf[256];

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
		struct tdo_sadb_address a = forms[i];
		struct tdo_sa_key key;
		struct tdo_sadb_msg m;

		tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_GET, .satype = 3});
		tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = 4096});
		a.addr = A4;
		tdo_sadb_put_address(&w, TDO_SADB_EXT_ADDRESS_SRC, &a);
		a.addr = B4;
		tdo_sadb_put_address(&w, TDO_SADB_EXT_ADDRESS_DST, &a);
		assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
		assert_int_equal(tdo_sadb_get_sa_key(&m, &key, NULL), 0);
		assert_true(tdo_addr_equal(&key.src, &A4));
		assert_true(tdo_addr_equal(&key.dst, &B4));
		assert_int_equal(key.spi, 4096);
	}
}

static void
missing_extensions_are_named(void **state)
{
	struct tdo_sadb_msg m = {.base = {.type = TDO_SADB_ADD, .satype = 3}};
	struct tdo_sadb_err e = {0};
	struct tdo_sa_param sa;
	struct tdo_sa_info info;
	struct tdo_sp_param sp;

	(void)state;
	assert_int_equal(tdo_sadb_get_sa_param(&m, &sa, &e), -EINVAL);
	assert_int_equal(e.ext, TDO_SADB_EXT_ADDRESS_SRC);
	assert_int_equal(tdo_sadb_get_sp_param(&m, &sp, &e), -EINVAL);
	assert_int_equal(e.ext, TDO_SADB_X_EXT_POLICY);
	assert_int_equal(tdo_sadb_get_sa_info(&m, &info, &e), -EINVAL);
	assert_int_equal(e.ext, TDO_SADB_EXT_SA);
}

static void
no_priority_means_the_default(void **state)
{
	struct tdo_sp_param p = sample_sp(), q;
	struct tdo_sadb_msg m;
	uint8_t buf[512];

	(void)state;
	p.prio = 0;
	assert_int_equal(tdo_sadb_parse(buf, build_spdadd(buf, sizeof(buf), &p), &m, NULL), 0);
	assert_int_equal(tdo_sadb_get_sp_param(&m, &q, NULL), 0);
	assert_int_equal(q.prio, TDO_PRIO_DEFAULT);
}

static void
what_does_not_fit_is_not_sent(void **state)
{
	struct tdo_sa_param sa = sample_sa();
	struct tdo_sp_param sp = sample_sp();
	uint8_t buf[512];

	(void)state;
	for (size_t cap = 0; cap < sizeof(golden_add); cap++)
		assert_int_equal(build_add(buf, cap, &sa), 0);
	for (size_t cap = 0; cap < sizeof(golden_spdadd); cap++)
		assert_int_equal(build_spdadd(buf, cap, &sp), 0);
}

static void
too_many_requests_are_refused(void **state)
{
	struct tdo_sadb_msg m;
	struct tdo_sadb_err e = {0};
	uint8_t buf[512];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	(void)state;
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDADD});
	tdo_wr_h16(&w, 2 + TDO_REQ_MAX + 1);
	tdo_wr_h16(&w, TDO_SADB_X_EXT_POLICY);
	tdo_wr_h16(&w, TDO_POLICY_IPSEC);
	tdo_wr_u8(&w, TDO_DIR_OUT);
	tdo_wr_zero(&w, 9);
	for (unsigned i = 0; i <= TDO_REQ_MAX; i++) {
		tdo_wr_h16(&w, 8);
		tdo_wr_h16(&w, 50);
		tdo_wr_u8(&w, TDO_MODE_TRANSPORT);
		tdo_wr_u8(&w, TDO_LEVEL_REQUIRE);
		tdo_wr_h16(&w, 0);
	}
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, &e), -EINVAL);
	assert_int_equal(e.ext, TDO_SADB_X_EXT_POLICY);
}

static void
promiscuous_wrapping_is_opened(void **state)
{
	struct tdo_sadb_msg m;
	uint8_t buf[512];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));

	(void)state;
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_PROMISC});
	tdo_wr_bytes(&w, golden_add, sizeof(golden_add));
	assert_int_equal(tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL), 0);
	assert_int_equal(m.payload_len, sizeof(golden_add));
	assert_int_equal(tdo_sadb_parse(m.payload, m.payload_len, &m, NULL), 0);
	assert_int_equal(m.base.type, TDO_SADB_ADD);
}

static void
rows_are_cut_where_messages_end(void **state)
{
	uint8_t buf[64] = {0};
	uint16_t units;

	(void)state;
	for (size_t left = 0; left < 16; left++)
		assert_int_equal(tdo_sadb_row_next(buf, left), left);
	/* Shorter than a base message, whole, too long. */
	for (units = 0; units <= 9; units++) {
		memcpy(buf + 4, &units, 2);
		assert_int_equal(
		    tdo_sadb_row_next(buf, 64), units < 2 || units > 8 ? 64 : (size_t)units * 8);
	}
	units = UINT16_MAX;
	memcpy(buf + 4, &units, 2);
	assert_int_equal(tdo_sadb_row_next(buf, 64), 64);
}

static void
names_and_numbers(void **state)
{
	static const uint8_t types[] = {TDO_SATYPE_AH, TDO_SATYPE_ESP, TDO_SATYPE_IPCOMP};

	(void)state;
	assert_string_equal(tdo_sadb_type_name(TDO_SADB_X_SPDADD), "SADB_X_SPDADD");
	assert_string_equal(tdo_sadb_type_name(TDO_SADB_X_TDO_ROWS), "SADB_X_TDO_ROWS");
	for (unsigned type = TDO_SADB_X_NAT_T_NEW_MAPPING + 1; type < TDO_SADB_X_TDO_ROWS; type++)
		assert_string_equal(tdo_sadb_type_name(type), "unknown message");
	assert_string_equal(tdo_sadb_type_name(32), "unknown message");
	assert_string_equal(tdo_sadb_type_name(99), "unknown message");
	assert_string_equal(tdo_sadb_ext_name(TDO_SADB_X_EXT_SA2), "SADB_X_EXT_SA2");
	assert_string_equal(tdo_sadb_ext_name(99), "unknown extension");
	for (size_t i = 0; i < COUNT(types); i++)
		assert_int_equal(tdo_sadb_proto_satype(tdo_sadb_satype_proto(types[i])), types[i]);
	assert_int_equal(tdo_sadb_satype_proto(TDO_SATYPE_UNSPEC), 0);
	assert_int_equal(tdo_sadb_proto_satype(6), TDO_SATYPE_UNSPEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(add_and_spdadd_are_as_netbsd_has_them),
	    cmocka_unit_test(sas_survive_the_round_trip),
	    cmocka_unit_test(policies_survive_the_round_trip),
	    cmocka_unit_test(a_dump_entry_survives_the_round_trip),
	    cmocka_unit_test(a_policy_entry_survives_the_round_trip),
	    cmocka_unit_test(lists_survive_the_round_trip),
	    cmocka_unit_test(nat_traversal_is_read),
	    cmocka_unit_test(every_wrong_byte_is_refused_by_name),
	    cmocka_unit_test(truncation_is_refused_at_every_length),
	    cmocka_unit_test(damaged_messages_do_no_harm),
	    cmocka_unit_test(rarely_used_extensions_are_checked),
	    cmocka_unit_test(identities_must_be_of_one_type),
	    cmocka_unit_test(addresses_of_sas_are_taken_in_every_form),
	    cmocka_unit_test(missing_extensions_are_named),
	    cmocka_unit_test(no_priority_means_the_default),
	    cmocka_unit_test(what_does_not_fit_is_not_sent),
	    cmocka_unit_test(too_many_requests_are_refused),
	    cmocka_unit_test(promiscuous_wrapping_is_opened),
	    cmocka_unit_test(rows_are_cut_where_messages_end),
	    cmocka_unit_test(names_and_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
