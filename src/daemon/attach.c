/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/attach.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "os/rawsock.h"
#include "os/route.h"
#include "os/sysctl.h"
#include "os/tun.h"
#include "os/udpsock.h"

#define TUN_MTU   65535 /* O6: whole datagrams, as transport mode needs (RFC 4303 3.3.4) */
#define TUN_QUEUE 2000

/* IANA's dummy address (RFC 7600): rp_filter needs some address on the TUN (I4). */
static const uint8_t tun_addr[4] = {192, 0, 0, 8};

static const struct {
	enum tdo_af af;
	const char *key, *value;
} settings[] = {
    {TDO_AF_INET, "rp_filter", "2"},    /* I4: loose, whatever "all" says */
    {TDO_AF_INET, "accept_local", "1"}, /* I5: decapsulated packets from an own address */
    {TDO_AF_INET, "send_redirects", "0"},
    {TDO_AF_INET6, "disable_ipv6", "0"},
    {TDO_AF_INET6, "addr_gen_mode", "1"}, /* O16: none, so no MLD and no solicitations */
    {TDO_AF_INET6, "accept_ra", "0"},
    {TDO_AF_INET6, "router_solicitations", "0"},
};

/* ---- TUN, rules, routes ------------------------------------------------------------- */

/* Returns how many settings had to be made, or -errno. */
static int
ensure_settings(const struct tdo_attach *a, enum tdo_af af)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		int r;

		if (settings[i].af != af)
			continue;
		r = tdo_sysctl_ensure(af, a->conf->tun, settings[i].key, settings[i].value);
		if (r < 0)
			return r;
		n += r;
	}
	return n;
}

static struct tdo_rule
rule_of(const struct tdo_attach *a, enum tdo_af af)
{
	return (struct tdo_rule){af, a->conf->rule_priority, a->conf->table, a->marks.divert};
}

/* Adds up what had to be done in *n; false after the first error, kept in *r. */
static bool
step(int result, int *n, int *r)
{
	if (result < 0)
		*r = result;
	else
		*n += result;
	return result >= 0;
}

/* The unreachable route comes first: at no time the table may fall through to main (O5). */
static int
ensure_family(struct tdo_attach *a, enum tdo_af af)
{
	struct tdo_rule rule = rule_of(a, af);
	uint32_t table = a->conf->table;
	int n = 0, r = 0;

	if (step(ensure_settings(a, af), &n, &r) &&
	    (af != TDO_AF_INET ||
		step(tdo_addr4_ensure(&a->route, a->ifindex, tun_addr), &n, &r)) &&
	    step(tdo_route_ensure(&a->route, af, table, 0), &n, &r) &&
	    step(tdo_route_ensure(&a->route, af, table, a->ifindex), &n, &r))
		(void)step(tdo_rule_ensure(&a->route, &rule), &n, &r);
	return r < 0 ? r : n;
}

static bool
start_family(struct tdo_attach *a, enum tdo_af af)
{
	int r = ensure_family(a, af);

	if (r < 0)
		tdo_logf(TDO_LOG_WARN, "IPv%d is not available: %s", (int)af, strerror(-r));
	return r >= 0;
}

static const char *
tun_remedy(int r)
{
	if (r == -EACCES)
		return ": this user needs to read and write the device (mode 0666 is usual)";
	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		return ": the kernel's tun driver is missing (modprobe tun)";
	if (r == -EPERM)
		return ": CAP_NET_ADMIN is needed in this network namespace";
	return "";
}

static int
open_tun(struct tdo_attach *a)
{
	const struct timespec step = {.tv_nsec = 50 * 1000 * 1000};
	bool uso;
	int r = tdo_tun_open(a->conf->tun, a->tun, a->conf->workers, &uso);

	/* EBUSY: a process that is about to die may still hold it. */
	for (int i = 0; i < 30 && r == -EBUSY; i++) {
		(void)nanosleep(&step, NULL);
		r = tdo_tun_open(a->conf->tun, a->tun, a->conf->workers, &uso);
	}
	if (r < 0) {
		tdo_logf(TDO_LOG_ERR, "cannot create %s through /dev/net/tun: %s%s", a->conf->tun,
		    strerror(-r), tun_remedy(r));
		return r;
	}
	a->ifindex = if_nametoindex(a->conf->tun);
	tdo_logf(TDO_LOG_DEBUG, "%s: index %u, %u queues%s", a->conf->tun, a->ifindex,
	    a->conf->workers, uso ? "" : ", no UDP segmentation");
	return 0;
}

