/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/cover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "wire/ip.h"

enum { LEVEL_EXACT, LEVEL_ROUNDED, LEVEL_ADDRESSES, LEVEL_ALL };

/* The fields of a key; those that the shape does not have are zero. */
struct tuple {
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint8_t proto;
	uint8_t pad[3];
};

struct tdo_cover_entry {
	struct tdo_cover_entry *chain;        /* of the hash table */
	struct tdo_cover_entry *next, **prev; /* of the shape */
	struct tdo_cover_shape *shape;
	struct tuple t;
	unsigned count; /* of the present maker */
	bool aged;      /* an earlier maker had it */
};

struct side {
	struct tdo_cover_shape *shapes;
	uint8_t dir, af, level;
	unsigned nshapes;  /* without TWIN */
	unsigned nentries; /* all kinds */
};

struct tdo_cover {
	struct tdo_cover_limits limits;
	struct tdo_cover_sink sink;
	struct tdo_hash_key seed;
	struct side side[2][2];
	bool all[2];
	uint32_t last_id;
	unsigned nentries, coarsened;
	struct tdo_cover_entry **table;
	size_t table_size; /* power of two */
};

static struct side *
side_of(struct tdo_cover *c, enum tdo_dir dir, uint8_t af)
{
	return &c->side[dir == TDO_DIR_OUT][af == TDO_AF_INET6];
}

static bool
key_ok(enum tdo_dir dir, uint8_t af)
{
	return (dir == TDO_DIR_IN || dir == TDO_DIR_OUT) &&
	       (af == TDO_AF_INET || af == TDO_AF_INET6);
}

/* ---- keys --------------------------------------------------------------------------- */

uint8_t
tdo_cover_key_len(const struct tdo_cover_shape *s)
{
	unsigned len = 2 * tdo_af_len(s->af);

	if (s->kind == TDO_COVER_UPPER)
		len += 4u * (1u + s->sport + s->dport);
	return (uint8_t)len;
}

static void
key_bytes(const struct tdo_cover_shape *s, const struct tuple *t, uint8_t *key)
{
	unsigned n = tdo_af_len(s->af);

	memset(key, 0, TDO_COVER_KEY_MAX);
	memcpy(key, t->src, n);
	memcpy(key + n, t->dst, n);
	if (s->kind != TDO_COVER_UPPER)
		return;
	key += 2 * n;
	key[0] = t->proto;
	key += 4;
	if (s->sport) {
		tdo_put_be16(key, t->sport);
		key += 4;
	}
	if (s->dport)
		tdo_put_be16(key, t->dport);
}

/* ---- from selectors to shapes ------------------------------------------------------- */

struct proj {
	struct tdo_cover_shape shape;
	struct tuple t;
};

/*
 * Whether "meta l4proto" of nftables can be the protocol that the engine sees: both end at AH,
 * and walk over the other extension headers of IPv6, for which selectors make no sense.
 */
static bool
proto_is_exact(uint8_t af, uint8_t proto)
{
	if (proto == TDO_PROTO_ANY)
		return false;
	if (af == TDO_AF_INET)
		return true;
	return proto != TDO_IPPROTO_HOPOPTS && proto != TDO_IPPROTO_ROUTING &&
	       proto != TDO_IPPROTO_FRAGMENT && proto != TDO_IPPROTO_DSTOPTS &&
	       proto != TDO_IPPROTO_AH && proto != TDO_IPPROTO_NONE;
}

static uint8_t
round_plen(unsigned level, uint8_t plen)
{
	return level == LEVEL_EXACT ? plen : level == LEVEL_ALL ? 0 : (uint8_t)(plen & ~7u);
}

static struct proj
project(const struct side *sd, const struct tdo_sel *sel)
{
	struct proj p = {.shape = {.dir = sd->dir, .af = sd->af, .kind = TDO_COVER_ADDR}};
	struct tdo_addr a;

	p.shape.src_plen = round_plen(sd->level, sel->src_plen);
	p.shape.dst_plen = round_plen(sd->level, sel->dst_plen);
	a = tdo_addr_mask(&sel->src, p.shape.src_plen);
	memcpy(p.t.src, a.b, sizeof(p.t.src));
	a = tdo_addr_mask(&sel->dst, p.shape.dst_plen);
	memcpy(p.t.dst, a.b, sizeof(p.t.dst));
	if (sd->level >= LEVEL_ADDRESSES || !proto_is_exact(sd->af, sel->proto))
		return p;
	p.shape.kind = TDO_COVER_UPPER;
	p.t.proto = sel->proto;
	if (tdo_proto_has_ports(sel->proto) && sel->sport.lo == sel->sport.hi) {
		p.shape.sport = true;
		p.t.sport = sel->sport.lo;
	}
	if (tdo_proto_has_ports(sel->proto) && sel->dport.lo == sel->dport.hi) {
		p.shape.dport = true;
		p.t.dport = sel->dport.lo;
	}
	return p;
}

