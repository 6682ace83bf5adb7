/* SPDX-License-Identifier: BSD-2-Clause */
/* Carrying statements out: requests ahead, results in order, dumps. */
#include "setkey/exec.h"

#include <errno.h>
#include <string.h>

#include "setkey/dump.h"
#include "setkey/request.h"

#define RECV_SLICE_MS 250 /* between two looks at the clock for the progress line */

/* why: what else is known, or empty. */
static void
report(struct exec *x, unsigned line, const char *text, const char *why)
{
	x->failed++;
	x->progress.failed++;
	tdo_progress_hide(&x->progress);
	if (x->opt.with_line)
		fprintf(x->out, "The result of line %u: ", line);
	fprintf(x->out, "%s%s%s.\n", text, why[0] ? ": " : "", why);
}

static const char *
error_text(uint8_t type, uint8_t err)
{
	if (err != ENOENT)
		return strerror(err);
	switch (type) {
	case TDO_SADB_DUMP:
		return "No SAD entries";
	case TDO_SADB_X_SPDDUMP:
		return "No SPD entries";
	default:
		return "No entry";
	}
}

/* An in policy covers forwarded packets too, so "fwd" may find its work done. */
static bool
expected(const struct exec_pending *p)
{
	return p->quiet && (p->err == EEXIST || p->err == ENOENT);
}

/* Takes answered requests from the front of the queue and prints their errors. */
static void
retire(struct exec *x)
{
	while (x->n > 0 && x->ring[x->first].answered) {
		const struct exec_pending *p = &x->ring[x->first];

		if (p->err != 0 && !expected(p))
			report(x, p->line, error_text(p->type, p->err), x->why[x->first]);
		x->first = (x->first + 1) % EXEC_WINDOW;
		x->n--;
		x->progress.done++;
	}
}

static void
note_why(char ret[EXEC_WHY_LEN], const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_tdo_why why;

	ret[0] = '\0';
	if (!tdo_sadb_get_tdo_why(m, &why))
		return;
	if (why.ext)
		snprintf(ret, EXEC_WHY_LEN, "%s: %s", tdo_sadb_ext_name(why.ext), why.text);
	else
		snprintf(ret, EXEC_WHY_LEN, "%s", why.text);
}

/* Messages of others reach every PF_KEY socket: an answer has our pid and number. */
static void
match(struct exec *x, const struct tdo_sadb_msg *m)
{
	if (m->base.pid != x->client->pid)
		return;
	for (unsigned i = 0; i < x->n; i++) {
		unsigned at = (x->first + i) % EXEC_WINDOW;
		struct exec_pending *p = &x->ring[at];

		if (p->seq != m->base.seq || p->type != m->base.type || p->answered)
			continue;
		p->answered = true;
		p->err = m->base.err;
		if (p->err != 0)
			note_why(x->why[at], m);
		if (p->type == TDO_SADB_GET && p->err == 0) {
			tdo_progress_hide(&x->progress);
			tdo_dump_sa(x->out, m, time(NULL), x->opt.ports);
		}
		break;
	}
	retire(x);
}

/* As tdo_client_recv(), as long as an answer may take. */
static int
receive(struct exec *x, struct tdo_sadb_msg *m)
{
	int left = x->patience_ms ? x->patience_ms : EXEC_PATIENCE_MS, r = 0;

	for (; r == 0 && left > 0; left -= RECV_SLICE_MS) {
		tdo_progress_tick(&x->progress);
		r = tdo_client_recv(x->client, m, left < RECV_SLICE_MS ? left : RECV_SLICE_MS);
	}
	return r;
}

/* Waits for one message, or for an answer long enough. */
static int
take(struct exec *x)
{
	struct tdo_sadb_msg m;
	int r = receive(x, &m);

	if (r < 0)
		return r;
	if (r > 0) {
		match(x, &m);
		return 0;
	}
	/* spec 2.1: a statement that gets no answer ends silently. */
	x->ring[x->first].answered = true;
	retire(x);
	return 0;
}

/* Sends what was collected. */
static int
push(struct exec *x)
{
	struct client *c = x->client;
	int r = 0;

	/* Never wait for a daemon that waits for us to read its answers. */
	while (r == 0 && c->unsent > 0 && x->n > c->unsent && !tdo_client_writable(c))
		r = take(x);
	return r != 0 ? r : tdo_client_push(c);
}

/* Waits until at most limit requests are unanswered. */
static int
wait_until(struct exec *x, unsigned limit)
{
	int r = 0;

	while (r == 0 && x->n > limit) {
		/* What waits for answers to read has been sent. */
		if (!tdo_client_has_more(x->client))
			r = push(x);
		if (r == 0 && x->n > limit)
			r = take(x);
	}
	return r;
}

int
tdo_exec_wait(struct exec *x)
{
	int r = wait_until(x, 0);

	fflush(x->out);
	return r;
}

/* Takes the request in w and notes that its answer is awaited. */
static int
submit(struct exec *x, struct tdo_wr *w, struct exec_pending p)
{
	/* One at a time while every message is shown, so that answers follow requests. */
	unsigned window = x->client->trace ? 1 : EXEC_WINDOW;
	int r = tdo_client_add(x->client, w);

	if (r < 0)
		return r;
	x->ring[(x->first + x->n++) % EXEC_WINDOW] = p;
	if (r > 0)
		r = push(x);
	return r != 0 ? r : wait_until(x, window - 1);
}

/* ---- dumps -------------------------------------------------------------------------- */

static bool
wanted_sa(const struct exec *x, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_sa sa = {0};

	tdo_sadb_get_sa(m, &sa);
	return x->opt.dead || sa.state != TDO_SA_DEAD;
}

