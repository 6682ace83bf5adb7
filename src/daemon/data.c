/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data process: puts engine, servers and workers together and runs the control thread.
 *
 * Order of the start: everything that needs files or privileges; the cage; SAD and SPD of a
 * predecessor; only then packets, so that none is judged by a database that is not complete.
 */
#include "daemon/data.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/keepalive.h"
#include "daemon/marks.h"
#include "daemon/process.h"
#include "daemon/provide.h"
#include "os/clock.h"

#define NS_PER_US      (tdo_ns)1000
#define TICK_MS        100
#define LOCAL_WAIT_MS  5000
#define EVENTS_MAX     64
#define PARENT_TURN    64 /* messages of the parent before others have their turn */
#define RECOVERY_PAUSE (2 * TDO_SEC)
#define NOBODY         65534u
#define GIVE_BACK_MIN  50000u /* SAs and policies whose memory is worth the time */

/* ---- what the library takes from its caller ----------------------------------------- */

void
tdo_process_log(struct tdo_process *d, enum tdo_log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	tdo_parentlink_log(&d->parent, level, line);
}

static void
log_line(void *ctx, enum tdo_log_level level, const char *line)
{
	struct tdo_process *d = ctx;

	/* The parent shows debug messages only with -d; a knob that asks for them is heard. */
	if (level == TDO_LOG_DEBUG && d->engine &&
	    (tdo_knob_get(d->engine, TDO_KNOB_DEBUG, TDO_AF_INET) ||
		tdo_knob_get(d->engine, TDO_KNOB_DEBUG, TDO_AF_INET6)))
		level = TDO_LOG_INFO;
	if (level != TDO_LOG_DEBUG || d->env->conf->debug)
		tdo_parentlink_log(&d->parent, level, line);
}

/* ---- cover -------------------------------------------------------------------------- */

static int
cover_widen(void *ctx, const struct tdo_sp_param *sp)
{
	struct tdo_process *d = ctx;

	return tdo_cover_needed(sp) ? tdo_covering_widen(&d->covering, sp->dir, &sp->sel) : 0;
}

static void
cover_narrow(void *ctx, const struct tdo_sp_param *sp)
{
	struct tdo_process *d = ctx;

	tdo_journal_sp_gone(&d->journal, sp);
	if (tdo_cover_needed(sp))
		tdo_covering_narrow(&d->covering, sp->dir, &sp->sel);
}

static int
cover_default(void *ctx, uint8_t af, bool discard)
{
	struct tdo_process *d = ctx;
	struct tdo_ipc_default def = {.af = af, .discard = discard};

	return tdo_parentlink_ask(&d->parent, TDO_IPC_COVER_DEFAULT, &def, sizeof(def));
}

/* ---- UDP encapsulation ---------------------------------------------------------------- */

static int
natt_port(void *ctx, uint16_t port, bool marker, bool on)
{
	struct tdo_process *d = ctx;
	struct tdo_ipc_natt_port n = {.port = port, .marker = marker, .on = on};
	int r;

	/* Not waited for, as with covers. */
	if (!on)
		return tdo_parentlink_tell(&d->parent, TDO_IPC_NATT_PORT, &n, sizeof(n));
	r = tdo_parentlink_ask(&d->parent, TDO_IPC_NATT_PORT, &n, sizeof(n));
	if (r >= 0)
		atomic_store_explicit(&d->udp_port, (uint16_t)r, memory_order_relaxed);
	return r < 0 ? r : 0;
}

static void
natt_keepalive(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst, uint16_t sport,
    uint16_t dport)
{
	const struct tdo_process *d = ctx;

	tdo_keepalive_send(&d->env->worker[0], src, dst, sport, dport);
}

static void
natt_followed(void *ctx, const struct tdo_sa_key *sa)
{
	struct tdo_process *d = ctx;

	if (d->has_state)
		tdo_journal_sa(&d->journal, sa);
}

/* ---- tunnel packets of IPComp that are not compressed ------------------------------- */

