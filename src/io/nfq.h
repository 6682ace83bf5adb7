/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of the kernel's queue (nfnetlink_queue): parsing of one message. */
#ifndef TDO_IO_NFQ_H
#define TDO_IO_NFQ_H

#include "testudo/types.h"

struct tdo_nfq_packet {
	uint32_t id;      /* for the verdict; network order as received */
	bool forwarded;   /* hook FORWARD, else the packet is for this host */
	const uint8_t *p; /* the IP packet, in the message */
	uint32_t len;
};

/* Parses one netlink message of len bytes.  false: not a packet, or malformed. */
TDO_MUST_CHECK bool tdo_nfq_parse(const void *msg, size_t len, struct tdo_nfq_packet *ret);
/*
 * The id alone, of a message whose rest may be broken: so that the kernel gets a verdict.
 * false: not even that.
 */
TDO_MUST_CHECK bool tdo_nfq_id(const void *msg, size_t len, uint32_t *ret_id);

#endif
