/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a local socket. */
#ifndef TDO_DAEMON_PEER_H
#define TDO_DAEMON_PEER_H

#include "daemon/data.h"

/*
 * True for root, for the user who runs the daemon, and for members of the access group.  Ids are
 * translated by the kernel into our user namespace.  *ret_pid: 0 when it is not known.
 */
bool tdo_peer_privileged(int fd, const struct tdo_data_env *env, uint32_t *ret_pid);

#endif