static void
close_tun(struct tdo_attach *a)
{
	for (unsigned i = 0; i < a->conf->workers; i++) {
		if (a->tun[i] >= 0)
			close(a->tun[i]);
		a->tun[i] = -1;
	}
}

/* The settings of IPv6 come before the link is up: it would make an address then. */
static int
configure_tun(struct tdo_attach *a)
{
	int r;

	(void)ensure_settings(a, TDO_AF_INET6);
	r = tdo_link_up(&a->route, a->ifindex, TUN_MTU, TUN_QUEUE);
	if (r < 0) {
		tdo_logf(TDO_LOG_ERR, "cannot bring %s up: %s", a->conf->tun, strerror(-r));
		return r;
	}
	a->has_inet = start_family(a, TDO_AF_INET);
	a->has_inet6 = start_family(a, TDO_AF_INET6);
	return a->has_inet || a->has_inet6 ? 0 : -EAFNOSUPPORT;
}

/* ---- open and close ----------------------------------------------------------------- */

static int
open_fence(struct tdo_attach *a)
{
	struct tdo_fence_config cfg = {.marks = a->marks,
	    .queue = a->conf->queue,
	    .persist = a->conf->fail == TDO_FAIL_CLOSED};
	int r;

	r = tdo_queue_open(&a->queue, a->conf->queue);
	a->has_queue = cfg.use_queue = r == 0;
	if (r < 0)
		tdo_logf(TDO_LOG_WARN,
		    "queue %u is not available (%s): clear packets that policies cover are "
		    "dropped unchecked",
		    a->conf->queue, strerror(-r));
	memcpy(cfg.tun, a->conf->tun, sizeof(cfg.tun));
	r = tdo_fence_open(&cfg, &a->fence);
	if (r < 0) {
		tdo_logf(TDO_LOG_ERR, "nftables: %s", strerror(-r));
		return r;
	}
	if (!tdo_fence_has_owner(a->fence))
		tdo_logf(TDO_LOG_WARN,
		    "this kernel does not let a table be owned%s: it is "
		    "watched and made anew when others remove it",
		    cfg.persist ? " and persist" : "");
	return 0;
}

static int
open_watch(struct tdo_attach *a)
{
	uint32_t nft_self = tdo_fence_has_owner(a->fence) ? 0 : tdo_fence_portid(a->fence);
	int r;

	a->watch.ifindex = a->ifindex;
	a->watch.table = a->conf->table;
	a->watch.prefix = TDO_FENCE_PREFIX;
	r = tdo_watch_open(&a->watch, a->route.portid, nft_self);
	if (r < 0)
		tdo_logf(TDO_LOG_ERR, "cannot watch netlink: %s", strerror(-r));
	return r;
}

int
tdo_attach_open(struct tdo_attach *a, const struct tdo_conf *conf)
{
	int r;

	memset(a, 0, sizeof(*a));
	a->conf = conf;
	for (unsigned i = 0; i < TDO_WORKERS_MAX; i++)
		a->tun[i] = -1;
	if (!tdo_marks_init(&a->marks, conf->mark_mask))
		return -EINVAL;
	r = tdo_nl_open(&a->route, NETLINK_ROUTE);
	if (r < 0)
		tdo_logf(TDO_LOG_ERR, "netlink: %s", strerror(-r));
	if (r == 0)
		r = open_tun(a);
	if (r == 0)
		r = configure_tun(a);
	if (r == 0)
		r = open_fence(a);
	if (r == 0)
		r = open_watch(a);
	if (r < 0)
		tdo_attach_close(a);
	return r;
}

static void
remove_family(struct tdo_attach *a, enum tdo_af af)
{
	struct tdo_rule rule = rule_of(a, af);

	(void)tdo_rule_del(&a->route, &rule);
	if (a->ifindex != 0)
		(void)tdo_route_del(&a->route, af, a->conf->table, a->ifindex);
	(void)tdo_route_del(&a->route, af, a->conf->table, 0);
}

