/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent process: attaches to the host, keeps a data process running, performs its
 * requests (ipc/proto.h), and detaches in order at SIGTERM or SIGINT.
 */
#ifndef TDO_DAEMON_PARENT_H
#define TDO_DAEMON_PARENT_H

#include "daemon/conf.h"

/* Runs until it is told to stop.  Returns the exit status. */
int tdo_parent_run(const struct tdo_conf *conf);

#endif
