/* SPDX-License-Identifier: BSD-2-Clause */
/* The control server (ipc/ctl.h): answers testudo(8). */
#ifndef TDO_DAEMON_CTLSERVER_H
#define TDO_DAEMON_CTLSERVER_H

#include <jansson.h>

#include "daemon/data.h"
#include "daemon/loop.h"
#include "testudo/types.h"

#define TDO_CTL_CLIENTS_MAX   64
#define TDO_CTL_STRANGERS_MAX 16

struct tdo_ctlserver;

/* Makes the answer to one request of a privileged client: a new reference, or NULL. */
typedef json_t *(*tdo_ctl_answer_fn)(void *ctx, const json_t *request);

TDO_MUST_CHECK int tdo_ctlserver_new(int epfd, const struct tdo_data_env *env,
    tdo_ctl_answer_fn answer, void *ctx, struct tdo_ctlserver **ret);
void tdo_ctlserver_free(struct tdo_ctlserver *s); /* s may be NULL */
/* Frees the connections that ended; after each turn of the loop. */
void tdo_ctlserver_reap(struct tdo_ctlserver *s);

#endif
