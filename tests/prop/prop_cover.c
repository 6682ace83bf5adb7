/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cover is sound: whatever a policy matches is covered, through any sequence of additions,
 * removals, coarsening and changes of the maker.  And it is no wider than it has to be: what
 * the exact model covers is matched by a selector whose range is taken as a wildcard.  Ports
 * are also types, codes and the halves of keys, which the kernel does not look up.
 */
#include "daemon/cover.h"
#include "lib/randsel.h"

enum { ROUNDS = 300, STEPS = 60, LIVE_MAX = 400, FLOWS = 40 };

static struct {
	struct tdo_sel sel;
	enum tdo_dir dir;
} live[LIVE_MAX];
static unsigned nlive;

static void
must(int result)
{
	if (result != 0) {
		printf("not ok - unexpected result %d\n", result);
		exit(1);
	}
}

static uint8_t
random_af(void)
{
	return tdo_rand(2) ? TDO_AF_INET : TDO_AF_INET6;
}

static struct tdo_flow
random_flow(void)
{
	struct tdo_flow f = {.proto = tdo_rand_proto(),
	    .has_ports = tdo_rand(4) != 0,
	    .sport = (uint16_t)tdo_rand(7),
	    .dport = (uint16_t)tdo_rand(7)};
	uint8_t af = random_af();

	f.src = tdo_rand_addr(af);
	f.dst = tdo_rand_addr(af);
	if (!f.has_ports)
		f.sport = f.dport = 0;
	/* Half of the time, one that some selector can meet. */
	if (nlive > 0 && tdo_rand(2)) {
		const struct tdo_sel *s = &live[tdo_rand(nlive)].sel;

		if (s->src.af == af && s->src_plen == tdo_af_bits(af))
			f.src = s->src;
		if (s->src.af == af && s->dst_plen == tdo_af_bits(af))
			f.dst = s->dst;
		if (s->proto != TDO_PROTO_ANY)
			f.proto = s->proto;
	}
	return f;
}

static void
fail(const char *what, enum tdo_dir dir, const struct tdo_flow *f)
{
	char a[TDO_ADDR_STRLEN], b[TDO_ADDR_STRLEN];

	printf("not ok - %s: dir %d %s > %s proto %u ports %u %u\n", what, (int)dir,
	    tdo_addr_str(&f->src, a), tdo_addr_str(&f->dst, b), f->proto, f->sport, f->dport);
	exit(1);
}

/* 1 when the packet was covered. */
static unsigned
check_flow(const struct tdo_cover *c, enum tdo_dir dir)
{
	struct tdo_flow f = random_flow();
	bool frag = tdo_rand(4) == 0, loadable = f.has_ports || tdo_rand(2);
	/* A packet without readable ports matches only selectors that do not ask for them. */
	bool matched = false, may = false, covered = tdo_cover_match(c, dir, &f, frag, loadable);

	for (unsigned i = 0; i < nlive; i++) {
		if (live[i].dir != dir)
			continue;
		matched |= tdo_naive_match(&live[i].sel, &f, frag);
		may |= tdo_naive_match(&live[i].sel, &f, true);
	}
	if (matched && !covered)
		fail("a policy matches what is not covered", dir, &f);
	if (covered && !may && tdo_cover_level(c, dir, f.src.af) == 0)
		fail("covered without any reason", dir, &f);
	return covered;
}

static void
check_flows(const struct tdo_cover *c, unsigned *covered, unsigned *total)
{
	for (int i = 0; i < FLOWS; i++) {
		*covered += check_flow(c, tdo_rand(2) ? TDO_DIR_IN : TDO_DIR_OUT);
		(*total)++;
	}
}

static void
add_one(struct tdo_cover *c)
{
	if (nlive == LIVE_MAX)
		return;
	live[nlive].sel = tdo_rand_sel(random_af());
	live[nlive].dir = tdo_rand(2) ? TDO_DIR_IN : TDO_DIR_OUT;
	must(tdo_cover_add(c, live[nlive].dir, &live[nlive].sel));
	nlive++;
}

static void
del_one(struct tdo_cover *c)
{
	unsigned i;

	if (nlive == 0)
		return;
	i = tdo_rand(nlive);
	must(tdo_cover_del(c, live[i].dir, &live[i].sel));
	live[i] = live[--nlive];
}

/* The maker dies; its successor adds everything again while packets flow. */
static void
change_maker(struct tdo_cover *c, unsigned *covered, unsigned *total)
{
	tdo_cover_age(c);
	for (unsigned i = 0; i < nlive; i++) {
		must(tdo_cover_add(c, live[i].dir, &live[i].sel));
		if (tdo_rand(16) == 0)
			check_flows(c, covered, total);
	}
	tdo_cover_drop_aged(c);
}

static void
round_of_changes(unsigned *covered, unsigned *total)
{
	struct tdo_cover_limits limits = {1 + tdo_rand(60), 1 + tdo_rand(400)};
	struct tdo_cover *c;

	nlive = 0;
	must(tdo_cover_new(limits, (struct tdo_hash_key){{1, 2}}, NULL, &c));
	for (int step = 0; step < STEPS; step++) {
		if (tdo_rand(10) == 0)
			change_maker(c, covered, total);
		else if (tdo_rand(3) == 0)
			del_one(c);
		else
			add_one(c);
		check_flows(c, covered, total);
	}
	while (nlive > 0)
		del_one(c);
	if (tdo_cover_entries(c) != 0) {
		printf("not ok - entries are left when all was removed\n");
		exit(1);
	}
	tdo_cover_free(c);
}

int
main(void)
{
	unsigned covered = 0, total = 0;

	printf("1..1\n");
	tdo_rand_init();
	for (int i = 0; i < ROUNDS; i++)
		round_of_changes(&covered, &total);
	/* Neither side of the comparison may be trivial. */
	printf("# %u of %u packets covered\n", covered, total);
	printf("%s - whatever a policy matches is covered\n",
	    covered > total / 20 && covered < total - total / 20 ? "ok" : "not ok");
	return 0;
}