/* The hook that queues packets sees IPv4 reassembled, IPv6 only when it is asked for. */
static void
bare_reassemble(struct tdo_process *d)
{
	uint8_t on = d->bare_ip6 > 0;

	(void)tdo_parentlink_tell(&d->parent, TDO_IPC_REASSEMBLE, &on, sizeof(on));
}

static int
bare_add(void *ctx, const struct tdo_sel *sel)
{
	struct tdo_process *d = ctx;
	int r = tdo_covering_widen(&d->covering, TDO_DIR_IN, sel);

	if (r == 0 && sel->src.af == TDO_AF_INET6 && d->bare_ip6++ == 0)
		bare_reassemble(d);
	return r;
}

static void
bare_del(void *ctx, const struct tdo_sel *sel)
{
	struct tdo_process *d = ctx;

	tdo_covering_narrow(&d->covering, TDO_DIR_IN, sel);
	if (sel->src.af == TDO_AF_INET6 && --d->bare_ip6 == 0)
		bare_reassemble(d);
}

static const struct tdo_bare_ops bare_ops = {bare_add, bare_del};

static void
bare_see(struct tdo_process *d, const struct tdo_sa_param *sa)
{
	int r = tdo_bare_sa(&d->bare, sa);

	if (r < 0)
		tdo_process_log(d, TDO_LOG_ERR,
		    "tunnel packets of an IPComp SA that are not compressed cannot be received: "
		    "%s",
		    strerror(-r));
}

static void
bare_heard(void *ctx, uint8_t satype, const struct tdo_sa_param *sa)
{
	struct tdo_process *d = ctx;

	if (sa != NULL)
		bare_see(d, sa);
	else if (satype == TDO_SATYPE_IPCOMP || satype == TDO_SATYPE_UNSPEC)
		tdo_bare_gone(&d->bare);
}

/* Looks at all SAs: those that were put back, or to find out which are gone. */
static int
bare_sweep(struct tdo_process *d)
{
	struct tdo_sa_snap *snap;
	struct tdo_sa_info sa;
	int r = tdo_sa_snap_new(d->engine, TDO_SATYPE_IPCOMP, &snap);

	if (r != 0)
		return r;
	tdo_bare_sweep_begin(&d->bare);
	while (tdo_sa_snap_next(snap, &sa))
		bare_see(d, &sa.param);
	tdo_sa_snap_free(snap);
	tdo_bare_sweep_end(&d->bare, tdo_clock_now());
	return 0;
}

/* ---- counters that outlive the process ---------------------------------------------- */

static _Atomic uint64_t *
seq_slot(void *ctx, const struct tdo_sa_param *sa)
{
	struct tdo_process *d = ctx;

	/* IPComp counts nothing. */
	if (!d->has_state || sa->key.satype == TDO_SATYPE_IPCOMP)
		return NULL;
	return tdo_state_seq(&d->state, sa);
}

static _Atomic uint32_t *
high_slot(void *ctx, const struct tdo_sa_param *sa)
{
	struct tdo_process *d = ctx;

	return d->has_state ? tdo_state_high(&d->state, sa) : NULL;
}

/* ---- hooks of the PF_KEY server ----------------------------------------------------- */

/* Policies that come together are covered together. */
static void
row_begins(void *ctx, const uint8_t *row, size_t len)
{
	struct tdo_process *d = ctx;

	tdo_covering_expect_row(&d->covering, row, len);
}

static void
policies_came(void *ctx)
{
	struct tdo_process *d = ctx;

	tdo_covering_end(&d->covering);
}

/* Of the journal: the next one, or NULL when there is none. */
static void
policy_comes(void *ctx, const struct tdo_sp_param *sp)
{
	struct tdo_process *d = ctx;

	if (sp != NULL)
		tdo_covering_expect(&d->covering, sp);
	else
		tdo_covering_ask(&d->covering);
}

