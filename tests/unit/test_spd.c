/* SPDX-License-Identifier: BSD-2-Clause */
/* SPD: refusals, order, update, ids, request ids, opaque flows, tunnels, attachment, dumps. */
#include <errno.h>
#include <time.h>

#include "base/addr.h"
#include "ctl_case.h"
#include "engine/engine.h"

static uint32_t
add(const struct tdo_sp_param *p)
{
	struct tdo_sp_info i;

	assert_int_equal(tdo_sp_add(c.e, p, c.now, &i, NULL), 0);
	return i.id;
}

static uint32_t
hit(const struct tdo_flow *f)
{
	struct tdo_spd_hit a = tdo_spd_match(c.e, TDO_DIR_OUT, f);
	struct tdo_spd_hit b = tdo_spd_match_naive(c.e, TDO_DIR_OUT, f);

	assert_ptr_equal(a.sp, b.sp);
	assert_int_equal(a.uncertain, b.uncertain);
	assert_int_equal(a.protects, b.protects);
	assert_false(a.uncertain);
	return a.sp ? a.sp->id : 0;
}

static struct tdo_sp_param
general(void)
{
	return ctl_sp(TDO_DIR_OUT, "0.0.0.0", 0, "0.0.0.0", 0);
}

static struct tdo_sp_param
web(uint8_t type)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "0.0.0.0", 0);

	p.sel.proto = 6;
	p.sel.dport = (struct tdo_range){80, 80};
	p.type = type;
	p.nreq = type == TDO_POLICY_IPSEC;
	return p;
}

/* ---- refusals ---- */

static void
refused(const struct tdo_sp_param *p, const char *part)
{
	struct tdo_err err = {NULL};

	assert_int_equal(tdo_sp_add(c.e, p, c.now, NULL, &err), -EINVAL);
	assert_non_null(err.text);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", err.text, part);
	assert_int_equal(tdo_sp_update(c.e, p, c.now, NULL, NULL), -EINVAL);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
	assert_int_equal(c.ncover, 0);
}

static void
bad_policies_are_refused(void **state)
{
	struct tdo_sp_param p = general();

	(void)state;
	p.dir = TDO_DIR_ANY;
	refused(&p, "direction");
	p = general();
	p.type = TDO_POLICY_BYPASS;
	refused(&p, "policy type");
	p = general();
	p.nreq = 0;
	refused(&p, "requests");
	p.type = TDO_POLICY_NONE;
	p.nreq = 1;
	refused(&p, "requests");
	p = general();
	p.nreq = TDO_REQ_MAX + 1;
	refused(&p, "at most 8");
}

static void
bad_selectors_are_refused(void **state)
{
	struct tdo_sp_param p = general();

	(void)state;
	p.sel.src = ctl_addr("2001:db8::1");
	refused(&p, "one family");
	p = general();
	p.sel.src = p.sel.dst = (struct tdo_addr){0};
	refused(&p, "one family");
	p = general();
	p.sel.dst_plen = 33;
	refused(&p, "prefix length 33; at most 32");
	p = general();
	p.sel.sport = (struct tdo_range){5, 4};
	refused(&p, "port range");
}

static void
bad_requests_are_refused(void **state)
{
	struct tdo_sp_param p = general();

	(void)state;
	p.req[0].proto = 6;
	refused(&p, "protocol 6");
	p = general();
	p.req[0].mode = TDO_MODE_ANY;
	refused(&p, "transport or tunnel");
	p = general();
	p.req[0].level = TDO_LEVEL_UNIQUE + 1;
	refused(&p, "level 4");
	p = general();
	p.req[0].mode = TDO_MODE_TUNNEL;
	refused(&p, "two endpoints");
	p.req[0].src = ctl_addr("192.0.2.1");
	refused(&p, "both of its addresses");
	p.req[0].dst = ctl_addr("2001:db8::1");
	refused(&p, "both of its addresses");
}

/* ---- order ---- */

static void
first_by_priority_then_by_entry(void **state)
{
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_NONE);
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	uint32_t first, second, third;

	(void)state;
	first = add(&p);
	second = add(&q);
	assert_int_equal(hit(&f), first);
	q = web(TDO_POLICY_NONE);
	q.sel.src_plen = 16;
	q.prio = TDO_PRIO_DEFAULT - 1;
	q.sel.src = ctl_addr("10.1.0.0");
	third = add(&q);
	assert_int_equal(hit(&f), third);
	assert_int_equal(tdo_sp_delete_id(c.e, third, NULL), 0);
	assert_int_equal(hit(&f), first);
	assert_int_equal(tdo_sp_delete_id(c.e, first, NULL), 0);
	assert_int_equal(hit(&f), second);
	f.dport = 81;
	assert_int_equal(hit(&f), 0);
	assert_int_equal(tdo_sp_delete_id(c.e, third, NULL), -ENOENT);
}

