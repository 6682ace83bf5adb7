/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libtestudo: IPsec without any I/O.
 *
 * Packets in bursts, control calls and time come in as arguments; packets, counters and
 * events come out.  The library makes no system call, reads no clock, has no global
 * variable and no thread.  Any number of engines can live in one process.
 *
 * Threads.  One control thread makes all calls that take a struct tdo_engine.  Each of N
 * workers is used by one thread at a time for the calls that take a struct tdo_worker.
 * Workers read what the control thread publishes and never wait for it.  What the
 * control thread removes is freed in tdo_engine_tick() after every worker has passed
 * tdo_worker_quiesce() (or is idle) once.
 */
#ifndef TESTUDO_ENGINE_H
#define TESTUDO_ENGINE_H

#include <stdatomic.h>

#include "testudo/crypto.h"
#include "testudo/knob.h"
#include "testudo/pkt.h"
#include "testudo/sa.h"
#include "testudo/sp.h"
#include "testudo/stat.h"

struct tdo_engine;
struct tdo_worker;

/*
 * Told about every change of what policies cover, so that an attachment can divert at
 * least that.  May be all NULL.
 */
struct tdo_cover_ops {
	/*
	 * A policy is about to be in force: called before the engine uses it.  0, or -errno:
	 * then the policy is not installed and the caller gets the errno.
	 */
	int (*widen)(void *ctx, const struct tdo_sp_param *sp);
	/* A policy is no longer in force: called after the engine stopped using it. */
	void (*narrow)(void *ctx, const struct tdo_sp_param *sp);
	/* def_policy of a family is about to become (discard true), or became, 0 or 1. */
	int (*set_default)(void *ctx, uint8_t af, bool discard);
	void *ctx;
};

/* What SAs in UDP need of an attachment.  Any function may be NULL. */
struct tdo_natt_ops {
	/*
	 * SAs of this host come to a local UDP port, in the form with or without the marker of
	 * eight zero bytes (TDO_NATT_NON_IKE): called with on before the first of them can be used.
	 * 0, or -errno: then the SA is not made.  Without on after the last one is gone; the
	 * result is not looked at.
	 */
	int (*port)(void *ctx, uint16_t port, bool marker, bool on);
	/* An SA has other ports now, because a NAT gave its peer another one. */
	void (*followed)(void *ctx, const struct tdo_sa_key *sa);
	/*
	 * Sends one byte 0xff in UDP (RFC 3948 2.3): nothing went this way for a while, and a NAT
	 * might forget it.  From tdo_engine_tick().
	 */
	void (*keepalive)(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst,
	    uint16_t sport, uint16_t dport);
	void *ctx;
};

struct tdo_engine_config {
	struct tdo_mem mem;
	tdo_random_fn random; /* also called by workers, several at once */
	void *random_ctx;
	tdo_log_fn log; /* may be NULL */
	void *log_ctx;
	struct tdo_crypto *crypto; /* borrowed; made with at least nworkers */
	unsigned nworkers;         /* 1 .. 64 */
	/*
	 * Flows that each worker remembers: a power of two, 64 .. 65,536; 0: 16,384.  Each takes
	 * 136 bytes.
	 */
	unsigned flows;
	struct tdo_cover_ops cover;
	struct tdo_natt_ops natt;
	/*
	 * Where the outbound sequence counter of an SA lives, so that it survives the
	 * process: returns memory that holds the last number used, or NULL for memory of the
	 * SA.  Called once when the SA is made; may be NULL.
	 */
	_Atomic uint64_t *(*seq_slot)(void *ctx, const struct tdo_sa_param *sa);
	/*
	 * The same for the high half of the inbound numbers of an SA with extended sequence
	 * numbers, which a new process could not guess.  Called after seq_slot.
	 */
	_Atomic uint32_t *(*high_slot)(void *ctx, const struct tdo_sa_param *sa);
	void *seq_ctx;
};

