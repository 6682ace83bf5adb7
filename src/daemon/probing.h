/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control thread does about path MTUs: reads ICMP errors about protected packets, and
 * sends the probes that paths.h wants.
 */
#ifndef TDO_DAEMON_PROBING_H
#define TDO_DAEMON_PROBING_H

#include "daemon/loop.h"
#include "daemon/paths.h"

struct tdo_process;

struct tdo_probing {
	struct tdo_process *process;
	struct tdo_paths paths;
	struct tdo_source icmp4, icmp6;
	uint8_t *buf; /* room for one packet of any size */
};

/* 0, -ENOMEM or -errno.  To be ended in any case. */
TDO_MUST_CHECK int tdo_probing_init(struct tdo_probing *p, struct tdo_process *d);
void tdo_probing_fini(struct tdo_probing *p);
/* Does what is due. */
void tdo_probing_tick(struct tdo_probing *p, tdo_ns now);
/* Milliseconds until something is, max at most. */
int tdo_probing_wait(const struct tdo_probing *p, tdo_ns now, int max);

#endif