static void
same_selectors_exist_once(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.1.2.3", 8, "0.0.0.0", 0);
	struct tdo_sp_info i;

	(void)state;
	add(&p);
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), -EEXIST);
	/* Host bits do not make a difference; direction, protocol and ports do. */
	p.sel.src = ctl_addr("10.9.9.9");
	p.prio = 1;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), -EEXIST);
	p.dir = TDO_DIR_IN;
	add(&p);
	p.sel.proto = 6;
	add(&p);
	p.sel.sport = (struct tdo_range){1, 5};
	add(&p);
	p.sel.sport = (struct tdo_range){1, 6};
	add(&p);
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_OUT, &p.sel, NULL), -ENOENT);
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_IN, &p.sel, &i), 0);
	assert_int_equal(i.param.sel.sport.hi, 6);
	assert_int_equal(i.param.sel.src.b[1], 0);
	assert_int_equal(tdo_engine_counts(c.e).sps, 4);
}

/* D34; only an update of the priority moves the entry. */
static void
d34_update_keeps_the_place(void **state)
{
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_NONE);
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	struct tdo_sp_info i;
	uint32_t first = add(&p), second = add(&q);

	(void)state;
	p.type = TDO_POLICY_DISCARD;
	p.nreq = 0;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.id, first);
	assert_int_equal(hit(&f), first);
	assert_int_equal(tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp->param.type, TDO_POLICY_DISCARD);
	p.prio++;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.id, first);
	assert_int_equal(hit(&f), second);
	assert_int_equal(tdo_engine_counts(c.e).sps, 2);
	/* Absent: added. */
	p.sel.proto = 17;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.id, 3);
	assert_int_equal(tdo_sp_get(c.e, 3, &i), 0);
	assert_int_equal(tdo_sp_get(c.e, 4, &i), -ENOENT);
}

/* ---- selectors ---- */

static void
icmp_type_zero_can_be_selected(void **state)
{
	struct tdo_sp_param p = general();
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 1, 0, 0);

	(void)state;
	p.sel.proto = 1;
	p.sel.sport = (struct tdo_range){0, 0};
	add(&p);
	assert_int_equal(hit(&f), 1);
	f.sport = 8;
	assert_int_equal(hit(&f), 0);
}

static void
port_ranges_are_in_host_order(void **state)
{
	struct tdo_sp_param p = general();
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 17, 255, 256);

	(void)state;
	p.sel.dport = (struct tdo_range){255, 257};
	add(&p);
	assert_int_equal(hit(&f), 1);
	f.dport = 258;
	assert_int_equal(hit(&f), 0);
	f.has_ports = false;
	assert_int_equal(hit(&f), 0);
}

static void
families_are_apart(void **state)
{
	struct tdo_sp_param p = general();
	struct tdo_flow f = ctl_flow("2001:db8::1", "2001:db8::2", 17, 1, 1);

	(void)state;
	add(&p);
	assert_int_equal(hit(&f), 0);
	p = ctl_sp(TDO_DIR_OUT, "::", 0, "2001:db8::2", 128);
	add(&p);
	assert_int_equal(hit(&f), 2);
}

/* ---- opaque flows ---- */

static struct tdo_flow
fragment(uint8_t proto)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", proto, 0, 0);

	f.has_ports = false;
	f.opaque = true;
	return f;
}

static void
opaque(const struct tdo_flow *f, uint32_t id, bool uncertain)
{
	struct tdo_spd_hit a = tdo_spd_match(c.e, TDO_DIR_OUT, f);
	struct tdo_spd_hit b = tdo_spd_match_naive(c.e, TDO_DIR_OUT, f);

	assert_ptr_equal(a.sp, b.sp);
	assert_int_equal(a.uncertain, b.uncertain);
	assert_int_equal(a.protects, b.protects);
	assert_int_equal(a.sp ? a.sp->id : 0, id);
	assert_int_equal(a.uncertain, uncertain);
}

static void
fragments_with_one_candidate_are_certain(void **state)
{
	struct tdo_flow tcp = fragment(6), udp = fragment(17);
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_NONE);

	(void)state;
	opaque(&tcp, 0, false);
	add(&p);
	add(&q);
	opaque(&tcp, 1, false);
	assert_int_equal(tdo_sp_delete_id(c.e, 1, NULL), 0);
	opaque(&udp, 0, false);
}

