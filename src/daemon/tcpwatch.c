/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/tcpwatch.h"

#include "base/be.h"

#define TCP_HLEN         20u
#define TCP_SEQ_OFF      4u
#define STUCK_SENT       3u
#define STUCK_MS         1000u
#define FORGET_MS        60000u  /* a number that comes again is another one, some day */
#define FORGET_DEAD_MS   150000u /* senders wait 120 seconds at most before they repeat */
#define REPEATED_KEEP_MS 5000u   /* what was repeated lately is not forgotten for another */

static bool
expired(const struct tdo_tcp_slot *s, uint32_t ms)
{
	return s->sent == 0 || ms - s->first_ms > (s->given_up ? FORGET_DEAD_MS : FORGET_MS);
}

/* How well a slot can be done without; more is better. */
static uint32_t
worthless(const struct tdo_tcp_slot *s, uint32_t ms)
{
	uint32_t age = ms - s->first_ms;

	if (expired(s, ms))
		return UINT32_MAX;
	return s->given_up || (s->sent > 1 && age < REPEATED_KEEP_MS) ? 0 : 1 + age;
}

static struct tdo_tcp_slot *
find(struct tdo_tcpwatch *w, uint32_t seq, uint32_t ports, uint32_t ms)
{
	uint32_t h = (seq ^ ports * 0x9e3779b1u) * 0x85ebca6bu >> 23;
	struct tdo_tcp_slot *set = w->slot[h], *worst = set;

	_Static_assert(TDO_TCPWATCH_SETS == 1u << 9, "the upper 9 bits");
	for (unsigned i = 0; i < TDO_TCPWATCH_WAYS; i++) {
		if (set[i].seq == seq && set[i].ports == ports && !expired(&set[i], ms))
			return &set[i];
		if (worthless(&set[i], ms) > worthless(worst, ms))
			worst = &set[i];
	}
	*worst = (struct tdo_tcp_slot){.seq = seq, .ports = ports, .first_ms = ms};
	return worst;
}

static uint32_t
milliseconds(tdo_ns now)
{
	return (uint32_t)(now / (TDO_SEC / 1000));
}

tdo_ns
tdo_tcpwatch_age(const struct tdo_tcp_slot *s, tdo_ns now)
{
	return (milliseconds(now) - s->since_ms) * (TDO_SEC / 1000);
}

enum tdo_tcp_trouble
tdo_tcpwatch_see(
    struct tdo_tcpwatch *w, const struct tdo_pkt *p, tdo_ns now, struct tdo_tcp_slot **ret)
{
	const uint8_t *tcp = tdo_pkt_data(p) + p->ip.l4_off;
	uint32_t ms = milliseconds(now);
	struct tdo_tcp_slot *s;

	if (p->ip.l4_off + TCP_HLEN > p->len)
		return TDO_TCP_FINE;
	s = find(w, tdo_be32(tcp + TCP_SEQ_OFF), tdo_be32(tcp), ms);
	if (s->given_up) {
		s->first_ms = ms;
		return TDO_TCP_FINE;
	}
	s->sent += s->sent < UINT8_MAX;
	if (s->sent == 1)
		return TDO_TCP_FINE;
	*ret = s;
	s->since_ms = s->first_ms;
	if (s->sent < STUCK_SENT || ms - s->first_ms < STUCK_MS)
		return TDO_TCP_REPEATS;
	/* What is done about it now shall have its chance. */
	s->sent = 1;
	s->first_ms = ms;
	return TDO_TCP_STUCK;
}
