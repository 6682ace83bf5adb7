/* SPDX-License-Identifier: BSD-2-Clause */
/* What testudo(8) is told. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "daemon/blames.h"
#include "daemon/counters.h"
#include "daemon/process.h"
#include "os/clock.h"

static json_t *
text(const char *s)
{
	return s != NULL ? json_string(s) : json_null();
}

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* ---- counters ----------------------------------------------------------------------- */

static json_t *
offender(const struct tdo_process *d, enum tdo_reason r, tdo_ns now)
{
	struct tdo_offender o;

	tdo_offender_read(d->engine, r, &o);
	return tdo_offender_json(&o, now);
}

static json_t *
drops(const struct tdo_process *d, const struct tdo_ipc_status *st)
{
	json_t *list = json_array();
	tdo_ns now = tdo_clock_now();

	for (int r = TDO_REASON_NONE + 1; r < TDO_REASON_COUNT; r++) {
		const struct tdo_reason_info *info = tdo_reason_info((enum tdo_reason)r);
		uint64_t n = tdo_drops_read(d->engine, (enum tdo_reason)r);

		if (r == TDO_REASON_GUARD)
			n += st->guard_drops; /* counted by the kernel */
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:o, s:s, s:s, s:o}", "name", info->name, "stage",
			info->stage, "count", number(n), "text", info->text, "remedy", info->remedy,
			"last", n > 0 ? offender(d, (enum tdo_reason)r, now) : json_null()));
	}
	return list;
}

static json_t *
counters(const struct tdo_process *d)
{
	json_t *list = json_array();

	for (int s = 0; s < TDO_STAT_COUNT; s++) {
		const struct tdo_stat_info *info = tdo_stat_info((enum tdo_stat)s);

		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:o, s:s}", "group", info->group, "name", info->name,
			"count", number(tdo_stat_read(d->engine, (enum tdo_stat)s)), "text",
			info->text));
	}
	return list;
}

static json_t *
io_counters(const struct tdo_process *d)
{
	static const struct {
		const char *name, *text;
	} info[] = {
#define IOSTAT(id, name, text) {name, text},
	    TDO_IOSTATS(IOSTAT)
#undef IOSTAT
	};
	json_t *all = json_object();

	for (unsigned i = 0; i < TDO_IOSTAT_COUNT; i++) {
		uint64_t calls = 0, packets = 0, bytes = 0, errors = 0;

		for (unsigned w = 0; w <= d->nworkers; w++) {
			const struct tdo_iostat *s =
			    w < d->nworkers ? &d->worker[w]->stat[i] : &d->stat[i];

			calls += s->calls;
			packets += s->packets;
			bytes += s->bytes;
			errors += s->errors;
		}
		(void)json_object_set_new(all, info[i].name,
		    json_pack("{s:s, s:o, s:o, s:o, s:o, s:f}", "text", info[i].text, "calls",
			number(calls), "packets", number(packets), "bytes", number(bytes), "errors",
			number(errors), "packets-per-call",
			calls > 0 ? (double)packets / (double)calls : 0.0));
	}
	return all;
}

/* ---- status ------------------------------------------------------------------------- */

static json_t *
attachment(const struct tdo_ipc_status *st)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:b}", "guard-drops",
	    number(st->guard_drops), "repairs", number(st->repairs), "queued", number(st->queued),
	    "restarts", number(st->restarts), "cover-entries", number(st->cover_entries),
	    "cover-coarsened", number(st->cover_coarsened), "recovering", st->recovering,
	    "owner-table", st->has_owner_table, "nfqueue", st->has_nfqueue, "inet", st->has_inet,
	    "inet6", st->has_inet6);
}

static json_t *
drivers(const struct tdo_process *d)
{
	json_t *list = json_array();
	const char *name;

	for (unsigned i = 0; (name = tdo_crypto_driver_at(d->crypto, i)) != NULL; i++)
		(void)json_array_append_new(list, text(name));
	return list;
}

