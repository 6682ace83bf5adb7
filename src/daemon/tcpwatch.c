/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/tcpwatch.h"

#include "base/be.h"

#define TCP_HLEN    20u
#define TCP_SEQ_OFF 4u
#define STUCK_SENT  3u
#define STUCK_MS    1000u
#define FORGET_MS   60000u /* a number that comes again is another one, some day */

enum tdo_tcp_trouble
tdo_tcpwatch_see(struct tdo_tcpwatch *w, const struct tdo_pkt *p, tdo_ns now)
{
	const uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t seq, ports, ms = (uint32_t)(now / (TDO_SEC / 1000)), h, age;

	if (p->ip.l4_off + TCP_HLEN > p->len)
		return TDO_TCP_FINE;
	ports = tdo_be32(tcp);
	seq = tdo_be32(tcp + TCP_SEQ_OFF);
	h = (seq ^ ports * 0x9e3779b1u) * 0x85ebca6bu >> 22;
	_Static_assert(TDO_TCPWATCH_SLOTS == 1u << 10, "the upper 10 bits");
	age = ms - w->slot[h].first_ms;
	if (w->slot[h].seq != seq || w->slot[h].ports != ports || age > FORGET_MS ||
	    w->slot[h].sent == 0) {
		w->slot[h].seq = seq;
		w->slot[h].ports = ports;
		w->slot[h].sent = 1;
		w->slot[h].first_ms = ms;
		return TDO_TCP_FINE;
	}
	if (++w->slot[h].sent < STUCK_SENT || age < STUCK_MS)
		return TDO_TCP_REPEATS;
	w->slot[h].sent = 0; /* what is done about it shall have its chance */
	return TDO_TCP_STUCK;
}
