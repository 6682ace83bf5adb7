/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams from fragments: see testudo/reass.h; who may have how many is in reass_store.c. */
#include <errno.h>

#include "base/be.h"
#include "base/htab.h"
#include "wire/ip.h"
#include "wire/out.h"
#include "wire/reass.h"

enum {
	NOT_ECT,
	ECT_1,
	ECT_0,
	ECN_CE,
	LENGTH_MAX = 65535, /* of what the length field of either family counts */
	SLAB_BLOCKS = 64,
	SLAB_OTHERS = 32,
};

/* One fragment, all lengths checked. */
struct part {
	const uint8_t *packet;
	uint32_t head_len;   /* in front of the payload; IPv6: of the fragment header */
	const uint8_t *data; /* payload */
	uint32_t at, len;
	uint32_t total; /* of the fragment itself */
	uint16_t nh_off;
	uint8_t proto, ecn;
	bool last;
};

/* ---- reading ------------------------------------------------------------------------------ */

/* The upper-layer header that the first fragment must have whole. */
static uint32_t
header_min(uint8_t proto)
{
	switch (proto) {
	case TDO_IPPROTO_TCP:
		return 20;
	case TDO_IPPROTO_UDP:
	case TDO_IPPROTO_UDPLITE:
	case TDO_IPPROTO_ICMP:
	case TDO_IPPROTO_ICMPV6:
	case TDO_IPPROTO_ESP:
	case TDO_IPPROTO_MH:
		return 8;
	case TDO_IPPROTO_SCTP:
	case TDO_IPPROTO_DCCP:
	case TDO_IPPROTO_AH:
		return 12;
	case TDO_IPPROTO_GRE:
	case TDO_IPPROTO_IPCOMP:
		return 4;
	case TDO_IPPROTO_IPIP:
		return TDO_IP4_HLEN;
	case TDO_IPPROTO_IPV6:
		return TDO_IP6_HLEN;
	default:
		return 0;
	}
}

static void
read_ip4(const uint8_t *p, const struct tdo_ip_info *ip, struct part *f, struct tdo_reass_key *key)
{
	uint16_t field = tdo_be16(p + 6);

	f->head_len = ip->l4_off;
	f->data = p + ip->l4_off;
	f->at = (field & TDO_IP4_OFFMASK) * 8u;
	f->last = (field & TDO_IP4_MF) == 0;
	key->id = tdo_be16(p + 4);
	key->proto = f->proto;
}

/* The parser has followed the chain and found a fragment header in it. */
static void
read_ip6(const uint8_t *p, struct part *f, struct tdo_reass_key *key)
{
	uint32_t off = TDO_IP6_HLEN;
	uint16_t field;

	f->nh_off = 6;
	while (p[f->nh_off] != TDO_IPPROTO_FRAGMENT) {
		f->nh_off = (uint16_t)off;
		off += (p[off + 1] + 1u) * 8;
	}
	field = tdo_be16(p + off + 2);
	f->head_len = off;
	f->data = p + off + TDO_IP6_FRAGLEN;
	f->at = field & 0xfff8u;
	f->last = (field & 1) == 0;
	f->proto = p[off];
	key->id = tdo_be32(p + off + 4);
}

static enum tdo_reason
read_part(const uint8_t *p, const struct tdo_ip_info *ip, struct part *f, struct tdo_reass_key *key)
{
	bool v6 = ip->flow.src.af == TDO_AF_INET6;
	uint32_t counted;

	*f = (struct part){
	    .packet = p, .proto = ip->flow.proto, .ecn = ip->tos & 3, .total = ip->total_len};
	key->src = ip->flow.src;
	key->dst = ip->flow.dst;
	if (v6)
		read_ip6(p, f, key);
	else
		read_ip4(p, ip, f, key);
	f->len = ip->total_len - (uint32_t)(f->data - p);
	counted = v6 ? f->head_len - TDO_IP6_HLEN : f->head_len;
	/* RFC 8200 4.5: all but the last are multiples of 8 bytes; the whole has a length field. */
	if (f->len == 0 || (!f->last && f->len % 8 != 0) || counted + f->at + f->len > LENGTH_MAX)
		return TDO_REASON_REASS_LENGTH;
	/* RFC 7112 5, RFC 1858: nothing that a policy looks at may come later. */
	if (f->at == 0 && ip->total_len - ip->l4_off < header_min(ip->flow.proto))
		return TDO_REASON_REASS_TINY;
	return TDO_REASON_NONE;
}

