/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waits for each client, in order.  Answers are never lost; broadcasts to a client that
 * does not read are bounded.  Memory of messages is wiped: they may hold keys.
 */
#include <errno.h>

#include "base/ct.h"
#include "pfkey/endpoint.h"

static struct tdo_pfkey_item *
item_new(const struct tdo_mem *mem, size_t cap)
{
	struct tdo_pfkey_item *it = mem->alloc(mem->ctx, sizeof(*it) + cap);

	if (!it)
		return NULL;
	it->data = (uint8_t *)(it + 1);
	it->cap = cap;
	return it;
}

static void
item_free(struct tdo_pfkey_client *c, struct tdo_pfkey_item *it)
{
	const struct tdo_mem *mem = &c->k->cfg.mem;

	if (it->len == 0)
		tdo_pfkey_dump_free(&it->dump);
	tdo_wipe(it->data, it->len);
	if (it->embedded)
		c->emergency_used = false;
	else
		mem->free(mem->ctx, it, sizeof(*it) + it->cap);
}

static void
push(struct tdo_pfkey_client *c, struct tdo_pfkey_item *it)
{
	it->next = NULL;
	if (c->tail)
		c->tail->next = it;
	else
		c->head = it;
	c->tail = it;
	c->nbroadcast += it->broadcast;
	c->broadcast_bytes += it->broadcast ? it->cap : 0;
	c->ndump += it->len == 0;
}

static void
pop(struct tdo_pfkey_client *c)
{
	struct tdo_pfkey_item *it = c->head;

	c->head = it->next;
	if (!c->head)
		c->tail = NULL;
	c->nbroadcast -= it->broadcast;
	c->broadcast_bytes -= it->broadcast ? it->cap : 0;
	c->ndump -= it->len == 0;
	item_free(c, it);
}

void
tdo_pfkey_queue_clear(struct tdo_pfkey_client *c)
{
	while (c->head)
		pop(c);
	tdo_pfkey_unreserve(c);
}

/* ---- answers ------------------------------------------------------------------------ */

int
tdo_pfkey_reserve(struct tdo_pfkey_client *c, size_t cap)
{
	c->reserved = item_new(&c->k->cfg.mem, cap);
	return c->reserved ? 0 : -ENOMEM;
}

void
tdo_pfkey_unreserve(struct tdo_pfkey_client *c)
{
	if (c->reserved)
		item_free(c, c->reserved);
	c->reserved = NULL;
}

void
tdo_pfkey_answer(struct tdo_pfkey_client *c, const uint8_t *msg, size_t len)
{
	struct tdo_pfkey_item *it = c->reserved;

	if (!it || len == 0 || len > it->cap) {
		c->k->stats.in_nomem++;
		return;
	}
	c->reserved = NULL;
	memcpy(it->data, msg, len);
	it->len = len;
	c->k->stats.in_one++;
	push(c, it);
}

void
tdo_pfkey_answer_dump(struct tdo_pfkey_client *c, const struct tdo_pfkey_dump *d)
{
	struct tdo_pfkey_item *it = c->reserved;

	c->reserved = NULL;
	it->dump = *d;
	push(c, it);
}

void
tdo_pfkey_answer_emergency(struct tdo_pfkey_client *c, const struct tdo_sadb_base *b)
{
	struct tdo_wr w = tdo_wr_init(c->emergency_data, sizeof(c->emergency_data));

	if (c->emergency_used) {
		c->k->stats.in_nomem++;
		return;
	}
	tdo_sadb_begin(&w, b);
	c->emergency.len = tdo_sadb_end(&w);
	c->emergency_used = true;
	push(c, &c->emergency);
}

/* ---- broadcasts --------------------------------------------------------------------- */