static struct proj
twin_of(const struct proj *p)
{
	struct proj t = *p;

	t.shape.kind = TDO_COVER_TWIN;
	t.shape.sport = t.shape.dport = false;
	t.t.proto = 0;
	t.t.sport = t.t.dport = 0;
	return t;
}

/* The widest selector that leads to this entry: for projecting it again, more coarsely. */
static struct tdo_sel
sel_of(const struct tdo_cover_entry *e)
{
	const struct tdo_cover_shape *s = e->shape;
	struct tdo_sel sel = {.src = tdo_addr_make(s->af, e->t.src),
	    .dst = tdo_addr_make(s->af, e->t.dst),
	    .src_plen = s->src_plen,
	    .dst_plen = s->dst_plen,
	    .proto = s->kind == TDO_COVER_UPPER ? e->t.proto : TDO_PROTO_ANY,
	    .sport = s->sport ? (struct tdo_range){e->t.sport, e->t.sport} : TDO_RANGE_ANY,
	    .dport = s->dport ? (struct tdo_range){e->t.dport, e->t.dport} : TDO_RANGE_ANY};

	return sel;
}

static struct tdo_cover_shape *
find_shape(const struct side *sd, const struct tdo_cover_shape *want)
{
	struct tdo_cover_shape *s;

	for (s = sd->shapes; s; s = s->next)
		if (s->kind == want->kind && s->src_plen == want->src_plen &&
		    s->dst_plen == want->dst_plen && s->sport == want->sport &&
		    s->dport == want->dport)
			return s;
	return NULL;
}

/* ---- the hash table ----------------------------------------------------------------- */

static size_t
slot(const struct tdo_cover *c, const struct tdo_cover_shape *s, const struct tuple *t)
{
	struct {
		struct tuple t;
		uint32_t id;
	} k = {*t, s->id};

	return (size_t)tdo_siphash(&c->seed, &k, sizeof(k)) & (c->table_size - 1);
}

static struct tdo_cover_entry *
find_entry(const struct tdo_cover *c, const struct tdo_cover_shape *s, const struct tuple *t)
{
	struct tdo_cover_entry *e = c->table[slot(c, s, t)];

	while (e && (e->shape != s || memcmp(&e->t, t, sizeof(*t)) != 0))
		e = e->chain;
	return e;
}

/* Without memory for a larger table the present one goes on, with longer chains. */
static void
grow_table(struct tdo_cover *c)
{
	size_t old_size = c->table_size;
	struct tdo_cover_entry **old = c->table, *e, *next;

	c->table = calloc(old_size * 2, sizeof(*c->table));
	if (!c->table) {
		c->table = old;
		return;
	}
	c->table_size = old_size * 2;
	for (size_t i = 0; i < old_size; i++) {
		for (e = old[i]; e; e = next) {
			size_t to = slot(c, e->shape, &e->t);

			next = e->chain;
			e->chain = c->table[to];
			c->table[to] = e;
		}
	}
	free(old);
}

static void
unlink_entry(struct tdo_cover *c, struct tdo_cover_entry *e)
{
	struct tdo_cover_entry **at = &c->table[slot(c, e->shape, &e->t)];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->shape->entries--;
	c->nentries--;
	free(e);
}

static struct tdo_cover_entry *
new_entry(struct tdo_cover *c, struct tdo_cover_shape *s, const struct tuple *t)
{
	struct tdo_cover_entry *e = calloc(1, sizeof(*e));
	size_t at;

	if (!e)
		return NULL;
	if (c->nentries >= c->table_size)
		grow_table(c);
	e->shape = s;
	e->t = *t;
	at = slot(c, s, t);
	e->chain = c->table[at];
	c->table[at] = e;
	e->next = s->members;
	e->prev = &s->members;
	if (e->next)
		e->next->prev = &e->next;
	s->members = e;
	s->entries++;
	c->nentries++;
	return e;
}

/* ---- telling the sink --------------------------------------------------------------- */

static void
say_entry(const struct tdo_cover *c, const struct tdo_cover_entry *e, bool add)
{
	uint8_t key[TDO_COVER_KEY_MAX];

	if (!c->sink.entry)
		return;
	key_bytes(e->shape, &e->t, key);
	c->sink.entry(c->sink.ctx, e->shape, key, add);
}

