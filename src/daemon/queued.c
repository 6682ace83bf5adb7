/* SPDX-License-Identifier: BSD-2-Clause */
/* Clear inbound packets that nftables rules could not decide about. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/process.h"
#include "io/nfq.h"
#include "os/clock.h"

#define CLEAR_CAP (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM)

int
tdo_process_queued_init(struct tdo_process *d)
{
	d->clear_buf = malloc(CLEAR_CAP);
	return d->clear_buf == NULL ? -ENOMEM : 0;
}

static bool
may_pass(struct tdo_process *d, const struct tdo_nfq_packet *q)
{
	struct tdo_pkt pkt = {.buf = d->clear_buf, .cap = CLEAR_CAP, .off = TDO_HEADROOM},
		       *p = &pkt;

	if (q->len > TDO_PKT_MAXLEN) {
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_NO_CLASSIFIER, 1);
		return false;
	}
	if (atomic_load_explicit(&d->recovering, memory_order_relaxed)) {
		tdo_worker_count_drop(d->clear, TDO_AT_IN, TDO_REASON_RECOVERING, 1);
		return false;
	}
	memcpy(tdo_pkt_data(p), q->p, q->len);
	p->len = q->len;
	p->flags = q->forwarded ? TDO_PKT_FORWARDED : 0;
	tdo_worker_resume(d->clear);
	tdo_in_clear(d->clear, &p, 1, tdo_clock_now());
	tdo_worker_idle(d->clear);
	return pkt.verdict == TDO_VERDICT_PASS;
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