static void
messages_processed(void *ctx)
{
	struct tdo_process *d = ctx;

	tdo_journal_hear(&d->journal, tdo_clock_now());
}

/*
 * After a crash, policies are complete when who loads them has gone.  Scripts load them by
 * several runs of setkey in a row, so there must be a pause, too.
 */
static void
spd_client_gone(void *ctx)
{
	struct tdo_process *d = ctx;

	if (atomic_load(&d->recovering) && tdo_engine_counts(d->engine).sps > 0)
		d->recovered_at = tdo_clock_now() + RECOVERY_PAUSE;
}

static void
spd_changed(void *ctx)
{
	struct tdo_process *d = ctx;

	if (d->recovered_at != 0)
		d->recovered_at = tdo_clock_now() + RECOVERY_PAUSE;
}

static void
end_recovery(struct tdo_process *d)
{
	d->recovered_at = 0;
	atomic_store(&d->recovering, false);
	if (d->has_state)
		tdo_state_mark(&d->state, TDO_STATE_LOST, false);
	tdo_process_log(d, TDO_LOG_INFO, "policies were loaded again: clear traffic may pass");
	(void)tdo_parentlink_tell(&d->parent, TDO_IPC_RECOVERED, NULL, 0);
}

/* ---- parent ------------------------------------------------------------------------- */

static int
set_local(struct tdo_process *d, const struct tdo_parent_msg *m)
{
	size_t n = m->len / sizeof(struct tdo_addr);
	struct tdo_addr *a = calloc(n + 1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	memcpy(a, m->body, m->len);
	rc = tdo_engine_set_local(d->engine, a, (unsigned)n);
	free(a);
	d->has_local = rc == 0;
	return rc;
}

static void
handle_parent(struct tdo_process *d)
{
	struct tdo_parent_msg m;

	for (unsigned i = 0; i < PARENT_TURN && !d->stop; i++) {
		if (tdo_parentlink_next(&d->parent, &m) <= 0)
			break;
		if (m.type == TDO_IPC_STOP)
			d->stop = true;
		else if (m.type != TDO_IPC_QUEUED && set_local(d, &m) != 0)
			tdo_process_log(d, TDO_LOG_ERR, "cannot keep the list of own addresses");
		else if (m.type == TDO_IPC_QUEUED && tdo_process_queued(d, m.body, m.len) != 0)
			break;
	}
	if (d->parent.broken)
		d->stop = true;
}

static void
parent_ready(struct tdo_source *s, uint32_t events)
{
	struct tdo_process *d =
	    (struct tdo_process *)((char *)s - offsetof(struct tdo_process, parent_source));

	handle_parent(d);
}

/* ---- start -------------------------------------------------------------------------- */

static int
open_state(struct tdo_process *d)
{
	enum tdo_state_found found = TDO_STATE_FRESH;
	struct tdo_hash_key key;
	int rc;

	if (d->env->state.base == NULL)
		return 0;
	tdo_provide_random(NULL, &key, sizeof(key));
	rc = tdo_state_open(
	    &d->state, d->env->state.base, d->env->state.size, !d->env->first_run, &key, &found);
	if (rc != 0)
		return rc;
	d->has_state = true;
	if (found == TDO_STATE_CORRUPT)
		tdo_process_log(d, TDO_LOG_ERR,
		    "what the last data process left is damaged: starting without SAs and "
		    "policies");
	return 0;
}

static int
make_engine(struct tdo_process *d)
{
	struct tdo_crypto_config cc = {
	    .mem = tdo_heap, .nworkers = d->nworkers + 1, .log = log_line, .log_ctx = d};
	struct tdo_engine_config ec = {.mem = tdo_heap,
	    .random = tdo_provide_random,
	    .log = log_line,
	    .log_ctx = d,
	    .nworkers = d->nworkers + 1,
	    .cover = {cover_widen, cover_narrow, cover_default, d},
	    .natt = {natt_port, natt_followed, natt_keepalive, d},
	    .seq_slot = seq_slot,
	    .high_slot = high_slot,
	    .seq_ctx = d};
	int rc = tdo_crypto_new(&cc, &d->crypto);

	if (rc != 0)
		return rc;
	ec.crypto = d->crypto;
	if ((rc = tdo_engine_new(&ec, &d->engine)) != 0)
		return rc;
	tdo_engine_set_wall(d->engine, tdo_clock_wall(), tdo_clock_now());
	d->clear = tdo_engine_worker(d->engine, d->nworkers);
	/* Nobody reads yet, or tables could not grow; d->clear only while it checks a packet. */
	for (unsigned i = 0; i <= d->nworkers; i++)
		tdo_worker_idle(tdo_engine_worker(d->engine, i));
	if (!d->has_state)
		return 0;
	rc = tdo_journal_init(&d->journal, &d->state, d->engine, log_line, d);
	d->journal.heard = bare_heard;
	d->journal.heard_ctx = d;
	d->journal.coming = policy_comes;
	d->journal.came = policies_came;
	d->journal.coming_ctx = d;
	return rc;
}

static int
make_servers(struct tdo_process *d)
{
	struct tdo_keyserver_hooks hooks = {
	    row_begins, policies_came, messages_processed, spd_changed, spd_client_gone, d};
	struct tdo_pfkey_config pc = {
	    .mem = tdo_heap, .engine = d->engine, .wake = tdo_keyserver_wake};
	int rc;

	d->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epfd < 0)
		return -errno;
	d->parent_source = (struct tdo_source){.fd = d->env->ipc, .ready = parent_ready};
	rc = tdo_source_ctl(d->epfd, EPOLL_CTL_ADD, &d->parent_source, EPOLLIN);
	if (rc == 0)
		rc = tdo_keyserver_new(d->epfd, d->env, &hooks, &d->keys);
	if (rc == 0) {
		pc.wake_ctx = d->keys;
		rc = tdo_pfkey_new(&pc, &d->pfkey);
	}
	if (rc == 0) {
		tdo_keyserver_attach(d->keys, d->pfkey);
		rc = tdo_ctlserver_new(d->epfd, d->env, tdo_process_answer, d, &d->ctl);
	}
	return rc;
}

