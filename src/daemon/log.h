/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of the parent process, to standard error or syslog. */
#ifndef TDO_DAEMON_LOG_H
#define TDO_DAEMON_LOG_H

#include "testudo/types.h"

void tdo_log_open(bool to_syslog, bool debug);
/* One message without a line end. */
void tdo_logf(enum tdo_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
