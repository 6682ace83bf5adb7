/* SPDX-License-Identifier: BSD-2-Clause */
/* Dump entries, made from a snapshot one by one while the client takes them. */
#include "base/ct.h"
#include "pfkey/endpoint.h"

void
tdo_pfkey_dump_free(struct tdo_pfkey_dump *d)
{
	tdo_sa_snap_free(d->sa);
	tdo_sp_snap_free(d->sp);
	*d = (struct tdo_pfkey_dump){0};
}

static size_t
next_sa(struct tdo_pfkey_dump *d, struct tdo_wr *w)
{
	struct tdo_sa_info info;
	struct tdo_sadb_base b = {.type = TDO_SADB_DUMP, .pid = d->pid};
	size_t len = 0;

	if (tdo_sa_snap_next(d->sa, &info)) {
		b.satype = info.param.key.satype;
		b.seq = tdo_sa_snap_left(d->sa); /* counts down to 0 */
		b.reserved = tdo_pfkey_refcnt(info.refcnt);
		tdo_sadb_begin(w, &b);
		tdo_sadb_put_sa_info(w, &info, true);
		len = tdo_sadb_end(w);
	}
	tdo_wipe(&info, sizeof(info));
	return len;
}

static size_t
next_sp(struct tdo_pfkey_dump *d, struct tdo_wr *w)
{
	struct tdo_sp_info info;
	struct tdo_sadb_base b = {.type = TDO_SADB_X_SPDDUMP, .pid = d->pid};

	if (!tdo_sp_snap_next(d->sp, &info))
		return 0;
	b.seq = tdo_sp_snap_left(d->sp);
	b.reserved = tdo_pfkey_refcnt(info.refcnt);
	tdo_sadb_begin(w, &b);
	tdo_sadb_put_sp_info(w, &info);
	return tdo_sadb_end(w);
}

size_t
tdo_pfkey_dump_next(struct tdo_pfkey_dump *d, struct tdo_wr *w, bool *ret_last)
{
	const struct tdo_wr start = *w;
	size_t len;

	/* An entry that the format cannot express is left out. */
	do {
		*w = start;
		len = d->sa ? next_sa(d, w) : next_sp(d, w);
		*ret_last = (d->sa ? tdo_sa_snap_left(d->sa) : tdo_sp_snap_left(d->sp)) == 0;
	} while (len == 0 && !*ret_last);
	return len;
}
