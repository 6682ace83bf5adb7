/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UDP encapsulation in PF_KEY messages: SAs that are made, updated, shown; what is refused; the
 * local ports that the attachment hears of.
 */
#include "daemon/natt_ports.h"
#include "pfkey_world.h"

static const struct tdo_addr OA = {.af = TDO_AF_INET, .b = {172, 16, 0, 9}};
static const struct tdo_addr OTHER = {.af = TDO_AF_INET, .b = {10, 0, 0, 3}};

static struct tdo_sa_param
sample_udp(uint32_t spi, uint16_t sport, uint16_t dport)
{
	struct tdo_sa_param p = sample(spi);

	p.natt = (struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = sport, .dport = dport};
	return p;
}

static struct tdo_natt
natt_of(struct world *w, uint32_t spi)
{
	return look(w, spi).param.natt;
}

static void
expect_source(struct world *w, uint32_t spi, const struct tdo_addr *oa)
{
	struct tdo_natt n = natt_of(w, spi);

	assert_memory_equal(&n.oa_src, oa, sizeof(*oa));
}

static void
expect_natt(struct world *w, uint32_t spi, uint8_t type, uint16_t sport, uint16_t dport)
{
	struct tdo_natt n = natt_of(w, spi);

	assert_int_equal(n.type, type);
	assert_int_equal(n.sport, sport);
	assert_int_equal(n.dport, dport);
}

/* An update of the lifetimes, with what stands in n. */
static void
update(struct world *w, uint32_t spi, const struct tdo_natt *n, int err)
{
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = spi, .replay = 4});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_natt(&wr, n);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, err);
}

/* ---- making ------------------------------------------------------------------------------- */

static void
an_sa_in_udp_is_shown_as_it_was_given(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);
	struct tdo_natt n;

	p.natt.oa_src = OA;
	p.natt.oa_dst = OTHER;
	p.natt.frag = 1200;
	add(w, &p, 0);
	/* What others hear has no keys, but all of this. */
	hear(w->b, TDO_SADB_ADD, 0);
	assert_false(tdo_sadb_has(&got, TDO_SADB_EXT_KEY_ENCRYPT));
	assert_true(tdo_sadb_has(&got, TDO_SADB_X_EXT_NAT_T_OAR));
	n = natt_of(w, 0x1001);
	assert_memory_equal(&n.oa_src, &OA, sizeof(OA));
	assert_memory_equal(&n.oa_dst, &OTHER, sizeof(OTHER));
	assert_int_equal(n.frag, 1200);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 30000, 4500);
	say_base(w->a, TDO_SADB_DUMP, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_DUMP, 0);
	assert_true(tdo_sadb_has(&got, TDO_SADB_X_EXT_NAT_T_TYPE));
	assert_true(tdo_sadb_has(&got, TDO_SADB_X_EXT_NAT_T_FRAG));
}

/* An SA that is not in UDP says nothing of it: many readers stop at what they do not know. */
static void
other_sas_have_none_of_it(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	add(w, &p, 0);
	assert_int_equal(natt_of(w, 0x1001).type, TDO_NATT_NONE);
	for (unsigned ext = TDO_SADB_X_EXT_NAT_T_TYPE; ext <= TDO_SADB_X_EXT_NAT_T_FRAG; ext++)
		assert_false(tdo_sadb_has(&got, ext));
}

static void
ports_that_nobody_names_are_those_of_the_form(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 0, 0);

	add(w, &p, 0);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 4500, 4500);
	p = sample_udp(0x1002, 1024, 0);
	p.natt.type = TDO_NATT_NON_IKE;
	add(w, &p, 0);
	expect_natt(w, 0x1002, TDO_NATT_NON_IKE, 1024, 500);
}

static void
d32_sas_in_udp_over_ipv6(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);
	struct tdo_sa_info info;

	p.key.src = (struct tdo_addr){.af = TDO_AF_INET6, .b = {0x20, 1, [15] = 1}};
	p.key.dst = (struct tdo_addr){.af = TDO_AF_INET6, .b = {0x20, 1, [15] = 2}};
	p.natt.oa_dst = (struct tdo_addr){.af = TDO_AF_INET6, .b = {0xfd, [15] = 2}};
	add(w, &p, 0);
	assert_int_equal(tdo_sa_get(w->e, &p.key, &info), 0);
	assert_memory_equal(&info.param.natt.oa_dst, &p.natt.oa_dst, sizeof(p.natt.oa_dst));
	assert_int_equal(info.param.natt.dport, 30000);
}

