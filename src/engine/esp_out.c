/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outbound ESP (RFC 4303 3.3) for the packets of one SA in a burst: sequence numbers,
 * counters and the crypto driver are each touched once.
 */
#include "base/be.h"
#include "engine/path.h"
#include "wire/esp.h"
#include "wire/ip.h"
#include "wire/offload.h"

static bool
is_tunnelled(const struct tdo_pkt *p)
{
	return (p->tunnelled >> p->layer & 1) != 0;
}

static uint32_t
pad_len(const struct tdo_esp *x, uint32_t payload)
{
	return -(payload + TDO_ESP_TRAILER_LEN) & (x->align - 1u);
}

/*
 * Makes room around the packet and finds its payload.  Nothing is written to it yet except
 * a checksum that was left to do, which belongs to the packet anyhow.
 */
static enum tdo_reason
reserve(const struct tdo_esp *x, struct tdo_pkt *p, uint32_t *ret_payload)
{
	bool tunnel = is_tunnelled(p);
	uint32_t front = x->head_len + (tunnel ? x->outer_len : 0u);
	uint32_t fixed = (tunnel ? 0u : p->ip.esp_off);
	uint32_t payload, back, max = TDO_PKT_MAXLEN;

	if (tunnel && x->outer_len == 0)
		return TDO_REASON_OUT_FAMILY;
	if ((p->flags & TDO_PKT_CSUM_PARTIAL) && !tdo_csum_complete(p))
		return TDO_REASON_SHORT;
	if (p->ip.total_len < fixed || !tdo_pkt_trim(p, p->ip.total_len))
		return TDO_REASON_SHORT;
	payload = p->len - fixed;
	back = pad_len(x, payload) + TDO_ESP_TRAILER_LEN + x->icv_len;
	/* RFC 8200 3: the length field of IPv6 does not count the fixed header. */
	if (tunnel ? x->outer_len == TDO_IP6_HLEN : p->ip.flow.src.af == TDO_AF_INET6)
		max += TDO_IP6_HLEN;
	if (p->len + front + back > max)
		return TDO_REASON_NO_ROOM;
	if (front > p->off || back > p->cap - p->off - p->len)
		return TDO_REASON_NO_ROOM;
	*ret_payload = payload;
	return TDO_REASON_NONE;
}

/* Why no packet may use the SA now. */
static enum tdo_reason
sa_unusable(const struct tdo_worker *w, const struct tdo_sa *sa)
{
	uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);

	if (tdo_knob(w->engine, TDO_KNOB_ESP_ENABLE, sa->id.dst.af) == 0)
		return TDO_REASON_OUT_DISABLED;
	if (state != TDO_SA_MATURE && state != TDO_SA_DYING)
		return TDO_REASON_OUT_SA_EXPIRED;
	return TDO_REASON_NONE;
}

/* Drops what cannot be sent; the others stand in the batch then, how many is returned. */
static unsigned
select_packets(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_batch *b,
    struct tdo_pkt *const *p, unsigned n, uint32_t *ret_payload, tdo_ns now)
{
	enum tdo_reason unusable = sa_unusable(w, sa);
	struct tdo_quota quota = tdo_quota_of(sa);
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		enum tdo_reason r = unusable;

		if (r == TDO_REASON_NONE)
			r = reserve(&sa->esp, p[i], &ret_payload[kept]);
		if (r == TDO_REASON_NONE && !tdo_quota_take(&quota, p[i]->len))
			r = TDO_REASON_OUT_SA_EXPIRED;
		if (r == TDO_REASON_NONE)
			b->p[b->n + kept++] = p[i];
		else
			tdo_worker_drop(w, p[i], sa, r, now);
	}
	return kept;
}

/*
 * Takes up to n sequence numbers: how many, and the one before the first.  The counter stops
 * at the maximum and never begins again (RFC 4303 3.3.3, D36).
 */
static unsigned
take_seq(struct tdo_sa *sa, unsigned n, uint64_t *ret_last)
{
	uint64_t last = atomic_load_explicit(sa->out_seq, memory_order_relaxed);
	uint64_t left, max = sa->esp.seq_max;
	unsigned got;

	do {
		left = last < max ? max - last : 0;
		got = left < n ? (unsigned)left : n;
		if (got == 0)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(
	    sa->out_seq, &last, last + got, memory_order_relaxed, memory_order_relaxed));
	*ret_last = last;
	return got;
}

/* Moves the IP header in front of the ESP header and lets it announce ESP (RFC 4303 3.1.1). */
static uint8_t
put_transport(struct tdo_pkt *p, uint32_t gap, uint32_t total)
{
	uint8_t *hdr = tdo_pkt_data(p);
	uint8_t next = p->ip.esp_nh;

	memmove(hdr, hdr + gap, p->ip.esp_off);
	tdo_ip_rewrite(hdr, p->ip.nh_off, TDO_IPPROTO_ESP, total);
	p->ip.flow.proto = TDO_IPPROTO_ESP;
	p->ip.flow.has_ports = false;
	p->ip.flow.sport = p->ip.flow.dport = 0;
	p->ip.l4_off = p->ip.esp_off;
	p->ip.esp_nh = TDO_IPPROTO_ESP;
	p->ip.total_len = total;
	return next;
}

