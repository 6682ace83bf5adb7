/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting processes: the data process by fork, setkey by spawn. */
#ifndef TDO_DAEMON_CHILD_H
#define TDO_DAEMON_CHILD_H

#include <sys/types.h>

#include "daemon/data.h"

/*
 * Forks a process that runs tdo_data_main(env) with only the descriptors of env and standard
 * input, output and error; it dies with its parent.  Returns its id or -errno.
 */
pid_t tdo_child_data(const struct tdo_data_env *env);

/* Starts "setkey -f file", of the folder of this program or as installed.  Id or -errno. */
pid_t tdo_child_setkey(const char *file);

/* A listening abstract SOCK_SEQPACKET socket, or -errno (-EADDRINUSE: another daemon). */
int tdo_child_listen(const char *name);

#endif
