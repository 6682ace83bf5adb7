/* SPDX-License-Identifier: BSD-2-Clause */
/* Between which addresses IP in IP may belong to an IPComp tunnel. */
#include "daemon/bare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "wire/ip.h"

#define SWEEP_PAUSE TDO_SEC

struct tdo_bare_pair {
	struct tdo_addr src, dst;
	unsigned sweep; /* the last one that saw it */
};

static const uint8_t inner_proto[] = {TDO_IPPROTO_IPIP, TDO_IPPROTO_IPV6};

void
tdo_bare_init(struct tdo_bare *b, const struct tdo_bare_ops *ops, void *ctx)
{
	*b = (struct tdo_bare){.ops = ops, .ctx = ctx};
}

void
tdo_bare_fini(struct tdo_bare *b)
{
	free(b->pair);
	*b = (struct tdo_bare){0};
}

static int
compare(const struct tdo_bare_pair *p, const struct tdo_sa_key *k)
{
	int c = memcmp(&p->src, &k->src, sizeof(p->src));

	return c != 0 ? c : memcmp(&p->dst, &k->dst, sizeof(p->dst));
}

/* Where the pair is, or would be. */
static unsigned
place(const struct tdo_bare *b, const struct tdo_sa_key *k)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (compare(&b->pair[mid], k) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct tdo_sel
selector(const struct tdo_addr *src, const struct tdo_addr *dst, uint8_t proto)
{
	struct tdo_sel s = {.src = *src, .dst = *dst, .proto = proto};

	s.src_plen = s.dst_plen = (uint8_t)tdo_af_bits(src->af);
	s.sport = s.dport = TDO_RANGE_ANY;
	return s;
}

/* Tells about the first n selectors of a pair, in reverse. */
static void
withdraw(struct tdo_bare *b, const struct tdo_addr *src, const struct tdo_addr *dst, size_t n)
{
	while (n-- > 0) {
		struct tdo_sel s = selector(src, dst, inner_proto[n]);

		b->ops->del(b->ctx, &s);
	}
}

static int
announce(struct tdo_bare *b, const struct tdo_sa_key *k)
{
	for (size_t i = 0; i < sizeof(inner_proto); i++) {
		struct tdo_sel s = selector(&k->src, &k->dst, inner_proto[i]);
		int r = b->ops->add(b->ctx, &s);

		if (r != 0) {
			withdraw(b, &k->src, &k->dst, i);
			return r;
		}
	}
	return 0;
}

static int
make_room(struct tdo_bare *b)
{
	unsigned cap = b->cap > 0 ? 2 * b->cap : 16;
	struct tdo_bare_pair *p;

	if (b->n < b->cap)
		return 0;
	p = realloc(b->pair, cap * sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	b->pair = p;
	b->cap = cap;
	return 0;
}

int
tdo_bare_sa(struct tdo_bare *b, const struct tdo_sa_param *sa)
{
	unsigned at;
	int r;

	if (sa->key.satype != TDO_SATYPE_IPCOMP || sa->mode == TDO_MODE_TRANSPORT)
		return 0;
	at = place(b, &sa->key);
	if (at < b->n && compare(&b->pair[at], &sa->key) == 0) {
		b->pair[at].sweep = b->sweep;
		return 0;
	}
	r = make_room(b);
	if (r == 0)
		r = announce(b, &sa->key);
	if (r != 0)
		return r;
	memmove(&b->pair[at + 1], &b->pair[at], (b->n - at) * sizeof(b->pair[0]));
	b->pair[at] = (struct tdo_bare_pair){sa->key.src, sa->key.dst, b->sweep};
	b->n++;
	return 0;
}

void
tdo_bare_gone(struct tdo_bare *b)
{
	b->stale = b->n > 0;
}

bool
tdo_bare_due(const struct tdo_bare *b, tdo_ns now)
{
	return b->stale && now - b->swept >= SWEEP_PAUSE;
}

void
tdo_bare_sweep_begin(struct tdo_bare *b)
{
	b->sweep++;
	b->stale = false;
}

void
tdo_bare_sweep_end(struct tdo_bare *b, tdo_ns now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct tdo_bare_pair *p = &b->pair[i];

		if (p->sweep == b->sweep)
			b->pair[kept++] = *p;
		else
			withdraw(b, &p->src, &p->dst, sizeof(inner_proto));
	}
	b->n = kept;
	b->swept = now;
}
