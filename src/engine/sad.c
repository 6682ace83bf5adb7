/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SAD (RFC 4301 4.4.2): the inbound table by destination, protocol and SPI, and a list in
 * order of creation.  The outbound index is in sad_out.c, CPIs of IPComp are in sad_cpi.c.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/dummy.h"
#include "engine/encap.h"
#include "engine/sad.h"

/* ---- keys of the tables ------------------------------------------------------------- */

static uint64_t
hash_spi(const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct {
		struct tdo_addr dst;
		uint32_t spi, proto;
	} k = {*dst, spi, proto};

	return tdo_siphash(&e->hash_key, &k, sizeof(k));
}

static uint64_t
hash_reqid(const struct tdo_engine *e, uint32_t reqid)
{
	return tdo_siphash(&e->hash_key, &reqid, sizeof(reqid));
}

static struct tdo_sa *
of_spi(struct tdo_hnode *n)
{
	return n ? TDO_CONTAINER_OF(n, struct tdo_sa, by_spi) : NULL;
}

/* ---- readers ------------------------------------------------------------------------ */

struct tdo_sa *
tdo_sad_find_in(const struct tdo_engine *e, const struct tdo_addr *dst, uint32_t spi, uint8_t proto)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->by_spi, hash_spi(e, dst, spi, proto), &w);
	for (; n; n = tdo_htab_next(&w)) {
		struct tdo_sa *sa = of_spi(n);

		if (sa->id.spi == spi && sa->id.proto == proto && tdo_addr_equal(&sa->id.dst, dst))
			return sa;
	}
	return NULL;
}

/* ---- tables (control thread) -------------------------------------------------------- */

int
tdo_sad_new(struct tdo_engine *e)
{
	struct tdo_sad *d = tdo_engine_alloc(e, sizeof(*d));
	int r;

	if (d == NULL)
		return -ENOMEM;
	e->sad = d;
	tdo_wheel_init(&d->timers);
	r = tdo_htab_init(&d->by_spi, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->sets, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_reqid, &e->cfg.mem, &e->qsbr);
	if (r == 0)
		r = tdo_htab_init(&d->by_cpi, &e->cfg.mem, &e->qsbr);
	return r;
}

void
tdo_sad_free(struct tdo_engine *e)
{
	while (e->sad && e->sad->first)
		tdo_sad_remove(e, e->sad->first);
}

void
tdo_sad_fini(struct tdo_engine *e)
{
	struct tdo_sad *d = e->sad;

	if (d == NULL)
		return;
	tdo_htab_fini(&d->by_spi);
	tdo_htab_fini(&d->sets);
	tdo_htab_fini(&d->by_reqid);
	tdo_htab_fini(&d->by_cpi);
	tdo_engine_release(e, d, sizeof(*d));
}

static void
link_reqid(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->id.reqid > TDO_REQID_MANUAL_MAX)
		tdo_htab_insert(&e->sad->by_reqid, &sa->by_reqid, hash_reqid(e, sa->id.reqid));
}

static void
unlink_reqid(struct tdo_engine *e, struct tdo_sa *sa)
{
	if (sa->id.reqid > TDO_REQID_MANUAL_MAX)
		tdo_htab_remove(&e->sad->by_reqid, &sa->by_reqid);
}

void
tdo_sad_publish(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	sa->in_sad = true;
	sa->prev = d->last;
	if (d->last)
		d->last->next = sa;
	else
		d->first = sa;
	d->last = sa;
	d->n++;
	tdo_life_arm(e, sa);
	link_reqid(e, sa);
	tdo_htab_insert(
	    &d->by_spi, &sa->by_spi, hash_spi(e, &sa->id.dst, sa->id.spi, sa->id.proto));
	tdo_sad_out_join(e, sa);
	tdo_sad_cpi_join(e, sa);
	tdo_dummy_join(e, sa);
	tdo_engine_changed(e);
}

