/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

#define PROBE_WAIT_MIN (TDO_SEC / 20)
#define LARGE_LATELY   (3 * TDO_SEC)
#define SEARCH_STEP    8u    /* bytes: what is closer is not looked for */
#define SMALLER        100u  /* room for headers: see is_large() */
#define TCP_BASE       1280u /* RFC 4821 7.2 takes 1024 of payload; every IPv6 path carries this */

/* ---- table -------------------------------------------------------------------------- */

static struct tdo_path *
find(struct tdo_paths *p, const struct tdo_addr *dst)
{
	uint32_t i = tdo_recent_find(&p->recent, dst);

	return i == TDO_RECENT_NONE ? NULL : &p->path[i];
}

/* Tells when there is something to be done, as x says. */
static void
schedule(struct tdo_paths *p, const struct tdo_path *x)
{
	tdo_ns at = x->due, first = 0;

	if (x->tcp.until != 0 && (at == 0 || x->tcp.until < at))
		at = x->tcp.until;
	tdo_soonest_set(&p->soonest, (uint32_t)(x - p->path), at);
	(void)tdo_soonest_first(&p->soonest, &first);
	atomic_store_explicit(&p->due, first, memory_order_relaxed);
}

static void
arm(struct tdo_paths *p, struct tdo_path *x, tdo_ns at)
{
	x->due = at;
	schedule(p, x);
}

/* As x->tcp says. */
static void
watch(struct tdo_paths *p, struct tdo_path *x)
{
	bool wanted = x->tcp.until != 0;
	_Atomic uint16_t *n = &p->watched[tdo_recent_hash(&x->dst) % TDO_PATH_WATCH];

	if (wanted != x->watched) {
		uint16_t one = wanted ? 1 : UINT16_MAX;

		x->watched = wanted;
		atomic_fetch_add_explicit(n, one, memory_order_relaxed);
		atomic_fetch_add_explicit(
		    &p->nwatched, wanted ? 1u : UINT32_MAX, memory_order_relaxed);
	}
	schedule(p, x);
}

static struct tdo_path *
find_or_make(struct tdo_paths *p, const struct tdo_addr *dst, tdo_ns now)
{
	bool unknown;
	struct tdo_path *x = &p->path[tdo_recent_take(&p->recent, dst, now, &unknown)];

	if (!unknown)
		return x;
	tdo_witness_rest(&x->tcp);
	watch(p, x); /* of what it was about before */
	*x = (struct tdo_path){.dst = *dst};
	arm(p, x, 0);
	return x;
}

/* ---- limits ------------------------------------------------------------------------- */

static uint32_t
effective(const struct tdo_path *x)
{
	if (x->limit != 0 && (x->link == 0 || x->limit < x->link))
		return x->limit;
	return x->link;
}

static void
set_limit(struct tdo_paths *p, struct tdo_path *x, uint32_t limit, tdo_ns now)
{
	uint32_t before = effective(x);

	x->limit = limit == UINT32_MAX || (x->link != 0 && limit >= x->link) ? 0 : limit;
	if (effective(x) == before)
		return;
	if (before == 0 || effective(x) < before) {
		x->lowered = now;
		p->lowered++;
	} else {
		p->raised++;
	}
	atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
}

/* When it ends, and when more is tried, by somebody who can know. */
static void
keep_limit(struct tdo_path *x, tdo_ns hold, tdo_ns retry, tdo_ns now)
{
	x->limit_until = now + hold;
	x->pause = retry;
	x->retry = now + retry;
}

/* Packets whose size can matter: longer than what always passes, with some headers on them. */
static bool
is_large(const struct tdo_addr *dst, uint32_t len)
{
	return len + SMALLER > tdo_pmtu_floor(dst->af);
}

uint32_t
tdo_paths_limit(void *ctx, const struct tdo_pmtu_use *use, tdo_ns now)
{
	struct tdo_paths *p = ctx;
	struct tdo_path *x;
	uint32_t limit;

	pthread_mutex_lock(&p->lock);
	x = find_or_make(p, &use->dst, now);
	x->used = now;
	x->link = use->mtu;
	if (is_large(&use->dst, use->largest)) {
		x->src = use->src;
		x->large = now;
		if (x->due == 0 || x->asleep)
			arm(p, x, now);
		x->asleep = false;
	}
	limit = x->limit;
	pthread_mutex_unlock(&p->lock);
	return limit;
}

