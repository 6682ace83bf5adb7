/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in force is covered, and when all has gone nothing is: through any sequence of rows of
 * policies that are expected, come, are refused or never come, through ends between them, sides
 * that coarsen until they cover everything, and a parent that refuses now and then.  The parent is
 * a thread with the model of the kernel's sets, which is looked at while it has nothing to do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/cover.h"
#include "daemon/covering.h"
#include "lib/randsel.h"

enum { ROUNDS = 150, ROWS = 25, POOL = 160, ROW_MAX = 150, LIVE_MAX = 1000 };

static struct {
	int fd;
	unsigned refuse; /* one batch of so many, 0: none */
	struct rng rng;
	struct tdo_cover *cover;
	bool all; /* some side was said to cover everything */
} parent;

static struct tdo_parentlink child;
static struct tdo_covering covering;
static struct tdo_sp_param pool[POOL];
static struct {
	struct tdo_sel sel;
	uint8_t dir;
} live[LIVE_MAX];
static unsigned nlive, nrefused, nall, ntogether;

static void
check(bool good, const char *what)
{
	if (good)
		return;
	printf("not ok - %s\n", what);
	exit(1);
}

/* ---- the parent --------------------------------------------------------------------- */

/* As tdo_fence_add(): all or none. */
static int
parent_add(const struct tdo_ipc_cover *c, size_t n)
{
	bool refuses = parent.refuse > 0 && rng_below(&parent.rng, parent.refuse) == 0;
	size_t done;

	for (done = 0; done < n; done++)
		check(tdo_cover_add(parent.cover, (enum tdo_dir)c[done].dir, &c[done].sel) == 0,
		    "an addition fails");
	while (refuses && done > 0) {
		done--;
		check(tdo_cover_del(parent.cover, (enum tdo_dir)c[done].dir, &c[done].sel) == 0,
		    "what was added is gone");
	}
	if (refuses)
		return -ENOSPC;
	return tdo_cover_covers_all(parent.cover, (enum tdo_dir)c->dir, c->sel.src.af);
}

static int
parent_del(const struct tdo_ipc_cover *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(tdo_cover_del(parent.cover, (enum tdo_dir)c[i].dir, &c[i].sel) == 0,
		    "an end of what never began");
	return 0;
}

static void *
parent_main(void *arg)
{
	static uint8_t buf[TDO_IPC_MSG_MAX];
	static struct tdo_ipc_cover c[TDO_IPC_COVERS];
	struct {
		struct tdo_ipc_hdr h;
		int32_t result;
	} r = {{TDO_IPC_REPLY, 0}, 0};
	struct tdo_ipc_hdr h;
	ssize_t len;

	while ((len = recv(parent.fd, buf, sizeof(buf), 0)) > 0) {
		size_t n = ((size_t)len - sizeof(h)) / sizeof(c[0]);

		memcpy(&h, buf, sizeof(h));
		check(n <= TDO_IPC_COVERS, "too many covers in one message");
		memcpy(c, buf + sizeof(h), n * sizeof(c[0]));
		for (size_t i = 1; h.type == TDO_IPC_COVER_ADD && i < n; i++)
			check(c[i].dir == c[0].dir && c[i].sel.src.af == c[0].sel.src.af,
			    "two sides in one question");
		r.result = 0;
		if (h.type == TDO_IPC_COVER_ADD)
			r.result = parent_add(c, n);
		else if (h.type == TDO_IPC_COVER_DEL)
			r.result = parent_del(c, n);
		parent.all |= r.result == 1;
		r.h.seq = h.seq;
		if (h.seq != 0)
			check(send(parent.fd, &r, sizeof(r), 0) == sizeof(r), "no way to answer");
	}
	return arg;
}

/* The parent has done all that it was told. */
static void
wait_for_parent(void)
{
	check(tdo_parentlink_ask(&child, TDO_IPC_COVER_DEFAULT, NULL, 0) == 0, "no answer");
}

/* ---- the data process --------------------------------------------------------------- */

static void
check_covered(void)
{
	wait_for_parent();
	for (unsigned i = 0; i < nlive; i++) {
		const struct tdo_sel *s = &live[i].sel;
		struct tdo_flow f = {.src = s->src,
		    .dst = s->dst,
		    .proto = s->proto == TDO_PROTO_ANY ? 6 : s->proto,
		    .has_ports = true,
		    .sport = s->sport.lo,
		    .dport = s->dport.lo};

		check(tdo_cover_match(parent.cover, (enum tdo_dir)live[i].dir, &f, false, true),
		    "a policy is in force that is not covered");
	}
}

