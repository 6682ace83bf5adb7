/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/covering.h"

#include <string.h>

#include "base/addr.h"
#include "wire/pfkey_msg.h"

void
tdo_covering_init(struct tdo_covering *c, struct tdo_parentlink *parent)
{
	memset(c, 0, sizeof(*c));
	c->parent = parent;
}

static struct tdo_covering_side *
side_of(struct tdo_covering *c, uint8_t dir, const struct tdo_sel *sel)
{
	return &c->side[dir == TDO_DIR_OUT][sel->src.af == TDO_AF_INET6];
}

static void
make_cover(struct tdo_ipc_cover *c, uint8_t dir, const struct tdo_sel *sel)
{
	memset(c, 0, sizeof(*c)); /* padding too: it goes to another process */
	c->dir = dir;
	c->sel = *sel;
	/* The parent and the engine have host bits as zero. */
	c->sel.src = tdo_addr_mask(&sel->src, sel->src_plen);
	c->sel.dst = tdo_addr_mask(&sel->dst, sel->dst_plen);
}

void
tdo_covering_flush(struct tdo_covering *c)
{
	if (c->ngone > 0)
		(void)tdo_parentlink_tell(
		    c->parent, TDO_IPC_COVER_DEL, c->gone, c->ngone * sizeof(c->gone[0]));
	c->ngone = 0;
}

/* Adds n covers of one side. */
static int
ask(struct tdo_covering *c, struct tdo_covering_side *side, const struct tdo_ipc_cover *covers,
    unsigned n)
{
	int r;

	/* In order: an end must not come after another beginning. */
	tdo_covering_flush(c);
	r = tdo_parentlink_ask(c->parent, TDO_IPC_COVER_ADD, covers, n * sizeof(*covers));
	if (r < 0)
		return r;
	side->told += n;
	side->all = r > 0;
	return 0;
}

/* True when this is in force already: then it is taken. */
static bool
take(struct tdo_covering_side *side, const struct tdo_sel *sel)
{
	for (unsigned i = side->first; i < side->n; i++) {
		if (side->taken[i] || !tdo_sel_equal(&side->ahead[i].sel, sel))
			continue;
		side->taken[i] = true;
		while (side->first < side->n && side->taken[side->first])
			side->first++;
		return true;
	}
	return false;
}

int
tdo_covering_widen(struct tdo_covering *c, uint8_t dir, const struct tdo_sel *sel)
{
	struct tdo_covering_side *side = side_of(c, dir, sel);
	struct tdo_ipc_cover cover;

	if (take(side, sel))
		return 0;
	/* Covers of a side that covers everything are all the same. */
	if (side->all) {
		side->untold++;
		return 0;
	}
	make_cover(&cover, dir, sel);
	return ask(c, side, &cover, 1);
}

void
tdo_covering_narrow(struct tdo_covering *c, uint8_t dir, const struct tdo_sel *sel)
{
	struct tdo_covering_side *side = side_of(c, dir, sel);

	if (side->untold > 0) {
		side->untold--;
		return;
	}
	if (c->ngone == TDO_IPC_COVERS)
		tdo_covering_flush(c);
	make_cover(&c->gone[c->ngone++], dir, sel);
	/* With the last one the side becomes exact again. */
	if (side->told > 0 && --side->told == 0)
		side->all = false;
}

/* ---- ahead -------------------------------------------------------------------------- */

void
tdo_covering_expect(struct tdo_covering *c, const struct tdo_sp_param *sp)
{
	struct tdo_covering_side *side = side_of(c, sp->dir, &sp->sel);

	/* What the engine will refuse is not for the parent to judge. */
	if (!tdo_cover_needed(sp) || (sp->dir != TDO_DIR_IN && sp->dir != TDO_DIR_OUT) ||
	    tdo_af_len(sp->sel.src.af) == 0 || sp->sel.src.af != sp->sel.dst.af ||
	    sp->sel.src_plen > tdo_af_bits(sp->sel.src.af) ||
	    sp->sel.dst_plen > tdo_af_bits(sp->sel.dst.af) || sp->sel.sport.lo > sp->sel.sport.hi ||
	    sp->sel.dport.lo > sp->sel.dport.hi)
		return;
	if (!side->all && side->n < TDO_IPC_COVERS)
		make_cover(&side->ahead[side->n++], sp->dir, &sp->sel);
}

void
tdo_covering_ask(struct tdo_covering *c)
{
	for (unsigned i = 0; i < 4; i++) {
		struct tdo_covering_side *side = &c->side[i / 2][i % 2];

		/* One alone is asked for when it comes; if asking fails, each gets its answer. */
		if (side->n < 2 || ask(c, side, side->ahead, side->n) != 0)
			side->n = 0;
		side->first = 0;
		memset(side->taken, 0, side->n * sizeof(side->taken[0]));
	}
}

void
tdo_covering_expect_row(struct tdo_covering *c, const uint8_t *row, size_t len)
{
	struct tdo_sadb_base b;
	struct tdo_sadb_msg m;
	struct tdo_sp_param sp;
	size_t n;

	for (; len > 0; row += n, len -= n) {
		n = tdo_sadb_row_next(row, len);
		if (!tdo_sadb_base_read(row, n, &b) ||
		    (b.type != TDO_SADB_X_SPDADD && b.type != TDO_SADB_X_SPDUPDATE))
			continue;
		if (tdo_sadb_parse(row, n, &m, NULL) == 0 &&
		    tdo_sadb_get_sp_param(&m, &sp, NULL) == 0)
			tdo_covering_expect(c, &sp);
	}
	tdo_covering_ask(c);
}

void
tdo_covering_end(struct tdo_covering *c)
{
	for (unsigned i = 0; i < 4; i++) {
		struct tdo_covering_side *side = &c->side[i / 2][i % 2];

		for (unsigned k = side->first; k < side->n; k++)
			if (!side->taken[k])
				tdo_covering_narrow(c, side->ahead[k].dir, &side->ahead[k].sel);
		side->n = side->first = 0;
	}
}
