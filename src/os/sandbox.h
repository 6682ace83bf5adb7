/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cage of the data process.  Two steps, because threads must be made in between: what
 * belongs to a thread (capabilities, ids, landlock) is given up before threads exist, and the
 * system calls that make threads are denied, in all threads at once, when they do.
 */
#ifndef TDO_OS_SANDBOX_H
#define TDO_OS_SANDBOX_H

#include "testudo/types.h"

/* What a step achieved; the rest was not available here. */
struct tdo_sandbox {
	bool user;     /* runs as another user */
	bool landlock; /* no file can be opened, whatever its mode */
	bool seccomp;  /* system calls are filtered */
};

/*
 * Step 1, single-threaded: gives up root for uid and gid where the user namespace has them (a
 * namespace with one user only has not), every capability, core dumps, the right to gain
 * privileges by exec, and all access to files.  0 or -errno: then the process must end.
 */
TDO_MUST_CHECK int tdo_sandbox_drop(uint32_t uid, uint32_t gid, struct tdo_sandbox *ret);

/*
 * Step 2: system calls.  Those that a packet loop and a server on inherited descriptors need are
 * allowed; opening files is refused with EACCES, because the C library tries that in harmless
 * places; anything else kills the process.  0 or -errno.
 */
TDO_MUST_CHECK int tdo_sandbox_seal(struct tdo_sandbox *sb);

#endif