/* 0.0.0.0 is what who knows no original address writes where he has to write one. */
static void
an_original_address_may_be_unknown(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 4500);

	p.natt.oa_src = (struct tdo_addr){.af = TDO_AF_INET};
	p.natt.oa_dst = OA;
	add(w, &p, 0);
	assert_int_equal(natt_of(w, 0x1001).oa_src.af, TDO_AF_NONE);
	assert_int_equal(natt_of(w, 0x1001).oa_dst.af, TDO_AF_INET);
}

static void
refused(struct world *w, struct tdo_sa_param p)
{
	add(w, &p, EINVAL);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
}

static void
what_is_refused(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 4500);

	/* AH and IPComp are not what goes in UDP. */
	p.key.satype = TDO_SATYPE_AH;
	p.ealg = 0;
	p.ekey_bits = 0;
	refused(w, p);
	begin(TDO_SADB_GETSPI, TDO_SATYPE_AH);
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_natt(&wr, &p.natt);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GETSPI, EINVAL);
	/* An original address of the other family. */
	p = sample_udp(0x1001, 4500, 4500);
	p.natt.oa_dst = (struct tdo_addr){.af = TDO_AF_INET6, .b = {0xfd, 1}};
	refused(w, p);
	/* Who names ports or an original address, but no form, would get ESP without UDP. */
	p = sample_udp(0x1001, 4500, 4500);
	p.natt.type = TDO_NATT_NONE;
	refused(w, p);
	p = sample(0x1001);
	p.natt.oa_src = OA;
	refused(w, p);
	p = sample(0x1001);
	p.natt.frag = 1200;
	refused(w, p);
	/* A form that there is not. */
	p = sample(0x1001);
	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	tdo_sadb_put_natt_type(&wr, 3);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ADD, EINVAL);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
}

/* Who says that there is no UDP may say the rest, too. */
static void
no_form_at_all_is_said(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample(0x1001);

	begin(TDO_SADB_ADD, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &p);
	tdo_sadb_put_natt_type(&wr, TDO_SADB_NATT_NONE);
	tdo_sadb_put_natt_port(&wr, TDO_SADB_X_EXT_NAT_T_SPORT, 4500);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_ADD, 0);
	expect_natt(w, 0x1001, TDO_NATT_NONE, 0, 0);
}

/* ---- updates ------------------------------------------------------------------------------ */

static void
an_update_changes_what_it_says(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);

	p.natt.oa_src = OA;
	p.natt.frag = 1200;
	add(w, &p, 0);
	/* Nothing of UDP. */
	update(w, 0x1001, &(struct tdo_natt){0}, 0);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 30000, 4500);
	assert_int_equal(natt_of(w, 0x1001).frag, 1200);
	expect_source(w, 0x1001, &OA);
	/* The ports that a NAT chose anew: with the form, and without. */
	update(w, 0x1001, &(struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = 30001}, 0);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 30001, 4500);
	update(w, 0x1001, &(struct tdo_natt){.dport = 4501}, 0);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 30001, 4501);
	update(w, 0x1001, &(struct tdo_natt){.frag = 1300, .oa_src = OTHER}, 0);
	assert_int_equal(natt_of(w, 0x1001).frag, 1300);
	expect_source(w, 0x1001, &OTHER);
	/* The NAT is gone. */
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&wr, &(struct tdo_sadb_sa){.spi = 0x1001});
	tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
	tdo_sadb_put_natt_type(&wr, TDO_SADB_NATT_NONE);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	expect_natt(w, 0x1001, TDO_NATT_NONE, 0, 0);
	/* Ports alone do not bring it back. */
	update(w, 0x1001, &(struct tdo_natt){.sport = 4500, .dport = 4500}, EINVAL);
	update(w, 0x1001, &(struct tdo_natt){.type = TDO_NATT_ESPINUDP}, 0);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 4500, 4500);
}

/* MOBIKE: address and port in one message. */
static void
d44_address_and_port_move_together(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000), u = {0};
	struct tdo_sa_info info;

	add(w, &p, 0);
	u.key = p.key;
	u.replay = p.replay;
	u.new_dst = OTHER;
	u.natt.dport = 31000;
	begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_param(&wr, &u);
	say(w->a, NOW);
	hear(w->a, TDO_SADB_UPDATE, 0);
	u.key.dst = OTHER;
	assert_int_equal(tdo_sa_get(w->e, &u.key, &info), 0);
	assert_int_equal(info.param.natt.type, TDO_NATT_ESPINUDP);
	assert_int_equal(info.param.natt.sport, 4500);
	assert_int_equal(info.param.natt.dport, 31000);
}