static json_t *
status(const struct tdo_process *d, const struct tdo_ipc_status *st)
{
	struct tdo_spd_counts n = tdo_engine_counts(d->engine);
	const struct tdo_conf *c = d->env->conf;

	return json_pack("{s:s, s:s, s:s, s:o, s:i, s:i, s:i, s:b, s:o, s:o,"
			 " s:{s:s, s:i, s:i, s:i, s:i, s:s},"
			 " s:{s:b, s:b, s:b}, s:{s:i, s:o, s:i}, s:{s:o, s:o, s:b}}",
	    "version", TDO_VERSION, "with", TDO_WITH, "without", TDO_WITHOUT, "uptime",
	    number((tdo_clock_now() - d->started) / TDO_SEC), "workers", (int)d->nworkers, "sas",
	    (int)n.sas, "policies", (int)n.sps, "recovering",
	    (int)atomic_load_explicit(&d->recovering, memory_order_relaxed), "drivers", drivers(d),
	    "attachment", attachment(st), "config", "tun", c->tun, "mark-mask", (int)c->mark_mask,
	    "rule-priority", (int)c->rule_priority, "table", (int)c->table, "queue", (int)c->queue,
	    "fail", c->fail == TDO_FAIL_OPEN ? "open" : "closed", "sandbox", "user",
	    (int)d->sandbox.user, "landlock", (int)d->sandbox.landlock, "seccomp",
	    (int)d->sandbox.seccomp, "pfkey", "clients", (int)tdo_keyserver_clients(d->keys),
	    "lost", number(tdo_pfkey_lost(d->pfkey)), "own", 1, "state", "journal-used",
	    number(d->has_state ? tdo_state_used(&d->state) : 0), "no-counter-slot",
	    number(d->state.no_slot), "incomplete", (int)d->journal.full);
}

static json_t *
paths(struct tdo_process *d)
{
	json_t *list = json_array();
	tdo_ns now = tdo_clock_now();

	for (unsigned i = 0; i < TDO_PATHS; i++) {
		char dst[TDO_ADDR_STRLEN];
		struct tdo_path x;

		if (!tdo_paths_at(&d->probing.paths, i, &x))
			break; /* places are taken from the first on */
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:o, s:o, s:b, s:o}", "dst", tdo_addr_str(&x.dst, dst), "mtu",
			number(tdo_path_mtu(&x)), "link", number(x.link), "answers", (int)x.answers,
			"used", number(now > x.used ? (now - x.used) / TDO_SEC : 0)));
	}
	return list;
}

static json_t *
stats(struct tdo_process *d, const struct tdo_ipc_status *st)
{
	json_t *j = status(d, st);

	if (j == NULL)
		return NULL;
	(void)json_object_set_new(j, "drops", drops(d, st));
	(void)json_object_set_new(j, "counters", counters(d));
	(void)json_object_set_new(j, "io", io_counters(d));
	(void)json_object_set_new(j, "paths", paths(d));
	return j;
}

static json_t *
netstat(const struct tdo_process *d, const struct tdo_ipc_status *st)
{
	const struct tdo_counter_from from = {
	    .e = d->engine, .pfkey = tdo_pfkey_stats(d->pfkey), .guard_drops = st->guard_drops};

	return tdo_counters_json(&from);
}

json_t *
tdo_process_answer(void *ctx, const json_t *request)
{
	struct tdo_process *d = ctx;
	const char *op = json_string_value(json_object_get(request, "op"));
	struct tdo_ipc_status st = {0};

	if (op == NULL)
		return NULL;
	if (strcmp(op, "drops") == 0)
		return tdo_blames_json(d->engine, TDO_BLAMES_MAX, tdo_clock_now());
	if (strcmp(op, "sysctl") == 0)
		return tdo_process_sysctl(d, request);
	if (tdo_parentlink_status(&d->parent, &st) != 0)
		return json_pack("{s:s}", "error", "the parent process does not answer");
	if (strcmp(op, "netstat") == 0)
		return netstat(d, &st);
	if (strcmp(op, "stats") == 0)
		return stats(d, &st);
	if (strcmp(op, "status") == 0)
		return status(d, &st);
	return NULL;
}
