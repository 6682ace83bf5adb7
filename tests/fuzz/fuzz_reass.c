/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments from outside, many in a row: memory stays within its limits, what becomes whole is a
 * packet, and no byte is lost on the way.  Input: for each packet its length in two bytes, one for
 * the way that it came and the time that passed, then the packet.
 */
#include <string.h>

#include "fuzz.h"
#include "mem.h"
#include "testudo/reass.h"
#include "wire/ip.h"

enum { BYTES = 64 << 10, DATAGRAMS = 16, OUT_MAX = 66000 };

static size_t allocated;
static unsigned lost;

static void *
mem_alloc(void *ctx, size_t size)
{
	allocated += size;
	return test_mem_alloc(ctx, size);
}

static void
mem_free(void *ctx, void *p, size_t size)
{
	if (p)
		allocated -= size;
	test_mem_free(ctx, p, size);
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0x5a, len);
}

static void
count(void *ctx, enum tdo_reason r, unsigned n)
{
	(void)ctx;
	FUZZ_CHECK(r > TDO_REASON_NONE && r < TDO_REASON_COUNT);
	lost += n;
}

/* One packet in memory of its own size: reads beyond it are seen. */
static unsigned
give(struct tdo_reass *r, const uint8_t *data, size_t len, uint8_t how, tdo_ns now)
{
	static uint8_t out_buf[OUT_MAX];
	struct tdo_pkt out = {.buf = out_buf, .cap = OUT_MAX};
	struct tdo_reass_whole from = {0};
	enum tdo_reass_result res;
	struct tdo_ip_info ip;
	uint8_t *p = malloc(len ? len : 1);

	if (!p)
		abort();
	memcpy(p, data, len);
	res = tdo_reass_add(r, p, len, how & 1, now, &out, &from);
	free(p);
	if (res == TDO_REASS_WHOLE) {
		FUZZ_CHECK(from.fragments >= 2 && from.longest <= len + 65575);
		FUZZ_CHECK(
		    tdo_ip_parse(tdo_pkt_data(&out), out.len, &ip) == TDO_REASON_NONE && !ip.frag);
		FUZZ_CHECK(ip.total_len == out.len && out.len <= 65575);
	}
	FUZZ_CHECK(tdo_reass_use(r).bytes <= BYTES && tdo_reass_use(r).datagrams <= DATAGRAMS);
	return res == TDO_REASS_NONE ? 1 : res == TDO_REASS_WHOLE ? from.fragments : 0;
}

static void
late(void *ctx, const struct tdo_reass_datagram *d)
{
	static uint8_t mem[70000];
	struct tdo_pkt first = {.buf = mem, .cap = sizeof(mem)};

	FUZZ_CHECK(tdo_reass_first(d, &first));
	FUZZ_CHECK(first.ip.frag && !first.ip.frag_later && first.ip.total_len == first.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_reass_config cfg = {.mem = {mem_alloc, mem_free, NULL},
	    .random = random_bytes,
	    .lost = count,
	    .late = late};
	struct tdo_reass_limits lim = {BYTES, DATAGRAMS, 30 * TDO_SEC};
	unsigned given = 0, used = 0;
	tdo_ns now = TDO_SEC;
	struct tdo_reass *r;

	lost = 0;
	FUZZ_CHECK(tdo_reass_new(&cfg, &r) == 0);
	tdo_reass_limit(r, &lim);
	while (len >= 3) {
		size_t n = (size_t)data[0] << 8 | data[1];
		uint8_t how = data[2];

		data += 3;
		len -= 3;
		n = n < len ? n : len;
		now += (how >> 1) * (TDO_SEC / 4);
		used += give(r, data, n, how, now);
		given++;
		data += n;
		len -= n;
	}
	FUZZ_CHECK(tdo_reass_expire(r, now + 30 * TDO_SEC) == UINT64_MAX);
	FUZZ_CHECK(tdo_reass_use(r).bytes == 0 && tdo_reass_use(r).sources == 0);
	FUZZ_CHECK(given == used + lost);
	tdo_reass_free(r);
	FUZZ_CHECK(allocated == 0);
	return 0;
}
