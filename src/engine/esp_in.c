/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound ESP (RFC 4303 3.4) for the packets of one SA in a burst.  Nothing of a packet is
 * believed before its ICV was right, except what is needed to find the ICV.
 */
#include "base/be.h"
#include "engine/path.h"
#include "wire/esp.h"
#include "wire/ip.h"

/* What ESP carried. */
struct content {
	uint8_t *start;
	uint32_t len; /* without padding and trailer */
	uint8_t next;
};

/*
 * The byte that announces what is at l4_off.  Destination options may stand between the place
 * where we would put ESP and the place where the peer did (RFC 4303 3.1.1).  0: none.
 */
static uint16_t
announcer(const uint8_t *p, const struct tdo_ip_info *ip)
{
	uint32_t off = ip->esp_off, nh = ip->nh_off;

	while (off < ip->l4_off) {
		nh = off;
		off += (p[off + 1] + 1u) * 8;
	}
	return off == ip->l4_off ? (uint16_t)nh : 0;
}

/* Where header, IV, text and ICV are; lengths are checked against the packet. */
static enum tdo_reason
layout(const struct tdo_sa *sa, struct tdo_pkt *p, struct tdo_op *op)
{
	const struct tdo_esp *x = &sa->esp;
	uint32_t esp_len = p->ip.total_len - p->ip.l4_off;
	uint32_t fixed = x->head_len + x->icv_len;

	if (esp_len < fixed + TDO_ESP_TRAILER_LEN)
		return TDO_REASON_IN_LENGTH;
	*op = (struct tdo_op){
	    .data = tdo_pkt_data(p) + p->ip.l4_off,
	    .hdr_len = x->hdr_len,
	    .text_len = esp_len - fixed,
	    .session = sa->dec,
	};
	if (op->text_len & (x->align - 1u))
		return TDO_REASON_IN_LENGTH;
	return TDO_REASON_NONE;
}

/* All that can be said of a packet before the cryptography. */
static enum tdo_reason
inspect(const struct tdo_sa *sa, struct tdo_replay *window, struct tdo_pkt *p, struct tdo_op *op,
    uint16_t *ret_nh_off, uint64_t *ret_seq)
{
	enum tdo_reason r = layout(sa, p, op);
	uint64_t seq = p->seq = sa->esp.numbered ? p->seq : 0;

	if (r != TDO_REASON_NONE)
		return r;
	*ret_nh_off = announcer(tdo_pkt_data(p), &p->ip);
	if (*ret_nh_off == 0)
		return TDO_REASON_EXT_HEADER;
	if (sa->esp.esn) {
		seq = tdo_replay_number_locked(window, p->seq);
		op->esn_hi = (uint32_t)(seq >> 32);
	}
	*ret_seq = seq;
	/* RFC 4303 3.4.3: without authentication a window would only help an attacker. */
	return sa->esp.authenticated ? tdo_replay_check_locked(window, seq) : TDO_REASON_NONE;
}

/* Why no packet may use the SA now. */
static enum tdo_reason
sa_unusable(const struct tdo_worker *w, const struct tdo_sa *sa)
{
	uint8_t state = atomic_load_explicit(&sa->state, memory_order_acquire);

	if (tdo_knob(w->engine, TDO_KNOB_ESP_ENABLE, sa->id.dst.af) == 0)
		return TDO_REASON_IN_DISABLED;
	if (state != TDO_SA_MATURE && state != TDO_SA_DYING)
		return TDO_REASON_IN_SA_STATE;
	return TDO_REASON_NONE;
}

static void
drop(struct tdo_worker *w, struct tdo_pkt *p, struct tdo_sa *sa, enum tdo_reason r, tdo_ns now)
{
	if (r == TDO_REASON_IN_REPLAY_OLD)
		tdo_worker_stat(w, TDO_STAT_ESP_LATE_DROPPED, 1);
	tdo_worker_drop(w, p, sa, r, now);
}

