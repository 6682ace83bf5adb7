/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data process: engine, packet workers, PF_KEY and control servers.  Entered after
 * fork; everything it needs from the system was opened by the parent.
 */
#ifndef TDO_DAEMON_DATA_H
#define TDO_DAEMON_DATA_H

#include "daemon/conf.h"
#include "wire/ip.h"

#define TDO_WORKERS_MAX 64
#define TDO_RAW_PROTOS  3

/* The IP protocols that raw sockets receive. */
static inline uint8_t
tdo_raw_proto(unsigned i)
{
	static const uint8_t proto[TDO_RAW_PROTOS] = {
	    TDO_IPPROTO_ESP, TDO_IPPROTO_AH, TDO_IPPROTO_IPCOMP};

	return proto[i];
}

/*
 * Descriptors of one worker; -1 where a family is not available.  All are non-blocking.
 * tun: a queue of the TUN with IFF_VNET_HDR (virtio_net_hdr of 10 bytes) and TSO, USO.
 * raw4_in, raw6_in: one for each protocol, with a filter that gives each worker its share of
 * SPIs; raw6_in has ancillary data switched on (rawsock.h).
 * raw4_out, raw6_out: IPPROTO_RAW, header included, marked as testudo's own,
 * MTU_DISCOVER = PROBE.  raw4_clear, raw6_clear: the same, with the mark of packets that were
 * diverted and need no protection.  mtu4, mtu6: UDP sockets, marked the same, to ask for path MTUs
 * with connect() and IP_MTU, IPV6_MTU.
 * udp4_in, udp6_in: ESP in UDP, super-packets whole (udpsock.h); the workers share the peers.
 * udp4_out_df, udp4_out (without DF), udp6_out: send super-packets, and nothing else, with the
 * source port tdo_fence_natt_fast(); all -1 where UDP encapsulation is not available.
 */
struct tdo_worker_fds {
	int tun;
	int raw4_in[TDO_RAW_PROTOS], raw6_in[TDO_RAW_PROTOS];
	int raw4_out, raw6_out;
	int raw4_clear, raw6_clear;
	int mtu4, mtu6;
	int udp4_in, udp6_in;
	int udp4_out_df, udp4_out, udp6_out;
	int route; /* netlink: MTUs of routes and devices */
	int icmp4,
	    icmp6; /* ICMP, unmarked, of the first worker only: the control thread reads errors */
};

/* Memory shared with the parent that outlives a data process: state.h. */
struct tdo_state_region {
	void *base;
	size_t size;
};

struct tdo_data_env {
	const struct tdo_conf *conf;
	struct tdo_worker_fds worker[TDO_WORKERS_MAX];
	int ipc;          /* SOCK_SEQPACKET to the parent */
	int pfkey_listen; /* abstract SOCK_SEQPACKET, listening */
	int ctl_listen;   /* abstract SOCK_SEQPACKET, listening */
	struct tdo_state_region state;
	bool first_run;  /* false: an earlier data process of this parent died; replay the state */
	bool recovering; /* a crashed testudod left its table: drop what would pass in clear until
			    a client that changed the SPD has gone, and two seconds more */
	uid_t owner;     /* user id of the parent, as its clients see it */
	uint32_t tun_ifindex;
};

/* Runs until STOP, or until the parent is gone.  Returns the exit status. */
int tdo_data_main(const struct tdo_data_env *env);

#endif
