/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/witness.h"

/* True when a is in front of b (RFC 9293 3.4: modulo 2^32). */
static bool
before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

void
tdo_witness_watch(struct tdo_witness *w, tdo_ns now)
{
	w->until = now + TDO_WITNESS_WATCH;
}

void
tdo_witness_rest(struct tdo_witness *w)
{
	w->until = 0;
	w->seeks = false;
	w->canary.size = 0;
	w->trial_size = 0;
	for (unsigned i = 0; i < TDO_WITNESS_SAMPLES; i++)
		w->sample[i].s.size = 0;
}

/* True when s, or what leaves with it, has bytes of t. */
static bool
repeats(const struct tdo_segment *s, const struct tdo_segment *t)
{
	return s->flow == t->flow && before(s->seq, t->end) && before(t->seq, s->end + s->more);
}

/*
 * One of each flow at a time; one that is not acknowledged makes room after a while.  Of one that
 * is repeated it is not known which of the two is acknowledged (Karn).
 */
static void
remember(struct tdo_witness *w, const struct tdo_segment *s, tdo_ns now)
{
	unsigned at = TDO_WITNESS_SAMPLES;

	for (unsigned i = 0; i < TDO_WITNESS_SAMPLES; i++) {
		struct tdo_segment *t = &w->sample[i].s;
		bool used = t->size != 0;

		if (used && t->flow == s->flow) {
			if (repeats(s, t) && s->size < t->size)
				t->size = s->size;
			return;
		}
		if (!used || now - w->sample[i].sent >= TDO_WITNESS_PATIENT)
			at = i;
	}
	if (at == TDO_WITNESS_SAMPLES)
		return;
	w->sample[at].s = *s;
	w->sample[at].sent = now;
}

enum tdo_testimony
tdo_witness_sent(struct tdo_witness *w, const struct tdo_segment *s, tdo_ns now)
{
	const struct tdo_segment *t = &w->trial;
	struct tdo_segment *c = &w->canary;

	/* What is acknowledged of a packet that was repeated, smaller, says nothing of it (Karn).
	 */
	if (c->size != 0 && repeats(s, c)) {
		c->size = 0;
		return TDO_TESTIMONY_LOST;
	}
	if (w->trial_size == 0 || s->flow != t->flow) {
		remember(w, s, now);
		return TDO_TESTIMONY_NONE;
	}
	/*
	 * While a sender repeats what it sent first it sends nothing new (RFC 6298 5.4, 5.7), so it
	 * heard of its receiver; the acknowledgement took another way.
	 */
	if (!before(s->seq, t->end))
		return TDO_TESTIMONY_HELPED;
	if (s->size > w->trial_size) /* its sender is served by another worker now */
		w->trial_size = 0;
	return TDO_TESTIMONY_NONE;
}

enum tdo_testimony
tdo_witness_acked(struct tdo_witness *w, uint64_t flow, uint32_t ack, struct tdo_segment *ret)
{
	struct tdo_segment *c = &w->canary;

	for (unsigned i = 0; i < TDO_WITNESS_SAMPLES; i++) {
		struct tdo_segment *s = &w->sample[i].s;

		if (s->size == 0 || s->flow != flow || before(ack, s->end))
			continue;
		if (s->size >= w->passed || w->sample[i].sent > w->passed_sent + TDO_SEC) {
			w->passed = s->size;
			w->passed_sent = w->sample[i].sent;
		}
		s->size = 0;
	}
	if (c->size != 0 && c->flow == flow && !before(ack, c->end)) {
		*ret = *c;
		c->size = 0;
		return TDO_TESTIMONY_LONGER;
	}
	if (w->trial_size != 0 && w->trial.flow == flow && before(w->trial.seq, ack))
		return TDO_TESTIMONY_HELPED;
	return TDO_TESTIMONY_NONE;
}

uint32_t
tdo_witness_passed(const struct tdo_witness *w, tdo_ns since)
{
	return w->passed_sent > since ? w->passed : 0;
}

bool
tdo_witness_try(
    struct tdo_witness *w, const struct tdo_segment *s, uint32_t size, tdo_ns since, tdo_ns now)
{
	if (w->trial_size != 0 && w->trial.flow != s->flow &&
	    now - w->trial_began < TDO_WITNESS_PATIENT)
		return false;
	/* A sender that was told of the limit sends less of the same. */
	if (w->trial_size == 0 || w->trial.flow != s->flow || w->trial.seq != s->seq ||
	    w->trial.size < s->size)
		w->trial = *s;
	w->trial_size = size;
	w->trial_since = since;
	w->trial_began = now;
	for (unsigned i = 0; i < TDO_WITNESS_SAMPLES; i++)
		if (w->sample[i].s.flow == s->flow)
			w->sample[i].s.size = 0;
	return true;
}

void
tdo_witness_give_up(struct tdo_witness *w, const struct tdo_segment *s)
{
	if (w->trial.flow == s->flow)
		w->trial_size = 0;
}

bool
tdo_witness_longer(struct tdo_witness *w, const struct tdo_segment *s, tdo_ns now)
{
	if (!w->seeks || (w->trial_size != 0 && w->trial.flow == s->flow))
		return false;
	w->canary = *s;
	w->seeks = false;
	tdo_witness_watch(w, now);
	return true;
}