/* Why each of the packets is dropped; those that are not stand in the batch then. */
static void
select_packets(
    struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, enum tdo_reason *ret_why)
{
	struct tdo_sa *sa = g->sa;
	enum tdo_reason unusable = sa_unusable(w, sa);
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);

	for (unsigned i = 0; i < g->n; i++) {
		struct tdo_pkt *p = b->sorted[g->first + i];
		unsigned k = b->n;

		ret_why[i] = unusable;
		if (unusable == TDO_REASON_NONE)
			ret_why[i] = inspect(sa, window, p, &b->op[k], &b->nh_off[k], &b->seq[k]);
		if (ret_why[i] == TDO_REASON_NONE)
			b->p[b->n++] = p;
	}
	tdo_replay_unlock(window);
}

static bool
padding_ok(const struct tdo_esp *x, const uint8_t *pad, uint32_t len)
{
	uint8_t wrong = 0;

	if (!x->check_pad)
		return true;
	for (uint32_t i = 0; i < len; i++)
		wrong |= (uint8_t)(pad[i] ^ (i + 1));
	return wrong == 0;
}

static enum tdo_reason
open_text(const struct tdo_sa *sa, const struct tdo_op *op, struct content *ret)
{
	uint8_t *text = op->data + sa->esp.head_len;
	uint32_t pad = text[op->text_len - 2];

	if (pad + TDO_ESP_TRAILER_LEN > op->text_len)
		return TDO_REASON_IN_PADDING;
	ret->start = text;
	ret->len = op->text_len - TDO_ESP_TRAILER_LEN - pad;
	ret->next = text[op->text_len - 1];
	if (!padding_ok(&sa->esp, text + ret->len, pad))
		return TDO_REASON_IN_PADDING;
	/* RFC 4303 2.6 */
	return ret->next == TDO_IPPROTO_NONE ? TDO_REASON_IN_DUMMY : TDO_REASON_NONE;
}

/* The upper layer takes the place of the ESP header. */
static enum tdo_reason
strip_transport(struct tdo_pkt *p, const struct content *c, uint16_t nh_off)
{
	uint32_t hdr_len = p->ip.l4_off;
	uint8_t *hdr = c->start - hdr_len;

	memmove(hdr, tdo_pkt_data(p), hdr_len);
	p->off = (uint32_t)(hdr - p->buf);
	p->len = hdr_len + c->len;
	tdo_ip_rewrite(hdr, nh_off, c->next, p->len);
	return tdo_ip_parse_again(hdr, p->len, c->next, &p->ip);
}

/*
 * The inner packet takes the place of the whole.  What is behind its end by its own length
 * is traffic-flow confidentiality padding (RFC 4303 2.7).
 */
static enum tdo_reason
strip_tunnel(
    struct tdo_worker *w, const struct tdo_sa *sa, struct tdo_pkt *p, const struct content *c)
{
	uint8_t outer_tos = p->ip.tos;
	uint8_t af = c->next == TDO_IPPROTO_IPIP ? TDO_AF_INET : TDO_AF_INET6;
	struct tdo_ip_info in;

	if (tdo_ip_parse(c->start, c->len, &in) != TDO_REASON_NONE || in.flow.src.af != af)
		return TDO_REASON_IN_INNER;
	p->ip = in;
	p->off = (uint32_t)(c->start - p->buf);
	p->len = in.total_len;
	p->outer_ecn = outer_tos & 3;
	return tdo_tunnel_ecn_out(w, sa, outer_tos, c->start, &p->ip);
}

/* An SA of mode any is a tunnel when it carries an IP packet, as in BSD. */
static bool
carries_tunnel(const struct tdo_sa *sa, uint8_t next)
{
	return sa->id.mode != TDO_MODE_TRANSPORT &&
	       (next == TDO_IPPROTO_IPIP || next == TDO_IPPROTO_IPV6);
}

static enum tdo_reason
strip(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *p, const struct tdo_op *op,
    uint16_t nh_off)
{
	struct content c = {0};
	enum tdo_reason r = open_text(sa, op, &c);
	bool tunnel;

	if (r != TDO_REASON_NONE)
		return r;
	tunnel = carries_tunnel(sa, c.next);
	if (sa->id.mode == TDO_MODE_TUNNEL && !tunnel)
		return TDO_REASON_IN_MODE;
	r = tunnel ? strip_tunnel(w, sa, p, &c) : strip_transport(p, &c, nh_off);
	if (r != TDO_REASON_NONE)
		return r;
	p->tunnelled |= (uint8_t)(tunnel << p->nsas);
	p->sas[p->nsas++] = sa;
	return TDO_REASON_NONE;
}