/* ---- placing ------------------------------------------------------------------------------ */

static bool
same_bytes(const struct tdo_reass_block *b, const struct part *f)
{
	for (uint32_t done = 0, n; done < f->len; done += n, b = b->more) {
		n = f->len - done < TDO_REASS_ROOM ? f->len - done : (uint32_t)TDO_REASS_ROOM;
		if (memcmp(b->data, f->data + done, n) != 0)
			return false;
	}
	return true;
}

/* What the length of the datagram says of a fragment. */
static bool
fits(const struct tdo_reass_datagram *d, const struct part *f)
{
	uint32_t end = f->at + f->len;

	if (d->end_known)
		return f->last ? end == d->end : end < d->end;
	return !f->last || d->last == NULL || d->last->at + d->last->len < end;
}

/*
 * Finds the fragment behind which f belongs, NULL: it is the first one.  RFC 5722 4: any overlap
 * spoils the datagram, in both families; what came twice, byte by byte, is harmless
 * (RFC 8200 4.5).
 */
static enum tdo_reason
find_place(const struct tdo_reass_datagram *d, const struct part *f, struct tdo_reass_block **ret)
{
	struct tdo_reass_block *b = d->first, *prev = NULL;

	if (!fits(d, f))
		return TDO_REASON_REASS_OVERLAP;
	/* Mostly they come in order. */
	if (d->last && f->at >= d->last->at + d->last->len) {
		*ret = d->last;
		return TDO_REASON_NONE;
	}
	for (; b && b->at < f->at; b = b->after)
		prev = b;
	if (b && b->at == f->at && b->len == f->len)
		return same_bytes(b, f) ? TDO_REASON_REASS_TWICE : TDO_REASON_REASS_OVERLAP;
	if ((prev && prev->at + prev->len > f->at) || (b && b->at < f->at + f->len))
		return TDO_REASON_REASS_OVERLAP;
	*ret = prev;
	return TDO_REASON_NONE;
}

/* Stores f behind prev. */
static enum tdo_reason
insert(struct tdo_reass *r, struct tdo_reass_datagram *d, const struct part *f,
    struct tdo_reass_block *prev)
{
	unsigned n = tdo_reass_blocks_of(f->len);
	struct tdo_reass_block *b;
	enum tdo_reason why;

	if (d->nfrags == TDO_REASS_FRAGS)
		return TDO_REASON_REASS_MANY;
	why = tdo_reass_reserve(r, d, n + (f->at == 0 ? tdo_reass_blocks_of(f->head_len) : 0));
	if (why != TDO_REASON_NONE)
		return why;
	if (f->at == 0) {
		d->head = tdo_reass_store(r, d, f->packet, f->head_len);
		if (d->head == NULL)
			return TDO_REASON_REASS_SHARE;
		d->head_len = f->head_len;
		d->nh_off = f->nh_off;
		d->proto = f->proto;
	}
	b = tdo_reass_store(r, d, f->data, f->len);
	if (b == NULL)
		return TDO_REASON_REASS_SHARE;
	b->at = f->at;
	b->len = f->len;
	b->after = prev ? prev->after : d->first;
	*(prev ? &prev->after : &d->first) = b;
	if (b->after == NULL)
		d->last = b;
	return TDO_REASON_NONE;
}

static void
note(struct tdo_reass_datagram *d, const struct part *f)
{
	d->nfrags++;
	d->have += f->len;
	d->ecn |= (uint8_t)(1u << f->ecn);
	if (f->total > d->longest)
		d->longest = f->total;
	if (f->last) {
		d->end_known = true;
		d->end = f->at + f->len;
	}
}

/* ---- the whole ---------------------------------------------------------------------------- */

/*
 * RFC 3168 5.3: a mark of congestion is not lost; where not all of them could carry one the
 * datagram goes.  Without a mark, one fragment that does not know ECN is enough for the whole
 * not to.
 */
