/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data process's end of the channel to the parent (ipc/proto.h).
 *
 * Requests are synchronous: what arrives meanwhile is put aside and handed out later, in
 * order.  Only logging may be called from any thread.
 */
#ifndef TDO_DAEMON_PARENTLINK_H
#define TDO_DAEMON_PARENTLINK_H

#include "ipc/proto.h"
#include "testudo/sp.h"

#define TDO_PARENTLINK_ASIDE 512 /* messages put aside; more queued packets are refused */

struct tdo_aside;

struct tdo_parentlink {
	int fd;
	uint32_t seq;
	bool broken; /* the parent is gone or made no sense: the process must end */
	uint8_t *buf;
	struct tdo_aside *head, **tail; /* put aside */
	unsigned naside;
};

/* 0 or -ENOMEM; fd is borrowed. */
TDO_MUST_CHECK int tdo_parentlink_init(struct tdo_parentlink *l, int fd);
void tdo_parentlink_fini(struct tdo_parentlink *l);

/* Sends a message that is not answered.  0 or -errno. */
int tdo_parentlink_tell(
    struct tdo_parentlink *l, enum tdo_ipc_type type, const void *body, size_t len);
/* COVER_ADD, COVER_DEL, COVER_DEFAULT: waits for the REPLY and returns what it says. */
TDO_MUST_CHECK int tdo_parentlink_ask(
    struct tdo_parentlink *l, enum tdo_ipc_type type, const void *body, size_t len);
TDO_MUST_CHECK int tdo_parentlink_status(struct tdo_parentlink *l, struct tdo_ipc_status *ret);

/* A message of the parent that is no answer; body is valid until the next call. */
struct tdo_parent_msg {
	enum tdo_ipc_type type; /* QUEUED, LOCAL, STOP */
	const uint8_t *body;
	size_t len;
};

/* The next one: 1, 0 when there is none now, or -errno when the link is broken. */
TDO_MUST_CHECK int tdo_parentlink_next(struct tdo_parentlink *l, struct tdo_parent_msg *ret);
/* True when tdo_parentlink_next() has something although the descriptor is not readable. */
bool tdo_parentlink_pending(const struct tdo_parentlink *l);

/* tdo_log_fn; ctx is the link.  Never waits: a line that does not fit is lost. */
void tdo_parentlink_log(void *ctx, enum tdo_log_level level, const char *text);

/*
 * True when the attachment must hand packets over because of this policy: outbound ones that
 * protect or discard, inbound ones that can reject a packet that came in clear.  A level
 * "default" may be "require" by knob, now or later, and counts as that.
 */
bool tdo_cover_needed(const struct tdo_sp_param *sp);

#endif
