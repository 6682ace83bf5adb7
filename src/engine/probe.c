/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path MTU probes.  The text of the dummy packet, in network order:
 *
 *	 0  "TDO-PMTU"
 *	 8  version, 1
 *	 9  1 ask, 2 answer
 *	10  zero
 *	12  bytes of the whole packet that asks, as it left
 *	16  nonce
 *	24  zeros
 */
#include "engine/probe.h"

#include <string.h>

#include "base/addr.h"
#include "engine/path.h"

enum {
	VERSION_OFF = 8,
	KIND_OFF = 9,
	SIZE_OFF = 12,
	NONCE_OFF = 16,
	VERSION = 1,
	KIND_ASK = 1,
	KIND_ANSWER = 2,
	TTL = 64,
};

#define PROBE_LEN 24u

static const char magic[] = "TDO-PMTU";

bool
tdo_probe_found(const struct tdo_sa *sa, struct tdo_pkt *p, uint8_t *text, uint32_t len)
{
	/* Without authentication anybody could answer, or make us answer. */
	if (!sa->fmt.authenticated || len < PROBE_LEN || p->nsas == TDO_HIST_MAX ||
	    memcmp(text, magic, VERSION_OFF) != 0 || text[VERSION_OFF] != VERSION ||
	    (text[KIND_OFF] != KIND_ASK && text[KIND_OFF] != KIND_ANSWER))
		return false;
	p->off = (uint32_t)(text - p->buf);
	p->len = len;
	p->sas[p->nsas++] = sa;
	return true;
}

struct tdo_probe
tdo_probe_read(const struct tdo_pkt *p, struct tdo_addr *ret_peer, struct tdo_addr *ret_local)
{
	const uint8_t *t = tdo_pkt_data(p);

	*ret_peer = p->sas[p->nsas - 1]->id.src;
	*ret_local = p->sas[p->nsas - 1]->id.dst;
	return (struct tdo_probe){.answer = t[KIND_OFF] == KIND_ANSWER,
	    .size = tdo_be32(t + SIZE_OFF),
	    .nonce = tdo_be64(t + NONCE_OFF)};
}

/* Any SA of ESP that may be used; what it may carry does not matter to a dummy packet. */
static struct tdo_sa *
find_sa(const struct tdo_worker *w, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	static const uint8_t modes[] = {TDO_MODE_TUNNEL, TDO_MODE_TRANSPORT, TDO_MODE_ANY};

	for (unsigned i = 0; i < sizeof(modes); i++) {
		struct tdo_req req = {.proto = TDO_IPPROTO_ESP, .mode = modes[i]};
		struct tdo_sa_ask ask = {.req = &req, .src = src, .dst = dst, .worker = w->index};
		struct tdo_sa *sa = tdo_sad_find_out(w->engine, &ask);

		if (sa)
			return sa;
	}
	return NULL;
}

/* Bytes of text for a packet of up to size bytes; 0: it is too small for a probe. */
static uint32_t
text_len(const struct tdo_sa *sa, uint32_t size)
{
	const struct tdo_format *x = &sa->fmt;
	uint32_t fixed = tdo_ip_hlen(sa->id.dst.af) + x->encap_len + x->head_len + x->icv_len, text;

	if (size < fixed)
		return 0;
	text = (size - fixed) & ~(x->align - 1u);
	return text >= PROBE_LEN + x->trailer_len ? text - x->trailer_len : 0;
}

/* The packet before protection: an IP header that announces nothing, and the text. */
static bool
build(struct tdo_worker *w, const struct tdo_sa *sa, const struct tdo_probe *probe, uint32_t text,
    struct tdo_pkt *p)
{
	uint32_t hlen = tdo_ip_hlen(sa->id.dst.af);
	struct tdo_ip_hdr h = {.src = sa->id.src,
	    .dst = sa->id.dst,
	    .ttl = TTL,
	    .proto = TDO_IPPROTO_NONE,
	    .df = true};
	uint8_t *t;

	if (p->off > p->cap || hlen + text > p->cap - p->off)
		return false;
	tdo_worker_random(w, &h.id, sizeof(h.id));
	p->len = hlen + text;
	tdo_ip_build(tdo_pkt_data(p), &h, text);
	t = tdo_pkt_data(p) + hlen;
	memset(t, 0, text);
	memcpy(t, magic, VERSION_OFF);
	t[VERSION_OFF] = VERSION;
	t[KIND_OFF] = probe->answer ? KIND_ANSWER : KIND_ASK;
	tdo_put_be32(t + SIZE_OFF, probe->size);
	tdo_put_be64(t + NONCE_OFF, probe->nonce);
	return tdo_ip_parse(tdo_pkt_data(p), p->len, &p->ip) == TDO_REASON_NONE;
}

bool
tdo_probe_make(struct tdo_worker *w, const struct tdo_addr *src, const struct tdo_addr *dst,
    const struct tdo_probe *probe, struct tdo_pkt *p, tdo_ns now)
{
	struct tdo_sa *sa = find_sa(w, src, dst);
	uint32_t text;

	if (!sa || !sa->fmt.authenticated)
		return false;
	text = probe->answer ? PROBE_LEN : text_len(sa, probe->size);
	if (text == 0 || !build(w, sa, probe, text, p))
		return false;
	tdo_worker_way(w, true);
	p->flags = TDO_PKT_DF;
	/* Random padding does not make it longer than what is to be measured. */
	p->path_mtu = probe->answer || probe->size > TDO_PKT_MAXLEN ? 0 : (uint16_t)probe->size;
	p->verdict = TDO_VERDICT_PROTECT;
	p->gso = TDO_GSO_NONE;
	p->tunnelled = p->layer = 0;
	p->sp = NULL;
	p->sas[0] = sa;
	p->nsas = 1;
	tdo_out_protect(w, &p, 1, now);
	return p->verdict == TDO_VERDICT_SEND && (probe->answer || p->len <= probe->size);
}
