/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots of the SPD for dumps of any length (R61, D2). */
#include <errno.h>

#include "engine/spd.h"

struct tdo_sp_snap {
	struct tdo_engine *engine;
	unsigned n, at;
	size_t size;
	struct tdo_sp *sp[]; /* referenced from at on */
};

int
tdo_sp_snap_new(struct tdo_engine *e, struct tdo_sp_snap **ret)
{
	size_t size = sizeof(struct tdo_sp_snap) + e->spd->n * sizeof(struct tdo_sp *);
	struct tdo_sp_snap *s = tdo_engine_alloc(e, size);

	if (s == NULL)
		return -ENOMEM;
	s->engine = e;
	s->size = size;
	for (unsigned dir = 0; dir < 2; dir++) {
		for (struct tdo_sp *sp = e->spd->first[dir]; sp; sp = sp->next) {
			tdo_sp_ref(sp);
			s->sp[s->n++] = sp;
		}
	}
	*ret = s;
	return 0;
}

unsigned
tdo_sp_snap_left(const struct tdo_sp_snap *s)
{
	return s->n - s->at;
}

bool
tdo_sp_snap_next(struct tdo_sp_snap *s, struct tdo_sp_info *ret)
{
	struct tdo_sp *sp;

	if (s->at == s->n)
		return false;
	sp = s->sp[s->at++];
	tdo_sp_fill_info(s->engine, sp, ret);
	ret->refcnt--; /* the snapshot's own reference */
	tdo_sp_unref(sp);
	return true;
}

void
tdo_sp_snap_free(struct tdo_sp_snap *s)
{
	if (s == NULL)
		return;
	while (s->at < s->n)
		tdo_sp_unref(s->sp[s->at++]);
	tdo_engine_release(s->engine, s, s->size);
}