static void
fragments_with_different_candidates_are_uncertain(void **state)
{
	struct tdo_flow tcp = fragment(6), udp = fragment(17);
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_IPSEC);

	(void)state;
	add(&q);
	opaque(&tcp, 1, true); /* or no policy */
	add(&p);
	opaque(&tcp, 1, true); /* or the general one */
	opaque(&udp, 2, false);
}

static void
fragments_that_pass_either_way_are_certain(void **state)
{
	struct tdo_flow tcp = fragment(6);
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_NONE);

	(void)state;
	add(&q);
	opaque(&tcp, 1, false); /* or no policy: clear, too */
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_DEF_POLICY, TDO_AF_INET, 0), 0);
	opaque(&tcp, 1, true);
	p.type = TDO_POLICY_NONE;
	p.nreq = 0;
	add(&p);
	opaque(&tcp, 1, false); /* or the general one: clear, too */
	p.type = TDO_POLICY_DISCARD;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), 0);
	opaque(&tcp, 1, true);
}

/* The first header of a later IPv6 fragment says nothing when it is an extension header. */
static void
fragments_may_hide_the_protocol(void **state)
{
	struct tdo_flow f = ctl_flow("2001:db8::1", "2001:db8::2", 60, 0, 0);
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "::", 0, "::", 0);

	(void)state;
	f.has_ports = false;
	f.opaque = true;
	p.sel.proto = 60;
	add(&p);
	opaque(&f, 1, true);
	p.sel.proto = 6;
	p.prio--;
	add(&p);
	opaque(&f, 2, true);
	f.proto = 17;
	opaque(&f, 0, false);
	f.proto = 6;
	opaque(&f, 2, false);
}

/* ---- request ids (D11) ---- */

static uint32_t
add_unique(uint16_t port, uint32_t reqid)
{
	struct tdo_sp_param p = general();
	struct tdo_sp_info i;

	p.sel.dport = (struct tdo_range){port, port};
	p.req[0].level = TDO_LEVEL_UNIQUE;
	p.req[0].reqid = reqid;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, &i, NULL), 0);
	return i.param.req[0].reqid;
}

static void
delete_port(uint16_t port)
{
	struct tdo_sel s = general().sel;

	s.dport = (struct tdo_range){port, port};
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_OUT, &s, NULL), 0);
}

static void
d11_reqids_are_picked(void **state)
{
	struct tdo_sp_param p = general();

	(void)state;
	assert_int_equal(add_unique(1, 0), 0x4000);
	assert_int_equal(add_unique(2, 0x3fff), 0x3fff);
	assert_int_equal(add_unique(3, 0x4000), 0x4001);
	assert_int_equal(add_unique(4, 0xffff), 0x4002);
	/* Above them the user's numbers are kept. */
	assert_int_equal(add_unique(5, 0x10000), 0x10000);
	assert_int_equal(add_unique(6, 0x77777777), 0x77777777);
	assert_int_equal(add_unique(7, 0x10000), 0x10000);
	delete_port(1);
	assert_int_equal(add_unique(1, 0), 0x4003);
	/* Other levels keep what they have. */
	p.req[0].reqid = 0x5000;
	add(&p);
	assert_int_equal(
	    tdo_spd_match(c.e, TDO_DIR_OUT,
		&(struct tdo_flow){.src = ctl_addr("1.1.1.1"), .dst = ctl_addr("1.1.1.1")})
		.sp->param.req[0]
		.reqid,
	    0x5000);
}

static void
reqids_of_one_policy_differ(void **state)
{
	struct tdo_sp_param p = general();
	struct tdo_sp_info i;

	(void)state;
	p.nreq = 3;
	for (unsigned k = 0; k < 3; k++) {
		p.req[k] = p.req[0];
		p.req[k].level = TDO_LEVEL_UNIQUE;
	}
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.param.req[0].reqid, 0x4000);
	assert_int_equal(i.param.req[1].reqid, 0x4001);
	assert_int_equal(i.param.req[2].reqid, 0x4002);
	/* An update with the same requests keeps the numbers and so the SAs. */
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.param.req[1].reqid, 0x4001);
	p.req[1].mode = TDO_MODE_TUNNEL;
	p.req[1].src = p.req[1].dst = ctl_addr("192.0.2.1");
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, &i, NULL), 0);
	assert_int_equal(i.param.req[0].reqid, 0x4000);
	assert_int_equal(i.param.req[1].reqid, 0x4003);
}

