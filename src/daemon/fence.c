/* SPDX-License-Identifier: BSD-2-Clause */
/* Which table is in force, and how changes of the model reach it. */
#include "daemon/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/fence_int.h"
#include "daemon/log.h"

enum { LETTERS = 8 };

static void
table_name(char *buf, unsigned letter)
{
	snprintf(buf, TDO_FENCE_NAME_LEN, TDO_FENCE_PREFIX "%c", (char)('a' + letter));
}

static unsigned
letter_of(const char *table)
{
	return (unsigned)(table[strlen(TDO_FENCE_PREFIX)] - 'a');
}

/* ---- the sink of the model ---------------------------------------------------------- */

static void
sink_shape_new(void *ctx, const struct tdo_cover_shape *s)
{
	struct tdo_fence *f = ctx;

	tdo_nft_break(f->nft);
	tdo_fence_set_new(f, f->table, s);
}

static void
sink_entry(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key, bool add)
{
	struct tdo_fence *f = ctx;

	tdo_nft_break(f->nft);
	tdo_fence_set_entry(f, f->table, s, key, add);
}

static void
sink_rules(void *ctx, enum tdo_dir dir, uint8_t af)
{
	struct tdo_fence *f = ctx;

	tdo_fence_lookups(f, f->table, dir, af);
}

static void
sink_shape_gone(void *ctx, const struct tdo_cover_shape *s)
{
	struct tdo_fence *f = ctx;

	tdo_nft_break(f->nft);
	tdo_fence_set_gone(f, f->table, s);
}

/* ---- making a table ----------------------------------------------------------------- */

struct fill_ctx {
	struct tdo_fence *f;
	const char *table;
};

static void
fill_entry(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key)
{
	struct fill_ctx *c = ctx;

	tdo_nft_break(c->f->nft);
	tdo_fence_set_entry(c->f, c->table, s, key, true);
}

static void
fill_side(struct tdo_fence *f, const char *table, enum tdo_dir dir, uint8_t af)
{
	struct fill_ctx c = {f, table};
	const struct tdo_cover_shape *s;

	for (s = tdo_cover_shapes(f->cover, dir, af); s; s = s->next) {
		tdo_nft_break(f->nft);
		tdo_fence_set_new(f, table, s);
		tdo_cover_each(s, fill_entry, &c);
	}
	if (tdo_cover_shapes(f->cover, dir, af))
		tdo_fence_lookups(f, table, dir, af);
}

/* Makes a complete table of this name; after an error nothing of it is left. */
static int
build(struct tdo_fence *f, const char *table)
{
	int r;

	tdo_nft_discard(f->nft);
	tdo_fence_skeleton(f, table);
	r = tdo_nft_commit(f->nft);
	if (r < 0)
		return r;
	fill_side(f, table, TDO_DIR_OUT, TDO_AF_INET);
	fill_side(f, table, TDO_DIR_OUT, TDO_AF_INET6);
	fill_side(f, table, TDO_DIR_IN, TDO_AF_INET);
	fill_side(f, table, TDO_DIR_IN, TDO_AF_INET6);
	r = tdo_nft_commit(f->nft);
	if (r < 0) {
		tdo_nft_table_del(f->nft, table);
		(void)tdo_nft_commit(f->nft);
	}
	return r;
}

/* A letter that no table has.  When all are taken, an orphan makes room: the youngest. */
static unsigned
free_letter(struct tdo_fence *f)
{
	char name[TDO_FENCE_NAME_LEN];
	unsigned l;

	for (l = 0; l < LETTERS; l++)
		if (!(f->taken & 1u << l))
			return l;
	for (l = LETTERS - 1; l > 0 && !(f->orphans & 1u << l); l--)
		continue;
	table_name(name, l);
	tdo_nft_table_del(f->nft, name);
	if (tdo_nft_commit(f->nft) == 0)
		f->orphans &= ~(1u << l);
	return l;
}

static void
delete_table(struct tdo_fence *f, unsigned letter)
{
	char name[TDO_FENCE_NAME_LEN];

	table_name(name, letter);
	tdo_nft_table_del(f->nft, name);
	(void)tdo_nft_commit(f->nft); /* ENOENT: somebody else removed it */
	f->taken &= ~(1u << letter);
}