/* What one worker learns of a path all know; errors are sent by the sockets of the first. */
static void
share_paths(struct tdo_process *d, struct tdo_packet_worker *w)
{
	struct tdo_marks marks;

	w->paths = &d->probing.paths;
	w->pmtu.shared = (struct tdo_pmtu_shared){&w->paths->generation, tdo_paths_limit, w->paths};
	w->fds.icmp4 = d->env->worker[0].icmp4;
	w->fds.icmp6 = d->env->worker[0].icmp6;
	if (tdo_marks_init(&marks, d->env->conf->mark_mask))
		w->mtu.mark = marks.own;
}

static int
make_workers(struct tdo_process *d)
{
	const struct tdo_worker_shared shared = {&d->recovering, &d->held, &d->udp_port};
	int rc = tdo_process_queued_init(d);

	if (rc == 0)
		rc = tdo_probing_init(&d->probing, d);
	for (unsigned i = 0; rc == 0 && i < d->nworkers; i++) {
		rc = tdo_packet_worker_new(d->engine, i, &d->env->worker[i],
		    d->env->conf->busy_poll * NS_PER_US, &shared, &d->worker[i]);
		if (rc == 0)
			share_paths(d, d->worker[i]);
	}
	return rc;
}

static int
enter_cage(struct tdo_process *d)
{
	const struct passwd *pw = getpwnam(d->env->conf->user);
	uint32_t uid = pw != NULL ? pw->pw_uid : NOBODY, gid = pw != NULL ? pw->pw_gid : NOBODY;

	if (pw == NULL)
		tdo_process_log(d, TDO_LOG_WARN, "no user %s: the data process runs as %u",
		    d->env->conf->user, NOBODY);
	return tdo_sandbox_drop(uid, gid, &d->sandbox);
}