/*
 * The fence goes first: nothing is marked any more when rules and routes go.  When the
 * start failed because of a crashed run's leftovers, those stay (fence is NULL then, and
 * its rules and routes serve its table).
 */
void
tdo_attach_close(struct tdo_attach *a)
{
	tdo_watch_close(&a->watch);
	if (a->fence) {
		tdo_fence_remove(a->fence);
		tdo_fence_close(a->fence);
		a->fence = NULL;
		remove_family(a, TDO_AF_INET);
		remove_family(a, TDO_AF_INET6);
	}
	if (a->has_queue)
		tdo_queue_close(&a->queue);
	close_tun(a);
	tdo_nl_close(&a->route);
}

int
tdo_attach_reopen(struct tdo_attach *a)
{
	int r;

	close_tun(a);
	r = open_tun(a);
	if (r == 0)
		r = configure_tun(a);
	a->watch.ifindex = a->ifindex;
	return r;
}

/* ---- workers ------------------------------------------------------------------------ */

/* Missing families are no error; all else is. */
static bool
keep(int fd, int *ret, int *error)
{
	*ret = fd < 0 ? -1 : fd;
	if (fd < 0 && fd != -EAFNOSUPPORT)
		*error = fd;
	return fd >= 0;
}

void
tdo_attach_no_fds(struct tdo_worker_fds *w)
{
	memset(w, 0xff, sizeof(*w)); /* -1 each */
}

static void
open_receivers(enum tdo_af af, unsigned i, unsigned n, int fd[TDO_RAW_PROTOS], int *error)
{
	for (unsigned k = 0; k < TDO_RAW_PROTOS; k++)
		keep(tdo_rawsock_in(af, tdo_raw_proto(k), i, n), &fd[k], error);
}

/* Without them all else works; one line says what is missing. */
static void
open_udp(const struct tdo_attach *a, struct tdo_worker_fds *w, struct tdo_fence_udp *port)
{
	uint32_t own = a->marks.own;
	int e = 0;

	if (a->has_inet) {
		keep(tdo_udpsock_in(TDO_AF_INET, &port->in[0]), &w->udp4_in, &e);
		keep(tdo_udpsock_out(TDO_AF_INET, own, true, &port->out[0]), &w->udp4_out_df, &e);
		keep(tdo_udpsock_out(TDO_AF_INET, own, false, &port->out[0]), &w->udp4_out, &e);
	}
	if (a->has_inet6) {
		keep(tdo_udpsock_in(TDO_AF_INET6, &port->in[1]), &w->udp6_in, &e);
		keep(tdo_udpsock_out(TDO_AF_INET6, own, false, &port->out[1]), &w->udp6_out, &e);
	}
	if (e < 0)
		tdo_logf(TDO_LOG_WARN, "sockets of UDP encapsulation: %s", strerror(-e));
}

static int
open_worker(const struct tdo_attach *a, unsigned i, struct tdo_worker_fds *w)
{
	const struct tdo_marks *m = &a->marks;
	unsigned n = a->conf->workers;
	int e = 0;

	tdo_attach_no_fds(w);
	w->tun = a->tun[i];
	keep(tdo_rawsock_route(), &w->route, &e);
	if (a->has_inet) {
		if (i == 0)
			keep(tdo_rawsock_icmp(TDO_AF_INET), &w->icmp4, &e);
		open_receivers(TDO_AF_INET, i, n, w->raw4_in, &e);
		keep(tdo_rawsock_out(TDO_AF_INET, m->own), &w->raw4_out, &e);
		keep(tdo_rawsock_out(TDO_AF_INET, m->own_clear), &w->raw4_clear, &e);
		keep(tdo_rawsock_mtu(TDO_AF_INET, m->own), &w->mtu4, &e);
	}
	if (a->has_inet6) {
		if (i == 0)
			keep(tdo_rawsock_icmp(TDO_AF_INET6), &w->icmp6, &e);
		open_receivers(TDO_AF_INET6, i, n, w->raw6_in, &e);
		keep(tdo_rawsock_out(TDO_AF_INET6, m->own), &w->raw6_out, &e);
		keep(tdo_rawsock_out(TDO_AF_INET6, m->own_clear), &w->raw6_clear, &e);
		keep(tdo_rawsock_mtu(TDO_AF_INET6, m->own), &w->mtu6, &e);
	}
	return e;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
tdo_attach_close_workers(struct tdo_worker_fds *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		w[i].tun = -1; /* the attachment's */
		for (int k = 0; k < TDO_RAW_PROTOS; k++) {
			close_fd(&w[i].raw4_in[k]);
			close_fd(&w[i].raw6_in[k]);
		}
		close_fd(&w[i].raw4_out);
		close_fd(&w[i].raw6_out);
		close_fd(&w[i].raw4_clear);
		close_fd(&w[i].raw6_clear);
		close_fd(&w[i].mtu4);
		close_fd(&w[i].mtu6);
		close_fd(&w[i].udp4_in);
		close_fd(&w[i].udp6_in);
		close_fd(&w[i].udp4_out_df);
		close_fd(&w[i].udp4_out);
		close_fd(&w[i].udp6_out);
		close_fd(&w[i].route);
		close_fd(&w[i].icmp4);
		close_fd(&w[i].icmp6);
	}
}

