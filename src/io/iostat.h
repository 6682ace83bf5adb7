/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How well batching works: calls, packets and bytes of each kind of call.  A super-packet
 * counts as the packets that it stands for.  Written by one worker, read by anybody.
 */
#ifndef TDO_IO_IOSTAT_H
#define TDO_IO_IOSTAT_H

#include <stdatomic.h>
#include <stdint.h>

/* IOSTAT(id, name, text) */
#define TDO_IOSTATS(IOSTAT)                                                                        \
	IOSTAT(TUN_READ, "tun-read", "reads from the TUN")                                         \
	IOSTAT(TUN_WRITE, "tun-write", "writes to the TUN")                                        \
	IOSTAT(RAW_RECV, "raw-recv", "receive calls on raw sockets")                               \
	IOSTAT(UDP_RECV, "udp-recv", "receive calls of ESP in UDP")                                \
	IOSTAT(RAW_SEND, "raw-send", "send calls of protected packets")                            \
	IOSTAT(UDP_SEND, "udp-send", "send calls of super-packets of ESP in UDP")                  \
	IOSTAT(CLEAR_SEND, "clear-send", "send calls of packets that need no protection")          \
	IOSTAT(ENGINE_OUT, "engine-out", "engine calls that protect")                              \
	IOSTAT(ENGINE_IN, "engine-in", "engine calls that remove protection")

enum tdo_iostat_id {
#define IOSTAT(id, name, text) TDO_IOSTAT_##id,
	TDO_IOSTATS(IOSTAT)
#undef IOSTAT
	    TDO_IOSTAT_COUNT
};

struct tdo_iostat {
	_Atomic uint64_t calls, packets, bytes, errors;
};

static inline void
tdo_iostat_bump(_Atomic uint64_t *c, uint64_t n)
{
	uint64_t v = atomic_load_explicit(c, memory_order_relaxed);

	atomic_store_explicit(c, v + n, memory_order_relaxed);
}

static inline void
tdo_iostat_add(struct tdo_iostat *s, uint64_t packets, uint64_t bytes)
{
	tdo_iostat_bump(&s->calls, 1);
	tdo_iostat_bump(&s->packets, packets);
	tdo_iostat_bump(&s->bytes, bytes);
}

#endif
