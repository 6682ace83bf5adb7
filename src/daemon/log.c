/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static bool use_syslog, show_debug;

void
tdo_log_open(bool to_syslog, bool debug)
{
	use_syslog = to_syslog;
	show_debug = debug;
	if (to_syslog)
		openlog("testudod", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
tdo_logf(enum tdo_log_level level, const char *fmt, ...)
{
	static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const name[] = {"error: ", "warning: ", "", "debug: "};
	char text[1024];
	va_list ap;

	if (level > TDO_LOG_DEBUG || (level == TDO_LOG_DEBUG && !show_debug))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (use_syslog)
		syslog(priority[level], "%s", text);
	else
		fprintf(stderr, "testudod: %s%s\n", name[level], text);
}
