/* SPDX-License-Identifier: BSD-2-Clause */
/* sd_notify(3) without its library. */
#ifndef TDO_DAEMON_NOTIFY_H
#define TDO_DAEMON_NOTIFY_H

/* Sends this state ("READY=1") to the service manager that started us, if one did. */
void tdo_notify(const char *state);

#endif