/* The 16-bit numbers are used up and freed; none is used twice, not even one of an SA. */
static void
d11_reqids_are_not_reused_while_in_use(void **state)
{
	struct tdo_sa_param sa = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);

	(void)state;
	sa.reqid = 0x4001;
	assert_int_equal(tdo_sa_add(c.e, &sa, c.now, NULL), 0);
	for (uint32_t i = 0; i < 0xc000 - 1; i++) {
		uint32_t id = add_unique((uint16_t)(i + 1), 0);

		assert_int_equal(id, i == 0 ? 0x4000 : 0x4001 + i);
		tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	}
	assert_int_equal(add_unique(0xc000, 0), 0x10000);
	delete_port(100);
	assert_int_equal(add_unique(100, 0), 0x4064);
	assert_int_equal(tdo_sa_delete(c.e, &sa.key), 0);
	assert_int_equal(add_unique(0xc001, 0), 0x4001);
	assert_int_equal(add_unique(0xc002, 0), 0x10001);
}

/* ---- tunnels of inbound policies ---- */

static void
tunnels_bind_their_sas(void **state)
{
	struct tdo_sa_id id = {.proto = 50,
	    .mode = TDO_MODE_TUNNEL,
	    .reqid = 5,
	    .src = ctl_addr("192.0.2.1"),
	    .dst = ctl_addr("192.0.2.2")};
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "20.0.0.0", 8);

	(void)state;
	p.req[0].mode = TDO_MODE_TUNNEL;
	p.req[0].src = id.src;
	p.req[0].dst = id.dst;
	add(&p);
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
	p.dir = TDO_DIR_IN;
	p.req[0].level = TDO_LEVEL_UNIQUE;
	p.req[0].reqid = 6;
	add(&p);
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
	id.reqid = 6;
	assert_true(tdo_spd_binds_tunnel(c.e, &id));
	id.proto = 51;
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
	id.proto = 50;
	id.src = id.dst;
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
	id.src = ctl_addr("192.0.2.1");
	p.req[0].level = TDO_LEVEL_USE;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), 0);
	id.reqid = 7;
	assert_true(tdo_spd_binds_tunnel(c.e, &id));
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_IN, &p.sel, NULL), 0);
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
	p.req[0] = (struct tdo_req){.proto = 50, .mode = TDO_MODE_TRANSPORT};
	add(&p);
	assert_false(tdo_spd_binds_tunnel(c.e, &id));
}

/* ---- attachment ---- */

static void
cover_is_wide_before_and_narrow_after(void **state)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	struct tdo_sp_param p = general();

	(void)state;
	c.probe = &f;
	add(&p);
	assert_string_equal(c.cover, "w");
	assert_false(c.probe_hit);
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), 0);
	assert_string_equal(c.cover, "wwn");
	assert_true(c.probe_hit);
	assert_int_equal(tdo_sp_delete(c.e, TDO_DIR_OUT, &p.sel, NULL), 0);
	assert_string_equal(c.cover, "wwnn");
	assert_false(c.probe_hit);
}

static void
without_cover_there_is_no_policy(void **state)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	struct tdo_sp_param p = general();
	uint32_t generation = atomic_load(&c.e->generation);

	(void)state;
	c.cover_result = -ENOBUFS;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), -ENOBUFS);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
	assert_int_equal(hit(&f), 0);
	assert_int_equal(atomic_load(&c.e->generation), generation);
	c.cover_result = 0;
	add(&p);
	c.cover_result = -ENOBUFS;
	p.type = TDO_POLICY_NONE;
	p.nreq = 0;
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), -ENOBUFS);
	assert_int_equal(tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp->param.type, TDO_POLICY_IPSEC);
}

/* ---- dumps and sizes ---- */

