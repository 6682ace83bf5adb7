/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings of one interface under /proc/sys/net. */
#ifndef TDO_OS_SYSCTL_H
#define TDO_OS_SYSCTL_H

#include "testudo/types.h"

/*
 * Makes net.ipv4.conf.IFACE.KEY (or net.ipv6) have this value.  Returns 1 when it had another
 * one before, 0 when nothing had to be done, -ENOENT when the family does not exist, or
 * another -errno.
 */
int tdo_sysctl_ensure(enum tdo_af af, const char *iface, const char *key, const char *value);

#endif
