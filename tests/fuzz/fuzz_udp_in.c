/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESP in UDP: what a socket delivered is cut into packets, with segment sizes and ancillary data
 * that may lie, and these go through an engine whose SAs need no secret; but for one, which must
 * never let anything through.
 *
 * Input: a byte of flags (1: IPv6; 2: the rest is one packet instead of a message; 4: checksums are
 * made anew, not moved), and for a message: a byte of its flags (1: data, 2: ancillary data were
 * cut off), bytes of ancillary data in units of 4, these, the payload.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "built.h"
#include "engine/sa.h"
#include "fixture.h"
#include "fuzz.h"
#include "io/udp_rx.h"
#include "wire/ip.h"
#include "wire/udp.h"

#define SECRET_SPI 0x1005
enum { CTRL_MAX = 255 * 4 };

static struct fx f;
static struct tdo_pool pool;

static void
open_engine(void)
{
#define SA(v, i, m, t)                                                                             \
	.src = (v) == 4 ? "10.0.0.1" : "2001:db8::1",                                              \
	.dst = (v) == 4 ? "10.0.0.2" : "2001:db8::2", .spi = (i), .mode = TDO_MODE_##m,            \
	.enc = "null", .natt = {                                                                   \
		.type = TDO_NATT_##t,                                                              \
		.sport = 4500,                                                                     \
		.dport = 4500                                                                      \
	}
	struct fx_sa sas[] = {
	    {SA(4, 0x1001, TRANSPORT, ESPINUDP)},
	    {SA(4, 0x1002, TUNNEL, ESPINUDP)},
	    {SA(4, 0x1003, ANY, NON_IKE)},
	    {SA(6, 0x1004, ANY, ESPINUDP), .auth = BUILT_LEGACY ? "null" : NULL, .replay = 64},
	    {SA(4, SECRET_SPI, ANY, ESPINUDP), .replay = 64},
	    {SA(4, 0x1006, TRANSPORT, ESPINUDP)},
	    {.src = "10.0.0.1",
		.dst = "10.0.0.2",
		.spi = 0x1007,
		.mode = TDO_MODE_ANY,
		.enc = "null"},
	    {SA(6, 0x1008, TRANSPORT, NON_IKE)},
	};

	sas[4].enc = "aes-gcm-16";
	sas[5].natt.oa_src = fx_addr("192.168.7.7");
	sas[5].natt.oa_dst = fx_addr("192.168.8.8");
	fx_open(&f, NULL);
	for (unsigned i = 0; i < sizeof(sas) / sizeof(sas[0]); i++)
		fx_add_sa(&f, &sas[i]);
	fx_local(&f, "10.0.0.2");
	fx_add_sp(&f, TDO_DIR_IN, "10.1.0.0/16", "10.2.0.0/16", TDO_PROTO_ANY,
	    "esp/tunnel/10.0.0.1-10.0.0.2/require");
	FUZZ_CHECK(tdo_pool_init(&pool, TDO_POOL_COST(TDO_PKT_MAXLEN) * 2, TDO_BURST_MAX) == 0);
}

static void
check_passed(const struct tdo_pkt *p)
{
	struct tdo_ip_info ip;

	FUZZ_CHECK(p->off <= p->cap && p->len <= p->cap - p->off);
	FUZZ_CHECK(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip) == TDO_REASON_NONE);
	/* UDP is opened or dropped. */
	FUZZ_CHECK(p->nsas <= TDO_HIST_MAX && (p->nsas > 0 || ip.flow.proto != TDO_IPPROTO_UDP));
	FUZZ_CHECK(ip.flow.proto == p->ip.flow.proto && ip.l4_off == p->ip.l4_off);
	for (unsigned i = 0; i < p->nsas; i++)
		FUZZ_CHECK(p->sas[i]->id.spi != SECRET_SPI);
}

static void
open_burst(struct tdo_pkt **pk, unsigned n)
{
	tdo_in(f.w, pk, n, f.now);
	for (unsigned i = 0; i < n; i++) {
		if (pk[i]->verdict == TDO_VERDICT_PASS)
			check_passed(pk[i]);
		else
			FUZZ_CHECK(
			    pk[i]->verdict == TDO_VERDICT_DROP && pk[i]->reason != TDO_REASON_NONE);
	}
	tdo_worker_quiesce(f.w);
}

