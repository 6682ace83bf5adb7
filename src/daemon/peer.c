/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a local socket. */
#include "daemon/peer.h"

#include <stdlib.h>
#include <sys/socket.h>

/* Supplementary groups that are looked at first without asking for their number. */
#define GROUPS 64

static bool
in_group(int fd, gid_t gid)
{
	gid_t few[GROUPS], *list = few;
	socklen_t len = sizeof(few);
	bool found = false;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len) != 0) {
		/* ERANGE: len is now the size needed. */
		if (len <= sizeof(few) || (list = malloc(len)) == NULL)
			return false;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) != 0)
			len = 0;
	}
	for (size_t i = 0; i < len / sizeof(gid_t) && !found; i++)
		found = list[i] == gid;
	if (list != few)
		free(list);
	return found;
}

bool
tdo_peer_privileged(int fd, const struct tdo_data_env *env, uint32_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*ret_pid = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || len != sizeof(cred))
		return false;
	*ret_pid = (uint32_t)cred.pid;
	if (cred.uid == 0 || cred.uid == env->owner)
		return true;
	return env->conf->access_gid_set &&
	       (cred.gid == env->conf->access_gid || in_group(fd, env->conf->access_gid));
}
