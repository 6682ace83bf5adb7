/* SPDX-License-Identifier: BSD-2-Clause */
/* The data process's objects; all belong to the control thread. */
#ifndef TDO_DAEMON_PROCESS_H
#define TDO_DAEMON_PROCESS_H

#include <jansson.h>

#include "daemon/bare.h"
#include "daemon/covering.h"
#include "daemon/ctlserver.h"
#include "daemon/data.h"
#include "daemon/journal.h"
#include "daemon/parentlink.h"
#include "daemon/pfkeyserver.h"
#include "daemon/probing.h"
#include "daemon/worker.h"
#include "os/sandbox.h"

struct tdo_process {
	struct tdo_covering covering;
	unsigned most;    /* SAs and policies since memory was given back */
	tdo_ns shrunk_at; /* less than half of them are left since then */
	const struct tdo_data_env *env;
	int epfd;
	struct tdo_source parent_source;
	struct tdo_parentlink parent;
	bool has_state;
	struct tdo_state state;
	struct tdo_journal journal;
	struct tdo_crypto *crypto;
	struct tdo_engine *engine;
	struct tdo_pfkey *pfkey;
	struct tdo_keyserver *keys;
	struct tdo_ctlserver *ctl;
	unsigned nworkers, nstarted;
	struct tdo_packet_worker *worker[TDO_WORKERS_MAX];
	struct tdo_worker *clear; /* engine handle for queued packets, of this thread */
	uint8_t *clear_buf;
	struct tdo_bare bare;    /* where some of them may be of IPComp tunnels: */
	unsigned bare_ip6;       /* selectors of these in IPv6 */
	struct tdo_tun bare_tun; /* where these go */
	struct tdo_iostat stat[TDO_IOSTAT_COUNT];
	struct tdo_probing probing;
	struct tdo_sandbox sandbox;
	_Atomic bool recovering;
	_Atomic uint16_t udp_port; /* that super-packets leave with; 0: they cannot */
	_Atomic size_t held;       /* bytes of packets that wait for SAs, of all workers */
	tdo_ns recovered_at;       /* recovering ends then; 0: not known yet */
	tdo_ns started, ticked;
	bool untold;    /* events that key managers have no room for yet */
	bool has_local; /* the engine knows the host's own addresses */
	bool stop;
};

void tdo_process_log(struct tdo_process *d, enum tdo_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ctlanswer.c: tdo_ctl_answer_fn, ctx is the process. */
json_t *tdo_process_answer(void *ctx, const json_t *request);

/* ctlknob.c: the same, for a request about settings. */
json_t *tdo_process_sysctl(struct tdo_process *d, const json_t *request);

/* ctlkey.c: a node of net.key that is no setting, as knobs; NULL: there is no such node. */
json_t *tdo_process_key_node(const struct tdo_process *d, const char *name);

/* queued.c: checks a clear inbound packet that the kernel queued, and says what becomes of it. */
TDO_MUST_CHECK int tdo_process_queued(struct tdo_process *d, const uint8_t *msg, size_t len);
TDO_MUST_CHECK int tdo_process_queued_init(struct tdo_process *d);

#endif
