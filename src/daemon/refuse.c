/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling senders behind this gateway how large their packets may be (D27), and that fragments of
 * them did not come.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/worker.h"
#include "engine/engine.h"
#include "engine/icmp.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#define ICMP_ROOM 1400u

/*
 * From this host's address towards the sender, which the kernel chooses; it goes the way of all
 * local packets, so that policies protect it like any other (RFC 4301 6.2: the packet that it
 * quotes may be secret).
 */
static bool
send_icmp(const struct tdo_packet_worker *w, const struct tdo_pkt *icmp)
{
	const struct tdo_addr *to = &icmp->ip.flow.dst;
	const uint8_t *msg = tdo_pkt_data(icmp) + icmp->ip.l4_off;
	size_t len = icmp->len - icmp->ip.l4_off;
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {.sin_family = AF_INET};

	/* Nothing is lost with one that cannot be sent: the next packet asks for another. */
	if (to->af == TDO_AF_INET6) {
		memcpy(&to6.sin6_addr, to->b, 16);
		return sendto(w->fds.icmp6, msg, len, MSG_DONTWAIT, (struct sockaddr *)&to6,
			   sizeof(to6)) >= 0;
	}
	memcpy(&to4.sin_addr, to->b, 4);
	return sendto(w->fds.icmp4, msg, len, MSG_DONTWAIT, (struct sockaddr *)&to4, sizeof(to4)) >=
	       0;
}

/* Only what is sent counts against the rate. */
static bool
may_send(struct tdo_packet_worker *w, tdo_ns now)
{
	uint32_t rate = (uint32_t)tdo_knob(w->engine, TDO_KNOB_ICMP_LIMIT, TDO_AF_INET);

	return tdo_bucket_take(&w->refusals, rate, now);
}

/* Nothing leaves in clear by this policy, be there SAs or not. */
static bool
insists(const struct tdo_packet_worker *w, const struct tdo_sp *sp, uint8_t af)
{
	bool always = sp->param.nreq == 0; /* then nothing leaves */

	if (sp->param.type != TDO_POLICY_IPSEC)
		return false;
	for (unsigned i = 0; i < sp->param.nreq; i++) {
		const struct tdo_req *r = &sp->param.req[i];

		always |= r->proto != TDO_IPPROTO_IPCOMP &&
			  tdo_req_level(w->engine, r, af) != TDO_LEVEL_USE;
	}
	return always;
}

/* True when a policy that names ICMP errors lets this one leave in clear. */
static bool
is_let_out(const struct tdo_packet_worker *w, const struct tdo_pkt *icmp)
{
	struct tdo_spd_hit hit = tdo_spd_match(w->engine, TDO_DIR_OUT, &icmp->ip.flow);

	return hit.uncertain || (hit.sp && !insists(w, hit.sp, icmp->ip.flow.src.af));
}

/*
 * True when a policy protects what an ICMP error quotes, and so the error.  Which address it comes
 * from says the kernel: from that to which the quoted packet went or another one.
 */
static bool
is_protected(const struct tdo_packet_worker *w, const struct tdo_pkt *icmp)
{
	struct tdo_pkt from_any = *icmp;
	uint8_t af = icmp->ip.flow.src.af;
	struct tdo_spd_hit hit;
	struct tdo_flow f;

	from_any.ip.flow.src = (struct tdo_addr){.af = af};
	if (!tdo_icmp_stands_for(w->engine, icmp, &f) || is_let_out(w, icmp) ||
	    is_let_out(w, &from_any))
		return false;
	hit = tdo_spd_match(w->engine, TDO_DIR_OUT, &f);
	return !hit.uncertain && hit.sp && insists(w, hit.sp, af);
}

/* Between two tunnels: such packets come in by SAs only. */
static bool
came_protected(const struct tdo_packet_worker *w, const struct tdo_pkt *p)
{
	struct tdo_spd_hit hit = tdo_spd_match(w->engine, TDO_DIR_IN, &p->ip.flow);

	if (hit.uncertain)
		return hit.protects;
	return hit.sp && insists(w, hit.sp, p->ip.flow.src.af);
}

/* True when the sender of p was told. */
static bool
tell(struct tdo_packet_worker *w, const struct tdo_pkt *p, uint32_t mtu)
{
	uint8_t room[ICMP_ROOM];
	struct tdo_pkt icmp = {.buf = room, .cap = sizeof(room)};

	return tdo_icmp_too_big(p, mtu, &icmp) &&
	       (!came_protected(w, p) || is_protected(w, &icmp)) && may_send(w, w->now) &&
	       send_icmp(w, &icmp);
}

void
tdo_outbound_too_big(struct tdo_packet_worker *w, const struct tdo_pkt *p, uint32_t mtu)
{
	enum tdo_reason r = tell(w, p, mtu) ? TDO_REASON_TOO_BIG : TDO_REASON_TOO_BIG_UNTOLD;

	tdo_worker_count_drop(w->handle, TDO_AT_OUT, r, 1);
}

void
tdo_refuse_late(void *ctx, const struct tdo_pkt *first, bool in, tdo_ns now)
{
	struct tdo_packet_worker *w = ctx;
	uint8_t room[ICMP_ROOM];
	struct tdo_pkt icmp = {.buf = room, .cap = sizeof(room)};

	if (tdo_is_local(w->engine, &first->ip.flow.src) || !tdo_icmp_late(first, &icmp))
		return;
	/* What came protected is quoted under protection, or not at all. */
	if (in && !is_protected(w, &icmp))
		return;
	if (may_send(w, now))
		(void)send_icmp(w, &icmp);
}
