/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESP in UDP (RFC 3948), and in the older form with a marker of eight zero bytes: what an SA has
 * of it, and what the packet path does with it.
 */
#ifndef TDO_ENGINE_ENCAP_H
#define TDO_ENGINE_ENCAP_H

#include "engine/engine.h"

/* Where the peer's packets come from. */
struct tdo_mapping {
	struct tdo_addr src;
	uint16_t sport;
};

/* What an SA in UDP has. */
struct tdo_encap {
	_Atomic uint32_t ports; /* that are sent: source << 16 | destination */
	uint8_t type;           /* enum tdo_natt_type */
	uint16_t frag;          /* TDO_NATT_..., 0: none */
	uint16_t sport, dport;  /* as key management named them */
	struct tdo_addr oa_src, oa_dst;
	/* Under the lock of the SA's replay window: */
	struct tdo_mapping seen; /* of the newest packet that came from elsewhere */
	bool moved;              /* the control thread has not looked at it */
	bool fresh;              /* ... and no worker has followed it */
	/* control thread */
	struct tdo_mapping mapping; /* the present one */
	struct tdo_sa *sa;
	struct tdo_event_link event;
	uint16_t port;             /* of this host, which the attachment receives for it; 0: none */
	uint16_t old_sport;        /* that was told last */
	bool told;                 /* the event waits */
	struct tdo_nat_peer *peer; /* keepalive.c */
	struct tdo_encap *peer_next, *peer_prev;
};

/* How an SA suits the ports of a request. */
enum tdo_ports_fit { TDO_PORTS_OTHER, TDO_PORTS_NONE, TDO_PORTS_SAME };

/* NONE: it is not in UDP, or the request names no ports. */
static inline enum tdo_ports_fit
tdo_encap_fit(const struct tdo_sa *sa, const struct tdo_req *q)
{
	const struct tdo_encap *x = sa->encap;

	if ((q->sport == 0 && q->dport == 0) || x == NULL)
		return TDO_PORTS_NONE;
	return (q->sport == 0 || q->sport == x->sport) && (q->dport == 0 || q->dport == x->dport)
		   ? TDO_PORTS_SAME
		   : TDO_PORTS_OTHER;
}

/* ---- encap.c: control ---- */

/* Checks p->natt; 0 or -EINVAL with *err. */
TDO_MUST_CHECK int tdo_encap_check(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
/* Makes sa->encap of sa->param.natt; 0 or -ENOMEM.  Nothing is made for an SA that is not in UDP.
 */
TDO_MUST_CHECK int tdo_encap_new(struct tdo_engine *e, struct tdo_sa *sa);
/* No packet will come for it any more; the object may stay for a while. */
void tdo_encap_retire(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_encap_free(struct tdo_engine *e, struct tdo_sa *sa);
/* sa replaces old, in the same place: what is known of the peer stays known. */
void tdo_encap_inherit(struct tdo_sa *sa, const struct tdo_sa *old);
/* A worker saw packets from a new mapping: it is followed, and an event tells of it. */
void tdo_encap_look(struct tdo_engine *e, struct tdo_sa *sa);

/* Completes the event that tdo_encap_look() made. */
void tdo_encap_tell(struct tdo_sa *sa, struct tdo_event *ret);

/* ---- udp_port.c: the ports of this host that the attachment has to receive ---- */

enum { TDO_UDP_PAGE = 256, TDO_UDP_PAGES = 65536 / TDO_UDP_PAGE };

/* Hardly more than one port is in use: pages are made when they are needed, and stay. */
struct tdo_udp_page {
	uint32_t users[TDO_UDP_PAGE]; /* SAs that come to the port */
};

struct tdo_udp_ports {
	unsigned sas;                                /* in UDP, in whatever direction */
	bool due;                                    /* not all ports could be entered */
	struct tdo_udp_page *page[2][TDO_UDP_PAGES]; /* [marker] */
	struct tdo_htab peers;                       /* keepalive.c */
	struct tdo_wheel timers;                     /* of these */
};

TDO_MUST_CHECK int tdo_udp_ports_new(struct tdo_engine *e);
/* After all SAs are gone. */
void tdo_udp_ports_free(struct tdo_engine *e);
/* The SA comes to this host, or not any more; 0, or -errno: nothing changed. */
TDO_MUST_CHECK int tdo_udp_port_look(struct tdo_engine *e, struct tdo_sa *sa);
/* It is not used any more. */
void tdo_udp_port_leave(struct tdo_engine *e, struct tdo_sa *sa);
/* The host has other addresses: looks at all SAs, now or in a tick. */
void tdo_udp_ports_review(struct tdo_engine *e);
void tdo_udp_ports_tick(struct tdo_engine *e);

/* ---- keepalive.c: mappings of NATs that must not be forgotten ---- */

TDO_MUST_CHECK int tdo_keepalive_new(struct tdo_engine *e);
void tdo_keepalive_free(struct tdo_engine *e);
/* An SA goes to its peer; 0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_keepalive_join(struct tdo_engine *e, struct tdo_sa *sa, tdo_ns now);
void tdo_keepalive_leave(struct tdo_engine *e, struct tdo_sa *sa);
/* It has other ports now. */
void tdo_keepalive_moved(struct tdo_engine *e, struct tdo_sa *sa);
/* True: there is more to do. */
bool tdo_keepalive_tick(struct tdo_engine *e, tdo_ns now);
void tdo_keepalive_changed(struct tdo_engine *e); /* the knob */

/* ---- encap.c: packets ---- */

/* The source port of its packets. */
static inline uint16_t
tdo_encap_sport(const struct tdo_encap *x)
{
	return (uint16_t)(atomic_load_explicit(&x->ports, memory_order_relaxed) >> 16);
}

/*
 * Reads the UDP header of a parsed packet that came out of the port of UDP encapsulation.  NONE:
 * there is ESP behind it: SPI, sequence number and p->encap_len are set.
 */
enum tdo_reason tdo_encap_read(struct tdo_pkt *p);
/*
 * Writes the UDP header, and the marker, in front of the ESP header; p has its final length and the
 * header is at l4_off.
 */
void tdo_encap_put(const struct tdo_encap *x, struct tdo_pkt *p);
/*
 * After ESP was removed in transport mode: the upper-layer checksum was made of the addresses that
 * the sender saw, and a NAT changed them (RFC 3948 3.1.2).
 */
void tdo_encap_fix_csum(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p);
/* A packet came from a new mapping: what goes to the peer goes there from now on. */
void tdo_encap_answer(const struct tdo_engine *e, struct tdo_sa *sa);
/*
 * p was authentic and is the newest packet of the SA: true when it came from a new mapping.  The
 * caller holds the lock of the window.
 */
bool tdo_encap_saw(struct tdo_sa *sa, const struct tdo_pkt *p);

#endif