/*
 * Not all policies are back: what those that are missing covered stays so, and nothing passes
 * in clear, until they are loaded again, as after a crash of the parent.
 */
static int
wait_for_policies(struct tdo_process *d)
{
	tdo_state_mark(&d->state, TDO_STATE_LOST, true);
	tdo_state_mark(&d->state, TDO_STATE_GAPS, false);
	atomic_store(&d->recovering, true);
	tdo_process_log(d, TDO_LOG_ERR,
	    "policies are missing: nothing passes in clear until they are loaded again");
	return tdo_parentlink_tell(&d->parent, TDO_IPC_INCOMPLETE, NULL, 0);
}

static int
restore(struct tdo_process *d)
{
	struct tdo_spd_counts n;
	unsigned failed;
	int rc;

	if (!d->has_state)
		return 0;
	rc = tdo_journal_replay(&d->journal, tdo_clock_now(), &failed);
	if (rc != 0)
		return rc;
	n = tdo_engine_counts(d->engine);
	if (failed > 0)
		tdo_process_log(d, TDO_LOG_ERR, "%u SAs or policies could not be put back", failed);
	if (!d->env->first_run)
		tdo_process_log(d, TDO_LOG_INFO, "put back %u SAs and %u policies", n.sas, n.sps);
	if (tdo_state_marks(&d->state) != 0)
		rc = wait_for_policies(d);
	if (rc == 0)
		rc = bare_sweep(d);
	bare_reassemble(d); /* a predecessor may have wanted something else */
	return rc != 0 ? rc : tdo_journal_listen(&d->journal, d->pfkey);
}

/* Without them a forged own address would pass, and forwarded packets would look local. */
static int
learn_local(struct tdo_process *d)
{
	struct pollfd pfd = {.fd = d->env->ipc, .events = POLLIN};

	for (;;) {
		handle_parent(d);
		if (d->has_local || d->stop)
			return 0;
		if (poll(&pfd, 1, LOCAL_WAIT_MS) <= 0)
			return -ETIMEDOUT; /* the parent sends them first of all */
	}
}

static int
start_workers(struct tdo_process *d)
{
	int rc = 0;

	for (; rc == 0 && d->nstarted < d->nworkers; d->nstarted++)
		rc = tdo_packet_worker_start(d->worker[d->nstarted]);
	if (rc != 0)
		d->nstarted--;
	return rc;
}

static int
start(struct tdo_process *d)
{
	const struct {
		int (*step)(struct tdo_process *d);
		const char *what;
	} steps[] = {
	    {open_state, "shared state"},
	    {make_engine, "engine"},
	    {make_servers, "servers"},
	    {make_workers, "workers"},
	    {enter_cage, "giving up privileges"},
	    {restore, "journal"},
	    {learn_local, "own addresses"},
	    {start_workers, "threads"},
	};

	/* jansson would open /dev/urandom in the cage. */
	uint32_t seed;
	int rc;

	tdo_provide_random(NULL, &seed, sizeof(seed));
	json_object_seed(seed | 1);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		rc = steps[i].step(d);
		if (rc != 0) {
			tdo_process_log(
			    d, TDO_LOG_ERR, "data process: %s: %s", steps[i].what, strerror(-rc));
			return rc;
		}
	}
	rc = tdo_sandbox_seal(&d->sandbox);
	if (rc != 0)
		tdo_process_log(d, TDO_LOG_ERR, "data process: seccomp: %s", strerror(-rc));
	return rc;
}

/* ---- running ------------------------------------------------------------------------ */

/*
 * The allocator keeps what is freed below the top of its heap: after a large flush, all of it.
 * A little later, because things are freed only when no worker can have them any more.
 */