/* By itself, so that a kernel which cannot has all the rest. */
static void
commit_reassembly(struct tdo_fence *f)
{
	int r;

	tdo_fence_reassembly(f, f->table, f->reassemble);
	r = tdo_nft_commit(f->nft);
	if (r < 0 && f->reassemble)
		tdo_logf(TDO_LOG_WARN,
		    "nftables cannot make IPv6 fragments whole here (%s): tunnel packets of IPComp "
		    "that are not compressed are lost when they come in fragments",
		    strerror(-r));
}

int
tdo_fence_rebuild(struct tdo_fence *f)
{
	unsigned letter = free_letter(f);
	char name[TDO_FENCE_NAME_LEN];
	uint64_t drops;
	int r;

	table_name(name, letter);
	r = build(f, name);
	f->broken = r < 0;
	if (r < 0) {
		tdo_logf(f->table[0] ? TDO_LOG_ERR : TDO_LOG_DEBUG,
		    "nftables: cannot make table %s: %s", name, strerror(-r));
		return r;
	}
	f->taken |= 1u << letter;
	if (f->table[0]) {
		if (tdo_nft_counter_get(f->nft, f->table, "guard-drops", &drops) == 0)
			f->guard_drops += drops;
		delete_table(f, letter_of(f->table));
	}
	memcpy(f->table, name, sizeof(name));
	if (f->reassemble)
		commit_reassembly(f);
	return 0;
}

/* ---- start and stop ----------------------------------------------------------------- */

static void
note_table(void *ctx, const char *name)
{
	struct tdo_fence *f = ctx;
	size_t len = strlen(TDO_FENCE_PREFIX);

	if (strncmp(name, TDO_FENCE_PREFIX, len) == 0 && name[len] >= 'a' &&
	    name[len] < 'a' + LETTERS && name[len + 1] == '\0')
		f->taken |= 1u << letter_of(name);
}

/*
 * Flags that this kernel knows: owner since 5.12, persist since 6.9.  A table that must
 * outlive us and cannot have both has neither; then changes by others are noticed by the
 * watch.
 */
static uint32_t
probe_flags(struct tdo_fence *f)
{
	uint32_t flags = TDO_NFT_F_OWNER | (f->cfg.persist ? TDO_NFT_F_PERSIST : 0);
	char name[TDO_FENCE_NAME_LEN];

	snprintf(name, sizeof(name), TDO_FENCE_PREFIX "probe");
	tdo_nft_table_add(f->nft, name, flags);
	if (tdo_nft_commit(f->nft) != 0)
		return 0;
	tdo_nft_table_del(f->nft, name);
	(void)tdo_nft_commit(f->nft);
	return flags;
}

/* A table without owner can be taken over; so nobody else can remove it meanwhile. */
static void
adopt_orphans(struct tdo_fence *f)
{
	char name[TDO_FENCE_NAME_LEN];

	f->orphans = f->taken;
	for (unsigned l = 0; l < LETTERS; l++) {
		if (!(f->orphans & 1u << l))
			continue;
		table_name(name, l);
		tdo_logf(TDO_LOG_WARN,
		    "table %s of a run that crashed stays in force until policies are loaded",
		    name);
		if (f->flags == 0)
			continue;
		tdo_nft_table_add(f->nft, name, TDO_NFT_F_OWNER | TDO_NFT_F_PERSIST);
		(void)tdo_nft_commit(f->nft);
	}
}

/*
 * The first table, with all that this kernel has: some are built without expressions or
 * targets that are modules elsewhere, and do not say which one was missing.
 */
static int
first_table(struct tdo_fence *f)
{
	int r = -EOPNOTSUPP;

	for (int without = 0; without < 4 && r < 0; without++) {
		f->use_socket = !(without & 1);
		f->use_queue = f->cfg.use_queue && !(without & 2);
		r = tdo_fence_rebuild(f);
	}
	if (r < 0)
		return r;
	if (!f->use_socket)
		tdo_logf(TDO_LOG_WARN,
		    "nftables cannot see socket marks here: rules of others that "
		    "overwrite marks stop protected packets");
	if (f->cfg.use_queue && !f->use_queue)
		tdo_logf(TDO_LOG_WARN, "no NFQUEUE: clear packets that policies cover are dropped");
	return 0;
}