/* After the grace period. */
static void
let_go(void *ctx, struct tdo_qsbr_node *node)
{
	struct tdo_sa *sa = TDO_CONTAINER_OF(node, struct tdo_sa, retired);

	/* Now it is on no stack any more. */
	tdo_sad_grow(ctx);
	if (!sa->continued)
		tdo_blame_forget_sa(ctx, sa);
	/* No worker has the object any more; whoever still refers to it only reads it. */
	sa->replay.moved = NULL;
	tdo_encap_retire(ctx, sa);
	tdo_sa_unref(sa);
}

static void
replace_in_list(struct tdo_sad *d, struct tdo_sa *old, struct tdo_sa *sa)
{
	sa->prev = old->prev;
	sa->next = old->next;
	*(sa->prev ? &sa->prev->next : &d->first) = sa;
	*(sa->next ? &sa->next->prev : &d->last) = sa;
}

/* The inbound name of sa instead of that of old. */
static void
swap_name(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa)
{
	struct tdo_htab *t = &e->sad->by_spi;

	if (sa->id.spi == old->id.spi && tdo_addr_equal(&sa->id.dst, &old->id.dst)) {
		tdo_htab_replace(t, &old->by_spi, &sa->by_spi);
		return;
	}
	tdo_htab_insert(t, &sa->by_spi, hash_spi(e, &sa->id.dst, sa->id.spi, sa->id.proto));
	tdo_htab_remove(t, &old->by_spi);
}

void
tdo_sad_swap(struct tdo_engine *e, struct tdo_sa *old, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	tdo_life_arm(e, sa); /* before anybody uses it */
	if (!tdo_sad_out_replace(old, sa)) {
		tdo_sad_out_join(e, sa);
		/* First the count: see tdo_sad_remove(). */
		atomic_fetch_add_explicit(&d->removals, 1, memory_order_release);
		tdo_sad_out_leave(e, old);
	}
	replace_in_list(d, old, sa);
	tdo_life_disarm(e, old);
	unlink_reqid(e, old);
	link_reqid(e, sa);
	sa->in_sad = true;
	old->in_sad = false;
	swap_name(e, old, sa);
	tdo_sad_cpi_join(e, sa);
	tdo_sad_cpi_leave(e, old);
	tdo_dummy_leave(e, old);
	tdo_dummy_join(e, sa);
	tdo_engine_changed(e);
	tdo_qsbr_retire(&e->qsbr, &old->retired, let_go);
}

void
tdo_sad_remove(struct tdo_engine *e, struct tdo_sa *sa)
{
	struct tdo_sad *d = e->sad;

	/* First the count: whoever finds the SA gone must also find that something went. */
	atomic_fetch_add_explicit(&d->removals, 1, memory_order_release);
	atomic_store_explicit(&sa->state, TDO_SA_DEAD, memory_order_release);
	*(sa->prev ? &sa->prev->next : &d->first) = sa->next;
	*(sa->next ? &sa->next->prev : &d->last) = sa->prev;
	d->n--;
	sa->in_sad = false;
	tdo_life_disarm(e, sa);
	unlink_reqid(e, sa);
	tdo_htab_remove(&d->by_spi, &sa->by_spi);
	tdo_sad_out_leave(e, sa);
	tdo_sad_cpi_leave(e, sa);
	tdo_dummy_leave(e, sa);
	tdo_engine_changed(e);
	tdo_qsbr_retire(&e->qsbr, &sa->retired, let_go);
}

bool
tdo_sad_reqid_used(const struct tdo_engine *e, uint32_t reqid)
{
	struct tdo_hwalk w;
	struct tdo_hnode *n;

	n = tdo_htab_first(&e->sad->by_reqid, hash_reqid(e, reqid), &w);
	for (; n; n = tdo_htab_next(&w))
		if (TDO_CONTAINER_OF(n, struct tdo_sa, by_reqid)->id.reqid == reqid)
			return true;
	return false;
}

unsigned
tdo_sad_count(const struct tdo_engine *e)
{
	return e->sad->n;
}
