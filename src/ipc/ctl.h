/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control protocol between testudo(8) and testudod: a request is one JSON object in one
 * datagram, {"op": "stats" | "status" | "netstat" | "drops" | "sysctl", ...}; the answer is one
 * JSON object in as many datagrams as it needs.  Each begins with a byte: TDO_CTL_MORE or
 * TDO_CTL_LAST. An answer to what failed is {"error": "text"}.
 *
 * sysctl: {"op": "sysctl", "name": N} or without name for all; with "value": V it is set.
 * Answer: {"knobs": [{"name": N, "value": V, "old": O (when set), "help": H}, ...]}.
 *
 * netstat: see daemon/counters.h; drops: see daemon/blames.h.
 */
#ifndef TDO_IPC_CTL_H
#define TDO_IPC_CTL_H

#include <jansson.h>

#include "testudo/types.h"

#define TDO_CTL_REQUEST_MAX 4096
#define TDO_CTL_CHUNK       32768     /* bytes of one datagram of an answer, with its first */
#define TDO_CTL_ANSWER_MAX  (8 << 20) /* a client does not take more */

enum { TDO_CTL_MORE = '+', TDO_CTL_LAST = '.' };

/*
 * Writes the datagram that starts at *off of the answer text of len bytes to buf (TDO_CTL_CHUNK
 * bytes), advances *off and returns its length.  The answer is finished when *off is len.
 */
size_t tdo_ctl_chunk(const char *text, size_t len, size_t *off, char *buf);

/* Collects datagrams. */
struct tdo_ctl_answer {
	char *text;
	size_t len;
	bool complete;
};

/* Adds one datagram.  0, -EPROTO for what is none, -EMSGSIZE, -ENOMEM. */
TDO_MUST_CHECK int tdo_ctl_collect(struct tdo_ctl_answer *a, const char *dgram, size_t len);
void tdo_ctl_answer_fini(struct tdo_ctl_answer *a);

/*
 * Sends a request on the connected fd and waits for the answer.  0 and a new reference, or
 * -errno: -EPROTO for nonsense, -ECONNRESET when the daemon hung up.
 */
TDO_MUST_CHECK int tdo_ctl_call(int fd, const json_t *request, json_t **ret);

#endif