/* The packet is what the peer sent: has it been accepted before, may the SA still be used? */
static enum tdo_reason
admit(const struct tdo_sa *sa, struct tdo_replay *window, const struct tdo_batch *b, unsigned i,
    struct tdo_quota *quota)
{
	enum tdo_reason r = TDO_REASON_NONE;

	if (b->op[i].status == TDO_OP_BAD_ICV)
		return sa->esp.esn ? tdo_replay_failed_locked(window, b->seq[i])
				   : TDO_REASON_IN_ICV;
	if (b->op[i].status != TDO_OP_OK)
		return TDO_REASON_CRYPTO_FAILED;
	if (sa->esp.authenticated)
		r = tdo_replay_accept_locked(window, b->seq[i]);
	if (r == TDO_REASON_NONE && !tdo_quota_take(quota, b->p[i]->ip.total_len))
		r = TDO_REASON_IN_SA_EXPIRED;
	return r;
}

/* Why each of the packets that begin() kept is dropped. */
static void
admit_all(struct tdo_worker *w, const struct tdo_batch *b, const struct tdo_group *g,
    enum tdo_reason *ret_why)
{
	struct tdo_sa *sa = g->sa;
	struct tdo_quota quota = tdo_quota_of(sa);
	struct tdo_replay *window = tdo_replay_lock(&sa->replay);
	uint64_t late = 0;
	bool grow;

	for (unsigned i = 0; i < g->kept; i++) {
		uint64_t top = window->top;

		ret_why[i] = admit(sa, window, b, g->at + i, &quota);
		late += ret_why[i] == TDO_REASON_NONE && b->seq[g->at + i] < top;
	}
	grow = tdo_replay_wants_locked(window);
	tdo_replay_unlock(window);
	if (grow)
		tdo_sa_ask_to_grow(w, sa);
	if (late > 0)
		tdo_worker_stat(w, TDO_STAT_ESP_LATE_ACCEPTED, late);
}

static void
begin(struct tdo_worker *w, struct tdo_batch *b, struct tdo_group *g, unsigned n, tdo_ns now)
{
	enum tdo_reason why[TDO_BURST_MAX];
	uint64_t packets = 0, bytes = 0;

	for (unsigned k = 0; k < n; k++) {
		g[k].at = (uint8_t)b->n;
		select_packets(w, b, &g[k], why);
		g[k].kept = (uint8_t)(b->n - g[k].at);
		for (unsigned i = 0; i < g[k].n; i++) {
			struct tdo_pkt *p = b->sorted[g[k].first + i];

			bytes += p->ip.total_len;
			if (why[i] != TDO_REASON_NONE)
				drop(w, p, g[k].sa, why[i], now);
		}
		packets += g[k].n;
	}
	tdo_worker_stat(w, TDO_STAT_ESP_IN, packets);
	tdo_worker_stat(w, TDO_STAT_ESP_IN_BYTES, bytes);
}

static void
end_group(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, tdo_ns now)
{
	enum tdo_reason why[TDO_BURST_MAX];
	uint64_t packets = 0, bytes = 0;

	admit_all(w, b, g, why);
	for (unsigned i = 0; i < g->kept; i++) {
		unsigned k = (unsigned)g->at + i;
		enum tdo_reason r = why[i];

		if (r == TDO_REASON_NONE) {
			packets++;
			bytes += b->p[k]->ip.total_len;
			r = strip(w, g->sa, b->p[k], &b->op[k], b->nh_off[k]);
		}
		if (r != TDO_REASON_NONE)
			drop(w, b->p[k], g->sa, r, now);
	}
	tdo_sa_used(g->sa, packets, bytes, now);
}

static void
end(struct tdo_worker *w, struct tdo_batch *b, const struct tdo_group *g, unsigned n, tdo_ns now)
{
	for (unsigned i = 0; i < n; i++)
		if (g[i].kept > 0)
			end_group(w, b, &g[i], now);
}

const struct tdo_transform tdo_esp_in = {.begin = begin, .end = end};
