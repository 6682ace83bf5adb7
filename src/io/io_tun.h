/* SPDX-License-Identifier: BSD-2-Clause */
/* One queue of the TUN: packets and super-packets with their virtio header. */
#ifndef TDO_IO_IO_TUN_H
#define TDO_IO_IO_TUN_H

#include "io/iostat.h"
#include "io/pool.h"

struct tdo_tun {
	int fd;
	bool uso; /* the kernel takes UDP super-packets (Linux 6.2) */
	struct tdo_iostat *rd, *wr;
};

/* rd, wr: counters, borrowed. */
void tdo_tun_init(struct tdo_tun *t, int fd, struct tdo_iostat *rd, struct tdo_iostat *wr);

#define TDO_TUN_READ_BYTES 60000u /* about one super-packet */

/*
 * Reads packets into pk, at most max, until it has TDO_TUN_READ_BYTES, or the TUN or the pool is
 * empty.  Returns their number. *ret_more: the TUN was not seen empty.  Packets that make no sense
 * are counted as errors.
 */
unsigned tdo_tun_read(
    struct tdo_tun *t, struct tdo_pool *pool, struct tdo_pkt **pk, unsigned max, bool *ret_more);
/* Writes one packet or super-packet.  0 or -errno. */
int tdo_tun_write(struct tdo_tun *t, const struct tdo_pkt *p);

#endif
