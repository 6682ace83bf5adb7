/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of the processes: start, restart, stop, and the event loop around them. */
#include "daemon/parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/child.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/parent_int.h"
#include "ipc/names.h"

/* Address space; memory only as far as it is used: some 700 bytes for an SA, 400 for a policy. */
#define STATE_SIZE   (sizeof(size_t) > 4 ? (size_t)2048 << 20 : (size_t)256 << 20)
#define STOP_TIMEOUT (5 * TDO_SEC)
#define BACKOFF_MAX  (30 * TDO_SEC)
#define LIVED_LONG   (60 * TDO_SEC) /* a process that lived that long did not fail at start */
#define IPC_BUFFER   (1024 * 1024)

tdo_ns
tdo_parent_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (tdo_ns)ts.tv_sec * TDO_SEC + (tdo_ns)ts.tv_nsec;
}

/* ---- stopping ----------------------------------------------------------------------- */

static void
begin_stop(struct tdo_parent *p, int status)
{
	if (p->phase == TDO_PHASE_STOPPING)
		return;
	p->phase = TDO_PHASE_STOPPING;
	p->status = status;
	p->restart_at = 0;
	tdo_notify("STOPPING=1");
	if (p->setkey > 0)
		kill(p->setkey, SIGTERM);
	if (p->data > 0) {
		tdo_parent_tell_stop(p);
		p->kill_at = tdo_parent_now() + STOP_TIMEOUT;
	}
}

/* ---- setkey files ------------------------------------------------------------------- */

static void
load_next(struct tdo_parent *p)
{
	const char *file;
	pid_t pid;

	if (p->files == p->conf->nsetkey) {
		p->phase = TDO_PHASE_RUNNING;
		tdo_logf(TDO_LOG_INFO, "running");
		tdo_notify("READY=1");
		return;
	}
	p->phase = TDO_PHASE_LOADING;
	file = p->conf->setkey[p->files++];
	pid = tdo_child_setkey(file);
	if (pid < 0) {
		tdo_logf(TDO_LOG_ERR, "cannot run setkey -f %s: %s", file, strerror(-pid));
		begin_stop(p, EXIT_FAILURE);
		return;
	}
	p->setkey = pid;
}

static void
setkey_ended(struct tdo_parent *p, int status)
{
	p->setkey = 0;
	if (p->phase == TDO_PHASE_STOPPING)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		load_next(p);
		return;
	}
	tdo_logf(TDO_LOG_ERR, "setkey -f %s failed, see its message above",
	    p->conf->setkey[p->files - 1]);
	begin_stop(p, EXIT_FAILURE);
}

/* ---- the data process --------------------------------------------------------------- */

void
tdo_parent_on_ready(struct tdo_parent *p)
{
	if (p->phase == TDO_PHASE_STARTING)
		load_next(p);
}

/* A pair of which the parent's end does not block. */
static int
make_pair(struct tdo_parent *p)
{
	int fd[2], size = IPC_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) != 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		if (setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
			(void)setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	p->ipc = fd[0];
	p->env.ipc = fd[1];
	return 0;
}

static void
close_ipc(struct tdo_parent *p)
{
	if (p->ipc >= 0)
		close(p->ipc);
	p->ipc = -1;
}

static int
start_data(struct tdo_parent *p)
{
	pid_t pid;
	int r = make_pair(p);

	if (r < 0)
		return r;
	p->env.recovering = tdo_fence_recovering(p->attach.fence);
	p->env.tun_ifindex = p->attach.ifindex;
	pid = tdo_child_data(&p->env);
	close(p->env.ipc);
	p->env.ipc = -1;
	if (pid < 0) {
		close_ipc(p);
		return pid;
	}
	p->data = pid;
	p->ready = p->incomplete = false; /* the new one says so itself */
	p->env.first_run = false;
	p->started_at = tdo_parent_now();
	tdo_parent_tell_local(p);
	return 0;
}

/* The first restart comes at once, then after 1, 2, 4 ... seconds. */
static void
plan_restart(struct tdo_parent *p)
{
	tdo_ns now = tdo_parent_now(), wait = 0;

	if (now - p->started_at > LIVED_LONG)
		p->failures = 0;
	if (p->failures > 0)
		wait = p->failures > 5 ? BACKOFF_MAX : TDO_SEC << (p->failures - 1);
	p->failures++;
	p->restart_at = now + wait;
}