static int
start(struct tdo_fence *f)
{
	struct tdo_cover_sink sink = {sink_shape_new, sink_entry, sink_rules, sink_shape_gone, f};
	struct tdo_hash_key seed;
	int r;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	r = tdo_nft_open(&f->nft);
	if (r == 0)
		r = tdo_cover_new(TDO_COVER_LIMITS_DEFAULT, seed, &sink, &f->cover);
	if (r == 0)
		r = tdo_nft_table_list(f->nft, note_table, f);
	if (r < 0)
		return r;
	f->flags = probe_flags(f);
	adopt_orphans(f);
	return first_table(f);
}

int
tdo_fence_open(const struct tdo_fence_config *cfg, struct tdo_fence **ret)
{
	struct tdo_fence *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->cfg = *cfg;
	r = start(f);
	if (r < 0)
		tdo_fence_close(f);
	else
		*ret = f;
	return r;
}

void
tdo_fence_close(struct tdo_fence *f)
{
	if (!f)
		return;
	tdo_nft_close(f->nft);
	tdo_cover_free(f->cover);
	free(f);
}

void
tdo_fence_remove(struct tdo_fence *f)
{
	tdo_nft_discard(f->nft);
	for (unsigned l = 0; l < LETTERS; l++)
		if (f->taken & 1u << l)
			delete_table(f, l);
	f->table[0] = '\0';
	f->orphans = 0;
}

void
tdo_fence_recovered(struct tdo_fence *f)
{
	for (unsigned l = 0; l < LETTERS; l++)
		if (f->orphans & 1u << l)
			delete_table(f, l);
	f->orphans = 0;
}

/* ---- changes ------------------------------------------------------------------------ */

int
tdo_fence_flush(struct tdo_fence *f)
{
	int r;

	if (!f->broken) {
		r = tdo_nft_commit(f->nft);
		if (r == 0)
			return 0;
		tdo_logf(TDO_LOG_WARN, "nftables: change refused (%s), making the table anew",
		    strerror(-r));
	}
	return tdo_fence_rebuild(f);
}

int
tdo_fence_add(struct tdo_fence *f, enum tdo_dir dir, const struct tdo_sel *sel, size_t n)
{
	size_t done;
	int r = 0;

	for (done = 0; r == 0 && done < n; done++)
		r = tdo_cover_add(f->cover, dir, &sel[done]);
	if (r < 0)
		done--;
	else
		r = tdo_fence_flush(f);
	while (r < 0 && done > 0)
		(void)tdo_cover_del(f->cover, dir, &sel[--done]);
	return r;
}

int
tdo_fence_default(struct tdo_fence *f, uint8_t af, bool all)
{
	int r = tdo_cover_default(f->cover, af, all);

	if (r < 0)
		return r;
	r = tdo_fence_flush(f);
	if (r < 0 && all)
		(void)tdo_cover_default(f->cover, af, false);
	return r;
}

int
tdo_fence_del(struct tdo_fence *f, enum tdo_dir dir, const struct tdo_sel *sel)
{
	return tdo_cover_del(f->cover, dir, sel);
}

void
tdo_fence_reassemble(struct tdo_fence *f, bool on)
{
	if (on == f->reassemble)
		return;
	f->reassemble = on;
	/* What waits must not fail with it; afterwards the table may be another one. */
	if (tdo_fence_flush(f) == 0)
		commit_reassembly(f);
}

bool
tdo_fence_pending(const struct tdo_fence *f)
{
	return f->broken || !tdo_nft_empty(f->nft);
}

void
tdo_fence_age(struct tdo_fence *f)
{
	tdo_cover_age(f->cover);
	tdo_fence_natt_age(f);
}

void
tdo_fence_drop_aged(struct tdo_fence *f)
{
	tdo_cover_drop_aged(f->cover);
	tdo_fence_natt_drop_aged(f);
}

/* ---- state -------------------------------------------------------------------------- */

bool
tdo_fence_recovering(const struct tdo_fence *f)
{
	return f->orphans != 0;
}

bool
tdo_fence_has_owner(const struct tdo_fence *f)
{
	return f->flags != 0;
}

bool
tdo_fence_has_queue(const struct tdo_fence *f)
{
	return f->use_queue;
}

uint32_t
tdo_fence_portid(const struct tdo_fence *f)
{
	return tdo_nft_portid(f->nft);
}

const struct tdo_cover *
tdo_fence_cover(const struct tdo_fence *f)
{
	return f->cover;
}

uint64_t
tdo_fence_guard_drops(struct tdo_fence *f)
{
	uint64_t now = 0;

	(void)tdo_nft_counter_get(f->nft, f->table, "guard-drops", &now);
	return f->guard_drops + now;
}
