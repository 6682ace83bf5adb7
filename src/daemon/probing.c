/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/probing.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "daemon/process.h"
#include "os/clock.h"
#include "wire/ip.h"

#define PROBE_CAP  (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM)
#define ICMP_MAX   2048u
#define ICMP_TURN  64 /* messages before others have their turn */
#define PROBES_MAX 32u

static uint64_t
random_number(void)
{
	uint64_t v = 0;

	/* Never short of so few bytes, once the kernel has any. */
	while (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		;
	return v;
}

/* ---- ICMP errors -------------------------------------------------------------------- */

/* An IPv4 socket delivers the IP header too. */
static const uint8_t *
message(uint8_t af, const uint8_t *p, size_t len, size_t *ret_len)
{
	size_t hlen = af == TDO_AF_INET && len > 0 ? (p[0] & 15u) * 4 : 0;

	if (hlen > len || (af == TDO_AF_INET && hlen < TDO_IP4_HLEN))
		return NULL;
	*ret_len = len - hlen;
	return p + hlen;
}

static void
look(struct tdo_probing *p, uint8_t af, const uint8_t *raw, size_t raw_len, tdo_ns now)
{
	struct tdo_process *d = p->process;
	struct tdo_icmp_report r;
	size_t len;
	const uint8_t *msg = message(af, raw, raw_len, &len);
	enum tdo_icmp_verdict v;

	if (msg == NULL)
		return;
	tdo_worker_resume(d->clear);
	v = tdo_icmp_in(d->clear, af, msg, len, now, &r);
	tdo_worker_idle(d->clear);
	if (v == TDO_ICMP_TOO_BIG)
		(void)tdo_paths_too_big(&p->paths, &r.dst, r.mtu, r.quoted_len, now);
}

static void
read_icmp(struct tdo_probing *p, int fd, uint8_t af)
{
	tdo_ns now = tdo_clock_now();
	uint8_t msg[ICMP_MAX];

	for (unsigned i = 0; i < ICMP_TURN; i++) {
		ssize_t n = recv(fd, msg, sizeof(msg), MSG_DONTWAIT);

		if (n < 0)
			break;
		look(p, af, msg, (size_t)n, now);
	}
}

static void
icmp4_ready(struct tdo_source *s, uint32_t events)
{
	(void)events;
	read_icmp((struct tdo_probing *)((char *)s - offsetof(struct tdo_probing, icmp4)), s->fd,
	    TDO_AF_INET);
}

static void
icmp6_ready(struct tdo_source *s, uint32_t events)
{
	(void)events;
	read_icmp((struct tdo_probing *)((char *)s - offsetof(struct tdo_probing, icmp6)), s->fd,
	    TDO_AF_INET6);
}

/* ---- probes ------------------------------------------------------------------------- */

static void
send_raw(const struct tdo_process *d, const struct tdo_pkt *p, const struct tdo_addr *dst)
{
	const struct tdo_worker_fds *fds = &d->env->worker[0];
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {.sin_family = AF_INET};

	/* A probe that cannot be sent is one that is not answered. */
	if (dst->af == TDO_AF_INET6) {
		memcpy(&to6.sin6_addr, dst->b, 16);
		(void)sendto(fds->raw6_out, tdo_pkt_data(p), p->len, MSG_DONTWAIT,
		    (struct sockaddr *)&to6, sizeof(to6));
	} else {
		memcpy(&to4.sin_addr, dst->b, 4);
		(void)sendto(fds->raw4_out, tdo_pkt_data(p), p->len, MSG_DONTWAIT,
		    (struct sockaddr *)&to4, sizeof(to4));
	}
}

static void
send_probe(struct tdo_probing *p, const struct tdo_path_probe *want, tdo_ns now)
{
	struct tdo_process *d = p->process;
	struct tdo_probe probe = {.size = want->size, .nonce = want->nonce};
	struct tdo_pkt pkt = {.buf = p->buf, .cap = PROBE_CAP, .off = TDO_HEADROOM};
	bool made;

	if (want->size > TDO_PKT_MAXLEN)
		return;
	tdo_worker_resume(d->clear);
	made = tdo_probe_make(d->clear, &want->src, &want->dst, &probe, &pkt, now);
	tdo_worker_idle(d->clear);
	if (!made)
		return;
	tdo_paths_sent(&p->paths, want, pkt.len);
	send_raw(d, &pkt, &want->dst);
}

/* ---- dummy packets ------------------------------------------------------------------ */

static uint32_t
dummy_mtu(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	struct tdo_probing *p = ctx;
	struct tdo_path path;

	(void)src;
	/* While nothing else is sent there nobody asked what device and route carry. */
	if (!tdo_paths_get(&p->paths, dst, &path) || path.link == 0)
		return TDO_IP6_MTU_MIN;
	return path.limit != 0 && path.limit < path.link ? path.limit : path.link;
}

/* Those that are due, a few at a time. */
static void
send_dummies(struct tdo_probing *p, tdo_ns now)
{
	struct tdo_process *d = p->process;

	if (now < tdo_dummy_due(d->engine))
		return;
	tdo_worker_resume(d->clear);
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct tdo_pkt pkt = {.buf = p->buf, .cap = PROBE_CAP, .off = TDO_HEADROOM};

		if (!tdo_dummy_make(d->engine, d->clear, dummy_mtu, p, &pkt, now))
			break;
		send_raw(d, &pkt, &pkt.ip.flow.dst);
	}
	tdo_worker_idle(d->clear);
}