int
tdo_attach_workers(const struct tdo_attach *a, struct tdo_worker_fds *w)
{
	struct tdo_fence_udp port = {{0}, {0}};

	for (unsigned i = 0; i < a->conf->workers; i++) {
		int r = open_worker(a, i, &w[i]);

		if (r < 0) {
			tdo_logf(TDO_LOG_ERR, "cannot open raw sockets: %s", strerror(-r));
			tdo_attach_close_workers(w, i + 1);
			return r;
		}
		open_udp(a, &w[i], &port);
	}
	tdo_fence_natt_sockets(a->fence, &port);
	return 0;
}

/* ---- watch -------------------------------------------------------------------------- */

static void
repaired(struct tdo_attach *a, int n, const char *what)
{
	if (n > 0) {
		a->repairs += (uint64_t)n;
		tdo_logf(TDO_LOG_WARN, "%s was changed by another program; put back", what);
	} else if (n < 0) {
		tdo_logf(TDO_LOG_ERR,
		    "%s was changed by another program and cannot be put back: %s", what,
		    strerror(-n));
	}
}

/*
 * A route that another program put where ours should be answers "exists" to ensure; the
 * table is ours alone, so ours replaces it.
 */
static void
repair_family(struct tdo_attach *a, enum tdo_af af, const char *what)
{
	repaired(a, ensure_family(a, af), what);
	(void)tdo_route_put(&a->route, af, a->conf->table, 0);
	(void)tdo_route_put(&a->route, af, a->conf->table, a->ifindex);
}

unsigned
tdo_attach_watch(struct tdo_attach *a)
{
	unsigned e = tdo_watch_read(&a->watch);
	bool link = e & (TDO_WATCH_LINK | TDO_WATCH_UNKNOWN);

	if (e & TDO_WATCH_GONE) {
		a->repairs++;
		return e;
	}
	if (link) {
		int r = tdo_link_up(&a->route, a->ifindex, TUN_MTU, TUN_QUEUE);

		if (r < 0)
			repaired(a, r, a->conf->tun);
	}
	if (link || e & TDO_WATCH_ROUTES) {
		if (a->has_inet)
			repair_family(a, TDO_AF_INET, "rule, route or setting of IPv4");
		if (a->has_inet6)
			repair_family(a, TDO_AF_INET6, "rule, route or setting of IPv6");
	}
	if (e & TDO_WATCH_NFT || (e & TDO_WATCH_UNKNOWN && !tdo_fence_has_owner(a->fence))) {
		int r = tdo_fence_rebuild(a->fence);

		repaired(a, r < 0 ? r : 1, "the nftables table");
	}
	return e & TDO_WATCH_UNKNOWN ? e | TDO_WATCH_LOCAL : e;
}

unsigned
tdo_attach_local(struct tdo_attach *a, struct tdo_addr *out, unsigned max)
{
	int n = tdo_addr_list(&a->route, a->ifindex, out, max);

	if (n < 0) {
		tdo_logf(TDO_LOG_ERR, "cannot list addresses: %s", strerror(-n));
		return 0;
	}
	return (unsigned)n;
}