static void
an_update_completes_what_getspi_began(void **state)
{
	struct world *w = *state;

	for (int with = 0; with < 2; with++) {
		uint32_t spi = 0x2000 + (uint32_t)with;
		struct tdo_sa_param p = sample(spi);

		begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP);
		tdo_sadb_put_sa_addrs(&wr, &A4, &B4);
		tdo_sadb_put_spirange(&wr, &(struct tdo_sadb_spirange){spi, spi});
		if (with)
			tdo_sadb_put_natt(
			    &wr, &(struct tdo_natt){
				     .type = TDO_NATT_ESPINUDP, .sport = 30000, .dport = 4500});
		say(w->a, NOW);
		hear(w->a, TDO_SADB_GETSPI, 0);
		/* setkey -D shows what is known already. */
		expect_natt(w, spi, with ? TDO_NATT_ESPINUDP : TDO_NATT_NONE, with ? 30000 : 0,
		    with ? 4500 : 0);
		if (!with)
			p.natt = (struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = 30000};
		begin(TDO_SADB_UPDATE, TDO_SATYPE_ESP);
		tdo_sadb_put_sa_param(&wr, &p);
		say(w->a, NOW);
		hear(w->a, TDO_SADB_UPDATE, 0);
		expect_natt(w, spi, TDO_NATT_ESPINUDP, 30000, 4500);
	}
}

/* The key manager hears by which ports the policy wants the SA. */
static void
an_acquire_has_the_ports_of_the_request(void **state)
{
	struct world *w = *state;
	struct tdo_sp_param sp = sample_sp(0);
	uint16_t n;

	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] = (struct tdo_req){.proto = 50,
	    .mode = TDO_MODE_TRANSPORT,
	    .level = TDO_LEVEL_REQUIRE,
	    .src = A4,
	    .dst = B4,
	    .sport = 4500,
	    .dport = 30000};
	say_base(w->b, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	hear(w->b, TDO_SADB_REGISTER, 0);
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDADD, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tdo_engine_tick(w->e, NOW);
	tdo_pfkey_events(w->k, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	assert_true(tdo_sadb_get_natt_port(&got, TDO_SADB_X_EXT_NAT_T_SPORT, &n));
	assert_int_equal(n, 4500);
	assert_true(tdo_sadb_get_natt_port(&got, TDO_SADB_X_EXT_NAT_T_DPORT, &n));
	assert_int_equal(n, 30000);
	/* Another port is another question. */
	sp.req[0].dport = 30001;
	spd(w, TDO_SADB_X_SPDUPDATE, &sp, 0);
	hear(w->b, TDO_SADB_X_SPDUPDATE, 0);
	assert_int_equal(send_packet(w), TDO_VERDICT_HOLD);
	tdo_engine_tick(w->e, NOW);
	tdo_pfkey_events(w->k, NOW);
	hear(w->b, TDO_SADB_ACQUIRE, 0);
	assert_true(tdo_sadb_get_natt_port(&got, TDO_SADB_X_EXT_NAT_T_DPORT, &n));
	assert_int_equal(n, 30001);
}

/* ---- the ports of this host --------------------------------------------------------------- */

static struct tdo_natt_ports ports;
static unsigned asked;      /* for ports that begin */
static int refuse;          /* -errno for the next port that begins */
static unsigned told, gone; /* how often */

static int
port(void *ctx, uint16_t n, bool marker, bool on)
{
	(void)ctx;
	asked += on;
	if (on && refuse)
		return refuse;
	assert_true(tdo_natt_ports_set(&ports, n, marker, on)); /* each change is one */
	on ? told++ : gone++;
	return 0;
}

static unsigned kept;                      /* how many were sent */
static struct tdo_addr kept_src, kept_dst; /* the last one */
static uint16_t kept_sport, kept_dport;

static void
keepalive(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst, uint16_t sport,
    uint16_t dport)
{
	(void)ctx;
	kept++;
	kept_src = *src;
	kept_dst = *dst;
	kept_sport = sport;
	kept_dport = dport;
}

static void
set_local(struct world *w, const struct tdo_addr *a)
{
	assert_int_equal(tdo_engine_set_local(w->e, a, a != NULL), 0);
}

/* The engine of a world that listens. */
static int
setup_ports(void **state)
{
	const struct tdo_natt_ops natt = {.port = port, .keepalive = keepalive};

	memset(&ports, 0, sizeof(ports));
	told = gone = 0;
	refuse = 0;
	setup_natt(state, &natt);
	set_local(*state, &B4);
	return 0;
}

static void delete (struct world *w, uint32_t spi)
{
	say_key(w->a, TDO_SADB_DELETE, spi);
	hear(w->a, TDO_SADB_DELETE, 0);
	tdo_engine_tick(w->e, NOW);
}

static void
a_port_is_told_once_and_until_the_last_sa_is_gone(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);

	add(w, &p, 0);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
	p.key.spi = 0x1002;
	add(w, &p, 0);
	assert_int_equal(told, 1);
	/* Another port, and the older form, are others. */
	p = sample_udp(0x1003, 30000, 4501);
	add(w, &p, 0);
	p = sample_udp(0x1004, 30000, 4500);
	p.natt.type = TDO_NATT_NON_IKE;
	add(w, &p, 0);
	assert_int_equal(told, 3);
	assert_true(tdo_natt_ports_has(&ports, 4500, true));
	/* An update keeps the port, without a gap. */
	update(w, 0x1001, &(struct tdo_natt){.sport = 30001}, 0);
	tdo_engine_tick(w->e, NOW);
	assert_int_equal(told, 3);
	assert_int_equal(gone, 0);
	delete (w, 0x1001);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
	delete (w, 0x1002);
	assert_false(tdo_natt_ports_has(&ports, 4500, false));
	assert_true(tdo_natt_ports_has(&ports, 4500, true));
	/* One that changes its own port takes the other one first. */
	tdo_worker_resume(tdo_engine_worker(w->e, 0));
	update(w, 0x1003, &(struct tdo_natt){.dport = 4502}, 0);
	tdo_engine_tick(w->e, NOW);
	assert_true(tdo_natt_ports_has(&ports, 4502, false));
	assert_true(tdo_natt_ports_has(&ports, 4501, false)); /* the worker may not know it yet */
	tdo_worker_idle(tdo_engine_worker(w->e, 0));
	tdo_engine_tick(w->e, NOW);
	assert_false(tdo_natt_ports_has(&ports, 4501, false));
	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_FLUSH, 0);
	tdo_engine_tick(w->e, NOW);
	assert_int_equal(gone, told);
}