#define POLICY_BY_SYSTEM 0x80 /* sadb_x_policy flags of NetBSD */

static bool
wanted_sp(const struct exec *x, const struct tdo_sadb_msg *m)
{
	struct tdo_sadb_policy p = {0};
	bool socket = !tdo_sadb_has(m, TDO_SADB_EXT_ADDRESS_SRC);

	tdo_sadb_get_policy(m, &p);
	if (x->opt.no_socket && socket)
		return false;
	if (x->opt.global && (socket || (p.flags & POLICY_BY_SYSTEM)))
		return false;
	return !x->opt.scoped || (p.flags & POLICY_BY_SYSTEM);
}

static void
show(struct exec *x, const struct tdo_sadb_msg *m)
{
	if (m->base.type == TDO_SADB_X_SPDDUMP) {
		if (wanted_sp(x, m))
			tdo_dump_sp(x->out, m, x->names);
	} else if (wanted_sa(x, m)) {
		if (x->opt.line)
			tdo_dump_sa_line(x->out, m, time(NULL));
		else
			tdo_dump_sa(x->out, m, time(NULL), x->opt.ports);
	}
}

/* Entries have descending numbers; the last one is 0, and so is an error's end. */
static int
dump(struct exec *x, uint8_t type, uint8_t satype, unsigned line)
{
	struct tdo_sadb_msg m;
	struct tdo_wr w;
	bool any = false;
	int r = tdo_exec_wait(x);

	if (r != 0)
		return r;
	tdo_progress_end(&x->progress);
	tdo_client_begin(x->client, &w, type, satype);
	r = tdo_client_send(x->client, &w);
	if (r != 0)
		return r;
	for (;;) {
		r = receive(x, &m);
		if (r == 0 && any)
			r = -ETIMEDOUT; /* half a dump must not look like a whole one */
		if (r <= 0)
			break;
		if (m.base.type != type) /* a broadcast; dumps go to their requester only */
			continue;
		if (m.base.err != 0) {
			report(x, line, error_text(type, m.base.err), "");
			break;
		}
		any = true;
		x->progress.done++;
		if (!x->progress.apart)
			tdo_progress_hide(&x->progress);
		show(x, &m);
		if (m.base.seq == 0)
			break;
	}
	tdo_progress_end(&x->progress);
	fflush(x->out);
	return r < 0 ? r : 0;
}

int
tdo_exec_dump(struct exec *x, uint8_t satype, unsigned line)
{
	return dump(x, TDO_SADB_DUMP, satype, line);
}

int
tdo_exec_spddump(struct exec *x, unsigned line)
{
	return dump(x, TDO_SADB_X_SPDDUMP, TDO_SATYPE_UNSPEC, line);
}

static int
simple(struct exec *x, uint8_t type, uint8_t satype, unsigned line)
{
	struct tdo_wr w;
	uint32_t seq = tdo_client_begin(x->client, &w, type, satype);

	return submit(
	    x, &w, (struct exec_pending){.seq = seq, .line = line, .type = type, .satype = satype});
}

int
tdo_exec_flush(struct exec *x, uint8_t satype, unsigned line)
{
	return simple(x, TDO_SADB_FLUSH, satype, line);
}

int
tdo_exec_spdflush(struct exec *x, unsigned line)
{
	return simple(x, TDO_SADB_X_SPDFLUSH, TDO_SATYPE_UNSPEC, line);
}

/* ---- statements --------------------------------------------------------------------- */

static uint8_t
satype_of(const struct stmt *s)
{
	return s->sa.proto ? s->sa.proto->satype : TDO_SATYPE_UNSPEC;
}

static int
send_sa(
    struct exec *x, const struct stmt *s, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	struct exec_pending p = {
	    .line = s->line, .type = tdo_request_type(s->kind), .satype = satype_of(s)};
	struct tdo_wr w;

	p.seq = tdo_client_begin(x->client, &w, p.type, p.satype);
	tdo_request_put_sa(&w, s, src, dst);
	return submit(x, &w, p);
}

static int
exec_sa(struct exec *x, const struct stmt *s)
{
	const struct stmt_addrs *src = &s->sa.src, *dst = &s->sa.dst;
	int r = 0;

	for (size_t i = 0; i < src->n && r == 0; i++)
		for (size_t j = 0; j < dst->n && r == 0; j++)
			if (src->v[i].af == dst->v[j].af)
				r = send_sa(x, s, &src->v[i], &dst->v[j]);
	return r;
}

static int
exec_sp(struct exec *x, const struct stmt *s)
{
	struct exec_pending p = {
	    .line = s->line, .type = tdo_request_type(s->kind), .quiet = s->sp.policy.fwd};
	struct tdo_wr w;

	p.seq = tdo_client_begin(x->client, &w, p.type, TDO_SATYPE_UNSPEC);
	tdo_request_put_sp(&w, s);
	return submit(x, &w, p);
}

int
tdo_exec_stmt(struct exec *x, const struct stmt *s)
{
	uint8_t satype = satype_of(s);

	switch (s->kind) {
	case STMT_FLUSH:
		return tdo_exec_flush(x, satype, s->line);
	case STMT_DUMP:
		return tdo_exec_dump(x, satype, s->line);
	case STMT_SPDFLUSH:
		return tdo_exec_spdflush(x, s->line);
	case STMT_SPDDUMP:
		return tdo_exec_spddump(x, s->line);
	case STMT_SPDADD:
	case STMT_SPDUPDATE:
	case STMT_SPDDELETE:
		return exec_sp(x, s);
	default:
		return exec_sa(x, s);
	}
}