/* ---- probing ------------------------------------------------------------------------ */

static tdo_ns
patience(const struct tdo_path *x)
{
	tdo_ns t = 4 * x->round_trip;

	if (x->round_trip == 0 || t > TDO_PATH_TIMEOUT)
		return TDO_PATH_TIMEOUT;
	return t < PROBE_WAIT_MIN ? PROBE_WAIT_MIN : t;
}

static void
begin_round(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	x->nonce = p->random();
	x->sent = now;
	for (unsigned i = 0; i < x->nprobe; i++) {
		x->probe[i].len = x->probe[i].size;
		x->probe[i].answered = false;
	}
	arm(p, x, now + patience(x));
}

/* The size in use, and one that passes if any does. */
static void
confirm(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	x->state = TDO_PATH_CONFIRMING;
	x->nprobe = 2;
	x->probe[0].size = effective(x);
	x->probe[1].size = tdo_pmtu_floor(x->dst.af);
	begin_round(p, x, now);
}

/* A limit of which only a packet that is longer can tell whether it still holds. */
static bool
wants_longer(const struct tdo_path *x)
{
	return x->limit != 0 && !x->answers;
}

static void
rest(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	tdo_ns interval = x->answers ? TDO_PATH_CONFIRM : x->interval * 2;

	if (interval < TDO_PATH_CONFIRM)
		interval = TDO_PATH_CONFIRM;
	if (interval > TDO_PATH_PATIENCE)
		interval = TDO_PATH_PATIENCE;
	x->interval = interval;
	x->state = TDO_PATH_IDLE;
	x->misses = 0;
	x->small_passed = false;
	x->ask = now + interval;
	arm(p, x, wants_longer(x) && x->retry < x->ask ? x->retry : x->ask);
}

/* Sizes of the next round, evenly between lo and hi. */
static void
search_round(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	uint32_t gap = x->hi - x->lo, n = gap - 1 < TDO_PATH_PROBES ? gap - 1 : TDO_PATH_PROBES;

	x->nprobe = n;
	for (uint32_t i = 0; i < n; i++)
		x->probe[i].size = x->hi - 1 - (gap - 1) * i / n;
	begin_round(p, x, now);
}

static void
search(struct tdo_paths *p, struct tdo_path *x, uint32_t lo, uint32_t hi, tdo_ns now)
{
	x->state = TDO_PATH_SEARCHING;
	x->lo = x->lo_len = lo;
	x->hi = hi;
	search_round(p, x, now);
}

/* What was measured; how long it is kept does not depend on what was believed before. */
static void
conclude(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	bool same = x->limit == x->lo_len;
	tdo_ns pause = same && x->pause * 2 > TDO_PATH_RETRY ? x->pause * 2 : TDO_PATH_RETRY;

	set_limit(p, x, x->lo < x->link ? x->lo_len : x->link, now);
	keep_limit(x, TDO_PATH_HOLD, pause < TDO_PATH_RETRY_MAX ? pause : TDO_PATH_RETRY_MAX, now);
	rest(p, x, now);
}

static void
judge_search(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	for (unsigned i = 0; i < x->nprobe; i++)
		if (x->probe[i].answered && x->probe[i].size > x->lo) {
			x->lo = x->probe[i].size;
			x->lo_len = x->probe[i].len;
		}
	for (unsigned i = 0; i < x->nprobe; i++)
		if (!x->probe[i].answered && x->probe[i].size > x->lo && x->probe[i].size < x->hi)
			x->hi = x->probe[i].size;
	if (x->lo_len > effective(x))
		set_limit(p, x, x->lo_len, now);
	if (x->hi - x->lo <= SEARCH_STEP)
		conclude(p, x, now);
	else
		search_round(p, x, now);
}

