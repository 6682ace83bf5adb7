/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inbound policy check (check.h).
 *
 * The removed SAs, in order, must be an instance of the requests, in order: every SA answers
 * one request, every required request is answered (RFC 4301 5.2 step 3b; D1).  Requests of
 * level use and IPComp requests may stay unanswered, so there can be several ways to lay the
 * one list along the other; all are followed at once: bit k of a word says that the k
 * innermost SAs can be explained by the requests looked at so far.
 */
#include "engine/check.h"

#include "base/addr.h"
#include "wire/ip.h"

/* RFC 3173 2: a packet that does not get smaller is sent without IPComp. */
static bool
optional(const struct tdo_req *r)
{
	return r->level == TDO_LEVEL_USE || r->proto == TDO_IPPROTO_IPCOMP;
}

/* The SA with k SAs inside of it. */
static const struct tdo_removed *
removed_at(const struct tdo_check *c, unsigned k)
{
	return &c->removed[c->nremoved - 1 - k];
}

/*
 * Addresses of the packet to which the SA with k SAs inside of it was applied: those of the
 * tunnel header next inside of it, or the packet's own.
 */
static void
layer_addresses(const struct tdo_check *c, unsigned k, const struct tdo_addr **ret_src,
    const struct tdo_addr **ret_dst)
{
	*ret_src = c->src;
	*ret_dst = c->dst;
	while (k-- > 0) {
		const struct tdo_removed *in = removed_at(c, k);

		if (!in->tunnel)
			continue;
		*ret_src = &in->sa->src;
		*ret_dst = &in->sa->dst;
		return;
	}
}

static bool
endpoints_equal(const struct tdo_sa_id *sa, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	return tdo_addr_equal(&sa->src, src) && tdo_addr_equal(&sa->dst, dst);
}

/*
 * A transport request names the SA by its own addresses or by those of the packet.  With
 * addresses that are not the packet's the sender adds a tunnel header (spec 7.1 step 8).
 */
static bool
transport_matches(const struct tdo_check *c, const struct tdo_req *r, unsigned k)
{
	const struct tdo_removed *x = removed_at(c, k);
	const struct tdo_addr *src, *dst;
	bool header;

	layer_addresses(c, k, &src, &dst);
	header = !tdo_addr_equal(&x->sa->dst, dst);
	if (x->tunnel != header)
		return false;
	if (r->src.af != TDO_AF_NONE)
		return endpoints_equal(x->sa, &r->src, &r->dst);
	return endpoints_equal(x->sa, src, dst);
}

/*
 * Of several peers behind one NAT, which all have its address, the port tells one from another.
 * UNIQUE has said which SA is meant.
 */
static bool
ports_match(const struct tdo_removed *x, const struct tdo_req *r)
{
	if (r->level == TDO_LEVEL_UNIQUE || (x->sport == 0 && x->dport == 0))
		return true;
	return (r->sport == 0 || r->sport == x->sport) && (r->dport == 0 || r->dport == x->dport);
}

/* Does the SA with k SAs inside of it answer the request? */
static bool
matches(const struct tdo_check *c, const struct tdo_req *r, unsigned k)
{
	const struct tdo_removed *x = removed_at(c, k);

	if (x->sa->proto != r->proto)
		return false;
	if (x->sa->mode != r->mode && x->sa->mode != TDO_MODE_ANY)
		return false;
	if (r->level == TDO_LEVEL_UNIQUE && x->sa->reqid != r->reqid)
		return false;
	if (!ports_match(x, r))
		return false;
	if (r->mode == TDO_MODE_TUNNEL)
		return x->tunnel && endpoints_equal(x->sa, &r->src, &r->dst);
	return transport_matches(c, r, k);
}

enum tdo_reason
tdo_check_requests(const struct tdo_check *c)
{
	uint32_t explained = 1; /* no SA is explained by no request */
	bool required = false;

	_Static_assert(TDO_HIST_MAX < 32, "one bit for each number of SAs");
	if (c->nreq > TDO_REQ_MAX || c->nremoved > TDO_HIST_MAX)
		return TDO_REASON_IN_WRONG_SA;
	for (unsigned i = 0; i < c->nreq; i++) {
		const struct tdo_req *r = &c->req[i];
		uint32_t next = 0;

		if (optional(r))
			next = explained;
		else
			required = true;
		for (unsigned k = 0; k < c->nremoved; k++)
			if ((explained >> k & 1) && matches(c, r, k))
				next |= 1u << (k + 1);
		explained = next;
	}
	if (explained >> c->nremoved & 1)
		return TDO_REASON_NONE;
	return c->nremoved == 0 && required ? TDO_REASON_IN_CLEAR : TDO_REASON_IN_WRONG_SA;
}
