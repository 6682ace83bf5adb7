/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of the journal: making and reading those that are not plain. */
#include "daemon/record.h"

#include <string.h>

static size_t
key_bytes(uint16_t bits)
{
	return ((size_t)bits + 7) / 8;
}

size_t
tdo_rec_sa_make(const struct tdo_sa_info *sa, struct tdo_rec_sa *r, uint8_t *keys)
{
	size_t elen = key_bytes(sa->param.ekey_bits), alen = key_bytes(sa->param.akey_bits);

	memset(r, 0, sizeof(*r));
	r->param = sa->param;
	r->param.ekey = r->param.akey = NULL;
	r->packets = sa->current.allocations;
	r->bytes = sa->current.bytes;
	r->made = sa->made;
	r->first_used = sa->first_used;
	if (elen > 0)
		memcpy(keys, sa->param.ekey, elen);
	if (alen > 0)
		memcpy(keys + elen, sa->param.akey, alen);
	return elen + alen;
}

void
tdo_rec_sp_make(const struct tdo_sp_info *sp, struct tdo_rec_sp *r)
{
	memset(r, 0, sizeof(*r));
	r->made = sp->made;
	memcpy(r->head, &sp->param, sizeof(r->head));
}

/* Takes used off a limit; true when nothing is left of it. */
static bool
spend(uint64_t *limit, uint64_t used)
{
	if (*limit == 0)
		return false;
	if (used >= *limit)
		return true;
	*limit -= used;
	return false;
}

/* Seconds; since 0: never. */
static uint64_t
elapsed(tdo_ns since, tdo_ns now)
{
	return since != 0 && now > since ? (now - since) / TDO_SEC : 0;
}

static bool
spend_all(struct tdo_lifetime *l, const struct tdo_rec_sa *r, tdo_ns now)
{
	bool over = spend(&l->allocations, r->packets);

	over |= spend(&l->bytes, r->bytes);
	over |= spend(&l->addtime, elapsed(r->made, now));
	over |= spend(&l->usetime, elapsed(r->first_used, now));
	return over;
}

bool
tdo_rec_sa_read(const uint8_t *p, size_t len, tdo_ns now, struct tdo_sa_param *ret, bool *ret_over)
{
	struct tdo_rec_sa r;
	size_t elen, alen;
	bool over;

	if (len < sizeof(r))
		return false;
	memcpy(&r, p, sizeof(r));
	elen = key_bytes(r.param.ekey_bits);
	alen = key_bytes(r.param.akey_bits);
	if (elen > TDO_KEY_MAX || alen > TDO_KEY_MAX || len != sizeof(r) + elen + alen)
		return false;
	over = spend_all(&r.param.hard, &r, now);
	/* A soft lifetime that passed was told to the clients, or is told at once: one second. */
	if (spend_all(&r.param.soft, &r, now))
		r.param.soft = (struct tdo_lifetime){.addtime = 1};
	r.param.ekey = elen > 0 ? p + sizeof(r) : NULL;
	r.param.akey = alen > 0 ? p + sizeof(r) + elen : NULL;
	*ret = r.param;
	*ret_over = over;
	return true;
}

bool
tdo_rec_sp_read(const uint8_t *p, size_t len, tdo_ns now, struct tdo_sp_param *ret, bool *ret_over)
{
	struct tdo_sp_param sp = {0};
	struct tdo_rec_sp r;
	size_t reqs;

	if (len < sizeof(r))
		return false;
	memcpy(&r, p, sizeof(r));
	memcpy(&sp, r.head, sizeof(r.head));
	reqs = sp.nreq * sizeof(sp.req[0]);
	if (sp.nreq > TDO_REQ_MAX || len != sizeof(r) + reqs)
		return false;
	if (reqs > 0)
		memcpy(sp.req, p + sizeof(r), reqs);
	*ret_over = spend(&sp.lifetime, elapsed(r.made, now));
	*ret = sp;
	return true;
}