static void
judge_confirmation(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	uint32_t floor = tdo_pmtu_floor(x->dst.af);

	x->small_passed |= x->probe[1].answered;
	/* Answers to both may be late; those to the next round are waited for longer. */
	if (!x->probe[0].answered && !x->probe[1].answered)
		x->round_trip = 0;
	if (++x->misses < TDO_PATH_MISSES) {
		confirm(p, x, now);
	} else if (x->small_passed && effective(x) > floor) {
		/* RFC 8899 4.3: a black hole.  What surely passes is used until it is measured. */
		uint32_t hi = effective(x);

		set_limit(p, x, floor, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_RETRY, now);
		search(p, x, floor, hi, now);
	} else {
		/* Another system may have its address now: then TCP has to tell. */
		if (!x->small_passed && ++x->silences >= TDO_PATH_SILENCES)
			x->answers = false;
		rest(p, x, now);
	}
}

/* From now on a packet that is longer than the limit is looked for; if none comes, or it is lost,
 * later. */
static void
seek_longer(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	tdo_ns pause = x->pause * 2 > TDO_PATH_RETRY ? x->pause * 2 : TDO_PATH_RETRY;

	x->pause = pause < TDO_PATH_RETRY_MAX ? pause : TDO_PATH_RETRY_MAX;
	x->retry = now + x->pause;
	x->tcp.seeks = true;
	tdo_witness_watch(&x->tcp, now);
	watch(p, x);
}

static void
act_idle(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	bool large = x->large != 0 && now - x->large < LARGE_LATELY;

	if (x->limit != 0 && now >= x->limit_until)
		set_limit(p, x, UINT32_MAX, now);
	if (large && wants_longer(x) && now >= x->retry)
		seek_longer(p, x, now);
	/* The next large packet, or the end of the limit, begins again. */
	if (!large || x->src.af == TDO_AF_NONE ||
	    !atomic_load_explicit(&p->probing, memory_order_relaxed)) {
		arm(p, x, x->limit != 0 ? x->limit_until : 0);
		x->asleep = true;
		x->interval = 0;
		return;
	}
	if (x->limit != 0 && x->answers && now >= x->retry)
		search(p, x, effective(x), x->link + 1, now);
	else if (now < x->ask && x->interval != 0 && !x->answers)
		arm(p, x, wants_longer(x) && x->retry < x->ask ? x->retry : x->ask);
	else if (effective(x) > tdo_pmtu_floor(x->dst.af) || !x->answers)
		confirm(p, x, now);
	else
		rest(p, x, now);
}

/* True when a round began. */
static bool
act(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	uint64_t nonce = x->nonce;

	switch (x->state) {
	case TDO_PATH_IDLE:
		act_idle(p, x, now);
		break;
	case TDO_PATH_CONFIRMING:
		judge_confirmation(p, x, now);
		break;
	case TDO_PATH_SEARCHING:
		judge_search(p, x, now);
		break;
	}
	return x->state != TDO_PATH_IDLE && x->nonce != nonce;
}

/* What is due of one path; true when probes are to be sent. */
static bool
look_after(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	bool began = false;

	if (x->tcp.until != 0 && now >= x->tcp.until) {
		tdo_witness_rest(&x->tcp);
		watch(p, x);
	}
	if (x->due != 0 && now >= x->due)
		began = act(p, x, now);
	schedule(p, x);
	return began;
}

