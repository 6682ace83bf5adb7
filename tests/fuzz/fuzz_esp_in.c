/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound packets against an engine with SAs that need no secret: null encryption without
 * authentication, in all modes and both families, so that whatever is wrapped in ESP is
 * reached, the old format too; and authenticated SAs, which must never let anything through.
 *
 * Input: a byte of flags (1: tdo_in_clear, 2: forwarded), then the packet.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/sa.h"
#include "fixture.h"
#include "fuzz.h"
#include "wire/ip.h"

#define SECRET_SPI     0x1005
#define SECRET_ESN_SPI 0x100c

static struct fx f;

static void
open_engine(void)
{
#define SA(from, to, i, m, e)                                                                      \
	.src = (from), .dst = (to), .spi = (i), .mode = TDO_MODE_##m, .enc = (e)
	static const struct fx_sa sas[] = {
	    {SA("10.0.0.1", "10.0.0.2", 0x1001, TRANSPORT, "null")},
	    {SA("10.0.0.1", "10.0.0.2", 0x1002, TUNNEL, "null")},
	    {SA("10.0.0.1", "10.0.0.2", 0x1003, ANY, "null")},
	    {SA("2001:db8::1", "2001:db8::2", 0x1004, ANY, "null")},
	    {SA("10.0.0.1", "10.0.0.2", SECRET_SPI, ANY, "aes-gcm-16"), .replay = 64},
	    {SA("10.0.0.1", "10.0.0.2", 0x1006, ANY, "null"), .hard = {.allocations = 5}},
	    {SA("10.0.0.1", "10.0.0.2", 0x1007, ANY, "null"), .flags = TDO_SAF_PZERO},
	    {SA("10.0.0.1", "10.0.0.2", 0x1008, TUNNEL, "null"),
		.tunnel = {.ecn = TDO_OPT_ECN + 2}},
	    {SA("10.0.0.1", "10.0.0.2", 0x1009, ANY, "null"), .flags = TDO_SAF_OLD},
	    {SA("10.0.0.1", "10.0.0.2", 0x100a, TRANSPORT, "des-cbc"),
		.flags = TDO_SAF_OLD | TDO_SAF_IV4B},
	    {SA("10.0.0.1", "10.0.0.2", 0x100b, ANY, "null"), .auth = "null", .replay = 32},
	    {SA("10.0.0.1", "10.0.0.2", SECRET_ESN_SPI, ANY, "aes-cbc"), .auth = "hmac-sha1",
		.flags = TDO_SAF_ESN, .adaptive = true},
	};
	struct tdo_addr local[] = {fx_addr("10.0.0.2"), fx_addr("2001:db8::2")};

	fx_open(&f, NULL);
	for (unsigned i = 0; i < sizeof(sas) / sizeof(sas[0]); i++)
		if (fx_built(&sas[i]))
			fx_add_sa(&f, &sas[i]);
	fx_add_sp(
	    &f, TDO_DIR_IN, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_UDP, "esp/transport//require");
	fx_add_sp(&f, TDO_DIR_IN, "10.1.0.0/16", "10.2.0.0/16", TDO_PROTO_ANY,
	    "esp/tunnel/10.0.0.1-10.0.0.2/require");
	fx_add_sp(&f, TDO_DIR_IN, "10.3.0.0/16", "10.2.0.0/16", TDO_PROTO_ANY, "discard");
	fx_add_sp(&f, TDO_DIR_IN, "10.4.0.0/16", "10.2.0.0/16", TDO_PROTO_ANY, "none");
	FUZZ_CHECK(tdo_engine_set_local(f.e, local, 2) == 0);
	fx_knob(&f, TDO_KNOB_ECN, 1);
}

static void
check_delivered(const struct tdo_pkt *p, const uint8_t *buf, size_t len)
{
	struct tdo_ip_info ip;

	FUZZ_CHECK(p->buf == buf && p->off <= len && p->len <= len - p->off);
	FUZZ_CHECK(tdo_ip_parse(tdo_pkt_data(p), p->len, &ip) == TDO_REASON_NONE);
	FUZZ_CHECK(ip.flow.proto == p->ip.flow.proto && ip.l4_off == p->ip.l4_off);
	FUZZ_CHECK(p->nsas <= TDO_HIST_MAX);
	for (unsigned i = 0; i < p->nsas; i++)
		FUZZ_CHECK(p->sas[i]->id.spi != SECRET_SPI && p->sas[i]->id.spi != SECRET_ESN_SPI);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_pkt p = {0}, *burst = &p;

	if (!f.e)
		open_engine();
	if (len == 0 || len > TDO_PKT_MAXLEN)
		return 0;
	/* Of the exact size: the sanitizer sees every byte beyond the packet. */
	p.buf = malloc(len);
	FUZZ_CHECK(p.buf);
	memcpy(p.buf, data + 1, len - 1);
	p.cap = p.len = (uint32_t)(len - 1);
	p.flags = data[0] & 2 ? TDO_PKT_FORWARDED : 0;
	if (data[0] & 1)
		tdo_in_clear(f.w, &burst, 1, f.now);
	else
		tdo_in(f.w, &burst, 1, f.now);
	FUZZ_CHECK(p.verdict == TDO_VERDICT_PASS || p.verdict == TDO_VERDICT_DROP);
	if (p.verdict == TDO_VERDICT_PASS)
		check_delivered(&p, p.buf, len - 1);
	else
		FUZZ_CHECK(p.reason != TDO_REASON_NONE);
	free(p.buf);
	tdo_worker_quiesce(f.w);
	return 0;
}