static bool
join_ecn(uint8_t seen, uint8_t first, uint8_t *ret)
{
	bool ce = (seen & 1u << ECN_CE) != 0, none = (seen & 1u << NOT_ECT) != 0;

	*ret = ce ? ECN_CE : none ? NOT_ECT : first;
	return !(ce && none);
}

static void
finish_ip4(uint8_t *p, uint8_t ecn, uint32_t len)
{
	p[1] = (uint8_t)((p[1] & ~3) | ecn);
	tdo_put_be16(p + 6, 0);
	tdo_ip_set_len(p, len);
}

static void
finish_ip6(const struct tdo_reass_datagram *d, uint8_t *p, uint8_t ecn, uint32_t len)
{
	p[1] = (uint8_t)((p[1] & ~0x30) | ecn << 4);
	p[d->nh_off] = d->proto;
	tdo_ip_set_len(p, len);
}

/* Writes the datagram; its fragments follow each other without gaps. */
static enum tdo_reason
build(const struct tdo_reass_datagram *d, struct tdo_pkt *out)
{
	bool v6 = d->key.src.af == TDO_AF_INET6;
	uint32_t len = d->head_len + d->end;
	uint8_t *p, ecn;

	/* The first fragment may have a longer header than those by which lengths were checked. */
	if (len - (v6 ? TDO_IP6_HLEN : 0) > LENGTH_MAX)
		return TDO_REASON_REASS_LENGTH;
	if (!tdo_out_begin(out, len, 0))
		return TDO_REASON_NO_ROOM;
	p = tdo_pkt_data(out);
	tdo_reass_load(d->head, p, d->head_len);
	for (const struct tdo_reass_block *b = d->first; b; b = b->after)
		tdo_reass_load(b, p + d->head_len + b->at, b->len);
	if (!join_ecn(d->ecn, v6 ? p[1] >> 4 & 3 : p[1] & 3, &ecn))
		return TDO_REASON_REASS_ECN;
	if (v6)
		finish_ip6(d, p, ecn, len);
	else
		finish_ip4(p, ecn, len);
	return tdo_ip_parse(p, len, &out->ip);
}

static enum tdo_reass_result
complete(struct tdo_reass *r, struct tdo_reass_datagram *d, struct tdo_pkt *out,
    struct tdo_reass_whole *ret)
{
	enum tdo_reason why = build(d, out);

	if (why != TDO_REASON_NONE) {
		tdo_reass_spoil(r, d, why);
		return TDO_REASS_DROPPED;
	}
	if (ret)
		*ret = (struct tdo_reass_whole){d->nfrags, d->longest, d->key.id};
	tdo_reass_end(r, d);
	return TDO_REASS_WHOLE;
}

bool
tdo_reass_first(const struct tdo_reass_datagram *d, struct tdo_pkt *out)
{
	uint32_t frag = d->key.src.af == TDO_AF_INET6 ? TDO_IP6_FRAGLEN : 0;
	uint32_t len = d->head_len + frag + d->first->len;
	uint8_t *p;

	if (!tdo_out_begin(out, len, 0))
		return false;
	p = tdo_pkt_data(out);
	tdo_reass_load(d->head, p, d->head_len);
	p += d->head_len;
	if (frag) {
		tdo_put_be32(p, (uint32_t)d->proto << 24 | 1); /* offset 0, more to come */
		tdo_put_be32(p + 4, d->key.id);
	}
	tdo_reass_load(d->first, p + frag, d->first->len);
	return tdo_ip_parse(tdo_pkt_data(out), len, &out->ip) == TDO_REASON_NONE;
}

/* ---- the outside -------------------------------------------------------------------------- */

