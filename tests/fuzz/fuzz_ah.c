/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4 options and IPv6 extension headers in front of AH: nothing outside of them is touched, what
 * is authenticated stays, and what the sender predicts is what the receiver computes from it.
 *
 * Input: a byte of flags (1: outbound, 2: TOS is authenticated, 4: all of the offset is), then the
 * headers.
 */
#include <string.h>

#include "fuzz.h"
#include "wire/ah.h"
#include "wire/ip.h"

/* A copy whose every byte belongs to the headers: what is touched outside is seen. */
static uint8_t *
copy(const uint8_t *data, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	if (!p)
		abort();
	memcpy(p, data, len);
	return p;
}

static void
check_fixed(const uint8_t *before, const uint8_t *after, size_t len)
{
	if (before[0] >> 4 == 4) {
		FUZZ_CHECK(len >= TDO_IP4_HLEN && after[0] == before[0]);
		FUZZ_CHECK(memcmp(after + 2, before + 2, 4) == 0 && after[9] == before[9]);
		FUZZ_CHECK(after[8] == 0 && after[10] == 0 && after[11] == 0);
		FUZZ_CHECK(memcmp(after + 12, before + 12, 4) == 0);
	} else {
		FUZZ_CHECK(len >= TDO_IP6_HLEN && after[0] == 0x60);
		FUZZ_CHECK(after[1] == 0 && after[2] == 0 && after[3] == 0 && after[7] == 0);
		FUZZ_CHECK(memcmp(after + 4, before + 4, 3) == 0);
		FUZZ_CHECK(memcmp(after + 8, before + 8, 16) == 0);
	}
}

/* Every byte is what it was or zero, but for the addresses of a source route. */
static void
check_kept(const uint8_t *before, const uint8_t *after, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (i != 0)
			FUZZ_CHECK(after[i] == 0 || after[i] == before[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_ah_rules rules, in;
	uint8_t *once, *twice;
	enum tdo_reason why;

	if (len < 1 || len > 4096)
		return 0;
	rules = (struct tdo_ah_rules){.out = (data[0] & 1) != 0,
	    .clear_tos = (data[0] & 2) == 0,
	    .off_mask = data[0] & 4 ? 0xffff : 0};
	in = rules;
	in.out = false;
	data++;
	len--;
	once = copy(data, len);
	why = tdo_ah_cover(once, len, &rules);
	if (why == TDO_REASON_NONE) {
		check_fixed(data, once, len);
		if (!rules.out)
			check_kept(data, once, len);
		twice = copy(once, len);
		FUZZ_CHECK(tdo_ah_cover(twice, len, &in) == TDO_REASON_NONE);
		FUZZ_CHECK(memcmp(once, twice, len) == 0);
		free(twice);
	} else {
		FUZZ_CHECK(why == TDO_REASON_IP_HEADER || why == TDO_REASON_EXT_HEADER ||
			   why == TDO_REASON_AH_OPTION || why == TDO_REASON_AH_HEADER);
	}
	free(once);
	return 0;
}
