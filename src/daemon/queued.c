/* SPDX-License-Identifier: BSD-2-Clause */
/* Clear inbound packets that nftables rules could not decide about. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/process.h"
#include "io/nfq.h"
#include "os/clock.h"
#include "wire/ip.h"

#define CLEAR_CAP (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM)

int
tdo_process_queued_init(struct tdo_process *d)
{
	tdo_tun_init(&d->bare_tun, d->env->worker[0].tun, &d->stat[TDO_IOSTAT_TUN_READ],
	    &d->stat[TDO_IOSTAT_TUN_WRITE]);
	d->clear_buf = malloc(CLEAR_CAP);
	return d->clear_buf == NULL ? -ENOMEM : 0;
}

/* An IP packet in an IP packet, which an IPComp tunnel may have sent so (bare.h). */
static bool
may_be_bare(const struct tdo_process *d, const struct tdo_nfq_packet *q)
{
	struct tdo_ip_info ip;

	return d->bare.n > 0 && !q->forwarded &&
	       tdo_ip_parse(q->p, q->len, &ip) == TDO_REASON_NONE &&
	       (ip.flow.proto == TDO_IPPROTO_IPIP || ip.flow.proto == TDO_IPPROTO_IPV6);
}

/*
 * Delivers what was in the packet, if it is a tunnel's: then the host must not have it as well.
 * Else it is a clear packet as any other, and was checked as that.
 */
static bool
bare_may_pass(struct tdo_process *d, struct tdo_pkt *p)
{
	tdo_in(d->clear, &p, 1, tdo_clock_now());
	if (p->nsas == 0)
		return p->verdict == TDO_VERDICT_PASS;
	if (p->verdict == TDO_VERDICT_PASS && tdo_tun_write(&d->bare_tun, p) != 0)
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_TUN_WRITE, 1);
	return false;
}

static bool
clear_may_pass(struct tdo_process *d, struct tdo_pkt *p)
{
	tdo_in_clear(d->clear, &p, 1, tdo_clock_now());
	return p->verdict == TDO_VERDICT_PASS;
}

static bool
may_pass(struct tdo_process *d, const struct tdo_nfq_packet *q)
{
	struct tdo_pkt p = {.buf = d->clear_buf, .cap = CLEAR_CAP, .off = TDO_HEADROOM};
	bool pass;

	if (q->len > TDO_PKT_MAXLEN) {
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_NO_CLASSIFIER, 1);
		return false;
	}
	if (atomic_load_explicit(&d->recovering, memory_order_relaxed)) {
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_RECOVERING, 1);
		return false;
	}
	memcpy(tdo_pkt_data(&p), q->p, q->len);
	p.len = q->len;
	p.flags = q->forwarded ? TDO_PKT_FORWARDED : 0;
	tdo_worker_resume(d->clear);
	pass = may_be_bare(d, q) ? bare_may_pass(d, &p) : clear_may_pass(d, &p);
	tdo_worker_idle(d->clear);
	return pass;
}

int
tdo_process_queued(struct tdo_process *d, const uint8_t *msg, size_t len)
{
	struct tdo_nfq_packet q;
	struct tdo_ipc_verdict v = {0};

	if (tdo_nfq_parse(msg, len, &q)) {
		v.id = q.id;
		v.accept = may_pass(d, &q);
	} else if (tdo_nfq_id(msg, len, &v.id)) {
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_NO_CLASSIFIER, 1);
	} else {
		return 0; /* nothing that waits for a verdict */
	}
	return tdo_parentlink_tell(&d->parent, TDO_IPC_VERDICT, &v, sizeof(v));
}
