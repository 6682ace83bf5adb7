/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/paths.h"

#include <string.h>

#include "base/addr.h"

#define PROBE_WAIT_MIN (TDO_SEC / 20)
#define LARGE_LATELY   (3 * TDO_SEC)
#define SEARCH_STEP    8u   /* bytes: what is closer is not looked for */
#define WAYS           4u   /* places that a destination may have */
#define SMALLER        100u /* room for headers: see is_large() */
#define SUSPECT_PAUSE  TDO_SEC
#define TCP_BASE       1280u /* RFC 4821 7.2 takes 1024 of payload; every IPv6 path carries this */

/* ---- table -------------------------------------------------------------------------- */

static unsigned
home(const struct tdo_addr *dst)
{
	uint32_t h = dst->af;

	for (unsigned i = 0; i < sizeof(dst->b); i++)
		h = (h ^ dst->b[i]) * 16777619u;
	return (h ^ h >> 16) % (TDO_PATHS / WAYS) * WAYS;
}

static struct tdo_path *
find(struct tdo_paths *p, const struct tdo_addr *dst)
{
	struct tdo_path *set = &p->path[home(dst)];

	for (unsigned i = 0; i < WAYS; i++)
		if (tdo_addr_equal(&set[i].dst, dst))
			return &set[i];
	return NULL;
}

/* A new entry takes the place of the one that was not used for longest. */
static struct tdo_path *
find_or_make(struct tdo_paths *p, const struct tdo_addr *dst)
{
	struct tdo_path *set = &p->path[home(dst)], *x = find(p, dst);

	if (x != NULL)
		return x;
	x = set;
	for (unsigned i = 1; i < WAYS; i++)
		if (set[i].used < x->used)
			x = &set[i];
	*x = (struct tdo_path){.dst = *dst};
	return x;
}

static void
arm(struct tdo_paths *p, struct tdo_path *x, tdo_ns at)
{
	tdo_ns first = atomic_load_explicit(&p->due, memory_order_relaxed);

	x->due = at;
	if (at != 0 && (first == 0 || at < first))
		atomic_store_explicit(&p->due, at, memory_order_relaxed);
}

static void
rearm_all(struct tdo_paths *p)
{
	tdo_ns first = 0;

	for (unsigned i = 0; i < TDO_PATHS; i++)
		if (p->path[i].due != 0 && (first == 0 || p->path[i].due < first))
			first = p->path[i].due;
	atomic_store_explicit(&p->due, first, memory_order_relaxed);
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

	x->limit = x->link != 0 && limit >= x->link ? 0 : limit;
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
	x = find_or_make(p, &use->dst);
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
	arm(p, x, now + interval);
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
	if (++x->misses < TDO_PATH_MISSES) {
		confirm(p, x, now);
	} else if (x->small_passed && effective(x) > floor) {
		/* RFC 8899 4.3: a black hole.  What surely passes is used until it is measured. */
		uint32_t hi = effective(x);

		set_limit(p, x, floor, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_RETRY, now);
		search(p, x, floor, hi, now);
	} else {
		rest(p, x, now);
	}
}

static void
act_idle(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	bool large = x->large != 0 && now - x->large < LARGE_LATELY;

	if (x->limit != 0 && now >= x->limit_until) {
		set_limit(p, x, UINT32_MAX, now);
		x->limit = 0;
	}
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

unsigned
tdo_paths_tick(struct tdo_paths *p, tdo_ns now, struct tdo_path_probe *ret, unsigned max)
{
	tdo_ns due = atomic_load_explicit(&p->due, memory_order_relaxed);
	unsigned n = 0;

	if (due == 0 || now < due)
		return 0;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < TDO_PATHS && n + TDO_PATH_PROBES <= max; i++) {
		struct tdo_path *x = &p->path[i];

		if (x->due == 0 || now < x->due || !act(p, x, now))
			continue;
		for (unsigned k = 0; k < x->nprobe; k++)
			ret[n++] = (struct tdo_path_probe){.src = x->src,
			    .dst = x->dst,
			    .size = x->probe[k].size,
			    .nonce = x->nonce};
	}
	rearm_all(p);
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
	x = find_or_make(p, dst);
	lower = effective(x) == 0 || mtu < effective(x);
	if (lower) {
		x->used = now;
		set_limit(p, x, mtu, now);
		keep_limit(x, TDO_PATH_HOLD, TDO_PATH_DOUBT, now);
		rest(p, x, now);
	}
	pthread_mutex_unlock(&p->lock);
	return lower;
}

/* What TCP alone says: it may as well be a path that is dead, so it counts less and less. */
static void
step_down(struct tdo_paths *p, struct tdo_path *x, tdo_ns now)
{
	uint32_t limit = effective(x) > TCP_BASE ? TCP_BASE : tdo_pmtu_plateau(effective(x));

	if (limit < tdo_pmtu_floor(x->dst.af) || limit >= effective(x))
		return;
	set_limit(p, x, limit, now);
	keep_limit(x, limit == TCP_BASE ? TDO_PATH_HOLD : TDO_PATH_HOLD / 10, TDO_PATH_DOUBT, now);
	rest(p, x, now);
}

void
tdo_paths_suspect(struct tdo_paths *p, const struct tdo_addr *dst, bool stuck, tdo_ns now)
{
	struct tdo_path *x;

	pthread_mutex_lock(&p->lock);
	x = find(p, dst);
	/* Who answers is asked; what goes on already takes its course. */
	if (x == NULL || (x->lowered != 0 && now - x->lowered < SUSPECT_PAUSE))
		x = NULL;
	else if (!x->answers && stuck)
		step_down(p, x, now);
	else if (x->answers && x->state == TDO_PATH_IDLE) {
		x->large = now;
		x->asleep = false;
		arm(p, x, now);
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
	*ret = p->path[i];
	pthread_mutex_unlock(&p->lock);
	return ret->dst.af != TDO_AF_NONE;
}

uint32_t
tdo_path_mtu(const struct tdo_path *x)
{
	return effective(x);
}

void
tdo_paths_init(struct tdo_paths *p, uint64_t (*random)(void))
{
	memset(p, 0, sizeof(*p));
	(void)pthread_mutex_init(&p->lock, NULL);
	p->random = random;
	atomic_store(&p->probing, true);
}

void
tdo_paths_fini(struct tdo_paths *p)
{
	(void)pthread_mutex_destroy(&p->lock);
}
