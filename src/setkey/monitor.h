/* SPDX-License-Identifier: BSD-2-Clause */
/* setkey -x: every PF_KEY message of the namespace; setkey FILE: messages from files. */
#ifndef SETKEY_MONITOR_H
#define SETKEY_MONITOR_H

#include "setkey/client.h"

struct monitor_options {
	bool hex; /* -H: bytes instead of fields */
	bool raw; /* -xx: seconds since the epoch instead of the time of day */
};

/* Prints until the connection ends; returns -errno. */
int tdo_monitor_run(struct client *c, FILE *out, const struct monitor_options *opt);
/* Prints the messages in a file.  0, or -errno (-EBADMSG: it does not end after a message). */
int tdo_monitor_file(FILE *in, FILE *out, const struct monitor_options *opt);

#endif