void
tdo_probing_tick(struct tdo_probing *p, tdo_ns now)
{
	struct tdo_path_probe probe[PROBES_MAX];
	unsigned n;

	atomic_store_explicit(&p->paths.probing,
	    tdo_knob_get(p->process->engine, TDO_KNOB_PMTU_PROBE, TDO_AF_INET) != 0,
	    memory_order_relaxed);
	n = tdo_paths_tick(&p->paths, now, probe, PROBES_MAX);
	for (unsigned i = 0; i < n; i++)
		send_probe(p, &probe[i], now);
	send_dummies(p, now);
}

int
tdo_probing_wait(const struct tdo_probing *p, tdo_ns now, int max)
{
	tdo_ns due = atomic_load_explicit(&p->paths.due, memory_order_relaxed), ms;
	tdo_ns dummy = tdo_dummy_due(p->process->engine);

	if (due == 0 && dummy == UINT64_MAX)
		return max;
	due = due == 0 || dummy < due ? dummy : due;
	ms = due > now ? (due - now) / (TDO_SEC / 1000) + 1 : 0;
	return ms < (tdo_ns)max ? (int)ms : max;
}

/* ---- start and end ------------------------------------------------------------------ */

static int
watch(struct tdo_probing *p, struct tdo_source *s)
{
	return s->fd >= 0 ? tdo_source_ctl(p->process->epfd, EPOLL_CTL_ADD, s, EPOLLIN) : 0;
}

int
tdo_probing_init(struct tdo_probing *p, struct tdo_process *d)
{
	const struct tdo_worker_fds *fds = &d->env->worker[0];
	int rc;

	p->process = d;
	rc = tdo_paths_init(&p->paths, random_number);
	if (rc != 0)
		return rc;
	p->buf = malloc(PROBE_CAP);
	if (p->buf == NULL)
		return -ENOMEM;
	p->icmp4 = (struct tdo_source){.fd = fds->icmp4, .ready = icmp4_ready};
	p->icmp6 = (struct tdo_source){.fd = fds->icmp6, .ready = icmp6_ready};
	rc = watch(p, &p->icmp4);
	return rc == 0 ? watch(p, &p->icmp6) : rc;
}

void
tdo_probing_fini(struct tdo_probing *p)
{
	if (p->process == NULL)
		return;
	free(p->buf);
	tdo_paths_fini(&p->paths);
}
