/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors against an engine with SAs of every kind that sent some packets: as messages from the
 * network, as packets that came in clear, and as packets that leave.
 *
 * Input: a byte of flags (1: IPv6; 2, 4: what is done with it, see below; 8: forwarded), then the
 * ICMP message; its checksum is made right.
 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/be.h"
#include "fixture.h"
#include "fuzz.h"
#include "wire/icmp.h"
#include "wire/ip.h"

static const char *const me[2] = {"10.0.0.1", "2001:db8::1"}, *const peer[2] = {
								  "10.0.0.2", "2001:db8::2"};

static struct fx f;

static void
open_engine(void)
{
	static const struct tdo_natt natt[] = {{.type = TDO_NATT_NONE},
	    {.type = TDO_NATT_ESPINUDP, .sport = 4500, .dport = 4500},
	    {.type = TDO_NATT_NON_IKE, .sport = 4500, .dport = 500}};
	struct tdo_addr local[] = {fx_addr(me[0]), fx_addr(me[1])};

	fx_open(&f, NULL);
	FUZZ_CHECK(tdo_engine_set_local(f.e, local, 2) == 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned i = 0; i < 3; i++)
			fx_add_sa(&f, &(struct fx_sa){.src = me[v6],
					  .dst = peer[v6],
					  .spi = 0x1001 + i,
					  .mode = TDO_MODE_TRANSPORT,
					  .enc = "aes-gcm-16",
					  .natt = natt[i]});
		fx_add_sa(&f, &(struct fx_sa){.src = me[v6],
				  .dst = peer[v6],
				  .spi = 0x1004,
				  .mode = TDO_MODE_TRANSPORT,
				  .satype = TDO_SATYPE_AH,
				  .auth = "hmac-sha256"});
		fx_add_sp(
		    &f, TDO_DIR_OUT, me[v6], peer[v6], TDO_IPPROTO_UDP, "esp/transport//require");
		fx_add_sp(
		    &f, TDO_DIR_IN, peer[v6], me[v6], TDO_IPPROTO_UDP, "esp/transport//require");
		fx_add_sp(
		    &f, TDO_DIR_OUT, me[v6], peer[v6], TDO_IPPROTO_TCP, "ah/transport//require");
	}
}

/* The SAs have sent something. */
static void
send_some(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned i = 0; i < 4; i++) {
			struct tdo_pkt *p = fx_udp(&f.rng, me[v6], peer[v6], 100);

			tdo_out(f.w, &p, 1, f.now);
			FUZZ_CHECK(p->verdict == TDO_VERDICT_SEND);
			fx_pkt_free(p);
		}
}

static void
check_flow(const uint8_t *d, const struct tdo_ip_info *ip)
{
	struct tdo_flow q;

	if (!tdo_icmp_quoted_flow(d, ip, &q))
		return;
	FUZZ_CHECK(q.src.af == ip->flow.src.af && q.dst.af == ip->flow.src.af);
	FUZZ_CHECK(q.has_ports || (q.sport == 0 && q.dport == 0));
}

static void
as_message(uint8_t af, const uint8_t *m, size_t len)
{
	struct tdo_icmp_report r;
	enum tdo_icmp_verdict v = tdo_icmp_in(f.w, af, m, len, f.now, &r);
	struct tdo_addr dst = fx_addr(peer[af == TDO_AF_INET6]);

	FUZZ_CHECK((v == TDO_ICMP_DROP) == (r.reason != TDO_REASON_NONE));
	if (v != TDO_ICMP_TOO_BIG)
		return;
	FUZZ_CHECK(tdo_addr_equal(&r.dst, &dst));
	FUZZ_CHECK(r.mtu == 0 || r.mtu < r.quoted_len);
	FUZZ_CHECK(r.mtu >= (af == TDO_AF_INET6 ? 1280u : 0u));
}

static void
as_packet(uint8_t af, const uint8_t *m, size_t len, uint8_t flags)
{
	uint32_t head = tdo_ip_hlen(af);
	struct tdo_ip_hdr h = {.src = fx_addr(af == TDO_AF_INET6 ? "2001:db8::9" : "10.0.0.9"),
	    .dst = fx_addr(me[af == TDO_AF_INET6]),
	    .ttl = 64,
	    .proto = af == TDO_AF_INET6 ? TDO_IPPROTO_ICMPV6 : TDO_IPPROTO_ICMP};
	struct tdo_pkt *p = fx_pkt_new(head + (uint32_t)len);

	tdo_ip_build(tdo_pkt_data(p), &h, (uint32_t)len);
	memcpy(tdo_pkt_data(p) + head, m, len);
	p->flags = flags & 8 ? TDO_PKT_FORWARDED : 0;
	if (flags & 4)
		tdo_out_classify(f.w, &p, 1, f.now);
	else
		tdo_in_clear(f.w, &p, 1, f.now);
	FUZZ_CHECK(p->verdict == TDO_VERDICT_PASS || p->verdict == TDO_VERDICT_DROP ||
		   p->verdict == TDO_VERDICT_PROTECT);
	FUZZ_CHECK((p->verdict == TDO_VERDICT_DROP) == (p->reason != TDO_REASON_NONE));
	check_flow(tdo_pkt_data(p), &p->ip);
	fx_pkt_free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *m, af;

	if (!f.e) {
		open_engine();
		send_some();
	}
	if (len < 1 || len > 4000)
		return 0;
	af = data[0] & 1 ? TDO_AF_INET6 : TDO_AF_INET;
	/* Of the exact size: the sanitizer sees every byte beyond the message. */
	m = malloc(len);
	FUZZ_CHECK(m);
	memcpy(m, data + 1, len - 1);
	if (af == TDO_AF_INET && len > 4) {
		tdo_put_be16(m + 2, 0);
		tdo_put_be16(m + 2, tdo_csum_fold(tdo_csum_add(0, m, len - 1)));
	}
	if (data[0] & 2)
		as_packet(af, m, len - 1, data[0]);
	else
		as_message(af, m, len - 1);
	free(m);
	tdo_worker_quiesce(f.w);
	return 0;
}