static void
data_ended(struct tdo_parent *p, int status)
{
	p->data = 0;
	p->ready = false;
	p->kill_at = 0;
	close_ipc(p);
	if (p->phase == TDO_PHASE_STOPPING)
		return;
	if (WIFSIGNALED(status))
		tdo_logf(TDO_LOG_ERR, "data process ended by signal %d", WTERMSIG(status));
	else
		tdo_logf(TDO_LOG_ERR, "data process ended with status %d", WEXITSTATUS(status));
	/* One that never got ready will not do so the next time either. */
	if (p->phase == TDO_PHASE_STARTING) {
		begin_stop(p, EXIT_FAILURE);
		return;
	}
	tdo_fence_age(p->attach.fence);
	plan_restart(p);
}

static void
restart_data(struct tdo_parent *p)
{
	int r;

	p->restart_at = 0;
	p->restarts++;
	r = start_data(p);
	if (r == 0)
		return;
	tdo_logf(TDO_LOG_ERR, "cannot start the data process: %s", strerror(-r));
	plan_restart(p);
}

/* The TUN was deleted: its queues are dead, in the data process as well. */
static void
replace_tun(struct tdo_parent *p)
{
	int r = tdo_attach_reopen(&p->attach);

	tdo_logf(TDO_LOG_WARN, "%s was deleted by another program; made again", p->conf->tun);
	if (r < 0) {
		begin_stop(p, EXIT_FAILURE);
		return;
	}
	for (unsigned i = 0; i < p->conf->workers; i++)
		p->env.worker[i].tun = p->attach.tun[i];
	if (p->data > 0)
		kill(p->data, SIGKILL);
}

/* ---- events ------------------------------------------------------------------------- */

static void
reap(struct tdo_parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->data) {
			/* Its last words, and requests that it made before. */
			(void)tdo_parent_requests(p);
			data_ended(p, status);
		} else if (pid == p->setkey) {
			setkey_ended(p, status);
		}
	}
}