static void
dumps_are_in_search_order(void **state)
{
	struct tdo_sp_param p = general();
	struct tdo_sp_snap *s;
	struct tdo_sp_info i;

	(void)state;
	for (unsigned k = 0; k < 20; k++) {
		p.dir = k % 2 ? TDO_DIR_OUT : TDO_DIR_IN;
		p.prio = 100 + k * 7 % 5;
		p.sel.dport = (struct tdo_range){(uint16_t)k, (uint16_t)k};
		add(&p);
	}
	assert_int_equal(tdo_sp_snap_new(c.e, &s), 0);
	assert_int_equal(tdo_sp_flush(c.e), 20);
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	for (unsigned k = 0; k < 20; k++) {
		unsigned same = k % 10 % 2; /* two of each priority, in order of entry */

		assert_int_equal(tdo_sp_snap_left(s), 20 - k);
		assert_true(tdo_sp_snap_next(s, &i));
		assert_int_equal(i.param.dir, k < 10 ? TDO_DIR_IN : TDO_DIR_OUT);
		assert_int_equal(i.param.prio, 100 + k % 10 / 2);
		assert_int_equal(same == 0 ? i.id < 11 : i.id > 10, true);
	}
	assert_false(tdo_sp_snap_next(s, &i));
	tdo_sp_snap_free(s);
	tdo_sp_snap_free(NULL);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
}

/* Priorities in falling order, every policy better than all before: the worst case. */
static void
many_policies_load_and_go(void **state)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	struct tdo_sp_param p = general();
	unsigned n = 20000;

	(void)state;
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	for (unsigned i = 0; i < n; i++) {
		p.sel.src_plen = p.sel.dst_plen = 32;
		p.sel.src = ctl_addr("10.0.0.0");
		p.sel.src.b[2] = (uint8_t)(i >> 8);
		p.sel.src.b[3] = (uint8_t)i;
		p.prio = 0x80000000 - i;
		assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	}
	assert_int_equal(tdo_engine_counts(c.e).sps, n);
	f.src = ctl_addr("10.0.1.2");
	assert_int_equal(hit(&f), 0);
	f.dst = ctl_addr("0.0.0.0");
	assert_int_equal(hit(&f), 259);
	assert_int_equal(tdo_sp_flush(c.e), n);
	tdo_engine_tick(c.e, c.now);
	tdo_engine_tick(c.e, c.now);
	assert_int_equal(hit(&f), 0);
}

/* ---- levels ---- */

static void
default_level_is_a_knob(void **state)
{
	struct tdo_req r = {.proto = 50, .mode = TDO_MODE_TUNNEL};

	(void)state;
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET), TDO_LEVEL_USE);
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_ESP_NET_DEFLEV, TDO_AF_INET, 2), 0);
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET), TDO_LEVEL_REQUIRE);
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET6), TDO_LEVEL_USE);
	r.mode = TDO_MODE_TRANSPORT;
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET), TDO_LEVEL_USE);
	r.proto = 51;
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_AH_TRANS_DEFLEV, TDO_AF_INET6, 2), 0);
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET6), TDO_LEVEL_REQUIRE);
	r.proto = 108;
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET6), TDO_LEVEL_USE);
	r.level = TDO_LEVEL_UNIQUE;
	assert_int_equal(tdo_req_level(c.e, &r, TDO_AF_INET6), TDO_LEVEL_UNIQUE);
}

/* ---- out of memory ---- */

static int
change(struct tdo_sp_param *p, bool update)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.1.1.1", 6, 4000, 80);
	const struct tdo_sp *before = tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp;
	unsigned n = tdo_engine_counts(c.e).sps;
	int r = update ? tdo_sp_update(c.e, p, c.now, NULL, NULL)
		       : tdo_sp_add(c.e, p, c.now, NULL, NULL);

	if (r == 0)
		return r;
	assert_int_equal(r, -ENOMEM);
	assert_ptr_equal(tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp, before);
	assert_int_equal(tdo_engine_counts(c.e).sps, n);
	return r;
}

static void
scenario(void)
{
	struct tdo_sp_param p = general(), q = web(TDO_POLICY_NONE);
	struct tdo_sp_snap *s = NULL;

	(void)change(&p, false);
	(void)change(&q, false);
	p.prio = 5;
	(void)change(&p, true);
	for (unsigned i = 0; i < 40; i++) {
		q.sel.dport = (struct tdo_range){(uint16_t)i, (uint16_t)(i + i % 3)};
		q.prio = 5000 - i;
		(void)change(&q, i % 2);
	}
	if (tdo_sp_snap_new(c.e, &s) == 0)
		assert_int_equal(tdo_sp_snap_left(s), tdo_engine_counts(c.e).sps);
	tdo_sp_snap_free(s);
	for (uint32_t id = 1; id < 40; id += 2)
		(void)tdo_sp_delete_id(c.e, id, NULL);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	tdo_worker_quiesce(tdo_engine_worker(c.e, 0));
	tdo_engine_tick(c.e, c.now);
	(void)change(&p, true);
}

static void
failing_allocations_change_nothing(void **state)
{
	(void)state;
	assert_true(ctl_fail_each(&c, scenario) > 100);
}

