/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the SPD: the ordered list with its groups of equal priority (spd_prio.c), the
 * classifier (spd_match.c), the objects (sp.c) and the operations (spd.c).
 *
 * Versions.  Every change of the SPD makes one new version.  A lookup reads the version
 * once and then sees exactly the policies with born <= version < died, whatever happens
 * meanwhile: it never finds half of a change.  What died stays in the tables until
 * all lookups that may still see it are over.
 */
#ifndef TDO_ENGINE_SPD_H
#define TDO_ENGINE_SPD_H

#include "engine/control.h"
#include "engine/engine.h"

/* ---- groups of equal priority ------------------------------------------------------- */

#define TDO_PRIO_LEVELS 16

/* The policies of one priority and direction; they are neighbours in the list. */
struct tdo_prio {
	uint32_t prio;
	uint32_t order; /* of the last one that was added */
	unsigned n;
	struct tdo_sp *last;
	unsigned levels;
	struct tdo_prio *next[]; /* skip list */
};

struct tdo_prios {
	struct tdo_prio *head[TDO_PRIO_LEVELS];
};

/* The group, made if there is none; NULL without memory.  An empty one must be dropped. */
struct tdo_prio *tdo_prio_get(struct tdo_engine *e, struct tdo_prios *l, uint32_t prio);
/* The last policy before the place of this group, or NULL. */
struct tdo_sp *tdo_prio_before(struct tdo_prios *l, uint32_t prio);
/* Frees the group if it is empty. */
void tdo_prio_drop(struct tdo_engine *e, struct tdo_prios *l, struct tdo_prio *g);

/* ---- classifier --------------------------------------------------------------------- */

enum { TDO_PORT_ANY, TDO_PORT_EXACT, TDO_PORT_RANGE };

/* What the policies of one hash table have in common. */
struct tdo_shape_key {
	uint8_t dir;
	uint8_t af;
	uint8_t src_plen, dst_plen;
	bool by_addr; /* only addresses are hashed; the rest is compared */
	bool proto;   /* exact protocol */
	uint8_t sport, dport;
};

struct tdo_shape {
	struct tdo_shape_key key;
	struct tdo_htab tab;
	/* control thread only */
	struct tdo_hnode by_key;
	uint64_t best;  /* no policy in it has a smaller rank */
	size_t n;       /* policies in tab, dead ones included */
	size_t removed; /* since best was computed */
	struct tdo_qsbr_node retired;
};

/* Shapes of one direction and family in order of their best rank; replaced as a whole. */
struct tdo_shapes {
	struct tdo_qsbr_node retired;
	size_t size; /* bytes of this object */
	unsigned n;
	struct {
		struct tdo_shape *shape;
		uint64_t best;
	} e[];
};

/* A place for one policy in one table, with all memory that it takes. */
struct tdo_shape_plan {
	struct tdo_shape *shape;
	struct tdo_shapes *list; /* to be published, or NULL */
	bool fresh;              /* shape is new */
};

TDO_MUST_CHECK int tdo_shape_plan(
    struct tdo_engine *e, const struct tdo_sp *sp, bool by_addr, struct tdo_shape_plan *ret);
void tdo_shape_cancel(struct tdo_engine *e, struct tdo_shape_plan *plan);
/* Cannot fail.  Sets sp->shape or sp->ashape. */
void tdo_shape_commit(struct tdo_engine *e, struct tdo_shape_plan *plan, struct tdo_sp *sp);
/* Takes sp out of both tables; no lookup sees it any more. */
void tdo_shape_remove(struct tdo_engine *e, struct tdo_sp *sp);
/* The policy in force with these selectors, or NULL. */
struct tdo_sp *tdo_shape_find(const struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel);
void tdo_shapes_fini(struct tdo_engine *e);

static inline bool
tdo_sp_visible(const struct tdo_sp *sp, uint64_t version)
{
	return sp->born <= version &&
	       version < atomic_load_explicit(&sp->died, memory_order_relaxed);
}

/* ---- objects ------------------------------------------------------------------------ */

/* Checks *p; 0 or -EINVAL with *err. */
TDO_MUST_CHECK int tdo_sp_validate(
    struct tdo_engine *e, const struct tdo_sp_param *p, struct tdo_err *err);
/* An unpublished object of valid parameters, or NULL without memory. */
struct tdo_sp *tdo_sp_new(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now);

/* ---- all of it ---------------------------------------------------------------------- */

struct tdo_spd {
	_Atomic uint64_t version;
	struct tdo_shapes *_Atomic shapes[2][2][2]; /* [dir][family][by_addr] */
	struct tdo_htab by_tunnel;                  /* struct tdo_sp_req of inbound policies */
	/* control thread only */
	struct tdo_htab by_key;   /* shapes */
	struct tdo_htab by_id;    /* policies in force */
	struct tdo_htab by_reqid; /* struct tdo_sp_req with picked reqids */
	struct tdo_sp *first[2];  /* [dir] in search order */
	struct tdo_prios prios[2];
	struct tdo_wheel timers; /* of lifetimes */
	unsigned n, nreqids16;   /* policies; requests with a picked reqid of 16 bits */
	uint32_t next_id, next_reqid, next_reqid32;
};

static inline uint64_t
tdo_hash_u32(const struct tdo_engine *e, uint32_t v)
{
	return tdo_siphash(&e->hash_key, &v, sizeof(v));
}

/* Index of a direction in the arrays. */
static inline unsigned
tdo_dir_index(uint8_t dir)
{
	return dir == TDO_DIR_OUT;
}

/* ---- request ids -------------------------------------------------------------------- */

void tdo_spd_reqids_init(struct tdo_spd *d);
/* Replaces 0 and numbers above the manual range; old: the policy that sp will replace. */
void tdo_spd_pick_reqids(struct tdo_engine *e, struct tdo_sp *sp, const struct tdo_sp *old);
void tdo_spd_index_reqids(struct tdo_engine *e, struct tdo_sp *sp);
void tdo_spd_unindex_reqids(struct tdo_engine *e, struct tdo_sp *sp);

#endif