/* Returns 0, -EINVAL or -ENOMEM. */
TDO_MUST_CHECK int tdo_engine_new(const struct tdo_engine_config *cfg, struct tdo_engine **ret);
/* Frees everything, wipes keys.  e may be NULL.  No worker may be in use. */
void tdo_engine_free(struct tdo_engine *e);
/* The framework that the engine was made with. */
struct tdo_crypto *tdo_engine_crypto(const struct tdo_engine *e);
/* Wall-clock time in seconds that belongs to now; for "created" and "last used". */
void tdo_engine_set_wall(struct tdo_engine *e, uint64_t seconds, tdo_ns now);
/* The host's own addresses, for the spoofing check; copied.  0 or -ENOMEM. */
TDO_MUST_CHECK int tdo_engine_set_local(struct tdo_engine *e, const struct tdo_addr *a, unsigned n);

/* ---- packets (worker threads) ------------------------------------------------------- */

/* The i-th worker, i < nworkers.  It counts as resumed from the start. */
struct tdo_worker *tdo_engine_worker(struct tdo_engine *e, unsigned i);
/* The worker holds no borrowed pointer from an earlier call any more. */
void tdo_worker_quiesce(struct tdo_worker *w);
/* The worker will make no call until tdo_worker_resume(): it is about to sleep. */
void tdo_worker_idle(struct tdo_worker *w);
void tdo_worker_resume(struct tdo_worker *w);

/*
 * Outbound, first half: parses each of the n <= TDO_BURST_MAX packets, finds its policy
 * and its SAs.  Verdict PASS, DROP, or PROTECT with p->sas filled.  A super-packet
 * (p->gso) is classified like its first segment; the caller then cuts it into segments
 * (wire/offload.h), copies the classification with tdo_pkt_copy_class() and gives the
 * segments to the second half.
 */
