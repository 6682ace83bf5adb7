/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clear packets that the kernel queues, as the data process answers for them: how many ICMP errors
 * of which kind the host may have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/be.h"
#include "daemon/process.h"
#include "fixture.h"
#include "wire/ip.h"

#define ME     "10.0.0.1"
#define PEER   "10.0.0.2"
#define OTHER  "10.9.0.1" /* no policy names it */
#define ROUTER "172.16.0.9"

static struct fx f;
static struct tdo_process d;
static struct tdo_data_env env;
static int parent; /* its end */

static int
setup(void **state)
{
	static const struct fx_sa sa = {
	    .src = ME, .dst = PEER, .spi = 0x1000, .mode = TDO_MODE_TRANSPORT, .enc = "aes-gcm-16"};
	int fd[2];

	(void)state;
	memset(&f, 0, sizeof(f));
	fx_open(&f, NULL);
	fx_local(&f, ME);
	fx_add_sa(&f, &sa);
	fx_add_sp(&f, TDO_DIR_OUT, ME, PEER, TDO_IPPROTO_UDP, "esp/transport//require");
	fx_add_sp(&f, TDO_DIR_IN, PEER, ME, TDO_IPPROTO_UDP, "esp/transport//require");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	parent = fd[0];
	memset(&env, 0, sizeof(env));
	memset(&d, 0, sizeof(d));
	env.worker[0].tun = -1;
	d.env = &env;
	d.engine = f.e;
	d.clear = f.w;
	assert_int_equal(tdo_process_queued_init(&d), 0);
	assert_int_equal(tdo_parentlink_init(&d.parent, fd[1]), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tdo_parentlink_fini(&d.parent);
	close(d.parent.fd);
	close(parent);
	free(d.clear_buf);
	tdo_worker_resume(f.w);
	fx_close(&f);
	return 0;
}

static uint8_t packet[600];
static uint32_t packet_len;

/* "Fragmentation needed" of the router about so much of p. */
static void
error_about(const struct tdo_pkt *p, uint32_t quote)
{
	struct tdo_ip_hdr h = {
	    .src = fx_addr(ROUTER), .dst = fx_addr(ME), .ttl = 60, .proto = TDO_IPPROTO_ICMP};
	uint8_t *m = packet + TDO_IP4_HLEN;

	tdo_ip_build(packet, &h, 8 + quote);
	memset(m, 0, 8);
	m[0] = 3;
	m[1] = 4;
	tdo_put_be16(m + 6, 700);
	memcpy(m + 8, tdo_pkt_data(p), quote);
	tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, 8 + quote)));
	packet_len = TDO_IP4_HLEN + 8 + quote;
}

/* What the kernel is told of the packet (linux/netfilter/nfnetlink_queue.h). */
static bool
passes(void)
{
	static uint8_t m[1000];
	uint16_t type = 0x300, alen = 11, atype = 1, plen = (uint16_t)(4 + packet_len), ptype = 10;
	uint32_t len = 36 + ((packet_len + 3) & ~3u), id = 7;
	struct {
		struct tdo_ipc_hdr h;
		struct tdo_ipc_verdict v;
	} answer;

	memset(m, 0, 36);
	memcpy(m, &len, 4);
	memcpy(m + 4, &type, 2);
	memcpy(m + 20, &alen, 2);
	memcpy(m + 22, &atype, 2);
	memcpy(m + 24, &id, 4);
	m[30] = 1; /* NF_INET_LOCAL_IN */
	memcpy(m + 32, &plen, 2);
	memcpy(m + 34, &ptype, 2);
	memcpy(m + 36, packet, packet_len);
	assert_int_equal(tdo_process_queued(&d, m, len), 0);
	assert_int_equal(recv(parent, &answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer));
	assert_int_equal(answer.h.type, TDO_IPC_VERDICT);
	assert_int_equal(answer.v.id, id);
	return answer.v.accept != 0;
}

/* Errors about what is nobody's secret are not our business. */
static void
errors_about_clear_traffic_are_not_limited(void **state)
{
	struct tdo_pkt *p = fx_udp(&f.rng, ME, OTHER, 1000);

	(void)state;
	error_about(p, 500);
	for (unsigned i = 0; i < 2000; i++)
		assert_true(passes());
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_ICMP_RATE), 0);
	fx_pkt_free(p);
}

static void
floods_of_forged_errors_starve_nobody(void **state)
{
	struct tdo_pkt *clear = fx_udp(&f.rng, ME, PEER, 1000),
		       *esp = fx_udp(&f.rng, ME, PEER, 1000);

	(void)state;
	tdo_out(f.w, &esp, 1, f.now);
	assert_int_equal(esp->verdict, TDO_VERDICT_SEND);
	/* About what nobody on the way saw in clear, and about an SA that there is not. */
	for (unsigned i = 0; i < 1000; i++) {
		error_about(clear, 500);
		assert_false(passes());
		tdo_pkt_data(esp)[23] ^= 1;
		error_about(esp, 500);
		assert_false(passes());
		tdo_pkt_data(esp)[23] ^= 1;
	}
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_IN_ICMP_QUOTE), 1000);
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_ICMP_NO_SA), 1000);
	error_about(esp, 500);
	assert_true(passes());
	fx_pkt_free(clear);
	fx_pkt_free(esp);
}

/* What proves that it is about a packet of ours passes policies: not for ever. */
static void
errors_that_may_be_genuine_are_limited(void **state)
{
	struct tdo_pkt *esp = fx_udp(&f.rng, ME, PEER, 1000);
	unsigned n = 0;

	(void)state;
	tdo_out(f.w, &esp, 1, f.now);
	error_about(esp, 500);
	for (unsigned i = 0; i < 5000; i++)
		n += passes();
	/* The clock is the real one. */
	assert_true(n >= 100 && n < 5000);
	assert_int_equal(tdo_drops_read(f.e, TDO_REASON_ICMP_RATE), 5000 - n);
	fx_pkt_free(esp);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(errors_about_clear_traffic_are_not_limited),
	    T(floods_of_forged_errors_starve_nobody),
	    T(errors_that_may_be_genuine_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
