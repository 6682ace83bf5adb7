/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inbound policy check as a pure function (RFC 4301 5.2, spec 7.2 and D1): does the
 * list of SAs that were removed from a packet satisfy the requests of the policy that its
 * selectors match?
 */
#ifndef TDO_ENGINE_CHECK_H
#define TDO_ENGINE_CHECK_H

#include "engine/sa.h"
#include "testudo/sp.h"

/* One SA that was removed from a packet. */
struct tdo_removed {
	const struct tdo_sa_id *sa;
	bool tunnel;           /* a tunnel header was removed with it */
	uint16_t sport, dport; /* of an SA in UDP, as it was named; else 0 */
};

struct tdo_check {
	const struct tdo_removed *removed; /* outermost first */
	unsigned nremoved;
	const struct tdo_req
	    *req; /* innermost first, as in the policy; levels resolved: no DEFAULT */
	unsigned nreq;
	const struct tdo_addr *src, *dst; /* of the packet that is checked (the innermost) */
};

/*
 * NONE when the packet may pass; IN_CLEAR when protection is required and nothing was
 * removed; IN_WRONG_SA otherwise.
 */
enum tdo_reason tdo_check_requests(const struct tdo_check *c);

#endif
