/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY endpoint: clients, and the way of a request from its bytes to its answer. */
#include "pfkey/endpoint.h"

#include <errno.h>

#include "base/ct.h"

/* What answers have beside what they repeat of the request is shorter: an SA with its keys. */
#define ANSWER_MIN 4096

/* ---- endpoint and clients ----------------------------------------------------------- */

int
tdo_pfkey_new(const struct tdo_pfkey_config *cfg, struct tdo_pfkey **ret)
{
	const struct tdo_mem *mem = &cfg->mem;
	struct tdo_pfkey *k = mem->alloc(mem->ctx, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->cfg = *cfg;
	k->scratch = mem->alloc(mem->ctx, TDO_PFKEY_MSG_MAX);
	if (!k->scratch) {
		mem->free(mem->ctx, k, sizeof(*k));
		return -ENOMEM;
	}
	*ret = k;
	return 0;
}

void
tdo_pfkey_free(struct tdo_pfkey *k)
{
	struct tdo_mem mem;

	if (!k)
		return;
	while (k->clients)
		tdo_pfkey_close(k->clients);
	mem = k->cfg.mem;
	mem.free(mem.ctx, k->scratch, TDO_PFKEY_MSG_MAX);
	mem.free(mem.ctx, k, sizeof(*k));
}

int
tdo_pfkey_open(struct tdo_pfkey *k, const struct tdo_pfkey_cred *cred, void *cookie,
    struct tdo_pfkey_client **ret)
{
	struct tdo_pfkey_client *c = k->cfg.mem.alloc(k->cfg.mem.ctx, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->k = k;
	c->cred = *cred;
	c->cookie = cookie;
	c->emergency.embedded = true;
	c->emergency.data = c->emergency_data;
	c->emergency.cap = sizeof(c->emergency_data);
	c->next = k->clients;
	if (c->next)
		c->next->prev = c;
	k->clients = c;
	*ret = c;
	return 0;
}

void
tdo_pfkey_witness(struct tdo_pfkey_client *c)
{
	c->witness = true;
}

void
tdo_pfkey_close(struct tdo_pfkey_client *c)
{
	struct tdo_pfkey *k;

	if (!c)
		return;
	k = c->k;
	tdo_pfkey_queue_clear(c);
	if (c->prev)
		c->prev->next = c->next;
	else
		k->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	if (c->registered != 0)
		tdo_pfkey_tell_acquirers(k);
	k->cfg.mem.free(k->cfg.mem.ctx, c, sizeof(*c));
}

uint64_t
tdo_pfkey_lost(const struct tdo_pfkey *k)
{
	return k->stats.in_nomem;
}

const struct tdo_pfkey_stats *
tdo_pfkey_stats(const struct tdo_pfkey *k)
{
	return &k->stats;
}

void
tdo_pfkey_count_sockerr(struct tdo_pfkey *k)
{
	k->stats.sockerr++;
}

/* ---- what each message type does ---------------------------------------------------- */

enum right { ANYBODY, PRIVILEGED };

_Static_assert(TDO_SADB_MAX < TDO_PFKEY_TYPES, "tdo_pfkey_stats has a counter for each type");

/* RFC 2367 3.1 and spec 4.1: who may send it, and who besides the sender gets the answer. */
static const struct action {
	tdo_pfkey_handler *fn; /* NULL: not for the engine */
	enum right right;
	enum tdo_pfkey_audience audience;
	int err; /* of a message without a handler; 0: EINVAL */
} actions[TDO_SADB_MAX + 1] = {
    [TDO_SADB_GETSPI] = {tdo_pfkey_do_getspi, PRIVILEGED, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_UPDATE] = {tdo_pfkey_do_update, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_ADD] = {tdo_pfkey_do_add, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_DELETE] = {tdo_pfkey_do_delete, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_GET] = {tdo_pfkey_do_get, PRIVILEGED, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_ACQUIRE] = {tdo_pfkey_do_acquire, PRIVILEGED, TDO_PFKEY_REGISTERED, 0},
    [TDO_SADB_REGISTER] = {tdo_pfkey_do_register, ANYBODY, TDO_PFKEY_REGISTERED, 0},
    [TDO_SADB_FLUSH] = {tdo_pfkey_do_flush, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_DUMP] = {tdo_pfkey_do_dump, PRIVILEGED, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_X_PROMISC] = {tdo_pfkey_do_promisc, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_PCHANGE] = {NULL, PRIVILEGED, TDO_PFKEY_NOBODY, EOPNOTSUPP},
    [TDO_SADB_X_SPDUPDATE] = {tdo_pfkey_do_spdupdate, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_SPDADD] = {tdo_pfkey_do_spdadd, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_SPDDELETE] = {tdo_pfkey_do_spddelete, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_SPDGET] = {tdo_pfkey_do_spdget, ANYBODY, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_X_SPDACQUIRE] = {tdo_pfkey_do_spdacquire, PRIVILEGED, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_X_SPDDUMP] = {tdo_pfkey_do_spddump, ANYBODY, TDO_PFKEY_NOBODY, 0},
    [TDO_SADB_X_SPDFLUSH] = {tdo_pfkey_do_spdflush, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_SPDSETIDX] = {tdo_pfkey_do_spdsetidx, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_SPDDELETE2] = {tdo_pfkey_do_spddelete2, PRIVILEGED, TDO_PFKEY_ALL, 0},
    [TDO_SADB_X_NAT_T_NEW_MAPPING] = {NULL, PRIVILEGED, TDO_PFKEY_NOBODY, EOPNOTSUPP},
    [TDO_SADB_X_TDO_ROWS] = {tdo_pfkey_do_rows, ANYBODY, TDO_PFKEY_NOBODY, 0},
};

/* ---- requests ----------------------------------------------------------------------- */

void
tdo_pfkey_reply_object(struct tdo_pfkey_call *call, uint32_t refcnt)
{
	struct tdo_sadb_base b = call->m->base;

	b.err = 0;
	b.reserved = tdo_pfkey_refcnt(refcnt);
	tdo_sadb_begin(&call->w, &b);
}

void
tdo_pfkey_reply(struct tdo_pfkey_call *call)
{
	tdo_pfkey_reply_object(call, 0);
}

void
tdo_pfkey_reply_echo(struct tdo_pfkey_call *call)
{
	const struct tdo_sadb_msg *m = call->m;

	for (unsigned i = 0; i < m->next; i++) {
		unsigned type = m->order[i];

		if (tdo_pfkey_is_told(type))
			tdo_sadb_put_ext(&call->w, &m->ext[type]);
	}
}

/*
 * An error goes to its originator only: the base message alone, with the errno, and the reason for
 * clients that know such a thing.
 */
static void
answer_error(struct tdo_pfkey_client *c, const struct tdo_sadb_base *request, int err,
    const struct tdo_sadb_err *wrong, const struct tdo_err *refused)
{
	struct tdo_sadb_base b = *request;
	struct tdo_sadb_tdo_why why;
	uint8_t buf[ANSWER_MIN];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	size_t len;

	/* PF_KEY users know ENOENT from BSD where the engine says which object is missing. */
	if (err == ESRCH)
		err = ENOENT;
	b.err = (uint8_t)err;
	b.reserved = 0;
	tdo_sadb_begin(&w, &b);
	why = tdo_pfkey_why(b.type, err, wrong, refused);
	if (c->rows && why.text)
		tdo_sadb_put_tdo_why(&w, &why);
	len = tdo_sadb_end(&w);
	tdo_pfkey_answer(c, buf, len);
	tdo_pfkey_broadcast(c->k, TDO_PFKEY_NOBODY, 0, c, buf, len);
}

static int
carry_out(struct tdo_pfkey_call *call, const struct action *a)
{
	if (!a->fn)
		return a->err ? -a->err : -EINVAL;
	if (a->right == PRIVILEGED && !call->c->cred.privileged)
		return -EPERM;
	return a->fn(call);
}

static void
handle(struct tdo_pfkey_client *c, const struct tdo_sadb_msg *m, tdo_ns now)
{
	const struct action *a = &actions[m->base.type];
	struct tdo_pfkey *k = c->k;
	struct tdo_pfkey_call call = {
	    .c = c, .e = k->cfg.engine, .m = m, .now = now, .audience = a->audience};
	size_t len = 0;
	int r;

	call.w = tdo_wr_init(k->scratch, TDO_PFKEY_MSG_MAX);
	r = carry_out(&call, a);
	if (r == 0 && call.w.len > 0) {
		len = tdo_sadb_end(&call.w);
		r = len > 0 ? 0 : -EOVERFLOW; /* a number that the format cannot express */
	}
	tdo_pfkey_debug_request(
	    k, &m->base, m, -r, call.refused.text ? call.refused.text : call.wrong.text);
	if (r < 0) {
		k->stats.out_refused++;
		answer_error(c, &m->base, -r, &call.wrong, &call.refused);
	} else if (len > 0) {
		tdo_pfkey_answer(c, k->scratch, len);
		tdo_pfkey_broadcast(k, call.audience, m->base.satype, c, k->scratch, len);
	}
	tdo_wipe(k->scratch, call.w.len);
}

/* The counter of a message that does not parse. */
static uint64_t *
counter_of(struct tdo_pfkey_stats *s, uint8_t fault)
{
	switch (fault) {
	case TDO_SADB_FAULT_SHORT:
		return &s->out_tooshort;
	case TDO_SADB_FAULT_LENGTH:
		return &s->out_invlen;
	case TDO_SADB_FAULT_VERSION:
		return &s->out_invver;
	case TDO_SADB_FAULT_TYPE:
		return &s->out_invmsgtype;
	case TDO_SADB_FAULT_SATYPE:
		return &s->out_invsatype;
	case TDO_SADB_FAULT_TWICE:
		return &s->out_dupext;
	case TDO_SADB_FAULT_EXT:
		return &s->out_invexttype;
	case TDO_SADB_FAULT_ADDR:
		return &s->out_invaddr;
	default:
		return &s->out_inval;
	}
}

static void
count(struct tdo_pfkey_stats *s, uint8_t type, size_t len, int err, uint8_t fault)
{
	s->out_total++;
	s->out_bytes += len;
	if (err == 0)
		s->out_msgtype[type]++; /* at most TDO_SADB_MAX: it was checked */
	else
		(*counter_of(s, fault))++;
}

void
tdo_pfkey_input(struct tdo_pfkey_client *c, const void *msg, size_t len, tdo_ns now)
{
	struct tdo_sadb_base base = {0};
	struct tdo_sadb_err why = {0};
	struct tdo_sadb_msg m;
	int r;

	if (!tdo_sadb_base_read(msg, len, &base))
		base = (struct tdo_sadb_base){0};
	r = tdo_sadb_parse(msg, len, &m, &why);
	count(&c->k->stats, base.type, len, r, why.fault);
	if (tdo_pfkey_reserve(c, r == 0 ? ANSWER_MIN + len : ANSWER_MIN) < 0) {
		c->k->stats.out_nomem++;
		base.err = ENOMEM;
		base.reserved = 0;
		tdo_pfkey_answer_emergency(c, &base);
		return;
	}
	if (r == 0) {
		handle(c, &m, now);
	} else {
		tdo_pfkey_debug_request(c->k, &base, NULL, -r, why.text);
		answer_error(c, &base, -r, &why, &(struct tdo_err){0});
	}
	tdo_pfkey_unreserve(c);
}
