/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots of the SAD for dumps of any length (R61, D2). */
#include <errno.h>

#include "engine/sad.h"

struct tdo_sa_snap {
	struct tdo_engine *engine;
	unsigned n, at;
	size_t size;
	struct tdo_sa *sa[]; /* referenced from at on */
};

static bool
wanted(const struct tdo_sa *sa, uint8_t satype)
{
	return satype == TDO_SATYPE_UNSPEC || sa->param.key.satype == satype;
}

int
tdo_sa_snap_new(struct tdo_engine *e, uint8_t satype, struct tdo_sa_snap **ret)
{
	size_t size = sizeof(struct tdo_sa_snap) + e->sad->n * sizeof(struct tdo_sa *);
	struct tdo_sa_snap *s = tdo_engine_alloc(e, size);

	if (s == NULL)
		return -ENOMEM;
	s->engine = e;
	s->size = size;
	for (struct tdo_sa *sa = e->sad->first; sa; sa = sa->next) {
		if (!wanted(sa, satype))
			continue;
		tdo_sa_ref(sa);
		s->sa[s->n++] = sa;
	}
	*ret = s;
	return 0;
}

unsigned
tdo_sa_snap_left(const struct tdo_sa_snap *s)
{
	return s->n - s->at;
}

bool
tdo_sa_snap_next(struct tdo_sa_snap *s, struct tdo_sa_info *ret)
{
	struct tdo_sa *sa;

	if (s->at == s->n)
		return false;
	sa = s->sa[s->at++];
	tdo_sa_fill_info(s->engine, sa, ret);
	ret->refcnt--; /* the snapshot's own reference */
	tdo_sa_unref(sa);
	return true;
}

void
tdo_sa_snap_free(struct tdo_sa_snap *s)
{
	if (s == NULL)
		return;
	while (s->at < s->n)
		tdo_sa_unref(s->sa[s->at++]);
	tdo_engine_release(s->engine, s, s->size);
}