/* Ports of others are nobody's business: an application of this host may have the same one. */
static void
only_ports_of_this_host_are_told(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);

	p.key.src = B4;
	p.key.dst = A4;
	add(w, &p, 0);
	assert_int_equal(told, 0);
	p = sample(0x1002);
	add(w, &p, 0);
	assert_int_equal(told, 0);
}

static void
ports_follow_the_addresses_of_the_host(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);

	set_local(w, NULL);
	add(w, &p, 0);
	assert_int_equal(told, 0);
	set_local(w, &B4);
	assert_int_equal(told, 1);
	set_local(w, &B4);
	assert_int_equal(told, 1);
	set_local(w, &A4);
	assert_int_equal(gone, 1);
	/* What cannot be received now is tried again. */
	refuse = -ENOSPC;
	set_local(w, &B4);
	tdo_engine_tick(w->e, NOW);
	assert_false(tdo_natt_ports_has(&ports, 4500, false));
	assert_int_equal(w->lines, 1);
	refuse = 0;
	tdo_engine_tick(w->e, NOW);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
}

/* Each question may cost a new table: one for a port, not one for each of its SAs. */
static void
a_port_that_is_refused_is_not_asked_for_by_every_sa(void **state)
{
	struct world *w = *state;
	unsigned before;

	set_local(w, NULL);
	for (uint32_t i = 0; i < 100; i++) {
		struct tdo_sa_param p =
		    sample_udp(0x1001 + i, 30000, (uint16_t)(i < 50 ? 4500 : 4501));

		add(w, &p, 0);
	}
	refuse = -ENOSPC;
	before = asked;
	set_local(w, &B4);
	tdo_engine_tick(w->e, NOW);
	assert_int_equal(asked, before + 4);
	refuse = 0;
	tdo_engine_tick(w->e, NOW);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
	assert_true(tdo_natt_ports_has(&ports, 4501, false));
}