/* Queues a copy, behind a base message when it is wrapped. */
static void
copy_to(struct tdo_pfkey_client *c, bool wrapped, const uint8_t *msg, size_t len)
{
	struct tdo_pfkey *k = c->k;
	size_t cap = len + (wrapped ? TDO_SADB_BASE_LEN : 0);
	struct tdo_pfkey_item *it = NULL;
	struct tdo_wr w;

	if (c->nbroadcast < TDO_PFKEY_QUEUE_MAX && cap <= TDO_PFKEY_MSG_MAX &&
	    c->broadcast_bytes + cap <= TDO_PFKEY_QUEUE_BYTES)
		it = item_new(&k->cfg.mem, cap);
	if (!it) {
		k->stats.in_nomem++;
		return;
	}
	w = tdo_wr_init(it->data, cap);
	if (wrapped)
		tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_PROMISC});
	tdo_wr_bytes(&w, msg, len);
	it->len = wrapped ? tdo_sadb_end(&w) : w.len;
	it->broadcast = true;
	push(c, it);
	if (k->cfg.wake)
		k->cfg.wake(k->cfg.wake_ctx, c->cookie);
}

static bool
belongs(const struct tdo_pfkey_client *c, enum tdo_pfkey_audience audience, uint8_t satype)
{
	switch (audience) {
	case TDO_PFKEY_ALL:
		return c->cred.privileged;
	case TDO_PFKEY_REGISTERED:
		return c->witness ||
		       (satype == TDO_SATYPE_UNSPEC ? c->registered != 0
						    : (c->registered >> satype & 1) != 0);
	default:
		return false;
	}
}

void
tdo_pfkey_broadcast(struct tdo_pfkey *k, enum tdo_pfkey_audience audience, uint8_t satype,
    const struct tdo_pfkey_client *except, const uint8_t *msg, size_t len)
{
	for (struct tdo_pfkey_client *c = k->clients; c; c = c->next)
		if (c != except && belongs(c, audience, satype))
			copy_to(c, false, msg, len);
	k->stats.in_all += audience == TDO_PFKEY_ALL;
	k->stats.in_registered += audience == TDO_PFKEY_REGISTERED;
	tdo_pfkey_copy_promisc(k, NULL, msg, len);
}

void
tdo_pfkey_copy_promisc(
    struct tdo_pfkey *k, const struct tdo_pfkey_client *except, const uint8_t *msg, size_t len)
{
	for (struct tdo_pfkey_client *c = k->clients; c; c = c->next)
		if (c != except && c->promisc)
			copy_to(c, true, msg, len);
}

/* ---- output ------------------------------------------------------------------------- */

bool
tdo_pfkey_pending(const struct tdo_pfkey_client *c)
{
	return c->head != NULL;
}

/* The head's next message; the head goes when that was its last. */
static size_t
take(struct tdo_pfkey_client *c, void *buf, size_t cap)
{
	struct tdo_pfkey_item *it = c->head;
	struct tdo_wr w = tdo_wr_init(buf, cap);
	size_t len = it->len;
	bool last = true;

	if (len > 0) {
		memcpy(buf, it->data, len);
	} else {
		len = tdo_pfkey_dump_next(&it->dump, &w, &last);
		if (len > 0)
			tdo_pfkey_copy_promisc(c->k, c, buf, len);
	}
	if (last)
		pop(c);
	return len;
}

static void
count(struct tdo_pfkey_stats *s, const void *msg, size_t len)
{
	struct tdo_sadb_base b;

	s->in_total++;
	s->in_bytes += len;
	if (tdo_sadb_base_read(msg, len, &b) && b.type < TDO_PFKEY_TYPES)
		s->in_msgtype[b.type]++;
}

size_t
tdo_pfkey_pull(struct tdo_pfkey_client *c, void *buf, size_t cap)
{
	size_t len = 0;

	if (cap < TDO_PFKEY_MSG_MAX)
		return 0;
	while (len == 0 && c->head)
		len = take(c, buf, cap);
	if (len > 0)
		count(&c->k->stats, buf, len);
	c->pulled += len > 0;
	return len;
}