static void
say_shape(const struct tdo_cover *c, const struct tdo_cover_shape *s)
{
	if (c->sink.shape_new)
		c->sink.shape_new(c->sink.ctx, s);
}

static void
say_rules(const struct tdo_cover *c, const struct side *sd)
{
	if (c->sink.rules)
		c->sink.rules(c->sink.ctx, (enum tdo_dir)sd->dir, sd->af);
}

static void
say_gone(const struct tdo_cover *c, const struct tdo_cover_shape *s)
{
	if (c->sink.shape_gone)
		c->sink.shape_gone(c->sink.ctx, s);
}

/* ---- adding and removing ------------------------------------------------------------ */

static struct tdo_cover_shape *
link_shape(struct tdo_cover *c, struct side *sd, const struct tdo_cover_shape *want)
{
	struct tdo_cover_shape *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = *want;
	s->id = ++c->last_id;
	s->next = sd->shapes;
	sd->shapes = s;
	sd->nshapes += s->kind != TDO_COVER_TWIN;
	return s;
}

static void
free_shape(struct side *sd, struct tdo_cover_shape *s)
{
	struct tdo_cover_shape **at = &sd->shapes;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	sd->nshapes -= s->kind != TDO_COVER_TWIN;
	free(s);
}

/*
 * Counts n more uses of an entry, and makes it, and its shape, when it is new.
 * *new_rules becomes true when a shape was made.  quiet: the sink is told later.
 */
static int
ref(struct tdo_cover *c, struct side *sd, const struct proj *p, const struct tdo_cover_entry *use,
    bool quiet, bool *new_rules)
{
	struct tdo_cover_shape *s = find_shape(sd, &p->shape);
	struct tdo_cover_entry *e = s ? find_entry(c, s, &p->t) : NULL;
	bool new_shape = !s;

	if (!s)
		s = link_shape(c, sd, &p->shape);
	if (!s)
		return -ENOMEM;
	if (!e) {
		e = new_entry(c, s, &p->t);
		if (!e) {
			if (new_shape)
				free_shape(sd, s);
			return -ENOMEM;
		}
		sd->nentries++;
		if (new_shape && !quiet)
			say_shape(c, s);
		if (!quiet)
			say_entry(c, e, true);
	}
	*new_rules |= new_shape;
	e->count += use->count;
	e->aged |= use->aged;
	return 0;
}

/* Removes an entry that nobody uses, and its shape when that is empty then. */
static void
remove_unused(struct tdo_cover *c, struct side *sd, struct tdo_cover_entry *e)
{
	struct tdo_cover_shape *s = e->shape, gone;

	if (e->count > 0 || e->aged)
		return;
	/* The last entry goes with its set, after the rules let go of that. */
	if (s->entries > 1)
		say_entry(c, e, false);
	unlink_entry(c, e);
	sd->nentries--;
	if (s->entries == 0) {
		gone = *s;
		free_shape(sd, s);
		say_rules(c, sd);
		say_gone(c, &gone);
	}
	if (sd->nentries == 0)
		sd->level = LEVEL_EXACT;
}

static void
unref(struct tdo_cover *c, struct side *sd, const struct proj *p)
{
	struct tdo_cover_shape *s = find_shape(sd, &p->shape);
	struct tdo_cover_entry *e = s ? find_entry(c, s, &p->t) : NULL;

	if (!e || e->count == 0)
		return;
	e->count--;
	remove_unused(c, sd, e);
}

static int
ref_all(struct tdo_cover *c, struct side *sd, const struct tdo_sel *sel,
    const struct tdo_cover_entry *use, bool quiet, bool *new_rules)
{
	struct proj p = project(sd, sel), t = twin_of(&p);
	bool upper = p.shape.kind == TDO_COVER_UPPER;
	int r = upper ? ref(c, sd, &t, use, quiet, new_rules) : 0;

	if (r < 0)
		return r;
	r = ref(c, sd, &p, use, quiet, new_rules);
	if (r < 0 && upper && !quiet)
		unref(c, sd, &t);
	return r;
}

/* ---- coarsening --------------------------------------------------------------------- */

static void
free_side(struct tdo_cover *c, struct side *sd)
{
	while (sd->shapes) {
		while (sd->shapes->members)
			unlink_entry(c, sd->shapes->members);
		free_shape(sd, sd->shapes);
	}
	sd->nentries = 0;
}

