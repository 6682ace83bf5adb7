/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One NFQUEUE by libmnl.  Packets are handed over as the kernel's message, unparsed but for
 * the packet id, which comes from the kernel.
 */
#ifndef TDO_OS_QUEUE_H
#define TDO_OS_QUEUE_H

#include <stddef.h>

#include "os/nl.h"

struct tdo_queue {
	struct tdo_nl nl;
	uint16_t queue;
};

#define TDO_QUEUE_MSG_MAX (65535 + 4096) /* a packet and the attributes around it */

/* Binds the queue (non-blocking socket).  0 or -errno; -EBUSY: another process has it. */
int tdo_queue_open(struct tdo_queue *q, uint16_t queue);
void tdo_queue_close(struct tdo_queue *q);
/*
 * Reads one message of a packet into buf of TDO_QUEUE_MSG_MAX bytes.  Returns its length and
 * writes the id, 0 when it was something else, -EAGAIN when nothing waits, or -errno
 * (-ENOBUFS: packets were lost, and with that dropped).
 */
int tdo_queue_read(struct tdo_queue *q, void *buf, uint32_t *ret_id);
/* id in network order, as read.  0 or -errno. */
int tdo_queue_verdict(struct tdo_queue *q, uint32_t id, bool accept);

#endif