void tdo_out_classify(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

/* Gives a segment the verdict, SAs and policy of the packet from which it was cut. */
void tdo_pkt_copy_class(struct tdo_pkt *to, const struct tdo_pkt *from);

/*
 * Outbound, second half: applies the SAs of every packet whose verdict is PROTECT; the
 * others are left alone.  Verdict SEND or DROP.  Checksums must be complete
 * (tdo_csum_complete), except that PARTIAL ones are completed here.
 */
void tdo_out_protect(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

/* Both halves, for packets that are no super-packets.  Verdict PASS, SEND or DROP. */
void tdo_out(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

/*
 * Bytes that the SAs of a packet with verdict PROTECT can add at most, for MSS and MTU:
 * the largest len such that no packet of up to that len exceeds mtu after protection;
 * 0 when there is none.  IPComp counts as if nothing ever got smaller.
 */
uint32_t tdo_out_inner_mtu(const struct tdo_pkt *p, uint32_t mtu);

/*
 * True when the lengths of packets like this one, with verdict PROTECT, are hidden (RFC 4303
 * 2.7): where there is memory behind a packet it becomes longer, up to its path_mtu, or 1280
 * bytes if that is 0.
 */
bool tdo_out_pads(const struct tdo_worker *w, const struct tdo_pkt *p);

/*
 * True when packets like this one, with verdict PROTECT, are to be fragmented before they are
 * protected if they exceed tdo_out_inner_mtu(): an SA in UDP says so (NAT_T_FRAG), or the knob
 * frag_first; only what goes into a tunnel (RFC 4303 3.3.4).  Whether the packet may be
 * fragmented is for the caller to judge.
 */
bool tdo_out_cuts_first(const struct tdo_worker *w, const struct tdo_pkt *p);

/*
 * Inbound: IP packets that carry ESP, AH or IPComp, or IP itself from the peer of an IPComp
 * tunnel, addressed to this host, reassembled.  Removes all IPsec headers, keeps the history,
 * checks the policy.  Verdict PASS (deliver; the packet is now the inner IP packet) or DROP.
 * n <= TDO_BURST_MAX.  Decompressed packets may be in other memory: see struct tdo_pkt.
 */
void tdo_in(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

/*
 * Policy check of IP packets that came in without any protection.  Verdict PASS or DROP.
 * ESP, AH, IPComp for this host itself (no TDO_PKT_FORWARDED) pass: they are not their
 * last protocol.
 */
void tdo_in_clear(struct tdo_worker *w, struct tdo_pkt *const *p, unsigned n, tdo_ns now);

/*
 * An ICMP (af INET) or ICMPv6 message that came in clear, from outside: does it speak of a packet
 * that this host protected (RFC 4301 6.1, 8.2.1)?  It has to quote addresses of an SA that is in
 * use, its SPI, and the ports of one in UDP, and a number that was sent lately.  What does not is
 * counted with its reason, and takes nothing from what the knob icmp_limit allows of each SA.
 */
enum tdo_icmp_verdict {
	TDO_ICMP_FOREIGN, /* it is not about IPsec: somebody else's */
	TDO_ICMP_DROP,    /* it is not believed, and counted */
	TDO_ICMP_OTHER,   /* genuine, and counted; nothing follows from it */
	TDO_ICMP_TOO_BIG, /* the path to dst carries no more than mtu bytes */
};

struct tdo_icmp_report {
	enum tdo_reason reason; /* DROP */
	struct tdo_addr dst;
	uint32_t mtu; /* TOO_BIG; 0: less than quoted_len, whatever that is */
	uint32_t quoted_len;
};

enum tdo_icmp_verdict tdo_icmp_in(struct tdo_worker *w, uint8_t af, const uint8_t *msg, size_t len,
    tdo_ns now, struct tdo_icmp_report *ret);

/*
 * Path MTU probes: dummy packets of ESP (RFC 4303 2.6) of a given size, which every peer discards
 * and which a testudo answers with a small one.  Nobody without the keys can forge either.
 */
struct tdo_probe {
	bool answer;
	uint32_t size; /* of the whole packet that asks */
	uint64_t nonce;
};

/*
 * Makes p a probe by some ESP SA from src to dst: of probe->size bytes, or a little less where
 * padding does not allow it; an answer is as small as it can be.  False: there is no such SA, or it
 * may not be used.  p has memory for size bytes with headroom and tailroom.
 */
TDO_MUST_CHECK bool tdo_probe_make(struct tdo_worker *w, const struct tdo_addr *src,
    const struct tdo_addr *dst, const struct tdo_probe *probe, struct tdo_pkt *p, tdo_ns now);
/*
 * The probe that tdo_in() found in a packet: that is one with verdict DROP and reason IN_PROBE.  It
 * came from *ret_peer, to *ret_local.
 */
struct tdo_probe tdo_probe_read(
    const struct tdo_pkt *p, struct tdo_addr *ret_peer, struct tdo_addr *ret_local);

/*
 * The caller puts fragments together (testudo/reass.h).  Policies with ports, transport mode and
 * SAs with selectors of their own can judge whole datagrams only (RFC 4301 7): fragments under
 * them then get the verdict FRAGMENT in tdo_out_classify() and tdo_in(), instead of a drop,
 * and the first fragment of a datagram like the later ones.
 */
void tdo_worker_reassembles(struct tdo_worker *w, bool yes);
/* Outbound the whole is classified as any packet.  Inbound: what fragments must have in common. */
uint64_t tdo_in_way(const struct tdo_worker *w, const struct tdo_pkt *fragment);
/* ... and the policy check of the whole, which came as its last fragment did. */
void tdo_in_whole(
    struct tdo_worker *w, struct tdo_pkt *whole, const struct tdo_pkt *fragment, tdo_ns now);
/* For the caller's counters TDO_STAT_REASS_...: n more. */
void tdo_worker_count(struct tdo_worker *w, enum tdo_stat s, uint64_t n);

/* Counts drops that the caller decided (attachment reasons): TDO_AT_IN or TDO_AT_OUT. */
void tdo_worker_count_drop(struct tdo_worker *w, enum tdo_at at, enum tdo_reason r, uint64_t n);

/* ---- SAD (control thread) ----------------------------------------------------------- */

/*
 * Adds a mature SA (RFC 2367 3.1.3).  -EEXIST, -EINVAL (with *ret_err), -EOPNOTSUPP,
 * -ENOMEM.  ret_err may be NULL; it is written on failure only.
 */
TDO_MUST_CHECK int tdo_sa_add(
    struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err);
/*
 * Completes a larval SA, or replaces keys and lifetimes of a mature one; without algorithms
 * (both 0) those of the SA and its keys stay.  With the same keys the sequence counter, the
 * replay window and the age continue; packets and bytes always do.  With new_src or new_dst the
 * SA moves (D44); -EEXIST when its SPI is taken there.  -ESRCH, and as above.
 */
TDO_MUST_CHECK int tdo_sa_update(
    struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err);
/*
 * Makes a larval SA with a free SPI in [min, max]; p->key.spi is not read; p->seq answers the
 * ACQUIRE of that number.  -ENOENT: none free; -EINVAL, -EOPNOTSUPP, -ENOMEM.
 */
TDO_MUST_CHECK int tdo_sa_getspi(struct tdo_engine *e, const struct tdo_sa_param *p, uint32_t min,
    uint32_t max, tdo_ns now, uint32_t *ret_spi);
/* Deletes one SA; -ESRCH. */
int tdo_sa_delete(struct tdo_engine *e, const struct tdo_sa_key *key);
/* Deletes all SAs with the key's type, source and destination; returns how many. */
unsigned tdo_sa_delete_all(struct tdo_engine *e, const struct tdo_sa_key *key);
/* Deletes all SAs of a type, or all with UNSPEC; returns how many. */
unsigned tdo_sa_flush(struct tdo_engine *e, uint8_t satype);
/* True when a mature or dying SA of the key's type and addresses exists. */
bool tdo_sa_usable(const struct tdo_engine *e, const struct tdo_sa_key *key);
/* Copies one SA; -ESRCH.  Wipe *ret after use. */
TDO_MUST_CHECK int tdo_sa_get(
    struct tdo_engine *e, const struct tdo_sa_key *key, struct tdo_sa_info *ret);

/*
 * A consistent snapshot for a dump of any length: the entries that exist now, in order
 * of creation, even if they are deleted while the dump goes on.  Control thread only.
 */
struct tdo_sa_snap;
TDO_MUST_CHECK int tdo_sa_snap_new(struct tdo_engine *e, uint8_t satype, struct tdo_sa_snap **ret);
unsigned tdo_sa_snap_left(const struct tdo_sa_snap *s);
bool tdo_sa_snap_next(struct tdo_sa_snap *s, struct tdo_sa_info *ret);
void tdo_sa_snap_free(struct tdo_sa_snap *s); /* s may be NULL */

/* ---- SPD (control thread) ----------------------------------------------------------- */

/*
 * Adds a policy at the end of its priority.  -EEXIST when the selectors and direction
 * exist, -EINVAL (with *ret_err), -ENOMEM, or what cover.widen returned.  -ENOSPC when 2^32
 * policies were added to a priority that was never empty.  ret_info (may be NULL) gets id
 * and reqids.
 */
TDO_MUST_CHECK int tdo_sp_add(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err);
/*
 * Replaces the policy with these selectors, or adds it.  A replaced one keeps its id, its
 * counters, the reqids of unchanged requests and, at the same priority, its place (D34).
 */
TDO_MUST_CHECK int tdo_sp_update(struct tdo_engine *e, const struct tdo_sp_param *p, tdo_ns now,
    struct tdo_sp_info *ret_info, struct tdo_err *ret_err);
/* Deletes by selectors and direction, or by id; -ENOENT.  ret_info may be NULL. */
int tdo_sp_delete(
    struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel, struct tdo_sp_info *ret_info);
int tdo_sp_delete_id(struct tdo_engine *e, uint32_t id, struct tdo_sp_info *ret_info);
TDO_MUST_CHECK int tdo_sp_get(struct tdo_engine *e, uint32_t id, struct tdo_sp_info *ret);
/* The policy in force with these selectors and direction; -ENOENT. */
TDO_MUST_CHECK int tdo_sp_find(
    struct tdo_engine *e, uint8_t dir, const struct tdo_sel *sel, struct tdo_sp_info *ret);
unsigned tdo_sp_flush(struct tdo_engine *e);

/* As for SAs: in search order (all inbound, then all outbound). */
struct tdo_sp_snap;
TDO_MUST_CHECK int tdo_sp_snap_new(struct tdo_engine *e, struct tdo_sp_snap **ret);
unsigned tdo_sp_snap_left(const struct tdo_sp_snap *s);
bool tdo_sp_snap_next(struct tdo_sp_snap *s, struct tdo_sp_info *ret);
void tdo_sp_snap_free(struct tdo_sp_snap *s); /* s may be NULL */

/* ---- knobs, counters, time, events (control thread) --------------------------------- */

int32_t tdo_knob_get(const struct tdo_engine *e, enum tdo_knob k, uint8_t af);
/*
 * 0; -EINVAL for a value that it does not take, -EPERM when it cannot be set, -EBUSY when that
 * would switch off what is in use, or what cover.set_default returned.  ret_err may be NULL; it is
 * written on failure only.
 */
TDO_MUST_CHECK int tdo_knob_change(
    struct tdo_engine *e, enum tdo_knob k, uint8_t af, int32_t v, struct tdo_err *ret_err);

static inline TDO_MUST_CHECK int
tdo_knob_set(struct tdo_engine *e, enum tdo_knob k, uint8_t af, int32_t v)
{
	return tdo_knob_change(e, k, af, v, NULL);
}

/* Sums over all workers; monotonic while the engine lives. */
uint64_t tdo_stat_read(const struct tdo_engine *e, enum tdo_stat s);
uint64_t tdo_drops_read(const struct tdo_engine *e, enum tdo_reason r); /* wherever it was */
uint64_t tdo_drops_read_at(const struct tdo_engine *e, enum tdo_at at, enum tdo_reason r);

/* The last packet dropped for a reason: to name the offender. */
struct tdo_offender {
	tdo_ns when; /* 0: none yet */
	struct tdo_flow flow;
	uint32_t spi, seq; /* 0: not known */
};
void tdo_offender_read(const struct tdo_engine *e, enum tdo_reason r, struct tdo_offender *ret);

/* What was dropped for one SA, or because of one policy, for one reason. */
struct tdo_blame {
	uint64_t owner; /* which of them; never that of another one */
	bool is_sp;
	uint16_t reason;      /* enum tdo_reason */
	uint32_t sp_id;       /* of a policy */
	struct tdo_sa_key sa; /* of an SA: its name when the last packet was dropped */
	uint64_t count;
	struct tdo_offender last;
};

/* Sorted by owner, then by reason. */
struct tdo_blame_list {
	struct tdo_blame *blame;
	size_t n, cap;
};

/*
 * All SAs, or all policies, for which packets were dropped, and which still are there; an SA or
 * policy that was updated is the same.  0 or -ENOMEM.
 */
TDO_MUST_CHECK int tdo_blame_list(
    struct tdo_engine *e, bool of_policies, struct tdo_blame_list *ret);
void tdo_blame_list_free(struct tdo_engine *e, struct tdo_blame_list *l);
/* Drops that the lists do not have: too many SAs and policies dropped packets. */
uint64_t tdo_blame_lost(const struct tdo_engine *e);

struct tdo_spd_counts {
	unsigned sas, sps;
};
struct tdo_spd_counts tdo_engine_counts(const struct tdo_engine *e);

/*
 * A point in time, and whether no worker is any more in a call that began before it: for memory
 * lent to the engine (seq_slot) that is to serve another SA.
 */
uint64_t tdo_engine_mark(struct tdo_engine *e);
bool tdo_engine_passed(struct tdo_engine *e, uint64_t mark);

/*
 * Dummy packets (RFC 4303 2.6), for SAs with tfc.dummies whose source is an address of this host
 * (tdo_engine_set_local()).  True: p, which has memory and headroom, is one to be sent now, with
 * verdict SEND; call it again.  False: nothing is due.  w is a worker that the caller may use now.
 * mtu says what the path between two addresses carries; as long a dummy can be.
 */
typedef uint32_t (*tdo_dummy_mtu_fn)(
    void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst);
TDO_MUST_CHECK bool tdo_dummy_make(struct tdo_engine *e, struct tdo_worker *w, tdo_dummy_mtu_fn mtu,
    void *ctx, struct tdo_pkt *p, tdo_ns now);
/* When to call it next; UINT64_MAX: no SA wants any. */
tdo_ns tdo_dummy_due(const struct tdo_engine *e);

/* Lifetimes, larval SAs, reclamation.  Call at least once a second. */
void tdo_engine_tick(struct tdo_engine *e, tdo_ns now);
/* The last tick did as much as it may in one go, some 10 ms, and left more: call it soon again. */
bool tdo_engine_busy(const struct tdo_engine *e);

enum tdo_event_type {
	TDO_EVENT_EXPIRE_SOFT, /* sa */
	TDO_EVENT_EXPIRE_HARD, /* sa */
	TDO_EVENT_ACQUIRE,     /* acquire */
	TDO_EVENT_SP_EXPIRE,   /* sp */
	TDO_EVENT_SP_ACQUIRE,  /* acquire: the policy has no requests yet */
	TDO_EVENT_NAT_MAPPING, /* sa, mapping: its packets come from another port or address */
};

struct tdo_event {
	enum tdo_event_type type;
	struct tdo_sa_info sa;
	struct tdo_sp_info sp;
	struct {
		uint32_t seq; /* acquire number */
		uint32_t sp_id;
		struct tdo_addr src, dst;
		struct tdo_req req;
		bool has_sel;       /* the policy wants an SA for ... */
		struct tdo_sel sel; /* ... this alone (D45) */
	} acquire;
	struct {
		struct tdo_addr src;
		uint16_t old_sport, sport;
	} mapping; /* of the peer, by a NAT; a new port is followed already */
};

/*
 * Who is registered for what: bit 1 << enum tdo_satype.  Only then there are acquires, and
 * packets that wait for what was acquired (TDO_VERDICT_HOLD).
 */
void tdo_engine_set_acquirers(struct tdo_engine *e, uint32_t satypes);

/* The acquire with this number was answered: the next packet without an SA asks again. */
void tdo_acquire_answered(struct tdo_engine *e, uint32_t seq);
/*
 * A key manager is at work on it: blockacq_lifetime and blockacq_count start again.
 * tdo_sa_getspi() calls it for p->seq.
 */
void tdo_acquire_working(struct tdo_engine *e, uint32_t seq, tdo_ns now);
/* A key manager gave up: what waits for it is dropped, the next packet asks again. */
void tdo_acquire_refused(struct tdo_engine *e, uint32_t seq, tdo_ns now);

/*
 * Changes when SAD, SPD, knobs or key managers do: what waits for an SA may look again.  Any
 * thread.
 */
uint32_t tdo_engine_generation(const struct tdo_engine *e);

/* Takes the oldest event; false when there is none.  Wipe ret->sa after use. */
bool tdo_engine_next_event(struct tdo_engine *e, struct tdo_event *ret);

#endif
