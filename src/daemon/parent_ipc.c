/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of the data process.  Everything that comes from it is checked as if an
 * attacker had sent it: it talks to the network.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "daemon/log.h"
#include "daemon/parent_int.h"

#define NARROW_DELAY   (50 * TDO_SEC / 1000) /* removals are collected for that long */
#define SEND_TIMEOUT   5000                  /* ms; a data process that does not read is dead */
#define PACKETS_AT_ONE 64
#define COVERS_MAX     (TDO_IPC_COVERS * sizeof(struct tdo_ipc_cover))

/* ---- sending ------------------------------------------------------------------------ */

static int
send_once(struct tdo_parent *p, struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct iovec iov[2] = {
	    {h, sizeof(*h)}, {(void *)(uintptr_t)body, len}}; /* sendmsg does not write to it */
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	return sendmsg(p->ipc, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* For the few small messages that must arrive; packets leave room for them (may_hand_over). */
static int
tell(struct tdo_parent *p, enum tdo_ipc_type type, uint32_t seq, const void *body, size_t len)
{
	struct tdo_ipc_hdr h = {type, seq};
	struct pollfd pfd = {.fd = p->ipc, .events = POLLOUT};
	int r;

	while ((r = send_once(p, &h, body, len)) == -EAGAIN)
		if (poll(&pfd, 1, SEND_TIMEOUT) == 0)
			return -ETIMEDOUT;
	return r;
}

void
tdo_parent_tell_stop(struct tdo_parent *p)
{
	(void)tell(p, TDO_IPC_STOP, 0, NULL, 0);
}

void
tdo_parent_tell_local(struct tdo_parent *p)
{
	unsigned max = (TDO_IPC_MSG_MAX - sizeof(struct tdo_ipc_hdr)) / sizeof(struct tdo_addr);
	struct tdo_addr *list = (struct tdo_addr *)(void *)p->buf;
	unsigned n = tdo_attach_local(&p->attach, list, max);

	if (p->ipc < 0)
		return;
	if (n > max) {
		tdo_logf(
		    TDO_LOG_WARN, "%u of %u own addresses are known to the spoofing check", max, n);
		n = max;
	}
	(void)tell(p, TDO_IPC_LOCAL, 0, list, n * sizeof(*list));
}

/* ---- requests ----------------------------------------------------------------------- */

static int
reply(struct tdo_parent *p, const struct tdo_ipc_hdr *h, int32_t result)
{
	return tell(p, TDO_IPC_REPLY, h->seq, &result, sizeof(result));
}

static bool
addr_ok(const struct tdo_addr *a, unsigned plen)
{
	struct tdo_addr m;

	if ((a->af != TDO_AF_INET && a->af != TDO_AF_INET6) || plen > tdo_af_bits(a->af))
		return false;
	m = tdo_addr_mask(a, plen);
	return memcmp(m.b, a->b, sizeof(m.b)) == 0;
}

static bool
cover_ok(const struct tdo_ipc_cover *c)
{
	return (c->dir == TDO_DIR_IN || c->dir == TDO_DIR_OUT) && c->sel.src.af == c->sel.dst.af &&
	       addr_ok(&c->sel.src, c->sel.src_plen) && addr_ok(&c->sel.dst, c->sel.dst_plen) &&
	       c->sel.sport.lo <= c->sel.sport.hi && c->sel.dport.lo <= c->sel.dport.hi;
}

static void
narrow_later(struct tdo_parent *p)
{
	if (p->flush_at == 0 && tdo_fence_pending(p->attach.fence))
		p->flush_at = tdo_parent_now() + NARROW_DELAY;
}

/* As tdo_fence_add(); 1 when all packets of the side are covered, whatever is added. */
static int
added(struct tdo_fence *f, const struct tdo_ipc_cover *first, const struct tdo_sel *sel, size_t n)
{
	int r = tdo_fence_add(f, (enum tdo_dir)first->dir, sel, n);
	const struct tdo_cover *m = tdo_fence_cover(f);

	return r == 0 ? tdo_cover_covers_all(m, (enum tdo_dir)first->dir, first->sel.src.af) : r;
}

static int
on_cover_add(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	size_t n = len / sizeof(struct tdo_ipc_cover);
	struct tdo_sel sel[TDO_IPC_COVERS];
	struct tdo_ipc_cover c, first;
	const uint8_t *at = body;
	int r;

	memcpy(&first, at, sizeof(first));
	for (size_t i = 0; i < n; i++, at += sizeof(c)) {
		memcpy(&c, at, sizeof(c));
		if (!cover_ok(&c) || c.dir != first.dir || c.sel.src.af != first.sel.src.af)
			return -EPROTO;
		sel[i] = c.sel;
	}
	r = added(p->attach.fence, &first, sel, n);
	narrow_later(p);
	return h->seq != 0 ? reply(p, h, r) : 0;
}

static int
on_cover_del(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct tdo_ipc_cover c;
	const uint8_t *at = body;
	int r = 0;

	for (; len > 0; len -= sizeof(c), at += sizeof(c)) {
		int one;

		memcpy(&c, at, sizeof(c));
		if (!cover_ok(&c))
			return -EPROTO;
		one = tdo_fence_del(p->attach.fence, (enum tdo_dir)c.dir, &c.sel);
		r = r < 0 ? r : one;
	}
	narrow_later(p);
	return h->seq != 0 ? reply(p, h, r) : 0;
}

static int
on_default(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct tdo_ipc_default d;

	memcpy(&d, body, sizeof(d));
	if ((d.af != TDO_AF_INET && d.af != TDO_AF_INET6) || d.discard > 1)
		return -EPROTO;
	return reply(p, h, tdo_fence_default(p->attach.fence, d.af, d.discard));
}

static int
on_status(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct tdo_attach *a = &p->attach;
	struct tdo_ipc_status s;

	memset(&s, 0, sizeof(s)); /* padding too: it goes to another process */
	s.guard_drops = tdo_fence_guard_drops(a->fence);
	s.repairs = a->repairs;
	s.queued = p->queued;
	s.restarts = p->restarts;
	s.cover_entries = tdo_cover_entries(tdo_fence_cover(a->fence));
	s.cover_coarsened = tdo_cover_coarsened(tdo_fence_cover(a->fence));
	s.recovering = tdo_fence_recovering(a->fence) || p->incomplete;
	s.has_owner_table = tdo_fence_has_owner(a->fence);
	s.has_nfqueue = tdo_fence_has_queue(a->fence);
	s.has_inet = a->has_inet;
	s.has_inet6 = a->has_inet6;
	return tell(p, TDO_IPC_STATUS_REPLY, h->seq, &s, sizeof(s));
}

static int
on_ready(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	if (p->ready)
		return -EPROTO;
	p->ready = true;
	/* Its own entries are in force now; those of its predecessor are not needed any more. */
	if (!p->incomplete)
		tdo_fence_drop_aged(p->attach.fence);
	narrow_later(p);
	tdo_parent_on_ready(p);
	return 0;
}

static int
on_incomplete(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	if (p->ready)
		return -EPROTO;
	p->incomplete = true;
	return 0;
}

static int
on_recovered(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	if (tdo_fence_recovering(p->attach.fence))
		tdo_logf(
		    TDO_LOG_INFO, "policies are loaded; removing the table of the crashed run");
	tdo_fence_recovered(p->attach.fence);
	p->env.recovering = false;
	if (p->incomplete)
		tdo_fence_drop_aged(p->attach.fence);
	p->incomplete = false;
	narrow_later(p);
	return 0;
}

static int
on_reassemble(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	const uint8_t *on = body;

	if (*on > 1)
		return -EPROTO;
	tdo_fence_reassemble(p->attach.fence, *on);
	return 0;
}

static int
on_natt_port(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct tdo_ipc_natt_port n;
	int r;

	memcpy(&n, body, sizeof(n));
	if (n.port == 0 || n.marker > 1 || n.on > 1)
		return -EPROTO;
	r = tdo_fence_natt_port(p->attach.fence, n.port, n.marker, n.on);
	if (r == 0)
		r = tdo_fence_natt_fast(p->attach.fence);
	return h->seq != 0 ? reply(p, h, r) : 0;
}

static int
on_verdict(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	struct tdo_ipc_verdict v;

	memcpy(&v, body, sizeof(v));
	if (v.accept > 1)
		return -EPROTO;
	if (p->attach.has_queue)
		(void)tdo_queue_verdict(&p->attach.queue, v.id, v.accept);
	return 0;
}

static int
on_log(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len)
{
	const uint8_t *b = body;
	char text[1024];
	size_t n = len - 1;

	if (b[0] > TDO_LOG_DEBUG)
		return -EPROTO;
	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	/* One line, without anything that a terminal would obey. */
	for (size_t i = 0; i < n; i++)
		text[i] = b[1 + i] < ' ' || b[1 + i] == 0x7f ? '?' : (char)b[1 + i];
	text[n] = '\0';
	tdo_logf((enum tdo_log_level)b[0], "%s", text);
	return 0;
}

/* All that the data process may say; sizes are exact unless max says more. */
static const struct verb {
	int (*run)(struct tdo_parent *p, const struct tdo_ipc_hdr *h, const void *body, size_t len);
	size_t min, max;
	bool after_ready;
	bool array; /* a multiple of min */
} verbs[] = {
    [TDO_IPC_COVER_ADD] = {on_cover_add, sizeof(struct tdo_ipc_cover), COVERS_MAX, false, true},
    [TDO_IPC_COVER_DEL] = {on_cover_del, sizeof(struct tdo_ipc_cover), COVERS_MAX, false, true},
    [TDO_IPC_COVER_DEFAULT] = {on_default, sizeof(struct tdo_ipc_default), 0, false, false},
    [TDO_IPC_STATUS] = {on_status, 0, 0, false, false},
    [TDO_IPC_READY] = {on_ready, 0, 0, false, false},
    [TDO_IPC_RECOVERED] = {on_recovered, 0, 0, true, false},
    [TDO_IPC_VERDICT] = {on_verdict, sizeof(struct tdo_ipc_verdict), 0, false, false},
    [TDO_IPC_LOG] = {on_log, 1, TDO_IPC_MSG_MAX, false, false},
    [TDO_IPC_INCOMPLETE] = {on_incomplete, 0, 0, false, false},
    [TDO_IPC_REASSEMBLE] = {on_reassemble, sizeof(uint8_t), 0, false, false},
    [TDO_IPC_NATT_PORT] = {on_natt_port, sizeof(struct tdo_ipc_natt_port), 0, false, false},
};

static int
perform(struct tdo_parent *p, size_t len)
{
	const struct verb *v;
	struct tdo_ipc_hdr h;
	size_t body, max;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, p->buf, sizeof(h));
	body = len - sizeof(h);
	if (h.type >= sizeof(verbs) / sizeof(verbs[0]) || !verbs[h.type].run)
		return -EPROTO;
	v = &verbs[h.type];
	max = v->max ? v->max : v->min;
	if (body < v->min || body > max || (v->after_ready && !p->ready) ||
	    (v->array && body % v->min != 0))
		return -EPROTO;
	return v->run(p, &h, p->buf + sizeof(h), body);
}

int
tdo_parent_requests(struct tdo_parent *p)
{
	int r = 0;

	while (r == 0 && p->ipc >= 0) {
		ssize_t n = recv(p->ipc, p->buf, TDO_IPC_MSG_MAX, MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		r = n > TDO_IPC_MSG_MAX ? -EPROTO : perform(p, (size_t)n);
	}
	return r;
}

/* ---- queued packets ----------------------------------------------------------------- */

/* At most half of the socket's buffer is for packets. */
static bool
may_hand_over(const struct tdo_parent *p)
{
	int unread, size;
	socklen_t len = sizeof(size);

	return p->ipc >= 0 && p->ready && ioctl(p->ipc, SIOCOUTQ, &unread) == 0 &&
	       getsockopt(p->ipc, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && unread < size / 2;
}

void
tdo_parent_packets(struct tdo_parent *p)
{
	struct tdo_ipc_hdr h = {TDO_IPC_QUEUED, 0};
	struct tdo_queue *q = &p->attach.queue;

	for (int i = 0; i < PACKETS_AT_ONE; i++) {
		uint32_t id;
		int n = tdo_queue_read(q, p->buf, &id);

		if (n == 0 || n == -ENOBUFS)
			continue;
		if (n < 0)
			return;
		if (may_hand_over(p) && send_once(p, &h, p->buf, (size_t)n) == 0)
			p->queued++;
		else
			(void)tdo_queue_verdict(q, id, false);
	}
}