static void
on_signal(struct tdo_parent *p)
{
	struct signalfd_siginfo si;

	while (read(p->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(p);
		else if (si.ssi_signo != SIGHUP)
			begin_stop(p, EXIT_SUCCESS);
	}
}

static void
on_watch(struct tdo_parent *p)
{
	unsigned e = tdo_attach_watch(&p->attach);

	if (p->phase == TDO_PHASE_STOPPING)
		return;
	if (e & TDO_WATCH_GONE)
		replace_tun(p);
	if (e & TDO_WATCH_LOCAL)
		tdo_parent_tell_local(p);
}

static void
on_ipc(struct tdo_parent *p)
{
	int r = tdo_parent_requests(p);

	if (r == 0 || p->data <= 0)
		return;
	/* It hung up, or said what it must not say. */
	if (r == -EPROTO)
		tdo_logf(TDO_LOG_ERR, "data process made no sense; ending it");
	close_ipc(p);
	kill(p->data, SIGKILL);
}

static void
on_time(struct tdo_parent *p)
{
	tdo_ns now = tdo_parent_now();

	if (p->flush_at != 0 && now >= p->flush_at) {
		p->flush_at = 0;
		if (tdo_fence_flush(p->attach.fence) < 0)
			p->flush_at = now + TDO_SEC;
	}
	if (p->restart_at != 0 && now >= p->restart_at)
		restart_data(p);
	if (p->kill_at != 0 && now >= p->kill_at && p->data > 0) {
		p->kill_at = 0;
		kill(p->data, SIGKILL);
	}
}

/* Milliseconds until something is due, rounded up; -1: nothing is. */
static int
timeout(const struct tdo_parent *p)
{
	const tdo_ns at[] = {p->flush_at, p->restart_at, p->kill_at};
	tdo_ns now = tdo_parent_now(), first = 0;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (at[i] != 0 && (first == 0 || at[i] < first))
			first = at[i];
	if (first == 0)
		return -1;
	return first <= now ? 0 : (int)((first - now) / (TDO_SEC / 1000)) + 1;
}

static void
loop(struct tdo_parent *p)
{
	struct tdo_attach *a = &p->attach;

	/* setkey may live a moment longer than we; it fails by itself without a daemon. */
	while (p->phase != TDO_PHASE_STOPPING || p->data > 0) {
		struct pollfd fd[] = {
		    {.fd = p->signals, .events = POLLIN},
		    {.fd = p->ipc, .events = POLLIN},
		    {.fd = tdo_nl_fd(&a->watch.route), .events = POLLIN},
		    {.fd = tdo_nl_fd(&a->watch.nft), .events = POLLIN},
		    {.fd = a->has_queue ? tdo_nl_fd(&a->queue.nl) : -1, .events = POLLIN},
		};

		if (poll(fd, sizeof(fd) / sizeof(fd[0]), timeout(p)) < 0 && errno != EINTR) {
			tdo_logf(TDO_LOG_ERR, "poll: %s", strerror(errno));
			break;
		}
		/* Repairs come first: they close gaps. */
		if (fd[2].revents || fd[3].revents)
			on_watch(p);
		if (fd[1].revents)
			on_ipc(p);
		if (fd[4].revents)
			tdo_parent_packets(p);
		if (fd[0].revents)
			on_signal(p);
		on_time(p);
	}
}

/* ---- start -------------------------------------------------------------------------- */

static int
open_signals(struct tdo_parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals < 0 ? -errno : 0;
}

/*
 * The data process of a run that crashed a moment ago may not be quite dead: it is worth waiting
 * for that before saying that a daemon runs.
 */
static int
listen_patiently(const char *name)
{
	const struct timespec step = {.tv_nsec = 50 * 1000 * 1000};
	int fd = tdo_child_listen(name);

	for (int i = 0; i < 30 && fd == -EADDRINUSE; i++) {
		(void)nanosleep(&step, NULL);
		fd = tdo_child_listen(name);
	}
	return fd;
}

static int
open_listeners(struct tdo_parent *p)
{
	int r = p->env.pfkey_listen = listen_patiently(TDO_PFKEY_NAME);

	if (r >= 0)
		r = p->env.ctl_listen = listen_patiently(TDO_CTL_NAME);
	if (r == -EADDRINUSE)
		tdo_logf(TDO_LOG_ERR, "testudod already runs in this network namespace");
	else if (r < 0)
		tdo_logf(TDO_LOG_ERR, "cannot listen: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/* Memory that the data processes share one after the other; pages are used when touched. */
static int
map_state(struct tdo_parent *p)
{
	void *m = mmap(NULL, STATE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		return -errno;
	/* It holds keys. */
	(void)madvise(m, STATE_SIZE, MADV_DONTDUMP);
	p->env.state = (struct tdo_state_region){m, STATE_SIZE};
	return 0;
}

static int
start(struct tdo_parent *p)
{
	int r;

	p->buf = malloc(TDO_IPC_MSG_MAX);
	if (!p->buf)
		return -ENOMEM;
	r = open_signals(p);
	if (r == 0)
		r = open_listeners(p);
	if (r == 0)
		r = map_state(p);
	if (r == 0)
		r = tdo_attach_open(&p->attach, p->conf);
	if (r < 0)
		return r;
	r = tdo_attach_workers(&p->attach, p->env.worker);
	if (r == 0)
		r = start_data(p);
	if (r < 0)
		tdo_attach_close(&p->attach);
	return r;
}

static void
finish(struct tdo_parent *p)
{
	tdo_attach_close_workers(p->env.worker, p->conf->workers);
	if (p->env.pfkey_listen >= 0)
		close(p->env.pfkey_listen);
	if (p->env.ctl_listen >= 0)
		close(p->env.ctl_listen);
	if (p->env.state.base)
		munmap(p->env.state.base, p->env.state.size);
	if (p->signals >= 0)
		close(p->signals);
	free(p->buf);
}

static void
init(struct tdo_parent *p, const struct tdo_conf *conf)
{
	memset(p, 0, sizeof(*p));
	p->conf = conf;
	p->signals = p->ipc = -1;
	p->env.conf = conf;
	p->env.ipc = p->env.pfkey_listen = p->env.ctl_listen = -1;
	p->env.first_run = true;
	p->env.owner = geteuid();
	for (unsigned i = 0; i < TDO_WORKERS_MAX; i++)
		tdo_attach_no_fds(&p->env.worker[i]);
}

int
tdo_parent_run(const struct tdo_conf *conf)
{
	struct tdo_parent p;
	int r;

	init(&p, conf);
	r = start(&p);
	if (r == 0) {
		loop(&p);
		close_ipc(&p);
		/* Only now, when no process needs it any more. */
		tdo_attach_close(&p.attach);
	} else {
		tdo_logf(TDO_LOG_ERR, "cannot start: %s", strerror(-r));
		p.status = EXIT_FAILURE;
	}
	finish(&p);
	return p.status;
}
