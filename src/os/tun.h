/* SPDX-License-Identifier: BSD-2-Clause */
/* The TUN device: queues with virtio headers of 10 bytes and segmentation offloads. */
#ifndef TDO_OS_TUN_H
#define TDO_OS_TUN_H

#include <stdbool.h>

/*
 * Creates the device and opens n queues of it, non-blocking and close-on-exec.  0, or
 * -errno (-EBUSY: a device of this name is in use); then no queue is open.
 * *ret_uso says whether UDP segmentation is switched on (Linux 6.2) besides TCP's.
 */
int tdo_tun_open(const char *name, int *fds, unsigned n, bool *ret_uso);

#endif
