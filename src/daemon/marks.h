/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bits of the packet mark that testudo uses: the three lowest bits of the mask of
 * testudod.conf(5).  Everything outside of the mask belongs to others and is never changed;
 * the rest of the mask is reserved for classes of socket policies.
 *
 *	mask 0x3ff00000:  bit 20 DIVERT      a policy may cover the packet: into the TUN
 *	                  bit 21 OWN         protected packet, sent by testudo
 *	                  bit 22 OWN_CLEAR   diverted packet that needed no protection, sent again
 *	                  bits 23-29         reserved
 */
#ifndef TDO_DAEMON_MARKS_H
#define TDO_DAEMON_MARKS_H

#include <stdbool.h>
#include <stdint.h>

struct tdo_marks {
	uint32_t divert, own, own_clear;
};

/* False when the mask has fewer than three bits. */
static inline bool
tdo_marks_init(struct tdo_marks *m, uint32_t mask)
{
	m->divert = mask & -mask;
	mask &= ~m->divert;
	m->own = mask & -mask;
	mask &= ~m->own;
	m->own_clear = mask & -mask;
	return m->own_clear != 0;
}

#endif