static void
begin(const struct tdo_sp_param *sp)
{
	if (nlive == LIVE_MAX)
		return;
	if (tdo_covering_widen(&covering, sp->dir, &sp->sel) != 0) {
		nrefused++;
		return;
	}
	live[nlive].sel = sp->sel;
	live[nlive++].dir = sp->dir;
}

static void
end_one(void)
{
	unsigned i = tdo_rand(nlive);

	tdo_covering_narrow(&covering, live[i].dir, &live[i].sel);
	live[i] = live[--nlive];
}

/* What comes is not always what was said, nor in that order; some of it ends at once. */
static void
row(void)
{
	const struct tdo_sp_param *p[ROW_MAX];
	unsigned n = 1 + tdo_rand(tdo_rand(4) == 0 ? ROW_MAX : 12);

	for (unsigned i = 0; i < n; i++) {
		p[i] = &pool[tdo_rand(POOL)];
		tdo_covering_expect(&covering, p[i]);
	}
	tdo_covering_ask(&covering);
	for (unsigned i = 0; i < 4; i++)
		ntogether += covering.side[i / 2][i % 2].n > 0;
	for (unsigned i = 0; i < n; i++) {
		if (tdo_rand(8) != 0)
			begin(tdo_rand(10) == 0 ? &pool[tdo_rand(POOL)] : p[i]);
		while (nlive > 0 && tdo_rand(3) == 0)
			end_one();
		if (tdo_rand(20) == 0)
			check_covered();
	}
	tdo_covering_end(&covering);
	check_covered();
	if (tdo_rand(2))
		tdo_covering_flush(&covering);
	if (tdo_rand(6) == 0)
		while (nlive > 0)
			end_one();
}

static void
round_of_rows(void)
{
	struct tdo_cover_limits limits = {1 + tdo_rand(250), 1 + tdo_rand(1500)};
	pthread_t thread;
	int fd[2];

	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0 &&
		  tdo_parentlink_init(&child, fd[0]) == 0 &&
		  tdo_cover_new(limits, (struct tdo_hash_key){{1, 2}}, NULL, &parent.cover) == 0,
	    "setup");
	parent.fd = fd[1];
	parent.refuse = tdo_rand(2) ? 0 : 2 + tdo_rand(8);
	parent.rng = tdo_rand_state;
	tdo_covering_init(&covering, &child);
	check(pthread_create(&thread, NULL, parent_main, NULL) == 0, "a thread");
	for (unsigned i = 0; i < POOL; i++)
		pool[i] =
		    (struct tdo_sp_param){.dir = (uint8_t)(tdo_rand(2) ? TDO_DIR_IN : TDO_DIR_OUT),
			.type = TDO_POLICY_DISCARD,
			.sel = tdo_rand_sel(tdo_rand(2) ? TDO_AF_INET : TDO_AF_INET6)};
	for (unsigned i = 0; i < ROWS; i++)
		row();
	while (nlive > 0)
		end_one();
	tdo_covering_flush(&covering);
	wait_for_parent();
	check(tdo_cover_entries(parent.cover) == 0, "covers of nobody are left");
	for (unsigned i = 0; i < 4; i++) {
		const struct tdo_covering_side *s = &covering.side[i / 2][i % 2];

		check(s->told == 0 && s->untold == 0 && !s->all, "counts are not zero");
	}
	nall += parent.all;
	parent.all = false;
	(void)close(fd[0]);
	check(pthread_join(thread, NULL) == 0, "its end");
	(void)close(fd[1]);
	tdo_parentlink_fini(&child);
	tdo_cover_free(parent.cover);
}

int
main(void)
{
	printf("1..1\n");
	tdo_rand_init();
	for (int i = 0; i < ROUNDS; i++)
		round_of_rows();
	printf("# %u refused, everything covered in %u rounds, %u asked together\n", nrefused, nall,
	    ntogether);
	check(nrefused > 0 && nall > 0 && nall < ROUNDS && ntogether > 0, "a case never came");
	printf("ok - what is in force is covered\n");
	return 0;
}
