/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two processes of testudod say to each other, and what the parent hands over.
 *
 * parent: root (or root of a user namespace); owns TUN, nftables, rules, routes, raw
 *         sockets and listeners; performs the requests below and nothing else; parses
 *         nothing that comes from the network.
 * data:   no capabilities, seccomp, landlock; owns engine, keys, PF_KEY and control server;
 *         uses the descriptors that it inherits by fork.
 *
 * A message is one datagram of a SOCK_SEQPACKET pair: struct tdo_ipc_hdr and a body of
 * exactly the size that its type has, or a multiple of it where an array is said.  Every size is
 * checked; a message of a wrong size, type or direction ends the process that sent it (it is broken
 * or taken over).
 */
#ifndef TDO_IPC_PROTO_H
#define TDO_IPC_PROTO_H

#include "testudo/sel.h"

enum tdo_ipc_type {
	/* data -> parent, answered by REPLY with the same seq, COVER_DEL unless that is 0 */
	/*
	 * struct tdo_ipc_cover[] of one direction and family: all in force in the kernel when
	 * answered, or none.  Answer 1: so is every other one of its direction and family, until
	 * each that was added is deleted.
	 */
	TDO_IPC_COVER_ADD = 1,
	TDO_IPC_COVER_DEL,     /* struct tdo_ipc_cover[]: may be carried out later */
	TDO_IPC_COVER_DEFAULT, /* struct tdo_ipc_default */
	TDO_IPC_STATUS,        /* asks for STATUS_REPLY */
	/* data -> parent, not answered */
	TDO_IPC_READY,     /* engine and servers answer; after a restart: state was replayed */
	TDO_IPC_RECOVERED, /* policies were loaded again after a crash: the old table may go */
	TDO_IPC_VERDICT,   /* struct tdo_ipc_verdict, for one queued packet */
	TDO_IPC_LOG,       /* level byte + text without NUL: the parent writes it */
	/* parent -> data */
	TDO_IPC_REPLY,        /* int32_t: 0 or -errno */
	TDO_IPC_STATUS_REPLY, /* struct tdo_ipc_status */
	TDO_IPC_QUEUED,       /* a raw nfnetlink_queue packet message, unparsed */
	TDO_IPC_LOCAL, /* struct tdo_addr[]: the host's own addresses, whenever they change */
	TDO_IPC_STOP,  /* finish in order */
	/* data -> parent again, not answered */
	TDO_IPC_INCOMPLETE, /* before READY: policies were lost, covers stay until RECOVERED */
	TDO_IPC_REASSEMBLE, /* uint8_t 1: IPv6 fragments must be whole when they are queued; 0 */
	/*
	 * struct tdo_ipc_natt_port.  With on answered by REPLY with the same seq: what comes to the
	 * port is received from then on.  Answer: -errno, or the local port with which packets
	 * leave that the sockets for super-packets send, now and until the next answer; 0: these
	 * cannot be used.
	 */
	TDO_IPC_NATT_PORT,
};

struct tdo_ipc_hdr {
	uint32_t type; /* enum tdo_ipc_type */
	uint32_t seq;  /* of the request; 0 where there is no answer */
};

#define TDO_IPC_MSG_MAX (128 * 1024)

#define TDO_IPC_COVERS 128 /* in one message, at most */

struct tdo_ipc_cover {
	uint8_t dir; /* enum tdo_dir: OUT divert, IN check clear packets */
	struct tdo_sel sel;
};

struct tdo_ipc_default {
	uint8_t af;
	uint8_t discard; /* def_policy is 0: everything is covered, in and out */
};

struct tdo_ipc_verdict {
	uint32_t id; /* packet id of the queue, network order as received */
	uint8_t accept;
};

/* A local UDP port to which SAs come. */
struct tdo_ipc_natt_port {
	uint16_t port;  /* not 0 */
	uint8_t marker; /* 1: of the form with eight zero bytes in front of ESP */
	uint8_t on;
};

/* Counters and state of the attachment, for testudo stats and doctor. */
struct tdo_ipc_status {
	uint64_t guard_drops; /* TDO_REASON_GUARD, from the kernel's counter */
	uint64_t repairs;     /* rules, routes, tables that others removed and we put back */
	uint64_t queued;      /* clear inbound packets handed over */
	uint64_t restarts;    /* of the data process */
	uint32_t cover_entries, cover_coarsened;
	uint8_t recovering; /* policies of a crashed run still protect */
	uint8_t has_owner_table, has_nfqueue;
	uint8_t has_inet, has_inet6;
};

#endif