static int
rebuild(struct tdo_cover *c, const struct side *from, struct side *to)
{
	bool unused = false;

	for (const struct tdo_cover_shape *s = from->shapes; s; s = s->next) {
		if (s->kind == TDO_COVER_TWIN)
			continue; /* follows from UPPER */
		for (const struct tdo_cover_entry *e = s->members; e; e = e->next) {
			struct tdo_sel sel = sel_of(e);
			int r = ref_all(c, to, &sel, e, true, &unused);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/*
 * Raises the level of a side, as far as the limit of entries asks for.  The coarser sets are made
 * beside the old ones, then the rules change over.  False when that was not possible.
 */
static bool
coarsen(struct tdo_cover *c, struct side *sd)
{
	struct side coarse = {.dir = sd->dir, .af = sd->af, .level = sd->level};
	struct side old = *sd;
	int r;

	if (sd->level >= LEVEL_ALL)
		return false;
	/* c->nentries counts the old and the new ones now. */
	do {
		free_side(c, &coarse);
		coarse.level++;
		r = rebuild(c, sd, &coarse);
	} while (
	    r == 0 && coarse.level < LEVEL_ALL && c->nentries - sd->nentries > c->limits.entries);
	if (r < 0) {
		free_side(c, &coarse);
		return false;
	}
	for (const struct tdo_cover_shape *s = coarse.shapes; s; s = s->next) {
		say_shape(c, s);
		for (const struct tdo_cover_entry *e = s->members; e; e = e->next)
			say_entry(c, e, true);
	}
	*sd = coarse;
	say_rules(c, sd);
	for (const struct tdo_cover_shape *s = old.shapes; s; s = s->next)
		say_gone(c, s);
	free_side(c, &old);
	c->coarsened++;
	return true;
}

static void
keep_limits(struct tdo_cover *c, struct side *sd)
{
	while (sd->nshapes > c->limits.shapes && coarsen(c, sd))
		continue;
	while (c->nentries > c->limits.entries) {
		struct side *largest = NULL;

		for (int i = 0; i < 4; i++) {
			struct side *s = &c->side[i / 2][i % 2];

			if (s->level < LEVEL_ALL && (!largest || s->nentries > largest->nentries))
				largest = s;
		}
		if (!largest || !coarsen(c, largest))
			break;
	}
}

/* ---- public ------------------------------------------------------------------------- */

int
tdo_cover_new(struct tdo_cover_limits limits, struct tdo_hash_key seed,
    const struct tdo_cover_sink *sink, struct tdo_cover **ret)
{
	struct tdo_cover *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->table_size = 256;
	c->table = calloc(c->table_size, sizeof(*c->table));
	if (!c->table) {
		free(c);
		return -ENOMEM;
	}
	c->limits = limits;
	c->seed = seed;
	if (sink)
		c->sink = *sink;
	for (int i = 0; i < 4; i++) {
		c->side[i / 2][i % 2].dir = i / 2 ? TDO_DIR_OUT : TDO_DIR_IN;
		c->side[i / 2][i % 2].af = i % 2 ? TDO_AF_INET6 : TDO_AF_INET;
	}
	*ret = c;
	return 0;
}

void
tdo_cover_free(struct tdo_cover *c)
{
	if (!c)
		return;
	for (int i = 0; i < 4; i++)
		free_side(c, &c->side[i / 2][i % 2]);
	free(c->table);
	free(c);
}

static bool
sel_ok(enum tdo_dir dir, const struct tdo_sel *sel)
{
	unsigned bits = tdo_af_bits(sel->src.af);

	return key_ok(dir, sel->src.af) && sel->dst.af == sel->src.af && sel->src_plen <= bits &&
	       sel->dst_plen <= bits;
}

int
tdo_cover_add(struct tdo_cover *c, enum tdo_dir dir, const struct tdo_sel *sel)
{
	static const struct tdo_cover_entry once = {.count = 1};
	bool new_rules = false;
	struct side *sd;
	int r;

	if (!sel_ok(dir, sel))
		return -EINVAL;
	sd = side_of(c, dir, sel->src.af);
	r = ref_all(c, sd, sel, &once, false, &new_rules);
	if (r < 0)
		return r;
	if (new_rules)
		say_rules(c, sd);
	keep_limits(c, sd);
	return 0;
}

int
tdo_cover_del(struct tdo_cover *c, enum tdo_dir dir, const struct tdo_sel *sel)
{
	struct tdo_cover_shape *s;
	struct tdo_cover_entry *e;
	struct side *sd;
	struct proj p, t;

	if (!sel_ok(dir, sel))
		return -EINVAL;
	sd = side_of(c, dir, sel->src.af);
	p = project(sd, sel);
	s = find_shape(sd, &p.shape);
	e = s ? find_entry(c, s, &p.t) : NULL;
	if (!e || e->count == 0)
		return -ENOENT;
	t = twin_of(&p);
	unref(c, sd, &p);
	if (p.shape.kind == TDO_COVER_UPPER)
		unref(c, sd, &t);
	return 0;
}

int
tdo_cover_default(struct tdo_cover *c, uint8_t af, bool all)
{
	struct tdo_sel sel = {.src = {.af = af},
	    .dst = {.af = af},
	    .proto = TDO_PROTO_ANY,
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
	bool *now = &c->all[af == TDO_AF_INET6];
	int r;

	if (!key_ok(TDO_DIR_IN, af))
		return -EINVAL;
	if (*now == all)
		return 0;
	if (all) {
		r = tdo_cover_add(c, TDO_DIR_OUT, &sel);
		if (r < 0)
			return r;
		r = tdo_cover_add(c, TDO_DIR_IN, &sel);
		if (r < 0) {
			(void)tdo_cover_del(c, TDO_DIR_OUT, &sel);
			return r;
		}
	} else {
		(void)tdo_cover_del(c, TDO_DIR_OUT, &sel);
		(void)tdo_cover_del(c, TDO_DIR_IN, &sel);
	}
	*now = all;
	return 0;
}

void
tdo_cover_age(struct tdo_cover *c)
{
	for (size_t i = 0; i < c->table_size; i++) {
		for (struct tdo_cover_entry *e = c->table[i]; e; e = e->chain) {
			e->aged |= e->count > 0;
			e->count = 0;
		}
	}
	c->all[0] = c->all[1] = false;
}

static void
drop_aged_side(struct tdo_cover *c, struct side *sd)
{
	struct tdo_cover_shape *s, *next_shape;
	struct tdo_cover_entry *e, *next;

	for (s = sd->shapes; s; s = next_shape) {
		next_shape = s->next;
		/* Removing the last entry frees s; nothing of it is used after that. */
		for (e = s->members; e; e = next) {
			next = e->next;
			e->aged = false;
			remove_unused(c, sd, e);
		}
	}
}

void
tdo_cover_drop_aged(struct tdo_cover *c)
{
	for (int i = 0; i < 4; i++)
		drop_aged_side(c, &c->side[i / 2][i % 2]);
}

static bool
lookup(const struct tdo_cover *c, const struct tdo_cover_shape *s, const struct tdo_flow *f)
{
	struct tdo_addr src = tdo_addr_mask(&f->src, s->src_plen);
	struct tdo_addr dst = tdo_addr_mask(&f->dst, s->dst_plen);
	struct tuple t = {.proto = s->kind == TDO_COVER_UPPER ? f->proto : 0,
	    .sport = s->sport ? f->sport : 0,
	    .dport = s->dport ? f->dport : 0};

	memcpy(t.src, src.b, sizeof(t.src));
	memcpy(t.dst, dst.b, sizeof(t.dst));
	return find_entry(c, s, &t) != NULL;
}

bool
tdo_cover_match(const struct tdo_cover *c, enum tdo_dir dir, const struct tdo_flow *flow,
    bool is_fragment, bool l4_loadable)
{
	enum tdo_cover_kind kind = is_fragment || !l4_loadable ? TDO_COVER_TWIN : TDO_COVER_UPPER;
	const struct tdo_cover_shape *s = tdo_cover_shapes(c, dir, flow->src.af);

	for (; s; s = s->next)
		if ((s->kind == TDO_COVER_ADDR || s->kind == kind) && lookup(c, s, flow))
			return true;
	return false;
}

const struct tdo_cover_shape *
tdo_cover_shapes(const struct tdo_cover *c, enum tdo_dir dir, uint8_t af)
{
	return c->side[dir == TDO_DIR_OUT][af == TDO_AF_INET6].shapes;
}

void
tdo_cover_each(const struct tdo_cover_shape *s,
    void (*fn)(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key), void *ctx)
{
	uint8_t key[TDO_COVER_KEY_MAX];

	for (const struct tdo_cover_entry *e = s->members; e; e = e->next) {
		key_bytes(s, &e->t, key);
		fn(ctx, s, key);
	}
}

bool
tdo_cover_covers_all(const struct tdo_cover *c, enum tdo_dir dir, uint8_t af)
{
	return tdo_cover_level(c, dir, af) == LEVEL_ALL;
}

unsigned
tdo_cover_entries(const struct tdo_cover *c)
{
	return c->nentries;
}

unsigned
tdo_cover_coarsened(const struct tdo_cover *c)
{
	return c->coarsened;
}

unsigned
tdo_cover_level(const struct tdo_cover *c, enum tdo_dir dir, uint8_t af)
{
	return c->side[dir == TDO_DIR_OUT][af == TDO_AF_INET6].level;
}
