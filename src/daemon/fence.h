/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nftables table: what the cover model says, in force in the kernel.
 *
 * Table testudo-a (or the next free letter), family inet:
 *
 *	out      output, route      covered: set DIVERT
 *	fwd      prerouting         covered and not for this host: set DIVERT
 *	guard    postrouting        DIVERT, or covered, and not leaving by the TUN: drop, count
 *	in       input              covered: NFQUEUE
 *	infwd    forward            covered: NFQUEUE
 *	notrack  output, raw        protected packets are not tracked
 *	keep     output, late       own packets have the mark that their socket has
 *	whole    prerouting         there while IPv6 fragments have to be put together
 *	natt     prerouting         there while SAs use UDP: ESP in UDP to the daemon's socket
 *	natt-out output             since SAs used UDP: gives super-packets their port
 *
 * The chains out4, guard4, in4 and so on hold the lookups; NAME-late those for packets whose
 * upper layer cannot be read.  A change that widens is in force when a call returns; one that
 * narrows waits for tdo_fence_flush().  When the kernel's state is in doubt a complete new
 * table is made beside the old one, which is removed then.
 */
#ifndef TDO_DAEMON_FENCE_H
#define TDO_DAEMON_FENCE_H

#include "daemon/cover.h"
#include "daemon/marks.h"

#define TDO_FENCE_PREFIX "testudo-"

struct tdo_fence_config {
	struct tdo_marks marks;
	char tun[16];
	uint16_t queue;
	bool use_queue; /* somebody listens to the queue; else what would go there is dropped */
	bool persist;   /* the table outlives a crash of this process */
};

/* Ports of the sockets of UDP encapsulation, by family: IPv4, IPv6; 0: there is none. */
struct tdo_fence_udp {
	uint16_t in[2], out[2];
};

struct tdo_fence;

/*
 * Makes the table, empty.  Tables that a crashed run left are found, taken over (nobody else
 * can remove them then) and stay in force until tdo_fence_recovered().  0 or -errno.
 */
int tdo_fence_open(const struct tdo_fence_config *cfg, struct tdo_fence **ret);
/* Closes the socket; the table stays or not, as cfg says.  f may be NULL. */
void tdo_fence_close(struct tdo_fence *f);
/* Removes all tables. */
void tdo_fence_remove(struct tdo_fence *f);

/* n selectors of a direction.  0 or -errno; on success in force.  After an error none counts. */
int tdo_fence_add(struct tdo_fence *f, enum tdo_dir dir, const struct tdo_sel *sel, size_t n);
int tdo_fence_default(struct tdo_fence *f, uint8_t af, bool all);
/* 0, -EINVAL or -ENOENT.  Carried out by the next flush. */
int tdo_fence_del(struct tdo_fence *f, enum tdo_dir dir, const struct tdo_sel *sel);
bool tdo_fence_pending(const struct tdo_fence *f);
int tdo_fence_flush(struct tdo_fence *f);
/*
 * IPv6 fragments are put together before the hook input sees them, as IPv4 fragments always are;
 * where this kernel can.
 */
void tdo_fence_reassemble(struct tdo_fence *f, bool on);
/* Which sockets there are; before the first port of UDP encapsulation. */
void tdo_fence_natt_sockets(struct tdo_fence *f, const struct tdo_fence_udp *sock);
/*
 * ESP in UDP that comes to a local port, which is not 0, is received, in the form with or without
 * the marker of eight zero bytes in front of ESP; where the kernel cannot, that is logged.  0 or
 * -errno: nothing changed.
 */
int tdo_fence_natt_port(struct tdo_fence *f, uint16_t port, bool marker, bool on);
/*
 * The port that super-packets of the sending sockets leave with: the one that was added last while
 * there was no other; 0: none yet, nothing may be sent by them.  Only what UDP_SEGMENT cuts may be
 * sent there: of all else the checksum would be wrong.
 */
uint16_t tdo_fence_natt_fast(const struct tdo_fence *f);
/* As tdo_cover_age() and tdo_cover_drop_aged(). */
void tdo_fence_age(struct tdo_fence *f);
void tdo_fence_drop_aged(struct tdo_fence *f);

/* Makes the table anew: somebody else changed it. */
int tdo_fence_rebuild(struct tdo_fence *f);
/* Removes the tables of the crashed run. */
void tdo_fence_recovered(struct tdo_fence *f);

bool tdo_fence_recovering(const struct tdo_fence *f);
bool tdo_fence_has_owner(const struct tdo_fence *f);
bool tdo_fence_has_queue(const struct tdo_fence *f);
uint32_t tdo_fence_portid(const struct tdo_fence *f);
const struct tdo_cover *tdo_fence_cover(const struct tdo_fence *f);
/* Packets that the guard dropped since the start. */
uint64_t tdo_fence_guard_drops(struct tdo_fence *f);

#endif