/* The user's own numbers of 32 bits are in the way of those that are picked. */
static void
d11_picked_reqids_avoid_manual_ones(void **state)
{
	struct tdo_sa_param sa = ctl_sa("192.0.2.1", "192.0.2.2", 1000, 1);
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "20.0.0.0", 8);
	struct tdo_sp_info info;

	(void)state;
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	sa.reqid = 0x10001;
	assert_int_equal(tdo_sa_add(c.e, &sa, c.now, NULL), 0);
	assert_int_equal(add_unique(1, 0x10000), 0x10000);
	assert_int_equal(add_unique(2, 0x10003), 0x10003);
	for (uint32_t i = 0; i < 0xc000; i++)
		assert_int_equal(add_unique((uint16_t)(i + 3), 0), 0x4000 + i);
	assert_int_equal(add_unique(0xc003, 0), 0x10002);
	assert_int_equal(add_unique(0xc004, 0), 0x10004);
	/* Also one that a later request of the same policy has. */
	p.sel.dport = (struct tdo_range){0xc005, 0xc005};
	p.nreq = 2;
	p.req[1] = p.req[0];
	p.req[0].level = p.req[1].level = TDO_LEVEL_UNIQUE;
	p.req[1].reqid = 0x10005;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, &info, NULL), 0);
	assert_int_equal(info.param.req[0].reqid, 0x10006);
	assert_int_equal(info.param.req[1].reqid, 0x10005);
}

/* A walk over MANY would take far more than SLOWER_MAX times as long as one over FEW. */
enum { FEW = 500, MANY = 50000, LOOKUPS = 2000, SLOWER_MAX = 50 };

static struct tdo_addr
numbered(uint32_t i)
{
	struct tdo_addr a = ctl_addr("20.0.0.0");

	a.b[1] = (uint8_t)(i >> 16);
	a.b[2] = (uint8_t)(i >> 8);
	a.b[3] = (uint8_t)i;
	return a;
}

static void
add_numbered(uint32_t from, uint32_t to)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "10.0.0.0", 8, "20.0.0.0", 32);

	for (uint32_t i = from; i < to; i++) {
		p.sel.dst = numbered(i);
		add(&p);
	}
}

/* Processor time of LOOKUPS lookups among n policies. */
static clock_t
time_among(uint32_t n)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.0.0.0", 6, 1, 1);
	clock_t start = clock();

	for (uint32_t k = 0; k < LOOKUPS; k++) {
		f.dst = numbered(k * 7919 % n);
		assert_true(
		    tdo_addr_equal(&tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp->param.sel.dst, &f.dst));
	}
	return clock() - start;
}

static void
d35_lookups_in_many_policies(void **state)
{
	struct tdo_flow f = ctl_flow("10.1.1.1", "20.0.0.0", 6, 1, 1);
	clock_t few;

	(void)state;
	tdo_worker_idle(tdo_engine_worker(c.e, 0));
	add_numbered(0, FEW);
	few = time_among(FEW);
	add_numbered(FEW, MANY);
	assert_true(time_among(MANY) < SLOWER_MAX * few);
	f.dst = numbered(MANY);
	assert_null(tdo_spd_match(c.e, TDO_DIR_OUT, &f).sp);
	assert_int_equal(tdo_sp_flush(c.e), MANY);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(bad_policies_are_refused),
	    T(bad_selectors_are_refused),
	    T(bad_requests_are_refused),
	    T(first_by_priority_then_by_entry),
	    T(same_selectors_exist_once),
	    T(d34_update_keeps_the_place),
	    T(icmp_type_zero_can_be_selected),
	    T(port_ranges_are_in_host_order),
	    T(families_are_apart),
	    T(fragments_with_one_candidate_are_certain),
	    T(fragments_with_different_candidates_are_uncertain),
	    T(fragments_that_pass_either_way_are_certain),
	    T(fragments_may_hide_the_protocol),
	    T(d11_reqids_are_picked),
	    T(reqids_of_one_policy_differ),
	    T(d11_reqids_are_not_reused_while_in_use),
	    T(d11_picked_reqids_avoid_manual_ones),
	    T(d35_lookups_in_many_policies),
	    T(tunnels_bind_their_sas),
	    T(cover_is_wide_before_and_narrow_after),
	    T(without_cover_there_is_no_policy),
	    T(dumps_are_in_search_order),
	    T(many_policies_load_and_go),
	    T(default_level_is_a_knob),
	    T(failing_allocations_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
