/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker of the daemon between a TUN and sockets that are not there, and a peer that opens what
 * was sent.  For one test program, which is linked with --wrap=readv and wraps what sends itself.
 */
#ifndef TDO_TESTS_OUTBOUND_CASE_H
#define TDO_TESTS_OUTBOUND_CASE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "daemon/worker.h"
#include "fixture.h"
#include "io/vnet.h"

#define TUN_MAX 64u

enum { FD_TUN = 1001, FD_RAW4, FD_RAW6, FD_UDP4, FD_UDP4_DF, FD_UDP6, FD_ICMP4, FD_ICMP6 };
enum { PORT = 4500 }; /* of ESP in UDP, when udp_port says so */

static struct fx us, peer;
static struct tdo_packet_worker *w;
static _Atomic bool recovering;
static _Atomic size_t held;
static _Atomic uint16_t udp_port;

/* What the TUN has: header (io/vnet.h) and packet. */
static struct {
	struct {
		uint8_t *bytes;
		uint32_t len;
	} input[TUN_MAX];
	unsigned n, read;
} tun;

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);

ssize_t
__wrap_readv(int fd, const struct iovec *iov, int n)
{
	uint32_t len, first = (uint32_t)iov[0].iov_len;

	assert_int_equal(fd, FD_TUN);
	assert_int_equal(n, 2);
	if (tun.read == tun.n) {
		errno = EAGAIN;
		return -1;
	}
	len = tun.input[tun.read].len;
	assert_true(len > first && len - first <= iov[1].iov_len);
	memcpy(iov[0].iov_base, tun.input[tun.read].bytes, first);
	memcpy(iov[1].iov_base, tun.input[tun.read].bytes + first, len - first);
	tun.read++;
	return (ssize_t)len;
}

/* vnet: NULL for a packet that is as it shall be. */
static inline void
tun_put(const void *vnet, const uint8_t *packet, uint32_t len)
{
	uint8_t *b = calloc(1, TDO_VNET_HLEN + len);

	assert_non_null(b);
	assert_true(tun.n < TUN_MAX);
	if (vnet)
		memcpy(b, vnet, TDO_VNET_HLEN);
	memcpy(b + TDO_VNET_HLEN, packet, len);
	tun.input[tun.n].bytes = b;
	tun.input[tun.n++].len = TDO_VNET_HLEN + len;
}

static inline void
tun_clear(void)
{
	for (unsigned i = 0; i < tun.n; i++)
		free(tun.input[i].bytes);
	memset(&tun, 0, sizeof(tun));
}

/* Two engines without SAs and policies. */
static inline void
open_ends(void)
{
	memset(&us, 0, sizeof(us));
	memset(&peer, 0, sizeof(peer));
	fx_open(&us, NULL);
	fx_open(&peer, NULL);
}

/* Both have the SA; we send by it what goes from here to there. */
static inline void
add_tunnel(const struct fx_sa *sa, const char *here, const char *there, const char *request)
{
	fx_add_sa(&us, sa);
	fx_add_sa(&peer, sa);
	fx_add_sp(&us, TDO_DIR_OUT, here, there, TDO_PROTO_ANY, request);
	fx_add_sp(&peer, TDO_DIR_IN, here, there, TDO_PROTO_ANY, request);
}

static inline int
start_worker(void)
{
	const struct tdo_worker_shared shared = {&recovering, &held, &udp_port};
	struct tdo_worker_fds fds = {.tun = FD_TUN,
	    .raw4_in = {-1, -1, -1},
	    .raw6_in = {-1, -1, -1},
	    .raw4_out = FD_RAW4,
	    .raw6_out = FD_RAW6,
	    .raw4_clear = -1,
	    .raw6_clear = -1,
	    .mtu4 = -1,
	    .mtu6 = -1,
	    .icmp4 = FD_ICMP4,
	    .icmp6 = FD_ICMP6,
	    .udp4_in = -1,
	    .udp6_in = -1,
	    .udp4_out_df = FD_UDP4_DF,
	    .udp4_out = FD_UDP4,
	    .udp6_out = FD_UDP6};

	return tdo_packet_worker_new(us.e, 0, &fds, 0, &shared, &w);
}

static inline void
close_ends(void)
{
	tdo_packet_worker_free(w, false);
	tun_clear();
	fx_close(&us);
	fx_close(&peer);
}

/* The peer opens a packet, ESP or ESP in UDP; the caller frees it. */
static inline struct tdo_pkt *
peer_opens(const uint8_t *ip, uint32_t len)
{
	struct tdo_pkt *p = fx_pkt_new(len);

	fx_pkt_set(p, ip, len);
	if (ip[ip[0] >> 4 == 6 ? 6 : 9] == TDO_IPPROTO_UDP)
		p->flags = TDO_PKT_UDP_ENCAP;
	tdo_in(peer.w, &p, 1, peer.now);
	if (p->verdict != TDO_VERDICT_PASS)
		fail_msg("%s", tdo_reason_info(p->reason)->name);
	return p;
}

#endif
