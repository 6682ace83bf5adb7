/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names in the abstract socket namespace, which is per network namespace: a client finds the
 * daemon of the namespace it runs in.
 */
#ifndef TDO_IPC_NAMES_H
#define TDO_IPC_NAMES_H

#define TDO_PFKEY_NAME "testudo/pfkey" /* PF_KEY messages, SOCK_SEQPACKET */
#define TDO_CTL_NAME   "testudo/ctl"   /* control requests, SOCK_SEQPACKET */

/*
 * Connects to the server of this network namespace with this name.  Returns the descriptor
 * (close-on-exec) or -errno: -ECONNREFUSED when no daemon runs here, -EPERM when the
 * server is neither uid 0 of this user namespace nor the caller's own uid: any user can
 * bind a name, and keys must not be given to him.
 */
int tdo_ipc_connect(const char *name);

#endif