static void
an_sa_that_could_not_be_received_is_not_made(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);

	refuse = -ENOSPC;
	add(w, &p, ENOSPC);
	assert_int_equal(tdo_engine_counts(w->e).sas, 0);
	refuse = 0;
	add(w, &p, 0);
	/* Nor does it get a port where it could not be received: it stays as it is. */
	refuse = -ENOSPC;
	update(w, 0x1001, &(struct tdo_natt){.dport = 4501}, ENOSPC);
	expect_natt(w, 0x1001, TDO_NATT_ESPINUDP, 30000, 4500);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
	assert_false(tdo_natt_ports_has(&ports, 4501, false));
}

static void
no_memory_leaves_the_ports_alone(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);
	int r = -ENOMEM;

	for (long n = 0; r != 0; n++) {
		assert_true(n < 100);
		w->fail_after = n;
		r = tdo_sa_add(w->e, &p, NOW, NULL);
		w->fail_after = -1;
		assert_int_equal(r == 0, tdo_natt_ports_has(&ports, 4500, false));
	}
}

/* ---- keepalives --------------------------------------------------------------------------- */

/* How many are sent in the second that ends then. */
static unsigned
at(struct world *w, unsigned second)
{
	kept = 0;
	for (unsigned i = 0; i < 10; i++)
		tdo_engine_tick(w->e, NOW + second * TDO_SEC - (9 - i) * TDO_SEC / 10);
	return kept;
}

static void
a_peer_is_reminded_once_for_all_its_sas(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);

	set_local(w, &A4);
	for (p.key.spi = 0x1001; p.key.spi < 0x1005; p.key.spi++)
		add(w, &p, 0);
	for (unsigned s = 1; s < 20; s++)
		assert_int_equal(at(w, s), 0);
	assert_int_equal(at(w, 20) + at(w, 21), 1);
	assert_true(tdo_addr_equal(&kept_src, &A4) && tdo_addr_equal(&kept_dst, &B4));
	assert_int_equal(kept_sport, 4500);
	assert_int_equal(kept_dport, 30000);
	for (unsigned s = 22; s < 40; s++)
		assert_int_equal(at(w, s), 0);
	assert_int_equal(at(w, 40) + at(w, 41), 1);
	/* The neighbour behind the same NAT has a mapping of his own. */
	p.natt.dport = 30001;
	add(w, &p, 0);
	assert_int_equal(at(w, 60) + at(w, 61), 2);
	say_base(w->a, TDO_SADB_FLUSH, TDO_SATYPE_UNSPEC);
	hear(w->a, TDO_SADB_FLUSH, 0);
	for (unsigned s = 62; s < 110; s++)
		assert_int_equal(at(w, s), 0);
}

static void
whoever_sends_needs_none(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);
	struct tdo_sp_param sp = sample_sp(0);

	set_local(w, &A4);
	add(w, &p, 0);
	sp.sel.dst = B4;
	sp.sel.dst_plen = 32;
	sp.req[0] =
	    (struct tdo_req){.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE};
	spd(w, TDO_SADB_X_SPDADD, &sp, 0);
	for (unsigned s = 1; s < 100; s++) {
		if (s % 10 == 5)
			assert_int_equal(send_packet_at(w, NOW + s * TDO_SEC), TDO_VERDICT_SEND);
		assert_int_equal(at(w, s), 0);
	}
	/* An update is no packet, and no reason to begin anew. */
	update(w, 0x1001, &(struct tdo_natt){0}, 0);
	for (unsigned s = 100; s < 115; s++)
		assert_int_equal(at(w, s), 0);
	assert_int_equal(at(w, 115) + at(w, 116), 1);
}

/* What comes here is kept alive by who sends it; ESP without UDP needs nothing. */
static void
only_what_leaves_this_host_in_udp(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 30000, 4500);

	add(w, &p, 0); /* B4 is this host */
	p = sample(0x1002);
	add(w, &p, 0);
	begin(TDO_SADB_GETSPI, TDO_SATYPE_ESP); /* larval */
	tdo_sadb_put_sa_addrs(&wr, &B4, &A4);
	tdo_sadb_put_natt(
	    &wr, &(struct tdo_natt){.type = TDO_NATT_ESPINUDP, .sport = 4500, .dport = 4500});
	say(w->a, NOW);
	hear(w->a, TDO_SADB_GETSPI, 0);
	for (unsigned s = 1; s < 50; s++)
		assert_int_equal(at(w, s), 0);
	/* The host takes the address over. */
	set_local(w, &A4);
	assert_int_equal(at(w, 60) + at(w, 61), 1);
}