/* Of the exact size: the sanitizer sees every byte beyond it. */
static uint8_t *
exact_copy(const uint8_t *data, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	FUZZ_CHECK(p);
	if (len > 0)
		memcpy(p, data, len);
	return p;
}

static void
one_packet(const uint8_t *data, size_t len)
{
	struct tdo_pkt p = {.flags = TDO_PKT_UDP_ENCAP}, *burst = &p;

	p.buf = exact_copy(data, len);
	p.cap = p.len = (uint32_t)len;
	open_burst(&burst, 1);
	free(p.buf);
}

/* Everything is cut once, in order, and is what was delivered. */
static void
cut(const struct tdo_udp_msg *m)
{
	uint32_t hlen = tdo_ip_hlen(m->h.src.af) + TDO_UDP_HLEN;
	struct tdo_pkt *pk[TDO_BURST_MAX];
	unsigned n = 0;

	FUZZ_CHECK(m->seg <= m->len && (m->seg > 0 || m->len == 0));
	tdo_pool_reset(&pool);
	for (uint32_t at = 0; at < m->len;) {
		uint32_t before = at;
		struct tdo_pkt *p = tdo_udp_msg_cut(m, &at, &pool);

		if (p == NULL && at == m->len)
			break;
		if (p == NULL) {
			FUZZ_CHECK(at == before && n > 0);
			open_burst(pk, n);
			n = 0;
			tdo_pool_reset(&pool);
			continue;
		}
		FUZZ_CHECK(at > before && p->len == hlen + at - before);
		FUZZ_CHECK(p->off >= TDO_HEADROOM && p->cap - p->off - p->len >= TDO_TAILROOM);
		FUZZ_CHECK(memcmp(tdo_pkt_data(p) + hlen, m->data + before, at - before) == 0);
		pk[n++] = p;
	}
	if (n > 0)
		open_burst(pk, n);
}

static void
one_message(uint8_t flags, const uint8_t *data, size_t len)
{
	struct sockaddr_in6 from6 = {.sin6_family = AF_INET6, .sin6_port = htons(4500)};
	struct sockaddr_in from4 = {.sin_family = AF_INET, .sin_port = htons(4500)};
	_Alignas(struct cmsghdr) uint8_t ctrl[CTRL_MAX];
	uint8_t af = flags & 1 ? TDO_AF_INET6 : TDO_AF_INET, *payload;
	struct tdo_addr a = fx_addr(flags & 1 ? "2001:db8::1" : "10.0.0.1");
	struct tdo_udp_msg out;
	struct msghdr m = {.msg_control = ctrl};

	if (len < 2 || len - 2 < data[1] * 4u)
		return;
	m.msg_flags = (data[0] & 1 ? MSG_TRUNC : 0) | (data[0] & 2 ? MSG_CTRUNC : 0);
	m.msg_controllen = data[1] * 4u;
	memcpy(ctrl, data + 2, m.msg_controllen);
	memcpy(&from4.sin_addr, a.b, 4);
	memcpy(&from6.sin6_addr, a.b, 16);
	m.msg_name = flags & 1 ? (void *)&from6 : (void *)&from4;
	m.msg_namelen = flags & 1 ? sizeof(from6) : sizeof(from4);
	len -= 2 + m.msg_controllen;
	payload = exact_copy(data + 2 + m.msg_controllen, len);
	if (tdo_udp_msg_read(&out, &m, af, payload, (uint32_t)len))
		cut(&out);
	free(payload);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_event ev;

	if (!f.e)
		open_engine();
	if (len == 0 || len > 2 * TDO_PKT_MAXLEN)
		return 0;
	fx_knob(&f, TDO_KNOB_NATT_CKSUM_POLICY, data[0] & 4 ? 1 : 0);
	if (data[0] & 2)
		one_packet(data + 1, len - 1);
	else
		one_message(data[0], data + 1, len - 1);
	/* New mappings are followed, and told. */
	f.now += TDO_SEC;
	tdo_engine_tick(f.e, f.now);
	while (tdo_engine_next_event(f.e, &ev))
		continue;
	return 0;
}