unsigned
tdo_paths_tick(struct tdo_paths *p, tdo_ns now, struct tdo_path_probe *ret, unsigned max)
{
	tdo_ns due = atomic_load_explicit(&p->due, memory_order_relaxed);
	unsigned n = 0;

	if (due == 0 || now < due)
		return 0;
	pthread_mutex_lock(&p->lock);
	while (n + TDO_PATH_PROBES <= max) {
		uint32_t i = tdo_soonest_first(&p->soonest, &due);
		struct tdo_path *x;

		if (i == TDO_SOONEST_NONE || due > now)
			break;
		x = &p->path[i];
		if (!look_after(p, x, now))
			continue;
		for (unsigned k = 0; k < x->nprobe; k++)
			ret[n++] = (struct tdo_path_probe){.src = x->src,
			    .dst = x->dst,
			    .size = x->probe[k].size,
			    .nonce = x->nonce};
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

/* ---- what is told ------------------------------------------------------------------- */

/* All is well as soon as the full size was answered; of a search all answers are waited for. */
static void
take_answer(struct tdo_paths *p, struct tdo_path *x, uint32_t size, tdo_ns now)
{
	unsigned left = 0;

	for (unsigned i = 0; i < x->nprobe; i++) {
		x->probe[i].answered |= x->probe[i].size == size;
		left += !x->probe[i].answered;
	}
	if (!x->answers)
		x->interval = 0;
	x->answers = true;
	x->silences = 0;
	x->round_trip = now - x->sent > 0 ? now - x->sent : 1;
	if (x->state == TDO_PATH_CONFIRMING && x->probe[0].answered)
		rest(p, x, now);
	else if (x->state == TDO_PATH_SEARCHING && left == 0)
		arm(p, x, now);
}

void
tdo_paths_answered(
    struct tdo_paths *p, const struct tdo_addr *dst, uint64_t nonce, uint32_t size, tdo_ns now)
{
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	if (x != NULL && x->state != TDO_PATH_IDLE && x->nonce == nonce)
		take_answer(p, x, size, now);
	pthread_mutex_unlock(&p->lock);
}

void
tdo_paths_sent(struct tdo_paths *p, const struct tdo_path_probe *probe, uint32_t len)
{
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, &probe->dst);
	for (unsigned i = 0; x != NULL && x->nonce == probe->nonce && i < x->nprobe; i++)
		if (x->probe[i].size == probe->size)
			x->probe[i].len = len;
	pthread_mutex_unlock(&p->lock);
}

bool
tdo_paths_too_big(
    struct tdo_paths *p, const struct tdo_addr *dst, uint32_t mtu, uint32_t quoted_len, tdo_ns now)
{
	uint32_t floor = tdo_pmtu_floor(dst->af);
	struct tdo_path *x;
	bool lower;

	if (mtu == 0)
		mtu = tdo_pmtu_plateau(quoted_len);
	if (mtu < floor)
		mtu = floor;
	pthread_mutex_lock(&p->lock);
	x = find_or_make(p, dst, now);
	lower = effective(x) == 0 || mtu < effective(x);
	if (lower) {
		x->used = now;
		x->blamed = quoted_len;
		set_limit(p, x, mtu, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_DOUBT, now);
		rest(p, x, now);
	}
	pthread_mutex_unlock(&p->lock);
	return lower;
}

/* ---- what TCP says ------------------------------------------------------------------ */

/* The next size below, that is worth a try; 0: none. */
static uint32_t
smaller(const struct tdo_addr *dst, uint32_t size)
{
	uint32_t next = size > TCP_BASE ? TCP_BASE : tdo_pmtu_plateau(size);

	return next < size && next >= tdo_pmtu_floor(dst->af) ? next : 0;
}

static uint32_t
advise(struct tdo_path *x, const struct tdo_path_trouble *t, tdo_ns now)
{
	uint32_t size = t->tried;

	/* What was done meanwhile shall have its chance. */
	if (x->lowered != 0 && x->lowered > t->since)
		return size;
	if (t->stuck) {
		size = smaller(&x->dst, size != 0 && size < t->s.size ? size : t->s.size);
		if (size == 0 || tdo_witness_passed(&x->tcp, t->since) >= t->s.size) {
			tdo_witness_give_up(&x->tcp, &t->s);
			return TDO_PATH_GIVE_UP;
		}
	}
	return size != 0 && tdo_witness_try(&x->tcp, &t->s, size, t->since, now) ? size : t->tried;
}

uint32_t
tdo_paths_suspect(
    struct tdo_paths *p, const struct tdo_addr *dst, const struct tdo_path_trouble *t, tdo_ns now)
{
	uint32_t size = t->tried;
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	if (x != NULL && !x->answers) {
		tdo_witness_watch(&x->tcp, now);
		size = advise(x, t, now);
		watch(p, x);
	} else if (x != NULL && x->state == TDO_PATH_IDLE) {
		x->large = now;
		x->asleep = false;
		arm(p, x, now);
	}
	pthread_mutex_unlock(&p->lock);
	return size;
}

static void
testify(struct tdo_paths *p, struct tdo_path *x, enum tdo_testimony t, uint32_t size, tdo_ns now)
{
	switch (t) {
	case TDO_TESTIMONY_HELPED: {
		uint32_t passed = tdo_witness_passed(&x->tcp, x->tcp.trial_since);

		size = x->tcp.trial_size > passed ? x->tcp.trial_size : passed;
		x->tcp.trial_size = 0;
		if (size >= effective(x))
			break;
		x->blamed = x->tcp.trial.size;
		/* A path that was dead for a moment looks the same: that is found out at once. */
		set_limit(p, x, size, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_CHECK, now);
		rest(p, x, now);
		break;
	}
	case TDO_TESTIMONY_LONGER:
		if (size <= effective(x))
			break;
		set_limit(p, x, size < x->blamed ? size : UINT32_MAX, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_DOUBT, now);
		rest(p, x, now);
		break;
	case TDO_TESTIMONY_LOST: /* the limit is needed still */
		x->limit_until = now + TDO_PATH_HOLD;
		break;
	case TDO_TESTIMONY_NONE:
		break;
	}
}

uint32_t
tdo_paths_tcp_sent(struct tdo_paths *p, const struct tdo_addr *dst, const struct tdo_segment *s,
    const struct tdo_segment *whole, tdo_ns now)
{
	uint32_t longer = 0;
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	if (x != NULL && x->watched) {
		testify(p, x, tdo_witness_sent(&x->tcp, s, now), 0, now);
		if (whole != NULL && x->limit != 0 && x->limit < x->link &&
		    whole->size > x->limit && tdo_witness_longer(&x->tcp, whole, now)) {
			/* What the sizes are was reckoned with the padding of another one. */
			if (x->tcp.canary.size > x->link)
				x->tcp.canary.size = x->link;
			longer = x->link;
			watch(p, x);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return longer;
}

void
tdo_paths_tcp_acked(
    struct tdo_paths *p, const struct tdo_addr *dst, uint64_t flow, uint32_t ack, tdo_ns now)
{
	struct tdo_segment s = {0};
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	if (x != NULL && x->watched) {
		enum tdo_testimony t = tdo_witness_acked(&x->tcp, flow, ack, &s);

		testify(p, x, t, s.size, now);
	}
	pthread_mutex_unlock(&p->lock);
}

bool
tdo_paths_get(struct tdo_paths *p, const struct tdo_addr *dst, struct tdo_path *ret)
{
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	if (x != NULL)
		*ret = *x;
	pthread_mutex_unlock(&p->lock);
	return x != NULL;
}

bool
tdo_paths_at(struct tdo_paths *p, unsigned i, struct tdo_path *ret)
{
	pthread_mutex_lock(&p->lock);
	if (i < p->recent.n)
		*ret = p->path[i];
	else
		*ret = (struct tdo_path){0};
	pthread_mutex_unlock(&p->lock);
	return ret->dst.af != TDO_AF_NONE;
}

uint32_t
tdo_path_mtu(const struct tdo_path *x)
{
	return effective(x);
}

int
tdo_paths_init(struct tdo_paths *p, uint64_t (*random)(void))
{
	/* Pages that were never used are not there. */
	void *places = calloc(1, tdo_recent_memory(TDO_PATHS));
	void *times = calloc(1, tdo_soonest_memory(TDO_PATHS));

	memset(p, 0, sizeof(*p));
	(void)pthread_mutex_init(&p->lock, NULL);
	p->random = random;
	p->path = calloc(TDO_PATHS, sizeof(*p->path));
	tdo_recent_init(&p->recent, TDO_PATHS, places);
	tdo_soonest_init(&p->soonest, times);
	atomic_store(&p->probing, true);
	return p->path != NULL && places != NULL && times != NULL ? 0 : -ENOMEM;
}

void
tdo_paths_fini(struct tdo_paths *p)
{
	(void)pthread_mutex_destroy(&p->lock);
	free(p->recent.place);
	free(p->soonest.slot);
	free(p->path);
}