static void
keepalives_go_where_the_peer_is_now(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);

	set_local(w, &A4);
	add(w, &p, 0);
	p.key.spi = 0x1002;
	add(w, &p, 0);
	update(w, 0x1001, &(struct tdo_natt){.dport = 31000}, 0);
	update(w, 0x1002, &(struct tdo_natt){.dport = 31000}, 0);
	assert_int_equal(at(w, 20) + at(w, 21), 1);
	assert_int_equal(kept_dport, 31000);
}

static void
the_interval_can_be_set(void **state)
{
	struct world *w = *state;
	struct tdo_sa_param p = sample_udp(0x1001, 4500, 30000);
	unsigned n = 0;

	set_local(w, &A4);
	add(w, &p, 0);
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_NATT_KEEPALIVE, TDO_AF_INET, 0), 0);
	for (unsigned s = 1; s < 100; s++)
		assert_int_equal(at(w, s), 0);
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_NATT_KEEPALIVE, TDO_AF_INET, 5), 0);
	for (unsigned s = 100; s < 150; s++)
		n += at(w, s);
	assert_in_range(n, 9, 11);
	assert_int_equal(tdo_knob_set(w->e, TDO_KNOB_NATT_KEEPALIVE, TDO_AF_INET, -1), -EINVAL);
}

/* ---- what the parent keeps of them -------------------------------------------------------- */

static unsigned seen;

static void
count(void *ctx, uint16_t n, bool marker)
{
	(void)ctx;
	seen += n + (marker ? 100000u : 0);
}

static void
ports_of_a_predecessor_stay_until_all_is_said_again(void **state)
{
	(void)state;
	memset(&ports, 0, sizeof(ports));
	assert_true(tdo_natt_ports_set(&ports, 4500, false, true));
	assert_false(tdo_natt_ports_set(&ports, 4500, false, true));
	assert_true(tdo_natt_ports_set(&ports, 500, true, true));
	assert_true(tdo_natt_ports_set(&ports, 65535, false, true));
	tdo_natt_ports_age(&ports);
	/* Said again: nothing to do for the kernel. */
	assert_false(tdo_natt_ports_set(&ports, 4500, false, true));
	/* Taken out while it was aged. */
	assert_true(tdo_natt_ports_set(&ports, 65535, false, false));
	seen = 0;
	tdo_natt_ports_each(&ports, count, NULL);
	assert_int_equal(seen, 4500 + 100500);
	seen = 0;
	tdo_natt_ports_drop_aged(&ports, count, NULL);
	assert_int_equal(seen, 100500);
	assert_true(tdo_natt_ports_has(&ports, 4500, false));
	assert_false(tdo_natt_ports_has(&ports, 500, true));
	tdo_natt_ports_age(&ports);
	tdo_natt_ports_drop_aged(&ports, NULL, NULL);
	assert_false(tdo_natt_ports_has(&ports, 4500, false));
	assert_false(tdo_natt_ports_set(&ports, 4500, false, false));
}

#define T(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
#define P(x) cmocka_unit_test_setup_teardown(x, setup_ports, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_sa_in_udp_is_shown_as_it_was_given),
	    T(other_sas_have_none_of_it),
	    T(ports_that_nobody_names_are_those_of_the_form),
	    T(d32_sas_in_udp_over_ipv6),
	    T(an_original_address_may_be_unknown),
	    T(what_is_refused),
	    T(no_form_at_all_is_said),
	    T(an_update_changes_what_it_says),
	    T(d44_address_and_port_move_together),
	    T(an_update_completes_what_getspi_began),
	    T(an_acquire_has_the_ports_of_the_request),
	    P(a_port_is_told_once_and_until_the_last_sa_is_gone),
	    P(only_ports_of_this_host_are_told),
	    P(ports_follow_the_addresses_of_the_host),
	    P(a_port_that_is_refused_is_not_asked_for_by_every_sa),
	    P(an_sa_that_could_not_be_received_is_not_made),
	    P(no_memory_leaves_the_ports_alone),
	    P(a_peer_is_reminded_once_for_all_its_sas),
	    P(whoever_sends_needs_none),
	    P(only_what_leaves_this_host_in_udp),
	    P(keepalives_go_where_the_peer_is_now),
	    P(the_interval_can_be_set),
	    cmocka_unit_test(ports_of_a_predecessor_stay_until_all_is_said_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