int
tdo_reass_new(const struct tdo_reass_config *cfg, struct tdo_reass **ret)
{
	struct tdo_reass *r = cfg->mem.alloc(cfg->mem.ctx, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->cfg = *cfg;
	r->blocks = (struct tdo_reass_stock){.size = TDO_REASS_BLOCK, .per_slab = SLAB_BLOCKS};
	r->datagrams = (struct tdo_reass_stock){
	    .size = (sizeof(struct tdo_reass_datagram) + 15) / 16 * 16, .per_slab = SLAB_OTHERS};
	r->sources = (struct tdo_reass_stock){
	    .size = (sizeof(struct tdo_reass_source) + 15) / 16 * 16, .per_slab = SLAB_OTHERS};
	tdo_reass_ring_init(&r->age);
	tdo_reass_ring_init(&r->heavy);
	cfg->random(cfg->random_ctx, &r->key, sizeof(r->key));
	*ret = r;
	return 0;
}

void
tdo_reass_free(struct tdo_reass *r)
{
	struct tdo_mem mem;

	if (r == NULL)
		return;
	mem = r->cfg.mem;
	tdo_reass_release(r);
	mem.free(mem.ctx, r, sizeof(*r));
}

void
tdo_reass_limit(struct tdo_reass *r, const struct tdo_reass_limits *lim)
{
	size_t blocks = lim->bytes / TDO_REASS_BLOCK;

	r->lim = *lim;
	r->max_blocks = blocks > UINT32_MAX / 2 ? UINT32_MAX / 2 : (unsigned)blocks;
}

static tdo_ns
expire(struct tdo_reass *r, tdo_ns now)
{
	while (r->age.next != &r->age) {
		struct tdo_reass_datagram *d =
		    TDO_CONTAINER_OF(r->age.next, struct tdo_reass_datagram, age);

		if (now < d->when || now - d->when < r->lim.timeout)
			return d->when + r->lim.timeout;
		tdo_reass_lost(r, TDO_REASON_REASS_TIMEOUT, d->nfrags);
		if (r->cfg.late && d->head)
			r->cfg.late(r->cfg.lost_ctx, d);
		tdo_reass_end(r, d);
	}
	return UINT64_MAX;
}

static enum tdo_reass_result
drop(struct tdo_reass *r, enum tdo_reason why)
{
	tdo_reass_lost(r, why, 1);
	return TDO_REASS_DROPPED;
}

/* What a fragment does to its datagram when it is dropped: only what came twice is harmless. */
static enum tdo_reass_result
refuse(struct tdo_reass *r, struct tdo_reass_datagram *d, enum tdo_reason why)
{
	if (why != TDO_REASON_REASS_TWICE)
		tdo_reass_spoil(r, d, why);
	return drop(r, why);
}

enum tdo_reass_result
tdo_reass_add(struct tdo_reass *r, const void *packet, size_t len, uint64_t way, tdo_ns now,
    struct tdo_pkt *out, struct tdo_reass_whole *ret)
{
	struct tdo_reass_key key = {.way = way};
	struct tdo_reass_block *prev = NULL;
	struct tdo_reass_datagram *d;
	struct tdo_ip_info ip;
	enum tdo_reason why = tdo_ip_parse(packet, len, &ip);
	struct part f;

	(void)expire(r, now);
	if (why != TDO_REASON_NONE)
		return drop(r, why);
	if (!ip.frag)
		return TDO_REASS_NONE;
	why = read_part(packet, &ip, &f, &key);
	d = tdo_reass_find(r, &key);
	if (why != TDO_REASON_NONE)
		return d && !d->spoilt ? refuse(r, d, why) : drop(r, why);
	if (d == NULL && r->max_blocks > 0)
		d = tdo_reass_begin(r, &key, now);
	if (d == NULL)
		return drop(r, TDO_REASON_REASS_SHARE);
	if (d->spoilt)
		return drop(r, TDO_REASON_REASS_SPOILT);
	why = find_place(d, &f, &prev);
	if (why == TDO_REASON_NONE)
		why = insert(r, d, &f, prev);
	if (why != TDO_REASON_NONE)
		return refuse(r, d, why);
	note(d, &f);
	return d->end_known && d->have == d->end ? complete(r, d, out, ret) : TDO_REASS_WAITS;
}

tdo_ns
tdo_reass_expire(struct tdo_reass *r, tdo_ns now)
{
	tdo_ns next = expire(r, now);

	if (next == UINT64_MAX)
		tdo_reass_release(r);
	return next;
}

struct tdo_reass_use
tdo_reass_use(const struct tdo_reass *r)
{
	return (struct tdo_reass_use){
	    (size_t)r->nblocks * TDO_REASS_BLOCK, r->ndatagrams, r->nsources};
}
