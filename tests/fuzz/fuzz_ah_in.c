/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inbound packets against an engine with SAs of AH that need no secret: "null" authentication, in
 * all modes and both families, so that whatever is wrapped in AH is reached, with a layer of ESP
 * without secrets inside or outside; and authenticated SAs, which must never let anything through.
 *
 * Input: a byte of flags (1: the packet has no room behind it, 2: TOS and offset are
 * authenticated), then the packet.
 */
#include <string.h>

#include "engine/sa.h"
#include "fixture.h"
#include "fuzz.h"
#include "wire/ip.h"

#define FIRST_SECRET 0x2001

static struct fx f;

static void
open_engine(void)
{
#define AH(from, to, i, m, a)                                                                      \
	.satype = TDO_SATYPE_AH, .src = (from), .dst = (to), .spi = (i), .mode = TDO_MODE_##m,     \
	.auth = (a)
	static const struct fx_sa sas[] = {
	    {AH("10.0.0.1", "10.0.0.2", 0x1001, TRANSPORT, "null")},
	    {AH("10.0.0.1", "10.0.0.2", 0x1002, TUNNEL, "null")},
	    {AH("10.0.0.1", "10.0.0.2", 0x1003, ANY, "null")},
	    {AH("2001:db8::1", "2001:db8::2", 0x1004, ANY, "null"), .align = 4},
	    {AH("10.0.0.1", "10.0.0.2", 0x1005, ANY, "null"), .hard = {.allocations = 5}},
	    {.src = "10.0.0.1", .dst = "10.0.0.2", .spi = 0x1006, .enc = "null"},
	    {AH("10.0.0.1", "10.0.0.2", FIRST_SECRET, ANY, "hmac-sha1"), .replay = 64},
	    {AH("10.0.0.1", "10.0.0.2", 0x2002, ANY, "aes-128-gmac"), .replay = 64},
	    {AH("10.0.0.1", "10.0.0.2", 0x2003, ANY, "hmac-md5"), .flags = TDO_SAF_OLD},
	    {AH("10.0.0.1", "10.0.0.2", 0x2004, ANY, "hmac-sha256"), .flags = TDO_SAF_ESN,
		.adaptive = true},
	    {AH("2001:db8::1", "2001:db8::2", 0x2005, ANY, "aes-256-gmac"), .flags = TDO_SAF_ESN,
		.replay = 32},
	};
	struct tdo_addr local[] = {fx_addr("10.0.0.2"), fx_addr("2001:db8::2")};

	fx_open(&f, NULL);
	for (unsigned i = 0; i < sizeof(sas) / sizeof(sas[0]); i++)
		if (fx_built(&sas[i]))
			fx_add_sa(&f, &sas[i]);
	fx_add_sp(&f, TDO_DIR_IN, "10.0.0.1", "10.0.0.2", TDO_IPPROTO_UDP, "ah/transport//require");
	fx_add_sp(&f, TDO_DIR_IN, "10.1.0.0/16", "10.2.0.0/16", TDO_PROTO_ANY,
	    "ah/tunnel/10.0.0.1-10.0.0.2/require");
	FUZZ_CHECK(tdo_engine_set_local(f.e, local, 2) == 0);
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
		FUZZ_CHECK(p->sas[i]->id.spi < FIRST_SECRET);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_pkt p = {0}, *burst = &p;
	size_t room;

	if (!f.e)
		open_engine();
	if (len == 0 || len > TDO_PKT_MAXLEN)
		return 0;
	room = data[0] & 1 ? 0 : TDO_TAILROOM;
	fx_knob(&f, TDO_KNOB_AH_CLEARTOS, data[0] & 2 ? 0 : 1);
	fx_knob(&f, TDO_KNOB_AH_OFFSETMASK, data[0] & 2 ? 0xffff : 0);
	/* Of the exact size: the sanitizer sees every byte beyond packet and room. */
	p.buf = malloc(len + room);
	FUZZ_CHECK(p.buf);
	memcpy(p.buf, data + 1, len - 1);
	p.len = (uint32_t)(len - 1);
	p.cap = (uint32_t)(len - 1 + room);
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
