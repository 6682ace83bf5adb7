/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by parent.c (life of the processes) and parent_ipc.c (what the data process asks for). */
#ifndef TDO_DAEMON_PARENT_INT_H
#define TDO_DAEMON_PARENT_INT_H

#include "daemon/attach.h"
#include "ipc/proto.h"

enum tdo_parent_phase {
	TDO_PHASE_STARTING, /* until the first READY */
	TDO_PHASE_LOADING,  /* setkey runs */
	TDO_PHASE_RUNNING,
	TDO_PHASE_STOPPING, /* STOP was sent */
};

struct tdo_parent {
	const struct tdo_conf *conf;
	struct tdo_attach attach;
	struct tdo_data_env env;
	enum tdo_parent_phase phase;
	int status; /* exit status, when stopping */

	int signals;     /* signalfd */
	int ipc;         /* to the data process, -1: none */
	pid_t data;      /* 0: none */
	bool ready;      /* this data process sent READY */
	bool incomplete; /* ... and before it INCOMPLETE: aged covers stay */
	pid_t setkey;    /* 0: none */
	unsigned files;  /* setkey files that were started */

	/* Times when something is due, 0 = nothing. */
	tdo_ns flush_at, restart_at, kill_at;
	tdo_ns started_at;
	unsigned failures; /* data processes that died soon, one after the other */

	uint64_t queued, restarts;
	char *buf; /* TDO_IPC_MSG_MAX */
};

tdo_ns tdo_parent_now(void);

/* Called by parent_ipc.c. */
void tdo_parent_on_ready(struct tdo_parent *p);

/* ---- parent_ipc.c ------------------------------------------------------------------- */

/* Reads and performs all requests that wait.  0, or -errno: the data process must end. */
int tdo_parent_requests(struct tdo_parent *p);
/* Hands queued packets over; what cannot be is dropped. */
void tdo_parent_packets(struct tdo_parent *p);
/* Tells the host's addresses. */
void tdo_parent_tell_local(struct tdo_parent *p);
void tdo_parent_tell_stop(struct tdo_parent *p);

#endif
