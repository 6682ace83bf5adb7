/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet workers: making, running, ending. */
#include "daemon/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/engine.h"
#include "os/clock.h"

#define IN_POOL           (1u << 18) /* TDO_TUN_READ_BYTES and one packet more, with their room */
#define SEG_POOL          (1u << 19)
#define FRAG_POOL         (1u << 20)
#define SEG_PKTS          1024u
#define ROUNDS_MAX        32u /* before the other descriptors are looked at again */
#define BROKEN_WAIT_MS    100
#define FRAGMENTS_WAIT_MS 1000 /* their timeout is in seconds */
#define BIG_PKT_CAP       (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM)

static int
make_senders(struct tdo_packet_worker *w)
{
	const struct {
		struct tdo_raw_tx **tx;
		int fd;
		uint8_t af;
		enum tdo_iostat_id stat;
	} make[] = {
	    {&w->out4, w->fds.raw4_out, TDO_AF_INET, TDO_IOSTAT_RAW_SEND},
	    {&w->out6, w->fds.raw6_out, TDO_AF_INET6, TDO_IOSTAT_RAW_SEND},
	    {&w->clear4, w->fds.raw4_clear, TDO_AF_INET, TDO_IOSTAT_CLEAR_SEND},
	    {&w->clear6, w->fds.raw6_clear, TDO_AF_INET6, TDO_IOSTAT_CLEAR_SEND},
	};

	for (unsigned i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
		if (make[i].fd < 0)
			continue;
		*make[i].tx = tdo_raw_tx_new(
		    make[i].fd, make[i].af, &w->stat[make[i].stat], tdo_outbound_refused, w);
		if (*make[i].tx == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
make_row_sender(struct tdo_packet_worker *w, uint8_t af)
{
	struct tdo_udp_tx_conf c = {.fd = af == TDO_AF_INET ? w->fds.udp4_out : w->fds.udp6_out,
	    .fd_df = w->fds.udp4_out_df,
	    .port = w->udp_port,
	    .raw = af == TDO_AF_INET ? w->out4 : w->out6,
	    .stat = &w->stat[TDO_IOSTAT_UDP_SEND],
	    .refused = tdo_outbound_refused,
	    .ctx = w};
	struct tdo_udp_tx **tx = af == TDO_AF_INET ? &w->udp4 : &w->udp6;

	if (c.fd < 0 || c.raw == NULL)
		return 0;
	*tx = tdo_udp_tx_new(af, &c);
	return *tx ? 0 : -ENOMEM;
}

static int
make_receivers(struct tdo_packet_worker *w)
{
	struct tdo_iostat *stat = &w->stat[TDO_IOSTAT_RAW_RECV];
	struct tdo_receiver *from = w->in.from;

	w->in.rx4 = tdo_raw_rx_new(TDO_AF_INET, stat);
	w->in.rx6 = tdo_raw_rx_new(TDO_AF_INET6, stat);
	w->in.udp4 = tdo_udp_rx_new(TDO_AF_INET, &w->stat[TDO_IOSTAT_UDP_RECV]);
	w->in.udp6 = tdo_udp_rx_new(TDO_AF_INET6, &w->stat[TDO_IOSTAT_UDP_RECV]);
	if (w->in.rx4 == NULL || w->in.rx6 == NULL || w->in.udp4 == NULL || w->in.udp6 == NULL)
		return -ENOMEM;
	for (unsigned k = 0; k < TDO_RAW_PROTOS; k++) {
		uint8_t proto = tdo_raw_proto(k);

		from[2 * k] = (struct tdo_receiver){{w->fds.raw4_in[k], proto}, w->in.rx4, NULL};
		from[2 * k + 1] =
		    (struct tdo_receiver){{w->fds.raw6_in[k], proto}, w->in.rx6, NULL};
	}
	from[TDO_RECEIVERS - 2] =
	    (struct tdo_receiver){{w->fds.udp4_in, TDO_IPPROTO_UDP}, NULL, w->in.udp4};
	from[TDO_RECEIVERS - 1] =
	    (struct tdo_receiver){{w->fds.udp6_in, TDO_IPPROTO_UDP}, NULL, w->in.udp6};
	w->in.big_mem = malloc((size_t)TDO_GRO_HEADS * BIG_PKT_CAP);
	if (w->in.big_mem == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < TDO_GRO_HEADS; i++) {
		w->in.big[i].buf = w->in.big_mem + (size_t)i * BIG_PKT_CAP;
		w->in.big[i].cap = BIG_PKT_CAP;
	}
	return 0;
}

/* What device and route carry, unless it shall be less. */
static uint32_t
ask_peer_mtu(void *ctx, const struct tdo_addr *dst)
{
	struct tdo_packet_worker *w = ctx;
	uint32_t most = (uint32_t)tdo_knob(w->engine, TDO_KNOB_PMTU_MAX, dst->af);
	uint32_t mtu = tdo_raw_ask_mtu(&w->mtu, dst);

	return most != 0 && (mtu == 0 || most < mtu) ? most : mtu;
}

int
tdo_packet_worker_new(struct tdo_engine *engine, unsigned index, const struct tdo_worker_fds *fds,
    tdo_ns busy_poll, const struct tdo_worker_shared *shared, struct tdo_packet_worker **ret)
{
	struct tdo_packet_worker *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return -ENOMEM;
	w->index = index;
	w->fds = *fds;
	w->engine = engine;
	w->handle = tdo_engine_worker(engine, index);
	w->recovering = shared->recovering;
	w->udp_port = shared->udp_port;
	tdo_outbound_hold_init(w, shared->held);
	tdo_linger_init(&w->linger, busy_poll);
	w->mtu = (struct tdo_raw_mtu){fds->mtu4, fds->mtu6, fds->route, 0};
	tdo_tun_init(
	    &w->tun, fds->tun, &w->stat[TDO_IOSTAT_TUN_READ], &w->stat[TDO_IOSTAT_TUN_WRITE]);
	if (getrandom(&w->out.frag_id, sizeof(w->out.frag_id), 0) < 0)
		w->out.frag_id = (uint32_t)tdo_clock_now();
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = w->wake < 0 ? -errno : 0;
	if (rc == 0)
		rc = tdo_pmtu_init(&w->pmtu, TDO_PMTU_PEERS, ask_peer_mtu, w);
	if (rc == 0)
		rc = tdo_pmtu_init(&w->pmtu_clear, TDO_PMTU_STRANGERS, tdo_raw_ask_mtu, &w->mtu);
	if (rc == 0)
		rc = tdo_pool_init(&w->out.in, IN_POOL, TDO_BURST_MAX);
	if (rc == 0)
		rc = tdo_pool_init(&w->out.segs, SEG_POOL, SEG_PKTS);
	if (rc == 0)
		rc = tdo_pool_init(&w->out.frags, FRAG_POOL, SEG_PKTS);
	if (rc == 0)
		rc = make_senders(w);
	if (rc == 0)
		rc = make_row_sender(w, TDO_AF_INET);
	if (rc == 0)
		rc = make_row_sender(w, TDO_AF_INET6);
	if (rc == 0)
		rc = make_receivers(w);
	if (rc == 0)
		rc = tdo_fragments_init(&w->fragments, engine, w->handle);
	w->fragments.late = tdo_refuse_late;
	w->fragments.late_ctx = w;
	if (rc != 0) {
		tdo_packet_worker_free(w, false);
		return rc;
	}
	*ret = w;
	return 0;
}

/* Packets that went through the engine since the start. */
static uint64_t
packets(const struct tdo_packet_worker *w, enum tdo_iostat_id id)
{
	return atomic_load_explicit(&w->stat[id].packets, memory_order_relaxed);
}

/* Reads until all is quiet or ROUNDS_MAX; ready: bit per descriptor, see run(). */
static void
work(struct tdo_packet_worker *w, unsigned ready)
{
	for (unsigned round = 0; ready != 0 && round < ROUNDS_MAX; round++) {
		w->now = tdo_clock_now();
		if ((ready & 1) && !tdo_outbound_round(w))
			ready &= ~1u;
		for (unsigned k = 0; ready >> (1 + k) != 0; k++)
			if ((ready & 2u << k) && !tdo_inbound_round(w, &w->in.from[k]))
				ready &= ~(2u << k);
		tdo_worker_quiesce(w->handle);
	}
}

/* How long a worker may sleep; -1: until something comes. */
static int
wait_ms(const struct tdo_packet_worker *w)
{
	if (w->hold.n > 0)
		return TDO_HOLD_WAIT_MS;
	return w->fragments.waiting ? FRAGMENTS_WAIT_MS : -1;
}

/*
 * Waits for one of the descriptors, at most timeout milliseconds (-1: for ever): awake for as long
 * as linger.h says, then asleep.  out and in: packets before the last work.  As poll(2).
 */
static int
wait_for_packets(struct tdo_packet_worker *w, struct pollfd *fds, unsigned n, uint64_t out,
    uint64_t in, int timeout)
{
	uint64_t sent = packets(w, TDO_IOSTAT_ENGINE_OUT) - out;
	uint64_t received = packets(w, TDO_IOSTAT_ENGINE_IN) - in;
	unsigned work = (sent ? TDO_WORK_OUT : 0u) | (received ? TDO_WORK_IN : 0u);
	tdo_ns start = tdo_clock_now(), now = start;
	tdo_ns until =
	    start + tdo_linger_time(&w->linger, work, (unsigned)(sent + received), start);
	int rc = 0;

	w->haste = work != TDO_WORK_NONE && sent + received <= TDO_LINGER_BULK;
	while (now < until && (rc = poll(fds, n, 0)) == 0) {
		tdo_ns then = tdo_clock_now();

		(void)sched_yield(); /* what others have to do may be what we wait for */
		now = tdo_clock_now();
		if (!tdo_linger_yielded(&w->linger, then, now))
			break;
	}
	if (rc == 0)
		rc = poll(fds, n, timeout);
	tdo_linger_learn(&w->linger, tdo_clock_now() - start);
	return rc;
}

static void *
run(void *arg)
{
	struct tdo_packet_worker *w = arg;
	struct pollfd fds[1 + TDO_RECEIVERS + 1] = {{.fd = w->fds.tun, .events = POLLIN}};

	for (unsigned k = 0; k < TDO_RECEIVERS; k++)
		fds[1 + k] = (struct pollfd){.fd = w->in.from[k].in.fd, .events = POLLIN};
	fds[1 + TDO_RECEIVERS] = (struct pollfd){.fd = w->wake, .events = POLLIN};
	for (uint64_t out = 0, in = 0;;) {
		unsigned ready = 0;

		tdo_worker_idle(w->handle);
		if (wait_for_packets(w, fds, sizeof(fds) / sizeof(fds[0]), out, in, wait_ms(w)) <
			0 &&
		    errno != EINTR)
			break;
		tdo_worker_resume(w->handle);
		if (atomic_load_explicit(&w->stop, memory_order_acquire))
			break;
		for (unsigned i = 0; i <= TDO_RECEIVERS; i++)
			if (fds[i].revents != 0)
				ready |= 1u << i;
		/* A TUN that was deleted under us is an error for ever; the parent replaces us. */
		if ((fds[0].revents & POLLERR) && !(fds[0].revents & POLLIN))
			(void)poll(NULL, 0, BROKEN_WAIT_MS);
		out = packets(w, TDO_IOSTAT_ENGINE_OUT);
		in = packets(w, TDO_IOSTAT_ENGINE_IN);
		work(w, ready);
		tdo_outbound_look(w);
		w->fragments.waiting = tdo_fragments_look(
		    &w->fragments, w->fragments.waiting ? tdo_clock_now() : w->now);
	}
	tdo_worker_idle(w->handle);
	return NULL;
}

int
tdo_packet_worker_start(struct tdo_packet_worker *w)
{
	return -pthread_create(&w->thread, NULL, run, w);
}

void
tdo_packet_worker_free(struct tdo_packet_worker *w, bool started)
{
	static const uint64_t one = 1;

	if (w == NULL)
		return;
	if (started) {
		atomic_store_explicit(&w->stop, true, memory_order_release);
		/* An eventfd that is full is readable: then the thread wakes up anyway. */
		while (write(w->wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		(void)pthread_join(w->thread, NULL);
	}
	if (w->wake >= 0)
		(void)close(w->wake);
	tdo_hold_fini(&w->hold);
	tdo_fragments_fini(&w->fragments);
	tdo_pool_fini(&w->out.in);
	tdo_pool_fini(&w->out.segs);
	tdo_pool_fini(&w->out.frags);
	tdo_udp_tx_free(w->udp4);
	tdo_udp_tx_free(w->udp6);
	tdo_raw_tx_free(w->out4);
	tdo_raw_tx_free(w->out6);
	tdo_raw_tx_free(w->clear4);
	tdo_raw_tx_free(w->clear6);
	tdo_raw_rx_free(w->in.rx4);
	tdo_raw_rx_free(w->in.rx6);
	tdo_udp_rx_free(w->in.udp4);
	tdo_udp_rx_free(w->in.udp6);
	free(w->in.big_mem);
	tdo_pmtu_fini(&w->pmtu);
	tdo_pmtu_fini(&w->pmtu_clear);
	free(w);
}