/* Puts the outer header in front; returns the next header of ESP. */
static uint8_t
put_tunnel(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint32_t front)
{
	bool v4 = p->ip.flow.src.af == TDO_AF_INET;

	tdo_tunnel_put(w, sa, p, tdo_pkt_data(p) + front);
	/* Through an IPv6 tunnel an IPv4 packet with DF clear may still be cut by us: outside. */
	if (p->ip.flow.src.af == TDO_AF_INET)
		p->flags = (uint8_t)(p->ip.df ? p->flags | TDO_PKT_DF : p->flags & ~TDO_PKT_DF);
	return v4 ? TDO_IPPROTO_IPIP : TDO_IPPROTO_IPV6;
}

/* 1, 2, 3, ...: mostly so few that a loop made for many would cost more than they do. */
static void
put_sequence(uint8_t *t, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		t[i] = (uint8_t)(i + 1);
		__asm__ __volatile__("" ::: "memory"); /* not to be vectorised */
	}
}

/* RFC 4303 2.4: padding, pad length, next header. */
static void
put_trailer(struct tdo_worker *w, const struct tdo_esp *x, uint8_t *t, uint32_t pad, uint8_t next)
{
	switch (x->pad_mode << 8) {
	case TDO_SAF_PRAND:
		tdo_worker_random(w, t, pad);
		break;
	case TDO_SAF_PZERO:
		memset(t, 0, pad);
		break;
	default:
		put_sequence(t, pad);
	}
	t[pad] = (uint8_t)pad;
	t[pad + 1] = next;
}

/* An IV per packet: a counter that does not repeat under the key, or unpredictable bytes. */
static void
put_iv(struct tdo_worker *w, const struct tdo_esp *x, uint8_t *iv, uint64_t seq)
{
	if (x->iv_counter && x->iv_len == 8)
		tdo_put_be64(iv, x->iv_base + seq);
	else if (x->iv_len != 0)
		tdo_worker_random(w, iv, x->iv_len);
}

/* Everything of one packet but the crypto; the room is there (reserve). */
static void
build(struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, uint32_t payload,
    uint64_t seq, struct tdo_op *op)
{
	const struct tdo_esp *x = &sa->esp;
	bool tunnel = is_tunnelled(p);
	uint32_t pad = pad_len(x, payload), gap = x->head_len;
	uint32_t front = gap + (tunnel ? x->outer_len : 0u);
	uint32_t back = pad + TDO_ESP_TRAILER_LEN + x->icv_len, total = p->len + front + back;
	uint8_t *esp, next;

	p->off -= front;
	p->len = total;
	next = tunnel ? put_tunnel(w, sa, p, front) : put_transport(p, gap, total);
	esp = tdo_pkt_data(p) + p->ip.l4_off;
	tdo_put_be32(esp + TDO_ESP_SPI_OFF, sa->id.spi);
	if (x->numbered) {
		tdo_put_be32(esp + TDO_ESP_SEQ_OFF, (uint32_t)seq);
		p->seq = (uint32_t)seq;
	}
	put_iv(w, x, esp + x->iv_off, seq);
	put_trailer(w, x, esp + gap + payload, pad, next);
	p->spi = sa->id.spi;
	*op = (struct tdo_op){
	    .data = esp,
	    .hdr_len = x->hdr_len,
	    .text_len = payload + pad + TDO_ESP_TRAILER_LEN,
	    .esn_hi = (uint32_t)(seq >> 32),
	    .session = sa->enc,
	};
}

static void
begin_group(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, tdo_ns now)
{
	uint32_t payload[TDO_BURST_MAX];
	struct tdo_sa *sa = g->sa;
	struct tdo_pkt **q = b->p + b->n;
	unsigned kept = select_packets(w, sa, b, b->sorted + g->first, g->n, payload, now), got;
	uint64_t last = 0;

	got = take_seq(sa, kept, &last);
	for (unsigned i = got; i < kept; i++)
		tdo_worker_drop(w, q[i], sa, TDO_REASON_OUT_SEQ_WRAP, now);
	for (unsigned i = 0; i < got; i++)
		/* NOLINTNEXTLINE: take_seq() gives no more than select_packets() filled */
		build(w, sa, q[i], payload[i], last + 1 + i, &b->op[b->n + i]);
	g->at = (uint8_t)b->n;
	g->kept = (uint8_t)got;
	b->n += got;
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned i = 0; i < n; i++)
		begin_group(w, b, &g[i], now);
}

/* What was sent by all groups, for the counters of the worker. */
struct sent {
	uint64_t packets, bytes;
};

static void
end_group(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, struct sent *sum,
    tdo_ns now)
{
	uint64_t packets = 0, bytes = 0;

	for (unsigned i = g->at; i < (unsigned)g->at + g->kept; i++) {
		if (b->op[i].status != TDO_OP_OK) {
			tdo_worker_drop(w, b->p[i], g->sa, TDO_REASON_CRYPTO_FAILED, now);
			continue;
		}
		packets++;
		bytes += b->p[i]->len;
	}
	tdo_sa_used(g->sa, packets, bytes, now);
	sum->packets += packets;
	sum->bytes += bytes;
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	struct sent sum = {0};

	for (unsigned i = 0; i < n; i++)
		end_group(w, b, &g[i], &sum, now);
	tdo_worker_stat(w, TDO_STAT_ESP_OUT, sum.packets);
	tdo_worker_stat(w, TDO_STAT_ESP_OUT_BYTES, sum.bytes);
}

const struct tdo_transform tdo_esp_out = {.begin = begin, .end = end};
