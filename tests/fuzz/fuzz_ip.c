/* SPDX-License-Identifier: BSD-2-Clause */
/* IP packets from outside: whatever the parser accepts lies within the packet. */
#include "fuzz.h"
#include "wire/ip.h"

static void
check_info(const uint8_t *data, size_t len, const struct tdo_ip_info *ip)
{
	FUZZ_CHECK(ip->total_len <= len);
	FUZZ_CHECK(ip->esp_off >= tdo_ip_hlen(ip->flow.src.af));
	FUZZ_CHECK(ip->esp_off <= ip->l4_off);
	FUZZ_CHECK(ip->l4_off <= ip->total_len);
	FUZZ_CHECK(ip->nh_off < ip->esp_off);
	FUZZ_CHECK(ip->esp_nh == data[ip->nh_off]);
	FUZZ_CHECK(ip->flow.src.af == ip->flow.dst.af);
	FUZZ_CHECK(!ip->frag_later || (ip->frag && ip->flow.opaque && !ip->flow.has_ports));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_ip_info ip;

	if (tdo_ip_parse(data, len, &ip) == TDO_REASON_NONE)
		check_info(data, len, &ip);
	return 0;
}