static void
give_back(struct tdo_process *d, tdo_ns at)
{
	struct tdo_spd_counts n = tdo_engine_counts(d->engine);
	unsigned now = n.sas + n.sps;

	if (now > d->most)
		d->most = now;
	if (d->most < GIVE_BACK_MIN || now > d->most / 2 || tdo_engine_busy(d->engine)) {
		d->shrunk_at = 0;
		return;
	}
	if (d->shrunk_at == 0)
		d->shrunk_at = at;
	if (at - d->shrunk_at < TDO_SEC)
		return;
	(void)malloc_trim(0);
	d->most = now;
}

static void
tell_events(struct tdo_process *d, tdo_ns now)
{
	d->untold = tdo_pfkey_events(d->pfkey, now);
	if (d->has_state)
		tdo_journal_hear(&d->journal, now);
}

static void
tick(struct tdo_process *d)
{
	tdo_ns now = tdo_clock_now();

	if (now - d->ticked < TICK_MS * TDO_SEC / 1000 && !tdo_engine_busy(d->engine)) {
		if (d->untold)
			tell_events(d, now);
		return;
	}
	d->ticked = now;
	tdo_engine_set_wall(d->engine, tdo_clock_wall(), now);
	tdo_engine_tick(d->engine, now);
	give_back(d, now);
	tell_events(d, now);
	if (d->recovered_at != 0 && now >= d->recovered_at)
		end_recovery(d);
	if (tdo_bare_due(&d->bare, now))
		(void)bare_sweep(d); /* no memory: the next tick tries again */
}

static void
loop(struct tdo_process *d)
{
	struct epoll_event ev[EVENTS_MAX];

	while (!d->stop) {
		bool more = tdo_parentlink_pending(&d->parent) || tdo_engine_busy(d->engine);
		int most = d->untold ? 1 : TICK_MS;
		int wait = more ? 0 : tdo_probing_wait(&d->probing, tdo_clock_now(), most);
		int n = epoll_wait(d->epfd, ev, EVENTS_MAX, wait);

		for (int i = 0; i < n; i++) {
			struct tdo_source *s = ev[i].data.ptr;

			s->ready(s, ev[i].events);
		}
		if (tdo_parentlink_pending(&d->parent) || d->parent.broken)
			handle_parent(d);
		tick(d);
		tdo_probing_tick(&d->probing, tdo_clock_now());
		tdo_keyserver_flush(d->keys);
		tdo_ctlserver_reap(d->ctl);
		tdo_covering_flush(&d->covering);
	}
}

static void
end(struct tdo_process *d)
{
	for (unsigned i = 0; i < d->nworkers; i++)
		tdo_packet_worker_free(d->worker[i], i < d->nstarted);
	tdo_ctlserver_free(d->ctl);
	tdo_keyserver_free(d->keys);
	if (d->has_state && d->journal.buf != NULL)
		tdo_journal_fini(&d->journal);
	tdo_pfkey_free(d->pfkey);
	tdo_engine_free(d->engine);
	tdo_crypto_free(d->crypto);
	tdo_bare_fini(&d->bare);
	free(d->clear_buf);
	tdo_probing_fini(&d->probing);
	tdo_parentlink_fini(&d->parent);
	if (d->epfd >= 0)
		(void)close(d->epfd);
}

int
tdo_data_main(const struct tdo_data_env *env)
{
	struct tdo_process *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL || tdo_parentlink_init(&d->parent, env->ipc) != 0) {
		free(d);
		return EXIT_FAILURE;
	}
	d->env = env;
	d->epfd = -1;
	d->started = tdo_clock_now();
	tdo_covering_init(&d->covering, &d->parent);
	tdo_bare_init(&d->bare, &bare_ops, d);
	/* One engine handle is the control thread's, for queued packets. */
	d->nworkers = env->conf->workers;
	if (d->nworkers > TDO_WORKERS_MAX - 1)
		d->nworkers = TDO_WORKERS_MAX - 1;
	atomic_store(&d->recovering, env->recovering);
	rc = start(d);
	if (rc == 0) {
		rc = tdo_parentlink_tell(&d->parent, TDO_IPC_READY, NULL, 0);
		loop(d);
	}
	end(d);
	free(d);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
